//! Where one listens, and which loop gets the connection.

use std::collections::{HashMap, HashSet};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use network::{
    Accepted, Bound, Endpoint, EventLoop, Handler, Keepalive, Listen, Options, Placement, SourceId,
    Threads,
};
use socket2::{Domain, SockRef, Socket, Type};

use crate::peers::{Acts, Echo, LIMIT, Shared, add, anywhere, count, serve};
use crate::support::{Scratch, run_until, wait_until};

fn echo(_: &mut EventLoop, _: &Accepted) -> Option<Box<dyn Handler>> {
    Some(Box::new(Echo))
}

fn speak(mut peer: impl Read + Write) {
    peer.write_all(b"hello").unwrap();
    let mut answer = [0; 5];
    peer.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"hello");
}

fn unix(scratch: &Scratch) -> Listen {
    Listen::on(Endpoint::Unix(scratch.path().into()))
}

/// Connects from an address of this machine, blocking.
fn call_from(from: [u8; 4], to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.into()
}

// ---- addresses ----

#[test]
fn several_addresses_of_all_kinds_are_served_by_one_loop() {
    let mut el = EventLoop::new().unwrap();
    let scratch = Scratch::new("several");
    let v4 = anywhere().bind().unwrap();
    let other = Listen::on(([127, 0, 0, 2], 0).into()).bind().unwrap();
    let v6 = Listen::on("[::1]:0".parse().unwrap()).bind().unwrap();
    let all = Listen::on(":0".parse().unwrap()).bind().unwrap();
    let port = all.address().unwrap().port();
    let tcp = [
        v4.address().unwrap(),
        other.address().unwrap(),
        v6.address().unwrap(),
        ([127, 0, 0, 1], port).into(),
        ("::1".parse::<IpAddr>().unwrap(), port).into(),
    ];
    for bound in [v4, other, v6, all, unix(&scratch).bind().unwrap()] {
        el.accept_on(bound, echo).unwrap();
    }
    let path = scratch.path().to_owned();
    let peers = thread::spawn(move || {
        for address in tcp {
            speak(TcpStream::connect(address).unwrap());
        }
        speak(UnixStream::connect(path).unwrap());
    });
    run_until(&mut el, LIMIT, || peers.is_finished());
    peers.join().unwrap();
}

#[test]
fn the_peers_address_is_told_where_there_is_one() {
    let mut el = EventLoop::new().unwrap();
    let scratch = Scratch::new("peer");
    let seen = Shared::new(Vec::new());
    let told = seen.clone();
    let (_, address) = serve(&mut el, Options::default(), move |_, accepted| {
        told.change(|seen| seen.push(accepted.peer));
        let told = told.clone();
        Acts::new()
            .opened(move |conn, _| {
                told.change(|seen| seen.extend([conn.peer(), conn.local()]));
                assert!(conn.tcp_info().is_ok());
            })
            .boxed()
    });
    let (told, unix_opened) = (seen.clone(), count());
    let opened = unix_opened.clone();
    el.accept_on(unix(&scratch).bind().unwrap(), move |_, accepted| {
        told.change(|seen| seen.push(accepted.peer));
        let opened = opened.clone();
        let opened = Acts::new().opened(move |conn, _| {
            add(&opened, 1);
            assert!(conn.peer().is_none() && conn.local().is_none() && conn.tcp_info().is_err());
        });
        opened.boxed()
    })
    .unwrap();
    let tcp = TcpStream::connect(address).unwrap();
    let told = seen.clone();
    run_until(&mut el, LIMIT, move || told.with(Vec::len) == 3);
    let _unix = UnixStream::connect(scratch.path()).unwrap();
    let (told, opened) = (seen.clone(), unix_opened.clone());
    run_until(&mut el, LIMIT, move || told.with(Vec::len) == 4 && opened.get() == 1);
    let peer = Some(tcp.local_addr().unwrap());
    assert_eq!(seen.get(), [peer, peer, Some(address), None]);
}

#[test]
fn a_taken_port_is_an_error_that_names_it() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    let listen = Listen::on(address.into());
    for error in [listen.bind().unwrap_err(), listen.bind_each(3).unwrap_err()] {
        assert_eq!(error.io().kind(), ErrorKind::AddrInUse);
        let text = error.to_string();
        assert!(text.contains(&address.to_string()) && text.contains("another process"), "{text}");
    }
    // Also where the other one would share it.
    let shared = anywhere().bind_each(2).unwrap();
    let again = Listen::on(shared[0].endpoint().clone());
    assert!(again.bind().is_err() && again.bind_each(2).is_err());
}

#[test]
fn an_address_of_another_machine_and_a_name_are_errors_that_say_so() {
    let error = Listen::on("192.0.2.1:0".parse().unwrap()).bind().unwrap_err().to_string();
    assert!(error.contains("192.0.2.1:0") && error.contains("no such address"), "{error}");
    let error = Listen::on("localhost:0".parse().unwrap()).bind().unwrap_err().to_string();
    assert!(error.contains("localhost:0") && error.contains("not on a name"), "{error}");
    let long = format!("unix:/{}", "x".repeat(200));
    let error = Listen::on(long.parse().unwrap()).bind().unwrap_err().to_string();
    assert!(error.contains(&long), "{error}");
}

#[test]
fn the_port_is_free_again_at_once_although_connections_wait_in_the_kernel() {
    let mut address = SocketAddr::from(([127, 0, 0, 1], 0));
    for _ in 0..3 {
        let mut el = EventLoop::new().unwrap();
        let bound = Listen::on(address.into()).bind().unwrap();
        address = bound.address().unwrap();
        // This side closes first, so that TIME_WAIT is on its port.
        el.accept_on(bound, |_, _| Acts::new().opened(|conn, _| conn.close()).boxed()).unwrap();
        let peers = thread::spawn(move || {
            for _ in 0..20 {
                let mut peer = TcpStream::connect(address).unwrap();
                assert_eq!(peer.read(&mut [0]).unwrap(), 0);
            }
        });
        run_until(&mut el, LIMIT, || peers.is_finished());
        peers.join().unwrap();
        let handle = el.handle();
        run_until(&mut el, LIMIT, || handle.connections() == 0);
    }
}

// ---- Unix sockets ----

#[test]
fn a_dead_socket_file_is_replaced_and_ours_goes_with_the_listener() {
    let scratch = Scratch::new("dead");
    drop(UnixListener::bind(scratch.path()).unwrap());
    assert!(scratch.path().exists(), "nobody answers there");
    let mut el = EventLoop::new().unwrap();
    let listener = el.accept_on(unix(&scratch).bind().unwrap(), echo).unwrap();
    let path = scratch.path().to_owned();
    let peer = thread::spawn(move || speak(UnixStream::connect(path).unwrap()));
    run_until(&mut el, LIMIT, || peer.is_finished());
    peer.join().unwrap();
    el.remove(listener);
    assert!(!scratch.path().exists());
}

#[test]
fn a_socket_file_goes_with_its_socket_and_no_other() {
    let scratch = Scratch::new("ours");
    drop(unix(&scratch).bind().unwrap());
    assert!(!scratch.path().exists(), "nobody listens any more");
    // Somebody else has the name now.
    let first = unix(&scratch).bind().unwrap();
    std::fs::remove_file(scratch.path()).unwrap();
    let _second = unix(&scratch).bind().unwrap();
    drop(first);
    assert!(UnixStream::connect(scratch.path()).is_ok());
}

#[test]
fn a_living_socket_and_a_plain_file_are_left_alone() {
    let scratch = Scratch::new("living");
    let other = UnixListener::bind(scratch.path()).unwrap();
    let error = unix(&scratch).bind().unwrap_err();
    assert_eq!(error.io().kind(), ErrorKind::AddrInUse);
    assert!(error.to_string().contains(scratch.path().to_str().unwrap()), "{error}");
    let _peer = UnixStream::connect(scratch.path()).unwrap();
    drop(other);
    let file = Scratch::new("file");
    std::fs::write(file.path(), b"not a socket").unwrap();
    assert!(unix(&file).bind().is_err());
    assert_eq!(std::fs::read(file.path()).unwrap(), b"not a socket");
}

/// To ask a server that has no room for one more whether it lives must not wait for its answer.
#[test]
fn a_living_socket_whose_queue_is_full_is_in_use_at_once() {
    let scratch = Scratch::new("full");
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    socket.bind(&socket2::SockAddr::unix(scratch.path()).unwrap()).unwrap();
    socket.listen(0).unwrap();
    let _waiting = UnixStream::connect(scratch.path()).unwrap();
    let began = Instant::now();
    let listen = unix(&scratch);
    let binding = thread::spawn(move || listen.bind().unwrap_err().io().kind());
    wait_until(LIMIT, || binding.is_finished());
    assert_eq!(binding.join().unwrap(), ErrorKind::AddrInUse);
    assert!(began.elapsed() < Duration::from_secs(1));
}

// ---- accepting ----

#[test]
fn who_calls_during_a_pause_is_served_after_it() {
    let mut el = EventLoop::new().unwrap();
    let (listener, address) = serve(&mut el, Options::default(), echo);
    assert!(el.pause_accepting(listener));
    let peers: Vec<_> = (0..300).map(|_| TcpStream::connect(address).unwrap()).collect();
    for _ in 0..10 {
        el.run_once(Duration::from_millis(1));
    }
    let handle = el.handle();
    assert_eq!(handle.connections(), 0);
    assert!(el.resume_accepting(listener));
    run_until(&mut el, LIMIT, || handle.connections() == 300);
    let peers = thread::spawn(move || peers.into_iter().for_each(speak));
    run_until(&mut el, LIMIT, || peers.is_finished());
    peers.join().unwrap();
    el.remove(listener);
    assert!(!el.pause_accepting(listener) && !el.resume_accepting(listener));
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

/// A listener that has all it wants says so where it notices: as it makes the handler.
#[test]
fn a_listener_may_be_paused_as_it_accepts() {
    let mut el = EventLoop::new().unwrap();
    let (this, accepted) = (Shared::new(None::<SourceId>), count());
    let (id, counted) = (this.clone(), accepted.clone());
    let (listener, address) = serve(&mut el, Options::default(), move |el, _| {
        add(&counted, 1);
        if counted.get() == 3 {
            assert!(el.pause_accepting(id.get().unwrap()));
        }
        Acts::new().boxed()
    });
    this.change(|this| *this = Some(listener));
    let _peers: Vec<_> = (0..5).map(|_| TcpStream::connect(address).unwrap()).collect();
    for _ in 0..10 {
        el.run_once(Duration::from_millis(1));
    }
    assert_eq!(accepted.get(), 3);
    el.resume_accepting(listener);
    run_until(&mut el, LIMIT, || accepted.get() == 5);
}

#[test]
fn a_listener_may_be_removed_as_it_accepts() {
    let mut el = EventLoop::new().unwrap();
    let this = Shared::new(None::<SourceId>);
    let id = this.clone();
    let (listener, address) = serve(&mut el, Options::default(), move |el, _| {
        el.remove(id.get().unwrap());
        Some(Box::new(Echo))
    });
    this.change(|this| *this = Some(listener));
    let first = TcpStream::connect(address).unwrap();
    let handle = el.handle();
    run_until(&mut el, LIMIT, || handle.connections() == 1);
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    let first = thread::spawn(move || speak(first));
    run_until(&mut el, LIMIT, || first.is_finished());
    first.join().unwrap();
}

#[test]
fn a_connection_without_a_handler_is_closed() {
    let mut el = EventLoop::new().unwrap();
    let (_, address) = serve(&mut el, Options::default(), |_, _| None);
    let mut peer = TcpStream::connect(address).unwrap();
    let peer = thread::spawn(move || peer.read(&mut [0]).unwrap());
    run_until(&mut el, LIMIT, || peer.is_finished());
    assert_eq!(peer.join().unwrap(), 0);
    assert_eq!((el.sources(), el.handle().connections()), (1, 0));
}

#[test]
fn options_of_the_listener_are_in_force_on_what_it_accepts() {
    let mut el = EventLoop::new().unwrap();
    let keepalive =
        Keepalive { after: Duration::from_secs(61), every: Duration::from_secs(7), probes: 4 };
    let options = Options {
        keepalive: Some(keepalive),
        user_timeout: Some(Duration::from_millis(12_345)),
        notsent_lowat: Some(54_321),
        send_buffer: Some(50_000),
        receive_buffer: Some(60_000),
        ..Options::default()
    };
    let socket = Shared::new(None::<OwnedFd>);
    for (options, plain) in
        [(options, false), (Options { nodelay: false, ..Options::default() }, true)]
    {
        let to = socket.clone();
        let (_, address) = serve(&mut el, options, move |_, _| {
            let to = to.clone();
            Acts::new()
                .opened(move |conn, _| {
                    let to = to.clone();
                    conn.detach(move |_, detached| {
                        to.change(|to| *to = detached.into_socket().map(|(fd, _)| fd));
                    });
                })
                .boxed()
        });
        let peer = TcpStream::connect(address).unwrap();
        let done = socket.clone();
        run_until(&mut el, LIMIT, move || done.with(Option::is_some));
        let fd = socket.change(Option::take).unwrap();
        let socket = SockRef::from(&fd);
        assert_eq!(socket.tcp_nodelay().unwrap(), !plain);
        assert_eq!(socket.keepalive().unwrap(), !plain);
        if plain {
            assert_eq!(socket.tcp_user_timeout().unwrap(), None);
        } else {
            assert_eq!(socket.tcp_keepalive_time().unwrap(), keepalive.after);
            assert_eq!(socket.tcp_keepalive_interval().unwrap(), keepalive.every);
            assert_eq!(socket.tcp_keepalive_retries().unwrap(), keepalive.probes);
            let timeout = Some(Duration::from_millis(12_345));
            assert_eq!(socket.tcp_user_timeout().unwrap(), timeout);
            assert_eq!(socket.tcp_notsent_lowat().unwrap(), 54_321);
            // The kernel doubles them for its own use.
            assert_eq!(socket.send_buffer_size().unwrap(), 100_000);
            assert_eq!(socket.recv_buffer_size().unwrap(), 120_000);
        }
        drop(peer);
    }
}

#[test]
fn the_kernel_tells_why_a_peer_is_slow() {
    let mut el = EventLoop::new().unwrap();
    let info = Shared::new(None);
    let told = info.clone();
    let (_, address) = serve(&mut el, Options::default(), move |_, _| {
        let told = told.clone();
        Acts::new()
            .opened(|conn, _| conn.send(&vec![0; 32 << 20]))
            .congested(move |conn, _| told.change(|info| *info = conn.tcp_info().ok()))
            .boxed()
    });
    let _peer = TcpStream::connect(address).unwrap();
    let done = info.clone();
    run_until(&mut el, LIMIT, move || done.with(Option::is_some));
    let info = info.get().unwrap();
    assert!(info.unsent > 0 && info.congestion_window > 0, "{info:?}");
    assert!(info.round_trip < Duration::from_secs(1), "{info:?}");
}

// ---- which loop ----

type Places = Arc<Mutex<HashMap<u64, Vec<SocketAddr>>>>;

/// Notes on which loop a connection has arrived.
fn note(places: &Places) -> impl Fn(&mut EventLoop, &Accepted) -> Option<Box<dyn Handler>> + use<> {
    let places = Arc::clone(places);
    move |el, accepted| {
        let mut places = places.lock().unwrap();
        places.entry(el.handle().number()).or_default().push(accepted.peer.unwrap());
        Some(Box::new(Echo))
    }
}

fn arrived(places: &Places) -> usize {
    places.lock().unwrap().values().map(Vec::len).sum()
}

fn counts(places: &Places, threads: &Threads) -> Vec<usize> {
    let places = places.lock().unwrap();
    threads.handles().iter().map(|h| places.get(&h.number()).map_or(0, Vec::len)).collect()
}

fn end(threads: Threads) {
    threads.stop();
    threads.join();
}

#[test]
fn the_kernel_spreads_connections_over_the_listeners_of_a_port() {
    let bound = anywhere().bind_each(3).unwrap();
    let address = bound[0].address().unwrap();
    assert!(bound.iter().all(|bound| bound.address() == Some(address)));
    let places = Places::default();
    let make = Mutex::new(vec![note(&places), note(&places), note(&places)]);
    let threads = Threads::start(bound, None, move |el, _, bound: Bound| {
        el.accept_on(bound, make.lock().unwrap().pop().unwrap())?;
        Ok(())
    })
    .unwrap();
    let peers: Vec<_> = (0..300).map(|_| TcpStream::connect(address).unwrap()).collect();
    wait_until(LIMIT, || arrived(&places) == 300);
    let counts = counts(&places, &threads);
    assert!(counts.iter().all(|count| *count > 40), "{counts:?}");
    wait_until(LIMIT, || {
        threads.handles().iter().map(network::Handle::connections).collect::<Vec<_>>() == counts
    });
    peers.into_iter().take(20).for_each(speak);
    end(threads);
}

fn accept_for(
    placement: Placement,
    call: impl FnOnce(SocketAddr, &Threads) -> Vec<TcpStream>,
) -> (Places, Vec<usize>) {
    let threads = Threads::start(vec![(); 3], None, |_, _, ()| Ok(())).unwrap();
    let mut el = EventLoop::new().unwrap();
    let places = Places::default();
    let bound = anywhere().bind().unwrap();
    let address = bound.address().unwrap();
    let loops = threads.handles().to_vec();
    el.accept_for(bound, loops, placement, note(&places)).unwrap();
    // All of them wait when the listener looks.
    let peers = call(address, &threads);
    run_until(&mut el, LIMIT, || arrived(&places) == peers.len());
    let counts = counts(&places, &threads);
    peers.into_iter().for_each(speak);
    end(threads);
    (places, counts)
}

fn call(address: SocketAddr, times: usize) -> Vec<TcpStream> {
    (0..times).map(|_| TcpStream::connect(address).unwrap()).collect()
}

#[test]
fn an_acceptor_gives_each_loop_one_after_the_other() {
    let (_, counts) = accept_for(Placement::RoundRobin, |address, _| call(address, 30));
    assert_eq!(counts, [10, 10, 10]);
}

#[test]
fn an_acceptor_gives_the_loop_with_the_fewest_connections_the_next() {
    let (_, counts) = accept_for(Placement::LeastLoaded, |address, threads| {
        // Two loops have work already.
        let busy = [9, 0, 6];
        for (handle, busy) in threads.handles().iter().zip(busy) {
            let post = move |el: &mut EventLoop| {
                for _ in 0..busy {
                    let (ours, theirs) = UnixStream::pair().unwrap();
                    let detached = network::Detached::new(ours.into(), Options::default()).unwrap();
                    el.adopt(detached, Box::new(Echo)).unwrap();
                    std::mem::forget(theirs);
                }
            };
            handle.post(post).unwrap();
            wait_until(LIMIT, || handle.connections() == busy);
        }
        call(address, 30)
    });
    // With what they had: 15 each, but for one that is counted twice for a moment as it arrives.
    let loads = [counts[0] + 9, counts[1], counts[2] + 6];
    assert!(loads.iter().all(|load| (13..=17).contains(load)), "{loads:?}");
}

#[test]
fn an_acceptor_keeps_an_address_on_its_loop() {
    let (places, counts) = accept_for(Placement::BySource, |address, _| {
        (0..60).map(|at| call_from([127, 0, 1, 1 + at % 20], address)).collect()
    });
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    let places = places.lock().unwrap();
    let loops = places.values().map(|peers| peers.iter().map(SocketAddr::ip).collect());
    let loops: Vec<HashSet<IpAddr>> = loops.collect();
    assert_eq!(loops.iter().map(HashSet::len).sum::<usize>(), 20, "{loops:?}");
}

#[test]
fn connections_for_a_loop_that_has_ended_are_closed() {
    let threads = Threads::start(vec![()], None, |_, _, ()| Ok(())).unwrap();
    let loops = threads.handles().to_vec();
    end(threads);
    let mut el = EventLoop::new().unwrap();
    let bound = anywhere().bind().unwrap();
    let address = bound.address().unwrap();
    el.accept_for(bound, loops, Placement::LeastLoaded, |_, _| None).unwrap();
    let mut peer = TcpStream::connect(address).unwrap();
    let peer = thread::spawn(move || peer.read(&mut [0]).unwrap());
    run_until(&mut el, LIMIT, || peer.is_finished());
    assert_eq!(peer.join().unwrap(), 0);
}
