//! The streams that live on a loop, from the first who asks for one to its end, and what the loops that
//! read them are told.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use network::EventLoop;

use super::Hub;
use crate::format::Format;
use crate::log::view::View;
use crate::log::writer::Reader;
use crate::name::StreamName;
use crate::stream::Stream;

impl Hub {
    pub(crate) fn find_stream(&self, name: &StreamName) -> Option<Rc<RefCell<Stream>>> {
        self.streams.borrow().get(name).cloned()
    }

    pub(crate) fn stream_names(&self) -> Vec<StreamName> {
        self.streams.borrow().keys().cloned().collect()
    }

    /// Ends a publisher that has no connection.
    pub(crate) fn dismiss_publisher(self: &Rc<Self>, el: &mut EventLoop, name: &StreamName) {
        let Some(stream) = self.find_stream(name) else { return };
        let mut stream = stream.borrow_mut();
        let Some(number) = stream.publisher().map(|publisher| publisher.number) else { return };
        stream.unset_publisher(number, el.now());
        self.counters.publishers.leave();
        self.tell_live(el, &stream);
    }

    pub(super) fn stream(&self, name: &StreamName, now: Instant) -> Rc<RefCell<Stream>> {
        let mut streams = self.streams.borrow_mut();
        let make = || {
            self.counters.streams.join();
            let (settings, counters) = (Arc::clone(&self.settings), Arc::clone(&self.counters));
            let after = self.lives.borrow().after(name);
            Rc::new(RefCell::new(Stream::new(name.clone(), settings, counters, after, now)))
        };
        Rc::clone(streams.entry(name.clone()).or_insert_with(make))
    }

    /// Writes what a stream's publisher has sent and tells the loops that read it.
    pub(super) fn commit(
        self: &Rc<Self>,
        el: &mut EventLoop,
        stream: &mut Stream,
    ) -> std::io::Result<()> {
        if let Some((timer, _)) = stream.hold.take() {
            el.cancel(timer);
        }
        stream.commit(|stream, (format, growth)| {
            let growth = Arc::new(growth);
            for reader in stream.readers(format).0 {
                if reader.place == self.place {
                    self.grow(el, &stream.name, format, &growth);
                } else {
                    let (name, growth) = (stream.name.clone(), Arc::clone(&growth));
                    self.on(el, reader.place, move |hub, el| hub.grow(el, &name, format, &growth));
                }
            }
        })
    }

    /// Tells all that read whether there is a publisher, and where players may begin.
    pub(super) fn tell_live(self: &Rc<Self>, el: &mut EventLoop, stream: &Stream) {
        let is_live = stream.publisher().is_some();
        self.list(el, stream);
        self.tell(el, stream, move |view, from| view.set_live(is_live, from));
    }

    fn tell(
        self: &Rc<Self>,
        el: &mut EventLoop,
        stream: &Stream,
        what: impl FnOnce(&View, u64) + Clone + Send + 'static,
    ) {
        for format in Format::ALL {
            let (readers, entry_from) = stream.readers(format);
            for reader in readers {
                let (name, what) = (stream.name.clone(), what.clone());
                self.on(el, reader.place, move |hub, el| {
                    if let Some(view) = hub.find_view(&name, format) {
                        what(&view, entry_from);
                        hub.wake_waiting(el, &view);
                    }
                });
            }
        }
    }

    /// For a loop that wants to read a stream that lives here.
    pub(super) fn ask(
        self: &Rc<Self>,
        el: &mut EventLoop,
        name: &StreamName,
        format: Format,
        reader: Reader,
    ) {
        let stream = self.stream(name, el.now());
        let mut stream = stream.borrow_mut();
        self.open(el, &mut stream, format, reader);
    }

    pub(super) fn open(
        self: &Rc<Self>,
        el: &mut EventLoop,
        stream: &mut Stream,
        format: Format,
        reader: Reader,
    ) {
        let place = reader.place;
        Self::read_publisher(el, stream);
        let opened = self.commit(el, stream).and_then(|()| stream.open(format, reader));
        match opened {
            Ok(None) => {}
            Ok(Some(opened)) => {
                let name = stream.name.clone();
                self.on(el, place, move |hub, el| hub.opened(el, &name, format, opened));
            }
            Err(error) => {
                tracing::error!(stream = %stream.name, %error, "there is no room for another log");
                let name = stream.name.clone();
                self.on(el, place, move |hub, el| hub.end_view(el, &name, format));
            }
        }
    }

    /// A publisher that nobody played is read seldom: what it has sent is wanted from here on.
    pub(super) fn read_publisher(el: &mut EventLoop, stream: &Stream) {
        let source = stream.publisher().and_then(|publisher| publisher.source);
        if let Some(conn) = source.and_then(|source| el.connection(source)) {
            conn.read_now();
        }
    }

    /// For a loop that reads no more.
    pub(super) fn leave(&self, name: &StreamName, format: Format, place: usize) {
        let found = self.streams.borrow().get(name).cloned();
        if let Some(stream) = found {
            stream.borrow_mut().close_reader(format, place);
        }
    }

    /// Ends streams whose publisher does not return, forgets those that nobody needs, and looks after
    /// publishers that are silent.
    pub(super) fn look_after_streams(self: &Rc<Self>, el: &mut EventLoop) {
        let now = el.now();
        let settings = &self.settings.publish;
        let mut over = Vec::new();
        for (name, stream) in self.streams.borrow().iter() {
            let stream = stream.borrow();
            match stream.publisher() {
                Some(publisher) => {
                    let silent = now.saturating_duration_since(publisher.heard);
                    if silent >= settings.close_silent_after
                        && let Some(source) = publisher.source
                    {
                        el.mark_due(source);
                    }
                }
                None if stream.has_begun() => {
                    let alone = now.saturating_duration_since(stream.alone_since);
                    if alone >= settings.grace {
                        over.push(name.clone());
                    }
                }
                None if !stream.is_read() => over.push(name.clone()),
                None => {}
            }
        }
        for name in over {
            let Some(stream) = self.streams.borrow_mut().remove(&name) else { continue };
            let mut stream = stream.borrow_mut();
            if stream.has_begun() {
                tracing::info!(stream = %name, "stream ended");
                self.lives.borrow_mut().ended(name.clone(), stream.numbers(), now);
            }
            self.tell(el, &stream, |view, _| view.end());
            self.show_end(el, &stream);
            self.unlist(el, &stream);
            drop(stream.take_asked());
        }
    }

    /// Who polls a list hears of the end on whichever loop the request comes to: also on those that
    /// nobody asked before.
    fn show_end(self: &Rc<Self>, el: &mut EventLoop, stream: &Stream) {
        for (format, opened) in stream.segmented() {
            let reads = |place| stream.readers(format).0.iter().any(|reader| reader.place == place);
            for place in (0..self.loops.all().len()).filter(|place| !reads(*place)) {
                let (name, opened) = (stream.name.clone(), opened.clone());
                self.on(el, place, move |hub, el| hub.opened_ended(el, name, format, opened));
            }
        }
    }
}
