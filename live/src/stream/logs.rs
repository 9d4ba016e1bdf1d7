//! The logs of a stream: when they are written, who reads them, and how one is made when somebody asks.

use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use media::container::flv;
use media::{Frame, Time, Track};

use super::{News, Stream, micros};
use crate::format::Format;
use crate::limits;
use crate::log::index::Packet;
use crate::log::writer::{Bounds, Reader, Writer};
use crate::log::{About, Opened};
use crate::pace::Pace;
use crate::pack::Placed;
use crate::settings::Settings;

impl Stream {
    /// How long what comes waits before anybody can do something with it.
    pub fn pause(&self) -> Duration {
        let readers = self.logs.iter().flatten().flat_map(|log| log.readers());
        readers.map(|reader| reader.hold.pause()).min().unwrap_or(limits::UNREAD)
    }

    /// Whether its publisher is to be read by time, and not at each arrival.
    pub fn is_read_by_time(&self) -> bool {
        self.pause() >= limits::READ_BY_TIME && (self.is_one_of_many() || !self.is_read())
    }

    fn is_one_of_many(&self) -> bool {
        self.counters.publishers.here() >= limits::MANY_PUBLISHERS
    }

    /// So much has come that it is written whoever reads.
    pub fn has_much(&self) -> bool {
        self.logs.iter().flatten().any(|log| log.pending() >= limits::PENDING)
    }

    /// When what came is to be written: as soon as the first of the reading loops can do something
    /// with it.
    pub fn commit_at(&self, pace: &Pace, now: Instant) -> Instant {
        let pause = self.pause();
        if self.has_much() || pace.is_fixed() && self.is_read() && !self.is_one_of_many() {
            now
        } else if !self.is_read() {
            self.committed + pause
        } else if self.has_picture || !self.configs.has_video() {
            pace.next(self.committed, pause, now)
        } else {
            pace.next_with_picture(self.committed, pause, now)
        }
    }

    /// Writes what came since, and gives what the readers are to be told.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn commit(&mut self, mut tell: impl FnMut(&Self, News)) -> io::Result<()> {
        self.committed = Instant::now();
        self.has_picture = false;
        let target = self.segmenter.target();
        for format in Format::ALL {
            let Some(log) = self.log_mut(format) else { continue };
            if let Some(growth) = log.commit(target)? {
                tell(self, (format, growth));
            }
        }
        Ok(())
    }

    /// Nothing comes for now: what formats keep back to be sent with others is to be sent.
    pub fn flush(&mut self) {
        self.release(Instant::now());
        self.logs.iter_mut().flatten().for_each(|log| log.flush());
    }

    /// A loop wants to read: what there is, or nothing yet. It is told of growth from then on.
    ///
    /// # Errors
    /// The system has no descriptor or no memory for the log.
    pub fn open(&mut self, format: Format, reader: Reader) -> io::Result<Option<Opened>> {
        if !self.has_begun {
            self.asked.push((format, reader));
            return Ok(None);
        }
        if format.is_segmented() {
            self.segmenter.list();
        }
        if self.log(format).is_none() {
            let log = Box::new(self.convert(format)?);
            self.put_log(format, Some(log));
        }
        let about = self.about();
        Ok(self.log_mut(format).map(|log| log.open(reader, about)))
    }

    fn about(&self) -> About {
        let is_live = self.publisher.is_some();
        About { is_live, run: self.run, target: self.segmenter.target() }
    }

    /// What segments are made of, if anybody wanted them, as it stands.
    pub fn segmented(&self) -> impl Iterator<Item = (Format, Opened)> {
        let logs = self.logs().filter(|log| log.format().is_segmented());
        logs.map(|log| (log.format(), log.stand(self.about())))
    }

    /// Those who asked before there was something to read.
    pub fn take_asked(&mut self) -> Vec<(Format, Reader)> {
        std::mem::take(&mut self.asked)
    }

    /// A loop reads no more. A log that nobody reads is not written any further.
    pub fn close_reader(&mut self, format: Format, place: usize) {
        self.asked.retain(|(other, reader)| (*other, reader.place) != (format, place));
        let Some(log) = self.log_mut(format) else { return };
        log.close_reader(place);
        if log.readers().is_empty() && format != Format::BASE {
            self.put_log(format, None);
        }
    }

    /// Which loops read this format, and where players may begin.
    pub fn readers(&self, format: Format) -> (&[Reader], u64) {
        match self.log(format) {
            Some(log) => (log.readers(), log.entry_from()),
            None => (&[], 0),
        }
    }

    /// Whether somebody reads, or waits to.
    pub fn is_read(&self) -> bool {
        !self.asked.is_empty() || self.logs.iter().flatten().any(|log| !log.readers().is_empty())
    }

    /// Makes a log from what the first one has since its newest keyframe.
    fn convert(&mut self, format: Format) -> io::Result<Writer> {
        let mut log = Writer::new(format, self.bounds(format))?;
        let Some(base) = self.log(Format::BASE) else { return Ok(log) };
        let index = base.index();
        let from = index.newest_entry(base.entry_from()).map_or(index.head(), |entry| entry.at);
        let bytes = base.read(from, index.head())?;
        let mut packets = index.packets_from(from).copied().peekable();
        while let Some(packet) = packets.next() {
            let end = packets.peek().map_or(index.head(), |next| next.at);
            let Some(configs) = base.configs_of(packet.epoch) else { continue };
            let part = |at: u64| usize::try_from(at - from).unwrap_or(usize::MAX);
            let tag = bytes.get(part(packet.at)..part(end)).unwrap_or_default();
            if let Some(frame) = frame_of(tag, packet.time) {
                let Packet { epoch, segment, is_entry, .. } = packet;
                // It had room in a tag, so it has some here.
                let _ = log.append(&frame, Placed { epoch, configs, segment, is_entry });
            }
        }
        log.commit(0)?;
        Ok(log)
    }

    /// How much a log keeps.
    pub(super) fn bounds(&self, format: Format) -> Bounds {
        let Settings { play, hls, log_bytes, .. } = &*self.settings;
        let kept = match format.is_segmented() {
            // Who was told of a segment is given the time of a whole list to fetch it.
            true => hls.window.saturating_mul(2).saturating_add(hls.segment),
            false => limits::KEPT,
        };
        let span = play.close_after.max(kept);
        let (kept, span, part) = (micros(kept), micros(span), micros(hls.part));
        let segments = if format.is_segmented() { limits::SEGMENTS_KEPT } else { 0 };
        Bounds { bytes: *log_bytes, span, kept, segments, part }
    }
}

/// The frame of one FLV tag of ours, header and trailer included.
pub fn frame_of(tag: &[u8], time: Time) -> Option<Frame> {
    use flv::file::{TAG_HEADER_LEN, TRAILER_LEN};
    let body = tag.get(TAG_HEADER_LEN..tag.len().checked_sub(TRAILER_LEN)?)?;
    let track = match tag.first()? {
        8 => Track::Audio,
        9 => Track::Video,
        _ => Track::Data,
    };
    let frame = flv::parse(Bytes::copy_from_slice(body), track, time.millis()).ok()?.frame?;
    Some(Frame { pts: time.plus(frame.pts.since(frame.dts)), dts: time, ..frame })
}
