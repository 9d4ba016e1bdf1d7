//! `weir bench http`, `idle` and `held` against servers that go, refuse, or talk nonsense.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use weir_tests::{PATIENCE, Program};

use crate::bench::{peer, report, server, weir};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// Answers one request after the other as long as `go_on` says so.
fn answer(mut client: TcpStream, go_on: impl Fn() -> bool) {
    while matches!(client.read(&mut [0; 1000]), Ok(1..)) && go_on() {
        let _ = client.write_all(ANSWER);
    }
}

/// A window of two seconds in which 100 requests a second are due, on two connections.
fn two_hundred_requests(url: &str) -> (Option<i32>, Value) {
    let args = ["bench", "http", url, "--connections", "2", "--rate", "100", "--settle", "0"];
    let output = weir(&[&args[..], &["--hold", "2s", "--json", "-"]].concat());
    (output.status.code(), report(&output)["result"].clone())
}

#[test]
fn what_was_due_after_the_server_went_is_counted() {
    static ANSWERED: AtomicU64 = AtomicU64::new(0);
    let goes = peer(|client| answer(client, || ANSWERED.fetch_add(1, Ordering::SeqCst) < 50));
    let (code, result) = two_hundred_requests(&format!("http://{goes}/"));
    assert_eq!(code, Some(3), "{result:#}");
    assert_eq!((&result["answers"], &result["unanswered"]), (&50.into(), &150.into()));
    assert_eq!(result["latency_ms"]["count"], 200, "{result:#}");
    // Those of a second and a half, three quarters of all, wait until two seconds behind the end.
    assert!(result["latency_ms"]["p50"].as_f64().unwrap() > 1000.0, "{result:#}");
    assert!(result["service_ms"]["count"] == 50 && result["broken"].as_u64() >= Some(2));
}

#[test]
fn a_server_that_closes_or_sends_garbage_answers_nothing() {
    let closes = peer(|mut client| {
        let _ = client.read(&mut [0; 1000]);
    });
    let garbage = peer(|mut client| {
        let _ = client.read(&mut [0; 1000]);
        let _ = client.write_all(&[0xa5; 5000]);
    });
    for (address, why) in [(closes, "closed by the peer"), (garbage, "the server's HTTP")] {
        let (code, result) = two_hundred_requests(&format!("http://{address}/"));
        assert_eq!(code, Some(1), "{result:#}");
        assert_eq!((&result["answers"], &result["unanswered"]), (&0.into(), &200.into()));
        assert!(result["latency_ms"]["p50"].as_f64().unwrap() > 500.0, "{result:#}");
        assert!(result["reasons"].to_string().contains(why), "{result:#}");
    }
}

#[test]
fn requests_that_are_interrupted_are_told() {
    static ANSWERED: AtomicU64 = AtomicU64::new(0);
    let works = peer(|client| {
        answer(client, || {
            ANSWERED.fetch_add(1, Ordering::SeqCst);
            true
        });
    });
    let url = format!("http://{works}/");
    let args = ["bench", "http", &url, "--connections", "2", "--rate", "200", "--threads", "2"];
    let bench = Program::start("weir", &[&args[..], &["--settle", "0", "--hold", "5m"]].concat());
    let until = Instant::now() + PATIENCE;
    while ANSWERED.load(Ordering::SeqCst) < 100 {
        assert!(Instant::now() < until, "it asks nothing");
        std::thread::sleep(Duration::from_millis(10));
    }
    bench.signal("INT");
    let (status, said) = bench.end();
    assert_eq!(status.code(), Some(130), "{said:#?}");
    let answers = said.iter().find_map(|line| line.strip_prefix("answers     ")).unwrap();
    let answers: u64 = answers.split(',').next().unwrap().parse().unwrap();
    assert!(answers >= 99, "{said:#?}");
    assert!(said.iter().any(|line| line.contains("cut short (interrupted)")), "{said:#?}");
    assert!(!said.iter().any(|line| line.contains("unanswered")), "{said:#?}");
}

/// With nothing but what the documentation says: servers close who is silent for long.
#[test]
fn silent_connections_are_measured_by_default_while_the_server_keeps_them() {
    let (server, rtmp, http) = server();
    let pid = server.id().to_string();
    for url in [format!("rtmp://{rtmp}"), format!("http://{http}/healthz")] {
        let mut args = vec!["bench", "idle", &url, "--connections", "50", "--pid", &pid];
        args.extend(["--json", "-"]);
        args.extend(url.starts_with("http").then_some("--hold=1s"));
        let output = weir(&args);
        let idle = report(&output)["result"].clone();
        assert_eq!(output.status.code(), Some(0), "{idle:#}");
        assert_eq!((&idle["open"], &idle["failed"]), (&50.into(), &0.into()));
        assert!(idle["memory_per_connection_bytes"].is_number(), "{idle:#}");
    }
}

#[test]
fn idle_connections_that_are_refused_or_closed_are_told() {
    let missing = peer(|mut client| {
        let _ = client.read(&mut [0; 1000]);
        let _ = client.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        let _ = client.read(&mut [0; 1000]);
    });
    let garbage = peer(|mut client| {
        let _ = client.write_all(&[0xa5; 5000]);
        let _ = client.read(&mut [0; 1000]);
    });
    let closes = peer(|mut client| {
        let _ = client.read(&mut [0; 1000]);
        let _ = client.write_all(ANSWER);
        std::thread::sleep(Duration::from_secs(3));
    });
    for (address, scheme, code, why) in [
        (missing, "http", 1, "the server answers 404"),
        (garbage, "http", 1, "the server's HTTP"),
        (garbage, "rtmp", 1, "the server speaks first"),
        (closes, "http", 0, "closed by the peer after "),
    ] {
        let url = format!("{scheme}://{address}");
        let args = ["bench", "idle", &url, "--connections", "3", "--hold", "5s", "--json", "-"];
        let output = weir(&args);
        let idle = report(&output)["result"].clone();
        assert_eq!(output.status.code(), Some(code), "{idle:#}");
        let (failed, closed) = if code == 1 { (3, 0) } else { (0, 3) };
        assert_eq!((&idle["failed"], &idle["closed_by_server"]), (&failed.into(), &closed.into()));
        assert!(idle["reasons"].to_string().contains(why), "{idle:#}");
    }
}
