//! Tests of head parsing: what is read, what is refused and with which status.

#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;

use super::*;
use crate::limits;

/// What a request came to, without borrows, for comparing.
#[derive(Debug, PartialEq)]
struct Seen {
    len: usize,
    head: String,
}

fn request(buffer: &[u8]) -> Result<Option<Seen>, HttpError> {
    request_with(buffer, &mut HeadScan::default())
}

fn request_with(buffer: &[u8], scan: &mut HeadScan) -> Result<Option<Seen>, HttpError> {
    let mut space = HeaderSpace::new();
    Ok(match RequestHead::parse(buffer, scan, &mut space)? {
        Parsed::Incomplete => None,
        Parsed::Complete { head, len } => Some(Seen { len, head: format!("{head:?}") }),
    })
}

fn with_request<R>(buffer: &[u8], check: impl FnOnce(RequestHead<'_>) -> R) -> R {
    let (mut scan, mut space) = (HeadScan::default(), HeaderSpace::new());
    match RequestHead::parse(buffer, &mut scan, &mut space) {
        Ok(Parsed::Complete { head, .. }) => check(head),
        other => panic!("{:?}: {other:?}", String::from_utf8_lossy(buffer)),
    }
}

/// The status that answers the request, 0 if it is incomplete.
fn status(buffer: &[u8]) -> u16 {
    match request(buffer) {
        Ok(Some(_)) => 200,
        Ok(None) => 0,
        Err(error) => error.status.as_u16(),
    }
}

fn with_header(line: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nHost: h\r\n{line}\r\n\r\n").into_bytes()
}

#[test]
fn a_small_request() {
    let buffer = b"GET /x?a=b HTTP/1.1\r\nHost: localhost\r\nX-Y:  z \t\r\nE:\r\n\r\nGET ";
    with_request(buffer, |head| {
        assert_eq!(head.method, Method::Get);
        assert_eq!(head.raw_target, "/x?a=b");
        assert_eq!((head.target.path, head.target.query), ("/x", Some("a=b")));
        assert_eq!(head.version, Version::Http11);
        assert_eq!(head.host, Some("localhost"));
        assert_eq!(head.framing, BodyFraming::None);
        assert!(head.keep_alive && !head.expects_continue);
        assert_eq!(head.upgrade, None);
        assert_eq!(head.headers.len(), 3);
        assert_eq!(head.headers.get_str("x-y"), Some("z"));
        assert_eq!(head.headers.get("e"), Some(&b""[..]));
        assert_eq!(head.headers.get("none"), None);
        assert_eq!(head.reply_to().method, Method::Get);
    });
    assert_eq!(request(buffer).unwrap().unwrap().len, buffer.len() - 4);
}

#[test]
fn malformed_requests_and_their_statuses() {
    let lines: &[(&[u8], u16)] = &[
        // The request line.
        (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", 200),
        (b"GET / HTTP/1.0\r\n\r\n", 200),
        (b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET /  HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET / HTTP/1.1 \r\nHost: h\r\n\r\n", 400),
        (b"GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b" GET / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET / x HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"GET\r\n\r\n", 400),
        (b"GET  HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"G(T / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET /\x7f HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET /\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET /#f HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET x HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET * HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", 200),
        (b"CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", 200),
        (b"CONNECT / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"BREW / HTTP/1.1\r\nHost: h\r\n\r\n", 501),
        (b"get / HTTP/1.1\r\nHost: h\r\n\r\n", 501),
        // The version.
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"GET / HTTP/1.2\r\nHost: h\r\n\r\n", 505),
        (b"GET / HTTP/0.9\r\nHost: h\r\n\r\n", 505),
        (b"GET / HTTP/3.0\r\nHost: h\r\n\r\n", 505),
        (b"GET / HTTP/1.10\r\nHost: h\r\n\r\n", 400),
        (b"GET / HTTP/2\r\nHost: h\r\n\r\n", 400),
        (b"GET / http/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET / HTTP/1,1\r\nHost: h\r\n\r\n", 400),
        (b"GET / RTSP/1.0\r\nHost: h\r\n\r\n", 400),
        (b"GET / x HTTP/2.0\r\nHost: h\r\n\r\n", 400),
        // Line ends.
        (b"GET / HTTP/1.1\nHost: h\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: a\r\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\n\rX: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX\r: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\r\nHost: h\r\n\r\n", 400),
        (b"GET /\r HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET / HTTP/1.1\rHost: h\r\n\r\n", 400),
        // Empty lines before.
        (b"\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", 200),
        (b"\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", 200),
        (b"\r\n\r\n\r\n\r\n\r\n", 400),
        (b"\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"\rGET / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        // Not HTTP at all.
        (b"\x16\x03\x01\x02\x00", 400),
        (b"\0", 400),
        // Host.
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\nHost: h\r\nhost: i\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h i\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h, i\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h/i\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: u@h\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 200),
        (b"GET / HTTP/1.1\r\nhOST:[::1]:8080\r\n\r\n", 200),
        (b"GET http://a/b HTTP/1.1\r\n\r\n", 400),
        // Incomplete.
        (b"", 0),
        (b"\r\n", 0),
        (b"GET / HTTP/1.1\r\nHost: h\r\n", 0),
    ];
    for (buffer, expected) in lines {
        let text = String::from_utf8_lossy(buffer);
        assert_eq!(status(buffer), *expected, "{text:?}");
    }
}

#[test]
fn malformed_headers_and_their_statuses() {
    for (line, expected) in [
        ("X : y", 400),
        ("X\t: y", 400),
        ("X y", 400),
        ("X", 400),
        (": y", 400),
        ("X(: y", 400),
        ("X: a\r\n folded", 400),
        ("X: a\r\n\tfolded", 400),
        ("X:\r\n folded", 400),
        ("X: a\0b", 400),
        ("X: a\x01b", 400),
        ("X: a\x7fb", 400),
        ("X\0: a", 400),
        ("\u{e9}: a", 400),
        ("X: \u{e9}", 200),
        // Lengths.
        ("Content-Length: 0", 200),
        ("Content-Length: 5", 200),
        ("Content-Length: 18446744073709551615", 200),
        ("Content-Length: 18446744073709551616", 400),
        ("Content-Length: 99999999999999999999999", 400),
        ("Content-Length: -1", 400),
        ("Content-Length: +1", 400),
        ("Content-Length: 1 2", 400),
        ("Content-Length: 1,1", 400),
        ("Content-Length: 1, 1", 400),
        ("Content-Length: 0x1", 400),
        ("Content-Length: 1.0", 400),
        ("Content-Length: 1_0", 400),
        ("Content-Length: \u{661}", 400),
        ("Content-Length:", 400),
        ("Content-Length: a", 400),
        ("Content-Length: 1\r\nContent-Length: 2", 400),
        ("Content-Length: 1\r\ncontent-length: 1", 400),
        // Codings.
        ("Transfer-Encoding: chunked", 200),
        ("transfer-encoding: CHUNKED", 200),
        ("Transfer-Encoding: chunked\r\nContent-Length: 1", 400),
        ("Content-Length: 1\r\nTransfer-Encoding: chunked", 400),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 400),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", 400),
        ("Transfer-Encoding: chunked, chunked", 400),
        ("Transfer-Encoding: identity", 501),
        ("Transfer-Encoding: gzip", 501),
        ("Transfer-Encoding: gzip, chunked", 501),
        ("Transfer-Encoding: chunked, gzip", 501),
        ("Transfer-Encoding: chunked;q=1", 501),
        ("Transfer-Encoding: xchunked", 501),
        ("Transfer-Encoding: \"chunked\"", 501),
        ("Transfer-Encoding: ,chunked", 501),
        ("Transfer-Encoding:", 501),
        ("Transfer-Encoding: \x0bchunked", 400),
        ("Transfer-Encoding : chunked", 400),
        ("Transfer_Encoding: chunked\r\nContent-Length: 1", 200),
        // Expectations.
        ("Expect: 100-continue", 200),
        ("Expect: 100-CONTINUE", 200),
        ("Expect: 200-ok", 417),
        ("Expect: 100-continue, more", 417),
        ("Expect: more\r\nExpect: 100-continue", 417),
    ] {
        assert_eq!(status(&with_header(line)), expected, "{line:?}");
    }
    let old = b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(status(old), 400);
    // In HTTP/1.0 nobody waits for an interim answer.
    assert_eq!(status(b"POST / HTTP/1.0\r\nExpect: x\r\n\r\n"), 200);
}

#[test]
fn sizes_are_bounded() {
    let line = |length| {
        let target = "a".repeat(length - 1);
        format!("GET /{target} HTTP/1.1\r\nHost: h\r\n\r\n").into_bytes()
    };
    assert_eq!(status(&line(limits::HTTP_TARGET)), 200);
    assert_eq!(status(&line(limits::HTTP_TARGET + 1)), 414);
    assert_eq!(status(&line(limits::HTTP_TARGET + 100)), 414);
    assert_eq!(status(&line(100_000)), 414);
    assert_eq!(status(&vec![b'A'; limits::HTTP_START_LINE]), 0);
    assert_eq!(status(&vec![b'A'; limits::HTTP_START_LINE + 1]), 414);

    let headers = |count: usize| with_header(&vec!["a: b"; count - 1].join("\r\n"));
    assert_eq!(status(&headers(limits::HTTP_HEADERS)), 200);
    assert_eq!(status(&headers(limits::HTTP_HEADERS + 1)), 431);

    let frame = with_header("a: ").len();
    let sized = |size: usize| with_header(&format!("a: {}", "b".repeat(size - frame)));
    assert_eq!(status(&sized(limits::HTTP_HEAD)), 200);
    assert_eq!(status(&sized(limits::HTTP_HEAD + 1)), 431);
    let endless = [b"GET / HTTP/1.1\r\n".to_vec(), b"a: b\r\n".repeat(10_000)].concat();
    assert_eq!(status(&endless), 431);
    assert_eq!(status(&endless[..limits::HTTP_HEAD - 1]), 0);
}

#[test]
fn what_the_headers_say_about_the_connection() {
    let keeps = |version: &str, lines: &str| {
        let text = format!("GET / HTTP/{version}\r\nHost: h\r\n{lines}\r\n");
        with_request(text.as_bytes(), |head| head.keep_alive)
    };
    assert!(keeps("1.1", ""));
    assert!(!keeps("1.0", ""));
    assert!(keeps("1.0", "Connection: Keep-Alive\r\n"));
    assert!(!keeps("1.1", "Connection: close\r\n"));
    assert!(!keeps("1.1", "Connection: x ,\tCLOSE\r\n"));
    assert!(!keeps("1.1", "Connection: keep-alive\r\nConnection: close\r\n"));
    assert!(!keeps("1.0", "Connection: close, keep-alive\r\n"));
    assert!(keeps("1.1", "Connection: closed\r\n"));

    let websocket = |version: &str, lines: &str| {
        let text = format!("GET / HTTP/{version}\r\nHost: h\r\n{lines}\r\n");
        with_request(text.as_bytes(), |head| head.upgrades_to_websocket())
    };
    let both = "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n";
    assert!(websocket("1.1", both));
    assert!(!websocket("1.0", both));
    assert!(!websocket("1.1", "Upgrade: websocket\r\n"));
    assert!(!websocket("1.1", "Connection: upgrade\r\nUpgrade: h2c\r\n"));
    assert!(websocket("1.1", "Connection: upgrade\r\nUpgrade: h2c, websocket\r\n"));
}

#[test]
fn where_the_body_of_a_request_ends() {
    for (lines, framing, expects) in [
        ("X: y", BodyFraming::None, false),
        ("Content-Length: 0", BodyFraming::None, false),
        ("Content-Length: 007", BodyFraming::Length(7), false),
        ("Transfer-Encoding: Chunked", BodyFraming::Chunked, false),
        ("Content-Length: 7\r\nExpect: 100-continue", BodyFraming::Length(7), true),
        ("Expect: 100-continue", BodyFraming::None, false),
    ] {
        with_request(&with_header(lines), |head| {
            assert_eq!(head.framing, framing, "{lines}");
            assert_eq!(head.expects_continue, expects, "{lines}");
        });
    }
}

#[test]
fn an_absolute_target_names_the_host() {
    let text = b"GET http://a:1/b HTTP/1.1\r\nHost: c\r\n\r\n";
    with_request(text, |head| assert_eq!(head.host, Some("a:1")));
}

#[test]
fn pipelined_requests_follow_each_other() {
    let buffer = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n";
    let (mut scan, mut rest, mut targets) = (HeadScan::default(), &buffer[..], Vec::new());
    while !rest.is_empty() {
        let mut space = HeaderSpace::new();
        match RequestHead::parse(rest, &mut scan, &mut space).unwrap() {
            Parsed::Complete { head, len } => {
                targets.push(head.raw_target.to_owned());
                rest = &rest[len..];
                assert!(scan.is_idle());
            }
            Parsed::Incomplete => panic!("incomplete"),
        }
    }
    assert_eq!(targets, ["/a", "/b"]);
}

#[test]
fn a_slow_peer_is_looked_at_once() {
    let buffer = with_header(&vec!["name: value"; 50].join("\r\n"));
    let mut scan = HeadScan::default();
    assert!(scan.is_idle());
    for end in 1..buffer.len() {
        assert_eq!(request_with(&buffer[..end], &mut scan), Ok(None));
        assert_eq!(scan.scanned, end);
        assert!(!scan.is_idle());
    }
    assert!(request_with(&buffer, &mut scan).unwrap().is_some());
    assert_eq!(scan, HeadScan::default());
}

fn response(method: Method, text: &str) -> Result<(BodyFraming, bool), HttpError> {
    let (mut scan, mut space) = (HeadScan::default(), HeaderSpace::new());
    match ResponseHead::parse(text.as_bytes(), method, &mut scan, &mut space)? {
        Parsed::Complete { head, len } => {
            assert_eq!(len, text.len());
            Ok((head.framing, head.keep_alive))
        }
        Parsed::Incomplete => panic!("{text:?} is incomplete"),
    }
}

#[test]
fn where_the_body_of_a_response_ends() {
    use BodyFraming::{Chunked, Length, None, UntilClose};
    let get = Method::Get;
    for (method, text, framing, keep_alive) in [
        (get, "1.1 200 OK\r\nContent-Length: 5", Length(5), true),
        (get, "1.1 200 OK\r\nContent-Length: 0", None, true),
        (get, "1.1 200 \r\nTransfer-Encoding: chunked", Chunked, true),
        (get, "1.1 200\r\nX: y", UntilClose, false),
        // What means something in a request only is not looked at.
        (get, "1.1 200\r\nHost: /\r\nHost: /\r\nExpect: x\r\nContent-Length: 1", Length(1), true),
        (get, "1.0 200 OK\r\nContent-Length: 5", Length(5), false),
        (get, "1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive", Length(5), true),
        (get, "1.1 200 OK\r\nContent-Length: 5\r\nConnection: close", Length(5), false),
        (Method::Head, "1.1 200 OK\r\nContent-Length: 5", None, true),
        (Method::Head, "1.1 200 OK\r\nTransfer-Encoding: chunked", None, true),
        (get, "1.1 204 No Content\r\nContent-Length: 5", None, true),
        (get, "1.1 304 Not Modified\r\nContent-Length: 5", None, true),
        (get, "1.1 100 Continue\r\nX: y", None, true),
        (get, "1.1 101 Switching Protocols\r\nUpgrade: websocket", None, false),
        (Method::Connect, "1.1 200 OK\r\nContent-Length: 5", None, false),
        (Method::Connect, "1.1 403 Forbidden\r\nContent-Length: 5", Length(5), true),
    ] {
        let got = response(method, &format!("HTTP/{text}\r\n\r\n"));
        assert_eq!(got, Ok((framing, keep_alive)), "{method} {text:?}");
    }
}

#[test]
fn malformed_responses_are_refused() {
    for text in [
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 099 X\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 200 O\rK\r\n\r\n",
        "HTTP/1.1 200 OK\n\r\n",
        "HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX : y\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\n\r\n",
        "SSH-2.0-x\r\n",
    ] {
        let error = response(Method::Get, text).unwrap_err();
        assert_eq!(error.status, StatusCode::BAD_GATEWAY, "{text:?}");
    }
}

#[test]
fn a_response_says_what_it_is() {
    let text =
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let (mut scan, mut space) = (HeadScan::default(), HeaderSpace::new());
    let parsed = ResponseHead::parse(text, Method::Get, &mut scan, &mut space).unwrap();
    let Parsed::Complete { head, .. } = parsed else {
        panic!("incomplete");
    };
    assert_eq!(head.status, StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(head.reason, "Switching Protocols");
    assert!(head.upgrades_to_websocket());
    assert!(head.headers.has_token("connection", "upgrade"));
    assert!(!head.headers.has_token("connection", "close"));
}

/// Bytes that come near to a request: fragments of good and bad ones, and noise.
fn nearly_requests() -> impl Strategy<Value = Vec<u8>> {
    let fragments = prop_oneof![
        4 => Just(&b"\r\n"[..]),
        2 => Just(&b"GET / HTTP/1.1\r\nHost: h\r\n"[..]),
        1 => Just(&b"GET /a?b HTTP/1.1"[..]),
        1 => Just(&b"POST http://h/ HTTP/1.0"[..]),
        1 => Just(&b"HTTP/1.1 200 OK"[..]),
        1 => Just(&b"Content-Length: 1"[..]),
        1 => Just(&b"Transfer-Encoding: chunked"[..]),
        1 => Just(&b"Connection: close"[..]),
        1 => Just(&b"Expect: 100-continue"[..]),
        1 => Just(&b": "[..]),
        1 => Just(&b"\n"[..]),
        1 => Just(&b"\r"[..]),
        1 => Just(&b" "[..]),
        1 => Just(&b"\0"[..]),
    ];
    let noise = proptest::collection::vec(any::<u8>(), 0..6);
    let piece = prop_oneof![9 => fragments.prop_map(<[u8]>::to_vec), 1 => noise];
    let pieced = proptest::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat());
    let byte = prop_oneof![proptest::sample::select(&b"\r\n \t\0:,0"[..]), any::<u8>()];
    let spoiled =
        (any::<proptest::sample::Index>(), byte, 0..2usize).prop_map(|(at, byte, over)| {
            let mut bytes = with_header("Connection: close\r\nContent-Length: 12\r\nX: y z");
            let at = at.index(bytes.len());
            bytes.splice(at..at + over, [byte]);
            bytes
        });
    prop_oneof![pieced, spoiled]
}

proptest! {
    #[test]
    fn a_split_changes_nothing(buffer in nearly_requests()) {
        let whole = request(&buffer);
        let mut scan = HeadScan::default();
        let mut outcome = Ok(None);
        for end in 0..=buffer.len() {
            let fresh = request(&buffer[..end]);
            outcome = request_with(&buffer[..end], &mut scan);
            prop_assert_eq!(&outcome, &fresh);
            if outcome != Ok(None) {
                break;
            }
        }
        prop_assert_eq!(outcome, whole);
    }

    #[test]
    fn random_bytes_never_panic(noise: Vec<u8>, near in nearly_requests()) {
        for buffer in [noise, near] {
            let _ = request(&buffer);
            for method in [Method::Get, Method::Head, Method::Connect] {
                let (mut scan, mut space) = (HeadScan::default(), HeaderSpace::new());
                let _ = ResponseHead::parse(&buffer, method, &mut scan, &mut space);
            }
        }
    }

    #[test]
    fn an_accepted_head_has_clean_lines(buffer in nearly_requests()) {
        if let Ok(Some(seen)) = request(&buffer) {
            let head = &buffer[..seen.len];
            prop_assert!(head.ends_with(b"\r\n\r\n"));
            prop_assert!(!head.contains(&0));
            let text = head.trim_ascii_start();
            let lines = text.split(|byte| *byte == b'\n');
            for line in lines.filter(|line| !line.is_empty()) {
                prop_assert_eq!(line.iter().position(|b| *b == b'\r'), Some(line.len() - 1));
                prop_assert!(!line.starts_with(b" ") && !line.starts_with(b"\t"));
            }
        }
    }
}
