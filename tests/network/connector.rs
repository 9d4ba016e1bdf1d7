//! Calling somebody who answers, late, never, or is not there.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::thread;
use std::time::{Duration, Instant};

use network::{
    Backoff, Connect, ConnectCause, ConnectError, Connected, Connecting, Endpoint, EventLoop,
    Handler, Listen,
};
use socket2::{Domain, Socket, Type};

use crate::peers::{Acts, Echo, LIMIT, Shared, add, anywhere, count, serve};
use crate::support::{Scratch, run_until};

type Outcome = Shared<Option<Result<Connected, ConnectError>>>;

/// Calls, notes the outcome, and gives the connection to nobody.
fn call(el: &mut EventLoop, connect: Connect) -> (Connecting, Outcome) {
    let outcome = Outcome::default();
    let told = outcome.clone();
    let connecting = el.connect(connect, move |_, result| {
        assert!(told.change(|told| told.replace(result)).is_none(), "called once");
        None
    });
    assert!(outcome.with(Option::is_none), "never before `connect` returns");
    (connecting, outcome)
}

fn outcome(el: &mut EventLoop, connect: Connect) -> Result<Connected, ConnectError> {
    let (_, outcome) = call(el, connect);
    let told = outcome.clone();
    run_until(el, LIMIT, move || told.with(Option::is_some));
    assert_eq!((el.sources(), el.timers()), (0, 0), "nothing is left behind");
    outcome.change(Option::take).unwrap()
}

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A listener that answers nobody: its queue is full. Lives as long as what is returned.
fn black_hole() -> (SocketAddr, impl Sized) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let waiting = TcpStream::connect(address).unwrap();
    (address, (socket, waiting))
}

fn quick() -> Backoff {
    Backoff::new(Duration::from_millis(4), Duration::from_millis(20))
}

#[test]
fn a_call_becomes_a_connection() {
    let mut el = EventLoop::new().unwrap();
    let scratch = Scratch::new("call");
    let (_, v4) = serve(&mut el, Default::default(), |_, _| Some(Box::new(Echo)));
    let unix = Endpoint::Unix(scratch.path().into());
    for bound in [Listen::on("[::1]:0".parse().unwrap()), Listen::on(unix.clone())] {
        let bound = bound.bind().unwrap();
        let endpoint = bound.endpoint().clone();
        el.accept_on(bound, |_, _| Some(Box::new(Echo))).unwrap();
        talk(&mut el, endpoint);
    }
    talk(&mut el, v4.into());
    talk(&mut el, format!("localhost:{}", v4.port()).parse().unwrap());
}

fn talk(el: &mut EventLoop, endpoint: Endpoint) {
    let got = Shared::new(Vec::new());
    let answer = got.clone();
    let is_unix = matches!(endpoint, Endpoint::Unix(_));
    el.connect(Connect::to(endpoint), move |_, result| {
        let connected = result.unwrap();
        assert_eq!((connected.attempts, connected.peer.is_none()), (1, is_unix));
        Acts::new().opened(|conn, _| conn.send(b"hello")).into_bytes(&answer).boxed()
    });
    let answer = got.clone();
    run_until(el, LIMIT, move || answer.with(Vec::len) == 5);
    assert_eq!(got.get(), b"hello");
    // The time-out of a call that was answered has gone with the call.
    assert_eq!(el.timers(), 0);
}

#[test]
fn who_is_not_there_refuses_and_the_error_says_who() {
    let mut el = EventLoop::new().unwrap();
    let address = nobody();
    let error = outcome(&mut el, Connect::to(address.into())).unwrap_err();
    assert_eq!((error.attempts, &error.endpoint), (1, &Endpoint::Ip(address)));
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    let ConnectCause::Io(cause) = error.cause else { panic!("{error}") };
    assert_eq!(cause.kind(), ErrorKind::ConnectionRefused);
    let scratch = Scratch::new("nobody");
    let unix = Endpoint::Unix(scratch.path().into());
    let error = outcome(&mut el, Connect::to(unix)).unwrap_err();
    let ConnectCause::Io(cause) = error.cause else { panic!("{error}") };
    assert_eq!(cause.kind(), ErrorKind::NotFound);
    drop(UnixListener::bind(scratch.path()).unwrap());
    let unix = Endpoint::Unix(scratch.path().into());
    let error = outcome(&mut el, Connect::to(unix)).unwrap_err();
    let ConnectCause::Io(cause) = error.cause else { panic!("{error}") };
    assert_eq!(cause.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_refused_call_is_tried_again_with_growing_pauses() {
    let mut el = EventLoop::new().unwrap();
    let began = Instant::now();
    let connect = Connect::to(nobody().into()).attempts(Some(4));
    let pauses = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));
    let error = outcome(&mut el, connect.backoff(pauses)).unwrap_err();
    assert_eq!(error.attempts, 4);
    assert!(error.to_string().ends_with("(after 4 attempts)"), "{error}");
    // Between half and the whole of 20 + 40 + 80 ms.
    let took = began.elapsed().as_millis();
    assert!((70..1000).contains(&took), "{took} ms");
}

#[test]
fn nobody_answers_and_the_call_ends_in_time() {
    let mut el = EventLoop::new().unwrap();
    let (address, _hole) = black_hole();
    let began = Instant::now();
    let timeout = Duration::from_millis(60);
    let connect = Connect::to(address.into()).timeout(timeout).attempts(Some(2)).backoff(quick());
    let error = outcome(&mut el, connect).unwrap_err();
    assert!(matches!(error.cause, ConnectCause::TimedOut(_)), "{error}");
    assert_eq!(error.attempts, 2);
    let took = began.elapsed();
    assert!(took >= timeout * 2 && took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn a_server_that_comes_late_is_found() {
    let mut el = EventLoop::new().unwrap();
    let address = nobody();
    let (_, outcome) = call(&mut el, Connect::to(address.into()).attempts(None).backoff(quick()));
    let until = Instant::now() + Duration::from_millis(60);
    run_until(&mut el, LIMIT, || Instant::now() > until);
    assert!(outcome.with(Option::is_none));
    let server = TcpListener::bind(address).unwrap();
    let told = outcome.clone();
    run_until(&mut el, LIMIT, move || told.with(Option::is_some));
    let connected = outcome.change(Option::take).unwrap().unwrap();
    assert!(connected.attempts > 2, "{connected:?}");
    assert_eq!(connected.peer, Some(address));
    // Nobody took the connection, so it is closed.
    assert_eq!(server.accept().unwrap().0.read(&mut [0]).unwrap(), 0);
    assert_eq!((el.sources(), el.timers()), (0, 0));
}

/// A call from a port to itself is answered by the kernel without anybody listening. Repeated calls
/// to a local port nobody serves yet meet it by chance.
#[test]
fn a_call_that_reaches_itself_is_refused() {
    let mut el = EventLoop::new().unwrap();
    let address = nobody();
    let error = outcome(&mut el, Connect::to(address.into()).from(address)).unwrap_err();
    let ConnectCause::Io(cause) = error.cause else { panic!("{error}") };
    assert_eq!(cause.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn the_call_comes_from_where_it_is_told_to() {
    let mut el = EventLoop::new().unwrap();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = server.local_addr().unwrap();
    let from = SocketAddr::from(([127, 0, 0, 9], 0));
    outcome(&mut el, Connect::to(to.into()).from(from)).unwrap();
    assert_eq!(server.accept().unwrap().1.ip(), from.ip());
    let elsewhere = Connect::to(to.into()).from("192.0.2.1:0".parse().unwrap());
    let error = outcome(&mut el, elsewhere).unwrap_err();
    let ConnectCause::Io(cause) = error.cause else { panic!("{error}") };
    assert_eq!(cause.kind(), ErrorKind::AddrNotAvailable);
}

/// A label of more than 63 letters is no name, which the resolver knows without asking anybody.
fn no_name() -> Endpoint {
    Endpoint::Name(format!("{}.invalid", "a".repeat(64)), 80)
}

#[test]
fn a_name_that_does_not_resolve_is_an_error_that_says_so() {
    let mut el = EventLoop::new().unwrap();
    let connect = Connect::to(no_name()).attempts(Some(2)).backoff(quick());
    let error = outcome(&mut el, connect).unwrap_err();
    assert!(matches!(error.cause, ConnectCause::Resolve(_)), "{error}");
    assert!(error.to_string().contains("does not resolve"), "{error}");
    assert_eq!(error.attempts, 2);
}

#[test]
fn a_cancelled_call_calls_nobody_and_leaves_nothing() {
    let (hole, _hole) = black_hole();
    let (taker, nobody) = (TcpListener::bind("127.0.0.1:0").unwrap(), nobody());
    let slow = Backoff::new(Duration::from_secs(100), Duration::from_secs(100));
    let forever = |endpoint: Endpoint| Connect::to(endpoint).attempts(None).backoff(slow);
    let calls = [
        Connect::to(hole.into()),
        forever(nobody.into()),
        forever(no_name()),
        Connect::to(taker.local_addr().unwrap().into()),
    ];
    for (at, connect) in calls.into_iter().enumerate() {
        for turns in 0..4 {
            let mut el = EventLoop::new().unwrap();
            let (connecting, outcome) = call(&mut el, connect.clone());
            for _ in 0..turns {
                el.run_once(Duration::from_millis(5));
            }
            let answered = outcome.with(Option::is_some);
            connecting.cancel(&mut el);
            // Also where an answer of the resolver comes afterwards.
            for _ in 0..4 {
                el.run_once(Duration::from_millis(5));
            }
            assert_eq!(outcome.with(Option::is_some), answered, "call {at}, {turns} turns");
            assert_eq!((el.sources(), el.timers()), (0, 0), "call {at}, {turns} turns");
        }
    }
}

#[test]
fn a_call_goes_on_where_nobody_keeps_its_name() {
    let mut el = EventLoop::new().unwrap();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let (connecting, outcome) = call(&mut el, Connect::to(server.local_addr().unwrap().into()));
    drop(connecting);
    let told = outcome.clone();
    run_until(&mut el, LIMIT, move || told.with(Option::is_some));
    assert!(outcome.with(|outcome| matches!(outcome, Some(Ok(_)))));
}

/// Calls again whenever the connection ends, as a relay does.
fn keep_calling(el: &mut EventLoop, to: SocketAddr, ends: Shared<Vec<&'static str>>) {
    let connect = Connect::to(to.into()).attempts(None).backoff(quick());
    el.connect(connect, move |_, result| {
        result.unwrap();
        let handler = Acts::new().closed(move |_, el, reason| {
            ends.change(|ends| ends.push(reason.label()));
            keep_calling(el, to, ends.clone());
        });
        handler.boxed()
    });
}

#[test]
fn a_connection_may_be_made_again_as_it_ends() {
    let mut el = EventLoop::new().unwrap();
    let server = anywhere().bind().unwrap();
    let address = server.address().unwrap();
    let make = |_: &mut EventLoop, _: &_| Acts::new().opened(|conn, _| conn.close()).boxed();
    let listener = el.accept_on(server, make).unwrap();
    let ends = Shared::new(Vec::new());
    keep_calling(&mut el, address, ends.clone());
    let done = ends.clone();
    run_until(&mut el, LIMIT, move || done.with(Vec::len) >= 20);
    // The server goes and comes back.
    el.remove(listener);
    let until = Instant::now() + Duration::from_millis(30);
    run_until(&mut el, LIMIT, || Instant::now() > until);
    let before = ends.with(Vec::len);
    el.accept_on(Listen::on(address.into()).bind().unwrap(), make).unwrap();
    let done = ends.clone();
    run_until(&mut el, LIMIT, move || done.with(Vec::len) >= before + 5);
    assert!(ends.get().iter().all(|label| *label == "peer"), "{:?}", ends.get());
}

#[test]
fn hundreds_of_calls_at_once_are_answered_each() {
    const CALLS: usize = 400;
    let mut el = EventLoop::new().unwrap();
    let (_, address) = serve(&mut el, Default::default(), |_, _| Some(Box::new(Echo)));
    let answered = count();
    for _ in 0..CALLS {
        let answered = answered.clone();
        el.connect(Connect::to(address.into()), move |_, result| {
            result.unwrap();
            let handler = Acts::new().opened(|conn, _| conn.send(b".")).received({
                move |conn, _, input| {
                    add(&answered, 1);
                    conn.close();
                    input.len()
                }
            });
            Some(Box::new(handler) as Box<dyn Handler>)
        });
    }
    let handle = el.handle();
    run_until(&mut el, LIMIT, || answered.get() == CALLS && handle.connections() == 0);
    assert_eq!((el.sources(), el.timers()), (1, 0));
}

/// Who answers and ends at once has still answered: `opened` comes, then what was said, then the end.
#[test]
fn what_a_short_lived_server_says_is_heard() {
    let mut el = EventLoop::new().unwrap();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let server = thread::spawn(move || {
        for _ in 0..50 {
            server.accept().unwrap().0.write_all(b"bye").unwrap();
        }
    });
    for _ in 0..50 {
        let (got, why) = (Shared::new(Vec::new()), Shared::default());
        let handler = Acts::new().into_bytes(&got).told(&why);
        el.connect(Connect::to(address.into()), move |_, result| {
            result.unwrap();
            handler.boxed()
        });
        let ended = why.clone();
        run_until(&mut el, LIMIT, move || ended.with(|why: &Vec<_>| !why.is_empty()));
        assert_eq!((got.get(), why.get()), (b"bye".to_vec(), vec!["peer"]));
    }
    server.join().unwrap();
    assert_eq!((el.sources(), el.timers()), (0, 0));
}
