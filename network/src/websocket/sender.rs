//! The outgoing half of a session: commands in, bytes out, and the little that is owed to the peer.

use super::close::{self, CloseCode};
use super::frame::{CONTROL_AT_MOST, HEADER_AT_MOST, Opcode, header, mask};
use super::masks::Masks;
use super::message::Kind;
use thiserror::Error;

/// A command that cannot be followed. Each is the caller's fault, and nothing was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SendError {
    /// A close frame was sent, or is owed.
    #[error("the session is closing; after a close frame nothing may be sent")]
    Closing,
    /// A ping or pong with too much in it.
    #[error("a ping or pong of {0} bytes; at most {CONTROL_AT_MOST} fit")]
    ControlTooLong(usize),
    /// A code that must not be on the wire.
    #[error("code {0} must not be sent in a close frame")]
    CloseCode(CloseCode),
    /// A header without its payload, from a client.
    #[error("a client masks each payload with its own key, so it cannot send a shared one")]
    ClientMasks,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Everything may be sent.
    Open,
    /// This side sent its close frame and waits for the peer's.
    CloseSent,
    /// The peer's close frame came, or the session failed: nothing but what is owed is sent.
    Ended,
}

/// The outgoing half of a [`Session`](super::session::Session). Each command appends whole frames to
/// the caller's buffer and remembers nothing of them.
///
/// Messages are sent in one frame; a sender that has the bytes gains nothing from pieces.
pub struct Sender {
    /// Where a client's keys come from; a server has none.
    masks: Option<Box<Masks>>,
    state: State,
    /// What the newest ping carried. One is enough: RFC 6455, section 5.5.3.
    pong: Vec<u8>,
    pong_owed: bool,
    close_owed: Option<CloseCode>,
}

impl Sender {
    pub(super) fn new(masks: Option<Box<Masks>>) -> Self {
        Self { masks, state: State::Open, pong: Vec::new(), pong_owed: false, close_owed: None }
    }

    pub(super) fn is_client(&self) -> bool {
        self.masks.is_some()
    }

    /// Whether messages may be sent.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Sends a text.
    ///
    /// # Errors
    /// The session is closing.
    pub fn text(&mut self, text: &str, out: &mut Vec<u8>) -> Result<(), SendError> {
        self.message(Kind::Text, text.as_bytes(), out)
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// The session is closing.
    pub fn binary(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), SendError> {
        self.message(Kind::Binary, data, out)
    }

    /// Sends a message of either kind, such as one just received. Bytes sent as text have to be UTF-8,
    /// or the peer fails the session.
    ///
    /// # Errors
    /// The session is closing.
    pub fn message(&mut self, kind: Kind, data: &[u8], out: &mut Vec<u8>) -> Result<(), SendError> {
        self.while_open()?;
        self.frame(opcode(kind), data, out);
        Ok(())
    }

    /// The bytes a server puts in front of a payload it sends by itself, because many receivers share
    /// it: an array and how much of its front counts.
    ///
    /// # Errors
    /// The session is closing, or is a client's.
    pub fn header(
        &self,
        kind: Kind,
        payload_len: usize,
    ) -> Result<([u8; HEADER_AT_MOST], usize), SendError> {
        self.while_open()?;
        if self.is_client() {
            return Err(SendError::ClientMasks);
        }
        Ok(header(opcode(kind), true, payload_len, None))
    }

    /// Asks the peer for a sign of life; it answers with the same payload.
    ///
    /// # Errors
    /// The session is closing, or the payload is too long.
    pub fn ping(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), SendError> {
        self.control(Opcode::Ping, payload, out)
    }

    /// Sends a sign of life nobody asked for. Pings are answered without it.
    ///
    /// # Errors
    /// The session is closing, or the payload is too long.
    pub fn pong(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), SendError> {
        self.control(Opcode::Pong, payload, out)
    }

    /// Begins the end: the last frame of this side. What the peer sends before its own close frame is
    /// still delivered; how long to wait for that is for the caller to say. A reason above
    /// 123 bytes is cut; [`CloseCode::NO_STATUS`] sends neither.
    ///
    /// # Errors
    /// The session is closing already, or the code must not be sent.
    pub fn close(
        &mut self,
        code: CloseCode,
        reason: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.while_open()?;
        if code != CloseCode::NO_STATUS && !code.is_valid_on_wire() {
            return Err(SendError::CloseCode(code));
        }
        self.state = State::CloseSent;
        self.pong_owed = false;
        let (payload, len) = close::emit(code, reason);
        self.frame(Opcode::Close, payload.get(..len).unwrap_or_default(), out);
        Ok(())
    }

    /// Appends what is owed: the answer to the newest ping, and the close frame that answers the
    /// peer's or says why the session failed. Returns whether there was anything.
    pub fn transmit(&mut self, out: &mut Vec<u8>) -> bool {
        let before = out.len();
        if std::mem::take(&mut self.pong_owed) {
            let payload = std::mem::take(&mut self.pong);
            self.frame(Opcode::Pong, &payload, out);
            self.pong = payload;
        }
        if let Some(code) = self.close_owed.take() {
            let (payload, len) = close::emit(code, "");
            self.frame(Opcode::Close, payload.get(..len).unwrap_or_default(), out);
        }
        out.len() > before
    }

    /// Owes the answer to a ping. One that was not sent yet is forgotten.
    pub(super) fn owe_pong(&mut self, payload: &[u8]) {
        if self.is_open() {
            self.pong.clear();
            self.pong.extend_from_slice(payload);
            self.pong_owed = true;
        }
    }

    /// The session ends: by the peer's close frame, or by its fault. Owes a close frame unless one was
    /// sent.
    pub(super) fn end(&mut self, code: CloseCode) {
        if self.is_open() {
            self.close_owed = Some(code);
        }
        self.state = State::Ended;
    }

    /// Whether nothing is received any more.
    pub(super) fn has_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// Whether bytes are owed.
    pub(super) fn owes(&self) -> bool {
        self.pong_owed || self.close_owed.is_some()
    }

    /// Room held on the heap.
    pub(super) fn held(&self) -> usize {
        let masks = self.masks.as_deref().map_or(0, size_of_val);
        self.pong.capacity() + masks
    }

    fn control(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.while_open()?;
        if payload.len() > CONTROL_AT_MOST {
            return Err(SendError::ControlTooLong(payload.len()));
        }
        self.frame(opcode, payload, out);
        Ok(())
    }

    fn while_open(&self) -> Result<(), SendError> {
        if self.is_open() { Ok(()) } else { Err(SendError::Closing) }
    }

    fn frame(&mut self, opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
        let key = self.masks.as_deref_mut().map(Masks::key);
        let (bytes, len) = header(opcode, true, payload.len(), key);
        out.reserve(len + payload.len());
        out.extend_from_slice(bytes.get(..len).unwrap_or_default());
        let start = out.len();
        out.extend_from_slice(payload);
        if let Some(key) = key {
            mask(out.get_mut(start..).unwrap_or_default(), key, 0);
        }
    }
}

fn opcode(kind: Kind) -> Opcode {
    match kind {
        Kind::Text => Opcode::Text,
        Kind::Binary => Opcode::Binary,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_command_appends_nothing() {
        let mut sender = Sender::new(None);
        let mut out = Vec::new();
        assert_eq!(sender.ping(&[0; 126], &mut out), Err(SendError::ControlTooLong(126)));
        for code in [0, 999, 1004, 1006, 1015, 2999, 5000].map(CloseCode) {
            assert_eq!(sender.close(code, "", &mut out), Err(SendError::CloseCode(code)));
        }
        assert!(out.is_empty() && sender.is_open());

        sender.close(CloseCode::NORMAL, "bye", &mut out).unwrap();
        assert_eq!(out, b"\x88\x05\x03\xe8bye");
        out.clear();
        for refused in [
            sender.text("late", &mut out),
            sender.ping(b"", &mut out),
            sender.pong(b"", &mut out),
            sender.close(CloseCode::NORMAL, "again", &mut out),
            sender.header(Kind::Binary, 1).map(|_| ()),
        ] {
            assert_eq!(refused, Err(SendError::Closing));
        }
        assert!(out.is_empty() && !sender.transmit(&mut out));
    }

    #[test]
    fn only_a_server_shares_payloads() {
        let server = Sender::new(None);
        let (bytes, len) = server.header(Kind::Binary, 70_000).unwrap();
        assert_eq!(&bytes[..len], &[0x82, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x70]);
        let client = Sender::new(Some(Box::new(Masks::new([0; 32]))));
        assert_eq!(client.header(Kind::Binary, 1), Err(SendError::ClientMasks));
    }

    #[test]
    fn the_newest_ping_is_answered_before_the_close_frame() {
        let mut sender = Sender::new(None);
        let mut out = Vec::new();
        for i in 0..10_000_u32 {
            sender.owe_pong(&i.to_be_bytes());
        }
        assert!(sender.held() < 2 * CONTROL_AT_MOST);
        sender.end(CloseCode::NORMAL);
        assert!(sender.transmit(&mut out));
        assert_eq!(out, b"\x8a\x04\x00\x00\x27\x0f\x88\x02\x03\xe8");
        assert!(!sender.transmit(&mut out) && !sender.owes());
    }
}
