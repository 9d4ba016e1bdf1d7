//! Names to addresses, off the loops.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use crate::event_loop::EventLoop;
use crate::handle::Handle;
use crate::limits;

/// Why a name has no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// The name server says so, or does not answer.
    #[error("{host:?} does not resolve: {why}")]
    Unknown {
        /// The name.
        host: String,
        /// In the system's words.
        why: String,
    },
    /// Too many names are being looked up already.
    #[error("{0} names are being looked up already")]
    Busy(usize),
}

type Answer = Result<Arc<[IpAddr]>, ResolveError>;
/// A loop's callbacks by the number under which the answer comes back.
pub(crate) type Waiting = HashMap<u64, Then>;
pub(crate) type Then = Box<dyn FnOnce(&mut EventLoop, Answer)>;

struct Question {
    host: String,
    asked_by: Vec<(Handle, u64)>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<String>,
    /// Questions that are queued or being asked, by name: one look-up serves all who ask.
    open: HashMap<String, Question>,
    cache: HashMap<String, (Instant, Answer)>,
    threads: usize,
}

#[derive(Default)]
struct Resolver {
    state: Mutex<State>,
    asked: Condvar,
}

fn resolver() -> &'static Arc<Resolver> {
    static RESOLVER: OnceLock<Arc<Resolver>> = OnceLock::new();
    RESOLVER.get_or_init(Arc::default)
}

impl EventLoop {
    /// Looks a name up and calls `then` on this loop, not before the current handler has returned.
    /// Answers are remembered for a while, failures for a shorter one.
    pub fn resolve(
        &mut self,
        host: &str,
        port: u16,
        then: impl FnOnce(&mut EventLoop, Result<Vec<SocketAddr>, ResolveError>) + 'static,
    ) {
        let then = move |el: &mut EventLoop, answer: Answer| {
            let with_port =
                |ips: Arc<[IpAddr]>| ips.iter().map(|ip| SocketAddr::new(*ip, port)).collect();
            then(el, answer.map(with_port));
        };
        if let Ok(ip) = host.parse() {
            return self.defer(move |el| then(el, Ok(Arc::new([ip]))));
        }
        if self.waits_for_names() >= limits::RESOLVER_WAITING {
            return self.defer(|el| then(el, Err(ResolveError::Busy(limits::RESOLVER_WAITING))));
        }
        let resolver = resolver();
        let mut state = resolver.lock();
        if let Some(answer) = state.remembered(host, Instant::now()) {
            return self.defer(move |el| then(el, answer));
        }
        // One more who asks for a name that is being looked up costs no look-up.
        if state.open.len() >= limits::RESOLVER_QUEUE && !state.open.contains_key(host) {
            return self.defer(|el| then(el, Err(ResolveError::Busy(limits::RESOLVER_QUEUE))));
        }
        if state.threads < limits::RESOLVER_THREADS {
            let worker = Arc::clone(resolver);
            let thread = std::thread::Builder::new().name("resolver".into());
            match thread.spawn(move || worker.work()) {
                Ok(_) => state.threads += 1,
                Err(error) if state.threads == 0 => {
                    // Nobody would ever answer.
                    let why = format!("no thread for the look-up: {error}");
                    let answer = Err(ResolveError::Unknown { host: host.to_owned(), why });
                    return self.defer(|el| then(el, answer));
                }
                Err(error) => tracing::warn!(%error, "only one thread for name look-ups"),
            }
        }
        let number = self.wait_for_name(Box::new(then));
        state.ask(host, self.handle(), number);
        drop(state);
        resolver.asked.notify_one();
    }
}

impl State {
    fn remembered(&mut self, host: &str, now: Instant) -> Option<Answer> {
        let (until, answer) = self.cache.get(host)?;
        (now < *until).then(|| answer.clone())
    }

    fn ask(&mut self, host: &str, handle: Handle, number: u64) {
        let question = self.open.entry(host.to_owned()).or_insert_with(|| {
            self.queue.push_back(host.to_owned());
            Question { host: host.to_owned(), asked_by: Vec::new() }
        });
        question.asked_by.push((handle, number));
    }

    fn remember(&mut self, host: &str, answer: &Answer, now: Instant) {
        if self.cache.len() >= limits::RESOLVER_CACHE {
            self.cache.retain(|_, (until, _)| now < *until);
        }
        if self.cache.len() >= limits::RESOLVER_CACHE {
            let oldest = self.cache.iter().min_by_key(|(_, (until, _))| *until);
            if let Some(oldest) = oldest.map(|(host, _)| host.clone()) {
                self.cache.remove(&oldest);
            }
        }
        let time: Duration =
            if answer.is_ok() { limits::RESOLVED_FOR } else { limits::UNRESOLVED_FOR };
        self.cache.insert(host.to_owned(), (now + time, answer.clone()));
    }
}

impl Resolver {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) -> ! {
        let mut state = self.lock();
        loop {
            let Some(host) = state.queue.pop_front() else {
                state = self.asked.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(state);
            let answer = look_up(&host);
            state = self.lock();
            state.remember(&host, &answer, Instant::now());
            let question = state.open.remove(&host);
            drop(state);
            if let Some(question) = question {
                question.tell(&answer);
            }
            state = self.lock();
        }
    }
}

impl Question {
    fn tell(self, answer: &Answer) {
        tracing::debug!(host = %self.host, ?answer, "looked up");
        for (handle, number) in self.asked_by {
            let answer = answer.clone();
            // A loop that has ended no longer waits.
            let _ = handle.post(move |el| {
                if let Some(then) = el.answer_name(number) {
                    then(el, answer);
                }
            });
        }
    }
}

fn look_up(host: &str) -> Answer {
    let unknown = |why: String| ResolveError::Unknown { host: host.to_owned(), why };
    let found = (host, 0).to_socket_addrs().map_err(|error| unknown(error.to_string()))?;
    let mut ips: Vec<IpAddr> = Vec::new();
    for address in found.take(limits::ADDRESSES_PER_NAME) {
        if !ips.contains(&address.ip()) {
            ips.push(address.ip());
        }
    }
    if ips.is_empty() { Err(unknown("it has no address".into())) } else { Ok(ips.into()) }
}
