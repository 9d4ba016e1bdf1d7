//! What a loop costs, and what it says of its load.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use network::EventLoop;

use crate::support::{
    Recorder, elsewhere, expect, measured, one_at_a_time, socket_pair, thread_cpu, wait_until,
    watch,
};

const SECOND: Duration = Duration::from_secs(1);

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
