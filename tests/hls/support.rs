//! A client that speaks HTTP by hand, and one that follows a list from its beginning to its end.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use media::playlist::lint::{Fault, Linter};
use media::playlist::{File, Rendition};
use media::{Frame, FrameKind};
use weir_tests::PATIENCE;

use crate::live::{Card, Publisher, Weir};

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// A header's value; empty where it is not there.
    pub fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

/// A connection that asks one thing after the other.
pub struct Client {
    pub socket: TcpStream,
    rest: Vec<u8>,
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        Self { socket, rest: Vec::new() }
    }

    /// Asks; `headers` are lines, each with its end.
    pub fn ask(&mut self, method: &str, path: &str, headers: &str) {
        write!(self.socket, "{method} {path} HTTP/1.1\r\nHost: weir\r\n{headers}\r\n").unwrap();
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.get_with(path, "")
    }

    pub fn get_with(&mut self, path: &str, headers: &str) -> Answer {
        self.ask("GET", path, headers);
        self.answer()
    }

    /// Gets what has to be there.
    pub fn body(&mut self, path: &str) -> Vec<u8> {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}{}", answer.head, answer.text());
        answer.body
    }

    pub fn list(&mut self, path: &str) -> String {
        String::from_utf8(self.body(path)).unwrap()
    }

    pub fn answer(&mut self) -> Answer {
        let head = self.head();
        self.answer_to(head)
    }

    /// To a HEAD: no body, whatever the head says.
    pub fn head_alone(&mut self, path: &str) -> Answer {
        self.ask("HEAD", path, "");
        let head = self.head();
        Answer { status: status(&head), head, body: Vec::new() }
    }

    pub fn head(&mut self) -> String {
        loop {
            if let Some(end) = self.rest.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let head: Vec<u8> = self.rest.drain(..end + 4).collect();
                return String::from_utf8(head).unwrap();
            }
            assert!(self.read(), "it closed the connection");
        }
    }

    fn answer_to(&mut self, head: String) -> Answer {
        let mut answer = Answer { status: status(&head), head, body: Vec::new() };
        if matches!(answer.status, 204 | 304) {
            return answer;
        }
        if answer.header("Transfer-Encoding") == "chunked" {
            while let Some(chunk) = self.chunk() {
                answer.body.extend(chunk);
            }
        } else {
            let len = answer.header("Content-Length").parse().unwrap_or(0);
            answer.body = self.take(len);
        }
        answer
    }

    /// The next chunk of a body; nothing at its end.
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = loop {
            if let Some(end) = self.rest.windows(2).position(|bytes| bytes == b"\r\n") {
                break self.take(end + 2);
            }
            assert!(self.read(), "it closed the connection");
        };
        let len = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim(), 16).unwrap();
        let mut chunk = self.take(len + 2);
        chunk.truncate(len);
        (len > 0).then_some(chunk)
    }

    fn take(&mut self, len: usize) -> Vec<u8> {
        while self.rest.len() < len {
            assert!(self.read(), "it closed the connection");
        }
        self.rest.drain(..len).collect()
    }

    fn read(&mut self) -> bool {
        let mut space = vec![0; 256 * 1024];
        let read = self.socket.read(&mut space).unwrap();
        self.rest.extend_from_slice(&space[..read]);
        read > 0
    }

    /// Whether the server has answered nothing within this time, which is part of what is tested.
    pub fn is_silent_for(&mut self, time: Duration) -> bool {
        self.socket.set_read_timeout(Some(time)).unwrap();
        let silent = self.rest.is_empty() && self.socket.peek(&mut [0]).is_err();
        self.socket.set_read_timeout(Some(PATIENCE)).unwrap();
        silent
    }

    pub fn hang_up(self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

fn status(head: &str) -> u16 {
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

/// The files that a list names, each once, in its order: init segments, segments, parts.
pub fn files(text: &str) -> Vec<String> {
    let (mut names, mut is_gap) = (Vec::<String>::new(), false);
    for line in text.lines() {
        // What is not there is not asked for.
        is_gap |= line == "#EXT-X-GAP";
        if is_gap {
            is_gap = line.starts_with('#');
            continue;
        }
        let quoted = line.split_once("URI=\"").and_then(|(_, rest)| rest.split_once('"'));
        let name = match quoted {
            Some((name, _)) if !line.starts_with("#EXT-X-PRELOAD") => name,
            None if !line.starts_with('#') && !line.is_empty() => line,
            _ => continue,
        };
        if !line.starts_with("#EXT-X-RENDITION") && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// The segments that a list names.
pub fn segments(text: &str) -> Vec<String> {
    let is_segment = |name: &String| matches!(File::parse(name), Some(File::Segment { .. }));
    files(text).into_iter().filter(is_segment).collect()
}

/// The part that a list hints at: its segment and its number there.
pub fn hinted(text: &str) -> Option<(u64, u32)> {
    let line = text.lines().find(|line| line.starts_with("#EXT-X-PRELOAD-HINT"))?;
    match File::parse(line.split('"').nth(1)?)? {
        File::Part { number, part, .. } => Some((number, part)),
        _ => None,
    }
}

/// A number that a tag says.
pub fn tag(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.parse().ok())
}

/// All of a list that somebody saw who followed it.
#[derive(Default)]
pub struct Followed {
    pub texts: Vec<String>,
    pub faults: Vec<Fault>,
    /// The segments in order, each with its bytes, init segments where they change.
    pub files: Vec<(String, Vec<u8>)>,
    /// Requests that waited too long.
    pub late: usize,
}

impl Followed {
    /// Segments that were listed, in order.
    pub fn segments(&self) -> usize {
        let is_segment = |name: &str| matches!(File::parse(name), Some(File::Segment { .. }));
        self.files.iter().filter(|(name, _)| is_segment(name)).count()
    }

    /// All bytes, as one file.
    pub fn bytes(&self) -> Vec<u8> {
        self.files.iter().flat_map(|(_, bytes)| bytes).copied().collect()
    }

    pub fn clean(self) -> Self {
        if let Some(Fault { rule, what }) = self.faults.first() {
            panic!("{rule:?}, and {} more: {what}", self.faults.len() - 1);
        }
        self
    }
}

/// Follows a list to its end as players do, in turn by waiting reloads, delta updates and plain ones,
/// fetches all its segments, and lints everything.
pub fn follow(weir: &Weir, name: &str, rendition: Rendition) -> JoinHandle<Followed> {
    let address = weir.http;
    let folder = format!("/{name}/");
    std::thread::spawn(move || {
        let mut client = Client::new(address);
        let mut linter = Linter::new();
        let mut followed = Followed::default();
        let list = format!("{folder}{}.m3u8", rendition.name());
        let mut next: Option<(u64, Option<u32>)> = None;
        for turn in 0.. {
            let query = match next {
                // A plain reload now and then; what it has is there already.
                None => String::new(),
                Some(_) if turn % 5 == 4 => String::new(),
                Some((msn, part)) => {
                    let part = part.map_or(String::new(), |part| format!("&_HLS_part={part}"));
                    let skip = if turn % 2 == 0 { "&_HLS_skip=YES" } else { "" };
                    format!("?_HLS_msn={msn}{part}{skip}")
                }
            };
            let answer = client.get(&format!("{list}{query}"));
            if answer.status == 503 {
                followed.late += 1;
                next = None;
                continue;
            }
            let text = answer.text();
            assert_eq!(answer.status, 200, "{list}{query}: {text}");
            for fault in linter.fetched(&text) {
                followed.faults.push(Fault { what: format!("{}\n{text}", fault.what), ..fault });
            }
            let is_file = |name: &String| !matches!(File::parse(name), Some(File::Part { .. }));
            for file in files(&text).into_iter().filter(is_file) {
                if !followed.files.iter().any(|(known, _)| *known == file) {
                    let bytes = client.body(&format!("{folder}{file}"));
                    followed.files.push((file, bytes));
                }
            }
            next = match hinted(&text) {
                Some((msn, part)) => Some((msn, Some(part))),
                None => segments(&text).last().and_then(|last| match File::parse(last) {
                    Some(File::Segment { number, .. }) => Some((number + 1, None)),
                    _ => None,
                }),
            };
            let is_over = text.contains("#EXT-X-ENDLIST");
            followed.texts.push(text);
            if is_over {
                return followed;
            }
        }
        unreachable!()
    })
}

/// Publishes so many pictures of a card, ten times as fast as they are shown.
pub fn stream(publisher: &mut Publisher, card: &mut Card, pictures: u64) -> Vec<Frame> {
    let frames = card.pictures(pictures);
    publish(publisher, &frames);
    frames
}

/// Publishes frames ten times as fast as they say, or as often as fast as `WEIR_SPEED` says.
pub fn publish(publisher: &mut Publisher, frames: &[Frame]) {
    let speed = std::env::var("WEIR_SPEED").map_or(10, |text| text.parse().expect("a number"));
    let began = std::time::Instant::now();
    let Some(first) = frames.iter().find(|frame| frame.kind != FrameKind::Config) else { return };
    for frame in frames {
        let due = Duration::from_micros(frame.dts.since(first.dts).max(0) as u64 / speed);
        std::thread::sleep(due.saturating_sub(began.elapsed()));
        publisher.send(frame);
    }
}

/// A stream of which so many pictures have come, its lists with all of that.
pub fn listed(weir: &Weir, name: &str, pictures: u64) -> (Publisher, Card) {
    let (mut publisher, mut card) = (weir.publish(name), Card::new(320, 240));
    // Segments are made of what comes from when somebody asks.
    let lists = ["video", "audio", "ts"].map(|list| {
        let mut client = Client::new(weir.http);
        client.ask("GET", &format!("/{name}/{list}.m3u8"), "");
        client
    });
    stream(&mut publisher, &mut card, pictures);
    for mut list in lists {
        assert_eq!(list.answer().status, 200);
    }
    (publisher, card)
}
