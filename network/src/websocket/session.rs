//! One WebSocket session after the handshake, of either role, without socket or clock.

use super::close::{self, CloseCode, CloseError};
use super::frame::{HEADER_AT_MOST, Header, HeaderError, Opcode};
use super::masks::Masks;
use super::message::{Assembly, Kind};
use super::sender::Sender;
use crate::limits::{WEBSOCKET_KEPT, WEBSOCKET_MESSAGE, WEBSOCKET_PIECES};
use thiserror::Error;

/// What a session takes from its peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest message.
    pub message: usize,
    /// Longest payload of one frame.
    pub frame: usize,
    /// Most frames one message comes in.
    pub pieces: u32,
    /// Room kept between messages. Messages up to this length are received without an allocation, and
    /// a session that is silent holds no more.
    pub kept: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message: WEBSOCKET_MESSAGE,
            frame: WEBSOCKET_MESSAGE,
            pieces: WEBSOCKET_PIECES,
            kept: WEBSOCKET_KEPT,
        }
    }
}

/// What the peer did. It borrows from the session until the next call of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// A whole message.
    Message {
        /// What it is made of.
        kind: Kind,
        /// Its bytes, unmasked and joined; those of a text are known to be UTF-8.
        data: &'a [u8],
    },
    /// A ping, with its payload. The answer is owed already.
    Ping(&'a [u8]),
    /// A pong, with its payload.
    Pong(&'a [u8]),
    /// The peer's close frame, whoever began the end. Nothing follows.
    Closed {
        /// Why, or [`CloseCode::NO_STATUS`].
        code: CloseCode,
        /// Why in words; often empty.
        reason: &'a str,
    },
}

/// Bytes that end a session. Each is the peer's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Error {
    /// A frame header no peer may send.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// A client sent plainly.
    #[error("client sent an unmasked frame; a client has to mask")]
    Unmasked,
    /// A server sent masked.
    #[error("server sent a masked frame; a server must not mask")]
    Masked,
    /// A further piece of nothing.
    #[error("peer continued a message that it had not begun")]
    NothingToContinue,
    /// A message inside a message.
    #[error("peer began a message before the last one had ended")]
    MessageInMessage,
    /// A frame above [`Limits::frame`].
    #[error("peer declared a frame of {len} bytes; at most {limit} are taken")]
    FrameTooBig {
        /// The length declared.
        len: u64,
        /// The bound.
        limit: usize,
    },
    /// A message above [`Limits::message`].
    #[error("peer sent a message of {len} bytes or more; at most {limit} are taken")]
    MessageTooBig {
        /// The length received and declared so far.
        len: u64,
        /// The bound.
        limit: usize,
    },
    /// A message in more frames than [`Limits::pieces`].
    #[error("peer sent a message in more than {0} frames")]
    TooManyPieces(u32),
    /// A text that is not UTF-8.
    #[error("peer sent a text that is not UTF-8")]
    NotUtf8,
    /// A close payload no peer may send.
    #[error(transparent)]
    Close(#[from] CloseError),
}

impl Error {
    /// The code that tells the peer.
    #[must_use]
    pub fn close_code(&self) -> CloseCode {
        match self {
            Self::NotUtf8 | Self::Close(CloseError::ReasonNotUtf8) => CloseCode::INVALID_PAYLOAD,
            Self::FrameTooBig { .. } | Self::MessageTooBig { .. } => CloseCode::TOO_BIG,
            Self::TooManyPieces(_) => CloseCode::POLICY,
            _ => CloseCode::PROTOCOL,
        }
    }
}

/// What was completed and waits to be taken by `poll`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ready {
    Nothing,
    Message(Kind),
    Ping,
    Pong,
    Closed,
}

/// The frame whose payload is coming.
#[derive(Clone, Copy)]
struct Coming {
    header: Header,
    len: usize,
    /// Bytes of the payload that came.
    taken: usize,
}

/// A WebSocket session: bytes in, events out; commands in, bytes out; no socket, no clock.
///
/// # Contract
///
/// - [`feed`](Self::feed) takes received bytes, up to the end of the frame that completes an event or
///   all of them, and says how many it took. It never wants a byte twice: incomplete frames are kept
///   inside.
/// - [`poll`](Self::poll) takes the event, with the [`Sender`] to answer it by. While one waits, `feed`
///   takes nothing; so the caller feeds and polls in turn until there is no event, as below.
/// - [`transmit`](Self::transmit) appends what the session owes by itself: the pong for the newest ping
///   and close frames. A caller whose output is backed up leaves it for later; nothing grows meanwhile.
/// - Commands append frames to a buffer of the caller. They are on the [`Sender`].
/// - An [error](enum@Error) from `feed` is the end: `transmit` has the close frame that says why, then the
///   connection is closed. No event follows.
/// - After [`Event::Closed`] or an error `feed` takes and forgets everything. When
///   [`is_done`](Self::is_done), a server closes the connection, and a client waits a little for it to
///   do so. A connection that ends without either ended abnormally ([`CloseCode::ABNORMAL`]).
///
/// ```text
/// fn received(&mut self, input: &[u8]) -> usize {
///     let mut taken = 0;
///     loop {
///         match self.session.feed(&input[taken..]) {
///             Ok(n) => taken += n,
///             Err(error) => { self.fail(error); break }
///         }
///         match self.session.poll() {
///             Some((Event::Message { kind, data }, sender)) => { sender.message(kind, data, &mut self.out); }
///             Some(_) => {}
///             None => break,
///         }
///     }
///     self.session.transmit(&mut self.out);
///     taken
/// }
/// ```
///
/// # Memory
///
/// The room for a message grows with the bytes received, at most to twice as many and at most to
/// [`Limits::message`] (or [`Limits::kept`], if that is more). Beside it: a control payload, a pong, and
/// a client's keys.
pub struct Session {
    limits: Limits,
    /// The beginning of a header that was cut by the end of the input.
    head: [u8; HEADER_AT_MOST],
    head_len: usize,
    coming: Option<Coming>,
    message: Assembly,
    control: Vec<u8>,
    ready: Ready,
    /// The message was taken: its room is free as soon as the borrow ends.
    spent: bool,
    sender: Sender,
}

impl Session {
    /// The server's side.
    #[must_use]
    pub fn server(limits: Limits) -> Self {
        Self::new(limits, Sender::new(None))
    }

    /// The client's side. The seed is for the masking keys: from the system's random source, for this
    /// session only.
    #[must_use]
    pub fn client(limits: Limits, seed: [u8; 32]) -> Self {
        Self::new(limits, Sender::new(Some(Box::new(Masks::new(seed)))))
    }

    fn new(limits: Limits, sender: Sender) -> Self {
        Self {
            limits,
            head: [0; HEADER_AT_MOST],
            head_len: 0,
            coming: None,
            message: Assembly::default(),
            control: Vec::new(),
            ready: Ready::Nothing,
            spent: false,
            sender,
        }
    }

    /// Takes received bytes and says how many; see the contract above.
    ///
    /// # Errors
    /// The peer broke the protocol or a limit. The session has ended.
    pub fn feed(&mut self, input: &[u8]) -> Result<usize, Error> {
        if self.ready != Ready::Nothing {
            return Ok(0);
        }
        if self.sender.has_ended() {
            return Ok(input.len());
        }
        if std::mem::take(&mut self.spent) {
            self.message.clear(self.limits.kept);
        }
        let mut rest = input;
        match self.advance(&mut rest) {
            Ok(()) => Ok(input.len().saturating_sub(rest.len())),
            Err(error) => {
                self.sender.end(error.close_code());
                self.coming = None;
                self.message.clear(0);
                Err(error)
            }
        }
    }

    /// Takes the event that `feed` completed, and the sender to answer it by.
    pub fn poll(&mut self) -> Option<(Event<'_>, &mut Sender)> {
        let event = match std::mem::replace(&mut self.ready, Ready::Nothing) {
            Ready::Nothing => return None,
            Ready::Message(kind) => {
                self.spent = true;
                Event::Message { kind, data: self.message.data() }
            }
            Ready::Ping => Event::Ping(&self.control),
            Ready::Pong => Event::Pong(&self.control),
            Ready::Closed => {
                let (code, reason) =
                    close::parse(&self.control).unwrap_or((CloseCode::NO_STATUS, ""));
                Event::Closed { code, reason }
            }
        };
        Some((event, &mut self.sender))
    }

    /// Where commands go.
    pub fn sender(&mut self) -> &mut Sender {
        &mut self.sender
    }

    /// Appends what the session owes; see [`Sender::transmit`].
    pub fn transmit(&mut self, out: &mut Vec<u8>) -> bool {
        self.sender.transmit(out)
    }

    /// Whether messages may be sent.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.sender.is_open()
    }

    /// Whether the end is agreed, or the session has failed, and everything owed was transmitted.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.sender.has_ended() && !self.sender.owes()
    }

    /// Bytes the session holds on the heap.
    #[must_use]
    pub fn held(&self) -> usize {
        self.message.held() + self.control.capacity() + self.sender.held()
    }

    /// Goes on until an event is ready or the input is used up.
    fn advance(&mut self, rest: &mut &[u8]) -> Result<(), Error> {
        while self.ready == Ready::Nothing {
            let mut coming = match self.coming {
                Some(coming) => coming,
                None => match self.next_header(rest)? {
                    Some(header) => self.begin(header)?,
                    None => return Ok(()),
                },
            };
            let left = coming.len.saturating_sub(coming.taken);
            let (bytes, after) = rest.split_at(left.min(rest.len()));
            *rest = after;
            self.take(&coming, bytes)?;
            coming.taken = coming.taken.saturating_add(bytes.len());
            if coming.taken < coming.len {
                self.coming = Some(coming);
                return Ok(());
            }
            self.coming = None;
            self.end(coming.header)?;
        }
        Ok(())
    }

    /// Reads a header from the input, or from what was kept of it and the input.
    fn next_header(&mut self, rest: &mut &[u8]) -> Result<Option<Header>, HeaderError> {
        if self.head_len == 0
            && let Some((header, size)) = Header::parse(rest)?
        {
            *rest = rest.get(size..).unwrap_or_default();
            return Ok(Some(header));
        }
        while let Some((&byte, after)) = rest.split_first() {
            // A header is complete before the array is full.
            if let Some(place) = self.head.get_mut(self.head_len) {
                *place = byte;
            }
            self.head_len += 1;
            *rest = after;
            let head = self.head.get(..self.head_len).unwrap_or_default();
            if let Some((header, _)) = Header::parse(head)? {
                self.head_len = 0;
                return Ok(Some(header));
            }
        }
        Ok(None)
    }

    /// Judges a frame by its header, before any of its payload is taken.
    fn begin(&mut self, header: Header) -> Result<Coming, Error> {
        match (self.sender.is_client(), header.mask) {
            (false, None) => return Err(Error::Unmasked),
            (true, Some(_)) => return Err(Error::Masked),
            _ => {}
        }
        if header.opcode.is_control() {
            self.control.clear();
        } else {
            self.begin_piece(header)?;
        }
        let too_big = |_| Error::FrameTooBig { len: header.len, limit: self.limits.frame };
        Ok(Coming { header, len: usize::try_from(header.len).map_err(too_big)?, taken: 0 })
    }

    fn begin_piece(&mut self, header: Header) -> Result<(), Error> {
        let begun = self.message.kind().is_some();
        match header.opcode {
            Opcode::Text | Opcode::Binary if begun => return Err(Error::MessageInMessage),
            Opcode::Text => self.message.begin(Kind::Text),
            Opcode::Binary => self.message.begin(Kind::Binary),
            _ if begun => {}
            _ => return Err(Error::NothingToContinue),
        }
        if header.len > self.limits.frame as u64 {
            return Err(Error::FrameTooBig { len: header.len, limit: self.limits.frame });
        }
        let len = (self.message.data().len() as u64).saturating_add(header.len);
        if len > self.limits.message as u64 {
            return Err(Error::MessageTooBig { len, limit: self.limits.message });
        }
        if self.message.count_piece() > self.limits.pieces {
            return Err(Error::TooManyPieces(self.limits.pieces));
        }
        Ok(())
    }

    /// Takes bytes of a frame's payload.
    fn take(&mut self, coming: &Coming, bytes: &[u8]) -> Result<(), Error> {
        let key = coming.header.mask;
        if coming.header.opcode.is_control() {
            let start = self.control.len();
            self.control.extend_from_slice(bytes);
            if let Some(key) = key {
                let added = self.control.get_mut(start..).unwrap_or_default();
                super::frame::mask(added, key, coming.taken);
            }
            return Ok(());
        }
        // What the message may still become: with its last frame, no more than that declares.
        let most = if coming.header.fin {
            coming.len.saturating_sub(coming.taken)
        } else {
            let len = self.message.data().len();
            self.limits.message.saturating_sub(len)
        };
        self.message
            .append(bytes, key, coming.taken, most, self.limits.kept)
            .map_err(|_| Error::NotUtf8)
    }

    /// Acts on a frame that is whole.
    fn end(&mut self, header: Header) -> Result<(), Error> {
        self.ready = match header.opcode {
            Opcode::Ping => {
                self.sender.owe_pong(&self.control);
                Ready::Ping
            }
            Opcode::Pong => Ready::Pong,
            Opcode::Close => {
                let (code, _) = close::parse(&self.control)?;
                self.sender.end(code);
                Ready::Closed
            }
            Opcode::Continuation | Opcode::Text | Opcode::Binary => match self.message.kind() {
                Some(kind) if header.fin => {
                    self.message.finish().map_err(|_| Error::NotUtf8)?;
                    Ready::Message(kind)
                }
                _ => Ready::Nothing,
            },
        };
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// What one `feed` and `poll` loop gives, owned: each event as a line, an error as the last one.
    fn drive(session: &mut Session, input: &[u8], step: usize) -> Vec<String> {
        let mut events = Vec::new();
        for mut part in input.chunks(step) {
            loop {
                match session.feed(part) {
                    Ok(n) => part = &part[n..],
                    Err(error) => events.push(format!("{:?}", error.close_code().0)),
                }
                match session.poll() {
                    Some((Event::Message { kind, data }, _)) => {
                        let data = String::from_utf8_lossy(data);
                        events.push(format!("{kind:?} {data}"));
                    }
                    Some((event, _)) => events.push(format!("{event:?}")),
                    None if part.is_empty() => break,
                    None => {}
                }
            }
        }
        events
    }

    /// A client's session fed by the frames of a server: they can be written plainly.
    fn client() -> Session {
        Session::client(Limits::default(), [7; 32])
    }

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let len = u8::try_from(payload.len()).unwrap();
        assert!(len < 126);
        [&[first, len], payload].concat()
    }

    /// Everything a client makes of these frames, checked to be the same however they are cut.
    fn received(frames: &[Vec<u8>]) -> Vec<String> {
        let bytes = frames.concat();
        let whole = drive(&mut client(), &bytes, bytes.len().max(1));
        for step in 1..bytes.len().min(20) {
            assert_eq!(drive(&mut client(), &bytes, step), whole, "step {step}");
        }
        whole
    }

    #[test]
    fn pieces_are_joined_around_control_frames() {
        let events = received(&[
            frame(0x01, b"one "),
            frame(0x89, b"there?"),
            frame(0x00, b""),
            frame(0x00, b"two "),
            frame(0x8a, b""),
            frame(0x80, b"three"),
            frame(0x82, b""),
            frame(0x81, b"four"),
        ]);
        let pings = [format!("{:?}", Event::Ping(b"there?")), format!("{:?}", Event::Pong(b""))];
        let [ping, pong] = pings;
        assert_eq!(events, [&ping, &pong, "Text one two three", "Binary ", "Text four"]);
    }

    #[test]
    fn pieces_in_the_wrong_order_are_refused() {
        assert_eq!(received(&[frame(0x80, b"a")]), ["1002"]);
        assert_eq!(received(&[frame(0x01, b"a"), frame(0x81, b"b")]), ["1002"]);
        assert_eq!(
            received(&[frame(0x02, b"a"), frame(0x80, b"b"), frame(0x00, b"c")]),
            ["Binary ab", "1002"]
        );
    }

    #[test]
    fn each_role_insists_on_the_others_masking() {
        let mut server = Session::server(Limits::default());
        assert_eq!(server.feed(b"\x81\x01a"), Err(Error::Unmasked));
        assert_eq!(client().feed(b"\x81\x81\0\0\0\0a"), Err(Error::Masked));
    }

    #[test]
    fn a_text_is_checked_across_its_pieces() {
        // A character of one to four bytes, cut into two pieces at every byte.
        for text in ["a", "\u{7ff}", "\u{20ac}", "\u{d7ff}", "\u{e000}", "\u{10ffff}"] {
            for cut in 0..=text.len() {
                let (one, two) = text.as_bytes().split_at(cut);
                let events = received(&[frame(0x01, one), frame(0x00, b""), frame(0x80, two)]);
                assert_eq!(events, [format!("Text {text}")]);
            }
        }
        // Overlong forms, surrogates, above the last character, stray and missing continuations.
        let bad: [&[u8]; 11] = [
            b"\xc0\xaf",
            b"\xc1\xbf",
            b"\xe0\x9f\xbf",
            b"\xf0\x8f\xbf\xbf",
            b"\xed\xa0\x80",
            b"\xed\xbf\xbf",
            b"\xf4\x90\x80\x80",
            b"\xf5\x80\x80\x80",
            b"\x80",
            b"\xe2\x82a",
            b"\xff",
        ];
        for bytes in bad {
            for cut in 0..=bytes.len() {
                let (one, two) = bytes.split_at(cut);
                assert_eq!(
                    received(&[frame(0x01, one), frame(0x80, two)]),
                    ["1007"],
                    "{bytes:x?} cut at {cut}"
                );
            }
            assert_eq!(received(&[frame(0x82, bytes)]).len(), 1, "as binary");
        }
        // A text that ends inside a character.
        for cut in 1..4 {
            let bytes = &"\u{10ffff}".as_bytes()[..cut];
            assert_eq!(received(&[frame(0x81, bytes)]), ["1007"]);
            assert_eq!(received(&[frame(0x01, bytes), frame(0x80, b"")]), ["1007"]);
        }
    }

    #[test]
    fn a_text_fails_at_the_byte_that_spoils_it() {
        let mut session = client();
        // A frame of 100 bytes, of which five came: the last two are a surrogate's first ones.
        assert_eq!(session.feed(b"\x81\x64abc\xed"), Ok(6));
        assert_eq!(session.feed(b"\xa0"), Err(Error::NotUtf8));
    }

    #[test]
    fn what_is_too_big_is_refused_by_its_header() {
        let limits = Limits { message: 20, frame: 10, pieces: 3, kept: 16 };
        let run = |frames: &[Vec<u8>]| {
            let mut session = Session::client(limits, [0; 32]);
            let mut last = 0;
            for frame in frames {
                last = session.feed(frame)?;
                session.poll();
            }
            Ok(last)
        };
        assert_eq!(run(&[frame(0x82, &[0; 10])]), Ok(12));
        let error = Error::FrameTooBig { len: 11, limit: 10 };
        assert_eq!(run(&[vec![0x82, 11]]), Err(error));
        assert_eq!(error.close_code(), CloseCode::TOO_BIG);
        let ten = frame(0x00, &[0; 10]);
        assert_eq!(run(&[frame(0x02, &[0; 10]), ten.clone(), frame(0x80, b"")]), Ok(2));
        let error = Error::MessageTooBig { len: 21, limit: 20 };
        assert_eq!(run(&[frame(0x02, &[0; 10]), ten, vec![0x80, 1]]), Err(error));
        assert_eq!(error.close_code(), CloseCode::TOO_BIG);
        let empty = frame(0x00, b"");
        let error = Error::TooManyPieces(3);
        assert_eq!(
            run(&[frame(0x02, b""), empty.clone(), empty.clone(), empty.clone()]),
            Err(error)
        );
        assert_eq!(error.close_code(), CloseCode::POLICY);
        let three = [frame(0x02, b""), empty.clone(), frame(0x80, b"")];
        let twice = [three.clone(), three].concat();
        assert_eq!(run(&twice), Ok(2), "each message counts its own");
        let huge = [&[0x82, 127][..], &(u64::MAX >> 1).to_be_bytes()].concat();
        assert!(matches!(run(&[huge]), Err(Error::FrameTooBig { .. })));
    }

    #[test]
    fn memory_follows_what_came_not_what_was_declared() {
        let limits = Limits { message: usize::MAX, frame: usize::MAX, ..Limits::default() };
        for first in [0x82, 0x02] {
            let mut session = Session::client(limits, [0; 32]);
            let before = session.held();
            let huge = [&[first, 127][..], &(1_u64 << 62).to_be_bytes()].concat();
            assert_eq!(session.feed(&huge), Ok(10));
            assert_eq!(session.held(), before);
            let mut came = 0;
            let parts = [1000, 4096, 65536, 65536, 65536, 1 << 20];
            for part in std::iter::repeat_n(1, 300).chain(parts) {
                assert_eq!(session.feed(&vec![0; part]), Ok(part));
                came += part;
                let held = session.held() - before;
                assert!(held <= 2 * came, "{held} held for {came} received");
            }
        }
    }

    #[test]
    fn room_is_kept_up_to_a_bound() {
        let mut session = client();
        let before = session.held();
        let small = frame(0x82, &[1; 100]);
        let large = [&[0x82, 126, 0xff, 0xff][..], &[2; 65535]].concat();
        drive(&mut session, &small, small.len());
        let warm = session.held();
        assert!(warm >= before + small.len(), "{warm} against {before}");
        for _ in 0..10 {
            drive(&mut session, &small, small.len());
            assert_eq!(session.held(), warm, "the room is used again");
        }
        assert_eq!(session.feed(&large), Ok(large.len()));
        assert!(session.held() - before >= 65535);
        assert!(session.poll().is_some());
        assert_eq!(session.feed(b""), Ok(0));
        assert_eq!(session.held(), before, "a large one's room is given back");
    }

    #[test]
    fn an_event_waits_until_it_is_taken() {
        let mut session = client();
        let two = [frame(0x81, b"a"), frame(0x81, b"b")].concat();
        assert_eq!(session.feed(&two), Ok(3));
        assert_eq!(session.feed(&two[3..]), Ok(0));
        assert!(session.poll().is_some());
        assert!(session.poll().is_none());
        assert_eq!(session.feed(&two[3..]), Ok(3));
    }

    #[test]
    fn a_close_is_answered_with_its_code_and_ends() {
        let mut session = client();
        let bytes = [frame(0x88, b"\x0f\xa0why"), frame(0x81, b"late")].concat();
        let events = drive(&mut session, &bytes, bytes.len());
        let code = CloseCode(4000);
        let closed = Event::Closed { code, reason: "why" };
        assert_eq!(events, [format!("{closed:?}")]);
        assert!(!session.is_open() && !session.is_done());
        let mut out = Vec::new();
        assert!(session.transmit(&mut out));
        assert_eq!(out[..2], [0x88, 0x82]);
        assert!(session.is_done() && !session.transmit(&mut out));
    }

    #[test]
    fn a_close_sent_first_still_delivers_what_was_under_way() {
        let mut session = client();
        let mut out = Vec::new();
        drive(&mut session, &frame(0x89, b"unanswered"), 20);
        let sender = session.sender();
        sender.close(CloseCode::GOING_AWAY, "", &mut out).unwrap();
        out.clear();
        let bytes = [frame(0x81, b"under way"), frame(0x89, b"?"), frame(0x88, b"")].concat();
        let events = drive(&mut session, &bytes, bytes.len());
        assert_eq!(events.len(), 3);
        assert_eq!(events[0], "Text under way");
        assert!(events[2].contains("1005"), "{events:?}");
        assert!(session.is_done());
        assert!(!session.transmit(&mut out), "no pong, no second close");
    }

    #[test]
    fn bad_close_frames_have_their_codes() {
        assert_eq!(received(&[frame(0x88, b"\x03")]), ["1002"]);
        assert_eq!(received(&[frame(0x88, b"\x03\xed")]), ["1002"]);
        assert_eq!(received(&[frame(0x88, b"\x03\xe8\xff")]), ["1007"]);
    }

    #[test]
    fn a_failed_session_says_why_and_forgets_the_rest() {
        let mut session = Session::server(Limits::default());
        assert!(session.feed(b"\x83").is_err());
        assert_eq!(session.feed(b"\x81\x80\0\0\0\0"), Ok(6));
        assert!(session.poll().is_none());
        let mut out = Vec::new();
        assert!(session.transmit(&mut out));
        assert_eq!(out, b"\x88\x02\x03\xea");
        assert!(session.is_done());
    }

    #[test]
    fn pings_that_find_the_output_backed_up_cost_nothing() {
        let mut session = client();
        let ping = frame(0x89, &[9; 125]);
        drive(&mut session, &ping, ping.len());
        let held = session.held();
        for _ in 0..1000 {
            drive(&mut session, &ping, ping.len());
        }
        assert_eq!(session.held(), held);
        let mut out = Vec::new();
        session.transmit(&mut out);
        assert_eq!(out.len(), 2 + 4 + 125, "one pong");
    }
}
