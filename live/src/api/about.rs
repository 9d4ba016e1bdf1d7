//! What the process tells of itself, and who may ask.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use network::Limiter;

use super::Announce;
use crate::counters::Counters;

/// What the process takes of the system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Process {
    /// Bytes of memory, logs left out.
    pub resident: u64,
    /// Seconds on cores so far.
    pub cpu: f64,
    /// Open descriptors, where the kernel says so without counting.
    pub descriptors: Option<u64>,
    /// How many there may be.
    pub descriptors_most: u64,
}

/// What the API has to know that no loop does.
pub struct About {
    /// Of the program.
    pub version: &'static str,
    /// This machine's name among others.
    pub node: String,
    /// Where players find this machine, such as `https://a.example.org`; nothing where they are to use
    /// the address that the asking one used.
    pub play_url: Option<String>,
    /// Where publishers get in: the scheme, and the port.
    pub publish: Option<(&'static str, u16)>,
    /// Who has it may ask for anything.
    pub token: Option<String>,
    /// Who may read without it.
    pub read_from: ReadFrom,
    /// The origin whose pages may ask.
    pub cors: Option<String>,
    /// To whom this machine announces itself.
    pub announce: Option<Announce>,
    /// The settings in force, secrets left out: as JSON on one line, and indented.
    pub config: [String; 2],
    /// What each loop counts.
    pub counters: Vec<Arc<Counters>>,
    /// When the process began.
    pub began: SystemTime,
    /// The same on the clock that does not jump.
    pub started: Instant,
    /// Looks at what the process takes of the system.
    pub process: fn() -> Process,
    /// Lets connections in.
    pub limiter: Limiter,
}

/// Who may read without a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ReadFrom {
    /// Nobody, where there is a token; else this machine.
    #[default]
    Token,
    /// This machine.
    Loopback,
    /// This machine and private networks.
    Private,
    /// Everybody.
    Anywhere,
}
