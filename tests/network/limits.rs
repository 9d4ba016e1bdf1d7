//! What a peer may not do for ever: be one too many, be silent, send a message without an end.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use network::{Endpoint, EventLoop, Limiter, Listen, Options};
use socket2::{Domain, Socket, Type};

use crate::peers::{Acts, Echo, LIMIT, Shared, add, anywhere, connected, count, serve};
use crate::support::run_until;

const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

fn limited(el: &mut EventLoop, at: Listen, limiter: &Limiter) -> SocketAddr {
    let bound = at.limit(limiter.clone(), Bytes::from_static(REFUSAL)).bind().unwrap();
    let address = bound.address().unwrap();
    el.accept_on(bound, |_, _| Some(Box::new(Echo))).unwrap();
    address
}

/// Calls from an address of this machine, and says whether it was let in.
fn call(el: &mut EventLoop, from: [u8; 4], to: SocketAddr) -> Option<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    let mut peer = TcpStream::from(socket);
    let asked = thread::spawn(move || {
        peer.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let mut answer = [0; 18];
        peer.read_exact(&mut answer).unwrap();
        if answer == *b"GET / HTTP/1.1\r\n\r\n" {
            return Some(peer);
        }
        let mut rest = Vec::new();
        peer.read_to_end(&mut rest).unwrap();
        assert_eq!([&answer, &rest[..]].concat(), REFUSAL, "all of the words arrive");
        None
    });
    run_until(el, LIMIT, || asked.is_finished());
    asked.join().unwrap()
}

const A: [u8; 4] = [127, 0, 0, 1];
const B: [u8; 4] = [127, 0, 0, 2];

#[test]
fn one_more_than_the_limit_is_told_so_and_a_place_is_free_again_at_the_end() {
    let mut el = EventLoop::new().unwrap();
    let limiter = Limiter::new(2, usize::MAX);
    let address = limited(&mut el, anywhere(), &limiter);
    let first = call(&mut el, A, address).unwrap();
    let _second = call(&mut el, A, address).unwrap();
    for _ in 0..5 {
        assert!(call(&mut el, A, address).is_none());
    }
    assert_eq!((limiter.open(), limiter.refused()), (2, 5));
    assert_eq!(el.handle().connections(), 2);
    drop(first);
    run_until(&mut el, LIMIT, || limiter.open() == 1);
    assert!(call(&mut el, A, address).is_some());
}

/// The words are sent as the connection comes in, before the peer has asked anything.
#[test]
fn a_peer_that_asks_late_still_reads_the_refusal() {
    let mut el = EventLoop::new().unwrap();
    let address = limited(&mut el, anywhere(), &Limiter::new(0, usize::MAX));
    let mut peer = TcpStream::connect(address).unwrap();
    let listening = peer.try_clone().unwrap();
    let came = thread::spawn(move || listening.peek(&mut [0]).unwrap());
    run_until(&mut el, LIMIT, || came.is_finished());
    // Resets: nobody is there any more.
    let _ = peer.write_all(b"GET / HTTP/1.1\r\n\r\n");
    let mut words = [0; REFUSAL.len()];
    peer.read_exact(&mut words).unwrap();
    assert_eq!(words, REFUSAL);
}

#[test]
fn an_address_has_a_limit_of_its_own_over_all_listeners() {
    let mut el = EventLoop::new().unwrap();
    let limiter = Limiter::new(10, 2);
    let v4 = limited(&mut el, anywhere(), &limiter);
    // Sees the same peer as ::ffff:127.0.0.1.
    let all = limited(&mut el, Listen::on("[::]:0".parse().unwrap()), &limiter);
    let all = SocketAddr::from((A, all.port()));
    let first = call(&mut el, A, v4).unwrap();
    let _second = call(&mut el, A, all).unwrap();
    assert!(call(&mut el, A, v4).is_none() && call(&mut el, A, all).is_none());
    let _third = call(&mut el, B, v4).unwrap();
    let _fourth = call(&mut el, B, all).unwrap();
    assert!(call(&mut el, B, v4).is_none());
    drop(first);
    run_until(&mut el, LIMIT, || limiter.open() == 3);
    assert!(call(&mut el, A, all).is_some());
}

#[test]
fn a_place_is_taken_as_long_as_the_connection_is_anywhere() {
    let mut el = EventLoop::new().unwrap();
    let limiter = Limiter::new(1, usize::MAX);
    let held = Shared::new(None);
    let to = held.clone();
    let bound = anywhere().limit(limiter.clone(), Bytes::new()).bind().unwrap();
    let address = bound.address().unwrap();
    el.accept_on(bound, move |_, _| {
        let to = to.clone();
        let detach = move |conn: &mut network::Connection, _: &mut EventLoop| {
            let to = to.clone();
            conn.detach(move |_, detached| to.change(|to| *to = Some(detached)));
        };
        Acts::new().opened(detach).boxed()
    })
    .unwrap();
    let _peer = TcpStream::connect(address).unwrap();
    let done = held.clone();
    run_until(&mut el, LIMIT, move || done.with(Option::is_some));
    assert_eq!((limiter.open(), el.sources()), (1, 1));
    let id = el.adopt(held.change(Option::take).unwrap(), Box::new(Echo)).unwrap();
    assert_eq!(limiter.open(), 1);
    el.connection(id).unwrap().close_now();
    el.run_once(Duration::ZERO);
    assert_eq!(limiter.open(), 0);
    // Nor by one that nobody wants.
    let bound = anywhere().limit(limiter.clone(), Bytes::new()).bind().unwrap();
    let address = bound.address().unwrap();
    let asked = count();
    let told = asked.clone();
    el.accept_on(bound, move |_, _| {
        add(&told, 1);
        None
    })
    .unwrap();
    let _peer = TcpStream::connect(address).unwrap();
    run_until(&mut el, LIMIT, || asked.get() == 1);
    assert_eq!(limiter.open(), 0);
}

#[test]
fn a_refused_unix_peer_is_told_too() {
    let mut el = EventLoop::new().unwrap();
    let scratch = crate::support::Scratch::new("limit");
    let limiter = Limiter::new(0, usize::MAX);
    let at = Listen::on(Endpoint::Unix(scratch.path().into()));
    let bound = at.limit(limiter.clone(), Bytes::from_static(REFUSAL)).bind().unwrap();
    el.accept_on(bound, |_, _| Some(Box::new(Echo))).unwrap();
    let mut peer = std::os::unix::net::UnixStream::connect(scratch.path()).unwrap();
    run_until(&mut el, LIMIT, || limiter.refused() == 1);
    let mut words = Vec::new();
    peer.read_to_end(&mut words).unwrap();
    assert_eq!(words, REFUSAL);
}

// ---- silence ----

#[test]
fn a_thousand_silent_connections_end_in_time_and_cost_one_timer_each() {
    let mut el = EventLoop::new().unwrap();
    let idle = Duration::from_millis(300);
    let ended = Shared::new(Vec::new());
    let (told, began) = (ended.clone(), Instant::now());
    let (listener, address) =
        serve(&mut el, Options { idle: Some(idle), ..Options::default() }, move |_, _| {
            let told = told.clone();
            let closed = Acts::new().closed(move |_, _, reason| {
                told.change(|ended| ended.push((reason.label(), began.elapsed())));
            });
            closed.boxed()
        });
    let peers: Vec<_> = (0..1000).map(|_| TcpStream::connect(address).unwrap()).collect();
    let handle = el.handle();
    run_until(&mut el, LIMIT, || handle.connections() + ended.with(Vec::len) == 1000);
    let connected = began.elapsed();
    let done = ended.clone();
    run_until(&mut el, LIMIT, move || done.with(Vec::len) == 1000);
    ended.with(|ended| {
        for (label, at) in ended {
            assert_eq!(*label, "idle");
            assert!(*at >= idle && *at < connected + idle * 2, "after {at:?} of {connected:?}");
        }
    });
    assert!(el.contains(listener));
    assert_eq!((el.sources(), el.timers()), (1, 0));
    drop(peers);
}

#[test]
fn reading_extends_the_idle_time_and_writing_does_not() {
    let idle = Duration::from_millis(150);
    for reads in [true, false] {
        let mut el = EventLoop::new().unwrap();
        let why = Shared::default();
        let handler = Acts::new()
            .opened(|conn, el| {
                conn.start_timer(el, Duration::from_millis(20), 1);
            })
            .timer(|conn, el, _| {
                conn.send(b"still here");
                conn.start_timer(el, Duration::from_millis(20), 1);
            })
            .told(&why);
        let options = Options { idle: Some(idle), ..Options::default() };
        let (_, mut peer) = connected(&mut el, options, handler);
        let began = Instant::now();
        let busy = idle * 3;
        let talker = thread::spawn(move || {
            while reads && began.elapsed() < busy {
                peer.write_all(b".").unwrap();
                thread::sleep(Duration::from_millis(10));
            }
            peer
        });
        let ended = why.clone();
        run_until(&mut el, LIMIT, move || ended.with(|why| !why.is_empty()));
        assert_eq!(why.get(), ["idle"]);
        let expected = if reads { busy + idle } else { idle };
        let took = began.elapsed() + Duration::from_millis(15);
        assert!(took >= expected && took < expected + idle * 3, "{took:?} for {expected:?}");
        drop(talker.join().unwrap());
    }
}

#[test]
fn the_idle_time_may_change_while_the_connection_is_open() {
    let mut el = EventLoop::new().unwrap();
    let why = Shared::default();
    let (id, _peer) = connected(&mut el, Options::default(), Acts::new().told(&why));
    let options = Options { idle: Some(Duration::from_millis(30)), ..Options::default() };
    let (other, _other_peer) = connected(&mut el, options, Acts::new().told(&why));
    el.run_once(Duration::ZERO);
    assert_eq!(el.timers(), 1);
    el.connection(id).unwrap().set_idle(Some(Duration::from_millis(60)));
    el.connection(other).unwrap().set_idle(None);
    let ended = why.clone();
    run_until(&mut el, LIMIT, move || ended.with(|why| !why.is_empty()));
    assert!(!el.contains(id) && el.contains(other));
    for _ in 0..10 {
        el.run_once(Duration::from_millis(5));
    }
    assert_eq!((why.get(), el.timers()), (vec!["idle"], 0));
}

#[test]
fn a_timer_of_a_connection_that_has_ended_calls_nobody() {
    let mut el = EventLoop::new().unwrap();
    let (calls, key) = (count(), count());
    let (called, got) = (calls.clone(), key.clone());
    let handler = Acts::new()
        .opened(|conn, el| {
            conn.start_timer(el, Duration::from_millis(1), 77);
            conn.start_timer(el, Duration::from_millis(30), 78);
        })
        .timer(move |conn, _, key| {
            got.set(key as usize);
            add(&called, 1);
            conn.close_now();
        });
    let (id, _peer) = connected(&mut el, Options::default(), handler);
    el.run_once(Duration::ZERO);
    el.run_once(Duration::ZERO);
    let began = Instant::now();
    run_until(&mut el, LIMIT, || began.elapsed() > Duration::from_millis(50));
    assert!(!el.contains(id));
    assert_eq!((calls.get(), key.get(), el.timers()), (1, 77, 0));
}

// ---- a message without an end ----

#[test]
fn a_message_longer_than_the_bound_closes_and_one_of_its_length_does_not() {
    for (sent, reason) in [(10_000, None), (10_001, Some("too_large"))] {
        let mut el = EventLoop::new().unwrap();
        let (most, why) = (count(), Shared::default());
        let seen = most.clone();
        let options = Options { unconsumed: 10_000, ..Options::default() };
        let handler = Acts::new()
            .received(move |_, _, input| {
                seen.set(input.len());
                0
            })
            .told(&why);
        let (id, mut peer) = connected(&mut el, options, handler);
        let writer = thread::spawn(move || {
            for piece in vec![b'x'; sent].chunks(999) {
                peer.write_all(piece).unwrap();
            }
            peer
        });
        let ended = why.clone();
        run_until(&mut el, LIMIT, move || {
            most.get() == sent || ended.with(|why: &Vec<_>| !why.is_empty())
        });
        el.run_once(Duration::ZERO);
        assert_eq!(why.get().first().copied(), reason);
        assert_eq!(el.contains(id), reason.is_none());
        drop(writer.join().unwrap());
    }
}
