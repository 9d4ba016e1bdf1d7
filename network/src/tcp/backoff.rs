//! Pauses between attempts.

use std::time::Duration;

use crate::limits;

/// Exponential pauses with jitter: each pause is between half of a step and the whole step, and the
/// steps double from `first` to `most`. Many clients that lost the same server return spread out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first step.
    pub first: Duration,
    /// No step is longer.
    pub most: Duration,
    attempts: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new(limits::RETRY_FIRST, limits::RETRY_MOST)
    }
}

impl Backoff {
    /// Steps from `first` to `most`.
    pub fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, attempts: 0 }
    }

    /// The next pause. `random` is any random number: two equal ones give equal pauses.
    pub fn next_pause(&mut self, random: u64) -> Duration {
        let factor = 2_u32.saturating_pow(self.attempts);
        self.attempts = self.attempts.saturating_add(1);
        let step = self.first.saturating_mul(factor).min(self.most);
        let half = step / 2;
        let spread = u64::try_from((step - half).as_micros()).unwrap_or(u64::MAX);
        half + Duration::from_micros(random % spread.saturating_add(1))
    }

    /// How many pauses there were since the last [`Backoff::reset`].
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// After a success: begins with the first step again.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pauses_grow_within_their_bounds(first in 1..2000_u64, most in 1..60_000_u64, random: u64) {
            let (first, most) = (Duration::from_millis(first), Duration::from_millis(most));
            let mut backoff = Backoff::new(first, most);
            for attempt in 0..80 {
                let step = first.saturating_mul(2_u32.saturating_pow(attempt)).min(most);
                let pause = backoff.next_pause(random);
                prop_assert!(pause <= step && pause >= step / 2, "{pause:?} of {step:?}");
            }
            backoff.reset();
            prop_assert!(backoff.next_pause(random) <= first.min(most));
        }
    }
}
