//! Players that people use, all in one page of another origin: hls.js, mpegts.js, shaka-player, dash.js.
//! `players.mjs` drives the browser, `players.html` is the page.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use weir_tests::Program;

use super::{Weir, browser_to_itself, needed};

const PLAYERS: [&str; 6] =
    ["hls.js-ts", "hls.js-ll", "mpegts.js", "mpegts.js-ws", "shaka-dash", "dash.js"];
/// What hls.js may be behind live with low latency, in seconds.
const LOW: f64 = 2.0;

/// Opens the page with these players, each of which is told of when it has played for so long.
fn page(weir: &Weir, name: &str, seconds: u32) -> Program {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser");
    assert!(
        folder.join("node_modules/hls.js").exists(),
        "hls.js is missing; run tests/run, or npm ci in tests/browser"
    );
    let base = format!("http://HOST:{}/live/{name}", weir.http.port());
    let mut command = Command::new(needed("node", "nodejs"));
    command.arg(folder.join("players.mjs")).arg(needed("chromium", "chromium"));
    command.args([&base, &seconds.to_string()]).args(PLAYERS);
    Program::spawn(command)
}

/// Waits until each player has played without a stall, and gives what they say of it.
fn all_play(page: &Program) -> Vec<String> {
    let mut missing = BTreeSet::from(PLAYERS);
    let mut reports = Vec::new();
    while !missing.is_empty() {
        let said = page.lines_until(" steady ");
        for line in &said {
            println!("{line}");
            assert!(!line.contains(" failed "), "{said:#?}");
        }
        let report = said.last().unwrap().clone();
        missing.remove(report.split(' ').next().unwrap());
        reports.push(report);
    }
    reports
}

#[test]
fn each_plays_across_a_wrap_of_the_clock_and_a_return_of_the_publisher() {
    let _alone = browser_to_itself();
    let config = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser-players.toml");
    // Clocks of MPEG-TS begin at ten seconds, and wrap ten seconds into this stream.
    std::fs::write(&config, "[publish]\nfirst_time = \"95424s\"\n").unwrap();
    let weir = Weir::start(&["--config", config.to_str().unwrap()]);
    let first = weir.publish("many", "320x180");
    let page = page(&weir, "many", 10);
    let reports = all_play(&page);
    let low = reports.iter().find(|report| report.starts_with("hls.js-ll ")).unwrap();
    let latency = low.split(' ').find_map(|word| word.strip_prefix("latency=")).unwrap();
    assert!(latency.parse::<f64>().unwrap() <= LOW, "{low}");
    first.signal("KILL");
    weir.program.wait_for("publish ended");
    let _second = weir.publish("many", "320x180");
    page.signal("USR2");
    all_play(&page);
    page.signal("TERM");
    let (status, said) = page.end();
    assert_eq!(status.code(), Some(0), "{said:#?}");
}
