//! Other nodes: a list of them, one of them; announcing and forgetting one.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::HashSet;
use network::EventLoop;
use network::http::{Answered, Reply, Request, StatusCode, Url};
use serde_json::{Map, Value};

use super::answer::{Wrong, envelope};
use super::gather::{Batch, Key, Step};
use super::list::{self, Kind, Wanted};
use super::query::Asked;
use super::{Access, Api, PRETTY};
use crate::hub::Hub;
use crate::json::Json;
use crate::limits;
use crate::name::StreamName;
use crate::nodes::{DECIDES, Node, is_name};

const NAME: &str = "expected 1 to 64 letters, digits, dots, dashes and underscores";
const MEMBERS: [&str; 5] = ["name", "url", "load", "seconds", "streams"];

const LIST: Kind<Box<str>> = Kind {
    member: "nodes",
    orders: &["name"],
    cursor: |text| match is_name(text) {
        true => Ok(text.to_ascii_lowercase().into()),
        false => Err(NAME.to_owned()),
    },
    rows,
    is_everywhere: true,
};

/// `GET /api/v1/nodes`
pub(super) fn list(api: &Rc<Api>, asked: Asked, reply: Reply<'_>, el: &mut EventLoop) -> Answered {
    list::answer(&LIST, api, &asked, reply, el)
}

fn rows(wanted: Wanted<Box<str>>) -> Step {
    let Wanted { after, most, is_pretty, .. } = wanted;
    let mut nodes: Option<std::vec::IntoIter<Arc<Node>>> = None;
    Box::new(move |hub: &Rc<Hub>, _, batch: &mut Batch| {
        let nodes = nodes.get_or_insert_with(|| hub.nodes.all().into_iter());
        for node in nodes.by_ref().take(limits::ROWS_AT_ONCE) {
            batch.total += 1;
            let key = node.key();
            if after.as_ref().is_none_or(|after| key > *after) && batch.rows.len() < most {
                batch.add(Key::Node(key), is_pretty, 2, |json| row(json, &node));
            }
        }
        nodes.len() == 0
    })
}

fn row(json: &mut Json<'_>, node: &Node) {
    let left = node.until.saturating_duration_since(Instant::now());
    json.text("name", &node.name);
    json.text("url", &node.url);
    json.float("load", node.load);
    json.number("streams", node.streams.len() as u64);
    json.float("seconds", left.as_secs_f64());
}

/// `GET /api/v1/nodes/NAME`
pub(super) fn one(api: &Rc<Api>, asked: Asked, reply: Reply<'_>, _: &mut EventLoop) -> Answered {
    let node = key(&asked).and_then(|key| api.hub.nodes.find(&key).ok_or_else(unknown));
    match node {
        Err(wrong) => api.fail(reply, &wrong),
        Ok(node) => api.object(reply, asked.is_pretty, |json| {
            envelope(json, api);
            json.member_object("node", |json| row(json, &node));
        }),
    }
}

/// The name in the path, in small letters.
fn key(asked: &Asked) -> Result<String, Wrong> {
    match is_name(&asked.node) {
        true => Ok(asked.node.to_ascii_lowercase()),
        false => Err(Wrong::field("node", NAME)),
    }
}

fn unknown() -> Wrong {
    Wrong { field: Some("node".to_owned()), ..Wrong::not_found("there is no such node") }
}

/// `DELETE /api/v1/nodes/NAME`
pub(super) fn forget(
    api: &Rc<Api>,
    asked: Asked,
    reply: Reply<'_>,
    el: &mut EventLoop,
) -> Answered {
    let key = match key(&asked) {
        Ok(key) => key,
        Err(wrong) => return api.fail(reply, &wrong),
    };
    let name = key.clone();
    let step = move || -> Step {
        let key = key.clone();
        Box::new(move |hub, el, batch| {
            batch.total = hub.forget_node(el, &key).into();
            true
        })
    };
    api.ask(reply, el, DECIDES..DECIDES + 1, step, move |api, reply, batches| {
        match is_done(&batches) {
            false => api.fail(reply, &unknown()),
            true => api.object(reply, asked.is_pretty, |json| {
                envelope(json, api);
                json.text("forgotten", name);
            }),
        }
    })
}

/// `POST /api/v1/nodes`
pub(super) fn note(
    api: &Rc<Api>,
    request: &Request<'_>,
    reply: Reply<'_>,
    el: &mut EventLoop,
) -> Answered {
    api.hub.counters.api_requests.add(1);
    let read = api.may(request, Access::Control).and_then(|()| {
        let asked = Asked::of(request, PRETTY)?;
        let node = read(request.body(), el.now())?;
        if node.name.eq_ignore_ascii_case(&api.about.node) {
            let text = "this node has that name itself (api.node)";
            let field = Some("name".to_owned());
            return Err(Wrong { field, ..Wrong::new(StatusCode::CONFLICT, text) });
        }
        Ok((asked.is_pretty, Arc::new(node)))
    });
    let (is_pretty, node) = match read {
        Ok(read) => read,
        Err(wrong) => return api.fail(reply, &wrong),
    };
    let name = node.name.clone();
    let step = move || -> Step {
        let node = Arc::clone(&node);
        Box::new(move |hub, el, batch| {
            batch.total = hub.note_node(el, &node).into();
            true
        })
    };
    api.ask(reply, el, DECIDES..DECIDES + 1, step, move |api, reply, batches| {
        match is_done(&batches) {
            false => {
                let text = "too many nodes are known, or too many streams of theirs";
                api.fail(reply, &Wrong { message: text.to_owned(), ..Wrong::busy() })
            }
            true => api.object(reply, is_pretty, |json| {
                envelope(json, api);
                json.text("noted", name);
            }),
        }
    })
}

/// Whether the loop that decides did it.
fn is_done(batches: &[Batch]) -> bool {
    batches.first().is_some_and(|batch| batch.total > 0)
}

/// A node as it announces itself.
fn read(body: &[u8], now: Instant) -> Result<Node, Wrong> {
    if body.len() > limits::NODE_BODY {
        let text = format!("the body is longer than {} bytes", limits::NODE_BODY);
        let field = Some("body".to_owned());
        return Err(Wrong { field, ..Wrong::new(StatusCode::CONTENT_TOO_LARGE, text) });
    }
    let members = match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => members,
        Ok(_) => return Err(Wrong::field("body", "expected an object of JSON")),
        Err(error) => return Err(Wrong::field("body", format!("it is no JSON: {error}"))),
    };
    if let Some(strange) = members.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
        let shown: String = strange.chars().take(64).collect();
        let text = format!("unknown member; known: {}", MEMBERS.join(", "));
        return Err(Wrong::field(&shown, text));
    }
    let name = text(&members, "name").filter(|name| is_name(name));
    let name = name.ok_or_else(|| Wrong::field("name", NAME))?;
    let load = members.get("load").and_then(Value::as_f64);
    let load = load.filter(|load| (0.0..=1.0).contains(load));
    let seconds = match members.get("seconds") {
        None => Some(limits::NODE_SECONDS_DEFAULT),
        Some(value) => value.as_u64().filter(|n| (1..=limits::NODE_SECONDS).contains(n)),
    };
    let seconds = seconds.ok_or_else(|| {
        let text = format!("expected a whole number from 1 to {}", limits::NODE_SECONDS);
        Wrong::field("seconds", text)
    })?;
    Ok(Node {
        name: name.into(),
        url: url(&members)?,
        load: load.ok_or_else(|| Wrong::field("load", "expected a number from 0 to 1"))?,
        until: now + Duration::from_secs(seconds),
        streams: streams(&members)?,
    })
}

fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    members.get(name).and_then(Value::as_str)
}

fn url(members: &Map<String, Value>) -> Result<Box<str>, Wrong> {
    let text = text(members, "url").filter(|text| text.len() <= limits::NODE_URL);
    let url = text.and_then(|text| text.parse::<Url>().ok()).filter(|url| url.target() == "/");
    let expected = || {
        let text = "expected http:// or https://, a host and perhaps a port, without a path";
        Wrong::field("url", text)
    };
    Ok(url.ok_or_else(expected)?.origin().into())
}

fn streams(members: &Map<String, Value>) -> Result<HashSet<StreamName>, Wrong> {
    let wrong = |text: String| Wrong::field("streams", text);
    let Some(Value::Array(names)) = members.get("streams") else {
        return Err(wrong("expected an array of APP/NAME".to_owned()));
    };
    if names.len() > limits::NODE_STREAMS {
        return Err(wrong(format!("more than {} streams", limits::NODE_STREAMS)));
    }
    let mut streams = HashSet::with_capacity(names.len());
    for (at, name) in names.iter().enumerate() {
        let Some(name) = name.as_str() else {
            return Err(wrong(format!("at {at}: expected APP/NAME")));
        };
        let name = StreamName::parse(name).map_err(|error| wrong(format!("at {at}: {error}")))?;
        streams.insert(name);
    }
    Ok(streams)
}
