//! Bytes in a head that could end up in an answer: they stay what they are, or are refused.

use weir_tests::Server;

use crate::client::ask_with;

#[test]
fn a_host_is_told_as_a_text_or_refused() {
    // Who asks from anywhere may name any host.
    let server = Server::start(
        "[api]\ntoken = \"0123456789abcdef0123\"\nread_from = \"anywhere\"\n",
        &["--demo"],
    );
    let target = "/api/v1/stream/?streamname=demo";
    let long = "x".repeat(5000);
    for host in [
        "a\"b", "a\\b", "a b", "<script>", "a,b", "a\tb", "\u{e9}", "a:99999", "[::1", "a\rb",
        "a\0b", "a/../b", &long,
    ] {
        let answer = ask_with(server.http, "GET", target, &format!("Host: {host}\r\n"));
        if answer.status == 200 {
            assert_eq!(answer.json()["edge"]["url"], format!("http://{host}"));
        } else {
            assert!([400, 431].contains(&answer.status), "{host:?}: {}", answer.head);
        }
        assert!(!answer.head.contains(host), "{host:?}: {}", answer.head);
    }
}

#[test]
fn nothing_that_was_asked_becomes_a_header() {
    let config = "[api]\ncors = \"https://ops.example.org\"\n";
    let server = Server::start(config, &[]);
    let mark = "X-Injected";
    for (target, headers) in [
        ("/api/v1/streams/live/a%0d%0aX-Injected:%201", ""),
        ("/api/v1/streams?name=a%0d%0aX-Injected:%201", ""),
        ("/api/v1/stream/?streamname=a%0d%0aX-Injected:%201", ""),
        ("/api/v1/stream/?streamname=a&X-Injected:%0d%0a=1", ""),
        ("/api/v1/clients/0-1%0d%0aX-Injected:%201", ""),
        ("/api/v1/events?last_event_id=1%0d%0aX-Injected:%201", ""),
        ("/api/v1/summary", "Origin: https://ops.example.org\rX-Injected: 1\r\n"),
        ("/api/v1/summary", "Origin: https://X-Injected.example.org\r\n"),
    ] {
        let answer = ask_with(server.http, "GET", target, headers);
        assert!(!answer.head.contains(mark), "{target} {headers:?}: {}", answer.head);
        assert!((200..500).contains(&answer.status), "{target}: {}", answer.head);
    }
    // Answered with events without an end; the head is enough.
    let headers = "Last-Event-ID: X-Injected\r\n";
    let answer = ask_with(server.http, "HEAD", "/api/v1/events", headers);
    assert!(answer.status == 200 && !answer.head.contains(mark), "{}", answer.head);
}
