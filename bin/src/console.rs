//! The page at `/console`: what an operator looks at. It asks the API and nobody else, and its policy
//! forbids anything more.

use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use network::http::{
    Answered, Body, Method, Reply, Request, RouteError, ServerBuilder, StatusCode,
};

const PAGE: &str = include_str!("web/console.html");
const PARTS: [(&str, &str, &str); 5] = [
    ("/web/console.css", "text/css; charset=utf-8", include_str!("web/console.css")),
    ("/web/console.js", SCRIPT, include_str!("web/console.js")),
    ("/web/console-ask.js", SCRIPT, include_str!("web/console-ask.js")),
    ("/web/console-words.js", SCRIPT, include_str!("web/console-words.js")),
    ("/web/console.svg", "image/svg+xml", include_str!("web/console.svg")),
];
const SCRIPT: &str = "text/javascript; charset=utf-8";
/// No other page may show this one in a frame, where its buttons could be clicked unseen.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Adds the console to a server's routes. `rtmp` is the port that publishers are told.
///
/// # Errors
/// A path is taken.
pub fn routes(mut server: ServerBuilder, rtmp: Option<u16>) -> Result<ServerBuilder, RouteError> {
    let page = PAGE.replace("{rtmp}", &rtmp.map(|port| port.to_string()).unwrap_or_default());
    server = serve(server, "/console", "text/html; charset=utf-8", page.into())?;
    for (path, kind, text) in PARTS {
        server = serve(server, path, kind, Bytes::from_static(text.as_bytes()))?;
    }
    Ok(server)
}

fn serve(
    server: ServerBuilder,
    path: &str,
    kind: &'static str,
    body: Bytes,
) -> Result<ServerBuilder, RouteError> {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    let tag = format!("\"{:x}\"", hasher.finish());
    server
        .route(Method::Get, path, move |request, reply, _| send(request, reply, kind, &tag, &body))
}

/// Answers with it, or says that the client has it already. Browsers ask each time: after an update of
/// the server they get what belongs together.
fn send(request: &Request<'_>, reply: Reply<'_>, kind: &str, tag: &str, body: &Bytes) -> Answered {
    let known = request.headers().get_str("If-None-Match").unwrap_or_default();
    let is_known = known.split(',').any(|known| known.trim().trim_start_matches("W/") == tag);
    let (status, body) = match is_known {
        true => (StatusCode::NOT_MODIFIED, Body::Empty),
        false => (StatusCode::OK, Body::Shared(body.clone())),
    };
    reply.respond(
        status,
        |head| {
            head.header("ETag", tag)?;
            head.header("Cache-Control", "no-cache")?;
            head.header("Content-Type", kind)?;
            head.header("Content-Security-Policy", POLICY)?;
            head.header("X-Content-Type-Options", "nosniff")?;
            head.header("Referrer-Policy", "no-referrer").map(drop)
        },
        body,
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_page_keeps_to_its_policy() {
        for forbidden in ["style=", "<style", "://", " on", "<script>"] {
            let is_there = match forbidden {
                // Handlers in attributes: onclick and the like.
                " on" => PAGE.split('<').any(|tag| {
                    let attributes = tag.split('>').next().unwrap_or_default();
                    attributes.split(' ').any(|word| word.starts_with("on") && word.contains('='))
                }),
                other => PAGE.contains(other),
            };
            assert!(!is_there, "{forbidden}");
        }
        for at in PAGE.match_indices("\"/web/").map(|(at, _)| at + 1) {
            let path = PAGE[at..].split('"').next().unwrap();
            assert!(PARTS.iter().any(|(known, ..)| *known == path), "{path}");
        }
    }

    #[test]
    fn scripts_never_write_markup() {
        for (path, _, text) in PARTS {
            for forbidden in
                ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("]
            {
                assert!(!text.contains(forbidden), "{forbidden} in {path}");
            }
        }
    }
}
