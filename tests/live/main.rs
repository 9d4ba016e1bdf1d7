//! The server over real sockets, frame by frame: one behaviour per file.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

mod all_loops_serve;
mod clocks;
mod config_changes_in_band;
mod copies;
mod drain;
mod enhanced;
mod http_answers;
mod joins_on_a_keyframe;
mod limits;
mod names;
mod one_call_per_flush;
mod player_before_publisher;
mod publisher_goes_silent;
mod publisher_returns;
mod rtmps;
mod slow_player_is_closed;
mod slow_player_skips;
mod stream_ends;
mod takeover;
