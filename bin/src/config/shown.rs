//! The settings in force, as the API tells them.

use std::fmt::Display;

use serde_json::{Value, json};

use super::value::{shown_duration, shown_size};
use super::{Config, Gather, HlsSegments, ReadFrom, SecondPublisher};

/// A text, or an empty one as the file has it.
fn text(value: Option<&impl Display>) -> Value {
    value.map_or_else(String::new, ToString::to_string).into()
}

impl Config {
    /// As JSON, with the values as the file has them; secrets are left out.
    pub fn shown(&self, is_pretty: bool) -> String {
        let Self { server, rtmp, http, api, tls, publish, play, hls, log, limits } = self;
        let path = |path: &Option<std::path::PathBuf>| {
            path.as_ref().map_or_else(String::new, |path| path.display().to_string())
        };
        let read_from = match api.read_from {
            ReadFrom::Token => "token",
            ReadFrom::Loopback => "loopback",
            ReadFrom::Private => "private",
            ReadFrom::Anywhere => "anywhere",
        };
        let value = json!({
            "server": {
                "loops": server.loops,
                "pin": server.pin,
                "drain": shown_duration(server.drain),
            },
            "rtmp": {
                "listen": text(rtmp.listen.as_ref()),
                "tls_listen": text(rtmp.tls_listen.as_ref()),
                "handshake_within": shown_duration(rtmp.handshake_within),
            },
            "http": {
                "listen": text(http.listen.as_ref()),
                "tls_listen": text(http.tls_listen.as_ref()),
                "cors": text(http.cors.as_ref()),
            },
            "api": {
                "token": if api.token.is_some() { "hidden" } else { "" },
                "read_from": read_from,
                "cors": text(api.cors.as_ref()),
                "node": text(api.node.as_ref()),
                "play_url": text(api.play_url.as_ref()),
                "announce_to": api.announce_to,
                "announce_token": if api.announce_token.is_some() { "hidden" } else { "" },
            },
            "tls": { "certificate": path(&tls.certificate), "key": path(&tls.key) },
            "publish": {
                "grace": shown_duration(publish.grace),
                "second": match publish.second {
                    SecondPublisher::Refuse => "refuse",
                    SecondPublisher::TakeOver => "take over",
                },
                "silent_after": shown_duration(publish.silent_after),
                "close_silent_after": shown_duration(publish.close_silent_after),
            },
            "play": {
                "latency_budget": shown_duration(play.latency_budget),
                "gather": match play.gather {
                    Gather::Adaptive => "adaptive",
                    Gather::Fixed => "fixed",
                },
                "wait_for_publisher": shown_duration(play.wait_for_publisher),
                "skip_after": shown_duration(play.skip_after),
                "skip_bytes": shown_size(play.skip_bytes as u64),
                "close_after": shown_duration(play.close_after),
                "unsent_in_kernel": shown_size(play.unsent_in_kernel as u64),
            },
            "hls": {
                "segment": shown_duration(hls.segment),
                "longest_segment": shown_duration(hls.longest_segment),
                "part": shown_duration(hls.part),
                "window": shown_duration(hls.window),
                "segments": match hls.segments {
                    HlsSegments::Mp4 => "mp4",
                    HlsSegments::Ts => "ts",
                },
                "low_latency": hls.low_latency,
                "viewer_leaves_after": shown_duration(hls.viewer_leaves_after),
            },
            "log": { "bytes": shown_size(log.bytes as u64) },
            "limits": {
                "connections": limits.connections,
                "connections_per_address": limits.connections_per_address,
                "streams": limits.streams,
            },
        });
        if is_pretty { format!("{value:#}") } else { value.to_string() }
    }
}
