//! One clock for stamps and for those who read them.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Microseconds since 1970 as the wall clock had it once, carried on by the clock that is never set.
///
/// Publisher and player may be two processes of one machine: both begin at the same wall clock, and
/// neither jumps with it while it runs.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    began: Instant,
    micros: i64,
}

impl Clock {
    /// From now on.
    pub fn start() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { began: Instant::now(), micros: i64::try_from(since.as_micros()).unwrap_or(0) }
    }

    /// Now.
    pub fn micros(&self) -> i64 {
        self.at(Instant::now())
    }

    /// At some instant, which may lie before the clock began.
    pub fn at(&self, instant: Instant) -> i64 {
        let after = instant.saturating_duration_since(self.began).as_micros();
        let before = self.began.saturating_duration_since(instant).as_micros();
        self.micros + after as i64 - before as i64
    }
}
