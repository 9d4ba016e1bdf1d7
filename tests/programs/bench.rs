//! `weir bench` and `weir plan`: against a server that works, and against servers that do not.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use media::container::flv::{file::file_header, packetizer};
use media::testcard::{Options, TestCard};
use serde_json::Value;
use weir_tests::{Program, built};

pub fn weir(args: &[&str]) -> Output {
    Command::new(built("weir")).args(args).output().unwrap()
}

pub fn words(output: &Output) -> String {
    let all = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8(all).unwrap()
}

/// A server that does one thing to everybody. It lasts as long as the test.
pub fn peer(act: impl Fn(TcpStream) + Send + Sync + Copy + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            thread::spawn(move || act(client));
        }
    });
    address
}

/// An address where nobody listens.
pub fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Weir's server on free ports: the program, RTMP and HTTP.
pub fn server() -> (Program, SocketAddr, SocketAddr) {
    let (rtmp, http) = (nobody(), nobody());
    let server = Program::start(
        "weir",
        &["serve", "--rtmp", &rtmp.to_string(), "--http", &http.to_string(), "--loops", "1"],
    );
    server.wait_for("serving");
    (server, rtmp, http)
}

pub const SHORT: [&str; 8] =
    ["--ramp", "100", "--settle", "500ms", "--hold", "3s", "--join-within", "2s"];

pub fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", words(output)))
}

#[test]
fn streams_are_published_played_by_all_doors_and_checked() {
    let (server, rtmp, http) = server();
    let (pid, play_rtmp) = (server.id().to_string(), format!("rtmp://{rtmp}/live/s{{i}}"));
    let (flv, ws) =
        (format!("http://{http}/live/s{{i}}.flv"), format!("ws://{http}/live/s{{i}}.flv"));
    let mut args = vec!["bench", &flv, &ws, &play_rtmp, "--publish", "2", "--players", "24"];
    let goal = "starved<=0%,failed<=0%,dropped<=0%,faults<=0,p50<=1s,join_p99<=3s";
    args.extend(["--sample", "12", "--pid", &pid, "--slo", goal, "--json", "-", "--bitrate", "1M"]);
    let output = weir(&[&args[..], &SHORT].concat());
    let report = report(&output);
    let result = &report["result"];
    assert_eq!(output.status.code(), Some(0), "{result:#}");
    assert_eq!(report["goal"]["met"], true);
    assert_eq!(result["players"]["joined"], 24);
    assert_eq!(result["players"]["reasons"], serde_json::json!({}));
    let compared = result["checked"]["compared"].as_u64().unwrap();
    assert!(compared > 12 * 73 * 3, "{compared}");
    assert!(result["latency_ms"]["count"].as_u64().unwrap() > 500, "{result:#}");
    assert!(result["server"]["cpu_s"].as_f64().unwrap() >= 0.0);
    assert!(result["probes"]["got_keyframe"].as_u64().unwrap() >= 1, "{result:#}");
    let got = result["rate"]["gbit_s"].as_f64().unwrap();
    assert!((0.022..0.03).contains(&got), "24 players of 1 Mbit/s get {got} Gbit/s");
    assert_eq!(report["publishers"]["dead"], serde_json::json!([]));
}

/// Pictures come back out of TS, MP4 and both kinds of segments as they were published.
#[test]
fn other_containers_and_lists_are_played_and_checked() {
    let (server, rtmp, http) = server();
    let pid = server.id().to_string();
    let to = format!("rtmp://{rtmp}/live/s");
    let url = |ending: &str| format!("http://{http}/live/s{ending}");
    let bodies = [
        url(".ts"),
        url(".mp4"),
        format!("ws://{http}/live/s.ts"),
        format!("ws://{http}/live/s.mp4"),
    ];
    let lists = [url(".m3u8"), url(".m3u8?format=ts")];
    let runs: [(&[String], &[&str], u64); 3] =
        [(&bodies, &[], 1000), (&lists, &[], 6000), (&lists[..1], &["--low-latency"], 1500)];
    for (urls, more, latency) in runs {
        let goal = format!("starved<=0%,failed<=0%,dropped<=0%,faults<=0,p50<={latency}ms");
        let mut args = vec!["bench", "--publish", "1", "--publish-to", &to, "--bitrate", "1M"];
        args.extend(urls.iter().map(String::as_str));
        args.extend(more);
        args.extend(["--players", "8", "--sample", "4", "--pid", &pid, "--slo", &goal]);
        args.extend(["--ramp", "100", "--settle", "4s", "--hold", "4s", "--json", "-"]);
        let output = weir(&args);
        let result = report(&output)["result"].clone();
        assert_eq!(output.status.code(), Some(0), "{urls:?} {more:?}: {result:#}");
        let checked = &result["checked"];
        assert!(checked["compared"].as_u64().unwrap() > 4 * 200, "{urls:?}: {checked:#}");
        let is_list = urls[0].contains("m3u8");
        assert_eq!(result["requests"].is_object(), is_list, "{result:#}");
        if is_list {
            let requests = &result["requests"];
            assert!(requests["files"].as_u64().unwrap() >= 8, "{requests:#}");
            let troubles = (&requests["failed"], &requests["missed"]);
            assert_eq!(troubles, (&0.into(), &0.into()), "{requests:#}");
        }
    }
}

#[test]
fn lists_that_are_none_are_told() {
    let answers = |body: &'static str| {
        peer(move |mut client| {
            let _ = client.read(&mut [0; 1000]);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = client.write_all((head + body).as_bytes());
            thread::sleep(Duration::from_secs(10));
        })
    };
    let plain = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n1.ts\n";
    for (body, more, why) in [
        ("<html>", None, "no master playlist"),
        (plain, Some("--low-latency"), "no low latency"),
        (
            "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhttp://192.0.2.1/l.m3u8\n",
            None,
            "another server",
        ),
        (plain, None, "waited 2s for a segment or part"),
    ] {
        let url = format!("http://{}/live/s.m3u8", answers(body));
        let mut args = vec!["bench", &url, "--players", "2", "--json", "-"];
        args.extend(more);
        let output = weir(&[&args[..], &SHORT].concat());
        assert_eq!(output.status.code(), Some(1), "{body}: {}", words(&output));
        let reasons = report(&output)["result"]["players"]["reasons"].to_string();
        assert!(reasons.contains(why), "{body}: {reasons}");
    }
}

#[test]
fn reloads_are_held_and_answered_together() {
    let (server, rtmp, http) = server();
    let (pid, to) = (server.id().to_string(), format!("rtmp://{rtmp}/live/s"));
    let url = format!("http://{http}/live/s.m3u8");
    let args = ["bench", "held", &url, "--publish", "--publish-to", &to, "--held", "50"];
    let more = ["--hold", "5s", "--pause", "1s", "--pid", &pid, "--json", "-"];
    let output = weir(&[&args[..], &more].concat());
    let result = report(&output)["result"].clone();
    assert_eq!(output.status.code(), Some(0), "{result:#}");
    assert!(result["rounds"].as_u64().unwrap() >= 2, "{result:#}");
    assert_eq!((&result["refused"], &result["closed"]), (&0.into(), &0.into()));
    assert_eq!(result["rounds_not_all_answered"], 0);
    let answers = result["from_first_answer_ms"]["count"].as_u64().unwrap();
    assert_eq!(answers, 50 * result["rounds"].as_u64().unwrap());
    assert!(result["from_first_answer_ms"]["p50"].as_f64().unwrap() < 500.0, "{result:#}");
    assert!(result["from_last_picture_ms"]["count"].as_u64().unwrap() > 0, "{result:#}");
    assert_eq!(result["held_while_quiet"], 50);
}

#[test]
fn a_search_that_is_interrupted_says_what_it_has_found() {
    let (_server, rtmp, _) = server();
    let url = format!("rtmp://{rtmp}/live/s");
    let args = ["bench", &url, "--publish", "1", "--find", "--players", "2", "--most", "1000"];
    let goal = ["--slo", "failed<=0%", "--settle", "0", "--hold", "1s"];
    let bench = Program::start("weir", &[&args[..], &goal].concat());
    bench.wait_for("4 players: ");
    bench.signal("INT");
    let (status, said) = bench.end();
    let said = said.join("\n");
    assert_eq!(status.code(), Some(130), "{said}");
    assert!(said.contains("The search was cut short (interrupted)"), "{said}");
    assert!(said.contains("players had met the goal (failed<=0%) by then"), "{said}");
    assert!(!said.contains("No number of players"), "{said}");
}

/// The CPU of a process as `/proc` has it, with the time of the look in microseconds since 1970.
fn cpu_of(pid: u32) -> (i64, f64) {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: f64 =
        [fields[11], fields[12]].map(|field| field.parse::<f64>().unwrap()).iter().sum();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    (now.as_micros() as i64, ticks / 100.0)
}

/// What looks at the server from outside sees the CPU that is reported. Returns the report.
fn cpu_is_that_of_proc(players: &str, hold: &str, tolerance: f64) -> Value {
    let (server, rtmp, http) = server();
    let (id, pid) = (server.id(), server.id().to_string());
    let (url, to) = (format!("http://{http}/live/s.flv"), format!("rtmp://{rtmp}/live/s"));
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let looks = thread::spawn(move || {
        let mut looks = vec![cpu_of(id)];
        while stopped.recv_timeout(Duration::from_millis(10)).is_err() {
            looks.push(cpu_of(id));
        }
        looks
    });
    let args = ["bench", &url, "--publish", "1", "--publish-to", &to, "--players", players];
    let more = ["--ramp", "1000", "--hold", hold, "--pid", &pid, "--json", "-"];
    let output = weir(&[&args[..], &more].concat());
    stop.send(()).unwrap();
    let looks = looks.join().unwrap();
    let report = report(&output);
    let result = &report["result"];
    let edge = |which: usize| {
        let at = result["window_unix_us"][which].as_i64().unwrap();
        looks.iter().min_by_key(|(when, _)| (when - at).abs()).unwrap().1
    };
    let seen = edge(1) - edge(0);
    let said = result["server"]["cpu_s"].as_f64().unwrap();
    assert!((said - seen).abs() <= seen * tolerance + 0.03, "{said} s, /proc says {seen} s");
    report
}

#[test]
fn the_servers_cpu_is_that_of_proc() {
    cpu_is_that_of_proc("100", "3s", 0.1);
}

/// By itself: `cargo test -p weir-tests --release --test programs -- --ignored quiet`.
#[test]
#[ignore = "needs a quiet machine: others' bytes on loopback are counted, too"]
fn figures_agree_with_the_kernels_on_a_quiet_machine() {
    let report = cpu_is_that_of_proc("1000", "16s", 0.02);
    let interface = &report["result"]["machine"]["interface"];
    let apart = interface["difference_percent"].as_f64().unwrap();
    assert!(apart.abs() <= 0.1, "{interface:#}");
}

#[test]
fn a_missed_goal_is_another_exit_code() {
    let (_server, rtmp, _) = server();
    let url = format!("rtmp://{rtmp}/live/s");
    let args = ["bench", &url, "--publish", "1", "--players", "2", "--slo", "p99<=0ms"];
    let output = weir(&[&args[..], &SHORT].concat());
    assert_eq!(output.status.code(), Some(3), "{}", words(&output));
    assert!(words(&output).contains("MISSED"), "{}", words(&output));
}

#[test]
fn an_interrupt_prints_what_was_measured_so_far() {
    let (_server, rtmp, _) = server();
    let url = format!("rtmp://{rtmp}/live/s");
    let html = std::env::temp_dir().join(format!("weir-bench-{}.html", std::process::id()));
    let bench = Program::start(
        "weir",
        &[
            "bench",
            &url,
            "--publish",
            "1",
            "--players",
            "5",
            "--settle",
            "0",
            "--hold",
            "5m",
            "--html",
            html.to_str().unwrap(),
        ],
    );
    bench.wait_for("playing");
    thread::sleep(Duration::from_secs(2));
    bench.signal("INT");
    let (status, said) = bench.end();
    assert_eq!(status.code(), Some(130), "{said:#?}");
    let said = said.join("\n");
    assert!(said.contains("5 joined") && said.contains("interrupted"), "{said}");
    let page = std::fs::read_to_string(&html).unwrap();
    std::fs::remove_file(&html).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.contains("<svg"), "{page}");
    assert!(!page.contains("<script") && !page.contains("src="), "nothing is fetched");
}

#[test]
fn a_server_that_is_not_there_is_said_at_once() {
    let (nobody, began) = (nobody(), Instant::now());
    let url = format!("rtmp://{nobody}/live/s");
    let output = weir(&["bench", &url, "--publish", "1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(words(&output).contains("Connection refused"), "{}", words(&output));
    let url = format!("http://{nobody}/live/s.flv");
    let output = weir(&[&["bench", &url, "--players", "3"][..], &SHORT].concat());
    assert_eq!(output.status.code(), Some(1));
    let said = words(&output);
    assert!(said.contains("3 failed") && said.contains("Connection refused"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(10), "it does not wait for the whole window");
}

/// What each kind of broken server is called in the report.
#[test]
fn servers_that_refuse_stall_or_send_garbage_are_told_apart() {
    let refuses = peer(|mut client| {
        let _ = client.read(&mut [0; 1000]);
        let _ = client.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    });
    let silent = peer(|client| {
        thread::sleep(Duration::from_secs(30));
        drop(client);
    });
    let garbage = peer(|mut client| {
        let _ = client.read(&mut [0; 1000]);
        let _ = client.write_all(&[0xa5; 5000]);
    });
    let no_flv = peer(|mut client| {
        let _ = client.read(&mut [0; 1000]);
        let _ = client.write_all(b"HTTP/1.1 200 OK\r\n\r\n<html>not a stream</html>");
    });
    let stalls = peer(|mut client| {
        let _ = client.read(&mut [0; 1000]);
        let _ = client.write_all(b"HTTP/1.1 200 OK\r\n\r\nFLV\x01\x05\0\0\0\x09\0\0");
        thread::sleep(Duration::from_secs(30));
    });
    for (address, scheme, why) in [
        (refuses, "http", "403 Forbidden"),
        (silent, "http", "waited 2s for the answer to the HTTP request"),
        (silent, "ws", "waited 2s for the answer to the WebSocket request"),
        (silent, "rtmp", "within RTMP's handshake"),
        (garbage, "http", "the server's HTTP"),
        (garbage, "ws", "the server's HTTP"),
        (garbage, "rtmp", "RTMP handshake of version 3"),
        (no_flv, "http", "expected \\\"FLV\\\""),
        (stalls, "http", "waited 2s for a whole FLV tag"),
    ] {
        let url = format!("{scheme}://{address}/live/s.flv");
        let args = ["bench", &url, "--players", "3", "--json", "-"];
        let output = weir(&[&args[..], &SHORT].concat());
        assert_eq!(output.status.code(), Some(1), "{url}: {}", words(&output));
        let players = report(&output)["result"]["players"].clone();
        assert_eq!(players["failed"], 3, "{url}: {players:#}");
        assert_eq!(players["starved"], 3, "{url}: {players:#}");
        let reasons = players["reasons"].to_string();
        assert!(reasons.contains(why), "{url}: {reasons}");
    }
}

#[test]
fn a_server_that_drops_everyone_ends_the_run() {
    let drops = peer(|mut client| {
        let _ = client.read(&mut [0; 1000]);
        let mut card = TestCard::new(Options::default()).unwrap();
        let mut bytes = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        bytes.extend_from_slice(&file_header(true, true));
        for _ in 0..20 {
            packetizer::append(&card.next(0), &mut bytes).unwrap();
        }
        let _ = client.write_all(&bytes);
        thread::sleep(Duration::from_millis(1500));
    });
    let began = Instant::now();
    let url = format!("http://{drops}/live/s.flv");
    let output = weir(&["bench", &url, "--players", "20", "--hold", "60s"]);
    assert!(began.elapsed() < Duration::from_secs(15));
    assert_eq!(output.status.code(), Some(1));
    let said = words(&output);
    assert!(said.contains("20 joined, 0 failed, 20 dropped"), "{said}");
    assert!(said.contains("no player is left"), "{said}");
}

#[test]
fn what_cannot_be_done_is_said_before_anything_is_called() {
    let nobody = nobody();
    let url = format!("http://{nobody}/live/s.flv");
    let program = built("weir");
    let script = format!("ulimit -n 300; exec {} bench {url} --players 1000", program.display());
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = words(&output);
    assert!(said.contains("ulimit -n 1148") && said.contains("may have 300"), "{said}");
    for (args, word) in [
        (&["bench", "http://192.0.2.1/a.flv"][..], "--i-own-this-host"),
        (&["bench", "http", "http://192.0.2.1/"], "--i-own-this-host"),
        (&["bench", "idle", "rtmp://192.0.2.1"], "--i-own-this-host"),
        (&["bench"], "--self"),
        (&["bench", "https://127.0.0.1/a.flv"], "TLS"),
        (&["bench", "http://127.0.0.1/a.flv", "--streams", "3"], "{i}"),
        (&["bench", "http://127.0.0.1/a.flv", "--pid", "4000000"], "no process"),
        (&["bench", "http://127.0.0.1/a.flv", "--slo", "p98<=1s"], "p99.9"),
        (&["bench", "http://127.0.0.1/a.flv", "--hold", "25h"], "a day"),
    ] {
        let output = weir(args);
        let said = words(&output);
        assert!(!output.status.success() && said.contains(word), "{args:?}: {said}");
    }
}

#[test]
fn requests_and_idle_connections_are_measured() {
    let (server, rtmp, http) = server();
    let pid = server.id().to_string();
    let url = format!("http://{http}/healthz");
    let args = ["bench", "http", &url, "--connections", "20", "--rate", "500", "--hold", "2s"];
    let output = weir(&[&args[..], &["--settle", "200ms", "--pid", &pid, "--json", "-"]].concat());
    let report_http = report(&output)["result"].clone();
    assert_eq!(output.status.code(), Some(0));
    let rate = report_http["answers_per_s"].as_f64().unwrap();
    assert!((450.0..550.0).contains(&rate), "{report_http:#}");
    assert_eq!((&report_http["not_2xx"], &report_http["broken"]), (&0.into(), &0.into()));
    assert!(report_http["latency_ms"]["p50"].as_f64().unwrap() < 100.0, "{report_http:#}");

    let url = format!("rtmp://{rtmp}");
    let args = ["bench", "idle", &url, "--connections", "50", "--hold", "1s", "--pid", &pid];
    let output = weir(&[&args[..], &["--json", "-"]].concat());
    let idle = report(&output)["result"].clone();
    assert_eq!(output.status.code(), Some(0), "{idle:#}");
    assert_eq!((&idle["open"], &idle["failed"]), (&50.into(), &0.into()));
    assert!(idle["memory_per_connection_bytes"].as_f64().is_some());
}

/// A server that stops for a second: whoever only times what it sends sees one slow answer for each
/// connection, whoever was due to ask meanwhile saw it too.
#[test]
fn a_pause_of_the_server_counts_for_all_who_were_due() {
    let pauses = peer(|mut client| {
        let began = Instant::now();
        let mut paused = false;
        while matches!(client.read(&mut [0; 1000]), Ok(1..)) {
            if !paused && began.elapsed() > Duration::from_millis(1000) {
                paused = true;
                thread::sleep(Duration::from_secs(1));
            }
            let _ = client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let url = format!("http://{pauses}/");
    let args = ["bench", "http", &url, "--connections", "2", "--rate", "200", "--hold", "3s"];
    let output = weir(&[&args[..], &["--settle", "200ms", "--json", "-"]].concat());
    let result = report(&output)["result"].clone();
    // A third of the time was the pause; those who were due in it waited half of it on average.
    assert!(result["latency_ms"]["p90"].as_f64().unwrap() > 500.0, "{result:#}");
    assert!(result["service_ms"]["p90"].as_f64().unwrap() < 200.0, "{result:#}");
}

#[test]
fn the_plan_is_the_classic_sum_and_what_it_forgets() {
    let output = weir(&["plan", "--nic", "10G", "--share", "80%", "--bitrate", "2.5M"]);
    let said = words(&output);
    assert!(output.status.success(), "{said}");
    for word in ["3,200 players", "HTTP-FLV", "keyframes", "descriptors", "To lift it"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    let output = weir(&["plan", "--audience", "100k", "--json"]);
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(plan["classic_players"], 3200);
    assert!(plan["edges"]["edges"].as_u64().unwrap() >= 32, "{plan:#}");
    let output = weir(&["plan", "--report", "/nonexistent"]);
    assert!(!output.status.success() && words(&output).contains("/nonexistent"));
}
