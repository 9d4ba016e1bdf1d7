//! What the tests of this binary share: bounded waiting, processes of their own, scratch paths.

use std::cell::RefCell;
use std::fs;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use network::{EventLoop, Interest, Ready, Source, SourceId, Timer};

/// Turns the loop until `done` says so. Panics where the loop stops or `limit` passes before.
///
/// `done` is asked after every turn and every few milliseconds, so it may also look at what other
/// threads do.
#[track_caller]
pub fn run_until(el: &mut EventLoop, limit: Duration, done: impl Fn() -> bool) {
    let until = Instant::now() + limit;
    while !done() {
        let left = until.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "what the test waits for has not happened within {limit:?}");
        if !el.run_once(left.min(Duration::from_millis(5))) {
            assert!(done(), "the loop stopped before what the test waits for had happened");
        }
    }
}

/// Ends the test with a panic where the loop still runs after `limit`; for tests that call
/// [`EventLoop::run`]. The timer counts in [`EventLoop::timers`]; cancel it to be without.
pub fn within(limit: Duration, el: &mut EventLoop) -> Timer {
    el.after(limit, move |_| panic!("the loop still runs after {limit:?}"))
}

/// Waits until `done` says so, for what happens on other threads and tells nobody.
#[track_caller]
pub fn wait_until(limit: Duration, done: impl Fn() -> bool) {
    let until = Instant::now() + limit;
    while !done() {
        assert!(Instant::now() < until, "what the test waits for has not happened in {limit:?}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Measures up to three times, for bounds on time that hold on a machine with nothing else to do: what
/// is wrong with the loop is wrong each time, what other processes do is not.
#[track_caller]
pub fn measured(mut measure: impl FnMut() -> Result<(), String>) {
    let mut seen = Vec::new();
    for _ in 0..3 {
        match measure() {
            Ok(()) => return,
            Err(what) => seen.push(what),
        }
    }
    panic!("thrice in a row:\n{}", seen.join("\n"));
}

/// For [`measured`]: an error that says `what` unless `good`.
pub fn expect(good: bool, what: impl std::fmt::Debug) -> Result<(), String> {
    if good { Ok(()) } else { Err(format!("{what:?}")) }
}

/// How many descriptors this process has open. Other tests of the process open and close theirs
/// meanwhile: count inside of [`alone`].
pub fn open_fds() -> usize {
    // The directory that is being read is open itself.
    fs::read_dir("/proc/self/fd").expect("/proc is there").count() - 1
}

/// The CPU time this thread has used, in nanoseconds' precision.
pub fn thread_cpu() -> Duration {
    let line = fs::read_to_string("/proc/thread-self/schedstat").expect("schedstat is there");
    let nanos = line.split_whitespace().next().expect("it has three fields");
    Duration::from_nanos(nanos.parse().expect("the first is a number"))
}

/// Held by tests that change something the whole process shares (limits, signals) or measure time
/// closely, so that they do so one after the other. It does not keep out tests that do not take it;
/// [`alone`] does.
pub fn one_at_a_time() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    // A test that failed with the lock in its hand leaves nothing behind that matters to the next.
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A pair of connected sockets that do not block.
pub fn socket_pair() -> (UnixStream, UnixStream) {
    let (here, there) = UnixStream::pair().expect("descriptors are left");
    here.set_nonblocking(true).expect("a socket can do without blocking");
    there.set_nonblocking(true).expect("a socket can do without blocking");
    (here, there)
}

/// Watches a socket for reading, with a closure in the place of a [`Source`] of one's own.
pub fn watch(
    el: &mut EventLoop,
    socket: UnixStream,
    run: impl FnMut(&UnixStream, &mut EventLoop, SourceId) + 'static,
) -> SourceId {
    struct Watched<F> {
        socket: Rc<UnixStream>,
        run: F,
    }
    impl<F: FnMut(&UnixStream, &mut EventLoop, SourceId)> Source for Watched<F> {
        fn ready(&mut self, el: &mut EventLoop, id: SourceId, _: Ready) {
            (self.run)(&self.socket, el, id);
        }
    }
    let socket = Rc::new(socket);
    let source = Box::new(Watched { socket: Rc::clone(&socket), run });
    el.add(socket.as_fd(), Interest::READABLE, source).expect("a socket can be watched")
}

/// Takes off everything that waits on a socket; returns how much it was.
pub fn read_all(mut socket: &UnixStream) -> usize {
    let mut buffer = [0; 4096];
    let mut total = 0;
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return total,
            Ok(n) => total += n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return total,
            Err(error) => panic!("a socket pair fails to read: {error}"),
        }
    }
}

/// Counts how many of the tokens it gave out have been dropped.
#[derive(Clone, Default)]
pub struct Drops(Arc<AtomicUsize>);

/// Counted by its [`Drops`] when it is dropped.
pub struct Token(Arc<AtomicUsize>);

impl Drops {
    pub fn token(&self) -> Token {
        Token(Arc::clone(&self.0))
    }

    pub fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

const ALONE: &str = "WEIR_TEST_ALONE";

/// Runs `body` in a process in which no other test runs, for tests that count descriptors, send
/// signals or end the process. `test` is the caller's full name, as `cargo test` prints it.
#[track_caller]
pub fn alone(test: &str, body: impl FnOnce()) {
    if std::env::var_os(ALONE).is_some() {
        return body();
    }
    let ended = start_alone(test).ended(Duration::from_secs(20));
    assert!(
        ended.status == Some(0) && ended.stdout.contains("1 passed"),
        "{test}, alone in a process:\n{}\n{}",
        ended.stdout,
        ended.stderr
    );
}

/// True inside of the process that [`start_alone`] made.
pub fn is_alone() -> bool {
    std::env::var_os(ALONE).is_some()
}

/// Starts this test binary again with one test, of which [`is_alone`] is then true.
#[track_caller]
pub fn start_alone(test: &str) -> Process {
    let this = std::env::current_exe().expect("a process knows its program");
    let mut command = Command::new(this);
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(ALONE, "1");
    Process::start(&mut command)
}

/// A child process that does not outlive its test.
pub struct Process {
    child: Child,
    hear: mpsc::Receiver<(usize, String)>,
}

/// How a child process ended.
pub struct Ended {
    /// Its exit status, `None` where a signal ended it.
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Process {
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let (tell, hear) = mpsc::channel();
        let outputs: [Option<Box<dyn Read + Send>>; 2] = [
            child.stdout.take().map(|pipe| Box::new(pipe) as _),
            child.stderr.take().map(|pipe| Box::new(pipe) as _),
        ];
        for (which, mut pipe) in outputs.into_iter().flatten().enumerate() {
            let tell = tell.clone();
            thread::spawn(move || {
                let mut bytes = Vec::new();
                let _ = pipe.read_to_end(&mut bytes);
                let _ = tell.send((which, String::from_utf8_lossy(&bytes).into_owned()));
            });
        }
        Self { child, hear }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end; a process that is not done by `limit` is killed and fails the test.
    #[track_caller]
    pub fn ended(mut self, limit: Duration) -> Ended {
        let until = Instant::now() + limit;
        let mut outputs = [String::new(), String::new()];
        for _ in 0..2 {
            let left = until.saturating_duration_since(Instant::now());
            match self.hear.recv_timeout(left) {
                Ok((which, text)) => outputs[which] = text,
                Err(_) => panic!("process {} is not done after {limit:?}", self.id()),
            }
        }
        let status = self.child.wait().expect("a child can be waited for").code();
        let [stdout, stderr] = outputs;
        Ended { status, stdout, stderr }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail where the process is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A path for a file or a Unix socket that is removed with the value.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("weir-{}-{number}-{name}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A source without a descriptor that tells everything that happens to it.
#[derive(Clone, Default)]
pub struct Recorder(Rc<RefCell<Vec<&'static str>>>);

impl Recorder {
    pub fn note(&self, what: &'static str) {
        self.0.borrow_mut().push(what);
    }

    pub fn take(&self) -> Vec<&'static str> {
        self.0.take()
    }
}

impl Source for Recorder {
    fn ready(&mut self, _: &mut EventLoop, _: SourceId, _: Ready) {
        self.note("ready");
    }

    fn due(&mut self, _: &mut EventLoop, _: SourceId) {
        self.note("due");
    }

    fn timer(&mut self, _: &mut EventLoop, _: SourceId, key: u32) {
        assert_eq!(key, 7);
        self.note("own timer");
    }

    fn drain(&mut self, _: &mut EventLoop, _: SourceId) {
        self.note("drain");
    }

    fn ended(&mut self, _: &mut EventLoop, _: SourceId) {
        self.note("ended");
    }
}

/// Starts a loop on a thread of its own; the returned value is its handle and what joins it.
pub fn elsewhere() -> (network::Handle, thread::JoinHandle<()>) {
    let (tell, hear) = mpsc::channel();
    let running = thread::spawn(move || {
        let el = EventLoop::new().unwrap();
        tell.send(el.handle()).unwrap();
        el.run();
    });
    (hear.recv().unwrap(), running)
}

/// Turns the loop until the peer's thread is done, and returns what it says.
pub fn until_done<T>(el: &mut EventLoop, peer: thread::JoinHandle<T>) -> T {
    run_until(el, crate::peers::LIMIT, || peer.is_finished());
    peer.join().unwrap()
}
