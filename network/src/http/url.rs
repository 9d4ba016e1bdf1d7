//! URLs of HTTP, read strictly: whom to call, and what to ask.
//!
//! Two readers that understand one URL differently are how a guard is walked around, so whatever
//! they could disagree about is refused rather than repaired: user names, backslashes, hosts that
//! are a number in disguise. The text that is kept is normal (scheme and host in small letters, no
//! default port, no fragment), so two URLs of one origin have the same beginning.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::lexical::hex_digit;
use crate::limits;

/// A URL with the scheme `http` or `https`.
///
/// ```
/// use network::http::Url;
/// let url: Url = "http://Example.org:80/live/a.flv?key=1#top".parse()?;
/// assert_eq!(url.to_string(), "http://example.org/live/a.flv?key=1");
/// assert_eq!(url.join("../b.flv")?.to_string(), "http://example.org/b.flv");
/// # Ok::<(), network::http::UrlError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Url {
    text: Box<str>,
    /// Where the path begins; the text is not longer than two bytes can say.
    path: u16,
    port: u16,
}

const TOO_LONG: &str = "it is longer than is accepted here";

/// What does not read as a URL. What could be a password is not repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not a URL: {what}")]
pub struct UrlError {
    given: String,
    what: &'static str,
}

impl UrlError {
    fn new(given: &str, what: &'static str) -> Self {
        const SHOWN: usize = 100;
        let (dots, text) = match given.rsplit_once('@') {
            Some((_, behind)) => ("...@", behind),
            None => ("", given),
        };
        Self { given: dots.chars().chain(text.chars()).take(SHOWN).collect(), what }
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(given: &str) -> Result<Self, UrlError> {
        Self::read(given).map_err(|what| UrlError::new(given, what))
    }
}

impl Url {
    fn read(given: &str) -> Result<Self, &'static str> {
        const SCHEME: &str = "it begins neither with http:// nor with https://";
        if given.len() > limits::HTTP_URL {
            return Err(TOO_LONG);
        }
        let (scheme, rest) = given.split_once("://").ok_or(SCHEME)?;
        let (scheme, default_port) = match scheme {
            _ if scheme.eq_ignore_ascii_case("http") => ("http://", 80),
            _ if scheme.eq_ignore_ascii_case("https") => ("https://", 443),
            _ => return Err(SCHEME),
        };
        let rest = without_fragment(rest);
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(end).unwrap_or((rest, ""));
        if !target.bytes().all(is_target_byte) {
            return Err("the path or the query holds a byte that has to be percent-encoded");
        }
        if authority.contains('@') {
            return Err("it holds a user name or a password, which do not belong there");
        }
        let (host, port) = split_port(authority, default_port)?;
        let mut text = String::with_capacity(given.len() + 1);
        text.push_str(scheme);
        push_host(&mut text, host)?;
        if port != default_port {
            text.push_str(&format!(":{port}"));
        }
        let path = u16::try_from(text.len()).map_err(|_| TOO_LONG)?;
        if !target.starts_with('/') {
            text.push('/');
        }
        text.push_str(target);
        Ok(Self { text: text.into(), path, port })
    }

    /// Where the authority begins.
    fn authority_at(&self) -> usize {
        if self.is_https() { "https://".len() } else { "http://".len() }
    }

    fn path_at(&self) -> usize {
        self.path.into()
    }

    /// The whole text, in its normal form.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// True where TLS is asked for.
    pub fn is_https(&self) -> bool {
        self.text.starts_with("https")
    }

    /// Scheme, host and port: what may share a connection.
    pub fn origin(&self) -> &str {
        self.text.get(..self.path_at()).unwrap_or_default()
    }

    /// Host and port as the `Host` header has them: the default port is left out.
    pub fn authority(&self) -> &str {
        self.text.get(self.authority_at()..self.path_at()).unwrap_or_default()
    }

    /// The host: a name in small letters, or an address, which has no brackets here.
    pub fn host(&self) -> &str {
        let authority = self.authority();
        match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((v6, _)) => v6,
            None => authority.split_once(':').map_or(authority, |(host, _)| host),
        }
    }

    /// The host, where it is an address.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host().parse().ok()
    }

    /// The port, the scheme's own where none is given.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Path and query, as a request line has them.
    pub fn target(&self) -> &str {
        self.text.get(self.path_at()..).unwrap_or_default()
    }

    /// The path, which begins with a slash.
    pub fn path(&self) -> &str {
        self.target().split_once('?').map_or(self.target(), |(path, _)| path)
    }

    /// What follows the first question mark, if there is one.
    pub fn query(&self) -> Option<&str> {
        self.target().split_once('?').map(|(_, query)| query)
    }

    /// The text without the query, for logs: keys and tokens tend to be in queries.
    pub fn without_query(&self) -> &str {
        self.text.split_once('?').map_or(&self.text, |(before, _)| before)
    }

    /// What `reference` means when it is found at this URL (RFC 3986 5.2): another URL, a path, a
    /// relative path, a query.
    ///
    /// # Errors
    /// The result is not a URL this crate speaks.
    pub fn join(&self, reference: &str) -> Result<Self, UrlError> {
        let wrong = |what| UrlError::new(reference, what);
        if reference.len() > limits::HTTP_URL {
            return Err(wrong(TOO_LONG));
        }
        let relative = without_fragment(reference);
        let text = if has_scheme(relative) {
            let url: Self = relative.parse()?;
            [url.origin(), &with_plain_path(url.target())].concat()
        } else if relative.starts_with("//") {
            let url = [if self.is_https() { "https:" } else { "http:" }, relative].concat();
            let url = Self::read(&url).map_err(wrong)?;
            [url.origin(), &with_plain_path(url.target())].concat()
        } else if relative.starts_with('/') {
            [self.origin(), &with_plain_path(relative)].concat()
        } else if relative.is_empty() {
            self.text.to_string()
        } else if relative.starts_with('?') {
            [self.origin(), self.path(), relative].concat()
        } else {
            let directory = self.path().rfind('/').and_then(|at| self.path().get(..=at));
            let target = [directory.unwrap_or("/"), relative].concat();
            [self.origin(), &with_plain_path(&target)].concat()
        };
        Self::read(&text).map_err(wrong)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

/// A fragment is for whoever shows the answer; it is never sent.
fn without_fragment(text: &str) -> &str {
    text.split_once('#').map_or(text, |(before, _)| before)
}

/// True for the bytes a path and a query may hold. Quotes, angle brackets and backslashes are left
/// out: pages, logs and other readers understand them as something else.
fn is_target_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'#')
}

fn split_port(authority: &str, default: u16) -> Result<(&str, u16), &'static str> {
    const PORT: &str = "the port is not a number from 1 to 65535";
    let after_host = match authority.find(']') {
        Some(bracket) => bracket + 1,
        None if authority.starts_with('[') => authority.len(),
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at_checked(after_host).ok_or(PORT)?;
    if port.is_empty() {
        return Ok((host, default));
    }
    let digits = port.strip_prefix(':').ok_or(PORT)?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(PORT);
    }
    match digits.parse() {
        Ok(0) | Err(_) => Err(PORT),
        Ok(port) => Ok((host, port)),
    }
}

/// Appends the normal form of a host.
fn push_host(text: &mut String, host: &str) -> Result<(), &'static str> {
    if let Some(v6) = host.strip_prefix('[') {
        let v6 = v6.strip_suffix(']').and_then(|v6| v6.parse::<Ipv6Addr>().ok());
        let v6 = v6.ok_or("what stands in brackets is not an IPv6 address")?;
        text.push_str(&format!("[{v6}]"));
        return Ok(());
    }
    if host.is_empty() {
        return Err("the host is missing");
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    if name.len() > 253 || !name.split('.').all(is_label) {
        return Err("the host is neither a name nor an address");
    }
    let last = name.rsplit('.').next().unwrap_or_default();
    if is_number(last) {
        // Some resolvers take 127.1, 0x7f000001 and 2130706433 for addresses.
        if host.parse::<Ipv4Addr>().is_err() {
            return Err("the host ends in a number and is not a whole IPv4 address");
        }
    }
    text.extend(host.chars().map(|letter| letter.to_ascii_lowercase()));
    Ok(())
}

fn is_number(label: &str) -> bool {
    let hex = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    label.bytes().all(|byte| byte.is_ascii_digit())
        || hex.is_some_and(|hex| hex.bytes().all(|byte| hex_digit(byte).is_some()))
}

/// True where a reference begins with a scheme and a colon.
fn has_scheme(reference: &str) -> bool {
    let Some((scheme, _)) = reference.split_once(':') else { return false };
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// The target without the segments `.` and `..` in its path (RFC 3986 5.2.4).
fn with_plain_path(target: &str) -> String {
    let (path, query) = match target.find('?').and_then(|at| target.split_at_checked(at)) {
        Some((path, query)) => (path, query),
        None => (target, ""),
    };
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            _ => {
                kept.push(segment);
                continue;
            }
        }
        if is_last {
            kept.push("");
        }
    }
    let mut plain = String::with_capacity(target.len() + 1);
    for segment in kept {
        plain.push('/');
        plain.push_str(segment);
    }
    plain.push_str(query);
    plain
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn pieces() {
        let found = url("HTTPS://Example.ORG:8443/a/b?c=d&e#f");
        assert_eq!(found.as_str(), "https://example.org:8443/a/b?c=d&e");
        assert_eq!(found.origin(), "https://example.org:8443");
        assert_eq!(found.authority(), "example.org:8443");
        assert_eq!((found.host(), found.port(), found.ip()), ("example.org", 8443, None));
        assert_eq!(found.target(), "/a/b?c=d&e");
        assert_eq!((found.path(), found.query()), ("/a/b", Some("c=d&e")));
        assert_eq!(found.without_query(), "https://example.org:8443/a/b");
        assert!(found.is_https() && !url("http://h").is_https());
    }

    #[test]
    fn the_normal_form() {
        for (given, normal) in [
            ("http://h", "http://h/"),
            ("http://h?q", "http://h/?q"),
            ("http://h#f", "http://h/"),
            ("http://h:80/", "http://h/"),
            ("https://h:443/", "https://h/"),
            ("https://h:80/", "https://h:80/"),
            ("http://h:080/", "http://h/"),
            ("http://Svc.Cluster.Local./x", "http://svc.cluster.local./x"),
            ("http://[0:0:0:0:0:0:0:1]:8080", "http://[::1]:8080/"),
            ("http://127.0.0.1/a/../b", "http://127.0.0.1/a/../b"),
            ("http://a_b.example-.org/%zz|{}^`", "http://a_b.example-.org/%zz|{}^`"),
            ("http://h/?a=http://x/@y", "http://h/?a=http://x/@y"),
        ] {
            assert_eq!(url(given).as_str(), normal, "{given}");
        }
        assert_eq!(url("http://[::1]:8080").host(), "::1");
        assert_eq!(url("http://[::1]:8080").authority(), "[::1]:8080");
        assert_eq!(url("http://1.2.3.4").ip(), Some([1, 2, 3, 4].into()));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (given, what) in [
            ("", "http://"),
            ("h/x", "http://"),
            ("ftp://h/", "http://"),
            ("http:/h", "http://"),
            (" http://h", "http://"),
            ("http://", "host is missing"),
            ("http:///x", "host is missing"),
            ("http://:80/", "host is missing"),
            ("http://h:/", "port"),
            ("http://h:0/", "port"),
            ("http://h:65536/", "port"),
            ("http://h:+1/", "port"),
            ("http://h:1:2/", "port"),
            ("http://[::1]80/", "port"),
            ("http://::1/", "port"),
            ("http://[::1/", "brackets"),
            ("http://[fe80::1%25eth0]/", "brackets"),
            ("http://[v1.a]/", "brackets"),
            ("http://a..b/", "neither a name nor an address"),
            ("http://.a/", "neither a name nor an address"),
            ("http://a%20b/", "neither a name nor an address"),
            ("http://a,b/", "neither a name nor an address"),
            ("http://h\u{e9}/", "neither a name nor an address"),
            ("http://h\\@x/", "user name"),
            ("http://h\\x/", "neither a name nor an address"),
            ("http://127.1/", "ends in a number"),
            ("http://0x7f.0.0.0x1/", "ends in a number"),
            ("http://2130706433/", "ends in a number"),
            ("http://0X7F000001/", "ends in a number"),
            ("http://127.0.0.01/", "ends in a number"),
            ("http://127.0.0.1./", "ends in a number"),
            ("http://h/a b", "percent-encoded"),
            ("http://h/a\r\nX: y", "percent-encoded"),
            ("http://h/\u{e9}", "percent-encoded"),
            ("http://h/\\x", "percent-encoded"),
            ("http://h/?\"", "percent-encoded"),
            ("http://h/<", "percent-encoded"),
        ] {
            let error = given.parse::<Url>().unwrap_err().to_string();
            assert!(error.contains(what), "{given}: {error}");
        }
        let long = format!("http://h/{}", "a".repeat(limits::HTTP_URL));
        assert!(long.parse::<Url>().unwrap_err().to_string().len() < 250);
        let label = format!("http://{}/", "a".repeat(64));
        assert!(label.parse::<Url>().is_err());
    }

    #[test]
    fn a_password_is_refused_and_not_repeated() {
        for given in ["http://user:secret@h/x", "https://secret@h", "http://a@secret@h/"] {
            let error = given.parse::<Url>().unwrap_err().to_string();
            assert!(error.contains("user name") && !error.contains("secret"), "{error}");
            let error = url("http://h").join(given).unwrap_err().to_string();
            assert!(error.contains("user name") && !error.contains("secret"), "{error}");
            let error = url("http://h").join(given.split_once(':').unwrap().1).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn references_as_in_rfc_3986_5_4() {
        let base = url("http://a/b/c/d;p?q");
        for (reference, target) in [
            ("g", "/b/c/g"),
            ("./g", "/b/c/g"),
            ("g/", "/b/c/g/"),
            ("/g", "/g"),
            ("?y", "/b/c/d;p?y"),
            ("g?y", "/b/c/g?y"),
            ("#s", "/b/c/d;p?q"),
            ("g#s", "/b/c/g"),
            ("g?y#s", "/b/c/g?y"),
            (";x", "/b/c/;x"),
            ("g;x", "/b/c/g;x"),
            ("g;x?y#s", "/b/c/g;x?y"),
            ("", "/b/c/d;p?q"),
            (".", "/b/c/"),
            ("./", "/b/c/"),
            ("..", "/b/"),
            ("../", "/b/"),
            ("../g", "/b/g"),
            ("../..", "/"),
            ("../../", "/"),
            ("../../g", "/g"),
            ("../../../g", "/g"),
            ("../../../../g", "/g"),
            ("/./g", "/g"),
            ("/../g", "/g"),
            ("g.", "/b/c/g."),
            (".g", "/b/c/.g"),
            ("g..", "/b/c/g.."),
            ("..g", "/b/c/..g"),
            ("./../g", "/b/g"),
            ("./g/.", "/b/c/g/"),
            ("g/./h", "/b/c/g/h"),
            ("g/../h", "/b/c/h"),
            ("g;x=1/./y", "/b/c/g;x=1/y"),
            ("g;x=1/../y", "/b/c/y"),
            ("g?y/./x", "/b/c/g?y/./x"),
            ("g?y/../x", "/b/c/g?y/../x"),
            ("g#s/../x", "/b/c/g"),
            ("/a//../b", "/a/b"),
            ("//../b", "/b"),
        ] {
            let joined = base.join(reference);
            if reference.starts_with("//") {
                assert!(joined.is_err(), "{reference}");
                continue;
            }
            assert_eq!(joined.unwrap().as_str(), format!("http://a{target}"), "{reference}");
        }
        assert_eq!(base.join("//g").unwrap().as_str(), "http://g/");
        assert_eq!(base.join("//g:8/x/../y?z").unwrap().as_str(), "http://g:8/y?z");
        assert_eq!(url("https://a").join("//g/x").unwrap().as_str(), "https://g/x");
        assert_eq!(url("https://a").join("x").unwrap().as_str(), "https://a/x");
        assert_eq!(base.join("HTTP://G/a/./b").unwrap().as_str(), "http://g/a/b");
        for refused in ["g:h", "http:g", "javascript:alert(1)", "file:///etc/passwd", "/\\g", "a b"]
        {
            assert!(base.join(refused).is_err(), "{refused}");
        }
        // A colon behind a slash or a question mark makes no scheme.
        assert_eq!(base.join("./a:b").unwrap().as_str(), "http://a/b/c/a:b");
        assert_eq!(base.join("?a:b").unwrap().as_str(), "http://a/b/c/d;p?a:b");
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(given in "\\PC{0,40}", reference in "[a-z.:/?#@\\\\\\[\\] ]{0,20}") {
            let _ = given.parse::<Url>();
            let _ = format!("http://{given}").parse::<Url>();
            if let Ok(joined) = url("http://h/a/b?c").join(&reference) {
                prop_assert_eq!(&url(joined.as_str()), &joined);
            }
        }

        #[test]
        fn the_normal_form_is_a_fixed_point(
            host in "[a-zA-Z0-9_.-]{1,20}",
            port in proptest::option::of(1u16..),
            target in "(/[!$-;=?-Z^-~]{0,12}){0,3}",
        ) {
            let port = port.map(|port| format!(":{port}")).unwrap_or_default();
            if let Ok(found) = format!("http://{host}{port}{target}").parse::<Url>() {
                prop_assert_eq!(&url(found.as_str()), &found);
                prop_assert_eq!(found.host(), host.to_ascii_lowercase());
                prop_assert_eq!([found.origin(), found.target()].concat(), found.as_str());
            }
        }
    }
}
