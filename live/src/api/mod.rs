//! What anybody may ask over HTTP, in JSON; `docs/api.md` says it from the other side.
//!
//! | file | what it knows |
//! | --- | --- |
//! | [`about`] | what the process tells of itself, and who may ask |
//! | [`announce`] | this node, as it announces itself to others |
//! | `guard` | who may ask: addresses, token, host, origin |
//! | `query` | parameters, and what is wrong with them |
//! | `answer` | heads of answers; errors |
//! | `given` | lookups as they were answered before |
//! | `lookup` | one stream, from the loop's own directory: for those who ask most |
//! | [`gather`] | a question to all loops, so much a turn, and their answers |
//! | `list` | a page of what all loops have, piece by piece |
//! | `nodes` | other nodes: announced, listed, forgotten |
//! | `streams`, `clients` | lists and single ones; kicking |
//! | `server` | summary, config, and what SRS calls versions and summaries |
//! | `events` | Server-Sent Events |
//! | `metrics` | `/metrics` for Prometheus |
//!
//! Nothing here is locked, and no loop waits for another one.

pub mod about;
pub mod announce;
mod answer;
mod clients;
mod events;
pub mod gather;
mod given;
mod guard;
mod list;
mod lookup;
mod metrics;
mod nodes;
mod query;
mod server;
mod streams;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use network::EventLoop;
use network::http::{
    Answered, Body, Failure, Method, Reply, Request, RouteError, ServerBuilder, StatusCode,
};

pub use about::{About, ReadFrom};
pub use announce::Announce;

use crate::counters::ApiRefusal;
use crate::hub::Hub;
use crate::nodes::DECIDES;
use announce::Announcer;
use answer::Wrong;
use gather::{Batch, Step};
use given::Given;
use query::Asked;

/// The API of one loop.
pub struct Api {
    hub: Rc<Hub>,
    about: Arc<About>,
    /// For answers that are composed and sent at once.
    scratch: RefCell<Vec<u8>>,
    /// For names that are looked up.
    name: RefCell<String>,
    /// Answers to lookups.
    given: Given,
    /// The share of their time that loops are busy, as it is written: asked for too often to be
    /// formatted each time.
    load: Cell<Load>,
    /// Bytes in and out of the whole process, one a second.
    flow: RefCell<VecDeque<(Instant, u64, u64)>>,
}

/// A share, in digits.
type Load = [u8; 5];

/// One of the routes.
type Run = fn(&Rc<Api>, Asked, Reply<'_>, &mut EventLoop) -> Answered;

/// What a route does to the server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Control,
}

struct Route {
    method: Method,
    path: &'static str,
    access: Access,
    parameters: &'static [&'static str],
    run: Run,
}

const fn read(path: &'static str, parameters: &'static [&'static str], run: Run) -> Route {
    Route { method: Method::Get, path, access: Access::Read, parameters, run }
}

const fn control(path: &'static str, run: Run) -> Route {
    Route { method: Method::Delete, path, access: Access::Control, parameters: &["pretty"], run }
}

const PRETTY: &[&str] = &["pretty"];
const PAGE: &[&str] = &["limit", "count", "cursor", "start", "pretty"];
const LIST: &[&str] = &[
    "app", "name", "search", "protocol", "address", "sort", "limit", "count", "cursor", "start",
    "pretty",
];

const CLIENTS: &[&str] = &[
    "app", "name", "search", "protocol", "address", "type", "sort", "limit", "count", "cursor",
    "start", "pretty",
];

/// SRS's paths end with a slash where ours need none; both are answered.
const ROUTES: &[Route] = &[
    read("/api/v1/summary", PRETTY, server::summary),
    read("/api/v1/versions", PRETTY, server::versions),
    read("/api/v1/summaries", PRETTY, server::summaries),
    read("/api/v1/vhosts", PRETTY, server::vhosts),
    read("/api/v1/vhosts/", PRETTY, server::vhosts),
    read("/api/v1/vhosts/{vhost}", PRETTY, server::vhost),
    read("/api/v1/config", PRETTY, server::config),
    read("/api/v1/streams", LIST, streams::list),
    read("/api/v1/streams/", LIST, streams::list),
    read("/api/v1/streams/{*stream}", PRETTY, streams::one),
    control("/api/v1/streams/{*stream}", streams::kick),
    read("/api/v1/clients", CLIENTS, clients::list),
    read("/api/v1/clients/", CLIENTS, clients::list),
    read("/api/v1/clients/{client}", PRETTY, clients::one),
    control("/api/v1/clients/{client}", clients::kick),
    read("/api/v1/nodes", PAGE, nodes::list),
    read("/api/v1/nodes/{node}", PRETTY, nodes::one),
    control("/api/v1/nodes/{node}", nodes::forget),
    read("/api/v1/events", &["last_event_id"], events::stream),
    read("/metrics", &[], metrics::page),
];

/// What this API is, for programs.
const OPENAPI: &str = include_str!("openapi.json");
/// What pages of another origin may use, where they may ask.
const METHODS: &str = "GET, HEAD, POST, DELETE, OPTIONS";
const HEADERS: &str = "Authorization, Content-Type, Last-Event-ID";
const JSON: &str = "application/json";
/// Seconds that traffic is remembered for: SRS tells that of half a minute.
const FLOW: usize = 30;

impl Api {
    /// For this loop.
    pub fn start(el: &mut EventLoop, hub: &Rc<Hub>, about: Arc<About>) -> Rc<Self> {
        let api = Rc::new(Self {
            hub: Rc::clone(hub),
            about,
            scratch: RefCell::default(),
            name: RefCell::default(),
            given: Given::default(),
            load: Cell::new(*b"0.000"),
            flow: RefCell::default(),
        });
        let every = Rc::clone(&api);
        el.every(Duration::from_secs(1), move |el| every.note_flow(el.now()));
        if hub.place() == DECIDES {
            Announcer::start(el, &api);
        }
        api
    }

    /// Whether who asks may know what is here: for pages that show it.
    pub fn may_read(&self, request: &Request<'_>) -> bool {
        self.may(request, Access::Read).is_ok()
    }

    /// Words the failures of a server's requests that no route answers as all errors of the API are.
    pub fn failure(&self, failure: &Failure, reply: Reply<'_>) -> Answered {
        self.hub.counters.http_failed(failure.status.as_u16());
        answer::failure(self, failure, reply)
    }

    /// Adds the routes to a server's.
    ///
    /// # Errors
    /// A path is taken.
    pub fn routes(self: &Rc<Self>, mut server: ServerBuilder) -> Result<ServerBuilder, RouteError> {
        for path in ["/api/v1/stream", "/api/v1/stream/"] {
            let api = Rc::clone(self);
            server = server.route(Method::Get, path, move |request, reply, _| {
                lookup::answer(&api, request, reply)
            })?;
        }
        for route in ROUTES {
            let api = Rc::clone(self);
            server = server.route(route.method, route.path, move |request, reply, el| {
                api.run(route, request, reply, el)
            })?;
        }
        let api = Rc::clone(self);
        server = server.route(Method::Post, "/api/v1/nodes", move |request, reply, el| {
            nodes::note(&api, request, reply, el)
        })?;
        let paths =
            ROUTES.iter().map(|route| route.path).chain(["/api/v1/stream", "/api/v1/stream/"]);
        let mut known: Vec<&str> = paths.collect();
        known.sort_unstable();
        known.dedup();
        for path in known {
            let api = Rc::clone(self);
            server = server.route(Method::Options, path, move |request, reply, _| {
                api.preflight(request, reply)
            })?;
        }
        let (ready, api, described) = (Rc::clone(&self.hub), Rc::clone(self), Rc::clone(self));
        server
            .route(Method::Get, "/api/v1/openapi.json", move |_, reply, _| {
                described.send(reply, StatusCode::OK, OPENAPI.as_bytes())
            })?
            .route(Method::Get, "/api/{*path}", move |_, reply, _| {
                api.fail(reply, &Wrong::not_found("there is nothing at this path of the API"))
            })?
            .route(Method::Get, "/healthz", |_, reply, _| reply.text("ok\n"))?
            .route(Method::Get, "/readyz", move |_, reply, _| match ready.is_draining() {
                false => reply.text("ready\n"),
                true => reply.send(StatusCode::SERVICE_UNAVAILABLE, "text/plain", b"draining\n"),
            })
    }

    fn run(
        self: &Rc<Self>,
        route: &Route,
        request: &Request<'_>,
        reply: Reply<'_>,
        el: &mut EventLoop,
    ) -> Answered {
        self.hub.counters.api_requests.add(1);
        let asked =
            self.may(request, route.access).and_then(|()| Asked::of(request, route.parameters));
        match asked {
            Ok(asked) => (route.run)(self, asked, reply, el),
            Err(wrong) => self.fail(reply, &wrong),
        }
    }

    /// Has loops do something for an answer, each in its own time, and answers then.
    fn ask(
        self: &Rc<Self>,
        reply: Reply<'_>,
        el: &mut EventLoop,
        loops: Range<usize>,
        step: impl Fn() -> Step,
        answer: impl FnOnce(&Self, Reply<'_>, Vec<Batch>) -> Answered + 'static,
    ) -> Answered {
        if self.hub.gatherings.are_full() {
            return self.fail(reply, &Wrong::busy());
        }
        let (answered, held) = reply.hold();
        let api = Rc::clone(self);
        let done = Box::new(move |_: &Rc<Hub>, el: &mut EventLoop, batches: Vec<Batch>| {
            held.reply(el, |reply| answer(&api, reply, batches));
        });
        self.hub.gather(el, loops, step, done);
        answered
    }

    /// What a page of another origin asks before it asks.
    fn preflight(&self, request: &Request<'_>, reply: Reply<'_>) -> Answered {
        let is_known = self.is_known_origin(request);
        reply.respond(
            StatusCode::NO_CONTENT,
            |head| {
                if is_known {
                    self.cors(head)?;
                    head.header("Access-Control-Allow-Methods", METHODS)?;
                    head.header("Access-Control-Allow-Headers", HEADERS)?;
                    head.header("Access-Control-Max-Age", "600")?;
                }
                head.header("Allow", METHODS).map(drop)
            },
            Body::Empty,
        )
    }

    fn note_load(&self) {
        let handles = self.hub.handles();
        let busy: f32 = handles.iter().map(network::Handle::busy_share).sum();
        let share = (busy / handles.len().max(1) as f32).clamp(0.0, 1.0);
        if let Ok(digits) = format!("{share:.3}").as_bytes().try_into() {
            self.load.set(digits);
        }
    }

    fn note_flow(&self, now: Instant) {
        self.note_load();
        let sum = |of: fn(&crate::Counters) -> u64| -> u64 {
            self.about.counters.iter().map(|counters| of(counters)).sum()
        };
        let mut flow = self.flow.borrow_mut();
        flow.push_back((now, sum(|c| c.bytes_in.get()), sum(|c| c.bytes_out.get())));
        while flow.len() > FLOW + 1 {
            flow.pop_front();
        }
    }

    /// Bits a second in and out, over so many seconds. What is sent is told once a second, by loops
    /// that do so at different times: less than three say little.
    fn flow(&self, seconds: usize) -> (f64, f64) {
        let flow = self.flow.borrow();
        let first = flow.len().saturating_sub(seconds + 1);
        let (Some((from, came, went)), Some((until, in_all, out_all))) =
            (flow.get(first), flow.back())
        else {
            return (0.0, 0.0);
        };
        let seconds = until.saturating_duration_since(*from).as_secs_f64();
        if seconds <= 0.0 {
            return (0.0, 0.0);
        }
        let bits = |now: &u64, before: &u64| now.saturating_sub(*before) as f64 * 8.0 / seconds;
        (bits(in_all, came), bits(out_all, went))
    }

    /// Answers that it is not going to be answered, and why.
    fn fail(&self, reply: Reply<'_>, wrong: &Wrong) -> Answered {
        let refusal = match wrong.status.as_u16() {
            400 => Some(ApiRefusal::BadRequest),
            401 => Some(ApiRefusal::Unauthorized),
            403 => Some(ApiRefusal::Forbidden),
            503 => Some(ApiRefusal::Busy),
            _ => None,
        };
        if let Some(refusal) = refusal {
            self.hub.counters.refused(refusal);
        }
        answer::fail(self, reply, wrong)
    }
}
