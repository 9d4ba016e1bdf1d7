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
}

impl Viewers {
    /// Somebody asked for a file of a stream.
    pub(crate) fn seen(
        &self,
        hub: &Rc<Hub>,
        el: &mut EventLoop,
        key: u64,
        stream: &StreamName,
        peer: Option<SocketAddr>,
    ) {
        let now = el.now();
        let mut here = self.here.borrow_mut();
        let is_told = here.get(&key).is_some_and(|told| now - *told < told_every(hub));
        if is_told || here.len() >= limits::VIEWERS {
            return;
        }
        here.insert(key, now);
        drop(here);
        let stream = stream.clone();
        hub.on(el, hub.place_of(key), move |hub, el| {
            hub.viewers.count(hub, key, stream, peer, el.now());
        });
    }

    fn count(
        &self,
        hub: &Hub,
        key: u64,
        stream: StreamName,
        peer: Option<SocketAddr>,
        now: Instant,
    ) {
        let mut counted = self.counted.borrow_mut();
        if counted.len() >= limits::VIEWERS && !counted.contains_key(&key) {
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

    /// Those that have asked for nothing for too long have left.
    pub(crate) fn look_around(&self, hub: &Hub, now: Instant) {
        let every = told_every(hub);
        self.here.borrow_mut().retain(|_, told| now.saturating_duration_since(*told) < every);
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
