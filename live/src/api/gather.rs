//! A question to several loops, so much a turn, and their answers.
//!
//! Each loop writes its rows as the JSON they are going to be; the loop that was asked puts them in
//! order. No loop waits: the answers come as tasks, whenever they are there.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use hashbrown::HashMap;
use network::EventLoop;

use crate::clients::ClientId;
use crate::hub::Hub;
use crate::json::Json;
use crate::limits;
use crate::name::StreamName;

/// By what rows are in order.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Key {
    Client(ClientId),
    Stream(StreamName),
    /// In small letters.
    Node(Box<str>),
    /// The greatest first, then by name.
    RankedClient(Reverse<u64>, ClientId),
    RankedStream(Reverse<u64>, StreamName),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(id) | Self::RankedClient(_, id) => write!(f, "{id}"),
            Self::Stream(name) | Self::RankedStream(_, name) => write!(f, "{name}"),
            Self::Node(name) => f.write_str(name),
        }
    }
}

/// What one loop answers.
#[derive(Default)]
pub(crate) struct Batch {
    /// Each row with where it ends.
    pub rows: Vec<(Key, usize)>,
    pub bytes: Vec<u8>,
    /// How many there are in all, those that are no rows included.
    pub total: u64,
}

impl Batch {
    /// Adds a row, which stands so many levels deep.
    pub fn add(
        &mut self,
        key: Key,
        is_pretty: bool,
        depth: usize,
        row: impl FnOnce(&mut Json<'_>),
    ) {
        Json::at_depth(&mut self.bytes, is_pretty, depth).object(row);
        self.rows.push((key, self.bytes.len()));
    }

    /// The one of the loop that has what was asked for.
    pub fn found(batches: &[Self]) -> Option<&Self> {
        batches.iter().find(|batch| !batch.rows.is_empty())
    }

    /// The bytes of a row.
    pub fn row(&self, at: usize) -> &[u8] {
        let end = |at: usize| self.rows.get(at).map_or(0, |(_, end)| *end);
        let begin = at.checked_sub(1).map_or(0, end);
        self.bytes.get(begin..end(at)).unwrap_or_default()
    }
}

/// The greatest of many, of which so many are kept.
pub(crate) struct Best<K> {
    most: usize,
    kept: BinaryHeap<(Reverse<u64>, K)>,
}

impl<K: Ord> Best<K> {
    pub fn new(most: usize) -> Self {
        Self { most, kept: BinaryHeap::new() }
    }

    pub fn add(&mut self, rank: u64, key: K) {
        self.kept.push((Reverse(rank), key));
        if self.kept.len() > self.most {
            self.kept.pop();
        }
    }

    /// The greatest first.
    pub fn take(&mut self) -> Vec<(Reverse<u64>, K)> {
        std::mem::take(&mut self.kept).into_sorted_vec()
    }
}

/// A little of what a loop does for an answer; true where it has done all.
pub(crate) type Step = Box<dyn FnMut(&Rc<Hub>, &mut EventLoop, &mut Batch) -> bool + Send>;
type Done = Box<dyn FnOnce(&Rc<Hub>, &mut EventLoop, Vec<Batch>)>;

/// The questions of a loop that have not been answered.
#[derive(Default)]
pub(crate) struct Gatherings {
    number: Cell<u64>,
    waiting: RefCell<HashMap<u64, Waiting>>,
    /// Shared by all long answers on their way.
    under_way: Arc<()>,
}

/// Held by a long answer as long as it is in memory.
pub(crate) struct Pass(#[allow(dead_code, reason = "it is counted")] Arc<()>);

struct Waiting {
    since: Instant,
    missing: usize,
    batches: Vec<Batch>,
    done: Done,
}

impl Gatherings {
    /// Questions to loops that have ended are never answered.
    pub fn forget_old(&self, now: Instant) {
        let is_young = |waiting: &Waiting| {
            now.saturating_duration_since(waiting.since) < limits::GATHERED_WITHIN
        };
        self.waiting.borrow_mut().retain(|_, waiting| is_young(waiting));
    }

    /// There are so many that there is no room for another one.
    pub fn are_full(&self) -> bool {
        let under_way = Arc::strong_count(&self.under_way) - 1;
        self.waiting.borrow().len() + under_way >= limits::GATHERINGS
    }

    /// For a long answer, which counts from here on.
    pub fn pass(&self) -> Pass {
        Pass(Arc::clone(&self.under_way))
    }
}

impl Hub {
    /// Asks these loops; `done` gets what they answer, when all have.
    pub(crate) fn gather(
        self: &Rc<Self>,
        el: &mut EventLoop,
        places: std::ops::Range<usize>,
        step: impl Fn() -> Step,
        done: Done,
    ) {
        let number = self.gatherings.number.get();
        self.gatherings.number.set(number + 1);
        // While the server drains some loops end before others.
        let handles = self.handles();
        let is_there = |place: &usize| handles.get(*place).is_some_and(|loop_| !loop_.has_ended());
        let places: Vec<usize> = places.filter(is_there).collect();
        if places.is_empty() {
            let hub = Rc::clone(self);
            return el.defer(move |el| done(&hub, el, Vec::new()));
        }
        let (since, missing) = (Instant::now(), places.len());
        let waiting = Waiting { since, missing, batches: Vec::new(), done };
        self.gatherings.waiting.borrow_mut().insert(number, waiting);
        let back = self.place();
        for place in places {
            let step = step();
            self.on(el, place, move |hub, el| hub.work(el, step, (back, number)));
        }
    }

    fn work(self: &Rc<Self>, el: &mut EventLoop, mut step: Step, (back, number): (usize, u64)) {
        let mut batch = Batch::default();
        self.chore(el, move |hub, el| {
            let is_over = step(hub, el, &mut batch);
            if is_over {
                let batch = std::mem::take(&mut batch);
                hub.on(el, back, move |hub, el| hub.gathered(el, number, batch));
            }
            is_over
        });
    }

    fn gathered(self: &Rc<Self>, el: &mut EventLoop, number: u64, batch: Batch) {
        let mut all = self.gatherings.waiting.borrow_mut();
        let Some(waiting) = all.get_mut(&number) else { return };
        waiting.batches.push(batch);
        waiting.missing -= 1;
        if waiting.missing == 0
            && let Some(Waiting { batches, done, .. }) = all.remove(&number)
        {
            drop(all);
            done(self, el, batches);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_answers_that_are_not_read_leave_no_room_for_more() {
        let gatherings = Gatherings::default();
        let mut passes: Vec<Pass> = (1..limits::GATHERINGS).map(|_| gatherings.pass()).collect();
        assert!(!gatherings.are_full());
        passes.push(gatherings.pass());
        assert!(gatherings.are_full());
        passes.pop();
        assert!(!gatherings.are_full());
    }

    #[test]
    fn rows_are_found_where_they_were_written() {
        let mut batch = Batch::default();
        for number in 0..3 {
            let key = Key::Client(ClientId { place: 0, number });
            batch.add(key, false, 2, |json| json.number("n", number));
        }
        let rows: Vec<&[u8]> = (0..4).map(|at| batch.row(at)).collect();
        assert_eq!(rows, [&b"{\"n\":0}"[..], b"{\"n\":1}", b"{\"n\":2}", b""]);
    }
}
