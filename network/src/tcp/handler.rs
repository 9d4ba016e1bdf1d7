//! What a connection tells its owner.

use std::io;

use super::Connection;
use crate::EventLoop;

/// What happens on a connection, told to whoever owns it. One value per connection: it is the place
/// for everything that belongs to that connection.
///
/// The order is: `opened`, then any number of the others, then `closed` exactly once. While a method
/// runs, nothing else runs on the loop. What it queues is sent in one system call when it returns.
pub trait Handler {
    /// The connection is up: accepted or connected, and through its TLS handshake where it has one.
    /// Also called on a handler that takes a connection over from another.
    fn opened(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        let _ = (conn, el);
    }

    /// Bytes came. `input` is what the last call left, followed by what was read just now; the return
    /// value says how many bytes are done with. The rest comes again, in front of the next bytes.
    ///
    /// The slice lies in the loop's shared buffer: a connection with no incomplete message keeps no
    /// memory for its input.
    fn received(&mut self, conn: &mut Connection, el: &mut EventLoop, input: &[u8]) -> usize;

    /// So many bytes came and were thrown away ([`Connection::discard_input`]).
    fn discarded(&mut self, conn: &mut Connection, el: &mut EventLoop, bytes: usize) {
        let _ = (conn, el, bytes);
    }

    /// The peer has sent its last byte (a half close, or all there was). `unconsumed` is what it left
    /// incomplete. Closes the connection gracefully unless the handler decides otherwise.
    fn ended(&mut self, conn: &mut Connection, el: &mut EventLoop, unconsumed: &[u8]) {
        let _ = (el, unconsumed);
        conn.close();
    }

    /// The queue has grown past the high-water mark: the peer does not keep up. Whoever produces for
    /// it should stop until [`Handler::writable`].
    fn congested(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        let _ = (conn, el);
    }

    /// The queue has fallen to the low-water mark after [`Handler::congested`], or the socket has room
    /// again after a direct write ([`Connection::gather`], [`Connection::gather_file`]) found none.
    fn writable(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        let _ = (conn, el);
    }

    /// The end of a turn in which somebody marked this connection due ([`EventLoop::mark_due`]) or
    /// reached for it ([`EventLoop::connection`]). Producers write here, once per turn.
    fn due(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        let _ = (conn, el);
    }

    /// A timer started by [`Connection::start_timer`] is due.
    fn timer(&mut self, conn: &mut Connection, el: &mut EventLoop, key: u32) {
        let _ = (conn, el, key);
    }

    /// The loop drains ([`EventLoop::drain`]): say goodbye. Closes gracefully by default.
    fn drain(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        let _ = el;
        conn.close();
    }

    /// The connection is gone. Called once, last, also for a connection that was never `opened`
    /// because its TLS handshake failed or because it was closed before.
    fn closed(&mut self, conn: &mut Connection, el: &mut EventLoop, reason: &CloseReason) {
        let _ = (conn, el, reason);
    }
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// This side closed it; everything queued was sent.
    #[error("closed by this side")]
    Local,
    /// The peer closed it.
    #[error("closed by the peer")]
    Peer,
    /// The peer reset it, or is gone.
    #[error("reset by the peer")]
    Reset,
    /// Nothing was received for the idle time.
    #[error("idle: nothing received for {0:?}")]
    Idle(std::time::Duration),
    /// The peer took nothing of what was queued for the stall time.
    #[error("stalled: the peer took nothing for {0:?}")]
    Stalled(std::time::Duration),
    /// The queue outgrew its bound: the peer takes less than is produced for it.
    #[error("overflow: {0} bytes queued for a peer that does not keep up")]
    Overflow(usize),
    /// The handler left more unconsumed than a message may have.
    #[error("the peer sent a message of more than {0} bytes")]
    TooLarge(usize),
    /// It was closed gracefully, and the peer neither took the rest nor closed its side in time.
    #[error("closed by this side; the peer did not close in time")]
    Lingered,
    /// The TLS handshake failed, or the peer broke the protocol later.
    #[error("TLS: {0}")]
    Tls(String),
    /// Whoever runs this side had it closed ([`Connection::close_because`]).
    #[error("closed by order of the operator")]
    Dismissed,
    /// The loop ended.
    #[error("the event loop ended")]
    LoopEnded,
    /// The kernel reported something else.
    #[error("{0}")]
    Io(io::Error),
}

impl CloseReason {
    pub(crate) fn of(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Self::Reset,
            _ => Self::Io(error),
        }
    }

    /// A short steady word for counters.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Peer => "peer",
            Self::Reset => "reset",
            Self::Idle(_) => "idle",
            Self::Stalled(_) => "stalled",
            Self::Overflow(_) => "overflow",
            Self::TooLarge(_) => "too_large",
            Self::Lingered => "lingered",
            Self::Tls(_) => "tls",
            Self::Dismissed => "dismissed",
            Self::LoopEnded => "loop_ended",
            Self::Io(_) => "io",
        }
    }
}
