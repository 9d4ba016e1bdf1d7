//! What came in one receive.

use std::fmt;
use std::net::SocketAddr;

use crate::limits::UDP_SLOT;
use crate::sys::udp::Received;

/// One datagram, as its sender sent it.
#[derive(Debug)]
pub struct Datagram<'a> {
    /// Who sent it. An IPv4 peer of an IPv6 socket has its IPv4 address.
    pub peer: SocketAddr,
    /// What was sent; may be empty. Writable, for protocols that decrypt in place.
    pub bytes: &'a mut [u8],
}

/// The datagrams of one receive, in the order of their arrival. What the kernel has gathered for one
/// peer is single datagrams again. Those that are not taken out are lost.
pub struct Batch<'a> {
    /// The slots not yet begun.
    memory: &'a mut [u8],
    received: std::slice::Iter<'a, Received>,
    current: Option<Gathered<'a>>,
    left: usize,
    bytes: usize,
}

/// What is left of the buffer in hand.
struct Gathered<'a> {
    peer: SocketAddr,
    bytes: &'a mut [u8],
    segment: usize,
}

impl<'a> Batch<'a> {
    pub(super) fn new((memory, received): (&'a mut [u8], &'a [Received])) -> Self {
        let whole = received.iter().filter(|one| one.is_whole());
        let (left, bytes) = whole
            .fold((0, 0), |(datagrams, bytes), one| (datagrams + one.datagrams(), bytes + one.len));
        Self { memory, received: received.iter(), current: None, left, bytes }
    }

    /// The bytes of all datagrams that were in the batch at first.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Received {
    fn is_whole(&self) -> bool {
        self.peer.is_some() && !self.truncated && self.len <= UDP_SLOT
    }

    fn segment(&self) -> usize {
        if self.segment == 0 { self.len } else { self.segment }
    }

    /// An empty datagram is one, too.
    fn datagrams(&self) -> usize {
        self.len.div_ceil(self.segment().max(1)).max(1)
    }
}

impl<'a> Iterator for Batch<'a> {
    type Item = Datagram<'a>;

    fn next(&mut self) -> Option<Datagram<'a>> {
        loop {
            if let Some(Gathered { peer, bytes, segment }) = self.current.take() {
                let (bytes, rest) = bytes.split_at_mut(segment.min(bytes.len()));
                if !rest.is_empty() {
                    self.current = Some(Gathered { peer, bytes: rest, segment });
                }
                self.left = self.left.saturating_sub(1);
                return Some(Datagram { peer, bytes });
            }
            let one = self.received.next()?;
            let (slot, rest) = std::mem::take(&mut self.memory).split_at_mut_checked(UDP_SLOT)?;
            self.memory = rest;
            if let (Some(peer), Some(bytes)) = (one.peer, slot.get_mut(..one.len))
                && one.is_whole()
            {
                let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                self.current = Some(Gathered { peer, bytes, segment: one.segment() });
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Batch<'_> {}

impl fmt::Debug for Batch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("datagrams", &self.left).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(len: usize, segment: usize) -> Received {
        let peer = Some("[::ffff:10.0.0.1]:9".parse().unwrap());
        Received { peer, len, segment, truncated: false }
    }

    #[test]
    fn gathered_datagrams_are_single_again() {
        let mut memory = vec![0; 3 * UDP_SLOT];
        for (index, byte) in memory.iter_mut().enumerate() {
            *byte = (index / UDP_SLOT * 16 + index % UDP_SLOT / 100) as u8;
        }
        let received = [one(250, 100), one(0, 0), one(100, 0)];
        let batch = Batch::new((&mut memory, &received));
        assert_eq!((batch.len(), batch.bytes()), (5, 350));
        let seen: Vec<(usize, Option<u8>)> =
            batch.map(|d| (d.bytes.len(), d.bytes.first().copied())).collect();
        let expected = [(100, Some(0)), (100, Some(1)), (50, Some(2)), (0, None), (100, Some(32))];
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_mapped_peer_has_its_own_address() {
        let mut memory = vec![0; UDP_SLOT];
        let received = [one(1, 0)];
        let datagram = Batch::new((&mut memory, &received)).next().unwrap();
        assert_eq!(datagram.peer, "10.0.0.1:9".parse().unwrap());
    }

    #[test]
    fn what_was_cut_off_is_not_shown() {
        let mut memory = vec![0; 3 * UDP_SLOT];
        let cut = Received { truncated: true, ..one(5, 0) };
        let nobody = Received { peer: None, ..one(6, 0) };
        let received = [cut, nobody, one(7, 0)];
        let batch = Batch::new((&mut memory, &received));
        assert_eq!(batch.len(), 1);
        assert_eq!(batch.map(|d| d.bytes.len()).collect::<Vec<_>>(), [7]);
    }

    proptest! {
        #[test]
        fn the_announced_number_comes(
            shape in prop::collection::vec((0..4000_usize, 0..1500_usize), 0..4)
        ) {
            let mut memory = vec![0; 4 * UDP_SLOT];
            let received: Vec<Received> =
                shape.iter().map(|&(len, segment)| one(len, segment)).collect();
            let mut batch = Batch::new((&mut memory, &received));
            let (mut datagrams, mut bytes) = (batch.len(), batch.bytes());
            while let Some(datagram) = batch.next() {
                datagrams -= 1;
                bytes -= datagram.bytes.len();
                prop_assert_eq!(batch.len(), datagrams);
            }
            prop_assert_eq!((datagrams, bytes), (0, 0));
        }
    }
}
