//! Values inside commands: their depth, their number, their length, their type.

use crate::script::Script;
use crate::support::Watched;

#[test]
fn amf_that_is_too_much() {
    let watched = Watched::start("");
    let name = [&[2, 0, 1, b'x'][..]].concat();
    let arrays = [0x0a, 0, 0, 0, 1].repeat(1000);
    let objects = b"\x03\0\x01a".repeat(1000);
    let many = [&name[..], &[0x0a, 0xff, 0xff, 0xff, 0xff], &[5; 60_000]].concat();
    let data = [&name[..], &arrays].concat();
    let metadata = media::protocol::rtmp::chunk::Header {
        chunk_stream: 4,
        kind: 18,
        message_stream: 1,
        time: 0,
    };
    let command = |payload: &[u8]| Script::new().raw_command(payload);
    let cases = [
        ("deep arrays", command(&arrays), "nested deeper"),
        ("deep objects", command(&objects), "nested deeper"),
        ("deep arguments", command(&[&name[..], &objects].concat()), "nested deeper"),
        ("many values", command(&many), "values"),
        ("a huge string", command(b"\x0c\xff\xff\xff\xff"), "a string of 4294967295 bytes"),
        ("a cut string", command(b"\x02\x00\x05ab"), "ends inside a string"),
        ("no such type", command(b"\x02\x00\x01x\x42"), "type 0x42"),
        ("no name", command(&[5, 5]), "does not begin with its name"),
    ];
    for (what, script, words) in cases {
        watched.refuses_protocol(what, &script.bytes, words);
        watched.is_well();
    }
    let script = Script::publishing("deep").message(metadata, &data);
    watched.refuses_protocol("deep metadata", &script.bytes, "nested deeper");
    watched.is_well();
}
