//! Several loops, the process around them, and signals, which are the process's.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use network::{
    Connection, EventLoop, Handler, Listen, Ready, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2,
    Source, SourceId, StartError, Threads, default_loops,
};

use crate::support::{
    Drops, alone, is_alone, open_fds, run_until, start_alone, wait_until, within,
};

const SECOND: Duration = Duration::from_secs(1);

/// The cores the calling thread may run on.
fn allowed_cores() -> Vec<usize> {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        first.parse::<usize>().unwrap()..=last.parse().unwrap()
    };
    list.trim().split(',').flat_map(range).collect()
}

/// How many threads of this process are loops.
fn loop_threads() -> usize {
    let names = fs::read_dir("/proc/self/task").unwrap().filter_map(|task| {
        // A thread may end while its directory is read.
        fs::read_to_string(task.ok()?.path().join("comm")).ok()
    });
    names.filter(|name| name.starts_with("loop-")).count()
}

// ---- loops ----

#[test]
fn each_item_gets_a_loop_that_is_set_up_on_its_own_thread() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let threads = Threads::start(vec!["a", "b", "c", "d"], None, {
        let seen = Arc::clone(&seen);
        move |el, index, item| {
            let here = thread::current();
            let name = here.name().unwrap_or_default().to_owned();
            let number = el.handle().number();
            seen.lock().unwrap().push((index, item, name, here.id(), number));
            Ok(())
        }
    })
    .unwrap();
    // All are set up when `start` returns.
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 4);
    for (i, (index, item, name, _, number)) in seen.iter().enumerate() {
        assert_eq!((*index, *item), (i, ["a", "b", "c", "d"][i]));
        assert_eq!(*name, format!("loop-{i}"));
        assert_eq!(threads.handles()[i].number(), *number);
    }
    assert_eq!(seen.iter().map(|seen| seen.3).collect::<Vec<_>>().len(), 4);
    let numbers: BTreeSet<u64> = seen.iter().map(|seen| seen.4).collect();
    assert_eq!(numbers.len(), 4, "a number tells loops apart");
    // Each runs its tasks on its own thread.
    let (tell, hear) = mpsc::channel();
    for (handle, seen) in threads.handles().iter().zip(seen.iter()) {
        let (tell, there) = (tell.clone(), seen.3);
        handle.post(move |_| tell.send(thread::current().id() == there).unwrap()).unwrap();
    }
    for _ in 0..4 {
        assert!(hear.recv_timeout(SECOND).unwrap());
    }
    let handles = threads.handles().to_vec();
    threads.stop();
    threads.join();
    assert!(handles.iter().all(|handle| handle.has_ended() && handle.post(|_| ()).is_err()));
    assert!(default_loops() >= 1);
}

#[test]
fn loops_stop_together_and_at_once() {
    let threads = Threads::start(vec![(); 8], None, |_, _, ()| Ok(())).unwrap();
    let began = Instant::now();
    threads.stop();
    threads.join();
    assert!(began.elapsed() < SECOND / 2, "{:?}", began.elapsed());
}

#[test]
fn a_loop_that_stops_in_its_set_up_ends() {
    let threads = Threads::start(vec![()], None, |el, _, ()| {
        el.handle().stop();
        Ok(())
    });
    threads.unwrap().join();
}

#[test]
fn pinned_loops_run_on_their_cores() {
    let allowed = allowed_cores();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let count = allowed.len() + 1;
    let threads = Threads::start(vec![(); count], Some(&allowed), {
        let seen = Arc::clone(&seen);
        move |_, _, ()| {
            seen.lock().unwrap().push(allowed_cores());
            Ok(())
        }
    })
    .unwrap();
    // In rotation: the one too many shares the first core.
    let expected: Vec<Vec<usize>> = (0..count).map(|i| vec![allowed[i % allowed.len()]]).collect();
    assert_eq!(*seen.lock().unwrap(), expected);
    threads.stop();
    threads.join();
    assert_eq!(allowed_cores(), allowed, "the thread that starts them stays where it was");
    // No cores to choose from: none is pinned.
    let threads = Threads::start(vec![()], Some(&[]), {
        let seen = Arc::clone(&seen);
        move |_, _, ()| {
            *seen.lock().unwrap() = vec![allowed_cores()];
            Ok(())
        }
    })
    .unwrap();
    assert_eq!(*seen.lock().unwrap(), [allowed]);
    threads.stop();
    threads.join();
}

#[test]
fn a_start_that_fails_takes_back_what_had_started() {
    alone("threads::a_start_that_fails_takes_back_what_had_started", || {
        let before = open_fds();
        let cores = [allowed_cores()[0], 100_000];
        let drops = Drops::default();
        let items = || (0..3).map(|_| drops.token()).collect::<Vec<_>>();
        let error = Threads::start(items(), Some(&cores), |_, _, _| Ok(())).map(drop).unwrap_err();
        assert!(matches!(error, StartError::Pin { index: 1, core: 100_000, .. }), "{error:?}");
        assert!(error.to_string().starts_with("cannot pin loop 1 to core 100000: "), "{error}");
        assert_eq!(drops.count(), 3);
        let error = Threads::start(items(), None, |el, index, item| {
            el.every(SECOND, move |_| {
                let _ = &item;
            });
            if index == 2 { Err("the door is locked".into()) } else { Ok(()) }
        });
        let error = error.map(drop).unwrap_err();
        assert!(matches!(error, StartError::Setup { index: 2, .. }), "{error:?}");
        assert_eq!(error.to_string(), "loop 2: the door is locked");
        assert_eq!(drops.count(), 6);
        assert_eq!((loop_threads(), open_fds()), (0, before));
        let error = Threads::start(vec![()], None, |_, _, ()| {
            EventLoop::new()?;
            Ok(())
        });
        let error = error.map(drop).unwrap_err();
        assert_eq!(error.to_string(), "loop 0: this thread already has an event loop");
    });
}

// ---- panics ----

/// What the process ends with in which a loop panics as `how` says.
#[track_caller]
fn ends_by_panic(test: &str, how: fn(&mut EventLoop)) {
    if is_alone() {
        let threads = Threads::start(vec![(), ()], None, move |el, index, ()| {
            if index == 1 {
                how(el);
            }
            Ok(())
        });
        threads.unwrap().join();
        return;
    }
    let ended = start_alone(test).ended(SECOND * 10);
    assert_eq!(ended.status, Some(101), "{}\n{}", ended.stdout, ended.stderr);
    let message = "loop 1: a handler panicked (the seam has burst); the process ends";
    assert!(ended.stderr.contains(message), "{}", ended.stderr);
}

fn burst() {
    panic!("the seam has burst");
}

#[test]
fn a_panic_in_a_task_ends_the_process() {
    ends_by_panic("threads::a_panic_in_a_task_ends_the_process", |el| {
        el.handle().post(|_| burst()).unwrap();
    });
}

#[test]
fn a_panic_in_a_timer_ends_the_process() {
    ends_by_panic("threads::a_panic_in_a_timer_ends_the_process", |el| {
        el.after(Duration::from_millis(1), |_| {
            let seam = "seam";
            // A message that is put together, and so a `String`.
            panic!("the {seam} has burst")
        });
    });
}

#[test]
fn a_panic_in_the_set_up_ends_the_process() {
    ends_by_panic("threads::a_panic_in_the_set_up_ends_the_process", |_| burst());
}

#[test]
fn a_panic_ends_the_process_whatever_the_other_handlers_do() {
    struct Ending;
    impl Source for Ending {
        fn ready(&mut self, _: &mut EventLoop, _: SourceId, _: Ready) {
            burst();
        }
        fn ended(&mut self, _: &mut EventLoop, _: SourceId) {
            panic!("a second panic while the first unwinds aborts the process");
        }
    }
    ends_by_panic("threads::a_panic_ends_the_process_whatever_the_other_handlers_do", |el| {
        el.add_plain(Box::new(Ending));
        let first = el.add_plain(Box::new(Ending));
        el.again(first, Ready::READABLE);
    });
}

#[test]
fn a_handler_that_runs_its_own_loop_is_told_so() {
    let mut el = EventLoop::new().unwrap();
    el.defer(|el| {
        el.run_once(SECOND);
    });
    let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| el.run_once(SECOND)));
    let panic = ran.unwrap_err();
    let message = panic.downcast_ref::<&str>().copied().unwrap_or_default();
    assert_eq!(message, "a handler may not run the loop that runs it");
}

// ---- drain ----

/// Answers a byte with a great many.
struct Generous;

const ANSWER: usize = 8 << 20;

impl Handler for Generous {
    fn received(&mut self, conn: &mut Connection, _: &mut EventLoop, input: &[u8]) -> usize {
        conn.send(&vec![7; ANSWER]);
        input.len()
    }
}

#[test]
fn a_graceful_stop_sends_what_is_queued() {
    let bound = Listen::on(([127, 0, 0, 1], 0).into()).bind_each(2).unwrap();
    let address = bound[0].address().unwrap();
    let threads = Threads::start(bound, None, |el, _, bound| {
        el.accept_on(bound, |_, _| Some(Box::new(Generous)))?;
        Ok(())
    })
    .unwrap();
    let connections = || threads.handles().iter().map(|handle| handle.connections()).sum::<usize>();
    let mut clients: Vec<TcpStream> = (0..6)
        .map(|_| {
            let mut client = TcpStream::connect(address).unwrap();
            client.set_read_timeout(Some(SECOND * 10)).unwrap();
            client.write_all(b"x").unwrap();
            // The first byte is here, so the rest of the answer is in the queue.
            client.read_exact(&mut [0]).unwrap();
            client
        })
        .collect();
    assert_eq!(connections(), 6);
    let handles = threads.handles().to_vec();
    threads.drain(SECOND * 20);
    // Nobody new comes in, and whoever is there gets everything.
    wait_until(SECOND, || TcpStream::connect(address).is_err());
    for client in &mut clients {
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).unwrap();
        assert_eq!(rest.len(), ANSWER - 1);
    }
    drop(clients);
    let began = Instant::now();
    threads.join();
    assert!(began.elapsed() < SECOND * 5, "the loops end with their last connection");
    assert!(handles.iter().all(|handle| handle.has_ended() && handle.connections() == 0));
}

#[test]
fn a_graceful_stop_does_not_wait_for_ever_for_a_peer_that_reads_nothing() {
    let bound = Listen::on(([127, 0, 0, 1], 0).into()).bind_each(1).unwrap();
    let address = bound[0].address().unwrap();
    let threads = Threads::start(bound, None, |el, _, bound| {
        el.accept_on(bound, |_, _| Some(Box::new(Generous)))?;
        Ok(())
    })
    .unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(b"x").unwrap();
    client.read_exact(&mut [0]).unwrap();
    let began = Instant::now();
    threads.drain(Duration::from_millis(100));
    threads.join();
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(100) && took < SECOND, "{took:?}");
}

// ---- signals ----

/// Sends a signal to this process, in which no other test runs.
fn raise(name: &str) {
    assert!(is_alone());
    let id = std::process::id().to_string();
    assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
}

#[test]
fn signals_are_events_of_the_loop() {
    alone("threads::signals_are_events_of_the_loop", || {
        let before = open_fds();
        let mut el = EventLoop::new().unwrap();
        let empty = open_fds();
        let seen: Rc<RefCell<Vec<i32>>> = Rc::default();
        let loop_thread = thread::current().id();
        let id = el
            .on_signals(&[SIGTERM, SIGINT, SIGHUP, SIGUSR1], {
                let seen = Rc::clone(&seen);
                move |el, signal| {
                    assert_eq!(thread::current().id(), loop_thread);
                    // The loop is in its hand.
                    el.defer(|_| ());
                    seen.borrow_mut().push(signal);
                }
            })
            .unwrap();
        let all = [("TERM", SIGTERM), ("INT", SIGINT), ("HUP", SIGHUP), ("USR1", SIGUSR1)];
        for round in 1..=3 {
            for (name, signal) in all {
                raise(name);
                run_until(&mut el, SECOND, || !seen.borrow().is_empty());
                assert_eq!(seen.take(), [signal], "round {round}");
            }
        }
        // Several before the loop looks: none is lost. (Equal ones may come as one, or, where the thread
        // that the kernel chose for the second is slow to take it, as two.)
        for (name, _) in all.into_iter().chain(all) {
            raise(name);
        }
        let different = || seen.borrow().iter().copied().collect::<BTreeSet<i32>>().len();
        run_until(&mut el, SECOND, || different() == 4);
        el.run_once(Duration::from_millis(20));
        assert!((4..=8).contains(&seen.take().len()));
        assert!(el.remove(id));
        assert_eq!(open_fds(), empty);
        // Nobody listens: it is not heard, nor does it end the process.
        raise("USR1");
        el.run_once(Duration::from_millis(5));
        assert!(seen.borrow().is_empty());
        drop(el);
        assert_eq!(open_fds(), before);
    });
}

#[test]
fn a_sleeping_loop_is_woken_by_a_signal() {
    alone("threads::a_sleeping_loop_is_woken_by_a_signal", || {
        let threads = Threads::start(vec![()], None, |el, _, ()| {
            el.on_signals(&[SIGTERM], |el, _| el.stop())?;
            Ok(())
        })
        .unwrap();
        wait_until(SECOND, || threads.handles()[0].turns() == 0);
        raise("TERM");
        let began = Instant::now();
        threads.join();
        assert!(began.elapsed() < SECOND / 2);
    });
}

#[test]
fn a_signal_that_two_loops_want_reaches_both() {
    alone("threads::a_signal_that_two_loops_want_reaches_both", || {
        let heard = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let threads = Threads::start(vec![(), ()], None, {
            let heard = Arc::clone(&heard);
            move |el, index, ()| {
                let heard = Arc::clone(&heard);
                el.on_signals(&[SIGHUP], move |_, signal| {
                    assert_eq!(signal, SIGHUP);
                    heard[index].fetch_add(1, Ordering::SeqCst);
                })?;
                Ok(())
            }
        })
        .unwrap();
        for round in 1..=5 {
            raise("HUP");
            let both = || heard.iter().all(|heard| heard.load(Ordering::SeqCst) == round);
            wait_until(SECOND, both);
        }
        threads.stop();
        threads.join();
    });
}

#[test]
fn who_stops_listening_in_the_call_hears_no_more() {
    alone("threads::who_stops_listening_in_the_call_hears_no_more", || {
        let mut el = EventLoop::new().unwrap();
        let heard = Rc::new(Cell::new(0));
        let own: Rc<Cell<Option<SourceId>>> = Rc::default();
        let id = el.on_signals(&[SIGUSR1, SIGUSR2], {
            let (heard, own) = (Rc::clone(&heard), Rc::clone(&own));
            move |el, _| {
                heard.set(heard.get() + 1);
                assert!(el.remove(own.get().unwrap()));
            }
        });
        own.set(Some(id.unwrap()));
        raise("USR1");
        raise("USR2");
        run_until(&mut el, SECOND, || heard.get() > 0);
        el.run_once(Duration::from_millis(5));
        assert_eq!((heard.get(), el.sources()), (1, 0));
    });
}

#[test]
fn a_drain_does_not_wait_for_who_listens_to_signals() {
    alone("threads::a_drain_does_not_wait_for_who_listens_to_signals", || {
        let mut el = EventLoop::new().unwrap();
        el.on_signals(&[SIGHUP], |_, _| ()).unwrap();
        let gone = el.on_signals(&[SIGHUP], |_, _| ()).unwrap();
        el.on_signals(&[SIGTERM], |el, _| el.drain(SECOND * 60)).unwrap();
        el.remove(gone);
        el.add_plain(Box::new(Leaving));
        within(SECOND, &mut el);
        raise("TERM");
        el.run();
    });
}

/// Leaves a moment after it is asked to.
struct Leaving;

impl Source for Leaving {
    fn ready(&mut self, _: &mut EventLoop, _: SourceId, _: Ready) {}

    fn drain(&mut self, el: &mut EventLoop, id: SourceId) {
        el.start_timer(id, Duration::from_millis(20), 0);
    }

    fn timer(&mut self, el: &mut EventLoop, id: SourceId, _: u32) {
        // The second signal is still heard while the first is being obeyed.
        assert!(el.is_draining());
        el.remove(id);
    }
}

#[test]
fn a_second_signal_is_heard_while_the_loop_drains() {
    alone("threads::a_second_signal_is_heard_while_the_loop_drains", || {
        struct Staying;
        impl Source for Staying {
            fn ready(&mut self, _: &mut EventLoop, _: SourceId, _: Ready) {}
            fn drain(&mut self, _: &mut EventLoop, _: SourceId) {}
        }
        let mut el = EventLoop::new().unwrap();
        el.add_plain(Box::new(Staying));
        let heard = el.on_signals(&[SIGINT], |el, _| {
            if el.is_draining() {
                el.stop();
            } else {
                el.drain(SECOND * 60);
            }
        });
        heard.unwrap();
        within(SECOND, &mut el);
        raise("INT");
        while !el.is_draining() {
            el.run_once(SECOND);
        }
        raise("INT");
        el.run();
    });
}

#[test]
fn a_signal_that_cannot_be_caught_is_refused() {
    let mut el = EventLoop::new().unwrap();
    // SIGKILL, SIGSEGV and SIGSTOP; then numbers that are no signals.
    for signal in [9, 11, 19, 0, -1, 65, 1_000, i32::MIN, i32::MAX] {
        let refused = el.on_signals(&[SIGUSR2, signal], |_, _| ()).unwrap_err();
        assert_eq!(refused.to_string(), format!("signal {signal} cannot be caught"));
    }
    assert_eq!(el.sources(), 0);
}
