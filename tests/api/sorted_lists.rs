//! Lists by what an operator looks for first: who is furthest behind, and which streams are worst.

use crate::client::{ask, get, get_until, play, play_on, server_with_a_stream};

#[test]
fn the_slowest_come_first_and_say_why() {
    let server = server_with_a_stream(
        "[play]\nskip_after = \"20s\"\nclose_after = \"30s\"\nunsent_in_kernel = \"4K\"\n",
    );
    let players: Vec<_> = (0..5).map(|_| play_on(&server)).collect();
    let slow = play(&server);
    let address = slow.local_addr().unwrap().to_string();
    let list = get_until(&server, "/api/v1/clients?sort=lag&limit=2", |list| {
        list["clients"][0]["lag_ms"].as_u64() > Some(1000)
    });
    let first = &list["clients"][0];
    assert_eq!(first["address"], *address);
    assert!(first["slow"].as_str().unwrap().contains("behind"), "{first}");
    assert!(first["tcp"]["unsent_bytes"].is_u64(), "{first}");
    assert_eq!((&list["total"], list["clients"].as_array().unwrap().len()), (&7.into(), 2));
    assert!(list["next"].is_null(), "it has no pages");
    let all = get(&server, "/api/v1/clients?sort=lag");
    let rows = all["clients"].as_array().unwrap();
    assert!(rows.iter().map(|row| row["lag_ms"].as_u64()).rev().is_sorted(), "{all}");
    assert!(rows.last().unwrap()["publish"] == true, "who is not behind comes last");
    let rest = get(&server, "/api/v1/clients?sort=lag&start=5");
    assert_eq!(rest["clients"].as_array().unwrap().len(), 2);
    drop(server);
    drop(slow);
    players.into_iter().for_each(|player| player.join().unwrap());
}

#[test]
fn players_are_listed_without_publishers_and_say_what_can_be_said() {
    let server = server_with_a_stream("");
    assert_eq!(ask(&server, "GET", "/live/demo/ts.m3u8").status, 200);
    let slowest = "/api/v1/clients?type=play&sort=lag&limit=1";
    let list = get_until(&server, slowest, |list| list["total"] == 1);
    let viewer = &list["clients"][0];
    assert_eq!((&viewer["protocol"], &viewer["lag_ms"]), (&"hls".into(), &().into()), "{list}");
    assert!(viewer["slow"].as_str().unwrap().contains("fetches segments"), "{list}");
    for order in ["", "&sort=lag"] {
        let list = get(&server, &format!("/api/v1/clients?type=publish{order}"));
        assert_eq!((&list["total"], &list["clients"][0]["publish"]), (&1.into(), &true.into()));
    }
    let list = get(&server, "/api/v1/clients?type=publish&sort=lag");
    assert!(list["clients"][0]["slow"].as_str().unwrap().contains("health"), "{list}");
    let wrong = ask(&server, "GET", "/api/v1/clients?type=rtmp");
    assert_eq!((wrong.status, &wrong.json()["field"]), (400, &"type".into()));
    assert_eq!(ask(&server, "GET", "/api/v1/streams?type=play").status, 400);
}

#[test]
fn the_worst_streams_come_first() {
    let server = server_with_a_stream("[publish]\ngrace = \"30s\"\n");
    get_until(&server, "/api/v1/streams", |list| list["streams"][0]["health"]["state"] == "good");
    let player = play_on(&server);
    get_until(&server, "/api/v1/streams?sort=viewers", |list| {
        list["streams"][0]["viewers"]["total"] == 1
    });
    assert_eq!(ask(&server, "DELETE", "/api/v1/streams/live/demo").status, 200);
    let list = get(&server, "/api/v1/streams?sort=health&limit=1");
    let stream = &list["streams"][0];
    assert_eq!((&list["total"], &list["next"]), (&1.into(), &serde_json::Value::Null));
    assert_eq!(stream["health"]["state"], "away", "{stream}");
    assert!(stream["health"]["why"].as_str().unwrap().contains("gone"), "{stream}");
    drop(server);
    player.join().unwrap();
}

#[test]
fn an_order_that_is_none_is_refused() {
    let server = server_with_a_stream("");
    for (target, field) in [
        ("/api/v1/clients?sort=viewers", "sort"),
        ("/api/v1/streams?sort=lag", "sort"),
        ("/api/v1/streams?sort=", "sort"),
        ("/api/v1/clients?sort=lag&cursor=0-1", "cursor"),
    ] {
        let answer = ask(&server, "GET", target);
        assert_eq!((answer.status, &answer.json()["field"]), (400, &field.into()), "{target}");
    }
    for target in ["/api/v1/clients?sort=id&cursor=0-1", "/api/v1/streams?sort=name"] {
        assert_eq!(ask(&server, "GET", target).status, 200, "{target}");
    }
}
