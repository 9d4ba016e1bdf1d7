//! Clients as they are known to speak, byte by byte, where no recording is at hand.

use super::*;

/// A chunk stream's messages as librtmp has them: type 0 first, type 1 and less afterwards, chunk by
/// chunk, with no extended timestamp on type 3.
fn librtmp(id: u8, times: &[u32], payload: &[u8], chunk: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut last = None;
    let [_, length @ ..] = (payload.len() as u32).to_be_bytes();
    for time in times {
        let field = last.map_or(*time, |last| time - last);
        out.push(if last.is_none() { id } else { 0x40 | id });
        out.extend_from_slice(&field.min(0xff_ffff).to_be_bytes()[1..]);
        out.extend_from_slice(&length);
        out.push(9);
        if last.is_none() {
            out.extend_from_slice(&[1, 0, 0, 0]);
        }
        if field >= 0xff_ffff {
            out.extend_from_slice(&field.to_be_bytes());
        }
        let mut parts = payload.chunks(chunk);
        out.extend_from_slice(parts.next().unwrap());
        for part in parts {
            out.push(0xc0 | id);
            out.extend_from_slice(part);
        }
        last = Some(*time);
    }
    out
}

#[test]
fn obs_announces_its_chunks_before_it_connects() {
    let object = Object::default()
        .with("app", "live")
        .with("type", "nonprivate")
        .with("flashVer", "FMLE/3.0 (compatible; FMSc/1.0)")
        .with("swfUrl", "rtmp://h/live")
        .with("tcUrl", "rtmp://h/live")
        .with("fourCcList", Value::StrictArray(vec!["av01".into(), "hvc1".into()]));
    let script = Script::new()
        .chunks_of(4096)
        .call(0, "connect", 1.0, object.into(), vec![])
        .call(0, "releaseStream", 2.0, Value::Null, vec!["key".into()])
        .call(0, "FCPublish", 3.0, Value::Null, vec!["key".into()])
        .call(0, "createStream", 4.0, Value::Null, vec![])
        .call(1, "publish", 5.0, Value::Null, vec!["key".into(), "live".into()])
        .raw(&librtmp(4, &[0, 33, 67], &[0x17; 9000], 4096));
    for piece in [1, 16, 5000] {
        let (served, result) = Served::of(&script.bytes, piece);
        result.unwrap();
        let Event::Connect(connect) = &served.events[0] else { panic!() };
        assert!(connect.capabilities.is_enhanced());
        let media: Vec<_> = served.media().iter().map(|m| (m.1, m.2.len())).collect();
        assert_eq!(media, [(0, 9000), (33, 9000), (67, 9000)]);
    }
}

#[test]
fn a_stream_that_runs_for_hours_in_old_librtmp() {
    let hours = 5 * 3_600_000;
    let script = Script::publishing()
        .raw(&librtmp(4, &[hours, hours + 33, hours + 67], &[0x27; 1000], 128))
        .raw(&librtmp(6, &[hours + 1], &[0; 300], 128));
    for piece in [1, 16, 5000] {
        let (served, result) = Served::of(&script.bytes, piece);
        result.unwrap();
        let times: Vec<_> = served.media().iter().map(|m| m.1 - i64::from(hours)).collect();
        assert_eq!(times, [0, 33, 67, 1]);
    }
}

#[test]
fn flash_speaks_amf3() {
    let object = Object::default().with("app", "live").with("objectEncoding", 3.0);
    let wrapped = |script: Script, message_stream: u32, command: Command| {
        let (_, payload) = Message::Command(command).emit();
        let kind = kind::COMMAND_AMF3;
        let header = Header { chunk_stream: 3, kind, message_stream, time: 0 };
        script.message(header, &[&[0], payload.as_ref()].concat())
    };
    let script = Script::new().call(0, "connect", 1.0, object.into(), vec![]);
    let script = wrapped(script, 0, Command::new("createStream", 2.0, Value::Null, vec![]));
    let publish = Command::new("publish", 3.0, Value::Null, vec!["cam".into(), "live".into()]);
    let script = wrapped(script, 1, publish).chunks_of(4096).video(0, &[0; 100_000]);
    let (served, result) = Served::of(&script.bytes, 1000);
    result.unwrap();
    assert_eq!(served.media().len(), 1);
}

#[test]
fn a_hardware_encoder_waits_for_the_answer_to_fcpublish() {
    let script = Script::connected().call(0, "FCPublish", 3.0, Value::Null, vec!["cam".into()]);
    let (served, result) = Served::of(&script.bytes, usize::MAX);
    result.unwrap();
    let expected = ["_result 3", "onFCPublish 0 NetStream.Publish.Start"];
    assert_eq!(served.answers()[6..], expected);
}

#[test]
fn who_wants_acknowledgements_often_gets_one_a_read() {
    let script = Script::publishing().say(0, 0, &Message::WindowAckSize(1)).video(0, &[0; 5000]);
    let (served, result) = Served::of(&script.bytes, 1000);
    result.unwrap();
    let count = served.answers().iter().filter(|a| a.starts_with("Acknowledgement")).count();
    assert!((1..20).contains(&count), "{count}");
    // And one that wants none is not answered in a loop.
    let script = Script::publishing().say(0, 0, &Message::WindowAckSize(0)).video(0, &[0; 5000]);
    assert_eq!(Served::of(&script.bytes, 1000).1, Ok(()));
}
