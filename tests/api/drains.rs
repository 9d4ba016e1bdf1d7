//! While the server drains, who asks is told so.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use weir_tests::{PATIENCE, Server};

use crate::client::{ask, get, server_with_a_stream};

#[test]
fn who_asks_hears_that_the_server_drains() {
    let server = server_with_a_stream("[play]\nclose_after = \"60s\"\n");
    assert_eq!(ask(&server, "GET", "/readyz").text(), "ready\n");
    // More than sockets hold: the drain waits for who takes it.
    let slow = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    slow.set_recv_buffer_size(4096).unwrap();
    slow.connect(&server.http.into()).unwrap();
    let mut slow = TcpStream::from(slow);
    slow.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = "GET /api/v1/openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    slow.write_all(request.repeat(200).as_bytes()).unwrap();
    slow.read_exact(&mut [0; 12]).unwrap();

    server.program.signal("TERM");
    // The loop that serves nobody ends at once, and with it whoever is about to come in there.
    let is_draining = || {
        let mut socket = TcpStream::connect(server.http)?;
        socket
            .write_all(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        Ok::<bool, std::io::Error>(answer.starts_with("HTTP/1.1 503 "))
    };
    let until = Instant::now() + PATIENCE;
    while loops(&server) > 1 || !is_draining().is_ok_and(|is| is) {
        assert!(Instant::now() < until, "it does not drain");
    }
    let ready = ask(&server, "GET", "/readyz");
    assert_eq!((ready.status, ready.text()), (503, "draining\n".to_owned()));
    assert_eq!(ask(&server, "GET", "/healthz").status, 200);
    assert_eq!(get(&server, "/api/v1/summary")["draining"], true);
    let metrics = ask(&server, "GET", "/metrics").text();
    assert!(metrics.contains("\nweir_draining 1\n"), "{metrics}");
    // Of the loops that have ended nobody waits for an answer.
    assert_eq!(get(&server, "/api/v1/clients")["code"], 0);
    // Nobody comes to stay.
    for target in ["/live/demo.flv", "/live/demo.m3u8", "/api/v1/events"] {
        assert_eq!(ask(&server, "GET", target).status, 503, "{target}");
    }
    // Whoever keeps its connection is told to come anew.
    let mut keeps = TcpStream::connect(server.http).unwrap();
    keeps.set_read_timeout(Some(PATIENCE)).unwrap();
    keeps.write_all(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").unwrap();
    let mut answer = String::new();
    keeps.read_to_string(&mut answer).unwrap();
    assert!(answer.to_ascii_lowercase().contains("connection: close\r\n"), "{answer}");
    // Who says nothing holds nothing up.
    let _silent = TcpStream::connect(server.http).unwrap();
    drop(slow);
    server.program.wait_for("ended");
}

/// How many of the server's loops run.
fn loops(server: &Server) -> usize {
    let threads = std::fs::read_dir(format!("/proc/{}/task", server.program.id())).unwrap();
    let name = |thread: std::fs::DirEntry| std::fs::read_to_string(thread.path().join("comm")).ok();
    threads.flatten().filter_map(name).filter(|name| name.starts_with("loop-")).count()
}
