//! Weir's own pages in Chromium: `watch.mjs` drives the browser, `probe.js` looks at the picture.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use media::Codec;
use media::codec::Info;
use media::container::mp4::{Description, init_segment};
use weir_tests::Program;

use super::{Weir, browser_to_itself, figure, needed};

/// How old the picture is that the page shows, at most: from the clock that the test card paints into
/// it, to the clock of the same machine when the browser presents it.
const LATENCY_MS: i64 = 1000;
/// From the opened WebSocket to the first picture.
const FIRST_PICTURE_MS: i64 = 500;
/// What the browser says by itself where a server is away.
const AWAY: [&str; 2] = ["WebSocket connection to", "ERR_CONNECTION_REFUSED"];

/// Opens one of the pages.
pub(super) fn page(way: &str, address: SocketAddr, path: &str) -> Program {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser");
    assert!(
        folder.join("node_modules/playwright-core").exists(),
        "playwright-core is missing; run tests/run, or npm ci in tests/browser"
    );
    let mut command = Command::new(needed("node", "nodejs"));
    let url = format!("http://{address}{path}");
    command.arg(folder.join("watch.mjs")).arg(needed("chromium", "chromium")).args([way, &url]);
    Program::spawn(command)
}

/// Waits until a picture of this size has been played for three seconds; nobody may complain.
pub(super) fn plays(page: &Program, size: &str, expected: &[&str]) -> String {
    let mut said = page.lines_until(&format!("playing size={size} "));
    let report = said.pop().unwrap();
    complained(&said, expected);
    println!("{report}");
    report
}

fn complained(said: &[String], expected: &[&str]) {
    let complaints: Vec<_> = said
        .iter()
        .filter(|line| line.starts_with("complaint") || line.starts_with("failed"))
        .filter(|line| !expected.iter().any(|words| line.contains(words)))
        .collect();
    assert!(complaints.is_empty(), "{said:#?}");
}

fn ends(page: Program) {
    page.signal("TERM");
    let (status, said) = page.end();
    assert_eq!(status.code(), Some(0), "{said:#?}");
    complained(&said, &[]);
}

#[test]
fn the_watch_page_is_less_than_a_second_behind() {
    let _alone = browser_to_itself();
    let weir = Weir::start(&["--demo"]);
    // A stream that has just begun has little to begin with.
    std::thread::sleep(Duration::from_secs(2));
    let page = page("watch", weir.http, "/watch/live/demo");
    // Twice in a row; a machine that was busy elsewhere gets another chance.
    let mut close = 0;
    for _ in 0..10 {
        let report = plays(&page, "1280x720", &[]);
        assert!(figure(&report, "first_picture_ms") < FIRST_PICTURE_MS, "{report}");
        // The page was looked at, and the clock could be read.
        let is_seen = figure(&report, "clocks") >= 45;
        let is_close = (0..LATENCY_MS).contains(&figure(&report, "latency_ms"));
        let is_good = is_seen && is_close && figure(&report, "stalls") == 0;
        close = if is_good { close + 1 } else { 0 };
        if close == 2 {
            return ends(page);
        }
    }
    panic!("never close to live and steady for six seconds");
}

/// Kills a publisher while the page plays and starts another one, of this size.
fn it_goes_on(size: &str) {
    let _alone = browser_to_itself();
    let weir = Weir::start(&[]);
    let first = weir.publish("back", "640x360");
    let page = page("watch", weir.http, "/watch/live/back");
    plays(&page, "640x360", &[]);
    first.signal("KILL");
    page.wait_for("says Nothing comes from the publisher");
    let _second = weir.publish("back", size);
    let said = page.lines_until("says nothing");
    complained(&said, &[]);
    for _ in 0..2 {
        plays(&page, size, &[]);
    }
    ends(page);
}

#[test]
fn the_watch_page_goes_on_when_the_publisher_returns() {
    it_goes_on("640x360");
}

#[test]
fn the_watch_page_goes_on_when_the_publisher_returns_with_another_size() {
    it_goes_on("960x540");
}

/// Publishes pictures alone, or sound alone, for half a minute at most.
fn publish_alone(weir: &Weir, name: &str, input: &str, codec: &[&str]) -> Program {
    let mut command = Command::new(needed("ffmpeg", "ffmpeg"));
    command
        .args(["-hide_banner", "-loglevel", "error", "-re", "-f", "lavfi", "-i", input])
        .args(codec)
        .args(["-t", "30", "-f", "flv", &format!("rtmp://{}/live/{name}", weir.rtmp)]);
    let publisher = Program::spawn(command);
    weir.program.wait_for("publish conn=");
    publisher
}

#[test]
fn the_watch_page_goes_on_without_sound_and_with_sound_again() {
    let _alone = browser_to_itself();
    let weir = Weir::start(&[]);
    let pictures = "testsrc=size=480x270:rate=25";
    let codec = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p"];
    let first = publish_alone(&weir, "mute", pictures, &codec);
    let page = page("watch", weir.http, "/watch/live/mute");
    plays(&page, "480x270", &[]);
    first.signal("KILL");
    weir.program.wait_for("publish ended");
    let second = weir.publish("mute", "640x360");
    plays(&page, "640x360", &[]);
    plays(&page, "640x360", &[]);
    second.signal("KILL");
    weir.program.wait_for("publish ended");
    let _third = publish_alone(&weir, "mute", pictures, &codec);
    plays(&page, "480x270", &[]);
    plays(&page, "480x270", &[]);
    ends(page);
}

#[test]
fn the_watch_page_outlives_the_server() {
    let _alone = browser_to_itself();
    let weir = Weir::start(&["--demo"]);
    let (rtmp, http) = (weir.rtmp.to_string(), weir.http.to_string());
    let page = page("watch", weir.http, "/watch/live/demo");
    plays(&page, "1280x720", &[]);
    weir.program.signal("KILL");
    page.wait_for("says The connection is lost");
    drop(weir);
    let again = ["serve", "--demo", "--rtmp", &rtmp, "--http", &http, "--loops", "2"];
    let _again = Program::start("weir", &again);
    for _ in 0..2 {
        let report = plays(&page, "1280x720", &AWAY);
        assert!((0..2 * LATENCY_MS).contains(&figure(&report, "latency_ms")), "{report}");
    }
    ends(page);
}

#[test]
fn the_watch_page_waits_for_a_publisher() {
    let _alone = browser_to_itself();
    let weir = Weir::start(&[]);
    let page = page("watch", weir.http, "/watch/live/later");
    page.wait_for("says Nobody publishes live/later yet");
    let _publisher = weir.publish("later", "640x360");
    plays(&page, "640x360", &[]);
    ends(page);
}

#[test]
fn the_watch_page_is_used_by_keyboard() {
    let _alone = browser_to_itself();
    let weir = Weir::start(&["--demo"]);
    let (status, said) = page("keys", weir.http, "/watch/live/demo").end();
    assert_eq!(status.code(), Some(0), "{said:#?}");
    complained(&said, &[]);
    let told: Vec<&str> =
        said.iter().map(String::as_str).filter(|line| !line.starts_with("playing")).collect();
    for line in [
        // Nobody has touched the page yet: it begins without sound, and offers it.
        "begins muted=true unmute=true",
        "Space: paused=true",
        "Space: paused=false",
        "m: muted=false unmute=false",
        "ArrowDown: volume=95",
        "ArrowUp: volume=100",
        "m: muted=true",
        "ArrowUp: muted=false",
        "i: facts=true",
        "i: facts=false",
        "f: full=stage",
        "f: full=",
        // The browser's own keys are left to it.
        "Control+m: ",
        "with sound it goes on: true",
        "controls Pause, Mute, Volume",
    ] {
        assert!(told.iter().any(|said| said.starts_with(line)), "{line:?} in {said:#?}");
    }
    assert!(told.iter().any(|line| line.contains("Size 1280 × 720")), "{said:#?}");
}

#[test]
fn the_front_page_says_what_is_live() {
    let _alone = browser_to_itself();
    let weir = Weir::start(&[]);
    let page = page("front", weir.http, "/");
    let empty = page.wait_for("front Live now Nothing is live");
    assert!(empty.contains(&format!("-f flv rtmp://{}/live/talk", weir.rtmp)), "{empty}");
    let _publisher = weir.publish("seen", "640x360");
    let mut said = page.lines_until("live/seen H.264 · 640 × 360");
    said.extend(page.lines_until("0 viewers · "));
    assert!(!said.last().unwrap().contains("Nothing is live"), "{said:#?}");
    complained(&said, &[]);
    let watch = self::page("watch", weir.http, "/watch/live/seen");
    plays(&watch, "640x360", &[]);
    page.wait_for("1 viewer · ");
    ends(watch);
    ends(page);
}

/// The page reads codecs from init segments itself: it names them as the server does.
#[test]
fn the_page_names_codecs_as_the_server_does() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../media/fuzz/corpus");
    let record = |path: &str| std::fs::read(corpus.join(path)).unwrap();
    let mut command = Command::new(needed("node", "nodejs"));
    command.arg("--no-warnings");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("browser/codecs.mjs"));
    let mut expected = Vec::new();
    let sound = record("aac/lc");
    for (codec, path) in [
        (Codec::Avc, "avc/main"),
        (Codec::Avc, "avc/high_1080"),
        (Codec::Hevc, "hevc/main"),
        (Codec::Hevc, "hevc/main_10"),
        (Codec::Av1, "av1/record"),
        (Codec::Aac, "aac/lc"),
        (Codec::Aac, "aac/sbr_first"),
        (Codec::Opus, "opus/mono"),
        (Codec::Flac, "flac/block"),
    ] {
        let config = record(path);
        let info = Info::from_config(codec, &config).unwrap();
        let first = Description::new(1, codec, Some(&config), None).unwrap();
        let mut told = info.codec_string;
        if let (Some(width), Some(height)) = (info.width, info.height) {
            told += &format!(" {width}x{height}");
        }
        let second = Description::new(2, Codec::Aac, Some(&sound), None).unwrap();
        let mut init = Vec::new();
        init_segment(&[&first, &second], &mut init);
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(path.replace('/', "-") + ".mp4");
        std::fs::write(&file, init).unwrap();
        command.arg(file);
        expected.push(told + " + mp4a.40.2");
    }
    let (status, said) = Program::spawn(command).end();
    assert_eq!((status.code(), said), (Some(0), expected));
}
