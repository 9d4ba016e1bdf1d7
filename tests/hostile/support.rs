//! A server that is looked at by a player while others are rude to it.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;

use weir_tests::{PATIENCE, Server};

use crate::script::control;

/// A server that publishes `live/demo`, and a player of it.
pub struct Watched {
    pub server: Server,
    /// When bytes came, each time.
    came: Receiver<Instant>,
}

impl Watched {
    pub fn start(config: &str) -> Self {
        let server = Server::start(config, &["--demo"]);
        let mut player = connect(server.http);
        player.write_all(b"GET /live/demo.flv HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let (tell, came) = channel();
        thread::spawn(move || {
            let mut some = vec![0; 65_536];
            while let Ok(1..) = player.read(&mut some) {
                if tell.send(Instant::now()).is_err() {
                    return;
                }
            }
        });
        let watched = Self { server, came };
        watched.is_well();
        watched
    }

    /// The player goes on receiving.
    pub fn is_well(&self) {
        let now = Instant::now();
        while self.came.recv_timeout(PATIENCE).expect("the healthy player gets its stream") < now {}
    }

    /// A connection that says this is ended by the server for this reason, in these words.
    pub fn refuses(&self, what: &str, bytes: &[u8], reason: &str, words: &str) {
        let figure = format!("ended_{reason}");
        let before = self.server.figure(&figure);
        let mut rude = connect(self.server.rtmp);
        // It may be ended before all is said.
        let _ = rude.write_all(bytes);
        let line = self.server.program.wait_for(&format!("reason=\"{reason}\""));
        assert!(line.contains(words), "{what}: {line}");
        is_ended(&mut rude);
        assert_eq!(self.server.figure(&figure), before + 1, "{what}");
    }

    /// The same for broken protocol.
    pub fn refuses_protocol(&self, what: &str, bytes: &[u8], words: &str) {
        self.refuses(what, bytes, "bad_protocol", words);
    }

    /// The same for broken media.
    pub fn refuses_media(&self, what: &str, bytes: &[u8], words: &str) {
        self.refuses(what, bytes, "bad_media", words);
    }
}

/// A connection whose reads do not take forever.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Waits until the server has ended this connection; what it still said.
pub fn is_ended(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => rest,
        // What it did not read any more resets the connection.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => rest,
        Err(error) => panic!("the server does not end the connection: {error}"),
    }
}

/// Waits until the server has read all that was said on this connection: it answers in order.
pub fn is_read(stream: &mut TcpStream) {
    // A ping, and what is answered.
    stream.write_all(&control(4, b"\0\x06seed")).unwrap();
    let answer = b"\0\x07seed";
    let mut heard = Vec::new();
    while !heard.windows(answer.len()).any(|window| window == *answer) {
        let mut some = [0; 4096];
        let count = stream.read(&mut some).expect("the server answers");
        assert!(count > 0, "the server ended it");
        heard.extend_from_slice(&some[..count]);
    }
}
