//! Requests to others: connections that are kept, bounds for everything a server can take long or
//! make large, redirects.
//!
//! | file | what |
//! | --- | --- |
//! | `request.rs` | what is asked and what is answered |
//! | `job.rs` | one request: waiting, retry, redirects, time |
//! | `pool.rs` | the connections, by origin |
//! | `dial.rs` | a name, its addresses, a connection |
//! | `line.rs` | a connection and the answer on it |
//! | `error.rs` | why there is no answer |
//!
//! Absent on purpose: proxies, cookies, decompression, pipelining of requests, bodies of requests
//! whose length is not known.

mod dial;
mod error;
mod job;
mod line;
mod pool;
mod request;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use super::{ResponseHead, Url};
use crate::event_loop::EventLoop;
use crate::limits;
use crate::tcp::{Connection, Handler, Options};
use crate::tls::TlsClient;

use dial::Dial;
pub use error::{ClientCause, ClientError, ClientTimeout};
use job::Job;
use pool::{Pool, Seat};
use request::Collect;
pub use request::{ClientRequest, ClientResponse};

/// Says of an address whether it may be called.
pub type AddressGuard = Rc<dyn Fn(&SocketAddr) -> bool>;

/// What a client may do, and for how long.
#[derive(Clone)]
pub struct ClientOptions {
    /// How `https` is spoken; without it, it is refused.
    pub tls: Option<TlsClient>,
    /// Asked about each address before it is called, those of redirects included; a name all of
    /// whose addresses are refused is refused. The guard against requests to one's own network:
    /// `Some(Rc::new(|address| Reach::of(address.ip()) == Reach::Public))`.
    pub allow: Option<AddressGuard>,
    /// Redirects one request follows; with 0 a redirect is an answer like any other.
    pub redirects: u32,
    /// Connections to one origin. Further requests wait for one of them.
    pub connections_at_most: usize,
    /// Idle connections to one origin that are kept.
    pub idle_at_most: usize,
    /// Idle connections to one origin that are kept for longer than `idle_for`, and how many
    /// [`Client::prepare`] opens.
    pub idle_at_least: usize,
    /// How long an idle connection is kept.
    pub idle_for: Duration,
    /// Bound of looking a name up, connecting, and the TLS handshake; and of waiting for a connection.
    pub connect_within: Duration,
    /// Bound from the last byte of a request to the end of the answer's head.
    pub answer_within: Duration,
    /// Bound of the server's silence within a body.
    pub silent_within: Duration,
    /// Bound of everything together, for requests whose answers are collected.
    pub total_within: Duration,
    /// Bound of a body that is collected.
    pub body_at_most: u64,
    /// Socket options of the connections.
    pub connection: Options,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            tls: None,
            allow: None,
            redirects: limits::HTTP_REDIRECTS,
            connections_at_most: limits::HTTP_CONNECTIONS,
            idle_at_most: limits::HTTP_IDLE,
            idle_at_least: 0,
            idle_for: limits::HTTP_IDLE_FOR,
            connect_within: limits::CONNECT_TIMEOUT,
            answer_within: limits::HTTP_ANSWER_WITHIN,
            silent_within: limits::HTTP_SILENT,
            total_within: limits::HTTP_TOTAL,
            body_at_most: limits::HTTP_ANSWER,
            connection: Options::default(),
        }
    }
}

/// An HTTP client of one loop. It has no thread and no loop of its own, and keeps connections for
/// the next request to the same server.
///
/// A request that hits a kept connection which the server is just closing is sent once more on a
/// fresh one, where sending it twice does no harm ([`super::Method::is_idempotent`]).
///
/// ```no_run
/// use network::http::{Client, ClientOptions, ClientRequest};
/// let mut el = network::EventLoop::new()?;
/// let client = Client::new(ClientOptions::default());
/// client.fetch(&mut el, ClientRequest::get("http://127.0.0.1:8080/".parse()?), |el, outcome| {
///     match outcome {
///         Ok(response) => println!("{}: {} bytes", response.status, response.body.len()),
///         Err(error) => println!("{error}"),
///     }
///     el.stop();
/// });
/// el.run();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Client {
    options: ClientOptions,
    pool: RefCell<Pool>,
}

/// What a request under way tells whoever handles its answer as it comes.
///
/// `head` is called once, then `data` any number of times, then `end`. `end` is called in any case,
/// unless the request is cancelled, the connection is taken over, or the loop ends before there is a
/// connection.
pub trait ResponseHandler {
    /// The head of the final answer: redirects are followed, interim answers skipped. Whoever
    /// returns a handler takes the connection over, with every byte behind the head; 101 is answered
    /// so, and nothing further is called here.
    fn head(
        &mut self,
        from: &mut Incoming<'_>,
        el: &mut EventLoop,
        head: &ResponseHead<'_>,
    ) -> Option<Box<dyn Handler>>;

    /// The next piece of the body, without any framing. Never empty.
    fn data(&mut self, from: &mut Incoming<'_>, el: &mut EventLoop, data: &[u8]);

    /// The answer is whole, or why it is not.
    fn end(self: Box<Self>, el: &mut EventLoop, outcome: Result<(), ClientError>);
}

/// The answer that is coming in, as its handler may influence it.
pub struct Incoming<'a> {
    conn: &'a mut Connection,
    job: &'a Rc<Job>,
}

impl Incoming<'_> {
    /// The connection, to look at.
    pub fn connection(&self) -> &Connection {
        self.conn
    }

    /// Where the answer comes from, after all redirects.
    pub fn url(&self) -> Url {
        self.job.ask.borrow().request.url.clone()
    }

    /// How many redirects were followed.
    pub fn redirects(&self) -> u32 {
        self.job.ask.borrow().redirects
    }

    /// Stops the data, and in the end the server. The bounds on the server's time rest meanwhile,
    /// but for that of everything together.
    pub fn pause(&mut self, el: &mut EventLoop) {
        self.job.set_paused(el, true);
    }

    /// Takes back [`Incoming::pause`]; later on, [`Fetch::resume`] does.
    pub fn resume(&mut self, el: &mut EventLoop) {
        self.job.set_paused(el, false);
    }

    /// Gives the request up: nothing more is called and the connection closes.
    pub fn cancel(&mut self, el: &mut EventLoop) {
        self.job.give_up(el);
    }

    /// What else stops this request, at any time.
    pub fn fetch(&self) -> Fetch {
        Fetch(Rc::clone(self.job))
    }
}

/// A request under way. Dropping it lets the request go on.
#[derive(Clone)]
pub struct Fetch(Rc<Job>);

impl Fetch {
    /// Gives the request up: nothing more is called, and its connection closes. Without effect once
    /// the request is over.
    pub fn cancel(&self, el: &mut EventLoop) {
        self.0.give_up(el);
    }

    /// See [`Incoming::pause`].
    pub fn pause(&self, el: &mut EventLoop) {
        self.0.set_paused(el, true);
        self.0.pause_connection(el);
    }

    /// Lets a paused answer go on.
    pub fn resume(&self, el: &mut EventLoop) {
        self.0.set_paused(el, false);
        self.0.pause_connection(el);
    }

    /// True once the request was answered, has failed, or was given up.
    pub fn is_over(&self) -> bool {
        self.0.is_over()
    }
}

impl Client {
    /// A client for one loop.
    pub fn new(options: ClientOptions) -> Rc<Self> {
        Rc::new(Self { options, pool: RefCell::default() })
    }

    /// Asks, collects the answer, and calls `then` once with it, never before this returns.
    pub fn fetch(
        self: &Rc<Self>,
        el: &mut EventLoop,
        mut request: ClientRequest,
        then: impl FnOnce(&mut EventLoop, Result<ClientResponse, ClientError>) + 'static,
    ) -> Fetch {
        request.body_at_most.get_or_insert(self.options.body_at_most);
        request.total_within.get_or_insert(self.options.total_within);
        self.stream(el, request, Box::new(Collect { then, response: None, body: Vec::new() }))
    }

    /// Asks, and has `handler` called with the answer as it comes, never before this returns. Neither
    /// its length nor its time is bounded, unless the request says so; the server's silence is.
    pub fn stream(
        self: &Rc<Self>,
        el: &mut EventLoop,
        request: ClientRequest,
        handler: Box<dyn ResponseHandler>,
    ) -> Fetch {
        let job = Job::new(self, request, handler, el.now());
        let task = Rc::clone(&job);
        el.defer(move |el| task.start(el));
        Fetch(job)
    }

    /// Opens connections to the server of this URL, until it has `idle_at_least`.
    pub fn prepare(self: &Rc<Self>, el: &mut EventLoop, url: &Url) {
        let origin = url.origin().into();
        let most = self.options.idle_at_least.min(self.options.connections_at_most);
        while let Some(seat) = Seat::take(self, &origin, most) {
            Dial::start(el, self, seat, url, None);
        }
    }

    /// Closes the connections that lie idle.
    pub fn close_idle(&self, el: &mut EventLoop) {
        let ids = self.pool.borrow().idle_ids();
        for id in ids {
            if let Some(conn) = el.connection(id) {
                conn.close_now();
            }
        }
    }

    /// How many connections are open or being opened, idle ones among them.
    pub fn connections(&self) -> usize {
        self.pool.borrow().open()
    }

    /// How many connections to the server of this URL are open or being opened.
    pub fn connections_to(&self, url: &Url) -> usize {
        self.pool.borrow().open_to(url.origin())
    }

    /// How many connections lie idle.
    pub fn idle(&self) -> usize {
        self.pool.borrow().idle()
    }

    /// How many requests wait for a connection.
    pub fn waiting(&self) -> usize {
        self.pool.borrow().waiting()
    }

    fn seat(self: &Rc<Self>, origin: &Rc<str>) -> Option<Seat> {
        Seat::take(self, origin, self.options.connections_at_most.max(1))
    }

    /// Opens connections for those who wait, as many as there is room for.
    fn serve_waiting(self: &Rc<Self>, el: &mut EventLoop, origin: &Rc<str>) {
        while self.pool.borrow().waits_for(origin) {
            let Some(seat) = self.seat(origin) else { return };
            let job = self.pool.borrow_mut().next_waiting(origin);
            let Some(job) = job else { return };
            job.dial(el, seat);
        }
    }
}
