//! The `network` crate over real sockets: one behaviour per file.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::type_complexity
)]

mod backpressure;
mod bad_days;
mod busy_share;
mod connector;
mod discard;
mod endings;
mod event_loop;
mod handover;
mod http_client;
mod http_server;
mod limits;
mod listener;
mod peers;
mod reentrancy;
mod support;
mod tasks;
mod threads;
mod timers;
mod tls;
mod transfer;
mod udp;
mod websocket;
