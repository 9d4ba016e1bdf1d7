//! VP8: headers of frames.

use super::Info;
use super::bits::{BitReader, CodecError};

const START: u32 = 0x9d_012a;

/// What a frame says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Width and height, which keyframes have.
    pub size: Option<(u32, u32)>,
}

impl Header {
    /// Reads the header of a frame.
    ///
    /// # Errors
    /// It ends too early, or a keyframe lacks its start code or a picture.
    pub fn parse(payload: &[u8]) -> Result<Self, CodecError> {
        let mut bits = BitReader::new("VP8", "frame header", payload);
        let delta = bits.read(24)? & 0x01_0000 != 0;
        if delta {
            return Ok(Self { size: None });
        }
        let start = bits.read(24)?;
        bits.check(start == START, "start code", start, "10289450")?;
        // The upper two bits scale the picture up, which no player does.
        let width = u32::from((bits.read(16)? as u16).swap_bytes()) & 0x3fff;
        let height = u32::from((bits.read(16)? as u16).swap_bytes()) & 0x3fff;
        bits.check(width > 0, "width", width, "1 or more")?;
        bits.check(height > 0, "height", height, "1 or more")?;
        Ok(Self { size: Some((width, height)) })
    }

    /// It decodes on its own.
    #[must_use]
    pub const fn is_key(&self) -> bool {
        self.size.is_some()
    }

    /// What it says of the track.
    #[must_use]
    pub fn info(&self) -> Info {
        let (width, height) = self.size.unzip();
        Info { width, height, ..Info::named("vp8") }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn keyframes_have_a_size() {
        let key = [0x50, 0x42, 0x00, 0x9d, 0x01, 0x2a, 0x42, 0x01, 0xb6, 0x40];
        let header = Header::parse(&key).unwrap();
        assert!(header.is_key());
        assert_eq!(header.size, Some((322, 182)));
        assert_eq!(Header::parse(&[0x31, 0, 0]).unwrap().size, None);
        for cut in 0..key.len() {
            assert!(Header::parse(&key[..cut]).is_err());
        }
        assert!(Header::parse(&[0x50, 0x42, 0, 0x9d, 1, 0x2b, 0, 0, 0, 0]).is_err());
        // Scaled up, and still nothing.
        assert_eq!(
            Header::parse(&[0x50, 0x42, 0, 0x9d, 1, 0x2a, 1, 0, 0, 0x40]).unwrap_err().to_string(),
            "sender's VP8 frame header has height 0, expected 1 or more"
        );
    }
}
