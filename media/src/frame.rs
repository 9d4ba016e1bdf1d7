//! What codecs, containers and protocols exchange.

use bytes::Bytes;

/// A time on a stream's own clock, in microseconds. Wrapping 32-bit times of protocols are widened at
/// the door, so that this one neither wraps nor repeats.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Time(pub i64);

impl Time {
    /// From whole milliseconds.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1000))
    }

    /// Whole milliseconds, rounded down.
    pub const fn millis(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Ticks of a 90 kHz clock.
    pub const fn ticks_90k(self) -> i64 {
        // 9/100 of a microsecond; split so that no product overflows.
        self.0.div_euclid(100).saturating_mul(9) + self.0.rem_euclid(100) * 9 / 100
    }

    /// The time `micros` later.
    #[must_use]
    pub const fn plus(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// Microseconds from `earlier` to this.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Which of a stream's tracks a frame belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Track {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
    /// `onMetaData` and other script messages, as AMF0.
    Data,
}

/// How a payload is coded.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum Codec {
    Avc,
    Hevc,
    Av1,
    Vp9,
    Vp8,
    Aac,
    Mp3,
    Opus,
    Ac3,
    Eac3,
    Flac,
    G711A,
    G711U,
    /// Script messages.
    Amf0,
    /// Any other of FLV's old codec numbers, carried and not understood.
    OtherVideo(u8),
    /// Any other of FLV's old sound formats, carried and not understood: the whole first byte of the
    /// tag, since the rate and the channels are in it.
    OtherAudio(u8),
}

impl Codec {
    /// As tools of this field write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Avc => "H264",
            Self::Hevc => "HEVC",
            Self::Av1 => "AV1",
            Self::Vp9 => "VP9",
            Self::Vp8 => "VP8",
            Self::Aac => "AAC",
            Self::Mp3 => "MP3",
            Self::Opus => "Opus",
            Self::Ac3 => "AC-3",
            Self::Eac3 => "E-AC-3",
            Self::Flac => "FLAC",
            Self::G711A => "G711A",
            Self::G711U => "G711U",
            Self::Amf0 => "AMF0",
            Self::OtherVideo(_) | Self::OtherAudio(_) => "other",
        }
    }

    /// As people write it.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Avc => "H.264",
            Self::G711A | Self::G711U => "G.711",
            Self::Amf0 | Self::OtherVideo(_) | Self::OtherAudio(_) => "another codec",
            _ => self.name(),
        }
    }
}

/// What a frame is for whoever joins, skips or drops.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FrameKind {
    /// A codec configuration record, or `onMetaData`; needed before anything else of its track.
    Config,
    /// Decodable on its own; a player can begin here. Every audio frame is one, and every other script
    /// message.
    Key,
    /// Needs frames before it.
    Delta,
    /// Needs frames before it, and nobody needs it.
    Disposable,
    /// The track ends here; the payload is empty.
    End,
}

/// One frame, configuration record or script message.
///
/// The payload is what the codec defines, in the form files have it: length-prefixed NAL units for AVC
/// and HEVC, raw frames for AAC, temporal units for AV1, the record itself for [`FrameKind::Config`],
/// an AMF0 string followed by its values for [`Codec::Amf0`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// The track.
    pub track: Track,
    /// The coding.
    pub codec: Codec,
    /// What it is for.
    pub kind: FrameKind,
    /// When it is decoded.
    pub dts: Time,
    /// When it is shown.
    pub pts: Time,
    /// The coded bytes.
    pub payload: Bytes,
}
