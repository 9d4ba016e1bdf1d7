//! Publishers' clocks wrap, jump, run back and begin anew; players see time go on.

use crate::support::{Card, Weir, is_picture, number};

/// Publishes pictures at these times and returns those at which a player gets them.
fn played(times: &[i64]) -> Vec<i64> {
    let weir = Weir::start();
    let mut publisher = weir.publish("live/s");
    let mut card = Card::of(media::testcard::Options { audio: None, ..Card::options() });
    publisher.send(&card.next());
    let mut frames: Vec<_> = card.pictures(times.len() as u64);
    frames.retain(is_picture);
    let mut player = weir.play_rtmp("live/s");
    let mut got = Vec::new();
    for (count, (frame, time)) in frames.iter().zip(times).enumerate() {
        // What leaves on the wire are 32 bits of it.
        publisher.send_at(frame, *time);
        if count > 0 && count + 1 < times.len() {
            continue;
        }
        // The first is there before the others are sent, so that the player begins with it.
        while got.len() <= count {
            let picture = player.picture();
            assert_eq!(number(&picture), got.len() as u64);
            got.push(picture.dts.millis());
        }
    }
    got
}

fn evenly(from: i64) -> Vec<i64> {
    (0..20).map(|i| from + i * 33).collect()
}

fn steps(times: &[i64]) -> Vec<i64> {
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[test]
fn a_clock_may_wrap() {
    for wrap in [1_i64 << 24, 1 << 32] {
        let times: Vec<i64> = evenly(wrap - 300).iter().map(|time| time % wrap).collect();
        assert_eq!(played(&times), evenly(0), "at {wrap}");
    }
}

#[test]
fn a_clock_may_begin_anew() {
    let times = [evenly(50_000), evenly(0)].concat();
    let got = played(&times);
    assert!(steps(&got).iter().all(|step| (0..=50).contains(step)), "{got:?}");
}

#[test]
fn a_clock_may_jump_ahead() {
    let times = [evenly(0), evenly(3_600_000), evenly(2_000_000_000)].concat();
    let got = played(&times);
    assert!(steps(&got).iter().all(|step| (0..=50).contains(step)), "{got:?}");
}

#[test]
fn a_clock_may_run_back_a_little() {
    let times = [0, 33, 66, 50, 99, 133, 100, 166];
    assert_eq!(played(&times), [0, 33, 66, 66, 99, 133, 133, 166]);
}
