//! What stops a machine, each with the players it stops at.

use serde_json::Value;

use super::stream::Stream;
use crate::kernel;
use crate::units::{grouped, shown, shown_bytes, shown_rate};

/// Descriptors that are no player's: listeners, logs, publishers, relays.
const OTHER_DESCRIPTORS: u64 = 256;
/// What the kernel charges for a byte of payload in a socket's queue, headers and rounding included.
const CHARGED: f64 = 1.3;
/// What the kernel keeps for a connection beside its queue.
const SOCKET: f64 = 3.0 * 1024.0;

/// The machine a plan is for.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Cores.
    pub cores: usize,
    /// Descriptors one process may have.
    pub descriptors: u64,
    /// Bytes of memory.
    pub memory: u64,
    /// Bytes the kernel allows for TCP in all.
    pub tcp_memory: u64,
    /// Bytes one socket's send buffer grows to.
    pub send_buffer: u64,
    /// Ports one address may call from.
    pub ports: u64,
}

impl Machine {
    /// This one.
    pub fn here() -> Self {
        let range = kernel::setting("net/ipv4/ip_local_port_range");
        let ports = match range.as_slice() {
            [low, high] => high.saturating_sub(*low) + 1,
            _ => 28_232,
        };
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            descriptors: network::raise_open_files().unwrap_or(1024),
            memory: kernel::memory().0,
            tcp_memory: kernel::tcp_memory().1.unwrap_or(u64::MAX),
            send_buffer: kernel::setting("net/ipv4/tcp_wmem").last().copied().unwrap_or(4 << 20),
            ports,
        }
    }
}

/// What a server costs.
#[derive(Clone, Debug, PartialEq)]
pub struct Costs {
    /// CPU seconds per gigabit.
    pub cpu_per_gbit: f64,
    /// Bytes of process memory per player.
    pub memory: f64,
    /// Where that is from.
    pub source: String,
}

impl Default for Costs {
    fn default() -> Self {
        // Somewhat above what the kernel alone takes for gather writes every 100 ms.
        let source = "assumed; measure it: weir bench --self --json FILE, then --report FILE";
        Self { cpu_per_gbit: 0.045, memory: 8.0 * 1024.0, source: source.into() }
    }
}

impl Costs {
    /// Those a test has measured.
    pub fn of_report(report: &Value) -> Result<Self, String> {
        let server = &report["result"]["server"];
        let cpu_per_gbit = server["cpu_s_per_gbit"].as_f64().filter(|cost| *cost > 0.0).ok_or(
            "the report has no cost of the server (result.server.cpu_s_per_gbit); \
             test with --pid or --self",
        )?;
        let memory = server["memory_per_player_bytes"].as_f64().unwrap_or(8192.0).max(512.0);
        let version = report["version"].as_str().unwrap_or("?");
        Ok(Self { cpu_per_gbit, memory, source: format!("measured by weir bench {version}") })
    }
}

/// Something that stops.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// What.
    pub name: &'static str,
    /// At how many players.
    pub players: usize,
    /// By what sum.
    pub why: String,
    /// What lifts it.
    pub lift: String,
}

/// All limits of a machine for players of a stream.
#[allow(clippy::too_many_arguments)]
pub fn all(
    stream: &Stream,
    wire: f64,
    usable: f64,
    rtt: f64,
    busy: f64,
    costs: &Costs,
    machine: &Machine,
    streams: usize,
) -> Vec<Limit> {
    // What a player's socket holds: what is under way for a round trip, and at worst a keyframe.
    let queue = (stream.rate / 8.0 * rtt + stream.key_bytes()) * CHARGED + SOCKET;
    let cpu = stream.rate / 1e9 * costs.cpu_per_gbit;
    let by_cores = machine.cores as f64 * busy / cpu;
    vec![
        Limit {
            name: "network card",
            players: (usable / wire) as usize,
            why: format!("{} of {} each", shown_rate(usable), shown_rate(wire)),
            lift: "a faster card, a second one, or further edges".into(),
        },
        Limit {
            name: "cores",
            players: by_cores as usize,
            why: format!(
                "{} cores, {} % busy, {} CPU s per Gbit",
                machine.cores,
                shown(busy * 100.0),
                shown(costs.cpu_per_gbit)
            ),
            lift: "more cores (one loop each: weir serve --loops N --pin), or a longer \
                   latency_budget, which merges writes"
                .into(),
        },
        Limit {
            name: "descriptors",
            players: machine.descriptors.saturating_sub(OTHER_DESCRIPTORS) as usize,
            why: format!(
                "one each of {}, {OTHER_DESCRIPTORS} for the rest",
                grouped(machine.descriptors as usize)
            ),
            lift: "LimitNOFILE= of the service or ulimit -n, then fs.nr_open and fs.file-max"
                .into(),
        },
        Limit {
            name: "TCP memory",
            players: (machine.tcp_memory as f64 / queue) as usize,
            why: format!(
                "{} each ({} ms under way and a keyframe) of {}",
                shown_bytes(queue),
                shown(rtt * 1e3),
                shown_bytes(machine.tcp_memory as f64)
            ),
            lift: "net.ipv4.tcp_mem (pages, the third number)".into(),
        },
        Limit {
            name: "memory",
            players: ((machine.memory as f64 * 0.8 - streams as f64 * stream.rate / 8.0 * 30.0)
                / (costs.memory + queue))
                .max(0.0) as usize,
            why: format!(
                "{} of the process and {} of the kernel each, half a minute of each stream",
                shown_bytes(costs.memory),
                shown_bytes(queue)
            ),
            lift: "more memory".into(),
        },
    ]
}

/// What is no limit for all players, but stops those it meets.
pub fn notes(machine: &Machine) -> Vec<String> {
    let stalled = machine.tcp_memory as f64 / (machine.send_buffer as f64 + SOCKET);
    vec![
        format!(
            "send buffers  {} players that stall fill net.ipv4.tcp_mem, at up to {} each: a small \
             TCP_NOTSENT_LOWAT keeps their backlog out of the kernel, a smaller net.ipv4.tcp_wmem \
             bounds it",
            grouped(stalled as usize),
            shown_bytes(machine.send_buffer as f64)
        ),
        format!(
            "ports         {} players at most come from one address (a proxy, a test); \
             net.ipv4.ip_local_port_range there, or more addresses",
            grouped(machine.ports as usize)
        ),
    ]
}
