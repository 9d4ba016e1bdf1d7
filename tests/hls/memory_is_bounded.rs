//! A list of a small window costs memory for that window, however long the stream lasts, and no disk.

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
    let early = resident(weir.program.id());
    stream(&mut publisher, &mut card, 1_350);
    let late = resident(weir.program.id());
    // 45 seconds more of it are 22 MB in each format.
    assert!(late < early + 8_000, "{early} kB after 15 s, {late} kB after 60 s");
    let open = std::fs::read_dir(format!("/proc/{}/fd", weir.program.id())).unwrap();
    let files: Vec<_> =
        open.flatten().filter_map(|fd| std::fs::read_link(fd.path()).ok()).collect();
    let is_disk = |path: &&std::path::PathBuf| {
        let text = path.to_string_lossy();
        text.starts_with('/') && !text.starts_with("/dev/") && !text.starts_with("/memfd:")
    };
    assert_eq!(files.iter().find(is_disk), None, "nothing is written to disk");
    drop(publisher);
    for followed in following {
        followed.join().unwrap().clean();
    }
}
