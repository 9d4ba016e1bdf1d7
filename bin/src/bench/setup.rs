//! What a run is told to do, and whether this machine can.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use super::target::{Door, Target};
use crate::kernel;

/// One run's plan.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Whom to play from.
    pub targets: Vec<Target>,
    /// How many players.
    pub players: usize,
    /// Streams they are spread over.
    pub streams: usize,
    /// Streams that this process publishes.
    pub publish: usize,
    /// Players that begin in a second.
    pub ramp: f64,
    /// From the last beginning to the measured window.
    pub settle: Duration,
    /// The measured window.
    pub hold: Duration,
    /// Players that check everything.
    pub sample: usize,
    /// Probes that begin in a second of the window.
    pub probes: f64,
    /// Viewers of playlists follow parts.
    pub low_latency: bool,
    /// Threads of bulk players.
    pub threads: usize,
    /// How long one may take to get media.
    pub join_within: Duration,
    /// Bytes that have to wait before a bulk player takes them.
    pub low_water: u32,
    /// How often bulk players are looked at.
    pub visit_every: Duration,
    /// A viewer's buffer.
    pub buffer: Duration,
    /// What a player should get, where known.
    pub rate: Option<f64>,
    /// What a player may lack of its stream at the window's edges.
    pub slack: Duration,
    /// This side's addresses, where they are chosen.
    pub from: Vec<IpAddr>,
    /// The server's processes.
    pub pids: Vec<u32>,
    /// Bytes of their memory before any run.
    pub memory_before: u64,
}

/// Descriptors beside those of players: loops, logs, `/proc`.
const SPARE_DESCRIPTORS: usize = 128;

impl Setup {
    /// How long a run takes at most, from its first player.
    pub fn bound(&self) -> Duration {
        Duration::from_secs_f64(self.players as f64 / self.ramp)
            + self.settle
            + self.hold
            + Duration::from_secs(10)
    }

    /// Says what this machine lacks for the run, before it begins.
    pub fn check(&self, descriptors: u64) -> Result<(), String> {
        within_a_day(self.players, self.ramp)?;
        // Probes come and go; no more than those of ten seconds are there at a time.
        let probes = (self.probes * 10.0) as usize;
        // A viewer of HLS has a connection for pictures and one for sound.
        let lists = self.targets.iter().filter(|target| target.door == Door::Hls).count();
        let [all, lists] = [self.targets.len().max(1), lists];
        let connections = |players: usize| players + (players * lists).div_ceil(all);
        let players = connections(self.players + probes);
        let needed = players + self.publish + SPARE_DESCRIPTORS;
        if needed as u64 > descriptors {
            return Err(format!(
                "{} players and {} publishers need {needed} descriptors; this process may have \
                 {descriptors}. Raise the limit: ulimit -n {needed}",
                self.players, self.publish
            ));
        }
        let doors: BTreeSet<_> = self.targets.iter().map(|target| target.address).collect();
        // Each source address has all ports for each door of the server.
        let to_one = players.div_ceil(doors.len().max(1)) + self.publish;
        ports_for(to_one, self.from.len())
    }

    /// The numbers of the players that check everything, spread evenly over all.
    pub fn sampled(&self) -> BTreeSet<usize> {
        let sample = self.sample.min(self.players);
        (0..sample).map(|nth| nth * self.players / sample.max(1)).collect()
    }

    /// What the report says of it.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "urls": self.targets.iter().map(Target::url).collect::<Vec<_>>(),
            "players": self.players,
            "streams": self.streams,
            "publish": self.publish,
            "rate_bit_s": self.rate,
            "ramp_per_s": self.ramp,
            "settle_s": self.settle.as_secs_f64(),
            "hold_s": self.hold.as_secs_f64(),
            "sample": self.sample,
            "probes_per_s": self.probes,
            "low_latency": self.low_latency,
            "threads": self.threads,
            "low_water": self.low_water,
            "visit_every_ms": self.visit_every.as_secs_f64() * 1e3,
            "buffer_ms": self.buffer.as_millis() as u64,
            "slack_ms": self.slack.as_millis() as u64,
            "join_within_s": self.join_within.as_secs_f64(),
        })
    }
}

/// A day is the bound of every time here.
pub fn within_a_day(connections: usize, ramp: f64) -> Result<(), String> {
    let takes = connections as f64 / ramp;
    if takes > 86_400.0 {
        return Err(format!(
            "--ramp {ramp}: {connections} take {:.1} days to begin",
            takes / 86_400.0
        ));
    }
    Ok(())
}

/// Says what is missing for so many connections from so many source addresses.
pub fn room_for(connections: usize, addresses: usize, descriptors: u64) -> Result<(), String> {
    let needed = connections + SPARE_DESCRIPTORS;
    if needed as u64 > descriptors {
        return Err(format!(
            "{connections} connections need {needed} descriptors; this process may have \
             {descriptors}. Raise the limit: ulimit -n {needed}"
        ));
    }
    ports_for(connections, addresses)
}

fn ports_for(connections: usize, addresses: usize) -> Result<(), String> {
    let range = kernel::setting("net/ipv4/ip_local_port_range");
    let [low, high] = range.as_slice() else { return Ok(()) };
    let (ports, addresses) = ((high.saturating_sub(*low) + 1) as usize, addresses.max(1));
    if connections > ports * addresses {
        let needed = connections.div_ceil(ports);
        return Err(format!(
            "{connections} connections to one address need {needed} source addresses of {ports} ports \
             each (net.ipv4.ip_local_port_range); this run has {addresses}. Name more: \
             --from ADDRESS,ADDRESS..."
        ));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub mod tests {
    use super::*;

    pub fn setup(players: usize) -> Setup {
        Setup {
            targets: vec![Target::parse("http://127.0.0.1:1/live/a.flv", false).unwrap()],
            players,
            streams: 1,
            publish: 1,
            ramp: 400.0,
            settle: Duration::from_secs(3),
            hold: Duration::from_secs(16),
            sample: 8,
            probes: 2.0,
            low_latency: false,
            threads: 1,
            join_within: Duration::from_secs(10),
            low_water: 16_384,
            visit_every: Duration::from_millis(5),
            buffer: Duration::from_secs(1),
            rate: Some(2.5e6),
            slack: Duration::from_millis(500),
            from: Vec::new(),
            pids: Vec::new(),
            memory_before: 0,
        }
    }

    #[test]
    fn what_the_machine_lacks_is_said_with_the_number_needed() {
        let setup = setup(3200);
        assert_eq!(setup.check(100_000), Ok(()));
        let error = setup.check(1024).unwrap_err();
        assert!(error.contains("ulimit -n 3349"), "{error}");
        let slow = Setup { ramp: 0.01, ..setup.clone() };
        assert!(slow.check(100_000).unwrap_err().contains("3.7 days"));
        let many = Setup { players: 200_000, ..setup.clone() };
        let error = many.check(1 << 30).unwrap_err();
        assert!(error.contains("source addresses") && error.contains("--from"), "{error}");
        let from = super::super::target::sources(&["127.0.0.1:1".parse().unwrap()], &[]).unwrap();
        assert_eq!(Setup { from, ..many }.check(1 << 30), Ok(()));
    }

    #[test]
    fn the_sample_is_spread_over_all() {
        let sampled: Vec<usize> = setup(800).sampled().into_iter().collect();
        assert_eq!(sampled, [0, 100, 200, 300, 400, 500, 600, 700]);
        assert_eq!(setup(3).sampled().len(), 3);
        assert_eq!(setup(0).sampled().len(), 0);
    }
}
