//! What a run has to reach: `starved<=0.1%,p99<=200ms,join_p99<=1s`.

use serde_json::{Value, json};

use super::distribution::Distribution;
use super::figures::Figures;
use crate::units;

/// Terms that all have to hold.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Goal {
    terms: Vec<Term>,
}

#[derive(Clone, Debug, PartialEq)]
struct Term {
    name: &'static Name,
    at_most: bool,
    bound: f64,
    text: String,
}

/// A figure that can be bounded.
#[derive(Debug)]
struct Name {
    name: &'static str,
    unit: Unit,
    of: fn(&Figures) -> Option<f64>,
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Unit {
    Percent,
    Millis,
    Count,
    Rate,
}

fn at(of: &Distribution, percent: f64) -> Option<f64> {
    of.percentile(percent).map(|micros| micros as f64 / 1e3)
}

static NAMES: [Name; 16] = [
    Name {
        name: "starved",
        unit: Unit::Percent,
        of: |f| f.rate.is_some().then(|| f.percent(f.starved)),
    },
    Name { name: "failed", unit: Unit::Percent, of: |f| Some(f.percent(f.failed)) },
    Name { name: "dropped", unit: Unit::Percent, of: |f| Some(f.percent(f.dropped)) },
    Name { name: "p50", unit: Unit::Millis, of: |f| at(&f.latency, 50.0) },
    Name { name: "p90", unit: Unit::Millis, of: |f| at(&f.latency, 90.0) },
    Name { name: "p99", unit: Unit::Millis, of: |f| at(&f.latency, 99.0) },
    Name { name: "p99.9", unit: Unit::Millis, of: |f| at(&f.latency, 99.9) },
    Name { name: "max", unit: Unit::Millis, of: |f| at(&f.latency, 100.0) },
    Name { name: "join_p50", unit: Unit::Millis, of: |f| at(f.joins(), 50.0) },
    Name { name: "join_p99", unit: Unit::Millis, of: |f| at(f.joins(), 99.0) },
    Name { name: "stalls", unit: Unit::Count, of: |f| f.stalled().map(|stalls| stalls as f64) },
    Name { name: "faults", unit: Unit::Count, of: |f| f.faults().map(|faults| faults as f64) },
    Name { name: "joined", unit: Unit::Percent, of: |f| Some(f.percent(f.joined)) },
    Name { name: "rate", unit: Unit::Rate, of: |f| Some(f.bits_per_second()) },
    Name {
        name: "server_cores",
        unit: Unit::Count,
        of: |f| f.server.as_ref().map(|server| server.share),
    },
    Name { name: "cpu_s_per_gbit", unit: Unit::Count, of: Figures::cost },
];

impl Goal {
    /// Reads `NAME<=VALUE` and `NAME>=VALUE`, separated by commas.
    pub fn parse(text: &str) -> Result<Self, String> {
        let terms = text.split(',').map(str::trim).filter(|term| !term.is_empty());
        Ok(Self { terms: terms.map(term).collect::<Result<_, _>>()? })
    }

    /// Whether there is anything to reach.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether all of it is reached. What was not measured is not reached.
    pub fn is_met(&self, figures: &Figures) -> bool {
        figures.cut_short.is_none() && self.terms.iter().all(|term| term.is_met(figures))
    }

    /// Each term with what was measured.
    pub fn lines(&self, figures: &Figures) -> Vec<String> {
        self.terms
            .iter()
            .map(|term| {
                let got = (term.name.of)(figures);
                let got = got.map_or("not measured".into(), |got| term.name.unit.shown(got));
                let verdict = if term.is_met(figures) { "met" } else { "missed" };
                format!("{}: {got}, {verdict}", term.text)
            })
            .collect()
    }

    /// For reports.
    pub fn json(&self, figures: &Figures) -> Value {
        let terms: Vec<Value> = self
            .terms
            .iter()
            .map(|term| {
                json!({
                    "term": term.text,
                    "measured": (term.name.of)(figures),
                    "met": term.is_met(figures),
                })
            })
            .collect();
        json!({"met": self.is_met(figures), "terms": terms})
    }
}

impl std::fmt::Display for Goal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let terms: Vec<&str> = self.terms.iter().map(|term| term.text.as_str()).collect();
        f.write_str(&terms.join(","))
    }
}

impl Unit {
    fn shown(self, value: f64) -> String {
        match self {
            Self::Percent => format!("{} %", units::shown(value)),
            Self::Millis => format!("{} ms", units::shown(value)),
            Self::Count => units::shown(value),
            Self::Rate => units::shown_rate(value),
        }
    }
}

impl Term {
    fn is_met(&self, figures: &Figures) -> bool {
        (self.name.of)(figures)
            .is_some_and(|got| if self.at_most { got <= self.bound } else { got >= self.bound })
    }
}

fn term(text: &str) -> Result<Term, String> {
    let (at_most, (name, bound)) = match (text.split_once("<="), text.split_once(">=")) {
        (Some(parts), _) => (true, parts),
        (_, Some(parts)) => (false, parts),
        _ => return Err(format!("{text:?} has neither <= nor >=")),
    };
    let wanted = name.trim();
    let Some(name) = NAMES.iter().find(|name| name.name == wanted) else {
        let names: Vec<&str> = NAMES.iter().map(|name| name.name).collect();
        return Err(format!("{wanted:?} is no figure of a goal; there are {}", names.join(", ")));
    };
    let bound = bound.trim();
    let bound = match name.unit {
        Unit::Percent => units::share(bound)? * 100.0,
        Unit::Millis => units::millis(bound)?,
        Unit::Rate => units::bit_rate(bound)?,
        Unit::Count => bound.parse().map_err(|_| format!("{bound:?} in {text:?} is no number"))?,
    };
    Ok(Term { name, at_most, bound, text: text.to_owned() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::setup::tests::setup;
    use super::*;

    #[test]
    fn a_goal_is_read_and_judged() {
        let goal = Goal::parse("starved<=0.1%, p99<=200ms,join_p99<=1s,rate>=1G").unwrap();
        assert_eq!(goal.to_string(), "starved<=0.1%,p99<=200ms,join_p99<=1s,rate>=1G");
        let mut figures = Figures {
            setup: Some(setup(1000)),
            seconds: 10.0,
            bits: 25e9,
            joined: 1000,
            starved: 1,
            rate: Some(2.5e6),
            ..Figures::default()
        };
        figures.latency.record(150_000);
        figures.first_key.record(900_000);
        assert!(goal.is_met(&figures), "{:?}", goal.lines(&figures));
        figures.starved = 2;
        assert!(!goal.is_met(&figures));
        assert!(goal.lines(&figures)[0].contains("0.2 %, missed"), "{:?}", goal.lines(&figures));
        figures.starved = 0;
        assert!(goal.is_met(&figures));
        figures.latency = Distribution::default();
        assert!(!goal.is_met(&figures), "what was not measured is not reached");
        let looked_at = Goal::parse("starved<=0%,stalls<=0,faults<=0").unwrap();
        figures.rate = None;
        for line in looked_at.lines(&figures) {
            assert!(line.ends_with("not measured, missed"), "{line}");
        }
        assert!(Goal::default().is_met(&figures) && Goal::default().is_empty());
        figures.cut_short = Some("interrupted");
        assert!(!Goal::default().is_met(&figures));
    }

    #[test]
    fn nonsense_is_refused_with_what_there_is() {
        for (text, word) in [
            ("p99", "neither"),
            ("p98<=1s", "p99.9"),
            ("p99<=fast", "200ms"),
            ("starved<=200%", "80%"),
            ("stalls<=few", "few"),
        ] {
            let error = Goal::parse(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
