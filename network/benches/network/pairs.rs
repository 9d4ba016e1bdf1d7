//! libevent's classic benchmark. The example of that name does the work; this asks for its rows.

use std::process::{Command, Stdio};

use crate::measure::{self, Outcome};

/// Pairs, active, writes.
const CASES: [[usize; 3]; 3] = [[1000, 100, 1000], [9500, 100, 1000], [9500, 1000, 1000]];

struct Sample {
    median_us: f64,
    min_us: f64,
}

pub fn run() -> Outcome<()> {
    eprintln!("pairs: building the example");
    let built =
        cargo().args(["build", "--release", "-p", "network", "--example", "pairs"]).status()?;
    if !built.success() {
        return Err("the example does not build".into());
    }
    let samples = measure::in_turn(&CASES, |turn, case| {
        eprintln!("pairs: {case:?}, run {turn}");
        example(case)
    })?;
    let rows = CASES.iter().zip(&samples).map(|(case, runs)| {
        let mut row: Vec<_> = case.iter().map(usize::to_string).collect();
        row.push(format!("{:.0}", measure::median_of(runs, |s| s.median_us)));
        row.push(format!("{:.0}", measure::median_of(runs, |s| s.min_us)));
        row.push(format!("`cargo {}`", arguments(case).join(" ")));
        row
    });
    measure::table(
        "Socket pairs, 25 rounds",
        &["pairs", "active", "writes", "median µs of a round", "least µs of a round", "command"],
        &rows.collect::<Vec<_>>(),
    );
    Ok(())
}

/// What follows `cargo`.
fn arguments([pairs, active, writes]: &[usize; 3]) -> Vec<String> {
    let flags = format!("--pairs {pairs} --active {active} --writes {writes}");
    let line = format!("run --release -p network --example pairs -- {flags}");
    line.split(' ').map(String::from).collect()
}

/// The cargo that runs this benchmark, in its workspace.
fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo
}

fn example(case: &[usize; 3]) -> Outcome<Sample> {
    let ran = cargo().arg("--quiet").args(arguments(case)).stderr(Stdio::inherit()).output()?;
    let line = String::from_utf8(ran.stdout)?;
    let figure = |name: &str| -> Outcome<f64> {
        let (_, rest) = line.split_once(name).ok_or_else(|| format!("no {name} in {line:?}"))?;
        let number = rest.trim_start_matches(['"', ':']);
        let end = number.find([',', '}']).unwrap_or(number.len());
        Ok(number.get(..end).unwrap_or_default().parse()?)
    };
    Ok(Sample { median_us: figure("median_us")?, min_us: figure("min_us")? })
}
