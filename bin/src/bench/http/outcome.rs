//! What a test of requests came to.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Args;
use crate::bench::distribution::{Distribution, round3};
use crate::bench::{GOAL_MISSED, INTERRUPTED};
use crate::kernel::{self, Usage};
use crate::units::{grouped, shown};

/// Requests that nobody answered are counted in so many steps at most: a server that is gone leaves
/// millions of them.
const STEPS: u64 = 1000;

/// What a thread counts.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// From when a request was due to its whole answer.
    pub latency: Distribution,
    /// From when it was sent.
    pub service: Distribution,
    /// How late the generator was.
    pub late: Distribution,
    pub answers: u64,
    pub other_status: u64,
    pub bytes: u64,
    pub broken: u64,
    pub reasons: BTreeMap<String, u64>,
    /// Requests that were due and got no answer before the end. They count for the latency.
    pub unanswered: u64,
}

impl Tally {
    pub fn broke(&mut self, why: String) {
        self.broken += 1;
        *self.reasons.entry(why).or_default() += 1;
    }

    /// Counts the requests of one connection that were due from `first` on and within the window, and
    /// are not answered now. Without an interval there is one at a time.
    pub fn unanswered(
        &mut self,
        first: Instant,
        [start, end]: [Instant; 2],
        every: Option<Duration>,
        now: Instant,
    ) {
        let Some(every) = every.filter(|every| !every.is_zero()) else {
            if first < end && start < end {
                self.unanswered += 1;
                self.latency.record((now - first.max(start)).as_micros() as u64);
            }
            return;
        };
        let intervals = |time: Duration| time.as_nanos().div_ceil(every.as_nanos()) as u64;
        let early = intervals(start.saturating_duration_since(first));
        let count = intervals(end.saturating_duration_since(first)).saturating_sub(early);
        self.unanswered += count;
        let step = count.div_ceil(STEPS).max(1);
        for nth in (0..count).step_by(step as usize) {
            let times = step.min(count - nth);
            // The middle of the step.
            let due = first + every.mul_f64((early + nth) as f64 + (times - 1) as f64 / 2.0);
            let waited = now.saturating_duration_since(due);
            self.latency.record_times(waited.as_micros() as u64, times);
        }
    }

    pub fn add(&mut self, other: &Self) {
        self.latency.add(&other.latency);
        self.service.add(&other.service);
        self.late.add(&other.late);
        self.answers += other.answers;
        self.other_status += other.other_status;
        self.bytes += other.bytes;
        self.broken += other.broken;
        self.unanswered += other.unanswered;
        for (why, count) in &other.reasons {
            *self.reasons.entry(why.clone()).or_default() += count;
        }
    }
}

/// Everything, and how it ended.
pub struct Outcome<'a> {
    pub args: &'a Args,
    pub tally: Tally,
    pub seconds: f64,
    pub before: [Usage; 2],
    pub after: [Usage; 2],
    /// Threads that have not told what they have.
    pub silent: usize,
    pub interrupted: bool,
    /// The server has ended.
    pub gone: bool,
}

impl Outcome<'_> {
    /// What the shell is told.
    pub fn exit_code(&self) -> ExitCode {
        if self.interrupted {
            ExitCode::from(INTERRUPTED)
        } else if self.tally.answers == 0 || self.silent > 0 || self.gone {
            ExitCode::FAILURE
        } else if self.tally.unanswered > 0 {
            ExitCode::from(GOAL_MISSED)
        } else {
            ExitCode::SUCCESS
        }
    }

    /// Cores the server (0) or this process (1) used, where there was time enough to tell.
    fn cores(&self, which: usize) -> Option<f64> {
        let known = which == 1 || !(self.gone || self.args.common.pid.is_empty());
        let cpu = self.after.get(which)?.cpu - self.before.get(which)?.cpu;
        (known && self.seconds > 0.1).then(|| cpu / self.seconds)
    }

    fn rate(&self) -> f64 {
        self.tally.answers as f64 / self.seconds.max(1e-3)
    }

    /// Microseconds of the server's CPU for one answer.
    fn cost(&self) -> Option<f64> {
        let cores = self.cores(0).filter(|_| self.tally.answers > 0)?;
        Some(cores * self.seconds * 1e6 / self.tally.answers as f64)
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.interrupted {
            warnings.push(format!("cut short (interrupted) after {} s", shown(self.seconds)));
        }
        if self.gone {
            warnings.push("the server has ended (--pid)".into());
        }
        if self.silent > 0 {
            warnings.push(format!("{} threads did not tell what they measured", self.silent));
        }
        let [_, before] = &self.before;
        let [_, after] = &self.after;
        let busiest = kernel::busiest(before, after, self.seconds.max(0.1));
        if let Some((name, share)) = busiest.filter(|(_, share)| *share > 0.9) {
            warnings.push(format!(
                "the generator is the limit: its thread {name} used {:.0} % of a core; --threads",
                share * 100.0
            ));
        }
        warnings
    }

    /// Every figure.
    pub fn json(&self) -> Value {
        let tally = &self.tally;
        json!({
            "url": self.args.url, "connections": self.args.connections,
            "asked_per_s": self.args.rate, "window_s": round3(self.seconds),
            "answers": tally.answers, "answers_per_s": round3(self.rate()),
            "bytes": tally.bytes, "not_2xx": tally.other_status,
            "broken": tally.broken, "reasons": tally.reasons,
            "unanswered": tally.unanswered,
            "latency_ms": tally.latency.millis(),
            "service_ms": tally.service.millis(),
            "generator_late_ms": tally.late.millis(),
            "server_cpu_us_per_answer": self.cost().map(round3),
            "server_cores": self.cores(0).map(round3),
            "generator_cores": self.cores(1).map(round3),
            "interrupted": self.interrupted, "warnings": self.warnings(),
        })
    }

    /// What people read.
    pub fn text(&self) -> String {
        let tally = &self.tally;
        let at = |of: &Distribution, percent| {
            of.percentile(percent).map_or("-".into(), |micros| shown(micros as f64 / 1e3))
        };
        let times = |of| {
            let [p50, p90, p99, p999, most] = [50.0, 90.0, 99.0, 99.9, 100.0].map(|p| at(of, p));
            format!("p50 {p50}, p90 {p90}, p99 {p99}, p99.9 {p999}, most {most} ms")
        };
        let mut lines = vec![
            format!(
                "answers     {}, {} a second over {} connections{}",
                grouped(tally.answers as usize),
                grouped(self.rate() as usize),
                grouped(self.args.connections),
                self.args.rate.map_or(String::new(), |rate| format!(", {} asked for", shown(rate)))
            ),
            format!("latency     {} from when a request was due", times(&tally.latency)),
            format!("service     {} from when it left", times(&tally.service)),
        ];
        if tally.other_status + tally.broken + tally.unanswered > 0 {
            lines.push(format!(
                "trouble     {} answers other than 2xx, {} connections broken, {} unanswered",
                tally.other_status, tally.broken, tally.unanswered
            ));
        }
        let reasons = tally.reasons.iter().take(8);
        lines.extend(reasons.map(|(why, count)| format!("            {count} x {why}")));
        if let (Some(cost), Some(cores)) = (self.cost(), self.cores(0)) {
            lines.push(format!(
                "server      {} CPU us per answer, {} cores",
                shown(cost),
                shown(cores)
            ));
        }
        if let Some(cores) = self.cores(1) {
            lines.push(format!(
                "generator   {} cores, late by {}",
                shown(cores),
                times(&tally.late)
            ));
        }
        lines.extend(self.warnings().iter().map(|warning| format!("warning     {warning}")));
        lines.push(String::new());
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_due_and_not_answered_is_counted_and_has_waited() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let window = [at(1000), at(3000)];
        let every = Some(Duration::from_millis(10));
        // Due from before the window, from within it, and behind it.
        for (first, count) in [(0, 200), (995, 200), (1000, 200), (2000, 100), (2991, 1), (3000, 0)]
        {
            let mut tally = Tally::default();
            tally.unanswered(at(first), window, every, at(3000));
            assert_eq!((tally.unanswered, tally.latency.len()), (count, count), "{first}");
        }
        let mut tally = Tally::default();
        tally.unanswered(at(1000), window, every, at(3000));
        let p50 = tally.latency.percentile(50.0).unwrap_or(0);
        assert!((990_000..1_020_000).contains(&p50), "{p50}");
        // Billions of them take no time.
        let every = Some(Duration::from_nanos(1));
        tally.unanswered(at(1000), window, every, at(3000));
        assert_eq!(tally.unanswered, 200 + 2_000_000_000);
        let p50 = tally.latency.percentile(50.0).unwrap_or(0);
        assert!((990_000..1_020_000).contains(&p50), "{p50}");
        // Without an interval there is one at a time.
        let mut tally = Tally::default();
        tally.unanswered(at(500), window, None, at(3000));
        tally.unanswered(at(3000), window, None, at(3000));
        assert_eq!((tally.unanswered, tally.latency.len()), (1, 1));
    }
}
