//! Frames to packets.
//!
//! ```text
//!  entry                                                  entry
//!    ▼                                                      ▼
//!  PAT PMT | delimiter SPS PPS IDR | P | sound sound .. | P | PAT PMT | delimiter SPS PPS IDR | ..
//!            one PES packet each        in one PES packet
//! ```

use super::annexb::Pictures;
use super::packet::{self, Counter, Cut, Marks};
use super::pes::{Header, stream_id};
use super::psi::{self, PAT_PID, Stream, stream_type};
use super::sound::{Duration, Sound};
use crate::codec::CodecError;
use crate::frame::{Codec, Frame, FrameKind, Track};
use crate::limits::{TS_SOUND_BYTES, TS_SOUND_MICROS, TS_UNIT};
use thiserror::Error;

/// The PIDs of everything, whatever the tracks are.
const PMT_PID: u16 = 0x1000;
const VIDEO_PID: u16 = 0x100;
const AUDIO_PID: u16 = 0x101;

/// Ticks of 90 kHz in a millisecond.
const MS: i64 = 90;
/// The ticks that a stream's time 0 is: ten seconds, so that no time of decoding and no PCR of a stream that
/// begins is below 0.
pub const START: i64 = 10_000 * MS;
/// How far the clock is behind the time of decoding. It covers the sound that waits to be gathered
/// (100 ms), a keyframe four times as long as others that comes at an even pace (130 ms), and tracks
/// that are not quite interleaved.
const PCR_BEHIND: i64 = 300 * MS;
/// A clock has to be told of every 100 ms. In gaps it is told of this often.
const PCR_EVERY: i64 = 90 * MS;
const PCR_AT_MOST: i64 = 100 * MS;
/// Gaps longer than that are not filled: the clock jumps.
const PCR_GAP: i64 = 1000 * MS;
/// Steps back of tracks against each other as far as this hold the clock up; others begin it anew.
const PCR_BACK: i64 = 10_000 * MS;
/// How often a stream of nothing but sound can be begun with: tables before each of its PES packets would
/// be a quarter of it.
const SOUND_ENTRY_EVERY: i64 = 500 * MS;
/// Sound that is off by more than this is where its time says, as frames of it are missing or too many:
/// one is 21 ms long, 11 at least. Less is rounding and jitter.
const SOUND_OFF: i64 = 10 * MS;
/// What is more than rounding to milliseconds is drift: it is followed by one tick a frame.
const SOUND_DRIFT: i64 = 2 * MS;

/// A frame that was not appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum AppendError {
    /// It is longer than TS or a reader here allows.
    #[error("a frame of {0} bytes is too long for MPEG-TS")]
    TooLong(
        /// Bytes of its payload.
        usize,
    ),
    /// It is not what its codec says.
    #[error(transparent)]
    Payload(#[from] CodecError),
}

/// What a frame made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Appended {
    /// Bytes appended: 0 where the frame is gathered for later, or TS has no words for it.
    pub bytes: usize,
    /// Where in them somebody can begin.
    pub entry: Option<Entry>,
}

/// Where somebody can begin: PAT, PMT, and something that decodes by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Bytes appended before it, which belong to what was before.
    pub at: usize,
    /// What those who come from elsewhere are told.
    pub counters: Counters,
}

/// The continuity counters at one place of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    pat: Counter,
    pmt: Counter,
    video: Counter,
    audio: Counter,
}

impl Counters {
    /// Bytes that [`Self::announce`] appends.
    pub const ANNOUNCED: usize = 4 * packet::PACKET;

    /// As one number, for who keeps many.
    #[must_use]
    pub const fn bits(self) -> u16 {
        let Self { pat, pmt, video, audio } = self;
        pat.bits() | pmt.bits() << 4 | video.bits() << 8 | audio.bits() << 12
    }

    /// Those that [`Self::bits`] gave.
    #[must_use]
    pub const fn of_bits(bits: u16) -> Self {
        Self {
            pat: Counter::of_bits(bits),
            pmt: Counter::of_bits(bits >> 4),
            video: Counter::of_bits(bits >> 8),
            audio: Counter::of_bits(bits >> 12),
        }
    }

    /// Appends packets for who comes to this place from another of the same stream: counters and time jump,
    /// and nothing is missing.
    pub fn announce(self, out: &mut Vec<u8>) {
        let marks = Marks { discontinuity: true, ..Marks::default() };
        let Self { pat, pmt, video, audio } = self;
        let pids = [(PAT_PID, pat), (PMT_PID, pmt), (VIDEO_PID, video), (AUDIO_PID, audio)];
        for (pid, counter) in pids {
            packet::field_alone(pid, counter, marks, out);
        }
    }
}

/// Frames to packets, the same for everybody who plays.
///
/// [`configure`](Self::configure) says what the tracks are, [`append`](Self::append) writes frames in the
/// order of their decoding. Each picture is a PES packet; frames of sound are gathered, so they are written
/// with a later one, before an entry, or by [`flush`](Self::flush).
#[derive(Debug, Default)]
pub struct Packetizer {
    pictures: Option<Pictures>,
    sound: Option<Sound>,
    pmt: Vec<u8>,
    streams: Vec<Stream<Vec<u8>>>,
    version: u8,
    /// The tables differ from those written last.
    tables_due: bool,
    counters: Counters,
    /// The last PCR, in ticks that don't wrap.
    clock: Option<i64>,
    sound_clock: Option<SoundClock>,
    group: Group,
    /// When the last picture is decoded, in ticks.
    picture_dts: i64,
    /// When the last entry of sound alone was.
    sound_entry: Option<i64>,
}

/// Frames of sound that wait to be written together.
#[derive(Debug, Default)]
struct Group {
    bytes: Vec<u8>,
    stream_id: u8,
    /// When it begins, in ticks.
    pts: i64,
    /// When the picture before its first frame is decoded.
    since: i64,
    /// Somebody can begin with it.
    entry: bool,
    /// It is the first of its tables.
    tables: bool,
}

impl Packetizer {
    /// Without tracks.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Says what the tracks are from here on: the codec and the configuration record of each, empty where
    /// there is none. Parameter sets go before the next keyframe, tables that change before the next frame.
    /// A track that TS has no words for is left out.
    ///
    /// # Errors
    /// A record is broken. Its track is left out, the other one is as was said.
    pub fn configure(
        &mut self,
        video: Option<(Codec, &[u8])>,
        audio: Option<(Codec, &[u8])>,
    ) -> Result<(), CodecError> {
        let pictures = video.map_or(Ok(None), |(codec, record)| Pictures::new(codec, record));
        let sound = audio.map_or(Ok(None), |(codec, record)| Sound::new(codec, record));
        let error = pictures.as_ref().err().or(sound.as_ref().err()).copied();
        let (pictures, sound) = (pictures.ok().flatten(), sound.ok().flatten());
        if sound != self.sound {
            self.sound_clock = None;
        }
        (self.pictures, self.sound) = (pictures, sound);
        let streams = self.streams();
        if streams != self.streams || self.pmt.is_empty() {
            if !self.pmt.is_empty() {
                self.version = (self.version + 1) & 31;
            }
            self.pmt = psi::pmt(self.version, self.pcr_pid(), &streams);
            self.streams = streams;
            self.tables_due = true;
            self.sound_entry = None;
        }
        error.map_or(Ok(()), Err)
    }

    /// The codecs of the tracks that are written: pictures and sound.
    #[must_use]
    pub fn tracks(&self) -> (Option<Codec>, Option<Codec>) {
        (self.pictures.as_ref().map(|pictures| pictures.codec), self.sound.map(Sound::codec))
    }

    /// Appends a frame.
    ///
    /// `is_entry` says that somebody may begin at it. A picture then always is one; sound becomes one if none
    /// was for half a second, by itself where there are no pictures. What was gathered is written before
    /// it, see [`Entry::at`].
    ///
    /// # Errors
    /// The frame is too long or broken; nothing is appended.
    pub fn append(
        &mut self,
        frame: &Frame,
        is_entry: bool,
        out: &mut Vec<u8>,
    ) -> Result<Appended, AppendError> {
        let before = out.len();
        let entry = match (frame.track, frame.kind) {
            (Track::Data, _) | (_, FrameKind::Config) => None,
            (_, FrameKind::End) => self.write_group(before, out),
            (Track::Video, _) => self.picture(frame, is_entry, out)?,
            (Track::Audio, _) => self.gather(frame, is_entry, out)?,
        };
        Ok(Appended { bytes: out.len() - before, entry })
    }

    /// Appends sound that is gathered and not written yet.
    pub fn flush(&mut self, out: &mut Vec<u8>) -> Appended {
        let before = out.len();
        let entry = self.write_group(before, out);
        Appended { bytes: out.len() - before, entry }
    }

    /// Bytes of sound that wait to be written.
    #[must_use]
    pub const fn gathered(&self) -> usize {
        self.group.bytes.len()
    }

    fn streams(&self) -> Vec<Stream<Vec<u8>>> {
        let video = self.pictures.as_ref().map(|pictures| {
            let kind = match pictures.codec {
                Codec::Avc => stream_type::AVC,
                _ => stream_type::HEVC,
            };
            Stream { kind, pid: VIDEO_PID, descriptors: Vec::new() }
        });
        let audio = self.sound.map(|sound| {
            let (kind, descriptors) = sound.words();
            Stream { kind, pid: AUDIO_PID, descriptors }
        });
        video.into_iter().chain(audio).collect()
    }

    const fn pcr_pid(&self) -> u16 {
        if self.pictures.is_some() { VIDEO_PID } else { AUDIO_PID }
    }

    fn picture(
        &mut self,
        frame: &Frame,
        is_entry: bool,
        out: &mut Vec<u8>,
    ) -> Result<Option<Entry>, AppendError> {
        // Lent out, as what is written borrows its parameter sets.
        let Some(pictures) = self.pictures.take() else { return Ok(None) };
        let written = self.picture_of(&pictures, frame, is_entry, out);
        self.pictures = Some(pictures);
        written
    }

    fn picture_of(
        &mut self,
        pictures: &Pictures,
        frame: &Frame,
        is_entry: bool,
        out: &mut Vec<u8>,
    ) -> Result<Option<Entry>, AppendError> {
        if frame.codec != pictures.codec {
            return Ok(None);
        }
        let key = frame.kind == FrameKind::Key;
        let Some(unit) = pictures.unit(&frame.payload, key)? else { return Ok(None) };
        if unit.len > TS_UNIT {
            return Err(AppendError::TooLong(frame.payload.len()));
        }
        let (pts, dts) = (ticks(frame.pts.ticks_90k()), ticks(frame.dts.ticks_90k()));
        let before = out.len();
        let tables = is_entry || self.tables_due;
        let waits = dts.saturating_sub(self.group.since) > TS_SOUND_MICROS * MS / 1000;
        self.picture_dts = dts;
        if tables || waits {
            // An entry of sound just before one of pictures would only be in its way.
            self.write_group(before, out);
        }
        let entry = Entry { at: out.len() - before, counters: self.counters };
        if tables {
            self.write_tables(out);
        }
        self.fill_clock(VIDEO_PID, dts, out);
        let (pcr, discontinuity) = self.tick(dts);
        let marks = Marks { random_access: key, discontinuity, pcr: Some(pcr) };
        let header = Header::new(stream_id::VIDEO, pts, dts, unit.len);
        let len = header.as_slice().len() + unit.len;
        let mut cut = Cut::begin(VIDEO_PID, &mut self.counters.video, marks, len, out);
        cut.write(header.as_slice());
        unit.write(|bytes| cut.write(bytes));
        Ok(is_entry.then_some(entry))
    }

    fn gather(
        &mut self,
        frame: &Frame,
        is_entry: bool,
        out: &mut Vec<u8>,
    ) -> Result<Option<Entry>, AppendError> {
        let Some(sound) = self.sound.filter(|sound| sound.codec() == frame.codec) else {
            return Ok(None);
        };
        let begun = self.group.bytes.len();
        let duration = sound.push(&frame.payload, &mut self.group.bytes).inspect_err(|_| {
            self.group.bytes.truncate(begun);
        })?;
        let len = self.group.bytes.len() - begun;
        if len > Header::MOST {
            self.group.bytes.truncate(begun);
            return Err(AppendError::TooLong(frame.payload.len()));
        }
        let before = out.len();
        let clock = self.sound_clock.get_or_insert_default();
        let (pts, jumped) = clock.next(ticks(frame.dts.ticks_90k()), duration);
        let end = clock.end();
        let alone = self.pictures.is_none();
        let last = self.sound_entry;
        let entry_due = last.is_none_or(|last| !(0..SOUND_ENTRY_EVERY).contains(&(pts - last)));
        let full = begun + len > TS_SOUND_BYTES;
        let mut entry = None;
        if begun > 0 && (jumped || full || self.tables_due || is_entry && entry_due) {
            // This frame begins another group.
            let ours = self.group.bytes.split_off(begun);
            entry = self.write_group(before, out);
            self.group.bytes = ours;
        }
        let group = &mut self.group;
        if group.bytes.len() == len {
            group.pts = pts;
            group.since = self.picture_dts;
            group.stream_id = sound.stream_id();
            group.entry = entry_due && (is_entry || alone);
            group.tables = std::mem::take(&mut self.tables_due);
            if group.entry {
                self.sound_entry = Some(pts);
            }
        }
        // It is full where one more would be too long, or where one was.
        let most = TS_SOUND_MICROS * MS / 1000;
        if end + (end - pts) - group.pts > most || group.bytes.len() > TS_SOUND_BYTES {
            // Who can begin at both begins at the later one.
            entry = self.write_group(before, out).or(entry);
        }
        Ok(entry)
    }

    /// Writes what is gathered; where it can be begun with, counted from `before`.
    fn write_group(&mut self, before: usize, out: &mut Vec<u8>) -> Option<Entry> {
        if self.group.bytes.is_empty() {
            return None;
        }
        let mut group = std::mem::take(&mut self.group);
        let entry = Entry { at: out.len() - before, counters: self.counters };
        if group.entry || group.tables {
            self.write_tables(out);
        }
        let pid = self.pcr_pid();
        self.fill_clock(pid, group.pts, out);
        let mut marks = Marks { random_access: group.entry, ..Marks::default() };
        if pid == AUDIO_PID {
            let (pcr, discontinuity) = self.tick(group.pts);
            marks = Marks { pcr: Some(pcr), discontinuity, ..marks };
        }
        let header = Header::new(group.stream_id, group.pts, group.pts, group.bytes.len());
        let len = header.as_slice().len() + group.bytes.len();
        let mut cut = Cut::begin(AUDIO_PID, &mut self.counters.audio, marks, len, out);
        cut.write(header.as_slice());
        cut.write(&group.bytes);
        // The buffer is used again.
        group.bytes.clear();
        self.group.bytes = group.bytes;
        group.entry.then_some(entry)
    }

    fn write_tables(&mut self, out: &mut Vec<u8>) {
        packet::section(PAT_PID, &mut self.counters.pat, &psi::pat(PMT_PID), out);
        packet::section(PMT_PID, &mut self.counters.pmt, &self.pmt, out);
        self.tables_due = false;
    }

    /// Tells of the clock where nothing else does, up to what is decoded at `ticks`.
    fn fill_clock(&mut self, pid: u16, ticks: i64, out: &mut Vec<u8>) {
        let target = ticks.saturating_sub(PCR_BEHIND);
        let Some(mut last) = self.clock else { return };
        if target.saturating_sub(last) > PCR_GAP {
            return;
        }
        while target - last > PCR_AT_MOST {
            last += PCR_EVERY;
            let counter = if pid == VIDEO_PID { self.counters.video } else { self.counters.audio };
            let marks = Marks { pcr: Some(last), ..Marks::default() };
            packet::field_alone(pid, counter, marks, out);
        }
        self.clock = Some(last);
    }

    /// The clock for what is decoded at `ticks`, and whether it jumps.
    fn tick(&mut self, ticks: i64) -> (i64, bool) {
        let target = ticks.saturating_sub(PCR_BEHIND);
        let (pcr, jumps) = match self.clock {
            None => (target, false),
            Some(last) => {
                let step = target.saturating_sub(last);
                let jumps = !(-PCR_BACK..=PCR_GAP).contains(&step);
                (if jumps { target } else { target.max(last + 1) }, jumps)
            }
        };
        self.clock = Some(pcr);
        (pcr, jumps)
    }
}

/// A stream's time in ticks, as they are written. Times that are too far away for sums wrap, as what is
/// written does anyway.
const fn ticks(ticks: i64) -> i64 {
    START + ticks % (1 << 60)
}

/// When sound begins, counted by its samples: publishers round to milliseconds.
#[derive(Clone, Copy, Debug, Default)]
struct SoundClock {
    base: Option<i64>,
    /// Samples since then.
    samples: u64,
    rate: u32,
}

impl SoundClock {
    /// When a frame begins that is said to begin at `actual`, and whether that is not where the last one
    /// ended.
    fn next(&mut self, actual: i64, duration: Duration) -> (i64, bool) {
        let expected = self.base.map(|_| self.end());
        let off = expected.map_or(i64::MAX, |expected| actual.saturating_sub(expected));
        let jumped = off.saturating_abs() > SOUND_OFF;
        if jumped {
            *self = Self { base: Some(actual), samples: 0, rate: duration.rate };
        } else if self.rate != duration.rate {
            *self = Self { base: expected, samples: 0, rate: duration.rate };
        } else if off.abs() > SOUND_DRIFT {
            self.base = self.base.map(|base| base + off.signum());
        }
        let begins = self.end();
        self.samples += u64::from(duration.samples);
        (begins, jumped && expected.is_some())
    }

    /// When the last frame ends.
    fn end(&self) -> i64 {
        let ticks = self.samples.saturating_mul(90_000) / u64::from(self.rate.max(1));
        self.base.unwrap_or_default().saturating_add(ticks as i64)
    }
}
