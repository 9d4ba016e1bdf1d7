//! Weir, a live streaming server: the command line.

#![forbid(unsafe_code)]

mod asset;
mod bench;
mod config;
mod console;
mod kernel;
mod log;
mod plan;
mod serve;
mod status;
mod top;
mod units;
mod web;

use std::error::Error;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Weir, a live streaming server.
///
/// Encoders push live streams in, players pull them out, edges relay them outward, and one machine
/// fills its network card before it fills one CPU core.
#[derive(Parser)]
#[command(name = "weir", version, arg_required_else_help = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  weir serve --demo                     serve, with a test card to watch in a browser
  weir serve                            RTMP on port 1935, HTTP on 8080, of all addresses
  weir serve --config weir.toml         serve as a config file says
  weir serve --loops 4 --pin            four event loops, each on a core of its own
  weir config >weir.toml                a config file with every key, explained, at its default
  weir config --check weir.toml         whether that file is good
  weir top                              how it goes, refreshed each second; q leaves
  weir plan --nic 10G --bitrate 2.5M    how many players, on paper
  weir bench --self                     how many players, on this machine

Logs go to stderr; WEIR_LOG=debug says more (error, warn, info, debug, trace).";

#[derive(Subcommand)]
enum Command {
    /// Run the server until SIGTERM or Ctrl-C, which drain it
    Serve(serve::Args),
    /// Print a config file with every key explained and at its default, or check one
    ///
    /// The printed file changes nothing as it stands: each key is commented out. Take the # away
    /// from the keys you change, check the file, then give it to `weir serve --config`.
    #[command(after_help = CONFIG_EXAMPLES)]
    Config {
        /// Read this file instead and say that it is good (exit status 0) or all that is wrong (1)
        #[arg(long, value_name = "FILE")]
        check: Option<PathBuf>,
    },
    /// Say on paper how many players a network card carries, and what stops it first
    Plan(plan::Args),
    /// Show how a server goes, at a terminal: load, streams, slow players, events
    ///
    /// Asks the server's API once a second. Where its config has `[api] token`, that is needed here
    /// too. Printed once where stdout is no terminal.
    Top(top::Args),
    /// Prove it: publish, play and measure against any server
    Bench(Box<bench::Args>),
}

const CONFIG_EXAMPLES: &str = "\
Examples:
  weir config >weir.toml                write the commented file
  weir config | less                    read what can be set, and why one would
  weir config --check weir.toml         check the file after a change, before a restart

What is wrong is said with file, line and key:
  weir.toml:12: play.skip_after: found \"3\", expected a duration such as \"100ms\", ...";

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = tracing_subscriber::EnvFilter::builder()
        .with_env_var("WEIR_LOG")
        .with_default_directive(tracing::Level::INFO.into())
        .from_env_lossy();
    // Colours are for people; a file or a journal gets none.
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let (log, _ending) = match log::Log::start() {
        Ok(log) => log,
        Err(error) => {
            eprintln!("weir: {error}");
            return ExitCode::FAILURE;
        }
    };
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(log).with_ansi(colours).init();
    let result = match cli.command {
        Command::Serve(args) => serve::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Config { check: Some(path) } => check_config(&path).map(|()| ExitCode::SUCCESS),
        Command::Config { check: None } => print(config::DEFAULT_FILE).map(|()| ExitCode::SUCCESS),
        Command::Plan(args) => plan::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Top(args) => top::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Bench(args) => bench::run(&args),
    };
    match result {
        Ok(code) => code,
        Err(error) => match error.downcast::<clap::Error>() {
            Ok(error) => {
                let _ = error.print();
                ExitCode::from(WRONG_OPTIONS)
            }
            Err(error) => {
                eprintln!("weir: {error}");
                ExitCode::FAILURE
            }
        },
    }
}

/// Exit status after options that make no sense, as the parser of the command line has it.
const WRONG_OPTIONS: u8 = 2;

/// The error of options that make no sense together, told like those that make none alone.
fn wrong(why: impl Display) -> Box<dyn Error> {
    clap::Error::raw(clap::error::ErrorKind::ValueValidation, format!("{why}\n")).into()
}

fn check_config(path: &Path) -> Result<(), Box<dyn Error>> {
    config::Config::load(path)?;
    print(&format!("{}: good\n", path.display()))
}

/// Prints to stdout. Whoever reads it may have seen enough, as `head` has.
fn print(text: &str) -> Result<(), Box<dyn Error>> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
