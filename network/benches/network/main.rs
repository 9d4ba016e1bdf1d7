//! The figures of `docs/performance.md`, to be had anywhere:
//!
//!     cargo bench -p network -- [echo] [http] [idle] [segments] [timers] [pairs]
//!
//! All of them run where none is named. The server has core 0, the client core 1, so a machine needs
//! two cores and nothing else to do. Tables go to stdout, progress to stderr.

mod echo;
mod http;
mod idle;
mod load;
mod measure;
mod pairs;
mod segments;
mod timers;

use std::process::ExitCode;

use measure::Outcome;

type Bench = (&'static str, fn() -> Outcome<()>);

const BENCHES: [Bench; 6] = [
    ("echo", echo::run),
    ("http", http::run),
    ("idle", idle::run),
    ("segments", segments::run),
    ("timers", timers::run),
    ("pairs", pairs::run),
];

fn main() -> ExitCode {
    // Cargo adds a flag of its own behind the names.
    let names: Vec<String> = std::env::args().skip(1).filter(|name| name != "--bench").collect();
    let done = match names.as_slice() {
        [only] if only == idle::SERVER => idle::serve(),
        names => run(names),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(names: &[String]) -> Outcome<()> {
    if let Some(name) = names.iter().find(|name| BENCHES.iter().all(|(known, _)| name != known)) {
        let known: Vec<_> = BENCHES.iter().map(|(name, _)| *name).collect();
        return Err(
            format!("no benchmark is called {name:?}; there are {}", known.join(", ")).into()
        );
    }
    if cfg!(debug_assertions) {
        eprintln!("this build is not optimised: its figures mean nothing");
    }
    network::raise_open_files()?;
    println!("{}", measure::machine());
    for (name, bench) in BENCHES {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            bench().map_err(|error| format!("{name}: {error}"))?;
        }
    }
    Ok(())
}
