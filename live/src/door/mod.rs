//! The doors: how publishers and players come in.
//!
//! | file | what it knows |
//! | --- | --- |
//! | [`rtmp`] | connections of encoders and old players |
//! | [`path`] | what a path asks for |
//! | [`http`] | streams over HTTP |
//! | [`websocket`] | streams over WebSocket |
//! | [`hls`] | lists of segments, and segments |

pub mod hls;
pub mod http;
pub mod path;
pub mod rtmp;
pub mod websocket;

use std::fmt;
use std::net::SocketAddr;

use network::{CloseReason, Connection, Options};

use crate::counters::Reason;
use crate::hub::Hub;
use crate::limits;
use crate::log::view::Start;
use crate::seat::Account;
use crate::settings::Settings;

/// The options of connections at all doors.
#[must_use]
pub fn options(settings: &Settings) -> Options {
    Options {
        notsent_lowat: Some(settings.play.unsent_in_kernel),
        stalled: Some(settings.play.close_after),
        idle: Some(settings.handshake_within),
        keepalive: Some(limits::KEEPALIVE),
        ..Options::default()
    }
}

/// An address in a log line; a Unix peer has none.
struct Peer(Option<SocketAddr>);

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => write!(f, "{address}"),
            None => f.write_str("unix"),
        }
    }
}

/// Where a player's query wants it to begin.
fn start_of(query: &str) -> Start {
    let live = query.split('&').any(|part| part == "start=live");
    if live { Start::Live } else { Start::Key }
}

/// The line that says how a player ended; counts it too.
struct Goodbye<'a> {
    id: &'a str,
    stream: &'a str,
    door: &'static str,
    reason: Reason,
    detail: &'a str,
}

impl Goodbye<'_> {
    fn say(&self, conn: &Connection, account: Account, hub: &Hub) {
        hub.counters.ended(self.reason);
        hub.stopped(self.id, self.reason, conn, account);
        let slow = matches!(self.reason, Reason::Stalled | Reason::Lost);
        // Why it is slow is known as long as the kernel still knows the connection.
        let info = slow.then(|| conn.tcp_info().ok()).flatten();
        tracing::info!(
            conn = self.id,
            stream = self.stream,
            door = self.door,
            reason = self.reason.label(),
            detail = self.detail,
            seconds = (account.seconds * 10.0).round() / 10.0,
            bytes = conn.sent(),
            skips = account.skips,
            skipped_bytes = account.skipped_bytes,
            lag_ms = account.lag_ms,
            rtt_ms = info.map(|info| info.round_trip.as_secs_f64() * 1000.0),
            retransmits = info.map(|info| info.retransmits),
            unsent = info.map(|info| info.unsent),
            "play ended"
        );
    }
}

/// A reason and the words for it, where a connection has ended.
fn ending(known: Option<Reason>, close: &CloseReason) -> (Reason, String) {
    match known {
        Some(reason) => (reason, String::new()),
        None => (Reason::of(close), close.to_string()),
    }
}
