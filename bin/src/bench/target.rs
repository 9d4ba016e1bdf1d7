//! Where the load goes: the URLs of the command line.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs};

use network::{Connect, Endpoint};

/// What a stream is packed in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Container {
    /// FLV.
    Flv,
    /// MPEG-TS.
    Ts,
    /// MP4 in fragments.
    Mp4,
}

/// How a stream is played.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Door {
    /// RTMP.
    Rtmp,
    /// The body of an answer over HTTP.
    Http(Container),
    /// Messages of a WebSocket.
    WebSocket(Container),
    /// Playlists of HLS, and what they list.
    Hls,
}

impl Door {
    /// As URLs have it.
    pub fn scheme(self) -> &'static str {
        match self {
            Self::Rtmp => "rtmp",
            Self::Http(_) | Self::Hls => "http",
            Self::WebSocket(_) => "ws",
        }
    }

    /// Whether requests of HTTP are sent to it.
    pub fn is_http(self) -> bool {
        matches!(self, Self::Http(_) | Self::Hls)
    }
}

/// Ends of paths that say what is played; FLV where the path says nothing.
const EXTENSIONS: [(&str, Container); 3] =
    [(".flv", Container::Flv), (".ts", Container::Ts), (".mp4", Container::Mp4)];
/// The end of an HLS playlist's path.
const PLAYLIST: &str = ".m3u8";

/// One URL, taken apart and resolved.
#[derive(Clone, PartialEq, Debug)]
pub struct Target {
    /// How it is spoken to.
    pub door: Door,
    /// Where.
    pub address: SocketAddr,
    /// Host and port as the URL has them.
    pub authority: String,
    /// From the slash on; `{i}` stands for a stream's number.
    pub path: String,
}

/// Why a URL is no target.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// It is not written as one.
    #[error("{0:?} is no target: {1}")]
    Form(String, &'static str),
    /// TLS costs the generator more than what is to be measured.
    #[error("{0:?}: TLS is not spoken here; test the server's plain port")]
    Tls(String),
    /// The name has no address.
    #[error("{0:?}: the host cannot be found: {1}")]
    Unknown(String, std::io::Error),
    /// Somebody else's machine, perhaps.
    #[error(
        "{0} is not this machine's loopback. A load test of somebody else's server is an attack; \
         if it is yours, say --i-own-this-host"
    )]
    NotOwned(SocketAddr),
}

impl Target {
    /// Reads a URL and finds its host. An address that is not this machine's own loopback is refused
    /// unless its owner asks.
    pub fn parse(url: &str, owned: bool) -> Result<Self, TargetError> {
        let form = |why| TargetError::Form(url.to_owned(), why);
        let (scheme, rest) = url.split_once("://").ok_or_else(|| form("it has no scheme://"))?;
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        let (door, port) = match scheme {
            "rtmp" => (Door::Rtmp, 1935),
            "http" if name_of(path).ends_with(PLAYLIST) => (Door::Hls, 80),
            "http" => (Door::Http(container_of(path)), 80),
            "ws" if name_of(path).ends_with(PLAYLIST) => {
                return Err(form("HLS is played over http://"));
            }
            "ws" => (Door::WebSocket(container_of(path)), 80),
            "rtmps" | "https" | "wss" => return Err(TargetError::Tls(url.to_owned())),
            _ => return Err(form("the schemes are rtmp://, http:// and ws://")),
        };
        if path.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Err(form("its path has spaces or control characters"));
        }
        let address = resolve(authority, port)
            .map_err(|error| TargetError::Unknown(url.to_owned(), error))?;
        if !address.ip().is_loopback() && !owned {
            return Err(TargetError::NotOwned(address));
        }
        Ok(Self { door, address, authority: authority.to_owned(), path: path.to_owned() })
    }

    /// As it was given.
    pub fn url(&self) -> String {
        format!("{}://{}{}", self.door.scheme(), self.authority, self.path)
    }

    /// The path of one stream.
    pub fn path_of(&self, stream: usize) -> String {
        self.path.replace("{i}", &stream.to_string())
    }

    /// The whole URL of one stream over RTMP.
    pub fn rtmp_url(&self, stream: usize) -> String {
        format!("rtmp://{}{}", self.authority, self.path_of(stream))
    }

    /// Whether its streams have names of their own.
    pub fn names_streams(&self) -> bool {
        self.path.contains("{i}")
    }

    /// Where the stream that is played here is published, by the habit of this field: on RTMP's own
    /// port, under the same name.
    pub fn publishing_url(&self) -> String {
        let path = name_of(&self.path);
        let mut endings = EXTENSIONS.iter().map(|(end, _)| *end).chain([PLAYLIST]);
        let name = endings.find_map(|end| path.strip_suffix(end)).unwrap_or(path);
        match (self.door, self.address) {
            (Door::Rtmp, _) => format!("rtmp://{}{}", self.authority, self.path),
            (_, SocketAddr::V4(address)) => format!("rtmp://{}:1935{name}", address.ip()),
            (_, SocketAddr::V6(address)) => format!("rtmp://[{}]:1935{name}", address.ip()),
        }
    }
}

/// A path without its query.
fn name_of(path: &str) -> &str {
    path.split('?').next().unwrap_or_default()
}

fn container_of(path: &str) -> Container {
    let found = EXTENSIONS.iter().find(|(end, _)| name_of(path).ends_with(end));
    found.map_or(Container::Flv, |(_, container)| *container)
}

fn resolve(authority: &str, port: u16) -> std::io::Result<SocketAddr> {
    let after_host = authority.rfind(']').map_or(0, |at| at + 1);
    let has_port = authority.get(after_host..).is_some_and(|rest| rest.contains(':'));
    let whole = if has_port { authority.to_owned() } else { format!("{authority}:{port}") };
    whole.to_socket_addrs()?.next().ok_or_else(|| std::io::ErrorKind::NotFound.into())
}

/// Source addresses of this machine for connections to all of `targets`. One address has some 28,000
/// ports for each server; loopback has addresses without end, so that thousands of connections, run
/// after run, do not use them up. Those that are given are tried: a run would fail half-way.
pub fn sources(targets: &[SocketAddr], given: &[IpAddr]) -> Result<Vec<IpAddr>, String> {
    for ip in given {
        if let Some(other) = targets.iter().find(|target| target.is_ipv4() != ip.is_ipv4()) {
            return Err(format!("--from {ip} cannot call {other}: one is IPv4, the other IPv6"));
        }
        TcpListener::bind((*ip, 0))
            .map_err(|error| format!("--from {ip} is no address of this machine: {error}"))?;
    }
    let is_loopback = |target: &SocketAddr| target.is_ipv4() && target.ip().is_loopback();
    if given.is_empty() && targets.iter().all(is_loopback) {
        return Ok((10..210).map(|last| Ipv4Addr::new(127, 0, 0, last).into()).collect());
    }
    Ok(given.to_vec())
}

/// How the connection of some number is made, with source addresses in turn.
pub fn connect_from(address: SocketAddr, from: &[IpAddr], number: usize) -> Connect {
    let connect = Connect::to(Endpoint::Ip(address));
    match from.get(number % from.len().max(1)) {
        Some(from) => connect.from(SocketAddr::new(*from, 0)),
        None => connect,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let target = Target::parse("http://127.0.0.1:8080/live/s{i}.flv?k=v", false).unwrap();
        assert_eq!(target.door, Door::Http(Container::Flv));
        assert_eq!(target.path_of(7), "/live/s7.flv?k=v");
        assert!(target.names_streams());
        assert_eq!(target.publishing_url(), "rtmp://127.0.0.1:1935/live/s{i}");
        let target = Target::parse("rtmp://127.0.0.1/live/a", false).unwrap();
        assert_eq!(target.address.port(), 1935);
        assert_eq!(target.publishing_url(), "rtmp://127.0.0.1/live/a");
        let target = Target::parse("ws://[::1]/a.flv", false).unwrap();
        assert_eq!((target.door, target.address.port()), (Door::WebSocket(Container::Flv), 80));
        assert_eq!(target.publishing_url(), "rtmp://[::1]:1935/a");
        for (url, door) in [
            ("http://127.0.0.1/live/a.ts", Door::Http(Container::Ts)),
            ("ws://127.0.0.1/live/a.mp4?x=.ts", Door::WebSocket(Container::Mp4)),
            ("http://127.0.0.1/live/a.m3u8?format=ts", Door::Hls),
            ("http://127.0.0.1/live/a", Door::Http(Container::Flv)),
        ] {
            let target = Target::parse(url, false).unwrap();
            assert_eq!(target.door, door);
            assert_eq!(target.publishing_url(), "rtmp://127.0.0.1:1935/live/a");
        }
    }

    #[test]
    fn what_is_no_target_is_refused_with_the_reason() {
        for (url, word) in [
            ("127.0.0.1:80/a", "scheme"),
            ("ftp://127.0.0.1/a", "rtmp://"),
            ("https://127.0.0.1/a.flv", "TLS"),
            ("http://127.0.0.1:80/a b", "spaces"),
            ("ws://127.0.0.1:80/a.m3u8", "http://"),
            ("http://127.0.0.1:port/a", "cannot be found"),
            ("http://192.0.2.1/a.flv", "--i-own-this-host"),
        ] {
            let error = Target::parse(url, false).unwrap_err().to_string();
            assert!(error.contains(word), "{url}: {error}");
        }
        assert!(Target::parse("http://192.0.2.1/a.flv", true).is_ok());
    }

    #[test]
    fn loopback_calls_from_many_addresses() {
        let [v4, v6, far] =
            ["127.0.0.1:80", "[::1]:80", "192.0.2.1:80"].map(|a| a.parse().unwrap());
        assert_eq!(sources(&[v4, v4], &[]).unwrap().len(), 200);
        for others in [&[far][..], &[v4, far], &[v6, v4], &[v6]] {
            assert_eq!(sources(others, &[]), Ok(Vec::new()));
        }
        let [mine, foreign, six] = ["127.0.0.2", "192.0.2.7", "::1"].map(|a| a.parse().unwrap());
        assert_eq!(sources(&[v4], &[mine]), Ok(vec![mine]));
        assert!(sources(&[v4], &[mine, foreign]).unwrap_err().contains("192.0.2.7 is no address"));
        assert!(sources(&[v4], &[six]).unwrap_err().contains("IPv6"));
    }
}
