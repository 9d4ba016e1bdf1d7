//! Streams over HTTP: `/APP/NAME.flv`, `.ts` and `.mp4` as long as they last, the way to WebSocket at the
//! same paths, and the way to lists.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use media::playlist::date_time;
use network::http::{
    Answered, Body, BodyWriter, Method, MethodSet, Reply, Request, ResponseWriter, RouteError,
    ServerBuilder, StatusCode, Version, WriteError,
};
use network::{CloseReason, Connection, EventLoop, Handler};

use super::hls::{Hls, TIME};
use super::path::{self, Asked};
use super::{Goodbye, Peer, ending, start_of, websocket};
use crate::counters::Reason;
use crate::format::{Container, Format, Framing};
use crate::hub::Hub;
use crate::log::view::{Start, View};
use crate::name::StreamName;
use crate::player::{Player, Progress};

/// The path of every stream.
const PATH: &str = "/{*path}";
const METHODS: MethodSet =
    MethodSet::EMPTY.with(Method::Get).with(Method::Head).with(Method::Options);

/// Adds the doors to a server's routes. Every path that is not something else is a stream's.
///
/// # Errors
/// The path is taken.
pub fn routes(
    server: ServerBuilder,
    hub: &Rc<Hub>,
    el: &mut EventLoop,
) -> Result<ServerBuilder, RouteError> {
    let (play, ask, time) = (Rc::clone(hub), Rc::clone(hub), Rc::clone(hub));
    let hls = Hls::start(hub, el);
    server
        .route(Method::Get, TIME, move |_, reply, _| what_time(&time, reply))?
        .route(Method::Get, PATH, move |request, reply, el| media(&play, &hls, request, reply, el))?
        .route(Method::Options, PATH, move |_, reply, _| {
            reply.respond(
                StatusCode::NO_CONTENT,
                |head| {
                    cors(&ask, head)?;
                    head.allow(METHODS);
                    head.header("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS")?;
                    head.header("Access-Control-Allow-Headers", "*")?;
                    head.header("Access-Control-Max-Age", "86400").map(drop)
                },
                Body::Empty,
            )
        })
}

/// Players of DASH set their clocks by it.
fn what_time(hub: &Hub, reply: Reply<'_>) -> Answered {
    let mut text = String::new();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    date_time(i64::try_from(now.as_micros()).unwrap_or(0), &mut text);
    reply.respond(
        StatusCode::OK,
        |head| {
            cors(hub, head)?;
            head.header("Cache-Control", "no-store")?;
            head.header("Content-Type", "text/plain").map(drop)
        },
        Body::Copied(text.as_bytes()),
    )
}

pub(super) fn cors(hub: &Hub, head: &mut ResponseWriter<'_>) -> Result<(), WriteError> {
    match hub.settings.cors.as_str() {
        "" => Ok(()),
        origin => {
            head.header("Access-Control-Allow-Origin", origin)?;
            head.header("Access-Control-Expose-Headers", "ETag, Date, Content-Range").map(drop)
        }
    }
}

fn media(
    hub: &Rc<Hub>,
    hls: &Rc<Hls>,
    request: &Request<'_>,
    reply: Reply<'_>,
    el: &mut EventLoop,
) -> Answered {
    let (name, asked) = match path::parse(request.path()) {
        Ok(Some(found)) => found,
        Ok(None) => {
            let text = "there is nothing at this path; streams are played at /APP/NAME.flv, .ts, .mp4, \
                        .m3u8 and .mpd";
            return fail(hub, reply, StatusCode::NOT_FOUND, text);
        }
        Err(error) => {
            hub.counters.ended(Reason::BadName);
            return fail(hub, reply, StatusCode::BAD_REQUEST, &error.to_string());
        }
    };
    if hub.is_draining() {
        return fail(hub, reply, StatusCode::SERVICE_UNAVAILABLE, "this server is about to end");
    }
    let container = match asked {
        Asked::Play(container) => container,
        Asked::Master => return hls.master(request, reply, el, &name),
        Asked::Manifest => return hls.manifest(request, reply, el, &name),
        Asked::File(file) => return hls.file(request, reply, el, &name, file),
    };
    play(hub, request, reply, el, &name, container)
}

fn play(
    hub: &Rc<Hub>,
    request: &Request<'_>,
    reply: Reply<'_>,
    el: &mut EventLoop,
    name: &StreamName,
    container: Container,
) -> Answered {
    let start = start_of(request.target().query.unwrap_or_default());
    if request.head().upgrades_to_websocket() {
        return websocket::upgrade(hub, request, reply, el, name, container, start);
    }
    // HTTP/1.0 knows no chunks: its body ends with the connection.
    let framing = match reply.to().version {
        Version::Http10 => Framing::Bare,
        Version::Http11 => Framing::Chunked,
    };
    let asked = Instant::now();
    let format = Format { container, framing };
    let view = hub.view(el, name, format);
    if view.entry(start).is_some() {
        return begin(hub, &view, start, asked, reply);
    }
    let wait = hub.settings.play.wait_for_publisher;
    if wait.is_zero() && view.file().is_some() {
        return not_found(hub, &view, reply);
    }
    // A loop that has not heard of the stream yet gets a moment to ask.
    let until = el.now() + wait.max(Duration::from_millis(100));
    let (answered, held) = reply.hold();
    let waits = Rc::clone(&view);
    view.wait(
        until,
        Box::new(move |hub, el| {
            let hub = Rc::clone(hub);
            // Who has gone meanwhile is not answered.
            held.reply(el, move |reply| match playable(&waits, start) {
                Some(start) => begin(&hub, &waits, start, asked, reply),
                None => not_found(&hub, &waits, reply),
            });
        }),
    );
    answered
}

/// How to begin after a wait: a stream whose keyframes are too far apart for the log is joined where
/// it is.
pub(super) fn playable(view: &View, start: Start) -> Option<Start> {
    [start, Start::Live].into_iter().find(|start| view.entry(*start).is_some())
}

fn not_found(hub: &Hub, view: &View, reply: Reply<'_>) -> Answered {
    hub.counters.ended(Reason::NotFound);
    let text = format!("nobody publishes {}", view.name);
    fail(hub, reply, StatusCode::NOT_FOUND, &text)
}

pub(super) fn fail(hub: &Hub, reply: Reply<'_>, status: StatusCode, reason: &str) -> Answered {
    let text = format!("{status}: {reason}\n");
    reply.respond(
        status,
        |head| {
            cors(hub, head)?;
            head.header("Cache-Control", "no-store")?;
            head.header("Content-Type", "text/plain; charset=utf-8").map(drop)
        },
        Body::Copied(text.as_bytes()),
    )
}

fn begin(
    hub: &Rc<Hub>,
    view: &Rc<View>,
    start: Start,
    asked: Instant,
    reply: Reply<'_>,
) -> Answered {
    let (hub_for_head, hub, view) = (Rc::clone(hub), Rc::clone(hub), Rc::clone(view));
    let kind = view.format.content_type();
    reply.stream(
        StatusCode::OK,
        move |head| {
            cors(&hub_for_head, head)?;
            head.header("Cache-Control", "no-store")?;
            head.header("Content-Type", kind).map(drop)
        },
        move |writer| {
            let id = hub.next_id();
            Box::new(HttpPlayer {
                hub,
                view,
                start,
                asked,
                writer: Some(writer),
                player: None,
                id,
                why: None,
            })
        },
    )
}

/// A player that was answered 200: the body is the stream.
struct HttpPlayer {
    hub: Rc<Hub>,
    view: Rc<View>,
    start: Start,
    asked: Instant,
    /// Ends the body.
    writer: Option<BodyWriter>,
    player: Option<Player>,
    id: String,
    why: Option<Reason>,
}

impl Handler for HttpPlayer {
    fn opened(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        let (view, counters) = (&self.view, Arc::clone(&self.hub.counters));
        let (start, id) = (self.start, conn.id());
        conn.compose(|out| {
            self.player = Player::join(view, start, id, &counters, el.now(), out);
        });
        tracing::info!(
            conn = self.id, stream = %self.view.name, door = self.view.format.name(),
            peer = %Peer(conn.peer()), "play"
        );
        match &self.player {
            Some(player) => {
                let door = self.view.format.name();
                self.hub.plays(&self.id, door, conn, player.seat(), self.asked);
                conn.want_room();
            }
            // It was there a moment ago.
            None => self.leave(conn, Reason::StreamEnded),
        }
    }

    fn received(&mut self, _: &mut Connection, _: &mut EventLoop, input: &[u8]) -> usize {
        // A player has nothing to say; what it says is not kept.
        input.len()
    }

    fn writable(&mut self, conn: &mut Connection, _: &mut EventLoop) {
        self.pump(conn);
    }

    fn due(&mut self, conn: &mut Connection, _: &mut EventLoop) {
        self.pump(conn);
    }

    fn drain(&mut self, conn: &mut Connection, _: &mut EventLoop) {
        self.leave(conn, Reason::Drained);
    }

    fn closed(&mut self, conn: &mut Connection, el: &mut EventLoop, reason: &CloseReason) {
        let (reason, detail) = ending(self.why, reason);
        let goodbye = Goodbye {
            id: &self.id,
            stream: self.view.name.as_str(),
            door: self.view.format.name(),
            reason,
            detail: &detail,
        };
        if let Some(player) = self.player.take() {
            goodbye.say(conn, player.seat().account(el.now()), &self.hub);
        }
    }
}

impl HttpPlayer {
    fn pump(&mut self, conn: &mut Connection) {
        let Some(player) = &mut self.player else { return };
        match player.pump(conn) {
            Progress::Going => {}
            Progress::Over => self.leave(conn, Reason::StreamEnded),
            Progress::Lost => {
                self.why = Some(Reason::Lost);
                conn.close_now();
            }
        }
    }

    /// Ends the body. In the middle of a tag it cannot be ended well: the connection ends instead.
    fn leave(&mut self, conn: &mut Connection, reason: Reason) {
        self.why.get_or_insert(reason);
        let whole = self.player.as_ref().is_none_or(|player| !player.is_within_packet());
        match self.writer.take() {
            // The connection is not given back: its account is told when it closes.
            Some(writer) if whole && writer.is_chunked() => {
                conn.send(network::http::LAST_CHUNK);
                conn.close();
            }
            _ => conn.close(),
        }
    }
}
