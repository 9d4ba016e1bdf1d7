//! Who fetches segments plays like everybody else, wherever players are counted.

use crate::client::{ask, get, get_until, play_on, server_with_a_stream};

#[test]
fn in_the_summary_and_in_what_srs_calls_a_host() {
    let server = server_with_a_stream("");
    let player = play_on(&server);
    assert_eq!(ask(&server, "GET", "/live/demo/ts.m3u8").status, 200);
    let summary = get_until(&server, "/api/v1/summary", |summary| summary["players"] == 2);
    let loops = summary["loops"].as_array().unwrap().iter();
    assert_eq!(loops.map(|one| one["players"].as_u64().unwrap()).sum::<u64>(), 2, "{summary}");
    let hosts = get(&server, "/api/v1/vhosts/");
    assert_eq!(hosts["vhosts"][0]["clients"], 3, "and the publisher: {hosts}");
    assert_eq!(get(&server, "/api/v1/clients")["total"], 3);
    drop(server);
    player.join().unwrap();
}
