//! What the API tells of a running server, and to whom: one behaviour per file.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod client;

mod bad_announcements;
mod bad_questions;
mod described;
mod drains;
mod edges_announce_themselves;
mod events;
mod kicks;
mod listed_nodes;
mod lists;
mod lookup;
mod metrics;
mod odd_bytes_in_heads;
mod readers_that_stop;
mod scripts_of_srs;
mod small_rates_are_told;
mod sorted_lists;
mod streams_elsewhere;
mod too_many_nodes;
mod turns_stay_short;
mod viewers_are_players;
mod who_may_ask;
mod why_a_player_is_slow;
