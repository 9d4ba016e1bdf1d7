//! `weir bench` where the server, the machine or the user does not go along: what was measured is true.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use weir_tests::{PATIENCE, Program, built};

use super::bench::{nobody, peer, report, server, weir, words};

/// Starts a test of one published stream over HTTP-FLV.
fn bench(doors: (SocketAddr, SocketAddr), more: &[&str]) -> Program {
    let (rtmp, http) = doors;
    let (url, to) = (format!("http://{http}/live/s.flv"), format!("rtmp://{rtmp}/live/s"));
    let args = ["bench", &url, "--publish", "1", "--publish-to", &to, "--bitrate", "1M"];
    Program::start("weir", &[&args[..], more].concat())
}

/// A file for a report, by its test's name.
fn file(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("weir-bench-{name}-{}.json", std::process::id()))
}

fn read(path: &PathBuf) -> Value {
    let text = std::fs::read_to_string(path).unwrap();
    std::fs::remove_file(path).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// As [`weir`], in a shell that allows so many descriptors.
fn with_descriptors(count: usize, args: &[&str]) -> Output {
    let script = format!("ulimit -n {count}; exec {} \"$@\"", built("weir").display());
    Command::new("sh").args(["-c", &script, "sh"]).args(args).output().unwrap()
}

#[test]
fn a_search_says_beforehand_that_it_has_too_few_descriptors() {
    let url = format!("http://{}/live/s.flv", nobody());
    let args = ["bench", &url, "--find", "--players", "10", "--most", "1000"];
    let output = with_descriptors(300, &args);
    let said = words(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("1000 players") && said.contains("ulimit -n 1148"), "{said}");
    assert!(!said.contains("playing"), "nobody was called: {said}");
}

#[test]
fn a_search_ends_where_its_own_descriptors_do_and_says_so() {
    let (_server, rtmp, _) = server();
    let url = format!("rtmp://{rtmp}/live/s");
    let args = ["bench", &url, "--publish", "1", "--find", "--players", "6", "--probes", "0"];
    let more = ["--slo", "failed<=0%", "--settle", "0", "--hold", "1s"];
    // 128 for the rest, one for the publisher.
    let output = with_descriptors(135, &[&args[..], &more].concat());
    let said = words(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("after 6 players") && said.contains("ulimit -n 136"), "{said}");
}

#[test]
fn a_search_of_a_server_that_is_not_there_says_why_nobody_joins() {
    let url = format!("http://{}/live/s.flv", nobody());
    let output = weir(&["bench", &url, "--find", "--players", "4", "--most", "8", "--hold", "1s"]);
    let said = words(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("nobody got media") && said.contains("Connection refused"), "{said}");
    assert!(said.contains("run number 1;"), "it does not look for fewer: {said}");
}

#[test]
fn an_interrupt_before_the_window_tells_of_those_that_play() {
    let (_server, rtmp, http) = server();
    let path = file("interrupted");
    let (to, wait) = (path.to_str().unwrap(), ["--ramp", "4", "--settle", "1m"]);
    let bench = bench((rtmp, http), &[&wait[..], &["--players", "1000", "--json", to]].concat());
    // The line of the first second, and that of the sixth: with a rate.
    bench.wait_for("playing");
    assert!(bench.wait_for("playing").contains("Mbit/s"));
    bench.signal("INT");
    let (status, said) = bench.end();
    assert_eq!(status.code(), Some(130), "{said:#?}");
    let result = read(&path)["result"].clone();
    let count = |of: &str| result["players"][of].as_u64().unwrap();
    assert!(count("joined") >= 10 && count("not_begun") > 900, "{result:#}");
    assert!(count("failed") <= 2 && count("starved") <= 4, "{result:#}");
    assert_eq!(count("joined") + count("failed") + count("not_begun"), 1000);
    assert_eq!(result["window_began"], false);
    let seconds = result["window_s"].as_f64().unwrap();
    assert!((1.0..120.0).contains(&seconds), "{result:#}");
    assert!(result["rate"]["gbit_s"].as_f64().unwrap() > 0.001, "{result:#}");
    let latency = &result["latency_ms"];
    assert!(latency["count"].as_u64().unwrap() > 20, "{result:#}");
    assert!(latency["p50"].as_f64().unwrap() < 1000.0, "{latency:#}");
}

#[test]
fn a_server_that_is_killed_has_used_what_it_had() {
    let (server, rtmp, http) = server();
    let (path, pid) = (file("killed"), server.id().to_string());
    let more = ["--players", "20", "--ramp", "100", "--settle", "0", "--hold", "1m"];
    let to = ["--pid", &pid, "--json", path.to_str().unwrap()];
    let bench = bench((rtmp, http), &[&more[..], &to].concat());
    bench.wait_for("playing");
    bench.wait_for("playing");
    drop(server);
    let (status, said) = bench.end();
    assert_eq!(status.code(), Some(1), "{said:#?}");
    let result = read(&path)["result"].clone();
    for of in ["server", "generator"] {
        assert!(result[of]["cpu_s"].as_f64().unwrap() > 0.0, "{of}: {result:#}");
    }
    assert!(result["server"]["memory_most_bytes"].as_u64().unwrap() > 1 << 20, "{result:#}");
    assert_eq!(result["machine"]["interface"]["link_bit_s"], Value::Null, "loopback has no speed");
}

#[test]
fn a_server_that_freezes_half_way_does_not_keep_its_latency() {
    let (server, rtmp, http) = server();
    let path = file("frozen");
    let more = ["--players", "10", "--ramp", "100", "--settle", "0", "--hold", "10s"];
    let to = ["--slo", "p99<=1s", "--json", path.to_str().unwrap()];
    let bench = bench((rtmp, http), &[&more[..], &to].concat());
    bench.wait_for("10 of 10 playing");
    server.signal("STOP");
    let (status, said) = bench.end();
    assert_eq!(status.code(), Some(3), "{said:#?}");
    let report = read(&path);
    let result = &report["result"];
    assert!(result["overdue_pictures"].as_u64().unwrap() > 8 * 30, "{result:#}");
    assert!(result["latency_ms"]["p99"].as_f64().unwrap() > 2000.0, "{result:#}");
    let verdict = report["verdict"].as_str().unwrap();
    assert!(verdict.contains("10 starved") && verdict.contains("stalls"), "{verdict}");
}

#[test]
fn garbage_in_the_shape_of_a_stream_is_no_success() {
    let garbage = peer(|mut client| {
        let _ = client.read(&mut [0; 1000]);
        let mut bytes = b"HTTP/1.1 200 OK\r\n\r\nFLV\x01\x05\0\0\0\x09\0\0\0\0".to_vec();
        // A tag of pictures of the greatest length, and another.
        for _ in 0..2 {
            bytes.extend_from_slice(&[9, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0x27, 1]);
            bytes.resize(bytes.len() + 0xff_ffff - 2, 0);
            bytes.extend_from_slice(&0x0100_000a_u32.to_be_bytes());
        }
        let _ = client.write_all(&bytes);
        thread::sleep(PATIENCE);
    });
    let url = format!("http://{garbage}/live/s.flv");
    let args = ["bench", &url, "--players", "3", "--sample", "3", "--probes", "0"];
    let output = weir(&[&args[..], &["--settle", "3s", "--hold", "2s"]].concat());
    let said = words(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("3 joined"), "{said}");
    assert!(said.contains("no keyframe") && said.contains(" faults"), "{said}");
    assert!(said.contains("--bitrate"), "who starved is not known: {said}");
}

#[test]
fn a_playlist_that_is_not_there_is_said_once() {
    let none = peer(|mut client| {
        let _ = client.read(&mut [0; 1000]);
        let _ = client.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        let _ = client.read(&mut [0; 1000]);
    });
    let url = format!("http://{none}/live/none.m3u8");
    let args = ["bench", &url, "--players", "2", "--hold", "1s", "--settle", "0", "--json", "-"];
    let output = weir(&args);
    assert_eq!(output.status.code(), Some(1));
    let reasons = report(&output)["result"]["players"]["reasons"].clone();
    assert_eq!(reasons, serde_json::json!({"the server answers 404 Not Found": 2}));
}

#[test]
fn what_one_core_carries_is_in_numbers() {
    let page = file("own").with_extension("html");
    let args =
        ["bench", "--self", "--players", "2", "--most", "2", "--hold", "1s", "--settle", "0"];
    let more = ["--slo", "failed<=0%", "--json", "-", "--html", page.to_str().unwrap()];
    let output = weir(&[&args[..], &more].concat());
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    let report = report(&output);
    let core = &report["per_core"];
    assert_eq!(core["players"], 2, "{core:#}");
    let gbit = core["gbit_s"].as_f64().unwrap();
    assert!(gbit > 0.001 && core["percent_of_10gbe"].as_f64().unwrap() > 0.01, "{core:#}");
    let cores = std::fs::read_to_string("/proc/cpuinfo").unwrap().matches("processor\t").count();
    assert_eq!(report["machine"]["cores"], cores, "not those that this process is bound to");
    let html = std::fs::read_to_string(&page).unwrap();
    std::fs::remove_file(&page).unwrap();
    for word in ["publishers ", "softirq", "steal", "calls/s", "Mbit/s"] {
        assert!(html.contains(word), "{word}: {html}");
    }
}

/// The process that another one has started.
fn child_of(parent: u32) -> u32 {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let fields = |pid: u32| -> Option<(String, u32)> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
    };
    let mut children = pids.filter(|pid| fields(*pid).is_some_and(|(_, of)| of == parent));
    children.next().unwrap()
}

fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

fn own_server(hold: &str) -> Program {
    let mut command = Command::new(built("weir"));
    command.args(["bench", "--self", "--players", "5", "--most", "10", "--hold", hold]);
    command.args(["--settle", "0", "--ramp", "100", "--slo", "failed<=0%"]).process_group(0);
    Program::spawn(command)
}

#[test]
fn ctrl_c_at_a_terminal_does_not_reach_the_server_of_self() {
    let bench = own_server("1m");
    bench.wait_for("playing");
    // A terminal tells the whole group.
    let group = format!("-{}", bench.id());
    assert!(Command::new("kill").args(["-INT", "--", &group]).status().unwrap().success());
    let (status, said) = bench.end();
    let said = said.join("\n");
    assert_eq!(status.code(), Some(130), "{said}");
    assert!(said.contains("5 joined, 0 failed, 0 dropped"), "{said}");
}

#[test]
fn the_server_of_self_ends_with_its_tester_however_that_ends() {
    let bench = own_server("1m");
    bench.wait_for("playing");
    let server = child_of(bench.id());
    assert!(is_running(server));
    bench.signal("KILL");
    let until = Instant::now() + PATIENCE;
    while is_running(server) {
        assert!(Instant::now() < until, "the server is left");
        thread::sleep(Duration::from_millis(20));
    }
}
