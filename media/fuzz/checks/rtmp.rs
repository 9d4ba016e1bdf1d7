//! RTMP: sessions, handshake, chunks, messages, AMF.

use super::{Input, same};
use bytes::Bytes;
use media::frame::Track;
use media::limits::{AMF_DEPTH, RTMP_AGGREGATE, RTMP_HELD, RTMP_MESSAGE};
use media::protocol::rtmp::amf0::{self, AmfError, Object, Value};
use media::protocol::rtmp::amf3;
use media::protocol::rtmp::capabilities::Capabilities;
use media::protocol::rtmp::chunk::{self, ChunkError, RawMessage, Reader, kind};
use media::protocol::rtmp::client::{ClientConfig, Event as Heard, Purpose};
use media::protocol::rtmp::handshake::{ClientHandshake, Form, HandshakeError, ServerHandshake};
use media::protocol::rtmp::message::{Command, Message, aggregated};
use media::protocol::rtmp::server::{Event, PlayStart, PublishKind};
use media::protocol::rtmp::status::code;
use media::protocol::rtmp::{ClientSession, Error, ServerSession};

/// The length of a whole handshake, either way.
const HANDSHAKE: usize = 1 + 2 * 1536;

/// What an end says before what the fuzzer makes up, so that it need not find out how to begin.
struct Prelude(Vec<u8>);

impl Prelude {
    fn handshake() -> Self {
        Self([vec![3], vec![0; HANDSHAKE - 1]].concat())
    }

    fn say(mut self, message_stream: u32, message: &Message) -> Self {
        let (kind, payload) = message.emit();
        let header = chunk::Header { chunk_stream: 3, kind, message_stream, time: 0 };
        let size = chunk::DEFAULT_CHUNK_SIZE;
        chunk::append(&mut self.0, &header, &[&payload], size).expect("it is short");
        self
    }

    fn call(self, name: &str, number: f64, object: Value, arguments: Vec<Value>) -> Self {
        let message_stream = u32::from(matches!(name, "publish" | "play" | "onStatus"));
        let command = Command::new(name, number, object, arguments);
        self.say(message_stream, &Message::Command(command))
    }

    /// A client: nothing, its handshake, connected, or publishing or playing.
    fn of_client(setup: u8) -> Vec<u8> {
        let object = Object::default().with("app", "live").with("tcUrl", "rtmp://h/live");
        let connected = || {
            Self::handshake().call("connect", 1.0, object.into(), vec![]).call(
                "createStream",
                2.0,
                Value::Null,
                vec![],
            )
        };
        let name = vec!["cam?k=v".into()];
        match setup & 3 {
            0 => Vec::new(),
            1 => Self::handshake().0,
            2 => connected().0,
            _ if setup & 4 == 0 => connected().call("publish", 3.0, Value::Null, name).0,
            _ => connected().call("play", 3.0, Value::Null, name).0,
        }
    }

    /// A server: nothing, its handshake, connected, or started.
    fn of_server(setup: u8, started: &str) -> Vec<u8> {
        let info = |code: &str| Object::default().with("level", "status").with("code", code);
        let connected = || {
            let info = info(code::CONNECT_SUCCESS).into();
            Self::handshake().call("_result", 1.0, Value::Null, vec![info])
        };
        match setup & 3 {
            0 => Vec::new(),
            1 => Self::handshake().0,
            2 => connected().0,
            _ => {
                let info = info(started).into();
                let created = connected().call("_result", 4.0, Value::Null, vec![1.0.into()]);
                created.call("onStatus", 0.0, Value::Null, vec![info]).0
            }
        }
    }
}

/// The messages an end sent behind its handshake, but for those that depend on how its input was cut.
fn said(sent: &[u8]) -> Vec<RawMessage> {
    let Some(mut rest) = sent.get(HANDSHAKE..) else { return Vec::new() };
    let mut reader = Reader::default();
    reader.set_message_limit(RTMP_MESSAGE);
    let mut all = Vec::new();
    while let Some(raw) = reader.read(&mut rest).expect("it is ours") {
        match Message::parse(&raw).expect("it is ours") {
            Message::SetChunkSize(size) => reader.set_chunk_size(size).expect("it is ours"),
            Message::Acknowledgement(_) | Message::WindowAckSize(_) => continue,
            _ => {}
        }
        all.push(raw);
    }
    assert_eq!(reader.held(), 0, "half a message was sent");
    all
}

/// What a server made of its input.
struct Served {
    session: ServerSession,
    events: Vec<Event>,
    said: Vec<RawMessage>,
    error: Option<Error>,
}

/// Serves these pieces; questions are decided as soon as they are heard, the n-th one by the n-th
/// choice.
fn serve<'a>(input: &Input<'_>, pieces: impl IntoIterator<Item = &'a [u8]>) -> Served {
    let mut session = ServerSession::new(1);
    if input.setup & 8 != 0 {
        session = session.deciding_connects();
    }
    let (mut events, mut sent, mut received, mut questions) = (Vec::new(), Vec::new(), 0, 0);
    let mut run = |session: &mut ServerSession, piece: &[u8]| {
        received += piece.len();
        let taken = session.receive(piece);
        // Each message costs a byte at least, and is held with what it costs beside its payload.
        assert!(session.held() <= RTMP_HELD.min(130 * received) + received);
        let mut result = taken;
        while let Some(event) = session.poll_event() {
            let accept = input.choice(questions) & 1 == 0;
            let question = match &event {
                Event::Connect(_) => input.setup & 8 != 0,
                event => matches!(event, Event::Publish { .. } | Event::Play(_)),
            };
            let decided = match &event {
                _ if result.is_err() || !question => Ok(()),
                Event::Connect(_) if accept => session.accept_connect(),
                Event::Connect(_) => session.reject_connect("no"),
                Event::Publish { .. } if accept => session.accept_publish(),
                Event::Publish { .. } => session.reject_publish(code::PUBLISH_DENIED, "no"),
                Event::Play(_) if accept => session.accept_play(),
                Event::Play(_) => session.reject_play(code::PLAY_NOT_FOUND, "no"),
                _ => Ok(()),
            };
            questions += usize::from(question);
            assert!(!matches!(decided, Err(Error::Misuse(_))), "{event:?}: {decided:?}");
            result = result.and(decided);
            events.push(event);
        }
        session.take_output(&mut sent);
        // What is answered is a small multiple of what was asked.
        assert!(sent.len() <= 64 * received + 8192);
        result
    };
    let result = pieces.into_iter().try_for_each(|piece| run(&mut session, piece));
    if let Err(error) = &result {
        assert_eq!(session.receive(b"more"), Err(error.clone()));
        assert_eq!(session.accept_play(), Err(error.clone()));
        assert_eq!(session.poll_event(), None);
    } else if !session.is_undecided() {
        assert!(session.held() <= received, "{} held", session.held());
    }
    Served { session, events, said: said(&sent), error: result.err() }
}

/// Whether what came of an input is the same, or, if it ended by an error, a beginning of it: an error
/// may be met before a question is decided that came before it.
fn agree(some: &Served, all: &Served) {
    assert_eq!(some.error.is_some(), all.error.is_some(), "{:?} {:?}", some.error, all.error);
    match some.error {
        None => {
            assert!(same(&some.events, &all.events), "{:#?}\n{:#?}", some.events, all.events);
            assert_eq!(some.said, all.said);
            assert_eq!(some.session.ignored(), all.session.ignored());
        }
        Some(_) => {
            let events = some.events.len();
            assert!(events <= all.events.len(), "{:#?}\n{:#?}", some.events, all.events);
            assert!(same(&&some.events[..], &&all.events[..events]));
            assert!(all.said.starts_with(&some.said), "{:#?}\n{:#?}", some.said, all.said);
        }
    }
}

pub fn server(data: &[u8]) {
    let input = Input::of(data);
    let prelude = Prelude::of_client(input.setup);
    let single = serve(&input, [&prelude[..]].into_iter().chain(input.wire.chunks(1)));
    let mut whole = serve(&input, [&[&prelude, input.wire].concat()[..]]);
    agree(&whole, &single);
    agree(&serve(&input, [&prelude[..]].into_iter().chain(input.pieces())), &single);

    // Whatever state it is in, its owner may ask for anything.
    let session = &mut whole.session;
    let results = [
        session.send_media(1, Track::Video, -1, &[b"x"]),
        session.end_play(1, "over"),
        session.end_publish(1, code::PUBLISH_DENIED, "over"),
        session.accept_publish(),
        session.accept_play(),
    ];
    for error in results.into_iter().filter_map(Result::err) {
        assert!(whole.error.is_some() || matches!(error, Error::Misuse(_)) || session.held() == 0);
    }
    session.answer_seek(1, true, "");
    session.request_reconnect(None, "");
    session.ping(1);
}

/// What a client made of its input: what happened, what it sent, how it ended.
type Client = (Vec<Heard>, Vec<RawMessage>, Option<Error>);

fn listen<'a>(input: &Input<'_>, pieces: impl IntoIterator<Item = &'a [u8]>) -> Client {
    let purpose = purpose(input.setup);
    let mut config = ClientConfig::from_url("rtmp://h/a/b", purpose).expect("it is a URL");
    config.form = form(input.setup);
    config.capabilities = Capabilities::ours();
    let mut session = ClientSession::new(config, 1);
    let (mut events, mut sent, mut received, mut error) = (Vec::new(), Vec::new(), 0, None);
    for piece in pieces {
        received += piece.len();
        let taken = session.receive(piece);
        assert!(session.held() <= received);
        events.extend(std::iter::from_fn(|| session.poll_event()));
        session.take_output(&mut sent);
        assert!(sent.len() <= 64 * received + 8192);
        if let Err(found) = taken {
            assert_eq!(session.receive(b"more"), Err(found.clone()));
            error = Some(found);
            break;
        }
    }
    let started = events.iter().filter(|event| **event == Heard::Started).count();
    assert!(started <= 1);
    let ends = |event: &Heard| matches!(event, Heard::Refused { .. } | Heard::Ended { .. });
    let after = events.iter().position(ends).map_or(&[][..], |end| &events[end + 1..]);
    let goes_on = |event: &Heard| {
        ends(event) || matches!(event, Heard::Started | Heard::Connected(_) | Heard::Media { .. })
    };
    assert!(!after.iter().any(goes_on), "{events:#?}");
    if error.is_none() {
        let sent = session.send_media(Track::Audio, 0, &[b"x"]);
        let publishing = session.is_started() && matches!(purpose, Purpose::Publish(_));
        assert_eq!(sent.is_ok(), publishing);
        session.finish();
        assert!(!session.is_started());
    }
    (events, said(&sent), error)
}

fn purpose(setup: u8) -> Purpose {
    match setup & 4 {
        0 => Purpose::Publish(PublishKind::Live),
        _ => Purpose::Play(PlayStart::Any),
    }
}

fn form(setup: u8) -> Form {
    if setup & 8 == 0 { Form::Simple } else { Form::Digest }
}

pub fn client(data: &[u8]) {
    let input = Input::of(data);
    let started = if input.setup & 4 == 0 { code::PUBLISH_START } else { code::PLAY_START };
    let prelude = Prelude::of_server(input.setup, started);
    let whole = listen(&input, [&[&prelude, input.wire].concat()[..]]);
    let single = listen(&input, [&prelude[..]].into_iter().chain(input.wire.chunks(1)));
    assert!(same(&whole, &single), "{whole:#?}\n{single:#?}");
    let pieces = listen(&input, [&prelude[..]].into_iter().chain(input.pieces()));
    assert!(same(&whole, &pieces), "{whole:#?}\n{pieces:#?}");
}

/// Both ends, with a network between them that cuts as chosen. What one sends arrives at the other.
pub fn pair(data: &[u8]) {
    let input = Input::of(data);
    let purpose = purpose(input.setup);
    let mut config = ClientConfig::from_url("rtmp://h/live/cam?k", purpose).expect("it is a URL");
    config.form = form(input.setup);
    let mut client = ClientSession::new(config, 1);
    let mut server = ServerSession::new(2);
    let (mut at_server, mut at_client, mut turn) = (Vec::new(), Vec::new(), 0);
    let mut settle = |client: &mut ClientSession, server: &mut ServerSession| loop {
        let (mut up, mut down) = (Vec::new(), Vec::new());
        client.take_output(&mut up);
        let mut rest = &up[..];
        while !rest.is_empty() {
            turn += 1;
            let length = 1 + usize::from(input.choice(turn)).pow(2);
            let (piece, after) = rest.split_at(length.min(rest.len()));
            rest = after;
            server.receive(piece).expect("a client of ours");
            while let Some(event) = server.poll_event() {
                match &event {
                    Event::Publish { .. } => server.accept_publish().expect("it asked"),
                    Event::Play(_) => server.accept_play().expect("it asked"),
                    Event::Media { track, time_ms, payload, .. } => {
                        at_server.push((*track, *time_ms, payload.clone()));
                    }
                    _ => {}
                }
            }
        }
        server.take_output(&mut down);
        let mut rest = &down[..];
        while !rest.is_empty() {
            turn += 1;
            let length = 1 + usize::from(input.choice(turn)).pow(2);
            let (piece, after) = rest.split_at(length.min(rest.len()));
            rest = after;
            client.receive(piece).expect("a server of ours");
            while let Some(event) = client.poll_event() {
                if let Heard::Media { track, time_ms, payload } = event {
                    at_client.push((track, time_ms, payload));
                }
            }
        }
        if up.is_empty() && down.is_empty() {
            return (std::mem::take(&mut at_server), std::mem::take(&mut at_client));
        }
    };
    let _ = settle(&mut client, &mut server);
    assert!(client.is_started());

    // Messages: a track, milliseconds since the last, a length; its bytes are what follows, as often
    // as it takes.
    let (mut rest, mut time_ms, mut expected) = (input.wire, 0, Vec::new());
    while let Some(([track, step, low, high], after)) = rest.split_first_chunk() {
        rest = after;
        let track = [Track::Audio, Track::Video][usize::from(track & 1)];
        time_ms += i64::from(*step).pow(2);
        let length = usize::from(u16::from_be_bytes([high & 0x3f, *low]));
        let bytes = after.iter().chain(std::iter::repeat(&7)).take(length).copied();
        let payload: Vec<u8> = bytes.collect();
        match purpose {
            Purpose::Publish(_) => client.send_media(track, time_ms, &[&payload]),
            Purpose::Play(_) => server.send_media(1, track, time_ms, &[&payload]),
        }
        .expect("it is started");
        expected.push((track, time_ms, Bytes::from(payload)));
        if expected.len() > 64 {
            break;
        }
    }
    let (at_server, at_client) = settle(&mut client, &mut server);
    match purpose {
        Purpose::Publish(_) => assert_eq!((at_server, at_client), (expected, vec![])),
        Purpose::Play(_) => assert_eq!((at_server, at_client), (vec![], expected)),
    }
    assert_eq!((server.held(), client.held()), (0, 0));
    client.finish();
    let _ = settle(&mut client, &mut server);
    assert_eq!(server.ignored(), 0);
}

type Chunks = (Vec<RawMessage>, Option<ChunkError>);

fn unchunk<'a>(setup: u8, pieces: impl IntoIterator<Item = &'a [u8]>) -> Chunks {
    let mut reader = Reader::default();
    if setup & 1 == 1 {
        reader.set_message_limit(RTMP_MESSAGE);
    }
    let (mut messages, mut received) = (Vec::new(), 0);
    for mut piece in pieces {
        received += piece.len();
        reader.begin();
        loop {
            let read = reader.read(&mut piece);
            assert!(reader.held() <= received);
            let raw = match read {
                Ok(None) => break,
                Ok(Some(raw)) => raw,
                Err(error) => return (messages, Some(error)),
            };
            let obeyed = match Message::parse(&raw) {
                Ok(Message::SetChunkSize(size)) => reader.set_chunk_size(size),
                Ok(Message::Abort(chunk_stream)) => {
                    reader.abort(chunk_stream);
                    Ok(())
                }
                _ => Ok(()),
            };
            messages.push(raw);
            if let Err(error) = obeyed {
                return (messages, Some(error));
            }
        }
        assert!(piece.is_empty(), "bytes were left");
        if setup & 2 == 2 {
            reader.shrink();
        }
    }
    (messages, None)
}

pub fn chunk(data: &[u8]) {
    let input = Input::of(data);
    let whole = unchunk(input.setup, [input.wire]);
    assert_eq!(unchunk(input.setup, input.wire.chunks(1)), whole);
    assert_eq!(unchunk(input.setup, input.pieces()), whole);
    let bytes: usize = whole.0.iter().map(|raw| raw.payload.len()).sum();
    assert!(bytes <= input.wire.len());

    // What was read is written, and read again.
    let size = 1 + usize::from(input.choice(0));
    let (mut out, mut expected) = (Vec::new(), Vec::new());
    for (place, raw) in whole.0.iter().enumerate() {
        if matches!(raw.kind, kind::SET_CHUNK_SIZE | kind::ABORT) {
            continue;
        }
        let RawMessage { kind, message_stream, time, ref payload } = *raw;
        let chunk_stream = 2 + place as u32 % 62;
        let header = chunk::Header { chunk_stream, kind, message_stream, time };
        let before = out.len();
        chunk::append(&mut out, &header, &[payload], size).expect("it came in chunks");
        assert_eq!(out.len() - before, chunk::framed_len(&header, payload.len(), size));
        expected.push(raw.clone());
    }
    let mut reader = Reader::default();
    reader.set_message_limit(RTMP_MESSAGE);
    reader.set_chunk_size(size as u32).expect("it is a size");
    let (mut rest, mut back) = (&out[..], Vec::new());
    while let Some(raw) = reader.read(&mut rest).expect("it is ours") {
        back.push(raw);
    }
    assert_eq!((back, reader.held()), (expected, 0));
}

/// What came of a handshake: its answer, whether it is over, and how many bytes it left.
type Shaken = Result<(Vec<u8>, bool, usize), HandshakeError>;

fn shake<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    mut receive: impl FnMut(&mut &[u8], &mut Vec<u8>) -> Result<bool, HandshakeError>,
) -> Shaken {
    let (mut out, mut over, mut left) = (Vec::new(), false, 0);
    for mut piece in pieces {
        if !over {
            over = receive(&mut piece, &mut out)?;
        }
        assert!(over || piece.is_empty());
        left += piece.len();
    }
    Ok((out, over, left))
}

pub fn handshake(data: &[u8]) {
    let input = Input::of(data);
    // Either bytes as they are, or a whole beginning with some of its bytes changed, each by a place
    // and a byte.
    let mut bytes = input.wire.to_vec();
    if input.setup & 2 == 2 {
        bytes.clear();
        ClientHandshake::new(form(input.setup), 1).start(&mut bytes);
        if input.setup & 1 == 1 {
            let mut answer = Vec::new();
            let taken = ServerHandshake::new(2).receive(&mut &bytes[..], &mut answer);
            assert_eq!(taken, Ok(false));
            bytes = answer;
        }
        bytes.resize(HANDSHAKE, 0);
        for [high, low, byte] in input.wire.as_chunks().0 {
            let place = usize::from(u16::from_be_bytes([*high, *low])) % HANDSHAKE;
            bytes[place] = *byte;
        }
    }
    let sizes = |turn: usize| usize::from(input.choice(turn)) + 1;
    let cut = || {
        let (mut rest, mut turn) = (&bytes[..], 0);
        std::iter::from_fn(move || {
            turn += 1;
            let (piece, after) = rest.split_at(sizes(turn).min(rest.len()));
            rest = after;
            (!piece.is_empty()).then_some(piece)
        })
    };
    if input.setup & 1 == 0 {
        let new = || {
            let mut server = ServerHandshake::new(3);
            move |piece: &mut &[u8], out: &mut Vec<u8>| {
                let over = server.receive(piece, out);
                assert!(server.held() < 1536);
                over
            }
        };
        let whole = shake([&bytes[..]], new());
        assert_eq!(shake(bytes.chunks(1), new()), whole);
        assert_eq!(shake(cut(), new()), whole);
    } else {
        let new = || {
            let mut client = ClientHandshake::new(form(input.setup), 3);
            move |piece: &mut &[u8], out: &mut Vec<u8>| {
                let over = client.receive(piece, out);
                assert!(client.held() < 1536);
                over
            }
        };
        let whole = shake([&bytes[..]], new());
        assert_eq!(shake(bytes.chunks(1), new()), whole);
        assert_eq!(shake(cut(), new()), whole);
    }
}

pub fn message(data: &[u8]) {
    let (kind, payload) = data.split_first().unwrap_or((&0, &[]));
    let payload = Bytes::copy_from_slice(payload);
    let raw = RawMessage { kind: *kind, message_stream: 1, time: 1000, payload };
    if let Ok(message) = Message::parse(&raw) {
        let (kind, payload) = message.emit();
        let again = RawMessage { kind, payload, ..raw.clone() };
        match Message::parse(&again) {
            Ok(again) => assert!(same(&again, &message), "{again:?}\n{message:?}"),
            Err(error) => panic!("{message:?} is written as what is read as {error}"),
        }
    }
    let parts: Vec<_> = aggregated(&raw).collect();
    assert!(parts.len() <= RTMP_AGGREGATE + 1);
    assert!(parts.iter().rev().skip(1).all(Result::is_ok), "it goes on behind an error");
    let parts = parts.iter().flatten();
    assert!(parts.clone().all(|part| part.message_stream == raw.message_stream));
    let bytes: usize = parts.clone().map(|part| part.payload.len() + 11).sum();
    assert!(bytes <= raw.payload.len());
    assert!(parts.clone().next().is_none_or(|first| first.time == raw.time));
}

pub fn capabilities(data: &[u8]) {
    let values = amf0::Reader::new(data).all().unwrap_or_default();
    for object in values.iter().filter_map(Value::as_object) {
        let parsed = Capabilities::parse(object);
        assert_eq!(Capabilities::parse(&parsed.emit(Object::default())), parsed);
        let answer = Capabilities::ours().answer(&parsed);
        // Answered is what was asked, in the fields that were used, and asking again changes nothing.
        assert_eq!(answer.is_enhanced(), parsed.is_enhanced());
        assert_eq!(answer.codecs.is_some(), parsed.codecs.is_some());
        assert_eq!(answer.video.is_some(), parsed.video.is_some());
        assert_eq!(answer.audio.is_some(), parsed.audio.is_some());
        assert_eq!(Capabilities::ours().answer(&answer), answer);
        assert_eq!(Capabilities::parse(&answer.emit(Object::default())), answer);
    }
}

fn emitted(values: &[Value]) -> Vec<u8> {
    let mut out = Vec::new();
    values.iter().for_each(|value| value.emit(&mut out));
    out
}

/// Written values are read again as they were. Only what is at the limits may be refused: names and
/// texts that were not UTF-8 become longer, and AMF3's values count apart from AMF0's.
fn written_and_read(values: &[Value]) {
    let bytes = emitted(values);
    match amf0::Reader::new(&bytes).all() {
        Ok(again) => {
            assert!(same(&&again[..], &values), "{again:?}\n{values:?}");
            assert_eq!(amf0::check(&bytes), Ok(()));
        }
        Err(AmfError::Count | AmfError::StringLength(_)) => {}
        Err(error) => panic!("{values:?} is written as what is read as {error}"),
    }
}

pub fn amf0(data: &[u8]) {
    let read = amf0::Reader::new(data).all();
    match (&read, amf0::check(data)) {
        (Ok(_), checked) => assert_eq!(checked, Ok(())),
        (Err(AmfError::Count), _) => {}
        (Err(error), checked) => assert_eq!(checked, Err(*error)),
    }
    let mut reader = amf0::Reader::new(data);
    let first = reader.next_value();
    assert!(data.ends_with(reader.rest()));
    if let Some((text, rest)) = amf0::leading_string(data) {
        assert_eq!(first, Ok(Some(String::from_utf8_lossy(text).into_owned().into())));
        assert_eq!(rest, reader.rest());
    }
    if let Ok(values) = read {
        written_and_read(&values);
    }
}

pub fn amf3(data: &[u8]) {
    let (budget, bytes) = data.split_first().unwrap_or((&0, &[]));
    let budget = usize::from(*budget) + 1;
    let mut reader = amf3::Reader::new(bytes, AMF_DEPTH, budget);
    if let Ok(value) = reader.value() {
        let (rest, left) = reader.rest();
        assert!(left < budget && bytes.ends_with(rest));
        let value = [value];
        // A text may be referred to at the price of a value for 32 of its bytes; what is not UTF-8
        // becomes three times as long.
        assert!(emitted(&value).len() <= 4 * bytes.len() + 3 * 64 * budget);
        written_and_read(&value);
        let wrapped = [&[0x11], bytes].concat();
        let within = amf0::Reader::new(&wrapped).next_value();
        assert!(same(&within, &Ok(value.into_iter().next())), "{within:?}");
    }
}
