//! A sequence parameter set of HEVC.

use super::{CODEC, Profile};
use crate::codec::bits::{BitReader, CodecError};
use crate::codec::vui::Shown;
use crate::codec::{Info, frame_rate};
use crate::limits::CODEC_PICTURE_SIDE;

/// What a sequence parameter set says of the picture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sps {
    /// Profile, tier and level.
    pub profile: Profile,
    /// `chroma_format_idc`: 0 grey, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    pub chroma: u8,
    /// Bits of a luma sample.
    pub bit_depth: u8,
    /// Width inside the conformance window.
    pub width: u32,
    /// Height inside the conformance window.
    pub height: u32,
    /// How it is to be shown.
    pub shown: Shown,
    /// `vui_time_scale` and `vui_num_units_in_tick`; a tick is a picture.
    pub timing: Option<(u32, u32)>,
}

impl Sps {
    /// Reads a NAL unit that is a sequence parameter set.
    ///
    /// # Errors
    /// It is something else, ends before the size is known, or has no picture.
    pub fn parse(nal: &[u8]) -> Result<Self, CodecError> {
        let bits = &mut BitReader::escaped(CODEC, "SPS", nal);
        let kind = bits.read(16)? >> 9 & 0x3f;
        bits.check(kind == super::SPS, "nal_unit_type", kind, "33")?;
        bits.skip(4)?;
        let sub_layers = bits.read(3)?;
        bits.check(sub_layers < 7, "sps_max_sub_layers_minus1", sub_layers, "0 to 6")?;
        bits.skip(1)?;
        let profile = Profile::parse(bits)?;
        sub_layer_profiles(bits, sub_layers)?;
        bits.ue_to(15, "sps_seq_parameter_set_id", "0 to 15")?;
        let chroma = bits.ue_to(3, "chroma_format_idc", "0 to 3")? as u8;
        let planes = chroma == 3 && bits.flag()?;
        let mut width = side(bits, "pic_width_in_luma_samples")?;
        let mut height = side(bits, "pic_height_in_luma_samples")?;
        if bits.flag()? {
            let halved_x = !planes && matches!(chroma, 1 | 2);
            let halved_y = !planes && chroma == 1;
            width = cropped(bits, width, if halved_x { 2 } else { 1 })?;
            height = cropped(bits, height, if halved_y { 2 } else { 1 })?;
        }
        let bit_depth = bits.ue_to(8, "bit_depth_luma_minus8", "0 to 8")? as u8 + 8;
        let mut shown = Shown::default();
        let timing = timing(bits, sub_layers, &mut shown).ok().flatten();
        Ok(Self { profile, chroma, bit_depth, width, height, shown, timing })
    }

    /// What it says of the track.
    #[must_use]
    pub fn info(&self) -> Info {
        Info {
            codec_string: self.profile.codec_string(),
            profile: self.profile.name(),
            level: Some(self.profile.level_name()),
            width: Some(self.width),
            height: Some(self.height),
            frame_rate: self.timing.and_then(|(scale, units)| frame_rate(scale, units.into())),
            ..Info::default()
        }
    }
}

fn side(bits: &mut BitReader<'_>, field: &'static str) -> Result<u32, CodecError> {
    let side = bits.ue()?;
    bits.check((1..=CODEC_PICTURE_SIDE).contains(&side), field, side, "1 to 65536")
}

/// A side without what lies outside the conformance window at its two ends.
fn cropped(bits: &mut BitReader<'_>, side: u32, unit: u32) -> Result<u32, CodecError> {
    let crop = u64::from(bits.ue()?) + u64::from(bits.ue()?);
    let left = u64::from(side).saturating_sub(crop * u64::from(unit)) as u32;
    let crop = u32::try_from(crop).unwrap_or(u32::MAX);
    bits.check(left > 0, "conformance window cropping", crop, "some picture left")?;
    Ok(left)
}

fn sub_layer_profiles(bits: &mut BitReader<'_>, sub_layers: u32) -> Result<(), CodecError> {
    if sub_layers == 0 {
        return Ok(());
    }
    let present = bits.read(16)?;
    for layer in 0..sub_layers {
        let flags = present >> (14 - 2 * layer);
        bits.skip(if flags & 2 != 0 { 88 } else { 0 })?;
        bits.skip(if flags & 1 != 0 { 8 } else { 0 })?;
    }
    Ok(())
}

/// Everything behind the luma depth as far as the timing in the usability information.
fn timing(
    bits: &mut BitReader<'_>,
    sub_layers: u32,
    shown: &mut Shown,
) -> Result<Option<(u32, u32)>, CodecError> {
    bits.ue()?;
    let order_bits = 4 + bits.ue_to(12, "log2_max_pic_order_cnt_lsb_minus4", "0 to 12")?;
    let layers = if bits.flag()? { sub_layers + 1 } else { 1 };
    for _ in 0..3 * layers + 6 {
        bits.ue()?;
    }
    if bits.flag()? && bits.flag()? {
        scaling_lists(bits)?;
    }
    bits.skip(2)?;
    if bits.flag()? {
        bits.skip(8)?;
        bits.ue()?;
        bits.ue()?;
        bits.skip(1)?;
    }
    reference_sets(bits)?;
    if bits.flag()? {
        for _ in 0..bits.ue_to(32, "num_long_term_ref_pics_sps", "0 to 32")? {
            bits.skip(order_bits + 1)?;
        }
    }
    bits.skip(2)?;
    if bits.flag()? { usability(bits, shown) } else { Ok(None) }
}

fn scaling_lists(bits: &mut BitReader<'_>) -> Result<(), CodecError> {
    for size in 0..4 {
        for _ in 0..if size == 3 { 2 } else { 6 } {
            if !bits.flag()? {
                bits.ue()?;
                continue;
            }
            let coefficients = 64.min(1 << (4 + 2 * size));
            for _ in 0..coefficients + u32::from(size > 1) {
                bits.se()?;
            }
        }
    }
    Ok(())
}

/// Passes over the short-term reference picture sets. Each may be told as a change of the one before,
/// so the number of pictures in that one is followed.
fn reference_sets(bits: &mut BitReader<'_>) -> Result<(), CodecError> {
    let sets = bits.ue_to(64, "num_short_term_ref_pic_sets", "0 to 64")?;
    let mut pictures = 0;
    for set in 0..sets {
        if set > 0 && bits.flag()? {
            bits.skip(1)?;
            bits.ue()?;
            let mut kept = 0;
            for _ in 0..=pictures {
                // used_by_curr_pic_flag, and if not that, use_delta_flag.
                kept += u32::from(bits.flag()? || bits.flag()?);
            }
            pictures = kept;
        } else {
            let before = bits.ue_to(16, "num_negative_pics", "0 to 16")?;
            let after = bits.ue_to(16, "num_positive_pics", "0 to 16")?;
            pictures = before + after;
            for _ in 0..pictures {
                bits.ue()?;
                bits.skip(1)?;
            }
        }
    }
    Ok(())
}

fn usability(
    bits: &mut BitReader<'_>,
    shown: &mut Shown,
) -> Result<Option<(u32, u32)>, CodecError> {
    shown.read(bits)?;
    bits.skip(3)?;
    if bits.flag()? {
        for _ in 0..4 {
            bits.ue()?;
        }
    }
    if !bits.flag()? {
        return Ok(None);
    }
    let units = bits.read(32)?;
    Ok(Some((bits.read(32)?, units)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::codec::hevc::Config;
    use crate::codec::tests::{Bits, HEVC_MAIN, hex};

    /// A parameter set up to the luma depth.
    fn begin(sub_layers: u32, chroma: u32, crop: bool) -> Bits {
        let mut bits = Bits::default();
        bits.put(16, 0x4201).put(4, 0).put(3, sub_layers).put(1, 1);
        bits.put(8, 1).put(32, 0x6000_0000).put(32, 0x9000_0000).put(16, 0).put(8, 93);
        for layer in 0..if sub_layers > 0 { 8 } else { 0 } {
            bits.put(2, if layer < sub_layers { 3 } else { 0 });
        }
        for _ in 0..sub_layers {
            bits.put(32, 0).put(32, 0).put(32, 0);
        }
        bits.ue(0).ue(chroma);
        if chroma == 3 {
            bits.put(1, 0);
        }
        bits.ue(64).ue(64).put(1, crop.into());
        if crop {
            bits.ue(1).ue(1).ue(1).ue(1);
        }
        bits.ue(0);
        bits
    }

    #[test]
    fn windows_by_chroma() {
        for (chroma, size) in [(0, (62, 62)), (1, (60, 60)), (2, (60, 62)), (3, (62, 62))] {
            let sps = Sps::parse(&begin(0, chroma, true).nal()).unwrap();
            assert_eq!((sps.width, sps.height), size);
        }
        assert_eq!(Sps::parse(&begin(0, 1, false).nal()).unwrap().width, 64);
    }

    #[test]
    fn timing_behind_everything_optional() {
        let mut bits = begin(2, 1, true);
        bits.ue(0).ue(4).put(1, 1);
        for _ in 0..3 * 3 + 6 {
            bits.ue(1);
        }
        // Scaling lists: first all by reference, then one of 8x8 and both of 32x32 in full.
        bits.put(2, 0b11);
        for list in 0..20 {
            let coefficients = match list {
                7 => 64,
                18 | 19 => 65,
                _ => 0,
            };
            bits.put(1, u32::from(coefficients > 0));
            if coefficients == 0 {
                bits.ue(0);
            }
            for _ in 0..coefficients {
                bits.se(-1);
            }
        }
        // PCM; three reference sets, the last two told as changes; one long-term picture.
        bits.put(2, 0).put(1, 1).put(8, 0).ue(0).ue(0).put(1, 0);
        bits.ue(3).ue(1).ue(1).ue(0).put(1, 1).ue(0).put(1, 1);
        bits.put(1, 1).put(1, 0).ue(0).put(1, 1).put(2, 0b01).put(2, 0b00);
        bits.put(1, 1).put(1, 0).ue(0).put(3, 0b111);
        bits.put(1, 1).ue(1).put(8 + 1, 0);
        bits.put(2, 0).put(1, 1);
        // Usability information with each of its parts.
        bits.put(1, 1).put(8, 255).put(32, 0).put(2, 0b11).put(1, 1).put(4, 0).put(1, 1).put(24, 0);
        bits.put(1, 1).ue(0).ue(0).put(3, 0).put(1, 1).ue(0).ue(0).ue(0).ue(0);
        bits.put(1, 1).put(32, 1001).put(32, 60_000);
        let sps = Sps::parse(&bits.nal()).unwrap();
        assert_eq!(sps.timing, Some((60_000, 1001)));
        assert_eq!(sps.profile.codec_string(), "hvc1.1.6.L93.90");
    }

    #[test]
    fn impossible_sizes_are_errors() {
        let mut bits = Bits::default();
        bits.put(16, 0x4201).put(8, 1).put(32, 0).put(32, 0).put(32, 0).ue(0).ue(1).ue(70_000);
        assert_eq!(
            Sps::parse(&bits.nal()).unwrap_err().to_string(),
            "sender's HEVC SPS has pic_width_in_luma_samples 70000, expected 1 to 65536"
        );
        assert!(Sps::parse(&[0x40, 1]).unwrap_err().to_string().contains("nal_unit_type 32"));
    }

    #[test]
    fn cut_before_the_size_is_an_error_after_it_a_picture_without_timing() {
        let record = hex(HEVC_MAIN);
        let config = Config::parse(&record).unwrap();
        let mut known = false;
        for cut in 0..config.sps[0].len() {
            match Sps::parse(&config.sps[0][..cut]) {
                Ok(part) => {
                    known = true;
                    let Sps { shown, timing, .. } = config.picture;
                    assert_eq!(Sps { shown, timing, ..part }, config.picture);
                }
                Err(error) => {
                    assert!(!known);
                    assert_eq!(error.to_string(), "sender's HEVC SPS ends too early");
                }
            }
        }
        assert!(known);
    }
}
