//! Who neither publishes nor plays in time has to go, however much or little it says meanwhile.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use weir_tests::PATIENCE;

use crate::script::Script;
use crate::support::{Watched, connect, is_ended};

const CONFIG: &str = "[rtmp]\nhandshake_within = \"500ms\"\n";

/// Says one byte after another, until it is ended.
fn drip(stream: &mut TcpStream, bytes: &[u8]) {
    stream.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    let until = Instant::now() + PATIENCE;
    for byte in bytes.iter().cycle() {
        assert!(Instant::now() < until, "it may drip for ever");
        if stream.write_all(&[*byte]).is_err() {
            return;
        }
        match stream.read(&mut [0; 4096]) {
            Ok(0) => return,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
            _ => {}
        }
    }
}

#[test]
fn visitors_that_take_their_time() {
    let watched = Watched::start(CONFIG);
    let connected = Script::connected().bytes;
    let beginnings: [&[u8]; 6] =
        [b"", &[3], &connected[..1000], &connected[..1537], &connected[..3073], &connected];
    let mut silent = beginnings.map(|beginning| {
        let mut stream = connect(watched.server.rtmp);
        stream.write_all(beginning).unwrap();
        stream
    });
    drip(&mut connect(watched.server.rtmp), &Script::new().bytes);
    silent.iter_mut().map(is_ended).for_each(drop);
    for _ in 0..=beginnings.len() {
        let line = watched.server.program.wait_for("neither published nor played");
        assert!(line.contains("reason=\"idle\""), "{line}");
    }
    assert_eq!(watched.server.figure("ended_idle"), 7);
    watched.is_well();
}
