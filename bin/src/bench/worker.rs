//! A thread of players: when each begins, when the window's edges are noted, what the thread tells.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use network::{EventLoop, Handle};

use super::crowd::{Crowd, Role, Task, Word};
use super::edge;

/// Which players of the whole run a thread has.
#[derive(Clone, Debug)]
pub struct Share {
    /// This thread's number, for what it tells.
    pub thread: usize,
    /// Its players by their numbers in the run, in order.
    pub players: Vec<usize>,
    /// What they are for.
    pub role: Role,
}

/// A thread of players at work.
pub struct Worker {
    /// Its loop.
    pub handle: Handle,
    thread: std::thread::JoinHandle<()>,
}

impl Worker {
    /// Starts a thread with its share of the players.
    pub fn start(
        name: String,
        task: Task,
        share: Share,
        words: Sender<Word>,
    ) -> std::io::Result<Self> {
        let (told, hear) = std::sync::mpsc::channel();
        let thread =
            std::thread::Builder::new().name(name).spawn(move || match EventLoop::new() {
                Ok(el) => {
                    let _ = told.send(Ok(el.handle()));
                    work(el, task, share, &words);
                }
                Err(error) => drop(told.send(Err(std::io::Error::other(error)))),
            })?;
        let handle = hear.recv().map_err(|_| std::io::Error::other("a thread ended at once"))??;
        Ok(Self { handle, thread })
    }

    /// Ends its part of the run now, wherever it is.
    pub fn finish(&self) {
        // A loop that has ended has told everything already.
        let _ = self.handle.post(EventLoop::stop);
    }

    /// Waits for its end.
    pub fn join(self) {
        let _ = self.thread.join();
    }
}

fn work(mut el: EventLoop, task: Task, share: Share, words: &Sender<Word>) {
    let crowd = Crowd::new(&task, share.thread);
    schedule(&mut el, &crowd, &task, &share, words);
    let bulk = share.role == Role::Bulk;
    let every = task.visit_every;
    let mut next = Instant::now();
    loop {
        // Bulk players wait together: one poll for all that have something, then sleep.
        let wait = if bulk { Duration::ZERO } else { Duration::from_millis(100) };
        if !el.run_once(wait) {
            break;
        }
        if bulk {
            next += every;
            let now = Instant::now();
            match next.checked_duration_since(now) {
                Some(pause) => std::thread::sleep(pause),
                None => {
                    crowd.was_late(now - next);
                    next = now;
                }
            }
        }
    }
    crowd.close();
    drop(el);
    let mut tally = crowd.tally();
    tally.carries = share.thread == 0;
    let _ = words.send(Word::Done(Box::new(tally)));
}

fn schedule(
    el: &mut EventLoop,
    crowd: &Rc<Crowd>,
    task: &Task,
    share: &Share,
    words: &Sender<Word>,
) {
    let [from, to] = task.window;
    // The beginnings: those who are due, looked at often; a few at a time, so that the others are
    // served in between.
    let (all, numbers, role) = (Rc::clone(crowd), share.players.clone(), share.role);
    let (plan, next) = (task.clone(), Cell::new(0));
    el.every(Duration::from_millis(2), move |el| {
        for _ in 0..64 {
            let Some(number) = numbers.get(next.get()) else { break };
            let due = plan.first_at + Duration::from_secs_f64(*number as f64 / plan.ramp);
            if Instant::now() < due {
                break;
            }
            next.set(next.get() + 1);
            all.begin(el, &plan, *number, role);
        }
    });
    if share.role == Role::Sample && task.probes > 0.0 {
        let (all, plan, count) = (Rc::clone(crowd), task.clone(), Cell::new(0_usize));
        el.every(Duration::from_millis(5), move |el| {
            let now = Instant::now();
            let due = (count.get() as f64 + 0.5) / plan.probes;
            // The last ones get two seconds to see a keyframe.
            let at = plan.window[0] + Duration::from_secs_f64(due);
            if now >= at && at + Duration::from_secs(2) < plan.window[1] {
                all.begin(el, &plan, count.get(), Role::Probe);
                count.set(count.get() + 1);
            }
        });
    }
    let (all, thread, rate, tell) = (Rc::clone(crowd), share.thread, task.rate, words.clone());
    el.every(Duration::from_secs(1), move |_| {
        let _ = tell.send(Word::Second(all.second(thread, rate)));
    });
    // The first thread has most players: what it counts is compared with what interfaces count.
    let carries = share.thread == 0;
    let all = Rc::clone(crowd);
    el.at(from, move |el| edge::note(&all, el, 0, carries, Box::new(|_| {})));
    let all = Rc::clone(crowd);
    el.at(to, move |el| edge::note(&all, el, 1, carries, Box::new(|el| el.stop())));
    if share.role == Role::Sample {
        let (all, expected) = (Rc::clone(crowd), Cell::new(Instant::now()));
        let every = Duration::from_millis(10);
        el.every(every, move |_| {
            let now = Instant::now();
            all.was_late(now.saturating_duration_since(expected.get()));
            expected.set(now + every);
        });
    }
}
