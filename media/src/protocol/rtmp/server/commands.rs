//! What each command of a client does.

use super::event::{App, Connect, Event, Play, PlayStart, PublishKind, cut_query};
use super::{MessageStream, Question, ServerSession, Use};
use crate::frame::Track;
use crate::limits::{RTMP_MESSAGE_STREAMS, RTMP_NAME};
use crate::protocol::rtmp::amf0::{self, Value};
use crate::protocol::rtmp::capabilities::Capabilities;
use crate::protocol::rtmp::chunk::{RawMessage, chunk_stream, kind};
use crate::protocol::rtmp::error::{Error, SessionError, quoted};
use crate::protocol::rtmp::message::Command;
use crate::protocol::rtmp::status::{self, Level, code};
use crate::protocol::rtmp::widen::Widen;

/// Whether this is the command after which media may follow.
pub fn is_publish(raw: &RawMessage) -> bool {
    let payload = match raw.kind {
        kind::COMMAND => raw.payload.as_ref(),
        kind::COMMAND_AMF3 => raw.payload.strip_prefix(&[0]).unwrap_or(&raw.payload),
        _ => return false,
    };
    matches!(amf0::leading_string(payload), Some((b"publish", _)))
}

impl ServerSession {
    /// Does what a command says, or asks the owner.
    pub(super) fn command(&mut self, message_stream: u32, command: &Command) -> Result<(), Error> {
        let name = command.name.as_str();
        if name == "connect" {
            return self.connect(command);
        }
        if !self.connected {
            return Err(SessionError::BeforeConnect(quoted(name)).into());
        }
        match name {
            "createStream" => self.create_stream(command),
            "publish" => self.publish(message_stream, command),
            "play" => self.play(message_stream, command),
            "play2" => self.play2(message_stream, command),
            "pause" | "pauseRaw" => self.pause(message_stream, command),
            "seek" => {
                let position_ms = command.number(0).unwrap_or(0.0);
                if self.used_for(message_stream) == Some(&Use::Playing) {
                    self.events.push_back(Event::Seek { message_stream, position_ms });
                }
                Ok(())
            }
            "receiveAudio" => self.receive_track(message_stream, Track::Audio, command),
            "receiveVideo" => self.receive_track(message_stream, Track::Video, command),
            "closeStream" => self.end(message_stream, false),
            "deleteStream" => {
                let id = command.number(0).unwrap_or(f64::from(message_stream));
                self.end(id as u32, true)
            }
            "FCUnpublish" => self.fc_unpublish(command),
            "FCPublish" => {
                // Some encoders go on only after this.
                self.reply(command, Value::Undefined);
                self.notice("onFCPublish", code::PUBLISH_START, command);
                Ok(())
            }
            "FCSubscribe" => {
                self.reply(command, Value::Undefined);
                self.notice("onFCSubscribe", code::PLAY_START, command);
                Ok(())
            }
            "getStreamLength" => {
                // Live streams have none.
                self.reply(command, Value::Number(0.0));
                Ok(())
            }
            "releaseStream" | "_checkbw" | "checkBandwidth" | "FCUnsubscribe" => {
                self.reply(command, Value::Undefined);
                Ok(())
            }
            // Answers and notices want no answer.
            "_result" | "_error" | "onStatus" | "close" => Ok(()),
            _ => {
                self.ignored += 1;
                if command.transaction != 0.0 {
                    let text = format!("there is no {:?} here", quoted(name));
                    let info = status::info(Level::Error, code::CALL_FAILED, &text);
                    self.answer("_error", command.transaction, Value::Null, info.into());
                }
                Ok(())
            }
        }
    }

    fn connect(&mut self, command: &Command) -> Result<(), Error> {
        if self.connected {
            return Err(SessionError::ConnectTwice.into());
        }
        let expected = "an object of properties";
        let object = command.object.as_object();
        let object = object.ok_or(SessionError::Argument { command: "connect", expected })?;
        let text = |name: &'static str| bounded(name, object.text(name).unwrap_or_default());
        let tc_url = text("tcUrl")?;
        let capabilities = Capabilities::parse(object);
        let connect = Connect {
            app: App::parse(text("app")?, tc_url),
            tc_url: tc_url.to_owned(),
            page_url: text("pageUrl")?.to_owned(),
            swf_url: text("swfUrl")?.to_owned(),
            flash_version: text("flashVer")?.to_owned(),
            capabilities,
        };
        let answer = Capabilities::ours().answer(&connect.capabilities);
        let encoding = object.number("objectEncoding").unwrap_or(0.0);
        let transaction = command.transaction;
        self.events.push_back(Event::Connect(Box::new(connect)));
        if self.decides_connect {
            self.question = Some(Box::new(Question::Connect { transaction, encoding, answer }));
        } else {
            self.welcome(transaction, encoding, &answer);
        }
        Ok(())
    }

    fn create_stream(&mut self, command: &Command) -> Result<(), Error> {
        let taken = |id: &u32| self.used_for(*id).is_some();
        let id = (1..).find(|id| !taken(id)).unwrap_or(u32::MAX);
        self.open(id)?;
        self.reply(command, Value::Number(f64::from(id)));
        Ok(())
    }

    fn open(&mut self, id: u32) -> Result<(), Error> {
        if self.streams.len() >= RTMP_MESSAGE_STREAMS {
            return Err(SessionError::MessageStreams.into());
        }
        self.streams.reserve_exact(1);
        self.streams.push(MessageStream { id, used: Use::Nothing, times: Widen::default() });
        Ok(())
    }

    fn publish(&mut self, message_stream: u32, command: &Command) -> Result<(), Error> {
        let text = stream_name("publish", command.text(0))?;
        match self.used_for(message_stream) {
            // Who skips createStream means the same.
            None => self.open(message_stream)?,
            Some(Use::Nothing) => {}
            Some(_) => {
                let why = "This message stream is in use.";
                self.status(message_stream, Level::Error, code::PUBLISH_BAD_NAME, why);
                return Ok(());
            }
        }
        let (name, query) = cut_query(text);
        let kind = PublishKind::parse(command.text(1));
        let (name, query) = (name.to_owned(), query.to_owned());
        self.events.push_back(Event::Publish { message_stream, name, query, kind });
        self.question = Some(Box::new(Question::Publish { message_stream, name: text.into() }));
        Ok(())
    }

    fn play(&mut self, message_stream: u32, command: &Command) -> Result<(), Error> {
        let text = stream_name("play", command.text(0))?;
        let start = PlayStart::parse(command.number(1));
        let duration = command.number(2).filter(|number| *number >= 0.0);
        let reset = command.flag(3).unwrap_or(true);
        self.ask_play(message_stream, text, start, duration, reset)
    }

    /// Like `play`, for a player that changes to another version of what it plays.
    fn play2(&mut self, message_stream: u32, command: &Command) -> Result<(), Error> {
        let options = command.arguments.first().and_then(Value::as_object);
        let text = stream_name("play2", options.and_then(|options| options.text("streamName")))?;
        let start = options.and_then(|options| options.number("start"));
        self.ask_play(message_stream, text, PlayStart::parse(start), None, true)
    }

    fn ask_play(
        &mut self,
        message_stream: u32,
        text: &str,
        start: PlayStart,
        duration: Option<f64>,
        reset: bool,
    ) -> Result<(), Error> {
        match self.used_for(message_stream) {
            None => self.open(message_stream)?,
            Some(Use::Nothing) => {}
            Some(Use::Playing) => {
                self.use_for(message_stream, Use::Nothing);
                self.events.push_back(Event::Stop { message_stream });
            }
            Some(Use::Publishing(_)) => {
                let why = "This message stream publishes.";
                self.status(message_stream, Level::Error, code::PLAY_FAILED, why);
                return Ok(());
            }
        }
        let (name, query) = cut_query(text);
        let (name, query) = (name.to_owned(), query.to_owned());
        let play = Play { message_stream, name, query, start, duration, reset };
        self.events.push_back(Event::Play(Box::new(play)));
        let name = text.into();
        self.question = Some(Box::new(Question::Play { message_stream, name, reset }));
        Ok(())
    }

    fn pause(&mut self, message_stream: u32, command: &Command) -> Result<(), Error> {
        if self.used_for(message_stream) != Some(&Use::Playing) {
            self.ignored += 1;
            return Ok(());
        }
        let paused = command.flag(0).unwrap_or(true);
        let position_ms = command.number(1).unwrap_or(0.0);
        self.events.push_back(Event::Pause { message_stream, paused, position_ms });
        let (code, text) = match paused {
            true => (code::PAUSE, "Paused."),
            false => (code::UNPAUSE, "Playing again."),
        };
        self.status(message_stream, Level::Status, code, text);
        Ok(())
    }

    fn receive_track(
        &mut self,
        message_stream: u32,
        track: Track,
        command: &Command,
    ) -> Result<(), Error> {
        if self.used_for(message_stream) == Some(&Use::Playing) {
            let wanted = command.flag(0).unwrap_or(true);
            self.events.push_back(Event::Receive { message_stream, track, wanted });
        }
        Ok(())
    }

    /// Ends what a message stream is used for, and the message stream itself if it is deleted.
    fn end(&mut self, message_stream: u32, delete: bool) -> Result<(), Error> {
        match self.used_for(message_stream) {
            Some(Use::Publishing(_)) => {
                self.events.push_back(Event::Unpublish { message_stream });
                let text = "Publishing is over.";
                self.status(message_stream, Level::Status, code::UNPUBLISH_SUCCESS, text);
            }
            Some(Use::Playing) => self.events.push_back(Event::Stop { message_stream }),
            Some(Use::Nothing) | None => {}
        }
        self.use_for(message_stream, Use::Nothing);
        if delete {
            self.streams.retain(|stream| stream.id != message_stream);
        }
        Ok(())
    }

    /// Ends what is published by this name, or the only thing that is.
    fn fc_unpublish(&mut self, command: &Command) -> Result<(), Error> {
        let named = command.text(0).unwrap_or_default();
        let publishing = self.streams.iter().filter_map(|stream| match &stream.used {
            Use::Publishing(name) => Some((stream.id, &**name)),
            _ => None,
        });
        let by_name = publishing.clone().find(|(_, name)| *name == named);
        let only = publishing.clone().next().filter(|_| publishing.count() == 1);
        if let Some((id, _)) = by_name.or(only) {
            self.end(id, false)?;
        }
        self.reply(command, Value::Undefined);
        self.notice("onFCUnpublish", code::UNPUBLISH_SUCCESS, command);
        Ok(())
    }

    /// Answers a call, if it wants an answer.
    fn reply(&mut self, command: &Command, value: Value) {
        if command.transaction != 0.0 {
            self.answer("_result", command.transaction, Value::Null, value);
        }
    }

    /// A notice with the stream's name, as Flash encoders and players have it.
    fn notice(&mut self, name: &str, code: &str, command: &Command) {
        let info = status::info(Level::Status, code, command.text(0).unwrap_or_default());
        self.link.send(chunk_stream::COMMAND, 0, &status::message(name, info));
    }
}

fn bounded<'a>(what: &'static str, text: &'a str) -> Result<&'a str, SessionError> {
    match text.len() {
        len if len > RTMP_NAME => Err(SessionError::NameLength { what, len }),
        _ => Ok(text),
    }
}

fn stream_name<'a>(command: &'static str, text: Option<&'a str>) -> Result<&'a str, SessionError> {
    let text = text.ok_or(SessionError::Argument { command, expected: "a stream's name" })?;
    bounded("stream name", text)
}
