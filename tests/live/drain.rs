//! SIGTERM: everybody is told, and the server ends in time.

use std::time::Instant;

use crate::support::{Card, Weir};

#[test]
fn publishers_and_players_are_told() {
    let weir = Weir::with("", &["--loops", "2", "--drain", "5"]);
    let mut publisher = weir.publish("live/s");
    publisher.pictures(&mut Card::new(320, 240), 12);
    weir.wait_count("frames_in", publisher.frames);
    let mut players = weir.players("live/s");
    for player in &mut players {
        player.until(11);
    }
    let began = Instant::now();
    weir.program.signal("TERM");
    let ends: Vec<String> = players.iter_mut().map(|player| player.end()).collect();
    assert!(ends[0].starts_with("NetStream.Play."), "{ends:?}");
    assert_eq!(ends[1..], ["last chunk", "close 1001"]);
    drop(players);
    publisher.told();
    let (status, said) = weir.program.end();
    assert_eq!(status.code(), Some(0), "{said:#?}");
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    let ended = said.iter().filter(|line| line.contains("\"drained\"")).count();
    assert_eq!(ended, 4, "{said:#?}");
}
