//! Where the packets of a log are.

use std::collections::VecDeque;

use media::Time;

use crate::limits;

/// One packet: a frame, a configuration or metadata, with its framing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packet {
    /// Where it begins.
    pub at: u64,
    /// Its time.
    pub time: Time,
    /// How long it lasts, in microseconds, where it is more than a frame.
    pub span: u32,
    /// Which configurations are in force from it on.
    pub epoch: u32,
    /// The segment it belongs to.
    pub segment: u32,
    /// A player can begin with it.
    pub is_entry: bool,
    /// Of an entry of a transport stream: the continuity counters before it.
    pub counters: u16,
}

/// Where a segment begins, whether there is a packet of it or not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Begin {
    /// Its number.
    pub number: u32,
    /// When it begins.
    pub time: Time,
    /// The generation it is of.
    pub generation: u32,
}

/// The packets a log keeps, in order, one behind the other.
#[derive(Debug, Default)]
pub struct Index {
    packets: VecDeque<Packet>,
    head: u64,
    /// Positions of entries among the packets.
    entries: VecDeque<u64>,
    /// The first packet of each segment.
    segments: VecDeque<Packet>,
    /// All segments from the first of these on, those without a packet included.
    begins: VecDeque<Begin>,
}

impl Index {
    /// Adds a packet, which ends at `head`.
    pub fn push(&mut self, packet: Packet, head: u64) {
        if packet.is_entry {
            self.entries.push_back(packet.at);
        }
        if self.segments.back().is_none_or(|last| last.segment != packet.segment) {
            self.segments.push_back(packet);
        }
        self.packets.push_back(packet);
        self.head = head;
    }

    /// A segment begins.
    pub fn begin(&mut self, begin: Begin) {
        self.begins.push_back(begin);
        if self.begins.len() > limits::BEGINS {
            self.begins.pop_front();
        }
    }

    /// Adds packets, of which the last ends at `head`.
    pub fn extend(&mut self, packets: &[Packet], head: u64) {
        for packet in packets {
            self.push(*packet, head);
        }
        self.head = head;
    }

    /// Forgets the packets that begin before `tail`.
    pub fn forget_before(&mut self, tail: u64) {
        while self.packets.front().is_some_and(|packet| packet.at < tail) {
            self.packets.pop_front();
        }
        while self.entries.front().is_some_and(|at| *at < tail) {
            self.entries.pop_front();
        }
        // A segment that has lost its beginning is none any more.
        while self.segments.front().is_some_and(|first| first.at < tail) {
            self.segments.pop_front();
        }
        let first = self.segments.front().map(|first| first.segment);
        while self.begins.front().is_some_and(|begin| Some(begin.number) < first) {
            self.begins.pop_front();
        }
    }

    /// Where the last packet ends.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// Where the first packet begins.
    pub fn tail(&self) -> u64 {
        self.packets.front().map_or(self.head, |packet| packet.at)
    }

    /// How many packets there are.
    pub fn count(&self) -> usize {
        self.packets.len()
    }

    /// The time of the last packet.
    pub fn newest(&self) -> Option<Time> {
        self.packets.back().map(|packet| packet.time)
    }

    /// The newest packet a player can begin with, at `from` or behind it.
    pub fn newest_entry(&self, from: u64) -> Option<Packet> {
        let at = self.entries.back().filter(|at| **at >= from)?;
        self.packets.get(self.place(*at)).copied()
    }

    /// The packet that begins at `at` or is the first behind it.
    pub fn next_packet(&self, at: u64) -> Option<Packet> {
        self.packets.get(self.place(at)).copied()
    }

    /// The packet that `at` lies in, or that begins there.
    pub fn packet_around(&self, at: u64) -> Option<Packet> {
        let place = self.packets.partition_point(|packet| packet.at <= at);
        place.checked_sub(1).and_then(|place| self.packets.get(place)).copied()
    }

    /// Where the packet ends that `at` lies in; `at` itself where a packet begins or the log ends.
    pub fn boundary(&self, at: u64) -> u64 {
        self.next_packet(at).map_or(self.head, |packet| packet.at)
    }

    /// Where the packets begin that are younger than `span` before the newest one.
    pub fn begin_of_last(&self, span: i64) -> u64 {
        let Some(newest) = self.newest() else { return self.head };
        // Sound and pictures are not quite in the order of their times; a packet more or less is all
        // that comes of it.
        let bound = Time(newest.0.saturating_sub(span));
        let place = self.packets.partition_point(|packet| packet.time < bound);
        self.packets.get(place).map_or(self.head, |packet| packet.at)
    }

    /// The packets from `at` on.
    pub fn packets_from(&self, at: u64) -> impl Iterator<Item = &Packet> {
        self.packets.range(self.place(at)..)
    }

    /// The first packets of the segments that are whole, and of the one that still grows.
    pub fn segments(&self) -> &VecDeque<Packet> {
        &self.segments
    }

    /// Where segments begin, from the first that has a packet on.
    pub fn begins(&self) -> &VecDeque<Begin> {
        &self.begins
    }

    /// Where the last `count` segments begin.
    pub fn begin_of_segments(&self, count: usize) -> u64 {
        let place = self.segments.len().saturating_sub(count);
        self.segments.get(place).map_or(self.head, |first| first.at)
    }

    /// The first packet of a segment, and of the one behind it.
    pub fn segment(&self, number: u32) -> Option<(Packet, Option<Packet>)> {
        let place = self.segments.iter().position(|first| first.segment == number)?;
        Some((*self.segments.get(place)?, self.segments.get(place + 1).copied()))
    }

    fn place(&self, at: u64) -> usize {
        self.packets.partition_point(|packet| packet.at < at)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn index(lens: &[u64]) -> Index {
        let mut index = Index::default();
        let mut at = 0;
        for (i, len) in lens.iter().enumerate() {
            let time = Time::from_millis(i as i64 * 10);
            let packet = Packet {
                at,
                time,
                span: 0,
                epoch: 0,
                segment: i as u32 / 7,
                is_entry: i % 5 == 0,
                counters: 0,
            };
            at += len;
            index.push(packet, at);
        }
        index
    }

    #[test]
    fn an_empty_log_is_all_head() {
        let index = Index::default();
        assert_eq!((index.tail(), index.boundary(7), index.begin_of_last(9)), (0, 0, 0));
        assert!(index.newest_entry(0).is_none() && index.packet_around(0).is_none());
    }

    proptest! {
        #[test]
        fn what_is_asked_of_it_agrees_with_a_list(
            lens in prop::collection::vec(1..50_u64, 1..60),
            forget in 0..2000_u64,
            at in 0..3000_u64,
            span in 0..700_i64,
        ) {
            let mut index = index(&lens);
            index.forget_before(forget);
            let head: u64 = lens.iter().sum();
            prop_assert_eq!(index.head(), head);
            let starts: Vec<u64> = lens.iter().scan(0, |at, len| { *at += len; Some(*at - len) }).collect();
            let kept: Vec<(usize, u64)> =
                starts.iter().copied().enumerate().filter(|(_, at)| *at >= forget).collect();
            prop_assert_eq!(index.count(), kept.len());
            prop_assert_eq!(index.tail(), kept.first().map_or(head, |(_, at)| *at));
            prop_assert_eq!(
                index.boundary(at),
                kept.iter().find(|(_, start)| *start >= at).map_or(head, |(_, at)| *at)
            );
            prop_assert_eq!(
                index.newest_entry(at).map(|packet| packet.at),
                kept.iter().rev().find(|(i, _)| i % 5 == 0).map(|(_, at)| *at).filter(|start| *start >= at)
            );
            prop_assert_eq!(
                index.packet_around(at).map(|packet| packet.at),
                kept.iter().rev().find(|(_, start)| *start <= at).map(|(_, at)| *at)
            );
            let begun: Vec<(u32, u64)> = kept
                .iter()
                .filter(|(i, _)| i % 7 == 0)
                .map(|(i, at)| (*i as u32 / 7, *at))
                .collect();
            let segments: Vec<(u32, u64)> =
                index.segments().iter().map(|first| (first.segment, first.at)).collect();
            prop_assert_eq!(segments, begun);
            let newest = (lens.len() - 1) as i64 * 10;
            prop_assert_eq!(
                index.begin_of_last(span * 1000),
                kept.iter().find(|(i, _)| *i as i64 * 10 >= newest - span).map_or(head, |(_, at)| *at)
            );
        }
    }
}
