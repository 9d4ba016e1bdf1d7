//! A WebSocket session on a connection.

use std::time::Duration;

use bytes::Bytes;

use super::close::CloseCode;
use super::handshake::accept;
use super::message::Kind;
use super::sender::{SendError, Sender};
use super::session::{Error, Event, Limits, Session};
use crate::event_loop::EventLoop;
use crate::http::{Answered, Body, Reply, Request, StatusCode, Version};
use crate::limits;
use crate::tcp::{self, CloseReason, Connection};

/// What happens on a WebSocket, told to whoever owns it. The order is: `opened`, any number of the
/// others, `closed` once. Pings are answered by themselves.
pub trait Handler {
    /// The handshake is done.
    fn opened(&mut self, socket: &mut Socket<'_>, el: &mut EventLoop) {
        let _ = (socket, el);
    }

    /// A whole message came; a text is known to be UTF-8.
    fn message(&mut self, socket: &mut Socket<'_>, el: &mut EventLoop, kind: Kind, data: &[u8]);

    /// As [`tcp::Handler::congested`].
    fn congested(&mut self, socket: &mut Socket<'_>, el: &mut EventLoop) {
        let _ = (socket, el);
    }

    /// As [`tcp::Handler::writable`].
    fn writable(&mut self, socket: &mut Socket<'_>, el: &mut EventLoop) {
        let _ = (socket, el);
    }

    /// As [`tcp::Handler::due`].
    fn due(&mut self, socket: &mut Socket<'_>, el: &mut EventLoop) {
        let _ = (socket, el);
    }

    /// A timer started on the connection with this key, which is below 2^30, is due.
    fn timer(&mut self, socket: &mut Socket<'_>, el: &mut EventLoop, key: u32) {
        let _ = (socket, el, key);
    }

    /// Whether a frame that the handler writes on the connection itself has left only in part. What
    /// the session owes the peer (a pong, a goodbye) waits until it is whole.
    fn is_within_frame(&self) -> bool {
        false
    }

    /// It is over.
    fn closed(&mut self, conn: &mut Connection, el: &mut EventLoop, ended: &Ended<'_>) {
        let _ = (conn, el, ended);
    }
}

/// How a WebSocket ended.
#[derive(Debug)]
pub struct Ended<'a> {
    /// What the peer said, or [`CloseCode::ABNORMAL`] where it said nothing.
    pub code: CloseCode,
    /// Its words.
    pub words: &'a str,
    /// What the peer did wrong, if it did.
    pub error: Option<Error>,
    /// How the connection below ended.
    pub connection: &'a CloseReason,
}

/// A WebSocket, while its handler is called.
pub struct Socket<'a> {
    conn: &'a mut Connection,
    sender: &'a mut Sender,
}

impl Socket<'_> {
    /// The connection below. Bytes sent on it directly have to be whole frames.
    pub fn connection(&mut self) -> &mut Connection {
        self.conn
    }

    /// Queues a text.
    ///
    /// # Errors
    /// The session is closing.
    pub fn text(&mut self, text: &str) -> Result<(), SendError> {
        self.with(|sender, out| sender.text(text, out))
    }

    /// Queues bytes.
    ///
    /// # Errors
    /// The session is closing.
    pub fn binary(&mut self, data: &[u8]) -> Result<(), SendError> {
        self.with(|sender, out| sender.binary(data, out))
    }

    /// Queues a message whose bytes many receivers share: a header of its own, no copy. Server only.
    ///
    /// # Errors
    /// The session is closing, or is a client's, which has to mask.
    pub fn share(&mut self, kind: Kind, data: Bytes) -> Result<(), SendError> {
        let (header, len) = self.sender.header(kind, data.len())?;
        self.conn.send(header.get(..len).unwrap_or_default());
        self.conn.send_shared(data);
        Ok(())
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    /// The session is closing, or the payload is too long.
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.with(|sender, out| sender.ping(payload, out))
    }

    /// Says goodbye. The connection ends when the peer has answered, or after a bounded time.
    ///
    /// # Errors
    /// It was said already, or the code must not be sent.
    pub fn close(&mut self, code: CloseCode, words: &str) -> Result<(), SendError> {
        self.with(|sender, out| sender.close(code, words, out))
    }

    /// Whether messages may be sent.
    pub fn is_open(&self) -> bool {
        self.sender.is_open()
    }

    fn with(
        &mut self,
        write: impl FnOnce(&mut Sender, &mut Vec<u8>) -> Result<(), SendError>,
    ) -> Result<(), SendError> {
        let mut result = Ok(());
        self.conn.compose(|out| result = write(self.sender, out));
        result
    }
}

/// The timer that ends a goodbye nobody answers, and the one that looks for signs of life.
const GOODBYE: u32 = 1 << 30;
const ALIVE: u32 = GOODBYE | 1;

/// A session and its handler, as a connection holds them.
pub(super) struct OnConnection {
    session: Session,
    handler: Box<dyn Handler>,
    /// Silence after which a ping asks whether anybody is there; twice that ends it.
    ping_after: Duration,
    /// Bytes received when life was last looked for.
    heard: u64,
    asked: bool,
    leaving: bool,
    /// The loop drains, and the peer has to be told.
    goodbye_due: bool,
    said: Option<(CloseCode, String)>,
    error: Option<Error>,
}

impl OnConnection {
    pub fn new(session: Session, handler: Box<dyn Handler>, ping_after: Duration) -> Self {
        Self {
            session,
            handler,
            ping_after,
            heard: 0,
            asked: false,
            leaving: false,
            goodbye_due: false,
            said: None,
            error: None,
        }
    }

    /// After each call of the handler: sends what is owed, and begins the end where it was asked for.
    fn settle(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        if !self.handler.is_within_frame() {
            if std::mem::take(&mut self.goodbye_due) {
                // A session that is closing already needs no second goodbye.
                let _ = Socket { conn, sender: self.session.sender() }
                    .close(CloseCode::GOING_AWAY, "the server ends");
            }
            conn.compose(|out| {
                self.session.transmit(out);
            });
        }
        if self.session.is_done() {
            conn.close();
        } else if !self.session.is_open() && !std::mem::replace(&mut self.leaving, true) {
            conn.start_timer(el, limits::WEBSOCKET_GOODBYE, GOODBYE);
        }
    }
}

impl tcp::Handler for OnConnection {
    fn opened(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        conn.start_timer(el, self.ping_after, ALIVE);
        self.handler.opened(&mut Socket { conn, sender: self.session.sender() }, el);
        self.settle(conn, el);
    }

    fn received(&mut self, conn: &mut Connection, el: &mut EventLoop, input: &[u8]) -> usize {
        let mut taken = 0;
        loop {
            match self.session.feed(input.get(taken..).unwrap_or_default()) {
                Ok(n) => taken += n,
                Err(error) => {
                    self.error = Some(error);
                    break;
                }
            }
            match self.session.poll() {
                Some((Event::Message { kind, data }, sender)) => {
                    self.handler.message(&mut Socket { conn, sender }, el, kind, data);
                }
                Some((Event::Closed { code, reason }, _)) => {
                    self.said = Some((code, reason.to_owned()));
                }
                Some((Event::Ping(_) | Event::Pong(_), _)) => {}
                None => break,
            }
            if conn.is_paused() {
                break;
            }
        }
        self.settle(conn, el);
        taken
    }

    fn congested(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        self.handler.congested(&mut Socket { conn, sender: self.session.sender() }, el);
        self.settle(conn, el);
    }

    fn writable(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        self.handler.writable(&mut Socket { conn, sender: self.session.sender() }, el);
        self.settle(conn, el);
    }

    fn due(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        self.handler.due(&mut Socket { conn, sender: self.session.sender() }, el);
        self.settle(conn, el);
    }

    fn timer(&mut self, conn: &mut Connection, el: &mut EventLoop, key: u32) {
        match key {
            GOODBYE => conn.close(),
            ALIVE => {
                let heard = conn.received();
                let silent = heard == self.heard;
                if silent && self.asked {
                    return conn.close_because(CloseReason::Idle(self.ping_after * 2));
                }
                self.heard = heard;
                self.asked = silent;
                if silent && self.session.is_open() && !self.handler.is_within_frame() {
                    // An open session takes an empty ping.
                    let _ = Socket { conn, sender: self.session.sender() }.ping(b"");
                }
                conn.start_timer(el, self.ping_after, ALIVE);
            }
            key => {
                self.handler.timer(&mut Socket { conn, sender: self.session.sender() }, el, key);
                self.settle(conn, el);
            }
        }
    }

    fn drain(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        self.goodbye_due = true;
        self.settle(conn, el);
    }

    fn closed(&mut self, conn: &mut Connection, el: &mut EventLoop, reason: &CloseReason) {
        let (code, words) = match &self.said {
            Some((code, words)) => (*code, words.as_str()),
            None => (CloseCode::ABNORMAL, ""),
        };
        self.handler.closed(
            conn,
            el,
            &Ended { code, words, error: self.error, connection: reason },
        );
    }
}

/// Answers a request that asks for a WebSocket: `make` is given the subprotocol that both sides know,
/// if there is one, and gives the handler. Any other request is told what is wrong with it.
///
/// Who may connect from which page is for the caller to decide, by the request's `Origin`.
pub fn upgrade(
    request: &Request<'_>,
    reply: Reply<'_>,
    protocols: &[&str],
    limits: Limits,
    make: impl FnOnce(Option<&str>) -> Box<dyn Handler>,
) -> Answered {
    let minor = u8::from(request.head().version == Version::Http11);
    match accept(request.method().as_str(), minor, request.headers().iter(), protocols) {
        Ok(accepted) => {
            let handler = make(accepted.protocol);
            let ping_after = crate::limits::WEBSOCKET_PING;
            let socket = OnConnection::new(Session::server(limits), handler, ping_after);
            reply.hand_over(|out| accepted.write(out), Box::new(socket))
        }
        Err(refusal) => {
            let status = StatusCode::new(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
            let text = format!("{refusal}\n");
            reply.respond(
                status,
                |head| {
                    for (name, value) in refusal.headers() {
                        match *name {
                            "Connection" => {}
                            "Upgrade" => drop(head.upgrade(value)?),
                            name => drop(head.header(name, value)?),
                        }
                    }
                    head.header("Content-Type", "text/plain; charset=utf-8").map(drop)
                },
                Body::Copied(text.as_bytes()),
            )
        }
    }
}
