//! Reloads wait for what they ask for, and are answered when it is there.

use std::time::Duration;

use crate::live::{Card, Publisher, Weir};
use crate::support::{Client, hinted, segments, stream, tag};

const CONFIG: &str = "[publish]\ngrace = \"1s\"\n[hls]\nsegment = \"1s\"\nwindow = \"6s\"\n";
const LIST: &str = "/live/waits/video.m3u8";
/// Long enough for an answer that would be wrong.
const A_WHILE: Duration = Duration::from_millis(150);

struct Set {
    weir: Weir,
    publisher: Publisher,
    card: Card,
}

/// A stream of three segments and a bit.
fn set() -> Set {
    let weir = Weir::with(CONFIG, &["--loops", "2"]);
    let mut publisher = weir.publish("live/waits");
    let mut card = Card::new(320, 240);
    // Its list is asked for while it flows: only from then on segments are made.
    let mut client = Client::new(weir.http);
    client.ask("GET", LIST, "");
    stream(&mut publisher, &mut card, 110);
    assert_eq!(client.answer().status, 200);
    Set { weir, publisher, card }
}

impl Set {
    fn client(&self) -> Client {
        Client::new(self.weir.http)
    }

    /// The list that has all of it: so many whole parts of the fourth segment. What it hints at.
    fn settled(&self, parts: u32) -> (String, u64, u32) {
        let mut client = self.client();
        let mut text = client.list(LIST);
        loop {
            let (msn, part) = hinted(&text).unwrap();
            if segments(&text).len() == 3 && part == parts {
                return (text, msn, part);
            }
            text = client.list(&format!("{LIST}?_HLS_msn={msn}&_HLS_part={part}"));
        }
    }
}

#[test]
fn until_the_part_is_there() {
    let mut set = set();
    let (_, msn, part) = set.settled(3);
    let mut waits = set.client();
    waits.ask("GET", &format!("{LIST}?_HLS_msn={msn}&_HLS_part={part}"), "");
    assert!(waits.is_silent_for(A_WHILE));
    stream(&mut set.publisher, &mut set.card, 7);
    let text = waits.answer().text();
    assert!(hinted(&text) > Some((msn, part)), "{text}");
    assert!(text.contains("#EXT-X-RENDITION-REPORT") || !text.contains("audio.m3u8"));
}

#[test]
fn until_the_segment_is_there_where_no_part_is_named() {
    let mut set = set();
    let (_, msn, _) = set.settled(3);
    let mut waits = set.client();
    waits.ask("GET", &format!("{LIST}?_HLS_msn={msn}"), "");
    stream(&mut set.publisher, &mut set.card, 7);
    assert!(waits.is_silent_for(A_WHILE));
    stream(&mut set.publisher, &mut set.card, 40);
    let text = waits.answer().text();
    let first = tag(&text, "#EXT-X-MEDIA-SEQUENCE").unwrap();
    assert!(first + segments(&text).len() as u64 > msn, "{text}");
}

#[test]
fn a_part_that_is_hinted_at_is_sent_as_soon_as_it_is_there() {
    let mut set = set();
    let (text, ..) = set.settled(3);
    let hint = text.lines().find(|line| line.starts_with("#EXT-X-PRELOAD-HINT")).unwrap();
    let file = format!("/live/waits/{}", hint.split('"').nth(1).unwrap());
    let mut waits = set.client();
    waits.ask("GET", &file, "");
    assert!(waits.is_silent_for(A_WHILE));
    stream(&mut set.publisher, &mut set.card, 7);
    let early = waits.answer();
    assert_eq!(early.status, 200);
    assert_eq!(early.header("Cache-Control"), "public, max-age=86400, immutable");
    assert_eq!(early.body, set.client().body(&file));
}

#[test]
fn what_is_far_away_or_makes_no_sense_is_refused() {
    let set = set();
    let (_, msn, part) = set.settled(3);
    let mut client = set.client();
    for (query, words) in [
        (format!("_HLS_msn={}", msn + 2), "more than two beyond"),
        ("_HLS_msn=999999999999".into(), "more than two beyond"),
        (format!("_HLS_msn={msn}&_HLS_part={}", part + 40), "too far beyond"),
        ("_HLS_part=1".into(), "without _HLS_msn"),
        ("_HLS_msn=99999999999999999999999".into(), "none it can have"),
        ("_HLS_msn=-1".into(), "none it can have"),
        (format!("_HLS_msn={msn}&_HLS_msn={msn}"), "more than once"),
        ("_HLS_skip=maybe".into(), "none it can have"),
    ] {
        let answer = client.get(&format!("{LIST}?{query}"));
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.text().contains(words), "{query}: {}", answer.text());
        // A loop that nobody has asked for the list before finds out when it has it.
        let answer = set.client().get(&format!("{LIST}?{query}"));
        assert_eq!(answer.status, 400, "{query}");
    }
    // What has been is answered at once, by the list as it is.
    assert_eq!(client.get(&format!("{LIST}?_HLS_msn=0&_HLS_part=9999")).status, 200);
    assert_eq!(client.get(&format!("{LIST}?_HLS_skip=YES&other=1")).status, 200);
}

#[test]
fn the_end_answers_all_who_wait() {
    let set = set();
    let (text, msn, part) = set.settled(3);
    let mut list = set.client();
    list.ask("GET", &format!("{LIST}?_HLS_msn={}", msn + 1), "");
    let mut file = set.client();
    let next = text.split("PRELOAD-HINT:TYPE=PART,URI=\"").nth(1).unwrap();
    let next = next.split('"').next().unwrap();
    let next = next.replace(&format!("{msn}.{part}"), &format!("{msn}.{}", part + 1));
    file.ask("GET", &format!("/live/waits/{next}"), "");
    let Set { weir, publisher, .. } = set;
    drop(publisher);
    let text = list.answer().text();
    assert!(text.ends_with("#EXT-X-ENDLIST\n"), "{text}");
    assert_eq!(file.answer().status, 404);
    drop(weir);
}

#[test]
fn a_publisher_that_sends_nothing_is_waited_for_so_long() {
    let set = set();
    let (_, msn, part) = set.settled(3);
    let mut waits = set.client();
    let began = std::time::Instant::now();
    let answer = waits.get(&format!("{LIST}?_HLS_msn={msn}&_HLS_part={part}"));
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains("publisher sends nothing"), "{}", answer.text());
    assert!(began.elapsed() >= Duration::from_secs(3), "three target durations");
}

#[test]
fn who_hangs_up_is_forgotten() {
    let mut set = set();
    let (_, msn, part) = set.settled(3);
    let path = format!("{LIST}?_HLS_msn={msn}&_HLS_part={part}");
    for _ in 0..50 {
        let mut gone = set.client();
        gone.ask("GET", &path, "");
        gone.hang_up();
    }
    let mut stays = set.client();
    stays.ask("GET", &path, "");
    stream(&mut set.publisher, &mut set.card, 7);
    assert_eq!(stays.answer().status, 200);
    // Whoever asks next is served as if nothing had been.
    let (_, msn, part) = set.settled(4);
    let mut next = set.client();
    next.ask("GET", &format!("{LIST}?_HLS_msn={msn}&_HLS_part={part}"), "");
    stream(&mut set.publisher, &mut set.card, 7);
    assert_eq!(next.answer().status, 200);
    let until = std::time::Instant::now() + weir_tests::PATIENCE;
    // This connection, the one that stays, the next one, and nobody else's.
    while connections(&set.weir) > 6 {
        assert!(std::time::Instant::now() < until, "{}", set.weir.page());
        std::thread::yield_now();
    }
}

pub fn connections(weir: &Weir) -> u64 {
    let page = weir.page();
    let loops = page.lines().filter(|line| line.starts_with("loop "));
    loops.map(|line| line.split(' ').nth(2).unwrap().parse::<u64>().unwrap()).sum()
}

#[test]
fn a_stream_without_a_keyframe_yet_is_waited_for() {
    let weir = Weir::with(CONFIG, &["--loops", "2"]);
    let mut publisher = weir.publish("live/waits");
    let mut card = Card::new(320, 240);
    let frames = card.pictures(60);
    let late = frames.iter().position(|frame| frame.kind == media::FrameKind::Delta).unwrap();
    // Configurations, and pictures that nobody can decode.
    for frame in frames.iter().filter(|frame| frame.kind == media::FrameKind::Config) {
        publisher.send(frame);
    }
    publisher.send(&frames[late]);
    let mut waits = Client::new(weir.http);
    waits.ask("GET", LIST, "");
    assert!(waits.is_silent_for(A_WHILE));
    let keyed = frames.iter().skip(late + 1).skip_while(|frame| {
        frame.kind != media::FrameKind::Key || frame.track != media::Track::Video
    });
    let keyed: Vec<_> = keyed.cloned().collect();
    crate::support::publish(&mut publisher, &keyed);
    stream(&mut publisher, &mut card, 40);
    assert_eq!(waits.answer().status, 200);
}

#[test]
fn master_and_manifest_are_waited_for_before_anybody_publishes() {
    // On one loop the stream itself wakes those who wait.
    let weir = Weir::with(CONFIG, &["--loops", "1"]);
    let asked = ["/live/waits.m3u8", "/live/waits.mpd", LIST].map(|path| {
        let mut client = Client::new(weir.http);
        client.ask("GET", path, "");
        assert!(client.is_silent_for(A_WHILE));
        client
    });
    let mut publisher = weir.publish("live/waits");
    stream(&mut publisher, &mut Card::new(320, 240), 100);
    for mut client in asked {
        assert_eq!(client.answer().status, 200);
    }
}
