//! Who asks much of the API does not hold up the loops: their turns stay short.

use std::collections::BTreeMap;

use weir_tests::Server;

use crate::client::{ask, ask_with, get_until, play_on, server_with_a_stream};

const PLAYERS: usize = 400;

/// Turns of all loops: those within 10 ms, and all.
fn turns(server: &Server) -> (u64, u64) {
    let page = ask(server, "GET", "/metrics").text();
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for line in page.lines().filter(|line| line.starts_with("weir_loop_turn_seconds_bucket")) {
        let (labels, count) = line.rsplit_once(' ').unwrap();
        let bound = labels.split("le=\"").nth(1).unwrap().trim_end_matches("\"}");
        *sums.entry(bound).or_default() += count.parse::<u64>().unwrap();
    }
    (sums["0.01"], sums["+Inf"])
}

#[test]
fn lists_and_figures_of_many_clients_are_made_in_small_pieces() {
    let server = server_with_a_stream("");
    let players: Vec<_> = (0..PLAYERS).map(|_| play_on(&server)).collect();
    get_until(&server, "/api/v1/clients?limit=1", |list| list["total"] == PLAYERS + 1);
    let before = turns(&server);
    // Many at the same time: one alone would be short anyway.
    let http = server.http;
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(move || {
                for target in ["/api/v1/clients?pretty", "/api/v1/clients?sort=lag", "/metrics"] {
                    assert_eq!(ask_with(http, "GET", target, "").status, 200, "{target}");
                }
            });
        }
    });
    let after = turns(&server);
    let (all, short) = (after.1 - before.1, after.0 - before.0);
    // The machine that tests takes a loop's core away now and then.
    assert!(all >= 100 && all - short <= all / 20, "{short} of {all} turns within 10 ms");
    drop(server);
    players.into_iter().for_each(|player| player.join().unwrap());
}
