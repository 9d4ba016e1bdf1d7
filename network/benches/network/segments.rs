//! The same segment to many connections, as a live stream is sent: what each way of sending costs.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use network::{
    Connection, Detached, EventLoop, FileRange, Handle, Handler, Options, Ready, Source, SourceId,
    Threads,
};

use crate::measure::{self, CLIENT_CORE, Cpu, Outcome, RUNS, SERVER_CORE};

const CONNECTIONS: usize = 200;
const SIZES: [usize; 4] = [1024, 8 * 1024, 32 * 1024, 128 * 1024];
/// Rounds of a job before the counting begins.
const WARM: Duration = Duration::from_millis(50);
const COUNTED: Duration = Duration::from_millis(300);
const SILENCE: Duration = Duration::from_secs(10);

/// How a segment is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    /// Copied into the connection's queue, then written.
    Copy,
    /// Written from shared memory, in so many pieces.
    Gather(usize),
    /// Sent by the kernel out of a file in memory.
    File,
}

const WAYS: [(Way, &str); 4] = [
    (Way::Copy, "copy, then write"),
    (Way::Gather(8), "gather write, 8 pieces"),
    (Way::Gather(1), "gather write, 1 piece"),
    (Way::File, "sendfile"),
];

/// One cell of the table.
#[derive(Clone, Copy, Debug)]
struct Job {
    way: Way,
    size: usize,
}

/// Processor time of the sender for each segment, in microseconds.
type Micros = f64;

pub fn run() -> Outcome<()> {
    let jobs: Vec<Job> = SIZES
        .iter()
        .flat_map(|&size| WAYS.iter().map(move |&(way, _)| Job { way, size }))
        .collect();
    let bench = Bench::start()?;
    let samples = measure::in_turn(&jobs, |turn, &job| {
        eprintln!("segments: {} bytes, {:?}, run {turn} of {RUNS}", job.size, job.way);
        bench.measure(job)
    })?;
    bench.stop();
    let micros: Vec<Micros> = samples.into_iter().map(measure::median).collect();
    let rows = SIZES.iter().zip(micros.chunks(WAYS.len())).map(|(&size, micros)| {
        let gbit = size as f64 * 8.0 / 1e9;
        let cell = |us: &Micros| format!("{us:.2} ({:.4})", us / 1e6 / gbit);
        let cheapest = WAYS.iter().zip(micros).min_by(|(_, a), (_, b)| a.total_cmp(b));
        let mut row = vec![format!("{} KiB", size / 1024)];
        row.extend(micros.iter().map(cell));
        row.push(cheapest.map_or("", |((_, name), _)| name).into());
        row.push("`cargo bench -p network -- segments`".into());
        row
    });
    let mut heads = vec!["segment"];
    heads.extend(WAYS.iter().map(|(_, name)| name));
    heads.extend(["cheapest", "command"]);
    let title = format!(
        "One segment to {CONNECTIONS} connections: CPU µs of the sender per segment (CPU s/Gbit)"
    );
    measure::table(&title, &heads, &rows.collect::<Vec<_>>());
    Ok(())
}

/// A loop that sends and a loop that reads and discards, with all connections between them.
///
/// A round is: the sender sends the segment to every connection; the reader, when it has the last byte
/// of the last of them, posts to the sender, which begins the next. So no socket is full for long, and
/// what is counted is sending and not waiting.
struct Bench {
    senders: Threads,
    readers: Threads,
    fan: SourceId,
    jobs: mpsc::Sender<Job>,
    results: mpsc::Receiver<Outcome<Micros>>,
}

impl Bench {
    fn start() -> Outcome<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let left = Arc::new(AtomicUsize::new(0));
        let (jobs, jobs_in) = mpsc::channel();
        let (results, results_in) = mpsc::channel();
        let (tell_fan, hear_fan) = mpsc::channel();
        // One connection after the other, from here: the listener's queue is short.
        let pairs = (0..CONNECTIONS).map(|_| connect(&listener, address));
        let (ours, theirs): (Vec<_>, Vec<_>) =
            pairs.collect::<Outcome<Vec<_>>>()?.into_iter().unzip();
        let sender = (ours, jobs_in, results, Arc::clone(&left));
        let senders = Threads::start(
            vec![sender],
            Some(&[SERVER_CORE]),
            move |el, _, (sockets, jobs, results, left)| {
                let now = Rc::new(RefCell::new(Sending::Nothing));
                let mut ids = Vec::new();
                for socket in sockets {
                    let viewer = Box::new(Viewer { now: Rc::clone(&now) });
                    ids.push(el.adopt(Detached::new(socket, Options::default())?, viewer)?);
                }
                let cpu = Cpu::of_this_thread()?;
                let content = Content::new()?;
                let fan = Fan { ids, now, jobs, results, left, cpu, content, at_work: None };
                tell_fan.send(el.add_plain(Box::new(fan)))?;
                Ok(())
            },
        )?;
        let fan = hear_fan.recv()?;
        let sender = senders.handles().first().ok_or("the sender has no loop")?.clone();
        let readers = Threads::start(vec![theirs], Some(&[CLIENT_CORE]), move |el, _, sockets| {
            for socket in sockets {
                let reader = Reader { left: Arc::clone(&left), sender: sender.clone(), fan };
                el.adopt(Detached::new(socket, Options::default())?, Box::new(reader))?;
            }
            Ok(())
        })?;
        Ok(Self { senders, readers, fan, jobs, results: results_in })
    }

    fn measure(&self, job: Job) -> Outcome<Micros> {
        self.jobs.send(job)?;
        let fan = self.fan;
        for sender in self.senders.handles() {
            sender.post(move |el| el.mark_due(fan))?;
        }
        self.results.recv_timeout(SILENCE)?
    }

    fn stop(self) {
        for threads in [self.senders, self.readers] {
            threads.stop();
            threads.join();
        }
    }
}

/// Both ends of a connection. Reno, because a machine may prefer an algorithm that paces its packets
/// by timers, and that would be measured then.
fn connect(listener: &TcpListener, address: SocketAddr) -> Outcome<(OwnedFd, OwnedFd)> {
    let theirs = TcpStream::connect(address)?;
    let (ours, _) = listener.accept()?;
    socket2::SockRef::from(&ours).set_tcp_congestion(b"reno")?;
    Ok((ours.into(), theirs.into()))
}

/// The segments, in memory and in a file.
struct Content {
    bytes: Bytes,
    file: Arc<OwnedFd>,
}

impl Content {
    fn new() -> Outcome<Self> {
        let largest = SIZES.into_iter().max().unwrap_or(0);
        let bytes = Bytes::from(vec![b's'; largest]);
        let mut file = unnamed_file()?;
        file.write_all(&bytes)?;
        Ok(Self { bytes, file: Arc::new(file.into()) })
    }

    fn of(&self, job: Job) -> Sending {
        let segment = self.bytes.slice(..job.size);
        match job.way {
            Way::Copy => Sending::Copy(segment),
            Way::Gather(pieces) => {
                let len = job.size / pieces;
                Sending::Gather(
                    (0..pieces).map(|i| segment.slice(i * len..(i + 1) * len)).collect(),
                )
            }
            Way::File => {
                let file = Arc::clone(&self.file);
                Sending::File(FileRange { file, offset: 0, len: job.size })
            }
        }
    }
}

/// A file without a name, in memory where the system has a place for such.
fn unnamed_file() -> Outcome<File> {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { memory.into() } else { std::env::temp_dir() };
    let path: PathBuf = folder.join(format!("network-bench-{}", std::process::id()));
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

/// What every connection sends in this round.
enum Sending {
    Nothing,
    Copy(Bytes),
    Gather(Vec<Bytes>),
    File(FileRange),
}

/// The sending end of a connection.
struct Viewer {
    now: Rc<RefCell<Sending>>,
}

impl Handler for Viewer {
    fn received(&mut self, _: &mut Connection, _: &mut EventLoop, input: &[u8]) -> usize {
        input.len()
    }

    fn due(&mut self, conn: &mut Connection, _: &mut EventLoop) {
        match &*self.now.borrow() {
            Sending::Nothing => {}
            Sending::Copy(segment) => conn.send(segment),
            Sending::Gather(pieces) => {
                for piece in pieces {
                    conn.send_shared(piece.clone());
                }
            }
            Sending::File(range) => conn.send_file(range.clone()),
        }
    }
}

/// Begins the rounds. Due when a job has come, and when the last round has been read.
struct Fan {
    ids: Vec<SourceId>,
    now: Rc<RefCell<Sending>>,
    jobs: mpsc::Receiver<Job>,
    results: mpsc::Sender<Outcome<Micros>>,
    /// Bytes of the round that the readers have not read.
    left: Arc<AtomicUsize>,
    cpu: Cpu,
    content: Content,
    at_work: Option<AtWork>,
}

struct AtWork {
    job: Job,
    began: Instant,
    /// When the counting began, and what this thread had used by then.
    counted: Option<(Instant, Duration)>,
    /// Rounds since then.
    rounds: u32,
}

impl Source for Fan {
    fn ready(&mut self, _: &mut EventLoop, _: SourceId, _: Ready) {}

    fn due(&mut self, el: &mut EventLoop, _: SourceId) {
        if self.at_work.is_none() {
            let Ok(job) = self.jobs.try_recv() else { return };
            *self.now.borrow_mut() = self.content.of(job);
            let began = Instant::now();
            self.at_work = Some(AtWork { job, began, counted: None, rounds: 0 });
        }
        match self.account() {
            Ok(None) => {}
            done => {
                self.at_work = None;
                // Nobody hears it where the benchmark has given up waiting.
                let _ = self.results.send(done.map(Option::unwrap_or_default));
                return;
            }
        }
        let size = self.at_work.as_ref().map_or(0, |at_work| at_work.job.size);
        self.left.store(size * self.ids.len(), Ordering::Release);
        for id in &self.ids {
            el.mark_due(*id);
        }
    }
}

impl Fan {
    /// A round is over, or the first begins; the outcome where it was the last.
    fn account(&mut self) -> Outcome<Option<Micros>> {
        let Some(at_work) = self.at_work.as_mut() else { return Ok(None) };
        let now = Instant::now();
        let Some((since, before)) = at_work.counted else {
            if now - at_work.began >= WARM {
                at_work.counted = Some((now, self.cpu.used()?));
            }
            return Ok(None);
        };
        at_work.rounds += 1;
        if now - since < COUNTED {
            return Ok(None);
        }
        let used = self.cpu.used()? - before;
        let segments = f64::from(at_work.rounds) * self.ids.len() as f64;
        Ok(Some(used.as_secs_f64() * 1e6 / segments))
    }
}

/// The receiving end of a connection.
struct Reader {
    left: Arc<AtomicUsize>,
    sender: Handle,
    fan: SourceId,
}

impl Handler for Reader {
    fn received(&mut self, _: &mut Connection, _: &mut EventLoop, input: &[u8]) -> usize {
        if self.left.fetch_sub(input.len(), Ordering::AcqRel) == input.len() {
            let fan = self.fan;
            // A sender that has ended needs no next round.
            let _ = self.sender.post(move |el| el.mark_due(fan));
        }
        input.len()
    }
}
