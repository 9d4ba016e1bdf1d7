use super::*;
use crate::codec::Info;
use crate::playlist::Part;
use roxmltree::{Document, Node};

const WALL: i64 = 1_767_225_600_000_000;

fn segment(number: u64, start: i64, duration: i64, epoch: u32) -> Segment {
    let parts = vec![Part { duration, is_independent: true }];
    let wall = WALL + start;
    Segment { number, start, duration, epoch, discontinuity: false, is_gap: false, wall, parts }
}

struct Stream {
    infos: [Info; 2],
    video: VecDeque<Segment>,
    audio: VecDeque<Segment>,
    open: [Segment; 2],
}

/// Two periods: segments 3 and 4 of the first, 5 to 7 of the second, and 8 in progress.
fn stream() -> Stream {
    let video = (3..8).map(|n| segment(n, n as i64 * 2_000_000, 2_000_000, u32::from(n > 4)));
    let frames = |n: i64| (n * 9375 + 99) / 100;
    let at = |n: i64| frames(n) * 1024 * 1_000_000 / 48_000;
    let audio =
        (3..8).map(|n| segment(n, at(n as i64), at(n as i64 + 1) - at(n as i64), u32::from(n > 4)));
    Stream {
        infos: [
            Info {
                codec_string: "avc1.4d401f".into(),
                width: Some(1280),
                height: Some(720),
                frame_rate: Some(29.97),
                ..Info::default()
            },
            Info {
                codec_string: "mp4a.40.2".into(),
                sample_rate: Some(48_000),
                channels: Some(2),
                ..Info::default()
            },
        ],
        video: video.collect(),
        audio: audio.collect(),
        open: [segment(8, 16_000_000, 200_000, 1), segment(8, at(8), 213_333, 1)],
    }
}

impl Stream {
    fn with<T>(
        &self,
        change: impl FnOnce(&mut Manifest),
        read: impl FnOnce(Option<String>) -> T,
    ) -> T {
        let video = Track { info: &self.infos[0], peak: 3_000_000, average: 2_500_000 };
        let audio = Track { info: &self.infos[1], peak: 130_000, average: 128_000 };
        let period = |id, first, start: i64| Period {
            id,
            first,
            start,
            wall: WALL + start + id as i64 * 500_000,
            video: Some(video),
            audio: Some(audio),
        };
        let periods = [period(0, 0, 0), period(1, 5, 10_000_000)];
        let listed =
            |segments, open, timescale| Some(Listed { segments, open: Some(open), timescale });
        let mut manifest = Manifest {
            run: Run::began_at(35),
            prefix: "talk/",
            periods: &periods,
            video: listed(&self.video, &self.open[0], 90_000),
            audio: listed(&self.audio, &self.open[1], 48_000),
            began: WALL,
            published: WALL + 16_700_000,
            window: 12_000_000,
            target_duration: 2,
            part_target: Some(200_000),
            latency: 1_500_000,
            clock: Some(Clock::Iso("/time?a=1&b=\"2\"")),
            independent: true,
            ended: false,
        };
        change(&mut manifest);
        read(manifest.text())
    }
}

fn all<'a>(document: &'a Document, name: &str) -> Vec<Node<'a, 'a>> {
    document
        .descendants()
        .filter(|node| node.has_tag_name(("urn:mpeg:dash:schema:mpd:2011", name)))
        .collect()
}

/// Start, duration of each segment of a timeline.
fn timeline(template: &Node) -> Vec<(u64, u64)> {
    let (mut at, mut listed) = (0, Vec::new());
    for s in template.descendants().filter(|node| node.tag_name().name() == "S") {
        let number = |name| s.attribute(name).map(|text| text.parse::<u64>().unwrap());
        at = number("t").unwrap_or(at);
        for _ in 0..=number("r").unwrap_or(0) {
            listed.push((at, number("d").unwrap()));
            at += number("d").unwrap();
        }
    }
    listed
}

#[test]
fn a_live_manifest() {
    stream().with(
        |_| {},
        |text| {
            let text = text.unwrap();
            let document = Document::parse(&text).unwrap();
            let mpd = document.root_element();
            for (name, value) in [
                ("type", "dynamic"),
                ("availabilityStartTime", "2026-01-01T00:00:00.000Z"),
                ("publishTime", "2026-01-01T00:00:16.700Z"),
                ("minimumUpdatePeriod", "PT0.500S"),
                ("timeShiftBufferDepth", "PT12S"),
                ("suggestedPresentationDelay", "PT4.910S"),
                ("maxSegmentDuration", "PT2.550S"),
            ] {
                assert_eq!(mpd.attribute(name), Some(value), "{name}");
            }
            assert_eq!(
                all(&document, "UTCTiming")[0].attribute("value"),
                Some("/time?a=1&b=\"2\"")
            );
            assert_eq!(all(&document, "Latency")[0].attribute("target"), Some("1500"));
            let starts: Vec<_> =
                all(&document, "Period").iter().map(|p| p.attribute("start")).collect();
            assert_eq!(starts, [Some("PT0S"), Some("PT10.500S")]);
            let picture = all(&document, "Representation")[0];
            for (name, value) in [
                ("codecs", "avc1.4d401f"),
                ("width", "1280"),
                ("frameRate", "30000/1001"),
                ("bandwidth", "3000000"),
            ] {
                assert_eq!(picture.attribute(name), Some(value), "{name}");
            }
            let templates = all(&document, "SegmentTemplate");
            let [first, sound, second, sound_now] = templates[..] else { panic!("{text}") };
            for (name, value) in [
                ("timescale", "90000"),
                ("presentationTimeOffset", "900000"),
                ("startNumber", "5"),
                ("availabilityTimeOffset", "2.350"),
                ("availabilityTimeComplete", "false"),
                ("initialization", "talk/video-z-init1.mp4"),
                ("media", "talk/video-z-$Number$.m4s"),
            ] {
                assert_eq!(second.attribute(name), Some(value), "{name}");
            }
            assert_eq!(first.attribute("startNumber"), Some("3"));
            assert_eq!(first.attribute("initialization"), Some("talk/video-z-init0.mp4"));
            assert_eq!(timeline(&first), [(540_000, 180_000), (720_000, 180_000)]);
            let opened = (1_440_000, 184_500);
            assert_eq!(
                timeline(&second),
                [(900_000, 180_000), (1_080_000, 180_000), (1_260_000, 180_000), opened]
            );
            assert_eq!(sound_now.attribute("presentationTimeOffset"), Some("480000"));
            // Whole frames, each beginning where the one before it ends.
            let frames: Vec<_> = [timeline(&sound), timeline(&sound_now)].concat();
            for pair in frames.windows(2) {
                assert_eq!((pair[0].0 + pair[0].1, pair[0].1 % 1024), (pair[1].0, 0));
            }
            assert_eq!(frames.len(), 6);
        },
    );
}

#[test]
fn a_manifest_without_low_latency_lists_what_is_complete() {
    stream().with(
        |manifest| manifest.part_target = None,
        |text| {
            let text = text.unwrap();
            let document = Document::parse(&text).unwrap();
            let templates = all(&document, "SegmentTemplate");
            assert_eq!(timeline(&templates[2]).len(), 3);
            assert!(!text.contains("availabilityTime"));
            assert_eq!(document.root_element().attribute("minimumUpdatePeriod"), Some("PT2S"));
        },
    );
}

#[test]
fn an_ended_manifest_is_static() {
    stream().with(
        |manifest| manifest.ended = true,
        |text| {
            let text = text.unwrap();
            let document = Document::parse(&text).unwrap();
            let mpd = document.root_element();
            assert_eq!(mpd.attribute("type"), Some("static"));
            assert_eq!(mpd.attribute("minimumUpdatePeriod"), None);
            let end = mpd.attribute("mediaPresentationDuration").unwrap();
            assert!(end.starts_with("PT16.5"), "{end}");
            assert_eq!(timeline(&all(&document, "SegmentTemplate")[2]).len(), 3);
        },
    );
}

#[test]
fn a_period_is_listed_with_its_first_complete_segment() {
    let mut stream = stream();
    for list in [&mut stream.video, &mut stream.audio] {
        list.truncate(2);
    }
    stream.open.iter_mut().for_each(|open| open.number = 5);
    stream.with(
        |_| {},
        |text| {
            let text = text.unwrap();
            assert_eq!(all(&Document::parse(&text).unwrap(), "Period").len(), 1);
        },
    );
    stream.video.clear();
    stream.audio.clear();
    stream.with(|_| {}, |text| assert_eq!(text, None));
}

#[test]
fn names_are_escaped() {
    stream().with(
        |manifest| manifest.prefix = "a&b<$\"'\u{1}/",
        |text| {
            let text = text.unwrap();
            let document = Document::parse(&text).unwrap();
            let template = all(&document, "SegmentTemplate")[0];
            assert_eq!(template.attribute("media"), Some("a&b<$$\"'/video-z-$Number$.m4s"));
        },
    );
}

#[test]
fn rates() {
    for (rate, expected) in [
        (25.0, Some((25, 1))),
        (29.97, Some((30_000, 1001))),
        (59.94006, Some((60_000, 1001))),
        (12.5, Some((12_500, 1000))),
        (0.0, None),
        (f64::NAN, None),
    ] {
        assert_eq!(rational(rate), expected, "{rate}");
    }
}
