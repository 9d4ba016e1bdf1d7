//! An encoder dies and comes back with another picture: its players stay, and end when it does.

use weir_tests::{Program, Server};

use crate::support::{pictures, player, publish, sound, well_ended};

/// Waits until a player has decoded so many pictures; how many it has.
fn decoded(player: &Program, at_least: u64) -> u64 {
    loop {
        let line = player.wait_for("frame=");
        let count = line.strip_prefix("frame=").and_then(|count| count.trim().parse().ok());
        if let Some(count) = count.filter(|count| *count >= at_least) {
            return count;
        }
    }
}

#[test]
fn the_publisher_is_killed_and_another_returns() {
    let server = Server::start("[publish]\ngrace = \"3s\"\n", &[]);
    let first = publish(&server, "back", &[pictures("160x120"), sound()]);
    let players = [server.http_url("back"), server.rtmp_url("back")].map(|url| player(&url, None));
    let before = players.each_ref().map(|player| decoded(player, 20));
    first.signal("KILL");
    server.program.wait_for("publish ended");
    let second = publish(&server, "back", &[pictures("240x136"), sound()]);
    server.program.wait_for("publish conn=");
    for (player, before) in players.iter().zip(before) {
        // More than what was on its way from the first.
        decoded(player, before + 60);
    }
    second.signal("TERM");
    for player in players {
        well_ended(player);
    }
}
