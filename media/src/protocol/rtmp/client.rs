//! The client's end of a connection, for one stream: to publish it, or to play it.
//!
//! ```text
//! handshake -> connect -> createStream -> publish -> media is sent ... -> finish
//!                                      -> play    -> media comes   ...
//! ```
//!
//! The session says all of that by itself; its owner waits for [`Event::Started`].

mod config;

pub use config::{ClientConfig, Purpose};

use super::amf0::{self, Object, Value};
use super::capabilities::Capabilities;
use super::chunk::{RawMessage, chunk_stream, kind};
use super::error::{Error, Misuse, SessionError};
use super::handshake::ClientHandshake;
use super::link::Link;
use super::message::{Command, Message, UserControl, aggregated};
use super::status::{Level, code};
use super::widen::Widen;
use crate::frame::Track;
use crate::limits::{RTMP_MESSAGE, RTMP_WINDOW};
use bytes::Bytes;
use std::collections::VecDeque;

/// How much a player says it buffers.
const BUFFER_MILLIS: u32 = 3000;

/// What the server did.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// The server let this client connect.
    Connected(Box<Capabilities>),
    /// Media may be sent, or comes.
    Started,
    /// The server sent media.
    Media {
        /// Sound, pictures, or data in AMF0.
        track: Track,
        /// When, on the stream's own clock, widened.
        time_ms: i64,
        /// The body of an FLV tag. It shares a buffer the session uses again once this is dropped.
        payload: Bytes,
    },
    /// The server does not want this. Nothing further happens here.
    Refused {
        /// One of [`code`], or what the server has instead.
        code: String,
        /// Its words.
        description: String,
    },
    /// The stream is over.
    Ended {
        /// One of [`code`], or what the server has instead.
        code: String,
        /// Its words.
        description: String,
    },
    /// The server says how something is.
    Status {
        /// How bad.
        level: Level,
        /// One of [`code`], or what the server has instead.
        code: String,
        /// Its words.
        description: String,
    },
    /// The server answered a ping.
    Pong {
        /// The time the ping was sent with.
        time: u32,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Handshake,
    Connecting,
    Creating,
    Starting,
    Started,
    Over,
}

/// Numbers that connect the server's answers with what they answer.
mod transaction {
    pub const CONNECT: f64 = 1.0;
    pub const RELEASE_STREAM: f64 = 2.0;
    pub const FC_PUBLISH: f64 = 3.0;
    pub const CREATE_STREAM: f64 = 4.0;
    pub const START: f64 = 5.0;
    pub const FINISH: f64 = 6.0;
    pub const DELETE_STREAM: f64 = 7.0;
}

/// A client's session with a server.
///
/// Driven as the crate's root says: [`receive`](Self::receive) takes bytes, then
/// [`poll_event`](Self::poll_event) until there is none, then [`take_output`](Self::take_output). There
/// is output from the beginning.
#[derive(Debug)]
pub struct ClientSession {
    config: ClientConfig,
    step: Step,
    handshake: Option<Box<ClientHandshake>>,
    link: Link,
    events: VecDeque<Event>,
    message_stream: u32,
    times: Widen,
    error: Option<Error>,
}

impl ClientSession {
    /// For a connection that was just made. The seed makes the handshake's random bytes.
    #[must_use]
    pub fn new(config: ClientConfig, seed: u64) -> Self {
        let mut link = Link::default();
        let mut handshake = ClientHandshake::new(config.form, seed);
        handshake.start(link.out());
        link.reader.set_message_limit(RTMP_MESSAGE);
        Self {
            config,
            step: Step::Handshake,
            handshake: Some(Box::new(handshake)),
            link,
            events: VecDeque::new(),
            message_stream: 0,
            times: Widen::default(),
            error: None,
        }
    }

    /// Takes all of these bytes.
    pub fn receive(&mut self, input: &[u8]) -> Result<(), Error> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        let taken = self.take(input);
        if let Err(error) = &taken {
            self.error = Some(error.clone());
        }
        taken
    }

    /// What the server did next.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Moves what is to be sent to the end of `into`.
    pub fn take_output(&mut self, into: &mut Vec<u8>) {
        self.link.take_output(into);
    }

    /// Whether there is anything to send.
    #[must_use]
    pub fn has_output(&self) -> bool {
        self.link.has_output()
    }

    /// Whether media may be sent, or comes.
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.step == Step::Started
    }

    /// Bytes of the server that are kept, in unfinished messages and events.
    #[must_use]
    pub fn held(&self) -> usize {
        let events = self.events.iter().map(|event| match event {
            Event::Media { payload, .. } => payload.len(),
            _ => 0,
        });
        let handshake = self.handshake.as_ref().map_or(0, |handshake| handshake.held());
        handshake + self.link.reader.held() + events.sum::<usize>()
    }

    /// Sends media, the body of an FLV tag in parts.
    pub fn send_media(&mut self, track: Track, time_ms: i64, parts: &[&[u8]]) -> Result<(), Error> {
        if self.step != Step::Started || !self.publishes() {
            return Err(Misuse::NotSo(self.message_stream, "publishing").into());
        }
        let sent = self.link.send_media(track, self.message_stream, time_ms, parts);
        sent.map_err(|too_long| Misuse::from(too_long).into())
    }

    /// Sends data that players who come later have to see too, such as `onMetaData` and its values.
    pub fn send_metadata(&mut self, time_ms: i64, payload: &[u8]) -> Result<(), Error> {
        let mut set = Vec::new();
        amf0::emit_string("@setDataFrame", &mut set);
        self.send_media(Track::Data, time_ms, &[&set, payload])
    }

    /// Asks the server whether it is there; [`Event::Pong`] has the time again.
    pub fn ping(&mut self, time: u32) {
        self.link.control(&Message::UserControl(UserControl::PingRequest(time)));
    }

    /// Takes leave, as encoders and players do. What comes afterwards is of no interest.
    pub fn finish(&mut self) {
        if self.message_stream != 0 {
            if self.publishes() {
                let name = self.config.name.as_str().into();
                self.call("FCUnpublish", transaction::FINISH, vec![name]);
            }
            let id = f64::from(self.message_stream).into();
            self.call("deleteStream", transaction::DELETE_STREAM, vec![id]);
        }
        self.step = Step::Over;
    }

    fn publishes(&self) -> bool {
        matches!(self.config.purpose, Purpose::Publish(_))
    }

    fn take(&mut self, mut input: &[u8]) -> Result<(), Error> {
        self.link.begin(input.len());
        if let Some(handshake) = &mut self.handshake {
            if !handshake.receive(&mut input, self.link.out())? {
                return Ok(());
            }
            self.handshake = None;
            self.step = Step::Connecting;
            let object = self.config.connect_object();
            self.command("connect", transaction::CONNECT, object.into(), Vec::new());
        }
        while let Some(raw) = self.link.next(&mut input)? {
            self.process(raw)?;
        }
        self.link.acknowledge();
        Ok(())
    }

    fn process(&mut self, raw: RawMessage) -> Result<(), Error> {
        match raw.kind {
            kind::AUDIO | kind::VIDEO => self.media(raw),
            kind::AGGREGATE => {
                for part in aggregated(&raw) {
                    self.process(part?)?;
                }
            }
            kind::DATA | kind::DATA_AMF3 => {
                if let Message::Data(payload) = Message::parse(&raw)?
                    && let Some((name, _)) = amf0::leading_string(&payload)
                    && name != b"|RtmpSampleAccess"
                    && name != b"onStatus"
                {
                    self.media(RawMessage { payload, ..raw });
                }
            }
            kind::COMMAND | kind::COMMAND_AMF3 => {
                if let Message::Command(command) = Message::parse(&raw)? {
                    self.answered(&command)?;
                }
            }
            kind::USER_CONTROL => match self.link.user_control(&raw)? {
                UserControl::PingResponse(time) => self.events.push_back(Event::Pong { time }),
                UserControl::StreamEof(_) => self.end(code::PLAY_STOP, "The stream is over."),
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }

    fn media(&mut self, raw: RawMessage) {
        if !matches!(self.step, Step::Starting | Step::Started) {
            return;
        }
        let (track, time_ms) = match raw.kind {
            kind::AUDIO => (Track::Audio, self.times.next(raw.time)),
            kind::VIDEO => (Track::Video, self.times.next(raw.time)),
            _ => (Track::Data, self.times.of(raw.time)),
        };
        self.events.push_back(Event::Media { track, time_ms, payload: raw.payload });
    }

    fn answered(&mut self, command: &Command) -> Result<(), Error> {
        match (command.name.as_str(), command.transaction) {
            ("_result", transaction::CONNECT) if self.step == Step::Connecting => {
                self.connected(command);
            }
            ("_result", transaction::CREATE_STREAM) if self.step == Step::Creating => {
                let id = command.number(0).ok_or(SessionError::Answer {
                    command: "createStream",
                    expected: "the number of a message stream",
                })?;
                self.start(id as u32);
            }
            ("_error", transaction) if Some(transaction) == self.awaited() => {
                let (_, code, description) = info_of(command);
                self.refuse(code, description);
            }
            ("onStatus", _) => self.status(command),
            _ => {}
        }
        Ok(())
    }

    /// The call whose answer is needed to go on.
    fn awaited(&self) -> Option<f64> {
        match self.step {
            Step::Connecting => Some(transaction::CONNECT),
            Step::Creating => Some(transaction::CREATE_STREAM),
            Step::Starting => Some(transaction::START),
            Step::Handshake | Step::Started | Step::Over => None,
        }
    }

    fn connected(&mut self, command: &Command) {
        let merged = [Some(&command.object), command.arguments.first()];
        let merged = merged.into_iter().flatten().filter_map(Value::as_object);
        let merged = Object(merged.flat_map(|object| object.0.iter().cloned()).collect());
        self.events.push_back(Event::Connected(Box::new(Capabilities::parse(&merged))));
        self.link.enlarge_chunks();
        if self.publishes() {
            let name: Value = self.config.name.as_str().into();
            self.call("releaseStream", transaction::RELEASE_STREAM, vec![name.clone()]);
            self.call("FCPublish", transaction::FC_PUBLISH, vec![name]);
        } else {
            self.link.want(RTMP_WINDOW);
        }
        self.call("createStream", transaction::CREATE_STREAM, Vec::new());
        self.step = Step::Creating;
    }

    fn start(&mut self, message_stream: u32) {
        self.message_stream = message_stream;
        self.step = Step::Starting;
        let name: Value = self.config.name.as_str().into();
        let (command, argument) = match self.config.purpose {
            Purpose::Publish(kind) => ("publish", kind.as_str().into()),
            Purpose::Play(start) => ("play", config::start_number(start).into()),
        };
        let command = Command::new(command, transaction::START, Value::Null, vec![name, argument]);
        self.link.send(chunk_stream::STATUS, message_stream, &Message::Command(command));
        if !self.publishes() {
            let event = UserControl::SetBufferLength { message_stream, millis: BUFFER_MILLIS };
            self.link.control(&Message::UserControl(event));
        }
    }

    fn status(&mut self, command: &Command) {
        let (level, code, description) = info_of(command);
        match code.as_str() {
            code::PUBLISH_START | code::PLAY_START if self.step == Step::Starting => {
                self.step = Step::Started;
                self.events.push_back(Event::Started);
            }
            code::PLAY_STOP | code::PLAY_UNPUBLISH | code::UNPUBLISH_SUCCESS => {
                self.end(&code, &description);
            }
            _ if level == Level::Error && self.step == Step::Starting => {
                self.refuse(code, description);
            }
            _ if level == Level::Error && self.step == Step::Started => {
                self.end(&code, &description);
            }
            _ => self.events.push_back(Event::Status { level, code, description }),
        }
    }

    fn refuse(&mut self, code: String, description: String) {
        self.step = Step::Over;
        self.events.push_back(Event::Refused { code, description });
    }

    fn end(&mut self, code: &str, description: &str) {
        if self.step == Step::Started {
            self.step = Step::Over;
            let (code, description) = (code.to_owned(), description.to_owned());
            self.events.push_back(Event::Ended { code, description });
        }
    }

    fn call(&mut self, name: &str, transaction: f64, arguments: Vec<Value>) {
        self.command(name, transaction, Value::Null, arguments);
    }

    fn command(&mut self, name: &str, transaction: f64, object: Value, arguments: Vec<Value>) {
        let command = Command::new(name, transaction, object, arguments);
        self.link.send(chunk_stream::COMMAND, 0, &Message::Command(command));
    }
}

/// What a status or an error has to say.
fn info_of(command: &Command) -> (Level, String, String) {
    let objects = command.arguments.iter().chain([&command.object]);
    let info = objects.filter_map(Value::as_object).find(|object| object.get("code").is_some());
    let text = |name| info.and_then(|info| info.text(name));
    let level = Level::parse(text("level"));
    let owned = |name| text(name).unwrap_or_default().to_owned();
    (level, owned("code"), owned("description"))
}
