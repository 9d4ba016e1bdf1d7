//! Who has a connection: handed from one handler to another, from loop to loop, and out of the loop.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use network::{CloseReason, Connection, Detached, EventLoop, Handle, Handler, Options, Threads};

use crate::peers::{
    Acts, LIMIT, Random, Shared, add, connected, count, pattern, small_buffers, tcp_pair,
};
use crate::support::{run_until, until_done};

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
