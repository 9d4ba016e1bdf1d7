//! One request, over all its connections: the wait for one, a retry, redirects, and the time it takes.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::dial::Dial;
use super::error::{ClientCause, ClientError, ClientTimeout};
use super::pool::Seat;
use super::request::ClientRequest;
use super::{Client, ResponseHandler};
use crate::event_loop::{EventLoop, SourceId};
use crate::http::{BodyFraming, HttpError, Method, RequestWriter, ResponseHead, StatusCode, Url};
use crate::limits;
use crate::tcp::{CloseReason, Connecting, Connection};
use crate::timer::Timer;

/// One request of a caller.
pub(super) struct Job {
    pub client: Rc<Client>,
    pub ask: RefCell<Ask>,
    /// Lent out while it runs; gone when the request is over.
    sink: RefCell<Option<Box<dyn ResponseHandler>>>,
    at: RefCell<At>,
    phase: Cell<Phase>,
    /// When the phase began, or last went on.
    since: Cell<Instant>,
    until: Cell<Option<Instant>>,
    /// Fires no later than the first bound. It is not moved when a bound is extended: when it fires
    /// too early it is started anew.
    timer: Cell<Option<(Timer, Instant)>>,
    is_paused: Cell<bool>,
    /// What the connection had sent when it was last looked at.
    sent: Cell<u64>,
    peer: Cell<Option<SocketAddr>>,
}

/// What is asked of whom, as the last redirect left it.
pub(super) struct Ask {
    pub request: ClientRequest,
    pub origin: Rc<str>,
    /// The head on the wire.
    pub head: Vec<u8>,
    pub redirects: u32,
    /// An idle connection turned out to be closed; the next one has to be a fresh one.
    is_retry: bool,
}

enum At {
    /// Between connections.
    Apart,
    /// In the queue of its origin.
    Waiting,
    /// Behind a name or a connect.
    Dialing(Option<Connecting>),
    /// Behind a connection that is not open yet.
    Opening,
    On(SourceId),
    Over,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Waiting,
    Connecting,
    Answer,
    Body,
}

/// How far a request had come when its connection ended.
pub(super) struct Lost {
    /// The connection had answered requests before.
    pub is_reused: bool,
    pub is_sent: bool,
    /// Something of the answer had arrived.
    pub is_heard: bool,
    pub when: &'static str,
}

impl Job {
    pub fn new(
        client: &Rc<Client>,
        request: ClientRequest,
        sink: Box<dyn ResponseHandler>,
        now: Instant,
    ) -> Rc<Self> {
        let origin = request.url.origin().into();
        let ask = Ask { request, origin, head: Vec::new(), redirects: 0, is_retry: false };
        Rc::new(Self {
            client: Rc::clone(client),
            ask: RefCell::new(ask),
            sink: RefCell::new(Some(sink)),
            at: RefCell::new(At::Apart),
            phase: Cell::new(Phase::Connecting),
            since: Cell::new(now),
            until: Cell::new(None),
            timer: Cell::new(None),
            is_paused: Cell::new(false),
            sent: Cell::new(0),
            peer: Cell::new(None),
        })
    }

    // ---- getting a connection ----

    pub fn start(self: &Rc<Self>, el: &mut EventLoop) {
        if self.is_over() {
            return;
        }
        let total = self.ask.borrow().request.total_within;
        self.until.set(total.map(|total| far(el.now(), total)));
        self.ask_anew(el);
    }

    /// Writes the head, then looks for a connection.
    fn ask_anew(self: &Rc<Self>, el: &mut EventLoop) {
        let written = self.ask.borrow_mut().write(&self.client);
        match written {
            Ok(()) => self.acquire(el),
            Err(cause) => self.end(el, Err(cause)),
        }
    }

    fn acquire(self: &Rc<Self>, el: &mut EventLoop) {
        if el.is_draining() {
            return self.end(el, Err(ClientCause::Ending));
        }
        let (origin, is_retry) = {
            let ask = self.ask.borrow();
            (Rc::clone(&ask.origin), ask.is_retry)
        };
        let take_idle = || self.client.pool.borrow_mut().take_idle(&origin);
        while !is_retry && let Some(idle) = take_idle() {
            if el.contains(idle.id) {
                idle.link.leave(Rc::clone(self));
                self.at.replace(At::On(idle.id));
                self.enter(el, Phase::Connecting);
                return el.mark_due(idle.id);
            }
        }
        if let Some(seat) = self.client.seat(&origin) {
            return self.dial(el, seat);
        }
        if !self.client.pool.borrow_mut().wait(&origin, self) {
            return self.end(el, Err(ClientCause::Crowded(limits::HTTP_WAITING)));
        }
        self.at.replace(At::Waiting);
        self.enter(el, Phase::Waiting);
    }

    pub fn dial(self: &Rc<Self>, el: &mut EventLoop, seat: Seat) {
        self.at.replace(At::Dialing(None));
        self.enter(el, Phase::Connecting);
        let url = self.ask.borrow().request.url.clone();
        Dial::start(el, &self.client, seat, &url, Some(self));
    }

    pub fn is_dialing(&self, connecting: Connecting) {
        self.at.replace(At::Dialing(Some(connecting)));
    }

    pub fn is_opening(&self) {
        self.at.replace(At::Opening);
    }

    /// Sends the request.
    pub fn send(self: &Rc<Self>, conn: &mut Connection, el: &mut EventLoop) {
        self.at.replace(At::On(conn.id()));
        self.peer.set(conn.peer());
        self.sent.set(conn.sent());
        self.enter(el, Phase::Answer);
        let ask = self.ask.borrow();
        conn.send(&ask.head);
        if !ask.request.body.is_empty() {
            conn.send_shared(ask.request.body.clone());
        }
        conn.want_room();
    }

    // ---- the answer ----

    /// The whole request is with the kernel: the server's time begins.
    pub fn is_sent(self: &Rc<Self>, el: &mut EventLoop) {
        if self.phase.get() == Phase::Answer {
            self.enter(el, Phase::Answer);
        }
    }

    pub fn body_begins(self: &Rc<Self>, el: &mut EventLoop) {
        self.enter(el, Phase::Body);
    }

    pub fn body_goes_on(&self, now: Instant) {
        self.since.set(now);
    }

    /// Where a redirect leads; `None` for an answer that is none.
    pub fn redirect(&self, head: &ResponseHead<'_>) -> Option<Result<Url, ClientCause>> {
        let ask = self.ask.borrow();
        let most = self.client.options.redirects;
        if most == 0 || !matches!(head.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
            return None;
        }
        let mut places = head.headers.values("location");
        let place = places.next()?;
        let unclear = |what| Some(Err(ClientCause::Answer(HttpError::bad_request(what))));
        if places.any(|other| other != place) {
            return unclear("it is a redirect to two places");
        }
        let Ok(place) = std::str::from_utf8(place) else {
            return unclear("it is a redirect to something that is not UTF-8");
        };
        if ask.redirects >= most {
            return Some(Err(ClientCause::TooManyRedirects(most)));
        }
        Some(match ask.request.url.join(place) {
            Ok(url) if ask.request.url.is_https() && !url.is_https() => {
                Err(ClientCause::Downgrade(url))
            }
            joined => joined.map_err(Into::into),
        })
    }

    pub fn follow(self: &Rc<Self>, el: &mut EventLoop, url: Url, status: StatusCode) {
        self.leave_connection();
        self.ask.borrow_mut().lead_to(url, status);
        self.peer.set(None);
        self.ask_anew(el);
    }

    /// The connection ended before the answer did.
    pub fn lost(self: &Rc<Self>, el: &mut EventLoop, lost: &Lost, reason: &CloseReason) {
        if self.is_over() {
            return;
        }
        self.leave_connection();
        let retry = {
            let mut ask = self.ask.borrow_mut();
            let is_harmless = !lost.is_sent || ask.request.method.is_idempotent();
            let is_stale = lost.is_reused && !lost.is_heard;
            let loop_ended = matches!(reason, CloseReason::LoopEnded);
            is_stale && is_harmless && !loop_ended && !std::mem::replace(&mut ask.is_retry, true)
        };
        if retry {
            tracing::debug!(origin = %self.ask.borrow().origin, "a kept connection was closed");
            return self.acquire(el);
        }
        let cause = ClientCause::Closed { when: lost.when, why: reason.to_string() };
        self.end(el, Err(cause));
    }

    /// The connection is done with this request, and this request with the connection.
    pub fn leave_connection(&self) {
        if !self.is_over() {
            self.at.replace(At::Apart);
        }
    }

    /// Runs the caller's handler. Drops it where it has given the request up meanwhile.
    pub fn with_sink<R>(&self, run: impl FnOnce(&mut dyn ResponseHandler) -> R) -> Option<R> {
        let mut sink = self.sink.take()?;
        let result = run(&mut *sink);
        if !self.is_over() {
            self.sink.replace(Some(sink));
        }
        Some(result)
    }

    // ---- the end ----

    pub fn is_over(&self) -> bool {
        matches!(*self.at.borrow(), At::Over)
    }

    /// Gives the request up where it stands; nothing is called.
    pub fn give_up(&self, el: &mut EventLoop) {
        self.leave(el);
        drop(self.sink.take());
    }

    /// [`Job::end`] for a request whose connection has ended, or never was.
    pub fn fail_apart(&self, el: &mut EventLoop, cause: ClientCause) {
        self.leave_connection();
        self.end(el, Err(cause));
    }

    pub fn end(&self, el: &mut EventLoop, outcome: Result<(), ClientCause>) {
        self.leave(el);
        if let Some(sink) = self.sink.take() {
            sink.end(el, outcome.map_err(|cause| self.error(cause)));
        }
    }

    fn leave(&self, el: &mut EventLoop) {
        if let Some((timer, _)) = self.timer.take() {
            el.cancel(timer);
        }
        let at = self.at.replace(At::Over);
        let origin = Rc::clone(&self.ask.borrow().origin);
        match at {
            At::Waiting => self.client.pool.borrow_mut().stop_waiting(&origin, self),
            At::Dialing(Some(connecting)) => {
                connecting.cancel(el);
                self.client.serve_waiting(el, &origin);
            }
            At::On(id) => {
                // Where its handler is running right now, that one looks whether the request is over.
                if let Some(conn) = el.connection(id) {
                    conn.close_now();
                }
            }
            At::Apart | At::Dialing(None) | At::Opening | At::Over => {}
        }
    }

    fn error(&self, cause: ClientCause) -> ClientError {
        let ask = self.ask.borrow();
        ClientError {
            method: ask.request.method,
            url: ask.request.url.clone(),
            redirects: ask.redirects,
            peer: self.peer.get(),
            cause,
        }
    }

    // ---- pausing ----

    pub fn is_paused(&self) -> bool {
        self.is_paused.get()
    }

    /// Remembers it; the connection is told by whoever has it in his hand.
    pub fn set_paused(self: &Rc<Self>, el: &mut EventLoop, paused: bool) {
        if self.is_paused.replace(paused) != paused && !paused && !self.is_over() {
            self.enter(el, self.phase.get());
        }
    }

    /// Pauses or resumes the connection this request is on, unless that is running right now.
    pub fn pause_connection(&self, el: &mut EventLoop) {
        if let At::On(id) = *self.at.borrow()
            && let Some(conn) = el.connection(id)
        {
            self.apply_pause(conn);
        }
    }

    pub fn apply_pause(&self, conn: &mut Connection) {
        match (self.is_paused(), conn.is_paused()) {
            (true, false) => conn.pause(),
            (false, true) => conn.resume(),
            _ => {}
        }
    }

    // ---- time ----

    fn enter(self: &Rc<Self>, el: &mut EventLoop, phase: Phase) {
        self.phase.set(phase);
        self.since.set(el.now());
        self.arm(el);
    }

    /// The bound that is reached first.
    fn bound(&self) -> Option<(Instant, ClientTimeout, Duration)> {
        let options = &self.client.options;
        let (what, within) = match self.phase.get() {
            Phase::Waiting => (ClientTimeout::Waiting, options.connect_within),
            Phase::Connecting => (ClientTimeout::Connecting, options.connect_within),
            Phase::Answer => (ClientTimeout::Answer, options.answer_within),
            Phase::Body => (ClientTimeout::Silence, options.silent_within),
        };
        // Who pauses is waited for, not waited on.
        let is_connected = matches!(self.phase.get(), Phase::Answer | Phase::Body);
        let phase = (!self.is_paused() || !is_connected)
            .then(|| (far(self.since.get(), within), what, within));
        let total = self.until.get().map(|until| {
            let within = self.ask.borrow().request.total_within.unwrap_or_default();
            (until, ClientTimeout::Total, within)
        });
        [phase, total].into_iter().flatten().min_by_key(|(at, ..)| *at)
    }

    fn arm(self: &Rc<Self>, el: &mut EventLoop) {
        let Some((at, ..)) = self.bound() else { return };
        if let Some((timer, armed)) = self.timer.get() {
            if armed <= at {
                return;
            }
            el.cancel(timer);
        }
        let job = Rc::clone(self);
        let timer = el.at(at, move |el| job.check_time(el));
        self.timer.set(Some((timer, at)));
    }

    fn check_time(self: &Rc<Self>, el: &mut EventLoop) {
        self.timer.set(None);
        match self.bound() {
            Some((at, what, within)) if at <= Instant::now() => {
                if what == ClientTimeout::Answer && self.still_sends(el) {
                    return self.enter(el, Phase::Answer);
                }
                self.end(el, Err(ClientCause::TimedOut(what, within)));
            }
            _ => self.arm(el),
        }
    }

    /// True where the server has taken more of the request since this was asked last.
    fn still_sends(&self, el: &mut EventLoop) -> bool {
        let At::On(id) = *self.at.borrow() else { return false };
        let Some(conn) = el.connection(id) else { return false };
        conn.queued() > 0 && self.sent.replace(conn.sent()) != conn.sent()
    }
}

impl Ask {
    fn write(&mut self, client: &Client) -> Result<(), ClientCause> {
        let request = &self.request;
        if request.method == Method::Connect {
            return Err(ClientCause::Tunnel);
        }
        if request.url.is_https() && client.options.tls.is_none() {
            return Err(ClientCause::NoTls);
        }
        self.head.clear();
        let (target, host) = (request.url.target(), request.url.authority());
        let mut head = RequestWriter::begin(&mut self.head, request.method, target, host)?;
        for (name, value) in &request.headers {
            head.header(name, value)?;
        }
        if let Some(protocol) = &request.upgrade {
            head.upgrade(protocol)?;
        }
        head.finish(match request.body.len() {
            0 => BodyFraming::None,
            len => BodyFraming::Length(len as u64),
        })?;
        Ok(())
    }

    fn lead_to(&mut self, url: Url, status: StatusCode) {
        let request = &mut self.request;
        let is_elsewhere = url.origin() != request.url.origin();
        let becomes_get = matches!(status.as_u16(), 301..=303) && request.method != Method::Head;
        if becomes_get {
            request.method = Method::Get;
            request.body.clear();
        }
        request.headers.retain(|(name, _)| {
            let is_secret = ["authorization", "cookie", "proxy-authorization"]
                .iter()
                .any(|secret| name.eq_ignore_ascii_case(secret));
            let of_body = name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("content-"));
            !(is_elsewhere && is_secret || becomes_get && of_body)
        });
        self.origin = url.origin().into();
        request.url = url;
        self.redirects += 1;
        self.is_retry = false;
    }
}

/// `from + delay`, or a far future where the clock cannot say it.
pub(super) fn far(from: Instant, delay: Duration) -> Instant {
    const TEN_YEARS: Duration = Duration::from_secs(10 * 365 * 86_400);
    from + delay.min(TEN_YEARS)
}
