//! When its publisher does not return, a stream ends, and each door says so in its own words.

use crate::support::{Card, Weir};

#[test]
fn players_are_told_cleanly() {
    let weir = Weir::with("[publish]\ngrace = \"200ms\"\n", &["--loops", "2"]);
    let mut publisher = weir.publish("live/s");
    publisher.pictures(&mut Card::new(320, 240), 12);
    weir.wait_count("frames_in", publisher.frames);
    let mut players = weir.players("live/s");
    for player in &mut players {
        player.until(11);
    }
    drop(publisher);
    let ends: Vec<String> = players.iter_mut().map(|player| player.end()).collect();
    assert!(ends[0].starts_with("NetStream.Play."), "{ends:?}");
    assert_eq!(ends[1..], ["last chunk", "close 1000"]);
    weir.wait_count("ended_stream_ended", 3);
    assert_eq!(weir.count("streams"), 0);
    // The name is free again, for another stream.
    let mut again = weir.publish("live/s");
    again.pictures(&mut Card::new(320, 240), 3);
    weir.wait_count("publishers", 1);
}

#[test]
fn without_a_grace_time_at_once() {
    let weir = Weir::with("[publish]\ngrace = \"0s\"\n", &["--loops", "2"]);
    let mut publisher = weir.publish("live/s");
    publisher.pictures(&mut Card::new(320, 240), 12);
    weir.wait_count("frames_in", publisher.frames);
    let mut player = weir.play_http("live/s");
    player.until(11);
    drop(publisher);
    assert_eq!(player.end(), "last chunk");
}
