//! A player that does not keep up skips to the newest keyframe: it never costs memory, and gets whole
//! tags only.

use std::net::TcpStream;

use media::FrameKind;
use socket2::{Domain, Socket, Type};

use crate::support::{Card, Got, Http, Player, Weir, is_picture, number};

/// A connection with a receive buffer that is soon full.
fn narrow(weir: &Weir) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    socket.connect(&weir.http.into()).unwrap();
    socket.into()
}

#[test]
fn to_the_newest_keyframe_and_it_is_counted() {
    let weir = Weir::start();
    let mut publisher = weir.publish("live/s");
    let mut card =
        Card::of(media::testcard::Options { video_bitrate: 8_000_000, ..Card::options() });
    publisher.pictures(&mut card, 5);
    weir.wait_count("frames_in", publisher.frames);
    let mut player = Player::Http(Box::new(Http::get(narrow(&weir), "live/s")));
    assert_eq!(number(&player.picture()), 0);
    // Ten seconds of the stream, which it does not read.
    publisher.pictures(&mut card, 300);
    weir.wait_count("frames_in", publisher.frames);
    let mut last = (0, 0);
    let mut jumps = 0;
    while last.0 < 304 {
        let frame = match player.next() {
            Got::Frame(frame) => frame,
            Got::End(words) => {
                let said = weir.program.wait_for("play ended");
                panic!("it ended after {last:?}: {words}; {said}")
            }
        };
        assert!(frame.dts.millis() >= last.1 || !is_picture(&frame));
        if is_picture(&frame) {
            let now = number(&frame);
            assert!(now > last.0, "{now} after {last:?}");
            if now > last.0 + 1 {
                assert_eq!(frame.kind, FrameKind::Key, "picture {now} after {last:?}");
                jumps += 1;
            }
            last = (now, frame.dts.millis());
        }
    }
    assert!(jumps >= 1);
    assert_eq!(weir.count("skips"), jumps);
    assert!(weir.count("skipped_bytes") > 0);
}
