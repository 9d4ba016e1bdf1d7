//! `weir bench http`: requests at a steady rate, and how long each took from when it was due.
//!
//! A generator that waits for an answer before it asks again asks less often just when the server is
//! slow, and so does not see the slowness (coordinated omission). Here each request has a time at which
//! it is due, whatever became of those before it, and its latency counts from then. What the generator
//! itself was late, with its connection free, is not the server's: it is left out and told apart.

use std::cell::RefCell;
use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use network::http::{BodyDecoder, BodyEvent, HttpError};
use network::http::{HeadScan, HeaderSpace, Method, Parsed, ResponseHead};
use network::{CloseReason, Connect, Connection, Endpoint, EventLoop, Handler};
use serde_json::{Value, json};

use super::dialogue::append_request;
use super::distribution::{Distribution, round3};
use super::options::Common;
use super::run::Conductor;
use super::setup::room_for;
use super::target::{Target, sources};
use super::{INTERRUPTED, report};
use crate::kernel::{self, Usage};
use crate::units::{self, grouped, shown};

/// The timer of a connection's next request.
const DUE: u32 = 1;
/// The pause before a server that refuses is called again.
const CALL_AGAIN: Duration = Duration::from_millis(200);

/// Options of `weir bench http`.
#[derive(clap::Args)]
pub struct Args {
    /// What to ask for: http://HOST:PORT/PATH
    #[arg(value_name = "URL")]
    url: String,
    /// Connections, kept open
    #[arg(long, value_name = "N", default_value = "100", value_parser = units::count)]
    connections: usize,
    /// Requests per second of all of them [default: as many as the server answers]
    #[arg(long, value_name = "N", value_parser = units::count)]
    rate: Option<usize>,
    /// How long to warm up before
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = units::duration)]
    settle: Duration,
    /// Threads
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: usize,
    #[command(flatten)]
    common: Common,
}

/// What a thread counts.
#[derive(Clone, Debug, Default)]
struct Tally {
    /// From when a request was due to its whole answer.
    latency: Distribution,
    /// From when it was sent.
    service: Distribution,
    /// How late the generator was.
    late: Distribution,
    answers: u64,
    other_status: u64,
    bytes: u64,
    broken: u64,
    reasons: std::collections::BTreeMap<String, u64>,
    /// Requests that were due and got no answer before the end. They count for the latency.
    unanswered: u64,
}

impl Tally {
    fn broke(&mut self, why: String) {
        self.broken += 1;
        *self.reasons.entry(why).or_default() += 1;
    }

    fn add(&mut self, other: &Self) {
        self.latency.add(&other.latency);
        self.service.add(&other.service);
        self.late.add(&other.late);
        self.answers += other.answers;
        self.other_status += other.other_status;
        self.bytes += other.bytes;
        self.broken += other.broken;
        self.unanswered += other.unanswered;
        for (why, count) in &other.reasons {
            *self.reasons.entry(why.clone()).or_default() += count;
        }
    }
}

#[derive(Clone)]
struct Task {
    target: Target,
    request: Vec<u8>,
    /// Time between two requests of one connection.
    every: Option<Duration>,
    begins: Instant,
    window: [Instant; 2],
    from: Vec<IpAddr>,
}

/// Runs the test.
pub fn run(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    let target = args.common.begin(&args.url)?;
    if !target.door.is_http() {
        return Err("requests are sent to http:// URLs".into());
    }
    if args.connections == 0 || args.rate == Some(0) {
        return Err("--connections and --rate are at least 1".into());
    }
    let from = sources(target.address, &[]);
    room_for(args.connections, from.len(), network::raise_open_files()?)?;
    let mut conductor = Conductor::new()?;
    let begins = Instant::now() + Duration::from_millis(300);
    let start = begins + args.settle;
    let mut request = Vec::new();
    append_request(&target.authority, &target.path_of(0), &mut request);
    let every =
        args.rate.map(|rate| Duration::from_secs_f64(args.connections as f64 / rate as f64));
    let window = [start, start + args.common.hold];
    let task = Task { target, request, every, begins, window, from };
    let (tell, words) = channel();
    let threads = args.threads.clamp(1, 64).min(args.connections);
    let mut workers = Vec::new();
    for thread in 0..threads {
        let (task, tell) = (task.clone(), tell.clone());
        let numbers: Vec<usize> = (thread..args.connections).step_by(threads).collect();
        let total = args.connections;
        let worker = std::thread::Builder::new().name(format!("http-{thread}"));
        workers.push(worker.spawn(move || work(&task, &numbers, total, &tell))?);
    }
    drop(tell);
    let usage = || [args.common.server(), kernel::usage(&[std::process::id()].into())];
    conductor.wait(start.saturating_duration_since(Instant::now()));
    let (at, before) = (Instant::now(), usage());
    conductor.wait(window[1].saturating_duration_since(Instant::now()));
    let (seconds, after) = (at.elapsed().as_secs_f64(), usage());
    let interrupted = conductor.is_interrupted();
    // A thread that is interrupted tells what it has at the end of its window at the latest.
    let patience = if interrupted { Duration::ZERO } else { Duration::from_secs(5) };
    let mut tally = Tally::default();
    for _ in &workers {
        if let Ok(part) = words.recv_timeout(patience) {
            tally.add(&part);
        }
    }
    let outcome = Outcome { args, tally, seconds, before, after };
    if !report::write_json(&outcome.json(), args.common.json.as_deref())? {
        print!("{}", outcome.text());
    }
    Ok(match (interrupted, outcome.tally.answers) {
        (true, _) => ExitCode::from(INTERRUPTED),
        (_, 0) => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    })
}

fn work(task: &Task, numbers: &[usize], total: usize, tell: &Sender<Tally>) {
    let tally = Rc::new(RefCell::new(Tally::default()));
    let Ok(mut el) = EventLoop::new() else { return };
    for number in numbers {
        // Their first requests are spread over one interval.
        let offset = task
            .every
            .map_or(Duration::ZERO, |every| every.mul_f64(*number as f64 / total.max(1) as f64));
        call(&mut el, &tally, task, *number, task.begins + offset);
    }
    el.at(task.window[1], |el| el.stop());
    el.run();
    let tally = std::mem::take(&mut *tally.borrow_mut());
    let _ = tell.send(tally);
}

fn call(el: &mut EventLoop, tally: &Rc<RefCell<Tally>>, task: &Task, number: usize, due: Instant) {
    let mut connect = Connect::to(Endpoint::Ip(task.target.address));
    if let Some(from) = task.from.get(number % task.from.len().max(1)) {
        connect = connect.from(SocketAddr::new(*from, 0));
    }
    let (tally, task) = (Rc::clone(tally), task.clone());
    el.connect(connect, move |el, outcome| match outcome {
        Ok(_) => Some(Box::new(Client {
            tally,
            task,
            number,
            due,
            from: due,
            sent: None,
            answered: false,
            scan: HeadScan::default(),
            body: None,
        })),
        Err(error) => {
            tally.borrow_mut().broke(error.to_string());
            call_again(el, tally, task, number, due);
            None
        }
    });
}

/// Calls once more after a server that refuses had a moment.
fn call_again(
    el: &mut EventLoop,
    tally: Rc<RefCell<Tally>>,
    task: Task,
    number: usize,
    due: Instant,
) {
    el.after(CALL_AGAIN, move |el| call(el, &tally, &task, number, due));
}

/// One kept connection.
struct Client {
    tally: Rc<RefCell<Tally>>,
    task: Task,
    number: usize,
    /// When the next request is due.
    due: Instant,
    /// From when the present one's latency counts.
    from: Instant,
    /// When it left, while it is under way.
    sent: Option<Instant>,
    /// The server has answered on this connection.
    answered: bool,
    scan: HeadScan,
    body: Option<(BodyDecoder, u16, bool)>,
}

impl Client {
    fn measures(&self) -> bool {
        let [from, to] = self.task.window;
        (from..to).contains(&self.from)
    }

    /// Sends the next request if it is due, else waits until then. `free` says that nothing was under
    /// way when it came due.
    fn ask(&mut self, conn: &mut Connection, el: &mut EventLoop, free: bool) {
        let now = Instant::now();
        if now < self.due {
            conn.start_timer(el, self.due - now, DUE);
            return;
        }
        self.from = if free || self.task.every.is_none() { now } else { self.due };
        if free && self.task.every.is_some() && self.measures() {
            self.tally.borrow_mut().late.record((now - self.due).as_micros() as u64);
        }
        // The next is due an interval after this one was due, however late this one is.
        self.due = self.task.every.map_or(now, |every| self.due + every);
        self.sent = Some(now);
        self.scan = HeadScan::default();
        self.body = None;
        conn.send(&self.task.request);
    }

    /// Reads what there is of an answer; the bytes done with, and whether it is whole.
    fn read(&mut self, input: &[u8]) -> Result<(usize, bool), HttpError> {
        let mut done = 0;
        if self.body.is_none() {
            let mut space = HeaderSpace::new();
            match ResponseHead::parse(input, Method::Get, &mut self.scan, &mut space)? {
                Parsed::Incomplete => return Ok((0, false)),
                Parsed::Complete { head, len } => {
                    let body = BodyDecoder::new(head.framing, u64::MAX)?;
                    self.body = Some((body, head.status.as_u16(), head.keep_alive));
                    done = len;
                }
            }
        }
        let Some((body, ..)) = &mut self.body else { return Ok((done, false)) };
        loop {
            let step = body.decode(input.get(done..).unwrap_or_default())?;
            done += step.consumed;
            match step.event {
                BodyEvent::Data(_) => {}
                BodyEvent::NeedMore => return Ok((done, false)),
                BodyEvent::End => return Ok((done, true)),
            }
        }
    }

    fn answer(&mut self) {
        let Some(sent) = self.sent.take() else { return };
        self.answered = true;
        if !self.measures() {
            return;
        }
        let now = Instant::now();
        let mut tally = self.tally.borrow_mut();
        tally.answers += 1;
        tally.latency.record((now - self.from).as_micros() as u64);
        tally.service.record((now - sent).as_micros() as u64);
        let status = self.body.as_ref().map_or(0, |(_, status, _)| *status);
        tally.other_status += u64::from(!(200..300).contains(&status));
    }
}

impl Handler for Client {
    fn opened(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        // What was due while it connected has waited for that.
        self.ask(conn, el, false);
    }

    fn received(&mut self, conn: &mut Connection, el: &mut EventLoop, input: &[u8]) -> usize {
        if self.measures() {
            self.tally.borrow_mut().bytes += input.len() as u64;
        }
        match self.read(input) {
            Ok((done, false)) => done,
            Ok((done, true)) => {
                self.answer();
                if self.body.as_ref().is_some_and(|(.., keep_alive)| *keep_alive) {
                    self.ask(conn, el, false);
                } else {
                    conn.close_now();
                }
                done
            }
            Err(error) => {
                self.tally.borrow_mut().broke(format!("the server's HTTP: {error}"));
                self.sent = None;
                self.answered = false;
                conn.close_now();
                input.len()
            }
        }
    }

    fn timer(&mut self, conn: &mut Connection, el: &mut EventLoop, _: u32) {
        if self.sent.is_none() {
            self.ask(conn, el, true);
        }
    }

    fn closed(&mut self, _: &mut Connection, el: &mut EventLoop, reason: &CloseReason) {
        let now = Instant::now();
        if let CloseReason::LoopEnded = reason {
            // What has waited until the end has waited so long at least.
            let mut tally = self.tally.borrow_mut();
            if self.sent.is_some() && self.measures() {
                tally.latency.record((now - self.from).as_micros() as u64);
                tally.unanswered += 1;
            }
            let Some(every) = self.task.every.filter(|_| self.sent.is_some()) else { return };
            while self.due < now.min(self.task.window[1]) {
                tally.latency.record((now - self.due).as_micros() as u64);
                tally.unanswered += 1;
                self.due += every;
            }
            return;
        }
        if self.sent.is_some() {
            self.tally.borrow_mut().broke(reason.to_string());
        }
        let (tally, task) = (Rc::clone(&self.tally), self.task.clone());
        if self.answered {
            call(el, &tally, &task, self.number, self.due);
        } else {
            call_again(el, tally, task, self.number, self.due);
        }
    }
}

struct Outcome<'a> {
    args: &'a Args,
    tally: Tally,
    seconds: f64,
    before: [Usage; 2],
    after: [Usage; 2],
}

impl Outcome<'_> {
    fn cpu(&self, which: usize) -> Option<f64> {
        Some(self.after.get(which)?.cpu - self.before.get(which)?.cpu)
    }

    fn rate(&self) -> f64 {
        self.tally.answers as f64 / self.seconds.max(1e-3)
    }

    /// Microseconds of the server's CPU for one answer.
    fn cost(&self) -> Option<f64> {
        let cpu = self.cpu(0).filter(|_| !self.args.common.pid.is_empty())?;
        (self.tally.answers > 0).then(|| cpu * 1e6 / self.tally.answers as f64)
    }

    fn warning(&self) -> Option<String> {
        let [_, before] = &self.before;
        let [_, after] = &self.after;
        let (name, share) = kernel::busiest(before, after, self.seconds)?;
        (share > 0.9).then(|| {
            format!(
                "the generator is the limit: its thread {name} used {:.0} % of a core; --threads",
                share * 100.0
            )
        })
    }

    fn json(&self) -> Value {
        let tally = &self.tally;
        let mut report = report::header();
        if let Value::Object(report) = &mut report {
            report.insert(
                "result".into(),
                json!({
                    "url": self.args.url, "connections": self.args.connections,
                    "asked_per_s": self.args.rate, "window_s": round3(self.seconds),
                    "answers": tally.answers, "answers_per_s": round3(self.rate()),
                    "bytes": tally.bytes, "not_2xx": tally.other_status,
                    "broken": tally.broken, "reasons": tally.reasons,
                    "unanswered": tally.unanswered,
                    "latency_ms": tally.latency.millis(),
                    "service_ms": tally.service.millis(),
                    "generator_late_ms": tally.late.millis(),
                    "server_cpu_us_per_answer": self.cost().map(round3),
                    "server_cores": self.cost().and_then(|_| self.cpu(0)).map(|cpu| round3(cpu / self.seconds)),
                    "generator_cores": self.cpu(1).map(|cpu| round3(cpu / self.seconds)),
                    "warnings": self.warning().into_iter().collect::<Vec<_>>(),
                }),
            );
        }
        report
    }

    fn text(&self) -> String {
        let tally = &self.tally;
        let at = |of: &Distribution, percent| {
            of.percentile(percent).map_or("-".into(), |micros| shown(micros as f64 / 1e3))
        };
        let times = |of| {
            let [p50, p90, p99, p999, most] = [50.0, 90.0, 99.0, 99.9, 100.0].map(|p| at(of, p));
            format!("p50 {p50}, p90 {p90}, p99 {p99}, p99.9 {p999}, most {most} ms")
        };
        let mut lines = vec![
            format!(
                "answers     {}, {} a second over {} connections{}",
                grouped(tally.answers as usize),
                grouped(self.rate() as usize),
                grouped(self.args.connections),
                self.args
                    .rate
                    .map_or(String::new(), |rate| format!(", {} asked for", grouped(rate)))
            ),
            format!("latency     {} from when a request was due", times(&tally.latency)),
            format!("service     {} from when it left", times(&tally.service)),
        ];
        if tally.other_status + tally.broken + tally.unanswered > 0 {
            lines.push(format!(
                "trouble     {} answers other than 2xx, {} connections broken, {} unanswered",
                tally.other_status, tally.broken, tally.unanswered
            ));
        }
        let reasons = tally.reasons.iter().take(8);
        lines.extend(reasons.map(|(why, count)| format!("            {count} x {why}")));
        if let (Some(cost), Some(cpu)) = (self.cost(), self.cpu(0)) {
            lines.push(format!(
                "server      {} CPU us per answer, {} cores",
                shown(cost),
                shown(cpu / self.seconds)
            ));
        }
        if let Some(cpu) = self.cpu(1) {
            lines.push(format!(
                "generator   {} cores, late by {}",
                shown(cpu / self.seconds),
                times(&tally.late)
            ));
        }
        lines.extend(self.warning().map(|warning| format!("warning     {warning}")));
        lines.push(String::new());
        lines.join("\n")
    }
}
