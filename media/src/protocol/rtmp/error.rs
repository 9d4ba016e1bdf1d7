//! Why a session ends.

use super::chunk::{ChunkError, TooLong};
use super::handshake::HandshakeError;
use super::message::MessageError;
use crate::limits::{RTMP_HELD, RTMP_MESSAGE_STREAMS, RTMP_NAME};
use thiserror::Error;

/// What ended a session. Every later call gets the same again, unless it is a [`Misuse`].
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Error {
    /// There is no RTMP with this peer.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// Its chunks don't add up.
    #[error(transparent)]
    Chunk(#[from] ChunkError),
    /// One of its messages is broken.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// Its commands come in an order, or with arguments, that make no sense.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// This side asked for something that does not fit. The only error a session goes on after.
    #[error(transparent)]
    Misuse(#[from] Misuse),
}

/// What a peer said at the wrong time or incompletely.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum SessionError {
    /// Nothing but `connect` may come first.
    #[error("client sent {0:?} before connect")]
    BeforeConnect(String),
    /// One connection connects once.
    #[error("client sent connect twice")]
    ConnectTwice,
    /// An argument is missing or of another type.
    #[error("client sent {command} without {expected}")]
    Argument {
        /// The command.
        command: &'static str,
        /// What had to be there.
        expected: &'static str,
    },
    /// An app, URL or stream name that nobody types.
    #[error("client sent a name of {len} bytes ({what}), at most {RTMP_NAME} are taken")]
    NameLength {
        /// What it names.
        what: &'static str,
        /// How long it is.
        len: usize,
    },
    /// More `createStream` than anyone needs.
    #[error("client opened more than {RTMP_MESSAGE_STREAMS} message streams")]
    MessageStreams,
    /// It did not wait for an answer it needs.
    #[error("client sent more than {RTMP_HELD} bytes ahead of the answer to its command")]
    Ahead,
    /// Data so deep that players might fall over it.
    #[error("in a data message: {0}")]
    Data(super::amf0::AmfError),
    /// Data longer than any metadata.
    #[error("client sent a data message of {0} bytes, at most {max} are taken", max = crate::limits::RTMP_DATA)]
    DataLength(usize),
    /// An answer without what was asked for.
    #[error("server answered {command} without {expected}")]
    Answer {
        /// The command.
        command: &'static str,
        /// What had to be there.
        expected: &'static str,
    },
}

/// A call of the session's owner that does not fit its state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum Misuse {
    /// Nobody asked.
    #[error("the session has no {0} to decide about")]
    NothingToDecide(&'static str),
    /// There is no such message stream, or it does something else.
    #[error("message stream {0} is not {1}")]
    NotSo(u32, &'static str),
    /// The message does not fit into RTMP.
    #[error(transparent)]
    TooLong(#[from] TooLong),
}

/// A peer's words as they may stand in a log line.
pub(super) fn quoted(text: &str) -> String {
    text.chars().take(40).collect()
}
