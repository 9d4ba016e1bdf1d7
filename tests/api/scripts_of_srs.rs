//! What scripts written for SRS look at.

use serde_json::Value;

use crate::client::{ask, get, get_until, play_on, server_with_a_stream};

fn has(value: &Value, members: &[&str]) {
    for member in members {
        assert!(value.get(member).is_some(), "no {member} in {value}");
    }
}

#[test]
fn its_paths_answer_with_its_fields() {
    let server = server_with_a_stream("");
    let player = play_on(&server);
    let versions = get(&server, "/api/v1/versions");
    has(&versions, &["code", "server", "service", "pid"]);
    has(&versions["data"], &["major", "minor", "revision", "version"]);
    let summaries = get(&server, "/api/v1/summaries");
    has(&summaries["data"], &["ok", "now_ms", "self", "system"]);
    has(&summaries["data"]["self"], &["version", "pid", "mem_kbyte", "cpu_percent", "srs_uptime"]);
    for path in ["/api/v1/vhosts", "/api/v1/vhosts/"] {
        let vhosts = get(&server, path);
        assert_eq!(vhosts["code"], 0);
        let all = vhosts["vhosts"].as_array().unwrap();
        assert_eq!((all.len(), &all[0]["name"]), (1, &"__defaultVhost__".into()));
        has(&all[0], &["id", "enabled", "clients", "streams", "send_bytes", "recv_bytes"]);
        has(&all[0]["kbps"], &["recv_30s", "send_30s"]);
        has(&all[0]["hls"], &["enabled", "fragment"]);
        assert_eq!((&all[0]["clients"], &all[0]["streams"]), (&2.into(), &1.into()));
    }
    let vhost = get(&server, "/api/v1/vhosts/__defaultVhost__");
    assert_eq!(vhost["vhost"]["name"], "__defaultVhost__");
    let none = ask(&server, "GET", "/api/v1/vhosts/vid-1");
    assert_eq!((none.status, &none.json()["field"]), (404, &"vhost".into()));
    let streams = get_until(&server, "/api/v1/streams/", |s| s["streams"][0]["clients"] == 1);
    assert_eq!(streams["code"], 0, "a number");
    has(&streams, &["code", "server", "service", "pid", "streams"]);
    let stream = &streams["streams"][0];
    has(stream, &["id", "name", "vhost", "app", "url", "live_ms", "clients", "frames"]);
    has(stream, &["send_bytes", "recv_bytes", "kbps", "publish", "video", "audio"]);
    has(&stream["kbps"], &["recv_30s", "send_30s"]);
    has(&stream["publish"], &["active", "cid"]);
    has(&stream["video"], &["codec", "profile", "level", "width", "height"]);
    has(&stream["audio"], &["codec", "sample_rate", "channel", "profile"]);
    let clients = get(&server, "/api/v1/clients/?start=0&count=100");
    let row = &clients["clients"][1];
    has(row, &["id", "vhost", "stream", "ip", "url", "name", "type", "publish", "alive"]);
    has(row, &["send_bytes", "recv_bytes", "kbps"]);
    let id = stream["publish"]["cid"].as_str().unwrap();
    let publisher = get(&server, &format!("/api/v1/clients/{id}"));
    assert_eq!(publisher["client"]["publish"], true);
    let id = row["id"].as_str().unwrap();
    assert_eq!(ask(&server, "DELETE", &format!("/api/v1/clients/{id}")).json()["code"], 0);
    player.join().unwrap();
}

#[test]
fn a_slash_at_the_end_changes_nothing() {
    let server = server_with_a_stream("");
    for path in [
        "summary",
        "flow",
        "versions",
        "summaries",
        "vhosts",
        "config",
        "streams",
        "clients",
        "nodes",
    ] {
        let members = |slash: &str| {
            let answer = get(&server, &format!("/api/v1/{path}{slash}"));
            answer.as_object().unwrap().keys().cloned().collect::<Vec<_>>()
        };
        assert_eq!(members("/"), members(""), "{path}");
    }
}
