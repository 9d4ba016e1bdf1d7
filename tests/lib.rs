//! What whole-server tests share: programs of the workspace, started and stopped by their id.

#![forbid(unsafe_code)]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod server;

pub use server::Server;

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// No single wait of a test is longer.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running program of this workspace. Killed when dropped.
pub struct Program {
    child: Child,
    lines: Receiver<String>,
}

/// Where the build puts a program: `weir`, or `examples/echo`.
///
/// # Panics
/// It is not built.
pub fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let profile = test.ancestors().nth(2).expect("tests lie in target/PROFILE/deps");
    let path = profile.join(name);
    assert!(
        path.exists(),
        "{name} is not built; run tests/run, or: cargo build --workspace --bins --examples"
    );
    path
}

impl Program {
    /// Starts a program; its stdout and stderr are read line by line.
    ///
    /// # Panics
    /// It does not start.
    pub fn start(name: &str, args: &[&str]) -> Self {
        let mut command = Command::new(built(name));
        command.args(args);
        Self::spawn(command)
    }

    /// Starts any command.
    ///
    /// # Panics
    /// It does not start.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let (tell, lines) = channel();
        let outputs: [Box<dyn Read + Send>; 2] = [
            Box::new(child.stdout.take().expect("stdout is piped")),
            Box::new(child.stderr.take().expect("stderr is piped")),
        ];
        for output in outputs {
            let tell = tell.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    if tell.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        Self { child, lines }
    }

    /// Waits for a line that contains `words` and returns it.
    ///
    /// # Panics
    /// The program ends or is silent before it says that.
    pub fn wait_for(&self, words: &str) -> String {
        self.lines_until(words).pop().expect("the last line has the words")
    }

    /// Waits for a line that contains `words` and returns it behind all lines before it.
    ///
    /// # Panics
    /// As [`Program::wait_for`].
    pub fn lines_until(&self, words: &str) -> Vec<String> {
        let until = Instant::now() + PATIENCE;
        let mut said: Vec<String> = Vec::new();
        while !said.last().is_some_and(|line| line.contains(words)) {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => said.push(line),
                Err(why) => panic!("waited for {words:?}, {why}; it said {said:#?}"),
            }
        }
        said
    }

    /// Waits for the line in which a server tells its address.
    ///
    /// # Panics
    /// As [`Program::wait_for`].
    pub fn address(&self) -> SocketAddr {
        self.address_in("127.0.0.1:")
    }

    /// Waits for a line that contains `words`, and takes the address on this machine out of it.
    ///
    /// # Panics
    /// As [`Program::wait_for`]; there is none.
    pub fn address_in(&self, words: &str) -> SocketAddr {
        let line = self.wait_for(words);
        let at = line.find("127.0.0.1:").unwrap_or_else(|| panic!("{line:?} has no address"));
        let digits = |c: char| c.is_ascii_digit() || c == '.' || c == ':';
        let text = &line[at..];
        let end = text.find(|c| !digits(c)).unwrap_or(text.len());
        text[..end].parse().unwrap_or_else(|error| panic!("{line:?}: {error}"))
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// `kill` refuses.
    pub fn signal(&self, name: &str) {
        let signal = format!("-{name}");
        let status = Command::new("kill").args([signal, self.id().to_string()]).status();
        assert!(status.expect("kill runs").success());
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end of the program; what it still said, and how it ended.
    ///
    /// # Panics
    /// It does not end.
    pub fn end(mut self) -> (ExitStatus, Vec<String>) {
        let until = Instant::now() + PATIENCE;
        // The outputs close when the program ends.
        let mut said = Vec::new();
        while let Ok(line) =
            self.lines.recv_timeout(until.saturating_duration_since(Instant::now()))
        {
            said.push(line);
        }
        assert!(Instant::now() < until, "the program does not end; it said {said:#?}");
        (self.child.wait().expect("it was started"), said)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
