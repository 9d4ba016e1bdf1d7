//! What a run comes to.

use serde_json::{Value, json};

use super::check::Findings;
use super::crowd::{Ending, Record, Role, Tally, reasons};
use super::distribution::{Distribution, round3};
use super::edge::Carried;
use super::hls::Requests;
use super::reasons::Reasons;
use super::run::Look;
use super::setup::Setup;
use crate::kernel;

/// One second of a run.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// Seconds since the first player began.
    pub at: f64,
    /// Within the measured window.
    pub measuring: bool,
    /// Players that have begun to connect.
    pub begun: usize,
    /// Are there.
    pub playing: usize,
    /// Never got media.
    pub failed: usize,
    /// Got media and are gone.
    pub dropped: usize,
    /// Get less than they should.
    pub starved: usize,
    /// Bits per second since the row before.
    pub rate: f64,
    /// Latencies in microseconds.
    pub p50: Option<u64>,
    /// See `p50`.
    pub p99: Option<u64>,
    /// Cores that the server used.
    pub server: Option<f64>,
    /// Cores that this process used.
    pub generator: Option<f64>,
    /// The server's memory.
    pub server_memory: u64,
}

/// What a run comes to.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// What it was told to do.
    pub setup: Option<Setup>,
    /// Why it ended before its time.
    pub cut_short: Option<&'static str>,
    /// Seconds of the measured window.
    pub seconds: f64,
    /// Its edges, as microseconds since 1970.
    pub window: [i64; 2],
    /// The window began; without one all that came since the first player joined is judged.
    pub is_measured: bool,
    /// Players that got media.
    pub joined: usize,
    /// That never did.
    pub failed: usize,
    /// Whose turn to begin had not come when the run was cut short.
    pub not_begun: usize,
    /// That got media and were gone before the end.
    pub dropped: usize,
    /// That got less than they should, those that are gone included.
    pub starved: usize,
    /// Below 95 % of the rate, without the slack for lumps.
    pub below_95: usize,
    /// Why players failed or were dropped.
    pub reasons: Reasons,
    /// Bits of all players within the window.
    pub bits: f64,
    /// What a player should get, in bits per second.
    pub rate: Option<f64>,
    /// Each player's bits per second.
    pub rates: Vec<f64>,
    /// From connecting to the first byte, of sample and probes.
    pub first_byte: Distribution,
    /// To the first whole keyframe.
    pub first_key: Distribution,
    /// How old that was.
    pub key_age: Distribution,
    /// The same three of those that joined under load.
    pub probes: [Distribution; 3],
    /// Probes that began, and that got their keyframe.
    pub probed: [usize; 2],
    /// From stamp to whole frame.
    pub latency: Distribution,
    /// How many of them are ages of pictures that had not come at the end.
    pub overdue: u64,
    /// What viewers of playlists asked for.
    pub requests: Requests,
    /// What the sample found.
    pub findings: Findings,
    /// Each sampled player's stalls and microseconds of them.
    pub stalls: Vec<(u32, i64)>,
    /// Cores that the server used, and its CPU seconds.
    pub server: Option<Spent>,
    /// Bytes of the server's memory before players came, and most of it.
    pub server_memory: [u64; 2],
    /// The generator.
    pub generator: Spent,
    /// How late the generator's threads were.
    pub lateness: Distribution,
    /// Cores, interface and memory as the kernel counts them.
    pub machine: Value,
    /// Seconds of it.
    pub rows: Vec<Row>,
    /// What makes figures doubtful.
    pub warnings: Vec<String>,
}

/// What some processes used within the window.
#[derive(Clone, Debug, Default)]
pub struct Spent {
    /// CPU seconds.
    pub cpu: f64,
    /// Seconds of waiting for a core that others had.
    pub waited: f64,
    /// Of them in their own code.
    pub user: f64,
    /// Of them in the kernel.
    pub system: f64,
    /// Cores.
    pub share: f64,
    /// The busiest thread.
    pub busiest: Option<(String, f64)>,
    /// Threads.
    pub threads: usize,
    /// Per second.
    pub voluntary: f64,
    /// Per second.
    pub involuntary: f64,
    /// Per second, where the kernel tells.
    pub io_calls: Option<f64>,
    /// At the end.
    pub descriptors: usize,
    /// Most of its memory, at any time.
    pub peak: u64,
}

impl Spent {
    fn between(a: &kernel::Usage, b: &kernel::Usage, seconds: f64) -> Self {
        // Of processes that have ended in between there is less than there was.
        let cpu = (b.cpu - a.cpu).max(0.0);
        let per_second = |from: u64, to: u64| to.saturating_sub(from) as f64 / seconds.max(1e-3);
        Self {
            cpu,
            waited: (b.waited - a.waited).max(0.0),
            user: (b.user - a.user).max(0.0),
            system: (b.system - a.system).max(0.0),
            share: cpu / seconds.max(1e-3),
            busiest: kernel::busiest(a, b, seconds),
            threads: b.threads.len(),
            voluntary: per_second(a.voluntary, b.voluntary),
            involuntary: per_second(a.involuntary, b.involuntary),
            io_calls: a.io_calls.zip(b.io_calls).map(|(from, to)| per_second(from, to)),
            descriptors: b.descriptors,
            peak: b.resident_peak,
        }
    }
}

impl Figures {
    /// Puts together what all threads and the kernel say.
    pub fn of(
        setup: &Setup,
        looks: &[Look; 2],
        tallies: Vec<Tally>,
        rows: Vec<Row>,
        cut_short: Option<&'static str>,
    ) -> Self {
        let [from, to] = looks;
        let seconds = (to.at - from.at) as f64 / 1e6;
        let mut figures = Self {
            setup: Some(setup.clone()),
            cut_short,
            seconds,
            is_measured: tallies.iter().all(|tally| tally.edges[0] > 0),
            rate: setup.rate,
            generator: Spent::between(&from.generator, &to.generator, seconds),
            server_memory: [setup.memory_before, to.server.resident],
            ..Self::default()
        };
        if !setup.pids.is_empty() {
            figures.server = Some(Spent::between(&from.server, &to.server, seconds));
        }
        let own = tallies.iter().find_map(|tally| tally.stream_rate);
        figures.rate = figures.rate.or(own);
        figures.count(setup, &tallies);
        for tally in &tallies {
            figures.latency.add(&tally.latency);
            figures.overdue += tally.overdue;
            figures.findings.add(&tally.findings);
            figures.requests.add(&tally.requests);
            figures.stalls.extend_from_slice(&tally.stalls);
            figures.lateness.add(&tally.lateness);
        }
        figures.rows = rows;
        // Only the thread that waited for a good moment has more than one to choose from.
        let carried = tallies.iter().find(|tally| tally.carries);
        let nothing = Default::default();
        let carried = carried.map_or(&nothing, |tally| &tally.carried);
        figures.machine = figures.look_at_machine(from, to, carried);
        figures.window = [from.at, to.at];
        figures.warn();
        figures
    }

    /// Adds what was highest while it ran.
    #[must_use]
    pub fn with_peaks(mut self, server: u64, tcp: u64) -> Self {
        let [_, most] = &mut self.server_memory;
        *most = server.max(*most);
        if let Value::Object(machine) = &mut self.machine {
            machine.insert("tcp_memory_peak_bytes".into(), tcp.into());
        }
        self
    }

    fn count(&mut self, setup: &Setup, tallies: &[Tally]) {
        let (slack, wanted) = (setup.slack.as_secs_f64(), self.rate.unwrap_or(0.0));
        let least_95 = wanted * 0.95;
        for tally in tallies {
            let [from, to] = tally.edges;
            for record in &tally.records {
                let [a, b] = record.at_edges;
                let got = b.saturating_sub(a) as f64 * 8.0;
                let from = if self.is_measured { from } else { record.joined.unwrap_or(to) };
                let window = ((to - from) as f64 / 1e6).max(1e-3);
                // The edges of threads are a little apart, and from those at which CPU is looked at.
                self.bits += if self.is_measured { got / window * self.seconds } else { got };
                self.join_times(record);
                if record.role == Role::Probe {
                    continue;
                }
                let gone = !matches!(record.ended, Some(Ending::Over));
                match record.joined {
                    Some(_) => self.joined += 1,
                    None => self.failed += 1,
                }
                self.dropped += usize::from(record.joined.is_some() && gone);
                let rate = got / window;
                // A segment may have come just before the window, the next just behind it.
                let slack = slack + record.lump as f64 / 1e6;
                let least = least_95 - wanted * slack / window.max(slack);
                let out = gone || record.joined.is_none();
                self.starved += usize::from(out || rate < least);
                self.below_95 += usize::from(out || rate < least_95);
                self.rates.push(rate);
            }
        }
        self.not_begun = setup.players.saturating_sub(self.joined + self.failed);
        let records = tallies.iter().flat_map(|tally| &tally.records);
        self.reasons = reasons(records.filter(|record| record.role != Role::Probe));
    }

    fn join_times(&mut self, record: &Record) {
        let since = |at: i64| u64::try_from(at - record.began).unwrap_or(0);
        let probe = record.role == Role::Probe;
        if record.role == Role::Bulk {
            return;
        }
        let [probes_byte, probes_key, probes_age] = &mut self.probes;
        let (byte, key, age) = match probe {
            true => (probes_byte, probes_key, probes_age),
            false => (&mut self.first_byte, &mut self.first_key, &mut self.key_age),
        };
        if let Some(at) = record.first_byte {
            byte.record(since(at));
        }
        if let Some((at, old)) = record.first_key {
            key.record(since(at));
            age.record(u64::try_from(old).unwrap_or(0));
        }
        if probe {
            let [began, got] = &mut self.probed;
            *began += 1;
            *got += usize::from(record.first_key.is_some());
        }
    }

    fn look_at_machine(&self, from: &Look, to: &Look, [before, after]: &[Carried; 2]) -> Value {
        let (tcp, most) = kernel::tcp_memory();
        // The interface that carried most is the one under test.
        let mut interface = Value::Null;
        let mut carried = 0;
        for (name, b) in &after.interfaces {
            let Some(a) = before.interfaces.get(name) else { continue };
            let bytes = b.received[0].saturating_sub(a.received[0]);
            let packets = b.received[1].saturating_sub(a.received[1]);
            if bytes < carried {
                continue;
            }
            carried = bytes;
            let headers = if self.is_ipv6() { 86 } else { 66 };
            let payload = bytes.saturating_sub(headers * packets) as f64;
            let counted = after.counted.saturating_sub(before.counted) as f64;
            interface = json!({
                "name": name,
                "received_bytes": bytes,
                "received_packets": packets,
                "link_bit_s": kernel::link_speed(name),
                "payload_bytes": payload,
                "generator_counted_bytes": counted,
                "came_while_looking_bytes": before.apart + after.apart,
                "difference_percent": (payload > 0.0)
                    .then(|| round3((counted - payload) / payload * 100.0)),
            });
        }
        json!({
            "cores": kernel::cores_between(&from.cores, &to.cores),
            "interface": interface,
            "tcp_memory_bytes": tcp,
            "tcp_memory_allowed_bytes": most,
        })
    }

    fn warn(&mut self) {
        if let Some((name, share)) = self.generator.busiest.clone().filter(|(_, s)| *s > 0.9) {
            self.warnings.push(format!(
                "the generator is the limit: its thread {name} used {:.0} % of a core; give it \
                 --threads and cores of its own",
                share * 100.0
            ));
        } else if self.generator_is_late() {
            self.warnings.push(format!(
                "the generator was late by {:.0} ms (p99): its core is not its own, or full",
                self.lateness.percentile(99.0).unwrap_or(0) as f64 / 1e3
            ));
        }
        if let Some(others) = self.others().filter(|others| *others > 0.1) {
            self.warnings.push(format!(
                "other programs used {others:.1} cores of this machine: figures of a quiet one are better"
            ));
        }
        let waited = self.server.as_ref().map_or(0.0, |server| server.waited);
        if waited > 0.1 * self.seconds {
            self.warnings.push(format!(
                "the server waited {waited:.1} s for cores that others had: latencies are theirs too"
            ));
        }
        if self.is_robbed() {
            self.warnings.push(format!(
                "other machines on this host took {:.1} % of a core (steal)",
                self.stolen() / self.seconds.max(1e-3) * 100.0
            ));
        }
        if self.rate.is_none() && self.joined > 0 {
            self.warnings
                .push("the rate is not known, and so not who starved: name it (--bitrate)".into());
        }
        if self.faults().is_some_and(|faults| faults > 0) {
            self.warnings.push("the sample found faults in what came".into());
        }
        if self.is_without_key() {
            self.warnings.push("the sample saw no keyframe".into());
        }
        if self.overdue > 0 {
            self.warnings.push(format!(
                "{} pictures had not come to the sample at the end, and count with their age",
                self.overdue
            ));
        }
        if let Some(why) = self.cut_short {
            self.warnings.push(format!("the run ended before its time: {why}"));
        }
        if !self.is_measured {
            self.warnings.push(
                "the measured window did not begin: figures are of all since the first join".into(),
            );
        }
    }

    /// Whether the generator's threads came to their work late.
    pub fn generator_is_late(&self) -> bool {
        self.lateness.percentile(99.0).is_some_and(|late| late > 100_000)
    }

    /// Seconds of cores that other machines of the host had within the window (steal).
    pub fn stolen(&self) -> f64 {
        self.of_cores("steal_s")
    }

    /// Seconds of cores that went into interrupts and what follows from them.
    pub fn softirq(&self) -> f64 {
        self.of_cores("irq_softirq_s") + self.of_cores("ksoftirqd_s")
    }

    fn of_cores(&self, name: &str) -> f64 {
        let cores = self.machine["cores"].as_array();
        cores.into_iter().flatten().filter_map(|core| core[name].as_f64()).sum()
    }

    /// Whether that was enough to be seen in the latencies.
    pub fn is_robbed(&self) -> bool {
        self.stolen() > 0.02 * self.seconds
    }

    /// The share of all cores' time within the window that nobody used.
    pub fn idle_share(&self) -> Option<f64> {
        let cores = self.machine["cores"].as_array()?.len();
        (cores > 0 && self.seconds > 0.0)
            .then(|| self.of_cores("idle_s") / (self.seconds * cores as f64))
    }

    /// Cores that neither the server nor the generator used, and that were not idle.
    fn others(&self) -> Option<f64> {
        let server = self.server.as_ref()?;
        let cores = self.machine["cores"].as_array()?.len() as f64;
        let busy = cores * (1.0 - self.idle_share()?) - self.softirq() / self.seconds;
        Some((busy - server.share - self.generator.share).max(0.0))
    }

    /// Whether the players' packets have longer heads: Ethernet (as loopback counts it), IP, and TCP with
    /// timestamps are 14 + 20 + 32 bytes, with IPv6 14 + 40 + 32.
    fn is_ipv6(&self) -> bool {
        let first = self.setup.as_ref().and_then(|setup| setup.targets.first());
        first.is_some_and(|target| target.address.is_ipv6())
    }

    /// Bits per second of all players within the window.
    pub fn bits_per_second(&self) -> f64 {
        self.bits / self.seconds.max(1e-3)
    }

    /// Gigabits of all players within the window.
    pub fn gbit(&self) -> f64 {
        self.bits / 1e9
    }

    /// Players that were to be.
    pub fn asked(&self) -> usize {
        self.setup.as_ref().map_or(0, |setup| setup.players)
    }

    /// A number of players, in percent of those that were to be.
    pub fn percent(&self, players: usize) -> f64 {
        100.0 * players as f64 / self.asked().max(1) as f64
    }

    /// CPU seconds of the server per gigabit.
    pub fn cost(&self) -> Option<f64> {
        self.per_gbit(self.server.as_ref()?.cpu)
    }

    /// So much for each gigabit, where a megabit came: of less it says nothing.
    pub fn per_gbit(&self, cpu: f64) -> Option<f64> {
        (self.gbit() >= 1e-3).then(|| cpu / self.gbit())
    }

    /// The interface that carried most: its name, bits per second received, and those of its link, where
    /// that has a speed.
    pub fn link(&self) -> Option<(&str, f64, f64)> {
        let interface = &self.machine["interface"];
        let carried = interface["received_bytes"].as_f64()? * 8.0 / self.seconds.max(1e-3);
        Some((interface["name"].as_str()?, carried, interface["link_bit_s"].as_f64()?))
    }

    /// Stalls that the sample's viewers would have seen, where there was a sample.
    pub fn stalled(&self) -> Option<u64> {
        let stalls = self.stalls.iter().map(|(count, _)| u64::from(*count)).sum();
        (!self.stalls.is_empty()).then_some(stalls)
    }

    /// Everything that was wrong with what was looked at, where something was.
    pub fn faults(&self) -> Option<u64> {
        let looked_at = self.findings.pictures + self.findings.sounds;
        (looked_at > 0).then(|| self.findings.faults().map(|(_, count)| count).sum())
    }

    /// Whether the sample looked for keyframes, and saw none: that is no stream one can watch.
    pub fn is_without_key(&self) -> bool {
        let only_sound = self.findings.pictures == 0 && self.findings.sounds > 0;
        !self.stalls.is_empty() && self.first_key.len() == 0 && !only_sound
    }

    /// Join times of the probes where there were some: they joined under load.
    pub fn joins(&self) -> &Distribution {
        let [_, probes, _] = &self.probes;
        if probes.len() > 0 { probes } else { &self.first_key }
    }
}
