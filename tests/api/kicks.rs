//! DELETE ends a client, and a stream's publisher.

use std::io::Read;

use crate::client::{ask, get, get_until, play, play_on, server_with_a_stream};

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
