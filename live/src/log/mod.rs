//! The log: every output of a stream is a slice of one.
//!
//! ```text
//!   released            kept: the newest GOP, and what the slowest player still needs      head
//!  - - - - - - - -|=======================================================================|
//!                 |K . . . . . . K . . . . . . . . K . . . . . . . . . . . . K . . . . . .|
//!                tail       ^ cursor that lags        ^ newest keyframe ─────┘            ^ cursors
//! ```
//!
//! | file | what it knows |
//! | --- | --- |
//! | [`index`] | where packets begin, which of them are entries, when they are: pure |
//! | [`segments`] | which segments and parts there are, as lists have them: pure |
//! | [`writer`] | a stream's side: frames to bytes in memory, told to the loops that read |
//! | [`view`] | a loop's side: the same index, and the players whose cursors are in it |

pub mod index;
pub mod segments;
pub mod view;
pub mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use network::MemoryFile;

use crate::format::Configs;
use index::{Begin, Packet};

/// What a log grew by, as the loops that read it are told: once per turn of the publisher's loop.
#[derive(Clone, Debug)]
pub struct Growth {
    /// The packets, in order.
    pub packets: Vec<Packet>,
    /// Where they end.
    pub head: u64,
    /// Nothing before this may be read any more.
    pub tail: u64,
    /// Configurations that some of these packets are the first of.
    pub configs: Vec<(u32, Arc<Configs>)>,
    /// What lists say that no segment is longer than, in microseconds.
    pub target: i64,
    /// The segments that begin with these packets, or without one.
    pub begins: Vec<Begin>,
}

/// A log as it stands, for a loop that begins to read it.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Its bytes.
    pub file: MemoryFile,
    /// All that is kept, told like growth.
    pub kept: Growth,
    /// Players begin here at the earliest: what stands before is of a publisher that is gone.
    pub entry_from: u64,
    /// Bytes are flowing.
    pub is_live: bool,
    /// When the stream began, in milliseconds since 1970: tells its lives apart.
    pub run: u64,
}

/// What a stream says of itself with its logs' news.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct About {
    /// Bytes are flowing.
    pub is_live: bool,
    /// As [`Opened::run`].
    pub run: u64,
    /// As [`Growth::target`].
    pub target: i64,
}

/// What one reading loop tells the writer, without either waiting for the other.
///
/// The writer keeps what `needed` says as far as its bounds allow, announces a tail, and gives memory
/// back up to what all loops have `left`: a loop that has heard of a tail reads nothing before it.
#[derive(Debug, Default)]
pub struct Hold {
    needed: AtomicU64,
    left: AtomicU64,
    pause: AtomicU64,
}

impl Hold {
    /// For the reader: the slowest cursor stands here.
    pub fn set_needed(&self, at: u64) {
        self.needed.store(at, Ordering::Relaxed);
    }

    /// For the reader: nothing before this is read from here on.
    pub fn set_left(&self, at: u64) {
        // What was read before happened before: the kernel has taken its references.
        self.left.store(at, Ordering::Release);
    }

    /// For the reader: it writes to its players no more often than this.
    pub fn set_pause(&self, pause: Duration) {
        self.pause.store(u64::try_from(pause.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// For the writer.
    pub fn pause(&self) -> Duration {
        Duration::from_micros(self.pause.load(Ordering::Relaxed))
    }

    /// For the writer.
    pub fn needed(&self) -> u64 {
        self.needed.load(Ordering::Relaxed)
    }

    /// For the writer.
    pub fn left(&self) -> u64 {
        self.left.load(Ordering::Acquire)
    }
}
