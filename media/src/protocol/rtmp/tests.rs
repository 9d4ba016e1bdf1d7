//! Whole sessions: against each other, against recorded and made-up clients, against the ill-willed.
#![allow(clippy::unwrap_used, clippy::panic)]

mod client;
mod fuzz;
mod hostile;
mod made_up;
mod pair;
mod recorded;
mod requests;

use super::amf0::{Object, Value};
use super::chunk::{self, Header, RawMessage, Reader, kind};
use super::message::{Command, Message};
use super::server::{Event, ServerSession};
use super::{Error, SessionError};
use crate::frame::Track;
use crate::limits::RTMP_MESSAGE;

/// What a client sends, put together by hand.
#[derive(Clone)]
struct Script {
    bytes: Vec<u8>,
    chunk_size: usize,
}

impl Script {
    /// Nothing yet.
    fn empty() -> Self {
        Self { bytes: Vec::new(), chunk_size: chunk::DEFAULT_CHUNK_SIZE }
    }

    /// With all of the handshake at once, not waiting for the server's part.
    fn new() -> Self {
        Self { bytes: [vec![3], vec![0; 2 * 1536]].concat(), ..Self::empty() }
    }

    /// Connected to an app, with a message stream created.
    fn connected() -> Self {
        let object = Object::default().with("app", "live").with("tcUrl", "rtmp://h/live");
        Self::new().call(0, "connect", 1.0, object.into(), vec![]).call(
            0,
            "createStream",
            2.0,
            Value::Null,
            vec![],
        )
    }

    /// Publishing, as far as the client knows.
    fn publishing() -> Self {
        Self::connected().command(1, "publish", vec!["cam".into(), "live".into()])
    }

    fn message(mut self, header: Header, payload: &[u8]) -> Self {
        chunk::append(&mut self.bytes, &header, &[payload], self.chunk_size).unwrap();
        self
    }

    fn say(self, message_stream: u32, time: u32, message: &Message) -> Self {
        let (kind, payload) = message.emit();
        let chunk_stream = if kind < 7 { 2 } else { u32::from(kind) };
        self.message(Header { chunk_stream, kind, message_stream, time }, &payload)
    }

    fn call(
        self,
        message_stream: u32,
        name: &str,
        transaction: f64,
        object: Value,
        arguments: Vec<Value>,
    ) -> Self {
        let command = Command::new(name, transaction, object, arguments);
        self.say(message_stream, 0, &Message::Command(command))
    }

    fn command(self, message_stream: u32, name: &str, arguments: Vec<Value>) -> Self {
        self.call(message_stream, name, 3.0, Value::Null, arguments)
    }

    fn chunks_of(mut self, size: usize) -> Self {
        self = self.say(0, 0, &Message::SetChunkSize(size as u32));
        self.chunk_size = size;
        self
    }

    fn video(self, time: u32, payload: &[u8]) -> Self {
        self.say(1, time, &Message::Video(payload.to_vec().into()))
    }

    fn audio(self, time: u32, payload: &[u8]) -> Self {
        self.say(1, time, &Message::Audio(payload.to_vec().into()))
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }
}

/// A server that accepts everything, and what came of it.
struct Served {
    session: ServerSession,
    events: Vec<Event>,
    sent: Vec<u8>,
}

impl Served {
    fn new() -> Self {
        Self { session: ServerSession::new(1), events: Vec::new(), sent: Vec::new() }
    }

    /// All of these bytes, in pieces.
    fn of(bytes: &[u8], piece: usize) -> (Self, Result<(), Error>) {
        let mut served = Self::new();
        let result = bytes.chunks(piece.max(1)).try_for_each(|part| served.feed(part));
        (served, result)
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.session.receive(bytes)?;
        while let Some(event) = self.session.poll_event() {
            match &event {
                Event::Publish { .. } => self.session.accept_publish()?,
                Event::Play(_) => self.session.accept_play()?,
                _ => {}
            }
            self.events.push(event);
        }
        self.session.take_output(&mut self.sent);
        Ok(())
    }

    fn media(&self) -> Vec<(Track, i64, &[u8])> {
        let media = |event| match event {
            &Event::Media { track, time_ms, ref payload, .. } => {
                Some((track, time_ms, payload.as_ref()))
            }
            _ => None,
        };
        self.events.iter().filter_map(media).collect()
    }

    fn answers(&self) -> Vec<String> {
        answers(&self.sent)
    }
}

/// The messages a server sent behind its handshake.
fn messages(sent: &[u8]) -> Vec<RawMessage> {
    let mut rest = &sent[(1 + 2 * 1536).min(sent.len())..];
    let mut reader = Reader::default();
    reader.set_message_limit(RTMP_MESSAGE);
    let mut all = Vec::new();
    while let Some(raw) = reader.read(&mut rest).unwrap() {
        if let Ok(Message::SetChunkSize(size)) = Message::parse(&raw) {
            reader.set_chunk_size(size).unwrap();
        }
        all.push(raw);
    }
    all
}

/// What a server sent, in words.
fn answers(sent: &[u8]) -> Vec<String> {
    let describe = |raw: &RawMessage| match Message::parse(raw).unwrap() {
        Message::Command(command) => {
            let info = command.arguments.first().and_then(Value::as_object);
            let code = info.and_then(|info| info.text("code")).map(str::to_owned);
            let number = command.number(0).map(|number| number.to_string());
            let detail = code.or(number).unwrap_or_default();
            format!("{} {} {detail}", command.name, command.transaction).trim().to_owned()
        }
        Message::Data(data) => {
            let (name, _) = super::amf0::leading_string(&data).unwrap();
            format!("data {}", String::from_utf8_lossy(name))
        }
        other => format!("{other:?}"),
    };
    messages(sent).iter().map(describe).collect()
}
