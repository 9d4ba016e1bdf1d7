//! Files that ffmpeg made, and files made of frames.
#![allow(clippy::unwrap_used)]

use super::file::{FILE_HEADER_LEN, file_header, tag_header};
use super::packetizer::{self, Around, TooLong};
use super::tag::tests::frames;
use super::*;
use crate::codec::Info;
use crate::frame::{Codec, Frame, FrameKind, Time, Track};
use bytes::Bytes;
use proptest::prelude::*;

macro_rules! corpus {
    ($($name:ident),*) => {
        [$((
            stringify!($name),
            include_bytes!(concat!("../../../tests/corpus/flv/", stringify!($name), ".flv")) as &[u8],
        )),*]
    };
}

const FILES: [(&str, &[u8]); 6] =
    corpus![avc_aac, avc_only, aac_only, mp3_only, alaw_only, sorenson];

fn file(name: &str) -> &'static [u8] {
    FILES.iter().find(|(of, _)| *of == name).unwrap().1
}

/// All frames of a file that comes in pieces of `cut` bytes.
fn demux(file: &[u8], cut: usize) -> Result<Vec<Frame>, FlvError> {
    let mut demuxer = Demuxer::new();
    let mut frames = Vec::new();
    for piece in file.chunks(cut) {
        demuxer.receive(piece)?;
        while let Some(frame) = demuxer.next_frame()? {
            frames.push(frame);
        }
    }
    Ok(frames)
}

fn tags(frames: &[Frame]) -> Vec<u8> {
    let mut out = Vec::new();
    for frame in frames {
        let before = out.len();
        let len = packetizer::append(frame, &mut out).unwrap();
        assert_eq!(out.len() - before, len);
    }
    out
}

#[test]
fn files_of_ffmpeg_come_out_byte_for_byte() {
    for (name, file) in FILES {
        let frames = demux(file, usize::MAX).unwrap();
        assert!(tags(&frames) == file[FILE_HEADER_LEN..], "{name}");
        let (audio, video) = (file[4] & 4 != 0, file[4] & 1 != 0);
        assert_eq!(file_header(audio, video), file[..FILE_HEADER_LEN]);
    }
}

#[test]
fn any_cut_gives_the_same_frames() {
    for (name, file) in FILES {
        let whole = demux(file, usize::MAX).unwrap();
        for cut in [1, 2, 3, 7, 11, 15, 16, 1000] {
            assert!(demux(file, cut).unwrap() == whole, "{name} by {cut}");
        }
    }
}

#[test]
fn frames_of_x264_and_aac_are_what_they_are() {
    let frames = demux(file("avc_aac"), usize::MAX).unwrap();
    let of = |track| frames.iter().filter(move |frame| frame.track == track);
    let count = |track, kind| of(track).filter(|frame| frame.kind == kind).count();
    assert_eq!(count(Track::Data, FrameKind::Config), 1);
    assert_eq!(count(Track::Video, FrameKind::Config), 1);
    assert_eq!(count(Track::Video, FrameKind::Key), 2);
    assert_eq!(count(Track::Video, FrameKind::Delta), 28);
    assert_eq!(count(Track::Video, FrameKind::End), 1);
    assert_eq!(count(Track::Audio, FrameKind::Config), 1);
    for frame in of(Track::Video).chain(of(Track::Audio)) {
        match (frame.codec, frame.kind) {
            (Codec::Avc, FrameKind::Config) => {
                let info = Info::from_config(Codec::Avc, &frame.payload).unwrap();
                assert_eq!((info.width, info.height), (Some(320), Some(180)));
                assert_eq!((info.profile, info.frame_rate), (Some("Main"), Some(30.0)));
            }
            (Codec::Avc, FrameKind::End) => {}
            (Codec::Avc, kind) => {
                let contents = crate::codec::avc::contents(&frame.payload, 4).unwrap();
                assert_eq!(contents.key, kind == FrameKind::Key);
                assert!(contents.picture && frame.pts >= frame.dts);
            }
            (Codec::Aac, FrameKind::Config) => {
                let info = Info::from_config(Codec::Aac, &frame.payload).unwrap();
                assert_eq!(info.codec_string, "mp4a.40.2");
                assert_eq!((info.sample_rate, info.channels), (Some(44_100), Some(1)));
            }
            (codec, kind) => assert_eq!((codec, kind), (Codec::Aac, FrameKind::Key)),
        }
    }
    // B-frames.
    assert!(of(Track::Video).any(|frame| frame.pts > frame.dts));
}

#[test]
fn cut_files_give_the_frames_before_the_cut() {
    let file = file("aac_only");
    let whole = demux(file, usize::MAX).unwrap();
    for end in 0..file.len() {
        let frames = demux(&file[..end], usize::MAX).unwrap();
        assert!(whole.starts_with(&frames));
    }
}

#[test]
fn other_tags_and_wrong_trailers_are_passed_over() {
    let mut file = file_header(true, false).to_vec();
    // A header that is longer than it was.
    file[8] = 12;
    file.splice(9..9, [0; 3]);
    let mut tag = |kind: u8, body: &[u8]| {
        let mut header = tag_header(Track::Audio, body.len(), 5);
        header[0] = kind;
        file.extend([&header[..], body, b"oops"].concat());
    };
    tag(8, &[0xaf, 1, 1]);
    tag(15, &[1; 300]);
    tag(0x28, &[1; 3]);
    tag(8, &[0xaf, 1, 2]);
    tag(18, &vec![2; crate::limits::FLV_DATA + 1]);
    tag(8, &[0xaf, 1, 3]);
    for cut in [1, 100, usize::MAX] {
        let payloads: Vec<Bytes> =
            demux(&file, cut).unwrap().into_iter().map(|frame| frame.payload).collect();
        assert_eq!(payloads, [&[1][..], &[2], &[3]]);
    }
    let mut demuxer = Demuxer::new();
    demuxer.receive(&file).unwrap();
    while demuxer.next_frame().unwrap().is_some() {}
    assert_eq!((demuxer.passed_over(), demuxer.other_tracks()), (3, 0));
}

#[test]
fn times_have_32_bits_and_go_on_where_they_wrap() {
    let header = tag_header(Track::Video, 0x01_0203, 0xaabb_ccdd);
    assert_eq!(header, [9, 1, 2, 3, 0xbb, 0xcc, 0xdd, 0xaa, 0, 0, 0]);
    let mut file = file_header(true, false).to_vec();
    let sound = |time| Frame {
        track: Track::Audio,
        codec: Codec::Mp3,
        kind: FrameKind::Key,
        dts: Time::from_millis(time),
        pts: Time::from_millis(time),
        payload: Bytes::from_static(b"?"),
    };
    let times = [0xffff_fff0, 0xffff_fffa, 0x1_0000_0004, 0x1_0000_0000, 0x1_8000_0000_i64];
    for time in times {
        packetizer::append(&sound(time), &mut file).unwrap();
        let script = Frame { track: Track::Data, codec: Codec::Amf0, ..sound(0) };
        packetizer::append(&script, &mut file).unwrap();
    }
    let frames = demux(&file, usize::MAX).unwrap();
    let sounds = frames.iter().filter(|frame| frame.track == Track::Audio);
    let mut widened: Vec<i64> = sounds.map(|frame| frame.dts.millis()).collect();
    // Half way around is as far backwards as forwards.
    assert_eq!(widened.pop(), Some(0x8000_0000));
    assert_eq!(widened, times[..4]);
}

#[test]
fn what_is_wrong_is_said_again_and_again() {
    let error = |file: &[u8]| {
        let mut demuxer = Demuxer::new();
        demuxer.receive(file).unwrap();
        let error = demuxer.next_frame().unwrap_err();
        assert_eq!(demuxer.next_frame(), Err(error));
        assert_eq!(demuxer.receive(b"FLV"), Err(error));
        error.to_string()
    };
    assert_eq!(error(b"HTTP/1.1"), "sender's FLV begins with \"HTT\", expected \"FLV\"");
    assert_eq!(
        error(b"FLV\x01\x05\xff\0\0\0"),
        "sender's FLV header has DataOffset 4278190080, expected 9 to 1024"
    );
    let mut file = file_header(true, true).to_vec();
    file.extend(tag_header(Track::Video, 1, 0));
    file.push(0x17);
    assert_eq!(error(&file), "sender's video tag ends inside its packet type");
}

#[test]
fn a_declared_length_takes_no_memory() {
    let mut demuxer = Demuxer::new();
    demuxer.receive(&file_header(true, true)).unwrap();
    demuxer.receive(&tag_header(Track::Video, file::BODY_MAX, 0)).unwrap();
    for _ in 0..100 {
        demuxer.receive(&[0x17; 100]).unwrap();
        assert_eq!(demuxer.next_frame(), Ok(None));
    }
    assert!(demuxer.capacity() < 64 * 1024);
    // What is passed over is not held.
    let mut demuxer = Demuxer::new();
    demuxer.receive(&file_header(true, true)).unwrap();
    demuxer.receive(&tag_header(Track::Data, file::BODY_MAX, 0)).unwrap();
    for _ in 0..1000 {
        assert_eq!(demuxer.next_frame(), Ok(None));
        demuxer.receive(&[0; 1000]).unwrap();
    }
    assert!(demuxer.capacity() < 4 * 1024);
}

#[test]
fn a_nal_length_past_its_tag_does_not_reach_the_next() {
    let mut file = file_header(false, true).to_vec();
    for unit in [&[0, 0, 0, 100, 0x65, 1][..], &[0, 0, 0, 2, 0x41, 1]] {
        let body = [&[0x17, 1, 0, 0, 0], unit].concat();
        file.extend(tag_header(Track::Video, body.len(), 0));
        file.extend([&body[..], &[0; 4]].concat());
    }
    let frames = demux(&file, usize::MAX).unwrap();
    let contents: Vec<_> =
        frames.iter().map(|frame| crate::codec::avc::contents(&frame.payload, 4)).collect();
    let error = contents[0].unwrap_err().to_string();
    assert_eq!(error, "sender's AVC payload, in a NAL unit by its length, ends too early");
    assert!(contents[1].is_ok_and(|contents| contents.picture && !contents.key));
    assert_eq!(frames.len(), 2);
}

#[test]
fn a_prelude_is_header_metadata_and_configurations() {
    let frames = demux(file("avc_aac"), usize::MAX).unwrap();
    let configs: Vec<&Frame> = frames.iter().filter(|f| f.kind == FrameKind::Config).collect();
    let mut out = Vec::new();
    packetizer::prelude(true, true, configs.clone(), Time::from_millis(9000), &mut out).unwrap();
    let again = demux(&out, usize::MAX).unwrap();
    assert_eq!(again.len(), 3);
    for (frame, config) in again.iter().zip(configs) {
        assert_eq!(frame.dts, Time::from_millis(9000));
        assert_eq!((frame.track, &frame.payload), (config.track, &config.payload));
    }
}

#[test]
fn metadata_from_what_is_known() {
    let video = Info { width: Some(1280), height: Some(720), ..Info::default() };
    let audio = Info { sample_rate: Some(48_000), channels: Some(2), ..Info::default() };
    let frame = packetizer::metadata(Some((Codec::Hevc, &video)), Some((Codec::Aac, &audio)));
    let mut expected = b"\x02\0\x0aonMetaData\x08\0\0\0\x07".to_vec();
    let mut number = |name: &str, value: f64| {
        expected.extend([0, name.len() as u8]);
        expected.extend(name.bytes().chain([0]).chain(value.to_be_bytes()));
    };
    number("width", 1280.0);
    number("height", 720.0);
    number("videocodecid", f64::from(u32::from_be_bytes(*b"hvc1")));
    number("audiosamplerate", 48_000.0);
    number("audiochannels", 2.0);
    expected.extend(b"\0\x06stereo\x01\x01\0\x0caudiocodecid\0");
    expected.extend(10_f64.to_be_bytes());
    expected.extend([0, 0, 9]);
    assert_eq!(&frame.payload[..], expected);
    assert_eq!(&packetizer::metadata(None, None).payload[10..], b"ata\x08\0\0\0\0\0\0\x09");
}

#[test]
fn frames_that_fit_no_tag() {
    let frame = |len| Frame {
        track: Track::Video,
        codec: Codec::Avc,
        kind: FrameKind::Key,
        dts: Time(0),
        pts: Time(0),
        payload: vec![0; len].into(),
    };
    assert!(Around::frame(&frame(file::BODY_MAX - 5)).is_ok());
    assert_eq!(Around::frame(&frame(file::BODY_MAX - 4)), Err(TooLong(file::BODY_MAX - 4)));
    // The end of classic sound has no words.
    let end = Frame { track: Track::Audio, codec: Codec::Aac, kind: FrameKind::End, ..frame(0) };
    assert_eq!(packetizer::append(&end, &mut Vec::new()), Ok(0));
}

proptest! {
    #[test]
    fn frames_come_back_however_the_bytes_are_cut(
        frames in prop::collection::vec(frames(), 0..12),
        cuts in prop::collection::vec(1_usize..60, 1..40),
    ) {
        let mut file = file_header(true, true).to_vec();
        file.extend(tags(&frames));
        let mut demuxer = Demuxer::new();
        let (mut back, mut rest) = (Vec::new(), &file[..]);
        for cut in cuts.iter().cycle() {
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            demuxer.receive(piece).unwrap();
            while let Some(frame) = demuxer.next_frame().unwrap() {
                back.push(frame);
            }
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(back, frames);
    }

    #[test]
    fn anything_is_frames_or_an_error(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        cut in 1_usize..50,
        begun: bool,
    ) {
        let header = if begun { &file_header(true, true)[..] } else { &[] };
        let _ = demux(&[header, &bytes].concat(), cut);
    }

    #[test]
    fn a_file_with_bytes_changed_is_frames_or_an_error(
        which in 0_usize..FILES.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
    ) {
        let mut file = FILES[which].1.to_vec();
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        for frame in demux(&file, usize::MAX).into_iter().flatten() {
            let _ = Info::from_config(frame.codec, &frame.payload);
            let _ = Info::from_frame(frame.codec, &frame.payload);
            let _ = packetizer::append(&frame, &mut Vec::new());
        }
    }
}
