//! A publisher that stays connected and sends nothing is closed, and its stream ends.

use media::protocol::rtmp::status::code;

use crate::support::{Card, Weir};

#[test]
fn it_is_told_and_closed() {
    let config = "[publish]\nsilent_after = \"200ms\"\nclose_silent_after = \"400ms\"\n\
                  grace = \"100ms\"\n";
    let weir = Weir::with(config, &["--loops", "2"]);
    let mut publisher = weir.publish("live/s");
    publisher.pictures(&mut Card::new(320, 240), 3);
    weir.wait_count("frames_in", publisher.frames);
    let mut player = weir.play_http("live/s");
    player.until(2);
    assert_eq!(publisher.told().as_deref(), Some(code::PUBLISH_IDLE));
    assert_eq!(player.end(), "last chunk");
    assert_eq!(weir.count("ended_silent"), 1);
}
