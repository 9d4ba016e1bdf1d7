//! What the server makes by itself is H.264 and AAC to others too.

use weir_tests::Server;

use crate::support::{figure, player, tracks, well_ended};

#[test]
fn the_test_card_decodes() {
    let server = Server::start("", &["--demo"]);
    let urls = [server.rtmp_url("demo"), server.http_url("demo")];
    let players = urls.each_ref().map(|url| player(url, Some("2")));
    let found = tracks(&urls[0]);
    assert!(found[0] == "aac" && found[1].starts_with("h264 "), "{found:?}");
    for player in players {
        let said = well_ended(player);
        assert!(figure(&said, "frame") >= 45, "{said:#?}");
    }
}
