//! A running `weir serve`, and what its page says.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{PATIENCE, Program};

/// A server on ports of its own. Killed when dropped.
pub struct Server {
    /// Its log.
    pub program: Program,
    /// Where it speaks RTMP.
    pub rtmp: SocketAddr,
    /// Where it speaks HTTP.
    pub http: SocketAddr,
    /// Its own, gone with it.
    config: PathBuf,
}

impl Server {
    /// Starts one of two loops, with this configuration and these options.
    ///
    /// # Panics
    /// It does not start.
    pub fn start(config: &str, options: &[&str]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("weir-test-{}-{number}.toml", std::process::id());
        let file = std::env::temp_dir().join(name);
        std::fs::write(&file, config).expect("there is room for a small file");
        let path = file.to_str().expect("a plain path");
        let mut args = vec!["serve", "--config", path, "--loops", "2"];
        args.extend(["--rtmp", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
        args.extend(options);
        let program = Program::start("weir", &args);
        let rtmp = program.address_in("publish to ");
        let http = program.address_in("look at ");
        Self { program, rtmp, http, config: file }
    }

    /// Where a stream is published and played by RTMP.
    #[must_use]
    pub fn rtmp_url(&self, name: &str) -> String {
        format!("rtmp://{}/live/{name}", self.rtmp)
    }

    /// Where a stream is played by HTTP-FLV.
    #[must_use]
    pub fn http_url(&self, name: &str) -> String {
        format!("http://{}/live/{name}.flv", self.http)
    }

    /// A figure of its page; 0 where the page does not have it.
    ///
    /// # Panics
    /// There is no page.
    #[must_use]
    pub fn figure(&self, name: &str) -> u64 {
        let page = self.answer("GET / HTTP/1.0\r\n\r\n");
        assert!(page.starts_with("HTTP/1.1 200"), "{page}");
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.map_or(0, |value| value.parse().expect("a number"))
    }

    /// Waits until it has so many connections, beside the one that asks.
    ///
    /// # Panics
    /// They do not come.
    pub fn wait_for_connections(&self, count: usize) {
        let until = Instant::now() + PATIENCE;
        loop {
            let metrics = self.answer("GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n");
            let open = metrics.lines().find_map(|line| line.strip_prefix("weir_connections "));
            let open: usize = open.and_then(|open| open.parse().ok()).expect("a number");
            if open > count {
                return;
            }
            assert!(Instant::now() < until, "{open} connections, not {count}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// All it answers to a request that ends the connection.
    ///
    /// # Panics
    /// It does not answer.
    #[must_use]
    pub fn answer(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.http).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("it answers and closes");
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.config);
    }
}
