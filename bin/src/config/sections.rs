//! The sections of the file: what can be set, and its default.

use std::fmt;
use std::net::Ipv6Addr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use network::Endpoint;
use network::http::Url;

use super::reader::Section;

/// Most connections or streams one may ask for: more than any machine has, and far from overflow.
const UNREACHED: usize = 1_000_000_000;

/// The event loops and their end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Event loops; 0: one per core.
    pub loops: usize,
    /// Whether each loop is bound to a core of its own.
    pub pin: bool,
    /// How long connections get to finish.
    pub drain: Duration,
}

/// RTMP and RTMPS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rtmp {
    /// Where RTMP is served.
    pub listen: Option<Endpoint>,
    /// Where RTMPS is served.
    pub tls_listen: Option<Endpoint>,
    /// A connection publishes or plays within this time.
    pub handshake_within: Duration,
}

/// HTTP and HTTPS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// Where HTTP is served.
    pub listen: Option<Endpoint>,
    /// Where HTTPS is served.
    pub tls_listen: Option<Endpoint>,
    /// Access-Control-Allow-Origin of media, safe as a header's value.
    pub cors: Option<String>,
}

/// The HTTP API and the metrics.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Api {
    /// Who has it may ask for anything.
    pub token: Option<String>,
    /// Who may read without it.
    pub read_from: ReadFrom,
    /// The origin whose pages may ask.
    pub cors: Option<String>,
    /// This machine's name; nothing: the host's.
    pub node: Option<String>,
    /// Where players find this machine; nothing: where the one who asks found it.
    pub play_url: Option<String>,
    /// Nodes that are told what is live here.
    pub announce_to: Vec<String>,
    /// The token of these.
    pub announce_token: Option<String>,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { token, read_from, cors, node, play_url, announce_to, announce_token } = self;
        let mut shown = f.debug_struct("Api");
        // Tokens do not get into a log.
        shown.field("token", &token.as_ref().map(|_| "hidden"));
        shown.field("read_from", read_from).field("cors", cors);
        shown.field("node", node).field("play_url", play_url).field("announce_to", announce_to);
        shown.field("announce_token", &announce_token.as_ref().map(|_| "hidden")).finish()
    }
}

/// Who may read the API without a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadFrom {
    /// Nobody where there is one, else this machine.
    #[default]
    Token,
    /// This machine.
    Loopback,
    /// Private networks too.
    Private,
    /// Everybody.
    Anywhere,
}

/// The certificate of all that is served over TLS. Both files are there, or neither.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// PEM file with the chain.
    pub certificate: Option<PathBuf>,
    /// PEM file with the private key.
    pub key: Option<PathBuf>,
}

/// What publishers may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// How long players wait for a publisher to return.
    pub grace: Duration,
    /// What happens to a second publisher of a live name.
    pub second: SecondPublisher,
    /// A publisher silent for this long may be replaced whatever `second` says.
    pub silent_after: Duration,
    /// A publisher silent for this long is closed.
    pub close_silent_after: Duration,
    /// What the clock of a stream shows where it begins.
    pub first_time: Duration,
}

/// What happens to a second publisher of a live name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecondPublisher {
    /// It is turned away.
    Refuse,
    /// It replaces the first.
    TakeOver,
}

/// How players are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Play {
    /// The most a frame is held back to be sent with others.
    pub latency_budget: Duration,
    /// How much of the budget is used.
    pub gather: Gather,
    /// How long a player waits for somebody to publish.
    pub wait_for_publisher: Duration,
    /// A player this far behind skips.
    pub skip_after: Duration,
    /// A player this many bytes behind skips.
    pub skip_bytes: usize,
    /// A player that took nothing for this long is closed.
    pub close_after: Duration,
    /// Bytes that may wait in the kernel per player (TCP_NOTSENT_LOWAT).
    pub unsent_in_kernel: usize,
}

/// How much of the latency budget is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gather {
    /// The busier the loop, the more.
    Adaptive,
    /// Always the whole.
    Fixed,
}

/// How streams are cut into segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hls {
    /// What a segment lasts.
    pub segment: Duration,
    /// What it lasts at most, where no keyframe comes.
    pub longest_segment: Duration,
    /// What a part lasts.
    pub part: Duration,
    /// What a playlist lists.
    pub window: Duration,
    /// What segments are where the address does not say it.
    pub segments: HlsSegments,
    /// Whether parts are listed, and playlists wait for them.
    pub low_latency: bool,
    /// A viewer that asked for nothing for this long is gone.
    pub viewer_leaves_after: Duration,
}

/// What segments are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HlsSegments {
    /// Fragmented MP4.
    Mp4,
    /// MPEG-TS.
    Ts,
}

/// What is kept of each stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Most memory of one stream in one container format.
    pub bytes: usize,
}

/// How much is taken on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most connections; 0: as many as open files allow.
    pub connections: usize,
    /// Most connections from one address; 0: no limit.
    pub connections_per_address: usize,
    /// Most streams.
    pub streams: usize,
}

impl Default for Server {
    fn default() -> Self {
        Self { loops: 0, pin: false, drain: Duration::from_secs(10) }
    }
}

impl Default for Rtmp {
    fn default() -> Self {
        Self {
            listen: Some(any_address(1935)),
            tls_listen: None,
            handshake_within: Duration::from_secs(10),
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: Some(any_address(8080)), tls_listen: None, cors: Some("*".to_owned()) }
    }
}

impl Default for Publish {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(10),
            second: SecondPublisher::Refuse,
            silent_after: Duration::from_secs(5),
            close_silent_after: Duration::from_secs(30),
            first_time: Duration::ZERO,
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
            skip_bytes: 8 << 20,
            close_after: Duration::from_secs(15),
            unsent_in_kernel: 128 << 10,
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
            segments: HlsSegments::Mp4,
            low_latency: true,
            viewer_leaves_after: Duration::from_secs(20),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { bytes: 32 << 20 }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 0, connections_per_address: 0, streams: 10_000 }
    }
}

impl Server {
    pub(super) fn read(mut section: Section<'_, '_>) -> Self {
        let default = Self::default();
        Self {
            loops: section.count("loops", 0..=1024, default.loops),
            pin: section.flag("pin", default.pin),
            drain: section.duration("drain", seconds(0..=86_400), default.drain),
        }
    }
}

impl Rtmp {
    pub(super) fn read(mut section: Section<'_, '_>) -> Self {
        let default = Self::default();
        let within = milliseconds(100..=600_000);
        Self {
            listen: section.endpoint("listen", default.listen),
            tls_listen: section.endpoint("tls_listen", default.tls_listen),
            handshake_within: section.duration(
                "handshake_within",
                within,
                default.handshake_within,
            ),
        }
    }
}

impl Http {
    pub(super) fn read(mut section: Section<'_, '_>) -> Self {
        const FORM: &str =
            "\"*\", one origin without a path such as \"https://example.org\", or \"\" for none";
        let default = Self::default();
        Self {
            listen: section.endpoint("listen", default.listen),
            tls_listen: section.endpoint("tls_listen", default.tls_listen),
            cors: section.text("cors", FORM, is_origin, default.cors),
        }
    }
}

impl Api {
    pub(super) fn read(mut section: Section<'_, '_>) -> Self {
        const TOKEN: &str = "16 to 256 letters, digits and -._~+/=, or \"\" for none";
        const FROM: [(&str, ReadFrom); 4] = [
            ("token", ReadFrom::Token),
            ("loopback", ReadFrom::Loopback),
            ("private", ReadFrom::Private),
            ("anywhere", ReadFrom::Anywhere),
        ];
        const ORIGIN: &str =
            "\"*\", one origin without a path such as \"https://example.org\", or \"\" for none";
        const NODE: &str = "1 to 64 letters, digits and -._, or \"\" for the host's name";
        const URL: &str = "one origin without a path such as \"https://a.example.org\", or \"\"";
        const OTHERS: &str =
            "a list of at most 8 origins without a path such as \"http://a.example.org:8080\"";
        let default = Self::default();
        Self {
            token: section.text("token", TOKEN, is_token, default.token),
            read_from: section.choice("read_from", &FROM, default.read_from),
            cors: section.text("cors", ORIGIN, is_origin, default.cors),
            node: section.text("node", NODE, is_node, default.node),
            play_url: section.text("play_url", URL, is_url, default.play_url),
            announce_to: section.texts("announce_to", OTHERS, check_node_url, 0..=8),
            announce_token: section.text("announce_token", TOKEN, is_token, default.announce_token),
        }
    }
}

impl Tls {
    pub(super) fn read(mut section: Section<'_, '_>) -> Self {
        let default = Self::default();
        Self {
            certificate: section.path("certificate", default.certificate),
            key: section.path("key", default.key),
        }
    }
}

impl Publish {
    pub(super) fn read(mut section: Section<'_, '_>) -> Self {
        const SECOND: [(&str, SecondPublisher); 2] =
            [("refuse", SecondPublisher::Refuse), ("take over", SecondPublisher::TakeOver)];
        let default = Self::default();
        let hour = milliseconds(100..=3_600_000);
        let day = milliseconds(100..=86_400_000);
        Self {
            grace: section.duration("grace", seconds(0..=3600), default.grace),
            second: section.choice("second", &SECOND, default.second),
            silent_after: section.duration("silent_after", hour, default.silent_after),
            close_silent_after: section.duration(
                "close_silent_after",
                day,
                default.close_silent_after,
            ),
            first_time: section.duration("first_time", seconds(0..=8_640_000), default.first_time),
        }
    }
}

impl Play {
    pub(super) fn read(mut section: Section<'_, '_>) -> Self {
        const GATHER: [(&str, Gather); 2] =
            [("adaptive", Gather::Adaptive), ("fixed", Gather::Fixed)];
        let default = Self::default();
        let budget = seconds(0..=2);
        let wait = seconds(0..=600);
        let hour = milliseconds(100..=3_600_000);
        let day = milliseconds(100..=86_400_000);
        let kernel = 4 << 10..=64 << 20;
        Self {
            latency_budget: section.duration("latency_budget", budget, default.latency_budget),
            gather: section.choice("gather", &GATHER, default.gather),
            wait_for_publisher: section.duration(
                "wait_for_publisher",
                wait,
                default.wait_for_publisher,
            ),
            skip_after: section.duration("skip_after", hour, default.skip_after),
            skip_bytes: section.size("skip_bytes", 64 << 10..=1 << 30, default.skip_bytes),
            close_after: section.duration("close_after", day, default.close_after),
            unsent_in_kernel: section.size("unsent_in_kernel", kernel, default.unsent_in_kernel),
        }
    }
}

impl Hls {
    pub(super) fn read(mut section: Section<'_, '_>) -> Self {
        const SEGMENTS: [(&str, HlsSegments); 2] =
            [("mp4", HlsSegments::Mp4), ("ts", HlsSegments::Ts)];
        let default = Self::default();
        let segment = milliseconds(500..=30_000);
        let part = milliseconds(50..=5_000);
        let leaves = seconds(5..=600);
        Self {
            segment: section.duration("segment", segment, default.segment),
            longest_segment: section.duration(
                "longest_segment",
                seconds(2..=60),
                default.longest_segment,
            ),
            part: section.duration("part", part, default.part),
            window: section.duration("window", seconds(4..=3600), default.window),
            segments: section.choice("segments", &SEGMENTS, default.segments),
            low_latency: section.flag("low_latency", default.low_latency),
            viewer_leaves_after: section.duration(
                "viewer_leaves_after",
                leaves,
                default.viewer_leaves_after,
            ),
        }
    }
}

impl Log {
    pub(super) fn read(mut section: Section<'_, '_>) -> Self {
        Self { bytes: section.size("bytes", 1 << 20..=16 << 30, Self::default().bytes) }
    }
}

impl Limits {
    pub(super) fn read(mut section: Section<'_, '_>) -> Self {
        let default = Self::default();
        Self {
            connections: section.count("connections", 0..=UNREACHED, default.connections),
            connections_per_address: section.count(
                "connections_per_address",
                0..=UNREACHED,
                default.connections_per_address,
            ),
            streams: section.count("streams", 1..=10_000_000, default.streams),
        }
    }
}

fn any_address(port: u16) -> Endpoint {
    Endpoint::Ip((Ipv6Addr::UNSPECIFIED, port).into())
}

fn seconds(range: RangeInclusive<u64>) -> RangeInclusive<Duration> {
    Duration::from_secs(*range.start())..=Duration::from_secs(*range.end())
}

fn milliseconds(range: RangeInclusive<u64>) -> RangeInclusive<Duration> {
    Duration::from_millis(*range.start())..=Duration::from_millis(*range.end())
}

/// What may stand in Access-Control-Allow-Origin. Browsers compare it letter by letter with the
/// origin of the page, so a slash at the end would let nobody in.
fn is_origin(text: &str) -> bool {
    let host = text.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"));
    let letter = |b: u8| {
        b.is_ascii_lowercase()
            || b.is_ascii_digit()
            || matches!(b, b'-' | b'.' | b':' | b'[' | b']')
    };
    matches!(text, "*" | "null")
        || host.is_some_and(|(_, host)| !host.is_empty() && host.bytes().all(letter))
}

fn is_token(text: &str) -> bool {
    let letter = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
    (16..=256).contains(&text.len()) && text.bytes().all(letter)
}

fn is_node(text: &str) -> bool {
    let letter = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    text.len() <= 64 && text.bytes().all(letter)
}

fn is_url(text: &str) -> bool {
    is_origin(text) && !matches!(text, "*" | "null")
}

/// Whether an origin can be asked, or what is wrong with it; a password in it is not repeated.
fn check_node_url(text: &str) -> Result<(), String> {
    text.parse::<Url>().map_err(|error| error.to_string())?;
    match is_url(text) {
        true => Ok(()),
        false => Err(format!("{text:?} has more than a scheme, a host and a port")),
    }
}
