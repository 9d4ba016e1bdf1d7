//! What a stream's publisher sends: how much, how fast, how far apart its keyframes are.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use media::{Frame, FrameKind, Time, Track};

use crate::limits;

/// One publisher's figures.
#[derive(Debug, Default)]
pub struct Meter {
    now: Sample,
    /// One a second, the newest last.
    samples: VecDeque<(Instant, Sample)>,
    last_key: Option<Time>,
    since_key: u64,
    /// Time and pictures between the last two keyframes.
    gop: Option<(i64, u64)>,
    /// Times between the keyframes before, the newest last.
    gops: VecDeque<i64>,
}

/// Totals at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Bytes of media.
    pub bytes: u64,
    /// Bytes that its players were sent.
    pub sent: u64,
    /// Pictures.
    pub pictures: u64,
    /// Where the stream's clock is.
    pub clock: Option<Time>,
}

/// A second's worth of each figure.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Kilobits of media.
    pub kbps: f64,
    /// Kilobits sent to players.
    pub sent_kbps: f64,
    /// Pictures.
    pub pictures: f64,
    /// Seconds of media; less than one where the publisher does not keep up. Nothing where not enough
    /// has come to tell.
    pub media: Option<f64>,
}

impl Meter {
    /// A frame came, on the stream's clock.
    pub fn frame(&mut self, frame: &Frame) {
        self.now.bytes += frame.payload.len() as u64;
        self.now.clock = self.now.clock.max(Some(frame.dts));
        if frame.track != Track::Video {
            return;
        }
        self.now.pictures += 1;
        if frame.kind == FrameKind::Key {
            if let Some(last) = self.last_key.replace(frame.dts) {
                let span = frame.dts.since(last);
                self.gop = Some((span, self.since_key));
                self.gops.push_back(span);
                if self.gops.len() > limits::GOPS {
                    self.gops.pop_front();
                }
            }
            self.since_key = 0;
        }
        self.since_key += 1;
    }

    /// Players were sent so many bytes.
    pub fn sent(&mut self, bytes: u64) {
        self.now.sent += bytes;
    }

    /// Notes the totals; once a second or so.
    pub fn sample(&mut self, now: Instant) {
        self.samples.push_back((now, self.now));
        while self.samples.len() > limits::SAMPLES {
            self.samples.pop_front();
        }
    }

    /// The totals.
    pub fn totals(&self) -> Sample {
        self.now
    }

    /// The rates over the last `span`, or since the beginning.
    pub fn rates(&self, span: Duration) -> Rates {
        let Some((until, last)) = self.samples.back() else { return Rates::default() };
        let young = |at: &Instant| until.saturating_duration_since(*at) <= span;
        let first = self.samples.iter().find(|(at, _)| young(at));
        let Some((from, first)) = first.filter(|(at, _)| at < until) else {
            return Rates::default();
        };
        let seconds = until.saturating_duration_since(*from).as_secs_f64();
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        let media = last.clock.zip(first.clock).map(|(now, before)| now.since(before));
        Rates {
            media: media.map(|micros| micros as f64 / 1e6 / seconds),
            kbps: rate(last.bytes, first.bytes) / 125.0,
            sent_kbps: rate(last.sent, first.sent) / 125.0,
            pictures: rate(last.pictures, first.pictures),
        }
    }

    /// Microseconds and pictures from one keyframe to the next.
    pub fn gop(&self) -> Option<(i64, u64)> {
        self.gop
    }

    /// The shortest and the longest of the last times between keyframes, in microseconds.
    pub fn gops(&self) -> Option<(i64, i64)> {
        self.gops.iter().min().copied().zip(self.gops.iter().max().copied())
    }

    /// For how long there are samples.
    pub fn age(&self) -> Duration {
        let ends = self.samples.front().zip(self.samples.back());
        ends.map_or(Duration::ZERO, |((first, _), (last, _))| {
            last.saturating_duration_since(*first)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::Codec;

    fn picture(number: i64) -> Frame {
        let time = Time::from_millis(number * 40);
        Frame {
            track: Track::Video,
            codec: Codec::Avc,
            kind: if number % 50 == 0 { FrameKind::Key } else { FrameKind::Delta },
            dts: time,
            pts: time,
            payload: vec![0; 1000].into(),
        }
    }

    #[test]
    fn rates_follow_the_samples() {
        let mut meter = Meter::default();
        let began = Instant::now();
        assert_eq!(meter.rates(Duration::from_secs(2)), Rates::default());
        meter.sample(began);
        for second in 0..40_i64 {
            for i in 0..25 {
                meter.frame(&picture(second * 25 + i));
            }
            meter.sent(12_500);
            meter.sample(began + Duration::from_secs(second as u64 + 1));
        }
        let rates = meter.rates(Duration::from_secs(2));
        let media = Some(1.0);
        assert_eq!(rates, Rates { kbps: 200.0, sent_kbps: 100.0, pictures: 25.0, media });
        assert_eq!(meter.rates(Duration::from_secs(30)), rates);
        assert_eq!(meter.gop(), Some((2_000_000, 50)));
        assert_eq!(meter.gops(), Some((2_000_000, 2_000_000)));
        assert!(meter.samples.len() <= limits::SAMPLES);
    }
}
