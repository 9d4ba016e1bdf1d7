//! PES packets: what stands before an access unit, with its times.
//!
//! ```text
//! 00 00 01 | stream | length (2) | 10 flags | flags | bytes to come | PTS (5) | DTS (5) | payload
//! ```

use super::TsError;

/// Ticks at which times begin anew.
pub(super) const WRAP: i64 = 1 << 33;
/// Bytes that `PES_packet_length` says nothing of: itself and what stands before it.
const UNCOUNTED: usize = 6;
/// Bytes of a header without times.
const FIXED: usize = 9;
/// Bytes of a time.
const STAMP: usize = 5;

/// Values of `stream_id`.
pub(super) mod stream_id {
    pub const VIDEO: u8 = 0xe0;
    pub const AUDIO: u8 = 0xc0;
    pub const PRIVATE: u8 = 0xbd;
}

/// The header of a PES packet.
pub(super) struct Header {
    bytes: [u8; FIXED + 2 * STAMP],
    len: usize,
}

impl Header {
    /// Before `payload` bytes. Times are ticks that don't wrap; a time of decoding is only said where it
    /// differs. Packets that are too long for their length have none, which only pictures may.
    pub fn new(stream_id: u8, pts: i64, dts: i64, payload: usize) -> Self {
        let both = pts != dts;
        let times = if both { 2 * STAMP } else { STAMP };
        let len = FIXED + times;
        let length = u16::try_from(len - UNCOUNTED + payload).unwrap_or(0).to_be_bytes();
        // The payload begins with an access unit.
        let flags = 0x84;
        let said = if both { 0xc0 } else { 0x80 };
        let [p0, p1, p2, p3, p4] = stamp(if both { 3 } else { 2 }, pts);
        let [d0, d1, d2, d3, d4] = if both { stamp(1, dts) } else { [0; STAMP] };
        let [l0, l1] = length;
        let times_len = times as u8;
        #[rustfmt::skip]
        let bytes = [
            0, 0, 1, stream_id, l0, l1, flags, said, times_len, p0, p1, p2, p3, p4, d0, d1, d2, d3, d4,
        ];
        Self { bytes, len }
    }

    /// Most bytes of payload whose length can be said.
    pub const MOST: usize = u16::MAX as usize - (FIXED + 2 * STAMP - UNCOUNTED);

    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

fn stamp(mark: u8, ticks: i64) -> [u8; STAMP] {
    let byte = |shift: u32| (ticks >> shift) as u8;
    [mark << 4 | byte(29) & 0x0e | 1, byte(22), byte(14) | 1, byte(7), ((ticks << 1) as u8) | 1]
}

/// A PES packet that was received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Pes<'a> {
    /// Ticks modulo 2^33.
    pub pts: Option<i64>,
    /// Ticks modulo 2^33, where it is another than that of showing.
    pub dts: Option<i64>,
    pub payload: &'a [u8],
}

impl<'a> Pes<'a> {
    /// The length of a packet that begins with these bytes, with its header, as far as it is said: 0 where
    /// it ends with the beginning of the next.
    pub fn length(bytes: &[u8]) -> Option<usize> {
        let [_, _, _, _, high, low, ..] = bytes else { return None };
        Some(match u16::from_be_bytes([*high, *low]) {
            0 => 0,
            length => UNCOUNTED + usize::from(length),
        })
    }

    pub fn parse(bytes: &'a [u8], pid: u16) -> Result<Self, TsError> {
        let short = TsError::Short("PES packet");
        let [a, b, c, _, _, _, mark, flags, length, rest @ ..] = bytes else { return Err(short) };
        if [*a, *b, *c] != [0, 0, 1] || mark >> 6 != 2 {
            return Err(TsError::PesStart(pid, [*a, *b, *c, *mark]));
        }
        let (mut fields, payload) = rest.split_at_checked(usize::from(*length)).ok_or(short)?;
        let mut time = |said: bool| -> Result<Option<i64>, TsError> {
            if !said {
                return Ok(None);
            }
            let (stamp, after) = fields.split_first_chunk().ok_or(short)?;
            fields = after;
            Ok(Some(ticks(*stamp)))
        };
        let pts = time(flags & 0x80 != 0)?;
        let dts = time(flags & 0xc0 == 0xc0)?;
        Ok(Self { pts, dts, payload })
    }
}

fn ticks([a, b, c, d, e]: [u8; STAMP]) -> i64 {
    let [a, b, c, d, e] = [a, b, c, d, e].map(i64::from);
    (a & 0x0e) << 29 | b << 22 | (c & 0xfe) << 14 | d << 7 | e >> 1
}

/// Times of 33 bits as times that don't wrap: each is the nearest to the last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Widen {
    last: Option<i64>,
}

impl Widen {
    /// The next in sequence.
    pub fn next(&mut self, ticks: i64) -> i64 {
        let wide = self.last.map_or(ticks, |last| nearest(ticks, last));
        self.last = Some(wide);
        wide
    }
}

/// The time nearest to `to` that is `ticks` modulo 2^33.
pub(super) const fn nearest(ticks: i64, to: i64) -> i64 {
    let step = ticks.wrapping_sub(to).rem_euclid(WRAP);
    to.saturating_add(if step < WRAP / 2 { step } else { step - WRAP })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_header_to_the_letter() {
        let header = Header::new(stream_id::VIDEO, 90_000, 90_000, 100);
        let expected = [0, 0, 1, 0xe0, 0, 108, 0x84, 0x80, 5, 0x21, 0, 5, 0xbf, 0x21];
        assert_eq!(header.as_slice(), expected);
        let header = Header::new(stream_id::VIDEO, -1, 1, 70_000);
        let expected =
            [0, 0, 1, 0xe0, 0, 0, 0x84, 0xc0, 10, 0x3f, 0xff, 0xff, 0xff, 0xff, 0x11, 0, 1, 0, 3];
        assert_eq!(header.as_slice(), expected);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let header = Header::new(stream_id::AUDIO, 1, 2, 0);
        let bytes = header.as_slice();
        for cut in 0..bytes.len() {
            assert_eq!(Pes::parse(&bytes[..cut], 7), Err(TsError::Short("PES packet")));
        }
        assert_eq!(
            Pes::parse(&[0, 1, 1, 0xe0, 0, 0, 0x80, 0, 0], 257).unwrap_err().to_string(),
            "sender's PES packet on PID 257 begins with [00, 01, 01] and has marks 0x80, expected \
             [00, 00, 01] and 0x80 to 0xbf"
        );
    }

    proptest! {
        #[test]
        fn times_come_back(pts: i64, dts: i64, payload in 0_usize..100_000) {
            let header = Header::new(stream_id::AUDIO, pts, dts, payload);
            let mut bytes = header.as_slice().to_vec();
            bytes.resize(bytes.len() + payload, 9);
            let pes = Pes::parse(&bytes, 0).unwrap();
            prop_assert_eq!(pes.pts, Some(pts.rem_euclid(WRAP)));
            prop_assert_eq!(pes.dts, (pts != dts).then_some(dts.rem_euclid(WRAP)));
            prop_assert_eq!(pes.payload.len(), payload);
            let length = Pes::length(&bytes).unwrap();
            prop_assert!(length == bytes.len() || length == 0 && payload > Header::MOST);
        }

        #[test]
        fn times_are_widened(start: i64, steps in prop::collection::vec(-WRAP / 2..WRAP / 2, 1..20)) {
            let mut time = start.rem_euclid(WRAP);
            let mut widen = Widen::default();
            prop_assert_eq!(widen.next(time), time);
            for step in steps {
                time += step;
                prop_assert_eq!(widen.next(time.rem_euclid(WRAP)), time);
            }
        }
    }
}
