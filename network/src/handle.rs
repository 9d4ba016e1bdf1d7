//! The part of a loop that other threads see: its task queue, its wake-up and its counters.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_queue::SegQueue;

use crate::{EventLoop, limits};

/// Work posted to a loop from elsewhere.
pub(crate) type Task = Box<dyn FnOnce(&mut EventLoop) + Send>;

thread_local! {
    /// The number of the loop that lives on this thread, 0 where there is none.
    pub(crate) static LOOP_HERE: Cell<u64> = const { Cell::new(0) };
}

/// State shared between a loop and its handles. Only the loop takes from the queue.
pub(crate) struct Shared {
    number: u64,
    tasks: SegQueue<Task>,
    /// Set by whoever posts into an idle loop, cleared by the loop before it takes tasks: between the
    /// two, further posts need no wake-up.
    woken: AtomicBool,
    stop: AtomicBool,
    /// The loop is gone; nothing posted will run.
    gone: AtomicBool,
    waker: mio::Waker,
    /// The zero of `Stats::since`.
    born: Instant,
    pub stats: Stats,
}

/// Counters of one loop. The loop alone writes them; anybody may read.
pub(crate) struct Stats {
    /// Of the window that was closed last.
    pub busy_permille: AtomicU32,
    /// When the loop last fell asleep or woke: microseconds, times two, plus [`ASLEEP`].
    since: AtomicU64,
    pub connections: AtomicUsize,
    pub turns: AtomicU64,
    pub wakes: AtomicU64,
    pub tasks: AtomicU64,
    /// How long turns took: so many up to each of [`limits::TURN_TIMES`], and longer ones.
    turn_times: [AtomicU64; limits::TURN_TIMES.len() + 1],
    /// All of them together, in microseconds.
    turn_micros: AtomicU64,
}

impl Stats {
    /// For the loop: a turn took so long, the wait left out.
    pub fn turned(&self, took: Duration) {
        let bounds = limits::TURN_TIMES;
        let place = bounds.iter().position(|bound| took <= *bound).unwrap_or(bounds.len());
        let add = |count: &AtomicU64, by: u64| {
            count.store(count.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
        };
        if let Some(count) = self.turn_times.get(place) {
            add(count, 1);
        }
        add(&self.turn_micros, took.as_micros() as u64);
    }
}

/// The lowest bit of `Stats::since`.
const ASLEEP: u64 = 1;

impl Shared {
    pub fn new(waker: mio::Waker) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            tasks: SegQueue::new(),
            woken: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            waker,
            born: Instant::now(),
            stats: Stats {
                busy_permille: AtomicU32::new(0),
                // A loop that does not run yet is not busy.
                since: AtomicU64::new(ASLEEP),
                connections: AtomicUsize::new(0),
                turns: AtomicU64::new(0),
                wakes: AtomicU64::new(0),
                tasks: AtomicU64::new(0),
                turn_times: Default::default(),
                turn_micros: AtomicU64::new(0),
            },
        }
    }

    /// For the loop, which is about to wait.
    pub fn fell_asleep(&self, now: Instant) {
        self.stats.since.store(self.micros(now) << 1 | ASLEEP, Ordering::Relaxed);
    }

    /// For the loop, which has polled.
    pub fn is_awake(&self, now: Instant) {
        if self.stats.since.load(Ordering::Relaxed) & ASLEEP == ASLEEP {
            self.stats.since.store(self.micros(now) << 1, Ordering::Relaxed);
        }
    }

    fn micros(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.born).as_micros() as u64
    }

    /// The share that the loop last measured; a loop that has slept, or worked, for longer than one
    /// window since has not had an occasion to measure it.
    fn busy_share(&self) -> f32 {
        let since = self.stats.since.load(Ordering::Relaxed);
        let changed = self.born + Duration::from_micros(since >> 1);
        if changed.elapsed() >= limits::BUSY_WINDOW {
            return if since & ASLEEP == ASLEEP { 0.0 } else { 1.0 };
        }
        self.stats.busy_permille.load(Ordering::Relaxed) as f32 / 1000.0
    }

    pub fn number(&self) -> u64 {
        self.number
    }

    /// For the loop: how many tasks wait, after which further posts wake it again.
    pub fn collect(&self) -> usize {
        if self.woken.load(Ordering::Relaxed) {
            self.woken.swap(false, Ordering::AcqRel);
        }
        self.tasks.len()
    }

    pub fn has_tasks(&self) -> bool {
        !self.tasks.is_empty()
    }

    pub fn next_task(&self) -> Option<Task> {
        self.tasks.pop()
    }

    pub fn stop_asked(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// For the loop's end: refuses further posts and drops what waits.
    pub fn close(&self) {
        self.gone.store(true, Ordering::SeqCst);
        while self.tasks.pop().is_some() {}
    }

    fn wake(&self) {
        // A loop on this very thread looks at its queue before it sleeps.
        if LOOP_HERE.get() == self.number || self.woken.swap(true, Ordering::AcqRel) {
            return;
        }
        self.stats.wakes.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, "the loop could not be woken");
        }
    }
}

/// A way to reach a loop from any thread: posts tasks to it, stops it, reads its counters.
///
/// Tasks of one thread run in the order in which they were posted. Posting to a loop that is already
/// awake costs no system call, so a batch of posts wakes the loop once, whoever posts.
#[derive(Clone)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
}

/// The loop has ended; the task was dropped without having run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the event loop has ended; the task was not run")]
pub struct LoopEnded;

impl Handle {
    /// Queues a task for the loop's next turn and wakes the loop if it sleeps. Where more than
    /// 1,024 wait, the rest has its turn after events and timers had theirs.
    ///
    /// A task that was queued is dropped without having run if the loop is stopped before its turn.
    ///
    /// Code that already runs on the loop has the loop in its hand and simply calls; to run something
    /// after the current handlers there is [`EventLoop::defer`], which needs no `Send`.
    ///
    /// # Errors
    /// The loop has ended; the task has not run.
    pub fn post(
        &self,
        task: impl FnOnce(&mut EventLoop) + Send + 'static,
    ) -> Result<(), LoopEnded> {
        let shared = &*self.shared;
        if shared.gone.load(Ordering::SeqCst) {
            return Err(LoopEnded);
        }
        shared.tasks.push(Box::new(task));
        if shared.gone.load(Ordering::SeqCst) {
            // The loop ended between the two looks: its own sweep may have missed this task. Or the
            // task has run before; so this is no error, which would say that it has not.
            while shared.tasks.pop().is_some() {}
            return Ok(());
        }
        shared.wake();
        Ok(())
    }

    /// Asks the loop to end after its current turn. Connections are closed without waiting for their
    /// queues; see [`EventLoop::drain`] for the graceful way.
    pub fn stop(&self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.wake();
    }

    /// True once the loop has ended.
    pub fn has_ended(&self) -> bool {
        self.shared.gone.load(Ordering::Acquire)
    }

    /// A number that tells loops of this process apart.
    pub fn number(&self) -> u64 {
        self.shared.number
    }

    /// The share of time the loop worked rather than waited, 0 to 1, over the last tenth of a second.
    pub fn busy_share(&self) -> f32 {
        self.shared.busy_share()
    }

    /// Open TCP and Unix connections on the loop.
    pub fn connections(&self) -> usize {
        self.shared.stats.connections.load(Ordering::Relaxed)
    }

    /// How often the loop has polled the kernel.
    pub fn turns(&self) -> u64 {
        self.shared.stats.turns.load(Ordering::Relaxed)
    }

    /// How many turns took at most as long as each of [`limits::TURN_TIMES`] and longer than the one
    /// before it, how many took longer than all, and how long all took together. Waiting is not
    /// counted.
    pub fn turn_times(&self) -> ([u64; limits::TURN_TIMES.len() + 1], Duration) {
        let stats = &self.shared.stats;
        let counts = std::array::from_fn(|place| {
            stats.turn_times.get(place).map_or(0, |count| count.load(Ordering::Relaxed))
        });
        (counts, Duration::from_micros(stats.turn_micros.load(Ordering::Relaxed)))
    }

    /// How many wake-ups posts have caused.
    pub fn wakes(&self) -> u64 {
        self.shared.stats.wakes.load(Ordering::Relaxed)
    }

    /// How many posted tasks have run.
    pub fn tasks(&self) -> u64 {
        self.shared.stats.tasks.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle(loop {})", self.number())
    }
}
