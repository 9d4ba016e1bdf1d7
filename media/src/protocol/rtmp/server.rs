//! The server's end of a connection.
//!
//! ```text
//! connect -> [accept] -> createStream -> publish -> [accept] -> media ... -> deleteStream
//!                                     -> play    -> [accept] -> (media is sent) ... -> deleteStream
//! ```
//!
//! A client may say all of that in one go and send media at once behind it. What comes behind a request
//! that has to be decided waits until it is, so that answers and events are in the order of what they
//! answer. Everything that is answered lands in the same output, so that it leaves in one piece.

mod commands;
mod event;
mod incoming;

pub use event::{App, Connect, Event, Play, PlayStart, PublishKind};

use super::amf0::{self, Object, Value};
use super::capabilities::{Capabilities, extra};
use super::chunk::{RawMessage, chunk_stream};
use super::error::{Error, Misuse, SessionError};
use super::handshake::ServerHandshake;
use super::link::Link;
use super::message::{Command, Limit, Message, UserControl};
use super::status::{self, Level, code};
use super::widen::Widen;
use crate::frame::Track;
use crate::limits::{RTMP_HELD, RTMP_HELD_PER_MESSAGE, RTMP_MESSAGE, RTMP_WINDOW};
use std::collections::VecDeque;

/// What a message stream is used for.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Use {
    Nothing,
    /// With the name as the client gave it.
    Publishing(Box<str>),
    Playing,
}

#[derive(Debug)]
struct MessageStream {
    id: u32,
    used: Use,
    times: Widen,
}

/// What the session's owner has to decide.
#[derive(Debug)]
enum Question {
    Connect { transaction: f64, encoding: f64, answer: Capabilities },
    Publish { message_stream: u32, name: Box<str> },
    Play { message_stream: u32, name: Box<str>, reset: bool },
}

impl Question {
    fn word(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "connect",
            Self::Publish { .. } => "publish",
            Self::Play { .. } => "play",
        }
    }
}

/// A server's session with one client.
///
/// Driven as the crate's root says: [`receive`](Self::receive) takes bytes, then
/// [`poll_event`](Self::poll_event) until there is none, then [`take_output`](Self::take_output). After
/// [`Event::Publish`] and [`Event::Play`] there are no further events before one of the deciding methods
/// is called, which may be much later; stop reading meanwhile, since what comes is kept up to a bound.
///
/// Output and what all players of a stream are sent go by the same connection. Either may follow the
/// other where a message ends, and nowhere else.
#[derive(Debug)]
pub struct ServerSession {
    handshake: Option<Box<ServerHandshake>>,
    link: Link,
    events: VecDeque<Event>,
    /// What came behind the question.
    waiting: VecDeque<RawMessage>,
    waiting_cost: usize,
    question: Option<Box<Question>>,
    decides_connect: bool,
    connected: bool,
    rejected: bool,
    can_reconnect: bool,
    streams: Vec<MessageStream>,
    ignored: u64,
    error: Option<Error>,
}

impl ServerSession {
    /// For a connection that was just accepted. The seed makes the handshake's random bytes.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            handshake: Some(Box::new(ServerHandshake::new(seed))),
            link: Link::default(),
            events: VecDeque::new(),
            waiting: VecDeque::new(),
            waiting_cost: 0,
            question: None,
            decides_connect: false,
            connected: false,
            rejected: false,
            can_reconnect: false,
            streams: Vec::new(),
            ignored: 0,
            error: None,
        }
    }

    /// Makes [`Event::Connect`] something to be decided about; otherwise everyone may connect.
    #[must_use]
    pub fn deciding_connects(mut self) -> Self {
        self.decides_connect = true;
        self
    }

    /// Takes all of these bytes.
    pub fn receive(&mut self, input: &[u8]) -> Result<(), Error> {
        self.alive()?;
        let taken = self.take(input);
        self.ended_by(taken)
    }

    /// What the client wants next.
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

    /// Whether the client waits for a decision, and with it all it said since.
    #[must_use]
    pub fn is_undecided(&self) -> bool {
        self.question.is_some()
    }

    /// Whether the client is through with `connect`.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connected
    }

    /// Messages that had no meaning where they came, such as media of a stream that is over.
    #[must_use]
    pub fn ignored(&self) -> u64 {
        self.ignored
    }

    /// Bytes of the client that are kept, in unfinished messages, waiting ones, and events.
    #[must_use]
    pub fn held(&self) -> usize {
        let events = self.events.iter().map(|event| match event {
            Event::Media { payload, .. } => payload.len() + RTMP_HELD_PER_MESSAGE,
            _ => RTMP_HELD_PER_MESSAGE,
        });
        let handshake = self.handshake.as_ref().map_or(0, |handshake| handshake.held());
        handshake + self.link.reader.held() + self.waiting_cost + events.sum::<usize>()
    }

    /// Lets the client connect.
    pub fn accept_connect(&mut self) -> Result<(), Error> {
        match self.decided("connect")? {
            Question::Connect { transaction, encoding, answer } => {
                self.welcome(transaction, encoding, &answer);
                self.resume()
            }
            _ => Ok(()),
        }
    }

    /// Lets the client not connect. Whatever else it says is ignored, whether it said so at once or later.
    pub fn reject_connect(&mut self, description: &str) -> Result<(), Error> {
        if let Question::Connect { transaction, .. } = self.decided("connect")? {
            let info = status::info(Level::Error, code::CONNECT_REJECTED, description);
            self.answer("_error", transaction, Value::Null, info.into());
            self.rejected = true;
        }
        self.resume()
    }

    /// Lets the client publish.
    pub fn accept_publish(&mut self) -> Result<(), Error> {
        if let Question::Publish { message_stream, name } = self.decided("publish")? {
            self.link.control(&Message::UserControl(UserControl::StreamBegin(message_stream)));
            let text = format!("{name} is now published.");
            self.status(message_stream, Level::Status, code::PUBLISH_START, &text);
            self.use_for(message_stream, Use::Publishing(name));
        }
        self.resume()
    }

    /// Lets the client not publish, because of one of [`code`].
    pub fn reject_publish(&mut self, code: &str, description: &str) -> Result<(), Error> {
        if let Question::Publish { message_stream, .. } = self.decided("publish")? {
            self.status(message_stream, Level::Error, code, description);
        }
        self.resume()
    }

    /// Lets the client play; its media may follow right behind the output.
    pub fn accept_play(&mut self) -> Result<(), Error> {
        if let Question::Play { message_stream, name, reset } = self.decided("play")? {
            self.link.control(&Message::UserControl(UserControl::StreamBegin(message_stream)));
            if reset {
                let text = format!("Playing and resetting {name}.");
                self.status(message_stream, Level::Status, code::PLAY_RESET, &text);
            }
            let text = format!("Started playing {name}.");
            self.status(message_stream, Level::Status, code::PLAY_START, &text);
            self.data(message_stream, "|RtmpSampleAccess", &[true.into(), true.into()]);
            let started = Object::default().with("code", code::DATA_START);
            self.data(message_stream, "onStatus", &[started.into()]);
            self.use_for(message_stream, Use::Playing);
            self.link.reader.shrink();
            self.events.shrink_to_fit();
        }
        self.resume()
    }

    /// Lets the client not play, because of one of [`code`].
    pub fn reject_play(&mut self, code: &str, description: &str) -> Result<(), Error> {
        if let Question::Play { message_stream, .. } = self.decided("play")? {
            self.status(message_stream, Level::Error, code, description);
        }
        self.resume()
    }

    /// Tells a player that the stream is over. It may play another by the same message stream.
    pub fn end_play(&mut self, message_stream: u32, description: &str) -> Result<(), Error> {
        self.must_be(message_stream, "playing", |used| *used == Use::Playing)?;
        self.link.control(&Message::UserControl(UserControl::StreamEof(message_stream)));
        self.status(message_stream, Level::Status, code::PLAY_UNPUBLISH, description);
        self.status(message_stream, Level::Status, code::PLAY_STOP, description);
        self.use_for(message_stream, Use::Nothing);
        Ok(())
    }

    /// Tells a publisher that its stream is taken from it; what it still sends is ignored.
    pub fn end_publish(
        &mut self,
        message_stream: u32,
        code: &str,
        description: &str,
    ) -> Result<(), Error> {
        self.must_be(message_stream, "publishing", |used| matches!(used, Use::Publishing(_)))?;
        self.status(message_stream, Level::Error, code, description);
        self.use_for(message_stream, Use::Nothing);
        Ok(())
    }

    /// Answers [`Event::Seek`]: done, or not and why.
    pub fn answer_seek(&mut self, message_stream: u32, done: bool, description: &str) {
        match done {
            true => self.status(message_stream, Level::Status, code::SEEK, description),
            false => self.status(message_stream, Level::Error, code::SEEK_FAILED, description),
        }
    }

    /// Tells the client how something is.
    pub fn status(&mut self, message_stream: u32, level: Level, code: &str, description: &str) {
        let info = status::info(level, code, description);
        self.link.send(chunk_stream::STATUS, message_stream, &status::message("onStatus", info));
    }

    /// Sends media to a player that cannot be sent what all players share, because it does not play on
    /// [`PLAYED_MESSAGE_STREAM`](super::chunk::PLAYED_MESSAGE_STREAM).
    pub fn send_media(
        &mut self,
        message_stream: u32,
        track: Track,
        time_ms: i64,
        parts: &[&[u8]],
    ) -> Result<(), Error> {
        self.must_be(message_stream, "playing", |used| *used == Use::Playing)?;
        let sent = self.link.send_media(track, message_stream, time_ms, parts);
        sent.map_err(|too_long| Misuse::from(too_long).into())
    }

    /// Asks the client whether it is there; [`Event::Pong`] has the time again.
    pub fn ping(&mut self, time: u32) {
        self.link.control(&Message::UserControl(UserControl::PingRequest(time)));
    }

    /// Asks the client to connect anew, elsewhere if there is a URL. Only clients that said they
    /// understand that are asked, and only then is it true.
    pub fn request_reconnect(&mut self, tc_url: Option<&str>, description: &str) -> bool {
        if self.can_reconnect {
            let mut info = status::info(Level::Status, code::RECONNECT_REQUEST, description);
            if let Some(url) = tc_url {
                info = info.with("tcUrl", url);
            }
            self.link.send(chunk_stream::COMMAND, 0, &status::message("onStatus", info));
        }
        self.can_reconnect
    }

    fn alive(&self) -> Result<(), Error> {
        self.error.clone().map_or(Ok(()), Err)
    }

    fn ended_by(&mut self, result: Result<(), Error>) -> Result<(), Error> {
        if let Err(error) = &result {
            self.error = Some(error.clone());
            self.waiting.clear();
            self.waiting_cost = 0;
        }
        result
    }

    fn take(&mut self, mut input: &[u8]) -> Result<(), Error> {
        self.link.begin(input.len());
        if let Some(handshake) = &mut self.handshake {
            if !handshake.receive(&mut input, self.link.out())? {
                return Ok(());
            }
            self.handshake = None;
        }
        while let Some(raw) = self.link.next(&mut input)? {
            // Media may follow at once, so this must not wait for the decision.
            if commands::is_publish(&raw) {
                self.link.reader.set_message_limit(RTMP_MESSAGE);
            }
            if self.question.is_some() {
                self.waiting_cost += raw.payload.len() + RTMP_HELD_PER_MESSAGE;
                if self.waiting_cost > RTMP_HELD {
                    return Err(SessionError::Ahead.into());
                }
                self.waiting.push_back(raw);
            } else {
                self.process(raw)?;
            }
        }
        self.link.acknowledge();
        Ok(())
    }

    /// The question, if there is one of this kind.
    fn decided(&mut self, word: &'static str) -> Result<Question, Error> {
        self.alive()?;
        match self.question.take() {
            Some(question) if question.word() == word => Ok(*question),
            other => {
                self.question = other;
                Err(Misuse::NothingToDecide(word).into())
            }
        }
    }

    /// Goes on with what waited for a decision, up to the next one.
    fn resume(&mut self) -> Result<(), Error> {
        while self.question.is_none()
            && let Some(raw) = self.waiting.pop_front()
        {
            self.waiting_cost -= raw.payload.len() + RTMP_HELD_PER_MESSAGE;
            let processed = self.process(raw);
            self.ended_by(processed)?;
        }
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
        }
        Ok(())
    }

    /// All that belongs to a successful connect, in one piece.
    fn welcome(&mut self, transaction: f64, encoding: f64, answer: &Capabilities) {
        self.connected = true;
        self.can_reconnect = answer.has(extra::RECONNECT);
        self.link.want(RTMP_WINDOW);
        self.link.control(&Message::SetPeerBandwidth(RTMP_WINDOW, Limit::Dynamic));
        self.link.control(&Message::UserControl(UserControl::StreamBegin(0)));
        self.link.enlarge_chunks();
        let properties = Object::default()
            .with("fmsVer", "FMS/3,5,7,7009")
            .with("capabilities", 31.0)
            .with("mode", 1.0);
        let info = status::info(Level::Status, code::CONNECT_SUCCESS, "Connection succeeded.")
            .with("objectEncoding", encoding);
        // Clients look for these in either object.
        let (properties, info) = (answer.emit(properties), answer.emit(info));
        self.answer("_result", transaction, properties.into(), info.into());
    }

    fn answer(&mut self, name: &str, transaction: f64, object: Value, argument: Value) {
        let command = Command::new(name, transaction, object, vec![argument]);
        self.link.send(chunk_stream::COMMAND, 0, &Message::Command(command));
    }

    fn data(&mut self, message_stream: u32, name: &str, values: &[Value]) {
        let mut payload = Vec::new();
        amf0::emit_string(name, &mut payload);
        values.iter().for_each(|value| value.emit(&mut payload));
        self.link.send(chunk_stream::STATUS, message_stream, &Message::Data(payload.into()));
    }

    fn used_for(&self, message_stream: u32) -> Option<&Use> {
        let found = self.streams.iter().find(|stream| stream.id == message_stream);
        found.map(|stream| &stream.used)
    }

    fn use_for(&mut self, message_stream: u32, used: Use) {
        if let Some(stream) = self.streams.iter_mut().find(|stream| stream.id == message_stream) {
            stream.used = used;
            stream.times = Widen::default();
        }
    }

    fn must_be(
        &self,
        message_stream: u32,
        what: &'static str,
        is: fn(&Use) -> bool,
    ) -> Result<(), Error> {
        self.alive()?;
        match self.used_for(message_stream) {
            Some(used) if is(used) => Ok(()),
            _ => Err(Misuse::NotSo(message_stream, what).into()),
        }
    }
}
