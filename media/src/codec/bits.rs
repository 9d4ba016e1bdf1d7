//! Reading bits a sender wrote, and saying what is wrong with them.

use thiserror::Error;

/// Which part of which codec's bytes is broken, and how. The sender is at fault: whoever publishes, or
/// the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("sender's {codec} {part} {fault}")]
pub struct CodecError {
    /// The codec, by the name people use.
    pub codec: &'static str,
    /// The part of its bytes, by the name its standard uses.
    pub part: &'static str,
    /// What is wrong with the part.
    pub fault: Fault,
}

/// What is wrong with a part.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum Fault {
    /// Fields say there is more of it than there is.
    #[error("ends too early")]
    Short,
    /// A field no decoder understands.
    #[error("has {field} {found}, expected {expected}")]
    Field {
        /// The field, by the name its standard uses.
        field: &'static str,
        /// Its value.
        found: u64,
        /// Which values there are.
        expected: &'static str,
    },
    /// Nothing can be decoded without it.
    #[error("has no {0}")]
    Missing(&'static str),
}

/// Reads one part from its first bit to its last, never past it.
///
/// Emulation prevention bytes (the 3 in 0 0 3) are passed over while reading, so that no copy without
/// them is made.
#[derive(Clone, Debug)]
pub struct BitReader<'a> {
    codec: &'static str,
    part: &'static str,
    /// Bytes not begun.
    rest: &'a [u8],
    /// The byte begun, of which the lowest `left` bits are unread.
    byte: u8,
    left: u32,
    /// Zero bytes just before `rest`.
    zeros: u32,
    escaped: bool,
}

impl<'a> BitReader<'a> {
    /// Reads bytes as they are.
    #[must_use]
    pub const fn new(codec: &'static str, part: &'static str, bytes: &'a [u8]) -> Self {
        Self { codec, part, rest: bytes, byte: 0, left: 0, zeros: 0, escaped: false }
    }

    /// Reads a NAL unit, without its emulation prevention bytes.
    #[must_use]
    pub const fn escaped(codec: &'static str, part: &'static str, nal: &'a [u8]) -> Self {
        Self { escaped: true, ..Self::new(codec, part, nal) }
    }

    /// An error about the part being read.
    #[must_use]
    pub const fn error(&self, fault: Fault) -> CodecError {
        CodecError { codec: self.codec, part: self.part, fault }
    }

    /// The value, if it is one that exists.
    ///
    /// # Errors
    /// The field's fault.
    pub fn check(
        &self,
        exists: bool,
        field: &'static str,
        value: u32,
        expected: &'static str,
    ) -> Result<u32, CodecError> {
        if exists {
            return Ok(value);
        }
        Err(self.error(Fault::Field { field, found: u64::from(value), expected }))
    }

    fn begin_byte(&mut self) -> Result<(), CodecError> {
        let short = self.error(Fault::Short);
        let (mut byte, mut rest) = self.rest.split_first().ok_or(short)?;
        if self.escaped && self.zeros >= 2 && *byte == 3 {
            (byte, rest) = rest.split_first().ok_or(short)?;
            self.zeros = 0;
        }
        self.zeros = if *byte == 0 { self.zeros.saturating_add(1) } else { 0 };
        (self.byte, self.rest, self.left) = (*byte, rest, 8);
        Ok(())
    }

    /// The next `count` bits, 32 at most, the first one highest.
    ///
    /// # Errors
    /// The part ends before.
    pub fn read(&mut self, count: u32) -> Result<u32, CodecError> {
        debug_assert!(count <= 32, "a u32 has 32 bits");
        let mut value = 0_u64;
        let mut wanted = count;
        while wanted > 0 {
            if self.left == 0 {
                self.begin_byte()?;
            }
            let taken = wanted.min(self.left);
            self.left -= taken;
            wanted -= taken;
            let bits = (u32::from(self.byte) >> self.left) & ((1 << taken) - 1);
            value = (value << taken) | u64::from(bits);
        }
        Ok(value as u32)
    }

    /// The next bit.
    ///
    /// # Errors
    /// The part ends before.
    pub fn flag(&mut self) -> Result<bool, CodecError> {
        Ok(self.read(1)? == 1)
    }

    /// The next 8 bits.
    ///
    /// # Errors
    /// The part ends before.
    pub fn byte(&mut self) -> Result<u8, CodecError> {
        Ok(self.read(8)? as u8)
    }

    /// Passes over bits.
    ///
    /// # Errors
    /// The part ends before.
    pub fn skip(&mut self, mut count: u32) -> Result<(), CodecError> {
        while count > 0 {
            let step = count.min(32);
            self.read(step)?;
            count -= step;
        }
        Ok(())
    }

    /// An unsigned Exp-Golomb code, ue(v).
    ///
    /// # Errors
    /// The part ends before, or it is a number of more than 32 bits.
    pub fn ue(&mut self) -> Result<u32, CodecError> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            self.check(zeros < 32, "leading zeros of ue(v)", zeros, "at most 31")?;
        }
        Ok(((1 << zeros) - 1) + self.read(zeros)?)
    }

    /// A signed Exp-Golomb code, se(v).
    ///
    /// # Errors
    /// As [`Self::ue`].
    pub fn se(&mut self) -> Result<i32, CodecError> {
        let code = self.ue()?;
        let magnitude = (code / 2 + code % 2) as i32;
        Ok(if code % 2 == 1 { magnitude } else { -magnitude })
    }

    /// An Exp-Golomb code that counts or names something.
    ///
    /// # Errors
    /// As [`Self::ue`], or more than `max`.
    pub fn ue_to(
        &mut self,
        max: u32,
        field: &'static str,
        expected: &'static str,
    ) -> Result<u32, CodecError> {
        let value = self.ue()?;
        self.check(value <= max, field, value, expected)
    }

    /// Whole bytes, from the next byte on.
    ///
    /// # Errors
    /// The part ends before.
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], CodecError> {
        self.left = 0;
        let (bytes, rest) =
            self.rest.split_at_checked(count).ok_or_else(|| self.error(Fault::Short))?;
        (self.rest, self.zeros) = (rest, 0);
        Ok(bytes)
    }

    /// The bytes not begun.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Bits left, with those of emulation prevention.
    #[must_use]
    pub const fn bits_left(&self) -> usize {
        self.rest.len().saturating_mul(8).saturating_add(self.left as usize)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reader(bytes: &[u8]) -> BitReader<'_> {
        BitReader::new("test", "bits", bytes)
    }

    #[test]
    fn bits_come_highest_first_and_end() {
        let mut bits = reader(&[0b1010_0001, 0xff, 0x00]);
        assert_eq!(bits.read(3).unwrap(), 0b101);
        assert_eq!(bits.read(9).unwrap(), 0b0_0001_1111);
        assert_eq!(bits.bits_left(), 12);
        assert_eq!(bits.read(0).unwrap(), 0);
        assert_eq!(bits.read(13).unwrap_err().to_string(), "sender's test bits ends too early");
    }

    #[test]
    fn exp_golomb_as_the_standard_lists_it() {
        // 1, 010, 011, 00100, 00101
        let mut bits = reader(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        let codes: Vec<u32> = (0..5).map(|_| bits.ue().unwrap()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4]);
        let mut bits = reader(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        let codes: Vec<i32> = (0..5).map(|_| bits.se().unwrap()).collect();
        assert_eq!(codes, [0, 1, -1, 2, -2]);
        // The longest: 31 zeros, a one and 31 ones.
        let mut bits = reader(&[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xfe]);
        assert_eq!(bits.ue().unwrap(), u32::MAX - 1);
        assert!(matches!(
            reader(&[0, 0, 0, 0, 0xff]).ue().unwrap_err().fault,
            Fault::Field { found: 32, .. }
        ));
    }

    #[test]
    fn emulation_prevention_is_passed_over() {
        let nal = [0, 0, 3, 1, 0, 0, 3, 0, 0, 3, 3, 0, 0, 3];
        let mut bits = BitReader::escaped("test", "nal", &nal);
        let read: Vec<u8> = std::iter::from_fn(|| bits.byte().ok()).collect();
        assert_eq!(read, [0, 0, 1, 0, 0, 0, 0, 3, 0, 0]);
    }

    fn escape(bytes: &[u8]) -> Vec<u8> {
        let (mut out, mut zeros) = (Vec::new(), 0);
        for byte in bytes {
            if zeros == 2 && *byte <= 3 {
                out.push(3);
                zeros = 0;
            }
            zeros = if *byte == 0 { zeros + 1 } else { 0 };
            out.push(*byte);
        }
        out
    }

    proptest! {
        #[test]
        fn escaped_bytes_read_as_they_were(bytes in prop::collection::vec(0_u8..5, 0..64)) {
            let nal = escape(&bytes);
            let mut bits = BitReader::escaped("test", "nal", &nal);
            for byte in &bytes {
                prop_assert_eq!(bits.byte().unwrap(), *byte);
            }
            prop_assert!(bits.flag().is_err());
        }

        #[test]
        fn any_cut_of_bits_gives_the_same_number(value: u64, cuts in prop::collection::vec(0_u32..=32, 0..12)) {
            let bytes = value.to_be_bytes();
            let mut bits = reader(&bytes);
            let (mut read, mut total) = (0_u64, 0);
            for cut in cuts.into_iter().take_while(|cut| { total += cut; total <= 64 }) {
                read = ((u128::from(read) << cut) as u64) | u64::from(bits.read(cut).unwrap());
            }
            let left = bits.bits_left() as u32;
            prop_assert_eq!(read, value.checked_shr(left).unwrap_or(0));
        }
    }
}
