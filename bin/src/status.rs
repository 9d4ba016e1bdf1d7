//! What the server says of itself at `/`, in text.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Instant;

use live::counters::{self, Count};
use live::left_out::Dropped;
use live::{Counters, Reason};
use network::Handle;

/// One of a loop's counters.
type Figure = fn(&Counters) -> u64;

/// Where the figures are.
pub struct Status {
    began: Instant,
    handles: Vec<Handle>,
    counters: Vec<Arc<Counters>>,
}

impl Status {
    /// Of these loops, each with its counters.
    pub fn new(handles: Vec<Handle>, counters: Vec<Arc<Counters>>) -> Self {
        Self { began: Instant::now(), handles, counters }
    }

    fn sum(&self, of: impl Fn(&Counters) -> u64) -> u64 {
        self.counters.iter().map(|counters| of(counters)).sum()
    }

    /// Everything, a figure a line. Writing to a String cannot fail.
    pub fn text(&self) -> String {
        let mut text = format!("weir {}\n", env!("CARGO_PKG_VERSION"));
        let mut line = |name: &str, value: String| {
            let _ = writeln!(text, "{name}: {value}");
        };
        line("up_seconds", self.began.elapsed().as_secs().to_string());
        for (place, (handle, counters)) in self.handles.iter().zip(&self.counters).enumerate() {
            let busy = (handle.busy_share() * 100.0).round();
            line(
                &format!("loop {place}"),
                format!(
                    "{} connections, {busy} % busy, {} % with other things than players; \
                     {} ns a write, {:.1} ms between flushes",
                    handle.connections(),
                    counters.others.get() / 10,
                    counters.write_cost.get(),
                    counters.pause.get() as f64 / 1000.0
                ),
            );
        }
        let visitors = [
            ("streams", self.sum(|c| c.streams.here()), self.sum(|c| c.streams.came())),
            ("publishers", self.sum(|c| c.publishers.here()), self.sum(|c| c.publishers.came())),
            ("players", self.sum(|c| c.players.here()), self.sum(|c| c.players.came())),
            ("viewers", self.sum(|c| c.viewers.here()), self.sum(|c| c.viewers.came())),
        ];
        for (name, here, came) in visitors {
            line(name, format!("{here} now, {came} in all"));
        }
        let counts: [(&str, Figure); 7] = [
            ("bytes_in", |c| c.bytes_in.get()),
            ("frames_in", |c| c.frames_in.get()),
            ("clock_jumps", |c| c.clock_jumps.get()),
            ("skips", |c| counters::sum(&c.skips)),
            ("skipped_bytes", |c| counters::sum(&c.skipped_bytes)),
            ("flushes", |c| c.flushes.get()),
            ("slices", |c| c.slices.get()),
        ];
        for (name, of) in counts {
            line(name, self.sum(of).to_string());
        }
        for why in Dropped::ALL {
            let count = self.sum(|c| c.dropped.get(why as usize).map_or(0, Count::get));
            line(&format!("dropped_{}", why.label()), count.to_string());
        }
        for reason in Reason::ALL {
            let count = self.sum(|counters| counters.ended_by(reason));
            if count > 0 {
                line(&format!("ended_{}", reason.label()), count.to_string());
            }
        }
        text
    }
}
