//! What a socket tells its owner.

use std::io;
use std::net::SocketAddr;

use super::{Batch, UdpSocket};
use crate::{CloseReason, EventLoop};

/// What happens on a socket, told to whoever owns it.
///
/// The order is: `opened`, then any number of the others, then `closed` exactly once. While a method
/// runs, nothing else runs on the loop. What it queues is sent when it returns, to all peers together.
pub trait Handler {
    /// The socket is on its loop.
    fn opened(&mut self, socket: &mut UdpSocket, el: &mut EventLoop) {
        let _ = (socket, el);
    }

    /// Datagrams came. They lie in the loop's shared buffers until this returns.
    fn received(&mut self, socket: &mut UdpSocket, el: &mut EventLoop, batch: Batch<'_>);

    /// The queue is empty again after a datagram was dropped because it was full
    /// ([`SendError::Full`](super::SendError::Full)).
    fn writable(&mut self, socket: &mut UdpSocket, el: &mut EventLoop) {
        let _ = (socket, el);
    }

    /// Something did not reach a peer. The socket works on: with many peers on one socket, what is
    /// wrong with one of them does not concern the others.
    fn failed(&mut self, socket: &mut UdpSocket, el: &mut EventLoop, failure: &Failure) {
        let _ = (socket, el, failure);
    }

    /// The end of a turn in which somebody marked this socket due ([`EventLoop::mark_due`]) or reached
    /// for it ([`EventLoop::udp`]). Producers send here, once per turn.
    fn due(&mut self, socket: &mut UdpSocket, el: &mut EventLoop) {
        let _ = (socket, el);
    }

    /// A timer started by [`UdpSocket::start_timer`] is due.
    fn timer(&mut self, socket: &mut UdpSocket, el: &mut EventLoop, key: u32) {
        let _ = (socket, el, key);
    }

    /// The loop drains ([`EventLoop::drain`]): say goodbye. Closes by default, once what is queued is
    /// sent.
    fn drain(&mut self, socket: &mut UdpSocket, el: &mut EventLoop) {
        let _ = el;
        socket.close();
    }

    /// The socket is gone. Called once, last; without `opened` before it only where the loop ends in
    /// the very turn in which the socket was put on it.
    fn closed(&mut self, socket: &mut UdpSocket, el: &mut EventLoop, reason: &CloseReason) {
        let _ = (socket, el, reason);
    }
}

/// What went wrong without ending the socket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The peer's host says that nobody listens there (ICMP port unreachable). Only connected sockets
    /// learn of it.
    #[error("{peer} refuses: nobody listens on its port")]
    Refused {
        /// The peer of the connected socket.
        peer: SocketAddr,
    },
    /// The kernel did not take a datagram: too long for the path, no route, or forbidden.
    #[error("a datagram for {to} was not sent: {error}")]
    Unsent {
        /// For whom it was.
        to: SocketAddr,
        /// What the kernel said.
        error: io::Error,
    },
    /// The network reports something about datagrams sent earlier.
    #[error("the network reports: {0}")]
    Network(io::Error),
}
