//! `weir plan`: how many players, on paper, and what stops them first.

mod limits;
mod stream;

use std::error::Error;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::units::{self, grouped, shown, shown_bytes, shown_rate};
use limits::{Costs, Limit, Machine};
use stream::{Format, Stream};

/// Options of `weir plan`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The network card
    #[arg(long, value_name = "RATE", default_value = "10G", value_parser = units::bit_rate)]
    nic: f64,
    /// How much of it is to be filled
    #[arg(long, value_name = "SHARE", default_value = "80%", value_parser = units::share)]
    share: f64,
    /// Bits per second of one stream
    #[arg(long, value_name = "RATE", default_value = "2.5M", value_parser = units::bit_rate)]
    bitrate: f64,
    /// How players get it
    #[arg(long, value_enum, default_value_t = Format::HttpFlv)]
    format: Format,
    /// Viewers in all, for the number of edges
    #[arg(long, value_name = "N", value_parser = units::count)]
    audience: Option<usize>,
    /// Streams they watch
    #[arg(long, value_name = "N", default_value = "1", value_parser = units::count)]
    streams: usize,
    /// Pictures per second
    #[arg(long, value_name = "N", default_value_t = 30.0)]
    fps: f64,
    /// Time from one keyframe to the next
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = units::duration)]
    gop: std::time::Duration,
    /// How many times as long as other pictures a keyframe is
    #[arg(long, value_name = "N", default_value_t = 6.0)]
    key_ratio: f64,
    /// Round trip to the players
    #[arg(long, value_name = "TIME", default_value = "50ms", value_parser = units::duration)]
    rtt: std::time::Duration,
    /// Longest IP packet
    #[arg(long, value_name = "BYTES", default_value_t = 1500.0)]
    mtu: f64,
    /// Cores for the server [default: all of this machine]
    #[arg(long, value_name = "N")]
    cores: Option<usize>,
    /// How busy a core may be
    #[arg(long, value_name = "SHARE", default_value = "80%", value_parser = units::share)]
    busy: f64,
    /// A report of weir bench --json, whose measured costs are taken
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  weir plan --nic 10G --share 80% --bitrate 2.5M     the classic sum, and what it forgets
  weir plan --audience 100k --streams 3              how many edges, and what they pull
  weir plan --report bench.json                      with the costs measured by weir bench

Limits of the machine (descriptors, TCP memory, ports, cores) are read from this one: run it where the
server is to run.";

/// Prints the plan.
pub fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let plan = Plan::make(args, &Machine::here())?;
    if args.json {
        crate::print(&(serde_json::to_string_pretty(&plan.json())? + "\n"))
    } else {
        crate::print(&plan.text())
    }
}

/// The whole sum.
struct Plan {
    stream: Stream,
    format: Format,
    nic: f64,
    share: f64,
    classic: usize,
    /// Bits on the wire for one player.
    wire: f64,
    limits: Vec<Limit>,
    notes: Vec<String>,
    costs: Costs,
    audience: Option<Edges>,
}

/// What an audience needs.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Edges {
    audience: usize,
    count: usize,
    /// What one edge pulls from the origin, in bits per second on the wire.
    pulls: f64,
    /// What the origin sends to all of them.
    origin: f64,
}

impl Plan {
    fn make(args: &Args, machine: &Machine) -> Result<Self, Box<dyn Error>> {
        if !(args.fps > 0.0 && args.mtu >= 576.0 && args.key_ratio >= 1.0 && !args.gop.is_zero()) {
            return Err("--fps and --gop are above 0, --mtu from 576, --key-ratio from 1".into());
        }
        if args.share <= 0.0 || args.busy <= 0.0 {
            return Err("--share and --busy are above 0".into());
        }
        let stream = Stream {
            rate: args.bitrate,
            fps: args.fps,
            gop: args.gop.as_secs_f64(),
            key_ratio: args.key_ratio,
        };
        let costs = match &args.report {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
                let report: Value = serde_json::from_str(&text)
                    .map_err(|error| format!("{} is no report: {error}", path.display()))?;
                Costs::of_report(&report).map_err(|why| format!("{}: {why}", path.display()))?
            }
            None => Costs::default(),
        };
        let usable = args.nic * args.share;
        let wire = stream.on_wire(args.format, args.mtu);
        let mut machine = machine.clone();
        machine.cores = args.cores.unwrap_or(machine.cores).max(1);
        let rtt = args.rtt.as_secs_f64();
        let mut limits =
            limits::all(&stream, wire, usable, rtt, args.busy, &costs, &machine, args.streams);
        limits.sort_by_key(|limit| limit.players);
        let carries = limits.first().map_or(0, |limit| limit.players);
        let audience = args.audience.map(|audience| {
            let count = audience.div_ceil(carries.max(1));
            let pulls = args.streams as f64 * stream.on_wire(Format::Rtmp, args.mtu);
            Edges { audience, count, pulls, origin: pulls * count as f64 }
        });
        let classic = (usable / args.bitrate).floor() as usize;
        let notes = limits::notes(&machine);
        let (nic, share, format) = (args.nic, args.share, args.format);
        Ok(Self { stream, format, nic, share, classic, wire, limits, notes, costs, audience })
    }

    fn text(&self) -> String {
        let mut lines = vec![
            format!(
                "The classic sum: {} x {} % / {} = {} players",
                shown_rate(self.nic),
                shown(self.share * 100.0),
                shown_rate(self.stream.rate),
                grouped(self.classic)
            ),
            String::new(),
            "What it forgets:".into(),
        ];
        for format in Format::ALL {
            let wire = self.stream.on_wire(format, 1500.0);
            lines.push(format!(
                "  {:<13} {} on the wire (+{} %): {} players",
                format.name(),
                shown_rate(wire),
                shown((wire / self.stream.rate - 1.0) * 100.0),
                grouped((self.nic * self.share / wire) as usize),
            ));
        }
        let key = self.stream.key_bytes();
        lines.push(format!(
            "  keyframes     {} each; one for all players of the card takes it {} ms, which the last of \
             them waits",
            shown_bytes(key),
            shown(self.classic as f64 * key * 8.0 / self.nic * 1e3)
        ));
        lines.push(format!(
            "  cost          {} CPU s per Gbit, {} per player ({})",
            shown(self.costs.cpu_per_gbit),
            shown_bytes(self.costs.memory),
            self.costs.source
        ));
        lines.extend(self.notes.iter().map(|note| format!("  {note}")));
        lines.push(String::new());
        lines.push(format!("Limits over {}, the first to be hit first:", self.format.name()));
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
                "This machine carries {} players; what stops it is {}. To lift it: {}.",
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
                if edges.origin > self.nic * self.share {
                    ": more than its own card; put a tier of edges in between"
                } else {
                    ""
                }
            ));
        }
        lines.push(String::new());
        lines.join("\n")
    }

    fn json(&self) -> Value {
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
        json!({
            "tool": "weir plan",
            "version": env!("CARGO_PKG_VERSION"),
            "classic_players": self.classic,
            "format": self.format.name(),
            "wire_bit_s": self.wire.round(),
            "keyframe_bytes": self.stream.key_bytes().round(),
            "cpu_s_per_gbit": self.costs.cpu_per_gbit,
            "memory_per_player_bytes": self.costs.memory,
            "costs_from": self.costs.source,
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn machine() -> Machine {
        Machine {
            cores: 4,
            descriptors: 1_000_000,
            memory: 16 << 30,
            tcp_memory: 4 << 30,
            send_buffer: 4 << 20,
            ports: 28_232,
        }
    }

    fn plan(args: &[&str]) -> Plan {
        let cli = Cli::parse_from([&["plan"], args].concat());
        Plan::make(&cli.args, &machine()).unwrap()
    }

    #[test]
    fn the_classic_sum_is_the_classic_sum() {
        let plan = plan(&["--nic", "10G", "--share", "80%", "--bitrate", "2.5M"]);
        assert_eq!(plan.classic, 3200);
        let text = plan.text();
        assert!(text.contains("= 3,200 players"), "{text}");
        let first = plan.limits.first().unwrap();
        assert_eq!(first.name, "network card", "{text}");
        assert!((2900..3200).contains(&first.players), "headers take some: {text}");
    }

    #[test]
    fn the_first_limit_is_named_with_what_lifts_it() {
        let small = Machine { descriptors: 1024, ..machine() };
        let cli = Cli::parse_from(["plan"]);
        let plan = Plan::make(&cli.args, &small).unwrap();
        let first = plan.limits.first().unwrap();
        assert_eq!(first.name, "descriptors");
        assert!(first.players < 1024 && first.lift.contains("LimitNOFILE"), "{}", first.lift);
        assert!(plan.text().contains("what stops it is descriptors"));
    }

    #[test]
    fn an_audience_needs_edges_and_the_origin_feeds_them() {
        let plan = plan(&["--audience", "100k", "--streams", "3"]);
        let edges = plan.audience.unwrap();
        let carries = plan.limits.first().unwrap().players;
        assert_eq!(edges.count, 100_000_usize.div_ceil(carries));
        assert!((edges.origin / edges.pulls - edges.count as f64).abs() < 1e-9);
        assert!(plan.text().contains("An audience of 100,000"));
        assert_eq!(plan.json()["edges"]["edges"], edges.count);
    }

    #[test]
    fn measured_costs_replace_the_assumed_ones() {
        let report = json!({"result": {"server": {
            "cpu_s_per_gbit": 0.5, "memory_per_player_bytes": 50_000.0,
        }}});
        let costs = Costs::of_report(&report).unwrap();
        assert_eq!((costs.cpu_per_gbit, costs.memory), (0.5, 50_000.0));
        assert!(Costs::of_report(&json!({"result": {}})).unwrap_err().contains("--pid"));
    }
}
