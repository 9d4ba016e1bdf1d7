//! Calling a WebSocket server.

use std::time::Duration;

use super::handshake::{AnswerError, Client, RequestError};
use super::session::{Limits, Session};
use super::socket::{Handler, OnConnection};
use crate::event_loop::EventLoop;
use crate::http::{HeadScan, HeaderSpace, HttpError, Method, Parsed, ResponseHead};
use crate::limits;
use crate::tcp::{self, CloseReason, Connect, ConnectError, Connecting, Connection};

/// Why there is no WebSocket.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The caller's arguments would break the request.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The server's answer is not HTTP.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The server refuses.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// The connection ended before the server had answered.
    #[error("no answer to the WebSocket request: {0}")]
    Ended(String),
    /// The system has no random numbers.
    #[error("the system has no random numbers")]
    Random,
}

type Then =
    Box<dyn FnOnce(&mut EventLoop, Result<Option<&str>, CallError>) -> Option<Box<dyn Handler>>>;

/// Calls a WebSocket server: connects, asks for `target` at `host` (as the URL has them), and calls
/// `then` once with the subprotocol the server chose, or with what went wrong. The handler it gives has
/// the WebSocket from then on.
///
/// # Errors
/// The system has no random numbers, or an argument would break the request.
pub fn connect(
    el: &mut EventLoop,
    to: Connect,
    host: &str,
    target: &str,
    protocols: &[&str],
    limits: Limits,
    then: impl FnOnce(&mut EventLoop, Result<Option<&str>, CallError>) -> Option<Box<dyn Handler>>
    + 'static,
) -> Result<Connecting, CallError> {
    let handshake = Client::new(random()?);
    let mut request = Vec::new();
    handshake.write(host, target, protocols, &[], &mut request)?;
    let calling = Calling {
        session: Some(Session::client(limits, random()?)),
        handshake,
        request,
        protocols: protocols.iter().map(|&name| name.to_owned()).collect(),
        scan: HeadScan::default(),
        then: None,
    };
    Ok(el.connect(to, move |el, outcome| match outcome {
        Ok(_) => Some(Box::new(Calling { then: Some(Box::new(then)), ..calling })),
        Err(error) => {
            then(el, Err(error.into()));
            None
        }
    }))
}

fn random<const N: usize>() -> Result<[u8; N], CallError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| CallError::Random)?;
    Ok(bytes)
}

/// A connection whose server has not answered yet.
struct Calling {
    session: Option<Session>,
    handshake: Client,
    request: Vec<u8>,
    protocols: Vec<String>,
    scan: HeadScan,
    then: Option<Then>,
}

impl Calling {
    /// Reads the answer; the length of its head and the chosen subprotocol once it is whole.
    fn answer(&mut self, input: &[u8]) -> Result<Option<(usize, Option<String>)>, CallError> {
        let mut space = HeaderSpace::new();
        match ResponseHead::parse(input, Method::Get, &mut self.scan, &mut space)? {
            Parsed::Incomplete => Ok(None),
            Parsed::Complete { head, len } => {
                let offered: Vec<&str> = self.protocols.iter().map(String::as_str).collect();
                let status = head.status.as_u16();
                let chosen = self.handshake.check(status, head.headers.iter(), &offered)?;
                Ok(Some((len, chosen.map(str::to_owned))))
            }
        }
    }

    fn fail(&mut self, el: &mut EventLoop, error: CallError) {
        if let Some(then) = self.then.take() {
            then(el, Err(error));
        }
    }
}

impl tcp::Handler for Calling {
    fn opened(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        conn.send(&self.request);
        conn.start_timer(el, limits::WEBSOCKET_ANSWER, 0);
    }

    fn received(&mut self, conn: &mut Connection, el: &mut EventLoop, input: &[u8]) -> usize {
        match self.answer(input) {
            Ok(None) => 0,
            Ok(Some((len, chosen))) => {
                let handler = self.then.take().and_then(|then| then(el, Ok(chosen.as_deref())));
                match (handler, self.session.take()) {
                    (Some(handler), Some(session)) => {
                        let ping_after = limits::WEBSOCKET_PING;
                        conn.hand_over(Box::new(OnConnection::new(session, handler, ping_after)));
                    }
                    _ => conn.close(),
                }
                len
            }
            Err(error) => {
                self.fail(el, error);
                conn.close_now();
                input.len()
            }
        }
    }

    fn timer(&mut self, conn: &mut Connection, el: &mut EventLoop, _: u32) {
        let after: Duration = limits::WEBSOCKET_ANSWER;
        self.fail(el, CallError::Ended(format!("the server is silent for {after:?}")));
        conn.close_now();
    }

    fn closed(&mut self, _: &mut Connection, el: &mut EventLoop, reason: &CloseReason) {
        self.fail(el, CallError::Ended(reason.to_string()));
    }
}
