//! What bytes of media mean. No sockets, no clocks, no threads: bytes in, values out, and back.
//!
//! In reading order, each layer knowing only those before it:
//!
//! | layer | what it does | what it refuses to do |
//! | --- | --- | --- |
//! | [`limits`] | every bound, with its reason | |
//! | [`frame`] | what all codecs, containers and protocols exchange: a [`Frame`] on a [`Track`] | know where it came from |
//! | [`codec`] | configuration records and headers: size, profile, rate, codec string, is it a keyframe | decode |
//! | [`container`] | frames to bytes and back: FLV, MPEG-TS, MP4 | keep frames |
//! | [`protocol`] | RTMP sessions, server and client | open a socket, read a clock |
//! | [`playlist`] | HLS and DASH playlists as text, and a linter | keep segments, wait for them |
//! | [`testcard`] | a decodable picture and sound out of nothing | look like a camera |
//!
//! # The contract of a session
//!
//! Every protocol session is driven the same way. Bytes from the peer go in by `receive(&[u8])`, which
//! takes all of them however they were cut; what they mean comes out as events, and what has to be
//! answered is appended to the session's output, which the caller takes and sends. Commands of this
//! side are methods that append to the same output. Time, where a protocol needs it, is an argument.
//! An error ends that one session, says who was at fault and what was expected, and comes again on
//! every later call. Memory grows with bytes received, never with a number the peer declares.

#![forbid(unsafe_code)]

pub mod codec;
pub mod container;
pub mod frame;
pub mod limits;
pub mod playlist;
pub mod protocol;
pub mod testcard;

pub use frame::{Codec, Frame, FrameKind, Time, Track};
