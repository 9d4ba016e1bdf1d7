//! HLS playlists: RFC 8216, and low latency as in draft-pantos-hls-rfc8216bis.

use super::names::{File, Rendition, Run};
use super::reload::State;
use super::text::{date_time, decimal, padded, quoted, seconds, unquoted};
use super::{Segment, Track};
use std::collections::VecDeque;

/// Target durations from the end of a playlist within which parts are listed (6.2.2: they should be
/// removed when they are further away).
const PARTS_FOR: i64 = 3;
/// Target durations from the end of a playlist that a delta update always lists (4.4.3.8: at least 6).
const SKIP_BOUNDARY: i64 = 6;

/// A media playlist.
#[derive(Clone, Debug)]
pub struct Media<'a> {
    /// Of which rendition.
    pub rendition: Rendition,
    /// Of which life of the stream.
    pub run: Run,
    /// What stands before each file's name; empty where the playlist is in the same folder.
    pub prefix: &'a str,
    /// Seconds that no segment is longer than, once rounded. The same for all of a run.
    pub target_duration: u32,
    /// How long the longest part is; none without low latency, and no parts are listed then.
    pub part_target: Option<i64>,
    /// How far behind the end players shall stay. Three parts at least, whatever is said here.
    pub part_hold_back: i64,
    /// The segments that are complete, oldest first.
    pub segments: &'a VecDeque<Segment>,
    /// The one in progress, which comes after them. Left out where the stream has ended: a segment that
    /// will never be complete can't be listed.
    pub open: Option<&'a Segment>,
    /// How many of the segments that are no longer listed began with a discontinuity.
    pub discontinuity_sequence: u64,
    /// Whether nothing comes any more.
    pub ended: bool,
    /// Whether each segment begins with a keyframe.
    pub independent: bool,
    /// Where the other renditions are; of use with low latency only.
    pub reports: &'a [Report],
    /// Whether to leave out the older segments, as a player asks that knows them.
    pub skip: bool,
}

/// How far another rendition is, so that a player that switches to it need not ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Report {
    /// Which one.
    pub rendition: Rendition,
    /// How far it is, from [`Media::last`] of its playlist.
    pub last: Last,
}

/// The last segment of a playlist, or the one its last part belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Last {
    /// Its number.
    pub number: u64,
    /// The last part of it, if parts are listed.
    pub part: Option<u32>,
}

impl Media<'_> {
    /// The playlist.
    #[must_use]
    pub fn text(&self) -> String {
        let parts: usize = self.segments.iter().rev().take(8).map(|s| s.parts.len()).sum();
        let open = self.open.map_or(0, |open| open.parts.len());
        let mut out = String::with_capacity(512 + 80 * (self.segments.len() + parts + open));
        self.append(&mut out);
        out
    }

    /// Appends the playlist.
    pub fn append(&self, out: &mut String) {
        let open = self.open.filter(|_| self.part_target.is_some() && !self.ended);
        let open_duration = open.map_or(0, |open| open.duration);
        let total = self.segments.iter().map(|segment| segment.duration);
        let total = total.fold(open_duration, i64::saturating_add);
        let skipped = if self.skip && !self.ended { self.skippable(total) } else { 0 };

        self.head(skipped > 0, out);
        if skipped > 0 {
            out.push_str("#EXT-X-SKIP:SKIPPED-SEGMENTS=");
            decimal(skipped as u64, out);
            out.push('\n');
        }
        // The tags of what is skipped are skipped with it: the player has them.
        let before = skipped.checked_sub(1).and_then(|last| self.segments.get(last));
        let mut epoch = before.map(|segment| segment.epoch);
        let mut dated = before.is_some_and(|segment| !segment.is_gap);
        let (mut end, target) = (0_i64, i64::from(self.target_duration) * 1_000_000);
        for (index, segment) in self.segments.iter().enumerate() {
            end = end.saturating_add(segment.duration);
            if index < skipped {
                continue;
            }
            self.begin(segment, &mut epoch, &mut dated, out);
            if segment.is_gap {
                out.push_str("#EXT-X-GAP\n");
            }
            if self.part_target.is_some() && total.saturating_sub(end) < target * PARTS_FOR {
                self.parts(segment, out);
            }
            out.push_str("#EXTINF:");
            seconds(segment.duration, out);
            out.push_str(",\n");
            self.name(segment_file(self.rendition, self.run, segment.number), out);
            out.push('\n');
        }
        if let Some(open) = open {
            // Also before its first part is there: who fetches what is hinted at has to know which
            // init segment it needs.
            self.begin(open, &mut epoch, &mut dated, out);
            self.parts(open, out);
            out.push_str("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"");
            self.name(self.part_file(open.number, open.parts.len()), out);
            out.push_str("\"\n");
        }
        if self.part_target.is_some() {
            self.reports.iter().for_each(|report| self.report(report, out));
        }
        if self.ended {
            out.push_str("#EXT-X-ENDLIST\n");
        }
    }

    /// The last segment or part listed.
    #[must_use]
    pub fn last(&self) -> Option<Last> {
        let last_part = |segment: &Segment| {
            let parts = u32::try_from(segment.parts.len()).ok()?;
            parts.checked_sub(1).filter(|_| self.part_target.is_some())
        };
        let open = self.open.filter(|open| last_part(open).is_some() && !self.ended);
        let segment = open.or(self.segments.back())?;
        Some(Last { number: segment.number, part: last_part(segment) })
    }

    /// What decides whether a request for it has to wait.
    #[must_use]
    pub fn state(&self) -> State {
        let count = |segment: &Segment| u32::try_from(segment.parts.len()).unwrap_or(u32::MAX);
        let after_last = self.segments.back().map(|last| last.number.saturating_add(1));
        State {
            next: after_last.or(self.open.map(|open| open.number)).unwrap_or(0),
            parts: self.open.map_or(0, count),
            parts_before: self.segments.back().map_or(0, count),
            part_target: self.part_target,
            ended: self.ended,
        }
    }

    /// How many of the first segments end before the skip boundary.
    fn skippable(&self, total: i64) -> usize {
        let kept = i64::from(self.target_duration) * 1_000_000 * SKIP_BOUNDARY;
        let mut end = 0_i64;
        let before = |segment: &&Segment| {
            end = end.saturating_add(segment.duration);
            total.saturating_sub(end) > kept
        };
        self.segments.iter().take_while(before).count()
    }

    fn head(&self, skips: bool, out: &mut String) {
        // The least that knows the tags used, since old players refuse higher ones: 9 for EXT-X-SKIP,
        // 8 for EXT-X-GAP, 6 for EXT-X-MAP, 3 for durations with decimals.
        out.push_str("#EXTM3U\n#EXT-X-VERSION:");
        out.push_str(match self.rendition.has_init() {
            _ if skips => "9",
            _ if self.segments.iter().any(|segment| segment.is_gap) => "8",
            true => "6",
            false => "3",
        });
        out.push_str("\n#EXT-X-TARGETDURATION:");
        decimal(self.target_duration.into(), out);
        if !self.ended {
            let target = i64::from(self.target_duration) * 1_000_000;
            out.push_str("\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=");
            seconds(target * SKIP_BOUNDARY, out);
            out.push_str(",HOLD-BACK=");
            seconds(target * 3, out);
            if let Some(part_target) = self.part_target {
                out.push_str(",PART-HOLD-BACK=");
                seconds(self.part_hold_back.max(part_target.saturating_mul(3)), out);
            }
        }
        if let Some(part_target) = self.part_target {
            out.push_str("\n#EXT-X-PART-INF:PART-TARGET=");
            seconds(part_target, out);
        }
        out.push_str("\n#EXT-X-MEDIA-SEQUENCE:");
        let first = self.segments.front().or(self.open);
        decimal(first.map_or(0, |segment| segment.number), out);
        // Always there, since it must not appear later than the first discontinuity goes.
        out.push_str("\n#EXT-X-DISCONTINUITY-SEQUENCE:");
        decimal(self.discontinuity_sequence, out);
        out.push('\n');
        if self.independent {
            out.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
        }
    }

    /// The tags before a segment or its parts.
    fn begin(
        &self,
        segment: &Segment,
        epoch: &mut Option<u32>,
        dated: &mut bool,
        out: &mut String,
    ) {
        if segment.discontinuity {
            out.push_str("#EXT-X-DISCONTINUITY\n");
        }
        if self.rendition.has_init() && *epoch != Some(segment.epoch) {
            out.push_str("#EXT-X-MAP:URI=\"");
            let (rendition, run, epoch) = (self.rendition, self.run, segment.epoch);
            self.name(File::Init { rendition, run, epoch }, out);
            out.push_str("\"\n");
        }
        *epoch = Some(segment.epoch);
        // When it begins is not known before its first part.
        if segment.duration > 0 && (segment.discontinuity || !*dated) {
            out.push_str("#EXT-X-PROGRAM-DATE-TIME:");
            date_time(segment.wall, out);
            out.push('\n');
        }
        // Segments do not follow each other closely around a gap.
        *dated = !segment.is_gap;
    }

    fn parts(&self, segment: &Segment, out: &mut String) {
        for (index, part) in segment.parts.iter().enumerate() {
            out.push_str("#EXT-X-PART:DURATION=");
            seconds(part.duration, out);
            out.push_str(",URI=\"");
            self.name(self.part_file(segment.number, index), out);
            out.push_str(if part.is_independent { "\",INDEPENDENT=YES\n" } else { "\"\n" });
        }
    }

    fn report(&self, report: &Report, out: &mut String) {
        out.push_str("#EXT-X-RENDITION-REPORT:URI=\"");
        self.name(File::Playlist(report.rendition), out);
        out.push_str("\",LAST-MSN=");
        decimal(report.last.number, out);
        if let Some(part) = report.last.part {
            out.push_str(",LAST-PART=");
            decimal(part.into(), out);
        }
        out.push('\n');
    }

    fn part_file(&self, number: u64, index: usize) -> File {
        let (rendition, run) = (self.rendition, self.run);
        File::Part { rendition, run, number, part: u32::try_from(index).unwrap_or(u32::MAX) }
    }

    fn name(&self, file: File, out: &mut String) {
        unquoted(self.prefix, out);
        file.append(out);
    }
}

const fn segment_file(rendition: Rendition, run: Run, number: u64) -> File {
    File::Segment { rendition, run, number }
}

/// A master playlist, of one quality as its publisher sent it.
#[derive(Clone, Copy, Debug)]
pub struct Master<'a> {
    /// What stands before the name of each media playlist, as `talk/`.
    pub prefix: &'a str,
    /// The pictures, if there are any.
    pub video: Option<Track<'a>>,
    /// The sound, if there is any.
    pub audio: Option<Track<'a>>,
    /// Whether the one variant is MPEG-TS with everything in it.
    pub ts: bool,
}

impl Master<'_> {
    /// The playlist.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::with_capacity(512);
        self.append(&mut out);
        out
    }

    /// Appends the playlist. Without any track there is nothing to play in it.
    pub fn append(&self, out: &mut String) {
        out.push_str(if self.ts {
            "#EXTM3U\n#EXT-X-VERSION:3\n"
        } else {
            "#EXTM3U\n#EXT-X-VERSION:6\n"
        });
        // Sound is a rendition of its own where there are pictures it belongs to; alone it is the variant.
        let group = self.audio.filter(|_| !self.ts && self.video.is_some());
        if let Some(audio) = group {
            out.push_str("#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"audio\"");
            out.push_str(",DEFAULT=YES,AUTOSELECT=YES");
            if let Some(channels) = audio.info.channels {
                out.push_str(",CHANNELS=\"");
                decimal(channels.into(), out);
                out.push('"');
            }
            out.push_str(",URI=\"");
            self.playlist(Rendition::Audio, out);
            out.push_str("\"\n");
        }
        let variant = match (self.ts, self.video.is_some(), self.audio.is_some()) {
            (_, false, false) => return,
            (true, ..) => Rendition::Ts,
            (false, true, _) => Rendition::Video,
            (false, false, true) => Rendition::Audio,
        };
        self.stream_inf(group.is_some(), out);
        self.playlist(variant, out);
        out.push('\n');
    }

    fn stream_inf(&self, grouped: bool, out: &mut String) {
        let tracks = || self.video.iter().chain(self.audio.iter());
        let sum = |of: fn(&Track) -> u64| tracks().map(of).fold(0, u64::saturating_add);
        let (average, peak) = (sum(|track| track.average), sum(|track| track.peak));
        out.push_str("#EXT-X-STREAM-INF:BANDWIDTH=");
        // It must be there, and players divide by it.
        decimal(peak.max(average).max(1), out);
        if average > 0 {
            out.push_str(",AVERAGE-BANDWIDTH=");
            decimal(average, out);
        }
        // All of them or none: a player takes a list for complete.
        if tracks().all(|track| !track.info.codec_string.is_empty()) {
            out.push_str(",CODECS=\"");
            for (index, track) in tracks().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                unquoted(&track.info.codec_string, out);
            }
            out.push('"');
        }
        if let Some(info) = self.video.map(|video| video.info) {
            if let (Some(width), Some(height)) = (info.width, info.height) {
                out.push_str(",RESOLUTION=");
                decimal(width.into(), out);
                out.push('x');
                decimal(height.into(), out);
            }
            if let Some(rate) = info.frame_rate.filter(|rate| rate.is_finite() && *rate > 0.0) {
                let thousandths = (rate * 1000.0).round() as u64;
                out.push_str(",FRAME-RATE=");
                decimal(thousandths / 1000, out);
                out.push('.');
                padded(thousandths % 1000, 3, out);
            }
        }
        if grouped {
            out.push_str(",AUDIO=");
            quoted("audio", out);
        }
        out.push('\n');
    }

    fn playlist(&self, rendition: Rendition, out: &mut String) {
        unquoted(self.prefix, out);
        File::Playlist(rendition).append(out);
    }
}
