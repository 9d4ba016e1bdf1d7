//! Chunks in, messages out.

use super::{ChunkError, DEFAULT_CHUNK_SIZE, EXTENDED, RawMessage};
use crate::limits::{
    RTMP_CHUNK_STREAMS, RTMP_HELD, RTMP_KEPT_BUFFER, RTMP_KEPT_BUFFERS, RTMP_MESSAGE,
    RTMP_MESSAGE_AT_FIRST,
};
use bytes::BytesMut;

/// Longest header: 3 bytes basic, 11 message, 4 extended timestamp.
const HEADER: usize = 18;
/// A step in time longer than this (in milliseconds) is not believed where the same bytes have another
/// reading.
const NEAR: u32 = 10_000;

/// What is remembered of a chunk stream.
#[derive(Debug)]
struct ChunkStream {
    id: u32,
    /// Time of the last message, or of the one being received.
    time: u32,
    /// What a message that begins with type 3 adds to it.
    delta: u32,
    /// The extended timestamp of the last header that had one; none if the last header had none.
    extended: Option<u32>,
    length: usize,
    kind: u8,
    message_stream: u32,
    /// What has arrived of the message being received. Its buffer is used again once nobody has the
    /// messages that were in it.
    body: BytesMut,
    /// How much has arrived in this go, and the most that did in one, or in one message: what a buffer
    /// needs room for, lest it be outgrown while its messages are still with whoever takes them.
    arrived: usize,
    most: usize,
    /// A message has begun and is not finished.
    within: bool,
}

impl ChunkStream {
    fn new(id: u32) -> Self {
        Self {
            id,
            time: 0,
            delta: 0,
            extended: None,
            length: 0,
            kind: 0,
            message_stream: 0,
            body: BytesMut::new(),
            arrived: 0,
            most: 0,
            within: false,
        }
    }

    fn add(&mut self, part: &[u8]) {
        self.arrived += part.len();
        if self.body.capacity() - self.body.len() < part.len() {
            self.body.reserve(part.len().max(self.most));
        }
        self.body.extend_from_slice(part);
    }

    fn finish(&mut self, keep_buffer: bool) -> RawMessage {
        self.within = false;
        let payload = self.body.split().freeze();
        if keep_buffer && payload.len() <= RTMP_KEPT_BUFFER {
            self.most = self.most.max(payload.len());
        } else {
            self.body = BytesMut::new();
        }
        let Self { kind, message_stream, time, .. } = *self;
        RawMessage { kind, message_stream, time, payload }
    }
}

/// The headers of one chunk.
#[derive(Clone, Copy, Debug)]
struct ChunkHeader {
    format: u8,
    chunk_stream: u32,
    /// Time or delta; what the extended timestamp says, if there is one.
    time: u32,
    extended: bool,
    length: u32,
    kind: u8,
    message_stream: u32,
}

/// Puts messages together from chunks.
///
/// Memory grows with the bytes that arrived: neither the chunk size nor the length a peer declares
/// takes any. Bytes go to their message as they come, so nothing but a cut header is kept beside.
///
/// Two things peers do differently are told apart by looking:
/// - Type 3 chunks of a message with an extended timestamp repeat it (the specification, ffmpeg) or
///   don't (librtmp). It is there if the four bytes equal it.
/// - An extended timestamp of type 1 and 2 is a delta (the specification), which may be negative, or
///   the time itself. It is the time if that is near the last one.
#[derive(Debug)]
pub struct Reader {
    chunk_size: usize,
    message_limit: usize,
    streams: Vec<ChunkStream>,
    /// Bytes of unfinished messages.
    held: usize,
    /// The place in `streams` of the chunk being received, and how much of it is missing.
    current: Option<(usize, usize)>,
    /// A header cut by the end of the input.
    carry: [u8; HEADER],
    carried: usize,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            chunk_size: DEFAULT_CHUNK_SIZE,
            message_limit: RTMP_MESSAGE_AT_FIRST,
            streams: Vec::new(),
            held: 0,
            current: None,
            carry: [0; HEADER],
            carried: 0,
        }
    }
}

impl Reader {
    /// Takes bytes off the front of the input up to the end of the next message, or all of them.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<RawMessage>, ChunkError> {
        loop {
            let finished = match self.current {
                Some((at, missing)) => self.take_payload(at, missing, input)?,
                None => match self.take_header(input)? {
                    Some(at) => self.finish_if_whole(at),
                    None => return Ok(None),
                },
            };
            if finished.is_some() {
                return Ok(finished);
            }
            if self.carried == 0 && input.is_empty() {
                return Ok(None);
            }
        }
    }

    /// To be called before bytes are read that arrived together: takes buffers back whose messages are
    /// gone by now.
    pub fn begin(&mut self) {
        for stream in &mut self.streams {
            stream.most = stream.most.max(stream.arrived).min(RTMP_KEPT_BUFFER);
            stream.arrived = 0;
            // Where it cannot, the next byte that does not fit makes room.
            let _ = stream.body.try_reclaim(stream.most);
        }
    }

    /// The sender's chunk size from the next chunk on.
    pub fn set_chunk_size(&mut self, size: u32) -> Result<(), ChunkError> {
        match size {
            0 => return Err(ChunkError::ChunkSizeZero),
            size if size > i32::MAX as u32 => return Err(ChunkError::ChunkSizeTopBit(size)),
            size => self.chunk_size = usize::try_from(size).unwrap_or(usize::MAX),
        }
        Ok(())
    }

    /// The longest message taken from now on.
    pub fn set_message_limit(&mut self, limit: usize) {
        self.message_limit = limit.min(RTMP_MESSAGE);
    }

    /// Forgets what has arrived of a message, because its sender gave it up.
    pub fn abort(&mut self, chunk_stream: u32) {
        if let Some(stream) = self.streams.iter_mut().find(|stream| stream.id == chunk_stream) {
            self.held = self.held.saturating_sub(stream.body.len());
            stream.body.clear();
            stream.within = false;
        }
    }

    /// Bytes of unfinished messages.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held + self.carried
    }

    /// Memory taken for messages, used or not.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.streams.iter().map(|stream| stream.body.capacity()).sum()
    }

    /// Gives memory back that is not needed by who sends little from now on.
    pub fn shrink(&mut self) {
        for stream in self.streams.iter_mut().filter(|stream| stream.body.is_empty()) {
            stream.body = BytesMut::new();
            (stream.arrived, stream.most) = (0, 0);
        }
        self.streams.shrink_to_fit();
    }

    /// Takes a chunk's header and applies it, or keeps what there is of it.
    fn take_header(&mut self, input: &mut &[u8]) -> Result<Option<usize>, ChunkError> {
        loop {
            if self.carried == 0 {
                if let Some((header, used)) = self.parse(input)? {
                    *input = input.get(used..).unwrap_or_default();
                    return self.apply(&header).map(Some);
                }
                // Too few for a header, so they fit.
                for (place, byte) in self.carry.iter_mut().zip(input.iter()) {
                    *place = *byte;
                }
                self.carried = input.len().min(HEADER);
                *input = &[];
                return Ok(None);
            }
            let carry = self.carry;
            if let Some((header, used)) = self.parse(carry.get(..self.carried).unwrap_or(&[]))? {
                self.carry.rotate_left(used.min(HEADER));
                self.carried = self.carried.saturating_sub(used);
                return self.apply(&header).map(Some);
            }
            let Some((&byte, rest)) = input.split_first() else { return Ok(None) };
            *input = rest;
            if let Some(place) = self.carry.get_mut(self.carried) {
                *place = byte;
                self.carried += 1;
            }
        }
    }

    /// The header these bytes begin with and its length, or nothing if they end within it.
    fn parse(&self, bytes: &[u8]) -> Result<Option<(ChunkHeader, usize)>, ChunkError> {
        let mut rest = bytes;
        let Some(basic) = byte(&mut rest) else { return Ok(None) };
        let chunk_stream = match basic & 0x3f {
            0 => match byte(&mut rest) {
                Some(low) => 64 + u32::from(low),
                None => return Ok(None),
            },
            1 => match (byte(&mut rest), byte(&mut rest)) {
                (Some(low), Some(high)) => 64 + u32::from(low) + 256 * u32::from(high),
                _ => return Ok(None),
            },
            short => u32::from(short),
        };
        let format = basic >> 6;
        let last = self.streams.iter().find(|stream| stream.id == chunk_stream);
        let mut header = match last {
            Some(last) => ChunkHeader {
                format,
                chunk_stream,
                time: last.delta,
                extended: false,
                length: u32::try_from(last.length).unwrap_or(u32::MAX),
                kind: last.kind,
                message_stream: last.message_stream,
            },
            // Some clients begin a chunk stream with type 1.
            None if format < 2 => ChunkHeader {
                format,
                chunk_stream,
                time: 0,
                extended: false,
                length: 0,
                kind: 0,
                message_stream: 0,
            },
            None => return Err(ChunkError::NothingBefore { format, chunk_stream }),
        };
        if format == 3 {
            return Ok(match last.and_then(|last| Some((last, last.extended?))) {
                Some((last, extended)) => {
                    repeated(rest, extended, last.time).map(|there| (there, header))
                }
                None => Some((false, header)),
            }
            .map(|(extended, header)| {
                let used = bytes.len() - rest.len() + if extended { 4 } else { 0 };
                (ChunkHeader { extended, ..header }, used)
            }));
        }
        let Some([a, b, c]) = array(&mut rest) else { return Ok(None) };
        header.time = u32::from_be_bytes([0, a, b, c]);
        if format < 2 {
            let Some([a, b, c, kind]) = array(&mut rest) else { return Ok(None) };
            header.length = u32::from_be_bytes([0, a, b, c]);
            header.kind = kind;
        }
        if format == 0 {
            let Some(message_stream) = array(&mut rest) else { return Ok(None) };
            header.message_stream = u32::from_le_bytes(message_stream);
        }
        if header.time == EXTENDED {
            let Some(extended) = array(&mut rest) else { return Ok(None) };
            header.time = u32::from_be_bytes(extended);
            header.extended = true;
        }
        Ok(Some((header, bytes.len() - rest.len())))
    }

    /// Begins a chunk: its message as well, if it is the first.
    fn apply(&mut self, header: &ChunkHeader) -> Result<usize, ChunkError> {
        let id = header.chunk_stream;
        let at = match self.streams.iter().position(|stream| stream.id == id) {
            Some(at) => at,
            None if self.streams.len() >= RTMP_CHUNK_STREAMS => {
                return Err(ChunkError::TooManyChunkStreams(RTMP_CHUNK_STREAMS));
            }
            None => {
                self.streams.push(ChunkStream::new(id));
                self.streams.len() - 1
            }
        };
        let Some(stream) = self.streams.get_mut(at) else { return Ok(at) };
        if stream.within && header.format != 3 {
            return Err(ChunkError::Interrupted(id));
        }
        if !stream.within {
            let length = usize::try_from(header.length).unwrap_or(usize::MAX);
            if length > self.message_limit {
                let limit = self.message_limit;
                return Err(ChunkError::MessageLength { len: length, limit });
            }
            let time = header.time;
            (stream.time, stream.delta) = match header.format {
                // By the specification a type 3 that follows adds the same again; senders that use it
                // for "the same time" do so with times too big to be meant as a step.
                0 => (time, if time > NEAR { 0 } else { time }),
                1 | 2 if header.extended && near(time, stream.time) => (time, 0),
                _ => (stream.time.wrapping_add(time), time),
            };
            if header.format != 3 {
                stream.extended = header.extended.then_some(time);
            }
            stream.length = length;
            stream.kind = header.kind;
            stream.message_stream = header.message_stream;
            stream.within = true;
        }
        let left = stream.length.saturating_sub(stream.body.len());
        self.current = Some((at, left.min(self.chunk_size)));
        Ok(at)
    }

    /// Moves payload from the input to its message.
    fn take_payload(
        &mut self,
        at: usize,
        missing: usize,
        input: &mut &[u8],
    ) -> Result<Option<RawMessage>, ChunkError> {
        let carry = self.carry;
        let from_carry = self.carried > 0;
        let source = if from_carry { carry.get(..self.carried).unwrap_or(&[]) } else { *input };
        let (part, rest) = source.split_at_checked(missing).unwrap_or((source, &[]));
        if self.held + part.len() > RTMP_HELD {
            return Err(ChunkError::TooMuchHeld(RTMP_HELD));
        }
        self.held += part.len();
        if let Some(stream) = self.streams.get_mut(at) {
            stream.add(part);
        }
        if from_carry {
            self.carry.rotate_left(part.len());
            self.carried -= part.len();
        } else {
            *input = input.get(input.len() - rest.len()..).unwrap_or_default();
        }
        self.current = Some((at, missing - part.len()));
        Ok(self.finish_if_whole(at))
    }

    /// The message, if this chunk was its last; and on to the next chunk, if this one is over.
    fn finish_if_whole(&mut self, at: usize) -> Option<RawMessage> {
        if !matches!(self.current, Some((_, 0))) {
            return None;
        }
        self.current = None;
        let stream = self.streams.get_mut(at)?;
        if stream.body.len() < stream.length {
            return None;
        }
        self.held = self.held.saturating_sub(stream.length);
        // Who sends nothing but commands sends few of them.
        let sends_media = self.message_limit > RTMP_MESSAGE_AT_FIRST;
        Some(stream.finish(sends_media && at < RTMP_KEPT_BUFFERS))
    }
}

fn byte(rest: &mut &[u8]) -> Option<u8> {
    let (first, tail) = rest.split_first()?;
    *rest = tail;
    Some(*first)
}

fn array<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*first)
}

/// Whether these bytes begin with the extended timestamp, or with the time it stands for. Nothing, if
/// there are too few to know.
fn repeated(bytes: &[u8], extended: u32, time: u32) -> Option<bool> {
    let begins = |number: u32| number.to_be_bytes().iter().zip(bytes).all(|(a, b)| a == b);
    match begins(extended) || begins(time) {
        false => Some(false),
        true => (bytes.len() >= 4).then_some(true),
    }
}

fn near(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).min(b.wrapping_sub(a)) <= NEAR
}
