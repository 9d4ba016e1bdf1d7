//! Chunks: how messages share one connection. This page has what both directions know.
//!
//! ```text
//! chunk = basic header, message header by type, extended timestamp if the field says so, payload
//!
//! basic header    2 bits type, 6 bits chunk stream; 0: one more byte, +64; 1: two more, low first, +64
//! message header  type 0: time 3, length 3, kind 1, message stream 4 (low byte first)
//!                 type 1: delta 3, length 3, kind 1      the rest is as in the chunk stream's last
//!                 type 2: delta 3
//!                 type 3: nothing; goes on with a message, or begins one like the last
//! time or delta   ff ff ff: the 4 bytes of extended timestamp have it instead
//! payload         as much of the message as is left, at most the chunk size its sender announced
//! ```

mod reader;
mod writer;

pub use reader::Reader;
pub use writer::{Header, Piece, Pieces, TooLong, append, append_media, framed_len, media_header};

use bytes::Bytes;
use thiserror::Error;

/// The chunk size of a sender that has not announced another.
pub const DEFAULT_CHUNK_SIZE: usize = 128;
/// The time field that says that the extended timestamp has the time.
const EXTENDED: u32 = 0xff_ffff;

/// The message stream players are sent their stream on: the first that `createStream` gives.
pub const PLAYED_MESSAGE_STREAM: u32 = 1;

/// The numbers that say what a message is.
#[allow(missing_docs)]
pub mod kind {
    pub const SET_CHUNK_SIZE: u8 = 1;
    pub const ABORT: u8 = 2;
    pub const ACKNOWLEDGEMENT: u8 = 3;
    pub const USER_CONTROL: u8 = 4;
    pub const WINDOW_ACK_SIZE: u8 = 5;
    pub const SET_PEER_BANDWIDTH: u8 = 6;
    pub const AUDIO: u8 = 8;
    pub const VIDEO: u8 = 9;
    pub const DATA_AMF3: u8 = 15;
    pub const COMMAND_AMF3: u8 = 17;
    pub const DATA: u8 = 18;
    pub const COMMAND: u8 = 20;
    pub const AGGREGATE: u8 = 22;
}

/// The chunk streams used here for sending; any numbers would do, peers' traces look alike with these.
#[allow(missing_docs)]
pub mod chunk_stream {
    pub const CONTROL: u32 = 2;
    pub const COMMAND: u32 = 3;
    pub const AUDIO: u32 = 4;
    pub const STATUS: u32 = 5;
    pub const VIDEO: u32 = 6;
}

/// A whole message, not yet looked into.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RawMessage {
    /// What it is; one of [`kind`], or unknown.
    pub kind: u8,
    /// The message stream it belongs to; 0 is the connection itself.
    pub message_stream: u32,
    /// Its time in milliseconds, which wraps.
    pub time: u32,
    /// Its bytes.
    pub payload: Bytes,
}

/// What is wrong with a peer's chunks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum ChunkError {
    /// Nothing fits into chunks of no bytes.
    #[error("peer announced a chunk size of 0")]
    ChunkSizeZero,
    /// The highest bit has to be zero.
    #[error("peer announced a chunk size of {0:#x}, whose top bit has to be 0")]
    ChunkSizeTopBit(u32),
    /// Longer than what a peer in its state may send.
    #[error("peer began a message of {len} bytes, at most {limit} are taken now")]
    MessageLength {
        /// What it declared.
        len: usize,
        /// What it may.
        limit: usize,
    },
    /// A type 2 or 3 chunk on a chunk stream without a message to be like.
    #[error(
        "peer sent a chunk of type {format} on chunk stream {chunk_stream} before one of type 0"
    )]
    NothingBefore {
        /// The type.
        format: u8,
        /// The chunk stream.
        chunk_stream: u32,
    },
    /// A header where a message had to go on.
    #[error("peer began a message on chunk stream {0} inside another one")]
    Interrupted(u32),
    /// Too many chunk streams.
    #[error("peer used more than {0} chunk streams")]
    TooManyChunkStreams(usize),
    /// Too many bytes of unfinished messages.
    #[error("peer sent more than {0} bytes of messages without finishing them")]
    TooMuchHeld(usize),
}

#[cfg(test)]
mod tests;
