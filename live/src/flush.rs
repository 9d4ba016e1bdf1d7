//! Writing to players: which of them, in slices, and what it costs.
//!
//! A flush of a view writes to each of its players. It is done in slices of well under a millisecond,
//! with a look at events between them, so that publishers are read and joining players answered while
//! thousands are written to. What a slice takes says what a write costs, and that how often the loop
//! can afford to flush ([`crate::pace`]).

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use network::{EventLoop, Ready, Source, SourceId, Timer};

use crate::counters::Counters;
use crate::hub::Hub;
use crate::limits;
use crate::log::view::View;
use crate::pace::Pace;
use crate::settings::Play;

/// The share of a loop's time that it may be busy before flushes are held back: the rest is for what
/// comes in bursts.
const SHARE: f64 = 0.95;
/// The least that flushes get of it, however busy the loop is with publishers.
const LEAST: f64 = 0.3;
/// What else the loop does is measured over spans of this length.
const SPAN: Duration = Duration::from_millis(500);
/// What comes a little before its time is not held back for that: streams pace themselves too.
const NEARLY: f64 = 0.9;
/// The measured cost follows the last so many writes.
const MEMORY: f64 = 2000.0;

/// A loop's flushes.
pub struct Flusher {
    pace: Pace,
    /// What one write costs, in seconds; nothing before the first flush.
    cost: Cell<f64>,
    counters: Arc<Counters>,
    /// When the present span began, and how much of it went into slices.
    span: Cell<(Instant, Duration)>,
    /// The share of its time the loop spends on anything but slices.
    others: Cell<f64>,
    /// Larger writes cost more each, so what a loop can afford is not known from what it does now: this
    /// makes pauses shorter, little by little, while the loop has time.
    correction: Cell<f64>,
    /// Views being flushed, and the seat to go on from.
    passes: RefCell<VecDeque<(Rc<View>, usize)>>,
    /// Views that are to be flushed at their time.
    later: RefCell<Vec<Rc<View>>>,
    timer: Cell<Option<(Timer, Instant)>>,
    /// The slice under way: when it began, and how many players it has.
    slice: Cell<Option<(Instant, usize)>>,
    /// What all slices took.
    written: Cell<Duration>,
    /// When chores were last done.
    chores: Cell<Instant>,
    sources: OnceCell<(SourceId, SourceId)>,
}

/// Runs on the loop for the flusher: between turns, by time, and after a slice.
struct Runner {
    hub: Rc<Hub>,
    is_last: bool,
}

impl Source for Runner {
    fn ready(&mut self, el: &mut EventLoop, _: SourceId, _: Ready) {
        self.hub.flusher.begin_slice(el);
    }

    fn timer(&mut self, el: &mut EventLoop, _: SourceId, _: u32) {
        self.hub.flusher.timer.set(None);
        self.hub.flusher.begin_due(el);
        self.hub.flusher.begin_slice(el);
    }

    fn due(&mut self, el: &mut EventLoop, _: SourceId) {
        let flusher = &self.hub.flusher;
        match (self.is_last, flusher.slice.get()) {
            (false, Some((_, players))) => flusher.slice.set(Some((Instant::now(), players))),
            (true, Some((began, players))) => flusher.end_slice(el, began.elapsed(), players),
            (_, None) => {}
        }
    }
}

impl Flusher {
    pub(crate) fn new(play: &Play, counters: Arc<Counters>) -> Self {
        Self {
            pace: Pace::new(play),
            span: Cell::new((Instant::now(), Duration::ZERO)),
            others: Cell::new(0.0),
            correction: Cell::new(1.0),
            cost: Cell::new(0.0),
            counters,
            passes: RefCell::default(),
            later: RefCell::default(),
            timer: Cell::new(None),
            slice: Cell::new(None),
            written: Cell::new(Duration::ZERO),
            chores: Cell::new(Instant::now()),
            sources: OnceCell::new(),
        }
    }

    pub(crate) fn start(&self, el: &mut EventLoop, hub: &Rc<Hub>) {
        let runner = |is_last| Box::new(Runner { hub: Rc::clone(hub), is_last });
        let first = el.add_plain(runner(false));
        let last = el.add_plain(runner(true));
        self.sources.get_or_init(|| (first, last));
    }

    /// The pause between two flushes of a view.
    pub fn pause(&self) -> Duration {
        let flush = self.counters.players.here() as f64 * self.cost.get() * self.correction.get();
        self.pace.pause(flush, (SHARE - self.others.get()).max(LEAST))
    }

    /// A view has something to send.
    pub(crate) fn grown(&self, el: &mut EventLoop, view: &Rc<View>) {
        let flush = &view.flush;
        let pause = self.pause();
        view.hold.set_pause(pause);
        if view.players() == 0 {
            return;
        }
        let now = Instant::now();
        let due = self.pace.next(flush.flushed.get(), pause.mul_f64(NEARLY), now);
        if due <= now {
            flush.due.set(None);
            self.begin(view, now, now);
            self.begin_slice(el);
        } else if flush.due.get().is_none_or(|at| due < at) {
            if flush.due.replace(Some(due)).is_none() {
                self.later.borrow_mut().push(Rc::clone(view));
            }
            self.arm(el, due);
        }
    }

    fn begin(&self, view: &Rc<View>, due: Instant, now: Instant) {
        view.flush.flushed.set(now);
        if view.flush.in_pass.replace(true) {
            // Those it has not reached yet get what has come with the rest; for the others there is
            // another round.
            view.flush.another.set(true);
            return;
        }
        view.flush.waits.set((due, self.written.get()));
        self.passes.borrow_mut().push_back((Rc::clone(view), 0));
    }

    /// A pass has reached its last players.
    fn note_wait(&self, view: &View) {
        let (since, written) = view.flush.waits.get();
        let waited = since.elapsed().saturating_sub(self.written.get().saturating_sub(written));
        self.counters.flush_waits.observe(u64::try_from(waited.as_micros()).unwrap_or(u64::MAX));
    }

    /// For how long the loop may do what can wait ([`crate::chores`]): not at all while a flush is under
    /// way, unless that has waited for too long.
    pub(crate) fn spare(&self) -> Duration {
        let is_under_way = self.slice.get().is_some() || !self.passes.borrow().is_empty();
        let now = Instant::now();
        if is_under_way && now.saturating_duration_since(self.chores.get()) < limits::CHORES_WAIT {
            return Duration::ZERO;
        }
        self.chores.set(now);
        limits::CHORES
    }

    /// Begins the flushes whose time has come.
    fn begin_due(&self, el: &mut EventLoop) {
        let now = Instant::now();
        let mut next: Option<Instant> = None;
        let later = std::mem::take(&mut *self.later.borrow_mut());
        for view in later {
            match view.flush.due.get() {
                Some(at) if at > now => {
                    next = Some(next.map_or(at, |next| next.min(at)));
                    self.later.borrow_mut().push(view);
                }
                Some(at) => {
                    view.flush.due.set(None);
                    self.begin(&view, at, now);
                }
                // It was flushed before its time.
                None => {}
            }
        }
        if let Some(next) = next {
            self.arm(el, next);
        }
    }

    fn arm(&self, el: &mut EventLoop, at: Instant) {
        let Some((first, _)) = self.sources.get() else { return };
        if let Some((timer, before)) = self.timer.get() {
            if before <= at {
                return;
            }
            el.cancel(timer);
        }
        let delay = at.saturating_duration_since(Instant::now());
        self.timer.set(Some((el.start_timer(*first, delay, 0), at)));
    }

    /// Marks as many players due as one slice may write to.
    fn begin_slice(&self, el: &mut EventLoop) {
        let Some((first, last)) = self.sources.get() else { return };
        if self.slice.get().is_some() || self.passes.borrow().is_empty() {
            return;
        }
        let most = self.slice_players();
        el.mark_due(*first);
        let mut marked = 0;
        while marked < most {
            let Some((view, from)) = self.passes.borrow_mut().pop_front() else { break };
            let (count, next) = view.mark_due(el, from, most - marked);
            marked += count;
            match next {
                Some(seat) => self.passes.borrow_mut().push_front((view, seat)),
                None => {
                    self.counters.flushes.add(1);
                    self.note_wait(&view);
                    if view.flush.another.take() {
                        view.flush.waits.set((Instant::now(), self.written.get()));
                        self.passes.borrow_mut().push_back((view, 0));
                    } else {
                        view.flush.in_pass.set(false);
                    }
                }
            }
        }
        el.mark_due(*last);
        self.slice.set(Some((Instant::now(), marked)));
    }

    fn slice_players(&self) -> usize {
        let cost = self.cost.get();
        if cost <= 0.0 {
            return limits::SLICE_PLAYERS;
        }
        ((limits::SLICE.as_secs_f64() / cost) as usize).clamp(16, 4096)
    }

    fn end_slice(&self, el: &mut EventLoop, took: Duration, players: usize) {
        self.slice.set(None);
        self.written.set(self.written.get() + took);
        let (began, in_slices) = self.span.get();
        let span = began.elapsed();
        self.span.set((began, in_slices + took));
        if span >= SPAN {
            let slices = (in_slices + took).as_secs_f64() / span.as_secs_f64();
            let others = (f64::from(el.busy_share()) - slices).max(0.0);
            self.others.set((self.others.get() + others) / 2.0);
            let busy = slices + others;
            let step = if busy > SHARE {
                0.1
            } else if busy < SHARE - 0.1 {
                -0.05
            } else {
                0.0
            };
            self.correction.set((self.correction.get() + step).clamp(0.5, 1.0));
            self.counters.others.set((self.others.get() * 1000.0) as u64);
            self.counters.write_cost.set((self.cost.get() * 1e9) as u64);
            self.counters.pause.set(u64::try_from(self.pause().as_micros()).unwrap_or(u64::MAX));
            self.span.set((Instant::now(), Duration::ZERO));
        }
        if players > 0 {
            let cost = took.as_secs_f64() / players as f64;
            let weight = (players as f64 / MEMORY).min(1.0);
            let before = if self.cost.get() > 0.0 { self.cost.get() } else { cost };
            self.cost.set(before + (cost - before) * weight);
        }
        if !self.passes.borrow().is_empty()
            && let Some((first, _)) = self.sources.get()
        {
            el.again(*first, Ready::default());
        }
    }
}
