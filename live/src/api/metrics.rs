//! `/metrics`: what Prometheus reads. Every counter there is, and each stream's figures up to a bound.

use std::fmt::Write as _;
use std::rc::Rc;
use std::sync::Arc;

use network::EventLoop;
use network::http::{Answered, Held, Reply};

use super::Api;
use super::answer::Wrong;
use super::query::Asked;
use super::query::PROTOCOLS;
use crate::Counters;
use crate::counters::{ApiRefusal, Count, HTTP_FAILURES, Reason};
use crate::directory::{Listing, unix};
use crate::histogram::{Histogram, Snapshot};
use crate::left_out::{Dropped, Skip};
use crate::limits;

const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";
const MICROS: f64 = 1e6;

/// `GET /metrics`
pub(super) fn page(api: &Rc<Api>, _: Asked, reply: Reply<'_>, el: &mut EventLoop) -> Answered {
    if api.hub.gatherings.are_full() {
        return api.fail(reply, &Wrong::busy());
    }
    let mut page = Page(String::with_capacity(64 * 1024));
    process(api, &mut page);
    each_loop(api, &mut page);
    counts(api, &mut page);
    histograms(api, &mut page);
    let streams = Streams::of(api, &mut page);
    let (answered, held) = reply.hold();
    let mut job = Job {
        api: Rc::clone(api),
        held: Some(held),
        page,
        streams,
        families: FAMILIES.iter(),
        under_way: None,
    };
    api.hub.chore(el, move |_, el| job.go_on(el));
    answered
}

/// A page with many streams: some rows of a family at a time.
struct Job {
    api: Rc<Api>,
    held: Option<Held>,
    page: Page,
    streams: Streams,
    families: std::slice::Iter<'static, StreamFamily>,
    /// The family that is being written, and its next stream.
    under_way: Option<(&'static StreamFamily, usize)>,
}

impl Job {
    /// True where that was all.
    fn go_on(&mut self, el: &mut EventLoop) -> bool {
        if self.held.as_ref().is_none_or(|held| !held.is_waiting(el)) {
            return true;
        }
        let next = self.under_way.take().or_else(|| self.families.next().map(|family| (family, 0)));
        if let Some((family, from)) = next {
            let until = from + limits::ROWS_AT_ONCE;
            self.streams.write(family, from..until, &mut self.page);
            self.under_way = (until < self.streams.all.len()).then_some((family, until));
            return false;
        }
        if let Some(held) = self.held.take() {
            let text = std::mem::take(&mut self.page.0);
            held.reply(el, |reply| self.api.send_text(reply, KIND, text));
        }
        true
    }
}

/// The page as it grows. Writing to a String does not fail.
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn value(&mut self, name: &str, labels: &str, value: f64) {
        let _ = match labels {
            "" => writeln!(self.0, "{name} {value}"),
            labels => writeln!(self.0, "{name}{{{labels}}} {value}"),
        };
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.family(name, kind, help);
        self.value(name, "", value);
    }

    /// Powers of two from `from` to `to`, in units of `unit` of the values.
    fn histogram(
        &mut self,
        name: &str,
        help: &str,
        all: &Snapshot,
        powers: (usize, usize),
        unit: f64,
    ) {
        self.family(name, "histogram", help);
        let (from, to) = powers;
        let mut sum = 0;
        for (power, count) in all.counts.iter().enumerate() {
            sum += count;
            if (from..=to).contains(&power) {
                let bound = 2_f64.powi(i32::try_from(power).unwrap_or(0)) / unit;
                let _ = writeln!(self.0, "{name}_bucket{{le=\"{bound}\"}} {sum}");
            }
        }
        let count = all.count();
        let _ = writeln!(self.0, "{name}_bucket{{le=\"+Inf\"}} {count}");
        let _ = writeln!(self.0, "{name}_sum {}\n{name}_count {count}", all.sum as f64 / unit);
    }
}

fn process(api: &Api, page: &mut Page) {
    let about = &api.about;
    page.family("weir_build_info", "gauge", "The version that runs.");
    page.value("weir_build_info", &format!("version=\"{}\"", about.version), 1.0);
    let began = unix(about.began).as_secs_f64();
    let help = "When the process began, in seconds since 1970.";
    page.one("process_start_time_seconds", "gauge", help, began);
    let help = "Memory of the process.";
    let process = (about.process)();
    page.one("process_resident_memory_bytes", "gauge", help, process.resident as f64);
    let help = "Time of the process on cores, its own and the kernel's for it.";
    page.one("process_cpu_seconds_total", "counter", help, process.cpu);
    if let Some(open) = process.descriptors {
        page.one("process_open_fds", "gauge", "Descriptors that are open.", open as f64);
    }
    let help = "Descriptors that may be open.";
    page.one("process_max_fds", "gauge", help, process.descriptors_most as f64);
    let help = "Memory of the streams' logs, in memory files.";
    page.one("weir_log_memory_bytes", "gauge", help, api.hub.directory.log_bytes() as f64);
    let help = "Whether the server is about to end.";
    page.one("weir_draining", "gauge", help, f64::from(u8::from(api.hub.is_draining())));
    let open = about.limiter.open() as f64;
    page.one("weir_connections", "gauge", "Connections that are open.", open);
    let (limiter, name) = (&about.limiter, "weir_connections_refused_total");
    page.family(name, "counter", "Connections that found no room, by the limit in force.");
    let refused = limiter.refused() as f64;
    page.value(name, "limit=\"connections\"", refused);
    let refused = limiter.refused_by_address() as f64;
    page.value(name, "limit=\"connections_per_address\"", refused);
}

fn each_loop(api: &Api, page: &mut Page) {
    type Of = fn(&network::Handle, &Counters) -> f64;
    let families: [(&str, &str, &str, Of); 9] = [
        ("weir_loop_busy_ratio", "gauge", "The share of its time the loop works.", |h, _| {
            f64::from(h.busy_share())
        }),
        (
            "weir_loop_others_ratio",
            "gauge",
            "The share of its time the loop works at anything but writing to players.",
            |_, c| c.others.get() as f64 / 1000.0,
        ),
        ("weir_loop_connections", "gauge", "Connections on the loop.", |h, _| {
            h.connections() as f64
        }),
        ("weir_loop_players", "gauge", "Players on the loop.", |_, c| c.players.here() as f64),
        ("weir_loop_turns_total", "counter", "Turns of the loop.", |h, _| h.turns() as f64),
        ("weir_loop_wakes_total", "counter", "How often others woke the loop.", |h, _| {
            h.wakes() as f64
        }),
        ("weir_loop_tasks_total", "counter", "Tasks that others posted to the loop.", |h, _| {
            h.tasks() as f64
        }),
        (
            "weir_loop_flush_pause_seconds",
            "gauge",
            "The pause between two flushes of a stream.",
            |_, c| c.pause.get() as f64 / MICROS,
        ),
        ("weir_loop_write_seconds", "gauge", "What writing to one player costs.", |_, c| {
            c.write_cost.get() as f64 / 1e9
        }),
    ];
    for (name, kind, help, of) in families {
        page.family(name, kind, help);
        for (place, (handle, counters)) in loops(api) {
            page.value(name, &format!("loop=\"{place}\""), of(handle, counters));
        }
    }
    let name = "weir_loop_turn_seconds";
    page.family(name, "histogram", "How long turns of the loop take, the wait left out.");
    for (place, (handle, _)) in loops(api) {
        let (counts, time) = handle.turn_times();
        let mut sum = 0;
        for (bound, count) in network::limits::TURN_TIMES.iter().zip(counts) {
            sum += count;
            let le = bound.as_secs_f64();
            let _ = writeln!(page.0, "{name}_bucket{{loop=\"{place}\",le=\"{le}\"}} {sum}");
        }
        let count: u64 = counts.iter().sum();
        let seconds = time.as_secs_f64();
        let _ = writeln!(page.0, "{name}_bucket{{loop=\"{place}\",le=\"+Inf\"}} {count}");
        let _ = writeln!(page.0, "{name}_sum{{loop=\"{place}\"}} {seconds}");
        let _ = writeln!(page.0, "{name}_count{{loop=\"{place}\"}} {count}");
    }
}

fn loops(api: &Api) -> impl Iterator<Item = (usize, (&network::Handle, &Counters))> {
    let counters = api.about.counters.iter().map(|counters| &**counters);
    api.hub.handles().iter().zip(counters).enumerate()
}

/// A family's name, kind and help, and where its value is.
type Family = (&'static str, &'static str, &'static str, fn(&Counters) -> u64);

const COUNTS: [Family; 16] = [
    ("weir_streams", "gauge", "Streams, those that wait for a publisher included.", |c| {
        c.streams.here()
    }),
    ("weir_publishers", "gauge", "Publishers.", |c| c.publishers.here()),
    ("weir_players", "gauge", "Players with a connection of their own.", |c| c.players.here()),
    ("weir_segment_viewers", "gauge", "Players that fetch segments.", |c| c.viewers.here()),
    (
        "weir_uncounted_viewer_requests_total",
        "counter",
        "Requests of viewers beyond the bound.",
        |c| c.viewers_uncounted.get(),
    ),
    ("weir_segments_sent_total", "counter", "Segments and parts that were sent whole.", |c| {
        c.slices.get()
    }),
    ("weir_streams_begun_total", "counter", "Streams that began.", |c| c.streams.came()),
    ("weir_publishers_begun_total", "counter", "Publishers that began.", |c| c.publishers.came()),
    ("weir_players_begun_total", "counter", "Players that began.", |c| c.players.came()),
    ("weir_received_bytes_total", "counter", "Bytes of media from publishers.", |c| {
        c.bytes_in.get()
    }),
    ("weir_sent_bytes_total", "counter", "Bytes of media to players.", |c| c.bytes_out.get()),
    ("weir_frames_total", "counter", "Frames from publishers.", |c| c.frames_in.get()),
    ("weir_clock_jumps_total", "counter", "Steps of publishers' clocks not believed.", |c| {
        c.clock_jumps.get()
    }),
    ("weir_flushes_total", "counter", "Rounds of writes to the players of a stream.", |c| {
        c.flushes.get()
    }),
    ("weir_api_requests_total", "counter", "Requests to the API.", |c| c.api_requests.get()),
    ("weir_events_lost_total", "counter", "Events that came too many at once to be told.", |c| {
        c.events_lost.get()
    }),
];

fn counts(api: &Api, page: &mut Page) {
    for (name, kind, help, of) in COUNTS {
        page.one(name, kind, help, api.sum(of) as f64);
    }
    let skips = Skip::ALL.map(Skip::label);
    let help = "Skips of players to a newer keyframe, by reason.";
    by_reason(api, page, ("weir_skips_total", help), &skips, |c| &c.skips);
    let help = "Bytes that players did not get since they skipped, by reason.";
    by_reason(api, page, ("weir_skipped_bytes_total", help), &skips, |c| &c.skipped_bytes);
    let (drops, help) =
        (Dropped::ALL.map(Dropped::label), "Frames that no player gets, by reason.");
    by_reason(api, page, ("weir_frames_dropped_total", help), &drops, |c| &c.dropped);
    let name = "weir_ended_total";
    page.family(name, "counter", "Publishers and players that ended or were refused, by reason.");
    for reason in Reason::ALL {
        let count = api.sum(|counters| counters.ended_by(reason)) as f64;
        page.value(name, &format!("reason=\"{}\"", reason.label()), count);
    }
    let help = "Requests to the API that were turned away, by reason.";
    let refusals = ApiRefusal::ALL.map(ApiRefusal::label);
    by_reason(api, page, ("weir_api_refused_total", help), &refusals, |c| &c.api_refused);
    let name = "weir_http_failures_total";
    page.family(name, "counter", "HTTP requests that no route answered, by status.");
    for (place, status) in HTTP_FAILURES.iter().enumerate() {
        let count = api.sum(|c| c.http_failures.get(place).map_or(0, |count| count.get()));
        page.value(name, &format!("status=\"{status}\""), count as f64);
    }
}

/// A table of counters, each with the word for its place.
fn by_reason(
    api: &Api,
    page: &mut Page,
    (name, help): (&str, &str),
    reasons: &[&str],
    table: fn(&Counters) -> &[Count],
) {
    page.family(name, "counter", help);
    for (place, reason) in reasons.iter().enumerate() {
        let count = api.sum(|c| table(c).get(place).map_or(0, Count::get));
        page.value(name, &format!("reason=\"{reason}\""), count as f64);
    }
}

fn histograms(api: &Api, page: &mut Page) {
    let all = |of: fn(&Counters) -> &Histogram| {
        let mut all = Snapshot::default();
        api.about.counters.iter().for_each(|counters| of(counters).add_to(&mut all));
        all
    };
    let help = "From a player's request to its first frame.";
    page.histogram("weir_join_seconds", help, &all(|c| &c.joins), (7, 24), MICROS);
    let help = "How far players were behind when they skipped.";
    page.histogram("weir_skip_lag_seconds", help, &all(|c| &c.skip_lag), (17, 24), MICROS);
    let help = "What flushes waited for other work of the loop, to begin and in between.";
    page.histogram("weir_flush_wait_seconds", help, &all(|c| &c.flush_waits), (7, 17), MICROS);
    let help = "Bytes of one write to one player.";
    page.histogram("weir_write_size_bytes", help, &all(|c| &c.write_bytes), (8, 22), 1.0);
}

/// The streams that have figures of their own.
struct Streams {
    all: Vec<Arc<Listing>>,
}

/// A family's name, kind and help, and a stream's value.
type StreamFamily = (&'static str, &'static str, &'static str, fn(&Listing) -> f64);

const FAMILIES: [StreamFamily; 7] = [
    ("weir_stream_live", "gauge", "Whether media of the stream is flowing.", |l| {
        f64::from(u8::from(l.is_live))
    }),
    ("weir_stream_viewers", "gauge", "Who plays the stream.", |l| l.viewers as f64),
    ("weir_stream_bytes_per_second", "gauge", "What its publisher sends.", |l| l.kbps * 125.0),
    ("weir_stream_frames_per_second", "gauge", "Pictures from its publisher.", |l| l.pictures),
    ("weir_stream_received_bytes_total", "counter", "Bytes from its publisher.", |l| {
        l.received as f64
    }),
    ("weir_stream_sent_bytes_total", "counter", "Bytes to its players.", |l| l.toll.sent as f64),
    ("weir_stream_skips_total", "counter", "Skips of its players.", |l| {
        l.toll.skips.times() as f64
    }),
];

impl Streams {
    /// Also writes what is known of all of them together.
    fn of(api: &Api, page: &mut Page) -> Self {
        let mut all = api.hub.directory.all();
        all.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        // Also those that nobody plays by: a series that comes and goes is none to be watched.
        let players = PROTOCOLS.into_iter().filter(|protocol| *protocol != "demo");
        let mut by_protocol: Vec<(&str, u64)> = players.map(|protocol| (protocol, 0)).collect();
        for (protocol, count) in all.iter().flat_map(|listing| &listing.by_protocol) {
            match by_protocol.iter_mut().find(|(other, _)| other == protocol) {
                Some((_, sum)) => *sum += u64::from(*count),
                None => by_protocol.push((protocol, u64::from(*count))),
            }
        }
        by_protocol.sort_unstable();
        page.family("weir_viewers", "gauge", "Who plays, by protocol.");
        for (protocol, count) in by_protocol {
            page.value("weir_viewers", &format!("protocol=\"{protocol}\""), count as f64);
        }
        let unlisted = all.len().saturating_sub(limits::METRIC_STREAMS);
        let help = "Streams beyond the bound, without figures of their own here.";
        page.one("weir_streams_unlisted", "gauge", help, unlisted as f64);
        all.truncate(limits::METRIC_STREAMS);
        Self { all }
    }

    fn write(&self, family: &StreamFamily, rows: std::ops::Range<usize>, page: &mut Page) {
        let (name, kind, help, of) = family;
        if rows.start == 0 {
            page.family(name, kind, help);
        }
        for listing in self.all.iter().skip(rows.start).take(rows.len()) {
            let (app, stream) = (listing.name.app(), listing.name.name());
            // Names have no letter that would have to be escaped.
            let value = of(listing);
            let _ = writeln!(page.0, "{name}{{app=\"{app}\",stream=\"{stream}\"}} {value}");
        }
    }
}
