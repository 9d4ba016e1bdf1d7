//! A real, decodable picture and sound out of nothing: H.264 and AAC for tests, the demo and the
//! capacity tester.
//!
//! ```
//! use media::testcard::{Options, Stamp, TestCard};
//!
//! let mut card = TestCard::new(Options { audio: None, ..Options::default() })?;
//! let config = card.next(0);
//! assert_eq!(config.dts, card.due());
//! let picture = card.next(1_700_000_000_000_000);
//! let stamp = Stamp::find(&picture.payload).unwrap();
//! assert_eq!((stamp.frame, stamp.micros), (0, 1_700_000_000_000_000));
//! # Ok::<(), media::testcard::OptionsError>(())
//! ```
//!
//! | file | what it knows |
//! | --- | --- |
//! | `picture`, `font` | what is shown, as cells of 16x16 pixels |
//! | `h264`, `cavlc` | how such cells are coded without loss |
//! | `aac` | how silence and a beep are coded |
//! | `stamp` | how a receiver tells frames apart |
//! | `bits` | bits to bytes |
//!
//! Here is what binds them: options, pace and bitrate.

mod aac;
mod bits;
mod cavlc;
mod font;
mod h264;
mod picture;
mod stamp;

use bytes::Bytes;

use crate::frame::{Codec, Frame, FrameKind, Time, Track};
use crate::limits;
use bits::Bits;
use h264::{Encoder, Kind, Sequence};
use picture::{Moment, Picture};
pub use stamp::Stamp;

/// What a picture without changes takes: its stamp, the slice, the shortest filler, rounded up.
const STILL_BYTES: u64 = 80;
/// The beep and the flash begin with each second and last this long.
const BEEP_MICROS: i64 = 100_000;
const SECOND: i64 = 1_000_000;

/// What to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Width in pixels, even.
    pub width: u32,
    /// Height in pixels, even.
    pub height: u32,
    /// Pictures per second, numerator: 30, or 30,000 for 29.97.
    pub fps_num: u32,
    /// Pictures per second, denominator: 1, or 1,001 for 29.97.
    pub fps_den: u32,
    /// Pictures from one key picture to the next.
    pub gop_frames: u32,
    /// How many times as long as the others a key picture is.
    pub key_ratio: u32,
    /// Bits per second of the payloads of all pictures.
    pub video_bitrate: u64,
    /// The sound, if there is any.
    pub audio: Option<AudioOptions>,
    /// What [`Stamp::stream`] says.
    pub stream_index: u32,
}

/// What to make for sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioOptions {
    /// Samples per second, 44,100 or 48,000.
    pub rate: u32,
    /// One or two.
    pub channels: u32,
    /// Bits per second.
    pub bitrate: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            width: 1280,
            height: 720,
            fps_num: 30,
            fps_den: 1,
            gop_frames: 60,
            key_ratio: 4,
            video_bitrate: 2_500_000,
            audio: Some(AudioOptions::default()),
            stream_index: 0,
        }
    }
}

impl Default for AudioOptions {
    fn default() -> Self {
        Self { rate: 44_100, channels: 2, bitrate: 128_000 }
    }
}

/// Why no test card can be made of some options.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OptionsError {
    /// Odd, tiny or huge.
    #[error("a test card has an even width and height from 16 on, not {width}x{height}")]
    Size {
        /// The width asked for.
        width: u32,
        /// The height asked for.
        height: u32,
    },
    /// Nothing, or too much.
    #[error(
        "a test card has 1 to 1,000 pictures a second, with terms up to 1,000,000, not {num}/{den}"
    )]
    FrameRate {
        /// The numerator asked for.
        num: u32,
        /// The denominator asked for.
        den: u32,
    },
    /// More than the highest level of H.264 allows.
    #[error(
        "{width}x{height} at {num}/{den} pictures and {bitrate} bits a second is beyond H.264 level 6.2"
    )]
    Level {
        /// The width asked for.
        width: u32,
        /// The height asked for.
        height: u32,
        /// The numerator asked for.
        num: u32,
        /// The denominator asked for.
        den: u32,
        /// The bitrate asked for.
        bitrate: u64,
    },
    /// No pictures between key pictures, or too many.
    #[error("a key picture comes every 1 to 65,536 pictures, not every {0}")]
    Gop(u32),
    /// Key pictures shorter than others, or far longer.
    #[error("a key picture is 1 to 100 times as long as others, not {0} times")]
    KeyRatio(u32),
    /// Too little for the picture.
    #[error("these pictures need at least {least} bits a second, not {asked}")]
    VideoBitrateLow {
        /// What was asked for.
        asked: u64,
        /// What it takes.
        least: u64,
    },
    /// Key pictures of a length that no protocol here carries.
    #[error(
        "key pictures would have {bytes} bytes; {} is the most. Lower the bitrate or the key ratio",
        limits::TESTCARD_KEY_PICTURE
    )]
    KeyLength {
        /// What they would have.
        bytes: u64,
    },
    /// A sampling rate that is not made.
    #[error("a test card sounds at 44,100 or 48,000 samples a second, not {0}")]
    AudioRate(u32),
    /// Neither mono nor stereo.
    #[error("a test card sounds on 1 or 2 channels, not {0}")]
    AudioChannels(u32),
    /// Too little or too much for AAC.
    #[error("this sound takes {least} to {most} bits a second, not {asked}")]
    AudioBitrate {
        /// What was asked for.
        asked: u64,
        /// The least it can have.
        least: u64,
        /// The most it can have.
        most: u64,
    },
}

/// Makes the frames of one stream, in the order and with the times they are sent.
///
/// It has no clock. The caller looks at [`due`](Self::due), waits until then on its own clock and
/// takes the frame by [`next`](Self::next). First come the codec configurations, all else follows
/// without end.
///
/// Each picture shows the time given for it, as a time of day, and carries it as a [`Stamp`]. Every
/// second of the stream begins with a beep and a flash. If the bitrate is so low that the bytes for a
/// change are not there yet, the picture stands still until they are; the stamps go on.
pub struct TestCard {
    options: Options,
    sequence: Sequence,
    picture: Picture,
    encoder: Encoder,
    pictures: Progress,
    sounds: Progress,
    bits: Bits,
}

/// What was given of a track: its configuration, then frames and their bytes.
#[derive(Debug, Default)]
struct Progress {
    configured: bool,
    frames: u64,
    bytes: u64,
}

impl std::fmt::Debug for TestCard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the thousands of cells of its picture.
        f.debug_struct("TestCard")
            .field("options", &self.options)
            .field("pictures", &self.pictures)
            .field("sounds", &self.sounds)
            .finish_non_exhaustive()
    }
}

impl TestCard {
    /// A stream at its beginning.
    ///
    /// # Errors
    /// The first of the options that cannot be done, and what could.
    pub fn new(options: Options) -> Result<Self, OptionsError> {
        let sequence = check_video(&options)?;
        if let Some(audio) = &options.audio {
            check_audio(audio)?;
        }
        let mut picture = Picture::new(options.width as usize, options.height as usize);
        check_bitrate(&options, &mut picture)?;
        let encoder = Encoder::new(picture.columns);
        let (pictures, sounds) = (Progress::default(), Progress::default());
        Ok(Self { options, sequence, picture, encoder, pictures, sounds, bits: Bits::default() })
    }

    /// When the next frame is to be sent: its decoding time. Begins with zero and never runs back.
    #[must_use]
    pub fn due(&self) -> Time {
        self.turn().1
    }

    /// The next frame. `now` is what a picture's clock and stamp say, in microseconds of any clock;
    /// the clock in the picture takes them as counted from a midnight, as Unix time is.
    pub fn next(&mut self, now: i64) -> Frame {
        let (track, dts) = self.turn();
        let (codec, (kind, payload)) = match track {
            Track::Audio => (Codec::Aac, self.sound(dts)),
            _ => (Codec::Avc, self.video(dts, now)),
        };
        Frame { track, codec, kind, dts, pts: dts, payload: Bytes::from(payload) }
    }

    /// What to announce as `onMetaData`. Data rates are in kbit/s, as is the custom there.
    #[must_use]
    pub fn metadata(&self) -> Vec<(&'static str, f64)> {
        let options = &self.options;
        let mut list = vec![
            ("width", f64::from(options.width)),
            ("height", f64::from(options.height)),
            ("framerate", f64::from(options.fps_num) / f64::from(options.fps_den)),
            ("videocodecid", 7.0),
            ("videodatarate", options.video_bitrate as f64 / 1000.0),
        ];
        if let Some(audio) = &options.audio {
            list.extend([
                ("audiocodecid", 10.0),
                ("audiodatarate", audio.bitrate as f64 / 1000.0),
                ("audiosamplerate", f64::from(audio.rate)),
                ("audiosamplesize", 16.0),
                ("audiochannels", f64::from(audio.channels)),
            ]);
        }
        list
    }

    /// Whose frame comes next, and when: the earlier one, a picture before the sound of its time.
    fn turn(&self) -> (Track, Time) {
        let options = &self.options;
        let picture = time(self.pictures.frames, options.fps_den, options.fps_num);
        let Some(audio) = &options.audio else { return (Track::Video, picture) };
        let sound = time(self.sounds.frames * aac::SAMPLES, 1, audio.rate);
        if !self.pictures.configured || (self.sounds.configured && picture <= sound) {
            (Track::Video, picture)
        } else {
            (Track::Audio, sound)
        }
    }

    fn video(&mut self, dts: Time, now: i64) -> (FrameKind, Vec<u8>) {
        if !self.pictures.configured {
            self.pictures.configured = true;
            return (FrameKind::Config, self.sequence.record());
        }
        let frame = self.pictures.frames;
        let allowed = allowed(&self.options, frame + 1).saturating_sub(self.pictures.bytes);
        let key = frame.is_multiple_of(u64::from(self.options.gop_frames));
        let kind = match key {
            true => Kind::Key,
            false if allowed > STILL_BYTES => Kind::Delta,
            false => Kind::Still,
        };
        if kind != Kind::Still {
            let flash = dts.0 % SECOND < BEEP_MICROS;
            self.picture.draw(&Moment { clock: now, frame, micros: dts.0, flash });
        }
        // A key picture may be longer than allowed by far, others hardly are.
        let mut out = Vec::with_capacity((allowed as usize).max(STILL_BYTES as usize));
        Stamp { stream: self.options.stream_index, frame, micros: now }.write(&mut out);
        self.encoder.write(&self.picture.cells, kind, &mut out);
        let missing = (allowed as usize).saturating_sub(out.len());
        if missing >= h264::FILLER_MIN {
            h264::filler(missing, &mut out);
        }
        self.pictures.frames += 1;
        self.pictures.bytes += out.len() as u64;
        (if key { FrameKind::Key } else { FrameKind::Delta }, out)
    }

    fn sound(&mut self, dts: Time) -> (FrameKind, Vec<u8>) {
        let audio = self.options.audio.clone().unwrap_or_default();
        if !self.sounds.configured {
            self.sounds.configured = true;
            let index = aac::rate_index(audio.rate).unwrap_or_default();
            return (FrameKind::Config, aac::config(index, audio.channels));
        }
        let number = self.sounds.frames;
        let samples = u128::from(number + 1) * u128::from(aac::SAMPLES);
        let due = samples * u128::from(audio.bitrate) / (8 * u128::from(audio.rate));
        let allowed = (due as u64).saturating_sub(self.sounds.bytes);
        let beep = dts.0 % SECOND < BEEP_MICROS;
        let out = aac::frame(&mut self.bits, audio.channels, number, beep, allowed as usize);
        self.sounds.frames += 1;
        self.sounds.bytes += out.len() as u64;
        (FrameKind::Key, out)
    }
}

/// When something begins that has `count` times `num / den` seconds before it.
fn time(count: u64, num: u32, den: u32) -> Time {
    Time((i128::from(count) * i128::from(SECOND) * i128::from(num) / i128::from(den)) as i64)
}

/// Bytes that the first `frames` pictures may take. Those of a GOP share what it has, its first
/// taking more.
fn allowed(options: &Options, frames: u64) -> u64 {
    let gop = u64::from(options.gop_frames);
    let ratio = u64::from(options.key_ratio);
    let (before, within) = (frames / gop, frames % gop);
    let shares = if within == 0 { 0 } else { ratio + within - 1 };
    let of = ratio + gop - 1;
    // In shares of a GOP; `gop / of` of a picture each.
    let shares = u128::from(before * of + shares) * u128::from(gop);
    let bits = shares * u128::from(options.video_bitrate) * u128::from(options.fps_den);
    (bits / (u128::from(of) * u128::from(options.fps_num) * 8)) as u64
}

fn check_video(options: &Options) -> Result<Sequence, OptionsError> {
    let Options { width, height, fps_num: num, fps_den: den, video_bitrate: bitrate, .. } =
        *options;
    if !(width.is_multiple_of(2) && height.is_multiple_of(2) && width.min(height) >= 16) {
        return Err(OptionsError::Size { width, height });
    }
    let terms = 1..=1_000_000;
    let rate_fits = num >= den && u64::from(num) <= u64::from(den) * 1000;
    if !(terms.contains(&num) && terms.contains(&den) && rate_fits) {
        return Err(OptionsError::FrameRate { num, den });
    }
    if !(1..=65_536).contains(&options.gop_frames) {
        return Err(OptionsError::Gop(options.gop_frames));
    }
    if !(1..=100).contains(&options.key_ratio) {
        return Err(OptionsError::KeyRatio(options.key_ratio));
    }
    let level = h264::level(width, height, num, den, bitrate).ok_or(OptionsError::Level {
        width,
        height,
        num,
        den,
        bitrate,
    })?;
    Ok(Sequence { width, height, num, den, level })
}

fn check_audio(audio: &AudioOptions) -> Result<(), OptionsError> {
    aac::rate_index(audio.rate).ok_or(OptionsError::AudioRate(audio.rate))?;
    if !(1..=2).contains(&audio.channels) {
        return Err(OptionsError::AudioChannels(audio.channels));
    }
    let asked = audio.bitrate;
    // The least is what a beep takes, the most is a bound of the format.
    let (least, channels) = (6_000 * u64::from(audio.channels), u64::from(audio.channels));
    let most = aac::CHANNEL_BITS * channels * u64::from(audio.rate) / aac::SAMPLES;
    if !(least..=most).contains(&asked) {
        return Err(OptionsError::AudioBitrate { asked, least, most });
    }
    Ok(())
}

/// Whether a GOP of one drawn picture and copies of it fits, and a key picture is not too long.
fn check_bitrate(options: &Options, picture: &mut Picture) -> Result<(), OptionsError> {
    let bytes = allowed(options, 1);
    if bytes > limits::TESTCARD_KEY_PICTURE {
        return Err(OptionsError::KeyLength { bytes });
    }
    // The longest digits, roughly, and the stamp; later ones differ by little.
    picture.draw(&Moment { clock: 31_736_888_000, frame: 88_888_888, micros: 0, flash: true });
    let mut key = Vec::new();
    Encoder::new(picture.columns).write(&picture.cells, Kind::Key, &mut key);
    let key = key.len() as u64 * 11 / 10 + STILL_BYTES;
    let gop = u64::from(options.gop_frames);
    let bits = (key + (gop - 1) * STILL_BYTES) * 8;
    let least = (bits * u64::from(options.fps_num)).div_ceil(gop * u64::from(options.fps_den));
    let asked = options.video_bitrate;
    if asked < least { Err(OptionsError::VideoBitrateLow { asked, least }) } else { Ok(()) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
