//! What players do not get, and why: frames that reach no log, and what slow players skip.

/// Why frames are left out of the logs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dropped {
    /// No keyframe had come before them.
    BeforeKeyframe,
    /// A format had no room for them.
    TooLong,
    /// They are of further tracks.
    OtherTrack,
}

impl Dropped {
    /// All of them; their places in the tables.
    pub const ALL: [Self; 3] = [Self::BeforeKeyframe, Self::TooLong, Self::OtherTrack];

    /// A short steady word.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::BeforeKeyframe => "before_keyframe",
            Self::TooLong => "too_long",
            Self::OtherTrack => "other_track",
        }
    }
}

/// Why a player skipped: the two bounds are called as they are in the config.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Skip {
    /// It was too far behind in time.
    Time,
    /// It was too many bytes behind.
    Bytes,
    /// It had paused.
    Pause,
}

impl Skip {
    /// All of them; their places in the tables.
    pub const ALL: [Self; 3] = [Self::Time, Self::Bytes, Self::Pause];

    /// A short steady word.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Time => "skip_after",
            Self::Bytes => "skip_bytes",
            Self::Pause => "pause",
        }
    }
}

/// How often players skipped and how many bytes, by reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Skips([(u64, u64); Skip::ALL.len()]);

impl Skips {
    /// Once, so many bytes.
    #[must_use]
    pub fn with(mut self, why: Skip, bytes: u64) -> Self {
        if let Some((times, all)) = self.0.get_mut(why as usize) {
            *times += 1;
            *all += bytes;
        }
        self
    }

    /// Adds others.
    pub fn add(&mut self, other: &Self) {
        for ((times, bytes), (more, more_bytes)) in self.0.iter_mut().zip(other.0) {
            *times += more;
            *bytes += more_bytes;
        }
    }

    /// How often.
    #[must_use]
    pub fn times(&self) -> u64 {
        self.0.iter().map(|(times, _)| times).sum()
    }

    /// How many bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.iter().map(|(_, bytes)| bytes).sum()
    }

    /// For each reason, how often and how many bytes.
    pub fn by_reason(&self) -> impl Iterator<Item = (Skip, u64, u64)> {
        Skip::ALL.into_iter().zip(self.0).map(|(why, (times, bytes))| (why, times, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_own_place() {
        let mut all = Skips::default();
        for (times, why) in (1..).zip(Skip::ALL) {
            let one = (0..times).fold(Skips::default(), |skips, _| skips.with(why, 10));
            all.add(&one);
        }
        let by_reason: Vec<_> = all.by_reason().collect();
        assert_eq!(by_reason, [(Skip::Time, 1, 10), (Skip::Bytes, 2, 20), (Skip::Pause, 3, 30)]);
        assert_eq!((all.times(), all.bytes()), (6, 60));
        assert_eq!(Dropped::ALL.map(|why| why as usize), [0, 1, 2]);
    }
}
