//! A client's session and a server's, with a network between them that cuts everything to pieces.

use super::super::capabilities::{Capabilities, extra};
use super::super::client::{ClientConfig, ClientSession, Event as Heard, Purpose};
use super::super::handshake::Form;
use super::super::server::{Event, PlayStart, PublishKind, ServerSession};
use super::super::status::code;
use crate::frame::Track;

struct Pair {
    client: ClientSession,
    server: ServerSession,
    piece: usize,
    at_server: Vec<Event>,
    at_client: Vec<Heard>,
}

impl Pair {
    fn new(url: &str, purpose: Purpose, form: Form, piece: usize) -> Self {
        let mut config = ClientConfig::from_url(url, purpose).unwrap();
        config.form = form;
        config.capabilities = Capabilities::ours();
        Self {
            client: ClientSession::new(config, 5),
            server: ServerSession::new(6),
            piece,
            at_server: Vec::new(),
            at_client: Vec::new(),
        }
    }

    /// Moves bytes both ways until nobody says anything any more.
    fn settle(&mut self, decide: fn(&mut ServerSession, &Event)) {
        loop {
            let mut up = Vec::new();
            self.client.take_output(&mut up);
            for part in up.chunks(self.piece) {
                self.server.receive(part).unwrap();
                while let Some(event) = self.server.poll_event() {
                    decide(&mut self.server, &event);
                    self.at_server.push(event);
                }
            }
            let mut down = Vec::new();
            self.server.take_output(&mut down);
            for part in down.chunks(self.piece) {
                self.client.receive(part).unwrap();
                self.at_client.extend(std::iter::from_fn(|| self.client.poll_event()));
            }
            if up.is_empty() && down.is_empty() {
                return;
            }
        }
    }
}

fn accept(server: &mut ServerSession, event: &Event) {
    match event {
        Event::Publish { .. } => server.accept_publish().unwrap(),
        Event::Play(_) => server.accept_play().unwrap(),
        _ => {}
    }
}

fn reject(server: &mut ServerSession, event: &Event) {
    match event {
        Event::Publish { .. } => {
            server.reject_publish(code::PUBLISH_BAD_NAME, "It is live already.").unwrap();
        }
        Event::Play(_) => server.reject_play(code::PLAY_NOT_FOUND, "There is no such.").unwrap(),
        _ => {}
    }
}

const PUBLISH: Purpose = Purpose::Publish(PublishKind::Live);
const PLAY: Purpose = Purpose::Play(PlayStart::Live);

fn all_ways(mut test: impl FnMut(Form, usize)) {
    for form in [Form::Simple, Form::Digest] {
        for piece in [1, 7, usize::MAX] {
            test(form, piece);
        }
    }
}

#[test]
fn a_publisher_publishes() {
    all_ways(|form, piece| {
        let mut pair = Pair::new("rtmp://h/live/cam?token=a", PUBLISH, form, piece);
        pair.settle(accept);
        let Event::Connect(connect) = &pair.at_server[0] else { panic!() };
        assert_eq!((connect.app.name.as_str(), connect.tc_url.as_str()), ("live", "rtmp://h/live"));
        assert!(connect.capabilities.has(extra::MULTITRACK));
        assert_eq!(
            pair.at_server[1],
            Event::Publish {
                message_stream: 1,
                name: "cam".into(),
                query: "token=a".into(),
                kind: PublishKind::Live
            }
        );
        assert_eq!(pair.at_client[1..], [Heard::Started]);
        let Heard::Connected(capabilities) = &pair.at_client[0] else { panic!() };
        assert!(capabilities.has(extra::MOD_EX | extra::RECONNECT));

        let keyframe = vec![0x17; 150_000];
        let metadata = b"\x02\x00\x0aonMetaData\x05";
        pair.client.send_metadata(0, metadata).unwrap();
        pair.client.send_media(Track::Video, 40, &[b"\x17\x01", &keyframe]).unwrap();
        pair.client.send_media(Track::Audio, (1 << 24) + 5, &[b"\xaf\x01x"]).unwrap();
        pair.client.ping(77);
        pair.settle(accept);
        let media: Vec<_> = pair.at_server[2..]
            .iter()
            .map(|event| match event {
                Event::Media { message_stream: 1, track, time_ms, payload } => {
                    (*track, *time_ms, payload.len())
                }
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(
            media,
            [
                (Track::Data, 0, metadata.len()),
                (Track::Video, 40, keyframe.len() + 2),
                (Track::Audio, (1 << 24) + 5, 3)
            ]
        );
        assert_eq!(pair.at_client.last(), Some(&Heard::Pong { time: 77 }));
        assert_eq!((pair.server.held(), pair.client.held()), (0, 0));

        pair.client.finish();
        pair.settle(accept);
        assert_eq!(pair.at_server[5..], [Event::Unpublish { message_stream: 1 }]);
        assert_eq!(pair.server.ignored(), 0);
    });
}

#[test]
fn a_player_plays_until_the_stream_is_over() {
    all_ways(|form, piece| {
        let mut pair = Pair::new("rtmp://h:1/a/b/cam?k", PLAY, form, piece);
        pair.settle(accept);
        let Event::Play(play) = &pair.at_server[1] else { panic!() };
        assert_eq!((play.message_stream, play.name.as_str(), play.query.as_str()), (1, "cam", "k"));
        assert_eq!((play.start, play.duration, play.reset), (PlayStart::Live, None, true));
        assert!(matches!(pair.at_client[0], Heard::Connected(_)));
        // The reset comes before the start.
        assert!(
            matches!(&pair.at_client[1], Heard::Status { code, .. } if code == code::PLAY_RESET)
        );
        assert_eq!(pair.at_client[2..], [Heard::Started]);

        // What all players are sent, and what one is sent by its session.
        let mut shared = Vec::new();
        super::chunk::append_media(&mut shared, Track::Video, 5, &[b"\x17\x01", b"frame"]).unwrap();
        for part in shared.chunks(piece) {
            pair.client.receive(part).unwrap();
        }
        pair.server.send_media(1, Track::Audio, 6, &[b"\xaf\x01"]).unwrap();
        pair.server.ping(3);
        pair.settle(accept);
        let media = |track, time_ms, payload: &'static [u8]| Heard::Media {
            track,
            time_ms,
            payload: payload.into(),
        };
        let expected =
            [media(Track::Video, 5, b"\x17\x01frame"), media(Track::Audio, 6, b"\xaf\x01")];
        assert_eq!(pair.at_client[3..], expected);
        assert_eq!(pair.at_server.last(), Some(&Event::Pong { time: 3 }));

        pair.server.end_play(1, "The stream is over.").unwrap();
        pair.settle(accept);
        assert!(matches!(pair.at_client[5], Heard::Ended { .. }));
        assert!(pair.server.send_media(1, Track::Audio, 6, &[]).is_err());
        pair.client.finish();
        assert!(!pair.client.is_started());
    });
}

#[test]
fn who_is_rejected_hears_why() {
    all_ways(|form, piece| {
        for (purpose, expected) in [(PUBLISH, code::PUBLISH_BAD_NAME), (PLAY, code::PLAY_NOT_FOUND)]
        {
            let mut pair = Pair::new("rtmp://h/live/cam", purpose, form, piece);
            pair.settle(reject);
            let Some(Heard::Refused { code, description }) = pair.at_client.last() else {
                panic!("{:?}", pair.at_client)
            };
            assert_eq!(code, expected);
            assert!(!description.is_empty());
            assert!(pair.client.send_media(Track::Audio, 0, &[]).is_err());
        }
    });
}

#[test]
fn a_connect_can_be_rejected_and_accepted_later() {
    let mut pair = Pair::new("rtmp://h/live/cam", PUBLISH, Form::Simple, 9);
    pair.server = ServerSession::new(1).deciding_connects();
    pair.settle(|_, _| {});
    assert!(pair.server.is_undecided() && !pair.server.is_connected());
    pair.server.accept_connect().unwrap();
    pair.settle(accept);
    assert!(pair.client.is_started());

    let mut pair = Pair::new("rtmp://h/live/cam", PUBLISH, Form::Simple, 9);
    pair.server = ServerSession::new(1).deciding_connects();
    pair.settle(|_, _| {});
    pair.server.reject_connect("Not today.").unwrap();
    pair.settle(accept);
    let refused =
        Heard::Refused { code: code::CONNECT_REJECTED.into(), description: "Not today.".into() };
    assert_eq!(pair.at_client, [refused]);
}

#[test]
fn what_follows_a_rejected_connect_is_ignored_at_once_and_later() {
    let script = super::Script::connected().command(1, "play", vec!["cam".into()]);
    for piece in [1, usize::MAX] {
        let mut server = ServerSession::new(1).deciding_connects();
        let mut events = 0;
        for part in script.bytes.chunks(piece) {
            server.receive(part).unwrap();
            while let Some(event) = server.poll_event() {
                assert!(matches!(event, Event::Connect(_)));
                server.reject_connect("Not today.").unwrap();
                events += 1;
            }
        }
        assert_eq!((events, server.ignored(), server.held()), (1, 2, 0));
    }
}

#[test]
fn a_publisher_is_told_when_its_stream_is_taken_from_it() {
    let mut pair = Pair::new("rtmp://h/live/cam", PUBLISH, Form::Simple, 9);
    pair.settle(accept);
    pair.server.end_publish(1, code::PUBLISH_DENIED, "Another one took over.").unwrap();
    pair.client.send_media(Track::Audio, 0, &[b"x"]).unwrap();
    let before = pair.at_server.len();
    pair.settle(accept);
    assert_eq!(pair.at_server.len(), before);
    assert_eq!(pair.server.ignored(), 1);
    let Some(Heard::Ended { code, .. }) = pair.at_client.last() else { panic!() };
    assert_eq!(code, code::PUBLISH_DENIED);
}

#[test]
fn who_understands_it_is_asked_to_reconnect() {
    let mut pair = Pair::new("rtmp://h/live/cam", PUBLISH, Form::Simple, 9);
    pair.settle(accept);
    assert!(pair.server.request_reconnect(Some("rtmp://other/live"), "Maintenance."));
    pair.settle(accept);
    let Some(Heard::Status { code, .. }) = pair.at_client.last() else { panic!() };
    assert_eq!(code, code::RECONNECT_REQUEST);

    let mut config = ClientConfig::from_url("rtmp://h/live/cam", PUBLISH).unwrap();
    config.capabilities = Capabilities::default();
    pair.client = ClientSession::new(config, 1);
    pair.server = ServerSession::new(1);
    pair.settle(accept);
    assert!(!pair.server.request_reconnect(None, "Maintenance."));
}

#[test]
fn both_ends_acknowledge_what_they_receive() {
    let mut pair = Pair::new("rtmp://h/live/cam", PUBLISH, Form::Simple, 65_536);
    pair.settle(accept);
    for _ in 0..3 {
        pair.client.send_media(Track::Video, 0, &[&vec![0; 1_000_000]]).unwrap();
    }
    let mut up = Vec::new();
    pair.client.take_output(&mut up);
    pair.server.receive(&up).unwrap();
    let mut down = Vec::new();
    pair.server.take_output(&mut down);
    // Acknowledgement, chunk stream 2, four bytes.
    assert_eq!(down[..12], [2, 0, 0, 0, 0, 0, 4, 3, 0, 0, 0, 0]);
    let acknowledged = u32::from_be_bytes(down[12..].try_into().unwrap());
    assert!(acknowledged as usize > 3_000_000);
}
