//! A player that does not read: how far it is behind, and why, before it is skipped or closed.

use crate::client::{get, get_until, play, server_with_a_stream};

#[test]
fn it_does_not_read() {
    let server = server_with_a_stream(
        "[play]\nskip_after = \"20s\"\nclose_after = \"30s\"\nunsent_in_kernel = \"4K\"\n",
    );
    let player = play(&server);
    // Its own receive buffer takes a while to fill.
    let address = player.local_addr().unwrap().to_string();
    let list = get(&server, "/api/v1/clients?protocol=http-flv");
    let id = list["clients"][0]["id"].as_str().unwrap();
    assert_eq!(list["clients"][0]["address"], *address);
    let target = format!("/api/v1/clients/{id}");
    let told = get_until(&server, &target, |told| {
        told["client"]["lag_ms"].as_u64() > Some(1000)
            && told["client"]["slow"].as_str().unwrap().contains("it does not read")
    });
    let client = &told["client"];
    assert!(client["lag_bytes"].as_u64() > Some(10_000), "{told}");
    assert!(client["tcp"]["unsent_bytes"].as_u64() > Some(0), "{told}");
    assert_eq!(client["tcp"]["in_flight_bytes"], 0, "{told}");
    drop(player);
}
