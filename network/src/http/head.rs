//! Reading the head of a request or of a response.
//!
//! httparse finds names and values quickly and forgives much; everything it forgives that two
//! readers of the same bytes could understand differently is refused here. That is the whole
//! defence against request smuggling: lines end in CRLF and nothing else, a length is said once
//! and in digits, a coding is `chunked` and nothing else, and never both.
//!
//! Reading happens in two steps. [`HeadScan`] looks for the end of the head and remembers how far
//! it looked, so that a peer sending a byte at a time costs one look at each byte. Only a complete
//! head is parsed, once.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::body::BodyFraming;
use super::lexical::{find_byte, is_token, list_items};
use super::method::Method;
use super::status::{HttpError, StatusCode};
use super::target::{Target, is_host};
use super::write::ReplyTo;
use crate::limits;

/// The versions this crate speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0: no chunks, closed after each answer unless asked otherwise.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// The room for the headers of one head.
///
/// It is not initialised before use: making one for each head costs nothing.
#[derive(Debug)]
pub struct HeaderSpace<'b>([MaybeUninit<httparse::Header<'b>>; limits::HTTP_HEADERS]);

impl HeaderSpace<'_> {
    /// Empty room.
    #[inline]
    pub fn new() -> Self {
        HeaderSpace([const { MaybeUninit::uninit() }; limits::HTTP_HEADERS])
    }
}

impl Default for HeaderSpace<'_> {
    #[inline]
    fn default() -> Self {
        HeaderSpace::new()
    }
}

/// The headers of a head in their order, values without the white space around them.
#[derive(Debug, Clone, Copy)]
pub struct Headers<'h>(&'h [httparse::Header<'h>]);

impl<'h> Headers<'h> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'h str, &'h [u8])> + use<'h> {
        self.0.iter().map(|header| (header.name, header.value))
    }

    /// The values of the headers with this name, in any case of letters.
    pub fn values<'n>(&self, name: &'n str) -> impl Iterator<Item = &'h [u8]> + use<'h, 'n> {
        self.iter()
            .filter(move |(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The value of the first header with this name.
    pub fn get(&self, name: &str) -> Option<&'h [u8]> {
        self.values(name).next()
    }

    /// The value of the first header with this name, if it is UTF-8.
    pub fn get_str(&self, name: &str) -> Option<&'h str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// True if one of the comma-separated items of the headers with this name is this token.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.values(name)
            .flat_map(list_items)
            .any(|item| item.eq_ignore_ascii_case(token.as_bytes()))
    }
}

/// What came of looking for a head.
#[derive(Debug)]
pub enum Parsed<T> {
    /// The end of the head has not arrived; look again when there are more bytes.
    Incomplete,
    /// A head.
    Complete {
        /// The head itself.
        head: T,
        /// How many bytes of the buffer it takes; the body begins there.
        len: usize,
    },
}

/// How far the search for the end of a head has come.
///
/// One belongs to each connection, beside its unread bytes. It counts from the first of them, so
/// these must not be moved away or consumed while the head is incomplete; after a complete head it
/// is ready for the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HeadScan {
    /// Where the first line begins, past empty lines.
    start: usize,
    /// Everything before is looked at and is not the end.
    scanned: usize,
    /// The first line is complete.
    has_start_line: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Request,
    Response,
}

impl HeadScan {
    /// True if no byte of a head has arrived: the connection is idle between messages.
    pub fn is_idle(&self) -> bool {
        self.scanned == self.start
    }

    /// Goes on looking; the range of the head once its end is there.
    ///
    /// What is wrong is reported at the first byte that makes it wrong, so the outcome does not
    /// depend on how the bytes were cut by the network.
    fn advance(&mut self, buffer: &[u8], kind: Kind) -> Result<Option<Range<usize>>, HttpError> {
        if self.scanned == self.start && !self.skip_to_start(buffer, kind)? {
            return Ok(None);
        }
        let limit = self.start + limits::HTTP_HEAD;
        let window = buffer.get(..limit).unwrap_or(buffer);
        while let Some(offset) = window.get(self.scanned..).and_then(|rest| find_byte(b'\n', rest))
        {
            let end = self.scanned + offset + 1;
            let lines = window.get(self.start..end).unwrap_or_default();
            if !self.has_start_line && lines.len() > limits::HTTP_START_LINE {
                return Err(START_LINE_TOO_LONG);
            }
            if !lines.ends_with(b"\r\n") {
                return Err(HttpError::bad_request("a bare LF in the head, lines end in CRLF"));
            }
            self.has_start_line = true;
            self.scanned = end;
            if lines.ends_with(b"\r\n\r\n") {
                let head = self.start..end;
                *self = HeadScan::default();
                return Ok(Some(head));
            }
        }
        self.scanned = window.len();
        if !self.has_start_line && window.len().saturating_sub(self.start) > limits::HTTP_START_LINE
        {
            return Err(START_LINE_TOO_LONG);
        }
        if window.len() == limit {
            return Err(HttpError::new(
                StatusCode::HEADER_FIELDS_TOO_LARGE,
                "the head is larger than is accepted here",
            ));
        }
        Ok(None)
    }

    /// Passes empty lines; true once the first byte of the first line is there and can be one.
    fn skip_to_start(&mut self, buffer: &[u8], kind: Kind) -> Result<bool, HttpError> {
        loop {
            let rest = buffer.get(self.start..).unwrap_or_default();
            match (kind, rest) {
                (_, []) | (Kind::Request, [b'\r']) => return Ok(false),
                (Kind::Request, [b'\r', b'\n', ..]) => {
                    self.start += 2;
                    self.scanned = self.start;
                    if self.start > 2 * limits::HTTP_EMPTY_LINES {
                        return Err(HttpError::bad_request(
                            "too many empty lines before a request",
                        ));
                    }
                }
                (Kind::Request, [first, ..]) if is_token(*first) => return Ok(true),
                (Kind::Request, [0x16, ..]) => {
                    return Err(HttpError::bad_request(
                        "a TLS handshake where plain HTTP was expected",
                    ));
                }
                (Kind::Request, _) => {
                    return Err(HttpError::bad_request("the first byte is not that of a method"));
                }
                (Kind::Response, [b'H', ..]) => return Ok(true),
                (Kind::Response, _) => {
                    return Err(HttpError::bad_request("the answer does not begin with HTTP/"));
                }
            }
        }
    }
}

const START_LINE_TOO_LONG: HttpError =
    HttpError::new(StatusCode::URI_TOO_LONG, "the first line is longer than is accepted here");

/// The head of a request, and everything its framing headers say.
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'h> {
    /// The method.
    pub method: Method,
    /// The target as the peer sent it.
    pub raw_target: &'h str,
    /// The target taken apart.
    pub target: Target<'h>,
    /// The version.
    pub version: Version,
    /// All headers.
    pub headers: Headers<'h>,
    /// The host asked for: that of an absolute target, else that of `Host`.
    pub host: Option<&'h str>,
    /// Where the body ends.
    pub framing: BodyFraming,
    /// Whether the connection may serve another request after this one.
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// The value of `Upgrade`, if `Connection` names it too.
    pub upgrade: Option<&'h str>,
}

impl<'h> RequestHead<'h> {
    /// Looks for a request at the beginning of the buffer.
    ///
    /// An error carries the status that answers it; the connection has to close after that answer,
    /// because where the next request begins is not known.
    pub fn parse<'b: 'h>(
        buffer: &'b [u8],
        scan: &mut HeadScan,
        space: &'h mut HeaderSpace<'b>,
    ) -> Result<Parsed<RequestHead<'h>>, HttpError> {
        let Some(range) = scan.advance(buffer, Kind::Request)? else {
            return Ok(Parsed::Incomplete);
        };
        let len = range.end;
        let bytes = buffer.get(range).unwrap_or_default();
        let head = RequestHead::parse_complete(bytes, space)?;
        Ok(Parsed::Complete { head, len })
    }

    fn parse_complete<'b: 'h>(
        bytes: &'b [u8],
        space: &'h mut HeaderSpace<'b>,
    ) -> Result<RequestHead<'h>, HttpError> {
        let mut request = httparse::Request::new(&mut []);
        let parsed = request.parse_with_uninit_headers(bytes, &mut space.0);
        match parsed {
            Ok(httparse::Status::Complete(len)) if len == bytes.len() => {}
            Ok(_) => return Err(HttpError::bad_request(NO_HEAD)),
            Err(error) => return Err(request_error(error, bytes)),
        }
        let (Some(name), Some(raw_target), Some(minor)) =
            (request.method, request.path, request.version)
        else {
            return Err(HttpError::bad_request(NO_HEAD));
        };
        let version = version(minor);
        let method = Method::from_bytes(name.as_bytes()).ok_or(HttpError::new(
            StatusCode::NOT_IMPLEMENTED,
            "the method is not one this server knows",
        ))?;
        if raw_target.len() > limits::HTTP_TARGET {
            return Err(HttpError::new(
                StatusCode::URI_TOO_LONG,
                "the request target is longer than is accepted here",
            ));
        }
        let target = Target::parse(method, raw_target)?;
        let fields = Fields::read(Kind::Request, request.headers, version)?;
        if fields.host.is_none() && version == Version::Http11 {
            return Err(HttpError::bad_request("a request of HTTP/1.1 without Host"));
        }
        // RFC 9110 10.1.1: in a request of HTTP/1.0 the expectation is ignored.
        let expects = fields.expect != Expect::Nothing && version == Version::Http11;
        if expects && fields.expect == Expect::Unknown {
            return Err(HttpError::new(
                StatusCode::EXPECTATION_FAILED,
                "an expectation other than 100-continue",
            ));
        }
        let framing = match fields.length {
            _ if fields.chunked => BodyFraming::Chunked,
            None | Some(0) => BodyFraming::None,
            Some(length) => BodyFraming::Length(length),
        };
        Ok(RequestHead {
            method,
            raw_target,
            target,
            version,
            headers: Headers(request.headers),
            host: target.authority.or(fields.host),
            framing,
            keep_alive: fields.keep_alive(version),
            expects_continue: expects && framing != BodyFraming::None,
            upgrade: fields.upgrade(version),
        })
    }

    /// What the answer has to know of this request.
    pub fn reply_to(&self) -> ReplyTo {
        ReplyTo { method: self.method, version: self.version, keep_alive: self.keep_alive }
    }

    /// True if the client offers to go on with WebSocket.
    pub fn upgrades_to_websocket(&self) -> bool {
        self.upgrade.is_some_and(offers_websocket)
    }
}

/// The head of a response, as a client reads it.
#[derive(Debug, Clone, Copy)]
pub struct ResponseHead<'h> {
    /// The status.
    pub status: StatusCode,
    /// The phrase beside it, which may be empty and means nothing.
    pub reason: &'h str,
    /// The version.
    pub version: Version,
    /// All headers.
    pub headers: Headers<'h>,
    /// Where the body ends. After a 1xx other than 101 the final response follows; after 101, and
    /// after a 2xx to CONNECT, what follows is no longer HTTP.
    pub framing: BodyFraming,
    /// Whether the connection may carry another request after this response.
    pub keep_alive: bool,
    /// The value of `Upgrade`, if `Connection` names it too.
    pub upgrade: Option<&'h str>,
}

impl<'h> ResponseHead<'h> {
    /// Looks for the response to a request with this method at the beginning of the buffer.
    pub fn parse<'b: 'h>(
        buffer: &'b [u8],
        method: Method,
        scan: &mut HeadScan,
        space: &'h mut HeaderSpace<'b>,
    ) -> Result<Parsed<ResponseHead<'h>>, HttpError> {
        let range = scan.advance(buffer, Kind::Response).map_err(HttpError::in_response)?;
        let Some(range) = range else {
            return Ok(Parsed::Incomplete);
        };
        let len = range.end;
        let bytes = buffer.get(range).unwrap_or_default();
        let head = ResponseHead::parse_complete(bytes, method, space);
        let head = head.map_err(HttpError::in_response)?;
        Ok(Parsed::Complete { head, len })
    }

    fn parse_complete<'b: 'h>(
        bytes: &'b [u8],
        method: Method,
        space: &'h mut HeaderSpace<'b>,
    ) -> Result<ResponseHead<'h>, HttpError> {
        let mut response = httparse::Response::new(&mut []);
        let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
            &mut response,
            bytes,
            &mut space.0,
        );
        match parsed {
            Ok(httparse::Status::Complete(len)) if len == bytes.len() => {}
            Ok(_) => return Err(HttpError::bad_request(NO_HEAD)),
            Err(error) => return Err(head_error(error, bytes)),
        }
        let status = response.code.and_then(StatusCode::new);
        let (Some(status), Some(minor)) = (status, response.version) else {
            return Err(HttpError::bad_request("the status is not 100 to 999"));
        };
        let version = version(minor);
        let fields = Fields::read(Kind::Response, response.headers, version)?;
        let tunnel = method == Method::Connect && status.is_success();
        let framing = match fields.length {
            _ if method == Method::Head || status.is_bodiless() || tunnel => BodyFraming::None,
            _ if fields.chunked => BodyFraming::Chunked,
            Some(0) => BodyFraming::None,
            Some(length) => BodyFraming::Length(length),
            None => BodyFraming::UntilClose,
        };
        let switches = tunnel || status == StatusCode::SWITCHING_PROTOCOLS;
        Ok(ResponseHead {
            status,
            reason: response.reason.unwrap_or_default(),
            version,
            headers: Headers(response.headers),
            framing,
            keep_alive: fields.keep_alive(version)
                && framing != BodyFraming::UntilClose
                && !switches,
            upgrade: fields.upgrade(version),
        })
    }

    /// True if the server goes on with WebSocket.
    pub fn upgrades_to_websocket(&self) -> bool {
        self.status == StatusCode::SWITCHING_PROTOCOLS && self.upgrade.is_some_and(offers_websocket)
    }
}

/// What the headers say that decide about the connection and the body.
#[derive(Debug)]
struct Fields<'h> {
    host: Option<&'h str>,
    length: Option<u64>,
    chunked: bool,
    close: bool,
    persist: bool,
    connection_upgrade: bool,
    upgrade: Option<&'h [u8]>,
    expect: Expect,
}

#[derive(Debug, PartialEq, Eq)]
enum Expect {
    Nothing,
    Continue,
    Unknown,
}

impl<'h> Fields<'h> {
    fn read(
        kind: Kind,
        headers: &[httparse::Header<'h>],
        version: Version,
    ) -> Result<Fields<'h>, HttpError> {
        let is_request = kind == Kind::Request;
        let mut fields = Fields {
            host: None,
            length: None,
            chunked: false,
            close: false,
            persist: false,
            connection_upgrade: false,
            upgrade: None,
            expect: Expect::Nothing,
        };
        for header in headers {
            // The length of the name sorts out nearly all other headers at the price of one jump.
            let (name, value) = (header.name, header.value);
            match name.len() {
                4 if is_request && name.eq_ignore_ascii_case("host") => fields.host(value)?,
                6 if is_request && name.eq_ignore_ascii_case("expect") => fields.expect(value),
                7 if name.eq_ignore_ascii_case("upgrade") => {
                    fields.upgrade = fields.upgrade.or(Some(value));
                }
                10 if name.eq_ignore_ascii_case("connection") => fields.connection(value),
                14 if name.eq_ignore_ascii_case("content-length") => fields.length(value)?,
                17 if name.eq_ignore_ascii_case("transfer-encoding") => fields.coding(value)?,
                _ => {}
            }
        }
        if fields.chunked && fields.length.is_some() {
            return Err(HttpError::bad_request("Content-Length together with Transfer-Encoding"));
        }
        if fields.chunked && version == Version::Http10 {
            return Err(HttpError::bad_request("Transfer-Encoding in a message of HTTP/1.0"));
        }
        Ok(fields)
    }

    fn host(&mut self, value: &'h [u8]) -> Result<(), HttpError> {
        if self.host.is_some() {
            return Err(HttpError::bad_request("Host more than once"));
        }
        match std::str::from_utf8(value) {
            Ok(host) if is_host(value) => self.host = Some(host),
            _ => {
                return Err(HttpError::bad_request("Host holds a byte that no host has"));
            }
        }
        Ok(())
    }

    fn expect(&mut self, value: &[u8]) {
        if !value.eq_ignore_ascii_case(b"100-continue") {
            self.expect = Expect::Unknown;
        } else if self.expect == Expect::Nothing {
            self.expect = Expect::Continue;
        }
    }

    fn connection(&mut self, value: &[u8]) {
        for option in list_items(value) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.persist |= option.eq_ignore_ascii_case(b"keep-alive");
            self.connection_upgrade |= option.eq_ignore_ascii_case(b"upgrade");
        }
    }

    fn length(&mut self, value: &[u8]) -> Result<(), HttpError> {
        if self.length.is_some() {
            return Err(HttpError::bad_request("Content-Length more than once"));
        }
        if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
            return Err(HttpError::bad_request(
                "Content-Length is not one number in decimal digits",
            ));
        }
        let length = value.iter().try_fold(0u64, |length, digit| {
            length.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
        });
        self.length = Some(
            length
                .ok_or(HttpError::bad_request("Content-Length is a number of more than 64 bits"))?,
        );
        Ok(())
    }

    fn coding(&mut self, value: &[u8]) -> Result<(), HttpError> {
        let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
        let doubled = list_items(value).filter(|coding| is_chunked(coding)).nth(1).is_some();
        if self.chunked || doubled {
            return Err(HttpError::bad_request("Transfer-Encoding more than once"));
        }
        if !is_chunked(value) {
            return Err(HttpError::new(
                StatusCode::NOT_IMPLEMENTED,
                "a transfer coding other than chunked",
            ));
        }
        self.chunked = true;
        Ok(())
    }

    fn keep_alive(&self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.persist)
    }

    /// RFC 9110 7.8: without its option in `Connection`, or in HTTP/1.0, `Upgrade` means nothing.
    fn upgrade(&self, version: Version) -> Option<&'h str> {
        if !self.connection_upgrade || version == Version::Http10 {
            return None;
        }
        self.upgrade.and_then(|value| std::str::from_utf8(value).ok())
    }
}

const NO_HEAD: &str = "the bytes up to the empty line are not a head";

fn version(minor: u8) -> Version {
    if minor == 0 { Version::Http10 } else { Version::Http11 }
}

fn offers_websocket(upgrade: &str) -> bool {
    list_items(upgrade.as_bytes()).any(|protocol| protocol.eq_ignore_ascii_case(b"websocket"))
}

/// What a refused request line or header was, in the words of the peer's operator.
#[cold]
fn request_error(error: httparse::Error, head: &[u8]) -> HttpError {
    if error != httparse::Error::Version {
        return head_error(error, head);
    }
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let last = line.rsplit(|byte| *byte == b' ').next();
    let is_version = |text: &[u8]| {
        matches!(text.strip_prefix(b"HTTP/"), Some([major, b'.', minor])
            if major.is_ascii_digit() && minor.is_ascii_digit())
    };
    if last.is_some_and(is_version) && line.split(|byte| *byte == b' ').count() == 3 {
        HttpError::new(
            StatusCode::VERSION_NOT_SUPPORTED,
            "a version other than HTTP/1.0 and HTTP/1.1",
        )
    } else {
        head_error(error, head)
    }
}

#[cold]
fn head_error(error: httparse::Error, head: &[u8]) -> HttpError {
    let folded = || head.windows(3).any(|w| w == b"\r\n " || w == b"\r\n\t");
    HttpError::bad_request(match error {
        httparse::Error::HeaderName if folded() => {
            "a header folded over two lines, or white space before the first one"
        }
        httparse::Error::HeaderName => {
            "a header name is empty or followed by something else than a colon"
        }
        httparse::Error::HeaderValue => "a header value holds a NUL, a bare CR or a control byte",
        httparse::Error::NewLine => "a bare CR in the head, lines end in CRLF",
        httparse::Error::Status => "the status line is not version, three digits and a phrase",
        httparse::Error::Token => "the request line is not method, target and version",
        httparse::Error::Version => "the version is not HTTP/1.0 or HTTP/1.1",
        httparse::Error::TooManyHeaders => {
            return HttpError::new(
                StatusCode::HEADER_FIELDS_TOO_LARGE,
                "more headers than are accepted here",
            );
        }
    })
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
