//! A small HTTP client, and players that only read.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use network::http::{BodyDecoder, BodyEvent, BodyFraming};
use serde_json::Value;
use weir_tests::{PATIENCE, Server};

/// An answer.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// Asks with these header lines, each with its line end; a Host is added where there is none.
pub fn ask_with(http: SocketAddr, method: &str, target: &str, headers: &str) -> Answer {
    ask_all(http, method, target, headers, "")
}

/// Sends a body, with header lines as [`ask_with`].
pub fn post(server: &Server, target: &str, headers: &str, body: &str) -> Answer {
    let headers = format!("{headers}Content-Length: {}\r\n", body.len());
    ask_all(server.http, "POST", target, &headers, body)
}

fn ask_all(http: SocketAddr, method: &str, target: &str, headers: &str, body: &str) -> Answer {
    let mut socket = TcpStream::connect(http).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let host = if headers.contains("Host:") { "" } else { "Host: 127.0.0.1\r\n" };
    let head = format!("{method} {target} HTTP/1.1\r\n{host}{headers}Connection: close\r\n\r\n");
    let request = format!("{head}{body}");
    socket.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).unwrap();
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("{target}: {:?}", String::from_utf8_lossy(&bytes)));
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let is_chunked = method != "HEAD" && head.contains("Transfer-Encoding: chunked");
    let body = match is_chunked {
        true => unchunked(&bytes[end + 4..]),
        false => bytes[end + 4..].to_vec(),
    };
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body }
}

fn unchunked(bytes: &[u8]) -> Vec<u8> {
    let mut decoder = BodyDecoder::new(BodyFraming::Chunked, 1 << 30).unwrap();
    let (mut at, mut body) = (0, Vec::new());
    loop {
        let step = decoder.decode(&bytes[at..]).unwrap();
        at += step.consumed;
        match step.event {
            BodyEvent::Data(data) => body.extend_from_slice(data),
            BodyEvent::End => return body,
            BodyEvent::NeedMore => panic!("the body ends too early"),
        }
    }
}

pub fn ask(server: &Server, method: &str, target: &str) -> Answer {
    ask_with(server.http, method, target, "")
}

pub fn get(server: &Server, target: &str) -> Value {
    let answer = ask(server, "GET", target);
    assert_eq!(answer.status, 200, "{target}: {}", answer.text());
    answer.json()
}

/// Asks until the answer is as wanted.
pub fn get_until(server: &Server, target: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let until = Instant::now() + PATIENCE;
    loop {
        let answer = ask(server, "GET", target);
        if answer.status == 200 && wanted(&answer.json()) {
            return answer.json();
        }
        assert!(Instant::now() < until, "{target} says {}", answer.text());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// A server that publishes a test card, once it is listed everywhere.
pub fn server_with_a_stream(config: &str) -> Server {
    let server = Server::start(config, &["--demo"]);
    get_until(&server, "/api/v1/streams", |list| list["streams"][0]["live"] == true);
    server
}

/// Asks for the test card and reads up to its first bytes; the rest is left to the caller.
pub fn play(server: &Server) -> TcpStream {
    let mut socket = TcpStream::connect(server.http).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(b"GET /live/demo.flv HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    let mut begin = [0; 12];
    socket.read_exact(&mut begin).unwrap();
    assert_eq!(&begin, b"HTTP/1.1 200");
    socket
}

/// Plays and reads all that comes, until it ends.
pub fn play_on(server: &Server) -> std::thread::JoinHandle<()> {
    let mut socket = play(server);
    std::thread::spawn(move || {
        let mut space = vec![0; 64 * 1024];
        while socket.read(&mut space).is_ok_and(|n| n > 0) {}
    })
}
