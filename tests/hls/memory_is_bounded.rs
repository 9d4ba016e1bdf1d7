//! A list of a small window costs memory for that window, however long the stream lasts, and no disk.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use media::playlist::Rendition::{Audio, Ts, Video};

use crate::live::{Card, Weir};
use crate::many_wait_at_once::resident;
use crate::support::{follow, stream};

#[test]
fn by_the_window() {
    let config = "[publish]\ngrace = \"1s\"\n[hls]\nsegment = \"1s\"\nwindow = \"4s\"\n\
                  [log]\nbytes = \"4M\"\n[play]\nskip_bytes = \"2M\"\nskip_after = \"1s\"\nclose_after = \"4s\"\n";
    let weir = Weir::with(config, &["--loops", "2"]);
    let following = [Video, Audio, Ts].map(|of| follow(&weir, "live/small", of));
    let mut publisher = weir.publish("live/small");
    let options = media::testcard::Options { video_bitrate: 4_000_000, ..Card::options() };
    let mut card = Card::of(options);
    stream(&mut publisher, &mut card, 450);
    let process = weir.program.id();
    let (early, early_logs) = (resident(process), logs(process));
    stream(&mut publisher, &mut card, 1_350);
    let (late, late_logs) = (resident(process), logs(process));
    // 45 seconds more of it are 22 MB in each format.
    assert!(late < early + 8_000, "{early} kB after 15 s, {late} kB after 60 s");
    assert!(early_logs > 1 << 20, "{early_logs} bytes are those of three lists");
    assert!(late_logs < early_logs + (4 << 20), "{early_logs}, then {late_logs} bytes of logs");
    // What this process has open too, the server got from whoever started both.
    let (ours, files) = (files("self"), files(&process.to_string()));
    let is_disk = |path: &&PathBuf| {
        let text = path.to_string_lossy();
        let is_other = text.starts_with("/dev/") || text.starts_with("/memfd:");
        text.starts_with('/') && !is_other && !ours.contains(path)
    };
    assert_eq!(files.iter().find(is_disk), None, "nothing is written to disk");
    drop(publisher);
    for followed in following {
        followed.join().unwrap().clean();
    }
}

fn files(process: &str) -> Vec<PathBuf> {
    let open = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    open.flatten().filter_map(|fd| std::fs::read_link(fd.path()).ok()).collect()
}

/// Bytes of memory that logs take.
fn logs(process: u32) -> u64 {
    let open = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let is_log = |path: &PathBuf| {
        std::fs::read_link(path).is_ok_and(|to| to.to_string_lossy().contains("weir-log"))
    };
    let paths = open.flatten().map(|fd| fd.path()).filter(is_log);
    paths.filter_map(|path| std::fs::metadata(path).ok()).map(|log| log.blocks() * 512).sum()
}
