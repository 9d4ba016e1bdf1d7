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
//!
//! | file | what |
//! | --- | --- |
//! | `streams.rs` | the streams that live here, and telling who reads them |
//! | `ticket.rs` | the right to publish one |
//! | `views.rs` | the logs that are read here |

mod streams;
mod ticket;
mod views;

pub use ticket::{Refusal, Ticket};

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use hashbrown::HashMap;
use network::{EventLoop, Handle};

use crate::api::gather::Gatherings;
use crate::chores::Chores;
use crate::clients::Clients;
use crate::counters::Counters;
use crate::directory::Directory;
use crate::events::Events;
use crate::flush::Flusher;
use crate::format::Format;
use crate::limits;
use crate::log::view::View;
use crate::name::StreamName;
use crate::nodes::Nodes;
use crate::numbers::Lives;
use crate::pace::Pace;
use crate::settings::Settings;
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
}
