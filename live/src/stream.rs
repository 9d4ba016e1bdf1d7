//! A live stream, on the loop where it lives: its publisher, its clock, its configurations, its logs.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use media::codec::nal::Contents;
use media::codec::{CodecError, Info, avc, hevc};
use media::container::flv::packetizer::{self, TooLong};
use media::container::flv::{self, TagError};
use media::container::mp4::{Description, DescriptionError};
use media::{Codec, Frame, FrameKind, Time, Track};
use network::{SourceId, Timer};
use thiserror::Error;

use crate::announced::Announced;
use crate::audience::{Audience, Origin};
use crate::counters::Counters;
use crate::format::{Configs, Format, Infos, is_entry};
use crate::limits;
use crate::log::index::Packet;
use crate::log::writer::{Bounds, Reader, Writer};
use crate::log::{About, Growth, Opened};
use crate::meter::Meter;
use crate::name::StreamName;
use crate::numbers::Numbers;
use crate::pace::Pace;
use crate::pack::Placed;
use crate::segment::Segmenter;
use crate::settings::Settings;
use crate::timeline::Timeline;

/// Media that ends its publisher.
#[derive(Debug, Error)]
pub enum BadMedia {
    /// A tag is broken.
    #[error(transparent)]
    Tag(#[from] TagError),
    /// No decoder could begin with this configuration, or the frame is broken.
    #[error("publisher's {0}")]
    Codec(#[from] CodecError),
}

/// Who publishes.
#[derive(Clone, Debug)]
pub struct Publisher {
    /// Tells publishers of a stream apart.
    pub number: u64,
    /// Its connection on this loop; the demo has none.
    pub source: Option<SourceId>,
    /// When it last sent something.
    pub heard: Instant,
}

/// A stream that somebody publishes, or did a moment ago, or that somebody waits for.
pub struct Stream {
    /// Its name.
    pub name: StreamName,
    publisher: Option<Publisher>,
    /// Since when it has no publisher.
    pub alone_since: Instant,
    numbers: u64,
    /// Somebody has published.
    has_begun: bool,
    timeline: Timeline,
    /// Where the wall clock of the timeline begins.
    born: Instant,
    configs: Arc<Configs>,
    /// What players were last told in band, publishers before included.
    told: Configs,
    epoch: u32,
    /// The configurations of the last frame.
    framed: Arc<Configs>,
    /// The next frame is the first of its publisher.
    is_anew: bool,
    segmenter: Segmenter,
    segment: u32,
    /// When it began, in milliseconds since 1970: tells its lives apart.
    run: u64,
    /// Bytes of the lengths before NAL units.
    nal_length_size: u8,
    infos: Infos,
    waits_for_key: bool,
    /// Tracks that are not known yet, and what waits for them.
    announced: Announced,
    /// When the logs were last written.
    committed: Instant,
    /// A picture has come since.
    has_picture: bool,
    /// Runs until they are written again.
    pub(crate) hold: Option<(Timer, Instant)>,
    settings: Arc<Settings>,
    /// By [`Format::place`]. The base is always there once somebody has published.
    logs: [Option<Box<Writer>>; Format::PLACES],
    /// Loops that want to read as soon as there is something.
    asked: Vec<(Format, Reader)>,
    counters: Arc<Counters>,
    frames: u64,
    keyframes: u64,
    /// What its publisher sends.
    pub(crate) meter: Meter,
    /// Where its publisher comes from.
    pub(crate) origin: Option<Origin>,
    /// Who plays it.
    pub(crate) audience: Audience,
}

/// What readers of one format are to be told.
pub type News = (Format, Growth);

impl Stream {
    /// A stream that nobody publishes yet, whose segments are numbered from `after` on at least.
    pub fn new(
        name: StreamName,
        settings: Arc<Settings>,
        counters: Arc<Counters>,
        after: Numbers,
        now: Instant,
    ) -> Self {
        let hls = &settings.hls;
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let since_1970 = since_1970.unwrap_or_default();
        let first = Numbers::at(since_1970).max(after);
        Self {
            name,
            publisher: None,
            alone_since: now,
            numbers: 0,
            has_begun: false,
            timeline: Timeline::from(micros(settings.publish.first_time)),
            born: now,
            configs: Arc::default(),
            told: Configs::default(),
            epoch: 0,
            framed: Arc::new(Configs { generation: first.generation, ..Configs::default() }),
            is_anew: true,
            segmenter: Segmenter::new(
                first.segment,
                micros(hls.segment),
                micros(hls.longest_segment),
            ),
            segment: first.segment,
            run: u64::try_from(since_1970.as_millis()).unwrap_or(0),
            nal_length_size: 0,
            infos: Infos::default(),
            waits_for_key: true,
            announced: Announced::default(),
            committed: now,
            has_picture: false,
            hold: None,
            settings,
            logs: Default::default(),
            asked: Vec::new(),
            counters,
            frames: 0,
            keyframes: 0,
            meter: Meter::default(),
            origin: None,
            audience: Audience::default(),
        }
    }

    // ---- who publishes ----

    /// Who publishes now.
    pub fn publisher(&self) -> Option<&Publisher> {
        self.publisher.as_ref()
    }

    /// Somebody has published.
    pub fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Somebody publishes from here on; whoever did so before does not any more.
    ///
    /// # Errors
    /// The system has no descriptor for a log.
    pub fn set_publisher(&mut self, source: Option<SourceId>, now: Instant) -> io::Result<u64> {
        if self.log(Format::BASE).is_none() {
            let base = Box::new(Writer::new(Format::BASE, self.bounds(Format::BASE))?);
            self.put_log(Format::BASE, Some(base));
        }
        self.release(now);
        self.announced = Announced::default();
        if self.has_begun {
            self.timeline.change_publisher();
            self.logs.iter_mut().flatten().for_each(|log| log.close_entries());
            // What the last one's tracks were says nothing of these.
            self.infos = Infos::default();
            self.set_configs(Configs::default());
        }
        self.has_begun = true;
        self.is_anew = true;
        self.waits_for_key = true;
        (self.frames, self.keyframes) = (0, 0);
        (self.meter, self.origin) = (Meter::default(), None);
        self.numbers += 1;
        self.publisher = Some(Publisher { number: self.numbers, source, heard: now });
        self.counters.publishers.join();
        Ok(self.numbers)
    }

    /// The publisher of this number publishes no more. False where it did not any more anyway.
    pub fn unset_publisher(&mut self, number: u64, now: Instant) -> bool {
        let is_it = self.is_published_by(number);
        if is_it {
            self.publisher = None;
            self.alone_since = now;
        }
        is_it
    }

    /// Whether the publisher of this number still is the one.
    pub fn is_published_by(&self, number: u64) -> bool {
        self.publisher.as_ref().is_some_and(|publisher| publisher.number == number)
    }

    /// Whether somebody publishes, and not only says so.
    pub fn is_flowing(&self, now: Instant) -> bool {
        let fresh = |p: &Publisher| {
            self.frames > 0 && now.saturating_duration_since(p.heard) < limits::FLOWING
        };
        self.publisher.as_ref().is_some_and(fresh)
    }

    /// Where its name goes on in another life.
    pub fn numbers(&self) -> Numbers {
        Numbers {
            segment: self.segment.saturating_add(1),
            generation: self.configs.generation.max(self.framed.generation),
        }
    }

    /// What is kept of it, by format.
    pub fn logs(&self) -> impl Iterator<Item = &Writer> {
        self.logs.iter().flatten().map(|log| &**log)
    }

    /// Frames and keyframes of the present publisher.
    pub fn frames(&self) -> (u64, u64) {
        (self.frames, self.keyframes)
    }

    /// What the tracks are.
    pub fn infos(&self) -> &Infos {
        &self.infos
    }

    // ---- frames ----

    /// Takes the body of a tag, as RTMP and FLV have it.
    ///
    /// # Errors
    /// It is broken: its publisher cannot go on.
    pub fn tag(
        &mut self,
        track: Track,
        time_ms: i64,
        body: Bytes,
        now: Instant,
    ) -> Result<(), BadMedia> {
        self.counters.bytes_in.add(body.len() as u64);
        let parsed = flv::parse(body, track, time_ms)?;
        self.counters.frames_of_other_tracks.add(parsed.other_tracks.into());
        match parsed.frame {
            Some(frame) => self.frame(frame, now),
            None => Ok(()),
        }
    }

    /// Takes a frame, with its publisher's times.
    ///
    /// # Errors
    /// As [`Stream::tag`].
    pub fn frame(&mut self, frame: Frame, now: Instant) -> Result<(), BadMedia> {
        if let Some(publisher) = &mut self.publisher {
            publisher.heard = now;
        }
        if frame.kind == FrameKind::Config {
            return self.config(frame, now);
        }
        self.check(&frame)?;
        self.counters.frames_in.add(1);
        self.frames += 1;
        if frame.track != Track::Video || frame.kind == FrameKind::Key {
            self.know_track(&frame);
        }
        if self.announced.waits(&frame, &self.infos, now) {
            self.announced.keep(frame, now);
        } else {
            self.release(now);
            self.take(frame, now);
        }
        Ok(())
    }

    /// Takes the frames that waited for a track to be known.
    fn release(&mut self, now: Instant) {
        for frame in self.announced.take() {
            self.take(frame, now);
        }
    }

    /// Takes a frame of a track that is known.
    fn take(&mut self, mut frame: Frame, now: Instant) {
        if frame.track == Track::Video {
            self.keyframes += u64::from(frame.kind == FrameKind::Key);
            if self.waits_for_key && frame.kind != FrameKind::Key {
                self.counters.frames_before_key.add(1);
                return;
            }
            self.waits_for_key = false;
        }
        self.has_picture |= frame.track == Track::Video;
        self.place(&mut frame, now);
        self.meter.frame(&frame);
        let entry = is_entry(&frame, self.configs.has_video());
        self.describe(&frame, entry);
        if frame.track != Track::Data {
            self.segment(&frame, entry);
        }
        self.append(&frame, entry);
    }

    /// Broken frames are their publisher's end, before they reach a player's decoder.
    fn check(&self, frame: &Frame) -> Result<(), CodecError> {
        let looked: Result<Contents, CodecError> = match frame.codec {
            _ if self.nal_length_size == 0 => return Ok(()),
            Codec::Avc => avc::contents(&frame.payload, self.nal_length_size),
            Codec::Hevc => hevc::contents(&frame.payload, self.nal_length_size),
            _ => return Ok(()),
        };
        looked.map(drop)
    }

    fn place(&mut self, frame: &mut Frame, now: Instant) {
        let wall = now.saturating_duration_since(self.born).as_micros();
        let jumps = self.timeline.jumps();
        let wall = i64::try_from(wall).unwrap_or(i64::MAX);
        let dts = self.timeline.place(frame.track, frame.dts, wall);
        self.counters.clock_jumps.add(self.timeline.jumps() - jumps);
        frame.pts = dts.plus(frame.pts.since(frame.dts));
        frame.dts = dts;
    }

    /// A configuration, or metadata: for who joins, and in band for those who play where it differs
    /// from what they have.
    fn config(&mut self, mut frame: Frame, now: Instant) -> Result<(), BadMedia> {
        match frame.track {
            // What waits is of the configuration before.
            Track::Video if self.configs.video.is_some() => self.release(now),
            Track::Audio if self.configs.audio.is_some() => self.release(now),
            Track::Data if self.is_anew => {
                let waiting = self.announced.take();
                self.announced = Announced::by(&frame.payload);
                waiting.into_iter().for_each(|frame| self.announced.keep(frame, now));
            }
            _ => {}
        }
        let info = match frame.track {
            Track::Data => None,
            _ => Some((frame.codec, Info::from_config(frame.codec, &frame.payload)?)),
        };
        let mut configs = (*self.configs).clone();
        let (place, told) = match frame.track {
            Track::Video => {
                self.nal_length_size = match frame.codec {
                    Codec::Avc => avc::Config::parse(&frame.payload)?.length_size,
                    Codec::Hevc => hevc::Config::parse(&frame.payload)?.length_size,
                    _ => 0,
                };
                self.infos.video = info;
                (&mut configs.video, &mut self.told.video)
            }
            Track::Audio => {
                self.infos.audio = info;
                (&mut configs.audio, &mut self.told.audio)
            }
            Track::Data => (&mut configs.metadata, &mut self.told.metadata),
        };
        let same = |other: &Option<Frame>| {
            other
                .as_ref()
                .is_some_and(|other| other.codec == frame.codec && other.payload == frame.payload)
        };
        let (is_known, is_told) = (same(place), same(told));
        // The payload shares a buffer with the session.
        frame.payload = Bytes::copy_from_slice(&frame.payload);
        *place = Some(frame.clone());
        *told = Some(frame.clone());
        if !is_known {
            let description = describe(&frame, Some(&frame.payload), None);
            match frame.track {
                Track::Video => configs.video_in_mp4 = description,
                Track::Audio => configs.audio_in_mp4 = description,
                Track::Data => {}
            }
            self.set_configs(configs);
        }
        if !is_told {
            frame.dts = self.timeline.now(frame.track);
            frame.pts = frame.dts;
            self.append(&frame, false);
        }
        Ok(())
    }

    /// Tracks that send no configuration are known by their frames.
    fn know_track(&mut self, frame: &Frame) {
        let known = match frame.track {
            Track::Video => &mut self.infos.video,
            Track::Audio => &mut self.infos.audio,
            Track::Data => return,
        };
        if known.is_some() {
            return;
        }
        // Where the header says nothing, the codec's name has to do.
        let info = Info::from_frame(frame.codec, &frame.payload);
        *known = Some((frame.codec, info.unwrap_or_else(|_| Info::of(frame.codec))));
        let mut configs = (*self.configs).clone();
        match frame.track {
            Track::Video => configs.video_in_mp4 = describe(frame, None, Some(&frame.payload)),
            _ => configs.audio_in_mp4 = describe(frame, None, Some(&frame.payload)),
        }
        self.set_configs(configs);
    }

    /// Codecs whose configuration says too little for MP4 are described by a keyframe.
    fn describe(&mut self, frame: &Frame, entry: bool) {
        let is_poor = entry
            && frame.track == Track::Video
            && matches!(frame.codec, Codec::Av1 | Codec::Vp9)
            && self.configs.video_in_mp4.is_none();
        if !is_poor {
            return;
        }
        let config = self.configs.video.as_ref().map(|config| &config.payload[..]);
        let Some(description) = describe(frame, config, Some(&frame.payload)) else { return };
        let mut configs = (*self.configs).clone();
        configs.video_in_mp4 = Some(description);
        if let (Ok(seen), Some((_, info))) =
            (Info::from_frame(frame.codec, &frame.payload), &mut self.infos.video)
        {
            info.width = info.width.or(seen.width);
            info.height = info.height.or(seen.height);
        }
        self.set_configs(configs);
    }

    fn set_configs(&mut self, mut configs: Configs) {
        self.epoch += 1;
        configs.infos = self.infos.clone();
        let goes_on = !self.is_anew && configs.is_like(&self.framed);
        (configs.generation, configs.wall, configs.first) = match goes_on {
            true => (self.framed.generation, self.framed.wall, self.framed.first),
            false => (self.framed.generation.wrapping_add(1), self.wall(), None),
        };
        self.configs = Arc::new(configs);
    }

    /// What the wall clock showed at the stream's time 0, if what comes now comes in time.
    fn wall(&self) -> i64 {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        micros(now).saturating_sub(self.timeline.newest().0)
    }

    /// Says which segment the frame belongs to.
    fn segment(&mut self, frame: &Frame, entry: bool) {
        let (generation, is_picture) = (self.configs.generation, frame.track == Track::Video);
        let placed = self.segmenter.place(frame.dts, entry, is_picture, generation);
        self.segment = placed.number;
        if self.configs.first.is_none() {
            self.epoch += 1;
            let first = Some((placed.number, frame.dts));
            self.configs = Arc::new(Configs { first, ..(*self.configs).clone() });
        }
        if let Some(length) = placed.first_cut {
            let length = Duration::from_micros(length.unsigned_abs());
            tracing::warn!(
                stream = %self.name, ?length, target = ?self.segmenter.target() / 1_000_000,
                "no keyframe for so long: segments begin without one, and players join late; \
                 let the encoder send keyframes at equal distances (hls.segment)"
            );
        }
        self.framed = Arc::clone(&self.configs);
        self.is_anew = false;
    }

    fn append(&mut self, frame: &Frame, entry: bool) {
        if entry && self.configs.metadata.is_none() {
            // Players like to know a picture's size before it comes.
            let video = self.infos.video.as_ref().map(|(codec, info)| (*codec, info));
            let audio = self.infos.audio.as_ref().map(|(codec, info)| (*codec, info));
            let mut configs = (*self.configs).clone();
            configs.metadata = Some(packetizer::metadata(video, audio));
            self.set_configs(configs);
        }
        let (epoch, configs, segment) = (self.epoch, &self.configs, self.segment);
        let placed = Placed { epoch, configs, segment, is_entry: entry };
        for log in self.logs.iter_mut().flatten() {
            if let Err(TooLong(len)) = log.append(frame, placed) {
                self.counters.frames_too_long.add(1);
                tracing::warn!(stream = %self.name, len, "a frame is too long for players");
            }
        }
    }

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

    // ---- readers ----

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
    fn bounds(&self, format: Format) -> Bounds {
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

    fn log(&self, format: Format) -> Option<&Writer> {
        self.logs.get(format.place())?.as_deref()
    }

    fn log_mut(&mut self, format: Format) -> Option<&mut Writer> {
        self.logs.get_mut(format.place())?.as_deref_mut()
    }

    fn put_log(&mut self, format: Format, log: Option<Box<Writer>>) {
        if let Some(place) = self.logs.get_mut(format.place()) {
            *place = log;
        }
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// The track of this frame as MP4 describes it.
fn describe(
    frame: &Frame,
    config: Option<&[u8]>,
    first: Option<&[u8]>,
) -> Option<Arc<Description>> {
    let id = match frame.track {
        Track::Video => 1,
        Track::Audio => 2,
        Track::Data => return None,
    };
    match Description::new(id, frame.codec, config, first) {
        Ok(description) => Some(Arc::new(description)),
        // Its first keyframe says more.
        Err(DescriptionError::NoFrame(_)) => None,
        Err(error) => {
            tracing::debug!(%error, "a track is not in MP4");
            None
        }
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

impl Drop for Stream {
    fn drop(&mut self) {
        self.counters.streams.leave();
    }
}
