//! A linter for media playlists: it is given what was fetched, one playlist after the other, and says
//! which rules they broke, each alone and over time.

pub mod read;

use crate::limits;
use read::{Listed, Playlist, read};

/// Which rule was broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// It can be read.
    Syntax,
    /// `EXT-X-VERSION` is as high as its tags need.
    Version,
    /// The media sequence number neither goes back nor does the end.
    MediaSequence,
    /// The discontinuity sequence number counts the discontinuities that went.
    DiscontinuitySequence,
    /// No segment is longer than the target duration, which stays the same.
    TargetDuration,
    /// A segment keeps its URI, duration, init segment and parts.
    Changed,
    /// A part is at most as long as the target, and at least 85 % of it unless it is a segment's last, or
    /// a player can begin with it.
    PartDuration,
    /// The parts of a segment are as long as it is, and a gap has none.
    PartSum,
    /// Where segments are independent, so is the first part of each.
    Independent,
    /// The next part is hinted at, and is the one that comes.
    Hint,
    /// `EXT-X-SERVER-CONTROL` allows what it must.
    ServerControl,
    /// Dates are as far from each other as the segments between them say.
    Date,
    /// What a delta update leaves out is known and old enough.
    Skip,
    /// After the end nothing changes.
    End,
}

/// A broken rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Which one.
    pub rule: Rule,
    /// By what.
    pub what: String,
}

/// How far dates may be from what durations say: segments are dated by a clock, and frames come unevenly.
const DATE_TOLERANCE: i64 = 100_000;
/// How far the parts of a segment may be from its duration: what rounding to milliseconds makes of one.
const SUM_TOLERANCE: i64 = 1_000;

/// Reads successive fetches of one media playlist.
#[derive(Debug, Default)]
pub struct Linter {
    last: Option<Playlist>,
}

impl Linter {
    /// Before the first fetch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what was fetched and says what is wrong with it, at most [`limits::LINT_FAULTS`] things.
    pub fn fetched(&mut self, text: &str) -> Vec<Fault> {
        let mut faults = Faults(Vec::new());
        match read(text) {
            Err(what) => faults.add(Rule::Syntax, || what),
            Ok(mut list) => {
                if self.complete(&mut list, &mut faults) {
                    alone(&list, &mut faults);
                    if let Some(last) = &self.last {
                        over_time(last, &list, &mut faults);
                    }
                    self.last = Some(list);
                }
            }
        }
        faults.0
    }

    /// Puts in what a delta update left out, and says which init segment is in force for what is listed.
    fn complete(&self, list: &mut Playlist, faults: &mut Faults) -> bool {
        let least = if list.skipped > 0 {
            9
        } else if list.segments.iter().any(|segment| segment.gap) {
            8
        } else if list.segments.iter().any(|segment| segment.map.is_some()) {
            6
        } else {
            3
        };
        faults.check(list.version >= least, Rule::Version, || {
            format!("version {} of at least {least}", list.version)
        });
        if list.skipped > 0 {
            let last = self.last.as_ref();
            let from = last.and_then(|last| list.sequence.checked_sub(last.sequence));
            let from = from.and_then(|from| usize::try_from(from).ok());
            let known = last.zip(from).and_then(|(last, from)| {
                let to = from.checked_add(list.skipped)?;
                last.segments.get(from..to)
            });
            let Some(known) = known else {
                faults.add(Rule::Skip, || format!("{} skipped that are not known", list.skipped));
                return false;
            };
            if known.len() + list.segments.len() > limits::LINT_SEGMENTS {
                faults.add(Rule::Syntax, || "it has more segments than are read".into());
                return false;
            }
            let kept: i64 = length(&list.segments) + open_length(list);
            let until = list.control.as_ref().and_then(|control| control.skip_until);
            faults.check(until.is_some_and(|until| kept >= until), Rule::Skip, || {
                format!("only {kept} µs are not skipped")
            });
            list.segments.splice(0..0, known.iter().cloned());
        }
        let mut map = None;
        for segment in list.segments.iter_mut().chain([&mut list.open]) {
            map = segment.map.take().or(map);
            segment.map.clone_from(&map);
        }
        true
    }
}

struct Faults(Vec<Fault>);

impl Faults {
    fn add(&mut self, rule: Rule, what: impl FnOnce() -> String) {
        if self.0.len() < limits::LINT_FAULTS {
            self.0.push(Fault { rule, what: what() });
        }
    }

    fn check(&mut self, holds: bool, rule: Rule, what: impl FnOnce() -> String) {
        if !holds {
            self.add(rule, what);
        }
    }
}

fn length(segments: &[Listed]) -> i64 {
    segments.iter().map(|segment| segment.duration).sum()
}

fn open_length(list: &Playlist) -> i64 {
    list.open.parts.iter().map(|part| part.duration).sum()
}

/// What has to hold of one playlist.
fn alone(list: &Playlist, faults: &mut Faults) {
    faults.check(list.target > 0, Rule::TargetDuration, || "there is none".into());
    for segment in &list.segments {
        let rounded = (segment.duration + 500_000) / 1_000_000 * 1_000_000;
        faults.check(rounded <= list.target, Rule::TargetDuration, || {
            format!("{} takes {} µs", segment.uri, segment.duration)
        });
    }
    controls(list, faults);
    for segment in list.segments.iter().chain([&list.open]) {
        parts(list, segment, faults);
    }
    hint(list, faults);
    // From date to date, as far as times go on.
    let (mut expected, mut was_gap) = (None, false);
    for segment in list.segments.iter().chain([&list.open]) {
        // A track that stops does so within a segment.
        let goes_on = !segment.discontinuity && !segment.gap && !was_gap;
        was_gap = segment.gap;
        expected = expected.filter(|_| goes_on);
        if let (Some(expected), Some(date)) = (expected, segment.date) {
            near(expected, date, &segment.uri, faults);
        }
        expected = segment.date.or(expected).map(|date| date + segment.duration);
    }
}

fn near(expected: i64, date: i64, uri: &str, faults: &mut Faults) {
    faults.check((expected - date).abs() <= DATE_TOLERANCE, Rule::Date, || {
        format!("{uri} is dated {} µs later than those before it say", date - expected)
    });
}

fn controls(list: &Playlist, faults: &mut Faults) {
    let control = list.control.clone().unwrap_or_default();
    let mut least = |name: &str, value: Option<i64>, least: i64| {
        faults.check(value.is_none_or(|value| value >= least), Rule::ServerControl, || {
            format!("{name} is less than {least} µs")
        });
    };
    least("CAN-SKIP-UNTIL", control.skip_until, 6 * list.target);
    least("HOLD-BACK", control.hold_back, 3 * list.target);
    if let Some(target) = list.part_target {
        least("PART-HOLD-BACK", control.part_hold_back, 3 * target);
        let complete = control.blocks && control.part_hold_back.is_some();
        faults.check(complete || list.ended, Rule::ServerControl, || {
            "parts without CAN-BLOCK-RELOAD and PART-HOLD-BACK".into()
        });
    }
}

fn parts(list: &Playlist, segment: &Listed, faults: &mut Faults) {
    faults.check(!segment.gap || segment.parts.is_empty(), Rule::PartSum, || {
        format!("{} is a gap and has parts", segment.uri)
    });
    let (Some(first), Some((_, but_last))) = (segment.parts.first(), segment.parts.split_last())
    else {
        return;
    };
    let target = list.part_target.unwrap_or(0);
    for part in &segment.parts {
        faults.check(part.duration <= target, Rule::PartDuration, || {
            format!("{} takes {} µs of at most {target}", part.uri, part.duration)
        });
    }
    for part in but_last.iter().filter(|part| !part.independent) {
        faults.check(part.duration >= target / 100 * 85, Rule::PartDuration, || {
            format!("{} takes only {} µs of {target}", part.uri, part.duration)
        });
    }
    faults.check(first.independent || !list.independent, Rule::Independent, || {
        format!("{} is the first of an independent segment", first.uri)
    });
    if !segment.uri.is_empty() {
        let sum: i64 = segment.parts.iter().map(|part| part.duration).sum();
        faults.check((sum - segment.duration).abs() <= SUM_TOLERANCE, Rule::PartSum, || {
            format!("{} takes {} µs and its parts {sum}", segment.uri, segment.duration)
        });
    }
}

fn hint(list: &Playlist, faults: &mut Faults) {
    match &list.hint {
        None => faults
            .check(list.part_target.is_none() || list.ended, Rule::Hint, || "there is none".into()),
        Some(hint) => {
            let mut parts = list.segments.iter().chain([&list.open]).flat_map(|s| &s.parts);
            let listed = parts.any(|part| part.uri == *hint);
            faults.check(!listed && !list.ended, Rule::Hint, || format!("{hint} is there"));
        }
    }
}

/// What has to hold of a playlist after another one.
fn over_time(last: &Playlist, list: &Playlist, faults: &mut Faults) {
    if last.ended {
        let same = list.ended && last.segments == list.segments && last.sequence == list.sequence;
        faults.check(same, Rule::End, || "it ended, and changed afterwards".into());
        return;
    }
    faults.check(list.target == last.target, Rule::TargetDuration, || {
        format!("it was {} µs and is {}", last.target, list.target)
    });
    faults.check(list.part_target == last.part_target, Rule::PartDuration, || {
        format!("the target was {:?} µs and is {:?}", last.part_target, list.part_target)
    });
    let end = |list: &Playlist| list.sequence.saturating_add(list.segments.len() as u64);
    let Some(removed) = list.sequence.checked_sub(last.sequence) else {
        let (was, is) = (last.sequence, list.sequence);
        return faults.add(Rule::MediaSequence, || format!("it was {was} and is {is}"));
    };
    faults.check(end(list) >= end(last), Rule::MediaSequence, || {
        format!("the end was {} and is {}", end(last), end(list))
    });
    let removed = usize::try_from(removed).unwrap_or(usize::MAX);
    if let Some(gone) = last.segments.get(..removed) {
        let gone = gone.iter().filter(|segment| segment.discontinuity).count() as u64;
        let expected = last.discontinuity_sequence.saturating_add(gone);
        faults.check(list.discontinuity_sequence == expected, Rule::DiscontinuitySequence, || {
            format!("it is {} instead of {expected}", list.discontinuity_sequence)
        });
    } else {
        let rises = list.discontinuity_sequence >= last.discontinuity_sequence;
        faults.check(rises, Rule::DiscontinuitySequence, || "it goes back".into());
    }
    let before = last.segments.iter().skip(removed);
    for (was, is) in before.zip(&list.segments) {
        kept(was, is, faults);
    }
    // The one that was in progress is there now as a segment, or still is in progress.
    let place = last.segments.len().checked_sub(removed);
    let now = place.map(|place| list.segments.get(place).unwrap_or(&list.open));
    // Whoever has fetched what was hinted at took it for what was said of it.
    let goes_on = place.is_some_and(|place| place < list.segments.len()) || !list.ended;
    let is_told = !last.open.parts.is_empty() || last.hint.is_some() && goes_on;
    if let Some(now) = now.filter(|_| is_told) {
        same_parts(&last.open, now, faults);
    }
    dates(last, list, removed, faults);
    if let Some(hint) = &last.hint {
        hint_kept(last, list, hint, place, faults);
    }
}

fn kept(was: &Listed, is: &Listed, faults: &mut Faults) {
    let same = was.uri == is.uri
        && was.duration == is.duration
        && was.map == is.map
        && was.gap == is.gap
        && was.discontinuity == is.discontinuity;
    faults.check(same, Rule::Changed, || format!("{} is now {}", was.uri, is.uri));
    // Old parts are listed no longer, which is fine.
    if !is.parts.is_empty() && was.parts != is.parts {
        faults.add(Rule::Changed, || format!("the parts of {} differ", is.uri));
    }
}

fn same_parts(was: &Listed, is: &Listed, faults: &mut Faults) {
    let kept = is.parts.starts_with(&was.parts) || (is.parts.is_empty() && !is.uri.is_empty());
    let same = kept && was.map == is.map && was.discontinuity == is.discontinuity;
    faults.check(same, Rule::Changed, || "parts of the segment in progress differ".into());
}

/// The dates of what is in both playlists, by the durations before them.
fn dates(last: &Playlist, list: &Playlist, removed: usize, faults: &mut Faults) {
    let (mut known, mut was_gap) = (None, false);
    for (index, was) in last.segments.iter().enumerate() {
        let goes_on = !was.discontinuity && !was.gap && !was_gap;
        was_gap = was.gap;
        known = was.date.or(known.filter(|_| goes_on));
        let is = index.checked_sub(removed).and_then(|index| list.segments.get(index));
        if let (Some(known), Some(date)) = (known, is.and_then(|is| is.date)) {
            near(known, date, &was.uri, faults);
        }
        known = known.map(|known| known + was.duration);
    }
}

/// Whoever asked for the part that was hinted at has to get the one that came next.
fn hint_kept(
    last: &Playlist,
    list: &Playlist,
    hint: &str,
    place: Option<usize>,
    faults: &mut Faults,
) {
    let Some(place) = place else { return };
    let mut next = list.segments.iter().chain([&list.open]).skip(place);
    let first = next.next();
    let before = last.open.parts.len();
    let came = first.and_then(|segment| segment.parts.get(before));
    let listed = came.map(|part| part.uri.as_str());
    // Nothing new in that segment: either nothing came at all, or it was complete without another part.
    let ended_short =
        first.is_some_and(|s| !s.uri.is_empty() && s.parts.len() == before && before > 0);
    let kept = match listed {
        Some(uri) => uri == hint,
        None if ended_short => list.ended,
        None => {
            let unlisted = first.is_some_and(|segment| segment.parts.is_empty());
            list.ended
                || list.hint.as_deref() == Some(hint)
                || (unlisted && place < list.segments.len())
        }
    };
    faults.check(kept, Rule::Hint, || format!("{hint} was hinted at and did not come"));
}
