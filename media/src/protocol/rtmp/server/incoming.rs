//! What each kind of message of a client comes to.

use super::event::Event;
use super::{MessageStream, ServerSession, Use};
use crate::frame::Track;
use crate::limits::RTMP_DATA;
use crate::protocol::rtmp::amf0::{self, AmfError};
use crate::protocol::rtmp::chunk::{RawMessage, kind};
use crate::protocol::rtmp::error::{Error, SessionError};
use crate::protocol::rtmp::message::{Message, UserControl, aggregated};
use bytes::Bytes;

impl ServerSession {
    pub(super) fn process(&mut self, raw: RawMessage) -> Result<(), Error> {
        if self.rejected {
            self.ignored += 1;
            return Ok(());
        }
        match raw.kind {
            kind::AUDIO | kind::VIDEO | kind::DATA | kind::DATA_AMF3 => self.media(raw),
            kind::AGGREGATE => {
                for part in aggregated(&raw) {
                    self.media(part?)?;
                }
                Ok(())
            }
            kind::COMMAND | kind::COMMAND_AMF3 => match Message::parse(&raw)? {
                Message::Command(command) => self.command(raw.message_stream, &command),
                _ => Ok(()),
            },
            kind::USER_CONTROL => {
                if let UserControl::PingResponse(time) = self.link.user_control(&raw)? {
                    self.events.push_back(Event::Pong { time });
                }
                Ok(())
            }
            _ => {
                self.ignored += 1;
                Ok(())
            }
        }
    }

    fn media(&mut self, raw: RawMessage) -> Result<(), Error> {
        if !self.connected {
            return Err(SessionError::BeforeConnect("media".to_owned()).into());
        }
        let publishing = |stream: &&mut MessageStream| matches!(stream.used, Use::Publishing(_));
        let mut publishing = self.streams.iter_mut().filter(publishing);
        // Some encoders send metadata on the connection's own message stream.
        let stream = match raw.message_stream {
            0 => publishing.next(),
            id => publishing.find(|stream| stream.id == id),
        };
        let Some(stream) = stream else {
            self.ignored += 1;
            return Ok(());
        };
        let message_stream = stream.id;
        let (track, time_ms) = match raw.kind {
            kind::AUDIO => (Track::Audio, stream.times.next(raw.time)),
            kind::VIDEO => (Track::Video, stream.times.next(raw.time)),
            _ => (Track::Data, stream.times.of(raw.time)),
        };
        let payload = match track {
            Track::Data => data_frame(&raw)?,
            _ => Some(raw.payload),
        };
        match payload {
            Some(payload) => {
                let media = Event::Media { message_stream, track, time_ms, payload };
                self.events.push_back(media);
            }
            None => self.ignored += 1,
        }
        Ok(())
    }
}

/// The data a publisher means for players, or nothing if it is not for them or not AMF.
fn data_frame(raw: &RawMessage) -> Result<Option<Bytes>, Error> {
    let Message::Data(payload) = Message::parse(raw)? else { return Ok(None) };
    if payload.len() > RTMP_DATA {
        return Err(SessionError::DataLength(payload.len()).into());
    }
    let payload = match amf0::leading_string(&payload) {
        Some((b"@setDataFrame", rest)) => payload.slice(payload.len() - rest.len()..),
        Some((b"@clearDataFrame" | b"|RtmpSampleAccess", _)) | None => return Ok(None),
        Some(_) => payload,
    };
    if amf0::leading_string(&payload).is_none() {
        return Ok(None);
    }
    match amf0::check(&payload) {
        Ok(()) => Ok(Some(payload)),
        Err(error @ (AmfError::Depth | AmfError::Count | AmfError::StringLength(_))) => {
            Err(SessionError::Data(error).into())
        }
        Err(_) => Ok(None),
    }
}
