//! Packets to frames.

use super::annexb::{self, Sets};
use super::packet::{PACKET, Packet};
use super::pes::{Pes, Widen, nearest};
use super::psi::{self, PAT_PID, Sections, stream_type};
use super::sound;
use crate::codec::{CodecError, avc, hevc};
use crate::frame::{Codec, Frame, FrameKind, Time, Track};
use crate::limits::{TS_SOUND_UNIT, TS_UNIT};
use bytes::{Buf, Bytes, BytesMut};
use std::collections::VecDeque;
use thiserror::Error;

/// What ends a demuxer. The sender is at fault: whoever streams, or the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum TsError {
    /// It is something else, or bytes are missing.
    #[error("sender's TS packet begins with {0:#04x}, expected 0x47")]
    Sync(u8),
    /// An adaptation field reaches past its packet.
    #[error("sender's TS packet has adaptation_field_length {0}, expected at most 183")]
    Adaptation(u8),
    /// Something reaches past its end.
    #[error("sender's {0} ends too early")]
    Short(&'static str),
    /// No table is that long.
    #[error("sender's TS section has section_length {0}, expected at most 1021")]
    SectionLength(usize),
    /// A table is damaged.
    #[error("sender's {0} does not fit to its checksum")]
    Checksum(&'static str),
    /// What should be a PES packet is something else.
    #[error(
        "sender's PES packet on PID {0} begins with {start:02x?} and has marks {marks:#04x}, expected \
         [00, 00, 01] and 0x80 to 0xbf", start = [.1[0], .1[1], .1[2]], marks = .1[3]
    )]
    PesStart(u16, [u8; 4]),
    /// An access unit without end.
    #[error("sender's PES packet on PID {pid} is longer than {most} bytes")]
    TooLong {
        /// Its PID.
        pid: u16,
        /// What is allowed.
        most: usize,
    },
    /// Something in it is not what its codec says.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// Packets to frames.
///
/// Bytes go in by [`receive`](Self::receive), however they were cut; frames come out by
/// [`next_frame`](Self::next_frame) until there is none. Between the two all that came is held. Of the first
/// program, the first track of pictures and the first of sound are read. Configurations are made from what
/// stands in band, and come before the first frame and where they change; frames before them are left out.
/// An access unit that misses packets is left out too. Each PES packet of pictures has to be one access unit.
#[derive(Debug, Default)]
pub struct Demuxer {
    buffer: BytesMut,
    pat: Sections,
    pmt: Sections,
    pmt_pid: Option<u16>,
    tracks: Vec<Elementary>,
    widen: Widen,
    ready: VecDeque<Frame>,
    ended: bool,
    passed_over: u64,
    lost: u64,
    other_tracks: u64,
    failed: Option<TsError>,
}

/// One of the tracks.
#[derive(Debug)]
struct Elementary {
    pid: u16,
    track: Track,
    codec: Codec,
    /// The last continuity counter.
    counter: Option<u8>,
    /// What came of the PES packet that has begun.
    unit: BytesMut,
    begun: bool,
    /// Its first packet says that a decoder can begin here.
    random_access: bool,
    config: Bytes,
    /// The configuration has been told of.
    configured: bool,
    /// Sound: a frame that goes on in the next PES packet.
    rest: BytesMut,
    /// Sound: when the next frame begins, in ticks.
    next: Option<i64>,
}

impl Demuxer {
    /// At the beginning of a file or a stream, or anywhere in it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes.
    ///
    /// # Errors
    /// It has failed before.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), TsError> {
        self.failed.map_or(Ok(()), Err)?;
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Says that no more bytes come, so that what has no length ends here.
    pub const fn end(&mut self) {
        self.ended = true;
    }

    /// The next whole frame.
    ///
    /// # Errors
    /// The bytes are no TS, or something in it is broken. The same comes again on every later call.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, TsError> {
        self.failed.map_or(Ok(()), Err)?;
        self.advance().inspect_err(|error| {
            let Self { passed_over, lost, other_tracks, .. } = *self;
            *self =
                Self { passed_over, lost, other_tracks, failed: Some(*error), ..Self::default() };
        })
    }

    /// Packets and access units passed over: damaged or scrambled ones, pictures before a configuration or
    /// without a time, bytes of sound before the beginning of a frame.
    #[must_use]
    pub const fn passed_over(&self) -> u64 {
        self.passed_over
    }

    /// Times that packets were missing.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// Tracks left out, counted in each table: further ones, and those of codecs that are not known.
    #[must_use]
    pub const fn other_tracks(&self) -> u64 {
        self.other_tracks
    }

    /// Bytes that are kept: of packets not read, of access units that have begun, of frames not taken.
    #[must_use]
    pub fn held(&self) -> usize {
        let tracks = self.tracks.iter().map(|track| track.unit.len() + track.rest.len());
        let ready = self.ready.iter().map(|frame| frame.payload.len());
        self.buffer.len()
            + self.pat.held()
            + self.pmt.held()
            + tracks.sum::<usize>()
            + ready.sum::<usize>()
    }

    fn advance(&mut self) -> Result<Option<Frame>, TsError> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Ok(Some(frame));
            }
            if let Some(packet) = self.buffer.first_chunk::<PACKET>().copied() {
                self.buffer.advance(PACKET);
                self.packet(&packet)?;
            } else {
                // Only the first byte of a packet says that it is none.
                if let Some(first) = self.buffer.first().filter(|first| **first != 0x47) {
                    return Err(TsError::Sync(*first));
                }
                if !std::mem::take(&mut self.ended) {
                    return Ok(None);
                }
                for mut track in std::mem::take(&mut self.tracks) {
                    let unit = self.unit(&mut track);
                    self.tracks.push(track);
                    unit?;
                }
            }
        }
    }

    fn packet(&mut self, packet: &[u8; PACKET]) -> Result<(), TsError> {
        let Some(packet) = Packet::parse(packet)? else {
            self.passed_over += 1;
            return Ok(());
        };
        let Some(payload) = packet.payload else {
            let told = |track: &&mut Elementary| packet.discontinuity && track.pid == packet.pid;
            if let Some(track) = self.tracks.iter_mut().find(told) {
                track.counter = Some(packet.counter);
            }
            return Ok(());
        };
        if packet.pid == PAT_PID {
            let mut found = None;
            self.pat.receive(payload, packet.starts, &mut |section| {
                found = psi::parse_pat(section)?.or(found);
                Ok(())
            })?;
            if let Some(pid) = found.filter(|pid| self.pmt_pid != Some(*pid)) {
                self.pmt_pid = Some(pid);
                self.pmt.lose();
            }
        } else if Some(packet.pid) == self.pmt_pid {
            let mut pmt = std::mem::take(&mut self.pmt);
            pmt.receive(payload, packet.starts, &mut |section| self.tables(section))?;
            self.pmt = pmt;
        } else if let Some(at) = self.tracks.iter().position(|track| track.pid == packet.pid) {
            let mut track = self.tracks.swap_remove(at);
            let read = self.elementary(&mut track, &packet, payload);
            self.tracks.push(track);
            read?;
        }
        Ok(())
    }

    /// Takes the tracks that a PMT says. Those that go on keep what has begun.
    fn tables(&mut self, section: &[u8]) -> Result<(), TsError> {
        let Some(streams) = psi::parse_pmt(section)? else { return Ok(()) };
        let mut before = std::mem::take(&mut self.tracks);
        for stream in streams {
            let words = match stream.kind {
                stream_type::AVC => Some((Track::Video, Codec::Avc, Vec::new())),
                stream_type::HEVC => Some((Track::Video, Codec::Hevc, Vec::new())),
                kind => sound::from_words(kind, stream.descriptors)
                    .map(|(codec, record)| (Track::Audio, codec, record)),
            };
            let taken = |track| self.tracks.iter().any(|other| other.track == track);
            let Some((track, codec, record)) = words.filter(|(track, ..)| !taken(*track)) else {
                self.other_tracks += 1;
                continue;
            };
            let same = |other: &Elementary| {
                (other.pid, other.codec) == (stream.pid, codec)
                    && (record.is_empty() || other.config == record)
            };
            let track = match before.iter().position(same) {
                Some(at) => before.swap_remove(at),
                None => Elementary::new(stream.pid, track, codec, record.into()),
            };
            self.tracks.push(track);
        }
        // What has begun of the others is whole, if it is of pictures whose length nobody says.
        for mut track in before {
            self.unit(&mut track)?;
        }
        Ok(())
    }

    fn elementary(
        &mut self,
        track: &mut Elementary,
        packet: &Packet<'_>,
        payload: &[u8],
    ) -> Result<(), TsError> {
        let expected = track.counter.map(|last| (last + 1) & 15);
        if track.counter == Some(packet.counter) && !packet.discontinuity {
            // A packet may be sent twice.
            return Ok(());
        }
        if expected.is_some_and(|expected| expected != packet.counter) {
            if !packet.discontinuity {
                self.lost += 1;
            }
            track.lose();
        }
        track.counter = Some(packet.counter);
        if packet.starts {
            self.unit(track)?;
            (track.begun, track.random_access) = (true, packet.random_access);
        }
        if !track.begun {
            return Ok(());
        }
        track.unit.extend_from_slice(payload);
        let most = if track.track == Track::Video { TS_UNIT } else { TS_SOUND_UNIT };
        if track.unit.len() > most + PACKET {
            return Err(TsError::TooLong { pid: track.pid, most });
        }
        match Pes::length(&track.unit) {
            Some(length) if length > 0 && track.unit.len() >= length => {
                track.unit.truncate(length);
                self.unit(track)
            }
            _ => Ok(()),
        }
    }

    /// Reads the PES packet that has begun and now is whole.
    fn unit(&mut self, track: &mut Elementary) -> Result<(), TsError> {
        if !std::mem::take(&mut track.begun) {
            return Ok(());
        }
        let unit = track.unit.split();
        let length = Pes::length(&unit).unwrap_or_default();
        if length > unit.len() {
            // Its end was lost, or never sent.
            self.lost += 1;
            track.lose();
            return Ok(());
        }
        let pes = Pes::parse(&unit, track.pid)?;
        if track.track == Track::Audio {
            return self.sound(track, &pes);
        }
        self.picture(track, &pes)
    }

    fn picture(&mut self, track: &mut Elementary, pes: &Pes<'_>) -> Result<(), TsError> {
        let Some(shown) = pes.pts else {
            self.passed_over += 1;
            return Ok(());
        };
        let ticks = self.widen.next(pes.dts.unwrap_or(shown));
        let (dts, pts) = (time(ticks), time(nearest(shown, ticks)));
        let (codec, mut sets) = (track.codec, Sets::default());
        for nal in annexb::split(pes.payload) {
            sets.add(codec, nal);
        }
        let record = sets.record(codec)?;
        if let Some(record) = &record {
            track.configure(Bytes::copy_from_slice(record));
        }
        let mut payload = Vec::with_capacity(pes.payload.len() + 16);
        for nal in annexb::split(pes.payload) {
            // What is in the record need not be said again.
            let said = match annexb::Kind::of(codec, nal) {
                annexb::Kind::Delimiter => true,
                annexb::Kind::Other => false,
                _ => record.is_some(),
            };
            if !said {
                payload.extend_from_slice(&(nal.len() as u32).to_be_bytes());
                payload.extend_from_slice(nal);
            }
        }
        if track.config.is_empty() {
            self.passed_over += 1;
            return Ok(());
        }
        let contents = match codec {
            Codec::Avc => avc::contents(&payload, 4)?,
            _ => hevc::contents(&payload, 4)?,
        };
        let key = contents.key || contents.picture && track.random_access;
        self.ready.extend(track.told(dts));
        if !payload.is_empty() {
            let kind = if key { FrameKind::Key } else { FrameKind::Delta };
            let (track, payload) = (Track::Video, payload.into());
            self.ready.push_back(Frame { track, codec, kind, dts, pts, payload });
        }
        Ok(())
    }

    fn sound(&mut self, track: &mut Elementary, pes: &Pes<'_>) -> Result<(), TsError> {
        let codec = track.codec;
        let mut bytes = std::mem::take(&mut track.rest);
        // The time is that of the first frame that begins in this packet.
        let begun = bytes.len();
        let mut told = pes.pts.map(|ticks| self.widen.next(ticks));
        bytes.extend_from_slice(pes.payload);
        let mut bytes = bytes.freeze();
        let whole = bytes.len();
        loop {
            let framed = match sound::frame(codec, &bytes) {
                // Who comes in the middle looks for the beginning of a frame.
                Err(_) if track.next.is_none() => {
                    bytes.advance(1);
                    self.passed_over += 1;
                    continue;
                }
                framed => framed?,
            };
            let Some(framed) = framed else { break };
            let len = framed.header + framed.len;
            if len > bytes.len() || len == 0 {
                break;
            }
            let at = whole - bytes.len();
            let ticks = if at >= begun { told.take() } else { None }.or(track.next);
            let mut unit = bytes.split_to(len);
            if let Some(record) = framed.record {
                track.configure(Bytes::copy_from_slice(&record));
            }
            let Some(ticks) = ticks else {
                self.passed_over += 1;
                continue;
            };
            let duration = framed.duration;
            let lasts = u64::from(duration.samples) * 90_000 / u64::from(duration.rate.max(1));
            track.next = Some(ticks.saturating_add(lasts as i64));
            unit.advance(framed.header);
            let dts = time(ticks);
            if !unit.is_empty() {
                self.ready.extend(track.told(dts));
                let (track, kind) = (Track::Audio, FrameKind::Key);
                self.ready.push_back(Frame { track, codec, kind, dts, pts: dts, payload: unit });
            }
        }
        track.rest = BytesMut::from(&bytes[..]);
        if track.rest.len() > TS_SOUND_UNIT {
            return Err(TsError::TooLong { pid: track.pid, most: TS_SOUND_UNIT });
        }
        Ok(())
    }
}

impl Elementary {
    fn new(pid: u16, track: Track, codec: Codec, config: Bytes) -> Self {
        Self {
            pid,
            track,
            codec,
            counter: None,
            unit: BytesMut::new(),
            begun: false,
            random_access: false,
            config,
            configured: false,
            rest: BytesMut::new(),
            next: None,
        }
    }

    /// Forgets what has begun, as packets of it are missing.
    fn lose(&mut self) {
        (self.begun, self.next) = (false, None);
        self.unit.clear();
        self.rest.clear();
    }

    fn configure(&mut self, record: Bytes) {
        if self.config != record {
            (self.config, self.configured) = (record, false);
        }
    }

    /// The configuration, where it has not been told of.
    fn told(&mut self, dts: Time) -> Option<Frame> {
        if std::mem::replace(&mut self.configured, true) || self.config.is_empty() {
            return None;
        }
        let (track, codec, payload) = (self.track, self.codec, self.config.clone());
        Some(Frame { track, codec, kind: FrameKind::Config, dts, pts: dts, payload })
    }
}

/// Rounded such that the same ticks come of it again.
const fn time(ticks: i64) -> Time {
    let (hundreds, rest) = (ticks.div_euclid(9), ticks.rem_euclid(9));
    Time(hundreds.saturating_mul(100).saturating_add((rest * 100 + 8) / 9))
}
