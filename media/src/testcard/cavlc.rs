//! Transform coefficients as context-adaptive variable-length codes (H.264, 9.2), as far as flat
//! blocks need them: the DC levels of an Intra16x16 macroblock with no neighbour that has AC levels,
//! and the first DC level of a chroma plane.

use super::bits::Bits;

/// `coeff_token` for up to one non-zero level around (table 9-5, `0 <= nC < 2`), as `(length, code)`
/// by the number of levels and then by how many of the last are +1 or -1.
#[rustfmt::skip]
const TOKEN: [[(u8, u8); 4]; 17] = [
    [(1, 1), (0, 0), (0, 0), (0, 0)],
    [(6, 5), (2, 1), (0, 0), (0, 0)],
    [(8, 7), (6, 4), (3, 1), (0, 0)],
    [(9, 7), (8, 6), (7, 5), (5, 3)],
    [(10, 7), (9, 6), (8, 5), (6, 3)],
    [(11, 7), (10, 6), (9, 5), (7, 4)],
    [(13, 15), (11, 6), (10, 5), (8, 4)],
    [(13, 11), (13, 14), (11, 5), (9, 4)],
    [(13, 8), (13, 10), (13, 13), (10, 4)],
    [(14, 15), (14, 14), (13, 9), (11, 4)],
    [(14, 11), (14, 10), (14, 13), (13, 12)],
    [(15, 15), (15, 14), (14, 9), (14, 12)],
    [(15, 11), (15, 10), (15, 13), (14, 8)],
    [(16, 15), (15, 1), (15, 9), (15, 12)],
    [(16, 11), (16, 14), (16, 13), (15, 8)],
    [(16, 7), (16, 10), (16, 9), (16, 12)],
    [(16, 4), (16, 6), (16, 5), (16, 8)],
];

/// `total_zeros` (tables 9-7 and 9-8), by the number of levels and then of zeros.
#[rustfmt::skip]
const TOTAL_ZEROS: [&[(u8, u8)]; 15] = [
    &[(1, 1), (3, 3), (3, 2), (4, 3), (4, 2), (5, 3), (5, 2), (6, 3), (6, 2), (7, 3), (7, 2), (8, 3),
      (8, 2), (9, 3), (9, 2), (9, 1)],
    &[(3, 7), (3, 6), (3, 5), (3, 4), (3, 3), (4, 5), (4, 4), (4, 3), (4, 2), (5, 3), (5, 2), (6, 3),
      (6, 2), (6, 1), (6, 0)],
    &[(4, 5), (3, 7), (3, 6), (3, 5), (4, 4), (4, 3), (3, 4), (3, 3), (4, 2), (5, 3), (5, 2), (6, 1),
      (5, 1), (6, 0)],
    &[(5, 3), (3, 7), (4, 5), (4, 4), (3, 6), (3, 5), (3, 4), (4, 3), (3, 3), (4, 2), (5, 2), (5, 1),
      (5, 0)],
    &[(4, 5), (4, 4), (4, 3), (3, 7), (3, 6), (3, 5), (3, 4), (3, 3), (4, 2), (5, 1), (4, 1), (5, 0)],
    &[(6, 1), (5, 1), (3, 7), (3, 6), (3, 5), (3, 4), (3, 3), (3, 2), (4, 1), (3, 1), (6, 0)],
    &[(6, 1), (5, 1), (3, 5), (3, 4), (3, 3), (2, 3), (3, 2), (4, 1), (3, 1), (6, 0)],
    &[(6, 1), (4, 1), (5, 1), (3, 3), (2, 3), (2, 2), (3, 2), (3, 1), (6, 0)],
    &[(6, 1), (6, 0), (4, 1), (2, 3), (2, 2), (3, 1), (2, 1), (5, 1)],
    &[(5, 1), (5, 0), (3, 1), (2, 3), (2, 2), (2, 1), (4, 1)],
    &[(4, 0), (4, 1), (3, 1), (3, 2), (1, 1), (3, 3)],
    &[(4, 0), (4, 1), (2, 1), (1, 1), (3, 1)],
    &[(3, 0), (3, 1), (1, 1), (2, 1)],
    &[(2, 0), (2, 1), (1, 1)],
    &[(1, 0), (1, 1)],
];

/// `run_before` (table 9-10) by the zeros left, up to six, and then the run.
#[rustfmt::skip]
const RUN_BEFORE: [&[(u8, u8)]; 6] = [
    &[(1, 1), (1, 0)],
    &[(1, 1), (2, 1), (2, 0)],
    &[(2, 3), (2, 2), (2, 1), (2, 0)],
    &[(2, 3), (2, 2), (2, 1), (3, 1), (3, 0)],
    &[(2, 3), (2, 2), (3, 3), (3, 2), (3, 1), (3, 0)],
    &[(2, 3), (3, 0), (3, 1), (3, 3), (3, 2), (3, 5), (3, 4)],
];

/// `residual_block` of sixteen levels in scan order, with nothing coded around it.
pub(super) fn luma_dc(bits: &mut Bits, levels: &[i32; 16]) {
    // From the highest frequency to the lowest, as they are written: the level, zeros before it.
    let mut coded = [(0_i32, 0_usize); 16];
    let mut total = 0;
    let mut zeros = 0;
    let mut zeros_inside = 0;
    for &level in levels {
        if level == 0 {
            zeros += 1;
        } else {
            coded[total] = (level, zeros);
            total += 1;
            zeros_inside += zeros;
            zeros = 0;
        }
    }
    let coded = &mut coded[..total];
    coded.reverse();
    let ones = coded.iter().take(3).take_while(|(level, _)| level.abs() == 1).count();
    code(bits, TOKEN[total][ones]);
    if total == 0 {
        return;
    }
    for &(level, _) in &coded[..ones] {
        bits.flag(level < 0);
    }
    let mut suffix = u32::from(total > 10 && ones < 3);
    for (index, &(level, _)) in coded[ones..].iter().enumerate() {
        suffix = put_level(bits, level, index == 0 && ones < 3, suffix);
    }
    if total < 16 {
        code(bits, TOTAL_ZEROS[total - 1][zeros_inside]);
    }
    for &(_, run) in &coded[..total - 1] {
        if zeros_inside == 0 {
            break;
        }
        match RUN_BEFORE.get(zeros_inside - 1) {
            Some(runs) => code(bits, runs[run]),
            None if run < 7 => bits.put(7 - run as u32, 3),
            None => bits.put(1, run as u32 - 3),
        }
        zeros_inside -= run;
    }
}

/// `residual_block` of the four DC levels of a chroma plane, of which only the first is not zero.
pub(super) fn chroma_dc(bits: &mut Bits, level: i32) {
    match level {
        0 => return bits.put(0b01, 2),
        1 | -1 => {
            bits.put(1, 1);
            bits.flag(level < 0);
        }
        _ => {
            bits.put(0b000111, 6);
            put_level(bits, level, true, 0);
        }
    }
    // No zeros before the first level.
    bits.put(1, 1);
}

/// A level (9.2.2.1); `first` is one that cannot be +1 or -1 since it would then have been counted as
/// such. Gives the suffix length of the level after it. Magnitudes stay below 2000.
fn put_level(bits: &mut Bits, level: i32, first: bool, suffix: u32) -> u32 {
    let magnitude = level.unsigned_abs();
    let value = 2 * magnitude - 2 + u32::from(level < 0) - 2 * u32::from(first);
    let escape = if suffix == 0 { 30 } else { 15 << suffix };
    if value >= escape {
        bits.put(1, 16);
        bits.put(value - escape, 12);
    } else if suffix > 0 {
        bits.put(1, (value >> suffix) + 1);
        bits.put(value & ((1 << suffix) - 1), suffix);
    } else if value < 14 {
        bits.put(1, value + 1);
    } else {
        bits.put(1, 15);
        bits.put(value - 14, 4);
    }
    let suffix = suffix.max(1);
    suffix + u32::from(magnitude > 3 << (suffix - 1) && suffix < 6)
}

fn code(bits: &mut Bits, (len, code): (u8, u8)) {
    bits.put(u32::from(code), u32::from(len));
}

#[cfg(test)]
#[allow(clippy::panic)]
pub(super) mod tests {
    use super::super::bits::tests::Reader;
    use super::*;
    use proptest::prelude::*;

    /// The place in a table of the code that comes next.
    fn find(reader: &mut Reader, table: &[(u8, u8)]) -> usize {
        let (mut read, mut len) = (0, 0);
        loop {
            read = (read << 1) | reader.bit();
            len += 1;
            let fits = |entry: &(u8, u8)| *entry == (len, read as u8) && read < 256;
            if let Some(place) = table.iter().position(fits) {
                return place;
            }
            assert!(len < 16, "no such code");
        }
    }

    fn read_level(reader: &mut Reader, first: bool, suffix: &mut u32) -> i32 {
        let mut prefix = 0;
        while reader.bit() == 0 {
            prefix += 1;
        }
        let mut value = prefix.min(15) << *suffix;
        value += match (prefix, *suffix) {
            (14, 0) => reader.take(4),
            (15, 0) => reader.take(12) + 15,
            (15, _) => reader.take(12),
            (0..15, suffix) => reader.take(suffix),
            _ => panic!("not in this profile"),
        };
        value += 2 * u32::from(first);
        let level = if value.is_multiple_of(2) {
            (value + 2) as i32 / 2
        } else {
            -((value + 1) as i32 / 2)
        };
        if *suffix == 0 {
            *suffix = 1;
        }
        if level.abs() > 3 << (*suffix - 1) && *suffix < 6 {
            *suffix += 1;
        }
        level
    }

    /// The levels that [`luma_dc`](super::luma_dc) wrote.
    pub fn read_luma_dc(reader: &mut Reader) -> [i32; 16] {
        let tokens: Vec<_> = TOKEN.iter().flatten().copied().collect();
        let token = find(reader, &tokens);
        let (total, ones) = (token / 4, token % 4);
        let mut suffix = u32::from(total > 10 && ones < 3);
        let coded: Vec<i32> = (0..total)
            .map(|index| match index < ones {
                true => 1 - 2 * reader.bit() as i32,
                false => read_level(reader, index == ones && ones < 3, &mut suffix),
            })
            .collect();
        let mut levels = [0; 16];
        if total == 0 {
            return levels;
        }
        let mut zeros = if total < 16 { find(reader, TOTAL_ZEROS[total - 1]) } else { 0 };
        let mut at = total + zeros;
        for (index, level) in coded.into_iter().enumerate() {
            at -= 1;
            levels[at] = level;
            if index + 1 < total && zeros > 0 {
                let run = match RUN_BEFORE.get(zeros - 1) {
                    Some(runs) => find(reader, runs),
                    None => match reader.take(3) {
                        0 => {
                            let mut run = 7;
                            while reader.bit() == 0 {
                                run += 1;
                            }
                            run
                        }
                        bits => 7 - bits as usize,
                    },
                };
                zeros -= run;
                at -= run;
            }
        }
        levels
    }

    /// The level that [`chroma_dc`](super::chroma_dc) wrote.
    pub fn read_chroma_dc(reader: &mut Reader) -> i32 {
        let level = match find(reader, &[(2, 1), (1, 1), (6, 7)]) {
            0 => return 0,
            1 => 1 - 2 * reader.bit() as i32,
            _ => read_level(reader, true, &mut 0),
        };
        assert_eq!(reader.bit(), 1);
        level
    }

    proptest! {
        #[test]
        fn blocks_read_back(
            levels: [i16; 16], shift in proptest::array::uniform16(5_u32..=16), chroma in -510..=510_i32,
        ) {
            let mut place = shift.iter();
            let levels = levels.map(|level| place.next().map_or(0, |by| i32::from(level) >> by) % 1000);
            let mut bits = Bits::default();
            luma_dc(&mut bits, &levels);
            chroma_dc(&mut bits, chroma);
            let len = bits.len();
            bits.align();
            let mut reader = Reader(bits.finish(), 0);
            prop_assert_eq!(read_luma_dc(&mut reader), levels);
            prop_assert_eq!(read_chroma_dc(&mut reader), chroma);
            prop_assert_eq!(reader.1, len);
        }
    }

    /// No code begins another; and what share of all codes they take, in 65,536ths.
    fn share(codes: &[(u8, u8)]) -> u32 {
        let spans: Vec<_> = codes
            .iter()
            .filter(|(len, _)| *len > 0)
            .map(|&(len, code)| {
                let unit = 1_u32 << (16 - len);
                (u32::from(code) * unit, u32::from(code) * unit + unit)
            })
            .collect();
        for (i, a) in spans.iter().enumerate() {
            assert!(
                spans.iter().skip(i + 1).all(|b| a.1 <= b.0 || b.1 <= a.0),
                "{a:?} in {codes:?}"
            );
        }
        spans.iter().map(|(from, to)| to - from).sum()
    }

    #[test]
    fn tables_are_prefix_codes() {
        let tokens: Vec<_> = TOKEN.iter().flatten().copied().collect();
        assert_eq!(tokens.iter().filter(|(len, _)| *len > 0).count(), 62);
        assert!(share(&tokens) > 65_000);
        for (total, zeros) in TOTAL_ZEROS.iter().enumerate() {
            assert_eq!(zeros.len(), 16 - total);
            assert!(share(zeros) > 65_000, "{total}");
        }
        for runs in RUN_BEFORE {
            assert_eq!(share(runs), 65_536);
        }
    }

    fn written(levels: [i32; 16]) -> String {
        let mut bits = Bits::default();
        luma_dc(&mut bits, &levels);
        let len = bits.len();
        bits.align();
        let all: String = bits.finish().iter().map(|byte| format!("{byte:08b}")).collect();
        all[..len].to_owned()
    }

    #[test]
    fn blocks_coded_by_hand() {
        assert_eq!(written([0; 16]), "1");
        let mut levels = [0; 16];
        levels[0] = -1;
        assert_eq!(written(levels), "01 1 1".replace(' ', ""));
        levels[0] = 5;
        // One level, value 2 * 5 - 2 - 2 = 6.
        assert_eq!(written(levels), "000101 0000001 1".replace(' ', ""));
        // The well-known block 0, 3, 0, 1, -1, -1, 0, 1: five levels, the last three of them ones.
        let mut levels = [0; 16];
        levels[..8].copy_from_slice(&[0, 3, 0, 1, -1, -1, 0, 1]);
        assert_eq!(written(levels), "0000100 0 1 1 1 0010 111 10 1 1 01".replace(' ', ""));
    }
}
