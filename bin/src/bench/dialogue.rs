//! What a player says and hears before and while media comes, one kind per door. Pure: bytes in,
//! frames and bytes out.

use media::Frame;
use media::container::flv::{self, TagError};
use media::protocol::rtmp::client::{ClientConfig, ClientSession, Event, Purpose};
use media::protocol::rtmp::server::PlayStart;
use network::http::{BodyDecoder, BodyEvent, HeadScan, HeaderSpace, HttpError, Method, Parsed};
use network::http::{BodyFraming, ResponseHead};
use network::websocket;

use super::demux::{Demux, Foreign};
use super::target::{Container, Door, Target};

/// Longest WebSocket message that is read: a keyframe of any stream, and what is merged with it.
const MESSAGE: usize = 16 * 1024 * 1024;

/// What ends a player.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The server answers in a way that is not HTTP.
    #[error("the server's HTTP: {0}")]
    Http(#[from] HttpError),
    /// The server refuses.
    #[error("the server answers {0}")]
    Status(String),
    /// A redirect is another server's business.
    #[error("the server answers {0} (a redirect to {1:?}); give that URL instead")]
    Redirect(u16, String),
    /// The body is over.
    #[error("the server ended the stream")]
    Ended,
    /// What comes is not what was asked for.
    #[error(transparent)]
    Foreign(#[from] Foreign),
    /// A playlist cannot be followed.
    #[error("the server's playlist: {0}")]
    Playlist(String),
    /// A message over RTMP is not a tag's body.
    #[error(transparent)]
    Tag(#[from] TagError),
    /// The server's RTMP is broken.
    #[error("{0}")]
    Rtmp(#[from] media::protocol::rtmp::Error),
    /// The server's WebSocket is broken, or refused.
    #[error("the server's WebSocket: {0}")]
    WebSocket(String),
    /// The URL has no app and name.
    #[error("{0:?} names no app and stream: rtmp://HOST/APP/NAME")]
    Name(String),
}

/// One player's side of the talk.
pub enum Dialogue {
    /// RTMP.
    Rtmp(Box<ClientSession>),
    /// A body over HTTP.
    Http(Box<HttpPlayer>),
    /// Messages over a WebSocket.
    WebSocket(Box<WebSocketPlayer>),
}

impl Dialogue {
    /// Begins to play a stream; appends the first words.
    pub fn begin(
        target: &Target,
        stream: usize,
        seed: u64,
        out: &mut Vec<u8>,
    ) -> Result<Self, Trouble> {
        match target.door {
            Door::Rtmp => {
                let url = target.rtmp_url(stream);
                let config = ClientConfig::from_url(&url, Purpose::Play(PlayStart::Any))
                    .ok_or(Trouble::Name(url))?;
                let mut session = ClientSession::new(config, seed);
                session.take_output(out);
                Ok(Self::Rtmp(Box::new(session)))
            }
            Door::Http(container) => {
                append_request(&target.authority, &target.path_of(stream), out);
                Ok(Self::Http(Box::new(HttpPlayer::new(container))))
            }
            // Viewers of playlists talk in another way (`hls`).
            Door::Hls => Err(Trouble::Name(target.url())),
            Door::WebSocket(container) => {
                let player = WebSocketPlayer::begin(target, stream, container, seed, out)?;
                Ok(Self::WebSocket(Box::new(player)))
            }
        }
    }

    /// Takes bytes, appends answers to `out`, gives each frame to `frame`. Returns how many bytes are
    /// done with.
    pub fn receive(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        frame: &mut dyn FnMut(&Frame),
    ) -> Result<usize, Trouble> {
        match self {
            Self::Rtmp(session) => {
                session.receive(input)?;
                session.take_output(out);
                while let Some(event) = session.poll_event() {
                    match event {
                        Event::Media { track, time_ms, payload } => {
                            if let Some(whole) = flv::parse(payload, track, time_ms)?.frame {
                                frame(&whole);
                            }
                        }
                        Event::Refused { code, description } => {
                            return Err(Trouble::Status(format!("{code}: {description}")));
                        }
                        Event::Ended { .. } => return Err(Trouble::Ended),
                        Event::Connected(_)
                        | Event::Started
                        | Event::Status { .. }
                        | Event::Pong { .. } => {}
                    }
                }
                Ok(input.len())
            }
            Self::Http(player) => player.receive(input, frame),
            Self::WebSocket(player) => player.receive(input, out, frame),
        }
    }

    /// What is waited for, for a player whose server has fallen silent.
    pub fn waits_for(&self) -> &'static str {
        match self {
            Self::Rtmp(session) if session.is_started() => "for media after RTMP's play",
            Self::Rtmp(_) => "within RTMP's handshake and commands",
            Self::Http(player) if player.body.is_some() => player.demux.waits_for(),
            Self::Http(_) => "for the answer to the HTTP request",
            Self::WebSocket(player) if player.session.is_some() => player.demux.waits_for(),
            Self::WebSocket(_) => "for the answer to the WebSocket request",
        }
    }

    /// Whether acknowledgements are part of the protocol: a player that discards sends them itself.
    pub fn acknowledges(&self) -> bool {
        matches!(self, Self::Rtmp(_))
    }
}

/// Appends a request for a path.
pub fn append_request(authority: &str, path: &str, out: &mut Vec<u8>) {
    for part in ["GET ", path, " HTTP/1.1\r\nHost: ", authority, "\r\nUser-Agent: weir-bench/"] {
        out.extend_from_slice(part.as_bytes());
    }
    out.extend_from_slice(env!("CARGO_PKG_VERSION").as_bytes());
    out.extend_from_slice(b"\r\nAccept: */*\r\n\r\n");
}

/// A stream in the body of an answer.
pub struct HttpPlayer {
    scan: HeadScan,
    body: Option<BodyDecoder>,
    demux: Demux,
}

impl HttpPlayer {
    fn new(container: Container) -> Self {
        Self { scan: HeadScan::default(), body: None, demux: Demux::new(container) }
    }

    fn receive(&mut self, input: &[u8], frame: &mut dyn FnMut(&Frame)) -> Result<usize, Trouble> {
        let mut done = 0;
        if self.body.is_none() {
            let mut space = HeaderSpace::new();
            match ResponseHead::parse(input, Method::Get, &mut self.scan, &mut space)? {
                Parsed::Incomplete => return Ok(0),
                Parsed::Complete { head, len } => {
                    check_status(&head)?;
                    let framing = match head.framing {
                        BodyFraming::None => return Err(Trouble::Ended),
                        framing => framing,
                    };
                    self.body = Some(BodyDecoder::new(framing, u64::MAX)?);
                    done = len;
                }
            }
        }
        let Some(body) = &mut self.body else { return Ok(done) };
        loop {
            let step = body.decode(input.get(done..).unwrap_or_default())?;
            done += step.consumed;
            match step.event {
                BodyEvent::Data(data) => self.demux.receive(data, frame)?,
                BodyEvent::NeedMore => return Ok(done),
                BodyEvent::End => return Err(Trouble::Ended),
            }
        }
    }
}

/// Nothing but 200 is the answer that was asked for.
pub fn check_status(head: &ResponseHead<'_>) -> Result<(), Trouble> {
    match head.status.as_u16() {
        200 => Ok(()),
        status @ 300..400 => {
            let to = head.headers.get_str("location").unwrap_or_default();
            Err(Trouble::Redirect(status, to.to_owned()))
        }
        status => Err(Trouble::Status(format!("{status} {}", head.reason))),
    }
}

/// A stream in the messages of a WebSocket.
pub struct WebSocketPlayer {
    handshake: websocket::Client,
    seed: u64,
    scan: HeadScan,
    session: Option<websocket::Session>,
    demux: Demux,
}

impl WebSocketPlayer {
    fn begin(
        target: &Target,
        stream: usize,
        container: Container,
        seed: u64,
        out: &mut Vec<u8>,
    ) -> Result<Self, Trouble> {
        let mut key = [0; 16];
        for (place, byte) in key.iter_mut().zip(seed.to_be_bytes().iter().cycle()) {
            *place = *byte;
        }
        let handshake = websocket::Client::new(key);
        handshake
            .write(&target.authority, &target.path_of(stream), &[], &[], out)
            .map_err(|error| Trouble::WebSocket(error.to_string()))?;
        let (scan, demux) = (HeadScan::default(), Demux::new(container));
        Ok(Self { handshake, seed, scan, session: None, demux })
    }

    fn receive(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        frame: &mut dyn FnMut(&Frame),
    ) -> Result<usize, Trouble> {
        let mut done = 0;
        if self.session.is_none() {
            let mut space = HeaderSpace::new();
            match ResponseHead::parse(input, Method::Get, &mut self.scan, &mut space)? {
                Parsed::Incomplete => return Ok(0),
                Parsed::Complete { head, len } => {
                    if head.status.as_u16() != 101 {
                        check_status(&head)?;
                    }
                    self.handshake
                        .check(head.status.as_u16(), head.headers.iter(), &[])
                        .map_err(|error| Trouble::WebSocket(error.to_string()))?;
                    done = len;
                }
            }
            let limits =
                websocket::Limits { message: MESSAGE, frame: MESSAGE, ..Default::default() };
            let mut masks = [0; 32];
            for (place, byte) in masks.iter_mut().zip(self.seed.to_le_bytes().iter().cycle()) {
                *place = *byte;
            }
            self.session = Some(websocket::Session::client(limits, masks));
        }
        let Some(session) = &mut self.session else { return Ok(done) };
        loop {
            let rest = input.get(done..).unwrap_or_default();
            let taken =
                session.feed(rest).map_err(|error| Trouble::WebSocket(error.to_string()))?;
            done += taken;
            match session.poll() {
                Some((websocket::Event::Message { data, .. }, _)) => {
                    self.demux.receive(data, frame)?;
                }
                Some((websocket::Event::Closed { .. }, _)) => return Err(Trouble::Ended),
                Some(_) => {}
                None if taken == 0 => break,
                None => {}
            }
        }
        session.transmit(out);
        Ok(done)
    }
}

/// RTMP's acknowledgement of so many bytes, as a chunk: all that a player that discards still says.
pub fn acknowledgement(bytes: u64) -> [u8; 16] {
    let [a, b, c, d] = (bytes as u32).to_be_bytes();
    // Basic header of chunk stream 2; time 0, length 4, type 3, message stream 0; the number.
    [2, 0, 0, 0, 0, 0, 4, 3, 0, 0, 0, 0, a, b, c, d]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use media::testcard::{Options, TestCard};

    fn http() -> (Dialogue, Vec<u8>) {
        let target = Target::parse("http://127.0.0.1:1/live/a.flv", false).unwrap();
        let mut out = Vec::new();
        (Dialogue::begin(&target, 0, 7, &mut out).unwrap(), out)
    }

    fn file(frames: usize) -> Vec<u8> {
        let mut card = TestCard::new(Options::default()).unwrap();
        let mut bytes = flv::file::file_header(true, true).to_vec();
        for _ in 0..frames {
            flv::packetizer::append(&card.next(0), &mut bytes).unwrap();
        }
        bytes
    }

    /// Feeds pieces of some size, as a connection would: what is left comes again.
    fn play(dialogue: &mut Dialogue, bytes: &[u8], size: usize) -> Result<usize, Trouble> {
        let (mut frames, mut rest, mut out) = (0, Vec::new(), Vec::new());
        for piece in bytes.chunks(size) {
            rest.extend_from_slice(piece);
            let done = dialogue.receive(&rest, &mut out, &mut |_| frames += 1)?;
            rest.drain(..done);
        }
        Ok(frames)
    }

    #[test]
    fn flv_is_played_however_it_is_cut_and_framed() {
        let media = file(10);
        let mut plain =
            b"HTTP/1.1 200 OK\r\nContent-Type: video/x-flv\r\nConnection: close\r\n\r\n".to_vec();
        plain.extend_from_slice(&media);
        let mut chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for piece in media.chunks(1000) {
            chunked.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            chunked.extend_from_slice(piece);
            chunked.extend_from_slice(b"\r\n");
        }
        for bytes in [plain, chunked] {
            for size in [1, 7, 1000, 65_536] {
                let (mut dialogue, out) = http();
                assert!(out.starts_with(b"GET /live/a.flv HTTP/1.1\r\nHost: 127.0.0.1:1\r\n"));
                assert_eq!(play(&mut dialogue, &bytes, size).unwrap(), 10, "{size}");
            }
        }
    }

    #[test]
    fn refusals_and_garbage_are_told() {
        for (answer, word) in [
            ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "404 Not Found"),
            ("HTTP/1.1 302 Found\r\nLocation: http://b/\r\nContent-Length: 0\r\n\r\n", "redirect"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "ended"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nthis is no flv at all", "FLV"),
            ("SSH-2.0-OpenSSH_9.2p1\r\n\r\n", "HTTP"),
        ] {
            let error = play(&mut http().0, answer.as_bytes(), 9).unwrap_err().to_string();
            assert!(error.contains(word), "{answer:?}: {error}");
        }
        let target = Target::parse("rtmp://127.0.0.1:1/live/a", false).unwrap();
        let mut dialogue = Dialogue::begin(&target, 0, 7, &mut Vec::new()).unwrap();
        assert!(play(&mut dialogue, &[0x80; 4000], 100).is_err());
        let target = Target::parse("rtmp://127.0.0.1:1/live", false).unwrap();
        assert!(Dialogue::begin(&target, 0, 7, &mut Vec::new()).is_err());
    }

    #[test]
    fn an_acknowledgement_is_one_chunk() {
        let bytes = acknowledgement(0x1_0203_0405);
        assert_eq!(bytes[7], 3);
        assert_eq!(bytes[12..], [2, 3, 4, 5]);
    }
}
