//! The page at `/console`: what an operator looks at. It asks the API and nobody else, and its policy
//! forbids anything more.

use network::http::{RouteError, ServerBuilder};

use crate::asset::{Asset, HTML, IMAGE, SCRIPT, STYLE};

const PAGE: &str = include_str!("web/console.html");
const PARTS: [(&str, &str, &str); 5] = [
    ("/web/console.css", STYLE, include_str!("web/console.css")),
    ("/web/console.js", SCRIPT, include_str!("web/console.js")),
    ("/web/console-ask.js", SCRIPT, include_str!("web/console-ask.js")),
    ("/web/console-words.js", SCRIPT, include_str!("web/console-words.js")),
    ("/web/console.svg", IMAGE, include_str!("web/console.svg")),
];
/// No other page may show this one in a frame, where its buttons could be clicked unseen.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Adds the console to a server's routes. `publish` is the scheme and the port that publishers are told.
///
/// # Errors
/// A path is taken.
pub fn routes(
    mut server: ServerBuilder,
    publish: Option<(&str, u16)>,
) -> Result<ServerBuilder, RouteError> {
    let publish = publish.map(|(scheme, port)| format!("{scheme}:{port}")).unwrap_or_default();
    let page = PAGE.replace("{publish}", &publish);
    server = Asset::new(HTML, POLICY, page).at(server, "/console")?;
    for (path, kind, text) in PARTS {
        server = Asset::new(kind, POLICY, text).at(server, path)?;
    }
    Ok(server)
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
