//! What both ends of a connection do below the commands.

use super::chunk::{
    DEFAULT_CHUNK_SIZE, Header, RawMessage, Reader, TooLong, append, chunk_stream, kind,
    media_header,
};
use super::error::Error;
use super::message::{Message, UserControl};
use crate::frame::Track;
use crate::limits::{RTMP_CHUNK_SIZE, RTMP_WINDOW};

/// Chunks in and out, with what the protocol asks for on its own: chunk sizes followed, bytes
/// acknowledged, pings answered.
#[derive(Debug)]
pub struct Link {
    pub reader: Reader,
    out: Vec<u8>,
    chunk_size: usize,
    /// Bytes received, and how many of them the peer knows of.
    received: u64,
    acknowledged: u64,
    /// After how many bytes the peer wants an acknowledgement.
    window: u32,
    /// After how many bytes this end wants one; what was announced last.
    announced: u32,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            reader: Reader::default(),
            out: Vec::new(),
            chunk_size: DEFAULT_CHUNK_SIZE,
            received: 0,
            acknowledged: 0,
            window: RTMP_WINDOW,
            announced: 0,
        }
    }
}

impl Link {
    /// Where a handshake puts its answer.
    pub fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Whether there is anything to send.
    pub fn has_output(&self) -> bool {
        !self.out.is_empty()
    }

    /// Moves what is to be sent behind what is there, and keeps no memory for it: most connections say
    /// something once and then receive or wait.
    pub fn take_output(&mut self, into: &mut Vec<u8>) {
        let out = std::mem::take(&mut self.out);
        match into.capacity() {
            0 => *into = out,
            _ => into.extend_from_slice(&out),
        }
    }

    /// Counts bytes that have arrived together, before they are read.
    pub fn begin(&mut self, bytes: usize) {
        self.reader.begin();
        self.received = self.received.saturating_add(bytes as u64);
    }

    /// Acknowledges, if it is time to. Once for all that came in one go, whatever window a peer wants.
    pub fn acknowledge(&mut self) {
        if self.received - self.acknowledged >= u64::from(self.window) {
            self.acknowledged = self.received;
            self.control(&Message::Acknowledgement(self.received as u32));
        }
    }

    /// The next message that is not the link's own business.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<RawMessage>, Error> {
        while let Some(raw) = self.reader.read(input)? {
            match raw.kind {
                kind::SET_CHUNK_SIZE
                | kind::ABORT
                | kind::ACKNOWLEDGEMENT
                | kind::WINDOW_ACK_SIZE
                | kind::SET_PEER_BANDWIDTH => self.obey(&Message::parse(&raw)?)?,
                _ => return Ok(Some(raw)),
            }
        }
        Ok(None)
    }

    fn obey(&mut self, message: &Message) -> Result<(), Error> {
        match *message {
            Message::SetChunkSize(size) => self.reader.set_chunk_size(size)?,
            Message::Abort(chunk_stream) => self.reader.abort(chunk_stream),
            // Nobody means 0 as "never".
            Message::WindowAckSize(size) if size > 0 => self.window = size,
            Message::SetPeerBandwidth(size, _) if size != self.announced => self.want(size),
            _ => {}
        }
        Ok(())
    }

    /// Answers a ping; the answer of one is for the owner.
    pub fn user_control(&mut self, raw: &RawMessage) -> Result<UserControl, Error> {
        match Message::parse(raw)? {
            Message::UserControl(UserControl::PingRequest(time)) => {
                self.control(&Message::UserControl(UserControl::PingResponse(time)));
                Ok(UserControl::PingRequest(time))
            }
            Message::UserControl(event) => Ok(event),
            _ => Ok(UserControl::Other(0)),
        }
    }

    /// Announces after how many bytes this end wants an acknowledgement.
    pub fn want(&mut self, window: u32) {
        self.announced = window;
        self.control(&Message::WindowAckSize(window));
    }

    /// Announces the chunk size that is used here, and uses it.
    pub fn enlarge_chunks(&mut self) {
        self.control(&Message::SetChunkSize(RTMP_CHUNK_SIZE as u32));
        self.chunk_size = RTMP_CHUNK_SIZE;
    }

    /// Sends a message of the connection itself.
    pub fn control(&mut self, message: &Message) {
        self.send(chunk_stream::CONTROL, 0, message);
    }

    /// Sends a message that this crate put together, so not one that is too long.
    pub fn send(&mut self, chunk_stream: u32, message_stream: u32, message: &Message) {
        let (kind, payload) = message.emit();
        let header = Header { chunk_stream, kind, message_stream, time: 0 };
        let sent = append(&mut self.out, &header, &[&payload], self.chunk_size);
        debug_assert!(sent.is_ok(), "{sent:?}");
    }

    /// Sends media.
    pub fn send_media(
        &mut self,
        track: Track,
        message_stream: u32,
        time_ms: i64,
        parts: &[&[u8]],
    ) -> Result<(), TooLong> {
        let header = media_header(track, message_stream, time_ms);
        append(&mut self.out, &header, parts, self.chunk_size)
    }
}
