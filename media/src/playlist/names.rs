//! The names of a stream's files, built and read in one place.
//!
//! ```text
//! video.m3u8  audio.m3u8  ts.m3u8     media playlists
//! video-RUN-N.m4s  ts-RUN-N.ts        segment N
//! video-RUN-N.P.m4s                   part P of segment N
//! video-RUN-initE.mp4                 the init segment of epoch E
//! ```
//!
//! Nothing in a name belongs to one viewer, so that whatever stands in front can cache it. The run does
//! belong to a stream's present life: when it begins anew its numbers do as well, and a cache must not
//! answer with what the stream of yesterday had under the same number.

use super::text::{decimal, parse_decimal};
use crate::limits;

/// One of the ways in which a stream is cut into files.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Rendition {
    /// Pictures alone, in fragmented MP4.
    Video,
    /// Sound alone, in fragmented MP4.
    Audio,
    /// All of it, in MPEG-TS.
    Ts,
}

impl Rendition {
    /// As its files begin.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Ts => "ts",
        }
    }

    /// As its segments and parts end, with the dot.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Video | Self::Audio => ".m4s",
            Self::Ts => ".ts",
        }
    }

    /// The media type of its segments and parts.
    pub const fn mime_type(self) -> &'static str {
        match self {
            Self::Video => "video/mp4",
            Self::Audio => "audio/mp4",
            Self::Ts => "video/mp2t",
        }
    }

    /// Whether a player needs an init segment.
    pub const fn has_init(self) -> bool {
        !matches!(self, Self::Ts)
    }
}

/// One life of a stream, from when it began to when it ended: a number, written in base 36.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Run(u64);

impl Run {
    /// The run that began at this time, in milliseconds since 1970. Digits beyond those a name has are
    /// left out; they are in use until the year 118,000.
    pub const fn began_at(millis: u64) -> Self {
        Self(millis % 36_u64.pow(limits::PLAYLIST_RUN_DIGITS as u32))
    }

    fn append(self, out: &mut String) {
        let (mut number, mut digits) = (self.0, [0_u8; limits::PLAYLIST_RUN_DIGITS]);
        let mut count = 0;
        for place in digits.iter_mut().rev() {
            let digit = (number % 36) as u8;
            *place = if digit < 10 { b'0' + digit } else { b'a' + digit - 10 };
            number /= 36;
            count += 1;
            if number == 0 {
                break;
            }
        }
        out.extend(digits.iter().skip(digits.len() - count).map(|digit| char::from(*digit)));
    }

    fn parse(text: &str) -> Option<Self> {
        let canonical = text == "0" || !text.starts_with('0');
        let lower = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_lowercase();
        if !canonical || text.len() > limits::PLAYLIST_RUN_DIGITS || !text.bytes().all(lower) {
            return None;
        }
        u64::from_str_radix(text, 36).ok().map(Self)
    }
}

/// A file of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum File {
    /// A media playlist.
    Playlist(Rendition),
    /// A segment.
    Segment {
        /// Of which rendition.
        rendition: Rendition,
        /// Of which life of the stream.
        run: Run,
        /// Its media sequence number.
        number: u64,
    },
    /// A part of a segment.
    Part {
        /// Of which rendition.
        rendition: Rendition,
        /// Of which life of the stream.
        run: Run,
        /// The media sequence number of its segment.
        number: u64,
        /// Which one of the segment, from 0.
        part: u32,
    },
    /// The init segment of an epoch.
    Init {
        /// Of which rendition.
        rendition: Rendition,
        /// Of which life of the stream.
        run: Run,
        /// Which of its configurations.
        epoch: u32,
    },
}

impl File {
    /// Appends the name.
    pub fn append(&self, out: &mut String) {
        match *self {
            Self::Playlist(rendition) => {
                out.push_str(rendition.name());
                out.push_str(PLAYLIST);
            }
            Self::Segment { rendition, run, number } => {
                start(rendition, run, out);
                decimal(number, out);
                out.push_str(rendition.extension());
            }
            Self::Part { rendition, run, number, part } => {
                start(rendition, run, out);
                decimal(number, out);
                out.push('.');
                decimal(part.into(), out);
                out.push_str(rendition.extension());
            }
            Self::Init { rendition, run, epoch } => {
                start(rendition, run, out);
                out.push_str(INIT);
                decimal(epoch.into(), out);
                out.push_str(MP4);
            }
        }
    }

    /// Reads a name: exactly the ones [`append`](Self::append) writes, so each file has one name.
    pub fn parse(name: &str) -> Option<Self> {
        let renditions = [Rendition::Video, Rendition::Audio, Rendition::Ts];
        let (rendition, rest) = renditions.into_iter().find_map(|rendition| {
            name.strip_prefix(rendition.name()).map(|rest| (rendition, rest))
        })?;
        if rest == PLAYLIST {
            return Some(Self::Playlist(rendition));
        }
        let (run, rest) = rest.strip_prefix('-')?.split_once('-')?;
        let run = Run::parse(run)?;
        if let Some(rest) = rest.strip_prefix(INIT) {
            let epoch = small(rest.strip_suffix(MP4)?, limits::PLAYLIST_EPOCH_DIGITS)?;
            return rendition.has_init().then_some(Self::Init { rendition, run, epoch });
        }
        let numbers = rest.strip_suffix(rendition.extension())?;
        let Some((number, part)) = numbers.split_once('.') else {
            let number = parse_decimal(numbers, limits::PLAYLIST_NUMBER_DIGITS)?;
            return Some(Self::Segment { rendition, run, number });
        };
        let number = parse_decimal(number, limits::PLAYLIST_NUMBER_DIGITS)?;
        let part = small(part, limits::PLAYLIST_PART_DIGITS)?;
        Some(Self::Part { rendition, run, number, part })
    }
}

const PLAYLIST: &str = ".m3u8";
const INIT: &str = "init";
const MP4: &str = ".mp4";

fn start(rendition: Rendition, run: Run, out: &mut String) {
    out.push_str(rendition.name());
    out.push('-');
    run.append(out);
    out.push('-');
}

fn small(text: &str, digits: usize) -> Option<u32> {
    u32::try_from(parse_decimal(text, digits)?).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(file: File) -> String {
        let mut name = String::new();
        file.append(&mut name);
        name
    }

    #[test]
    fn each_kind_has_its_name() {
        let run = Run::began_at(1_767_225_600_000);
        let video = Rendition::Video;
        for (file, expected) in [
            (File::Playlist(Rendition::Ts), "ts.m3u8"),
            (File::Playlist(Rendition::Audio), "audio.m3u8"),
            (File::Segment { rendition: video, run, number: 0 }, "video-mjuohs00-0.m4s"),
            (File::Segment { rendition: Rendition::Ts, run, number: 17 }, "ts-mjuohs00-17.ts"),
            (File::Part { rendition: video, run, number: 17, part: 3 }, "video-mjuohs00-17.3.m4s"),
            (File::Init { rendition: video, run, epoch: 2 }, "video-mjuohs00-init2.mp4"),
        ] {
            assert_eq!(name(file), expected);
            assert_eq!(File::parse(expected), Some(file));
        }
    }

    #[test]
    fn other_forms_are_nothing() {
        for other in [
            "",
            "video",
            "video.m3u",
            "video.m3u8 ",
            "Video.m3u8",
            "video.m3u8/",
            "video-.m4s",
            "video--0.m4s",
            "video-a-.m4s",
            "video-0a-0.m4s",
            "video-A-0.m4s",
            "video-+1-0.m4s",
            "video-aaaaaaaaaaa-0.m4s",
            "video-a-00.m4s",
            "video-a-+1.m4s",
            "video-a-1234567890123.m4s",
            "video-a-1.ts",
            "ts-a-1.m4s",
            "video-a-1.m4s?",
            "video-a-1.m4s.m4s",
            "video-a-1..m4s",
            "video-a-1.01.m4s",
            "video-a-1.10000.m4s",
            "video-a-1.2.3.m4s",
            "video-a-init.mp4",
            "video-a-init01.mp4",
            "video-a-init4294967296.mp4",
            "video-a-init1.m4s",
            "ts-a-init1.mp4",
            "video-a-b-1.m4s",
            "../video-a-1.m4s",
        ] {
            assert_eq!(File::parse(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            rendition in prop::sample::select(vec![Rendition::Video, Rendition::Audio, Rendition::Ts]),
            millis in any::<u64>(), number in 0..1_000_000_000_000_u64, part in 0..10_000_u32,
            epoch in any::<u32>(),
        ) {
            let run = Run::began_at(millis);
            let segment = File::Segment { rendition, run, number };
            prop_assert_eq!(File::parse(&name(segment)), Some(segment));
            let part = File::Part { rendition, run, number, part };
            prop_assert_eq!(File::parse(&name(part)), Some(part));
            let init = File::Init { rendition, run, epoch };
            prop_assert_eq!(File::parse(&name(init)), rendition.has_init().then_some(init));
        }

        #[test]
        fn what_is_read_is_written_the_same(text in "(video|ts)-[0-9a-z]{0,3}-(init)?[0-9.]{0,5}(.m4s|.ts|.mp4)") {
            if let Some(file) = File::parse(&text) {
                prop_assert_eq!(name(file), text);
            }
        }
    }
}
