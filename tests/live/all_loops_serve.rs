//! Every loop serves every stream, wherever its publisher came in.

use crate::support::{Card, Weir, number};

#[test]
fn many_players_of_streams_that_live_on_different_loops() {
    let weir = Weir::with("", &["--loops", "3"]);
    let mut streams = Vec::new();
    for i in 0..6 {
        let name = format!("live/s{i}");
        let mut publisher = weir.publish(&name);
        let mut card = Card::new(320, 240);
        publisher.pictures(&mut card, 5);
        let mut players: Vec<_> = (0..4).flat_map(|_| weir.players(&name)).collect();
        for player in &mut players {
            assert_eq!(number(&player.picture()), 0, "{}", player.door());
        }
        streams.push((publisher, card, players));
    }
    for (publisher, card, players) in &mut streams {
        publisher.pictures(card, 20);
        for player in players {
            for wanted in [5, 12, 24] {
                assert_eq!(number(&player.until(wanted)), wanted, "{}", player.door());
            }
        }
    }
    assert_eq!(weir.count("players"), 72);
    let page = weir.page();
    for place in 0..3 {
        let line = page.lines().find(|line| line.starts_with(&format!("loop {place}: "))).unwrap();
        assert!(!line.contains(": 0 connections"), "{page}");
    }
}
