//! The request target: its forms, the path and the query in it, and percent-decoding.
//!
//! Paths stay as the peer wrote them until a handler asks for a decoded piece.
//! Decoding happens once, segment by segment, after the path was split: an encoded
//! slash can never become a separator, and a name that would escape its directory
//! (`..`, `%2e%2e`, a slash or a NUL inside a segment) is refused where it is decoded.

use std::borrow::Cow;

use super::lexical::{ByteSet, find_byte, hex_digit};
use super::method::Method;
use super::status::HttpError;

/// Which of the four forms of RFC 9112 3.2 a target has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetForm {
    /// `/path?query`, the usual one.
    Origin,
    /// `http://host/path?query`, as sent to proxies; every server accepts it.
    Absolute,
    /// `host:port`, of CONNECT only.
    Authority,
    /// `*`, of OPTIONS only.
    Asterisk,
}

/// A request target taken apart; every piece is as the peer sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    /// The form the target came in.
    pub form: TargetForm,
    /// The host (and port) of the absolute and the authority form.
    pub authority: Option<&'a str>,
    /// The path, beginning with a slash; `*` of the asterisk form, empty for the authority form.
    pub path: &'a str,
    /// What follows the first question mark, if there is one.
    pub query: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// Takes a target apart and checks that its form fits the method.
    pub fn parse(method: Method, raw: &'a str) -> Result<Target<'a>, HttpError> {
        if method == Method::Connect {
            return Target::authority(raw);
        }
        if raw.starts_with('/') {
            return Target::from_path(TargetForm::Origin, None, raw);
        }
        if raw == "*" && method == Method::Options {
            return Ok(Target {
                form: TargetForm::Asterisk,
                authority: None,
                path: raw,
                query: None,
            });
        }
        Target::absolute(raw)
    }

    /// The parameters of the query, without any if there is no query.
    pub fn params(&self) -> Query<'a> {
        Query::new(self.query.unwrap_or_default())
    }

    fn authority(raw: &'a str) -> Result<Target<'a>, HttpError> {
        let port = raw.rsplit_once(':').map(|(_, port)| port);
        let numeric = port.is_some_and(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
        if !numeric || !is_host(raw.as_bytes()) {
            return Err(HttpError::bad_request("the target of CONNECT is not host:port"));
        }
        Ok(Target { form: TargetForm::Authority, authority: Some(raw), path: "", query: None })
    }

    fn absolute(raw: &'a str) -> Result<Target<'a>, HttpError> {
        const FORM: HttpError = HttpError::bad_request(
            "the request target begins neither with a slash nor with http:// or https://",
        );
        let (scheme, rest) = raw.split_once("://").ok_or(FORM)?;
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return Err(FORM);
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end).ok_or(FORM)?;
        if authority.is_empty() || !is_host(authority.as_bytes()) {
            return Err(HttpError::bad_request(
                "the request target names no valid host after http://",
            ));
        }
        let mut target = Target::from_path(TargetForm::Absolute, Some(authority), path)?;
        if target.path.is_empty() {
            target.path = "/";
        }
        Ok(target)
    }

    fn from_path(
        form: TargetForm,
        authority: Option<&'a str>,
        raw: &'a str,
    ) -> Result<Target<'a>, HttpError> {
        // Without an early exit, so that the compiler makes vector instructions of it.
        let clean = raw
            .bytes()
            .fold(true, |clean, byte| clean & (byte > b' ') & (byte < 0x7f) & (byte != b'#'));
        if !clean {
            return Err(HttpError::bad_request(if raw.contains('#') {
                "the request target holds a fragment (#), which clients keep to themselves"
            } else {
                "the request target holds a byte that has to be percent-encoded"
            }));
        }
        let question = find_byte(b'?', raw.as_bytes());
        let (path, query) = match question.and_then(|at| raw.split_at_checked(at)) {
            Some((path, query)) => (path, query.get(1..)),
            None => (raw, None),
        };
        Ok(Target { form, authority, path, query })
    }
}

/// True for the bytes a host with an optional port is made of (a name, IPv4, or IPv6 in brackets).
///
/// Narrower than the grammar: userinfo and commas are refused, which no host has and which make
/// two readers see two hosts.
pub fn is_host(host: &[u8]) -> bool {
    const HOST: ByteSet = ByteSet::alphanumeric_and(b"-._~:[]%");
    host.iter().all(|byte| HOST.contains(*byte))
}

/// The parameters of a query, `name=value` joined by `&`, one after the other.
///
/// Walks the text as it lies; nothing is collected, so their number needs no limit beyond that of
/// the target.
#[derive(Debug, Clone)]
pub struct Query<'a> {
    rest: Option<&'a str>,
}

impl<'a> Query<'a> {
    /// The parameters of this text, which is without the question mark.
    pub fn new(raw: &'a str) -> Query<'a> {
        Query { rest: Some(raw) }
    }

    /// The decoded value of the first parameter with this name.
    ///
    /// An encoding error in that value is the peer's fault (400); other parameters are not looked at.
    pub fn get(&self, name: &str) -> Result<Option<Cow<'a, str>>, HttpError> {
        match self.clone().find(|param| param.name_is(name)) {
            Some(param) => param.value().map(Some),
            None => Ok(None),
        }
    }
}

impl<'a> Iterator for Query<'a> {
    type Item = QueryParam<'a>;

    fn next(&mut self) -> Option<QueryParam<'a>> {
        loop {
            let rest = self.rest?;
            let piece = match rest.split_once('&') {
                Some((piece, after)) => {
                    self.rest = Some(after);
                    piece
                }
                None => {
                    self.rest = None;
                    rest
                }
            };
            if !piece.is_empty() {
                let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
                return Some(QueryParam { raw_name: name, raw_value: value });
            }
        }
    }
}

/// One parameter of a query, as the peer wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryParam<'a> {
    /// The name before decoding.
    pub raw_name: &'a str,
    /// The value before decoding; empty if there is no equals sign.
    pub raw_value: &'a str,
}

impl<'a> QueryParam<'a> {
    /// True if the decoded name is this one; compares without building the decoded name.
    pub fn name_is(&self, name: &str) -> bool {
        if self.raw_name == name {
            return true;
        }
        let mut expected = name.bytes();
        for byte in Bytes::new(self.raw_name, Plus::Space) {
            match (byte, expected.next()) {
                (Ok(byte), Some(wanted)) if byte == wanted => {}
                _ => return false,
            }
        }
        expected.next().is_none()
    }

    /// The decoded name; a plus sign is a space.
    pub fn name(&self) -> Result<Cow<'a, str>, HttpError> {
        decode(self.raw_name, Plus::Space)
    }

    /// The decoded value; a plus sign is a space.
    pub fn value(&self) -> Result<Cow<'a, str>, HttpError> {
        decode(self.raw_value, Plus::Space)
    }
}

/// Decodes `%41` to `A`; borrows when there is nothing to decode. A plus sign stays one.
pub fn percent_decode(raw: &str) -> Result<Cow<'_, str>, HttpError> {
    decode(raw, Plus::Plus)
}

/// Decodes one segment of a path to a name that is safe as a file name and as a key.
///
/// Refused: an empty segment, `.` and `..`, a slash, a backslash, NUL and other control bytes,
/// whether plain or encoded, and what is not UTF-8 after decoding.
pub fn safe_segment(raw: &str) -> Result<Cow<'_, str>, HttpError> {
    let segment = percent_decode(raw)?;
    let fault = match &*segment {
        "" => "the path has an empty segment",
        "." | ".." => "the path has a dot segment",
        name if name.contains(['/', '\\']) => "a path segment holds an encoded slash or backslash",
        name if name.bytes().any(|b| b < 0x20 || b == 0x7f) => {
            "a path segment holds a NUL or another control byte"
        }
        _ => return Ok(segment),
    };
    Err(HttpError::bad_request(fault))
}

/// The segments of a path, each through [`safe_segment`]; one slash at either end is no segment.
pub fn safe_segments(path: &str) -> SafeSegments<'_> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = match path.strip_suffix('/') {
        Some(shorter) if !shorter.is_empty() => shorter,
        _ => path,
    };
    SafeSegments { rest: (!path.is_empty()).then_some(path) }
}

/// What [`safe_segments`] returns.
#[derive(Debug, Clone)]
pub struct SafeSegments<'a> {
    rest: Option<&'a str>,
}

impl<'a> Iterator for SafeSegments<'a> {
    type Item = Result<Cow<'a, str>, HttpError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest?;
        let (segment, after) = match rest.split_once('/') {
            Some((segment, after)) => (segment, Some(after)),
            None => (rest, None),
        };
        self.rest = after;
        Some(safe_segment(segment))
    }
}

/// What a plus sign stands for: a space in a query, itself in a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plus {
    Plus,
    Space,
}

fn decode(raw: &str, plus: Plus) -> Result<Cow<'_, str>, HttpError> {
    let plain = |byte| byte != b'%' && (byte != b'+' || plus == Plus::Plus);
    if raw.bytes().all(plain) {
        return Ok(Cow::Borrowed(raw));
    }
    let bytes = Bytes::new(raw, plus).collect::<Result<Vec<u8>, HttpError>>()?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Cow::Owned(text)),
        Err(_) => Err(HttpError::bad_request("percent-encoded text is not UTF-8 after decoding")),
    }
}

/// The decoded bytes of a text, one by one.
struct Bytes<'a> {
    raw: std::str::Bytes<'a>,
    plus: Plus,
}

impl<'a> Bytes<'a> {
    fn new(raw: &'a str, plus: Plus) -> Bytes<'a> {
        Bytes { raw: raw.bytes(), plus }
    }
}

impl Iterator for Bytes<'_> {
    type Item = Result<u8, HttpError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(match self.raw.next()? {
            b'%' => {
                let high = self.raw.next().and_then(hex_digit);
                let low = self.raw.next().and_then(hex_digit);
                match (high, low) {
                    (Some(high), Some(low)) => Ok(high << 4 | low),
                    _ => Err(HttpError::bad_request(
                        "a percent sign is not followed by two hexadecimal digits",
                    )),
                }
            }
            b'+' if self.plus == Plus::Space => Ok(b' '),
            byte => Ok(byte),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn origin(raw: &str) -> Target<'_> {
        Target::parse(Method::Get, raw).unwrap()
    }

    #[test]
    fn forms() {
        let target = origin("/api/v1/stream/?streamname=a&edgename=b?c");
        assert_eq!(target.form, TargetForm::Origin);
        assert_eq!(target.path, "/api/v1/stream/");
        assert_eq!(target.query, Some("streamname=a&edgename=b?c"));
        assert_eq!(origin("/").query, None);
        assert_eq!(origin("/?").query, Some(""));

        let target = origin("HTTP://[::1]:8080/a/b?c=d");
        assert_eq!(target.form, TargetForm::Absolute);
        assert_eq!(target.authority, Some("[::1]:8080"));
        assert_eq!((target.path, target.query), ("/a/b", Some("c=d")));
        let target = origin("https://h?q");
        assert_eq!((target.path, target.query), ("/", Some("q")));
        assert_eq!(origin("http://h").path, "/");

        let target = Target::parse(Method::Options, "*").unwrap();
        assert_eq!(target.form, TargetForm::Asterisk);
        let target = Target::parse(Method::Connect, "example.org:443").unwrap();
        assert_eq!(target.authority, Some("example.org:443"));
    }

    #[test]
    fn refused_forms() {
        for (method, raw) in [
            (Method::Get, "*"),
            (Method::Get, ""),
            (Method::Get, "a"),
            (Method::Get, "a/b"),
            (Method::Get, "example.org:443"),
            (Method::Get, "/a#b"),
            (Method::Get, "/\u{e9}"),
            (Method::Get, "/a b"),
            (Method::Get, "http:///a"),
            (Method::Get, "http://user@host/"),
            (Method::Get, "http://h#f"),
            (Method::Get, "ftp://h/"),
            (Method::Get, "://h/"),
            (Method::Connect, "/a"),
            (Method::Connect, "host"),
            (Method::Connect, "host:"),
            (Method::Connect, "host:x1"),
            (Method::Connect, "http://host:1"),
        ] {
            let error = Target::parse(method, raw).unwrap_err();
            assert_eq!(error.status.as_u16(), 400, "{method} {raw}");
        }
    }

    #[test]
    fn query_parameters() {
        let query = Query::new("&a=1&b&c=x=y&a=2&%64=%41+b&&e=%zz&f=%ff");
        let all: Vec<_> = query.clone().map(|p| (p.raw_name, p.raw_value)).collect();
        assert_eq!(
            all,
            [
                ("a", "1"),
                ("b", ""),
                ("c", "x=y"),
                ("a", "2"),
                ("%64", "%41+b"),
                ("e", "%zz"),
                ("f", "%ff")
            ]
        );
        assert_eq!(query.get("a").unwrap().as_deref(), Some("1"));
        assert!(matches!(query.get("a").unwrap(), Some(Cow::Borrowed("1"))));
        assert_eq!(query.get("b").unwrap().as_deref(), Some(""));
        assert_eq!(query.get("d").unwrap().as_deref(), Some("A b"));
        assert_eq!(query.get("g").unwrap(), None);
        assert_eq!(query.get("").unwrap(), None);
        assert_eq!(query.get("e").unwrap_err().status.as_u16(), 400);
        assert_eq!(query.get("f").unwrap_err().status.as_u16(), 400);
        assert_eq!(Query::new("").count(), 0);
    }

    #[test]
    fn decoding() {
        assert_eq!(percent_decode("a+b").unwrap(), "a+b");
        assert_eq!(percent_decode("%e4%BD%a0").unwrap(), "\u{4f60}");
        assert_eq!(percent_decode("%252e").unwrap(), "%2e");
        for bad in ["%", "%4", "%4g", "%+1", "a%", "%%41"] {
            assert!(percent_decode(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn segments_that_escape_are_refused() {
        for bad in [
            "", ".", "..", "%2e", "%2E.", ".%2e", "a%2fb", "a%2Fb", "%5c", "a\\b", "%00", "a%0a",
            "%7f", "%ff", "a/b",
        ] {
            assert!(safe_segment(bad).is_err(), "{bad}");
        }
        for good in ["a", "...", "a..b", ".hidden", "a%20b", "%E4%BD%A0", "a+b"] {
            assert!(safe_segment(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn paths_split_before_they_are_decoded() {
        let names = |path| safe_segments(path).collect::<Result<Vec<_>, _>>();
        assert_eq!(names("/live/a%20b").unwrap(), ["live", "a b"]);
        assert_eq!(names("/live/").unwrap(), ["live"]);
        assert!(names("/").unwrap().is_empty());
        assert!(names("").unwrap().is_empty());
        for bad in ["/a//b", "//", "/a/../b", "/a/%2e%2e/b", "/a%2f..%2fb", "/.."] {
            assert!(names(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_survives_encoding(text in "\\PC{0,40}") {
            let mut raw = String::new();
            for byte in text.bytes() {
                raw.push_str(&format!("%{byte:02x}"));
            }
            prop_assert_eq!(percent_decode(&raw).unwrap(), text.as_str());
            let query = format!("x=1&{raw}={raw}");
            let query = Query::new(&query);
            if !text.is_empty() && text != "x" {
                let value = query.get(&text).unwrap();
                prop_assert_eq!(value.as_deref(), Some(text.as_str()));
            }
        }

        #[test]
        fn nothing_panics(raw in "[ -~]{0,60}") {
            for method in Method::ALL {
                if let Ok(target) = Target::parse(method, &raw) {
                    for param in target.params() {
                        let _ = (param.name(), param.value());
                    }
                    let _ = safe_segments(target.path).count();
                }
            }
        }

        #[test]
        fn safe_names_are_safe(raw in "[a%./0-9fF\\\\]{0,12}") {
            if let Ok(names) = safe_segments(&raw).collect::<Result<Vec<_>, _>>() {
                for name in names {
                    prop_assert!(!name.is_empty() && name != "." && name != "..");
                    prop_assert!(!name.contains(['/', '\\', '\0']));
                }
            }
        }
    }
}
