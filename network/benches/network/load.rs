//! A closed loop of requests: each connection keeps a number of them in flight and checks what comes
//! back.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use network::{
    Bound, CloseReason, Connection, Detached, EventLoop, Handler, Listen, Options, SetupResult,
    Threads,
};

use crate::measure::{CLIENT_CORE, Cpu, Outcome, SERVER_CORE};

/// Load before the counting begins.
const WARM: Duration = Duration::from_millis(300);
/// How long is counted.
const COUNTED: Duration = Duration::from_millis(1500);
/// A peer that is silent for longer ends the benchmark.
const SILENCE: Duration = Duration::from_secs(3);

/// What every connection says and what it has to hear, over and over.
pub struct Script {
    /// Requests of equal length, in order.
    requests: Vec<u8>,
    request_len: usize,
    /// The replies to them, in order.
    replies: Vec<u8>,
    reply_len: usize,
    /// The part of a reply that is not compared (a date).
    varies: Range<usize>,
}

impl Script {
    /// One request and its reply, always the same but for the bytes of the reply that vary.
    pub fn same(request: Vec<u8>, reply: Vec<u8>, varies: Range<usize>) -> Self {
        let (request_len, reply_len) = (request.len(), reply.len());
        Self { requests: request, request_len, replies: reply, reply_len, varies }
    }

    /// Each message is the next `len` of these bytes and comes back as it was.
    pub fn echo(bytes: Vec<u8>, len: usize) -> Self {
        let requests = bytes.clone();
        Self { requests, request_len: len, replies: bytes, reply_len: len, varies: 0..0 }
    }

    fn request(&self, number: u64) -> &[u8] {
        let from = place(number * self.request_len as u64, self.requests.len());
        &self.requests[from..from + self.request_len]
    }

    /// True where `got` is what follows the first `at` bytes of all replies.
    fn is_reply(&self, mut at: u64, mut got: &[u8]) -> bool {
        while !got.is_empty() {
            let from = place(at, self.replies.len());
            let into = from % self.reply_len;
            let len = got.len().min(self.reply_len - into);
            let (now, later) = got.split_at(len);
            let expected = &self.replies[from..from + len];
            let before = self.varies.start.clamp(into, into + len) - into;
            let behind = self.varies.end.clamp(into, into + len) - into;
            if now[..before] != expected[..before] || now[behind..] != expected[behind..] {
                return false;
            }
            at += len as u64;
            got = later;
        }
        true
    }
}

fn place(at: u64, period: usize) -> usize {
    (at % period as u64) as usize
}

/// What one run measured.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Processor time of the server for each reply, in microseconds.
    pub cpu_us: f64,
    /// Replies per second.
    pub per_second: f64,
    /// The share of the time that the server's thread ran.
    pub server_busy: f64,
    /// Microseconds from a request to its reply: half of them took less.
    pub p50_us: f64,
    /// All but one in a hundred took less.
    pub p99_us: f64,
}

/// The figures of a [`Sample`] as a table shows them.
pub const COLUMNS: [&str; 5] =
    ["server CPU µs per reply", "replies/s", "p50 µs", "p99 µs", "server busy"];

impl Sample {
    /// Cells for [`COLUMNS`]: the median of each figure by itself.
    pub fn cells(runs: &[Self]) -> Vec<String> {
        let median = |figure: fn(&Self) -> f64| crate::measure::median_of(runs, figure);
        vec![
            format!("{:.2}", median(|s| s.cpu_us)),
            format!("{:.0}", median(|s| s.per_second)),
            format!("{:.0}", median(|s| s.p50_us)),
            format!("{:.0}", median(|s| s.p99_us)),
            format!("{:.0} %", median(|s| s.server_busy) * 100.0),
        ]
    }
}

/// A server of one loop on its own thread.
pub struct Server {
    threads: Threads,
    address: SocketAddr,
    cpu: Cpu,
}

impl Server {
    /// Has `setup` put a listener on any free port of the loopback address on a loop.
    pub fn start(
        setup: impl Fn(&mut EventLoop, Bound) -> SetupResult + Send + Sync + 'static,
    ) -> Outcome<Self> {
        let bound = Listen::on(([127, 0, 0, 1], 0).into()).bind()?;
        let address = bound.address().ok_or("the listener has no address")?;
        let (tell, hear) = mpsc::channel();
        let threads = Threads::start(vec![bound], Some(&[SERVER_CORE]), move |el, _, bound| {
            tell.send(Cpu::of_this_thread()?)?;
            setup(el, bound)
        })?;
        Ok(Self { threads, address, cpu: hear.recv()? })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Loads it from another thread with `conns` connections, `depth` requests in flight on each,
    /// then stops it.
    pub fn load(self, script: &Arc<Script>, conns: usize, depth: usize) -> Outcome<Sample> {
        let (tell, hear) = mpsc::channel();
        let (address, cpu, script) = (self.address, self.cpu, Arc::clone(script));
        let clients = Threads::start(vec![()], Some(&[CLIENT_CORE]), move |el, _, ()| {
            let tally = Rc::new(RefCell::new(Tally::new(tell.clone(), cpu.clone(), conns)));
            for _ in 0..conns {
                let stream = first_exchange(address, &script)?;
                let client = Client {
                    script: Arc::clone(&script),
                    tally: Rc::clone(&tally),
                    depth,
                    asked: 1,
                    back: script.reply_len as u64,
                    begun: VecDeque::with_capacity(depth),
                };
                el.adopt(Detached::new(stream.into(), Options::default())?, Box::new(client))?;
            }
            let begin = Rc::clone(&tally);
            el.after(WARM, move |_| begin.borrow_mut().begin());
            el.after(WARM + COUNTED, move |_| tally.borrow_mut().end());
            Ok(())
        })?;
        let sample = hear.recv_timeout(WARM + COUNTED + SILENCE);
        // The server first: the side that closes keeps the addresses of the connections for a while.
        self.threads.stop();
        self.threads.join();
        clients.stop();
        clients.join();
        sample?
    }
}

/// Connects, and bounds the time of every read.
pub fn connect(address: SocketAddr) -> Outcome<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, SILENCE)
        .map_err(|error| format!("cannot connect to {address}: {error}"))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SILENCE))?;
    Ok(stream)
}

/// Reads a whole reply.
pub fn hear(stream: &mut TcpStream, reply: &mut [u8]) -> Outcome<()> {
    stream.read_exact(reply).map_err(|error| match error.kind() {
        ErrorKind::WouldBlock => format!("the server says nothing for {SILENCE:?}").into(),
        _ => error.into(),
    })
}

/// A connection that has seen one whole exchange, so that the server has really accepted it and no
/// time of the run goes into accepting.
fn first_exchange(address: SocketAddr, script: &Script) -> Outcome<TcpStream> {
    let mut stream = connect(address)?;
    stream.write_all(script.request(0))?;
    let mut reply = vec![0; script.reply_len];
    hear(&mut stream, &mut reply)?;
    if !script.is_reply(0, &reply) {
        return Err("the first reply is wrong".into());
    }
    Ok(stream)
}

/// What all connections of a run count together.
struct Tally {
    tell: mpsc::Sender<Outcome<Sample>>,
    server: Cpu,
    conns: usize,
    /// Connections that got an answer under load.
    answered: usize,
    /// When the counting began, and what the server had used by then.
    began: Option<(Instant, Duration)>,
    ended: bool,
    /// Nanoseconds from each counted request to its reply.
    took: Vec<u32>,
}

impl Tally {
    fn new(tell: mpsc::Sender<Outcome<Sample>>, server: Cpu, conns: usize) -> Self {
        // Room for a million replies a second, so that no growth disturbs the run.
        let took = Vec::with_capacity(COUNTED.as_micros() as usize);
        Self { tell, server, conns, answered: 0, began: None, ended: false, took }
    }

    fn begin(&mut self) {
        match self.server.used() {
            Ok(used) => self.began = Some((Instant::now(), used)),
            Err(error) => self.tell(Err(error)),
        }
    }

    fn end(&mut self) {
        let sample = self.sample();
        self.tell(sample);
    }

    fn sample(&mut self) -> Outcome<Sample> {
        let (at, before) = self.began.ok_or("the counting has not begun")?;
        let (wall, cpu) = (at.elapsed().as_secs_f64(), self.server.used()? - before);
        if self.answered < self.conns {
            let starved = self.conns - self.answered;
            return Err(format!("{starved} connections got no reply under load").into());
        }
        self.took.sort_unstable();
        let replies = self.took.len().max(1);
        let quantile = |share: usize| {
            f64::from(self.took.get(replies * share / 100).copied().unwrap_or(0)) / 1000.0
        };
        Ok(Sample {
            cpu_us: cpu.as_secs_f64() * 1e6 / replies as f64,
            per_second: replies as f64 / wall,
            server_busy: cpu.as_secs_f64() / wall,
            p50_us: quantile(50),
            p99_us: quantile(99),
        })
    }

    /// The first outcome counts.
    fn tell(&mut self, outcome: Outcome<Sample>) {
        if !std::mem::replace(&mut self.ended, true) {
            // Nobody hears it where the benchmark has given up waiting.
            let _ = self.tell.send(outcome);
        }
    }
}

/// One connection of the load.
struct Client {
    script: Arc<Script>,
    tally: Rc<RefCell<Tally>>,
    depth: usize,
    /// Requests sent since the connection opened.
    asked: u64,
    /// Bytes of replies since then.
    back: u64,
    /// When the requests in flight were sent.
    begun: VecDeque<Instant>,
}

impl Client {
    /// Sends so many requests more, each in a write of its own: they are separate questions.
    fn ask(&mut self, conn: &mut Connection, count: usize, now: Instant) {
        for _ in 0..count {
            conn.send_now(self.script.request(self.asked));
            self.asked += 1;
            self.begun.push_back(now);
        }
    }
}

impl Handler for Client {
    fn opened(&mut self, conn: &mut Connection, _: &mut EventLoop) {
        self.ask(conn, self.depth, Instant::now());
    }

    fn received(&mut self, conn: &mut Connection, _: &mut EventLoop, input: &[u8]) -> usize {
        let now = Instant::now();
        let reply_len = self.script.reply_len as u64;
        let (before, after) = (self.back, self.back + input.len() as u64);
        if after > self.asked * reply_len || !self.script.is_reply(before, input) {
            self.tally.borrow_mut().tell(Err("a reply is wrong".into()));
            conn.close_now();
            return input.len();
        }
        self.back = after;
        let done = (after / reply_len - before / reply_len) as usize;
        {
            let mut tally = self.tally.borrow_mut();
            tally.answered += usize::from(before / reply_len == 1 && done > 0);
            let counts = tally.began.is_some() && !tally.ended;
            for begun in self.begun.drain(..done.min(self.begun.len())).filter(|_| counts) {
                tally.took.push(u32::try_from((now - begun).as_nanos()).unwrap_or(u32::MAX));
            }
        }
        self.ask(conn, done, now);
        input.len()
    }

    fn closed(&mut self, _: &mut Connection, _: &mut EventLoop, reason: &CloseReason) {
        self.tally.borrow_mut().tell(Err(format!("a connection ended: {reason}").into()));
    }
}
