//! RTMP players that cannot be sent what all others share: without a track, on another message stream,
//! after a pause.

use std::io::Write;

use media::Track;
use media::protocol::rtmp::amf0::Value;
use media::protocol::rtmp::chunk::{Header, append};
use media::protocol::rtmp::client::Event;
use media::protocol::rtmp::message::{Command, Message};

use crate::support::{Card, Player, Rtmp, Weir, is_picture, number};

fn say(client: &mut Rtmp, message_stream: u32, name: &str, arguments: Vec<Value>) {
    let (kind, payload) = Message::Command(Command::new(name, 0.0, Value::Null, arguments)).emit();
    let mut bytes = Vec::new();
    let header = Header { chunk_stream: 3, kind, message_stream, time: 0 };
    append(&mut bytes, &header, &[&payload], 128).unwrap();
    client.socket.write_all(&bytes).unwrap();
}

fn playing(weir: &Weir) -> Player {
    weir.play_rtmp("live/s")
}

fn client(player: &mut Player) -> &mut Rtmp {
    match player {
        Player::Rtmp(client) => client,
        _ => panic!("it plays by RTMP"),
    }
}

#[test]
fn without_sound() {
    let weir = Weir::with("", &["--loops", "1"]);
    let mut publisher = weir.publish("live/s");
    let mut card = Card::new(320, 240);
    publisher.pictures(&mut card, 12);
    weir.wait_count("frames_in", publisher.frames);
    let mut player = playing(&weir);
    player.until(11);
    say(client(&mut player), 1, "receiveAudio", vec![Value::Boolean(false)]);
    // The wish is known when a ping behind it is answered.
    let client = client(&mut player);
    client.session.ping(7);
    loop {
        if let Some(Event::Pong { time: 7 }) = client.event() {
            break;
        }
    }
    publisher.pictures(&mut card, 20);
    loop {
        let frame = player.frame();
        assert_ne!(frame.track, Track::Audio);
        if is_picture(&frame) && number(&frame) == 31 {
            break;
        }
    }
}

#[test]
fn after_a_pause_from_the_newest_keyframe() {
    let weir = Weir::with("", &["--loops", "1"]);
    let mut publisher = weir.publish("live/s");
    let mut card = Card::new(320, 240);
    publisher.pictures(&mut card, 12);
    weir.wait_count("frames_in", publisher.frames);
    let mut player = playing(&weir);
    player.until(11);
    say(client(&mut player), 1, "pause", vec![Value::Boolean(true), Value::Number(0.0)]);
    let rtmp = client(&mut player);
    rtmp.session.ping(7);
    loop {
        if let Some(Event::Pong { time: 7 }) = rtmp.event() {
            break;
        }
    }
    publisher.pictures(&mut card, 40);
    weir.wait_count("frames_in", publisher.frames);
    say(client(&mut player), 1, "pause", vec![Value::Boolean(false), Value::Number(0.0)]);
    assert_eq!(number(&player.picture()), 50);
    let told = weir.json("/api/v1/clients?protocol=rtmp&sort=lag");
    let player = told["clients"].as_array().unwrap().iter().find(|row| row["publish"] == false);
    assert_eq!(player.unwrap()["skips_by"]["pause"], 1, "{told}");
}
