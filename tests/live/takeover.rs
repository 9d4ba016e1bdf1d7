//! A second publisher of a live name.

use std::time::Duration;

use media::protocol::rtmp::status::code;

use crate::support::{Card, Weir, let_pass, number};

#[test]
fn is_refused_and_the_first_goes_on() {
    let weir = Weir::start();
    let mut first = weir.publish("live/s");
    let mut card = Card::new(320, 240);
    first.pictures(&mut card, 12);
    weir.wait_count("frames_in", first.frames);
    let mut player = weir.play_http("live/s");
    player.until(11);
    let (code, words) = weir.try_publish("live/s").err().unwrap();
    assert_eq!(code, code::PUBLISH_BAD_NAME);
    assert!(words.contains("live/s"), "{words}");
    assert_eq!(weir.count("ended_name_taken"), 1);
    first.pictures(&mut card, 1);
    assert_eq!(number(&player.picture()), 12);
}

#[test]
fn takes_over_where_that_is_wanted() {
    let weir = Weir::with("[publish]\nsecond = \"take over\"\n", &["--loops", "2"]);
    let mut first = weir.publish("live/s");
    first.pictures(&mut Card::new(320, 240), 12);
    weir.wait_count("frames_in", first.frames);
    let mut player = weir.play_http("live/s");
    let last = player.until(11);
    let mut second = weir.publish("live/s");
    assert_eq!(first.told().as_deref(), Some(code::PUBLISH_BAD_NAME));
    second.pictures(&mut Card::new(320, 240), 3);
    let next = player.picture();
    assert_eq!(number(&next), 0);
    assert!(next.dts > last.dts);
    weir.wait_count("ended_taken_over", 1);
}

#[test]
fn replaces_a_silent_one_in_any_case() {
    let config = "[publish]\nsilent_after = \"300ms\"\n";
    let weir = Weir::with(config, &["--loops", "2"]);
    let mut first = weir.publish("live/s");
    first.pictures(&mut Card::new(320, 240), 3);
    weir.wait_count("frames_in", first.frames);
    let_pass(Duration::from_millis(400));
    let mut second = weir.publish("live/s");
    second.pictures(&mut Card::new(320, 240), 3);
    assert_eq!(first.told().as_deref(), Some(code::PUBLISH_BAD_NAME));
}
