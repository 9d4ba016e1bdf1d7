//! The list of other nodes, and one of them.

use weir_tests::Server;

use crate::client::{ask, get, get_until, post};

#[test]
fn nodes_are_listed_in_the_order_of_their_names_page_by_page() {
    let server = Server::start("", &[]);
    for name in ["c", "A", "b", "d"] {
        let body = format!(
            r#"{{"name":"{name}","url":"http://{name}:8080","load":0.25,"streams":["x","y"]}}"#
        );
        let answer = post(&server, "/api/v1/nodes", "", &body);
        assert_eq!(answer.json()["noted"], name, "{}", answer.text());
    }
    // Other loops hear it a moment later.
    for _ in 0..8 {
        get_until(&server, "/api/v1/nodes", |list| list["total"] == 4);
    }
    let mut names = Vec::new();
    let mut target = "/api/v1/nodes?limit=3".to_owned();
    loop {
        let page = get(&server, &target);
        assert_eq!(page["total"], 4);
        let rows = page["nodes"].as_array().unwrap();
        names.extend(rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        target = format!("/api/v1/nodes?limit=3&cursor={next}");
    }
    assert_eq!(names, ["A", "b", "c", "d"]);
    let row = &get(&server, "/api/v1/nodes?start=1&limit=1&pretty")["nodes"][0];
    let expected = (&"http://b:8080".into(), &0.25.into(), &2.into());
    assert_eq!((&row["url"], &row["load"], &row["streams"]), expected, "{row}");
    let left = row["seconds"].as_f64().unwrap();
    assert!((1.0..=30.0).contains(&left), "{row}");
    assert_eq!(get(&server, "/api/v1/nodes/B")["node"]["name"], "b");
    for (target, status, field) in [
        ("/api/v1/nodes/x", 404, "node"),
        ("/api/v1/nodes/a%20b", 400, "node"),
        ("/api/v1/nodes?cursor=a%20b", 400, "cursor"),
        ("/api/v1/nodes?limit=0", 400, "limit"),
        ("/api/v1/nodes?app=live", 400, "app"),
    ] {
        let answer = ask(&server, "GET", target);
        let told = (answer.status, answer.json()["field"].clone());
        assert_eq!(told, (status, field.into()), "{target}: {}", answer.text());
    }
}
