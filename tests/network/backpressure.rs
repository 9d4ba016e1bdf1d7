//! A peer that takes less than is sent, or is given more than is read.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use network::{EventLoop, Options};

use crate::peers::{
    Acts, LIMIT, Shared, add, connected, count, pattern, read_waiting, small_buffers,
};
use crate::support::run_until;

/// Writes until the peer's kernel and this one take no more.
fn fill(mut peer: &TcpStream, bytes: &[u8]) -> usize {
    peer.set_nonblocking(true).unwrap();
    let mut at = 0;
    while let Ok(n) = peer.write(&bytes[at..]) {
        at += n;
        if at == bytes.len() {
            break;
        }
    }
    peer.set_nonblocking(false).unwrap();
    at
}

#[test]
fn a_paused_read_fills_the_kernels_buffer_and_resuming_loses_nothing() {
    let mut el = EventLoop::new().unwrap();
    let got = Shared::new(Vec::new());
    let handler = Acts::new().opened(|conn, _| conn.pause()).into_bytes(&got);
    let (id, peer) = connected(&mut el, small_buffers(), handler);
    let sent = pattern(16 << 20);
    let mut taken = 0;
    for _ in 0..20 {
        el.run_once(Duration::ZERO);
        taken += fill(&peer, &sent[taken..]);
    }
    assert!(taken < sent.len(), "the peer is held up");
    assert_eq!(got.with(Vec::len), 0, "nothing is read");
    el.connection(id).unwrap().resume();
    let reader = got.clone();
    run_until(&mut el, LIMIT, move || reader.with(Vec::len) >= taken);
    got.with(|got| assert!(got[..] == sent[..taken]));
}

#[test]
fn a_paused_connection_costs_no_turn() {
    let mut el = EventLoop::new().unwrap();
    let (_, mut peer) =
        connected(&mut el, Options::default(), Acts::new().opened(|conn, _| conn.pause()));
    peer.write_all(b"held up").unwrap();
    for _ in 0..20 {
        el.run_once(Duration::ZERO);
    }
    let began = Instant::now();
    el.run_once(Duration::from_millis(30));
    assert!(began.elapsed() >= Duration::from_millis(29), "the loop sleeps");
}

#[test]
fn the_end_that_came_during_a_pause_is_seen_after_it() {
    for bytes in [0, 1, 100, 200_000] {
        let mut el = EventLoop::new().unwrap();
        let (got, why) = (Shared::new(Vec::new()), Shared::default());
        let handler = Acts::new().opened(|conn, _| conn.pause()).into_bytes(&got).told(&why);
        let (id, mut peer) = connected(&mut el, Options::default(), handler);
        el.run_once(Duration::ZERO);
        peer.write_all(&pattern(bytes)).unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        for _ in 0..5 {
            el.run_once(Duration::from_millis(2));
        }
        el.connection(id).unwrap().resume();
        let ended = why.clone();
        run_until(&mut el, LIMIT, move || ended.with(|why| !why.is_empty()));
        assert!(got.get() == pattern(bytes), "{bytes} bytes");
        assert_eq!(why.get(), ["peer"]);
    }
}

/// A handler that takes one message (10 bytes) at a time and pauses after each, as one does that waits
/// for something else before it goes on.
#[test]
fn messages_left_by_a_pause_are_delivered_before_the_end() {
    let mut el = EventLoop::new().unwrap();
    let (got, left, why) = (Shared::new(Vec::new()), Shared::new(None), Shared::default());
    let (ours, unconsumed) = (got.clone(), left.clone());
    let handler = Acts::new()
        .received(move |conn, _, input| {
            let Some(message) = input.get(..10) else { return 0 };
            ours.change(|got| got.extend_from_slice(message));
            conn.pause();
            10
        })
        .ended(move |conn, _, rest| {
            unconsumed.change(|left| *left = Some(rest.to_vec()));
            conn.close();
        })
        .told(&why);
    let (id, mut peer) = connected(&mut el, Options::default(), handler);
    peer.write_all(&pattern(55)).unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let until = Instant::now() + LIMIT;
    while why.with(Vec::is_empty) && Instant::now() < until {
        el.run_once(Duration::from_millis(1));
        if let Some(conn) = el.connection(id).filter(|conn| conn.is_paused()) {
            conn.resume();
        }
    }
    assert!(got.get() == pattern(50), "{} bytes", got.with(Vec::len));
    assert_eq!(left.get().as_deref(), Some(&pattern(55)[50..]), "the incomplete one is shown last");
    assert_eq!(why.get(), ["peer"]);
}

#[test]
fn a_reset_ends_a_paused_connection_at_once() {
    let mut el = EventLoop::new().unwrap();
    let why = Shared::default();
    let handler = Acts::new().opened(|conn, _| conn.pause()).told(&why);
    let (_, mut peer) = connected(&mut el, Options::default(), handler);
    peer.write_all(b"unread").unwrap();
    el.run_once(Duration::ZERO);
    crate::peers::reset(peer);
    let ended = why.clone();
    run_until(&mut el, LIMIT, move || ended.with(|why| !why.is_empty()));
    assert_eq!(why.get(), ["reset"]);
}

#[test]
fn both_marks_are_told_once_each_and_every_byte_arrives() {
    let mut el = EventLoop::new().unwrap();
    let options = Options { high_water: 100_000, low_water: 20_000, ..small_buffers() };
    let marks = Shared::new(Vec::new());
    let (high, low) = (marks.clone(), marks.clone());
    let handler = Acts::new()
        .congested(move |conn, _| {
            assert!(conn.queued() > 100_000 && conn.is_congested());
            high.change(|marks| marks.push("congested"));
        })
        .writable(move |conn, _| {
            assert!(conn.queued() <= 20_000 && !conn.is_congested());
            low.change(|marks| marks.push("writable"));
        });
    let (id, peer) = connected(&mut el, options, handler);
    let sent = pattern(8 << 20);
    el.connection(id).unwrap().send(&sent);
    for _ in 0..5 {
        el.run_once(Duration::ZERO);
    }
    assert_eq!(marks.get(), ["congested"]);
    let got = Shared::new(Vec::new());
    let reader = got.clone();
    run_until(&mut el, LIMIT, move || {
        reader.change(|got| read_waiting(&peer, got));
        reader.with(Vec::len) == 8 << 20
    });
    assert!(got.get() == sent);
    assert_eq!(marks.get(), ["congested", "writable"]);
}

#[test]
fn a_peer_that_never_reads_is_closed_at_the_bound_of_its_queue() {
    let mut el = EventLoop::new().unwrap();
    let why = Shared::default();
    let options = Options { queue_at_most: 3_000_000, ..small_buffers() };
    let handler = Acts::new().told(&why);
    let (id, peer) = connected(&mut el, options, handler);
    let piece = Bytes::from(pattern(100_000));
    let mut pieces = 0;
    while let Some(conn) = el.connection(id) {
        assert!(conn.queued() <= 3_000_000);
        conn.send_shared(piece.clone());
        pieces += 1;
        el.run_once(Duration::ZERO);
        assert!(pieces < 200, "it is never closed");
    }
    assert_eq!(why.get(), ["overflow"]);
    assert!(pieces > 30, "the bound is the queue's, {pieces} pieces were taken");
    assert_eq!((el.sources(), el.timers()), (0, 0));
    drop(peer);
}

#[test]
fn a_direct_writer_is_called_when_there_is_room_and_loses_nothing() {
    const LEN: usize = 8 << 20;
    let mut el = EventLoop::new().unwrap();
    let sent = Bytes::from(pattern(LEN));
    let (at, calls) = (count(), count());
    let write = {
        let (sent, at) = (sent.clone(), at.clone());
        move |conn: &mut network::Connection, _: &mut EventLoop| {
            let left = &sent[at.get()..];
            let pieces: Vec<_> = left.chunks(1000).map(std::io::IoSlice::new).collect();
            add(&at, conn.gather(&pieces));
        }
    };
    let (again, called) = (write.clone(), calls.clone());
    let handler = Acts::new().opened(write).writable(move |conn, el| {
        add(&called, 1);
        again(conn, el);
    });
    let (_, peer) = connected(&mut el, small_buffers(), handler);
    let got = Shared::new(Vec::new());
    let reader = got.clone();
    run_until(&mut el, LIMIT, move || {
        reader.change(|got| read_waiting(&peer, got));
        reader.with(Vec::len) == LEN
    });
    assert!(got.get() == sent);
    assert!(calls.get() > 1);
}

/// More slices than the kernel takes in a call are no reason to stop: the socket has room.
#[test]
fn a_gather_of_more_slices_than_the_kernel_takes_goes_on_by_itself() {
    let mut el = EventLoop::new().unwrap();
    let taken = count();
    let told = taken.clone();
    let handler = Acts::new().opened(move |conn, _| {
        let bytes = pattern(3000 * 4);
        let slices: Vec<_> = bytes.chunks(4).map(std::io::IoSlice::new).collect();
        told.set(conn.gather(&slices));
    });
    let (_, peer) = connected(&mut el, Options::default(), handler);
    let got = Shared::new(Vec::new());
    let reader = got.clone();
    run_until(&mut el, LIMIT, move || {
        reader.change(|got| read_waiting(&peer, got));
        reader.with(Vec::len) == 12_000
    });
    assert!(got.get() == pattern(12_000));
    assert_eq!(taken.get(), 12_000);
}

/// A head that is queued and a body that is written directly: the body finds the head in front of it,
/// and neither time is the socket full, so that no edge tells of room.
#[test]
fn a_direct_write_behind_a_queued_one_gets_its_call() {
    let mut el = EventLoop::new().unwrap();
    let at = count();
    let body = pattern(1000);
    let (sent, taken) = (body.clone(), at.clone());
    let handler = Acts::new()
        .received(|conn, _, input| {
            conn.send(b"HEAD");
            assert_eq!(conn.gather(&[std::io::IoSlice::new(b"refused")]), 0);
            input.len()
        })
        .writable(move |conn, _| match taken.get() {
            0 => {
                conn.send(b"head");
                assert_eq!(conn.gather(&[std::io::IoSlice::new(&sent)]), 0);
                taken.set(1);
            }
            1 => taken.set(1 + conn.gather(&[std::io::IoSlice::new(&sent)])),
            _ => {}
        });
    let (_, mut peer) = connected(&mut el, Options::default(), handler);
    for _ in 0..5 {
        el.run_once(Duration::from_millis(1));
    }
    peer.write_all(b"go").unwrap();
    let got = Shared::new(Vec::new());
    let reader = got.clone();
    run_until(&mut el, LIMIT, move || {
        reader.change(|got| read_waiting(&peer, got));
        at.get() == 1001 && reader.with(Vec::len) == 1008
    });
    assert!(got.get() == [&b"HEADhead"[..], &body].concat());
}

#[test]
fn send_now_does_not_take_the_call_of_a_direct_writer_away() {
    let mut el = EventLoop::new().unwrap();
    let calls = count();
    let called = calls.clone();
    let handler = Acts::new()
        .opened(|conn, _| {
            let bytes = vec![0; 16 << 20];
            assert!(conn.gather(&[std::io::IoSlice::new(&bytes)]) < bytes.len());
            conn.send_now(b"behind");
        })
        .writable(move |_, _| add(&called, 1));
    let (_, peer) = connected(&mut el, small_buffers(), handler);
    run_until(&mut el, LIMIT, move || {
        read_waiting(&peer, &mut Vec::new());
        calls.get() > 0
    });
}

#[test]
fn send_now_keeps_the_order_and_every_byte() {
    let mut el = EventLoop::new().unwrap();
    let sent = pattern(6 << 20);
    let bytes = sent.clone();
    let handler = Acts::new().opened(move |conn, _| {
        for piece in bytes.chunks(7000) {
            conn.send_now(piece);
        }
    });
    let (_, peer) = connected(&mut el, small_buffers(), handler);
    let got = Shared::new(Vec::new());
    let reader = got.clone();
    run_until(&mut el, LIMIT, move || {
        reader.change(|got| read_waiting(&peer, got));
        reader.with(Vec::len) == 6 << 20
    });
    assert!(got.get() == sent);
}

#[test]
fn a_stalled_peer_is_closed_at_the_bound_whether_bytes_are_queued_or_held_back() {
    for queued in [true, false] {
        let mut el = EventLoop::new().unwrap();
        let why = Shared::default();
        let bound = Duration::from_millis(120);
        let options = Options { stalled: Some(bound), ..small_buffers() };
        let handler = Acts::new()
            .opened(move |conn, _| {
                let bytes = vec![0; 16 << 20];
                if queued {
                    conn.send(&bytes);
                } else {
                    assert!(conn.gather(&[std::io::IoSlice::new(&bytes)]) < bytes.len());
                }
            })
            .writable(|conn, _| {
                conn.gather(&[std::io::IoSlice::new(&[0; 1 << 20])]);
            })
            .told(&why);
        let (_, peer) = connected(&mut el, options, handler);
        let began = Instant::now();
        let ended = why.clone();
        run_until(&mut el, LIMIT, move || ended.with(|why| !why.is_empty()));
        let took = began.elapsed();
        assert_eq!(why.get(), ["stalled"]);
        assert!(took >= bound, "after {took:?}");
        assert!(took < bound * 5, "after {took:?}");
        assert_eq!(el.timers(), 0);
        drop(peer);
    }
}

/// The time before there was anything to send is no stall.
#[test]
fn a_socket_filled_after_a_long_silence_is_not_stalled_at_once() {
    let mut el = EventLoop::new().unwrap();
    let why = Shared::default();
    let bound = Duration::from_millis(80);
    let options = Options { stalled: Some(bound), ..small_buffers() };
    let fill = |conn: &mut network::Connection| {
        let bytes = vec![0; 1 << 20];
        conn.gather(&[std::io::IoSlice::new(&bytes)]);
        conn.send(b"queued behind a full socket");
    };
    let handler = Acts::new()
        .told(&why)
        .timer(move |conn, _, _| fill(conn))
        .writable(move |conn, _| fill(conn))
        .opened(move |conn, el| {
            conn.start_timer(el, bound * 2, 7);
        });
    let (_, peer) = connected(&mut el, options, handler);
    let began = Instant::now();
    let ended = why.clone();
    run_until(&mut el, LIMIT, move || ended.with(|why| !why.is_empty()));
    assert_eq!(why.get(), ["stalled"]);
    let took = began.elapsed();
    assert!(took >= bound * 3, "after {took:?}");
    drop(peer);
}

/// The kernel's buffer is large and its peer slow: bytes move although the process is not called.
#[test]
fn a_slow_reader_is_not_taken_for_a_stalled_one() {
    let mut el = EventLoop::new().unwrap();
    let why = Shared::default();
    let bound = Duration::from_millis(100);
    let options = Options {
        stalled: Some(bound),
        send_buffer: Some(2 << 20),
        receive_buffer: Some(16 << 10),
        ..Options::default()
    };
    let handler = Acts::new().told(&why).opened(|conn, _| conn.send(&vec![0; 8 << 20]));
    let (_, mut peer) = connected(&mut el, options, handler);
    let began = Instant::now();
    let reader = thread::spawn(move || {
        let mut piece = [0; 8 << 10];
        while began.elapsed() < bound * 5 {
            if peer.read(&mut piece).is_ok_and(|n| n == 0) {
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        peer
    });
    while !reader.is_finished() {
        el.run_once(Duration::from_millis(5));
        assert_eq!(why.get(), [""; 0], "closed after {:?}", began.elapsed());
    }
    drop(reader.join().unwrap());
}

#[test]
fn a_handler_may_hand_over_when_the_queue_has_emptied() {
    let mut el = EventLoop::new().unwrap();
    let options = Options { high_water: 10_000, low_water: 0, ..small_buffers() };
    let taken = count();
    let handler = Acts::new().opened(|conn, _| conn.send(&pattern(4 << 20)));
    let (next, seen) = (taken.clone(), taken.clone());
    let handler = handler.writable(move |conn, _| {
        let next = next.clone();
        conn.hand_over(Box::new(Acts::new().opened(move |conn, _| {
            next.set(1);
            conn.send(b"done");
        })));
    });
    let (_, peer) = connected(&mut el, options, handler);
    let got = Shared::new(Vec::new());
    let reader = got.clone();
    run_until(&mut el, LIMIT, move || {
        reader.change(|got| read_waiting(&peer, got));
        seen.get() == 1 && reader.with(Vec::len) == (4 << 20) + 4
    });
    got.with(|got| assert!(got.ends_with(b"done")));
}

#[test]
fn a_slow_reader_gets_every_byte_another_thread_has_posted() {
    const PIECES: usize = 2000;
    let mut el = EventLoop::new().unwrap();
    let (id, mut peer) = connected(&mut el, small_buffers(), Acts::new());
    let handle = el.handle();
    let poster = thread::spawn(move || {
        for at in 0..PIECES {
            let post = move |el: &mut EventLoop| {
                if let Some(conn) = el.connection(id) {
                    conn.send(&pattern(2000)[at % 1000..][..1000]);
                }
            };
            handle.post(post).unwrap();
        }
    });
    let reader = thread::spawn(move || {
        let mut got = vec![0; PIECES * 1000];
        for piece in got.chunks_mut(20_000) {
            peer.read_exact(piece).unwrap();
            thread::sleep(Duration::from_millis(1));
        }
        got
    });
    run_until(&mut el, LIMIT, || reader.is_finished());
    poster.join().unwrap();
    let got = reader.join().unwrap();
    for (at, piece) in got.chunks(1000).enumerate() {
        assert!(piece == &pattern(2000)[at % 1000..][..1000], "piece {at}");
    }
}
