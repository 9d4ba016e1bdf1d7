//! The settings in force, as the API tells them.

use std::fmt::Display;
use std::path::Path;

use serde_json::{Value, json};

use super::value::{shown_duration as time, shown_size};
use super::{
    Api, Config, Gather, Hls, HlsSegments, Http, Limits, Log, Play, Publish, ReadFrom, Rtmp,
    SecondPublisher, Server, Tls,
};

/// A text, or an empty one as the file has it.
fn text(value: Option<&impl Display>) -> Value {
    value.map_or_else(String::new, ToString::to_string).into()
}

/// What the command line says that no config file can.
#[derive(Clone, Copy, Debug, Default)]
pub struct CommandLine<'a> {
    /// Where the settings come from; nothing where they are the defaults.
    pub config: Option<&'a Path>,
    /// Whether the test card is published.
    pub demo: bool,
}

impl Config {
    /// As JSON, with the values as the file has them, what the command line says put in; secrets are
    /// left out. Taken apart so that no key is forgotten.
    pub fn shown(&self, line: CommandLine<'_>, is_pretty: bool) -> String {
        let Self { server, rtmp, http, api, tls, publish, play, hls, log, limits } = self;
        let value = json!({
            "server": shown_server(server),
            "rtmp": shown_rtmp(rtmp),
            "http": shown_http(http),
            "api": shown_api(api),
            "tls": shown_tls(tls),
            "publish": shown_publish(publish),
            "play": shown_play(play),
            "hls": shown_hls(hls),
            "log": shown_log(log),
            "limits": shown_limits(limits),
            "command_line": shown_line(line),
        });
        if is_pretty { format!("{value:#}") } else { value.to_string() }
    }
}

fn path(path: Option<&Path>) -> String {
    path.map_or_else(String::new, |path| path.display().to_string())
}

fn size(bytes: usize) -> String {
    shown_size(bytes as u64)
}

/// Whether there is one is no secret.
fn secret(value: Option<&String>) -> &'static str {
    if value.is_some() { "hidden" } else { "" }
}

fn shown_server(Server { loops, pin, drain }: &Server) -> Value {
    json!({ "loops": loops, "pin": pin, "drain": time(*drain) })
}

fn shown_rtmp(Rtmp { listen, tls_listen, handshake_within }: &Rtmp) -> Value {
    json!({
        "listen": text(listen.as_ref()),
        "tls_listen": text(tls_listen.as_ref()),
        "handshake_within": time(*handshake_within),
    })
}

fn shown_http(Http { listen, tls_listen, cors }: &Http) -> Value {
    json!({
        "listen": text(listen.as_ref()),
        "tls_listen": text(tls_listen.as_ref()),
        "cors": text(cors.as_ref()),
    })
}

fn shown_api(api: &Api) -> Value {
    let Api { token, read_from, cors, node, play_url, announce_to, announce_token } = api;
    json!({
        "token": secret(token.as_ref()),
        "read_from": match read_from {
            ReadFrom::Token => "token",
            ReadFrom::Loopback => "loopback",
            ReadFrom::Private => "private",
            ReadFrom::Anywhere => "anywhere",
        },
        "cors": text(cors.as_ref()),
        "node": text(node.as_ref()),
        "play_url": text(play_url.as_ref()),
        "announce_to": announce_to,
        "announce_token": secret(announce_token.as_ref()),
    })
}

fn shown_tls(Tls { certificate, key }: &Tls) -> Value {
    json!({ "certificate": path(certificate.as_deref()), "key": path(key.as_deref()) })
}

fn shown_publish(publish: &Publish) -> Value {
    let Publish { grace, second, silent_after, close_silent_after, first_time } = publish;
    json!({
        "grace": time(*grace),
        "second": match second {
            SecondPublisher::Refuse => "refuse",
            SecondPublisher::TakeOver => "take over",
        },
        "silent_after": time(*silent_after),
        "close_silent_after": time(*close_silent_after),
        "first_time": time(*first_time),
    })
}

fn shown_play(play: &Play) -> Value {
    let Play {
        latency_budget,
        gather,
        wait_for_publisher,
        skip_after,
        skip_bytes,
        close_after,
        unsent_in_kernel,
    } = play;
    json!({
        "latency_budget": time(*latency_budget),
        "gather": match gather {
            Gather::Adaptive => "adaptive",
            Gather::Fixed => "fixed",
        },
        "wait_for_publisher": time(*wait_for_publisher),
        "skip_after": time(*skip_after),
        "skip_bytes": size(*skip_bytes),
        "close_after": time(*close_after),
        "unsent_in_kernel": size(*unsent_in_kernel),
    })
}

fn shown_hls(hls: &Hls) -> Value {
    let Hls { segment, longest_segment, part, window, segments, low_latency, viewer_leaves_after } =
        hls;
    json!({
        "segment": time(*segment),
        "longest_segment": time(*longest_segment),
        "part": time(*part),
        "window": time(*window),
        "segments": match segments {
            HlsSegments::Mp4 => "mp4",
            HlsSegments::Ts => "ts",
        },
        "low_latency": low_latency,
        "viewer_leaves_after": time(*viewer_leaves_after),
    })
}

fn shown_log(Log { bytes }: &Log) -> Value {
    json!({ "bytes": size(*bytes) })
}

fn shown_limits(limits: &Limits) -> Value {
    let Limits { connections, connections_per_address, streams } = limits;
    json!({
        "connections": connections,
        "connections_per_address": connections_per_address,
        "streams": streams,
    })
}

fn shown_line(CommandLine { config, demo }: CommandLine<'_>) -> Value {
    json!({ "config": path(config), "demo": demo })
}
