//! Addresses as people write them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// Where to listen or whom to call: `127.0.0.1:8080`, `[::1]:8080`, `:8080` (any address),
/// `example.org:80`, `unix:/run/weir.sock`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// An address.
    Ip(SocketAddr),
    /// A name to be resolved, and a port.
    Name(String, u16),
    /// A Unix socket.
    Unix(PathBuf),
}

/// What does not read as an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not an address: {what}; expected HOST:PORT, [V6]:PORT, :PORT or unix:PATH")]
pub struct EndpointError {
    given: String,
    what: &'static str,
}

impl EndpointError {
    /// What is wrong, without the text and what was expected, for those who say that themselves.
    pub fn what(&self) -> &'static str {
        self.what
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(given: &str) -> Result<Self, EndpointError> {
        let wrong = |what| EndpointError { given: given.to_owned(), what };
        if let Some(path) = given.strip_prefix("unix:") {
            return match path {
                "" => Err(wrong("the path is missing")),
                path if path.contains('\0') => Err(wrong("the path has a zero byte")),
                path => Ok(Self::Unix(path.into())),
            };
        }
        if let Ok(address) = given.parse() {
            return Ok(Self::Ip(address));
        }
        let (host, port) = given.rsplit_once(':').ok_or_else(|| wrong("the port is missing"))?;
        let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        let port = port.parse().ok().filter(|_| digits);
        let port = port.ok_or_else(|| wrong("the port is not a number up to 65535"))?;
        if host.is_empty() {
            return Ok(Self::Ip((std::net::Ipv6Addr::UNSPECIFIED, port).into()));
        }
        if host.contains([':', '[', ']']) {
            return Err(wrong("an IPv6 address stands in brackets"));
        }
        let name = host.len() <= 253
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
        if !name {
            return Err(wrong("the host is neither an address nor a name"));
        }
        if host.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            return Err(wrong("the host is not a whole IPv4 address"));
        }
        Ok(Self::Name(host.to_owned(), port))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => write!(f, "{address}"),
            Self::Name(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

impl From<([u8; 4], u16)> for Endpoint {
    fn from(address: ([u8; 4], u16)) -> Self {
        Self::Ip(address.into())
    }
}

/// From how far away an address can be reached. Access rules and SSRF guards ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// This machine.
    Loopback,
    /// This link.
    LinkLocal,
    /// A private network (RFC 1918, RFC 4193, RFC 6598).
    Private,
    /// The Internet.
    Public,
    /// No peer at all: unspecified, multicast, broadcast, documentation, reserved.
    Unroutable,
}

impl Reach {
    /// Looks an address up. An IPv4 address mapped into IPv6 counts as what it is.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let [a, b, c, _] = v4.octets();
                if v4.is_loopback() {
                    Self::Loopback
                } else if v4.is_link_local() {
                    Self::LinkLocal
                } else if v4.is_private() || (a == 100 && (64..128).contains(&b)) {
                    Self::Private
                } else if a == 0
                    || a >= 224
                    || v4.is_documentation()
                    || (a == 192 && b == 0 && c == 0)
                    || (a == 198 && (b == 18 || b == 19))
                {
                    Self::Unroutable
                } else {
                    Self::Public
                }
            }
            IpAddr::V6(v6) => {
                let [first, second, ..] = v6.segments();
                if v6.is_loopback() {
                    Self::Loopback
                } else if first & 0xffc0 == 0xfe80 {
                    Self::LinkLocal
                } else if first & 0xfe00 == 0xfc00 {
                    Self::Private
                } else if first & 0xe000 == 0x2000 && !(first == 0x2001 && second == 0xdb8) {
                    Self::Public
                } else {
                    Self::Unroutable
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_people_write_is_understood() {
        for given in ["127.0.0.1:80", "[::1]:1935", "example.org:8080", "unix:/run/weir.sock"] {
            let endpoint: Endpoint = given.parse().unwrap();
            assert_eq!(endpoint.to_string(), given);
        }
        assert_eq!(":8080".parse(), Ok(Endpoint::Ip("[::]:8080".parse().unwrap())));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (given, what) in [
            ("127.0.0.1", "the port is missing"),
            ("host:", "not a number"),
            ("host:+80", "not a number"),
            ("host:65536", "not a number"),
            ("::1:80", "brackets"),
            ("unix:", "path is missing"),
            ("a b:80", "neither an address nor a name"),
            ("1.2.3:80", "whole IPv4"),
        ] {
            let error = given.parse::<Endpoint>().unwrap_err().to_string();
            assert!(error.contains(what) && error.contains(given), "{given}: {error}");
        }
    }

    #[test]
    fn reach_tells_networks_apart() {
        use Reach::*;
        for (address, reach) in [
            ("127.9.9.9", Loopback),
            ("::1", Loopback),
            ("::ffff:127.0.0.1", Loopback),
            ("169.254.169.254", LinkLocal),
            ("fe80::1", LinkLocal),
            ("10.1.2.3", Private),
            ("172.31.0.1", Private),
            ("172.32.0.1", Public),
            ("192.168.0.1", Private),
            ("100.64.0.1", Private),
            ("fd00::1", Private),
            ("8.8.8.8", Public),
            ("2606:4700::1111", Public),
            ("0.0.0.0", Unroutable),
            ("224.0.0.1", Unroutable),
            ("2001:db8::1", Unroutable),
            ("::", Unroutable),
        ] {
            assert_eq!(Reach::of(address.parse().unwrap()), reach, "{address}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(given in ".{0,64}") {
            if let Ok(endpoint) = given.parse::<Endpoint>() {
                prop_assert_eq!(endpoint.to_string().parse::<Endpoint>(), Ok(endpoint));
            }
        }
    }
}
