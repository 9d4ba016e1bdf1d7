//! Each WebSocket message of a container is something whole: an init segment, a chunk, packets.

use std::net::TcpStream;

use media::FrameKind;
use media::codec::Info;
use tungstenite::Message;
use weir_tests::PATIENCE;

use crate::bodies::frames;
use crate::support::{Card, Weir, at, is_picture, number};

type Socket = tungstenite::WebSocket<TcpStream>;

fn play(weir: &Weir, path: &str) -> Socket {
    let socket = TcpStream::connect(weir.http).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    tungstenite::client(format!("ws://{}/{path}", weir.http), socket).unwrap().0
}

fn message(socket: &mut Socket) -> Vec<u8> {
    loop {
        if let Message::Binary(bytes) = socket.read().unwrap() {
            return bytes.to_vec();
        }
    }
}

/// The names of the boxes that a message is, from its first byte to its last.
fn boxes(bytes: &[u8]) -> Vec<String> {
    let (mut names, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let len = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
        names.push(String::from_utf8_lossy(&rest[4..8]).into_owned());
        rest = &rest[len..];
    }
    names
}

#[test]
fn an_init_segment_and_chunks_and_another_before_what_needs_it() {
    let weir = Weir::start();
    let mut publisher = weir.publish("live/s");
    publisher.pictures(&mut Card::new(320, 240), 40);
    weir.wait_count("frames_in", publisher.frames);
    let mut socket = play(&weir, "live/s.mp4");
    let first = message(&mut socket);
    assert_eq!(boxes(&first), ["ftyp", "moov"]);
    for frame in Card::new(640, 480).pictures(40) {
        publisher.send_at(&at(&frame, frame.dts.millis() + 2000), frame.dts.millis() + 2000);
    }
    let mut chunks = 0;
    let second = loop {
        let next = message(&mut socket);
        if boxes(&next) != ["moof", "mdat"] {
            break next;
        }
        chunks += 1;
    };
    assert!(chunks > 0, "the first configuration had pictures");
    assert_eq!(boxes(&second), ["ftyp", "moov"]);
    assert_ne!(first, second);
    // What comes behind it is of it, and begins with a keyframe.
    let third = message(&mut socket);
    assert_eq!(boxes(&third), ["moof", "mdat"]);
    let frames = frames("s.mp4", &[second, third].concat());
    let sizes = frames.iter().filter(|frame| frame.kind == FrameKind::Config);
    let widths: Vec<_> = sizes
        .filter_map(|frame| Info::from_config(frame.codec, &frame.payload).unwrap().width)
        .collect();
    assert_eq!(widths, [640]);
    let picture = frames.iter().find(|frame| is_picture(frame)).unwrap();
    assert_eq!((number(picture), picture.kind), (0, FrameKind::Key));
}

#[test]
fn packets_of_a_transport_stream() {
    let weir = Weir::start();
    let mut publisher = weir.publish("live/s");
    let mut card = Card::new(320, 240);
    publisher.pictures(&mut card, 35);
    weir.wait_count("frames_in", publisher.frames);
    let mut socket = play(&weir, "live/s.ts");
    publisher.pictures(&mut card, 40);
    let mut bytes = Vec::new();
    for _ in 0..30 {
        let message = message(&mut socket);
        assert!(
            !message.is_empty() && message.len().is_multiple_of(188),
            "{} bytes",
            message.len()
        );
        assert!(message.chunks(188).all(|packet| packet[0] == 0x47));
        bytes.extend(message);
    }
    let frames = frames("s.ts", &bytes);
    let numbers: Vec<u64> = frames.iter().filter(|f| is_picture(f)).map(number).collect();
    let first = *numbers.first().unwrap();
    assert_eq!(first % 10, 0);
    assert_eq!(numbers, (first..first + numbers.len() as u64).collect::<Vec<u64>>());
    assert!(numbers.len() > 10, "{numbers:?}");
}
