//! One connection to a server, and the request that is on it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use super::job::{Job, Lost, far};
use super::pool::{Idle, Seat};
use super::{ClientCause, Incoming};
use crate::event_loop::EventLoop;
use crate::http::{
    BodyDecoder, BodyEvent, BodyFraming, HeadScan, HeaderSpace, HttpError, Parsed, ResponseHead,
    StatusCode, Url,
};
use crate::limits;
use crate::tcp::{CloseReason, Connection, Handler};
use crate::timer::Timer;

/// Where a request is left for a connection that is to carry it.
#[derive(Default)]
pub(super) struct Link(RefCell<Option<Rc<Job>>>);

impl Link {
    pub fn leave(&self, job: Rc<Job>) {
        self.0.replace(Some(job));
    }

    fn take(&self) -> Option<Rc<Job>> {
        self.0.take()
    }

    fn is_empty(&self) -> bool {
        self.0.borrow().is_none()
    }
}

/// The handler of a connection, from its opening through all its requests to its end.
pub(super) struct Line {
    /// Gone once the connection is somebody else's.
    seat: Option<Seat>,
    link: Rc<Link>,
    exchange: Option<Box<Exchange>>,
    /// Has answered a request, or lain idle.
    is_used: bool,
    idle_since: Instant,
    /// Ends an idle connection. It is not moved while requests come: when it fires too early it is
    /// started anew.
    timer: Option<Timer>,
}

/// A request under way and what is known of its answer.
struct Exchange {
    job: Rc<Job>,
    /// What the connection had sent before.
    sent_before: u64,
    is_heard: bool,
    scan: HeadScan,
    interim: u32,
    keep_alive: bool,
    body: Option<BodyDecoder>,
    /// The answer is a redirect to there; its body is skipped.
    redirect: Option<(Url, StatusCode)>,
}

/// What comes after a step through the input.
enum Next {
    /// The next step.
    Step,
    /// More bytes, or the end of a pause.
    Wait,
    /// The answer is over.
    Done,
    Failed(ClientCause),
    /// The caller has given the request up.
    GivenUp,
    /// The caller takes the connection.
    Taken(Box<dyn Handler>),
}

impl Line {
    pub fn new(seat: Seat, job: Option<Rc<Job>>) -> Self {
        Self {
            seat: Some(seat),
            link: Rc::new(Link(RefCell::new(job))),
            exchange: None,
            is_used: false,
            idle_since: Instant::now(),
            timer: None,
        }
    }

    /// Takes up the request that was left for this connection.
    fn take_up(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        match self.link.take() {
            Some(job) if job.is_over() => conn.close_now(),
            Some(job) => self.ask(conn, el, job),
            None => {}
        }
    }

    fn ask(&mut self, conn: &mut Connection, el: &mut EventLoop, job: Rc<Job>) {
        job.send(conn, el);
        job.apply_pause(conn);
        self.exchange = Some(Box::new(Exchange {
            job,
            sent_before: conn.sent(),
            is_heard: false,
            scan: HeadScan::default(),
            interim: 0,
            keep_alive: false,
            body: None,
            redirect: None,
        }));
    }

    /// Serves whoever waits, or lies idle.
    fn rest(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        self.is_used = true;
        let Some((client, seat)) =
            self.seat.as_ref().and_then(|seat| Some((seat.client.upgrade()?, seat)))
        else {
            return conn.close_now();
        };
        let waiting = client.pool.borrow_mut().next_waiting(&seat.origin);
        if let Some(job) = waiting {
            return self.ask(conn, el, job);
        }
        let idle = Idle { id: conn.id(), link: Rc::clone(&self.link) };
        let options = &client.options;
        if !client.pool.borrow_mut().keep(&seat.origin, idle, options.idle_at_most) {
            return conn.close_now();
        }
        self.idle_since = el.now();
        if self.timer.is_none() {
            self.timer = Some(conn.start_timer(el, options.idle_for, 0));
        }
    }

    /// Takes the connection out of the pool.
    fn forget(&self, conn: &Connection) {
        if let Some(seat) = &self.seat
            && let Some(client) = seat.client.upgrade()
        {
            client.pool.borrow_mut().forget(&seat.origin, conn.id());
        }
    }

    /// The answer has been read to its end; `behind` bytes follow it that nobody asked for.
    fn done(
        &mut self,
        conn: &mut Connection,
        el: &mut EventLoop,
        exchange: &Exchange,
        behind: usize,
    ) {
        if behind > 0 && exchange.keep_alive {
            tracing::debug!(?conn, behind, "bytes behind an answer; the connection is closed");
        }
        conn.resume();
        exchange.job.leave_connection();
        // A server that answers before it has the whole request may not read the rest of it.
        let is_whole = behind == 0 && conn.queued() == 0;
        if exchange.keep_alive && is_whole && !conn.is_closing() && !el.is_draining() {
            self.rest(conn, el);
        } else {
            conn.close_now();
        }
        match &exchange.redirect {
            Some((url, status)) => exchange.job.follow(el, url.clone(), *status),
            None => exchange.job.end(el, Ok(())),
        }
    }

    fn taken(
        &mut self,
        conn: &mut Connection,
        el: &mut EventLoop,
        job: &Job,
        by: Box<dyn Handler>,
    ) {
        if let Some(timer) = self.timer.take() {
            el.cancel(timer);
        }
        conn.resume();
        job.leave_connection();
        job.give_up(el);
        conn.hand_over(by);
        self.leave_seat(el);
    }

    fn leave_seat(&mut self, el: &mut EventLoop) {
        let Some(seat) = self.seat.take() else { return };
        let (client, origin) = (seat.client.upgrade(), Rc::clone(&seat.origin));
        drop(seat);
        if let Some(client) = client {
            client.serve_waiting(el, &origin);
        }
    }
}

impl Handler for Line {
    fn opened(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        if self.link.is_empty() {
            self.rest(conn, el);
        } else {
            self.take_up(conn, el);
        }
    }

    fn due(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        self.take_up(conn, el);
    }

    fn received(&mut self, conn: &mut Connection, el: &mut EventLoop, input: &[u8]) -> usize {
        let Some(mut exchange) = self.exchange.take() else {
            tracing::debug!(?conn, bytes = input.len(), "bytes without a request; closed");
            self.forget(conn);
            conn.close_now();
            return input.len();
        };
        exchange.is_heard |= !input.is_empty();
        let mut at = 0;
        let next = loop {
            let (used, next) = exchange.step(conn, el, input.get(at..).unwrap_or_default());
            at += used;
            if !matches!(next, Next::Step) {
                break next;
            }
        };
        match next {
            Next::Step | Next::Wait => {
                self.exchange = Some(exchange);
                return at;
            }
            Next::Done => self.done(conn, el, &exchange, input.len().saturating_sub(at)),
            Next::Failed(cause) => {
                conn.close_now();
                exchange.job.fail_apart(el, cause);
            }
            Next::GivenUp => conn.close_now(),
            Next::Taken(by) => {
                self.taken(conn, el, &exchange.job, by);
                return at;
            }
        }
        input.len()
    }

    fn ended(&mut self, conn: &mut Connection, el: &mut EventLoop, _: &[u8]) {
        // Where the server has closed, nothing more is asked of it, queued bytes included.
        conn.close_because(CloseReason::Peer);
        self.forget(conn);
        // A body that ends with the connection is whole only where the end is the server's own.
        let was_cut = conn.was_cut();
        let is_whole = |exchange: &mut Box<Exchange>| {
            !was_cut && exchange.body.as_ref().is_some_and(|body| body.finish().is_ok())
        };
        if let Some(exchange) = self.exchange.take_if(is_whole) {
            self.done(conn, el, &exchange, 0);
        }
    }

    fn writable(&mut self, _: &mut Connection, el: &mut EventLoop) {
        if let Some(exchange) = &self.exchange {
            exchange.job.is_sent(el);
        }
    }

    fn timer(&mut self, conn: &mut Connection, el: &mut EventLoop, _: u32) {
        self.timer = None;
        if self.exchange.is_some() || !self.link.is_empty() {
            return;
        }
        let Some(seat) = &self.seat else { return };
        let Some(client) = seat.client.upgrade() else { return conn.close_now() };
        let (options, now) = (&client.options, Instant::now());
        let left = far(self.idle_since, options.idle_for).saturating_duration_since(now);
        let is_spared = client.pool.borrow().idle_to(&seat.origin) <= options.idle_at_least;
        if left.is_zero() && !is_spared {
            self.forget(conn);
            return conn.close_now();
        }
        let again = if left.is_zero() { options.idle_for } else { left };
        self.timer = Some(conn.start_timer(el, again, 0));
    }

    fn drain(&mut self, conn: &mut Connection, _: &mut EventLoop) {
        // A request that is under way is answered or runs into its bounds; then the connection closes.
        if self.exchange.is_none() && self.link.is_empty() {
            self.forget(conn);
            conn.close_now();
        }
    }

    fn closed(&mut self, conn: &mut Connection, el: &mut EventLoop, reason: &CloseReason) {
        if let Some(timer) = self.timer.take() {
            el.cancel(timer);
        }
        self.forget(conn);
        let (exchange, left) = (self.exchange.take(), self.link.take());
        let loop_ended = matches!(reason, CloseReason::LoopEnded);
        self.leave_seat(el);
        if let Some(exchange) = exchange {
            match exchange.redirect {
                Some((url, status)) if !exchange.job.is_over() && !loop_ended => {
                    exchange.job.follow(el, url, status);
                }
                _ => exchange.job.lost(el, &exchange.lost(conn, self.is_used), reason),
            }
        } else if let Some(job) = left {
            let when = if self.is_used { "before the request" } else { "before it was open" };
            let lost = Lost { is_reused: self.is_used, is_sent: false, is_heard: false, when };
            job.lost(el, &lost, reason);
        }
    }
}

impl Exchange {
    fn step(&mut self, conn: &mut Connection, el: &mut EventLoop, input: &[u8]) -> (usize, Next) {
        if self.body.is_some() { self.body(conn, el, input) } else { self.head(conn, el, input) }
    }

    fn head(&mut self, conn: &mut Connection, el: &mut EventLoop, input: &[u8]) -> (usize, Next) {
        let method = self.job.ask.borrow().request.method;
        let mut space = HeaderSpace::new();
        let (head, len) = match ResponseHead::parse(input, method, &mut self.scan, &mut space) {
            Ok(Parsed::Complete { head, len }) => (head, len),
            Ok(Parsed::Incomplete) => return (0, Next::Wait),
            Err(error) => return (0, Next::Failed(ClientCause::Answer(error))),
        };
        let next = match self.judge(conn, el, &head) {
            Ok(next) => next,
            Err(cause) => Next::Failed(cause),
        };
        (len, next)
    }

    fn judge(
        &mut self,
        conn: &mut Connection,
        el: &mut EventLoop,
        head: &ResponseHead<'_>,
    ) -> Result<Next, ClientCause> {
        let wrong = |what| ClientCause::Answer(HttpError::bad_request(what));
        let switches = head.status == StatusCode::SWITCHING_PROTOCOLS;
        if head.status.is_informational() && !switches {
            self.interim += 1;
            if self.interim > limits::HTTP_INTERIM {
                return Err(wrong("there are more interim answers than are accepted here"));
            }
            return Ok(Next::Step);
        }
        if switches && self.job.ask.borrow().request.upgrade.is_none() {
            return Err(wrong("it switches protocols, which was not asked for"));
        }
        self.keep_alive = head.keep_alive;
        if let Some(redirect) = self.job.redirect(head) {
            self.redirect = Some((redirect?, head.status));
            return Ok(match BodyDecoder::new(head.framing, limits::HTTP_SKIPPED) {
                Ok(body) if head.keep_alive => {
                    self.body = Some(body);
                    self.job.body_begins(el);
                    Next::Step
                }
                _ => {
                    self.keep_alive = false;
                    Next::Done
                }
            });
        }
        let most = self.body_at_most();
        // The frame of a body of which nothing is known but that it is too long is right.
        let body = BodyDecoder::new(head.framing, most).map_err(|_| ClientCause::TooLarge(most))?;
        let taken = self.job.with_sink(|sink| {
            sink.head(&mut Incoming { conn: &mut *conn, job: &self.job }, el, head)
        });
        if self.job.is_over() {
            return Ok(Next::GivenUp);
        }
        if let Some(by) = taken.flatten() {
            return Ok(Next::Taken(by));
        }
        if switches {
            return Err(wrong("it switches protocols, and nobody takes the connection over"));
        }
        self.job.apply_pause(conn);
        self.body = Some(body);
        if head.framing != BodyFraming::None {
            self.job.body_begins(el);
        }
        Ok(Next::Step)
    }

    fn body(&mut self, conn: &mut Connection, el: &mut EventLoop, input: &[u8]) -> (usize, Next) {
        let Some(decoder) = &mut self.body else { return (0, Next::Step) };
        if self.job.is_paused() && self.redirect.is_none() && !decoder.is_done() {
            return (0, Next::Wait);
        }
        let step = match decoder.decode(input) {
            Ok(step) => step,
            Err(_) if self.redirect.is_some() => {
                self.keep_alive = false;
                return (0, Next::Done);
            }
            Err(error) if error.status == StatusCode::CONTENT_TOO_LARGE => {
                return (0, Next::Failed(ClientCause::TooLarge(self.body_at_most())));
            }
            Err(error) => return (0, Next::Failed(ClientCause::Answer(error.in_response()))),
        };
        let next = match step.event {
            BodyEvent::NeedMore => Next::Wait,
            BodyEvent::End => Next::Done,
            BodyEvent::Data(data) => {
                if self.redirect.is_none() {
                    self.job.body_goes_on(el.now());
                    self.job.with_sink(|sink| {
                        sink.data(&mut Incoming { conn: &mut *conn, job: &self.job }, el, data);
                    });
                }
                if self.job.is_over() {
                    return (step.consumed, Next::GivenUp);
                }
                self.job.apply_pause(conn);
                Next::Step
            }
        };
        (step.consumed, next)
    }

    fn body_at_most(&self) -> u64 {
        self.job.ask.borrow().request.body_at_most.unwrap_or(u64::MAX)
    }

    fn lost(&self, conn: &Connection, is_reused: bool) -> Lost {
        let when = match (self.is_heard, &self.body) {
            (false, _) => "before the answer",
            (true, None) => "within the head of the answer",
            (true, Some(_)) => "within the body of the answer",
        };
        let is_sent = conn.sent() != self.sent_before;
        Lost { is_reused, is_sent, is_heard: self.is_heard, when }
    }
}
