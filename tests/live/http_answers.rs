//! What the HTTP door answers beside media: other origins, HEAD, OPTIONS, HTTP/1.0.

use std::io::{Read, Write};
use std::net::TcpStream;

use weir_tests::PATIENCE;

use crate::support::{Card, Weir};

fn ask(weir: &Weir, request: &str) -> String {
    let mut socket = TcpStream::connect(weir.http).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(socket, "{request}\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = Vec::new();
    socket.read_to_end(&mut text).unwrap();
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn head_options_and_other_origins() {
    let weir = Weir::with("[play]\nwait_for_publisher = \"100ms\"\n", &["--loops", "2"]);
    let mut publisher = weir.publish("live/s");
    publisher.pictures(&mut Card::new(320, 240), 3);
    weir.wait_count("frames_in", publisher.frames);
    let head = ask(&weir, "HEAD /live/s.flv HTTP/1.1");
    assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
    for word in ["Content-Type: video/x-flv", "Access-Control-Allow-Origin: *", "no-store"] {
        assert!(head.contains(word), "{word} in {head}");
    }
    let options = ask(&weir, "OPTIONS /live/s.flv HTTP/1.1");
    for word in ["HTTP/1.1 204", "Access-Control-Allow-Methods: GET, HEAD, OPTIONS", "Allow: "] {
        assert!(options.contains(word), "{word} in {options}");
    }
    let missing = ask(&weir, "GET /live/none.flv HTTP/1.1");
    assert!(missing.starts_with("HTTP/1.1 404") && missing.contains("live/none"), "{missing}");
    assert!(missing.contains("Access-Control-Allow-Origin: *"), "{missing}");
    let post = ask(&weir, "POST /live/s.flv HTTP/1.1\r\nContent-Length: 0");
    assert!(post.starts_with("HTTP/1.1 405"), "{post}");
}

#[test]
fn an_origin_of_the_operators_choice() {
    let weir = Weir::with("[http]\ncors = \"https://example.org\"\n", &["--loops", "1"]);
    let answer = ask(&weir, "OPTIONS /live/s.flv HTTP/1.1");
    assert!(answer.contains("Access-Control-Allow-Origin: https://example.org\r\n"), "{answer}");
    let weir = Weir::with("[http]\ncors = \"\"\n", &["--loops", "1"]);
    let answer = ask(&weir, "OPTIONS /live/s.flv HTTP/1.1");
    assert!(!answer.contains("Access-Control-Allow-Origin"), "{answer}");
}

#[test]
fn old_clients_get_a_body_that_ends_with_the_connection() {
    let weir = Weir::with("[publish]\ngrace = \"0s\"\n", &["--loops", "1"]);
    let mut publisher = weir.publish("live/s");
    publisher.pictures(&mut Card::new(320, 240), 3);
    weir.wait_count("frames_in", publisher.frames);
    let mut socket = TcpStream::connect(weir.http).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(b"GET /live/s.flv HTTP/1.0\r\n\r\n").unwrap();
    weir.program.wait_for("play ");
    drop(publisher);
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).unwrap();
    let body = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    assert!(bytes[body..].starts_with(b"FLV\x01\x05"), "{:?}", &bytes[body..body + 9]);
    let head = String::from_utf8_lossy(&bytes[..body]).into_owned();
    assert!(!head.contains("chunked"), "{head}");
}
