//! What came and went: bytes of the whole process, once a second.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Instant;

use network::EventLoop;
use network::http::{Answered, Reply};

use super::Api;
use super::answer::envelope;
use super::query::Asked;
use crate::json::Json;
use crate::limits;

/// What is sent is told once a second, by loops that do so at different times: less than two seconds
/// say little.
const EVEN: usize = 2;

/// Bytes in and out, one entry a second, as far back as they are kept.
#[derive(Default)]
pub(super) struct Flow(RefCell<VecDeque<(Instant, u64, u64)>>);

impl Flow {
    fn note(&self, now: Instant, came: u64, went: u64) {
        let mut flow = self.0.borrow_mut();
        flow.push_back((now, came, went));
        while flow.len() > limits::FLOW + EVEN {
            flow.pop_front();
        }
    }

    /// Bits a second in and out, over so many seconds.
    fn over(&self, seconds: usize) -> (f64, f64) {
        let flow = self.0.borrow();
        let first = flow.len().saturating_sub(seconds + 1);
        match (flow.get(first), flow.back()) {
            (Some(from), Some(until)) => rates(from, until),
            _ => (0.0, 0.0),
        }
    }

    /// All that is kept, the oldest first: milliseconds ago, and bits a second in and out.
    fn each(&self, now: Instant, mut told: impl FnMut(u64, f64, f64)) {
        let flow = self.0.borrow();
        for (from, until) in flow.iter().zip(flow.iter().skip(EVEN)) {
            let ago = now.saturating_duration_since(until.0).as_millis();
            let (came, went) = rates(from, until);
            told(u64::try_from(ago).unwrap_or(u64::MAX), came, went);
        }
    }
}

fn rates(from: &(Instant, u64, u64), until: &(Instant, u64, u64)) -> (f64, f64) {
    let seconds = until.0.saturating_duration_since(from.0).as_secs_f64();
    if seconds <= 0.0 {
        return (0.0, 0.0);
    }
    let bits = |before: u64, now: u64| now.saturating_sub(before) as f64 * 8.0 / seconds;
    (bits(from.1, until.1), bits(from.2, until.2))
}

impl Api {
    pub(super) fn note_flow(&self, now: Instant) {
        self.note_load();
        self.flow.note(now, self.sum(|c| c.bytes_in.get()), self.sum(|c| c.bytes_out.get()));
    }

    /// Bits a second in and out, over so many seconds; of less than three they say little.
    pub(super) fn flow(&self, seconds: usize) -> (f64, f64) {
        self.flow.over(seconds)
    }
}

/// `GET /api/v1/flow`
pub(super) fn answer(
    api: &Rc<Api>,
    asked: Asked,
    reply: Reply<'_>,
    el: &mut EventLoop,
) -> Answered {
    let now = el.now();
    api.object(reply, asked.is_pretty, |json| {
        envelope(json, api);
        json.member_array("flow", |json| {
            api.flow.each(now, |ago, came, went| {
                json.item_object(|json: &mut Json<'_>| {
                    json.number("ago_ms", ago);
                    json.number("bits_in", came as u64);
                    json.number("bits_out", went as u64);
                });
            });
        });
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn minutes_are_kept_and_no_more() {
        let (flow, began) = (Flow::default(), Instant::now());
        let at = |second: u64| began + Duration::from_secs(second);
        assert_eq!(flow.over(3), (0.0, 0.0));
        for second in 0..1000 {
            // From the second 990 on ten times as much goes out.
            flow.note(at(second), second * 100, second * 1000 + second.saturating_sub(990) * 9000);
        }
        assert_eq!(flow.over(3), (800.0, 80_000.0));
        assert_eq!(flow.over(9), (800.0, 80_000.0));
        let mut all = Vec::new();
        flow.each(at(1000), |ago, came, went| all.push((ago, came, went)));
        assert_eq!(all.len(), limits::FLOW);
        assert_eq!(all.first(), Some(&(1000 * limits::FLOW as u64, 800.0, 8000.0)));
        assert_eq!(all.last(), Some(&(1000, 800.0, 80_000.0)));
    }
}
