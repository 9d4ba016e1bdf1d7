//! FLV, classic and as Enhanced RTMP extends it.
//!
//! | page | what it knows |
//! | --- | --- |
//! | [`tag`] | a tag's body, which is also RTMP's audio and video message |
//! | [`file`](mod@file) | headers around bodies; bytes to frames |
//! | [`packetizer`] | frames to tags, and what a player needs before them |

pub mod file;
pub mod packetizer;
pub mod tag;

pub use file::{Demuxer, FlvError};
pub use tag::{Header, Parsed, TagError, parse};

#[cfg(test)]
mod tests;
