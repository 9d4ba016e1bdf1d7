//! Input of peers that are broken or ill-willed: it ends their connection, with a reason, and nobody
//! else notices. One behaviour per file.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod script;
mod support;

mod aggregates_that_are_none;
mod amf_that_is_too_much;
mod chunks_that_make_no_sense;
mod commands_that_make_no_sense;
mod configurations_cut_anywhere;
mod declared_lengths_cost_nothing;
mod garbage;
mod media_of_no_message_stream;
mod nal_units_past_their_tag;
mod names_and_paths_of_http;
mod other_protocols_on_the_rtmp_port;
mod visitors_that_take_their_time;
mod websocket_frames_without_a_mask;
