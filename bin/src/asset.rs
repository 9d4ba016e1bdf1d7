//! What pages are made of, as it is sent.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use bytes::Bytes;
use network::http::{
    Answered, Body, Method, Reply, Request, RouteError, ServerBuilder, StatusCode,
};

pub const HTML: &str = "text/html; charset=utf-8";
pub const SCRIPT: &str = "text/javascript; charset=utf-8";
pub const STYLE: &str = "text/css; charset=utf-8";
pub const IMAGE: &str = "image/svg+xml";

/// A page, or a part of one.
pub struct Asset {
    kind: &'static str,
    policy: &'static str,
    body: Bytes,
    tag: String,
}

impl Asset {
    /// `policy` is its Content-Security-Policy.
    pub fn new(kind: &'static str, policy: &'static str, body: impl Into<Bytes>) -> Rc<Self> {
        let body = body.into();
        let mut hasher = DefaultHasher::new();
        body.hash(&mut hasher);
        let tag = format!("\"{:x}\"", hasher.finish());
        Rc::new(Self { kind, policy, body, tag })
    }

    /// Serves it at this path.
    ///
    /// # Errors
    /// The path is taken.
    pub fn at(
        self: Rc<Self>,
        server: ServerBuilder,
        path: &str,
    ) -> Result<ServerBuilder, RouteError> {
        server.route(Method::Get, path, move |request, reply, _| self.send(request, reply))
    }

    /// Answers with it, or says that the client has it already. Browsers ask each time: after an update
    /// of the server they get what belongs together.
    pub fn send(&self, request: &Request<'_>, reply: Reply<'_>) -> Answered {
        let known = request.headers().get_str("If-None-Match").unwrap_or_default();
        let mut known = known.split(',').map(|known| known.trim().trim_start_matches("W/"));
        let (status, body) = match known.any(|known| known == self.tag) {
            true => (StatusCode::NOT_MODIFIED, Body::Empty),
            false => (StatusCode::OK, Body::Shared(self.body.clone())),
        };
        reply.respond(
            status,
            |head| {
                head.header("ETag", &self.tag)?;
                head.header("Cache-Control", "no-cache")?;
                head.header("Vary", "Accept")?;
                head.header("Content-Type", self.kind)?;
                head.header("Content-Security-Policy", self.policy)?;
                head.header("X-Content-Type-Options", "nosniff")?;
                head.header("Referrer-Policy", "no-referrer").map(drop)
            },
            body,
        )
    }
}
