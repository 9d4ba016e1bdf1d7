//! The HTTP exchange a session begins with, both sides: an HTTP/1.1 request, and the 101 answer to it.
//!
//! Parsing HTTP is not done here: headers come as pairs of name and value, from whoever read them.
//! Whether a page of this origin may connect is not decided here either: the `Origin` header is for
//! the application to judge, before it accepts. No extension is offered or accepted.

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use base64::Engine;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use thiserror::Error;

/// What a server adds to a key to show that it speaks WebSocket; RFC 6455, section 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Some clients make a key of 24 random characters, whose last one then has bits too many.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// A request that is refused, and by which status. Each is the client's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Not a GET.
    #[error("client asked for a WebSocket by another method than GET")]
    Method,
    /// Older than HTTP/1.1.
    #[error("client asked for a WebSocket over HTTP older than 1.1")]
    Http,
    /// A plain request, where a WebSocket is served.
    #[error("client sent no Upgrade header with `websocket` in it")]
    Upgrade,
    /// The hop is not told that the Upgrade header is for it.
    #[error("client sent no Connection header with `upgrade` in it")]
    Connection,
    /// Not version 13.
    #[error("client asked for another version of WebSocket than 13")]
    Version,
    /// No key, several, or one that is not base64 of 16 bytes.
    #[error("client sent no single Sec-WebSocket-Key that is base64 of 16 bytes")]
    Key,
}

impl Refusal {
    /// The status of the HTTP answer.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Method => 405,
            Self::Upgrade | Self::Version => 426,
            Self::Http | Self::Connection | Self::Key => 400,
        }
    }

    /// The headers that go with the status, so that the client can do better.
    #[must_use]
    pub fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Method => &[("Allow", "GET")],
            Self::Upgrade | Self::Version => &[
                ("Upgrade", "websocket"),
                ("Connection", "Upgrade"),
                ("Sec-WebSocket-Version", "13"),
            ],
            Self::Http | Self::Connection | Self::Key => &[],
        }
    }
}

/// A request that is granted: what the 101 answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted<'p> {
    accept: [u8; 28],
    /// The subprotocol both sides know, if there is one.
    pub protocol: Option<&'p str>,
}

impl Accepted<'_> {
    /// The value of `Sec-WebSocket-Accept`.
    #[must_use]
    pub fn accept(&self) -> &str {
        std::str::from_utf8(&self.accept).unwrap_or_default()
    }

    /// Appends the whole 101 answer; frames follow it.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
        );
        put(out, "Sec-WebSocket-Accept", self.accept());
        if let Some(protocol) = self.protocol {
            put(out, "Sec-WebSocket-Protocol", protocol);
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// Judges a request: its method, the minor version of its HTTP/1 and its headers. `protocols` are the
/// subprotocols the server knows; of those the first one the client names is taken. Where there is none
/// the answer names none, and the client decides.
///
/// # Errors
/// The request begins no session; the refusal has the status and headers to answer by.
pub fn accept<'a, 'p>(
    method: &str,
    http_minor: u8,
    headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    protocols: &[&'p str],
) -> Result<Accepted<'p>, Refusal> {
    if method != "GET" {
        return Err(Refusal::Method);
    }
    if http_minor < 1 {
        return Err(Refusal::Http);
    }
    let (mut upgrade, mut connection) = (false, false);
    let (mut version, mut key) = (Single::Missing, Single::Missing);
    let mut protocol = None;
    for (name, value) in headers {
        if name.eq_ignore_ascii_case("Upgrade") {
            upgrade |= has_token(value, "websocket");
        } else if name.eq_ignore_ascii_case("Connection") {
            connection |= has_token(value, "upgrade");
        } else if name.eq_ignore_ascii_case("Sec-WebSocket-Version") {
            version.add(value);
        } else if name.eq_ignore_ascii_case("Sec-WebSocket-Key") {
            key.add(value);
        } else if name.eq_ignore_ascii_case("Sec-WebSocket-Protocol") {
            protocol = protocol.or_else(|| first_known(value, protocols));
        }
    }
    if !upgrade {
        return Err(Refusal::Upgrade);
    }
    if !connection {
        return Err(Refusal::Connection);
    }
    if version != Single::Value(b"13") {
        return Err(Refusal::Version);
    }
    let Single::Value(key) = key else {
        return Err(Refusal::Key);
    };
    if !is_key(key) {
        return Err(Refusal::Key);
    }
    Ok(Accepted { accept: accept_value(key), protocol })
}

/// An answer that begins no session. Each is the server's fault but the first, which may have its reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AnswerError {
    /// Another status than 101.
    #[error("server answered the request for a WebSocket by status {0}")]
    Status(u16),
    /// No `Upgrade: websocket`.
    #[error("server answered 101 without `Upgrade: websocket`")]
    Upgrade,
    /// No `Connection: upgrade`.
    #[error("server answered 101 without `Connection: upgrade`")]
    Connection,
    /// The accept value is not the one for the key.
    #[error("server answered 101 with a missing or wrong Sec-WebSocket-Accept")]
    Accept,
    /// A subprotocol that was not asked for, or several.
    #[error("server chose a subprotocol that was not offered")]
    Protocol,
    /// An extension; none was asked for.
    #[error("server chose an extension, but none was offered")]
    Extension,
}

/// A request that cannot be written. Each is the caller's fault, and nothing was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RequestError {
    /// The target does not begin with `/`, or has a space or control character in it.
    #[error("the target has to begin with `/` and hold neither spaces nor control characters")]
    Target,
    /// A header would end early or become two.
    #[error("a header name has to be a token, and a value must not hold control characters")]
    Header,
    /// A subprotocol's name is not a token.
    #[error("the name of a subprotocol has to be a token")]
    Protocol,
}

/// The client's side of the exchange: a key, the request with it, the check of the answer to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    key: [u8; 24],
}

impl Client {
    /// From 16 random bytes, for one connection only.
    #[must_use]
    pub fn new(random: [u8; 16]) -> Self {
        let mut key = [0; 24];
        // Sixteen bytes are 24 characters, so it fits.
        let _ = BASE64.encode_slice(random, &mut key);
        Self { key }
    }

    /// The value of `Sec-WebSocket-Key`.
    #[must_use]
    pub fn key(&self) -> &str {
        std::str::from_utf8(&self.key).unwrap_or_default()
    }

    /// Appends the whole request. `headers` are the caller's own beside those of WebSocket, such as
    /// `Authorization`.
    ///
    /// # Errors
    /// An argument would break the request.
    pub fn write(
        &self,
        host: &str,
        target: &str,
        protocols: &[&str],
        headers: &[(&str, &str)],
        out: &mut Vec<u8>,
    ) -> Result<(), RequestError> {
        if !target.starts_with('/') || target.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Err(RequestError::Target);
        }
        if !protocols.iter().all(|protocol| is_token(protocol)) {
            return Err(RequestError::Protocol);
        }
        let sound = |(name, value): &(&str, &str)| is_token(name) && is_value(value);
        if !is_value(host) || !headers.iter().all(sound) {
            return Err(RequestError::Header);
        }

        out.extend_from_slice(b"GET ");
        out.extend_from_slice(target.as_bytes());
        out.extend_from_slice(b" HTTP/1.1\r\n");
        put(out, "Host", host);
        put(out, "Upgrade", "websocket");
        put(out, "Connection", "Upgrade");
        put(out, "Sec-WebSocket-Version", "13");
        put(out, "Sec-WebSocket-Key", self.key());
        if !protocols.is_empty() {
            put(out, "Sec-WebSocket-Protocol", &protocols.join(", "));
        }
        for (name, value) in headers {
            put(out, name, value);
        }
        out.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Checks the answer: its status and headers. Gives the subprotocol the server chose among those
    /// `offered`; whether none will do is for the caller to say.
    ///
    /// # Errors
    /// The answer begins no session.
    pub fn check<'a, 'p>(
        &self,
        status: u16,
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
        offered: &[&'p str],
    ) -> Result<Option<&'p str>, AnswerError> {
        if status != 101 {
            return Err(AnswerError::Status(status));
        }
        let (mut upgrade, mut connection) = (false, false);
        let (mut accept, mut protocol) = (Single::Missing, Single::Missing);
        for (name, value) in headers {
            if name.eq_ignore_ascii_case("Upgrade") {
                upgrade |= has_token(value, "websocket");
            } else if name.eq_ignore_ascii_case("Connection") {
                connection |= has_token(value, "upgrade");
            } else if name.eq_ignore_ascii_case("Sec-WebSocket-Accept") {
                accept.add(value);
            } else if name.eq_ignore_ascii_case("Sec-WebSocket-Protocol") {
                protocol.add(value);
            } else if name.eq_ignore_ascii_case("Sec-WebSocket-Extensions")
                && !value.trim_ascii().is_empty()
            {
                return Err(AnswerError::Extension);
            }
        }
        if !upgrade {
            return Err(AnswerError::Upgrade);
        }
        if !connection {
            return Err(AnswerError::Connection);
        }
        if accept != Single::Value(&accept_value(&self.key)) {
            return Err(AnswerError::Accept);
        }
        match protocol {
            Single::Missing => Ok(None),
            Single::Value(chosen) => {
                let known = offered.iter().find(|name| name.as_bytes() == chosen);
                known.map(|name| Some(*name)).ok_or(AnswerError::Protocol)
            }
            Single::Several => Err(AnswerError::Protocol),
        }
    }
}

/// The value of a header that may be there once only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Single<'a> {
    Missing,
    Value(&'a [u8]),
    Several,
}

impl<'a> Single<'a> {
    fn add(&mut self, value: &'a [u8]) {
        *self = match self {
            Self::Missing => Self::Value(value.trim_ascii()),
            _ => Self::Several,
        };
    }
}

/// The elements of a list in a header.
fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

fn has_token(value: &[u8], token: &str) -> bool {
    elements(value).any(|element| element.eq_ignore_ascii_case(token.as_bytes()))
}

fn first_known<'p>(value: &[u8], known: &[&'p str]) -> Option<&'p str> {
    elements(value).find_map(|element| {
        let named = known.iter().find(|name| name.as_bytes() == element);
        named.copied()
    })
}

/// Whether this is base64 of 16 bytes.
fn is_key(key: &[u8]) -> bool {
    // The decoder asks for room in whole groups of three.
    let mut bytes = [0; 18];
    key.len() == 24 && BASE64.decode_slice(key, &mut bytes) == Ok(16)
}

fn accept_value(key: &[u8]) -> [u8; 28] {
    let mut sha1 = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    sha1.update(key);
    sha1.update(GUID);
    let mut value = [0; 28];
    // Twenty bytes are 28 characters, so it fits.
    let _ = BASE64.encode_slice(sha1.finish(), &mut value);
    value
}

fn put(out: &mut Vec<u8>, name: &str, value: &str) {
    for part in [name, ": ", value, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// RFC 9110, section 5.6.2.
fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn is_value(value: &str) -> bool {
    value.bytes().all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

    type Headers<'a> = Vec<(&'a str, &'a [u8])>;

    fn request() -> Headers<'static> {
        vec![
            ("Host", b"server.example.com"),
            ("upgrade", b"WebSocket"),
            ("Connection", b"keep-alive, Upgrade"),
            ("Sec-WebSocket-Key", KEY.as_bytes()),
            ("Sec-WebSocket-Version", b" 13 "),
        ]
    }

    fn replaced<'a>(mut headers: Headers<'a>, name: &str, value: Option<&'a [u8]>) -> Headers<'a> {
        let at = headers.iter().position(|(is, _)| *is == name).unwrap();
        match value {
            Some(value) => headers[at].1 = value,
            None => {
                headers.remove(at);
            }
        }
        headers
    }

    #[test]
    fn the_example_of_the_rfc() {
        let accepted = accept("GET", 1, request(), &[]).unwrap();
        assert_eq!(accepted.accept(), ACCEPT);
        let mut out = Vec::new();
        accepted.write(&mut out);
        let expected = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn a_refusal_says_by_which_status() {
        let refused = |headers| accept("GET", 1, headers, &[]).unwrap_err();
        assert_eq!(accept("POST", 1, request(), &[]), Err(Refusal::Method));
        assert_eq!(accept("get", 1, request(), &[]), Err(Refusal::Method));
        assert_eq!(accept("GET", 0, request(), &[]), Err(Refusal::Http));
        let without = |name, value| refused(replaced(request(), name, value));
        assert_eq!(without("upgrade", None), Refusal::Upgrade);
        assert_eq!(without("upgrade", Some(b"h2c")), Refusal::Upgrade);
        assert_eq!(without("Connection", None), Refusal::Connection);
        assert_eq!(without("Connection", Some(b"upgraded")), Refusal::Connection);
        for version in [None, Some(&b"8"[..]), Some(b"13, 8"), Some(b"")] {
            assert_eq!(without("Sec-WebSocket-Version", version), Refusal::Version);
        }
        for key in [
            None,
            Some(&b""[..]),
            Some(b"dGhlIHNhbXBsZSBub25jZQ"),
            Some(b"dGhlIHNhbXBsZSBub25jZQ=A"),
            Some(b"dGhlIHNhbXBsZSBub25jZWU="),
            Some(b"dGhlIHNhbXBsZSBub25j ZQ="),
            Some(b"dGhlIHNhbXBsZSBub25jZQ==dGhl"),
        ] {
            assert_eq!(without("Sec-WebSocket-Key", key), Refusal::Key, "{key:?}");
        }
        let mut doubled = request();
        doubled.push(("sec-websocket-key", KEY.as_bytes()));
        assert_eq!(refused(doubled), Refusal::Key);

        assert_eq!(Refusal::Method.status(), 405);
        assert_eq!(Refusal::Version.status(), 426);
        assert!(Refusal::Version.headers().contains(&("Sec-WebSocket-Version", "13")));
        assert_eq!(Refusal::Key.status(), 400);
    }

    #[test]
    fn a_key_of_24_random_characters_will_do() {
        let headers = replaced(request(), "Sec-WebSocket-Key", Some(b"AAAAAAAAAAAAAAAAAAAAAB=="));
        assert!(accept("GET", 1, headers, &[]).is_ok());
    }

    #[test]
    fn the_client_names_its_favourite_subprotocol_first() {
        let mut headers = request();
        headers.push(("Sec-WebSocket-Protocol", b"chat.v9"));
        headers.push(("sec-websocket-protocol", b"chat.v2 ,chat.v1"));
        let chosen = |known: &[&'static str]| {
            let accepted = accept("GET", 1, headers.clone(), known);
            accepted.unwrap().protocol
        };
        assert_eq!(chosen(&["chat.v1", "chat.v2"]), Some("chat.v2"));
        assert_eq!(chosen(&["Chat.v2"]), None);
        assert_eq!(chosen(&[]), None);
    }

    #[test]
    fn the_client_checks_the_answer() {
        let client = Client::new(*b"the sample nonce");
        assert_eq!(client.key(), KEY);
        let answer: Headers<'_> = vec![
            ("Upgrade", b"websocket"),
            ("connection", b"Upgrade"),
            ("Sec-WebSocket-Accept", ACCEPT.as_bytes()),
            ("Sec-WebSocket-Protocol", b"b"),
        ];
        let check = |headers| client.check(101, headers, &["a", "b"]);
        assert_eq!(check(answer.clone()), Ok(Some("b")));
        let with = |name, value| check(replaced(answer.clone(), name, value));
        assert_eq!(with("Sec-WebSocket-Protocol", None), Ok(None));
        assert_eq!(with("Sec-WebSocket-Protocol", Some(b"c")), Err(AnswerError::Protocol));
        assert_eq!(with("Sec-WebSocket-Protocol", Some(b"a, b")), Err(AnswerError::Protocol));
        assert_eq!(with("Upgrade", None), Err(AnswerError::Upgrade));
        assert_eq!(with("connection", Some(b"close")), Err(AnswerError::Connection));
        assert_eq!(with("Sec-WebSocket-Accept", Some(KEY.as_bytes())), Err(AnswerError::Accept));
        assert_eq!(with("Sec-WebSocket-Accept", None), Err(AnswerError::Accept));
        let mut extended = answer.clone();
        extended.push(("Sec-WebSocket-Extensions", b"permessage-deflate"));
        assert_eq!(check(extended), Err(AnswerError::Extension));
        assert_eq!(client.check(503, answer, &[]), Err(AnswerError::Status(503)));
    }

    #[test]
    fn arguments_cannot_add_headers() {
        let client = Client::new([0; 16]);
        let mut out = Vec::new();
        let mut write = |host, target, protocols: &[&str], headers: &[(&str, &str)]| {
            client.write(host, target, protocols, headers, &mut out)
        };
        assert_eq!(write("h", "x", &[], &[]), Err(RequestError::Target));
        assert_eq!(write("h", "/ HTTP/1.1\r\nA: b", &[], &[]), Err(RequestError::Target));
        assert_eq!(write("h\r\nA: b", "/", &[], &[]), Err(RequestError::Header));
        assert_eq!(write("h", "/", &["a, b"], &[]), Err(RequestError::Protocol));
        assert_eq!(write("h", "/", &[], &[("A:", "b")]), Err(RequestError::Header));
        assert_eq!(write("h", "/", &[], &[("A", "b\nC: d")]), Err(RequestError::Header));
        assert!(out.is_empty());
    }

    proptest! {
        #[test]
        fn any_key_and_value_are_judged(key: Vec<u8>, value: Vec<u8>) {
            let mut headers = request();
            headers[1].1 = &value;
            headers[2].1 = &value;
            headers[3].1 = &key;
            let _ = accept("GET", 1, headers.clone(), &["a"]);
            let _ = Client::new([0; 16]).check(101, headers, &["a"]);
        }
    }
}
