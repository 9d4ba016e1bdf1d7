//! Opus: the identification header of Ogg, and the box of MP4.

use super::Info;
use super::bits::{BitReader, CodecError};

/// Samples a second that a decoder puts out, whatever the encoder was given.
pub const SAMPLE_RATE: u32 = 48_000;
const OGG: &[u8] = b"OpusHead";

/// Bytes from the version to the family.
const FIXED: usize = 11;

/// Samples of 48 kHz in a packet, as its first bytes say; none where they are broken.
#[must_use]
pub fn samples(packet: &[u8]) -> Option<u32> {
    let first = *packet.first()?;
    let config = first >> 3;
    let frame = match config {
        0..12 => [480, 960, 1920, 2880].get(usize::from(config & 3)).copied()?,
        12..16 => 480 << (config & 1),
        _ => 120 << (config & 3),
    };
    let frames = match first & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1)? & 0x3f),
    };
    // The longest there is has 120 ms.
    Some(frame * frames).filter(|samples| (1..=5760).contains(samples))
}

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

    /// The content of a `dOps`, from either form.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn boxed(record: &[u8]) -> Result<Vec<u8>, CodecError> {
        let config = Self::parse(record)?;
        Ok(config.write(&[0], u16::to_be_bytes, u32::to_be_bytes, record))
    }

    /// An `OpusHead`, from either form.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn ogg(record: &[u8]) -> Result<Vec<u8>, CodecError> {
        let config = Self::parse(record)?;
        Ok(config.write(b"OpusHead\x01", u16::to_le_bytes, u32::to_le_bytes, record))
    }

    fn write(
        &self,
        before: &[u8],
        short: fn(u16) -> [u8; 2],
        long: fn(u32) -> [u8; 4],
        record: &[u8],
    ) -> Vec<u8> {
        let mut out = before.to_vec();
        out.push(self.channels);
        out.extend_from_slice(&short(self.pre_skip));
        out.extend_from_slice(&long(self.input_rate));
        out.extend_from_slice(&short(self.gain as u16));
        out.push(self.family);
        if self.family != 0 {
            // The mapping is of bytes, the same in both forms.
            let ogg = if record.starts_with(OGG) { OGG.len() } else { 0 };
            let mapping = record.get(ogg + FIXED..).unwrap_or_default();
            out.extend(mapping.iter().take(2 + usize::from(self.channels)));
        }
        out
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
    fn each_form_from_the_other() {
        for text in [OPUS, OPUS_51] {
            let record = hex(text);
            let (ogg, boxed) = (Config::ogg(&record).unwrap(), Config::boxed(&record).unwrap());
            assert!(record == ogg || record == boxed);
            assert_eq!(Config::parse(&ogg), Config::parse(&boxed));
            assert_eq!(Config::ogg(&boxed).unwrap(), ogg);
            assert_eq!(Config::boxed(&ogg).unwrap(), boxed);
        }
        assert!(Config::boxed(b"OpusHead").is_err());
    }

    #[test]
    fn packets_have_a_length() {
        // CELT of 20 ms, twice that, three times; SILK of 60 ms; hybrid of 10 ms; CELT of 2.5 ms.
        let cases: [(&[u8], _); 9] = [
            (&[0xfc], Some(960)),
            (&[0xfd], Some(1920)),
            (&[0xff, 3], Some(2880)),
            (&[0x18], Some(2880)),
            (&[0x60], Some(480)),
            (&[0x80], Some(120)),
            (&[0x1b, 3], None),
            (&[0xff], None),
            (&[], None),
        ];
        for (packet, expected) in cases {
            assert_eq!(samples(packet), expected, "{packet:?}");
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
