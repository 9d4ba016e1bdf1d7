//! When what has come may leave: at once where the loop has time, together where it has not.
//!
//! What a write to one player costs is measured; what all players of the loop cost together says how
//! often the loop can afford to write to them:
//!
//! ```text
//!   pause between two flushes = players of the loop x cost of one write / share of the loop that is free
//! ```
//!
//! 200 players cost 1 ms: each frame leaves as it comes. 5,000 cost 25 ms: sound leaves with the next
//! picture. The latency budget bounds the pause; with `gather = "fixed"` it is the pause.
//!
//! The same pause holds for a stream's logs: frames that would wait there need not be written one by
//! one, and loops need not be told of each.

use std::time::{Duration, Instant};

use crate::limits;
use crate::settings::{Gather, Play};

/// Pauses shorter than this are none: a flush of a few players is over before the next frame comes.
const NO_PAUSE: Duration = Duration::from_millis(4);
/// A little early is better than a whole pause late: pictures come at their own pace.
const EARLY: f64 = 0.75;

/// How the latency budget is used.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    budget: Duration,
    gather: Gather,
}

impl Pace {
    /// As the settings say.
    #[must_use]
    pub fn new(play: &Play) -> Self {
        Self { budget: play.latency_budget, gather: play.gather }
    }

    /// The pause a loop needs whose flushes take so much of each second if every one of them is done at
    /// once, and that has this share of its time for them.
    #[must_use]
    pub fn pause(&self, flush: f64, share: f64) -> Duration {
        match self.gather {
            Gather::Fixed => self.budget,
            Gather::Adaptive => {
                let pause = Duration::try_from_secs_f64(flush / share).unwrap_or(self.budget);
                if pause < NO_PAUSE { Duration::ZERO } else { pause.min(self.budget) }
            }
        }
    }

    /// Whether flushes come at a fixed pace, whatever arrives.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        self.gather == Gather::Fixed
    }

    /// When something may leave that came `now`, where the last time was `before`.
    #[must_use]
    pub fn next(&self, before: Instant, pause: Duration, now: Instant) -> Instant {
        let factor = if self.gather == Gather::Fixed { 1.0 } else { EARLY };
        (before + pause.mul_f64(factor)).clamp(now, now + self.budget)
    }

    /// As [`Pace::next`], for sound that may wait for the next picture.
    #[must_use]
    pub fn next_with_picture(&self, before: Instant, pause: Duration, now: Instant) -> Instant {
        let next = self.next(before, pause, now);
        if self.gather == Gather::Fixed || pause.is_zero() {
            return next;
        }
        next.max(now + limits::SOUND_WAITS.min(self.budget))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(gather: Gather) -> Pace {
        Pace::new(&Play { gather, ..Play::default() })
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_loop_with_time_does_not_wait() {
        let pace = pace(Gather::Adaptive);
        let now = Instant::now();
        assert_eq!(pace.pause(0.001, 0.85), Duration::ZERO);
        assert_eq!(pace.next(now, Duration::ZERO, now), now);
        assert_eq!(pace.next_with_picture(now, Duration::ZERO, now), now);
    }

    #[test]
    fn the_busier_the_longer_up_to_the_budget() {
        let pace = pace(Gather::Adaptive);
        assert_eq!(pace.pause(0.030, 0.75), 40 * MS);
        assert_eq!(pace.pause(0.500, 0.75), 100 * MS);
        let now = Instant::now();
        assert_eq!(pace.next(now, 40 * MS, now), now + 30 * MS);
        assert_eq!(pace.next(now, 40 * MS, now + 35 * MS), now + 35 * MS);
        assert_eq!(pace.next_with_picture(now, 20 * MS, now + 10 * MS), now + 50 * MS);
    }

    #[test]
    fn a_fixed_pause_is_the_budget() {
        let pace = pace(Gather::Fixed);
        let now = Instant::now();
        assert_eq!(pace.pause(0.0, 0.85), 100 * MS);
        assert_eq!(pace.next(now, 100 * MS, now + 10 * MS), now + 100 * MS);
        assert_eq!(pace.next_with_picture(now, 100 * MS, now + 10 * MS), now + 100 * MS);
    }
}
