//! What a message means: raw messages to values, and values to raw messages, side by side.

use super::amf0::{self, AmfError, Value};
use super::chunk::{RawMessage, kind};
use crate::limits::{RTMP_AGGREGATE, RTMP_MESSAGE_AT_FIRST};
use bytes::{Buf, Bytes};
use thiserror::Error;

/// What is wrong with a message of a peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum MessageError {
    /// Fewer bytes than the message has fields.
    #[error("peer sent a {what} of {len} bytes, at least {wanted} were expected")]
    Short {
        /// What it was.
        what: &'static str,
        /// What came.
        len: usize,
        /// What has to be there.
        wanted: usize,
    },
    /// A command far too long for one.
    #[error("peer sent a command of {0} bytes, at most {RTMP_MESSAGE_AT_FIRST} are taken")]
    CommandLength(usize),
    /// A command has to begin with a string.
    #[error("peer sent a command that does not begin with its name")]
    CommandName,
    /// Broken AMF.
    #[error("in a command: {0}")]
    Amf(#[from] AmfError),
    /// Only media and data are put together into aggregates.
    #[error(
        "peer put a message of kind {0} into an aggregate, only audio, video and data go there"
    )]
    AggregateKind(u8),
    /// A message of an aggregate that ends after it.
    #[error("peer sent an aggregate that ends inside a message")]
    AggregateCut,
    /// More messages than a peer gathers.
    #[error("peer sent an aggregate of more than {RTMP_AGGREGATE} messages")]
    AggregateCount,
}

/// How a limit of bandwidth is meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Limit {
    /// Exactly this.
    Hard,
    /// The smaller of this and the one in force.
    Soft,
    /// Hard if the last one was, else ignored.
    Dynamic,
}

/// An event of the connection or of a message stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UserControl {
    /// A message stream is of use from now on.
    StreamBegin(u32),
    /// Playing is over.
    StreamEof(u32),
    /// Nothing to play at the moment.
    StreamDry(u32),
    /// How much the client buffers.
    SetBufferLength {
        /// Of which message stream.
        message_stream: u32,
        /// In milliseconds.
        millis: u32,
    },
    /// What is played is a recording.
    StreamIsRecorded(u32),
    /// Are you there, at this time.
    PingRequest(u32),
    /// Yes, with the time of the request.
    PingResponse(u32),
    /// Anything else; nothing has to be done.
    Other(u16),
}

/// A call, an answer, or a status.
#[derive(Clone, PartialEq, Debug)]
pub struct Command {
    /// What is to be done or has happened.
    pub name: String,
    /// Connects an answer with its call; 0 wants none.
    pub transaction: f64,
    /// The first argument; null for most.
    pub object: Value,
    /// The others.
    pub arguments: Vec<Value>,
}

/// A message's meaning.
#[derive(Clone, PartialEq, Debug)]
pub enum Message {
    /// The sender's chunks are of this size from now on.
    SetChunkSize(u32),
    /// The message being sent on this chunk stream will not be finished.
    Abort(u32),
    /// So many bytes were received, modulo 2^32.
    Acknowledgement(u32),
    /// The sender expects an acknowledgement after so many bytes.
    WindowAckSize(u32),
    /// The receiver should let so many bytes be unacknowledged.
    SetPeerBandwidth(u32, Limit),
    /// An event.
    UserControl(UserControl),
    /// A command, in AMF0, or in AMF3 as far as anyone sends it.
    Command(Command),
    /// Data in AMF0, not looked into.
    Data(Bytes),
    /// A tag of sound as FLV has it.
    Audio(Bytes),
    /// A tag of pictures as FLV has it.
    Video(Bytes),
    /// Several messages in one; see [`aggregated`].
    Aggregate(Bytes),
    /// Shared objects and whatever else nobody uses.
    Other(u8),
}

impl Message {
    /// The meaning of a raw message.
    pub fn parse(raw: &RawMessage) -> Result<Self, MessageError> {
        let payload = &raw.payload;
        Ok(match raw.kind {
            kind::SET_CHUNK_SIZE => Self::SetChunkSize(number(payload, "SetChunkSize")?),
            kind::ABORT => Self::Abort(number(payload, "Abort")?),
            kind::ACKNOWLEDGEMENT => Self::Acknowledgement(number(payload, "Acknowledgement")?),
            kind::WINDOW_ACK_SIZE => Self::WindowAckSize(number(payload, "WindowAckSize")?),
            kind::SET_PEER_BANDWIDTH => {
                let limit = match payload.get(4) {
                    Some(0) => Limit::Hard,
                    Some(1) => Limit::Soft,
                    _ => Limit::Dynamic,
                };
                Self::SetPeerBandwidth(number(payload, "SetPeerBandwidth")?, limit)
            }
            kind::USER_CONTROL => Self::UserControl(UserControl::parse(payload)?),
            kind::COMMAND => Self::Command(Command::parse(payload)?),
            kind::COMMAND_AMF3 => Self::Command(Command::parse(&unwrapped(payload))?),
            kind::DATA => Self::Data(payload.clone()),
            kind::DATA_AMF3 => Self::Data(unwrapped(payload)),
            kind::AUDIO => Self::Audio(payload.clone()),
            kind::VIDEO => Self::Video(payload.clone()),
            kind::AGGREGATE => Self::Aggregate(payload.clone()),
            other => Self::Other(other),
        })
    }

    /// The kind and the payload that say this.
    #[must_use]
    pub fn emit(&self) -> (u8, Bytes) {
        let four = |number: &u32| Bytes::copy_from_slice(&number.to_be_bytes());
        match self {
            Self::SetChunkSize(size) => (kind::SET_CHUNK_SIZE, four(size)),
            Self::Abort(chunk_stream) => (kind::ABORT, four(chunk_stream)),
            Self::Acknowledgement(bytes) => (kind::ACKNOWLEDGEMENT, four(bytes)),
            Self::WindowAckSize(size) => (kind::WINDOW_ACK_SIZE, four(size)),
            Self::SetPeerBandwidth(size, limit) => {
                let mut out = size.to_be_bytes().to_vec();
                out.push(match limit {
                    Limit::Hard => 0,
                    Limit::Soft => 1,
                    Limit::Dynamic => 2,
                });
                (kind::SET_PEER_BANDWIDTH, out.into())
            }
            Self::UserControl(event) => (kind::USER_CONTROL, event.emit()),
            Self::Command(command) => (kind::COMMAND, command.emit()),
            Self::Data(payload) => (kind::DATA, payload.clone()),
            Self::Audio(payload) => (kind::AUDIO, payload.clone()),
            Self::Video(payload) => (kind::VIDEO, payload.clone()),
            Self::Aggregate(payload) => (kind::AGGREGATE, payload.clone()),
            Self::Other(kind) => (*kind, Bytes::new()),
        }
    }
}

impl UserControl {
    fn parse(payload: &[u8]) -> Result<Self, MessageError> {
        const WHAT: &str = "user control message";
        let short = MessageError::Short { what: WHAT, len: payload.len(), wanted: 2 };
        let (event, data) = payload.split_first_chunk().ok_or(short)?;
        let stream = || number(data, WHAT);
        Ok(match u16::from_be_bytes(*event) {
            0 => Self::StreamBegin(stream()?),
            1 => Self::StreamEof(stream()?),
            2 => Self::StreamDry(stream()?),
            3 => Self::SetBufferLength {
                message_stream: stream()?,
                millis: number(data.get(4..).unwrap_or_default(), WHAT)?,
            },
            4 => Self::StreamIsRecorded(stream()?),
            6 => Self::PingRequest(stream()?),
            7 => Self::PingResponse(stream()?),
            other => Self::Other(other),
        })
    }

    fn emit(self) -> Bytes {
        let (event, numbers): (u16, [Option<u32>; 2]) = match self {
            Self::StreamBegin(stream) => (0, [Some(stream), None]),
            Self::StreamEof(stream) => (1, [Some(stream), None]),
            Self::StreamDry(stream) => (2, [Some(stream), None]),
            Self::SetBufferLength { message_stream, millis } => {
                (3, [Some(message_stream), Some(millis)])
            }
            Self::StreamIsRecorded(stream) => (4, [Some(stream), None]),
            Self::PingRequest(time) => (6, [Some(time), None]),
            Self::PingResponse(time) => (7, [Some(time), None]),
            Self::Other(event) => (event, [None, None]),
        };
        let numbers = numbers.into_iter().flatten().flat_map(u32::to_be_bytes);
        event.to_be_bytes().into_iter().chain(numbers).collect()
    }
}

impl Command {
    /// A call or an answer.
    #[must_use]
    pub fn new(name: &str, transaction: f64, object: Value, arguments: Vec<Value>) -> Self {
        Self { name: name.to_owned(), transaction, object, arguments }
    }

    /// Tolerates what is missing after the name.
    fn parse(payload: &[u8]) -> Result<Self, MessageError> {
        if payload.len() > RTMP_MESSAGE_AT_FIRST {
            return Err(MessageError::CommandLength(payload.len()));
        }
        let mut values = amf0::Reader::new(payload).all()?.into_iter();
        let Some(Value::String(name)) = values.next() else {
            return Err(MessageError::CommandName);
        };
        let transaction = values.next().and_then(|value| value.as_number()).unwrap_or(0.0);
        let object = values.next().unwrap_or(Value::Null);
        Ok(Self { name, transaction, object, arguments: values.collect() })
    }

    fn emit(&self) -> Bytes {
        let mut out = Vec::new();
        amf0::emit_string(&self.name, &mut out);
        Value::Number(self.transaction).emit(&mut out);
        self.object.emit(&mut out);
        self.arguments.iter().for_each(|argument| argument.emit(&mut out));
        out.into()
    }

    /// An argument that is text.
    #[must_use]
    pub fn text(&self, place: usize) -> Option<&str> {
        self.arguments.get(place).and_then(Value::as_text)
    }

    /// An argument that is a number.
    #[must_use]
    pub fn number(&self, place: usize) -> Option<f64> {
        self.arguments.get(place).and_then(Value::as_number)
    }

    /// An argument that is true or false.
    #[must_use]
    pub fn flag(&self, place: usize) -> Option<bool> {
        self.arguments.get(place).and_then(Value::as_bool)
    }
}

fn number(payload: &[u8], what: &'static str) -> Result<u32, MessageError> {
    let short = MessageError::Short { what, len: payload.len(), wanted: 4 };
    payload.first_chunk().map(|bytes| u32::from_be_bytes(*bytes)).ok_or(short)
}

/// AMF3 messages begin with a byte that says that AMF0 follows, and so it does.
fn unwrapped(payload: &Bytes) -> Bytes {
    match payload.first() {
        Some(0) => payload.slice(1..),
        _ => payload.clone(),
    }
}

/// The messages in an aggregate, which are FLV tags. The first one has the aggregate's time, the others
/// keep their distance from it. They share the aggregate's message stream and its memory.
pub fn aggregated(
    raw: &RawMessage,
) -> impl Iterator<Item = Result<RawMessage, MessageError>> + use<> {
    let mut rest = raw.payload.clone();
    let (message_stream, time) = (raw.message_stream, raw.time);
    let mut shift = None;
    let mut count = 0;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let next = (|| {
            count += 1;
            if count > RTMP_AGGREGATE {
                return Err(MessageError::AggregateCount);
            }
            let head: &[u8; 11] = rest.first_chunk().ok_or(MessageError::AggregateCut)?;
            let [kind, l2, l1, l0, t2, t1, t0, t3, ..] = *head;
            let len = u32::from_be_bytes([0, l2, l1, l0]);
            let own = u32::from_be_bytes([t3, t2, t1, t0]);
            if !matches!(kind, kind::AUDIO | kind::VIDEO | kind::DATA | kind::DATA_AMF3) {
                return Err(MessageError::AggregateKind(kind));
            }
            rest.advance(head.len());
            let len = usize::try_from(len).unwrap_or(usize::MAX);
            if len > rest.len() {
                return Err(MessageError::AggregateCut);
            }
            let payload = rest.split_to(len);
            // The length backwards; some leave it out after the last one.
            rest.advance(rest.len().min(4));
            let shift = *shift.get_or_insert(time.wrapping_sub(own));
            let time = own.wrapping_add(shift);
            Ok(RawMessage { kind, message_stream, time, payload })
        })();
        if next.is_err() {
            rest.clear();
        }
        Some(next)
    })
}

#[cfg(test)]
mod tests;
