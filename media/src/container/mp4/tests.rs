//! Files that ffmpeg made, the test card, frames made up, and `mp4-atom` as another reader.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::codec::Info;
use crate::frame::{Codec, Frame, FrameKind, Time, Track};
use crate::testcard::{Options, TestCard};
use bytes::Bytes;
use proptest::prelude::*;

mod made;
mod received;

macro_rules! corpus {
    ($($name:ident),*) => {
        [$((
            stringify!($name),
            include_bytes!(concat!("../../../tests/corpus/mp4/", stringify!($name), ".mp4")) as &[u8],
        )),*]
    };
}

const FILES: [(&str, &[u8]); 11] =
    corpus![avc_b_frames, avc_aac_together, hevc, av1, vp9, aac, opus, flac, ac3, eac3, mp3];

fn file(name: &str) -> &'static [u8] {
    FILES.iter().find(|(of, _)| *of == name).unwrap().1
}

/// All frames of a file that comes in pieces of `cut` bytes.
fn demux(file: &[u8], cut: usize) -> Result<Vec<Frame>, Mp4Error> {
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

/// The frames of one of the files, a second later: its edits begin it before zero.
fn frames_of(name: &str) -> Vec<Frame> {
    let mut frames = demux(file(name), usize::MAX).unwrap();
    for frame in &mut frames {
        (frame.dts, frame.pts) = (frame.dts.plus(1_000_000), frame.pts.plus(1_000_000));
    }
    frames
}

/// The packetizer of a track, from its configuration and its first frame.
fn packetizer(frames: &[Frame], track: Track) -> Option<Packetizer> {
    let of = |frame: &&Frame| frame.track == track;
    let config = frames.iter().filter(of).find(|frame| frame.kind == FrameKind::Config);
    let first = frames.iter().filter(of).find(|frame| frame.kind == FrameKind::Key)?;
    let id = if track == Track::Video { 1 } else { 2 };
    let config = config.map(|frame| &frame.payload[..]);
    let description = Description::new(id, first.codec, config, Some(&first.payload));
    Some(Packetizer::new(description.unwrap()))
}

/// Both tracks in chunks of about 200 ms, the init segment before them, and what the chunks are.
fn mux(frames: &[Frame]) -> (Vec<u8>, Vec<Chunk>) {
    let mut packetizers: Vec<Packetizer> = [Track::Video, Track::Audio]
        .iter()
        .filter_map(|track| packetizer(frames, *track))
        .collect();
    let (mut out, mut chunks) = (Vec::new(), Vec::new());
    let tracks: Vec<&Description> = packetizers.iter().map(Packetizer::description).collect();
    init_segment(&tracks, &mut out);
    for packetizer in &mut packetizers {
        let track = packetizer.description().track();
        for frame in frames.iter().filter(|frame| frame.track == track) {
            let is_frame = !matches!(frame.kind, FrameKind::Config | FrameKind::End);
            if is_frame && packetizer.duration() >= 200_000 {
                chunks.extend(packetizer.finish(Some(frame.dts), &mut out));
            }
            packetizer.push(frame).unwrap();
        }
        chunks.extend(packetizer.finish(None, &mut out));
        assert!(packetizer.is_empty() && packetizer.finish(None, &mut out).is_none());
    }
    (out, chunks)
}

fn samples(frames: &[Frame], track: Track) -> Vec<&Frame> {
    frames.iter().filter(|f| f.track == track && f.kind != FrameKind::Config).collect()
}

/// Whether these are the same frames, their times within `off` microseconds.
fn assert_same(one: &[Frame], other: &[Frame], off: i64) {
    for track in [Track::Video, Track::Audio] {
        let (one, other) = (samples(one, track), samples(other, track));
        assert_eq!(one.len(), other.len());
        for (at, (one, other)) in one.iter().zip(other).enumerate() {
            assert_eq!((one.codec, one.kind), (other.codec, other.kind), "{at}");
            assert!(one.payload == other.payload, "{at}");
            assert!(one.dts.since(other.dts).abs() <= off, "{at}: {:?} {:?}", one.dts, other.dts);
            assert!(one.pts.since(other.pts).abs() <= off, "{at}: {:?} {:?}", one.pts, other.pts);
        }
    }
}

fn card(seconds: i64, bitrate: u64) -> Vec<Frame> {
    let options = Options { video_bitrate: bitrate, ..Options::default() };
    let mut card = TestCard::new(options).unwrap();
    std::iter::from_fn(|| (card.due() < Time(seconds * 1_000_000)).then(|| card.next(0))).collect()
}

/// A picture of the test card's codec.
fn picture(kind: FrameKind, dts: Time, pts: Time, payload: Bytes) -> Frame {
    Frame { track: Track::Video, codec: Codec::Avc, kind, dts, pts, payload }
}

fn sound(dts: Time) -> Frame {
    let (track, codec, kind) = (Track::Audio, Codec::Aac, FrameKind::Key);
    Frame { track, codec, kind, dts, pts: dts, payload: Bytes::from_static(b"sound") }
}

fn of_sound(config: &[u8]) -> Packetizer {
    Packetizer::new(Description::new(2, Codec::Aac, Some(config), None).unwrap())
}

fn of_pictures() -> Packetizer {
    let config = &card(1, 2_500_000)[0];
    Packetizer::new(Description::new(1, Codec::Avc, Some(&config.payload), None).unwrap())
}

/// Frames of an init segment and the chunks that `packetizer` has made.
fn read_back(packetizer: &Packetizer, chunks: &[u8]) -> Vec<Frame> {
    let mut out = Vec::new();
    init_segment(&[packetizer.description()], &mut out);
    out.extend_from_slice(chunks);
    demux(&out, usize::MAX).unwrap()
}

#[test]
fn files_of_ffmpeg_are_read_and_made_again() {
    for (name, _) in FILES {
        let frames = frames_of(name);
        let (again, chunks) = mux(&frames);
        assert!(chunks.len() >= 2, "{name}");
        let back = demux(&again, usize::MAX).unwrap();
        assert_same(&frames, &back, 12);
        let configs = |frames: &[Frame]| -> Vec<Bytes> {
            let configs = frames.iter().filter(|frame| frame.kind == FrameKind::Config);
            configs.map(|frame| frame.payload.clone()).collect()
        };
        // ffmpeg writes no level for VP9 that it does not know.
        assert_eq!(configs(&frames), configs(&back), "{name}");
        for frame in frames.iter().filter(|frame| frame.kind == FrameKind::Config) {
            Info::from_config(frame.codec, &frame.payload).unwrap();
        }
    }
}

#[test]
fn what_is_in_the_files() {
    let of = |name: &str| {
        let frames = frames_of(name);
        let tracks = [Track::Video, Track::Audio].map(|track| samples(&frames, track).len());
        let (_, chunks) = mux(&frames);
        let total: i64 = chunks.iter().map(|chunk| chunk.duration).sum();
        let track = if tracks[0] > 0 { Track::Video } else { Track::Audio };
        let packetizer = packetizer(&frames, track).unwrap();
        let info = packetizer.description().info().clone();
        (tracks, total / 1000, info.codec_string, info.width, info.sample_rate)
    };
    assert_eq!(of("avc_b_frames"), ([15, 0], 500, "avc1.64000a".into(), Some(64), None));
    assert_eq!(of("hevc"), ([15, 0], 500, "hvc1.1.6.L30.90".into(), Some(64), None));
    assert_eq!(of("av1"), ([15, 0], 500, "av01.0.00M.08".into(), Some(64), None));
    assert_eq!(of("vp9"), ([15, 0], 500, "vp09.00.10.08".into(), Some(64), None));
    assert_eq!(of("aac"), ([0, 20], 426, "mp4a.40.2".into(), None, Some(48_000)));
    assert_eq!(of("opus"), ([0, 21], 420, "opus".into(), None, Some(48_000)));
    assert_eq!(of("flac"), ([0, 5], 400, "flac".into(), None, Some(48_000)));
    assert_eq!(of("ac3"), ([0, 13], 416, "ac-3".into(), None, Some(48_000)));
    assert_eq!(of("eac3"), ([0, 13], 416, "ec-3".into(), None, Some(48_000)));
    assert_eq!(of("mp3"), ([0, 18], 432, "mp4a.40.34".into(), None, Some(48_000)));
    let frames = demux(file("avc_b_frames"), usize::MAX).unwrap();
    let pictures = samples(&frames, Track::Video);
    assert!(pictures.iter().any(|frame| frame.pts > frame.dts));
    assert!(pictures.iter().any(|frame| frame.kind == FrameKind::Delta));
    // This one has an edit list, so that what is shown first is shown at zero.
    let frames = demux(file("avc_aac_together"), usize::MAX).unwrap();
    let first = samples(&frames, Track::Video)[0];
    assert_eq!((first.dts, first.pts), (Time(-66_667), Time(0)));
}
