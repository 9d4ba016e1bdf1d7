//! Whether a stream comes as it should, in one word and in words: what an operator looks at first.

use std::time::{Duration, Instant};

use crate::limits;
use crate::meter::{Meter, Rates};
use crate::stream::Stream;

/// Over which time a publisher is judged: longer than one burst of its network, shorter than patience.
const LATELY: Duration = Duration::from_secs(4);
/// With which time that is compared.
const BEFORE: Duration = Duration::from_secs(30);
/// A publisher that has just begun sends what it has saved up, and has no figures yet.
const SETTLES: Duration = Duration::from_secs(6);
/// Seconds of media a second; who sends less makes players wait. Clocks differ by much less.
const KEEPS_UP: f64 = 0.9;
/// The share of the pictures before that still count as steady.
const STEADY: f64 = 0.8;
/// Players begin at keyframes and skip to them: with more seconds between them that takes too long.
const LONG_GOP: f64 = 10.0;
/// Keyframes that differ by more seconds, and by more than a quarter, are not steady: segments of HLS
/// and DASH are as long as GOPs.
const GOP_VARIES: f64 = 0.5;

/// How a stream comes, from well to worst.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum State {
    /// As it should.
    Good,
    /// It has just begun.
    New,
    /// Pictures or keyframes do not come evenly.
    Unsteady,
    /// Its publisher does not send as much media as time passes.
    Starving,
    /// Its publisher is there and sends nothing.
    Silent,
    /// Its publisher is gone, and may come back.
    Away,
}

impl State {
    /// A short steady word.
    pub fn label(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::New => "new",
            Self::Unsteady => "unsteady",
            Self::Starving => "starving",
            Self::Silent => "silent",
            Self::Away => "away",
        }
    }
}

/// What is looked at.
struct Facts {
    /// How long the publisher has sent nothing; none where there is no publisher.
    silent: Option<Duration>,
    age: Duration,
    lately: Rates,
    before: Rates,
    /// The shortest and the longest time between keyframes, in seconds.
    gops: Option<(f64, f64)>,
}

/// How a stream is, and why.
pub fn of(stream: &Stream, now: Instant) -> (State, String) {
    let meter: &Meter = &stream.meter;
    let seconds = |micros: i64| micros as f64 / 1e6;
    judge(&Facts {
        silent: stream.publisher().map(|p| now.saturating_duration_since(p.heard)),
        age: meter.age(),
        lately: meter.rates(LATELY),
        before: meter.rates(BEFORE),
        gops: meter.gops().map(|(least, most)| (seconds(least), seconds(most))),
    })
}

fn judge(facts: &Facts) -> (State, String) {
    let Some(silent) = facts.silent else {
        return (State::Away, "its publisher is gone; players wait for its return".to_owned());
    };
    if silent >= limits::FLOWING {
        let text = format!("its publisher has sent nothing for {:.0} s", silent.as_secs_f64());
        return (State::Silent, text);
    }
    if facts.age < SETTLES {
        return (State::New, "it has just begun".to_owned());
    }
    // What came is told by its newest picture: with few of them a second that is a coarse clock.
    let pictures = facts.lately.pictures;
    let grain = if pictures > 0.0 { 1.0 / (pictures * LATELY.as_secs_f64()) } else { 0.0 };
    if let Some(media) = facts.lately.media.filter(|media| *media < KEEPS_UP - grain) {
        let text = format!(
            "its publisher sends {media:.2} s of media a second: its encoder or its network is too \
             slow"
        );
        return (State::Starving, text);
    }
    let (now, before) = (facts.lately.pictures, facts.before.pictures);
    if now < before * STEADY {
        let text = format!("{now:.1} pictures a second, {before:.1} over the last half minute");
        return (State::Unsteady, text);
    }
    match facts.gops {
        Some((_, most)) if most > LONG_GOP => {
            let text = format!("keyframes are up to {most:.1} s apart: players begin late");
            (State::Unsteady, text)
        }
        Some((least, most)) if most - least > GOP_VARIES.max(most / 4.0) => {
            (State::Unsteady, format!("keyframes are {least:.1} to {most:.1} s apart"))
        }
        _ => (State::Good, "it comes as it should".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(pictures: f64, media: f64) -> Rates {
        Rates { kbps: 2500.0, sent_kbps: 0.0, pictures, media: Some(media) }
    }

    fn good() -> Facts {
        Facts {
            silent: Some(Duration::from_millis(30)),
            age: Duration::from_secs(60),
            lately: rates(25.0, 1.0),
            before: rates(25.0, 1.0),
            gops: Some((1.96, 2.0)),
        }
    }

    #[test]
    fn each_trouble_has_its_word() {
        let silent = |seconds| Some(Duration::from_secs(seconds));
        for (facts, state, words) in [
            (good(), State::Good, "as it should"),
            (Facts { gops: None, ..good() }, State::Good, ""),
            (Facts { silent: None, ..good() }, State::Away, "is gone"),
            (Facts { silent: silent(3), ..good() }, State::Silent, "nothing for 3 s"),
            (Facts { age: Duration::from_secs(2), ..good() }, State::New, "just begun"),
            (Facts { lately: rates(20.0, 0.7), ..good() }, State::Starving, "0.70 s of media"),
            (Facts { lately: rates(12.5, 1.0), ..good() }, State::Unsteady, "12.5 pictures"),
            (Facts { gops: Some((11.9, 12.0)), ..good() }, State::Unsteady, "12.0 s apart"),
            (Facts { gops: Some((0.4, 2.0)), ..good() }, State::Unsteady, "0.4 to 2.0 s"),
        ] {
            let (judged, text) = judge(&facts);
            assert_eq!(judged, state, "{text}");
            assert!(text.contains(words), "{text}");
        }
        assert!(State::Away > State::Starving && State::Starving > State::Good);
    }

    #[test]
    fn two_pictures_a_second_are_a_coarse_clock() {
        let facts = |media| Facts { lately: rates(2.0, media), before: rates(2.0, 1.0), ..good() };
        assert_eq!(judge(&facts(0.83)).0, State::Good);
        assert_eq!(judge(&facts(0.7)).0, State::Starving);
    }

    #[test]
    fn audio_alone_is_good() {
        let facts = Facts { lately: rates(0.0, 1.0), before: rates(0.0, 1.0), ..good() };
        assert_eq!(judge(&Facts { gops: None, ..facts }).0, State::Good);
    }
}
