//! Which segments and parts a log has, as HLS and DASH list them.

use std::collections::VecDeque;
use std::sync::Arc;

use media::Time;
use media::playlist::{Part, Segment};

use super::index::{Index, Packet};
use crate::format::Configs;
use crate::limits;

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
    /// The longest part of them, in microseconds.
    pub longest_part: i64,
    /// Bits a second, of the complete segment that has most and of all of them.
    pub bitrate: (u64, u64),
}

impl Segments {
    /// Those of the last `window` microseconds, three at least, and no more than `bytes` unless these three
    /// are more. `under_way` is the segment that still grows and when it begins; without one the last is
    /// complete.
    pub(super) fn of(
        index: &Index,
        configs: &VecDeque<(u32, Arc<Configs>)>,
        under_way: Option<(u32, Time)>,
        window: i64,
        bytes: u64,
    ) -> Self {
        let firsts = index.segments();
        let mut segments = Self { independent: true, ..Self::default() };
        let (mut age, mut peak) = (0_i64, 0_u64);
        let mut next: Option<&Packet> = None;
        let mut listed_from = index.head();
        for first in firsts.iter().rev() {
            // A track without anything in a segment has none of that number.
            let has_gap = next.is_some_and(|next| next.segment != first.segment.wrapping_add(1));
            let is_enough = age >= window || index.head() - first.at > bytes;
            if has_gap || is_enough && segments.complete.len() >= limits::SEGMENTS_LISTED {
                break;
            }
            // An encoder that changes its configuration all the time has more of them than are kept.
            let mut known = configs.iter().rev();
            let Some((_, config)) = known.find(|(epoch, _)| *epoch == first.epoch) else { break };
            let parts = parts(index, first);
            let begins_generation = config.first.is_some_and(|(number, _)| number == first.segment);
            let segment = Segment {
                number: first.segment.into(),
                start: first.time.0,
                duration: duration(index, first, next, &parts, under_way),
                epoch: config.generation,
                // Where a log begins there is nothing that its first segment could differ from.
                discontinuity: begins_generation && first.at > 0,
                wall: config.wall.saturating_add(first.time.0),
                parts,
            };
            segments.independent &= first.is_entry;
            segments.discontinuities =
                u64::from(config.generation).saturating_sub(segment.discontinuity.into());
            let is_open = under_way.is_some_and(|(open, _)| open == first.segment);
            if next.is_none() && is_open {
                segments.open = Some(segment);
                listed_from = first.at;
            } else {
                let end = next.map_or(index.head(), |next| next.at);
                age = age.saturating_add(segment.duration);
                peak = peak.max(bits_a_second(end - first.at, segment.duration));
                segments.complete.push_front(segment);
            }
            next = Some(first);
        }
        let whole = next.map_or(0, |first| listed_from - first.at);
        segments.bitrate = (peak, bits_a_second(whole, age));
        let all = segments.complete.iter().chain(&segments.open);
        let parts = all.flat_map(|segment| &segment.parts).map(|part| part.duration);
        segments.longest_part = parts.max().unwrap_or(0);
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

    /// Seconds that no segment is longer than, once rounded; `longest` is what the stream's longest has
    /// been so far.
    #[must_use]
    pub fn target_duration(&self, longest: i64) -> u32 {
        let listed = self.complete.iter().map(|segment| segment.duration).max().unwrap_or(0);
        // A little over is rounded down, as lists have it.
        let seconds = listed.max(longest).saturating_add(500_000) / 1_000_000;
        u32::try_from(seconds.max(1)).unwrap_or(u32::MAX)
    }
}

/// How long a segment is. One of parts is as long as these are, whatever comes behind it: that stays the
/// same from when its last part is listed. One without lasts until the next begins.
fn duration(
    index: &Index,
    first: &Packet,
    next: Option<&Packet>,
    parts: &[Part],
    under_way: Option<(u32, Time)>,
) -> i64 {
    if !parts.is_empty() {
        return parts.iter().map(|part| part.duration).sum();
    }
    let begun = under_way.filter(|(open, _)| *open != first.segment).map(|(_, begun)| begun);
    let until = next.map(|next| next.time).or(begun).or(index.newest());
    until.map_or(0, |until| until.since(first.time)).max(1)
}

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
