//! The manifest names what is there; the segment in progress is sent as it grows; ffmpeg plays it.

use std::process::Command;

use crate::live::{Card, Weir};
use crate::support::{Client, hinted, stream};

const CONFIG: &str = "[publish]\ngrace = \"1s\"\n[hls]\nsegment = \"1s\"\nwindow = \"10s\"\n";
const MANIFEST: &str = "/live/dash.mpd";

fn attribute<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.split_once(&format!(" {name}=\""))?.1.split_once('"').map(|(value, _)| value)
}

/// Each template's init segment and the segments of its timeline, in order.
fn named(manifest: &str) -> Vec<(String, Vec<String>)> {
    let templates = manifest.split("<SegmentTemplate").skip(1);
    templates
        .map(|template| {
            let template = template.split("</SegmentTemplate>").next().unwrap();
            let first: u64 = attribute(template, "startNumber").unwrap().parse().unwrap();
            let entries =
                template.split("<S").skip(1).filter(|entry| attribute(entry, "d").is_some());
            let repeats = entries
                .map(|entry| attribute(entry, "r").map_or(1, |r| 1 + r.parse::<u64>().unwrap()));
            let count: u64 = repeats.sum();
            let media = attribute(template, "media").unwrap();
            let name = |number: u64| media.replace("$Number$", &number.to_string());
            let init = attribute(template, "initialization").unwrap().to_owned();
            (init, (first..first + count).map(name).collect())
        })
        .collect()
}

#[test]
fn what_it_names_is_there_and_grows() {
    let weir = Weir::with(CONFIG, &["--loops", "2"]);
    let (mut publisher, mut card) = (weir.publish("live/dash"), Card::new(320, 240));
    let mut client = Client::new(weir.http);
    client.ask("GET", MANIFEST, "");
    stream(&mut publisher, &mut card, 100);
    client.answer();
    // A part of the fourth segment is there.
    let list = "/live/dash/video.m3u8";
    while hinted(&client.list(list)).is_none_or(|(_, part)| part == 0) {
        std::thread::yield_now();
    }
    let answer = client.get(MANIFEST);
    assert_eq!(answer.header("Content-Type"), "application/dash+xml");
    let manifest = answer.text();
    let sets = named(&manifest);
    assert_eq!(sets.len(), 2, "{manifest}");
    for (init, segments) in &sets {
        assert!(client.body(&format!("/live/{init}"))[4..].starts_with(b"ftyp"));
        assert!(segments.len() >= 3, "{manifest}");
        for segment in &segments[..segments.len() - 1] {
            let whole = client.get(&format!("/live/{segment}"));
            assert_eq!((whole.status, whole.header("Transfer-Encoding")), (200, ""), "{segment}");
        }
    }
    let growing = format!("/live/{}", sets[0].1.last().unwrap());
    let mut grows = Client::new(weir.http);
    grows.ask("GET", &growing, "");
    let head = grows.head();
    assert!(head.contains("Transfer-Encoding: chunked"), "{head}");
    let mut bytes = grows.chunk().unwrap();
    stream(&mut publisher, &mut card, 7);
    bytes.extend(grows.chunk().expect("another part"));
    stream(&mut publisher, &mut card, 40);
    while let Some(chunk) = grows.chunk() {
        bytes.extend(chunk);
    }
    assert!(bytes == grows.body(&growing), "in the end it is the whole segment");
    let clock = attribute(&manifest, "value").unwrap_or_default();
    assert!(manifest.contains("urn:mpeg:dash:utc:http-iso") || clock.is_empty());
    assert!(client.get("/time").text().ends_with('Z'));
    drop(publisher);
    while !client.list(MANIFEST).contains("type=\"static\"") {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

/// Whoever fetches pictures only leaves nobody without sound.
#[test]
fn it_has_both_tracks_although_one_list_is_followed() {
    let weir = Weir::with(CONFIG, &["--loops", "1"]);
    let (mut publisher, mut card) = (weir.publish("live/dash"), Card::new(320, 240));
    let mut client = Client::new(weir.http);
    client.ask("GET", "/live/dash/video.m3u8", "");
    stream(&mut publisher, &mut card, 150);
    client.answer();
    client.ask("GET", MANIFEST, "");
    stream(&mut publisher, &mut card, 100);
    let manifest = client.answer().text();
    assert_eq!(named(&manifest).len(), 2, "{manifest}");
    assert!(manifest.contains("value=\"/time\""), "no word of who asked: {manifest}");
}

#[test]
fn ffmpeg_plays_it() {
    let weir = Weir::with(CONFIG, &["--loops", "2", "--demo"]);
    let url = format!("http://{}/live/demo.mpd", weir.http);
    let mut player = Command::new("ffmpeg");
    player.args(["-nostdin", "-v", "error", "-i", &url, "-t", "6", "-f", "null", "-"]);
    let output = player.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // It loses its place where it reads a manifest again whose numbers do not begin with 0, and plays a
    // segment twice.
    let complaint = said.lines().find(|line| !line.contains("non monotonically increasing dts"));
    assert!(output.status.success() && complaint.is_none(), "{said}");
}
