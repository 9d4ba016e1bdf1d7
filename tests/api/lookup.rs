//! The lookup of a stream, as schedulers ask it.

use crate::client::{ask, ask_with, get_until, play_on, server_with_a_stream};

#[test]
fn a_stream_is_found_on_each_loop_with_its_viewers() {
    let server = server_with_a_stream("[api]\nnode = \"edge240\"\n");
    let target = "/api/v1/stream/?streamname=demo&edgename=edge240";
    let players: Vec<_> = (0..3).map(|_| play_on(&server)).collect();
    let found = get_until(&server, target, |found| {
        found["viewers"] == 3 && found["stream"]["kbps"].as_u64() > Some(100)
    });
    assert_eq!(found["code"], 0);
    let stream = &found["stream"];
    assert_eq!((&stream["app"], &stream["name"]), (&"live".into(), &"demo".into()));
    assert_eq!(stream["live"], true);
    assert!(stream["video"].as_str().unwrap().starts_with("avc1."), "{found}");
    assert_eq!(stream["audio"], "mp4a.40.2");
    assert!(stream["since"].as_u64() > Some(1_700_000_000), "{found}");
    let edge = &found["edge"];
    assert_eq!((&edge["name"], &edge["self"]), (&"edge240".into(), &true.into()));
    assert_eq!(edge["url"], "http://127.0.0.1");
    assert!((0.0..=1.0).contains(&edge["load"].as_f64().unwrap()), "{found}");
    // Each connection may land on another loop.
    for _ in 0..16 {
        for target in [
            target,
            "/api/v1/stream?streamname=live/demo",
            "/api/v1/stream/?streamname=live%2Fdemo",
        ] {
            assert_eq!(ask(&server, "GET", target).json()["code"], 0, "{target}");
        }
    }
    // What others were told is told nobody who asks otherwise.
    for host in ["localhost", "127.0.0.1", "edge240:8080", "127.0.0.1"] {
        let found = ask_with(server.http, "GET", target, &format!("Host: {host}\r\n")).json();
        assert_eq!(found["edge"]["url"], format!("http://{host}"));
    }
    let other = ask(&server, "GET", "/api/v1/stream/?streamname=demo&edgename=edge7").json();
    assert_eq!(other["edge"]["self"], false);
    assert_eq!((&other["edge"]["url"], &other["edge"]["name"]), (&().into(), &"edge7".into()));
    let whole = ask(&server, "GET", target);
    let size = whole.head.len() + 4 + whole.body.len();
    assert!((280..400).contains(&size), "{size} bytes: {}", whole.text());
    drop(server);
    players.into_iter().for_each(|player| player.join().unwrap());
}

#[test]
fn what_is_not_there_is_404_and_what_makes_no_sense_400() {
    let server = server_with_a_stream("");
    for (query, status, field) in [
        ("streamname=nobody", 404, "streamname"),
        ("streamname=other/demo", 404, "streamname"),
        ("", 400, "streamname"),
        ("streamname=", 400, "streamname"),
        ("streamname=..%2Fetc", 400, "streamname"),
        ("streamname=a%00b", 400, "streamname"),
        ("streamname=demo&streamname=demo", 400, "streamname"),
        ("streamname=demo&edgename=a%0d%0aSet-Cookie:x", 400, "edgename"),
        ("streamname=demo&edgename=", 400, "edgename"),
        ("streamname=demo&callback=f", 400, "callback"),
        ("streamname=%ff", 400, "query"),
        ("streamname=demo&pretty=maybe", 400, "pretty"),
    ] {
        let answer = ask(&server, "GET", &format!("/api/v1/stream/?{query}"));
        assert_eq!(answer.status, status, "{query}: {}", answer.text());
        let error = answer.json();
        assert_eq!(error["code"], status, "{query}");
        assert_eq!(error["field"], field, "{query}: {error}");
        assert!(error["message"].as_str().unwrap().len() > 5, "{error}");
        assert_eq!(answer.header("Content-Type"), Some("application/json"));
        assert!(!answer.head.contains("Set-Cookie"), "{}", answer.head);
    }
}

#[test]
fn the_play_url_is_the_operators() {
    let server = server_with_a_stream("[api]\nplay_url = \"https://a.example.org:8443\"\n");
    let target = "/api/v1/stream/?streamname=demo";
    let found = ask(&server, "GET", target).json();
    assert_eq!(found["edge"]["url"], "https://a.example.org:8443");
    let named = ask_with(server.http, "GET", target, "Host: a.example.org\r\n");
    assert_eq!(named.status, 200, "{}", named.text());
    let pretty = ask(&server, "GET", "/api/v1/stream/?streamname=demo&pretty");
    assert_eq!(pretty.json()["edge"], found["edge"]);
    assert!(pretty.text().contains("{\n  \"code\": 0,\n"), "{}", pretty.text());
}
