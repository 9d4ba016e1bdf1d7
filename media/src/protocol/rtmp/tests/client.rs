//! What a client makes of servers: those that are odd, and those that are broken.

use super::super::chunk::ChunkError;
use super::super::client::{ClientConfig, ClientSession, Event as Heard, Purpose};
use super::super::server::{PlayStart, PublishKind};
use super::super::status::code;
use super::*;

const PUBLISH: Purpose = Purpose::Publish(PublishKind::Live);
const PLAY: Purpose = Purpose::Play(PlayStart::Any);

/// Everything a client hears of this server, and how it ended. How it is cut makes no difference.
fn heard(purpose: Purpose, script: &Script) -> (Vec<Heard>, Result<(), Error>) {
    let [whole, cut, single] = [usize::MAX, 50, 1].map(|piece| {
        let config = ClientConfig::from_url("rtmp://h/live/cam", purpose).unwrap();
        let mut client = ClientSession::new(config, 1);
        let mut events = Vec::new();
        let result = script.bytes.chunks(piece).try_for_each(|part| {
            let result = client.receive(part);
            events.extend(std::iter::from_fn(|| client.poll_event()));
            assert!(client.held() <= script.bytes.len());
            result
        });
        if let Err(error) = &result {
            assert_eq!(client.receive(b"more"), Err(error.clone()));
        }
        (events, result)
    });
    assert_eq!(cut, whole);
    assert_eq!(single, whole);
    whole
}

fn info(level: &str, code: &str) -> Value {
    Object::default().with("level", level).with("code", code).with("description", "why").into()
}

impl Script {
    fn connected_server() -> Self {
        let success = info("status", code::CONNECT_SUCCESS);
        Self::new().call(0, "_result", 1.0, Value::Null, vec![success])
    }

    fn created_server() -> Self {
        Self::connected_server().call(0, "_result", 4.0, Value::Null, vec![1.0.into()])
    }

    fn started_server(code: &str) -> Self {
        Self::created_server().status("status", code)
    }

    fn status(self, level: &str, code: &str) -> Self {
        self.call(1, "onStatus", 0.0, Value::Null, vec![info(level, code)])
    }
}

#[test]
fn an_aggregate_is_its_messages() {
    let tag = |kind: u8, time: u8| [kind, 0, 0, 1, 0, 0, time, 0, 0, 0, 0, 7, 0, 0, 0, 12];
    let payload = [tag(8, 3), tag(9, 10), tag(9, 50)].concat();
    let script = Script::started_server(code::PLAY_START).chunks_of(4096).say(
        1,
        1000,
        &Message::Aggregate(payload.into()),
    );
    let (events, result) = heard(PLAY, &script);
    result.unwrap();
    let media: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Heard::Media { track, time_ms, .. } => Some((*track, *time_ms)),
            _ => None,
        })
        .collect();
    assert_eq!(media, [(Track::Audio, 1000), (Track::Video, 1007), (Track::Video, 1047)]);
}

#[test]
fn answers_that_come_late_twice_or_for_nobody_change_nothing() {
    let script = Script::started_server(code::PUBLISH_START)
        .call(0, "_result", 1.0, Value::Null, vec![info("status", code::CONNECT_SUCCESS)])
        .call(0, "_result", 4.0, Value::Null, vec![9.0.into()])
        .call(0, "_result", 77.0, Value::Null, vec![])
        .call(0, "_error", 2.0, Value::Null, vec![])
        .call(0, "_error", 4.0, Value::Null, vec![info("error", code::CALL_FAILED)])
        .call(0, "onBWDone", 0.0, Value::Null, vec![8192.0.into()])
        .call(0, "onFCPublish", 0.0, Value::Null, vec![]);
    let (events, result) = heard(PUBLISH, &script);
    result.unwrap();
    assert!(matches!(events[..], [Heard::Connected(_), Heard::Started]), "{events:?}");
}

#[test]
fn who_is_refused_hears_it_once() {
    let rejected = || vec![info("error", code::CONNECT_REJECTED)];
    let script = Script::new()
        .call(0, "_error", 1.0, Value::Null, rejected())
        .call(0, "_error", 1.0, Value::Null, rejected())
        .call(0, "_result", 1.0, Value::Null, vec![])
        .video(0, b"x");
    let refused = Heard::Refused { code: code::CONNECT_REJECTED.into(), description: "why".into() };
    assert_eq!(heard(PLAY, &script), (vec![refused], Ok(())));
    // A stream that is over stays over.
    let script = Script::started_server(code::PLAY_START)
        .status("status", code::PLAY_UNPUBLISH)
        .status("status", code::PLAY_STOP)
        .call(0, "_error", 5.0, Value::Null, vec![info("error", code::PLAY_FAILED)])
        .video(0, b"late");
    let (events, result) = heard(PLAY, &script);
    result.unwrap();
    let ended = Heard::Ended { code: code::PLAY_UNPUBLISH.into(), description: "why".into() };
    assert_eq!(events[2..], [ended]);
}

#[test]
fn broken_servers_end_the_session() {
    let begun = [4, 0, 0, 0, 0, 0, 9, 9, 1, 0, 0, 0];
    let chunk_size = |bytes: &[u8]| {
        let header = Header { chunk_stream: 2, kind: 1, message_stream: 0, time: 0 };
        Script::new().message(header, bytes)
    };
    let cases = [
        (chunk_size(&[0; 4]), "chunk size of 0"),
        (chunk_size(&[0x80, 0, 0, 0]), "top bit"),
        (Script::connected_server().call(0, "_result", 4.0, Value::Null, vec![]), "createStream"),
        (
            Script::connected_server().call(0, "_result", 4.0, Value::Null, vec!["1".into()]),
            "without the number of a message stream",
        ),
        (Script::new().raw(&begun).raw(&[0; 9]).raw(&[0xc9, 0]), "before one of type 0"),
        (Script::empty().raw(b"HTTP/1.1 400 Bad Request\r\n"), "server speaks HTTP"),
        (Script::empty().raw(b"\x15\x03\x01\0\x02\x02\x46"), "server speaks TLS"),
        (
            Script::started_server(code::PLAY_START).say(
                1,
                0,
                &Message::Aggregate(b"x"[..].into()),
            ),
            "aggregate",
        ),
    ];
    for (script, expected) in cases {
        let (_, result) = heard(PLAY, &script);
        let text = result.unwrap_err().to_string();
        assert!(text.contains(expected), "{text}, not {expected}");
    }
    let streams: Vec<u8> =
        (0..=64).flat_map(|id| [0, id, 0, 0, 0, 0, 0, 1, 99, 0, 0, 0, 0, 7]).collect();
    let (_, result) = heard(PLAY, &Script::new().raw(&streams));
    assert_eq!(result, Err(Error::Chunk(ChunkError::TooManyChunkStreams(64))));
}
