//! A node tells another one what is live there.

use std::net::SocketAddr;
use std::time::Duration;

use weir_tests::Server;

use crate::client::{ask, get_until};

const TOKEN: &str = "0123456789abcdef-secret";
const LOOKUP: &str = "/api/v1/stream/?streamname=demo&edgename=edge240";

fn origin() -> Server {
    let config =
        format!("[api]\nnode = \"origin\"\ntoken = \"{TOKEN}\"\nread_from = \"loopback\"\n");
    Server::start(&config, &[])
}

fn edge(origin: SocketAddr, token: &str) -> Server {
    let config = format!(
        "[api]\nnode = \"edge240\"\nplay_url = \"https://edge240.example.org\"\n\
         announce_to = [\"http://{origin}\"]\nannounce_token = \"{token}\"\n\
         [publish]\ngrace = \"0s\"\n"
    );
    Server::start(&config, &["--demo"])
}

#[test]
fn its_stream_is_found_and_is_gone_when_it_ends() {
    let origin = origin();
    assert_eq!(ask(&origin, "GET", LOOKUP).status, 404);
    let edge = edge(origin.http, TOKEN);
    let found = get_until(&origin, LOOKUP, |found| found["code"] == 0);
    assert_eq!((&found["stream"]["live"], &found["stream"]["app"]), (&true.into(), &"live".into()));
    assert_eq!(found["edge"]["name"], "edge240");
    assert_eq!(found["edge"]["url"], "https://edge240.example.org");
    assert!((0.0..=1.0).contains(&found["edge"]["load"].as_f64().unwrap()), "{found}");
    let node = get_until(&origin, "/api/v1/nodes/edge240", |_| true)["node"].clone();
    assert_eq!(node["streams"], 1);
    assert!((10.0..=30.0).contains(&node["seconds"].as_f64().unwrap()), "{node}");
    let config = ask(&edge, "GET", "/api/v1/config");
    assert!(!config.text().contains(TOKEN), "{}", config.text());
    assert_eq!(config.json()["config"]["api"]["announce_to"][0], format!("http://{}", origin.http));
    assert_eq!(ask(&edge, "DELETE", "/api/v1/streams/live/demo").status, 200);
    get_until(&origin, "/api/v1/nodes/edge240", |node| node["node"]["streams"] == 0);
    get_until(&edge, "/api/v1/streams", |list| list["total"] == 0);
    let until = std::time::Instant::now() + weir_tests::PATIENCE;
    while ask(&origin, "GET", LOOKUP).status != 404 {
        assert!(std::time::Instant::now() < until, "it is found still");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn where_it_is_not_heard_it_says_so_once() {
    let origin = origin();
    let edge = edge(origin.http, "another-token-of-somebody");
    let line = edge.program.wait_for("this node is not announced");
    assert!(line.contains("401") && !line.contains("another-token"), "{line}");
    assert_eq!(ask(&edge, "DELETE", "/api/v1/streams/live/demo").status, 200);
    let refused = || {
        let metrics = ask(&origin, "GET", "/metrics").text();
        let refused = "weir_api_refused_total{reason=\"unauthorized\"} ";
        let line = metrics.lines().find_map(|line| line.strip_prefix(refused));
        line.unwrap_or_else(|| panic!("{metrics}")).parse::<u32>().unwrap()
    };
    let until = std::time::Instant::now() + weir_tests::PATIENCE;
    while refused() < 2 {
        assert!(std::time::Instant::now() < until, "{} times", refused());
        std::thread::sleep(Duration::from_millis(20));
    }
    // What it had to say of that is said by now.
    std::thread::sleep(Duration::from_millis(200));
    edge.program.signal("TERM");
    let said = edge.program.lines_until("draining");
    let again = said.iter().filter(|line| line.contains("not announced")).count();
    assert_eq!(again, 0, "{said:#?}");
}
