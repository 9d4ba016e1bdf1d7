//! What stops a machine, each with the players it stops at.

use serde_json::Value;

use super::stream::{Format, Stream};
use crate::kernel;
use crate::units::{grouped, shown, shown_bytes, shown_rate};

/// Descriptors that are no player's and no stream's: listeners, loops, whoever asks the API.
const OTHER_DESCRIPTORS: u64 = 256;
/// Descriptors of a stream: its publisher, and logs in three formats.
const STREAM_DESCRIPTORS: u64 = 4;
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
    /// CPU seconds per request of HTTP, where they are not in the other.
    pub cpu_per_request: f64,
    /// Bytes of process memory per player.
    pub memory: f64,
    /// Where that is from.
    pub source: String,
}

impl Default for Costs {
    fn default() -> Self {
        // Somewhat above what the kernel alone takes for gather writes every 100 ms.
        let source = "assumed; measure it: weir bench --self --json FILE, then --report FILE";
        let (cpu_per_gbit, cpu_per_request) = (0.045, 10e-6);
        Self { cpu_per_gbit, cpu_per_request, memory: 8.0 * 1024.0, source: source.into() }
    }
}

impl Costs {
    /// Those a test has measured. What its players asked for is in the cost of what they got.
    pub fn of_report(report: &Value) -> Result<Self, String> {
        let server = &report["result"]["server"];
        let cpu_per_gbit = server["cpu_s_per_gbit"].as_f64().ok_or(
            "the report has no cost of the server (result.server.cpu_s_per_gbit); \
             test with --pid or --self",
        )?;
        if !(1e-4..=1e3).contains(&cpu_per_gbit) {
            return Err(format!(
                "no server uses {cpu_per_gbit} CPU s per Gbit; was there any load?"
            ));
        }
        let memory = server["memory_per_player_bytes"].as_f64().unwrap_or(8192.0);
        let memory = memory.clamp(512.0, 1e9);
        let version = report["version"].as_str().unwrap_or("?");
        let source = format!("measured by weir bench {version}");
        Ok(Self { cpu_per_gbit, cpu_per_request: 0.0, memory, source })
    }
}

/// What the machine is to carry.
#[derive(Clone, Debug)]
pub struct Load {
    /// One stream.
    pub stream: Stream,
    /// How players get it.
    pub format: Format,
    /// Bits per second of one player on the wire.
    pub wire: f64,
    /// Bits per second of the card that may be filled, each way.
    pub usable: f64,
    /// Seconds to a player and back.
    pub rtt: f64,
    /// How busy a core may be.
    pub busy: f64,
    /// Streams that come in, and the bits of one on the wire.
    pub streams: usize,
    /// See `streams`.
    pub incoming: f64,
    /// Addresses of the proxies all players come through.
    pub proxies: Option<usize>,
    /// The share of players that stall.
    pub stalled: f64,
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

/// All limits of a machine under a load.
pub fn all(load: &Load, costs: &Costs, machine: &Machine) -> Vec<Limit> {
    let Load { stream, format, wire, usable, busy, .. } = load;
    let connections = format.connections();
    // What a player's sockets hold: what is under way for a round trip, and at worst a keyframe; of those
    // that stall as much as the kernel allows.
    let under_way = (stream.rate / 8.0 * load.rtt + stream.key_bytes()) * CHARGED;
    let queue = under_way * (1.0 - load.stalled)
        + machine.send_buffer as f64 * load.stalled
        + connections as f64 * SOCKET;
    let requests = stream.requests(*format);
    let cpu = stream.rate / 1e9 * costs.cpu_per_gbit + requests * costs.cpu_per_request;
    let by_cores = machine.cores as f64 * busy / cpu;
    let own = OTHER_DESCRIPTORS + load.streams as u64 * STREAM_DESCRIPTORS;
    let incoming = load.streams as f64 * load.incoming;
    let mut limits = vec![
        Limit {
            name: "network card",
            players: (usable / wire) as usize,
            why: format!("{} of {} each", shown_rate(*usable), shown_rate(*wire)),
            lift: "a faster card, a second one, or further edges".into(),
        },
        Limit {
            name: "cores",
            players: by_cores as usize,
            why: format!(
                "{}, {} % busy, {} CPU s per Gbit{}",
                counted(machine.cores, "core"),
                shown(busy * 100.0),
                shown(costs.cpu_per_gbit),
                match requests * costs.cpu_per_request {
                    0.0 => String::new(),
                    _ => format!(", {} requests a second and player", shown(requests)),
                }
            ),
            lift: "more cores (one loop each: weir serve --loops N --pin), or a longer \
                   latency_budget, which merges writes"
                .into(),
        },
        Limit {
            name: "descriptors",
            players: machine.descriptors.saturating_sub(own) as usize / connections,
            why: format!(
                "{connections} each of {}, {} for {} and the rest",
                grouped(machine.descriptors as usize),
                grouped(own as usize),
                counted(load.streams, "stream")
            ),
            lift: "LimitNOFILE= of the service or ulimit -n, then fs.nr_open and fs.file-max"
                .into(),
        },
        Limit {
            name: "TCP memory",
            players: (machine.tcp_memory as f64 / queue) as usize,
            why: format!(
                "{} each ({} ms under way and a keyframe{}) of {}",
                shown_bytes(queue),
                shown(load.rtt * 1e3),
                match load.stalled {
                    0.0 => String::new(),
                    stalled => format!("; of {} % a full send buffer", shown(stalled * 100.0)),
                },
                shown_bytes(machine.tcp_memory as f64)
            ),
            lift: "net.ipv4.tcp_mem (pages, the third number)".into(),
        },
        Limit {
            name: "memory",
            players: ((machine.memory as f64 * 0.8
                - load.streams as f64 * stream.rate / 8.0 * 30.0)
                / (costs.memory + queue))
                .max(0.0) as usize,
            why: format!(
                "{} of the process and {} of the kernel each, half a minute of each stream",
                shown_bytes(costs.memory),
                shown_bytes(queue)
            ),
            lift: "more memory".into(),
        },
    ];
    if let Some(proxies) = load.proxies {
        limits.push(Limit {
            name: "ports",
            players: machine.ports as usize * proxies / connections,
            why: format!(
                "{connections} each of {} ports of {}",
                grouped(machine.ports as usize),
                counted(proxies, "proxy address")
            ),
            lift: "net.ipv4.ip_local_port_range of the proxies, or more addresses of theirs".into(),
        });
    }
    if incoming > *usable {
        limits.push(Limit {
            name: "incoming side",
            players: 0,
            why: format!("{} of publishers do not fit the card", shown_rate(incoming)),
            lift: "fewer streams to one machine".into(),
        });
    }
    limits
}

/// How many players that stall fill the kernel's memory.
pub fn stalled(machine: &Machine) -> usize {
    (machine.tcp_memory as f64 / (machine.send_buffer as f64 + SOCKET)) as usize
}

/// What is no limit for all players, but stops those it meets.
pub fn notes(load: &Load, machine: &Machine) -> Vec<String> {
    let incoming = load.streams as f64 * load.incoming;
    vec![
        format!(
            "send buffers  {} players that stall fill net.ipv4.tcp_mem, at up to {} each (--stalled): a \
             small TCP_NOTSENT_LOWAT keeps their backlog out of the kernel, a smaller \
             net.ipv4.tcp_wmem bounds it",
            grouped(stalled(machine)),
            shown_bytes(machine.send_buffer as f64)
        ),
        format!(
            "ports         {} connections at most come from one address (--behind-proxies); \
             net.ipv4.ip_local_port_range there, or more addresses",
            grouped(machine.ports as usize)
        ),
        format!(
            "publishers    {}: {}, {} % of the card's incoming side",
            counted(load.streams, "stream"),
            shown_rate(incoming),
            shown(incoming / load.usable * 100.0)
        ),
    ]
}

/// `1 core`, `2 cores`.
fn counted(count: usize, what: &str) -> String {
    let ending = match (count, what.ends_with('s')) {
        (1, _) => "",
        (_, false) => "s",
        (_, true) => "es",
    };
    format!("{} {what}{ending}", grouped(count))
}
