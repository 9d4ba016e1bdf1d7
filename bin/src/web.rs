//! What people look at: the front page, the watch page, and what is live as data.
//!
//! The pages ask nobody else for anything, and their policy forbids it: what they need is here.

use std::cell::RefCell;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use live::glance::{self, Glance};
use live::{Hub, StreamName};
use media::Codec;
use media::codec::Info;
use network::EventLoop;
use network::http::{
    Answered, Body, Held, Method, Reply, Request, RouteError, ServerBuilder, StatusCode,
    safe_segments,
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
    status: Arc<Status>,
    rtmp: Option<u16>,
) -> Result<ServerBuilder, RouteError> {
    for (path, part) in PARTS {
        server =
            server.route(Method::Get, path, move |request, reply, _| part.send(request, reply))?;
    }
    let (front, hub) = (Arc::clone(&status), Rc::clone(hub));
    server
        .route(Method::Get, "/", move |request, reply, _| match wants_html(request) {
            true => FRONT.send(request, reply),
            false => reply.text(&front.text()),
        })?
        .route(Method::Get, "/status", move |_, reply, _| reply.text(&status.text()))?
        .route(Method::Get, "/live.json", move |_, reply, el| live(&hub, rtmp, reply, el))?
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

thread_local! {
    /// Requests of this loop that wait for what the loops know: one question answers them all.
    static WAITING: RefCell<Vec<Held>> = const { RefCell::new(Vec::new()) };
}

fn live(hub: &Rc<Hub>, rtmp: Option<u16>, reply: Reply<'_>, el: &mut EventLoop) -> Answered {
    let (answered, held) = reply.hold();
    let is_first = WAITING.with_borrow_mut(|waiting| {
        // Who has been told that it takes too long waits no more.
        waiting.retain(|held| held.is_waiting(el));
        waiting.push(held);
        waiting.len() == 1
    });
    if is_first {
        let asked = Instant::now();
        glance::gather(hub, el, move |el, streams| {
            tracing::debug!(took = ?asked.elapsed(), "gathered what is live");
            let text = listing(&streams, rtmp).to_string();
            for held in WAITING.take() {
                held.reply(el, |reply| {
                    reply.respond(
                        StatusCode::OK,
                        |head| {
                            head.header("Cache-Control", "no-store")?;
                            head.header("Content-Type", "application/json").map(drop)
                        },
                        Body::Copied(text.as_bytes()),
                    )
                });
            }
        });
    }
    answered
}

fn listing(streams: &[(StreamName, Glance)], rtmp: Option<u16>) -> Value {
    let stream = |(name, glance): &(StreamName, Glance)| {
        json!({
            "name": name.as_str(),
            "live": glance.is_live,
            "video": glance.infos.video.as_ref().map(track),
            "audio": glance.infos.audio.as_ref().map(track),
            "bytes": glance.bytes,
            "viewers": glance.viewers,
        })
    };
    json!({ "rtmp_port": rtmp, "streams": streams.iter().map(stream).collect::<Vec<_>>() })
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
    fn what_is_live_as_data() {
        let info = Info { width: Some(1280), height: Some(720), ..Info::default() };
        let mut glance =
            Glance { has_begun: true, is_live: true, bytes: 7, viewers: 3, ..Glance::default() };
        glance.infos.video = Some((Codec::Hevc, info));
        let name = StreamName::parse("live/talk").unwrap();
        let value = listing(&[(name, glance)], Some(1935));
        assert_eq!(value["rtmp_port"], 1935);
        let stream = &value["streams"][0];
        assert_eq!(stream["name"], "live/talk");
        assert_eq!((&stream["viewers"], &stream["live"]), (&json!(3), &json!(true)));
        assert_eq!(stream["video"]["codec"], "HEVC");
        assert_eq!(stream["video"]["width"], 1280);
        assert_eq!(stream["audio"], Value::Null);
    }

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
