//! `weir top` at a terminal, in a pipe, and where the server is not there or refuses.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use weir_tests::{PATIENCE, Program, Server, built};

const TOKEN: &str = "a-token-that-is-long-enough";

fn top(args: &[&str]) -> (bool, String) {
    let output =
        Command::new(built("weir")).arg("top").args(args).env_remove("WEIR_TOKEN").output();
    let output = output.unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

/// A shell command at a terminal of its own, 30 lines of 120 columns.
struct Terminal {
    child: Child,
    shown: Receiver<Vec<u8>>,
    text: String,
}

impl Terminal {
    fn start(command: &str) -> Self {
        let script = format!("stty rows 30 cols 120 echo; {command}; echo status $?; stty -a");
        let mut child = Command::new("script")
            .args(["-q", "-f", "-E", "never", "-c", &script, "/dev/null"])
            .env("SHELL", "/bin/sh")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = child.stdout.take().unwrap();
        let (tell, shown) = channel();
        std::thread::spawn(move || {
            let mut space = [0; 4096];
            while let Ok(n) = output.read(&mut space) {
                if n == 0 || tell.send(space[..n].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { child, shown, text: String::new() }
    }

    /// Reads until it shows these words, and forgets what was before.
    fn until(&mut self, words: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.text.find(words) {
                self.text.drain(..at + words.len());
                return;
            }
            let left = until.saturating_duration_since(Instant::now());
            match self.shown.recv_timeout(left) {
                Ok(bytes) => self.text.push_str(&String::from_utf8_lossy(&bytes)),
                Err(why) => panic!("waited for {words:?}, {why}; it shows {:?}", self.text),
            }
        }
    }

    fn press(&mut self, keys: &str) {
        self.child.stdin.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    /// It has left, with this status, and the terminal is as it was.
    fn has_left(mut self, status: &str) {
        self.until("\x1b[?7h\x1b[?25h\x1b[?1049l");
        self.until(&format!("status {status}"));
        self.until("susp = ^Z");
        self.until(" icanon");
        self.until(" echo ");
        self.child.wait().unwrap();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn in_a_pipe_it_prints_once() {
    let server = Server::start("", &["--demo"]);
    let url = format!("http://{}", server.http);
    let until = Instant::now() + PATIENCE;
    let words = [
        "up ",
        "out ",
        "loop 0",
        "loop 1",
        "✔ live/demo",
        "H264 1280x720",
        "nobody plays",
        "EVENTS",
    ];
    loop {
        // The address alone will do.
        let (good, text) = top(&[url.trim_start_matches("http://")]);
        assert!(good, "{text}");
        assert!(!text.contains('\x1b'), "no commands for a terminal: {text:?}");
        let is_told = text.contains("live/demo is published by demo");
        if is_told && words.iter().all(|words| text.contains(words)) {
            break;
        }
        assert!(Instant::now() < until, "{text}");
    }
}

#[test]
fn where_nothing_is_published_it_says_how() {
    let server = Server::start("", &[]);
    let (good, text) = top(&[&format!("http://{}", server.http)]);
    let to = format!("rtmp://{}/live/talk", server.rtmp);
    assert!(good && text.contains(&format!("ffmpeg -re -i FILE -c copy -f flv {to}")), "{text}");
    assert!(text.contains("OBS: "), "{text}");
}

#[test]
fn at_a_terminal_it_goes_on_until_q() {
    let server = Server::start("[publish]\ngrace = \"30s\"\n", &["--demo"]);
    let weir = built("weir");
    let mut terminal =
        Terminal::start(&format!("{} top http://{} --every 100ms", weir.display(), server.http));
    terminal.until("\x1b[?1049h");
    terminal.until("live/demo");
    terminal.until("nobody plays");
    // What happens is there with the next look.
    let mut player = std::net::TcpStream::connect(server.http).unwrap();
    player.write_all(b"GET /live/demo.flv HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    let address = player.local_addr().unwrap().to_string();
    terminal.until("SLOWEST PLAYERS");
    terminal.until(&address);
    terminal.until(&format!("{address} plays live/demo by http-flv"));
    let kicked = server.answer(
        "DELETE /api/v1/streams/live/demo HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
    );
    assert!(kicked.starts_with("HTTP/1.1 200"), "{kicked}");
    terminal.until("live/demo is away: its publisher is gone");
    terminal.press("x");
    terminal.until("its publisher ended");
    terminal.press("q");
    terminal.has_left("0");
}

#[test]
fn ctrl_c_leaves_too() {
    let server = Server::start("", &["--demo"]);
    let weir = built("weir");
    let mut terminal =
        Terminal::start(&format!("trap : INT; {} top {}", weir.display(), server.http));
    terminal.until("live/demo");
    terminal.press("\x03");
    terminal.has_left("0");
}

#[test]
fn it_outlives_the_server() {
    let server = Server::start("", &["--demo"]);
    let (rtmp, http) = (server.rtmp.to_string(), server.http.to_string());
    let weir = built("weir");
    let mut terminal = Terminal::start(&format!("{} top {http} --every 100ms", weir.display()));
    terminal.until("all is well");
    drop(server);
    terminal.until("not answered: ");
    let _again = Program::start("weir", &["serve", "--demo", "--rtmp", &rtmp, "--http", &http]);
    terminal.until("all is well");
    terminal.press("q");
    terminal.has_left("0");
}

#[test]
fn a_server_that_refuses_says_what_to_do() {
    let server = Server::start(&format!("[api]\ntoken = \"{TOKEN}\"\n"), &["--demo"]);
    let url = format!("http://{}", server.http);
    let (good, text) = top(&[&url]);
    assert!(!good && text.contains("wants its token: give it with --token"), "{text}");
    let (good, text) = top(&[&url, "--token", "wrong"]);
    assert!(!good && text.contains("refuses the token: the token is wrong"), "{text}");
    let (good, text) = top(&[&url, "--token", TOKEN]);
    assert!(good && text.contains("live/demo"), "{text}");
}

#[test]
fn what_is_no_server_is_said_so() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap().to_string();
    drop(nobody);
    let (good, text) = top(&[&address]);
    assert!(!good && text.contains(&address) && text.contains("does weir serve run?"), "{text}");
    let (good, text) = top(&["ftp://127.0.0.1"]);
    assert!(!good && text.contains("write it like http://127.0.0.1:8080"), "{text}");
    let (good, text) = top(&["http://127.0.0.1:8080/api/v1"]);
    assert!(!good && text.contains("leave /api/v1 out"), "{text}");
    let (good, text) = top(&["--every", "1ms"]);
    assert!(!good && text.contains("at least 100ms apart"), "{text}");
}
