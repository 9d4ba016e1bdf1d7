//! What a publisher sends, on its way into the logs: checked, placed in time, with the configurations that
//! it needs.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use media::codec::nal::Contents;
use media::codec::{CodecError, Info, avc, hevc};
use media::container::flv::packetizer::{self, TooLong};
use media::container::flv::{self, TagError};
use media::container::mp4::{Description, DescriptionError};
use media::{Codec, Frame, FrameKind, Track};
use thiserror::Error;

use super::{Stream, micros};
use crate::announced::Announced;
use crate::format::{Configs, is_entry};
use crate::left_out::Dropped;
use crate::pack::Placed;

/// Media that ends its publisher.
#[derive(Debug, Error)]
pub enum BadMedia {
    /// A tag is broken.
    #[error(transparent)]
    Tag(#[from] TagError),
    /// No decoder could begin with this configuration, or the frame is broken.
    #[error("publisher's {0}")]
    Codec(#[from] CodecError),
}

impl Stream {
    /// Takes the body of a tag, as RTMP and FLV have it.
    ///
    /// # Errors
    /// It is broken: its publisher cannot go on.
    pub fn tag(
        &mut self,
        track: Track,
        time_ms: i64,
        body: Bytes,
        now: Instant,
    ) -> Result<(), BadMedia> {
        let parsed = flv::parse(body, track, time_ms)?;
        self.drop_frames(Dropped::OtherTrack, parsed.other_tracks.into());
        match parsed.frame {
            Some(frame) => self.frame(frame, now),
            None => Ok(()),
        }
    }

    /// Takes a frame, with its publisher's times.
    ///
    /// # Errors
    /// As [`Stream::tag`].
    pub fn frame(&mut self, frame: Frame, now: Instant) -> Result<(), BadMedia> {
        self.counters.bytes_in.add(frame.payload.len() as u64);
        if let Some(publisher) = &mut self.publisher {
            publisher.heard = now;
        }
        if frame.kind == FrameKind::Config {
            return self.config(frame, now);
        }
        self.check(&frame)?;
        self.counters.frames_in.add(1);
        self.frames += 1;
        if frame.track != Track::Video || frame.kind == FrameKind::Key {
            self.know_track(&frame);
        }
        if self.announced.waits(&frame, &self.infos, now) {
            self.announced.keep(frame, now);
        } else {
            self.release(now);
            self.take(frame, now);
        }
        Ok(())
    }

    /// Takes the frames that waited for a track to be known.
    pub(super) fn release(&mut self, now: Instant) {
        for frame in self.announced.take() {
            self.take(frame, now);
        }
    }

    /// Takes a frame of a track that is known.
    fn take(&mut self, mut frame: Frame, now: Instant) {
        if frame.track == Track::Video {
            self.keyframes += u64::from(frame.kind == FrameKind::Key);
            if self.waits_for_key && frame.kind != FrameKind::Key {
                self.drop_frames(Dropped::BeforeKeyframe, 1);
                return;
            }
            self.waits_for_key = false;
        }
        self.has_picture |= frame.track == Track::Video;
        self.place(&mut frame, now);
        self.meter.frame(&frame);
        let entry = is_entry(&frame, self.configs.has_video());
        self.describe(&frame, entry);
        if frame.track != Track::Data {
            self.segment(&frame, entry);
        }
        self.append(&frame, entry);
    }

    /// Broken frames are their publisher's end, before they reach a player's decoder.
    fn check(&self, frame: &Frame) -> Result<(), CodecError> {
        let looked: Result<Contents, CodecError> = match frame.codec {
            _ if self.nal_length_size == 0 => return Ok(()),
            Codec::Avc => avc::contents(&frame.payload, self.nal_length_size),
            Codec::Hevc => hevc::contents(&frame.payload, self.nal_length_size),
            _ => return Ok(()),
        };
        looked.map(drop)
    }

    fn place(&mut self, frame: &mut Frame, now: Instant) {
        let wall = now.saturating_duration_since(self.born).as_micros();
        let jumps = self.timeline.jumps();
        let wall = i64::try_from(wall).unwrap_or(i64::MAX);
        let dts = self.timeline.place(frame.track, frame.dts, wall);
        let jumps = self.timeline.jumps() - jumps;
        self.counters.clock_jumps.add(jumps);
        self.clock_jumps += jumps;
        frame.pts = dts.plus(frame.pts.since(frame.dts));
        frame.dts = dts;
    }

    /// A configuration, or metadata: for who joins, and in band for those who play where it differs
    /// from what they have.
    fn config(&mut self, mut frame: Frame, now: Instant) -> Result<(), BadMedia> {
        match frame.track {
            // What waits is of the configuration before.
            Track::Video if self.configs.video.is_some() => self.release(now),
            Track::Audio if self.configs.audio.is_some() => self.release(now),
            Track::Data if self.is_anew => {
                let waiting = self.announced.take();
                self.announced = Announced::by(&frame.payload);
                waiting.into_iter().for_each(|frame| self.announced.keep(frame, now));
            }
            _ => {}
        }
        let info = match frame.track {
            Track::Data => None,
            _ => Some((frame.codec, Info::from_config(frame.codec, &frame.payload)?)),
        };
        let mut configs = (*self.configs).clone();
        let (place, told) = match frame.track {
            Track::Video => {
                self.nal_length_size = match frame.codec {
                    Codec::Avc => avc::Config::parse(&frame.payload)?.length_size,
                    Codec::Hevc => hevc::Config::parse(&frame.payload)?.length_size,
                    _ => 0,
                };
                self.infos.video = info;
                (&mut configs.video, &mut self.told.video)
            }
            Track::Audio => {
                self.infos.audio = info;
                (&mut configs.audio, &mut self.told.audio)
            }
            Track::Data => (&mut configs.metadata, &mut self.told.metadata),
        };
        let same = |other: &Option<Frame>| {
            other
                .as_ref()
                .is_some_and(|other| other.codec == frame.codec && other.payload == frame.payload)
        };
        let (is_known, is_told) = (same(place), same(told));
        // The payload shares a buffer with the session.
        frame.payload = Bytes::copy_from_slice(&frame.payload);
        *place = Some(frame.clone());
        *told = Some(frame.clone());
        if !is_known {
            let description = describe(&frame, Some(&frame.payload), None);
            match frame.track {
                Track::Video => configs.video_in_mp4 = description,
                Track::Audio => configs.audio_in_mp4 = description,
                Track::Data => {}
            }
            self.set_configs(configs);
        }
        if !is_told {
            frame.dts = self.timeline.now(frame.track);
            frame.pts = frame.dts;
            self.append(&frame, false);
        }
        Ok(())
    }

    /// Tracks that send no configuration are known by their frames.
    fn know_track(&mut self, frame: &Frame) {
        let known = match frame.track {
            Track::Video => &mut self.infos.video,
            Track::Audio => &mut self.infos.audio,
            Track::Data => return,
        };
        if known.is_some() {
            return;
        }
        // Where the header says nothing, the codec's name has to do.
        let info = Info::from_frame(frame.codec, &frame.payload);
        *known = Some((frame.codec, info.unwrap_or_else(|_| Info::of(frame.codec))));
        let mut configs = (*self.configs).clone();
        match frame.track {
            Track::Video => configs.video_in_mp4 = describe(frame, None, Some(&frame.payload)),
            _ => configs.audio_in_mp4 = describe(frame, None, Some(&frame.payload)),
        }
        self.set_configs(configs);
    }

    /// Codecs whose configuration says too little for MP4 are described by a keyframe.
    fn describe(&mut self, frame: &Frame, entry: bool) {
        let is_poor = entry
            && frame.track == Track::Video
            && matches!(frame.codec, Codec::Av1 | Codec::Vp9)
            && self.configs.video_in_mp4.is_none();
        if !is_poor {
            return;
        }
        let config = self.configs.video.as_ref().map(|config| &config.payload[..]);
        let Some(description) = describe(frame, config, Some(&frame.payload)) else { return };
        let mut configs = (*self.configs).clone();
        configs.video_in_mp4 = Some(description);
        if let (Ok(seen), Some((_, info))) =
            (Info::from_frame(frame.codec, &frame.payload), &mut self.infos.video)
        {
            info.width = info.width.or(seen.width);
            info.height = info.height.or(seen.height);
        }
        self.set_configs(configs);
    }

    pub(super) fn set_configs(&mut self, mut configs: Configs) {
        self.epoch += 1;
        configs.infos = self.infos.clone();
        let goes_on = !self.is_anew && configs.is_like(&self.framed);
        (configs.generation, configs.wall, configs.first) = match goes_on {
            true => (self.framed.generation, self.framed.wall, self.framed.first),
            false => (self.framed.generation.wrapping_add(1), self.wall(), None),
        };
        self.configs = Arc::new(configs);
    }

    /// What the wall clock showed at the stream's time 0, if what comes now comes in time.
    fn wall(&self) -> i64 {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        micros(now).saturating_sub(self.timeline.newest().0)
    }

    /// Says which segment the frame belongs to.
    fn segment(&mut self, frame: &Frame, entry: bool) {
        let (generation, is_picture) = (self.configs.generation, frame.track == Track::Video);
        let placed = self.segmenter.place(frame.dts, entry, is_picture, generation);
        self.segment = placed.number;
        if self.configs.first.is_none() {
            self.epoch += 1;
            let first = Some((placed.number, frame.dts));
            self.configs = Arc::new(Configs { first, ..(*self.configs).clone() });
        }
        if let Some(length) = placed.first_cut {
            let length = Duration::from_micros(length.unsigned_abs());
            tracing::warn!(
                stream = %self.name, ?length, target = ?self.segmenter.target() / 1_000_000,
                "no keyframe for so long: segments begin without one, and players join late; \
                 let the encoder send keyframes at equal distances (hls.segment)"
            );
        }
        self.framed = Arc::clone(&self.configs);
        self.is_anew = false;
    }

    fn append(&mut self, frame: &Frame, entry: bool) {
        if entry && self.configs.metadata.is_none() {
            // Players like to know a picture's size before it comes.
            let video = self.infos.video.as_ref().map(|(codec, info)| (*codec, info));
            let audio = self.infos.audio.as_ref().map(|(codec, info)| (*codec, info));
            let mut configs = (*self.configs).clone();
            configs.metadata = Some(packetizer::metadata(video, audio));
            self.set_configs(configs);
        }
        let (epoch, configs, segment) = (self.epoch, &self.configs, self.segment);
        let placed = Placed { epoch, configs, segment, is_entry: entry };
        let mut too_long = 0;
        for log in self.logs.iter_mut().flatten() {
            if let Err(TooLong(len)) = log.append(frame, placed) {
                too_long += 1;
                tracing::warn!(stream = %self.name, len, "a frame is too long for players");
            }
        }
        self.drop_frames(Dropped::TooLong, too_long);
    }

    fn drop_frames(&mut self, why: Dropped, frames: u64) {
        if frames > 0 {
            self.counters.dropped(why, frames);
            if let Some(count) = self.dropped.get_mut(why as usize) {
                *count += frames;
            }
        }
    }
}

/// The track of this frame as MP4 describes it.
fn describe(
    frame: &Frame,
    config: Option<&[u8]>,
    first: Option<&[u8]>,
) -> Option<Arc<Description>> {
    let id = match frame.track {
        Track::Video => 1,
        Track::Audio => 2,
        Track::Data => return None,
    };
    match Description::new(id, frame.codec, config, first) {
        Ok(description) => Some(Arc::new(description)),
        // Its first keyframe says more.
        Err(DescriptionError::NoFrame(_)) => None,
        Err(error) => {
            tracing::debug!(%error, "a track is not in MP4");
            None
        }
    }
}
