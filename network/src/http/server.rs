//! A connection that answers HTTP requests.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use super::body::{BodyDecoder, BodyEvent, BodyFraming};
use super::date::DateCache;
use super::head::{HeadScan, HeaderSpace, Headers, Parsed, RequestHead};
use super::method::{Method, MethodSet};
use super::reply::{Answered, Body, Outcome, Reply, Wait};
use super::router::{Lookup, Params, RouteError, Router};
use super::status::{HttpError, StatusCode};
use super::target::Target;
use super::write::{CONTINUE, ReplyTo};
use crate::event_loop::EventLoop;
use crate::limits;
use crate::tcp::{CloseReason, Connection, Handler};
use crate::timer::Timer;

/// What a route does.
type Run = Box<dyn Fn(&Request<'_>, Reply<'_>, &mut EventLoop) -> Answered>;
/// What is said where no route applies.
type RunFailure = Box<dyn Fn(&Failure, Reply<'_>) -> Answered>;

struct Route {
    run: Run,
    body_at_most: u64,
}

/// A request as its handler sees it. Everything is borrowed from the receive buffer.
pub struct Request<'a> {
    head: &'a RequestHead<'a>,
    params: Params<'a, 'a>,
    body: &'a [u8],
    peer: Option<SocketAddr>,
    is_tls: bool,
}

impl<'a> Request<'a> {
    /// The method.
    pub fn method(&self) -> Method {
        self.head.method
    }

    /// The whole head.
    pub fn head(&self) -> &'a RequestHead<'a> {
        self.head
    }

    /// The target, taken apart.
    pub fn target(&self) -> Target<'a> {
        self.head.target
    }

    /// The path, as the client wrote it.
    pub fn path(&self) -> &'a str {
        self.head.target.path
    }

    /// The headers.
    pub fn headers(&self) -> Headers<'a> {
        self.head.headers
    }

    /// The decoded value of the first query parameter of that name.
    ///
    /// # Errors
    /// It is not encoded properly.
    pub fn query(&self, name: &str) -> Result<Option<Cow<'a, str>>, HttpError> {
        match self.head.target.query {
            Some(_) => self.head.target.params().get(name),
            None => Ok(None),
        }
    }

    /// The decoded value of a parameter of the route's pattern, safe as a name.
    ///
    /// # Errors
    /// It is not encoded properly, or would escape its place in a path.
    pub fn param(&self, name: &str) -> Result<Option<Cow<'a, str>>, HttpError> {
        self.params.decoded(name)
    }

    /// The rest of the path that a `{*name}` of the pattern stands for, as the client wrote it.
    pub fn rest(&self, name: &str) -> &'a str {
        self.params.get(name).unwrap_or_default()
    }

    /// The whole body.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// The client's address; a Unix peer has none.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// True where the request came encrypted.
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} from {:?}", self.head.method, self.head.raw_target, self.peer)
    }
}

/// A request that no route answers, or that is none.
#[derive(Clone, Copy, Debug)]
pub struct Failure {
    /// 400, 404, 405, 408, 413, 414, 417, 431, 501, 503 or 505.
    pub status: StatusCode,
    /// What was wrong, in a sentence.
    pub reason: &'static str,
    /// For 405: what would have been right.
    pub allow: MethodSet,
}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Self {
        Self { status: error.status, reason: error.reason, allow: MethodSet::EMPTY }
    }
}

/// Collects the routes of a [`Server`].
///
/// ```
/// use network::http::{Method, Server};
/// let server = Server::builder()
///     .route(Method::Get, "/hello/{name}", |request, reply, _| {
///         match request.param("name") {
///             Ok(name) => reply.text(&format!("hello {}\n", name.unwrap_or_default())),
///             Err(error) => reply.fail(error.into()),
///         }
///     })?
///     .build();
/// # Ok::<(), network::http::RouteError>(())
/// ```
pub struct ServerBuilder {
    router: Router<Route>,
    body_at_most: u64,
    on_failure: RunFailure,
    keep_alive: Duration,
    head_within: Duration,
    body_within: Duration,
    held_at_most: Duration,
}

impl ServerBuilder {
    /// Has `run` answer requests of this method and path. Patterns are as in [`Router::add`].
    ///
    /// # Errors
    /// The pattern is malformed, or taken.
    pub fn route(
        mut self,
        method: Method,
        pattern: &str,
        run: impl Fn(&Request<'_>, Reply<'_>, &mut EventLoop) -> Answered + 'static,
    ) -> Result<Self, RouteError> {
        let route = Route { run: Box::new(run), body_at_most: self.body_at_most };
        self.router.add(method, pattern, route)?;
        Ok(self)
    }

    /// Bounds the bodies of the routes that are added from here on.
    #[must_use]
    pub fn body_at_most(mut self, bytes: u64) -> Self {
        self.body_at_most = bytes;
        self
    }

    /// Has `run` word the answers to requests that no route answers.
    #[must_use]
    pub fn on_failure(mut self, run: impl Fn(&Failure, Reply<'_>) -> Answered + 'static) -> Self {
        self.on_failure = Box::new(run);
        self
    }

    /// How long a client may be silent between two requests.
    #[must_use]
    pub fn keep_alive(mut self, time: Duration) -> Self {
        self.keep_alive = time;
        self
    }

    /// How long a head may take from its first byte to its last; then 408.
    #[must_use]
    pub fn head_within(mut self, time: Duration) -> Self {
        self.head_within = time;
        self
    }

    /// How long a body may take; then 408.
    #[must_use]
    pub fn body_within(mut self, time: Duration) -> Self {
        self.body_within = time;
        self
    }

    /// How long a reply may be held; then 503.
    #[must_use]
    pub fn held_at_most(mut self, time: Duration) -> Self {
        self.held_at_most = time;
        self
    }

    /// Done: the server is shared by the connections of a loop.
    pub fn build(self) -> Rc<Server> {
        Rc::new(Server {
            router: self.router,
            on_failure: self.on_failure,
            keep_alive: self.keep_alive,
            head_within: self.head_within,
            body_within: self.body_within,
            held_at_most: self.held_at_most,
            date: RefCell::new(DateCache::new(0)),
            date_until: Cell::new(None),
        })
    }
}

/// The routes and bounds of an HTTP server, shared by all its connections on a loop.
pub struct Server {
    router: Router<Route>,
    on_failure: RunFailure,
    keep_alive: Duration,
    head_within: Duration,
    body_within: Duration,
    held_at_most: Duration,
    date: RefCell<DateCache>,
    date_until: Cell<Option<Instant>>,
}

impl Server {
    /// A server without routes and with the default bounds.
    pub fn builder() -> ServerBuilder {
        ServerBuilder {
            router: Router::new(),
            body_at_most: limits::HTTP_BODY,
            on_failure: Box::new(|failure, reply| reply.fail_plainly(failure)),
            keep_alive: limits::HTTP_KEEP_ALIVE,
            head_within: limits::HTTP_HEAD_WITHIN,
            body_within: limits::HTTP_BODY_WITHIN,
            held_at_most: limits::HTTP_HELD,
        }
    }

    /// A handler for one connection.
    pub fn handler(self: &Rc<Self>) -> Box<dyn Handler> {
        Box::new(HttpConnection {
            server: Rc::clone(self),
            scan: HeadScan::default(),
            state: State::Head,
            timer: None,
        })
    }

    pub(super) fn with_date<R>(&self, with: impl FnOnce(&DateCache) -> R) -> R {
        with(&self.date.borrow())
    }

    /// Keeps the date right to the second without asking for the time at each answer.
    pub(super) fn tick(&self, now: Instant) {
        if self.date_until.get().is_some_and(|until| now < until) {
            return;
        }
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.date.borrow_mut().update(since.as_secs());
        let left = Duration::from_secs(1)
            .saturating_sub(Duration::from_nanos(since.subsec_nanos().into()));
        self.date_until.set(Some(now + left));
    }
}

impl Reply<'_> {
    /// Answers as the server words its failures.
    pub fn fail(self, failure: Failure) -> Answered {
        let server = Rc::clone(self.server);
        (server.on_failure)(&failure, self)
    }

    /// Answers a failure in plain text; what the server does unless told otherwise.
    pub fn fail_plainly(self, failure: &Failure) -> Answered {
        let text = format!("{}: {}\n", failure.status, failure.reason);
        self.respond(
            failure.status,
            |head| {
                if !failure.allow.is_empty() {
                    head.allow(failure.allow);
                }
                head.header("Content-Type", "text/plain; charset=utf-8").map(drop)
            },
            Body::Copied(text.as_bytes()),
        )
    }
}

/// One client's connection.
struct HttpConnection {
    server: Rc<Server>,
    scan: HeadScan,
    state: State,
    /// Runs while a head or a body is incomplete, and while a reply is held.
    timer: Option<Timer>,
}

enum State {
    /// Between requests, or within a head.
    Head,
    /// Within a body that did not come with its head.
    Body(Box<Collecting>),
    /// A reply is held.
    Held(Rc<Cell<Wait>>, ReplyTo),
}

/// A request whose body is not whole yet.
struct Collecting {
    head: Vec<u8>,
    to: ReplyTo,
    decoder: BodyDecoder,
    body: Vec<u8>,
}

/// What becomes of the bytes behind a request.
#[derive(PartialEq, Eq)]
enum Next {
    /// They are the next request.
    Request,
    /// They wait.
    Wait,
    /// They are somebody else's.
    Theirs,
    /// They are not heard: the connection closes.
    Close,
}

impl Handler for HttpConnection {
    fn opened(&mut self, conn: &mut Connection, _: &mut EventLoop) {
        conn.set_idle(Some(self.server.keep_alive));
    }

    fn received(&mut self, conn: &mut Connection, el: &mut EventLoop, input: &[u8]) -> usize {
        self.server.tick(el.now());
        let mut at = 0;
        loop {
            let rest = input.get(at..).unwrap_or_default();
            if conn.queued() > conn.options().high_water {
                // The client asks faster than it takes the answers.
                conn.want_room();
                conn.pause();
                return at;
            }
            let (used, next) = match &mut self.state {
                State::Head if rest.is_empty() => return at,
                State::Head => self.head(conn, el, rest),
                State::Body(_) => self.body(conn, el, rest),
                State::Held(..) if rest.len() > limits::HTTP_BEHIND_HELD => {
                    conn.close_because(CloseReason::TooLarge(limits::HTTP_BEHIND_HELD));
                    return input.len();
                }
                State::Held(..) => return at,
            };
            at += used;
            match next {
                Next::Request => {}
                Next::Wait | Next::Theirs => return at,
                Next::Close => {
                    conn.close();
                    return input.len();
                }
            }
        }
    }

    fn writable(&mut self, conn: &mut Connection, _: &mut EventLoop) {
        conn.resume();
    }

    fn due(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        let State::Held(wait, _) = &self.state else { return };
        match wait.get() {
            Wait::Waiting => {}
            Wait::HandedOver => self.stop_timer(el),
            Wait::Answered { keep_alive } => {
                self.stop_timer(el);
                self.state = State::Head;
                if keep_alive {
                    conn.ask_again();
                } else {
                    conn.close();
                }
            }
        }
    }

    fn timer(&mut self, conn: &mut Connection, el: &mut EventLoop, _: u32) {
        self.timer = None;
        self.server.tick(el.now());
        let (status, reason, to) = match &self.state {
            State::Head => {
                (StatusCode::REQUEST_TIMEOUT, "the head took too long", ReplyTo::UNREADABLE)
            }
            State::Body(collecting) => {
                (StatusCode::REQUEST_TIMEOUT, "the body took too long", collecting.to)
            }
            State::Held(wait, to) => {
                if wait.get() != Wait::Waiting {
                    return;
                }
                wait.set(Wait::Answered { keep_alive: false });
                (StatusCode::SERVICE_UNAVAILABLE, "there is no answer yet, try again", *to)
            }
        };
        self.fail(conn, to, HttpError::new(status, reason).into());
        conn.close();
    }

    fn drain(&mut self, conn: &mut Connection, _: &mut EventLoop) {
        // A held reply is answered by its holder or by the bound, then the connection closes.
        match &mut self.state {
            State::Held(_, to) => to.keep_alive = false,
            _ => conn.close(),
        }
    }
}

impl HttpConnection {
    /// Reads one request from the beginning of `input`.
    fn head(&mut self, conn: &mut Connection, el: &mut EventLoop, input: &[u8]) -> (usize, Next) {
        let mut space = HeaderSpace::new();
        let (head, len) = match RequestHead::parse(input, &mut self.scan, &mut space) {
            Ok(Parsed::Complete { head, len }) => (head, len),
            Ok(Parsed::Incomplete) => {
                if !self.scan.is_idle() {
                    self.start_timer(conn, el, self.server.head_within);
                }
                return (0, Next::Wait);
            }
            Err(error) => {
                self.fail(conn, ReplyTo::UNREADABLE, error.into());
                return (input.len(), Next::Close);
            }
        };
        self.stop_timer(el);
        let behind = input.get(len..).unwrap_or_default();
        let (body, used) = match head.framing {
            BodyFraming::None => (&[][..], len),
            BodyFraming::Length(length) => match usize::try_from(length)
                .ok()
                .and_then(|length| behind.get(..length))
                .filter(|_| length <= self.body_bound(&head))
            {
                Some(body) => (body, len + body.len()),
                None => return self.begin_body(conn, el, &head, input, len),
            },
            _ => return self.begin_body(conn, el, &head, input, len),
        };
        (used, self.answer(conn, el, &head, body))
    }

    /// The bound of this request's body; 0 where no route takes it.
    fn body_bound(&self, head: &RequestHead<'_>) -> u64 {
        match self.server.router.lookup(head.method, head.target.path) {
            Lookup::Found { value, .. } => value.body_at_most,
            _ => 0,
        }
    }

    fn begin_body(
        &mut self,
        conn: &mut Connection,
        el: &mut EventLoop,
        head: &RequestHead<'_>,
        input: &[u8],
        len: usize,
    ) -> (usize, Next) {
        let found = self.server.router.lookup(head.method, head.target.path);
        let Lookup::Found { value, .. } = found else {
            // Nobody wants the body: the answer is said at once, and what follows is not heard.
            let _ = self.answer(conn, el, head, &[]);
            return (input.len(), Next::Close);
        };
        let decoder = match BodyDecoder::new(head.framing, value.body_at_most) {
            Ok(decoder) => decoder,
            Err(error) => {
                let to = ReplyTo { keep_alive: false, ..head.reply_to() };
                self.fail(conn, to, error.into());
                return (input.len(), Next::Close);
            }
        };
        if head.expects_continue && input.len() == len {
            conn.send(CONTINUE);
        }
        self.start_timer(conn, el, self.server.body_within);
        let head_bytes = input.get(..len).unwrap_or_default().to_vec();
        self.state = State::Body(Box::new(Collecting {
            head: head_bytes,
            to: head.reply_to(),
            decoder,
            body: Vec::new(),
        }));
        (len, if input.len() == len { Next::Wait } else { Next::Request })
    }

    /// Reads on in a body.
    fn body(&mut self, conn: &mut Connection, el: &mut EventLoop, input: &[u8]) -> (usize, Next) {
        let State::Body(collecting) = &mut self.state else { return (0, Next::Request) };
        let mut used = 0;
        loop {
            let rest = input.get(used..).unwrap_or_default();
            match collecting.decoder.decode(rest) {
                Ok(step) => {
                    used += step.consumed;
                    match step.event {
                        BodyEvent::Data(data) => collecting.body.extend_from_slice(data),
                        BodyEvent::NeedMore => return (used, Next::Wait),
                        BodyEvent::End => break,
                    }
                }
                Err(error) => {
                    let to = ReplyTo { keep_alive: false, ..collecting.to };
                    self.fail(conn, to, error.into());
                    return (input.len(), Next::Close);
                }
            }
        }
        self.stop_timer(el);
        let State::Body(collecting) = std::mem::replace(&mut self.state, State::Head) else {
            return (used, Next::Request);
        };
        let mut space = HeaderSpace::new();
        let next = match RequestHead::parse(&collecting.head, &mut HeadScan::default(), &mut space)
        {
            Ok(Parsed::Complete { head, .. }) => self.answer(conn, el, &head, &collecting.body),
            // It was complete and right when it came.
            Ok(Parsed::Incomplete) | Err(_) => Next::Close,
        };
        (used, next)
    }

    fn answer(
        &mut self,
        conn: &mut Connection,
        el: &mut EventLoop,
        head: &RequestHead<'_>,
        body: &[u8],
    ) -> Next {
        let mut to = head.reply_to();
        // Who keeps its connection would not find out where else to go.
        to.keep_alive &= !el.is_draining();
        let server = Rc::clone(&self.server);
        let peer = conn.peer();
        let is_tls = conn.is_tls();
        let reply = Reply { conn: &mut *conn, server: &server, to, held: None };
        let Answered(outcome) = match server.router.lookup(head.method, head.target.path) {
            Lookup::Found { value, params } => {
                (value.run)(&Request { head, params, body, peer, is_tls }, reply, el)
            }
            Lookup::NotFound => reply.fail(Failure {
                status: StatusCode::NOT_FOUND,
                reason: "there is nothing at this path",
                allow: MethodSet::EMPTY,
            }),
            Lookup::MethodNotAllowed { allow } => reply.fail(Failure {
                status: StatusCode::METHOD_NOT_ALLOWED,
                reason: "this path does not know that method",
                allow,
            }),
            Lookup::Options { allow } => reply.respond(
                StatusCode::NO_CONTENT,
                |head| {
                    head.allow(allow);
                    Ok(())
                },
                Body::Empty,
            ),
        };
        match outcome {
            Outcome::Sent { keep_alive: true } => Next::Request,
            Outcome::Sent { keep_alive: false } => Next::Close,
            Outcome::HandedOver => Next::Theirs,
            Outcome::Held(wait) => {
                self.start_timer(conn, el, server.held_at_most);
                self.state = State::Held(wait, to);
                Next::Wait
            }
        }
    }

    fn fail(&self, conn: &mut Connection, to: ReplyTo, failure: Failure) {
        let to = ReplyTo { keep_alive: false, ..to };
        let reply = Reply { conn, server: &self.server, to, held: None };
        let _ = reply.fail(failure);
    }

    fn start_timer(&mut self, conn: &mut Connection, el: &mut EventLoop, within: Duration) {
        if self.timer.is_none() {
            self.timer = Some(conn.start_timer(el, within, 0));
        }
    }

    fn stop_timer(&mut self, el: &mut EventLoop) {
        if let Some(timer) = self.timer.take() {
            el.cancel(timer);
        }
    }
}
