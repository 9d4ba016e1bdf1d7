//! After warm-up, a message costs no allocation on its loop's thread.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{IoSlice, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::Bytes;
use counting::asked;
use network::{Connection, EventLoop, Handler, Options};
use peers::{Acts, LIMIT, Shared, connected, pattern, small_buffers};

mod counting;
#[path = "../network/peers.rs"]
#[allow(dead_code)]
mod peers;

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

const WARM_UP: usize = 50;
const ROUNDS: usize = 500;

/// Asks the connection `ROUNDS` times in pieces, each in a read of its own, awaits `answer` bytes each
/// time, and returns how often the thread has allocated meanwhile.
fn rounds(
    options: Options,
    handler: impl Handler + 'static,
    pieces: &[&[u8]],
    answer: usize,
) -> usize {
    let mut el = EventLoop::new().unwrap();
    let (id, mut peer) = connected(&mut el, options, handler);
    peer.set_nodelay(true).unwrap();
    let mut got = vec![0; answer];
    let mut before = 0;
    for round in 0..WARM_UP + ROUNDS {
        if round == WARM_UP {
            before = asked();
        }
        for piece in pieces {
            let received = el.connection(id).unwrap().received();
            peer.write_all(piece).unwrap();
            while el.connection(id).unwrap().received() == received {
                el.run_once(Duration::from_millis(100));
            }
        }
        read_turning(&mut el, &mut peer, &mut got);
    }
    asked() - before
}

/// Reads an answer that may be longer than the kernel holds.
fn read_turning(el: &mut EventLoop, peer: &mut TcpStream, mut space: &mut [u8]) {
    let until = Instant::now() + LIMIT;
    peer.set_nonblocking(true).unwrap();
    while !space.is_empty() {
        assert!(Instant::now() < until, "{} bytes do not come", space.len());
        match peer.read(space) {
            Ok(0) => panic!("closed"),
            Ok(n) => space = &mut space[n..],
            Err(_) => drop(el.run_once(Duration::from_millis(1))),
        }
    }
    peer.set_nonblocking(false).unwrap();
}

fn on_bytes(act: impl FnMut(&mut Connection, &mut EventLoop, &[u8]) -> usize + 'static) -> Acts {
    Acts::new().received(act)
}

#[test]
fn the_counter_counts() {
    let before = asked();
    drop(std::hint::black_box(vec![1_u8; 100]));
    assert!(asked() > before);
}

#[test]
fn echo_by_send() {
    for len in [1, 64, 4096, 60_000] {
        let handler = on_bytes(|conn, _, input| {
            conn.send(input);
            input.len()
        });
        assert_eq!(rounds(Options::default(), handler, &[&pattern(len)], len), 0, "{len} bytes");
    }
}

#[test]
fn echo_by_send_now_and_by_compose() {
    let handler = on_bytes(|conn, _, input| {
        conn.send_now(input);
        conn.compose(|out| out.extend_from_slice(input));
        input.len()
    });
    assert_eq!(rounds(Options::default(), handler, &[&pattern(1000)], 2000), 0);
}

#[test]
fn a_message_that_comes_in_pieces() {
    let handler = on_bytes(|conn, _, input| {
        let Some(message) = input.get(..300) else { return 0 };
        conn.send(message);
        300
    });
    let message = pattern(300);
    let pieces = [&message[..1], &message[1..200], &message[200..]];
    assert_eq!(rounds(Options::default(), handler, &pieces, 300), 0);
}

#[test]
fn gather_writes_of_shared_segments() {
    for segments in [1, 2, 16, 100, 1024] {
        let handler = on_bytes({
            let bytes = Bytes::from(pattern(segments * 10));
            // A clone makes the bytes shared, once.
            drop(bytes.clone());
            move |conn, _, input| {
                for at in 0..segments {
                    conn.send_shared(bytes.slice(at * 10..(at + 1) * 10));
                }
                input.len()
            }
        });
        let asked = rounds(Options::default(), handler, &[b"go"], segments * 10);
        assert_eq!(asked, 0, "{segments} segments");
    }
}

#[test]
fn direct_gather_writes() {
    let handler = on_bytes({
        let bytes = pattern(8000);
        move |conn, _, input| {
            let mut slices = [IoSlice::new(&[]); 80];
            for (slice, piece) in slices.iter_mut().zip(bytes.chunks(100)) {
                *slice = IoSlice::new(piece);
            }
            assert_eq!(conn.gather(&slices), 8000);
            input.len()
        }
    });
    assert_eq!(rounds(Options::default(), handler, &[b"go"], 8000), 0);
}

/// The queue stays with the connection while the peer is slow.
#[test]
fn answers_longer_than_the_socket_takes() {
    let handler = on_bytes({
        let bytes = Bytes::from(pattern(50_000));
        drop(bytes.clone());
        move |conn, _, input| {
            (0..6).for_each(|_| conn.send_shared(bytes.clone()));
            input.len()
        }
    });
    assert_eq!(rounds(small_buffers(), handler, &[b"go"], 300_000), 0);
}

#[test]
fn what_others_send_and_what_a_timer_sends() {
    let other = Shared::new(None);
    let to = other.clone();
    let handler = on_bytes(move |conn, el, input| {
        if let Some(other) = to.with(|other| *other) {
            el.mark_due(other);
            let other: &mut Connection = el.connection(other).unwrap();
            other.send(input);
        }
        conn.start_timer(el, Duration::ZERO, 1);
        input.len()
    });
    let handler = handler.timer(|conn, _, _| conn.send(b"later"));
    // Made as the first opens, on the same loop.
    let (viewer, viewers) = (Shared::new(None), other.clone());
    let keep = viewer.clone();
    let handler = handler.opened(move |_, el| {
        let due = Acts::new().due(|conn, _| conn.send(b"due"));
        let options = Options { idle: Some(Duration::from_secs(60)), ..Options::default() };
        let (id, peer) = connected(el, options, due);
        viewers.change(|viewers| *viewers = Some(id));
        keep.change(|keep| *keep = Some(peer));
    });
    assert_eq!(rounds(Options::default(), handler, &[b"go"], 5), 0);
    let mut got = vec![0; ROUNDS * 5];
    viewer.change(Option::take).unwrap().read_exact(&mut got).unwrap();
    assert!(got.starts_with(b"go") && got.windows(3).any(|piece| piece == b"due"));
}
