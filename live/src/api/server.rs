//! The server itself: summary and config, and what SRS calls versions and summaries.

use std::rc::Rc;
use std::time::SystemTime;

use network::http::{Answered, Reply};
use network::{EventLoop, Handle};

use super::Api;
use super::answer::{Wrong, envelope};
use super::query::Asked;
use super::streams::VHOST;
use crate::counters::Counters;
use crate::directory::unix;
use crate::json::Json;

/// `GET /api/v1/summary`
pub(super) fn summary(
    api: &Rc<Api>,
    asked: Asked,
    reply: Reply<'_>,
    _: &mut EventLoop,
) -> Answered {
    let about = &api.about;
    api.object(reply, asked.is_pretty, |json| {
        envelope(json, api);
        json.text("version", about.version);
        json.number("began_ms", u64::try_from(unix(about.began).as_millis()).unwrap_or(0));
        json.float("uptime_seconds", about.started.elapsed().as_secs_f64());
        json.flag("draining", api.hub.is_draining());
        match about.publish {
            None => json.raw("publish", b"null"),
            Some((scheme, port)) => json.member_object("publish", |json| {
                json.text("scheme", scheme);
                json.number("port", port.into());
            }),
        }
        json.number("connections", connections(api.hub.handles()));
        json.member_array("loops", |json| loops(json, api));
        let (came, went) = api.flow(3);
        // To the bit: one stream is some thousandths of it.
        json.raw("gbit_in", format!("{:.9}", came / 1e9).as_bytes());
        json.raw("gbit_out", format!("{:.9}", went / 1e9).as_bytes());
        json.number("bytes_in", api.sum(|c| c.bytes_in.get()));
        json.number("bytes_out", api.sum(|c| c.bytes_out.get()));
        let (live, _) = api.hub.directory.totals();
        json.number("streams", api.sum(|c| c.streams.here()));
        json.number("streams_live", live);
        json.number("publishers", api.sum(|c| c.publishers.here()));
        json.number("players", api.sum(playing));
        json.member_object("memory", |json| {
            json.number("resident_bytes", (about.process)().resident);
            json.number("log_bytes", api.hub.directory.log_bytes());
        });
    })
}

fn loops(json: &mut Json<'_>, api: &Api) {
    for (handle, counters) in api.hub.handles().iter().zip(&api.about.counters) {
        json.item_object(|json| {
            json.float("busy", handle.busy_share().into());
            json.float("others", counters.others.get() as f64 / 1000.0);
            json.number("connections", handle.connections() as u64);
            json.number("players", playing(counters));
            json.number("publishers", counters.publishers.here());
            json.float("flush_pause_ms", counters.pause.get() as f64 / 1000.0);
            json.number("write_ns", counters.write_cost.get());
        });
    }
}

/// All who play, by a connection of their own or by fetching segments.
fn playing(counters: &Counters) -> u64 {
    counters.players.here() + counters.viewers.here()
}

fn connections(handles: &[Handle]) -> u64 {
    handles.iter().map(|handle| handle.connections() as u64).sum()
}

impl Api {
    /// One of the counters, of all loops together.
    pub(super) fn sum(&self, of: impl Fn(&crate::Counters) -> u64) -> u64 {
        self.about.counters.iter().map(|counters| of(counters)).sum()
    }
}

/// `GET /api/v1/config`
pub(super) fn config(api: &Rc<Api>, asked: Asked, reply: Reply<'_>, _: &mut EventLoop) -> Answered {
    let [short, long] = &api.about.config;
    let config = if asked.is_pretty { long.replace('\n', "\n  ") } else { short.clone() };
    api.object(reply, asked.is_pretty, |json| {
        envelope(json, api);
        json.raw("config", config.as_bytes());
    })
}

/// `GET /api/v1/versions`, as SRS has it.
pub(super) fn versions(
    api: &Rc<Api>,
    asked: Asked,
    reply: Reply<'_>,
    _: &mut EventLoop,
) -> Answered {
    let version = api.about.version;
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    api.object(reply, asked.is_pretty, |json| {
        envelope(json, api);
        json.member_object("data", |json| {
            for name in ["major", "minor", "revision"] {
                json.number(name, parts.next().unwrap_or(0));
            }
            json.text("version", version);
            json.text("product", "weir");
        });
    })
}

/// `GET /api/v1/summaries`, as SRS has it.
pub(super) fn summaries(
    api: &Rc<Api>,
    asked: Asked,
    reply: Reply<'_>,
    _: &mut EventLoop,
) -> Answered {
    let handles = api.hub.handles();
    let busy: f64 = handles.iter().map(|handle| f64::from(handle.busy_share())).sum();
    let resident = (api.about.process)().resident;
    let now = u64::try_from(unix(SystemTime::now()).as_millis()).unwrap_or(0);
    api.object(reply, asked.is_pretty, |json| {
        envelope(json, api);
        json.member_object("data", |json| {
            json.flag("ok", true);
            json.number("now_ms", now);
            json.member_object("self", |json| {
                json.text("version", api.about.version);
                json.number("pid", std::process::id().into());
                json.number("mem_kbyte", resident / 1024);
                json.float("cpu_percent", busy);
                json.number("srs_uptime", api.about.started.elapsed().as_secs());
            });
            json.member_object("system", |json| {
                json.number("conn_srs", connections(handles));
                json.number("srs_recv_bytes", api.sum(|c| c.bytes_in.get()));
                json.number("srs_send_bytes", api.sum(|c| c.bytes_out.get()));
                json.number("cpus", handles.len() as u64);
            });
        });
    })
}

/// `GET /api/v1/vhosts`, as SRS has it: there is one.
pub(super) fn vhosts(api: &Rc<Api>, asked: Asked, reply: Reply<'_>, _: &mut EventLoop) -> Answered {
    api.object(reply, asked.is_pretty, |json| {
        envelope(json, api);
        json.member_array("vhosts", |json| json.item_object(|json| vhost_row(json, api)));
    })
}

/// `GET /api/v1/vhosts/ID`, as SRS has it.
pub(super) fn vhost(api: &Rc<Api>, asked: Asked, reply: Reply<'_>, _: &mut EventLoop) -> Answered {
    if asked.vhost != VHOST {
        let field = Some("vhost".to_owned());
        return api.fail(reply, &Wrong { field, ..Wrong::not_found("there is no such host") });
    }
    api.object(reply, asked.is_pretty, |json| {
        envelope(json, api);
        json.member_object("vhost", |json| vhost_row(json, api));
    })
}

fn vhost_row(json: &mut Json<'_>, api: &Api) {
    let (came, went) = api.flow(super::FLOW);
    json.text("id", VHOST);
    json.text("name", VHOST);
    json.flag("enabled", true);
    json.number("clients", api.sum(|c| playing(c) + c.publishers.here()));
    json.number("streams", api.sum(|c| c.streams.here()));
    json.number("send_bytes", api.sum(|c| c.bytes_out.get()));
    json.number("recv_bytes", api.sum(|c| c.bytes_in.get()));
    json.member_object("kbps", |json| {
        json.number("recv_30s", (came / 1000.0).round() as u64);
        json.number("send_30s", (went / 1000.0).round() as u64);
    });
    json.member_object("hls", |json| {
        json.flag("enabled", true);
        json.float("fragment", api.hub.settings.hls.segment.as_secs_f64());
    });
}
