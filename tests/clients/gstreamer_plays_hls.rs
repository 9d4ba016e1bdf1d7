//! GStreamer plays HLS of transport streams: the first players to come, and to the very end.

use std::process::Command;

use weir_tests::{Program, Server};

use crate::support::{pictures, publish, sound, words};

/// Pictures that are decoded before the publisher ends: more than two segments have.
const DECODED: usize = 150;

#[test]
fn a_list_is_played_to_its_end() {
    let server = Server::start("[publish]\ngrace = \"0s\"\n", &[]);
    let publisher = publish(&server, "talk", &[pictures("160x120"), sound()]);
    server.program.wait_for("publish conn=");
    let url = format!("http://{}/live/talk.m3u8?format=ts", server.http);
    let mut command = Command::new("gst-launch-1.0");
    // The last element tells of each picture. Without an end of its own: a sink that has enough does not
    // end a live list.
    command.args(["-v", "souphttpsrc", &format!("location={url}")]);
    command.args(words("! hlsdemux ! tsdemux ! h264parse ! avdec_h264 ! fakesink silent=false"));
    let player = Program::spawn(command);
    for _ in 0..DECODED {
        player.wait_for("last-message = chain ");
    }
    publisher.signal("TERM");
    let (status, said) = player.end();
    assert!(status.success(), "{status}: {said:#?}");
    let says = |words: &str| said.iter().any(|line| line.contains(words));
    assert!(says("Got EOS from element"), "{said:#?}");
    assert!(!says("WARNING") && !says("ERROR"), "{said:#?}");
}
