//! One run: players begin, settle, are measured, and end. The main thread looks on.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use network::EventLoop;

use super::clock::Clock;
use super::crowd::{Role, Second, Tally, Task, Word};
use super::figures::{Figures, Row};
use super::ledger::Ledger;
use super::publisher::Publishers;
use super::setup::Setup;
use super::worker::{Share, Worker};
use crate::kernel::{self, Core, Usage};

/// Why a run has ended in which the server has lost or refused all players.
pub const ALL_GONE: &str = "no player is left";

/// What the main thread has for all runs: its loop, and whether somebody has pressed Ctrl-C.
pub struct Conductor {
    el: EventLoop,
    interrupted: Rc<std::cell::Cell<bool>>,
    /// The clock of stamps.
    pub clock: Clock,
}

impl Conductor {
    /// Takes over the signals of this process.
    pub fn new() -> Result<Self, String> {
        let mut el = EventLoop::new().map_err(|error| error.to_string())?;
        let interrupted = Rc::new(std::cell::Cell::new(false));
        let told = Rc::clone(&interrupted);
        el.on_signals(&[network::SIGINT, network::SIGTERM], move |_, _| {
            if told.replace(true) {
                // Whoever asks twice does not want the report. A server of its own (`own`) ends by itself.
                std::process::exit(130);
            }
        })
        .map_err(|error| error.to_string())?;
        Ok(Self { el, interrupted, clock: Clock::start() })
    }

    /// The main thread's loop.
    pub fn el(&mut self) -> &mut EventLoop {
        &mut self.el
    }

    /// Whether the user wants it to end.
    pub fn is_interrupted(&mut self) -> bool {
        self.el.run_once(Duration::ZERO);
        self.interrupted.get()
    }

    /// Waits, unless interrupted.
    pub fn wait(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while !self.interrupted.get() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.el.run_once(left.min(Duration::from_millis(50)));
        }
    }
}

/// What the kernel says at one moment.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// When, by the clock.
    pub at: i64,
    /// The server.
    pub server: Usage,
    /// This process.
    pub generator: Usage,
    /// All cores.
    pub cores: Vec<Core>,
}

impl Look {
    /// What cannot be seen any more is as it was when it was seen `before`.
    fn now(clock: Clock, pids: &[u32], before: Option<&Self>) -> Self {
        // Looking for children takes a while.
        let family = kernel::family(pids);
        let at = clock.micros();
        let server = kernel::usage(&family);
        let generator = kernel::usage(&[std::process::id()].into());
        let mut look = Self { at, server, generator, cores: kernel::cores() };
        if let Some(before) = before {
            if look.server.is_unseen() {
                look.server.clone_from(&before.server);
            }
            if look.generator.is_unseen() {
                look.generator.clone_from(&before.generator);
            }
        }
        look
    }
}

/// What is collected while it runs.
#[derive(Default)]
struct Seen {
    /// At the window's edges, or where it was cut short.
    edges: [Option<Look>; 2],
    /// The last one at which nobody had media.
    alone: Look,
    last: Look,
    rows: Vec<Row>,
    server_peak: u64,
    tcp_peak: u64,
}

impl Seen {
    /// Looks at an edge of the window, once.
    fn note(&mut self, which: usize, clock: Clock, pids: &[u32]) {
        let last = &self.last;
        if let Some(edge) = self.edges.get_mut(which) {
            edge.get_or_insert_with(|| Look::now(clock, pids, Some(last)));
        }
    }
}

/// Runs once. `progress` is shown each second's row.
pub fn run(
    conductor: &mut Conductor,
    setup: &Setup,
    ledger: Option<&Arc<Ledger>>,
    mut publishers: Option<&mut Publishers>,
    progress: &mut dyn FnMut(&Row),
) -> Result<Figures, String> {
    let clock = conductor.clock;
    let before = Look::now(clock, &setup.pids, None);
    let first_at = Instant::now() + Duration::from_millis(50);
    let from = first_at + Duration::from_secs_f64(setup.players as f64 / setup.ramp) + setup.settle;
    let window = [from, from + setup.hold];
    let sent = publishers.as_ref().map(|publishers| publishers.sent());
    let mut totals: Vec<_> = (0..=setup.threads.max(1)).map(|_| Arc::default()).collect();
    totals.extend(sent);
    let task = Task {
        targets: setup.targets.clone(),
        streams: setup.streams,
        first_at,
        ramp: setup.ramp,
        window,
        probes: setup.probes,
        low_latency: setup.low_latency,
        join_within: setup.join_within,
        low_water: setup.low_water,
        visit_every: setup.visit_every,
        buffer: setup.buffer.as_micros() as i64,
        rate: setup.rate,
        from: setup.from.clone(),
        ledger: ledger.cloned(),
        totals,
        clock,
    };
    let (tell, words) = channel();
    let mut workers = Vec::new();
    for (name, share) in shares(setup) {
        let worker = Worker::start(name, task.clone(), share, tell.clone());
        workers.push(worker.map_err(|error| format!("cannot start a thread: {error}"))?);
    }
    drop(tell);
    let seen =
        Rc::new(RefCell::new(Seen { alone: before.clone(), last: before, ..Seen::default() }));
    for (which, at) in window.into_iter().enumerate() {
        let (seen, pids) = (Rc::clone(&seen), setup.pids.clone());
        conductor.el.at(at, move |_| seen.borrow_mut().note(which, clock, &pids));
    }
    let seconds = vec![Second::default(); workers.len()];
    let mut watch = Watch { seconds, fresh: 0, began: first_at, window, at: 0.0, bytes: 0 };
    let mut tallies = Vec::new();
    let mut cut_short = None;
    let patience = Instant::now() + setup.bound();
    while tallies.len() < workers.len() {
        conductor.el.run_once(Duration::from_millis(20));
        hear(&words, &mut watch, &mut tallies);
        if watch.fresh >= workers.len() {
            watch.fresh = 0;
            let mut seen = seen.borrow_mut();
            let look = Look::now(clock, &setup.pids, Some(&seen.last));
            let row = watch.row(&look, &seen.last);
            seen.server_peak = seen.server_peak.max(look.server.resident);
            seen.tcp_peak = seen.tcp_peak.max(kernel::tcp_memory().0);
            if row.playing + row.dropped == 0 {
                seen.alone = look.clone();
            }
            seen.last = look;
            progress(&row);
            let over = row.begun == setup.players && row.failed + row.dropped == setup.players;
            seen.rows.push(row);
            let unpublished = publishers.as_mut().is_some_and(|publishers| {
                publishers.look();
                publishers.dead.len() == setup.publish
            });
            cut_short = cut_short
                .or(over.then_some(ALL_GONE))
                .or(unpublished.then_some("no publisher is left"))
                .or((!setup.pids.iter().all(|pid| kernel::exists(*pid)))
                    .then_some("the server has ended"));
        }
        if conductor.interrupted.get() && cut_short.is_none() {
            cut_short = Some("interrupted");
        }
        if Instant::now() > patience && cut_short.is_none() {
            cut_short = Some("the run took longer than it may");
        }
        if cut_short.is_some() {
            // Threads that have ended have no CPU any more.
            seen.borrow_mut().note(1, clock, &setup.pids);
            workers.iter().for_each(Worker::finish);
        }
    }
    seen.borrow_mut().note(1, clock, &setup.pids);
    workers.into_iter().for_each(Worker::join);
    let seen = std::mem::take(&mut *seen.borrow_mut());
    let Seen { edges: [from, to], alone, last, rows, server_peak, tcp_peak } = seen;
    // What was cut short before the window is judged from its beginning.
    let to = to.unwrap_or(last);
    let looks = [from.filter(|from| from.at < to.at).unwrap_or(alone), to];
    Ok(Figures::of(setup, &looks, tallies, rows, cut_short).with_peaks(server_peak, tcp_peak))
}

/// Who has which players.
fn shares(setup: &Setup) -> Vec<(String, Share)> {
    let sampled = setup.sampled();
    let threads = setup.threads.max(1);
    let mut shares: Vec<(String, Share)> = (0..threads)
        .map(|thread| {
            let mine = (0..setup.players)
                .filter(|number| !sampled.contains(number) && number % threads == thread);
            let share = Share { thread, players: mine.collect(), role: Role::Bulk };
            (format!("bulk-{thread}"), share)
        })
        .collect();
    let sample =
        Share { thread: threads, players: sampled.into_iter().collect(), role: Role::Sample };
    shares.push(("sample".into(), sample));
    shares
}

fn hear(words: &Receiver<Word>, watch: &mut Watch, tallies: &mut Vec<Tally>) {
    while let Ok(word) = words.try_recv() {
        match word {
            Word::Second(second) => {
                watch.fresh += 1;
                if let Some(place) = watch.seconds.get_mut(second.thread) {
                    *place = second;
                }
            }
            Word::Done(tally) => tallies.push(*tally),
        }
    }
}

/// The newest second of each thread.
struct Watch {
    seconds: Vec<Second>,
    fresh: usize,
    began: Instant,
    window: [Instant; 2],
    /// When the row before was, and the bytes of all by then.
    at: f64,
    bytes: u64,
}

impl Watch {
    fn row(&mut self, look: &Look, before: &Look) -> Row {
        let sum = |of: fn(&Second) -> usize| self.seconds.iter().map(of).sum();
        let mut latency = super::distribution::Distribution::default();
        self.seconds.iter().for_each(|second| latency.add(&second.latency));
        let share = |of: fn(&Look) -> f64| {
            let seconds = (look.at - before.at) as f64 / 1e6;
            (seconds > 0.0).then(|| (of(look) - of(before)) / seconds)
        };
        let ([from, to], now) = (self.window, Instant::now());
        let at = now.saturating_duration_since(self.began).as_secs_f64();
        let bytes: u64 = self.seconds.iter().map(|second| second.bytes).sum();
        let row = Row {
            at,
            measuring: from <= now && now < to,
            begun: sum(|second| second.begun),
            playing: sum(|second| second.playing),
            failed: sum(|second| second.failed),
            dropped: sum(|second| second.dropped),
            starved: sum(|second| second.starved),
            rate: bytes.saturating_sub(self.bytes) as f64 * 8.0 / (at - self.at).max(1e-3),
            p50: latency.percentile(50.0),
            p99: latency.percentile(99.0),
            server: share(|look| look.server.cpu),
            generator: share(|look| look.generator.cpu),
            server_memory: look.server.resident,
        };
        (self.at, self.bytes) = (at, bytes);
        row
    }
}
