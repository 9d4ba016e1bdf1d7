//! `weir bench http`: requests at a steady rate, and how long each took from when it was due.
//!
//! A generator that waits for an answer before it asks again asks less often just when the server is
//! slow, and so does not see the slowness (coordinated omission). Here each request has a time at which
//! it is due, whatever became of those before it, and its latency counts from then. A request whose
//! connection breaks stays due, and so does what comes due while nothing is connected. What the
//! generator itself was late, with its connection free, is not the server's: it is left out and told
//! apart.

mod outcome;

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::net::IpAddr;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use network::{CloseReason, Connection, EventLoop, Handler, Threads};

use super::answer::{Answer, Answers};
use super::dialogue::append_request;
use super::options::{Begun, Common};
use super::report;
use super::target::{Target, connect_from};
use crate::{kernel, units};
use outcome::{Outcome, Tally};

/// The timer of a connection's next request.
const DUE: u32 = 1;
/// The pause before a server that refuses is called again.
const CALL_AGAIN: Duration = Duration::from_millis(200);
/// How long after the window's end an answer may still come.
const LAST_ANSWERS: Duration = Duration::from_secs(2);
/// How often a thread looks whether it is over.
const LOOK: Duration = Duration::from_millis(20);
/// How long the threads may take to tell what they have, beside the last answers.
const PATIENCE: Duration = Duration::from_secs(3);

/// Options of `weir bench http`.
#[derive(clap::Args)]
pub struct Args {
    /// What to ask for: http://HOST:PORT/PATH
    #[arg(value_name = "URL")]
    url: String,
    /// Connections, kept open
    #[arg(long, value_name = "N", default_value = "100", value_parser = units::some)]
    connections: usize,
    /// Requests per second of all of them [default: as many as the server answers]
    #[arg(long, value_name = "N", value_parser = units::per_second)]
    rate: Option<f64>,
    /// How long to warm up before
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = units::duration)]
    settle: Duration,
    /// Threads
    #[arg(long, value_name = "N", default_value = "1", value_parser = units::threads)]
    threads: usize,
    #[command(flatten)]
    common: Common,
}

/// What all threads are told.
#[derive(Clone)]
struct Task {
    target: Target,
    request: Vec<u8>,
    /// Time between two requests of one connection.
    every: Option<Duration>,
    begins: Instant,
    window: [Instant; 2],
    from: Vec<IpAddr>,
    /// The user wants it to end.
    interrupted: Arc<AtomicBool>,
}

/// Runs the test.
pub fn run(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    let Begun { target, from, mut conductor } = args.common.begin(&args.url, args.connections)?;
    if !target.door.is_http() {
        return Err(crate::wrong("requests are sent to http:// URLs"));
    }
    let mut files = args.common.files()?;
    let begins = Instant::now() + Duration::from_millis(300);
    let start = begins + args.settle;
    let mut request = Vec::new();
    append_request(&target.authority, &target.path_of(0), &mut request);
    let every = args.rate.map(|rate| Duration::from_secs_f64(args.connections as f64 / rate));
    let window = [start, start + args.common.hold(target.door)];
    let interrupted = Arc::default();
    let told = Arc::clone(&interrupted);
    let task = Task { target, request, every, begins, window, from, interrupted };
    let (tell, words) = channel();
    let threads = args.threads.min(args.connections);
    let total = args.connections;
    let share = |thread: usize| ((thread..total).step_by(threads), tell.clone());
    let shares = (0..threads).map(share).collect();
    drop(tell);
    Threads::start(shares, None, move |el, _, (numbers, tell)| {
        work(el, task.clone(), numbers, total, tell);
        Ok(())
    })?;
    let usage = || [args.common.server(), kernel::usage(&[std::process::id()].into())];
    conductor.wait(start.saturating_duration_since(Instant::now()));
    let (at, before) = (Instant::now(), usage());
    conductor.wait(window[1].saturating_duration_since(Instant::now()));
    let (seconds, after) = (at.elapsed().as_secs_f64(), usage());
    let (mut tally, mut silent) = (Tally::default(), threads);
    let until = Instant::now() + LAST_ANSWERS + PATIENCE;
    while silent > 0 && Instant::now() < until {
        told.store(conductor.is_interrupted(), Ordering::Relaxed);
        match words.recv_timeout(LOOK) {
            Ok(part) => {
                tally.add(&part);
                silent -= 1;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let interrupted = conductor.is_interrupted();
    let gone = args.common.gone();
    let outcome = Outcome { args, tally, seconds, before, after, silent, interrupted, gone };
    files.write(&outcome.text(), &report::of(outcome.json()), String::new)?;
    Ok(outcome.exit_code())
}

/// What a connection is to do next, which lasts beyond it.
struct Turn {
    /// When the next request is due.
    due: Instant,
    asked: Option<Asked>,
}

/// A request under way.
#[derive(Clone, Copy)]
struct Asked {
    due: Instant,
    /// From when its latency counts.
    from: Instant,
    sent: Instant,
}

/// All connections of a thread.
struct Crew {
    task: Task,
    tally: RefCell<Tally>,
    turns: RefCell<Vec<Turn>>,
    /// The window's end; earlier than planned where the user ends it.
    end: Cell<Instant>,
}

fn work(
    el: &mut EventLoop,
    task: Task,
    numbers: impl Iterator<Item = usize>,
    total: usize,
    tell: Sender<Tally>,
) {
    let end = Cell::new(task.window[1]);
    let crew = Rc::new(Crew { task, tally: RefCell::default(), turns: RefCell::default(), end });
    for (place, number) in numbers.enumerate() {
        // Their first requests are spread over one interval.
        let share = number as f64 / total.max(1) as f64;
        let offset = crew.task.every.map_or(Duration::ZERO, |every| every.mul_f64(share));
        let due = crew.task.begins + offset;
        crew.turns.borrow_mut().push(Turn { due, asked: None });
        call(el, &crew, place);
    }
    el.every(LOOK, move |el| {
        let now = Instant::now();
        if crew.task.interrupted.load(Ordering::Relaxed) {
            crew.end.set(crew.end.get().min(now));
        }
        if crew.is_over(now) {
            crew.count_unanswered(now);
            let _ = tell.send(crew.tally.take());
            el.stop();
        }
    });
}

/// Connects, for the turn at `place`.
fn call(el: &mut EventLoop, crew: &Rc<Crew>, place: usize) {
    let connect = connect_from(crew.task.target.address, &crew.task.from, place);
    let crew = Rc::clone(crew);
    el.connect(connect, move |el, outcome| match outcome {
        Ok(_) => {
            Some(Box::new(Client { crew, place, answered: false, answers: Answers::default() }))
        }
        Err(error) => {
            crew.broke(error.to_string());
            call_again(el, crew, place);
            None
        }
    });
}

/// Calls once more after a server that refuses had a moment.
fn call_again(el: &mut EventLoop, crew: Rc<Crew>, place: usize) {
    el.after(CALL_AGAIN, move |el| call(el, &crew, place));
}

impl Crew {
    /// Whether what was due then counts.
    fn measures(&self, due: Instant) -> bool {
        (self.task.window[0]..self.end.get()).contains(&due)
    }

    fn broke(&self, why: String) {
        if Instant::now() < self.end.get() {
            self.tally.borrow_mut().broke(why);
        }
    }

    /// The window has ended, and all that was due in it is answered or has had its time.
    fn is_over(&self, now: Instant) -> bool {
        let end = self.end.get();
        let is_done = |turn: &Turn| turn.asked.is_none() && turn.due >= end;
        now >= end && (now >= end + LAST_ANSWERS || self.turns.borrow().iter().all(is_done))
    }

    /// Counts what was due in the window and has got no answer: it has waited until now at least.
    fn count_unanswered(&self, now: Instant) {
        let [start, _] = self.task.window;
        let mut tally = self.tally.borrow_mut();
        for turn in self.turns.borrow().iter() {
            let first = turn.asked.map_or(turn.due, |asked| asked.due);
            tally.unanswered(first, [start, self.end.get()], self.task.every, now);
        }
    }
}

/// One kept connection.
struct Client {
    crew: Rc<Crew>,
    place: usize,
    /// The server has answered on this connection.
    answered: bool,
    answers: Answers,
}

impl Client {
    /// Changes what this connection is to do next.
    fn turn<T>(&self, change: impl FnOnce(&mut Turn) -> T) -> Option<T> {
        self.crew.turns.borrow_mut().get_mut(self.place).map(change)
    }

    /// Sends the next request if it is due, else waits until then. `free` says that nothing was under
    /// way when it came due.
    fn ask(&mut self, conn: &mut Connection, el: &mut EventLoop, free: bool) {
        let now = Instant::now();
        let Some(due) = self.turn(|turn| turn.due) else { return };
        if due >= self.crew.end.get() {
            return;
        }
        if now < due {
            conn.start_timer(el, due - now, DUE);
            return;
        }
        let from = if free { now } else { due };
        let every = self.crew.task.every;
        if free && every.is_some() && self.crew.measures(due) {
            self.crew.tally.borrow_mut().late.record((now - due).as_micros() as u64);
        }
        self.turn(|turn| {
            turn.asked = Some(Asked { due, from, sent: now });
            // The next is due an interval after this one was due, however late this one is.
            turn.due = every.map_or(now, |every| due + every);
        });
        conn.send(&self.crew.task.request);
    }

    fn answered(&mut self, answer: Answer) {
        let Some(asked) = self.turn(|turn| turn.asked.take()).flatten() else { return };
        let now = Instant::now();
        if self.crew.task.every.is_none() {
            self.turn(|turn| turn.due = now);
        }
        self.answered = true;
        if self.crew.measures(asked.due) {
            let mut tally = self.crew.tally.borrow_mut();
            tally.answers += 1;
            tally.latency.record((now - asked.from).as_micros() as u64);
            tally.service.record((now - asked.sent).as_micros() as u64);
            tally.other_status += u64::from(!(200..300).contains(&answer.status));
        }
    }
}

impl Handler for Client {
    fn opened(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        // What was due while it connected has waited for that.
        self.ask(conn, el, false);
    }

    fn received(&mut self, conn: &mut Connection, el: &mut EventLoop, input: &[u8]) -> usize {
        let asked = self.turn(|turn| turn.asked).flatten();
        if asked.is_some_and(|asked| self.crew.measures(asked.due)) {
            self.crew.tally.borrow_mut().bytes += input.len() as u64;
        }
        match self.answers.read(input) {
            Ok((done, None)) => done,
            Ok((done, Some(answer))) => {
                self.answered(answer);
                if answer.keep_alive {
                    self.ask(conn, el, false);
                } else {
                    conn.close_now();
                }
                done
            }
            Err(error) => {
                self.crew.broke(format!("the server's HTTP: {error}"));
                self.give_back();
                self.answered = false;
                conn.close_now();
                input.len()
            }
        }
    }

    fn timer(&mut self, conn: &mut Connection, el: &mut EventLoop, _: u32) {
        if self.turn(|turn| turn.asked.is_none()).unwrap_or(false) {
            self.ask(conn, el, true);
        }
    }

    fn closed(&mut self, _: &mut Connection, el: &mut EventLoop, reason: &CloseReason) {
        if let CloseReason::LoopEnded = reason {
            return;
        }
        if self.give_back() {
            self.crew.broke(reason.to_string());
        }
        if self.answered {
            call(el, &self.crew, self.place);
        } else {
            call_again(el, Rc::clone(&self.crew), self.place);
        }
    }
}

impl Client {
    /// What was under way stays due, and waits for the next connection. False where nothing was.
    fn give_back(&self) -> bool {
        let asked = self.turn(|turn| {
            let asked = turn.asked.take();
            turn.due = asked.map_or(turn.due, |asked| asked.due);
            asked
        });
        asked.flatten().is_some()
    }
}
