//! The lookup of a stream that is live at another node.

use serde_json::Value;
use weir_tests::Server;

use crate::client::{ask, get, get_until, post, server_with_a_stream};

fn note(server: &Server, body: &str) {
    let answer = post(server, "/api/v1/nodes", "", body);
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn lookup(query: &str) -> String {
    format!("/api/v1/stream/?streamname={query}")
}

#[test]
fn it_is_found_at_the_asked_node_or_at_the_one_with_the_least_load() {
    let server = server_with_a_stream("[api]\nnode = \"origin\"\n");
    note(&server, r#"{"name":"Edge1","url":"http://e1:81/","load":0.5,"streams":["live/a"]}"#);
    note(&server, r#"{"name":"edge2","url":"https://e2","load":0.2,"streams":["a","x/y/b"]}"#);
    note(&server, r#"{"name":"edge3","url":"http://e3","load":0,"streams":[]}"#);
    // Other loops hear it a moment later.
    for _ in 0..8 {
        get_until(&server, "/api/v1/nodes", |list| list["total"] == 3);
    }
    let found = get_until(&server, &lookup("a&edgename=eDGE1"), |found| found["code"] == 0);
    let expected = serde_json::json!({
        "code": 0,
        "stream": {
            "app": "live", "name": "a", "live": true, "since": null, "video": null,
            "audio": null, "kbps": null,
        },
        "viewers": null,
        "edge": { "name": "Edge1", "self": false, "url": "http://e1:81", "load": 0.5 },
    });
    assert_eq!(found, expected);
    for (query, edge) in [
        ("a", "edge2"),
        ("live/a&edgename=edge2", "edge2"),
        ("a&edgename=edge3", "edge2"),
        ("a&edgename=origin", "edge2"),
        ("a&edgename=nobody", "edge2"),
        ("x/y/b&edgename=edge1", "edge2"),
        ("a&edgename=edge1&pretty", "Edge1"),
    ] {
        let found = get_until(&server, &lookup(query), |found| found["code"] == 0);
        assert_eq!(found["edge"]["name"], edge, "{query}: {found}");
    }
    assert_eq!(ask(&server, "GET", &lookup("c&edgename=edge1")).status, 404);
}

#[test]
fn one_that_is_here_stays_here_and_the_asked_edge_is_told_of() {
    let server = server_with_a_stream("[api]\nnode = \"origin\"\n");
    let at_edge = lookup("demo&edgename=edge1");
    // Kept as it was answered, on each loop.
    for _ in 0..16 {
        let before = get(&server, &at_edge);
        assert_eq!((&before["edge"]["url"], &before["edge"]["self"]), (&().into(), &false.into()));
        assert_eq!(get(&server, &lookup("demo"))["edge"]["self"], true);
    }
    note(&server, r#"{"name":"edge1","url":"http://e1","load":0.5,"streams":["demo"]}"#);
    get_until(&server, &at_edge, |found| found["edge"]["url"] == "http://e1");
    for _ in 0..16 {
        let found = get_until(&server, &at_edge, |found| !found["edge"]["url"].is_null());
        assert_eq!(
            (&found["edge"]["load"], &found["edge"]["name"]),
            (&0.5.into(), &"edge1".into())
        );
        assert!(found["stream"]["since"].is_u64(), "{found}");
        assert_eq!(get(&server, &lookup("demo"))["edge"]["name"], "origin");
    }
}

/// Ends the test card's publisher, as often as it comes back, until a lookup is as wanted.
fn away_until(server: &Server, query: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let until = std::time::Instant::now() + weir_tests::PATIENCE;
    loop {
        let ended = ask(server, "DELETE", "/api/v1/streams/live/demo").status;
        assert!(ended == 200 || ended == 404, "{ended}");
        let found = get(server, &lookup(query));
        if wanted(&found) {
            return found;
        }
        assert!(std::time::Instant::now() < until, "{query}: {found}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn one_whose_publisher_is_away_is_found_where_it_went() {
    let server = server_with_a_stream("[publish]\ngrace = \"50s\"\n");
    // Kept as it was answered, on each loop.
    for _ in 0..16 {
        let found = away_until(&server, "demo", |found| {
            found["stream"]["live"] == false && found["stream"]["since"].is_null()
        });
        assert_eq!(found["edge"]["self"], true, "nobody else has it: {found}");
        assert_eq!(found["stream"]["kbps"], 0, "{found}");
    }
    note(&server, r#"{"name":"edge1","url":"http://e1","load":0.5,"streams":["demo"]}"#);
    for query in ["demo", "live/demo", "demo&edgename=edge1", "demo&edgename=nobody"] {
        let found = away_until(&server, query, |found| found["edge"]["name"] == "edge1");
        let is = (&found["stream"]["live"], &found["edge"]["self"]);
        assert_eq!(is, (&true.into(), &false.into()), "{found}");
    }
    // It is back here.
    get_until(&server, &lookup("demo"), |found| found["edge"]["self"] == true);
}

#[test]
fn a_node_is_gone_when_its_time_is_over_or_somebody_says_so() {
    let server = Server::start("", &[]);
    let node = |seconds: u32, streams: &str| {
        format!(
            r#"{{"name":"e","url":"http://e","load":0.1,"seconds":{seconds},"streams":[{streams}]}}"#
        )
    };
    let is_there = || ask(&server, "GET", &lookup("a")).status == 200;
    let wait = |wanted: bool| {
        let until = std::time::Instant::now() + weir_tests::PATIENCE;
        let steady = || (0..8).all(|_| is_there() == wanted);
        while !steady() {
            assert!(std::time::Instant::now() < until, "{wanted} does not come");
        }
    };
    note(&server, &node(1, "\"a\""));
    wait(true);
    wait(false);
    get_until(&server, "/api/v1/nodes", |list| list["total"] == 0);
    note(&server, &node(3600, "\"a\""));
    wait(true);
    // What it announces replaces what it announced.
    note(&server, &node(3600, "\"b\""));
    wait(false);
    note(&server, &node(3600, "\"a\""));
    wait(true);
    let answer = ask(&server, "DELETE", "/api/v1/nodes/E");
    assert_eq!(answer.json()["forgotten"], "e", "{}", answer.text());
    wait(false);
    let again = ask(&server, "DELETE", "/api/v1/nodes/e");
    assert_eq!((again.status, &again.json()["field"]), (404, &"node".into()));
}
