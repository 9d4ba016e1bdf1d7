//! `--find`: the most players that still meet the goal.

use std::collections::BTreeMap;
use std::error::Error;

use super::figures::{Figures, Row};
use super::run;
use super::streams::Test;
use crate::units::{grouped, shown_rate};

/// A step from one number of players to the next while climbing.
const CLIMB: f64 = 2.0;
/// A next number that is closer than this is not tried: the answer is then within a tenth of the
/// smallest number that missed the goal.
const CLOSE: f64 = 0.05;
/// Runs in all: a bound, however slowly it converges.
const RUNS: usize = 24;
/// Runs of one search that may be passed over since they were disturbed: on a host that is never quiet the
/// answer is what it carries beside the others.
const PASSED_OVER: usize = 8;

/// One number that was tried.
#[derive(Clone, Debug)]
pub struct Step {
    /// Players.
    pub players: usize,
    /// What came of it.
    pub outcome: Outcome,
    /// What was measured.
    pub figures: Figures,
}

/// What came of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The goal was met.
    Met,
    /// It was missed.
    Missed,
    /// It was missed while other machines of the host had the cores: that says nothing of the server, and
    /// the number is tried again.
    Disturbed,
}

impl Outcome {
    fn of(is_met: bool, figures: &Figures) -> Self {
        match (is_met, figures.is_robbed()) {
            (true, _) => Self::Met,
            (false, false) => Self::Missed,
            (false, true) => Self::Disturbed,
        }
    }

    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Missed => "missed",
            Self::Disturbed => "disturbed",
        }
    }
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The most players that met the goal, twice; 0 if none did.
    pub players: usize,
    /// Every run, in order.
    pub steps: Vec<Step>,
    /// The run in which it was cut short; its goal counts for nothing.
    pub unfinished: Option<Step>,
    /// What stops more.
    pub bottleneck: String,
    /// Why the search ended before its answer was sure.
    pub cut_short: Option<String>,
}

impl Found {
    /// The figures of the last run with the players that were found.
    pub fn best(&self) -> Option<&Figures> {
        let best = |step: &&Step| step.outcome == Outcome::Met && step.players == self.players;
        self.steps.iter().rev().find(best).map(|step| &step.figures)
    }
}

/// Decides what to try next; knows nothing of how it is tried.
///
/// Near its limit a server meets the goal in one run and misses it in the next. So a number counts as
/// what most of its runs say, an even result asks for another run, and the answer has met the goal
/// twice at least.
#[derive(Clone, Debug)]
pub struct Search {
    first: usize,
    most: usize,
    /// Runs that met the goal and runs that missed it, by number of players.
    tried: BTreeMap<usize, (u32, u32)>,
}

impl Search {
    /// From so many players to at most so many.
    pub fn new(first: usize, most: usize) -> Self {
        Self { first: first.clamp(1, most.max(1)), most, tried: BTreeMap::new() }
    }

    /// What came of a run.
    pub fn tried(&mut self, players: usize, met: bool) {
        let (mets, misses) = self.tried.entry(players).or_default();
        *(if met { mets } else { misses }) += 1;
    }

    /// What to try next; `None` once the answer is sure.
    pub fn next(&self) -> Option<usize> {
        if let Some((even, _)) = self.tried.iter().find(|(_, (mets, misses))| mets == misses) {
            return Some(*even);
        }
        let bad = self.bad();
        let Some((good, mets)) = self.good() else {
            let next = bad.map_or(self.first, |bad| bad / 2);
            return (next > 0).then_some(next);
        };
        let middle = match bad {
            Some(bad) => good + (bad - good) / 2,
            None => ((good as f64 * CLIMB).ceil() as usize).min(self.most),
        };
        let is_near = (middle - good) as f64 <= good as f64 * CLOSE;
        match (is_near, mets) {
            (false, _) => Some(middle),
            (true, 0..2) => Some(good),
            (true, _) => None,
        }
    }

    /// The answer so far.
    pub fn answer(&self) -> usize {
        self.good().map_or(0, |(good, _)| good)
    }

    /// The smallest that missed the goal.
    fn bad(&self) -> Option<usize> {
        self.tried.iter().find(|(_, (mets, misses))| misses > mets).map(|(players, _)| *players)
    }

    /// The largest below it that met the goal, and how often it did.
    fn good(&self) -> Option<(usize, u32)> {
        let below = self.tried.range(..self.bad().unwrap_or(usize::MAX));
        let mut met = below.filter(|(_, (mets, misses))| mets > misses);
        met.next_back().map(|(players, (mets, _))| (*players, *mets))
    }
}

/// Climbs, bisects, repeats.
pub fn find(
    test: &mut Test,
    progress: &mut dyn FnMut(&Row, usize),
    told: &mut dyn FnMut(&Step),
) -> Result<Found, Box<dyn Error>> {
    let mut search = Search::new(test.setup.players, test.most);
    let mut found = Found::default();
    while let Some(players) = search.next() {
        if found.steps.len() == RUNS {
            break;
        }
        let figures = test.once(players, &mut |row| progress(row, players))?;
        found.cut_short = why_no_more(&figures);
        let is_met = test.goal.is_met(&figures);
        let mut step = Step { players, outcome: Outcome::of(is_met, &figures), figures };
        let disturbed = found.steps.iter().filter(|step| step.outcome == Outcome::Disturbed);
        if step.outcome == Outcome::Disturbed && disturbed.count() == PASSED_OVER {
            step.outcome = Outcome::Missed;
        }
        if found.cut_short.is_some() {
            found.unfinished = Some(step);
            break;
        }
        told(&step);
        if step.outcome != Outcome::Disturbed {
            search.tried(players, is_met);
        }
        found.steps.push(step);
    }
    found.players = search.answer();
    found.bottleneck = bottleneck(&found, test);
    Ok(found)
}

/// Why a search cannot go on. A server without a stream, or none at all, has nothing more to show, and a
/// run that did not last says nothing of its number. A server that has lost all players says enough.
fn why_no_more(figures: &Figures) -> Option<String> {
    let cut_short = figures.cut_short.filter(|why| *why != run::ALL_GONE).map(str::to_owned);
    cut_short.or_else(|| {
        let why = figures.reasons.commonest().map_or("no reason is known", |(why, _)| why);
        (figures.joined == 0).then(|| format!("nobody got media: {why}"))
    })
}

/// What stops more players, as the first run that missed the goal shows it.
fn bottleneck(found: &Found, test: &Test) -> String {
    let missed = found.steps.iter().filter(|step| step.outcome == Outcome::Missed);
    let failed = missed.filter(|step| step.players > found.players);
    let Some(step) = failed.min_by_key(|step| step.players) else {
        if found.cut_short.is_some() {
            return "not known: more were not tried to the end".into();
        }
        let most = grouped(test.most);
        return match &test.lacks {
            Some(why) => format!("this machine as the generator, after {most} players: {why}"),
            None => format!("nothing up to the {most} players that were to be tried"),
        };
    };
    cause(&step.figures)
}

/// What a run ran into.
pub fn cause(figures: &Figures) -> String {
    if figures.reasons.any(&["os error 24", "os error 23"]) {
        return "descriptors".into();
    }
    let generator = figures.generator.busiest.as_ref().map_or(0.0, |(_, share)| *share);
    let server = figures.server.as_ref();
    let core = server.and_then(|server| server.busiest.as_ref()).map_or(0.0, |(_, share)| *share);
    if core >= 0.9 && core >= generator {
        return format!("the server's core: its busiest thread used {:.0} % of one", core * 100.0);
    }
    if generator >= 0.9 {
        return format!(
            "the generator, not the server: its busiest thread used {:.0} % of a core; the server \
             carries more",
            generator * 100.0
        );
    }
    if let (Some(used), Some(allowed)) = (
        figures.machine["tcp_memory_peak_bytes"].as_f64(),
        figures.machine["tcp_memory_allowed_bytes"].as_f64(),
    ) && used > allowed * 0.9
    {
        return "memory for TCP (net.ipv4.tcp_mem)".into();
    }
    if let Some((name, carried, link)) = figures.link().filter(|(_, bits, of)| *bits > of * 0.9) {
        let [carried, link] = [carried, link].map(shown_rate);
        return format!("the network card: {name} carried {carried} of {link}");
    }
    let out = figures.failed + figures.dropped;
    if let Some((why, count)) = figures.reasons.commonest().filter(|_| out * 2 > figures.starved) {
        return format!("what {} players ended for: {why}", grouped(count));
    }
    if figures.is_robbed() {
        let share = figures.stolen() / figures.seconds.max(1e-3) * 100.0;
        return format!("other machines on this host: they took {share:.0} % of a core (steal)");
    }
    let busy: f64 = figures.idle_share().map_or(0.0, |idle| 1.0 - idle);
    if busy > 0.95 {
        return "this machine's cores, which others use too".into();
    }
    if server.is_none() {
        return "unknown: name the server's process with --pid".into();
    }
    "none of CPU, memory and descriptors: a bound of the server, or the network".into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Searches a server that carries so many; returns the answer and the runs it took.
    fn search(first: usize, most: usize, carries: usize) -> (usize, usize) {
        let mut search = Search::new(first, most);
        let mut runs = 0;
        while let Some(players) = search.next() {
            runs += 1;
            assert!(runs <= RUNS && players <= most);
            search.tried(players, players <= carries);
        }
        (search.answer(), runs)
    }

    #[test]
    fn what_was_missed_without_cores_says_nothing() {
        let run = |stolen: f64| Figures {
            seconds: 10.0,
            machine: serde_json::json!({"cores": [{"steal_s": 0.0}, {"steal_s": stolen}]}),
            ..Figures::default()
        };
        assert_eq!(Outcome::of(false, &run(3.0)), Outcome::Disturbed);
        assert_eq!(Outcome::of(false, &run(0.1)), Outcome::Missed);
        assert_eq!(Outcome::of(true, &run(3.0)), Outcome::Met, "it carries them even so");
    }

    #[test]
    fn what_most_ended_for_is_named_before_cores_are_blamed() {
        let mut figures = Figures {
            seconds: 10.0,
            failed: 3,
            starved: 4,
            machine: serde_json::json!({
                "cores": [{"steal_s": 0.0, "idle_s": 0.0}],
                "interface": {"name": "eth0", "received_bytes": 1.2e9, "link_bit_s": 1e9},
            }),
            ..Figures::default()
        };
        ["refused", "a reset", "refused"].iter().for_each(|why| figures.reasons.add(why));
        assert!(cause(&figures).contains("eth0 carried 960 Mbit/s of 1 Gbit/s"));
        figures.machine["interface"]["link_bit_s"] = serde_json::Value::Null;
        assert!(cause(&figures).contains("2 players ended for: refused"), "{}", cause(&figures));
        figures.starved = 600;
        assert!(cause(&figures).contains("cores"), "others starved for another reason");
        assert_eq!(why_no_more(&figures).unwrap(), "nobody got media: refused");
        figures.joined = 1;
        assert_eq!(why_no_more(&figures), None);
    }

    #[test]
    fn the_answer_is_close_and_was_met_twice() {
        for first in [100, 800, 3200, 5000] {
            let (answer, runs) = search(first, 20_000, 3300);
            assert!((3000..=3300).contains(&answer), "{first}: {answer}");
            assert!(runs <= 14, "{first}: {runs}");
        }
    }

    #[test]
    fn a_server_that_carries_more_than_may_be_tried_is_said_to_carry_that() {
        assert_eq!(search(500, 1000, 3300).0, 1000);
    }

    #[test]
    fn a_server_that_carries_nobody_ends_the_search() {
        let mut search = Search::new(1000, 2000);
        let mut runs = 0;
        while let Some(players) = search.next() {
            runs += 1;
            search.tried(players, false);
        }
        assert_eq!(search.answer(), 0);
        assert!(runs < 25, "{runs}");
    }

    #[test]
    fn an_answer_that_does_not_hold_is_taken_back() {
        let mut search = Search::new(100, 1000);
        search.tried(100, true);
        assert_eq!(search.next(), Some(200));
        search.tried(200, true);
        search.tried(400, false);
        while let Some(players) = search.next() {
            search.tried(players, players < 200);
        }
        assert!((95..200).contains(&search.answer()), "{}", search.answer());
    }

    #[test]
    fn one_bad_run_near_the_limit_does_not_lose_what_was_found() {
        let mut search = Search::new(800, 20_000);
        let mut seen = 0;
        let mut runs = 0;
        while let Some(players) = search.next() {
            runs += 1;
            assert!(runs <= RUNS);
            // The first run with more than 13,000 players meets the goal, the second does not, the
            // third does.
            let near = (13_000..14_500).contains(&players);
            seen += usize::from(near);
            search.tried(players, if near { seen != 2 } else { players < 14_000 });
        }
        assert!((12_000..14_500).contains(&search.answer()), "{}", search.answer());
    }
}
