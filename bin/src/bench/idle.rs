//! `weir bench idle`: what a server keeps for connections that say nothing.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::error::Error;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use network::{CloseReason, Connection, EventLoop, Handler};
use serde_json::{Value, json};

use super::answer::Answers;
use super::dialogue::append_request;
use super::distribution::round3;
use super::options::{Begun, Common};
use super::setup::within_a_day;
use super::target::{Door, connect_from};
use super::{INTERRUPTED, report};
use crate::kernel::{self, Usage};
use crate::units::{self, grouped, shown, shown_bytes};

/// How long a connection may take to be what was asked for.
const WITHIN: Duration = Duration::from_secs(10);
/// From when all are connected to when a server has taken them off its listener.
const ACCEPTED: Duration = Duration::from_millis(500);

/// Options of `weir bench idle`.
#[derive(clap::Args)]
pub struct Args {
    /// Whom to call. With http:// each connection asks for the path once, which has to be answered 2xx,
    /// and is kept; with rtmp:// it says nothing
    #[arg(value_name = "URL")]
    url: String,
    /// Connections
    #[arg(long, value_name = "N", default_value = "1000", value_parser = units::some)]
    connections: usize,
    /// Connections that begin in a second
    #[arg(long, value_name = "N", default_value = "2000", value_parser = units::per_second)]
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

impl Tally {
    fn failed(&mut self, why: String) {
        self.failed += 1;
        *self.reasons.entry(why).or_default() += 1;
    }
}

/// How far a connection has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// The server has not answered.
    Asking,
    /// It is what was asked for, since then.
    Open(Instant),
    Failed,
}

struct Silent {
    tally: Rc<RefCell<Tally>>,
    /// What is asked once; over RTMP nothing.
    request: Rc<[u8]>,
    answers: Answers,
    state: State,
}

impl Silent {
    fn is_open(&mut self) {
        self.state = State::Open(Instant::now());
        self.tally.borrow_mut().open += 1;
    }

    fn fail(&mut self, conn: &mut Connection, why: String) {
        if self.state == State::Asking {
            self.tally.borrow_mut().failed(why);
            self.state = State::Failed;
        }
        conn.close_now();
    }
}

impl Handler for Silent {
    fn opened(&mut self, conn: &mut Connection, _: &mut EventLoop) {
        match self.request.is_empty() {
            true => self.is_open(),
            false => conn.send(&self.request),
        }
    }

    fn received(&mut self, conn: &mut Connection, _: &mut EventLoop, input: &[u8]) -> usize {
        if self.request.is_empty() && matches!(self.state, State::Open(_)) {
            self.tally.borrow_mut().open -= 1;
            self.state = State::Asking;
            self.fail(conn, "the server speaks first, which is not RTMP".into());
        }
        if self.state != State::Asking {
            return input.len();
        }
        match self.answers.read(input) {
            Ok((done, None)) => return done,
            Ok((_, Some(answer))) if (200..300).contains(&answer.status) => self.is_open(),
            Ok((_, Some(answer))) => {
                self.fail(conn, format!("the server answers {}", answer.status));
            }
            Err(error) => self.fail(conn, format!("the server's HTTP: {error}")),
        }
        input.len()
    }

    fn closed(&mut self, _: &mut Connection, _: &mut EventLoop, reason: &CloseReason) {
        if matches!(reason, CloseReason::LoopEnded) {
            return;
        }
        let mut tally = self.tally.borrow_mut();
        match self.state {
            State::Asking => tally.failed(reason.to_string()),
            State::Open(since) => {
                tally.open -= 1;
                tally.closed += 1;
                let why = format!("{reason} after {} s", since.elapsed().as_secs());
                *tally.reasons.entry(why).or_default() += 1;
            }
            State::Failed => {}
        }
    }
}

/// Runs the test.
pub fn run(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    within_a_day(args.connections, args.ramp).map_err(crate::wrong)?;
    let Begun { target, from, mut conductor } = args.common.begin(&args.url, args.connections)?;
    if !target.door.is_http() && target.door != Door::Rtmp {
        return Err(crate::wrong("connections that are idle are made to http:// and rtmp:// URLs"));
    }
    let mut files = args.common.files()?;
    let usage = || args.common.server();
    let (before, tcp_before) = (usage(), kernel::tcp_memory().0);
    let tally = Rc::new(RefCell::new(Tally::default()));
    let mut request = Vec::new();
    if target.door.is_http() {
        append_request(&target.authority, &target.path_of(0), &mut request);
    }
    let (request, began): (Rc<[u8]>, _) = (request.into(), Instant::now());
    for number in 0..args.connections {
        let due = began + Duration::from_secs_f64(number as f64 / args.ramp);
        let connect = connect_from(target.address, &from, number);
        let silent = Silent {
            tally: Rc::clone(&tally),
            request: Rc::clone(&request),
            answers: Answers::default(),
            state: State::Asking,
        };
        let told = Rc::clone(&tally);
        conductor.el().at(due, move |el| {
            el.connect(connect, move |_, outcome| match outcome {
                Ok(_) => Some(Box::new(silent)),
                Err(error) => {
                    told.borrow_mut().failed(error.to_string());
                    None
                }
            });
        });
    }
    let until = began + Duration::from_secs_f64(args.connections as f64 / args.ramp) + WITHIN;
    let known = |tally: &Tally| tally.open + tally.failed + tally.closed;
    while known(&tally.borrow()) < args.connections
        && Instant::now() < until
        && !conductor.is_interrupted()
    {
        conductor.wait(Duration::from_millis(50));
    }
    conductor.wait(ACCEPTED);
    let (at, held) = (Instant::now(), usage());
    let tcp = kernel::tcp_memory().0.saturating_sub(tcp_before);
    let open = tally.borrow().open;
    conductor.wait(args.common.hold(target.door));
    let (seconds, after) = (at.elapsed().as_secs_f64(), usage());
    let interrupted = conductor.is_interrupted();
    let mut tally = tally.borrow().clone();
    let unknown = args.connections - known(&tally);
    if unknown > 0 && !interrupted {
        tally.failed += unknown;
        tally.reasons.insert(format!("no answer within {} s", WITHIN.as_secs()), unknown);
    }
    let outcome = Outcome { args, tally, usage: [before, held, after], open, seconds, tcp };
    files.write(&outcome.text(), &report::of(outcome.json()), String::new)?;
    Ok(match (interrupted, open) {
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
    /// Open when all had begun.
    open: usize,
    seconds: f64,
    tcp: u64,
}

impl Outcome<'_> {
    /// Bytes of the server's memory for each connection.
    fn memory(&self) -> Option<f64> {
        let [before, held, _] = &self.usage;
        let known = !self.args.common.pid.is_empty() && self.open > 0;
        let grown = held.resident.saturating_sub(before.resident) as f64;
        known.then(|| grown / self.open as f64)
    }

    fn cores(&self) -> f64 {
        let [_, held, after] = &self.usage;
        (after.cpu - held.cpu).max(0.0) / self.seconds.max(1e-3)
    }

    fn json(&self) -> Value {
        let [before, held, _] = &self.usage;
        json!({
            "url": self.args.url, "connections": self.args.connections,
            "open": self.open, "open_at_the_end": self.tally.open, "failed": self.tally.failed,
            "closed_by_server": self.tally.closed, "reasons": self.tally.reasons,
            "held_s": round3(self.seconds),
            "server_memory_before_bytes": before.resident,
            "server_memory_bytes": held.resident,
            "memory_per_connection_bytes": self.memory().map(f64::round),
            "server_cores_while_idle": round3(self.cores()),
            "kernel_tcp_memory_bytes": self.tcp,
        })
    }

    fn text(&self) -> String {
        let tally = &self.tally;
        let mut out = format!(
            "connections {} asked, {} open, {} failed, {} closed by the server within {} s\n",
            grouped(self.args.connections),
            grouped(self.open),
            grouped(tally.failed),
            grouped(tally.closed),
            shown(self.seconds)
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
