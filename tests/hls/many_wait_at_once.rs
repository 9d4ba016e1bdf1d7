//! Thousands of requests from one address wait for the next part: that costs nothing while nothing comes,
//! and all are answered when it does.
//!
//! `WEIR_HELD=10000 cargo test --release -p weir-tests --test hls many_wait -- --nocapture` prints how long
//! answers take; `WEIR_LOOPS` says on how many loops.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::live::{Card, Weir};
use crate::support::{Client, hinted, stream};

const LIST: &str = "/live/many/video.m3u8";

fn setting(name: &str, usual: usize) -> usize {
    std::env::var(name).map_or(usual, |text| text.parse().expect("a number"))
}

/// Time on the processor that a process has had, of the system's ticks: a hundredth of a second each.
fn ticks(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Kilobytes of memory that a process has.
pub fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn and_are_answered_at_the_next_part() {
    let (count, loops) = (setting("WEIR_HELD", 2_000), setting("WEIR_LOOPS", 2));
    let config = "[hls]\nsegment = \"2s\"\nlongest_segment = \"20s\"\n";
    let weir = Weir::with(config, &["--loops", &loops.to_string()]);
    let mut publisher = weir.publish("live/many");
    let mut card = Card::of(media::testcard::Options { gop_frames: 60, ..Card::options() });
    let mut client = Client::new(weir.http);
    client.ask("GET", LIST, "");
    // Three segments, five parts of the fourth, and the picture that ends the last of these.
    stream(&mut publisher, &mut card, 211);
    client.answer();
    let before = resident(weir.program.id());
    let mut sockets: Vec<TcpStream> =
        (0..count).map(|_| TcpStream::connect(weir.http).unwrap()).collect();
    let mut delays = Vec::new();
    for round in 0..5 {
        // All of it is listed.
        let (mut msn, mut part) = hinted(&client.list(LIST)).unwrap();
        while part < 5 + round {
            let next = client.list(&format!("{LIST}?_HLS_msn={msn}&_HLS_part={part}"));
            (msn, part) = hinted(&next).unwrap();
        }
        for socket in &mut sockets {
            write!(
                socket,
                "GET {LIST}?_HLS_msn={msn}&_HLS_part={part} HTTP/1.1\r\nHost: weir\r\n\
                 Accept-Encoding: gzip\r\n\r\n"
            )
            .unwrap();
        }
        // A last one, behind the others on its loop: a moment later all of them wait.
        let mut last = Client::new(weir.http);
        last.ask("GET", &format!("{LIST}?_HLS_msn={msn}&_HLS_part={part}"), "");
        assert!(last.is_silent_for(Duration::from_millis(500)));
        if round == 0 {
            // A machine with other work may still be reading what was asked the first time.
            let mut windows = (0..3).map(|_| {
                let began = ticks(weir.program.id());
                std::thread::sleep(Duration::from_secs(2));
                ticks(weir.program.id()) - began
            });
            assert!(windows.any(|busy| busy <= 10), "it works while nothing comes");
        }
        // The frames of a part, and then the one that ends it.
        let frames = card.pictures(5);
        let end = card.pictures(1).pop().unwrap();
        frames.iter().for_each(|frame| publisher.send(frame));
        let sent = Instant::now();
        publisher.send(&end);
        delays.extend(answers(&mut sockets, sent));
        last.answer();
    }
    delays.sort();
    let at = |share: usize| delays[(delays.len() - 1) * share / 1000];
    println!(
        "{count} held on {loops} loops: median {:?}, p99 {:?}, most {:?}",
        at(500),
        at(990),
        at(1000)
    );
    let full = resident(weir.program.id());
    drop(sockets);
    let until = Instant::now() + weir_tests::PATIENCE;
    while crate::reloads_wait::connections(&weir) > 4 {
        assert!(Instant::now() < until, "{}", weir.page());
        std::thread::sleep(Duration::from_millis(50));
    }
    let after = resident(weir.program.id());
    println!("{before} kB before, {full} kB with all of them, {after} kB after");
    assert!(after < before + 20_000 + 2 * count as u64, "{before} kB before and {after} kB after");
}

/// Reads an answer from each, in the order they asked, and says how long after `sent` it was there.
fn answers(sockets: &mut [TcpStream], sent: Instant) -> Vec<Duration> {
    let mut delays = Vec::new();
    let mut space = vec![0; 64 * 1024];
    for socket in sockets.iter_mut() {
        socket.set_read_timeout(Some(weir_tests::PATIENCE)).unwrap();
        let read = socket.read(&mut space).unwrap();
        delays.push(sent.elapsed());
        assert!(
            space[..read].starts_with(b"HTTP/1.1 200"),
            "{}",
            String::from_utf8_lossy(&space[..read])
        );
    }
    delays
}
