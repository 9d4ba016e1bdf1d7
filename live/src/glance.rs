//! What is live, and who watches: asked of each loop in turn, by tasks.

use std::rc::Rc;

use hashbrown::HashMap;
use network::EventLoop;

use crate::format::Infos;
use crate::hub::Hub;
use crate::name::StreamName;

/// A stream, as a page shows it.
#[derive(Clone, Debug, Default)]
pub struct Glance {
    /// Somebody has published it.
    pub has_begun: bool,
    /// Somebody publishes it now.
    pub is_live: bool,
    /// What its tracks are.
    pub infos: Infos,
    /// Bytes of media that were published so far.
    pub bytes: u64,
    /// Who watches, on all loops and at all doors.
    pub viewers: usize,
}

type Known = HashMap<StreamName, Glance>;

/// Asks all loops for their streams, and calls `then` with them on this one, in the order of their
/// names.
pub fn gather(
    hub: &Rc<Hub>,
    el: &mut EventLoop,
    then: impl FnOnce(&mut EventLoop, Vec<(StreamName, Glance)>) + Send + 'static,
) {
    let home = hub.place();
    ask(hub, el, 0, Known::new(), move |hub, el, known| {
        hub.on(el, home, move |_, el| {
            let begun = |(_, glance): &(StreamName, Glance)| glance.has_begun;
            let mut streams: Vec<_> = known.into_iter().filter(begun).collect();
            streams.sort_unstable_by(|(one, _), (two, _)| one.as_str().cmp(two.as_str()));
            then(el, streams);
        });
    });
}

/// Asks the loop `place`, which asks the next one.
fn ask(
    hub: &Rc<Hub>,
    el: &mut EventLoop,
    place: usize,
    mut known: Known,
    then: impl FnOnce(&Rc<Hub>, &mut EventLoop, Known) + Send + 'static,
) {
    if place >= hub.places() {
        return then(hub, el, known);
    }
    hub.on(el, place, move |hub, el| {
        look(hub, &mut known);
        ask(hub, el, place + 1, known, then);
    });
}

/// Adds what this loop knows.
fn look(hub: &Hub, known: &mut Known) {
    hub.each_stream(|stream| {
        let glance = known.entry(stream.name.clone()).or_default();
        glance.has_begun = stream.has_begun();
        glance.is_live = stream.publisher().is_some();
        glance.infos = stream.infos().clone();
        glance.bytes = stream.bytes();
    });
    hub.each_view(|view| {
        known.entry(view.name.clone()).or_default().viewers += view.players();
    });
    hub.viewers.each(|_, viewer| {
        known.entry(viewer.stream.clone()).or_default().viewers += 1;
    });
}
