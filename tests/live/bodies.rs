//! What HTTP/1.0 is sent: a container's bytes with nothing around them.

use std::io::{Read, Write};
use std::net::TcpStream;

use media::Frame;
use media::container::{mp4, ts};
use weir_tests::PATIENCE;

use crate::support::{Publisher, Weir};

/// An answer whose end is that of its connection.
pub struct Body {
    pub socket: TcpStream,
    pub head: String,
}

impl Body {
    /// Asks for a path, and reads the head of the answer.
    pub fn get(mut socket: TcpStream, path: &str) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(socket, "GET /{path} HTTP/1.0\r\n\r\n").unwrap();
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            socket.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        Self { socket, head: String::from_utf8(head).unwrap() }
    }

    /// As [`Body::get`], on a connection of its own.
    pub fn of(weir: &Weir, path: &str) -> Self {
        Self::get(TcpStream::connect(weir.http).unwrap(), path)
    }

    /// All bytes up to the end.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.socket.read_to_end(&mut bytes).unwrap();
        bytes
    }
}

/// The frames of a transport stream or of fragments, by the path they were asked for.
pub fn frames(path: &str, bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    if path.ends_with(".ts") {
        let mut demuxer = ts::Demuxer::new();
        demuxer.receive(bytes).unwrap();
        while let Some(frame) = demuxer.next_frame().unwrap() {
            frames.push(frame);
        }
    } else {
        let mut demuxer = mp4::Demuxer::new();
        demuxer.receive(bytes).unwrap();
        while let Some(frame) = demuxer.next_frame().unwrap() {
            frames.push(frame);
        }
    }
    frames
}

/// Says that it publishes no more.
pub fn finish(mut publisher: Publisher) {
    publisher.client.session.finish();
    publisher.client.send();
}
