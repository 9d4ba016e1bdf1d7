//! Handlers made of closures, and peers over real sockets.

use std::cell::{Cell, RefCell};
use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use network::{
    Accepted, CloseReason, Connection, Detached, EventLoop, Handler, Listen, Options, SourceId,
};

/// No test waits longer than this for one thing.
pub const LIMIT: Duration = Duration::from_secs(5);

type Act = Box<dyn FnMut(&mut Connection, &mut EventLoop)>;
type ActOnBytes = Box<dyn FnMut(&mut Connection, &mut EventLoop, &[u8]) -> usize>;
type ActOnClose = Box<dyn FnMut(&mut Connection, &mut EventLoop, &CloseReason)>;
type ActOnKey = Box<dyn FnMut(&mut Connection, &mut EventLoop, u32)>;

/// A handler whose methods are closures; what has none does what [`Handler`] does by itself, and input
/// is discarded.
#[derive(Default)]
pub struct Acts {
    opened: Option<Act>,
    received: Option<ActOnBytes>,
    ended: Option<ActOnBytes>,
    congested: Option<Act>,
    writable: Option<Act>,
    due: Option<Act>,
    timer: Option<ActOnKey>,
    closed: Option<ActOnClose>,
}

impl Acts {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn opened(mut self, act: impl FnMut(&mut Connection, &mut EventLoop) + 'static) -> Self {
        self.opened = Some(Box::new(act));
        self
    }

    pub fn received(
        mut self,
        act: impl FnMut(&mut Connection, &mut EventLoop, &[u8]) -> usize + 'static,
    ) -> Self {
        self.received = Some(Box::new(act));
        self
    }

    pub fn ended(
        mut self,
        mut act: impl FnMut(&mut Connection, &mut EventLoop, &[u8]) + 'static,
    ) -> Self {
        self.ended = Some(Box::new(move |conn, el, bytes| {
            act(conn, el, bytes);
            0
        }));
        self
    }

    pub fn congested(mut self, act: impl FnMut(&mut Connection, &mut EventLoop) + 'static) -> Self {
        self.congested = Some(Box::new(act));
        self
    }

    pub fn writable(mut self, act: impl FnMut(&mut Connection, &mut EventLoop) + 'static) -> Self {
        self.writable = Some(Box::new(act));
        self
    }

    pub fn due(mut self, act: impl FnMut(&mut Connection, &mut EventLoop) + 'static) -> Self {
        self.due = Some(Box::new(act));
        self
    }

    pub fn timer(
        mut self,
        act: impl FnMut(&mut Connection, &mut EventLoop, u32) + 'static,
    ) -> Self {
        self.timer = Some(Box::new(act));
        self
    }

    pub fn closed(
        mut self,
        act: impl FnMut(&mut Connection, &mut EventLoop, &CloseReason) + 'static,
    ) -> Self {
        self.closed = Some(Box::new(act));
        self
    }

    /// Collects the input.
    pub fn into_bytes(self, got: &Shared<Vec<u8>>) -> Self {
        let got = got.clone();
        self.received(move |_, _, input| {
            got.change(|got| got.extend_from_slice(input));
            input.len()
        })
    }

    /// Notes the reason's label when the connection ends.
    pub fn told(self, why: &Shared<Vec<&'static str>>) -> Self {
        let why = why.clone();
        self.closed(move |_, _, reason| why.change(|why| why.push(reason.label())))
    }

    pub fn boxed(self) -> Option<Box<dyn Handler>> {
        Some(Box::new(self))
    }
}

impl Handler for Acts {
    fn opened(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        if let Some(act) = &mut self.opened {
            act(conn, el);
        }
    }

    fn received(&mut self, conn: &mut Connection, el: &mut EventLoop, input: &[u8]) -> usize {
        self.received.as_mut().map_or(input.len(), |act| act(conn, el, input))
    }

    fn ended(&mut self, conn: &mut Connection, el: &mut EventLoop, unconsumed: &[u8]) {
        match &mut self.ended {
            Some(act) => drop(act(conn, el, unconsumed)),
            None => conn.close(),
        }
    }

    fn congested(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        if let Some(act) = &mut self.congested {
            act(conn, el);
        }
    }

    fn writable(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        if let Some(act) = &mut self.writable {
            act(conn, el);
        }
    }

    fn due(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        if let Some(act) = &mut self.due {
            act(conn, el);
        }
    }

    fn timer(&mut self, conn: &mut Connection, el: &mut EventLoop, key: u32) {
        if let Some(act) = &mut self.timer {
            act(conn, el, key);
        }
    }

    fn closed(&mut self, conn: &mut Connection, el: &mut EventLoop, reason: &CloseReason) {
        if let Some(act) = &mut self.closed {
            act(conn, el, reason);
        }
    }
}

/// Sends back what comes.
pub struct Echo;

impl Handler for Echo {
    fn received(&mut self, conn: &mut Connection, _: &mut EventLoop, input: &[u8]) -> usize {
        conn.send(input);
        input.len()
    }
}

/// A value that a test and its handlers share.
#[derive(Default)]
pub struct Shared<T>(Rc<RefCell<T>>);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T> Shared<T> {
    pub fn new(value: T) -> Self {
        Self(Rc::new(RefCell::new(value)))
    }

    pub fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        change(&mut self.0.borrow_mut())
    }

    pub fn with<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.0.borrow())
    }
}

impl<T: Clone> Shared<T> {
    pub fn get(&self) -> T {
        self.0.borrow().clone()
    }
}

/// A number that a test and its handlers share.
pub type Count = Rc<Cell<usize>>;

pub fn count() -> Count {
    Rc::default()
}

pub fn add(count: &Cell<usize>, by: usize) {
    count.set(count.get() + by);
}

/// Listens on a free port of 127.0.0.1.
pub fn serve(
    el: &mut EventLoop,
    options: Options,
    make: impl FnMut(&mut EventLoop, &Accepted) -> Option<Box<dyn Handler>> + 'static,
) -> (SourceId, SocketAddr) {
    let bound = anywhere().options(options).bind().unwrap();
    let address = bound.address().unwrap();
    (el.accept_on(bound, make).unwrap(), address)
}

/// A free port of 127.0.0.1, to be bound.
pub fn anywhere() -> Listen {
    Listen::on(([127, 0, 0, 1], 0).into())
}

/// Both ends of a TCP connection. The peer's receive buffer holds `room` bytes, or what the kernel
/// finds right.
pub fn tcp_pair(room: Option<usize>) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    if let Some(room) = room {
        peer.set_recv_buffer_size(room).unwrap();
    }
    peer.connect(&listener.local_addr().unwrap().into()).unwrap();
    let (ours, _) = listener.accept().unwrap();
    (ours, peer.into())
}

/// A connection of the loop and its peer, which has a receive buffer of the same size and gives up a
/// read or write that takes too long.
pub fn connected(
    el: &mut EventLoop,
    options: Options,
    handler: impl Handler + 'static,
) -> (SourceId, TcpStream) {
    let (ours, peer) = tcp_pair(options.receive_buffer);
    peer.set_read_timeout(Some(LIMIT)).unwrap();
    peer.set_write_timeout(Some(LIMIT)).unwrap();
    let detached = Detached::new(OwnedFd::from(ours), options).unwrap();
    (el.adopt(detached, Box::new(handler)).unwrap(), peer)
}

/// Small kernel buffers, so that a peer that does not read is noticed soon.
pub fn small_buffers() -> Options {
    Options { send_buffer: Some(16 << 10), receive_buffer: Some(16 << 10), ..Options::default() }
}

/// Reads what is there without waiting. True at the end of the stream or after a reset.
pub fn read_waiting(mut peer: &TcpStream, got: &mut Vec<u8>) -> bool {
    peer.set_nonblocking(true).unwrap();
    let mut piece = [0; 64 << 10];
    let over = loop {
        match peer.read(&mut piece) {
            Ok(0) => break true,
            Ok(n) => got.extend_from_slice(&piece[..n]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break false,
            Err(_) => break true,
        }
    };
    peer.set_nonblocking(false).unwrap();
    over
}

/// Closes by a reset.
pub fn reset(peer: TcpStream) {
    socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
}

/// `len` bytes of which no two neighbouring windows are alike, so that a lost or doubled piece shows.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(pattern_at).collect()
}

/// The byte of [`pattern`] at `at`.
pub fn pattern_at(at: usize) -> u8 {
    let word = (at / 4) as u32;
    word.wrapping_mul(0x9E37_79B1).to_le_bytes()[at % 4]
}

/// A small generator: the same seed gives the same run.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}
