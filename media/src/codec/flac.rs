//! FLAC: its STREAMINFO, in whatever wrapping a container gives it.

use super::Info;
use super::bits::{BitReader, CodecError};

const MARKER: &[u8] = b"fLaC";
/// Bytes of a STREAMINFO.
const STREAM_INFO: usize = 34;

/// A STREAMINFO.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// Samples a second.
    pub sample_rate: u32,
    /// Channels.
    pub channels: u8,
    /// Bits of a sample.
    pub bit_depth: u8,
}

impl Config {
    /// Reads a STREAMINFO: behind `fLaC` as in a file and in RTMP, behind version and flags as in
    /// MP4, or bare.
    ///
    /// # Errors
    /// It ends too early, is another block, or has a rate of 0.
    pub fn parse(record: &[u8]) -> Result<Self, CodecError> {
        let bare = record.len() == STREAM_INFO && begins_with_blocks(record);
        let record = match record.strip_prefix(MARKER) {
            Some(record) => record,
            None if bare => record,
            None => record.strip_prefix(&[0; 4]).unwrap_or(record),
        };
        let bits = &mut BitReader::new("FLAC", "STREAMINFO", record);
        if !bare {
            bits.skip(1)?;
            let kind = bits.read(7)?;
            bits.check(kind == 0, "block type", kind, "0")?;
            let length = bits.read(24)?;
            bits.check(length == STREAM_INFO as u32, "length", length, "34")?;
        }
        bits.skip(16 + 16 + 24 + 24)?;
        let sample_rate = bits.read(20)?;
        bits.check(sample_rate > 0, "sample rate", sample_rate, "1 or more")?;
        let channels = bits.read(3)? as u8 + 1;
        let bit_depth = bits.read(5)? as u8 + 1;
        bits.skip(36)?;
        bits.bytes(16)?;
        Ok(Self { sample_rate, channels, bit_depth })
    }

    /// What it says of the track.
    #[must_use]
    pub fn info(&self) -> Info {
        Info::sound("flac", self.sample_rate, self.channels)
    }
}

/// Whether this may be a bare STREAMINFO, which begins with the lengths of the shortest and the longest
/// block. A wrapped one that is cut to the same length begins with others.
fn begins_with_blocks(record: &[u8]) -> bool {
    let Some([a, b, c, d]) = record.first_chunk() else { return false };
    let (shortest, longest) = (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d]));
    16 <= shortest && shortest <= longest
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::{FLAC, hex};
    use super::*;

    #[test]
    fn every_wrapping() {
        let file = hex(FLAC);
        let config = Config { sample_rate: 48_000, channels: 1, bit_depth: 16 };
        assert_eq!(Config::parse(&file), Ok(config));
        assert_eq!(Config::parse(&file[4..]), Ok(config));
        assert_eq!(Config::parse(&file[8..]), Ok(config));
        assert_eq!(Config::parse(&[&[0; 4], &file[4..]].concat()), Ok(config));
        let boxed = [&[0; 4], &file[4..]].concat();
        // The only block there is says that it is the last.
        let last = [&[0x80], &file[5..]].concat();
        for record in [&file, &file[4..], &file[8..], &boxed, &last] {
            assert_eq!(Config::parse(record), Ok(config));
            for cut in 0..record.len() {
                assert!(Config::parse(&record[..cut]).is_err(), "{} cut at {cut}", record.len());
            }
        }
        assert_eq!(
            Config::parse(b"fLaC\x84\0\0\x22").unwrap_err().to_string(),
            "sender's FLAC STREAMINFO has block type 4, expected 0"
        );
    }
}
