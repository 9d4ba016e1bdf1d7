//! A player of a transport stream or of fragments that does not keep up goes on at a keyframe, and what it got
//! has neither half pictures nor any that lack what they build on.

use std::collections::HashMap;
use std::net::TcpStream;

use media::FrameKind;
use media::container::ts::PACKET;
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

fn goes_on(path: &str) -> Vec<u8> {
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
    let bytes = body.rest();
    let frames = frames(path, &bytes);
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
    bytes
}

/// Looks at the continuity counters of a transport stream, and says how often one jumps and says so.
fn jumps(bytes: &[u8]) -> usize {
    let (mut counters, mut jumps) = (HashMap::new(), 0);
    for packet in bytes.chunks_exact(PACKET) {
        let pid = u16::from(packet[1] & 0x1f) << 8 | u16::from(packet[2]);
        let (counter, has_payload) = (packet[3] & 15, packet[3] & 0x10 != 0);
        let says_so = packet[3] & 0x20 != 0 && packet[4] > 0 && packet[5] & 0x80 != 0;
        let expected = |before: u8| if has_payload { (before + 1) & 15 } else { before };
        let follows = counters.get(&pid).is_none_or(|before| counter == expected(*before));
        assert!(follows || says_so, "PID {pid:#x} is at {counter} behind {:?}", counters.get(&pid));
        jumps += usize::from(says_so && !follows);
        counters.insert(pid, counter);
    }
    jumps
}

#[test]
fn of_a_transport_stream() {
    let bytes = goes_on("live/s.ts");
    assert!(jumps(&bytes) >= 1);
}

#[test]
fn of_fragments() {
    goes_on("live/s.mp4");
}
