//! Frames of one track to chunks.

use super::boxes::{HEADER, Writer};
use super::clock::{Clock, ticks, time};
use super::description::Description;
use super::sample_flags;
use crate::frame::{Codec, Frame, FrameKind, Time, Track};
use crate::limits::{MP4_CHUNK, MP4_CHUNK_FRAMES};
use thiserror::Error;

/// An OBU that files do without.
const TEMPORAL_DELIMITER: [u8; 2] = [0x12, 0];
/// Frames a second where nothing says it, for the length of a single one.
const USUAL_RATE: f64 = 30.0;

/// A frame that does not fit into the chunk any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error(
    "a frame of {frame} bytes does not fit into an MP4 chunk that has {chunk}: at most \
     {MP4_CHUNK} bytes and {MP4_CHUNK_FRAMES} frames do"
)]
pub struct TooLong {
    /// Bytes of its payload.
    pub frame: usize,
    /// Bytes of the payloads before it.
    pub chunk: usize,
}

/// What was ended: a `moof` and its `mdat`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Chunk {
    /// When its first frame is decoded, as the chunk says: within half a frame of sound of what the
    /// frame said.
    pub start: Time,
    /// Microseconds to where the next chunk starts, if no time is missing.
    pub duration: i64,
    /// It begins with a keyframe.
    pub is_independent: bool,
    /// Frames in it.
    pub frames: usize,
}

/// One track's frames to chunks.
///
/// ```text
/// push, push, push, finish ──► moof [mfhd, traf [tfhd, tfdt, trun]], mdat [frame, frame, frame]
/// ```
#[derive(Clone, Debug)]
pub struct Packetizer {
    description: Description,
    clock: Clock,
    sequence: u32,
    samples: Vec<Sample>,
    data: Vec<u8>,
    /// Ticks from the last frame but one to the last.
    step: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    tick: i64,
    composition: i32,
    size: u32,
    flags: u32,
    samples: Option<u32>,
}

/// Which of the columns of `trun` there are, and what stands before them.
pub(super) mod column {
    pub(in super::super) const DATA_OFFSET: u32 = 0x1;
    pub(in super::super) const FIRST_FLAGS: u32 = 0x4;
    pub(in super::super) const DURATION: u32 = 0x100;
    pub(in super::super) const SIZE: u32 = 0x200;
    pub(in super::super) const FLAGS: u32 = 0x400;
    pub(in super::super) const COMPOSITION: u32 = 0x800;
}

impl Packetizer {
    /// With no frame so far.
    #[must_use]
    pub fn new(description: Description) -> Self {
        let clock = Clock::new(description.timescale());
        let (samples, data) = (Vec::new(), Vec::new());
        Self { description, clock, sequence: 0, samples, data, step: None }
    }

    /// What the track is.
    #[must_use]
    pub const fn description(&self) -> &Description {
        &self.description
    }

    /// Adds a frame, whose payload is copied. Of AV1 it goes without its temporal delimiter, as files
    /// have it. Configurations, ends and frames of no bytes are no samples, and are passed over. Where
    /// time is missing between two frames of one chunk, the first lasts as long, at most 2^32 ticks;
    /// between two chunks nothing is lost.
    ///
    /// # Errors
    /// The chunk would be too long with it; it is as before.
    pub fn push(&mut self, frame: &Frame) -> Result<(), TooLong> {
        let flags = match frame.kind {
            FrameKind::Key => sample_flags::KEY,
            FrameKind::Delta => sample_flags::DELTA,
            FrameKind::Disposable => sample_flags::DISPOSABLE,
            FrameKind::Config | FrameKind::End => return Ok(()),
        };
        let mut payload = &frame.payload[..];
        if frame.codec == Codec::Av1 {
            payload = payload.strip_prefix(&TEMPORAL_DELIMITER).unwrap_or(payload);
        }
        let fits = payload.len() <= MP4_CHUNK.saturating_sub(self.data.len());
        if !fits || self.samples.len() >= MP4_CHUNK_FRAMES {
            return Err(TooLong { frame: payload.len(), chunk: self.data.len() });
        }
        if payload.is_empty() {
            return Ok(());
        }
        let samples = self.description.samples(payload);
        let before = self.clock.last();
        let tick = self.clock.advance(frame.dts, samples);
        self.step = before.map(|before| tick.saturating_sub(before)).or(self.step);
        let composition = match self.description.track() {
            Track::Video => ticks(frame.pts, self.description.timescale()).saturating_sub(tick),
            // Sound is heard as it is decoded.
            _ => 0,
        };
        let composition = composition.clamp(i32::MIN.into(), i32::MAX.into()) as i32;
        let size = payload.len() as u32;
        self.samples.push(Sample { tick, composition, size, flags, samples });
        self.data.extend_from_slice(payload);
        Ok(())
    }

    /// There is no frame in the chunk.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Frames in the chunk.
    #[must_use]
    pub const fn frames(&self) -> usize {
        self.samples.len()
    }

    /// Bytes of the chunk's payloads.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.data.len()
    }

    /// Where the chunk starts.
    #[must_use]
    pub fn start(&self) -> Option<Time> {
        self.samples.first().map(|first| self.time(first.tick))
    }

    /// Microseconds in the chunk so far. How long its last frame lasts is estimated.
    #[must_use]
    pub fn duration(&self) -> i64 {
        let end = self.time(self.end(None));
        self.start().map_or(0, |start| end.since(start))
    }

    /// Ends the chunk: appends it, and begins another. Nothing if there is no frame.
    ///
    /// `next` is when the frame that follows is decoded: the last frame lasts until then. If it is not
    /// known, it lasts as long as its samples, or as the frame before.
    pub fn finish(&mut self, next: Option<Time>, out: &mut Vec<u8>) -> Option<Chunk> {
        let first = *self.samples.first()?;
        let end = self.end(next);
        self.sequence = self.sequence.wrapping_add(1);
        out.reserve(self.data.len() + 128 + 16 * self.samples.len());
        self.write_moof(first, end, &mut Writer(out));
        let mdat = &mut Writer(out);
        mdat.boxed(b"mdat", |w| w.bytes(&self.data));
        let start = self.time(first.tick);
        let chunk = Chunk {
            start,
            duration: self.time(end).since(start),
            is_independent: first.flags & sample_flags::NOT_SYNC == 0,
            frames: self.samples.len(),
        };
        self.samples.clear();
        self.data.clear();
        Some(chunk)
    }

    fn time(&self, tick: i64) -> Time {
        time(tick.into(), self.description.timescale())
    }

    /// The tick at which the last frame ends.
    fn end(&self, next: Option<Time>) -> i64 {
        let Some(last) = self.samples.last() else { return 0 };
        if let Some(next) = next {
            return self.clock.place(next, last.samples);
        }
        let timescale = i64::from(self.description.timescale());
        let usual = || {
            let rate = self.description.info().frame_rate.unwrap_or(USUAL_RATE);
            (timescale as f64 / rate) as i64
        };
        let samples = last.samples.map(i64::from);
        // A step over a gap tells nothing.
        let step = self.step.filter(|step| (1..=timescale).contains(step));
        last.tick.saturating_add(samples.or(step).unwrap_or_else(usual))
    }

    fn write_moof(&self, first: Sample, end: i64, w: &mut Writer<'_>) {
        let begins = w.0.len();
        let columns = self.columns(end);
        let mut data_offset = 0;
        w.boxed(b"moof", |w| {
            w.full(b"mfhd", 0, 0, |w| w.u32(self.sequence));
            w.boxed(b"traf", |w| {
                // Defaults that are not columns, and positions counted from the moof.
                let size = if columns & column::SIZE == 0 { 0x10 } else { 0 };
                let duration = if columns & column::DURATION == 0 { 0x08 } else { 0 };
                w.full(b"tfhd", 0, 0x02_0020 | duration | size, |w| {
                    w.u32(self.description.id());
                    if duration != 0 {
                        w.u32(self.durations(end).next().unwrap_or_default());
                    }
                    if size != 0 {
                        w.u32(first.size);
                    }
                    // Those of all, or of all but the first.
                    w.u32(self.samples.get(1).unwrap_or(&first).flags);
                });
                w.full(b"tfdt", 1, 0, |w| w.u64(first.tick.max(0).unsigned_abs()));
                let version = u8::from(self.samples.iter().any(|sample| sample.composition < 0));
                w.full(b"trun", version, columns, |w| {
                    w.u32(self.samples.len() as u32);
                    data_offset = w.0.len();
                    w.u32(0);
                    if columns & column::FIRST_FLAGS != 0 {
                        w.u32(first.flags);
                    }
                    for (sample, duration) in self.samples.iter().zip(self.durations(end)) {
                        let values = [
                            (column::DURATION, duration),
                            (column::SIZE, sample.size),
                            (column::FLAGS, sample.flags),
                            (column::COMPOSITION, sample.composition as u32),
                        ];
                        for (column, value) in values {
                            if columns & column != 0 {
                                w.u32(value);
                            }
                        }
                    }
                });
            });
        });
        // The data begins behind the header of its mdat.
        let offset = w.0.len() - begins + HEADER;
        w.put_u32(data_offset, offset as u32);
    }

    /// The columns that are needed, as not all samples have the same there.
    fn columns(&self, end: i64) -> u32 {
        let mut columns = column::DATA_OFFSET;
        if !all_same(self.durations(end)) {
            columns |= column::DURATION;
        }
        if !all_same(self.samples.iter().map(|sample| sample.size)) {
            columns |= column::SIZE;
        }
        let mut flags = self.samples.iter().map(|sample| sample.flags);
        if !all_same(flags.clone()) {
            flags.next();
            columns |= if all_same(flags) { column::FIRST_FLAGS } else { column::FLAGS };
        }
        if self.samples.iter().any(|sample| sample.composition != 0) {
            columns |= column::COMPOSITION;
        }
        columns
    }

    /// How long each frame lasts: to the next one, or to the end.
    fn durations(&self, end: i64) -> impl Iterator<Item = u32> {
        let next = self.samples.iter().skip(1).map(|sample| sample.tick).chain([end]);
        self.samples.iter().zip(next).map(|(sample, next)| {
            let ticks = next.saturating_sub(sample.tick).max(0);
            u32::try_from(ticks).unwrap_or(u32::MAX)
        })
    }
}

fn all_same(mut values: impl Iterator<Item = u32>) -> bool {
    let first = values.next();
    values.all(|value| Some(value) == first)
}
