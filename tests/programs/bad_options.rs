//! Options of `weir bench` and `weir plan` that make no sense are refused before anything is called, with
//! the reason and exit status 2.

use crate::bench::{nobody, weir, words};

fn refused(args: &[&str], word: &str) {
    let output = weir(args);
    let said = words(&output);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
    assert!(said.starts_with("error: ") && said.contains(word), "{args:?}: {said}");
}

#[test]
fn numbers_that_a_test_cannot_have() {
    let url = format!("http://{}/live/s.flv", nobody());
    for (option, value, word) in [
        ("--ramp", "1e-300", "from 0.01"),
        ("--ramp", "0", "from 0.01"),
        ("--ramp", "0.001", "from 0.01"),
        ("--probes", "inf", "from 0.01"),
        ("--probes", "nan", "from 0.01"),
        ("--probes", "1e7", "from 0.01"),
        ("--players", "0", "there has to be one"),
        ("--most", "0", "there has to be one"),
        ("--streams", "0", "there has to be one"),
        ("--hold", "0", "no time at all"),
        ("--gop", "0", "no time at all"),
        ("--fps", "0", "1..=1000"),
        ("--threads", "100000", "from 1 to 64"),
        ("--slo", "", "nothing that has to be reached"),
        ("--from", "10.9.9.9", "no address of this machine"),
        ("--from", "127.0.0.1,::1", "IPv6"),
    ] {
        refused(&["bench", &url, option, value], word);
    }
    for (what, option, value, word) in [
        ("http", "--rate", "1000M", "to 1M"),
        ("http", "--rate", "0", "from 0.01"),
        ("http", "--connections", "0", "there has to be one"),
        ("http", "--threads", "65", "from 1 to 64"),
        ("http", "--hold", "0", "no time at all"),
        ("idle", "--ramp", "1e-300", "from 0.01"),
        ("idle", "--connections", "0", "there has to be one"),
        ("held", "--held", "0", "there has to be one"),
    ] {
        refused(&["bench", what, &url, option, value], word);
    }
    refused(&["bench", "idle", &url, "--connections", "10k", "--ramp", "0.1"], "1.2 days");
}

#[test]
fn urls_that_fit_no_test() {
    let nobody = nobody();
    let (http, rtmp) = (format!("http://{nobody}/live/s.flv"), format!("rtmp://{nobody}/live/s"));
    for (args, word) in [
        (&["bench"][..], "--self"),
        (&["bench", "https://127.0.0.1/a.flv"], "TLS"),
        (&["bench", "127.0.0.1"], "scheme"),
        (&["bench", "http://192.0.2.1/a.flv"], "--i-own-this-host"),
        (&["bench", &http, "--streams", "3"], "{i}"),
        (&["bench", &http, "--publish", "1", "--publish-to", &http], "over RTMP"),
        (&["bench", &http, "--publish", "2", "--publish-to", &rtmp, "--streams", "1"], "{i}"),
        (&["bench", "http", &rtmp], "http://"),
        (&["bench", "held", &http], "playlists"),
        (&["bench", "idle", &http.replace("http", "ws")], "http:// and rtmp://"),
    ] {
        refused(args, word);
    }
}

#[test]
fn plans_of_nothing() {
    for (args, word) in [
        (&["--fps", "inf"][..], "from 1 to 1000"),
        (&["--fps", "0"], "from 1 to 1000"),
        (&["--key-ratio", "nan"], "from 1 to 100"),
        (&["--mtu", "40"], "from 576"),
        (&["--gop", "0"], "no time at all"),
        (&["--rtt", "10h"], "longer than 10 s"),
        (&["--share", "0"], "above 0"),
        (&["--cores", "0"], "there has to be one"),
        (&["--streams", "0"], "there has to be one"),
        (&["--audience", "0"], "there has to be one"),
        (&["--behind-proxies", "0"], "there has to be one"),
        (&["--bitrate", "1T", "--audience", "1000"], "does not fit"),
    ] {
        refused(&[&["plan"], args].concat(), word);
    }
}
