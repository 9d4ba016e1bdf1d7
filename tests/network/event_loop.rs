//! The loop itself: one per thread, a turn and its order, how it drains.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use network::{EventLoop, Interest, LoopError, Ready, Source, SourceId};

use crate::support::{
    Drops, Recorder, Token, alone, elsewhere, expect, measured, open_fds, read_all, run_until,
    socket_pair, wait_until, watch, within,
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
