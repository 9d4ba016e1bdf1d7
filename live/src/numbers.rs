//! How segments and discontinuities of a name are numbered from one life of it to the next.
//!
//! Players that go on asking for a list while its stream ends and begins anew, or while the server does,
//! take numbers that go back for a broken list, and times of a discontinuity they know for those of
//! another one of the same number. So a life goes on behind the one before it. As long as the server runs
//! it is remembered how far that was; what a server before this one has numbered is behind what the clock
//! says, as far as segments go. Of discontinuities it is where there was no more than one a day, since
//! players also want these numbers to be small.

use std::time::{Duration, Instant};

use hashbrown::HashMap;

use crate::limits;
use crate::name::StreamName;

/// The number of the next segment, and of the last generation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Numbers {
    /// Of segments: `EXT-X-MEDIA-SEQUENCE`.
    pub segment: u32,
    /// Of generations: `EXT-X-DISCONTINUITY-SEQUENCE`.
    pub generation: u32,
}

impl Numbers {
    /// As the clock has it, which shows so much since 1970.
    #[must_use]
    pub fn at(since_1970: Duration) -> Self {
        let since = since_1970.as_secs().saturating_sub(limits::NUMBERED_SINCE);
        let number = |number: u64| u32::try_from(number).unwrap_or(0);
        Self {
            segment: number(since.saturating_mul(limits::SEGMENTS_PER_SECOND)),
            generation: number(since / limits::DISCONTINUITIES_EVERY),
        }
    }

    /// The later of each.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            segment: self.segment.max(other.segment),
            generation: self.generation.max(other.generation),
        }
    }
}

/// How far the streams of one loop that are over have come.
#[derive(Debug, Default)]
pub struct Lives(HashMap<StreamName, (Instant, Numbers)>);

impl Lives {
    /// A stream is over.
    pub fn ended(&mut self, name: StreamName, numbers: Numbers, now: Instant) {
        if self.0.len() >= limits::LIVES
            && !self.0.contains_key(&name)
            && let Some(oldest) = self.0.iter().min_by_key(|(_, (ended, _))| *ended)
        {
            let oldest = oldest.0.clone();
            self.0.remove(&oldest);
        }
        self.0.insert(name, (now, numbers));
    }

    /// Behind what the name has had.
    #[must_use]
    pub fn after(&self, name: &StreamName) -> Numbers {
        self.0.get(name).map(|(_, numbers)| *numbers).unwrap_or_default()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_leaves_room_for_the_shortest_segments_and_keeps_discontinuities_small() {
        let now = Duration::from_secs(1_800_000_000);
        let (early, late) = (Numbers::at(now), Numbers::at(now + Duration::from_secs(3600)));
        assert!(late.segment - early.segment >= 3600 * 2);
        assert!(early.generation < 2000, "{early:?}");
        assert_eq!(Numbers::at(Duration::ZERO), Numbers::default());
    }

    #[test]
    fn the_oldest_is_forgotten_when_there_are_too_many() {
        let (mut lives, now) = (Lives::default(), Instant::now());
        let name = |i: usize| StreamName::parse(&format!("live/{i}")).unwrap();
        let numbers = Numbers { segment: 7, generation: 3 };
        for i in 0..=limits::LIVES {
            lives.ended(name(i), numbers, now + Duration::from_secs(i as u64));
        }
        assert_eq!(lives.0.len(), limits::LIVES);
        assert_eq!(lives.after(&name(0)), Numbers::default());
        assert_eq!((lives.after(&name(1)), lives.after(&name(limits::LIVES))), (numbers, numbers));
    }
}
