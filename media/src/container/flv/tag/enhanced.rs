//! Bodies as Enhanced RTMP (version 2) has them.

use super::{FOURCCS, FourCc, Parsed, Rest, TagError, TrackName, frame_type, one, picture, script};
use crate::frame::{Codec, FrameKind, Time, Track};
use crate::limits::FLV_MOD_EX;
use bytes::Bytes;

/// The packet types, whose numbers are not the same for pictures and sound.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Packet {
    SequenceStart,
    CodedFrames,
    SequenceEnd,
    CodedFramesX,
    Metadata,
    Mpeg2TsSequenceStart,
    Multitrack,
    ModEx,
    /// Reserved, or of no use here (the layout of audio channels).
    Unknown,
}

impl Packet {
    const fn of(track: Track, number: u8) -> Self {
        match (track, number & 0x0f) {
            (_, 0) => Self::SequenceStart,
            (_, 1) => Self::CodedFrames,
            (_, 2) => Self::SequenceEnd,
            (Track::Video, 3) => Self::CodedFramesX,
            (Track::Video, 4) => Self::Metadata,
            (Track::Video, 5) => Self::Mpeg2TsSequenceStart,
            (Track::Video, 6) | (Track::Audio, 5) => Self::Multitrack,
            (_, 7) => Self::ModEx,
            _ => Self::Unknown,
        }
    }
}

/// How several tracks share a body.
const ONE_TRACK: u8 = 0;
const MANY_TRACKS: u8 = 1;
const MANY_TRACKS_MANY_CODECS: u8 = 2;
/// The one extension there is so far: nanoseconds to add to the time.
const NANOSECONDS: u8 = 0;

pub(super) fn video(mut rest: Rest, time: Time) -> Result<Parsed, TagError> {
    let first = rest.byte("header")?;
    let frame_type = first >> 4 & 0x07;
    let (packet, time) = extensions(&mut rest, first, time)?;
    if frame_type == frame_type::COMMAND && packet != Packet::Metadata {
        return Ok(Parsed::default());
    }
    body(rest, packet, picture(frame_type), time)
}

pub(super) fn audio(mut rest: Rest, time: Time) -> Result<Parsed, TagError> {
    let first = rest.byte("header")?;
    let (packet, time) = extensions(&mut rest, first, time)?;
    body(rest, packet, FrameKind::Key, time)
}

/// Reads what is between the header and the FourCC; what it adds to the time is added to both of a
/// frame's times, so that their distance stays.
fn extensions(rest: &mut Rest, first: u8, mut time: Time) -> Result<(Packet, Time), TagError> {
    let mut packet = Packet::of(rest.track, first);
    for _ in 0..FLV_MOD_EX {
        if packet != Packet::ModEx {
            return Ok((packet, time));
        }
        let part = "extension";
        let mut size = u32::from(rest.byte(part)?) + 1;
        if size == 256 {
            size = rest.number::<2>(part)? + 1;
        }
        let data = rest.take(size as usize, part)?;
        let next = rest.byte(part)?;
        if next >> 4 == NANOSECONDS
            && let Some(nanoseconds) = data.first_chunk::<3>()
        {
            let nanoseconds = nanoseconds.iter().fold(0, |sum, byte| (sum << 8) | i64::from(*byte));
            time = time.plus(nanoseconds / 1000);
        }
        packet = Packet::of(rest.track, next);
    }
    if packet != Packet::ModEx {
        return Ok((packet, time));
    }
    Err(TagError::Extensions { track: TrackName(rest.track) })
}

fn body(mut rest: Rest, packet: Packet, kind: FrameKind, time: Time) -> Result<Parsed, TagError> {
    match packet {
        Packet::Multitrack => tracks(rest, kind, time),
        Packet::Unknown => Ok(Parsed::default()),
        packet => {
            let codec = rest.array("FourCC")?;
            track(rest, packet, codec, kind, time)
        }
    }
}

fn tracks(mut rest: Rest, kind: FrameKind, time: Time) -> Result<Parsed, TagError> {
    let first = rest.byte("multitrack header")?;
    let (layout, packet) = (first >> 4, Packet::of(rest.track, first));
    let mut codec = match layout {
        ONE_TRACK | MANY_TRACKS => rest.array("FourCC")?,
        MANY_TRACKS_MANY_CODECS => [0; 4],
        found => return Err(TagError::Multitrack { track: TrackName(rest.track), found }),
    };
    let mut parsed = Parsed::default();
    while !rest.bytes.is_empty() {
        if layout == MANY_TRACKS_MANY_CODECS {
            codec = rest.array("FourCC")?;
        }
        let number = rest.byte("track number")?;
        let bytes = if layout == ONE_TRACK {
            std::mem::take(&mut rest.bytes)
        } else {
            let size = rest.number::<3>("track size")?;
            rest.take(size as usize, "track")?
        };
        if number == 0 && parsed.frame.is_none() {
            let rest = Rest { bytes, track: rest.track };
            parsed.frame = track(rest, packet, codec, kind, time)?.frame;
        } else {
            parsed.other_tracks += 1;
        }
    }
    Ok(parsed)
}

/// What follows the FourCC of one track.
fn track(
    mut rest: Rest,
    packet: Packet,
    letters: [u8; 4],
    kind: FrameKind,
    time: Time,
) -> Result<Parsed, TagError> {
    let known = FOURCCS.iter().find(|(track, _, known)| *track == rest.track && *known == letters);
    let Some((track, codec, _)) = known.copied() else {
        let track = TrackName(rest.track);
        return Err(TagError::Codec { track, found: FourCc(letters) });
    };
    Ok(match packet {
        Packet::SequenceStart => one(track, codec, FrameKind::Config, time, 0, rest.bytes),
        Packet::SequenceEnd => one(track, codec, FrameKind::End, time, 0, Bytes::new()),
        Packet::CodedFrames => {
            let composed = matches!(codec, Codec::Avc | Codec::Hevc);
            let composition = if composed { rest.composition_time()? } else { 0 };
            one(track, codec, kind, time, composition, rest.bytes)
        }
        Packet::CodedFramesX => one(track, codec, kind, time, 0, rest.bytes),
        // Colours of the picture, as a script message is: a name and a value.
        Packet::Metadata => script(rest.bytes, time),
        Packet::Mpeg2TsSequenceStart => {
            let record = descriptor(codec, &rest.bytes).ok_or(TagError::Descriptor)?;
            one(track, codec, FrameKind::Config, time, 0, record)
        }
        Packet::Multitrack | Packet::ModEx | Packet::Unknown => Parsed::default(),
    })
}

/// The configuration record in an AV1 video descriptor. Behind the descriptor's tag and length stand the
/// same fields, but for two bits about colours where the record has reserved ones.
fn descriptor(codec: Codec, bytes: &Bytes) -> Option<Bytes> {
    (codec == Codec::Av1 && bytes.len() == 6 && bytes.starts_with(&[0x80, 4]))
        .then(|| bytes.slice(2..))
}
