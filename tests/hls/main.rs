//! HLS, LL-HLS and DASH over real sockets: one behaviour per file.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../live/support.rs"]
#[allow(dead_code)]
mod live;
mod support;

mod lists_keep_the_rules;
