//! What has to hold of each parser of `media`, whatever bytes it is given.
//!
//! The fuzz targets call these with what libFuzzer makes up, and `media/tests/corpus.rs` with the corpus,
//! so that a finding can be replayed without a fuzzer. A check panics where something does not hold.
//!
//! | page | what is checked |
//! | --- | --- |
//! | `rtmp` | sessions, handshake, chunks, messages, AMF |
//! | `flv` | files and tags |
//! | `mp4` | fragmented files |
//! | `ts` | MPEG-TS |
//! | `codec` | configuration records, headers of frames, NAL units |
//! | `playlist` | names of files, queries of media playlists, the linter |

#![forbid(unsafe_code)]

mod codec;
mod flv;
mod mp4;
mod playlist;
mod rtmp;
mod ts;

/// One of the checks.
pub type Check = fn(&[u8]);

/// Each check with the name of its target and of its folder in the corpus.
pub const CHECKS: [(&str, Check); 27] = [
    ("rtmp_server", rtmp::server),
    ("rtmp_client", rtmp::client),
    ("rtmp_pair", rtmp::pair),
    ("rtmp_chunk", rtmp::chunk),
    ("rtmp_handshake", rtmp::handshake),
    ("rtmp_message", rtmp::message),
    ("rtmp_capabilities", rtmp::capabilities),
    ("amf0", rtmp::amf0),
    ("amf3", rtmp::amf3),
    ("flv_file", flv::file),
    ("flv_tag", flv::tag),
    ("mp4", mp4::file),
    ("ts", ts::demuxer),
    ("avc", codec::avc),
    ("hevc", codec::hevc),
    ("av1", codec::av1),
    ("vp9", codec::vp9),
    ("vp8", codec::vp8),
    ("aac", codec::aac),
    ("opus", codec::opus),
    ("flac", codec::flac),
    ("mp3", codec::mp3),
    ("ac3", codec::ac3),
    ("nal", codec::nal),
    ("playlist_names", playlist::names),
    ("playlist_reload", playlist::reload),
    ("playlist_lint", playlist::lint),
];

/// Runs the check of this name.
pub fn check(name: &str, data: &[u8]) {
    match CHECKS.iter().find(|(known, _)| *known == name) {
        Some((_, check)) => check(data),
        None => panic!("there is no check called {name}"),
    }
}

/// What a check does is chosen by the first bytes of its data, so that the fuzzer chooses: one for what
/// to do, one that says how many more there are (15 at most) for how to cut and to decide. The rest is
/// what the parser is given.
struct Input<'a> {
    setup: u8,
    choices: &'a [u8],
    wire: &'a [u8],
}

impl<'a> Input<'a> {
    fn of(data: &'a [u8]) -> Self {
        let (setup, data) = data.split_first().unwrap_or((&0, &[]));
        let (count, data) = data.split_first().unwrap_or((&0, &[]));
        let count = usize::from(*count & 15).min(data.len());
        let (choices, wire) = data.split_at(count);
        Self { setup: *setup, choices, wire }
    }

    /// A choice, again and again in turn.
    fn choice(&self, turn: usize) -> u8 {
        match self.choices.len() {
            0 => 0,
            count => self.choices[turn % count],
        }
    }

    /// The wire in pieces of chosen lengths.
    fn pieces(&self) -> Vec<&'a [u8]> {
        let (mut rest, mut pieces) = (self.wire, Vec::new());
        while !rest.is_empty() {
            let length = usize::from(self.choice(pieces.len())) + 1;
            let (piece, after) = rest.split_at(length.min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        pieces
    }
}

/// Whether two values are the same, also where a number in them is none (NaN).
fn same<T: PartialEq + std::fmt::Debug>(one: &T, other: &T) -> bool {
    one == other || format!("{one:?}") == format!("{other:?}")
}
