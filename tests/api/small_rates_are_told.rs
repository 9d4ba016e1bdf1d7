//! The summary's traffic in Gbit/s is told to the bit: one stream is some thousandths of it.

use crate::client::{get_until, play_on, server_with_a_stream};

#[test]
fn with_more_than_three_decimals() {
    let server = server_with_a_stream("");
    let player = play_on(&server);
    get_until(&server, "/api/v1/summary", |summary| {
        let thousandths = summary["gbit_out"].as_f64().unwrap() * 1000.0;
        (thousandths - thousandths.round()).abs() > 1e-5
    });
    drop(server);
    player.join().unwrap();
}
