//! A server that takes so many connections and no more: one too many is told so and closed.
//!
//!     cargo run --release -p network --example max_connections -- --port 2008 --most 10

use std::time::Duration;

use clap::Parser;
use network::{Connection, EventLoop, Handler, Limiter, Listen, Options, Threads};

#[derive(Parser)]
struct Args {
    /// Port on 127.0.0.1; 0 for any free one
    #[arg(long, default_value_t = 2008)]
    port: u16,
    /// Loops, one thread each
    #[arg(long, default_value_t = network::default_loops())]
    loops: usize,
    /// Connections at a time, over all loops
    #[arg(long, default_value_t = 10)]
    most: usize,
    /// Connections at a time from one address
    #[arg(long, default_value_t = usize::MAX)]
    most_per_address: usize,
    /// Seconds of silence after which a connection is closed
    #[arg(long, default_value_t = 60)]
    idle: u64,
}

struct Guest;

impl Handler for Guest {
    fn opened(&mut self, conn: &mut Connection, _: &mut EventLoop) {
        conn.send(b"welcome\n");
    }

    fn received(&mut self, conn: &mut Connection, _: &mut EventLoop, input: &[u8]) -> usize {
        conn.send_now(input);
        input.len()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    network::raise_open_files()?;
    // One limiter for the listeners of all loops.
    let limiter = Limiter::new(args.most, args.most_per_address);
    let idle = Some(Duration::from_secs(args.idle));
    let listeners = Listen::on(([127, 0, 0, 1], args.port).into())
        .options(Options { idle, ..Options::default() })
        .limit(limiter, "full, come back later\n".into())
        .bind_each(args.loops)?;
    println!("at most {} connections on {}", args.most, listeners[0].endpoint());
    let threads = Threads::start(listeners, None, |el, _, listener| {
        el.accept_on(listener, |_, _| Some(Box::new(Guest)))?;
        Ok(())
    })?;
    threads.join();
    Ok(())
}
