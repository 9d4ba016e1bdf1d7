//! Who publishes, who plays, on which loop, and what is between them. No system calls: those are
//! `network`'s; no bytes of media: those are `media`'s.
//!
//! In reading order, each layer knowing only those before it:
//!
//! | layer | what it does | what it refuses to do |
//! | --- | --- | --- |
//! | [`limits`], [`settings`] | bounds with their reasons; what the operator decides | |
//! | [`counters`] | what happened on a loop, and why things ended | |
//! | [`name`] | what a stream may be called, at every door | |
//! | [`timeline`] | one clock for a stream, whatever its publishers' clocks do | know a wall clock |
//! | [`format`](mod@format) | the forms a stream has, framing included | differ between players |
//! | [`pack`] | frames to packets, in each container | |
//! | [`segment`] | where segments begin, the same in every format | look into frames |
//! | [`log`] | bytes of a stream in memory, written once, read by many loops | queue per player |
//! | [`stream`] | a publisher, its configurations, its logs | know who plays |
//! | [`viewers`] | who watches by fetching segments | need a connection |
//! | [`hub`] | the streams and logs of a loop, and the way to the others | lock |
//! | [`glance`] | what is live, and who watches, on all loops | keep it |
//! | [`pace`] | how long frames wait for others, so that the loop can keep up | |
//! | [`flush`] | which players are written to, in slices; what it costs | know what they are sent |
//! | [`player`] | a cursor in a log | keep a queue |
//! | [`door`] | RTMP, HTTP-FLV and WebSocket-FLV on connections | decide who may |
//! | [`demo`] | a test card, published from inside | |
//!
//! The way of a frame, with no step back:
//!
//! ```text
//! socket -> receive buffer -> RTMP session -> Stream::tag -> Writer (one per format that is played)
//!        -> Growth -> View (one per loop that plays it) -> Flusher -> Player -> sendfile -> socket
//! ```

#![forbid(unsafe_code)]

pub mod counters;
pub mod demo;
pub mod door;
pub mod flush;
pub mod format;
pub mod glance;
pub mod hub;
pub mod limits;
pub mod log;
pub mod name;
pub mod pace;
pub mod pack;
pub mod player;
pub mod segment;
pub mod settings;
pub mod stream;
pub mod timeline;
pub mod viewers;

pub use counters::{Counters, Reason};
pub use hub::{Hub, Loops};
pub use name::StreamName;
pub use settings::Settings;
