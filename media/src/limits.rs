//! Every bound of the crate, with its reason. Whoever asks "what can a peer make us do" reads this page.

// ---- RTMP ----

/// Longest message; what the 24-bit length field holds. Keyframes of 4K pictures need several MiB of it.
pub const RTMP_MESSAGE: usize = 16 * 1024 * 1024;
/// Longest message before the peer asked to publish: commands are short, so who only knocks holds little.
pub const RTMP_MESSAGE_AT_FIRST: usize = 64 * 1024;
/// Bytes of one connection held at once: unfinished messages, and messages that wait for a decision.
pub const RTMP_HELD: usize = 24 * 1024 * 1024;
/// What a waiting message costs beside its payload, so that many empty ones are bounded too.
pub const RTMP_HELD_PER_MESSAGE: usize = 128;
/// Chunk streams of one connection. Real peers use up to ten; the protocol has 65,597.
pub const RTMP_CHUNK_STREAMS: usize = 64;
/// Message streams (`createStream`) of one connection at a time. Real peers use one or two.
pub const RTMP_MESSAGE_STREAMS: usize = 16;
/// The chunk size announced and used here: most frames fit into one chunk, and players take it.
pub const RTMP_CHUNK_SIZE: usize = 60_000;
/// Bytes between two acknowledgements, asked of peers and given to those that ask for no other number.
pub const RTMP_WINDOW: u32 = 2_500_000;
/// A chunk stream whose message was longer gives its buffer back; others reuse theirs.
pub const RTMP_KEPT_BUFFER: usize = 256 * 1024;
/// Chunk streams of one publisher that may keep a buffer; real ones use three or four.
pub const RTMP_KEPT_BUFFERS: usize = 8;
/// Messages in one aggregate; real ones hold some tens.
pub const RTMP_AGGREGATE: usize = 4096;
/// Bytes of an app name, a URL or a stream name with its query; as many as an HTTP URL has.
pub const RTMP_NAME: usize = 8 * 1024;
/// Codecs a peer may list in its capabilities; more are passed over.
pub const RTMP_FOURCCS: usize = 32;
/// Longest data message (metadata, cue points). Recorded files bring keyframe tables of some 100 KiB.
pub const RTMP_DATA: usize = 1024 * 1024;

// ---- AMF ----

/// Objects and arrays inside each other. Metadata of real encoders has three levels.
pub const AMF_DEPTH: usize = 16;
/// Values in one parsed message: each costs some 50 bytes of memory for as little as one received.
pub const AMF_VALUES: usize = 16_384;
/// Bytes of one string, so that the long form allows no more than the short one.
pub const AMF_STRING: usize = 64 * 1024;
/// Strings or class descriptions an AMF3 value may refer back to.
pub const AMF3_REFERENCES: usize = 1024;

// ---- codecs ----

/// Pixels of a picture's side; more than any level of any codec allows. Nothing is allocated by it.
pub const CODEC_PICTURE_SIDE: u32 = 65_536;
/// Parameter sets of one record. The standards allow some hundred; a record of nothing but empty ones would
/// cost eight times its length.
pub const CODEC_PARAMETER_SETS: usize = 1024;
/// Pictures a second that are believed: some encoders write the ticks of their clock there.
pub const CODEC_FRAME_RATE: f64 = 480.0;

// ---- FLV ----

/// Longest script message of a file that is read; as long as RTMP's. Longer ones are passed over. Other
/// tags are as long as their 24 bits of length say, and take memory as their bytes come.
pub const FLV_DATA: usize = 1024 * 1024;
/// Bytes from the beginning of a file to its first tag; there are 9 in all known files.
pub const FLV_HEADER: usize = 1024;
/// Extensions (ModEx) of one tag. One kind is defined so far.
pub const FLV_MOD_EX: usize = 16;

// ---- MP4 ----

/// Payload bytes of one chunk that is made: its sizes have 32 bits, and a chunk of 200 ms has one or two
/// pictures as long as RTMP's longest message.
pub const MP4_CHUNK: usize = 64 * 1024 * 1024;
/// Frames of one chunk that is made, each of which costs some tens of bytes until then. Real ones have 100.
pub const MP4_CHUNK_FRAMES: usize = 16 * 1024;
/// Longest `moov` or `moof` that is read, as it is held whole. A `moov` of a stream has 2 KiB.
pub const MP4_HEADERS: u64 = 1024 * 1024;
/// Longest sample that is read, as long as RTMP's longest message for the same reason.
pub const MP4_SAMPLE: u32 = 16 * 1024 * 1024;
/// Runs of samples in one `moof`: a run costs ten times what it says it in. Real ones have one a track.
pub const MP4_RUNS: usize = 1024;

// ---- playlists ----

/// Digits of a run: 36^10 milliseconds since 1970 last for 100,000 years.
pub const PLAYLIST_RUN_DIGITS: usize = 10;
/// Digits of a segment's number; one a millisecond would take 30 years to need more.
pub const PLAYLIST_NUMBER_DIGITS: usize = 12;
/// Digits of a part's number; real segments have some tens of parts.
pub const PLAYLIST_PART_DIGITS: usize = 4;
/// Digits of an epoch, which is a `u32`.
pub const PLAYLIST_EPOCH_DIGITS: usize = 10;
/// Longest media playlist the linter reads. Four hours of one-second segments are 1 MiB.
pub const LINT_PLAYLIST: usize = 4 * 1024 * 1024;
/// Segments, and parts, the linter reads of one playlist: some ten bytes of text each cost hundreds.
pub const LINT_SEGMENTS: usize = 32 * 1024;
/// Faults the linter keeps of one playlist: a broken one would have one for each line.
pub const LINT_FAULTS: usize = 100;

// ---- MPEG-TS ----

/// Longest access unit of pictures, written or read, with its start codes; as long as RTMP's messages.
pub const TS_UNIT: usize = 16 * 1024 * 1024;
/// Bytes of sound gathered for one PES packet: more than 100 ms of any codec at its usual rates.
pub const TS_SOUND_BYTES: usize = 16 * 1024;
/// Microseconds of sound gathered for one PES packet. Each has some 100 bytes around it, so more is less; but
/// sound waits as long, and the clock that goes with it has to be told of every 100 ms.
pub const TS_SOUND_MICROS: i64 = 96_000;
/// Longest PES packet of sound that is read: all whose length is said.
pub const TS_SOUND_UNIT: usize = 64 * 1024 + 6;

// ---- test card ----

/// Longest key picture: with its framing it has to fit into what every protocol here carries.
pub const TESTCARD_KEY_PICTURE: u64 = 12 * 1024 * 1024;
