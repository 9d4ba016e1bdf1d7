//! What connections cost that say nothing: memory, processor time, and the time to accept them. The
//! server is a process of its own, this program started again, so that its memory is its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use network::{Listen, Threads};

use crate::echo::Echo;
use crate::load;
use crate::measure::{self, CLIENT_CORE, Cpu, Outcome, RUNS, SERVER_CORE};

/// The argument that makes this program the server.
pub const SERVER: &str = "the-idle-server";

const CONNECTIONS: usize = 10_000;
/// The one message each connection says before it falls silent.
const MESSAGE: [u8; 64] = [b'i'; 64];
/// Rest before the idle time is counted.
const CALM: Duration = Duration::from_millis(500);
const HOLD: Duration = Duration::from_secs(2);

struct Sample {
    accept_seconds: f64,
    bytes_each: f64,
    cpu_ms: f64,
}

pub fn run() -> Outcome<()> {
    let mut runs = Vec::new();
    for turn in 1..=RUNS {
        eprintln!("idle: {CONNECTIONS} connections, run {turn}");
        let mut server = Process::start()?;
        runs.push(measure::on_core(CLIENT_CORE, move |_| measure(&mut server))?);
    }
    let row = vec![
        CONNECTIONS.to_string(),
        format!("{:.2}", measure::median_of(&runs, |s| s.accept_seconds)),
        format!("{:.0}", measure::median_of(&runs, |s| s.bytes_each)),
        format!("{:.2}", measure::median_of(&runs, |s| s.cpu_ms)),
        "`cargo bench -p network -- idle`".into(),
    ];
    measure::table(
        "Idle connections, after one exchange of 64 bytes on each",
        &[
            "connections",
            "first connect to last accept, s",
            "bytes of process memory each",
            "CPU ms in 2 s of idling",
            "command",
        ],
        &[row],
    );
    Ok(())
}

fn measure(server: &mut Process) -> Outcome<Sample> {
    let address = SocketAddr::from(([127, 0, 0, 1], server.read_line()?.parse()?));
    let pid = server.child.id();
    let before = measure::resident(pid)?;
    let began = Instant::now();
    let mut streams =
        (0..CONNECTIONS).map(|_| load::connect(address)).collect::<Outcome<Vec<_>>>()?;
    // The server says so when it has accepted the last.
    server.read_line()?;
    let accept_seconds = began.elapsed().as_secs_f64();
    exchange(&mut streams)?;
    std::thread::sleep(CALM);
    let cpu = Cpu::of_process(pid)?;
    let used = cpu.used()?;
    std::thread::sleep(HOLD);
    let cpu_ms = (cpu.used()? - used).as_secs_f64() * 1e3;
    let bytes_each = (measure::resident(pid)? - before) / CONNECTIONS as f64;
    // All of them are still there.
    exchange(&mut streams)?;
    Ok(Sample { accept_seconds, bytes_each, cpu_ms })
}

fn exchange(streams: &mut [TcpStream]) -> Outcome<()> {
    for stream in &mut *streams {
        stream.write_all(&MESSAGE)?;
    }
    for stream in streams {
        let mut reply = [0; MESSAGE.len()];
        load::hear(stream, &mut reply)?;
        if reply != MESSAGE {
            return Err("an echo differs".into());
        }
    }
    Ok(())
}

/// The server's process; it ends with this value, or with its parent.
struct Process {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Process {
    fn start() -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(SERVER).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let output = child.stdout.take().ok_or("the server has no output")?;
        Ok(Self { child, output: BufReader::new(output) })
    }

    fn read_line(&mut self) -> Outcome<String> {
        let mut line = String::new();
        match self.output.read_line(&mut line)? {
            0 => Err("the server has ended".into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail where it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Is the server: says its port, then when it has accepted the last connection; ends when its parent
/// has ended or closed its input.
pub fn serve() -> Outcome<()> {
    network::raise_open_files()?;
    let bound = Listen::on(([127, 0, 0, 1], 0).into()).bind()?;
    let address = bound.address().ok_or("the listener has no address")?;
    let threads = Threads::start(vec![bound], Some(&[SERVER_CORE]), |el, _, bound| {
        let mut accepted = 0;
        el.accept_on(bound, move |_, _| {
            accepted += 1;
            if accepted == CONNECTIONS {
                println!("accepted");
            }
            Some(Box::new(Echo))
        })?;
        Ok(())
    })?;
    println!("{}", address.port());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    threads.stop();
    threads.join();
    Ok(())
}
