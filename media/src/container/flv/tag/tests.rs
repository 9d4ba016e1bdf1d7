//! Bodies made by hand, to the letter of the documents.
#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;

fn parsed(track: Track, body: &[u8]) -> Parsed {
    parse(Bytes::copy_from_slice(body), track, 1000).unwrap()
}

fn frame(track: Track, body: &[u8]) -> Frame {
    let parsed = parsed(track, body);
    assert_eq!(parsed.other_tracks, 0);
    parsed.frame.unwrap()
}

/// Codec, kind, microseconds after a second of decoding and of showing, payload.
fn video(body: &[u8]) -> (Codec, FrameKind, i64, i64, Vec<u8>) {
    seen(&frame(Track::Video, body))
}

fn audio(body: &[u8]) -> (Codec, FrameKind, i64, i64, Vec<u8>) {
    seen(&frame(Track::Audio, body))
}

fn seen(frame: &Frame) -> (Codec, FrameKind, i64, i64, Vec<u8>) {
    let second = Time::from_millis(1000);
    let Frame { codec, kind, dts, pts, payload, .. } = frame;
    (*codec, *kind, dts.since(second), pts.since(second), payload.to_vec())
}

use FrameKind::{Config, Delta, Disposable, End, Key};

#[test]
fn classic_pictures() {
    assert_eq!(video(&[0x17, 0, 0, 0, 0, 1, 77]), (Codec::Avc, Config, 0, 0, vec![1, 77]));
    assert_eq!(video(&[0x17, 1, 0, 0, 80, 9]), (Codec::Avc, Key, 0, 80_000, vec![9]));
    assert_eq!(video(&[0x27, 1, 0xff, 0xff, 0xf0, 9]), (Codec::Avc, Delta, 0, -16_000, vec![9]));
    assert_eq!(video(&[0x37, 1, 0, 0, 0, 9]), (Codec::Avc, Disposable, 0, 0, vec![9]));
    assert_eq!(video(&[0x47, 1, 0, 0, 0, 9]).1, Key);
    assert_eq!(video(&[0x17, 2, 0, 0, 0]), (Codec::Avc, End, 0, 0, vec![]));
    // A configuration is not shown, so its composition time says nothing.
    assert_eq!(video(&[0x17, 0, 0, 0, 9, 1]), (Codec::Avc, Config, 0, 0, vec![1]));
    assert_eq!(video(&[0x1c, 0, 0, 0, 0, 1]), (Codec::Hevc, Config, 0, 0, vec![1]));
    assert_eq!(video(&[0x2c, 1, 0, 0, 1, 9]), (Codec::Hevc, Delta, 0, 1000, vec![9]));
    assert_eq!(video(&[0x32, 7, 8]), (Codec::OtherVideo(2), Disposable, 0, 0, vec![7, 8]));
}

#[test]
fn classic_sound() {
    assert_eq!(audio(&[0xaf, 0, 0x12, 0x10]), (Codec::Aac, Config, 0, 0, vec![0x12, 0x10]));
    assert_eq!(audio(&[0xae, 1, 7]), (Codec::Aac, Key, 0, 0, vec![7]));
    assert_eq!(audio(&[0x2f, 7]), (Codec::Mp3, Key, 0, 0, vec![7]));
    assert_eq!(audio(&[0xe2, 7]).0, Codec::Mp3);
    assert_eq!(audio(&[0x72, 7]).0, Codec::G711A);
    assert_eq!(audio(&[0x82, 7]).0, Codec::G711U);
    assert_eq!(audio(&[0xb6, 7]), (Codec::OtherAudio(0xb6), Key, 0, 0, vec![7]));
}

#[test]
fn bodies_without_a_frame() {
    for body in [
        &[][..],
        &[0x17, 1, 0, 0, 0],
        &[0x17, 0, 0, 0, 0],
        &[0x17, 3, 0, 0, 0, 9],
        &[0x57, 0],
        &[0x12],
        // Enhanced: a command, a reserved packet type, a frame of no bytes, no track at all.
        &[0xd1, b'h', b'v', b'c', b'1', 0],
        &[0x98, b'h', b'v', b'c', b'1', 0],
        &[0x93, b'h', b'v', b'c', b'1'],
        &[0x96, 0x13, b'h', b'v', b'c', b'1'],
    ] {
        assert_eq!(parsed(Track::Video, body), Parsed::default(), "{body:02x?}");
    }
    for body in [
        &[][..],
        &[0xaf, 0],
        &[0xaf, 1],
        &[0xaf, 5, 1],
        &[0x2f],
        &[0x94, b'O', b'p', b'u', b's', 1],
    ] {
        assert_eq!(parsed(Track::Audio, body), Parsed::default(), "{body:02x?}");
    }
}

fn enhanced(first: u8, letters: &[u8; 4], rest: &[u8]) -> Vec<u8> {
    [&[first], &letters[..], rest].concat()
}

#[test]
fn enhanced_pictures() {
    let of = |first, letters, rest: &[u8]| video(&enhanced(first, letters, rest));
    assert_eq!(of(0x90, b"hvc1", &[1, 2]), (Codec::Hevc, Config, 0, 0, vec![1, 2]));
    assert_eq!(of(0x91, b"hvc1", &[0, 0, 40, 2]), (Codec::Hevc, Key, 0, 40_000, vec![2]));
    assert_eq!(of(0xa1, b"avc1", &[255, 255, 255, 2]), (Codec::Avc, Delta, 0, -1000, vec![2]));
    assert_eq!(of(0xa3, b"hvc1", &[2]), (Codec::Hevc, Delta, 0, 0, vec![2]));
    assert_eq!(
        of(0xb1, b"av01", &[0, 0, 40, 2]),
        (Codec::Av1, Disposable, 0, 0, vec![0, 0, 40, 2])
    );
    assert_eq!(of(0x91, b"vp09", &[2]), (Codec::Vp9, Key, 0, 0, vec![2]));
    assert_eq!(of(0x91, b"vp08", &[2]), (Codec::Vp8, Key, 0, 0, vec![2]));
    assert_eq!(of(0x92, b"hvc1", &[]), (Codec::Hevc, End, 0, 0, vec![]));
    // An AV1 descriptor of MPEG-2 TS becomes the record without its OBUs.
    let record = [0x81, 0x0d, 0x0c, 0x80];
    assert_eq!(
        of(0x95, b"av01", &[0x80, 4, 0x81, 0x0d, 0x0c, 0x80]),
        (Codec::Av1, Config, 0, 0, record.to_vec())
    );
    assert!(crate::codec::av1::Config::parse(&record).is_ok());
    // Colours come as a script message, even with the frame type of commands.
    let metadata = frame(Track::Video, &enhanced(0x94, b"hvc1", b"\x02\0\x0aonMetaData\x05"));
    assert_eq!((metadata.track, metadata.kind), (Track::Data, Config));
    let colours = b"\x02\0\x09colorInfo\x05";
    for first in [0x94, 0xd4] {
        let frame = frame(Track::Video, &enhanced(first, b"hvc1", colours));
        assert_eq!((frame.track, frame.codec, frame.kind), (Track::Data, Codec::Amf0, Key));
        assert_eq!(&frame.payload[..], colours);
    }
}

#[test]
fn enhanced_sound() {
    let of = |first, letters, rest: &[u8]| audio(&enhanced(first, letters, rest));
    for (letters, codec) in [
        (b"mp4a", Codec::Aac),
        (b"Opus", Codec::Opus),
        (b"ac-3", Codec::Ac3),
        (b"ec-3", Codec::Eac3),
        (b"fLaC", Codec::Flac),
        (b".mp3", Codec::Mp3),
    ] {
        assert_eq!(of(0x90, letters, &[1]), (codec, Config, 0, 0, vec![1]));
        assert_eq!(of(0x91, letters, &[0, 0, 7]), (codec, Key, 0, 0, vec![0, 0, 7]));
        assert_eq!(of(0x92, letters, &[]), (codec, End, 0, 0, vec![]));
    }
}

#[test]
fn nanoseconds_are_added_and_unknown_extensions_passed_over() {
    // 500,999 ns; then an extension of type 5 and 2 bytes; then coded frames.
    let body = [0x97, 2, 0x07, 0xa5, 0x07, 0x07, 1, 9, 9, 0x51];
    let body = [&body[..], b"hvc1", &[0, 0, 1, 5]].concat();
    assert_eq!(video(&body), (Codec::Hevc, Key, 500, 1500, vec![5]));
    // The long form of the size.
    let body = [&[0x97, 255, 1, 0][..], &[1; 257], &[0x01], b"Opus", &[7]].concat();
    assert_eq!(audio(&body), (Codec::Opus, Key, 65, 65, vec![7]));
    // Fewer than three bytes are no time.
    let body = [&[0x97, 0, 9, 0x01][..], b"Opus", &[7]].concat();
    assert_eq!(audio(&body), (Codec::Opus, Key, 0, 0, vec![7]));
    let many = [&[0x97][..], &[0, 9, 0x07].repeat(FLV_MOD_EX - 1), &[0, 9, 0x01]].concat();
    assert!(parse([&many[..], b"Opus1"].concat().into(), Track::Audio, 0).is_ok());
    let endless = [&[0x97][..], &[0, 9, 0x07].repeat(FLV_MOD_EX + 1)].concat();
    assert_eq!(
        parse(endless.into(), Track::Audio, 0).unwrap_err().to_string(),
        "sender's audio tag has more than 16 extensions"
    );
}

#[test]
fn the_first_track_is_taken_and_others_counted() {
    let one = |number| [&[0x96, 0x01][..], b"hvc1", &[number, 0, 0, 2, 8]].concat();
    assert_eq!(video(&one(0)), (Codec::Hevc, Key, 0, 2000, vec![8]));
    assert_eq!(parsed(Track::Video, &one(1)), Parsed { frame: None, other_tracks: 1 });

    let many =
        [&[0x95, 0x11][..], b"Opus", &[1, 0, 0, 1, 7, 0, 0, 0, 2, 8, 8, 2, 0, 0, 0]].concat();
    let parsed_many = parsed(Track::Audio, &many);
    assert_eq!(parsed_many.other_tracks, 2);
    assert_eq!(seen(&parsed_many.frame.unwrap()), (Codec::Opus, Key, 0, 0, vec![8, 8]));

    // Others may be of a codec nobody knows.
    let mixed =
        [&[0x95, 0x20][..], b"????", &[1, 0, 0, 1, 7], b"mp4a", &[0, 0, 0, 2, 8, 8]].concat();
    let parsed_mixed = parsed(Track::Audio, &mixed);
    assert_eq!(parsed_mixed.other_tracks, 1);
    assert_eq!(seen(&parsed_mixed.frame.unwrap()), (Codec::Aac, Config, 0, 0, vec![8, 8]));
}

#[test]
fn script_messages() {
    let plain = b"\x02\0\x0aonMetaData\x08\0\0\0\0\0\0\x09";
    let sent = [SET_DATA_FRAME, plain].concat();
    let sent_twice = [SET_DATA_FRAME, &sent].concat();
    for body in [&plain[..], &sent, &sent_twice] {
        let frame = frame(Track::Data, body);
        assert_eq!((frame.codec, frame.kind), (Codec::Amf0, Config));
        assert_eq!(&frame.payload[..], plain);
    }
    assert_eq!(frame(Track::Data, b"\x02\0\x0aonCuePoint\x05").kind, Key);
}

#[test]
fn what_is_wrong_is_said() {
    let error =
        |track, body: &[u8]| parse(Bytes::copy_from_slice(body), track, 0).unwrap_err().to_string();
    assert_eq!(error(Track::Video, &[0x17]), "sender's video tag ends inside its packet type");
    assert_eq!(
        error(Track::Video, &[0x17, 1, 0, 0]),
        "sender's video tag ends inside its composition time"
    );
    assert_eq!(error(Track::Audio, &[0xaf]), "sender's audio tag ends inside its packet type");
    assert_eq!(error(Track::Audio, b"\x91Opu"), "sender's audio tag ends inside its FourCC");
    assert_eq!(
        error(Track::Audio, b"\x91Opu\xff"),
        "sender's audio tag is of codec \"Opu\\xff\", expected mp4a, Opus, ac-3, ec-3, fLaC or .mp3"
    );
    // A codec of pictures is none of sound.
    assert!(error(Track::Audio, b"\x91hvc1").contains("of codec \"hvc1\""));
    assert_eq!(
        error(Track::Video, b"\x96\x31"),
        "sender's video tag has multitrack type 3, expected 0 to 2"
    );
    assert_eq!(
        error(Track::Video, b"\x96\x11hvc1\0\xff\xff\xff."),
        "sender's video tag ends inside its track"
    );
    assert!(error(Track::Video, b"\x95hvc1\x80\x04....").contains("MPEG-2 TS"));
    assert_eq!(
        error(Track::Video, b"\x97\xff\xff\xff."),
        "sender's video tag ends inside its extension"
    );
}

#[test]
fn headers_of_sound_say_what_its_bytes_say() {
    let first = |codec, payload: &'static [u8]| {
        let payload = Bytes::from_static(payload);
        let (dts, pts) = (Time(0), Time(0));
        let frame = Frame { track: Track::Audio, codec, kind: Key, dts, pts, payload };
        Header::of(&frame).unwrap().as_slice().to_vec()
    };
    assert_eq!(first(Codec::Mp3, &[0xff, 0xfb, 0x90, 0x44]), [0x2f]);
    assert_eq!(first(Codec::Mp3, &[0xff, 0xf3, 0x70, 0xc0]), [0x2a]);
    assert_eq!(first(Codec::Mp3, &[0xff, 0xe3, 0x70, 0xc0]), [0x26]);
    assert_eq!(first(Codec::Mp3, &[0xff, 0xe3, 0x78, 0xc0]), [0xe2]);
    assert_eq!(first(Codec::Mp3, b"?"), [0x2f]);
    assert_eq!(first(Codec::G711A, b"?"), [0x72]);
    assert_eq!(first(Codec::Opus, b"?"), *b"\x91Opus");
}

#[test]
fn what_classic_sound_cannot_say_has_no_header() {
    let of = |codec, kind| {
        let (dts, pts, payload) = (Time(0), Time(0), Bytes::from_static(b"?"));
        Header::of(&Frame { track: Track::Audio, codec, kind, dts, pts, payload })
    };
    for codec in [Codec::Mp3, Codec::G711A, Codec::G711U, Codec::OtherAudio(0xb6)] {
        assert!(of(codec, Key).is_some());
        assert_eq!((of(codec, Config), of(codec, End)), (None, None), "{codec:?}");
    }
    assert!(of(Codec::Aac, Config).is_some() && of(Codec::Aac, End).is_none());
    assert!(of(Codec::Opus, Config).is_some() && of(Codec::Opus, End).is_some());
}

/// Frames as parsers make them, on whole milliseconds.
pub(in super::super) fn frames() -> impl Strategy<Value = Frame> {
    let codecs = vec![
        (Track::Video, Codec::Avc),
        (Track::Video, Codec::Hevc),
        (Track::Video, Codec::Av1),
        (Track::Video, Codec::Vp9),
        (Track::Video, Codec::Vp8),
        (Track::Video, Codec::OtherVideo(4)),
        (Track::Audio, Codec::Aac),
        (Track::Audio, Codec::Mp3),
        (Track::Audio, Codec::Opus),
        (Track::Audio, Codec::Ac3),
        (Track::Audio, Codec::Eac3),
        (Track::Audio, Codec::Flac),
        (Track::Audio, Codec::G711A),
        (Track::Audio, Codec::G711U),
        (Track::Audio, Codec::OtherAudio(0xb6)),
        (Track::Data, Codec::Amf0),
    ];
    let kinds = vec![Config, Key, Delta, Disposable, End];
    (
        prop::sample::select(codecs),
        prop::sample::select(kinds),
        0..4_000_000_i64,
        -0x80_0000..0x80_0000_i64,
        prop::collection::vec(any::<u8>(), 1..40),
    )
        .prop_map(|((track, codec), kind, time, composition, payload)| {
            let composed = matches!(codec, Codec::Avc | Codec::Hevc);
            let without_config =
                matches!(codec, Codec::Mp3 | Codec::G711A | Codec::G711U | Codec::OtherAudio(_));
            let kind = match (track, kind) {
                (Track::Audio, End) if without_config || codec == Codec::Aac => Key,
                (Track::Audio, Config) if without_config => Key,
                (Track::Audio, Delta | Disposable) => Key,
                (Track::Video, Config | End) if codec == Codec::OtherVideo(4) => Delta,
                (Track::Data, _) => Key,
                (_, kind) => kind,
            };
            let moved = composed && matches!(kind, Key | Delta | Disposable);
            let dts = Time::from_millis(time);
            Frame {
                track,
                codec,
                kind,
                dts,
                pts: if moved { dts.plus(composition * 1000) } else { dts },
                payload: if kind == End { Bytes::new() } else { payload.into() },
            }
        })
}

proptest! {
    #[test]
    fn frames_come_back(frame in frames()) {
        let header = Header::of(&frame).unwrap();
        let body = [header.as_slice(), &frame.payload].concat();
        let parsed = parse(body.into(), frame.track, frame.dts.millis()).unwrap();
        prop_assert_eq!(parsed, Parsed { frame: Some(frame), other_tracks: 0 });
    }

    #[test]
    fn anything_is_an_answer_or_an_error(
        track in prop::sample::select(vec![Track::Video, Track::Audio, Track::Data]),
        first in prop::sample::select(vec![0x17, 0x1c, 0x90, 0x91, 0x94, 0x95, 0x96, 0x97, 0xaf]),
        letters in prop::sample::select(vec![&b""[..], b"hvc1", b"\x10hvc1", b"\x00Opus", b"\x20"]),
        rest in prop::collection::vec(any::<u8>(), 0..40),
        time in any::<i64>(),
    ) {
        let body = [&[first][..], letters, &rest].concat();
        let whole = Bytes::from(body.clone());
        if let Ok(Parsed { frame: Some(frame), .. }) = parse(whole, track, time) {
            prop_assert!(frame.payload.len() < body.len() || track == Track::Data);
            let _ = Header::of(&frame);
        }
        let _ = parse(rest.into(), track, time);
    }
}
