//! Who comes and goes, noted where it happens and told to all loops: what the API answers from.
//!
//! ```text
//!   each loop, once a second:   its players of a stream ──► the stream's own loop
//!   the stream's own loop:      how the stream is       ──► the directory of every loop
//! ```

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use network::{CloseReason, Connection, EventLoop};

use crate::audience::Origin;
use crate::clients::{Client, ClientId, Report, Role};
use crate::counters::Reason;
use crate::directory::{Listing, News};
use crate::events::Event;
use crate::hub::{Hub, Ticket};
use crate::limits;
use crate::log::view::View;
use crate::name::StreamName;
use crate::seat::{Account, Seat};
use crate::stream::Stream;

/// How players are called that fetch segments.
const SEGMENTS: &str = "hls";
/// Looks around between two rounds of news: one a second.
const ROUND: u32 = 4;

impl Hub {
    // ---- who comes and goes ----

    /// A player has begun; `id` is its connection's in the log, `asked` when it asked.
    pub(crate) fn plays(
        &self,
        id: &str,
        protocol: &'static str,
        conn: &Connection,
        seat: &Seat,
        asked: Instant,
    ) {
        let micros = u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.counters.joins.observe(micros);
        let role = Role::player(seat);
        self.enter("play", id, protocol, &seat.view().name, Some(conn), role);
    }

    /// A publisher has begun.
    pub(crate) fn publishes(
        self: &Rc<Self>,
        el: &mut EventLoop,
        id: &str,
        protocol: &'static str,
        conn: Option<&Connection>,
        ticket: &Ticket,
    ) {
        let mut stream = ticket.stream().borrow_mut();
        let Ok(client) = id.parse() else { return };
        let peer = conn.and_then(Connection::peer);
        stream.origin = Some(Origin { client, protocol, peer, began: SystemTime::now() });
        self.enter("publish", id, protocol, &stream.name, conn, Role::Publisher);
        self.list(el, &stream);
    }

    /// Somebody has begun to fetch segments.
    pub(crate) fn watches(&self, id: &str, stream: &StreamName, peer: Option<SocketAddr>) {
        self.enter_from("play", id, SEGMENTS, stream, (None, peer), Role::Requests);
    }

    /// And does so no more.
    pub(crate) fn stopped_watching(&self, id: &str) {
        self.counters.ended(Reason::PeerLeft);
        self.left("stop", id, Reason::PeerLeft, None, &[]);
    }

    fn enter(
        &self,
        kind: &'static str,
        id: &str,
        protocol: &'static str,
        stream: &StreamName,
        conn: Option<&Connection>,
        role: Role,
    ) {
        let from = (conn, conn.and_then(Connection::peer));
        self.enter_from(kind, id, protocol, stream, from, role);
    }

    fn enter_from(
        &self,
        kind: &'static str,
        id: &str,
        protocol: &'static str,
        stream: &StreamName,
        (conn, peer): (Option<&Connection>, Option<SocketAddr>),
        role: Role,
    ) {
        // Ids are this hub's own, or another one's.
        let Ok(id) = id.parse::<ClientId>() else { return };
        let before = conn.map_or(0, |conn| match role {
            Role::Publisher => conn.received(),
            _ => conn.sent(),
        });
        self.events.note(Event {
            stream: Some(stream.clone()),
            client: Some(id),
            protocol: Some(protocol),
            peer,
            ..Event::now(kind)
        });
        self.clients.enter(Client {
            id,
            stream: stream.clone(),
            protocol,
            peer,
            source: conn.map(Connection::id),
            role,
            since: Instant::now(),
            began: SystemTime::now(),
            before,
        });
    }

    /// A player has ended.
    pub(crate) fn stopped(&self, id: &str, reason: Reason, conn: &Connection, account: Account) {
        let Account { skips, skipped_bytes, .. } = account;
        self.left(
            "stop",
            id,
            reason,
            Some(conn.sent()),
            &[("skips", skips), ("skipped_bytes", skipped_bytes)],
        );
    }

    /// A publisher has ended.
    pub(crate) fn unpublished(&self, id: &str, reason: Reason, conn: Option<&Connection>) {
        self.left("unpublish", id, reason, Some(conn.map_or(0, Connection::received)), &[]);
    }

    /// `moved` are the bytes of its connection, where it has one.
    fn left(
        &self,
        kind: &'static str,
        id: &str,
        reason: Reason,
        moved: Option<u64>,
        more: &[(&'static str, u64)],
    ) {
        let Some(client) = id.parse().ok().and_then(|id| self.clients.leave(id, reason)) else {
            return;
        };
        let mut figures = vec![("seconds", client.since.elapsed().as_secs())];
        figures.extend(moved.map(|bytes| ("bytes", bytes.saturating_sub(client.before))));
        figures.extend_from_slice(more);
        self.events.note(Event {
            stream: Some(client.stream),
            client: Some(client.id),
            protocol: Some(client.protocol),
            peer: client.peer,
            reason: Some(reason.label()),
            figures,
            ..Event::now(kind)
        });
    }

    /// Ends a client of this loop by order of the operator. False where there is none of this number.
    pub(crate) fn kick(self: &Rc<Self>, el: &mut EventLoop, id: ClientId) -> bool {
        let found = self
            .clients
            .with(id, |client| (client.source, client.stream.clone(), client.is_publisher()));
        let Some((source, name, is_publisher)) = found else { return false };
        if let Some(source) = source {
            if let Some(conn) = el.connection(source) {
                conn.close_because(CloseReason::Dismissed);
            }
        } else if is_publisher {
            self.dismiss_publisher(el, &name);
            self.counters.ended(Reason::Kicked);
            self.unpublished(&id.to_string(), Reason::Kicked, None);
        } else {
            let id = id.to_string();
            self.viewers.keep_out(self, el, &id);
            self.counters.ended(Reason::Kicked);
            self.left("stop", &id, Reason::Kicked, None, &[]);
        }
        true
    }

    /// Who publishes a stream that lives here, and its number.
    pub(crate) fn publisher_of(&self, name: &StreamName) -> Option<ClientId> {
        let stream = self.find_stream(name)?;
        let stream = stream.borrow();
        stream.publisher()?;
        stream.origin.as_ref().map(|origin| origin.client)
    }

    // ---- what is told ----

    /// Tells all loops how a stream is that lives here.
    pub(crate) fn list(self: &Rc<Self>, el: &mut EventLoop, stream: &Stream) {
        if stream.has_begun() {
            let listing = Arc::new(Listing::of(stream, Instant::now()));
            self.spread_news(el, vec![(stream.name.clone(), Some(listing))]);
        }
    }

    /// Tells all loops that a stream is no more.
    pub(crate) fn unlist(self: &Rc<Self>, el: &mut EventLoop, stream: &Stream) {
        if stream.has_begun() {
            self.spread_news(el, vec![(stream.name.clone(), None)]);
            self.events
                .note(Event { stream: Some(stream.name.clone()), ..Event::now("stream_end") });
        }
    }

    fn spread_news(self: &Rc<Self>, el: &mut EventLoop, news: Vec<News>) {
        if news.is_empty() {
            return;
        }
        self.directory.hear(&news);
        let news: Arc<[News]> = news.into();
        for place in (0..self.loop_count()).filter(|place| *place != self.place()) {
            let news = Arc::clone(&news);
            self.on(el, place, move |hub, _| hub.directory.hear(&news));
        }
    }

    /// What is to be done now and then; called four times a second.
    pub(crate) fn tend_desk(self: &Rc<Self>, el: &mut EventLoop) {
        self.tell_events(el);
        self.gatherings.forget_old(Instant::now());
        let round = self.rounds.get();
        self.rounds.set(round.wrapping_add(1));
        match round % ROUND {
            0 => self.report(el),
            1 => self.list_all(el, self.stream_names().into()),
            _ => {}
        }
    }

    /// A log of this loop tells what its players were sent.
    pub(crate) fn charge(&self, view: &View) {
        let (sent, skips) = view.tally.take();
        if sent > 0 || skips.times() > 0 {
            self.counters.bytes_out.add(sent);
            self.clients.charge(&view.name, sent, &skips);
        }
    }

    /// Tells the streams' own loops of the players here.
    fn report(self: &Rc<Self>, el: &mut EventLoop) {
        self.each_view(|view| self.charge(view));
        let mut by_home: Vec<Vec<(StreamName, Report)>> = Vec::new();
        by_home.resize_with(self.loop_count(), Vec::new);
        for (name, report) in self.clients.reports() {
            if let Some(reports) = by_home.get_mut(self.home_of(&name)) {
                reports.push((name, report));
            }
        }
        let from = self.place();
        for (home, reports) in by_home.into_iter().enumerate() {
            if !reports.is_empty() {
                self.on(el, home, move |hub, _| hub.hear_reports(from, reports));
            }
        }
    }

    fn hear_reports(&self, from: usize, reports: Vec<(StreamName, Report)>) {
        for (name, report) in reports {
            let Some(stream) = self.find_stream(&name) else { continue };
            let mut stream = stream.borrow_mut();
            let toll = &report.toll;
            stream.meter.sent(toll.sent);
            for (why, times, bytes) in toll.skips.by_reason().filter(|(_, times, _)| *times > 0) {
                self.events.note(Event {
                    stream: Some(name.clone()),
                    reason: Some(why.label()),
                    figures: vec![("skips", times), ("skipped_bytes", bytes)],
                    ..Event::now("skips")
                });
            }
            stream.audience.hear(from, report);
        }
    }

    /// Tells all loops of the streams that live here, so many a turn.
    fn list_all(self: &Rc<Self>, el: &mut EventLoop, mut names: VecDeque<StreamName>) {
        let now = Instant::now();
        let mut news = Vec::new();
        for name in names.drain(..names.len().min(limits::LISTED_PER_TURN)) {
            let Some(stream) = self.find_stream(&name) else { continue };
            let mut stream = stream.borrow_mut();
            if stream.has_begun() {
                stream.meter.sample(now);
                news.push((name, Some(Arc::new(Listing::of(&stream, now)))));
            }
        }
        self.spread_news(el, news);
        if !names.is_empty() {
            self.next_turn(el, move |hub, el| hub.list_all(el, names));
        }
    }
}
