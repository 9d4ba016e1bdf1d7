//! What a client connects for.

use crate::protocol::rtmp::amf0::Object;
use crate::protocol::rtmp::capabilities::Capabilities;
use crate::protocol::rtmp::handshake::Form;
use crate::protocol::rtmp::server::{PlayStart, PublishKind};

/// What a client wants of a stream.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Purpose {
    /// To send it.
    Publish(PublishKind),
    /// To be sent it.
    Play(PlayStart),
}

/// Which stream of which app, and how.
#[derive(Clone, PartialEq, Debug)]
pub struct ClientConfig {
    /// The app, with a query if it has one.
    pub app: String,
    /// The URL the server was reached by, up to the app.
    pub tc_url: String,
    /// The stream's name, with a query if it has one.
    pub name: String,
    /// To publish or to play.
    pub purpose: Purpose,
    /// The handshake.
    pub form: Form,
    /// What this client can do beyond old RTMP; nothing is said of what is `None`.
    pub capabilities: Capabilities,
}

impl ClientConfig {
    /// From a URL, `rtmp://HOST[:PORT]/APP/NAME[?QUERY]`. The name is what follows the last slash.
    #[must_use]
    pub fn from_url(url: &str, purpose: Purpose) -> Option<Self> {
        let (path, query) = match url.split_once('?') {
            Some((path, _)) => (path, url.get(path.len()..).unwrap_or_default()),
            None => (url, ""),
        };
        let (scheme, rest) = path.split_once("://")?;
        let (host, path) = rest.split_once('/')?;
        let (app, name) = path.rsplit_once('/')?;
        let empty = host.is_empty() || app.is_empty() || name.is_empty();
        if empty || !matches!(scheme, "rtmp" | "rtmps") {
            return None;
        }
        Some(Self {
            app: app.to_owned(),
            tc_url: format!("{scheme}://{host}/{app}"),
            name: format!("{name}{query}"),
            purpose,
            form: Form::Simple,
            capabilities: Capabilities::default(),
        })
    }

    /// The properties of `connect`.
    pub(super) fn connect_object(&self) -> Object {
        let object = Object::default().with("app", self.app.as_str());
        let object = match self.purpose {
            Purpose::Publish(_) => object
                .with("type", "nonprivate")
                .with("flashVer", "FMLE/3.0 (compatible; Weir)")
                .with("tcUrl", self.tc_url.as_str()),
            Purpose::Play(_) => object
                .with("flashVer", "LNX 9,0,124,2")
                .with("tcUrl", self.tc_url.as_str())
                .with("fpad", false)
                .with("capabilities", 15.0)
                .with("audioCodecs", 4071.0)
                .with("videoCodecs", 252.0)
                .with("videoFunction", 1.0),
        };
        self.capabilities.emit(object)
    }
}

/// The number that says where playing begins.
pub(super) fn start_number(start: PlayStart) -> f64 {
    match start {
        PlayStart::Any => -2000.0,
        PlayStart::Live => -1000.0,
        PlayStart::Recorded(at) => at,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let play = Purpose::Play(PlayStart::Any);
        let config = ClientConfig::from_url("rtmp://h:1/a/b/name?k=v/w", play).unwrap();
        assert_eq!(config.app, "a/b");
        assert_eq!(config.tc_url, "rtmp://h:1/a/b");
        assert_eq!(config.name, "name?k=v/w");
        for bad in
            ["", "rtmp://h", "rtmp://h/live", "http://h/live/a", "rtmp:///live/a", "rtmp://h/live/"]
        {
            assert_eq!(ClientConfig::from_url(bad, play), None, "{bad}");
        }
    }
}
