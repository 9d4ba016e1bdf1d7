//! Sound that stops for longer than a segment and comes back: its list has gaps, and players go on.

use std::process::Command;

use media::{Frame, Track};

use crate::live::{Card, Weir};
use crate::support::{Client, files, publish, segments};

const CONFIG: &str = "[publish]\ngrace = \"1s\"\n[hls]\nsegment = \"1s\"\nwindow = \"20s\"\n";

/// A stream of fourteen seconds that is over, without sound from second 5.3 to 8.7.
fn over(weir: &Weir, name: &str) {
    let mut publisher = weir.publish(name);
    let lists = ["video", "audio"].map(|list| {
        let mut client = Client::new(weir.http);
        client.ask("GET", &format!("/{name}/{list}.m3u8"), "");
        client
    });
    let frames = Card::new(320, 240).pictures(420);
    let is_sound = |frame: &Frame| frame.track == Track::Audio;
    let is_heard = |f: &&Frame| !is_sound(f) || !(5_300..8_700).contains(&f.dts.millis());
    let frames: Vec<Frame> = frames.iter().filter(is_heard).cloned().collect();
    publish(&mut publisher, &frames);
    for mut list in lists {
        assert_eq!(list.answer().status, 200);
    }
    drop(publisher);
    let mut client = Client::new(weir.http);
    for list in ["video", "audio"] {
        while !client.list(&format!("/{name}/{list}.m3u8")).contains("#EXT-X-ENDLIST") {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

#[test]
fn ffmpeg_plays_on_behind_a_gap() {
    let weir = Weir::with(CONFIG, &["--loops", "2"]);
    over(&weir, "live/gap");
    let mut client = Client::new(weir.http);
    let list = client.list("/live/gap/audio.m3u8");
    assert!(list.matches("#EXT-X-GAP\n").count() >= 2, "{list}");
    let gap = list.split("#EXT-X-GAP\n").nth(1).unwrap().lines().nth(1).unwrap();
    assert_eq!(client.get(&format!("/live/gap/{gap}")).status, 404, "{gap}");
    for file in files(&list) {
        assert_eq!(client.get(&format!("/live/gap/{file}")).status, 200, "{file}");
    }
    for rendition in ["audio", "video"] {
        let url = format!("http://{}/live/gap/{rendition}.m3u8", weir.http);
        let mut player = Command::new("ffmpeg");
        player.args(["-nostdin", "-v", "error", "-copyts", "-i", &url, "-c", "copy"]);
        let output = player.args(["-f", "framecrc", "-"]).output().unwrap();
        let (out, said) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{said}");
        // It does not know of gaps, asks for the file, and goes on without it.
        let is_of_gap =
            |line: &str| line.contains("404") || line.contains("Failed to open segment");
        assert_eq!(said.lines().find(|line| !is_of_gap(line)), None, "{said}");
        let scale = out.lines().find_map(|line| line.strip_prefix("#tb 0: 1/")).unwrap();
        let scale: f64 = scale.parse().unwrap();
        let time = |line: &str| line.split(',').nth(1)?.trim().parse::<f64>().ok();
        let lines = out.lines().filter(|line| !line.starts_with('#'));
        let times: Vec<f64> = lines.filter_map(time).map(|ticks| ticks / scale).collect();
        let far = times.windows(2).filter(|pair| pair[1] - pair[0] > 0.5).count();
        assert_eq!(far, usize::from(rendition == "audio"), "{rendition}");
        assert!(times.windows(2).all(|pair| pair[1] > pair[0]), "{rendition}");
        let span = times.last().unwrap() - times.first().unwrap();
        assert!((11.5..14.5).contains(&span), "{rendition}: {span}");
    }
}

#[test]
fn a_manifest_counts_right_behind_a_gap() {
    let weir = Weir::with(CONFIG, &["--loops", "2"]);
    over(&weir, "live/gap");
    let mut client = Client::new(weir.http);
    let list = client.list("/live/gap/audio.m3u8");
    let behind = list.rsplit("#EXT-X-GAP\n").next().unwrap();
    let (_, behind) = behind.split_once(".m4s\n").unwrap();
    let manifest = client.list("/live/gap.mpd");
    let (_, sound) = manifest.split_once("contentType=\"audio\"").unwrap();
    let value = |text: &str, name: &str| -> u64 {
        let (_, rest) = text.split_once(&format!(" {name}=\"")).unwrap_or(("", "0\""));
        rest.split_once('"').unwrap().0.parse().unwrap()
    };
    let first = value(sound, "startNumber");
    assert!(segments(behind)[0].ends_with(&format!("-{first}.m4s")), "{list}{manifest}");
    let entries = sound.lines().filter(|line| line.trim_start().starts_with("<S "));
    let count: u64 = entries.map(|line| 1 + value(line, "r")).sum();
    assert_eq!(count as usize, segments(behind).len(), "{list}{manifest}");
}
