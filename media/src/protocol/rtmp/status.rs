//! Statuses: what a server says has happened, in the words RTMP has for it.

use super::amf0::{Object, Value};
use super::message::{Command, Message};

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    /// It is as it should be.
    Status,
    /// It is not, and goes on.
    Warning,
    /// It did not work.
    Error,
}

impl Level {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    pub(super) fn parse(text: Option<&str>) -> Self {
        match text {
            Some("error") => Self::Error,
            Some("warning") => Self::Warning,
            _ => Self::Status,
        }
    }
}

/// The words players and encoders act on.
#[allow(missing_docs)]
pub mod code {
    pub const CONNECT_SUCCESS: &str = "NetConnection.Connect.Success";
    pub const CONNECT_REJECTED: &str = "NetConnection.Connect.Rejected";
    pub const CONNECT_CLOSED: &str = "NetConnection.Connect.Closed";
    pub const RECONNECT_REQUEST: &str = "NetConnection.Connect.ReconnectRequest";
    pub const CALL_FAILED: &str = "NetConnection.Call.Failed";
    pub const PUBLISH_START: &str = "NetStream.Publish.Start";
    pub const PUBLISH_BAD_NAME: &str = "NetStream.Publish.BadName";
    pub const PUBLISH_DENIED: &str = "NetStream.Publish.Denied";
    pub const PUBLISH_IDLE: &str = "NetStream.Publish.Idle";
    pub const UNPUBLISH_SUCCESS: &str = "NetStream.Unpublish.Success";
    pub const PLAY_RESET: &str = "NetStream.Play.Reset";
    pub const PLAY_START: &str = "NetStream.Play.Start";
    pub const PLAY_STOP: &str = "NetStream.Play.Stop";
    pub const PLAY_FAILED: &str = "NetStream.Play.Failed";
    pub const PLAY_NOT_FOUND: &str = "NetStream.Play.StreamNotFound";
    pub const PLAY_UNPUBLISH: &str = "NetStream.Play.UnpublishNotify";
    pub const DATA_START: &str = "NetStream.Data.Start";
    pub const PAUSE: &str = "NetStream.Pause.Notify";
    pub const UNPAUSE: &str = "NetStream.Unpause.Notify";
    pub const SEEK: &str = "NetStream.Seek.Notify";
    pub const SEEK_FAILED: &str = "NetStream.Seek.Failed";
}

/// What a status has in it.
pub(super) fn info(level: Level, code: &str, description: &str) -> Object {
    Object::default()
        .with("level", level.as_str())
        .with("code", code)
        .with("description", description)
}

/// The message with such an info.
pub(super) fn message(name: &str, info: Object) -> Message {
    Message::Command(Command::new(name, 0.0, Value::Null, vec![info.into()]))
}
