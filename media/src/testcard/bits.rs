//! Bits to bytes, most significant first, as H.264 and AAC want them.

/// A growing row of bits. Complete 32-bit groups are in `bytes`, the rest waits in `held`.
#[derive(Debug, Default)]
pub(super) struct Bits {
    bytes: Vec<u8>,
    held: u64,
    holding: u32,
}

impl Bits {
    /// Forgets everything but the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.held = 0;
        self.holding = 0;
    }

    /// The low `count` bits of `value`, at most 32; the bits above them have to be zero.
    pub fn put(&mut self, value: u32, count: u32) {
        debug_assert!(count <= 32 && u64::from(value) >> count == 0);
        self.held = (self.held << count) | u64::from(value);
        self.holding += count;
        if self.holding >= 32 {
            self.holding -= 32;
            let group = (self.held >> self.holding) as u32;
            self.bytes.extend_from_slice(&group.to_be_bytes());
            self.held &= (1 << self.holding) - 1;
        }
    }

    /// One bit.
    pub fn flag(&mut self, value: bool) {
        self.put(u32::from(value), 1);
    }

    /// Unsigned Exp-Golomb, `ue(v)`. Values here stay below 2^31.
    pub fn ue(&mut self, value: u32) {
        let code = value + 1;
        let zeros = code.ilog2();
        if zeros < 16 {
            // The zeros and the code at once.
            self.put(code, 2 * zeros + 1);
        } else {
            self.put(0, zeros);
            self.put(code, zeros + 1);
        }
    }

    /// Signed Exp-Golomb, `se(v)`.
    pub fn se(&mut self, value: i32) {
        let magnitude = value.unsigned_abs() * 2;
        self.ue(if value > 0 { magnitude - 1 } else { magnitude });
    }

    /// How many bits there are.
    pub fn len(&self) -> usize {
        self.bytes.len() * 8 + self.holding as usize
    }

    /// Zeros up to the next whole byte.
    pub fn align(&mut self) {
        self.put(0, self.holding.wrapping_neg() % 8);
    }

    /// The stop bit of H.264 and zeros up to a whole byte.
    pub fn stop(&mut self) {
        self.put(1, 1);
        self.align();
    }

    /// Everything written, which has to be whole bytes.
    pub fn finish(&mut self) -> &[u8] {
        debug_assert!(self.holding.is_multiple_of(8));
        while self.holding > 0 {
            self.holding -= 8;
            self.bytes.push((self.held >> self.holding) as u8);
        }
        self.held = 0;
        &self.bytes
    }
}

/// Appends `raw` with a 3 put between two zeros and a byte below 4, so that no start code occurs
/// inside a NAL unit.
pub(super) fn escape(raw: &[u8], out: &mut Vec<u8>) {
    let mut zeros = 0;
    for &byte in raw {
        if zeros >= 2 && byte <= 3 {
            out.push(3);
            zeros = 0;
        }
        out.push(byte);
        zeros = if byte == 0 { zeros + 1 } else { 0 };
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Takes the emulation prevention out again.
    pub fn unescape(nal: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut zeros = 0;
        for &byte in nal {
            if zeros >= 2 && byte == 3 {
                zeros = 0;
                continue;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            out.push(byte);
        }
        out
    }

    /// What a decoder reads with.
    pub struct Reader<'a>(pub &'a [u8], pub usize);

    impl Reader<'_> {
        pub fn bit(&mut self) -> u32 {
            let bit = (self.0[self.1 / 8] >> (7 - self.1 % 8)) & 1;
            self.1 += 1;
            u32::from(bit)
        }

        pub fn take(&mut self, count: u32) -> u32 {
            (0..count).fold(0, |value, _| (value << 1) | self.bit())
        }

        pub fn ue(&mut self) -> u32 {
            let mut zeros = 0;
            while self.bit() == 0 {
                zeros += 1;
            }
            (1 << zeros) - 1 + self.take(zeros)
        }

        pub fn se(&mut self) -> i32 {
            let code = self.ue() as i32;
            if code % 2 == 1 { (code + 1) / 2 } else { -code / 2 }
        }
    }

    #[test]
    fn exp_golomb_as_the_standard_lists_it() {
        let mut bits = Bits::default();
        for value in 0..5 {
            bits.ue(value);
        }
        for value in [0, 1, -1, 2, -2] {
            bits.se(value);
        }
        bits.stop();
        // 1 010 011 00100 00101, twice, then 1 and zeros.
        assert_eq!(bits.len(), 40);
        assert_eq!(
            bits.finish(),
            [0b1010_0110, 0b0100_0010, 0b1101_0011, 0b0010_0001, 0b0110_0000]
        );
    }

    #[test]
    fn start_codes_do_not_occur() {
        let mut out = Vec::new();
        escape(&[0, 0, 0, 0, 0, 1, 0, 0, 4, 0, 0, 3], &mut out);
        assert_eq!(out, [0, 0, 3, 0, 0, 3, 0, 1, 0, 0, 4, 0, 0, 3, 3]);
    }

    proptest! {
        #[test]
        fn read_back_as_written(values in proptest::collection::vec((any::<u32>(), 0_u32..=32), 0..200)) {
            let mut bits = Bits::default();
            for &(value, count) in &values {
                bits.put(((1_u64 << count) - 1) as u32 & value, count);
                bits.se((value as i32) >> 2);
            }
            bits.stop();
            let len = bits.len();
            let bytes = bits.finish();
            prop_assert_eq!(bytes.len() * 8, len);
            let mut reader = Reader(bytes, 0);
            for &(value, count) in &values {
                prop_assert_eq!(reader.take(count), ((1_u64 << count) - 1) as u32 & value);
                prop_assert_eq!(reader.se(), (value as i32) >> 2);
            }
        }

        #[test]
        fn escaped_bytes_have_no_start_code(raw in proptest::collection::vec(0_u8..5, 0..200)) {
            let mut out = Vec::new();
            escape(&raw, &mut out);
            prop_assert!(!out.windows(3).any(|w| w[0] == 0 && w[1] == 0 && w[2] < 3));
            prop_assert_eq!(unescape(&out), raw);
        }
    }
}
