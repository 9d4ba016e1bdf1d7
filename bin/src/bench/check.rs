//! What a player of the sample looks at: everything.

use std::sync::Arc;

use media::testcard::Stamp;
use media::{Codec, Frame, FrameKind, Track};

use super::ledger::{Ledger, Sent, hash, hash_of_slices};
use super::playback::Playback;

/// What was found wrong, and how much was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Pictures.
    pub pictures: u64,
    /// Frames of sound.
    pub sounds: u64,
    /// The first picture was no keyframe.
    pub began_without_key: u64,
    /// A track's first frame came before its codec configuration.
    pub before_config: u64,
    /// Pictures missing between two that came.
    pub missing_pictures: u64,
    /// Places at which pictures are missing.
    pub gaps: u64,
    /// Frames of sound missing between two that came.
    pub missing_sounds: u64,
    /// Frames that came twice or after a later one.
    pub out_of_order: u64,
    /// Payloads that are not what was published.
    pub corrupt: u64,
    /// Pictures of another stream.
    pub of_another_stream: u64,
    /// Pictures without a stamp, where a test card was published.
    pub unstamped: u64,
    /// Times that run back on their track.
    pub time_back: u64,
    /// Frames compared with what was published.
    pub compared: u64,
}

impl Findings {
    /// Adds another player's.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.all_mut().into_iter().zip(other.all()) {
            *mine += theirs.1;
        }
    }

    /// Whether nothing is wrong. Missing frames are: a server may leave some out for a player that is
    /// slow, but the sample is not.
    #[cfg(test)]
    pub fn is_clean(&self) -> bool {
        self.faults().next().is_none()
    }

    /// What is wrong, and how often.
    pub fn faults(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.all().into_iter().skip(Self::LOOKED_AT).filter(|(_, count)| *count > 0)
    }

    /// How many of [`Self::all`] say what was looked at; the others are faults.
    const LOOKED_AT: usize = 3;

    /// Each with its name in reports.
    pub fn all(&self) -> [(&'static str, u64); 13] {
        [
            ("pictures", self.pictures),
            ("sounds", self.sounds),
            ("compared", self.compared),
            ("began_without_key", self.began_without_key),
            ("before_config", self.before_config),
            ("gaps", self.gaps),
            ("missing_pictures", self.missing_pictures),
            ("missing_sounds", self.missing_sounds),
            ("out_of_order", self.out_of_order),
            ("corrupt", self.corrupt),
            ("of_another_stream", self.of_another_stream),
            ("unstamped", self.unstamped),
            ("time_back", self.time_back),
        ]
    }

    fn all_mut(&mut self) -> [&mut u64; 13] {
        [
            &mut self.pictures,
            &mut self.sounds,
            &mut self.compared,
            &mut self.began_without_key,
            &mut self.before_config,
            &mut self.gaps,
            &mut self.missing_pictures,
            &mut self.missing_sounds,
            &mut self.out_of_order,
            &mut self.corrupt,
            &mut self.of_another_stream,
            &mut self.unstamped,
            &mut self.time_back,
        ]
    }
}

/// One player's view of its stream.
#[derive(Debug)]
pub struct Checker {
    stream: usize,
    /// What this process publishes; without it only the stream itself can be asked.
    ledger: Option<Arc<Ledger>>,
    /// What containers may change of a picture is not compared.
    only_slices: bool,
    /// What was found.
    pub findings: Findings,
    /// What a viewer would have seen.
    pub playback: Playback,
    /// When the first keyframe was whole, and how old it was then.
    pub first_key: Option<(i64, i64)>,
    /// Bytes of media payload, and the times they are for: the stream's own rate.
    pub payload: u64,
    /// From the first picture's time to the newest one's, in microseconds.
    pub span: i64,
    video: TrackView,
    audio: TrackView,
    picture: Option<u64>,
    sound: Option<u64>,
    /// What the server adds to the times it was given, in milliseconds.
    shift: Option<i64>,
}

#[derive(Debug, Default)]
struct TrackView {
    configured: bool,
    first: Option<i64>,
    newest: Option<i64>,
}

impl Checker {
    /// For a player of a stream, with a buffer of so many microseconds.
    pub fn new(stream: usize, ledger: Option<Arc<Ledger>>, buffer: i64) -> Self {
        Self {
            stream,
            ledger,
            only_slices: false,
            findings: Findings::default(),
            playback: Playback::new(buffer),
            first_key: None,
            payload: 0,
            span: 0,
            video: TrackView::default(),
            audio: TrackView::default(),
            picture: None,
            sound: None,
            shift: None,
        }
    }

    /// Of a container that makes other bytes of a picture only what is in it is compared.
    pub fn compare_only_slices(&mut self, only: bool) {
        self.only_slices = only;
    }

    /// Whether a frame is what was sent.
    fn is(&self, frame: &Frame, sent: &Sent) -> bool {
        match self.only_slices {
            true => sent.slices == hash_of_slices(frame),
            false => sent.hash == hash(&frame.payload),
        }
    }

    /// A frame was whole at `now`. Gives its age where it says when it was made.
    pub fn frame(&mut self, frame: &Frame, now: i64) -> Option<i64> {
        let track = match frame.track {
            Track::Video => &mut self.video,
            Track::Audio => &mut self.audio,
            Track::Data => return None,
        };
        if frame.kind == FrameKind::Config {
            track.configured = true;
            return None;
        }
        if frame.kind == FrameKind::End {
            return None;
        }
        let time = frame.dts.0;
        if track.first.is_none() {
            track.first = Some(time);
            let needs = matches!(frame.codec, Codec::Avc | Codec::Hevc | Codec::Av1 | Codec::Aac);
            self.findings.before_config += u64::from(needs && !track.configured);
        }
        if track.newest.is_some_and(|newest| time < newest) {
            self.findings.time_back += 1;
        }
        track.newest = Some(track.newest.map_or(time, |newest| newest.max(time)));
        self.payload += frame.payload.len() as u64;
        match frame.track {
            Track::Video => self.saw_picture(frame, now),
            _ => {
                self.heard(frame);
                None
            }
        }
    }

    /// Ages at `now` of pictures that were sent after the newest one that came.
    pub fn due(&self, now: i64) -> Vec<u64> {
        let (Some(ledger), Some(newest)) = (&self.ledger, self.picture) else { return Vec::new() };
        let made = ledger.pictures_after(self.stream, newest).into_iter();
        made.filter_map(|made| u64::try_from(now - made).ok()).collect()
    }

    fn saw_picture(&mut self, frame: &Frame, now: i64) -> Option<i64> {
        let stamp = Stamp::find(&frame.payload);
        let age = stamp.map(|stamp| now - stamp.micros);
        if self.findings.pictures == 0 && frame.kind != FrameKind::Key {
            self.findings.began_without_key += 1;
        }
        if frame.kind == FrameKind::Key && self.first_key.is_none() {
            self.first_key = Some((now, age.unwrap_or(0)));
        }
        self.findings.pictures += 1;
        self.span = frame.dts.0 - self.video.first.unwrap_or(frame.dts.0);
        self.playback.arrived(frame.pts.0, now);
        let Some(stamp) = stamp else {
            self.findings.unstamped += u64::from(self.ledger.is_some());
            return None;
        };
        if let Some(last) = self.picture {
            let step = stamp.frame.wrapping_sub(last);
            if stamp.frame <= last {
                self.findings.out_of_order += 1;
            } else if step > 1 {
                self.findings.gaps += 1;
                self.findings.missing_pictures += step - 1;
            }
        }
        self.picture = Some(self.picture.map_or(stamp.frame, |last| last.max(stamp.frame)));
        if let Some(ledger) = &self.ledger {
            if stamp.stream as usize != self.stream {
                self.findings.of_another_stream += 1;
            } else if let Some(sent) = ledger.picture(&stamp) {
                self.findings.compared += 1;
                self.findings.corrupt += u64::from(!self.is(frame, &sent));
                self.shift = Some(frame.dts.millis() - sent.millis);
            }
        }
        age
    }

    /// Sound has no stamp: what it is follows from its time, once a picture has told how the server
    /// counts.
    fn heard(&mut self, frame: &Frame) {
        self.findings.sounds += 1;
        let (Some(ledger), Some(shift)) = (&self.ledger, self.shift) else { return };
        let Some(sent) = ledger.sound(self.stream, frame.dts.millis() - shift) else { return };
        self.findings.compared += 1;
        self.findings.corrupt += u64::from(!self.is(frame, &sent));
        if let Some(last) = self.sound {
            if sent.number <= last {
                self.findings.out_of_order += 1;
            } else {
                self.findings.missing_sounds += sent.number - last - 1;
            }
        }
        self.sound = Some(sent.number);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use media::Time;
    use media::testcard::{Options, TestCard};

    /// Frames of a test card that are in the ledger.
    fn published(count: usize) -> (Arc<Ledger>, Vec<Frame>) {
        let ledger = Ledger::new(1);
        let mut card = TestCard::new(Options::default()).unwrap();
        let frames: Vec<Frame> = (0..count).map(|_| card.next(card.due().0)).collect();
        frames.iter().for_each(|frame| ledger.enter(0, frame, frame.dts.0));
        (Arc::new(ledger), frames)
    }

    fn check(ledger: &Arc<Ledger>, frames: &[Frame]) -> Checker {
        let mut checker = Checker::new(0, Some(Arc::clone(ledger)), 1_000_000);
        for frame in frames {
            checker.frame(frame, frame.dts.0 + 30_000);
        }
        checker
    }

    #[test]
    fn a_stream_as_published_is_clean() {
        let (ledger, frames) = published(200);
        let checker = check(&ledger, &frames);
        assert!(checker.findings.is_clean(), "{:?}", checker.findings);
        assert_eq!(checker.findings.pictures + checker.findings.sounds, 198);
        assert_eq!(checker.findings.compared, 198);
        assert_eq!(checker.first_key, Some((30_000, 30_000)));
        // The server may count its times from elsewhere.
        let shifted: Vec<Frame> = frames
            .iter()
            .map(|frame| Frame { dts: Time(frame.dts.0 + 7_000_000), ..frame.clone() })
            .collect();
        let findings = check(&ledger, &shifted).findings;
        assert!(findings.is_clean() && findings.compared == 198, "{findings:?}");
    }

    #[test]
    fn each_fault_is_told_apart() {
        let (ledger, frames) = published(200);
        let fault = |change: &dyn Fn(&mut Vec<Frame>)| {
            let mut frames = frames.clone();
            change(&mut frames);
            check(&ledger, &frames).findings
        };
        let picture = |frames: &[Frame], nth: usize| {
            let pictures = frames.iter().enumerate().filter(|(_, f)| f.track == Track::Video);
            pictures.map(|(at, _)| at).nth(nth + 1).unwrap()
        };
        let found = fault(&|frames| {
            frames.remove(picture(frames, 5));
        });
        assert_eq!((found.gaps, found.missing_pictures), (1, 1));
        let found = fault(&|frames| {
            frames.remove(picture(frames, 0));
        });
        assert_eq!((found.began_without_key, found.gaps), (1, 0));
        let found = fault(&|frames| {
            let (a, b) = (picture(frames, 5), picture(frames, 6));
            frames.swap(a, b);
        });
        assert!(found.out_of_order >= 1 && found.time_back >= 1, "{found:?}");
        let found = fault(&|frames| {
            let at = picture(frames, 9);
            let mut payload = frames[at].payload.to_vec();
            *payload.last_mut().unwrap() ^= 1;
            frames[at].payload = Bytes::from(payload);
        });
        assert_eq!(found.corrupt, 1);
        let found = fault(&|frames| {
            frames.remove(0);
        });
        assert_eq!(found.before_config, 1);
        let found = fault(&|frames| {
            let at = frames.iter().rposition(|frame| frame.track == Track::Audio).unwrap();
            frames.remove(at - 3);
        });
        assert!(!found.is_clean(), "{found:?}");
    }

    #[test]
    fn pictures_that_do_not_come_are_due_with_their_age() {
        let (ledger, frames) = published(200);
        let pictures = |frames: &[Frame]| -> Vec<i64> {
            let video = frames.iter().filter(|frame| frame.track == Track::Video);
            let pictures = video.filter(|frame| frame.kind != FrameKind::Config);
            pictures.map(|frame| frame.dts.0).collect()
        };
        let (came, rest) = frames.split_at(120);
        let checker = check(&ledger, came);
        let now = 60_000_000;
        let mut due = checker.due(now);
        due.sort_by_key(|age| std::cmp::Reverse(*age));
        let ages: Vec<u64> = pictures(rest).iter().map(|made| (now - made) as u64).collect();
        assert!(!due.is_empty() && due == ages, "{due:?}");
        assert_eq!(check(&ledger, &frames).due(now), [0; 0]);
        assert_eq!(check(&ledger, &[]).due(now), [0; 0], "nothing came at all");
    }

    #[test]
    fn a_stream_of_somebody_else_is_asked_only_what_it_says_itself() {
        let (_, frames) = published(100);
        let mut checker = Checker::new(3, None, 1_000_000);
        for frame in &frames {
            checker.frame(frame, frame.dts.0);
        }
        assert!(checker.findings.is_clean());
        assert_eq!(checker.findings.compared, 0);
    }
}
