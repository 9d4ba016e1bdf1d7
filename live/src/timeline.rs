//! One clock for a stream, whatever its publishers' clocks do.

use media::{Time, Track};

use crate::limits;

const STEP: i64 = limits::STEP.as_micros() as i64;
const STEP_BACK: i64 = limits::STEP_BACK.as_micros() as i64;
const STEP_UNKNOWN: i64 = limits::STEP_UNKNOWN.as_micros() as i64;

/// Maps a publisher's decoding times to the stream's, which begin at 0 and never run back.
///
/// ```text
///  publisher   5000 5033 5066 |   0   33   66 |  ... 2^32 |   90000033   (returns, wraps, jumps)
///  stream         0   33   66 |  86  119  152 |  ...      |  goes on by 20 ms
/// ```
///
/// Each track has an offset of its own. A step nobody can believe (far back, or further ahead than the
/// wall clock and [`limits::STEP`] allow) begins another offset, under which the stream goes on where it
/// was. A track that jumps after another one takes that one's offset if it fits, so that sound and
/// pictures that jump together stay together.
#[derive(Debug, Default)]
pub struct Timeline {
    audio: Clock,
    video: Clock,
    data: Clock,
    /// The latest time of the stream so far.
    newest: i64,
    begun: bool,
    /// Steps that were not believed.
    jumps: u64,
}

#[derive(Debug, Default, Clone, Copy)]
struct Clock {
    /// The publisher's time and the wall's when the track was last heard of.
    last: Option<(i64, i64)>,
    /// The stream's time of that.
    out: i64,
    offset: i64,
}

impl Timeline {
    /// A clock that shows `first` microseconds at the first frame.
    #[must_use]
    pub fn from(first: i64) -> Self {
        let clock = Clock { out: first, ..Clock::default() };
        Self { audio: clock, video: clock, data: clock, newest: first, ..Self::default() }
    }

    /// The stream's time for a frame of `track` that its publisher dates `dts`, at `wall` microseconds
    /// of a clock that does not jump.
    pub fn place(&mut self, track: Track, dts: Time, wall: i64) -> Time {
        let other = match track {
            Track::Video => self.audio,
            _ => self.video,
        };
        let (newest, begun) = (self.newest, self.begun);
        let clock = match track {
            Track::Audio => &mut self.audio,
            Track::Video => &mut self.video,
            Track::Data => &mut self.data,
        };
        let believed = |(last, then): (i64, i64)| {
            let step = dts.0.saturating_sub(last);
            let passed = wall.saturating_sub(then).max(0);
            (-STEP_BACK..=passed.saturating_add(STEP)).contains(&step)
        };
        match clock.last {
            Some(last) if believed(last) => {}
            last => {
                // Where the other track is, is where this one is: they were published together. Of two
                // tracks that jump, the second finds the first there already.
                let shared = other.last.filter(|other| believed(*other)).map(|_| other.offset);
                let fits = |offset: &i64| {
                    last.is_none() || dts.0.saturating_add(*offset) >= clock.out - STEP_BACK
                };
                clock.offset = shared.filter(fits).unwrap_or_else(|| {
                    let begin = if begun { newest.saturating_add(STEP_UNKNOWN) } else { newest };
                    begin.saturating_sub(dts.0)
                });
                self.jumps += u64::from(last.is_some());
            }
        }
        // A track's own time never runs back, also where its frames come out of order.
        let out = dts.0.saturating_add(clock.offset).max(clock.out);
        clock.out = out;
        clock.last = Some((dts.0, wall));
        self.newest = self.newest.max(out);
        self.begun = true;
        Time(out)
    }

    /// The stream's time for what has no time of its own: a configuration, whose date publishers often
    /// leave at 0. It belongs to the next frame of its track.
    pub fn now(&self, track: Track) -> Time {
        let clock = match track {
            Track::Audio => &self.audio,
            Track::Video => &self.video,
            Track::Data => &self.data,
        };
        Time(if clock.last.is_some() { clock.out } else { self.newest })
    }

    /// Another publisher goes on with the stream: its clock has nothing to do with the last one's.
    pub fn change_publisher(&mut self) {
        for clock in [&mut self.audio, &mut self.video, &mut self.data] {
            clock.last = None;
            clock.out = self.newest;
        }
    }

    /// The latest time of the stream.
    pub fn newest(&self) -> Time {
        Time(self.newest)
    }

    /// Steps of publishers' clocks that were not believed.
    pub fn jumps(&self) -> u64 {
        self.jumps
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(millis: i64) -> Time {
        Time::from_millis(millis)
    }

    #[test]
    fn it_begins_at_zero_and_keeps_the_tracks_apart_as_they_were() {
        let mut line = Timeline::default();
        assert_eq!(line.place(Track::Video, ms(90_000), 0), ms(0));
        assert_eq!(line.place(Track::Audio, ms(90_010), 1), ms(10));
        assert_eq!(line.place(Track::Video, ms(90_033), 33_000), ms(33));
        assert_eq!(line.place(Track::Audio, ms(90_033), 33_001), ms(33));
        assert_eq!(line.jumps(), 0);
    }

    #[test]
    fn another_publisher_goes_on_where_the_last_one_was() {
        let mut line = Timeline::default();
        line.place(Track::Video, ms(0), 0);
        line.place(Track::Audio, ms(1000), 1_000_000);
        line.change_publisher();
        assert_eq!(line.place(Track::Video, ms(7), 8_000_000), ms(1020));
        assert_eq!(line.place(Track::Audio, ms(17), 8_000_000), ms(1030));
        assert_eq!(line.place(Track::Video, ms(40), 8_033_000), ms(1053));
    }

    #[test]
    fn tracks_that_jump_together_stay_together() {
        let mut line = Timeline::default();
        for i in 0..100 {
            line.place(Track::Video, ms(i * 33), i * 33_000);
            line.place(Track::Audio, ms(i * 33 + 5), i * 33_000);
        }
        for back in [-2_000_000, 50_000_000] {
            let wall = 3_300_000;
            let video = line.place(Track::Video, ms(back), wall);
            let audio = line.place(Track::Audio, ms(back + 5), wall);
            assert_eq!(audio.since(video), 5_000, "{back}");
        }
    }

    #[test]
    fn a_pause_that_the_wall_confirms_is_one() {
        let mut line = Timeline::default();
        line.place(Track::Video, ms(0), 0);
        assert_eq!(line.place(Track::Video, ms(20_000), 20_000_000), ms(20_000));
        assert_eq!(line.place(Track::Video, ms(60_000), 20_033_000), ms(20_020), "a jump");
        // A burst after a stall of the network is no jump: the times go on.
        assert_eq!(line.place(Track::Video, ms(60_033), 40_000_000), ms(20_053));
    }

    #[test]
    fn frames_out_of_order_do_not_run_back() {
        let mut line = Timeline::default();
        line.place(Track::Audio, ms(500), 0);
        assert_eq!(line.place(Track::Audio, ms(480), 0), ms(0));
        assert_eq!(line.place(Track::Audio, ms(520), 0), ms(20));
        assert_eq!(line.jumps(), 0);
    }

    proptest! {
        #[test]
        fn no_publisher_makes_a_track_run_back_or_the_stream_run_away(
            steps in prop::collection::vec(
                (any::<bool>(), prop_oneof![any::<i64>(), -5_000_000..5_000_000_i64], 0..200_000_i64),
                1..300,
            ),
        ) {
            let mut line = Timeline::default();
            let (mut now, mut wall) = (0_i64, 0_i64);
            let mut last = [0_i64; 2];
            for (count, (video, step, passed)) in (1_i64..).zip(steps) {
                now = now.saturating_add(step);
                wall += passed;
                let track = if video { Track::Video } else { Track::Audio };
                let out = line.place(track, Time(now), wall);
                prop_assert!(out.0 >= last[usize::from(video)]);
                last[usize::from(video)] = out.0;
                // Each step is at most what the wall and the bound allow.
                prop_assert!(out.0 <= wall + count * (STEP + STEP_UNKNOWN));
            }
        }
    }
}
