//! Input that ends its session: each by an error that names the fault, each without taking memory.

use super::super::chunk::ChunkError;
use super::super::handshake::HandshakeError;
use super::super::message::MessageError;
use super::super::server::PlayStart;
use super::*;
use crate::limits::{
    RTMP_CHUNK_STREAMS, RTMP_HELD, RTMP_MESSAGE_AT_FIRST, RTMP_MESSAGE_STREAMS, RTMP_NAME,
};

/// Every case: what it is, the bytes, a piece of the message its error has.
fn cases() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let control = |kind: u8, payload: &[u8]| {
        let header = Header { chunk_stream: 2, kind, message_stream: 0, time: 0 };
        Script::new().message(header, payload).bytes
    };
    let command = |payload: &[u8]| {
        let header = Header { chunk_stream: 3, kind: 20, message_stream: 0, time: 0 };
        Script::new().message(header, payload).bytes
    };
    let deep_array = [0x0a, 0, 0, 0, 1].repeat(1000);
    let deep_object = b"\x03\0\x01a".repeat(1000);
    let many = [&[0x02, 0, 1, b'x', 0x0a, 0xff, 0xff, 0xff, 0xff][..], &[5; 60_000]].concat();
    let aggregate = |payload: &[u8]| {
        Script::publishing().say(1, 0, &Message::Aggregate(payload.to_vec().into())).bytes
    };
    let begun = |id: u8, len: [u8; 3]| [&[id, 0, 0, 0][..], &len, &[9, 1, 0, 0, 0]].concat();
    let streams: Vec<u8> = (0..=RTMP_CHUNK_STREAMS as u8)
        .flat_map(|id| [&[0, id, 0, 0, 0, 0, 0, 1, 99, 0, 0, 0, 0, 7][..]].concat())
        .collect();
    let name = "n".repeat(RTMP_NAME + 1);
    let connect =
        |object: Object| Script::new().call(0, "connect", 1.0, object.into(), vec![]).bytes;
    let mut opened = Script::connected();
    for _ in 0..RTMP_MESSAGE_STREAMS {
        opened = opened.command(0, "createStream", vec![]);
    }
    vec![
        ("HTTP", b"GET /live/a.flv HTTP/1.1\r\n\r\n".to_vec(), "peer speaks HTTP"),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00".to_vec(), "peer speaks TLS"),
        ("RTMPE", vec![6], "encrypted"),
        ("noise", vec![0xff; 100], "0xff where an RTMP handshake"),
        ("chunk size 0", control(1, &[0; 4]), "chunk size of 0"),
        ("negative chunk size", control(1, &[0xff, 0xff, 0xff, 0xfe]), "top bit"),
        ("short chunk size", control(1, &[0, 1]), "SetChunkSize of 2 bytes"),
        ("short user control", control(4, &[0]), "user control message of 1 bytes"),
        ("short ping", control(4, &[0, 6, 1]), "user control message of 1 bytes"),
        ("long message at once", Script::new().raw(&begun(4, [0xff; 3])).bytes, "at most 65536"),
        ("many chunk streams", Script::new().raw(&streams).bytes, "more than 64 chunk streams"),
        ("type 3 first", Script::new().raw(&[0xc5, 0, 0]).bytes, "before one of type 0"),
        (
            "header inside a message",
            Script::new().raw(&begun(4, [0, 1, 0])).raw(&[0; 128]).raw(&begun(4, [0, 1, 0])).bytes,
            "inside another one",
        ),
        ("command without a name", command(&[5, 5]), "does not begin with its name"),
        ("empty command", command(&[]), "does not begin with its name"),
        ("deep arrays", command(&deep_array), "nested deeper"),
        ("deep objects", command(&deep_object), "nested deeper"),
        ("many values", command(&many), "values"),
        ("huge string", command(b"\x0c\xff\xff\xff\xff"), "a string of 4294967295 bytes"),
        ("cut string", command(b"\x02\x00\x05ab"), "ends inside a string"),
        ("no such type", command(b"\x02\x00\x01x\x42"), "type 0x42"),
        (
            "publish first",
            Script::new().command(1, "publish", vec!["a".into()]).bytes,
            "\"publish\" before connect",
        ),
        ("media first", Script::new().audio(0, b"a").bytes, "\"media\" before connect"),
        (
            "connect twice",
            Script::connected().call(0, "connect", 1.0, Object::default().into(), vec![]).bytes,
            "connect twice",
        ),
        (
            "connect to nothing",
            Script::new().call(0, "connect", 1.0, Value::Null, vec![]).bytes,
            "an object of properties",
        ),
        (
            "connect with numbers",
            Script::new().call(0, "connect", 1.0, 5.0.into(), vec![]).bytes,
            "an object of properties",
        ),
        (
            "publish nothing",
            Script::connected().command(1, "publish", vec![]).bytes,
            "a stream's name",
        ),
        (
            "publish a number",
            Script::connected().command(1, "publish", vec![1.0.into()]).bytes,
            "a stream's name",
        ),
        (
            "play nothing",
            Script::connected().command(1, "play", vec![Value::Null]).bytes,
            "a stream's name",
        ),
        (
            "play2 nothing",
            Script::connected().command(1, "play2", vec![true.into()]).bytes,
            "a stream's name",
        ),
        ("long app", connect(Object::default().with("app", name.as_str())), "(app)"),
        ("long url", connect(Object::default().with("tcUrl", name.as_str())), "(tcUrl)"),
        (
            "long name",
            Script::connected().command(1, "play", vec![name.as_str().into()]).bytes,
            "(stream name)",
        ),
        ("many message streams", opened.bytes, "message streams"),
        (
            "aggregate in aggregate",
            aggregate(&[22, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11]),
            "kind 22 into an aggregate",
        ),
        (
            "command in aggregate",
            aggregate(&[20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            "kind 20 into an aggregate",
        ),
        (
            "cut aggregate",
            aggregate(&[9, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 1]),
            "ends inside a message",
        ),
        (
            "long metadata",
            Script::publishing()
                .chunks_of(2_000_000)
                .say(1, 0, &Message::Data(vec![2; 1_048_577].into()))
                .bytes,
            "a data message of 1048577",
        ),
    ]
}

#[test]
fn each_ends_by_its_error_and_holds_next_to_nothing() {
    for (what, bytes, expected) in cases() {
        for piece in [1, 7, usize::MAX] {
            if bytes.len() / piece > 200_000 {
                continue;
            }
            let mut served = Served::new();
            let mut result = Ok(());
            for part in bytes.chunks(piece) {
                result = served.feed(part);
                let held = served.session.held();
                assert!(held <= bytes.len() + 64, "{what}: {held} held of {}", bytes.len());
                if result.is_err() {
                    break;
                }
            }
            let Err(error) = result else { panic!("{what} was taken") };
            let text = error.to_string();
            assert!(text.contains(expected), "{what}: {text}");
            assert_eq!(served.session.receive(b"more"), Err(error.clone()), "{what}");
            assert_eq!(served.session.accept_publish(), Err(error), "{what}");
        }
    }
}

#[test]
fn lengths_that_are_declared_cost_nothing_until_they_come() {
    let begun = [10, 0, 0, 0, 0xff, 0xff, 0xff, 9, 1, 0, 0, 0, 7];
    let script = Script::publishing().chunks_of(i32::MAX as usize).raw(&begun);
    let (served, result) = Served::of(&script.bytes, 100);
    result.unwrap();
    assert_eq!(served.session.held(), 1);
}

#[test]
fn unfinished_messages_are_bounded_together() {
    let mut served = Served::new();
    served.feed(&Script::publishing().chunks_of(1_000_000).bytes).unwrap();
    let part = vec![0; 1_000_000];
    let mut sent = 0;
    let error = (0..200u8)
        .find_map(|n| {
            let id = 10 + n % 50;
            let head = [id, 0, 0, 0, 0xff, 0xff, 0xff, 9, 1, 0, 0, 0];
            let head = if n < 50 { head.as_slice() } else { &[0xc0 | id] };
            let result = served.feed(head).and_then(|()| served.feed(&part));
            assert!(served.session.held() <= RTMP_HELD);
            sent += part.len();
            result.err()
        })
        .unwrap();
    assert_eq!(error, Error::Chunk(ChunkError::TooMuchHeld(RTMP_HELD)));
    assert!(sent <= RTMP_HELD + part.len());
}

#[test]
fn who_does_not_wait_for_a_decision_is_bounded() {
    for len in [0, 60_000] {
        let mut session = ServerSession::new(1);
        session.receive(&Script::publishing().chunks_of(65_536).bytes).unwrap();
        let mut media = Script::empty();
        media.chunk_size = 65_536;
        let media = media.video(0, &vec![0; len]).bytes;
        let error = (0..1_000_000).find_map(|_| {
            let result = session.receive(&media);
            assert!(session.held() <= RTMP_HELD + 65_536);
            result.err()
        });
        assert_eq!(error, Some(Error::Session(SessionError::Ahead)));
    }
}

#[test]
fn before_publish_messages_are_short_and_after_it_long() {
    let long = vec![0; RTMP_MESSAGE_AT_FIRST + 1];
    let limit = MessageError::CommandLength(long.len());
    let (_, result) = Served::of(&Script::connected().chunks_of(70_000).video(0, &long).bytes, 999);
    assert!(matches!(result, Err(Error::Chunk(ChunkError::MessageLength { .. }))));
    let header = Header { chunk_stream: 3, kind: 20, message_stream: 0, time: 0 };
    let script = Script::publishing().chunks_of(70_000).video(0, &long).message(header, &long);
    let (served, result) = Served::of(&script.bytes, 999);
    assert_eq!(served.media().len(), 1);
    assert_eq!(result, Err(Error::Message(limit)));
}

#[test]
fn a_chunk_size_of_one_is_slow_and_right() {
    let script = Script::publishing().chunks_of(1).video(0, &[7; 5000]);
    let (served, result) = Served::of(&script.bytes, 777);
    result.unwrap();
    assert_eq!(served.media(), [(Track::Video, 0, [7; 5000].as_slice())]);
}

#[test]
fn arguments_of_other_types_are_read_as_what_is_usual() {
    let odd = || Value::from(Object::default().with("x", 1.0));
    let script = Script::new()
        .call(
            0,
            "connect",
            1.0,
            Object::default().with("app", 5.0).with("tcUrl", true).into(),
            vec![],
        )
        .call(0, "createStream", 2.0, "text".into(), vec![odd()])
        .command(1, "publish", vec!["cam".into(), 7.0.into()])
        .command(0, "FCUnpublish", vec![1.0.into()])
        .command(1, "play", vec!["cam".into(), "x".into(), odd(), Value::Null])
        .command(1, "pause", vec![odd(), "x".into()])
        .command(1, "seek", vec![true.into()])
        .command(1, "receiveAudio", vec!["x".into()])
        .command(0, "getStreamLength", vec![odd()])
        .command(1, "deleteStream", vec!["x".into()]);
    for piece in [1, usize::MAX] {
        let (served, result) = Served::of(&script.bytes, piece);
        result.unwrap();
        let Event::Connect(connect) = &served.events[0] else { panic!() };
        assert_eq!((connect.app.name.as_str(), connect.tc_url.as_str()), ("", ""));
        let Event::Play(play) = &served.events[3] else { panic!("{:?}", served.events) };
        assert_eq!((play.start, play.duration, play.reset), (PlayStart::Any, None, true));
        assert_eq!(
            served.events[4..],
            [
                Event::Pause { message_stream: 1, paused: true, position_ms: 0.0 },
                Event::Seek { message_stream: 1, position_ms: 0.0 },
                Event::Receive { message_stream: 1, track: Track::Audio, wanted: true },
                Event::Stop { message_stream: 1 },
            ]
        );
    }
}

#[test]
fn a_message_its_sender_gave_up_is_forgotten() {
    let begun = [4, 0, 0, 0, 0, 1, 0, 9, 1, 0, 0, 0];
    let script = Script::publishing()
        .raw(&begun)
        .raw(&[1; 128])
        .say(0, 0, &Message::Abort(4))
        .say(0, 0, &Message::Abort(77))
        .raw(&begun)
        .raw(&[2; 128])
        .raw(&[0xc4])
        .raw(&[2; 128]);
    for piece in [1, 100, usize::MAX] {
        let (served, result) = Served::of(&script.bytes, piece);
        result.unwrap();
        assert_eq!(served.media(), [(Track::Video, 0, [2; 256].as_slice())]);
        assert_eq!(served.session.held(), 0);
    }
}

#[test]
fn events_of_the_user_change_nothing() {
    use super::super::message::UserControl;
    let event = |event| Message::UserControl(event);
    let script = Script::publishing()
        .say(0, 0, &event(UserControl::StreamBegin(1)))
        .say(0, 0, &event(UserControl::StreamEof(1)))
        .say(0, 0, &event(UserControl::StreamDry(9)))
        .say(0, 0, &event(UserControl::SetBufferLength { message_stream: 1, millis: u32::MAX }))
        .say(0, 0, &event(UserControl::StreamIsRecorded(1)))
        .say(0, 0, &event(UserControl::Other(31)))
        .say(0, 0, &event(UserControl::PingRequest(7)))
        .audio(0, b"a");
    for piece in [1, usize::MAX] {
        let (served, result) = Served::of(&script.bytes, piece);
        result.unwrap();
        assert_eq!((served.events.len(), served.media().len()), (3, 1));
        assert_eq!(served.answers().last().unwrap(), "UserControl(PingResponse(7))");
    }
}

#[test]
fn idle_handshakes_hold_no_more_than_they_sent() {
    let mut session = ServerSession::new(1);
    session.receive(&[vec![3], vec![1; 1000]].concat()).unwrap();
    assert_eq!(session.held(), 1000);
    assert!(!session.has_output());
    session.receive(&[1; 536]).unwrap();
    assert_eq!(session.held(), 0);
    assert!(matches!(
        ServerSession::new(1).receive(b"\x08"),
        Err(Error::Handshake(HandshakeError::Encrypted(8)))
    ));
}

#[test]
fn a_session_is_small() {
    // Thousands of players have one each.
    assert!(size_of::<ServerSession>() <= 384, "{}", size_of::<ServerSession>());
    assert!(size_of::<Event>() <= 64, "{}", size_of::<Event>());
}
