//! VP9: configuration records, and headers of frames.

use super::Info;
use super::bits::{BitReader, CodecError};

const CODEC: &str = "VP9";
const SYNC: u32 = 0x49_8342;
const RGB: u32 = 7;

/// A VPCodecConfigurationRecord.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// 0 to 3.
    pub profile: u8,
    /// Ten times the level; 0 if the encoder did not say.
    pub level: u8,
    /// Bits of a sample.
    pub bit_depth: u8,
}

impl Config {
    /// Reads a record, with or without the version and flags it has in a file's box.
    ///
    /// # Errors
    /// It ends too early, or there is no such profile or depth.
    pub fn parse(record: &[u8]) -> Result<Self, CodecError> {
        // Without a box it cannot begin like this: the third byte has the depth.
        let record = record.strip_prefix(&[1, 0, 0, 0]).unwrap_or(record);
        let bits = &mut BitReader::new(CODEC, "configuration record", record);
        let (profile, level) = (bits.byte()?, bits.byte()?);
        bits.check(profile <= 3, "profile", profile.into(), "0 to 3")?;
        let bit_depth = bits.read(4)?;
        bits.check(matches!(bit_depth, 8 | 10 | 12), "bitDepth", bit_depth, "8, 10 or 12")?;
        bits.skip(4 + 8 + 8 + 8)?;
        let initialization = bits.read(16)?;
        bits.bytes(initialization as usize)?;
        Ok(Self { profile, level, bit_depth: bit_depth as u8 })
    }

    /// Such as `vp09.00.31.08`.
    #[must_use]
    pub fn codec_string(&self) -> String {
        format!("vp09.{:02}.{:02}.{:02}", self.profile, self.level, self.bit_depth)
    }

    /// What it says of the track.
    #[must_use]
    pub fn info(&self) -> Info {
        Info {
            profile: profile_name(self.profile),
            level: (self.level > 0).then(|| match (self.level / 10, self.level % 10) {
                (level, 0) => level.to_string(),
                (level, tenth) => format!("{level}.{tenth}"),
            }),
            ..Info::named(&self.codec_string())
        }
    }
}

fn profile_name(profile: u8) -> Option<&'static str> {
    ["Profile 0", "Profile 1", "Profile 2", "Profile 3"].get(usize::from(profile)).copied()
}

/// What a frame says of itself, in its uncompressed header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// 0 to 3.
    pub profile: u8,
    /// What keyframes have.
    pub key: Option<Key>,
}

/// What a keyframe says of the pictures that follow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key {
    /// Bits of a sample.
    pub bit_depth: u8,
    /// Pixels side by side.
    pub width: u32,
    /// Pixels one below another.
    pub height: u32,
}

impl Header {
    /// Reads the header of a frame, or of the first frame of a superframe.
    ///
    /// # Errors
    /// It ends too early, or is no VP9.
    pub fn parse(payload: &[u8]) -> Result<Self, CodecError> {
        let bits = &mut BitReader::new(CODEC, "frame header", payload);
        let marker = bits.read(2)?;
        bits.check(marker == 2, "frame_marker", marker, "2")?;
        let (low, high) = (bits.read(1)?, bits.read(1)?);
        let profile = (high << 1 | low) as u8;
        if profile == 3 {
            bits.skip(1)?;
        }
        let shown_again = bits.flag()?;
        if shown_again || bits.flag()? {
            return Ok(Self { profile, key: None });
        }
        bits.skip(2)?;
        let sync = bits.read(24)?;
        bits.check(sync == SYNC, "frame_sync_code", sync, "4817730")?;
        let bit_depth = match profile {
            0 | 1 => 8,
            _ => 10 + 2 * bits.read(1)? as u8,
        };
        let subsampled_freely = matches!(profile, 1 | 3);
        if bits.read(3)? == RGB {
            bits.check(subsampled_freely, "color_space", RGB, "0 to 6 in this profile")?;
            bits.skip(1)?;
        } else {
            bits.skip(if subsampled_freely { 4 } else { 1 })?;
        }
        let (width, height) = (bits.read(16)? + 1, bits.read(16)? + 1);
        Ok(Self { profile, key: Some(Key { bit_depth, width, height }) })
    }

    /// It decodes on its own.
    #[must_use]
    pub const fn is_key(&self) -> bool {
        self.key.is_some()
    }

    /// What it says of the track. The level stands in the configuration record alone, so there is a
    /// codec string only with one, as level 0, from keyframes.
    #[must_use]
    pub fn info(&self) -> Info {
        let Some(key) = self.key else {
            return Info { profile: profile_name(self.profile), ..Info::default() };
        };
        let config = Config { profile: self.profile, level: 0, bit_depth: key.bit_depth };
        Info { width: Some(key.width), height: Some(key.height), ..config.info() }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::{Bits, VP9, VP9_FRAME, hex};
    use super::*;

    #[test]
    fn a_record_of_libvpx_in_its_box_and_without() {
        let record = hex(VP9);
        let info = Config::parse(&record).unwrap().info();
        assert_eq!(info.codec_string, "vp09.00.11.08");
        assert_eq!((info.profile, info.level.as_deref()), (Some("Profile 0"), Some("1.1")));
        assert_eq!(Config::parse(&record[4..]).unwrap().info(), info);
        for cut in 0..record.len() {
            assert!(Config::parse(&record[..cut]).is_err());
        }
        assert_eq!(
            Config::parse(&[0, 10, 0, 0, 0, 0, 0, 0]).unwrap_err().to_string(),
            "sender's VP9 configuration record has bitDepth 0, expected 8, 10 or 12"
        );
    }

    #[test]
    fn keyframes_have_a_size() {
        let frame = hex(VP9_FRAME);
        let header = Header::parse(&frame).unwrap();
        assert_eq!(header.key, Some(Key { bit_depth: 8, width: 322, height: 182 }));
        assert_eq!(header.info().codec_string, "vp09.00.00.08");
        for cut in 0..9 {
            assert!(Header::parse(&frame[..cut]).is_err());
        }
        assert!(!Header::parse(&[0x86]).unwrap().is_key());
        assert!(!Header::parse(&[0x88]).unwrap().is_key());
        assert!(Header::parse(&[0x49]).unwrap_err().to_string().contains("frame_marker"));
    }

    #[test]
    fn every_profile() {
        for (profile, before, depth) in
            [(1, "000 0000", 8), (2, "1 000 0", 12), (3, "0 000 0000", 10), (3, "0 111 0", 10)]
        {
            let mut bits = Bits::default();
            bits.put(2, 2).put(1, profile & 1).put(1, profile >> 1);
            bits.put(if profile == 3 { 5 } else { 4 }, 0).put(24, SYNC);
            for bit in before.bytes().filter(u8::is_ascii_digit) {
                bits.put(1, (bit - b'0').into());
            }
            let header = Header::parse(&bits.put(16, 639).put(16, 359).bytes()).unwrap();
            assert_eq!(u32::from(header.profile), profile);
            assert_eq!(header.key, Some(Key { bit_depth: depth, width: 640, height: 360 }));
        }
    }
}
