//! The programs of the workspace as a user runs them: one behaviour per file.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bad_options;
mod bench;
mod bench_http;
mod command_line;
mod config;
mod examples;
mod reports_are_written;
mod serve;
mod stalled_log;
mod system_calls;
mod top;
