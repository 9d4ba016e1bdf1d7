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

    /// The content of a `dfLa` with the STREAMINFO alone, from whatever wrapping.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn boxed(record: &[u8]) -> Result<Vec<u8>, CodecError> {
        Ok([&[0; 4], &Self::block(record)?[..]].concat())
    }

    /// How a file with the STREAMINFO alone begins, from whatever wrapping.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn file(record: &[u8]) -> Result<Vec<u8>, CodecError> {
        Ok([MARKER, &Self::block(record)?[..]].concat())
    }

    /// The block with its header, which says that it is the last.
    fn block(record: &[u8]) -> Result<Vec<u8>, CodecError> {
        Self::parse(record)?;
        let at = match record {
            _ if record.len() == STREAM_INFO && begins_with_blocks(record) => 0,
            _ if record.starts_with(MARKER) || record.starts_with(&[0; 4]) => 8,
            _ => 4,
        };
        let info = record.get(at..at + STREAM_INFO).unwrap_or_default();
        Ok([&[0x80, 0, 0, STREAM_INFO as u8], info].concat())
    }

    /// What it says of the track.
    #[must_use]
    pub fn info(&self) -> Info {
        Info::sound("flac", self.sample_rate, self.channels)
    }
}

/// Samples of each channel in a frame, as its header says; none where it is broken.
#[must_use]
pub fn samples(frame: &[u8]) -> Option<u32> {
    let [0xff, second, sizes, _, number, ..] = *frame else { return None };
    if second & 0xfc != 0xf8 {
        return None;
    }
    // A number of one to seven bytes stands before a block size that is spelt out.
    let at = 4 + (number.leading_ones() as usize).max(1);
    let byte = |at: usize| frame.get(at).copied().map(u32::from);
    match u32::from(sizes >> 4) {
        0 => None,
        1 => Some(192),
        code @ 2..=5 => Some(576 << (code - 2)),
        6 => Some(byte(at)? + 1),
        7 => Some((byte(at)? << 8 | byte(at + 1)?) + 1),
        code => Some(256 << (code - 8)),
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
        let boxed = [&[0, 0, 0, 0, 0x80, 0, 0, 0x22], &file[8..]].concat();
        for record in [&file, &file[4..], &file[8..], &boxed, &last] {
            assert_eq!(Config::boxed(record).unwrap(), boxed);
            assert_eq!(Config::file(record).unwrap()[8..], file[8..]);
        }
        assert_eq!(
            Config::parse(b"fLaC\x84\0\0\x22").unwrap_err().to_string(),
            "sender's FLAC STREAMINFO has block type 4, expected 0"
        );
    }

    #[test]
    fn frames_have_a_length() {
        let cases = [
            ("fff8c9180000", Some(4096)),
            ("fff818180000", Some(192)),
            ("fff858180000", Some(4608)),
            ("fff8691807ff", Some(256)),
            ("fff87918ce8012bf", Some(0x12c0)),
            ("fff87918ce80", None),
            ("fff809180000", None),
            ("ff", None),
            ("ffe0c9180000", None),
        ];
        for (text, expected) in cases {
            assert_eq!(samples(&hex(text)), expected, "{text}");
        }
    }
}
