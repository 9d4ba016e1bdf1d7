//! What is measured and how it is shown: processor time and memory as the kernel tells them, medians,
//! tables.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use network::{EventLoop, Threads};

/// Any failure ends the benchmark with its words.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Where servers and senders run.
pub const SERVER_CORE: usize = 0;
/// Where clients and readers run.
pub const CLIENT_CORE: usize = 1;
/// Every figure is the median of so many runs. The runs of a table take turns, so that a moment in
/// which the machine did something else does not fall on one row alone.
pub const RUNS: usize = 3;

/// Threads whose processor time is asked for.
#[derive(Clone)]
pub struct Cpu(Vec<PathBuf>);

impl Cpu {
    /// The thread that asks.
    pub fn of_this_thread() -> Outcome<Self> {
        let thread = fs::read_link("/proc/thread-self")?;
        Ok(Self(vec![Path::new("/proc").join(thread)]))
    }

    /// All threads that a process has now.
    pub fn of_process(pid: u32) -> Outcome<Self> {
        let threads = fs::read_dir(format!("/proc/{pid}/task"))?;
        Ok(Self(threads.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?))
    }

    /// What they have used so far, as the scheduler counted it at its last tick.
    pub fn used(&self) -> Outcome<Duration> {
        let mut sum = Duration::ZERO;
        for thread in &self.0 {
            let line = fs::read_to_string(thread.join("schedstat"))?;
            let nanos = line.split_whitespace().next().ok_or("schedstat is empty")?;
            sum += Duration::from_nanos(nanos.parse()?);
        }
        Ok(sum)
    }
}

/// Resident memory of a process, in bytes.
pub fn resident(pid: u32) -> Outcome<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next())
        .ok_or("the kernel does not tell VmRSS")?;
    Ok(kib.parse::<f64>()? * 1024.0)
}

/// Runs `work` on a thread with a loop of its own, pinned to `core`.
pub fn on_core<T: Send + 'static>(
    core: usize,
    work: impl FnOnce(&mut EventLoop) -> Outcome<T> + Send + 'static,
) -> Outcome<T> {
    let (tell, hear) = mpsc::channel();
    let threads = Threads::start(vec![work], Some(&[core]), move |el, _, work| {
        tell.send(work(el)?).map_err(|_| "nobody waits for the outcome")?;
        el.stop();
        Ok(())
    })?;
    threads.join();
    Ok(hear.recv()?)
}

/// The middle one of an odd number of figures.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// [`RUNS`] runs of every case in turn; the outcomes of each case together.
pub fn in_turn<C, S>(
    cases: &[C],
    mut run: impl FnMut(usize, &C) -> Outcome<S>,
) -> Outcome<Vec<Vec<S>>> {
    let mut samples: Vec<Vec<S>> = cases.iter().map(|_| Vec::new()).collect();
    for turn in 1..=RUNS {
        for (case, samples) in cases.iter().zip(&mut samples) {
            samples.push(run(turn, case)?);
        }
    }
    Ok(samples)
}

/// The median of one figure over the runs of a case.
pub fn median_of<S>(runs: &[S], figure: impl Fn(&S) -> f64) -> f64 {
    median(runs.iter().map(figure).collect())
}

/// Prints a table in Markdown, in columns that also read well as they are.
pub fn table(title: &str, heads: &[&str], rows: &[Vec<String>]) {
    let widths: Vec<usize> = heads
        .iter()
        .enumerate()
        .map(|(i, head)| {
            let cells = rows.iter().filter_map(|row| row.get(i));
            cells.map(|cell| cell.chars().count()).fold(head.chars().count(), usize::max)
        })
        .collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<_> =
            cells.zip(&widths).map(|(cell, width)| format!(" {cell:<width$} ")).collect();
        println!("|{}|", padded.join("|"));
    };
    println!("\n### {title}\n");
    line(&mut heads.iter().copied());
    println!(
        "|{}|",
        widths.iter().map(|width| "-".repeat(width + 2)).collect::<Vec<_>>().join("|")
    );
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
}

/// The machine, in a line, with what else it was doing.
pub fn machine() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let load = read("/proc/loadavg");
    format!(
        "{}, {} cores, Linux {}, congestion control {}, load average {} at the start",
        model.unwrap_or("unknown processor"),
        std::thread::available_parallelism().map_or(1, usize::from),
        read("/proc/sys/kernel/osrelease").trim_end(),
        read("/proc/sys/net/ipv4/tcp_congestion_control").trim_end(),
        load.split(' ').next().unwrap_or_default(),
    )
}
