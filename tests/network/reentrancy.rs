//! Sources that come and go within a batch of events: none gets an event that is another one's.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use network::{CloseReason, Connection, Detached, EventLoop, Handler, Options, Ready, SourceId};

use crate::support::{Drops, Recorder, alone, read_all, run_until, socket_pair, watch};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_source_closed_by_another_within_the_batch_gets_no_event() {
    let mut el = EventLoop::new().unwrap();
    let ids: Rc<RefCell<Vec<SourceId>>> = Rc::default();
    let ran = Rc::new(Cell::new(0));
    let mut peers = Vec::new();
    for _ in 0..2 {
        let (socket, mut peer) = socket_pair();
        peer.write_all(b"x").unwrap();
        peers.push(peer);
        let (all, ran) = (Rc::clone(&ids), Rc::clone(&ran));
        let id = watch(&mut el, socket, move |_, el, id| {
            ran.set(ran.get() + 1);
            for other in all.borrow().iter().filter(|other| **other != id) {
                assert!(el.remove(*other));
                assert!(!el.contains(*other));
            }
        });
        ids.borrow_mut().push(id);
    }
    for _ in 0..3 {
        el.run_once(Duration::from_millis(1));
    }
    // Whichever comes first closes the other.
    assert_eq!((ran.get(), el.sources()), (1, 1));
}

#[test]
fn a_source_that_closes_itself_lives_until_it_returns() {
    let mut el = EventLoop::new().unwrap();
    let drops = Drops::default();
    let (socket, mut peer) = socket_pair();
    let done = Rc::new(Cell::new(false));
    watch(&mut el, socket, {
        let (drops, token, done) = (drops.clone(), drops.token(), Rc::clone(&done));
        move |socket, el, id| {
            let _ = &token;
            assert!(el.contains(id));
            assert!(el.remove(id));
            assert!(!el.contains(id));
            assert!(!el.remove(id), "removed twice");
            assert_eq!(el.sources(), 0);
            assert_eq!(drops.count(), 0, "who runs is not dropped");
            assert_eq!(read_all(socket), 1, "and still has its descriptor");
            // What it asks for after its own end is asked of nobody.
            el.again(id, Ready::READABLE);
            el.mark_due(id);
            el.start_timer(id, Duration::ZERO, 0);
            done.set(true);
        }
    });
    peer.write_all(b"x").unwrap();
    run_until(&mut el, SECOND, || done.get());
    assert_eq!(drops.count(), 1);
    el.run_once(Duration::from_millis(3));
    el.run_once(Duration::from_millis(3));
    assert_eq!((el.sources(), el.timers()), (0, 0));
}

#[test]
fn removing_twice_does_not_reach_the_next_source_in_the_place() {
    let mut el = EventLoop::new().unwrap();
    let first = el.add_plain(Box::new(Recorder::default()));
    assert!(el.remove(first));
    assert!(!el.remove(first));
    let seen = Recorder::default();
    let second = el.add_plain(Box::new(seen.clone()));
    assert_eq!(place(first), place(second), "the place in the table is used again");
    assert_ne!(first, second);
    assert!(!el.remove(first));
    el.mark_due(first);
    el.again(first, Ready::READABLE);
    el.run_once(Duration::ZERO);
    assert!(seen.take().is_empty());
    assert!(el.contains(second));
    assert_eq!(el.ids(), [second]);
}

/// The place in the loop's table, which is written in front of the point.
fn place(id: SourceId) -> String {
    format!("{id:?}").split('.').next().unwrap().to_owned()
}

/// A and B are ready in one batch. Whoever runs first removes the other and adds C, which gets both the
/// descriptor number and the place of the removed one: the event in the batch is not C's.
#[test]
fn a_reused_descriptor_does_not_inherit_an_event() {
    alone("reentrancy::a_reused_descriptor_does_not_inherit_an_event", || {
        #[derive(Default)]
        struct Seen {
            pair: RefCell<Vec<(SourceId, RawFd)>>,
            c: RefCell<Option<(SourceId, UnixStream)>>,
            ran: Cell<u32>,
            c_ran: Cell<u32>,
        }
        let mut el = EventLoop::new().unwrap();
        let seen = Rc::new(Seen::default());
        let mut peers = Vec::new();
        for _ in 0..2 {
            let (socket, mut peer) = socket_pair();
            peer.write_all(b"x").unwrap();
            peers.push(peer);
            let (fd, all) = (socket.as_raw_fd(), Rc::clone(&seen));
            let id = watch(&mut el, socket, move |_, el, id| {
                all.ran.set(all.ran.get() + 1);
                let other = *all.pair.borrow().iter().find(|(other, _)| *other != id).unwrap();
                assert!(el.remove(other.0));
                let (socket, peer) = socket_pair();
                assert_eq!(socket.as_raw_fd(), other.1, "the number is used again");
                let c = watch(el, socket, {
                    let all = Rc::clone(&all);
                    move |socket, _, _| {
                        assert_eq!(read_all(socket), 1, "an event without a byte");
                        all.c_ran.set(all.c_ran.get() + 1);
                    }
                });
                assert_eq!(place(c), place(other.0), "so is the place in the table");
                *all.c.borrow_mut() = Some((c, peer));
            });
            seen.pair.borrow_mut().push((id, fd));
        }
        for _ in 0..3 {
            el.run_once(Duration::from_millis(1));
        }
        assert_eq!((seen.ran.get(), seen.c_ran.get()), (1, 0));
        let (c, mut peer) = seen.c.take().unwrap();
        assert!(el.contains(c));
        peer.write_all(b"c").unwrap();
        run_until(&mut el, SECOND, || seen.c_ran.get() == 1);
    });
}

#[test]
fn a_descriptor_that_lives_on_elsewhere_reaches_nobody_after_its_source() {
    let mut el = EventLoop::new().unwrap();
    let (socket, mut peer) = socket_pair();
    let kept = socket.try_clone().unwrap();
    let ran = Rc::new(Cell::new(0));
    let count = |ran: &Rc<Cell<u32>>| {
        let ran = Rc::clone(ran);
        move |socket: &UnixStream, _: &mut EventLoop, _: SourceId| {
            read_all(socket);
            ran.set(ran.get() + 1);
        }
    };
    let first = watch(&mut el, socket, count(&ran));
    el.remove(first);
    peer.write_all(b"x").unwrap();
    el.run_once(Duration::from_millis(5));
    assert_eq!(ran.get(), 0);
    // In the same place of the table, on the same open file.
    let second = watch(&mut el, kept, count(&ran));
    assert_eq!(place(first), place(second));
    run_until(&mut el, SECOND, || ran.get() == 1);
    peer.write_all(b"x").unwrap();
    run_until(&mut el, SECOND, || ran.get() == 2);
}

/// Sources that remove and add one another at random, some hundred events long: nobody runs after its
/// end, nobody is forgotten, and the counts are right throughout.
#[test]
fn sources_that_come_and_go_at_random_are_served_rightly() {
    struct World {
        alive: RefCell<Vec<(SourceId, Rc<Cell<bool>>, UnixStream)>>,
        events: Cell<u32>,
        drops: Drops,
        made: Cell<usize>,
    }
    fn add(el: &mut EventLoop, world: &Rc<World>) {
        let (socket, mut peer) = socket_pair();
        peer.write_all(b"x").unwrap();
        let alive = Rc::new(Cell::new(true));
        world.made.set(world.made.get() + 1);
        let id = watch(el, socket, {
            let (world, alive, token) = (Rc::clone(world), Rc::clone(&alive), world.drops.token());
            move |socket, el, _| {
                let _ = &token;
                assert!(alive.get(), "an event for a source that was removed");
                assert!(read_all(socket) > 0, "an event that belongs to another");
                world.events.set(world.events.get() + 1);
                act(el, &world);
            }
        });
        world.alive.borrow_mut().push((id, alive, peer));
    }
    fn act(el: &mut EventLoop, world: &Rc<World>) {
        for _ in 0..el.random() % 3 {
            let chosen = {
                let mut all = world.alive.borrow_mut();
                if all.len() < 20 {
                    break;
                }
                let index = el.random() as usize % all.len();
                all.swap_remove(index)
            };
            chosen.1.set(false);
            assert!(el.remove(chosen.0));
        }
        for _ in 0..el.random() % 3 {
            add(el, world);
        }
        let mut all = world.alive.borrow_mut();
        assert_eq!(el.sources(), all.len());
        let most = all.len();
        for _ in 0..3 {
            let index = el.random() as usize % most;
            all[index].2.write_all(b"y").unwrap();
        }
    }
    let mut el = EventLoop::new().unwrap();
    let world = Rc::new(World {
        alive: RefCell::default(),
        events: Cell::new(0),
        drops: Drops::default(),
        made: Cell::new(0),
    });
    for _ in 0..50 {
        add(&mut el, &world);
    }
    run_until(&mut el, SECOND * 5, || world.events.get() > 3_000);
    let left = world.alive.borrow().len();
    assert_eq!(el.sources(), left);
    assert_eq!(world.drops.count(), world.made.get() - left);
    for (id, ..) in world.alive.take() {
        assert!(el.remove(id));
    }
    assert_eq!((el.sources(), world.drops.count()), (0, world.made.get()));
}

/// Removes its connection in its first call where it is to, and notes how often it is told of the end.
struct Ending {
    removes_itself: bool,
    closed: Rc<Cell<u32>>,
}

impl Handler for Ending {
    fn opened(&mut self, conn: &mut Connection, el: &mut EventLoop) {
        if self.removes_itself {
            el.remove(conn.id());
        }
    }

    fn received(&mut self, _: &mut Connection, _: &mut EventLoop, input: &[u8]) -> usize {
        input.len()
    }

    fn closed(&mut self, _: &mut Connection, _: &mut EventLoop, _: &CloseReason) {
        self.closed.set(self.closed.get() + 1);
    }
}

#[test]
fn a_connection_that_is_removed_by_its_id_is_told_of_its_end() {
    let mut el = EventLoop::new().unwrap();
    let handle = el.handle();
    for removes_itself in [false, true] {
        let closed = Rc::new(Cell::new(0));
        let (socket, _peer) = socket_pair();
        let detached = Detached::new(socket.into(), Options::default()).unwrap();
        let handler = Ending { removes_itself, closed: Rc::clone(&closed) };
        let id = el.adopt(detached, Box::new(handler)).unwrap();
        assert_eq!(handle.connections(), 1);
        el.run_once(Duration::ZERO);
        el.run_once(Duration::ZERO);
        assert_eq!(el.remove(id), !removes_itself);
        assert!(!el.contains(id));
        el.run_once(Duration::ZERO);
        let told = (closed.get(), handle.connections(), el.sources());
        assert_eq!(told, (1, 0, 0), "removes itself: {removes_itself}");
    }
}
