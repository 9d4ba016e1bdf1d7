//! A run's figures for reports.

use serde_json::{Value, json};

use super::distribution::{round3, spread};
use super::figures::{Figures, Row, Spent};
use super::setup::Setup;

impl Figures {
    /// Every figure.
    pub fn json(&self) -> Value {
        let gbit = self.gbit();
        let [probes_byte, probes_key, probes_age] = &self.probes;
        let [began, got] = self.probed;
        let [memory_before, memory_most] = self.server_memory;
        let stalls: u32 = self.stalls.iter().map(|(count, _)| count).sum();
        let stalled: i64 = self.stalls.iter().map(|(_, micros)| micros).sum();
        let mut report = json!({
            "setup": self.setup.as_ref().map(Setup::json),
            "cut_short": self.cut_short,
            "window_began": self.is_measured,
            "window_s": round3(self.seconds),
            "window_unix_us": self.window,
            "players": {
                "asked": self.asked(), "joined": self.joined, "failed": self.failed,
                "not_begun": self.not_begun, "dropped": self.dropped, "starved": self.starved,
                "starved_percent": round3(self.percent(self.starved)),
                "below_95_percent": self.below_95, "reasons": self.reasons.json(),
            },
            "rate": {
                "gbit_s": round3(self.bits_per_second() / 1e9),
                "gbit": round3(gbit),
                "wanted_mbit_s": self.rate.map(|rate| round3(rate / 1e6)),
                "player_mbit_s": spread(self.rates.iter().map(|rate| rate / 1e6).collect()),
            },
            "join_ms": {
                "first_byte": self.first_byte.millis(),
                "first_keyframe": self.first_key.millis(),
                "first_keyframe_age": self.key_age.millis(),
            },
            "probes": {
                "began": began, "got_keyframe": got,
                "first_byte_ms": probes_byte.millis(),
                "first_keyframe_ms": probes_key.millis(),
                "first_keyframe_age_ms": probes_age.millis(),
            },
            "latency_ms": self.latency.millis(),
            "overdue_pictures": self.overdue,
            "stalls": {
                "players": self.stalls.len(), "count": stalls,
                "seconds": round3(stalled as f64 / 1e6),
            },
            "checked": self.findings.all().iter().map(|(name, count)| ((*name).to_owned(), json!(count))).collect::<serde_json::Map<_, _>>(),
            "generator": self.generator.json(self.per_gbit(self.generator.cpu)),
            "generator_late_ms": self.lateness.millis(),
            "machine": self.machine,
            "warnings": self.warnings,
            "seconds": self.rows.iter().map(row_json).collect::<Vec<_>>(),
        });
        if let (Some(server), Value::Object(report)) = (&self.server, &mut report) {
            let mut server = server.json(self.cost());
            if let Value::Object(server) = &mut server {
                let per =
                    memory_most.saturating_sub(memory_before) as f64 / self.joined.max(1) as f64;
                server.insert("memory_before_bytes".into(), memory_before.into());
                server.insert("memory_most_bytes".into(), memory_most.into());
                server.insert("memory_per_player_bytes".into(), json!(per.round()));
            }
            report.insert("server".into(), server);
        }
        if let (false, Value::Object(report)) = (self.requests.is_empty(), &mut report) {
            report.insert("requests".into(), self.requests.json(self.seconds));
        }
        report
    }
}

impl Spent {
    fn json(&self, per_gbit: Option<f64>) -> Value {
        json!({
            "cpu_s": round3(self.cpu),
            "waited_for_core_s": round3(self.waited),
            "user_s": round3(self.user),
            "system_s": round3(self.system),
            "cores": round3(self.share),
            "cpu_s_per_gbit": per_gbit.map(round4),
            "threads": self.threads,
            "busiest_thread": self.busiest.as_ref().map(|(name, share)| json!({"name": name, "cores": round3(*share)})),
            "voluntary_switches_per_s": round3(self.voluntary),
            "involuntary_switches_per_s": round3(self.involuntary),
            "read_write_calls_per_s": self.io_calls.map(round3),
            "descriptors": self.descriptors,
            "memory_peak_bytes": self.peak,
        })
    }
}

fn round4(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

fn row_json(row: &Row) -> Value {
    json!({
        "at_s": round3(row.at),
        "measured": row.measuring,
        "playing": row.playing,
        "failed": row.failed,
        "dropped": row.dropped,
        "starved": row.starved,
        "gbit_s": round3(row.rate / 1e9),
        "p50_ms": row.p50.map(|micros| round3(micros as f64 / 1e3)),
        "p99_ms": row.p99.map(|micros| round3(micros as f64 / 1e3)),
        "server_cores": row.server.map(round3),
        "generator_cores": row.generator.map(round3),
        "server_memory_bytes": row.server_memory,
    })
}
