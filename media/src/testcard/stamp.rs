//! What a receiver reads off a video frame without decoding it: which stream, which frame, when made.
//!
//! A stamp is an SEI message of the kind H.264 keeps for private use (`user_data_unregistered`), in
//! a NAL unit of its own ahead of the picture. Its numbers are cut into groups of seven bits with
//! the top bit set. So no byte is zero, emulation prevention has nothing to change, and a stamp is
//! always the same 45 bytes: found by comparing, read without unescaping.

/// NAL type SEI, payload type 5, payload size; then what says that the rest is a stamp of this kind.
const HEAD: [u8; 19] = [
    6, 5, BODY as u8, b'w', b'e', b'i', b'r', b'-', b't', b'e', b's', b't', b'c', b'a', b'r', b'd',
    b'-', b's', b'1',
];
/// The name above, and groups of seven bits for the 32-bit stream and the two 64-bit numbers.
const BODY: usize = 16 + 5 + 10 + 10;
/// Bytes of the NAL unit: head, groups, stop bit.
pub(super) const NAL_LEN: usize = HEAD.len() + 25 + 1;

/// The mark every picture of a test card carries.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Stamp {
    /// The number given in [`Options::stream_index`](super::Options::stream_index).
    pub stream: u32,
    /// Pictures before this one.
    pub frame: u64,
    /// The time the caller gave for this picture, in microseconds of the caller's clock.
    pub micros: i64,
}

impl Stamp {
    /// The stamp of a frame, or nothing if it has none. `payload` is a frame's: NAL units behind
    /// four-byte lengths.
    #[must_use]
    pub fn find(payload: &[u8]) -> Option<Self> {
        let mut rest = payload;
        loop {
            let (len, after) = rest.split_first_chunk::<4>()?;
            let (nal, after) = after.split_at_checked(u32::from_be_bytes(*len) as usize)?;
            // Stamps are ahead of the picture, and pictures are long.
            if matches!(nal.first()? & 31, 1..=5) {
                return None;
            }
            if let Some(stamp) = Self::from_nal(nal) {
                return Some(stamp);
            }
            rest = after;
        }
    }

    /// The stamp that this NAL unit is, for receivers of formats without lengths (MPEG-TS, RTP).
    #[must_use]
    pub fn from_nal(nal: &[u8]) -> Option<Self> {
        let groups = nal.strip_prefix(&HEAD)?;
        let (stream, groups) = number(groups, 5)?;
        let (frame, groups) = number(groups, 10)?;
        let (micros, _) = number(groups, 10)?;
        Some(Self { stream: u32::try_from(stream).ok()?, frame, micros: micros.cast_signed() })
    }

    /// Appends the NAL unit behind its length.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(NAL_LEN as u32).to_be_bytes());
        out.extend_from_slice(&HEAD);
        groups(u64::from(self.stream), 5, out);
        groups(self.frame, 10, out);
        groups(self.micros.cast_unsigned(), 10, out);
        out.push(0x80);
    }
}

fn groups(value: u64, count: u32, out: &mut Vec<u8>) {
    out.extend((0..count).rev().map(|group| 0x80 | (value >> (7 * group)) as u8));
}

fn number(bytes: &[u8], count: usize) -> Option<(u64, &[u8])> {
    let (groups, rest) = bytes.split_at_checked(count)?;
    let value = groups.iter().try_fold(0_u64, |value, &group| {
        (group & 0x80 != 0).then_some((value << 7) | u64::from(group & 0x7f))
    })?;
    Some((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn found_as_written(stream: u32, frame: u64, micros: i64) {
            let stamp = Stamp { stream, frame, micros };
            // An access unit delimiter may come first, and the picture follows.
            let mut payload = vec![0, 0, 0, 2, 9, 0xf0];
            stamp.write(&mut payload);
            prop_assert_eq!(payload.len(), 6 + 4 + NAL_LEN);
            prop_assert!(!payload[10..].contains(&0));
            payload.extend_from_slice(&[0, 0, 0, 1, 0x65]);
            prop_assert_eq!(Stamp::find(&payload), Some(stamp));
            // Cut anywhere before its end, there is none, and nothing breaks.
            for cut in 0..6 + 4 + NAL_LEN {
                prop_assert_eq!(Stamp::find(&payload[..cut]), None);
            }
        }

        #[test]
        fn any_bytes_are_survived(payload: Vec<u8>) {
            let _ = Stamp::find(&payload);
        }
    }

    #[test]
    fn not_looked_for_behind_the_picture() {
        let mut payload = vec![0, 0, 0, 1, 0x41];
        Stamp { stream: 1, frame: 2, micros: 3 }.write(&mut payload);
        assert_eq!(Stamp::find(&payload), None);
        assert_eq!(Stamp::find(&[0xff, 0xff, 0xff, 0xff, 6, 5]), None);
    }
}
