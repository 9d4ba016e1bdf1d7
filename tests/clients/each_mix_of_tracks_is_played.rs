//! Sound, pictures or both: ffprobe sees what was sent, and ffmpeg decodes it by each door.

use weir_tests::Server;

use crate::support::{figure, pictures, player, publish, sound, tracks, well_ended};

fn is_played(parts: &[Vec<String>], expected: &[&str]) {
    let server = Server::start("", &[]);
    let _publisher = publish(&server, "mix", parts);
    let urls = [server.rtmp_url("mix"), server.http_url("mix")];
    let players = urls.each_ref().map(|url| player(url, Some("2")));
    for url in &urls {
        assert_eq!(tracks(url), expected, "{url}");
    }
    for player in players {
        let said = well_ended(player);
        if expected.iter().any(|track| track.starts_with("h264")) {
            // Two seconds of 30 pictures each, none left out.
            let frames = figure(&said, "frame");
            assert!((59..=61).contains(&frames), "{frames} frames: {said:#?}");
            assert_eq!(figure(&said, "drop_frames"), 0);
        }
        assert!(figure(&said, "out_time_us") >= 1_900_000, "{said:#?}");
    }
}

#[test]
fn sound_and_pictures() {
    is_played(&[pictures("160x120"), sound()], &["aac", "h264 160x120"]);
}

#[test]
fn sound_alone() {
    is_played(&[sound()], &["aac"]);
}

#[test]
fn pictures_alone() {
    is_played(&[pictures("176x144")], &["h264 176x144"]);
}
