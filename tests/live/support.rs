//! A server, publishers and players that a test drives frame by frame.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use media::container::flv::tag::Header;
use media::container::flv::{self, Demuxer};
use media::protocol::rtmp::ClientSession;
use media::protocol::rtmp::client::{ClientConfig, Event, Purpose};
use media::protocol::rtmp::server::{PlayStart, PublishKind};
use media::testcard::{AudioOptions, Options, Stamp, TestCard};
use media::{Frame, FrameKind, Time, Track};
use network::http::{BodyDecoder, BodyEvent, BodyFraming};
use weir_tests::{PATIENCE, Program};

/// A running server.
pub struct Weir {
    pub program: Program,
    pub rtmp: SocketAddr,
    pub http: SocketAddr,
    /// The config file, which goes with the server.
    _config: TempFile,
}

struct TempFile(std::path::PathBuf);

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Weir {
    /// With the default settings and two loops.
    pub fn start() -> Self {
        Self::with("", &["--loops", "2"])
    }

    /// With this config file and these options.
    pub fn with(config: &str, options: &[&str]) -> Self {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("weir-live-{}-{count}.toml", std::process::id());
        let file = TempFile(std::env::temp_dir().join(name));
        std::fs::write(&file.0, config).unwrap();
        let path = file.0.to_str().unwrap();
        let ports = ["--rtmp", "127.0.0.1:0", "--http", "127.0.0.1:0"];
        let args = [&["serve", "--config", path], &ports[..], options].concat();
        let program = Program::start("weir", &args);
        let rtmp = address(&program.wait_for("publish to"));
        let http = address(&program.wait_for("look at"));
        Self { program, rtmp, http, _config: file }
    }

    /// What the API answers.
    pub fn json(&self, target: &str) -> serde_json::Value {
        let text = self.text(target);
        let body = text.split_once("\r\n\r\n").unwrap().1;
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// What the server says of itself.
    pub fn page(&self) -> String {
        self.text("/")
    }

    /// An answer, head and all.
    fn text(&self, target: &str) -> String {
        let mut socket = TcpStream::connect(self.http).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!("GET {target} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n");
        socket.write_all(head.as_bytes()).unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).unwrap();
        text
    }

    /// One of its counters; 0 where it says nothing of it.
    pub fn count(&self, name: &str) -> u64 {
        let page = self.page();
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let number = line.map(|text| text.split(' ').next().unwrap().parse().unwrap());
        number.unwrap_or(0)
    }

    /// Waits until a counter is at least so high.
    pub fn wait_count(&self, name: &str, least: u64) {
        let until = Instant::now() + PATIENCE;
        while self.count(name) < least {
            assert!(Instant::now() < until, "{name} does not reach {least}:\n{}", self.page());
            std::thread::yield_now();
        }
    }

    pub fn publish(&self, name: &str) -> Publisher {
        self.try_publish(name).unwrap_or_else(|(code, words)| panic!("{code}: {words}"))
    }

    /// Publishes, or says why not: RTMP's code and the server's words.
    pub fn try_publish(&self, name: &str) -> Result<Publisher, (String, String)> {
        let mut client = Rtmp::connect(self.rtmp, name, Purpose::Publish(PublishKind::Live));
        match client.event() {
            Some(Event::Started) => Ok(Publisher { client, frames: 0 }),
            Some(Event::Refused { code, description }) => Err((code, description)),
            other => panic!("{other:?}"),
        }
    }

    /// A player at each door.
    pub fn players(&self, name: &str) -> Vec<Player> {
        vec![self.play_rtmp(name), self.play_http(name), self.play_websocket(name)]
    }

    pub fn play_rtmp(&self, name: &str) -> Player {
        Player::Rtmp(Rtmp::connect(self.rtmp, name, Purpose::Play(PlayStart::Live)))
    }

    pub fn play_http(&self, name: &str) -> Player {
        Player::Http(Box::new(Http::get(TcpStream::connect(self.http).unwrap(), name)))
    }

    pub fn play_websocket(&self, name: &str) -> Player {
        let socket = TcpStream::connect(self.http).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let url = format!("ws://{}/{}", self.http, with_extension(name));
        let (socket, _) = tungstenite::client(url, socket).unwrap();
        Player::WebSocket(Box::new(WebSocket { socket, demuxer: Demuxer::new() }))
    }
}

fn address(line: &str) -> SocketAddr {
    let at = line.find("127.0.0.1:").unwrap();
    let end = line[at..].find('/').map_or(line.len(), |end| at + end);
    line[at..end].parse().unwrap()
}

fn with_extension(name: &str) -> String {
    match name.split_once('?') {
        Some((name, query)) => format!("{name}.flv?{query}"),
        None => format!("{name}.flv"),
    }
}

/// A client's RTMP session on a socket.
pub struct Rtmp {
    pub session: ClientSession,
    pub socket: TcpStream,
}

impl Rtmp {
    pub fn connect(address: SocketAddr, name: &str, purpose: Purpose) -> Self {
        let url = format!("rtmp://{address}/{name}");
        let config = ClientConfig::from_url(&url, purpose).unwrap();
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        Self { session: ClientSession::new(config, 7), socket }
    }

    /// What matters next; nothing where the connection has ended.
    pub fn event(&mut self) -> Option<Event> {
        let mut space = vec![0; 64 * 1024];
        loop {
            while let Some(event) = self.session.poll_event() {
                if !matches!(event, Event::Connected(_) | Event::Status { .. }) {
                    return Some(event);
                }
            }
            self.send();
            match self.socket.read(&mut space) {
                Ok(0) => return None,
                Ok(n) => self.session.receive(&space[..n]).unwrap(),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("nothing comes: {error}"),
            }
        }
    }

    pub fn send(&mut self) {
        let mut out = Vec::new();
        self.session.take_output(&mut out);
        // Who has been closed finds out as it reads.
        let _ = self.socket.write_all(&out);
    }
}

/// Publishes what a test gives it.
pub struct Publisher {
    pub client: Rtmp,
    /// Frames sent so far, configurations left out.
    pub frames: u64,
}

impl Publisher {
    pub fn send(&mut self, frame: &Frame) {
        self.send_at(frame, frame.dts.millis());
    }

    pub fn send_at(&mut self, frame: &Frame, time_ms: i64) {
        let header = Header::of(frame).unwrap();
        let parts = [header.as_slice(), &frame.payload];
        self.client.session.send_media(frame.track, time_ms, &parts).unwrap();
        self.client.send();
        self.frames += u64::from(frame.kind != FrameKind::Config);
    }

    /// Sends frames of a card until it has sent so many pictures more.
    pub fn pictures(&mut self, card: &mut Card, count: u64) {
        card.pictures(count).iter().for_each(|frame| self.send(frame));
    }

    /// What the server says, up to the end: the last code.
    pub fn told(mut self) -> Option<String> {
        let mut last = None;
        while let Some(event) = self.client.event() {
            if let Event::Ended { code, .. } | Event::Refused { code, .. } = event {
                last = Some(code);
            }
        }
        last
    }
}

/// A small test card whose frames are taken by hand.
pub struct Card(TestCard);

impl Card {
    /// A keyframe comes with every tenth picture, thirty pictures a second.
    pub fn new(width: u32, height: u32) -> Self {
        Self::of(Options { width, height, ..Self::options() })
    }

    pub fn options() -> Options {
        Options {
            width: 320,
            height: 240,
            gop_frames: 10,
            video_bitrate: 600_000,
            audio: Some(AudioOptions::default()),
            ..Options::default()
        }
    }

    pub fn of(options: Options) -> Self {
        Self(TestCard::new(options).unwrap())
    }

    pub fn next(&mut self) -> Frame {
        self.0.next(0)
    }

    /// Frames up to and with so many pictures.
    pub fn pictures(&mut self, mut count: u64) -> Vec<Frame> {
        let mut frames = Vec::new();
        while count > 0 {
            let frame = self.next();
            count -= u64::from(is_picture(&frame));
            frames.push(frame);
        }
        frames
    }
}

pub fn is_picture(frame: &Frame) -> bool {
    frame.track == Track::Video && frame.kind != FrameKind::Config
}

/// The number of a picture of a card.
pub fn number(frame: &Frame) -> u64 {
    Stamp::find(&frame.payload).unwrap().frame
}

/// A player at one of the doors.
#[allow(clippy::large_enum_variant)] // a test has a handful
pub enum Player {
    Rtmp(Rtmp),
    Http(Box<Http>),
    WebSocket(Box<WebSocket>),
}

/// What a player got.
#[derive(Debug, PartialEq)]
pub enum Got {
    Frame(Frame),
    /// The end, in the words of the door.
    End(String),
}

impl Player {
    pub fn door(&self) -> &'static str {
        match self {
            Self::Rtmp(_) => "rtmp",
            Self::Http(_) => "http",
            Self::WebSocket(_) => "websocket",
        }
    }

    pub fn next(&mut self) -> Got {
        match self {
            Self::Rtmp(client) => loop {
                match client.event() {
                    Some(Event::Media { track, time_ms, payload }) => {
                        let parsed = flv::parse(payload, track, time_ms).unwrap();
                        if let Some(frame) = parsed.frame {
                            return Got::Frame(frame);
                        }
                    }
                    Some(Event::Ended { code, .. } | Event::Refused { code, .. }) => {
                        return Got::End(code);
                    }
                    Some(Event::Started) => {}
                    None => return Got::End("closed".into()),
                    Some(other) => panic!("{other:?}"),
                }
            },
            Self::Http(http) => http.next(),
            Self::WebSocket(websocket) => websocket.next(),
        }
    }

    pub fn frame(&mut self) -> Frame {
        let door = self.door();
        match self.next() {
            Got::Frame(frame) => frame,
            Got::End(words) => panic!("{door} ended: {words}"),
        }
    }

    /// The next picture; what else comes before it is left out.
    pub fn picture(&mut self) -> Frame {
        loop {
            let frame = self.frame();
            if is_picture(&frame) {
                return frame;
            }
        }
    }

    /// Reads up to the picture of this number.
    pub fn until(&mut self, wanted: u64) -> Frame {
        loop {
            let frame = self.picture();
            if number(&frame) == wanted {
                return frame;
            }
        }
    }

    /// Reads to the end and says what it was.
    pub fn end(&mut self) -> String {
        loop {
            if let Got::End(words) = self.next() {
                return words;
            }
        }
    }
}

/// HTTP-FLV.
pub struct Http {
    pub socket: TcpStream,
    pub head: String,
    body: BodyDecoder,
    bytes: Vec<u8>,
    demuxer: Demuxer,
}

impl Http {
    /// Asks for a stream and reads the head of the answer.
    pub fn get(mut socket: TcpStream, name: &str) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let path = with_extension(name);
        write!(socket, "GET /{path} HTTP/1.1\r\nHost: h\r\nOrigin: http://p\r\n\r\n").unwrap();
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            socket.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let framing = match length {
            Some(length) => BodyFraming::Length(length.parse().unwrap()),
            None => BodyFraming::Chunked,
        };
        let body = BodyDecoder::new(framing, u64::MAX).unwrap();
        Self { socket, head, body, bytes: Vec::new(), demuxer: Demuxer::new() }
    }

    fn next(&mut self) -> Got {
        if !self.head.starts_with("HTTP/1.1 200") {
            return Got::End(self.head.lines().next().unwrap().to_owned());
        }
        let mut space = vec![0; 64 * 1024];
        loop {
            if let Some(frame) = self.demuxer.next_frame().unwrap() {
                return Got::Frame(frame);
            }
            let step = self.body.decode(&self.bytes).unwrap();
            match step.event {
                BodyEvent::Data(data) => self.demuxer.receive(data).unwrap(),
                BodyEvent::End => return Got::End("last chunk".into()),
                BodyEvent::NeedMore => match self.socket.read(&mut space) {
                    Ok(0) => return Got::End("cut".into()),
                    Ok(n) => {
                        let consumed = step.consumed;
                        self.bytes.drain(..consumed);
                        self.bytes.extend_from_slice(&space[..n]);
                        continue;
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {
                        return Got::End("reset".into());
                    }
                    Err(error) => panic!("nothing comes: {error}"),
                },
            }
            let consumed = step.consumed;
            self.bytes.drain(..consumed);
        }
    }
}

/// WebSocket-FLV.
pub struct WebSocket {
    pub socket: tungstenite::WebSocket<TcpStream>,
    demuxer: Demuxer,
}

impl WebSocket {
    fn next(&mut self) -> Got {
        loop {
            if let Some(frame) = self.demuxer.next_frame().unwrap() {
                return Got::Frame(frame);
            }
            match self.socket.read() {
                Ok(tungstenite::Message::Binary(data)) => self.demuxer.receive(&data).unwrap(),
                Ok(tungstenite::Message::Close(frame)) => {
                    let code = frame.map_or(0, |frame| u16::from(frame.code));
                    return Got::End(format!("close {code}"));
                }
                Ok(_) => {}
                Err(error) => return Got::End(error.to_string()),
            }
        }
    }
}

/// A frame at another time.
pub fn at(frame: &Frame, millis: i64) -> Frame {
    let time = Time::from_millis(millis);
    Frame { dts: time, pts: time, ..frame.clone() }
}

/// A pause that is part of what is tested: time has to pass for the server.
pub fn let_pass(time: Duration) {
    std::thread::sleep(time);
}
