//! Streams of frames there and back, and looked at by others.
#![allow(clippy::unwrap_used, clippy::panic)]

mod checker;
mod entries;
mod oracle;
mod streams;

use super::*;
use crate::frame::{Codec, Frame, FrameKind, Time, Track};
use bytes::Bytes;

pub const AVC: &[u8] = include_bytes!("../../../fuzz/corpus/avc/main");
pub const HEVC: &[u8] = include_bytes!("../../../fuzz/corpus/hevc/main");
pub const AAC: &[u8] = &[0x12, 0x10];

/// A frame of one NAL unit, or of sound.
pub fn frame(codec: Codec, kind: FrameKind, dts: Time, len: usize) -> Frame {
    let first: &[u8] = match (codec, kind) {
        (Codec::Avc, FrameKind::Key) => &[0x65],
        (Codec::Avc, _) => &[0x41],
        (Codec::Hevc, FrameKind::Key) => &[0x26, 1],
        (Codec::Hevc, _) => &[0x02, 1],
        (Codec::Mp3, _) => &[0xff, 0xfb, 0x90, 0],
        (Codec::Ac3, _) => &[0x0b, 0x77, 0xb5, 0x0b, 0x1e, 0x40, 0xeb, 0xf8],
        (Codec::Eac3, _) => &[0x0b, 0x77, 0x01, 0xa0, 0x74, 0x87, 0xc0, 0],
        _ => &[0xfc],
    };
    let len = match codec {
        Codec::Mp3 => 417,
        Codec::Ac3 => 1792,
        Codec::Eac3 => 834,
        _ => len.max(first.len()),
    };
    let mut unit = first.to_vec();
    // Nothing that could be taken for a start code.
    unit.extend((unit.len()..len).map(|at| at as u8 | 0x10));
    let (track, payload) = match codec {
        Codec::Avc | Codec::Hevc => {
            (Track::Video, [&(unit.len() as u32).to_be_bytes()[..], &unit].concat())
        }
        _ => (Track::Audio, unit),
    };
    Frame { track, codec, kind, dts, pts: dts, payload: payload.into() }
}

/// The configuration records of the tests' tracks.
pub fn record(codec: Codec) -> &'static [u8] {
    match codec {
        Codec::Avc => AVC,
        Codec::Hevc => HEVC,
        Codec::Aac => AAC,
        _ => &[],
    }
}

pub fn packetizer(video: Option<Codec>, audio: Option<Codec>) -> Packetizer {
    let mut packetizer = Packetizer::new();
    let track = |codec: Codec| (codec, record(codec));
    packetizer.configure(video.map(track), audio.map(track)).unwrap();
    packetizer
}

/// All frames of bytes that come in pieces of `cut`.
pub fn demux(bytes: &[u8], cut: usize) -> Result<Vec<Frame>, TsError> {
    let (mut demuxer, mut frames) = (Demuxer::new(), Vec::new());
    for piece in bytes.chunks(cut) {
        demuxer.receive(piece)?;
        while let Some(frame) = demuxer.next_frame()? {
            frames.push(frame);
        }
    }
    demuxer.end();
    while let Some(frame) = demuxer.next_frame()? {
        frames.push(frame);
    }
    assert_eq!((demuxer.held(), demuxer.lost()), (0, 0));
    Ok(frames)
}

/// The ticks that a time is written as.
pub fn written(time: Time) -> i64 {
    time.ticks_90k() + packetizer::START
}

pub fn of(frames: &[Frame], track: Track) -> Vec<&Frame> {
    let media = |frame: &&Frame| frame.track == track && frame.kind != FrameKind::Config;
    frames.iter().filter(media).collect()
}

#[test]
fn what_is_wrong_is_said_again_and_again() {
    let error = |bytes: &[u8]| {
        let mut demuxer = Demuxer::new();
        demuxer.receive(bytes).unwrap();
        let error = demuxer.next_frame().unwrap_err();
        assert_eq!(demuxer.next_frame(), Err(error));
        assert_eq!(demuxer.receive(b"G"), Err(error));
        assert_eq!(demuxer.held(), 0);
        error.to_string()
    };
    assert_eq!(error(b"FLV"), "sender's TS packet begins with 0x46, expected 0x47");
    let (mut packetizer, mut out) = (packetizer(Some(Codec::Avc), None), Vec::new());
    packetizer.append(&frame(Codec::Avc, FrameKind::Key, Time(0), 9), true, &mut out).unwrap();
    let mut broken = out.clone();
    broken[PACKET + 10] ^= 1;
    assert_eq!(error(&broken), "sender's PMT does not fit to its checksum");
    let mut broken = out.clone();
    broken[2 * PACKET + 4] = 200;
    assert!(error(&broken).contains("adaptation_field_length 200"));
    out.truncate(2 * PACKET);
    out.push(0);
    assert!(error(&out).contains("begins with 0x00"));
}

#[test]
fn units_without_end_are_refused() {
    let (mut packetizer, mut out) = (packetizer(Some(Codec::Avc), None), Vec::new());
    let long = frame(Codec::Avc, FrameKind::Key, Time(0), crate::limits::TS_UNIT);
    let refused = packetizer.append(&long, true, &mut out);
    assert_eq!(refused, Err(AppendError::TooLong(long.payload.len())));
    assert_eq!(out.len(), 0);
    let long = frame(Codec::Avc, FrameKind::Key, Time(0), crate::limits::TS_UNIT - 300);
    packetizer.append(&long, true, &mut out).unwrap();
    let end = out.len();
    assert_eq!(
        of(&demux(&out, 50_000).unwrap(), Track::Video),
        [&Frame { dts: Time(10_000_000), pts: Time(10_000_000), ..long }]
    );
    // Packets of it without end.
    let mut demuxer = Demuxer::new();
    demuxer.receive(&out[..end - PACKET]).unwrap();
    let mut packet = out[end - 2 * PACKET..end - PACKET].to_vec();
    let error = (0..10).find_map(|_| {
        packet[3] = 0x10 | (packet[3] + 1) & 15;
        demuxer.receive(&packet).unwrap();
        demuxer.next_frame().err()
    });
    assert_eq!(
        error.unwrap().to_string(),
        "sender's PES packet on PID 256 is longer than 16777216 bytes"
    );
}

#[test]
fn missing_packets_take_their_unit_with_them() {
    let (mut packetizer, mut out) = (packetizer(Some(Codec::Avc), Some(Codec::Aac)), Vec::new());
    let mut ends = Vec::new();
    for number in 0..4 {
        let kind = if number == 0 { FrameKind::Key } else { FrameKind::Delta };
        let picture = frame(Codec::Avc, kind, Time(number * 40_000), 1000);
        packetizer.append(&picture, number == 0, &mut out).unwrap();
        ends.push(out.len());
    }
    let all = of(&demux(&out, 1000).unwrap(), Track::Video).len();
    assert_eq!(all, 4);
    // The middle of the second; then its beginning.
    for at in [ends[0] + 2 * PACKET, ends[0]] {
        let mut cut = out.clone();
        cut.drain(at..at + PACKET);
        let mut demuxer = Demuxer::new();
        demuxer.receive(&cut).unwrap();
        demuxer.end();
        let frames = std::iter::from_fn(|| demuxer.next_frame().unwrap()).collect::<Vec<_>>();
        assert_eq!(of(&frames, Track::Video).len(), 3);
        assert_eq!(demuxer.lost(), 1);
    }
}

#[test]
fn broken_payloads_append_nothing() {
    let (mut packetizer, mut out) = (packetizer(Some(Codec::Avc), Some(Codec::Mp3)), Vec::new());
    let bad = Frame {
        payload: Bytes::from_static(&[0, 0, 0, 9, 1]),
        ..frame(Codec::Avc, FrameKind::Key, Time(0), 1)
    };
    let error = packetizer.append(&bad, true, &mut out).unwrap_err();
    assert_eq!(
        error.to_string(),
        "sender's AVC payload, in a NAL unit by its length, ends too early"
    );
    let bad = Frame {
        payload: Bytes::from_static(b"ID3"),
        ..frame(Codec::Mp3, FrameKind::Key, Time(0), 1)
    };
    assert!(packetizer.append(&bad, false, &mut out).is_err());
    assert_eq!((out.len(), packetizer.gathered()), (0, 0));
    // Other codecs than those configured, and what is no frame.
    for other in [
        frame(Codec::Hevc, FrameKind::Key, Time(0), 9),
        frame(Codec::Aac, FrameKind::Key, Time(0), 9),
        frame(Codec::Avc, FrameKind::Config, Time(0), 9),
        Frame { track: Track::Data, ..frame(Codec::Avc, FrameKind::Key, Time(0), 9) },
    ] {
        assert_eq!(packetizer.append(&other, true, &mut out), Ok(Appended::default()));
    }
    assert_eq!((out.len(), packetizer.gathered()), (0, 0));
}
