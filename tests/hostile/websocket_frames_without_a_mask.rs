//! What no browser does: the connection is closed with 1002, the log says why.

use std::io::{Read, Write};

use crate::support::{Watched, connect, is_ended};

const UPGRADE: &[u8] = b"GET /live/demo.flv HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

#[test]
fn websocket_frames_without_a_mask() {
    let watched = Watched::start("");
    let frames: [(&str, &[u8]); 3] = [
        ("text without a mask", b"\x81\x02hi"),
        ("a ping without a mask", b"\x89\x00"),
        ("a frame of 2^63 bytes", b"\x82\xff\x80\0\0\0\0\0\0\0\x01\x02\x03\x04"),
    ];
    for (what, frame) in frames {
        let before = watched.server.figure("ended_bad_protocol");
        let mut rude = connect(watched.server.http);
        rude.write_all(UPGRADE).unwrap();
        let mut answer = [0; 12];
        rude.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 101");
        rude.write_all(frame).unwrap();
        is_ended(&mut rude);
        drop(rude);
        let line = watched.server.program.wait_for("reason=\"bad_protocol\"");
        assert!(
            line.contains("door=\"ws-flv\"") && !line.contains("detail=\"\""),
            "{what}: {line}"
        );
        assert_eq!(watched.server.figure("ended_bad_protocol"), before + 1, "{what}");
    }
    watched.is_well();
}
