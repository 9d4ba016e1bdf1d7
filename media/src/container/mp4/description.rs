//! What a track is, and its sample entry.

use super::boxes::Writer;
use crate::codec::vui::Shown;
use crate::codec::{CodecError, Info, aac, ac3, av1, avc, flac, hevc, mp3, opus, vp9};
use crate::frame::{Codec, Track};
use thiserror::Error;

/// Ticks a second of pictures. Times of whole milliseconds, and all usual rates, are exact in it.
const VIDEO_TIMESCALE: u32 = 90_000;
/// `objectTypeIndication` of AAC and of MP3 in an `esds`.
pub(super) const AAC: u8 = 0x40;
pub(super) const MP3: u8 = 0x6b;

/// Why a track cannot be in an MP4.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum DescriptionError {
    /// Its configuration or its first frame is broken.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// It needs a configuration.
    #[error("{0:?} in MP4 needs its configuration record")]
    NoConfig(Codec),
    /// Its configuration does not say enough.
    #[error("{0:?} in MP4 needs its first keyframe to be described")]
    NoFrame(Codec),
    /// No player knows it in an MP4.
    #[error("{0:?} is not packed into MP4")]
    Unsupported(Codec),
}

/// What a track is: made once for each of its configurations, and enough for its init segment.
#[derive(Clone, PartialEq, Debug)]
pub struct Description {
    id: u32,
    codec: Codec,
    timescale: u32,
    info: Info,
    shown: Shown,
    /// The content of the box that configures a decoder.
    record: Vec<u8>,
    /// Samples in a frame, of codecs whose configuration says it.
    frame_samples: Option<u32>,
}

impl Description {
    /// Of the track `id`. `config` is its configuration record in any form the codec's page reads; MP3,
    /// AC-3 and E-AC-3 have none. `first` is its first keyframe, for these, and for AV1 and VP9, whose
    /// records often have no size.
    ///
    /// # Errors
    /// One of them is broken or missing, or MP4 has no words for the codec.
    pub fn new(
        id: u32,
        codec: Codec,
        config: Option<&[u8]>,
        first: Option<&[u8]>,
    ) -> Result<Self, DescriptionError> {
        let needed = || config.ok_or(DescriptionError::NoConfig(codec));
        let first_needed = || first.ok_or(DescriptionError::NoFrame(codec));
        let mut shown = Shown::default();
        let mut frame_samples = None;
        let (info, record) = match codec {
            Codec::Avc => {
                let config = avc::Config::parse(needed()?)?;
                shown = config.picture.shown;
                (config.info(), needed()?.to_vec())
            }
            Codec::Hevc => {
                let config = hevc::Config::parse(needed()?)?;
                shown = config.picture.shown;
                (config.info(), needed()?.to_vec())
            }
            Codec::Av1 => {
                let config = av1::Config::parse(needed()?)?;
                let sequence = match (config.sequence, first) {
                    (None, Some(first)) => av1::Sequence::find(first)?,
                    (known, _) => known,
                };
                let info = sequence.ok_or(DescriptionError::NoFrame(codec))?.info();
                (Info { codec_string: config.codec_string(), ..info }, needed()?.to_vec())
            }
            Codec::Vp9 => vp9_of(config, first_needed()?)?,
            Codec::Aac => {
                let config = aac::Config::parse(needed()?)?;
                frame_samples = config
                    .frame_samples
                    .and_then(|samples| samples.checked_mul(config.sample_rate))
                    .map(|samples| samples / config.core_rate.max(1));
                (config.info(), needed()?.to_vec())
            }
            Codec::Opus => {
                (opus::Config::parse(needed()?)?.info(), opus::Config::boxed(needed()?)?)
            }
            Codec::Flac => {
                (flac::Config::parse(needed()?)?.info(), flac::Config::boxed(needed()?)?)
            }
            Codec::Mp3 => (mp3::Header::parse(first_needed()?)?.info(), Vec::new()),
            Codec::Ac3 | Codec::Eac3 => {
                let header = ac3::Header::parse(first_needed()?)?;
                (header.info(), header.boxed())
            }
            _ => return Err(DescriptionError::Unsupported(codec)),
        };
        let timescale = info.sample_rate.unwrap_or(VIDEO_TIMESCALE);
        Ok(Self { id, codec, timescale, info, shown, record, frame_samples })
    }

    /// `track_ID`.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// The coding.
    #[must_use]
    pub const fn codec(&self) -> Codec {
        self.codec
    }

    /// Sound or pictures.
    #[must_use]
    pub const fn track(&self) -> Track {
        if self.info.sample_rate.is_some() { Track::Audio } else { Track::Video }
    }

    /// Ticks a second: the rate of samples, or 90 kHz for pictures.
    #[must_use]
    pub const fn timescale(&self) -> u32 {
        self.timescale
    }

    /// What is known of it. Its codec string is the one that goes with this container in a playlist and
    /// in Media Source Extensions.
    #[must_use]
    pub const fn info(&self) -> &Info {
        &self.info
    }

    /// What a frame lasts, in samples, where it says so.
    pub(super) fn samples(&self, payload: &[u8]) -> Option<u32> {
        match self.codec {
            Codec::Mp3 => mp3::Header::parse(payload).ok().map(|header| header.samples),
            Codec::Ac3 | Codec::Eac3 => ac3::samples(payload),
            Codec::Opus => opus::samples(payload),
            Codec::Flac => flac::samples(payload),
            _ => self.frame_samples,
        }
    }

    /// Pixels of the picture, and as many as wide as it is shown, in 1/65536.
    pub(super) fn size(&self) -> (u16, u16, u32, u32) {
        let side = |side: Option<u32>| u16::try_from(side.unwrap_or_default()).unwrap_or(u16::MAX);
        let (width, height) = (side(self.info.width), side(self.info.height));
        let (shape_width, shape_height) = self.shown.aspect.unwrap_or((1, 1));
        let wide =
            (u64::from(width) << 16) * u64::from(shape_width) / u64::from(shape_height.max(1));
        let wide = u32::try_from(wide).unwrap_or(u32::MAX);
        (width, height, wide, u32::from(height) << 16)
    }

    /// The content of `stsd` behind its version.
    pub(super) fn write_entry(&self, w: &mut Writer<'_>) {
        w.u32(1);
        let (entry, config) = match self.codec {
            Codec::Avc => (b"avc1", b"avcC"),
            Codec::Hevc => (b"hvc1", b"hvcC"),
            Codec::Av1 => (b"av01", b"av1C"),
            Codec::Vp9 => (b"vp09", b"vpcC"),
            Codec::Opus => (b"Opus", b"dOps"),
            Codec::Flac => (b"fLaC", b"dfLa"),
            Codec::Ac3 => (b"ac-3", b"dac3"),
            Codec::Eac3 => (b"ec-3", b"dec3"),
            _ => (b"mp4a", b"esds"),
        };
        w.boxed(entry, |w| {
            w.zeros(6);
            // Which of the places data is at: this file.
            w.u16(1);
            match self.track() {
                Track::Video => self.write_picture(w),
                _ => self.write_sound(w),
            }
            match (self.codec, config) {
                (Codec::Aac, _) => write_esds(w, self.id, AAC, &self.record),
                (Codec::Mp3, _) => write_esds(w, self.id, MP3, &[]),
                _ => w.boxed(config, |w| w.bytes(&self.record)),
            }
            if let Some(colour) = self.shown.colour {
                w.boxed(b"colr", |w| {
                    w.bytes(b"nclx");
                    for code in [colour.primaries, colour.transfer, colour.matrix] {
                        w.u16(code.into());
                    }
                    w.u8(u8::from(colour.full_range) << 7);
                });
            }
            if let Some((width, height)) = self.shown.aspect {
                w.boxed(b"pasp", |w| {
                    w.u32(width.into());
                    w.u32(height.into());
                });
            }
        });
    }

    fn write_picture(&self, w: &mut Writer<'_>) {
        let (width, height, ..) = self.size();
        w.zeros(16);
        w.u16(width);
        w.u16(height);
        // 72 dots an inch, both ways.
        w.u32(0x0048_0000);
        w.u32(0x0048_0000);
        w.zeros(4);
        // One picture in a sample, a name of 32 bytes, depth of 24 bits, and no table of colours.
        w.u16(1);
        w.zeros(32);
        w.u16(24);
        w.u16(0xffff);
    }

    fn write_sound(&self, w: &mut Writer<'_>) {
        w.zeros(8);
        w.u16(self.info.channels.unwrap_or(2).into());
        w.u16(16);
        w.zeros(4);
        // Rates with more than 16 bits stand in the record alone.
        w.u32(u16::try_from(self.timescale).map_or(0, |rate| u32::from(rate) << 16));
    }
}

/// An `esds`: an ES descriptor, in it a decoder's configuration, in it what the decoder is to read.
fn write_esds(w: &mut Writer<'_>, id: u32, object_type: u8, specific: &[u8]) {
    let specific: Vec<u8> = match specific {
        [] => Vec::new(),
        _ => descriptor(5, specific),
    };
    // An audio stream; buffer and bitrates are not said.
    let config = [&[object_type, 0x15], &[0; 11][..], &specific].concat();
    let [_, _, high, low] = id.to_be_bytes();
    let stream = [&[high, low, 0], &descriptor(4, &config)[..], &descriptor(6, &[2])].concat();
    w.full(b"esds", 0, 0, |w| w.bytes(&descriptor(3, &stream)));
}

/// A descriptor with its length in four bytes of seven bits, as most writers have it.
fn descriptor(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = content.len();
    let seven = |shift: u32| (len >> shift & 0x7f) as u8;
    let header = [tag, 0x80 | seven(21), 0x80 | seven(14), 0x80 | seven(7), seven(0)];
    [&header, content].concat()
}

/// A record with its version and a level, which browsers want and some encoders leave out.
fn vp9_of(config: Option<&[u8]>, first: &[u8]) -> Result<(Info, Vec<u8>), DescriptionError> {
    let header = vp9::Header::parse(first)?;
    let key = header.key.ok_or(DescriptionError::NoFrame(Codec::Vp9))?;
    let (width, height) = (Some(key.width), Some(key.height));
    let mut record = match config {
        Some(record) => {
            vp9::Config::parse(record)?;
            record.strip_prefix(&VP9_VERSION).unwrap_or(record).to_vec()
        }
        // 4:2:0 with samples beside each other, colours not specified, nothing to initialise.
        None => vec![header.profile, 0, key.bit_depth << 4 | 1 << 1, 2, 2, 2, 0, 0],
    };
    if let Some(level @ 0) = record.get_mut(1) {
        *level = vp9_level(u64::from(key.width) * u64::from(key.height));
    }
    let info = Info { width, height, ..vp9::Config::parse(&record)?.info() };
    Ok((info, [&VP9_VERSION, &record[..]].concat()))
}

/// Version and flags of a `vpcC`.
pub(super) const VP9_VERSION: [u8; 4] = [1, 0, 0, 0];

/// The lowest level for pictures of so many pixels, at the usual rates.
fn vp9_level(pixels: u64) -> u8 {
    const LEVELS: [(u64, u8); 9] = [
        (36_864, 10),
        (73_728, 11),
        (122_880, 20),
        (245_760, 21),
        (552_960, 30),
        (983_040, 31),
        // 1080p at 60.
        (2_228_224, 41),
        (8_912_896, 51),
        (35_651_584, 61),
    ];
    LEVELS.iter().find(|(most, _)| pixels <= *most).map_or(62, |(_, level)| *level)
}
