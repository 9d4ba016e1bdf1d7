//! Asks the API over and over, reads its events, and has what it knows shown.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::io::Write;
use std::rc::Rc;
use std::time::{Duration, Instant};

use network::http::{
    Client, ClientCause, ClientError, ClientOptions, ClientRequest, ClientResponse, Incoming,
    ResponseHandler, ResponseHead, StatusCode, Url,
};
use network::tls::TlsClient;
use network::{EventLoop, Handler, SIGHUP, SIGINT, SIGTERM};
use serde_json::Value;

use super::Args;
use super::frame::{Known, Paper, draw};
use super::terminal::Terminal;

/// What is asked: the server, its streams, its players. A page more is never shown.
const QUESTIONS: [&str; 3] = [
    "/api/v1/summary",
    "/api/v1/streams?sort=health&limit=100",
    "/api/v1/clients?type=play&sort=lag&limit=40",
];
/// Events that are remembered.
const EVENTS: usize = 200;
/// An id of no run of the server: whoever comes with it is told all that is kept.
const FROM_THE_BEGINNING: &str = "0-0";
/// How long events are waited for where one frame is printed.
const EVENTS_WITHIN: Duration = Duration::from_millis(300);
/// A server that is busy answers later than this only when something is wrong.
const ANSWER_WITHIN: Duration = Duration::from_secs(8);
const COME_BACK: Duration = Duration::from_secs(2);
/// One event is some hundred bytes; a server that sends more without an end of it is none of ours.
const EVENT_BYTES: usize = 1 << 20;

struct Top {
    client: Rc<Client>,
    url: Url,
    token: Option<String>,
    every: Duration,
    /// Somebody looks; else one frame is printed.
    is_seen: bool,
    terminal: RefCell<Option<Terminal>>,
    known: RefCell<Known>,
    /// Questions of this round without an answer yet.
    missing: Cell<usize>,
    last_event: RefCell<String>,
    /// Why it ends without having shown anything.
    failed: RefCell<Option<String>>,
}

/// Runs until somebody leaves, or the server does not answer the first time.
pub fn run(args: &Args, is_seen: bool) -> Result<(), Box<dyn Error>> {
    let tls = if args.url.is_https() { Some(TlsClient::system()?) } else { None };
    let options = ClientOptions { tls, total_within: ANSWER_WITHIN, ..ClientOptions::default() };
    let top = Rc::new(Top {
        client: Client::new(options),
        url: args.url.clone(),
        token: args.token.clone(),
        every: args.every,
        is_seen,
        terminal: RefCell::default(),
        known: RefCell::new(Known { host: host_of(&args.url), ..Known::default() }),
        missing: Cell::new(0),
        last_event: RefCell::new(FROM_THE_BEGINNING.to_owned()),
        failed: RefCell::default(),
    });
    let mut el = EventLoop::new()?;
    el.on_signals(&[SIGINT, SIGTERM, SIGHUP], |el, _| el.stop())?;
    top.look(&mut el);
    el.run();
    // The terminal is given back before anything is said.
    drop(top.terminal.take());
    match top.failed.take() {
        Some(why) => Err(why.into()),
        None => Ok(()),
    }
}

/// The host of a URL as it stands in one.
fn host_of(url: &Url) -> String {
    let host = url.host();
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

impl Top {
    fn request(&self, target: &str) -> Result<ClientRequest, String> {
        let url = self.url.join(target).map_err(|error| error.to_string())?;
        let request = ClientRequest::get(url);
        Ok(match &self.token {
            Some(token) => request.header("Authorization", format!("Bearer {token}")),
            None => request,
        })
    }

    /// One round of questions.
    fn look(self: &Rc<Self>, el: &mut EventLoop) {
        self.missing.set(QUESTIONS.len());
        self.known.borrow_mut().trouble = None;
        for (place, target) in QUESTIONS.iter().enumerate() {
            let top = Rc::clone(self);
            match self.request(target) {
                Ok(request) => {
                    self.client.fetch(el, request, move |el, answer| {
                        top.answered(el, place, answer.map_err(|error| unanswered(&error)));
                    });
                }
                Err(why) => self.answered(el, place, Err(why)),
            }
        }
    }

    fn answered(
        self: &Rc<Self>,
        el: &mut EventLoop,
        place: usize,
        answer: Result<ClientResponse, String>,
    ) {
        let told = answer.and_then(|answer| read(&answer, self.token.is_some()));
        let mut known = self.known.borrow_mut();
        match (told, place) {
            (Ok(told), 0) => {
                known.summary = told;
                known.note_flow(Instant::now());
            }
            (Ok(told), 1) => known.streams = told,
            (Ok(told), _) => known.clients = told,
            (Err(why), _) => known.trouble = Some(why),
        }
        drop(known);
        self.missing.set(self.missing.get().saturating_sub(1));
        if self.missing.get() == 0 {
            self.round_is_over(el);
        }
    }

    fn round_is_over(self: &Rc<Self>, el: &mut EventLoop) {
        let is_first = self.terminal.borrow().is_none();
        if is_first {
            if let Some(why) = self.known.borrow_mut().trouble.take() {
                return self.end(el, why);
            }
            self.listen(el);
            if !self.is_seen {
                let top = Rc::clone(self);
                el.after(EVENTS_WITHIN, move |el| {
                    top.print();
                    el.stop();
                });
                return;
            }
            match Terminal::take(el.handle()) {
                Ok(terminal) => drop(self.terminal.borrow_mut().replace(terminal)),
                Err(error) => return self.end(el, format!("the terminal: {error}")),
            }
        }
        if let Some(terminal) = &*self.terminal.borrow() {
            let has_colours = std::env::var_os("NO_COLOR").is_none();
            let paper = Paper { size: Some(terminal.size()), has_colours };
            if let Err(error) = terminal.show(&draw(&self.known.borrow(), paper)) {
                return self.end(el, format!("the terminal: {error}"));
            }
        }
        let top = Rc::clone(self);
        el.after(self.every, move |el| top.look(el));
    }

    fn end(&self, el: &mut EventLoop, why: String) {
        *self.failed.borrow_mut() = Some(why);
        el.stop();
    }

    fn print(&self) {
        let lines = draw(&self.known.borrow(), Paper { size: None, has_colours: false });
        let text: String = lines.iter().map(|line| format!("{}\n", line.trim_end())).collect();
        // Whoever reads it may have seen enough, as `head` has.
        let _ = std::io::stdout().write_all(text.as_bytes());
    }

    fn listen(self: &Rc<Self>, el: &mut EventLoop) {
        let Ok(request) = self.request("/api/v1/events") else { return };
        let request = request.header("Last-Event-ID", self.last_event.borrow().as_str());
        let listener = Listener { top: Rc::clone(self), rest: Vec::new(), is_good: false };
        self.client.stream(el, request, Box::new(listener));
    }

    fn heard(&self, line: &[u8]) {
        let Ok(line) = std::str::from_utf8(line) else { return };
        if let Some(id) = line.strip_prefix("id: ") {
            id.clone_into(&mut self.last_event.borrow_mut());
        } else if let Some(Ok(event)) = line.strip_prefix("data: ").map(serde_json::from_str) {
            let events = &mut self.known.borrow_mut().events;
            events.push_back(event);
            if events.len() > EVENTS {
                events.pop_front();
            }
        }
    }
}

/// Why there is no answer, and what to look at.
fn unanswered(error: &ClientError) -> String {
    match &error.cause {
        ClientCause::Connect(why) => {
            format!("{} is not there: {why}; does weir serve run?", error.url.authority())
        }
        _ => error.to_string(),
    }
}

/// The answer, or why it is none, with what to do about it.
fn read(answer: &ClientResponse, has_token: bool) -> Result<Value, String> {
    let told: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let words = told.as_ref().and_then(|told| told["message"].as_str()).unwrap_or_default();
    match (answer.status, &told) {
        (StatusCode::OK, Some(told)) if told["code"] == 0 => Ok(told.clone()),
        (StatusCode::UNAUTHORIZED, _) if has_token => {
            Err(format!("{} refuses the token: {words}", answer.url.authority()))
        }
        (StatusCode::UNAUTHORIZED, _) => {
            let who = answer.url.authority();
            Err(format!("{who} wants its token: give it with --token, or as WEIR_TOKEN"))
        }
        (StatusCode::FORBIDDEN, _) => Err(format!("{} refuses: {words}", answer.url.authority())),
        (status, _) if words.is_empty() => {
            let who = answer.url.authority();
            Err(format!("{who} is no Weir with an API: it answers {}", status.as_u16()))
        }
        (status, _) => {
            Err(format!("{} answers {}: {words}", answer.url.authority(), status.as_u16()))
        }
    }
}

/// Reads the event stream, and comes back when it ends.
struct Listener {
    top: Rc<Top>,
    rest: Vec<u8>,
    is_good: bool,
}

impl ResponseHandler for Listener {
    fn head(
        &mut self,
        _: &mut Incoming<'_>,
        _: &mut EventLoop,
        head: &ResponseHead<'_>,
    ) -> Option<Box<dyn Handler>> {
        self.is_good = head.status == StatusCode::OK;
        None
    }

    fn data(&mut self, from: &mut Incoming<'_>, el: &mut EventLoop, data: &[u8]) {
        if !self.is_good {
            return;
        }
        self.rest.extend_from_slice(data);
        let mut done = 0;
        for line in self.rest.split_inclusive(|byte| *byte == b'\n') {
            let Some(line_alone) = line.strip_suffix(b"\n") else { break };
            self.top.heard(line_alone);
            done += line.len();
        }
        self.rest.drain(..done);
        if self.rest.len() > EVENT_BYTES {
            from.cancel(el);
        }
    }

    fn end(self: Box<Self>, el: &mut EventLoop, _: Result<(), ClientError>) {
        // The next round of questions says whether the server is there.
        let top = self.top;
        el.after(COME_BACK, move |el| top.listen(el));
    }
}
