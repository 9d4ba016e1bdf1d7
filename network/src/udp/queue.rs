//! What waits to be sent.

use std::collections::VecDeque;
use std::net::SocketAddr;

use bytes::Bytes;

use crate::limits;
use crate::limits::{UDP_LONGEST_V4, UDP_QUEUE_KEPT, UDP_SEGMENTS, UDP_SEND_BATCH};
use crate::sys::udp::Outgoing;

/// Datagrams in the order in which they were sent.
///
/// ```text
///  waiting   [to A, 1200 B] [to A, 1200 B] [to A, 400 B] [to B, shared] [to A, 90 B]
///                  |              |              |             |             |
///  copies    ..|<- 1200 ->|<-- 1200 -->|<- 400 ->|<----- 90 --------------->|
///              ^ first                                         |
///            (sent)                                          Bytes
/// ```
///
/// Copies lie behind one another, so that a row of them to one peer is one slice for the kernel, which
/// cuts it up again.
#[derive(Default)]
pub(super) struct Queue {
    waiting: VecDeque<Waiting>,
    copies: Vec<u8>,
    /// The position of the first byte of `copies`, counted from the socket's beginning.
    base: u64,
    /// The position up to which copies have been sent.
    first: u64,
    bytes: usize,
}

struct Waiting {
    to: Option<SocketAddr>,
    len: usize,
    what: What,
}

enum What {
    /// Copied, at this position.
    Copied(u64),
    Shared(Bytes),
}

/// What the next send call carries. Kept for its memory.
#[derive(Default)]
pub(super) struct Plan {
    pub messages: Vec<Outgoing>,
    pieces: Vec<Piece>,
}

/// One slice of a message.
enum Piece {
    Copied { at: u64, len: usize },
    Shared(usize),
}

impl Queue {
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub fn copy(&mut self, to: Option<SocketAddr>, bytes: &[u8]) {
        let at = self.end();
        self.copies.extend_from_slice(bytes);
        self.push(Waiting { to, len: bytes.len(), what: What::Copied(at) });
    }

    pub fn share(&mut self, to: Option<SocketAddr>, bytes: Bytes) {
        self.push(Waiting { to, len: bytes.len(), what: What::Shared(bytes) });
    }

    /// Queues what `write` appends, unless `admit` refuses its length.
    pub fn compose<E>(
        &mut self,
        to: Option<SocketAddr>,
        write: impl FnOnce(&mut Vec<u8>),
        admit: impl FnOnce(usize) -> Result<(), E>,
    ) -> Result<(), E> {
        let (at, before) = (self.end(), self.copies.len());
        write(&mut self.copies);
        let len = self.copies.len().saturating_sub(before);
        if let Err(refusal) = admit(len) {
            self.copies.truncate(before);
            return Err(refusal);
        }
        self.push(Waiting { to, len, what: What::Copied(at) });
        Ok(())
    }

    fn push(&mut self, waiting: Waiting) {
        self.bytes += waiting.len;
        self.waiting.push_back(waiting);
    }

    fn end(&self) -> u64 {
        self.base + self.copies.len() as u64
    }

    /// Plans one send call. Rows of equal datagrams to one peer, the last of which may be shorter,
    /// become one message where `gather` allows it, but the first `single` datagrams stay alone.
    pub fn plan(&self, gather: bool, single: usize, plan: &mut Plan) {
        plan.messages.clear();
        plan.pieces.clear();
        let mut row = Row::default();
        for (index, waiting) in self.waiting.iter().take(limits::IOV_MAX).enumerate() {
            let Some(last) = plan.messages.last_mut().filter(|last| row.takes(last, waiting))
            else {
                if plan.messages.len() == UDP_SEND_BATCH {
                    break;
                }
                plan.messages.push(Outgoing {
                    to: waiting.to,
                    slices: 1,
                    segment: 0,
                    datagrams: 1,
                });
                plan.pieces.push(waiting.piece(index));
                row = Row {
                    open: gather && index >= single,
                    segment: waiting.len,
                    bytes: waiting.len,
                };
                continue;
            };
            last.datagrams += 1;
            // A row of two or more is shorter than 2^16 in all.
            last.segment = u16::try_from(row.segment).unwrap_or(0);
            row.bytes += waiting.len;
            row.open = waiting.len == row.segment;
            match (plan.pieces.last_mut(), &waiting.what) {
                (Some(Piece::Copied { at, len }), What::Copied(next))
                    if *at + *len as u64 == *next =>
                {
                    *len += waiting.len;
                }
                _ => {
                    last.slices += 1;
                    plan.pieces.push(waiting.piece(index));
                }
            }
        }
    }

    /// The slices of a plan, in its order.
    pub fn slices<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = &'a [u8]> {
        plan.pieces.iter().map(|piece| match piece {
            Piece::Copied { at, len } => {
                let start = at.saturating_sub(self.base) as usize;
                self.copies.get(start..start.saturating_add(*len)).unwrap_or(&[])
            }
            Piece::Shared(index) => match self.waiting.get(*index).map(|waiting| &waiting.what) {
                Some(What::Shared(bytes)) => bytes.as_ref(),
                _ => &[],
            },
        })
    }

    /// Forgets the first datagrams; returns their bytes.
    pub fn pop(&mut self, datagrams: usize) -> usize {
        let mut bytes = 0;
        for waiting in self.waiting.drain(..datagrams.min(self.waiting.len())) {
            bytes += waiting.len;
            if let What::Copied(at) = waiting.what {
                self.first = at + waiting.len as u64;
            }
        }
        self.bytes = self.bytes.saturating_sub(bytes);
        self.tidy();
        bytes
    }

    /// Reclaims what is sent: at once where that is all, else when it is more than half, so that no
    /// byte is moved more than once for each byte sent.
    fn tidy(&mut self) {
        if self.waiting.is_empty() {
            self.base = self.end();
            self.copies.clear();
            if self.copies.capacity() > UDP_QUEUE_KEPT {
                self.copies = Vec::new();
            }
            return;
        }
        let sent = usize::try_from(self.first.saturating_sub(self.base)).unwrap_or(0);
        if sent > self.copies.len() / 2 {
            self.copies.drain(..sent);
            self.base += sent as u64;
        }
    }
}

impl Waiting {
    fn piece(&self, index: usize) -> Piece {
        match self.what {
            What::Copied(at) => Piece::Copied { at, len: self.len },
            What::Shared(_) => Piece::Shared(index),
        }
    }
}

/// The message a plan is at.
#[derive(Default)]
struct Row {
    /// False for a message that is alone, and after a shorter datagram, which ends a row.
    open: bool,
    segment: usize,
    bytes: usize,
}

impl Row {
    fn takes(&self, message: &Outgoing, next: &Waiting) -> bool {
        self.open
            && next.to == message.to
            && next.len > 0
            && next.len <= self.segment
            && self.bytes + next.len <= UDP_LONGEST_V4
            && message.datagrams < UDP_SEGMENTS
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn peer(port: u16) -> Option<SocketAddr> {
        Some(([127, 0, 0, 1], port).into())
    }

    fn shape(queue: &Queue, gather: bool, single: usize) -> Vec<(usize, usize, u16)> {
        let mut plan = Plan::default();
        queue.plan(gather, single, &mut plan);
        plan.messages.iter().map(|m| (m.datagrams, m.slices, m.segment)).collect()
    }

    #[test]
    fn rows_of_equal_datagrams_are_one_message() {
        let mut queue = Queue::default();
        for len in [1200, 1200, 400] {
            queue.copy(peer(1), &vec![7; len]);
        }
        queue.share(peer(2), Bytes::from(vec![8; 400]));
        queue.share(peer(2), Bytes::from(vec![8; 400]));
        queue.copy(peer(2), &[9; 400]);
        queue.copy(peer(2), &[9; 401]);
        queue.copy(peer(2), &[]);
        queue.copy(peer(2), &[]);
        let gathered = [(3, 1, 1200), (3, 3, 400), (1, 1, 0), (1, 1, 0), (1, 1, 0)];
        assert_eq!(shape(&queue, true, 0), gathered);
        assert_eq!(shape(&queue, false, 0), [(1, 1, 0); 9]);
        let after_two = [(1, 1, 0), (1, 1, 0), (1, 1, 0), (3, 3, 400)];
        assert_eq!(shape(&queue, true, 2)[..4], after_two);
    }

    #[test]
    fn a_message_stays_below_what_the_kernel_cuts_up() {
        let mut queue = Queue::default();
        for _ in 0..130 {
            queue.copy(None, &[1; 100]);
        }
        for _ in 0..60 {
            queue.copy(None, &[1; 1200]);
        }
        let expected = [(64, 1, 100), (64, 1, 100), (2, 1, 100), (54, 1, 1200), (6, 1, 1200)];
        assert_eq!(shape(&queue, true, 0), expected);
    }

    #[test]
    fn a_refused_composition_leaves_nothing() {
        let mut queue = Queue::default();
        let refused = queue.compose(None, |out| out.extend_from_slice(b"much"), Err::<(), usize>);
        assert_eq!(refused, Err(4));
        queue.compose(None, |out| out.extend_from_slice(b"bit"), |_| Ok::<_, ()>(())).unwrap();
        let mut plan = Plan::default();
        queue.plan(true, 0, &mut plan);
        assert_eq!(queue.slices(&plan).collect::<Vec<_>>(), [b"bit"]);
    }

    proptest! {
        /// Whatever is queued, in whatever steps it is sent: each datagram leaves once, in order, to
        /// its peer, cut where it was cut.
        #[test]
        fn what_goes_in_comes_out(
            steps in prop::collection::vec(
                (0..3_u16, 0..5_usize, any::<bool>(), any::<bool>(), 0..3_usize), 1..200)
        ) {
            let mut queue = Queue::default();
            let mut plan = Plan::default();
            let (mut expected, mut seen) = (Vec::new(), Vec::new());
            let mut fill = 0_u8;
            let last = (0, 0, false, true, usize::MAX);
            for (port, size, shared, send, messages) in steps.into_iter().chain([last; 1]) {
                fill = fill.wrapping_add(1);
                let bytes = vec![fill; [0, 1, 7, 7, 300][size]];
                expected.push((peer(port), bytes.clone()));
                if shared {
                    queue.share(peer(port), bytes.into());
                } else {
                    queue.copy(peer(port), &bytes);
                }
                while send && !queue.is_empty() {
                    queue.plan(true, usize::from(shared), &mut plan);
                    let mut slices = queue.slices(&plan);
                    let mut gone = 0;
                    for message in plan.messages.iter().take(messages) {
                        let bytes: Vec<u8> =
                            slices.by_ref().take(message.slices).flatten().copied().collect();
                        let segment = usize::from(message.segment);
                        if segment == 0 {
                            seen.push((message.to, bytes));
                        } else {
                            seen.extend(bytes.chunks(segment).map(|c| (message.to, c.to_vec())));
                        }
                        gone += message.datagrams;
                    }
                    drop(slices);
                    queue.pop(gone);
                    if messages < usize::MAX {
                        break;
                    }
                }
            }
            prop_assert_eq!(seen, expected);
            prop_assert_eq!((queue.len(), queue.bytes()), (0, 0));
        }
    }
}
