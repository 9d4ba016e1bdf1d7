//! Accepting connections.

use std::cell::Cell;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use socket2::{Domain, SockAddr, Socket, Type};

use super::connection::Detached;
use super::{Endpoint, Handler, Limiter, Options};
use crate::event_loop::{EventLoop, Interest, Ready, Source, SourceId};
use crate::handle::Handle;
use crate::tls::TlsServer;
use crate::{limits, sys};

/// Where and how to listen.
///
/// ```
/// # use network::{EventLoop, Listen, Handler, Connection};
/// struct Echo;
/// impl Handler for Echo {
///     fn received(&mut self, conn: &mut Connection, _: &mut EventLoop, input: &[u8]) -> usize {
///         conn.send_now(input);
///         input.len()
///     }
/// }
/// let mut el = EventLoop::new()?;
/// let bound = Listen::on("127.0.0.1:0".parse()?).bind()?;
/// el.accept_on(bound, |_, _| Some(Box::new(Echo)))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Listen {
    endpoint: Endpoint,
    backlog: i32,
    options: Options,
    limiter: Option<Limiter>,
    refusal: Bytes,
    tls: Option<TlsServer>,
    while_draining: bool,
}

/// Why nobody can be accepted there.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {endpoint}: {error}{hint}")]
pub struct ListenError {
    endpoint: Endpoint,
    error: io::Error,
    hint: &'static str,
}

impl ListenError {
    /// What the kernel said.
    pub fn io(&self) -> &io::Error {
        &self.error
    }
}

impl Listen {
    /// Listens on an endpoint with the default options.
    pub fn on(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            backlog: limits::BACKLOG,
            options: Options::default(),
            limiter: None,
            refusal: Bytes::new(),
            tls: None,
            while_draining: false,
        }
    }

    /// Length of the kernel's queue of connections not yet accepted.
    #[must_use]
    pub fn backlog(mut self, backlog: i32) -> Self {
        self.backlog = backlog;
        self
    }

    /// Options of all connections accepted here.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Bounds the number of connections; shared with every listener that has the same limiter. One
    /// more is told `refusal` (an HTTP 503, or nothing) and closed.
    #[must_use]
    pub fn limit(mut self, limiter: Limiter, refusal: Bytes) -> Self {
        self.limiter = Some(limiter);
        self.refusal = refusal;
        self
    }

    /// All connections accepted here speak TLS.
    #[must_use]
    pub fn tls(mut self, tls: TlsServer) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Goes on accepting while the loop drains, so that who comes can be told that it does. The drain
    /// waits neither for the listener nor for who came that late: what they are in the middle of ends
    /// with the loop.
    #[must_use]
    pub fn while_draining(mut self) -> Self {
        self.while_draining = true;
        self
    }

    /// Binds one listening socket.
    ///
    /// # Errors
    /// The address is taken, not of this machine, or not allowed.
    pub fn bind(&self) -> Result<Bound, ListenError> {
        self.bound(&self.endpoint, false)
    }

    /// Binds one listening socket for each of `count` loops; the kernel spreads the connections over
    /// them (`SO_REUSEPORT`). With port 0 all get the same free port.
    ///
    /// # Errors
    /// As [`Listen::bind`]. Another process on the address is an error although `SO_REUSEPORT` would
    /// let two of them share it: two servers on one port are nearly always a mistake.
    pub fn bind_each(&self, count: usize) -> Result<Vec<Bound>, ListenError> {
        if count <= 1 || matches!(self.endpoint, Endpoint::Unix(_)) {
            return Ok(vec![self.bind()?]);
        }
        drop(self.bind()?);
        let first = self.bound(&self.endpoint, true)?;
        let endpoint = first.endpoint.clone();
        let mut all = vec![first];
        while all.len() < count {
            all.push(self.bound(&endpoint, true)?);
        }
        Ok(all)
    }

    fn bound(&self, endpoint: &Endpoint, reuse_port: bool) -> Result<Bound, ListenError> {
        let failed = |error: io::Error| {
            let hint = match error.kind() {
                io::ErrorKind::AddrInUse => "; another process listens there",
                io::ErrorKind::PermissionDenied => "; ports below 1024 need a privilege",
                io::ErrorKind::AddrNotAvailable => "; this machine has no such address",
                _ => "",
            };
            ListenError { endpoint: endpoint.clone(), error, hint }
        };
        let address = match endpoint {
            Endpoint::Ip(address) => SockAddr::from(without_v6(*address)),
            Endpoint::Unix(path) => {
                remove_dead_socket(path);
                SockAddr::unix(path).map_err(failed)?
            }
            Endpoint::Name(..) => {
                let error = io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "one listens on an address, not on a name",
                );
                return Err(failed(error));
            }
        };
        let open = || -> io::Result<Bound> {
            let kind = Type::STREAM.nonblocking().cloexec();
            let socket = Socket::new(address.domain(), kind, None)?;
            if address.domain() == Domain::IPV6 {
                // `[::]` serves IPv4 too, whatever the system's default.
                socket.set_only_v6(false)?;
            }
            let tcp = address.domain() != Domain::UNIX;
            if tcp {
                socket.set_reuse_address(true)?;
                socket.set_reuse_port(reuse_port)?;
            }
            self.options.apply(socket.as_fd(), tcp)?;
            socket.bind(&address)?;
            socket.listen(self.backlog)?;
            let local = socket.local_addr()?.as_socket();
            let file = match endpoint {
                Endpoint::Unix(path) => file_id(path),
                _ => None,
            };
            Ok(Bound {
                fd: socket.into(),
                file,
                endpoint: local.map_or_else(|| endpoint.clone(), Endpoint::Ip),
                listen: self.clone(),
            })
        };
        open().map_err(failed)
    }
}

/// "All addresses" means all IPv4 addresses on a machine without IPv6.
fn without_v6(address: SocketAddr) -> SocketAddr {
    let all = address.is_ipv6() && address.ip().is_unspecified();
    let none = || {
        Socket::new(Domain::IPV6, Type::STREAM, None)
            .is_err_and(|error| error.raw_os_error() == Some(libc::EAFNOSUPPORT))
    };
    if all && none() { (Ipv4Addr::UNSPECIFIED, address.port()).into() } else { address }
}

/// A socket file whose server is gone keeps its name; nobody answers there.
fn remove_dead_socket(path: &std::path::Path) {
    use std::os::unix::fs::FileTypeExt;
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
    // Without waiting: a server whose queue is full is alive.
    let call = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
        socket.connect(&SockAddr::unix(path)?)
    };
    if is_socket && call().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
        // Where it cannot be removed, the bind that follows says so.
        let _ = std::fs::remove_file(path);
    }
}

/// A listening socket that is not on a loop yet. `Send`: bind before the threads start, so that a taken
/// port is an error of the program's start and not of one of its loops.
#[derive(Debug)]
pub struct Bound {
    fd: OwnedFd,
    endpoint: Endpoint,
    /// The socket's file, where it has one: it goes with the socket.
    file: Option<(u64, u64)>,
    listen: Listen,
}

impl Bound {
    /// Where it listens; with the port the kernel chose, if it was asked to.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The address, where it is not a Unix socket.
    pub fn address(&self) -> Option<SocketAddr> {
        match self.endpoint {
            Endpoint::Ip(address) => Some(address),
            _ => None,
        }
    }
}

/// A connection that has just come in, before it has a handler.
#[derive(Clone, Copy, Debug)]
pub struct Accepted {
    /// The peer's address; a Unix peer has none.
    pub peer: Option<SocketAddr>,
}

/// Which loop gets a connection that one acceptor takes in for several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// One after the other.
    RoundRobin,
    /// The one with the fewest connections.
    LeastLoaded,
    /// The same one for all connections of an address.
    BySource,
}

type Factory = Box<dyn FnMut(&mut EventLoop, &Accepted) -> Option<Box<dyn Handler>>>;
type SharedFactory =
    Arc<dyn Fn(&mut EventLoop, &Accepted) -> Option<Box<dyn Handler>> + Send + Sync>;

/// To whom accepted connections go.
enum Take {
    Here(Factory),
    There { loops: Vec<Place>, placement: Placement, next: usize, make: SharedFactory },
}

/// One of the loops that get connections.
struct Place {
    handle: Handle,
    /// Connections posted to it that it has not taken in yet.
    under_way: Arc<AtomicUsize>,
}

impl Place {
    fn load(&self) -> usize {
        self.handle.connections() + self.under_way.load(Ordering::Relaxed)
    }
}

/// Counts a connection on its way to a loop; dropped where it has arrived, or never will.
struct UnderWay(Arc<AtomicUsize>);

impl UnderWay {
    fn to(place: &Place) -> Self {
        place.under_way.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&place.under_way))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

thread_local! {
    /// The listener of this thread that is making a handler, and whether it is paused: it is lent out
    /// at that time, so that nobody finds it on the loop.
    static ACCEPTING: Cell<Option<(SourceId, bool)>> = const { Cell::new(None) };
}

/// A listening socket on a loop.
pub(crate) struct Listener {
    bound: Bound,
    options: Rc<Options>,
    take: Take,
    /// Closed by its owner for now.
    paused: bool,
    /// Out of descriptors for now; a timer runs.
    starved: bool,
    /// Told once per shortage, not once per attempt.
    shortage_told: bool,
}

impl EventLoop {
    /// Accepts connections on this loop. `make` gives each its handler, or `None` to close it.
    ///
    /// # Errors
    /// The kernel refuses to watch the socket.
    pub fn accept_on(
        &mut self,
        bound: Bound,
        make: impl FnMut(&mut EventLoop, &Accepted) -> Option<Box<dyn Handler>> + 'static,
    ) -> io::Result<SourceId> {
        self.add_listener(bound, Take::Here(Box::new(make)))
    }

    /// Accepts connections on this loop and hands them to others. `make` runs on the loop that gets
    /// the connection.
    ///
    /// # Errors
    /// The kernel refuses to watch the socket.
    pub fn accept_for(
        &mut self,
        bound: Bound,
        loops: Vec<Handle>,
        placement: Placement,
        make: impl Fn(&mut EventLoop, &Accepted) -> Option<Box<dyn Handler>> + Send + Sync + 'static,
    ) -> io::Result<SourceId> {
        let make: SharedFactory = Arc::new(make);
        let place = |handle| Place { handle, under_way: Arc::default() };
        let loops = loops.into_iter().map(place).collect();
        self.add_listener(bound, Take::There { loops, placement, next: 0, make })
    }

    fn add_listener(&mut self, bound: Bound, take: Take) -> io::Result<SourceId> {
        let id = self.reserve(bound.fd.as_fd(), Interest::READABLE)?;
        let options = Rc::new(bound.listen.options.clone());
        let listener =
            Listener { bound, options, take, paused: false, starved: false, shortage_told: false };
        self.fill(id, Box::new(listener));
        Ok(id)
    }

    /// Stops accepting on a listener; who calls waits in the kernel's queue. False where it is gone.
    pub fn pause_accepting(&mut self, listener: SourceId) -> bool {
        self.set_paused(listener, true)
    }

    /// Accepts again.
    pub fn resume_accepting(&mut self, listener: SourceId) -> bool {
        let known = self.set_paused(listener, false);
        if known {
            self.again(listener, Ready::READABLE);
        }
        known
    }

    fn set_paused(&mut self, id: SourceId, paused: bool) -> bool {
        if ACCEPTING.get().is_some_and(|(accepting, _)| accepting == id) {
            ACCEPTING.set(Some((id, paused)));
            return self.contains(id);
        }
        let mut known = false;
        self.with_source(id, |source, _, _| {
            if let Some(listener) = source.listener() {
                listener.paused = paused;
                known = true;
            }
        });
        known
    }
}

impl Source for Listener {
    fn ready(&mut self, el: &mut EventLoop, id: SourceId, _: Ready) {
        for _ in 0..limits::ACCEPT_BATCH {
            if self.paused || self.starved || !el.contains(id) {
                return;
            }
            match sys::accept(self.bound.fd.as_fd()) {
                Ok((fd, peer)) => {
                    self.shortage_told = false;
                    ACCEPTING.set(Some((id, self.paused)));
                    self.accepted(el, fd, peer);
                    self.paused = ACCEPTING.take().is_some_and(|(_, paused)| paused);
                }
                Err(error) => match error.raw_os_error() {
                    Some(libc::EAGAIN) => return,
                    // The connection that was about to be accepted is gone or broken; the next may
                    // be well.
                    Some(
                        libc::EINTR
                        | libc::ECONNABORTED
                        | libc::EPERM
                        | libc::EPROTO
                        | libc::ENOPROTOOPT
                        | libc::ENETDOWN
                        | libc::ENETUNREACH
                        | libc::ENONET
                        | libc::EHOSTDOWN
                        | libc::EHOSTUNREACH
                        | libc::ETIMEDOUT,
                    ) => {}
                    // Out of descriptors or memory, as a rule: asked at once it would be the same.
                    _ => {
                        self.starved = true;
                        el.start_timer(id, limits::ACCEPT_PAUSE, 0);
                        if !std::mem::replace(&mut self.shortage_told, true) {
                            tracing::warn!(
                                listener = %self.bound.endpoint, %error,
                                "cannot accept for now; with too many files open, raise the limit"
                            );
                        }
                        return;
                    }
                },
            }
        }
        el.again(id, Ready::READABLE);
    }

    fn timer(&mut self, el: &mut EventLoop, id: SourceId, _: u32) {
        self.starved = false;
        self.ready(el, id, Ready::READABLE);
    }

    fn drain(&mut self, el: &mut EventLoop, id: SourceId) {
        if self.bound.listen.while_draining {
            el.ends_without(id);
        } else {
            el.remove(id);
        }
    }

    fn listener(&mut self) -> Option<&mut Listener> {
        Some(self)
    }
}

impl Listener {
    fn accepted(&mut self, el: &mut EventLoop, fd: OwnedFd, peer: Option<SocketAddr>) {
        let listen = &self.bound.listen;
        let pass = match listen.limiter.as_ref().map(|l| l.admit(peer.map(|peer| peer.ip()))) {
            None => None,
            Some(Ok(pass)) => Some(pass),
            Some(Err(refusal)) => {
                tracing::debug!(listener = %self.bound.endpoint, ?peer, %refusal, "refused");
                // A TLS peer would take plain words for a broken handshake.
                let words = if listen.tls.is_some() { &[] } else { &listen.refusal[..] };
                return refuse(el, &fd, words);
            }
        };
        let mut detached = Detached::accepted(fd, peer, Options::default());
        detached.pass = pass;
        detached.while_draining = listen.while_draining;
        if let Some(tls) = &listen.tls {
            match tls.channel() {
                Ok(channel) => detached.tls = Some(Box::new(channel)),
                Err(error) => {
                    tracing::warn!(listener = %self.bound.endpoint, %error, "no TLS session");
                    return;
                }
            }
        }
        let accepted = Accepted { peer };
        match &mut self.take {
            Take::Here(make) => {
                if let Some(handler) = make(el, &accepted) {
                    report(el.adopt_with(detached, Rc::clone(&self.options), handler));
                }
            }
            Take::There { loops, placement, next, make } => {
                let Some(place) = choose(loops, *placement, next, peer) else { return };
                detached.options = (*self.options).clone();
                let make = Arc::clone(make);
                let under_way = UnderWay::to(place);
                // A loop that has ended drops the task and with it the connection.
                let _ = place.handle.post(move |el| {
                    if let Some(handler) = make(el, &accepted) {
                        report(el.adopt(detached, handler));
                    }
                    drop(under_way);
                });
            }
        }
    }
}

fn report(adopted: io::Result<SourceId>) {
    if let Err(error) = adopted {
        tracing::warn!(%error, "the kernel refuses to watch an accepted connection; it is closed");
    }
}

fn choose<'a>(
    loops: &'a [Place],
    placement: Placement,
    next: &mut usize,
    peer: Option<SocketAddr>,
) -> Option<&'a Place> {
    match (placement, peer) {
        (Placement::LeastLoaded, _) => loops.iter().min_by_key(|place| place.load()),
        (Placement::BySource, Some(peer)) => {
            use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
            // Without a random seed, so that an address keeps its loop.
            let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(peer.ip());
            loops.get(hash as usize % loops.len().max(1))
        }
        (Placement::RoundRobin | Placement::BySource, _) => {
            let chosen = loops.get(*next % loops.len().max(1));
            *next = next.wrapping_add(1);
            chosen
        }
    }
}

/// Tells one more than the limit so, without keeping it: what the socket does not take is lost.
fn refuse(el: &mut EventLoop, fd: &OwnedFd, words: &[u8]) {
    if words.is_empty() {
        return;
    }
    let _ = sys::send(fd.as_fd(), words);
    // A close with unread input would reset the connection and take the words with it.
    let _ = sys::recv(fd.as_fd(), &mut el.input);
    let _ = socket2::SockRef::from(fd).shutdown(std::net::Shutdown::Write);
}

impl Drop for Bound {
    fn drop(&mut self) {
        if let Endpoint::Unix(path) = &self.endpoint
            && self.file.is_some()
            && file_id(path) == self.file
        {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Tells a file from another one that has got its name since.
fn file_id(path: &std::path::Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::symlink_metadata(path).ok()?;
    Some((meta.dev(), meta.ino()))
}
