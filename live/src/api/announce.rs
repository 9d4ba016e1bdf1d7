//! This node, as it announces itself to others: what is live here, every now and then and soon after
//! that has changed.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use hashbrown::HashSet;
use network::EventLoop;
use network::http::{Client, ClientError, ClientOptions, ClientRequest, ClientResponse, Url};
use network::tls::TlsClient;

use super::{Api, JSON};
use crate::json::Json;
use crate::limits;
use crate::name::StreamName;

/// To whom this node announces itself, and as what.
pub struct Announce {
    /// The others' own addresses.
    pub to: Vec<Url>,
    /// What they ask for.
    pub token: Option<String>,
    /// How `https` is spoken.
    pub tls: Option<TlsClient>,
    /// Where players find this node.
    pub play_url: String,
}

/// What is announced, and what came of it.
pub(super) struct Announcer {
    api: Rc<Api>,
    client: Rc<Client>,
    others: Vec<Rc<Other>>,
    /// What is live here, as it was seen last.
    streams: RefCell<HashSet<StreamName>>,
    /// Counts the changes of that.
    changes: Cell<u64>,
    /// Not all of it was announced the last time.
    is_cut: Cell<bool>,
}

/// One of those who are told.
struct Other {
    url: Url,
    /// Told something, and did not answer yet.
    is_asked: Cell<bool>,
    /// When it was told last, after so many changes.
    told: Cell<Option<(Instant, u64)>>,
    /// Why it does not hear, in a short word: what is known is not logged again.
    trouble: RefCell<Option<String>>,
}

impl Announcer {
    /// Begins to announce, where there is somebody to be told.
    pub fn start(el: &mut EventLoop, api: &Rc<Api>) {
        let Some(announce) = &api.about.announce else { return };
        let other = |base: &Url| {
            let url = base.join("/api/v1/nodes");
            let url = url.inspect_err(|error| tracing::error!(%error, "nothing is announced"));
            Some(Rc::new(Other {
                url: url.ok()?,
                is_asked: Cell::new(false),
                told: Cell::new(None),
                trouble: RefCell::default(),
            }))
        };
        let options = ClientOptions {
            tls: announce.tls.clone(),
            // Another one does not get the token.
            redirects: 0,
            total_within: limits::ANNOUNCE_WITHIN,
            body_at_most: limits::ANNOUNCE_ANSWER,
            ..ClientOptions::default()
        };
        let announcer = Self {
            api: Rc::clone(api),
            client: Client::new(options),
            others: announce.to.iter().filter_map(other).collect(),
            streams: RefCell::default(),
            changes: Cell::new(0),
            is_cut: Cell::new(false),
        };
        el.every(limits::ANNOUNCE_AT_MOST, move |el| announcer.look(el));
    }

    /// Tells those for whom it is time.
    fn look(&self, el: &mut EventLoop) {
        let hub = &self.api.hub;
        if hub.is_draining() {
            return;
        }
        let live = hub.directory.live();
        let is_same = {
            let streams = self.streams.borrow();
            live.len() == streams.len() && live.iter().all(|name| streams.contains(name))
        };
        if !is_same {
            self.changes.set(self.changes.get() + 1);
            self.streams.replace(live.into_iter().collect());
        }
        let (now, changes) = (el.now(), self.changes.get());
        let mut body = None;
        for other in &self.others {
            let is_told = other.told.get().is_some_and(|(at, after)| {
                after == changes && now.saturating_duration_since(at) < limits::ANNOUNCE_EVERY
            });
            if is_told || other.is_asked.get() {
                continue;
            }
            let body = body.get_or_insert_with(|| bytes::Bytes::from(self.compose()));
            other.told.set(Some((now, changes)));
            self.tell(el, other, body.clone());
        }
    }

    fn tell(&self, el: &mut EventLoop, other: &Rc<Other>, body: bytes::Bytes) {
        let mut request = ClientRequest::post(other.url.clone(), JSON, body);
        let token = self.api.about.announce.as_ref().and_then(|announce| announce.token.as_ref());
        if let Some(token) = token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        other.is_asked.set(true);
        let other = Rc::clone(other);
        self.client.fetch(el, request, move |_, outcome| {
            other.is_asked.set(false);
            other.heard(outcome);
        });
    }

    /// What is told, in JSON.
    fn compose(&self) -> Vec<u8> {
        let (about, streams) = (&self.api.about, self.streams.borrow());
        let mut out = Vec::new();
        let mut bytes = 0;
        // A name is written as it is, with quotes and a comma; the rest takes less than a kilobyte.
        let mut fits = |name: &&StreamName| {
            bytes += name.as_str().len() + 3;
            bytes + 1024 <= limits::NODE_BODY
        };
        let told: Vec<_> =
            streams.iter().take(limits::NODE_STREAMS).take_while(&mut fits).collect();
        Json::new(&mut out, false).object(|json| {
            json.text("name", &about.node);
            json.maybe_text("url", about.announce.as_ref().map(|announce| &announce.play_url));
            json.raw("load", &self.api.load.get());
            json.number("seconds", limits::NODE_SECONDS_DEFAULT);
            json.member_array("streams", |json| {
                told.iter().for_each(|name| json.item_text(name));
            });
        });
        let is_cut = told.len() < streams.len();
        if is_cut && !self.is_cut.replace(is_cut) {
            let (live, told) = (streams.len(), told.len());
            tracing::warn!(live, told, "more is live here than other nodes can be told");
        }
        self.is_cut.set(is_cut);
        out
    }
}

impl Other {
    /// Logs where something is other than it was.
    fn heard(&self, outcome: Result<ClientResponse, ClientError>) {
        let (label, why) = match outcome {
            Ok(answer) if answer.status.is_success() => {
                if self.trouble.take().is_some() {
                    tracing::info!(node = %self.url, "the other node hears again");
                }
                return;
            }
            Ok(answer) => {
                let said: String =
                    String::from_utf8_lossy(&answer.body).chars().take(200).collect();
                (answer.status.as_u16().to_string(), format!("{}: {said}", answer.status))
            }
            Err(error) => (error.cause.label().to_owned(), error.to_string()),
        };
        let before = self.trouble.replace(Some(label.clone()));
        if before != Some(label) {
            tracing::warn!(node = %self.url, ?why, "this node is not announced");
        }
    }
}
