//! Datagrams over real sockets.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use network::udp::{Batch, Bind, Failure, Handler, SendError, Stats, UdpSocket};
use network::{CloseReason, EventLoop, SourceId};

use crate::support::run_until;

const LIMIT: Duration = Duration::from_secs(5);

fn v4() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn v6() -> SocketAddr {
    "[::1]:0".parse().unwrap()
}

/// All that a socket tells.
#[derive(Default)]
struct Log {
    datagrams: RefCell<Vec<(SocketAddr, Vec<u8>)>>,
    batches: RefCell<Vec<usize>>,
    failures: RefCell<Vec<String>>,
    closed: RefCell<Option<String>>,
    opened: Cell<usize>,
    answers: bool,
}

impl Log {
    fn payloads(&self) -> Vec<Vec<u8>> {
        self.datagrams.borrow().iter().map(|(_, bytes)| bytes.clone()).collect()
    }

    fn count(&self) -> usize {
        self.datagrams.borrow().len()
    }
}

struct Record(Rc<Log>);

impl Handler for Record {
    fn opened(&mut self, _: &mut UdpSocket, _: &mut EventLoop) {
        self.0.opened.set(self.0.opened.get() + 1);
    }

    fn received(&mut self, socket: &mut UdpSocket, _: &mut EventLoop, batch: Batch<'_>) {
        assert_eq!(self.0.opened.get(), 1, "opened comes first");
        self.0.batches.borrow_mut().push(batch.len());
        for datagram in batch {
            if self.0.answers {
                socket.send_to(datagram.bytes, datagram.peer).unwrap();
            }
            self.0.datagrams.borrow_mut().push((datagram.peer, datagram.bytes.to_vec()));
        }
    }

    fn failed(&mut self, _: &mut UdpSocket, _: &mut EventLoop, failure: &Failure) {
        self.0.failures.borrow_mut().push(failure.to_string());
    }

    fn closed(&mut self, _: &mut UdpSocket, _: &mut EventLoop, reason: &CloseReason) {
        assert!(self.0.closed.borrow_mut().replace(reason.to_string()).is_none(), "closed once");
    }
}

struct Opened {
    id: SourceId,
    address: SocketAddr,
    log: Rc<Log>,
}

fn open(el: &mut EventLoop, bind: &Bind) -> Opened {
    open_as(el, bind, Log::default())
}

fn open_as(el: &mut EventLoop, bind: &Bind, log: Log) -> Opened {
    let bound = bind.bind().unwrap();
    let address = bound.address();
    let log = Rc::new(log);
    let id = el.open_udp(bound, Box::new(Record(Rc::clone(&log)))).unwrap();
    Opened { id, address, log }
}

fn stats(el: &mut EventLoop, id: SourceId) -> Stats {
    el.udp(id).unwrap().stats()
}

// ---- many ----

/// Datagrams that are not acknowledged yet: as many as fit into a receive buffer of default size.
const WINDOW: u64 = 64;

/// The bytes of a datagram: its number, and then what only this number has.
fn payload(number: u64, pattern: &[u8], to: &mut Vec<u8>) {
    // Every 50th is shorter, every 1,000th almost empty.
    let len = match number {
        n if n % 1000 == 999 => 8,
        n if n % 50 == 49 => 700,
        _ => 1200,
    };
    to.extend_from_slice(&number.to_be_bytes());
    let start = (number % 997) as usize;
    to.extend_from_slice(&pattern[start..start + len - 8]);
}

fn pattern() -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(4096).collect()
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes[..8].try_into().unwrap())
}

struct Source {
    pattern: Vec<u8>,
    total: u64,
    sent: u64,
    acknowledged: Rc<Cell<u64>>,
}

impl Source {
    fn fill(&mut self, socket: &mut UdpSocket) {
        while self.sent < self.total.min(self.acknowledged.get() + WINDOW) {
            socket.compose(|out| payload(self.sent, &self.pattern, out)).unwrap();
            self.sent += 1;
        }
    }
}

impl Handler for Source {
    fn opened(&mut self, socket: &mut UdpSocket, _: &mut EventLoop) {
        self.fill(socket);
    }

    fn received(&mut self, socket: &mut UdpSocket, _: &mut EventLoop, batch: Batch<'_>) {
        for datagram in batch {
            let count = number(datagram.bytes);
            self.acknowledged.set(self.acknowledged.get().max(count));
        }
        self.fill(socket);
    }
}

struct Sink {
    pattern: Vec<u8>,
    seen: Vec<bool>,
    count: u64,
    expected: Vec<u8>,
}

impl Handler for Sink {
    fn received(&mut self, socket: &mut UdpSocket, _: &mut EventLoop, batch: Batch<'_>) {
        let mut peer = None;
        for datagram in batch {
            let number = number(datagram.bytes);
            self.expected.clear();
            payload(number, &self.pattern, &mut self.expected);
            assert!(self.expected == datagram.bytes, "datagram {number} is not what was sent");
            assert!(!std::mem::replace(&mut self.seen[number as usize], true), "{number} twice");
            self.count += 1;
            peer = Some(datagram.peer);
        }
        socket.send_to(&self.count.to_be_bytes(), peer.unwrap()).unwrap();
    }
}

/// Sends `total` datagrams and sees that each arrives once with its bytes. Returns what the sender
/// and the receiver have counted.
fn transfer(total: u64, to: &Bind, from: impl Fn(SocketAddr) -> Bind) -> (Stats, Stats) {
    let mut el = EventLoop::new().unwrap();
    let bound = to.bind().unwrap();
    let from = from(bound.address()).bind().unwrap();
    let (seen, expected) = (vec![false; total as usize], Vec::new());
    let sink = Sink { pattern: pattern(), seen, count: 0, expected };
    let sink = el.open_udp(bound, Box::new(sink)).unwrap();
    let acknowledged = Rc::new(Cell::new(0));
    let told = Rc::clone(&acknowledged);
    let source = Source { pattern: pattern(), total, sent: 0, acknowledged: told };
    let source = el.open_udp(from, Box::new(source)).unwrap();
    run_until(&mut el, LIMIT, || acknowledged.get() == total);
    (stats(&mut el, source), stats(&mut el, sink))
}

#[test]
fn a_hundred_thousand_datagrams_arrive_whole_and_in_batches() {
    let (source, sink) = transfer(100_000, &Bind::on(v4()), Bind::to);
    assert_eq!((source.sent, sink.received), (100_000, 100_000));
    assert_eq!(source.sent_bytes, sink.received_bytes);
    assert_eq!((source.dropped, source.unsent, source.failures), (0, 0, 0));
    assert!(source.sent / source.send_calls >= 8, "{source:?}");
    assert!(sink.received / sink.receive_calls >= 8, "{sink:?}");
}

#[test]
fn without_gso_and_gro_the_same_bytes_come_in_batches_too() {
    let to = Bind::on(v4()).gro(false);
    let (source, sink) = transfer(20_000, &to, |peer| Bind::to(peer).gso(false));
    assert_eq!((source.sent_messages, sink.received_messages), (20_000, 20_000));
    assert_eq!(source.sent_bytes, sink.received_bytes);
    assert!(source.sent / source.send_calls >= 8, "{source:?}");
    assert!(sink.received / sink.receive_calls >= 8, "{sink:?}");
}

#[test]
fn gso_to_a_receiver_without_gro_changes_nothing() {
    let (source, sink) = transfer(20_000, &Bind::on(v4()).gro(false), Bind::to);
    assert_eq!(sink.received, 20_000);
    assert_eq!(sink.received_messages, 20_000);
    assert!(source.sent_messages < 10_000, "{source:?}");
}

#[test]
fn gro_of_datagrams_sent_singly_changes_nothing() {
    let (source, sink) = transfer(20_000, &Bind::on(v4()), |peer| Bind::to(peer).gso(false));
    assert_eq!((source.sent_messages, sink.received), (20_000, 20_000));
}

#[test]
fn ipv6_does_the_same() {
    let (source, sink) = transfer(20_000, &Bind::on(v6()), Bind::to);
    assert_eq!((source.sent, sink.received), (20_000, 20_000));
    assert!(sink.received_messages < 10_000, "{sink:?}");
    let to = Bind::on(v6()).gro(false);
    let (source, _) = transfer(5_000, &to, |peer| Bind::to(peer).gso(false));
    assert_eq!(source.sent_messages, 5_000);
}

#[test]
fn a_small_queue_loses_nothing_while_the_kernel_takes() {
    let (source, sink) = transfer(5_000, &Bind::on(v4()), |peer| Bind::to(peer).queue(3000, 4));
    assert_eq!((source.dropped, sink.received), (0, 5_000));
}

#[test]
fn one_call_carries_a_turn_to_many_peers() {
    let mut el = EventLoop::new().unwrap();
    let players: Vec<Opened> = (0..100).map(|_| open(&mut el, &Bind::on(v4()))).collect();
    let sender = open(&mut el, &Bind::on(v4()));
    run_until(&mut el, LIMIT, || sender.log.opened.get() == 1);
    let frame = Bytes::from_static(b"a frame for everybody");
    let socket = el.udp(sender.id).unwrap();
    let before = socket.stats().send_calls;
    for player in &players {
        socket.send_shared_to(frame.clone(), player.address).unwrap();
        socket.send_shared_to(frame.clone(), player.address).unwrap();
    }
    assert_eq!(socket.queued(), 200);
    run_until(&mut el, LIMIT, || players.iter().all(|player| player.log.count() == 2));
    let after = stats(&mut el, sender.id);
    assert_eq!(after.send_calls - before, 1);
    assert_eq!((after.sent, after.sent_messages), (200, 100));
    for player in players {
        assert_eq!(player.log.payloads(), [frame.clone(), frame.clone()]);
        assert_eq!(player.log.datagrams.borrow()[0].0, sender.address);
    }
}

#[test]
fn a_turn_takes_one_batch_per_socket() {
    let mut el = EventLoop::new().unwrap();
    let busy = open(&mut el, &Bind::on(v4()).gro(false));
    let calm = open(&mut el, &Bind::on(v4()));
    let peer = std::net::UdpSocket::bind(v4()).unwrap();
    for number in 0..100_u8 {
        peer.send_to(&[number], busy.address).unwrap();
    }
    peer.send_to(b"calm", calm.address).unwrap();
    el.run_once(Duration::ZERO);
    el.run_once(Duration::ZERO);
    assert_eq!(calm.log.count(), 1, "who has little waits for nobody");
    assert!(busy.log.count() < 100);
    run_until(&mut el, LIMIT, || busy.log.count() == 100);
    assert!(busy.log.batches.borrow().iter().all(|&batch| batch <= 32));
    assert_eq!(busy.log.payloads(), (0..100).map(|number| vec![number]).collect::<Vec<_>>());
}

// ---- shapes ----

#[test]
fn both_families_reach_a_socket_on_any_address() {
    let mut el = EventLoop::new().unwrap();
    let log = Log { answers: true, ..Log::default() };
    let echo = open_as(&mut el, &Bind::on("[::]:0".parse().unwrap()), log);
    let port = echo.address.port();
    for host in ["127.0.0.1", "[::1]"] {
        let peer: SocketAddr = format!("{host}:{port}").parse().unwrap();
        let client = open(&mut el, &Bind::to(peer));
        assert_eq!(el.udp(client.id).unwrap().peer(), Some(peer));
        el.udp(client.id).unwrap().send(b"who am I").unwrap();
        let log = Rc::clone(&client.log);
        run_until(&mut el, LIMIT, || log.count() == 1);
        assert_eq!(*log.datagrams.borrow(), [(peer, b"who am I".to_vec())]);
        let seen = echo.log.datagrams.borrow().last().unwrap().0;
        assert_eq!(seen.port(), client.address.port());
        assert_eq!(seen.is_ipv4(), peer.is_ipv4(), "{seen}");
    }
}

#[test]
fn an_ipv6_socket_connects_to_an_ipv4_peer() {
    let mut el = EventLoop::new().unwrap();
    let log = Log { answers: true, ..Log::default() };
    let echo = open_as(&mut el, &Bind::on(v4()), log);
    let client = open(&mut el, &Bind::on("[::]:0".parse().unwrap()).connect(echo.address));
    let socket = el.udp(client.id).unwrap();
    socket.send(b"to my peer").unwrap();
    socket.send_to(b"the same", echo.address).unwrap();
    run_until(&mut el, LIMIT, || client.log.count() == 2);
    assert_eq!(client.log.datagrams.borrow()[1], (echo.address, b"the same".to_vec()));
}

#[test]
fn empty_datagrams_are_datagrams() {
    let mut el = EventLoop::new().unwrap();
    let receiver = open(&mut el, &Bind::on(v4()));
    let sender = open(&mut el, &Bind::to(receiver.address));
    for bytes in [b"", b"", &b"x"[..], b""] {
        el.udp(sender.id).unwrap().send(bytes).unwrap();
    }
    run_until(&mut el, LIMIT, || receiver.log.count() == 4);
    assert_eq!(receiver.log.payloads(), [&b""[..], b"", b"x", b""]);
}

#[test]
fn a_datagram_too_long_is_an_error_and_the_longest_arrives() {
    for (address, longest) in [(v4(), 65_507), (v6(), 65_527)] {
        let mut el = EventLoop::new().unwrap();
        let receiver = open(&mut el, &Bind::on(address));
        let sender = open(&mut el, &Bind::to(receiver.address));
        let socket = el.udp(sender.id).unwrap();
        let long = vec![7; longest + 1];
        let too_long = Err(SendError::TooLong { len: longest + 1, most: longest });
        assert_eq!(socket.send(&long), too_long);
        assert_eq!(socket.send_to(&long, receiver.address), too_long);
        assert_eq!(socket.send_shared(long.clone().into()), too_long);
        assert_eq!(socket.compose(|out| out.extend_from_slice(&long)), too_long);
        assert_eq!((socket.queued(), socket.queued_bytes()), (0, 0));
        socket.send(&long[1..]).unwrap();
        socket.send(b"and on").unwrap();
        run_until(&mut el, LIMIT, || receiver.log.count() == 2);
        assert_eq!(receiver.log.payloads(), [&long[1..], b"and on"]);
    }
}

#[test]
fn what_cannot_be_sent_is_said_at_once() {
    let mut el = EventLoop::new().unwrap();
    let socket = open(&mut el, &Bind::on(v4()));
    let socket = el.udp(socket.id).unwrap();
    assert_eq!(socket.send(b"to whom?"), Err(SendError::NoPeer));
    assert_eq!(socket.send_to(b"", "127.0.0.1:0".parse().unwrap()), Err(SendError::NoPort));
    assert_eq!(socket.send_to(b"", "[::1]:9".parse().unwrap()), Err(SendError::WrongFamily));
    socket.close();
    assert_eq!(socket.send_to(b"", "127.0.0.1:9".parse().unwrap()), Err(SendError::Closed));
}

// ---- bad days ----

#[test]
fn a_peer_that_refuses_is_told_and_may_come_back() {
    let mut el = EventLoop::new().unwrap();
    // An address of its own, so that no other test is given the port in between.
    let gone = open(&mut el, &Bind::on("127.0.0.77:0".parse().unwrap()));
    el.remove(gone.id);
    let client = open(&mut el, &Bind::to(gone.address));
    for round in 1..=3 {
        el.udp(client.id).unwrap().send(b"anybody?").unwrap();
        run_until(&mut el, LIMIT, || client.log.failures.borrow().len() >= round);
    }
    let said = format!("{} refuses: nobody listens on its port", gone.address);
    assert!(client.log.failures.borrow().iter().all(|failure| *failure == said));
    // The second of these finds the answer to the first; it is sent nevertheless.
    let socket = el.udp(client.id).unwrap();
    socket.send(b"anybody?").unwrap();
    socket.flush();
    let back = open(&mut el, &Bind::on(gone.address));
    el.udp(client.id).unwrap().send(b"you are back").unwrap();
    let heard = || back.log.payloads().iter().any(|bytes| bytes == b"you are back");
    run_until(&mut el, LIMIT, heard);
    assert_eq!(stats(&mut el, client.id).unsent, 0);
    assert!(client.log.closed.borrow().is_none());
}

#[test]
fn one_peer_that_cannot_be_sent_to_harms_nobody_else() {
    let mut el = EventLoop::new().unwrap();
    let receiver = open(&mut el, &Bind::on(v4()));
    let sender = open(&mut el, &Bind::on(v4()));
    // Broadcasting is forbidden to a socket that has not asked for it.
    let forbidden: SocketAddr = "127.255.255.255:9".parse().unwrap();
    let socket = el.udp(sender.id).unwrap();
    for _ in 0..3 {
        socket.send_to(b"good", receiver.address).unwrap();
        socket.send_to(b"bad!", forbidden).unwrap();
        socket.send_to(b"good", receiver.address).unwrap();
    }
    run_until(&mut el, LIMIT, || sender.log.failures.borrow().len() == 3);
    run_until(&mut el, LIMIT, || receiver.log.count() == 6);
    let stats = stats(&mut el, sender.id);
    assert_eq!((stats.sent, stats.unsent, stats.failures), (6, 3, 3));
    let said = format!("a datagram for {forbidden} was not sent: ");
    assert!(sender.log.failures.borrow().iter().all(|failure| failure.starts_with(&said)));
}

#[test]
fn failures_beyond_count_are_counted_and_not_told() {
    let mut el = EventLoop::new().unwrap();
    let sender = open(&mut el, &Bind::on(v4()));
    let forbidden: SocketAddr = "127.255.255.255:9".parse().unwrap();
    for len in 0..40 {
        el.udp(sender.id).unwrap().send_to(&vec![0; len], forbidden).unwrap();
    }
    run_until(&mut el, LIMIT, || !sender.log.failures.borrow().is_empty());
    assert_eq!(sender.log.failures.borrow().len(), 16);
    let stats = stats(&mut el, sender.id);
    assert_eq!((stats.unsent, stats.sent), (40, 0));
}

#[test]
fn a_connected_socket_hears_its_peer_only() {
    let mut el = EventLoop::new().unwrap();
    let peer = std::net::UdpSocket::bind(v4()).unwrap();
    let stranger = std::net::UdpSocket::bind(v4()).unwrap();
    let client = open(&mut el, &Bind::to(peer.local_addr().unwrap()));
    stranger.send_to(b"stranger", client.address).unwrap();
    peer.send_to(b"peer", client.address).unwrap();
    run_until(&mut el, LIMIT, || client.log.count() == 1);
    assert_eq!(client.log.payloads(), [b"peer"]);
}

#[test]
fn what_nobody_takes_in_time_is_dropped_by_the_kernel_and_counted() {
    let mut el = EventLoop::new().unwrap();
    let receiver = open(&mut el, &Bind::on(v4()).receive_buffer(8 * 1024));
    let peer = std::net::UdpSocket::bind(v4()).unwrap();
    for _ in 0..100 {
        peer.send_to(&[0; 1000], receiver.address).unwrap();
    }
    run_until(&mut el, LIMIT, || receiver.log.count() > 0);
    run_until(&mut el, LIMIT, || true);
    let drops = el.udp(receiver.id).unwrap().kernel_drops().unwrap();
    assert!(drops > 0);
    assert_eq!(drops as usize + receiver.log.count(), 100);
}

// ---- time, and the end ----

#[test]
fn a_silent_socket_is_closed_and_one_that_hears_is_not() {
    let mut el = EventLoop::new().unwrap();
    let idle = Duration::from_millis(60);
    let silent = open(&mut el, &Bind::on(v4()).idle(idle));
    let heard = open(&mut el, &Bind::on(v4()).idle(idle));
    let peer = std::net::UdpSocket::bind(v4()).unwrap();
    let began = Instant::now();
    let to = heard.address;
    el.every(Duration::from_millis(15), move |_| {
        peer.send_to(b"still here", to).unwrap();
    });
    run_until(&mut el, LIMIT, || silent.log.closed.borrow().is_some());
    assert!(began.elapsed() >= idle);
    assert_eq!(silent.log.closed.borrow().as_deref(), Some("idle: nothing received for 60ms"));
    assert!(!el.contains(silent.id) && el.udp(silent.id).is_none());
    run_until(&mut el, LIMIT, || began.elapsed() > 3 * idle);
    assert!(heard.log.closed.borrow().is_none());
    el.udp(heard.id).unwrap().set_idle(None);
}

#[test]
fn draining_sends_the_last_words() {
    struct Goodbye(SocketAddr);
    impl Handler for Goodbye {
        fn received(&mut self, _: &mut UdpSocket, _: &mut EventLoop, _: Batch<'_>) {}

        fn drain(&mut self, socket: &mut UdpSocket, _: &mut EventLoop) {
            socket.send_to(b"goodbye", self.0).unwrap();
            socket.close();
        }
    }
    let mut el = EventLoop::new().unwrap();
    let peer = std::net::UdpSocket::bind(v4()).unwrap();
    peer.set_read_timeout(Some(LIMIT)).unwrap();
    let bound = Bind::on(v4()).bind().unwrap();
    el.open_udp(bound, Box::new(Goodbye(peer.local_addr().unwrap()))).unwrap();
    el.drain(LIMIT);
    while el.run_once(Duration::from_millis(5)) {}
    let mut bytes = [0; 16];
    let len = peer.recv(&mut bytes).unwrap();
    assert_eq!(&bytes[..len], b"goodbye");
    assert_eq!(peer.set_nonblocking(true).and_then(|()| peer.recv(&mut bytes)).ok(), None);
}

#[test]
fn the_end_of_the_loop_is_told() {
    let mut el = EventLoop::new().unwrap();
    let socket = open(&mut el, &Bind::on(v4()));
    drop(el);
    assert_eq!(socket.log.closed.borrow().as_deref(), Some("the event loop ended"));
}

#[test]
fn marking_calls_due_and_a_timer_calls_the_handler() {
    #[derive(Default)]
    struct Calls {
        due: Cell<usize>,
        keys: RefCell<Vec<u32>>,
    }
    struct Tick(Rc<Calls>);
    impl Handler for Tick {
        fn opened(&mut self, socket: &mut UdpSocket, el: &mut EventLoop) {
            socket.start_timer(el, Duration::from_millis(2), 7);
        }

        fn received(&mut self, _: &mut UdpSocket, _: &mut EventLoop, _: Batch<'_>) {}

        fn due(&mut self, _: &mut UdpSocket, _: &mut EventLoop) {
            self.0.due.set(self.0.due.get() + 1);
        }

        fn timer(&mut self, _: &mut UdpSocket, _: &mut EventLoop, key: u32) {
            self.0.keys.borrow_mut().push(key);
        }
    }
    let mut el = EventLoop::new().unwrap();
    let calls = Rc::new(Calls::default());
    let bound = Bind::on(v4()).bind().unwrap();
    let id = el.open_udp(bound, Box::new(Tick(Rc::clone(&calls)))).unwrap();
    el.mark_due(id);
    el.mark_due(id);
    assert!(el.udp(id).is_some());
    run_until(&mut el, LIMIT, || *calls.keys.borrow() == [7]);
    assert_eq!(calls.due.get(), 1);
}

// ---- binding ----

#[test]
fn a_taken_port_is_named() {
    let first = Bind::on(v4()).bind().unwrap();
    let error = Bind::on(first.address()).bind().unwrap_err();
    assert!(error.to_string().contains(&first.address().to_string()), "{error}");
    assert!(error.to_string().contains("another process has it"), "{error}");
    let error = Bind::on(first.address()).bind_each(2).unwrap_err();
    assert_eq!(error.io().kind(), std::io::ErrorKind::AddrInUse);
}

#[test]
fn sockets_of_several_loops_share_a_port() {
    let mut el = EventLoop::new().unwrap();
    let all = Bind::on(v4()).bind_each(4).unwrap();
    let address = all[0].address();
    assert!(all.iter().all(|bound| bound.address() == address));
    let log = Rc::new(Log::default());
    log.opened.set(1);
    for bound in all {
        struct Shared(Record);
        impl Handler for Shared {
            fn received(&mut self, s: &mut UdpSocket, el: &mut EventLoop, batch: Batch<'_>) {
                self.0.received(s, el, batch);
            }
        }
        el.open_udp(bound, Box::new(Shared(Record(Rc::clone(&log))))).unwrap();
    }
    let peers: Vec<Opened> = (0..32).map(|_| open(&mut el, &Bind::to(address))).collect();
    for peer in &peers {
        el.udp(peer.id).unwrap().send(b"one").unwrap();
        el.udp(peer.id).unwrap().send(b"two").unwrap();
    }
    run_until(&mut el, LIMIT, || log.count() == 64);
    assert!(log.batches.borrow().len() > 1, "32 peers have not all gone to one of four sockets");
}

#[test]
fn a_multicast_group_hears() {
    let mut el = EventLoop::new().unwrap();
    let group: std::net::Ipv4Addr = "239.255.77.77".parse().unwrap();
    let bind = |port| {
        let address = SocketAddr::new(group.into(), port);
        Bind::on(address).join_v4(group, "127.0.0.1".parse().unwrap()).multicast_ttl(0)
    };
    let first = open(&mut el, &bind(0));
    let second = open(&mut el, &bind(first.address.port()));
    // A sender needs an address of its own: that of a group is nobody's.
    let sender = Bind::on(v4()).join_v4(group, "127.0.0.1".parse().unwrap());
    let sender = open(&mut el, &sender);
    el.udp(sender.id).unwrap().send_to(b"to all", first.address).unwrap();
    run_until(&mut el, LIMIT, || first.log.count() == 1 && second.log.count() == 1);
    assert_eq!(first.log.payloads(), [b"to all"]);
    assert_eq!(second.log.payloads(), [b"to all"]);
}
