//! Which segments and parts a log has, as HLS and DASH list them.

use std::collections::VecDeque;
use std::sync::Arc;

use media::playlist::{Part, Segment};

use super::index::{Begin, Index, Packet};
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
    /// are more. The last one still grows, unless the stream has ended.
    ///
    /// A segment of which the log has nothing is a gap: its track has stopped, and goes on later. None is
    /// listed before the first packet there is.
    pub(super) fn of(
        index: &Index,
        configs: &VecDeque<(u32, Arc<Configs>)>,
        has_ended: bool,
        window: i64,
        bytes: u64,
    ) -> Self {
        let mut firsts = index.segments().iter().rev().peekable();
        let mut segments = Self { independent: true, ..Self::default() };
        let (mut age, mut peak, mut played) = (0_i64, 0_u64, 0_i64);
        let mut next: Option<&Begin> = None;
        // Where what is known to be complete ends, and where it begins.
        let (mut end, mut listed) = (index.head(), None);
        for begin in index.begins().iter().rev() {
            let is_apart = next.is_some_and(|next| next.number != begin.number.wrapping_add(1));
            let is_enough = age >= window || index.head() - end > bytes;
            if is_apart || is_enough && segments.complete.len() >= limits::SEGMENTS_LISTED {
                break;
            }
            // An encoder that changes its configuration all the time has more of them than are kept.
            let mut known = configs.iter().rev();
            let known = known.find(|(_, configs)| configs.generation == begin.generation);
            let Some((_, config)) = known else { break };
            let is_open = next.is_none() && !has_ended;
            let first = firsts.next_if(|first| first.segment == begin.number);
            if first.is_none() && firsts.peek().is_none() && !is_open {
                break;
            }
            let parts = first.map(|first| parts(index, first)).unwrap_or_default();
            let begins_generation = config.first.is_some_and(|(number, _)| number == begin.number);
            let start = first.map_or(begin.time, |first| first.time);
            let until = next.map(|next| next.time).or(index.newest());
            let segment = Segment {
                number: begin.number.into(),
                start: start.0,
                duration: match (first, is_open) {
                    (None, true) => 0,
                    // One of parts is as long as these are, whatever comes behind it: that stays the
                    // same from when its last part is listed.
                    _ if !parts.is_empty() => parts.iter().map(|part| part.duration).sum(),
                    _ => until.map_or(0, |until| until.since(start)).max(1),
                },
                epoch: begin.generation,
                // Where a log begins there is nothing that its first segment could differ from.
                discontinuity: begins_generation
                    && first.map_or(firsts.peek().is_some(), |f| f.at > 0),
                wall: config.wall.saturating_add(start.0),
                is_gap: first.is_none() && !is_open,
                parts,
            };
            segments.independent &= first.is_none_or(|first| first.is_entry);
            segments.discontinuities =
                u64::from(begin.generation).saturating_sub(segment.discontinuity.into());
            let from = first.map_or(end, |first| first.at);
            if is_open {
                segments.open = Some(segment);
            } else {
                listed.get_or_insert(end);
                age = age.saturating_add(segment.duration);
                if !segment.is_gap {
                    played = played.saturating_add(segment.duration);
                    peak = peak.max(bits_a_second(end - from, segment.duration));
                }
                segments.complete.push_front(segment);
            }
            (end, next) = (from, Some(begin));
        }
        let whole = listed.map_or(0, |to| to - end);
        segments.bitrate = (peak, bits_a_second(whole, played));
        let all = segments.complete.iter().chain(&segments.open);
        let parts = all.flat_map(|segment| &segment.parts).map(|part| part.duration);
        segments.longest_part = parts.max().unwrap_or(0);
        segments
    }

    /// Whether there is enough to begin with: players that know nothing of parts need a whole segment.
    #[must_use]
    pub fn is_playable(&self) -> bool {
        !self.complete.is_empty()
    }
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
