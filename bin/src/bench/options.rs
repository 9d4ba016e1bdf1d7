//! Options that tests of something else than streams share.

use std::error::Error;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::files::Files;
use super::run::Conductor;
use super::setup::room_for;
use super::target::{Door, Target, sources};
use crate::kernel::{self, Usage};
use crate::units;

/// Options of `weir bench http`, `idle` and `held`.
#[derive(clap::Args)]
pub struct Common {
    /// How long to measure [default: 10s; idle over rtmp:// 3s, since servers close who says nothing]
    #[arg(long, value_name = "TIME", value_parser = units::some_time)]
    hold: Option<Duration>,
    /// Bind this process to a core
    #[arg(long, value_name = "CORE")]
    pub core: Option<usize>,
    /// The server's process ids
    #[arg(long, value_name = "PID", value_delimiter = ',')]
    pub pid: Vec<u32>,
    /// Write every figure as JSON; - is stdout
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// The tested server is mine, though it is not on this machine
    #[arg(long)]
    pub i_own_this_host: bool,
}

/// What such a test begins with.
pub struct Begun {
    /// Whom to call.
    pub target: Target,
    /// This side's addresses, where they are chosen.
    pub from: Vec<IpAddr>,
    /// The main thread's loop and the user's signals.
    pub conductor: Conductor,
}

impl Common {
    /// Reads the URL, looks whether the processes are there and whether this machine can, and binds
    /// this process to its core.
    pub fn begin(&self, url: &str, connections: usize) -> Result<Begun, Box<dyn Error>> {
        let target = Target::parse(url, self.i_own_this_host)?;
        if let Some(missing) = self.pid.iter().find(|pid| !kernel::exists(**pid)) {
            return Err(format!("there is no process {missing} (--pid)").into());
        }
        let from = sources(&[target.address], &[])?;
        room_for(connections, from.len(), network::raise_open_files()?)?;
        if let Some(core) = self.core {
            network::pin_to_core(core).map_err(|error| format!("--core {core}: {error}"))?;
        }
        Ok(Begun { target, from, conductor: Conductor::new()? })
    }

    /// Where the report goes, opened before anybody is called.
    pub fn files(&self) -> Result<Files, Box<dyn Error>> {
        Files::open(self.json.as_deref(), None)
    }

    /// How long to measure.
    pub fn hold(&self, door: Door) -> Duration {
        self.hold.unwrap_or(match door {
            // Ten seconds of silence are too many for a server; connecting takes some of them.
            Door::Rtmp => Duration::from_secs(3),
            _ => Duration::from_secs(10),
        })
    }

    /// Whether one of the server's processes has ended.
    pub fn gone(&self) -> bool {
        !self.pid.iter().all(|pid| kernel::exists(*pid))
    }

    /// What the server has used up so far.
    pub fn server(&self) -> Usage {
        kernel::usage(&kernel::family(&self.pid))
    }
}
