//! A player that comes before its publisher waits for it, within a bound.

use std::net::TcpStream;

use crate::support::{Card, Http, Player, Weir, number};

#[test]
fn it_plays_when_the_publisher_comes() {
    let weir = Weir::with("[play]\nwait_for_publisher = \"20s\"\n", &["--loops", "2"]);
    let mut rtmp = weir.play_rtmp("live/s");
    let mut websocket = weir.play_websocket("live/s");
    let address = weir.http;
    // This one hears nothing at all before.
    let http =
        std::thread::spawn(move || Http::get(TcpStream::connect(address).unwrap(), "live/s"));
    weir.wait_count("loop 0", 0);
    let mut publisher = weir.publish("live/s");
    let mut card = Card::new(320, 240);
    publisher.pictures(&mut card, 5);
    assert_eq!(number(&rtmp.picture()), 0);
    assert_eq!(number(&websocket.picture()), 0);
    let mut http = Player::Http(Box::new(http.join().unwrap()));
    assert_eq!(number(&http.picture()), 0);
}

#[test]
fn it_is_told_when_nobody_comes() {
    let weir = Weir::with("[play]\nwait_for_publisher = \"300ms\"\n", &["--loops", "2"]);
    let mut ends = Vec::new();
    for mut player in weir.players("live/nobody") {
        ends.push(player.end());
    }
    assert_eq!(ends, ["NetStream.Play.StreamNotFound", "HTTP/1.1 404 Not Found", "close 4404"]);
    assert_eq!(weir.count("ended_not_found"), 3);
}

#[test]
fn it_waits_for_one_that_is_gone_for_a_moment() {
    let weir = Weir::with("[play]\nwait_for_publisher = \"20s\"\n", &["--loops", "2"]);
    let mut first = weir.publish("live/s");
    first.pictures(&mut Card::new(320, 240), 15);
    weir.wait_count("frames_in", first.frames);
    drop(first);
    weir.program.wait_for("publish ended");
    let mut player = weir.play_rtmp("live/s");
    let mut second = weir.publish("live/s");
    let mut card = Card::new(320, 240);
    second.pictures(&mut card, 4);
    // Not the old publisher's last keyframe.
    assert_eq!(number(&player.picture()), 0);
    assert_eq!(number(&player.picture()), 1);
}
