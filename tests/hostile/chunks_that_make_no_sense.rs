//! The framing of messages.

use crate::script::{Script, begun};
use crate::support::Watched;

#[test]
fn chunks_that_make_no_sense() {
    let watched = Watched::start("");
    // One chunk stream each, none of them too long.
    let streams: Vec<u8> =
        (0..=64).flat_map(|id| [0, id, 0, 0, 0, 0, 0, 1, 99, 0, 0, 0, 0, 7]).collect();
    let unfinished = [begun(4, 256), vec![0; 128], begun(4, 256)].concat();
    let cases = [
        ("chunk size 0", Script::new().control(1, &[0; 4]), "chunk size of 0"),
        ("chunk size -2", Script::new().control(1, &[0xff, 0xff, 0xff, 0xfe]), "top bit"),
        ("half a chunk size", Script::new().control(1, &[0, 1]), "SetChunkSize of 2 bytes"),
        ("a long message at once", Script::connected().raw(&begun(4, 0xff_ffff)), "at most 65536"),
        ("65 chunk streams", Script::new().raw(&streams), "more than 64 chunk streams"),
        ("type 3 first", Script::new().raw(&[0xc5, 0, 0]), "before one of type 0"),
        ("a message inside another", Script::new().raw(&unfinished), "inside another one"),
        ("half a user control", Script::new().control(4, &[0]), "user control message of 1 bytes"),
    ];
    for (what, script, words) in cases {
        watched.refuses_protocol(what, &script.bytes, words);
        watched.is_well();
    }
}
