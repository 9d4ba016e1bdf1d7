//! Every bound of the crate that is not in the settings, with its reason.

use std::time::Duration;

use network::Keepalive;

/// Bytes of a stream's name; it appears in URLs, logs and metrics.
pub const NAME: usize = 255;
/// Parts of a stream's name between slashes: apps of real set-ups have one or two.
pub const NAME_PARTS: usize = 8;

// ---- time on a stream ----

/// A step of a track's clock that is believed without looking at the wall: up to so much a stream may
/// hold pictures back (slides, a still camera), or lose them.
pub const STEP: Duration = Duration::from_secs(3);
/// How far a track's clock may step back and still be the same clock: sound and pictures of some
/// encoders come out of order by as much.
pub const STEP_BACK: Duration = Duration::from_secs(1);
/// The step that stands for one nobody can believe.
pub const STEP_UNKNOWN: Duration = Duration::from_millis(20);

// ---- tracks that are announced ----

/// How long frames wait for a track that metadata announces: encoders send the first of each within a
/// tenth of a second of the stream, and some announce sound that never comes.
pub const ANNOUNCED: Duration = Duration::from_millis(500);
/// Frames that wait: those of 500 ms at 120 pictures and 100 frames of sound a second, with room.
pub const ANNOUNCED_FRAMES: usize = 256;
/// Bytes of them: 500 ms of 64 Mbit/s.
pub const ANNOUNCED_BYTES: usize = 4 * 1024 * 1024;

// ---- the log ----

/// Memory is given back to the kernel in pieces of at least this.
pub const RELEASE: u64 = 256 * 1024;
/// What a log keeps at least, where its bytes allow: a player may join at a keyframe while the next one
/// is already on its way to the player's loop.
pub const KEPT: Duration = Duration::from_millis(500);

/// How often the places of slow players are looked at, for what has to be kept for them.
pub const LOOK_AROUND: Duration = Duration::from_millis(250);
/// Configurations a log remembers, for keyframes that are still in it: an encoder that changes its
/// configuration with every frame gets no more.
pub const CONFIGS: usize = 64;

/// A log that nobody reads is written so often, or when so much has come.
pub const UNREAD: Duration = Duration::from_millis(200);
/// So many publishers on a loop are many: what each of their frames costs counts. With fewer, the later
/// players of a flush gain from what has come since it began.
pub const MANY_PUBLISHERS: u64 = 16;
/// Publishers whose frames would wait for so long anyway are read by time, and not at each arrival.
pub const READ_BY_TIME: Duration = Duration::from_millis(50);
/// How long such a read takes at most, as a rule.
pub const READ_TAKES: Duration = Duration::from_millis(3);
/// Bytes of such a publisher that are read before their time.
pub const READ_AT: u32 = 64 * 1024;
/// Bytes that are not kept back any longer, whoever reads.
pub const PENDING: usize = 256 * 1024;

// ---- segments ----

/// Segments that are listed however short the window: fewer make players stop and start.
pub const SEGMENTS_LISTED: usize = 3;
/// Segments that are kept however short the window: those listed, as many again for who has read an older
/// list, and the one that grows.
pub const SEGMENTS_KEPT: usize = 2 * SEGMENTS_LISTED + 1;

/// A keyframe ends a segment that lacks no more than one in so many of its wanted length: encoders'
/// keyframes are rarely exactly as far apart as they were told.
pub const SEGMENT_EARLY: i64 = 4;
/// Segments whose begins a log remembers: an hour of the shortest, which is the longest window.
pub const BEGINS: usize = 8192;
/// What is less than this over a whole second is rounded down, as lists are compared with their target.
pub const TARGET_ROUNDED: i64 = 499_000;
/// So much before that a segment ends for which no keyframe came: its last picture lasts a while. Pictures
/// that come more seldom have their own interval instead.
pub const CUT_EARLY: i64 = 250_000;
/// Seconds after 1970 from which segments are numbered, as if there had been two a second ever since: so
/// many as there can be of the shortest. A server that starts again goes on behind the one before it.
pub const NUMBERED_SINCE: u64 = 1_700_000_000;
/// See there.
pub const SEGMENTS_PER_SECOND: u64 = 2;
/// Discontinuities are numbered as if there had been one in so many seconds since then. hls.js looks
/// through as many entries as their number says, again and again: it takes seconds at a hundred million.
pub const DISCONTINUITIES_EVERY: u64 = 86_400;
/// Names of streams that are over, of which the last numbers are remembered on one loop: some hundred
/// bytes each. One that is forgotten goes on by the clock.
pub const LIVES: usize = 10_000;
/// Parts that players of low latency stay behind: three is the least a list may say.
pub const PARTS_HELD_BACK: i64 = 3;
/// Parts that players of DASH with low latency stay behind: they ask for whole segments as these grow, and
/// notice late when one begins.
pub const PARTS_BEHIND: i64 = 8;
/// Requests that wait on one loop for a list to grow; each has a connection and some hundred bytes.
pub const HELD: usize = 32 * 1024;
/// How long one waits at most, below what the HTTP server allows.
pub const HELD_FOR: Duration = Duration::from_secs(50);
/// How long the first list is held for want of segments: hls.js asks anew after ten seconds without an
/// answer, and where keyframes are seldom, three segments are half a minute.
pub const BEGINNING_HELD_FOR: Duration = Duration::from_secs(8);
/// The same in wanted lengths of segments: by then there would be [`SEGMENTS_LISTED`].
pub const SEGMENTS_WAITED_FOR: u32 = 4;
/// Viewers of lists that one loop tells apart.
pub const VIEWERS: usize = 200_000;
/// A viewer that the operator ended is refused for so long: it has no connection to close. Players ask anew
/// within seconds and give up where they are refused; who shares its address and agent may come back soon.
pub const VIEWER_KEPT_OUT: Duration = Duration::from_secs(60);
/// How often a loop tells another one that a viewer is still there; more often where viewers are soon
/// taken for gone.
pub const VIEWERS_TOLD: Duration = Duration::from_secs(5);
/// A chunk may be longer than a part is wanted by one in so many, since times are rounded and pictures
/// do not come in round numbers: 24 pictures a second make parts of 5, not of 4.
pub const PART_JITTER: i64 = 20;

// ---- flush ----

/// How long a loop writes to players before it looks for new events: what a player that joins waits at
/// most for others.
pub const SLICE: Duration = Duration::from_micros(600);
/// Players written to in one slice before their cost is known.
pub const SLICE_PLAYERS: usize = 128;
/// How long sound waits for the next picture on a loop that gathers, where the latency budget allows.
pub const SOUND_WAITS: Duration = Duration::from_millis(40);

// ---- players that cannot share ----

/// Bytes copied to one player in one go, for players that are not sent what all others share.
pub const COPIED: usize = 256 * 1024;

// ---- connections ----

/// A peer that is gone without a word is noticed by it: nothing else tells of a paused player, or of one
/// whose publisher is silent.
pub const KEEPALIVE: Keepalive =
    Keepalive { after: Duration::from_secs(60), every: Duration::from_secs(15), probes: 4 };

// ---- what is told of it all ----

/// Seconds that a stream's rates are remembered for: enough for half a minute.
pub const SAMPLES: usize = 32;
/// Times between keyframes that are remembered, to tell whether they are steady.
pub const GOPS: usize = 8;
/// A publisher that has sent nothing for so long is not live, whatever it says.
pub const FLOWING: Duration = Duration::from_secs(2);
/// Streams that are listed in one turn: each takes some microseconds.
pub const LISTED_PER_TURN: usize = 256;
/// Time of one turn for answers of the API that are being made, all together: what comes meanwhile waits
/// as long.
pub const CHORES: Duration = Duration::from_millis(1);
/// They wait for flushes that are under way, but no longer than this: a loop that does nothing but flush
/// spends a twentieth of its time on them, where there are any.
pub const CHORES_WAIT: Duration = Duration::from_millis(20);
/// Clients or streams that are written between two looks at the clock: each takes some microseconds.
pub const ROWS_AT_ONCE: usize = 32;
/// Clients that are passed over between two looks at the clock since they are not asked for.
pub const PASSED_AT_ONCE: usize = 512;
/// Entries of one answer; a list of that many clients is about 5 MB.
pub const ROWS: usize = 10_000;
/// Entries of one answer where nobody says how many.
pub const ROWS_DEFAULT: usize = 1000;
/// Bytes of an answer that are copied to its connection in one turn.
pub const ANSWER_PIECE: usize = 64 * 1024;
/// Long answers of one loop at a time, from their question to their last byte; each may hold some
/// megabytes.
pub const GATHERINGS: usize = 32;
/// A list that is not complete by then never will be: a loop has ended.
pub const GATHERED_WITHIN: Duration = Duration::from_secs(20);
/// Answers to lookups that one loop remembers: some hundred bytes each.
pub const LOOKUPS_KEPT: usize = 1024;
/// Bytes of a parameter in a query: a name, a cursor.
pub const PARAMETER: usize = 512;
/// Bytes of a node's name.
pub const NODE_NAME: usize = 64;
/// Bytes of a node's URL: a host name has 253 at most.
pub const NODE_URL: usize = 280;
/// Other nodes that are known: each lookup of a stream that is not here asks all of them, some tens of
/// nanoseconds each.
pub const NODES: usize = 1000;
/// Streams of one of them, as many as a node has by default.
pub const NODE_STREAMS: usize = 10_000;
/// Streams of all of them together: about a hundred bytes each.
pub const STREAMS_OF_NODES: usize = 1_000_000;
/// Bytes by which a node announces itself: the most streams with names as they are, read in some
/// milliseconds.
pub const NODE_BODY: usize = 512 * 1024;
/// Seconds that a node is known where it does not say how long.
pub const NODE_SECONDS_DEFAULT: u64 = 30;
/// And at most: one that is gone is named for as long.
pub const NODE_SECONDS: u64 = 3600;
/// This node announces itself so often: twice more than it would have to be, not to be forgotten.
pub const ANNOUNCE_EVERY: Duration = Duration::from_secs(10);
/// And where something has changed, no more often than this.
pub const ANNOUNCE_AT_MOST: Duration = Duration::from_secs(1);
/// It is announced by then, or the next time.
pub const ANNOUNCE_WITHIN: Duration = Duration::from_secs(5);
/// Bytes of an answer to that: a few words.
pub const ANNOUNCE_ANSWER: u64 = 4096;
/// Seconds whose traffic is remembered, for a chart of five minutes: 24 bytes each.
pub const FLOW: usize = 300;
/// Events that all loops tell in a quarter of a second, about a megabyte; the rest is counted.
pub const EVENTS_AT_ONCE: usize = 4096;
/// A loop may tell so many, however many loops there are.
pub const EVENTS_OF_A_LOOP: usize = 64;
/// Events that are kept for who comes back.
pub const EVENTS_KEPT: usize = 1024;
/// Who reads events on one loop; each costs a connection and what it is behind.
pub const EVENT_READERS: usize = 256;
/// Bytes of events that somebody may be behind when there are more; then it is closed.
pub const EVENTS_BEHIND: usize = 1 << 20;
/// Who reads events and takes none for so long is closed: its place is for those who do.
pub const EVENTS_UNREAD: Duration = Duration::from_secs(30);
/// Something is said to who reads events so often, so that proxies keep the connection.
pub const EVENTS_ALIVE: Duration = Duration::from_secs(15);
/// Streams with figures of their own in `/metrics`: each is seven series.
pub const METRIC_STREAMS: usize = 2000;

// ---- publishers ----

/// Frames between the reads of one connection after which others have their turn, for internal
/// publishers that are late.
pub const CATCH_UP: usize = 256;
