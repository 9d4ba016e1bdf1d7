//! Pushes a line to every client once a period. All clients share the same bytes.
//!
//!     cargo run --release -p network --example push -- --port 2009 --every-ms 1000

use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use network::{Connection, EventLoop, Handler, Listen, Threads};

#[derive(Parser)]
struct Args {
    /// Port on 127.0.0.1; 0 for any free one
    #[arg(long, default_value_t = 2009)]
    port: u16,
    /// Loops, one thread each
    #[arg(long, default_value_t = network::default_loops())]
    loops: usize,
    /// Milliseconds between two lines
    #[arg(long, default_value_t = 1000)]
    every_ms: u64,
}

/// A client that only listens; what it says is ignored.
struct Listener;

impl Handler for Listener {
    fn received(&mut self, _: &mut Connection, _: &mut EventLoop, input: &[u8]) -> usize {
        input.len()
    }

    fn congested(&mut self, conn: &mut Connection, _: &mut EventLoop) {
        // Who does not keep up is dropped rather than waited for.
        conn.close_now();
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    network::raise_open_files()?;
    let listeners = Listen::on(([127, 0, 0, 1], args.port).into()).bind_each(args.loops)?;
    println!("a line every {} ms on {}", args.every_ms, listeners[0].endpoint());
    let period = Duration::from_millis(args.every_ms);
    let threads = Threads::start(listeners, None, move |el, _, listener| {
        el.accept_on(listener, |_, _| Some(Box::new(Listener)))?;
        let mut number = 0_u64;
        el.every(period, move |el| {
            number += 1;
            let line = Bytes::from(format!("line {number}\n"));
            for id in el.ids() {
                if let Some(conn) = el.connection(id) {
                    conn.send_shared(line.clone());
                }
            }
        });
        Ok(())
    })?;
    threads.join();
    Ok(())
}
