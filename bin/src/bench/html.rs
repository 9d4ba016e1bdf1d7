//! The report one can show: one file, no script, nothing fetched.

use std::fmt::Write;

use serde_json::Value;

use super::figures::Figures;
use super::find::Found;
use super::summary;
use super::svg::{Line, chart, escape};
use crate::units::{shown, shown_rate};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:780px;margin:2em auto;padding:0 1em;\
color:#222;background:#fff}h1{font-size:1.4em}figure{margin:1.5em 0}figcaption{font-weight:600}\
svg{width:100%;height:auto;font:11px system-ui,sans-serif}path{fill:none;stroke-width:1.6}\
.g{stroke:#ddd}.e{text-anchor:end}.m{text-anchor:middle}text{fill:#555}pre{background:#f5f5f5;\
padding:1em;overflow:auto}table{border-collapse:collapse}td,th{padding:.2em .8em;text-align:right;\
border-bottom:1px solid #ddd}.w{text-align:left}.v{font-size:1.15em;padding:.6em 1em;border-left:4px solid #0072b2;\
background:#f0f6fb}@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}\
pre{background:#222}text{fill:#aaa}.g{stroke:#333}.v{background:#1c2731}td,th{border-color:#333}}";

/// One page of a run, or of a search.
pub fn page(
    verdict: &str,
    figures: &Figures,
    found: Option<&Found>,
    text: &str,
    report: &Value,
) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>Weir capacity test</title><style>{STYLE}</style>\
         <h1>Capacity test</h1><p class=\"v\">{}</p>",
        escape(verdict)
    );
    out.push_str(&over_time(figures));
    out.push_str(&latencies(figures));
    if let Some(found) = found {
        out.push_str(&against_players(found));
    }
    let machine = &report["machine"];
    let word = |name: &str| match &machine[name] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let command = report["command"].as_array().into_iter().flatten();
    let command: Vec<&str> = command.filter_map(Value::as_str).collect();
    let _ = writeln!(
        out,
        "<h2>Figures</h2><pre>{}</pre><h2>Where and how</h2><p>{} cores of {}, Linux {}, {} \
         congestion control; weir {}</p><pre>{}</pre></html>",
        escape(text),
        escape(&word("cores")),
        escape(&word("cpu")),
        escape(&word("kernel")),
        escape(&word("congestion_control")),
        escape(report["version"].as_str().unwrap_or_default()),
        escape(&command.join(" "))
    );
    out
}

fn over_time(figures: &Figures) -> String {
    let over = |of: &dyn Fn(&super::figures::Row) -> Option<f64>| -> Vec<(f64, Option<f64>)> {
        figures.rows.iter().map(|row| (row.at, of(row))).collect()
    };
    let millis = |micros: Option<u64>| micros.map(|micros| micros as f64 / 1e3);
    let mut out = chart(
        "Rate",
        "seconds",
        "Gbit/s",
        &[Line { name: "all players", points: over(&|row| Some(row.rate / 1e9)) }],
    );
    out += &chart(
        "Players",
        "seconds",
        "players",
        &[
            Line { name: "playing", points: over(&|row| Some(row.playing as f64)) },
            Line { name: "starved", points: over(&|row| Some(row.starved as f64)) },
            Line {
                name: "failed or dropped",
                points: over(&|row| Some((row.failed + row.dropped) as f64)),
            },
        ],
    );
    out += &chart(
        "Latency from stamp to whole frame",
        "seconds",
        "ms",
        &[
            Line { name: "p50", points: over(&|row| millis(row.p50)) },
            Line { name: "p99", points: over(&|row| millis(row.p99)) },
        ],
    );
    out += &chart(
        "CPU",
        "seconds",
        "cores",
        &[
            Line { name: "server", points: over(&|row| row.server) },
            Line { name: "generator", points: over(&|row| row.generator) },
        ],
    );
    out
}

fn latencies(figures: &Figures) -> String {
    let total = figures.latency.len().max(1) as f64;
    let mut below = 0.0;
    let points = figures
        .latency
        .steps(60)
        .into_iter()
        .map(|(micros, count)| {
            below += count as f64;
            (micros as f64 / 1e3, Some(below / total * 100.0))
        })
        .collect();
    let line = Line { name: "frames that were whole by then", points };
    chart("Latency distribution", "ms", "% of frames", &[line])
}

fn against_players(found: &Found) -> String {
    let mut steps: Vec<_> = found.steps.iter().collect();
    steps.sort_by_key(|step| step.players);
    let points = steps.iter().map(|step| (step.players as f64, step.figures.cost())).collect();
    let mut out = chart(
        "Cost against players",
        "players",
        "CPU s per Gbit",
        &[Line { name: "server", points }],
    );
    out.push_str(
        "<table><tr><th>players<th>goal<th>rate<th>starved<th>p99 ms<th>server cores<th>stopped by</tr>",
    );
    for step in &found.steps {
        let figures = &step.figures;
        let _ = write!(
            out,
            "<tr><td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td class=\"w\">{}</tr>",
            step.players,
            step.outcome.name(),
            shown_rate(figures.bits_per_second()),
            figures.starved,
            figures.latency.percentile(99.0).map_or("-".into(), |m| shown(m as f64 / 1e3)),
            figures.server.as_ref().map_or("-".into(), |server| shown(server.share)),
            escape(&summary::stopped_by(step).unwrap_or_default()),
        );
    }
    out.push_str("</table>");
    out
}
