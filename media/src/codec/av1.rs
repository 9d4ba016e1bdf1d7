//! AV1: configuration records, sequence headers, and what a temporal unit holds.

use super::bits::{BitReader, CodecError, Fault};
use super::{Info, frame_rate};

const CODEC: &str = "AV1";
const SEQUENCE_HEADER: u8 = 1;
const FRAME_HEADER: u8 = 3;
const FRAME: u8 = 6;

/// An AV1CodecConfigurationRecord.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// What the record itself says.
    pub profile: Profile,
    /// The sequence header in the record; some encoders send it with keyframes only.
    pub sequence: Option<Sequence>,
}

/// Profile, level, tier and depth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Profile {
    /// `seq_profile`: 0 main, 1 high, 2 professional.
    pub profile: u8,
    /// `seq_level_idx` of the first operating point.
    pub level: u8,
    /// `seq_tier` of the first operating point.
    pub high_tier: bool,
    /// Bits of a sample.
    pub bit_depth: u8,
}

impl Profile {
    /// Such as `av01.0.04M.08`.
    #[must_use]
    pub fn codec_string(&self) -> String {
        let tier = if self.high_tier { 'H' } else { 'M' };
        format!("av01.{}.{:02}{tier}.{:02}", self.profile, self.level, self.bit_depth)
    }

    fn info(&self) -> Info {
        let names = ["Main", "High", "Professional"];
        Info {
            codec_string: self.codec_string(),
            profile: names.get(usize::from(self.profile)).copied(),
            level: (self.level < 24).then(|| format!("{}.{}", 2 + self.level / 4, self.level % 4)),
            ..Info::default()
        }
    }
}

impl Config {
    /// Reads a record.
    ///
    /// # Errors
    /// It is of another version or ends too early, or its sequence header is broken.
    pub fn parse(record: &[u8]) -> Result<Self, CodecError> {
        let bits = &mut BitReader::new(CODEC, "configuration record", record);
        let version = bits.read(8)?;
        bits.check(version == 0x81, "marker and version", version, "129")?;
        let profile = bits.read(3)? as u8;
        bits.check(profile <= 2, "seq_profile", profile.into(), "0 to 2")?;
        let level = bits.read(5)? as u8;
        let high_tier = bits.flag()?;
        let (high, twelve) = (bits.flag()?, bits.flag()?);
        let bit_depth = if !high {
            8
        } else if profile == 2 && twelve {
            12
        } else {
            10
        };
        bits.skip(5 + 8)?;
        let sequence = Sequence::find(bits.rest())?;
        Ok(Self { profile: Profile { profile, level, high_tier, bit_depth }, sequence })
    }

    /// Such as `av01.0.04M.08`.
    #[must_use]
    pub fn codec_string(&self) -> String {
        self.profile.codec_string()
    }

    /// What it says of the track.
    #[must_use]
    pub fn info(&self) -> Info {
        let of_sequence = self.sequence.map(|sequence| sequence.info()).unwrap_or_default();
        Info {
            width: of_sequence.width,
            height: of_sequence.height,
            frame_rate: of_sequence.frame_rate,
            ..self.profile.info()
        }
    }
}

/// The OBUs of a payload, as their types and contents. Ends after its first error.
#[derive(Clone, Debug)]
pub struct Obus<'a>(BitReader<'a>);

/// The OBUs of a payload.
#[must_use]
pub const fn obus(payload: &[u8]) -> Obus<'_> {
    Obus(BitReader::new(CODEC, "payload, in an OBU by its size,", payload))
}

impl<'a> Obus<'a> {
    fn take(&mut self) -> Result<(u8, &'a [u8]), CodecError> {
        let bits = &mut self.0;
        let forbidden = bits.read(1)?;
        bits.check(forbidden == 0, "obu_forbidden_bit", forbidden, "0")?;
        let kind = bits.read(4)? as u8;
        let (extended, sized) = (bits.flag()?, bits.flag()?);
        bits.skip(if extended { 1 + 8 } else { 1 })?;
        let size = if sized { leb128(bits)? } else { bits.rest().len() };
        Ok((kind, bits.bytes(size)?))
    }
}

impl<'a> Iterator for Obus<'a> {
    type Item = Result<(u8, &'a [u8]), CodecError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.rest().is_empty() {
            return None;
        }
        let taken = self.take();
        if taken.is_err() {
            *self = obus(&[]);
        }
        Some(taken)
    }
}

fn leb128(bits: &mut BitReader<'_>) -> Result<usize, CodecError> {
    let mut value = 0_u64;
    for position in 0..8 {
        let byte = bits.byte()?;
        value |= u64::from(byte & 0x7f) << (7 * position);
        if byte & 0x80 == 0 {
            return usize::try_from(value).map_err(|_| bits.error(Fault::Short));
        }
    }
    let (field, expected) = ("bytes of leb128()", "at most 8");
    Err(bits.error(Fault::Field { field, found: 9, expected }))
}

/// Whether a temporal unit decodes on its own: a sequence header, and a first frame that is a keyframe.
///
/// # Errors
/// A size reaches past the payload.
pub fn is_key(payload: &[u8]) -> Result<bool, CodecError> {
    let mut described = false;
    for obu in obus(payload) {
        match obu? {
            (SEQUENCE_HEADER, _) => described = true,
            // show_existing_frame, then frame_type: 0 is a keyframe.
            (FRAME_HEADER | FRAME, header) => {
                return Ok(described && header.first().is_some_and(|first| first & 0xe0 == 0));
            }
            _ => {}
        }
    }
    Ok(false)
}

/// A sequence header, as far as the size of the picture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sequence {
    /// Profile, level, tier and depth.
    pub profile: Profile,
    /// The widest frame.
    pub width: u32,
    /// The highest frame.
    pub height: u32,
    /// `time_scale`, and how many units a picture lasts, if all last the same.
    pub timing: Option<(u32, u64)>,
}

impl Sequence {
    /// The first sequence header of a payload, if there is one.
    ///
    /// # Errors
    /// A size reaches past the payload, or the header is broken.
    pub fn find(payload: &[u8]) -> Result<Option<Self>, CodecError> {
        for obu in obus(payload) {
            if let (SEQUENCE_HEADER, header) = obu? {
                return Self::parse(header).map(Some);
            }
        }
        Ok(None)
    }

    /// Reads the content of a sequence header OBU.
    ///
    /// # Errors
    /// It ends too early, or is of a profile there isn't.
    pub fn parse(header: &[u8]) -> Result<Self, CodecError> {
        let bits = &mut BitReader::new(CODEC, "sequence header", header);
        let profile = bits.read(3)? as u8;
        bits.check(profile <= 2, "seq_profile", profile.into(), "0 to 2")?;
        bits.skip(1)?;
        let reduced = bits.flag()?;
        let (level, high_tier, timing) =
            if reduced { (bits.read(5)? as u8, false, None) } else { operating_points(bits)? };
        let (width_bits, height_bits) = (bits.read(4)? + 1, bits.read(4)? + 1);
        let (width, height) = (bits.read(width_bits)? + 1, bits.read(height_bits)? + 1);
        let bit_depth = bit_depth(bits, profile, reduced)?;
        let profile = Profile { profile, level, high_tier, bit_depth };
        Ok(Self { profile, width, height, timing })
    }

    /// What it says of the track.
    #[must_use]
    pub fn info(&self) -> Info {
        Info {
            width: Some(self.width),
            height: Some(self.height),
            frame_rate: self.timing.and_then(|(scale, ticks)| frame_rate(scale, ticks)),
            ..self.profile.info()
        }
    }
}

/// Level and tier of the first operating point, and the timing before them.
type Points = (u8, bool, Option<(u32, u64)>);

fn operating_points(bits: &mut BitReader<'_>) -> Result<Points, CodecError> {
    let (mut timing, mut delay_bits) = (None, None);
    if bits.flag()? {
        let (units, scale) = (bits.read(32)?, bits.read(32)?);
        if bits.flag()? {
            let ticks = u64::from(bits.ue()?) + 1;
            timing = Some((scale, ticks.saturating_mul(units.into())));
        }
        if bits.flag()? {
            delay_bits = Some(bits.read(5)? + 1);
            bits.skip(32 + 5 + 5)?;
        }
    }
    let display_delay = bits.flag()?;
    let mut first = None;
    for _ in 0..=bits.read(5)? {
        bits.skip(12)?;
        let level = bits.read(5)? as u8;
        let high_tier = level > 7 && bits.flag()?;
        first = first.or(Some((level, high_tier)));
        if let Some(delay_bits) = delay_bits
            && bits.flag()?
        {
            bits.skip(2 * delay_bits + 1)?;
        }
        if display_delay && bits.flag()? {
            bits.skip(4)?;
        }
    }
    let (level, high_tier) = first.unwrap_or_default();
    Ok((level, high_tier, timing))
}

/// What stands between the size and the depth, and the depth.
fn bit_depth(bits: &mut BitReader<'_>, profile: u8, reduced: bool) -> Result<u8, CodecError> {
    if !reduced && bits.flag()? {
        bits.skip(4 + 3)?;
    }
    bits.skip(3)?;
    if !reduced {
        bits.skip(4)?;
        let order_hint = bits.flag()?;
        bits.skip(if order_hint { 2 } else { 0 })?;
        // Screen content tools: chosen by frame, or said here; if there are any, so is integer motion.
        let screen = bits.flag()? || bits.flag()?;
        if screen && !bits.flag()? {
            bits.skip(1)?;
        }
        bits.skip(if order_hint { 3 } else { 0 })?;
    }
    bits.skip(3)?;
    let high = bits.flag()?;
    let twelve = high && profile == 2 && bits.flag()?;
    Ok(if twelve {
        12
    } else if high {
        10
    } else {
        8
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::{AV1, AV1_UNIT, Bits, hex};
    use super::*;

    #[test]
    fn a_record_of_libaom() {
        let info = Config::parse(&hex(AV1)).unwrap().info();
        assert_eq!(info.codec_string, "av01.0.00M.08");
        assert_eq!((info.profile, info.level.as_deref()), (Some("Main"), Some("2.0")));
        assert_eq!((info.width, info.height), (Some(322), Some(182)));
        let unit = hex(AV1_UNIT);
        assert!(is_key(&unit).unwrap());
        let found = Sequence::find(&unit).unwrap().unwrap();
        assert_eq!(Config::parse(&hex(AV1)).unwrap().sequence, Some(found));
    }

    #[test]
    fn a_record_without_a_sequence_header_has_no_size() {
        let info = Config::parse(&hex("810d0c00")).unwrap().info();
        assert_eq!(info.codec_string, "av01.0.13M.08");
        assert_eq!((info.width, info.level.as_deref()), (None, Some("5.1")));
        assert_eq!(Config::parse(&hex("815ec000")).unwrap().codec_string(), "av01.2.30H.10");
        assert_eq!(Config::parse(&hex("8143e000")).unwrap().codec_string(), "av01.2.03H.12");
        assert!(Config::parse(&hex("01000000")).unwrap_err().to_string().contains("version 1,"));
    }

    #[test]
    fn a_sequence_header_with_everything() {
        let mut bits = Bits::default();
        bits.put(3, 2).put(2, 0).put(1, 1).put(32, 1001).put(32, 120_000).put(1, 1).ue(1);
        bits.put(1, 1).put(5, 9).put(32, 0).put(10, 0).put(1, 1);
        bits.put(5, 1).put(12, 0).put(5, 12).put(1, 1).put(1, 1).put(21, 0).put(1, 1).put(4, 0);
        bits.put(12, 0).put(5, 3).put(1, 0).put(1, 0);
        bits.put(4, 11).put(4, 10).put(12, 3839).put(11, 1599);
        bits.put(1, 1).put(7, 0).put(3, 0).put(4, 0).put(1, 1).put(2, 0).put(2, 0b01);
        bits.put(2, 0b00).put(3, 0).put(3, 0).put(2, 0b11);
        let header = bits.bytes();
        let sequence = Sequence::parse(&header).unwrap();
        let info = sequence.info();
        assert_eq!(info.codec_string, "av01.2.12H.12");
        assert_eq!((info.width, info.height), (Some(3840), Some(1600)));
        assert_eq!(info.frame_rate.map(|rate| (rate * 100.0).round()), Some(5994.0));
        for cut in 0..header.len() {
            assert!(Sequence::parse(&header[..cut]).is_err());
        }
    }

    #[test]
    fn keyframes_and_others() {
        assert!(!is_key(&hex("1200")).unwrap());
        assert!(!is_key(&hex("1200320110")).unwrap());
        assert!(!is_key(&hex("12000a0100320120")).unwrap());
        assert!(is_key(&hex("12000a0100320110")).unwrap());
        assert!(!is_key(&hex("12000a0100320180")).unwrap());
        // Without a size, the last OBU is the rest.
        assert!(is_key(&hex("0a01003010ffff")).unwrap());
        assert!(is_key(&hex("0a0500")).unwrap_err().to_string().contains("ends too early"));
        assert!(is_key(&hex("8a00")).unwrap_err().to_string().contains("obu_forbidden_bit"));
        assert!(is_key(&hex("0affffffffffffffffff")).unwrap_err().to_string().contains("leb128"));
        assert_eq!(obus(&[0xff; 20]).count(), 1);
    }
}
