//! The right to publish a stream, and what is done with it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use network::{EventLoop, SourceId};
use thiserror::Error;

use super::Hub;
use crate::counters::Reason;
use crate::name::StreamName;
use crate::settings::Second;
use crate::stream::Stream;

/// The right to publish a stream, held by who does. Dropping it without [`Ticket::give_back`] leaves
/// the stream to be found silent.
pub struct Ticket {
    hub: Rc<Hub>,
    stream: Rc<RefCell<Stream>>,
    number: u64,
    since: Instant,
}

/// Why somebody may not publish.
#[derive(Debug, Error)]
pub enum Refusal {
    /// Somebody else does.
    #[error("stream {0} is published by somebody else")]
    NameTaken(StreamName),
    /// There are enough.
    #[error("there are {0} streams, which is the limit (limits.streams)")]
    TooMany(usize),
    /// The system refuses.
    #[error("the system has no room for the stream's log: {0}")]
    NoResources(#[from] std::io::Error),
}

impl Refusal {
    /// For the counters.
    pub fn reason(&self) -> Reason {
        match self {
            Self::NameTaken(_) => Reason::NameTaken,
            Self::TooMany(_) => Reason::TooManyStreams,
            Self::NoResources(_) => Reason::NoResources,
        }
    }
}

impl Hub {
    /// Begins to publish a stream that lives here. A publisher that has to make room for this one is
    /// marked due, and finds that its ticket is void.
    ///
    /// # Errors
    /// It may not be published now.
    pub fn publish(
        self: &Rc<Self>,
        el: &mut EventLoop,
        name: &StreamName,
        source: Option<SourceId>,
    ) -> Result<Ticket, Refusal> {
        let now = el.now();
        let begun = |stream: &Rc<RefCell<Stream>>| stream.borrow().has_begun();
        let known = self.streams.borrow().get(name).is_some_and(begun);
        if !known {
            let count = self.streams.borrow().values().filter(|stream| begun(stream)).count();
            // Each loop has its share of the streams.
            let most = self.settings.streams.div_ceil(self.loops.all().len().max(1));
            if count >= most {
                return Err(Refusal::TooMany(self.settings.streams));
            }
        }
        let stream = self.stream(name, now);
        let mut inner = stream.borrow_mut();
        if let Some(first) = inner.publisher().cloned() {
            let settings = &self.settings.publish;
            let silent = now.saturating_duration_since(first.heard) >= settings.silent_after;
            if settings.second == Second::Refuse && !silent {
                return Err(Refusal::NameTaken(name.clone()));
            }
            self.commit(el, &mut inner)?;
            inner.unset_publisher(first.number, now);
            self.counters.publishers.leave();
            if let Some(source) = first.source {
                el.mark_due(source);
            }
        }
        let number = inner.set_publisher(source, now)?;
        for (format, reader) in inner.take_asked() {
            self.open(el, &mut inner, format, reader);
        }
        self.tell_live(el, &inner);
        drop(inner);
        if !known {
            for place in 0..self.loops.all().len() {
                let name = name.clone();
                self.on(el, place, move |hub, _| hub.forget_ended(&name));
            }
        }
        Ok(Ticket { hub: Rc::clone(self), stream, number, since: now })
    }
}

impl Ticket {
    /// The stream.
    pub fn stream(&self) -> &Rc<RefCell<Stream>> {
        &self.stream
    }

    /// Whether it is still this one's stream.
    pub fn is_valid(&self) -> bool {
        self.stream.borrow().is_published_by(self.number)
    }

    /// Whether nothing was published for so long that the publisher is to be closed.
    pub fn is_silent(&self, now: Instant) -> bool {
        let bound = self.hub.settings.publish.close_silent_after;
        let stream = self.stream.borrow();
        stream.publisher().is_some_and(|p| now.saturating_duration_since(p.heard) >= bound)
    }

    /// When it was taken.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// Writes what was published since the last time, and tells who reads; a little later where they
    /// could not do anything with it yet.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn commit(&self, el: &mut EventLoop) -> std::io::Result<()> {
        let now = Instant::now();
        let at = self.stream.borrow().commit_at(&self.hub.pace, now);
        if at <= now {
            return self.commit_now(el);
        }
        self.commit_by(el, at);
        Ok(())
    }

    /// As [`Ticket::commit`], whatever the readers can do with it.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn commit_now(&self, el: &mut EventLoop) -> std::io::Result<()> {
        self.hub.commit(el, &mut self.stream.borrow_mut())
    }

    /// Has what was published written at this time, if that has not been done by then.
    pub fn commit_by(&self, el: &mut EventLoop, at: Instant) {
        let mut stream = self.stream.borrow_mut();
        if let Some((timer, before)) = stream.hold {
            if before <= at {
                return;
            }
            el.cancel(timer);
        }
        let (hub, held) = (Rc::clone(&self.hub), Rc::clone(&self.stream));
        let timer = el.at(at, move |el| {
            let mut stream = held.borrow_mut();
            stream.hold = None;
            if let Err(error) = hub.commit(el, &mut stream) {
                tracing::error!(stream = %stream.name, %error, "frames are lost");
            }
        });
        stream.hold = Some((timer, at));
    }

    /// Publishes no more. Players wait for the grace time for somebody who does.
    pub fn give_back(self, el: &mut EventLoop) {
        let mut stream = self.stream.borrow_mut();
        if !stream.is_published_by(self.number) {
            return;
        }
        stream.flush();
        if let Err(error) = self.hub.commit(el, &mut stream) {
            tracing::error!(stream = %stream.name, %error, "the last frames are lost");
        }
        stream.unset_publisher(self.number, el.now());
        self.hub.counters.publishers.leave();
        self.hub.tell_live(el, &stream);
        let none = self.hub.settings.publish.grace.is_zero();
        drop(stream);
        if none {
            let hub = Rc::clone(&self.hub);
            el.defer(move |el| hub.look_after_streams(el));
        }
    }
}
