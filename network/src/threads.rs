//! Several loops, one per thread.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::event_loop::{EventLoop, LoopError};
use crate::handle::Handle;
use crate::sys;

/// Why the threads could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The system has no thread left.
    #[error("cannot start the thread of loop {index}: {error}")]
    Thread {
        /// Which loop.
        index: usize,
        /// What the system said.
        error: io::Error,
    },
    /// A loop could not be made.
    #[error("cannot make loop {index}: {error}")]
    Loop {
        /// Which loop.
        index: usize,
        /// Why.
        error: LoopError,
    },
    /// The thread could not be bound to its core.
    #[error("cannot pin loop {index} to core {core}: {error}")]
    Pin {
        /// Which loop.
        index: usize,
        /// Which core.
        core: usize,
        /// What the kernel said.
        error: io::Error,
    },
    /// What was to be set up on the loop failed.
    #[error("loop {index}: {error}")]
    Setup {
        /// Which loop.
        index: usize,
        /// What it said.
        error: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What [`Threads::start`] calls on each thread may fail with anything.
pub type SetupResult = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// Loops that run on threads of their own.
///
/// A panic on one of them is reported and ends the process: a server with one dead core and its
/// connections hanging is worse than one that is started anew.
pub struct Threads {
    handles: Vec<Handle>,
    joins: Vec<JoinHandle<()>>,
}

/// How many loops a machine runs by default: one per core that this process may use.
pub fn default_loops() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

impl Threads {
    /// Starts one loop for each of `items` (a [`crate::Bound`] listener each, as a rule) and calls
    /// `setup` on each loop's own thread with its index and its item. Returns when all are set up.
    /// With `cores`, loop i is pinned to the i-th of them, in rotation.
    ///
    /// # Errors
    /// The first thing that failed; the loops that had started are stopped again.
    pub fn start<T: Send + 'static>(
        items: Vec<T>,
        cores: Option<&[usize]>,
        setup: impl Fn(&mut EventLoop, usize, T) -> SetupResult + Send + Sync + 'static,
    ) -> Result<Self, StartError> {
        let setup = Arc::new(setup);
        let mut threads = Self { handles: Vec::new(), joins: Vec::new() };
        for (index, item) in items.into_iter().enumerate() {
            let setup = Arc::clone(&setup);
            let core = cores.and_then(|cores| cores.get(index % cores.len().max(1)).copied());
            let (told, hear) = mpsc::channel();
            let body = move || {
                let work = || match prepare(index, core, |el| setup(el, index, item)) {
                    Ok(el) => {
                        let _ = told.send(Ok(el.handle()));
                        el.run();
                    }
                    Err(error) => drop(told.send(Err(error))),
                };
                if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
                    end_process(index, &*panic);
                }
            };
            let thread = std::thread::Builder::new().name(format!("loop-{index}")).spawn(body);
            let started = match thread {
                Ok(join) => {
                    threads.joins.push(join);
                    // The sender is dropped unused only where the process is ending by a panic.
                    hear.recv().unwrap_or_else(|_| {
                        loop {
                            std::thread::park();
                        }
                    })
                }
                Err(error) => Err(StartError::Thread { index, error }),
            };
            match started {
                Ok(handle) => threads.handles.push(handle),
                Err(error) => {
                    threads.stop();
                    threads.join();
                    return Err(error);
                }
            }
        }
        Ok(threads)
    }

    /// The loops, in order.
    pub fn handles(&self) -> &[Handle] {
        &self.handles
    }

    /// Asks all loops to end after their current turn.
    pub fn stop(&self) {
        for handle in &self.handles {
            handle.stop();
        }
    }

    /// Asks all loops to end gracefully; see [`EventLoop::drain`].
    pub fn drain(&self, within: Duration) {
        for handle in &self.handles {
            // A loop that has ended has nothing left to drain.
            let _ = handle.post(move |el| el.drain(within));
        }
    }

    /// Waits until all loops have ended.
    pub fn join(self) {
        for join in self.joins {
            // A thread that panicked has ended the process before it could be joined.
            let _ = join.join();
        }
    }
}

fn prepare(
    index: usize,
    core: Option<usize>,
    setup: impl FnOnce(&mut EventLoop) -> SetupResult,
) -> Result<EventLoop, StartError> {
    if let Some(core) = core {
        sys::pin_to_core(core).map_err(|error| StartError::Pin { index, core, error })?;
    }
    let mut el = EventLoop::new().map_err(|error| StartError::Loop { index, error })?;
    setup(&mut el).map_err(|error| StartError::Setup { index, error })?;
    Ok(el)
}

/// Exit status after a panic on a loop; the one Rust's own main thread uses.
const PANICKED: i32 = 101;

fn end_process(index: usize, panic: &(dyn std::any::Any + Send)) -> ! {
    let what = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    tracing::error!(index, what, "a handler panicked; the process ends");
    eprintln!("loop {index}: a handler panicked ({what}); the process ends");
    std::process::exit(PANICKED);
}
