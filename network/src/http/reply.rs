//! How a request is answered: at once, later, bit by bit, or by somebody else.

use std::cell::Cell;
use std::num::NonZeroUsize;
use std::rc::Rc;

use bytes::Bytes;

use super::body::BodyFraming;
use super::date::DateCache;
use super::server::Server;
use super::status::StatusCode;
use super::write::{
    CHUNK_END, LAST_CHUNK, ReplyTo, ResponseWriter, WriteError, Written, chunk_header,
    write_response,
};
use crate::event_loop::{EventLoop, SourceId};
use crate::limits;
use crate::tcp::{Connection, FileRange, Handler};

/// The right to answer one request. Each way of answering uses it up and gives an [`Answered`], so a
/// handler cannot forget to answer, and cannot answer twice.
pub struct Reply<'a> {
    pub(super) conn: &'a mut Connection,
    pub(super) server: &'a Rc<Server>,
    pub(super) to: ReplyTo,
    /// The cell of the [`Held`] this comes from.
    pub(super) held: Option<Rc<Cell<Wait>>>,
}

/// Proof that a request was answered, or is going to be.
#[must_use = "the handler returns it"]
pub struct Answered(pub(super) Outcome);

pub(super) enum Outcome {
    Sent { keep_alive: bool },
    Held(Rc<Cell<Wait>>),
    HandedOver,
}

/// How far a held reply is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wait {
    Waiting,
    Answered { keep_alive: bool },
    HandedOver,
}

/// The body of an answer.
pub enum Body<'b> {
    /// None.
    Empty,
    /// Copied behind the head.
    Copied(&'b [u8]),
    /// Shared, not copied.
    Shared(Bytes),
    /// A range of a file, sent by the kernel.
    File(FileRange),
}

impl Body<'_> {
    fn framing(&self) -> BodyFraming {
        let len = match self {
            Body::Empty => return BodyFraming::None,
            Body::Copied(bytes) => bytes.len(),
            Body::Shared(bytes) => bytes.len(),
            Body::File(range) => range.len,
        };
        BodyFraming::Length(len as u64)
    }

    fn send(self, conn: &mut Connection) {
        match self {
            Body::Empty => {}
            Body::Copied(bytes) => conn.send(bytes),
            Body::Shared(bytes) => conn.send_shared(bytes),
            Body::File(range) => conn.send_file(range),
        }
    }
}

/// A whole answer, composed once for many requests: what is left to do for each is a system call.
#[derive(Clone, Debug)]
pub struct Composed {
    to: ReplyTo,
    second: u64,
    keep_alive: bool,
    bytes: Bytes,
}

impl Reply<'_> {
    /// Composes the answer to this request, and to all others to which it fits.
    ///
    /// # Errors
    /// A header is refused.
    pub fn compose(
        &self,
        status: StatusCode,
        headers: impl FnOnce(&mut ResponseWriter<'_>) -> Result<(), WriteError>,
        body: &[u8],
    ) -> Result<Composed, WriteError> {
        let mut out = Vec::with_capacity(limits::HTTP_COMPOSED_HEAD + body.len());
        let mut head = ResponseWriter::begin(&mut out, self.to, status);
        let second = self.server.with_date(|date| {
            head.date(date);
            date.second()
        });
        headers(&mut head)?;
        let written = head.finish(BodyFraming::Length(body.len() as u64))?;
        if written.framing != BodyFraming::None {
            out.extend_from_slice(body);
        }
        let keep_alive = written.keep_alive;
        Ok(Composed { to: self.to, second, keep_alive, bytes: out.into() })
    }

    /// Whether an answer is as one composed for this request now would be.
    pub fn fits(&self, answer: &Composed) -> bool {
        answer.to == self.to && self.server.with_date(DateCache::second) == answer.second
    }

    /// Answers with what was composed for a request like this one. Who waited for it is sent it at once
    /// where the socket takes it, from the bytes that all share.
    pub fn send_composed(self, answer: &Composed) -> Answered {
        match self.held {
            Some(_) => self.conn.send_now(&answer.bytes),
            // Behind what its connection is answered before, in one write.
            None => self.conn.send_shared(answer.bytes.clone()),
        }
        self.outcome(Outcome::Sent { keep_alive: answer.keep_alive })
    }

    /// The connection the answer goes to, to look at.
    pub fn connection(&self) -> &Connection {
        self.conn
    }

    /// What the answer has to know of its request.
    pub fn to(&self) -> ReplyTo {
        self.to
    }

    /// Answers with a status, a content type and a body.
    pub fn send(self, status: StatusCode, content_type: &str, body: &[u8]) -> Answered {
        let mut result = Err(WriteError::Body);
        let (to, server) = (self.to, self.server);
        self.conn.compose(|out| {
            result =
                server.with_date(|date| write_response(out, to, status, date, content_type, body));
        });
        self.done(result)
    }

    /// Answers with 200 and plain text.
    pub fn text(self, text: &str) -> Answered {
        self.send(StatusCode::OK, "text/plain; charset=utf-8", text.as_bytes())
    }

    /// Answers with JSON.
    pub fn json(self, status: StatusCode, json: &[u8]) -> Answered {
        self.send(status, "application/json", json)
    }

    /// Answers with a status, whatever headers `headers` adds, and a body.
    pub fn respond(
        mut self,
        status: StatusCode,
        headers: impl FnOnce(&mut ResponseWriter<'_>) -> Result<(), WriteError>,
        body: Body<'_>,
    ) -> Answered {
        let result = self.head(status, headers, body.framing());
        if result.is_ok_and(|written| written.framing != BodyFraming::None) {
            body.send(self.conn);
        }
        self.done(result)
    }

    /// Answers with a head and a body whose length nobody knows yet: `make` gets a writer for the
    /// body and gives the handler that produces it, which has the connection until it ends the body.
    /// A HEAD request gets the head alone, and `make` is not called.
    pub fn stream(
        self,
        status: StatusCode,
        headers: impl FnOnce(&mut ResponseWriter<'_>) -> Result<(), WriteError>,
        make: impl FnOnce(BodyWriter) -> Box<dyn Handler>,
    ) -> Answered {
        self.produce(status, headers, BodyFraming::Chunked, make)
    }

    /// As [`Reply::stream`], for a body of `len` bytes: the handler sends as many, without any
    /// framing, before it ends the body.
    pub fn stream_sized(
        self,
        status: StatusCode,
        headers: impl FnOnce(&mut ResponseWriter<'_>) -> Result<(), WriteError>,
        len: u64,
        make: impl FnOnce(BodyWriter) -> Box<dyn Handler>,
    ) -> Answered {
        self.produce(status, headers, BodyFraming::Length(len), make)
    }

    fn produce(
        mut self,
        status: StatusCode,
        headers: impl FnOnce(&mut ResponseWriter<'_>) -> Result<(), WriteError>,
        framing: BodyFraming,
        make: impl FnOnce(BodyWriter) -> Box<dyn Handler>,
    ) -> Answered {
        match self.head(status, headers, framing) {
            Ok(written) if written.framing != BodyFraming::None => {
                let writer = BodyWriter {
                    framing: written.framing,
                    keep_alive: written.keep_alive,
                    server: Rc::clone(self.server),
                };
                self.conn.set_idle(None);
                self.conn.hand_over(make(writer));
                self.outcome(Outcome::HandedOver)
            }
            result => self.done(result),
        }
    }

    /// Gives the connection to `handler`, which speaks another protocol from now on, after the bytes
    /// that `write` appends: a 101, or whatever ends the HTTP on it.
    pub fn hand_over(
        self,
        write: impl FnOnce(&mut Vec<u8>),
        handler: Box<dyn Handler>,
    ) -> Answered {
        self.conn.compose(write);
        self.conn.set_idle(None);
        self.conn.hand_over(handler);
        self.outcome(Outcome::HandedOver)
    }

    /// Answers later: a long poll, or a question to somebody else. Requests that were sent behind
    /// this one wait. A reply held for longer than the server's bound is answered with 503.
    pub fn hold(self) -> (Answered, Held) {
        let cell = self.held.unwrap_or_else(|| Rc::new(Cell::new(Wait::Waiting)));
        let held = Held {
            conn: self.conn.id(),
            to: self.to,
            server: Rc::clone(self.server),
            wait: Rc::clone(&cell),
        };
        (Answered(Outcome::Held(cell)), held)
    }

    pub(super) fn head(
        &mut self,
        status: StatusCode,
        headers: impl FnOnce(&mut ResponseWriter<'_>) -> Result<(), WriteError>,
        framing: BodyFraming,
    ) -> Result<Written, WriteError> {
        let mut result = Err(WriteError::Body);
        let (to, server) = (self.to, self.server);
        self.conn.compose(|out| {
            let mut head = ResponseWriter::begin(out, to, status);
            server.with_date(|date| {
                head.date(date);
            });
            result = headers(&mut head).and_then(|()| head.finish(framing));
        });
        result
    }

    fn done(mut self, result: Result<Written, WriteError>) -> Answered {
        let keep_alive = match result {
            Ok(written) => written.keep_alive,
            Err(_) if self.conn.is_closing() => false,
            Err(error) => {
                // The handler asked for a head that cannot be; the peer is told that much.
                tracing::error!(%error, "an answer could not be written");
                self.to.keep_alive = false;
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                // Nothing in this head can be refused.
                let _ = self.head(status, |_| Ok(()), BodyFraming::None);
                false
            }
        };
        self.outcome(Outcome::Sent { keep_alive })
    }

    fn outcome(self, outcome: Outcome) -> Answered {
        if let Some(cell) = self.held {
            cell.set(match outcome {
                Outcome::Sent { keep_alive } => Wait::Answered { keep_alive },
                Outcome::HandedOver => Wait::HandedOver,
                Outcome::Held(_) => Wait::Waiting,
            });
        }
        Answered(outcome)
    }
}

/// A request that waits for its answer. Belongs to the loop of its connection.
pub struct Held {
    conn: SourceId,
    to: ReplyTo,
    server: Rc<Server>,
    wait: Rc<Cell<Wait>>,
}

impl Held {
    /// The connection that waits.
    pub fn connection(&self) -> SourceId {
        self.conn
    }

    /// True while somebody waits for the answer: the client is still there, and the server has not
    /// answered for want of one.
    pub fn is_waiting(&self, el: &EventLoop) -> bool {
        self.wait.get() == Wait::Waiting && el.contains(self.conn)
    }

    /// Answers. False where nobody waits any more; `answer` is not called then.
    pub fn reply(self, el: &mut EventLoop, answer: impl FnOnce(Reply<'_>) -> Answered) -> bool {
        if self.wait.get() != Wait::Waiting {
            return false;
        }
        self.server.tick(el.now());
        let Some(conn) = el.connection_without_queue(self.conn) else { return false };
        let Answered(_) = answer(Reply {
            conn,
            server: &self.server,
            to: self.to,
            held: Some(Rc::clone(&self.wait)),
        });
        true
    }
}

/// Writes the body of a streamed answer, in chunks where the client understands them.
pub struct BodyWriter {
    framing: BodyFraming,
    keep_alive: bool,
    server: Rc<Server>,
}

impl BodyWriter {
    /// Whether each piece needs a chunk header in front and [`CHUNK_END`] behind; for producers that
    /// gather their own slices.
    pub fn is_chunked(&self) -> bool {
        self.framing == BodyFraming::Chunked
    }

    /// Queues a copy of a piece.
    pub fn send(&self, conn: &mut Connection, piece: &[u8]) {
        if let Some(len) = NonZeroUsize::new(piece.len()) {
            self.framed(conn, len, |conn| conn.send(piece));
        }
    }

    /// Queues a shared piece without copying it.
    pub fn send_shared(&self, conn: &mut Connection, piece: Bytes) {
        if let Some(len) = NonZeroUsize::new(piece.len()) {
            self.framed(conn, len, |conn| conn.send_shared(piece));
        }
    }

    fn framed(&self, conn: &mut Connection, len: NonZeroUsize, send: impl FnOnce(&mut Connection)) {
        if self.is_chunked() {
            conn.send(chunk_header(len).as_bytes());
        }
        send(conn);
        if self.is_chunked() {
            conn.send(CHUNK_END);
        }
    }

    /// Ends the body. The connection serves further requests, or closes where its client or the
    /// framing asks for that.
    pub fn end(self, conn: &mut Connection) {
        if self.is_chunked() {
            conn.send(LAST_CHUNK);
        }
        if self.keep_alive && self.framing != BodyFraming::UntilClose {
            conn.hand_over(self.server.handler());
        } else {
            conn.close();
        }
    }
}
