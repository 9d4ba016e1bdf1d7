//! FLV: files and tags.

use super::{Input, same};
use bytes::Bytes;
use media::codec::Info;
use media::container::flv::file::{Demuxer, FlvError, file_header};
use media::container::flv::{Header, Parsed, packetizer, tag};
use media::frame::{Codec, Frame, FrameKind, Track};

/// All frames of a file that comes in these pieces, and how it ended.
fn demux<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Frame>, Option<FlvError>, [u64; 2]) {
    let (mut demuxer, mut frames, mut received) = (Demuxer::new(), Vec::new(), 0);
    let mut error = None;
    'file: for piece in pieces {
        received += piece.len();
        if demuxer.receive(piece).is_err() {
            break;
        }
        loop {
            assert!(demuxer.held() <= received);
            match demuxer.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(found) => {
                    error = Some(found);
                    assert_eq!(demuxer.next_frame(), Err(found));
                    assert_eq!(demuxer.receive(b"more"), Err(found));
                    assert_eq!(demuxer.held(), 0);
                    break 'file;
                }
            }
        }
    }
    (frames, error, [demuxer.passed_over(), demuxer.other_tracks()])
}

/// What has to be the same of a frame once it was sent and received: its time as far as FLV has it.
fn essence(frame: &Frame) -> (Track, Codec, FrameKind, u32, i64, Bytes) {
    let Frame { track, codec, kind, dts, pts, payload } = frame.clone();
    (track, codec, kind, dts.millis() as u32, pts.millis() - dts.millis(), payload)
}

pub fn file(data: &[u8]) {
    let input = Input::of(data);
    let begun = input.setup & 1 == 1;
    let header: &[u8] = if begun { &file_header(true, true) } else { &[] };
    let whole = [header, input.wire].concat();
    let read = demux([&whole[..]]);
    assert!(same(&demux(whole.chunks(1)), &read));
    assert!(same(&demux([header].into_iter().chain(input.pieces())), &read));

    let mut again = file_header(true, true).to_vec();
    let mut sent = Vec::new();
    for frame in &read.0 {
        let before = again.len();
        let appended = packetizer::append(frame, &mut again).expect("it came in a tag");
        assert_eq!(again.len() - before, appended);
        if appended > 0 {
            sent.push(essence(frame));
        }
    }
    let (back, error, others) = demux(again.chunks(usize::from(input.choice(0)) + 1));
    assert_eq!((error, others), (None, [0, 0]));
    assert_eq!(back.iter().map(essence).collect::<Vec<_>>(), sent);
}

pub fn tag(data: &[u8]) {
    let input = Input::of(data);
    let track = [Track::Video, Track::Audio, Track::Data][usize::from(input.setup % 3)];
    let time = input.choices.iter().fold(0_i64, |time, byte| time << 8 | i64::from(*byte));
    let body = Bytes::copy_from_slice(input.wire);
    let Ok(Parsed { frame, other_tracks }) = tag::parse(body, track, time) else { return };
    assert!(other_tracks as usize <= input.wire.len());
    let Some(frame) = frame else { return };
    assert!(frame.payload.len() <= input.wire.len());
    assert_eq!(frame.payload.is_empty(), frame.kind == FrameKind::End);
    assert!(frame.track == track || frame.track == Track::Data);
    let _ = Info::from_config(frame.codec, &frame.payload);
    let _ = Info::from_frame(frame.codec, &frame.payload);

    let Some(header) = Header::of(&frame) else { return };
    let body = [header.as_slice(), &frame.payload].concat();
    let again = tag::parse(body.into(), frame.track, frame.dts.millis()).expect("it is ours");
    let again = Parsed { frame: again.frame.map(|frame| finer(frame, time)), ..again };
    let expected = Parsed { frame: Some(finer(frame, time)), other_tracks: 0 };
    assert_eq!(again, expected);
}

/// The frame with its times cut to milliseconds, unless they are too far away to differ.
fn finer(frame: Frame, time: i64) -> Frame {
    if time.unsigned_abs() > i64::MAX as u64 / 2000 {
        return Frame { dts: Default::default(), pts: Default::default(), ..frame };
    }
    let cut = |time: media::Time| media::Time::from_millis(time.millis());
    Frame { dts: cut(frame.dts), pts: cut(frame.pts), ..frame }
}
