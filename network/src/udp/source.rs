//! The state machine between a socket, its handler and the loop.

use std::io;
use std::os::fd::AsFd;
use std::time::Instant;

use super::bind::Bound;
use super::socket::Phase;
use super::{Batch, Handler, UdpSocket};
use crate::event_loop::{EventLoop, Interest, Ready, Source, SourceId};
use crate::limits::{UDP_RECEIVE_BATCH, UDP_RECEIVE_ERRORS};
use crate::{CloseReason, limits};

/// The bit that tells a socket's own timer from its handler's.
pub(super) const OWN_TIMER: u32 = 1 << 31;

/// A socket and its handler, as the loop holds them.
///
/// Every entry from the loop does its work and then calls [`UdpSource::settle`], which sends, tells the
/// handler what follows from that, and ends what is to be ended.
struct UdpSource {
    socket: UdpSocket,
    handler: Box<dyn Handler>,
}

impl EventLoop {
    /// Puts a UDP socket on this loop.
    ///
    /// # Errors
    /// The kernel refuses to watch the socket.
    pub fn open_udp(&mut self, bound: Bound, handler: Box<dyn Handler>) -> io::Result<SourceId> {
        // Room is asked for only while there is none: the kernel would tell of it after every
        // datagram that has left.
        let id = self.reserve(bound.as_fd(), Interest::READABLE)?;
        let socket = UdpSocket::new(bound, id, self.datagrams.out.clone(), self.now());
        self.fill(id, Box::new(UdpSource { socket, handler }));
        self.again(id, Ready::default());
        Ok(id)
    }
}

impl Source for UdpSource {
    fn ready(&mut self, el: &mut EventLoop, _: SourceId, ready: Ready) {
        self.open(el);
        let flags = &mut self.socket.flags;
        if ready.contains(Ready::WRITABLE) {
            flags.blocked = false;
        }
        flags.unread |= ready.contains(Ready::READABLE) || ready.contains(Ready::ERROR);
        if flags.unread {
            self.receive(el);
        }
        self.settle(el);
    }

    fn due(&mut self, el: &mut EventLoop, _: SourceId) {
        self.open(el);
        if self.is_open() {
            self.handler.due(&mut self.socket, el);
        }
        self.settle(el);
    }

    fn timer(&mut self, el: &mut EventLoop, _: SourceId, key: u32) {
        if key == OWN_TIMER {
            self.socket.timer = None;
            self.check_time(Instant::now());
        } else if self.is_open() {
            self.handler.timer(&mut self.socket, el, key);
        }
        self.settle(el);
    }

    fn drain(&mut self, el: &mut EventLoop, _: SourceId) {
        // A socket that is told of both at once drains as it opens.
        if !self.open(el) && self.is_open() {
            self.handler.drain(&mut self.socket, el);
        }
        self.settle(el);
    }

    fn ended(&mut self, el: &mut EventLoop, _: SourceId) {
        let gone = el.handle().has_ended();
        self.finish(el, if gone { &CloseReason::LoopEnded } else { &CloseReason::Local });
    }

    fn udp_socket(&mut self) -> Option<&mut UdpSocket> {
        Some(&mut self.socket)
    }
}

impl UdpSource {
    /// Tells the handler that it has a socket, unless it was told. True where it was told now.
    fn open(&mut self, el: &mut EventLoop) -> bool {
        if std::mem::replace(&mut self.socket.flags.opened, true) {
            return false;
        }
        self.handler.opened(&mut self.socket, el);
        if el.is_draining() && self.is_open() {
            self.handler.drain(&mut self.socket, el);
        }
        true
    }

    fn is_open(&self) -> bool {
        self.socket.phase == Phase::Open && self.socket.dead.is_none()
    }

    // ---- in ----

    fn receive(&mut self, el: &mut EventLoop) {
        if !self.is_open() {
            return;
        }
        let mut receiver = el.datagrams.receiver();
        for _ in 0..UDP_RECEIVE_ERRORS {
            let socket = &mut self.socket;
            socket.stats.receive_calls += 1;
            match receiver.receive(socket.fd.as_fd()) {
                Ok(count) => {
                    // A batch that is not full has emptied the socket; the kernel tells of more.
                    socket.flags.unread = count == UDP_RECEIVE_BATCH;
                    socket.last_received = el.now();
                    let batch = Batch::new(receiver.slots());
                    socket.stats.received_messages += count as u64;
                    socket.stats.received += batch.len() as u64;
                    socket.stats.received_bytes += batch.bytes() as u64;
                    self.handler.received(socket, el, batch);
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    socket.flags.unread = false;
                    break;
                }
                Err(error) => match error.raw_os_error() {
                    Some(libc::EINTR) => {}
                    Some(libc::EBADF | libc::ENOTSOCK | libc::EFAULT | libc::EINVAL) => {
                        socket.dead = Some(CloseReason::Io(error));
                        break;
                    }
                    // The fate of a datagram sent earlier. Others may wait behind it.
                    _ => socket.network_says(error),
                },
            }
        }
        el.datagrams.keep(receiver);
        if self.socket.flags.unread {
            el.again(self.socket.id, Ready::default());
        }
    }

    // ---- out, and the end ----

    fn settle(&mut self, el: &mut EventLoop) {
        self.socket.flush();
        self.tell(el);
        self.close_when_sent(el);
        self.watch_room(el);
        if let Some(reason) = self.socket.dead.take() {
            self.finish(el, &reason);
            el.remove(self.socket.id);
            return;
        }
        self.arm(el);
    }

    /// Tells the handler what became of what it sent. What it sends in answer may fail too: that is
    /// told in the next turn.
    fn tell(&mut self, el: &mut EventLoop) {
        let socket = &mut self.socket;
        if !socket.failures.is_empty() {
            let mut failures = std::mem::take(&mut socket.failures);
            for failure in failures.drain(..) {
                if socket.phase == Phase::Open {
                    self.handler.failed(socket, el, &failure);
                }
            }
            if socket.failures.is_empty() {
                socket.failures = failures;
            }
        }
        if socket.flags.wants_room && socket.queue.is_empty() && socket.phase == Phase::Open {
            socket.flags.wants_room = false;
            self.handler.writable(socket, el);
        }
        socket.flush();
        if !socket.failures.is_empty() {
            el.again(self.socket.id, Ready::default());
        }
    }

    fn close_when_sent(&mut self, el: &mut EventLoop) {
        let socket = &mut self.socket;
        if socket.phase != Phase::Closing || socket.dead.is_some() {
            return;
        }
        if socket.queue.is_empty() {
            socket.dead = Some(CloseReason::Local);
        } else if socket.deadline.is_none() {
            socket.deadline = Some(el.now() + limits::LINGER);
        }
    }

    fn finish(&mut self, el: &mut EventLoop, reason: &CloseReason) {
        if let Some((timer, _)) = self.socket.timer.take() {
            el.timers.cancel(timer);
        }
        self.socket.phase = Phase::Closed;
        self.handler.closed(&mut self.socket, el, reason);
    }

    /// Has the kernel tell of room, or stops it.
    fn watch_room(&mut self, el: &mut EventLoop) {
        let socket = &mut self.socket;
        if socket.flags.blocked == socket.flags.watches_room {
            return;
        }
        let interest = if socket.flags.blocked {
            Interest::READABLE | Interest::WRITABLE
        } else {
            Interest::READABLE
        };
        match el.rewatch(socket.fd.as_fd(), socket.id, interest) {
            Ok(()) => socket.flags.watches_room = socket.flags.blocked,
            Err(error) => socket.dead = Some(CloseReason::Io(error)),
        }
    }

    // ---- time ----

    fn check_time(&mut self, now: Instant) {
        let socket = &mut self.socket;
        if socket.deadline.is_some_and(|deadline| now >= deadline) {
            socket.dead = Some(CloseReason::Stalled(limits::LINGER));
        } else if let Some(idle) = socket
            .idle
            .filter(|idle| socket.last_received.checked_add(*idle).is_some_and(|at| now >= at))
        {
            socket.dead = Some(CloseReason::Idle(idle));
        }
    }

    /// Makes sure that the timer fires no later than the first bound.
    fn arm(&mut self, el: &mut EventLoop) {
        let socket = &mut self.socket;
        let idle = socket.idle.and_then(|idle| socket.last_received.checked_add(idle));
        let Some(first) = [socket.deadline, idle].into_iter().flatten().min() else { return };
        if let Some((timer, at)) = socket.timer {
            if at <= first {
                return;
            }
            el.timers.cancel(timer);
        }
        socket.timer = Some((el.timers.start_source(first, socket.id, OWN_TIMER), first));
    }
}
