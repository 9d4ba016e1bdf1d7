//! What was published, so that a player can tell whether it got just that.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hasher};
use std::sync::{Mutex, PoisonError};

use media::codec::avc;
use media::testcard::Stamp;
use media::{Codec, Frame, FrameKind, Track};

/// Frames remembered of each track: over a minute of both, longer than a player may lag behind.
const REMEMBERED: usize = 4096;
/// How far the time of a frame of sound may be from the one it was sent with, in milliseconds: MP4 counts
/// it in samples, RTMP in milliseconds. Less than half a frame, so that each has one answer.
const ROUNDED_BY: i64 = 5;
/// NAL units that say how to decode and where access units begin. Containers add and take them away.
const AROUND_SLICES: std::ops::RangeInclusive<u8> = 7..=9;

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
    newest: VecDeque<Sent>,
}

/// A frame as it was published.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sent {
    /// How many came before it on its track.
    pub number: u64,
    /// The time it was sent with, in milliseconds.
    pub millis: i64,
    /// When it was made, by the clock of stamps.
    pub made: i64,
    /// What its payload comes to.
    pub hash: u64,
    /// What is in it whatever the container comes to ([`hash_of_slices`]).
    pub slices: u64,
}

impl Entries {
    fn push(&mut self, sent: Sent) {
        if self.newest.len() == REMEMBERED {
            self.newest.pop_front();
        }
        self.newest.push_back(Sent { number: self.sent, ..sent });
        self.sent += 1;
    }
}

impl Ledger {
    /// For so many streams.
    pub fn new(streams: usize) -> Self {
        Self { streams: (0..streams).map(|_| Mutex::default()).collect() }
    }

    /// Enters a frame that was made just now and is about to be sent.
    pub fn enter(&self, stream: usize, frame: &Frame, made: i64) {
        if frame.kind == FrameKind::Config {
            return;
        }
        let Some(known) = self.streams.get(stream) else { return };
        let sent = Sent {
            number: 0,
            millis: frame.dts.millis(),
            made,
            hash: hash(&frame.payload),
            slices: hash_of_slices(frame),
        };
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        match frame.track {
            Track::Video => known.video.push(sent),
            Track::Audio => known.audio.push(sent),
            Track::Data => {}
        }
    }

    /// The picture with this stamp; `None` where nobody here sent it, or too long ago.
    pub fn picture(&self, stamp: &Stamp) -> Option<Sent> {
        let known = self.streams.get(stamp.stream as usize)?;
        let known = known.lock().unwrap_or_else(PoisonError::into_inner);
        let first = known.video.newest.front()?.number;
        known.video.newest.get(usize::try_from(stamp.frame.checked_sub(first)?).ok()?).copied()
    }

    /// When the pictures behind this one were made.
    pub fn pictures_after(&self, stream: usize, number: u64) -> Vec<i64> {
        let Some(known) = self.streams.get(stream) else { return Vec::new() };
        let known = known.lock().unwrap_or_else(PoisonError::into_inner);
        let behind = known.video.newest.iter().rev().take_while(|sent| sent.number > number);
        behind.map(|sent| sent.made).collect()
    }

    /// The sound that was sent with this time, or nearly so.
    pub fn sound(&self, stream: usize, millis: i64) -> Option<Sent> {
        let known = self.streams.get(stream)?;
        let known = known.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = &known.audio.newest;
        let found = newest.partition_point(|sent| sent.millis < millis - ROUNDED_BY);
        newest.get(found).filter(|sent| sent.millis <= millis + ROUNDED_BY).copied()
    }
}

/// What a payload comes to. Not against forgers, but no accident passes it.
pub fn hash(payload: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(payload);
    hasher.finish()
}

/// What a frame comes to without what containers may change. MPEG-TS carries pictures of AVC as NAL units
/// behind start codes, with a delimiter before each picture and parameter sets before each keyframe, so
/// what comes back is not byte for byte what was published: what is in it, slices and the rest, is.
pub fn hash_of_slices(frame: &Frame) -> u64 {
    if frame.codec != Codec::Avc || frame.kind == FrameKind::Config {
        return hash(&frame.payload);
    }
    let mut hasher = DefaultHasher::new();
    // The test card and the demuxers have lengths of four bytes.
    for nal in avc::nals(&frame.payload, 4) {
        let Ok(nal) = nal else { return 0 };
        if nal.first().is_none_or(|first| !AROUND_SLICES.contains(&(first & 0x1f))) {
            hasher.write_usize(nal.len());
            hasher.write(nal);
        }
    }
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
            ledger.enter(1, &frame, 5);
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
                made: 5,
                hash: hash(&frame.payload),
                slices: hash_of_slices(frame),
            };
            assert_eq!(sent, wanted);
        }
        let newest = sounds.last().unwrap();
        assert_eq!(ledger.sound(1, newest.dts.millis()).unwrap().number, sounds.len() as u64 - 1);
        assert_eq!(ledger.sound(1, sounds.first().unwrap().dts.millis()), None, "forgotten");
        assert_eq!(ledger.sound(0, newest.dts.millis()), None, "another stream");
        assert_eq!(ledger.picture(&Stamp { stream: 9, frame: 0, micros: 0 }), None);
    }

    #[test]
    fn what_containers_add_to_a_picture_does_not_count() {
        let mut card = TestCard::new(Options::default()).unwrap();
        let picture = (0..9).map(|_| card.next(5)).find(|f| f.kind == FrameKind::Key).unwrap();
        let with = |before: &[u8], after: &[u8]| Frame {
            payload: [before, &picture.payload, after].concat().into(),
            ..picture.clone()
        };
        let same = hash_of_slices(&picture);
        let delimiter = [0, 0, 0, 2, 9, 0xf0];
        assert_eq!(hash_of_slices(&with(&delimiter, &[])), same);
        assert_eq!(hash_of_slices(&with(&[0, 0, 0, 2, 0x67, 1], &[])), same);
        assert_ne!(hash_of_slices(&with(&[], &[0, 0, 0, 2, 0x41, 1])), same, "a slice more");
        assert_ne!(hash_of_slices(&with(&[], &[0])), same, "it ends in the middle");
        assert_ne!(hash(&with(&delimiter, &[]).payload), hash(&picture.payload));
    }

    #[test]
    fn sound_is_found_by_a_time_that_was_rounded() {
        let ledger = Ledger::new(1);
        let mut card = TestCard::new(Options::default()).unwrap();
        let mut sounds = Vec::new();
        while sounds.len() < 100 {
            let frame = card.next(5);
            ledger.enter(0, &frame, 5);
            let is_sound = frame.track == Track::Audio && frame.kind != FrameKind::Config;
            sounds.extend(is_sound.then(|| frame.dts.millis()));
        }
        for (number, millis) in sounds.into_iter().enumerate() {
            for off in -2..=2 {
                assert_eq!(ledger.sound(0, millis + off).unwrap().number, number as u64);
            }
            assert_eq!(ledger.sound(0, millis + 10), None, "in the middle between two");
        }
    }
}
