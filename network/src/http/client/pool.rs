//! The connections of a client, by origin: how many there are, which are idle, who waits for one.

use std::collections::VecDeque;
use std::rc::{Rc, Weak};

use hashbrown::HashMap;

use super::Client;
use super::job::Job;
use super::line::Link;
use crate::event_loop::SourceId;
use crate::limits;

/// An idle connection, and where a request for it is left.
pub(super) struct Idle {
    pub id: SourceId,
    pub link: Rc<Link>,
}

#[derive(Default)]
struct Origin {
    /// Connections that are open or being opened, idle ones among them.
    open: usize,
    /// The one that was used last is at the end and is taken first, so that the others grow old.
    idle: Vec<Idle>,
    /// Whoever waits has a timer that owns it.
    waiting: VecDeque<Weak<Job>>,
}

#[derive(Default)]
pub(super) struct Pool {
    origins: HashMap<Rc<str>, Origin>,
    /// Idle connections of all origins together.
    idle: usize,
}

impl Pool {
    pub fn open(&self) -> usize {
        self.origins.values().map(|origin| origin.open).sum()
    }

    pub fn open_to(&self, origin: &str) -> usize {
        self.origins.get(origin).map_or(0, |origin| origin.open)
    }

    pub fn idle(&self) -> usize {
        self.idle
    }

    pub fn idle_to(&self, origin: &str) -> usize {
        self.origins.get(origin).map_or(0, |origin| origin.idle.len())
    }

    pub fn idle_ids(&self) -> Vec<SourceId> {
        self.origins.values().flat_map(|origin| origin.idle.iter().map(|idle| idle.id)).collect()
    }

    pub fn waiting(&self) -> usize {
        self.origins.values().map(|origin| origin.waiting.len()).sum()
    }

    pub fn take_idle(&mut self, origin: &str) -> Option<Idle> {
        let idle = self.origins.get_mut(origin)?.idle.pop()?;
        self.idle -= 1;
        Some(idle)
    }

    /// Keeps an idle connection, unless enough are kept.
    pub fn keep(&mut self, origin: &str, idle: Idle, most: usize) -> bool {
        if self.idle >= limits::HTTP_IDLE_IN_ALL {
            return false;
        }
        let Some(origin) = self.origins.get_mut(origin) else { return false };
        let room = origin.idle.len() < most;
        if room {
            origin.idle.push(idle);
            self.idle += 1;
        }
        room
    }

    /// Keeps a connection no longer.
    pub fn forget(&mut self, origin: &str, id: SourceId) {
        if let Some(origin) = self.origins.get_mut(origin) {
            let before = origin.idle.len();
            origin.idle.retain(|idle| idle.id != id);
            self.idle -= before - origin.idle.len();
        }
    }

    /// Queues a request; false where too many wait already.
    pub fn wait(&mut self, origin: &str, job: &Rc<Job>) -> bool {
        let Some(origin) = self.origins.get_mut(origin) else { return false };
        let room = origin.waiting.len() < limits::HTTP_WAITING;
        if room {
            origin.waiting.push_back(Rc::downgrade(job));
        }
        room
    }

    pub fn stop_waiting(&mut self, origin: &str, job: &Job) {
        if let Some(origin) = self.origins.get_mut(origin) {
            origin.waiting.retain(|other| !std::ptr::eq(other.as_ptr(), job));
        }
    }

    pub fn waits_for(&self, origin: &str) -> bool {
        self.origins.get(origin).is_some_and(|origin| !origin.waiting.is_empty())
    }

    pub fn next_waiting(&mut self, origin: &str) -> Option<Rc<Job>> {
        let origin = self.origins.get_mut(origin)?;
        std::iter::from_fn(|| origin.waiting.pop_front()).find_map(|job| job.upgrade())
    }
}

/// The right to have one connection to an origin; given back when it is dropped.
pub(super) struct Seat {
    pub client: Weak<Client>,
    pub origin: Rc<str>,
}

impl Seat {
    /// A seat, unless there are `most` connections to the origin.
    pub fn take(client: &Rc<Client>, origin: &Rc<str>, most: usize) -> Option<Self> {
        let mut pool = client.pool.borrow_mut();
        if pool.open_to(origin) >= most {
            return None;
        }
        pool.origins.entry(Rc::clone(origin)).or_default().open += 1;
        Some(Self { client: Rc::downgrade(client), origin: Rc::clone(origin) })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some(client) = self.client.upgrade() else { return };
        let mut pool = client.pool.borrow_mut();
        let Some(origin) = pool.origins.get_mut(&self.origin) else { return };
        origin.open = origin.open.saturating_sub(1);
        if origin.open == 0 && origin.waiting.is_empty() {
            pool.origins.remove(&self.origin);
        }
    }
}
