//! What stands before a payload, made from the frame.

use super::{FOURCCS, frame_type, number, packet};
use crate::codec::mp3;
use crate::frame::{Codec, Frame, FrameKind, Track};

/// Bytes to stand before a frame's payload, so that both are a tag's body, or RTMP's message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Header {
    bytes: [u8; Self::MAX],
    len: usize,
}

impl Header {
    /// The longest: packet type, FourCC, composition time.
    pub const MAX: usize = 8;

    /// The header of a frame: classic where there is a number for the codec, as more players know that,
    /// enhanced elsewhere. There is none for what classic sound cannot say, its end and a configuration where
    /// the codec has none, nor for a codec on a track that isn't its own.
    ///
    /// Times finer than a millisecond are cut off.
    #[must_use]
    pub fn of(frame: &Frame) -> Option<Self> {
        let mut header = Self::default();
        match frame.track {
            Track::Data => {}
            Track::Video => header.video(frame)?,
            Track::Audio => header.audio(frame)?,
        }
        Some(header)
    }

    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn put(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        if let Some(place) = self.bytes.get_mut(self.len..end) {
            place.copy_from_slice(bytes);
            self.len = end;
        }
    }

    fn video(&mut self, frame: &Frame) -> Option<()> {
        let frame_type = match frame.kind {
            FrameKind::Config | FrameKind::Key | FrameKind::End => frame_type::KEY,
            FrameKind::Delta => frame_type::DELTA,
            FrameKind::Disposable => frame_type::DISPOSABLE,
        };
        let packet = match frame.kind {
            FrameKind::Config => packet::CONFIG,
            FrameKind::End => packet::END,
            _ => packet::FRAME,
        };
        let composition = composition_ms(frame);
        match frame.codec {
            Codec::Avc => {
                self.put(&[frame_type << 4 | number::AVC, packet]);
                self.put(&composition);
            }
            Codec::OtherVideo(number) => self.put(&[frame_type << 4 | number & 0x0f]),
            codec => {
                let composed = codec == Codec::Hevc && packet == packet::FRAME;
                let at_once = composed && composition == [0; 3];
                let packet = if at_once { FRAMES_AT_ONCE } else { packet };
                self.put(&[0x80 | frame_type << 4 | packet]);
                self.put(&fourcc(frame)?);
                if composed && !at_once {
                    self.put(&composition);
                }
            }
        }
        Some(())
    }

    fn audio(&mut self, frame: &Frame) -> Option<()> {
        match (frame.codec, frame.kind) {
            (Codec::Aac, FrameKind::End) => return None,
            // A player would take it for sound.
            (
                Codec::Mp3 | Codec::G711A | Codec::G711U | Codec::OtherAudio(_),
                FrameKind::End | FrameKind::Config,
            ) => return None,
            _ => {}
        }
        match frame.codec {
            // For AAC the flags are always these; the configuration record says the truth.
            Codec::Aac => {
                let config = frame.kind == FrameKind::Config;
                let packet = if config { packet::CONFIG } else { packet::FRAME };
                self.put(&[number::AAC << 4 | 0x0f, packet]);
            }
            Codec::Mp3 => self.put(&[mp3_flags(&frame.payload)]),
            Codec::G711A => self.put(&[number::G711A << 4 | SIXTEEN_BITS]),
            Codec::G711U => self.put(&[number::G711U << 4 | SIXTEEN_BITS]),
            Codec::OtherAudio(flags) => self.put(&[flags]),
            _ => {
                let packet = match frame.kind {
                    FrameKind::Config => packet::CONFIG,
                    FrameKind::End => packet::END,
                    _ => packet::FRAME,
                };
                self.put(&[number::ENHANCED << 4 | packet]);
                self.put(&fourcc(frame)?);
            }
        }
        Some(())
    }
}

/// Enhanced frames that are shown when they are decoded.
const FRAMES_AT_ONCE: u8 = 3;
const SIXTEEN_BITS: u8 = 2;
const STEREO: u8 = 1;

/// The letters of a frame's codec, if it is one of its track.
fn fourcc(frame: &Frame) -> Option<[u8; 4]> {
    let named = |entry: &&(Track, Codec, [u8; 4])| (entry.0, entry.1) == (frame.track, frame.codec);
    FOURCCS.iter().find(named).map(|(_, _, letters)| *letters)
}

fn composition_ms(frame: &Frame) -> [u8; 3] {
    let time = frame.pts.millis().saturating_sub(frame.dts.millis());
    let [_, bytes @ ..] = (time.clamp(-0x80_0000, 0x7f_ffff) as i32).to_be_bytes();
    bytes
}

/// The flags of an MP3 tag, as its first frame says. There are no words for 48 and 32 kHz.
fn mp3_flags(payload: &[u8]) -> u8 {
    let (rate, channels) = match mp3::Header::parse(payload) {
        Ok(header) => (header.sample_rate, header.channels),
        Err(_) => (44_100, 2),
    };
    let channels = if channels == 2 { STEREO } else { 0 };
    let (number, rate) = match rate {
        ..=8000 => (number::MP3_8K, 0),
        8001..=12_000 => (number::MP3, 1),
        12_001..=24_000 => (number::MP3, 2),
        _ => (number::MP3, 3),
    };
    number << 4 | rate << 2 | SIXTEEN_BITS | channels
}
