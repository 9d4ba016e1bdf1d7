//! A rendition's list on this loop, and the requests that wait for it to grow.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use media::playlist::{Answer, Media, Reload, Rendition, Report, Run, State};
use network::EventLoop;
use network::http::Held;

use super::answer::{self, List, Range, Ready};
use super::{Hls, container};
use crate::limits;
use crate::log::segments::Segments;
use crate::log::view::View;

/// What a request needs before it can be answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Need {
    /// The list, once there is enough in it to begin with.
    List,
    /// The list that has this segment, or this part of it.
    Grown(u64, Option<u32>),
    /// The DASH manifest.
    Manifest,
    /// A segment; one that still grows is sent as it does.
    Segment(u64),
    /// A part of a segment; the next one is waited for.
    Part(u64, u32),
    /// The init segment of a generation.
    Init(u32),
}

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub need: Need,
    /// Older segments may be left out of the list.
    pub skip: bool,
    pub gzip: bool,
    pub range: Option<Range>,
    /// The list its asker has already.
    pub known: Option<Rc<str>>,
    /// Of a file, its tag; of a manifest, what stands before its files' names.
    pub word: Rc<str>,
    /// Which life of the stream it is of; lists are of whichever there is.
    pub run: Option<Run>,
}

struct Waiting {
    until: Instant,
    since: Instant,
    ask: Ask,
    held: Held,
}

pub(super) struct Listing {
    rendition: Rendition,
    view: Rc<View>,
    made: Instant,
    waiting: RefCell<VecDeque<Waiting>>,
    /// The list has been sent, and is from then on sent as it is.
    has_begun: Cell<bool>,
    /// Nobody's time is over before.
    next_end: Cell<Option<Instant>>,
    /// The list as it was last asked for, and what it was made of.
    lists: RefCell<Option<(Made, Lists)>>,
    segments: RefCell<Option<(Stand, Rc<Segments>)>>,
}

/// What segments were made of.
type Stand = (u64, bool);

/// What a list was made of: it is the same as long as this is.
type Made = (Stand, State, Vec<Report>);

#[derive(Default)]
struct Lists {
    /// By whether older segments are left out, and whether it is compressed.
    by: [Option<Rc<List>>; 4],
}

/// What is the same for all who are answered at a time, found once.
#[derive(Default)]
struct Round {
    state: Option<Option<State>>,
    lists: Lists,
}

impl Ask {
    /// Which of [`Lists`] it wants.
    fn place(&self) -> usize {
        usize::from(self.skip) * 2 + usize::from(self.gzip)
    }
}

impl Listing {
    pub(super) fn new(rendition: Rendition, view: &Rc<View>) -> Rc<Self> {
        Rc::new(Self {
            rendition,
            view: Rc::clone(view),
            made: Instant::now(),
            waiting: RefCell::default(),
            has_begun: Cell::new(false),
            next_end: Cell::new(None),
            lists: RefCell::default(),
            segments: RefCell::default(),
        })
    }

    pub(super) fn view(&self) -> &Rc<View> {
        &self.view
    }

    /// Whether what has not come may still come.
    pub(super) fn is_young(&self) -> bool {
        self.made.elapsed() < limits::BEGINNING_HELD_FOR && !self.view.has_ended()
    }

    /// Bits a second, of the segment that has most and of all.
    pub(super) fn bitrate(&self, hls: &Hls) -> (u64, u64) {
        self.segments(hls).bitrate
    }

    /// What the list has; nothing as long as there is none to be sent.
    pub(super) fn state(&self, hls: &Hls) -> Option<State> {
        let segments = self.segments(hls);
        segments.is_playable().then(|| self.media(hls, &segments, &[]).state())
    }

    /// Whether there is enough to begin with. A player that begins with less stops before the next
    /// segment is there; Chromium's own gives up where its first two reloads bring it nothing.
    fn has_enough(&self, hls: &Hls) -> bool {
        if !self.has_begun.get() {
            let segments = self.segments(hls);
            let enough = segments.complete.len() >= limits::SEGMENTS_LISTED;
            self.has_begun.set(enough || segments.is_playable() && self.view.has_ended());
        }
        self.has_begun.get() && self.state(hls).is_some()
    }

    pub(super) fn is_low_latency(&self, hls: &Hls) -> bool {
        // A transport stream has no parts: it is for old devices.
        self.rendition != Rendition::Ts && hls.hub.settings.hls.low_latency
    }

    pub(super) fn segments(&self, hls: &Hls) -> Rc<Segments> {
        let stand = (self.view.version(), self.view.has_ended());
        if let Some((made, segments)) = &*self.segments.borrow()
            && *made == stand
        {
            return Rc::clone(segments);
        }
        let window = i64::try_from(hls.hub.settings.hls.window.as_micros()).unwrap_or(i64::MAX);
        let segments = Rc::new(self.view.segments(window));
        self.segments.replace(Some((stand, Rc::clone(&segments))));
        segments
    }

    pub(super) fn media<'a>(
        &self,
        hls: &Hls,
        segments: &'a Segments,
        reports: &'a [Report],
    ) -> Media<'a> {
        let part = i64::try_from(hls.hub.settings.hls.part.as_micros()).unwrap_or(i64::MAX);
        // Pictures that come seldom make longer parts than are wanted.
        let part = part.saturating_add(part / limits::PART_JITTER).max(segments.longest_part);
        Media {
            rendition: self.rendition,
            run: self.view.run(),
            prefix: "",
            target_duration: self.view.target_duration(),
            part_target: self.is_low_latency(hls).then_some(part),
            part_hold_back: part.saturating_mul(limits::PARTS_HELD_BACK),
            segments: &segments.complete,
            open: segments.open.as_ref(),
            discontinuity_sequence: segments.discontinuities,
            ended: self.view.has_ended(),
            independent: segments.independent,
            reports,
            skip: false,
        }
    }

    /// How far the other rendition is.
    fn reports(&self, hls: &Hls) -> Vec<Report> {
        let other = match self.rendition {
            Rendition::Video => Rendition::Audio,
            Rendition::Audio => Rendition::Video,
            Rendition::Ts => return Vec::new(),
        };
        let Some(listing) = hls.find(&self.view.name, other) else { return Vec::new() };
        let segments = listing.segments(hls);
        let last = listing.media(hls, &segments, &[]).last();
        last.map(|last| Report { rendition: other, last }).into_iter().collect()
    }

    fn list(&self, hls: &Hls, ask: &Ask) -> Rc<List> {
        let segments = self.segments(hls);
        let reports = match self.is_low_latency(hls) {
            true => self.reports(hls),
            false => Vec::new(),
        };
        let media = Media { skip: ask.skip, ..self.media(hls, &segments, &reports) };
        let made = ((self.view.version(), self.view.has_ended()), media.state(), reports.clone());
        let mut lists = self.lists.borrow_mut();
        if lists.as_ref().is_none_or(|(of, _)| *of != made) {
            *lists = Some((made, Lists::default()));
        }
        let make = || Rc::new(List::new(&media.text(), ask.gzip));
        match lists.as_mut().and_then(|(_, lists)| lists.by.get_mut(ask.place())) {
            Some(list) => Rc::clone(list.get_or_insert_with(make)),
            None => make(),
        }
    }

    /// The answer, if it can be given now.
    pub(super) fn resolve(&self, hls: &Hls, ask: &Ask) -> Option<Ready> {
        self.resolve_in(hls, ask, &mut Round::default())
    }

    fn resolve_in(&self, hls: &Hls, ask: &Ask, round: &mut Round) -> Option<Ready> {
        let state = |round: &mut Round| *round.state.get_or_insert_with(|| self.state(hls));
        let list = |round: &mut Round| {
            let made = round.lists.by.get_mut(ask.place())?;
            let list = Rc::clone(made.get_or_insert_with(|| self.list(hls, ask)));
            let low = self.is_low_latency(hls);
            let target = self.view.target_duration();
            Some(Ready::List {
                list,
                kind: answer::HLS,
                known: ask.known.clone(),
                // A list that was waited for is the same for all who ask for it; any other is old soon.
                fresh_for: match ask.need {
                    Need::Grown(..) => target,
                    // Players of low latency expect one of a cache to be a little old, and catch up.
                    _ if low => 1,
                    _ => (target / 2).max(1),
                },
            })
        };
        // Until its log is there nobody knows which life it is.
        if ask.run.is_some_and(|run| self.view.file().is_some() && run != self.view.run()) {
            return Some(Ready::gone("it is of another life of the stream"));
        }
        match ask.need {
            Need::List if self.has_enough(hls) => list(round),
            Need::List => None,
            // On a loop that has the log only now it turns out here what makes no sense.
            Need::Grown(msn, part) => {
                match state(round)?.answer(&Reload { msn: Some(msn), part, skip: ask.skip }) {
                    Answer::Now => list(round),
                    Answer::Wait { .. } => None,
                    Answer::Bad(error) => Some(Ready::bad_reload(error)),
                }
            }
            Need::Manifest => hls.manifest_now(&self.view.name, ask),
            Need::Segment(number) => self.segment(hls, number, ask),
            Need::Part(number, part) => self.part(hls, number, part, ask),
            Need::Init(generation) => {
                self.view.file()?;
                let mut bytes = Vec::new();
                if let Some(configs) = self.view.configs_of_generation(generation) {
                    crate::pack::append_init(container(self.rendition), &configs, &mut bytes);
                }
                Some(match bytes.is_empty() {
                    true => Ready::gone("there is no such init segment, or not any more"),
                    false => Ready::Init {
                        bytes,
                        kind: self.view.format.content_type(),
                        known: ask.known.clone(),
                        tag: Rc::clone(&ask.word),
                    },
                })
            }
        }
    }

    fn segment(&self, hls: &Hls, number: u64, ask: &Ask) -> Option<Ready> {
        let found = u32::try_from(number).ok().and_then(|n| self.view.segment(n).map(|s| (n, s)));
        if let Some((number, (at, end))) = found {
            return Some(self.slice(number, (at, end), ask));
        }
        self.missing(hls, number, None)
    }

    fn part(&self, hls: &Hls, number: u64, part: u32, ask: &Ask) -> Option<Ready> {
        let short = u32::try_from(number).ok();
        let found = short.and_then(|n| self.view.part(n, part).map(|place| (n, place)));
        if let Some((number, (at, end))) = found {
            return Some(self.slice(number, (at, Some(end)), ask));
        }
        self.missing(hls, number, Some(part))
    }

    fn slice(&self, number: u32, (at, end): (u64, Option<u64>), ask: &Ask) -> Ready {
        let (view, known, tag) = (Rc::clone(&self.view), ask.known.clone(), Rc::clone(&ask.word));
        Ready::Slice { view, number, at, end, range: ask.range, known, tag }
    }

    /// What is not there is waited for if it is the next to come.
    fn missing(&self, hls: &Hls, number: u64, part: Option<u32>) -> Option<Ready> {
        self.view.file()?;
        let segments = self.segments(hls);
        let state = self.media(hls, &segments, &[]).state();
        let is_next = !state.ended
            && match part {
                Some(part) => number == state.next && part == state.parts,
                None => number == state.next,
            };
        if is_next { None } else { Some(Ready::gone("there is no such file, or not any more")) }
    }

    /// Answers when the need is met, or when it has waited long enough.
    pub(super) fn wait(&self, hls: &Hls, ask: Ask, held: Held, now: Instant) {
        let wait = match ask.need {
            Need::Grown(..) | Need::Part(..) => {
                Duration::from_secs(self.view.target_duration().into()) * 3
            }
            _ => hls.hub.settings.play.wait_for_publisher.max(Duration::from_millis(100)),
        };
        let until = now + wait.min(limits::HELD_FOR);
        self.note_end(until);
        hls.held.set(hls.held.get() + 1);
        self.waiting.borrow_mut().push_back(Waiting { until, since: now, ask, held });
    }

    fn note_end(&self, until: Instant) {
        self.next_end.set(Some(self.next_end.get().map_or(until, |next| next.min(until))));
    }

    /// The log has grown, or its stream has ended.
    pub(super) fn grown(&self, hls: &Hls, el: &mut EventLoop) {
        if !self.waiting.borrow().is_empty() {
            self.answer(hls, el, false);
        }
    }

    /// Ends what has waited long enough. The log is kept as long as somebody waits.
    pub(super) fn look_around(&self, hls: &Hls, el: &mut EventLoop) {
        if !self.waiting.borrow().is_empty() {
            self.view.touch();
        }
        if self.next_end.get().is_some_and(|end| end <= el.now()) {
            self.next_end.set(None);
            self.answer(hls, el, true);
        }
    }

    fn answer(&self, hls: &Hls, el: &mut EventLoop, is_time: bool) {
        let now = el.now();
        let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
        let (mut kept, mut round) = (VecDeque::new(), Round::default());
        for mut waiting in waiting {
            let ready = self.resolve_in(hls, &waiting.ask, &mut round).or_else(|| {
                (is_time && waiting.until <= now)
                    .then(|| self.late(hls, &mut waiting, now))
                    .flatten()
            });
            match ready {
                Some(ready) => {
                    hls.held.set(hls.held.get().saturating_sub(1));
                    waiting.held.reply(el, |reply| ready.send(&hls.hub, reply));
                }
                None if !waiting.held.is_waiting(el) => {
                    hls.held.set(hls.held.get().saturating_sub(1));
                }
                None => {
                    if is_time {
                        self.note_end(waiting.until);
                    }
                    kept.push_back(waiting);
                }
            }
        }
        let mut all = self.waiting.borrow_mut();
        kept.append(&mut all);
        *all = kept;
    }

    /// The answer to what has waited long enough. A stream that is there and has no segment yet is
    /// waited for a while longer.
    fn late(&self, hls: &Hls, waiting: &mut Waiting, now: Instant) -> Option<Ready> {
        let settings = &hls.hub.settings.hls;
        let longest = settings.longest_segment.saturating_add(settings.segment);
        let waited = now.saturating_duration_since(waiting.since);
        let beginning = settings.segment.saturating_mul(limits::SEGMENTS_WAITED_FOR);
        let is_long = waited >= beginning.min(limits::BEGINNING_HELD_FOR) || !self.view.is_live();
        match waiting.ask.need {
            Need::Grown(..) | Need::Part(..) => Some(Ready::late()),
            Need::List if is_long && self.state(hls).is_some() => {
                self.has_begun.set(true);
                self.resolve(hls, &waiting.ask)
            }
            _ if !self.view.is_live() => Some(Ready::unpublished(&self.view.name)),
            _ if waited < longest.min(limits::HELD_FOR) => {
                waiting.until = now + Duration::from_secs(1);
                None
            }
            _ => Some(Ready::late()),
        }
    }
}
