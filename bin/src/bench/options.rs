//! Options that tests of something else than streams share.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use super::target::Target;
use crate::kernel::{self, Usage};
use crate::units;

/// Options of `weir bench http`, `idle` and `held`.
#[derive(clap::Args)]
pub struct Common {
    /// How long to measure
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = units::duration)]
    pub hold: Duration,
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

impl Common {
    /// Reads the URL, looks whether the processes are there, and binds this one to its core.
    pub fn begin(&self, url: &str) -> Result<Target, Box<dyn Error>> {
        let target = Target::parse(url, self.i_own_this_host)?;
        if let Some(missing) = self.pid.iter().find(|pid| !kernel::exists(**pid)) {
            return Err(format!("there is no process {missing} (--pid)").into());
        }
        if let Some(core) = self.core {
            network::pin_to_core(core).map_err(|error| format!("--core {core}: {error}"))?;
        }
        Ok(target)
    }

    /// What the server has used up so far.
    pub fn server(&self) -> Usage {
        kernel::usage(&kernel::family(&self.pid))
    }
}
