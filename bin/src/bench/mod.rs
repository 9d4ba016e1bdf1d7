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
//! | `demux`, `dialogue`, `player`, `crowd` | what comes as frames, a player's words, its connection, all players of a thread |
//! | `edge` | bytes of players and interfaces at one moment |
//! | `hls` | viewers of playlists, who ask for one file after the other |
//! | `check`, `playback` | what the sample looks at, what a viewer would have seen |
//! | `distribution` | many values as counts |
//! | `run`, `figures`, `goal` | one run, what it comes to, whether that is enough |
//! | `find`, `own` | run after run to the most players; this very program as the server |
//! | `summary`, `report`, `html`, `svg` | what people and programs read |
//! | `files` | where they read it |
//! | `options`, `answer` | what the tests of something else than streams are told, and read, alike |
//! | `http`, `idle`, `held` | tests of an API, of connections that say nothing, of reloads that are held |
//! | `streams` | the test of streams as the command line asks for it |

mod answer;
mod check;
mod clock;
mod crowd;
mod demux;
mod dialogue;
mod distribution;
mod edge;
mod figures;
mod files;
mod find;
mod goal;
mod held;
mod hls;
mod html;
mod http;
mod idle;
mod ledger;
mod options;
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

use target::TargetError;

/// The goal was missed; 1 is for tests that could not be made, 2 for wrong options.
pub const GOAL_MISSED: u8 = 3;
/// As shells have it for Ctrl-C.
pub const INTERRUPTED: u8 = 130;

/// Options of `weir bench`.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    other: Option<Other>,
    #[command(flatten)]
    streams: streams::Args,
}

/// Tests of something else than streams.
#[derive(clap::Subcommand)]
enum Other {
    /// Requests to an HTTP API at a steady rate, latency corrected for coordinated omission
    Http(http::Args),
    /// Connections that say nothing: the server's memory for each
    Idle(idle::Args),
    /// Reloads of a playlist that the server holds: how far apart their answers are
    Held(held::Args),
}

const EXAMPLES: &str = "\
Examples:
  weir bench --self                                          what one core of this machine carries
  weir bench http://127.0.0.1:8080/live/s.flv --publish 1 --players 3200 --pid PID
  weir bench rtmp://127.0.0.1/live/s{i} --publish 100 --players 2000 --slo \"starved<=0.1%,p99<=200ms\"
  weir bench http://127.0.0.1:8080/live/s.flv --publish 1 --find --pid PID --html report.html
  weir bench http http://127.0.0.1:8080/api/v1/versions --connections 1000 --rate 20k
  weir bench idle rtmp://127.0.0.1 --connections 10k --pid PID
  weir bench http://127.0.0.1:8080/live/s.m3u8 --low-latency --publish 1 --players 500 --pid PID
  weir bench held http://127.0.0.1:8080/live/s.m3u8 --held 2000 --publish --pid PID

Exit status: 0 the goal is met (or there was none and it ran), 1 it could not be tested, 2 wrong
options, 3 the goal is missed (of http: requests had no answer), 130 interrupted.";

/// Runs the test that was asked for.
pub fn run(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    let outcome = match &args.other {
        Some(Other::Http(args)) => http::run(args),
        Some(Other::Idle(args)) => idle::run(args),
        Some(Other::Held(args)) => held::run(args),
        None => streams::run(&args.streams),
    };
    outcome.map_err(|error| match error.downcast_ref::<TargetError>() {
        // Whether a name has an address is not in the options.
        None | Some(TargetError::Unknown(..)) => error,
        Some(wrong) => crate::wrong(wrong),
    })
}
