//! A table with stale-proof keys.

/// A key into [`Slots`]: where the value is, and which of the values that were ever there.
///
/// A key outlives its value harmlessly: once the value is removed, no operation finds it again, even
/// when the place is used anew.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Key {
    pub index: u32,
    pub generation: u32,
}

struct Slot<T> {
    generation: u32,
    /// `None` while the place is free, and while the value is lent out by [`Slots::lend`].
    value: Option<T>,
    lent: bool,
    /// Bits that the table's owner notes about the value; none for a fresh one.
    marks: u8,
}

/// A growing table that reuses its places, last freed first.
pub(crate) struct Slots<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    len: usize,
}

impl<T> Slots<T> {
    pub fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), len: 0 }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// Every value that is present, with its key. Lent values are passed over.
    pub fn keys(&self) -> impl Iterator<Item = Key> + '_ {
        self.slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| slot.value.is_some())
            .map(|(index, slot)| Key { index: index as u32, generation: slot.generation })
    }

    /// Reserves a place: the key is valid, its value comes with [`Slots::give_back`].
    pub fn reserve(&mut self) -> Key {
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.slots.push(Slot { generation: 0, value: None, lent: false, marks: 0 });
                (self.slots.len() - 1) as u32
            }
        };
        let slot = &mut self.slots[index as usize];
        slot.lent = true;
        self.len += 1;
        Key { index, generation: slot.generation }
    }

    fn slot(&mut self, key: Key) -> Option<&mut Slot<T>> {
        self.slots.get_mut(key.index as usize).filter(|slot| slot.generation == key.generation)
    }

    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        self.slot(key)?.value.as_mut()
    }

    /// True from `reserve` until `remove`, lent or not.
    pub fn contains(&self, key: Key) -> bool {
        self.slots.get(key.index as usize).is_some_and(|slot| {
            slot.generation == key.generation && (slot.lent || slot.value.is_some())
        })
    }

    /// Sets bits of a value, also while it is lent out, and returns those set before. `None` where the
    /// key is stale.
    pub fn mark(&mut self, key: Key, bits: u8) -> Option<u8> {
        let slot = self.slot(key)?;
        let before = slot.marks;
        slot.marks |= bits;
        Some(before)
    }

    /// Clears bits of a value and returns those of them that were set.
    pub fn unmark(&mut self, key: Key, bits: u8) -> u8 {
        self.slot(key).map_or(0, |slot| {
            let before = slot.marks & bits;
            slot.marks &= !bits;
            before
        })
    }

    /// The bits of a value; none where the key is stale.
    pub fn marks(&self, key: Key) -> u8 {
        let slot = self.slots.get(key.index as usize);
        slot.filter(|slot| slot.generation == key.generation).map_or(0, |slot| slot.marks)
    }

    /// Takes a value out to work with it while the table itself is being changed.
    pub fn lend(&mut self, key: Key) -> Option<T> {
        let slot = self.slot(key)?;
        let value = slot.value.take()?;
        slot.lent = true;
        Some(value)
    }

    /// Puts a lent value back, or hands it over where its key was removed in between.
    pub fn give_back(&mut self, key: Key, value: T) -> Option<T> {
        match self.slot(key) {
            Some(slot) if slot.lent => {
                slot.lent = false;
                slot.value = Some(value);
                None
            }
            _ => Some(value),
        }
    }

    /// Frees the place. `None` where the key is stale or the value is lent out at the moment; its
    /// holder gets it back from [`Slots::give_back`].
    pub fn remove(&mut self, key: Key) -> Option<T> {
        let slot = self.slot(key)?;
        if slot.value.is_none() && !slot.lent {
            return None;
        }
        let value = slot.value.take();
        slot.lent = false;
        slot.marks = 0;
        slot.generation += 1;
        // A place that has been through all generations is not used again: its oldest keys would come
        // back to life.
        if slot.generation < u32::MAX {
            self.free.push(key.index);
        }
        self.len -= 1;
        value
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn insert(slots: &mut Slots<&'static str>, value: &'static str) -> Key {
        let key = slots.reserve();
        assert_eq!(slots.give_back(key, value), None);
        key
    }

    #[test]
    fn a_stale_key_never_reaches_the_next_value_in_its_place() {
        let mut slots = Slots::new();
        let first = insert(&mut slots, "first");
        assert_eq!(slots.remove(first), Some("first"));
        let second = insert(&mut slots, "second");
        assert_eq!(first.index, second.index);
        assert!(slots.get_mut(first).is_none());
        assert!(!slots.contains(first));
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.get_mut(second), Some(&mut "second"));
        assert_eq!(slots.len(), 1);
    }

    #[test]
    fn a_value_removed_while_lent_goes_to_its_holder() {
        let mut slots = Slots::new();
        let key = insert(&mut slots, "value");
        let lent = slots.lend(key).unwrap();
        assert!(slots.lend(key).is_none(), "lent once only");
        assert!(slots.contains(key));
        assert_eq!(slots.remove(key), None);
        assert!(!slots.contains(key));
        let other = insert(&mut slots, "other");
        assert_eq!(slots.give_back(key, lent), Some("value"));
        assert_eq!(slots.get_mut(other), Some(&mut "other"));
        assert_eq!(slots.keys().count(), 1);
    }

    #[test]
    fn a_place_is_retired_before_its_keys_repeat() {
        let mut slots = Slots::new();
        let first = insert(&mut slots, "first");
        slots.slots[0].generation = u32::MAX - 1;
        let last = Key { generation: u32::MAX - 1, ..first };
        assert_eq!(slots.remove(last), Some("first"));
        assert_eq!(slots.len(), 0);
        let next = insert(&mut slots, "next");
        assert_eq!(next, Key { index: 1, generation: 0 });
        assert_eq!((slots.remove(last), slots.len()), (None, 1));
    }

    #[test]
    fn marks_belong_to_one_value() {
        let mut slots = Slots::new();
        let first = insert(&mut slots, "first");
        assert_eq!(slots.mark(first, 0b01), Some(0));
        let lent = slots.lend(first).unwrap();
        assert_eq!(slots.mark(first, 0b10), Some(0b01), "also while lent");
        assert_eq!(slots.give_back(first, lent), None);
        assert_eq!(slots.unmark(first, 0b01), 0b01);
        assert_eq!((slots.unmark(first, 0b01), slots.marks(first)), (0, 0b10));
        slots.remove(first);
        let second = insert(&mut slots, "second");
        assert_eq!((slots.marks(second), slots.mark(first, 0b01)), (0, None));
        assert_eq!((slots.unmark(first, 0b11), slots.marks(first)), (0, 0));
    }
}
