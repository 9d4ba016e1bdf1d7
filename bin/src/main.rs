//! Weir, a live streaming server: the command line.

#![forbid(unsafe_code)]

mod serve;

use std::io::IsTerminal;
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
  weir serve                            serve on port 8080 of all addresses
  weir serve --http 127.0.0.1:9000      serve on another port, for this machine only
  weir serve --loops 4 --pin            four event loops, each on a core of its own

Logs go to stderr; WEIR_LOG=debug says more (error, warn, info, debug, trace).";

#[derive(Subcommand)]
enum Command {
    /// Run the server until SIGTERM or Ctrl-C, which drain it
    Serve(serve::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = tracing_subscriber::EnvFilter::builder()
        .with_env_var("WEIR_LOG")
        .with_default_directive(tracing::Level::INFO.into())
        .from_env_lossy();
    // Colours are for people; a file or a journal gets none.
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .init();
    let result = match cli.command {
        Command::Serve(args) => serve::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("weir: {error}");
            ExitCode::FAILURE
        }
    }
}
