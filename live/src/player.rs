//! A player: a cursor in a log.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use network::{Connection, SourceId};

use crate::counters::Counters;
use crate::format::{Configs, Container};
use crate::log::view::{Cursor, Start, View};

/// One player of a stream, whatever door it came in by. It has no queue: what it is sent is a slice of
/// the log from its cursor on, written when the loop flushes and when its socket has room.
pub struct Player {
    view: Rc<View>,
    seat: usize,
    at: Rc<Cursor>,
    counters: Arc<Counters>,
    since: Instant,
}

/// How far a player got.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// It goes on, when there is more or its socket has room.
    Going,
    /// The stream is over, and it has been sent all of it.
    Over,
    /// It is so slow that the log no longer has the rest of the packet it is in.
    Lost,
}

impl Player {
    /// Begins to play, if there is a place to begin: what has to be sent before the log's bytes is
    /// appended to `out`.
    pub fn join(
        view: &Rc<View>,
        start: Start,
        source: SourceId,
        counters: &Arc<Counters>,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Option<Self> {
        let entry = view.entry(start)?;
        if let Err(error) = view.format.prelude(&entry.configs, entry.packet.time, out) {
            // Its frames would be sent in vain, but they come, and the next configuration may fit.
            tracing::warn!(stream = %view.name, %error, "a configuration is too long for players");
        }
        let (seat, at) = view.sit(source, entry.at);
        counters.players.join();
        Some(Self { view: Rc::clone(view), seat, at, counters: Arc::clone(counters), since: now })
    }

    /// Sends what there is and the socket takes, in one call as a rule.
    pub fn pump(&mut self, conn: &mut Connection) -> Progress {
        self.pump_to(conn, self.view.head())
    }

    /// Sends no more than the rest of the packet it is in, so that something else can be sent next.
    pub fn pump_packet(&mut self, conn: &mut Connection) -> Progress {
        self.pump_to(conn, self.view.boundary(self.at.get()))
    }

    fn pump_to(&mut self, conn: &mut Connection, to: u64) -> Progress {
        let view = Rc::clone(&self.view);
        let Some(file) = view.file() else { return Progress::Going };
        let mut at = self.at.get();
        if at < self.view.tail() {
            return Progress::Lost;
        }
        if at < self.view.skip_before() {
            // The packet it is in has to be whole; then it skips.
            let boundary = self.view.boundary(at);
            at += self.send(conn, file, at, boundary);
            if at == boundary {
                at = self.skip(conn, at);
            }
        }
        at += self.send(conn, file, at, to);
        self.at.set(at);
        if self.view.has_ended() && at == self.view.head() {
            return Progress::Over;
        }
        Progress::Going
    }

    fn send(&self, conn: &mut Connection, file: &network::MemoryFile, at: u64, to: u64) -> u64 {
        let len = usize::try_from(to.saturating_sub(at)).unwrap_or(usize::MAX);
        if len == 0 {
            return 0;
        }
        let sent = conn.gather_file(file.as_fd(), at, len) as u64;
        self.view.tally.sent(sent);
        self.counters.write_bytes.observe(sent);
        sent
    }

    /// Moves to the newest entry, if there is one ahead.
    fn skip(&mut self, conn: &mut Connection, at: u64) -> u64 {
        let Some((entry, configs)) = self.view.skip_from(at) else { return at };
        self.at.skip(entry.at - at);
        self.view.tally.skipped(entry.at - at);
        self.counters.skipped(entry.at - at, self.view.lag(at));
        if let Some(configs) = configs {
            self.configure(conn, &configs, entry.time);
        }
        if self.view.format.container == Container::Ts {
            conn.compose(|out| self.view.format.skipped(entry.counters, out));
        }
        entry.at
    }

    fn configure(&self, conn: &mut Connection, configs: &Configs, time: media::Time) {
        conn.compose(|out| {
            // Too long a configuration was told of when the player joined, or by the publisher's side.
            let _ = self.view.format.configs(configs, time, out);
        });
    }

    /// Whether a packet has left only in part, so that nothing else may be sent now.
    pub fn is_within_packet(&self) -> bool {
        self.view.boundary(self.at.get()) != self.at.get()
    }

    /// Has everything there is.
    pub fn is_up_to_date(&self) -> bool {
        self.at.get() == self.view.head()
    }

    /// Goes on from the newest entry, after a pause.
    pub fn skip_pause(&mut self, conn: &mut Connection) {
        let at = self.at.get();
        if self.view.boundary(at) == at
            && let Some((entry, configs)) = self.view.skip_from(at)
        {
            if let Some(configs) = configs {
                self.configure(conn, &configs, entry.time);
            }
            self.at.set(entry.at);
        }
    }

    /// Where it is.
    pub fn cursor(&self) -> &Rc<Cursor> {
        &self.at
    }

    /// What it plays.
    pub fn view(&self) -> &Rc<View> {
        &self.view
    }

    /// How long it has played, how often it skipped, how many bytes, and how far it is behind in
    /// milliseconds: for the line that says how it ended.
    pub fn account(&self, now: Instant) -> Account {
        let (skips, skipped_bytes) = self.at.skipped();
        Account {
            seconds: now.saturating_duration_since(self.since).as_secs_f64(),
            skips,
            skipped_bytes,
            lag_ms: self.view.lag(self.at.get()) / 1000,
        }
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.view.stand_up(self.seat);
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
