//! Writing heads and chunk framing into a buffer.
//!
//! A head is appended to a `Vec<u8>` that already may hold earlier, pipelined answers, and it is
//! there either whole or not at all: a writer that is dropped before `finish` takes back what it
//! wrote. Names and values are checked, so no text can end a header early and begin another; the
//! headers that say where a message ends are written by `finish` alone, so they cannot contradict
//! each other.

use std::num::NonZeroUsize;

use super::body::BodyFraming;
use super::date::DateCache;
use super::head::Version;
use super::lexical::{is_text, is_token};
use super::method::{Method, MethodSet};
use super::status::StatusCode;
use super::target::is_host;

/// The interim answer to `Expect: 100-continue`.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What stands after the data of a chunk.
pub const CHUNK_END: &[u8] = b"\r\n";

/// The chunk that ends a body, without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Why a head could not be written. The fault is the caller's, not the peer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The name is empty or holds a byte that is not in a token.
    #[error("caller at fault: a header name is not a token")]
    HeaderName,
    /// The value holds CR, LF, NUL or another control byte.
    #[error("caller at fault: a header value holds CR, LF, NUL or another control byte")]
    HeaderValue,
    /// The header is written by the writer itself.
    #[error(
        "caller at fault: Content-Length, Transfer-Encoding, Connection and Host are set by the writer"
    )]
    ReservedHeader,
    /// The request target is empty or holds a byte that has to be percent-encoded.
    #[error("caller at fault: the request target is empty or holds a byte to be percent-encoded")]
    Target,
    /// The host holds a byte no host has.
    #[error("caller at fault: the Host is empty or holds a byte no host has")]
    Host,
    /// The message cannot have this body.
    #[error("caller at fault: a message of this kind cannot have a body framed this way")]
    Body,
}

/// What an answer has to know of its request; small, so that it can be kept while a handler works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyTo {
    /// The method of the request: the answer to HEAD has headers only.
    pub method: Method,
    /// The version of the request: HTTP/1.0 is sent no chunks.
    pub version: Version,
    /// Whether the request allows another one after it.
    pub keep_alive: bool,
}

impl ReplyTo {
    /// For an answer to bytes that could not be understood: the connection closes after it.
    pub const UNREADABLE: ReplyTo =
        ReplyTo { method: Method::Get, version: Version::Http11, keep_alive: false };
}

/// What is left to do after a head was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The body that has to follow, framed this way; `None` for HEAD and the bodiless statuses.
    pub framing: BodyFraming,
    /// False if the connection has to close after the body.
    pub keep_alive: bool,
}

/// Writes the head of one answer.
#[must_use = "a head that is not finished is taken back"]
#[derive(Debug)]
pub struct ResponseWriter<'o> {
    head: Head<'o>,
    to: ReplyTo,
    status: StatusCode,
}

impl<'o> ResponseWriter<'o> {
    /// Appends the status line.
    pub fn begin(out: &'o mut Vec<u8>, to: ReplyTo, status: StatusCode) -> ResponseWriter<'o> {
        let head = Head::begin(out);
        head.out.extend_from_slice(b"HTTP/1.1 ");
        head.out.extend_from_slice(&status.digits());
        head.out.push(b' ');
        head.out.extend_from_slice(status.reason().as_bytes());
        head.out.extend_from_slice(b"\r\n");
        ResponseWriter { head, to, status }
    }

    /// Appends one header, or refuses it.
    pub fn header(
        &mut self,
        name: &str,
        value: impl AsRef<[u8]>,
    ) -> Result<&mut ResponseWriter<'o>, WriteError> {
        self.head.header(name, value.as_ref())?;
        Ok(self)
    }

    /// Appends `Date`.
    pub fn date(&mut self, date: &DateCache) -> &mut ResponseWriter<'o> {
        self.head.out.extend_from_slice(b"Date: ");
        self.head.out.extend_from_slice(date.as_bytes());
        self.head.out.extend_from_slice(b"\r\n");
        self
    }

    /// Appends `Allow`, as 405 and the answer to OPTIONS need it.
    pub fn allow(&mut self, methods: MethodSet) -> &mut ResponseWriter<'o> {
        self.head.out.extend_from_slice(b"Allow: ");
        methods.write_list(self.head.out);
        self.head.out.extend_from_slice(b"\r\n");
        self
    }

    /// Closes the connection after this answer, whatever the request allows.
    pub fn close(&mut self) -> &mut ResponseWriter<'o> {
        self.to.keep_alive = false;
        self
    }

    /// Appends `Upgrade` with its `Connection`; for 101 and 426.
    pub fn upgrade(&mut self, protocol: &str) -> Result<&mut ResponseWriter<'o>, WriteError> {
        self.head.upgrade(protocol)?;
        Ok(self)
    }

    /// Appends the framing and `Connection`, and ends the head.
    ///
    /// Chunks become a body until close for a request of HTTP/1.0. The headers are those of GET
    /// for HEAD too, only [`Written::framing`] differs.
    pub fn finish(mut self, body: BodyFraming) -> Result<Written, WriteError> {
        let tunnel = self.to.method == Method::Connect && self.status.is_success();
        let mut framing = body;
        if self.status == StatusCode::NOT_MODIFIED {
            // A length here is that of the body which 200 would have had.
            if let BodyFraming::Length(length) = body {
                self.head.content_length(length);
            }
            framing = BodyFraming::None;
        } else if self.status.is_bodiless() || tunnel {
            if !matches!(body, BodyFraming::None | BodyFraming::Length(0)) {
                return Err(WriteError::Body);
            }
            framing = BodyFraming::None;
        } else {
            if framing == BodyFraming::Chunked && self.to.version == Version::Http10 {
                framing = BodyFraming::UntilClose;
            }
            match framing {
                BodyFraming::None => self.head.content_length(0),
                BodyFraming::Length(length) => self.head.content_length(length),
                BodyFraming::Chunked => self.head.chunked(),
                BodyFraming::UntilClose => self.to.keep_alive = false,
            }
            if self.to.method == Method::Head {
                framing = BodyFraming::None;
            }
        }
        let keep_alive = self.to.keep_alive;
        if !self.status.is_informational() && !tunnel {
            match (keep_alive, self.to.version) {
                (false, _) => self.head.connection("close"),
                (true, Version::Http10) => self.head.connection("keep-alive"),
                (true, Version::Http11) => {}
            }
        }
        self.head.end();
        Ok(Written { framing, keep_alive })
    }
}

/// Appends a whole answer with its body, which is left out for HEAD.
///
/// An empty body has no type; a status without a body takes nothing else.
pub fn write_response(
    out: &mut Vec<u8>,
    to: ReplyTo,
    status: StatusCode,
    date: &DateCache,
    content_type: &str,
    body: &[u8],
) -> Result<Written, WriteError> {
    let mut head = ResponseWriter::begin(out, to, status);
    head.date(date);
    let framing = if body.is_empty() {
        BodyFraming::None
    } else {
        head.header("Content-Type", content_type)?;
        BodyFraming::Length(body.len() as u64)
    };
    let written = head.finish(framing)?;
    if written.framing != BodyFraming::None {
        out.extend_from_slice(body);
    }
    Ok(written)
}

/// Writes the head of one request.
#[must_use = "a head that is not finished is taken back"]
#[derive(Debug)]
pub struct RequestWriter<'o> {
    head: Head<'o>,
    method: Method,
    close: bool,
}

impl<'o> RequestWriter<'o> {
    /// Appends the request line and `Host`.
    ///
    /// The target is written as it stands: path and query already percent-encoded.
    pub fn begin(
        out: &'o mut Vec<u8>,
        method: Method,
        target: &str,
        host: &str,
    ) -> Result<RequestWriter<'o>, WriteError> {
        let sendable = |byte: u8| (0x21..=0x7e).contains(&byte) && byte != b'#';
        if target.is_empty() || !target.bytes().all(sendable) {
            return Err(WriteError::Target);
        }
        if host.is_empty() || !is_host(host.as_bytes()) {
            return Err(WriteError::Host);
        }
        let head = Head::begin(out);
        head.out.extend_from_slice(method.as_str().as_bytes());
        head.out.push(b' ');
        head.out.extend_from_slice(target.as_bytes());
        head.out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
        head.out.extend_from_slice(host.as_bytes());
        head.out.extend_from_slice(b"\r\n");
        Ok(RequestWriter { head, method, close: false })
    }

    /// Appends one header, or refuses it.
    pub fn header(
        &mut self,
        name: &str,
        value: impl AsRef<[u8]>,
    ) -> Result<&mut RequestWriter<'o>, WriteError> {
        if name.eq_ignore_ascii_case("host") {
            return Err(WriteError::ReservedHeader);
        }
        self.head.header(name, value.as_ref())?;
        Ok(self)
    }

    /// Asks the server to close after its answer.
    pub fn close(&mut self) -> &mut RequestWriter<'o> {
        self.close = true;
        self
    }

    /// Appends `Upgrade` with its `Connection`.
    pub fn upgrade(&mut self, protocol: &str) -> Result<&mut RequestWriter<'o>, WriteError> {
        self.head.upgrade(protocol)?;
        Ok(self)
    }

    /// Appends the framing and ends the head; a request cannot end with the connection.
    pub fn finish(mut self, body: BodyFraming) -> Result<(), WriteError> {
        match body {
            // Without a length some servers wait for a body, others answer 411.
            BodyFraming::None
                if matches!(self.method, Method::Post | Method::Put | Method::Patch) =>
            {
                self.head.content_length(0);
            }
            BodyFraming::None => {}
            BodyFraming::Length(length) => self.head.content_length(length),
            BodyFraming::Chunked => self.head.chunked(),
            BodyFraming::UntilClose => return Err(WriteError::Body),
        }
        if self.close {
            self.head.connection("close");
        }
        self.head.end();
        Ok(())
    }
}

/// The headers of either kind of head, taken back on drop unless the head was ended.
#[derive(Debug)]
struct Head<'o> {
    out: &'o mut Vec<u8>,
    start: usize,
    upgrades: bool,
    ended: bool,
}

impl<'o> Head<'o> {
    fn begin(out: &'o mut Vec<u8>) -> Head<'o> {
        Head { start: out.len(), out, upgrades: false, ended: false }
    }

    fn header(&mut self, name: &str, value: &[u8]) -> Result<(), WriteError> {
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(WriteError::HeaderName);
        }
        let reserved = match name.len() {
            10 => name.eq_ignore_ascii_case("connection"),
            14 => name.eq_ignore_ascii_case("content-length"),
            17 => name.eq_ignore_ascii_case("transfer-encoding"),
            _ => false,
        };
        if reserved {
            return Err(WriteError::ReservedHeader);
        }
        // A fold without an early exit, which the compiler turns into vector instructions.
        if !value.iter().fold(true, |good, byte| good & is_text(*byte)) {
            return Err(WriteError::HeaderValue);
        }
        self.line(name, value);
        Ok(())
    }

    fn upgrade(&mut self, protocol: &str) -> Result<(), WriteError> {
        self.header("Upgrade", protocol.as_bytes())?;
        self.upgrades = true;
        Ok(())
    }

    /// The `Connection` header with `Upgrade` beside the option, if both apply.
    fn connection(&mut self, option: &str) {
        self.out.extend_from_slice(b"Connection: ");
        self.out.extend_from_slice(option.as_bytes());
        if self.upgrades {
            self.out.extend_from_slice(b", Upgrade");
            self.upgrades = false;
        }
        self.out.extend_from_slice(b"\r\n");
    }

    fn content_length(&mut self, length: u64) {
        self.out.extend_from_slice(b"Content-Length: ");
        push_decimal(self.out, length);
        self.out.extend_from_slice(b"\r\n");
    }

    fn chunked(&mut self) {
        self.out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }

    fn line(&mut self, name: &str, value: &[u8]) {
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b": ");
        self.out.extend_from_slice(value);
        self.out.extend_from_slice(b"\r\n");
    }

    fn end(&mut self) {
        if self.upgrades {
            self.out.extend_from_slice(b"Connection: Upgrade\r\n");
        }
        self.out.extend_from_slice(b"\r\n");
        self.ended = true;
    }
}

impl Drop for Head<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.out.truncate(self.start);
        }
    }
}

/// Appends a number in decimal digits.
pub fn push_decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut unused = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        unused -= 1;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(unused..).unwrap_or_default());
}

/// The line before the data of a chunk: the length in hexadecimal digits and CRLF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkHeader {
    bytes: [u8; 18],
    unused: u8,
}

impl ChunkHeader {
    /// The bytes to send; [`CHUNK_END`] follows the data.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(usize::from(self.unused)..).unwrap_or_default()
    }
}

/// The line before a chunk of this length. A chunk cannot be empty: an empty one ends the body.
pub fn chunk_header(length: NonZeroUsize) -> ChunkHeader {
    let mut header = ChunkHeader { bytes: *b"0000000000000000\r\n", unused: 16 };
    let mut number = length.get();
    for digit in header.bytes.iter_mut().take(16).rev() {
        let value = (number & 15) as u8;
        *digit = if value < 10 { b'0' } else { b'a' - 10 } + value;
        number >>= 4;
        header.unused -= 1;
        if number == 0 {
            break;
        }
    }
    header
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::super::body::{BodyDecoder, BodyEvent};
    use super::*;

    /// Appends data as one chunk; nothing at all if there is no data.
    fn push_chunk(out: &mut Vec<u8>, data: &[u8]) {
        if let Some(length) = NonZeroUsize::new(data.len()) {
            out.extend_from_slice(chunk_header(length).as_bytes());
            out.extend_from_slice(data);
            out.extend_from_slice(CHUNK_END);
        }
    }

    const GET: ReplyTo =
        ReplyTo { method: Method::Get, version: Version::Http11, keep_alive: true };

    fn respond(to: ReplyTo, code: u16, body: BodyFraming) -> (String, Result<Written, WriteError>) {
        let mut out = Vec::new();
        let head = ResponseWriter::begin(&mut out, to, StatusCode::new(code).unwrap());
        let written = head.finish(body);
        (String::from_utf8(out).unwrap(), written)
    }

    #[test]
    fn a_whole_response() {
        let mut out = Vec::new();
        let date = DateCache::new(784_111_777);
        let written =
            write_response(&mut out, GET, StatusCode::OK, &date, "text/plain", b"hello").unwrap();
        let expected = "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
            Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        assert!(written.keep_alive);
        assert_eq!(written.framing, BodyFraming::Length(5));

        let mut out = Vec::new();
        let head = ReplyTo { method: Method::Head, ..GET };
        let written =
            write_response(&mut out, head, StatusCode::OK, &date, "text/plain", b"hello").unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected.strip_suffix("hello").unwrap());
        assert_eq!(written.framing, BodyFraming::None);
    }

    #[test]
    fn framing_follows_status_method_and_version() {
        use BodyFraming::{Chunked, Length, None, UntilClose};
        let old = ReplyTo { version: Version::Http10, ..GET };
        let head = ReplyTo { method: Method::Head, ..GET };
        let tunnel = ReplyTo { method: Method::Connect, ..GET };
        for (to, code, body, headers, framing, keep_alive) in [
            (GET, 200, None, "Content-Length: 0\r\n", None, true),
            (GET, 404, Length(7), "Content-Length: 7\r\n", Length(7), true),
            (GET, 200, Chunked, "Transfer-Encoding: chunked\r\n", Chunked, true),
            (GET, 200, UntilClose, "Connection: close\r\n", UntilClose, false),
            (old, 200, Chunked, "Connection: close\r\n", UntilClose, false),
            (
                old,
                200,
                Length(1),
                "Content-Length: 1\r\nConnection: keep-alive\r\n",
                Length(1),
                true,
            ),
            (head, 200, Length(7), "Content-Length: 7\r\n", None, true),
            (head, 200, Chunked, "Transfer-Encoding: chunked\r\n", None, true),
            (GET, 204, None, "", None, true),
            (GET, 204, Length(0), "", None, true),
            (GET, 304, Length(7), "Content-Length: 7\r\n", None, true),
            (GET, 304, Chunked, "", None, true),
            (GET, 100, None, "", None, true),
            (tunnel, 200, None, "", None, true),
            (
                ReplyTo::UNREADABLE,
                400,
                None,
                "Content-Length: 0\r\nConnection: close\r\n",
                None,
                false,
            ),
        ] {
            let expected = Written { framing, keep_alive };
            let (text, written) = respond(to, code, body);
            assert_eq!(written, Ok(expected), "{code} {body:?}");
            let (_, rest) = text.split_once("\r\n").unwrap();
            assert_eq!(rest, format!("{headers}\r\n"), "{code} {body:?}");
        }
        for (to, code, body) in [
            (GET, 204, Length(1)),
            (GET, 204, Chunked),
            (GET, 101, UntilClose),
            (tunnel, 200, Chunked),
        ] {
            assert_eq!(respond(to, code, body), (String::new(), Err(WriteError::Body)));
        }
    }

    #[test]
    fn connection_close_and_upgrade() {
        let mut out = Vec::new();
        let mut head = ResponseWriter::begin(&mut out, GET, StatusCode::SWITCHING_PROTOCOLS);
        head.upgrade("websocket").unwrap();
        head.finish(BodyFraming::None).unwrap();
        assert_eq!(
            out,
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
        );
        out.clear();
        let mut head = ResponseWriter::begin(&mut out, GET, StatusCode::UPGRADE_REQUIRED);
        head.upgrade("websocket").unwrap().close();
        let written = head.finish(BodyFraming::None).unwrap();
        assert!(!written.keep_alive);
        let text = String::from_utf8(out).unwrap();
        assert!(text.ends_with("Content-Length: 0\r\nConnection: close, Upgrade\r\n\r\n"));
    }

    #[test]
    fn injection_is_refused_and_leaves_nothing_behind() {
        let mut out = b"before".to_vec();
        for (name, value, error) in [
            ("X", "a\r\nSet-Cookie: b", WriteError::HeaderValue),
            ("X", "a\nb", WriteError::HeaderValue),
            ("X", "a\rb", WriteError::HeaderValue),
            ("X", "a\0b", WriteError::HeaderValue),
            ("X", "\x7f", WriteError::HeaderValue),
            ("X: y\r\nZ", "a", WriteError::HeaderName),
            ("X ", "a", WriteError::HeaderName),
            ("", "a", WriteError::HeaderName),
            ("\u{e9}", "a", WriteError::HeaderName),
            ("content-length", "5", WriteError::ReservedHeader),
            ("Transfer-Encoding", "chunked", WriteError::ReservedHeader),
            ("CONNECTION", "close", WriteError::ReservedHeader),
        ] {
            let mut head = ResponseWriter::begin(&mut out, GET, StatusCode::OK);
            assert_eq!(head.header(name, value).err(), Some(error), "{name:?} {value:?}");
            drop(head);
            assert_eq!(out, b"before");
        }
        // A refused header does not spoil the head: the caller may go on without it.
        let mut head = ResponseWriter::begin(&mut out, GET, StatusCode::OK);
        assert!(head.header("X", "\n").is_err());
        head.header("Y", "caf\u{e9}\t").unwrap();
        head.finish(BodyFraming::None).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "beforeHTTP/1.1 200 OK\r\nY: caf\u{e9}\t\r\nContent-Length: 0\r\n\r\n");
    }

    #[test]
    fn allow_lists_methods() {
        let mut out = Vec::new();
        let mut head = ResponseWriter::begin(&mut out, GET, StatusCode::METHOD_NOT_ALLOWED);
        head.allow([Method::Get, Method::Head].into_iter().collect());
        head.finish(BodyFraming::None).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("\r\nAllow: GET, HEAD\r\n"));
    }

    #[test]
    fn requests() {
        let mut out = Vec::new();
        let mut head = RequestWriter::begin(&mut out, Method::Post, "/hook?x=1", "h:80").unwrap();
        head.header("Content-Type", "application/json").unwrap().close();
        head.finish(BodyFraming::Length(12)).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "POST /hook?x=1 HTTP/1.1\r\nHost: h:80\r\nContent-Type: application/json\r\n\
            Content-Length: 12\r\nConnection: close\r\n\r\n"
        );
        let written = |method, body| {
            let mut out = Vec::new();
            RequestWriter::begin(&mut out, method, "/", "h")?.finish(body)?;
            Ok(String::from_utf8(out).unwrap())
        };
        assert_eq!(
            written(Method::Get, BodyFraming::None).unwrap(),
            "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
        );
        assert!(written(Method::Put, BodyFraming::None).unwrap().contains("Content-Length: 0"));
        assert!(written(Method::Put, BodyFraming::Chunked).unwrap().contains("chunked"));
        assert_eq!(written(Method::Get, BodyFraming::UntilClose), Err(WriteError::Body));
    }

    #[test]
    fn bad_targets_and_hosts_are_refused() {
        let mut out = b"before".to_vec();
        for (target, host, error) in [
            ("", "h", WriteError::Target),
            ("/a b", "h", WriteError::Target),
            ("/ HTTP/1.1\r\nX: y", "h", WriteError::Target),
            ("/\u{e9}", "h", WriteError::Target),
            ("/#f", "h", WriteError::Target),
            ("/", "", WriteError::Host),
            ("/", "h\r\nX: y", WriteError::Host),
            ("/", "user@h", WriteError::Host),
        ] {
            let got = RequestWriter::begin(&mut out, Method::Get, target, host).err();
            assert_eq!(got, Some(error), "{target:?} {host:?}");
        }
        let mut head = RequestWriter::begin(&mut out, Method::Get, "/", "h").unwrap();
        assert_eq!(head.header("hOst", "i").err(), Some(WriteError::ReservedHeader));
        drop(head);
        assert_eq!(out, b"before");
    }

    #[test]
    fn chunk_headers() {
        for (length, text) in [(1, "1\r\n"), (10, "a\r\n"), (0x4_0000, "40000\r\n")] {
            let header = chunk_header(NonZeroUsize::new(length).unwrap());
            assert_eq!(header.as_bytes(), text.as_bytes());
        }
        let header = chunk_header(NonZeroUsize::MAX);
        assert_eq!(header.as_bytes(), b"ffffffffffffffff\r\n");
    }

    proptest! {
        #[test]
        fn decimals(number: u64) {
            for number in [number, number % 100, number % 10, 0, u64::MAX] {
                let mut out = Vec::new();
                push_decimal(&mut out, number);
                prop_assert_eq!(out, number.to_string().into_bytes());
            }
        }

        #[test]
        fn chunks_round_trip_under_any_split(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..8),
            sizes in proptest::collection::vec(1usize..30, 1..30),
        ) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                push_chunk(&mut wire, chunk);
            }
            wire.extend_from_slice(LAST_CHUNK);
            let length = wire.len();
            wire.extend_from_slice(b"GET / ");

            let mut decoder = BodyDecoder::new(BodyFraming::Chunked, 1000).unwrap();
            let (mut body, mut at, mut done) = (Vec::new(), 0, false);
            for size in sizes.iter().cycle() {
                let piece = &wire[at..(at + size).min(wire.len())];
                let step = decoder.decode(piece).unwrap();
                at += step.consumed;
                match step.event {
                    BodyEvent::Data(data) => body.extend_from_slice(data),
                    BodyEvent::NeedMore => prop_assert_eq!(step.consumed, piece.len()),
                    BodyEvent::End => {
                        done = true;
                        break;
                    }
                }
            }
            prop_assert!(done);
            prop_assert_eq!(at, length);
            prop_assert_eq!(body, chunks.concat());
        }

        #[test]
        fn no_value_adds_a_line(name in "\\PC{0,8}", value in any::<Vec<u8>>()) {
            let mut out = Vec::new();
            let mut head = ResponseWriter::begin(&mut out, GET, StatusCode::OK);
            let lines = 3 + usize::from(head.header(&name, &value).is_ok());
            head.finish(BodyFraming::None).unwrap();
            prop_assert_eq!(out.iter().filter(|b| **b == b'\n').count(), lines);
            prop_assert_eq!(out.iter().filter(|b| **b == b'\r').count(), lines);
        }
    }
}
