//! A player of a transport stream or of fragments that does not keep up goes on at a keyframe, and what it got
//! has neither half pictures nor any that lack what they build on.

use std::net::TcpStream;

use media::FrameKind;
use socket2::{Domain, Socket, Type};

use crate::bodies::{Body, finish, frames};
use crate::support::{Card, Weir, is_picture, number};

/// A connection with a receive buffer that is soon full.
fn narrow(weir: &Weir) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    socket.connect(&weir.http.into()).unwrap();
    socket.into()
}

fn goes_on(path: &str) {
    let weir = Weir::with("[publish]\ngrace = \"0s\"\n", &["--loops", "2"]);
    let mut publisher = weir.publish("live/s");
    let mut card =
        Card::of(media::testcard::Options { video_bitrate: 8_000_000, ..Card::options() });
    // A chunk of fragments is there when its 200 ms are.
    publisher.pictures(&mut card, 9);
    weir.wait_count("frames_in", publisher.frames);
    let mut body = Body::get(narrow(&weir), path);
    // Ten seconds of the stream, which it does not read.
    publisher.pictures(&mut card, 300);
    weir.wait_count("frames_in", publisher.frames);
    finish(publisher);
    let frames = frames(path, &body.rest());
    let (mut last, mut jumps) = (None, 0);
    for frame in frames.iter().filter(|frame| is_picture(frame)) {
        let now = number(frame);
        assert!(last.is_none_or(|last| now > last), "{path}: {now} after {last:?}");
        if last.is_none_or(|last| now > last + 1) {
            assert_eq!(frame.kind, FrameKind::Key, "{path}: {now} after {last:?}");
            jumps += u32::from(last.is_some());
        }
        last = Some(now);
    }
    assert!(jumps >= 1, "{path}");
    assert_eq!(last, Some(308), "{path}");
}

#[test]
fn of_a_transport_stream() {
    goes_on("live/s.ts");
}

#[test]
fn of_fragments() {
    goes_on("live/s.mp4");
}
