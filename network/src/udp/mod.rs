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
