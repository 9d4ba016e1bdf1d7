//! A sequence parameter set of AVC.

use super::CODEC;
use crate::codec::bits::{BitReader, CodecError};
use crate::codec::vui::Shown;
use crate::codec::{Info, frame_rate};
use crate::limits::CODEC_PICTURE_SIDE;

/// What a sequence parameter set says of the picture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sps {
    /// `profile_idc`.
    pub profile: u8,
    /// The flags behind it, `constraint_set0_flag` highest.
    pub constraints: u8,
    /// `level_idc`.
    pub level: u8,
    /// `chroma_format_idc`: 0 grey, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    pub chroma: u8,
    /// Bits of a luma sample.
    pub bit_depth: u8,
    /// Width after cropping.
    pub width: u32,
    /// Height after cropping.
    pub height: u32,
    /// How it is to be shown.
    pub shown: Shown,
    /// `time_scale` and `num_units_in_tick`; two ticks are a frame.
    pub timing: Option<(u32, u32)>,
}

impl Sps {
    /// Reads a NAL unit that is a sequence parameter set.
    ///
    /// # Errors
    /// It is something else, ends before the size is known, or has no picture.
    pub fn parse(nal: &[u8]) -> Result<Self, CodecError> {
        let bits = &mut BitReader::escaped(CODEC, "SPS", nal);
        let kind = bits.read(8)? & 0x1f;
        bits.check(kind == 7, "nal_unit_type", kind, "7")?;
        let (profile, constraints, level) = (bits.byte()?, bits.byte()?, bits.byte()?);
        bits.ue_to(31, "seq_parameter_set_id", "0 to 31")?;
        let (mut chroma, mut planes, mut bit_depth) = (1, false, 8);
        if matches!(
            profile,
            44 | 83 | 86 | 100 | 110 | 118 | 122 | 128 | 134 | 135 | 138 | 139 | 244
        ) {
            chroma = bits.ue_to(3, "chroma_format_idc", "0 to 3")? as u8;
            planes = chroma == 3 && bits.flag()?;
            bit_depth = bits.ue_to(6, "bit_depth_luma_minus8", "0 to 6")? as u8 + 8;
            bits.ue_to(6, "bit_depth_chroma_minus8", "0 to 6")?;
            bits.skip(1)?;
            if bits.flag()? {
                scaling_matrix(bits, if chroma == 3 { 12 } else { 8 })?;
            }
        }
        bits.ue_to(12, "log2_max_frame_num_minus4", "0 to 12")?;
        picture_order(bits)?;
        bits.ue()?;
        bits.skip(1)?;
        let max = CODEC_PICTURE_SIDE / 16 - 1;
        let columns = bits.ue_to(max, "pic_width_in_mbs_minus1", "0 to 4095")? + 1;
        let rows = bits.ue_to(max, "pic_height_in_map_units_minus1", "0 to 4095")? + 1;
        let progressive = bits.flag()?;
        bits.skip(if progressive { 1 } else { 2 })?;
        let fields = if progressive { 1 } else { 2 };
        let field = "pic_height_in_map_units_minus1";
        bits.check(rows * fields <= max + 1, field, rows - 1, "0 to 2047 where there are fields")?;
        let (mut width, mut height) = (columns * 16, rows * 16 * fields);
        if bits.flag()? {
            let unit_x = if planes || !matches!(chroma, 1 | 2) { 1 } else { 2 };
            let unit_y = if planes || chroma != 1 { fields } else { 2 * fields };
            width = cropped(bits, width, unit_x)?;
            height = cropped(bits, height, unit_y)?;
        }
        let mut shown = Shown::default();
        let timing = usability(bits, &mut shown).ok().flatten();
        Ok(Self { profile, constraints, level, chroma, bit_depth, width, height, shown, timing })
    }

    /// Such as `avc1.4d401f`.
    #[must_use]
    pub fn codec_string(&self) -> String {
        format!("avc1.{:02x}{:02x}{:02x}", self.profile, self.constraints, self.level)
    }

    /// What it says of the track.
    #[must_use]
    pub fn info(&self) -> Info {
        Info {
            codec_string: self.codec_string(),
            profile: self.profile_name(),
            level: Some(self.level_name()),
            width: Some(self.width),
            height: Some(self.height),
            frame_rate: self
                .timing
                .and_then(|(scale, units)| frame_rate(scale, 2 * u64::from(units))),
            ..Info::default()
        }
    }

    fn profile_name(&self) -> Option<&'static str> {
        Some(match self.profile {
            66 if self.constraints & 0x40 != 0 => "Constrained Baseline",
            66 => "Baseline",
            77 => "Main",
            88 => "Extended",
            100 => "High",
            110 => "High 10",
            122 => "High 4:2:2",
            244 => "High 4:4:4 Predictive",
            44 => "CAVLC 4:4:4 Intra",
            _ => return None,
        })
    }

    fn level_name(&self) -> String {
        let set_3 = self.constraints & 0x10 != 0;
        match (self.level, self.profile) {
            (11, 66 | 77 | 88) if set_3 => "1b".into(),
            (9, _) => "1b".into(),
            (level, _) if level % 10 == 0 => (level / 10).to_string(),
            (level, _) => format!("{}.{}", level / 10, level % 10),
        }
    }
}

/// A side without what is cropped from its two ends; the crop in the order left, right, top, bottom.
fn cropped(bits: &mut BitReader<'_>, side: u32, unit: u32) -> Result<u32, CodecError> {
    let crop = u64::from(bits.ue()?) + u64::from(bits.ue()?);
    let left = u64::from(side).saturating_sub(crop * u64::from(unit)) as u32;
    let crop = u32::try_from(crop).unwrap_or(u32::MAX);
    bits.check(left > 0, "cropping", crop, "some picture left")?;
    Ok(left)
}

fn scaling_matrix(bits: &mut BitReader<'_>, lists: u32) -> Result<(), CodecError> {
    for list in 0..lists {
        if !bits.flag()? {
            continue;
        }
        let (mut last, mut next) = (8_i32, 8_i32);
        for _ in 0..if list < 6 { 16 } else { 64 } {
            if next != 0 {
                next = last.wrapping_add(bits.se()?).rem_euclid(256);
            }
            last = if next == 0 { last } else { next };
        }
    }
    Ok(())
}

fn picture_order(bits: &mut BitReader<'_>) -> Result<(), CodecError> {
    match bits.ue_to(2, "pic_order_cnt_type", "0 to 2")? {
        0 => {
            bits.ue_to(12, "log2_max_pic_order_cnt_lsb_minus4", "0 to 12")?;
        }
        1 => {
            bits.skip(1)?;
            bits.se()?;
            bits.se()?;
            let frames = bits.ue_to(255, "num_ref_frames_in_pic_order_cnt_cycle", "0 to 255")?;
            for _ in 0..frames {
                bits.se()?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// The usability information as far as the timing.
fn usability(
    bits: &mut BitReader<'_>,
    shown: &mut Shown,
) -> Result<Option<(u32, u32)>, CodecError> {
    if !bits.flag()? {
        return Ok(None);
    }
    shown.read(bits)?;
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
    use crate::codec::tests::{AVC_1080, Bits, hex};

    fn high(profile: u32, build: impl FnOnce(&mut Bits)) -> Vec<u8> {
        let mut bits = Bits::default();
        bits.put(8, 0x67).put(8, profile).put(8, 0).put(8, 31).ue(0);
        build(&mut bits);
        bits.nal()
    }

    #[test]
    fn cropping_by_chroma_and_fields() {
        // Each size is 64x64 less one crop unit on either side.
        for (chroma, progressive, size) in [
            (0, true, (62, 62)),
            (1, true, (60, 60)),
            (1, false, (60, 120)),
            (2, true, (60, 62)),
            (2, false, (60, 124)),
            (3, true, (62, 62)),
        ] {
            let sps = high(100, |bits| {
                bits.ue(chroma);
                if chroma == 3 {
                    bits.put(1, 0);
                }
                bits.ue(0).ue(0).put(2, 0).ue(0).ue(2).ue(1).put(1, 0).ue(3).ue(3);
                bits.put(1, progressive.into()).put(if progressive { 1 } else { 2 }, 0);
                bits.put(1, 1).ue(1).ue(1).ue(1).ue(1).put(1, 0);
            });
            let sps = Sps::parse(&sps).unwrap();
            assert_eq!((sps.width, sps.height), size, "chroma {chroma}, {progressive}");
            assert_eq!(sps.timing, None);
        }
    }

    #[test]
    fn scaling_lists_and_order_cycles_are_passed_over() {
        let sps = high(110, |bits| {
            bits.ue(1).ue(2).ue(2).put(1, 0).put(1, 1);
            // Four lists: absent, by default (next becomes 0), flat, the rest absent.
            bits.put(1, 0).put(1, 1).se(-8).put(1, 1);
            for _ in 0..16 {
                bits.se(0);
            }
            bits.put(5, 0);
            bits.ue(0).ue(1).put(1, 0).se(-3).se(4).ue(2).se(1).se(-1);
            bits.ue(1).put(1, 0).ue(19).ue(10).put(2, 0b11).put(1, 0).put(1, 0);
        });
        let sps = Sps::parse(&sps).unwrap();
        assert_eq!((sps.width, sps.height, sps.bit_depth), (320, 176, 10));
    }

    #[test]
    fn impossible_sizes_are_errors() {
        let sps = high(66, |bits| {
            bits.ue(0).ue(2).ue(1).put(1, 0).ue(u32::MAX - 1).ue(3).put(8, 0xff);
        });
        assert!(Sps::parse(&sps).unwrap_err().to_string().contains("pic_width_in_mbs_minus1"));
        // The same rows, once for a picture and once for each of its fields.
        for (progressive, fits) in [(1, true), (0, false)] {
            let sps = high(66, |bits| {
                bits.ue(0).ue(2).ue(1).put(1, 0).ue(3).ue(2048).put(1, progressive).put(4, 0);
            });
            assert_eq!(Sps::parse(&sps).is_ok(), fits);
        }
        let sps = high(66, |bits| {
            bits.ue(0).ue(2).ue(1).put(1, 0).ue(3).ue(3).put(2, 0b11);
            bits.put(1, 1).ue(u32::MAX - 1).ue(u32::MAX - 1).ue(0).ue(0).put(1, 0);
        });
        assert!(Sps::parse(&sps).unwrap_err().to_string().contains("cropping"));
    }

    #[test]
    fn cut_before_the_size_is_an_error_after_it_a_picture_without_timing() {
        let record = hex(AVC_1080);
        let sps = &record[8..8 + 0x1b];
        let whole = Sps::parse(sps).unwrap();
        assert_eq!(whole.timing, Some((60, 1)));
        for cut in 0..sps.len() {
            match Sps::parse(&sps[..cut]) {
                Ok(part) => {
                    assert!(cut >= 11, "{cut}");
                    let Sps { shown, timing, .. } = whole;
                    assert_eq!(Sps { shown, timing, ..part }, whole);
                }
                Err(error) => assert_eq!(error.to_string(), "sender's AVC SPS ends too early"),
            }
        }
    }

    #[test]
    fn levels_and_profiles_have_names() {
        let sps = |profile, constraints, level| {
            let info = Sps { profile, constraints, level, ..SAMPLE }.info();
            (info.codec_string, info.profile.unwrap_or_default(), info.level.unwrap())
        };
        assert_eq!(sps(77, 0x40, 31), ("avc1.4d401f".into(), "Main", "3.1".into()));
        assert_eq!(sps(66, 0xc0, 30), ("avc1.42c01e".into(), "Constrained Baseline", "3".into()));
        assert_eq!(sps(66, 0x10, 11), ("avc1.42100b".into(), "Baseline", "1b".into()));
        assert_eq!(sps(100, 0x10, 11), ("avc1.64100b".into(), "High", "1.1".into()));
        assert_eq!(sps(1, 0, 9), ("avc1.010009".into(), "", "1b".into()));
    }

    #[test]
    fn a_clock_is_not_a_frame_rate() {
        let rate = |timing| Sps { timing: Some(timing), ..SAMPLE }.info().frame_rate;
        assert_eq!(rate((60_000, 1001)).map(|rate| (rate * 100.0).round()), Some(2997.0));
        assert_eq!(rate((180_000, 1)), None);
        assert_eq!(rate((50, 0)), None);
        assert_eq!(rate((0, 1)), None);
    }

    const SAMPLE: Sps = Sps {
        profile: 66,
        constraints: 0,
        level: 31,
        chroma: 1,
        bit_depth: 8,
        width: 64,
        height: 64,
        shown: Shown { aspect: None, colour: None },
        timing: None,
    };
}
