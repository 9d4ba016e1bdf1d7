//! Memory grows with the bytes that came, not with those that were announced.

use std::io::Write;

use crate::script::{Script, begun, control};
use crate::support::{Watched, connect, is_read};

/// The process's memory in KiB, shared pages not counted: the log of the demo is made of those.
fn anonymous_kib(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn declared_lengths_cost_nothing() {
    let watched = Watched::start("");
    let mut publishers: Vec<_> = (0..4).map(|_| connect(watched.server.rtmp)).collect();
    let before = anonymous_kib(watched.server.program.id());
    for (number, publisher) in publishers.iter_mut().enumerate() {
        let mut script = Script::publishing(&format!("long{number}")).chunks_of(1);
        // 16 MiB each, a byte of which comes.
        for chunk_stream in 30..60 {
            script = script.raw(&begun(chunk_stream, 0xff_ffff)).raw(&[7]);
        }
        publisher.write_all(&script.chunks_of(128).bytes).unwrap();
        watched.server.program.wait_for("publish conn=");
    }
    for publisher in &mut publishers {
        is_read(publisher);
        // The whole of one in a chunk of 2 GiB; nothing can follow it.
        let size = control(1, &i32::MAX.to_be_bytes());
        publisher.write_all(&[size, begun(61, 0xff_ffff), vec![7]].concat()).unwrap();
    }
    watched.is_well();
    let after = anonymous_kib(watched.server.program.id());
    // 120 messages of 16 MiB were announced.
    assert!(after < before + 8 * 1024, "{before} KiB, then {after} KiB");
    watched.is_well();
}
