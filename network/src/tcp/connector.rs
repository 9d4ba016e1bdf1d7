//! Making connections.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

use super::connection::Detached;
use super::{Backoff, Endpoint, Handler, Options};
use crate::event_loop::{EventLoop, Interest, Ready, Source, SourceId};
use crate::resolve::ResolveError;
use crate::timer::Timer;
use crate::tls::{TlsClient, TlsError};
use crate::{limits, sys};

/// Whom to call, and how patiently.
#[derive(Clone, Debug)]
pub struct Connect {
    endpoint: Endpoint,
    timeout: Duration,
    attempts: Option<u32>,
    backoff: Backoff,
    options: Options,
    from: Option<SocketAddr>,
    tls: Option<(TlsClient, Option<String>)>,
}

impl Connect {
    /// One attempt with the default timeout.
    pub fn to(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            timeout: limits::CONNECT_TIMEOUT,
            attempts: Some(1),
            backoff: Backoff::default(),
            options: Options::default(),
            from: None,
            tls: None,
        }
    }

    /// How long each address of an attempt may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How often to try; `None` is for ever. All addresses of a name together are one attempt.
    #[must_use]
    pub fn attempts(mut self, attempts: Option<u32>) -> Self {
        self.attempts = attempts;
        self
    }

    /// The pauses between attempts.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Options of the connection.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// This side's address.
    #[must_use]
    pub fn from(mut self, address: SocketAddr) -> Self {
        self.from = Some(address);
        self
    }

    /// Speaks TLS. The peer has to prove that it is `name`, or the endpoint's own host where `None`.
    #[must_use]
    pub fn tls(mut self, tls: TlsClient, name: Option<String>) -> Self {
        self.tls = Some((tls, name));
        self
    }

    fn tls_name(&self) -> Option<String> {
        let (_, name) = self.tls.as_ref()?;
        Some(match (&self.endpoint, name) {
            (_, Some(name)) => name.clone(),
            (Endpoint::Ip(address), None) => address.ip().to_string(),
            (Endpoint::Name(host, _), None) => host.clone(),
            (Endpoint::Unix(_), None) => "localhost".into(),
        })
    }
}

/// A connection that has just been made, before it has a handler.
#[derive(Clone, Copy, Debug)]
pub struct Connected {
    /// The peer's address; a Unix peer has none.
    pub peer: Option<SocketAddr>,
    /// How many attempts it took.
    pub attempts: u32,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[error("cannot connect to {endpoint}: {cause}{}", tries(*attempts))]
pub struct ConnectError {
    /// Who was called.
    pub endpoint: Endpoint,
    /// How often.
    pub attempts: u32,
    /// What went wrong the last time.
    pub cause: ConnectCause,
}

fn tries(attempts: u32) -> String {
    if attempts > 1 { format!(" (after {attempts} attempts)") } else { String::new() }
}

/// What went wrong with an attempt.
#[derive(Debug, thiserror::Error)]
pub enum ConnectCause {
    /// The name has no address.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The peer or the kernel refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Nobody answered in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// TLS cannot be used with this peer.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

type Then =
    Box<dyn FnOnce(&mut EventLoop, Result<Connected, ConnectError>) -> Option<Box<dyn Handler>>>;

/// What all attempts of one call share.
struct Job {
    connect: Connect,
    backoff: Backoff,
    made: u32,
    addresses: VecDeque<SockAddr>,
    then: Option<Then>,
    at_work: AtWork,
}

enum AtWork {
    Resolving,
    Calling(SourceId, Timer),
    Waiting(Timer),
    Done,
}

/// A call under way. Dropping it lets the call go on.
pub struct Connecting(Rc<RefCell<Job>>);

impl Connecting {
    /// Gives up; nothing is called. Without effect once the call has ended.
    pub fn cancel(self, el: &mut EventLoop) {
        let (work, then) = {
            let mut job = self.0.borrow_mut();
            (std::mem::replace(&mut job.at_work, AtWork::Done), job.then.take())
        };
        match work {
            AtWork::Calling(id, timer) => {
                el.remove(id);
                el.cancel(timer);
            }
            AtWork::Waiting(timer) => drop(el.cancel(timer)),
            AtWork::Resolving | AtWork::Done => {}
        }
        drop(then);
    }
}

impl EventLoop {
    /// Connects, and calls `then` once with the outcome, never before this returns, and not at all
    /// where the call is cancelled or the loop drains or ends before. The handler it gives gets the
    /// connection; `None` closes it.
    pub fn connect(
        &mut self,
        connect: Connect,
        then: impl FnOnce(&mut EventLoop, Result<Connected, ConnectError>) -> Option<Box<dyn Handler>>
        + 'static,
    ) -> Connecting {
        let job = Rc::new(RefCell::new(Job {
            backoff: connect.backoff,
            connect,
            made: 0,
            addresses: VecDeque::new(),
            then: Some(Box::new(then)),
            at_work: AtWork::Resolving,
        }));
        let task = Rc::clone(&job);
        self.defer(move |el| attempt(el, &task));
        Connecting(job)
    }
}

/// Finds the addresses to try, then tries the first.
fn attempt(el: &mut EventLoop, job: &Rc<RefCell<Job>>) {
    let mut this = job.borrow_mut();
    if this.then.is_none() {
        return;
    }
    this.made = this.made.saturating_add(1);
    this.at_work = AtWork::Resolving;
    match this.connect.endpoint.clone() {
        Endpoint::Ip(address) => this.addresses = [address.into()].into(),
        Endpoint::Unix(path) => match SockAddr::unix(path) {
            Ok(address) => this.addresses = [address].into(),
            Err(error) => {
                drop(this);
                return failed(el, job, error.into());
            }
        },
        Endpoint::Name(host, port) => {
            drop(this);
            let job = Rc::clone(job);
            return el.resolve(&host, port, move |el, found| match found {
                Ok(found) => {
                    job.borrow_mut().addresses = found.into_iter().map(SockAddr::from).collect();
                    call_next(el, &job, ConnectCause::Io(io::ErrorKind::NotFound.into()));
                }
                Err(error) => failed(el, &job, error.into()),
            });
        }
    }
    drop(this);
    call_next(el, job, ConnectCause::Io(io::ErrorKind::NotFound.into()));
}

/// Calls the next address of the attempt; without one the attempt has failed because of `last`.
fn call_next(el: &mut EventLoop, job: &Rc<RefCell<Job>>, mut last: ConnectCause) {
    loop {
        let mut this = job.borrow_mut();
        if this.then.is_none() {
            return;
        }
        let Some(address) = this.addresses.pop_front() else {
            drop(this);
            return failed(el, job, last);
        };
        let called = call(&address, &this.connect).and_then(|socket| {
            let id = el.reserve(socket.as_fd(), Interest::READABLE | Interest::WRITABLE)?;
            Ok((id, socket))
        });
        match called {
            Ok((id, socket)) => {
                let timer = el.start_timer(id, this.connect.timeout, 0);
                this.at_work = AtWork::Calling(id, timer);
                let (job, began) = (Rc::clone(job), Instant::now());
                drop(this);
                el.fill(id, Box::new(Calling { socket: Some(socket), job, began, timer }));
                return;
            }
            Err(error) => last = error.into(),
        }
    }
}

fn call(address: &SockAddr, connect: &Connect) -> io::Result<OwnedFd> {
    let socket = Socket::new(address.domain(), Type::STREAM.nonblocking().cloexec(), None)?;
    connect.options.apply(socket.as_fd(), address.domain() != Domain::UNIX)?;
    if let Some(from) = connect.from {
        if from.port() == 0 {
            // The port is chosen when the peer is known, so that the same one serves several peers.
            // Where the kernel cannot wait it chooses now.
            let option = libc::IP_BIND_ADDRESS_NO_PORT;
            let _ = sys::set_option(socket.as_fd(), libc::IPPROTO_IP, option, 1);
        }
        socket.bind(&from.into())?;
    }
    match socket.connect(address) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
        Err(error) => return Err(error),
    }
    Ok(socket.into())
}

/// The attempt failed: waits for the next, or tells the caller.
fn failed(el: &mut EventLoop, job: &Rc<RefCell<Job>>, cause: ConnectCause) {
    let mut this = job.borrow_mut();
    if this.then.is_none() {
        return;
    }
    if this.connect.attempts.is_none_or(|most| this.made < most) {
        let random = el.random();
        let pause = this.backoff.next_pause(random);
        tracing::debug!(endpoint = %this.connect.endpoint, %cause, ?pause, "trying again");
        let again = Rc::clone(job);
        this.at_work = AtWork::Waiting(el.after(pause, move |el| attempt(el, &again)));
        return;
    }
    this.at_work = AtWork::Done;
    let error =
        ConnectError { endpoint: this.connect.endpoint.clone(), attempts: this.made, cause };
    let then = this.then.take();
    drop(this);
    if let Some(then) = then {
        then(el, Err(error));
    }
}

/// A socket whose connect is under way.
struct Calling {
    socket: Option<OwnedFd>,
    job: Rc<RefCell<Job>>,
    began: Instant,
    timer: Timer,
}

impl Source for Calling {
    fn ready(&mut self, el: &mut EventLoop, id: SourceId, ready: Ready) {
        let Some(socket) = self.socket.take() else { return };
        let known = socket2::SockRef::from(&socket);
        let mut error = known.take_error().unwrap_or_else(Some);
        let peer = known.peer_addr();
        if error.is_none() && peer.is_err() {
            if !ready.contains(Ready::ERROR) {
                // A fresh socket reports itself hung up before its connect has begun.
                self.socket = Some(socket);
                return;
            }
            error = Some(io::ErrorKind::NotConnected.into());
        }
        // A call to a local port that nobody serves may get that very port as its own and be answered
        // by itself.
        if peer.is_ok_and(|peer| {
            peer.as_socket().is_some() && known.local_addr().is_ok_and(|ours| ours == peer)
        }) {
            error = Some(io::ErrorKind::ConnectionRefused.into());
        }
        el.remove(id);
        el.cancel(self.timer);
        match error {
            Some(error) => {
                // Closed before the next call, which may need its place.
                drop(socket);
                call_next(el, &self.job, error.into());
            }
            None => established(el, &self.job, socket),
        }
    }

    fn timer(&mut self, el: &mut EventLoop, id: SourceId, _: u32) {
        self.socket = None;
        el.remove(id);
        call_next(el, &self.job, ConnectCause::TimedOut(self.began.elapsed()));
    }
}

fn established(el: &mut EventLoop, job: &Rc<RefCell<Job>>, socket: OwnedFd) {
    let peer = socket2::SockRef::from(&socket).peer_addr().ok().and_then(|peer| peer.as_socket());
    let (connect, made) = {
        let job = job.borrow();
        (job.connect.clone(), job.made)
    };
    let mut detached = Detached::accepted(socket, peer, connect.options.clone());
    if let Some((tls, _)) = &connect.tls {
        match tls.channel(&connect.tls_name().unwrap_or_default()) {
            Ok(channel) => detached.tls = Some(Box::new(channel)),
            Err(error) => return failed(el, job, error.into()),
        }
    }
    let then = {
        let mut job = job.borrow_mut();
        job.at_work = AtWork::Done;
        job.then.take()
    };
    let Some(then) = then else { return };
    if let Err(error) = el.unwatch(detached.fd.as_fd()) {
        tracing::debug!(%error, "a connected socket was not watched");
    }
    if let Some(handler) = then(el, Ok(Connected { peer, attempts: made }))
        && let Err(error) = el.adopt(detached, handler)
    {
        tracing::warn!(%error, "the kernel refuses to watch a connection; it is closed");
    }
}
