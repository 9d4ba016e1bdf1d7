//! Answers that players and the caches before them understand.

use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use media::playlist::reload::BadReload;
use network::http::{
    Answered, Body, Composed, Method, Reply, Request, ResponseWriter, StatusCode, WriteError,
};

use super::slice::Slice;
use crate::counters::Reason;
use crate::door::http::{cors, fail};
use crate::hub::Hub;
use crate::log::view::View;
use crate::name::StreamName;

/// A playlist of HLS.
pub(super) const HLS: &str = "application/vnd.apple.mpegurl";
/// A manifest of DASH.
pub(super) const DASH: &str = "application/dash+xml";
/// How long what never changes may be kept.
const FOR_LONG: &str = "public, max-age=86400, immutable";

/// A list, made once for all who ask.
#[derive(Debug)]
pub(super) struct List {
    body: Bytes,
    is_gzip: bool,
    tag: String,
    /// The answer as it was last given, and for how many seconds caches may keep it.
    composed: RefCell<Option<(u32, Composed)>>,
}

impl List {
    pub(super) fn new(text: &str, gzip: bool) -> Self {
        let form = if gzip { "z" } else { "" };
        // FNV-1a: the same text has the same tag, whichever loop made it.
        let sum = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
            (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let tag = format!("\"{sum:x}{form}\"");
        let body = match gzip {
            true => compressed(text),
            false => Bytes::copy_from_slice(text.as_bytes()),
        };
        Self { body, is_gzip: gzip, tag, composed: RefCell::default() }
    }
}

fn compressed(text: &str) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(1024), Compression::fast());
    // Memory takes all there is.
    let _ = encoder.write_all(text.as_bytes());
    encoder.finish().unwrap_or_default().into()
}

/// Part of a file that was asked for; its end may lie behind the file's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Range {
    /// From a byte to one behind the last.
    From(u64, Option<u64>),
    /// The last so many.
    Last(u64),
}

impl Range {
    /// What it is of a file of this length; nothing if it is none of it.
    fn of(self, len: u64) -> Option<(u64, u64)> {
        let (from, to) = match self {
            Self::From(from, to) => (from, to.map_or(len, |to| to.min(len))),
            Self::Last(count) => (len.saturating_sub(count), len),
        };
        (from < to).then_some((from, to))
    }
}

/// The range a request asks for of a file with this tag. Of several, of other units than bytes, or of one
/// that makes no sense, none is heard: the whole file is right too.
pub(super) fn range_of(request: &Request<'_>, tag: &str) -> Option<Range> {
    let headers = request.headers();
    let is_of_this = headers.get_str("If-Range").is_none_or(|other| other.trim() == tag);
    if request.method() != Method::Get || !is_of_this {
        return None;
    }
    let range = headers.get_str("Range")?.trim().strip_prefix("bytes=")?;
    let (from, to) = range.trim().split_once('-')?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // More than a number holds is behind every file's end.
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    if from.is_empty() {
        return number(to).map(Range::Last);
    }
    let from = number(from)?;
    let to = if to.is_empty() { None } else { Some(number(to)?.saturating_add(1)) };
    to.is_none_or(|to| to > from).then_some(Range::From(from, to))
}

/// Whether the client takes gzip: named, and not with a weight of nothing.
pub(super) fn takes_gzip(request: &Request<'_>) -> bool {
    let value = request.headers().get_str("Accept-Encoding").unwrap_or_default();
    value.split(',').any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").and_then(|q| q.trim().parse::<f32>().ok());
        name.trim().eq_ignore_ascii_case("gzip") && weight != Some(0.0)
    })
}

/// The list that the client says it has.
pub(super) fn known(request: &Request<'_>) -> Option<Rc<str>> {
    request.headers().get_str("If-None-Match").map(Rc::from)
}

/// An answer that is known, before it is given.
pub(super) enum Ready {
    /// A list.
    List {
        /// It.
        list: Rc<List>,
        /// What HTTP calls it.
        kind: &'static str,
        /// Seconds that caches may keep it.
        fresh_for: u32,
        /// The list its asker has already.
        known: Option<Rc<str>>,
    },
    /// A segment or a part.
    Slice {
        /// Of this log.
        view: Rc<View>,
        /// Of this segment.
        number: u32,
        /// Where it begins.
        at: u64,
        /// Where it ends, if it does not grow any more.
        end: Option<u64>,
        /// What of it is wanted.
        range: Option<Range>,
        /// What its asker has already.
        known: Option<Rc<str>>,
        /// Its tag.
        tag: Rc<str>,
    },
    /// An init segment.
    Init {
        /// It.
        bytes: Vec<u8>,
        /// What HTTP calls it.
        kind: &'static str,
        /// What its asker has already.
        known: Option<Rc<str>>,
        /// Its tag.
        tag: Rc<str>,
    },
    /// Nothing.
    Failed(StatusCode, Option<Reason>, String),
}

impl Ready {
    /// Nobody publishes the stream.
    pub(super) fn unpublished(name: &StreamName) -> Self {
        let text = format!("nobody publishes {name}");
        Self::Failed(StatusCode::NOT_FOUND, Some(Reason::NotFound), text)
    }

    /// The file is not there.
    pub(super) fn gone(why: &str) -> Self {
        Self::Failed(StatusCode::NOT_FOUND, Some(Reason::NotListed), why.to_owned())
    }

    /// A list was asked for in a way that makes no sense.
    pub(super) fn bad_reload(error: BadReload) -> Self {
        Self::Failed(StatusCode::BAD_REQUEST, None, error.to_string())
    }

    /// What was waited for did not come.
    pub(super) fn late() -> Self {
        let text = "it has not come in time: the publisher sends nothing".to_owned();
        Self::Failed(StatusCode::SERVICE_UNAVAILABLE, None, text)
    }

    pub(super) fn send(self, hub: &Rc<Hub>, reply: Reply<'_>) -> Answered {
        match self {
            Self::Slice { known: Some(known), ref tag, .. }
            | Self::Init { known: Some(known), ref tag, .. }
                if names(&known, tag) =>
            {
                let headers = |head: &mut ResponseWriter<'_>| {
                    cors(hub, head)?;
                    head.header("ETag", &**tag)?;
                    head.header("Cache-Control", FOR_LONG).map(drop)
                };
                reply.respond(StatusCode::NOT_MODIFIED, headers, Body::Empty)
            }
            Self::List { list, kind, fresh_for, known } => {
                send_list(hub, reply, &list, kind, fresh_for, known.as_deref())
            }
            Self::Slice { view, number, at, end: Some(end), range, tag, .. } => {
                send_slice(hub, reply, view, number, (at, end), (range, tag))
            }
            Self::Slice { view, number, at, end: None, tag, .. } => {
                let (for_head, kind) = (Rc::clone(hub), view.format.content_type());
                let hub = Rc::clone(hub);
                reply.stream(
                    StatusCode::OK,
                    // It is not whole yet: whoever keeps it keeps what was sent in the end.
                    move |head| file_head(&for_head, head, kind, &tag),
                    move |writer| Box::new(Slice::new(hub, view, number, at, None, writer)),
                )
            }
            Self::Init { bytes, kind, tag, .. } => reply.respond(
                StatusCode::OK,
                |head| file_head(hub, head, kind, &tag),
                Body::Copied(&bytes),
            ),
            Self::Failed(status, reason, text) => {
                if let Some(reason) = reason {
                    hub.counters.ended(reason);
                }
                fail(hub, reply, status, &text)
            }
        }
    }
}

fn send_list(
    hub: &Hub,
    reply: Reply<'_>,
    list: &List,
    kind: &str,
    fresh_for: u32,
    known: Option<&str>,
) -> Answered {
    let headers = |head: &mut ResponseWriter<'_>| {
        cors(hub, head)?;
        head.header("Content-Type", kind)?;
        if list.is_gzip {
            head.header("Content-Encoding", "gzip")?;
        }
        head.header("Vary", "Accept-Encoding")?;
        head.header("ETag", &list.tag)?;
        head.header("Cache-Control", format!("public, max-age={fresh_for}")).map(drop)
    };
    if known.is_some_and(|known| names(known, &list.tag)) {
        return reply.respond(StatusCode::NOT_MODIFIED, headers, Body::Empty);
    }
    let mut kept = list.composed.borrow_mut();
    let fits = |(seconds, answer): &(u32, Composed)| *seconds == fresh_for && reply.fits(answer);
    if !kept.as_ref().is_some_and(fits) {
        *kept = reply.compose(StatusCode::OK, headers, &list.body).ok().map(|of| (fresh_for, of));
    }
    match &*kept {
        Some((_, answer)) => reply.send_composed(answer),
        // Which says what is wrong.
        None => reply.respond(StatusCode::OK, headers, Body::Shared(list.body.clone())),
    }
}

/// Whether a header's list of tags has this one. What caches made weak is as good here.
fn names(tags: &str, tag: &str) -> bool {
    tags.split(',')
        .map(str::trim)
        .any(|other| other == "*" || other.strip_prefix("W/").unwrap_or(other) == tag)
}

fn send_slice(
    hub: &Rc<Hub>,
    reply: Reply<'_>,
    view: Rc<View>,
    number: u32,
    (at, end): (u64, u64),
    (range, tag): (Option<Range>, Rc<str>),
) -> Answered {
    let (for_head, kind, len) = (Rc::clone(hub), view.format.content_type(), end - at);
    let hub = Rc::clone(hub);
    let Some(range) = range else {
        return reply.stream_sized(
            StatusCode::OK,
            move |head| {
                file_head(&for_head, head, kind, &tag)?;
                head.header("Accept-Ranges", "bytes").map(drop)
            },
            len,
            move |writer| Box::new(Slice::new(hub, view, number, at, Some(end), writer)),
        );
    };
    let Some((from, to)) = range.of(len) else {
        return reply.respond(
            StatusCode::RANGE_NOT_SATISFIABLE,
            move |head| {
                cors(&for_head, head)?;
                head.header("Content-Range", format!("bytes */{len}")).map(drop)
            },
            Body::Empty,
        );
    };
    reply.stream_sized(
        StatusCode::PARTIAL_CONTENT,
        move |head| {
            file_head(&for_head, head, kind, &tag)?;
            head.header("Content-Range", format!("bytes {from}-{}/{len}", to - 1)).map(drop)
        },
        to - from,
        move |writer| Box::new(Slice::new(hub, view, number, at + from, Some(at + to), writer)),
    )
}

/// The head of a file that never changes.
fn file_head(
    hub: &Hub,
    head: &mut ResponseWriter<'_>,
    kind: &str,
    tag: &str,
) -> Result<(), WriteError> {
    cors(hub, head)?;
    head.header("Content-Type", kind)?;
    head.header("ETag", tag)?;
    head.header("Cache-Control", FOR_LONG).map(drop)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_what_they_are_of_a_file() {
        assert_eq!(Range::From(0, None).of(10), Some((0, 10)));
        assert_eq!(Range::From(3, Some(5)).of(10), Some((3, 5)));
        assert_eq!(Range::From(3, Some(u64::MAX)).of(10), Some((3, 10)));
        assert_eq!(Range::From(10, None).of(10), None);
        assert_eq!(Range::Last(4).of(10), Some((6, 10)));
        assert_eq!(Range::Last(40).of(10), Some((0, 10)));
        assert_eq!(Range::Last(0).of(10), None);
    }

    #[test]
    fn a_list_is_the_same_as_long_as_its_text_is() {
        let tag = |text: &str, gzip| List::new(text, gzip).tag;
        assert_eq!(tag("a", false), tag("a", false));
        assert_ne!(tag("a", false), tag("b", false));
        assert_ne!(tag("a", false), tag("a", true));
    }

    #[test]
    fn tags_are_found_in_a_list() {
        assert!(names("\"a\"", "\"a\"") && names("*", "\"a\""));
        assert!(names("\"b\", W/\"a\"", "\"a\""));
        assert!(!names("\"b\", \"ab\"", "\"a\"") && !names("", "\"a\""));
    }
}
