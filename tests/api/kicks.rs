//! DELETE ends a client, and a stream's publisher.

use std::io::Read;
use std::time::Instant;

use weir_tests::PATIENCE;

use crate::client::{ask, ask_with, get, get_until, play, play_on, server_with_a_stream};
use crate::events::Events;

#[test]
fn a_player_is_ended_and_the_others_are_not() {
    let server = server_with_a_stream("");
    let other = play_on(&server);
    get_until(&server, "/api/v1/clients?protocol=http-flv", |list| list["total"] == 1);
    let mut player = play(&server);
    let mine = player.local_addr().unwrap().to_string();
    let list = get_until(&server, "/api/v1/clients?protocol=http-flv", |list| list["total"] == 2);
    let rows = list["clients"].as_array().unwrap();
    let row = rows.iter().find(|row| row["address"] == *mine).unwrap();
    let target = format!("/api/v1/clients/{}", row["id"].as_str().unwrap());
    let answer = ask(&server, "DELETE", &target);
    assert_eq!(answer.json()["kicked"], row["id"], "{}", answer.text());
    let mut rest = Vec::new();
    let _ = player.read_to_end(&mut rest);
    server.program.wait_for("reason=\"kicked\"");
    let left = get(&server, "/api/v1/clients?protocol=http-flv");
    assert_eq!(left["total"], 1);
    let again = ask(&server, "DELETE", &target);
    assert_eq!((again.status, &again.json()["field"]), (404, &"client".into()));
    assert_eq!(ask(&server, "DELETE", "/api/v1/clients/x").status, 400);
    drop(server);
    other.join().unwrap();
}

#[test]
fn a_viewer_of_segments_is_refused_and_others_are_not() {
    let server = server_with_a_stream("");
    let mut events = Events::open(&server, "");
    let list = |agent: &str| {
        ask_with(server.http, "GET", "/live/demo/ts.m3u8", &format!("User-Agent: {agent}\r\n"))
    };
    let text = list("one").text();
    assert_eq!(list("two").status, 200);
    let file = text.lines().find(|line| !line.starts_with('#')).unwrap_or_else(|| panic!("{text}"));
    let file = format!("/live/demo/{file}");
    let all = "/api/v1/clients?protocol=hls";
    let viewers = get_until(&server, all, |list| list["total"] == 2);
    let id = viewers["clients"][0]["id"].as_str().unwrap().to_owned();
    let kicked = ask(&server, "DELETE", &format!("/api/v1/clients/{id}"));
    assert_eq!(kicked.json()["kicked"], *id, "{}", kicked.text());
    let stop = events.next("stop");
    assert_eq!((&stop["client"], &stop["reason"]), (&id.as_str().into(), &"kicked".into()));
    assert!(stop.get("bytes").is_none(), "nobody adds them up: {stop}");
    // The other loop hears of it a moment later: ten connections in a row are on both.
    let until = Instant::now() + PATIENCE;
    let (mut one, mut two) = (0, 0);
    while one.max(two) < 10 {
        assert!(Instant::now() < until, "{one} and {two} times in a row");
        one = if list("one").status == 403 { one + 1 } else { 0 };
        two = if list("two").status == 403 { two + 1 } else { 0 };
    }
    let (mine, other) = if one > two { ("one", "two") } else { ("two", "one") };
    let fetch =
        |agent: &str| ask_with(server.http, "GET", &file, &format!("User-Agent: {agent}\r\n"));
    let refused = fetch(mine);
    assert_eq!(refused.status, 403, "{}", refused.head);
    assert_eq!(refused.header("Cache-Control"), Some("no-store"));
    assert_eq!((list(other).status, fetch(other).status), (200, 200));
    assert_eq!(get(&server, all)["total"], 1);
    let metrics = ask(&server, "GET", "/metrics").text();
    for line in ["weir_ended_total{reason=\"kicked\"} 1\n", "weir_segment_viewers 1\n"] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

#[test]
fn a_viewer_of_segments_that_leaves_is_counted_as_ended() {
    let server = server_with_a_stream("[hls]\nviewer_leaves_after = \"5s\"\n");
    let mut events = Events::open(&server, "");
    assert_eq!(ask(&server, "GET", "/live/demo/ts.m3u8").status, 200);
    let stop = events.next("stop");
    assert_eq!((&stop["protocol"], &stop["reason"]), (&"hls".into(), &"peer_left".into()));
    assert!(stop.get("bytes").is_none() && stop.get("skips").is_none(), "{stop}");
    let metrics = ask(&server, "GET", "/metrics").text();
    assert!(metrics.contains("weir_ended_total{reason=\"peer_left\"} 1\n"), "{metrics}");
}

#[test]
fn a_publisher_is_ended_and_comes_back_as_an_encoder_does() {
    let server = server_with_a_stream("[publish]\ngrace = \"1s\"\n");
    let lookup = "/api/v1/stream/?streamname=demo";
    get_until(&server, lookup, |found| found["stream"]["live"] == true);
    let answer = ask(&server, "DELETE", "/api/v1/streams/live/demo");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let again = ask(&server, "DELETE", "/api/v1/streams/live/demo");
    assert_eq!((again.status, &again.json()["field"]), (404, &"stream".into()));
    let looked = get(&server, "/api/v1/streams/live/demo");
    assert_eq!(looked["stream"]["publish"]["active"], false);
    assert_eq!(looked["stream"]["live"], false);
    get_until(&server, lookup, |found| found["stream"]["live"] == false);
    server.program.wait_for("stream ended");
    get_until(&server, lookup, |found| found["stream"]["live"] == true);
    let summary = get(&server, "/api/v1/summary");
    assert_eq!(summary["streams"], 1, "nothing is left of its first life: {summary}");
}
