//! RTMP's 32-bit milliseconds as times that don't wrap.

/// How near to a wrap at 2^24 both times have to be (in milliseconds), so that it is taken for one.
const NEAR: u32 = 60_000;
/// Some senders lose the upper byte of their times.
const WRAP_24: u32 = 1 << 24;

/// Widens the times of one message stream.
///
/// Each time is taken for the one nearest to the last: a wrap at 2^32 goes on, a small step back is a
/// small step back. A sender that falls from just below 2^24 to just above 0 wraps there, and is read
/// modulo 2^24 until it shows a time beyond. Anything else, such as a clock that begins again at 0,
/// is passed on as the jump it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Widen {
    last: Option<(u32, i64)>,
    wraps_at_24: bool,
}

impl Widen {
    /// The wide time of the next message in sequence.
    pub fn next(&mut self, time: u32) -> i64 {
        let Some((last, _)) = self.last else {
            self.last = Some((time, i64::from(time)));
            return i64::from(time);
        };
        if time >= WRAP_24 {
            self.wraps_at_24 = false;
        } else if (WRAP_24 - NEAR..WRAP_24).contains(&last) && time < NEAR {
            self.wraps_at_24 = true;
        }
        let wide = self.of(time);
        self.last = Some((time, wide));
        wide
    }

    /// The wide time of a message beside the sequence, such as metadata, whose times are often 0.
    #[must_use]
    pub fn of(&self, time: u32) -> i64 {
        let Some((last, wide)) = self.last else { return i64::from(time) };
        let step = time.wrapping_sub(last);
        let step = if self.wraps_at_24 {
            // The 24 bits of the step, with their sign.
            ((step << 8) as i32) >> 8
        } else {
            step as i32
        };
        wide.saturating_add(i64::from(step))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn widen(times: &[u32]) -> Vec<i64> {
        let mut widen = Widen::default();
        times.iter().map(|time| widen.next(*time)).collect()
    }

    #[test]
    fn time_goes_on_through_2_to_32() {
        let top = 1i64 << 32;
        assert_eq!(
            widen(&[u32::MAX - 40, u32::MAX - 7, 25, u32::MAX, 58]),
            [top - 41, top - 8, top + 25, top - 1, top + 58]
        );
    }

    #[test]
    fn time_goes_on_through_2_to_24_with_tracks_that_cross_one_after_the_other() {
        let top = 1i64 << 24;
        let below = WRAP_24 - 10;
        assert_eq!(
            widen(&[below, 5, below + 4, 30, below + 9, 60]),
            [top - 10, top + 5, top - 6, top + 30, top - 1, top + 60]
        );
        let mut many = Widen::default();
        for round in 0..5i64 {
            for time in (0..WRAP_24).step_by(20_000) {
                assert_eq!(many.next(time), round * top + i64::from(time));
            }
        }
    }

    #[test]
    fn who_passes_2_to_24_does_not_wrap_there() {
        let above = i64::from(WRAP_24);
        assert_eq!(widen(&[WRAP_24 - 1, WRAP_24, WRAP_24 + 33]), [above - 1, above, above + 33]);
        // It wrapped once, or began again; later it is past 2^24 after all.
        assert_eq!(widen(&[WRAP_24 - 1, 3, WRAP_24 + 3]), [above - 1, above + 3, 2 * above + 3]);
    }

    #[test]
    fn steps_back_and_jumps_are_passed_on() {
        assert_eq!(widen(&[10, 0, u32::MAX]), [10, 0, -1]);
        assert_eq!(widen(&[5_000_000, 0, 40]), [5_000_000, 0, 40]);
        assert_eq!(widen(&[4_000_000_000]), [4_000_000_000]);
    }

    #[test]
    fn messages_beside_the_sequence_leave_it_alone() {
        let mut times = Widen::default();
        times.next(WRAP_24 - 5);
        assert_eq!(times.of(0), 0);
        assert_eq!(times.next(WRAP_24 + 5), i64::from(WRAP_24) + 5);
    }
}
