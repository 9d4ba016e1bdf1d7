//! `--self`: this very executable as the server, on a core of its own.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long the server may take to open its doors.
const OPEN_WITHIN: Duration = Duration::from_secs(10);

/// A server that is ended when this is dropped.
pub struct Server {
    child: Child,
    /// Where it speaks RTMP.
    pub rtmp: SocketAddr,
    /// Where it speaks HTTP.
    pub http: SocketAddr,
}

impl Server {
    /// Starts it with so many loops, and waits until it answers. Where there are two cores or more the
    /// server has core 0 and up, and this thread and those it starts have the last one.
    pub fn start(loops: usize) -> Result<Self, String> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let apart = cores >= 2;
        let (rtmp, http) = (free()?, free()?);
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        if apart && loops == 1 {
            // The child inherits the core of the thread that starts it.
            network::pin_to_core(0).map_err(|error| format!("core 0: {error}"))?;
        }
        let child = Command::new(program)
            .args(["serve", "--rtmp", &rtmp.to_string(), "--http", &http.to_string()])
            .args(["--loops", &loops.to_string(), "--drain", "1"])
            .env("WEIR_LOG", "warn")
            .env_remove("WEIR_CONFIG")
            // It ends when this process has, however that ends; Ctrl-C at a terminal is for this one alone,
            // which wants to see its players to the end.
            .arg("--until-stdin-ends")
            .stdin(Stdio::piped())
            .process_group(0)
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot start the server: {error}"))?;
        if apart {
            let last = cores - 1;
            network::pin_to_core(last).map_err(|error| format!("core {last}: {error}"))?;
        }
        let mut server = Self { child, rtmp, http };
        server.wait()?;
        Ok(server)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait(&mut self) -> Result<(), String> {
        let until = Instant::now() + OPEN_WITHIN;
        for door in [self.rtmp, self.http] {
            while TcpStream::connect_timeout(&door, Duration::from_millis(200)).is_err() {
                if let Ok(Some(status)) = self.child.try_wait() {
                    return Err(format!("the server has ended: {status}"));
                }
                if Instant::now() > until {
                    return Err(format!("the server does not answer at {door}"));
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It serves nobody else, so nothing is lost.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address of loopback that nobody has now.
fn free() -> Result<SocketAddr, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    listener.local_addr().map_err(|error| error.to_string())
}
