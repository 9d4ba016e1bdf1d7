//! Sends back whatever comes: one loop per thread, the kernel spreads the connections over them.
//!
//!     cargo run --release -p network --example echo -- --port 2007 --loops 2

use clap::Parser;
use network::{Connection, EventLoop, Handler, Listen, Threads};

#[derive(Parser)]
struct Args {
    /// Port on 127.0.0.1; 0 for any free one
    #[arg(long, default_value_t = 2007)]
    port: u16,
    /// Loops, one thread each
    #[arg(long, default_value_t = network::default_loops())]
    loops: usize,
}

struct Echo;

impl Handler for Echo {
    fn received(&mut self, conn: &mut Connection, _: &mut EventLoop, input: &[u8]) -> usize {
        conn.send_now(input);
        input.len()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    network::raise_open_files()?;
    let listeners = Listen::on(([127, 0, 0, 1], args.port).into()).bind_each(args.loops)?;
    println!("echo on {}", listeners[0].endpoint());
    let threads = Threads::start(listeners, None, |el, _, listener| {
        el.accept_on(listener, |_, _| Some(Box::new(Echo)))?;
        Ok(())
    })?;
    threads.join();
    Ok(())
}
