//! What one loop knows: the streams that live here, the logs that are read here, and the way to the
//! other loops.
//!
//! ```text
//!      loop 0                                   loop 1
//!  publisher ──► Stream live/a ── Growth ──────────────► View of live/a ──► players
//!                     └────────── Growth ──► View of live/a ──► players
//! ```
//!
//! A stream lives on one loop, which follows from its name: a publisher's connection moves there. Every
//! loop that has players of it keeps a [`View`]. Loops talk by posted tasks; nothing is locked.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use hashbrown::HashMap;
use network::{EventLoop, Handle, SourceId};
use thiserror::Error;

use crate::api::gather::Gatherings;
use crate::chores::Chores;
use crate::clients::Clients;
use crate::counters::{Counters, Reason};
use crate::directory::Directory;
use crate::events::Events;
use crate::flush::Flusher;
use crate::format::Format;
use crate::limits;
use crate::log::view::View;
use crate::log::writer::Reader;
use crate::log::{Growth, Hold, Opened};
use crate::name::StreamName;
use crate::nodes::Nodes;
use crate::numbers::Lives;
use crate::pace::Pace;
use crate::settings::{Second, Settings};
use crate::stream::Stream;
use crate::viewers::Viewers;

thread_local! {
    static HERE: RefCell<Option<Rc<Hub>>> = const { RefCell::new(None) };
}

/// All loops of a server, for each of them to reach the others.
#[derive(Clone, Debug, Default)]
pub struct Loops {
    handles: Arc<OnceLock<Vec<Handle>>>,
}

impl Loops {
    /// Says which loops there are; once, before any door is opened.
    pub fn set(&self, handles: Vec<Handle>) {
        // A second time would be a second server's, which has its own.
        let _ = self.handles.set(handles);
    }

    fn all(&self) -> &[Handle] {
        self.handles.get().map_or(&[], Vec::as_slice)
    }
}

/// One loop's streams and views.
pub struct Hub {
    place: usize,
    loops: Loops,
    /// What the operator decided.
    pub settings: Arc<Settings>,
    /// What happened on this loop.
    pub counters: Arc<Counters>,
    streams: RefCell<HashMap<StreamName, Rc<RefCell<Stream>>>>,
    lives: RefCell<Lives>,
    views: RefCell<HashMap<(StreamName, Format), Rc<View>>>,
    pace: Pace,
    pub(crate) flusher: Flusher,
    /// Who watches by fetching segments.
    pub viewers: Viewers,
    numbers: Cell<u64>,
    is_draining: Cell<bool>,
    /// Who is here.
    pub clients: Clients,
    /// The streams of all loops.
    pub directory: Directory,
    /// Other nodes.
    pub nodes: Nodes,
    /// What happened.
    pub events: Events,
    pub(crate) gatherings: Gatherings,
    pub(crate) chores: Chores,
    pub(crate) rounds: Cell<u32>,
}

/// The right to publish a stream, held by who does. Dropping it without [`Ticket::give_back`] leaves
/// the stream to be found silent.
pub struct Ticket {
    hub: Rc<Hub>,
    stream: Rc<RefCell<Stream>>,
    number: u64,
    since: Instant,
}

/// Why somebody may not publish.
#[derive(Debug, Error)]
pub enum Refusal {
    /// Somebody else does.
    #[error("stream {0} is published by somebody else")]
    NameTaken(StreamName),
    /// There are enough.
    #[error("there are {0} streams, which is the limit (limits.streams)")]
    TooMany(usize),
    /// The system refuses.
    #[error("the system has no room for the stream's log: {0}")]
    NoResources(#[from] std::io::Error),
}

impl Refusal {
    /// For the counters.
    pub fn reason(&self) -> Reason {
        match self {
            Self::NameTaken(_) => Reason::NameTaken,
            Self::TooMany(_) => Reason::TooManyStreams,
            Self::NoResources(_) => Reason::NoResources,
        }
    }
}

impl Hub {
    /// Makes the hub of this thread's loop, which is the `place`-th of `loops`.
    pub fn start(
        el: &mut EventLoop,
        place: usize,
        loops: Loops,
        settings: Arc<Settings>,
        counters: Arc<Counters>,
    ) -> Rc<Self> {
        let hub = Rc::new(Self {
            place,
            loops,
            pace: Pace::new(&settings.play),
            flusher: Flusher::new(&settings.play, Arc::clone(&counters)),
            settings,
            counters,
            streams: RefCell::default(),
            lives: RefCell::default(),
            views: RefCell::default(),
            viewers: Viewers::default(),
            numbers: Cell::new(0),
            is_draining: Cell::new(false),
            clients: Clients::default(),
            directory: Directory::default(),
            nodes: Nodes::default(),
            events: Events::default(),
            gatherings: Gatherings::default(),
            chores: Chores::default(),
            rounds: Cell::new(0),
        });
        HERE.set(Some(Rc::clone(&hub)));
        hub.flusher.start(el, &hub);
        let around = Rc::clone(&hub);
        el.every(limits::LOOK_AROUND, move |el| around.look_around(el));
        hub
    }

    /// The hub of this thread's loop.
    pub fn here() -> Option<Rc<Self>> {
        HERE.with_borrow(Clone::clone)
    }

    /// A name for a connection, the same in all its log lines.
    pub fn next_id(&self) -> String {
        self.numbers.set(self.numbers.get() + 1);
        format!("{}-{}", self.place, self.numbers.get())
    }

    /// From here on what ends does so since the server ends.
    pub fn begin_drain(&self) {
        self.is_draining.set(true);
    }

    /// Whether the server ends.
    pub fn is_draining(&self) -> bool {
        self.is_draining.get()
    }

    /// Runs a task with the hub of loop `place`: later in this turn where it is this one.
    pub fn on(
        self: &Rc<Self>,
        el: &mut EventLoop,
        place: usize,
        task: impl FnOnce(&Rc<Hub>, &mut EventLoop) + Send + 'static,
    ) {
        if place == self.place {
            let hub = Rc::clone(self);
            return el.defer(move |el| task(&hub, el));
        }
        if let Some(handle) = self.loops.all().get(place) {
            // A loop that has ended has nobody left who would miss it.
            let _ = handle.post(move |el| {
                if let Some(hub) = Hub::here() {
                    task(&hub, el);
                }
            });
        }
    }

    /// Runs a task in the loop's next turn, when events and players have had theirs.
    pub fn next_turn(
        self: &Rc<Self>,
        el: &mut EventLoop,
        task: impl FnOnce(&Rc<Hub>, &mut EventLoop) + Send + 'static,
    ) {
        // The loop runs: it takes tasks.
        let _ = el.handle().post(move |el| {
            if let Some(hub) = Hub::here() {
                task(&hub, el);
            }
        });
    }

    /// Which of the loops this is.
    pub fn place(&self) -> usize {
        self.place
    }

    /// How many loops there are.
    pub fn loop_count(&self) -> usize {
        self.loops.all().len().max(1)
    }

    /// The loops.
    pub fn handles(&self) -> &[Handle] {
        self.loops.all()
    }

    // ---- streams that live here ----

    pub(crate) fn find_stream(&self, name: &StreamName) -> Option<Rc<RefCell<Stream>>> {
        self.streams.borrow().get(name).cloned()
    }

    pub(crate) fn stream_names(&self) -> Vec<StreamName> {
        self.streams.borrow().keys().cloned().collect()
    }

    /// Ends a publisher that has no connection.
    pub(crate) fn dismiss_publisher(self: &Rc<Self>, el: &mut EventLoop, name: &StreamName) {
        let Some(stream) = self.find_stream(name) else { return };
        let mut stream = stream.borrow_mut();
        let Some(number) = stream.publisher().map(|publisher| publisher.number) else { return };
        stream.unset_publisher(number, el.now());
        self.counters.publishers.leave();
        self.tell_live(el, &stream);
    }

    /// The loop where a stream lives.
    pub fn home_of(&self, name: &StreamName) -> usize {
        name.spread() % self.loops.all().len().max(1)
    }

    /// The loop that something belongs to which is not bound to any, by a number of its own.
    pub fn place_of(&self, key: u64) -> usize {
        let loops = u64::try_from(self.loops.all().len()).unwrap_or(1).max(1);
        usize::try_from(key % loops).unwrap_or(0)
    }

    /// Whether it is this one.
    pub fn is_home_of(&self, name: &StreamName) -> bool {
        self.home_of(name) == self.place
    }

    fn stream(&self, name: &StreamName, now: Instant) -> Rc<RefCell<Stream>> {
        let mut streams = self.streams.borrow_mut();
        let make = || {
            self.counters.streams.join();
            let (settings, counters) = (Arc::clone(&self.settings), Arc::clone(&self.counters));
            let after = self.lives.borrow().after(name);
            Rc::new(RefCell::new(Stream::new(name.clone(), settings, counters, after, now)))
        };
        Rc::clone(streams.entry(name.clone()).or_insert_with(make))
    }

    /// Begins to publish a stream that lives here. A publisher that has to make room for this one is
    /// marked due, and finds that its ticket is void.
    ///
    /// # Errors
    /// It may not be published now.
    pub fn publish(
        self: &Rc<Self>,
        el: &mut EventLoop,
        name: &StreamName,
        source: Option<SourceId>,
    ) -> Result<Ticket, Refusal> {
        let now = el.now();
        let begun = |stream: &Rc<RefCell<Stream>>| stream.borrow().has_begun();
        let known = self.streams.borrow().get(name).is_some_and(begun);
        if !known {
            let count = self.streams.borrow().values().filter(|stream| begun(stream)).count();
            // Each loop has its share of the streams.
            let most = self.settings.streams.div_ceil(self.loops.all().len().max(1));
            if count >= most {
                return Err(Refusal::TooMany(self.settings.streams));
            }
        }
        let stream = self.stream(name, now);
        let mut inner = stream.borrow_mut();
        if let Some(first) = inner.publisher().cloned() {
            let settings = &self.settings.publish;
            let silent = now.saturating_duration_since(first.heard) >= settings.silent_after;
            if settings.second == Second::Refuse && !silent {
                return Err(Refusal::NameTaken(name.clone()));
            }
            self.commit(el, &mut inner)?;
            inner.unset_publisher(first.number, now);
            self.counters.publishers.leave();
            if let Some(source) = first.source {
                el.mark_due(source);
            }
        }
        let number = inner.set_publisher(source, now)?;
        for (format, reader) in inner.take_asked() {
            self.open(el, &mut inner, format, reader);
        }
        self.tell_live(el, &inner);
        drop(inner);
        if !known {
            for place in 0..self.loops.all().len() {
                let name = name.clone();
                self.on(el, place, move |hub, _| hub.forget_ended(&name));
            }
        }
        Ok(Ticket { hub: Rc::clone(self), stream, number, since: now })
    }

    /// Writes what a stream's publisher has sent and tells the loops that read it.
    fn commit(self: &Rc<Self>, el: &mut EventLoop, stream: &mut Stream) -> std::io::Result<()> {
        if let Some((timer, _)) = stream.hold.take() {
            el.cancel(timer);
        }
        stream.commit(|stream, (format, growth)| {
            let growth = Arc::new(growth);
            for reader in stream.readers(format).0 {
                if reader.place == self.place {
                    self.grow(el, &stream.name, format, &growth);
                } else {
                    let (name, growth) = (stream.name.clone(), Arc::clone(&growth));
                    self.on(el, reader.place, move |hub, el| hub.grow(el, &name, format, &growth));
                }
            }
        })
    }

    /// Tells all that read whether there is a publisher, and where players may begin.
    fn tell_live(self: &Rc<Self>, el: &mut EventLoop, stream: &Stream) {
        let is_live = stream.publisher().is_some();
        self.list(el, stream);
        self.tell(el, stream, move |view, from| view.set_live(is_live, from));
    }

    fn tell(
        self: &Rc<Self>,
        el: &mut EventLoop,
        stream: &Stream,
        what: impl FnOnce(&View, u64) + Clone + Send + 'static,
    ) {
        for format in Format::ALL {
            let (readers, entry_from) = stream.readers(format);
            for reader in readers {
                let (name, what) = (stream.name.clone(), what.clone());
                self.on(el, reader.place, move |hub, el| {
                    if let Some(view) = hub.find_view(&name, format) {
                        what(&view, entry_from);
                        hub.wake_waiting(el, &view);
                    }
                });
            }
        }
    }

    /// For a loop that wants to read a stream that lives here.
    fn ask(self: &Rc<Self>, el: &mut EventLoop, name: &StreamName, format: Format, reader: Reader) {
        let stream = self.stream(name, el.now());
        let mut stream = stream.borrow_mut();
        self.open(el, &mut stream, format, reader);
    }

    fn open(
        self: &Rc<Self>,
        el: &mut EventLoop,
        stream: &mut Stream,
        format: Format,
        reader: Reader,
    ) {
        let place = reader.place;
        Self::read_publisher(el, stream);
        let opened = self.commit(el, stream).and_then(|()| stream.open(format, reader));
        match opened {
            Ok(None) => {}
            Ok(Some(opened)) => {
                let name = stream.name.clone();
                self.on(el, place, move |hub, el| hub.opened(el, &name, format, opened));
            }
            Err(error) => {
                tracing::error!(stream = %stream.name, %error, "there is no room for another log");
                let name = stream.name.clone();
                self.on(el, place, move |hub, el| hub.end_view(el, &name, format));
            }
        }
    }

    /// A publisher that nobody played is read seldom: what it has sent is wanted from here on.
    fn read_publisher(el: &mut EventLoop, stream: &Stream) {
        let source = stream.publisher().and_then(|publisher| publisher.source);
        if let Some(conn) = source.and_then(|source| el.connection(source)) {
            conn.read_now();
        }
    }

    /// For a loop that reads no more.
    fn leave(&self, name: &StreamName, format: Format, place: usize) {
        let found = self.streams.borrow().get(name).cloned();
        if let Some(stream) = found {
            stream.borrow_mut().close_reader(format, place);
        }
    }

    /// Ends streams whose publisher does not return, forgets those that nobody needs, and looks after
    /// publishers that are silent.
    fn look_after_streams(self: &Rc<Self>, el: &mut EventLoop) {
        let now = el.now();
        let settings = &self.settings.publish;
        let mut over = Vec::new();
        for (name, stream) in self.streams.borrow().iter() {
            let stream = stream.borrow();
            match stream.publisher() {
                Some(publisher) => {
                    let silent = now.saturating_duration_since(publisher.heard);
                    if silent >= settings.close_silent_after
                        && let Some(source) = publisher.source
                    {
                        el.mark_due(source);
                    }
                }
                None if stream.has_begun() => {
                    let alone = now.saturating_duration_since(stream.alone_since);
                    if alone >= settings.grace {
                        over.push(name.clone());
                    }
                }
                None if !stream.is_read() => over.push(name.clone()),
                None => {}
            }
        }
        for name in over {
            let Some(stream) = self.streams.borrow_mut().remove(&name) else { continue };
            let mut stream = stream.borrow_mut();
            if stream.has_begun() {
                tracing::info!(stream = %name, "stream ended");
                self.lives.borrow_mut().ended(name.clone(), stream.numbers(), now);
            }
            self.tell(el, &stream, |view, _| view.end());
            self.show_end(el, &stream);
            self.unlist(el, &stream);
            drop(stream.take_asked());
        }
    }

    /// Who polls a list hears of the end on whichever loop the request comes to: also on those that
    /// nobody asked before.
    fn show_end(self: &Rc<Self>, el: &mut EventLoop, stream: &Stream) {
        for (format, opened) in stream.segmented() {
            let reads = |place| stream.readers(format).0.iter().any(|reader| reader.place == place);
            for place in (0..self.loops.all().len()).filter(|place| !reads(*place)) {
                let (name, opened) = (stream.name.clone(), opened.clone());
                self.on(el, place, move |hub, el| hub.opened_ended(el, name, format, opened));
            }
        }
    }

    // ---- logs that are read here ----

    /// The view of a log, which players of this loop share. It is made by who asks first, and asks the
    /// stream's own loop for the log.
    pub fn view(
        self: &Rc<Self>,
        el: &mut EventLoop,
        name: &StreamName,
        format: Format,
    ) -> Rc<View> {
        if let Some(view) = self.find_view(name, format).filter(|view| !view.has_ended()) {
            return view;
        }
        let view = Rc::new(View::new(name.clone(), format, &self.settings, el.now()));
        self.views.borrow_mut().insert((name.clone(), format), Rc::clone(&view));
        let hold: Arc<Hold> = Arc::clone(&view.hold);
        let (name, place) = (name.clone(), self.place);
        if self.is_home_of(&name) {
            // At once, so that who asks here can begin at once.
            let stream = self.stream(&name, el.now());
            let mut stream = stream.borrow_mut();
            Self::read_publisher(el, &stream);
            let committed = self.commit(el, &mut stream);
            match committed.and_then(|()| stream.open(format, Reader { place, hold })) {
                Ok(Some(opened)) => self.opened(el, &name, format, opened),
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(stream = %name, %error, "there is no room for another log");
                    view.end();
                }
            }
        } else {
            self.on(el, self.home_of(&name), move |hub, el| {
                hub.ask(el, &name, format, Reader { place, hold });
            });
        }
        view
    }

    /// The view of a log, if this loop has one.
    pub fn find_view(&self, name: &StreamName, format: Format) -> Option<Rc<View>> {
        self.views.borrow().get(&(name.clone(), format)).cloned()
    }

    /// The stream has begun anew: who comes is shown nothing of its last life any more.
    fn forget_ended(&self, name: &StreamName) {
        self.views.borrow_mut().retain(|(of, _), view| of != name || !view.has_ended());
    }

    fn opened(
        self: &Rc<Self>,
        el: &mut EventLoop,
        name: &StreamName,
        format: Format,
        opened: Opened,
    ) {
        if let Some(view) = self.find_view(name, format) {
            view.open(opened);
            self.wake_waiting(el, &view);
        }
    }

    /// A stream is over of which this loop has not read this log.
    fn opened_ended(
        self: &Rc<Self>,
        el: &mut EventLoop,
        name: StreamName,
        format: Format,
        opened: Opened,
    ) {
        let make = || Rc::new(View::new(name.clone(), format, &self.settings, el.now()));
        let mut views = self.views.borrow_mut();
        let view = Rc::clone(views.entry((name.clone(), format)).or_insert_with(make));
        drop(views);
        // One that has a log is of the next life, which has begun by then. Who has asked a moment ago, for
        // what another loop's list of the ended stream names, has one without.
        if view.file().is_none() {
            view.open(opened);
            view.end();
            self.wake_waiting(el, &view);
        }
    }

    /// The view of a log whose stream is over, as long as it is kept.
    pub(crate) fn find_ended(&self, name: &StreamName, format: Format) -> Option<Rc<View>> {
        self.find_view(name, format).filter(|view| view.has_ended() && view.file().is_some())
    }

    fn grow(
        self: &Rc<Self>,
        el: &mut EventLoop,
        name: &StreamName,
        format: Format,
        growth: &Growth,
    ) {
        let Some(view) = self.find_view(name, format) else { return };
        view.grow(growth);
        if view.has_waiting() {
            self.wake_waiting(el, &view);
        } else if let Some(watch) = view.watcher() {
            watch(self, el);
        }
        self.flusher.grown(el, &view);
    }

    fn end_view(self: &Rc<Self>, el: &mut EventLoop, name: &StreamName, format: Format) {
        if let Some(view) = self.find_view(name, format) {
            view.end();
            self.wake_waiting(el, &view);
        }
    }

    /// Calls those who wait where it is worth looking, and all players where the stream is over.
    fn wake_waiting(self: &Rc<Self>, el: &mut EventLoop, view: &Rc<View>) {
        if let Some(watch) = view.watcher() {
            watch(self, el);
        }
        for wake in view.take_waiting(el.now()) {
            wake(self, el);
        }
        if view.has_ended() {
            view.mark_due(el, 0, usize::MAX);
        }
    }

    fn look_around(self: &Rc<Self>, el: &mut EventLoop) {
        self.look_after_streams(el);
        self.tend_desk(el);
        let now = el.now();
        self.viewers.look_around(self, now);
        self.nodes.forget_old(now);
        let views: Vec<Rc<View>> = self.views.borrow().values().cloned().collect();
        for view in views {
            if view.has_waiting() {
                self.wake_waiting(el, &view);
            }
            if view.look_around(now) {
                self.close_view(el, &view);
            }
        }
    }

    pub(crate) fn each_view(&self, mut each: impl FnMut(&View)) {
        self.views.borrow().values().for_each(|view| each(view));
    }

    fn close_view(self: &Rc<Self>, el: &mut EventLoop, view: &Rc<View>) {
        self.charge(view);
        let key = (view.name.clone(), view.format);
        let mut views = self.views.borrow_mut();
        // Another one may have taken its place since it ended.
        if views.get(&key).is_some_and(|other| Rc::ptr_eq(other, view)) {
            views.remove(&key);
            let (name, format) = key;
            let place = self.place;
            self.on(el, self.home_of(&name), move |hub, _| hub.leave(&name, format, place));
        }
    }

    /// How many players play on this loop.
    pub fn players(&self) -> usize {
        self.views.borrow().values().map(|view| view.players()).sum()
    }
}

impl Ticket {
    /// The stream.
    pub fn stream(&self) -> &Rc<RefCell<Stream>> {
        &self.stream
    }

    /// Whether it is still this one's stream.
    pub fn is_valid(&self) -> bool {
        self.stream.borrow().is_published_by(self.number)
    }

    /// Whether nothing was published for so long that the publisher is to be closed.
    pub fn is_silent(&self, now: Instant) -> bool {
        let bound = self.hub.settings.publish.close_silent_after;
        let stream = self.stream.borrow();
        stream.publisher().is_some_and(|p| now.saturating_duration_since(p.heard) >= bound)
    }

    /// When it was taken.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// Writes what was published since the last time, and tells who reads; a little later where they
    /// could not do anything with it yet.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn commit(&self, el: &mut EventLoop) -> std::io::Result<()> {
        let now = Instant::now();
        let at = self.stream.borrow().commit_at(&self.hub.pace, now);
        if at <= now {
            return self.commit_now(el);
        }
        self.commit_by(el, at);
        Ok(())
    }

    /// As [`Ticket::commit`], whatever the readers can do with it.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn commit_now(&self, el: &mut EventLoop) -> std::io::Result<()> {
        self.hub.commit(el, &mut self.stream.borrow_mut())
    }

    /// Has what was published written at this time, if that has not been done by then.
    pub fn commit_by(&self, el: &mut EventLoop, at: Instant) {
        let mut stream = self.stream.borrow_mut();
        if let Some((timer, before)) = stream.hold {
            if before <= at {
                return;
            }
            el.cancel(timer);
        }
        let (hub, held) = (Rc::clone(&self.hub), Rc::clone(&self.stream));
        let timer = el.at(at, move |el| {
            let mut stream = held.borrow_mut();
            stream.hold = None;
            if let Err(error) = hub.commit(el, &mut stream) {
                tracing::error!(stream = %stream.name, %error, "frames are lost");
            }
        });
        stream.hold = Some((timer, at));
    }

    /// Publishes no more. Players wait for the grace time for somebody who does.
    pub fn give_back(self, el: &mut EventLoop) {
        let mut stream = self.stream.borrow_mut();
        if !stream.is_published_by(self.number) {
            return;
        }
        stream.flush();
        if let Err(error) = self.hub.commit(el, &mut stream) {
            tracing::error!(stream = %stream.name, %error, "the last frames are lost");
        }
        stream.unset_publisher(self.number, el.now());
        self.hub.counters.publishers.leave();
        self.hub.tell_live(el, &stream);
        let none = self.hub.settings.publish.grace.is_zero();
        drop(stream);
        if none {
            let hub = Rc::clone(&self.hub);
            el.defer(move |el| hub.look_after_streams(el));
        }
    }
}
