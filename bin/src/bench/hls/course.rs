//! What a viewer of one list asks for next. Pure: texts and times in, requests out.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use media::playlist::lint::read::{Listed, ListedPart, Playlist, read};

/// Target durations that players stay behind the end of a list that does not say how far.
const HOLD_BACK: i64 = 3;

/// What is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    /// The list.
    List,
    /// What a decoder begins with.
    Init,
    /// So many microseconds of media.
    Media(i64),
}

impl What {
    /// For reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::List => "playlist",
            Self::Init => "init segment",
            Self::Media(_) => "segment or part",
        }
    }
}

/// A request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ask {
    /// For what.
    pub what: What,
    /// Where, as the list has it; the list itself with its directives.
    pub uri: String,
}

/// What to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Next {
    /// Ask.
    Ask(Ask),
    /// Nothing before then.
    Wait(Instant),
    /// The list has ended, and all of it was asked for.
    Over,
}

/// A viewer's place in a list.
///
/// It begins as far behind the end as the list asks for, then takes every segment once, or every part with
/// low latency. Nothing is asked for twice.
#[derive(Debug)]
pub struct Course {
    list: String,
    low_latency: bool,
    files: VecDeque<Ask>,
    /// The init segment that was asked for last.
    map: Option<String>,
    /// The segment and its part that come next; nothing before the first list.
    next: Option<(u64, usize)>,
    /// When the list may be asked for again.
    reload_at: Option<Instant>,
    is_over: bool,
    /// Microseconds of the files it begins with that are still to come, and that came.
    beginning: [i64; 2],
    /// When all that it has is shown.
    shown: Option<Instant>,
    /// What comes at once: a target duration, or that of parts.
    pub lump: i64,
    /// Files that were late.
    pub late: u64,
    /// Segments that were gone.
    pub missed: u64,
}

fn micros(time: i64) -> Duration {
    Duration::from_micros(u64::try_from(time).unwrap_or(0))
}

impl Course {
    /// Before the first list, which is at `list`.
    pub fn new(list: String, low_latency: bool) -> Self {
        Self {
            list,
            low_latency,
            files: VecDeque::new(),
            map: None,
            next: None,
            reload_at: None,
            is_over: false,
            beginning: [0; 2],
            shown: None,
            lump: 0,
            late: 0,
            missed: 0,
        }
    }

    /// What to do next.
    pub fn next(&mut self, now: Instant) -> Next {
        if let Some(file) = self.files.pop_front() {
            return Next::Ask(file);
        }
        if self.is_over {
            return Next::Over;
        }
        if let Some(at) = self.reload_at.filter(|at| *at > now) {
            return Next::Wait(at);
        }
        let mut uri = self.list.clone();
        if let Some((segment, part)) = self.next.filter(|_| self.low_latency) {
            let mark = if uri.contains('?') { '&' } else { '?' };
            uri += &format!("{mark}_HLS_msn={segment}&_HLS_part={part}");
        }
        Next::Ask(Ask { what: What::List, uri })
    }

    /// The list has come, asked for at `asked`.
    pub fn listed(&mut self, text: &str, asked: Instant) -> Result<(), String> {
        let list = read(text)?;
        if list.target <= 0 {
            return Err("it has no target duration".into());
        }
        let blocks = list.control.as_ref().is_some_and(|control| control.blocks);
        if self.low_latency && (!blocks || list.part_target.is_none()) {
            return Err("it has no parts, or requests for it cannot wait: no low latency".into());
        }
        let before = self.files.len();
        let is_first = self.beginning == [0, 0];
        self.is_over = list.ended;
        if self.low_latency {
            self.lump = list.part_target.unwrap_or(list.target);
            self.follow_parts(&list);
        } else {
            self.lump = list.target;
            self.follow_segments(&list);
            // RFC 8216, 6.3.4: not before a target duration, or half of it where nothing was new.
            let has_grown = self.files.len() > before;
            let wait = if has_grown { list.target } else { list.target / 2 };
            self.reload_at = Some(asked + micros(wait));
        }
        if is_first {
            let media = self.files.iter().map(|file| match file.what {
                What::Media(duration) => duration,
                _ => 0,
            });
            self.beginning = [media.sum(), 0];
        }
        Ok(())
    }

    /// Asks for the list again no sooner than after a pause: it was refused.
    pub fn refused(&mut self, now: Instant, pause: Duration) {
        self.reload_at = Some(now + pause);
    }

    /// A file is whole. What it begins with is shown from when all of that is there, as far behind the end
    /// as the list asks for; from then on each file has to be there before all others were shown.
    pub fn whole(&mut self, duration: i64, now: Instant) {
        let [left, came] = &mut self.beginning;
        if *left > 0 {
            *left -= duration;
            *came += duration;
            self.shown = (*left <= 0).then(|| now + micros(*came));
            return;
        }
        let Some(shown) = self.shown else { return };
        self.late += u64::from(now > shown);
        self.shown = Some(shown.max(now) + micros(duration));
    }

    fn ask(&mut self, map: Option<&String>, uri: &str, duration: i64) {
        if let Some(map) = map.filter(|map| self.map.as_ref() != Some(map)) {
            self.map = Some(map.clone());
            self.files.push_back(Ask { what: What::Init, uri: map.clone() });
        }
        self.files.push_back(Ask { what: What::Media(duration), uri: uri.to_owned() });
    }

    /// The place to go on from, in a list that begins with segment `first`.
    fn place(&mut self, first: u64, begin: impl FnOnce() -> (u64, usize)) -> (u64, usize) {
        let (segment, part) = self.next.unwrap_or_else(begin);
        if segment < first {
            self.missed += first - segment;
            return (first, 0);
        }
        (segment, part)
    }

    fn follow_segments(&mut self, list: &Playlist) {
        let first = list.sequence + list.skipped as u64;
        let hold_back = list.control.as_ref().and_then(|control| control.hold_back);
        let hold_back = hold_back.unwrap_or(list.target * HOLD_BACK);
        let (from, _) = self.place(first, || {
            let mut behind = 0;
            let later = list.segments.iter().rev().take_while(|segment| {
                let is_far = behind >= hold_back;
                behind += segment.duration;
                !is_far
            });
            (first + (list.segments.len() - later.count()) as u64, 0)
        });
        let mut map = None;
        let mut next = from;
        for (number, segment) in (first..).zip(&list.segments) {
            map = segment.map.as_ref().or(map);
            if number >= from {
                self.ask(map, &segment.uri, segment.duration);
                next = number + 1;
            }
        }
        self.next = Some((next, 0));
    }

    fn follow_parts(&mut self, list: &Playlist) {
        let first = list.sequence + list.skipped as u64;
        let after = first + list.segments.len() as u64;
        let all = || (first..).zip(list.segments.iter().chain([&list.open]));
        let hold_back = list.control.as_ref().and_then(|control| control.part_hold_back);
        let (from, mut part) =
            self.place(first, || Self::begin(all(), hold_back).unwrap_or((after, 0)));
        let mut map = None;
        let mut next = (from, part);
        for (number, segment) in all() {
            map = segment.map.as_ref().or(map);
            if number < from {
                continue;
            }
            if number > from {
                part = 0;
            }
            let is_complete = number < after;
            if is_complete && segment.parts.is_empty() && part == 0 {
                // Its parts are too old to be listed.
                self.ask(map, &segment.uri, segment.duration);
            }
            for ListedPart { uri, duration, .. } in segment.parts.iter().skip(part) {
                self.ask(map, uri, *duration);
            }
            next =
                if is_complete { (number + 1, 0) } else { (number, part.max(segment.parts.len())) };
        }
        self.next = Some(next);
    }

    /// The last part that a decoder can begin with and that is far enough behind the end; or the last one.
    fn begin<'a>(
        all: impl Iterator<Item = (u64, &'a Listed)>,
        hold_back: Option<i64>,
    ) -> Option<(u64, usize)> {
        let mut starts = Vec::new();
        let mut end = 0;
        for (number, segment) in all {
            for (place, part) in segment.parts.iter().enumerate() {
                if part.independent {
                    starts.push((end, number, place));
                }
                end += part.duration;
            }
        }
        let far = starts.iter().rev().find(|(at, ..)| end - at >= hold_back.unwrap_or(0));
        far.or(starts.last()).map(|(_, number, place)| (*number, *place))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A list of two-second segments from `first` on; the last ones with parts of half a second, the first
    /// of each independent.
    fn list(first: u64, segments: u64, open_parts: usize) -> String {
        let mut text = format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{first}\n\
             #EXT-X-PART-INF:PART-TARGET=0.5\n\
             #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.5\n\
             #EXT-X-MAP:URI=\"init\"\n"
        );
        let parts = |text: &mut String, number: u64, count: usize| {
            for part in 0..count {
                let key = if part == 0 { ",INDEPENDENT=YES" } else { "" };
                *text += &format!("#EXT-X-PART:DURATION=0.5,URI=\"{number}.{part}\"{key}\n");
            }
        };
        for number in first..first + segments {
            if number + 2 >= first + segments {
                parts(&mut text, number, 4);
            }
            text += &format!("#EXTINF:2,\n{number}\n");
        }
        parts(&mut text, first + segments, open_parts);
        text
    }

    /// Everything it asks for now.
    fn asks(course: &mut Course, now: Instant) -> (Vec<String>, Next) {
        let mut uris = Vec::new();
        loop {
            match course.next(now) {
                Next::Ask(Ask { what: What::Init | What::Media(_), uri }) => uris.push(uri),
                next => return (uris, next),
            }
        }
    }

    fn reload(uri: &str) -> Next {
        Next::Ask(Ask { what: What::List, uri: uri.into() })
    }

    #[test]
    fn each_segment_is_asked_for_once_from_three_target_durations_behind() {
        let now = Instant::now();
        let mut course = Course::new("l".into(), false);
        assert_eq!(course.next(now), reload("l"));
        course.listed(&list(10, 8, 1), now).unwrap();
        let wait = |seconds| Next::Wait(now + Duration::from_secs(seconds));
        assert_eq!(
            asks(&mut course, now),
            (["init", "15", "16", "17"].map(str::to_owned).into(), wait(2))
        );
        course.listed(&list(10, 8, 3), now).unwrap();
        assert_eq!(asks(&mut course, now), (vec![], wait(1)), "half of it where nothing was new");
        let later = now + Duration::from_secs(1);
        assert_eq!(course.next(later), reload("l"));
        course.listed(&list(11, 8, 0), later).unwrap();
        assert_eq!(asks(&mut course, later).0, ["18"]);
        course.listed(&list(21, 3, 0), later).unwrap();
        assert_eq!((asks(&mut course, later).0.len(), course.missed), (3, 2));
        course.listed(&(list(24, 1, 0) + "#EXT-X-ENDLIST\n"), later).unwrap();
        assert_eq!(asks(&mut course, later), (vec!["24".into()], Next::Over));
    }

    #[test]
    fn each_part_is_asked_for_once_and_the_next_is_waited_for() {
        let now = Instant::now();
        let mut course = Course::new("l?k=v".into(), true);
        course.listed(&list(10, 8, 2), now).unwrap();
        // A second of the open segment is too little behind.
        let (files, next) = asks(&mut course, now);
        assert_eq!(files, ["init", "17.0", "17.1", "17.2", "17.3", "18.0", "18.1"]);
        assert_eq!(next, reload("l?k=v&_HLS_msn=18&_HLS_part=2"));
        course.listed(&list(10, 8, 3), now).unwrap();
        assert_eq!(asks(&mut course, now).0, ["18.2"]);
        course.listed(&list(11, 8, 0), now).unwrap();
        assert_eq!(
            asks(&mut course, now),
            (vec!["18.3".into()], reload("l?k=v&_HLS_msn=19&_HLS_part=0"))
        );
        let plain = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n1\n";
        assert!(course.listed(plain, now).unwrap_err().contains("low latency"));
    }

    #[test]
    fn a_file_is_late_when_all_before_it_was_shown() {
        let now = Instant::now();
        let at = |millis| now + Duration::from_millis(millis);
        let mut course = Course::new("l".into(), false);
        course.listed(&list(0, 3, 0), now).unwrap();
        for _ in 0..3 {
            course.whole(2_000_000, at(100));
        }
        course.whole(2_000_000, at(6_050));
        assert_eq!(course.late, 0);
        course.whole(2_000_000, at(9_000));
        assert_eq!(course.late, 1, "all was shown at 8.1 s");
        course.whole(2_000_000, at(10_900));
        assert_eq!(course.late, 1, "it went on at 9 s");
    }
}
