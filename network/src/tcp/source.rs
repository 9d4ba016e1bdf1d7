//! The state machine between a connection, its handler and the loop.

use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Instant;

use super::connection::{Detached, Phase};
use super::{CloseReason, Connection, Handler, Options};
use crate::event_loop::{EventLoop, Interest, Ready, Source, SourceId};
use crate::{limits, sys};

/// The bit that tells a connection's own timer from its handler's.
pub(super) const OWN_TIMER: u32 = 1 << 31;

/// A connection and its handler, as the loop holds them.
///
/// Every entry from the loop does its work and then calls [`TcpSource::settle`], which sends, tells the
/// handler what follows from that, and ends what is to be ended. So one write carries all that one
/// call of a handler has queued, and there is one place where a connection ends.
pub(super) struct TcpSource {
    conn: Connection,
    handler: Box<dyn Handler>,
}

impl Source for TcpSource {
    fn ready(&mut self, el: &mut EventLoop, id: SourceId, ready: Ready) {
        if self.conn.phase == Phase::Opening && !self.is_handshaking() {
            self.open(el);
        }
        if ready.contains(Ready::WRITABLE) {
            self.conn.flags.blocked = false;
        }
        if ready.contains(Ready::READABLE)
            || ready.contains(Ready::READ_CLOSED)
            || ready.contains(Ready::ERROR)
        {
            self.read(el, id, ready);
        } else if self.conn.flags.redeliver {
            self.redeliver(el);
        }
        self.settle(el);
    }

    fn due(&mut self, el: &mut EventLoop, _: SourceId) {
        self.conn.flags.due = false;
        if self.conn.phase == Phase::Open && self.conn.dead.is_none() {
            self.conn.lend_queue(&mut el.spares);
            self.handler.due(&mut self.conn, el);
        }
        self.settle(el);
    }

    fn timer(&mut self, el: &mut EventLoop, _: SourceId, key: u32) {
        if key == OWN_TIMER {
            self.conn.timer = None;
            self.check_time(Instant::now());
        } else if self.conn.phase == Phase::Open {
            self.handler.timer(&mut self.conn, el, key);
        }
        self.settle(el);
    }

    fn drain(&mut self, el: &mut EventLoop, _: SourceId) {
        match self.conn.phase {
            Phase::Opening => self.conn.close(),
            Phase::Open => self.handler.drain(&mut self.conn, el),
            Phase::Closing | Phase::Lingering => {}
        }
        self.settle(el);
    }

    fn ended(&mut self, el: &mut EventLoop, _: SourceId) {
        self.finish(el, &CloseReason::LoopEnded);
    }

    fn connection(&mut self) -> Option<&mut Connection> {
        Some(&mut self.conn)
    }
}

impl TcpSource {
    fn open(&mut self, el: &mut EventLoop) {
        self.conn.phase = Phase::Open;
        self.conn.deadline = None;
        self.handler.opened(&mut self.conn, el);
    }

    fn is_handshaking(&self) -> bool {
        self.conn.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    fn takes_input(&self) -> bool {
        self.conn.dead.is_none() && matches!(self.conn.phase, Phase::Open | Phase::Opening)
    }

    // ---- in ----

    fn read(&mut self, el: &mut EventLoop, id: SourceId, ready: Ready) {
        if self.conn.dead.is_some() {
            return;
        }
        if self.conn.flags.paused && self.takes_input() {
            self.conn.flags.unread = true;
            if ready.contains(Ready::ERROR)
                && let Ok(Some(error)) = socket2::SockRef::from(&self.conn.fd).take_error()
            {
                self.conn.dead = Some(CloseReason::of(error));
            }
            return;
        }
        let mut input = std::mem::take(&mut el.input);
        // Ciphertext has no rest: the TLS layer keeps an incomplete record itself.
        let rest = if self.conn.tls.is_none() { self.conn.rest.len() } else { 0 };
        if input.len() < rest + limits::READ_CHUNK {
            input.resize(rest + limits::READ_CHUNK, 0);
        }
        input[..rest].copy_from_slice(&self.conn.rest[..rest]);
        let space = &mut input[rest..rest + limits::READ_CHUNK];
        match sys::recv(self.conn.fd.as_fd(), space) {
            Ok(0) => self.end_of_file(el),
            Ok(n) => {
                self.conn.received += n as u64;
                self.conn.last_received = el.now();
                // A short read has emptied the socket, and the kernel will tell of more. A full one,
                // or one before an end of file that was announced with it, asks for another round.
                if n == limits::READ_CHUNK || ready.contains(Ready::READ_CLOSED) {
                    el.again(id, ready);
                }
                if !self.takes_input() {
                    // Lingering: what the peer still says is not heard.
                } else if self.conn.tls.is_none() {
                    self.deliver(el, &input[..rest + n]);
                } else {
                    self.decrypt(el, &input[..n]);
                }
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => {}
                io::ErrorKind::Interrupted => el.again(id, ready),
                _ => self.conn.dead = Some(CloseReason::of(error)),
            },
        }
        if input.len() > limits::UNCONSUMED + limits::READ_CHUNK {
            input.truncate(limits::READ_CHUNK);
            input.shrink_to_fit();
        }
        el.input = input;
        if self.conn.flags.redeliver {
            self.redeliver(el);
        }
    }

    fn end_of_file(&mut self, el: &mut EventLoop) {
        if std::mem::replace(&mut self.conn.flags.peer_ended, true) {
            return;
        }
        match self.conn.phase {
            Phase::Open => {
                let rest = std::mem::take(&mut self.conn.rest);
                self.conn.lend_queue(&mut el.spares);
                self.handler.ended(&mut self.conn, el, &rest);
                self.conn.rest = rest;
            }
            Phase::Opening => self.conn.dead = Some(CloseReason::Peer),
            Phase::Closing => {}
            Phase::Lingering => self.conn.dead = Some(CloseReason::Local),
        }
    }

    fn deliver(&mut self, el: &mut EventLoop, mut input: &[u8]) {
        self.conn.flags.redeliver = false;
        loop {
            self.conn.lend_queue(&mut el.spares);
            let consumed = self.handler.received(&mut self.conn, el, input);
            input = input.get(consumed..).unwrap_or(&[]);
            if !self.take_over(el) || input.is_empty() || !self.takes_input() {
                break;
            }
        }
        let conn = &mut self.conn;
        if input.is_empty() {
            if conn.rest.capacity() > 0 {
                el.spares.keep_rest(std::mem::take(&mut conn.rest));
            }
            return;
        }
        if conn.rest.capacity() == 0 {
            conn.rest = el.spares.rest();
        }
        conn.rest.clear();
        conn.rest.extend_from_slice(input);
        if conn.rest.len() > conn.options.unconsumed && !conn.flags.paused {
            conn.close_because(CloseReason::TooLarge(conn.options.unconsumed));
        }
    }

    /// Shows the rest to the handler again, after a pause or to a new handler.
    fn redeliver(&mut self, el: &mut EventLoop) {
        self.conn.flags.redeliver = false;
        if self.takes_input() && !self.conn.flags.paused && !self.conn.rest.is_empty() {
            let rest = std::mem::take(&mut self.conn.rest);
            self.deliver(el, &rest);
            el.spares.keep_rest(rest);
        }
    }

    fn decrypt(&mut self, el: &mut EventLoop, cipher: &[u8]) {
        let mut plain = std::mem::take(&mut el.spares.plain);
        plain.clear();
        plain.extend_from_slice(&self.conn.rest);
        let before = plain.len();
        let result = match self.conn.tls.as_mut() {
            Some(tls) => tls.receive(cipher, &mut plain),
            None => Ok(false),
        };
        if self.conn.phase == Phase::Opening && !self.is_handshaking() && result.is_ok() {
            self.open(el);
            self.take_over(el);
        }
        if plain.len() > before && self.takes_input() {
            self.deliver(el, &plain);
        }
        match result {
            Ok(true) => self.end_of_file(el),
            Ok(false) => {}
            Err(reason) => {
                // The alert that tells the peer what was wrong goes out as far as it can.
                let _ = self.conn.flush(&mut el.spares);
                self.conn.close_because(reason);
            }
        }
        if plain.capacity() > limits::UNCONSUMED {
            plain = Vec::new();
        }
        el.spares.plain = plain;
    }

    /// Lets a handler that was given the connection take it. True where there was one.
    fn take_over(&mut self, el: &mut EventLoop) -> bool {
        let mut any = false;
        while let Some(next) = self.conn.next.take() {
            any = true;
            self.handler = next;
            if self.takes_input() {
                self.handler.opened(&mut self.conn, el);
            }
        }
        any
    }

    // ---- out, and the end ----

    fn settle(&mut self, el: &mut EventLoop) {
        if self.take_over(el) {
            self.redeliver(el);
        }
        self.send(el);
        self.tell_room(el);
        if let Some(to) = self.conn.detach.take()
            && self.conn.dead.is_none()
        {
            return self.leave(el, to);
        }
        self.close_when_sent(el);
        if let Some(reason) = self.conn.dead.take() {
            self.finish(el, &reason);
            el.remove(self.conn.id);
            return;
        }
        let conn = &mut self.conn;
        if !conn.flags.paused && (conn.flags.unread || conn.flags.redeliver) {
            let ready = if conn.flags.unread { Ready::READABLE } else { Ready::default() };
            conn.flags.unread = false;
            el.again(conn.id, ready);
        }
        if let Some(queue) = conn.queue.take_if(|queue| queue.is_empty()) {
            el.spares.keep_queue(queue);
        }
        self.arm(el);
    }

    fn send(&mut self, el: &mut EventLoop) {
        let conn = &mut self.conn;
        if conn.dead.is_some() || conn.flags.blocked || !conn.has_output() {
            return;
        }
        let before = conn.sent;
        match conn.flush(&mut el.spares) {
            Ok(all) => conn.flags.blocked = !all,
            Err(error) => conn.dead = Some(CloseReason::of(error)),
        }
        if conn.sent > before || !conn.flags.blocked {
            conn.last_progress = el.now();
        }
    }

    /// Tells the handler of full and of emptied queues.
    fn tell_room(&mut self, el: &mut EventLoop) {
        let conn = &mut self.conn;
        if conn.dead.is_some() || conn.phase != Phase::Open {
            return;
        }
        let queued = conn.queued();
        if !conn.flags.congested && queued > conn.options.high_water {
            conn.flags.congested = true;
            self.handler.congested(conn, el);
        } else if conn.flags.congested && queued <= conn.options.low_water
            || conn.flags.wants_room && queued == 0 && !conn.flags.blocked
        {
            conn.flags.congested = false;
            conn.flags.wants_room = false;
            conn.lend_queue(&mut el.spares);
            self.handler.writable(conn, el);
            self.send(el);
        }
    }

    fn close_when_sent(&mut self, el: &mut EventLoop) {
        let conn = &mut self.conn;
        if conn.dead.is_some() || conn.has_output() {
            return;
        }
        match conn.phase {
            Phase::Closing if conn.flags.peer_ended => conn.dead = Some(CloseReason::Peer),
            Phase::Closing => {
                conn.shutdown_write();
                conn.phase = Phase::Lingering;
                conn.deadline = Some(el.now() + limits::LINGER);
                if std::mem::take(&mut conn.flags.paused) {
                    conn.flags.unread = true;
                }
            }
            _ if conn.flags.half_close => {
                conn.shutdown_write();
                if conn.flags.peer_ended {
                    conn.dead = Some(CloseReason::Peer);
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self, el: &mut EventLoop, reason: &CloseReason) {
        if let Some((timer, _)) = self.conn.timer.take() {
            el.timers.cancel(timer);
        }
        el.count_connection(-1);
        // Whatever the handler asks of the connection now is asked of something that has ended.
        self.conn.phase = Phase::Lingering;
        self.handler.closed(&mut self.conn, el, reason);
    }

    /// Takes the connection off the loop and gives it away.
    fn leave(&mut self, el: &mut EventLoop, to: super::connection::DetachTo) {
        let conn = &mut self.conn;
        let fd = conn.fd.try_clone().and_then(|fd| el.unwatch(conn.fd.as_fd()).map(|()| fd));
        let fd = match fd {
            Ok(fd) => fd,
            Err(error) => {
                let reason = CloseReason::of(error);
                self.finish(el, &reason);
                el.remove(self.conn.id);
                return;
            }
        };
        if let Some((timer, _)) = conn.timer.take() {
            el.timers.cancel(timer);
        }
        let detached = Detached {
            fd,
            peer: conn.peer,
            tls: conn.tls.take(),
            rest: std::mem::take(&mut conn.rest),
            queue: conn.queue.take(),
            options: (*conn.options).clone(),
            pass: conn.pass.take(),
            peer_ended: conn.flags.peer_ended,
            received: conn.received,
            sent: conn.sent,
        };
        el.count_connection(-1);
        el.remove(conn.id);
        to(el, detached);
    }

    // ---- time ----

    fn check_time(&mut self, now: Instant) {
        let conn = &mut self.conn;
        if conn.dead.is_some() {
            return;
        }
        if conn.deadline.is_some_and(|deadline| now >= deadline) {
            conn.dead = Some(match conn.phase {
                Phase::Opening => CloseReason::Tls("the handshake took too long".into()),
                _ => CloseReason::Lingered,
            });
        } else if let Some(stalled) = conn.options.stalled.filter(|stalled| {
            conn.flags.blocked && conn.has_output() && now >= conn.last_progress + *stalled
        }) {
            conn.dead = Some(CloseReason::Stalled(stalled));
        } else if let Some(idle) =
            conn.options.idle.filter(|idle| now >= conn.last_received + *idle)
        {
            conn.dead = Some(CloseReason::Idle(idle));
        }
    }

    /// Makes sure that the timer fires no later than the first bound.
    fn arm(&mut self, el: &mut EventLoop) {
        let conn = &mut self.conn;
        let mut first = conn.deadline;
        let mut consider = |at: Instant| first = Some(first.map_or(at, |first| first.min(at)));
        if let Some(idle) = conn.options.idle {
            consider(conn.last_received + idle);
        }
        if let Some(stalled) = conn.options.stalled
            && conn.flags.blocked
        {
            consider(conn.last_progress + stalled);
        }
        let Some(first) = first else { return };
        if let Some((timer, at)) = conn.timer {
            if at <= first {
                return;
            }
            el.timers.cancel(timer);
        }
        conn.timer = Some((el.timers.start_source(first, conn.id, OWN_TIMER), first));
    }
}

impl EventLoop {
    /// Puts a connection on this loop. `opened` is called on the handler in the next round of events.
    ///
    /// # Errors
    /// The kernel refuses to watch the socket.
    pub fn adopt(&mut self, from: Detached, handler: Box<dyn Handler>) -> io::Result<SourceId> {
        let options = Rc::new(from.options.clone());
        self.adopt_with(from, options, handler)
    }

    /// [`EventLoop::adopt`] for many connections with the same options, which share them.
    pub(super) fn adopt_with(
        &mut self,
        from: Detached,
        options: Rc<Options>,
        handler: Box<dyn Handler>,
    ) -> io::Result<SourceId> {
        let id = self.reserve(from.fd.as_fd(), Interest::READABLE | Interest::WRITABLE)?;
        let mut conn = Connection::new(from.fd, id, options, self.now());
        conn.peer = from.peer;
        conn.pass = from.pass;
        conn.received = from.received;
        conn.sent = from.sent;
        conn.flags.peer_ended = from.peer_ended;
        conn.flags.redeliver = !from.rest.is_empty();
        conn.rest = from.rest;
        conn.queue = from.queue;
        conn.tls = from.tls;
        if conn.tls.as_ref().is_some_and(|tls| tls.is_handshaking()) {
            conn.deadline = Some(self.now() + limits::TLS_HANDSHAKE);
        }
        if self.is_draining() {
            conn.close();
        }
        self.count_connection(1);
        self.fill(id, Box::new(TcpSource { conn, handler }));
        self.again(id, Ready::default());
        Ok(id)
    }
}
