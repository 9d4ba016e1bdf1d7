//! What stands around bodies in a file or a stream over HTTP, and bytes to frames.
//!
//! ```text
//! "FLV" 1 tracks 9 | 0 | tag header (11) body | 11 + body's length (4) | tag header ...
//! ```

use super::tag::{self, Parsed, TagError};
use crate::frame::{Frame, Track};
use crate::limits::{FLV_DATA, FLV_HEADER};
use bytes::{Buf, BytesMut};
use thiserror::Error;

/// Bytes before the first tag.
pub const FILE_HEADER_LEN: usize = 9 + TRAILER_LEN;
/// Bytes before a body.
pub const TAG_HEADER_LEN: usize = 11;
/// Bytes after a body, and before the first tag.
pub const TRAILER_LEN: usize = 4;
/// The longest body: its length has 24 bits.
pub const BODY_MAX: usize = (1 << 24) - 1;

const AUDIO: u8 = 8;
const VIDEO: u8 = 9;
const SCRIPT: u8 = 18;
/// The bits of a tag's type. The upper one says that its body is encrypted, which makes it unknown.
const TYPE: u8 = 0x3f;

/// What stands before the first tag. Players believe it: a track that is announced is waited for.
#[must_use]
pub const fn file_header(audio: bool, video: bool) -> [u8; FILE_HEADER_LEN] {
    let tracks = (audio as u8) << 2 | video as u8;
    [b'F', b'L', b'V', 1, tracks, 0, 0, 0, 9, 0, 0, 0, 0]
}

/// What stands before a body of `len` bytes, at most [`BODY_MAX`].
#[must_use]
pub const fn tag_header(track: Track, len: usize, time_ms: u32) -> [u8; TAG_HEADER_LEN] {
    let kind = match track {
        Track::Audio => AUDIO,
        Track::Video => VIDEO,
        Track::Data => SCRIPT,
    };
    let [_, len @ ..] = (len as u32).to_be_bytes();
    let [extension, time @ ..] = time_ms.to_be_bytes();
    [kind, len[0], len[1], len[2], time[0], time[1], time[2], extension, 0, 0, 0]
}

/// What stands after a body of `len` bytes.
#[must_use]
pub const fn trailer(len: usize) -> [u8; TRAILER_LEN] {
    ((TAG_HEADER_LEN + len) as u32).to_be_bytes()
}

/// What ends a demuxer. The sender is at fault: whoever streams, or the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum FlvError {
    /// It is something else.
    #[error("sender's FLV begins with \"{}\", expected \"FLV\"", .0.escape_ascii())]
    Signature([u8; 3]),
    /// The first tag is said to be far away, or within the header.
    #[error("sender's FLV header has DataOffset {0}, expected 9 to {FLV_HEADER}")]
    HeaderLength(u32),
    /// A tag's body is broken.
    #[error(transparent)]
    Tag(#[from] TagError),
}

/// Bytes to frames.
///
/// Bytes go in by [`receive`](Self::receive), however they were cut; frames come out by
/// [`next_frame`](Self::next_frame) until there is none. Between the two, all that came is held: at most
/// one tag if frames are taken after each `receive`. What stands after each body, its length once more,
/// is not looked at, since writers get it wrong. Tags of unknown types, encrypted ones, and script
/// messages longer than `FLV_DATA` are passed over and counted.
#[derive(Debug, Default)]
pub struct Demuxer {
    buffer: BytesMut,
    /// Bytes to come that nobody needs.
    skip: usize,
    begun: bool,
    /// The last tag's time, as it came and widened.
    time: Option<(u32, i64)>,
    passed_over: u64,
    other_tracks: u64,
    failed: Option<FlvError>,
}

impl Demuxer {
    /// At the beginning of a file.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes.
    ///
    /// # Errors
    /// It has failed before.
    pub fn receive(&mut self, mut bytes: &[u8]) -> Result<(), FlvError> {
        self.failed.map_or(Ok(()), Err)?;
        if self.buffer.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// The next whole frame. Its payload shares a buffer the demuxer uses again once it is dropped, so
    /// who keeps it for long keeps a copy.
    ///
    /// # Errors
    /// The bytes are no FLV, or a tag's body is broken. The same comes again on every later call.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FlvError> {
        self.failed.map_or(Ok(()), Err)?;
        self.advance().inspect_err(|error| {
            self.failed = Some(*error);
            self.buffer = BytesMut::new();
        })
    }

    /// Tags passed over.
    #[must_use]
    pub const fn passed_over(&self) -> u64 {
        self.passed_over
    }

    /// Frames left out as they are of other tracks than the first.
    #[must_use]
    pub const fn other_tracks(&self) -> u64 {
        self.other_tracks
    }

    /// Bytes of the sender that are kept: of the tag that has begun, and of frames not taken.
    #[must_use]
    pub fn held(&self) -> usize {
        self.buffer.len()
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    fn advance(&mut self) -> Result<Option<Frame>, FlvError> {
        loop {
            if !self.skip_what_came() || !self.begin()? {
                return Ok(None);
            }
            let Some(header) = self.buffer.first_chunk().copied() else { return Ok(None) };
            let [kind, l0, l1, l2, t0, t1, t2, extension, ..]: [u8; TAG_HEADER_LEN] = header;
            let len = u32::from_be_bytes([0, l0, l1, l2]) as usize;
            let track = match kind & TYPE {
                AUDIO => Some(Track::Audio),
                VIDEO => Some(Track::Video),
                SCRIPT if len <= FLV_DATA => Some(Track::Data),
                _ => None,
            };
            let Some(track) = track else {
                self.passed_over += 1;
                self.skip = TAG_HEADER_LEN + len + TRAILER_LEN;
                continue;
            };
            if self.buffer.len() < TAG_HEADER_LEN + len {
                return Ok(None);
            }
            self.buffer.advance(TAG_HEADER_LEN);
            let body = self.buffer.split_to(len).freeze();
            self.skip = TRAILER_LEN;
            let time = self.widen(u32::from_be_bytes([extension, t0, t1, t2]), track);
            let Parsed { frame, other_tracks } = tag::parse(body, track, time)?;
            self.other_tracks += u64::from(other_tracks);
            if frame.is_some() {
                return Ok(frame);
            }
        }
    }

    /// Reads the file's header once it is there.
    fn begin(&mut self) -> Result<bool, FlvError> {
        if self.begun {
            return Ok(true);
        }
        if let Some(signature) = self.buffer.first_chunk()
            && signature != b"FLV"
        {
            return Err(FlvError::Signature(*signature));
        }
        let Some([_, _, _, _, _, offset @ ..]) = self.buffer.first_chunk::<9>() else {
            return Ok(false);
        };
        let offset = u32::from_be_bytes(*offset);
        let len = offset as usize;
        if !(9..=FLV_HEADER).contains(&len) {
            return Err(FlvError::HeaderLength(offset));
        }
        self.begun = true;
        self.skip = len + TRAILER_LEN;
        Ok(self.skip_what_came())
    }

    /// Whether all there is to skip has come.
    fn skip_what_came(&mut self) -> bool {
        let skipped = self.skip.min(self.buffer.len());
        self.buffer.advance(skipped);
        self.skip -= skipped;
        self.skip == 0
    }

    /// A time that does not wrap: the nearest to the last tag's. Script messages often have time 0, so
    /// none follows theirs.
    fn widen(&mut self, time: u32, track: Track) -> i64 {
        let wide = match self.time {
            None => i64::from(time),
            Some((last, wide)) => wide.saturating_add((time.wrapping_sub(last) as i32).into()),
        };
        if track != Track::Data {
            self.time = Some((time, wide));
        }
        wide
    }
}
