//! Times in ticks of a track's own clock.

use crate::frame::Time;

const MICROS: i128 = 1_000_000;

/// The nearest tick.
pub(super) fn ticks(time: Time, timescale: u32) -> i64 {
    let ticks = (i128::from(time.0) * i128::from(timescale) + MICROS / 2).div_euclid(MICROS);
    i64::try_from(ticks).unwrap_or(if ticks < 0 { i64::MIN } else { i64::MAX })
}

/// The nearest microsecond.
pub(super) fn time(ticks: i128, timescale: u32) -> Time {
    let scale = i128::from(timescale.max(1));
    let micros = ticks.saturating_mul(MICROS).saturating_add(scale / 2).div_euclid(scale);
    Time(i64::try_from(micros).unwrap_or(if micros < 0 { i64::MIN } else { i64::MAX }))
}

/// Where frames begin. Publishers round times to milliseconds, and the sound of a file whose frames do
/// not meet exactly is heard to click, so a frame begins where the one before ends if its own time says
/// about the same. It never sums up: what is off by more than half a frame is taken at its word.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    timescale: u32,
    /// Where the frame before ends, if its length is known.
    expected: Option<i64>,
    /// Where the frame before begins.
    last: Option<i64>,
}

/// Times rounded to milliseconds differ by less than this, however short frames are.
const ROUNDING_MICROS: i64 = 1500;

impl Clock {
    pub(super) const fn new(timescale: u32) -> Self {
        Self { timescale, expected: None, last: None }
    }

    /// The tick a frame of so many `samples` begins at, were it the next. Times before zero have no
    /// words, and none is before the last.
    pub(super) fn place(&self, time: Time, samples: Option<u32>) -> i64 {
        let actual = ticks(time, self.timescale);
        let bound = i64::from(samples.unwrap_or_default() / 2)
            .max(ticks(Time(ROUNDING_MICROS), self.timescale));
        let tick = match self.expected {
            Some(expected) if actual.abs_diff(expected) <= bound.unsigned_abs() => expected,
            _ => actual,
        };
        tick.max(self.last.unwrap_or_default())
    }

    /// Where the newest frame begins.
    pub(super) const fn last(&self) -> Option<i64> {
        self.last
    }

    /// The tick that the next frame begins at.
    pub(super) fn advance(&mut self, time: Time, samples: Option<u32>) -> i64 {
        let tick = self.place(time, samples);
        self.expected = samples.map(|samples| tick.saturating_add(samples.into()));
        self.last = Some(tick);
        tick
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rounded_times_meet_and_others_are_believed() {
        let mut clock = Clock::new(44_100);
        let samples = Some(1024);
        let start = 100_000_000_000_000_i64;
        let first = clock.advance(Time(start), samples);
        assert_eq!(first, start / 1_000_000 * 44_100);
        // An hour of times that are cut to milliseconds.
        for frame in 1..155_000_i64 {
            let millis = (frame * 1024 * 1000).div_euclid(44_100);
            let tick = clock.advance(Time(start).plus(millis * 1000), samples);
            assert_eq!(tick, first + frame * 1024);
        }
        let last = 154_999 * 1024 + first;
        // A frame that is lost is a gap; one that comes again stays where it is.
        let later = time((last + 2048).into(), 44_100);
        assert_eq!(clock.advance(later, samples), last + 2048);
        assert_eq!(clock.advance(Time(0), samples), last + 2048);
    }

    #[test]
    fn a_clock_that_runs_fast_is_followed() {
        // Frames that say 48 kHz and come at 48,100.
        let mut clock = Clock::new(48_000);
        for frame in 0..100_000_i64 {
            let actual = Time(frame * 1024 * 1_000_000 / 48_100);
            let off = clock.advance(actual, Some(1024)) - ticks(actual, 48_000);
            assert!(off.abs() <= 512, "{off} at {frame}");
        }
    }

    proptest! {
        #[test]
        fn times_come_back(micros in -(1_i64 << 60)..1 << 60, scale in 1_u32..200_000) {
            let back = time(ticks(Time(micros), scale).into(), scale);
            prop_assert!(back.since(Time(micros)).abs() <= 500_000 / i64::from(scale) + 1);
        }
    }
}
