//! `weir bench idle`: what a server keeps for connections that say nothing.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::error::Error;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use network::{CloseReason, Connection, EventLoop, Handler};
use serde_json::{Value, json};

use super::dialogue::append_request;
use super::distribution::round3;
use super::options::{Begun, Common};
use super::target::connect_from;
use super::{INTERRUPTED, report};
use crate::kernel::{self, Usage};
use crate::units::{self, grouped, shown, shown_bytes};

/// Options of `weir bench idle`.
#[derive(clap::Args)]
pub struct Args {
    /// Whom to call. With http:// each connection asks for the path once and is kept; with rtmp:// it
    /// says nothing
    #[arg(value_name = "URL")]
    url: String,
    /// Connections
    #[arg(long, value_name = "N", default_value = "1000", value_parser = units::count)]
    connections: usize,
    /// Connections that begin in a second
    #[arg(long, value_name = "N", default_value_t = 2000.0)]
    ramp: f64,
    #[command(flatten)]
    common: Common,
}

/// What became of all connections.
#[derive(Clone, Debug, Default)]
struct Tally {
    open: usize,
    failed: usize,
    closed: usize,
    reasons: BTreeMap<String, usize>,
}

struct Silent {
    tally: Rc<RefCell<Tally>>,
    request: Vec<u8>,
}

impl Handler for Silent {
    fn opened(&mut self, conn: &mut Connection, _: &mut EventLoop) {
        self.tally.borrow_mut().open += 1;
        conn.send(&std::mem::take(&mut self.request));
    }

    fn received(&mut self, _: &mut Connection, _: &mut EventLoop, input: &[u8]) -> usize {
        input.len()
    }

    fn closed(&mut self, _: &mut Connection, _: &mut EventLoop, reason: &CloseReason) {
        let mut tally = self.tally.borrow_mut();
        tally.open = tally.open.saturating_sub(1);
        if !matches!(reason, CloseReason::LoopEnded) {
            tally.closed += 1;
            *tally.reasons.entry(reason.to_string()).or_default() += 1;
        }
    }
}

/// Runs the test.
pub fn run(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    let Begun { target, from, mut conductor, mut files } =
        args.common.begin(&args.url, args.connections)?;
    if args.connections == 0 || args.ramp <= 0.0 || !args.ramp.is_finite() {
        return Err("--connections is at least 1, --ramp above 0".into());
    }
    let usage = || args.common.server();
    let (before, tcp_before) = (usage(), kernel::tcp_memory().0);
    let tally = Rc::new(RefCell::new(Tally::default()));
    let mut request = Vec::new();
    if target.door.is_http() {
        append_request(&target.authority, &target.path_of(0), &mut request);
    }
    let began = Instant::now();
    for number in 0..args.connections {
        let due = began + Duration::from_secs_f64(number as f64 / args.ramp);
        let connect = connect_from(target.address, &from, number);
        let silent = Silent { tally: Rc::clone(&tally), request: request.clone() };
        let told = Rc::clone(&tally);
        conductor.el().at(due, move |el| {
            el.connect(connect, move |_, outcome| match outcome {
                Ok(_) => Some(Box::new(silent)),
                Err(error) => {
                    let mut tally = told.borrow_mut();
                    tally.failed += 1;
                    *tally.reasons.entry(error.to_string()).or_default() += 1;
                    None
                }
            });
        });
    }
    let ramp = Duration::from_secs_f64(args.connections as f64 / args.ramp);
    conductor.wait(ramp + Duration::from_secs(2));
    let (at, held) = (Instant::now(), usage());
    conductor.wait(args.common.hold);
    let (seconds, after) = (at.elapsed().as_secs_f64(), usage());
    let tcp = kernel::tcp_memory().0.saturating_sub(tcp_before);
    let interrupted = conductor.is_interrupted();
    let tally = tally.borrow().clone();
    let outcome = Outcome { args, tally, usage: [before, held, after], seconds, tcp };
    files.write(&outcome.text(), &report::of(outcome.json()), String::new)?;
    Ok(match (interrupted, outcome.tally.open) {
        (true, _) => ExitCode::from(INTERRUPTED),
        (_, 0) => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    })
}

struct Outcome<'a> {
    args: &'a Args,
    tally: Tally,
    /// Before any connection, with all of them, and at the end.
    usage: [Usage; 3],
    seconds: f64,
    tcp: u64,
}

impl Outcome<'_> {
    /// Bytes of the server's memory for each connection.
    fn memory(&self) -> Option<f64> {
        let [before, _, after] = &self.usage;
        let known = !self.args.common.pid.is_empty() && self.tally.open > 0;
        let grown = after.resident.saturating_sub(before.resident) as f64;
        known.then(|| grown / self.tally.open as f64)
    }

    fn cores(&self) -> f64 {
        let [_, held, after] = &self.usage;
        (after.cpu - held.cpu).max(0.0) / self.seconds.max(1e-3)
    }

    fn json(&self) -> Value {
        let [before, _, after] = &self.usage;
        json!({
            "url": self.args.url, "connections": self.args.connections,
            "open": self.tally.open, "failed": self.tally.failed,
            "closed_by_server": self.tally.closed, "reasons": self.tally.reasons,
            "held_s": round3(self.seconds),
            "server_memory_before_bytes": before.resident,
            "server_memory_bytes": after.resident,
            "memory_per_connection_bytes": self.memory().map(f64::round),
            "server_cores_while_idle": round3(self.cores()),
            "kernel_tcp_memory_bytes": self.tcp,
        })
    }

    fn text(&self) -> String {
        let tally = &self.tally;
        let mut out = format!(
            "connections {} asked, {} open, {} failed, {} closed by the server\n",
            grouped(self.args.connections),
            grouped(tally.open),
            grouped(tally.failed),
            grouped(tally.closed)
        );
        for (why, count) in tally.reasons.iter().take(8) {
            out += &format!("            {} x {why}\n", grouped(*count));
        }
        if let Some(memory) = self.memory() {
            out += &format!(
                "server      {} per connection, {} cores while nothing happens\n",
                shown_bytes(memory),
                shown(self.cores())
            );
        }
        out
    }
}
