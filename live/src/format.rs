//! The forms a stream has in logs: the container, and what stands around it on the wire.

use std::num::NonZeroUsize;

use media::container::flv::file::file_header;
use media::container::flv::packetizer::{Around, TooLong};
use media::container::flv::tag::Header;
use media::protocol::rtmp::chunk;
use media::{Frame, FrameKind, Time, Track};
use network::http::{CHUNK_END, chunk_header};
use network::websocket::{Opcode, header};

/// One form of a stream. The bytes of each are the same for all its players, framing included: nothing
/// is left to be put around them per player, so that one player's share of a flush is one range of one
/// log.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Format {
    /// FLV tags, one behind the other. Every stream has this one; the others are made from it for who
    /// asks.
    Flv,
    /// FLV tags, each an HTTP chunk.
    ChunkedFlv,
    /// FLV tags, each a binary WebSocket message.
    WebSocketFlv,
    /// RTMP messages on the message stream that players play.
    Rtmp,
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
    /// The stream has pictures.
    pub has_video: bool,
    /// The stream has sound.
    pub has_audio: bool,
}

impl Configs {
    /// In the order players are sent them.
    pub fn frames(&self) -> impl Iterator<Item = &Frame> {
        self.metadata.iter().chain(&self.video).chain(&self.audio)
    }
}

impl Format {
    /// All of them; their places in a stream's table.
    pub const ALL: [Self; 4] = [Self::Flv, Self::ChunkedFlv, Self::WebSocketFlv, Self::Rtmp];

    /// As logs and messages call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Flv => "flv",
            Self::ChunkedFlv => "http-flv",
            Self::WebSocketFlv => "ws-flv",
            Self::Rtmp => "rtmp",
        }
    }

    /// Appends a frame as one packet, and says how many bytes it has: none if the format has no words
    /// for it.
    ///
    /// # Errors
    /// The format has no room for it; nothing is appended.
    pub fn append(self, frame: &Frame, out: &mut Vec<u8>) -> Result<usize, TooLong> {
        let before = out.len();
        match self {
            Self::Rtmp => {
                let Some(header) = Header::of(frame) else { return Ok(0) };
                let parts = [header.as_slice(), &frame.payload];
                chunk::append_media(out, frame.track, frame.dts.millis(), &parts)
                    .map_err(|chunk::TooLong(len)| TooLong(len))?;
            }
            _ => {
                let Some(around) = Around::frame(frame)? else { return Ok(0) };
                let parts = [around.before(), &frame.payload, around.after()];
                self.frame_up(&parts, out);
            }
        }
        Ok(out.len() - before)
    }

    /// Appends what a player is sent before its first frame, which is at `time`.
    ///
    /// # Errors
    /// One of the configurations has no room; what fits before it is appended.
    pub fn prelude(self, configs: &Configs, time: Time, out: &mut Vec<u8>) -> Result<(), TooLong> {
        if self != Self::Rtmp {
            self.frame_up(&[&file_header(configs.has_audio, configs.has_video)], out);
        }
        for frame in configs.frames() {
            // Metadata comes at zero: ffmpeg takes what comes later for a track of subtitles.
            let time = if frame.track == Track::Data { Time::from_millis(0) } else { time };
            self.append(&Frame { dts: time, pts: time, ..frame.clone() }, out)?;
        }
        Ok(())
    }

    /// Appends the configurations alone, for a player that has them already and needs others.
    ///
    /// # Errors
    /// As [`Format::prelude`].
    pub fn configs(self, configs: &Configs, time: Time, out: &mut Vec<u8>) -> Result<(), TooLong> {
        for frame in configs.frames() {
            self.append(&Frame { dts: time, pts: time, ..frame.clone() }, out)?;
        }
        Ok(())
    }

    /// Appends what stands on the wire for these bytes.
    fn frame_up(self, parts: &[&[u8]], out: &mut Vec<u8>) {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let Some(some) = NonZeroUsize::new(len) else { return };
        match self {
            Self::ChunkedFlv => out.extend_from_slice(chunk_header(some).as_bytes()),
            Self::WebSocketFlv => {
                let (bytes, len) = header(Opcode::Binary, true, len, None);
                out.extend_from_slice(bytes.get(..len).unwrap_or_default());
            }
            Self::Flv | Self::Rtmp => {}
        }
        parts.iter().for_each(|part| out.extend_from_slice(part));
        if self == Self::ChunkedFlv {
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
        let configs =
            Configs { video: Some(config.clone()), has_video: true, ..Configs::default() };
        let mut bytes = Vec::new();
        format.prelude(&configs, key.dts, &mut bytes).unwrap();
        let before = bytes.len();
        assert_eq!(format.append(&key, &mut bytes).unwrap(), bytes.len() - before);
        (vec![config, key], bytes)
    }

    fn demuxed(bytes: &[u8]) -> Vec<Frame> {
        let mut demuxer = Demuxer::new();
        demuxer.receive(bytes).unwrap();
        std::iter::from_fn(|| demuxer.next_frame().unwrap()).collect()
    }

    #[test]
    fn tags_alone_are_a_file() {
        let (frames, bytes) = stream(Format::Flv);
        assert_eq!(demuxed(&bytes), frames);
    }

    #[test]
    fn chunks_are_a_body_of_tags() {
        let (frames, bytes) = stream(Format::ChunkedFlv);
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
        let (frames, bytes) = stream(Format::WebSocketFlv);
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
        let (frames, bytes) = stream(Format::Rtmp);
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
