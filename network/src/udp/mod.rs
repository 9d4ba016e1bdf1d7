//! UDP: datagrams in batches.
//!
//! One receive call takes in what waits, one send call per turn carries what all of a turn's handlers
//! have queued, to however many peers. Where the kernel can (GRO, GSO), many equal datagrams of one
//! peer pass through it as one piece; a handler sees none of that, only single datagrams.
//!
//! | file | what |
//! | --- | --- |
//! | `bind.rs` | sockets and their options |
//! | `handler.rs` | what a handler is told |
//! | `socket.rs` | what a handler can do with its socket |
//! | `batch.rs` | what came in one receive |
//! | `queue.rs` | what waits to be sent |
//! | `source.rs` | the state machine between these and the loop |
//!
//! Refused on purpose: order, retransmission and queues that grow. A datagram that finds the queue full
//! is dropped and counted, as any router on its way would do.
//!
//! ```
//! use network::udp::{Batch, Bind, Handler, UdpSocket};
//! use network::EventLoop;
//!
//! struct Echo;
//! impl Handler for Echo {
//!     fn received(&mut self, socket: &mut UdpSocket, _: &mut EventLoop, batch: Batch<'_>) {
//!         for datagram in batch {
//!             // A full queue drops, as the network may: the peer asks again or does without.
//!             let _ = socket.send_to(datagram.bytes, datagram.peer);
//!         }
//!     }
//! }
//! let mut el = EventLoop::new()?;
//! let bound = Bind::on("127.0.0.1:0".parse()?).bind()?;
//! println!("echoes on {}", bound.address());
//! el.open_udp(bound, Box::new(Echo))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::time::Duration;

mod batch;
mod bind;
mod handler;
mod queue;
mod socket;
mod source;
#[cfg(test)]
mod tests;

pub use batch::{Batch, Datagram};
pub use bind::{Bind, BindError, Bound};
pub use handler::{Failure, Handler};
pub(crate) use socket::Shared;
pub use socket::{SendError, Stats, UdpSocket};

/// Buffers offered to the kernel in one receive call. Also the bound of work per socket and turn: who
/// has more waiting comes again after the others had theirs.
pub const UDP_RECEIVE_BATCH: usize = 32;
/// Bytes of one such buffer: no datagram, and nothing the kernel has gathered, is longer.
pub const UDP_SLOT: usize = 65_536;
/// Messages handed to the kernel in one send call; so many queued datagrams also start one.
pub const UDP_SEND_BATCH: usize = 256;
/// So many queued bytes start a send call before the turn ends: they are still in the cache.
pub const UDP_SEND_BYTES: usize = 512 * 1024;
/// Datagrams in one message that the kernel cuts up (`UDP_MAX_SEGMENTS` of older kernels).
pub const UDP_SEGMENTS: usize = 64;
/// Longest datagram over IPv4: 65,535 less the headers. Also the bound of a message to be cut up.
pub const UDP_LONGEST_V4: usize = 65_507;
/// Longest datagram over IPv6: its length field does not count the IP header.
pub const UDP_LONGEST_V6: usize = 65_527;
/// So many messages in a row that the kernel did not cut up suspend the attempt.
pub const UDP_GSO_REFUSALS: u32 = 8;
/// For how long it is suspended: a route may change.
pub const UDP_GSO_PAUSE: Duration = Duration::from_secs(10);
/// Default bound of queued bytes while the kernel takes none; what comes then is dropped.
pub const UDP_QUEUE_BYTES: usize = 2 * 1024 * 1024;
/// Default bound of queued datagrams while the kernel takes none.
pub const UDP_QUEUE_DATAGRAMS: usize = 4096;
/// An emptied queue with more room than this is given back to the allocator.
pub const UDP_QUEUE_KEPT: usize = 1024 * 1024;
/// Errors taken off a socket in one go, each of which may stand before waiting datagrams.
pub const UDP_RECEIVE_ERRORS: usize = 8;
/// Failures told one by one in a turn; the rest is only counted.
pub const UDP_FAILURES_TOLD: usize = 16;
