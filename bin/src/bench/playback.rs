//! What a viewer would have seen: a player with a buffer, without the picture.

/// Plays what arrives, from when so much is buffered, and stands still when nothing is left until as
/// much is there again. All times are microseconds.
#[derive(Clone, Debug)]
pub struct Playback {
    buffer: i64,
    newest: Option<i64>,
    state: State,
    /// Times it stood still after it had begun.
    pub stalls: u32,
    /// How long in all.
    pub stalled: i64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Waits since then (a stall, not the beginning, where it is one) with this to be shown next.
    Filling {
        next: i64,
        stalled_at: Option<i64>,
    },
    /// What is shown at any time is later than this time by that much.
    Playing {
        ahead: i64,
    },
    Empty,
}

impl Playback {
    /// A player that wants so much before it begins.
    pub fn new(buffer: i64) -> Self {
        Self { buffer, newest: None, state: State::Empty, stalls: 0, stalled: 0 }
    }

    /// A frame to be shown at `time` of the stream has arrived at `now`.
    pub fn arrived(&mut self, time: i64, now: i64) {
        self.look(now);
        let newest = self.newest.map_or(time, |newest| newest.max(time));
        self.newest = Some(newest);
        if let State::Empty = self.state {
            self.state = State::Filling { next: time, stalled_at: None };
        }
        if let State::Filling { next, stalled_at } = self.state
            && newest - next >= self.buffer
        {
            self.stalled += stalled_at.map_or(0, |at| now - at);
            self.state = State::Playing { ahead: next - now };
        }
    }

    /// Stands still if at `now` nothing is left to be shown.
    pub fn look(&mut self, now: i64) {
        if let (State::Playing { ahead }, Some(newest)) = (self.state, self.newest)
            && now + ahead > newest
        {
            self.stalls += 1;
            self.state = State::Filling { next: newest, stalled_at: Some(newest - ahead) };
        }
    }

    /// The end of the watching: a stall that lasts is counted up to now.
    pub fn end(&mut self, now: i64) {
        self.look(now);
        if let State::Filling { next, stalled_at: Some(at) } = self.state {
            self.stalled += now - at;
            self.state = State::Filling { next, stalled_at: Some(now) };
        }
    }

    /// Forgets what was counted so far, and goes on.
    pub fn count_anew(&mut self, now: i64) {
        self.end(now);
        (self.stalls, self.stalled) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1000;

    #[test]
    fn a_steady_stream_never_stalls() {
        let mut player = Playback::new(500 * MS);
        for frame in 0..300 {
            player.arrived(frame * 33 * MS, 1_000_000 + frame * 33 * MS);
        }
        player.end(1_000_000 + 300 * 33 * MS);
        assert_eq!((player.stalls, player.stalled), (0, 0));
    }

    #[test]
    fn a_gap_longer_than_the_buffer_is_one_stall_of_the_rest() {
        let mut player = Playback::new(500 * MS);
        for frame in 0..100 {
            player.arrived(frame * 40 * MS, frame * 40 * MS);
        }
        // Playing began at 520 ms with time 0 (13 frames make 520 ms >= 500 ms).
        // The last frame, of 3,960 ms, is shown at 4,480 ms. Two seconds of nothing.
        let back = 5_960 * MS;
        for frame in 100..120 {
            player.arrived(frame * 40 * MS, back);
        }
        assert_eq!(player.stalls, 1);
        assert_eq!(player.stalled, back - 4_480 * MS);
    }

    #[test]
    fn a_stall_that_lasts_is_counted_to_the_end() {
        let mut player = Playback::new(0);
        player.arrived(0, 0);
        player.end(700 * MS);
        assert_eq!((player.stalls, player.stalled), (1, 700 * MS));
        player.end(800 * MS);
        assert_eq!((player.stalls, player.stalled), (1, 800 * MS));
        player.count_anew(900 * MS);
        assert_eq!((player.stalls, player.stalled), (0, 0));
    }
}
