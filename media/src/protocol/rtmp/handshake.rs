//! What both sides exchange before the first chunk, with random bytes made from a seed that is passed in.
//!
//! ```text
//! client                        server
//!   C0 version (1 byte), C1 ------>
//!   <------ S0 version, S1, S2         C1, S1: 4 bytes time, 4 bytes version or 0, 1528 random
//!   C2 --------------------------->    C2, S2: the other's packet again
//! ```
//!
//! That is the simple handshake. In the digest one, C1 and S1 hide a digest among their random
//! bytes, and C2 and S2 prove that it was read. Some players refuse H.264 from a server that does not
//! answer theirs, so the server answers each client in the form it used. Nobody is refused for a C2 or
//! S2 that is not what it should be: too many peers send anything there.
//!
//! Whoever does not speak RTMP is told apart by the first byte.

mod digest;

use digest::{Half, Role};
use thiserror::Error;

/// Length of C1, C2, S1 and S2.
const PACKET: usize = 1536;
/// The one version spoken: plain RTMP.
const VERSION: u8 = 3;

/// What a server says it is. Not zero, so that clients look for the digest.
const SERVER_VERSION: [u8; 4] = [4, 5, 0, 1];
/// What a client says it is.
const CLIENT_VERSION: [u8; 4] = [10, 0, 32, 2];

/// Why there is no RTMP with this peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum HandshakeError {
    /// A browser, a probe, or an encoder with the wrong port.
    #[error("peer speaks HTTP where an RTMP handshake was expected")]
    HttpRequest,
    /// RTMPS towards a port without TLS.
    #[error("peer speaks TLS where a plain RTMP handshake was expected")]
    TlsClientHello,
    /// A stream without a protocol.
    #[error("peer sent an FLV file where an RTMP handshake was expected")]
    Flv,
    /// RTMPE and its kin.
    #[error("peer asked for encrypted RTMP (version {0}), only plain RTMP (version 3) is spoken")]
    Encrypted(u8),
    /// Anything else.
    #[error("peer sent {0:#04x} where an RTMP handshake of version 3 was expected")]
    Version(u8),
    /// The port belongs to a web server.
    #[error("server speaks HTTP where an RTMP handshake was expected")]
    HttpAnswer,
    /// The port speaks TLS only.
    #[error("server speaks TLS where a plain RTMP handshake was expected")]
    TlsAnswer,
}

impl HandshakeError {
    fn of_client(first: u8) -> Self {
        match first {
            // GET, POST, PUT, PATCH, HEAD, OPTIONS, DELETE, CONNECT, TRACE
            b'G' | b'P' | b'H' | b'O' | b'D' | b'C' | b'T' => Self::HttpRequest,
            0x16 => Self::TlsClientHello,
            b'F' => Self::Flv,
            6 | 8 | 9 => Self::Encrypted(first),
            _ => Self::Version(first),
        }
    }

    fn of_server(first: u8) -> Self {
        match first {
            b'H' => Self::HttpAnswer,
            0x15 | 0x16 => Self::TlsAnswer,
            6 | 8 | 9 => Self::Encrypted(first),
            _ => Self::Version(first),
        }
    }
}

/// Which handshake a client begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Form {
    /// Random bytes and their echo; every server takes it.
    #[default]
    Simple,
    /// With digests, as Flash players have it.
    Digest,
}

/// Where a handshake is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// Before C0 or S0.
    Version,
    /// Within C1 or S1.
    First,
    /// Within C2 or S2, so many bytes before its end.
    Second(usize),
}

/// The server's side.
#[derive(Debug)]
pub struct ServerHandshake {
    step: Step,
    packet: Vec<u8>,
    random: Random,
}

impl ServerHandshake {
    /// Before the first byte. The seed makes the random bytes, which hold no secret.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { step: Step::Version, packet: Vec::new(), random: Random(seed) }
    }

    /// Takes its bytes off the front of the input, and appends its answer to the output. True when the
    /// handshake is over; what is left of the input is chunks.
    pub fn receive(
        &mut self,
        input: &mut &[u8],
        out: &mut Vec<u8>,
    ) -> Result<bool, HandshakeError> {
        take_version(&mut self.step, input, HandshakeError::of_client)?;
        if let Some(c1) = take_first(&mut self.step, &mut self.packet, input) {
            out.push(VERSION);
            match digest::find(&c1, Role::Client) {
                Some((half, digest)) => {
                    let at = out.len();
                    self.random.packet(SERVER_VERSION, out);
                    digest::sign_first(out, at, half, Role::Server);
                    let at = out.len();
                    self.random.fill(PACKET, out);
                    digest::sign_second(out, at, &digest, Role::Server);
                }
                None => {
                    self.random.packet([0; 4], out);
                    out.extend_from_slice(&c1);
                }
            }
        }
        Ok(skip_second(&mut self.step, input))
    }

    /// Bytes of the peer it holds.
    #[must_use]
    pub fn held(&self) -> usize {
        self.packet.len()
    }
}

/// The client's side.
#[derive(Debug)]
pub struct ClientHandshake {
    step: Step,
    packet: Vec<u8>,
    random: Random,
    form: Form,
}

impl ClientHandshake {
    /// Before the first byte. The seed makes the random bytes, which hold no secret.
    #[must_use]
    pub fn new(form: Form, seed: u64) -> Self {
        Self { step: Step::Version, packet: Vec::new(), random: Random(seed), form }
    }

    /// Appends what the client says first, to be called once.
    pub fn start(&mut self, out: &mut Vec<u8>) {
        out.push(VERSION);
        match self.form {
            Form::Simple => self.random.packet([0; 4], out),
            Form::Digest => {
                let at = out.len();
                self.random.packet(CLIENT_VERSION, out);
                digest::sign_first(out, at, Half::First, Role::Client);
            }
        }
    }

    /// Takes its bytes off the front of the input, and appends its answer to the output. True when the
    /// handshake is over; what is left of the input is chunks.
    pub fn receive(
        &mut self,
        input: &mut &[u8],
        out: &mut Vec<u8>,
    ) -> Result<bool, HandshakeError> {
        take_version(&mut self.step, input, HandshakeError::of_server)?;
        if let Some(s1) = take_first(&mut self.step, &mut self.packet, input) {
            let found = match self.form {
                Form::Simple => None,
                Form::Digest => digest::find(&s1, Role::Server),
            };
            match found {
                Some((_, digest)) => {
                    let at = out.len();
                    self.random.fill(PACKET, out);
                    digest::sign_second(out, at, &digest, Role::Client);
                }
                None => out.extend_from_slice(&s1),
            }
        }
        Ok(skip_second(&mut self.step, input))
    }

    /// Bytes of the peer it holds.
    #[must_use]
    pub fn held(&self) -> usize {
        self.packet.len()
    }
}

fn take_version(
    step: &mut Step,
    input: &mut &[u8],
    fault: fn(u8) -> HandshakeError,
) -> Result<(), HandshakeError> {
    if *step == Step::Version
        && let Some((&first, rest)) = input.split_first()
    {
        if first != VERSION {
            return Err(fault(first));
        }
        *input = rest;
        *step = Step::First;
    }
    Ok(())
}

/// The peer's first packet, once it is whole.
fn take_first(step: &mut Step, packet: &mut Vec<u8>, input: &mut &[u8]) -> Option<Vec<u8>> {
    if *step != Step::First {
        return None;
    }
    let missing = PACKET.saturating_sub(packet.len());
    let (taken, rest) = input.split_at_checked(missing).unwrap_or((input, &[]));
    packet.extend_from_slice(taken);
    *input = rest;
    (packet.len() == PACKET).then(|| {
        *step = Step::Second(PACKET);
        std::mem::take(packet)
    })
}

fn skip_second(step: &mut Step, input: &mut &[u8]) -> bool {
    let Step::Second(left) = step else { return false };
    let (taken, rest) = input.split_at_checked(*left).unwrap_or((input, &[]));
    *left -= taken.len();
    *input = rest;
    *left == 0
}

/// Random bytes for filling (SplitMix64). A handshake's random bytes protect nothing.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn fill(&mut self, len: usize, out: &mut Vec<u8>) {
        for _ in 0..len / 8 {
            out.extend_from_slice(&self.next().to_be_bytes());
        }
    }

    /// A first packet: time 0, a version, random bytes.
    fn packet(&mut self, version: [u8; 4], out: &mut Vec<u8>) {
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&version);
        self.fill(PACKET - 8, out);
    }
}

#[cfg(test)]
mod tests;
