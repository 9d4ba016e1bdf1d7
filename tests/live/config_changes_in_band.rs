//! An encoder that changes its configuration: players get it in band, joiners the one in force.

use media::codec::Info;
use media::{FrameKind, Track};

use crate::support::{Card, Player, Weir, at, number};

fn width(player: &mut Player) -> (u32, u64) {
    let mut width = 0;
    loop {
        let frame = player.frame();
        match (frame.track, frame.kind) {
            (Track::Video, FrameKind::Config) => {
                width = Info::from_config(frame.codec, &frame.payload).unwrap().width.unwrap();
            }
            (Track::Video, _) => return (width, number(&frame)),
            _ => {}
        }
    }
}

#[test]
fn everybody_has_the_right_one() {
    let weir = Weir::start();
    let mut publisher = weir.publish("live/s");
    publisher.pictures(&mut Card::new(320, 240), 15);
    weir.wait_count("frames_in", publisher.frames);
    let mut early = weir.players("live/s");
    for player in &mut early {
        assert_eq!(width(player), (320, 10));
        player.until(14);
    }
    let shift = 600;
    for frame in Card::new(640, 480).pictures(12) {
        publisher.send_at(&at(&frame, frame.dts.millis() + shift), frame.dts.millis() + shift);
    }
    for player in &mut early {
        assert_eq!(width(player), (640, 0), "{}", player.door());
    }
    weir.wait_count("frames_in", publisher.frames);
    for mut late in weir.players("live/s") {
        assert_eq!(width(&mut late), (640, 10), "{}", late.door());
    }
}
