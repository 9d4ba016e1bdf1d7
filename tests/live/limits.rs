//! As many connections and streams as there may be, and not one more.

use std::io::Read;
use std::net::TcpStream;

use media::protocol::rtmp::status::code;
use weir_tests::PATIENCE;

use crate::support::{Card, Weir};

#[test]
fn one_connection_too_many_is_told_so() {
    let weir = Weir::with("[limits]\nconnections = 6\n", &["--loops", "1"]);
    let _held: Vec<TcpStream> = (0..6).map(|_| TcpStream::connect(weir.http).unwrap()).collect();
    let mut more = TcpStream::connect(weir.http).unwrap();
    more.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut text = String::new();
    more.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 503"), "{text}");
}

#[test]
fn one_stream_too_many_is_refused() {
    let weir = Weir::with("[limits]\nstreams = 2\n", &["--loops", "1"]);
    let mut first = weir.publish("live/one");
    first.pictures(&mut Card::new(320, 240), 1);
    let _second = weir.publish("live/two");
    let (code, words) = weir.try_publish("live/three").err().unwrap();
    assert_eq!(code, code::PUBLISH_DENIED);
    assert!(words.contains("limits.streams"), "{words}");
}
