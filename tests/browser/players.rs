//! Players that people use, all in one page of another origin: hls.js, mpegts.js, shaka-player, dash.js, and
//! Chromium's own. `players.mjs` drives the browser, `players.html` is the page.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Sender, TryRecvError, channel};
use std::time::{Duration, Instant};

use media::testcard::Options;
use media::{Frame, Time};
use weir_tests::Program;

use super::live::{Card, Weir};
use super::{browser_to_itself, needed, watch};

const PLAYERS: [&str; 12] = [
    "hls.js-ts",
    "hls.js",
    "hls.js-ll",
    "mpegts.js",
    "mpegts.js-ws",
    "shaka-hls-ts",
    "shaka-hls",
    "shaka-dash",
    "shaka-dash-ll",
    "dash.js",
    "video-hls",
    "video-hls-ts",
];
/// How many of them may stand still before they play for so long, and then begin their seconds anew: a
/// browser that loads and decodes twelve at a time, on a machine with more to do, makes one or the other
/// wait, and shaka-player asks for a second manifest no sooner than as long behind the first as that was
/// waited for. One that is fed badly never gets there; a format that is, shows in more of them.
const STALLED: usize = PLAYERS.len() / 3;
/// What hls.js may be behind live with low latency, in seconds.
const LOW: f64 = 2.0;
/// How long it may take until each has played for some seconds: a list of three segments, the distance
/// that players keep, and these seconds.
const ALL_WITHIN: Duration = Duration::from_secs(90);

/// Opens the page with these players, each of which is told of whenever it has played for so long.
fn page(weir: &Weir, name: &str, seconds: u32, players: &[&str]) -> Program {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser");
    assert!(
        folder.join("node_modules/hls.js").exists(),
        "hls.js is missing; run tests/run, or npm ci in tests/browser"
    );
    let base = format!("http://HOST:{}/live/{name}", weir.http.port());
    let mut command = Command::new(needed("node", "nodejs"));
    command.arg(folder.join("players.mjs")).arg(needed("chromium", "chromium"));
    command.args([&base, &seconds.to_string()]).args(players);
    Program::spawn(command)
}

/// Publishes a test card as fast as it is shown. What is sent here is the size that it has from then on;
/// the publisher goes when this does.
fn on_air(weir: &Weir, name: &str, size: (u32, u32)) -> Sender<(u32, u32)> {
    let mut publisher = weir.publish(&format!("live/{name}"));
    let of_size =
        |(width, height)| Card::of(Options { width, height, gop_frames: 30, ..Card::options() });
    let (sizes, change) = channel();
    std::thread::spawn(move || {
        let (began, mut base, mut card) = (Instant::now(), 0, of_size(size));
        loop {
            match change.try_recv() {
                Ok(size) => {
                    card = of_size(size);
                    base = Time::from_millis(began.elapsed().as_millis() as i64 + 40).0;
                }
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return,
            }
            let frame = card.next();
            let (dts, pts) = (frame.dts.plus(base), frame.pts.plus(base));
            std::thread::sleep(Duration::from_micros(dts.0 as u64).saturating_sub(began.elapsed()));
            publisher.send(&Frame { dts, pts, ..frame });
        }
    });
    sizes
}

/// Waits until each player has played pictures of this size without a stall, and gives all that was said.
fn all_play(page: &Program, players: &[&str], size: &str) -> Vec<String> {
    let (until, mut said) = (Instant::now() + ALL_WITHIN, Vec::new());
    let mut missing: BTreeSet<_> = players.iter().copied().collect();
    while !missing.is_empty() {
        let more = page.lines_until(" steady ");
        more.iter().for_each(|line| println!("{line}"));
        for line in more.iter().filter(|line| line.contains(" failed ")) {
            missing.remove(line.split(' ').next().unwrap());
        }
        let report = more.last().unwrap();
        if report.ends_with(&format!("size={size}")) {
            missing.remove(report.split(' ').next().unwrap());
        }
        assert!(Instant::now() < until, "{missing:?} in {more:#?}");
        said.extend(more);
    }
    let failed: Vec<_> = said.iter().filter(|line| line.contains(" failed ")).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    said
}

/// The player that stood still for want of media. With some left it waits for its browser.
fn ran_dry(line: &str) -> Option<&str> {
    let (player, how) = line.split_once(" stalled ")?;
    let ahead = how.split_once("ahead=").and_then(|(_, ahead)| ahead.parse::<f64>().ok());
    ahead.is_none_or(|ahead| ahead < 0.5).then_some(player)
}

fn ends(page: Program) {
    page.signal("TERM");
    let (status, said) = page.end();
    assert_eq!(status.code(), Some(0), "{said:#?}");
}

#[test]
fn each_plays_from_the_start_and_across_a_wrap_of_the_clock_and_changes_of_size() {
    let _alone = browser_to_itself();
    // A day old: clocks of MPEG-TS, which begin at ten seconds, wrap four seconds into this stream, and
    // fourteen seconds into it times in MP4 have more bits than those have.
    let weir = Weir::with("[publish]\nfirst_time = \"95429700ms\"\n", &["--loops", "2"]);
    let first = on_air(&weir, "many", (320, 240));
    let page = page(&weir, "many", 6, &PLAYERS);
    let watch = watch::page("watch", weir.http, "/watch/live/many");
    let said = all_play(&page, &PLAYERS, "320x240");
    let stalled: BTreeSet<_> = said.iter().filter_map(|line| ran_dry(line)).collect();
    assert!(stalled.len() <= STALLED, "{stalled:?}");
    watch::plays(&watch, "320x240", &[]);
    // Under way, by the same publisher.
    first.send((480, 360)).unwrap();
    all_play(&page, &PLAYERS, "480x360");
    watch::plays(&watch, "480x360", &[]);
    drop(first);
    weir.program.wait_for("publish ended");
    let _second = on_air(&weir, "many", (640, 480));
    all_play(&page, &PLAYERS, "640x480");
    watch::plays(&watch, "640x480", &[]);
    ends(watch);
    ends(page);
}

#[test]
fn hls_js_stays_close_to_live() {
    let _alone = browser_to_itself();
    let weir = Weir::start();
    let _publisher = on_air(&weir, "close", (320, 240));
    let page = page(&weir, "close", 5, &["hls.js-ll"]);
    // Four times in a row; a machine that was busy elsewhere gets another chance.
    let mut close = 0;
    for _ in 0..12 {
        let said = page.lines_until(" steady ");
        println!("{said:#?}");
        assert!(!said.iter().any(|line| line.contains(" failed ")), "{said:#?}");
        let stalled = said.iter().any(|line| line.contains(" stalled "));
        let most = said.last().unwrap().split(' ').find_map(|word| word.strip_prefix("most="));
        let late = most.unwrap().parse::<f64>().unwrap() > LOW;
        close = if stalled || late { 0 } else { close + 1 };
        if close == 4 {
            return ends(page);
        }
    }
    panic!("never close to live and steady for 20 s");
}

/// It fetches parts as soon as they are hinted at.
#[test]
fn shaka_player_gets_over_a_change_of_size_with_low_latency() {
    let _alone = browser_to_itself();
    let weir = Weir::start();
    let publisher = on_air(&weir, "hinted", (320, 240));
    let players = ["shaka-hls-ll"];
    let page = page(&weir, "hinted", 3, &players);
    all_play(&page, &players, "320x240");
    publisher.send((480, 360)).unwrap();
    all_play(&page, &players, "480x360");
    ends(page);
}
