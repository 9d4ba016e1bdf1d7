//! HLS, LL-HLS and DASH over real sockets: one behaviour per file.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../live/support.rs"]
#[allow(dead_code)]
mod live;
mod support;

mod a_cache_asks_once;
mod a_stream_ends_and_begins_anew;
mod a_track_stops;
mod dash;
mod files_are_the_stream;
mod heads_that_caches_understand;
mod lists_keep_the_rules;
mod many_wait_at_once;
mod memory_is_bounded;
mod reloads_wait;
mod viewers_are_counted;
