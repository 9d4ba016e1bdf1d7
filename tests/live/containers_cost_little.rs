//! What stands around the frames of a stream of 2.5 Mbit/s is a small part of what players are sent.

use media::FrameKind;
use media::testcard::Options;

use crate::bodies::{Body, finish, frames};
use crate::support::{Card, Weir};

/// Bytes that are no frames', in parts of ten thousand of those that are.
fn overhead(path: &str) -> usize {
    let weir = Weir::with("[publish]\ngrace = \"0s\"\n", &["--loops", "1"]);
    let mut publisher = weir.publish("live/s");
    let mut card =
        Card::of(Options { video_bitrate: 2_500_000, gop_frames: 60, ..Card::options() });
    publisher.pictures(&mut card, 9);
    weir.wait_count("frames_in", publisher.frames);
    let mut body = Body::of(&weir, path);
    publisher.pictures(&mut card, 291);
    finish(publisher);
    let bytes = body.rest();
    let frames = frames(path, &bytes);
    let sent = frames.iter().filter(|frame| frame.kind != FrameKind::Config);
    let (count, payload) = sent.fold((0, 0), |(count, sum), f| (count + 1, sum + f.payload.len()));
    assert!(count > 300 && payload > 500_000, "{count} frames of {payload} bytes");
    let overhead = (bytes.len() - payload) * 10_000 / payload;
    println!("{path}: {count} frames, {payload} bytes of them, {} sent: {overhead}", bytes.len());
    overhead
}

#[test]
fn a_transport_stream() {
    assert!(overhead("live/s.ts") < 600);
}

#[test]
fn fragments() {
    assert!(overhead("live/s.mp4") < 200);
}
