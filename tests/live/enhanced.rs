//! Codecs that only Enhanced RTMP names pass through, to all doors.

use media::{Codec, Frame, FrameKind, Time, Track};

use crate::support::Weir;

fn frame(
    track: Track,
    codec: Codec,
    kind: FrameKind,
    millis: i64,
    payload: &'static [u8],
) -> Frame {
    let time = Time::from_millis(millis);
    Frame { track, codec, kind, dts: time, pts: time, payload: payload.into() }
}

/// The head of a VP8 keyframe of 64x48, and something behind it.
const VP8_KEY: &[u8] = &[0x10, 0, 0, 0x9d, 0x01, 0x2a, 64, 0, 48, 0, 1, 2, 3];
const OPUS_HEAD: &[u8] = b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0";

#[test]
fn vp8_and_opus() {
    let weir = Weir::start();
    let mut publisher = weir.publish("live/s");
    let (video, audio) = (Track::Video, Track::Audio);
    publisher.send(&frame(audio, Codec::Opus, FrameKind::Config, 0, OPUS_HEAD));
    publisher.send(&frame(video, Codec::Vp8, FrameKind::Key, 0, VP8_KEY));
    publisher.send(&frame(audio, Codec::Opus, FrameKind::Key, 5, &[0xfc, 0xff, 0xfe]));
    publisher.send(&frame(video, Codec::Vp8, FrameKind::Delta, 33, &[0x11, 0, 0, 9]));
    weir.wait_count("frames_in", publisher.frames);
    for mut player in weir.players("live/s") {
        let door = player.door();
        let mut got = Vec::new();
        while got.len() < 4 {
            let frame = player.frame();
            if frame.track != Track::Data {
                got.push((frame.codec, frame.kind, frame.dts.millis(), frame.payload));
            }
        }
        let expected: [(Codec, FrameKind, i64, &[u8]); 4] = [
            (Codec::Opus, FrameKind::Config, 0, OPUS_HEAD),
            (Codec::Vp8, FrameKind::Key, 0, VP8_KEY),
            (Codec::Opus, FrameKind::Key, 5, &[0xfc, 0xff, 0xfe]),
            (Codec::Vp8, FrameKind::Delta, 33, &[0x11, 0, 0, 9]),
        ];
        for (got, expected) in got.iter().zip(expected) {
            assert_eq!((got.0, got.1, got.2, &got.3[..]), expected, "{door}");
        }
    }
}
