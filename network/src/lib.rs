//! An event-driven network library: one loop per thread, nothing shared, nothing locked on the way of
//! the data, no copy that the kernel does not ask for.
//!
//! In reading order, each layer knowing only those before it:
//!
//! | layer | what it does | what it refuses to do |
//! | --- | --- | --- |
//! | [`limits`] | every bound, with its reason | |
//! | `sys` | the system calls, the only `unsafe` | decide anything |
//! | [`EventLoop`], [`Handle`], [`Source`] | a turn: poll, events, tasks, timers, flush | know what a byte means |
//! | timers, [signals](EventLoop::on_signals), [names](EventLoop::resolve) | time and the rest of the system as events | block a loop |
//! | [`Threads`] | several loops | share anything between them |
//! | [`Connection`], [`Listen`], [`Connect`] | TCP and Unix sockets, with back pressure | queue without a bound |
//! | [`tls`] | TLS between a connection and its handler | plaintext fallbacks |
//! | [`udp`] | datagrams in batches | |
//! | [`http`], [`websocket`] | HTTP/1.1 and WebSocket, both sides | guess at ambiguous requests |
//!
//! The examples are the documentation of use: `echo`, `framed`, `push`, `max_connections`, `http`,
//! `http_client`, `reconnect`, `signals`, `pairs`.

#![deny(unsafe_code)]

/// The program in the document for users compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/network.md")]
struct Document;

mod event_loop;
mod handle;
pub mod http;
pub mod limits;
mod memory_file;
mod resolve;
mod signal;
mod slots;
#[allow(unsafe_code)]
mod sys;
mod tcp;
mod threads;
mod timer;
pub mod tls;
pub mod udp;
pub mod websocket;

pub use event_loop::{EventLoop, Interest, LoopError, Ready, Source, SourceId};
pub use handle::{Handle, LoopEnded};
pub use memory_file::MemoryFile;
pub use resolve::ResolveError;
pub use signal::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
pub use tcp::{
    Accepted, Backoff, Bound, CloseReason, Connect, ConnectCause, ConnectError, Connected,
    Connecting, Connection, Detached, Endpoint, EndpointError, FileRange, Handler, Keepalive,
    Limiter, Listen, ListenError, Options, Pass, Placement, Reach, Refusal, TcpInfo,
};
pub use threads::{SetupResult, StartError, Threads, default_loops};
pub use timer::Timer;

/// Raises the soft limit of open files to the hard one and returns it.
///
/// # Errors
/// The kernel refuses.
pub fn raise_open_files() -> std::io::Result<u64> {
    sys::raise_open_files()
}

/// Binds the calling thread to one core. The threads and processes it starts from then on inherit that.
///
/// # Errors
/// There is no such core, or this process may not use it.
pub fn pin_to_core(core: usize) -> std::io::Result<()> {
    sys::pin_to_core(core)
}
