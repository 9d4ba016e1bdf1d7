//! How many system calls a message costs, counted by strace.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use weir_tests::{PATIENCE, Program, built};

/// Runs `example` under strace while `exchange` talks to it; returns how often it called each.
fn count(example: &str, calls: &[&str], exchange: impl FnOnce(TcpStream)) -> Vec<usize> {
    let log = std::env::temp_dir().join(format!("weir-strace-{}-{example}", std::process::id()));
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq", "-e", &format!("trace={}", calls.join(",")), "-o"])
        .arg(&log)
        .arg(built(&format!("examples/{example}")))
        .args(["--port", "0", "--loops", "1"]);
    let program = Program::spawn(command);
    let stream = TcpStream::connect(program.address()).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    exchange(stream);
    // strace ends with the program it traces, and has then written all it saw.
    let traced = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", program.id()));
    for id in traced.unwrap().split_whitespace() {
        assert!(Command::new("kill").args(["-KILL", id]).status().unwrap().success());
    }
    program.end();
    let text = std::fs::read_to_string(&log).unwrap();
    std::fs::remove_file(&log).unwrap();
    calls
        .iter()
        .map(|call| text.lines().filter(|line| line.contains(&format!(" {call}("))).count())
        .collect()
}

const ROUNDS: usize = 500;
const CALLS: [&str; 5] = ["recvfrom", "sendto", "sendmsg", "epoll_wait", "epoll_ctl"];

fn check(counts: &[usize]) {
    let [received, sent, gathered, waits, watched] = counts[..] else { unreachable!() };
    assert_eq!(received, ROUNDS + 1, "one read per message, and one that finds the end of file");
    assert_eq!(sent + gathered, ROUNDS, "one write per message");
    assert!(waits <= ROUNDS + 10, "one wait per message, {waits}");
    assert!(watched <= 4, "a connection is watched once and never again, {watched}");
}

#[test]
fn an_echo_is_one_read_and_one_write() {
    let counts = count("echo", &CALLS, |mut stream| {
        let mut buffer = [7; 4096];
        for _ in 0..ROUNDS {
            stream.write_all(&buffer).unwrap();
            stream.read_exact(&mut buffer).unwrap();
        }
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(stream.read(&mut buffer).unwrap(), 0);
    });
    check(&counts);
}

#[test]
fn an_http_request_is_one_read_and_one_write() {
    let counts = count("http", &CALLS, |mut stream| {
        let mut buffer = [0; 342];
        for _ in 0..ROUNDS {
            let asked = b"GET /api/v1/stream/?streamname=livestream1&edgename=edge240 HTTP/1.1\r\nHost: x\r\n\r\n";
            stream.write_all(asked).unwrap();
            stream.read_exact(&mut buffer).unwrap();
        }
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(stream.read(&mut buffer).unwrap(), 0);
    });
    check(&counts);
}

#[test]
fn pipelined_messages_share_one_read_and_one_gather_write() {
    let counts = count("framed", &CALLS, |mut stream| {
        let mut wire = Vec::new();
        for _ in 0..100 {
            wire.extend([0, 0, 0, 4, 1, 2, 3, 4]);
        }
        for _ in 0..ROUNDS {
            stream.write_all(&wire).unwrap();
            stream.read_exact(&mut wire).unwrap();
        }
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(stream.read(&mut wire).unwrap(), 0);
    });
    check(&counts);
}
