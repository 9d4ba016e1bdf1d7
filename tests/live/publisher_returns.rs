//! Players stay connected while their publisher is gone for a moment, and time goes on.

use media::{FrameKind, Track};

use crate::support::{Card, Publisher, Weir, is_picture, number};

fn leave_by_reset(publisher: Publisher) {
    let socket = socket2::SockRef::from(&publisher.client.socket);
    socket.set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(publisher);
}

fn leave_politely(mut publisher: Publisher) {
    publisher.client.session.finish();
    publisher.client.send();
}

fn returns(leave: fn(Publisher)) {
    let weir = Weir::start();
    let mut first = weir.publish("live/s");
    first.pictures(&mut Card::new(320, 240), 15);
    weir.wait_count("frames_in", first.frames);
    let mut players = weir.players("live/s");
    let mut last = Vec::new();
    for player in &mut players {
        last.push(player.until(14).dts);
    }
    leave(first);
    weir.program.wait_for("publish ended");

    // Another picture size, a clock that begins elsewhere, and pictures before a keyframe.
    let mut second = weir.publish("live/s");
    let mut card = Card::new(160, 128);
    let frames = card.pictures(35);
    for (sent, frame) in frames.iter().enumerate() {
        if is_picture(frame) && number(frame) == 0 && sent > 0 {
            continue;
        }
        second.send_at(frame, frame.dts.millis() + 77_000);
    }
    for (player, last) in players.iter_mut().zip(last) {
        let door = player.door();
        let mut new_config = false;
        let mut audio = last;
        let picture = loop {
            let frame = player.frame();
            assert!(frame.dts >= audio || frame.track != Track::Audio, "{door}: sound ran back");
            match frame.track {
                Track::Audio => audio = frame.dts,
                Track::Video if frame.kind == FrameKind::Config => new_config = true,
                Track::Video => break frame,
                Track::Data => {}
            }
        };
        assert!(new_config, "{door}: the other size was not told");
        assert_eq!((picture.kind, number(&picture)), (FrameKind::Key, 10), "{door}");
        let gap = picture.dts.since(last);
        assert!((0..1_500_000).contains(&gap), "{door}: {gap} us");
        player.until(34);
    }
    // Who joins now gets the size of now.
    let mut late = weir.play_http("live/s");
    let config = loop {
        let frame = late.frame();
        if frame.track == Track::Video {
            break frame;
        }
    };
    assert_eq!(config.kind, FrameKind::Config);
    let size = media::codec::Info::from_config(config.codec, &config.payload).unwrap();
    assert_eq!((size.width, size.height), (Some(160), Some(128)));
}

#[test]
fn after_a_reset() {
    returns(leave_by_reset);
}

#[test]
fn after_a_goodbye() {
    returns(leave_politely);
}
