//! Two sessions against each other, a session against tungstenite, and noise against a session; over
//! pipes in memory that cut the bytes anywhere.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::close::CloseCode;
use super::frame::{Opcode, header, mask};
use super::handshake::{Accepted, Client, accept};
use super::message::Kind;
use super::session::{Error, Event, Limits, Session};
use proptest::collection::vec;
use proptest::prelude::*;
use std::io::{self, Read, Write};
use tungstenite::protocol::frame::coding::CloseCode as TheirCode;
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tungstenite::{HandshakeError, Message, WebSocket};

/// An event, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Got {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Closed(u16, String),
}

impl From<Event<'_>> for Got {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Message { kind: Kind::Text, data } => {
                Self::Text(String::from_utf8(data.to_vec()).unwrap())
            }
            Event::Message { data, .. } => Self::Binary(data.to_vec()),
            Event::Ping(data) => Self::Ping(data.to_vec()),
            Event::Pong(data) => Self::Pong(data.to_vec()),
            Event::Closed { code, reason } => Self::Closed(code.0, reason.to_owned()),
        }
    }
}

/// Feeds all of `input`, as a connection's callback would, and gathers the events.
fn drive(session: &mut Session, mut input: &[u8], got: &mut Vec<Got>) -> Result<(), Error> {
    loop {
        let taken = session.feed(input)?;
        input = &input[taken..];
        match session.poll() {
            Some((event, _)) => got.push(event.into()),
            None => {
                assert!(input.is_empty(), "bytes left without an event");
                return Ok(());
            }
        }
    }
}

/// Feeds `input` cut into parts whose lengths go round in `cuts`.
fn drive_cut(
    session: &mut Session,
    mut input: &[u8],
    cuts: &[usize],
    got: &mut Vec<Got>,
) -> Result<(), Error> {
    let mut cuts = cuts.iter().cycle();
    while !input.is_empty() {
        let len = cuts.next().copied().unwrap_or(1).clamp(1, input.len());
        let (part, rest) = input.split_at(len);
        drive(session, part, got)?;
        input = rest;
    }
    Ok(())
}

fn sessions() -> (Session, Session) {
    let limits = Limits::default();
    (Session::server(limits), Session::client(limits, [3; 32]))
}

/// What one side sends.
#[derive(Debug, Clone)]
enum Send {
    Text(String),
    Binary(Vec<u8>),
    /// A binary message in pieces, with a ping before each but the first.
    Pieces(Vec<Vec<u8>>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
}

fn sends() -> impl Strategy<Value = Vec<Send>> {
    let long = (0..70_000_usize, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]);
    let one = prop_oneof![
        3 => "\\PC{0,200}".prop_map(Send::Text),
        3 => vec(any::<u8>(), 0..300).prop_map(Send::Binary),
        1 => long.prop_map(Send::Binary),
        2 => vec(vec(any::<u8>(), 0..150), 1..5).prop_map(Send::Pieces),
        1 => vec(any::<u8>(), 0..=125).prop_map(Send::Ping),
        1 => vec(any::<u8>(), 0..=125).prop_map(Send::Pong),
    ];
    vec(one, 0..12)
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![Just(vec![1]), vec(1..20_usize, 1..5), vec(1..70_000_usize, 1..5),]
}

fn put_frame(opcode: Opcode, fin: bool, payload: &[u8], key: Option<[u8; 4]>, out: &mut Vec<u8>) {
    let (bytes, len) = header(opcode, fin, payload.len(), key);
    out.extend_from_slice(&bytes[..len]);
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(key) = key {
        mask(&mut out[start..], key, 0);
    }
}

/// Writes `sends` and returns what the other side has to get.
fn send(session: &mut Session, client: bool, sends: &[Send], out: &mut Vec<u8>) -> Vec<Got> {
    let mut expected = Vec::new();
    let sender = session.sender();
    let key = client.then_some([1, 2, 3, 4]);
    for one in sends {
        match one {
            Send::Text(text) => {
                sender.text(text, out).unwrap();
                expected.push(Got::Text(text.clone()));
            }
            Send::Binary(data) => {
                sender.binary(data, out).unwrap();
                expected.push(Got::Binary(data.clone()));
            }
            Send::Pieces(pieces) => {
                for (i, piece) in pieces.iter().enumerate() {
                    let mut opcode = Opcode::Binary;
                    if i > 0 {
                        opcode = Opcode::Continuation;
                        sender.ping(&[0; 3], out).unwrap();
                        expected.push(Got::Ping(vec![0; 3]));
                    }
                    put_frame(opcode, i + 1 == pieces.len(), piece, key, out);
                }
                expected.push(Got::Binary(pieces.concat()));
            }
            Send::Ping(data) => {
                sender.ping(data, out).unwrap();
                expected.push(Got::Ping(data.clone()));
            }
            Send::Pong(data) => {
                sender.pong(data, out).unwrap();
                expected.push(Got::Pong(data.clone()));
            }
        }
    }
    expected
}

/// The payload of the last ping in a list, which is the one that is answered.
fn last_ping(events: &[Got]) -> Option<Got> {
    let answer = |event: &Got| match event {
        Got::Ping(data) => Some(Got::Pong(data.clone())),
        _ => None,
    };
    events.iter().rev().find_map(answer)
}

/// The two ends of tungstenite's stream in memory; reads give `step` bytes at most.
struct Pipe {
    input: Vec<u8>,
    at: usize,
    step: usize,
    output: Vec<u8>,
}

impl Pipe {
    fn new(input: Vec<u8>, step: usize) -> Self {
        Self { input, at: 0, step, output: Vec::new() }
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = &self.input[self.at..];
        if rest.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let len = rest.len().min(buffer.len()).min(self.step);
        buffer[..len].copy_from_slice(&rest[..len]);
        self.at += len;
        Ok(len)
    }
}

impl Write for Pipe {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn oracle(role: Role, input: Vec<u8>, step: usize) -> WebSocket<Pipe> {
    let limit = Limits::default().message;
    let config = WebSocketConfig::default()
        .read_buffer_size(4096)
        .max_message_size(Some(limit))
        .max_frame_size(Some(limit));
    WebSocket::from_raw_socket(Pipe::new(input, step), role, Some(config))
}

/// Everything tungstenite reads until it wants more bytes or refuses; whether it refused.
fn oracle_reads(oracle: &mut WebSocket<Pipe>) -> (Vec<Got>, Option<tungstenite::Error>) {
    let mut got = Vec::new();
    loop {
        let event = match oracle.read() {
            Ok(Message::Text(text)) => Got::Text(text.to_string()),
            Ok(Message::Binary(data)) => Got::Binary(data.to_vec()),
            Ok(Message::Ping(data)) => Got::Ping(data.to_vec()),
            Ok(Message::Pong(data)) => Got::Pong(data.to_vec()),
            Ok(Message::Close(None)) => Got::Closed(1005, String::new()),
            Ok(Message::Close(Some(frame))) => {
                Got::Closed(frame.code.into(), frame.reason.to_string())
            }
            Ok(Message::Frame(_)) => unreachable!("only for writing"),
            Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return (got, None);
            }
            Err(tungstenite::Error::ConnectionClosed) => return (got, None),
            Err(error) => return (got, Some(error)),
        };
        got.push(event);
    }
}

/// A frame as noise makes it: mostly sound, so that what follows is reached.
#[derive(Debug, Clone)]
struct Noise {
    first: u8,
    payload: Vec<u8>,
    masked: bool,
    /// Whether pieces are put in order.
    ordered: bool,
}

fn noise() -> impl Strategy<Value = Vec<Noise>> {
    let first = prop_oneof![
        60 => proptest::sample::select(vec![0x81_u8, 0x82, 0x01, 0x02, 0x89, 0x8a]),
        1 => Just(0x88_u8),
        1 => any::<u8>(),
    ];
    let payload = prop_oneof![
        30 => "\\PC{0,20}".prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..140),
    ];
    let rarely_not = || prop::bool::weighted(0.98);
    let frame = (first, payload, rarely_not(), rarely_not());
    let frame = frame.prop_map(|(first, payload, masked, ordered)| Noise {
        first,
        payload,
        masked,
        ordered,
    });
    vec(frame, 0..30)
}

fn noise_bytes(frames: &[Noise]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut begun = false;
    for frame in frames {
        let mut first = frame.first;
        if first & 0x0f <= 2 {
            if begun && frame.ordered {
                first &= 0xf0;
            }
            begun = first & 0x80 == 0;
        }
        let start = bytes.len();
        let key = frame.masked.then_some([9, 8, 7, 6]);
        put_frame(Opcode::Binary, true, &frame.payload, key, &mut bytes);
        bytes[start] = first;
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn two_sessions_understand_each_other(
        from_client in sends(), from_server in sends(), cuts in cuts(), client_closes: bool,
        code in prop_oneof![1000..=1003_u16, 3000..5000_u16], reason in "\\PC{0,30}",
    ) {
        let (mut server, mut client) = sessions();
        let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
        let mut server_expects = send(&mut client, true, &from_client, &mut to_server);
        let mut client_expects = send(&mut server, false, &from_server, &mut to_client);
        let (mut at_server, mut at_client) = (Vec::new(), Vec::new());
        drive_cut(&mut server, &to_server, &cuts, &mut at_server).unwrap();
        drive_cut(&mut client, &to_client, &cuts, &mut at_client).unwrap();
        prop_assert_eq!(&at_server, &server_expects);
        prop_assert_eq!(&at_client, &client_expects);

        // Each answers the newest ping; then one closes and the other answers.
        let (closing, other, to_other) = if client_closes {
            (&mut client, &mut server, &mut to_server)
        } else {
            (&mut server, &mut client, &mut to_client)
        };
        to_other.clear();
        closing.transmit(to_other);
        closing.sender().close(CloseCode(code), &reason, to_other).unwrap();
        let (mut at_other, mut at_closing, mut back) = (Vec::new(), Vec::new(), Vec::new());
        drive_cut(other, to_other, &cuts, &mut at_other).unwrap();
        other.transmit(&mut back);
        drive_cut(closing, &back, &cuts, &mut at_closing).unwrap();

        let (closing_got, other_got) = if client_closes {
            (&mut client_expects, &mut server_expects)
        } else {
            (&mut server_expects, &mut client_expects)
        };
        let mut expected: Vec<Got> = last_ping(closing_got).into_iter().collect();
        expected.push(Got::Closed(code, reason));
        prop_assert_eq!(at_other, expected);
        let mut expected: Vec<Got> = last_ping(other_got).into_iter().collect();
        expected.push(Got::Closed(code, String::new()));
        prop_assert_eq!(at_closing, expected);
        prop_assert!(server.is_done() && client.is_done());
    }

    #[test]
    fn tungstenite_understands_a_session(sends in sends(), client: bool, step in 1..5000_usize) {
        let (server, session) = sessions();
        let mut session = if client { session } else { server };
        let mut out = Vec::new();
        let mut expected = send(&mut session, client, &sends, &mut out);
        session.sender().close(CloseCode::NORMAL, "done", &mut out).unwrap();
        expected.push(Got::Closed(1000, "done".into()));
        let role = if client { Role::Server } else { Role::Client };
        let mut oracle = oracle(role, out, step);
        let (got, error) = oracle_reads(&mut oracle);
        prop_assert!(error.is_none(), "{:?}", error);
        prop_assert_eq!(got, expected);

        // Its pongs and its answer to the close come back.
        let _ = oracle.flush();
        let mut got = Vec::new();
        drive(&mut session, &oracle.get_ref().output, &mut got).unwrap();
        prop_assert_eq!(got.last(), Some(&Got::Closed(1000, "done".into())));
        prop_assert!(session.is_done());
    }

    #[test]
    fn a_session_understands_tungstenite(sends in sends(), client: bool, cuts in cuts()) {
        let (server, session) = sessions();
        let mut session = if client { session } else { server };
        let role = if client { Role::Server } else { Role::Client };
        let mut oracle = oracle(role, Vec::new(), 4096);
        let mut expected = Vec::new();
        for one in sends {
            let (message, event) = match one {
                Send::Text(text) => (Message::text(text.clone()), Got::Text(text)),
                Send::Binary(data) => (Message::binary(data.clone()), Got::Binary(data)),
                Send::Pieces(data) => (Message::binary(data.concat()), Got::Binary(data.concat())),
                Send::Ping(data) => (Message::Ping(data.clone().into()), Got::Ping(data)),
                Send::Pong(data) => (Message::Pong(data.clone().into()), Got::Pong(data)),
            };
            oracle.write(message).unwrap();
            expected.push(event);
        }
        let frame = CloseFrame { code: TheirCode::Away, reason: "off".into() };
        oracle.close(Some(frame)).unwrap();
        let _ = oracle.flush();
        expected.push(Got::Closed(1001, "off".into()));
        let mut got = Vec::new();
        let output = std::mem::take(&mut oracle.get_mut().output);
        drive_cut(&mut session, &output, &cuts, &mut got).unwrap();
        prop_assert_eq!(&got, &expected);

        let mut answer = Vec::new();
        session.transmit(&mut answer);
        prop_assert!(session.is_done());
        oracle.get_mut().input = answer;
        let mut expected: Vec<Got> = last_ping(&got).into_iter().collect();
        expected.push(Got::Closed(1001, String::new()));
        let (got, error) = oracle_reads(&mut oracle);
        prop_assert!(error.is_none(), "{:?}", error);
        prop_assert_eq!(got, expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn noise_is_judged_as_tungstenite_judges_it(frames in noise()) {
        let bytes = noise_bytes(&frames);
        let mut session = Session::server(Limits::default());
        let mut got = Vec::new();
        let ours = drive(&mut session, &bytes, &mut got);
        // What only this side refuses, by the letter of the RFC: close codes and reasons; tungstenite
        // takes more codes.
        if matches!(ours, Err(Error::Close(_))) {
            return Ok(());
        }
        let (expected, theirs) = oracle_reads(&mut oracle(Role::Server, bytes, usize::MAX));
        prop_assert_eq!(got, expected);
        prop_assert_eq!(ours.is_err(), theirs.is_some(), "{:?} {:?}", ours, theirs);
    }

    #[test]
    fn how_the_bytes_are_cut_does_not_matter(frames in noise(), cuts in cuts()) {
        let bytes = noise_bytes(&frames);
        let (mut whole, mut cut) = (Vec::new(), Vec::new());
        let mut one = Session::server(Limits::default());
        let mut two = Session::server(Limits::default());
        let ended = drive(&mut one, &bytes, &mut whole);
        prop_assert_eq!(drive_cut(&mut two, &bytes, &cuts, &mut cut), ended);
        prop_assert_eq!(cut, whole);
        let (mut owed, mut same) = (Vec::new(), Vec::new());
        one.transmit(&mut owed);
        two.transmit(&mut same);
        prop_assert_eq!(owed, same);
    }

    #[test]
    fn any_bytes_end_in_an_event_or_an_error(
        bytes in vec(any::<u8>(), 0..400), client: bool, cuts in cuts(),
    ) {
        let (server, session) = sessions();
        let mut session = if client { session } else { server };
        let before = session.held();
        let _ = drive_cut(&mut session, &bytes, &cuts, &mut Vec::new());
        let most = before + 2 * bytes.len() + 512;
        prop_assert!(session.held() <= most, "{} held for {}", session.held(), bytes.len());
        session.transmit(&mut Vec::new());
    }
}

/// The head of a request or an answer, taken apart: everything `accept` and `check` ask for.
fn head(bytes: &[u8]) -> (String, Vec<(String, Vec<u8>)>, usize) {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.expect("a whole head") + 4;
    let text = std::str::from_utf8(&bytes[..end]).unwrap();
    let mut lines = text.trim_end().split("\r\n");
    let first = lines.next().unwrap().to_owned();
    let pair = |line: &str| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_owned(), value.as_bytes().to_vec())
    };
    (first, lines.map(pair).collect(), end)
}

fn pairs(headers: &[(String, Vec<u8>)]) -> impl Iterator<Item = (&str, &[u8])> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
}

#[test]
fn tungstenite_shakes_hands_as_a_client() {
    let Err(HandshakeError::Interrupted(mut half)) =
        tungstenite::client::client("ws://localhost:8080/live/a.flv", Pipe::new(Vec::new(), 4096))
    else {
        unreachable!("nothing was answered yet");
    };
    let pipe = half.get_mut().get_mut();
    let (first, headers, _) = head(&pipe.output);
    assert_eq!(first, "GET /live/a.flv HTTP/1.1");
    let accepted: Accepted<'_> = accept("GET", 1, pairs(&headers), &[]).unwrap();
    let mut answer = Vec::new();
    accepted.write(&mut answer);
    let mut session = Session::server(Limits::default());
    session.sender().text("first", &mut answer).unwrap();
    pipe.input = answer;
    let Ok((mut socket, response)) = half.handshake() else {
        panic!("the answer was refused");
    };
    assert_eq!(response.status().as_u16(), 101);
    assert_eq!(socket.read().unwrap(), Message::text("first"));
}

#[test]
fn tungstenite_shakes_hands_as_a_server() {
    let client = Client::new([42; 16]);
    let mut request = Vec::new();
    client.write("localhost", "/chat?a=b", &[], &[("X-Token", "t")], &mut request).unwrap();
    for step in [64, 4096] {
        let mut socket = tungstenite::accept(Pipe::new(request.clone(), step)).unwrap();
        socket.send(Message::text("first")).unwrap();
        let output = std::mem::take(&mut socket.get_mut().output);
        let (first, headers, end) = head(&output);
        assert!(first.starts_with("HTTP/1.1 101 "), "{first}");
        assert_eq!(client.check(101, pairs(&headers), &["a"]), Ok(None));
        let mut session = Session::client(Limits::default(), [1; 32]);
        let mut got = Vec::new();
        drive(&mut session, &output[end..], &mut got).unwrap();
        assert_eq!(got, [Got::Text("first".into())]);
    }
}
