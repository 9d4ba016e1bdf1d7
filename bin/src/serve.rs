//! `weir serve`: the loops, the doors, and the way down.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use live::api::{About, Announce, Api, Process, ReadFrom};
use live::door::{self, rtmp::RtmpConnection};
use live::events::{Event, Reload};
use live::{Counters, Hub, Loops, Settings, StreamName, settings};
use network::http::{RouteError, Server, Url};
use network::tls::{TlsClient, TlsServer};
use network::{
    Bound, Endpoint, EventLoop, Handle, Limiter, Listen, ListenError, SIGHUP, SIGINT, SIGTERM,
    Threads,
};

use crate::config::{self, Config};
use crate::console;
use crate::kernel;
use crate::status::Status;
use crate::web;

/// Options of `weir serve`; what is given here holds, whatever the config file says.
#[derive(clap::Args)]
pub struct Args {
    /// Config file; `weir config` prints one with every key explained
    #[arg(long, value_name = "FILE", env = "WEIR_CONFIG")]
    config: Option<PathBuf>,
    /// Where RTMP is served: `HOST:PORT`, `[V6]:PORT`, or :PORT for all addresses [default: :1935]
    #[arg(long, value_name = "ADDR", env = "WEIR_RTMP")]
    rtmp: Option<Endpoint>,
    /// Where HTTP is served [default: :8080]
    #[arg(long, value_name = "ADDR", env = "WEIR_HTTP")]
    http: Option<Endpoint>,
    /// Event loops, one thread each [default: one per core]
    #[arg(long, value_name = "N", env = "WEIR_LOOPS", value_parser = clap::value_parser!(u16).range(1..=1024))]
    loops: Option<u16>,
    /// Bind each loop to a core of its own
    #[arg(long, env = "WEIR_PIN")]
    pin: bool,
    /// Seconds that connections get to finish after SIGTERM or Ctrl-C [default: 10]
    #[arg(long, value_name = "SECONDS", env = "WEIR_DRAIN")]
    drain: Option<u64>,
    /// Publish a test card as live/demo, so that there is something to play
    #[arg(long, env = "WEIR_DEMO")]
    demo: bool,
    /// End at once when stdin does: whoever started this server has it at the other end
    #[arg(long, hide = true)]
    until_stdin_ends: bool,
}

/// Descriptors that are kept for what is no connection: logs, listeners, files.
const OTHER_FILES: u64 = 512;
/// What an HTTP client is told that finds no room.
const NO_ROOM: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n\
    Content-Length: 0\r\nConnection: close\r\n\r\n";

/// One listening socket, and what is spoken there.
struct Door {
    bound: Bound,
    speaks: Speaks,
    is_tls: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Speaks {
    Rtmp,
    Http,
}

/// Serves until a signal ends it.
pub fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    if args.until_stdin_ends {
        std::thread::Builder::new().name("stdin".to_owned()).spawn(|| {
            let _ = io::copy(&mut io::stdin(), &mut io::sink());
            std::process::exit(0);
        })?;
    }
    let config = configured(args)?;
    let open_files = network::raise_open_files()?;
    let count = match config.server.loops {
        0 => network::default_loops(),
        loops => loops,
    };
    let settings = Arc::new(settings_of(&config));
    let tls = match (&config.tls.certificate, &config.tls.key) {
        (Some(certificate), Some(key)) => Some(TlsServer::from_pem_files(certificate, key)?),
        _ => None,
    };
    let announce = announce(&config)?;
    let limiter = limiter(&config, open_files);
    let mut doors = bind(&config, &settings, count, &limiter, tls.as_ref())?;
    let urls = urls(&doors);
    let publish = publish_at(&doors);
    let page = watch_page(&doors);

    let cores: Vec<usize> = (0..network::default_loops()).collect();
    let loops = Loops::default();
    let counters: Vec<Arc<Counters>> = (0..count).map(|_| Arc::default()).collect();
    let hubs = loops.clone();
    let threads = Threads::start(
        counters.clone(),
        config.server.pin.then_some(&cores),
        move |el, place, counters| {
            Hub::start(el, place, hubs.clone(), Arc::clone(&settings), counters);
            Ok(())
        },
    )?;
    loops.set(threads.handles().to_vec());
    let line = config::CommandLine { config: args.config.as_deref(), demo: args.demo };
    let about = Arc::new(about(&config, line, publish, counters.clone(), limiter, announce));
    let status = Arc::new(Status::new(threads.handles().to_vec(), counters));
    // The loops know each other: clients may come in.
    on_each(&threads, || {
        let (status, about, tls) = (Arc::clone(&status), Arc::clone(&about), tls.clone());
        let here: Vec<Door> = doors.iter_mut().filter_map(|bounds| bounds.pop()).collect();
        move |el| open(el, here, &status, about, publish, tls)
    })?;
    if args.demo {
        on_each(&threads, || publish_demo)?;
    }
    tracing::info!(loops = count, open_files, "serving");
    urls.iter().for_each(|line| tracing::info!("{line}"));
    if args.demo {
        match page {
            Some(page) => tracing::info!("the test card is live/demo; watch it at {page}"),
            None => tracing::info!("the test card is live/demo"),
        }
    }
    wait_for_end(&threads, config.server.drain, tls)?;
    threads.join();
    tracing::info!("ended");
    Ok(())
}

/// The config file with the command line on top.
fn configured(args: &Args) -> Result<Config, Box<dyn Error>> {
    let mut config = match &args.config {
        Some(path) => Config::load(path)?,
        None => Config::default(),
    };
    if let Some(endpoint) = &args.rtmp {
        config.rtmp.listen = Some(endpoint.clone());
    }
    if let Some(endpoint) = &args.http {
        config.http.listen = Some(endpoint.clone());
    }
    if let Some(loops) = args.loops {
        config.server.loops = loops.into();
    }
    if let Some(drain) = args.drain {
        config.server.drain = Duration::from_secs(drain);
    }
    config.server.pin |= args.pin;
    config.check("with the command line's options")?;
    Ok(config)
}

fn settings_of(config: &Config) -> Settings {
    let Config { rtmp, http, publish, play, hls, log, limits, .. } = config;
    Settings {
        publish: settings::Publish {
            grace: publish.grace,
            second: match publish.second {
                config::SecondPublisher::Refuse => settings::Second::Refuse,
                config::SecondPublisher::TakeOver => settings::Second::TakeOver,
            },
            silent_after: publish.silent_after,
            close_silent_after: publish.close_silent_after,
            first_time: publish.first_time,
        },
        play: settings::Play {
            latency_budget: play.latency_budget,
            gather: match play.gather {
                config::Gather::Adaptive => settings::Gather::Adaptive,
                config::Gather::Fixed => settings::Gather::Fixed,
            },
            wait_for_publisher: play.wait_for_publisher,
            skip_after: play.skip_after,
            skip_bytes: play.skip_bytes as u64,
            close_after: play.close_after,
            unsent_in_kernel: u32::try_from(play.unsent_in_kernel).unwrap_or(u32::MAX),
        },
        hls: settings::Hls {
            segment: hls.segment,
            longest_segment: hls.longest_segment,
            part: hls.part,
            window: hls.window,
            segments: match hls.segments {
                config::HlsSegments::Mp4 => settings::Segments::Mp4,
                config::HlsSegments::Ts => settings::Segments::Ts,
            },
            low_latency: hls.low_latency,
            viewer_leaves_after: hls.viewer_leaves_after,
        },
        log_bytes: log.bytes as u64,
        streams: limits.streams,
        cors: http.cors.clone().unwrap_or_default(),
        handshake_within: rtmp.handshake_within,
    }
}

fn limiter(config: &Config, open_files: u64) -> Limiter {
    let or_all = |limit: usize, all: usize| if limit == 0 { all } else { limit };
    let files = open_files.saturating_sub(OTHER_FILES.min(open_files / 2));
    Limiter::new(
        or_all(config.limits.connections, usize::try_from(files).unwrap_or(usize::MAX)),
        or_all(config.limits.connections_per_address, usize::MAX),
    )
}

fn process() -> Process {
    Process {
        resident: kernel::resident(),
        cpu: kernel::cpu(),
        descriptors: kernel::descriptors(),
        descriptors_most: kernel::descriptors_most(),
    }
}

/// What the API tells of the process, and to whom.
fn about(
    config: &Config,
    line: config::CommandLine<'_>,
    publish: Publish,
    counters: Vec<Arc<Counters>>,
    limiter: Limiter,
    announce: Option<Announce>,
) -> About {
    let host = || std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let api = &config.api;
    About {
        version: env!("CARGO_PKG_VERSION"),
        node: api.node.clone().unwrap_or_else(|| host().trim().to_owned()),
        play_url: api.play_url.clone(),
        publish,
        token: api.token.clone(),
        read_from: match api.read_from {
            config::ReadFrom::Token => ReadFrom::Token,
            config::ReadFrom::Loopback => ReadFrom::Loopback,
            config::ReadFrom::Private => ReadFrom::Private,
            config::ReadFrom::Anywhere => ReadFrom::Anywhere,
        },
        cors: api.cors.clone(),
        announce,
        config: [config.shown(line, false), config.shown(line, true)],
        counters,
        began: SystemTime::now(),
        started: Instant::now(),
        process,
        limiter,
    }
}

/// To whom this machine announces itself.
fn announce(config: &Config) -> Result<Option<Announce>, Box<dyn Error>> {
    let api = &config.api;
    let Some(play_url) = api.play_url.clone().filter(|_| !api.announce_to.is_empty()) else {
        return Ok(None);
    };
    let to = api.announce_to.iter().map(|text| text.parse()).collect::<Result<Vec<Url>, _>>()?;
    let tls = if to.iter().any(Url::is_https) { Some(TlsClient::system()?) } else { None };
    Ok(Some(Announce { to, token: api.announce_token.clone(), tls, play_url }))
}

/// Binds all listening sockets: for each, one per loop.
fn bind(
    config: &Config,
    settings: &Settings,
    count: usize,
    limiter: &Limiter,
    tls: Option<&TlsServer>,
) -> Result<Vec<Vec<Door>>, ListenError> {
    let wanted = [
        (&config.rtmp.listen, Speaks::Rtmp, None),
        (&config.rtmp.tls_listen, Speaks::Rtmp, tls),
        (&config.http.listen, Speaks::Http, None),
        (&config.http.tls_listen, Speaks::Http, tls),
    ];
    let mut doors = Vec::new();
    for (endpoint, speaks, tls) in wanted {
        let Some(endpoint) = endpoint else { continue };
        let refusal = match (speaks, tls) {
            (Speaks::Http, None) => Bytes::from_static(NO_ROOM),
            _ => Bytes::new(),
        };
        let mut listen = Listen::on(endpoint.clone())
            .options(door::options(settings))
            .limit(limiter.clone(), refusal);
        if let Some(tls) = tls {
            listen = listen.tls(tls.clone());
        }
        if speaks == Speaks::Http {
            // Who asks whether this server is ready hears that it is not.
            listen = listen.while_draining();
        }
        let bounds = listen.bind_each(count)?;
        let is_tls = tls.is_some();
        doors.push(bounds.into_iter().map(|bound| Door { bound, speaks, is_tls }).collect());
    }
    Ok(doors)
}

/// What to publish to and what to play, for whoever has just started the server.
fn urls(doors: &[Vec<Door>]) -> Vec<String> {
    let at = |speaks: Speaks, is_tls: bool| {
        let wanted = |door: &&Door| door.speaks == speaks && door.is_tls == is_tls;
        Some(shown(doors.iter().flatten().find(wanted)?.bound.endpoint()))
    };
    let mut lines = Vec::new();
    let rtmp = at(Speaks::Rtmp, false).map(|address| ("rtmp", address));
    let rtmps = || at(Speaks::Rtmp, true).map(|address| ("rtmps", address));
    match rtmp.or_else(rtmps) {
        Some((scheme, address)) => {
            lines.push(format!("publish to  {scheme}://{address}/live/NAME"));
            lines.push(format!("play        {scheme}://{address}/live/NAME"));
        }
        None => lines.push("nobody can publish: [rtmp] listen is empty".to_owned()),
    }
    if let Some(http) = at(Speaks::Http, false) {
        lines.push(format!("play        http://{http}/live/NAME.flv, or ws:// with the same path"));
        lines.push(format!("watch       http://{http}/watch/live/NAME"));
        lines.push(format!("look at     http://{http}/"));
        lines.push(format!("operate at  http://{http}/console"));
    }
    for (name, speaks) in [("rtmps", Speaks::Rtmp), ("https", Speaks::Http)] {
        if let Some(address) = at(speaks, true) {
            lines.push(format!("also        {name}://{address}"));
        }
    }
    lines
}

/// Where the test card is watched in a browser.
fn watch_page(doors: &[Vec<Door>]) -> Option<String> {
    // Without TLS first: a certificate is rarely for this machine's own address.
    let mut pages: Vec<_> =
        doors.iter().flatten().filter(|door| door.speaks == Speaks::Http).collect();
    pages.sort_by_key(|door| door.is_tls);
    let door = pages.first()?;
    let scheme = if door.is_tls { "https" } else { "http" };
    Some(format!("{scheme}://{}/watch/live/demo", shown(door.bound.endpoint())))
}

/// The scheme and the port that publishers are told.
type Publish = Option<(&'static str, u16)>;

/// Where publishers get in; without TLS first, which every encoder speaks.
fn publish_at(doors: &[Vec<Door>]) -> Publish {
    let at = |is_tls: bool| {
        let all = doors.iter().flatten();
        let mut wanted = all.filter(|door| door.speaks == Speaks::Rtmp && door.is_tls == is_tls);
        match wanted.next()?.bound.endpoint() {
            Endpoint::Ip(address) => Some(address.port()),
            Endpoint::Name(_, port) => Some(*port),
            Endpoint::Unix(_) => None,
        }
    };
    at(false).map(|port| ("rtmp", port)).or_else(|| at(true).map(|port| ("rtmps", port)))
}

/// Runs a task on each loop and waits until all have done theirs.
fn on_each<T>(threads: &Threads, mut make: impl FnMut() -> T) -> Result<(), Box<dyn Error>>
where
    T: FnOnce(&mut EventLoop) -> Result<(), Box<dyn Error>> + Send + 'static,
{
    let (told, hear) = mpsc::channel();
    for handle in threads.handles() {
        let (told, task) = (told.clone(), make());
        handle.post(move |el| {
            // Nobody hears where another loop failed before this one.
            let _ = told.send(task(el).map_err(|error| error.to_string()));
        })?;
    }
    for _ in threads.handles() {
        hear.recv()??;
    }
    Ok(())
}

/// Lets clients in on this loop.
fn open(
    el: &mut EventLoop,
    doors: Vec<Door>,
    status: &Arc<Status>,
    about: Arc<About>,
    publish: Publish,
    tls: Option<TlsServer>,
) -> Result<(), Box<dyn Error>> {
    let hub = Hub::here().ok_or("this loop has no hub")?;
    let api = Api::start(el, &hub, about);
    let server = routes(&hub, &api, Arc::clone(status), publish, el)?;
    for Door { bound, speaks, .. } in doors {
        let (hub, server, tls) = (Rc::clone(&hub), Rc::clone(&server), tls.clone());
        el.accept_on(bound, move |el, _| {
            Some(match speaks {
                Speaks::Rtmp => RtmpConnection::accepted(&hub, el, tls.as_ref()),
                Speaks::Http => server.handler(),
            })
        })?;
    }
    Ok(())
}

fn routes(
    hub: &Rc<Hub>,
    api: &Rc<Api>,
    status: Arc<Status>,
    publish: Publish,
    el: &mut EventLoop,
) -> Result<Rc<Server>, RouteError> {
    let words = Rc::clone(api);
    let server = Server::builder().on_failure(move |failure, reply| words.failure(failure, reply));
    let rtmp = publish.filter(|(scheme, _)| *scheme == "rtmp").map(|(_, port)| port);
    let server = web::routes(server, hub, api, status, rtmp)?;
    let server = console::routes(server, publish)?;
    Ok(door::http::routes(api.routes(server)?, hub, el)?.build())
}

/// Publishes the test card, on the loop where it lives.
fn publish_demo(el: &mut EventLoop) -> Result<(), Box<dyn Error>> {
    let name = StreamName::parse("live/demo")?;
    let hub = Hub::here().ok_or("this loop has no hub")?;
    if hub.is_home_of(&name) {
        live::demo::publish(el, &hub, &name, media::testcard::Options::default())?;
    }
    Ok(())
}

/// Sleeps on the main thread until a signal asks for the end, then drains. A second signal does not
/// wait for anybody.
fn wait_for_end(
    threads: &Threads,
    within: Duration,
    tls: Option<TlsServer>,
) -> Result<(), Box<dyn Error>> {
    let mut el = EventLoop::new()?;
    let loops = threads.handles().to_vec();
    let mut asked = false;
    el.on_signals(&[SIGTERM, SIGINT, SIGHUP], move |el, signal| {
        if signal == SIGHUP {
            return reload(tls.as_ref(), loops.first());
        }
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

/// Reads the certificate anew; the one in force stays where the files are broken.
fn reload(tls: Option<&TlsServer>, first: Option<&Handle>) {
    let done = match tls.map(TlsServer::reload) {
        None => {
            tracing::info!("nothing to reload: there is no certificate");
            Reload::NothingThere
        }
        Some(Ok(())) => {
            tracing::info!("certificate reloaded");
            Reload::Done
        }
        Some(Err(error)) => {
            tracing::error!(%error, "certificate not reloaded");
            Reload::Failed(error.to_string())
        }
    };
    // A loop that has ended has nobody left who would hear of it.
    let _ = first.map(|first| {
        first.post(move |_| {
            if let Some(hub) = Hub::here() {
                hub.events.note(Event::reload(&done));
            }
        })
    });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_the_same_wherever_they_are_written() {
        assert_eq!(settings_of(&Config::default()), Settings::default());
    }
}
