//! Why a request has no answer.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::http::{HttpError, Method, Url, UrlError, WriteError};
use crate::resolve::ResolveError;
use crate::tcp::ConnectError;

/// Why a request has no answer: what was asked, of whom, and what went wrong.
///
/// The text leaves the URL's query out, because keys and tokens tend to be in queries.
#[derive(Debug)]
pub struct ClientError {
    /// What was asked, after the redirects so far.
    pub method: Method,
    /// Where, after the redirects so far.
    pub url: Url,
    /// How many redirects led there.
    pub redirects: u32,
    /// The address that was asked, where it came to that.
    pub peer: Option<SocketAddr>,
    /// What went wrong.
    pub cause: ClientCause,
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.url.without_query())?;
        if let Some(peer) = self.peer {
            write!(f, " at {peer}")?;
        }
        if self.redirects > 0 {
            write!(f, " (redirect {})", self.redirects)?;
        }
        write!(f, ": {}", self.cause)
    }
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.source()
    }
}

/// What went wrong with a request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientCause {
    /// The request cannot be written.
    #[error(transparent)]
    Request(#[from] WriteError),
    /// The method is CONNECT.
    #[error("caller at fault: this client makes no tunnels")]
    Tunnel,
    /// The URL begins with `https` and the client's options have no TLS.
    #[error("caller at fault: https is asked for and the client was given no TLS")]
    NoTls,
    /// The loop drains and takes no further requests.
    #[error("the event loop is ending")]
    Ending,
    /// Too many requests to the same origin wait for a connection.
    #[error("{0} requests wait for a connection to the same server already")]
    Crowded(usize),
    /// The name has no address.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The client's guard refuses the address, or all addresses of the name; this is the first.
    #[error("the address {0} is not allowed")]
    NotAllowed(SocketAddr),
    /// There is no connection.
    #[error(transparent)]
    Connect(Box<ConnectError>),
    /// Something took too long.
    #[error("{0} took longer than {1:?}")]
    TimedOut(ClientTimeout, Duration),
    /// The connection ended too early.
    #[error("the connection ended {when}: {why}")]
    Closed {
        /// Before or within what.
        when: &'static str,
        /// In the words of [`crate::CloseReason`].
        why: String,
    },
    /// The answer is not HTTP as this crate reads it.
    #[error("the answer is not understood: {}", .0.reason)]
    Answer(HttpError),
    /// The body is longer than the bound.
    #[error("the answer's body is longer than {0} bytes")]
    TooLarge(u64),
    /// There is always one more redirect.
    #[error("more than {0} redirects")]
    TooManyRedirects(u32),
    /// A redirect leads to something that is no URL, or to what is not followed.
    #[error("the redirect is not followed: {0}")]
    Redirect(#[from] UrlError),
    /// A redirect leads from https to http, where others could listen.
    #[error("the redirect from https to {} is not followed", .0.without_query())]
    Downgrade(Url),
}

impl ClientCause {
    /// A short steady word for counters.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Request(_) | Self::Tunnel => "request",
            Self::NoTls => "no_tls",
            Self::Ending => "ending",
            Self::Crowded(_) => "crowded",
            Self::Resolve(_) => "resolve",
            Self::NotAllowed(_) => "not_allowed",
            Self::Connect(_) => "connect",
            Self::TimedOut(..) => "timed_out",
            Self::Closed { .. } => "closed",
            Self::Answer(_) => "answer",
            Self::TooLarge(_) => "too_large",
            Self::TooManyRedirects(_) | Self::Redirect(_) | Self::Downgrade(_) => "redirect",
        }
    }
}

/// What took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientTimeout {
    /// All connections to the server were busy.
    Waiting,
    /// The name's look-up, the connect and the TLS handshake together.
    Connecting,
    /// The answer's head, counted from when the request was sent.
    Answer,
    /// The next piece of the body.
    Silence,
    /// Everything together.
    Total,
}

impl fmt::Display for ClientTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting => "waiting for one of the connections to the server",
            Self::Connecting => "connecting",
            Self::Answer => "the beginning of the answer",
            Self::Silence => "the next piece of the body",
            Self::Total => "the request",
        })
    }
}
