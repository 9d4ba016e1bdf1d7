//! Clients that stop half-way: what they were going to get is given back.

use std::io::{Read, Write};
use std::net::TcpStream;

use weir_tests::{PATIENCE, Server};

use crate::client::{ask, get, get_until, play_on, server_with_a_stream};

const PLAYERS: usize = 300;

fn descriptors(server: &Server) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", server.program.id())).unwrap().count()
}

#[test]
fn half_a_list_leaves_nothing_behind() {
    let server = server_with_a_stream("");
    let players: Vec<_> = (0..PLAYERS).map(|_| play_on(&server)).collect();
    get_until(&server, "/api/v1/clients?limit=1", |list| list["total"] == PLAYERS + 1);
    let resident = || get(&server, "/api/v1/summary")["memory"]["resident_bytes"].as_u64().unwrap();
    let round = || {
        // As many as may be under way, each with an answer of several hundred kilobytes.
        let halves: Vec<_> = (0..live::limits::GATHERINGS)
            .map(|_| {
                let mut socket = TcpStream::connect(server.http).unwrap();
                socket.set_read_timeout(Some(PATIENCE)).unwrap();
                let target = "/api/v1/clients?pretty";
                write!(socket, "GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").unwrap();
                let mut some = [0; 12];
                socket.read_exact(&mut some).unwrap();
                socket
            })
            .collect();
        drop(halves);
        // A place for each of them is free again.
        get_until(&server, "/api/v1/summary", |summary| {
            summary["connections"].as_u64() <= Some(PLAYERS as u64 + 1)
        });
        assert_eq!(ask(&server, "GET", "/api/v1/clients").status, 200);
    };
    (0..5).for_each(|_| round());
    let (open, before) = (descriptors(&server), resident());
    (0..20).for_each(|_| round());
    let (still, after) = (descriptors(&server), resident());
    assert!(still <= open + 2, "{open} descriptors, then {still}");
    assert!(after < before + (16 << 20), "{before} bytes, then {after}");
    drop(server);
    players.into_iter().for_each(|player| player.join().unwrap());
}
