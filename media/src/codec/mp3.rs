//! MP3 and its elder layers: the header each frame begins with.

use super::Info;
use super::bits::{BitReader, CodecError, Fault};

/// Layer III in MP4.
pub const CODEC_STRING: &str = "mp4a.40.34";

/// The header of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Samples a second.
    pub sample_rate: u32,
    /// Channels.
    pub channels: u8,
    /// Samples in a frame.
    pub samples: u32,
}

impl Header {
    /// Reads the header of a frame.
    ///
    /// # Errors
    /// It ends too early, does not begin with the sync word, or has a version, layer or rate there
    /// isn't.
    pub fn parse(payload: &[u8]) -> Result<Self, CodecError> {
        let bits = &mut BitReader::new("MP3", "frame header", payload);
        let sync = bits.read(11)?;
        bits.check(sync == 0x7ff, "sync word", sync, "2047")?;
        let version = bits.read(2)?;
        bits.check(version != 1, "version", version, "0, 2 or 3")?;
        let layer = bits.read(2)?;
        bits.check(layer != 0, "layer", layer, "1 to 3")?;
        bits.skip(1 + 4)?;
        let index = bits.read(2)?;
        let rate = [44_100, 48_000, 32_000].get(index as usize);
        let fault =
            Fault::Field { field: "sampling frequency", found: index.into(), expected: "0 to 2" };
        let rate: u32 = *rate.ok_or_else(|| bits.error(fault))?;
        bits.skip(2)?;
        let channels = if bits.read(2)? == 3 { 1 } else { 2 };
        let halved = match version {
            3 => 0,
            2 => 1,
            _ => 2,
        };
        // The layers are numbered from behind.
        let samples = match (layer, version) {
            (3, _) => 384,
            (2, _) | (_, 3) => 1152,
            _ => 576,
        };
        Ok(Self { sample_rate: rate >> halved, channels, samples })
    }

    /// What it says of the track.
    #[must_use]
    pub fn info(&self) -> Info {
        Info::sound(CODEC_STRING, self.sample_rate, self.channels)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let of =
            |bytes: [u8; 4]| Header::parse(&bytes).map(|h| (h.sample_rate, h.channels, h.samples));
        assert_eq!(of([0xff, 0xfb, 0x90, 0x44]), Ok((44_100, 2, 1152)));
        assert_eq!(of([0xff, 0xf3, 0x70, 0xc0]), Ok((22_050, 1, 576)));
        assert_eq!(of([0xff, 0xe3, 0x78, 0xc0]), Ok((8000, 1, 576)));
        assert_eq!(
            of([0xff, 0xfb, 0x9c, 0x44]).unwrap_err().to_string(),
            "sender's MP3 frame header has sampling frequency 3, expected 0 to 2"
        );
        assert!(of(*b"ID3\x04").unwrap_err().to_string().contains("sync word"));
        assert!(Header::parse(&[0xff, 0xfb, 0x90]).is_err());
    }
}
