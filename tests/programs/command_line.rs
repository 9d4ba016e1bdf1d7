//! What the command line says to those who ask, and to those who err.

use std::process::Command;

use weir_tests::built;

fn weir(args: &[&str]) -> (bool, String) {
    let output = Command::new(built("weir")).args(args).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[test]
fn help_teaches_and_version_tells() {
    let (good, text) = weir(&["--help"]);
    assert!(good);
    for word in ["live streaming server", "serve", "Examples:", "WEIR_LOG"] {
        assert!(text.contains(word), "{word} in {text}");
    }
    let (good, text) = weir(&["serve", "--help"]);
    assert!(good && text.contains("--http") && text.contains("--loops"), "{text}");
    assert_eq!(weir(&["--version"]), (true, format!("weir {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn a_wrong_option_fails_and_says_which() {
    for (args, word) in [
        (&["serve", "--htp", ":80"][..], "--htp"),
        (&["serve", "--http", "nonsense"], "the port is missing"),
        (&["serve", "--loops", "0"], "0 is not in 1..=1024"),
        (&["srve"], "srve"),
        (&[], "Usage"),
    ] {
        let (good, text) = weir(args);
        assert!(!good && text.contains(word), "{args:?}: {text}");
    }
}

#[test]
fn a_taken_port_fails_and_says_which() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (good, text) = weir(&["serve", "--rtmp", "127.0.0.1:0", "--http", &address]);
    assert!(!good);
    assert!(text.contains(&address) && text.contains("another process listens there"), "{text}");
}
