//! A flush costs one system call per player, counted by strace.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use weir_tests::{PATIENCE, Program, built};

const PLAYERS: usize = 10;
/// What each reads: two seconds of the test card and more.
const BYTES: usize = 1_000_000;

#[test]
fn per_player() {
    let log = std::env::temp_dir().join(format!("weir-flush-{}", std::process::id()));
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq", "-e", "trace=sendfile,sendto,sendmsg,writev,write", "-o"])
        .arg(&log)
        .arg(built("weir"))
        .args([
            "serve",
            "--rtmp",
            "127.0.0.1:0",
            "--http",
            "127.0.0.1:0",
            "--loops",
            "1",
            "--demo",
        ]);
    let program = Program::spawn(command);
    let http = program.address_in("look at");
    let connect = || {
        let socket = TcpStream::connect(http).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    };
    let mut players: Vec<TcpStream> = (0..PLAYERS).map(|_| connect()).collect();
    for player in &mut players {
        player.write_all(b"GET /live/demo.flv HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    }
    let readers: Vec<_> = players
        .into_iter()
        .map(|mut player| {
            std::thread::spawn(move || {
                player.read_exact(&mut vec![0; BYTES]).unwrap();
                player
            })
        })
        .collect();
    let players: Vec<TcpStream> = readers.into_iter().map(|r| r.join().unwrap()).collect();
    let mut page = String::new();
    let mut asks = connect();
    asks.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    asks.read_to_string(&mut page).unwrap();
    drop(players);
    let traced = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", program.id()));
    for id in traced.unwrap().split_whitespace() {
        assert!(Command::new("kill").args(["-TERM", id]).status().unwrap().success());
    }
    program.end();
    let text = std::fs::read_to_string(&log).unwrap();
    std::fs::remove_file(&log).unwrap();

    let flushes = page.lines().find_map(|line| line.strip_prefix("flushes: ")).unwrap();
    let flushes: usize = flushes.parse().unwrap();
    assert!(flushes > 30, "{page}");
    let files = text.lines().filter(|line| line.contains(" sendfile(")).count();
    // A joining player's first slice goes beside the flushes; a socket that is full is asked twice;
    // what was flushed after the page was made is the rest.
    assert!(files <= (flushes + 40) * PLAYERS, "{files} calls for {flushes} flushes");
    let others = text.lines().filter(|line| {
        line.contains(" sendto(") || line.contains(" sendmsg(") || line.contains(" writev(")
    });
    let others = others.count();
    assert!(others <= 3 * PLAYERS + 10, "{others} further calls: heads and ends");
}
