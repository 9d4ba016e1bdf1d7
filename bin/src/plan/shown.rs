//! A plan as people and programs read it.

use serde_json::{Value, json};

use super::stream::Format;
use super::{Plan, limits};
use crate::bench::round3;
use crate::units::{grouped, shown, shown_bytes, shown_rate};

impl Plan {
    /// As people read it.
    pub fn text(&self) -> String {
        let mut lines = vec![
            format!(
                "The classic sum: {} x {} % / {} = {} players",
                shown_rate(self.nic),
                shown(self.share * 100.0),
                shown_rate(self.load.stream.rate),
                grouped(self.classic)
            ),
            String::new(),
            "What it forgets:".into(),
        ];
        for format in Format::ALL {
            let wire = self.load.stream.on_wire(format, self.mtu);
            lines.push(format!(
                "  {:<13} {} on the wire (+{} %): {} players{}",
                format.name(),
                shown_rate(wire),
                shown((wire / self.load.stream.rate - 1.0) * 100.0),
                grouped((self.load.usable / wire) as usize),
                match self.load.stream.requests(format) {
                    0.0 => String::new(),
                    requests => format!(
                        ", each with {} connections and {} requests a second",
                        format.connections(),
                        shown(requests)
                    ),
                }
            ));
        }
        let key = self.load.stream.key_bytes();
        lines.push(format!(
            "  keyframes     {} each; one for all players of the card takes it {} ms, which the last of \
             them waits",
            shown_bytes(key),
            shown(self.burst() * 1e3)
        ));
        lines.push(format!(
            "  cost          {} CPU s per Gbit, {} per player ({})",
            shown(self.costs.cpu_per_gbit),
            shown_bytes(self.costs.memory),
            self.costs.source
        ));
        let notes = limits::notes(&self.load, &self.machine);
        lines.extend(notes.iter().map(|note| format!("  {note}")));
        lines.push(String::new());
        lines.push(format!("Limits over {}, the first to be hit first:", self.load.format.name()));
        for limit in &self.limits {
            lines.push(format!(
                "  {:>11} players  {:<14} {}",
                grouped(limit.players),
                limit.name,
                limit.why
            ));
        }
        lines.push(String::new());
        if let Some(first) = self.limits.first() {
            lines.push(format!(
                "This machine carries {} players; what stops it first: {}. To lift it: {}.",
                grouped(first.players),
                first.name,
                first.lift
            ));
        }
        if let Some(edges) = &self.audience {
            lines.push(format!(
                "An audience of {} needs {} such edges. Each pulls {} from the origin, which sends {} \
                 to all of them{}.",
                grouped(edges.audience),
                grouped(edges.count),
                shown_rate(edges.pulls),
                shown_rate(edges.origin),
                if edges.origin > self.load.usable {
                    ": more than its own card; put a tier of edges in between"
                } else {
                    ""
                }
            ));
        }
        lines.push(String::new());
        lines.join("\n")
    }

    /// As programs do: all that the text says.
    pub fn json(&self) -> Value {
        let limits: Vec<Value> = self
            .limits
            .iter()
            .map(|limit| {
                json!({
                    "name": limit.name, "players": limit.players,
                    "why": limit.why, "lift": limit.lift,
                })
            })
            .collect();
        let formats: Vec<Value> = Format::ALL
            .into_iter()
            .map(|format| {
                let wire = self.load.stream.on_wire(format, self.mtu);
                json!({
                    "name": format.name(),
                    "wire_bit_s": wire.round(),
                    "overhead_percent": round3((wire / self.load.stream.rate - 1.0) * 100.0),
                    "players": (self.load.usable / wire) as usize,
                    "connections_per_player": format.connections(),
                    "requests_per_s_and_player": round3(self.load.stream.requests(format)),
                })
            })
            .collect();
        json!({
            "tool": "weir plan",
            "version": env!("CARGO_PKG_VERSION"),
            "nic_bit_s": self.nic,
            "share": self.share,
            "bitrate_bit_s": self.load.stream.rate,
            "mtu_bytes": self.mtu,
            "streams": self.load.streams,
            "incoming_bit_s": (self.load.streams as f64 * self.load.incoming).round(),
            "classic_players": self.classic,
            "formats": formats,
            "format": self.load.format.name(),
            "wire_bit_s": self.load.wire.round(),
            "keyframe_bytes": self.load.stream.key_bytes().round(),
            "keyframe_burst_ms": round3(self.burst() * 1e3),
            "cpu_s_per_gbit": self.costs.cpu_per_gbit,
            "memory_per_player_bytes": self.costs.memory,
            "costs_from": self.costs.source,
            "send_buffer_bytes": self.machine.send_buffer,
            "stalled_players_that_fill_tcp_mem": limits::stalled(&self.machine),
            "ports_per_address": self.machine.ports,
            "players": self.limits.first().map(|limit| limit.players),
            "first_limit": self.limits.first().map(|limit| limit.name),
            "limits": limits,
            "edges": self.audience.map(|edges| json!({
                "audience": edges.audience, "edges": edges.count,
                "pull_bit_s": edges.pulls.round(), "origin_bit_s": edges.origin.round(),
            })),
        })
    }
}
