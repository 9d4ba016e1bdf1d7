//! What is asked, and what came of it.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;

use crate::event_loop::EventLoop;
use crate::http::{Method, ResponseHead, StatusCode, Url};
use crate::tcp::Handler;

use super::{ClientError, Incoming, ResponseHandler};

/// A request to be made.
#[derive(Clone, Debug)]
pub struct ClientRequest {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) body: Bytes,
    pub(super) body_at_most: Option<u64>,
    pub(super) total_within: Option<Duration>,
    pub(super) upgrade: Option<String>,
}

impl ClientRequest {
    /// A request without headers and body.
    pub fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: Vec::new(),
            body: Bytes::new(),
            body_at_most: None,
            total_within: None,
            upgrade: None,
        }
    }

    /// A GET.
    pub fn get(url: Url) -> Self {
        Self::new(Method::Get, url)
    }

    /// A POST of a body of this type.
    pub fn post(url: Url, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self::new(Method::Post, url).header("Content-Type", content_type).body(body)
    }

    /// Adds a header. `Host`, `Content-Length`, `Transfer-Encoding` and `Connection` are the
    /// client's own; where one of these is given, or one that cannot be written, the request fails.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// Sets the body, which is sent with its length.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Bounds the answer's body, instead of the client's bound; a streamed answer has none otherwise.
    #[must_use]
    pub fn body_at_most(mut self, bytes: u64) -> Self {
        self.body_at_most = Some(bytes);
        self
    }

    /// Bounds everything together, instead of the client's bound; a streamed answer has none
    /// otherwise.
    #[must_use]
    pub fn total_within(mut self, time: Duration) -> Self {
        self.total_within = Some(time);
        self
    }

    /// Offers to go on with another protocol. Whoever handles a 101 takes the connection
    /// ([`ResponseHandler::head`]).
    #[must_use]
    pub fn upgrade(mut self, protocol: &str) -> Self {
        self.upgrade = Some(protocol.to_owned());
        self
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct ClientResponse {
    /// The status.
    pub status: StatusCode,
    /// Where the answer came from, after all redirects.
    pub url: Url,
    /// How many redirects were followed.
    pub redirects: u32,
    /// The body.
    pub body: Bytes,
    /// Names and values, one behind the other.
    text: Vec<u8>,
    headers: Vec<(Range<usize>, Range<usize>)>,
}

impl ClientResponse {
    fn new(head: &ResponseHead<'_>, url: Url, redirects: u32) -> Self {
        let mut text = Vec::new();
        let mut push = |bytes: &[u8]| {
            let from = text.len();
            text.extend_from_slice(bytes);
            from..text.len()
        };
        let headers =
            head.headers.iter().map(|(name, value)| (push(name.as_bytes()), push(value))).collect();
        Self { status: head.status, url, redirects, body: Bytes::new(), text, headers }
    }

    /// Names and values of the headers, in order.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let text = |range: &Range<usize>| self.text.get(range.clone()).unwrap_or_default();
        self.headers.iter().map(move |(name, value)| {
            (std::str::from_utf8(text(name)).unwrap_or_default(), text(value))
        })
    }

    /// The value of the first header with this name, in any case of letters.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// Collects an answer for [`super::Client::fetch`].
pub(super) struct Collect<F> {
    pub then: F,
    pub response: Option<ClientResponse>,
    pub body: Vec<u8>,
}

impl<F> ResponseHandler for Collect<F>
where
    F: FnOnce(&mut EventLoop, Result<ClientResponse, ClientError>),
{
    fn head(
        &mut self,
        from: &mut Incoming<'_>,
        _: &mut EventLoop,
        head: &ResponseHead<'_>,
    ) -> Option<Box<dyn Handler>> {
        self.response = Some(ClientResponse::new(head, from.url(), from.redirects()));
        None
    }

    fn data(&mut self, _: &mut Incoming<'_>, _: &mut EventLoop, data: &[u8]) {
        self.body.extend_from_slice(data);
    }

    fn end(self: Box<Self>, el: &mut EventLoop, outcome: Result<(), ClientError>) {
        let Self { then, response, body } = *self;
        match (outcome, response) {
            (Ok(()), Some(response)) => {
                then(el, Ok(ClientResponse { body: body.into(), ..response }))
            }
            (Err(error), _) => then(el, Err(error)),
            // An answer does not end well before its head.
            (Ok(()), None) => {}
        }
    }
}
