//! HLS and DASH: lists, and the segments and parts they name, which are slices of logs.
//!
//! | file | what it knows |
//! | --- | --- |
//! | `mod.rs` | which request is for what |
//! | `listing` | a rendition's list on this loop, and the requests that wait for it to grow |
//! | `manifest` | both renditions' lists as DASH has them |
//! | `slice` | a segment or part on its way to who asked |
//! | `answer` | heads that caches understand |

mod answer;
mod listing;
mod manifest;
mod slice;

use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use media::playlist::{File, Master, Reload, Rendition, Track};
use network::EventLoop;
use network::http::{Answered, Reply, Request, StatusCode};

use super::http::fail;
use crate::counters::Reason;
use crate::format::{Configs, Container, Format};
use crate::hub::Hub;
use crate::limits;
use crate::log::view::{Start, View};
use crate::name::StreamName;
use crate::settings::Segments;
pub use manifest::TIME;

use answer::{List, Ready};
use listing::{Ask, Listing, Need};

/// The lists of one loop.
pub struct Hls {
    hub: Rc<Hub>,
    listings: RefCell<HashMap<(StreamName, Rendition), Rc<Listing>>>,
    /// Requests that wait.
    held: Cell<usize>,
}

/// The container a rendition's files are slices of.
fn container(rendition: Rendition) -> Container {
    match rendition {
        Rendition::Video => Container::Mp4Video,
        Rendition::Audio => Container::Mp4Audio,
        Rendition::Ts => Container::Ts,
    }
}

impl Hls {
    /// The lists of this hub's loop, which are looked after from here on.
    pub fn start(hub: &Rc<Hub>, el: &mut EventLoop) -> Rc<Self> {
        let (hub, listings) = (Rc::clone(hub), RefCell::default());
        let hls = Rc::new(Self { hub, listings, held: Cell::new(0) });
        let around = Rc::clone(&hls);
        el.every(limits::LOOK_AROUND, move |el| around.look_around(el));
        hls
    }

    fn look_around(&self, el: &mut EventLoop) {
        let listings: Vec<_> = self.listings.borrow().values().cloned().collect();
        for listing in listings {
            listing.look_around(self, el);
        }
        self.listings.borrow_mut().retain(|_, listing| self.is_current(listing));
    }

    /// A log that is closed for want of readers has no list any more, and neither has a life of the
    /// stream behind which another one has begun.
    fn is_current(&self, listing: &Listing) -> bool {
        let (name, format) = (&listing.view().name, listing.view().format);
        let known = self.hub.find_view(name, format);
        known.is_some_and(|view| Rc::ptr_eq(&view, listing.view()))
    }

    /// The list of a rendition; made by who asks first.
    fn listing(
        self: &Rc<Self>,
        el: &mut EventLoop,
        name: &StreamName,
        rendition: Rendition,
    ) -> Rc<Listing> {
        let key = (name.clone(), rendition);
        if let Some(listing) = self.listings.borrow().get(&key).filter(|of| self.is_current(of)) {
            listing.view().touch();
            return Rc::clone(listing);
        }
        let format = Format::bare(container(rendition));
        let ended = self.hub.find_ended(name, format);
        let view = ended.unwrap_or_else(|| self.hub.view(el, name, format));
        view.touch();
        let listing = Listing::new(rendition, &view);
        self.listings.borrow_mut().insert(key, Rc::clone(&listing));
        let (hls, watched) = (Rc::downgrade(self), Rc::downgrade(&listing));
        view.watch(Rc::new(move |_, el| {
            if let (Some(hls), Some(listing)) = (hls.upgrade(), watched.upgrade()) {
                listing.grown(&hls, el);
            }
        }));
        listing
    }

    fn find(&self, name: &StreamName, rendition: Rendition) -> Option<Rc<Listing>> {
        self.listings.borrow().get(&(name.clone(), rendition)).cloned()
    }

    /// The master playlist: as soon as it is known what tracks there are.
    pub fn master(
        self: &Rc<Self>,
        request: &Request<'_>,
        reply: Reply<'_>,
        el: &mut EventLoop,
        name: &StreamName,
    ) -> Answered {
        let query = request.target().query.unwrap_or_default();
        let mut formats = query.split('&').filter_map(|pair| pair.strip_prefix("format="));
        let wanted = match formats.next() {
            None => self.hub.settings.hls.segments,
            Some("ts") => Segments::Ts,
            Some("mp4") => Segments::Mp4,
            Some(_) => {
                let text = "format is ts or mp4";
                return fail(&self.hub, reply, StatusCode::BAD_REQUEST, text);
            }
        };
        let gzip = answer::takes_gzip(request);
        let known = answer::known(request);
        let prefix = prefix(request.path(), name);
        let ready =
            move |hls: &Rc<Self>, el: &mut EventLoop, name: &_, whole, configs: &Configs| {
                let text = hls.master_text(el, (name, &prefix), whole, configs, wanted);
                let list = Rc::new(List::new(&text, gzip));
                Ready::List { list, kind: answer::HLS, fresh_for: 1, known }
            };
        if let Some(configs) = self.left(el, name, wanted) {
            return ready(self, el, name, None, &configs).send(&self.hub, reply);
        }
        self.with_configs(reply, el, name, move |hls, el, view, configs| {
            Next::Now(ready(hls, el, &view.name, Some(view.bitrate()), configs))
        })
    }

    /// The newest configurations of what is listed here although nobody publishes it: lists are there when
    /// their publisher is away, and for a while when the stream is over.
    fn left(
        self: &Rc<Self>,
        el: &mut EventLoop,
        name: &StreamName,
        wanted: Segments,
    ) -> Option<Arc<Configs>> {
        let renditions: &[Rendition] = match wanted {
            Segments::Ts => &[Rendition::Ts],
            Segments::Mp4 => &[Rendition::Video, Rendition::Audio],
        };
        renditions.iter().find_map(|rendition| {
            let listing = self.listing_there(el, name, *rendition)?;
            if listing.view().is_live() && !listing.view().has_ended() {
                return None;
            }
            let segments = listing.segments(self);
            let newest = segments.open.as_ref().or(segments.complete.back())?;
            listing.view().configs_of_generation(newest.epoch)
        })
    }

    /// The list of a rendition, where there is one or one that has ended.
    fn listing_there(
        self: &Rc<Self>,
        el: &mut EventLoop,
        name: &StreamName,
        rendition: Rendition,
    ) -> Option<Rc<Listing>> {
        let has_ended = self.hub.find_ended(name, Format::bare(container(rendition))).is_some();
        let is_there = self.find(name, rendition).is_some_and(|of| self.is_current(&of));
        (is_there || has_ended).then(|| self.listing(el, name, rendition))
    }

    /// The DASH manifest: as soon as there is a segment.
    pub fn manifest(
        self: &Rc<Self>,
        request: &Request<'_>,
        reply: Reply<'_>,
        el: &mut EventLoop,
        name: &StreamName,
    ) -> Answered {
        if !self.sees(request, &reply, el, name) {
            return kept_out(&self.hub, reply);
        }
        let ask = Ask {
            need: Need::Manifest,
            skip: false,
            gzip: answer::takes_gzip(request),
            range: None,
            known: answer::known(request),
            word: prefix(request.path(), name).into(),
            run: None,
        };
        // Who follows one list only has brought that one to be: the manifest is of both.
        let both = [Rendition::Video, Rendition::Audio];
        let there = both.map(|rendition| self.listing_there(el, name, rendition));
        if there.iter().flatten().any(|listing| !listing.view().has_ended()) {
            both.into_iter().for_each(|rendition| drop(self.listing(el, name, rendition)));
        }
        if let Some(ready) = self.manifest_now(name, &ask) {
            return ready.send(&self.hub, reply);
        }
        self.with_configs(reply, el, name, move |hls, el, view, configs| {
            let video = hls.listing(el, &view.name, Rendition::Video);
            let audio = hls.listing(el, &view.name, Rendition::Audio);
            match (&configs.video_in_mp4, &configs.audio_in_mp4) {
                (Some(_), _) => Next::Serve(video, ask),
                (None, Some(_)) => Next::Serve(audio, ask),
                (None, None) => Next::Now(Ready::gone("MP4 has no words for its codecs")),
            }
        })
    }

    /// Calls `then` as soon as it is known what tracks the stream has.
    fn with_configs(
        self: &Rc<Self>,
        reply: Reply<'_>,
        el: &mut EventLoop,
        name: &StreamName,
        then: impl FnOnce(&Rc<Self>, &mut EventLoop, &Rc<View>, &Configs) -> Next + 'static,
    ) -> Answered {
        let view = self.hub.view(el, name, Format::BASE);
        if let Some(entry) = view.entry(Start::Key) {
            let next = then(self, el, &view, &entry.configs);
            return next.go(self, reply, el.now());
        }
        let wait = self.hub.settings.play.wait_for_publisher;
        if wait.is_zero() && view.file().is_some() {
            return Ready::unpublished(name).send(&self.hub, reply);
        }
        let until = el.now() + wait.max(Duration::from_millis(100));
        let (answered, held) = reply.hold();
        let (hls, waits) = (Rc::clone(self), Rc::clone(&view));
        view.wait(
            until,
            Box::new(move |_, el| {
                // The stream may be the one that tells of its entry: lists ask it for more logs, which
                // it has time for behind that.
                el.defer(move |el| {
                    let next = match waits.entry(Start::Key) {
                        Some(entry) => then(&hls, el, &waits, &entry.configs),
                        None => Next::Now(Ready::unpublished(&waits.name)),
                    };
                    let now = el.now();
                    held.reply(el, |reply| next.go(&hls, reply, now));
                });
            }),
        );
        answered
    }

    fn master_text(
        self: &Rc<Self>,
        el: &mut EventLoop,
        (name, prefix): (&StreamName, &str),
        live: Option<u64>,
        configs: &Configs,
        wanted: Segments,
    ) -> String {
        let in_mp4 = configs.video_in_mp4.is_some() || configs.audio_in_mp4.is_some();
        let ts = wanted == Segments::Ts || !in_mp4;
        let renditions: &[Rendition] = match ts {
            true => &[Rendition::Ts],
            false => &[Rendition::Video, Rendition::Audio],
        };
        let mut rates = Vec::new();
        for rendition in renditions {
            let is_there = match rendition {
                Rendition::Video => configs.video_in_mp4.is_some(),
                Rendition::Audio => configs.audio_in_mp4.is_some(),
                Rendition::Ts => true,
            };
            // Of what does not come any more there is what others have asked for.
            let listing = match live {
                Some(_) if is_there => Some(self.listing(el, name, *rendition)),
                None if is_there => self.listing_there(el, name, *rendition),
                _ => None,
            };
            rates.extend(listing.map(|listing| (*rendition, listing.bitrate(self))));
        }
        let rate = |rendition| rates.iter().find(|(of, _)| *of == rendition).map(|(_, rate)| *rate);
        // Before there is a segment the base log knows best, though not which track has how much.
        let whole = live.unwrap_or(0);
        let known = |rate: Option<(u64, u64)>| rate.filter(|(peak, _)| *peak > 0);
        let track = |rate: Option<(u64, u64)>, info| {
            let (peak, average) = known(rate).unwrap_or((whole.saturating_mul(3) / 2, whole));
            Track { info, peak, average }
        };
        // What the pictures leave of it, where only theirs is known.
        let rest = |info| {
            let pictures = known(rate(Rendition::Video)).map_or(whole, |(_, average)| average);
            let average = whole.saturating_sub(pictures);
            Track { info, peak: average.saturating_mul(3) / 2, average }
        };
        let video = configs.infos.video.as_ref().map(|(_, info)| info);
        let audio = configs.infos.audio.as_ref().map(|(_, info)| info);
        let master = match ts {
            true => Master {
                prefix,
                // All of it is in one list: its rate is told once.
                video: video.map(|info| track(rate(Rendition::Ts), info)),
                audio: audio.map(|info| match video {
                    Some(_) => Track { info, peak: 0, average: 0 },
                    None => track(rate(Rendition::Ts), info),
                }),
                ts: true,
            },
            false => Master {
                prefix,
                video: rate(Rendition::Video).zip(video).map(|(r, info)| track(Some(r), info)),
                audio: rate(Rendition::Audio).zip(audio).map(|(r, info)| {
                    let unknown = known(Some(r)).is_none() && video.is_some();
                    match unknown {
                        true => rest(info),
                        false => track(Some(r), info),
                    }
                }),
                ts: false,
            },
        };
        master.text()
    }

    /// A rendition's playlist, segment, part or init segment.
    pub fn file(
        self: &Rc<Self>,
        request: &Request<'_>,
        reply: Reply<'_>,
        el: &mut EventLoop,
        name: &StreamName,
        file: File,
    ) -> Answered {
        if !self.sees(request, &reply, el, name) {
            return kept_out(&self.hub, reply);
        }
        let need = match file {
            File::Playlist(rendition) => {
                let reload = match Reload::parse(request.target().query.unwrap_or_default()) {
                    Ok(reload) => reload,
                    Err(error) => return Ready::bad_reload(error).send(&self.hub, reply),
                };
                let listing = self.listing(el, name, rendition);
                // Who asks for what is there is answered like those who waited for it: caches take all
                // of them for one.
                let need = reload.msn.map_or(Need::List, |msn| Need::Grown(msn, reload.part));
                let gzip = answer::takes_gzip(request);
                let known = answer::known(request);
                let skip = reload.skip;
                let word = Rc::from("");
                let ask = Ask { need, skip, gzip, range: None, known, word, run: None };
                return self.serve(reply, el.now(), &listing, ask);
            }
            File::Segment { rendition, run, number } => (rendition, run, Need::Segment(number)),
            File::Part { rendition, run, number, part } => {
                (rendition, run, Need::Part(number, part))
            }
            File::Init { rendition, run, epoch } => (rendition, run, Need::Init(epoch)),
        };
        let (rendition, run, need) = need;
        // Files are named by lists: who asks for one has seen its list, on whichever loop.
        let listing = self.listing(el, name, rendition);
        // A file never changes: its name says what is in it.
        let file = request.path().rsplit('/').next().unwrap_or_default();
        let word: Rc<str> = format!("\"{file}\"").into();
        let range = answer::range_of(request, &word);
        let (known, run) = (answer::known(request), Some(run));
        let ask = Ask { need, skip: false, gzip: false, range, known, word, run };
        self.serve(reply, el.now(), &listing, ask)
    }

    /// Counts who asks as a viewer. False where it is refused.
    fn sees(
        &self,
        request: &Request<'_>,
        reply: &Reply<'_>,
        el: &mut EventLoop,
        name: &StreamName,
    ) -> bool {
        let peer = reply.connection().peer();
        self.hub.viewers.seen(&self.hub, el, viewer_key(name, request, peer), name, peer)
    }

    /// Answers now, or when the log has grown.
    fn serve(
        self: &Rc<Self>,
        reply: Reply<'_>,
        now: Instant,
        listing: &Rc<Listing>,
        ask: Ask,
    ) -> Answered {
        if let Some(ready) = listing.resolve(self, &ask) {
            return ready.send(&self.hub, reply);
        }
        if self.held.get() >= limits::HELD {
            self.hub.counters.ended(Reason::TooManyHeld);
            let text = "too many requests wait for something already";
            return fail(&self.hub, reply, StatusCode::SERVICE_UNAVAILABLE, text);
        }
        let (answered, held) = reply.hold();
        listing.wait(self, ask, held, now);
        answered
    }
}

fn kept_out(hub: &Hub, reply: Reply<'_>) -> Answered {
    fail(
        hub,
        reply,
        StatusCode::FORBIDDEN,
        "the operator ended this viewer; it may come back later",
    )
}

/// How a request goes on when it is known what tracks there are.
enum Next {
    /// With an answer.
    Now(Ready),
    /// With a list or what it names, which may have to be waited for.
    Serve(Rc<Listing>, Ask),
}

impl Next {
    fn go(self, hls: &Rc<Hls>, reply: Reply<'_>, now: Instant) -> Answered {
        match self {
            Self::Now(ready) => ready.send(&hls.hub, reply),
            Self::Serve(listing, ask) => hls.serve(reply, now, &listing, ask),
        }
    }
}

/// What stands before a stream's files in its lists, seen from the path of these. Where a path is short,
/// the stream's app is not in it.
fn prefix(path: &str, name: &StreamName) -> String {
    let is_short = !path.trim_start_matches('/').contains('/');
    let mut prefix = String::new();
    for byte in if is_short { name.as_str() } else { name.name() }.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                prefix.push(char::from(byte));
            }
            // A colon would make a scheme of what is before it.
            _ => {
                // Writing to a String does not fail.
                let _ = write!(prefix, "%{byte:02X}");
            }
        }
    }
    prefix.push('/');
    prefix
}

/// Tells viewers apart: by address, user agent, and what they say of themselves in the query (`id`) or
/// in a cookie (`weir_id`). The same on all loops.
fn viewer_key(name: &StreamName, request: &Request<'_>, peer: Option<SocketAddr>) -> u64 {
    let mut key = Key(0xcbf2_9ce4_8422_2325);
    name.as_str().hash(&mut key);
    peer.map(|peer| peer.ip()).hash(&mut key);
    request.headers().get("User-Agent").hash(&mut key);
    let query = request.target().query.unwrap_or_default();
    query.split('&').find_map(|pair| pair.strip_prefix("id=")).hash(&mut key);
    let cookies = request.headers().get_str("Cookie").unwrap_or_default();
    cookies.split(';').find_map(|pair| pair.trim().strip_prefix("weir_id=")).hash(&mut key);
    key.finish()
}

/// FNV-1a: the library's hashes differ from loop to loop on purpose.
struct Key(u64);

impl Hasher for Key {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}
