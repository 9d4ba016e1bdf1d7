//! Who publishes, who plays, on which loop, and what is between them. No system calls: those are
//! `network`'s; no bytes of media: those are `media`'s.
//!
//! In reading order, each layer knowing only those before it:
//!
//! | layer | what it does | what it refuses to do |
//! | --- | --- | --- |
//! | [`limits`], [`settings`] | bounds with their reasons; what the operator decides | |
//! | [`left_out`] | what players do not get, and why | |
//! | [`counters`], [`histogram`] | what happened on a loop, and why things ended | |
//! | [`name`] | what a stream may be called, at every door | |
//! | [`numbers`] | how a name's lives are numbered, one behind the other | go back |
//! | [`timeline`] | one clock for a stream, whatever its publishers' clocks do | know a wall clock |
//! | [`format`](mod@format) | the forms a stream has, framing included | differ between players |
//! | [`pack`] | frames to packets, in each container | |
//! | [`segment`] | where segments begin, the same in every format | look into frames |
//! | [`log`] | bytes of a stream in memory, written once, read by many loops | queue per player |
//! | [`meter`], [`audience`] | what a publisher sends; who plays a stream on all loops | |
//! | [`announced`] | tracks that metadata announces, and frames that wait for these | wait for ever |
//! | [`stream`] | a publisher, its configurations, its logs | know who plays |
//! | [`health`] | whether a stream comes as it should, and why not | |
//! | [`json`] | JSON, written as it comes | build a tree |
//! | [`clients`] | who is here | do anything per frame |
//! | [`directory`], [`events`] | the streams of all loops; what happens, for who listens | wait |
//! | [`nodes`] | other nodes, and what is live there | ask them |
//! | [`viewers`] | who watches by fetching segments | need a connection |
//! | [`hub`] | the streams and logs of a loop, and the way to the others | lock |
//! | [`desk`] | who comes and goes, noted and told to all loops | |
//! | [`pace`] | how long frames wait for others, so that the loop can keep up | |
//! | [`flush`] | which players are written to, in slices; what it costs | know what they are sent |
//! | [`seat`], [`player`] | a cursor in a log, and what is sent from there | keep a queue |
//! | [`door`] | RTMP, HTTP-FLV and WebSocket-FLV on connections | decide who may |
//! | [`api`] | what anybody may ask over HTTP | lock |
//! | [`demo`] | a test card, published from inside | |
//!
//! The way of a frame, with no step back:
//!
//! ```text
//! socket -> receive buffer -> RTMP session -> Stream::tag -> Writer (one per format that is played)
//!        -> Growth -> View (one per loop that plays it) -> Flusher -> Player -> sendfile -> socket
//! ```

#![forbid(unsafe_code)]

pub mod announced;
pub mod api;
pub mod audience;
mod chores;
pub mod clients;
pub mod counters;
pub mod demo;
pub mod desk;
pub mod directory;
pub mod door;
pub mod events;
pub mod flush;
pub mod format;
pub mod health;
pub mod histogram;
pub mod hub;
pub mod json;
pub mod left_out;
pub mod limits;
pub mod log;
pub mod meter;
pub mod name;
pub mod nodes;
pub mod numbers;
pub mod pace;
pub mod pack;
pub mod player;
pub mod seat;
pub mod segment;
pub mod settings;
pub mod stream;
pub mod timeline;
pub mod viewers;

pub use counters::{Counters, Reason};
pub use hub::{Hub, Loops};
pub use name::StreamName;
pub use settings::Settings;
