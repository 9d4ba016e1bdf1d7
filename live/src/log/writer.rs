//! A stream's side of a log: frames to bytes in memory, told to the loops that read.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use media::container::flv::packetizer::TooLong;
use media::{Frame, FrameKind};
use network::MemoryFile;

use super::index::{Begin, Index, Packet};
use super::{About, Growth, Hold, Opened};
use crate::format::{Configs, Format};
use crate::limits;
use crate::pack::{Packer, Placed, Sink};

/// A loop that reads the log.
pub struct Reader {
    /// Which loop.
    pub place: usize,
    /// What it tells.
    pub hold: Arc<Hold>,
}

/// How much a log keeps for players that lag.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes in all.
    pub bytes: u64,
    /// Microseconds of the stream.
    pub span: i64,
    /// Microseconds of it that are kept even where nobody needs them.
    pub kept: i64,
    /// Segments that are kept likewise.
    pub segments: usize,
    /// Microseconds that a part of a segment lasts.
    pub part: i64,
}

/// The one writer of a log.
///
/// Frames are appended to a buffer; [`Writer::commit`] writes it in one go and gives what the readers
/// are to be told.
pub struct Writer {
    format: Format,
    packer: Packer,
    file: MemoryFile,
    index: Index,
    bounds: Bounds,
    /// Bytes that follow the index's head and are not in the file yet.
    buffer: Vec<u8>,
    fresh: Vec<Packet>,
    /// The configurations of the packets that are kept.
    configs: VecDeque<(u32, Arc<Configs>)>,
    fresh_configs: Vec<(u32, Arc<Configs>)>,
    /// What was announced as the tail, and what of it was given back.
    tail: u64,
    released: u64,
    entry_from: u64,
    readers: Vec<Reader>,
    fresh_begins: Vec<Begin>,
    /// The segment under way.
    segment: Option<u32>,
}

impl Writer {
    /// An empty log.
    ///
    /// # Errors
    /// The process has no descriptor left.
    pub fn new(format: Format, bounds: Bounds) -> io::Result<Self> {
        Ok(Self {
            format,
            packer: Packer::new(format, bounds.part),
            file: MemoryFile::new(c"weir-log")?,
            index: Index::default(),
            bounds,
            buffer: Vec::new(),
            fresh: Vec::new(),
            configs: VecDeque::new(),
            fresh_configs: Vec::new(),
            tail: 0,
            released: 0,
            entry_from: 0,
            readers: Vec::new(),
            fresh_begins: Vec::new(),
            segment: None,
        })
    }

    /// Appends a frame.
    ///
    /// # Errors
    /// The format has no room for it.
    pub fn append(&mut self, frame: &Frame, placed: Placed<'_>) -> Result<(), TooLong> {
        let (epoch, configs) = (placed.epoch, placed.configs);
        if self.configs.back().is_none_or(|(last, _)| *last != epoch) {
            self.configs.push_back((epoch, Arc::clone(configs)));
            self.fresh_configs.push((epoch, Arc::clone(configs)));
            if self.configs.len() > limits::CONFIGS {
                self.configs.pop_front();
            }
        }
        if self.format.is_segmented()
            && matches!(frame.kind, FrameKind::Key | FrameKind::Delta | FrameKind::Disposable)
            && self.segment != Some(placed.segment)
        {
            let (number, generation) = (placed.segment, configs.generation);
            self.segment = Some(number);
            self.fresh_begins.push(Begin { number, time: frame.dts, generation });
        }
        let base = self.index.head();
        let mut sink = Sink { base, bytes: &mut self.buffer, packets: &mut self.fresh };
        self.packer.append(frame, placed, &mut sink)
    }

    /// Appends what the format keeps back to be sent with others: nothing comes for now.
    pub fn flush(&mut self) {
        let base = self.index.head();
        let mut sink = Sink { base, bytes: &mut self.buffer, packets: &mut self.fresh };
        self.packer.flush(&mut sink);
    }

    /// In which form.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Bytes that were appended and are not written yet.
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }

    /// Players begin behind what there is: it is of a publisher that is gone.
    pub fn close_entries(&mut self) {
        self.flush();
        self.entry_from = self.index.head() + self.buffer.len() as u64;
    }

    /// Writes what was appended, and gives the readers' news: none where nothing was appended.
    ///
    /// # Errors
    /// There is no memory left; what was appended is lost.
    pub fn commit(&mut self, target: i64) -> io::Result<Option<Growth>> {
        if self.fresh.is_empty() && self.fresh_begins.is_empty() {
            return Ok(None);
        }
        let packets = std::mem::take(&mut self.fresh);
        let written = self.file.write_at(&self.buffer, self.index.head());
        let head = self.index.head() + self.buffer.len() as u64;
        self.buffer.clear();
        // One key picture in a thousand frames does not keep its room for ever.
        self.buffer.shrink_to(limits::RELEASE as usize);
        written?;
        let begins = std::mem::take(&mut self.fresh_begins);
        begins.iter().for_each(|begin| self.index.begin(*begin));
        self.index.extend(&packets, head);
        self.trim();
        Ok(Some(Growth {
            packets,
            head,
            tail: self.tail,
            configs: std::mem::take(&mut self.fresh_configs),
            target,
            begins,
        }))
    }

    /// Moves the tail to what is still needed, and gives back what no loop reads any more.
    fn trim(&mut self) {
        let entry = self.index.newest_entry(0).map_or(self.index.tail(), |packet| packet.at);
        let needed = self.readers.iter().map(|reader| reader.hold.needed()).min();
        // The slowest cursor may be within a packet, which is needed from its beginning.
        let needed = self.index.packet_around(needed.unwrap_or(u64::MAX));
        let needed = needed.map_or(self.index.tail(), |packet| packet.at);
        let needed = needed.max(self.index.begin_of_last(self.bounds.span));
        let recent = self.index.begin_of_last(self.bounds.kept);
        let recent = recent.min(self.index.begin_of_segments(self.bounds.segments));
        let bound = self.index.head().saturating_sub(self.bounds.bytes);
        let tail = self.index.boundary(entry.min(needed).min(recent).max(bound));
        if tail <= self.tail {
            return self.release();
        }
        self.tail = tail;
        self.index.forget_before(tail);
        let first = self.index.next_packet(tail).map(|packet| packet.epoch);
        while self.configs.len() > 1 && self.configs.front().map(|(epoch, _)| *epoch) < first {
            self.configs.pop_front();
        }
        self.release();
    }

    fn release(&mut self) {
        let left = self.readers.iter().map(|reader| reader.hold.left()).min();
        let to = left.unwrap_or(u64::MAX).min(self.tail);
        if to.saturating_sub(self.released) < limits::RELEASE {
            return;
        }
        // Partial pages stay until the next time.
        match self.file.release(self.released, to) {
            Ok(()) => self.released = to - to % MemoryFile::PAGE,
            Err(error) => tracing::error!(%error, "a log's memory could not be given back"),
        }
    }

    /// The log as it stands, for a loop that begins to read. What was appended has to be committed.
    pub fn open(&mut self, reader: Reader, about: About) -> Opened {
        self.readers.retain(|other| other.place != reader.place);
        reader.hold.set_needed(self.tail);
        reader.hold.set_left(self.tail);
        self.readers.push(reader);
        self.stand(about)
    }

    /// The log as it stands, for who reads it when nothing comes any more.
    pub fn stand(&self, about: About) -> Opened {
        let About { is_live, run, target } = about;
        Opened {
            file: self.file.clone(),
            kept: Growth {
                packets: self.index.packets_from(0).copied().collect(),
                head: self.index.head(),
                tail: self.tail,
                configs: self.configs.iter().cloned().collect(),
                target,
                begins: self.index.begins().iter().copied().collect(),
            },
            entry_from: self.entry_from,
            is_live,
            run,
        }
    }

    /// A loop reads no more.
    pub fn close_reader(&mut self, place: usize) {
        self.readers.retain(|reader| reader.place != place);
    }

    /// Which loops read.
    pub fn readers(&self) -> &[Reader] {
        &self.readers
    }

    /// Where players may begin at the earliest.
    pub fn entry_from(&self) -> u64 {
        self.entry_from
    }

    /// Where the packets are.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The configurations of an epoch that is still in the log.
    pub fn configs_of(&self, epoch: u32) -> Option<&Arc<Configs>> {
        self.configs.iter().rev().find(|(number, _)| *number == epoch).map(|(_, configs)| configs)
    }

    /// Reads the bytes of the log from `from` to `to`, both between its tail and its head.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn read(&self, from: u64, to: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(to.saturating_sub(from)).unwrap_or(0)];
        self.file.read_at(&mut bytes, from)?;
        Ok(bytes)
    }

    /// Bytes kept.
    pub fn kept(&self) -> u64 {
        self.index.head() - self.tail
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::pack::append_frame;
    use media::{Codec, Time, Track};

    /// What FLV puts around an AVC picture.
    const HEADERS: u64 = 20;
    const BOUNDS: Bounds =
        Bounds { bytes: 1 << 20, span: 15_000_000, kept: 500_000, segments: 0, part: 200_000 };

    fn picture(number: i64, len: usize) -> Frame {
        let kind = if number % 10 == 0 { FrameKind::Key } else { FrameKind::Delta };
        let time = Time::from_millis(number * 100);
        Frame {
            track: Track::Video,
            codec: Codec::Avc,
            kind,
            dts: time,
            pts: time,
            payload: vec![number as u8; len].into(),
        }
    }

    fn write(writer: &mut Writer, number: i64, len: usize) -> Growth {
        let frame = picture(number, len);
        let is_entry = frame.kind == FrameKind::Key;
        let configs = Arc::default();
        let placed = Placed { epoch: 0, configs: &configs, segment: 0, is_entry };
        writer.append(&frame, placed).unwrap();
        writer.commit(0).unwrap().unwrap()
    }

    fn reader(place: usize) -> (Reader, Arc<Hold>) {
        let hold = Arc::new(Hold::default());
        (Reader { place, hold: Arc::clone(&hold) }, hold)
    }

    #[test]
    fn without_slow_players_it_keeps_the_newest_gop() {
        let mut writer = Writer::new(Format::BASE, BOUNDS).unwrap();
        for i in 0..25 {
            write(&mut writer, i, 1000);
        }
        let entry = writer.index().newest_entry(0).unwrap();
        assert_eq!(entry.time, Time::from_millis(2000));
        assert_eq!(writer.index().tail(), entry.at - 1000 - HEADERS, "and half a second at least");
        for i in 25..29 {
            write(&mut writer, i, 1000);
        }
        assert_eq!(writer.index().tail(), entry.at);
    }

    #[test]
    fn a_slow_player_keeps_what_it_needs_up_to_the_bounds() {
        let mut writer = Writer::new(Format::BASE, BOUNDS).unwrap();
        write(&mut writer, 0, 1000);
        let (reader, hold) = reader(0);
        writer.open(reader, About::default());
        for i in 1..100 {
            write(&mut writer, i, 1000);
        }
        assert_eq!(writer.index().tail(), 0, "9.9 s are within the span");
        for i in 100..300 {
            write(&mut writer, i, 1000);
        }
        let oldest = writer.index().next_packet(0).unwrap();
        assert_eq!(oldest.time, Time::from_millis(29_900 - 15_000));
        for i in 300..400 {
            write(&mut writer, i, 20_000);
        }
        assert!(writer.kept() <= BOUNDS.bytes);
        hold.set_needed(u64::MAX);
        write(&mut writer, 400, 1000);
        assert_eq!(writer.index().count(), 6, "half a second of them");
    }

    #[test]
    fn a_player_within_a_packet_keeps_all_of_it() {
        let mut writer = Writer::new(Format::BASE, BOUNDS).unwrap();
        write(&mut writer, 0, 1000);
        let (reader, hold) = reader(0);
        writer.open(reader, About::default());
        hold.set_needed(500);
        for i in 1..30 {
            assert_eq!(write(&mut writer, i, 1000).tail, 0);
        }
        hold.set_needed(2 * (1000 + HEADERS) + 1);
        assert_eq!(write(&mut writer, 30, 1000).tail, 2 * (1000 + HEADERS));
    }

    #[test]
    fn memory_is_given_back_when_all_loops_have_left_it() {
        let mut writer = Writer::new(Format::BASE, BOUNDS).unwrap();
        let (first, one) = reader(0);
        let (second, two) = reader(1);
        writer.open(first, About::default());
        writer.open(second, About::default());
        one.set_needed(u64::MAX);
        two.set_needed(u64::MAX);
        let mut last = 0;
        for i in 0..200 {
            last = write(&mut writer, i, 10_000).tail;
            one.set_left(last);
        }
        let head = writer.index().head();
        assert!(writer.file.allocated().unwrap() >= head, "the second has not heard of it");
        two.set_left(last);
        write(&mut writer, 201, 10_000);
        assert!(writer.file.allocated().unwrap() < 500_000);
    }

    #[test]
    fn a_log_is_read_as_it_was_written() {
        let mut writer = Writer::new(Format::BASE, BOUNDS).unwrap();
        let mut expected = Vec::new();
        for i in 0..9 {
            append_frame(Format::BASE, &picture(i, 777), &mut expected).unwrap();
            write(&mut writer, i, 777);
        }
        assert_eq!(writer.read(0, writer.index().head()).unwrap(), expected);
        let (reader, _) = reader(3);
        let opened = writer.open(reader, About::default());
        assert_eq!((opened.kept.packets.len(), opened.kept.head), (9, expected.len() as u64));
    }
}
