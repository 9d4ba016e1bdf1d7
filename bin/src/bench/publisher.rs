//! Publishers: test cards over RTMP, on a thread of their own.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use media::container::flv::Header;
use media::protocol::rtmp::amf0::{self, Object, Value};
use media::protocol::rtmp::client::{ClientConfig, ClientSession, Event, Purpose};
use media::protocol::rtmp::server::PublishKind;
use media::testcard::{self, AudioOptions, TestCard};
use network::{CloseReason, Connect, Connection, Endpoint, EventLoop, Handle, Handler, Options};
use serde_json::{Value as Json, json};

use super::clock::Clock;
use super::distribution::Distribution;
use super::ledger::Ledger;
use super::target::Target;

/// The timer of the next frame.
const FRAME: u32 = 1;
/// The timer that ends a publisher the server does not let begin.
const STARTED_BY_NOW: u32 = 2;
/// How often a publisher that pauses looks whether it may go on.
const PAUSED: Duration = Duration::from_millis(20);
/// A server that leaves so much unread does not keep up; the publisher ends.
const UNREAD: usize = 8 * 1024 * 1024;
/// What the sound of a stream takes of its bit rate.
const SOUND: u64 = 128_000;

/// What is published.
#[derive(Clone, Debug)]
pub struct Streams {
    /// Where, over RTMP.
    pub target: Target,
    /// How many.
    pub count: usize,
    /// Bits per second of payload of one, sound included.
    pub rate: f64,
    /// Pictures a second.
    pub fps: u32,
    /// Seconds from one keyframe to the next.
    pub gop: f64,
    /// How long the server may take to let one begin.
    pub within: Duration,
    /// This side's addresses, where they are chosen.
    pub from: Vec<IpAddr>,
}

impl Streams {
    /// Test card number `index`.
    pub fn card(&self, index: usize) -> Result<TestCard, testcard::OptionsError> {
        let rate = self.rate as u64;
        // A stream too thin for sound has none.
        let audio = (rate > 2 * SOUND).then(AudioOptions::default);
        TestCard::new(testcard::Options {
            width: 640,
            height: 360,
            fps_num: self.fps,
            fps_den: 1,
            gop_frames: ((f64::from(self.fps) * self.gop).round() as u32).max(1),
            video_bitrate: rate - if audio.is_some() { SOUND } else { 0 },
            audio,
            stream_index: index as u32,
            ..testcard::Options::default()
        })
    }
}

/// What the thread tells.
enum Word {
    Started,
    Failed(usize, String),
    Done(Box<Tally>),
}

/// What came of all publishers.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// How many there were to be.
    pub asked: usize,
    /// Those that ended before their time, and why.
    pub dead: BTreeMap<usize, String>,
    /// Frames handed over.
    pub frames: u64,
    /// Bytes handed to their connections.
    pub bytes: u64,
    /// How late frames were, against the time they were due: of late publishers, all figures are
    /// worthless.
    pub lateness: Distribution,
}

impl Tally {
    /// For reports.
    pub fn json(&self) -> Json {
        let dead: Vec<Json> =
            self.dead.iter().map(|(stream, why)| json!({"stream": stream, "why": why})).collect();
        json!({
            "asked": self.asked,
            "dead": dead,
            "frames": self.frames,
            "bytes": self.bytes,
            "late_ms": self.lateness.millis(),
        })
    }
}

/// Publishers at work. Ended by [`Publishers::finish`], or when dropped.
pub struct Publishers {
    handle: Handle,
    words: Receiver<Word>,
    asked: usize,
    sent: Arc<AtomicU64>,
    paused: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
    /// Those that have failed so far.
    pub dead: BTreeMap<usize, String>,
}

impl Publishers {
    /// Starts the thread and waits until the server has let every publisher begin.
    pub fn start(
        streams: &Streams,
        clock: Clock,
        ledger: Arc<Ledger>,
        cancelled: &mut dyn FnMut() -> bool,
    ) -> Result<Self, String> {
        let cards: Vec<TestCard> = (0..streams.count)
            .map(|index| streams.card(index))
            .collect::<Result<_, _>>()
            .map_err(|error| error.to_string())?;
        let (tell, words) = channel();
        let (told, hear) = channel();
        let plan = streams.clone();
        let sent = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&sent);
        let paused = Arc::new(AtomicBool::new(false));
        let pauses = Arc::clone(&paused);
        let thread = std::thread::Builder::new()
            .name("publish".into())
            .spawn(move || match EventLoop::new() {
                Ok(el) => {
                    let _ = told.send(Ok(el.handle()));
                    work(el, &plan, cards, (clock, ledger, counted, pauses), &tell);
                }
                Err(error) => drop(told.send(Err(error.to_string()))),
            })
            .map_err(|error| error.to_string())?;
        let handle = hear.recv().map_err(|error| error.to_string())??;
        let asked = streams.count;
        let mut publishers = Self {
            handle,
            words,
            asked,
            sent,
            paused,
            thread: Some(thread),
            dead: BTreeMap::new(),
        };
        publishers.wait(streams, cancelled)?;
        Ok(publishers)
    }

    fn wait(
        &mut self,
        streams: &Streams,
        cancelled: &mut dyn FnMut() -> bool,
    ) -> Result<(), String> {
        let patience = streams.within + Duration::from_millis(20) * streams.count as u32;
        let until = Instant::now() + patience;
        let mut started = 0;
        while started < streams.count {
            let left = until.saturating_duration_since(Instant::now());
            match self.words.recv_timeout(left.min(Duration::from_millis(50))) {
                Ok(Word::Started) => started += 1,
                Ok(Word::Failed(stream, why)) => {
                    let url = streams.target.rtmp_url(stream);
                    return Err(format!("cannot publish {url}: {why}"));
                }
                Ok(Word::Done(_)) | Err(RecvTimeoutError::Disconnected) => {
                    return Err("the publishers ended".into());
                }
                Err(RecvTimeoutError::Timeout) if cancelled() => {
                    return Err("interrupted while publishers began".into());
                }
                Err(RecvTimeoutError::Timeout) if left.is_zero() => {
                    return Err(format!(
                        "the server let {started} of {} publishers begin within {patience:?}",
                        streams.count
                    ));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        Ok(())
    }

    /// Bytes handed to their connections so far.
    pub fn sent(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.sent)
    }

    /// Has all of them send nothing, or go on as if no time had passed.
    pub fn pause(&self, pause: bool) {
        self.paused.store(pause, Ordering::Relaxed);
    }

    /// Looks whether one has ended since.
    pub fn look(&mut self) {
        while let Ok(word) = self.words.try_recv() {
            if let Word::Failed(stream, why) = word {
                self.dead.insert(stream, why);
            }
        }
    }

    /// Ends them as encoders do, and says what came of them.
    pub fn finish(mut self) -> Tally {
        let _ = self.handle.post(|el| el.drain(Duration::from_secs(1)));
        let until = Instant::now() + Duration::from_secs(3);
        let mut tally = Tally::default();
        loop {
            match self.words.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Word::Failed(stream, why)) => drop(self.dead.insert(stream, why)),
                Ok(Word::Started) => {}
                Ok(Word::Done(done)) => {
                    tally = *done;
                    break;
                }
                Err(_) => break,
            }
        }
        tally.asked = self.asked;
        tally.dead = std::mem::take(&mut self.dead);
        tally
    }
}

impl Drop for Publishers {
    fn drop(&mut self) {
        let _ = self.handle.post(EventLoop::stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the publishers of the thread share.
struct Shared {
    clock: Clock,
    ledger: Arc<Ledger>,
    sent: Arc<AtomicU64>,
    paused: Arc<AtomicBool>,
    words: Sender<Word>,
    tally: RefCell<Tally>,
    within: Duration,
}

fn work(
    mut el: EventLoop,
    streams: &Streams,
    cards: Vec<TestCard>,
    (clock, ledger, sent, paused): (Clock, Arc<Ledger>, Arc<AtomicU64>, Arc<AtomicBool>),
    words: &Sender<Word>,
) {
    let shared = Rc::new(Shared {
        clock,
        ledger,
        sent,
        paused,
        words: words.clone(),
        tally: RefCell::default(),
        within: streams.within,
    });
    for (index, card) in cards.into_iter().enumerate() {
        let url = streams.target.rtmp_url(index);
        let purpose = Purpose::Publish(PublishKind::Live);
        let Some(config) = ClientConfig::from_url(&url, purpose) else {
            let why = "the URL names no app and stream: rtmp://HOST/APP/NAME";
            let _ = words.send(Word::Failed(index, why.into()));
            continue;
        };
        let options = Options { queue_at_most: UNREAD, ..Options::default() };
        let to = Endpoint::Ip(streams.target.address);
        let mut connect = Connect::to(to).timeout(streams.within).options(options);
        if let Some(from) = streams.from.get(index % streams.from.len().max(1)) {
            connect = connect.from(SocketAddr::new(*from, 0));
        }
        let session = ClientSession::new(config, el.random());
        // Their keyframes do not fall together.
        let delay = Duration::from_secs_f64(streams.gop * index as f64 / streams.count as f64);
        let publisher = Publisher {
            index,
            card,
            session,
            delay,
            origin: None,
            over: false,
            shared: Rc::clone(&shared),
        };
        let failed = Rc::clone(&shared);
        el.connect(connect, move |_, outcome| match outcome {
            Ok(_) => Some(Box::new(publisher)),
            Err(error) => {
                let _ = failed.words.send(Word::Failed(index, error.to_string()));
                None
            }
        });
    }
    el.run();
    let tally = std::mem::take(&mut *shared.tally.borrow_mut());
    let _ = words.send(Word::Done(Box::new(tally)));
}

struct Publisher {
    index: usize,
    card: TestCard,
    session: ClientSession,
    delay: Duration,
    /// When its first frame was due.
    origin: Option<Instant>,
    over: bool,
    shared: Rc<Shared>,
}

impl Publisher {
    fn fail(&mut self, conn: &mut Connection, why: String) {
        if !std::mem::replace(&mut self.over, true) {
            let _ = self.shared.words.send(Word::Failed(self.index, why));
        }
        conn.close_now();
    }

    fn flush(&mut self, conn: &mut Connection) {
        let (session, sent) = (&mut self.session, &self.shared.sent);
        conn.compose(|out| {
            let before = out.len();
            session.take_output(out);
            sent.fetch_add((out.len() - before) as u64, Ordering::Relaxed);
        });
    }

    fn metadata(&self) -> Vec<u8> {
        let fields = self.card.metadata();
        let object = fields.iter().fold(Object::default(), |o, (name, value)| o.with(name, *value));
        let mut payload = Vec::new();
        amf0::emit_string("onMetaData", &mut payload);
        Value::Object(object).emit(&mut payload);
        payload
    }

    fn begin(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        let metadata = self.metadata();
        if let Err(error) = self.session.send_metadata(0, &metadata) {
            return self.fail(conn, error.to_string());
        }
        let _ = self.shared.words.send(Word::Started);
        self.origin = Some(Instant::now() + self.delay);
        conn.start_timer(el, self.delay, FRAME);
    }

    /// Sends every frame that is due, and waits for the next.
    fn go_on(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        let Some(origin) = self.origin.filter(|_| !self.over) else { return };
        if self.shared.paused.load(Ordering::Relaxed) {
            self.origin = Some(origin + PAUSED);
            conn.start_timer(el, PAUSED, FRAME);
            return;
        }
        loop {
            let due = origin + Duration::from_micros(self.card.due().0.unsigned_abs());
            let now = Instant::now();
            if let Some(wait) = due.checked_duration_since(now).filter(|wait| !wait.is_zero()) {
                conn.start_timer(el, wait, FRAME);
                break;
            }
            let made = self.shared.clock.micros();
            let frame = self.card.next(made);
            self.shared.ledger.enter(self.index, &frame, made);
            let Some(header) = Header::of(&frame) else { continue };
            let parts = [header.as_slice(), &frame.payload];
            let sent = self.session.send_media(frame.track, frame.dts.millis(), &parts);
            if let Err(error) = sent {
                return self.fail(conn, error.to_string());
            }
            let mut tally = self.shared.tally.borrow_mut();
            tally.frames += 1;
            tally.lateness.record((now - due).as_micros() as u64);
        }
        self.flush(conn);
    }
}

impl Handler for Publisher {
    fn opened(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        self.flush(conn);
        conn.start_timer(el, self.shared.within, STARTED_BY_NOW);
    }

    fn received(&mut self, conn: &mut Connection, el: &mut EventLoop, input: &[u8]) -> usize {
        if let Err(error) = self.session.receive(input) {
            self.fail(conn, error.to_string());
            return input.len();
        }
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Started => self.begin(conn, el),
                Event::Refused { code, description } | Event::Ended { code, description } => {
                    self.fail(conn, format!("the server says {code}: {description}"));
                }
                _ => {}
            }
        }
        self.flush(conn);
        input.len()
    }

    fn timer(&mut self, conn: &mut Connection, el: &mut EventLoop, key: u32) {
        match key {
            FRAME => self.go_on(conn, el),
            _ if self.origin.is_none() => {
                let why =
                    format!("the server is silent for {:?} after connecting", self.shared.within);
                self.fail(conn, why);
            }
            _ => {}
        }
    }

    fn drain(&mut self, conn: &mut Connection, _: &mut EventLoop) {
        self.over = true;
        self.session.finish();
        self.flush(conn);
        conn.close();
    }

    fn closed(&mut self, conn: &mut Connection, _: &mut EventLoop, reason: &CloseReason) {
        self.shared.tally.borrow_mut().bytes += conn.sent();
        if !std::mem::replace(&mut self.over, true) && !matches!(reason, CloseReason::LoopEnded) {
            let _ = self.shared.words.send(Word::Failed(self.index, reason.to_string()));
        }
    }
}
