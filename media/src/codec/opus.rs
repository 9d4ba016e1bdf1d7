//! Opus: the identification header of Ogg, and the box of MP4.

use super::Info;
use super::bits::{BitReader, CodecError};

/// Samples a second that a decoder puts out, whatever the encoder was given.
pub const SAMPLE_RATE: u32 = 48_000;
const OGG: &[u8] = b"OpusHead";

/// What both forms say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// Channels that come out.
    pub channels: u8,
    /// Samples of 48 kHz to be thrown away at the beginning.
    pub pre_skip: u16,
    /// Samples a second that the encoder was given; 0 if it doesn't say.
    pub input_rate: u32,
    /// Gain to be applied, in 1/256 dB.
    pub gain: i16,
    /// `ChannelMappingFamily`: 0 is mono or stereo, 1 surround as in Vorbis.
    pub family: u8,
}

impl Config {
    /// Reads an `OpusHead`, whose numbers are little-endian, or the content of a `dOps`.
    ///
    /// # Errors
    /// It ends too early, is of another version, or has channels the family doesn't.
    pub fn parse(record: &[u8]) -> Result<Self, CodecError> {
        let (ogg, record) = match record.strip_prefix(OGG) {
            Some(record) => (true, record),
            None => (false, record),
        };
        let part = if ogg { "OpusHead" } else { "dOps" };
        let bits = &mut BitReader::new("Opus", part, record);
        let version = bits.read(8)?;
        if ogg {
            bits.check(version & 0xf0 == 0, "version", version, "0 to 15")?;
        } else {
            bits.check(version == 0, "version", version, "0, or OpusHead before it")?;
        }
        let channels = bits.byte()?;
        let (mut pre_skip, mut input_rate) = (bits.read(16)? as u16, bits.read(32)?);
        let mut gain = bits.read(16)? as u16;
        if ogg {
            pre_skip = pre_skip.swap_bytes();
            input_rate = input_rate.swap_bytes();
            gain = gain.swap_bytes();
        }
        let family = bits.byte()?;
        let most = if family == 0 { 2 } else { u8::MAX };
        let exists = (1..=most).contains(&channels);
        bits.check(exists, "channels", channels.into(), "1 or 2, or more in another family")?;
        if family != 0 {
            bits.skip(16)?;
            bits.bytes(channels.into())?;
        }
        Ok(Self { channels, pre_skip, input_rate, gain: gain as i16, family })
    }

    /// What it says of the track.
    #[must_use]
    pub fn info(&self) -> Info {
        Info::sound("opus", SAMPLE_RATE, self.channels)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::{OPUS, OPUS_51, hex};
    use super::*;

    #[test]
    fn both_forms() {
        let config = Config::parse(&hex(OPUS)).unwrap();
        let expected =
            Config { channels: 1, pre_skip: 312, input_rate: 48_000, gain: 0, family: 0 };
        assert_eq!(config, expected);
        assert_eq!(config.info(), Info::sound("opus", 48_000, 1));
        let record = hex(OPUS_51);
        let config = Config::parse(&record).unwrap();
        assert_eq!(config, Config { channels: 6, family: 1, ..expected });
        for cut in 0..record.len() {
            assert!(Config::parse(&record[..cut]).is_err());
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let mut record = hex(OPUS);
        record[1] = 3;
        assert_eq!(
            Config::parse(&record).unwrap_err().to_string(),
            "sender's Opus dOps has channels 3, expected 1 or 2, or more in another family"
        );
        assert_eq!(
            Config::parse(b"Opus").unwrap_err().to_string(),
            "sender's Opus dOps has version 79, expected 0, or OpusHead before it"
        );
    }
}
