//! One TLS session, driven by a connection: ciphertext in, plaintext out, and the other way round.

use std::io::{self, IoSlice, Read, Write};
use std::os::fd::BorrowedFd;

use rustls::{Connection, ServerConnection};

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

    /// Takes ciphertext and appends what it says to `plain`. `Ok(true)`: the peer said goodbye.
    pub fn receive(&mut self, mut cipher: &[u8], plain: &mut Vec<u8>) -> Result<bool, CloseReason> {
        let mut goodbye = false;
        while !cipher.is_empty() && !goodbye {
            let read = self.0.read_tls(&mut cipher).map_err(CloseReason::of)?;
            let state = self
                .0
                .process_new_packets()
                .map_err(|error| CloseReason::Tls(error.to_string()))?;
            let waiting = state.plaintext_bytes_to_read();
            if waiting > 0 {
                let at = plain.len();
                plain.resize(at + waiting, 0);
                let space = plain.get_mut(at..).unwrap_or(&mut []);
                self.0.reader().read_exact(space).map_err(CloseReason::of)?;
            }
            goodbye = state.peer_has_closed();
            if read == 0 && waiting == 0 {
                break;
            }
        }
        Ok(goodbye)
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
