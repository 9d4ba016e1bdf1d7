//! The bytes HTTP is written in: which may stand where, and how to find them quickly.

/// The place of the first byte of this value, eight bytes at a time.
#[inline]
pub(super) fn find_byte(wanted: u8, bytes: &[u8]) -> Option<usize> {
    const LOW_BITS: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    const EACH_BYTE: u64 = 0x0101_0101_0101_0101;
    let pattern = EACH_BYTE * u64::from(wanted);
    let (words, tail) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        // The byte looked for becomes zero; adding carries into the high bit of any other.
        let differs = u64::from_le_bytes(*word) ^ pattern;
        let found = !(((differs & LOW_BITS) + LOW_BITS) | differs | LOW_BITS);
        if found != 0 {
            return Some(index * 8 + (found.trailing_zeros() / 8) as usize);
        }
    }
    let at = tail.iter().position(|byte| *byte == wanted)?;
    Some(words.len() * 8 + at)
}

/// True for the bytes a header value may hold: no control byte but the tabulator.
#[inline]
pub(super) fn is_text(byte: u8) -> bool {
    (byte >= 0x20 && byte != 0x7f) || byte == b'\t'
}

/// True for the bytes a header name is made of (`tchar`, RFC 9110 5.6.2).
#[inline]
pub(super) fn is_token(byte: u8) -> bool {
    const TOKEN: ByteSet = ByteSet::alphanumeric_and(b"!#$%&'*+-.^_`|~");
    TOKEN.contains(byte)
}

/// A set of ASCII bytes, asked without a branch.
#[derive(Debug, Clone, Copy)]
pub(super) struct ByteSet([u64; 4]);

impl ByteSet {
    /// Letters, digits and these.
    pub(super) const fn alphanumeric_and(others: &[u8]) -> ByteSet {
        let mut set = ByteSet([0; 4]);
        let mut byte = 0;
        while byte < 128u8 {
            if byte.is_ascii_alphanumeric() {
                set = set.with(byte);
            }
            byte += 1;
        }
        let mut rest = others;
        while let [byte, after @ ..] = rest {
            set = set.with(*byte);
            rest = after;
        }
        set
    }

    const fn with(mut self, byte: u8) -> ByteSet {
        self.0[(byte >> 6) as usize] |= 1 << (byte & 63);
        self
    }

    /// True if the byte is a member.
    #[inline]
    pub(super) const fn contains(&self, byte: u8) -> bool {
        self.0[(byte >> 6) as usize] >> (byte & 63) & 1 != 0
    }
}

/// The items of a comma-separated list, without the white space around them.
pub(super) fn list_items(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

/// The value of one hexadecimal digit.
pub(super) fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_found_wherever_they_stand() {
        for length in 0..40 {
            assert_eq!(find_byte(b'\n', &vec![0x8a; length]), None);
            for at in 0..length {
                for other in [0u8, 0x09, 0x0b, 0x8a, 0xff] {
                    let mut bytes = vec![other; length];
                    bytes[at] = b'\n';
                    bytes[length - 1] = b'\n';
                    assert_eq!(find_byte(b'\n', &bytes), Some(at));
                }
            }
        }
    }

    #[test]
    fn sets_hold_what_they_say() {
        for byte in 0..=u8::MAX {
            let token = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            assert_eq!(is_token(byte), token, "{byte}");
            let text = byte == b'\t' || byte > 0x7f || (0x20..0x7f).contains(&byte);
            assert_eq!(is_text(byte), text, "{byte}");
            let hex = char::from(byte).to_digit(16).map(|digit| digit as u8);
            assert_eq!(hex_digit(byte), hex, "{byte}");
        }
    }

    #[test]
    fn lists_lose_the_white_space_around_their_items() {
        let items: Vec<&[u8]> = list_items(b" a,b ,\tc d,,").collect();
        assert_eq!(items, [&b"a"[..], b"b", b"c d", b"", b""]);
    }
}
