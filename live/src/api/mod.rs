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
//! | `flow` | what came and went in the last minutes |
//! | `events` | Server-Sent Events |
//! | `metrics` | `/metrics` for Prometheus |
//!
//! Nothing here is locked, and no loop waits for another one.

pub mod about;
pub mod announce;
mod answer;
mod clients;
mod events;
mod flow;
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
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use network::EventLoop;
use network::http::{
    Answered, Body, Failure, Method, MethodSet, Reply, Request, RouteError, ServerBuilder,
    StatusCode,
};

pub use about::{About, Process, ReadFrom};
pub use announce::Announce;

use crate::counters::ApiRefusal;
use crate::hub::Hub;
use crate::nodes::DECIDES;
use announce::Announcer;
use answer::Wrong;
use flow::Flow;
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
    flow: Flow,
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

/// Without the slash at the end that SRS's paths have: [`both`] are answered.
const ROUTES: &[Route] = &[
    read("/api/v1/summary", PRETTY, server::summary),
    read("/api/v1/flow", PRETTY, flow::answer),
    read("/api/v1/versions", PRETTY, server::versions),
    read("/api/v1/summaries", PRETTY, server::summaries),
    read("/api/v1/vhosts", PRETTY, server::vhosts),
    read("/api/v1/vhosts/{vhost}", PRETTY, server::vhost),
    read("/api/v1/config", PRETTY, server::config),
    read("/api/v1/streams", LIST, streams::list),
    read("/api/v1/streams/{*stream}", PRETTY, streams::one),
    control("/api/v1/streams/{*stream}", streams::kick),
    read("/api/v1/clients", CLIENTS, clients::list),
    read("/api/v1/clients/{client}", PRETTY, clients::one),
    control("/api/v1/clients/{client}", clients::kick),
    read("/api/v1/nodes", PAGE, nodes::list),
    read("/api/v1/nodes/{node}", PRETTY, nodes::one),
    control("/api/v1/nodes/{node}", nodes::forget),
    read("/api/v1/events", &["last_event_id"], events::stream),
    read("/metrics", &[], metrics::page),
];

/// A path without a slash at the end and with one, where it names a thing of the API that is not one
/// of many.
fn both(path: &str) -> Vec<String> {
    let has_both = path.starts_with("/api/") && !path.ends_with('}');
    let other = has_both.then(|| format!("{path}/"));
    std::iter::once(path.to_owned()).chain(other).collect()
}

/// Notes that a path is asked with a method.
fn know(known: &mut BTreeMap<String, MethodSet>, path: String, method: Method) {
    let methods = known.entry(path).or_insert(MethodSet::EMPTY.with(Method::Options));
    *methods = methods.with(method);
    if method == Method::Get {
        *methods = methods.with(Method::Head);
    }
}

/// What this API is, for programs.
const OPENAPI: &str = include_str!("openapi.json");
/// Headers that pages of another origin may send, where they may ask.
const HEADERS: &str = "Authorization, Content-Type, Last-Event-ID";
const JSON: &str = "application/json";
/// Seconds whose traffic SRS tells.
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
            flow: Flow::default(),
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
        let mut known = BTreeMap::new();
        for path in both("/api/v1/stream") {
            let api = Rc::clone(self);
            server = server.route(Method::Get, &path, move |request, reply, _| {
                lookup::answer(&api, request, reply)
            })?;
            know(&mut known, path, Method::Get);
        }
        for route in ROUTES {
            for path in both(route.path) {
                let api = Rc::clone(self);
                server = server.route(route.method, &path, move |request, reply, el| {
                    api.run(route, request, reply, el)
                })?;
                know(&mut known, path, route.method);
            }
        }
        for path in both("/api/v1/nodes") {
            let api = Rc::clone(self);
            server = server.route(Method::Post, &path, move |request, reply, el| {
                nodes::note(&api, request, reply, el)
            })?;
            know(&mut known, path, Method::Post);
        }
        for (path, methods) in known {
            let api = Rc::clone(self);
            server = server.route(Method::Options, &path, move |request, reply, _| {
                api.preflight(request, reply, methods)
            })?;
        }
        let (ready, api, described) = (Rc::clone(&self.hub), Rc::clone(self), Rc::clone(self));
        server
            .route(Method::Get, "/api/v1/openapi.json", move |_, reply, _| {
                described.send(reply, StatusCode::OK, OPENAPI.as_bytes())
            })?
            .route(Method::Get, "/api/{*path}", move |_, reply, _| {
                api.fail(reply, &Wrong::not_found("there is nothing at this path of the API; /api/v1/openapi.json says what there is"))
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
    fn preflight(&self, request: &Request<'_>, reply: Reply<'_>, methods: MethodSet) -> Answered {
        let mut list = Vec::new();
        methods.write_list(&mut list);
        let is_known = self.is_known_origin(request);
        reply.respond(
            StatusCode::NO_CONTENT,
            |head| {
                if is_known {
                    self.cors(head)?;
                    head.header("Access-Control-Allow-Methods", &*list)?;
                    head.header("Access-Control-Allow-Headers", HEADERS)?;
                    head.header("Access-Control-Max-Age", "600")?;
                }
                head.allow(methods);
                Ok(())
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

    /// Answers that it is not going to be answered, and why.
    fn fail(&self, reply: Reply<'_>, wrong: &Wrong) -> Answered {
        let refusal = match wrong.status.as_u16() {
            400 => Some(ApiRefusal::BadRequest),
            401 => Some(ApiRefusal::Unauthorized),
            403 => Some(ApiRefusal::Forbidden),
            404 => Some(ApiRefusal::NotFound),
            409 => Some(ApiRefusal::NameTaken),
            413 => Some(ApiRefusal::TooLong),
            503 => Some(ApiRefusal::Busy),
            _ => None,
        };
        if let Some(refusal) = refusal {
            self.hub.counters.refused(refusal);
        }
        answer::fail(self, reply, wrong)
    }
}
