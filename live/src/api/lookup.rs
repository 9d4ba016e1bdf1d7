//! `GET /api/v1/stream/?streamname=livestream1&edgename=edge240`: what players' schedulers ask, all
//! the time. It is answered from the loop's own tables, or as it was before ([`super::given`]): nobody is
//! asked, and nothing is allocated for a stream that is here.

use std::sync::Arc;

use network::http::{Answered, Query, Reply, Request, StatusCode};

use super::answer::Wrong;
use super::given::Plain;
use super::{Access, Api};
use crate::directory::Listing;
use crate::json::Json;
use crate::name::{DEFAULT_APP, StreamName};
use crate::nodes::{Node, is_name};

/// What is asked for.
#[derive(Default)]
struct Question<'a> {
    stream: Option<std::borrow::Cow<'a, str>>,
    edge: Option<std::borrow::Cow<'a, str>>,
    is_pretty: bool,
}

/// Where a stream is.
enum Found {
    Here(Arc<Listing>),
    Elsewhere(StreamName, Arc<Node>),
}

pub(super) fn answer(api: &Api, request: &Request<'_>, reply: Reply<'_>) -> Answered {
    api.hub.counters.api_requests.add(1);
    let plain = Plain::of(api, request);
    if let Some(body) = plain.as_ref().and_then(|plain| api.given.find(plain)) {
        return send(api, reply, &body);
    }
    let found = api.may(request, Access::Read).and_then(|()| {
        let question = question(request)?;
        let found = find(api, &question)?;
        Ok((question, found))
    });
    let (question, found) = match found {
        Ok(found) => found,
        Err(wrong) => return api.fail(reply, &wrong),
    };
    let mut out = api.scratch.borrow_mut();
    out.clear();
    let has_nodes = match found {
        Found::Here(listing) => {
            out.extend_from_slice(&listing.json);
            let asked = question.edge.as_deref();
            // One that is away may come up at another node.
            let may_move = !listing.is_heard;
            match asked.filter(|asked| !asked.eq_ignore_ascii_case(&api.about.node)) {
                None => {
                    own(api, request, asked, &mut out);
                    may_move
                }
                Some(asked) => {
                    other(asked, known(api, asked).as_deref(), &mut out);
                    true
                }
            }
        }
        Found::Elsewhere(name, node) => {
            elsewhere(&name, &mut out);
            other(&node.name, Some(&node), &mut out);
            true
        }
    };
    out.push(b'}');
    if question.is_pretty {
        // For people's eyes; they can wait.
        let pretty = indented(&out);
        return api.send(reply, StatusCode::OK, &pretty);
    }
    if let Some(plain) = plain {
        api.given.keep(&plain, has_nodes, &out);
    }
    send(api, reply, &out)
}

/// With as few headers as can be.
fn send(api: &Api, reply: Reply<'_>, body: &[u8]) -> Answered {
    match api.about.cors {
        None => reply.json(StatusCode::OK, body),
        Some(_) => api.send(reply, StatusCode::OK, body),
    }
}

fn question<'a>(request: &Request<'a>) -> Result<Question<'a>, Wrong> {
    let mut question = Question::default();
    for given in Query::new(request.target().query.unwrap_or_default()) {
        let value = given.value().map_err(|error| Wrong::field("query", error.reason))?;
        let (name, place) = if given.name_is("streamname") {
            ("streamname", &mut question.stream)
        } else if given.name_is("edgename") {
            ("edgename", &mut question.edge)
        } else if given.name_is("pretty") {
            question.is_pretty = match &*value {
                "" | "true" | "1" => true,
                "false" | "0" => false,
                _ => return Err(Wrong::field("pretty", "expected nothing, true or false")),
            };
            continue;
        } else {
            let shown: String = given.raw_name.chars().take(64).collect();
            let text = "unknown parameter; known: streamname, edgename, pretty";
            return Err(Wrong::field(&shown, text));
        };
        if place.replace(value).is_some() {
            return Err(Wrong::field(name, "given twice"));
        }
    }
    if question.edge.as_deref().is_some_and(|edge| !is_name(edge)) {
        let text = "expected 1 to 64 letters, digits, dots, dashes and underscores";
        return Err(Wrong::field("edgename", text));
    }
    match question.stream {
        None => Err(Wrong::field("streamname", "missing; expected NAME or APP/NAME")),
        Some(_) => Ok(question),
    }
}

fn find(api: &Api, question: &Question<'_>) -> Result<Found, Wrong> {
    let name = question.stream.as_deref().unwrap_or_default();
    let directory = &api.hub.directory;
    let found = match name.contains('/') {
        true => directory.find(name),
        false => {
            let mut whole = api.name.borrow_mut();
            whole.clear();
            whole.push_str(DEFAULT_APP);
            whole.push('/');
            whole.push_str(name);
            directory.find(&whole)
        }
    };
    if let Some(listing) = found.as_ref().filter(|listing| listing.is_heard) {
        return Ok(Found::Here(Arc::clone(listing)));
    }
    let name = match &found {
        Some(listing) => listing.name.clone(),
        None => StreamName::parse(name)
            .map_err(|error| Wrong::field("streamname", error.to_string()))?,
    };
    let found = found.or_else(|| directory.find(name.as_str()));
    if let Some(listing) = found.as_ref().filter(|listing| listing.is_heard) {
        return Ok(Found::Here(Arc::clone(listing)));
    }
    // Where its publisher is away, it may have gone to another node.
    let asked = question.edge.as_deref().map(str::to_ascii_lowercase);
    let node = api.hub.nodes.with_stream(&name, asked.as_deref());
    match (node, found) {
        (Some(node), _) => Ok(Found::Elsewhere(name, node)),
        (None, Some(listing)) => Ok(Found::Here(listing)),
        (None, None) => Err(Wrong {
            field: Some("streamname".to_owned()),
            ..Wrong::not_found("there is no such stream")
        }),
    }
}

/// The other node of this name, where it is known.
fn known(api: &Api, asked: &str) -> Option<Arc<Node>> {
    let mut key = api.name.borrow_mut();
    key.clear();
    key.push_str(asked);
    key.make_ascii_lowercase();
    api.hub.nodes.find(&key)
}

/// Appends what is known of a stream that is not here, up to its edge.
fn elsewhere(name: &StreamName, out: &mut Vec<u8>) {
    Json::new(out, false).object(|json| {
        json.number("code", 0);
        json.member_object("stream", |json| {
            json.text("app", name.app());
            json.text("name", name.name());
            json.flag("live", true);
            for unknown in ["since", "video", "audio", "kbps"] {
                json.null(unknown);
            }
        });
        json.null("viewers");
    });
    // The object is open still.
    out.pop();
    out.extend_from_slice(b",\"edge\":");
}

/// Appends another edge than this node.
fn other(name: &str, node: Option<&Node>, out: &mut Vec<u8>) {
    Json::new(out, false).object(|json| {
        json.text("name", name);
        json.flag("self", false);
        json.maybe_text("url", node.map(|node| &node.url));
        match node {
            Some(node) => json.float("load", node.load),
            None => json.null("load"),
        }
    });
}

/// Appends this node, by the name that was asked for.
fn own(api: &Api, request: &Request<'_>, asked: Option<&str>, out: &mut Vec<u8>) {
    let about = &api.about;
    Json::new(out, false).object(|json| {
        json.text("name", asked.unwrap_or(&about.node));
        json.flag("self", true);
        let host = request.headers().get_str("Host");
        match (&about.play_url, host) {
            (Some(url), _) => json.text("url", url),
            (None, Some(host)) if request.is_tls() => {
                json.text("url", format_args!("https://{host}"))
            }
            (None, Some(host)) => json.text("url", format_args!("http://{host}")),
            (None, None) => json.null("url"),
        }
        json.raw("load", &api.load.get());
    });
}

/// The same JSON with a member a line; it has no braces and commas in its texts, whose letters are
/// those of names.
fn indented(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 * json.len());
    let (mut depth, mut is_text) = (0_usize, false);
    for byte in json {
        match byte {
            b'"' => is_text = !is_text,
            b'}' if !is_text => {
                depth = depth.saturating_sub(1);
                crate::json::indent(&mut out, depth);
            }
            _ => {}
        }
        out.push(*byte);
        match byte {
            b'{' if !is_text => {
                depth += 1;
                crate::json::indent(&mut out, depth);
            }
            b',' if !is_text => crate::json::indent(&mut out, depth),
            b':' if !is_text => out.push(b' '),
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pretty_has_a_member_a_line() {
        let pretty = indented(br#"{"code":0,"a":{"b":"x,:{"},"c":1}"#);
        let expected = "{\n  \"code\": 0,\n  \"a\": {\n    \"b\": \"x,:{\"\n  },\n  \"c\": 1\n}";
        assert_eq!(String::from_utf8_lossy(&pretty), expected);
    }
}
