//! What a client of RTMP sends, put together by hand: all at once, without waiting for answers.

use bytes::Bytes;
use media::protocol::rtmp::amf0::{Object, Value};
use media::protocol::rtmp::chunk::{self, Header};
use media::protocol::rtmp::message::{Command, Message};

/// Bytes, and how they are cut into chunks.
#[derive(Clone)]
pub struct Script {
    pub bytes: Vec<u8>,
    chunk_size: usize,
}

impl Script {
    /// Nothing but the handshake.
    pub fn new() -> Self {
        Self { bytes: [vec![3], vec![0; 2 * 1536]].concat(), chunk_size: chunk::DEFAULT_CHUNK_SIZE }
    }

    /// Connected to an app, with a message stream created.
    pub fn connected() -> Self {
        let object = Object::default().with("app", "live").with("tcUrl", "rtmp://h/live");
        Self::new().call(0, "connect", 1.0, object.into(), vec![]).command(
            0,
            "createStream",
            vec![],
        )
    }

    /// Publishing, once the server has agreed.
    pub fn publishing(name: &str) -> Self {
        Self::connected().command(1, "publish", vec![name.into(), "live".into()])
    }

    /// Any message.
    pub fn message(mut self, header: Header, payload: &[u8]) -> Self {
        chunk::append(&mut self.bytes, &header, &[payload], self.chunk_size).unwrap();
        self
    }

    /// A message of the protocol.
    pub fn say(self, message_stream: u32, time: u32, message: &Message) -> Self {
        let (kind, payload) = message.emit();
        let chunk_stream = if kind < 7 { 2 } else { u32::from(kind) };
        self.message(Header { chunk_stream, kind, message_stream, time }, &payload)
    }

    /// A command with its object.
    pub fn call(
        self,
        message_stream: u32,
        name: &str,
        transaction: f64,
        object: Value,
        arguments: Vec<Value>,
    ) -> Self {
        let command = Command::new(name, transaction, object, arguments);
        self.say(message_stream, 0, &Message::Command(command))
    }

    /// A command without one.
    pub fn command(self, message_stream: u32, name: &str, arguments: Vec<Value>) -> Self {
        self.call(message_stream, name, 3.0, Value::Null, arguments)
    }

    /// A command's payload as it is, however broken.
    pub fn raw_command(self, payload: &[u8]) -> Self {
        self.message(Header { chunk_stream: 3, kind: 20, message_stream: 0, time: 0 }, payload)
    }

    /// A control message's payload as it is.
    pub fn control(self, kind: u8, payload: &[u8]) -> Self {
        self.message(Header { chunk_stream: 2, kind, message_stream: 0, time: 0 }, payload)
    }

    /// Longer chunks from here on.
    pub fn chunks_of(mut self, size: u32) -> Self {
        self = self.say(0, 0, &Message::SetChunkSize(size));
        self.chunk_size = size as usize;
        self
    }

    /// The body of a video tag.
    pub fn video(self, payload: &[u8]) -> Self {
        self.say(1, 0, &Message::Video(Bytes::copy_from_slice(payload)))
    }

    /// The body of an audio tag.
    pub fn audio(self, payload: &[u8]) -> Self {
        self.say(1, 0, &Message::Audio(Bytes::copy_from_slice(payload)))
    }

    /// Bytes as they are.
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }
}

/// How a message begins that has so many bytes by its own account.
pub fn begun(chunk_stream: u8, len: u32) -> Vec<u8> {
    let [_, len @ ..] = len.to_be_bytes();
    [&[chunk_stream, 0, 0, 0][..], &len, &[9, 1, 0, 0, 0]].concat()
}

/// A control message alone, in the first chunk size.
pub fn control(kind: u8, payload: &[u8]) -> Vec<u8> {
    let header = Header { chunk_stream: 2, kind, message_stream: 0, time: 0 };
    let mut bytes = Vec::new();
    chunk::append(&mut bytes, &header, &[payload], chunk::DEFAULT_CHUNK_SIZE).unwrap();
    bytes
}
