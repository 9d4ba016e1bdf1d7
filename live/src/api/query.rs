//! Parameters of a request, and what is wrong with them.

use network::http::{Request, StatusCode, safe_segments};

use super::answer::Wrong;
use crate::clients::ClientId;
use crate::limits;
use crate::name::StreamName;

/// What was asked for: known parameters, each once, and what the path named.
#[derive(Default)]
pub(super) struct Asked {
    values: Vec<(&'static str, String)>,
    pub is_pretty: bool,
    /// What the path names, as it was written.
    stream: String,
    client: String,
    pub vhost: String,
    pub node: String,
    /// Where a reader of events wants to go on.
    pub last_event: Option<String>,
}

/// How one publishes and plays, as clients' rows have it.
pub(super) const PROTOCOLS: [&str; 12] = [
    "rtmp", "http-flv", "ws-flv", "flv", "http-ts", "ws-ts", "ts", "http-mp4", "ws-mp4", "mp4",
    "hls", "demo",
];

/// Which part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub limit: usize,
    /// Entries left out at the beginning, as SRS's scripts ask.
    pub start: usize,
    /// Behind this one.
    pub cursor: Option<String>,
    /// In another order than the usual one: by this.
    pub sort: Option<&'static str>,
}

/// What entries of a list have to be.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    pub app: Option<String>,
    pub name: Option<String>,
    /// A part of the stream's whole name, in small letters.
    pub search: Option<String>,
    pub protocol: Option<String>,
    pub address: Option<std::net::IpAddr>,
    /// Clients that publish, or those that play.
    pub publishes: Option<bool>,
}

impl Asked {
    /// Reads the parameters of a request, which may have these.
    pub fn of(request: &Request<'_>, known: &'static [&'static str]) -> Result<Self, Wrong> {
        let mut asked = Self::default();
        let query = request.target().query.unwrap_or_default();
        for given in network::http::Query::new(query) {
            let name = known.iter().find(|name| given.name_is(name));
            let Some(name) = name else {
                let shown: String = given.raw_name.chars().take(64).collect();
                let list = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(Wrong::field(&shown, format!("unknown parameter; known: {list}")));
            };
            let value = given.value().map_err(|error| Wrong::field(name, error.reason))?;
            if value.len() > limits::PARAMETER {
                let text = format!("longer than {} bytes", limits::PARAMETER);
                return Err(Wrong::field(name, text));
            }
            if asked.values.iter().any(|(other, _)| other == name) {
                return Err(Wrong::field(name, "given twice"));
            }
            asked.values.push((name, value.into_owned()));
        }
        asked.is_pretty = match asked.get("pretty") {
            None | Some("false" | "0") => false,
            Some("" | "true" | "1") => true,
            Some(_) => return Err(Wrong::field("pretty", "expected nothing, true or false")),
        };
        asked.stream = request.rest("stream").to_owned();
        asked.client = request.rest("client").to_owned();
        asked.vhost = request.rest("vhost").to_owned();
        asked.node = request.rest("node").to_owned();
        let header = request.headers().get_str("Last-Event-ID");
        asked.last_event = asked.get("last_event_id").or(header).map(str::to_owned);
        Ok(asked)
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(other, _)| *other == name).map(|(_, value)| value.as_str())
    }

    fn number(
        &self,
        name: &'static str,
        least: usize,
        most: usize,
    ) -> Result<Option<usize>, Wrong> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|n| digits && (least..=most).contains(n));
        let expected = || format!("expected a whole number from {least} to {most}");
        number.map(Some).ok_or_else(|| Wrong::field(name, expected()))
    }

    /// Which part of the list, which is in the order of the first of `orders` where nobody says.
    pub fn page(&self, orders: &'static [&'static str]) -> Result<Page, Wrong> {
        let most = limits::ROWS;
        let (limit, count) = (self.number("limit", 1, most)?, self.number("count", 1, most)?);
        if limit.is_some() && count.is_some() {
            return Err(Wrong::field(
                "count",
                "either a limit or a count, which is SRS's word for it",
            ));
        }
        let start = self.number("start", 0, most)?.unwrap_or(0);
        let limit = limit.or(count).unwrap_or(limits::ROWS_DEFAULT);
        let cursor = self.get("cursor").map(str::to_owned);
        if cursor.is_some() && start > 0 {
            return Err(Wrong::field("start", "either a start or a cursor"));
        }
        let sort = match self.get("sort") {
            None => None,
            Some(text) => {
                let known = orders.iter().position(|order| *order == text);
                let expected = || format!("expected one of {}", orders.join(", "));
                let place = known.ok_or_else(|| Wrong::field("sort", expected()))?;
                orders.get(place).copied().filter(|_| place > 0)
            }
        };
        if sort.is_some() && cursor.is_some() {
            let text =
                "what is sorted by a figure has no pages: it changes meanwhile; ask for more";
            return Err(Wrong::field("cursor", text));
        }
        Ok(Page { limit, start, cursor, sort })
    }

    /// Which entries.
    pub fn filter(&self) -> Result<Filter, Wrong> {
        // What nothing can be is a mistake; an empty list would not tell.
        let part_of_a_name = |field: &str, may_have_slashes: bool| {
            let Some(text) = self.get(field) else { return Ok(None) };
            if text.starts_with('/')
                || text.ends_with('/')
                || text.contains('/') && !may_have_slashes
            {
                return Err(Wrong::field(field, "expected no slash there"));
            }
            match StreamName::parse(text) {
                Ok(_) => Ok(Some(text.to_owned())),
                Err(error) => Err(Wrong::field(field, error.to_string())),
            }
        };
        let protocol = self.get("protocol").map(str::to_owned);
        if protocol.as_deref().is_some_and(|given| !PROTOCOLS.contains(&given)) {
            let expected = format!("expected one of {}", PROTOCOLS.join(", "));
            return Err(Wrong::field("protocol", expected));
        }
        let address = match self.get("address") {
            None => None,
            Some(text) => Some(text.parse::<std::net::IpAddr>().map_err(|_| {
                Wrong::field("address", "expected an address without a port, such as 192.0.2.1")
            })?),
        };
        let publishes = match self.get("type") {
            None => None,
            Some("publish") => Some(true),
            Some("play") => Some(false),
            Some(_) => return Err(Wrong::field("type", "expected play or publish")),
        };
        Ok(Filter {
            publishes,
            app: part_of_a_name("app", true)?,
            name: part_of_a_name("name", false)?,
            search: self.get("search").map(str::to_ascii_lowercase),
            protocol,
            address: address.map(|address| address.to_canonical()),
        })
    }

    /// The stream that the path names.
    pub fn stream(&self) -> Result<StreamName, Wrong> {
        let mut name = String::new();
        for segment in safe_segments(&self.stream) {
            let segment = segment.map_err(|error| {
                let is_slash = self.stream.to_ascii_lowercase().contains("%2f");
                let plain = "a slash of a stream's name is not encoded: write APP/NAME";
                Wrong::field("stream", if is_slash { plain } else { error.reason })
            })?;
            if !name.is_empty() {
                name.push('/');
            }
            name.push_str(&segment);
        }
        StreamName::parse(&name).map_err(|error| Wrong::field("stream", error.to_string()))
    }

    /// The client that the path names.
    pub fn client(&self) -> Result<ClientId, Wrong> {
        let known = self.client.parse::<ClientId>();
        known.map_err(|error| Wrong::field("client", error.to_string()))
    }
}

impl Filter {
    /// Whether an entry is asked for.
    pub fn takes(
        &self,
        stream: &StreamName,
        protocol: Option<&str>,
        peer: Option<std::net::SocketAddr>,
    ) -> bool {
        let is = |wanted: &Option<String>, value: &str| wanted.as_ref().is_none_or(|w| w == value);
        is(&self.app, stream.app())
            && is(&self.name, stream.name())
            && self.search.as_ref().is_none_or(|part| contains(stream.as_str(), part))
            && self.protocol.as_deref().is_none_or(|wanted| protocol == Some(wanted))
            && self.address.is_none_or(|a| peer.is_some_and(|p| p.ip().to_canonical() == a))
    }
}

/// Whether a text contains a part, which is in small letters; those of ASCII are not told apart.
fn contains(text: &str, part: &str) -> bool {
    let mut windows = text.as_bytes().windows(part.len().max(1));
    part.is_empty() || windows.any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
}

impl Wrong {
    /// Something is wrong with a parameter.
    pub fn field(field: &str, message: impl Into<String>) -> Self {
        Self { field: Some(field.to_owned()), ..Self::new(StatusCode::BAD_REQUEST, message) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{Container, Format};

    #[test]
    fn every_protocol_is_known() {
        // Pictures and sound alone are for lists, whose players are `hls`.
        let alone = [Container::Mp4Video, Container::Mp4Audio];
        for format in Format::ALL.iter().filter(|format| !alone.contains(&format.container)) {
            assert!(PROTOCOLS.contains(&format.name()), "{}", format.name());
        }
    }
}
