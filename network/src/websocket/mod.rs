//! WebSocket (RFC 6455), both sides, over the connections of a loop.
//!
//! | file | what |
//! | --- | --- |
//! | `frame.rs`, `close.rs`, `masks.rs` | the bytes on the wire |
//! | `message.rs`, `sender.rs`, `session.rs` | a session, without socket or clock |
//! | `handshake.rs` | how it begins, in HTTP |
//! | `socket.rs` | a session on a connection |
//! | `client.rs` | calling a server |
//!
//! Absent on purpose: extensions (compressing what is compressed already costs memory per player and
//! gains nothing), and sending in fragments.

mod client;
mod close;
mod frame;
mod handshake;
mod masks;
mod message;
mod sender;
mod session;
mod socket;
#[cfg(test)]
mod tests;

pub use client::{CallError, connect};
pub use close::{CloseCode, CloseError};
pub use frame::{HEADER_AT_MOST, Header, HeaderError, Opcode, header, mask};
pub use handshake::{Accepted, AnswerError, Client, Refusal, RequestError, accept};
pub use message::Kind;
pub use sender::{SendError, Sender};
pub use session::{Error, Event, Limits, Session};
pub use socket::{Ended, Handler, Socket, upgrade};
