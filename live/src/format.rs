//! The forms a stream has in logs: the container, and what stands around it on the wire.

use std::num::NonZeroUsize;
use std::sync::Arc;

use media::codec::Info;
use media::container::flv::file::file_header;
use media::container::flv::packetizer::TooLong;
use media::container::mp4::Description;
use media::container::ts;
use media::{Codec, Frame, FrameKind, Time, Track};
use network::http::{CHUNK_END, chunk_header};
use network::websocket::{Opcode, header};

use crate::pack;

/// What a stream's frames are packed into.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Container {
    /// FLV tags.
    Flv,
    /// RTMP messages on the message stream that players play.
    Rtmp,
    /// An MPEG transport stream.
    Ts,
    /// Fragments of MP4, sound behind the pictures of the same time.
    Mp4,
    /// Fragments of MP4 with pictures alone.
    Mp4Video,
    /// Fragments of MP4 with sound alone.
    Mp4Audio,
}

/// What stands around each packet on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Framing {
    /// Nothing.
    Bare,
    /// An HTTP chunk.
    Chunked,
    /// A binary WebSocket message.
    WebSocket,
}

/// One form of a stream. The bytes of each are the same for all its players, framing included: nothing
/// is left to be put around them per player, so that one player's share of a flush is one range of one
/// log.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Format {
    /// The container.
    pub container: Container,
    /// What is around it.
    pub framing: Framing,
}

/// What players need before the frames of a stream: the newest metadata, and the configurations of its
/// tracks.
#[derive(Clone, Debug, Default)]
pub struct Configs {
    /// `onMetaData`.
    pub metadata: Option<Frame>,
    /// The configuration of pictures.
    pub video: Option<Frame>,
    /// The configuration of sound.
    pub audio: Option<Frame>,
    /// What the tracks are, of those that the stream has.
    pub infos: Infos,
    /// The pictures as MP4 describes them; nothing where it cannot, or cannot yet.
    pub video_in_mp4: Option<Arc<Description>>,
    /// The sound as MP4 describes it.
    pub audio_in_mp4: Option<Arc<Description>>,
    /// Changes where decoders begin anew: with a track's configuration, and with the publisher.
    pub generation: u32,
    /// The first segment of the generation and when it begins, once it does.
    pub first: Option<(u32, Time)>,
    /// What a wall clock showed at the stream's time 0, in microseconds since 1970.
    pub wall: i64,
}

/// What the tracks are, as far as it is known.
#[derive(Clone, Debug, Default)]
pub struct Infos {
    /// The pictures.
    pub video: Option<(Codec, Info)>,
    /// The sound.
    pub audio: Option<(Codec, Info)>,
}

impl Configs {
    /// In the order players are sent them.
    pub fn frames(&self) -> impl Iterator<Item = &Frame> {
        self.metadata.iter().chain(&self.video).chain(&self.audio)
    }

    /// The stream has pictures.
    pub fn has_video(&self) -> bool {
        self.infos.video.is_some()
    }

    /// The stream has sound.
    pub fn has_audio(&self) -> bool {
        self.infos.audio.is_some()
    }

    /// Whether a decoder of these goes on with those of `other`.
    pub fn is_like(&self, other: &Self) -> bool {
        let same = |one: &Option<Frame>, two: &Option<Frame>| match (one, two) {
            (Some(one), Some(two)) => one.codec == two.codec && one.payload == two.payload,
            (None, None) => true,
            _ => false,
        };
        let codecs = |infos: &Infos| {
            let codec = |track: &Option<(Codec, Info)>| track.as_ref().map(|(codec, _)| *codec);
            (codec(&infos.video), codec(&infos.audio))
        };
        codecs(&self.infos) == codecs(&other.infos)
            && same(&self.video, &other.video)
            && same(&self.audio, &other.audio)
    }
}

impl Format {
    /// FLV tags, one behind the other. Every stream has these; the other forms are made from them for
    /// who asks.
    pub const BASE: Self = Self { container: Container::Flv, framing: Framing::Bare };
    /// RTMP.
    pub const RTMP: Self = Self { container: Container::Rtmp, framing: Framing::Bare };
    /// How many places a table by format has.
    pub const PLACES: usize = 18;
    /// All of them.
    pub const ALL: [Self; 14] = {
        use Container::{Flv, Mp4, Mp4Audio, Mp4Video, Ts};
        use Framing::{Bare, Chunked, WebSocket};
        [
            Self::BASE,
            Self { container: Flv, framing: Chunked },
            Self { container: Flv, framing: WebSocket },
            Self::RTMP,
            Self { container: Ts, framing: Bare },
            Self { container: Ts, framing: Chunked },
            Self { container: Ts, framing: WebSocket },
            Self { container: Mp4, framing: Bare },
            Self { container: Mp4, framing: Chunked },
            Self { container: Mp4, framing: WebSocket },
            Self { container: Mp4Video, framing: Bare },
            Self { container: Mp4Video, framing: Chunked },
            Self { container: Mp4Audio, framing: Bare },
            Self { container: Mp4Audio, framing: Chunked },
        ]
    };

    /// This container with nothing around it: what files and segments are slices of.
    #[must_use]
    pub const fn bare(container: Container) -> Self {
        Self { container, framing: Framing::Bare }
    }

    /// Its place in a table by format.
    #[must_use]
    pub const fn place(self) -> usize {
        self.container as usize * 3 + self.framing as usize
    }

    /// As logs and messages call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match (self.container, self.framing) {
            (Container::Rtmp, _) => "rtmp",
            (Container::Flv, Framing::Bare) => "flv",
            (Container::Flv, Framing::Chunked) => "http-flv",
            (Container::Flv, Framing::WebSocket) => "ws-flv",
            (Container::Ts, Framing::Bare) => "ts",
            (Container::Ts, Framing::Chunked) => "http-ts",
            (Container::Ts, Framing::WebSocket) => "ws-ts",
            (Container::Mp4, Framing::Bare) => "mp4",
            (Container::Mp4, Framing::Chunked) => "http-mp4",
            (Container::Mp4, Framing::WebSocket) => "ws-mp4",
            (Container::Mp4Video, _) => "mp4-video",
            (Container::Mp4Audio, _) => "mp4-audio",
        }
    }

    /// What HTTP calls it.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self.container {
            Container::Flv | Container::Rtmp => "video/x-flv",
            Container::Ts => "video/mp2t",
            Container::Mp4 | Container::Mp4Video => "video/mp4",
            Container::Mp4Audio => "audio/mp4",
        }
    }

    /// Segments are cut from it: it is kept for those who fetch them later.
    #[must_use]
    pub fn is_segmented(self) -> bool {
        use Container::{Mp4Audio, Mp4Video, Ts};
        self.framing == Framing::Bare && matches!(self.container, Ts | Mp4Video | Mp4Audio)
    }

    /// Appends what a player is sent before its first frame, which is at `time`.
    ///
    /// # Errors
    /// One of the configurations has no room; what fits before it is appended.
    pub fn prelude(self, configs: &Configs, time: Time, out: &mut Vec<u8>) -> Result<(), TooLong> {
        if self.container == Container::Flv {
            let header = file_header(configs.has_audio(), configs.has_video());
            self.framing.around(&[&header], out);
        }
        self.describe(configs, time, true, out)
    }

    /// Appends the configurations alone, for a player that has them already and needs others.
    ///
    /// # Errors
    /// As [`Format::prelude`].
    pub fn configs(self, configs: &Configs, time: Time, out: &mut Vec<u8>) -> Result<(), TooLong> {
        self.describe(configs, time, false, out)
    }

    /// Appends what tells a player that it has skipped to an entry, of which its packet says `counters`:
    /// readers of a transport stream take a jump for loss.
    pub fn skipped(self, counters: u16, out: &mut Vec<u8>) {
        if self.container == Container::Ts {
            let mut told = Vec::with_capacity(ts::Counters::ANNOUNCED);
            ts::Counters::of_bits(counters).announce(&mut told);
            self.framing.around(&[&told], out);
        }
    }

    fn describe(
        self,
        configs: &Configs,
        time: Time,
        is_first: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), TooLong> {
        match self.container {
            Container::Flv | Container::Rtmp => {
                for frame in configs.frames() {
                    // Metadata comes at zero: ffmpeg takes what comes later for a track of subtitles.
                    let is_zero = is_first && frame.track == Track::Data;
                    let time = if is_zero { Time::from_millis(0) } else { time };
                    let frame = Frame { dts: time, pts: time, ..frame.clone() };
                    pack::append_frame(self, &frame, out)?;
                }
            }
            // Tables and parameter sets stand before each keyframe.
            Container::Ts => {}
            Container::Mp4 | Container::Mp4Video | Container::Mp4Audio => {
                let mut init = Vec::new();
                pack::append_init(self.container, configs, &mut init);
                self.framing.around(&[&init], out);
            }
        }
        Ok(())
    }
}

impl Framing {
    /// Appends what stands on the wire for these bytes.
    pub fn around(self, parts: &[&[u8]], out: &mut Vec<u8>) {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let Some(some) = NonZeroUsize::new(len) else { return };
        match self {
            Self::Chunked => out.extend_from_slice(chunk_header(some).as_bytes()),
            Self::WebSocket => {
                let (bytes, len) = header(Opcode::Binary, true, len, None);
                out.extend_from_slice(bytes.get(..len).unwrap_or_default());
            }
            Self::Bare => {}
        }
        parts.iter().for_each(|part| out.extend_from_slice(part));
        if self == Self::Chunked {
            out.extend_from_slice(CHUNK_END);
        }
    }
}

/// Whether a player can begin with this frame.
pub fn is_entry(frame: &Frame, has_video: bool) -> bool {
    let track = if has_video { Track::Video } else { Track::Audio };
    frame.track == track && frame.kind == FrameKind::Key
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use media::Codec;
    use media::container::flv::Demuxer;
    use media::protocol::rtmp::chunk;
    use network::http::{BodyDecoder, BodyEvent, BodyFraming};

    fn frame(kind: FrameKind, millis: i64, payload: &'static [u8]) -> Frame {
        let time = Time::from_millis(millis);
        Frame {
            track: Track::Video,
            codec: Codec::Avc,
            kind,
            dts: time,
            pts: time,
            payload: payload.into(),
        }
    }

    fn stream(format: Format) -> (Vec<Frame>, Vec<u8>) {
        let config = frame(FrameKind::Config, 70, b"config");
        let key = frame(FrameKind::Key, 70, b"key picture");
        let configs = Configs {
            video: Some(config.clone()),
            infos: Infos { video: Some((Codec::Avc, Info::default())), audio: None },
            ..Configs::default()
        };
        let mut bytes = Vec::new();
        format.prelude(&configs, key.dts, &mut bytes).unwrap();
        let before = bytes.len();
        pack::append_frame(format, &key, &mut bytes).unwrap();
        assert!(bytes.len() > before);
        (vec![config, key], bytes)
    }

    fn demuxed(bytes: &[u8]) -> Vec<Frame> {
        let mut demuxer = Demuxer::new();
        demuxer.receive(bytes).unwrap();
        std::iter::from_fn(|| demuxer.next_frame().unwrap()).collect()
    }

    #[test]
    fn each_format_has_its_own_place_and_name() {
        for format in Format::ALL {
            assert!(format.place() < Format::PLACES);
            let same = |other: &&Format| other.place() == format.place();
            assert_eq!(Format::ALL.iter().filter(same).count(), 1, "{format:?}");
        }
    }

    #[test]
    fn tags_alone_are_a_file() {
        let (frames, bytes) = stream(Format::BASE);
        assert_eq!(demuxed(&bytes), frames);
    }

    #[test]
    fn chunks_are_a_body_of_tags() {
        let (frames, bytes) = stream(Format { framing: Framing::Chunked, ..Format::BASE });
        let mut decoder = BodyDecoder::new(BodyFraming::Chunked, 1 << 20).unwrap();
        let (mut at, mut body) = (0, Vec::new());
        loop {
            let step = decoder.decode(&bytes[at..]).unwrap();
            at += step.consumed;
            match step.event {
                BodyEvent::Data(data) => body.extend_from_slice(data),
                BodyEvent::NeedMore => break,
                BodyEvent::End => panic!("nobody ended it"),
            }
        }
        assert_eq!(at, bytes.len());
        assert_eq!(demuxed(&body), frames);
    }

    #[test]
    fn messages_of_a_socket_are_tags() {
        let (frames, bytes) = stream(Format { framing: Framing::WebSocket, ..Format::BASE });
        let (mut at, mut body) = (0, Vec::new());
        while at < bytes.len() {
            assert_eq!(bytes[at], 0x82, "binary, in one piece");
            let len = usize::from(bytes[at + 1]);
            assert!(len < 126, "short and not masked");
            body.extend_from_slice(&bytes[at + 2..at + 2 + len]);
            at += 2 + len;
        }
        assert_eq!(demuxed(&body), frames);
    }

    #[test]
    fn rtmp_has_the_same_bodies() {
        let (frames, bytes) = stream(Format::RTMP);
        let mut reader = chunk::Reader::default();
        reader.set_chunk_size(media::limits::RTMP_CHUNK_SIZE as u32).unwrap();
        reader.begin();
        let mut input = bytes.as_slice();
        for frame in frames {
            let message = reader.read(&mut input).unwrap().unwrap();
            let parsed =
                media::container::flv::parse(message.payload, Track::Video, message.time.into());
            assert_eq!(parsed.unwrap().frame.unwrap(), frame);
        }
        assert!(input.is_empty());
    }
}
