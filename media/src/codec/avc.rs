//! AVC (H.264): configuration records and what NAL units are for.

mod sps;

pub use sps::Sps;

use super::Info;
use super::bits::{BitReader, CodecError, Fault};
use super::nal::{Contents, Nals};

const CODEC: &str = "AVC";

/// An AVCDecoderConfigurationRecord.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config<'a> {
    /// Bytes of each NAL unit's length: 1, 2 or 4.
    pub length_size: u8,
    /// Sequence parameter sets, at least one.
    pub sps: Vec<&'a [u8]>,
    /// Picture parameter sets.
    pub pps: Vec<&'a [u8]>,
    /// What the first sequence parameter set says.
    pub picture: Sps,
}

impl<'a> Config<'a> {
    /// Reads a record. What profiles above Main append to it is in the parameter sets too.
    ///
    /// # Errors
    /// It is of another version, ends too early, or no sequence parameter set is in it.
    pub fn parse(record: &'a [u8]) -> Result<Self, CodecError> {
        let mut bits = BitReader::new(CODEC, "configuration record", record);
        let version = bits.read(8)?;
        bits.check(version == 1, "configurationVersion", version, "1")?;
        bits.skip(24 + 6)?;
        let length_size = bits.read(2)? as u8 + 1;
        bits.check(length_size != 3, "NAL length size", length_size.into(), "1, 2 or 4")?;
        bits.skip(3)?;
        let count = bits.read(5)?;
        let sps = units(&mut bits, count)?;
        let count = bits.read(8)?;
        let pps = units(&mut bits, count)?;
        let first = sps.first().ok_or_else(|| bits.error(Fault::Missing("SPS")))?;
        let picture = Sps::parse(first)?;
        Ok(Self { length_size, picture, sps, pps })
    }

    /// The NAL units of a payload that goes with this record.
    #[must_use]
    pub const fn nals<'p>(&self, payload: &'p [u8]) -> Nals<'p> {
        nals(payload, self.length_size)
    }

    /// Such as `avc1.4d401f`.
    #[must_use]
    pub fn codec_string(&self) -> String {
        self.picture.codec_string()
    }

    /// What it says of the track.
    #[must_use]
    pub fn info(&self) -> Info {
        self.picture.info()
    }
}

fn units<'a>(bits: &mut BitReader<'a>, count: u32) -> Result<Vec<&'a [u8]>, CodecError> {
    (0..count)
        .map(|_| {
            let length = bits.read(16)?;
            bits.bytes(length as usize)
        })
        .collect()
}

/// The NAL units of a payload.
#[must_use]
pub const fn nals(payload: &[u8], length_size: u8) -> Nals<'_> {
    Nals::new(CODEC, payload, length_size)
}

/// What the NAL units of a payload are for. SEI, delimiters and filler are for nothing.
///
/// # Errors
/// A length reaches past the payload.
pub fn contents(payload: &[u8], length_size: u8) -> Result<Contents, CodecError> {
    Contents::of(nals(payload, length_size), |first| {
        let kind = first & 0x1f;
        Contents {
            key: kind == 5,
            picture: matches!(kind, 1..=5),
            config: matches!(kind, 7 | 8 | 13 | 15),
        }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::{AVC_1080, AVC_HIGH_422, hex};
    use super::*;

    #[test]
    fn records_of_x264() {
        let record = hex(AVC_1080);
        let config = Config::parse(&record).unwrap();
        assert_eq!((config.length_size, config.sps.len(), config.pps.len()), (4, 1, 1));
        assert_eq!(config.pps, [&hex("68ebe3cb22c0")]);
        assert_eq!(
            config.info(),
            Info {
                codec_string: "avc1.640028".into(),
                profile: Some("High"),
                level: Some("4".into()),
                width: Some(1920),
                height: Some(1080),
                frame_rate: Some(30.0),
                ..Info::default()
            }
        );
        // Interlaced, so that heights count pairs of macroblock rows.
        let info = Config::parse(&hex(AVC_HIGH_422)).unwrap().info();
        assert_eq!(info.codec_string, "avc1.7a003e");
        assert_eq!(info.profile, Some("High 4:2:2"));
        assert_eq!(info.level.as_deref(), Some("6.2"));
        assert_eq!((info.width, info.height), (Some(1920), Some(1080)));
        assert_eq!(info.frame_rate, Some(60.0));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let error = |record: &[u8]| Config::parse(record).unwrap_err().to_string();
        assert_eq!(
            error(&[0, 0, 0, 1, 0x67]),
            "sender's AVC configuration record has configurationVersion 0, expected 1"
        );
        assert_eq!(
            error(&[1, 0x4d, 0x40, 0x1f, 0xff, 0xe0, 0]),
            "sender's AVC configuration record has no SPS"
        );
        assert_eq!(
            error(&[1, 0x4d, 0x40, 0x1f, 0xfe, 0xe0, 0]),
            "sender's AVC configuration record has NAL length size 3, expected 1, 2 or 4"
        );
        assert_eq!(
            error(&[1, 0x4d, 0x40, 0x1f, 0xff, 0xe1, 0xff, 0xff, 0x67]),
            "sender's AVC configuration record ends too early"
        );
        assert_eq!(
            error(&[1, 0x4d, 0x40, 0x1f, 0xff, 0xe1, 0, 2, 0x67, 0x4d, 0]),
            "sender's AVC SPS ends too early"
        );
    }

    #[test]
    fn kinds_of_units() {
        let of = |units: &[u8]| {
            let payload: Vec<u8> = units.iter().flat_map(|first| [0, 0, 0, 1, *first]).collect();
            contents(&payload, 4).unwrap()
        };
        let key = Contents { key: true, picture: true, config: false };
        assert_eq!(of(&[0x09, 0x06, 0x65]), key);
        assert_eq!(of(&[0x67, 0x68, 0x65]), Contents { config: true, ..key });
        assert_eq!(of(&[0x06, 0x41, 0x01]), Contents { key: false, ..key });
        assert_eq!(of(&[0x09, 0x06, 0x0c]), Contents::default());
        assert!(contents(&[0, 0, 0, 9, 0x65], 4).is_err());
    }
}
