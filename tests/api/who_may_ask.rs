//! Who may ask: the token, proxies, names that point here, pages of others.

use weir_tests::Server;

use crate::client::{Answer, ask_with, post, server_with_a_stream};

const TOKEN: &str = "0123456789abcdef-secret";
const NODE: &str = r#"{"name":"e","url":"http://h","load":0,"streams":["s"]}"#;

fn get(server: &Server, target: &str, headers: &str) -> Answer {
    ask_with(server.http, "GET", target, headers)
}

#[test]
fn with_a_token_nobody_asks_without_it() {
    let config = format!("[api]\ntoken = \"{TOKEN}\"\n");
    let server = Server::start(&config, &["--demo"]);
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    for target in [
        "/api/v1/summary",
        "/api/v1/streams",
        "/api/v1/clients",
        "/api/v1/clients/0-1",
        "/api/v1/events",
        "/api/v1/config",
        "/api/v1/stream/?streamname=demo",
        "/metrics",
    ] {
        for wrong in ["", "Authorization: Bearer wrong\r\n", "Authorization: Basic eDp5\r\n"] {
            let answer = get(&server, target, wrong);
            assert_eq!(answer.status, 401, "{target} {wrong}: {}", answer.text());
            assert_eq!(answer.header("WWW-Authenticate"), Some("Bearer"), "{}", answer.head);
        }
    }
    let summary = get(&server, "/api/v1/summary", &bearer);
    assert_eq!(summary.status, 200, "{}", summary.text());
    let far = format!("{bearer}Host: any.example.org\r\nX-Forwarded-For: 192.0.2.1\r\n");
    assert_eq!(get(&server, "/api/v1/summary", &far).status, 200, "the token is enough");
    let config = get(&server, "/api/v1/config", &bearer);
    assert!(!config.text().contains(TOKEN), "{}", config.text());
    assert_eq!(config.json()["config"]["api"]["token"], "hidden");
    let kick = ask_with(server.http, "DELETE", "/api/v1/streams/live/demo", "");
    assert_eq!(kick.status, 401);
    let kick = ask_with(server.http, "DELETE", "/api/v1/streams/live/demo", &bearer);
    assert_eq!(kick.status, 200, "{}", kick.text());
    let note = post(&server, "/api/v1/nodes", "", NODE);
    assert_eq!(note.status, 401, "{}", note.text());
    let note = post(&server, "/api/v1/nodes", &bearer, NODE);
    assert_eq!(note.status, 200, "{}", note.text());
    assert_eq!(get(&server, "/api/v1/nodes", "").status, 401);
    assert_eq!(ask_with(server.http, "DELETE", "/api/v1/nodes/e", "").status, 401);
    for figures in ["/status", "/"] {
        assert_eq!(get(&server, figures, "").status, 403, "{figures}");
        assert_eq!(get(&server, figures, &bearer).status, 200, "{figures}");
        assert_eq!(get(&server, figures, "Accept: text/html\r\n").status == 200, figures == "/");
    }
    for open in ["/healthz", "/readyz", "/api/v1/openapi.json"] {
        assert_eq!(get(&server, open, "").status, 200, "{open}");
    }
}

#[test]
fn without_a_token_only_this_machine_asks_and_pages_of_others_do_not() {
    let server = server_with_a_stream("");
    for (headers, status) in [
        ("", 200),
        ("Host: localhost:8080\r\n", 200),
        ("Host: [::1]:8080\r\n", 200),
        ("Host: evil.example.org\r\n", 403),
        ("Host: 127.0.0.1.evil.example.org\r\n", 403),
        ("Host: [127.0.0.1\r\n", 400),
        ("Host: 127.0.0.1:99999\r\n", 400),
        ("Host: [::1]evil\r\n", 400),
        ("X-Forwarded-For: 127.0.0.1\r\n", 403),
        ("Forwarded: for=127.0.0.1\r\n", 403),
        ("Host: 127.0.0.1:8080\r\nOrigin: http://127.0.0.1:8080\r\n", 200),
        ("Host: 127.0.0.1:8080\r\nOrigin: http://evil.example.org\r\n", 403),
        ("Host: 127.0.0.1:8080\r\nOrigin: null\r\n", 403),
    ] {
        // What is told in text has one word for all who may not read it.
        for target in ["/status", "/"] {
            let answer = get(&server, target, headers);
            assert_eq!(answer.status == 200, status == 200, "{target} {headers}");
        }
        for target in ["/api/v1/summary", "/api/v1/stream/?streamname=demo", "/metrics"] {
            let answer = get(&server, target, headers);
            assert_eq!(answer.status, status, "{target} {headers}: {}", answer.text());
            assert!(!answer.head.contains("Access-Control"), "{}", answer.head);
        }
        if status != 200 {
            let kick = ask_with(server.http, "DELETE", "/api/v1/streams/live/demo", headers);
            assert_eq!(kick.status, status, "{headers}");
            assert_eq!(post(&server, "/api/v1/nodes", headers, NODE).status, status, "{headers}");
        }
    }
    // What a whole target names counts, whatever the Host is.
    for (target, status) in [
        ("http://evil.example.org/api/v1/summary", 403),
        ("http://127.0.0.1:8080/api/v1/summary", 200),
        ("http://127.0.0.1:99999/api/v1/summary", 400),
    ] {
        let answer = get(&server, target, "Host: 127.0.0.1\r\n");
        assert_eq!(answer.status, status, "{target}: {}", answer.text());
    }
}

#[test]
fn an_origin_that_may_ask_is_told_so() {
    let config = format!("[api]\ntoken = \"{TOKEN}\"\ncors = \"https://ops.example.org\"\n");
    let server = Server::start(&config, &[]);
    let origin = "Origin: https://ops.example.org\r\n";
    let preflight = ask_with(server.http, "OPTIONS", "/api/v1/clients/0-1", origin);
    assert_eq!(preflight.status, 204);
    let allowed = preflight.header("Access-Control-Allow-Methods");
    assert_eq!(allowed, Some("GET, HEAD, DELETE, OPTIONS"));
    let other =
        ask_with(server.http, "OPTIONS", "/api/v1/clients/0-1", "Origin: https://x.org\r\n");
    assert!(!other.head.contains("Access-Control"), "{}", other.head);
    let asked = format!("{origin}Authorization: Bearer {TOKEN}\r\n");
    let answer = get(&server, "/api/v1/summary", &asked);
    let told = answer.header("Access-Control-Allow-Origin");
    assert_eq!(told, Some("https://ops.example.org"), "{}", answer.head);
    // A page can read what went wrong, too.
    for (method, target, headers, status) in [
        ("GET", "/api/v1/summary", origin, 401),
        ("GET", "/api/v1/clients?limit=0", asked.as_str(), 400),
        ("GET", "/api/v1/stream/?streamname=none", asked.as_str(), 404),
        ("GET", "/api/v1/nothing", asked.as_str(), 404),
        ("POST", "/api/v1/streams", asked.as_str(), 405),
        ("DELETE", "/api/v1/clients/9-9", asked.as_str(), 404),
    ] {
        let answer = ask_with(server.http, method, target, headers);
        assert_eq!(answer.status, status, "{method} {target}: {}", answer.text());
        let told = answer.header("Access-Control-Allow-Origin");
        assert_eq!(told, Some("https://ops.example.org"), "{method} {target}: {}", answer.head);
    }
}

#[test]
fn readers_may_be_let_in_and_control_still_needs_the_token() {
    let config = format!("[api]\ntoken = \"{TOKEN}\"\nread_from = \"anywhere\"\n");
    let server = Server::start(&config, &[]);
    let far = "X-Forwarded-For: 192.0.2.1\r\nHost: any.example.org\r\n";
    assert_eq!(get(&server, "/api/v1/streams", far).status, 200);
    assert_eq!(ask_with(server.http, "DELETE", "/api/v1/clients/0-1", far).status, 401);
    assert_eq!(ask_with(server.http, "DELETE", "/api/v1/clients/0-1", "").status, 401);
    assert_eq!(get(&server, "/api/v1/nodes", far).status, 200);
    assert_eq!(post(&server, "/api/v1/nodes", far, NODE).status, 401);
}

#[test]
fn a_path_tells_its_own_methods() {
    let server = Server::start("", &[]);
    for (target, methods) in [
        ("/api/v1/summary", "GET, HEAD, OPTIONS"),
        ("/api/v1/stream/", "GET, HEAD, OPTIONS"),
        ("/api/v1/nodes", "GET, HEAD, POST, OPTIONS"),
        ("/api/v1/nodes/e", "GET, HEAD, DELETE, OPTIONS"),
        ("/api/v1/streams/a/b", "GET, HEAD, DELETE, OPTIONS"),
    ] {
        let answer = ask_with(server.http, "OPTIONS", target, "");
        assert_eq!((answer.status, answer.header("Allow")), (204, Some(methods)), "{target}");
    }
}
