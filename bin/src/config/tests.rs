//! Good files read as what they say; of bad ones each fault is said with line and key.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use super::*;
use proptest::prelude::*;

fn good(text: &str) -> Config {
    Config::parse(text, "weir.toml").unwrap_or_else(|error| panic!("{text}\n{error}"))
}

fn bad(text: &str) -> String {
    match Config::parse(text, "weir.toml") {
        Ok(config) => panic!("{text}\nreads as {config:?}"),
        Err(error) => error.to_string(),
    }
}

/// The printed file with every key that is commented out taken in: those lines have no space after
/// the `#`.
fn uncommented() -> String {
    let lines = DEFAULT_FILE.lines().map(|line| match line.strip_prefix('#') {
        Some(key) if !key.is_empty() && !key.starts_with(' ') => key,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_printed_file_is_the_defaults_with_and_without_its_comments() {
    assert_eq!(good(""), Config::default());
    assert_eq!(good(DEFAULT_FILE), Config::default());
    assert_eq!(good(&uncommented()), Config::default());
}

#[test]
fn the_printed_file_has_and_explains_every_key() {
    // Keys that exist are those the reader lists for a wrong one.
    let mut keys = 0;
    for section in
        ["server", "rtmp", "http", "api", "tls", "publish", "play", "hls", "log", "limits"]
    {
        let error = bad(&format!("[{section}]\nbananas = 1"));
        let list = error.split(&format!("expected a key of [{section}]: ")).nth(1).unwrap();
        let text = uncommented();
        let printed = text.split(&format!("\n[{section}]\n")).nth(1).unwrap();
        let printed: Vec<&str> = printed.split("\n[").next().unwrap().lines().collect();
        for key in list.split(", ") {
            let begin = format!("{key} = ");
            let at: Vec<usize> =
                (0..printed.len()).filter(|at| printed[*at].starts_with(&begin)).collect();
            assert_eq!(at.len(), 1, "{section}.{key}");
            assert!(printed[at[0] - 1].starts_with("# "), "{section}.{key} is not explained");
            keys += 1;
        }
    }
    assert_eq!(uncommented().lines().filter(|line| line.contains(" = ")).count(), keys);
    assert!(DEFAULT_FILE.lines().all(|line| line.len() <= 88), "a long line");
}

#[test]
fn every_value_is_read() {
    let config = good(
        r#"
        [server]
        loops = 0x10
        pin = true
        drain = "1h"
        [rtmp]
        listen = "127.0.0.1:1936"
        tls_listen = "[::1]:443"
        handshake_within = "1500ms"
        [http]
        listen = "unix:/run/weir.sock"
        tls_listen = ":8443"
        cors = "https://example.org:8080"
        [api]
        token = "0123456789abcdef"
        read_from = "private"
        cors = "*"
        node = "edge-1"
        play_url = "https://a.example.org:8443"
        announce_to = ["http://o.example.org:8080", "https://[::1]"]
        announce_token = "fedcba9876543210"
        [tls]
        certificate = "π.pem"
        key = '/etc/weir/key.pem'
        [publish]
        grace = "0s"
        second = "take over"
        silent_after = "1m"
        close_silent_after = "24h"
        first_time = "26h"
        [play]
        latency_budget = "2s"
        gather = "fixed"
        wait_for_publisher = "10m"
        skip_after = "2001ms"
        skip_bytes = "1G"
        close_after = "1h"
        unsent_in_kernel = "4K"
        [hls]
        segment = "4s"
        longest_segment = "20s"
        part = "1s"
        window = "1h"
        segments = "ts"
        low_latency = false
        viewer_leaves_after = "1m"
        [log]
        bytes = "16G"
        [limits]
        connections = 1_000
        connections_per_address = 10
        streams = 1
        "#,
    );
    let wanted = Config {
        server: Server { loops: 16, pin: true, drain: Duration::from_secs(3600) },
        rtmp: Rtmp {
            listen: Some("127.0.0.1:1936".parse().unwrap()),
            tls_listen: Some("[::1]:443".parse().unwrap()),
            handshake_within: Duration::from_millis(1500),
        },
        http: Http {
            listen: Some("unix:/run/weir.sock".parse().unwrap()),
            tls_listen: Some(":8443".parse().unwrap()),
            cors: Some("https://example.org:8080".to_owned()),
        },
        api: Api {
            token: Some("0123456789abcdef".to_owned()),
            read_from: ReadFrom::Private,
            cors: Some("*".to_owned()),
            node: Some("edge-1".to_owned()),
            play_url: Some("https://a.example.org:8443".to_owned()),
            announce_to: ["http://o.example.org:8080", "https://[::1]"].map(str::to_owned).into(),
            announce_token: Some("fedcba9876543210".to_owned()),
        },
        tls: Tls { certificate: Some("π.pem".into()), key: Some("/etc/weir/key.pem".into()) },
        publish: Publish {
            grace: Duration::ZERO,
            second: SecondPublisher::TakeOver,
            silent_after: Duration::from_secs(60),
            close_silent_after: Duration::from_secs(86_400),
            first_time: Duration::from_secs(93_600),
        },
        play: Play {
            latency_budget: Duration::from_secs(2),
            gather: Gather::Fixed,
            wait_for_publisher: Duration::from_secs(600),
            skip_after: Duration::from_millis(2001),
            skip_bytes: 1 << 30,
            close_after: Duration::from_secs(3600),
            unsent_in_kernel: 4096,
        },
        hls: Hls {
            segment: Duration::from_secs(4),
            longest_segment: Duration::from_secs(20),
            part: Duration::from_secs(1),
            window: Duration::from_secs(3600),
            segments: HlsSegments::Ts,
            low_latency: false,
            viewer_leaves_after: Duration::from_secs(60),
        },
        log: Log { bytes: 16 << 30 },
        limits: Limits { connections: 1000, connections_per_address: 10, streams: 1 },
    };
    assert_eq!(config, wanted);
}

fn shown_everywhere(config: &Config) -> [String; 3] {
    let line = CommandLine::default();
    [format!("{config:?}"), config.shown(line, false), config.shown(line, true)]
}

#[test]
fn every_key_of_the_file_is_shown_with_its_value() {
    let shown: serde_json::Value =
        serde_json::from_str(&Config::default().shown(CommandLine::default(), false)).unwrap();
    let (mut section, mut seen) = ("", 0);
    for line in DEFAULT_FILE.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
        } else if let Some((key, value)) = line.strip_prefix('#').and_then(|l| l.split_once(" = "))
            && !key.starts_with(' ')
        {
            // All addresses are told as the kernel has them.
            let value = value.replace("\":", "\"[::]:");
            assert_eq!(shown[section][key].to_string(), value, "{section}.{key}");
            seen += 1;
        }
    }
    let mut sections: Vec<_> = shown.as_object().unwrap().values().collect();
    let all: usize = sections.iter().map(|section| section.as_object().unwrap().len()).sum();
    // What the command line says is no key of the file.
    assert_eq!((seen, sections.len()), (all - 2, 11));
    sections.retain(|section| section.get("demo").is_some());
    assert_eq!(sections, [&serde_json::json!({ "config": "", "demo": false })]);
    let line = CommandLine { config: Some(std::path::Path::new("a/weir.toml")), demo: true };
    let shown = Config::default().shown(line, false);
    assert!(shown.contains(r#""command_line":{"config":"a/weir.toml","demo":true}"#), "{shown}");
}

#[test]
fn a_token_is_long_and_is_shown_nowhere() {
    assert!(bad("[api]\ntoken = \"short\"").contains("expected 16 to 256 letters"));
    assert!(bad("[api]\ntoken = \"with a space in it\"").contains("api.token"));
    let config = good("[api]\ntoken = \"0123456789abcdef\"");
    for text in shown_everywhere(&config) {
        assert!(!text.contains("0123456789abcdef") && text.contains("hidden"), "{text}");
    }
    let config = good("[api]\nannounce_token = \"0123456789abcdef\"");
    for text in shown_everywhere(&config) {
        assert!(!text.contains("0123456789abcdef") && text.contains("hidden"), "{text}");
    }
    let alone = bad("[api]\nannounce_to = [\"http://a\"]");
    assert!(alone.contains("2: api.announce_to: ") && alone.contains("api.play_url"), "{alone}");
    for wrong in
        ["[7]", "[\"a\"]", "[\"http://a/b\"]", "[\"http://a:0\"]", "\"http://a\"", "[\"\"]"]
    {
        let error = bad(&format!("[api]\nplay_url = \"http://h\"\nannounce_to = {wrong}"));
        assert!(error.contains("3: api.announce_to: found "), "{error}");
    }
    for (wrong, why) in [
        ("\"http://user:pw@b\"", "\"...@b\" is not a URL: "),
        ("\"http://b/c\"", "\"http://b/c\" has more than a scheme, a host and a port"),
        ("7", "it is the number 7"),
    ] {
        let list = format!("[\"http://a\", {wrong}]");
        let error = bad(&format!("[api]\nplay_url = \"http://h\"\nannounce_to = {list}"));
        assert!(error.contains(&format!("; of entry 2: {why}")), "{error}");
        assert!(!error.contains("pw"), "{error}");
    }
    assert!(bad("[api]\ncors = \"*\"").contains("without api.token"));
    assert!(bad("[api]\nplay_url = \"*\"").contains("api.play_url"));
    assert!(bad("[api]\nnode = \"a/b\"").contains("api.node"));
}

#[test]
fn an_empty_text_turns_off_and_other_spellings_of_toml_are_read() {
    let config = good("http = { listen = '', cors = '' }\nserver.pin = true\r\n");
    assert_eq!((config.http.listen, config.http.cors), (None, None));
    assert!(config.server.pin);
    assert!(good("\u{feff}[server]\npin = true").server.pin, "with a byte order mark");
}

#[test]
fn a_wrong_value_is_said_with_line_key_found_and_expected() {
    for (section, line, words) in [
        ("server", "loops = -1", "found the number -1, expected a whole number from 0 to 1024"),
        ("server", "loops = 1025", "found the number 1025, expected a whole number"),
        ("server", "loops = 99999999999999999999999999", "found the number 99999999"),
        ("server", "loops = 1.5", "found the number 1.5, expected a whole number"),
        ("server", "loops = '4'", "found \"4\", expected a whole number"),
        ("server", "pin = 'yes'", "found \"yes\", expected true or false"),
        ("server", "pin = 1979-05-27", "found the date 1979-05-27, expected true or false"),
        ("server", "drain = 10", "found the number 10, expected a duration such as"),
        (
            "server",
            "drain = 10",
            "the unit is missing, write it in quotes like the default \"10s\"",
        ),
        ("server", "drain = 1.5", "found the number 1.5, expected a duration"),
        ("server", "drain = '10'", "found \"10\", expected a duration such as"),
        ("server", "drain = '10'", "the unit is missing: ms, s, m, h"),
        ("server", "drain = '-10s'", "it is negative"),
        ("server", "drain = '25h'", "found \"25h\", expected \"0s\" to \"24h\""),
        ("server", "drain = '99999999999999999999s'", "it is too large"),
        ("server", "drain = ['1s']", "found a list, expected a duration"),
        ("server", "drain = { s = 1 }", "found a table, expected a duration"),
        ("server", "drain = \"a\\nb\"", r#"found "a\nb", expected a duration"#),
        ("server", "drain = 'шесть секунд'", "found \"шесть секунд\", expected a duration"),
        ("rtmp", "listen = 1935", "expected an address in quotes"),
        ("rtmp", "listen = 1935", "for this port of all addresses write \":1935\""),
        ("rtmp", "listen = 70000", "or unix:PATH), or \"\" for none"),
        ("rtmp", "listen = '1935'", "found \"1935\", expected an address in quotes"),
        ("rtmp", "listen = '1935'", "or \"\" for none: the port is missing"),
        ("rtmp", "listen = ':65536'", "the port is not a number up to 65535"),
        ("rtmp", "listen = 'localhost:1935'", "one listens on no name"),
        ("rtmp", "handshake_within = '0s'", "expected \"100ms\" to \"10m\""),
        ("http", "cors = 'https://example.org/'", "one origin without a path"),
        ("http", "cors = \"*\\r\\nSet-Cookie: a\"", "expected \"*\""),
        ("http", "cors = 'https://a.org https://b.org'", "expected \"*\""),
        ("http", "cors = true", "found true, expected \"*\""),
        ("tls", "key = 5", "expected the path of a file"),
        ("tls", "key = \"a\\u0000b\"", "expected the path of a file"),
        ("publish", "second = 'takeover'", "expected \"refuse\" or \"take over\"; did you mean"),
        (
            "publish",
            "second = 'bananas'",
            "found \"bananas\", expected \"refuse\" or \"take over\"",
        ),
        ("publish", "second = true", "found true, expected \"refuse\""),
        ("play", "gather = 'Fixed'", "did you mean \"fixed\"?"),
        ("play", "latency_budget = '2001ms'", "expected \"0s\" to \"2s\""),
        ("play", "latency_budget = 100", "like the default \"100ms\""),
        ("play", "skip_bytes = 8388608", "write it in quotes like the default \"8M\""),
        ("play", "skip_bytes = '8MB'", "after the number comes one unit: K, M, G"),
        ("play", "skip_bytes = '2G'", "found \"2G\", expected \"64K\" to \"1G\""),
        ("log", "bytes = '0M'", "found \"0M\", expected \"1M\" to \"16G\""),
        ("log", "bytes = '999999999999999G'", "it is too large"),
        ("limits", "streams = 0", "expected a whole number from 1 to 10000000"),
    ] {
        let error = bad(&format!("# A comment.\n[{section}]\n\n{line}\n"));
        let key = line.split(' ').next().unwrap();
        let begin = format!("weir.toml:4: {section}.{key}: found ");
        assert!(error.starts_with(&begin) && error.contains(words), "{line}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn what_nobody_knows_is_refused_and_the_nearest_is_named() {
    for (text, whole) in [
        (
            "[server]\nlops = 1",
            "weir.toml:2: server.lops: unknown key, did you mean loops? \
             expected a key of [server]: loops, pin, drain",
        ),
        (
            "[server]\nbananas = 1",
            "weir.toml:2: server.bananas: unknown key, \
             expected a key of [server]: loops, pin, drain",
        ),
        (
            "[server]\nskip_after = '1s'",
            "weir.toml:2: server.skip_after: unknown key here, it is one of [play]; \
             expected a key of [server]: loops, pin, drain",
        ),
        (
            "\n[sever]\npin = true",
            "weir.toml:2: sever: unknown section, did you mean [server]? expected one of the \
             sections server, rtmp, http, api, tls, publish, play, hls, log, limits",
        ),
        ("pin = true", "weir.toml:1: pin: found outside of a section, expected below [server]"),
        (
            "listen = ':80'",
            "weir.toml:1: listen: found outside of a section, expected below [rtmp] or [http]",
        ),
        (
            "bananas = true",
            "weir.toml:1: bananas: unknown key, expected one of the sections server, rtmp, http, api, \
             tls, publish, play, hls, log, limits",
        ),
        ("log = '32M'", "weir.toml:1: log: found \"32M\", expected a section: [log]"),
        ("[[log]]\nbytes = '32M'", "weir.toml:1: log: found a list, expected a section: [log]"),
        (
            "[log.bytes]\nmost = 1",
            "weir.toml:1: log.bytes: found a table, expected a size such as \"64K\", \"32M\" or \"1G\"",
        ),
        (
            "[log]\n\"bÿtes\\n\" = 1",
            "weir.toml:2: log.\"bÿtes\\n\": unknown key, did you mean bytes? \
             expected a key of [log]: bytes",
        ),
    ] {
        assert_eq!(bad(text), whole, "{text}");
    }
}

#[test]
fn what_is_no_toml_is_said_with_its_line_and_key() {
    for (text, begin, words) in [
        ("[server]\ndrain = 10s", "weir.toml:2: server.drain: found 10s, ", "expected \"10s\""),
        ("[http]\nlisten = :80", "weir.toml:2: http.listen: found :80, ", "expected \":80\""),
        ("[server]\nloops = 007", "weir.toml:2: server.loops: found \"007\", ", "leading zero"),
        ("[server]\ndrain =", "weir.toml:2: server.drain: found nothing", "expected a value"),
        ("[server]\npin = True", "weir.toml:2: server.pin: found True, ", "expected true"),
        ("[server]\ndrain = \"10s", "weir.toml:2: server.drain: found ", "\""),
        ("[server]\ndrain", "weir.toml:2: in [server]: found ", "="),
        ("[server", "weir.toml:1: server: found ", "]"),
        ("[", "weir.toml:1: a section without a name: found ", ""),
        ("[server]\npin = true\npin = true", "weir.toml:3: server.pin: found ", "a second time"),
        ("[log]\n[server]\n[log]", "weir.toml:3: log: found ", "a second time"),
        ("[play]\ngather = fixed # to be even", "weir.toml:2: play.gather: found ", "in quotes"),
        ("привет", "weir.toml:1: before the first section: found ", ""),
        ("{\"server\": {}}", "weir.toml:1: ", ""),
        ("server:\n  loops: 4\n", "weir.toml:1: ", ""),
    ] {
        let error = bad(text);
        assert!(error.starts_with(begin) && error.contains(words), "{text}\n{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn all_faults_are_said_in_the_order_of_the_file() {
    let error = bad("[play]\nskip_after = 3\nbananas = 1\n[sever]\n[log]\nbytes = 'many'\n");
    let lines: Vec<&str> = error.lines().collect();
    let begins = ["2: play.skip_after", "3: play.bananas", "4: sever", "6: log.bytes"];
    assert_eq!(lines.len(), begins.len(), "{error}");
    for (line, begin) in lines.iter().zip(begins) {
        assert!(line.starts_with(&format!("weir.toml:{begin}: ")), "{error}");
    }
    let many: String = (0..30).map(|n| format!("key{n} = {n}\n")).collect();
    let error = bad(&many);
    assert_eq!(error.lines().count(), 21);
    assert!(error.ends_with("weir.toml: and 10 more"), "{error}");
}

#[test]
fn settings_that_do_not_go_together_are_refused() {
    for (text, whole) in [
        (
            "[rtmp]\ntls_listen = ':1936'",
            "weir.toml:2: rtmp.tls_listen: found \"[::]:1936\", \
             expected tls.certificate and tls.key with it",
        ),
        (
            "[tls]\ncertificate = 'a.pem'",
            "weir.toml:2: tls.key (at its default): found none, expected the private key of tls.certificate",
        ),
        (
            "[tls]\nkey = 'a.pem'",
            "weir.toml:2: tls.certificate (at its default): found none, expected the certificate of tls.key",
        ),
        (
            "[rtmp]\nlisten = ''\n[http]\nlisten = ''",
            "weir.toml:2: rtmp.listen: found nothing that listens, \
             expected an address of RTMP or HTTP",
        ),
        (
            "[rtmp]\nlisten = ':8080'",
            "weir.toml:2: http.listen (at its default): found \"[::]:8080\", \
             expected another address than rtmp.listen",
        ),
        (
            "[play]\nskip_after = '15s'",
            "weir.toml:2: play.skip_after: found \"15s\", \
             expected less than play.close_after, which is \"15s\"",
        ),
        (
            "[play]\nclose_after = '2s'",
            "weir.toml:2: play.skip_after (at its default): found \"3s\", \
             expected less than play.close_after, which is \"2s\"",
        ),
        (
            "[play]\nskip_after = '1s'\nlatency_budget = '2s'",
            "weir.toml:3: play.latency_budget: found \"2s\", \
             expected less than play.skip_after, which is \"1s\"",
        ),
        (
            "[log]\nbytes = '4M'",
            "weir.toml:2: play.skip_bytes (at its default): found \"8M\", \
             expected at most log.bytes, which is \"4M\"",
        ),
        (
            "[publish]\nclose_silent_after = '4s'",
            "weir.toml:2: publish.silent_after (at its default): found \"5s\", \
             expected at most publish.close_silent_after, which is \"4s\"",
        ),
        (
            "[limits]\nconnections = 5\nconnections_per_address = 6",
            "weir.toml:3: limits.connections_per_address: found 6, \
             expected at most limits.connections, which is 5",
        ),
    ] {
        assert_eq!(bad(text), whole, "{text}");
    }
    let any_ports = good("[rtmp]\nlisten = '127.0.0.1:0'\n[http]\nlisten = '127.0.0.1:0'");
    assert_eq!(any_ports.check("options"), Ok(()));
}

#[test]
fn a_changed_config_is_checked_again() {
    let mut config = Config::default();
    config.play.close_after = Duration::from_secs(1);
    let error = config.check("weir.toml with options").unwrap_err().to_string();
    assert_eq!(
        error,
        "weir.toml with options: play.skip_after: found \"3s\", \
         expected less than play.close_after, which is \"1s\""
    );
}

#[test]
fn a_name_of_several_lines_makes_no_second_line() {
    let error = Config::parse("[a]", "bob's\nweir.toml").unwrap_err().to_string();
    assert!(error.starts_with("bob's weir.toml:1: a: unknown section"), "{error}");
}

#[test]
fn no_cut_breaks_it() {
    let text = uncommented();
    for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
        if let Err(error) = Config::parse(&text[..end], "weir.toml") {
            let line = 1 + text[..end].matches('\n').count();
            let error = error.to_string();
            assert!(error.starts_with(&format!("weir.toml:{line}: ")), "cut at {end}: {error}");
        }
    }
}

proptest! {
    #[test]
    fn no_text_breaks_it(text in "([\\[\\]\\{\\}\"'=.,#\n \\\\a-z0-9_é]|server|play|drain){0,64}") {
        if let Err(error) = Config::parse(&text, "weir.toml") {
            for line in error.to_string().split('\n') {
                prop_assert!(line.starts_with("weir.toml:"), "{}", line);
                prop_assert!(!line.contains(char::is_control), "{:?}", line);
            }
        }
    }

    #[test]
    fn no_value_breaks_it(value in "\\PC{0,24}") {
        for key in ["server.loops", "server.drain", "rtmp.listen", "http.cors", "log.bytes"] {
            let _ = Config::parse(&format!("{key} = {value}"), "weir.toml");
            let _ = Config::parse(&format!("{key} = '{value}'"), "weir.toml");
        }
    }
}
