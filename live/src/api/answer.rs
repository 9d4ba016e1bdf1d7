//! Heads of answers; errors.

use bytes::Bytes;
use network::http::{Answered, Body, Failure, Reply, ResponseWriter, StatusCode, WriteError};

use super::gather::Pass;
use super::{Api, JSON};
use crate::json::Json;

/// An error, as it is told.
#[derive(Debug)]
pub(super) struct Wrong {
    pub status: StatusCode,
    pub message: String,
    pub field: Option<String>,
    /// Seconds after which it is worth asking again.
    pub again_after: Option<u64>,
}

impl Wrong {
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), field: None, again_after: None }
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub fn busy() -> Self {
        let text = "too many ask at the same time; come again in a second";
        Self { again_after: Some(1), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, text) }
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
            if wrong.status == StatusCode::UNAUTHORIZED {
                head.header("WWW-Authenticate", "Bearer")?;
            }
            if let Some(seconds) = wrong.again_after {
                head.header("Retry-After", seconds.to_string())?;
            }
            Ok(())
        },
        Body::Copied(&body),
    )
}

/// Answers what no route does.
pub(super) fn failure(api: &Api, failure: &Failure, reply: Reply<'_>) -> Answered {
    let wrong = Wrong::new(failure.status, failure.reason);
    let body = wrong.json();
    reply.respond(
        failure.status,
        |head| {
            if !failure.allow.is_empty() {
                head.allow(failure.allow);
            }
            api.head(head, JSON)
        },
        Body::Copied(&body),
    )
}

/// The beginning of every answer that SRS knows too: the rest of the object follows.
pub(super) fn envelope(json: &mut Json<'_>, api: &Api) {
    json.number("code", 0);
    json.text("server", &api.about.node);
    json.text("service", format_args!("weir-{}", std::process::id()));
    json.text("pid", std::process::id());
}

impl Api {
    /// Adds what lets pages of other origins read the answer.
    pub(super) fn cors(&self, head: &mut ResponseWriter<'_>) -> Result<(), WriteError> {
        match &self.about.cors {
            None => Ok(()),
            Some(origin) => {
                head.header("Access-Control-Allow-Origin", origin)?;
                head.header("Vary", "Origin").map(drop)
            }
        }
    }

    /// Adds what every answer has.
    pub(super) fn head(&self, head: &mut ResponseWriter<'_>, kind: &str) -> Result<(), WriteError> {
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
