//! Days on which nothing goes as it should: no descriptors left, peers that vanish or drip, and
//! thousands of them.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use network::{Connection, EventLoop, FileRange, Options};

use crate::peers::{
    Acts, Echo, LIMIT, Shared, add, connected, count, pattern, reset, serve, small_buffers,
};
use crate::support::{Process, Scratch, alone, open_fds, run_until, thread_cpu};

const FEW_FILES: &str = "WEIR_TEST_FEW_FILES";

/// Runs the test in a process of its own that may have 100 files open.
fn with_few_files(test: &str, body: impl FnOnce()) {
    if std::env::var_os(FEW_FILES).is_some() {
        return body();
    }
    let this = std::env::current_exe().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 100; exec \"$0\" \"$@\""]).arg(this).env(FEW_FILES, "1");
    let command = command.args([test, "--exact", "--nocapture", "--test-threads=1"]);
    let ended = Process::start(command).ended(Duration::from_secs(20));
    let passed = ended.status == Some(0) && ended.stdout.contains("1 passed");
    assert!(passed, "{}\n{}", ended.stdout, ended.stderr);
}

#[test]
fn without_descriptors_a_loop_waits_for_some_and_goes_on() {
    with_few_files("bad_days::without_descriptors_a_loop_waits_for_some_and_goes_on", || {
        let mut el = EventLoop::new().unwrap();
        let (listener, address) = serve(&mut el, Options::default(), |_, _| Some(Box::new(Echo)));
        let mut peers: Vec<_> = (0..30).map(|_| TcpStream::connect(address).unwrap()).collect();
        // Reading the clock takes a descriptor, so it begins a little early.
        let cpu = thread_cpu();
        let mut taken = Vec::new();
        while let Ok(file) = File::open("/dev/null") {
            taken.push(file);
        }
        taken.truncate(taken.len() - 5);
        let handle = el.handle();
        run_until(&mut el, LIMIT, || handle.connections() == 5);
        let (began, turns) = (Instant::now(), handle.turns());
        let pause = Duration::from_millis(400);
        while began.elapsed() < pause {
            el.run_once(pause.saturating_sub(began.elapsed()));
        }
        let turns = handle.turns() - turns;
        assert_eq!(handle.connections(), 5);
        assert!(turns < 40, "{turns} turns in {pause:?}");
        drop(taken.pop());
        let used = thread_cpu() - cpu;
        assert!(used < pause / 20, "{used:?} of {pause:?}");
        // One descriptor returns, is found and taken, and those who are in are served meanwhile.
        let connections = handle.clone();
        run_until(&mut el, LIMIT, || connections.connections() == 6);
        let mut first = peers.remove(0);
        first.write_all(b"served").unwrap();
        let first = thread::spawn(move || first.read_exact(&mut [0; 6]).map(|()| first));
        run_until(&mut el, LIMIT, || first.is_finished());
        peers.push(first.join().unwrap().unwrap());
        taken.clear();
        run_until(&mut el, LIMIT, || handle.connections() == 30);
        drop(peers);
        run_until(&mut el, LIMIT, || handle.connections() == 0);
        assert!(el.contains(listener));
        assert_eq!(el.sources(), 1);
    });
}

#[test]
fn without_descriptors_a_call_fails_and_says_why() {
    with_few_files("bad_days::without_descriptors_a_call_fails_and_says_why", || {
        let mut el = EventLoop::new().unwrap();
        let (_, address) = serve(&mut el, Options::default(), |_, _| Some(Box::new(Echo)));
        let mut taken = Vec::new();
        while let Ok(file) = File::open("/dev/null") {
            taken.push(file);
        }
        let outcome = Shared::new(None);
        let told = outcome.clone();
        el.connect(network::Connect::to(address.into()), move |_, result| {
            told.change(|told| *told = Some(result.unwrap_err().to_string()));
            None
        });
        let done = outcome.clone();
        run_until(&mut el, LIMIT, move || done.with(Option::is_some));
        let error = outcome.get().unwrap();
        assert!(error.contains(&address.to_string()) && error.contains("open files"), "{error}");
        assert_eq!((el.sources(), el.timers()), (1, 0));
    });
}

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Comes and goes in one of the ways in which peers do.
fn visit(address: std::net::SocketAddr, number: usize) {
    let mut peer = TcpStream::connect(address).unwrap();
    match number % 5 {
        // Goes without a word.
        0 => {}
        // Goes with a bang, perhaps before it has been let in.
        1 => reset(peer),
        // Says something and does not wait for the answer, whose arrival resets the connection.
        2 => peer.write_all(b"e").unwrap(),
        3 => {
            peer.write_all(b"e").unwrap();
            peer.read_exact(&mut [0]).unwrap();
            reset(peer);
        }
        // Is sent away.
        _ => {
            peer.write_all(b"q").unwrap();
            assert_eq!(peer.read(&mut [0]).unwrap(), 0);
        }
    }
}

fn visits(el: &mut EventLoop, address: std::net::SocketAddr, each: usize) {
    let peers: Vec<_> = (0..2)
        .map(|_| thread::spawn(move || (0..each).for_each(|number| visit(address, number))))
        .collect();
    run_until(el, Duration::from_secs(15), || peers.iter().all(thread::JoinHandle::is_finished));
    peers.into_iter().for_each(|peer| peer.join().unwrap());
}

#[test]
fn ten_thousand_visits_leave_nothing_behind() {
    alone("bad_days::ten_thousand_visits_leave_nothing_behind", || {
        let mut el = EventLoop::new().unwrap();
        let options = Options {
            idle: Some(Duration::from_secs(60)),
            stalled: Some(Duration::from_secs(60)),
            ..Options::default()
        };
        let (opened, closed) = (count(), count());
        let (ups, downs) = (opened.clone(), closed.clone());
        let (_, address) = serve(&mut el, options, move |_, _| {
            let (opened, closed) = (ups.clone(), downs.clone());
            let handler = Acts::new()
                .opened(move |_, _| add(&opened, 1))
                .received(|conn, _, input| {
                    match input {
                        b"q" => conn.close(),
                        _ => conn.send(input),
                    }
                    input.len()
                })
                .closed(move |_, _, _| add(&closed, 1));
            handler.boxed()
        });
        let handle = el.handle();
        visits(&mut el, address, 500);
        run_until(&mut el, LIMIT, || closed.get() == 1000);
        let (fds, memory) = (open_fds(), resident());
        visits(&mut el, address, 5000);
        let (ups, downs) = (opened.clone(), closed.clone());
        run_until(&mut el, LIMIT, move || ups.get() == 11_000 && downs.get() == 11_000);
        assert_eq!(handle.connections(), 0);
        assert_eq!((el.sources(), el.timers()), (1, 0));
        assert_eq!(open_fds(), fds);
        let grown = resident().saturating_sub(memory);
        assert!(grown < 1 << 20, "{grown} bytes more");
    });
}

#[test]
fn a_peer_that_resets_in_the_middle_of_a_write_ends_its_connection_only() {
    let scratch = Scratch::new("reset");
    std::fs::write(scratch.path(), pattern(8 << 20)).unwrap();
    let file = Arc::new(File::open(scratch.path()).unwrap().into());
    let queue: fn(&mut Connection) = |conn| conn.send(&pattern(8 << 20));
    let share: fn(&mut Connection) = |conn| {
        let bytes = Bytes::from(pattern(8 << 20));
        (0..8192).for_each(|at| conn.send_shared(bytes.slice(at * 1024..(at + 1) * 1024)));
    };
    let direct: fn(&mut Connection) = |conn| {
        conn.gather(&[std::io::IoSlice::new(&pattern(1 << 20))]);
    };
    for (at, write) in [queue, share, direct, |_| {}].into_iter().enumerate() {
        let mut el = EventLoop::new().unwrap();
        let why = Shared::default();
        let file = FileRange { file: Arc::clone(&file), offset: 0, len: 8 << 20 };
        let handler = Acts::new().told(&why).writable(move |conn, _| write(conn));
        let handler = handler.opened(move |conn, _| match at {
            3 => conn.send_file(file.clone()),
            _ => write(conn),
        });
        let (_, mut peer) = connected(&mut el, small_buffers(), handler);
        let peer = thread::spawn(move || {
            peer.read_exact(&mut [0; 200_000]).unwrap();
            reset(peer);
        });
        let ended = why.clone();
        run_until(&mut el, LIMIT, move || ended.with(|why: &Vec<_>| !why.is_empty()));
        assert_eq!(why.get(), ["reset"], "way {at}");
        assert_eq!((el.sources(), el.timers()), (0, 0));
        peer.join().unwrap();
    }
}

/// The incomplete message is not copied for each byte that is added to it: a peer that drips would
/// make the server work a thousand times as much as itself.
#[test]
fn a_peer_that_drips_into_a_long_message_costs_no_more_than_into_a_short_one() {
    const DRIPS: usize = 2000;
    let cost = |begun: usize| {
        let mut el = EventLoop::new().unwrap();
        let len = count();
        let seen = len.clone();
        let handler = Acts::new().received(move |_, _, input| {
            seen.set(input.len());
            0
        });
        let (_, mut peer) = connected(&mut el, Options::default(), handler);
        let mut begin = peer.try_clone().unwrap();
        let begin = thread::spawn(move || begin.write_all(&vec![0; begun]).unwrap());
        run_until(&mut el, LIMIT, || len.get() == begun && begin.is_finished());
        let before = thread_cpu();
        for drip in 1..=DRIPS {
            peer.write_all(b".").unwrap();
            while len.get() < begun + drip {
                el.run_once(Duration::from_millis(100));
            }
        }
        thread_cpu() - before
    };
    let (short, long) = (cost(1), cost(1_000_000));
    assert!(long < short * 3 + Duration::from_millis(20), "{long:?} against {short:?}");
}

#[test]
fn a_loop_that_ends_tells_every_connection_once() {
    let mut el = EventLoop::new().unwrap();
    let why = Shared::default();
    let mut peers = Vec::new();
    for _ in 0..10 {
        let (_, peer) = connected(&mut el, small_buffers(), Acts::new().told(&why));
        peers.push(peer);
    }
    let busy = Acts::new().told(&why).opened(|conn, _| conn.send(&pattern(4 << 20)));
    peers.push(connected(&mut el, small_buffers(), busy).1);
    el.after(Duration::from_millis(10), EventLoop::stop);
    el.run();
    assert_eq!(why.get(), ["loop_ended"; 11]);
    for mut peer in peers {
        assert!(peer.read_to_end(&mut Vec::new()).is_ok());
    }
}
