//! The event loop: one per thread, everything on it happens on that thread.

use std::collections::VecDeque;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

pub use mio::Interest;
use mio::event::Event;
use mio::unix::SourceFd;

use crate::handle::{Handle, LOOP_HERE, Shared};
use crate::limits;
use crate::resolve::Waiting;
use crate::slots::{Key, Slots};
use crate::tcp::{Connection, Spares};
use crate::timer::{Timers, far};
use crate::udp::{self, UdpSocket};

/// Something the loop watches: a descriptor and what to do when it is ready.
///
/// While a source runs, the loop has lent it out: it may close itself ([`EventLoop::remove`] with its
/// own id), close others, add others. Events of the same batch that were meant for a removed source
/// are dropped, even when its descriptor or its place in the loop's table has been taken anew.
///
/// The loop watches edge-triggered: a source that left something unread or unwritten because it chose
/// to (not because the kernel said "would block") asks for another round with [`EventLoop::again`].
pub trait Source {
    /// The descriptor is ready.
    fn ready(&mut self, el: &mut EventLoop, id: SourceId, ready: Ready);

    /// The end of a turn in which [`EventLoop::mark_due`] named this source.
    fn due(&mut self, el: &mut EventLoop, id: SourceId) {
        let _ = (el, id);
    }

    /// A timer started by [`EventLoop::start_timer`] for this source is due.
    fn timer(&mut self, el: &mut EventLoop, id: SourceId, key: u32) {
        let _ = (el, id, key);
    }

    /// The loop begins to drain: finish what is under way and end.
    fn drain(&mut self, el: &mut EventLoop, id: SourceId) {
        el.remove(id);
    }

    /// Somebody else took the source off the loop, or the loop has ended with it. Not called where the
    /// loop ends by a panic: then nothing of what it knows can be relied on.
    fn ended(&mut self, el: &mut EventLoop, id: SourceId) {
        let _ = (el, id);
    }

    /// The listener inside, for sources that are one.
    #[doc(hidden)]
    #[allow(private_interfaces)]
    fn listener(&mut self) -> Option<&mut crate::tcp::Listener> {
        None
    }

    /// The connection inside, for sources that are one.
    fn connection(&mut self) -> Option<&mut Connection> {
        None
    }

    /// The UDP socket inside, for sources that are one.
    fn udp_socket(&mut self) -> Option<&mut UdpSocket> {
        None
    }
}

/// Names a source of one loop. `Copy` and `Send`; an id whose source is gone finds nothing, for ever.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SourceId(pub(crate) Key);

impl std::fmt::Debug for SourceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0.index, self.0.generation)
    }
}

impl SourceId {
    fn token(self) -> mio::Token {
        mio::Token(self.0.index as usize | (self.0.generation as usize) << 32)
    }

    fn from_token(token: mio::Token) -> Self {
        Self(Key { index: token.0 as u32, generation: (token.0 >> 32) as u32 })
    }
}

/// A task of this very thread.
type Deferred = Box<dyn FnOnce(&mut EventLoop)>;

const WAKER: mio::Token = mio::Token(usize::MAX);

/// Mark of a source that is in [`EventLoop::again`]'s list, beside the bits of what it asked for.
const AGAIN: u8 = 16;
/// Mark of a source that is in [`EventLoop::mark_due`]'s list.
const DUE: u8 = 32;

/// What a descriptor is ready for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ready(u8);

impl Ready {
    /// There may be something to read.
    pub const READABLE: Self = Self(1);
    /// There may be room to write.
    pub const WRITABLE: Self = Self(2);
    /// The peer will send no more: reads reach its end of file, or an error.
    pub const READ_CLOSED: Self = Self(4);
    /// The descriptor has an error to tell.
    pub const ERROR: Self = Self(8);

    /// True where all of `other` is in this one.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const ALL: u8 = 15;

    fn of(event: &Event) -> Self {
        let mut bits = 0;
        if event.is_readable() {
            bits |= Self::READABLE.0;
        }
        if event.is_writable() {
            bits |= Self::WRITABLE.0;
        }
        if event.is_read_closed() {
            bits |= Self::READ_CLOSED.0;
        }
        if event.is_error() {
            bits |= Self::ERROR.0;
        }
        Self(bits)
    }
}

/// Why a loop could not be made.
#[derive(Debug, thiserror::Error)]
pub enum LoopError {
    /// One thread has one loop: everything on it may rely on being alone.
    #[error("this thread already has an event loop")]
    SecondOnThread,
    /// The kernel refused the poll descriptor or the wake-up descriptor.
    #[error("the kernel refused an event loop: {0}")]
    Kernel(#[from] io::Error),
}

/// One thread's event loop. It cannot leave its thread:
///
/// ```compile_fail
/// let el = network::EventLoop::new().unwrap();
/// std::thread::spawn(move || el.run());
/// ```
///
/// A turn is: poll, events, tasks, timers, end-of-turn work. Handlers get the loop as an argument and
/// may do anything with it except run it. Nothing here is `Send`; other threads hold a [`Handle`].
///
/// ```
/// use std::time::Duration;
/// let mut el = network::EventLoop::new()?;
/// let handle = el.handle();
/// el.after(Duration::from_millis(1), |el| el.stop());
/// std::thread::spawn(move || handle.post(|_| println!("on the loop's thread")));
/// el.run();
/// # Ok::<(), network::LoopError>(())
/// ```
pub struct EventLoop {
    poll: mio::Poll,
    /// Lent out while a batch of events is worked through.
    events: mio::Events,
    sources: Slots<Box<dyn Source>>,
    shared: Arc<Shared>,
    deferred: VecDeque<Deferred>,
    pub(crate) timers: Timers,
    /// Sources that want another round without a new edge from the kernel: in the next turn, and in
    /// this one. What for is in their marks, so that nobody is in a list twice.
    again: Vec<SourceId>,
    asked: Vec<SourceId>,
    due: Vec<SourceId>,
    /// The room of `due` while its sources are called.
    spare_due: Vec<SourceId>,
    clock: Clock,
    /// A handler may be running.
    turning: bool,
    stopping: bool,
    drain_until: Option<Instant>,
    /// Sources for whose end a drain does not wait.
    ends_without: Vec<SourceId>,
    pub(crate) random: u64,
    /// The receive buffer that all connections share. Lent out while a handler looks into it.
    pub(crate) input: Vec<u8>,
    pub(crate) spares: Spares,
    /// What the UDP sockets of this loop share.
    pub(crate) datagrams: udp::Shared,
    names: Waiting,
    names_asked: u64,
    _on_one_thread: PhantomData<*const ()>,
}

/// The loop's idea of time: read once after each poll, and what share of it was work.
struct Clock {
    now: Instant,
    window_began: Instant,
    waited: Duration,
}

impl EventLoop {
    /// Makes the loop of this thread.
    ///
    /// # Errors
    /// The thread has a loop already, or the kernel has no descriptors left.
    pub fn new() -> Result<Self, LoopError> {
        if LOOP_HERE.get() != 0 {
            return Err(LoopError::SecondOnThread);
        }
        let poll = mio::Poll::new()?;
        let shared = Arc::new(Shared::new(mio::Waker::new(poll.registry(), WAKER)?));
        LOOP_HERE.set(shared.number());
        let now = Instant::now();
        Ok(Self {
            poll,
            events: mio::Events::with_capacity(limits::EVENTS_AT_FIRST),
            sources: Slots::new(),
            shared,
            deferred: VecDeque::new(),
            timers: Timers::new(now),
            again: Vec::new(),
            asked: Vec::new(),
            due: Vec::new(),
            spare_due: Vec::new(),
            clock: Clock { now, window_began: now, waited: Duration::ZERO },
            turning: false,
            stopping: false,
            drain_until: None,
            ends_without: Vec::new(),
            random: seed(),
            input: vec![0; limits::READ_CHUNK],
            spares: Spares::default(),
            datagrams: udp::Shared::default(),
            names: Waiting::new(),
            names_asked: 0,
            _on_one_thread: PhantomData,
        })
    }

    /// What other threads use to reach this loop.
    pub fn handle(&self) -> Handle {
        Handle { shared: Arc::clone(&self.shared) }
    }

    /// The time at which the current turn's events came in. Reading it costs nothing.
    pub fn now(&self) -> Instant {
        self.clock.now
    }

    /// The share of time this loop worked rather than waited, 0 to 1, over the last tenth of a second.
    pub fn busy_share(&self) -> f32 {
        self.shared.stats.busy_permille.load(Ordering::Relaxed) as f32 / 1000.0
    }

    /// Runs until somebody stops the loop, then ends everything that is still on it.
    pub fn run(mut self) {
        while !self.stopping {
            self.turn(None);
        }
    }

    /// Runs one turn, waiting at most `max_wait` for something to do. Returns false once the loop has
    /// been stopped.
    ///
    /// # Panics
    /// A handler calls it for the loop it runs on.
    pub fn run_once(&mut self, max_wait: Duration) -> bool {
        assert!(!self.turning, "a handler may not run the loop that runs it");
        if !self.stopping {
            self.turn(Some(max_wait));
        }
        !self.stopping
    }

    /// Ends the loop after the current turn.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    /// Ends the loop gracefully: listeners close, connections send what is queued and close, and the
    /// loop stops when the last is gone or `within` has passed. The sources are told once the present
    /// handler has returned, and once only; of several calls the one that ends first holds.
    pub fn drain(&mut self, within: Duration) {
        let until = far(Instant::now(), within);
        if self.drain_until.is_some_and(|earlier| earlier <= until) {
            return;
        }
        let first = self.drain_until.replace(until).is_none();
        self.defer(move |el| {
            if first {
                for id in el.ids() {
                    el.with_source(id, |source, el, id| source.drain(el, id));
                }
            }
            // Not before they have been told, however short the time.
            el.at(until, EventLoop::stop);
        });
    }

    /// Has a drain not wait for this source.
    pub(crate) fn ends_without(&mut self, id: SourceId) {
        let sources = &self.sources;
        self.ends_without.retain(|id| sources.contains(id.0));
        self.ends_without.push(id);
    }

    /// Nothing is left to be drained.
    fn is_drained(&self) -> bool {
        let not_waited_for = || self.ends_without.iter().filter(|id| self.contains(**id)).count();
        self.is_draining() && self.sources.len() == not_waited_for()
    }

    /// True from the call of [`EventLoop::drain`] on.
    pub fn is_draining(&self) -> bool {
        self.drain_until.is_some()
    }

    /// Runs a task on this loop after the current batch of events and the tasks that were posted until
    /// then; in the next turn where tasks are being run already. Deferred tasks run in their order.
    pub fn defer(&mut self, task: impl FnOnce(&mut EventLoop) + 'static) {
        self.deferred.push_back(Box::new(task));
    }

    pub(crate) fn wait_for_name(&mut self, then: crate::resolve::Then) -> u64 {
        self.names_asked += 1;
        self.names.insert(self.names_asked, then);
        self.names_asked
    }

    pub(crate) fn waits_for_names(&self) -> usize {
        self.names.len()
    }

    pub(crate) fn answer_name(&mut self, number: u64) -> Option<crate::resolve::Then> {
        self.names.remove(&number)
    }

    // ---- sources ----

    /// Watches a descriptor. The source owns it; closing it before the source is removed is a bug
    /// that costs this source its events and nobody else theirs.
    ///
    /// # Errors
    /// The kernel refuses to watch it (a plain file, or no memory).
    pub fn add(
        &mut self,
        fd: BorrowedFd<'_>,
        interest: Interest,
        source: Box<dyn Source>,
    ) -> io::Result<SourceId> {
        let id = self.reserve(fd, interest)?;
        self.fill(id, source);
        Ok(id)
    }

    /// First half of [`EventLoop::add`], for sources that want to know their id as they are made.
    pub(crate) fn reserve(
        &mut self,
        fd: BorrowedFd<'_>,
        interest: Interest,
    ) -> io::Result<SourceId> {
        let id = SourceId(self.sources.reserve());
        let raw = fd.as_raw_fd();
        if let Err(error) = self.poll.registry().register(&mut SourceFd(&raw), id.token(), interest)
        {
            self.sources.remove(id.0);
            return Err(error);
        }
        Ok(id)
    }

    pub(crate) fn fill(&mut self, id: SourceId, source: Box<dyn Source>) {
        drop(self.sources.give_back(id.0, source));
    }

    /// A source that has no descriptor of its own: timers, [`EventLoop::again`] and
    /// [`EventLoop::mark_due`] reach it.
    pub fn add_plain(&mut self, source: Box<dyn Source>) -> SourceId {
        let id = SourceId(self.sources.reserve());
        self.fill(id, source);
        id
    }

    /// Changes what a descriptor is watched for. Where it is ready for that, the kernel says so.
    pub(crate) fn rewatch(
        &mut self,
        fd: BorrowedFd<'_>,
        id: SourceId,
        interest: Interest,
    ) -> io::Result<()> {
        self.poll.registry().reregister(&mut SourceFd(&fd.as_raw_fd()), id.token(), interest)
    }

    /// Stops watching a descriptor that stays open in other hands.
    pub(crate) fn unwatch(&mut self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.poll.registry().deregister(&mut SourceFd(&fd.as_raw_fd()))
    }

    pub(crate) fn registry(&self) -> &mio::Registry {
        self.poll.registry()
    }

    pub(crate) fn reserve_token(&mut self) -> (SourceId, mio::Token) {
        let id = SourceId(self.sources.reserve());
        (id, id.token())
    }

    /// Forgets a source and drops it (closing its descriptor); a source that removes itself is dropped
    /// when it returns. Returns false where it was gone already.
    pub fn remove(&mut self, id: SourceId) -> bool {
        let known = self.sources.contains(id.0);
        if let Some(mut source) = self.sources.remove(id.0) {
            source.ended(self, id);
        }
        known
    }

    /// True while the source is on the loop.
    pub fn contains(&self, id: SourceId) -> bool {
        self.sources.contains(id.0)
    }

    /// How many sources the loop has: listeners, connections and the rest.
    pub fn sources(&self) -> usize {
        self.sources.len()
    }

    /// Another connection of this loop, to send to it, pause it or close it. What was asked of it is
    /// carried out at the end of the turn. `None` where it is gone, and for the connection whose
    /// handler is running: that one has itself in its hand.
    pub fn connection(&mut self, id: SourceId) -> Option<&mut Connection> {
        self.connection_without_queue(id)?;
        let connection = self.sources.get_mut(id.0)?.connection()?;
        connection.lend_queue(&mut self.spares);
        Some(connection)
    }

    /// [`EventLoop::connection`] for who writes at once: thousands may be asked for in a turn, and each
    /// would keep a queue until its end.
    pub(crate) fn connection_without_queue(&mut self, id: SourceId) -> Option<&mut Connection> {
        self.sources.get_mut(id.0)?.connection()?;
        self.mark_due(id);
        self.sources.get_mut(id.0)?.connection()
    }

    /// Another connection of this loop, to look at: nothing is asked of it. `None` as for
    /// [`EventLoop::connection`].
    pub fn peek(&mut self, id: SourceId) -> Option<&Connection> {
        self.sources.get_mut(id.0)?.connection().map(|conn| &*conn)
    }

    /// A UDP socket of this loop, to send from it or close it. What was asked of it is carried out at
    /// the end of the turn. `None` where it is gone, and for the socket whose handler is running: that
    /// one has itself in its hand.
    pub fn udp(&mut self, id: SourceId) -> Option<&mut UdpSocket> {
        self.sources.get_mut(id.0)?.udp_socket()?;
        self.mark_due(id);
        self.sources.get_mut(id.0)?.udp_socket()
    }

    /// The ids of all sources but the one that is running, for pushes to everybody.
    pub fn ids(&self) -> Vec<SourceId> {
        self.sources.keys().map(SourceId).collect()
    }

    /// Has [`Source::ready`] called in the next turn as if the kernel had said so: once, however often
    /// it is asked for, and together with what the kernel then has to say itself. So a source that
    /// never has enough gets one round a turn, as everybody.
    pub fn again(&mut self, id: SourceId, ready: Ready) {
        if self.sources.mark(id.0, AGAIN | ready.0).is_some_and(|before| before & AGAIN == 0) {
            self.again.push(id);
        }
    }

    /// Has [`Source::due`] called at the end of this turn, or of the next where this one is ending.
    /// For a connection this calls [`crate::Handler::due`]: it is how a new frame wakes a dormant
    /// player. Naming a source twice in a turn calls it once. For a UDP socket it is
    /// [`udp::Handler::due`].
    pub fn mark_due(&mut self, id: SourceId) {
        if self.sources.mark(id.0, DUE).is_some_and(|before| before & DUE == 0) {
            self.due.push(id);
        }
    }

    pub(crate) fn count_connection(&self, by: isize) {
        let count = &self.shared.stats.connections;
        count.store(count.load(Ordering::Relaxed).wrapping_add_signed(by), Ordering::Relaxed);
    }

    /// A number nobody can guess from outside, for jitter and masks; not for secrets.
    pub fn random(&mut self) -> u64 {
        // splitmix64
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn with_source(
        &mut self,
        id: SourceId,
        run: impl FnOnce(&mut dyn Source, &mut EventLoop, SourceId),
    ) {
        if let Some(mut source) = self.sources.lend(id.0) {
            run(&mut *source, self, id);
            drop(self.sources.give_back(id.0, source));
        }
    }

    // ---- a turn ----

    fn turn(&mut self, max_wait: Option<Duration>) {
        self.turning = true;
        self.poll(max_wait);
        self.run_again();
        self.run_tasks();
        self.run_timers();
        self.run_due();
        self.stopping |= self.shared.stop_asked() || self.is_drained();
        self.turning = false;
    }

    fn poll(&mut self, max_wait: Option<Duration>) {
        let before = Instant::now();
        self.shared.stats.turned(before - self.clock.now);
        let idle = self.again.is_empty()
            && self.due.is_empty()
            && self.deferred.is_empty()
            && !self.shared.has_tasks()
            && !self.shared.stop_asked()
            && !self.is_drained();
        let wait = if idle { self.timers.wait_from(before) } else { Some(Duration::ZERO) };
        let wait = match (wait, max_wait) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let sleeps = wait != Some(Duration::ZERO);
        if sleeps {
            self.shared.fell_asleep(before);
        }
        if let Err(error) = self.poll.poll(&mut self.events, wait)
            && error.kind() != io::ErrorKind::Interrupted
        {
            // The poll descriptor itself is broken: nothing on this thread can go on.
            tracing::error!(%error, "the kernel refuses to poll; the loop ends");
            self.stopping = true;
            return;
        }
        self.clock.now = Instant::now();
        self.shared.is_awake(self.clock.now);
        self.measure(before);
        // What is asked for from here on is for the next turn.
        std::mem::swap(&mut self.again, &mut self.asked);
        let events = std::mem::replace(&mut self.events, mio::Events::with_capacity(0));
        let mut count = 0;
        for event in &events {
            count += 1;
            if event.token() == WAKER {
                continue;
            }
            let id = SourceId::from_token(event.token());
            let ready = Ready::of(event);
            if self.sources.marks(id.0) & AGAIN == 0 {
                self.with_source(id, |source, el, id| source.ready(el, id, ready));
            } else {
                // It has its round anyway.
                self.sources.mark(id.0, ready.0);
            }
        }
        self.events = events;
        let capacity = self.events.capacity();
        if count == capacity && capacity < limits::EVENTS_AT_MOST {
            self.events = mio::Events::with_capacity(capacity * 2);
        }
    }

    /// Adds the wait that just ended to the window, and closes the window where it is long enough.
    fn measure(&mut self, before: Instant) {
        let stats = &self.shared.stats;
        stats.turns.store(stats.turns.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        let clock = &mut self.clock;
        clock.waited += clock.now - before;
        let window = clock.now - clock.window_began;
        if window >= limits::BUSY_WINDOW {
            let busy = window.saturating_sub(clock.waited).as_nanos() * 1000 / window.as_nanos();
            stats.busy_permille.store(busy as u32, Ordering::Relaxed);
            clock.window_began = clock.now;
            clock.waited = Duration::ZERO;
        }
    }

    fn run_again(&mut self) {
        if self.asked.is_empty() {
            return;
        }
        let mut list = std::mem::take(&mut self.asked);
        for id in list.drain(..) {
            let ready = Ready(self.sources.unmark(id.0, AGAIN | Ready::ALL) & Ready::ALL);
            self.with_source(id, |source, el, id| source.ready(el, id, ready));
        }
        self.asked = list;
    }

    fn run_tasks(&mut self) {
        // What is posted by these tasks runs in the next turn, so that timers and events have theirs.
        let posted = self.shared.collect().min(limits::TASKS_PER_TURN);
        for _ in 0..posted {
            let Some(task) = self.shared.next_task() else { break };
            task(self);
        }
        if posted > 0 {
            let stats = &self.shared.stats;
            stats
                .tasks
                .store(stats.tasks.load(Ordering::Relaxed) + posted as u64, Ordering::Relaxed);
        }
        for _ in 0..self.deferred.len().min(limits::TASKS_PER_TURN) {
            let Some(task) = self.deferred.pop_front() else { break };
            task(self);
        }
    }

    fn run_due(&mut self) {
        if self.due.is_empty() {
            return;
        }
        // Who is named from here on is due in the next turn.
        let mut list = std::mem::replace(&mut self.due, std::mem::take(&mut self.spare_due));
        for id in list.drain(..) {
            self.sources.unmark(id.0, DUE);
            self.with_source(id, |source, el, id| source.due(el, id));
        }
        self.spare_due = list;
    }
}

impl Drop for EventLoop {
    fn drop(&mut self) {
        self.shared.close();
        for id in self.ids() {
            if !std::thread::panicking() {
                self.with_source(id, |source, el, id| source.ended(el, id));
            }
            drop(self.sources.remove(id.0));
        }
        LOOP_HERE.set(0);
    }
}

fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}
