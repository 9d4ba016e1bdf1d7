//! Log lines to stderr, by a thread of their own: a terminal that is held, or a pipe that nobody reads,
//! must not hold a loop.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tracing_subscriber::fmt::MakeWriter;

/// Lines that wait for stderr; one more is dropped and counted.
const LINES: usize = 16 * 1024;
/// How long the end of the program waits for stderr to take what is left.
const PATIENCE: Duration = Duration::from_secs(1);

/// Gives lines to the thread that writes them.
#[derive(Clone)]
pub struct Log {
    lines: Arc<Mutex<Option<SyncSender<Vec<u8>>>>>,
    dropped: Arc<AtomicU64>,
}

/// One line on its way.
pub struct Line<'a> {
    log: &'a Log,
    bytes: Vec<u8>,
}

/// Ends the log with the program: what was said before is written, if stderr takes it.
pub struct Ending {
    log: Log,
    writer: Option<JoinHandle<()>>,
}

impl Log {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start() -> io::Result<(Self, Ending)> {
        let (tell, lines) = sync_channel(LINES);
        let dropped = Arc::new(AtomicU64::new(0));
        let log = Self { lines: Arc::new(Mutex::new(Some(tell))), dropped: Arc::clone(&dropped) };
        let writer = std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write(&lines, &dropped))?;
        Ok((log.clone(), Ending { log, writer: Some(writer) }))
    }

    fn send(&self, line: Vec<u8>) {
        // Held for no longer than it takes to queue a line.
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        match lines.as_ref().map(|lines| lines.try_send(line)) {
            Some(Err(TrySendError::Full(_))) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
            // After the end nobody listens.
            Some(Ok(()) | Err(TrySendError::Disconnected(_))) | None => {}
        }
    }
}

fn write(lines: &Receiver<Vec<u8>>, dropped: &AtomicU64) {
    let mut stderr = io::stderr();
    while let Ok(line) = lines.recv() {
        // Where stderr is gone there is nobody to tell.
        let _ = stderr.write_all(&line);
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let _ = writeln!(stderr, "{lost} log lines are lost: stderr did not take them in time");
        }
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { log: self, bytes: Vec::new() }
    }
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        self.log.send(std::mem::take(&mut self.bytes));
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.log.lines.lock().unwrap_or_else(PoisonError::into_inner).take();
        let until = Instant::now() + PATIENCE;
        while self.writer.as_ref().is_some_and(|writer| !writer.is_finished()) {
            if Instant::now() > until {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
