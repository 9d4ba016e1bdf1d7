//! `weir serve` as it is started and stopped by hand.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use weir_tests::Program;

fn start(options: &[&str]) -> Program {
    let ports = ["serve", "--rtmp", "127.0.0.1:0", "--http", "127.0.0.1:0"];
    Program::start("weir", &[&ports[..], options].concat())
}

#[test]
fn it_serves_curl_and_drains_on_sigterm() {
    let server = start(&["--loops", "2"]);
    let address = server.address_in("look at");
    for (path, word) in [("/", "weir"), ("/healthz", "ok")] {
        let output = Command::new("curl")
            .args(["-sS", "--fail", "--max-time", "5", &format!("http://{address}{path}")])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains(word), "{text}");
    }
    // A client that says nothing must not hold up the end.
    let mut silent = TcpStream::connect(address).unwrap();
    silent.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut some = [0; 15];
    silent.read_exact(&mut some).unwrap();
    server.signal("TERM");
    let mut rest = Vec::new();
    silent.read_to_end(&mut rest).unwrap();
    drop(silent);
    let (status, said) = server.end();
    assert_eq!(status.code(), Some(0), "{said:#?}");
    assert!(said.iter().any(|line| line.contains("draining")), "{said:#?}");
}

#[test]
fn a_second_signal_does_not_wait() {
    let server = start(&["--drain", "60"]);
    let address = server.address_in("look at");
    let mut busy = TcpStream::connect(address).unwrap();
    busy.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut some = [0; 15];
    busy.read_exact(&mut some).unwrap();
    server.signal("INT");
    server.wait_for("draining");
    server.signal("INT");
    let (status, said) = server.end();
    assert_eq!(status.code(), Some(0), "{said:#?}");
}

#[test]
fn pages_are_for_browsers_and_names_for_those_who_may_know() {
    let server = start(&["--demo", "--loops", "1"]);
    let address = server.address_in("look at");
    server.wait_for("watch it at http://127.0.0.1:");
    let ask = |path: &str, header: &str| {
        let url = format!("http://{address}{path}");
        let ask = ["-sSi", "--max-time", "5", "-H", header, &url];
        let output = Command::new("curl").args(ask).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let page = ask("/", "Accept: text/html,application/xml;q=0.9");
    assert!(page.contains("<!doctype html>") && page.contains("script-src 'self'"), "{page}");
    assert!(ask("/", "Accept: */*").contains("up_seconds: "));
    assert!(ask("/status", "Accept: text/html").contains("up_seconds: "));
    let tag = page.lines().find_map(|line| line.strip_prefix("ETag: ")).unwrap();
    let again = Command::new("curl")
        .args(["-sSi", "-H", "Accept: text/html", "-H", &format!("If-None-Match: {tag}")])
        .arg(format!("http://{address}/"))
        .output()
        .unwrap();
    assert!(again.stdout.starts_with(b"HTTP/1.1 304 "), "{again:?}");
    assert!(ask("/watch/live/demo", "A: b").contains("/web/watch.js"));
    assert!(ask("/watch/live/a%20b", "A: b").starts_with("HTTP/1.1 404 "));
    assert!(ask("/watch/live/%2e%2e/x", "A: b").starts_with("HTTP/1.1 404 "));
    // The demo is told of about once a second.
    let mut told = String::new();
    for _ in 0..50 {
        told = ask("/live.json", "A: b");
        if told.contains("live/demo") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(told.contains(r#""name":"live/demo""#), "{told}");
    // Somebody else, behind a proxy: names are not told, how to publish is.
    let other = ask("/live.json", "X-Forwarded-For: 192.0.2.1");
    assert!(other.contains(r#""streams":null"#) && other.contains(r#""rtmp_port":"#), "{other}");
}

#[test]
fn publishers_are_told_where_they_get_in() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = |end: &str, text: &str| {
        let name = format!("weir-publishers-{}.{end}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let pem = file("pem", &(made.cert.pem() + &made.signing_key.serialize_pem()));
    let console = |config: &str, words: &str| {
        let config = file("toml", &format!("[http]\nlisten = \"127.0.0.1:0\"\n{config}"));
        let server = Program::start("weir", &["serve", "--config", &config, "--loops", "1"]);
        let line = server.wait_for(words);
        let url = format!("http://{}/console", server.address_in("operate at"));
        let page = Command::new("curl").args(["-sS", "--max-time", "20", &url]).output().unwrap();
        std::fs::remove_file(config).unwrap();
        (line, String::from_utf8(page.stdout).unwrap())
    };
    let tls = format!(
        "[rtmp]\nlisten = \"\"\ntls_listen = \"127.0.0.1:0\"\n\
         [tls]\ncertificate = \"{pem}\"\nkey = \"{pem}\"\n"
    );
    let (line, page) = console(&tls, "publish to");
    let (_, rest) = line.split_once("publish to  rtmps://127.0.0.1:").unwrap();
    let (port, _) = rest.split_once("/live/NAME").unwrap();
    assert!(page.contains(&format!("data-publish=\"rtmps:{port}\"")), "{page}");
    let (_, page) = console("[rtmp]\nlisten = \"\"\n", "nobody can publish");
    assert!(page.contains("data-publish=\"\""), "{page}");
    std::fs::remove_file(pem).unwrap();
}
