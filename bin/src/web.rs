//! What people look at: the front page, the watch page, and what is live as data.
//!
//! The pages ask nobody else for anything, and their policy forbids it: what they need is here.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use live::api::Api;
use live::directory::Listing;
use live::{Hub, StreamName};
use media::Codec;
use media::codec::Info;
use network::http::{
    Answered, Body, Method, Reply, Request, RouteError, ServerBuilder, StatusCode, safe_segments,
};
use serde_json::{Value, json};

use crate::status::Status;

/// The pages and what they are made of.
const FRONT: Asset = asset("text/html; charset=utf-8", include_str!("web/front.html"));
const WATCH: Asset = asset("text/html; charset=utf-8", include_str!("web/watch.html"));
const PARTS: [(&str, Asset); 7] = [
    ("/web/style.css", asset("text/css; charset=utf-8", include_str!("web/style.css"))),
    ("/web/front.js", asset(SCRIPT, include_str!("web/front.js"))),
    ("/web/watch.js", asset(SCRIPT, include_str!("web/watch.js"))),
    ("/web/player.js", asset(SCRIPT, include_str!("web/player.js"))),
    ("/web/pipeline.js", asset(SCRIPT, include_str!("web/pipeline.js"))),
    ("/web/mp4.js", asset(SCRIPT, include_str!("web/mp4.js"))),
    ("/web/icon.svg", asset("image/svg+xml", include_str!("web/icon.svg"))),
];
const SCRIPT: &str = "text/javascript; charset=utf-8";
/// Everything comes from here. Media is made by the script (`blob:`), and comes over WebSocket, which
/// some browsers do not count as the same origin.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    media-src 'self' blob:; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'";

#[derive(Clone, Copy)]
struct Asset {
    kind: &'static str,
    text: &'static str,
}

const fn asset(kind: &'static str, text: &'static str) -> Asset {
    Asset { kind, text }
}

impl Asset {
    /// Answers with it, or says that the client has it already. Browsers ask each time: after an update
    /// of the server they get what belongs together.
    fn send(self, request: &Request<'_>, reply: Reply<'_>) -> Answered {
        let mut hasher = DefaultHasher::new();
        self.text.hash(&mut hasher);
        let tag = format!("\"{:x}\"", hasher.finish());
        let known = request.headers().get_str("If-None-Match").unwrap_or_default();
        let is_known = known.split(',').any(|known| known.trim().trim_start_matches("W/") == tag);
        let (status, body) = match is_known {
            true => (StatusCode::NOT_MODIFIED, Body::Empty),
            false => (StatusCode::OK, Body::Shared(Bytes::from_static(self.text.as_bytes()))),
        };
        reply.respond(
            status,
            |head| {
                head.header("ETag", &tag)?;
                head.header("Cache-Control", "no-cache")?;
                head.header("Vary", "Accept")?;
                head.header("Content-Type", self.kind)?;
                head.header("Content-Security-Policy", POLICY)?;
                head.header("X-Content-Type-Options", "nosniff")?;
                head.header("Referrer-Policy", "no-referrer").map(drop)
            },
            body,
        )
    }
}

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
    for (path, part) in PARTS {
        server =
            server.route(Method::Get, path, move |request, reply, _| part.send(request, reply))?;
    }
    let (front, hub, api) = (Arc::clone(&status), Rc::clone(hub), Rc::clone(api));
    server
        .route(Method::Get, "/", move |request, reply, _| match wants_html(request) {
            true => FRONT.send(request, reply),
            false => reply.text(&front.text()),
        })?
        .route(Method::Get, "/status", move |_, reply, _| reply.text(&status.text()))?
        .route(Method::Get, "/live.json", move |request, reply, _| {
            live(&hub, &api, rtmp, request, reply)
        })?
        .route(Method::Get, "/watch/{*name}", |request, reply, _| match name(request) {
            Some(_) => WATCH.send(request, reply),
            None => {
                let text = b"404 Not Found: this is no name of a stream\n";
                reply.send(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", text)
            }
        })
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
        "codec": title(*codec),
        "width": info.width,
        "height": info.height,
        "frame_rate": info.frame_rate,
        "sample_rate": info.sample_rate,
        "channels": info.channels,
    })
}

/// A codec as people call it.
fn title(codec: Codec) -> &'static str {
    match codec {
        Codec::Avc => "H.264",
        Codec::Hevc => "HEVC",
        Codec::Av1 => "AV1",
        Codec::Vp9 => "VP9",
        Codec::Vp8 => "VP8",
        Codec::Aac => "AAC",
        Codec::Mp3 => "MP3",
        Codec::Opus => "Opus",
        Codec::Ac3 => "AC-3",
        Codec::Eac3 => "E-AC-3",
        Codec::Flac => "FLAC",
        Codec::G711A | Codec::G711U => "G.711",
        Codec::Amf0 | Codec::OtherVideo(_) | Codec::OtherAudio(_) => "another codec",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn pages_keep_to_their_policy() {
        for page in [FRONT, WATCH] {
            assert!(!page.text.contains("style="), "a style in a line");
            assert!(!page.text.contains("<style"), "a style in the page");
            assert!(!page.text.contains("://"), "an address of somebody else");
            let scripts: Vec<&str> = page.text.split("<script").skip(1).collect();
            assert!(scripts.iter().all(|script| script.contains("></script>")));
            // What they name is there.
            for at in page.text.match_indices("\"/web/").map(|(at, _)| at + 1) {
                let path = page.text[at..].split('"').next().unwrap();
                assert!(PARTS.iter().any(|(known, _)| *known == path), "{path}");
            }
        }
    }
}
