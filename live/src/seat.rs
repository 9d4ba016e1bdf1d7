//! A player's seat at a log: its cursor there, and what it has to say for itself in the end.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use network::SourceId;

use crate::counters::Counters;
use crate::format::Configs;
use crate::left_out::Skip;
use crate::log::index::Packet;
use crate::log::view::{Cursor, View};

/// Held by a player as long as it plays.
pub struct Seat {
    view: Rc<View>,
    number: usize,
    at: Rc<Cursor>,
    counters: Arc<Counters>,
    since: Instant,
}

impl Seat {
    /// Sits down: the connection is called when there is more behind `at`.
    pub fn take(
        view: &Rc<View>,
        source: SourceId,
        at: u64,
        counters: &Arc<Counters>,
        now: Instant,
    ) -> Self {
        let (number, at) = view.sit(source, at);
        counters.players.join();
        Self { view: Rc::clone(view), number, at, counters: Arc::clone(counters), since: now }
    }

    /// What is played.
    pub fn view(&self) -> &Rc<View> {
        &self.view
    }

    /// Where the player is.
    pub fn cursor(&self) -> &Rc<Cursor> {
        &self.at
    }

    /// Notes that bytes of the log were sent.
    pub fn sent(&self, bytes: u64) {
        self.view.tally.sent(bytes);
    }

    /// The newest entry behind `at`, to go on with since the player is behind, and the configurations to
    /// be sent before it where they differ. What is left out is counted.
    pub(crate) fn skip(&self, at: u64, why: Skip) -> Option<(Packet, Option<Arc<Configs>>)> {
        let (entry, configs) = self.view.skip_from(at)?;
        let bytes = entry.at - at;
        self.at.skip(why, bytes);
        self.view.tally.skipped(why, bytes);
        self.counters.skipped(why, bytes, self.view.lag(at));
        Some((entry, configs))
    }

    /// How long it has played, how often it skipped, how many bytes, and how far it is behind: for the
    /// line that says how it ended.
    pub fn account(&self, now: Instant) -> Account {
        let skips = self.at.skipped();
        Account {
            seconds: now.saturating_duration_since(self.since).as_secs_f64(),
            skips: skips.times(),
            skipped_bytes: skips.bytes(),
            lag_ms: self.view.lag(self.at.get()) / 1000,
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.view.stand_up(self.number);
        self.counters.players.leave();
    }
}

/// A player's totals.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    /// How long it played.
    pub seconds: f64,
    /// How often it skipped to a newer keyframe.
    pub skips: u64,
    /// What it skipped.
    pub skipped_bytes: u64,
    /// How far it was behind at the end.
    pub lag_ms: i64,
}
