//! A web page of another origin plays streams by mpegts.js in Chromium: `play.mjs` drives the browser,
//! `page.html` is the page. Weir's own pages are looked at in `watch.rs`.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../live/support.rs"]
#[allow(dead_code)]
mod live;

mod console;
mod players;
mod watch;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use weir_tests::Program;

/// A page may show so many milliseconds after a picture was made. It begins at a key picture, up to two
/// seconds back, and seeks forward where it is more than one and a half behind.
const LATENCY_MS: i64 = 2500;
/// What mpegts.js says where the first sound is a little later than the first picture.
const AT_THE_START: &str = "[StartupStallJumper] > Playback seems stuck at 0";
/// What mpegts.js says where a stream goes on with another publisher's configurations.
const OF_ANOTHER_PUBLISHER: [&str; 1] = ["Found another onMetaData tag!"];
/// And where the pictures are of another size: some decoders fail, as page.html explains.
const OF_ANOTHER_SIZE: [&str; 5] = [
    "Found another onMetaData tag!",
    "AVCDecoderConfigurationRecord has been changed",
    "video: PipelineStatus::PIPELINE_ERROR_DECODE",
    "Failed to execute 'appendBuffer' on 'SourceBuffer'",
    "[MSEController] > SourceBuffer Error",
];

/// One browser at a time: what they show is judged by how smoothly it runs.
fn browser_to_itself() -> MutexGuard<'static, ()> {
    static BROWSER: Mutex<()> = Mutex::new(());
    // A test that failed says so itself.
    BROWSER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A program that this test needs, or the end of the test.
fn needed(program: &str, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|path| path.exists())
        .unwrap_or_else(|| {
            panic!("{program} is missing; run tests/run, or install the Debian package {package}")
        })
}

/// Opens the page in a browser: what it is to do, and with which stream.
fn page(way: &str, url: &str) -> Program {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser");
    assert!(
        folder.join("node_modules/mpegts.js").exists()
            && folder.join("node_modules/playwright-core").exists(),
        "mpegts.js and playwright-core are missing; run tests/run, or npm ci in tests/browser"
    );
    let mut command = Command::new(needed("node", "nodejs"));
    command.arg(folder.join("play.mjs")).arg(needed("chromium", "chromium")).args([way, url]);
    Program::spawn(command)
}

/// A server and where it is.
struct Weir {
    program: Program,
    rtmp: SocketAddr,
    http: SocketAddr,
}

impl Weir {
    fn start(more: &[&str]) -> Self {
        let anywhere = ["serve", "--rtmp", "127.0.0.1:0", "--http", "127.0.0.1:0", "--loops", "2"];
        let program = Program::start("weir", &[&anywhere, more].concat());
        let rtmp = program.address_in("publish to");
        let http = program.address_in("look at");
        Self { program, rtmp, http }
    }

    fn url(&self, scheme: &str, name: &str) -> String {
        format!("{scheme}://{}/live/{name}.flv", self.http)
    }

    /// Publishes a moving picture of this size by FFmpeg, for half a minute at most.
    fn publish(&self, name: &str, size: &str) -> Program {
        let picture = format!("testsrc=size={size}:rate=25");
        let url = format!("rtmp://{}/live/{name}", self.rtmp);
        let mut command = Command::new(needed("ffmpeg", "ffmpeg"));
        command
            .args(["-hide_banner", "-loglevel", "error", "-re", "-f", "lavfi", "-i", &picture])
            .args(["-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100"])
            .args(["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "25"])
            .args(["-pix_fmt", "yuv420p", "-c:a", "aac", "-t", "30", "-f", "flv", &url]);
        let publisher = Program::spawn(command);
        self.program.wait_for("publish conn=");
        publisher
    }
}

/// A number of a report: `frames=98`.
fn figure(report: &str, name: &str) -> i64 {
    report
        .split(' ')
        .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
        .and_then(|value| value.parse().ok())
        .unwrap_or_else(|| panic!("{name} in {report:?}"))
}

/// Waits until the page has played a picture of this size for three seconds. Nobody may complain but of
/// what is expected.
fn plays(page: &Program, size: &str, expected: &[&str]) -> String {
    let mut said = page.lines_until(&format!("playing size={size} "));
    let report = said.pop().unwrap();
    said.retain(|line| {
        !line.contains(AT_THE_START) && !expected.iter().any(|words| line.contains(words))
    });
    assert_eq!(said, [""; 0], "{report}");
    println!("{report}");
    // Less than three seconds of 25 pictures each: some are decoded and never shown.
    assert!(figure(&report, "frames") >= 60, "{report}");
    assert!(figure(&report, "dropped") * 4 <= figure(&report, "frames"), "{report}");
    report
}

/// Plays the demo until the server drains.
fn demo_plays_by(scheme: &str) {
    let _alone = browser_to_itself();
    let weir = Weir::start(&["--demo"]);
    let page = page("play", &weir.url(scheme, "demo"));
    let report = plays(&page, "1280x720", &[]);
    // The page reads the clock that the picture shows.
    assert!(figure(&report, "clocks") >= 30, "{report}");
    assert!((0..LATENCY_MS).contains(&figure(&report, "latency_ms")), "{report}");
    weir.program.signal("TERM");
    let (status, said) = page.end();
    assert_eq!((status.code(), said.as_slice()), (Some(0), ["complete".to_owned()].as_slice()));
}

#[test]
fn http_flv_plays_in_a_page_from_elsewhere() {
    demo_plays_by("http");
}

#[test]
fn websocket_flv_plays_in_a_page_from_elsewhere() {
    demo_plays_by("ws");
}

/// Kills a publisher while a page plays and starts another one, which publishes pictures of this size.
fn it_goes_on_by(scheme: &str, size: &str, expected: &[&str]) {
    let _alone = browser_to_itself();
    let weir = Weir::start(&[]);
    let first = weir.publish("back", "640x360");
    let page = page("play", &weir.url(scheme, "back"));
    plays(&page, "640x360", &[]);
    first.signal("KILL");
    weir.program.wait_for("publish ended");
    let _second = weir.publish("back", size);
    plays(&page, size, expected);
    if size == "640x360" {
        // The page tells every three seconds; some of the last ones were the first publisher's.
        plays(&page, size, expected);
    }
    page.signal("TERM");
    let (status, said) = page.end();
    assert_eq!(status.code(), Some(0), "{said:#?}");
}

#[test]
fn http_flv_goes_on_when_the_publisher_returns_with_another_size() {
    it_goes_on_by("http", "960x540", &OF_ANOTHER_SIZE);
}

#[test]
fn websocket_flv_goes_on_when_the_publisher_returns() {
    it_goes_on_by("ws", "640x360", &OF_ANOTHER_PUBLISHER);
}

#[test]
fn a_page_may_ask_in_every_way() {
    let _alone = browser_to_itself();
    let weir = Weir::start(&["--demo"]);
    let (status, said) = page("ask", &weir.url("http", "demo")).end();
    let answers = [
        "HEAD 200 video/x-flv 0 bytes",
        "OPTIONS 204",
        "GET 200 video/x-flv FLV",
        // The browser complains of every 404 in its console.
        "complaint: Failed to load resource: the server responded with a status of 404 (Not Found)",
        "nothing 404",
        "complete",
    ];
    assert_eq!((status.code(), said.as_slice()), (Some(0), &answers.map(str::to_owned)[..]));
}

#[test]
fn without_cors_no_page_from_elsewhere_plays() {
    let _alone = browser_to_itself();
    let config = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser-no-cors.toml");
    std::fs::write(&config, "[http]\ncors = \"\"\n").unwrap();
    let weir = Weir::start(&["--demo", "--config", config.to_str().unwrap()]);
    let (status, said) = page("glance", &weir.url("http", "demo")).end();
    assert_eq!(status.code(), Some(1), "{said:#?}");
    let says = |words: &str| assert!(said.iter().any(|line| line.contains(words)), "{said:#?}");
    // The stream is there, for a page that does not want to read it.
    says("glance opaque");
    says("blocked by CORS policy");
    says("failed NetworkError");
}
