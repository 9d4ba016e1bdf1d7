//! Frames to tags, and what a player needs before them.

use super::file::{BODY_MAX, TAG_HEADER_LEN, TRAILER_LEN, file_header, tag_header, trailer};
use super::tag::Header;
use crate::codec::Info;
use crate::frame::{Codec, Frame, FrameKind, Time, Track};
use bytes::Bytes;
use thiserror::Error;

/// A frame that no tag holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("a frame of {0} bytes does not fit into an FLV tag, at most {BODY_MAX} do with its header")]
pub struct TooLong(
    /// Bytes of its payload.
    pub usize,
);

/// What stands around a frame's payload, so that the payload need not be copied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Around {
    before: [u8; TAG_HEADER_LEN + Header::MAX],
    before_len: usize,
    after: [u8; TRAILER_LEN],
}

impl Around {
    /// Around a frame, if FLV has words for it: see [`Header::of`].
    ///
    /// # Errors
    /// The frame is too long.
    pub fn frame(frame: &Frame) -> Result<Option<Self>, TooLong> {
        Self::frame_at(frame, frame.dts)
    }

    /// Around a frame that is sent as if it were decoded at `time`.
    fn frame_at(frame: &Frame, time: Time) -> Result<Option<Self>, TooLong> {
        let Some(header) = Header::of(frame) else { return Ok(None) };
        let header = header.as_slice();
        let len = header.len() + frame.payload.len();
        if len > BODY_MAX {
            return Err(TooLong(frame.payload.len()));
        }
        // FLV's times wrap.
        let tag = tag_header(frame.track, len, time.millis() as u32);
        let mut before = [0; TAG_HEADER_LEN + Header::MAX];
        for (place, byte) in before.iter_mut().zip(tag.iter().chain(header)) {
            *place = *byte;
        }
        let before_len = TAG_HEADER_LEN + header.len();
        Ok(Some(Self { before, before_len, after: trailer(len) }))
    }

    /// What stands before the payload.
    #[must_use]
    pub fn before(&self) -> &[u8] {
        self.before.get(..self.before_len).unwrap_or_default()
    }

    /// What stands after the payload.
    #[must_use]
    pub const fn after(&self) -> &[u8] {
        &self.after
    }
}

/// Appends a frame as one tag, and gives the bytes appended: 0 if FLV has no words for it.
///
/// # Errors
/// The frame is too long; nothing is appended.
pub fn append(frame: &Frame, out: &mut Vec<u8>) -> Result<usize, TooLong> {
    append_at(frame, frame.dts, out)
}

fn append_at(frame: &Frame, time: Time, out: &mut Vec<u8>) -> Result<usize, TooLong> {
    let Some(around) = Around::frame_at(frame, time)? else { return Ok(0) };
    let len = around.before().len() + frame.payload.len() + around.after().len();
    out.reserve(len);
    out.extend_from_slice(around.before());
    out.extend_from_slice(&frame.payload);
    out.extend_from_slice(around.after());
    Ok(len)
}

/// Appends what a player needs before its first frame, which is at `time`: the file's header, metadata,
/// and each track's configuration, in that order.
///
/// `frames` are the newest metadata and configurations; each is sent as of `time`. The header announces
/// the tracks that `audio` and `video` say: players wait for each.
///
/// # Errors
/// One of the frames is too long; what fits before it is appended.
pub fn prelude<'a>(
    audio: bool,
    video: bool,
    frames: impl IntoIterator<Item = &'a Frame>,
    time: Time,
    out: &mut Vec<u8>,
) -> Result<(), TooLong> {
    out.extend_from_slice(&file_header(audio, video));
    for frame in frames {
        append_at(frame, time, out)?;
    }
    Ok(())
}

/// Metadata made from what the codecs say, for streams whose publisher sent none.
#[must_use]
pub fn metadata(video: Option<(Codec, &Info)>, audio: Option<(Codec, &Info)>) -> Frame {
    let mut object = Object::begin();
    if let Some((codec, info)) = video {
        object.optional("width", info.width.map(f64::from));
        object.optional("height", info.height.map(f64::from));
        object.optional("framerate", info.frame_rate);
        object.optional("videocodecid", codec_id(codec, Track::Video));
    }
    if let Some((codec, info)) = audio {
        object.optional("audiosamplerate", info.sample_rate.map(f64::from));
        object.optional("audiochannels", info.channels.map(f64::from));
        if let Some(channels) = info.channels {
            object.flag("stereo", channels > 1);
        }
        object.optional("audiocodecid", codec_id(codec, Track::Audio));
    }
    Frame {
        track: Track::Data,
        codec: Codec::Amf0,
        kind: FrameKind::Config,
        dts: Time(0),
        pts: Time(0),
        payload: object.end(),
    }
}

/// The number metadata has for a codec: the classic one, or the FourCC as a number, which is how the
/// header of a frame begins too.
fn codec_id(codec: Codec, track: Track) -> Option<f64> {
    let (kind, dts, pts, payload) = (FrameKind::Key, Time(0), Time(0), Bytes::new());
    let header = Header::of(&Frame { track, codec, kind, dts, pts, payload })?;
    match (track, header.as_slice()) {
        (Track::Video, [first, a, b, c, d, ..]) if first & 0x80 != 0 => {
            Some(u32::from_be_bytes([*a, *b, *c, *d]).into())
        }
        (Track::Audio, [first, a, b, c, d]) if first >> 4 == 9 => {
            Some(u32::from_be_bytes([*a, *b, *c, *d]).into())
        }
        (Track::Video, [first, ..]) => Some((first & 0x0f).into()),
        (Track::Audio, [first, ..]) => Some((first >> 4).into()),
        _ => None,
    }
}

/// `onMetaData` and its ECMA array, in AMF0.
struct Object(Vec<u8>);

impl Object {
    const COUNT_AT: usize = 14;

    fn begin() -> Self {
        let mut bytes = b"\x02\0\x0aonMetaData\x08".to_vec();
        bytes.extend_from_slice(&[0; 4]);
        Self(bytes)
    }

    fn name(&mut self, name: &'static str) {
        self.0.extend_from_slice(&(name.len() as u16).to_be_bytes());
        self.0.extend_from_slice(name.as_bytes());
        if let Some(count) = self.0.get_mut(Self::COUNT_AT + 3) {
            *count += 1;
        }
    }

    fn optional(&mut self, name: &'static str, value: Option<f64>) {
        if let Some(value) = value {
            self.name(name);
            self.0.push(0);
            self.0.extend_from_slice(&value.to_be_bytes());
        }
    }

    fn flag(&mut self, name: &'static str, value: bool) {
        self.name(name);
        self.0.extend_from_slice(&[1, value.into()]);
    }

    fn end(mut self) -> Bytes {
        self.0.extend_from_slice(&[0, 0, 9]);
        self.0.into()
    }
}
