//! `/metrics` reads well, and says what happened.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::client::{ask, get_until, play, play_on, server_with_a_stream};

#[test]
fn promtool_has_nothing_to_say() {
    let server = server_with_a_stream("");
    let player = play_on(&server);
    get_until(&server, "/api/v1/stream/?streamname=demo", |found| found["viewers"] == 1);
    drop(play(&server));
    assert_eq!(ask(&server, "PUT", "/metrics").status, 405);
    assert_eq!(ask(&server, "GET", "no-path").status, 400);
    let page = ask(&server, "GET", "/metrics");
    assert!(page.header("Content-Type").unwrap().starts_with("text/plain; version=0.0.4"));
    let mut lint = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("tests/run installs promtool");
    lint.stdin.take().unwrap().write_all(&page.body).unwrap();
    let said = lint.wait_with_output().unwrap();
    let words = [said.stdout, said.stderr].concat();
    let words = String::from_utf8_lossy(&words);
    assert!(said.status.success() && words.is_empty(), "{words}\n{}", page.text());
    let text = page.text();
    for line in [
        "weir_viewers{protocol=\"http-flv\"} 1",
        "weir_stream_viewers{app=\"live\",stream=\"demo\"} 1",
        "weir_stream_live{app=\"live\",stream=\"demo\"} 1",
        "weir_join_seconds_count 2",
        "weir_publishers 1",
        "weir_ended_total{reason=\"kicked\"} 0",
        "weir_loop_turn_seconds_bucket{loop=\"1\",le=\"+Inf\"} ",
        "weir_write_size_bytes_bucket{le=\"65536\"} ",
        "weir_skip_lag_seconds_count 0",
        "weir_connections_refused_total{limit=\"connections\"} 0",
        "weir_connections_refused_total{limit=\"connections_per_address\"} 0",
        "weir_viewers{protocol=\"hls\"} 0",
        "weir_uncounted_viewer_requests_total 0",
        "weir_api_refused_total{reason=\"not_found\"} ",
        "process_cpu_seconds_total ",
        "process_open_fds ",
        "process_max_fds ",
        "weir_http_failures_total{status=\"405\"} 1",
        "weir_http_failures_total{status=\"400\"} 1",
        "weir_flush_wait_seconds_bucket{le=\"0.004096\"} ",
        "weir_segments_sent_total 0",
        "weir_loop_turn_seconds_bucket{loop=\"0\",le=\"0.005\"} ",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    drop(server);
    player.join().unwrap();
}

#[test]
fn the_dashboard_asks_for_what_there_is() {
    let server = server_with_a_stream("");
    let player = play_on(&server);
    get_until(&server, "/api/v1/stream/?streamname=demo", |found| found["viewers"] == 1);
    let page = ask(&server, "GET", "/metrics").text();
    let dashboard: Value = serde_json::from_str(include_str!("../../docs/grafana.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let asked: BTreeSet<&str> = targets
        .flat_map(|target| {
            target["expr"].as_str().unwrap().split(|c: char| c != '_' && !c.is_alphanumeric())
        })
        .filter(|word| word.starts_with("weir_") || word.starts_with("process_"))
        .collect();
    for name in &asked {
        assert!(page.lines().any(|line| line.starts_with(name)), "{name} is not told");
    }
    // What tells that something is wrong is shown.
    for name in [
        "weir_ended_total",
        "weir_skips_total",
        "weir_stream_skips_total",
        "weir_skip_lag_seconds_bucket",
        "weir_frames_dropped_total",
        "weir_http_failures_total",
        "weir_api_refused_total",
        "weir_connections_refused_total",
        "weir_events_lost_total",
        "weir_write_size_bytes_bucket",
        "weir_segment_viewers",
    ] {
        assert!(asked.contains(name), "{name} is on no panel");
    }
    drop(server);
    player.join().unwrap();
}
