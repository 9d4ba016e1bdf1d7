//! A loop's side of a log: the same index, and the players whose cursors are in it.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use media::playlist::Run;
use network::{EventLoop, MemoryFile, SourceId};
use slab::Slab;

use super::index::{Index, Packet};
use super::segments::Segments;
use super::{Growth, Hold, Opened};
use crate::format::{Configs, Format};
use crate::hub::Hub;
use crate::left_out::{Skip, Skips};
use crate::limits;
use crate::name::StreamName;
use crate::settings::{Play, Settings};

/// Called once, when a player that waits should look again.
pub type Wake = Box<dyn FnOnce(&Rc<Hub>, &mut EventLoop)>;

/// Called whenever a log has grown, and when its stream ends.
pub type Watch = Rc<dyn Fn(&Rc<Hub>, &mut EventLoop)>;

/// What one loop knows of one log. All players of this loop that play this stream in this format share
/// it; it is made when the first asks, before it is known whether there is such a stream.
pub struct View {
    /// The stream.
    pub name: StreamName,
    /// The form of it.
    pub format: Format,
    /// What the writer hears of this loop.
    pub hold: Arc<Hold>,
    file: OnceCell<MemoryFile>,
    head: Cell<u64>,
    tail: Cell<u64>,
    /// Cursors before this lag too far: they skip.
    skip_before: Cell<u64>,
    /// Those before this do so in time, the others in bytes.
    late_before: Cell<u64>,
    entry_from: Cell<u64>,
    is_live: Cell<bool>,
    has_ended: Cell<bool>,
    run: Cell<u64>,
    /// Counts what has changed.
    version: Cell<u64>,
    /// Called when it has changed.
    watch: RefCell<Option<Watch>>,
    /// How long it is kept when nobody needs it any more.
    lingers: Duration,
    inner: RefCell<Inner>,
    /// What its players were sent, and skipped, since that was last told.
    pub(crate) tally: Tally,
    skip_span: i64,
    skip_bytes: u64,
    /// The most bytes that are listed: what leaves the list stays in the log for as long again.
    listed_bytes: u64,
    pub(crate) flush: Flush,
}

/// What the flusher keeps of a view.
pub(crate) struct Flush {
    /// When its players were last written to.
    pub flushed: Cell<Instant>,
    /// It is on the flusher's list, for then.
    pub due: Cell<Option<Instant>>,
    /// Its players are being written to.
    pub in_pass: Cell<bool>,
    /// And will be again.
    pub another: Cell<bool>,
    /// Since when the pass waits for other work, and what writing had taken by then.
    pub waits: Cell<(Instant, Duration)>,
}

#[derive(Default)]
struct Inner {
    index: Index,
    configs: VecDeque<(u32, Arc<Configs>)>,
    seats: Slab<Seated>,
    waiting: VecDeque<(Instant, Wake)>,
    /// Since when nobody has played or waited.
    deserted: Option<Instant>,
    target: i64,
}

/// A player's place among the others.
struct Seated {
    source: SourceId,
    at: Rc<Cursor>,
}

/// Where a player is in a log, and what it skipped to get there.
#[derive(Debug, Default)]
pub struct Cursor {
    at: Cell<u64>,
    skips: Cell<Skips>,
}

impl Cursor {
    fn new(at: u64) -> Self {
        Self { at: Cell::new(at), ..Self::default() }
    }

    /// The next byte it is sent.
    pub fn get(&self) -> u64 {
        self.at.get()
    }

    pub(crate) fn set(&self, at: u64) {
        self.at.set(at);
    }

    /// What it skipped.
    pub fn skipped(&self) -> Skips {
        self.skips.get()
    }

    pub(crate) fn skip(&self, why: Skip, bytes: u64) {
        self.skips.set(self.skips.get().with(why, bytes));
    }
}

/// What the players of a view were sent and skipped.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    sent: Cell<u64>,
    skips: Cell<Skips>,
}

impl Tally {
    pub fn sent(&self, bytes: u64) {
        self.sent.set(self.sent.get() + bytes);
    }

    pub fn skipped(&self, why: Skip, bytes: u64) {
        self.skips.set(self.skips.get().with(why, bytes));
    }

    /// Bytes sent, and what was skipped, since the last time.
    pub fn take(&self) -> (u64, Skips) {
        (self.sent.take(), self.skips.take())
    }
}

/// Where a player begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Start {
    /// At the newest keyframe, at once.
    #[default]
    Key,
    /// At the next frame, whatever it is.
    Live,
}

/// A place to begin, and what a player has to know there.
pub(crate) struct Entry {
    pub at: u64,
    pub packet: Packet,
    pub configs: Arc<Configs>,
}

impl View {
    pub(crate) fn new(name: StreamName, format: Format, settings: &Settings, now: Instant) -> Self {
        let Play { skip_after, skip_bytes, .. } = settings.play;
        let lingers = match format.is_segmented() {
            true => settings.hls.viewer_leaves_after,
            false => 4 * limits::LOOK_AROUND,
        };
        Self {
            name,
            format,
            hold: Arc::default(),
            file: OnceCell::new(),
            head: Cell::new(0),
            tail: Cell::new(0),
            skip_before: Cell::new(0),
            late_before: Cell::new(0),
            entry_from: Cell::new(0),
            is_live: Cell::new(false),
            has_ended: Cell::new(false),
            run: Cell::new(0),
            version: Cell::new(0),
            watch: RefCell::default(),
            lingers,
            inner: RefCell::default(),
            tally: Tally::default(),
            skip_span: i64::try_from(skip_after.as_micros()).unwrap_or(i64::MAX),
            skip_bytes,
            listed_bytes: settings.log_bytes / 2,
            flush: Flush {
                flushed: Cell::new(now),
                due: Cell::new(None),
                in_pass: Cell::new(false),
                another: Cell::new(false),
                waits: Cell::new((now, Duration::ZERO)),
            },
        }
    }

    // ---- what players ask ----

    pub(crate) fn file(&self) -> Option<&MemoryFile> {
        self.file.get()
    }

    /// Where the log ends.
    pub fn head(&self) -> u64 {
        self.head.get()
    }

    pub(crate) fn tail(&self) -> u64 {
        self.tail.get()
    }

    /// Why a player with its cursor here has to skip.
    pub(crate) fn lags(&self, at: u64) -> Option<Skip> {
        let late = if at < self.late_before.get() { Skip::Time } else { Skip::Bytes };
        (at < self.skip_before.get()).then_some(late)
    }

    /// Bytes are flowing.
    pub fn is_live(&self) -> bool {
        self.is_live.get()
    }

    /// The stream is over: players are sent what is left, and that is all.
    pub fn has_ended(&self) -> bool {
        self.has_ended.get()
    }

    /// How many players of this loop play here.
    pub fn players(&self) -> usize {
        self.inner.borrow().seats.len()
    }

    /// Where a player may begin now; nowhere while there is no live publisher or no keyframe yet.
    pub(crate) fn entry(&self, start: Start) -> Option<Entry> {
        if !self.is_live() || self.has_ended() {
            return None;
        }
        let inner = self.inner.borrow();
        let newest = inner.index.newest_entry(self.entry_from.get());
        let last = inner.index.packet_around(u64::MAX);
        let (at, packet) = match start {
            Start::Key => newest.map(|packet| (packet.at, packet))?,
            Start::Live => last.map(|packet| (self.head(), packet))?,
        };
        let configs = inner.configs.iter().rev().find(|(epoch, _)| *epoch == packet.epoch);
        let configs = configs.or(inner.configs.back()).map(|(_, configs)| Arc::clone(configs))?;
        Some(Entry { at, packet, configs })
    }

    /// The newest entry behind `at`, for a player that lags, and the configurations it needs there if
    /// they are not those it has.
    pub(crate) fn skip_from(&self, at: u64) -> Option<(Packet, Option<Arc<Configs>>)> {
        let inner = self.inner.borrow();
        let entry = inner.index.newest_entry(at.saturating_add(1))?;
        let now = inner.index.packet_around(at).map(|packet| packet.epoch);
        let configs = || inner.configs.iter().rev().find(|(epoch, _)| *epoch == entry.epoch);
        let differs = now != Some(entry.epoch);
        Some((entry, differs.then(configs).flatten().map(|(_, configs)| Arc::clone(configs))))
    }

    /// Where the packet ends that `at` lies in.
    pub(crate) fn boundary(&self, at: u64) -> u64 {
        if at == self.head() { at } else { self.inner.borrow().index.boundary(at) }
    }

    /// How far `at` is behind the newest frame, in microseconds of the stream.
    pub(crate) fn lag(&self, at: u64) -> i64 {
        let inner = self.inner.borrow();
        let newest = inner.index.newest();
        let here = inner.index.next_packet(at).map(|packet| packet.time);
        newest.zip(here).map_or(0, |(newest, here)| newest.since(here).max(0))
    }

    /// The packets from `at` on, each with its end, until `each` returns false.
    pub(crate) fn walk(&self, at: u64, mut each: impl FnMut(Packet, u64) -> bool) {
        let inner = self.inner.borrow();
        let mut packets = inner.index.packets_from(at).copied().peekable();
        while let Some(packet) = packets.next() {
            let end = packets.peek().map_or(inner.index.head(), |next| next.at);
            if !each(packet, end) {
                break;
            }
        }
    }

    /// Takes a seat; the cell is where the player notes its cursor.
    pub(crate) fn sit(&self, source: SourceId, at: u64) -> (usize, Rc<Cursor>) {
        let cell = Rc::new(Cursor::new(at));
        let mut inner = self.inner.borrow_mut();
        let place = inner.seats.insert(Seated { source, at: Rc::clone(&cell) });
        inner.deserted = None;
        // Before the next look around the writer might drop what this player needs.
        self.hold.set_needed(self.hold.needed().min(at));
        (place, cell)
    }

    pub(crate) fn stand_up(&self, seat: usize) {
        self.inner.borrow_mut().seats.try_remove(seat);
    }

    /// Has `wake` called when it is worth looking for an [`View::entry`] again: when there is one,
    /// when the stream ends, and at `until`.
    pub(crate) fn wait(&self, until: Instant, wake: Wake) {
        let mut inner = self.inner.borrow_mut();
        inner.waiting.push_back((until, wake));
        inner.deserted = None;
    }

    /// Somebody asked for something of it: it is kept for a while. Of what is over nothing is kept
    /// longer for that.
    pub(crate) fn touch(&self) {
        if !self.has_ended() {
            self.inner.borrow_mut().deserted = None;
        }
    }

    /// Changes whenever the log does.
    pub(crate) fn version(&self) -> u64 {
        self.version.get()
    }

    /// Bits a second of what is kept.
    pub(crate) fn bitrate(&self) -> u64 {
        let inner = self.inner.borrow();
        let first = inner.index.next_packet(0).map(|packet| packet.time);
        let micros =
            inner.index.newest().zip(first).map_or(0, |(newest, first)| newest.since(first));
        let bits = (inner.index.head() - inner.index.tail()).saturating_mul(8_000_000);
        bits.checked_div(micros.max(0).unsigned_abs()).unwrap_or(0)
    }

    /// Which life of the stream this is of.
    pub(crate) fn run(&self) -> Run {
        Run::began_at(self.run.get())
    }

    /// When that began, in milliseconds since 1970.
    pub(crate) fn run_millis(&self) -> u64 {
        self.run.get()
    }

    /// The newest configurations of a generation.
    pub(crate) fn configs_of_generation(&self, generation: u32) -> Option<Arc<Configs>> {
        let inner = self.inner.borrow();
        let found =
            inner.configs.iter().rev().find(|(_, configs)| configs.generation == generation);
        found.map(|(_, configs)| Arc::clone(configs))
    }

    /// Where a segment lies, or its beginning where it still grows.
    pub(crate) fn segment(&self, number: u32) -> Option<(u64, Option<u64>)> {
        let inner = self.inner.borrow();
        let (first, next) = inner.index.segment(number)?;
        let begun = inner.index.begins().back();
        let is_over = self.has_ended() || begun.is_some_and(|begun| begun.number != number);
        let end = next.map(|next| next.at).or(is_over.then_some(inner.index.head()));
        Some((first.at, end))
    }

    /// Where a part of a segment lies.
    pub(crate) fn part(&self, number: u32, part: u32) -> Option<(u64, u64)> {
        let inner = self.inner.borrow();
        let (first, _) = inner.index.segment(number)?;
        let mut packets = inner.index.packets_from(first.at);
        let packet = packets.nth(usize::try_from(part).ok()?).filter(|p| p.segment == number)?;
        Some((packet.at, packets.next().map_or(inner.index.head(), |next| next.at)))
    }

    /// The segments of the last `window` microseconds, as lists have them.
    pub(crate) fn segments(&self, window: i64) -> Segments {
        let inner = self.inner.borrow();
        let Inner { index, configs, .. } = &*inner;
        Segments::of(index, configs, self.has_ended(), window, self.listed_bytes)
    }

    /// Seconds that no segment is longer than, once rounded.
    pub(crate) fn target_duration(&self) -> u32 {
        u32::try_from(self.inner.borrow().target / 1_000_000).unwrap_or(0).max(1)
    }

    /// Has `watch` called whenever the log has grown, and when the stream ends.
    pub(crate) fn watch(&self, watch: Watch) {
        self.watch.replace(Some(watch));
    }

    pub(crate) fn watcher(&self) -> Option<Watch> {
        self.watch.borrow().clone()
    }

    // ---- what the stream tells ----

    /// The log is there.
    pub(crate) fn open(&self, opened: Opened) {
        let Opened { file, kept, entry_from, is_live, run } = opened;
        self.run.set(run);
        self.file.get_or_init(|| file);
        self.entry_from.set(entry_from);
        self.is_live.set(is_live);
        self.grow(&kept);
    }

    /// The log has grown.
    pub(crate) fn grow(&self, growth: &Growth) {
        let mut inner = self.inner.borrow_mut();
        growth.begins.iter().for_each(|begin| inner.index.begin(*begin));
        inner.index.extend(&growth.packets, growth.head);
        inner.index.forget_before(growth.tail);
        inner.configs.extend(growth.configs.iter().cloned());
        while inner.configs.len() > limits::CONFIGS {
            inner.configs.pop_front();
        }
        self.version.set(self.version.get() + 1);
        inner.target = growth.target;
        let before = self.head.replace(growth.head);
        self.tail.set(growth.tail);
        let by_time = inner.index.begin_of_last(self.skip_span);
        let by_bytes = inner.index.boundary(growth.head.saturating_sub(self.skip_bytes));
        // Who had all there was does not lag, however much comes at once.
        self.skip_before.set(by_time.max(by_bytes).min(before));
        self.late_before.set(by_time);
        self.hold.set_left(growth.tail);
    }

    /// Its publisher has gone or come back.
    pub(crate) fn set_live(&self, is_live: bool, entry_from: u64) {
        self.is_live.set(is_live);
        self.entry_from.set(entry_from);
    }

    pub(crate) fn end(&self) {
        self.version.set(self.version.get() + 1);
        self.is_live.set(false);
        self.has_ended.set(true);
    }

    // ---- what the loop does ----

    /// Marks players due, from the seat `from` on and at most `most`; gives the seat to go on from.
    pub(crate) fn mark_due(
        &self,
        el: &mut EventLoop,
        from: usize,
        most: usize,
    ) -> (usize, Option<usize>) {
        let inner = self.inner.borrow();
        let mut marked = 0;
        // Seats are numbered densely; a gap is one that somebody left.
        for place in from..inner.seats.capacity() {
            let Some(seat) = inner.seats.get(place) else { continue };
            if marked == most {
                return (marked, Some(place));
            }
            el.mark_due(seat.source);
            marked += 1;
        }
        (marked, None)
    }

    /// Those who wait, if it is worth looking; all of them where there is an entry or the end.
    pub(crate) fn take_waiting(&self, now: Instant) -> Vec<Wake> {
        let is_open = self.has_ended() || self.entry(Start::Key).is_some();
        let mut inner = self.inner.borrow_mut();
        let mut woken = Vec::new();
        while inner.waiting.front().is_some_and(|(until, _)| is_open || *until <= now) {
            woken.extend(inner.waiting.pop_front().map(|(_, wake)| wake));
        }
        woken
    }

    /// Whether somebody waits.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.inner.borrow().waiting.is_empty()
    }

    /// Tells the writer where the slowest cursor is. True where nobody has been here for a while.
    pub(crate) fn look_around(&self, now: Instant) -> bool {
        let mut inner = self.inner.borrow_mut();
        let slowest = inner.seats.iter().map(|(_, seat)| seat.at.get()).min();
        self.hold.set_needed(slowest.unwrap_or(u64::MAX));
        if slowest.is_some() || !inner.waiting.is_empty() {
            inner.deserted = None;
            return false;
        }
        let since = *inner.deserted.get_or_insert(now);
        now.saturating_duration_since(since) >= self.lingers
    }
}
