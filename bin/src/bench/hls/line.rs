//! A viewer's connection for one list.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use media::{Frame, FrameKind, Track};
use network::http::{
    BodyDecoder, BodyEvent, BodyFraming, HeadScan, HeaderSpace, Method, Parsed, ResponseHead, Url,
};
use network::{CloseReason, Connect, Connection, EventLoop, Handler};

use super::course::{Ask, Course, Next, What};
use super::master::{self, First};
use crate::bench::check::Checker;
use crate::bench::crowd::{Crowd, Ending, Role};
use crate::bench::demux::Demux;
use crate::bench::dialogue::{Trouble, append_request, check_status};
use crate::bench::target::Container;

/// The timer that ends a viewer to whom no media has come.
const JOINED_BY_NOW: u32 = 1;
/// The timer of the next request.
const ASK: u32 = 2;
/// Longest playlist that is read.
const TEXT: usize = 1 << 20;
/// The pause after an answer that was none.
const REFUSED: Duration = Duration::from_millis(500);
/// Refusals in a row that end a viewer.
const REFUSALS: u32 = 6;

/// What the connections of one viewer share.
pub struct Viewer {
    /// The thread's players.
    pub crowd: Rc<Crowd>,
    /// Its place among them.
    pub number: usize,
    /// What it is for.
    pub role: Role,
    /// Host and port for requests.
    pub authority: String,
    /// Whether it follows parts.
    pub low_latency: bool,
    /// How long it may take to get media.
    pub within: Duration,
    /// How its connections are made.
    pub connect: Box<dyn Fn() -> Connect>,
    /// What looks at everything, for those who do.
    pub checker: RefCell<Option<Box<Checker>>>,
    joined: Cell<bool>,
    measured: Cell<bool>,
    over: Cell<bool>,
}

impl Viewer {
    /// A viewer that has not called yet.
    pub fn new(
        (crowd, number, role): (Rc<Crowd>, usize, Role),
        authority: &str,
        (low_latency, within): (bool, Duration),
        connect: Box<dyn Fn() -> Connect>,
        checker: Option<Box<Checker>>,
    ) -> Rc<Self> {
        Rc::new(Self {
            crowd,
            number,
            role,
            authority: authority.to_owned(),
            low_latency,
            within,
            connect,
            checker: RefCell::new(checker),
            joined: Cell::new(false),
            measured: Cell::new(false),
            over: Cell::new(false),
        })
    }

    fn joined(&self) {
        if !self.joined.replace(true) {
            self.crowd.joined(self.number, self.crowd.clock.micros());
        }
    }

    fn saw(&self, frame: &Frame, now: i64) {
        let mut checker = self.checker.borrow_mut();
        let Some(checker) = checker.as_mut() else { return };
        if let Some(from) = self.crowd.measured_from().filter(|_| !self.measured.get()) {
            self.measured.set(true);
            checker.playback.count_anew(from);
        }
        let age = checker.frame(frame, now);
        if let Some(age) = age.filter(|_| self.role == Role::Sample) {
            self.crowd.saw(self.number, now, age);
        }
        let first_key = checker.first_key;
        self.crowd.change(self.number, |record| record.first_key = first_key);
        if frame.track != Track::Data && frame.kind != FrameKind::Config {
            self.joined();
        }
    }

    /// The viewer is gone, for all of its connections. The first that says so knows why.
    fn end(&self, why: Ending) {
        self.over.set(true);
        self.crowd.end(self.number, why);
        if let Some(checker) = self.checker.borrow_mut().take() {
            self.crowd.keep(self.role, checker);
        }
    }
}

/// Calls the server, to begin with the playlist at `path`.
pub fn begin(el: &mut EventLoop, viewer: &Rc<Viewer>, path: &str) {
    let base = format!("http://{}{path}", viewer.authority).parse::<Url>();
    match base {
        Ok(base) => call(el, viewer, base, None),
        Err(error) => viewer.end(Ending::Troubled(error.to_string())),
    }
}

/// A connection that begins with the master playlist, or follows a list.
fn call(el: &mut EventLoop, viewer: &Rc<Viewer>, base: Url, course: Option<Course>) {
    let (viewer, failed) = (Rc::clone(viewer), Rc::clone(viewer));
    el.connect((viewer.connect)(), move |_, outcome| match outcome {
        Ok(_) => Some(Box::new(Line {
            viewer,
            base,
            course,
            under_way: None,
            asked: Instant::now(),
            scan: HeadScan::default(),
            body: None,
            left: None,
            text: Vec::new(),
            demux: None,
            refusals: 0,
            counted: [0; 2],
            body_bytes: 0,
        })),
        Err(error) => {
            failed.end(Ending::Troubled(error.to_string()));
            None
        }
    });
}

struct Line {
    viewer: Rc<Viewer>,
    /// What names in lists are relative to.
    base: Url,
    /// Nothing before the master playlist.
    course: Option<Course>,
    under_way: Option<What>,
    asked: Instant,
    scan: HeadScan,
    /// What reads the body, and the answer's status where it is not 200.
    body: Option<(BodyDecoder, Option<Trouble>)>,
    /// Bytes of the body that the kernel has still to throw away.
    left: Option<u64>,
    text: Vec<u8>,
    demux: Option<Demux>,
    refusals: u32,
    /// Bytes received and sent that are in the viewer's record.
    counted: [u64; 2],
    body_bytes: u64,
}

impl Line {
    fn fail(&mut self, conn: &mut Connection, why: String) {
        self.viewer.end(Ending::Troubled(why));
        conn.close_now();
    }

    /// Has the viewer's record say what came and went.
    fn count(&mut self, conn: &Connection) {
        let now = self.viewer.crowd.clock.micros();
        let [received, sent] = std::mem::replace(&mut self.counted, [conn.received(), conn.sent()]);
        self.viewer.crowd.change(self.viewer.number, |record| {
            record.first_byte.get_or_insert(now);
        });
        let (received, sent) = (conn.received() - received, conn.sent() - sent);
        self.viewer.crowd.moved_by(self.viewer.number, received, sent);
    }

    fn ask(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        if self.viewer.over.get() {
            return conn.close_now();
        }
        let now = Instant::now();
        let ask = match &mut self.course {
            None => Ask { what: What::List, uri: self.base.target().to_owned() },
            Some(course) => match course.next(now) {
                Next::Ask(ask) => ask,
                Next::Wait(until) => {
                    conn.start_timer(el, until.saturating_duration_since(now), ASK);
                    return;
                }
                Next::Over => return self.fail(conn, Trouble::Ended.to_string()),
            },
        };
        let url = match self.base.join(&ask.uri) {
            Ok(url) if url.origin() == self.base.origin() => url,
            Ok(url) => return self.fail(conn, format!("{url} is another server's")),
            Err(error) => return self.fail(conn, error.to_string()),
        };
        self.under_way = Some(ask.what);
        (self.asked, self.scan, self.body, self.left) = (now, HeadScan::default(), None, None);
        (self.body_bytes, self.text) = (0, Vec::new());
        conn.compose(|out| append_request(&self.viewer.authority, url.target(), out));
    }

    /// Reads what there is of an answer. Returns the bytes done with, and whether it is whole.
    fn hear(&mut self, conn: &mut Connection, input: &[u8]) -> Result<(usize, bool), Trouble> {
        let mut done = 0;
        if self.body.is_none() {
            let mut space = HeaderSpace::new();
            match ResponseHead::parse(input, Method::Get, &mut self.scan, &mut space)? {
                Parsed::Incomplete => return Ok((0, false)),
                Parsed::Complete { head, len } => {
                    let refused = check_status(&head).err();
                    if let BodyFraming::Length(len) = head.framing {
                        self.left = Some(len);
                    }
                    self.body = Some((BodyDecoder::new(head.framing, u64::MAX)?, refused));
                    done = len;
                }
            }
        }
        let is_bulk = self.viewer.role == Role::Bulk;
        loop {
            let Some((body, refused)) = &mut self.body else { return Ok((done, false)) };
            let step = body.decode(input.get(done..).unwrap_or_default())?;
            done += step.consumed;
            let data = match step.event {
                BodyEvent::Data(data) => data,
                BodyEvent::End => return Ok((done, true)),
                BodyEvent::NeedMore => {
                    // What nobody looks at need not be copied, if it is known where it ends.
                    if let (true, Some(What::Media(_)), Some(left)) =
                        (is_bulk, &self.under_way, self.left)
                        && done == input.len()
                        && !conn.discard_next(left)
                    {
                        self.left = None;
                    }
                    return Ok((done, false));
                }
            };
            let len = data.len() as u64;
            self.body_bytes += len;
            self.left = self.left.map(|left| left.saturating_sub(len));
            if refused.is_some() {
                continue;
            }
            match self.under_way {
                Some(What::List) => {
                    self.text.extend_from_slice(data);
                    if self.text.len() > TEXT {
                        return Err(Trouble::Playlist("it is longer than playlists are".into()));
                    }
                }
                Some(What::Init | What::Media(_)) if !is_bulk => self.check(data)?,
                _ => {}
            }
        }
    }

    /// Looks at media of the sample.
    fn check(&mut self, data: &[u8]) -> Result<(), Trouble> {
        let (viewer, now) = (&self.viewer, self.viewer.crowd.clock.micros());
        let is_init = self.under_way == Some(What::Init);
        let demux = self.demux.get_or_insert_with(|| {
            let container = if is_init { Container::Mp4 } else { Container::Ts };
            if let Some(checker) = viewer.checker.borrow_mut().as_mut() {
                checker.compare_only_slices(container == Container::Ts);
            }
            Demux::new(container)
        });
        Ok(demux.receive(data, &mut |frame| viewer.saw(frame, now))?)
    }

    /// An answer is whole.
    fn answered(&mut self, el: &mut EventLoop) -> Result<(), Trouble> {
        let (what, now) = (self.under_way.take(), Instant::now());
        let refused = self.body.take().and_then(|(_, refused)| refused);
        let bytes = self.body_bytes;
        if let Some(why) = refused {
            self.refusals += 1;
            let told = format!("{}: {why}", what.as_ref().map_or("", What::name));
            self.viewer.crowd.asked(|requests| {
                requests.failed += 1;
                requests.reasons.add(&told);
            });
            if !self.viewer.joined.get() || self.refusals > REFUSALS {
                return Err(why);
            }
            if let Some(course) = &mut self.course {
                course.refused(now, REFUSED);
            }
            return Ok(());
        }
        self.refusals = 0;
        match what {
            Some(What::List) => {
                self.viewer.crowd.asked(|requests| {
                    requests.lists += 1;
                    requests.list_bytes += bytes;
                });
                let text = String::from_utf8(std::mem::take(&mut self.text))
                    .map_err(|_| Trouble::Playlist("it is not UTF-8".into()))?;
                match &mut self.course {
                    None => self.choose(el, &text),
                    Some(course) => {
                        let missed = course.missed;
                        course.listed(&text, self.asked).map_err(Trouble::Playlist)?;
                        let (lump, missed) = (course.lump, course.missed - missed);
                        self.viewer.crowd.asked(|requests| requests.missed += missed);
                        self.viewer.crowd.change(self.viewer.number, |record| record.lump = lump);
                        Ok(())
                    }
                }
            }
            Some(what) => {
                let mut late = 0;
                if let (What::Media(duration), Some(course)) = (what, &mut self.course) {
                    let before = course.late;
                    course.whole(duration, now);
                    late = course.late - before;
                    if self.viewer.role == Role::Bulk {
                        self.viewer.joined();
                    }
                }
                self.viewer.crowd.asked(|requests| {
                    requests.files += 1;
                    requests.file_bytes += bytes;
                    requests.late += late;
                });
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The first playlist says which lists there are: this connection follows the first, another one the
    /// second.
    fn choose(&mut self, el: &mut EventLoop, text: &str) -> Result<(), Trouble> {
        let low_latency = self.viewer.low_latency;
        let no_list = || Trouble::Playlist("it is no master playlist".into());
        let lists = match master::read(text).ok_or_else(no_list)? {
            First::Media => {
                let mut course = Course::new(self.base.target().to_owned(), low_latency);
                course.listed(text, self.asked).map_err(Trouble::Playlist)?;
                self.course = Some(course);
                return Ok(());
            }
            First::Lists(lists) => lists,
        };
        let master = self.base.clone();
        for (place, list) in lists.iter().enumerate() {
            let url = master.join(list);
            let url = url.map_err(|error| Trouble::Playlist(error.to_string()))?;
            if url.origin() != master.origin() {
                return Err(Trouble::Playlist(format!("{url} is another server's")));
            }
            let course = Course::new(url.target().to_owned(), low_latency);
            if place == 0 {
                (self.base, self.course) = (url, Some(course));
            } else {
                call(el, &self.viewer, url, Some(course));
            }
        }
        Ok(())
    }

    /// Goes on after an answer. A probe leaves with its keyframe.
    fn go_on(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        if let Err(trouble) = self.answered(el) {
            return self.fail(conn, trouble.to_string());
        }
        let checker = self.viewer.checker.borrow();
        let has_key = checker.as_ref().is_some_and(|checker| checker.first_key.is_some());
        drop(checker);
        if self.viewer.role == Role::Probe && has_key {
            self.viewer.end(Ending::Left);
        }
        self.ask(conn, el);
    }
}

impl Handler for Line {
    fn opened(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        self.viewer.crowd.opened(self.viewer.number, conn.id());
        conn.start_timer(el, self.viewer.within, JOINED_BY_NOW);
        self.ask(conn, el);
    }

    fn received(&mut self, conn: &mut Connection, el: &mut EventLoop, input: &[u8]) -> usize {
        self.count(conn);
        let mut done = 0;
        while self.under_way.is_some() && done < input.len() {
            match self.hear(conn, input.get(done..).unwrap_or_default()) {
                Ok((taken, true)) => {
                    done += taken;
                    self.go_on(conn, el);
                }
                Ok((taken, false)) => return done + taken,
                Err(trouble) => {
                    self.fail(conn, trouble.to_string());
                    break;
                }
            }
        }
        if done < input.len() && self.under_way.is_none() {
            self.fail(conn, "the server says more than it was asked".into());
        }
        input.len()
    }

    fn discarded(&mut self, conn: &mut Connection, el: &mut EventLoop, bytes: usize) {
        self.count(conn);
        self.body_bytes += bytes as u64;
        self.left = self.left.map(|left| left.saturating_sub(bytes as u64));
        if self.left == Some(0) {
            self.go_on(conn, el);
        }
    }

    fn timer(&mut self, conn: &mut Connection, el: &mut EventLoop, key: u32) {
        if key == ASK {
            if self.under_way.is_none() {
                self.ask(conn, el);
            }
        } else if !self.viewer.joined.get() {
            let what = match self.under_way {
                Some(What::List) => "for the answer to the request for a playlist",
                Some(_) => "for a segment or part",
                None => "for something in the playlist",
            };
            let why = format!("the server is silent: waited {:?} {what}", self.viewer.within);
            self.fail(conn, why);
        }
    }

    fn closed(&mut self, conn: &mut Connection, _: &mut EventLoop, reason: &CloseReason) {
        self.count(conn);
        self.viewer.end(Ending::Closed(reason.to_string()));
    }
}
