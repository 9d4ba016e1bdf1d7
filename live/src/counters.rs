//! What a loop counts. The loop alone writes; anybody may read.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::histogram::Histogram;
use crate::left_out::{Dropped, Skip};

/// A number that one loop writes.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds; one writer needs no locked instruction for it.
    pub fn add(&self, by: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
    }

    /// Says what it is now, for figures that go up and down.
    pub fn set(&self, to: u64) {
        self.0.store(to, Ordering::Relaxed);
    }

    /// The number.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Those who came and those who are still there.
#[derive(Debug, Default)]
pub struct Visitors {
    came: Count,
    left: Count,
}

impl Visitors {
    /// One comes.
    pub fn join(&self) {
        self.came.add(1);
    }

    /// One goes.
    pub fn leave(&self) {
        self.left.add(1);
    }

    /// How many came in all.
    #[must_use]
    pub fn came(&self) -> u64 {
        self.came.get()
    }

    /// How many are here.
    #[must_use]
    pub fn here(&self) -> u64 {
        let left = self.left.get();
        self.came.get().saturating_sub(left)
    }
}

/// Why something ended, was refused or was left out. Each has a counter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// The peer closed its connection, or said that it wants no more.
    PeerLeft,
    /// The peer's connection was reset, or broke.
    ConnectionLost,
    /// The peer broke its protocol.
    BadProtocol,
    /// The publisher sent media that no decoder could begin with.
    BadMedia,
    /// A name that is none.
    BadName,
    /// The player took nothing for the longer bound.
    Stalled,
    /// The player was so far behind that the log no longer had what it needed.
    Lost,
    /// The player asked for a stream that nobody publishes.
    NotFound,
    /// The stream is over.
    StreamEnded,
    /// The publisher was silent.
    Silent,
    /// Another publisher took the name over.
    TakenOver,
    /// The name has a publisher.
    NameTaken,
    /// There are as many streams as there may be.
    TooManyStreams,
    /// As many requests wait for a list to grow as may.
    TooManyHeld,
    /// The segment or part is not there any more, or never was.
    NotListed,
    /// The connection did nothing with itself.
    Idle,
    /// The operator had it closed.
    Kicked,
    /// The server ends.
    Drained,
    /// The system has no memory or descriptors left.
    NoResources,
}

impl Reason {
    /// All of them; their places in the table.
    pub const ALL: [Self; 19] = [
        Self::PeerLeft,
        Self::ConnectionLost,
        Self::BadProtocol,
        Self::BadMedia,
        Self::BadName,
        Self::Stalled,
        Self::Lost,
        Self::NotFound,
        Self::StreamEnded,
        Self::Silent,
        Self::TakenOver,
        Self::NameTaken,
        Self::TooManyStreams,
        Self::TooManyHeld,
        Self::NotListed,
        Self::Idle,
        Self::Kicked,
        Self::Drained,
        Self::NoResources,
    ];

    /// A short steady word.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::PeerLeft => "peer_left",
            Self::ConnectionLost => "connection_lost",
            Self::BadProtocol => "bad_protocol",
            Self::BadMedia => "bad_media",
            Self::BadName => "bad_name",
            Self::Stalled => "stalled",
            Self::Lost => "too_slow",
            Self::NotFound => "not_found",
            Self::StreamEnded => "stream_ended",
            Self::Silent => "silent",
            Self::TakenOver => "taken_over",
            Self::NameTaken => "name_taken",
            Self::TooManyStreams => "too_many_streams",
            Self::TooManyHeld => "too_many_held",
            Self::NotListed => "not_listed",
            Self::Idle => "idle",
            Self::Kicked => "kicked",
            Self::Drained => "drained",
            Self::NoResources => "no_resources",
        }
    }

    /// What a connection's end means for who was on it.
    #[must_use]
    pub fn of(close: &network::CloseReason) -> Self {
        use network::CloseReason as Close;
        match close {
            Close::Peer | Close::Local | Close::Lingered => Self::PeerLeft,
            Close::Idle(_) => Self::Idle,
            Close::Stalled(_) | Close::Overflow(_) => Self::Stalled,
            Close::TooLarge(_) | Close::Tls(_) => Self::BadProtocol,
            Close::Dismissed => Self::Kicked,
            Close::LoopEnded => Self::Drained,
            _ => Self::ConnectionLost,
        }
    }
}

/// Why the API turned a request away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ApiRefusal {
    /// It has no token, or a wrong one.
    Unauthorized,
    /// It came from where nobody may ask, or through a page of somebody else.
    Forbidden,
    /// It could not be understood.
    BadRequest,
    /// There is no such thing.
    NotFound,
    /// A node has the name of this one.
    NameTaken,
    /// Its body is too long.
    TooLong,
    /// So many ask at the same time that this one has to come again.
    Busy,
    /// Its events were not read.
    SlowReader,
}

impl ApiRefusal {
    /// All of them; their places in the table.
    pub const ALL: [Self; 8] = [
        Self::Unauthorized,
        Self::Forbidden,
        Self::BadRequest,
        Self::NotFound,
        Self::NameTaken,
        Self::TooLong,
        Self::Busy,
        Self::SlowReader,
    ];

    /// A short steady word.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::BadRequest => "bad_request",
            Self::NotFound => "not_found",
            Self::NameTaken => "name_taken",
            Self::TooLong => "too_long",
            Self::Busy => "busy",
            Self::SlowReader => "slow_reader",
        }
    }
}

/// Statuses of HTTP requests that no route answered, or that were none.
pub const HTTP_FAILURES: [u16; 11] = [400, 404, 405, 408, 413, 414, 417, 431, 501, 503, 505];

/// The counters of one loop.
#[derive(Debug, Default)]
pub struct Counters {
    /// Those who play.
    pub players: Visitors,
    /// Those who watch by fetching segments; known on one loop each.
    pub viewers: Visitors,
    /// How often somebody fetched a segment or a list who is not counted, since as many as may be are.
    pub viewers_uncounted: Count,
    /// Segments and parts that were sent whole.
    pub slices: Count,
    /// Those who publish.
    pub publishers: Visitors,
    /// Streams that live here.
    pub streams: Visitors,
    /// Bytes that publishers sent.
    pub bytes_in: Count,
    /// Frames that publishers sent.
    pub frames_in: Count,
    /// Frames that are left out of the logs, by reason.
    pub dropped: [Count; Dropped::ALL.len()],
    /// Steps of publishers' clocks that were not believed.
    pub clock_jumps: Count,
    /// How often players skipped to a newer keyframe, by reason.
    pub skips: [Count; Skip::ALL.len()],
    /// The bytes they did not get.
    pub skipped_bytes: [Count; Skip::ALL.len()],
    /// Bytes that players were sent, as of about a second ago.
    pub bytes_out: Count,
    /// Microseconds from a player's request to its first frame.
    pub joins: Histogram,
    /// Microseconds that players were behind when they skipped.
    pub skip_lag: Histogram,
    /// Bytes of one write to one player.
    pub write_bytes: Histogram,
    /// Requests to the API.
    pub api_requests: Count,
    /// Requests to the API that were turned away, by reason.
    pub api_refused: [Count; ApiRefusal::ALL.len()],
    /// HTTP requests that no route answered, by status.
    pub http_failures: [Count; HTTP_FAILURES.len()],
    /// Events that were not told since too many came at once.
    pub events_lost: Count,
    /// Rounds of writes to the players of a stream.
    pub flushes: Count,
    /// Microseconds that such a round waited for other work of the loop: to begin, and between its slices.
    pub flush_waits: Histogram,
    /// The pause between two flushes of a stream, in microseconds.
    pub pause: Count,
    /// What writing to one player costs, in nanoseconds.
    pub write_cost: Count,
    /// The share of its time the loop spends on anything but players, in thousandths.
    pub others: Count,
    by_reason: [Count; Reason::ALL.len()],
}

/// Adds to one of a table.
fn count(table: &[Count], place: usize, by: u64) {
    if let Some(count) = table.get(place) {
        count.add(by);
    }
}

/// All of a table together.
#[must_use]
pub fn sum(table: &[Count]) -> u64 {
    table.iter().map(Count::get).sum()
}

impl Counters {
    /// A player skipped.
    pub fn skipped(&self, why: Skip, bytes: u64, lag: i64) {
        count(&self.skips, why as usize, 1);
        count(&self.skipped_bytes, why as usize, bytes);
        // Who paused was not slow.
        if why != Skip::Pause {
            self.skip_lag.observe(u64::try_from(lag).unwrap_or(0));
        }
    }

    /// Frames were left out of the logs.
    pub fn dropped(&self, why: Dropped, frames: u64) {
        count(&self.dropped, why as usize, frames);
    }

    /// The API turned a request away.
    pub fn refused(&self, why: ApiRefusal) {
        count(&self.api_refused, why as usize, 1);
    }

    /// An HTTP request failed before anybody could answer it.
    pub fn http_failed(&self, status: u16) {
        let counts = HTTP_FAILURES.iter().zip(&self.http_failures);
        counts.filter(|(known, _)| **known == status).for_each(|(_, count)| count.add(1));
    }

    /// Something ended, or was refused.
    pub fn ended(&self, reason: Reason) {
        count(&self.by_reason, reason as usize, 1);
    }

    /// How often something ended or was refused for this reason.
    #[must_use]
    pub fn ended_by(&self, reason: Reason) -> u64 {
        self.by_reason.get(reason as usize).map_or(0, Count::get)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_explained_and_no_other() {
        let text = include_str!("../../docs/operations.md");
        let (_, table) = text.split_once("| reason | means |\n| --- | --- |\n").unwrap();
        let rows = table.lines().take_while(|line| line.starts_with("| `"));
        let mut explained: Vec<&str> = rows.filter_map(|line| line.split('`').nth(1)).collect();
        let mut known: Vec<&str> = Reason::ALL.iter().map(|reason| reason.label()).collect();
        explained.sort_unstable();
        known.sort_unstable();
        assert_eq!(explained, known);
    }

    #[test]
    fn each_reason_has_its_own_place_and_word() {
        let counters = Counters::default();
        for (times, reason) in (1..).zip(Reason::ALL) {
            (0..times).for_each(|_| counters.ended(reason));
        }
        for (times, reason) in (1..).zip(Reason::ALL) {
            assert_eq!(counters.ended_by(reason), times);
            assert_eq!(Reason::ALL.iter().filter(|r| r.label() == reason.label()).count(), 1);
        }
    }
}
