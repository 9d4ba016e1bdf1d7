//! MPEG-TS (ISO/IEC 13818-1), as HTTP and HLS carry it: one program of a track of pictures and one of sound.
//!
//! | page | what it knows |
//! | --- | --- |
//! | `packet` | packets of 188 bytes, adaptation fields, the clock in them |
//! | `psi` | the tables that say what is in a stream |
//! | `pes` | what stands before an access unit, with its times |
//! | `annexb` | NAL units behind start codes, parameter sets in band |
//! | `sound` | frames of sound, what stands before them, how long they are |
//! | [`packetizer`] | frames to packets |
//! | [`demuxer`] | packets to frames |
//!
//! AVC, HEVC, AAC, MP3, Opus, AC-3 and E-AC-3 have words in it. Others are left out: AV1, VP9 and FLAC have no
//! words that players understand, and AAC that ADTS cannot say would need LATM.

mod annexb;
pub mod demuxer;
mod packet;
pub mod packetizer;
mod pes;
mod psi;
mod sound;

pub use demuxer::{Demuxer, TsError};
pub use packet::PACKET;
pub use packetizer::{AppendError, Appended, Counters, Entry, Packetizer};

#[cfg(test)]
mod tests;
