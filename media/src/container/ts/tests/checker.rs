//! Looks at packets bit by bit, with nothing of what wrote them.

use std::collections::BTreeMap;

/// What a stream showed.
#[derive(Debug, Default)]
pub struct Seen {
    /// The last counter of each PID.
    counters: BTreeMap<u16, u8>,
    /// The clock's values as they came, and whether each began anew.
    pub clocks: Vec<(u64, bool)>,
    /// PID and time of decoding of each PES packet.
    pub units: Vec<(u16, u64)>,
    /// Packets of each PID.
    pub packets: BTreeMap<u16, usize>,
    /// Versions of the PMT.
    pub versions: Vec<u8>,
}

fn stamp(bytes: &[u8]) -> u64 {
    for at in [0, 2, 4] {
        assert_eq!(bytes[at] & 1, 1, "marker bits of a time");
    }
    let wide = |at: usize| u64::from(bytes[at]);
    (wide(0) >> 1 & 7) << 30 | wide(1) << 22 | wide(2) >> 1 << 15 | wide(3) << 7 | wide(4) >> 1
}

impl Seen {
    /// Goes through all packets; each has to follow the one before it.
    pub fn of(bytes: &[u8]) -> Self {
        let mut seen = Self::default();
        seen.go_on(bytes);
        seen
    }

    pub fn go_on(&mut self, bytes: &[u8]) {
        assert_eq!(bytes.len() % 188, 0, "whole packets");
        bytes.chunks(188).for_each(|packet| self.packet(packet));
    }

    fn packet(&mut self, packet: &[u8]) {
        assert_eq!(packet[0], 0x47);
        assert_eq!(packet[1] & 0xa0, 0, "no error, no priority");
        let pid = u16::from(packet[1] & 0x1f) << 8 | u16::from(packet[2]);
        let (field, has_payload) = (packet[3] & 0x20 != 0, packet[3] & 0x10 != 0);
        assert_eq!(packet[3] & 0xc0, 0, "not scrambled");
        let counter = packet[3] & 15;
        *self.packets.entry(pid).or_default() += 1;
        let mut payload = 4;
        let mut discontinuity = false;
        if field {
            let length = usize::from(packet[4]);
            assert!(if has_payload { length <= 182 } else { length == 183 });
            payload = 5 + length;
            if length > 0 {
                let flags = packet[5];
                assert_eq!(flags & 0x2f, 0, "only what is known");
                discontinuity = flags & 0x80 != 0;
                let mut at = 6;
                if flags & 0x10 != 0 {
                    let bytes =
                        packet[6..12].iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
                    assert_eq!(bytes & 0x7fff, 0x7e00, "reserved bits, no extension");
                    self.clocks.push((bytes >> 15, discontinuity));
                    at += 6;
                }
                assert!(packet[at..payload].iter().all(|byte| *byte == 0xff), "stuffing");
            }
        }
        let last = self.counters.insert(pid, counter);
        match last {
            Some(last) if !discontinuity || has_payload => {
                let expected = if has_payload { (last + 1) % 16 } else { last };
                assert_eq!(counter, expected, "continuity on {pid}");
            }
            _ => {}
        }
        if !has_payload || packet[1] & 0x40 == 0 {
            return;
        }
        let payload = &packet[payload..];
        if pid == 0x1000 {
            assert_eq!(payload[..2], [0, 2]);
            self.versions.push(payload[6] >> 1 & 31);
        } else if pid != 0 {
            assert_eq!(payload[..3], [0, 0, 1]);
            let pts = stamp(&payload[9..14]);
            let both = payload[7] & 0x40 != 0;
            let dts = if both { stamp(&payload[14..19]) } else { pts };
            let (clock, _) = self.clocks.last().unwrap();
            let ahead = dts.wrapping_sub(*clock) & ((1 << 33) - 1);
            assert!(ahead < 90_000, "decoded {ahead} ticks after the clock");
            self.units.push((pid, dts));
        }
    }

    /// The longest step of the clock, in ticks.
    pub fn longest_step(&self) -> u64 {
        let steps = self.clocks.windows(2).filter(|two| !two[1].1);
        steps.map(|two| two[1].0.wrapping_sub(two[0].0) & ((1 << 33) - 1)).max().unwrap_or_default()
    }
}
