//! Fragmented MP4 as CMAF has it: an init segment, then chunks (`moof` and `mdat`) of one track each.
//!
//! | page | what it knows |
//! | --- | --- |
//! | `boxes` | boxes inside boxes, written and read |
//! | [`description`] | what a track is, and its sample entry |
//! | [`init`] | `ftyp` and `moov` |
//! | [`packetizer`] | frames to chunks |
//! | `clock` | times in ticks that have no holes where there are none |
//! | `movie`, `fragment` | `moov` and `moof` read |
//! | [`demuxer`] | bytes to frames |

mod boxes;
mod clock;
pub mod demuxer;
pub mod description;
mod fragment;
pub mod init;
mod movie;
pub mod packetizer;

pub use boxes::{BoxName, Mp4Error};
pub use demuxer::Demuxer;
pub use description::{Description, DescriptionError};
pub use init::init_segment;
pub use packetizer::{Chunk, Packetizer, TooLong};

/// A frame's place among the others, as `trun` and `tfhd` have it.
mod sample_flags {
    /// Begins anew: depends on no other, and is a sync sample.
    pub(super) const KEY: u32 = 0x0200_0000;
    /// Depends on others, and is no sync sample.
    pub(super) const DELTA: u32 = 0x0101_0000;
    /// As a delta, and none depends on it.
    pub(super) const DISPOSABLE: u32 = DELTA | 0x0080_0000;
    /// Set where a decoder cannot begin.
    pub(super) const NOT_SYNC: u32 = 0x0001_0000;
    /// Whether others depend on it: 2 says that none does.
    pub(super) const IS_DEPENDED_ON: u32 = 0x00c0_0000;
}

#[cfg(test)]
mod tests;
