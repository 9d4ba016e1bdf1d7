//! Who may ask. One decision for all routes.
//!
//! A web page anywhere can make its visitor's browser ask this machine. It cannot set `Authorization`
//! without leave, but without a token addresses decide, and the browser has a good one. So a request
//! without a token must name this machine by an address or by a name nobody else can have (a page's own
//! name that suddenly points here is refused), and must not come from another origin.

use std::hint::black_box;
use std::net::{IpAddr, Ipv6Addr};

use network::Reach;
use network::http::{Request, StatusCode};

use super::about::ReadFrom;
use super::answer::Wrong;
use super::{Access, Api};

/// Headers by which proxies tell that somebody else asks.
pub(super) const FORWARDED: [&str; 3] = ["X-Forwarded-For", "Forwarded", "X-Real-IP"];

impl Api {
    /// Whether this request may be answered.
    pub(super) fn may(&self, request: &Request<'_>, access: Access) -> Result<(), Wrong> {
        let about = &self.about;
        let headers = request.headers();
        // The one that the target names, where it does, as the server itself understands it.
        let host = request.head().host.filter(|host| !host.is_empty());
        let name = host.map(name_of);
        if name == Some(None) {
            let text = "the Host is neither a name nor an address, with a port or without";
            return Err(Wrong::new(StatusCode::BAD_REQUEST, text));
        }
        if let Some(token) = &about.token
            && let Some(given) = headers.get_str("Authorization").and_then(bearer)
        {
            return match is_same(given, token) {
                true => Ok(()),
                false => Err(unauthorized("the token is wrong")),
            };
        }
        let reach = match request.peer() {
            _ if FORWARDED.iter().any(|name| headers.get(name).is_some()) => Reach::Public,
            Some(peer) => Reach::of(peer.ip()),
            // A Unix socket: whoever can open it is let in by its file.
            None => Reach::Loopback,
        };
        let is_here = reach == Reach::Loopback;
        let has_token = about.token.is_some();
        let is_near_enough = match (access, about.read_from) {
            (Access::Control, _) | (Access::Read, ReadFrom::Token) => is_here && !has_token,
            (Access::Read, ReadFrom::Loopback) => is_here,
            (Access::Read, ReadFrom::Private) => reach <= Reach::Private,
            (Access::Read, ReadFrom::Anywhere) => true,
        };
        if !is_near_enough {
            return Err(match has_token {
                true => unauthorized("this needs a token: Authorization: Bearer TOKEN"),
                false => forbidden(
                    "this is answered to the machine itself only; set api.token in the config for \
                     others",
                ),
            });
        }
        let is_open = access == Access::Read && about.read_from == ReadFrom::Anywhere;
        if !is_open && !self.is_known_host(name.flatten()) {
            return Err(forbidden(
                "the Host is neither an address nor the name of this machine (api.node, \
                 api.play_url)",
            ));
        }
        if headers.get("Origin").is_some() && !self.is_known_origin(request) {
            return Err(forbidden("pages of this origin may not ask (api.cors)"));
        }
        Ok(())
    }

    /// Whether the request comes from a page of this server, or of the one that may ask; or of none.
    pub(super) fn is_known_origin(&self, request: &Request<'_>) -> bool {
        let headers = request.headers();
        if headers.get("Origin").is_none() {
            return true;
        }
        let Some(origin) = headers.get_str("Origin") else { return false };
        let own = origin.split_once("://").map(|(_, authority)| authority);
        own.is_some() && own == request.head().host
            || self.about.cors.as_deref().is_some_and(|cors| cors == "*" || cors == origin)
    }

    /// By its name, without a port.
    fn is_known_host(&self, host: Option<&str>) -> bool {
        // Only clients that are no browsers leave it out.
        let Some(name) = host else { return true };
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        let url = self.about.play_url.as_deref().and_then(|url| url.split_once("://"));
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        bare.parse::<IpAddr>().is_ok()
            || is("localhost")
            || name.to_ascii_lowercase().ends_with(".localhost")
            || is(&self.about.node)
            || url.and_then(|(_, authority)| name_of(authority)).is_some_and(is)
    }
}

/// The name or the address of a host, which may have a port; nothing where it is malformed.
fn name_of(host: &str) -> Option<&str> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            address.parse::<Ipv6Addr>().ok()?;
            (
                host.get(..address.len() + 2)?,
                port.strip_prefix(':').or(port.is_empty().then_some(""))?,
            )
        }
        None => host.split_once(':').unwrap_or((host, "")),
    };
    let is_name = !name.is_empty() && (name.starts_with('[') || !name.contains(['[', ']', ':']));
    let is_port = port.is_empty()
        || port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    (is_name && is_port).then_some(name)
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
}

/// Compares in a time that depends on the lengths alone.
fn is_same(given: &str, token: &str) -> bool {
    let differ = |differ: u8, (a, b): (u8, u8)| black_box(differ | (a ^ b));
    given.len() == token.len() && given.bytes().zip(token.bytes()).fold(0, differ) == 0
}

fn unauthorized(message: &str) -> Wrong {
    Wrong::new(StatusCode::UNAUTHORIZED, message)
}

fn forbidden(message: &str) -> Wrong {
    Wrong::new(StatusCode::FORBIDDEN, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_the_same_or_not() {
        assert!(is_same("secret", "secret"));
        for other in ["", "secre", "secrets", "Secret", "secreT"] {
            assert!(!is_same(other, "secret"), "{other}");
        }
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer  abc "), Some("abc"));
        assert_eq!(bearer("Basic abc"), None);
        assert_eq!(bearer("abc"), None);
    }

    #[test]
    fn ports_are_left_out() {
        for (authority, name) in
            [("a:80", "a"), ("a", "a"), ("a:", "a"), ("[::1]:8080", "[::1]"), ("[::1]", "[::1]")]
        {
            assert_eq!(name_of(authority), Some(name));
        }
        for wrong in [
            "",
            ":80",
            "[127.0.0.1",
            "[127.0.0.1]",
            "127.0.0.1]",
            "[::1",
            "[::1]8080",
            "[::1]:x",
            "::1",
            "a:b:80",
            "a:99999",
            "a:+1",
            "a:-1",
            "[]",
            "[[::1]]",
        ] {
            assert_eq!(name_of(wrong), None, "{wrong}");
        }
    }
}
