//! The loop itself: one per thread, a turn and its order, sources that come and go within a turn.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use network::{
    CloseReason, Connection, Detached, EventLoop, Handler, Interest, LoopError, Options, Ready,
    Source, SourceId,
};

use crate::support::{
    Drops, Token, alone, expect, measured, one_at_a_time, open_fds, read_all, run_until,
    socket_pair, thread_cpu, wait_until, watch, within,
};

const SECOND: Duration = Duration::from_secs(1);

// ---- one per thread, and its end ----

#[test]
fn a_second_loop_on_a_thread_is_refused() {
    let first = EventLoop::new().unwrap();
    let refused = EventLoop::new().map(drop).unwrap_err();
    assert!(matches!(refused, LoopError::SecondOnThread));
    assert_eq!(refused.to_string(), "this thread already has an event loop");
    let elsewhere = thread::spawn(|| EventLoop::new().is_ok());
    assert!(elsewhere.join().unwrap(), "another thread may have its own");
    drop(first);
    assert!(EventLoop::new().is_ok(), "the thread is free again");
}

#[test]
fn any_thread_stops_an_idle_loop_in_less_than_ten_milliseconds() {
    measured(|| {
        let mut times: Vec<Duration> = (0..15)
            .map(|_| {
                let (handle, running) = elsewhere();
                // It has gone to sleep, or is about to.
                wait_until(SECOND, || handle.turns() == 0);
                let began = Instant::now();
                handle.stop();
                running.join().unwrap();
                assert!(handle.has_ended());
                began.elapsed()
            })
            .collect();
        times.sort();
        expect(times[7] < Duration::from_millis(10), &times)
    });
}

#[test]
fn a_stop_asked_for_before_the_loop_runs_is_heard() {
    let mut el = EventLoop::new().unwrap();
    el.handle().stop();
    within(SECOND, &mut el);
    el.run();
}

#[test]
fn stop_lets_the_turn_finish_and_no_more() {
    let mut el = EventLoop::new().unwrap();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let note = |what: &'static str| {
        let seen = Rc::clone(&seen);
        move |_: &mut EventLoop| seen.borrow_mut().push(what)
    };
    el.defer(EventLoop::stop);
    el.defer(note("same turn"));
    el.defer({
        let next = note("next turn");
        |el| el.defer(next)
    });
    assert!(!el.run_once(SECOND), "stopped");
    assert!(!el.run_once(SECOND), "still stopped");
    assert_eq!(*seen.borrow(), ["same turn"]);
}

#[test]
fn run_once_waits_no_longer_than_it_is_told() {
    let mut el = EventLoop::new().unwrap();
    el.after(Duration::from_secs(3600), |_| ());
    let began = Instant::now();
    assert!(el.run_once(Duration::ZERO));
    assert!(el.run_once(Duration::from_millis(20)));
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(20) && took < SECOND, "{took:?}");
}

// ---- a turn ----

/// A source without a descriptor that tells everything that happens to it.
#[derive(Clone, Default)]
struct Recorder(Rc<RefCell<Vec<&'static str>>>);

impl Recorder {
    fn note(&self, what: &'static str) {
        self.0.borrow_mut().push(what);
    }

    fn take(&self) -> Vec<&'static str> {
        self.0.take()
    }
}

impl Source for Recorder {
    fn ready(&mut self, _: &mut EventLoop, _: SourceId, _: Ready) {
        self.note("ready");
    }

    fn due(&mut self, _: &mut EventLoop, _: SourceId) {
        self.note("due");
    }

    fn timer(&mut self, _: &mut EventLoop, _: SourceId, key: u32) {
        assert_eq!(key, 7);
        self.note("own timer");
    }

    fn drain(&mut self, _: &mut EventLoop, _: SourceId) {
        self.note("drain");
    }

    fn ended(&mut self, _: &mut EventLoop, _: SourceId) {
        self.note("ended");
    }
}

#[test]
fn a_turn_is_events_then_tasks_then_timers_then_due_work() {
    let mut el = EventLoop::new().unwrap();
    let seen = Recorder::default();
    let plain = el.add_plain(Box::new(seen.clone()));
    el.mark_due(plain);
    el.start_timer(plain, Duration::ZERO, 7);
    let note = |what| {
        let seen = seen.clone();
        move |_: &mut EventLoop| seen.note(what)
    };
    el.after(Duration::from_micros(1), note("timer"));
    el.defer(note("deferred"));
    let (posted, sent) = (thread::current().id(), mpsc::channel());
    el.handle()
        .post(move |_| {
            assert_eq!(thread::current().id(), posted);
            sent.0.send(()).unwrap();
        })
        .unwrap();
    let (socket, mut peer) = socket_pair();
    watch(&mut el, socket, {
        let seen = seen.clone();
        move |socket, _, _| {
            read_all(socket);
            seen.note("event");
        }
    });
    peer.write_all(b"x").unwrap();
    // Both timers are due by then.
    thread::sleep(Duration::from_millis(3));
    el.run_once(Duration::ZERO);
    sent.1.try_recv().expect("the posted task has run");
    assert_eq!(seen.take(), ["event", "deferred", "own timer", "timer", "due"]);
    el.run_once(Duration::ZERO);
    assert!(seen.take().is_empty(), "nothing happens twice");
}

#[test]
fn naming_a_source_due_twice_calls_it_once() {
    struct Naming(Rc<Cell<u32>>);
    impl Source for Naming {
        fn ready(&mut self, el: &mut EventLoop, id: SourceId, _: Ready) {
            // While it runs itself.
            el.mark_due(id);
            el.mark_due(id);
        }
        fn due(&mut self, _: &mut EventLoop, _: SourceId) {
            self.0.set(self.0.get() + 1);
        }
    }
    let mut el = EventLoop::new().unwrap();
    let times = Rc::new(Cell::new(0));
    let id = el.add_plain(Box::new(Naming(Rc::clone(&times))));
    el.mark_due(id);
    el.mark_due(id);
    el.run_once(Duration::ZERO);
    assert_eq!(times.get(), 1, "named twice by others");
    el.again(id, Ready::READABLE);
    el.mark_due(id);
    el.run_once(Duration::ZERO);
    assert_eq!(times.get(), 2, "named twice by itself and once by another");
    el.run_once(Duration::ZERO);
    assert_eq!(times.get(), 2);
}

#[test]
fn due_named_while_due_is_called_in_the_next_turn() {
    struct Renaming(Rc<Cell<u32>>);
    impl Source for Renaming {
        fn ready(&mut self, _: &mut EventLoop, _: SourceId, _: Ready) {}
        fn due(&mut self, el: &mut EventLoop, id: SourceId) {
            self.0.set(self.0.get() + 1);
            el.mark_due(id);
        }
    }
    let mut el = EventLoop::new().unwrap();
    let times = Rc::new(Cell::new(0));
    let id = el.add_plain(Box::new(Renaming(Rc::clone(&times))));
    el.mark_due(id);
    for turn in 1..=5 {
        el.run_once(SECOND);
        assert_eq!(times.get(), turn);
    }
    assert!(el.remove(id));
    el.run_once(Duration::ZERO);
    assert_eq!(times.get(), 5);
}

// ---- `again` ----

/// Asks for another round whenever it has one.
struct Greedy {
    rounds: Rc<Cell<u32>>,
    /// How often it asks each time.
    asks: u32,
}

impl Source for Greedy {
    fn ready(&mut self, el: &mut EventLoop, id: SourceId, _: Ready) {
        self.rounds.set(self.rounds.get() + 1);
        for _ in 0..self.asks {
            el.again(id, Ready::READABLE);
        }
    }
}

#[test]
fn a_source_that_asks_again_for_ever_starves_nobody() {
    let mut el = EventLoop::new().unwrap();
    let rounds = Rc::new(Cell::new(0));
    let greedy = el.add_plain(Box::new(Greedy { rounds: Rc::clone(&rounds), asks: 1 }));
    el.again(greedy, Ready::READABLE);
    let others = Rc::new(Cell::new(0));
    let count = |others: &Rc<Cell<u32>>| others.set(others.get() + 1);
    el.after(Duration::from_millis(2), {
        let others = Rc::clone(&others);
        move |_| count(&others)
    });
    let (socket, mut peer) = socket_pair();
    watch(&mut el, socket, {
        let others = Rc::clone(&others);
        move |socket, _, _| {
            read_all(socket);
            count(&others);
        }
    });
    peer.write_all(b"x").unwrap();
    let handle = el.handle();
    let (ran, has_run) = mpsc::channel();
    let poster = thread::spawn(move || handle.post(move |_| ran.send(()).unwrap()).unwrap());
    poster.join().unwrap();
    run_until(&mut el, SECOND, || others.get() == 2);
    has_run.try_recv().expect("the posted task has run");
    let turns = el.handle().turns();
    assert!(u64::from(rounds.get()) <= turns, "{} rounds in {turns} turns", rounds.get());
}

#[test]
fn asking_again_twice_gives_one_round_a_turn() {
    let mut el = EventLoop::new().unwrap();
    let rounds = Rc::new(Cell::new(0));
    let greedy = el.add_plain(Box::new(Greedy { rounds: Rc::clone(&rounds), asks: 2 }));
    el.again(greedy, Ready::READABLE);
    el.again(greedy, Ready::WRITABLE);
    for turn in 1..=12 {
        el.run_once(SECOND);
        assert_eq!(rounds.get(), turn, "rounds must not multiply");
    }
}

#[test]
fn again_is_for_the_next_turn_and_comes_with_what_it_was_asked_for() {
    struct Both(Rc<RefCell<Vec<Ready>>>);
    impl Source for Both {
        fn ready(&mut self, _: &mut EventLoop, _: SourceId, ready: Ready) {
            self.0.borrow_mut().push(ready);
        }
    }
    let mut el = EventLoop::new().unwrap();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let id = el.add_plain(Box::new(Both(Rc::clone(&seen))));
    el.defer(move |el| {
        el.again(id, Ready::READABLE);
        el.again(id, Ready::WRITABLE.and(Ready::ERROR));
    });
    el.run_once(SECOND);
    assert!(seen.borrow().is_empty());
    el.run_once(SECOND);
    let all = Ready::READABLE.and(Ready::WRITABLE).and(Ready::ERROR);
    assert_eq!(*seen.borrow(), [all]);
    el.again(id, Ready::default());
    el.run_once(SECOND);
    assert_eq!(*seen.borrow(), [all, Ready::default()], "also with nothing to say");
}

#[test]
fn a_firehose_has_one_round_a_turn_however_the_kernel_joins_in() {
    let mut el = EventLoop::new().unwrap();
    let rounds = Rc::new(Cell::new(0));
    let (socket, mut peer) = socket_pair();
    watch(&mut el, socket, {
        let rounds = Rc::clone(&rounds);
        move |_, el, id| {
            // Leaves everything unread, so that the kernel has an edge to tell with each write.
            rounds.set(rounds.get() + 1);
            el.again(id, Ready::READABLE);
        }
    });
    for turn in 1..=20 {
        peer.write_all(b"more").unwrap();
        el.run_once(SECOND);
        assert_eq!(rounds.get(), turn);
    }
}

#[test]
fn a_removed_source_has_no_further_round() {
    let mut el = EventLoop::new().unwrap();
    let rounds = Rc::new(Cell::new(0));
    let new = || Box::new(Greedy { rounds: Rc::clone(&rounds), asks: 1 });
    let id = el.add_plain(new());
    el.again(id, Ready::READABLE);
    el.mark_due(id);
    el.start_timer(id, Duration::ZERO, 0);
    assert!(el.remove(id));
    let in_its_place = el.add_plain(new());
    thread::sleep(Duration::from_millis(2));
    for _ in 0..3 {
        el.run_once(Duration::ZERO);
    }
    assert_eq!(rounds.get(), 0);
    assert_eq!(el.timers(), 0);
    assert!(el.contains(in_its_place) && !el.contains(id));
}

// ---- many, and growth ----

#[test]
fn five_thousand_descriptors_ready_at_once_are_all_served() {
    alone("event_loop::five_thousand_descriptors_ready_at_once_are_all_served", || {
        network::raise_open_files().unwrap();
        let mut el = EventLoop::new().unwrap();
        let served = Rc::new(RefCell::new(HashSet::new()));
        let mut peers = Vec::new();
        for _ in 0..5_000 {
            let (socket, mut peer) = socket_pair();
            let served = Rc::clone(&served);
            watch(&mut el, socket, move |socket, _, id| {
                assert_eq!(read_all(socket), 1);
                assert!(served.borrow_mut().insert(id), "one event each");
            });
            peer.write_all(b"x").unwrap();
            peers.push(peer);
        }
        assert_eq!(el.sources(), 5_000);
        run_until(&mut el, SECOND, || served.borrow().len() == 5_000);
        // The first poll takes 256, then the storage doubles: 256, 512, 1024, 2048, 4096.
        assert!(el.handle().turns() <= 5, "{} turns", el.handle().turns());
        // The fifth poll did not fill the storage, the next one does.
        for turns in [2, 1] {
            served.borrow_mut().clear();
            for peer in &mut peers {
                peer.write_all(b"x").unwrap();
            }
            let before = el.handle().turns();
            run_until(&mut el, SECOND, || served.borrow().len() == 5_000);
            assert_eq!(el.handle().turns() - before, turns, "the storage grows with the load");
        }
        for id in el.ids() {
            assert!(el.remove(id));
        }
        assert_eq!(el.sources(), 0);
    });
}

#[test]
fn everything_returns_to_nothing() {
    alone("event_loop::everything_returns_to_nothing", || {
        let before = open_fds();
        let drops = Drops::default();
        let mut el = EventLoop::new().unwrap();
        let empty = open_fds();
        for round in 0..3 {
            let mut peers = Vec::new();
            for _ in 0..100 {
                let (socket, peer) = socket_pair();
                let token = drops.token();
                watch(&mut el, socket, move |_, el, id| {
                    let _ = &token;
                    assert!(el.remove(id));
                });
                peers.push(peer);
            }
            for peer in &mut peers {
                peer.write_all(b"x").unwrap();
            }
            while el.sources() > 0 {
                el.run_once(SECOND);
            }
            drop(peers);
            assert_eq!(drops.count(), 100 * (round + 1));
            assert_eq!((el.sources(), el.timers(), open_fds()), (0, 0, empty));
        }
        let (socket, peer) = socket_pair();
        let token = drops.token();
        watch(&mut el, socket, move |_, _, _| {
            let _ = &token;
        });
        el.after(SECOND, {
            let token = drops.token();
            move |_| drop(token)
        });
        el.defer({
            let token = drops.token();
            move |_| drop(token)
        });
        drop(el);
        drop(peer);
        assert_eq!(drops.count(), 303, "the end drops what is still there");
        assert_eq!(open_fds(), before);
    });
}

#[test]
fn a_loop_that_ends_tells_its_sources() {
    let seen = Recorder::default();
    let mut el = EventLoop::new().unwrap();
    el.add_plain(Box::new(seen.clone()));
    el.defer(EventLoop::stop);
    el.run();
    assert_eq!(seen.take(), ["ended"]);
}

#[test]
fn a_plain_file_cannot_be_watched_and_costs_nothing() {
    let mut el = EventLoop::new().unwrap();
    let file = File::open("/proc/self/cmdline").or_else(|_| File::open("Cargo.toml")).unwrap();
    let directory = File::open(".").unwrap();
    let drops = Drops::default();
    struct Holding {
        _token: Token,
    }
    impl Source for Holding {
        fn ready(&mut self, _: &mut EventLoop, _: SourceId, _: Ready) {}
    }
    for fd in [file.as_fd(), directory.as_fd()] {
        assert!(
            el.add(fd, Interest::READABLE, Box::new(Holding { _token: drops.token() })).is_err()
        );
    }
    assert_eq!((el.sources(), drops.count()), (0, 2));
}

// ---- re-entrancy ----

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
    alone("event_loop::a_reused_descriptor_does_not_inherit_an_event", || {
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

// ---- drain ----

#[test]
fn a_drained_loop_ends_with_its_last_source() {
    struct TakesAMoment;
    impl Source for TakesAMoment {
        fn ready(&mut self, _: &mut EventLoop, _: SourceId, _: Ready) {}
        fn drain(&mut self, el: &mut EventLoop, id: SourceId) {
            assert!(el.is_draining());
            el.start_timer(id, Duration::from_millis(20), 0);
        }
        fn timer(&mut self, el: &mut EventLoop, id: SourceId, _: u32) {
            el.remove(id);
        }
    }
    let mut el = EventLoop::new().unwrap();
    el.add_plain(Box::new(TakesAMoment));
    let (socket, _peer) = socket_pair();
    watch(&mut el, socket, |_, _, _| ());
    within(SECOND * 2, &mut el);
    assert!(!el.is_draining());
    el.defer(|el| el.drain(SECOND * 60));
    let began = Instant::now();
    el.run();
    assert!(began.elapsed() >= Duration::from_millis(20));
}

#[test]
fn a_source_that_does_not_end_is_ended_when_the_time_is_over() {
    let seen = Recorder::default();
    let mut el = EventLoop::new().unwrap();
    el.add_plain(Box::new(seen.clone()));
    within(SECOND, &mut el);
    el.drain(SECOND * 60);
    // The sooner of two bounds holds.
    el.drain(Duration::from_millis(10));
    el.drain(SECOND * 30);
    el.run();
    assert_eq!(seen.take(), ["drain", "ended"], "told once of each");
}

#[test]
fn a_loop_with_nothing_on_it_is_drained_at_once() {
    let mut el = EventLoop::new().unwrap();
    within(SECOND, &mut el);
    el.drain(SECOND * 60);
    el.run();
}

#[test]
fn draining_for_ever_is_allowed() {
    let mut el = EventLoop::new().unwrap();
    within(SECOND, &mut el);
    el.add_plain(Box::new(Greedy { rounds: Rc::default(), asks: 0 }));
    el.drain(Duration::MAX);
    el.run();
}

#[test]
fn who_starts_the_drain_is_drained_too() {
    struct Starting(Rc<Cell<u32>>);
    impl Source for Starting {
        fn ready(&mut self, el: &mut EventLoop, _: SourceId, _: Ready) {
            el.drain(SECOND * 60);
        }
        fn drain(&mut self, el: &mut EventLoop, id: SourceId) {
            self.0.set(self.0.get() + 1);
            el.remove(id);
        }
    }
    let mut el = EventLoop::new().unwrap();
    let drained = Rc::new(Cell::new(0));
    let id = el.add_plain(Box::new(Starting(Rc::clone(&drained))));
    el.again(id, Ready::READABLE);
    within(SECOND, &mut el);
    el.run();
    assert_eq!(drained.get(), 1);
}

// ---- what it costs, and what it says of it ----

#[test]
fn an_idle_loop_does_nothing() {
    measured(|| {
        let mut el = EventLoop::new().unwrap();
        let (socket, _peer) = socket_pair();
        watch(&mut el, socket, |_, _, _| panic!("nobody wrote"));
        el.add_plain(Box::new(Recorder::default()));
        el.after(Duration::from_secs(3600), |_| ());
        el.every(Duration::from_secs(60), |_| ());
        el.after(Duration::from_millis(300), EventLoop::stop);
        let handle = el.handle();
        let cpu = thread_cpu();
        el.run();
        let cpu = thread_cpu() - cpu;
        // One to fall asleep, one to end, one where the wheel turns on in between.
        assert!(handle.turns() <= 4, "{} turns", handle.turns());
        expect(cpu < Duration::from_millis(3), cpu)
    });
}

/// Starts a loop on a thread of its own; the returned value is its handle and what joins it.
fn elsewhere() -> (network::Handle, thread::JoinHandle<()>) {
    let (tell, hear) = mpsc::channel();
    let running = thread::spawn(move || {
        let el = EventLoop::new().unwrap();
        tell.send(el.handle()).unwrap();
        el.run();
    });
    (hear.recv().unwrap(), running)
}

#[test]
fn the_busy_share_is_near_one_when_busy_and_near_zero_when_idle() {
    fn work_on(el: &mut EventLoop) {
        let moment = Instant::now() + Duration::from_micros(200);
        while Instant::now() < moment {}
        el.defer(work_on);
    }
    let _quiet = one_at_a_time();
    measured(|| {
        let mut el = EventLoop::new().unwrap();
        assert!(el.busy_share() < f32::EPSILON);
        let until = Instant::now() + Duration::from_millis(250);
        while Instant::now() < until {
            el.run_once(Duration::from_millis(10));
        }
        let idle = el.busy_share();
        work_on(&mut el);
        let until = Instant::now() + Duration::from_millis(250);
        while Instant::now() < until {
            el.run_once(SECOND);
        }
        let busy = el.busy_share();
        expect(idle < 0.1 && busy > 0.9 && busy <= 1.0, (idle, busy))
    });
}

#[test]
fn half_a_load_is_half_a_share() {
    let _quiet = one_at_a_time();
    measured(|| {
        let mut el = EventLoop::new().unwrap();
        // What the loop says, and the share of the work in each round as seen from here.
        let (mut told, mut seen) = (Vec::new(), Vec::new());
        let until = Instant::now() + Duration::from_millis(400);
        while Instant::now() < until {
            let began = Instant::now();
            while began.elapsed() < Duration::from_millis(5) {}
            let worked = began.elapsed();
            el.run_once(Duration::from_millis(5));
            told.push(el.busy_share());
            seen.push(worked.as_secs_f32() / began.elapsed().as_secs_f32());
        }
        let mean = |shares: &[f32]| {
            let last = &shares[shares.len() / 2..];
            last.iter().sum::<f32>() / last.len() as f32
        };
        let (told, seen) = (mean(&told), mean(&seen));
        expect((told - seen).abs() < 0.15 && (0.05..0.95).contains(&told), (told, seen))
    });
}

#[test]
fn a_loop_that_has_gone_to_sleep_is_not_called_busy() {
    let (handle, running) = elsewhere();
    handle
        .post(|_| {
            let until = Instant::now() + Duration::from_millis(150);
            while Instant::now() < until {}
        })
        .unwrap();
    // Another turn closes the window, and then there is nothing more to do.
    wait_until(SECOND, || handle.tasks() == 1);
    handle.post(|_| ()).unwrap();
    wait_until(SECOND, || handle.tasks() == 2);
    wait_until(SECOND, || handle.busy_share() < 0.1);
    handle.stop();
    running.join().unwrap();
}

#[test]
fn a_loop_that_does_not_come_back_from_a_handler_is_called_busy() {
    let (handle, running) = elsewhere();
    let (release, wait) = mpsc::channel();
    handle.post(move |_| wait.recv().unwrap()).unwrap();
    wait_until(SECOND, || handle.busy_share() > 0.9);
    release.send(()).unwrap();
    wait_until(SECOND, || handle.busy_share() < 0.1);
    handle.stop();
    running.join().unwrap();
}
