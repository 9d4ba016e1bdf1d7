//! Seven dots high letters for the clock.

/// Dots from the top of a letter to its bottom.
pub(super) const HEIGHT: usize = 7;

/// A letter: how many dots wide, and its rows from the top, the leftmost dot being the highest bit.
type Glyph = (usize, [u8; HEIGHT]);

#[rustfmt::skip]
fn glyph(letter: u8) -> Glyph {
    match letter {
        b'0' => (5, [0b01110, 0b10001, 0b10011, 0b10101, 0b11001, 0b10001, 0b01110]),
        b'1' => (5, [0b00100, 0b01100, 0b10100, 0b00100, 0b00100, 0b00100, 0b11111]),
        b'2' => (5, [0b01110, 0b10001, 0b00001, 0b00110, 0b01000, 0b10000, 0b11111]),
        b'3' => (5, [0b01110, 0b10001, 0b00001, 0b00110, 0b00001, 0b10001, 0b01110]),
        b'4' => (5, [0b00010, 0b00110, 0b01010, 0b10010, 0b11111, 0b00010, 0b00010]),
        b'5' => (5, [0b11111, 0b10000, 0b11110, 0b00001, 0b00001, 0b10001, 0b01110]),
        b'6' => (5, [0b01110, 0b10000, 0b10000, 0b11110, 0b10001, 0b10001, 0b01110]),
        b'7' => (5, [0b11111, 0b00001, 0b00010, 0b00100, 0b00100, 0b01000, 0b01000]),
        b'8' => (5, [0b01110, 0b10001, 0b10001, 0b01110, 0b10001, 0b10001, 0b01110]),
        b'9' => (5, [0b01110, 0b10001, 0b10001, 0b01111, 0b00001, 0b00001, 0b01110]),
        b'A' => (5, [0b01110, 0b10001, 0b10001, 0b11111, 0b10001, 0b10001, 0b10001]),
        b'E' => (5, [0b11111, 0b10000, 0b10000, 0b11110, 0b10000, 0b10000, 0b11111]),
        b'F' => (5, [0b11111, 0b10000, 0b10000, 0b11110, 0b10000, 0b10000, 0b10000]),
        b'M' => (5, [0b10001, 0b11011, 0b10101, 0b10101, 0b10001, 0b10001, 0b10001]),
        b'R' => (5, [0b11110, 0b10001, 0b10001, 0b11110, 0b10100, 0b10010, 0b10001]),
        b':' => (2, [0b00, 0b11, 0b11, 0b00, 0b11, 0b11, 0b00]),
        b'.' => (2, [0b00, 0b00, 0b00, 0b00, 0b00, 0b11, 0b11]),
        _ => (3, [0; HEIGHT]),
    }
}

/// Dots from the left end of a text to its right end.
pub(super) fn width(text: &[u8]) -> usize {
    text.iter().map(|&letter| glyph(letter).0 + 1).sum::<usize>().saturating_sub(1)
}

/// Calls `lit` with the column and row of each lit dot.
pub(super) fn dots(text: &[u8], mut lit: impl FnMut(usize, usize)) {
    let mut left = 0;
    for &letter in text {
        let (width, rows) = glyph(letter);
        for (row, pattern) in rows.into_iter().enumerate() {
            for column in 0..width {
                if pattern >> (width - 1 - column) & 1 != 0 {
                    lit(left + column, row);
                }
            }
        }
        left += width + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_differ_and_fill_their_box() {
        for digit in b'0'..=b'9' {
            let (width, rows) = glyph(digit);
            assert_eq!(width, 5);
            assert_eq!(rows.iter().fold(0, |all, row| all | row), 0b11111);
            assert!((b'0'..digit).all(|other| glyph(other).1 != rows));
        }
        assert_eq!(width(b"00:00:00.000"), 9 * 6 + 3 * 3 - 1);
        let mut rightmost = 0;
        dots(b"12:8", |column, row| {
            assert!(row < HEIGHT);
            rightmost = rightmost.max(column);
        });
        assert_eq!(rightmost + 1, width(b"12:8"));
    }
}
