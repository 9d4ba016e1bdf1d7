//! Streams that are over, on the loops where they lived: their lists are there for a while longer, for
//! loops too that nobody asked while it lasted.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use crate::format::Format;
use crate::log::writer::{Reader, Writer};
use crate::log::{About, Opened};
use crate::name::StreamName;

/// What is left of a stream.
struct Remains {
    since: Instant,
    /// Those with segments: nobody joins a continuous stream that has ended.
    logs: Vec<Writer>,
    about: About,
}

/// What is left of one loop's streams.
#[derive(Default)]
pub struct Ended {
    remains: RefCell<HashMap<StreamName, Remains>>,
}

impl Ended {
    /// Keeps a stream's logs, and forgets whichever ended first where there are more than `most`.
    pub fn keep(
        &self,
        name: &StreamName,
        logs: Vec<Writer>,
        about: About,
        since: Instant,
        most: usize,
    ) {
        if logs.is_empty() {
            return;
        }
        let mut remains = self.remains.borrow_mut();
        remains.insert(name.clone(), Remains { since, logs, about });
        if remains.len() > most {
            let oldest = remains.iter().min_by_key(|(_, of)| of.since);
            if let Some(name) = oldest.map(|(name, _)| name.clone()) {
                remains.remove(&name);
            }
        }
    }

    /// Whether there is such a log.
    pub fn has(&self, name: &StreamName, format: Format) -> bool {
        let is_it = |log: &Writer| log.format() == format;
        self.remains.borrow().get(name).is_some_and(|of| of.logs.iter().any(is_it))
    }

    /// A log as it was when its stream ended.
    pub fn open(&self, name: &StreamName, format: Format, reader: Reader) -> Option<Opened> {
        let mut remains = self.remains.borrow_mut();
        let of = remains.get_mut(name)?;
        let about = of.about;
        let log = of.logs.iter_mut().find(|log| log.format() == format)?;
        Some(log.open(reader, about))
    }

    /// It has begun anew.
    pub fn forget(&self, name: &StreamName) {
        self.remains.borrow_mut().remove(name);
    }

    /// Forgets what ended so long ago.
    pub fn look_around(&self, now: Instant, after: Duration) {
        let is_recent = |of: &Remains| now.saturating_duration_since(of.since) < after;
        self.remains.borrow_mut().retain(|_, of| is_recent(of));
    }
}
