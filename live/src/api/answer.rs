//! Heads of answers; errors; long lists, piece by piece.

use bytes::Bytes;
use network::http::{
    Answered, Body, BodyWriter, Failure, Reply, ResponseWriter, StatusCode, WriteError,
};
use network::{Connection, EventLoop, Handler};

use super::gather::{Batch, Key, Pass};
use super::query::Page;
use super::{Api, JSON};
use crate::json::{Json, indent};
use crate::limits;

/// An error, as it is told.
#[derive(Debug)]
pub(super) struct Wrong {
    pub status: StatusCode,
    pub message: String,
    pub field: Option<String>,
}

impl Wrong {
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), field: None }
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub fn busy() -> Self {
        let text = "too many ask at the same time; come again in a second";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, text)
    }

    fn json(&self) -> Vec<u8> {
        let mut out = Vec::new();
        Json::new(&mut out, false).object(|json| {
            json.number("code", self.status.as_u16().into());
            json.text("message", &self.message);
            json.maybe_text("field", self.field.as_ref());
        });
        out
    }
}

/// Answers an error.
pub(super) fn fail(api: &Api, reply: Reply<'_>, wrong: &Wrong) -> Answered {
    let body = wrong.json();
    reply.respond(
        wrong.status,
        |head| {
            api.head(head, JSON)?;
            match wrong.status {
                StatusCode::UNAUTHORIZED => head.header("WWW-Authenticate", "Bearer").map(drop),
                StatusCode::SERVICE_UNAVAILABLE => head.header("Retry-After", "1").map(drop),
                _ => Ok(()),
            }
        },
        Body::Copied(&body),
    )
}

/// Answers what no route does.
pub(super) fn failure(failure: &Failure, cors: Option<&str>, reply: Reply<'_>) -> Answered {
    let wrong = Wrong::new(failure.status, failure.reason);
    let body = wrong.json();
    reply.respond(
        failure.status,
        |head| {
            if !failure.allow.is_empty() {
                head.allow(failure.allow);
            }
            cors_of(cors, head)?;
            head.header("Content-Type", JSON).map(drop)
        },
        Body::Copied(&body),
    )
}

/// Adds what lets pages of this origin read the answer.
fn cors_of(origin: Option<&str>, head: &mut ResponseWriter<'_>) -> Result<(), WriteError> {
    match origin {
        None => Ok(()),
        Some(origin) => {
            head.header("Access-Control-Allow-Origin", origin)?;
            head.header("Vary", "Origin").map(drop)
        }
    }
}

/// The beginning of every answer that SRS knows too: the rest of the object follows.
pub(super) fn envelope(json: &mut Json<'_>, api: &Api) {
    json.number("code", 0);
    json.text("server", &api.about.node);
    json.text("service", format_args!("weir-{}", std::process::id()));
    json.text("pid", std::process::id());
}

/// A list whose rows the loops have written already.
pub(super) struct List {
    batches: Vec<Batch>,
    /// The place of the next row of each batch.
    at: Vec<usize>,
    skip: usize,
    left: usize,
    is_pretty: bool,
    is_first: bool,
    _pass: Pass,
    /// What stands behind the last row.
    tail: Option<Vec<u8>>,
}

impl List {
    /// Puts the loops' rows together; `out` gets what stands before them.
    pub fn new(
        api: &Api,
        member: &str,
        page: &Page,
        is_pretty: bool,
        batches: Vec<Batch>,
        out: &mut Vec<u8>,
    ) -> Self {
        let at = vec![0; batches.len()];
        let mut list = Self {
            batches,
            at,
            skip: page.start,
            left: page.limit,
            is_pretty,
            is_first: true,
            _pass: api.hub.gatherings.pass(),
            tail: None,
        };
        let total: u64 = list.batches.iter().map(|batch| batch.total).sum();
        let next = list.next_cursor().filter(|_| page.sort.is_none());
        Json::new(out, is_pretty).object(|json| {
            envelope(json, api);
            json.number("total", total);
            json.maybe_text("next", next);
            json.member_array(member, |_| {});
        });
        // The array is open still.
        let open = out.iter().rposition(|byte| *byte == b']').unwrap_or(out.len());
        let mut tail = Vec::new();
        if is_pretty {
            indent(&mut tail, 1);
        }
        tail.extend(out.drain(open..));
        list.tail = Some(tail);
        list
    }

    /// The batch that has the smallest key.
    fn smallest(&self, at: &[usize]) -> Option<(usize, &Key)> {
        let fronts = self.batches.iter().zip(at).enumerate();
        fronts
            .filter_map(|(place, (batch, at))| Some((place, &batch.rows.get(*at)?.0)))
            .min_by_key(|(_, key)| *key)
    }

    /// The last key of this page, where there is another page behind it.
    fn next_cursor(&self) -> Option<String> {
        let most = self.skip + self.left;
        // Each loop has written one more than are asked for, where it has them.
        if self.batches.iter().map(|batch| batch.rows.len()).sum::<usize>() <= most {
            return None;
        }
        let mut at = self.at.clone();
        let mut last = None;
        for _ in 0..most {
            let (place, key) = self.smallest(&at)?;
            last = Some(key);
            *at.get_mut(place)? += 1;
        }
        last.map(Key::to_string)
    }

    /// Appends rows until there are about so many bytes; false where that was all.
    pub fn write(&mut self, out: &mut Vec<u8>, most: usize) -> bool {
        while self.left > 0 && out.len() < most {
            let Some((place, _)) = self.smallest(&self.at) else { break };
            let Some((batch, at)) = self.batches.get(place).zip(self.at.get_mut(place)) else {
                break;
            };
            let row = batch.row(*at);
            *at += 1;
            if self.skip > 0 {
                self.skip -= 1;
                continue;
            }
            self.left -= 1;
            if !std::mem::replace(&mut self.is_first, false) {
                out.push(b',');
            }
            if self.is_pretty {
                indent(out, 2);
            }
            out.extend_from_slice(row);
        }
        if self.left > 0 && self.smallest(&self.at).is_some() || out.len() >= most {
            return true;
        }
        if let Some(tail) = self.tail.take() {
            out.extend_from_slice(&tail);
        }
        false
    }
}

impl Api {
    /// Adds what lets pages of other origins read the answer.
    pub(super) fn cors(&self, head: &mut ResponseWriter<'_>) -> Result<(), WriteError> {
        cors_of(self.about.cors.as_deref(), head)
    }

    fn head(&self, head: &mut ResponseWriter<'_>, kind: &str) -> Result<(), WriteError> {
        self.cors(head)?;
        head.header("Cache-Control", "no-store")?;
        head.header("X-Content-Type-Options", "nosniff")?;
        head.header("Content-Type", kind).map(drop)
    }

    /// Answers with JSON.
    pub(super) fn send(&self, reply: Reply<'_>, status: StatusCode, body: &[u8]) -> Answered {
        reply.respond(status, |head| self.head(head, JSON), Body::Copied(body))
    }

    /// Answers with JSON that is written just now.
    pub(super) fn object(
        &self,
        reply: Reply<'_>,
        is_pretty: bool,
        members: impl FnOnce(&mut Json<'_>),
    ) -> Answered {
        let mut out = Vec::new();
        Json::new(&mut out, is_pretty).object(members);
        self.send(reply, StatusCode::OK, &out)
    }

    /// Answers with a body of any length, as fast as the client takes it.
    pub(super) fn stream(
        &self,
        reply: Reply<'_>,
        kind: &str,
        begin: Vec<u8>,
        list: List,
    ) -> Answered {
        reply.stream(
            StatusCode::OK,
            |head| self.head(head, kind),
            move |writer| Box::new(Streamed { writer: Some(writer), list, piece: begin }),
        )
    }

    /// Answers with a long text, which is shared with the connection until it is sent.
    pub(super) fn send_text(&self, reply: Reply<'_>, kind: &str, text: String) -> Answered {
        let text = Text { text, _pass: self.hub.gatherings.pass() };
        let body = Body::Shared(Bytes::from_owner(text));
        reply.respond(StatusCode::OK, |head| self.head(head, kind), body)
    }
}

/// A text on its way.
struct Text {
    text: String,
    _pass: Pass,
}

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

/// A list on its way.
struct Streamed {
    writer: Option<BodyWriter>,
    list: List,
    piece: Vec<u8>,
}

impl Streamed {
    /// One piece, and in the next turn another one.
    fn pump(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        if conn.is_congested() || conn.is_closing() {
            return;
        }
        let goes_on = self.list.write(&mut self.piece, limits::ANSWER_PIECE);
        let Some(writer) = &self.writer else { return };
        writer.send(conn, &self.piece);
        self.piece.clear();
        if goes_on {
            el.mark_due(conn.id());
        } else if let Some(writer) = self.writer.take() {
            writer.end(conn);
        }
    }
}

impl Handler for Streamed {
    fn opened(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        self.pump(conn, el);
    }

    fn received(&mut self, _: &mut Connection, _: &mut EventLoop, _: &[u8]) -> usize {
        // The next request waits for its turn.
        0
    }

    fn writable(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        self.pump(conn, el);
    }

    fn due(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        self.pump(conn, el);
    }
}
