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
/// Samples in a block; a frame of AC-3 has six.
const BLOCK: u32 = 256;

/// The header of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// E-AC-3.
    pub enhanced: bool,
    /// Samples a second.
    pub sample_rate: u32,
    /// Channels with LFE; those that E-AC-3 adds in dependent streams are not counted.
    pub channels: u8,
    /// Samples of each channel in the frame.
    pub samples: u32,
    /// The fields that a file's box repeats.
    fields: Fields,
}

/// By the names of the standard, where they mean the same in both.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Fields {
    fscod: u32,
    bsid: u32,
    bsmod: u32,
    acmod: u32,
    lfeon: u32,
    /// `frmsizecod` of AC-3.
    size_code: u32,
    /// Bytes of a frame of E-AC-3.
    length: u32,
    /// E-AC-3: not one of an independent stream's frames of which the first is heard.
    further: bool,
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
        let bsid = ahead.read(5)?;
        bits.check(bsid <= 16, "bsid", bsid, "0 to 16")?;
        let enhanced = bsid > LAST_AC3;
        let (sample_rate, samples, mut fields) =
            if enhanced { Self::enhanced(bits, bsid)? } else { Self::plain(bits, bsid)? };
        fields.lfeon = bits.read(1)?;
        // Three bits name all eight layouts.
        let full = CHANNELS.get(fields.acmod as usize).copied().unwrap_or_default();
        let channels = full + fields.lfeon as u8;
        Ok(Self { enhanced, sample_rate, channels, samples, fields })
    }

    fn plain(bits: &mut BitReader<'_>, bsid: u32) -> Result<(u32, u32, Fields), CodecError> {
        bits.skip(16)?;
        let fscod = bits.read(2)?;
        let rate = rate(bits, fscod)? >> bsid.saturating_sub(8);
        let size_code = bits.read(6)?;
        bits.skip(5)?;
        let (bsmod, acmod) = (bits.read(3)?, bits.read(3)?);
        let three_fronts = acmod & 1 == 1 && acmod != 1;
        bits.skip(if three_fronts { 2 } else { 0 })?;
        bits.skip(if acmod & 4 != 0 { 2 } else { 0 })?;
        bits.skip(if acmod == 2 { 2 } else { 0 })?;
        let (lfeon, length, further) = (0, 0, false);
        let fields = Fields { fscod, bsid, bsmod, acmod, lfeon, size_code, length, further };
        Ok((rate, 6 * BLOCK, fields))
    }

    fn enhanced(bits: &mut BitReader<'_>, bsid: u32) -> Result<(u32, u32, Fields), CodecError> {
        let (kind, stream) = (bits.read(2)?, bits.read(3)?);
        let length = (bits.read(11)? + 1) * 2;
        let fscod = bits.read(2)?;
        let second = bits.read(2)?;
        let (rate, blocks) = if fscod == 3 {
            (rate(bits, second)? / 2, 6)
        } else {
            (rate(bits, fscod)?, [1, 2, 3, 6].get(second as usize).copied().unwrap_or_default())
        };
        let acmod = bits.read(3)?;
        let (bsmod, lfeon, size_code, further) = (0, 0, 0, kind == 1 || stream > 0);
        let fields = Fields { fscod, bsid, bsmod, acmod, lfeon, size_code, length, further };
        Ok((rate, blocks * BLOCK, fields))
    }

    /// The content of a file's `dac3` or `dec3`. What E-AC-3 adds in dependent streams is not in it.
    #[must_use]
    pub fn boxed(&self) -> Vec<u8> {
        let Fields { fscod, bsid, bsmod, acmod, lfeon, size_code, length, .. } = self.fields;
        let common = fscod << 5 | bsid;
        if !self.enhanced {
            // fscod 2, bsid 5, bsmod 3, acmod 3, lfeon 1, bit_rate_code 5, reserved 5.
            let bits = ((common << 3 | bsmod) << 3 | acmod) << 1 | lfeon;
            let [_, bytes @ ..] = ((bits << 5 | size_code >> 1) << 5).to_be_bytes();
            return bytes.to_vec();
        }
        // data_rate 13, num_ind_sub 3: one. Then fscod 2, bsid 5, reserved 1, asvc 1, bsmod 3, acmod 3,
        // lfeon 1, reserved 3, num_dep_sub 4, reserved 1.
        let rate = u64::from(length) * 8 * u64::from(self.sample_rate)
            / (1000 * u64::from(self.samples.max(1)));
        let rate = (rate.min(0x1fff) << 3) as u16;
        let bits = ((common << 5 | bsmod) << 3 | acmod) << 1 | lfeon;
        let [_, bytes @ ..] = (bits << 8).to_be_bytes();
        [&rate.to_be_bytes()[..], &bytes].concat()
    }

    /// What it says of the track.
    #[must_use]
    pub fn info(&self) -> Info {
        let codec_string = if self.enhanced { "ec-3" } else { "ac-3" };
        Info::sound(codec_string, self.sample_rate, self.channels)
    }
}

/// Samples of each channel in a payload, which E-AC-3 may cut into several frames; none where it is broken.
#[must_use]
pub fn samples(payload: &[u8]) -> Option<u32> {
    let (mut rest, mut samples) = (payload, 0_u32);
    while let Ok(header) = Header::parse(rest) {
        if !header.enhanced {
            return Some(header.samples);
        }
        if !header.fields.further {
            samples = samples.saturating_add(header.samples);
        }
        rest = rest.get(header.fields.length as usize..).unwrap_or_default();
    }
    Some(samples).filter(|samples| *samples > 0)
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
    fn boxes_and_lengths() {
        // As ffmpeg writes them: 448 and 191 kbit/s.
        let surround = Header::parse(&hex("0b77b50b1e40ebf8403eff99")).unwrap();
        assert_eq!((surround.boxed(), surround.samples), (hex("103de0"), 1536));
        let frame = hex("0b7701a07487c00020840100");
        let stereo = Header::parse(&frame).unwrap();
        assert_eq!((stereo.boxed(), stereo.samples), (hex("05f8600400"), 1536));
        assert_eq!(samples(&frame), Some(1536));
        // One block a frame, and a dependent one that is heard at the same time.
        let mut two = vec![0; 16];
        two[..6].copy_from_slice(&hex("0b7700030480"));
        two[8..14].copy_from_slice(&hex("0b7740030480"));
        assert_eq!(samples(&two), Some(256));
        two[10] = 0;
        assert_eq!(samples(&two), Some(512));
        assert_eq!(samples(&[]), None);
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
