//! AAC: AudioSpecificConfig, and the ADTS header made from it.

use super::Info;
use super::bits::{BitReader, CodecError, Fault};

/// Samples a second by their index.
const RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000,
    7350,
];
const SBR: u8 = 5;
const PS: u8 = 29;
/// The index that says the rate follows.
const EXPLICIT: u8 = 15;
/// Bytes of an ADTS header without a checksum.
pub const ADTS_LEN: usize = 7;
/// An ADTS frame's length has 13 bits.
const ADTS_MAX: usize = (1 << 13) - 1;

/// An AudioSpecificConfig.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// The audio object type of the core: 2 is LC.
    pub object_type: u8,
    /// The extension as it is signalled: 5 is SBR, 29 SBR with parametric stereo.
    pub extension: Option<u8>,
    /// The index of the core's rate, 15 if it is none of the usual.
    pub rate_index: u8,
    /// Samples a second of the core.
    pub core_rate: u32,
    /// Samples a second that come out: twice the core's with SBR.
    pub sample_rate: u32,
    /// `channelConfiguration`: 0 means a list of elements, which ADTS cannot say.
    pub channel_config: u8,
    /// Channels that come out.
    pub channels: u8,
    /// Samples of the core in a frame, of the types whose frames are all as long.
    pub frame_samples: Option<u32>,
    extension_first: bool,
}

impl Config {
    /// Reads a record.
    ///
    /// # Errors
    /// It ends too early, or names a rate or layout there isn't.
    pub fn parse(record: &[u8]) -> Result<Self, CodecError> {
        let bits = &mut BitReader::new("AAC", "AudioSpecificConfig", record);
        let mut object_type = object_type(bits)?;
        let (rate_index, core_rate) = rate(bits)?;
        let channel_config = bits.read(4)? as u8;
        let extension_first = matches!(object_type, SBR | PS);
        let mut extension = None;
        let mut sample_rate = core_rate;
        if extension_first {
            extension = Some(object_type);
            sample_rate = rate(bits)?.1;
            object_type = self::object_type(bits)?;
            if object_type == 22 {
                bits.skip(4)?;
            }
        }
        let frame_samples = frame_samples(object_type, &mut bits.clone());
        let channels = match channel_config {
            // Where a list is followed by things this page does not know, the list is not looked for.
            0 if general(object_type) => general_config(bits, true)?,
            0 => 0,
            1..=6 => channel_config,
            7 | 12 | 14 => 8,
            11 => 7,
            13 => 24,
            _ => {
                let found = channel_config.into();
                bits.check(false, "channelConfiguration", found, "0 to 7 or 11 to 14")?;
                0
            }
        };
        let mut config = Self {
            object_type,
            extension,
            rate_index,
            core_rate,
            sample_rate,
            channel_config,
            channels,
            frame_samples,
            extension_first,
        };
        if extension.is_none() && general(object_type) {
            // Appended, so that old decoders don't see it; encoders pad here with anything.
            let bits = &mut bits.clone();
            let begun = channel_config == 0 || general_config(bits, false).is_ok();
            if begun && let Ok(Some((extension, rate))) = appended(bits) {
                (config.extension, config.sample_rate) = (Some(extension), rate);
            }
        }
        if config.extension == Some(PS) && config.channels == 1 {
            config.channels = 2;
        }
        Ok(config)
    }

    /// Such as `mp4a.40.2`. An extension that is only appended is not named, as players that know it
    /// find it anyway.
    #[must_use]
    pub fn codec_string(&self) -> String {
        let named = if self.extension_first { self.extension } else { None };
        format!("mp4a.40.{}", named.unwrap_or(self.object_type))
    }

    /// What it says of the track.
    #[must_use]
    pub fn info(&self) -> Info {
        let profile = match (self.extension, self.object_type) {
            (Some(PS), _) => Some("HE-AACv2"),
            (Some(_), _) => Some("HE-AAC"),
            (_, 1) => Some("Main"),
            (_, 2) => Some("LC"),
            (_, 3) => Some("SSR"),
            (_, 4) => Some("LTP"),
            (_, 23) => Some("LD"),
            (_, 39) => Some("ELD"),
            (_, 42) => Some("xHE-AAC"),
            _ => None,
        };
        let info = Info::sound(&self.codec_string(), self.sample_rate, self.channels);
        Info { profile, channels: info.channels.filter(|channels| *channels > 0), ..info }
    }

    /// The ADTS header to stand before a frame of `payload` bytes.
    ///
    /// # Errors
    /// ADTS has no words for this configuration, or for frames of that length.
    pub fn adts_header(&self, payload: usize) -> Result<[u8; ADTS_LEN], CodecError> {
        let bits = BitReader::new("AAC", "stream, to be sent as ADTS,", &[]);
        let check = |fits, field, found, expected| bits.check(fits, field, found, expected);
        let object_type = check(
            matches!(self.object_type, 1..=4),
            "object type",
            self.object_type.into(),
            "1 to 4",
        )?;
        let rate = u32::from(self.rate_index);
        check(rate < 13, "sampling frequency index", rate, "0 to 12")?;
        let channels = u32::from(self.channel_config);
        check(matches!(channels, 1..=7), "channelConfiguration", channels, "1 to 7")?;
        let length = payload.saturating_add(ADTS_LEN);
        let found = u32::try_from(payload).unwrap_or(u32::MAX);
        check(length <= ADTS_MAX, "frame length", found, "at most 8184")?;
        let length = length as u32;
        Ok([
            0xff,
            // MPEG-4, no checksum.
            0xf1,
            ((object_type - 1) << 6 | rate << 2 | channels >> 2) as u8,
            ((channels & 3) << 6 | length >> 11) as u8,
            (length >> 3) as u8,
            // A buffer fullness of all ones: the bitrate varies.
            ((length & 7) << 5 | 0x1f) as u8,
            0xfc,
        ])
    }
}

fn object_type(bits: &mut BitReader<'_>) -> Result<u8, CodecError> {
    let short = bits.read(5)? as u8;
    let object_type = if short == 31 { 32 + bits.read(6)? as u8 } else { short };
    bits.check(object_type != 0, "audioObjectType", 0, "1 or more")?;
    Ok(object_type)
}

fn rate(bits: &mut BitReader<'_>) -> Result<(u8, u32), CodecError> {
    let index = bits.read(4)? as u8;
    if index == EXPLICIT {
        let rate = bits.read(24)?;
        bits.check(rate > 0, "samplingFrequency", rate, "1 or more")?;
        return Ok((index, rate));
    }
    let expected = "0 to 12 or 15";
    let field = "samplingFrequencyIndex";
    let fault = Fault::Field { field, found: index.into(), expected };
    Ok((index, *RATES.get(usize::from(index)).ok_or_else(|| bits.error(fault))?))
}

/// Object types that go on with a GASpecificConfig and may have something appended.
const fn general(object_type: u8) -> bool {
    matches!(object_type, 1..=4 | 6 | 7)
}

/// What the flag says that these types go on with.
fn frame_samples(object_type: u8, bits: &mut BitReader<'_>) -> Option<u32> {
    let (long, short) = match object_type {
        23 | 39 => (512, 480),
        _ if general(object_type) => (1024, 960),
        _ => return None,
    };
    Some(if bits.flag().unwrap_or_default() { short } else { long })
}

/// Passes over a GASpecificConfig, and gives the channels of its list of elements if there is one.
fn general_config(bits: &mut BitReader<'_>, list: bool) -> Result<u8, CodecError> {
    bits.skip(1)?;
    if bits.flag()? {
        bits.skip(14)?;
    }
    bits.skip(1)?;
    if !list {
        return Ok(0);
    }
    bits.skip(4 + 2 + 4)?;
    let (front, side, back) = (bits.read(4)?, bits.read(4)?, bits.read(4)?);
    let (lfe, assoc, coupling) = (bits.read(2)?, bits.read(3)?, bits.read(4)?);
    for mixdown in [4, 4, 3] {
        if bits.flag()? {
            bits.skip(mixdown)?;
        }
    }
    let mut channels = lfe;
    for _ in 0..front + side + back {
        channels += 1 + bits.read(1)?;
        bits.skip(4)?;
    }
    bits.skip(4 * lfe + 4 * assoc + 5 * coupling)?;
    // A comment, from the next whole byte on.
    bits.bytes(0)?;
    let comment = bits.read(8)?;
    bits.bytes(comment as usize)?;
    Ok(channels as u8)
}

/// What is appended behind a sync word: the extension, and the rate that comes out.
fn appended(bits: &mut BitReader<'_>) -> Result<Option<(u8, u32)>, CodecError> {
    if bits.read(11)? != 0x2b7 || object_type(bits)? != SBR || !bits.flag()? {
        return Ok(None);
    }
    let (_, rate) = rate(bits)?;
    let stereo = bits.bits_left() >= 12 && bits.read(11)? == 0x548 && bits.flag()?;
    Ok(Some((if stereo { PS } else { SBR }, rate)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::{Bits, hex};
    use super::*;

    #[test]
    fn low_complexity() {
        let config = Config::parse(&[0x12, 0x10]).unwrap();
        assert_eq!(
            config.info(),
            Info { profile: Some("LC"), ..Info::sound("mp4a.40.2", 44_100, 2) }
        );
        // What ffmpeg appends says there is no SBR.
        let config = Config::parse(&hex("119056e500")).unwrap();
        assert_eq!((config.extension, config.sample_rate, config.channels), (None, 48_000, 2));
        assert_eq!(Config::parse(&hex("123056e500")).unwrap().channels, 6);
        let samples = |record: &[u8]| Config::parse(record).unwrap().frame_samples;
        assert_eq!(samples(&[0x12, 0x10]), Some(1024));
        assert_eq!(samples(&[0x12, 0x14]), Some(960));
        let low_delay = Bits::default().put(5, 31).put(6, 7).put(4, 3).put(4, 2).put(1, 1).bytes();
        assert_eq!(samples(&low_delay), Some(480));
        let unified = Bits::default().put(5, 31).put(6, 10).put(4, 3).put(4, 2).bytes();
        assert_eq!(samples(&unified), None);
    }

    #[test]
    fn sbr_and_parametric_stereo_by_both_ways() {
        // First: SBR over a core of 24 kHz.
        let first =
            Bits::default().put(5, 5).put(4, 6).put(4, 2).put(4, 3).put(5, 2).put(3, 0).bytes();
        let config = Config::parse(&first).unwrap();
        assert_eq!((config.object_type, config.core_rate), (2, 24_000));
        assert_eq!(
            config.info(),
            Info { profile: Some("HE-AAC"), ..Info::sound("mp4a.40.5", 48_000, 2) }
        );
        // First, with parametric stereo.
        let first =
            Bits::default().put(5, 29).put(4, 7).put(4, 1).put(4, 4).put(5, 2).put(3, 0).bytes();
        assert_eq!(
            Config::parse(&first).unwrap().info(),
            Info { profile: Some("HE-AACv2"), ..Info::sound("mp4a.40.29", 44_100, 2) }
        );
        // Appended.
        let mut bits = Bits::default();
        bits.put(5, 2).put(4, 7).put(4, 1).put(3, 0).put(11, 0x2b7).put(5, 5).put(1, 1).put(4, 4);
        let config = Config::parse(&bits.clone().bytes()).unwrap();
        assert_eq!((config.extension, config.channels), (Some(5), 1));
        bits.put(11, 0x548).put(1, 1);
        assert_eq!(
            Config::parse(&bits.bytes()).unwrap().info(),
            Info { profile: Some("HE-AACv2"), ..Info::sound("mp4a.40.2", 44_100, 2) }
        );
    }

    #[test]
    fn explicit_rates_and_types_and_lists_of_elements() {
        let record =
            Bits::default().put(5, 2).put(4, 15).put(24, 37_800).put(4, 2).put(3, 0).bytes();
        let config = Config::parse(&record).unwrap();
        assert_eq!((config.rate_index, config.sample_rate), (15, 37_800));
        assert!(config.adts_header(10).is_err());
        let record = Bits::default().put(5, 31).put(6, 10).put(4, 3).put(4, 2).put(8, 0).bytes();
        assert_eq!(Config::parse(&record).unwrap().codec_string(), "mp4a.40.42");
        // Front one and a pair, a pair at the back, LFE: 5.1.
        let mut bits = Bits::default();
        bits.put(5, 2).put(4, 3).put(4, 0).put(3, 0);
        bits.put(10, 0).put(4, 2).put(4, 0).put(4, 1).put(2, 1).put(3, 0).put(4, 0).put(3, 0);
        bits.put(5, 0).put(5, 0b10000).put(5, 0b10001).put(4, 0).align().put(8, 1).put(8, 0x2a);
        let record = bits.bytes();
        assert_eq!(Config::parse(&record).unwrap().channels, 6);
        for cut in 0..record.len() {
            assert!(Config::parse(&record[..cut]).is_err());
        }
    }

    #[test]
    fn adts() {
        let config = Config::parse(&[0x12, 0x10]).unwrap();
        assert_eq!(config.adts_header(0x100).unwrap(), [0xff, 0xf1, 0x50, 0x80, 0x20, 0xff, 0xfc]);
        assert!(config.adts_header(8184).is_ok());
        assert_eq!(
            config.adts_header(8185).unwrap_err().to_string(),
            "sender's AAC stream, to be sent as ADTS, has frame length 8185, expected at most 8184"
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        let error = |record: &[u8]| Config::parse(record).unwrap_err().to_string();
        assert_eq!(error(&[]), "sender's AAC AudioSpecificConfig ends too early");
        assert_eq!(error(&[0x12]), "sender's AAC AudioSpecificConfig ends too early");
        assert_eq!(
            error(&[0x16, 0x90]),
            "sender's AAC AudioSpecificConfig has samplingFrequencyIndex 13, expected 0 to 12 or 15"
        );
        assert!(error(&[0x12, 0x78]).contains("channelConfiguration 15"));
        assert!(error(&[0x02, 0x10]).contains("audioObjectType 0"));
    }
}
