//! Packets of 188 bytes: a header, an adaptation field where there is something to say or to fill, payload.
//!
//! ```text
//! 47 | error start priority PID (13) | scrambling field payload counter (4) | field | payload
//!                                      field: length | flags | PCR (6) | ff ff ff
//! ```

use super::TsError;

/// Bytes of a packet.
pub const PACKET: usize = 188;
const SYNC: u8 = 0x47;
/// Bytes behind a packet's header.
const ROOM: usize = PACKET - 4;
/// Bytes of an adaptation field: its length and its flags, and a PCR.
const FLAGS: usize = 2;
const PCR: usize = 6;
const STUFFING: [u8; ROOM] = [0xff; ROOM];

/// The last continuity counter of a PID.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Counter(u8);

impl Default for Counter {
    /// As if 15 had been the last, so that 0 is the first.
    fn default() -> Self {
        Self(15)
    }
}

impl Counter {
    /// In four bits.
    pub(super) const fn bits(self) -> u16 {
        self.0 as u16
    }

    /// From the lowest four bits.
    pub(super) const fn of_bits(bits: u16) -> Self {
        Self((bits & 15) as u8)
    }

    const fn next(&mut self) -> u8 {
        self.0 = (self.0 + 1) & 15;
        self.0
    }
}

/// What an adaptation field says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Marks {
    /// A decoder can begin here.
    pub random_access: bool,
    /// Counters, or with a PCR time, don't follow what came before.
    pub discontinuity: bool,
    /// The clock, in ticks of 90 kHz that don't wrap.
    pub pcr: Option<i64>,
}

impl Marks {
    const fn len(self) -> usize {
        match self {
            Self { pcr: Some(_), .. } => FLAGS + PCR,
            Self { random_access: false, discontinuity: false, .. } => 0,
            Self { .. } => FLAGS,
        }
    }

    /// Writes a field of `len` bytes, which has room for what is said.
    fn write(self, len: usize, out: &mut Vec<u8>) {
        let Some(length) = len.checked_sub(1) else { return };
        out.push(length as u8);
        if length == 0 {
            return;
        }
        out.push(
            u8::from(self.discontinuity) << 7
                | u8::from(self.random_access) << 6
                | u8::from(self.pcr.is_some()) << 4,
        );
        if let Some(ticks) = self.pcr {
            // 33 bits of 90 kHz, six reserved ones, nine bits of 27 MHz which are 0.
            let [_, _, bytes @ ..] =
                ((ticks as u64) << 15 & 0xffff_ffff_8000 | 0x7e00).to_be_bytes();
            out.extend_from_slice(&bytes);
        }
        stuff(len.saturating_sub(self.len().max(FLAGS)), out);
    }
}

fn stuff(len: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(STUFFING.get(..len).unwrap_or(&STUFFING));
}

fn header(pid: u16, starts: bool, control: u8, counter: u8, out: &mut Vec<u8>) {
    let [high, low] = pid.to_be_bytes();
    let start = u8::from(starts) << 6;
    out.extend_from_slice(&[SYNC, start | high & 0x1f, low, control << 4 | counter]);
}

/// Cuts something of known length, a PES packet, into packets that are written straight behind others.
pub(super) struct Cut<'a> {
    pid: u16,
    counter: &'a mut Counter,
    /// What the first packet says, until it is written.
    first: Option<Marks>,
    /// Bytes to come.
    left: usize,
    /// Bytes that fit into the packet that has begun.
    room: usize,
    out: &'a mut Vec<u8>,
}

impl<'a> Cut<'a> {
    /// Begins with something of `len` bytes. All of them have to be written.
    pub fn begin(
        pid: u16,
        counter: &'a mut Counter,
        marks: Marks,
        len: usize,
        out: &'a mut Vec<u8>,
    ) -> Self {
        out.reserve((len + marks.len()).div_ceil(ROOM).saturating_mul(PACKET));
        Self { pid, counter, first: Some(marks), left: len, room: 0, out }
    }

    /// Writes the next of its bytes.
    pub fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.room == 0 {
                self.packet();
            }
            let (now, later) = bytes.split_at(self.room.min(bytes.len()));
            self.out.extend_from_slice(now);
            self.room -= now.len();
            self.left = self.left.saturating_sub(now.len());
            bytes = later;
        }
    }

    /// Begins a packet. The last one is filled by its adaptation field.
    fn packet(&mut self) {
        let starts = self.first.is_some();
        let marks = self.first.take().unwrap_or_default();
        debug_assert!(self.left > 0, "more is written than was said");
        self.room = self.left.clamp(1, ROOM - marks.len());
        let field = ROOM - self.room;
        let control = if field == 0 { 1 } else { 3 };
        header(self.pid, starts, control, self.counter.next(), self.out);
        marks.write(field, self.out);
    }
}

/// Writes a packet that has nothing but an adaptation field; such packets are not counted.
pub(super) fn field_alone(pid: u16, counter: Counter, marks: Marks, out: &mut Vec<u8>) {
    header(pid, false, 2, counter.0, out);
    marks.write(ROOM, out);
}

/// Writes a section that fits into one packet, filled up as tables are.
pub(super) fn section(pid: u16, counter: &mut Counter, section: &[u8], out: &mut Vec<u8>) {
    debug_assert!(section.len() < ROOM, "tables here fit into a packet");
    header(pid, true, 1, counter.next(), out);
    out.push(0);
    out.extend_from_slice(section);
    stuff(ROOM.saturating_sub(1 + section.len()), out);
}

/// A packet that was received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Packet<'a> {
    pub pid: u16,
    /// A section or a PES packet begins in it.
    pub starts: bool,
    pub counter: u8,
    pub random_access: bool,
    pub discontinuity: bool,
    /// Packets with an adaptation field alone have none.
    pub payload: Option<&'a [u8]>,
}

impl<'a> Packet<'a> {
    /// Reads a packet; nothing, if it is damaged, scrambled or of a kind there isn't.
    pub fn parse(packet: &'a [u8; PACKET]) -> Result<Option<Self>, TsError> {
        let [sync, high, low, control, rest @ ..] = packet;
        if *sync != SYNC {
            return Err(TsError::Sync(*sync));
        }
        let (damaged, scrambled) = (high & 0x80 != 0, control & 0xc0 != 0);
        if damaged || scrambled || control & 0x30 == 0 {
            return Ok(None);
        }
        let (field, rest) = if control & 0x20 == 0 {
            (&[][..], &rest[..])
        } else {
            let (length, rest) = rest.split_first().ok_or(TsError::Adaptation(0))?;
            rest.split_at_checked(usize::from(*length)).ok_or(TsError::Adaptation(*length))?
        };
        let flags = field.first().copied().unwrap_or_default();
        Ok(Some(Self {
            pid: u16::from_be_bytes([high & 0x1f, *low]),
            starts: high & 0x40 != 0,
            counter: control & 15,
            random_access: flags & 0x40 != 0,
            discontinuity: flags & 0x80 != 0,
            payload: (control & 0x10 != 0).then_some(rest),
        }))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_packet_to_the_letter() {
        let (mut out, mut counter) = (Vec::new(), Counter::default());
        let marks = Marks {
            random_access: true,
            discontinuity: false,
            pcr: Some(0x1_2345_6789 - (1 << 33)),
        };
        let mut cut = Cut::begin(0x101, &mut counter, marks, 170, &mut out);
        cut.write(&[7; 100]);
        cut.write(&[8; 70]);
        assert_eq!(out.len(), PACKET);
        let pcr = [0x91, 0xa2, 0xb3, 0xc4, 0xfe, 0];
        let before = [&[0x47, 0x41, 0x01, 0x30, 13, 0x50][..], &pcr, &[0xff; 6]].concat();
        assert_eq!(out[..18], before);
        assert_eq!(out[18..], [&[7; 100][..], &[8; 70]].concat());
    }

    #[test]
    fn what_is_wrong_is_said() {
        let mut packet = [0xff; PACKET];
        assert_eq!(
            Packet::parse(&packet).unwrap_err().to_string(),
            "sender's TS packet begins with 0xff, expected 0x47"
        );
        (packet[0], packet[1], packet[3]) = (SYNC, 0x1f, 0x30);
        packet[4] = 184;
        assert_eq!(
            Packet::parse(&packet).unwrap_err().to_string(),
            "sender's TS packet has adaptation_field_length 184, expected at most 183"
        );
        packet[4] = 183;
        assert_eq!(Packet::parse(&packet).unwrap().unwrap().payload, Some(&[][..]));
        for (high, control) in [(0x9f, 0x10), (0x1f, 0xd0), (0x1f, 0)] {
            (packet[1], packet[3]) = (high, control);
            assert_eq!(Packet::parse(&packet), Ok(None));
        }
    }

    proptest! {
        #[test]
        fn any_length_fills_whole_packets_and_comes_back(
            len in 1_usize..1000,
            random_access: bool,
            discontinuity: bool,
            pcr in prop::option::of(any::<i64>()),
        ) {
            let bytes: Vec<u8> = (0..len).map(|at| at as u8).collect();
            let (mut out, mut counter) = (Vec::new(), Counter(3));
            let marks = Marks { random_access, discontinuity, pcr };
            let mut cut = Cut::begin(0x1abc, &mut counter, marks, len, &mut out);
            bytes.chunks(77).for_each(|piece| cut.write(piece));
            prop_assert_eq!(out.len() % PACKET, 0);
            let mut back = Vec::new();
            for (number, packet) in out.chunks(PACKET).enumerate() {
                let packet = Packet::parse(packet.first_chunk().unwrap()).unwrap().unwrap();
                prop_assert_eq!((packet.pid, packet.starts), (0x1abc, number == 0));
                prop_assert_eq!(usize::from(packet.counter), (4 + number) % 16);
                prop_assert_eq!(packet.random_access, random_access && number == 0);
                prop_assert_eq!(packet.discontinuity, discontinuity && number == 0);
                back.extend_from_slice(packet.payload.unwrap());
            }
            prop_assert_eq!(back, bytes);
        }
    }
}
