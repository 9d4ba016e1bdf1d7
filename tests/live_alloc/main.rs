//! After warm-up a frame costs its stream some allocations, and its players none.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use counting::asked;
use live::door::{self, rtmp::RtmpConnection};
use live::{Hub, Loops, Settings, StreamName};
use media::testcard::{Options, TestCard};
use network::http::Server;
use network::{EventLoop, Listen};

#[path = "../network_alloc/counting.rs"]
mod counting;

mod lookup;

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

const WARM_UP: usize = 150;
const FRAMES: usize = 600;
const PATIENCE: Duration = Duration::from_secs(60);

/// How often the loop's thread allocates while so many players are sent `FRAMES` frames; and the bytes
/// each player got of them.
fn allocations(players: usize, request: &[u8]) -> (usize, u64) {
    let mut el = EventLoop::new().unwrap();
    let settings = Arc::new(Settings::default());
    let loops = Loops::default();
    loops.set(vec![el.handle()]);
    let options = door::options(&settings);
    let hub = Hub::start(&mut el, 0, loops, settings, Arc::default());
    let listen = |el: &mut EventLoop| {
        let bound =
            Listen::on("127.0.0.1:0".parse().unwrap()).options(options.clone()).bind().unwrap();
        let address = bound.address().unwrap();
        let server = door::http::routes(Server::builder(), &hub, el).unwrap().build();
        let hub = Rc::clone(&hub);
        let rtmp = request[0] == 3;
        el.accept_on(bound, move |el, _| {
            Some(if rtmp { RtmpConnection::accepted(&hub, el, None) } else { server.handler() })
        })
        .unwrap();
        address
    };
    let address = listen(&mut el);

    // The card's own frames are made before anything is counted.
    let mut card = TestCard::new(Options { gop_frames: 30, ..Options::default() }).unwrap();
    let frames: Vec<_> = (0..WARM_UP + FRAMES).map(|_| card.next(0)).collect();
    let name = StreamName::parse("live/s").unwrap();
    let ticket = hub.publish(&mut el, &name, None).unwrap();
    let mut frames = frames.into_iter();
    for frame in frames.by_ref().take(30) {
        ticket.stream().borrow_mut().frame(frame, Instant::now()).unwrap();
    }
    ticket.commit(&mut el).unwrap();

    let mut peers: Vec<TcpStream> = Vec::new();
    for _ in 0..players {
        let mut peer = TcpStream::connect(address).unwrap();
        peer.write_all(request).unwrap();
        peer.set_nonblocking(true).unwrap();
        peers.push(peer);
    }
    let until = Instant::now() + PATIENCE;
    while hub.players() < players {
        assert!(Instant::now() < until, "{} of {players} play", hub.players());
        el.run_once(Duration::from_millis(10));
        drain(&mut peers);
    }

    let (mut before, mut got) = (0, 0);
    for (count, frame) in frames.enumerate() {
        if count == WARM_UP - 30 {
            before = asked();
            got = 0;
        }
        ticket.stream().borrow_mut().frame(frame, Instant::now()).unwrap();
        ticket.commit(&mut el).unwrap();
        // Until all have it: the flush, and whatever had no room at once.
        for _ in 0..3 {
            el.run_once(Duration::ZERO);
        }
        got += drain(&mut peers);
    }
    let counted = asked() - before;
    (counted, got / players as u64)
}

fn drain(peers: &mut [TcpStream]) -> u64 {
    let mut space = [0; 64 * 1024];
    let mut got = 0;
    for peer in peers {
        while let Ok(n) = peer.read(&mut space) {
            assert!(n > 0, "closed");
            got += n as u64;
        }
    }
    got
}

fn players_cost_no_allocation(request: &[u8]) {
    let (few, bytes_each) = allocations(2, request);
    assert!(bytes_each > 500_000, "they are sent {bytes_each} bytes");
    let (many, bytes_each) = allocations(60, request);
    assert!(bytes_each > 500_000, "they are sent {bytes_each} bytes");
    // A player that cost one allocation every tenth frame would make 3,480.
    assert!(many < few + FRAMES / 10, "{few} for 2 players, {many} for 60, {FRAMES} frames");
    assert!(few < FRAMES * 20, "{few} for {FRAMES} frames");
}

#[test]
fn of_http_flv() {
    players_cost_no_allocation(b"GET /live/s.flv HTTP/1.1\r\nHost: h\r\n\r\n");
}

#[test]
fn of_websocket_flv() {
    players_cost_no_allocation(
        b"GET /live/s.flv HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
}

#[test]
fn of_rtmp() {
    players_cost_no_allocation(&rtmp_request());
}

/// All that a client says before it plays, in one go: the session answers what it can.
fn rtmp_request() -> Vec<u8> {
    use media::protocol::rtmp::amf0::{Object, Value};
    use media::protocol::rtmp::chunk::{Header, append};
    use media::protocol::rtmp::message::{Command, Message};
    let mut bytes = vec![3];
    bytes.extend_from_slice(&[0; 1536 * 2]);
    let mut say = |message_stream: u32, command: Command| {
        let (kind, payload) = Message::Command(command).emit();
        let header = Header { chunk_stream: 3, kind, message_stream, time: 0 };
        append(&mut bytes, &header, &[&payload], 128).unwrap();
    };
    let connect = Object::default().with("app", "live").with("tcUrl", "rtmp://h/live");
    say(0, Command::new("connect", 1.0, connect.into(), Vec::new()));
    say(0, Command::new("createStream", 2.0, Value::Null, Vec::new()));
    say(1, Command::new("play", 3.0, Value::Null, vec![Value::from("s")]));
    bytes
}
