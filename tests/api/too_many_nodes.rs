//! How much is known of other nodes is bounded.

use serde_json::json;
use weir_tests::Server;

use crate::client::{Answer, get, get_until, post};

fn note(server: &Server, name: &str, streams: &[String]) -> Answer {
    let body = json!({ "name": name, "url": "http://e", "load": 0, "streams": streams });
    post(server, "/api/v1/nodes", "", &body.to_string())
}

#[test]
fn so_many_streams_and_bytes_of_one() {
    let server = Server::start("", &[]);
    let names: Vec<String> = (0..10_001).map(|number| format!("live/stream{number}")).collect();
    let many = note(&server, "e", &names);
    assert_eq!((many.status, &many.json()["field"]), (400, &"streams".into()));
    let answer = note(&server, "e", &names[1..]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let list = get_until(&server, "/api/v1/nodes", |list| list["total"] == 1);
    assert_eq!(list["nodes"][0]["streams"], 10_000);
    let long: Vec<String> = names[1..].iter().map(|name| format!("{name:x<60}")).collect();
    let large = note(&server, "e", &long);
    assert_eq!((large.status, &large.json()["field"]), (413, &"body".into()));
}

#[test]
fn so_many_nodes() {
    let server = Server::start("", &[]);
    for number in 0..1000 {
        let body = json!({
            "name": format!("e{number}"), "url": "http://e", "load": 0, "seconds": 600,
            "streams": [],
        });
        let answer = post(&server, "/api/v1/nodes", "", &body.to_string());
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let full = note(&server, "another", &[]);
    assert_eq!((full.status, full.json()["field"].clone()), (503, ().into()), "{}", full.text());
    assert!(full.text().contains("too many nodes"), "{}", full.text());
    assert_eq!(note(&server, "E7", &["s".to_owned()]).status, 200, "one that is known");
    get_until(&server, "/api/v1/nodes", |list| list["total"] == 1000);
    let found = get_until(&server, "/api/v1/stream/?streamname=s", |found| found["code"] == 0);
    assert_eq!(found["edge"]["name"], "E7");
    assert_eq!(get(&server, "/api/v1/nodes?limit=1")["nodes"].as_array().unwrap().len(), 1);
}
