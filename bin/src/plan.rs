//! `weir plan`: how many players, on paper, and what stops them first.

mod limits;
mod shown;
mod stream;

use std::error::Error;
use std::path::PathBuf;

use serde_json::Value;

use crate::units;
use limits::{Costs, Limit, Load, Machine};
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
    #[arg(long, value_name = "N", value_parser = units::some)]
    audience: Option<usize>,
    /// Streams they watch
    #[arg(long, value_name = "N", default_value = "1", value_parser = units::some)]
    streams: usize,
    /// Pictures per second
    #[arg(long, value_name = "N", default_value = "30", value_parser = |text: &str| within(text, 1.0, 1000.0))]
    fps: f64,
    /// Time from one keyframe to the next
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = units::some_time)]
    gop: std::time::Duration,
    /// How many times as long as other pictures a keyframe is
    #[arg(long, value_name = "N", default_value = "6", value_parser = |text: &str| within(text, 1.0, 100.0))]
    key_ratio: f64,
    /// Round trip to the players
    #[arg(long, value_name = "TIME", default_value = "50ms", value_parser = round_trip)]
    rtt: std::time::Duration,
    /// Longest IP packet
    #[arg(long, value_name = "BYTES", default_value = "1500", value_parser = |text: &str| within(text, 576.0, 65_535.0))]
    mtu: f64,
    /// Cores for the server [default: all of this machine]
    #[arg(long, value_name = "N", value_parser = units::some)]
    cores: Option<usize>,
    /// How busy a core may be
    #[arg(long, value_name = "SHARE", default_value = "80%", value_parser = units::share)]
    busy: f64,
    /// All players come through proxies with so many addresses
    #[arg(long, value_name = "N", value_parser = units::some)]
    behind_proxies: Option<usize>,
    /// The share of players that stall, each with a full send buffer
    #[arg(long, value_name = "SHARE", default_value = "0%", value_parser = units::share)]
    stalled: f64,
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

fn within(text: &str, least: f64, most: f64) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("{text:?} is no number from {least} to {most}"))
}

fn round_trip(text: &str) -> Result<std::time::Duration, String> {
    let time = units::duration(text)?;
    let most = std::time::Duration::from_secs(10);
    if time > most { Err(format!("{text:?} is longer than 10 s")) } else { Ok(time) }
}

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
    nic: f64,
    share: f64,
    mtu: f64,
    classic: usize,
    load: Load,
    machine: Machine,
    costs: Costs,
    /// The first to be hit first.
    limits: Vec<Limit>,
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
        let (share, busy) = (args.share, args.busy);
        if share <= 0.0 || busy <= 0.0 {
            return Err(crate::wrong("--share and --busy are above 0"));
        }
        let usable = args.nic * share;
        let classic = (usable / args.bitrate).floor() as usize;
        if classic == 0 {
            return Err(crate::wrong("one stream of that --bitrate does not fit that --nic"));
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
        let machine = Machine { cores: args.cores.unwrap_or(machine.cores), ..machine.clone() };
        let incoming = stream.on_wire(Format::Rtmp, args.mtu);
        let load = Load {
            stream,
            format: args.format,
            wire: stream.on_wire(args.format, args.mtu),
            usable,
            rtt: args.rtt.as_secs_f64(),
            busy,
            streams: args.streams,
            incoming,
            proxies: args.behind_proxies,
            stalled: args.stalled,
        };
        let mut limits = limits::all(&load, &costs, &machine);
        limits.sort_by_key(|limit| limit.players);
        let carries = limits.first().map_or(0, |limit| limit.players);
        let audience = args.audience.filter(|_| carries > 0).map(|audience| {
            let count = audience.div_ceil(carries);
            let pulls = args.streams as f64 * incoming;
            Edges { audience, count, pulls, origin: pulls * count as f64 }
        });
        let (nic, mtu) = (args.nic, args.mtu);
        Ok(Self { nic, share, mtu, classic, load, machine, costs, limits, audience })
    }

    /// Seconds in which the card sends a keyframe to as many as the classic sum has.
    fn burst(&self) -> f64 {
        self.classic as f64 * self.load.stream.key_bytes() * 8.0 / self.nic
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use clap::Parser;
    use serde_json::json;

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
        assert!(plan.text().contains("what stops it first: descriptors"));
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
        let idle = json!({"result": {"server": {"cpu_s_per_gbit": 1e-300}}});
        assert!(Costs::of_report(&idle).unwrap_err().contains("any load"));
    }

    #[test]
    fn the_longest_packet_counts_for_each_format() {
        let (small, large) = (plan(&["--mtu", "576"]), plan(&["--mtu", "9000"]));
        let overhead = |plan: &Plan, at: usize| {
            plan.json()["formats"][at]["overhead_percent"].as_f64().unwrap()
        };
        for at in 0..Format::ALL.len() {
            assert!(overhead(&small, at) > overhead(&large, at) + 10.0, "{at}");
        }
        assert_ne!(small.text(), large.text());
    }

    #[test]
    fn players_of_lists_have_two_connections_and_ask() {
        let few = Machine { descriptors: 10_256, ..machine() };
        let carries = |format: &str, more: &[&str]| {
            let cli =
                Cli::parse_from([&["plan", "--nic", "400G", "--format", format], more].concat());
            let plan = Plan::make(&cli.args, &few).unwrap();
            let find = |name: &str| plan.limits.iter().find(|limit| limit.name == name);
            ["descriptors", "cores"].map(|name| find(name).unwrap().players)
        };
        // A stream has four of its own.
        let ([flv, flv_cores], [hls, _]) = (carries("http-flv", &[]), carries("hls", &[]));
        assert_eq!((flv, hls), (9_996, 4_998));
        assert_eq!(carries("http-flv", &["--streams", "1000"])[0], 6_000);
        assert!(carries("ll-hls", &[])[1] < flv_cores * 2 / 3);
        let text = plan(&["--format", "ll-hls"]).text();
        assert!(text.contains("2 connections and 20 requests a second"), "{text}");
    }

    #[test]
    fn proxies_and_players_that_stall_are_limits_where_they_are_said() {
        let text = plan(&["--nic", "100G", "--behind-proxies", "1", "--cores", "64"]).text();
        assert!(text.contains("28,232 players; what stops it first: ports"), "{text}");
        let calm = plan(&["--nic", "100G", "--cores", "64"]);
        let stalled = plan(&["--nic", "100G", "--cores", "64", "--stalled", "50%"]);
        let first = stalled.limits.first().unwrap();
        assert_eq!(first.name, "TCP memory");
        assert!(first.players < calm.limits.first().unwrap().players && first.players > 1900);
    }

    #[test]
    fn what_comes_in_has_to_fit_and_words_are_counted() {
        let plan = plan(&["--nic", "1G", "--streams", "400", "--audience", "5", "--cores", "1"]);
        assert_eq!(plan.limits.first().unwrap().name, "incoming side");
        assert!(plan.audience.is_none(), "no number of edges helps");
        let text = plan.text();
        assert!(text.contains(" 1 core, ") && text.contains("carries 0 players"), "{text}");
    }
}
