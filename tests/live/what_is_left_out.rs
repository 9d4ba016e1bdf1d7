//! What players do not get is told for each stream, with the reason.

use std::net::TcpStream;
use std::time::Instant;

use media::FrameKind;
use media::testcard::Options;
use serde_json::Value;
use socket2::{Domain, Socket, Type};
use weir_tests::PATIENCE;

use crate::support::{Card, Got, Http, Player, Weir, is_picture, number};

const STREAM: &str = "/api/v1/streams/live/s";

/// What is told of the stream as soon as it is as wanted.
fn told(weir: &Weir, wanted: impl Fn(&Value) -> bool) -> Value {
    let until = Instant::now() + PATIENCE;
    loop {
        let told = weir.json(STREAM);
        if wanted(&told["stream"]) {
            return told;
        }
        assert!(Instant::now() < until, "{told}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn frames_before_the_first_keyframe() {
    let weir = Weir::start();
    let mut publisher = weir.publish("live/s");
    let mut card = Card::of(Options { audio: None, ..Card::options() });
    // The first keyframe is left out, and with it the first group of pictures.
    for frame in card.pictures(12) {
        if frame.kind != FrameKind::Key || number(&frame) > 0 {
            publisher.send(&frame);
        }
    }
    let told = told(&weir, |stream| stream["frames"] == publisher.frames);
    let dropped = &told["stream"]["dropped"];
    assert_eq!(dropped["before_keyframe"], 9, "{told}");
    assert_eq!((&dropped["too_long"], &dropped["other_track"]), (&0.into(), &0.into()));
}

/// Skips of a player that does not read ten seconds of a stream, by reason.
fn skips(config: &str) -> Value {
    let weir = Weir::with(config, &["--loops", "1"]);
    let mut publisher = weir.publish("live/s");
    let mut card = Card::of(Options { video_bitrate: 8_000_000, ..Card::options() });
    publisher.pictures(&mut card, 5);
    weir.wait_count("frames_in", publisher.frames);
    let narrow = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    narrow.set_recv_buffer_size(16 * 1024).unwrap();
    narrow.connect(&weir.http.into()).unwrap();
    let mut player = Player::Http(Box::new(Http::get(TcpStream::from(narrow), "live/s")));
    assert_eq!(number(&player.picture()), 0);
    publisher.pictures(&mut card, 300);
    weir.wait_count("frames_in", publisher.frames);
    loop {
        match player.next() {
            Got::Frame(frame) if is_picture(&frame) && number(&frame) >= 304 => break,
            Got::Frame(_) => {}
            Got::End(words) => panic!("it ended: {words}"),
        }
    }
    let told = told(&weir, |stream| stream["skips"].as_u64() > Some(0));
    let by = told["stream"]["skips_by"].clone();
    let clients = weir.json("/api/v1/clients?sort=lag");
    let mut rows = clients["clients"].as_array().unwrap().iter();
    assert!(rows.any(|row| row["skips_by"] == by), "{by} of {clients}");
    by
}

#[test]
fn skips_for_time() {
    let by = skips("[play]\nskip_bytes = \"32M\"\n");
    assert!(by["skip_after"].as_u64() > Some(0), "{by}");
    assert_eq!((&by["skip_bytes"], &by["pause"]), (&0.into(), &0.into()));
}

#[test]
fn skips_for_bytes() {
    let by = skips("[play]\nskip_after = \"20s\"\nclose_after = \"30s\"\nskip_bytes = \"1M\"\n");
    assert!(by["skip_bytes"].as_u64() > Some(0), "{by}");
    assert_eq!((&by["skip_after"], &by["pause"]), (&0.into(), &0.into()));
}
