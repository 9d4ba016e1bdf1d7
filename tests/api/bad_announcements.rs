//! What a node announces is refused where any of it is wrong, and told what.

use serde_json::{Value, json};
use weir_tests::Server;

use crate::client::{get, post};

#[test]
fn each_member_that_is_wrong_is_named() {
    let server = Server::start("[api]\nnode = \"origin\"\n", &[]);
    let good = json!({
        "name": "edge1", "url": "http://e1:8080", "load": 1, "seconds": 3600, "streams": ["a", "b/c"],
    });
    let long = "x".repeat(256);
    for (member, values) in [
        (
            "name",
            vec![
                json!(null),
                json!(7),
                json!(""),
                json!("a b"),
                json!("a/b"),
                json!("x".repeat(65)),
            ],
        ),
        (
            "url",
            vec![
                json!(null),
                json!(""),
                json!("e1:8080"),
                json!("ftp://e1"),
                json!("http://"),
                json!("http://e1/path"),
                json!("http://e1?query"),
                json!("http://user@e1"),
                json!("http://e1:0"),
                json!("http://e1\"><script>"),
                json!(format!("http://{long}{long}")),
            ],
        ),
        ("load", vec![json!(null), json!("0.5"), json!(-0.1), json!(1.01), json!(1e300)]),
        ("seconds", vec![json!(null), json!(0), json!(-1), json!(1.5), json!(3601), json!("30")]),
        (
            "streams",
            vec![
                json!(null),
                json!("a"),
                json!({}),
                json!([1]),
                json!([""]),
                json!(["a", "../b"]),
                json!(["a b"]),
                json!([long]),
                json!([["a"]]),
            ],
        ),
        ("stream", vec![json!([])]),
    ] {
        for value in values {
            let mut body = good.clone();
            body[member] = value;
            wrong(&server, &body.to_string(), 400, member);
        }
    }
    for member in ["name", "url", "load", "streams"] {
        let mut body = good.clone();
        body.as_object_mut().unwrap().remove(member);
        wrong(&server, &body.to_string(), 400, member);
    }
    let deep = "[".repeat(10_000);
    for body in ["", "{", "[]", "null", "7", "{\"name\":\"\u{0}\"}", "name=edge1", &deep] {
        wrong(&server, body, 400, "body");
    }
    for name in ["origin", "ORIGIN"] {
        let mut body = good.clone();
        body["name"] = name.into();
        wrong(&server, &body.to_string(), 409, "name");
    }
    let query = post(&server, "/api/v1/nodes?name=x", "", &good.to_string());
    assert_eq!((query.status, &query.json()["field"]), (400, &"name".into()));
    assert_eq!(get(&server, "/api/v1/nodes")["total"], 0);
    let answer = post(&server, "/api/v1/nodes", "", &good.to_string());
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn wrong(server: &Server, body: &str, status: u16, field: &str) {
    let answer = post(server, "/api/v1/nodes", "", body);
    let error: Value = answer.json();
    assert_eq!((answer.status, &error["field"]), (status, &field.into()), "{body}: {error}");
    assert_eq!(error["code"], status);
    assert!(error["message"].as_str().unwrap().len() > 5, "{error}");
}
