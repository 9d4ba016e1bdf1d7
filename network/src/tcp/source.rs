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

/// How often within the stall bound a connection that waits for its peer is looked at.
const STALL_LOOKS: u32 = 4;

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
    fn ready(&mut self, el: &mut EventLoop, _: SourceId, ready: Ready) {
        self.note(el, ready);
        if self.conn.phase == Phase::Opening && !self.is_handshaking() {
            self.open(el);
        }
        self.take_in(el);
        self.settle(el);
    }

    fn due(&mut self, el: &mut EventLoop, _: SourceId) {
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
            self.conn.lend_queue(&mut el.spares);
            self.handler.timer(&mut self.conn, el, key);
        }
        self.settle(el);
    }

    fn drain(&mut self, el: &mut EventLoop, _: SourceId) {
        match self.conn.phase {
            Phase::Opening => self.conn.close(),
            Phase::Open => {
                self.conn.lend_queue(&mut el.spares);
                self.handler.drain(&mut self.conn, el);
            }
            Phase::Closing | Phase::Lingering => {}
        }
        self.settle(el);
    }

    fn ended(&mut self, el: &mut EventLoop, _: SourceId) {
        let gone = el.handle().has_ended();
        self.finish(el, if gone { &CloseReason::LoopEnded } else { &CloseReason::Local });
    }

    fn connection(&mut self) -> Option<&mut Connection> {
        Some(&mut self.conn)
    }
}

impl TcpSource {
    fn open(&mut self, el: &mut EventLoop) {
        // Who was given the connection before it opened is the one that sees it open.
        self.take_over(el);
        self.conn.phase = Phase::Open;
        self.conn.deadline = None;
        self.conn.lend_queue(&mut el.spares);
        self.handler.opened(&mut self.conn, el);
        self.take_over(el);
    }

    fn is_handshaking(&self) -> bool {
        self.conn.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    fn takes_input(&self) -> bool {
        self.conn.dead.is_none() && matches!(self.conn.phase, Phase::Open | Phase::Opening)
    }

    /// True where the handler may be shown input now.
    fn hears(&self) -> bool {
        self.takes_input() && !self.conn.flags.paused && self.conn.detach.is_none()
    }

    /// True where the socket may be read now: also to discard what comes during a graceful close.
    fn reads(&self) -> bool {
        let held_up = self.conn.flags.paused && self.takes_input();
        self.conn.dead.is_none() && self.conn.detach.is_none() && !held_up
    }

    /// Keeps in mind what the kernel said: the edge does not come again.
    fn note(&mut self, el: &EventLoop, ready: Ready) {
        let failed = ready.contains(Ready::ERROR);
        let ended = ready.contains(Ready::READ_CLOSED);
        let (held_up, conn) = (!self.reads(), &mut self.conn);
        if ready.contains(Ready::WRITABLE) && std::mem::take(&mut conn.flags.blocked) {
            conn.last_progress = el.now();
        }
        conn.flags.read_closed |= ended;
        // After the end of file only an error is news.
        if failed || (ended || ready.contains(Ready::READABLE)) && !conn.flags.peer_ended {
            conn.flags.unread = true;
        }
        // A reset of a connection whose end was read is told to nobody who reads.
        if failed
            && (held_up || conn.flags.peer_ended)
            && let Ok(Some(error)) = socket2::SockRef::from(&conn.fd).take_error()
        {
            conn.close_because(CloseReason::of(error));
        }
    }

    // ---- in ----

    /// First what is left from before, then what is in the socket, last its end.
    fn take_in(&mut self, el: &mut EventLoop) {
        if self.conn.flags.redeliver && self.hears() {
            self.deliver_rest(el);
        }
        if self.conn.flags.unread && self.reads() {
            self.read(el);
        }
        if self.conn.flags.end_untold && !self.conn.flags.redeliver && self.hears() {
            self.conn.flags.end_untold = false;
            let rest = std::mem::take(&mut self.conn.rest);
            self.conn.lend_queue(&mut el.spares);
            self.handler.ended(&mut self.conn, el, &rest);
            self.conn.rest = rest;
        }
    }

    fn read(&mut self, el: &mut EventLoop) {
        if self.conn.flags.discards {
            return self.discard(el);
        }
        let mut input = std::mem::take(&mut el.input);
        // Ciphertext has no rest: the TLS layer keeps an incomplete record itself.
        let rest = if self.conn.tls.is_none() { self.conn.rest.len() } else { 0 };
        // Room for the rest in front of what is read, where it may be the shorter of the two.
        let head = if rest <= limits::READ_CHUNK { rest } else { 0 };
        if input.len() < head + limits::READ_CHUNK {
            input.resize(head + limits::READ_CHUNK, 0);
        }
        self.conn.flags.unread = false;
        match sys::recv(self.conn.fd.as_fd(), &mut input[head..head + limits::READ_CHUNK]) {
            Ok(0) => self.end_of_file(),
            Ok(n) => {
                self.conn.received += n as u64;
                self.conn.last_received = el.now();
                // A short read has emptied the socket, and the kernel will tell of more. A full one,
                // or one before an end of file that was announced, asks for another round.
                self.conn.flags.unread = n == limits::READ_CHUNK || self.conn.flags.read_closed;
                if !self.takes_input() {
                    // Closing: what the peer still says is not heard.
                } else if self.conn.tls.is_some() {
                    self.decrypt(el, &input[..n]);
                } else if n >= rest {
                    input[..rest].copy_from_slice(&self.conn.rest);
                    self.deliver(el, &input[..rest + n]);
                } else {
                    // A long rest that grows by little is not copied for each little.
                    self.conn.rest.extend_from_slice(&input[head..head + n]);
                    self.deliver_rest(el);
                }
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => {}
                io::ErrorKind::Interrupted => self.conn.flags.unread = true,
                _ => self.conn.close_because(CloseReason::of(error)),
            },
        }
        el.input = input;
    }

    /// [`Self::read`] for a connection whose bytes nobody wants.
    fn discard(&mut self, el: &mut EventLoop) {
        let conn = &mut self.conn;
        conn.flags.unread = false;
        let most = conn.discard_left;
        match sys::discard(conn.fd.as_fd(), most) {
            Ok(0) => self.end_of_file(),
            Ok(n) => {
                conn.received += n as u64;
                conn.last_received = el.now();
                if most != u64::MAX {
                    conn.discard_left = most.saturating_sub(n as u64);
                    conn.flags.discards = conn.discard_left > 0;
                }
                // One call takes all there is, up to the last that is to be thrown away; before an end
                // that was announced comes one more.
                conn.flags.unread = conn.flags.read_closed || !conn.flags.discards;
                if self.takes_input() {
                    self.conn.lend_queue(&mut el.spares);
                    self.handler.discarded(&mut self.conn, el, n);
                }
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => {}
                io::ErrorKind::Interrupted => conn.flags.unread = true,
                _ => conn.close_because(CloseReason::of(error)),
            },
        }
    }

    fn end_of_file(&mut self) {
        let conn = &mut self.conn;
        // Who takes the connection over sees the end again on the socket.
        if conn.dead.is_some() || conn.detach.is_some() || conn.flags.peer_ended {
            return;
        }
        conn.flags.peer_ended = true;
        match conn.phase {
            Phase::Open => conn.flags.end_untold = true,
            Phase::Opening => conn.close_because(CloseReason::Peer),
            Phase::Closing => {}
            Phase::Lingering => conn.close_because(CloseReason::Local),
        }
    }

    /// Shows input to the handler, and to those who take over from it. Returns how much is left.
    fn offer(&mut self, el: &mut EventLoop, mut input: &[u8]) -> usize {
        self.conn.flags.redeliver = false;
        while !input.is_empty() && self.hears() {
            self.conn.flags.redeliver = false;
            self.conn.lend_queue(&mut el.spares);
            let consumed = self.handler.received(&mut self.conn, el, input);
            input = input.get(consumed..).unwrap_or(&[]);
            // Resumed by the very call that had paused: goes on, or in another turn where it has made
            // no progress, unless there is no more to come.
            self.conn.flags.redeliver &= consumed > 0 || !self.conn.flags.peer_ended;
            let goes_on = self.conn.flags.redeliver && consumed > 0;
            if !self.take_over(el) && !goes_on {
                break;
            }
        }
        if self.conn.flags.discards {
            return 0;
        }
        input.len()
    }

    /// Delivers what lies in the loop's buffer, and keeps what is left.
    fn deliver(&mut self, el: &mut EventLoop, input: &[u8]) {
        let left = self.offer(el, input);
        if self.conn.flags.starts_tls {
            return self.start_tls(el, input.get(input.len() - left..).unwrap_or(&[]));
        }
        let conn = &mut self.conn;
        if left > 0 {
            if conn.rest.capacity() == 0 {
                conn.rest = el.spares.rest();
            }
            conn.rest.clear();
            conn.rest.extend_from_slice(input.get(input.len() - left..).unwrap_or(&[]));
        } else if conn.rest.capacity() > 0 {
            el.spares.keep_rest(std::mem::take(&mut conn.rest));
        }
        self.check_rest();
    }

    /// Delivers what is left from before: after a pause, to a new handler, or because it has grown.
    fn deliver_rest(&mut self, el: &mut EventLoop) {
        let mut rest = std::mem::take(&mut self.conn.rest);
        let left = self.offer(el, &rest);
        if self.conn.flags.starts_tls {
            return self.start_tls(el, rest.get(rest.len() - left..).unwrap_or(&[]));
        }
        if left > 0 {
            rest.drain(..rest.len() - left);
            self.conn.rest = rest;
        } else {
            el.spares.keep_rest(rest);
        }
        self.check_rest();
    }

    /// From here on the peer speaks TLS; its first words are here already.
    fn start_tls(&mut self, el: &mut EventLoop, cipher: &[u8]) {
        self.conn.flags.starts_tls = false;
        self.conn.rest = Vec::new();
        self.conn.phase = Phase::Opening;
        self.conn.deadline = Some(el.now() + self.conn.options.handshake);
        self.decrypt(el, cipher);
    }

    fn check_rest(&mut self) {
        let (hears, conn) = (self.hears(), &mut self.conn);
        if hears && conn.rest.len() > conn.options.unconsumed {
            conn.close_because(CloseReason::TooLarge(conn.options.unconsumed));
        }
    }

    fn decrypt(&mut self, el: &mut EventLoop, cipher: &[u8]) {
        let mut plain = std::mem::take(&mut el.spares.plain);
        plain.clear();
        // As in `read`: the shorter of the two is copied.
        let rest_grows = self.conn.rest.len() > cipher.len();
        if !rest_grows {
            plain.extend_from_slice(&self.conn.rest);
        }
        let before = plain.len();
        let result = match self.conn.tls.as_mut() {
            Some(tls) => tls.receive(cipher, &mut plain),
            None => Ok(false),
        };
        if self.conn.phase == Phase::Opening && !self.is_handshaking() && result.is_ok() {
            self.open(el);
        }
        if plain.len() > before && self.takes_input() {
            if rest_grows {
                self.conn.rest.extend_from_slice(&plain);
                self.deliver_rest(el);
            } else {
                self.deliver(el, &plain);
            }
        }
        match result {
            Ok(true) => {
                self.conn.flags.goodbye = true;
                self.end_of_file();
            }
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

    /// Lets a handler that was given the connection take it. True where there was one. A connection
    /// that has ended stays with the handler that knows it.
    fn take_over(&mut self, el: &mut EventLoop) -> bool {
        let mut any = false;
        while let Some(next) = self.conn.next.take().filter(|_| self.takes_input()) {
            any = true;
            self.handler = next;
            if self.conn.phase == Phase::Open {
                self.conn.flags.redeliver = true;
                self.conn.flags.end_untold = self.conn.flags.peer_ended;
                self.conn.lend_queue(&mut el.spares);
                self.handler.opened(&mut self.conn, el);
            }
        }
        any
    }

    // ---- out, and the end ----

    fn settle(&mut self, el: &mut EventLoop) {
        if !el.contains(self.conn.id) {
            // Its handler has taken it off the loop, which is one more way to close it.
            return self.finish(el, &CloseReason::Local);
        }
        self.take_over(el);
        self.send(el);
        self.tell_room(el);
        if self.take_over(el) {
            self.send(el);
        }
        if let Some(to) = self.conn.detach.take()
            && self.takes_input()
        {
            return self.leave(el, to);
        }
        self.close_when_sent(el);
        if let Some(reason) = self.conn.dead.take() {
            self.finish(el, &reason);
            el.remove(self.conn.id);
            return;
        }
        let (hears, reads, conn) = (self.hears(), self.reads(), &mut self.conn);
        if let Some(queue) = conn.queue.take_if(|queue| queue.is_empty()) {
            el.spares.keep_queue(queue);
        }
        let flags = &conn.flags;
        let more_in = reads && flags.unread
            || hears && (flags.end_untold || flags.redeliver && !conn.rest.is_empty());
        if more_in || conn.owes_writable() {
            el.again(conn.id, Ready::default());
        }
        self.arm(el);
    }

    fn send(&mut self, el: &mut EventLoop) {
        let conn = &mut self.conn;
        if conn.dead.is_some() || conn.flags.blocked || !conn.has_output() {
            return;
        }
        conn.flags.moved = true;
        match conn.flush(&mut el.spares) {
            Ok(all) => conn.flags.blocked = !all,
            Err(error) => conn.dead = Some(CloseReason::of(error)),
        }
    }

    /// Tells the handler of full and of emptied queues.
    fn tell_room(&mut self, el: &mut EventLoop) {
        let conn = &mut self.conn;
        let emptied = conn.flags.congested && conn.queued() <= conn.options.low_water;
        if conn.is_open() && (emptied || conn.owes_writable()) {
            conn.flags.congested = false;
            conn.flags.wants_room = false;
            conn.lend_queue(&mut el.spares);
            self.handler.writable(conn, el);
            self.send(el);
        }
        let conn = &mut self.conn;
        if conn.is_open() && !conn.flags.congested && conn.queued() > conn.options.high_water {
            conn.flags.congested = true;
            self.handler.congested(conn, el);
        }
    }

    fn close_when_sent(&mut self, el: &mut EventLoop) {
        let conn = &mut self.conn;
        let closes = conn.flags.half_close || conn.phase == Phase::Closing;
        if !closes || conn.dead.is_some() || conn.has_output() || conn.phase == Phase::Lingering {
            return;
        }
        let (closing, peer_ended) = (conn.phase == Phase::Closing, conn.flags.peer_ended);
        // A peer that has ended sees the close itself; but TLS has a last word, without which it takes
        // the end for a cut.
        let no_last_word = closing && peer_ended && conn.tls.is_none();
        if !no_last_word && !conn.shutdown_write() {
            return;
        }
        if closing && !peer_ended {
            conn.phase = Phase::Lingering;
            conn.deadline = Some(el.now() + conn.options.linger);
        } else if peer_ended && (closing || !conn.flags.end_untold) {
            conn.dead = Some(CloseReason::Peer);
        }
    }

    fn finish(&mut self, el: &mut EventLoop, reason: &CloseReason) {
        if std::mem::replace(&mut self.conn.flags.finished, true) {
            return;
        }
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
            options: Options { idle: conn.idle, ..(*conn.options).clone() },
            pass: conn.pass.take(),
            peer_ended: conn.flags.peer_ended,
            half_close: conn.flags.half_close,
            half_closed: conn.flags.half_closed,
            while_draining: false,
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
        if conn.waits_for_peer() {
            let unsent = conn.unsent();
            if conn.unsent_seen.is_some_and(|before| unsent < before) {
                conn.last_progress = now;
            }
            conn.unsent_seen = Some(unsent);
        }
        let closing = matches!(conn.phase, Phase::Closing | Phase::Lingering);
        if conn.deadline.is_some_and(|deadline| now >= deadline) {
            conn.dead = Some(match conn.phase {
                Phase::Opening => CloseReason::Tls("the handshake took too long".into()),
                _ => CloseReason::Lingered,
            });
        } else if let Some(bound) = conn.stall_bound()
            && conn.waits_for_peer()
            && now >= conn.last_progress + bound
        {
            let reason = CloseReason::Stalled(bound);
            conn.dead = Some(if closing { CloseReason::Lingered } else { reason });
        } else if let Some(idle) = conn.idle
            && !closing
            && now >= conn.last_received + idle
        {
            conn.dead = Some(CloseReason::Idle(idle));
        }
    }

    /// Makes sure that the timer fires no later than the first bound.
    fn arm(&mut self, el: &mut EventLoop) {
        let conn = &mut self.conn;
        let mut first = conn.deadline;
        let mut consider = |at: Instant| first = Some(first.map_or(at, |first| first.min(at)));
        if let Some(idle) = conn.idle
            && matches!(conn.phase, Phase::Open | Phase::Opening)
        {
            consider(conn.last_received + idle);
        }
        if std::mem::take(&mut conn.flags.moved) {
            conn.last_progress = el.now();
            conn.unsent_seen = None;
        }
        if let Some(bound) = conn.stall_bound()
            && conn.waits_for_peer()
        {
            // The socket tells of room only when there is much of it; a slow peer takes little. So
            // one looks into the kernel a few times before the bound is reached.
            consider((conn.last_progress + bound).min(el.now() + bound / STALL_LOOKS));
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
        conn.flags.end_untold = from.peer_ended;
        conn.flags.half_close = from.half_close;
        conn.flags.half_closed = from.half_closed;
        conn.flags.redeliver = true;
        conn.rest = from.rest;
        conn.queue = from.queue;
        conn.tls = from.tls;
        if conn.tls.as_ref().is_some_and(|tls| tls.is_handshaking()) {
            conn.deadline = Some(self.now() + conn.options.handshake);
        }
        if self.is_draining() {
            match from.while_draining {
                true => self.ends_without(id),
                false => conn.close(),
            }
        }
        self.count_connection(1);
        self.fill(id, Box::new(TcpSource { conn, handler }));
        self.again(id, Ready::default());
        Ok(id)
    }
}
