//! `weir bench held`: many reloads of a playlist that the server holds until there is a certain part, and
//! how far apart their answers are.
//!
//! It goes in rounds. All ask for the same part, which is so far ahead that everybody has asked before it
//! comes; its coming answers all. At the end nothing is published for a while: what the server uses then
//! is what waiting costs it.

use std::cell::RefCell;
use std::error::Error;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use media::playlist::lint::read::{Playlist, read};
use media::testcard::Stamp;
use network::http::{Client, ClientOptions, ClientRequest, Url};
use network::{CloseReason, Connection, EventLoop, Handler, SourceId};
use serde_json::{Value, json};

use super::answer::Answers;
use super::clock::Clock;
use super::demux::Demux;
use super::dialogue::append_request;
use super::distribution::{Distribution, round3};
use super::hls::{First, first_list};
use super::ledger::Ledger;
use super::options::{Begun, Common};
use super::publisher::{Publishers, Streams};
use super::run::Conductor;
use super::target::{Container, Door, Target, connect_from, sources};
use super::{INTERRUPTED, report};
use crate::units::{self, grouped, shown};

/// How far ahead the part is that all ask for: time enough for all to ask.
const AHEAD: i64 = 1_000_000;
/// How long a round may take.
const ROUND: Duration = Duration::from_secs(8);
/// How long one request of the tester itself may take, and connecting of all.
const WITHIN: Duration = Duration::from_secs(10);
/// What is published: bits per second, pictures per second, seconds between keyframes.
const STREAM: (f64, u32, f64) = (2.5e6, 30, 2.0);
/// From the pause's begin to when nothing is under way any more.
const QUIET: Duration = Duration::from_millis(500);

/// Options of `weir bench held`.
#[derive(clap::Args)]
pub struct Args {
    /// The playlist: http://HOST:PORT/APP/NAME.m3u8, or one of the lists it names
    #[arg(value_name = "URL")]
    url: String,
    /// Reloads that are held at a time
    #[arg(long, value_name = "N", default_value = "2000", value_parser = units::some)]
    held: usize,
    /// Publish the stream from here, and pause it at the end
    #[arg(long)]
    publish: bool,
    /// Where to publish, over RTMP [default: the URL's name at RTMP's port]
    #[arg(long, value_name = "URL", requires = "publish")]
    publish_to: Option<String>,
    /// How long nothing is published at the end; servers hold a reload for three target durations
    #[arg(long, value_name = "TIME", default_value = "4s", value_parser = units::duration)]
    pause: Duration,
    #[command(flatten)]
    common: Common,
}

/// What is under way, for all connections.
#[derive(Default)]
struct Round {
    request: Vec<u8>,
    /// When each was answered.
    answered: Vec<i64>,
    open: Vec<SourceId>,
    refused: u64,
    gone: u64,
    why: Option<String>,
}

struct Waiter {
    round: Rc<RefCell<Round>>,
    clock: Clock,
    answers: Answers,
}

impl Handler for Waiter {
    fn opened(&mut self, conn: &mut Connection, _: &mut EventLoop) {
        self.round.borrow_mut().open.push(conn.id());
    }

    fn received(&mut self, conn: &mut Connection, _: &mut EventLoop, input: &[u8]) -> usize {
        let now = self.clock.micros();
        match self.answers.read(input) {
            Ok((done, None)) => done,
            Ok((done, Some(answer))) => {
                let mut round = self.round.borrow_mut();
                match answer.status {
                    200 => round.answered.push(now),
                    _ => round.refused += 1,
                }
                done
            }
            Err(error) => {
                self.round.borrow_mut().why = Some(error.to_string());
                conn.close_now();
                input.len()
            }
        }
    }

    fn due(&mut self, conn: &mut Connection, _: &mut EventLoop) {
        conn.send(&self.round.borrow().request);
    }

    fn closed(&mut self, conn: &mut Connection, _: &mut EventLoop, reason: &CloseReason) {
        let mut round = self.round.borrow_mut();
        let id = conn.id();
        round.open.retain(|other| *other != id);
        round.gone += 1;
        round.why.get_or_insert(reason.to_string());
    }
}

struct Test<'a> {
    args: &'a Args,
    conductor: Conductor,
    client: Rc<Client>,
    list: Url,
    round: Rc<RefCell<Round>>,
    outcome: Outcome,
}

/// What was measured.
#[derive(Default)]
struct Outcome {
    rounds: u64,
    /// Rounds in which the part came before all had asked, and in which not all were answered.
    early: u64,
    short: u64,
    refused: u64,
    gone: u64,
    why: Option<String>,
    /// From the first answer of a round to each.
    spread: Distribution,
    /// From the last picture of the part to each answer.
    published: Distribution,
    /// Cores of the server while nothing changed, and how many were held then.
    quiet: Option<(f64, usize)>,
}

/// Runs the test.
pub fn run(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    let Begun { target, from, mut conductor } = args.common.begin(&args.url, args.held)?;
    if target.door != Door::Hls {
        return Err(crate::wrong("what is held are playlists: http://HOST:PORT/APP/NAME.m3u8"));
    }
    let mut files = args.common.files()?;
    let mut publishers = None;
    if args.publish {
        let to = args.publish_to.clone().unwrap_or_else(|| target.publishing_url());
        let (rate, fps, gop) = STREAM;
        let target = Target::parse(&to, args.common.i_own_this_host)?;
        let from = sources(&[target.address], &[])?;
        let streams = Streams { target, count: 1, rate, fps, gop, within: WITHIN, from };
        let (clock, ledger) = (conductor.clock, Arc::new(Ledger::new(1)));
        let cancelled = &mut || conductor.is_interrupted();
        publishers = Some(Publishers::start(&streams, clock, ledger, cancelled)?);
        // There is a keyframe by then.
        conductor.wait(Duration::from_secs_f64(gop) + QUIET);
    }
    let list = format!("http://{}{}", target.authority, target.path_of(0)).parse()?;
    let client = Client::new(ClientOptions { total_within: WITHIN, ..ClientOptions::default() });
    let (round, outcome) = (Rc::default(), Outcome::default());
    let mut test = Test { args, conductor, client, list, round, outcome };
    test.find_list()?;
    test.connect(&target, &from)?;
    let until = Instant::now() + args.common.hold(target.door);
    while Instant::now() < until && !test.conductor.is_interrupted() {
        test.play_round(args.publish)?;
    }
    if let Some(publishers) = &publishers
        && !test.conductor.is_interrupted()
    {
        test.be_quiet(publishers)?;
    }
    let interrupted = test.conductor.is_interrupted();
    {
        let round = test.round.borrow();
        (test.outcome.gone, test.outcome.why) = (round.gone, round.why.clone());
    }
    let outcome = &test.outcome;
    files.write(&outcome.text(args), &report::of(outcome.json(args)), String::new)?;
    Ok(match (interrupted, outcome.spread.len()) {
        (true, _) => ExitCode::from(INTERRUPTED),
        (_, 0) => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    })
}

impl Test<'_> {
    fn fetch(&mut self, url: Url) -> Result<Bytes, Box<dyn Error>> {
        let told = Rc::new(RefCell::new(None));
        let tell = Rc::clone(&told);
        let name = url.to_string();
        self.client.fetch(self.conductor.el(), ClientRequest::get(url), move |_, answer| {
            *tell.borrow_mut() = Some(answer);
        });
        // The client bounds the time.
        while told.borrow().is_none() {
            self.conductor.el().run_once(Duration::from_millis(50));
        }
        let answer = told.borrow_mut().take().ok_or("no answer")??;
        match answer.status.as_u16() {
            200 => Ok(answer.body),
            status => Err(format!("{name} is answered {status}").into()),
        }
    }

    fn playlist(&mut self) -> Result<Playlist, Box<dyn Error>> {
        let text = self.fetch(self.list.clone())?;
        let playlist = read(std::str::from_utf8(&text)?)?;
        match playlist.control.as_ref().is_some_and(|control| control.blocks) {
            true => Ok(playlist),
            false => Err("the server does not hold reloads (CAN-BLOCK-RELOAD)".into()),
        }
    }

    /// Goes from a master playlist to the first list it names.
    fn find_list(&mut self) -> Result<(), Box<dyn Error>> {
        let text = self.fetch(self.list.clone())?;
        match first_list(std::str::from_utf8(&text)?).ok_or("that is no playlist")? {
            First::Media => {}
            First::Lists(lists) => {
                self.list = self.list.join(lists.first().ok_or("it names no list")?)?;
            }
        }
        // A server may hold the first list until there are a few segments: that is not measured.
        self.playlist().map(drop)
    }

    fn connect(
        &mut self,
        target: &Target,
        from: &[std::net::IpAddr],
    ) -> Result<(), Box<dyn Error>> {
        let clock = self.conductor.clock;
        for number in 0..self.args.held {
            let connect = connect_from(target.address, from, number).timeout(WITHIN);
            let (round, failed) = (Rc::clone(&self.round), Rc::clone(&self.round));
            self.conductor.el().connect(connect, move |_, outcome| match outcome {
                Ok(_) => Some(Box::new(Waiter { round, clock, answers: Answers::default() })),
                Err(error) => {
                    let mut round = failed.borrow_mut();
                    round.gone += 1;
                    round.why.get_or_insert(error.to_string());
                    None
                }
            });
            if number % 64 == 0 {
                self.conductor.el().run_once(Duration::ZERO);
            }
        }
        let (until, held) = (Instant::now() + WITHIN, self.args.held);
        let is_done = |round: &Round| round.open.len() + round.gone as usize >= held;
        while !is_done(&self.round.borrow()) && Instant::now() < until {
            self.conductor.el().run_once(Duration::from_millis(50));
        }
        let round = self.round.borrow();
        match (round.open.is_empty(), &round.why) {
            (true, why) => Err(why.clone().unwrap_or("nobody could connect".into()).into()),
            _ => Ok(()),
        }
    }

    /// Has all ask for a part, `ahead` microseconds of parts beyond the last, or for the next segment
    /// where there are no parts. Returns its place, and how many have asked.
    fn ask(&mut self, ahead: i64) -> Result<((u64, u64), usize), Box<dyn Error>> {
        let playlist = self.playlist()?;
        let segment = playlist.sequence + (playlist.skipped + playlist.segments.len()) as u64;
        let mut path = format!("{}?_HLS_msn={segment}", self.list.target());
        let mut part = 0;
        if let Some(target) = playlist.part_target {
            part = playlist.open.parts.len() as u64 + (ahead / target.max(1)).unsigned_abs();
            path += &format!("&_HLS_part={part}");
        }
        let asked = {
            let mut round = self.round.borrow_mut();
            (round.refused, round.answered) = (0, Vec::with_capacity(self.args.held));
            round.request.clear();
            append_request(self.list.authority(), &path, &mut round.request);
            round.open.clone()
        };
        asked.iter().for_each(|id| self.conductor.el().mark_due(*id));
        self.conductor.el().run_once(Duration::ZERO);
        Ok(((segment, part), asked.len()))
    }

    fn play_round(&mut self, published: bool) -> Result<(), Box<dyn Error>> {
        let (place, asked) = self.ask(AHEAD)?;
        let was_early = !self.round.borrow().answered.is_empty();
        let until = Instant::now() + ROUND;
        let is_done = |round: &Round| round.answered.len() + round.refused as usize >= asked;
        while !is_done(&self.round.borrow()) {
            self.conductor.el().run_once(Duration::from_millis(20));
            if Instant::now() > until || self.conductor.is_interrupted() {
                break;
            }
        }
        let (answered, refused) = {
            let mut round = self.round.borrow_mut();
            (std::mem::take(&mut round.answered), round.refused)
        };
        self.outcome.refused += refused;
        self.outcome.short += u64::from(answered.len() < asked);
        if was_early {
            self.outcome.early += 1;
            return Ok(());
        }
        let Some(first) = answered.iter().min().copied() else { return Ok(()) };
        self.outcome.rounds += 1;
        let since = |at: i64, from: i64| u64::try_from(at - from).unwrap_or(0);
        answered.iter().for_each(|at| self.outcome.spread.record(since(*at, first)));
        if published && let Some(made) = self.made(place)? {
            answered.iter().for_each(|at| self.outcome.published.record(since(*at, made)));
        }
        Ok(())
    }

    /// When the last picture of a part was made. A part that its segment turned out not to have is the
    /// first of the next one.
    fn made(&mut self, (segment, part): (u64, u64)) -> Result<Option<i64>, Box<dyn Error>> {
        let playlist = self.playlist()?;
        let first = playlist.sequence + playlist.skipped as u64;
        let at = |number: u64| {
            let place = usize::try_from(number.checked_sub(first)?).ok()?;
            playlist.segments.iter().chain([&playlist.open]).nth(place)
        };
        let part = at(segment).and_then(|segment| segment.parts.get(usize::try_from(part).ok()?));
        let found = part.or_else(|| at(segment + 1).and_then(|next| next.parts.first()));
        let maps = playlist.segments.iter().chain([&playlist.open]);
        let map = maps.filter_map(|segment| segment.map.as_ref()).next_back();
        let (Some(part), Some(map)) = (found, map) else { return Ok(None) };
        let (init, part) = (self.list.join(map)?, self.list.join(&part.uri)?);
        let (init, part) = (self.fetch(init)?, self.fetch(part)?);
        let (mut demux, mut made) = (Demux::new(Container::Mp4), None);
        for bytes in [init, part] {
            demux.receive(&bytes, &mut |frame| {
                made = Stamp::find(&frame.payload).map(|stamp| stamp.micros).or(made);
            })?;
        }
        Ok(made)
    }

    /// Has all wait while nothing comes, and looks what that costs.
    fn be_quiet(&mut self, publishers: &Publishers) -> Result<(), Box<dyn Error>> {
        publishers.pause(true);
        self.conductor.wait(QUIET);
        let (_, asked) = self.ask(0)?;
        self.conductor.wait(QUIET);
        let (at, before) = (Instant::now(), self.args.common.server());
        self.conductor.wait(self.args.pause);
        let (seconds, after) = (at.elapsed().as_secs_f64(), self.args.common.server());
        let held = {
            let round = self.round.borrow();
            asked.saturating_sub(round.answered.len() + round.refused as usize)
        };
        if !self.args.common.pid.is_empty() {
            self.outcome.quiet =
                Some(((after.cpu - before.cpu).max(0.0) / seconds.max(1e-3), held));
        }
        publishers.pause(false);
        Ok(())
    }
}

impl Outcome {
    fn json(&self, args: &Args) -> Value {
        json!({
            "url": args.url, "held": args.held, "rounds": self.rounds,
            "rounds_too_early": self.early, "rounds_not_all_answered": self.short,
            "refused": self.refused, "closed": self.gone, "why": self.why,
            "from_first_answer_ms": self.spread.millis(),
            "from_last_picture_ms": self.published.millis(),
            "held_while_quiet": self.quiet.map(|(_, held)| held),
            "server_cores_while_quiet": self.quiet.map(|(cores, _)| round3(cores)),
        })
    }

    fn text(&self, args: &Args) -> String {
        let times = |of: &Distribution| {
            let [p50, p99, most] = [50.0, 99.0, 100.0].map(|percent| {
                of.percentile(percent).map_or("-".into(), |micros| shown(micros as f64 / 1e3))
            });
            format!("p50 {p50}, p99 {p99}, most {most} ms")
        };
        let mut out = format!(
            "held        {} reloads in {} rounds, {} refused, {} connections closed\n",
            grouped(args.held),
            self.rounds,
            grouped(self.refused as usize),
            grouped(self.gone as usize)
        );
        if let Some(why) = &self.why {
            out += &format!("            {why}\n");
        }
        if self.early + self.short > 0 {
            out += &format!(
                "            {} rounds began too late to count, in {} not all were answered\n",
                self.early, self.short
            );
        }
        out += &format!("answers     {} from the first of their round\n", times(&self.spread));
        if self.published.len() > 0 {
            out +=
                &format!("            {} from the part's last picture\n", times(&self.published));
        }
        if let Some((cores, held)) = self.quiet {
            out += &format!(
                "server      {} cores while {} were held and nothing came\n",
                shown(cores),
                grouped(held)
            );
        }
        out
    }
}
