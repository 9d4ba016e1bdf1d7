//! What cannot be seen through the public interface: refusals the kernel has to be talked into.

#![allow(clippy::unwrap_used)]

use std::cell::{Cell, RefCell};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Duration;

use super::*;
use crate::limits::UDP_GSO_REFUSALS;
use crate::{EventLoop, SourceId};

type Seen = Rc<RefCell<Vec<Vec<u8>>>>;

struct Keep(Seen);

impl Handler for Keep {
    fn received(&mut self, _: &mut UdpSocket, _: &mut EventLoop, batch: Batch<'_>) {
        self.0.borrow_mut().extend(batch.map(|datagram| datagram.bytes.to_vec()));
    }
}

/// Counts how often it is told of room.
struct Count(Rc<Cell<usize>>);

impl Handler for Count {
    fn received(&mut self, _: &mut UdpSocket, _: &mut EventLoop, _: Batch<'_>) {}

    fn writable(&mut self, _: &mut UdpSocket, _: &mut EventLoop) {
        self.0.set(self.0.get() + 1);
    }
}

struct Silent;

impl Handler for Silent {
    fn received(&mut self, _: &mut UdpSocket, _: &mut EventLoop, _: Batch<'_>) {}
}

fn pair(el: &mut EventLoop) -> (SourceId, Seen) {
    let seen = Seen::default();
    let bound = Bind::on("127.0.0.1:0".parse().unwrap()).bind().unwrap();
    let sender = Bind::to(bound.address()).bind().unwrap();
    el.open_udp(bound, Box::new(Keep(Rc::clone(&seen)))).unwrap();
    (el.open_udp(sender, Box::new(Silent)).unwrap(), seen)
}

fn turns(el: &mut EventLoop) {
    for _ in 0..4 {
        el.run_once(Duration::ZERO);
    }
}

/// Without checksums the kernel does not cut messages up.
fn without_checksums(socket: &UdpSocket, without: i32) {
    crate::sys::set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_NO_CHECK, without).unwrap();
}

#[test]
fn what_the_kernel_does_not_cut_up_is_sent_datagram_by_datagram() {
    let mut el = EventLoop::new().unwrap();
    let (id, seen) = pair(&mut el);
    let rows: Vec<Vec<u8>> = (0..12_u8).map(|i| vec![i; 500 + usize::from(i / 4)]).collect();
    let socket = el.udp(id).unwrap();
    assert!(socket.has_gso(), "this test needs a kernel with UDP_SEGMENT");
    without_checksums(socket, 1);
    for datagram in &rows {
        socket.send(datagram).unwrap();
    }
    turns(&mut el);
    assert_eq!(*seen.borrow(), rows, "in order, once each");
    let stats = el.udp(id).unwrap().stats();
    assert_eq!((stats.sent, stats.unsent, stats.failures), (12, 0, 0));
    assert_eq!(stats.gso_refusals, 3, "{stats:?}");
}

#[test]
fn refusals_in_a_row_suspend_the_attempt_and_one_success_forgives_them() {
    let mut el = EventLoop::new().unwrap();
    let (id, seen) = pair(&mut el);
    let socket = el.udp(id).unwrap();
    let row = |socket: &mut UdpSocket| {
        socket.send(b"same").unwrap();
        socket.send(b"same").unwrap();
        socket.flush();
    };
    without_checksums(socket, 1);
    for _ in 1..UDP_GSO_REFUSALS {
        row(socket);
    }
    without_checksums(socket, 0);
    row(socket);
    without_checksums(socket, 1);
    for _ in 1..UDP_GSO_REFUSALS {
        row(socket);
    }
    assert!(socket.has_gso());
    row(socket);
    assert!(!socket.has_gso());
    let (calls, refusals) = (socket.stats().send_calls, socket.stats().gso_refusals);
    row(socket);
    assert_eq!(socket.stats().send_calls, calls + 1, "no failed attempt any more");
    assert_eq!(socket.stats().gso_refusals, refusals);
    turns(&mut el);
    assert_eq!(seen.borrow().len(), 2 * (2 * UDP_GSO_REFUSALS as usize + 1));
}

#[test]
fn room_is_watched_for_only_while_there_is_none() {
    let mut el = EventLoop::new().unwrap();
    let (id, seen) = pair(&mut el);
    let socket = el.udp(id).unwrap();
    socket.flags.blocked = true;
    socket.send(b"waits").unwrap();
    el.run_once(Duration::ZERO);
    let socket = el.udp(id).unwrap();
    assert!(socket.flags.watches_room);
    assert_eq!(socket.queued(), 1);
    turns(&mut el);
    let socket = el.udp(id).unwrap();
    assert!(!socket.flags.watches_room && !socket.flags.blocked);
    assert_eq!(*seen.borrow(), [b"waits"]);
}

#[test]
fn what_is_queued_when_a_socket_closes_is_sent_first() {
    let mut el = EventLoop::new().unwrap();
    let (id, seen) = pair(&mut el);
    let socket = el.udp(id).unwrap();
    socket.send(b"last words").unwrap();
    socket.close();
    assert_eq!(socket.send(b"more"), Err(SendError::Closed));
    turns(&mut el);
    assert!(!el.contains(id));
    assert_eq!(*seen.borrow(), [b"last words"]);
}

/// The loopback device takes everything at once; so the socket is told that the kernel is full.
#[test]
fn a_full_queue_drops_and_counts_and_tells_of_room() {
    let mut el = EventLoop::new().unwrap();
    let seen = Seen::default();
    let bound = Bind::on("127.0.0.1:0".parse().unwrap()).bind().unwrap();
    let to = bound.address();
    el.open_udp(bound, Box::new(Keep(Rc::clone(&seen)))).unwrap();
    let sender = Bind::to(to).queue(1000, 20).bind().unwrap();
    let room = Rc::new(Cell::new(0));
    let id = el.open_udp(sender, Box::new(Count(Rc::clone(&room)))).unwrap();
    turns(&mut el);

    let socket = el.udp(id).unwrap();
    socket.flags.blocked = true;
    let full = (0..15).map(|_| socket.send(&[1; 100])).filter(Result::is_err).count();
    assert_eq!((full, socket.queued(), socket.queued_bytes()), (5, 10, 1000), "too many bytes");
    assert_eq!(socket.send_shared(vec![1; 100].into()), Err(SendError::Full));
    assert_eq!(socket.compose(|out| out.extend_from_slice(&[1; 100])), Err(SendError::Full));
    assert_eq!((socket.stats().dropped, socket.queued_bytes()), (7, 1000));
    turns(&mut el);
    assert_eq!(
        (room.get(), seen.borrow().len()),
        (1, 10),
        "told once, and what was queued is there"
    );

    let socket = el.udp(id).unwrap();
    socket.flags.blocked = true;
    let full = (0..30).map(|_| socket.send(&[1])).filter(Result::is_err).count();
    assert_eq!((full, socket.queued()), (10, 20), "too many datagrams");
    turns(&mut el);
    assert_eq!((room.get(), seen.borrow().len()), (2, 30));
    assert_eq!(el.udp(id).unwrap().stats().dropped, 17);
}

#[test]
fn what_the_kernel_never_takes_ends_a_closing_socket_in_time() {
    let mut el = EventLoop::new().unwrap();
    let (id, _) = pair(&mut el);
    let socket = el.udp(id).unwrap();
    // Nobody asks the kernel for room, so it tells of none.
    socket.flags.blocked = true;
    socket.flags.watches_room = true;
    socket.send(b"last words").unwrap();
    socket.close();
    turns(&mut el);
    assert!(el.contains(id));
    let left = el.udp(id).unwrap().deadline.unwrap() - el.now();
    assert!(left <= crate::limits::LINGER && el.timers() == 1);
}
