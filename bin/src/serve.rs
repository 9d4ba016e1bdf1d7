//! `weir serve`: the loops, the doors, and the way down.

use std::error::Error;
use std::fmt::Write;
use std::rc::Rc;
use std::time::{Duration, Instant};

use network::http::{Method, RouteError, Server};
use network::{Endpoint, EventLoop, Handle, Listen, SIGINT, SIGTERM, Threads};

/// Options of `weir serve`.
#[derive(clap::Args)]
pub struct Args {
    /// Where HTTP is served: `HOST:PORT`, `[V6]:PORT`, or :PORT for all addresses
    #[arg(long, value_name = "ADDR", default_value = ":8080", env = "WEIR_HTTP")]
    http: Endpoint,
    /// Event loops, one thread each [default: one per core]
    #[arg(long, value_name = "N", env = "WEIR_LOOPS", value_parser = clap::value_parser!(u16).range(1..=1024))]
    loops: Option<u16>,
    /// Bind each loop to a core of its own
    #[arg(long, env = "WEIR_PIN")]
    pin: bool,
    /// Seconds that connections get to finish after SIGTERM or Ctrl-C
    #[arg(long, value_name = "SECONDS", default_value_t = 10, env = "WEIR_DRAIN")]
    drain: u64,
}

/// Serves until a signal ends it.
pub fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let open_files = network::raise_open_files()?;
    let count = args.loops.map_or_else(network::default_loops, usize::from);
    let listeners = Listen::on(args.http.clone()).bind_each(count)?;
    let endpoint = listeners.first().map_or(&args.http, |listener| listener.endpoint()).clone();
    let cores: Vec<usize> = (0..network::default_loops()).collect();
    let began = Instant::now();
    let threads = Threads::start(listeners, args.pin.then_some(&cores), move |el, _, listener| {
        let server = routes(began, el.handle())?;
        el.accept_on(listener, move |_, _| Some(server.handler()))?;
        Ok(())
    })?;
    tracing::info!(%endpoint, loops = count, open_files, "serving; http://{}/ says how it is", shown(&endpoint));
    let within = Duration::from_secs(args.drain);
    wait_for_end(&threads, within)?;
    threads.join();
    tracing::info!("ended");
    Ok(())
}

fn routes(began: Instant, handle: Handle) -> Result<Rc<Server>, RouteError> {
    Ok(Server::builder()
        .route(Method::Get, "/", move |_, reply, el| {
            let mut text = format!("weir {}\n", env!("CARGO_PKG_VERSION"));
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "up {} s, this loop: {} connections, {:.0} % busy",
                began.elapsed().as_secs(),
                handle.connections(),
                el.busy_share() * 100.0
            );
            reply.text(&text)
        })?
        .route(Method::Get, "/healthz", |_, reply, _| reply.text("ok\n"))?
        .build())
}

/// Sleeps on the main thread until a signal asks for the end, then drains. A second signal does not
/// wait for anybody.
fn wait_for_end(threads: &Threads, within: Duration) -> Result<(), Box<dyn Error>> {
    let mut el = EventLoop::new()?;
    let loops = threads.handles().to_vec();
    let mut asked = false;
    el.on_signals(&[SIGTERM, SIGINT], move |el, signal| {
        if asked {
            tracing::warn!(signal, "ending at once");
            loops.iter().for_each(Handle::stop);
            return el.stop();
        }
        asked = true;
        tracing::info!(signal, ?within, "draining; a second signal ends at once");
        for handle in &loops {
            // A loop that has ended needs no draining.
            let _ = handle.post(move |el| el.drain(within));
        }
        let loops = loops.clone();
        el.every(Duration::from_millis(10), move |el| {
            if loops.iter().all(Handle::has_ended) {
                el.stop();
            }
        });
    })?;
    el.run();
    Ok(())
}

/// The endpoint as a browser on this machine would write it.
fn shown(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Ip(address) if address.ip().is_unspecified() => {
            format!("127.0.0.1:{}", address.port())
        }
        other => other.to_string(),
    }
}
