//! Lists of clients and streams: pages that follow each other, filters, totals that are true.

use std::collections::BTreeSet;

use crate::client::{ask, get, get_until, play_on, server_with_a_stream};

const PLAYERS: usize = 30;

#[test]
fn pages_follow_each_other_and_totals_are_true() {
    let server = server_with_a_stream("");
    let players: Vec<_> = (0..PLAYERS).map(|_| play_on(&server)).collect();
    let all = get_until(&server, "/api/v1/clients", |all| all["total"] == PLAYERS + 1);
    assert_eq!(all["clients"].as_array().unwrap().len(), PLAYERS + 1);
    assert_eq!(all["next"], serde_json::Value::Null);
    let mut seen = BTreeSet::new();
    let mut target = "/api/v1/clients?limit=7&pretty".to_owned();
    loop {
        let page = get(&server, &target);
        assert_eq!(page["total"], PLAYERS + 1, "on each page");
        let rows = page["clients"].as_array().unwrap();
        assert!(rows.len() <= 7);
        for row in rows {
            assert!(seen.insert(row["id"].as_str().unwrap().to_owned()), "twice: {row}");
        }
        let Some(next) = page["next"].as_str() else { break };
        target = format!("/api/v1/clients?limit=7&cursor={next}");
    }
    assert_eq!(seen.len(), PLAYERS + 1);
    for (filter, total) in [
        ("protocol=http-flv", PLAYERS),
        ("protocol=demo", 1),
        ("protocol=hls", 0),
        ("app=live", PLAYERS + 1),
        ("name=demo&app=live", PLAYERS + 1),
        ("name=other", 0),
        ("search=LIVE/De", PLAYERS + 1),
        ("search=other", 0),
        ("search=", PLAYERS + 1),
        ("address=127.0.0.1", PLAYERS),
        ("address=192.0.2.1", 0),
    ] {
        let page = get(&server, &format!("/api/v1/clients?limit=1&{filter}"));
        assert_eq!(page["total"], total, "{filter}");
        assert_eq!(page["clients"].as_array().unwrap().len(), total.min(1), "{filter}");
    }
    let skipped = get(&server, "/api/v1/clients?start=28&count=10");
    assert_eq!(skipped["clients"].as_array().unwrap().len(), 3, "SRS's words");
    assert_eq!(skipped["total"], PLAYERS + 1);
    drop(server);
    players.into_iter().for_each(|player| player.join().unwrap());
}

#[test]
fn who_fetches_segments_is_a_client_too() {
    let server = server_with_a_stream("[hls]\nviewer_leaves_after = \"10s\"\n");
    let master = ask(&server, "GET", "/live/demo.m3u8");
    assert_eq!(master.status, 200, "{}", master.text());
    let text = master.text();
    let first = text.lines().find(|line| !line.is_empty() && !line.starts_with('#')).unwrap();
    let target = if first.starts_with('/') { first.to_owned() } else { format!("/live/{first}") };
    let playlist = ask(&server, "GET", &target);
    assert_eq!(playlist.status, 200, "{target}: {}", playlist.text());
    let list = get_until(&server, "/api/v1/clients?protocol=hls", |list| list["total"] == 1);
    let row = &list["clients"][0];
    assert_eq!((&row["stream"], &row["ip"]), (&"live/demo".into(), &"127.0.0.1".into()));
    assert_eq!((&row["type"], &row["send_bytes"]), (&"hls-play".into(), &().into()));
    get_until(&server, "/api/v1/streams/live/demo", |one| {
        one["stream"]["viewers"]["by_protocol"]["hls"] == 1
    });
    get_until(&server, "/api/v1/clients?protocol=hls", |list| list["total"] == 0);
}

#[test]
fn a_stream_has_its_figures() {
    let server = server_with_a_stream("");
    let players: Vec<_> = (0..4).map(|_| play_on(&server)).collect();
    let one = get_until(&server, "/api/v1/streams/live/demo", |one| {
        let stream = &one["stream"];
        stream["viewers"]["by_protocol"]["http-flv"] == 4
            && stream["send_bytes"].as_u64() > Some(10_000)
            && stream["video"]["gop_frames"].as_u64() > Some(1)
    });
    let stream = &one["stream"];
    assert_eq!((&stream["clients"], &stream["live"]), (&4.into(), &true.into()));
    assert_eq!(stream["publish"]["active"], true);
    assert_eq!(stream["publish"]["protocol"], "demo");
    assert_eq!(
        (&stream["video"]["codec"], &stream["audio"]["codec"]),
        (&"H264".into(), &"AAC".into())
    );
    let rate = stream["video"]["frame_rate"].as_f64().unwrap();
    assert!((20.0..40.0).contains(&rate), "{rate}");
    let log = &stream["logs"][0];
    let number = |name: &str| log[name].as_u64().unwrap();
    assert_eq!(number("end") - number("begin"), number("bytes"));
    let list = get(&server, "/api/v1/streams?name=demo");
    assert_eq!((&list["total"], &list["streams"][0]["id"]), (&1.into(), &"live/demo".into()));
    assert_eq!(get(&server, "/api/v1/streams?app=other")["total"], 0);
    assert_eq!(get(&server, "/api/v1/streams?cursor=live/zzz")["streams"], serde_json::json!([]));
    let summary = get(&server, "/api/v1/summary");
    assert_eq!((&summary["players"], &summary["streams_live"]), (&4.into(), &1.into()));
    assert_eq!(summary["loops"].as_array().unwrap().len(), 2);
    assert!(summary["memory"]["resident_bytes"].as_u64() > Some(1 << 20), "{summary}");
    let config = get(&server, "/api/v1/config");
    assert_eq!(config["config"]["play"]["latency_budget"], "100ms");
    assert_eq!(ask(&server, "GET", "/readyz").text(), "ready\n");
    drop(server);
    players.into_iter().for_each(|player| player.join().unwrap());
}
