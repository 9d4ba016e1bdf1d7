//! Many values, kept as counts: percentiles to better than one percent, in a few kilobytes.

use serde_json::{Value, json};

/// Values below this have a count each; above it each doubling is cut into half as many.
const EXACT: u64 = 256;
const SHIFT: u32 = EXACT.ilog2() - 1;

/// Counts of microseconds (or of anything whole).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    counts: Vec<u64>,
    total: u64,
    least: u64,
    most: u64,
}

fn place(value: u64) -> usize {
    if value < EXACT {
        return value as usize;
    }
    let doublings = value.ilog2() - SHIFT;
    (u64::from(doublings) * (EXACT / 2) + (value >> doublings)) as usize
}

/// The largest value that is counted at a place.
fn upper(place: usize) -> u64 {
    let place = place as u64;
    if place < EXACT {
        return place;
    }
    let doublings = place / (EXACT / 2) - 1;
    let mantissa = place - doublings * (EXACT / 2);
    ((mantissa + 1) << doublings) - 1
}

impl Distribution {
    /// Counts a value.
    pub fn record(&mut self, value: u64) {
        self.record_times(value, 1);
    }

    /// Counts a value so many times.
    pub fn record_times(&mut self, value: u64, times: u64) {
        // An hour and more is one and the same.
        let value = value.min(1 << 32);
        let place = place(value);
        if self.counts.len() <= place {
            self.counts.resize(place + 1, 0);
        }
        if let Some(count) = self.counts.get_mut(place) {
            *count += times;
        }
        self.least = if self.total == 0 { value } else { self.least.min(value) };
        self.most = self.most.max(value);
        self.total += times;
    }

    /// Adds all of another.
    pub fn add(&mut self, other: &Self) {
        if other.total == 0 {
            return;
        }
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.least = if self.total == 0 { other.least } else { self.least.min(other.least) };
        self.most = self.most.max(other.most);
        self.total += other.total;
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        self.total
    }

    /// The value that `percent` of all do not exceed.
    pub fn percentile(&self, percent: f64) -> Option<u64> {
        if self.total == 0 {
            return None;
        }
        let rank = ((percent / 100.0 * self.total as f64).ceil() as u64).clamp(1, self.total);
        let mut seen = 0;
        for (place, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Some(upper(place).clamp(self.least, self.most));
            }
        }
        Some(self.most)
    }

    /// In milliseconds, where the values are microseconds; null where there are none.
    pub fn millis(&self) -> Value {
        if self.total == 0 {
            return Value::Null;
        }
        let at = |percent| self.percentile(percent).map(|micros| round3(micros as f64 / 1e3));
        json!({
            "count": self.total,
            "min": round3(self.least as f64 / 1e3),
            "p50": at(50.0),
            "p90": at(90.0),
            "p99": at(99.0),
            "p99_9": at(99.9),
            "max": round3(self.most as f64 / 1e3),
        })
    }

    /// Values and counts in at most `most` steps of equal ratio, for a picture.
    pub fn steps(&self, most: usize) -> Vec<(u64, u64)> {
        let (low, high) = (self.least.max(1) as f64, self.most.max(2) as f64);
        let ratio = (high / low).max(1.001).ln() / most.max(1) as f64;
        let mut steps: Vec<(u64, u64)> = Vec::new();
        for (place, count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let step = (((upper(place).max(1) as f64) / low).ln() / ratio).max(0.0).floor();
            let edge = (low * ((step + 1.0) * ratio).exp()) as u64;
            match steps.last_mut() {
                Some((last, sum)) if *last == edge => *sum += count,
                _ => steps.push((edge, *count)),
            }
        }
        steps
    }
}

/// Three places: enough for every figure here.
pub fn round3(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

/// Least, some percentiles and most of plain numbers.
pub fn spread(mut values: Vec<f64>) -> Value {
    values.sort_by(f64::total_cmp);
    let at = |percent: f64| {
        let rank = (percent / 100.0 * values.len() as f64).ceil() as usize;
        values.get(rank.clamp(1, values.len().max(1)) - 1).copied().map(round3)
    };
    json!({
        "min": values.first().copied().map(round3),
        "p5": at(5.0),
        "p50": at(50.0),
        "p95": at(95.0),
        "max": values.last().copied().map(round3),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_a_percent() {
        let mut all = Distribution::default();
        for value in 1..=100_000 {
            all.record(value);
        }
        for percent in [0.1, 1.0, 50.0, 90.0, 99.0, 99.9, 100.0] {
            let wanted = percent / 100.0 * 100_000.0;
            let got = all.percentile(percent).map_or(0.0, |value| value as f64);
            assert!((got - wanted).abs() <= wanted * 0.01, "{percent}: {got}");
        }
        assert_eq!((all.least, all.most, all.len()), (1, 100_000, 100_000));
    }

    #[test]
    fn places_are_in_order_and_hold_their_values() {
        let mut last = 0;
        for value in (0..10_000).chain((14..32).map(|power| (1 << power) + 3)) {
            let at = place(value);
            assert!(at >= last && upper(at) >= value, "{value}");
            assert!(at == 0 || upper(at - 1) < value, "{value}");
            last = at;
        }
    }

    #[test]
    fn sums_are_as_if_counted_together() {
        let (mut a, mut b, mut both) = Default::default();
        for value in 0..1000_u64 {
            let into: &mut Distribution = if value % 3 == 0 { &mut a } else { &mut b };
            into.record(value * value);
            Distribution::record(&mut both, value * value);
        }
        a.add(&b);
        assert_eq!(a, both);
        assert_eq!(a.steps(50).iter().map(|step| step.1).sum::<u64>(), 1000);
        assert_eq!(Distribution::default().percentile(50.0), None);
    }
}
