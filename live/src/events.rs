//! What happens, told to whoever listens: publish, unpublish, play, stop, skips, certificates read again.
//!
//! ```text
//!   loop 0, 1, ...: noted ──(4 times a second)──► loop 0: numbered, kept ──► loops that listen ──► readers
//! ```
//!
//! Loop 0 keeps the newest, so that who comes back is told what it missed.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::SystemTime;

use bytes::Bytes;
use network::{EventLoop, SourceId};

use crate::clients::ClientId;
use crate::directory::unix;
use crate::hub::Hub;
use crate::json::Json;
use crate::limits;
use crate::name::StreamName;

/// The loop that numbers and keeps events.
const KEEPER: usize = 0;

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Event {
    /// When.
    pub at: SystemTime,
    /// What: `publish`, `unpublish`, `play`, `stop`, `skips`, `stream_end`, `reload`, `lost`.
    pub kind: &'static str,
    /// On which stream.
    pub stream: Option<StreamName>,
    /// Who.
    pub client: Option<ClientId>,
    /// How.
    pub protocol: Option<&'static str>,
    /// From where.
    pub peer: Option<SocketAddr>,
    /// Why.
    pub reason: Option<&'static str>,
    /// What was meant, where it is no stream.
    pub what: Option<&'static str>,
    /// More than the reason.
    pub detail: Option<String>,
    /// Figures, each with its name.
    pub figures: Vec<(&'static str, u64)>,
}

/// What came of reading the certificate again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reload {
    /// The one that was read is in force.
    Done,
    /// This server has none.
    NothingThere,
    /// The one before stays in force, for this reason.
    Failed(String),
}

impl Event {
    /// Happens now.
    pub fn now(kind: &'static str) -> Self {
        Self {
            at: SystemTime::now(),
            kind,
            stream: None,
            client: None,
            protocol: None,
            peer: None,
            reason: None,
            what: None,
            detail: None,
            figures: Vec::new(),
        }
    }

    /// The certificate was to be read again: nothing else is. It was, or could not be.
    pub fn reload(done: &Reload) -> Self {
        let (reason, detail) = match done {
            Reload::Done => ("done", None),
            Reload::NothingThere => ("nothing", None),
            Reload::Failed(why) => ("failed", Some(why.clone())),
        };
        Self { reason: Some(reason), what: Some("certificate"), detail, ..Self::now("reload") }
    }

    /// So many were not told.
    fn lost(count: u64) -> Self {
        Self { figures: vec![("count", count)], ..Self::now("lost") }
    }

    /// As a message of an event stream.
    fn message(&self, boot: u64, number: u64) -> Bytes {
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(format!("id: {boot}-{number}\n").as_bytes());
        out.extend_from_slice(format!("event: {}\ndata: ", self.kind).as_bytes());
        Json::new(&mut out, false).object(|json| {
            json.text("id", format_args!("{boot}-{number}"));
            json.text("event", self.kind);
            json.number("time_ms", u64::try_from(unix(self.at).as_millis()).unwrap_or(0));
            if let Some(stream) = &self.stream {
                json.text("stream", stream);
                json.text("app", stream.app());
                json.text("name", stream.name());
            }
            if let Some(client) = self.client {
                json.text("client", client);
            }
            if let Some(protocol) = self.protocol {
                json.text("protocol", protocol);
            }
            if let Some(peer) = self.peer {
                json.text("address", peer);
            }
            if let Some(reason) = self.reason {
                json.text("reason", reason);
            }
            if let Some(what) = self.what {
                json.text("what", what);
            }
            if let Some(detail) = &self.detail {
                json.text("detail", detail);
            }
            for (name, value) in &self.figures {
                json.number(name, *value);
            }
        });
        out.extend_from_slice(b"\n\n");
        out.into()
    }
}

/// Where a reader wants to go on: the run of the server and the event's number in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventId {
    boot: u64,
    number: u64,
}

impl EventId {
    /// Before all that is kept: of a run that never was.
    pub const BEGINNING: Self = Self { boot: 0, number: 0 };
}

impl std::str::FromStr for EventId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (boot, number) = text.split_once('-').unwrap_or(("", text));
        Ok(Self { boot: boot.parse()?, number: number.parse()? })
    }
}

/// What a reader has not been sent yet.
#[derive(Default)]
pub struct Inbox {
    /// It has been told what it missed: from here on it is told all.
    is_open: Cell<bool>,
    messages: RefCell<Vec<Bytes>>,
}

impl Inbox {
    /// What has come since.
    pub fn take(&self) -> Vec<Bytes> {
        std::mem::take(&mut self.messages.borrow_mut())
    }
}

/// A loop's events, and on one of the loops everybody's.
#[derive(Default)]
pub struct Events {
    noted: RefCell<Vec<Event>>,
    /// What all loops may note at once is shared among them.
    loops: Cell<usize>,
    lost: Cell<u64>,
    readers: RefCell<Vec<(SourceId, Rc<Inbox>)>>,
    keeper: RefCell<Keeper>,
}

#[derive(Default)]
struct Keeper {
    boot: u64,
    number: u64,
    kept: VecDeque<(u64, Event)>,
    listening: Vec<usize>,
}

impl Events {
    /// Something happened.
    pub fn note(&self, event: Event) {
        let mut noted = self.noted.borrow_mut();
        let share = limits::EVENTS_AT_ONCE / self.loops.get().max(1);
        if noted.len() < share.max(limits::EVENTS_OF_A_LOOP) {
            noted.push(event);
        } else {
            self.lost.set(self.lost.get() + 1);
        }
    }

    fn take_noted(&self) -> Vec<Event> {
        let mut noted = std::mem::take(&mut *self.noted.borrow_mut());
        match self.lost.take() {
            0 => {}
            lost => noted.push(Event::lost(lost)),
        }
        noted
    }

    /// How many read on this loop.
    pub fn readers(&self) -> usize {
        self.readers.borrow().len()
    }

    fn deliver(&self, el: &mut EventLoop, messages: &[Bytes]) {
        for (source, inbox) in self.readers.borrow().iter() {
            if inbox.is_open.get() {
                inbox.messages.borrow_mut().extend(messages.iter().cloned());
                el.mark_due(*source);
            }
        }
    }
}

impl Keeper {
    /// Numbers events and keeps them; the messages they are told by, where somebody listens.
    fn keep(&mut self, events: Vec<Event>) -> Vec<Bytes> {
        if self.boot == 0 {
            self.boot = unix(SystemTime::now()).as_secs();
        }
        let mut messages = Vec::new();
        for event in events {
            self.number += 1;
            if !self.listening.is_empty() {
                messages.push(event.message(self.boot, self.number));
            }
            self.kept.push_back((self.number, event));
            if self.kept.len() > limits::EVENTS_KEPT {
                self.kept.pop_front();
            }
        }
        messages
    }

    /// What is kept behind `last`, and how much is not; of another run of the server all, since none was told.
    fn missed(&self, last: Option<EventId>) -> Vec<Bytes> {
        let Some(EventId { boot, number }) = last else { return Vec::new() };
        let after = if boot == self.boot { number } else { 0 };
        let behind = self.kept.iter().filter(|(number, _)| *number > after);
        let messages = behind.map(|(number, event)| event.message(self.boot, *number));
        // What is not kept any more; of another run nobody knows how much it was.
        let forgotten = self.kept.front().map_or(0, |(oldest, _)| oldest - 1);
        // Run 0 was never: whoever comes from there wants what is kept.
        let lost = if boot == 0 { 0 } else { forgotten.saturating_sub(after) };
        let lost = (lost > 0).then(|| Event::lost(lost).message(self.boot, forgotten));
        lost.into_iter().chain(messages).collect()
    }
}

impl Hub {
    /// Passes on what was noted on this loop.
    pub(crate) fn tell_events(self: &Rc<Self>, el: &mut EventLoop) {
        self.events.loops.set(self.handles().len());
        let noted = self.events.take_noted();
        self.counters.events_lost.add(
            noted
                .iter()
                .filter(|e| e.kind == "lost")
                .flat_map(|e| &e.figures)
                .map(|(_, n)| n)
                .sum(),
        );
        if noted.is_empty() {
            return;
        }
        self.on(el, KEEPER, move |hub, el| {
            let mut keeper = hub.events.keeper.borrow_mut();
            let messages: std::sync::Arc<[Bytes]> = keeper.keep(noted).into();
            for place in &keeper.listening {
                let messages = std::sync::Arc::clone(&messages);
                hub.on(el, *place, move |hub, el| hub.events.deliver(el, &messages));
            }
        });
    }

    /// Has a connection of this loop told of events, from behind `last` on.
    pub fn read_events(
        self: &Rc<Self>,
        el: &mut EventLoop,
        source: SourceId,
        last: Option<EventId>,
    ) -> Rc<Inbox> {
        let inbox = Rc::new(Inbox::default());
        self.events.readers.borrow_mut().push((source, Rc::clone(&inbox)));
        let place = self.place();
        self.on(el, KEEPER, move |hub, el| {
            let mut keeper = hub.events.keeper.borrow_mut();
            if !keeper.listening.contains(&place) {
                keeper.listening.push(place);
            }
            let missed = keeper.missed(last);
            hub.on(el, place, move |hub, el| {
                let readers = hub.events.readers.borrow();
                if let Some((_, inbox)) = readers.iter().find(|(other, _)| *other == source) {
                    inbox.is_open.set(true);
                    inbox.messages.borrow_mut().extend(missed);
                    el.mark_due(source);
                }
            });
        });
        inbox
    }

    /// A connection reads no more.
    pub fn stop_reading_events(self: &Rc<Self>, el: &mut EventLoop, source: SourceId) {
        let mut readers = self.events.readers.borrow_mut();
        readers.retain(|(other, _)| *other != source);
        if readers.is_empty() {
            let place = self.place();
            self.on(el, KEEPER, move |hub, _| {
                hub.events.keeper.borrow_mut().listening.retain(|other| *other != place);
            });
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_was_missed_is_what_is_kept_behind_an_id() {
        let mut keeper = Keeper::default();
        let event = Event { stream: StreamName::parse("a/b").ok(), ..Event::now("play") };
        assert!(keeper.keep(vec![event.clone()]).is_empty(), "nobody listens");
        keeper = Keeper { listening: vec![0], ..Keeper::default() };
        let messages = keeper.keep(vec![event; limits::EVENTS_KEPT + 10]);
        let text = String::from_utf8(messages[0].to_vec()).unwrap();
        let boot = keeper.boot;
        assert!(text.starts_with(&format!("id: {boot}-1\nevent: play\ndata: {{\"id\"")), "{text}");
        assert!(text.contains("\"stream\":\"a/b\"") && text.ends_with("}\n\n"), "{text}");
        let last = |text: String| keeper.missed(text.parse().ok()).len();
        assert_eq!(keeper.missed(None).len(), 0);
        assert_eq!(last(format!("{boot}-{}", limits::EVENTS_KEPT + 7)), 3);
        let one_more = limits::EVENTS_KEPT + 1;
        assert_eq!(last(format!("{boot}-10")), limits::EVENTS_KEPT, "all that is missing");
        assert_eq!(last(format!("{boot}-2")), one_more, "as many as there are, and a word");
        assert_eq!(last(format!("{}-5", boot - 1)), one_more, "another run");
        assert_eq!(last("0-0".to_owned()), limits::EVENTS_KEPT, "all that is kept");
        let first = keeper.missed(format!("{boot}-2").parse().ok()).remove(0);
        let text = String::from_utf8(first.to_vec()).unwrap();
        assert!(text.starts_with(&format!("id: {boot}-10\nevent: lost\n")), "{text}");
        assert!(text.contains("\"count\":8}"), "{text}");
        assert!("x".parse::<EventId>().is_err());
    }

    #[test]
    fn too_many_events_are_counted() {
        let events = Events::default();
        for _ in 0..limits::EVENTS_AT_ONCE + 3 {
            events.note(Event::now("play"));
        }
        let noted = events.take_noted();
        assert_eq!(noted.len(), limits::EVENTS_AT_ONCE + 1);
        assert_eq!(noted.last().unwrap().figures, [("count", 3)]);
        assert!(events.take_noted().is_empty());
        // More loops have less room each: what all tell at once is as much.
        for loops in [2, 4, 10_000] {
            events.loops.set(loops);
            (0..limits::EVENTS_AT_ONCE).for_each(|_| events.note(Event::now("play")));
            let told = events.take_noted().len() - 1;
            let share = limits::EVENTS_AT_ONCE / loops;
            assert_eq!(told, share.max(limits::EVENTS_OF_A_LOOP), "{loops} loops");
        }
    }
}
