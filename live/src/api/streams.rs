//! Streams: a list of them, one of them, and an end for their publishers.

use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use media::codec::Info;
use network::EventLoop;
use network::http::{Answered, Reply};

use super::Api;
use super::answer::{Wrong, envelope};
use super::gather::{Batch, Best, Key, Step};
use super::list::{self, Kind, Wanted};
use super::query::{Asked, Filter};
use crate::counters::Reason;
use crate::directory::unix;
use crate::health;
use crate::hub::Hub;
use crate::json::Json;
use crate::left_out::Skips;
use crate::limits;
use crate::name::StreamName;
use crate::stream::Stream;

/// What SRS calls the host of streams that are on none.
pub(super) const VHOST: &str = "__defaultVhost__";

const LIST: Kind<StreamName> = Kind {
    member: "streams",
    orders: &["name", "viewers", "health"],
    cursor: |text| StreamName::parse(text).map_err(|error| error.to_string()),
    rows: |wanted| match wanted.sort {
        Some(sort) => ranked(wanted, sort),
        None => rows(wanted),
    },
    is_everywhere: false,
};

/// `GET /api/v1/streams`
pub(super) fn list(api: &Rc<Api>, asked: Asked, reply: Reply<'_>, el: &mut EventLoop) -> Answered {
    list::answer(&LIST, api, &asked, reply, el)
}

/// The streams that live on a loop, in the order of their names.
fn rows(wanted: Wanted<StreamName>) -> Step {
    let Wanted { filter, after, most, is_pretty, .. } = wanted;
    let mut names: Option<std::vec::IntoIter<StreamName>> = None;
    Box::new(move |hub: &Rc<Hub>, _, batch: &mut Batch| {
        let names = names.get_or_insert_with(|| {
            let mut names = hub.stream_names();
            names.sort_unstable();
            names.into_iter()
        });
        for _ in 0..limits::ROWS_AT_ONCE {
            let Some(name) = names.next() else { return true };
            let Some(stream) = hub.find_stream(&name) else { continue };
            let stream = stream.borrow();
            if !is_asked_for(&stream, &filter) {
                continue;
            }
            batch.total += 1;
            if after.as_ref().is_none_or(|after| name > *after) && batch.rows.len() < most {
                batch.add(Key::Stream(name.clone()), is_pretty, 2, |json| row(json, &stream));
            }
        }
        false
    })
}

fn is_asked_for(stream: &Stream, filter: &Filter) -> bool {
    let origin = stream.origin.as_ref();
    let protocol = origin.map(|origin| origin.protocol);
    let peer = origin.and_then(|origin| origin.peer);
    stream.has_begun() && filter.takes(&stream.name, protocol, peer)
}

/// The streams that live on a loop: those with the most viewers first, or those that are worst.
fn ranked(wanted: Wanted<StreamName>, sort: &'static str) -> Step {
    let Wanted { filter, most, is_pretty, .. } = wanted;
    let mut names: Option<std::vec::IntoIter<StreamName>> = None;
    let mut best = Best::new(most);
    let mut sorted: Option<std::vec::IntoIter<_>> = None;
    Box::new(move |hub: &Rc<Hub>, _, batch: &mut Batch| {
        let names = names.get_or_insert_with(|| hub.stream_names().into_iter());
        let now = Instant::now();
        if names.len() > 0 {
            for name in names.by_ref().take(limits::ROWS_AT_ONCE) {
                let Some(stream) = hub.find_stream(&name) else { continue };
                let stream = stream.borrow();
                if is_asked_for(&stream, &filter) {
                    batch.total += 1;
                    let viewers = u64::from(stream.audience.count());
                    let rank = match sort {
                        "health" => health::of(&stream, now).0 as u64,
                        _ => viewers,
                    };
                    best.add(rank, name);
                }
            }
            return false;
        }
        let sorted = sorted.get_or_insert_with(|| best.take().into_iter());
        for (rank, name) in sorted.by_ref().take(limits::ROWS_AT_ONCE) {
            // It may have ended meanwhile.
            let Some(stream) = hub.find_stream(&name) else { continue };
            let stream = stream.borrow();
            batch.add(Key::RankedStream(rank, name), is_pretty, 2, |json| row(json, &stream));
        }
        sorted.len() == 0
    })
}

/// `GET /api/v1/streams/APP/NAME`
pub(super) fn one(api: &Rc<Api>, asked: Asked, reply: Reply<'_>, el: &mut EventLoop) -> Answered {
    let name = match asked.stream() {
        Ok(name) => name,
        Err(wrong) => return api.fail(reply, &wrong),
    };
    let (wanted, is_pretty) = (name.clone(), asked.is_pretty);
    let step = move || -> Step {
        let wanted = wanted.clone();
        Box::new(move |hub, _, batch| {
            if let Some(stream) = hub.find_stream(&wanted) {
                let stream = stream.borrow();
                if stream.has_begun() {
                    batch.add(Key::Stream(wanted.clone()), is_pretty, 1, |json| row(json, &stream));
                }
            }
            true
        })
    };
    let home = api.hub.home_of(&name);
    api.ask(reply, el, home..home + 1, step, move |api, reply, batches| {
        match Batch::found(&batches) {
            None => api.fail(reply, &unknown()),
            Some(batch) => api.object(reply, is_pretty, |json| {
                envelope(json, api);
                json.raw("stream", &batch.bytes);
            }),
        }
    })
}

fn unknown() -> Wrong {
    Wrong { field: Some("stream".to_owned()), ..Wrong::not_found("there is no such stream") }
}

/// `DELETE /api/v1/streams/APP/NAME`
pub(super) fn kick(api: &Rc<Api>, asked: Asked, reply: Reply<'_>, el: &mut EventLoop) -> Answered {
    let name = match asked.stream() {
        Ok(name) => name,
        Err(wrong) => return api.fail(reply, &wrong),
    };
    let (wanted, is_pretty) = (name.clone(), asked.is_pretty);
    let step = move || -> Step {
        let wanted = wanted.clone();
        Box::new(move |hub, el, batch| {
            if let Some(client) = hub.publisher_of(&wanted)
                && hub.kick(el, client)
            {
                batch.rows.push((Key::Client(client), 0));
            }
            true
        })
    };
    let home = api.hub.home_of(&name);
    api.ask(reply, el, home..home + 1, step, move |api, reply, batches| {
        match batches.first().and_then(|batch| batch.rows.first()) {
            None => {
                let text = "nobody publishes this stream";
                api.fail(reply, &Wrong { message: text.to_owned(), ..unknown() })
            }
            Some((client, _)) => api.object(reply, is_pretty, |json| {
                envelope(json, api);
                json.text("kicked", client);
            }),
        }
    })
}

/// Whole numbers of kilobits.
fn kbps(rate: f64) -> u64 {
    rate.round() as u64
}

fn millis(at: SystemTime) -> u64 {
    u64::try_from(unix(at).as_millis()).unwrap_or(u64::MAX)
}

fn row(json: &mut Json<'_>, stream: &Stream) {
    let now = Instant::now();
    let name = &stream.name;
    let (frames, keyframes) = stream.frames();
    let totals = stream.meter.totals();
    let (lately, half_minute) =
        (stream.meter.rates(Duration::from_secs(2)), stream.meter.rates(Duration::from_secs(30)));
    json.text("id", name);
    json.text("name", name.name());
    json.text("vhost", VHOST);
    json.text("app", name.app());
    json.text("url", format_args!("/{name}"));
    json.flag("live", stream.is_flowing(now));
    let (state, why) = health::of(stream, now);
    json.member_object("health", |json| {
        json.text("state", state.label());
        json.text("why", why);
    });
    json.number("live_ms", millis(SystemTime::now()));
    json.number("clients", stream.audience.count().into());
    json.number("frames", frames);
    json.number("keyframes", keyframes);
    json.number("send_bytes", stream.audience.toll.sent);
    json.number("recv_bytes", totals.bytes);
    json.member_object("kbps", |json| {
        json.number("recv_30s", kbps(half_minute.kbps));
        json.number("send_30s", kbps(half_minute.sent_kbps));
        json.number("recv_now", kbps(lately.kbps));
        json.number("send_now", kbps(lately.sent_kbps));
    });
    let publisher = stream.publisher();
    let origin = stream.origin.as_ref().filter(|_| publisher.is_some());
    json.member_object("publish", |json| {
        json.flag("active", publisher.is_some());
        json.maybe_text("cid", origin.map(|origin| origin.client));
        json.maybe_text("protocol", origin.map(|origin| origin.protocol));
        json.maybe_text("address", origin.and_then(|origin| origin.peer));
        json.maybe_number("since_ms", origin.map(|origin| millis(origin.began)));
        let silent = publisher.map(|p| now.saturating_duration_since(p.heard).as_millis());
        json.maybe_number("silent_ms", silent.and_then(|ms| u64::try_from(ms).ok()));
    });
    tracks(json, stream, lately.pictures);
    json.member_object("viewers", |json| {
        json.number("total", stream.audience.count().into());
        json.member_object("by_protocol", |json| {
            for (protocol, count) in stream.audience.viewers() {
                json.number(protocol, count.into());
            }
        });
    });
    json.member_array("logs", |json| {
        for log in stream.logs() {
            json.item_object(|json| {
                json.text("format", log.format().name());
                json.number("begin", log.index().tail());
                json.number("end", log.index().head());
                json.number("bytes", log.kept());
                let (first, last) = (log.index().next_packet(0), log.index().newest());
                let span = last.zip(first).map(|(last, first)| last.since(first.time) / 1000);
                json.number("ms", span.and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0));
                json.number("loops", log.readers().len() as u64);
            });
        }
    });
    let toll = &stream.audience.toll;
    json.member_object("dropped", |json| {
        for (why, frames) in stream.dropped() {
            json.number(why.label(), frames);
        }
    });
    json.number("clock_jumps", stream.clock_jumps());
    skips(json, &toll.skips);
    json.member_object("ended", |json| {
        for reason in Reason::ALL {
            if let Some((_, count)) = toll.ended.iter().find(|(other, _)| *other == reason) {
                json.number(reason.label(), *count);
            }
        }
    });
}

/// How often players skipped, and why.
pub(super) fn skips(json: &mut Json<'_>, skips: &Skips) {
    json.number("skips", skips.times());
    json.member_object("skips_by", |json| {
        for (why, times, _) in skips.by_reason() {
            json.number(why.label(), times);
        }
    });
    json.number("skipped_bytes", skips.bytes());
}

fn tracks(json: &mut Json<'_>, stream: &Stream, pictures: f64) {
    let common = |json: &mut Json<'_>, codec: media::Codec, info: &Info| {
        json.text("codec", codec.name());
        let string = Some(&info.codec_string).filter(|text| !text.is_empty());
        json.maybe_text("codec_string", string);
        json.maybe_text("profile", info.profile);
    };
    match &stream.infos().video {
        None => json.null("video"),
        Some((codec, info)) => json.member_object("video", |json| {
            common(json, *codec, info);
            json.maybe_text("level", info.level.as_ref());
            json.maybe_number("width", info.width.map(u64::from));
            json.maybe_number("height", info.height.map(u64::from));
            json.float("frame_rate", pictures);
            let gop = stream.meter.gop();
            json.maybe_number("gop_ms", gop.and_then(|(us, _)| u64::try_from(us / 1000).ok()));
            json.maybe_number("gop_frames", gop.map(|(_, frames)| frames));
        }),
    }
    match &stream.infos().audio {
        None => json.null("audio"),
        Some((codec, info)) => json.member_object("audio", |json| {
            common(json, *codec, info);
            json.maybe_number("sample_rate", info.sample_rate.map(u64::from));
            json.maybe_number("channel", info.channels.map(u64::from));
        }),
    }
}
