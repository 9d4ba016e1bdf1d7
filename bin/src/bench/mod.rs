//! `weir bench`: how much a server carries, measured from outside.
//!
//! It knows `network` and `media` and nothing of Weir's own server, so that it measures a peer's as it
//! does ours. In reading order:
//!
//! | file | what |
//! | --- | --- |
//! | `setup`, `target` | what to do, to whom, and whether this machine can |
//! | `clock`, `ledger` | when a frame was made, and what is in it |
//! | `publisher` | test cards over RTMP |
//! | `dialogue`, `player`, `crowd` | a player's words, its connection, all players of a thread |
//! | `check`, `playback` | what the sample looks at, what a viewer would have seen |
//! | `distribution` | many values as counts |
//! | `run`, `figures`, `goal` | one run, what it comes to, whether that is enough |
//! | `find`, `own` | run after run to the most players; this very program as the server |
//! | `summary`, `report`, `html`, `svg` | what people and programs read |
//! | `streams` | the test of streams as the command line asks for it |

mod check;
mod clock;
mod crowd;
mod dialogue;
mod distribution;
mod figures;
mod find;
mod goal;
mod html;
mod ledger;
mod own;
mod playback;
mod player;
mod publisher;
mod report;
mod run;
mod setup;
mod streams;
mod summary;
mod svg;
mod target;

pub use distribution::round3;

use std::error::Error;
use std::process::ExitCode;

/// The goal was missed; 1 is for tests that could not be made, 2 for wrong options.
pub const GOAL_MISSED: u8 = 3;
/// As shells have it for Ctrl-C.
pub const INTERRUPTED: u8 = 130;

/// Options of `weir bench`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    streams: streams::Args,
}

/// Runs the test that was asked for.
pub fn run(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    streams::run(&args.streams)
}
