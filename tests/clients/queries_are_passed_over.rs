//! What follows a question mark is not part of a name, and does not hinder a second stream.

use weir_tests::Server;

use crate::support::{pictures, publish, tracks};

#[test]
fn queries_are_passed_over() {
    let server = Server::start("", &[]);
    let _first = publish(&server, "one", &[pictures("160x120")]);
    let _second = publish(&server, "two?key=secret&more=1", &[pictures("192x144")]);
    assert_eq!(tracks(&server.rtmp_url("two")), ["h264 192x144"]);
    assert_eq!(tracks(&format!("{}?token=1", server.http_url("two"))), ["h264 192x144"]);
    assert_eq!(tracks(&server.rtmp_url("one?token=1")), ["h264 160x120"]);
}
