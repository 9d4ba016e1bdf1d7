//! The test of streams as the command line asks for it.

use std::error::Error;
use std::io::IsTerminal;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use super::figures::{Figures, Row};
use super::files::Files;
use super::goal::Goal;
use super::ledger::Ledger;
use super::publisher::{Publishers, Streams};
use super::run::{Conductor, run as run_once};
use super::setup::Setup;
use super::target::{Door, Target, sources};
use super::{GOAL_MISSED, INTERRUPTED, find, own, report, summary};
use crate::{kernel, units};

/// What `--find` looks for where nothing else is said.
const GOAL: &str = "starved<=0.1%,p99<=200ms,join_p99<=1s";

/// What --doors calls them, and what their URLs begin and end with.
const DOORS: [(&str, &str, &str); 8] = [
    ("http", "http", ".flv"),
    ("ws", "ws", ".flv"),
    ("ts", "http", ".ts"),
    ("mp4", "http", ".mp4"),
    ("ws-ts", "ws", ".ts"),
    ("ws-mp4", "ws", ".mp4"),
    ("hls", "http", ".m3u8"),
    ("rtmp", "rtmp", ""),
];

/// Options of `weir bench URL...`.
#[derive(clap::Args, Clone)]
#[group(skip)]
pub struct Args {
    /// Where to play: rtmp://HOST/APP/NAME, http:// or ws://HOST/APP/NAME.flv, .ts or .mp4, and
    /// http://HOST/APP/NAME.m3u8 for HLS; {i} is the stream's number, and players are spread over
    /// several URLs
    #[arg(value_name = "URL")]
    pub urls: Vec<String>,
    /// Streams to publish from here; without any the server has its own
    #[arg(long, value_name = "N", default_value = "0", value_parser = units::count)]
    pub publish: usize,
    /// Where to publish, over RTMP [default: the first URL's name at RTMP's port]
    #[arg(long, value_name = "URL")]
    pub publish_to: Option<String>,
    /// Bits per second of one stream: of those published here, or what is expected
    #[arg(long, value_name = "RATE", value_parser = units::bit_rate)]
    pub bitrate: Option<f64>,
    /// Pictures per second of published streams
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub fps: u32,
    /// Time from one published keyframe to the next
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = units::some_time)]
    pub gop: Duration,
    /// Players; with --find those it begins with [default: 100, with --find 800]
    #[arg(long, value_name = "N", value_parser = units::some)]
    pub players: Option<usize>,
    /// Look for the most players that still meet the goal
    #[arg(long)]
    pub find: bool,
    /// The most players --find tries [default: as many as this process may have descriptors]
    #[arg(long, value_name = "N", value_parser = units::some)]
    pub most: Option<usize>,
    /// Test this very program: start its server on a core of its own, find what it carries, end it
    #[arg(long = "self", conflicts_with_all = ["urls", "pid", "publish_to"])]
    pub own: bool,
    /// How --self plays: http and ws (FLV), ts, mp4, ws-ts, ws-mp4, hls and rtmp
    #[arg(long, value_name = "DOOR", value_delimiter = ',', default_value = "http", value_parser = DOORS.map(|(door, ..)| door))]
    pub doors: Vec<String>,
    /// Viewers of HLS take parts as they come, by reloads that the server holds, not whole segments
    #[arg(long)]
    pub low_latency: bool,
    /// Streams that players are spread over [default: as many as are published]
    #[arg(long, value_name = "N", value_parser = units::some)]
    pub streams: Option<usize>,
    /// Players that begin in a second [default: 400, with --find 1000]
    #[arg(long, value_name = "N", value_parser = units::per_second)]
    pub ramp: Option<f64>,
    /// Time from the last beginning to the measured window
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = units::duration)]
    pub settle: Duration,
    /// The measured window; a multiple of the time between keyframes avoids effects of its edges
    /// [default: 16s, with --find 10s]
    #[arg(long, value_name = "TIME", value_parser = units::some_time)]
    pub hold: Option<Duration>,
    /// Players of all that check every byte
    #[arg(long, value_name = "N", default_value = "8", value_parser = units::count)]
    pub sample: usize,
    /// Further players that join in a second of the window, to see a keyframe and leave
    #[arg(long, value_name = "N", default_value = "2", value_parser = units::per_second_or_none)]
    pub probes: f64,
    /// How long a player may take to get media, and a publisher to be let begin
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = units::some_time)]
    pub join_within: Duration,
    /// A viewer's buffer, for counting stalls
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = units::duration)]
    pub buffer: Duration,
    /// What a player may lack at the window's edges before it counts as starved: servers that merge
    /// writes send in lumps
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = units::duration)]
    pub slack: Duration,
    /// What has to be reached, such as "starved<=0.1%,p99<=200ms,join_p99<=1s"; the exit code says
    /// whether it was
    #[arg(long, value_name = "GOAL", value_parser = Goal::parse)]
    pub slo: Option<Goal>,
    /// The server's process ids, for its CPU and memory; their children count too
    #[arg(long, value_name = "PID", value_delimiter = ',')]
    pub pid: Vec<u32>,
    /// Threads for the players
    #[arg(long, value_name = "N", default_value = "1", value_parser = units::threads)]
    pub threads: usize,
    /// Bind this process to a core
    #[arg(long, value_name = "CORE")]
    pub core: Option<usize>,
    /// Bytes that wait before a bulk player takes them
    #[arg(long, value_name = "BYTES", default_value_t = 32_768)]
    pub low_water: u32,
    /// How often bulk players are looked at
    #[arg(long, value_name = "TIME", default_value = "5ms", value_parser = units::some_time)]
    pub visit_every: Duration,
    /// Addresses of this machine to call from
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    pub from: Vec<IpAddr>,
    /// Write every figure as JSON; - is stdout
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write a report one can show, one file of HTML; - is stdout
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// The tested server is mine, though it is not on this machine
    #[arg(long)]
    pub i_own_this_host: bool,
}

/// Everything that lasts over several runs.
pub struct Test {
    /// The main thread's loop and the user's signals.
    pub conductor: Conductor,
    /// What to do.
    pub setup: Setup,
    /// What to reach.
    pub goal: Goal,
    files: Files,
    ledger: Option<Arc<Ledger>>,
    publishers: Option<Publishers>,
}

impl Test {
    /// Reads the options, looks whether this machine can, and lets the publishers begin.
    pub fn begin(args: &Args, pids: Vec<u32>) -> Result<Self, Box<dyn Error>> {
        let targets: Vec<Target> = args
            .urls
            .iter()
            .map(|url| Target::parse(url, args.i_own_this_host))
            .collect::<Result<_, _>>()?;
        if targets.is_empty() {
            return Err(crate::wrong("nothing to test: give a URL, or --self"));
        }
        let streams = args.streams.unwrap_or(args.publish.max(1)).max(1);
        if streams > 1 && !targets.iter().all(Target::names_streams) {
            return Err(crate::wrong(format!("{streams} streams need {{i}} in each URL")));
        }
        if args.slo.as_ref().is_some_and(Goal::is_empty) {
            return Err(crate::wrong("--slo names nothing that has to be reached"));
        }
        let searches = args.find || args.own;
        let ramp = args.ramp.unwrap_or(if searches { 1000.0 } else { 400.0 });
        if let Some(missing) = pids.iter().find(|pid| !kernel::exists(**pid)) {
            return Err(format!("there is no process {missing} (--pid)").into());
        }
        let rate = args.bitrate.or((args.publish > 0).then_some(2.5e6));
        let addresses: Vec<_> = targets.iter().map(|target| target.address).collect();
        let from = sources(&addresses, &args.from).map_err(crate::wrong)?;
        let setup = Setup {
            players: args.players.unwrap_or(if searches { 800 } else { 100 }),
            streams,
            publish: args.publish,
            ramp,
            settle: args.settle,
            hold: args.hold.unwrap_or(Duration::from_secs(if searches { 10 } else { 16 })),
            sample: args.sample,
            low_latency: args.low_latency,
            probes: args.probes,
            threads: args.threads,
            join_within: args.join_within,
            low_water: args.low_water,
            visit_every: args.visit_every,
            buffer: args.buffer,
            rate,
            slack: args.slack,
            from,
            memory_before: kernel::usage(&kernel::family(&pids)).resident,
            pids,
            targets,
        };
        setup.check(network::raise_open_files()?)?;
        if let Some(core) = args.core {
            network::pin_to_core(core).map_err(|error| format!("--core {core}: {error}"))?;
        }
        let files = Files::open(args.json.as_deref(), args.html.as_deref())?;
        let mut conductor = Conductor::new()?;
        let (mut ledger, mut publishers) = (None, None);
        if args.publish > 0 {
            let known = Arc::new(Ledger::new(args.publish));
            let streams = publishing(args, &setup)?;
            let started =
                Publishers::start(&streams, conductor.clock, Arc::clone(&known), &mut || {
                    conductor.is_interrupted()
                })?;
            (ledger, publishers) = (Some(known), Some(started));
            // Every stream has a keyframe by then, so that nobody waits for the first.
            conductor.wait(args.gop + Duration::from_millis(500));
        }
        let goal = match &args.slo {
            Some(goal) => goal.clone(),
            None if searches => Goal::parse(GOAL)?,
            None => Goal::default(),
        };
        Ok(Self { conductor, setup, goal, files, ledger, publishers })
    }

    /// Runs with so many players.
    pub fn once(
        &mut self,
        players: usize,
        progress: &mut dyn FnMut(&Row),
    ) -> Result<Figures, Box<dyn Error>> {
        let setup = Setup { players, ..self.setup.clone() };
        let ledger = self.ledger.as_ref();
        let publishers = self.publishers.as_mut();
        Ok(run_once(&mut self.conductor, &setup, ledger, publishers, progress)?)
    }

    /// Ends the publishers and says what came of them.
    pub fn end(&mut self) -> Option<super::publisher::Tally> {
        self.publishers.take().map(Publishers::finish)
    }
}

fn publishing(args: &Args, setup: &Setup) -> Result<Streams, Box<dyn Error>> {
    let rtmp = setup.targets.iter().find(|target| target.door == Door::Rtmp);
    let url = match (&args.publish_to, rtmp.or(setup.targets.first())) {
        (Some(url), _) => url.clone(),
        (None, Some(target)) => target.publishing_url(),
        (None, None) => return Err("nowhere to publish".into()),
    };
    let target = Target::parse(&url, args.i_own_this_host)?;
    let from = sources(&[target.address], &args.from).map_err(crate::wrong)?;
    if target.door != Door::Rtmp {
        return Err(crate::wrong(format!("{url}: streams are published over RTMP")));
    }
    if args.publish > 1 && !target.names_streams() {
        return Err(crate::wrong(format!("{} publishers need {{i}} in {url}", args.publish)));
    }
    Ok(Streams {
        target,
        count: args.publish,
        rate: setup.rate.unwrap_or(2.5e6),
        fps: args.fps,
        gop: args.gop.as_secs_f64(),
        within: args.join_within,
        from,
    })
}

/// Runs the test.
pub fn run(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    if !args.own {
        return test(args, args.pid.clone());
    }
    let server = own::Server::start(1)?;
    let name = if args.publish > 1 { "bench{i}" } else { "bench" };
    let (http, rtmp) = (server.http, server.rtmp);
    let doors = args.doors.iter().filter_map(|door| DOORS.iter().find(|(word, ..)| word == door));
    let urls = doors.map(|(_, scheme, ending)| match *scheme {
        "rtmp" => format!("rtmp://{rtmp}/live/{name}"),
        scheme => format!("{scheme}://{http}/live/{name}{ending}"),
    });
    let args = Args {
        urls: urls.collect(),
        publish: args.publish.max(1),
        publish_to: Some(format!("rtmp://{rtmp}/live/{name}")),
        ..args.clone()
    };
    test(&args, vec![server.pid()])
}

fn test(args: &Args, pids: Vec<u32>) -> Result<ExitCode, Box<dyn Error>> {
    let mut test = Test::begin(args, pids)?;
    let mut live = Live::new();
    let first = test.setup.players;
    let mut found = None;
    let figures = if args.find || args.own {
        let most = match args.most {
            Some(most) => most,
            // Probes, loops and the rest take theirs.
            None => (network::raise_open_files()? as usize).saturating_sub(256 + args.publish),
        };
        let live = std::cell::RefCell::new(&mut live);
        let search = find::find(
            &mut test,
            first,
            most,
            &mut |row, players| live.borrow_mut().show(row, players),
            &mut |step| {
                live.borrow_mut().end();
                eprintln!("{}", summary::step(step));
            },
        )?;
        let last = search.steps.last().or(search.unfinished.as_ref());
        let shown = search.best().or(last.map(|step| &step.figures));
        let figures = shown.cloned().unwrap_or_default();
        found = Some(search);
        figures
    } else {
        test.once(first, &mut |row| live.show(row, first))?
    };
    live.end();
    let published = test.end();
    let interrupted = test.conductor.is_interrupted();
    let outcome = report::Outcome {
        figures: &figures,
        found: found.as_ref(),
        goal: &test.goal,
        published: published.as_ref(),
        own: args.own,
    };
    outcome.write(&mut test.files)?;
    Ok(match &found {
        _ if interrupted => ExitCode::from(INTERRUPTED),
        // What it came to is told, and is not an answer.
        Some(found) if found.cut_short.is_some() => ExitCode::FAILURE,
        Some(found) if found.players == 0 => ExitCode::from(GOAL_MISSED),
        _ => exit_code(&test.goal, &figures),
    })
}

/// The goal where there is one; without one a run that nobody joined has failed.
fn exit_code(goal: &Goal, figures: &Figures) -> ExitCode {
    if goal.is_empty() {
        let worked = figures.joined > 0 && figures.cut_short.is_none();
        return if worked { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    if goal.is_met(figures) { ExitCode::SUCCESS } else { ExitCode::from(GOAL_MISSED) }
}

/// The line that says how it goes: renewed each second on a terminal, elsewhere now and then.
pub struct Live {
    terminal: bool,
    shown: u64,
}

impl Live {
    /// On stderr, as logs are.
    pub fn new() -> Self {
        Self { terminal: std::io::stderr().is_terminal(), shown: 0 }
    }

    /// Shows a second.
    pub fn show(&mut self, row: &Row, players: usize) {
        let line = summary::line(row, players);
        self.shown += 1;
        if self.terminal {
            eprint!("\r\x1b[K{line}");
        } else if self.shown % 5 == 1 {
            eprintln!("{line}");
        }
    }

    /// Leaves the terminal as it was.
    pub fn end(&mut self) {
        if self.terminal && self.shown > 0 {
            eprintln!();
        }
        self.shown = 0;
    }
}
