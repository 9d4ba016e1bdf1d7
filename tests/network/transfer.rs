//! Bytes from one end to the other, however they are cut.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use network::{Connection, EventLoop, FileRange, Options};

use crate::peers::{
    Acts, Echo, LIMIT, Random, Shared, add, connected, count, pattern, read_waiting, small_buffers,
};
use crate::support::{Scratch, alone, run_until, until_done};

#[test]
fn a_peer_that_sends_one_byte_at_a_time_is_understood() {
    let mut el = EventLoop::new().unwrap();
    let got = Shared::new(Vec::new());
    let messages = got.clone();
    // Messages of one length byte and as many bytes.
    let handler = Acts::new().received(move |conn, _, input| {
        let Some((len, rest)) = input.split_first() else { return 0 };
        let Some(message) = rest.get(..usize::from(*len)) else { return 0 };
        messages.change(|got| got.push(message.to_vec()));
        conn.send(&[*len]);
        1 + message.len()
    });
    let (_, mut peer) = connected(&mut el, Options::default(), handler);
    peer.set_nodelay(true).unwrap();
    let peer = thread::spawn(move || {
        for len in [0_u8, 1, 7, 50] {
            for byte in [&[len][..], &pattern(usize::from(len))].concat() {
                peer.write_all(&[byte]).unwrap();
            }
            let mut answer = [0];
            peer.read_exact(&mut answer).unwrap();
            assert_eq!(answer, [len]);
        }
    });
    until_done(&mut el, peer);
    assert_eq!(got.get(), [0, 1, 7, 50].map(pattern));
}

/// A message longer than one read, in pieces of any size: the incomplete rest grows in its place.
#[test]
fn a_long_message_in_small_pieces_arrives_whole() {
    const LEN: usize = 700_000;
    let mut el = EventLoop::new().unwrap();
    let got = Shared::new(Vec::new());
    let message = got.clone();
    let handler = Acts::new().received(move |conn, _, input| {
        let Some(whole) = input.get(..LEN) else { return 0 };
        message.change(|got| got.extend_from_slice(whole));
        conn.send(b".");
        LEN
    });
    let (_, mut peer) = connected(&mut el, Options::default(), handler);
    let peer = thread::spawn(move || {
        let bytes = pattern(LEN);
        let (mut at, mut random) = (0, Random(42));
        while at < 2 * LEN {
            let left = &bytes[at % LEN..];
            let step = left.len().min(1 + random.below(3000));
            peer.write_all(&left[..step]).unwrap();
            at += step;
        }
        peer.read_exact(&mut [0; 2]).unwrap();
    });
    until_done(&mut el, peer);
    got.with(|got| assert!(got[..LEN] == pattern(LEN) && got[LEN..] == pattern(LEN)));
}

#[test]
fn a_peer_that_never_stops_sending_has_its_share_of_a_turn_like_everybody() {
    let mut el = EventLoop::new().unwrap();
    let handle = el.handle();
    let (turn, calls, most, bytes) = (count(), count(), count(), count());
    let (most_seen, total) = (most.clone(), bytes.clone());
    let firehose = Acts::new().received(move |_, _, input| {
        let now = handle.turns() as usize;
        calls.set(if turn.replace(now) == now { calls.get() + 1 } else { 1 });
        most.set(most.get().max(calls.get()));
        add(&bytes, input.len());
        input.len()
    });
    let (_, mut peer) = connected(&mut el, Options::default(), firehose);
    let (_, mut other) = connected(&mut el, Options::default(), Echo);
    let hose = thread::spawn(move || {
        let piece = vec![0; 256 << 10];
        while peer.write_all(&piece).is_ok() {}
    });
    run_until(&mut el, LIMIT, || total.get() > 32 << 20);
    let echo = thread::spawn(move || {
        let mut answer = [0; 64];
        for _ in 0..200 {
            other.write_all(&pattern(64)).unwrap();
            other.read_exact(&mut answer).unwrap();
            assert_eq!(answer[..], pattern(64));
        }
    });
    until_done(&mut el, echo);
    assert_eq!(most_seen.get(), 1, "reads in one turn");
    drop(el);
    hose.join().unwrap();
}

#[test]
fn more_segments_than_one_write_takes_arrive_in_order() {
    let mut el = EventLoop::new().unwrap();
    let sent = Bytes::from(pattern(5000 * 300));
    let bytes = sent.clone();
    let handler = Acts::new().opened(move |conn, _| {
        for at in 0..5000 {
            let piece = bytes.slice(at * 300..(at + 1) * 300);
            match at % 3 {
                0 => conn.send(&piece),
                1 => conn.compose(|out| out.extend_from_slice(&piece)),
                _ => conn.send_shared(piece),
            }
        }
    });
    let (_, peer) = connected(&mut el, small_buffers(), handler);
    let got = Shared::new(Vec::new());
    let reader = got.clone();
    run_until(&mut el, LIMIT, move || {
        reader.change(|got| read_waiting(&peer, got));
        reader.with(Vec::len) == 1_500_000
    });
    assert!(got.get() == sent);
}

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
fn a_thousand_viewers_of_one_buffer_hold_it_once() {
    alone("transfer::a_thousand_viewers_of_one_buffer_hold_it_once", || {
        let mut el = EventLoop::new().unwrap();
        let viewers: Vec<_> =
            (0..1000).map(|_| connected(&mut el, small_buffers(), Acts::new())).collect();
        el.run_once(Duration::ZERO);
        let buffer = Bytes::from(pattern(1 << 20));
        let before = resident();
        for (id, _) in &viewers {
            el.connection(*id).unwrap().send_shared(buffer.clone());
        }
        for _ in 0..3 {
            el.run_once(Duration::ZERO);
        }
        let queued: usize =
            viewers.iter().map(|(id, _)| el.connection(*id).unwrap().queued()).sum();
        assert!(queued > 500 << 20, "{queued} bytes are queued");
        let grown = resident().saturating_sub(before);
        assert!(grown < 8 << 20, "{grown} bytes more for 1,000 viewers");
    });
}

fn file(scratch: &Scratch, bytes: &[u8]) -> Arc<OwnedFd> {
    std::fs::write(scratch.path(), bytes).unwrap();
    Arc::new(File::open(scratch.path()).unwrap().into())
}

#[test]
fn ranges_of_files_are_sent_between_bytes_in_memory() {
    let scratch = Scratch::new("ranges");
    let bytes = pattern(3 << 20);
    let file = file(&scratch, &bytes);
    let mut el = EventLoop::new().unwrap();
    let ranges = [(0, 1), (5, 100_000), (1 << 20, 2 << 20), (7, 0), ((3 << 20) - 1, 1)];
    let mut expected = Vec::new();
    for (offset, len) in ranges {
        expected.extend_from_slice(b"head");
        expected.extend_from_slice(&bytes[offset..][..len]);
    }
    let handler = Acts::new().opened(move |conn, _| {
        for (offset, len) in ranges {
            conn.send(b"head");
            conn.send_file(FileRange { file: Arc::clone(&file), offset: offset as u64, len });
        }
        conn.close();
    });
    let (_, mut peer) = connected(&mut el, small_buffers(), handler);
    let peer = thread::spawn(move || {
        let mut got = Vec::new();
        peer.read_to_end(&mut got).unwrap();
        got
    });
    assert!(until_done(&mut el, peer) == expected);
}

#[test]
fn a_file_is_written_directly_as_the_peer_takes_it() {
    const LEN: usize = 4 << 20;
    let scratch = Scratch::new("direct");
    let file = file(&scratch, &pattern(LEN));
    let mut el = EventLoop::new().unwrap();
    let (at, calls) = (count(), count());
    let called = calls.clone();
    let write = move |conn: &mut Connection, _: &mut EventLoop| {
        add(&called, 1);
        add(&at, conn.gather_file(file.as_fd(), at.get() as u64, LEN - at.get()));
        if at.get() == LEN {
            conn.close();
        }
    };
    let handler = Acts::new().opened(write.clone()).writable(write);
    let (_, mut peer) = connected(&mut el, small_buffers(), handler);
    let peer = thread::spawn(move || {
        let mut got = Vec::new();
        peer.read_to_end(&mut got).unwrap();
        got
    });
    assert!(until_done(&mut el, peer) == pattern(LEN));
    assert!(calls.get() > 2);
}

#[test]
fn a_file_that_is_shorter_than_promised_ends_the_connection() {
    for direct in [false, true] {
        let scratch = Scratch::new("short");
        let file = file(&scratch, b"short");
        let mut el = EventLoop::new().unwrap();
        let why = Shared::new(Vec::new());
        let reason = why.clone();
        let handler = Acts::new()
            .opened(move |conn, _| {
                if direct {
                    conn.gather_file(file.as_fd(), 0, 100);
                } else {
                    conn.send_file(FileRange { file: Arc::clone(&file), offset: 0, len: 100 });
                }
            })
            .closed(move |_, _, r| reason.change(|why| why.push((r.label(), r.to_string()))));
        let (_, peer) = connected(&mut el, Options::default(), handler);
        let ended = why.clone();
        run_until(&mut el, LIMIT, move || ended.with(|why| !why.is_empty()));
        let expected = ("io", "the file ended before the range to be sent".to_owned());
        assert_eq!(why.get(), [expected]);
        drop(peer);
    }
}

#[test]
fn a_dormant_connection_is_woken_once_per_turn_and_only_when_named() {
    let mut el = EventLoop::new().unwrap();
    let dues = Shared::new(Vec::new());
    let (dormant, _viewer) = {
        let (dues, handle) = (dues.clone(), el.handle());
        let handler = Acts::new().due(move |conn, _| {
            dues.change(|dues| dues.push(handle.turns()));
            conn.send(b"frame");
        });
        connected(&mut el, Options::default(), handler)
    };
    for _ in 0..10 {
        el.run_once(Duration::ZERO);
    }
    assert_eq!(dues.with(Vec::len), 0);
    for _ in 0..5 {
        el.mark_due(dormant);
        assert!(el.connection(dormant).is_some());
    }
    el.run_once(Duration::ZERO);
    assert_eq!(dues.with(Vec::len), 1);
    // Named by the producer's handler: in the same turn, and once.
    let handler = Acts::new().received(move |_, el, input| {
        for _ in input {
            el.mark_due(dormant);
        }
        input.len()
    });
    let (_, mut producer) = connected(&mut el, Options::default(), handler);
    producer.write_all(b"one\n").unwrap();
    let woken = dues.clone();
    run_until(&mut el, LIMIT, move || woken.with(Vec::len) >= 2);
    el.run_once(Duration::ZERO);
    assert_eq!(dues.with(Vec::len), 2);
}
