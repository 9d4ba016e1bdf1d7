//! What a client wants, as its server hears of it.

use crate::frame::Track;
use crate::protocol::rtmp::capabilities::Capabilities;
use bytes::Bytes;

/// What a client wants, in the order it said so.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// It connected. To be decided about only if the session was told so.
    Connect(Box<Connect>),
    /// It wants to publish, to be decided about: nothing further comes before.
    Publish {
        /// By which message stream.
        message_stream: u32,
        /// The stream's name, without its query.
        name: String,
        /// What followed the name's question mark.
        query: String,
        /// What is to become of it.
        kind: PublishKind,
    },
    /// It wants to play, to be decided about: nothing further comes before.
    Play(Box<Play>),
    /// It publishes no more.
    Unpublish {
        /// By which message stream.
        message_stream: u32,
    },
    /// It plays no more.
    Stop {
        /// By which message stream.
        message_stream: u32,
    },
    /// It pauses, or goes on. That has been confirmed.
    Pause {
        /// By which message stream.
        message_stream: u32,
        /// It pauses.
        paused: bool,
        /// Where it is, in milliseconds.
        position_ms: f64,
    },
    /// It wants to be elsewhere in the stream; wants an answer by `answer_seek`.
    Seek {
        /// By which message stream.
        message_stream: u32,
        /// Where to, in milliseconds.
        position_ms: f64,
    },
    /// It wants a track, or wants it no more.
    Receive {
        /// By which message stream.
        message_stream: u32,
        /// Sound or pictures.
        track: Track,
        /// It wants it.
        wanted: bool,
    },
    /// It sent media of what it publishes.
    Media {
        /// By which message stream.
        message_stream: u32,
        /// Sound, pictures, or data in AMF0 without its `@setDataFrame`.
        track: Track,
        /// When, on the message stream's own clock, widened.
        time_ms: i64,
        /// The body of an FLV tag. It shares a buffer the session uses again once this is dropped, so
        /// who keeps it for long keeps a copy.
        payload: Bytes,
    },
    /// It answered a ping.
    Pong {
        /// The time the ping was sent with.
        time: u32,
    },
}

/// Who connects, and to what.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Connect {
    /// The app.
    pub app: App,
    /// The URL as it was typed.
    pub tc_url: String,
    /// The page the player is in.
    pub page_url: String,
    /// The player's own URL.
    pub swf_url: String,
    /// The client's name for itself.
    pub flash_version: String,
    /// What it can do beyond old RTMP.
    pub capabilities: Capabilities,
}

/// An app with the query it was asked for with.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct App {
    /// The name, which may have slashes in it, but not around it.
    pub name: String,
    /// What followed the question mark, of the app or of the URL.
    pub query: String,
}

/// What a client wants to play.
#[derive(Clone, PartialEq, Debug)]
pub struct Play {
    /// By which message stream.
    pub message_stream: u32,
    /// The stream's name, without its query.
    pub name: String,
    /// What followed the name's question mark.
    pub query: String,
    /// From where.
    pub start: PlayStart,
    /// For how long, in the client's unit; none if to the end.
    pub duration: Option<f64>,
    /// Instead of what was asked for before, not after it.
    pub reset: bool,
}

/// Where playing begins.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum PlayStart {
    /// Live if it is, else recorded.
    Any,
    /// Live only.
    Live,
    /// Recorded, from here on, in the client's unit: seconds by the specification, milliseconds by habit.
    Recorded(f64),
}

impl PlayStart {
    pub(super) fn parse(number: Option<f64>) -> Self {
        match number {
            Some(number) if number >= 0.0 => Self::Recorded(number),
            Some(number) if number == -1.0 || number == -1000.0 => Self::Live,
            _ => Self::Any,
        }
    }
}

/// What is to become of a published stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PublishKind {
    /// It is passed on.
    #[default]
    Live,
    /// And written to a file.
    Record,
    /// And written behind what the file has.
    Append,
}

impl PublishKind {
    pub(super) fn parse(text: Option<&str>) -> Self {
        match text {
            Some("record") => Self::Record,
            Some("append") => Self::Append,
            _ => Self::Live,
        }
    }

    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Record => "record",
            Self::Append => "append",
        }
    }
}

/// Cuts a name from its query.
pub(super) fn cut_query(text: &str) -> (&str, &str) {
    text.split_once('?').unwrap_or((text, ""))
}

impl App {
    /// The app that is meant: what `connect` calls it, or else what the URL has after its host.
    pub(super) fn parse(app: &str, tc_url: &str) -> Self {
        let (url, url_query) = cut_query(tc_url);
        let path = url.split_once("://").map_or("", |(_, rest)| rest);
        let path = path.split_once('/').map_or("", |(_, path)| path);
        let (app, app_query) = cut_query(app);
        let name = if app.trim_matches('/').is_empty() { path } else { app };
        let query = if app_query.is_empty() { url_query } else { app_query };
        Self { name: name.trim_matches('/').to_owned(), query: query.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_app_is_found_where_it_is() {
        let cases = [
            ("live", "rtmp://h/live", "live", ""),
            ("live/", "", "live", ""),
            ("live?k=v", "rtmp://h/live?x=y", "live", "k=v"),
            ("live", "rtmp://h:1935/live?x=y", "live", "x=y"),
            ("", "rtmp://h/a/b/?x", "a/b", "x"),
            ("", "rtmp://h", "", ""),
            ("a/_definst_", "", "a/_definst_", ""),
        ];
        for (app, url, name, query) in cases {
            let expected = App { name: name.into(), query: query.into() };
            assert_eq!(App::parse(app, url), expected, "{app} {url}");
        }
    }

    #[test]
    fn starts_are_read_in_seconds_and_in_milliseconds() {
        let starts = [None, Some(-2.0), Some(-2000.0), Some(f64::NAN)];
        assert!(starts.iter().all(|start| PlayStart::parse(*start) == PlayStart::Any));
        assert_eq!(PlayStart::parse(Some(-1000.0)), PlayStart::Live);
        assert_eq!(PlayStart::parse(Some(0.0)), PlayStart::Recorded(0.0));
    }
}
