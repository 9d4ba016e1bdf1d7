//! A player that takes nothing for the longer bound is closed, with a reason that says why.

use std::io::Write;
use std::net::TcpStream;

use socket2::{Domain, Socket, Type};

use crate::support::{Card, Weir, let_pass};

#[test]
fn one_that_reads_nothing() {
    let config = "[play]\nskip_after = \"500ms\"\nclose_after = \"1s\"\n";
    let weir = Weir::with(config, &["--loops", "1"]);
    let mut publisher = weir.publish("live/s");
    let mut card =
        Card::of(media::testcard::Options { video_bitrate: 8_000_000, ..Card::options() });
    publisher.pictures(&mut card, 5);
    weir.wait_count("frames_in", publisher.frames);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    socket.connect(&weir.http.into()).unwrap();
    let mut socket = TcpStream::from(socket);
    socket.write_all(b"GET /live/s.flv HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    weir.program.wait_for("play ");
    // The stream goes on in its own time, so that it is the player who is late.
    for _ in 0..60 {
        publisher.pictures(&mut card, 2);
        let_pass(std::time::Duration::from_millis(66));
        if weir.count("ended_stalled") + weir.count("ended_too_slow") > 0 {
            break;
        }
    }
    let line = weir.program.wait_for("play ended");
    assert!(line.contains("\"stalled\"") || line.contains("\"too_slow\""), "{line}");
    for word in ["lag_ms=", "rtt_ms=", "unsent="] {
        assert!(line.contains(word), "{word} in {line}");
    }
    drop(socket);
}
