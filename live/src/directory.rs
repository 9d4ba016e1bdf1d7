//! The streams of all loops, as each loop knows them: for answers that must not wait for anybody.
//!
//! A stream's own loop tells all others when it begins, stops and ends, and about once a second how it
//! goes. What is read here is never older than that, and reading it asks nobody.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use hashbrown::HashMap;
use media::codec::Info;

use crate::clients::{Toll, Viewers};
use crate::format::Infos;
use crate::json::Json;
use crate::log::writer::Writer;
use crate::meter::Rates;
use crate::name::StreamName;
use crate::stream::Stream;

/// How a stream is, as of about a second ago.
#[derive(Debug)]
pub struct Listing {
    /// The stream.
    pub name: StreamName,
    /// Somebody publishes it, and sends something.
    pub is_live: bool,
    /// Its publisher is here, and neither gone nor silent.
    pub is_heard: bool,
    /// What its tracks are.
    pub infos: Infos,
    /// Kilobits a second that its publisher sends.
    pub kbps: f64,
    /// Pictures a second.
    pub pictures: f64,
    /// How many play it.
    pub viewers: u32,
    /// The same by protocol.
    pub by_protocol: Viewers,
    /// Bytes that its publisher has sent.
    pub received: u64,
    /// Bytes of its logs.
    pub kept: u64,
    /// What happened to its players.
    pub toll: Toll,
    /// The answer to who looks it up, but for what follows `"edge":`.
    pub json: Box<[u8]>,
}

impl Listing {
    /// Of a stream that lives on this loop.
    pub fn of(stream: &Stream, now: Instant) -> Self {
        let is_live = stream.is_flowing(now);
        // What was measured of a publisher that is gone says nothing of the next one.
        let rates = match is_live {
            true => stream.meter.rates(Duration::from_secs(2)),
            false => Rates::default(),
        };
        let origin = stream.origin.as_ref().filter(|_| stream.publisher().is_some());
        let viewers = stream.audience.count();
        let mut json = Vec::with_capacity(256);
        write(&mut json, false, |json| {
            json.text("app", stream.name.app());
            json.text("name", stream.name.name());
            json.flag("live", is_live);
            json.maybe_number("since", origin.map(|origin| unix(origin.began).as_secs()));
            let codec = |info: &Option<(media::Codec, Info)>| {
                info.as_ref().map(|(codec, info)| match info.codec_string.as_str() {
                    "" => codec.name().to_owned(),
                    text => text.to_owned(),
                })
            };
            json.maybe_text("video", codec(&stream.infos().video));
            json.maybe_text("audio", codec(&stream.infos().audio));
            json.number("kbps", rates.kbps.round() as u64);
        });
        // The object is open still: the edge belongs to who answers.
        json.pop();
        json.extend_from_slice(b",\"viewers\":");
        network::http::push_decimal(&mut json, viewers.into());
        json.extend_from_slice(b",\"edge\":");
        Self {
            name: stream.name.clone(),
            is_live,
            is_heard: stream.is_heard(now),
            infos: stream.infos().clone(),
            kbps: rates.kbps,
            pictures: rates.pictures,
            viewers,
            by_protocol: stream.audience.viewers(),
            received: stream.meter.totals().bytes,
            kept: stream.logs().map(Writer::kept).sum(),
            toll: stream.audience.toll.clone(),
            json: json.into(),
        }
    }
}

fn write(out: &mut Vec<u8>, is_pretty: bool, stream: impl FnOnce(&mut Json<'_>)) {
    Json::new(out, is_pretty).object(|json| {
        json.number("code", 0);
        json.member_object("stream", stream);
    });
}

/// Since 1970.
pub fn unix(at: SystemTime) -> Duration {
    at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// News of a stream: how it is, or that it is no more.
pub type News = (StreamName, Option<Arc<Listing>>);

/// The streams of all loops.
#[derive(Default)]
pub struct Directory {
    streams: RefCell<HashMap<StreamName, Arc<Listing>>>,
    /// Counts what was heard.
    version: Cell<u64>,
}

impl Directory {
    /// A loop tells of its streams.
    pub fn hear(&self, news: &[News]) {
        self.version.set(self.version.get() + 1);
        let mut streams = self.streams.borrow_mut();
        for (name, listing) in news {
            match listing {
                Some(listing) => streams.insert(name.clone(), Arc::clone(listing)),
                None => streams.remove(name),
            };
        }
    }

    /// Another one when anything was heard.
    pub fn version(&self) -> u64 {
        self.version.get()
    }

    /// The stream of this name, which has its app.
    pub fn find(&self, name: &str) -> Option<Arc<Listing>> {
        self.streams.borrow().get(name).cloned()
    }

    /// All of them.
    pub fn all(&self) -> Vec<Arc<Listing>> {
        self.streams.borrow().values().cloned().collect()
    }

    /// The names of those that are live.
    pub fn live(&self) -> Vec<StreamName> {
        let streams = self.streams.borrow();
        let live = streams.values().filter(|listing| listing.is_live);
        live.map(|listing| listing.name.clone()).collect()
    }

    /// Bytes of all logs.
    pub fn log_bytes(&self) -> u64 {
        self.streams.borrow().values().map(|listing| listing.kept).sum()
    }

    /// How many are live, and how many play them.
    pub fn totals(&self) -> (u64, u64) {
        let streams = self.streams.borrow();
        let live = streams.values().filter(|listing| listing.is_live).count() as u64;
        (live, streams.values().map(|listing| u64::from(listing.viewers)).sum())
    }
}
