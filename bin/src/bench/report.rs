//! Where a test's outcome is written: people's terminal, JSON, HTML.

use std::error::Error;

use serde_json::{Value, json};

use super::figures::Figures;
use super::files::Files;
use super::find::Found;
use super::goal::Goal;
use super::{html, publisher, summary};
use crate::kernel;

/// What a test of streams came to.
pub struct Outcome<'a> {
    /// The one run, or the best of a search.
    pub figures: &'a Figures,
    /// The search.
    pub found: Option<&'a Found>,
    /// What was to be reached.
    pub goal: &'a Goal,
    /// What was published here.
    pub published: Option<&'a publisher::Tally>,
    /// The server was this very program.
    pub own: bool,
}

/// A report of a test that has nothing but a result.
pub fn of(result: Value) -> Value {
    let mut report = header();
    if let Value::Object(report) = &mut report {
        report.insert("result".into(), result);
    }
    report
}

/// What every report begins with: the machine, the version, the command.
fn header() -> Value {
    json!({
        "tool": "weir bench",
        "version": env!("CARGO_PKG_VERSION"),
        "command": std::env::args().collect::<Vec<_>>(),
        "machine": kernel::machine(),
    })
}

impl Outcome<'_> {
    /// Writes all that was asked for.
    pub fn write(&self, files: &mut Files) -> Result<(), Box<dyn Error>> {
        let verdict = summary::verdict(self.figures, self.found, self.goal, self.own);
        let report = self.json(&verdict);
        let text = summary::text(self.figures, self.goal, self.published);
        files.write(&format!("{text}{verdict}\n"), &report, || {
            html::page(&verdict, self.figures, self.found, self.goal, &report)
        })
    }

    fn json(&self, verdict: &str) -> Value {
        let mut report = of(self.figures.json());
        if let Value::Object(report) = &mut report {
            report.insert("verdict".into(), verdict.into());
            if let Some(published) = self.published {
                report.insert("publishers".into(), published.json());
            }
            if !self.goal.is_empty() {
                report.insert("goal".into(), self.goal.json(self.figures));
            }
            if let Some(found) = self.found {
                let steps: Vec<Value> = found
                    .steps
                    .iter()
                    .map(|step| {
                        json!({
                            "players": step.players, "outcome": step.outcome.name(),
                            "goal": self.goal.json(&step.figures),
                            "result": without_seconds(step.figures.json()),
                        })
                    })
                    .collect();
                report.insert(
                    "found".into(),
                    json!({
                        "players": found.players, "cut_short": found.cut_short, "bottleneck": found.bottleneck,
                        "steps": steps,
                    }),
                );
            }
        }
        report
    }
}

/// A report of many runs need not have each second of each.
fn without_seconds(mut result: Value) -> Value {
    if let Value::Object(result) = &mut result {
        result.remove("seconds");
    }
    result
}
