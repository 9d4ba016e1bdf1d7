//! MPEG-TS: packets to frames, and these frames to packets and back.

use super::Input;
use bytes::Bytes;
use media::codec::Info;
use media::container::ts::{Demuxer, PACKET, Packetizer, TsError};
use media::frame::{Codec, Frame, FrameKind, Track};

/// All frames of a stream that comes in these pieces, how it ended, and what was counted.
fn demux<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Frame>, Option<TsError>, [u64; 3]) {
    let (mut demuxer, mut frames, mut received) = (Demuxer::new(), Vec::new(), 0);
    let mut error = None;
    let mut take = |demuxer: &mut Demuxer, received: usize| {
        loop {
            // Lengths may be longer than start codes are.
            assert!(demuxer.held() <= 2 * received);
            match demuxer.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => return true,
                Err(found) => {
                    error = Some(found);
                    assert_eq!(demuxer.next_frame(), Err(found));
                    assert_eq!(demuxer.receive(b"more"), Err(found));
                    assert_eq!(demuxer.held(), 0);
                    return false;
                }
            }
        }
    };
    let whole = pieces.into_iter().all(|piece| {
        received += piece.len();
        demuxer.receive(piece).is_ok() && take(&mut demuxer, received)
    });
    if whole {
        demuxer.end();
        take(&mut demuxer, received);
    }
    (frames, error, [demuxer.passed_over(), demuxer.lost(), demuxer.other_tracks()])
}

/// The input is whole packets without their sync bytes, so that any input goes further than the first; a byte
/// in front says otherwise.
pub fn demuxer(data: &[u8]) {
    let input = Input::of(data);
    let whole = if input.setup & 1 == 1 {
        input.wire.to_vec()
    } else {
        input.wire.chunks(PACKET - 1).flat_map(|packet| [&[0x47][..], packet].concat()).collect()
    };
    let read = demux([&whole[..]]);
    assert_eq!(demux(whole.chunks(1)), read);
    let cut = usize::from(input.choice(0)) + 1;
    assert_eq!(demux(whole.chunks(cut)), read);
    let bytes: usize = read.0.iter().map(|frame| frame.payload.len()).sum();
    assert!(bytes <= 2 * whole.len());
    again(&read.0);
}

/// What was read is written with its configurations, and read again as whole packets of which none is lost.
fn again(frames: &[Frame]) {
    let (mut packetizer, mut out) = (Packetizer::new(), Vec::new());
    let mut configs: [Option<(Codec, Bytes)>; 2] = [None, None];
    for frame in frames {
        assert!(!frame.payload.is_empty());
        let config = &mut configs[usize::from(frame.track == Track::Audio)];
        if frame.kind == FrameKind::Config {
            let _ = Info::from_config(frame.codec, &frame.payload);
            *config = Some((frame.codec, frame.payload.clone()));
        } else if config.as_ref().is_none_or(|(codec, _)| *codec != frame.codec) {
            *config = Some((frame.codec, Bytes::new()));
        }
        let [video, audio] = configs.each_ref().map(|config| config.as_ref());
        let codec = |config: Option<&(Codec, Bytes)>| config.map(|(codec, _)| *codec);
        if frame.kind == FrameKind::Config || packetizer.tracks() != (codec(video), codec(audio)) {
            // Records that are made here can be broken by what stood in band.
            let [video, audio] =
                [video, audio].map(|c| c.map(|(codec, record)| (*codec, &record[..])));
            let _ = packetizer.configure(video, audio);
        }
        let before = out.len();
        let key = frame.kind == FrameKind::Key && frame.track == Track::Video;
        if let Ok(appended) = packetizer.append(frame, key, &mut out) {
            assert_eq!(out.len() - before, appended.bytes);
            assert!(appended.entry.is_none_or(|entry| entry.at < appended.bytes));
        }
    }
    packetizer.flush(&mut out);
    assert_eq!(packetizer.gathered(), 0);
    assert!(out.len().is_multiple_of(PACKET));
    let (back, _, [_, lost, _]) = demux([&out[..]]);
    assert_eq!(lost, 0);
    assert!(back.iter().filter(|frame| frame.track == Track::Video).count() <= 2 * frames.len());
}
