//! Events as they happen; what was missed; readers that do not read.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::LazyLock;

use serde_json::Value;
use weir_tests::{PATIENCE, Server};

use crate::client::{ask, get, get_until, play, server_with_a_stream};
use crate::described::unlike;

/// The schema of an event.
static DESCRIBED: LazyLock<Value> = LazyLock::new(|| {
    let all = include_str!("../../live/src/api/openapi.json");
    let all: Value = serde_json::from_str(all).unwrap();
    all["components"]["schemas"]["Event"].clone()
});

/// Each event of them has to be as the API describes events.
pub struct Events(BufReader<TcpStream>);

impl Events {
    pub fn open(server: &Server, header: &str) -> Self {
        let mut socket = TcpStream::connect(server.http).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!("GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n{header}\r\n");
        socket.write_all(head.as_bytes()).unwrap();
        let mut events = Self(BufReader::new(socket));
        assert!(events.line().starts_with("HTTP/1.1 200"));
        while events.line() != "retry: 2000" {}
        events
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.0.read_line(&mut line).unwrap() > 0, "the stream has ended");
        line.trim_end().to_owned()
    }

    /// The next event of this kind.
    pub fn next(&mut self, kind: &str) -> Value {
        loop {
            let line = self.line();
            let Some(data) = line.strip_prefix("data: ") else { continue };
            // Others are passed over unread: whoever is slower than the server is closed.
            if !data.contains(&format!("\"event\":\"{kind}\"")) {
                continue;
            }
            let event: Value = serde_json::from_str(data).unwrap();
            let wrong = unlike(&DESCRIBED, &event);
            assert!(wrong.is_empty(), "{wrong:?} in {event}");
            if event["event"] == kind {
                return event;
            }
        }
    }
}

#[test]
fn who_comes_and_goes_is_told_and_told_again_to_who_comes_back() {
    let server = server_with_a_stream("");
    // Both loops have a reader, most likely.
    let mut readers: Vec<_> = (0..4).map(|_| Events::open(&server, "")).collect();
    let player = play(&server);
    let address = player.local_addr().unwrap().to_string();
    for reader in &mut readers {
        let event = reader.next("play");
        assert_eq!(
            (&event["stream"], &event["protocol"]),
            (&"live/demo".into(), &"http-flv".into())
        );
        assert_eq!(event["address"], *address);
    }
    drop(player);
    let stop = readers[0].next("stop");
    assert!(stop["reason"] == "peer_left" || stop["reason"] == "connection_lost", "{stop}");
    assert!(stop["bytes"].as_u64() > Some(0), "{stop}");
    let kicked = ask(&server, "DELETE", "/api/v1/streams/live/demo");
    assert_eq!(kicked.status, 200);
    let last = readers[0].next("unpublish");
    assert_eq!(last["reason"], "kicked");
    let id = stop["id"].as_str().unwrap();
    let mut back = Events::open(&server, &format!("Last-Event-ID: {id}\r\n"));
    assert_eq!(back.next("unpublish"), last, "and nothing before it");
    let mut other_run = Events::open(&server, "Last-Event-ID: 1-999\r\n");
    assert_eq!(other_run.next("stop"), stop);
    // What another server said is as good as nothing.
    let mut elsewhere = Events::open(&server, "Last-Event-ID: foo\r\n");
    assert_eq!(elsewhere.next("stop"), stop);
    let nonsense = ask(&server, "GET", "/api/v1/events?last_event_id=x");
    assert_eq!((nonsense.status, &nonsense.json()["field"]), (400, &"last_event_id".into()));
}

#[test]
fn a_reload_is_told() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = std::env::temp_dir().join(format!("weir-api-{}.pem", std::process::id()));
    std::fs::write(&file, made.cert.pem() + &made.signing_key.serialize_pem()).unwrap();
    let path = file.to_str().unwrap();
    let server =
        Server::start(&format!("[tls]\ncertificate = \"{path}\"\nkey = \"{path}\"\n"), &[]);
    let mut events = Events::open(&server, "");
    server.program.signal("HUP");
    let done = events.next("reload");
    assert_eq!((&done["what"], &done["reason"]), (&"certificate".into(), &"done".into()));
    assert!(done["detail"].is_null(), "{done}");
    std::fs::remove_file(&file).unwrap();
    server.program.signal("HUP");
    let failed = events.next("reload");
    assert_eq!(failed["reason"], "failed");
    assert!(failed["detail"].as_str().unwrap().contains(path), "{failed}");
    // Where there is none, who asked for it hears that.
    let server = Server::start("", &[]);
    let mut events = Events::open(&server, "");
    server.program.signal("HUP");
    assert_eq!(events.next("reload")["reason"], "nothing");
}

#[test]
fn there_is_room_for_a_bounded_number_of_readers() {
    network::raise_open_files().unwrap();
    let server = Server::start("", &[]);
    let before = held(&server);
    let most = 2 * live::limits::EVENT_READERS;
    let ask_for = "GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    // Ten thousand, or what this process may open; in any case more than there is room for.
    let all = (descriptors().saturating_sub(200)).clamp(most + 20, 10_000);
    let readers: Vec<_> = (0..all)
        .map(|_| {
            let mut socket = TcpStream::connect(server.http).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket.write_all(ask_for.as_bytes()).unwrap();
            socket
        })
        .collect();
    let mut refused = 0;
    let words = format!("{} read events on this loop already", live::limits::EVENT_READERS);
    for reader in &readers {
        let mut reader = BufReader::new(reader);
        let answer = String::from_utf8_lossy(reader.fill_buf().unwrap());
        if answer.starts_with("HTTP/1.1 503") {
            assert!(answer.contains(&words) && answer.contains("Retry-After: 30\r\n"), "{answer}");
            refused += 1;
        }
    }
    assert!((all - most..all).contains(&refused), "{refused} of {all}");
    // All others are served.
    assert_eq!(ask(&server, "GET", "/api/v1/clients").status, 200);
    let told = ask(&server, "GET", "/metrics").text();
    let counted = format!("weir_api_refused_total{{reason=\"busy\"}} {refused}\n");
    assert!(told.contains(&counted), "{refused}: {told}");
    drop(readers);
    // Their places are free again.
    get_until(&server, "/api/v1/summary", |summary| summary["connections"].as_u64() < Some(5));
    Events::open(&server, "");
    let after = held(&server);
    assert!(after.0 < before.0 + 10, "{before:?} descriptors and bytes, then {after:?}");
    assert!(after.1 < before.1 + (32 << 20), "{before:?} descriptors and bytes, then {after:?}");
}

/// Descriptors of the server, and bytes of its memory.
fn held(server: &Server) -> (usize, u64) {
    let resident = get(server, "/api/v1/summary")["memory"]["resident_bytes"].as_u64().unwrap();
    let open = std::fs::read_dir(format!("/proc/{}/fd", server.program.id())).unwrap().count();
    (open, resident)
}

/// How many files this process may open.
fn descriptors() -> usize {
    let text = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = text.lines().find(|line| line.starts_with("Max open files")).unwrap();
    line.split_whitespace().nth(3).unwrap().parse().unwrap_or(usize::MAX)
}

#[test]
fn who_does_not_read_is_closed_and_counted_and_others_go_on() {
    let server = server_with_a_stream("");
    let mut good = Events::open(&server, "");
    let mut lazy = lazy_reader(&server, "");
    let reading = std::thread::spawn(move || {
        good.next("unpublish");
    });
    let until = std::time::Instant::now() + 3 * PATIENCE;
    while !ask(&server, "GET", "/metrics").text().contains("reason=\"slow_reader\"} 1\n") {
        assert!(std::time::Instant::now() < until, "it is not closed");
        (0..200).for_each(|_| drop(play(&server)));
    }
    // It was not sent more than a bound and what sockets hold.
    let mut all = Vec::new();
    let _ = std::io::Read::read_to_end(&mut lazy, &mut all);
    assert!(all.len() < 8 << 20, "{} bytes", all.len());
    assert_eq!(ask(&server, "DELETE", "/api/v1/streams/live/demo").status, 200);
    reading.join().unwrap();
}

/// Asks for events and does not read them.
fn lazy_reader(server: &Server, header: &str) -> TcpStream {
    let lazy = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    lazy.set_recv_buffer_size(4096).unwrap();
    lazy.connect(&server.http.into()).unwrap();
    let mut lazy = TcpStream::from(lazy);
    lazy.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(lazy, "GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n{header}\r\n").unwrap();
    lazy
}

#[test]
fn who_is_a_little_behind_and_takes_nothing_is_closed_too() {
    let server = server_with_a_stream("[play]\nclose_after = \"10m\"\n");
    (0..200).for_each(|_| drop(play(&server)));
    let mut good = Events::open(&server, "Last-Event-ID: 1-1\r\n");
    (0..200).for_each(|_| drop(good.next("stop")));
    // All that is kept: more than its socket takes, and less than the bound.
    let _lazy = lazy_reader(&server, "Last-Event-ID: 1-1\r\n");
    let until = std::time::Instant::now() + 3 * PATIENCE;
    while !ask(&server, "GET", "/metrics").text().contains("reason=\"slow_reader\"} 1\n") {
        assert!(std::time::Instant::now() < until, "it is not closed");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    // Who reads is still told.
    drop(play(&server));
    good.next("stop");
}
