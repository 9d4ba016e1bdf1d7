//! What a handler can do with its connection.

use std::fmt;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::limiter::Pass;
use super::queue::{FileRange, Queue, Spares};
use super::{CloseReason, Handler, Options};
use crate::event_loop::{EventLoop, SourceId};
use crate::timer::{Timer, TimerId};
use crate::tls::{Channel, TlsError, TlsServer};
use crate::{limits, sys};

/// One TCP or Unix connection, with or without TLS.
///
/// A handler gets it with each call. What it queues ([`Connection::send`], [`Connection::send_shared`],
/// [`Connection::send_file`]) leaves in one gather write when the call returns; what the socket does
/// not take waits and follows by itself. [`Connection::send_now`], [`Connection::gather`] and
/// [`Connection::gather_file`] write at once, for producers that keep no queue.
pub struct Connection {
    pub(super) fd: OwnedFd,
    pub(super) id: SourceId,
    pub(super) phase: Phase,
    pub(super) flags: Flags,
    pub(super) dead: Option<CloseReason>,
    /// Lent by the loop while there is something to send, so that an idle connection has none.
    pub(super) queue: Option<Box<Queue>>,
    /// What the handler left unconsumed.
    pub(super) rest: Vec<u8>,
    pub(super) tls: Option<Box<Channel>>,
    pub(super) options: Rc<Options>,
    /// The idle bound. Not read from the options: protocols change it, and a copy of all options for
    /// each of their connections would be the larger part of its memory.
    pub(super) idle: Option<Duration>,
    pub(super) peer: Option<SocketAddr>,
    pub(super) pass: Option<Pass>,
    /// The handler that takes over when the present one returns.
    pub(super) next: Option<Box<dyn Handler>>,
    pub(super) detach: Option<DetachTo>,
    /// The one timer behind idle, stall, linger and handshake bounds, and when it fires. It is not
    /// moved when a bound is extended: when it fires too early it is started anew.
    pub(super) timer: Option<(TimerId, Instant)>,
    /// The end of the handshake or of lingering.
    pub(super) deadline: Option<Instant>,
    pub(super) last_received: Instant,
    /// When the peer last took something, or the socket became full.
    pub(super) last_progress: Instant,
    /// What the kernel held back for the peer when it was last asked.
    pub(super) unsent_seen: Option<u32>,
    pub(super) received: u64,
    /// Bytes still to be thrown away.
    pub(super) discard_left: u64,
    pub(super) sent: u64,
}

pub(super) type DetachTo = Box<dyn FnOnce(&mut EventLoop, Detached)>;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// Not yet told to the handler: just made, or in its TLS handshake.
    Opening,
    Open,
    /// Closing gracefully: the queue empties, then comes the FIN.
    Closing,
    /// The FIN is sent; what the peer still says is discarded until it closes too.
    Lingering,
}

#[derive(Clone, Copy, Default, Debug)]
#[allow(clippy::struct_excessive_bools)]
pub(super) struct Flags {
    /// The peer's end of file was read.
    pub peer_ended: bool,
    /// The peer ended with TLS's own last word.
    pub goodbye: bool,
    pub paused: bool,
    /// Something may wait in the kernel although no edge will tell.
    pub unread: bool,
    /// The kernel has announced the end of file, or told of an error.
    pub read_closed: bool,
    /// The handler has to see the rest again: it paused before it was done with it, or is another.
    pub redeliver: bool,
    /// The handler has yet to be told of the peer's end.
    pub end_untold: bool,
    /// The socket was full; the kernel will tell when it has room.
    pub blocked: bool,
    pub congested: bool,
    /// A direct write found no room.
    pub wants_room: bool,
    /// Something was written, or the socket found full, since the clock was last looked at.
    pub moved: bool,
    pub half_close: bool,
    pub half_closed: bool,
    /// What comes from here on is TLS, what the handler has left unconsumed included.
    pub starts_tls: bool,
    /// What comes is thrown away in the kernel.
    pub discards: bool,
    /// The handler has been told that it is over.
    pub finished: bool,
}

impl Connection {
    pub(super) fn new(fd: OwnedFd, id: SourceId, options: Rc<Options>, now: Instant) -> Self {
        Self {
            fd,
            id,
            idle: options.idle,
            phase: Phase::Opening,
            flags: Flags::default(),
            dead: None,
            queue: None,
            rest: Vec::new(),
            tls: None,
            options,
            peer: None,
            pass: None,
            next: None,
            detach: None,
            timer: None,
            deadline: None,
            last_received: now,
            last_progress: now,
            unsent_seen: None,
            received: 0,
            discard_left: 0,
            sent: 0,
        }
    }

    // ---- who ----

    /// The name by which the loop knows this connection.
    pub fn id(&self) -> SourceId {
        self.id
    }

    /// The peer's address; a Unix peer has none.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// This side's address; a Unix socket has none.
    pub fn local(&self) -> Option<SocketAddr> {
        socket2::SockRef::from(&self.fd).local_addr().ok()?.as_socket()
    }

    /// Bytes received so far, as they came off the socket.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Bytes the kernel has taken so far.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Bytes queued and not yet taken by the kernel.
    pub fn queued(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.bytes())
    }

    /// The bounds and options in force.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Protocol agreed on in the TLS handshake (ALPN).
    pub fn alpn(&self) -> Option<&[u8]> {
        self.tls.as_ref()?.alpn()
    }

    /// The name the TLS client asked for (SNI).
    pub fn server_name(&self) -> Option<&str> {
        self.tls.as_ref()?.server_name()
    }

    /// True where a TLS peer ended without saying so: somebody in between may have cut what it sent.
    pub fn was_cut(&self) -> bool {
        self.is_tls() && self.flags.peer_ended && !self.flags.goodbye
    }

    /// True where the bytes are encrypted on the wire.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// True from the first call that closes on: nothing sent from now on leaves.
    pub fn is_closing(&self) -> bool {
        self.dead.is_some() || matches!(self.phase, Phase::Closing | Phase::Lingering)
    }

    /// True between [`Handler::congested`] and [`Handler::writable`].
    pub fn is_congested(&self) -> bool {
        self.flags.congested
    }

    /// Why is this peer slow? The kernel's view of a TCP connection.
    ///
    /// # Errors
    /// It is a Unix socket.
    pub fn tcp_info(&self) -> io::Result<TcpInfo> {
        let info = sys::tcp_info(self.fd.as_fd())?;
        Ok(TcpInfo {
            round_trip: Duration::from_micros(info.tcpi_rtt.into()),
            round_trip_variation: Duration::from_micros(info.tcpi_rttvar.into()),
            retransmits: info.tcpi_total_retrans,
            congestion_window: u64::from(info.tcpi_snd_cwnd) * u64::from(info.tcpi_snd_mss),
            in_flight: u64::from(info.tcpi_unacked) * u64::from(info.tcpi_snd_mss),
            unsent: sys::unsent(self.fd.as_fd())? as u64,
        })
    }

    /// Goes on in TLS once the present call of [`Handler::received`] returns: what it leaves unconsumed
    /// is taken for the beginning of the peer's handshake. [`Handler::opened`] is called again when that
    /// is done. For ports where both are spoken, and protocols that change over.
    ///
    /// # Errors
    /// The certificate in force makes no session.
    pub fn begin_tls(&mut self, server: &TlsServer) -> Result<(), TlsError> {
        self.tls = Some(Box::new(server.channel()?));
        self.flags.starts_tls = true;
        Ok(())
    }

    // ---- sending ----

    /// Queues a copy of `bytes`. For small things: heads, replies, control messages.
    pub fn send(&mut self, bytes: &[u8]) {
        if let Some(queue) = self.open_queue() {
            queue.copy(bytes);
            self.check_queue();
        }
    }

    /// Queues what `write` appends; spares the copy of [`Connection::send`].
    pub fn compose(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if let Some(queue) = self.open_queue() {
            queue.compose(write);
            self.check_queue();
        }
    }

    /// Queues shared bytes without copying them.
    pub fn send_shared(&mut self, bytes: Bytes) {
        if let Some(queue) = self.open_queue() {
            queue.share(bytes);
            self.check_queue();
        }
    }

    /// Queues a range of a file; the kernel sends it without a copy (`sendfile`).
    pub fn send_file(&mut self, range: FileRange) {
        if let Some(queue) = self.open_queue() {
            queue.file(range);
            self.check_queue();
        }
    }

    /// Writes at once from the caller's memory, in one system call; only what the socket does not take
    /// is copied and queued. Goes behind what is queued already.
    pub fn send_now(&mut self, bytes: &[u8]) {
        let wanted = self.flags.wants_room;
        let taken = self.gather(&[IoSlice::new(bytes)]);
        self.flags.wants_room = wanted;
        if let Some(left) = bytes.get(taken..) {
            self.send(left);
        }
    }

    /// Writes slices at once, in one system call for as many as the kernel takes in one
    /// ([`limits::IOV_MAX`]), and keeps nothing: returns how many bytes were taken. Where that is less
    /// than all of them the socket is full (or something is queued before them, or the connection is
    /// closing), and [`Handler::writable`] is called when it has room.
    pub fn gather(&mut self, slices: &[IoSlice<'_>]) -> usize {
        if !self.may_write() {
            return 0;
        }
        if self.tls.is_some() {
            return self.gather_tls(slices);
        }
        let mut taken = 0;
        for slices in slices.chunks(limits::IOV_MAX) {
            let fd = self.fd.as_fd();
            let result = match slices {
                [only] => sys::send(fd, only),
                _ => sys::send_gather(fd, slices),
            };
            let asked = slices.iter().map(|slice| slice.len()).sum();
            let sent = self.wrote(result);
            taken += sent;
            if sent < asked {
                self.found_full();
                break;
            }
        }
        taken
    }

    /// Writes a range of a file at once, by `sendfile`, and keeps nothing; returns as
    /// [`Connection::gather`] does. Over TLS the range is read and encrypted. A file that ends before
    /// the range does closes the connection: the peer cannot get what it was promised.
    pub fn gather_file(&mut self, file: BorrowedFd<'_>, offset: u64, len: usize) -> usize {
        if len == 0 || !self.may_write() {
            return 0;
        }
        let mut taken = 0;
        // A short sendfile means a full socket or a short file: only the next one tells which.
        while taken < len && !self.flags.blocked && self.dead.is_none() {
            let from = offset.saturating_add(taken as u64);
            let sent = self.write_file(file, from, len - taken);
            if sent == 0 {
                break;
            }
            taken += sent;
        }
        taken
    }

    fn write_file(&mut self, file: BorrowedFd<'_>, offset: u64, len: usize) -> usize {
        let result = if self.tls.is_some() {
            let mut piece = vec![0; len.min(limits::TLS_AHEAD)];
            match sys::read_at(file, &mut piece, offset) {
                Ok(n) if n > 0 => {
                    return self.gather_tls(&[IoSlice::new(piece.get(..n).unwrap_or(&[]))]);
                }
                end => end,
            }
        } else {
            sys::send_file(self.fd.as_fd(), file, offset, len)
        };
        match result {
            Ok(0) => self.close_because(CloseReason::Io(super::queue::short_file())),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.found_full(),
            result => return self.wrote(result),
        }
        0
    }

    /// Has [`Handler::writable`] called once everything queued is with the kernel.
    pub fn want_room(&mut self) {
        self.flags.wants_room = true;
    }

    fn may_write(&mut self) -> bool {
        let may = self.is_open() && !self.flags.half_close;
        if may && (self.flags.blocked || self.queued() > 0) {
            self.flags.wants_room = true;
            return false;
        }
        may
    }

    fn wrote(&mut self, result: io::Result<usize>) -> usize {
        match result {
            Ok(sent) => {
                self.sent += sent as u64;
                self.flags.moved = true;
                sent
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::WouldBlock {
                    self.close_because(CloseReason::of(error));
                }
                0
            }
        }
    }

    fn found_full(&mut self) {
        self.flags.blocked = true;
        self.flags.wants_room = true;
        self.flags.moved = true;
    }

    fn gather_tls(&mut self, slices: &[IoSlice<'_>]) -> usize {
        let Some(tls) = self.tls.as_mut() else { return 0 };
        let mut taken = 0;
        for slice in slices {
            let mut left: &[u8] = slice;
            while !left.is_empty() {
                let n = tls.encrypt(left);
                taken += n;
                left = left.get(n..).unwrap_or(&[]);
                match tls.send(self.fd.as_fd(), &mut self.sent) {
                    Ok(true) => {}
                    Ok(false) => {
                        self.found_full();
                        return taken;
                    }
                    Err(error) => {
                        self.close_because(CloseReason::of(error));
                        return 0;
                    }
                }
            }
        }
        taken
    }

    fn open_queue(&mut self) -> Option<&mut Queue> {
        let open = matches!(self.phase, Phase::Open | Phase::Opening)
            && self.dead.is_none()
            && !self.flags.half_close;
        open.then(|| &mut **self.queue.get_or_insert_default())
    }

    fn check_queue(&mut self) {
        let held = self.queue.as_ref().map_or(0, |queue| queue.in_memory());
        if held > self.options.queue_at_most {
            self.close_because(CloseReason::Overflow(held));
        }
    }

    // ---- receiving ----

    /// Stops reading: what the peer sends fills the kernel's buffers, then stops the peer.
    pub fn pause(&mut self) {
        self.flags.paused = true;
    }

    /// Reads again. What was left unconsumed is delivered again at once.
    pub fn resume(&mut self) {
        if self.flags.paused {
            self.flags.paused = false;
            self.flags.redeliver = true;
        }
    }

    /// Shows the handler once more what it left unconsumed: something it waited for has happened.
    pub fn ask_again(&mut self) {
        self.flags.redeliver = true;
    }

    /// Has the kernel wake the loop only when so many bytes wait, or the peer has ended (`SO_RCVLOWAT`).
    /// Whoever asks for that reads by time: [`Connection::read_now`]. One byte is the ordinary way.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn wake_at(&mut self, bytes: u32) -> io::Result<()> {
        let bytes = i32::try_from(bytes.max(1)).unwrap_or(i32::MAX);
        sys::set_option(self.fd.as_fd(), libc::SOL_SOCKET, libc::SO_RCVLOWAT, bytes)
    }

    /// Reads what waits, however little, in the next turn.
    pub fn read_now(&mut self) {
        self.flags.unread |= !self.flags.peer_ended;
    }

    /// Has the kernel throw away what comes from now on: no byte is copied, and
    /// [`Handler::discarded`] is told how many there were, as soon as `at_least` of them wait
    /// ([`Connection::wake_at`]). What the present call leaves unconsumed is thrown away too. For
    /// receivers that only count, by the thousand.
    ///
    /// False where that cannot be done, and everything stays as it was: only the kernel's own TCP
    /// can, so neither TLS nor a Unix socket.
    pub fn discard_input(&mut self, at_least: u32) -> bool {
        if self.is_tls() || self.peer.is_none() || self.wake_at(at_least).is_err() {
            return false;
        }
        (self.flags.discards, self.discard_left) = (true, u64::MAX);
        true
    }

    /// As [`Connection::discard_input`], for so many bytes that come next: those behind them are received
    /// as ever. For receivers that read heads and not bodies. The present call has to consume all it is
    /// shown.
    pub fn discard_next(&mut self, bytes: u64) -> bool {
        if self.is_tls() || self.peer.is_none() || bytes == 0 {
            return false;
        }
        (self.flags.discards, self.discard_left) = (true, bytes);
        true
    }

    /// True between [`Connection::pause`] and [`Connection::resume`].
    pub fn is_paused(&self) -> bool {
        self.flags.paused
    }

    // ---- time ----

    /// Changes the idle bound.
    pub fn set_idle(&mut self, idle: Option<Duration>) {
        self.idle = idle;
    }

    /// Changes the stall bound.
    pub fn set_stalled(&mut self, stalled: Option<Duration>) {
        if self.options.stalled != stalled {
            Rc::make_mut(&mut self.options).stalled = stalled;
        }
    }

    /// Changes the bound of what the handler leaves unconsumed.
    pub fn set_unconsumed(&mut self, most: usize) {
        if self.options.unconsumed != most {
            Rc::make_mut(&mut self.options).unconsumed = most;
        }
    }

    /// Has [`Handler::timer`] called with `key` after `delay`, unless the connection has ended by then.
    pub fn start_timer(&mut self, el: &mut EventLoop, delay: Duration, key: u32) -> Timer {
        el.start_timer(self.id, delay, key & !super::source::OWN_TIMER)
    }

    // ---- ending ----

    /// Closes gracefully: sends what is queued, then FIN, and waits a bounded time for the peer to
    /// close its side. Nothing is delivered any more.
    pub fn close(&mut self) {
        if matches!(self.phase, Phase::Open | Phase::Opening) {
            self.phase = Phase::Closing;
            // What the peer still says is read, to be discarded: a peer that is busy sending may not
            // read before it is through.
            self.flags.unread |= self.flags.paused;
        }
    }

    /// Sends what is queued, then FIN; the peer may go on sending. Ends when the peer ends.
    pub fn half_close(&mut self) {
        self.flags.half_close = true;
    }

    /// Closes at once; what is queued is lost.
    pub fn close_now(&mut self) {
        self.close_because(CloseReason::Local);
    }

    /// Closes at once with a reason of the caller's choice, which [`Handler::closed`] is told.
    pub fn close_because(&mut self, reason: CloseReason) {
        self.dead.get_or_insert(reason);
    }

    /// Closes at once and tells the peer so by a reset: no state of it stays in the kernel.
    pub fn reset(&mut self) {
        // Where the option fails the close is an ordinary one, which is as good.
        let _ = socket2::SockRef::from(&self.fd).set_linger(Some(Duration::ZERO));
        self.close_now();
    }

    // ---- handing over ----

    /// Gives the connection to another handler once the present call returns: `opened` is called on
    /// it, then it gets what the present one leaves unconsumed, and the peer's end where that has come.
    /// The present handler is dropped without `closed`; its timers are the next one's, and a pause
    /// lasts until somebody resumes.
    pub fn hand_over(&mut self, next: Box<dyn Handler>) {
        self.next = Some(next);
    }

    /// Takes the connection off this loop once the present call returns, with everything that belongs
    /// to it: `to` gets it and may post it to another loop ([`EventLoop::adopt`]). The handler is
    /// dropped without `closed`. A connection that is closing stays and closes.
    pub fn detach(&mut self, to: impl FnOnce(&mut EventLoop, Detached) + 'static) {
        self.detach = Some(Box::new(to));
    }

    // ---- for the loop ----

    pub(crate) fn lend_queue(&mut self, spares: &mut Spares) {
        if self.queue.is_none() {
            self.queue = Some(spares.queue());
        }
    }

    /// Sends what is queued; `Ok(false)` where the socket is full.
    pub(super) fn flush(&mut self, spares: &mut Spares) -> io::Result<bool> {
        let fd = self.fd.as_fd();
        let Some(tls) = self.tls.as_mut() else {
            let Some(queue) = self.queue.as_mut() else { return Ok(true) };
            let before = queue.bytes();
            let result = queue.flush(fd);
            self.sent += (before - queue.bytes()) as u64;
            return result;
        };
        loop {
            if !tls.send(fd, &mut self.sent)? {
                return Ok(false);
            }
            let Some(queue) = self.queue.as_mut().filter(|_| !tls.is_handshaking()) else {
                return Ok(true);
            };
            let Some(first) = queue.first(&mut spares.scratch)? else { return Ok(true) };
            let taken = tls.encrypt(first);
            queue.advance(taken);
        }
    }

    pub(super) fn has_output(&self) -> bool {
        self.queue.as_ref().is_some_and(|queue| !queue.is_empty())
            || self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    pub(super) fn is_open(&self) -> bool {
        self.phase == Phase::Open && self.dead.is_none()
    }

    /// True where a direct write was refused and would be taken now.
    pub(super) fn owes_writable(&self) -> bool {
        let has_room = self.queued() == 0 && !self.flags.blocked;
        self.flags.wants_room && has_room && self.is_open() && !self.flags.half_close
    }

    /// True where something is to be sent and the peer takes nothing.
    pub(super) fn waits_for_peer(&self) -> bool {
        self.flags.blocked && (self.flags.wants_room || self.has_output())
    }

    /// How long the peer may take nothing.
    pub(super) fn stall_bound(&self) -> Option<Duration> {
        let options = &self.options;
        match self.phase {
            Phase::Opening | Phase::Open => options.stalled,
            Phase::Closing => Some(options.stalled.unwrap_or(Duration::MAX).min(options.linger)),
            Phase::Lingering => None,
        }
    }

    /// What the kernel still holds back for the peer; nothing for a Unix socket.
    pub(super) fn unsent(&self) -> u32 {
        sys::unsent(self.fd.as_fd()).map_or(0, |bytes| u32::try_from(bytes).unwrap_or(u32::MAX))
    }

    /// Sends the FIN. False where something has to be sent before it and the socket is full.
    pub(super) fn shutdown_write(&mut self) -> bool {
        if self.flags.half_closed {
            return true;
        }
        if let Some(tls) = self.tls.as_mut() {
            tls.say_goodbye();
            if let Ok(false) = tls.send(self.fd.as_fd(), &mut self.sent) {
                self.flags.blocked = true;
                return false;
            }
        }
        self.flags.half_closed = true;
        // The peer may be gone already; then there is nobody left to tell.
        let _ = socket2::SockRef::from(&self.fd).shutdown(std::net::Shutdown::Write);
        true
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("id", &self.id)
            .field("peer", &self.peer)
            .field("phase", &self.phase)
            .field("queued", &self.queued())
            .finish_non_exhaustive()
    }
}

/// What the kernel knows of a TCP connection, as far as it explains a slow peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpInfo {
    /// Smoothed round trip.
    pub round_trip: Duration,
    /// How much it varies.
    pub round_trip_variation: Duration,
    /// Segments sent again since the connection began.
    pub retransmits: u32,
    /// Bytes the network is thought to carry at a time.
    pub congestion_window: u64,
    /// Bytes sent and not acknowledged.
    pub in_flight: u64,
    /// Bytes in the kernel that have not been sent.
    pub unsent: u64,
}

/// A connection between two loops: its socket, its TLS state, and every byte that was on its way in
/// or out. Dropping it closes the connection.
pub struct Detached {
    pub(super) fd: OwnedFd,
    pub(super) peer: Option<SocketAddr>,
    pub(super) tls: Option<Box<Channel>>,
    pub(super) rest: Vec<u8>,
    pub(super) queue: Option<Box<Queue>>,
    pub(super) options: Options,
    pub(super) pass: Option<Pass>,
    pub(super) peer_ended: bool,
    pub(super) half_close: bool,
    pub(super) half_closed: bool,
    /// It is served although the loop drains, which does not wait for it then.
    pub(super) while_draining: bool,
    pub(super) received: u64,
    pub(super) sent: u64,
}

impl Detached {
    /// A connection made elsewhere, about to be adopted. The kernel's options are set from `options`.
    ///
    /// # Errors
    /// The kernel refuses an option.
    pub fn new(fd: OwnedFd, options: Options) -> io::Result<Self> {
        let socket = socket2::SockRef::from(&fd);
        socket.set_nonblocking(true)?;
        let peer = socket.peer_addr().ok().and_then(|address| address.as_socket());
        options.apply(fd.as_fd(), peer.is_some())?;
        Ok(Self::accepted(fd, peer, options))
    }

    pub(super) fn accepted(fd: OwnedFd, peer: Option<SocketAddr>, options: Options) -> Self {
        Self {
            fd,
            peer,
            tls: None,
            rest: Vec::new(),
            queue: None,
            options,
            pass: None,
            peer_ended: false,
            half_close: false,
            half_closed: false,
            while_draining: false,
            received: 0,
            sent: 0,
        }
    }

    /// The peer's address; a Unix peer has none.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// The socket, for those who leave this crate; what was received and not consumed comes with it.
    /// `None` where bytes are still queued or TLS is in between, which a bare socket cannot carry.
    pub fn into_socket(self) -> Option<(OwnedFd, Vec<u8>)> {
        let whole = self.tls.is_none() && self.queue.is_none_or(|queue| queue.is_empty());
        whole.then_some((self.fd, self.rest))
    }
}
