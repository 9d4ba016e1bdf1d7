//! Nobody reads the log: the server goes on.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Instant;

use weir_tests::{PATIENCE, built};

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn connect(address: SocketAddr) -> TcpStream {
    let until = Instant::now() + PATIENCE;
    loop {
        match TcpStream::connect(address) {
            Ok(socket) => {
                socket.set_read_timeout(Some(PATIENCE)).unwrap();
                return socket;
            }
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_pipe_that_is_full_holds_no_loop() {
    let (rtmp, http) = (free(), free());
    let mut server = Command::new(built("weir"))
        .args(["serve", "--loops", "1", "--rtmp", &rtmp.to_string(), "--http", &http.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Each is a line of the log; together they are more than a pipe holds.
    for _ in 0..800 {
        let mut socket = connect(rtmp);
        socket.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let _ = socket.read(&mut [0; 16]);
    }
    let mut page = String::new();
    let mut asks = connect(http);
    asks.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let read = asks.read_to_string(&mut page);
    server.kill().unwrap();
    server.wait().unwrap();
    read.unwrap();
    assert!(page.contains("ended_bad_protocol: 800"), "{page}");
}
