//! The players of one thread: who they are, when each begins, what became of them.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use network::{Connect, Endpoint, EventLoop, SourceId};

use super::check::{Checker, Findings};
use super::clock::Clock;
use super::dialogue::Dialogue;
use super::distribution::Distribution;
use super::edge::Carried;
use super::hls::{self, Requests, Viewer};
use super::ledger::Ledger;
use super::player::Player;
use super::reasons::Reasons;
use super::target::{Container, Door, Target};
use crate::kernel;

/// What a player is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// To be many.
    Bulk,
    /// To check everything.
    Sample,
    /// To join under load and leave again.
    Probe,
}

/// How a player ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ending {
    /// It had what it came for.
    Left,
    /// The server said something that ended it, or nothing for too long.
    Troubled(String),
    /// Its connection ended.
    Closed(String),
    /// The run was over.
    Over,
}

/// One player's figures. Times are the clock's microseconds.
#[derive(Clone, Debug)]
pub struct Record {
    /// What it was for.
    pub role: Role,
    /// When it began to connect.
    pub began: i64,
    /// When its first byte came.
    pub first_byte: Option<i64>,
    /// When media came.
    pub joined: Option<i64>,
    /// When its first keyframe was whole, and its age then; only those who look know.
    pub first_key: Option<(i64, i64)>,
    /// Bytes off its connection.
    pub bytes: u64,
    /// Bytes it has sent.
    pub sent: u64,
    /// What its server sends at once, in microseconds: segments, parts.
    pub lump: i64,
    /// The same where the window began, and where it ended.
    pub at_edges: [u64; 2],
    /// The same two, one and no seconds ago.
    recent: [u64; 2],
    /// How it ended.
    pub ended: Option<Ending>,
}

/// What all threads of players are told.
#[derive(Clone)]
pub struct Task {
    /// Whom to play from; players take them in turn.
    pub targets: Vec<Target>,
    /// Streams that players are spread over.
    pub streams: usize,
    /// The first player begins then.
    pub first_at: Instant,
    /// Players that begin in a second, of all threads.
    pub ramp: f64,
    /// The measured window.
    pub window: [Instant; 2],
    /// Probes that begin in a second of the window.
    pub probes: f64,
    /// How long one may take to connect and to get media.
    pub join_within: Duration,
    /// Viewers of playlists follow parts.
    pub low_latency: bool,
    /// Bytes that have to wait before a bulk player takes them.
    pub low_water: u32,
    /// How often bulk players are looked at.
    pub visit_every: Duration,
    /// A viewer's buffer in microseconds.
    pub buffer: i64,
    /// What a player should get, in bits per second, where that is known.
    pub rate: Option<f64>,
    /// This side's addresses, where they are chosen.
    pub from: Vec<IpAddr>,
    /// What is published by this process.
    pub ledger: Option<Arc<Ledger>>,
    /// Bytes that came and went so far: of each thread of players, and of all publishers.
    pub totals: Vec<Arc<AtomicU64>>,
    /// The clock of stamps.
    pub clock: Clock,
}

/// What a thread tells of its last second.
#[derive(Clone, Debug, Default)]
pub struct Second {
    /// Which thread.
    pub thread: usize,
    /// Players that have begun to connect.
    pub begun: usize,
    /// Got media and are there.
    pub playing: usize,
    /// Never got media and are gone.
    pub failed: usize,
    /// Got media and are gone.
    pub dropped: usize,
    /// Get less than they should.
    pub starved: usize,
    /// Bytes of all of them so far.
    pub bytes: u64,
    /// Latencies of the last second.
    pub latency: Distribution,
}

/// Everything a thread has at its end.
#[derive(Debug, Default)]
pub struct Tally {
    /// Its players.
    pub records: Vec<Record>,
    /// Latencies within the window.
    pub latency: Distribution,
    /// How many of them are ages of pictures that had not come at its end.
    pub overdue: u64,
    /// What the sample found.
    pub findings: Findings,
    /// Each sampled player's stalls and microseconds of them, within the window.
    pub stalls: Vec<(u32, i64)>,
    /// Bits per second of the stream itself, as the sample saw it.
    pub stream_rate: Option<f64>,
    /// When it looked at all players at the edges of the window, by the clock.
    pub edges: [i64; 2],
    /// It waited for good moments to look at both.
    pub carries: bool,
    /// What had come and gone then.
    pub carried: [Carried; 2],
    /// What viewers of playlists asked for within the window.
    pub requests: Requests,
    /// How late the thread was, looked at many times a second.
    pub lateness: Distribution,
}

/// What threads of players say.
pub enum Word {
    /// A second has passed.
    Second(Second),
    /// It is over.
    Done(Box<Tally>),
}

/// The players of one thread.
pub struct Crowd {
    /// The clock of stamps.
    pub clock: Clock,
    /// Bytes that have to wait before a bulk player takes them.
    pub low_water: u32,
    records: RefCell<Vec<Record>>,
    ids: RefCell<Vec<(SourceId, usize)>>,
    tally: RefCell<Tally>,
    recent: RefCell<Distribution>,
    rates: RefCell<Vec<f64>>,
    /// Ages of pictures that had not come to the sample when the run was over.
    due: RefCell<Vec<u64>>,
    measured_from: Cell<Option<i64>>,
    /// When the edges were noted.
    noted: [Cell<i64>; 2],
    /// Bytes that came and went so far, of this thread and of all.
    total: Arc<AtomicU64>,
    /// See [`Task::totals`].
    totals: Vec<Arc<AtomicU64>>,
    over: Cell<bool>,
}

impl Crowd {
    /// Nobody yet.
    pub fn new(task: &Task, thread: usize) -> Rc<Self> {
        Rc::new(Self {
            clock: task.clock,
            low_water: task.low_water,
            records: RefCell::default(),
            ids: RefCell::default(),
            tally: RefCell::default(),
            recent: RefCell::default(),
            rates: RefCell::default(),
            due: RefCell::default(),
            measured_from: Cell::new(None),
            noted: Default::default(),
            total: task.totals.get(thread).cloned().unwrap_or_default(),
            totals: task.totals.clone(),
            over: Cell::new(false),
        })
    }

    /// Changes a player's record.
    pub fn change(&self, number: usize, change: impl FnOnce(&mut Record)) {
        if let Some(record) = self.records.borrow_mut().get_mut(number) {
            change(record);
        }
    }

    /// When the measured window began, once it has.
    pub fn measured_from(&self) -> Option<i64> {
        self.measured_from.get()
    }

    /// A player's connection is up.
    pub fn opened(&self, number: usize, id: SourceId) {
        self.ids.borrow_mut().push((id, number));
    }

    /// A player has got media.
    pub fn joined(&self, number: usize, now: i64) {
        self.change(number, |record| record.joined = Some(now));
    }

    /// A player is gone. The first that says so knows why.
    pub fn end(&self, number: usize, why: Ending) {
        let why = if self.over.get() { Ending::Over } else { why };
        self.change(number, |record| {
            record.ended.get_or_insert(why);
        });
    }

    /// A player's stamped picture was whole at this age.
    pub fn saw(&self, number: usize, now: i64, age: i64) {
        let records = self.records.borrow();
        let Some(record) = records.get(number).filter(|_| !self.is_past_end()) else { return };
        // What a server keeps for those who join is old by right; where the window begins it is past.
        if self.measured_from().is_none() && now - age < record.began {
            return;
        }
        let age = u64::try_from(age).unwrap_or(0);
        self.tally.borrow_mut().latency.record(age);
        self.recent.borrow_mut().record(age);
    }

    /// A viewer of a playlist was answered.
    pub fn asked(&self, count: impl FnOnce(&mut Requests)) {
        if !self.is_past_end() {
            count(&mut self.tally.borrow_mut().requests);
        }
    }

    /// Keeps what a player that has ended found.
    pub fn keep(&self, role: Role, mut checker: Box<Checker>) {
        let mut tally = self.tally.borrow_mut();
        tally.findings.add(&checker.findings);
        if role != Role::Sample {
            return;
        }
        checker.playback.end(self.clock.micros());
        tally.stalls.push((checker.playback.stalls, checker.playback.stalled));
        if checker.span > 1_000_000 {
            let rate = checker.payload as f64 * 8e6 / checker.span as f64;
            self.rates.borrow_mut().push(rate);
        }
        if self.over.get() {
            self.due.borrow_mut().extend(checker.due(self.noted[1].get()));
        }
    }

    /// The connections of all players so far.
    pub fn connections(&self) -> Vec<SourceId> {
        self.ids.borrow().iter().map(|(id, _)| *id).collect()
    }

    /// The thread came to its work so late.
    pub fn was_late(&self, by: Duration) {
        self.tally.borrow_mut().lateness.record(by.as_micros() as u64);
    }

    /// Notes where all are at an edge of the window. The try that was best counts.
    pub fn at_edge(&self, which: usize, carried: Carried) {
        let mut tally = self.tally.borrow_mut();
        let tally = &mut *tally;
        let (Some(at), Some(known)) = (self.noted.get(which), tally.carried.get_mut(which)) else {
            return;
        };
        if at.get() > 0 && known.apart <= carried.apart {
            return;
        }
        if which == 0 && at.get() == 0 {
            // What came before the window counts where there is none.
            (tally.latency, tally.requests) = Default::default();
        }
        *known = carried;
        at.set(self.clock.micros());
        if let Some(place) = tally.edges.get_mut(which) {
            *place = at.get();
        }
        for record in self.records.borrow_mut().iter_mut() {
            if let Some(place) = record.at_edges.get_mut(which) {
                *place = record.bytes;
            }
        }
        if which == 0 {
            self.measured_from.set(Some(at.get()));
        }
    }

    /// The run is over: a window that was cut short ends here, and nobody ends for a reason of its own.
    pub fn close(&self) {
        if !self.is_past_end() {
            let counted = self.counted();
            self.at_edge(1, Carried { interfaces: kernel::interfaces(), counted, apart: 0 });
        }
        self.over.set(true);
    }

    /// Everything the thread has, when all its players are gone.
    pub fn tally(&self) -> Tally {
        let mut tally = std::mem::take(&mut *self.tally.borrow_mut());
        tally.records = std::mem::take(&mut *self.records.borrow_mut());
        for record in &mut tally.records {
            record.ended.get_or_insert(Ending::Over);
        }
        // A picture that is older than all that came, and has not come, is late by its age at least.
        let latest = tally.latency.percentile(100.0).unwrap_or(0);
        for age in self.due.borrow().iter().filter(|age| **age > latest) {
            tally.latency.record(*age);
            tally.overdue += 1;
        }
        let rates = self.rates.borrow();
        tally.stream_rate =
            (!rates.is_empty()).then(|| rates.iter().sum::<f64>() / rates.len() as f64);
        tally
    }

    /// Bytes that came and went so far, of all threads.
    pub fn counted(&self) -> u64 {
        self.totals.iter().map(|total| total.load(Ordering::Relaxed)).sum()
    }

    fn is_past_end(&self) -> bool {
        let [_, end] = &self.noted;
        end.get() > 0
    }

    /// So many bytes came off a player's connection and went to it, in all.
    pub fn moved(&self, number: usize, received: u64, sent: u64) {
        let mut records = self.records.borrow_mut();
        let Some(record) = records.get_mut(number) else { return };
        let by = (received + sent).saturating_sub(record.bytes + record.sent);
        (record.bytes, record.sent) = (received, sent);
        self.total.fetch_add(by, Ordering::Relaxed);
    }

    /// As [`Self::moved`], for a player that has several connections: so many more.
    pub fn moved_by(&self, number: usize, received: u64, sent: u64) {
        let known = self.records.borrow().get(number).map(|record| (record.bytes, record.sent));
        let (bytes, all_sent) = known.unwrap_or_default();
        self.moved(number, bytes + received, all_sent + sent);
    }

    /// What the last second came to.
    pub fn second(&self, thread: usize, rate: Option<f64>) -> Second {
        let mut second = Second { thread, ..Second::default() };
        // A server that merges writes sends in lumps: two seconds tell more than one.
        let least = rate.map(|rate| (rate / 8.0 * 2.0 * 0.7) as u64);
        let mut records = self.records.borrow_mut();
        for record in records.iter_mut() {
            second.bytes += record.bytes;
            let [two_ago, one_ago] = record.recent;
            record.recent = [one_ago, record.bytes];
            if record.role == Role::Probe {
                continue;
            }
            // Whoever gets segments of seconds gets nothing in between.
            let comes_evenly = record.lump <= 500_000;
            second.begun += 1;
            match (&record.joined, &record.ended) {
                (Some(_), None) => {
                    second.playing += 1;
                    let got = record.bytes - two_ago;
                    second.starved += usize::from(
                        comes_evenly && two_ago > 0 && least.is_some_and(|least| got < least),
                    );
                }
                (Some(_), Some(_)) => second.dropped += 1,
                (None, Some(_)) => second.failed += 1,
                (None, None) => {}
            }
        }
        second.latency = std::mem::take(&mut self.recent.borrow_mut());
        second
    }

    /// A player of the run begins.
    pub fn begin(self: &Rc<Self>, el: &mut EventLoop, task: &Task, number: usize, role: Role) {
        let place = self.records.borrow().len();
        self.records.borrow_mut().push(Record {
            role,
            began: self.clock.micros(),
            first_byte: None,
            joined: None,
            first_key: None,
            bytes: 0,
            sent: 0,
            lump: 0,
            at_edges: [0; 2],
            recent: [0; 2],
            ended: None,
        });
        let stream = number % task.streams.max(1);
        // Each stream is played by each door.
        let turn = number / task.streams.max(1);
        let Some(target) = task.targets.get(turn % task.targets.len().max(1)) else { return };
        let is_ts =
            matches!(target.door, Door::Http(Container::Ts) | Door::WebSocket(Container::Ts));
        let checker = (role != Role::Bulk).then(|| {
            let mut checker = Checker::new(stream, task.ledger.clone(), task.buffer);
            checker.compare_only_slices(is_ts);
            Box::new(checker)
        });
        let within = task.join_within;
        let (address, from) = (target.address, task.from.clone());
        let connect = move || {
            let connect = Connect::to(Endpoint::Ip(address)).timeout(within);
            match from.get(number % from.len().max(1)) {
                Some(from) => connect.from(SocketAddr::new(*from, 0)),
                None => connect,
            }
        };
        if target.door == Door::Hls {
            let who = (Rc::clone(self), place, role);
            let how = (task.low_latency, within);
            let viewer = Viewer::new(who, &target.authority, how, Box::new(connect), checker);
            return hls::begin(el, &viewer, &target.path_of(stream));
        }
        let mut words = Vec::new();
        let dialogue = match Dialogue::begin(target, stream, el.random(), &mut words) {
            Ok(dialogue) => dialogue,
            Err(trouble) => return self.end(place, Ending::Troubled(trouble.to_string())),
        };
        let crowd = Rc::clone(self);
        el.connect(connect(), move |_, outcome| match outcome {
            Ok(_) => {
                Some(Box::new(Player::new(crowd, place, role, dialogue, words, checker, within)))
            }
            Err(error) => {
                crowd.end(place, Ending::Troubled(error.to_string()));
                None
            }
        });
    }
}

/// Counts the reasons players ended for.
pub fn reasons<'a>(records: impl Iterator<Item = &'a Record>) -> Reasons {
    let mut reasons = Reasons::default();
    for record in records {
        match (&record.ended, record.joined) {
            (Some(Ending::Troubled(why) | Ending::Closed(why)), _) => reasons.add(why),
            (Some(Ending::Over) | None, None) => reasons.add("no media by the end of the run"),
            _ => {}
        }
    }
    reasons
}
