//! Which segments and parts a log has, as HLS and DASH list them.

use std::collections::VecDeque;
use std::sync::Arc;

use media::Time;
use media::playlist::{Part, Segment};

use super::index::{Index, Packet};
use crate::format::Configs;

/// A log's segments at one moment.
#[derive(Debug, Default)]
pub struct Segments {
    /// Those that are complete, the oldest first, their numbers without a gap.
    pub complete: VecDeque<Segment>,
    /// The one that still grows.
    pub open: Option<Segment>,
    /// Discontinuities before the first one.
    pub discontinuities: u64,
    /// Whether each begins with a keyframe.
    pub independent: bool,
    /// The longest of the stream so far, in microseconds.
    pub longest: i64,
    /// Bits a second, of the complete segment that has most and of all of them.
    pub bitrate: (u64, u64),
}

impl Segments {
    /// Those of the last `window` microseconds, and at least three. `under_way` is the segment that still
    /// grows and when it begins; without one the last is complete.
    pub(super) fn of(
        index: &Index,
        configs: &VecDeque<(u32, Arc<Configs>)>,
        under_way: Option<(u32, Time)>,
        window: i64,
        longest: i64,
    ) -> Self {
        let firsts = index.segments();
        let mut segments = Self { independent: true, longest, open: None, ..Self::default() };
        let under = |epoch: u32| configs.iter().rev().find(|(number, _)| *number == epoch);
        let is_over = |number: u32| under_way.is_none_or(|(open, _)| open != number);
        let (mut age, mut bytes, mut peak) = (0_i64, 0_u64, 0_u64);
        let mut later: Option<&Packet> = None;
        let mut first_generation = 0;
        for (place, first) in firsts.iter().enumerate().rev() {
            let next = later.replace(first);
            // A track without anything in a segment has none of that number.
            let has_gap = next.is_some_and(|next| next.segment != first.segment.wrapping_add(1));
            if has_gap || (age >= window && segments.complete.len() >= LEAST) {
                break;
            }
            let end = next.map_or(index.head(), |next| next.at);
            let parts = parts(index, first);
            let lasted: i64 = parts.iter().map(|part| part.duration).sum();
            let until = match (next, under_way) {
                (Some(next), _) => Some(next.time),
                (None, Some((open, begun))) if open != first.segment => Some(begun),
                (None, None) => index.newest().map(|newest| newest.max(first.time.plus(lasted))),
                _ => None,
            };
            let duration = until.map_or(lasted, |until| until.since(first.time).max(1));
            let config = under(first.epoch).map(|(_, configs)| configs);
            let generation = config.map_or(0, |configs| configs.generation);
            let before = place.checked_sub(1).and_then(|before| firsts.get(before));
            let before = before.and_then(|before| under(before.epoch));
            first_generation = generation;
            let segment = Segment {
                number: first.segment.into(),
                start: first.time.0,
                duration,
                epoch: generation,
                discontinuity: before.is_some_and(|(_, before)| before.generation != generation),
                wall: config.map_or(0, |configs| configs.wall.saturating_add(first.time.0)),
                parts,
            };
            segments.independent &= first.is_entry;
            if next.is_some() || is_over(first.segment) {
                age = age.saturating_add(duration);
                bytes += end - first.at;
                peak = peak.max(bits_a_second(end - first.at, duration));
                segments.complete.push_front(segment);
            } else {
                segments.open = Some(segment);
            }
        }
        let listed = segments.complete.front().or(segments.open.as_ref());
        let shown = listed.is_some_and(|first| first.discontinuity);
        segments.discontinuities = u64::from(first_generation) - u64::from(shown);
        segments.bitrate = (peak, bits_a_second(bytes, age));
        if let (Some((number, begun)), None) = (under_way, &segments.open) {
            segments.begin(number, begun, configs.back().map(|(_, configs)| &**configs));
        }
        segments
    }

    /// The segment that has begun and has no part yet.
    fn begin(&mut self, number: u32, begun: Time, configs: Option<&Configs>) {
        let last = self.complete.back();
        if last.is_some_and(|last| last.number + 1 != u64::from(number)) {
            return;
        }
        let generation = configs.map_or(0, |configs| configs.generation);
        self.open = Some(Segment {
            number: number.into(),
            start: begun.0,
            duration: 0,
            epoch: generation,
            discontinuity: last.is_some_and(|last| last.epoch != generation),
            wall: configs.map_or(0, |configs| configs.wall.saturating_add(begun.0)),
            parts: Vec::new(),
        });
    }

    /// Whether there is enough to begin with: players that know nothing of parts need a whole segment.
    #[must_use]
    pub fn is_playable(&self) -> bool {
        !self.complete.is_empty()
    }

    /// Seconds that no segment is longer than, once rounded.
    #[must_use]
    pub fn target_duration(&self) -> u32 {
        let longest = self.complete.iter().map(|segment| segment.duration).max().unwrap_or(0);
        // A little over is rounded down, as lists have it.
        let seconds = longest.max(self.longest).saturating_add(500_000) / 1_000_000;
        u32::try_from(seconds.max(1)).unwrap_or(u32::MAX)
    }
}

/// Segments that are listed however short the window.
const LEAST: usize = 3;

fn parts(index: &Index, first: &Packet) -> Vec<Part> {
    if first.span == 0 {
        return Vec::new();
    }
    let packets = index.packets_from(first.at).take_while(|p| p.segment == first.segment);
    packets
        .map(|packet| Part { duration: packet.span.into(), is_independent: packet.is_entry })
        .collect()
}

fn bits_a_second(bytes: u64, micros: i64) -> u64 {
    let bits = u128::from(bytes) * 8 * 1_000_000;
    u64::try_from(bits / u128::from(micros.max(1).unsigned_abs())).unwrap_or(u64::MAX)
}
