//! Where segments begin: the same places in every format, decided once per stream.

use media::Time;

use crate::limits;

/// Numbers a stream's segments, as HLS and DASH list them.
///
/// ```text
///  keyframes   K . . K . . K . . K . . . . . . . . . . . . . . . .
///  segments    0             1             2 (cut at the bound: no keyframe came)
/// ```
///
/// A segment begins at the first entry that comes when the one before has nearly the wanted length, where
/// the configuration changes, and, so that players see something of a stream that has no keyframes, at a
/// bound.
#[derive(Debug)]
pub struct Segmenter {
    wanted: i64,
    bound: i64,
    number: u32,
    began: Option<Time>,
    generation: u32,
    longest: i64,
    /// The last one was cut at the bound.
    is_cut: bool,
}

/// What a frame is to the segments.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Placed {
    /// The segment it belongs to.
    pub number: u32,
    /// It was cut off from the one before for want of a keyframe, and so was not the one before that.
    pub is_first_cut: bool,
}

impl Segmenter {
    /// Of segments of about `wanted` microseconds, and of `bound` at the most, the first of which has
    /// this number.
    #[must_use]
    pub fn new(number: u32, wanted: i64, bound: i64) -> Self {
        Self {
            wanted,
            bound: bound.max(wanted),
            number,
            began: None,
            generation: 0,
            longest: 0,
            is_cut: false,
        }
    }

    /// The next frame's: `generation` changes where decoders begin anew.
    pub fn place(&mut self, time: Time, is_entry: bool, generation: u32) -> Placed {
        let Some(began) = self.began else {
            (self.began, self.generation) = (Some(time), generation);
            return Placed { number: self.number, is_first_cut: false };
        };
        let length = time.since(began);
        let is_new = generation != self.generation;
        let is_whole = is_entry && length >= self.wanted - self.wanted / limits::SEGMENT_EARLY;
        let is_cut = !is_new && !is_whole && length >= self.bound;
        if !(is_new || is_whole || is_cut) {
            return Placed { number: self.number, is_first_cut: false };
        }
        self.longest = self.longest.max(length);
        self.number = self.number.wrapping_add(1);
        (self.began, self.generation) = (Some(time), generation);
        let was_cut = std::mem::replace(&mut self.is_cut, is_cut);
        Placed { number: self.number, is_first_cut: is_cut && !was_cut }
    }

    /// The longest segment so far, in microseconds; what was wanted where it is longer.
    #[must_use]
    pub fn longest(&self) -> i64 {
        self.longest.max(self.wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: i64 = 2_000_000;
    const BOUND: i64 = 10_000_000;

    /// The segments of pictures every 40 ms, of which each `gop`-th is a keyframe.
    fn segments(gop: i64, pictures: i64) -> Vec<(u32, i64)> {
        let mut segmenter = Segmenter::new(0, WANTED, BOUND);
        let mut begins: Vec<(u32, i64)> = Vec::new();
        for i in 0..pictures {
            let placed = segmenter.place(Time::from_millis(i * 40), i % gop == 0, 1);
            if begins.last().is_none_or(|(number, _)| *number != placed.number) {
                begins.push((placed.number, i));
            }
        }
        begins
    }

    #[test]
    fn they_begin_at_keyframes_about_as_far_apart_as_wanted() {
        assert_eq!(segments(50, 120), [(0, 0), (1, 50), (2, 100)]);
        assert_eq!(segments(24, 120), [(0, 0), (1, 48), (2, 96)], "two of 0.96 s are enough");
        assert_eq!(segments(100, 250), [(0, 0), (1, 100), (2, 200)]);
    }

    #[test]
    fn without_keyframes_they_are_cut_at_the_bound() {
        assert_eq!(segments(10_000, 600), [(0, 0), (1, 250), (2, 500)]);
        let mut segmenter = Segmenter::new(0, WANTED, BOUND);
        let firsts: Vec<bool> = (0..600)
            .map(|i| segmenter.place(Time::from_millis(i * 40), i == 0, 1).is_first_cut)
            .collect();
        assert_eq!(firsts.iter().filter(|first| **first).count(), 1, "said once");
        assert_eq!(segmenter.longest(), BOUND);
    }

    #[test]
    fn another_configuration_begins_one() {
        let mut segmenter = Segmenter::new(0, WANTED, BOUND);
        assert_eq!(segmenter.place(Time(0), true, 1).number, 0);
        assert_eq!(segmenter.place(Time(40_000), false, 2).number, 1);
        assert_eq!(segmenter.place(Time(80_000), false, 2).number, 1);
        assert_eq!(segmenter.longest(), WANTED);
    }
}
