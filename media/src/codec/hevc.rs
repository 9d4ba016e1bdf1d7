//! HEVC (H.265): configuration records and what NAL units are for.

mod sps;

pub use sps::Sps;

use super::Info;
use super::bits::{BitReader, CodecError, Fault};
use super::nal::{Contents, Nals};
use crate::limits::CODEC_PARAMETER_SETS;
use std::fmt::Write;

const CODEC: &str = "HEVC";

/// An HEVCDecoderConfigurationRecord.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config<'a> {
    /// Profile, tier and level.
    pub profile: Profile,
    /// Bytes of each NAL unit's length: 1, 2 or 4.
    pub length_size: u8,
    /// Video parameter sets.
    pub vps: Vec<&'a [u8]>,
    /// Sequence parameter sets, at least one.
    pub sps: Vec<&'a [u8]>,
    /// Picture parameter sets.
    pub pps: Vec<&'a [u8]>,
    /// What the first sequence parameter set says.
    pub picture: Sps,
}

/// Profile, tier and level, as the record and each sequence parameter set begin with them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Profile {
    /// `general_profile_space`.
    pub space: u8,
    /// `general_tier_flag`: the high tier.
    pub high_tier: bool,
    /// `general_profile_idc`.
    pub idc: u8,
    /// The compatibility flags, that of profile 0 highest.
    pub compatibility: u32,
    /// The constraint flags, the first byte highest of 48 bits.
    pub constraints: u64,
    /// `general_level_idc`: 30 times the level.
    pub level: u8,
}

impl Profile {
    fn parse(bits: &mut BitReader<'_>) -> Result<Self, CodecError> {
        Ok(Self {
            space: bits.read(2)? as u8,
            high_tier: bits.flag()?,
            idc: bits.read(5)? as u8,
            compatibility: bits.read(32)?,
            constraints: u64::from(bits.read(16)?) << 32 | u64::from(bits.read(32)?),
            level: bits.byte()?,
        })
    }

    /// Such as `hvc1.1.6.L93.B0`.
    #[must_use]
    pub fn codec_string(&self) -> String {
        let space = ["", "A", "B", "C"].get(usize::from(self.space)).copied().unwrap_or_default();
        let tier = if self.high_tier { 'H' } else { 'L' };
        let flags = self.compatibility.reverse_bits();
        let mut name = format!("hvc1.{space}{}.{flags:X}.{tier}{}", self.idc, self.level);
        let mut constraints = self.constraints << 16;
        while constraints != 0 {
            // Writing to a string does not fail.
            let _ = write!(name, ".{:X}", constraints >> 56);
            constraints <<= 8;
        }
        name
    }

    fn name(&self) -> Option<&'static str> {
        Some(match self.idc {
            1 => "Main",
            2 => "Main 10",
            3 => "Main Still Picture",
            4 => "Range Extensions",
            5 => "High Throughput",
            6 => "Multiview Main",
            7 => "Scalable Main",
            9 => "Screen Content Coding",
            _ => return None,
        })
    }

    fn level_name(&self) -> String {
        let (level, tenth) = (self.level / 30, self.level % 30 / 3);
        if tenth == 0 { level.to_string() } else { format!("{level}.{tenth}") }
    }
}

impl<'a> Config<'a> {
    /// Reads a record.
    ///
    /// # Errors
    /// It is of another version, ends too early, or no sequence parameter set is in it.
    pub fn parse(record: &'a [u8]) -> Result<Self, CodecError> {
        let mut bits = BitReader::new(CODEC, "configuration record", record);
        // Encoders older than the standard wrote version 0.
        let version = bits.read(8)?;
        bits.check(version <= 1, "configurationVersion", version, "1")?;
        let profile = Profile::parse(&mut bits)?;
        // Segmentation, parallelism, chroma, depths, frame rate: the parameter sets say it better.
        bits.skip(16 + 8 + 8 + 8 + 8 + 16)?;
        bits.skip(6)?;
        let length_size = bits.read(2)? as u8 + 1;
        bits.check(length_size != 3, "NAL length size", length_size.into(), "1, 2 or 4")?;
        let (mut vps, mut sps, mut pps) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..bits.byte()? {
            let kind = bits.read(8)? & 0x3f;
            for _ in 0..bits.read(16)? {
                let length = bits.read(16)?;
                let unit = bits.bytes(length as usize)?;
                let sets = match kind {
                    VPS => &mut vps,
                    SPS => &mut sps,
                    PPS => &mut pps,
                    _ => continue,
                };
                sets.push(unit);
                let count = sets.len();
                let few = count <= CODEC_PARAMETER_SETS;
                bits.check(few, "parameter sets of a kind", count as u32, "at most 1024")?;
            }
        }
        let first = sps.first().ok_or_else(|| bits.error(Fault::Missing("SPS")))?;
        let picture = Sps::parse(first)?;
        Ok(Self { profile, length_size, picture, vps, sps, pps })
    }

    /// The NAL units of a payload that goes with this record.
    #[must_use]
    pub const fn nals<'p>(&self, payload: &'p [u8]) -> Nals<'p> {
        nals(payload, self.length_size)
    }

    /// Such as `hvc1.1.6.L93.B0`.
    #[must_use]
    pub fn codec_string(&self) -> String {
        self.profile.codec_string()
    }

    /// What it says of the track.
    #[must_use]
    pub fn info(&self) -> Info {
        Info { codec_string: self.codec_string(), ..self.picture.info() }
    }
}

const VPS: u32 = 32;
const SPS: u32 = 33;
const PPS: u32 = 34;

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
        let kind = u32::from(first >> 1) & 0x3f;
        Contents {
            key: matches!(kind, 16..=23),
            picture: kind < VPS,
            config: matches!(kind, VPS..=PPS),
        }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::{HEVC_MAIN, HEVC_MAIN_10, hex};
    use super::*;

    #[test]
    fn records_of_x265() {
        let record = hex(HEVC_MAIN);
        let config = Config::parse(&record).unwrap();
        assert_eq!((config.vps.len(), config.sps.len(), config.pps.len()), (1, 1, 1));
        assert_eq!(config.length_size, 4);
        let info = config.info();
        assert_eq!(info.codec_string, "hvc1.1.6.L60.90");
        assert_eq!((info.profile, info.level.as_deref()), (Some("Main"), Some("2")));
        assert_eq!((info.width, info.height), (Some(324), Some(182)));
        assert_eq!(info.frame_rate.map(|rate| (rate * 1000.0).round()), Some(29_970.0));

        let record = hex(HEVC_MAIN_10);
        let config = Config::parse(&record).unwrap();
        assert_eq!(config.picture.bit_depth, 10);
        let info = config.info();
        assert_eq!(info.codec_string, "hvc1.2.4.L60.90");
        assert_eq!(info.profile, Some("Main 10"));
        assert_eq!((info.width, info.height, info.frame_rate), (Some(324), Some(182), Some(30.0)));
    }

    #[test]
    fn strings() {
        let profile = Profile {
            space: 0,
            high_tier: false,
            idc: 1,
            compatibility: 0x6000_0000,
            constraints: 0xb0_00_00_00_00_00,
            level: 93,
        };
        assert_eq!(profile.codec_string(), "hvc1.1.6.L93.B0");
        assert_eq!(profile.level_name(), "3.1");
        let other = Profile { space: 2, high_tier: true, idc: 4, level: 120, ..profile };
        assert_eq!(
            Profile { constraints: 0x9e_00_08_00_00_00, ..other }.codec_string(),
            "hvc1.B4.6.H120.9E.0.8"
        );
        assert_eq!(Profile { constraints: 0, ..profile }.codec_string(), "hvc1.1.6.L93");
    }

    #[test]
    fn cut_anywhere_is_an_error() {
        let record = hex(HEVC_MAIN);
        for cut in 0..record.len() {
            let error = Config::parse(&record[..cut]).unwrap_err();
            assert_eq!(error.to_string(), "sender's HEVC configuration record ends too early");
        }
        let mut none = record[..22].to_vec();
        none.push(0);
        assert_eq!(
            Config::parse(&none).unwrap_err().to_string(),
            "sender's HEVC configuration record has no SPS"
        );
    }

    #[test]
    fn a_record_of_empty_sets_ends() {
        let record = hex(HEVC_MAIN);
        let many = [&record[..22], &[1, PPS as u8, 0xff, 0xff], &[0; 2 * 0xffff]].concat();
        assert_eq!(
            Config::parse(&many).unwrap_err().to_string(),
            "sender's HEVC configuration record has parameter sets of a kind 1025, expected at most 1024"
        );
    }

    #[test]
    fn kinds_of_units() {
        let of = |kinds: &[u8]| {
            let payload: Vec<u8> =
                kinds.iter().flat_map(|kind| [0, 0, 0, 2, kind << 1, 1]).collect();
            contents(&payload, 4).unwrap()
        };
        let key = Contents { key: true, picture: true, config: false };
        assert_eq!(of(&[35, 39, 19]), key);
        assert_eq!(of(&[21]), key);
        assert_eq!(of(&[32, 33, 34, 20]), Contents { config: true, ..key });
        assert_eq!(of(&[1]), Contents { key: false, ..key });
        assert_eq!(of(&[35, 40, 38]), Contents::default());
    }
}
