//! Bytes to frames.

use super::boxes::{BoxName, Header, Mp4Error, Reader};
use super::clock::time;
use super::fragment::{self, Run};
use super::movie::{self, TrackOf};
use super::sample_flags;
use crate::codec::Fault;
use crate::frame::{Frame, FrameKind, Track};
use crate::limits::{MP4_HEADERS, MP4_SAMPLE};
use bytes::{Buf, BytesMut};
use std::collections::VecDeque;

/// What a stream can begin with. Anything else is no MP4, whatever length it seems to say.
const FIRST: [[u8; 4]; 10] = [
    *b"ftyp", *b"styp", *b"moov", *b"moof", *b"sidx", *b"emsg", *b"prft", *b"free", *b"skip",
    *b"uuid",
];

/// Bytes to frames: of the first track of pictures and the first of sound, in the order of their data.
///
/// Bytes go in by [`receive`](Self::receive), however they were cut; frames come out by
/// [`next_frame`](Self::next_frame) until there is none. An init segment gives a configuration for each
/// track whose codec has one, at the time its track has come to; it may come again. Only fragments have
/// frames: the samples of a `moov` itself are not looked for. Between the two calls, all that came is
/// held: at most one `moov`, `moof` or sample if frames are taken after each `receive`.
#[derive(Debug, Default)]
pub struct Demuxer {
    buffer: BytesMut,
    /// Where the buffer begins.
    position: u64,
    /// Bytes to come that nobody needs.
    skip: u64,
    begun: bool,
    /// Where the `mdat` ends that has begun.
    data_end: Option<u64>,
    tracks: Vec<TrackOf>,
    configs: VecDeque<Frame>,
    /// Samples whose data has not come, in its order.
    runs: VecDeque<Run>,
    passed_over: u64,
    failed: Option<Mp4Error>,
}

impl Demuxer {
    /// At the beginning of a file or stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes.
    ///
    /// # Errors
    /// It has failed before.
    pub fn receive(&mut self, mut bytes: &[u8]) -> Result<(), Mp4Error> {
        self.failed.map_or(Ok(()), Err)?;
        if self.buffer.is_empty() {
            let skipped = self.skipped(bytes.len());
            bytes = bytes.get(skipped..).unwrap_or_default();
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// The next whole frame. Its payload shares a buffer the demuxer uses again once it is dropped, so
    /// who keeps it for long keeps a copy.
    ///
    /// # Errors
    /// The bytes are no MP4, or a box that is needed is broken. The same comes again on every later call.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Mp4Error> {
        self.failed.map_or(Ok(()), Err)?;
        self.advance().inspect_err(|error| {
            *self = Self { failed: Some(*error), passed_over: self.passed_over, ..Self::default() };
        })
    }

    /// Tracks of an init segment, and tracks of a fragment, that were passed over.
    #[must_use]
    pub const fn passed_over(&self) -> u64 {
        self.passed_over
    }

    /// Bytes of the sender that are kept: of the box or sample that has begun, and of frames not taken.
    #[must_use]
    pub fn held(&self) -> usize {
        self.buffer.len()
    }

    fn advance(&mut self) -> Result<Option<Frame>, Mp4Error> {
        loop {
            if let Some(config) = self.configs.pop_front() {
                return Ok(Some(config));
            }
            if !self.skip_what_came() {
                return Ok(None);
            }
            if let Some(end) = self.data_end {
                match self.sample(end)? {
                    Next::Frame(frame) => return Ok(Some(frame)),
                    Next::Wait => return Ok(None),
                    Next::End => {
                        self.data_end = None;
                        self.skip = end.saturating_sub(self.position);
                    }
                }
            } else if !self.next_box()? {
                return Ok(None);
            }
        }
    }

    /// Whether a box has begun, or come whole where it is needed whole.
    fn next_box(&mut self) -> Result<bool, Mp4Error> {
        let at = self.position;
        let Some(header) = Header::read(&self.buffer, at)? else { return Ok(false) };
        let error = |fault| Mp4Error { name: BoxName(header.name), at, fault };
        if !self.begun && !FIRST.contains(&header.name) {
            return Err(error(Fault::Missing("ftyp, styp, moov or moof before it")));
        }
        self.begun = true;
        let content = header.content.unwrap_or(u64::MAX);
        match &header.name {
            b"moov" | b"moof" => {
                if content > MP4_HEADERS {
                    let (field, expected) = ("bytes", "at most 1048576");
                    return Err(error(Fault::Field { field, found: content, expected }));
                }
                let size = header.len + content as usize;
                if self.buffer.len() < size {
                    return Ok(false);
                }
                if !self.runs.is_empty() {
                    return Err(error(Fault::Missing("data of the moof before it")));
                }
                self.read_headers(header, size, at)?;
            }
            b"mdat" => {
                self.consume(header.len);
                self.data_end = Some(self.position.saturating_add(content));
            }
            _ => self.skip = content.saturating_add(header.len as u64),
        }
        Ok(true)
    }

    fn read_headers(&mut self, header: Header, size: usize, at: u64) -> Result<(), Mp4Error> {
        self.position = self.position.saturating_add(size as u64);
        let bytes = self.buffer.split_to(size).freeze();
        let content = bytes.get(header.len..).unwrap_or_default();
        let reader = Reader::new(header.name, at, header.len, content);
        if header.name == *b"moof" {
            if self.tracks.is_empty() {
                return Err(reader.error(Fault::Missing("moov with a known track before it")));
            }
            let (runs, others) = fragment::read(&reader, at, &bytes, &mut self.tracks)?;
            self.runs = runs.into();
            self.passed_over = self.passed_over.saturating_add(others);
            return Ok(());
        }
        let (mut tracks, others) = movie::read(&reader)?;
        self.passed_over = self.passed_over.saturating_add(others);
        for of in &mut tracks {
            let before = self.tracks.iter().find(|before| before.track == of.track);
            let dts = before.map(TrackOf::end_time).unwrap_or_default();
            // Fragments without a time go on from there.
            of.end = before.filter(|b| b.timescale == of.timescale).map_or(0, |b| b.end);
            if let Some(record) = &of.record {
                self.configs.push_back(Frame {
                    track: of.track,
                    codec: of.codec,
                    kind: FrameKind::Config,
                    dts,
                    pts: dts,
                    payload: record.clone().into(),
                });
            }
        }
        self.tracks = tracks;
        Ok(())
    }

    /// The next sample of the `mdat` that ends at `end`.
    fn sample(&mut self, end: u64) -> Result<Next, Mp4Error> {
        while let Some(run) = self.runs.front_mut() {
            let Some(sample) = run.peek() else {
                self.runs.pop_front();
                continue;
            };
            if sample.size == 0 {
                run.advance();
                continue;
            }
            let error =
                |field, found, expected| Err(run.error(Fault::Field { field, found, expected }));
            if sample.size > MP4_SAMPLE {
                return error("sample size", sample.size.into(), "at most 16777216");
            }
            let Some(gap) = sample.offset.checked_sub(self.position) else {
                return error("sample offset", sample.offset, "data behind that of other samples");
            };
            if sample.offset >= end {
                return Ok(Next::End);
            }
            if end - sample.offset < sample.size.into() {
                return error(
                    "sample size",
                    sample.size.into(),
                    "no more than there is in the mdat",
                );
            }
            let track = run.track;
            self.skip = gap;
            if !self.skip_what_came() || self.buffer.len() < sample.size as usize {
                return Ok(Next::Wait);
            }
            if let Some(run) = self.runs.front_mut() {
                run.advance();
            }
            self.position = self.position.saturating_add(sample.size.into());
            let payload = self.buffer.split_to(sample.size as usize).freeze();
            let Some(of) = self.tracks.get(track) else { continue };
            let dts = i128::from(sample.dts) - i128::from(of.shift);
            return Ok(Next::Frame(Frame {
                track: of.track,
                codec: of.codec,
                kind: kind(of.track, sample.flags),
                dts: time(dts, of.timescale),
                pts: time(dts + i128::from(sample.composition), of.timescale),
                payload,
            }));
        }
        Ok(Next::End)
    }

    fn consume(&mut self, count: usize) {
        self.buffer.advance(count.min(self.buffer.len()));
        self.position = self.position.saturating_add(count as u64);
    }

    /// Whether all there is to skip has come.
    fn skip_what_came(&mut self) -> bool {
        let skipped = self.skipped(self.buffer.len());
        self.buffer.advance(skipped);
        self.skip == 0
    }

    /// How many of so many bytes are skipped.
    fn skipped(&mut self, len: usize) -> usize {
        let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(len);
        self.skip -= skipped as u64;
        self.position = self.position.saturating_add(skipped as u64);
        skipped
    }
}

/// What became of the next sample.
enum Next {
    Frame(Frame),
    /// More bytes are needed.
    Wait,
    /// There is none in this `mdat`.
    End,
}

const fn kind(track: Track, flags: u32) -> FrameKind {
    if !matches!(track, Track::Video) || flags & sample_flags::NOT_SYNC == 0 {
        FrameKind::Key
    } else if flags & sample_flags::IS_DEPENDED_ON
        == sample_flags::DISPOSABLE & sample_flags::IS_DEPENDED_ON
    {
        FrameKind::Disposable
    } else {
        FrameKind::Delta
    }
}
