//! Who is here: every publisher and every player of a loop, and how many play each stream.
//!
//! A client is noted when it begins and when it ends; nothing is done per frame. What changes in
//! between is read where it is: the cursor of a player, the counters of its connection.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::ops::Bound;
use std::rc::Rc;
use std::str::FromStr;
use std::time::{Instant, SystemTime};

use hashbrown::HashMap;
use network::SourceId;

use crate::counters::Reason;
use crate::left_out::Skips;
use crate::log::view::{Cursor, View};
use crate::name::StreamName;
use crate::seat::Seat;

/// A client's number, the same as in the log: the loop that let it in, and which one it was there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ClientId {
    /// The loop.
    pub place: u32,
    /// Its number on it.
    pub number: u64,
}

/// A text that is no client's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a client's id is two numbers with a dash between them, such as 0-17")]
pub struct NoClientId;

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.place, self.number)
    }
}

impl FromStr for ClientId {
    type Err = NoClientId;

    fn from_str(text: &str) -> Result<Self, NoClientId> {
        let (place, number) = text.split_once('-').ok_or(NoClientId)?;
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(place) || !digits(number) {
            return Err(NoClientId);
        }
        let place = place.parse().map_err(|_| NoClientId)?;
        Ok(Self { place, number: number.parse().map_err(|_| NoClientId)? })
    }
}

/// One that publishes or plays.
pub struct Client {
    /// Its number.
    pub id: ClientId,
    /// What it publishes or plays.
    pub stream: StreamName,
    /// How, as the log calls it: `rtmp`, `http-flv` and so on.
    pub protocol: &'static str,
    /// From where; the test card comes from nowhere, a Unix peer has no address.
    pub peer: Option<SocketAddr>,
    /// Its connection on this loop, if it is one.
    pub source: Option<SourceId>,
    /// What it does.
    pub role: Role,
    /// Since when.
    pub since: Instant,
    /// The same on the wall.
    pub began: SystemTime,
    /// Bytes its connection had moved before.
    pub before: u64,
}

/// What a client does.
pub enum Role {
    /// It publishes.
    Publisher,
    /// It plays, with a cursor in a log.
    Player {
        /// The log, as this loop sees it.
        view: Rc<View>,
        /// Where it is.
        cursor: Rc<Cursor>,
    },
    /// It plays by requests of their own, of which nobody adds up the bytes.
    Requests,
}

impl Role {
    /// Of who has this seat.
    pub(crate) fn player(seat: &Seat) -> Self {
        Self::Player { view: Rc::clone(seat.view()), cursor: Rc::clone(seat.cursor()) }
    }
}

impl Client {
    /// Whether it publishes.
    pub fn is_publisher(&self) -> bool {
        matches!(self.role, Role::Publisher)
    }
}

/// How many play a stream on one loop, by protocol.
pub type Viewers = Vec<(&'static str, u32)>;

/// What happened to players of a stream.
#[derive(Clone, Debug, Default)]
pub struct Toll {
    /// Bytes they were sent.
    pub sent: u64,
    /// What they skipped.
    pub skips: Skips,
    /// Why they ended.
    pub ended: Vec<(Reason, u64)>,
}

impl Toll {
    /// Adds another one.
    pub fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.skips.add(&other.skips);
        other.ended.iter().for_each(|(reason, count)| self.end(*reason, *count));
    }

    fn end(&mut self, reason: Reason, by: u64) {
        match self.ended.iter_mut().find(|(other, _)| *other == reason) {
            Some((_, count)) => *count += by,
            None => self.ended.push((reason, by)),
        }
    }

    fn is_empty(&self) -> bool {
        self.sent == 0 && self.skips.times() == 0 && self.ended.is_empty()
    }
}

/// What a loop tells a stream's own loop of its players.
#[derive(Clone, Debug)]
pub struct Report {
    /// Those who play now.
    pub viewers: Viewers,
    /// What happened since the last report.
    pub toll: Toll,
}

#[derive(Default)]
struct House {
    viewers: Viewers,
    toll: Toll,
    has_changed: bool,
}

/// The clients of a loop.
#[derive(Default)]
pub struct Clients {
    inner: RefCell<Inner>,
}

#[derive(Default)]
struct Inner {
    all: BTreeMap<ClientId, Client>,
    houses: HashMap<StreamName, House>,
}

impl Clients {
    /// One begins.
    pub fn enter(&self, client: Client) {
        let mut inner = self.inner.borrow_mut();
        if !client.is_publisher() {
            inner.house(&client.stream).count(client.protocol, true);
        }
        inner.all.insert(client.id, client);
    }

    /// One has ended; gives what was noted of it.
    pub fn leave(&self, id: ClientId, reason: Reason) -> Option<Client> {
        let mut inner = self.inner.borrow_mut();
        let client = inner.all.remove(&id)?;
        if !client.is_publisher() {
            let house = inner.house(&client.stream);
            house.count(client.protocol, false);
            house.toll.end(reason, 1);
        }
        Some(client)
    }

    /// A player goes on in another log. What it skipped before is told no more.
    pub(crate) fn moved(&self, id: &str, seat: &Seat) {
        let mut inner = self.inner.borrow_mut();
        let client = id.parse().ok().and_then(|id| inner.all.get_mut(&id));
        if let Some(client) = client {
            client.role = Role::player(seat);
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.inner.borrow().all.len()
    }

    /// Calls `with` for the client of this number.
    pub fn with<R>(&self, id: ClientId, with: impl FnOnce(&Client) -> R) -> Option<R> {
        self.inner.borrow().all.get(&id).map(with)
    }

    /// Those behind `after`, in order, until `each` returns false. Nobody may come or go meanwhile.
    pub fn walk(&self, after: Option<ClientId>, mut each: impl FnMut(&Client) -> bool) {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let inner = self.inner.borrow();
        for client in inner.all.range((from, Bound::Unbounded)).map(|(_, client)| client) {
            if !each(client) {
                break;
            }
        }
    }

    /// A log of this stream was sent from, or skipped in.
    pub fn charge(&self, stream: &StreamName, sent: u64, skips: &Skips) {
        let mut inner = self.inner.borrow_mut();
        let house = inner.house(stream);
        house.toll.sent += sent;
        house.toll.skips.add(skips);
    }

    /// What changed since the last time, stream by stream. Streams that nobody plays any more are
    /// forgotten with it.
    pub fn reports(&self) -> Vec<(StreamName, Report)> {
        let mut inner = self.inner.borrow_mut();
        let mut reports = Vec::new();
        inner.houses.retain(|name, house| {
            if std::mem::take(&mut house.has_changed) || !house.toll.is_empty() {
                let toll = std::mem::take(&mut house.toll);
                reports.push((name.clone(), Report { viewers: house.viewers.clone(), toll }));
            }
            !house.viewers.is_empty()
        });
        reports
    }
}

impl Inner {
    fn house(&mut self, stream: &StreamName) -> &mut House {
        self.houses.entry_ref(stream).or_default()
    }
}

impl House {
    fn count(&mut self, protocol: &'static str, comes: bool) {
        self.has_changed = true;
        match self.viewers.iter_mut().find(|(other, _)| *other == protocol) {
            Some((_, count)) if comes => *count += 1,
            Some((_, count)) => *count = count.saturating_sub(1),
            None => self.viewers.push((protocol, u32::from(comes))),
        }
        self.viewers.retain(|(_, count)| *count > 0);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn client(number: u64, stream: &str, role: Role) -> Client {
        Client {
            id: ClientId { place: 1, number },
            stream: StreamName::parse(stream).unwrap(),
            protocol: "hls",
            peer: None,
            source: None,
            role,
            since: Instant::now(),
            began: SystemTime::now(),
            before: 0,
        }
    }

    #[test]
    fn ids_read_as_they_are_written() {
        let id = ClientId { place: 3, number: 17 };
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "1", "1-", "-1", "+1-2", "1-2-3", "a-b", "1-99999999999999999999"] {
            assert_eq!(bad.parse::<ClientId>(), Err(NoClientId), "{bad}");
        }
    }

    #[test]
    fn viewers_are_counted_and_reported_once() {
        let clients = Clients::default();
        clients.enter(client(1, "a", Role::Publisher));
        clients.enter(client(2, "a", Role::Requests));
        clients.enter(client(3, "a", Role::Requests));
        let reports = clients.reports();
        assert_eq!(reports.len(), 1);
        assert_eq!(reports[0].1.viewers, [("hls", 2)]);
        assert!(clients.reports().is_empty(), "nothing has changed");
        clients.leave(ClientId { place: 1, number: 2 }, Reason::PeerLeft);
        clients.leave(ClientId { place: 1, number: 3 }, Reason::Stalled);
        assert!(clients.leave(ClientId { place: 1, number: 3 }, Reason::Stalled).is_none());
        let report = &clients.reports()[0].1;
        assert!(report.viewers.is_empty());
        assert_eq!(report.toll.ended, [(Reason::PeerLeft, 1), (Reason::Stalled, 1)]);
        assert!(clients.inner.borrow().houses.is_empty());
        assert_eq!(clients.count(), 1);
    }

    #[test]
    fn a_walk_goes_on_behind_a_client() {
        let clients = Clients::default();
        for number in 1..=9 {
            clients.enter(client(number, "a", Role::Publisher));
        }
        let mut seen = Vec::new();
        clients.walk(Some(ClientId { place: 1, number: 4 }), |client| {
            seen.push(client.id.number);
            seen.len() < 3
        });
        assert_eq!(seen, [5, 6, 7]);
    }
}
