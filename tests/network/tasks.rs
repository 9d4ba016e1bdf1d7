//! Work that reaches a loop from elsewhere: posted tasks, and the answers to names.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use network::{EventLoop, Handle, LoopEnded, ResolveError};

use crate::support::{
    Drops, alone, expect, measured, read_all, run_until, socket_pair, wait_until, watch, within,
};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_handle_goes_anywhere() {
    fn anywhere<T: Send + Sync + Clone + 'static>() {}
    anywhere::<Handle>();
}

// ---- order, and what a wake costs ----

#[test]
fn a_million_posts_from_four_threads_keep_each_threads_order() {
    const EACH: u64 = 220_000;
    let mut el = EventLoop::new().unwrap();
    // What each producer's next task has to be. Only the loop's thread touches it.
    let next: Arc<[AtomicU64; 4]> = Arc::default();
    let start = Arc::new(Barrier::new(4));
    let producers: Vec<_> = (0..4)
        .map(|producer| {
            let (handle, next, start) = (el.handle(), Arc::clone(&next), Arc::clone(&start));
            thread::spawn(move || {
                start.wait();
                for number in 0..EACH {
                    let next = Arc::clone(&next);
                    let task = move |_: &mut EventLoop| {
                        let expected = next[producer].fetch_add(1, Ordering::Relaxed);
                        assert_eq!(number, expected, "producer {producer}");
                    };
                    handle.post(task).unwrap();
                }
            })
        })
        .collect();
    let all = || next.iter().all(|next| next.load(Ordering::Relaxed) == EACH);
    run_until(&mut el, SECOND * 20, all);
    for producer in producers {
        producer.join().unwrap();
    }
    let handle = el.handle();
    assert_eq!(handle.tasks(), 4 * EACH);
    assert!(handle.wakes() < EACH / 10, "{} wakes for {} posts", handle.wakes(), 4 * EACH);
}

#[test]
fn posts_to_a_loop_that_is_awake_wake_it_once() {
    let mut el = EventLoop::new().unwrap();
    let handle = el.handle();
    let poster = handle.clone();
    el.defer(move |_| {
        // The loop is at work while four threads post a thousand tasks each.
        let posters: Vec<_> = (0..4)
            .map(|_| {
                let handle = poster.clone();
                thread::spawn(move || (0..1_000).for_each(|_| handle.post(|_| ()).unwrap()))
            })
            .collect();
        posters.into_iter().for_each(|poster| poster.join().unwrap());
    });
    run_until(&mut el, SECOND, || handle.tasks() == 4_000);
    assert_eq!(handle.wakes(), 1);
    // Nothing is left over that would wake it again.
    let before = Instant::now();
    el.run_once(Duration::from_millis(1));
    el.run_once(Duration::from_millis(30));
    assert!(before.elapsed() >= Duration::from_millis(30));
}

#[test]
fn a_sleeping_loop_is_woken_for_a_single_post() {
    let mut el = EventLoop::new().unwrap();
    let handle = el.handle();
    measured(|| {
        let mut waits = Vec::new();
        for _ in 0..15 {
            let (poster, turns) = (handle.clone(), handle.turns());
            let (tell, hear) = mpsc::channel();
            let posting = thread::spawn(move || {
                wait_until(SECOND, || poster.turns() == turns);
                let began = Instant::now();
                poster.post(move |_| tell.send(began.elapsed()).unwrap()).unwrap();
            });
            let mut wait = None;
            while wait.is_none() {
                el.run_once(SECOND);
                wait = hear.try_recv().ok();
            }
            waits.extend(wait);
            posting.join().unwrap();
        }
        waits.sort();
        expect(waits[7] < Duration::from_millis(5), &waits)
    });
}

#[test]
fn a_post_from_the_loop_itself_needs_no_wake() {
    let mut el = EventLoop::new().unwrap();
    let handle = el.handle();
    let seen = Rc::new(Cell::new(0));
    el.defer({
        let (handle, seen) = (handle.clone(), Rc::clone(&seen));
        move |_| {
            handle.post(|el| el.stop()).unwrap();
            seen.set(1);
        }
    });
    within(SECOND, &mut el);
    assert!(el.run_once(SECOND), "the task it posts is for the next turn");
    assert_eq!((seen.get(), handle.tasks()), (1, 0));
    assert!(!el.run_once(SECOND * 60), "which does not wait");
    assert_eq!((handle.tasks(), handle.wakes()), (1, 0));
}

#[test]
fn deferred_work_runs_in_its_order_behind_what_was_posted() {
    let mut el = EventLoop::new().unwrap();
    let seen = Arc::new(AtomicU32::new(0));
    // Each appends its digit.
    let digit = |digit: u32| {
        let seen = Arc::clone(&seen);
        move |_: &mut EventLoop| {
            seen.store(seen.load(Ordering::Relaxed) * 10 + digit, Ordering::Relaxed);
        }
    };
    el.defer(digit(3));
    el.defer(digit(4));
    el.handle().post(digit(1)).unwrap();
    el.handle().post(digit(2)).unwrap();
    el.run_once(SECOND);
    assert_eq!(seen.load(Ordering::Relaxed), 1234);
}

// ---- nobody starves ----

fn for_ever(el: &mut EventLoop) {
    el.defer(for_ever);
}

fn post_for_ever(el: &mut EventLoop) {
    el.handle().post(post_for_ever).unwrap();
}

#[test]
fn tasks_that_start_themselves_anew_starve_nobody() {
    let mut el = EventLoop::new().unwrap();
    let (events, ticks) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let (socket, mut peer) = socket_pair();
    watch(&mut el, socket, {
        let events = Rc::clone(&events);
        move |socket, _, _| events.set(events.get() + read_all(socket))
    });
    el.every(Duration::from_millis(2), {
        let ticks = Rc::clone(&ticks);
        move |_| {
            ticks.set(ticks.get() + 1);
            peer.write_all(b"x").unwrap();
        }
    });
    for_ever(&mut el);
    post_for_ever(&mut el);
    run_until(&mut el, SECOND, || ticks.get() >= 10 && events.get() >= 9);
    let handle = el.handle();
    assert!(handle.tasks() <= handle.turns(), "one a turn");
}

#[test]
fn a_burst_of_tasks_does_not_hold_up_timers_and_events() {
    let mut el = EventLoop::new().unwrap();
    let handle = el.handle();
    let ran = Arc::new(AtomicU32::new(0));
    // A fifth of a second of work, all of it in the queue at once.
    for _ in 0..20_000 {
        let ran = Arc::clone(&ran);
        let task = move |_: &mut EventLoop| {
            let moment = Instant::now() + Duration::from_micros(10);
            while Instant::now() < moment {}
            ran.fetch_add(1, Ordering::Relaxed);
        };
        handle.post(task).unwrap();
    }
    let before = Rc::new(Cell::new(None));
    el.after(Duration::from_millis(2), {
        let (before, ran) = (Rc::clone(&before), Arc::clone(&ran));
        move |_| before.set(Some(ran.load(Ordering::Relaxed)))
    });
    run_until(&mut el, SECOND * 10, || ran.load(Ordering::Relaxed) == 20_000);
    let before = before.get().expect("the timer has fired");
    assert!(before < 10_000, "{before} tasks before a timer that was due long ago");
}

// ---- the end ----

#[test]
fn a_post_to_an_ended_loop_is_refused_and_its_values_are_dropped() {
    let el = EventLoop::new().unwrap();
    let handle = el.handle();
    assert!(!handle.has_ended());
    drop(el);
    assert!(handle.has_ended());
    let drops = Drops::default();
    let token = drops.token();
    let refused = handle.post(move |_| drop(token));
    assert_eq!(refused, Err(LoopEnded));
    assert_eq!(LoopEnded.to_string(), "the event loop has ended; the task was not run");
    assert_eq!(drops.count(), 1);
    // Neither of these finds anybody, nor do they fail.
    handle.stop();
    assert_eq!((handle.connections(), handle.clone().number()), (0, handle.number()));
}

#[test]
fn tasks_that_wait_when_the_loop_stops_are_dropped_unrun() {
    let mut el = EventLoop::new().unwrap();
    let handle = el.handle();
    let drops = Drops::default();
    let ran = Arc::new(AtomicBool::new(false));
    el.stop();
    for _ in 0..10 {
        let (token, ran) = (drops.token(), Arc::clone(&ran));
        let task = move |_: &mut EventLoop| {
            drop(token);
            ran.store(true, Ordering::Relaxed);
        };
        handle.post(task).unwrap();
    }
    el.run();
    assert_eq!(drops.count(), 10);
    assert!(!ran.load(Ordering::Relaxed));
}

#[test]
fn a_value_that_posts_while_it_is_dropped_with_its_loop_is_refused() {
    struct Posting(Handle, mpsc::Sender<Result<(), LoopEnded>>);
    impl Drop for Posting {
        fn drop(&mut self) {
            self.1.send(self.0.post(|_| ())).unwrap();
        }
    }
    let mut el = EventLoop::new().unwrap();
    let (tell, hear) = mpsc::channel();
    let posting = || Posting(el.handle(), tell.clone());
    let (posted, deferred, timed) = (posting(), posting(), posting());
    el.handle().post(move |_| drop(posted)).unwrap();
    el.defer(move |_| drop(deferred));
    el.after(SECOND, move |_| drop(timed));
    drop(el);
    assert_eq!(hear.try_iter().collect::<Vec<_>>(), [Err(LoopEnded); 3]);
}

/// Threads post while the loop ends under their hands: each task runs at most once, one that was refused
/// has not run, and nothing that a task has captured outlives the loop and its posters.
#[test]
fn a_task_posted_in_the_very_moment_of_the_end_leaks_nothing() {
    let drops = Drops::default();
    let mut made = 0;
    for round in 0..300 {
        let el = EventLoop::new().unwrap();
        let start = Arc::new(Barrier::new(3));
        let posters: Vec<_> = (0..2)
            .map(|_| {
                let (handle, drops, start) = (el.handle(), drops.clone(), Arc::clone(&start));
                thread::spawn(move || {
                    start.wait();
                    let mut made = 0;
                    loop {
                        made += 1;
                        let (token, ran) = (drops.token(), Arc::new(AtomicU32::new(0)));
                        let count = Arc::clone(&ran);
                        let posted = handle.post(move |_| {
                            let _token = token;
                            count.fetch_add(1, Ordering::SeqCst);
                        });
                        if posted.is_err() {
                            assert_eq!(ran.load(Ordering::SeqCst), 0, "refused, yet it has run");
                            return made;
                        }
                    }
                })
            })
            .collect();
        start.wait();
        // The end comes at another moment each time.
        let until = Instant::now() + Duration::from_micros(round % 50);
        let mut el = el;
        while Instant::now() < until {
            el.run_once(Duration::ZERO);
        }
        drop(el);
        made += posters.into_iter().map(|poster| poster.join().unwrap()).sum::<usize>();
        assert_eq!(drops.count(), made, "round {round}");
    }
}

// ---- names ----

type Answer = Result<Vec<SocketAddr>, ResolveError>;

/// A name that every system refuses without asking anybody: no part of a name is that long.
fn impossible(name: &str) -> String {
    format!("{name}-{}", "x".repeat(64))
}

/// Asks for a name; the answers go where the returned list is.
fn ask(el: &mut EventLoop, host: &str, port: u16) -> Rc<RefCell<Vec<Answer>>> {
    let answers: Rc<RefCell<Vec<Answer>>> = Rc::default();
    let list = Rc::clone(&answers);
    el.resolve(host, port, move |_, answer| list.borrow_mut().push(answer));
    assert!(answers.borrow().is_empty(), "not before the present handler has returned");
    answers
}

#[test]
fn localhost_resolves() {
    let mut el = EventLoop::new().unwrap();
    let answers = ask(&mut el, "localhost", 8080);
    run_until(&mut el, SECOND * 5, || !answers.borrow().is_empty());
    let answer = answers.borrow()[0].clone().unwrap();
    assert!(!answer.is_empty());
    assert!(answer.iter().all(|address| address.ip().is_loopback() && address.port() == 8080));
    // Now it is remembered, under another port too, and still told only later.
    let again = ask(&mut el, "localhost", 9);
    el.run_once(Duration::ZERO);
    assert_eq!(again.borrow().len(), 1);
    assert!(again.borrow()[0].as_ref().unwrap().iter().all(|address| address.port() == 9));
    assert_eq!(answers.borrow().len(), 1);
}

#[test]
fn an_address_is_its_own_answer() {
    let mut el = EventLoop::new().unwrap();
    for ip in ["127.0.0.1", "192.0.2.7", "::1", "2001:db8::7"] {
        let answers = ask(&mut el, ip, 1935);
        el.run_once(Duration::ZERO);
        let expected = SocketAddr::new(ip.parse().unwrap(), 1935);
        assert_eq!(*answers.borrow(), [Ok(vec![expected])]);
    }
}

#[test]
fn a_name_that_does_not_exist_is_told_once_with_a_sentence() {
    let mut el = EventLoop::new().unwrap();
    let answers = ask(&mut el, "no-such-name.invalid", 80);
    run_until(&mut el, SECOND * 20, || !answers.borrow().is_empty());
    let error = answers.borrow()[0].clone().unwrap_err();
    assert!(
        error.to_string().starts_with("\"no-such-name.invalid\" does not resolve: "),
        "{error}"
    );
    // The failure is remembered for a while, and told again only to who asks again.
    let again = ask(&mut el, "no-such-name.invalid", 81);
    el.run_once(Duration::ZERO);
    assert_eq!(*again.borrow(), [Err(error)]);
    el.run_once(Duration::from_millis(5));
    assert_eq!((answers.borrow().len(), again.borrow().len()), (1, 1));
}

#[test]
fn names_that_cannot_be_names_are_told_as_others() {
    let mut el = EventLoop::new().unwrap();
    let long = "a".repeat(300);
    for name in ["", "a b", "nul\0byte", "..", "[::1]", "127.0.0.1:80", &long] {
        let answers = ask(&mut el, name, 80);
        run_until(&mut el, SECOND * 20, || !answers.borrow().is_empty());
        let error = answers.borrow()[0].clone().expect_err(name);
        assert!(error.to_string().contains("does not resolve: "), "{error}");
    }
}

#[test]
fn all_who_ask_for_the_same_name_are_answered_while_the_loop_goes_on() {
    let mut el = EventLoop::new().unwrap();
    let (name, answered) = (impossible("asked-by-many"), Rc::new(Cell::new(0)));
    for number in 0..5_000 {
        let answered = Rc::clone(&answered);
        el.resolve(&name, number, move |_, answer| {
            assert!(answer.is_err());
            answered.set(answered.get() + 1);
        });
    }
    let ticks = Rc::new(Cell::new(0));
    let longest = Rc::new(Cell::new((Instant::now(), Duration::ZERO)));
    el.every(Duration::from_millis(1), {
        let (ticks, longest) = (Rc::clone(&ticks), Rc::clone(&longest));
        move |_| {
            ticks.set(ticks.get() + 1);
            let (last, most) = longest.get();
            longest.set((Instant::now(), most.max(last.elapsed())));
        }
    });
    run_until(&mut el, SECOND * 20, || answered.get() == 5_000 && ticks.get() >= 3);
    assert!(longest.get().1 < Duration::from_millis(500), "the loop waited: {longest:?}");
    el.run_once(Duration::from_millis(5));
    assert_eq!(answered.get(), 5_000, "once each");
}

#[test]
fn too_many_names_at_once_are_refused_with_a_sentence() {
    // Alone: the look-ups that were not refused go on after the test.
    alone("tasks::too_many_names_at_once_are_refused_with_a_sentence", || {
        let mut el = EventLoop::new().unwrap();
        let refused: Rc<RefCell<Vec<String>>> = Rc::default();
        for number in 0..5_000 {
            let refused = Rc::clone(&refused);
            el.resolve(&impossible(&number.to_string()), 80, move |_, answer| {
                if let Err(error @ ResolveError::Busy(_)) = answer {
                    refused.borrow_mut().push(error.to_string());
                }
            });
        }
        run_until(&mut el, SECOND, || !refused.borrow().is_empty());
        let refused = refused.borrow();
        assert!(refused.iter().all(|why| why == "1024 names are being looked up already"));
    });
}

#[test]
fn a_loop_that_ends_before_the_answer_drops_who_waits() {
    let drops = Drops::default();
    let mut el = EventLoop::new().unwrap();
    let (token, name) = (drops.token(), impossible("asked-too-late"));
    el.resolve(&name, 80, move |_, _| drop(token));
    drop(el);
    assert_eq!(drops.count(), 1);
    // The answer comes to nobody, and the next loop hears of its own question only.
    let mut el = EventLoop::new().unwrap();
    let answers = ask(&mut el, &name, 80);
    run_until(&mut el, SECOND * 20, || !answers.borrow().is_empty());
    assert_eq!(answers.borrow().len(), 1);
}

#[test]
fn two_loops_that_ask_for_one_name_are_both_answered() {
    let asking: Vec<_> = (0..2)
        .map(|_| {
            thread::spawn(|| {
                let mut el = EventLoop::new().unwrap();
                let answers = ask(&mut el, &impossible("asked-by-two"), 80);
                run_until(&mut el, SECOND * 20, || !answers.borrow().is_empty());
                answers.borrow().len()
            })
        })
        .collect();
    for asking in asking {
        assert_eq!(asking.join().unwrap(), 1);
    }
}
