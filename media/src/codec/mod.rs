//! Configuration records and headers: what a stream is, without decoding it.
//!
//! Each codec is a page of the same shape: `Config::parse` (or `Header::parse` where frames describe
//! themselves) reads the bytes once, `codec_string` and `info` say what they mean. Pages of pictures
//! also say what a frame's payload holds.
//!
//! | page | what it knows |
//! | --- | --- |
//! | [`bits`] | bits and Exp-Golomb codes, and what is wrong with them |
//! | [`nal`] | NAL units behind their lengths |
//! | [`vui`] | how a picture is to be shown |
//! | [`avc`], [`hevc`] | configuration records, sequence parameter sets |
//! | [`av1`], [`vp9`], [`vp8`] | configuration records, headers of frames |
//! | [`aac`], [`opus`], [`flac`] | configuration records |
//! | [`mp3`], [`ac3`], [`g711`] | headers of frames |
//!
//! An error means that no decoder could begin. What only describes (the frame rate) is left out where
//! it is broken, since encoders get it wrong and players don't mind.

pub mod aac;
pub mod ac3;
pub mod av1;
pub mod avc;
pub mod bits;
pub mod flac;
pub mod g711;
pub mod hevc;
pub mod mp3;
pub mod nal;
pub mod opus;
pub mod vp8;
pub mod vp9;
pub mod vui;

pub use bits::{CodecError, Fault};

use crate::frame::Codec;
use crate::limits::CODEC_FRAME_RATE;

/// What a track is, as far as its configuration or one frame says.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Info {
    /// As in RFC 6381 and browsers, such as `avc1.4d401f`. Empty where nobody agreed on one.
    pub codec_string: String,
    /// The profile's name, such as `High`.
    pub profile: Option<&'static str>,
    /// The level, such as `3.1`.
    pub level: Option<String>,
    /// Pixels shown side by side.
    pub width: Option<u32>,
    /// Pixels shown one below another.
    pub height: Option<u32>,
    /// Pictures a second, if they come evenly.
    pub frame_rate: Option<f64>,
    /// Samples a second that a decoder puts out.
    pub sample_rate: Option<u32>,
    /// Channels that a decoder puts out.
    pub channels: Option<u8>,
}

impl Info {
    /// What the codec's name alone says.
    #[must_use]
    pub fn of(codec: Codec) -> Self {
        match codec {
            Codec::G711A | Codec::G711U => g711::info(codec),
            Codec::Vp8 => Self::named("vp8"),
            Codec::Mp3 => Self::named(mp3::CODEC_STRING),
            Codec::Ac3 => Self::named("ac-3"),
            Codec::Eac3 => Self::named("ec-3"),
            Codec::Opus => Self::named("opus"),
            Codec::Flac => Self::named("flac"),
            // Their strings name the profile too.
            Codec::Avc | Codec::Hevc | Codec::Av1 | Codec::Vp9 | Codec::Aac => Self::default(),
            Codec::Amf0 | Codec::OtherVideo(_) | Codec::OtherAudio(_) => Self::default(),
        }
    }

    /// What a configuration record says; of codecs that have none, what the name alone does.
    ///
    /// # Errors
    /// No decoder could begin with this record.
    pub fn from_config(codec: Codec, record: &[u8]) -> Result<Self, CodecError> {
        match codec {
            Codec::Avc => avc::Config::parse(record).map(|config| config.info()),
            Codec::Hevc => hevc::Config::parse(record).map(|config| config.info()),
            Codec::Av1 => av1::Config::parse(record).map(|config| config.info()),
            Codec::Vp9 => vp9::Config::parse(record).map(|config| config.info()),
            Codec::Aac => aac::Config::parse(record).map(|config| config.info()),
            Codec::Opus => opus::Config::parse(record).map(|config| config.info()),
            Codec::Flac => flac::Config::parse(record).map(|config| config.info()),
            Codec::Vp8 | Codec::Mp3 | Codec::Ac3 | Codec::Eac3 => Ok(Self::of(codec)),
            Codec::G711A | Codec::G711U => Ok(Self::of(codec)),
            Codec::Amf0 | Codec::OtherVideo(_) | Codec::OtherAudio(_) => Ok(Self::of(codec)),
        }
    }

    /// What a frame says of itself, for codecs without a configuration record or with a poor one (VP9's
    /// and often AV1's have no size). Of pictures only keyframes say more than the codec's name does.
    ///
    /// # Errors
    /// The frame's header is broken.
    pub fn from_frame(codec: Codec, payload: &[u8]) -> Result<Self, CodecError> {
        match codec {
            Codec::Av1 => Ok(av1::Sequence::find(payload)?.map(|s| s.info()).unwrap_or_default()),
            Codec::Vp9 => vp9::Header::parse(payload).map(|header| header.info()),
            Codec::Vp8 => vp8::Header::parse(payload).map(|header| header.info()),
            Codec::Mp3 => mp3::Header::parse(payload).map(|header| header.info()),
            Codec::Ac3 | Codec::Eac3 => ac3::Header::parse(payload).map(|header| header.info()),
            _ => Ok(Self::of(codec)),
        }
    }

    fn named(codec_string: &str) -> Self {
        Self { codec_string: codec_string.into(), ..Self::default() }
    }

    fn sound(codec_string: &str, sample_rate: u32, channels: u8) -> Self {
        Self {
            sample_rate: Some(sample_rate),
            channels: Some(channels),
            ..Self::named(codec_string)
        }
    }
}

/// `events` in `ticks` of a clock of `scale`, if that is a rate pictures come at.
fn frame_rate(scale: u32, ticks: u64) -> Option<f64> {
    let rate = f64::from(scale) / ticks as f64;
    (rate.is_finite() && rate > 0.0 && rate <= CODEC_FRAME_RATE).then_some(rate)
}

#[cfg(test)]
mod tests;
