//! A run in a few lines for people.

use std::fmt::Write;

use super::distribution::Distribution;
use super::figures::{Figures, Row};
use super::find::{Found, Outcome, Step, cause};
use super::goal::Goal;
use super::publisher;
use crate::units::{grouped, shown, shown_bytes, shown_rate};

/// One second in one line.
pub fn line(row: &Row, players: usize) -> String {
    let millis = |micros: Option<u64>| micros.map_or("-".into(), |m| shown(m as f64 / 1e3));
    let cores =
        |cores: Option<f64>| cores.map_or("-".into(), |cores| format!("{:.0}", cores * 100.0));
    let mut line =
        format!("{:>4.0} s  {} of {} playing", row.at, grouped(row.playing), grouped(players));
    for (name, count) in
        [("failed", row.failed), ("dropped", row.dropped), ("starved", row.starved)]
    {
        line += &counted(count as u64, name);
    }
    // Writing to a String cannot fail.
    let _ = write!(
        line,
        "  {}  p50 {} p99 {} ms  CPU server {} % generator {} %",
        shown_rate(row.rate),
        millis(row.p50),
        millis(row.p99),
        cores(row.server),
        cores(row.generator)
    );
    line
}

fn times(of: &Distribution) -> String {
    format!("p50 {}, p99 {}, most {} ms", at(of, 50.0), at(of, 99.0), at(of, 100.0))
}

/// One run of a search in one line.
pub fn step(step: &Step) -> String {
    let figures = &step.figures;
    let stopped = stopped_by(step).map(|why| format!("; {why}")).unwrap_or_default();
    format!(
        "{:>7} players: {}, {} starved, latency p99 {} ms, join p99 {} ms, server {} cores, \
         generator {}: goal {}{stopped}",
        grouped(step.players),
        shown_rate(figures.bits_per_second()),
        grouped(figures.starved),
        at(&figures.latency, 99.0),
        at(figures.joins(), 99.0),
        figures.server.as_ref().map_or("-".into(), |server| shown(server.share)),
        shown(figures.generator.share),
        step.outcome.name(),
    )
}

/// What stopped a run from meeting its goal.
pub fn stopped_by(step: &Step) -> Option<String> {
    let figures = &step.figures;
    match step.outcome {
        Outcome::Met => None,
        Outcome::Missed => Some(cause(figures)),
        Outcome::Disturbed => {
            let share = figures.stolen() / figures.seconds.max(1e-3) * 100.0;
            Some(format!("other machines on this host took {share:.0} % of a core, once more"))
        }
    }
}

/// What it comes to, in a sentence or two.
pub fn verdict(figures: &Figures, found: Option<&Found>, goal: &Goal, own: bool) -> String {
    let rate = figures.bits_per_second();
    let Some(found) = found else {
        let measured = format!(
            "{} of {} players got {}{}{}{}, latency p99 {} ms",
            grouped(figures.joined - figures.dropped),
            grouped(figures.asked()),
            shown_rate(rate),
            counted(figures.starved as u64, "starved"),
            counted(figures.stalled().unwrap_or(0), "stalls"),
            counted(figures.faults().unwrap_or(0), "faults"),
            at(&figures.latency, 99.0)
        );
        return match (goal.is_empty(), goal.is_met(figures)) {
            (true, _) => format!("{measured}."),
            (_, true) => format!("The goal is met: {measured}."),
            (_, false) => format!("The goal ({goal}) is MISSED: {measured}."),
        };
    };
    if let Some(why) = &found.cut_short {
        let so_far = match found.players {
            0 => format!("no number of players had met the goal ({goal}) by then"),
            most => format!(
                "{} players had met the goal ({goal}) by then: {}",
                grouped(most),
                shown_rate(rate)
            ),
        };
        return format!(
            "The search was cut short ({why}) in its run number {}; {so_far}. What stops more is {}.",
            found.steps.len() + 1,
            found.bottleneck
        );
    }
    if found.players == 0 {
        let why = cause(figures);
        return format!("No number of players that was tried meets the goal ({goal}): {why}.");
    }
    let mut out = format!(
        "{} players meet the goal ({goal}): {}. What stops more is {}.",
        grouped(found.players),
        shown_rate(rate),
        found.bottleneck
    );
    if own && let Some(server) = &figures.server {
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            " One core of this machine, {} % busy, carries {} players and {}: {} % of 10GbE, {} % of \
             25GbE.",
            shown(server.share * 100.0),
            grouped(found.players),
            shown_rate(rate),
            shown(rate / 1e8),
            shown(rate / 2.5e8)
        );
    }
    out
}

/// What is only told where there is some.
fn counted(count: u64, name: &str) -> String {
    if count == 0 { String::new() } else { format!(", {} {name}", grouped(count as usize)) }
}

fn at(of: &Distribution, percent: f64) -> String {
    of.percentile(percent).map_or("-".into(), |micros| shown(micros as f64 / 1e3))
}

/// A whole run.
pub fn text(figures: &Figures, goal: &Goal, published: Option<&publisher::Tally>) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_all(&mut out, figures, goal, published);
    out
}

fn write_all(
    out: &mut String,
    figures: &Figures,
    goal: &Goal,
    published: Option<&publisher::Tally>,
) -> std::fmt::Result {
    writeln!(
        out,
        "players     {} asked, {} joined, {} failed, {} dropped, {} starved ({} %){}",
        grouped(figures.asked()),
        grouped(figures.joined),
        grouped(figures.failed),
        grouped(figures.dropped),
        grouped(figures.starved),
        shown(figures.percent(figures.starved)),
        counted(figures.not_begun as u64, "not begun"),
    )?;
    for line in figures.reasons.lines() {
        writeln!(out, "            {line}")?;
    }
    writeln!(
        out,
        "rate        {} for {} s",
        shown_rate(figures.bits_per_second()),
        shown(figures.seconds)
    )?;
    writeln!(out, "latency     {} from stamp to whole frame", times(&figures.latency))?;
    let [_, probes, _] = &figures.probes;
    writeln!(out, "join        {} to the first keyframe", times(&figures.first_key))?;
    if probes.len() > 0 {
        writeln!(out, "            {} under load ({} probes)", times(probes), probes.len())?;
    }
    let stalls = figures.stalled().unwrap_or(0);
    writeln!(out, "stalls      {stalls}, seen by {} players", figures.stalls.len())?;
    let requests = &figures.requests;
    if !requests.is_empty() {
        writeln!(
            out,
            "requests    {} lists, {} files, {} failed, {} late, {} missed",
            grouped(requests.lists as usize),
            grouped(requests.files as usize),
            grouped(requests.failed as usize),
            grouped(requests.late as usize),
            grouped(requests.missed as usize)
        )?;
    }
    let faults: Vec<String> = figures
        .findings
        .faults()
        .map(|(name, count)| format!("{count} {}", name.replace('_', " ")))
        .collect();
    writeln!(
        out,
        "checked     {} frames, {} against what was published: {}",
        grouped((figures.findings.pictures + figures.findings.sounds) as usize),
        grouped(figures.findings.compared as usize),
        if faults.is_empty() { "no fault".to_owned() } else { faults.join(", ") }
    )?;
    if let Some(server) = &figures.server {
        let [before, most] = figures.server_memory;
        let per = most.saturating_sub(before) as f64 / figures.joined.max(1) as f64;
        writeln!(
            out,
            "server      {} cores, {} CPU s per Gbit, {} ({} per player)",
            shown(server.share),
            figures.cost().map_or("-".into(), shown),
            shown_bytes(most as f64),
            shown_bytes(per),
        )?;
        writeln!(
            out,
            "            {} switches/s, {} calls/s of read, write and their kin (not send and recv)",
            shown(server.voluntary + server.involuntary),
            server.io_calls.map_or("-".into(), |calls| grouped(calls as usize)),
        )?;
    }
    let generator = &figures.generator;
    writeln!(
        out,
        "generator   {} cores, {} CPU s per Gbit",
        shown(generator.share),
        figures.per_gbit(generator.cpu).map_or("-".into(), shown)
    )?;
    let cores = |seconds: f64| shown(seconds / figures.seconds.max(1e-3));
    writeln!(
        out,
        "machine     {} cores in interrupts and softirq, {} taken by other machines (steal)",
        cores(figures.softirq()),
        cores(figures.stolen())
    )?;
    if let Some(published) = published {
        writeln!(
            out,
            "publishers  {} of {} to the end, frames late by {}",
            published.asked - published.dead.len(),
            published.asked,
            times(&published.lateness)
        )?;
        for (stream, why) in published.dead.iter().take(8) {
            writeln!(out, "            stream {stream}: {why}")?;
        }
    }
    for warning in &figures.warnings {
        writeln!(out, "warning     {warning}")?;
    }
    if !goal.is_empty() {
        for line in goal.lines(figures) {
            writeln!(out, "goal        {line}")?;
        }
    }
    Ok(())
}
