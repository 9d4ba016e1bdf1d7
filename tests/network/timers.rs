//! Timers: order, exactness, periods, and what happens to a timer inside of another's call.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use network::{EventLoop, Ready, Source, SourceId, Timer};

use crate::support::{
    Drops, expect, measured, one_at_a_time, read_all, run_until, socket_pair, thread_cpu, watch,
    within,
};

const SECOND: Duration = Duration::from_secs(1);

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A list to which timers add what they are called.
#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<&'static str>>>);

impl Log {
    fn note(&self, what: &'static str) -> impl FnMut(&mut EventLoop) + use<> {
        let log = Rc::clone(&self.0);
        move |_| log.borrow_mut().push(what)
    }

    fn len(&self) -> usize {
        self.0.borrow().len()
    }

    fn take(&self) -> Vec<&'static str> {
        self.0.take()
    }
}

/// How much longer than it is told a thread of this machine sleeps at the moment.
fn oversleep() -> Duration {
    let mut more: Vec<Duration> = (0..15)
        .map(|_| {
            let began = Instant::now();
            thread::sleep(ms(3));
            began.elapsed() - ms(3)
        })
        .collect();
    more.sort();
    more[7]
}

/// Spends time without giving the loop a turn.
fn work(time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until {}
}

// ---- order and exactness ----

#[test]
fn timers_fire_in_the_order_of_their_times() {
    let mut el = EventLoop::new().unwrap();
    let log = Log::default();
    let now = Instant::now();
    el.after(ms(30), log.note("after 30"));
    el.at(now + ms(20), log.note("at 20"));
    el.after(ms(10), log.note("after 10"));
    el.at(now - ms(5), log.note("past"));
    el.after(Duration::ZERO, log.note("now"));
    assert_eq!(el.timers(), 5);
    run_until(&mut el, SECOND, || log.len() == 5);
    let seen = log.take();
    assert_eq!(seen, ["past", "now", "after 10", "at 20", "after 30"]);
    assert_eq!(el.timers(), 0);
}

#[test]
fn timers_that_are_late_together_still_fire_in_their_order() {
    let mut el = EventLoop::new().unwrap();
    let log = Log::default();
    let names = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    for (i, name) in names.iter().enumerate().rev() {
        el.after(ms(2 * i as u64 + 1), log.note(name));
    }
    // Of one time: in the order in which they were started.
    let at = Instant::now() + ms(25);
    el.at(at, log.note("first"));
    el.at(at, log.note("second"));
    work(ms(40));
    el.run_once(Duration::ZERO);
    let seen = log.take();
    assert_eq!(seen[..10], names);
    assert_eq!(seen[10..], ["first", "second"]);
}

#[test]
fn ten_thousand_timers_fire_within_two_milliseconds() {
    let _quiet = one_at_a_time();
    measured(|| {
        let mut el = EventLoop::new().unwrap();
        let late: Rc<RefCell<Vec<Duration>>> = Rc::default();
        let began = Instant::now() + ms(20);
        for _ in 0..10_000 {
            let at = began + Duration::from_micros(el.random() % 500_000);
            let late = Rc::clone(&late);
            el.at(at, move |_| {
                let now = Instant::now();
                assert!(now >= at, "{:?} early", at - now);
                late.borrow_mut().push(now - at);
            });
        }
        assert_eq!(el.timers(), 10_000);
        run_until(&mut el, SECOND * 5, || late.borrow().len() == 10_000);
        assert_eq!(el.timers(), 0);
        let mut late = late.take();
        late.sort();
        let (median, p99) = (late[5_000], late[9_900]);
        // Other work of the machine makes some late, and this thread's sleep with them.
        let more = oversleep();
        let good = median < ms(2) + more && p99 < ms(10) + 5 * more;
        expect(good, ("median", median, "p99", p99, "oversleep", more))
    });
}

#[test]
fn a_timer_on_an_otherwise_idle_loop_is_exact() {
    let _quiet = one_at_a_time();
    measured(|| {
        let mut el = EventLoop::new().unwrap();
        // The wheel has turned, and then stood still without timers.
        el.after(Duration::ZERO, |_| ());
        el.run_once(ms(5));
        let mut late: Vec<Duration> = (0..21)
            .map(|i| {
                thread::sleep(Duration::from_micros(i * 700));
                let fired = Rc::new(Cell::new(None));
                let at = Instant::now() + Duration::from_micros(3_000 + i * 150);
                el.at(at, {
                    let fired = Rc::clone(&fired);
                    move |_| fired.set(Some(Instant::now()))
                });
                while fired.get().is_none() {
                    el.run_once(SECOND);
                }
                fired.get().unwrap() - at
            })
            .collect();
        late.sort();
        // The loop's share of it: a millisecond of its own clock, and one of the kernel's time-out.
        expect(late[10] < ms(2) + oversleep(), late)
    });
}

#[test]
fn the_farthest_future_is_waited_for_without_a_turn() {
    let mut el = EventLoop::new().unwrap();
    let day = Duration::from_secs(86_400);
    let log = Log::default();
    let mut timers: Vec<Timer> =
        [day / 24, day * 25, day * 30, day * 50, day * 20_000, Duration::MAX]
            .into_iter()
            .map(|delay| el.after(delay, log.note("too soon")))
            .collect();
    timers.push(el.every(Duration::MAX, log.note("too soon")));
    timers.push(el.every(day * 50, log.note("too soon")));
    el.after(ms(60), EventLoop::stop);
    let (handle, cpu) = (el.handle(), thread_cpu());
    while el.run_once(Duration::MAX) {}
    assert!(handle.turns() <= 3, "{} turns", handle.turns());
    assert!(thread_cpu() - cpu < ms(10));
    assert_eq!(el.timers(), timers.len());
    assert!(timers.into_iter().all(|timer| el.cancel(timer)));
    assert_eq!((el.timers(), log.len()), (0, 0));
}

// ---- periods ----

#[test]
fn a_periodic_timer_does_not_drift() {
    const PERIOD: Duration = ms(40);
    const CALLS: u32 = 15;
    let _quiet = one_at_a_time();
    measured(|| {
        let mut el = EventLoop::new().unwrap();
        let late: Rc<RefCell<Vec<Duration>>> = Rc::default();
        let began = Instant::now();
        el.every(PERIOD, {
            let late = Rc::clone(&late);
            move |_| {
                // Behind a multiple of the period, never in front of it.
                let micros = began.elapsed().as_micros() % PERIOD.as_micros();
                late.borrow_mut().push(Duration::from_micros(micros as u64));
                // A timer that was started anew from here would be 16, 32, 8, 24 ms late and so on.
                work(ms(16));
            }
        });
        run_until(&mut el, SECOND * 3, || late.borrow().len() == CALLS as usize);
        let took = began.elapsed();
        assert!(took >= PERIOD * CALLS, "{took:?}");
        let mut late = late.take();
        late.sort();
        expect(late[late.len() / 2] < ms(10) && took < PERIOD * CALLS * 5 / 4, (took, late))
    });
}

#[test]
fn missed_periods_are_left_out() {
    let mut el = EventLoop::new().unwrap();
    let fired = Rc::new(Cell::new(0));
    el.every(ms(5), {
        let fired = Rc::clone(&fired);
        move |_| fired.set(fired.get() + 1)
    });
    work(ms(52));
    el.run_once(Duration::ZERO);
    assert_eq!(fired.get(), 1, "ten periods, one call");
    assert_eq!(el.timers(), 1);
    let before = Instant::now();
    run_until(&mut el, SECOND, || fired.get() == 2);
    assert!(before.elapsed() < ms(50), "and on it goes");
}

#[test]
fn a_call_that_takes_longer_than_the_period_starves_nobody() {
    let mut el = EventLoop::new().unwrap();
    let (slow, other) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    el.every(Duration::ZERO, {
        let slow = Rc::clone(&slow);
        move |_| {
            slow.set(slow.get() + 1);
            work(ms(3));
        }
    });
    el.every(ms(2), {
        let other = Rc::clone(&other);
        move |_| other.set(other.get() + 1)
    });
    let turns = el.handle();
    run_until(&mut el, SECOND * 2, || slow.get() >= 20);
    assert!(other.get() >= 19, "{}", other.get());
    assert!(slow.get() <= turns.turns() as i32, "once a turn at most");
}

// ---- cancelling ----

#[test]
fn a_cancelled_timer_does_not_fire() {
    let mut el = EventLoop::new().unwrap();
    let (log, drops) = (Log::default(), Drops::default());
    let token = drops.token();
    let once = el.after(ms(1), move |_| drop(token));
    let every = el.every(ms(1), log.note("every"));
    assert!(el.cancel(once) && el.cancel(every));
    assert_eq!((el.timers(), drops.count()), (0, 1), "what it captured is dropped");
    assert!(!el.cancel(once) && !el.cancel(every), "cancelled before");
    // The names find nothing, also when their places are used again.
    let next = (el.after(ms(2), log.note("next once")), el.every(ms(2), log.note("next every")));
    assert_ne!((once, every), next);
    assert!(!el.cancel(once) && !el.cancel(every));
    run_until(&mut el, SECOND, || log.len() >= 2);
    assert_eq!(log.take()[..2], ["next once", "next every"]);
    assert!(!el.cancel(next.0), "it has fired");
    assert!(el.cancel(next.1));
    assert_eq!(el.timers(), 0);
}

#[test]
fn a_timer_cancels_itself_in_its_own_call() {
    let mut el = EventLoop::new().unwrap();
    let drops = Drops::default();
    let own: Rc<Cell<Option<Timer>>> = Rc::default();
    let calls = Rc::new(Cell::new(0));
    let every = el.every(ms(1), {
        let (own, calls, drops, token) =
            (Rc::clone(&own), Rc::clone(&calls), drops.clone(), drops.token());
        move |el: &mut EventLoop| {
            let _ = &token;
            calls.set(calls.get() + 1);
            if calls.get() == 3 {
                assert!(el.cancel(own.get().unwrap()));
                assert!(!el.cancel(own.get().unwrap()), "cancelled twice");
                assert_eq!(drops.count(), 0, "who runs is not dropped");
            }
        }
    });
    own.set(Some(every));
    run_until(&mut el, SECOND, || drops.count() == 1);
    el.run_once(ms(5));
    assert_eq!((calls.get(), el.timers()), (3, 0));
    let once: Rc<Cell<Option<Timer>>> = Rc::default();
    let answer = Rc::new(Cell::new(None));
    let timer = el.after(Duration::ZERO, {
        let (once, answer) = (Rc::clone(&once), Rc::clone(&answer));
        move |el| answer.set(Some(el.cancel(once.get().unwrap())))
    });
    once.set(Some(timer));
    run_until(&mut el, SECOND, || answer.get().is_some());
    assert_eq!(answer.get(), Some(false), "it has fired");
}

#[test]
fn a_timer_cancels_others_that_are_due_in_the_same_turn() {
    let mut el = EventLoop::new().unwrap();
    let log = Log::default();
    let doomed: Rc<RefCell<Vec<Timer>>> = Rc::default();
    let at = Instant::now() + ms(1);
    el.at(at, {
        let (doomed, mut note) = (Rc::clone(&doomed), log.note("first"));
        move |el| {
            note(el);
            for timer in doomed.take() {
                assert!(el.cancel(timer));
            }
        }
    });
    doomed.borrow_mut().push(el.at(at, log.note("same time")));
    doomed.borrow_mut().push(el.at(at + ms(2), log.note("later in the turn")));
    doomed.borrow_mut().push(el.every(ms(1), log.note("periodic")));
    el.at(at, log.note("spared"));
    work(ms(10));
    el.run_once(Duration::ZERO);
    el.run_once(ms(5));
    assert_eq!(log.take(), ["first", "spared"]);
    assert_eq!(el.timers(), 0);
}

#[test]
fn a_cancelled_period_can_be_started_anew_from_its_own_call() {
    let mut el = EventLoop::new().unwrap();
    let log = Log::default();
    let own: Rc<Cell<Option<Timer>>> = Rc::default();
    let first = el.every(ms(1), {
        let (own, log) = (Rc::clone(&own), log.clone());
        move |el: &mut EventLoop| {
            log.note("first")(el);
            assert!(el.cancel(own.get().unwrap()));
            // It may get the place of the one that is just running.
            own.set(Some(el.every(ms(1), log.note("second"))));
        }
    });
    own.set(Some(first));
    run_until(&mut el, SECOND, || log.len() >= 3);
    assert_eq!(log.take()[..3], ["first", "second", "second"]);
    assert!(el.cancel(own.get().unwrap()));
    assert_eq!(el.timers(), 0);
}

// ---- within a turn ----

#[test]
fn timers_that_start_themselves_anew_at_once_starve_nobody() {
    fn again(el: &mut EventLoop, count: Rc<Cell<u64>>) {
        count.set(count.get() + 1);
        el.after(Duration::ZERO, move |el| again(el, count));
    }
    fn at_once(el: &mut EventLoop, count: Rc<Cell<u64>>) {
        count.set(count.get() + 1);
        el.at(Instant::now() - ms(1), move |el| at_once(el, count));
    }
    let mut el = EventLoop::new().unwrap();
    let counts = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    again(&mut el, Rc::clone(&counts.0));
    at_once(&mut el, Rc::clone(&counts.1));
    let events = Rc::new(Cell::new(0));
    let (socket, mut peer) = socket_pair();
    watch(&mut el, socket, {
        let events = Rc::clone(&events);
        move |socket, el, _| {
            events.set(events.get() + read_all(socket));
            el.defer(|_| ());
        }
    });
    for expected in 1..=50 {
        peer.write_all(b"x").unwrap();
        run_until(&mut el, SECOND, || events.get() == expected);
    }
    let turns = el.handle().turns();
    assert!(counts.1.get() >= 49 && counts.1.get() <= turns + 1, "{counts:?} in {turns} turns");
    assert_eq!(el.timers(), 2);
}

#[test]
fn a_sources_own_timers_end_with_it() {
    struct Timed(Rc<RefCell<Vec<u32>>>);
    impl Source for Timed {
        fn ready(&mut self, _: &mut EventLoop, _: SourceId, _: Ready) {}
        fn timer(&mut self, el: &mut EventLoop, id: SourceId, key: u32) {
            self.0.borrow_mut().push(key);
            if key == 3 {
                el.remove(id);
            }
        }
    }
    let mut el = EventLoop::new().unwrap();
    let keys: Rc<RefCell<Vec<u32>>> = Rc::default();
    let id = el.add_plain(Box::new(Timed(Rc::clone(&keys))));
    for key in [5, 4, 3, 2, 1] {
        el.start_timer(id, ms(u64::from(key)), key);
    }
    let cancelled = el.start_timer(id, ms(1), 9);
    assert!(el.cancel(cancelled));
    run_until(&mut el, SECOND, || keys.borrow().len() == 3);
    let other = el.add_plain(Box::new(Timed(Rc::clone(&keys))));
    el.start_timer(other, ms(15), u32::MAX);
    run_until(&mut el, SECOND, || keys.borrow().len() == 4);
    assert_eq!(*keys.borrow(), [1, 2, 3, u32::MAX]);
    assert_eq!(el.timers(), 0, "also those of the source that is gone");
}

#[test]
fn the_loops_end_drops_what_timers_have_captured() {
    let mut el = EventLoop::new().unwrap();
    let drops = Drops::default();
    let [first, second, third] = [drops.token(), drops.token(), drops.token()];
    el.after(SECOND, move |_| drop(first));
    el.every(SECOND, move |_| {
        let _ = &second;
    });
    // Also what is running.
    el.every(ms(1), move |el| {
        let _ = &third;
        el.stop();
    });
    within(SECOND, &mut el);
    el.run();
    assert_eq!(drops.count(), 3);
}

#[test]
fn a_hundred_thousand_timers_cost_little_to_start_and_cancel() {
    let mut el = EventLoop::new().unwrap();
    let began = Instant::now();
    let timers: Vec<Timer> = (0..100_000)
        .map(|_| {
            let delay = ms(el.random() % 3_600_000 + 1_000);
            el.after(delay, |_| ())
        })
        .collect();
    assert_eq!(el.timers(), 100_000);
    // A turn does not look at those that are not due.
    let turn = Instant::now();
    el.run_once(Duration::ZERO);
    assert!(turn.elapsed() < ms(20), "{:?}", turn.elapsed());
    for timer in timers {
        assert!(el.cancel(timer));
    }
    assert_eq!(el.timers(), 0);
    // A debug build takes some 30 ms.
    assert!(began.elapsed() < SECOND, "{:?}", began.elapsed());
}
