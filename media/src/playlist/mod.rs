//! Playlists as text: HLS with its low latency, DASH, and a linter that reads HLS back.
//!
//! | page | what it does |
//! | --- | --- |
//! | [`names`] | the names of a stream's files, built and read |
//! | [`hls`] | HLS master and media playlists |
//! | [`dash`] | DASH manifests |
//! | [`lint`] | reads what was fetched of a media playlist over time and says which rules it broke |
//! | [`reload`] | what a player asks for with `_HLS_msn` and its like, and whether it has to wait |
//!
//! Writers append to a `String` and hold nothing: a playlist is written once for each change and the same
//! text answers every request that waited for it. Durations and times are microseconds.

pub mod dash;
pub mod hls;
pub mod lint;
pub mod names;
pub mod reload;
mod text;

pub use text::date_time;

pub use hls::{Master, Media, Report};
pub use names::{File, Rendition, Run};
pub use reload::{Answer, Reload, State};

use crate::codec::Info;

/// A part of a segment: what one chunk holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part {
    /// How long it is.
    pub duration: i64,
    /// Whether a player can begin with it.
    pub is_independent: bool,
}

/// A segment, complete or in progress.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Segment {
    /// Its number; numbers of one run follow each other without gaps.
    pub number: u64,
    /// When it begins, on the stream's own clock.
    pub start: i64,
    /// How long it is; of the one in progress, how long its parts are so far.
    pub duration: i64,
    /// Which configuration it needs.
    pub epoch: u32,
    /// Whether there is nothing of it: its track has stopped for longer than a segment.
    pub is_gap: bool,
    /// Whether its times don't follow those of the segment before it, or its configuration differs.
    pub discontinuity: bool,
    /// When it began, in microseconds since 1970.
    pub wall: i64,
    /// Its parts so far. Those that are too old to be listed may be left out, all of a segment at once.
    pub parts: Vec<Part>,
}

/// What a playlist has to say of a track.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Track<'a> {
    /// What its configuration says.
    pub info: &'a Info,
    /// Bits a second of the segment that has most.
    pub peak: u64,
    /// Bits a second of all of it.
    pub average: u64,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
