//! Bytes from one end to the other, and how connections begin, change hands and end.

use std::collections::HashMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use network::{
    CloseReason, Connection, Detached, EventLoop, FileRange, Handle, Handler, Options, SourceId,
    Threads,
};

use crate::support::{Scratch, alone, run_until};
use peers::{
    Acts, Echo, LIMIT, Random, Shared, add, connected, count, pattern, read_waiting, serve,
    small_buffers, tcp_pair,
};

#[path = "peers.rs"]
pub mod peers;

/// Turns the loop until the peer's thread is done, and returns what it says.
fn until_done<T>(el: &mut EventLoop, peer: thread::JoinHandle<T>) -> T {
    run_until(el, LIMIT, || peer.is_finished());
    peer.join().unwrap()
}

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

// ---- who has the connection ----

#[test]
fn a_connection_is_handed_over_in_the_middle_of_its_input() {
    let mut el = EventLoop::new().unwrap();
    let seen = Shared::new(Vec::new());
    let (first, second, dropped) = (seen.clone(), seen.clone(), seen.clone());
    let handler = Acts::new()
        .received(move |conn, _, input| {
            first.change(|seen| seen.push(format!("first {}", input.len())));
            let (seen, closed) = (second.clone(), second.clone());
            let ended = second.clone();
            conn.hand_over(Box::new(
                Acts::new()
                    .opened({
                        let seen = second.clone();
                        move |_, _| seen.change(|seen| seen.push("opened".into()))
                    })
                    .received(move |_, _, input| {
                        let text = String::from_utf8_lossy(input);
                        seen.change(|seen| seen.push(format!("second {text}")));
                        input.len()
                    })
                    .ended(move |conn, _, rest| {
                        ended.change(|seen| seen.push(format!("ended {}", rest.len())));
                        conn.close();
                    })
                    .closed(move |_, _, why| closed.change(|seen| seen.push(why.to_string()))),
            ));
            5
        })
        .closed(move |_, _, _| dropped.change(|seen| seen.push("not to be told".into())));
    let (_, mut peer) = connected(&mut el, Options::default(), handler);
    peer.write_all(b"hello world").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let done = seen.clone();
    run_until(&mut el, LIMIT, move || done.with(Vec::len) >= 5);
    assert_eq!(
        seen.get(),
        ["first 11", "opened", "second  world", "ended 0", "closed by the peer"]
    );
}

#[test]
fn a_handler_that_hands_over_as_it_opens_sees_no_input() {
    for detaches in [false, true] {
        let mut el = EventLoop::new().unwrap();
        let got = Shared::new(Vec::new());
        let next = got.clone();
        let handler = Acts::new()
            .opened(move |conn, _| {
                let next = next.clone();
                if detaches {
                    conn.detach(move |el, detached| {
                        el.adopt(detached, Box::new(Acts::new().into_bytes(&next))).unwrap();
                    });
                } else {
                    conn.hand_over(Box::new(Acts::new().into_bytes(&next)));
                }
            })
            .received(|_, _, input| panic!("{} bytes for somebody else", input.len()));
        let (_, mut peer) = connected(&mut el, Options::default(), handler);
        // Both are there when the loop looks for the first time.
        peer.write_all(b"for the next").unwrap();
        let done = got.clone();
        run_until(&mut el, LIMIT, move || done.with(Vec::len) == 12);
        assert_eq!(got.get(), b"for the next");
    }
}

/// The end that the first handler was told is told to the second, which would wait for it for ever.
#[test]
fn who_takes_over_after_the_peers_end_is_told_of_it() {
    for detaches in [false, true] {
        let mut el = EventLoop::new().unwrap();
        let (seen, why) = (Shared::new(Vec::new()), Shared::default());
        let (next, reason) = (seen.clone(), why.clone());
        let handler = Acts::new().received(|_, _, _| 0).ended(move |conn, _, _| {
            let (got, end) = (next.clone(), next.clone());
            let second = Acts::new()
                .received(move |_, _, input| {
                    got.change(|got| got.push(input.len()));
                    input.len()
                })
                .ended(move |conn, _, _| {
                    end.change(|got| got.push(1000));
                    conn.send(b"bye");
                    conn.close();
                })
                .told(&reason);
            if detaches {
                conn.detach(move |el, detached| {
                    el.adopt(detached, Box::new(second)).unwrap();
                });
            } else {
                conn.hand_over(Box::new(second));
            }
        });
        let (_, mut peer) = connected(&mut el, Options::default(), handler);
        peer.write_all(b"left over").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        let ended = why.clone();
        run_until(&mut el, LIMIT, move || ended.with(|why| !why.is_empty()));
        assert_eq!(seen.get(), [9, 1000]);
        let mut answer = Vec::new();
        peer.read_to_end(&mut answer).unwrap();
        assert_eq!(answer, b"bye");
        assert_eq!(el.handle().connections(), 0);
    }
}

#[test]
fn a_connection_handed_over_before_it_has_opened_opens_once() {
    let mut el = EventLoop::new().unwrap();
    let opened = count();
    let told = opened.clone();
    let first = Acts::new().opened(|_, _| panic!("it belongs to another"));
    let (id, _peer) = connected(&mut el, Options::default(), first);
    let next = Acts::new().opened(move |_, _| add(&told, 1));
    el.connection(id).unwrap().hand_over(Box::new(next));
    for _ in 0..5 {
        el.run_once(Duration::from_millis(1));
    }
    assert_eq!(opened.get(), 1);
}

#[test]
fn who_hands_over_and_closes_at_once_is_told_of_the_end() {
    let mut el = EventLoop::new().unwrap();
    let why = Shared::default();
    let handler = Acts::new()
        .opened(|conn, _| {
            let never = Acts::new().opened(|_, _| panic!("it has ended"));
            conn.hand_over(Box::new(never.closed(|_, _, _| panic!("it has not begun"))));
            conn.close_now();
        })
        .told(&why);
    let (_, _peer) = connected(&mut el, Options::default(), handler);
    let ended = why.clone();
    run_until(&mut el, LIMIT, move || ended.with(|why| !why.is_empty()));
    assert_eq!(why.get(), ["local"]);
}

/// Echoes, and moves to the next loop after every so many bytes, with something unconsumed and
/// something queued.
struct Wanderer {
    loops: Arc<Vec<Handle>>,
    at: usize,
    until_move: usize,
    moves: Sender<()>,
}

impl Handler for Wanderer {
    fn received(&mut self, conn: &mut Connection, _: &mut EventLoop, input: &[u8]) -> usize {
        // The last bytes stay, unless they are all there is.
        let consumed = input.len() - (input.len() / 2).min(7);
        conn.send(&input[..consumed]);
        self.until_move = self.until_move.saturating_sub(consumed);
        if self.until_move == 0 {
            let next = Wanderer {
                loops: Arc::clone(&self.loops),
                at: self.at + 1,
                until_move: 100_000 + self.at * 1000,
                moves: self.moves.clone(),
            };
            let to = self.loops[next.at % self.loops.len()].clone();
            conn.detach(move |_, detached| {
                next.moves.send(()).unwrap();
                let arrive = move |el: &mut EventLoop| {
                    el.adopt(detached, Box::new(next)).unwrap();
                };
                to.post(arrive).unwrap();
            });
        }
        consumed
    }

    fn ended(&mut self, conn: &mut Connection, _: &mut EventLoop, unconsumed: &[u8]) {
        conn.send(unconsumed);
        conn.close();
    }
}

#[test]
fn no_byte_is_lost_on_the_way_from_loop_to_loop() {
    const LEN: usize = 12 << 20;
    let threads = Threads::start(vec![(); 3], None, |_, _, ()| Ok(())).unwrap();
    let (ours, mut peer) = tcp_pair(Some(64 << 10));
    let (moves, moved) = channel();
    let loops = Arc::new(threads.handles().to_vec());
    let first = Wanderer { loops, at: 0, until_move: 1, moves };
    let detached = Detached::new(OwnedFd::from(ours), small_buffers()).unwrap();
    let begin = move |el: &mut EventLoop| {
        el.adopt(detached, Box::new(first)).unwrap();
    };
    threads.handles()[0].post(begin).unwrap();
    let mut writer = peer.try_clone().unwrap();
    let writer = thread::spawn(move || {
        for piece in pattern(LEN).chunks(33_333) {
            writer.write_all(piece).unwrap();
        }
        writer.shutdown(Shutdown::Write).unwrap();
    });
    peer.set_read_timeout(Some(LIMIT)).unwrap();
    let mut echo = Vec::with_capacity(LEN);
    peer.read_to_end(&mut echo).unwrap();
    writer.join().unwrap();
    assert_eq!(echo.len(), LEN);
    assert!(echo == pattern(LEN));
    assert!(moved.try_iter().count() > 40, "it has moved often");
    crate::support::wait_until(LIMIT, || {
        threads.handles().iter().all(|handle| handle.connections() == 0)
    });
    threads.stop();
    threads.join();
}

/// Echoes as it likes: in parts, after a pause, by way of other handlers and of other connections.
struct Moody {
    random: Random,
    got: Shared<Vec<u8>>,
    ends: Shared<Vec<&'static str>>,
}

impl Moody {
    fn next(&mut self) -> Box<Self> {
        let random = Random(self.random.below(usize::MAX) as u64 | 1);
        Box::new(Self { random, got: self.got.clone(), ends: self.ends.clone() })
    }
}

impl Handler for Moody {
    fn received(&mut self, conn: &mut Connection, el: &mut EventLoop, input: &[u8]) -> usize {
        let (done, _) = input.split_at(self.random.below(input.len() + 1));
        self.got.change(|got| got.extend_from_slice(done));
        match self.random.below(3) {
            0 => conn.send(done),
            1 => conn.send_now(done),
            _ => {
                let taken = conn.gather(&[std::io::IoSlice::new(done)]);
                conn.send(&done[taken..]);
            }
        }
        match self.random.below(12) {
            0..=2 => {
                conn.pause();
                let pause = Duration::from_micros(self.random.below(1500) as u64);
                conn.start_timer(el, pause, 1);
            }
            3 => {
                conn.pause();
                conn.resume();
            }
            4 => conn.ask_again(),
            5..=6 => conn.hand_over(self.next()),
            7 => {
                let next = self.next();
                let later = self.random.below(2) == 0;
                conn.detach(move |el, detached| {
                    let arrive = move |el: &mut EventLoop| {
                        el.adopt(detached, next).unwrap();
                    };
                    if later { el.defer(arrive) } else { arrive(el) }
                });
            }
            _ => {}
        }
        done.len()
    }

    fn timer(&mut self, conn: &mut Connection, _: &mut EventLoop, _: u32) {
        if self.random.below(4) == 0 {
            conn.hand_over(self.next());
        }
        conn.resume();
    }

    fn ended(&mut self, conn: &mut Connection, _: &mut EventLoop, unconsumed: &[u8]) {
        self.got.change(|got| got.extend_from_slice(unconsumed));
        conn.send(unconsumed);
        conn.close();
    }

    fn closed(&mut self, _: &mut Connection, _: &mut EventLoop, reason: &CloseReason) {
        self.ends.change(|ends| ends.push(reason.label()));
    }
}

#[test]
fn whatever_handlers_do_every_byte_arrives_in_order_and_the_end_after_them() {
    for seed in 1..40 {
        let mut el = EventLoop::new().unwrap();
        let (got, ends) = (Shared::default(), Shared::default());
        let mut random = Random(seed * 0x9E37_79B9);
        let options = if seed % 2 == 0 { small_buffers() } else { Options::default() };
        let first = Moody {
            random: Random(random.below(usize::MAX) as u64 | 1),
            got: got.clone(),
            ends: ends.clone(),
        };
        let (_, mut peer) = connected(&mut el, options, first);
        let sent = pattern(random.below(150_000));
        let (bytes, mut writer) = (sent.clone(), peer.try_clone().unwrap());
        let writer = thread::spawn(move || {
            let mut left = &bytes[..];
            while !left.is_empty() {
                let (piece, rest) = left.split_at(left.len().min(1 + random.below(9000)));
                writer.write_all(piece).unwrap();
                left = rest;
            }
            writer.shutdown(Shutdown::Write).unwrap();
        });
        let reader = thread::spawn(move || {
            let mut echo = Vec::new();
            peer.read_to_end(&mut echo).unwrap();
            echo
        });
        assert!(until_done(&mut el, reader) == sent, "echo, seed {seed}");
        writer.join().unwrap();
        assert!(got.get() == sent, "seed {seed}");
        let ended = ends.clone();
        run_until(&mut el, LIMIT, move || ended.with(|ends| !ends.is_empty()));
        assert_eq!((ends.get(), el.sources()), (vec!["peer"], 0), "seed {seed}");
    }
}

#[test]
fn a_detached_socket_leaves_with_what_was_not_consumed() {
    let mut el = EventLoop::new().unwrap();
    let socket = Shared::new(None);
    let to = socket.clone();
    let handler = Acts::new().received(move |conn, _, _| {
        let to = to.clone();
        conn.detach(move |_, detached| to.change(|to| *to = detached.into_socket()));
        4
    });
    let (id, mut peer) = connected(&mut el, Options::default(), handler);
    peer.write_all(b"headbody").unwrap();
    let done = socket.clone();
    run_until(&mut el, LIMIT, move || done.with(Option::is_some));
    assert!(!el.contains(id) && el.handle().connections() == 0);
    let (fd, rest) = socket.change(Option::take).unwrap();
    assert_eq!(rest, b"body");
    let mut ours = TcpStream::from(fd);
    ours.set_nonblocking(false).unwrap();
    peer.write_all(b"more").unwrap();
    let mut more = [0; 4];
    ours.read_exact(&mut more).unwrap();
    assert_eq!(&more, b"more");
}

// ---- what is sent ----

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

// ---- the end ----

#[test]
fn this_side_may_end_first_and_still_listen() {
    let mut el = EventLoop::new().unwrap();
    let (got, why) = (Shared::new(Vec::new()), Shared::default());
    let handler = Acts::new()
        .opened(|conn, _| {
            conn.send(&pattern(1 << 20));
            conn.half_close();
            conn.send(b"too late");
        })
        .into_bytes(&got)
        .told(&why);
    let (_, mut peer) = connected(&mut el, small_buffers(), handler);
    let peer = thread::spawn(move || {
        let mut all = Vec::new();
        peer.read_to_end(&mut all).unwrap();
        peer.write_all(&pattern(200_000)).unwrap();
        all
    });
    assert!(until_done(&mut el, peer) == pattern(1 << 20));
    let ended = why.clone();
    run_until(&mut el, LIMIT, move || ended.with(|why| !why.is_empty()));
    assert!(got.get() == pattern(200_000));
    assert_eq!(why.get(), ["peer"]);
}

#[test]
fn the_peer_may_end_first_and_still_listen() {
    let mut el = EventLoop::new().unwrap();
    let why = Shared::default();
    let handler = Acts::new()
        .ended(|conn, el, _| {
            conn.start_timer(el, Duration::from_millis(5), 1);
        })
        .timer(|conn, _, _| {
            conn.send(&pattern(1 << 20));
            conn.close();
        })
        .told(&why);
    let (_, mut peer) = connected(&mut el, small_buffers(), handler);
    let peer = thread::spawn(move || {
        peer.shutdown(Shutdown::Write).unwrap();
        let mut all = Vec::new();
        peer.read_to_end(&mut all).unwrap();
        all
    });
    assert!(until_done(&mut el, peer) == pattern(1 << 20));
    let ended = why.clone();
    run_until(&mut el, LIMIT, move || ended.with(|why| !why.is_empty()));
    assert_eq!(why.get(), ["peer"]);
}

#[test]
fn a_reset_is_noticed_after_the_peer_has_ended() {
    for pauses in [false, true] {
        let mut el = EventLoop::new().unwrap();
        let (ended, why) = (count(), Shared::default());
        let told = ended.clone();
        let handler = Acts::new()
            .ended(move |conn, _, _| {
                told.set(1);
                if pauses {
                    conn.pause();
                }
            })
            .told(&why);
        let (_, mut peer) = connected(&mut el, Options::default(), handler);
        peer.write_all(b"my last words").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        run_until(&mut el, LIMIT, || ended.get() == 1);
        assert_eq!(why.get(), [""; 0]);
        peers::reset(peer);
        let ended = why.clone();
        run_until(&mut el, LIMIT, move || ended.with(|why| !why.is_empty()));
        assert_eq!(why.get(), ["reset"]);
    }
}

/// Closing a socket with unread input resets it, which takes the last bytes from the peer. And a peer
/// that writes before it reads has to get rid of its bytes first.
#[test]
fn a_graceful_close_delivers_everything_although_the_peer_is_still_sending() {
    for pauses in [false, true] {
        let mut el = EventLoop::new().unwrap();
        let why = Shared::default();
        let handler = Acts::new()
            .received(move |conn, _, _| {
                if pauses {
                    conn.pause();
                }
                conn.send(&pattern(2 << 20));
                conn.close();
                0
            })
            .told(&why);
        let (_, mut peer) = connected(&mut el, small_buffers(), handler);
        let peer = thread::spawn(move || {
            peer.write_all(&pattern(4 << 20)).unwrap();
            let mut all = Vec::new();
            peer.read_to_end(&mut all).unwrap();
            all
        });
        assert!(until_done(&mut el, peer) == pattern(2 << 20));
        let ended = why.clone();
        run_until(&mut el, LIMIT, move || ended.with(|why| !why.is_empty()));
        assert_eq!(why.get(), ["local"]);
    }
}

#[test]
fn a_connection_paused_before_it_is_closed_takes_what_the_peer_still_sends() {
    let mut el = EventLoop::new().unwrap();
    let handler = Acts::new().opened(|conn, _| conn.pause());
    let (id, mut peer) = connected(&mut el, small_buffers(), handler);
    let peer = thread::spawn(move || {
        peer.write_all(&pattern(4 << 20)).unwrap();
        let mut all = Vec::new();
        peer.read_to_end(&mut all).unwrap();
        all
    });
    for _ in 0..10 {
        el.run_once(Duration::from_millis(2));
    }
    let conn = el.connection(id).unwrap();
    conn.send(&pattern(1 << 20));
    conn.close();
    assert!(until_done(&mut el, peer) == pattern(1 << 20));
}

#[test]
fn a_peer_that_does_not_end_or_does_not_take_the_rest_is_left_in_time() {
    for (queued, sends) in [(100, false), (100, true), (4 << 20, false), (4 << 20, true)] {
        let mut el = EventLoop::new().unwrap();
        let why = Shared::default();
        let options = Options { linger: Duration::from_millis(80), ..small_buffers() };
        let handler = Acts::new().told(&why).opened(move |conn, _| {
            conn.send(&pattern(queued));
            conn.close();
        });
        let (_, peer) = connected(&mut el, options, handler);
        let mut sender = peer.try_clone().unwrap();
        let sender = thread::spawn(move || {
            while sends && sender.write_all(b"not heard").is_ok() {
                thread::sleep(Duration::from_millis(1));
            }
        });
        let began = Instant::now();
        let ended = why.clone();
        run_until(&mut el, LIMIT, move || ended.with(|why| !why.is_empty()));
        let took = began.elapsed();
        assert_eq!(why.get(), ["lingered"], "{queued} {sends}");
        assert!((80..600).contains(&took.as_millis()), "{queued} {sends}: {took:?}");
        assert_eq!((el.sources(), el.timers()), (0, 0));
        sender.join().unwrap();
    }
}

/// The idle bound is for peers that have nothing to say, not for those that still take.
#[test]
fn a_graceful_close_outlives_the_idle_bound_while_the_peer_takes() {
    let mut el = EventLoop::new().unwrap();
    let options = Options { idle: Some(Duration::from_millis(30)), ..small_buffers() };
    let handler = Acts::new().opened(|conn, _| {
        conn.send(&pattern(1 << 20));
        conn.close();
    });
    let (_, mut peer) = connected(&mut el, options, handler);
    let peer = thread::spawn(move || {
        let mut got = vec![0; 1 << 20];
        for piece in got.chunks_mut(64 << 10) {
            peer.read_exact(piece).unwrap();
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(peer.read(&mut [0]).unwrap(), 0);
        got
    });
    assert!(until_done(&mut el, peer) == pattern(1 << 20));
}

#[test]
fn a_reset_reaches_the_peer() {
    let mut el = EventLoop::new().unwrap();
    let why = Shared::default();
    let handler = Acts::new().opened(|conn, _| conn.reset()).told(&why);
    let (_, mut peer) = connected(&mut el, Options::default(), handler);
    let peer = thread::spawn(move || peer.read(&mut [0]).unwrap_err().kind());
    assert_eq!(until_done(&mut el, peer), ErrorKind::ConnectionReset);
    assert_eq!(why.get(), ["local"]);
}

#[test]
fn nothing_is_told_after_the_handler_has_closed_at_once() {
    let mut el = EventLoop::new().unwrap();
    let events = Shared::new(Vec::new());
    let (got, end, closed) = (events.clone(), events.clone(), events.clone());
    let handler = Acts::new()
        .received(move |conn, _, _| {
            got.change(|events| events.push("received"));
            conn.close_now();
            conn.send(b"into the void");
            1
        })
        .ended(move |_, _, _| end.change(|events| events.push("ended")))
        .closed(move |conn, _, reason| {
            conn.send(b"nobody there");
            conn.close_now();
            closed.change(|events| events.push(reason.label()));
        });
    let (_, mut peer) = connected(&mut el, Options::default(), handler);
    peer.write_all(b"several bytes").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let done = events.clone();
    run_until(&mut el, LIMIT, move || done.with(|events| events.contains(&"local")));
    for _ in 0..5 {
        el.run_once(Duration::from_millis(1));
    }
    assert_eq!(events.get(), ["received", "local"]);
}

#[test]
fn draining_delivers_what_is_queued_and_ends_the_loop() {
    let mut el = EventLoop::new().unwrap();
    let (id, mut peer) = connected(&mut el, small_buffers(), Acts::new());
    let peer = thread::spawn(move || {
        let mut all = Vec::new();
        peer.read_to_end(&mut all).unwrap();
        all
    });
    el.connection(id).unwrap().send(&pattern(2 << 20));
    el.drain(LIMIT);
    let began = Instant::now();
    el.run();
    assert!(began.elapsed() < LIMIT / 2);
    assert!(peer.join().unwrap() == pattern(2 << 20));
}

// ---- wake-ups ----

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

// ---- order ----

/// What a handler was told, in order.
#[derive(Clone, Debug, PartialEq)]
enum Told {
    Opened,
    Bytes(usize),
    Ended,
    Closed(&'static str),
}

/// How a peer's connection ends. The peer tells the server by its first byte.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ending {
    PeerEnds,
    PeerResets,
    ServerCloses,
    ServerClosesNow,
    ServerResets,
    ServerHalfCloses,
    ServerClosesForAReason,
}

const ENDINGS: [Ending; 7] = [
    Ending::PeerEnds,
    Ending::PeerResets,
    Ending::ServerCloses,
    Ending::ServerClosesNow,
    Ending::ServerResets,
    Ending::ServerHalfCloses,
    Ending::ServerClosesForAReason,
];

/// Reads the plan (ending, number, length), counts the bytes behind it and ends as planned.
fn planned(told: &Shared<HashMap<u16, Vec<Told>>>) -> Acts {
    let number = Shared::new(None);
    let tell = {
        let (told, number) = (told.clone(), number.clone());
        move |what: Told| {
            let number = number.get().unwrap_or(u16::MAX);
            told.change(|told| told.entry(number).or_default().push(what));
        }
    };
    let (mut got, mut plan) = (0, None);
    let (bytes, ended, closed) = (tell.clone(), tell.clone(), tell);
    Acts::new()
        .opened(|conn, _| conn.send(b"!"))
        .received(move |conn, _, input| {
            let mut counted = input.len();
            let (ending, len) = *plan.get_or_insert_with(|| {
                counted -= 7;
                number.change(|number| *number = Some(u16::from_le_bytes([input[1], input[2]])));
                // The connection has opened before anybody could name it.
                bytes(Told::Opened);
                let len = u32::from_le_bytes([input[3], input[4], input[5], input[6]]);
                (ENDINGS[usize::from(input[0])], len as usize)
            });
            got += counted;
            bytes(Told::Bytes(counted));
            if got >= len {
                match ending {
                    Ending::PeerEnds | Ending::PeerResets => {}
                    Ending::ServerCloses => conn.close(),
                    Ending::ServerClosesNow => conn.close_now(),
                    Ending::ServerResets => conn.reset(),
                    Ending::ServerHalfCloses => conn.half_close(),
                    Ending::ServerClosesForAReason => {
                        conn.close_because(CloseReason::TooLarge(len));
                    }
                }
            }
            input.len()
        })
        .ended(move |conn, _, _| {
            ended(Told::Ended);
            conn.close();
        })
        .closed(move |_, _, reason| closed(Told::Closed(reason.label())))
}

fn play(server: SocketAddr, number: u16, ending: Ending, len: usize, random: &mut Random) {
    let mut peer = TcpStream::connect(server).unwrap();
    peer.set_read_timeout(Some(LIMIT)).unwrap();
    peer.read_exact(&mut [0]).unwrap();
    let which = ENDINGS.iter().position(|other| *other == ending).unwrap() as u8;
    let mut bytes = vec![which];
    bytes.extend(number.to_le_bytes());
    bytes.extend((len as u32).to_le_bytes());
    bytes.resize(7 + len, b'x');
    peer.write_all(&bytes[..7]).unwrap();
    let mut left = &bytes[7..];
    while !left.is_empty() {
        let (piece, rest) = left.split_at(1 + random.below(left.len()));
        // The server may have closed already: it is through with the bytes it was told of.
        peer.write_all(piece).unwrap();
        left = rest;
    }
    let mut end = Vec::new();
    match ending {
        Ending::PeerResets => return peers::reset(peer),
        Ending::PeerEnds => peer.shutdown(Shutdown::Write).unwrap(),
        Ending::ServerHalfCloses => {
            assert_eq!(peer.read(&mut [0]).unwrap(), 0);
            peer.write_all(b"more").unwrap();
            return;
        }
        _ => {}
    }
    match peer.read_to_end(&mut end) {
        Ok(_) => assert!(ending != Ending::ServerResets && end.is_empty()),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            assert_eq!(ending, Ending::ServerResets);
        }
    }
}

#[test]
fn hundreds_of_connections_are_opened_and_closed_once_each_for_the_right_reason() {
    const THREADS: u16 = 4;
    const EACH: u16 = 100;
    let mut el = EventLoop::new().unwrap();
    let told = Shared::new(HashMap::new());
    let handlers = told.clone();
    let (listener, address) =
        serve(&mut el, Options::default(), move |_, _| planned(&handlers).boxed());
    let plan = |number: u16| {
        let mut random = Random(0x5EED + u64::from(number) * 7919);
        random.below(7);
        (ENDINGS[random.below(ENDINGS.len())], 1 + random.below(50_000), random)
    };
    let peers: Vec<_> = (0..THREADS)
        .map(|thread| {
            thread::spawn(move || {
                for number in thread * EACH..(thread + 1) * EACH {
                    let (ending, len, mut random) = plan(number);
                    play(address, number, ending, len, &mut random);
                }
            })
        })
        .collect();
    run_until(&mut el, LIMIT, || peers.iter().all(thread::JoinHandle::is_finished));
    for peer in peers {
        peer.join().unwrap();
    }
    let handle = el.handle();
    run_until(&mut el, LIMIT, || handle.connections() == 0);
    assert_eq!((el.sources(), el.timers()), (1, 0));
    assert!(el.contains(listener));
    told.with(|told| {
        assert_eq!(told.len(), usize::from(THREADS * EACH));
        for number in 0..THREADS * EACH {
            let (ending, len, _) = plan(number);
            check(&told[&number], ending, len);
        }
    });
}

fn check(told: &[Told], ending: Ending, len: usize) {
    let context = format!("{ending:?} {len} {told:?}");
    assert_eq!(told.first(), Some(&Told::Opened), "{context}");
    assert_eq!(told.iter().filter(|told| **told == Told::Opened).count(), 1, "{context}");
    let ends = told.iter().filter(|told| matches!(told, Told::Closed(_))).count();
    assert_eq!(ends, 1, "{context}");
    let (reason, ended, more) = match ending {
        Ending::PeerEnds => ("peer", 1, 0),
        Ending::PeerResets => ("reset", 0, 0),
        Ending::ServerHalfCloses => ("peer", 1, 4),
        Ending::ServerClosesForAReason => ("too_large", 0, 0),
        _ => ("local", 0, 0),
    };
    assert_eq!(told.last(), Some(&Told::Closed(reason)), "{context}");
    assert_eq!(told.iter().filter(|told| **told == Told::Ended).count(), ended, "{context}");
    let bytes: usize = told.iter().map(|told| if let Told::Bytes(n) = told { *n } else { 0 }).sum();
    match ending {
        Ending::PeerResets => assert!(bytes <= len, "{context}"),
        _ => assert_eq!(bytes, len + more, "{context}"),
    }
}

/// An id whose connection has ended finds nothing.
#[test]
fn an_ended_connection_is_found_no_more() {
    let mut el = EventLoop::new().unwrap();
    let (id, peer) = connected(&mut el, Options::default(), Acts::new());
    drop(peer);
    let handle = el.handle();
    el.run_once(Duration::ZERO);
    run_until(&mut el, LIMIT, || handle.connections() == 0);
    let gone = |el: &mut EventLoop, id: SourceId| {
        el.mark_due(id);
        !el.contains(id) && el.connection(id).is_none() && !el.remove(id)
    };
    assert!(gone(&mut el, id));
    let (next, _peer) = connected(&mut el, Options::default(), Acts::new());
    assert!(gone(&mut el, id) && el.contains(next));
}
