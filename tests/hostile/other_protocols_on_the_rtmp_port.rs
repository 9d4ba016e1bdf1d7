//! A browser, or an encoder with the wrong scheme.

use crate::support::Watched;

/// How a ClientHello begins.
const CLIENT_HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

#[test]
fn other_protocols_on_the_rtmp_port() {
    let watched = Watched::start("");
    let get = b"GET /live/demo.flv HTTP/1.1\r\nHost: x\r\n\r\n";
    watched.refuses_protocol("HTTP", get, "peer speaks HTTP");
    watched.refuses_protocol("POST", b"POST / HTTP/1.1\r\n\r\n", "peer speaks HTTP");
    watched.refuses_protocol("TLS", CLIENT_HELLO, "peer speaks TLS");
    watched.refuses_protocol("FLV", b"FLV\x01\x05\0\0\0\x09", "FLV file");
    watched.refuses_protocol("RTMPE", &[6; 2000], "encrypted RTMP");
    watched.refuses_protocol("SSH", b"SSH-2.0-x\r\n", "0x53 where an RTMP handshake");
    watched.is_well();
}
