//! Where segments begin: the same places in every format, decided once per stream.

use media::Time;

use crate::limits;

/// Numbers a stream's segments, as HLS and DASH list them.
///
/// ```text
///  keyframes   K . . K . . K . . K . . . . . . . . . . . . . . . .
///  segments    0             1             2 (cut: no keyframe came)
/// ```
///
/// A segment begins at the first entry that comes when the one before has nearly the wanted length, where
/// the configuration changes, and, so that players see something of a stream that has no keyframes, at a
/// bound.
///
/// Lists say how long segments are at most and may not change that. It is decided by what was seen up to
/// then, when somebody wants lists and a segment is complete; from then on no segment is longer. So one
/// ends early where the next keyframe may come too late for it.
#[derive(Debug)]
pub struct Segmenter {
    wanted: i64,
    bound: i64,
    number: u32,
    began: Option<Time>,
    generation: u32,
    /// The longest segment, and the longest time between two entries.
    longest: i64,
    gop: i64,
    entry: Option<Time>,
    /// The longest time between two frames of one track that is not sound: such a frame may last as long
    /// when its segment ends.
    interval: i64,
    picture: Option<Time>,
    /// Somebody wants lists.
    is_listed: bool,
    /// What they say, once they do: whole seconds.
    target: Option<i64>,
    /// The last one was cut for want of a keyframe.
    is_cut: bool,
}

/// What a frame is to the segments.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Placed {
    /// The segment it belongs to.
    pub number: u32,
    /// It was cut off from the one before for want of a keyframe, and so was not the one before that:
    /// this long after its begin.
    pub first_cut: Option<i64>,
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
            gop: 0,
            entry: None,
            interval: 0,
            picture: None,
            is_listed: false,
            target: None,
            is_cut: false,
        }
    }

    /// The next frame's: `generation` changes where decoders begin anew.
    pub fn place(
        &mut self,
        time: Time,
        is_entry: bool,
        is_picture: bool,
        generation: u32,
    ) -> Placed {
        let Some(began) = self.began else {
            (self.began, self.generation) = (Some(time), generation);
            self.saw(time, is_entry, is_picture);
            return Placed { number: self.number, first_cut: None };
        };
        let length = time.since(began);
        let is_new = generation != self.generation;
        if is_new {
            // What is between two publishers says nothing of either.
            (self.entry, self.picture) = (None, None);
        }
        self.saw(time, is_entry, is_picture);
        let is_long = length >= self.wanted - self.wanted / limits::SEGMENT_EARLY;
        let is_last_chance =
            self.target.is_some() && length.saturating_add(self.gop) >= self.cut_at();
        let is_whole = is_entry && length > 0 && (is_long || is_last_chance);
        let is_cut = !is_new && !is_whole && length >= self.cut_at();
        if !(is_new || is_whole || is_cut) {
            return Placed { number: self.number, first_cut: None };
        }
        self.longest = self.longest.max(length);
        self.decide();
        self.number = self.number.wrapping_add(1);
        (self.began, self.generation) = (Some(time), generation);
        let was_cut = std::mem::replace(&mut self.is_cut, is_cut);
        let first_cut = (is_cut && !was_cut).then_some(length);
        Placed { number: self.number, first_cut }
    }

    fn saw(&mut self, time: Time, is_entry: bool, is_picture: bool) {
        if is_entry && let Some(before) = self.entry.replace(time) {
            self.gop = self.gop.max(time.since(before));
        }
        if is_picture && let Some(before) = self.picture.replace(time) {
            self.interval = self.interval.max(time.since(before)).min(self.wanted);
        }
    }

    /// The length at which a segment ends whatever comes.
    fn cut_at(&self) -> i64 {
        let margin = self.interval.max(limits::CUT_EARLY);
        let most = self.target.map(|target| target + limits::TARGET_ROUNDED - margin);
        most.unwrap_or(self.bound).min(self.bound)
    }

    /// Somebody wants lists from here on.
    pub fn list(&mut self) {
        self.is_listed = true;
        self.decide();
    }

    fn decide(&mut self) {
        if self.is_listed && self.target.is_none() && self.longest > 0 {
            self.target = Some(self.target());
        }
    }

    /// What no segment that is listed is longer than, once rounded, in microseconds.
    #[must_use]
    pub fn target(&self) -> i64 {
        let seen = || {
            let longest = self.longest.max(self.gop).min(self.bound).max(self.wanted);
            ((longest + 500_000) / 1_000_000).max(1) * 1_000_000
        };
        self.target.unwrap_or_else(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WANTED: i64 = 2_000_000;
    const BOUND: i64 = 10_000_000;

    /// The segments of pictures every 40 ms, of which each `gop`-th is a keyframe.
    fn segments(gop: i64, pictures: i64) -> Vec<(u32, i64)> {
        let mut segmenter = Segmenter::new(0, WANTED, BOUND);
        begins(&mut segmenter, (0..pictures).map(|i| (i * 40, i % gop == 0)))
    }

    /// Where segments begin, by the numbers of the pictures.
    fn begins(
        segmenter: &mut Segmenter,
        pictures: impl Iterator<Item = (i64, bool)>,
    ) -> Vec<(u32, i64)> {
        let mut begins: Vec<(u32, i64)> = Vec::new();
        for (place, (millis, is_key)) in pictures.enumerate() {
            let placed = segmenter.place(Time::from_millis(millis), is_key, true, 1);
            if begins.last().is_none_or(|(number, _)| *number != placed.number) {
                begins.push((placed.number, place as i64));
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
        let firsts: Vec<i64> = (0..600)
            .filter_map(|i| segmenter.place(Time::from_millis(i * 40), i == 0, true, 1).first_cut)
            .collect();
        assert_eq!(firsts, [BOUND], "said once");
        assert_eq!(segmenter.target(), BOUND);
    }

    #[test]
    fn another_configuration_begins_one() {
        let mut segmenter = Segmenter::new(0, WANTED, BOUND);
        assert_eq!(segmenter.place(Time(0), true, true, 1).number, 0);
        assert_eq!(segmenter.place(Time(40_000), false, true, 2).number, 1);
        assert_eq!(segmenter.place(Time(80_000), false, true, 2).number, 1);
        assert_eq!(segmenter.target(), WANTED);
    }

    #[test]
    fn once_listed_none_is_longer_than_was_said() {
        let mut segmenter = Segmenter::new(0, WANTED, BOUND);
        segmenter.list();
        // Six seconds from one keyframe to the next; then none for long.
        let keys = [0, 150, 300];
        let begun = begins(&mut segmenter, (0..800).map(|i| (i * 40, keys.contains(&i))));
        assert_eq!(segmenter.target(), 6_000_000, "as the first was");
        assert_eq!(begun, [(0, 0), (1, 150), (2, 300), (3, 457), (4, 614), (5, 771)]);
    }

    #[test]
    fn one_ends_early_where_the_next_keyframe_may_come_too_late() {
        let mut segmenter = Segmenter::new(0, WANTED, BOUND);
        segmenter.list();
        // Two seconds apart, and then some in between.
        let keys = [0, 50, 100, 125, 175, 185, 235];
        let begun = begins(&mut segmenter, (0..240).map(|i| (i * 40, keys.contains(&i))));
        assert_eq!(begun, [(0, 0), (1, 50), (2, 100), (3, 125), (4, 175), (5, 185), (6, 235)]);
        assert_eq!(segmenter.target(), WANTED);
    }

    proptest! {
        #[test]
        fn whatever_comes_the_target_holds_and_stays(
            pictures in prop::collection::vec((1..400_i64, prop::bool::weighted(0.05)), 1..400),
            listed_at in 0..400_usize,
        ) {
            let mut segmenter = Segmenter::new(0, WANTED, BOUND);
            let (mut now, mut begin, mut number, mut target) = (0, 0, 0, None);
            for (place, (step, is_key)) in pictures.into_iter().enumerate() {
                if place == listed_at {
                    segmenter.list();
                }
                let placed = segmenter.place(Time::from_millis(now), is_key || place == 0, true, 1);
                if placed.number != number {
                    prop_assert_eq!(placed.number, number + 1);
                    let rounded = (now - begin + 500) / 1000 * 1_000_000;
                    prop_assert!(target.is_none_or(|target| rounded <= target), "{rounded} {target:?}");
                    (begin, number) = (now, placed.number);
                    // The one that was under way when lists were wanted is as it is.
                    if place > listed_at {
                        prop_assert_eq!(segmenter.target(), target.unwrap_or(segmenter.target()));
                        target = Some(segmenter.target());
                    }
                }
                now += step;
            }
        }
    }
}
