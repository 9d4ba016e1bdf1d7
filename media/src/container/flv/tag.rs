//! The bodies of tags: a header of a few bytes, and a frame.
//!
//! ```text
//! classic    type|codec                          AVC, HEVC: packet type, composition time (3)
//!            codec|rate|size|channels            AAC: packet type
//! enhanced   1|type|packet type   FourCC         HEVC, AVC frames: composition time (3)
//!            9|packet type        FourCC
//! ```
//!
//! Enhanced ones may have extensions (ModEx) before the FourCC, and several tracks in one body. The
//! track of number 0 is the stream's; others are counted and left out.
//!
//! Two things have no place in a [`Frame`] but its codec: [`Codec::OtherAudio`] holds the whole first
//! byte of its tags, since rate and channels are in it, and [`Codec::OtherVideo`] the number of the codec.

mod enhanced;
mod header;

pub use header::Header;

use crate::frame::{Codec, Frame, FrameKind, Time, Track};
use crate::limits::FLV_MOD_EX;
use bytes::Bytes;
use std::fmt;
use thiserror::Error;

/// What a body holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Parsed {
    /// Its frame. There is none in bodies that are empty, command the player, or say what is not known.
    pub frame: Option<Frame>,
    /// Tracks beside the first in it, left out.
    pub other_tracks: u32,
}

/// What is wrong with a body. The sender is at fault: whoever publishes, or the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum TagError {
    /// Its header reaches past its end.
    #[error("sender's {track} tag ends inside its {part}")]
    Short {
        /// Which kind of tag.
        track: TrackName,
        /// What is not whole.
        part: &'static str,
    },
    /// A codec that nobody here knows.
    #[error("sender's {track} tag is of codec {found}, expected {expected}", expected = .track.codecs())]
    Codec {
        /// Which kind of tag.
        track: TrackName,
        /// The letters.
        found: FourCc,
    },
    /// Extensions without end.
    #[error("sender's {track} tag has more than {FLV_MOD_EX} extensions")]
    Extensions {
        /// Which kind of tag.
        track: TrackName,
    },
    /// There is no such way to put several tracks into one body.
    #[error("sender's {track} tag has multitrack type {found}, expected 0 to 2")]
    Multitrack {
        /// Which kind of tag.
        track: TrackName,
        /// The type.
        found: u8,
    },
    /// MPEG-2 TS has such a configuration for AV1 only.
    #[error("sender's video tag has a broken MPEG-2 TS configuration, expected AV1's of 6 bytes")]
    Descriptor,
}

/// A track, as errors name it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TrackName(pub Track);

impl TrackName {
    const fn codecs(self) -> &'static str {
        match self.0 {
            Track::Audio => "mp4a, Opus, ac-3, ec-3, fLaC or .mp3",
            _ => "avc1, hvc1, av01, vp09 or vp08",
        }
    }
}

impl fmt::Display for TrackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Track::Video => "video",
            Track::Audio => "audio",
            Track::Data => "script",
        })
    }
}

/// The four letters of a codec.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FourCc(pub [u8; 4]);

impl fmt::Display for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

const FOURCCS: [(Track, Codec, [u8; 4]); 11] = [
    (Track::Video, Codec::Avc, *b"avc1"),
    (Track::Video, Codec::Hevc, *b"hvc1"),
    (Track::Video, Codec::Av1, *b"av01"),
    (Track::Video, Codec::Vp9, *b"vp09"),
    (Track::Video, Codec::Vp8, *b"vp08"),
    (Track::Audio, Codec::Aac, *b"mp4a"),
    (Track::Audio, Codec::Opus, *b"Opus"),
    (Track::Audio, Codec::Ac3, *b"ac-3"),
    (Track::Audio, Codec::Eac3, *b"ec-3"),
    (Track::Audio, Codec::Flac, *b"fLaC"),
    (Track::Audio, Codec::Mp3, *b".mp3"),
];

/// The numbers classic tags have for codecs.
mod number {
    pub const AVC: u8 = 7;
    /// Chosen in China before Enhanced RTMP.
    pub const HEVC: u8 = 12;
    pub const MP3: u8 = 2;
    pub const G711A: u8 = 7;
    pub const G711U: u8 = 8;
    /// Enhanced RTMP begins with it.
    pub const ENHANCED: u8 = 9;
    pub const AAC: u8 = 10;
    pub const MP3_8K: u8 = 14;
}

/// A frame's type in a tag of pictures.
mod frame_type {
    pub const KEY: u8 = 1;
    pub const DELTA: u8 = 2;
    pub const DISPOSABLE: u8 = 3;
    /// A keyframe that a server made.
    pub const GENERATED: u8 = 4;
    /// A command to the player, no picture.
    pub const COMMAND: u8 = 5;
}

/// The packet types of classic AVC, HEVC and AAC.
mod packet {
    pub const CONFIG: u8 = 0;
    pub const FRAME: u8 = 1;
    pub const END: u8 = 2;
}

/// What publishers put before metadata, as an AMF0 string; it is meant for the server.
const SET_DATA_FRAME: &[u8] = b"\x02\0\x0d@setDataFrame";
const ON_META_DATA: &[u8] = b"\x02\0\x0aonMetaData";

/// Reads a body sent at `time_ms`. The frame's payload is a part of `body`, not a copy.
///
/// # Errors
/// Its header is cut off or names a codec nobody knows.
pub fn parse(body: Bytes, track: Track, time_ms: i64) -> Result<Parsed, TagError> {
    let time = Time::from_millis(time_ms);
    let mut rest = Rest { bytes: body, track };
    let Some(first) = rest.bytes.first().copied() else { return Ok(Parsed::default()) };
    match track {
        Track::Data => Ok(script(rest.bytes, time)),
        Track::Video if first & 0x80 != 0 => enhanced::video(rest, time),
        Track::Audio if first >> 4 == number::ENHANCED => enhanced::audio(rest, time),
        Track::Video => {
            rest.byte("header")?;
            video(rest, first, time)
        }
        Track::Audio => {
            rest.byte("header")?;
            audio(rest, first, time)
        }
    }
}

fn script(mut body: Bytes, time: Time) -> Parsed {
    // Relays that publish on may have put it there once more.
    while body.starts_with(SET_DATA_FRAME) {
        drop(body.split_to(SET_DATA_FRAME.len()));
    }
    let kind = if body.starts_with(ON_META_DATA) { FrameKind::Config } else { FrameKind::Key };
    one(Track::Data, Codec::Amf0, kind, time, 0, body)
}

fn video(mut rest: Rest, first: u8, time: Time) -> Result<Parsed, TagError> {
    let (frame_type, codec) = (first >> 4, first & 0x0f);
    if frame_type == frame_type::COMMAND {
        return Ok(Parsed::default());
    }
    let codec = match codec {
        number::AVC => Codec::Avc,
        number::HEVC => Codec::Hevc,
        other => {
            let codec = Codec::OtherVideo(other);
            return Ok(one(Track::Video, codec, picture(frame_type), time, 0, rest.bytes));
        }
    };
    let packet = rest.byte("packet type")?;
    let composition = rest.composition_time()?;
    let kind = match packet {
        packet::CONFIG => FrameKind::Config,
        packet::FRAME => picture(frame_type),
        packet::END => FrameKind::End,
        _ => return Ok(Parsed::default()),
    };
    Ok(one(Track::Video, codec, kind, time, composition, rest.bytes))
}

fn audio(mut rest: Rest, first: u8, time: Time) -> Result<Parsed, TagError> {
    let mut kind = FrameKind::Key;
    let codec = match first >> 4 {
        number::AAC => {
            kind = match rest.byte("packet type")? {
                packet::CONFIG => FrameKind::Config,
                packet::FRAME => FrameKind::Key,
                _ => return Ok(Parsed::default()),
            };
            Codec::Aac
        }
        number::MP3 | number::MP3_8K => Codec::Mp3,
        number::G711A => Codec::G711A,
        number::G711U => Codec::G711U,
        _ => Codec::OtherAudio(first),
    };
    Ok(one(Track::Audio, codec, kind, time, 0, rest.bytes))
}

const fn picture(frame_type: u8) -> FrameKind {
    match frame_type {
        frame_type::KEY | frame_type::GENERATED => FrameKind::Key,
        frame_type::DISPOSABLE => FrameKind::Disposable,
        _ => FrameKind::Delta,
    }
}

/// A frame, unless it is one of no bytes, as some encoders send while muted.
fn one(
    track: Track,
    codec: Codec,
    kind: FrameKind,
    dts: Time,
    composition_ms: i32,
    payload: Bytes,
) -> Parsed {
    let ends = kind == FrameKind::End;
    // Only pictures are shown, so nothing else has a time of its own for that.
    let shown = !ends && kind != FrameKind::Config;
    let frame = Frame {
        track,
        codec,
        kind,
        dts,
        pts: if shown { dts.plus(i64::from(composition_ms) * 1000) } else { dts },
        payload: if ends { Bytes::new() } else { payload },
    };
    let says_something = ends || !frame.payload.is_empty();
    Parsed { frame: says_something.then_some(frame), other_tracks: 0 }
}

/// What has not been read of a body.
struct Rest {
    bytes: Bytes,
    track: Track,
}

impl Rest {
    fn take(&mut self, count: usize, part: &'static str) -> Result<Bytes, TagError> {
        if count > self.bytes.len() {
            return Err(TagError::Short { track: TrackName(self.track), part });
        }
        Ok(self.bytes.split_to(count))
    }

    fn number<const N: usize>(&mut self, part: &'static str) -> Result<u32, TagError> {
        Ok(self.array::<N>(part)?.iter().fold(0, |sum, byte| (sum << 8) | u32::from(*byte)))
    }

    fn array<const N: usize>(&mut self, part: &'static str) -> Result<[u8; N], TagError> {
        let short = TagError::Short { track: TrackName(self.track), part };
        let array = *self.bytes.first_chunk::<N>().ok_or(short)?;
        drop(self.bytes.split_to(N));
        Ok(array)
    }

    fn byte(&mut self, part: &'static str) -> Result<u8, TagError> {
        Ok(self.array::<1>(part)?[0])
    }

    /// Milliseconds from decoding to showing, of 24 bits with their sign.
    fn composition_time(&mut self) -> Result<i32, TagError> {
        Ok(((self.number::<3>("composition time")? << 8) as i32) >> 8)
    }
}

#[cfg(test)]
pub(in crate::container::flv) mod tests;
