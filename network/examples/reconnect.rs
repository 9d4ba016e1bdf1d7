//! A client that keeps a connection to a server that comes and goes, and sends it a line a second.
//! The pauses between attempts grow from 0.5 to 30 seconds and begin anew after each success.
//!
//!     cargo run --release -p network --example reconnect -- 127.0.0.1:2007

use std::time::Duration;

use clap::Parser;
use network::{CloseReason, Connect, Connection, Endpoint, EventLoop, Handler};

#[derive(Parser)]
struct Args {
    /// Whom to call: HOST:PORT or unix:PATH
    #[arg(default_value = "127.0.0.1:2007")]
    server: Endpoint,
    /// Milliseconds between two lines
    #[arg(long, default_value_t = 1000)]
    every_ms: u64,
}

struct Caller {
    server: Endpoint,
    every: Duration,
}

/// Calls until somebody answers.
fn call(el: &mut EventLoop, server: Endpoint, every: Duration) {
    let connect = Connect::to(server.clone()).timeout(Duration::from_secs(3)).attempts(None);
    el.connect(connect, move |_, outcome| match outcome {
        Ok(connected) => {
            println!("connected to {server} at attempt {}", connected.attempts);
            Some(Box::new(Caller { server, every }))
        }
        Err(error) => {
            println!("{error}");
            None
        }
    });
}

impl Handler for Caller {
    fn opened(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        conn.send(b"hello\n");
        conn.start_timer(el, self.every, 0);
    }

    fn timer(&mut self, conn: &mut Connection, el: &mut EventLoop, _: u32) {
        conn.send(b"still here\n");
        conn.start_timer(el, self.every, 0);
    }

    fn received(&mut self, _: &mut Connection, _: &mut EventLoop, input: &[u8]) -> usize {
        println!("received {:?}", String::from_utf8_lossy(input));
        input.len()
    }

    fn closed(&mut self, _: &mut Connection, el: &mut EventLoop, reason: &CloseReason) {
        println!("lost {}: {reason}", self.server);
        if !matches!(reason, CloseReason::LoopEnded) {
            call(el, self.server.clone(), self.every);
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let mut el = EventLoop::new()?;
    call(&mut el, args.server, Duration::from_millis(args.every_ms));
    el.run();
    Ok(())
}
