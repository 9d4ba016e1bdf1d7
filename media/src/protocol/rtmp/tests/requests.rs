//! What each request is answered, and in which order.

use super::super::capabilities::Capabilities;
use super::super::server::{App, Play, PlayStart, PublishKind};
use super::super::status::code;
use super::*;

const WELCOME: [&str; 5] = [
    "WindowAckSize(2500000)",
    "SetPeerBandwidth(2500000, Dynamic)",
    "UserControl(StreamBegin(0))",
    "SetChunkSize(60000)",
    "_result 1 NetConnection.Connect.Success",
];

fn served(script: Script) -> Served {
    let (served, result) = Served::of(&script.bytes, usize::MAX);
    result.unwrap();
    served
}

/// What is answered behind connect and createStream.
fn answered(script: Script) -> Vec<String> {
    let all = served(script).answers();
    assert_eq!(all[..5], WELCOME);
    assert_eq!(all[5], "_result 2 1");
    all[6..].to_vec()
}

#[test]
fn all_of_a_publisher_in_one_read_is_answered_in_one_piece() {
    let script = Script::connected()
        .command(0, "releaseStream", vec!["cam".into()])
        .command(0, "FCPublish", vec!["cam".into()])
        .command(1, "publish", vec!["cam?k=v".into(), "record".into()])
        .chunks_of(4096)
        .video(0, b"\x17\0")
        .audio(3, b"\xaf\0")
        .video(40, &[0x27; 10_000]);
    for piece in [1, 16, usize::MAX] {
        let (served, result) = Served::of(&script.bytes, piece);
        result.unwrap();
        let (name, query) = ("cam".to_owned(), "k=v".to_owned());
        let publish = Event::Publish { message_stream: 1, name, query, kind: PublishKind::Record };
        assert_eq!(served.events[1], publish);
        assert_eq!(
            served.media(),
            [
                (Track::Video, 0, b"\x17\0".as_slice()),
                (Track::Audio, 3, b"\xaf\0"),
                (Track::Video, 40, &[0x27; 10_000])
            ]
        );
        assert_eq!(
            served.answers()[5..],
            [
                "_result 2 1",
                "_result 3",
                "_result 3",
                "onFCPublish 0 NetStream.Publish.Start",
                "UserControl(StreamBegin(1))",
                "onStatus 0 NetStream.Publish.Start",
            ]
        );
    }
}

#[test]
fn media_waits_behind_its_publish_until_it_is_decided() {
    let script = Script::publishing()
        .video(0, b"a")
        .command(0, "getStreamLength", vec!["cam".into()])
        .video(1, b"b");
    for accepted in [true, false] {
        let mut session = ServerSession::new(1);
        session.receive(&script.bytes).unwrap();
        assert!(matches!(session.poll_event(), Some(Event::Connect(_))));
        assert!(matches!(session.poll_event(), Some(Event::Publish { .. })));
        assert_eq!(session.poll_event(), None);
        assert!(session.is_undecided() && session.held() > 0);
        session.receive(&Script::empty().video(2, b"c").bytes).unwrap();
        assert_eq!(session.poll_event(), None);
        match accepted {
            true => session.accept_publish().unwrap(),
            false => session.reject_publish(code::PUBLISH_DENIED, "no").unwrap(),
        }
        let media = std::iter::from_fn(|| session.poll_event()).count();
        assert_eq!((media, session.ignored()), if accepted { (3, 0) } else { (0, 3) });
        assert_eq!(session.held(), 0);
        let mut sent = Vec::new();
        session.take_output(&mut sent);
        assert_eq!(answers(&sent).last().unwrap(), "_result 3 0");
        let again = session.accept_publish();
        assert!(matches!(again, Err(Error::Misuse(_))));
        session.receive(&Script::empty().video(2, b"c").bytes).unwrap();
    }
}

#[test]
fn all_of_a_player_in_one_read_is_answered_in_one_piece() {
    let arguments = vec!["cam".into(), (-1000.0).into(), (-1.0).into(), true.into()];
    let script = Script::connected()
        .command(0, "FCSubscribe", vec!["cam".into()])
        .command(1, "play", arguments);
    assert_eq!(
        answered(script),
        [
            "_result 3",
            "onFCSubscribe 0 NetStream.Play.Start",
            "UserControl(StreamBegin(1))",
            "onStatus 0 NetStream.Play.Reset",
            "onStatus 0 NetStream.Play.Start",
            "data |RtmpSampleAccess",
            "data onStatus",
        ]
    );
    // Without createStream, and without reset.
    let script = Script::connected().command(
        7,
        "play",
        vec!["a".into(), 5.0.into(), 2.0.into(), false.into()],
    );
    let served = served(script);
    let play = Play {
        message_stream: 7,
        name: "a".into(),
        query: "".into(),
        start: PlayStart::Recorded(5.0),
        duration: Some(2.0),
        reset: false,
    };
    assert_eq!(served.events[1], Event::Play(Box::new(play)));
    assert!(!served.answers().contains(&"onStatus 0 NetStream.Play.Reset".to_owned()));
}

#[test]
fn players_pause_seek_choose_tracks_and_change_streams() {
    let other = Object::default().with("streamName", "b?q").with("oldStreamName", "a");
    let script = Script::connected()
        .command(1, "play", vec!["a".into()])
        .command(1, "pause", vec![true.into(), 500.0.into()])
        .command(1, "pauseRaw", vec![false.into(), 500.0.into()])
        .command(1, "seek", vec![1000.0.into()])
        .command(1, "receiveVideo", vec![false.into()])
        .command(1, "receiveAudio", vec![true.into()])
        .command(1, "play2", vec![other.into()])
        .command(1, "closeStream", vec![])
        .command(0, "deleteStream", vec![1.0.into()])
        .command(0, "createStream", vec![]);
    let mut served = served(script);
    let stop = Event::Stop { message_stream: 1 };
    let receive = |track, wanted| Event::Receive { message_stream: 1, track, wanted };
    let pause = |paused| Event::Pause { message_stream: 1, paused, position_ms: 500.0 };
    assert_eq!(
        served.events[2..8],
        [
            pause(true),
            pause(false),
            Event::Seek { message_stream: 1, position_ms: 1000.0 },
            receive(Track::Video, false),
            receive(Track::Audio, true),
            stop.clone(),
        ]
    );
    let Event::Play(play) = &served.events[8] else { panic!() };
    assert_eq!((play.name.as_str(), play.query.as_str()), ("b", "q"));
    assert_eq!(served.events[9..], [stop]);
    // The number is free again.
    assert_eq!(served.answers().last().unwrap(), "_result 3 1");
    served.session.answer_seek(1, false, "It is live.");
    served.session.take_output(&mut served.sent);
    assert_eq!(served.answers().last().unwrap(), "onStatus 0 NetStream.Seek.Failed");
}

#[test]
fn publishers_leave_in_several_ways() {
    let leave: [fn(Script) -> Script; 4] = [
        |script| script.command(0, "FCUnpublish", vec!["cam".into()]),
        |script| script.command(0, "FCUnpublish", vec!["other spelling".into()]),
        |script| script.command(1, "closeStream", vec![]),
        |script| script.command(0, "deleteStream", vec![1.0.into()]),
    ];
    for leave in leave {
        let served = served(leave(Script::publishing().audio(0, b"a")).audio(1, b"late"));
        assert_eq!(served.events[3..], [Event::Unpublish { message_stream: 1 }]);
        assert_eq!(served.session.ignored(), 1);
        let over = "onStatus 0 NetStream.Unpublish.Success".to_owned();
        assert!(served.answers().contains(&over));
    }
}

#[test]
fn one_connection_has_several_message_streams() {
    let script = Script::publishing()
        .command(0, "createStream", vec![])
        .command(2, "publish", vec!["two".into()])
        .command(2, "publish", vec!["three".into()])
        .command(0, "createStream", vec![])
        .command(3, "play", vec!["cam".into()])
        .audio(0, b"one")
        .say(2, 5, &Message::Audio(b"two".as_slice().into()))
        .command(0, "FCUnpublish", vec!["two".into()]);
    let served = served(script);
    let from = |event: &Event| match event {
        Event::Media { message_stream, .. } | Event::Unpublish { message_stream } => {
            Some(*message_stream)
        }
        _ => None,
    };
    assert_eq!(served.events.iter().filter_map(from).collect::<Vec<_>>(), [1, 2, 2]);
    let refused = "onStatus 0 NetStream.Publish.BadName".to_owned();
    assert!(served.answers().contains(&refused));
}

#[test]
fn calls_want_answers_and_notices_none() {
    let script = Script::connected()
        .call(0, "_checkbw", 9.0, Value::Null, vec![])
        .call(0, "_checkbw", 0.0, Value::Null, vec![])
        .call(0, "getStreamLength", 8.0, Value::Null, vec!["cam".into()])
        .call(0, "no such thing", 7.0, Value::Null, vec![])
        .call(0, "no such thing", 0.0, Value::Null, vec![])
        .call(0, "onStatus", 0.0, Value::Null, vec![]);
    let expected = ["_result 9", "_result 8 0", "_error 7 NetConnection.Call.Failed"];
    assert_eq!(answered(script), expected);
}

#[test]
fn data_reaches_players_without_what_was_for_the_server() {
    let data = |kind: u8, payload: &[u8]| {
        let header = Header { chunk_stream: 5, kind, message_stream: 1, time: 0 };
        Script::empty().message(header, payload).bytes
    };
    let metadata = b"\x02\0\x0aonMetaData\x08\0\0\0\x01\0\x01a\x01\x01\0\0\x09".as_slice();
    let set = [b"\x02\0\x0d@setDataFrame", metadata].concat();
    let wrapped = [b"\0", set.as_slice()].concat();
    let deep = [b"\x02\0\x01x".as_slice(), &[0x0a, 0, 0, 0, 1].repeat(50)].concat();
    type Case<'a> = (u8, &'a [u8], Option<&'a [u8]>);
    let cases: [Case<'_>; 8] = [
        (kind::DATA, metadata, Some(metadata)),
        (kind::DATA, &set, Some(metadata)),
        (kind::DATA_AMF3, &wrapped, Some(metadata)),
        (kind::DATA, b"\x02\0\x0f@clearDataFrame\x02\0\x0aonMetaData", None),
        (kind::DATA, b"\x02\0\x11|RtmpSampleAccess\x01\x01\x01\x01", None),
        (kind::DATA, b"\x05", None),
        (kind::DATA, b"\x02\0\x01x\xff", None),
        (kind::DATA, b"", None),
    ];
    for (kind, payload, expected) in cases {
        let served = served(Script::publishing().raw(&data(kind, payload)));
        let media: Vec<_> = served.media().into_iter().map(|(_, _, payload)| payload).collect();
        assert_eq!(media, Vec::from_iter(expected), "{payload:?}");
    }
    let (_, result) = Served::of(&Script::publishing().raw(&data(kind::DATA, &deep)).bytes, 99);
    assert!(matches!(result, Err(Error::Session(SessionError::Data(_)))));
    // On the connection's own message stream, as some do.
    let header = Header { chunk_stream: 5, kind: 18, message_stream: 0, time: 0 };
    let served = served(Script::publishing().message(header, metadata));
    assert_eq!(served.media().len(), 1);
}

#[test]
fn an_aggregate_is_its_messages() {
    let tag = |kind: u8, time: u8| [kind, 0, 0, 1, 0, 0, time, 0, 0, 0, 0, 7, 0, 0, 0, 12];
    let payload = [tag(8, 3), tag(9, 10), tag(9, 50)].concat();
    let script = Script::publishing().say(1, 1000, &Message::Aggregate(payload.into()));
    let times: Vec<_> = served(script).media().iter().map(|m| (m.0, m.1)).collect();
    assert_eq!(times, [(Track::Audio, 1000), (Track::Video, 1007), (Track::Video, 1047)]);
}

#[test]
fn an_enhanced_client_is_answered_in_kind_and_an_old_one_as_ever() {
    let properties = |offered: Capabilities| {
        let object =
            offered.emit(Object::default().with("app", "live").with("objectEncoding", 3.0));
        let served = served(Script::new().call(0, "connect", 1.0, object.into(), vec![]));
        let raw = messages(&served.sent).pop().unwrap();
        let Ok(Message::Command(command)) = Message::parse(&raw) else { panic!() };
        let info = command.arguments[0].as_object().unwrap().clone();
        assert_eq!(info.number("objectEncoding"), Some(3.0));
        assert!(command.object.as_object().unwrap().text("fmsVer").is_some());
        assert_eq!(
            Capabilities::parse(&info),
            Capabilities::parse(command.object.as_object().unwrap())
        );
        Capabilities::parse(&info)
    };
    assert_eq!(properties(Capabilities::default()), Capabilities::default());
    assert_eq!(properties(Capabilities::ours()), Capabilities::ours());
}

#[test]
fn apps_and_urls_come_with_their_queries() {
    let object = Object::default()
        .with("app", "live/inst?vhost=a")
        .with("tcUrl", "rtmp://h/live/inst?vhost=a")
        .with("pageUrl", "http://p")
        .with("swfUrl", "http://s")
        .with("flashVer", "FMLE/3.0");
    let served = served(Script::new().call(0, "connect", 1.0, object.into(), vec![]));
    let Event::Connect(connect) = &served.events[0] else { panic!() };
    assert_eq!(connect.app, App { name: "live/inst".into(), query: "vhost=a".into() });
    assert_eq!(connect.tc_url, "rtmp://h/live/inst?vhost=a");
    assert_eq!(
        (connect.page_url.as_str(), connect.swf_url.as_str(), connect.flash_version.as_str()),
        ("http://p", "http://s", "FMLE/3.0")
    );
}
