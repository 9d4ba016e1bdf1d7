//! Streams that grow part by part, and what is said of them at each step.

use super::hls::{Last, Report};
use super::lint::{Fault, Linter, Rule};
use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;

const WALL: i64 = 1_767_225_600_000_000;

/// A stream as a segmenter has it.
#[derive(Default)]
struct Stream {
    segments: VecDeque<Segment>,
    open: Segment,
    discontinuity_sequence: u64,
    ended: bool,
}

impl Stream {
    fn new() -> Self {
        Self { open: Segment { wall: WALL, ..Segment::default() }, ..Self::default() }
    }

    fn part(&mut self, duration: i64) {
        let is_independent = self.open.parts.is_empty();
        self.open.parts.push(Part { duration, is_independent });
        self.open.duration += duration;
    }

    fn close(&mut self, window: usize, discontinuity: bool) {
        let Segment { number, start, duration, epoch, wall, .. } = self.open;
        let next = Segment {
            number: number + 1,
            start: start + duration,
            epoch: epoch + u32::from(discontinuity),
            discontinuity,
            // A publisher that comes back has been away.
            wall: wall + duration + if discontinuity { 3_000_000 } else { 0 },
            ..Segment::default()
        };
        self.segments.push_back(std::mem::replace(&mut self.open, next));
        while self.segments.len() > window {
            let gone = self.segments.pop_front().unwrap();
            self.discontinuity_sequence += u64::from(gone.discontinuity);
        }
    }

    /// Nothing comes for a segment.
    fn gap(&mut self, window: usize) {
        (self.open.is_gap, self.open.duration) = (true, 2_000_000);
        self.close(window, false);
    }

    fn media(&self, low_latency: bool, skip: bool) -> Media<'_> {
        Media {
            rendition: if low_latency { Rendition::Video } else { Rendition::Ts },
            run: Run::began_at(35),
            prefix: "",
            target_duration: 2,
            part_target: low_latency.then_some(200_000),
            part_hold_back: 0,
            segments: &self.segments,
            open: Some(&self.open),
            discontinuity_sequence: self.discontinuity_sequence,
            ended: self.ended,
            independent: true,
            reports: &[],
            skip,
        }
    }
}

/// Some segments' parts, none where there is a gap, and whether a segment begins anew.
fn script() -> impl Strategy<Value = Vec<(Vec<i64>, bool)>> {
    let parts = (prop::collection::vec(170_000..=200_000_i64, 0..10), 20_000..=200_000_i64);
    let parts = (parts, prop::bool::weighted(0.1)).prop_map(|((mut parts, last), is_gap)| {
        parts.push(last);
        if is_gap { Vec::new() } else { parts }
    });
    prop::collection::vec((parts, prop::bool::weighted(0.15)), 1..30)
}

/// The playlist after each change, whole and as a delta.
fn told(script: &[(Vec<i64>, bool)], window: usize, low_latency: bool) -> Vec<[String; 2]> {
    let (mut stream, mut told) = (Stream::new(), Vec::new());
    let mut tell = |stream: &Stream| {
        told.push([false, true].map(|skip| stream.media(low_latency, skip).text()));
    };
    for (parts, discontinuity) in script {
        if parts.is_empty() {
            stream.gap(window);
            tell(&stream);
        }
        for (index, part) in parts.iter().enumerate() {
            stream.part(*part);
            // The end of a segment is known when the picture after it is there, which ends its last part.
            if index + 1 == parts.len() {
                stream.close(window, *discontinuity);
            }
            tell(&stream);
        }
    }
    stream.ended = true;
    tell(&stream);
    told
}

#[test]
fn a_low_latency_playlist() {
    let mut stream = Stream::new();
    for (parts, discontinuity) in [(10, false), (10, true), (2, false)] {
        (0..parts).for_each(|_| stream.part(200_000));
        if parts == 10 {
            stream.close(8, discontinuity);
        }
    }
    stream.segments[0].parts.truncate(2);
    stream.segments[1].parts.clear();
    let reports = [Report { rendition: Rendition::Audio, last: Last { number: 2, part: Some(1) } }];
    let media = Media { reports: &reports, ..stream.media(true, false) };
    let expected = "\
#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.000000,HOLD-BACK=6.000000,PART-HOLD-BACK=0.600000
#EXT-X-PART-INF:PART-TARGET=0.200000
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI=\"video-z-init0.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000Z
#EXT-X-PART:DURATION=0.200000,URI=\"video-z-0.0.m4s\",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.200000,URI=\"video-z-0.1.m4s\"
#EXTINF:2.000000,
video-z-0.m4s
#EXTINF:2.000000,
video-z-1.m4s
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI=\"video-z-init1.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:07.000Z
#EXT-X-PART:DURATION=0.200000,URI=\"video-z-2.0.m4s\",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.200000,URI=\"video-z-2.1.m4s\"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"video-z-2.2.m4s\"
#EXT-X-RENDITION-REPORT:URI=\"audio.m3u8\",LAST-MSN=2,LAST-PART=1
";
    assert_eq!(media.text(), expected);
    assert_eq!(media.last(), Some(Last { number: 2, part: Some(1) }));
}

#[test]
fn a_hint_at_the_first_part_behind_a_discontinuity() {
    let mut stream = Stream::new();
    stream.part(200_000);
    stream.close(8, true);
    let text = stream.media(true, false).text();
    let expected = "\
#EXTINF:0.200000,
video-z-0.m4s
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI=\"video-z-init1.mp4\"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"video-z-1.0.m4s\"
";
    assert!(text.ends_with(expected), "{text}");
    // It is linted as well: who fetches the part at once has to know what it needs.
    let untold = swap(&text, "#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"video-z-init1.mp4\"\n", "");
    stream.part(200_000);
    let mut linter = Linter::new();
    assert_eq!(linter.fetched(&untold.unwrap()), []);
    let faults = linter.fetched(&stream.media(true, false).text());
    assert_eq!(faults.iter().map(|fault| fault.rule).collect::<Vec<_>>(), [Rule::Changed]);
}

#[test]
fn a_track_that_stops_for_a_while() {
    let mut stream = Stream::new();
    stream.part(200_000);
    stream.close(8, false);
    stream.gap(8);
    stream.part(200_000);
    let text = stream.media(true, false).text();
    let expected = "\
#EXTINF:0.200000,
video-z-0.m4s
#EXT-X-GAP
#EXTINF:2.000000,
video-z-1.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:02.200Z
#EXT-X-PART:DURATION=0.200000,URI=\"video-z-2.0.m4s\",INDEPENDENT=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"video-z-2.1.m4s\"
";
    assert!(text.contains("#EXT-X-VERSION:8\n"), "{text}");
    assert!(text.ends_with(expected), "{text}");
}

#[test]
fn a_playlist_of_ts_that_ended() {
    let mut stream = Stream::new();
    stream.part(1_999_999);
    stream.close(8, false);
    stream.ended = true;
    let expected = "\
#EXTM3U
#EXT-X-VERSION:3
#EXT-X-TARGETDURATION:2
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000Z
#EXTINF:1.999999,
ts-z-0.ts
#EXT-X-ENDLIST
";
    assert_eq!(stream.media(false, true).text(), expected);
}

fn video() -> Info {
    Info {
        codec_string: "avc1.4d401f".into(),
        width: Some(1280),
        height: Some(720),
        frame_rate: Some(30_000.0 / 1001.0),
        ..Info::default()
    }
}

fn audio() -> Info {
    Info { codec_string: "mp4a.40.2".into(), channels: Some(2), ..Info::default() }
}

#[test]
fn master_playlists() {
    let (video, audio) = (video(), audio());
    let video = Track { info: &video, peak: 3_000_000, average: 2_500_000 };
    let audio = Track { info: &audio, peak: 130_000, average: 128_000 };
    let both = Master { prefix: "talk/", video: Some(video), audio: Some(audio), ts: false };
    let picture = "RESOLUTION=1280x720,FRAME-RATE=29.970";
    assert_eq!(
        both.text(),
        format!(
            "#EXTM3U\n#EXT-X-VERSION:6\n\
             #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"audio\",DEFAULT=YES,AUTOSELECT=YES,\
             CHANNELS=\"2\",URI=\"talk/audio.m3u8\"\n\
             #EXT-X-STREAM-INF:BANDWIDTH=3130000,AVERAGE-BANDWIDTH=2628000,\
             CODECS=\"avc1.4d401f,mp4a.40.2\",{picture},AUDIO=\"audio\"\ntalk/video.m3u8\n"
        )
    );
    let sound = Master { video: None, ..both };
    assert!(sound.text().ends_with("CODECS=\"mp4a.40.2\"\ntalk/audio.m3u8\n"), "{}", sound.text());
    assert!(!sound.text().contains("EXT-X-MEDIA:"));
    let pictures = Master { audio: None, ..both };
    assert!(pictures.text().ends_with(&format!("{picture}\ntalk/video.m3u8\n")));
    let ts = Master { ts: true, ..both };
    assert!(ts.text().ends_with(&format!("mp4a.40.2\",{picture}\ntalk/ts.m3u8\n")));
    for master in [both, sound, pictures, ts] {
        let text = master.text();
        let read = m3u8_rs::parse_master_playlist_res(text.as_bytes()).unwrap();
        assert_eq!(read.variants.len(), 1);
        assert_eq!(read.alternatives.len(), usize::from(text.contains("EXT-X-MEDIA:")));
    }
}

proptest! {
    // Each case is hundreds of playlists.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_is_wrong_with_what_is_written(
        script in script(), window in 1..15_usize, low_latency: bool,
        fetches in prop::collection::vec((0..4_usize, any::<bool>()), 1..40),
    ) {
        let told = told(&script, window, low_latency);
        // Each playlist, in order.
        let (mut linter, mut deltas) = (Linter::new(), Linter::new());
        for (index, [whole, delta]) in told.iter().enumerate() {
            prop_assert_eq!(linter.fetched(whole), vec![]);
            // A delta update puts together what the whole playlist says.
            if index > 0 {
                prop_assert_eq!(deltas.fetched(delta), vec![], "{}", delta);
            }
            prop_assert_eq!(deltas.fetched(whole), vec![]);
        }
        // Some of them, by a player that asks for deltas as it is allowed to.
        let (mut linter, mut place) = (Linter::new(), 0);
        for (index, (step, skip)) in fetches.into_iter().enumerate() {
            let Some([whole, delta]) = told.get(place) else { break };
            let text = if skip && index > 0 && step < 3 { delta } else { whole };
            let faults: Vec<Fault> = linter.fetched(text);
            // Who missed more than is kept cannot know what was left out.
            prop_assert!(faults.iter().all(|fault| fault.rule == Rule::Skip), "{:?}", faults);
            place += step;
        }
    }

    #[test]
    fn another_reader_reads_the_same(script in script(), window in 1..15_usize, low_latency: bool) {
        for [whole, _] in told(&script, window, low_latency) {
            let read = m3u8_rs::parse_media_playlist_res(whole.as_bytes()).unwrap();
            prop_assert_eq!(read.target_duration, 2);
            prop_assert_eq!(read.segments.iter().map(|s| s.uri.as_str()).collect::<Vec<_>>(),
                whole.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>());
            prop_assert_eq!(read.end_list, whole.contains("#EXT-X-ENDLIST"));
            let discontinuities = read.segments.iter().filter(|s| s.discontinuity).count();
            let own = whole.matches("#EXT-X-DISCONTINUITY\n").count();
            // One more where the segment in progress begins with one.
            prop_assert!(own == discontinuities || own == discontinuities + 1);
        }
    }

    #[test]
    fn whoever_waits_gets_what_was_asked_for(
        script in script(), msn in 0..32_u64, part in prop::option::of(0..20_u32),
    ) {
        let (mut stream, mut waiting) = (Stream::new(), None);
        let reload = Reload { msn: Some(msn), part, skip: false };
        for (parts, discontinuity) in script {
            for (index, duration) in parts.iter().enumerate() {
                stream.part(*duration);
                if index + 1 == parts.len() {
                    stream.close(100, discontinuity);
                }
                let state = stream.media(true, false).state();
                let answer = state.answer(&reload);
                if let Some((msn, part)) = waiting {
                    prop_assert_eq!(state.has(msn, part), answer == Answer::Now);
                }
                match answer {
                    Answer::Wait { msn, part } => {
                        prop_assert!(msn <= state.next + 1);
                        waiting = Some((msn, part));
                    }
                    Answer::Bad(_) => prop_assert!(waiting.is_none()),
                    Answer::Now => {
                        let text = stream.media(true, false).text();
                        let name = match part {
                            None => format!("video-z-{msn}.m4s\n"),
                            Some(part) => format!("video-z-{msn}.{part}.m4s\""),
                        };
                        let last = stream.media(true, false).last().unwrap();
                        prop_assert!(text.contains(&name) || last.number > msn);
                    }
                }
            }
        }
    }

    #[test]
    fn any_query_is_taken_or_refused(query in "(_HLS_(msn|part|skip)=(YES|v2|[0-9]{0,14})&?|x=1&?){0,4}") {
        if let Ok(reload) = Reload::parse(&query) {
            prop_assert!(reload.part.is_none() || reload.msn.is_some());
        }
    }
}

#[test]
fn queries() {
    let parsed = |query| Reload::parse(query);
    let reload = |msn, part, skip| Ok(Reload { msn, part, skip });
    assert_eq!(parsed(""), reload(None, None, false));
    assert_eq!(parsed("token=_HLS_msn"), reload(None, None, false));
    assert_eq!(parsed("_HLS_part=3&a=b&_HLS_msn=12"), reload(Some(12), Some(3), false));
    assert_eq!(parsed("_HLS_skip=YES"), reload(None, None, true));
    for bad in [
        "_HLS_msn",
        "_HLS_msn=",
        "_HLS_msn=01",
        "_HLS_msn=-1",
        "_HLS_msn=1&_HLS_msn=1",
        "_HLS_part=0",
        "_HLS_msn=1&_HLS_part=10000",
        "_HLS_skip=NO",
        "_HLS_msn=1234567890123",
    ] {
        assert!(parsed(bad).is_err(), "{bad}");
    }
}

#[test]
fn who_waits_and_who_is_refused() {
    let state =
        State { next: 10, parts: 3, parts_before: 5, part_target: Some(500_000), ended: false };
    let answer =
        |state: State, msn, part| state.answer(&Reload { msn: Some(msn), part, skip: false });
    let wait = |msn, part| Answer::Wait { msn, part };
    for (msn, part, expected) in [
        (0, None, Answer::Now),
        (9, None, Answer::Now),
        (10, None, wait(10, None)),
        (11, None, wait(11, None)),
        (12, None, Answer::Bad(reload::BadReload::TooFar)),
        (10, Some(2), Answer::Now),
        (10, Some(3), wait(10, Some(3))),
        (10, Some(8), wait(10, Some(8))),
        (10, Some(9), Answer::Bad(reload::BadReload::PartTooFar)),
        (11, Some(0), wait(11, Some(0))),
        (11, Some(6), Answer::Bad(reload::BadReload::PartTooFar)),
        (9, Some(5), Answer::Now),
        (9, Some(9999), Answer::Now),
    ] {
        assert_eq!(answer(state, msn, part), expected, "{msn} {part:?}");
    }
    // The segment before turned out shorter: its missing part is the first of the one in progress.
    let begun = State { parts: 0, ..state };
    assert_eq!(answer(begun, 9, Some(4)), Answer::Now);
    assert_eq!(answer(begun, 9, Some(5)), wait(9, Some(5)));
    assert_eq!(answer(State { ended: true, ..state }, 99, Some(9)), Answer::Now);
    let plain = State { part_target: None, ..state };
    assert_eq!(answer(plain, 10, Some(2)), wait(10, None));
}

/// A way to break a playlist: a text that is replaced where it stands, and the rule that is broken.
type Mutation = (&'static str, fn(&str) -> Option<String>, Rule);

fn swap(text: &str, from: &str, to: &str) -> Option<String> {
    text.contains(from).then(|| text.replacen(from, to, 1))
}

/// Replaces in the last line that begins so.
fn swap_last(text: &str, line: &str, from: &str, to: &str) -> Option<String> {
    let at = text.rfind(line)?;
    let (before, after) = text.split_at(at);
    Some(format!("{before}{}", swap(after, from, to)?))
}

const MUTATIONS: [Mutation; 21] = [
    ("shorter target", |t| swap(t, "DURATION:2", "DURATION:1"), Rule::TargetDuration),
    ("other target", |t| swap(t, "DURATION:2", "DURATION:3"), Rule::TargetDuration),
    (
        "sequence back",
        |t| swap(t, "#EXT-X-MEDIA-SEQUENCE:3\n", "#EXT-X-MEDIA-SEQUENCE:1\n"),
        Rule::MediaSequence,
    ),
    (
        "discontinuities",
        |t| swap(t, "SEQUENCE:1\n#EXT-X-INDEP", "SEQUENCE:0\n#EXT-X-INDEP"),
        Rule::DiscontinuitySequence,
    ),
    ("duration", |t| swap(t, "#EXTINF:2.000", "#EXTINF:1.999"), Rule::Changed),
    ("uri", |t| swap(t, "\nvideo-z-", "\nvideo-y-"), Rule::Changed),
    ("init", |t| swap(t, "-init", "-other"), Rule::Changed),
    // The first part of a segment may be short: it is independent.
    (
        "short part",
        |t| swap(t, "=YES\n#EXT-X-PART:DURATION=0.200", "=YES\n#EXT-X-PART:DURATION=0.150"),
        Rule::PartDuration,
    ),
    ("long part", |t| swap(t, "PART:DURATION=0.200", "PART:DURATION=0.201"), Rule::PartDuration),
    ("part target", |t| swap(t, "TARGET=0.2", "TARGET=0.21"), Rule::PartDuration),
    ("sum", |t| swap(t, "PART:DURATION=0.200", "PART:DURATION=0.180"), Rule::PartSum),
    ("independence", |t| swap(t, ",INDEPENDENT=YES", ""), Rule::Independent),
    ("no hint", |t| swap(t, "#EXT-X-PRELOAD-HINT", "#EXT-X-PRELOAD"), Rule::Hint),
    ("skip until", |t| swap(t, "UNTIL=12.", "UNTIL=11."), Rule::ServerControl),
    ("hold back", |t| swap(t, ",HOLD-BACK=6.", ",HOLD-BACK=5."), Rule::ServerControl),
    (
        "part hold back",
        |t| swap(t, "PART-HOLD-BACK=0.6", "PART-HOLD-BACK=0.5"),
        Rule::ServerControl,
    ),
    ("blocking", |t| swap(t, "CAN-BLOCK-RELOAD=YES,", ""), Rule::ServerControl),
    ("date", |t| swap(t, "DATE-TIME:2026", "DATE-TIME:2027"), Rule::Date),
    ("version", |t| swap(t, "VERSION:6", "VERSION:3"), Rule::Version),
    ("gap", |t| swap(t, "#EXT-X-PART:", "#EXT-X-GAP\n#EXT-X-PART:"), Rule::PartSum),
    ("garbage", |t| swap(t, "#EXTINF:2", "#EXTINF:two"), Rule::Syntax),
];

#[test]
fn each_way_to_break_a_playlist_is_found() {
    let script: Vec<_> =
        (0..12).map(|index| (vec![200_000; 10], index == 2 || index == 6)).collect();
    let told = told(&script, 5, true);
    for (name, mutate, rule) in MUTATIONS {
        let mut found = 0;
        // From the second segment on, so that there is something to compare with. A fault of what was
        // not there before is found by other rules.
        for (index, [whole, _]) in told.iter().enumerate().skip(11) {
            let Some(broken) = mutate(whole).filter(|broken| broken != whole) else { continue };
            let mut linter = Linter::new();
            assert_eq!(linter.fetched(&told[index - 1][0]), vec![]);
            let faults = linter.fetched(&broken);
            // A tag of a segment that was not listed before has nothing to be compared with.
            found += usize::from(faults.iter().any(|fault| fault.rule == rule));
            assert!(
                !faults.is_empty() || matches!(name, "date" | "init" | "uri" | "duration"),
                "{name}: {broken}"
            );
        }
        assert!(found > 0, "{name} is never found");
    }
}

#[test]
fn what_breaks_over_time_is_found() {
    let script: Vec<_> = (0..12).map(|index| (vec![200_000; 10], index == 2)).collect();
    let told = told(&script, 9, true);
    let after = |first: &str, second: &str| {
        let mut linter = Linter::new();
        assert_eq!(linter.fetched(first), vec![]);
        linter.fetched(second).iter().map(|fault| fault.rule).collect::<Vec<_>>()
    };
    let (end, before) = (&told[told.len() - 1][0], &told[told.len() - 2][0]);
    assert_eq!(after(end, end), []);
    assert_eq!(after(end, before), [Rule::End]);
    assert!(after(&told[50][0], &told[30][0]).contains(&Rule::MediaSequence));
    // The part hinted at is not the one that comes.
    let other = swap_last(&told[51][0], "#EXT-X-PRELOAD-HINT", "video-z", "video-a").unwrap();
    assert_eq!(after(&other, &told[52][0]), [Rule::Hint]);
    let listed = swap_last(&told[52][0], "#EXT-X-PRELOAD-HINT", "-5.3.", "-5.2.").unwrap();
    assert!(after(&told[51][0], &listed).contains(&Rule::Hint), "{listed}");
    // A part is taken back.
    assert!(after(&told[55][0], &told[53][0]).contains(&Rule::Changed));
    // More is left out than is known, or than is old enough.
    let [_, delta] = &told[100];
    assert!(delta.contains("SKIPPED-SEGMENTS=3\n"), "{delta}");
    assert_eq!(after(&told[99][0], delta), []);
    assert_eq!(after(&told[10][0], delta), [Rule::Skip]);
    let tag = "#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n";
    let more = delta.replacen(tag, "#EXT-X-SKIP:SKIPPED-SEGMENTS=4\n", 1);
    assert!(after(&told[99][0], &more).contains(&Rule::Changed));
    let low = delta.replacen("VERSION:9", "VERSION:8", 1);
    assert_eq!(after(&told[99][0], &low), [Rule::Version]);
}
