//! What a handler can do with its socket.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::Failure;
use super::bind::{Bound, mapped};
use super::queue::{Plan, Queue};
use crate::event_loop::{EventLoop, SourceId};
use crate::limits::{
    UDP_FAILURES_TOLD, UDP_GSO_PAUSE, UDP_GSO_REFUSALS, UDP_LONGEST_V4, UDP_LONGEST_V6,
    UDP_SEND_BATCH, UDP_SEND_BYTES,
};
use crate::sys::udp::{Receiver, Sender};
use crate::timer::{Timer, TimerId};
use crate::{CloseReason, sys};

/// One UDP socket, for one peer or any number of them.
///
/// A handler gets it with each call. What it queues ([`UdpSocket::send_to`] and its kin) leaves
/// together when the call returns, in one system call for up to 256 messages; what the kernel does not
/// take waits, within bounds, and follows by itself.
pub struct UdpSocket {
    pub(super) fd: OwnedFd,
    pub(super) id: SourceId,
    pub(super) phase: Phase,
    pub(super) flags: Flags,
    pub(super) dead: Option<CloseReason>,
    pub(super) queue: Queue,
    queue_bytes: usize,
    queue_datagrams: usize,
    out: Rc<RefCell<Out>>,
    gso: Gso,
    gro: bool,
    /// To be told to the handler when it is not running.
    pub(super) failures: Vec<Failure>,
    pub(super) stats: Stats,
    local: SocketAddr,
    peer: Option<SocketAddr>,
    pub(super) idle: Option<Duration>,
    pub(super) last_received: Instant,
    /// The end of a graceful close.
    pub(super) deadline: Option<Instant>,
    /// The one timer behind idle and close, and when it fires. It is not moved when a bound is
    /// extended: when it fires too early it is started anew.
    pub(super) timer: Option<(TimerId, Instant)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    Open,
    /// Closing: the queue empties first.
    Closing,
    Closed,
}

#[derive(Clone, Copy, Default, Debug)]
#[allow(clippy::struct_excessive_bools)]
pub(super) struct Flags {
    /// The handler was told that it has a socket.
    pub opened: bool,
    /// Something may wait in the kernel although no edge will tell.
    pub unread: bool,
    /// The kernel takes nothing for now; it will tell when it does.
    pub blocked: bool,
    /// The kernel is asked to tell of room.
    pub watches_room: bool,
    /// A datagram was dropped because the queue was full.
    pub wants_room: bool,
    /// The error that a send call has just returned was an earlier datagram's.
    refused: bool,
}

/// Whether rows of datagrams are handed to the kernel in one piece.
#[derive(Clone, Copy, Debug)]
enum Gso {
    Never,
    /// After so many refusals in a row.
    On {
        refusals: u32,
    },
    /// A route that cannot do it shall not cost every row a failed call.
    Until(Instant),
}

/// What the sockets of a loop share.
#[derive(Default)]
pub(crate) struct Shared {
    /// Made when the first datagram comes. Lent out while a handler looks into it.
    receiver: Option<Box<Receiver>>,
    pub(super) out: Rc<RefCell<Out>>,
}

impl Shared {
    pub(super) fn receiver(&mut self) -> Box<Receiver> {
        self.receiver.take().unwrap_or_else(|| Box::new(Receiver::new()))
    }

    pub(super) fn keep(&mut self, receiver: Box<Receiver>) {
        self.receiver = Some(receiver);
    }
}

/// Memory for one send call.
#[derive(Default)]
pub(super) struct Out {
    plan: Plan,
    sender: Sender,
}

/// Why a datagram was not queued.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The kernel takes nothing for now and the queue is full; the datagram is dropped and counted.
    /// [`Handler::writable`](super::Handler::writable) follows when the queue has emptied.
    #[error("the queue is full; the datagram is dropped")]
    Full,
    /// No datagram can be that long.
    #[error("a datagram of {len} bytes; the protocol has room for {most}")]
    TooLong {
        /// Its length.
        len: usize,
        /// What the address family allows.
        most: usize,
    },
    /// The socket has no peer and none was named.
    #[error("the socket is not connected; name an address to send to")]
    NoPeer,
    /// Nobody can be reached on port 0.
    #[error("nobody can be reached on port 0")]
    NoPort,
    /// An IPv4 socket reaches IPv4 peers only.
    #[error("an IPv4 socket cannot send to an IPv6 address")]
    WrongFamily,
    /// The socket is closing or closed.
    #[error("the socket is closed")]
    Closed,
}

/// What a socket has done so far.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Stats {
    /// Datagrams received.
    pub received: u64,
    /// Their bytes.
    pub received_bytes: u64,
    /// Pieces in which they came: fewer than datagrams where the kernel gathers them (GRO).
    pub received_messages: u64,
    /// System calls that brought them; those that found nothing count too.
    pub receive_calls: u64,
    /// Datagrams the kernel has taken.
    pub sent: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Pieces in which they went: fewer than datagrams where the kernel cuts them up (GSO).
    pub sent_messages: u64,
    /// System calls that took them; those that failed count too.
    pub send_calls: u64,
    /// Datagrams dropped because the queue was full.
    pub dropped: u64,
    /// Datagrams the kernel refused for good.
    pub unsent: u64,
    /// Failures of any kind, those told to the handler and those beyond what is told in a turn.
    pub failures: u64,
    /// Pieces that the kernel would not cut up and that were sent datagram by datagram.
    pub gso_refusals: u64,
}

impl UdpSocket {
    pub(super) fn new(bound: Bound, id: SourceId, out: Rc<RefCell<Out>>, now: Instant) -> Self {
        Self {
            fd: bound.fd,
            id,
            phase: Phase::Open,
            flags: Flags::default(),
            dead: None,
            queue: Queue::default(),
            queue_bytes: bound.bind.queue_bytes,
            queue_datagrams: bound.bind.queue_datagrams,
            out,
            gso: if bound.gso { Gso::On { refusals: 0 } } else { Gso::Never },
            gro: bound.gro,
            failures: Vec::new(),
            stats: Stats::default(),
            local: bound.address,
            peer: bound.peer,
            idle: bound.bind.idle,
            last_received: now,
            deadline: None,
            timer: None,
        }
    }

    // ---- who ----

    /// The name by which the loop knows this socket.
    pub fn id(&self) -> SourceId {
        self.id
    }

    /// This side's address.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// The peer of a connected socket.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// What it has done so far.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// How many datagrams the kernel has dropped because nobody took them off the socket in time and
    /// its receive buffer was full.
    ///
    /// # Errors
    /// The kernel is too old to tell.
    pub fn kernel_drops(&self) -> io::Result<u32> {
        sys::udp::kernel_drops(self.fd.as_fd())
    }

    /// Datagrams queued and not yet taken by the kernel.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Bytes queued and not yet taken by the kernel.
    pub fn queued_bytes(&self) -> usize {
        self.queue.bytes()
    }

    /// True where the kernel gathers received datagrams.
    pub fn has_gro(&self) -> bool {
        self.gro
    }

    /// True where the kernel cuts up what is sent, and has not refused lately.
    pub fn has_gso(&self) -> bool {
        matches!(self.gso, Gso::On { .. })
    }

    /// True from the call that closes on.
    pub fn is_closing(&self) -> bool {
        self.dead.is_some() || matches!(self.phase, Phase::Closing | Phase::Closed)
    }

    // ---- sending ----

    /// Queues a copy of `bytes` for a peer. Rows of equally long datagrams to one peer are cheapest.
    ///
    /// # Errors
    /// The datagram is not sent: the queue is full, or nobody could ever send it there.
    pub fn send_to(&mut self, bytes: &[u8], to: SocketAddr) -> Result<(), SendError> {
        let to = self.target(to)?;
        self.admit(to, bytes.len())?;
        self.queue.copy(to, bytes);
        self.flush_full_batch();
        Ok(())
    }

    /// Queues shared bytes for a peer without copying them.
    ///
    /// # Errors
    /// As [`UdpSocket::send_to`].
    pub fn send_shared_to(&mut self, bytes: Bytes, to: SocketAddr) -> Result<(), SendError> {
        let to = self.target(to)?;
        self.admit(to, bytes.len())?;
        self.queue.share(to, bytes);
        self.flush_full_batch();
        Ok(())
    }

    /// Queues for a peer what `write` appends; spares the copy of [`UdpSocket::send_to`].
    ///
    /// # Errors
    /// As [`UdpSocket::send_to`].
    pub fn compose_to(
        &mut self,
        to: SocketAddr,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), SendError> {
        let to = self.target(to)?;
        self.compose_for(to, write)
    }

    /// Queues a copy of `bytes` for the peer of a connected socket.
    ///
    /// # Errors
    /// As [`UdpSocket::send_to`]; the socket is not connected.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), SendError> {
        self.peer.ok_or(SendError::NoPeer)?;
        self.admit(None, bytes.len())?;
        self.queue.copy(None, bytes);
        self.flush_full_batch();
        Ok(())
    }

    /// Queues shared bytes for the peer of a connected socket without copying them.
    ///
    /// # Errors
    /// As [`UdpSocket::send`].
    pub fn send_shared(&mut self, bytes: Bytes) -> Result<(), SendError> {
        self.peer.ok_or(SendError::NoPeer)?;
        self.admit(None, bytes.len())?;
        self.queue.share(None, bytes);
        self.flush_full_batch();
        Ok(())
    }

    /// Queues for the peer of a connected socket what `write` appends.
    ///
    /// # Errors
    /// As [`UdpSocket::send`].
    pub fn compose(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), SendError> {
        self.peer.ok_or(SendError::NoPeer)?;
        self.compose_for(None, write)
    }

    fn compose_for(
        &mut self,
        to: Option<SocketAddr>,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), SendError> {
        self.admit(to, 0)?;
        let most = self.longest(to);
        if !self.has_room(most) {
            self.flush();
        }
        let (bytes, room) = (self.queue.bytes(), self.queue_bytes);
        let admit = |len| {
            if len > most {
                Err(SendError::TooLong { len, most })
            } else if bytes + len > room && bytes > 0 {
                Err(SendError::Full)
            } else {
                Ok(())
            }
        };
        let result = self.queue.compose(to, write, admit);
        if result == Err(SendError::Full) {
            self.drop_one();
        }
        self.flush_full_batch();
        result
    }

    /// The address as this socket's family has it, `None` for the peer it is connected to.
    fn target(&self, to: SocketAddr) -> Result<Option<SocketAddr>, SendError> {
        if self.peer == Some(to) {
            return Ok(None);
        }
        match to {
            _ if to.port() == 0 => Err(SendError::NoPort),
            SocketAddr::V4(_) if self.local.is_ipv6() => Ok(Some(mapped(to))),
            SocketAddr::V6(_) if self.local.is_ipv4() => Err(SendError::WrongFamily),
            _ => Ok(Some(to)),
        }
    }

    fn longest(&self, to: Option<SocketAddr>) -> usize {
        match to.or(self.peer).map(|to| to.ip().to_canonical().is_ipv6()) {
            Some(true) => UDP_LONGEST_V6,
            _ => UDP_LONGEST_V4,
        }
    }

    fn admit(&mut self, to: Option<SocketAddr>, len: usize) -> Result<(), SendError> {
        if self.is_closing() {
            return Err(SendError::Closed);
        }
        let most = self.longest(to);
        if len > most {
            return Err(SendError::TooLong { len, most });
        }
        if self.has_room(len) {
            return Ok(());
        }
        self.flush();
        if self.has_room(len) {
            return Ok(());
        }
        self.drop_one();
        Err(SendError::Full)
    }

    /// An empty queue takes any datagram, however small its bound.
    fn has_room(&self, len: usize) -> bool {
        self.queue.is_empty()
            || self.queue.len() < self.queue_datagrams
                && self.queue.bytes() + len <= self.queue_bytes
    }

    fn drop_one(&mut self) {
        self.stats.dropped += 1;
        self.flags.wants_room = true;
    }

    /// A queue that fills a call does not wait for the end of the turn.
    fn flush_full_batch(&mut self) {
        if self.queue.len() >= UDP_SEND_BATCH || self.queue.bytes() >= UDP_SEND_BYTES {
            self.flush();
        }
    }

    /// Hands what is queued to the kernel now rather than when the handler returns.
    pub fn flush(&mut self) {
        if self.flags.blocked || self.queue.is_empty() || self.dead.is_some() {
            return;
        }
        let out = Rc::clone(&self.out);
        let mut out = out.borrow_mut();
        let Out { plan, sender } = &mut *out;
        // Datagrams at the front of the queue that the kernel would not take in one piece.
        let mut single = 0;
        while !self.queue.is_empty() && !self.flags.blocked && self.dead.is_none() {
            let gather = self.gathers();
            self.queue.plan(gather, single, plan);
            self.stats.send_calls += 1;
            let slices = self.queue.slices(plan);
            match sender.send(self.fd.as_fd(), &plan.messages, slices) {
                Ok(0) => break,
                Ok(count) => {
                    let taken = plan.messages.get(..count).unwrap_or(&plan.messages);
                    let datagrams = taken.iter().map(|message| message.datagrams).sum();
                    if taken.iter().any(|message| message.segment > 0) {
                        self.gso = Gso::On { refusals: 0 };
                    }
                    self.flags.refused = false;
                    self.stats.sent_messages += taken.len() as u64;
                    self.stats.sent += datagrams as u64;
                    self.stats.sent_bytes += self.queue.pop(datagrams) as u64;
                    single = single.saturating_sub(datagrams);
                }
                Err(error) => match plan.messages.first().copied() {
                    Some(first) => self.not_sent(error, first, &mut single),
                    None => break,
                },
            }
        }
    }

    /// The kernel has not taken the first message of a plan.
    fn not_sent(&mut self, error: io::Error, first: sys::udp::Outgoing, single: &mut usize) {
        match error.raw_os_error() {
            Some(libc::EAGAIN) => self.flags.blocked = true,
            Some(libc::EINTR) => {}
            Some(libc::EBADF | libc::ENOTSOCK | libc::EFAULT | libc::EPIPE) => {
                self.dead = Some(CloseReason::Io(error));
            }
            // A device without checksums (EIO), a path with smaller packets (EINVAL, EMSGSIZE), or a
            // protocol in between that cannot.
            Some(libc::EIO | libc::EINVAL | libc::EMSGSIZE | libc::EOPNOTSUPP)
                if first.segment > 0 =>
            {
                *single = first.datagrams;
                self.gso_refused();
            }
            // The answer to an earlier datagram; this one was not looked at.
            Some(libc::ECONNREFUSED) if !self.flags.refused => {
                self.flags.refused = true;
                self.network_says(error);
            }
            _ => {
                self.flags.refused = false;
                self.stats.unsent += first.datagrams as u64;
                self.queue.pop(first.datagrams);
                *single = single.saturating_sub(first.datagrams);
                if let Some(to) = first.to.or(self.peer) {
                    let to = SocketAddr::new(to.ip().to_canonical(), to.port());
                    self.failed(Failure::Unsent { to, error });
                }
            }
        }
    }

    fn gathers(&mut self) -> bool {
        match self.gso {
            Gso::Never => false,
            Gso::On { .. } => true,
            Gso::Until(then) => {
                let over = Instant::now() >= then;
                if over {
                    // One more refusal and it is suspended again.
                    self.gso = Gso::On { refusals: UDP_GSO_REFUSALS - 1 };
                }
                over
            }
        }
    }

    fn gso_refused(&mut self) {
        self.stats.gso_refusals += 1;
        if let Gso::On { refusals } = &mut self.gso {
            *refusals += 1;
            if *refusals >= UDP_GSO_REFUSALS {
                self.gso = Gso::Until(Instant::now() + UDP_GSO_PAUSE);
            }
        }
    }

    pub(super) fn network_says(&mut self, error: io::Error) {
        self.failed(match self.peer {
            Some(peer) if error.kind() == io::ErrorKind::ConnectionRefused => {
                Failure::Refused { peer }
            }
            _ => Failure::Network(error),
        });
    }

    fn failed(&mut self, failure: Failure) {
        self.stats.failures += 1;
        if self.failures.len() < UDP_FAILURES_TOLD {
            self.failures.push(failure);
        }
    }

    // ---- the rest ----

    /// Changes the idle bound; `None` lifts it.
    pub fn set_idle(&mut self, idle: Option<Duration>) {
        self.idle = idle;
    }

    /// Has [`Handler::timer`](super::Handler::timer) called with `key` (below 2^31) after `delay`,
    /// unless the socket is gone then.
    pub fn start_timer(&mut self, el: &mut EventLoop, delay: Duration, key: u32) -> Timer {
        el.start_timer(self.id, delay, key & !super::source::OWN_TIMER)
    }

    /// Closes once what is queued is sent, or after a bounded time. Nothing is received any more.
    pub fn close(&mut self) {
        if self.phase == Phase::Open {
            self.phase = Phase::Closing;
        }
    }
}

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpSocket")
            .field("id", &self.id)
            .field("local", &self.local)
            .field("peer", &self.peer)
            .field("queued", &self.queue.len())
            .finish_non_exhaustive()
    }
}

/// For socket options that this crate does not know.
impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
