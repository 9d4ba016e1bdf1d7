//! One TLS session, driven by a connection: ciphertext in, plaintext out, and the other way round.

use std::io::{self, BufRead, IoSlice, Write};
use std::os::fd::BorrowedFd;

use rustls::{Connection, ServerConnection};

use super::explain::explain;
use crate::tcp::CloseReason;
use crate::{limits, sys};

/// A TLS session. It holds at most [`limits::TLS_AHEAD`] bytes of output that the socket has not taken.
pub(crate) struct Channel(Connection);

impl Channel {
    pub fn new(mut session: Connection) -> Self {
        session.set_buffer_limit(Some(limits::TLS_AHEAD));
        Self(session)
    }

    pub fn alpn(&self) -> Option<&[u8]> {
        self.0.alpn_protocol()
    }

    pub fn server_name(&self) -> Option<&str> {
        match &self.0 {
            Connection::Server(session) => ServerConnection::server_name(session),
            Connection::Client(_) => None,
        }
    }

    pub fn is_handshaking(&self) -> bool {
        self.0.is_handshaking()
    }

    pub fn wants_write(&self) -> bool {
        self.0.wants_write()
    }

    /// Takes plaintext to be sent; returns how much of it fits.
    pub fn encrypt(&mut self, plain: &[u8]) -> usize {
        self.0.writer().write(plain).unwrap_or(0)
    }

    /// Sends what is encrypted; `Ok(false)` where the socket is full.
    pub fn send(&mut self, socket: BorrowedFd<'_>, sent: &mut u64) -> io::Result<bool> {
        while self.0.wants_write() {
            match self.0.write_tls(&mut Socket(socket)) {
                Ok(n) => *sent += n as u64,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Takes ciphertext and appends what it says to `plain`, also what came before an error.
    /// `Ok(true)`: the peer said goodbye.
    pub fn receive(&mut self, mut cipher: &[u8], plain: &mut Vec<u8>) -> Result<bool, CloseReason> {
        loop {
            let handshaking = self.0.is_handshaking();
            // Rustls takes a few KiB at a time and nothing after a goodbye.
            let taken = self.0.read_tls(&mut cipher).map_err(|error| {
                CloseReason::Tls(format!("the peer breaks the protocol ({error})"))
            })?;
            let state = self.0.process_new_packets();
            self.take_plain(plain);
            let state = state.map_err(|error| CloseReason::Tls(explain(&error, handshaking)))?;
            if state.peer_has_closed() {
                return Ok(true);
            }
            if cipher.is_empty() || taken == 0 {
                return Ok(false);
            }
        }
    }

    fn take_plain(&mut self, plain: &mut Vec<u8>) {
        let mut reader = self.0.reader();
        // The error is "would block": there is no more.
        while let Ok(chunk) = reader.fill_buf() {
            let len = chunk.len();
            if len == 0 {
                break;
            }
            plain.extend_from_slice(chunk);
            reader.consume(len);
        }
    }

    pub fn say_goodbye(&mut self) {
        self.0.send_close_notify();
    }
}

struct Socket<'a>(BorrowedFd<'a>);

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        sys::send(self.0, bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        sys::send_gather(self.0, slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
