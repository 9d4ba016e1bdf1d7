//! What the operator decides. The binary reads it from its config file; here it is plain values.

use std::time::Duration;

/// The settings of all streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What publishers may do.
    pub publish: Publish,
    /// What players may expect.
    pub play: Play,
    /// How streams are cut into segments.
    pub hls: Hls,
    /// Most memory of one stream in one format.
    pub log_bytes: u64,
    /// Most streams at a time.
    pub streams: usize,
    /// What `Access-Control-Allow-Origin` says for media; nothing where it is empty.
    pub cors: String,
    /// A connection to the RTMP door has to publish or play by then.
    pub handshake_within: Duration,
}

/// What publishers may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// How long players wait for a publisher to return.
    pub grace: Duration,
    /// What becomes of a second publisher of a live name.
    pub second: Second,
    /// A publisher that sent nothing for so long may be replaced whatever `second` says.
    pub silent_after: Duration,
    /// And after so long it is closed.
    pub close_silent_after: Duration,
    /// What the clock of a new stream shows where it begins.
    pub first_time: Duration,
}

/// What becomes of a second publisher of a live name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Second {
    /// It is refused.
    Refuse,
    /// It takes over, and the first one is told so.
    TakeOver,
}

/// What players may expect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Play {
    /// The most a frame is held back to be sent together with others.
    pub latency_budget: Duration,
    /// How the budget is used.
    pub gather: Gather,
    /// How long a player waits for a stream that nobody publishes.
    pub wait_for_publisher: Duration,
    /// A player that is so far behind skips to the newest keyframe.
    pub skip_after: Duration,
    /// As `skip_after`, in bytes.
    pub skip_bytes: u64,
    /// A player that is so far behind, or took nothing for so long, is closed.
    pub close_after: Duration,
    /// Unsent bytes that the kernel takes per player, so that a player's lag is seen here.
    pub unsent_in_kernel: u32,
}

/// How streams are cut into segments, for HLS and DASH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hls {
    /// What a segment lasts, from a keyframe to another.
    pub segment: Duration,
    /// What it lasts at most, where no keyframe comes.
    pub longest_segment: Duration,
    /// What a part of a segment lasts, for low latency.
    pub part: Duration,
    /// What a playlist lists.
    pub window: Duration,
    /// What a master playlist names where its address does not say it.
    pub segments: Segments,
    /// Parts are listed, and playlists wait for them.
    pub low_latency: bool,
    /// A viewer that asked for nothing for so long is gone.
    pub viewer_leaves_after: Duration,
}

/// What segments are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segments {
    /// Fragments of MP4, pictures and sound apart.
    Mp4,
    /// Pieces of a transport stream, for old devices.
    Ts,
}

/// How the latency budget is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gather {
    /// The busier a loop, the more of it.
    Adaptive,
    /// All of it, always.
    Fixed,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            publish: Publish::default(),
            play: Play::default(),
            hls: Hls::default(),
            log_bytes: 32 * 1024 * 1024,
            streams: 10_000,
            cors: "*".to_owned(),
            handshake_within: Duration::from_secs(10),
        }
    }
}

impl Default for Publish {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(10),
            second: Second::Refuse,
            silent_after: Duration::from_secs(5),
            close_silent_after: Duration::from_secs(30),
            first_time: Duration::ZERO,
        }
    }
}

impl Default for Hls {
    fn default() -> Self {
        Self {
            segment: Duration::from_secs(2),
            longest_segment: Duration::from_secs(10),
            part: Duration::from_millis(200),
            window: Duration::from_secs(16),
            segments: Segments::Mp4,
            low_latency: true,
            viewer_leaves_after: Duration::from_secs(20),
        }
    }
}

impl Default for Play {
    fn default() -> Self {
        Self {
            latency_budget: Duration::from_millis(100),
            gather: Gather::Adaptive,
            wait_for_publisher: Duration::from_secs(5),
            skip_after: Duration::from_secs(3),
            skip_bytes: 8 * 1024 * 1024,
            close_after: Duration::from_secs(15),
            unsent_in_kernel: 128 * 1024,
        }
    }
}
