//! Codec configuration records, cut at every byte: no decoder could begin with one.

use crate::script::Script;
use crate::support::Watched;

/// An avcC of libx264 for 1920x1080, up to where its parameter sets end.
const AVC: &str = "\
    01640028ffe1001b67640028acd940780227e5c044000003000400000300f03c60c65801000668eb\
    e3cb22c0";
/// An hvcC of libx265 for 324x182.
const HEVC: &str = "\
    0101600000009000000000003cf000fcfdf8f800000f03a00001001840010c01ffff016000000300\
    90000003000003003c959809a10001002942010101600000030090000003000003003ca00a480b9d\
    d65959a4932bc05a02000007d20000ea6010a2000100074401c172b46240";
/// An AudioSpecificConfig of HE-AAC, with its second sample rate.
const AAC: &str = "2b8a08";

fn bytes(text: &str) -> Vec<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).unwrap() as u8;
    let pair = |pair: &[u8]| digit(&pair[0]) << 4 | digit(&pair[1]);
    text.as_bytes().chunks(2).map(pair).collect()
}

fn is_refused_cut(header: &[u8], record: &str, words: &str) {
    let watched = Watched::start("");
    let record = bytes(record);
    for cut in 1..record.len() {
        let script = Script::publishing(&format!("cut{cut}"));
        let tag = [header, &record[..cut]].concat();
        let script = match header[0] {
            0xaf => script.audio(&tag),
            _ => script.video(&tag),
        };
        watched.refuses_media(&format!("{cut} bytes"), &script.bytes, words);
    }
    watched.is_well();
}

#[test]
fn avc_cut_anywhere() {
    is_refused_cut(&[0x17, 0, 0, 0, 0], AVC, "AVC configuration record ends too early");
}

#[test]
fn hevc_cut_anywhere() {
    is_refused_cut(b"\x90hvc1", HEVC, "HEVC configuration record ends too early");
}

#[test]
fn hevc_of_the_old_number_cut_anywhere() {
    is_refused_cut(&[0x1c, 0, 0, 0, 0], HEVC, "HEVC configuration record ends too early");
}

#[test]
fn aac_cut_anywhere() {
    is_refused_cut(&[0xaf, 0], AAC, "AAC AudioSpecificConfig ends too early");
}
