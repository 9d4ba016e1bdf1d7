//! Tracks that metadata announces, and the frames that wait until these are known.
//!
//! Who begins to play is told what the tracks are, and takes up no other later. A track without a configuration
//! is known by its first frame, which may come behind the first keyframe.

use std::time::Instant;

use media::protocol::rtmp::amf0::{Object, Reader, Value};
use media::{Frame, Time};

use crate::format::Infos;
use crate::limits;

/// What is announced, and what waits for it.
#[derive(Debug, Default)]
pub struct Announced {
    video: bool,
    audio: bool,
    waiting: Vec<Frame>,
    bytes: usize,
    /// When the first of them came, and its own time.
    since: Option<(Instant, Time)>,
}

impl Announced {
    /// Of metadata as AMF0; of anything else nothing.
    #[must_use]
    pub fn by(metadata: &[u8]) -> Self {
        let values = Reader::new(metadata).all().unwrap_or_default();
        let Some(object) = values.iter().find_map(Value::as_object) else { return Self::default() };
        let video = has(object, "videocodecid", "hasVideo");
        let audio = has(object, "audiocodecid", "hasAudio");
        Self { video, audio, ..Self::default() }
    }

    /// Whether a frame has to wait, as a track is not known that was announced. It is not waited for twice.
    pub fn waits(&mut self, frame: &Frame, infos: &Infos, now: Instant) -> bool {
        let lacks = self.video && infos.video.is_none() || self.audio && infos.audio.is_none();
        let has_time = self.since.is_none_or(|(since, first)| {
            let most = i64::try_from(limits::ANNOUNCED.as_micros()).unwrap_or(i64::MAX);
            now.saturating_duration_since(since) < limits::ANNOUNCED
                && frame.dts.since(first).saturating_abs() < most
        });
        let has_room = self.waiting.len() < limits::ANNOUNCED_FRAMES
            && self.bytes.saturating_add(frame.payload.len()) <= limits::ANNOUNCED_BYTES;
        let waits = lacks && has_time && has_room;
        if !waits {
            (self.video, self.audio) = (false, false);
        }
        waits
    }

    /// Keeps a frame that waits.
    pub fn keep(&mut self, frame: Frame, now: Instant) {
        self.since.get_or_insert((now, frame.dts));
        self.bytes = self.bytes.saturating_add(frame.payload.len());
        self.waiting.push(frame);
    }

    /// The frames that waited, in their order.
    pub fn take(&mut self) -> Vec<Frame> {
        self.bytes = 0;
        std::mem::take(&mut self.waiting)
    }
}

/// Metadata names a codec, and does not say that there is none all the same.
fn has(object: &Object, codec: &str, flag: &str) -> bool {
    let is_named = match object.get(codec) {
        Some(Value::Number(number)) => *number > 0.0,
        Some(Value::String(name)) => !name.is_empty(),
        _ => false,
    };
    is_named && object.get(flag).and_then(Value::as_bool) != Some(false)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::name::StreamName;
    use crate::numbers::Numbers;
    use crate::stream::Stream;
    use media::codec::Info;
    use media::container::flv::packetizer::metadata;
    use media::{Codec, FrameKind, Track};

    fn frame(track: Track, codec: Codec, millis: i64) -> Frame {
        let time = Time::from_millis(millis);
        let payload = vec![0xff, 0xfb, 0x90, 0].into();
        Frame { track, codec, kind: FrameKind::Key, dts: time, pts: time, payload }
    }

    fn picture(millis: i64) -> Frame {
        frame(Track::Video, Codec::Vp9, millis)
    }

    /// A stream that was told of both tracks.
    fn announced(now: Instant) -> Stream {
        let name = StreamName::parse("live/announced").unwrap();
        let mut stream = Stream::new(name, Arc::default(), Arc::default(), Numbers::default(), now);
        stream.set_publisher(None, now).unwrap();
        let (video, audio) = (Info::of(Codec::Vp9), Info::of(Codec::Mp3));
        let both = metadata(Some((Codec::Vp9, &video)), Some((Codec::Mp3, &audio)));
        stream.frame(both, now).unwrap();
        stream
    }

    /// For each place where players may begin, whether they are told of sound.
    fn entries(stream: &mut Stream) -> Vec<bool> {
        let mut entries = Vec::new();
        stream.commit(|_, _| {}).unwrap();
        let log = stream.logs().next().unwrap();
        for packet in log.index().packets_from(0).filter(|packet| packet.is_entry) {
            entries.push(log.configs_of(packet.epoch).unwrap().has_audio());
        }
        entries
    }

    #[test]
    fn a_keyframe_waits_for_the_sound_that_was_announced() {
        let now = Instant::now();
        let mut stream = announced(now);
        stream.frame(picture(0), now).unwrap();
        stream.frame(picture(40), now).unwrap();
        assert!(entries(&mut stream).is_empty());
        stream.frame(frame(Track::Audio, Codec::Mp3, 20), now).unwrap();
        assert_eq!(entries(&mut stream), [true, true]);
        stream.frame(picture(80), now).unwrap();
        assert_eq!(entries(&mut stream), [true, true, true], "nothing waits any more");
    }

    #[test]
    fn sound_that_does_not_come_is_not_waited_for_long() {
        let now = Instant::now();
        let mut stream = announced(now);
        stream.frame(picture(0), now).unwrap();
        stream.frame(picture(40), now + limits::ANNOUNCED - Duration::from_millis(1)).unwrap();
        assert!(entries(&mut stream).is_empty());
        stream.frame(picture(80), now + limits::ANNOUNCED).unwrap();
        assert_eq!(entries(&mut stream), [false, false, false]);
        stream.frame(picture(120), now + limits::ANNOUNCED).unwrap();
        assert_eq!(entries(&mut stream).len(), 4, "nor a second time");
    }

    #[test]
    fn what_waits_comes_though_its_publisher_goes() {
        let now = Instant::now();
        let mut stream = announced(now);
        stream.frame(picture(0), now).unwrap();
        stream.flush();
        assert_eq!(entries(&mut stream), [false]);
    }

    #[test]
    fn metadata_that_names_no_codec_announces_nothing() {
        let video = Info::of(Codec::Vp9);
        let announced = Announced::by(&metadata(Some((Codec::Vp9, &video)), None).payload);
        assert!(announced.video && !announced.audio);
        let announced = Announced::by(b"\x02\0\x0aonMetaData\x05");
        assert!(!announced.video && !announced.audio);
    }
}
