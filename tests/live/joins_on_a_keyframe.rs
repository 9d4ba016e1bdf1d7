//! Who joins begins at the newest keyframe, and knows before it what it has to.

use media::{FrameKind, Track};

use crate::support::{Card, Player, Weir, is_picture, number};

#[test]
fn metadata_and_configurations_then_the_newest_keyframe() {
    let weir = Weir::start();
    let mut publisher = weir.publish("live/s");
    let mut card = Card::new(320, 240);
    publisher.pictures(&mut card, 26);
    weir.wait_count("frames_in", publisher.frames);
    for mut player in weir.players("live/s") {
        let door = player.door();
        let first: Vec<_> = (0..4).map(|_| player.frame()).collect();
        let tracks: Vec<_> = first.iter().map(|frame| (frame.track, frame.kind)).collect();
        assert_eq!(
            tracks,
            [
                (Track::Data, FrameKind::Config),
                (Track::Video, FrameKind::Config),
                (Track::Audio, FrameKind::Config),
                (Track::Video, FrameKind::Key),
            ],
            "{door}"
        );
        assert_eq!(number(&first[3]), 20, "{door}");
        // Metadata has no time: players take a late one for subtitles.
        assert_eq!(first[0].dts.millis(), 0, "{door}");
        assert!(first[1..].iter().all(|frame| frame.dts == first[3].dts), "{door}");
        // And then everything, in order.
        for wanted in 21..26 {
            assert_eq!(number(&player.picture()), wanted, "{door}");
        }
    }
}

#[test]
fn who_wants_to_begins_at_the_next_frame() {
    let weir = Weir::start();
    let mut publisher = weir.publish("live/s");
    let mut card = Card::new(320, 240);
    publisher.pictures(&mut card, 24);
    weir.wait_count("frames_in", publisher.frames);
    let doors: [fn(&Weir, &str) -> Player; 3] =
        [Weir::play_rtmp, Weir::play_http, Weir::play_websocket];
    for play in doors {
        let mut player = play(&weir, "live/s?start=live");
        let door = player.door();
        // It is known to be there when it has its configurations.
        for _ in 0..3 {
            assert_eq!(player.frame().kind, FrameKind::Config, "{door}");
        }
        let next = card.pictures(1);
        next.iter().for_each(|frame| publisher.send(frame));
        let wanted = number(next.last().unwrap());
        let got = player.picture();
        assert!(is_picture(&got));
        assert_eq!(number(&got), wanted, "{door}");
    }
}
