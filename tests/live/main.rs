//! The server over real sockets, frame by frame: one behaviour per file.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bodies;
mod support;

mod a_skip_goes_on_with_whole_pictures;
mod all_loops_serve;
mod clocks;
mod config_changes_in_band;
mod containers_cost_little;
mod copies;
mod drain;
mod enhanced;
mod http_1_0_plays_to_the_end;
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
mod websocket_messages_are_whole;
mod what_is_left_out;
