//! A player: a cursor in a log.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use network::{Connection, SourceId};

use crate::counters::Counters;
use crate::format::{Configs, Container};
use crate::left_out::Skip;
use crate::log::view::{Start, View};
use crate::seat::Seat;

/// One player of a stream, whatever door it came in by. It has no queue: what it is sent is a slice of
/// the log from its cursor on, written when the loop flushes and when its socket has room.
pub struct Player {
    seat: Seat,
    counters: Arc<Counters>,
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
        let seat = Seat::take(view, source, entry.at, counters, now);
        Some(Self { seat, counters: Arc::clone(counters) })
    }

    /// Where it is, and in what.
    pub fn seat(&self) -> &Seat {
        &self.seat
    }

    fn view(&self) -> &Rc<View> {
        self.seat.view()
    }

    fn at(&self) -> u64 {
        self.seat.cursor().get()
    }

    /// Sends what there is and the socket takes, in one call as a rule.
    pub fn pump(&mut self, conn: &mut Connection) -> Progress {
        self.pump_to(conn, self.view().head())
    }

    /// Sends no more than the rest of the packet it is in, so that something else can be sent next.
    pub fn pump_packet(&mut self, conn: &mut Connection) -> Progress {
        self.pump_to(conn, self.view().boundary(self.at()))
    }

    fn pump_to(&mut self, conn: &mut Connection, to: u64) -> Progress {
        let view = Rc::clone(self.view());
        let Some(file) = view.file() else { return Progress::Going };
        let mut at = self.at();
        if at < self.view().tail() {
            return Progress::Lost;
        }
        if let Some(why) = self.view().lags(at) {
            // The packet it is in has to be whole; then it skips.
            let boundary = self.view().boundary(at);
            at += self.send(conn, file, at, boundary);
            if at == boundary {
                at = self.skip(conn, at, why);
            }
        }
        at += self.send(conn, file, at, to);
        self.seat.cursor().set(at);
        if self.view().has_ended() && at == self.view().head() {
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
        self.seat.sent(sent);
        self.counters.write_bytes.observe(sent);
        sent
    }

    /// Moves to the newest entry, if there is one ahead.
    fn skip(&mut self, conn: &mut Connection, at: u64, why: Skip) -> u64 {
        let Some((entry, configs)) = self.seat.skip(at, why) else { return at };
        if let Some(configs) = configs {
            self.configure(conn, &configs, entry.time);
        }
        if self.view().format.container == Container::Ts {
            conn.compose(|out| self.view().format.skipped(entry.counters, out));
        }
        entry.at
    }

    fn configure(&self, conn: &mut Connection, configs: &Configs, time: media::Time) {
        conn.compose(|out| {
            // Too long a configuration was told of when the player joined, or by the publisher's side.
            let _ = self.view().format.configs(configs, time, out);
        });
    }

    /// Whether a packet has left only in part, so that nothing else may be sent now.
    pub fn is_within_packet(&self) -> bool {
        self.view().boundary(self.at()) != self.at()
    }

    /// Has everything there is.
    pub fn is_up_to_date(&self) -> bool {
        self.at() == self.view().head()
    }

    /// Goes on from the newest entry, after a pause.
    pub fn skip_pause(&mut self, conn: &mut Connection) {
        let at = self.at();
        if self.view().boundary(at) == at {
            let at = self.skip(conn, at, Skip::Pause);
            self.seat.cursor().set(at);
        }
    }
}
