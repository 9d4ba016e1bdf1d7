#![allow(clippy::unwrap_used)]

use super::*;
use crate::protocol::rtmp::amf0::Object;
use proptest::prelude::*;

fn raw(kind: u8, payload: impl Into<Bytes>) -> RawMessage {
    RawMessage { kind, message_stream: 1, time: 1000, payload: payload.into() }
}

#[test]
fn what_is_written_is_read() {
    let messages = [
        Message::SetChunkSize(4096),
        Message::Abort(4),
        Message::Acknowledgement(u32::MAX),
        Message::WindowAckSize(2_500_000),
        Message::SetPeerBandwidth(1, Limit::Hard),
        Message::SetPeerBandwidth(1, Limit::Soft),
        Message::SetPeerBandwidth(1, Limit::Dynamic),
        Message::UserControl(UserControl::StreamBegin(1)),
        Message::UserControl(UserControl::StreamEof(2)),
        Message::UserControl(UserControl::StreamDry(3)),
        Message::UserControl(UserControl::SetBufferLength { message_stream: 1, millis: 3000 }),
        Message::UserControl(UserControl::StreamIsRecorded(1)),
        Message::UserControl(UserControl::PingRequest(7)),
        Message::UserControl(UserControl::PingResponse(7)),
        Message::UserControl(UserControl::Other(31)),
        Message::Command(Command::new(
            "play",
            4.0,
            Value::Null,
            vec!["name".into(), (-2000.0).into(), true.into()],
        )),
        Message::Command(Command::new("connect", 1.0, Object::default().into(), vec![])),
        Message::Data(Bytes::from_static(b"\x02\0\x01x")),
        Message::Audio(Bytes::from_static(b"\xaf\x01")),
        Message::Video(Bytes::from_static(b"\x17\x01")),
        Message::Aggregate(Bytes::new()),
        Message::Other(19),
    ];
    for message in messages {
        let (kind, payload) = message.emit();
        assert_eq!(Message::parse(&raw(kind, payload)), Ok(message));
    }
}

#[test]
fn short_messages_are_refused_at_every_length() {
    for (kind, whole) in [(1, 4), (2, 4), (3, 4), (5, 4), (6, 4)] {
        for len in 0..whole {
            let short = Message::parse(&raw(kind, vec![0; len]));
            assert!(matches!(short, Err(MessageError::Short { .. })), "{kind} {len}");
        }
    }
    for (event, whole) in [(0u8, 6), (1, 6), (2, 6), (3, 10), (4, 6), (6, 6), (7, 6), (31, 2)] {
        let payload = [vec![0, event], vec![0; 8]].concat();
        for len in 0..=10 {
            let parsed = Message::parse(&raw(4, payload[..len].to_vec()));
            assert_eq!(parsed.is_ok(), len >= whole, "{event} {len}");
        }
    }
}

#[test]
fn commands_may_come_wrapped_for_amf3_and_incomplete() {
    let call = Message::Command(Command::new("play", 3.0, Value::Null, vec!["n".into()]));
    let (_, payload) = call.emit();
    let wrapped = [&[0], payload.as_ref()].concat();
    assert_eq!(Message::parse(&raw(kind::COMMAND_AMF3, wrapped)), Ok(call.clone()));
    assert_eq!(Message::parse(&raw(kind::COMMAND_AMF3, payload)), Ok(call));
    let name_only = Message::parse(&raw(kind::COMMAND, b"\x02\0\x01x".as_slice()));
    assert_eq!(name_only, Ok(Message::Command(Command::new("x", 0.0, Value::Null, vec![]))));
    for bad in [b"".as_slice(), b"\x05", b"\0\0\0\0\0\0\0\0\0"] {
        assert_eq!(Message::parse(&raw(kind::COMMAND, bad)), Err(MessageError::CommandName));
    }
    let long = raw(kind::COMMAND, vec![5; RTMP_MESSAGE_AT_FIRST + 1]);
    assert!(matches!(Message::parse(&long), Err(MessageError::CommandLength(_))));
}

fn tag(kind: u8, time: u32, payload: &[u8]) -> Vec<u8> {
    let [t3, t2, t1, t0] = time.to_be_bytes();
    let [_, l2, l1, l0] = (payload.len() as u32).to_be_bytes();
    let mut out = vec![kind, l2, l1, l0, t2, t1, t0, t3, 0, 0, 0];
    out.extend_from_slice(payload);
    out.extend_from_slice(&(payload.len() as u32 + 11).to_be_bytes());
    out
}

#[test]
fn an_aggregate_is_its_messages_with_their_distances() {
    let tags = [tag(8, 0xff_fff0, b"a"), tag(9, 0x100_0013, b"vv"), tag(18, 0xff_fff0, b"")];
    let mut payload = tags.concat();
    for cut in [0, 4] {
        payload.truncate(payload.len() - cut);
        let all: Vec<_> = aggregated(&raw(22, payload.clone())).map(Result::unwrap).collect();
        let seen: Vec<_> = all.iter().map(|m| (m.kind, m.time, m.payload.as_ref())).collect();
        assert_eq!(seen, [(8, 1000, b"a".as_slice()), (9, 1035, b"vv"), (18, 1000, b"")]);
        assert!(all.iter().all(|message| message.message_stream == 1));
    }
}

#[test]
fn broken_aggregates_end() {
    let last = |payload: Vec<u8>| aggregated(&raw(22, payload)).last().unwrap();
    assert_eq!(last(tag(22, 0, b"")), Err(MessageError::AggregateKind(22)));
    assert_eq!(last(tag(20, 0, b"")), Err(MessageError::AggregateKind(20)));
    let whole = tag(9, 0, b"abcdef");
    for len in 1..whole.len() - 4 {
        assert_eq!(last(whole[..len].to_vec()), Err(MessageError::AggregateCut), "{len}");
    }
    let many = tag(8, 0, b"").repeat(RTMP_AGGREGATE + 1);
    assert_eq!(last(many), Err(MessageError::AggregateCount));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(
        kind in 0u8..24,
        payload in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let raw = raw(kind, payload);
        let _ = Message::parse(&raw);
        aggregated(&raw).for_each(drop);
    }
}
