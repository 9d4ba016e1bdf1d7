//! Records of real encoders, as text, and what holds for all codecs.
#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;

/// An avcC of libx264, 1920x1080 at 30.
pub const AVC_1080: &str = "\
    01640028ffe1001b67640028acd940780227e5c044000003000400000300f03c60c65801000668eb\
    e3cb22c0fdf8f800";
/// An avcC of libx264, interlaced 4:2:2 of 10 bits, 1920x1080 at 60.
pub const AVC_HIGH_422: &str = "\
    017a003effe1001a677a003eb6ce8078044fcb8088000003000800000303c0f8f1f501000468de0f\
    c8fefafa00";
/// An hvcC of libx265 without its SEI, 324x182 at 30000/1001.
pub const HEVC_MAIN: &str = "\
    0101600000009000000000003cf000fcfdf8f800000f03a00001001840010c01ffff016000000300\
    90000003000003003c959809a10001002942010101600000030090000003000003003ca00a480b9d\
    d65959a4932bc05a02000007d20000ea6010a2000100074401c172b46240";
/// An hvcC of libx265 without its SEI, 10 bits, 324x182 at 30.
pub const HEVC_MAIN_10: &str = "\
    0102200000009000000000003cf000fcfdfafa00000f03a00001001840010c01ffff022000000300\
    90000003000003003c959809a10001002b42010102200000030090000003000003003ca00a480b9d\
    d365959a4932bc05a020000003002000000303c1a2000100074401c172b46240";
/// An av1C of libaom, 322x182.
pub const AV1: &str = "81000c000a0b000000043d06d4daf90040";
/// How libaom's first temporal unit begins, the frame cut off.
pub const AV1_UNIT: &str = "12000a0b000000043d06d4daf9004032041400a0b0";
/// A vpcC of libvpx.
pub const VP9: &str = "01000000000b820202020000";
/// How libvpx's first frame begins, 322x182.
pub const VP9_FRAME: &str = "824983420014100b560438241c184a00";
/// A dOps of libopus, mono.
pub const OPUS: &str = "000101380000bb80000000";
/// An OpusHead of libopus, 5.1.
pub const OPUS_51: &str = "4f707573486561640106380180bb00000000010402000401020305";
/// How a file of ffmpeg's FLAC begins.
pub const FLAC: &str = "\
    664c614300000022120012000000720004ed0bb800f0000012c0558de7c222aacdb7b295f858f33b\
    a4c6";

/// Bytes from text.
pub fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// Writes what [`bits::BitReader`] reads.
#[derive(Clone, Default)]
pub struct Bits(Vec<bool>);

impl Bits {
    pub fn put(&mut self, count: u32, value: u32) -> &mut Self {
        self.0.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
        self
    }

    pub fn ue(&mut self, value: u32) -> &mut Self {
        let count = (value + 1).ilog2();
        self.put(count, 0).put(count + 1, value + 1)
    }

    pub fn se(&mut self, value: i32) -> &mut Self {
        self.ue(if value > 0 { 2 * value.unsigned_abs() - 1 } else { 2 * value.unsigned_abs() })
    }

    pub fn align(&mut self) -> &mut Self {
        self.0.resize(self.0.len().next_multiple_of(8), false);
        self
    }

    /// As bytes, the last filled up with zeros.
    pub fn bytes(&self) -> Vec<u8> {
        let byte = |bits: &[bool]| {
            bits.iter().enumerate().fold(0, |byte, (at, bit)| byte | u8::from(*bit) << (7 - at))
        };
        self.0.chunks(8).map(byte).collect()
    }

    /// As bytes of a NAL unit, with emulation prevention.
    pub fn nal(&self) -> Vec<u8> {
        let (mut out, mut zeros) = (Vec::new(), 0);
        for byte in self.bytes() {
            if zeros == 2 && byte <= 3 {
                out.push(3);
                zeros = 0;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            out.push(byte);
        }
        out
    }
}

const ALL: [Codec; 16] = [
    Codec::Avc,
    Codec::Hevc,
    Codec::Av1,
    Codec::Vp9,
    Codec::Vp8,
    Codec::Aac,
    Codec::Mp3,
    Codec::Opus,
    Codec::Ac3,
    Codec::Eac3,
    Codec::Flac,
    Codec::G711A,
    Codec::G711U,
    Codec::Amf0,
    Codec::OtherVideo(4),
    Codec::OtherAudio(0x60),
];

fn records() -> Vec<(Codec, Vec<u8>)> {
    [
        (Codec::Avc, AVC_1080),
        (Codec::Avc, AVC_HIGH_422),
        (Codec::Hevc, HEVC_MAIN),
        (Codec::Hevc, HEVC_MAIN_10),
        (Codec::Av1, AV1),
        (Codec::Vp9, VP9),
        (Codec::Opus, OPUS),
        (Codec::Opus, OPUS_51),
        (Codec::Flac, FLAC),
        (Codec::Aac, "123056e500"),
    ]
    .map(|(codec, text)| (codec, hex(text)))
    .into()
}

#[test]
fn records_cut_at_any_byte_are_errors_or_say_no_more_than_the_whole() {
    for (codec, record) in records() {
        let whole = Info::from_config(codec, &record).unwrap();
        assert!(!whole.codec_string.is_empty());
        let mut accepted = 0;
        for cut in 0..record.len() {
            match Info::from_config(codec, &record[..cut]) {
                Ok(info) => {
                    accepted += 1;
                    assert_eq!(info.codec_string, whole.codec_string, "{codec:?} cut at {cut}");
                    assert!(info.width.is_none() || info.width == whole.width);
                }
                Err(error) => assert!(error.to_string().starts_with("sender's "), "{error}"),
            }
        }
        // What may be missing: the tail of an avcC for high profiles, of an AAC's, av1C's OBUs.
        assert!(accepted <= 4, "{codec:?}: {accepted}");
    }
}

#[test]
fn telephone_sound_is_known_by_its_name() {
    for (codec, name) in [(Codec::G711A, "alaw"), (Codec::G711U, "ulaw")] {
        let info = Info { sample_rate: Some(8000), channels: Some(1), ..Info::named(name) };
        assert_eq!(Info::of(codec), info);
        assert_eq!(Info::from_config(codec, b"?"), Ok(info.clone()));
        assert_eq!(Info::from_frame(codec, b"?"), Ok(info));
    }
}

#[test]
fn every_codec_has_a_name_or_nobody_agreed_on_one() {
    for codec in ALL {
        let named = !Info::of(codec).codec_string.is_empty();
        let profiled = records().iter().any(|(of, _)| *of == codec);
        let unnamed = matches!(codec, Codec::Amf0 | Codec::OtherVideo(_) | Codec::OtherAudio(_));
        assert!(named || profiled || unnamed, "{codec:?}");
    }
}

proptest! {
    #[test]
    fn anything_is_an_answer_or_an_error(
        codec in prop::sample::select(&ALL[..]),
        bytes in prop::collection::vec(any::<u8>(), 0..128),
    ) {
        let _ = Info::from_config(codec, &bytes);
        let _ = Info::from_frame(codec, &bytes);
        let _ = avc::Sps::parse(&bytes);
        let _ = hevc::Sps::parse(&bytes);
        let _ = av1::Sequence::parse(&bytes);
        let _ = av1::is_key(&bytes);
        let _ = avc::contents(&bytes, 4);
        let _ = hevc::contents(&bytes, 1);
    }

    #[test]
    fn a_record_with_bytes_changed_is_an_answer_or_an_error(
        which in 0_usize..10,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let (codec, mut record) = records().swap_remove(which);
        for (at, byte) in changes {
            let at = at.index(record.len());
            record[at] = byte;
        }
        if let Ok(info) = Info::from_config(codec, &record) {
            let side = 1..=crate::limits::CODEC_PICTURE_SIDE;
            prop_assert!(info.width.is_none_or(|width| side.contains(&width)));
            prop_assert!(info.height.is_none_or(|height| side.contains(&height)));
        }
    }
}
