//! Time on a loop: timers for everybody, in milliseconds of the monotonic clock.

mod wheel;

use std::time::{Duration, Instant};

pub(crate) use wheel::TimerId;
use wheel::Wheel;

use crate::event_loop::{EventLoop, SourceId};
use crate::limits;
use crate::slots::{Key, Slots};

/// Names a timer. `Copy`; once the timer has fired or was cancelled the name finds nothing, for ever.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Timer(Name);

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Name {
    Once(TimerId),
    Every(Key),
}

enum Action {
    /// A source's own timer; needs no allocation.
    Source(SourceId, u32),
    Once(Box<dyn FnOnce(&mut EventLoop)>),
    Every(Key),
}

type Periodic = Box<dyn FnMut(&mut EventLoop)>;

struct Every {
    period: Duration,
    next: Instant,
    pending: Option<TimerId>,
    run: Option<Periodic>,
}

/// The wheel, the clock it turns by, and the periodic timers.
pub(crate) struct Timers {
    wheel: Wheel<Action>,
    periodic: Slots<Every>,
    /// Tick 0.
    origin: Instant,
}

impl Timers {
    pub fn new(origin: Instant) -> Self {
        Self { wheel: Wheel::new(), periodic: Slots::new(), origin }
    }

    /// The first tick that is not before `at`: a timer may be late, never early.
    fn tick_at(&self, at: Instant) -> u64 {
        let micros = at.saturating_duration_since(self.origin).as_micros();
        u64::try_from(micros.div_ceil(1000)).unwrap_or(u64::MAX)
    }

    /// How long a loop may sleep; `None` without timers.
    pub fn wait_from(&self, now: Instant) -> Option<Duration> {
        let deadline = self.origin.checked_add(Duration::from_millis(self.wheel.next_deadline()?));
        // A deadline past the end of time is one that never comes.
        deadline.map(|deadline| deadline.saturating_duration_since(now))
    }

    pub fn start_source(&mut self, at: Instant, id: SourceId, key: u32) -> TimerId {
        self.wheel.insert(self.tick_at(at), Action::Source(id, key))
    }

    pub fn cancel(&mut self, id: TimerId) -> bool {
        self.wheel.cancel(id).is_some()
    }
}

impl EventLoop {
    /// Runs `run` once, `delay` from now: never early, as a rule within 2 ms, later where the loop is
    /// busy with something else.
    pub fn after(&mut self, delay: Duration, run: impl FnOnce(&mut Self) + 'static) -> Timer {
        self.at(far(Instant::now(), delay), run)
    }

    /// Runs `run` once, at `at` or as soon as possible after it.
    pub fn at(&mut self, at: Instant, run: impl FnOnce(&mut Self) + 'static) -> Timer {
        let tick = self.timers.tick_at(at);
        Timer(Name::Once(self.timers.wheel.insert(tick, Action::Once(Box::new(run)))))
    }

    /// Runs `run` every `period` (at least 1 ms) until it is cancelled. The times are those of the
    /// start plus whole periods: lateness does not add up, and periods that were missed altogether
    /// are left out.
    pub fn every(&mut self, period: Duration, run: impl FnMut(&mut Self) + 'static) -> Timer {
        let period = period.max(Duration::from_millis(1));
        let next = far(Instant::now(), period);
        let key = self.timers.periodic.reserve();
        let pending = Some(self.timers.wheel.insert(self.timers.tick_at(next), Action::Every(key)));
        let every = Every { period, next, pending, run: Some(Box::new(run)) };
        drop(self.timers.periodic.give_back(key, every));
        Timer(Name::Every(key))
    }

    /// Has [`crate::Source::timer`] called with `key` after `delay`, unless the source is gone then.
    pub fn start_timer(&mut self, id: SourceId, delay: Duration, key: u32) -> Timer {
        Timer(Name::Once(self.timers.start_source(far(Instant::now(), delay), id, key)))
    }

    /// Cancels a timer, also from within its own call. False where it has fired or was cancelled.
    pub fn cancel(&mut self, timer: Timer) -> bool {
        match timer.0 {
            Name::Once(id) => self.timers.wheel.cancel(id).is_some(),
            Name::Every(key) => match self.timers.periodic.remove(key) {
                Some(every) => {
                    if let Some(pending) = every.pending {
                        self.timers.wheel.cancel(pending);
                    }
                    true
                }
                None => false,
            },
        }
    }

    /// How many timers wait.
    pub fn timers(&self) -> usize {
        self.timers.wheel.len()
    }

    pub(crate) fn run_timers(&mut self) {
        if self.timers.wheel.is_empty() {
            return;
        }
        let now = Instant::now();
        let elapsed = now.saturating_duration_since(self.timers.origin).as_millis();
        let tick = u64::try_from(elapsed).unwrap_or(u64::MAX);
        while let Some((_, action)) = self.timers.wheel.pop_due(tick) {
            match action {
                Action::Source(id, key) => {
                    self.with_source(id, |source, el, id| source.timer(el, id, key));
                }
                Action::Once(run) => run(self),
                Action::Every(key) => self.run_every(key, now),
            }
        }
        let wheel = &mut self.timers.wheel;
        if wheel.is_empty() && wheel.places() > limits::SPARE_TIMERS {
            wheel.shrink_to_fit();
        }
    }

    fn run_every(&mut self, key: Key, now: Instant) {
        let Some(every) = self.timers.periodic.get_mut(key) else { return };
        every.pending = None;
        let Some(mut run) = every.run.take() else { return };
        run(self);
        let timers = &mut self.timers;
        let Some(every) = timers.periodic.get_mut(key) else { return };
        every.run = Some(run);
        every.next = far(every.next, every.period);
        if every.next <= now {
            let missed = (now - every.next).as_nanos() / every.period.as_nanos() + 1;
            let missed = u32::try_from(missed).unwrap_or(u32::MAX);
            every.next = far(every.next, every.period.saturating_mul(missed));
        }
        let next = every.next;
        let pending = timers.wheel.insert(timers.tick_at(next), Action::Every(key));
        if let Some(every) = timers.periodic.get_mut(key) {
            every.pending = Some(pending);
        }
    }
}

/// `from + delay`, or the far future where the clock cannot say it.
pub(crate) fn far(from: Instant, delay: Duration) -> Instant {
    const THIRTY_YEARS: Duration = Duration::from_secs(30 * 365 * 86_400);
    from.checked_add(delay).unwrap_or_else(|| from + THIRTY_YEARS)
}
