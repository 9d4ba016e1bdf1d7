//! RTMP: what encoders push with, and what old players and relays play.
//!
//! In reading order, each page knowing only those before it:
//!
//! | page | what it knows |
//! | --- | --- |
//! | [`handshake`] | what both sides say before the first chunk |
//! | [`chunk`] | chunks to messages, messages to chunks; the bytes all players of a stream share |
//! | [`widen`] | 32-bit times that wrap, to times that don't |
//! | [`amf0`], [`amf3`] | the notation of commands and metadata |
//! | [`message`] | what each kind of message says |
//! | [`capabilities`] | what Enhanced RTMP adds to `connect` |
//! | `link` | what both ends do below the commands: acknowledge, answer pings, follow chunk sizes |
//! | [`server`], [`client`] | the commands |
//!
//! Names: a `message stream` is what RTMP calls a stream, a number that `createStream` gives; `stream`
//! alone stays the live stream itself.

pub mod amf0;
pub mod amf3;
pub mod capabilities;
pub mod chunk;
pub mod client;
pub mod error;
pub mod handshake;
mod link;
pub mod message;
pub mod server;
pub mod status;
pub mod widen;

pub use client::ClientSession;
pub use error::{Error, SessionError};
pub use server::ServerSession;

#[cfg(test)]
mod tests;
