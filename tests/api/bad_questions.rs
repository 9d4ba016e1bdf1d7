//! Questions that make no sense, and clients that do not wait for the answer: a clear error, and the
//! server goes on.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use weir_tests::PATIENCE;

use crate::client::{ask, get, get_until, play_on, server_with_a_stream};

#[test]
fn each_is_told_what_is_wrong() {
    let server = server_with_a_stream("");
    for (target, field) in [
        ("/api/v1/clients?limit=0", "limit"),
        ("/api/v1/clients?limit=10001", "limit"),
        ("/api/v1/clients?limit=-1", "limit"),
        ("/api/v1/clients?limit=1e3", "limit"),
        ("/api/v1/clients?limit=99999999999999999999", "limit"),
        ("/api/v1/clients?limit=", "limit"),
        ("/api/v1/clients?count=x", "count"),
        ("/api/v1/clients?limit=2&count=1", "count"),
        ("/api/v1/clients?start=10001", "start"),
        ("/api/v1/clients?start=1&cursor=0-1", "start"),
        ("/api/v1/clients?cursor=live/demo", "cursor"),
        ("/api/v1/streams?cursor=..", "cursor"),
        ("/api/v1/clients?address=localhost", "address"),
        ("/api/v1/clients?protocol=nonsense", "protocol"),
        ("/api/v1/streams?protocol=", "protocol"),
        ("/api/v1/streams?name=%0d%0aX", "name"),
        ("/api/v1/streams?name=a/b", "name"),
        ("/api/v1/streams?app=..", "app"),
        ("/api/v1/streams?app=a/", "app"),
        ("/api/v1/clients?bananas", "bananas"),
        ("/api/v1/clients?name=%zz", "name"),
        ("/api/v1/clients?pretty=2", "pretty"),
        ("/api/v1/summary?limit=1", "limit"),
        ("/api/v1/clients/0", "client"),
        ("/api/v1/clients/0-1-2", "client"),
        ("/api/v1/clients/..%2f..", "client"),
        ("/api/v1/streams/a%2Fb", "stream"),
        ("/api/v1/streams/a%5Cb", "stream"),
        ("/api/v1/streams/a/%2e%2e/b", "stream"),
        ("/api/v1/streams/a%0d%0ab", "stream"),
        ("/api/v1/streams/a//b", "stream"),
    ] {
        let answer = ask(&server, "GET", target);
        assert_eq!(answer.status, 400, "{target}: {}", answer.text());
        let error = answer.json();
        assert_eq!(
            (&error["code"], &error["field"]),
            (&400.into(), &field.into()),
            "{target}: {error}"
        );
    }
    let slash = ask(&server, "GET", "/api/v1/streams/live%2Fdemo").json();
    let told = slash["message"].as_str().unwrap();
    assert!(told.contains("APP/NAME"), "{told}");
    let long = format!("/api/v1/clients?name={}", "x".repeat(600));
    assert_eq!(ask(&server, "GET", &long).json()["field"], "name");
    for byte in 1..=255_u8 {
        let target = format!("/api/v1/streams/live/x%{byte:02x}");
        let answer = ask(&server, "GET", &target);
        let good = byte.is_ascii_alphanumeric() || b"-_.~@+=,:!".contains(&byte) || byte == b'/';
        let expected = if good && byte != b'/' { 404 } else { 400 };
        assert_eq!(answer.status, expected, "{target}: {}", answer.text());
        assert_eq!(answer.json()["field"], "stream", "{target}");
    }
    for (method, target, status) in [
        ("GET", "/api/v1/nothing", 404),
        ("GET", "/api/v2/streams", 404),
        ("POST", "/api/v1/streams", 405),
        ("DELETE", "/api/v1/summary", 405),
        ("PUT", "/metrics", 405),
        ("BREW", "/api/v1/summary", 501),
        ("GET", "ftp://h/api/v1/summary", 400),
    ] {
        let answer = ask(&server, method, target);
        assert_eq!(answer.status, status, "{method} {target}");
        assert_eq!(answer.json()["code"], status, "{method} {target}");
        assert_eq!(answer.header("Cache-Control"), Some("no-store"), "{}", answer.head);
        assert_eq!(answer.header("X-Content-Type-Options"), Some("nosniff"), "{}", answer.head);
    }
    let refused = ask(&server, "GET", "/metrics").text();
    let line = refused.lines().find(|l| l.starts_with("weir_api_refused_total{reason=\"bad_r"));
    let count: f64 = line.unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    assert!(count >= 24.0, "{count}");
}

#[test]
fn who_hangs_up_leaves_nothing_behind() {
    let server = server_with_a_stream("");
    let players: Vec<_> = (0..200).map(|_| play_on(&server)).collect();
    get_until(&server, "/api/v1/clients?limit=1", |list| list["total"] == 201);
    let before = get(&server, "/api/v1/summary")["connections"].as_u64().unwrap();
    let ask_for = |target: &str| {
        let mut socket = TcpStream::connect(server.http).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(socket, "GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").unwrap();
        socket
    };
    for round in 0..600 {
        let mut socket = ask_for(match round % 3 {
            0 => "/api/v1/clients?pretty",
            1 => "/api/v1/events",
            _ => "/metrics",
        });
        match round % 4 {
            // At once, with the answer under way.
            0 => drop(socket),
            1 => socket.shutdown(Shutdown::Write).unwrap(),
            _ => {
                let mut some = [0; 100];
                socket.read_exact(&mut some).unwrap();
            }
        }
    }
    let after = get_until(&server, "/api/v1/summary", |summary| {
        summary["connections"].as_u64() <= Some(before + 1)
    });
    assert_eq!(after["players"], 200);
    assert_eq!(get(&server, "/api/v1/clients?limit=1")["total"], 201);
    // A list in several pieces is whole.
    let all = get(&server, "/api/v1/clients?pretty");
    assert_eq!(all["clients"].as_array().unwrap().len(), 201);
    drop(server);
    players.into_iter().for_each(|player| player.join().unwrap());
}

#[test]
fn questions_in_a_row_are_answered_in_their_order() {
    let server = server_with_a_stream("");
    let mut socket = TcpStream::connect(server.http).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut requests = String::new();
    for target in ["clients", "streams", "stream/?streamname=demo", "clients/9-9", "versions"] {
        requests += &format!("GET /api/v1/{target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    }
    requests += "GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    socket.write_all(requests.as_bytes()).unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    let places: Vec<usize> =
        ["\"clients\":[", "\"streams\":[", "\"edge\"", "404 Not Found", "\"major\"", "ok\n"]
            .iter()
            .map(|words| text.find(words).unwrap_or_else(|| panic!("{words} in {text}")))
            .collect();
    assert!(places.is_sorted(), "{places:?} in {text}");
}
