//! The logs that are read on a loop, its own streams' and others'.

use std::rc::Rc;
use std::sync::Arc;

use network::EventLoop;

use super::Hub;
use crate::format::Format;
use crate::log::view::View;
use crate::log::writer::Reader;
use crate::log::{Growth, Hold, Opened};
use crate::name::StreamName;

impl Hub {
    /// The view of a log, which players of this loop share. It is made by who asks first, and asks the
    /// stream's own loop for the log.
    pub fn view(
        self: &Rc<Self>,
        el: &mut EventLoop,
        name: &StreamName,
        format: Format,
    ) -> Rc<View> {
        if let Some(view) = self.find_view(name, format).filter(|view| !view.has_ended()) {
            return view;
        }
        let view = Rc::new(View::new(name.clone(), format, &self.settings, el.now()));
        self.views.borrow_mut().insert((name.clone(), format), Rc::clone(&view));
        let hold: Arc<Hold> = Arc::clone(&view.hold);
        let (name, place) = (name.clone(), self.place);
        if self.is_home_of(&name) {
            // At once, so that who asks here can begin at once.
            let stream = self.stream(&name, el.now());
            let mut stream = stream.borrow_mut();
            Self::read_publisher(el, &stream);
            let committed = self.commit(el, &mut stream);
            match committed.and_then(|()| stream.open(format, Reader { place, hold })) {
                Ok(Some(opened)) => self.opened(el, &name, format, opened),
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(stream = %name, %error, "there is no room for another log");
                    view.end();
                }
            }
        } else {
            self.on(el, self.home_of(&name), move |hub, el| {
                hub.ask(el, &name, format, Reader { place, hold });
            });
        }
        view
    }

    /// The view of a log, if this loop has one.
    pub fn find_view(&self, name: &StreamName, format: Format) -> Option<Rc<View>> {
        self.views.borrow().get(&(name.clone(), format)).cloned()
    }

    /// The stream has begun anew: who comes is shown nothing of its last life any more.
    pub(super) fn forget_ended(&self, name: &StreamName) {
        self.views.borrow_mut().retain(|(of, _), view| of != name || !view.has_ended());
    }

    pub(super) fn opened(
        self: &Rc<Self>,
        el: &mut EventLoop,
        name: &StreamName,
        format: Format,
        opened: Opened,
    ) {
        if let Some(view) = self.find_view(name, format) {
            view.open(opened);
            self.wake_waiting(el, &view);
        }
    }

    /// A stream is over of which this loop has not read this log.
    pub(super) fn opened_ended(
        self: &Rc<Self>,
        el: &mut EventLoop,
        name: StreamName,
        format: Format,
        opened: Opened,
    ) {
        let make = || Rc::new(View::new(name.clone(), format, &self.settings, el.now()));
        let mut views = self.views.borrow_mut();
        let view = Rc::clone(views.entry((name.clone(), format)).or_insert_with(make));
        drop(views);
        // One that has a log is of the next life, which has begun by then. Who has asked a moment ago, for
        // what another loop's list of the ended stream names, has one without.
        if view.file().is_none() {
            view.open(opened);
            view.end();
            self.wake_waiting(el, &view);
        }
    }

    /// The view of a log whose stream is over, as long as it is kept.
    pub(crate) fn find_ended(&self, name: &StreamName, format: Format) -> Option<Rc<View>> {
        self.find_view(name, format).filter(|view| view.has_ended() && view.file().is_some())
    }

    pub(super) fn grow(
        self: &Rc<Self>,
        el: &mut EventLoop,
        name: &StreamName,
        format: Format,
        growth: &Growth,
    ) {
        let Some(view) = self.find_view(name, format) else { return };
        view.grow(growth);
        if view.has_waiting() {
            self.wake_waiting(el, &view);
        } else if let Some(watch) = view.watcher() {
            watch(self, el);
        }
        self.flusher.grown(el, &view);
    }

    pub(super) fn end_view(self: &Rc<Self>, el: &mut EventLoop, name: &StreamName, format: Format) {
        if let Some(view) = self.find_view(name, format) {
            view.end();
            self.wake_waiting(el, &view);
        }
    }

    /// Calls those who wait where it is worth looking, and all players where the stream is over.
    pub(super) fn wake_waiting(self: &Rc<Self>, el: &mut EventLoop, view: &Rc<View>) {
        if let Some(watch) = view.watcher() {
            watch(self, el);
        }
        for wake in view.take_waiting(el.now()) {
            wake(self, el);
        }
        if view.has_ended() {
            view.mark_due(el, 0, usize::MAX);
        }
    }

    pub(crate) fn each_view(&self, mut each: impl FnMut(&View)) {
        self.views.borrow().values().for_each(|view| each(view));
    }

    pub(super) fn close_view(self: &Rc<Self>, el: &mut EventLoop, view: &Rc<View>) {
        self.charge(view);
        let key = (view.name.clone(), view.format);
        let mut views = self.views.borrow_mut();
        // Another one may have taken its place since it ended.
        if views.get(&key).is_some_and(|other| Rc::ptr_eq(other, view)) {
            views.remove(&key);
            let (name, format) = key;
            let place = self.place;
            self.on(el, self.home_of(&name), move |hub, _| hub.leave(&name, format, place));
        }
    }

    /// How many players play on this loop.
    pub fn players(&self) -> usize {
        self.views.borrow().values().map(|view| view.players()).sum()
    }
}
