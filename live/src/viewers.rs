//! Who watches by fetching segments, though nobody stays connected.
//!
//! A viewer is known by a key that its door makes of what it asks with, and is there until it has asked
//! for nothing for a while. Its connections may be on any loop, so it is counted on the one that follows
//! from the key.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use network::EventLoop;

use crate::hub::Hub;
use crate::limits;
use crate::name::StreamName;

/// A viewer, on the loop that counts it.
#[derive(Clone, Debug)]
pub struct Viewer {
    /// What it watches.
    pub stream: StreamName,
    /// Where it asks from.
    pub peer: Option<SocketAddr>,
    /// When it came.
    pub since: Instant,
    /// When it last asked.
    pub heard: Instant,
    /// Its number among the clients.
    id: String,
}

/// What one loop knows of viewers.
#[derive(Default)]
pub struct Viewers {
    /// Those that asked here, and when the loop that counts them was told.
    here: RefCell<HashMap<u64, Instant>>,
    /// Those that are counted here.
    counted: RefCell<HashMap<u64, Viewer>>,
    /// Those that the operator ended, and until when they are refused: the same on all loops.
    kept_out: RefCell<HashMap<u64, Instant>>,
}

impl Viewers {
    /// Somebody asks for a file of a stream. False where that is refused.
    pub(crate) fn seen(
        &self,
        hub: &Rc<Hub>,
        el: &mut EventLoop,
        key: u64,
        stream: &StreamName,
        peer: Option<SocketAddr>,
    ) -> bool {
        let now = el.now();
        if self.is_kept_out(key, now) {
            return false;
        }
        let mut here = self.here.borrow_mut();
        let is_told = here.get(&key).is_some_and(|told| now - *told < told_every(hub));
        if is_told {
            return true;
        }
        if here.len() >= limits::VIEWERS {
            hub.counters.viewers_uncounted.add(1);
            return true;
        }
        here.insert(key, now);
        drop(here);
        let stream = stream.clone();
        hub.on(el, hub.place_of(key), move |hub, el| {
            hub.viewers.count(hub, key, stream, peer, el.now());
        });
        true
    }

    fn is_kept_out(&self, key: u64, now: Instant) -> bool {
        let kept_out = self.kept_out.borrow();
        // Nobody is, as a rule.
        !kept_out.is_empty() && kept_out.get(&key).is_some_and(|until| now < *until)
    }

    fn count(
        &self,
        hub: &Hub,
        key: u64,
        stream: StreamName,
        peer: Option<SocketAddr>,
        now: Instant,
    ) {
        // A loop may not have heard yet that it is refused.
        if self.is_kept_out(key, now) {
            return;
        }
        let mut counted = self.counted.borrow_mut();
        if counted.len() >= limits::VIEWERS && !counted.contains_key(&key) {
            hub.counters.viewers_uncounted.add(1);
            return;
        }
        let viewer = counted.entry(key).or_insert_with(|| {
            hub.counters.viewers.join();
            tracing::debug!(%stream, ?peer, "viewer");
            let id = hub.next_id();
            hub.watches(&id, &stream, peer);
            Viewer { stream, peer, since: now, heard: now, id }
        });
        viewer.heard = now;
    }

    /// Ends a viewer that is counted here, and has all loops refuse it for a while.
    pub(crate) fn keep_out(&self, hub: &Rc<Hub>, el: &mut EventLoop, id: &str) {
        let found = self.counted.borrow_mut().extract_if(|_, viewer| viewer.id == id).next();
        let Some((key, _)) = found else { return };
        hub.counters.viewers.leave();
        let until = el.now() + limits::VIEWER_KEPT_OUT;
        self.refuse(key, until);
        for place in (0..hub.loop_count()).filter(|place| *place != hub.place()) {
            hub.on(el, place, move |hub, _| hub.viewers.refuse(key, until));
        }
    }

    fn refuse(&self, key: u64, until: Instant) {
        self.here.borrow_mut().remove(&key);
        let mut kept_out = self.kept_out.borrow_mut();
        if kept_out.len() < limits::VIEWERS {
            kept_out.insert(key, until);
        }
    }

    /// Those that have asked for nothing for too long have left.
    pub(crate) fn look_around(&self, hub: &Hub, now: Instant) {
        let every = told_every(hub);
        self.here.borrow_mut().retain(|_, told| now.saturating_duration_since(*told) < every);
        self.kept_out.borrow_mut().retain(|_, until| now < *until);
        let bound = hub.settings.hls.viewer_leaves_after;
        self.counted.borrow_mut().retain(|_, viewer| {
            let stays = now.saturating_duration_since(viewer.heard) < bound;
            if !stays {
                hub.counters.viewers.leave();
                hub.stopped_watching(&viewer.id);
            }
            stays
        });
    }

    /// Calls `each` with every viewer counted here, and its key.
    pub fn each(&self, mut each: impl FnMut(u64, &Viewer)) {
        self.counted.borrow().iter().for_each(|(key, viewer)| each(*key, viewer));
    }
}

fn told_every(hub: &Hub) -> Duration {
    limits::VIEWERS_TOLD.min(hub.settings.hls.viewer_leaves_after / 4)
}
