//! What the kernel counts: processes, cores, interfaces, sockets, limits.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::{Value, json};

use crate::bench::round3;

/// Ticks per second of the times in `/proc/*/stat`; Linux shows them so on every machine.
const TICKS: f64 = 100.0;

fn read(path: impl AsRef<std::path::Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn number_after(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    let word = line.and_then(|line| line.split_whitespace().next());
    word.and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// Bytes of memory of this process.
pub fn resident() -> u64 {
    number_after(&read("/proc/self/status"), "VmRSS:") * 1024
}

/// Seconds that this process has had on cores.
pub fn cpu() -> f64 {
    let fields = stat(std::process::id()).unwrap_or_default();
    fields.iter().skip(11).take(2).sum::<u64>() as f64 / TICKS
}

/// Descriptors that this process has open, where the kernel says so (since 6.2): to count ten thousand
/// takes milliseconds.
pub fn descriptors() -> Option<u64> {
    let folder = fs::metadata("/proc/self/fd").ok()?;
    Some(folder.len()).filter(|count| *count > 0)
}

/// How many descriptors this process may have open.
pub fn descriptors_most() -> u64 {
    number_after(&read("/proc/self/limits"), "Max open files")
}

/// The fields of `/proc/PID/stat` behind the name, which may have spaces in it.
fn stat(pid: u32) -> Option<Vec<u64>> {
    let text = read(format!("/proc/{pid}/stat"));
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(|word| word.parse().unwrap_or(0)).collect())
}

/// Whether there is such a process. Needs no descriptor, and where the kernel does not tell it is there.
pub fn exists(pid: u32) -> bool {
    fs::exists(format!("/proc/{pid}")).unwrap_or(true)
}

/// The processes of a server: those named, and their children.
pub fn family(roots: &[u32]) -> BTreeSet<u32> {
    let mut parents = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        if let Some(parent) = stat(pid).and_then(|fields| fields.get(1).copied()) {
            parents.insert(pid, parent as u32);
        }
    }
    let mut family: BTreeSet<u32> =
        roots.iter().copied().filter(|pid| parents.contains_key(pid)).collect();
    loop {
        let before = family.len();
        for (pid, parent) in &parents {
            if family.contains(parent) {
                family.insert(*pid);
            }
        }
        if family.len() == before {
            return family;
        }
    }
}

/// What processes have used up so far.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    /// Seconds on a core, by the scheduler's clock.
    pub cpu: f64,
    /// Seconds of waiting for a core that others had.
    pub waited: f64,
    /// Seconds in their own code, and in the kernel, by ticks.
    pub user: f64,
    /// See `user`.
    pub system: f64,
    /// Each thread's seconds on a core, with its name.
    pub threads: BTreeMap<u32, (String, f64)>,
    /// Switches of context that a thread asked for by waiting.
    pub voluntary: u64,
    /// And those it did not.
    pub involuntary: u64,
    /// Calls of `read` and `write` and their kin, where the kernel tells; not `send` and `recv`.
    pub io_calls: Option<u64>,
    /// Bytes of memory in use.
    pub resident: u64,
    /// The most of it so far.
    pub resident_peak: u64,
    /// Open descriptors.
    pub descriptors: usize,
}

impl Usage {
    /// Whether it could not be seen: the processes are gone, or there is no descriptor left to look.
    pub fn is_unseen(&self) -> bool {
        self.threads.is_empty()
    }
}

/// Looks at processes now.
pub fn usage(pids: &BTreeSet<u32>) -> Usage {
    let mut all = Usage::default();
    for pid in pids {
        let Some(fields) = stat(*pid) else { continue };
        let ticks = |at: usize| fields.get(at).map_or(0.0, |ticks| *ticks as f64 / TICKS);
        all.user += ticks(11);
        all.system += ticks(12);
        let status = read(format!("/proc/{pid}/status"));
        all.resident += number_after(&status, "VmRSS:") * 1024;
        all.resident_peak += number_after(&status, "VmHWM:") * 1024;
        let io = read(format!("/proc/{pid}/io"));
        if !io.is_empty() {
            let calls = number_after(&io, "syscr:") + number_after(&io, "syscw:");
            all.io_calls = Some(all.io_calls.unwrap_or(0) + calls);
        }
        all.descriptors += fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
        for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let path = task.path();
            // Nanoseconds on a core, nanoseconds of waiting for one, times it got one.
            let schedule = read(path.join("schedstat"));
            let mut nanos = schedule.split_whitespace().map(|word| word.parse().unwrap_or(0.0));
            let mut seconds = || nanos.next().unwrap_or(0.0) / 1e9;
            let on_core = seconds();
            all.waited += seconds();
            all.cpu += on_core;
            let status = read(path.join("status"));
            all.voluntary += number_after(&status, "voluntary_ctxt_switches:");
            all.involuntary += number_after(&status, "nonvoluntary_ctxt_switches:");
            let name = read(path.join("comm")).trim().to_owned();
            if let Some(tid) = task.file_name().to_str().and_then(|tid| tid.parse().ok()) {
                all.threads.insert(tid, (name, on_core));
            }
        }
    }
    // A kernel without the scheduler's statistics, or threads that have ended.
    all.cpu = all.cpu.max(all.user + all.system - 1.0 / TICKS);
    all
}

/// The busiest thread between two looks: its name and its share of a core.
pub fn busiest(before: &Usage, after: &Usage, seconds: f64) -> Option<(String, f64)> {
    let shares = after.threads.iter().map(|(tid, (name, cpu))| {
        let earlier = before.threads.get(tid).map_or(0.0, |(_, cpu)| *cpu);
        (name.clone(), (cpu - earlier) / seconds.max(0.001))
    });
    shares.max_by(|a, b| a.1.total_cmp(&b.1))
}

/// One core's time: busy in processes and kernel, in interrupts, taken by other machines of the same
/// host, idle; and what its `ksoftirqd` used, which is in the first too.
#[derive(Clone, Copy, Debug, Default)]
pub struct Core {
    busy: f64,
    interrupts: f64,
    stolen: f64,
    idle: f64,
    softirqd: f64,
}

/// A line for each core in `/proc/stat`.
fn core_lines(stat: &str) -> impl Iterator<Item = &str> {
    stat.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu "))
}

/// All cores now.
pub fn cores() -> Vec<Core> {
    let text = read("/proc/stat");
    let mut cores: Vec<Core> = core_lines(&text)
        .map(|line| {
            let ticks: Vec<f64> = line
                .split_whitespace()
                .skip(1)
                .map(|word| word.parse::<f64>().unwrap_or(0.0) / TICKS)
                .collect();
            let at = |place: usize| ticks.get(place).copied().unwrap_or(0.0);
            Core {
                busy: at(0) + at(1) + at(2),
                interrupts: at(5) + at(6),
                stolen: at(7),
                idle: at(3) + at(4),
                softirqd: 0.0,
            }
        })
        .collect();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // They are among the first processes of a machine.
        if pid > 2000 {
            continue;
        }
        let comm = read(format!("/proc/{pid}/comm"));
        let core = comm.trim().strip_prefix("ksoftirqd/").and_then(|n| n.parse::<usize>().ok());
        if let (Some(core), Some(fields)) = (core.and_then(|n| cores.get_mut(n)), stat(pid)) {
            let ticks = |at: usize| fields.get(at).map_or(0.0, |ticks| *ticks as f64 / TICKS);
            core.softirqd = ticks(11) + ticks(12);
        }
    }
    cores
}

/// Seconds each core spent between two looks.
pub fn cores_between(before: &[Core], after: &[Core]) -> Value {
    let rows = before.iter().zip(after).enumerate().map(|(number, (a, b))| {
        json!({
            "cpu": number,
            "busy_s": round3(b.busy - a.busy),
            "irq_softirq_s": round3(b.interrupts - a.interrupts),
            "ksoftirqd_s": round3(b.softirqd - a.softirqd),
            "steal_s": round3(b.stolen - a.stolen),
            "idle_s": round3(b.idle - a.idle),
        })
    });
    rows.collect()
}

/// Bytes and packets that an interface has received and sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Received.
    pub received: [u64; 2],
    /// Sent.
    pub sent: [u64; 2],
}

/// All interfaces now.
pub fn interfaces() -> BTreeMap<String, Interface> {
    let text = read("/proc/net/dev");
    let rows = text.lines().filter_map(|line| {
        let (name, rest) = line.split_once(':')?;
        let numbers: Vec<u64> =
            rest.split_whitespace().map(|word| word.parse().unwrap_or(0)).collect();
        let pair = |at: usize| Some([*numbers.get(at)?, *numbers.get(at + 1)?]);
        let interface = Interface { received: pair(0)?, sent: pair(8)? };
        Some((name.trim().to_owned(), interface))
    });
    rows.collect()
}

/// Bits per second of an interface's link, where it has a known one; loopback and the like have none.
pub fn link_speed(interface: &str) -> Option<f64> {
    let mbit: f64 = read(format!("/sys/class/net/{interface}/speed")).trim().parse().ok()?;
    (mbit > 0.0).then_some(mbit * 1e6)
}

/// Bytes the kernel holds for TCP, and how many it allows.
pub fn tcp_memory() -> (u64, Option<u64>) {
    let text = read("/proc/net/sockstat");
    let line = text.lines().find(|line| line.starts_with("TCP:")).unwrap_or_default();
    let pages = line.split_whitespace().skip_while(|word| *word != "mem").nth(1);
    let pages = pages.and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
    let page = rustix::param::page_size() as u64;
    let most = setting("net/ipv4/tcp_mem").last().map(|pages| pages * page);
    (pages * page, most)
}

/// The numbers of a kernel setting under `/proc/sys`.
pub fn setting(name: &str) -> Vec<u64> {
    read(format!("/proc/sys/{name}"))
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect()
}

/// Bytes of this machine's memory, in all and to be had.
pub fn memory() -> (u64, u64) {
    let text = read("/proc/meminfo");
    (number_after(&text, "MemTotal:") * 1024, number_after(&text, "MemAvailable:") * 1024)
}

/// The machine a figure belongs to.
pub fn machine() -> Value {
    let cpu = read("/proc/cpuinfo");
    let model = cpu
        .lines()
        .find(|line| line.starts_with("model name"))
        .and_then(|line| line.split_once(':'))
        .map(|(_, name)| name.trim().to_owned());
    json!({
        // Not those that this thread may use: it may be bound to one.
        "cores": core_lines(&read("/proc/stat")).count(),
        "cpu": model,
        "memory_bytes": memory().0,
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "congestion_control": read("/proc/sys/net/ipv4/tcp_congestion_control").trim(),
        "tcp_mem_pages": setting("net/ipv4/tcp_mem"),
        "tcp_wmem": setting("net/ipv4/tcp_wmem"),
        "tcp_rmem": setting("net/ipv4/tcp_rmem"),
        "somaxconn": setting("net/core/somaxconn").first(),
        "port_range": setting("net/ipv4/ip_local_port_range"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_found_and_uses_something() {
        let me = std::process::id();
        assert!(exists(me) && !exists(u32::MAX));
        let family = family(&[me]);
        assert!(family.contains(&me));
        let before = usage(&family);
        let begun = std::time::Instant::now();
        let mut after = usage(&family);
        // Others may have the cores for a while.
        while after.cpu - before.cpu < 0.05 && begun.elapsed().as_secs() < 60 {
            after = usage(&family);
        }
        assert!(after.cpu - before.cpu >= 0.05, "{} {}", before.cpu, after.cpu);
        assert!(!after.is_unseen() && usage(&[u32::MAX].into()).is_unseen());
        assert!(after.resident > 1 << 20 && after.descriptors >= 3);
        assert!(busiest(&before, &after, 0.05).is_some_and(|(_, share)| share > 0.0));
    }

    #[test]
    fn the_machine_says_how_it_is() {
        assert!(!cores().is_empty());
        assert!(interfaces().contains_key("lo"));
        let cores_of_all = machine()["cores"].as_u64();
        assert_eq!(cores_of_all, Some(cores().len() as u64));
        assert_eq!(link_speed("lo"), None);
        assert!(memory().0 > 0 && setting("net/ipv4/ip_local_port_range").len() == 2);
        assert!(machine()["kernel"].as_str().is_some_and(|kernel| !kernel.is_empty()));
    }
}
