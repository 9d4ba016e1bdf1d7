//! HTTP-FLV: `/APP/NAME.flv`, and the way to WebSocket-FLV at the same path.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use network::http::{
    Answered, Body, BodyWriter, HttpError, Method, MethodSet, Reply, Request, ResponseWriter,
    RouteError, ServerBuilder, StatusCode, Version, WriteError, safe_segments,
};
use network::{CloseReason, Connection, EventLoop, Handler};

use super::{Goodbye, Peer, ending, start_of, websocket};
use crate::counters::Reason;
use crate::format::Format;
use crate::hub::Hub;
use crate::log::view::{Start, View};
use crate::name::{NameError, StreamName};
use crate::player::{Player, Progress};

/// What media is played by over HTTP.
const FLV: &str = ".flv";
/// The path of every stream.
const PATH: &str = "/{*path}";
const METHODS: MethodSet =
    MethodSet::EMPTY.with(Method::Get).with(Method::Head).with(Method::Options);

/// Adds the doors to a server's routes. Every path that is not something else is a stream's.
///
/// # Errors
/// The path is taken.
pub fn routes(server: ServerBuilder, hub: &Rc<Hub>) -> Result<ServerBuilder, RouteError> {
    let (play, ask) = (Rc::clone(hub), Rc::clone(hub));
    server
        .route(Method::Get, PATH, move |request, reply, el| media(&play, request, reply, el))?
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

fn cors(hub: &Hub, head: &mut ResponseWriter<'_>) -> Result<(), WriteError> {
    match hub.settings.cors.as_str() {
        "" => Ok(()),
        origin => head.header("Access-Control-Allow-Origin", origin).map(drop),
    }
}

/// The stream that a path names, without its extension; nothing where the extension is another one.
fn stream_of(path: &str) -> Result<Option<StreamName>, PathError> {
    let Some(path) = path.strip_suffix(FLV) else { return Ok(None) };
    let mut name = String::new();
    for segment in safe_segments(path) {
        if !name.is_empty() {
            name.push('/');
        }
        name.push_str(&segment?);
    }
    Ok(Some(StreamName::parse(&name)?))
}

#[derive(Debug, thiserror::Error)]
enum PathError {
    #[error("{}", .0.reason)]
    Http(HttpError),
    #[error(transparent)]
    Name(#[from] NameError),
}

impl From<HttpError> for PathError {
    fn from(error: HttpError) -> Self {
        Self::Http(error)
    }
}

fn media(hub: &Rc<Hub>, request: &Request<'_>, reply: Reply<'_>, el: &mut EventLoop) -> Answered {
    let name = match stream_of(request.path()) {
        Ok(Some(name)) => name,
        Ok(None) => {
            let text = "there is nothing at this path; streams are played at /APP/NAME.flv";
            return fail(hub, reply, StatusCode::NOT_FOUND, text);
        }
        Err(error) => {
            hub.counters.ended(Reason::BadName);
            return fail(hub, reply, StatusCode::BAD_REQUEST, &error.to_string());
        }
    };
    let start = start_of(request.target().query.unwrap_or_default());
    if request.head().upgrades_to_websocket() {
        return websocket::upgrade(hub, request, reply, el, &name, start);
    }
    // HTTP/1.0 knows no chunks: its body ends with the connection.
    let format = match reply.to().version {
        Version::Http10 => Format::Flv,
        Version::Http11 => Format::ChunkedFlv,
    };
    let asked = Instant::now();
    let view = hub.view(el, &name, format);
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

fn fail(hub: &Hub, reply: Reply<'_>, status: StatusCode, reason: &str) -> Answered {
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
    reply.stream(
        StatusCode::OK,
        move |head| {
            cors(&hub_for_head, head)?;
            head.header("Cache-Control", "no-store")?;
            head.header("Content-Type", "video/x-flv").map(drop)
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
                let place = (&self.view, player.cursor());
                self.hub.plays(&self.id, self.view.format.name(), conn, place, self.asked);
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
            goodbye.say(conn, player.account(el.now()), &self.hub);
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_streams() {
        let name = |path| stream_of(path).unwrap().map(|name| name.as_str().to_owned());
        assert_eq!(name("/live/talk.flv").as_deref(), Some("live/talk"));
        assert_eq!(name("/talk.flv").as_deref(), Some("live/talk"));
        assert_eq!(name("/a/b/c%2Dd.flv").as_deref(), Some("a/b/c-d"));
        assert_eq!(name("/live/talk.mp3"), None);
        for bad in ["/live/..%2f.flv", "/live/%00.flv", "/.flv", "/live//x.flv", "/live/a%20b.flv"]
        {
            assert!(stream_of(bad).is_err(), "{bad}");
        }
    }
}
