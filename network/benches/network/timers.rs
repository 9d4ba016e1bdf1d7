//! Timers that hardly ever fire, as idle timeouts are: started, cancelled, started anew.

use std::time::{Duration, Instant};

use network::{EventLoop, Ready, Source, SourceId, Timer};

use crate::measure::{self, Outcome, SERVER_CORE};

/// How long one run goes on.
const COUNTED: Duration = Duration::from_millis(300);
/// Timers moved between two looks at the clock.
const BATCH: usize = 1000;

/// Timers pending, and which kind.
const CASES: [(usize, Kind); 4] = [
    (10_000, Kind::Source),
    (10_000, Kind::Closure),
    (100_000, Kind::Source),
    (100_000, Kind::Closure),
];

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// A source's own timer.
    Source,
    /// A closure, which is allocated.
    Closure,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Source => "`EventLoop::start_timer`",
            Self::Closure => "`EventLoop::after`",
        }
    }

    fn start(self, el: &mut EventLoop, id: SourceId, delay: Duration) -> Timer {
        match self {
            Self::Source => el.start_timer(id, delay, 0),
            Self::Closure => el.after(delay, move |el| _ = el.remove(id)),
        }
    }
}

pub fn run() -> Outcome<()> {
    let samples = measure::in_turn(&CASES, |turn, &(pending, kind)| {
        eprintln!("timers: {pending} pending, {kind:?}, run {turn}");
        measure::on_core(SERVER_CORE, move |el| measure(el, pending, kind))
    })?;
    let rows = CASES.iter().zip(samples).map(|((pending, kind), runs)| {
        let per_second = measure::median(runs);
        vec![
            pending.to_string(),
            kind.name().into(),
            format!("{per_second:.0}"),
            format!("{:.0}", 1e9 / per_second),
            "`cargo bench -p network -- timers`".into(),
        ]
    });
    measure::table(
        "Timers",
        &["pending", "started by", "cancelled and started per second", "ns for both", "command"],
        &rows.collect::<Vec<_>>(),
    );
    Ok(())
}

/// Cancels timers picked at random, starting another for each, and returns how many per second.
fn measure(el: &mut EventLoop, pending: usize, kind: Kind) -> Outcome<f64> {
    let id = el.add_plain(Box::new(Nothing));
    // Between one and two minutes: none is due while this runs.
    let delay = |random: u64| Duration::from_millis(60_000 + random % 60_000);
    let mut timers: Vec<Timer> = (0..pending)
        .map(|_| {
            let random = el.random();
            kind.start(el, id, delay(random))
        })
        .collect();
    let began = Instant::now();
    let mut moved = 0;
    while began.elapsed() < COUNTED {
        for _ in 0..BATCH {
            let random = el.random();
            let timer = &mut timers[(random >> 32) as usize % pending];
            if !el.cancel(*timer) {
                return Err("a pending timer was not found".into());
            }
            *timer = kind.start(el, id, delay(random & 0xffff_ffff));
        }
        moved += BATCH;
    }
    let per_second = moved as f64 / began.elapsed().as_secs_f64();
    match el.timers() {
        left if left == pending => Ok(per_second),
        left => Err(format!("{left} timers are pending instead of {pending}").into()),
    }
}

struct Nothing;

impl Source for Nothing {
    fn ready(&mut self, _: &mut EventLoop, _: SourceId, _: Ready) {}
}
