//! Messages in, chunks out.
//!
//! Every message begins with a full (type 0) header and an absolute time, so that its bytes mean the
//! same to each receiver whatever was sent to it before: one copy serves all players of a stream.
//! Further chunks are of type 3 and repeat an extended timestamp, as ffmpeg and Flash expect.

use super::{EXTENDED, PLAYED_MESSAGE_STREAM, chunk_stream, kind};
use crate::frame::Track;
use crate::limits::RTMP_CHUNK_SIZE;
use std::ops::Deref;
use thiserror::Error;

/// A message that the 24 bits of its length field cannot hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("a message of {0} bytes was to be sent, RTMP has room for 16,777,215")]
pub struct TooLong(
    /// Its length.
    pub usize,
);

/// Everything of a message to be sent but its payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// The chunk stream it goes by, 2 to 63.
    pub chunk_stream: u32,
    /// What it is; one of [`kind`].
    pub kind: u8,
    /// The message stream it belongs to.
    pub message_stream: u32,
    /// Its time in milliseconds, modulo 2^32.
    pub time: u32,
}

/// The header of a media message. Its time wraps, as RTMP's does.
#[must_use]
pub fn media_header(track: Track, message_stream: u32, time_ms: i64) -> Header {
    let (chunk_stream, kind) = match track {
        Track::Audio => (chunk_stream::AUDIO, kind::AUDIO),
        Track::Video => (chunk_stream::VIDEO, kind::VIDEO),
        Track::Data => (chunk_stream::STATUS, kind::DATA),
    };
    Header { chunk_stream, kind, message_stream, time: time_ms as u32 }
}

/// Bytes of a header, in place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeadBytes {
    bytes: [u8; 16],
    len: usize,
}

impl HeadBytes {
    fn push(&mut self, part: &[u8]) {
        for (place, byte) in self.bytes.iter_mut().skip(self.len).zip(part) {
            *place = *byte;
        }
        self.len += part.len();
    }
}

impl Deref for HeadBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }
}

/// A piece of a framed message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Piece<'a> {
    /// A header.
    Head(HeadBytes),
    /// A part of the payload, where it was.
    Payload(&'a [u8]),
}

impl Deref for Piece<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Head(head) => head,
            Self::Payload(part) => part,
        }
    }
}

/// The chunks of one message, piece by piece and without a copy of its payload.
///
/// The payload is given in parts, such as a codec's header and a frame, which are sent as if they were
/// one.
#[derive(Clone, Debug)]
pub struct Pieces<'a> {
    first: Option<HeadBytes>,
    next: HeadBytes,
    part: &'a [u8],
    parts: std::slice::Iter<'a, &'a [u8]>,
    chunk_size: usize,
    /// What this chunk still takes.
    room: usize,
}

impl<'a> Pieces<'a> {
    /// The pieces of this message.
    pub fn new(header: &Header, parts: &'a [&'a [u8]], chunk_size: usize) -> Result<Self, TooLong> {
        let len = parts.iter().map(|part| part.len()).sum();
        let length = u32::try_from(len).ok().filter(|length| *length <= 0xff_ffff);
        let [_, length @ ..] = length.ok_or(TooLong(len))?.to_be_bytes();
        let stream = u8::try_from(header.chunk_stream & 0x3f).unwrap_or_default();
        let [_, time @ ..] = header.time.min(EXTENDED).to_be_bytes();
        let mut first = HeadBytes { bytes: [0; 16], len: 0 };
        let mut next = first;
        first.push(&[stream]);
        first.push(&time);
        first.push(&length);
        first.push(&[header.kind]);
        first.push(&header.message_stream.to_le_bytes());
        next.push(&[0xc0 | stream]);
        if header.time >= EXTENDED {
            first.push(&header.time.to_be_bytes());
            next.push(&header.time.to_be_bytes());
        }
        let chunk_size = chunk_size.max(1);
        let parts = parts.iter();
        Ok(Self { first: Some(first), next, part: &[], parts, chunk_size, room: chunk_size })
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        if let Some(first) = self.first.take() {
            return Some(Piece::Head(first));
        }
        while self.part.is_empty() {
            self.part = self.parts.next()?;
        }
        if self.room == 0 {
            self.room = self.chunk_size;
            return Some(Piece::Head(self.next));
        }
        let (piece, rest) = self.part.split_at_checked(self.room).unwrap_or((self.part, &[]));
        self.part = rest;
        self.room -= piece.len();
        Some(Piece::Payload(piece))
    }
}

/// How long a message is in chunks.
#[must_use]
pub fn framed_len(header: &Header, len: usize, chunk_size: usize) -> usize {
    let extended = if header.time >= EXTENDED { 4 } else { 0 };
    let more = len.saturating_sub(1) / chunk_size.max(1);
    12 + extended + len + more * (1 + extended)
}

/// Appends a message in chunks.
pub fn append(
    out: &mut Vec<u8>,
    header: &Header,
    parts: &[&[u8]],
    chunk_size: usize,
) -> Result<(), TooLong> {
    let pieces = Pieces::new(header, parts, chunk_size)?;
    let len = parts.iter().map(|part| part.len()).sum();
    out.reserve(framed_len(header, len, chunk_size));
    pieces.for_each(|piece| out.extend_from_slice(&piece));
    Ok(())
}

/// Appends a media message as all players of a stream are sent it: on message stream
/// [`PLAYED_MESSAGE_STREAM`], in chunks of [`RTMP_CHUNK_SIZE`].
pub fn append_media(
    out: &mut Vec<u8>,
    track: Track,
    time_ms: i64,
    parts: &[&[u8]],
) -> Result<(), TooLong> {
    let header = media_header(track, PLAYED_MESSAGE_STREAM, time_ms);
    append(out, &header, parts, RTMP_CHUNK_SIZE)
}
