//! Lists are linted as they change, whatever the publisher does.
//!
//! `WEIR_SPEED=1 cargo test -p weir-tests --test hls for_a_minute` takes a minute for it.

use media::playlist::Rendition::{self, Audio, Ts, Video};
use media::playlist::lint::Rule;
use media::testcard::{AudioOptions, Options};
use media::{Frame, FrameKind, Time, Track};

use crate::live::{Card, Weir, is_picture};
use crate::support::{Followed, follow, publish, stream, tag};

/// Lists change often and stay short; a stream that is left is soon over.
const CONFIG: &str = "[publish]\ngrace = \"1s\"\n[hls]\nsegment = \"1s\"\nwindow = \"6s\"\n";

/// What those saw who followed these renditions while `run` published.
fn followed(
    config: &str,
    renditions: &[Rendition],
    run: impl FnOnce(&Weir, &str),
) -> Vec<Followed> {
    let weir = Weir::with(config, &["--loops", "2"]);
    let name = "live/linted";
    let following: Vec<_> = renditions.iter().map(|of| follow(&weir, name, *of)).collect();
    run(&weir, name);
    following.into_iter().map(|following| following.join().unwrap()).collect()
}

#[test]
fn for_a_minute() {
    let config = CONFIG.replace("6s", "12s");
    let all = followed(&config, &[Video, Audio, Ts], |weir, name| {
        let mut publisher = weir.publish(name);
        stream(&mut publisher, &mut Card::new(320, 240), 1_800);
    });
    for followed in all {
        let followed = followed.clean();
        assert!((58..=61).contains(&followed.segments()), "{}", followed.segments());
        assert!(followed.texts.iter().any(|text| text.contains("#EXT-X-SKIP")));
        assert_eq!(followed.late, 0);
    }
}

#[test]
fn for_a_minute_without_parts() {
    let config = format!("{CONFIG}low_latency = false\n");
    let all = followed(&config.replace("6s", "12s"), &[Video, Audio, Ts], |weir, name| {
        let mut publisher = weir.publish(name);
        stream(&mut publisher, &mut Card::new(320, 240), 1_800);
    });
    for followed in all {
        let followed = followed.clean();
        assert!((58..=61).contains(&followed.segments()), "{}", followed.segments());
        assert!(followed.texts.iter().all(|text| !text.contains("#EXT-X-PART")));
        assert_eq!(followed.late, 0);
    }
}

#[test]
fn when_the_publisher_returns_with_another_picture() {
    let all = followed(CONFIG, &[Video, Audio, Ts], |weir, name| {
        for (width, height) in [(320, 240), (320, 240), (640, 360)] {
            let mut publisher = weir.publish(name);
            stream(&mut publisher, &mut Card::new(width, height), 150);
        }
    });
    for mut followed in all {
        // That no part would come any more was not known when it was hinted at.
        followed.faults.retain(|fault| fault.rule != Rule::Hint);
        let followed = followed.clean();
        let last = followed.texts.last().unwrap();
        assert!(last.contains("#EXT-X-DISCONTINUITY\n"), "{last}");
        assert_eq!(discontinuities(&followed), 2, "{last}");
    }
}

#[test]
fn when_the_sound_changes_under_way() {
    let all = followed(CONFIG, &[Video, Audio, Ts], |weir, name| {
        let mut publisher = weir.publish(name);
        let mut card = Card::new(320, 240);
        stream(&mut publisher, &mut card, 120);
        let rate = AudioOptions { rate: 48_000, ..AudioOptions::default() };
        let mut other = Card::of(Options { audio: Some(rate), ..Card::options() });
        let frames: Vec<Frame> =
            other.pictures(150).iter().map(|frame| later(frame, 4_000)).collect();
        publish(&mut publisher, &frames);
    });
    for followed in all {
        let followed = followed.clean();
        let shows = |text: &&String| text.contains("#EXT-X-DISCONTINUITY\n");
        assert!(followed.texts.iter().any(|text| shows(&text)));
        assert_eq!(discontinuities(&followed), 1);
    }
}

#[test]
fn when_keyframes_are_rare_or_do_not_come() {
    let all = followed(CONFIG, &[Video, Audio, Ts], |weir, name| {
        let mut publisher = weir.publish(name);
        stream(&mut publisher, &mut Card::of(Options { gop_frames: 180, ..Card::options() }), 900);
    });
    for followed in all {
        let followed = followed.clean();
        assert_eq!(tag(&followed.texts[0], "#EXT-X-TARGETDURATION"), Some(6));
        let full = followed.texts.iter().map(|text| text.matches("#EXTINF").count()).max();
        assert!(full >= Some(3), "three are listed, however short the window: {full:?}");
    }
    let config = format!("{CONFIG}longest_segment = \"3s\"\n");
    let all = followed(&config, &[Video, Audio, Ts], |weir, name| {
        let mut publisher = weir.publish(name);
        let never = Options { gop_frames: 500, ..Card::options() };
        stream(&mut publisher, &mut Card::of(never), 450);
        weir.program.wait_for("no keyframe for so long");
    });
    for followed in all {
        let followed = followed.clean();
        assert_eq!(followed.segments(), 5);
        let last = followed.texts.last().unwrap();
        assert_eq!(tag(last, "#EXT-X-TARGETDURATION"), Some(3), "{last}");
        // Sound can be begun with anywhere.
        let is_sound = last.contains("audio-");
        assert_eq!(last.contains("INDEPENDENT-SEGMENTS"), is_sound, "{last}");
    }
}

#[test]
fn of_sound_alone_and_of_pictures_alone() {
    let all = followed(CONFIG, &[Audio, Ts], |weir, name| {
        let mut publisher = weir.publish(name);
        let frames = Card::new(320, 240).pictures(300);
        let frames: Vec<Frame> =
            frames.into_iter().filter(|frame| frame.track == Track::Audio).collect();
        publish(&mut publisher, &frames);
    });
    for followed in all {
        assert!(followed.clean().segments() >= 9);
    }
    let all = followed(CONFIG, &[Video, Ts], |weir, name| {
        let mut publisher = weir.publish(name);
        stream(&mut publisher, &mut Card::of(Options { audio: None, ..Card::options() }), 300);
    });
    for followed in all {
        assert!(followed.clean().segments() >= 9);
    }
}

#[test]
fn when_the_sound_stops_for_longer_than_a_segment() {
    let all = followed(CONFIG, &[Video, Audio, Ts], |weir, name| {
        let mut publisher = weir.publish(name);
        let frames = Card::new(320, 240).pictures(420);
        let is_heard = |frame: &&Frame| {
            frame.track != Track::Audio || !(5_300..8_700).contains(&frame.dts.millis())
        };
        let frames: Vec<Frame> = frames.iter().filter(is_heard).cloned().collect();
        publish(&mut publisher, &frames);
    });
    let numbers = |followed: &Followed| {
        let last = followed.texts.last().unwrap();
        tag(last, "#EXT-X-MEDIA-SEQUENCE").unwrap() + last.matches("#EXTINF").count() as u64
    };
    let all: Vec<Followed> = all.into_iter().map(Followed::clean).collect();
    assert_eq!(numbers(&all[0]), numbers(&all[1]), "they stay together");
    assert!(all[1].segments() < all[0].segments());
    assert!(all[0].texts.iter().all(|text| !text.contains("#EXT-X-GAP")));
    marches_on(&all[1]);
}

#[test]
fn when_the_pictures_stop_for_longer_than_a_segment() {
    let all = followed(CONFIG, &[Video, Audio], |weir, name| {
        let mut publisher = weir.publish(name);
        let frames = Card::new(320, 240).pictures(420);
        let is_seen =
            |frame: &&Frame| !is_picture(frame) || !(5_300..8_700).contains(&frame.dts.millis());
        let frames: Vec<Frame> = frames.iter().filter(is_seen).cloned().collect();
        publish(&mut publisher, &frames);
    });
    let all: Vec<Followed> = all.into_iter().map(Followed::clean).collect();
    assert!(all[1].texts.iter().all(|text| !text.contains("#EXT-X-GAP")));
    marches_on(&all[0]);
}

/// A list that went on while there was nothing of its track, and had segments again behind it.
fn marches_on(followed: &Followed) {
    let ends_in_a_gap = |text: &&String| {
        let last = text.rfind("#EXTINF").map(|at| &text[..at]);
        last.is_some_and(|text| text.trim_end().ends_with("#EXT-X-GAP"))
    };
    assert!(followed.texts.iter().filter(ends_in_a_gap).count() >= 2, "one for each");
    let last = followed.texts.last().unwrap();
    assert!(last.contains("#EXT-X-GAP") && !ends_in_a_gap(&last), "{last}");
    assert_eq!(followed.late, 0);
}

#[test]
fn when_the_clock_is_a_day_old() {
    // Times of a transport stream wrap 26.5 hours behind their beginning: two seconds after this one.
    let config = CONFIG.replace("[publish]", "[publish]\nfirst_time = \"95441717ms\"");
    let all = followed(&config, &[Video, Audio, Ts], |weir, name| {
        let mut publisher = weir.publish(name);
        stream(&mut publisher, &mut Card::new(320, 240), 300);
    });
    for followed in all {
        assert!(followed.clean().segments() >= 9);
    }
}

#[test]
fn when_keyframes_come_more_seldom_than_at_first() {
    let all = followed(CONFIG, &[Video, Audio, Ts], |weir, name| {
        let mut publisher = weir.publish(name);
        let mut frames = Card::new(320, 240).pictures(300);
        // Two seconds without a keyframe: these pictures are no longer said to be ones.
        for frame in &mut frames {
            if is_picture(frame) && (3_900..5_900).contains(&frame.dts.millis()) {
                frame.kind = FrameKind::Delta;
            }
        }
        publish(&mut publisher, &frames);
        weir.program.wait_for("no keyframe for so long");
    });
    for followed in all {
        let followed = followed.clean();
        let last = followed.texts.last().unwrap();
        assert_eq!(tag(last, "#EXT-X-TARGETDURATION"), Some(1), "{last}");
    }
}

/// Those that came since it was followed.
fn discontinuities(followed: &Followed) -> u64 {
    let (first, last) = (&followed.texts[0], followed.texts.last().unwrap());
    let shown = last.matches("#EXT-X-DISCONTINUITY\n").count() as u64;
    let sequence = |text: &str| tag(text, "#EXT-X-DISCONTINUITY-SEQUENCE").unwrap();
    sequence(last) + shown - sequence(first)
}

fn later(frame: &Frame, millis: i64) -> Frame {
    let by = Time::from_millis(millis).0;
    Frame { dts: frame.dts.plus(by), pts: frame.pts.plus(by), ..frame.clone() }
}
