//! AC-3 and E-AC-3: the header each frame begins with.

use super::Info;
use super::bits::{BitReader, CodecError, Fault};

const SYNC: u32 = 0x0b77;
/// Full channels by `acmod`.
const CHANNELS: [u8; 8] = [2, 1, 2, 3, 3, 4, 4, 5];
/// Samples a second by `fscod`.
const RATES: [u32; 3] = [48_000, 44_100, 32_000];
/// Above this `bsid`, E-AC-3.
const LAST_AC3: u32 = 10;

/// The header of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// E-AC-3.
    pub enhanced: bool,
    /// Samples a second.
    pub sample_rate: u32,
    /// Channels with LFE; those that E-AC-3 adds in dependent streams are not counted.
    pub channels: u8,
}

impl Header {
    /// Reads the header of a frame.
    ///
    /// # Errors
    /// It ends too early, does not begin with the sync word, or has a rate or version there isn't.
    pub fn parse(payload: &[u8]) -> Result<Self, CodecError> {
        let bits = &mut BitReader::new("AC-3", "frame header", payload);
        let sync = bits.read(16)?;
        bits.check(sync == SYNC, "syncword", sync, "2935")?;
        // Both put the version in the same bits.
        let mut ahead = bits.clone();
        ahead.skip(24)?;
        let version = ahead.read(5)?;
        bits.check(version <= 16, "bsid", version, "0 to 16")?;
        let enhanced = version > LAST_AC3;
        let (sample_rate, layout) =
            if enhanced { Self::enhanced(bits)? } else { Self::plain(bits, version)? };
        let lfe = bits.read(1)? as u8;
        // Three bits name all eight layouts.
        let channels = CHANNELS.get(layout as usize).copied().unwrap_or_default() + lfe;
        Ok(Self { enhanced, sample_rate, channels })
    }

    fn plain(bits: &mut BitReader<'_>, version: u32) -> Result<(u32, u32), CodecError> {
        bits.skip(16)?;
        let index = bits.read(2)?;
        let rate = rate(bits, index)? >> version.saturating_sub(8);
        bits.skip(6 + 5 + 3)?;
        let layout = bits.read(3)?;
        let three_fronts = layout & 1 == 1 && layout != 1;
        bits.skip(if three_fronts { 2 } else { 0 })?;
        bits.skip(if layout & 4 != 0 { 2 } else { 0 })?;
        bits.skip(if layout == 2 { 2 } else { 0 })?;
        Ok((rate, layout))
    }

    fn enhanced(bits: &mut BitReader<'_>) -> Result<(u32, u32), CodecError> {
        bits.skip(2 + 3 + 11)?;
        let index = bits.read(2)?;
        let second = bits.read(2)?;
        let rate = if index == 3 { rate(bits, second)? / 2 } else { rate(bits, index)? };
        Ok((rate, bits.read(3)?))
    }

    /// What it says of the track.
    #[must_use]
    pub fn info(&self) -> Info {
        let codec_string = if self.enhanced { "ec-3" } else { "ac-3" };
        Info::sound(codec_string, self.sample_rate, self.channels)
    }
}

fn rate(bits: &BitReader<'_>, index: u32) -> Result<u32, CodecError> {
    let fault = Fault::Field { field: "fscod", found: index.into(), expected: "0 to 2" };
    RATES.get(index as usize).copied().ok_or_else(|| bits.error(fault))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::hex;
    use super::*;

    #[test]
    fn frames_of_ffmpeg() {
        let surround = hex("0b77b50b1e40ebf8403eff99");
        assert_eq!(Header::parse(&surround).unwrap().info(), Info::sound("ac-3", 48_000, 6));
        let stereo = hex("0b7701a07487c00020840100");
        assert_eq!(Header::parse(&stereo).unwrap().info(), Info::sound("ec-3", 44_100, 2));
        for cut in 0..6 {
            assert!(Header::parse(&surround[..cut]).is_err());
            assert!(Header::parse(&stereo[..cut]).is_err());
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let error = |text| Header::parse(&hex(text)).unwrap_err().to_string();
        assert_eq!(
            error("0b770000c040ff"),
            "sender's AC-3 frame header has fscod 3, expected 0 to 2"
        );
        assert!(error("0b770000009f00").contains("bsid 19"));
        assert!(error("770b000000000000").contains("syncword"));
    }
}
