//! What a test or a plan came to is not lost, whatever becomes of the files and pipes it is written to.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use serde_json::Value;
use weir_tests::built;

use crate::bench::{nobody, peer, weir, words};

/// A run that is over at once: nobody is there.
fn failed_run(more: &[&str]) -> std::process::Output {
    let url = format!("http://{}/live/s.flv", nobody());
    weir(&[&["bench", &url, "--players", "2", "--ramp", "100"], more].concat())
}

#[test]
fn a_file_that_cannot_be_opened_is_said_before_the_test() {
    let (tell, called) = std::sync::mpsc::sync_channel(1);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || listener.incoming().for_each(|_| tell.try_send(()).unwrap_or(())));
    let (page, request) = (format!("http://{address}/live/s.flv"), format!("http://{address}/"));
    for args in [
        &["bench", &page, "--json", "/nonexistent/a.json"][..],
        &["bench", &page, "--html", "/nonexistent/a.html"],
        &["bench", "http", &request, "--json", "/nonexistent/a.json"],
        &["bench", "idle", &request, "--json", "/nonexistent/a.json"],
        &["bench", &page, "--json", "-", "--html", "-"],
    ] {
        let output = weir(args);
        let said = words(&output);
        assert!(!output.status.success(), "{args:?}: {said}");
        assert!(said.contains("cannot write /nonexistent/a.") || said.contains("both"), "{said}");
    }
    assert!(called.try_recv().is_err(), "nobody is called");
}

#[test]
fn where_one_file_fails_the_others_are_written() {
    let json = std::env::temp_dir().join(format!("weir-report-{}.json", std::process::id()));
    // What was there before is longer and has to go.
    std::fs::write(&json, vec![b'x'; 100_000]).unwrap();
    let output = failed_run(&["--html", "/dev/full", "--json", json.to_str().unwrap()]);
    let said = words(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("2 failed") && said.contains("cannot write /dev/full"), "{said}");
    let report: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    std::fs::remove_file(&json).unwrap();
    assert_eq!(report["result"]["players"]["failed"], 2);
}

#[test]
fn a_page_can_be_stdout() {
    let output = failed_run(&["--html", "-"]);
    let page = String::from_utf8(output.stdout).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"), "{page}");
}

#[test]
fn stdout_that_is_closed_or_full_is_no_panic() {
    let answers = peer(|mut client| {
        while matches!(client.read(&mut [0; 1000]), Ok(1..)) {
            let _ = client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let url = format!("http://{answers}/");
    for args in [
        &["plan"][..],
        &["plan", "--json"],
        &["bench", "idle", &url, "--connections", "1", "--hold", "100ms"],
        &["bench", "http", &url, "--connections", "1", "--settle", "0", "--hold", "100ms"],
    ] {
        let mut command = Command::new(built("weir"));
        command.args(args).stderr(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", words(&output));
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = command.stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {}", words(&output));
        assert!(words(&output).contains("No space left"), "{}", words(&output));
    }
}
