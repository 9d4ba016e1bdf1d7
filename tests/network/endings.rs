//! How connections end, from either side.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use network::{CloseReason, EventLoop, Options, SourceId};

use crate::peers::{
    Acts, LIMIT, Random, Shared, connected, count, pattern, reset, serve, small_buffers,
};
use crate::support::{run_until, until_done};

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
        reset(peer);
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
        Ending::PeerResets => return reset(peer),
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
