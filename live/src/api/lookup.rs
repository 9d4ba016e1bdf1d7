//! `GET /api/v1/stream/?streamname=livestream1&edgename=edge240`: what players' schedulers ask, all
//! the time. It is answered from the loop's own directory, or as it was before ([`super::given`]): nobody
//! is asked, nothing is allocated.

use std::sync::Arc;

use network::http::{Answered, Query, Reply, Request, StatusCode};

use super::answer::Wrong;
use super::given::Plain;
use super::{Access, Api};
use crate::directory::Listing;
use crate::json::Json;
use crate::name::{DEFAULT_APP, StreamName};

/// What is asked for.
#[derive(Default)]
struct Question<'a> {
    stream: Option<std::borrow::Cow<'a, str>>,
    edge: Option<std::borrow::Cow<'a, str>>,
    is_pretty: bool,
}

/// An edge's name: one or more letters, digits, dots, dashes and underscores, as host names have.
fn is_edge(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(letter)
}

pub(super) fn answer(api: &Api, request: &Request<'_>, reply: Reply<'_>) -> Answered {
    api.hub.counters.api_requests.add(1);
    let plain = Plain::of(api, request);
    if let Some(body) = plain.as_ref().and_then(|plain| api.given.find(plain)) {
        return send(api, reply, &body);
    }
    let found = api.may(request, Access::Read).and_then(|()| {
        let question = question(request)?;
        let listing = find(api, question.stream.as_deref().unwrap_or_default())?;
        Ok((question, listing))
    });
    let (question, listing) = match found {
        Ok(found) => found,
        Err(wrong) => return api.fail(reply, &wrong),
    };
    let mut out = api.scratch.borrow_mut();
    out.clear();
    out.extend_from_slice(&listing.json);
    edge(api, request, question.edge.as_deref(), &mut out);
    out.push(b'}');
    if question.is_pretty {
        // For people's eyes; they can wait.
        let pretty = indented(&out);
        return api.send(reply, StatusCode::OK, &pretty);
    }
    if let Some(plain) = plain {
        api.given.keep(&plain, &out);
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
    if question.edge.as_deref().is_some_and(|edge| !is_edge(edge)) {
        let text = "expected 1 to 64 letters, digits, dots, dashes and underscores";
        return Err(Wrong::field("edgename", text));
    }
    match question.stream {
        None => Err(Wrong::field("streamname", "missing; expected NAME or APP/NAME")),
        Some(_) => Ok(question),
    }
}

fn find(api: &Api, name: &str) -> Result<Arc<Listing>, Wrong> {
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
    if let Some(listing) = found {
        return Ok(listing);
    }
    match StreamName::parse(name) {
        Err(error) => Err(Wrong::field("streamname", error.to_string())),
        Ok(name) => match directory.find(name.as_str()) {
            Some(listing) => Ok(listing),
            None => Err(Wrong {
                field: Some("streamname".to_owned()),
                ..Wrong::not_found("there is no such stream")
            }),
        },
    }
}

/// Appends what is known of an edge: this node knows itself.
fn edge(api: &Api, request: &Request<'_>, asked: Option<&str>, out: &mut Vec<u8>) {
    let about = &api.about;
    let is_self = asked.is_none_or(|asked| asked.eq_ignore_ascii_case(&about.node));
    Json::new(out, false).object(|json| {
        json.text("name", asked.unwrap_or(&about.node));
        json.flag("self", is_self);
        if !is_self {
            json.null("url");
            json.null("load");
            return;
        }
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
    fn edges_have_plain_names() {
        for good in ["edge240", "a.example.org", "x_1"] {
            assert!(is_edge(good), "{good}");
        }
        for bad in ["", "a b", "a\r\nX: y", "a\"b", "ü", &"x".repeat(65)] {
            assert!(!is_edge(bad), "{bad}");
        }
    }

    #[test]
    fn pretty_has_a_member_a_line() {
        let pretty = indented(br#"{"code":0,"a":{"b":"x,:{"},"c":1}"#);
        let expected = "{\n  \"code\": 0,\n  \"a\": {\n    \"b\": \"x,:{\"\n  },\n  \"c\": 1\n}";
        assert_eq!(String::from_utf8_lossy(&pretty), expected);
    }
}
