//! The console as an operator uses it, in Chromium: `console.mjs` drives the browser.

use std::io::Read;
use std::path::Path;
use std::process::Command;

use weir_tests::{Program, Server};

use super::{browser_to_itself, needed};

/// Opens the console in a browser, and goes one way through it.
fn console(way: &str, server: &Server) -> Program {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser");
    assert!(
        folder.join("node_modules/playwright-core").exists(),
        "playwright-core is missing; run tests/run, or npm ci in tests/browser"
    );
    let url = format!("http://{}/console", server.http);
    let mut command = Command::new(needed("node", "nodejs"));
    command.arg(folder.join("console.mjs")).arg(needed("chromium", "chromium")).args([way, &url]);
    Program::spawn(command)
}

fn went_through(page: Program, expected: &[&str]) {
    let (status, said) = page.end();
    assert_eq!((said, status.code()), (expected.iter().map(|&s| s.to_owned()).collect(), Some(0)));
}

/// Plays the test card until it is ended.
fn player(server: &Server) -> std::thread::JoinHandle<()> {
    let answer = std::net::TcpStream::connect(server.http).and_then(|mut socket| {
        std::io::Write::write_all(&mut socket, b"GET /live/demo.flv HTTP/1.1\r\nHost: h\r\n\r\n")?;
        Ok(socket)
    });
    let mut socket = answer.unwrap();
    std::thread::spawn(move || {
        let mut space = vec![0; 64 * 1024];
        while socket.read(&mut space).is_ok_and(|n| n > 0) {}
    })
}

#[test]
fn the_console_is_operated_by_keyboard() {
    let _alone = browser_to_itself();
    let server = Server::start("", &["--demo"]);
    let player = player(&server);
    let page = console("operate", &server);
    for words in
        ["all is well", "light, dark, and narrow", "found", "rests while hidden", "player ended"]
    {
        assert_eq!(page.lines_until(words), [words]);
    }
    player.join().unwrap();
    went_through(page, &["publisher ended", "remembered", "complete"]);
}

#[test]
fn the_console_shows_who_fetches_segments() {
    let _alone = browser_to_itself();
    let server = Server::start("", &["--demo"]);
    went_through(console("segments", &server), &["counted", "complete"]);
}

#[test]
fn the_console_says_how_to_begin() {
    let _alone = browser_to_itself();
    let server = Server::start("", &[]);
    let page = console("begin", &server);
    let line = page.wait_for("empty ");
    assert_eq!(line, format!("empty rtmp://{}/live/talk", server.rtmp));
    let mut command = Command::new(needed("ffmpeg", "ffmpeg"));
    command.args([
        "-loglevel",
        "error",
        "-re",
        "-f",
        "lavfi",
        "-i",
        "testsrc=size=160x120:rate=25",
    ]);
    command.args(["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency"]);
    command.args([
        "-pix_fmt",
        "yuv420p",
        "-t",
        "30",
        "-f",
        "flv",
        line.trim_start_matches("empty "),
    ]);
    let _publisher = Program::spawn(command);
    went_through(page, &["begun", "complete"]);
}

#[test]
fn the_console_asks_for_the_token_once() {
    let _alone = browser_to_itself();
    let server = Server::start("[api]\ntoken = \"right-and-long-enough\"\n", &["--demo"]);
    let page = console("token", &server);
    let mut said = page.lines_until("known");
    // Browsers complain of each answer that refuses.
    said.retain(|line| !line.contains("status of 401"));
    assert_eq!(said, ["known"]);
    page.wait_for("forgotten");
    page.wait_for("complete");
}

#[test]
fn the_console_outlives_the_server() {
    let _alone = browser_to_itself();
    let server = Server::start("", &["--demo"]);
    let page = console("restart", &server);
    assert_eq!(page.lines_until("there"), ["there"]);
    let (rtmp, http) = (server.rtmp.to_string(), server.http.to_string());
    drop(server);
    page.wait_for("gone");
    let again = Program::start("weir", &["serve", "--demo", "--rtmp", &rtmp, "--http", &http]);
    again.wait_for("look at");
    let said = page.lines_until("back");
    let lost = |line: &&String| !line.contains("Failed to load resource: net::ERR_");
    assert_eq!(said.iter().filter(lost).collect::<Vec<_>>(), ["back"]);
    page.wait_for("complete");
}

#[test]
fn names_are_text_and_nothing_else() {
    let _alone = browser_to_itself();
    let server = Server::start("", &["--demo"]);
    went_through(console("hostile", &server), &["shown as text", "complete"]);
}
