//! What people look at: the front page, the watch page, and what is live as data.
//!
//! The pages ask nobody else for anything, and their policy forbids it: what they need is here.

use std::rc::Rc;
use std::sync::Arc;

use live::api::Api;
use live::directory::Listing;
use live::{Hub, StreamName};
use media::Codec;
use media::codec::Info;
use network::http::{
    Answered, Body, Method, Reply, Request, RouteError, ServerBuilder, StatusCode, safe_segments,
};
use serde_json::{Value, json};

use crate::asset::{Asset, HTML, IMAGE, SCRIPT, STYLE};
use crate::status::Status;

/// The pages and what they are made of.
const FRONT: &str = include_str!("web/front.html");
const WATCH: &str = include_str!("web/watch.html");
const PARTS: [(&str, &str, &str); 7] = [
    ("/web/style.css", STYLE, include_str!("web/style.css")),
    ("/web/front.js", SCRIPT, include_str!("web/front.js")),
    ("/web/watch.js", SCRIPT, include_str!("web/watch.js")),
    ("/web/player.js", SCRIPT, include_str!("web/player.js")),
    ("/web/pipeline.js", SCRIPT, include_str!("web/pipeline.js")),
    ("/web/mp4.js", SCRIPT, include_str!("web/mp4.js")),
    ("/web/icon.svg", IMAGE, include_str!("web/icon.svg")),
];
/// Everything comes from here. Media is made by the script (`blob:`), and comes over WebSocket, which
/// some browsers do not count as the same origin.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    media-src 'self' blob:; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'";

/// Adds the pages to a server's routes. `rtmp` is the port that publishers are told.
///
/// # Errors
/// A path is taken.
pub fn routes(
    mut server: ServerBuilder,
    hub: &Rc<Hub>,
    api: &Rc<Api>,
    status: Arc<Status>,
    rtmp: Option<u16>,
) -> Result<ServerBuilder, RouteError> {
    for (path, kind, text) in PARTS {
        server = Asset::new(kind, POLICY, text).at(server, path)?;
    }
    let (page, watch) = (Asset::new(HTML, POLICY, FRONT), Asset::new(HTML, POLICY, WATCH));
    let (hub, api) = (Rc::clone(hub), Rc::clone(api));
    let (front, asked) = (Arc::clone(&status), Rc::clone(&api));
    let guard = Rc::clone(&api);
    server
        .route(Method::Get, "/", move |request, reply, _| match wants_html(request) {
            true => page.send(request, reply),
            false => figures(&front, &asked, request, reply),
        })?
        .route(Method::Get, "/status", move |request, reply, _| {
            figures(&status, &guard, request, reply)
        })?
        .route(Method::Get, "/live.json", move |request, reply, _| {
            live(&hub, &api, rtmp, request, reply)
        })?
        .route(Method::Get, "/watch/{*name}", move |request, reply, _| match name(request) {
            Some(_) => watch.send(request, reply),
            None => {
                let text = b"404 Not Found: this is no name of a stream\n";
                reply.send(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", text)
            }
        })
}

/// The server's figures, for who may read the API.
fn figures(status: &Status, api: &Api, request: &Request<'_>, reply: Reply<'_>) -> Answered {
    if api.may_read(request) {
        return reply.text(&status.text());
    }
    let text = b"403 Forbidden: who may not read the API may not read this (api.token)\n";
    reply.send(StatusCode::FORBIDDEN, "text/plain; charset=utf-8", text)
}

/// Browsers ask for HTML by its name; curl and others take what there is.
fn wants_html(request: &Request<'_>) -> bool {
    let mut accepted = request.headers().values("Accept");
    accepted.any(|value| String::from_utf8_lossy(value).contains("text/html"))
}

fn name(request: &Request<'_>) -> Option<StreamName> {
    let parts: Result<Vec<_>, _> = safe_segments(request.rest("name")).collect();
    StreamName::parse(&parts.ok()?.join("/")).ok()
}

/// What this loop knows of all streams: nobody is asked, and it is about a second old at most.
fn live(
    hub: &Hub,
    api: &Api,
    rtmp: Option<u16>,
    request: &Request<'_>,
    reply: Reply<'_>,
) -> Answered {
    let streams = api.may_read(request).then(|| hub.directory.all());
    let text = listing(streams, rtmp).to_string();
    reply.respond(
        StatusCode::OK,
        |head| {
            head.header("Cache-Control", "no-store")?;
            head.header("Content-Type", "application/json").map(drop)
        },
        Body::Copied(text.as_bytes()),
    )
}

/// Who may not know is told how to publish all the same.
fn listing(streams: Option<Vec<Arc<Listing>>>, rtmp: Option<u16>) -> Value {
    let stream = |listing: &Arc<Listing>| {
        json!({
            "name": listing.name.as_str(),
            "live": listing.is_live,
            "video": listing.infos.video.as_ref().map(track),
            "audio": listing.infos.audio.as_ref().map(track),
            "kbps": listing.kbps.round(),
            "viewers": listing.viewers,
        })
    };
    let streams = streams.map(|mut streams| {
        streams.sort_unstable_by(|one, two| one.name.as_str().cmp(two.name.as_str()));
        streams.iter().map(stream).collect::<Vec<_>>()
    });
    json!({ "rtmp_port": rtmp, "streams": streams })
}

fn track((codec, info): &(Codec, Info)) -> Value {
    json!({
        "codec": codec.title(),
        "width": info.width,
        "height": info.height,
        "frame_rate": info.frame_rate,
        "sample_rate": info.sample_rate,
        "channels": info.channels,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn pages_keep_to_their_policy() {
        for page in [FRONT, WATCH] {
            assert!(!page.contains("style="), "a style in a line");
            assert!(!page.contains("<style"), "a style in the page");
            assert!(!page.contains("://"), "an address of somebody else");
            let scripts: Vec<&str> = page.split("<script").skip(1).collect();
            assert!(scripts.iter().all(|script| script.contains("></script>")));
            // What they name is there.
            for at in page.match_indices("\"/web/").map(|(at, _)| at + 1) {
                let path = page[at..].split('"').next().unwrap();
                assert!(PARTS.iter().any(|(known, ..)| *known == path), "{path}");
            }
        }
    }
}
