//! A message on its way in: its pieces, unmasked and joined, checked while they come.

use super::frame::mask;

/// What a message is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// Bytes.
    Binary,
}

/// Bytes copied before they are unmasked, so that the second pass finds them in the fastest cache.
const COPIED_AT_ONCE: usize = 4096;

/// The buffer in which a message is joined. It is used again for the next one, and its room grows with
/// the bytes received, never with a length declared.
#[derive(Default)]
pub(super) struct Assembly {
    kind: Option<Kind>,
    data: Vec<u8>,
    /// How much of a text is known to be UTF-8; at most three bytes less than there are.
    checked: usize,
    /// Frames the message came in so far.
    pieces: u32,
}

/// A text that cannot become UTF-8, however it goes on.
pub(super) struct NotUtf8;

impl Assembly {
    /// Whether a message has begun and not been cleared.
    pub(super) fn kind(&self) -> Option<Kind> {
        self.kind
    }

    pub(super) fn data(&self) -> &[u8] {
        &self.data
    }

    /// Room held on the heap.
    pub(super) fn held(&self) -> usize {
        self.data.capacity()
    }

    pub(super) fn begin(&mut self, kind: Kind) {
        self.kind = Some(kind);
    }

    /// Counts one more frame and says how many there are.
    pub(super) fn count_piece(&mut self) -> u32 {
        self.pieces = self.pieces.saturating_add(1);
        self.pieces
    }

    /// Adds bytes of a frame. `offset` is their position in it; `most` is what the message may still
    /// take, these bytes included, and bounds how far ahead room is made; `keep` as for `clear`.
    pub(super) fn append(
        &mut self,
        bytes: &[u8],
        key: Option<[u8; 4]>,
        offset: usize,
        most: usize,
        keep: usize,
    ) -> Result<(), NotUtf8> {
        self.make_room(bytes.len(), most, keep);
        let mut at = offset;
        for part in bytes.chunks(COPIED_AT_ONCE) {
            let start = self.data.len();
            self.data.extend_from_slice(part);
            if let Some(key) = key {
                mask(self.data.get_mut(start..).unwrap_or_default(), key, at);
                at = at.wrapping_add(part.len());
            }
        }
        if self.kind == Some(Kind::Text) {
            self.check()?;
        }
        Ok(())
    }

    /// Whether a text ends with a whole character.
    pub(super) fn finish(&self) -> Result<(), NotUtf8> {
        if self.kind == Some(Kind::Text) && self.checked < self.data.len() {
            return Err(NotUtf8);
        }
        Ok(())
    }

    /// Makes place for the next message. Room above `keep` goes back to the allocator.
    pub(super) fn clear(&mut self, keep: usize) {
        self.kind = None;
        self.checked = 0;
        self.pieces = 0;
        self.data.clear();
        if self.data.capacity() > keep {
            self.data = Vec::new();
        }
    }

    /// Room that will be kept comes in powers of two. Above that it doubles, but not past what the
    /// message may become.
    fn make_room(&mut self, more: usize, most: usize, keep: usize) {
        let len = self.data.len();
        let need = len.saturating_add(more);
        if need <= self.data.capacity() {
            return;
        }
        let room = if need < keep {
            need.next_power_of_two().min(keep)
        } else {
            let doubled = len.saturating_mul(2).min(len.saturating_add(most));
            need.max(doubled)
        };
        self.data.reserve_exact(room.saturating_sub(len));
    }

    fn check(&mut self) -> Result<(), NotUtf8> {
        let unchecked = self.data.get(self.checked..).unwrap_or_default();
        match std::str::from_utf8(unchecked) {
            Ok(text) => self.checked += text.len(),
            // No error length: a character that the next bytes may still complete.
            Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
            Err(_) => return Err(NotUtf8),
        }
        Ok(())
    }
}
