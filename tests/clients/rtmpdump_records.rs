//! librtmp, the player inside many others.

use std::process::Command;

use weir_tests::{Program, Server};

use crate::support::{pictures, probe, publish, sound, tracks, words};

#[test]
fn rtmpdump_records() {
    let server = Server::start("[publish]\ngrace = \"0s\"\n", &[]);
    let file = std::env::temp_dir().join(format!("weir-rtmpdump-{}.flv", std::process::id()));
    let path = file.to_str().unwrap();
    let parts = [pictures("160x120"), sound(), words("-t 2")];
    let publisher = publish(&server, "dump", &parts);
    server.program.wait_for("publish conn=");
    let mut command = Command::new("rtmpdump");
    command.args(["-q", "--live", "-o", path, "-r", &server.rtmp_url("dump")]);
    // It ends by itself when the stream does.
    let (status, said) = Program::spawn(command).end();
    let (published, _) = publisher.end();
    let found = tracks(path);
    let frames = "-count_frames -select_streams v -show_entries stream=nb_read_frames -of csv=p=0";
    let frames = probe(frames, path);
    std::fs::remove_file(&file).unwrap();
    assert!(status.success() && published.success(), "{status}: {said:#?}");
    assert_eq!(found, ["aac", "h264 160x120"]);
    let count: u64 = frames[0].trim_end_matches(',').parse().unwrap();
    assert!(frames.len() == 1 && (20..=60).contains(&count), "{frames:#?}");
}
