//! A client of HTTP/1.0 gets a container's bytes with nothing around them, until the connection closes with the
//! stream.

use crate::bodies::{Body, finish, frames};
use crate::support::{Card, Weir, is_picture, number};

fn plays_to_the_end(path: &str) {
    let weir = Weir::with("[publish]\ngrace = \"0s\"\n", &["--loops", "2"]);
    let mut publisher = weir.publish("live/s");
    let mut card = Card::new(320, 240);
    // A chunk of fragments is there when its 200 ms are.
    publisher.pictures(&mut card, 38);
    weir.wait_count("frames_in", publisher.frames);
    let mut body = Body::of(&weir, path);
    let head = body.head.to_lowercase();
    assert!(head.starts_with("http/1.1 200") || head.starts_with("http/1.0 200"), "{head}");
    assert!(!head.contains("transfer-encoding") && !head.contains("content-length"), "{head}");
    publisher.pictures(&mut card, 62);
    finish(publisher);
    let frames = frames(path, &body.rest());
    let numbers: Vec<u64> = frames.iter().filter(|f| is_picture(f)).map(number).collect();
    let first = *numbers.first().unwrap();
    assert!(first.is_multiple_of(10) && first <= 90, "{first}");
    assert_eq!(numbers, (first..100).collect::<Vec<u64>>(), "{path}");
}

#[test]
fn of_a_transport_stream() {
    plays_to_the_end("live/s.ts");
}

#[test]
fn of_fragments() {
    plays_to_the_end("live/s.mp4");
}
