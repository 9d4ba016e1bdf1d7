//! How often values of each size came. The loop alone writes; anybody may read.

use crate::counters::Count;

/// Powers of two that are told apart: up to a quarter of a minute in microseconds, 16 MiB in bytes.
pub const POWERS: usize = 25;

/// Counts of values up to each power of two, and beyond.
#[derive(Debug, Default)]
pub struct Histogram {
    counts: [Count; POWERS],
    beyond: Count,
    sum: Count,
}

/// A histogram at one moment, or several added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Values up to the power of two that is this one's place, and above the one before it.
    pub counts: [u64; POWERS],
    /// Larger ones.
    pub beyond: u64,
    /// All values together.
    pub sum: u64,
}

impl Histogram {
    /// Counts a value.
    pub fn observe(&self, value: u64) {
        let power = u64::BITS - value.saturating_sub(1).leading_zeros();
        self.counts.get(power as usize).unwrap_or(&self.beyond).add(1);
        self.sum.add(value);
    }

    /// Adds what was counted to a snapshot.
    pub fn add_to(&self, all: &mut Snapshot) {
        for (count, sum) in self.counts.iter().zip(&mut all.counts) {
            *sum += count.get();
        }
        all.beyond += self.beyond.get();
        all.sum += self.sum.get();
    }
}

impl Snapshot {
    /// How many values there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum::<u64>() + self.beyond
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_up_to_their_power() {
        let histogram = Histogram::default();
        for value in [0, 1, 2, 3, 4, 1024, 1025, 1 << 24, (1 << 24) + 1] {
            histogram.observe(value);
        }
        let mut all = Snapshot::default();
        histogram.add_to(&mut all);
        let counted: Vec<(usize, u64)> =
            all.counts.iter().copied().enumerate().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [(0, 2), (1, 1), (2, 2), (10, 1), (11, 1), (24, 1)]);
        assert_eq!((all.beyond, all.count()), (1, 9));
        assert_eq!(all.sum, 10 + 1024 + 1025 + 2 * (1 << 24) + 1);
    }
}
