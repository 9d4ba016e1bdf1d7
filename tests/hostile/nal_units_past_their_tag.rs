//! Lengths inside a frame, and tags that end inside their header.

use crate::script::Script;
use crate::support::Watched;

/// An avcC of the Baseline profile for 1920x1080, without a picture parameter set.
const AVC: &[u8] = &[
    0x17, 0, 0, 0, 0, 0x01, 0x64, 0x00, 0x28, 0xff, 0xe1, 0x00, 0x1b, 0x67, 0x64, 0x00, 0x28, 0xac,
    0xd9, 0x40, 0x78, 0x02, 0x27, 0xe5, 0xc0, 0x44, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03,
    0x00, 0xf0, 0x3c, 0x60, 0xc6, 0x58, 0x01, 0x00, 0x06, 0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0,
];

#[test]
fn nal_units_past_their_tag() {
    let watched = Watched::start("");
    let key = |nals: &[u8]| {
        let tag = [&[0x17, 1, 0, 0, 0][..], nals].concat();
        Script::publishing("nal").video(AVC).video(&tag).bytes
    };
    let past = "AVC";
    watched.refuses_media("one byte past", &key(&[0, 0, 0, 3, 0x65, 1]), past);
    watched.refuses_media("4 GiB past", &key(&[0xff, 0xff, 0xff, 0xff, 0x65, 1]), past);
    watched.refuses_media("the second", &key(&[0, 0, 0, 1, 0x65, 0, 0, 0, 2, 0x65]), past);
    watched.refuses_media("half a length", &key(&[0, 0, 0, 1, 0x65, 0, 0]), past);
    let tags = [
        ("no packet type", &[0x17][..], "ends inside its packet type"),
        ("no composition time", &[0x17, 1, 0, 0], "ends inside its"),
        ("half a FourCC", b"\x91hv", "ends inside its FourCC"),
        ("no such codec", b"\x91abcd", "of codec"),
    ];
    for (what, tag, words) in tags {
        let script = Script::publishing("nal").video(tag);
        watched.refuses_media(what, &script.bytes, words);
    }
    watched.is_well();
}
