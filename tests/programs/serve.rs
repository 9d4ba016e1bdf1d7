//! `weir serve` as it is started and stopped by hand.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use weir_tests::Program;

fn start(options: &[&str]) -> Program {
    let ports = ["serve", "--rtmp", "127.0.0.1:0", "--http", "127.0.0.1:0"];
    Program::start("weir", &[&ports[..], options].concat())
}

#[test]
fn it_serves_curl_and_drains_on_sigterm() {
    let server = start(&["--loops", "2"]);
    let address = server.address_in("look at");
    for (path, word) in [("/", "weir"), ("/healthz", "ok")] {
        let output = Command::new("curl")
            .args(["-sS", "--fail", "--max-time", "5", &format!("http://{address}{path}")])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains(word), "{text}");
    }
    // A client that says nothing must not hold up the end.
    let mut silent = TcpStream::connect(address).unwrap();
    silent.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut some = [0; 15];
    silent.read_exact(&mut some).unwrap();
    server.signal("TERM");
    let mut rest = Vec::new();
    silent.read_to_end(&mut rest).unwrap();
    drop(silent);
    let (status, said) = server.end();
    assert_eq!(status.code(), Some(0), "{said:#?}");
    assert!(said.iter().any(|line| line.contains("draining")), "{said:#?}");
}

#[test]
fn a_second_signal_does_not_wait() {
    let server = start(&["--drain", "60"]);
    let address = server.address_in("look at");
    let mut busy = TcpStream::connect(address).unwrap();
    busy.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut some = [0; 15];
    busy.read_exact(&mut some).unwrap();
    server.signal("INT");
    server.wait_for("draining");
    server.signal("INT");
    let (status, said) = server.end();
    assert_eq!(status.code(), Some(0), "{said:#?}");
}
