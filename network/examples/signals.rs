//! Signals as events: SIGHUP and SIGUSR1 are told to the clients, SIGTERM and SIGINT drain: nobody
//! new comes in, everybody gets what was on its way, then the process ends with status 0.
//!
//!     cargo run --release -p network --example signals -- --port 2011 & kill -HUP $!; kill -TERM $!

use std::time::Duration;

use clap::Parser;
use network::{Connection, EventLoop, Handler, Listen, SIGHUP, SIGINT, SIGTERM, SIGUSR1, Threads};

#[derive(Parser)]
struct Args {
    /// Port on 127.0.0.1; 0 for any free one
    #[arg(long, default_value_t = 2011)]
    port: u16,
    /// Loops, one thread each
    #[arg(long, default_value_t = network::default_loops())]
    loops: usize,
}

struct Client;

impl Handler for Client {
    fn received(&mut self, _: &mut Connection, _: &mut EventLoop, input: &[u8]) -> usize {
        input.len()
    }

    fn drain(&mut self, conn: &mut Connection, _: &mut EventLoop) {
        conn.send(b"goodbye\n");
        conn.close();
    }
}

fn tell_all(el: &mut EventLoop, words: &[u8]) {
    for id in el.ids() {
        if let Some(conn) = el.connection(id) {
            conn.send(words);
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let listeners = Listen::on(([127, 0, 0, 1], args.port).into()).bind_each(args.loops)?;
    let endpoint = listeners[0].endpoint().clone();
    let threads = Threads::start(listeners, None, |el, _, listener| {
        el.accept_on(listener, |_, _| Some(Box::new(Client)))?;
        Ok(())
    })?;
    // The main thread has a loop of its own for the signals.
    let mut el = EventLoop::new()?;
    let loops = threads.handles().to_vec();
    el.on_signals(&[SIGHUP, SIGUSR1, SIGTERM, SIGINT], move |el, signal| {
        println!("signal {signal}");
        for handle in &loops {
            // A loop that has ended has nobody left to tell.
            let _ = match signal {
                SIGTERM | SIGINT => handle.post(|el| el.drain(Duration::from_secs(10))),
                SIGHUP => handle.post(|el| tell_all(el, b"hangup\n")),
                _ => handle.post(|el| tell_all(el, b"user signal\n")),
            };
        }
        if matches!(signal, SIGTERM | SIGINT) {
            el.stop();
        }
    })?;
    println!("signals on {endpoint}, process {}", std::process::id());
    el.run();
    threads.join();
    println!("drained");
    Ok(())
}
