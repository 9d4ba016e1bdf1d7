//! What was published, so that a player can tell whether it got just that.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hasher};
use std::sync::{Mutex, PoisonError};

use media::testcard::Stamp;
use media::{Frame, FrameKind, Track};

/// Frames remembered of each track: over a minute of both, longer than a player may lag behind.
const REMEMBERED: usize = 4096;

/// What a publisher of this process has sent, by stream. A frame costs both sides one short lock.
#[derive(Debug, Default)]
pub struct Ledger {
    streams: Vec<Mutex<Stream>>,
}

#[derive(Debug, Default)]
struct Stream {
    video: Entries,
    audio: Entries,
}

/// The newest frames of one track, by the time on them, which only grows.
#[derive(Debug, Default)]
struct Entries {
    sent: u64,
    newest: VecDeque<(i64, u64)>,
}

/// A frame as it was published.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sent {
    /// How many came before it on its track.
    pub number: u64,
    /// The time it was sent with, in milliseconds.
    pub millis: i64,
    /// What its payload comes to.
    pub hash: u64,
}

impl Entries {
    fn push(&mut self, millis: i64, hash: u64) {
        if self.newest.len() == REMEMBERED {
            self.newest.pop_front();
        }
        self.newest.push_back((millis, hash));
        self.sent += 1;
    }

    fn at(&self, place: usize) -> Option<Sent> {
        let (millis, hash) = *self.newest.get(place)?;
        let number = self.sent - self.newest.len() as u64 + place as u64;
        Some(Sent { number, millis, hash })
    }
}

impl Ledger {
    /// For so many streams.
    pub fn new(streams: usize) -> Self {
        Self { streams: (0..streams).map(|_| Mutex::default()).collect() }
    }

    /// Enters a frame that is about to be sent.
    pub fn enter(&self, stream: usize, frame: &Frame) {
        if frame.kind == FrameKind::Config {
            return;
        }
        let Some(known) = self.streams.get(stream) else { return };
        let (millis, hash) = (frame.dts.millis(), hash(&frame.payload));
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        match frame.track {
            Track::Video => known.video.push(millis, hash),
            Track::Audio => known.audio.push(millis, hash),
            Track::Data => {}
        }
    }

    /// The picture with this stamp; `None` where nobody here sent it, or too long ago.
    pub fn picture(&self, stamp: &Stamp) -> Option<Sent> {
        let known = self.streams.get(stamp.stream as usize)?;
        let known = known.lock().unwrap_or_else(PoisonError::into_inner);
        let first = known.video.sent - known.video.newest.len() as u64;
        known.video.at(usize::try_from(stamp.frame.checked_sub(first)?).ok()?)
    }

    /// The sound that was sent with this time.
    pub fn sound(&self, stream: usize, millis: i64) -> Option<Sent> {
        let known = self.streams.get(stream)?;
        let known = known.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.audio.newest.binary_search_by_key(&millis, |(millis, _)| *millis);
        known.audio.at(found.ok()?)
    }
}

/// What a payload comes to. Not against forgers, but no accident passes it.
pub fn hash(payload: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(payload);
    hasher.finish()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use media::testcard::{Options, TestCard};

    #[test]
    fn what_was_sent_is_found_until_it_is_old() {
        let ledger = Ledger::new(2);
        let mut card = TestCard::new(Options { stream_index: 1, ..Options::default() }).unwrap();
        let mut pictures = Vec::new();
        let mut sounds = Vec::new();
        for _ in 0..2 * REMEMBERED {
            let frame = card.next(5);
            ledger.enter(1, &frame);
            match (frame.kind, frame.track) {
                (FrameKind::Config, _) => {}
                (_, Track::Video) => pictures.push(frame),
                _ => sounds.push(frame),
            }
        }
        for (number, frame) in pictures.iter().enumerate() {
            let stamp = Stamp::find(&frame.payload).unwrap();
            let sent = ledger.picture(&stamp).unwrap();
            let wanted = Sent {
                number: number as u64,
                millis: frame.dts.millis(),
                hash: hash(&frame.payload),
            };
            assert_eq!(sent, wanted);
        }
        let newest = sounds.last().unwrap();
        assert_eq!(ledger.sound(1, newest.dts.millis()).unwrap().number, sounds.len() as u64 - 1);
        assert_eq!(ledger.sound(1, sounds.first().unwrap().dts.millis()), None, "forgotten");
        assert_eq!(ledger.sound(0, newest.dts.millis()), None, "another stream");
        assert_eq!(ledger.picture(&Stamp { stream: 9, frame: 0, micros: 0 }), None);
    }
}
