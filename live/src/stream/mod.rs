//! A live stream, on the loop where it lives: its publisher, its clock, its configurations, its logs.
//!
//! | file | what |
//! | --- | --- |
//! | `frames.rs` | what its publisher sends, on its way into the logs |
//! | `logs.rs` | when these are written, and who reads them |

mod frames;
mod logs;

pub use frames::BadMedia;
pub use logs::frame_of;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use network::{SourceId, Timer};

use crate::announced::Announced;
use crate::audience::{Audience, Origin};
use crate::counters::Counters;
use crate::format::{Configs, Format, Infos};
use crate::left_out::Dropped;
use crate::limits;
use crate::log::Growth;
use crate::log::writer::{Reader, Writer};
use crate::meter::Meter;
use crate::name::StreamName;
use crate::numbers::Numbers;
use crate::segment::Segmenter;
use crate::settings::Settings;
use crate::timeline::Timeline;

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
    dropped: [u64; Dropped::ALL.len()],
    clock_jumps: u64,
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
            dropped: Default::default(),
            clock_jumps: 0,
            meter: Meter::default(),
            origin: None,
            audience: Audience::default(),
        }
    }

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
        (self.dropped, self.clock_jumps) = (Default::default(), 0);
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
        self.frames > 0 && self.is_heard(now)
    }

    /// Whether somebody publishes who began a moment ago, or sent something then.
    pub fn is_heard(&self, now: Instant) -> bool {
        let fresh = |p: &Publisher| now.saturating_duration_since(p.heard) < limits::FLOWING;
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

    /// Of those of the present publisher, how many were left out of the logs, by reason.
    pub fn dropped(&self) -> impl Iterator<Item = (Dropped, u64)> {
        Dropped::ALL.into_iter().zip(self.dropped)
    }

    /// Steps of the present publisher's clock that were not believed.
    pub fn clock_jumps(&self) -> u64 {
        self.clock_jumps
    }

    /// What the tracks are.
    pub fn infos(&self) -> &Infos {
        &self.infos
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

impl Drop for Stream {
    fn drop(&mut self) {
        self.counters.streams.leave();
    }
}
