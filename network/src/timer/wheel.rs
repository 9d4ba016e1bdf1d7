//! Deadlines in order, in constant time: a hierarchical timer wheel.
//!
//! The wheel knows no clock. A tick is a millisecond counted by whoever owns
//! the wheel, and every tick arrives as an argument, so that a test can let
//! thirty days pass between two calls.

use std::num::NonZeroU32;

/// Bits of a tick that one level resolves: 64 slots, one `u64` of occupancy.
const BITS: u32 = 6;
/// Slots of a level.
const SLOTS: usize = 1 << BITS;
/// Levels that together resolve all 64 bits of a tick, so that no deadline is
/// too far away to have its place.
const LEVELS: usize = u64::BITS.div_ceil(BITS) as usize;
/// The list of timers that were due when they were inserted. It stands where
/// the first slot of one more level would, and is kept by the same code.
const LATE: usize = LEVELS * SLOTS;
/// The levels of the wheel proper in `Wheel::levels`, without `LATE`.
const WHEEL: u16 = (1 << LEVELS) - 1;
/// No entry.
const NIL: u32 = u32::MAX;
/// `Wheel::shrink_to_fit` keeps entries reused more often than this: dropping
/// them would make every entry that follows start with their generation.
const DROPPABLE: u32 = u32::MAX / 2;

/// Names a timer of the [`Wheel`] that returned it.
///
/// An id outlives its timer harmlessly: once the timer has been popped or
/// cancelled, the id finds nothing, however often its place is used again.
/// An `Option<TimerId>` is no larger than a `TimerId`: 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerId {
    index: u32,
    generation: NonZeroU32,
}

/// One timer, or a free place for one.
///
/// Beside `value` it takes 24 bytes; `Option` adds up to 8 for a `T` that has
/// no spare bit pattern.
struct Entry<T> {
    deadline: u64,
    /// Neighbours in the list at `place`; in a free entry, `next` is the free list.
    prev: u32,
    next: u32,
    /// Generation of the timer here, or of the next one to come. `MAX` is never
    /// given out: an entry that reaches it is retired, which costs its bytes
    /// once in four billion timers and keeps every stale id stale.
    generation: NonZeroU32,
    /// Which list: `level * SLOTS + slot`, or `LATE`.
    place: u16,
    /// `None` in a free entry.
    value: Option<T>,
}

#[derive(Clone, Copy)]
struct List {
    head: u32,
    tail: u32,
}

const EMPTY: List = List { head: NIL, tail: NIL };

/// Timers in the order of their deadlines; starting and cancelling one takes
/// constant time, however many are pending.
///
/// Read a tick as a number of base 64. A timer waits at the level of the
/// highest digit in which its deadline differs from `current`, in the slot of
/// its deadline's digit there:
///
/// ```text
///   current = .. 0 12 40             digits:   level 2 | level 1 | level 0
///
///   level 10   [ 0  1  2 .. 15 ]     a slot = 2^60 ticks
///     ..
///   level 2    [ 0  1  2 .. 63 ]     a slot = 4,096 ticks     occupied = 0b..10
///                   |
///                   +-> 1|3|7                        due when all below is done
///   level 1    [ 0 .. 12 13 .. 63 ]  a slot = 64 ticks
///                        |
///                        +-> 13|5 <-> 13|0 <-> 13|5  in order of insertion
///   level 0    [ 0 .. 40 41 .. 63 ]  a slot = 1 tick
///                        |
///                        +-> 41 <-> 41               one tick, one list
///   late       [ . ]--> timers that were due when inserted: for the next turn
/// ```
///
/// Every timer at a level shares with `current` all digits above it and has a
/// larger digit there (at level 0 perhaps the same). So the earliest timer is always in the first occupied
/// slot of the lowest occupied level, which two counts of trailing zeros find.
/// When `current` reaches the start of a slot above level 0, all levels below
/// are empty, and the slot's timers move down, keeping their order. A timer
/// moves at most once per level: as a rule three times within an hour, five
/// times within thirty days. All timers of a slot move in one call.
///
/// # Turns
///
/// The calls of [`pop_due`](Wheel::pop_due) with one `now`, until it returns
/// `None`, are a turn. Between two of them the caller is free to insert and
/// cancel. A timer inserted during a turn with a deadline the turn has already
/// reached belongs to the next turn, even one with the same `now`: a timer that
/// restarts itself at once cannot keep the turn from ending.
pub struct Wheel<T> {
    entries: Vec<Entry<T>>,
    /// First free entry.
    free: u32,
    /// Generation of entries not yet in `entries`.
    first_generation: NonZeroU32,
    len: usize,
    /// Everything due before this tick has been popped; never beyond `limit`.
    current: u64,
    /// `now` of the latest turn: what it pops is due at this tick or before.
    limit: u64,
    in_turn: bool,
    /// Which levels have an occupied slot.
    levels: u16,
    /// Which slots of a level have a timer.
    occupied: [u64; LEVELS + 1],
    lists: [List; LATE + 1],
}

impl<T> Wheel<T> {
    /// A wheel without timers, at tick 0. It allocates at the first insertion.
    pub fn new() -> Wheel<T> {
        Wheel {
            entries: Vec::new(),
            free: NIL,
            first_generation: NonZeroU32::MIN,
            len: 0,
            current: 0,
            limit: 0,
            in_turn: false,
            levels: 0,
            occupied: [0; LEVELS + 1],
            lists: [EMPTY; LATE + 1],
        }
    }

    /// How many timers are pending.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no timer is pending.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Starts a timer that is due once a turn's `now` is at `deadline` or past it.
    ///
    /// A deadline that the latest turn has already reached counts as that
    /// turn's `now`, so such timers are due in the next turn, in the order in
    /// which they were inserted.
    ///
    /// # Panics
    ///
    /// With 2^32 - 1 timers pending.
    pub fn insert(&mut self, deadline: u64, value: T) -> TimerId {
        let place = if deadline <= self.limit { LATE } else { self.place_of(deadline) };
        let deadline = deadline.max(self.limit);
        let (index, generation) = match self.entries.get_mut(self.free as usize) {
            Some(entry) => {
                let index = self.free;
                self.free = entry.next;
                entry.deadline = deadline;
                entry.value = Some(value);
                (index, entry.generation)
            }
            None => {
                let index = self.entries.len();
                assert!(index < NIL as usize, "too many timers for 32-bit ids");
                self.entries.push(Entry {
                    deadline,
                    prev: NIL,
                    next: NIL,
                    generation: self.first_generation,
                    place: 0,
                    value: Some(value),
                });
                (index as u32, self.first_generation)
            }
        };
        self.link(index, place);
        self.len += 1;
        TimerId { index, generation }
    }

    /// Stops a timer and returns its value; `None` if it is no longer pending.
    pub fn cancel(&mut self, id: TimerId) -> Option<T> {
        self.pending(id)?;
        self.unlink(id.index);
        self.release(id.index)
    }

    /// The value of a pending timer.
    #[cfg(test)]
    pub fn get_mut(&mut self, id: TimerId) -> Option<&mut T> {
        self.entries
            .get_mut(id.index as usize)
            .filter(|entry| entry.generation == id.generation)
            .and_then(|entry| entry.value.as_mut())
    }

    /// The tick at which a pending timer is due.
    #[cfg(test)]
    pub fn deadline(&self, id: TimerId) -> Option<u64> {
        self.pending(id).map(|entry| entry.deadline)
    }

    /// Until when the caller may sleep: never later than the earliest timer,
    /// and `None` without timers.
    ///
    /// It is exact when the earliest timer is at level 0 or alone in its slot.
    /// Otherwise it is the start of that slot: a turn then pops nothing but
    /// moves the slot's timers down, so a caller that sleeps until this tick and
    /// asks again wakes at most once per level for nothing. It is sharpest right
    /// after a turn; before one, it may be a tick that has already passed.
    pub fn next_deadline(&self) -> Option<u64> {
        let wheel = self.earliest().map(|place| {
            let List { head, tail } = self.lists[place];
            if head == tail { self.entries[head as usize].deadline } else { self.start_of(place) }
        });
        let late = (self.levels & !WHEEL != 0).then_some(self.limit);
        match (wheel, late) {
            (Some(wheel), Some(late)) => Some(wheel.min(late)),
            (wheel, late) => wheel.or(late),
        }
    }

    /// Takes the next timer that is due at tick `now`: by deadline, those of one
    /// deadline in the order in which they were inserted. `None` ends the turn
    /// (see [above](Wheel#turns)).
    ///
    /// A caller reads the clock once per turn, and passes that `now` until
    /// `None`: a larger `now` begins another turn at once, and a smaller one
    /// counts as the largest so far. How far `now` has jumped makes no
    /// difference to the cost: slots without timers are skipped by their bits.
    pub fn pop_due(&mut self, now: u64) -> Option<(TimerId, T)> {
        if !self.in_turn || now > self.limit {
            self.begin(now);
        }
        while let Some(place) = self.earliest() {
            let start = self.start_of(place);
            if start > self.limit {
                break;
            }
            self.current = start;
            if place >= SLOTS {
                self.cascade(place);
                continue;
            }
            let index = self.lists[place].head;
            let generation = self.entries[index as usize].generation;
            self.unlink(index);
            let value = self.release(index)?;
            return Some((TimerId { index, generation }, value));
        }
        // What remains starts beyond `limit`, so its places are as right seen
        // from there as from `current`.
        self.current = self.limit;
        self.in_turn = false;
        None
    }

    /// Places that are in memory, free ones among them.
    pub fn places(&self) -> usize {
        self.entries.len()
    }

    /// Gives memory back after a burst: drops the free places behind the last
    /// pending timer. Ids stay valid, and stale ones stale. Takes time
    /// proportional to the largest number of timers there has been.
    pub fn shrink_to_fit(&mut self) {
        while let Some(entry) = self.entries.last()
            && entry.value.is_none()
            && entry.generation.get() <= DROPPABLE
        {
            self.first_generation = self.first_generation.max(entry.generation);
            self.entries.pop();
        }
        self.entries.shrink_to_fit();
        self.free = NIL;
        for (index, entry) in self.entries.iter_mut().enumerate().rev() {
            if entry.value.is_none() && entry.generation < NonZeroU32::MAX {
                entry.next = self.free;
                self.free = index as u32;
            }
        }
    }

    /// Begins a turn: timers that came too late for the one before take their
    /// places, all of them at that turn's `now`.
    fn begin(&mut self, now: u64) {
        if self.levels & !WHEEL != 0 {
            self.cascade(LATE);
        }
        self.limit = self.limit.max(now);
        self.in_turn = true;
    }

    /// Moves the timers of a list to the places they have seen from `current`.
    fn cascade(&mut self, place: usize) {
        let mut index = self.lists[place].head;
        self.clear(place);
        while index != NIL {
            let Entry { next, deadline, .. } = self.entries[index as usize];
            self.link(index, self.place_of(deadline));
            index = next;
        }
    }

    /// The place of the earliest timer, or of a slot that has it, leaving aside
    /// those in `LATE`.
    fn earliest(&self) -> Option<usize> {
        let levels = self.levels & WHEEL;
        if levels == 0 {
            return None;
        }
        let level = levels.trailing_zeros() as usize;
        Some(level * SLOTS + self.occupied[level].trailing_zeros() as usize)
    }

    /// The place for a deadline that is not before `current`.
    fn place_of(&self, deadline: u64) -> usize {
        let level = ((deadline ^ self.current) | 1).ilog2() / BITS;
        level as usize * SLOTS + (deadline >> (level * BITS)) as usize % SLOTS
    }

    /// The first tick of a slot of the wheel.
    fn start_of(&self, place: usize) -> u64 {
        let shift = (place / SLOTS) as u32 * BITS;
        let above = u64::MAX.checked_shl(shift + BITS).unwrap_or(0);
        (self.current & above) | (((place % SLOTS) as u64) << shift)
    }

    fn pending(&self, id: TimerId) -> Option<&Entry<T>> {
        self.entries
            .get(id.index as usize)
            .filter(|entry| entry.generation == id.generation && entry.value.is_some())
    }

    /// Appends an entry to the list at `place`.
    fn link(&mut self, index: u32, place: usize) {
        let tail = self.lists[place].tail;
        match self.entries.get_mut(tail as usize) {
            Some(last) => last.next = index,
            None => {
                self.lists[place].head = index;
                self.occupied[place / SLOTS] |= 1 << (place % SLOTS);
                self.levels |= 1 << (place / SLOTS);
            }
        }
        self.lists[place].tail = index;
        let entry = &mut self.entries[index as usize];
        entry.prev = tail;
        entry.next = NIL;
        entry.place = place as u16;
    }

    /// Takes an entry out of its list.
    fn unlink(&mut self, index: u32) {
        let Entry { prev, next, place, .. } = self.entries[index as usize];
        let place = usize::from(place);
        if prev == NIL && next == NIL {
            self.clear(place);
            return;
        }
        match self.entries.get_mut(prev as usize) {
            Some(before) => before.next = next,
            None => self.lists[place].head = next,
        }
        match self.entries.get_mut(next as usize) {
            Some(after) => after.prev = prev,
            None => self.lists[place].tail = prev,
        }
    }

    /// Forgets the list at `place`.
    fn clear(&mut self, place: usize) {
        let level = place / SLOTS;
        self.lists[place] = EMPTY;
        self.occupied[level] &= !(1 << (place % SLOTS));
        if self.occupied[level] == 0 {
            self.levels &= !(1 << level);
        }
    }

    /// Takes the value out of an unlinked entry, whose place is then free.
    fn release(&mut self, index: u32) -> Option<T> {
        let entry = &mut self.entries[index as usize];
        let value = entry.value.take();
        entry.generation = entry.generation.saturating_add(1);
        if entry.generation < NonZeroU32::MAX {
            entry.next = self.free;
            self.free = index;
        }
        self.len -= 1;
        value
    }
}

impl<T> Default for Wheel<T> {
    fn default() -> Wheel<T> {
        Wheel::new()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const HOUR: u64 = 3_600_000;
    const DAYS_30: u64 = 30 * 24 * HOUR;

    /// Pops a whole turn.
    fn turn<T>(wheel: &mut Wheel<T>, now: u64) -> Vec<T> {
        std::iter::from_fn(|| wheel.pop_due(now)).map(|(_, value)| value).collect()
    }

    /// Every list against the bits, the places and the free list.
    fn check<T>(wheel: &Wheel<T>) {
        let mut listed = 0;
        for (place, list) in wheel.lists.iter().enumerate() {
            let (level, slot) = (place / SLOTS, place % SLOTS);
            let bit = wheel.occupied[level] >> slot & 1 == 1;
            assert_eq!(bit, list.head != NIL, "occupancy of {level}/{slot}");
            let (mut prev, mut index) = (NIL, list.head);
            while index != NIL {
                let entry = &wheel.entries[index as usize];
                assert_eq!((entry.prev, usize::from(entry.place)), (prev, place));
                assert!(entry.value.is_some() && entry.deadline >= wheel.current);
                if place == LATE {
                    assert_eq!(entry.deadline, wheel.limit);
                } else {
                    assert_eq!(wheel.place_of(entry.deadline), place);
                }
                listed += 1;
                (prev, index) = (index, entry.next);
            }
            assert_eq!(list.tail, prev);
        }
        for (level, slots) in wheel.occupied.iter().enumerate() {
            assert_eq!(wheel.levels >> level & 1 == 1, *slots != 0);
        }
        let (mut free, mut index) = (0, wheel.free);
        while index != NIL {
            let entry = &wheel.entries[index as usize];
            assert!(entry.value.is_none() && entry.generation < NonZeroU32::MAX);
            free += 1;
            index = entry.next;
        }
        let retired = |entry: &&Entry<T>| entry.generation == NonZeroU32::MAX;
        let retired = wheel.entries.iter().filter(retired).count();
        assert_eq!(listed, wheel.len());
        assert_eq!(listed + free + retired, wheel.entries.len());
        assert!(wheel.current <= wheel.limit);
    }

    /// Sleeps until `next_deadline` again and again; returns the tick of the
    /// first timer popped and how often the sleeper woke for nothing.
    fn sleep_until_due<T>(wheel: &mut Wheel<T>) -> (u64, usize) {
        for idle in 0.. {
            let now = wheel.next_deadline().unwrap();
            if wheel.pop_due(now).is_some() {
                return (now, idle);
            }
        }
        unreachable!()
    }

    #[test]
    fn sizes_are_as_documented() {
        assert_eq!(size_of::<TimerId>(), 8);
        assert_eq!(size_of::<Option<TimerId>>(), 8);
        assert_eq!(size_of::<Entry<Box<u8>>>(), 24 + size_of::<Box<u8>>());
        assert_eq!(size_of::<Entry<u64>>(), 32 + size_of::<u64>());
    }

    #[test]
    fn an_empty_wheel_has_nothing_to_wait_for() {
        let mut wheel = Wheel::<()>::default();
        assert!(wheel.is_empty());
        assert_eq!(wheel.next_deadline(), None);
        assert!(wheel.pop_due(DAYS_30).is_none());
        assert!(wheel.pop_due(u64::MAX).is_none());
    }

    #[test]
    fn a_timer_is_due_at_its_tick_and_not_before() {
        for deadline in [1, 63, 64, 65, 4095, 4096, HOUR, DAYS_30, 1 << 36, 1 << 60, u64::MAX] {
            let mut wheel = Wheel::new();
            let id = wheel.insert(deadline, deadline);
            assert_eq!(wheel.deadline(id), Some(deadline));
            assert!(wheel.pop_due(deadline - 1).is_none());
            check(&wheel);
            assert_eq!(wheel.pop_due(deadline), Some((id, deadline)));
            assert!(wheel.is_empty());
        }
    }

    #[test]
    fn one_deadline_keeps_the_order_of_insertion_through_all_levels() {
        let mut wheel = Wheel::new();
        let deadline = DAYS_30 + 7;
        for (order, now) in [0, 1, HOUR, DAYS_30 - 5000, DAYS_30, deadline - 1].iter().enumerate() {
            assert!(wheel.pop_due(*now).is_none());
            wheel.insert(deadline, order);
            check(&wheel);
        }
        assert_eq!(turn(&mut wheel, deadline), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_late_call_pops_everything_in_order() {
        let mut wheel = Wheel::new();
        for deadline in (0..10_000).map(|i| i * 7_919 % 10_007 * 300_000) {
            wheel.insert(deadline, deadline);
        }
        let popped = turn(&mut wheel, DAYS_30 * 2);
        assert_eq!(popped.len(), 10_000);
        assert!(popped.is_sorted());
    }

    #[test]
    fn a_timer_restarted_in_its_own_turn_waits_for_the_next() {
        let mut wheel = Wheel::new();
        wheel.insert(5, "first");
        wheel.insert(9, "second");
        assert_eq!(wheel.pop_due(10).unwrap().1, "first");
        for deadline in [0, 5, 8, 10] {
            wheel.insert(deadline, "again");
        }
        assert_eq!(wheel.next_deadline(), Some(9));
        assert_eq!(turn(&mut wheel, 10), ["second"]);
        assert_eq!(wheel.next_deadline(), Some(10));
        check(&wheel);
        assert_eq!(turn(&mut wheel, 10), ["again"; 4]);
        assert!(wheel.is_empty());
    }

    #[test]
    fn an_unfinished_turn_loses_nothing_and_keeps_the_order() {
        let mut wheel = Wheel::new();
        for deadline in [100, 5_000, 10_000, 15_000] {
            wheel.insert(deadline, deadline);
        }
        assert_eq!(wheel.pop_due(10_000).unwrap().1, 100);
        wheel.insert(3, 10_001); // counts as 10,000, after the one that is there
        check(&wheel);
        assert_eq!(turn(&mut wheel, 20_000), [5_000, 10_000, 10_001, 15_000]);
    }

    #[test]
    fn a_clock_that_steps_back_changes_nothing() {
        let mut wheel = Wheel::new();
        wheel.insert(50, 50);
        wheel.insert(150, 150);
        assert_eq!(turn(&mut wheel, 100), [50]);
        wheel.insert(60, 60);
        assert_eq!(turn(&mut wheel, 10), [60]);
        assert_eq!(turn(&mut wheel, 149), []);
        assert_eq!(turn(&mut wheel, 150), [150]);
    }

    #[test]
    fn cancel_while_popping_takes_out_timers_of_the_same_turn() {
        let mut wheel = Wheel::new();
        let ids: Vec<_> = [7, 7, 7, 900, 900]
            .iter()
            .enumerate()
            .map(|(order, deadline)| wheel.insert(*deadline, order))
            .collect();
        let (id, order) = wheel.pop_due(1_000).unwrap();
        assert_eq!((id, order), (ids[0], 0));
        assert_eq!(wheel.cancel(id), None, "the timer being run is gone");
        assert_eq!(wheel.cancel(ids[1]), Some(1));
        assert_eq!(wheel.cancel(ids[3]), Some(3));
        let late = wheel.insert(0, 9);
        assert_eq!(wheel.cancel(late), Some(9));
        check(&wheel);
        assert_eq!(turn(&mut wheel, 1_000), [2, 4]);
    }

    #[test]
    fn a_stale_id_finds_nothing_after_its_place_is_reused() {
        let mut wheel = Wheel::new();
        let stale = wheel.insert(10, 'a');
        assert_eq!(wheel.cancel(stale), Some('a'));
        let fresh = wheel.insert(10, 'b');
        assert_eq!(stale.index, fresh.index);
        assert_eq!(wheel.get_mut(stale), None);
        assert_eq!(wheel.deadline(stale), None);
        assert_eq!(wheel.cancel(stale), None);
        *wheel.get_mut(fresh).unwrap() = 'c';
        assert_eq!(wheel.pop_due(10), Some((fresh, 'c')));
        assert_eq!(wheel.cancel(fresh), None);
    }

    #[test]
    fn an_id_of_another_wheel_does_no_harm() {
        let mut wheel = Wheel::new();
        let used = wheel.insert(1, 1);
        wheel.cancel(used);
        let mut other = Wheel::new();
        for _ in 0..2 {
            let id = other.insert(1, 1);
            assert_eq!(wheel.cancel(id), None);
            assert_eq!(wheel.get_mut(id), None);
            other.cancel(id);
        }
        check(&wheel);
    }

    #[test]
    fn an_entry_out_of_generations_is_retired() {
        let mut wheel = Wheel::new();
        let first = wheel.insert(10, 0);
        wheel.cancel(first);
        wheel.entries[0].generation = NonZeroU32::new(u32::MAX - 1).unwrap();
        let last = wheel.insert(10, 1);
        assert_eq!(wheel.cancel(last), Some(1));
        assert_eq!(wheel.cancel(last), None);
        let next = wheel.insert(10, 2);
        assert_ne!(next.index, last.index);
        wheel.cancel(next);
        wheel.shrink_to_fit();
        check(&wheel);
        assert_eq!(wheel.entries.len(), 1, "the retired entry stays");
    }

    #[test]
    fn places_are_reused_and_given_back() {
        let mut wheel = Wheel::new();
        let mut ids: Vec<_> = (0..1_000).map(|i| wheel.insert(i * 50, i)).collect();
        for round in 0..10 {
            for id in &mut ids {
                let value = wheel.cancel(*id).unwrap();
                *id = wheel.insert(value * 50 + round, value);
            }
        }
        assert_eq!(wheel.entries.len(), 1_000);
        for id in ids.drain(100..) {
            wheel.cancel(id);
        }
        let stale = ids.split_off(1);
        for id in &stale {
            wheel.cancel(*id);
        }
        wheel.shrink_to_fit();
        check(&wheel);
        assert!(wheel.entries.capacity() <= 1_000);
        let kept = ids[0];
        let used = wheel.entries.len();
        assert_eq!(used, kept.index as usize + 1);
        let again: Vec<_> = (0..1_000).map(|i| wheel.insert(i, i)).collect();
        assert!(stale.iter().all(|id| wheel.cancel(*id).is_none()));
        assert!(again.iter().chain(&ids).all(|id| wheel.cancel(*id).is_some()));
        wheel.shrink_to_fit();
        assert_eq!(wheel.entries.capacity(), 0);
    }

    #[test]
    fn a_sleeper_reaches_far_timers_with_few_wake_ups() {
        for (deadline, most) in [(50, 0), (1_000, 1), (HOUR, 3), (DAYS_30, 5), (1 << 50, 8)] {
            let mut alone = Wheel::new();
            alone.insert(deadline, ());
            assert_eq!(sleep_until_due(&mut alone), (deadline, 0));

            let mut pair = Wheel::new();
            pair.insert(deadline, ());
            pair.insert(deadline + 1, ());
            let (reached, idle) = sleep_until_due(&mut pair);
            assert_eq!(reached, deadline);
            assert!(idle <= most, "{idle} idle wake-ups for {deadline}");
        }
    }

    #[test]
    fn near_timers_are_exact_after_a_long_sleep() {
        let mut wheel = Wheel::new();
        wheel.insert(DAYS_30, ());
        assert!(wheel.pop_due(HOUR).is_none());
        wheel.insert(HOUR + 50, ());
        wheel.insert(HOUR + 60, ());
        assert_eq!(wheel.next_deadline(), Some(HOUR + 50));
    }

    #[test]
    fn an_hourly_timer_keeps_time_for_thirty_days() {
        let mut wheel = Wheel::new();
        wheel.insert(HOUR, ());
        for hour in 1..=30 * 24 {
            assert_eq!(sleep_until_due(&mut wheel), (hour * HOUR, 0));
            wheel.insert((hour + 1) * HOUR, ());
        }
        assert_eq!(wheel.len(), 1);
    }

    #[derive(Clone, Debug)]
    enum Op {
        /// Deadline relative to the latest `now`; the flag looks backwards.
        Insert(bool, u64),
        Cancel(usize),
        /// Pops up to so many timers at a later `now`, doing after each pop the
        /// next of the operations given, the later ones if few are due.
        Turn(u64, usize, Vec<Op>),
        Sleep,
        Shrink,
    }

    /// Small, medium and huge spans, with the edges of slots and levels.
    fn span() -> impl Strategy<Value = u64> {
        prop_oneof![
            4 => 0..4u64,
            4 => 0..200u64,
            2 => (0..64u32, any::<u64>()).prop_map(|(bits, any)| any >> bits),
            2 => (0..8u32, 0..64u64, 0..3u64).prop_map(|(level, digit, off)| {
                ((digit << (level * BITS)) + off).saturating_sub(1)
            }),
            1 => Just(HOUR),
            1 => Just(DAYS_30),
        ]
    }

    fn mutation() -> impl Strategy<Value = Op> {
        prop_oneof![
            3 => (prop::bool::weighted(0.2), span()).prop_map(|(back, span)| Op::Insert(back, span)),
            2 => any::<prop::sample::Index>().prop_map(|index| Op::Cancel(index.index(1 << 20))),
        ]
    }

    fn op() -> impl Strategy<Value = Op> {
        let most = prop_oneof![3 => Just(usize::MAX), 1 => 0..4usize];
        prop_oneof![
            12 => mutation(),
            4 => (span(), most, prop::collection::vec(mutation(), 0..4))
                .prop_map(|(jump, most, ops)| Op::Turn(jump, most, ops)),
            1 => Just(Op::Sleep),
            1 => Just(Op::Shrink),
        ]
    }

    /// What the wheel promises, kept in a sorted map.
    #[derive(Default)]
    struct Model {
        wheel: Wheel<u64>,
        /// By deadline and order of insertion.
        pending: BTreeMap<(u64, u64), TimerId>,
        /// Every id ever given, with its key above.
        given: Vec<(TimerId, (u64, u64))>,
        now: u64,
        /// How many ids had been given when the turn began, while it lasts.
        turn: Option<u64>,
    }

    impl Model {
        fn apply(&mut self, op: Op) {
            match op {
                Op::Insert(back, span) => {
                    let deadline = if back {
                        self.now.saturating_sub(span)
                    } else {
                        self.now.saturating_add(span)
                    };
                    let key = (deadline.max(self.now), self.given.len() as u64);
                    let id = self.wheel.insert(deadline, key.1);
                    assert_eq!(self.wheel.deadline(id), Some(key.0));
                    self.pending.insert(key, id);
                    self.given.push((id, key));
                }
                Op::Cancel(index) => {
                    if let Some(index) = index.checked_rem(self.given.len()) {
                        let (id, key) = self.given[index];
                        let expected = self.pending.remove(&key).map(|_| key.1);
                        assert_eq!(self.wheel.get_mut(id).copied(), expected);
                        assert_eq!(self.wheel.cancel(id), expected);
                    }
                }
                Op::Turn(jump, most, ops) => {
                    let now = self.now.saturating_add(jump);
                    let mut ops = ops.into_iter();
                    for _ in 0..most {
                        if !self.pop(now) {
                            break;
                        }
                        if let Some(op) = ops.next() {
                            self.apply(op);
                        }
                    }
                    ops.for_each(|op| self.apply(op));
                }
                Op::Sleep => {
                    // One more wake-up if it has to end an unfinished turn.
                    let most = LEVELS - 1 + usize::from(self.turn.is_some());
                    let mut idle = 0;
                    while let Some(now) = self.wheel.next_deadline()
                        && !self.pop(now)
                    {
                        idle += 1;
                        assert!(idle <= most);
                    }
                }
                Op::Shrink => self.wheel.shrink_to_fit(),
            }
            check(&self.wheel);
            assert_eq!(self.wheel.len(), self.pending.len());
            let first = self.pending.keys().next().map(|key| key.0);
            let next = self.wheel.next_deadline();
            assert_eq!(next.is_some(), first.is_some());
            assert!(next <= first);
        }

        /// Pops from both; whether there was a timer due.
        fn pop(&mut self, now: u64) -> bool {
            if self.turn.is_none() || now > self.now {
                self.turn = Some(self.given.len() as u64);
                self.now = self.now.max(now);
            }
            let due = self
                .pending
                .range(..=(self.now, u64::MAX))
                .find(|((_, order), _)| Some(*order) < self.turn)
                .map(|(key, id)| (*key, *id));
            let expected = due.map(|((_, order), id)| (id, order));
            assert_eq!(self.wheel.pop_due(now), expected);
            match due {
                Some((key, _)) => self.pending.remove(&key).is_some(),
                None => self.turn.take().is_none(),
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn agrees_with_a_sorted_map(ops in prop::collection::vec(op(), 0..120)) {
            let mut model = Model::default();
            for op in ops {
                model.apply(op);
            }
            for now in [model.now, model.now.saturating_add(DAYS_30), u64::MAX, u64::MAX] {
                model.apply(Op::Turn(now - model.now, usize::MAX, Vec::new()));
            }
            prop_assert!(model.wheel.is_empty());
        }
    }
}
