//! Fragmented MP4: files to frames, and frames to files.

use super::Input;
use media::container::mp4::{Demuxer, Description, Mp4Error, Packetizer, init_segment};
use media::frame::{Codec, Frame, FrameKind, Time, Track};

/// What a file is: its frames, how it ended, and how many tracks were passed over.
type Read = (Vec<Frame>, Option<Mp4Error>, u64);

/// All frames of a file that comes in these pieces, and how it ended.
fn demux<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Read {
    let (mut demuxer, mut frames, mut received, mut given) = (Demuxer::new(), Vec::new(), 0, 0);
    let mut error = None;
    'file: for piece in pieces {
        received += piece.len();
        if demuxer.receive(piece).is_err() {
            break;
        }
        loop {
            assert!(demuxer.held() <= received);
            match demuxer.next_frame() {
                Ok(Some(frame)) => {
                    given += frame.payload.len();
                    frames.push(frame);
                }
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
    // Nothing is given twice: neither samples nor configurations, but for what conversion adds.
    let configs = frames.iter().filter(|frame| frame.kind == FrameKind::Config).count();
    assert!(given <= received + 16 * configs);
    (frames, error, demuxer.passed_over())
}

/// A track's frames as they were read are packed and read again.
fn again(frames: &[Frame], track: Track, choices: &Input<'_>) {
    let of: Vec<&Frame> = frames.iter().filter(|frame| frame.track == track).collect();
    let config = of.iter().find(|frame| frame.kind == FrameKind::Config);
    let sent: Vec<&Frame> = of
        .iter()
        .copied()
        .filter(|frame| frame.kind != FrameKind::Config && frame.codec == of[0].codec)
        .collect();
    let Some(first) = sent.iter().find(|frame| frame.kind == FrameKind::Key) else { return };
    let config = config.map(|frame| &frame.payload[..]);
    let described = Description::new(7, first.codec, config, Some(&first.payload));
    let Ok(description) = described else { return };
    let mut out = Vec::new();
    init_segment(&[&description], &mut out);
    let mut packetizer = Packetizer::new(description);
    for (turn, frame) in sent.iter().enumerate() {
        if choices.choice(turn) & 1 == 1 {
            let before = packetizer.start();
            let chunk = packetizer.finish(Some(frame.dts), &mut out);
            assert_eq!(chunk.map(|chunk| chunk.start), before);
            assert!(chunk.is_none_or(|chunk| chunk.duration >= 0 && chunk.start >= Time(0)));
        }
        packetizer.push(frame).expect("it is short");
    }
    packetizer.finish(None, &mut out);
    let (back, error, passed_over) = demux([&out[..]]);
    assert_eq!((error, passed_over), (None, 0));
    let back: Vec<&Frame> = back.iter().filter(|f| f.kind != FrameKind::Config).collect();
    let delimiter: &[u8] = if first.codec == Codec::Av1 { &[0x12, 0] } else { &[] };
    let expected: Vec<(FrameKind, &[u8])> = sent
        .iter()
        .map(|frame| (frame.kind, frame.payload.strip_prefix(delimiter).unwrap_or(&frame.payload)))
        .filter(|(_, payload)| !payload.is_empty())
        .collect();
    let found: Vec<_> = back.iter().map(|frame| (frame.kind, &frame.payload[..])).collect();
    assert_eq!(found, expected);
    assert!(back.windows(2).all(|pair| pair[0].dts <= pair[1].dts), "time runs back");
}

pub fn file(data: &[u8]) {
    let input = Input::of(data);
    let mut header = Vec::new();
    if input.setup & 1 == 1 {
        let sound = Description::new(1, Codec::Aac, Some(&[0x12, 0x10]), None).expect("it is AAC");
        init_segment(&[&sound], &mut header);
    }
    let whole = [&header[..], input.wire].concat();
    let read = demux([&whole[..]]);
    assert_eq!(demux(whole.chunks(1)), read);
    assert_eq!(demux([&header[..]].into_iter().chain(input.pieces())), read);
    for track in [Track::Video, Track::Audio] {
        again(&read.0, track, &input);
    }
}
