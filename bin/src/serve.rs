//! `weir serve`: the loops, the doors, and the way down.

use std::error::Error;
use std::fmt::Write;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use live::door;
use live::{Counters, Hub, Loops, Reason, Settings, StreamName};
use network::http::{Method, RouteError, Server};
use network::{Bound, Endpoint, EventLoop, Handle, Listen, SIGINT, SIGTERM, Threads};

/// Options of `weir serve`.
#[derive(clap::Args)]
pub struct Args {
    /// Where RTMP is served: `HOST:PORT`, `[V6]:PORT`, or :PORT for all addresses
    #[arg(long, value_name = "ADDR", default_value = ":1935", env = "WEIR_RTMP")]
    rtmp: Endpoint,
    /// Where HTTP is served
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
    /// Publish a test card as live/demo
    #[arg(long)]
    demo: bool,
}

/// The listening sockets of one loop.
struct Doors {
    rtmp: Bound,
    http: Bound,
}

/// Serves until a signal ends it.
pub fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let open_files = network::raise_open_files()?;
    let count = args.loops.map_or_else(network::default_loops, usize::from);
    let settings = Arc::new(Settings::default());
    let options = door::options(&settings);
    let bind = |endpoint: &Endpoint| {
        Listen::on(endpoint.clone()).options(options.clone()).bind_each(count)
    };
    let (rtmp, http) = (bind(&args.rtmp)?, bind(&args.http)?);
    let shown = |bound: &[Bound]| bound.first().map_or_else(String::new, |b| shown(b.endpoint()));
    let (rtmp_at, http_at) = (shown(&rtmp), shown(&http));
    let doors: Vec<Doors> =
        rtmp.into_iter().zip(http).map(|(rtmp, http)| Doors { rtmp, http }).collect();

    let cores: Vec<usize> = (0..network::default_loops()).collect();
    let loops = Loops::default();
    let counters: Vec<Arc<Counters>> = (0..count).map(|_| Arc::default()).collect();
    let hubs = loops.clone();
    let threads = Threads::start(
        counters.clone(),
        args.pin.then_some(&cores),
        move |el, place, counters| {
            Hub::start(el, place, hubs.clone(), Arc::clone(&settings), counters);
            Ok(())
        },
    )?;
    loops.set(threads.handles().to_vec());
    let status =
        Arc::new(Status { began: Instant::now(), handles: threads.handles().to_vec(), counters });
    open_doors(&threads, doors, &status)?;
    if args.demo {
        publish_demo(&threads)?;
    }
    tracing::info!(loops = count, open_files, "serving");
    tracing::info!("publish to rtmp://{rtmp_at}/live/NAME");
    tracing::info!("play rtmp://{rtmp_at}/live/NAME or http://{http_at}/live/NAME.flv (ws:// too)");
    tracing::info!("http://{http_at}/ says how it is");
    wait_for_end(&threads, Duration::from_secs(args.drain))?;
    threads.join();
    tracing::info!("ended");
    Ok(())
}

/// Lets clients in, on each loop, now that the loops know each other.
fn open_doors(
    threads: &Threads,
    doors: Vec<Doors>,
    status: &Arc<Status>,
) -> Result<(), Box<dyn Error>> {
    let (told, hear) = mpsc::channel();
    for (handle, doors) in threads.handles().iter().zip(doors) {
        let (told, status) = (told.clone(), Arc::clone(status));
        handle.post(move |el| {
            let opened = open_here(el, doors, status).map_err(|error| error.to_string());
            // Nobody hears where another loop failed before this one.
            let _ = told.send(opened);
        })?;
    }
    for _ in threads.handles() {
        hear.recv()??;
    }
    Ok(())
}

fn open_here(el: &mut EventLoop, doors: Doors, status: Arc<Status>) -> Result<(), Box<dyn Error>> {
    let hub = Hub::here().ok_or("this loop has no hub")?;
    let server = routes(&hub, status)?;
    el.accept_on(doors.rtmp, move |el, _| Some(door::rtmp::RtmpConnection::accepted(&hub, el)))?;
    el.accept_on(doors.http, move |_, _| Some(server.handler()))?;
    Ok(())
}

fn publish_demo(threads: &Threads) -> Result<(), Box<dyn Error>> {
    let name = StreamName::parse("live/demo")?;
    let (told, hear) = mpsc::channel();
    for handle in threads.handles() {
        let (told, name) = (told.clone(), name.clone());
        handle.post(move |el| {
            if let Some(hub) = Hub::here().filter(|hub| hub.is_home_of(&name)) {
                let options = media::testcard::Options::default();
                let published = live::demo::publish(el, &hub, &name, options);
                let _ = told.send(published.map_err(|error| error.to_string()));
            }
        })?;
    }
    Ok(hear.recv()??)
}

/// What the server says of itself.
struct Status {
    began: Instant,
    handles: Vec<Handle>,
    counters: Vec<Arc<Counters>>,
}

impl Status {
    fn text(&self) -> String {
        let mut text = format!("weir {}\n", env!("CARGO_PKG_VERSION"));
        let sum = |of: fn(&Counters) -> u64| self.counters.iter().map(|c| of(c)).sum::<u64>();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "up {} s, {} publishers, {} players",
            self.began.elapsed().as_secs(),
            sum(|c| c.publishers.here()),
            sum(|c| c.players.here()),
        );
        for (place, handle) in self.handles.iter().enumerate() {
            let busy = handle.busy_share() * 100.0;
            let _ = writeln!(
                text,
                "loop {place}: {} connections, {busy:.0} % busy",
                handle.connections()
            );
        }
        let _ = writeln!(
            text,
            "in: {} bytes, {} frames; skips of slow players: {}, {} bytes; clock jumps: {}; \
             flushes: {}; left out: {} frames before a keyframe, {} too long, {} of other tracks",
            sum(|c| c.bytes_in.get()),
            sum(|c| c.frames_in.get()),
            sum(|c| c.skips.get()),
            sum(|c| c.skipped_bytes.get()),
            sum(|c| c.clock_jumps.get()),
            sum(|c| c.flushes.get()),
            sum(|c| c.frames_before_key.get()),
            sum(|c| c.frames_too_long.get()),
            sum(|c| c.frames_of_other_tracks.get()),
        );
        for reason in Reason::ALL {
            let count: u64 = self.counters.iter().map(|c| c.ended_by(reason)).sum();
            if count > 0 {
                let _ = writeln!(text, "ended, {}: {count}", reason.label());
            }
        }
        text
    }
}

fn routes(hub: &Rc<Hub>, status: Arc<Status>) -> Result<Rc<Server>, RouteError> {
    let server = Server::builder()
        .route(Method::Get, "/", move |_, reply, _| reply.text(&status.text()))?
        .route(Method::Get, "/healthz", |_, reply, _| reply.text("ok\n"))?;
    Ok(door::http::routes(server, hub)?.build())
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
            let _ = handle.post(move |el| {
                if let Some(hub) = Hub::here() {
                    hub.begin_drain();
                }
                el.drain(within);
            });
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

/// The endpoint as a client on this machine would write it.
fn shown(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Ip(address) if address.ip().is_unspecified() => {
            format!("127.0.0.1:{}", address.port())
        }
        other => other.to_string(),
    }
}
