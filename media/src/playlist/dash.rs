//! DASH manifests (ISO/IEC 23009-1): `SegmentTemplate` with `SegmentTimeline` and `$Number$`.
//!
//! What is listed is what there is, and with low latency the segment in progress too, which is served as
//! it grows. How long that one will be is not known, and both players in use mind a duration that turns
//! out too short more than one that turns out too long:
//!
//! - dash.js asks for the segment that holds the end of the last one plus 10 ms. If that end was said
//!   too early, this is the same segment, and it is loaded twice. If it was said too late, it is still
//!   the next one, unless it is too late by more than that one's length.
//! - shaka-player keeps what it read and appends entries that end later than its last one. An end that
//!   moves back by little changes nothing; one that moves on appends the same segment again.
//!
//! So the segment in progress is said to be as long as the longest of those before it in its period, and
//! a little more, and it is left out as long as there is none before it. A period begins to be listed
//! with its first complete segment; an empty `SegmentTimeline` is an error to dash.js.
//!
//! `availabilityTimeOffset` is the longest segment less one part: shaka-player takes the live edge for
//! now, less the longest segment, plus this. dash.js asks for a listed segment once its end, less this,
//! has passed; which it has when its first part is there. `availabilityTimeComplete="false"` is what
//! turns low latency on in dash.js, and an offset above zero in shaka-player.
//!
//! Unless told otherwise shaka-player takes the end of the last entry for the time at which it read the
//! manifest. With low latency that is the end of the segment in progress, which lies ahead by what it still
//! lacks, and the longest segment less a part is added once more. `suggestedPresentationDelay` makes up for
//! it, so that playback begins behind what there is: too near the end it stops at each segment. So shaka-player
//! is one segment further behind where that one has just ended than where it has just begun. dash.js has
//! the latency it shall keep from `ServiceDescription`, which goes first.
//!
//! `Period@start` and `presentationTimeOffset` must not change while a period is listed (shaka-player
//! corrects for it and complains), so they come from the period and not from its first listed segment.

use super::names::{File, Rendition, Run};
use super::text::{date_time, decimal, padded};
use super::{Segment, Track};
use std::collections::VecDeque;
use std::ops::Range;

/// How much longer than its forerunners the segment in progress is said to be: two frames of sound, by
/// which segments differ that follow the same pictures.
const OPEN_MARGIN: i64 = 50_000;
/// Parts that shaka-player is behind at least: it loads what is there of the segment in progress at once,
/// and hears of the next one up to `UPDATE_LOW_LATENCY` after its first part.
const PARTS_BEHIND: i64 = 5;
/// How often players look for a new segment, with low latency. While they load the one in progress they
/// have to hear of the next one before it is over.
const UPDATE_LOW_LATENCY: i64 = 500_000;

/// A manifest.
#[derive(Clone, Debug)]
pub struct Manifest<'a> {
    /// Of which life of the stream.
    pub run: Run,
    /// What stands before each file's name, as `talk/`.
    pub prefix: &'a str,
    /// The stream's periods of which segments are listed, oldest first.
    pub periods: &'a [Period<'a>],
    /// The pictures' segments.
    pub video: Option<Listed<'a>>,
    /// The sound's segments, numbered as the pictures'.
    pub audio: Option<Listed<'a>>,
    /// When the stream began, in microseconds since 1970. The same for all of a run.
    pub began: i64,
    /// When what it says became true, in microseconds since 1970.
    pub published: i64,
    /// How far back segments are kept.
    pub window: i64,
    /// Seconds that no segment is longer than, once rounded.
    pub target_duration: u32,
    /// How long the longest part is; none without low latency.
    pub part_target: Option<i64>,
    /// How far behind the live edge players shall stay.
    pub latency: i64,
    /// Where players learn what time it is here.
    pub clock: Option<Clock<'a>>,
    /// Whether each segment begins with a keyframe.
    pub independent: bool,
    /// Whether nothing comes any more.
    pub ended: bool,
}

/// A span without discontinuity, with the same configurations.
#[derive(Clone, Copy, Debug)]
pub struct Period<'a> {
    /// Its name; numbers that rise from period to period do.
    pub id: u64,
    /// The number of its first segment, whether that is still listed or not.
    pub first: u64,
    /// When its first segment began, on the stream's own clock.
    pub start: i64,
    /// When that was, in microseconds since 1970, and not before the end of the period before it.
    pub wall: i64,
    /// The pictures, if there are any in it.
    pub video: Option<Track<'a>>,
    /// The sound, if there is any in it.
    pub audio: Option<Track<'a>>,
}

/// The segments of a rendition.
#[derive(Clone, Copy, Debug)]
pub struct Listed<'a> {
    /// Those that are complete, oldest first. Players count them by their entries, so that none can be
    /// left out between two: those before a gap are not listed any more when there is one behind it.
    pub segments: &'a VecDeque<Segment>,
    /// The one in progress.
    pub open: Option<&'a Segment>,
    /// Ticks a second of the times in its files.
    pub timescale: u32,
}

impl<'a> Listed<'a> {
    /// The newest ones without a gap.
    fn whole(&self) -> impl DoubleEndedIterator<Item = &'a Segment> + use<'a> {
        let gap = |segment: &Segment| segment.is_gap;
        let end =
            self.segments.iter().rposition(|segment| !gap(segment)).map_or(0, |last| last + 1);
        let before = self.segments.range(..end).rposition(gap);
        self.segments.range(before.map_or(0, |gap| gap + 1)..end)
    }
}

/// How players learn what time it is. Not in the manifest itself: its text is shared and may be old.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Clock<'a> {
    /// From the `Date` of the answer to a HEAD of this URL, which has whole seconds.
    Head(&'a str),
    /// From the answer to a GET of this URL, which is a date as in ISO 8601.
    Iso(&'a str),
}

impl Manifest<'_> {
    /// The manifest, or nothing as long as there is no complete segment to begin with.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let mut out = String::with_capacity(2048);
        self.head(&mut out);
        let mut any = false;
        for (index, period) in self.periods.iter().enumerate() {
            let next = self.periods.get(index + 1);
            any |= self.period(period, next, &mut out);
        }
        if let Some(clock) = self.clock.filter(|_| !self.ended) {
            let (scheme, url) = match clock {
                Clock::Head(url) => ("http-head", url),
                Clock::Iso(url) => ("http-iso", url),
            };
            out.push_str("  <UTCTiming schemeIdUri=\"urn:mpeg:dash:utc:");
            out.push_str(scheme);
            out.push_str(":2014\" value=\"");
            escaped(url, &mut out);
            out.push_str("\"/>\n");
        }
        out.push_str("</MPD>\n");
        any.then_some(out)
    }

    fn head(&self, out: &mut String) {
        out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        out.push_str("<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\"");
        out.push_str(" profiles=\"urn:mpeg:dash:profile:isoff-live:2011\"");
        if self.ended {
            out.push_str(" type=\"static\"");
            duration("mediaPresentationDuration", self.end(), out);
        } else {
            out.push_str(" type=\"dynamic\" availabilityStartTime=\"");
            date_time(self.began, out);
            out.push_str("\" publishTime=\"");
            date_time(self.published, out);
            out.push('"');
            let update = match self.part_target {
                Some(_) => UPDATE_LOW_LATENCY,
                None => i64::from(self.target_duration) * 1_000_000,
            };
            duration("minimumUpdatePeriod", update, out);
            duration("timeShiftBufferDepth", self.window, out);
            duration("suggestedPresentationDelay", self.delay(), out);
        }
        duration("maxSegmentDuration", self.longest(), out);
        duration("minBufferTime", self.part_target.unwrap_or(1_000_000), out);
        out.push_str(">\n");
        if self.part_target.is_some() && !self.ended {
            out.push_str("  <ServiceDescription id=\"0\">\n    <Latency target=\"");
            decimal(self.latency.max(0).unsigned_abs() / 1000, out);
            out.push_str("\"/>\n    <PlaybackRate min=\"0.96\" max=\"1.04\"/>\n");
            out.push_str("  </ServiceDescription>\n");
        }
    }

    /// No segment is longer: the target duration is one rounded.
    fn longest(&self) -> i64 {
        i64::from(self.target_duration) * 1_000_000 + 500_000 + OPEN_MARGIN
    }

    /// How far behind the live edge players are that know nothing of a target latency.
    fn delay(&self) -> i64 {
        let Some(part) = self.part_target else { return self.latency };
        let lists = [self.video, self.audio];
        let segments = lists.iter().flatten().flat_map(|listed| listed.segments);
        let longest = segments.map(|segment| segment.duration).max().unwrap_or(0);
        let ahead = longest.saturating_add(OPEN_MARGIN).saturating_mul(2).saturating_sub(part);
        ahead.saturating_add(part.saturating_mul(PARTS_BEHIND))
    }

    /// When the last listed segment ends, from the beginning of the stream.
    fn end(&self) -> i64 {
        let Some(period) = self.periods.last() else { return 0 };
        let lists = [self.video, self.audio];
        let ends = lists.iter().flatten().filter_map(|listed| listed.whole().next_back());
        let end = ends.map(|last| last.start.saturating_add(last.duration)).max();
        let length = end.unwrap_or(period.start).saturating_sub(period.start).max(0);
        self.begins(period).saturating_add(length)
    }

    /// When a period begins, from the beginning of the stream.
    fn begins(&self, period: &Period) -> i64 {
        period.wall.saturating_sub(self.began).max(0)
    }

    /// Appends a period, unless none of its segments is complete.
    fn period(&self, period: &Period, next: Option<&Period>, out: &mut String) -> bool {
        let numbers = period.first..next.map_or(u64::MAX, |next| next.first);
        let video = first_of(self.video, period.video, &numbers);
        let audio = first_of(self.audio, period.audio, &numbers);
        if video.is_none() && audio.is_none() {
            return false;
        }
        out.push_str("  <Period id=\"");
        decimal(period.id, out);
        out.push('"');
        duration("start", self.begins(period), out);
        out.push_str(">\n");
        for (rendition, set) in [(Rendition::Video, video), (Rendition::Audio, audio)] {
            let Some((listed, track, first)) = set else { continue };
            self.adaptation_set(rendition, &track, out);
            let times = (listed.timescale, period.start);
            self.template(rendition, times, (first.number, first.epoch), out);
            self.timeline(&listed, numbers.clone(), out);
            out.push_str("        </SegmentTemplate>\n      </Representation>\n");
            out.push_str("    </AdaptationSet>\n");
        }
        out.push_str("  </Period>\n");
        true
    }

    fn adaptation_set(&self, rendition: Rendition, track: &Track, out: &mut String) {
        let (name, info) = (rendition.name(), track.info);
        out.push_str("    <AdaptationSet id=\"");
        out.push_str(if rendition == Rendition::Video { "1" } else { "2" });
        out.push_str("\" contentType=\"");
        out.push_str(name);
        out.push_str("\" mimeType=\"");
        out.push_str(rendition.mime_type());
        out.push_str("\" segmentAlignment=\"true");
        out.push_str(if self.independent { "\" startWithSAP=\"1\">\n" } else { "\">\n" });
        out.push_str("      <Representation id=\"");
        out.push_str(name);
        out.push_str("\" bandwidth=\"");
        decimal(track.peak.max(track.average).max(1), out);
        out.push('"');
        if !info.codec_string.is_empty() {
            out.push_str(" codecs=\"");
            escaped(&info.codec_string, out);
            out.push('"');
        }
        if rendition == Rendition::Video {
            if let (Some(width), Some(height)) = (info.width, info.height) {
                number("width", width.into(), out);
                number("height", height.into(), out);
            }
            if let Some((rate, divisor)) = info.frame_rate.and_then(rational) {
                number("frameRate", rate, out);
                if divisor > 1 {
                    out.pop();
                    out.push('/');
                    decimal(divisor, out);
                    out.push('"');
                }
            }
        } else if let Some(rate) = info.sample_rate {
            number("audioSamplingRate", rate.into(), out);
        }
        out.push_str(">\n");
        if let Some(channels) = info.channels.filter(|_| rendition == Rendition::Audio) {
            out.push_str("        <AudioChannelConfiguration schemeIdUri=\"");
            out.push_str("urn:mpeg:dash:23003:3:audio_channel_configuration:2011\" value=\"");
            decimal(channels.into(), out);
            out.push_str("\"/>\n");
        }
    }

    fn template(
        &self,
        rendition: Rendition,
        (timescale, start): (u32, i64),
        (first, epoch): (u64, u32),
        out: &mut String,
    ) {
        let run = self.run;
        out.push_str("        <SegmentTemplate");
        number("timescale", timescale.into(), out);
        number("presentationTimeOffset", ticks(start, timescale), out);
        number("startNumber", first, out);
        if let Some(part) = self.part_target.filter(|_| !self.ended) {
            out.push_str(" availabilityTimeOffset=\"");
            plain_seconds(self.longest().saturating_sub(part), out);
            out.push_str("\" availabilityTimeComplete=\"false\"");
        }
        out.push_str(" initialization=\"");
        prefixed(self.prefix, out);
        File::Init { rendition, run, epoch }.append(out);
        out.push_str("\" media=\"");
        prefixed(self.prefix, out);
        // The name with its number put in by the player.
        let before = out.len();
        File::Segment { rendition, run, number: 0 }.append(out);
        let tail = 1 + rendition.extension().len();
        out.truncate(out.len().saturating_sub(tail).max(before));
        out.push_str("$Number$");
        out.push_str(rendition.extension());
        out.push_str("\">\n");
    }

    fn timeline(&self, listed: &Listed, numbers: Range<u64>, out: &mut String) {
        out.push_str("          <SegmentTimeline>\n");
        let scale = listed.timescale;
        let mut timeline = Timeline::default();
        let mut longest = 0;
        for segment in listed.whole().filter(|s| numbers.contains(&s.number)) {
            longest = longest.max(segment.duration);
            let end = segment.start.saturating_add(segment.duration);
            timeline.add(ticks(segment.start, scale), ticks(end, scale), out);
        }
        let low_latency = self.part_target.is_some() && !self.ended;
        let is_next = |open: &&Segment| {
            listed
                .segments
                .back()
                .is_some_and(|last| !last.is_gap && last.number + 1 == open.number)
        };
        let open = listed.open.filter(|open| low_latency && !open.parts.is_empty());
        let open = open.filter(is_next);
        if let Some(open) = open.filter(|open| numbers.contains(&open.number)) {
            let length = longest.max(open.duration).saturating_add(OPEN_MARGIN);
            let end = open.start.saturating_add(length);
            timeline.add(ticks(open.start, scale), ticks(end, scale), out);
        }
        timeline.finish(out);
        out.push_str("          </SegmentTimeline>\n");
    }
}

/// A rendition with its track and its first segment in a period, if it has any there.
fn first_of<'a>(
    listed: Option<Listed<'a>>,
    track: Option<Track<'a>>,
    numbers: &Range<u64>,
) -> Option<(Listed<'a>, Track<'a>, &'a Segment)> {
    let listed = listed?;
    let first = listed.whole().find(|segment| numbers.contains(&segment.number))?;
    Some((listed, track?, first))
}

/// Entries of a `SegmentTimeline`, where equal ones that follow each other are one with a count.
#[derive(Default)]
struct Timeline {
    run: Option<Entry>,
    /// Where the entries written so far end.
    end: Option<u64>,
}

struct Entry {
    start: u64,
    duration: u64,
    repeated: u64,
}

impl Entry {
    fn end(&self) -> u64 {
        self.start.saturating_add(self.duration.saturating_mul(self.repeated + 1))
    }
}

impl Timeline {
    fn add(&mut self, start: u64, end: u64, out: &mut String) {
        // An entry of no duration is passed over by players, which then count wrong.
        let duration = end.saturating_sub(start).max(1);
        if let Some(run) = &mut self.run {
            let run_end = run.end();
            if run_end == start && run.duration == duration {
                run.repeated += 1;
                return;
            }
        }
        self.finish(out);
        self.run = Some(Entry { start, duration, repeated: 0 });
    }

    fn finish(&mut self, out: &mut String) {
        let Some(entry) = self.run.take() else { return };
        let end = entry.end();
        let Entry { start, duration, repeated } = entry;
        out.push_str("            <S");
        if self.end != Some(start) {
            number("t", start, out);
        }
        number("d", duration, out);
        if repeated > 0 {
            number("r", repeated, out);
        }
        out.push_str("/>\n");
        self.end = Some(end);
    }
}

/// A time in ticks, to the nearest: times of sound are whole samples that were cut to microseconds.
fn ticks(micros: i64, timescale: u32) -> u64 {
    let ticks = i128::from(micros.max(0)) * i128::from(timescale);
    u64::try_from((ticks + 500_000) / 1_000_000).unwrap_or(u64::MAX)
}

/// A rate as a fraction: whole, or as television has it, or in thousandths.
fn rational(rate: f64) -> Option<(u64, u64)> {
    if !(rate.is_finite() && (0.001..=1000.0).contains(&rate)) {
        return None;
    }
    let whole = |rate: f64| ((rate - rate.round()).abs() < 0.001).then_some(rate.round() as u64);
    let whole_rate = whole(rate).filter(|rate| *rate > 0).map(|rate| (rate, 1));
    let television = || whole(rate * 1.001).filter(|r| *r > 0).map(|rate| (rate * 1000, 1001));
    whole_rate.or_else(television).or(Some(((rate * 1000.0).round() as u64, 1000)))
}

fn number(name: &str, value: u64, out: &mut String) {
    out.push(' ');
    out.push_str(name);
    out.push_str("=\"");
    decimal(value, out);
    out.push('"');
}

fn duration(name: &str, micros: i64, out: &mut String) {
    out.push(' ');
    out.push_str(name);
    out.push_str("=\"PT");
    plain_seconds(micros, out);
    out.push_str("S\"");
}

/// Seconds with milliseconds.
fn plain_seconds(micros: i64, out: &mut String) {
    let millis = micros.max(0).unsigned_abs() / 1000;
    decimal(millis / 1000, out);
    if !millis.is_multiple_of(1000) {
        out.push('.');
        padded(millis % 1000, 3, out);
    }
}

/// What stands before a file's name in a template, where a `$` is written twice.
fn prefixed(prefix: &str, out: &mut String) {
    for (index, piece) in prefix.split('$').enumerate() {
        out.push_str(if index > 0 { "$$" } else { "" });
        escaped(piece, out);
    }
}

/// A text as the value of an attribute. Characters that XML doesn't have are left out.
fn escaped(text: &str, out: &mut String) {
    for char in text.chars().filter(|char| !char.is_control()) {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => {}
            char => out.push(char),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
#[path = "dash_tests.rs"]
mod tests;
