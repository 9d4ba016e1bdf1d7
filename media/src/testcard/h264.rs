//! The picture as H.264, constrained baseline, coded without loss.
//!
//! Cells that change are Intra16x16 macroblocks with DC levels only, all others of a P picture are
//! skipped with no motion. Both quantisers are such that one level is one step of brightness or colour:
//! 28 for luma, 22 for chroma. The deblocking filter is off, so what was put in comes out.

use super::bits::{Bits, escape};
use super::cavlc;
use super::picture::Cell;

/// Luma quantiser: with the DC scale of 16 * 16 its levels are whole values. Chroma has one
/// transform step less and needs six less.
const QP: i32 = 28;
const CHROMA_OFFSET: i32 = -6;
const FRAME_NUM_BITS: u32 = 8;

const NAL_IDR: u8 = 0x65;
const NAL_P: u8 = 0x41;
const NAL_SPS: u8 = 0x67;
const NAL_PPS: u8 = 0x68;
const NAL_FILLER: u8 = 0x0c;

/// Bytes of the shortest filler: length, header, stop bit.
pub(super) const FILLER_MIN: usize = 4 + 2;

/// `level_idc`, macroblocks per second, macroblocks per picture, kbit/s (table A-1).
#[rustfmt::skip]
const LEVELS: [(u8, u64, u64, u64); 19] = [
    (10, 1_485, 99, 64), (11, 3_000, 396, 192), (12, 6_000, 396, 384), (13, 11_880, 396, 768),
    (20, 11_880, 396, 2_000), (21, 19_800, 792, 4_000), (22, 20_250, 1_620, 4_000),
    (30, 40_500, 1_620, 10_000), (31, 108_000, 3_600, 14_000), (32, 216_000, 5_120, 20_000),
    (40, 245_760, 8_192, 20_000), (41, 245_760, 8_192, 50_000), (42, 522_240, 8_704, 50_000),
    (50, 589_824, 22_080, 135_000), (51, 983_040, 36_864, 240_000), (52, 2_073_600, 36_864, 240_000),
    (60, 4_177_920, 139_264, 240_000), (61, 8_355_840, 139_264, 480_000),
    (62, 16_711_680, 139_264, 800_000),
];

/// The lowest level that allows this, or nothing.
pub(super) fn level(width: u32, height: u32, num: u32, den: u32, bitrate: u64) -> Option<u8> {
    let (columns, rows) = (u64::from(width.div_ceil(16)), u64::from(height.div_ceil(16)));
    let size = columns * rows;
    let longest = columns.max(rows);
    LEVELS
        .iter()
        .find(|(_, per_second, most, kbits)| {
            size <= *most
                && longest * longest <= 8 * most
                && size * u64::from(num) <= per_second * u64::from(den)
                && bitrate <= kbits * 1000
        })
        .map(|(level, ..)| *level)
}

/// What goes into the sequence parameter set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sequence {
    pub width: u32,
    pub height: u32,
    pub num: u32,
    pub den: u32,
    pub level: u8,
}

impl Sequence {
    /// The `AVCDecoderConfigurationRecord`.
    pub fn record(&self) -> Vec<u8> {
        let sps = self.sps();
        let pps = pps();
        let mut out = vec![1];
        out.extend_from_slice(&sps[1..4]);
        // Four-byte lengths; one of each set.
        out.extend_from_slice(&[0xff, 0xe1]);
        out.extend_from_slice(&(sps.len() as u16).to_be_bytes());
        out.extend_from_slice(&sps);
        out.push(1);
        out.extend_from_slice(&(pps.len() as u16).to_be_bytes());
        out.extend_from_slice(&pps);
        out
    }

    fn sps(&self) -> Vec<u8> {
        let mut bits = Bits::default();
        bits.put(66, 8);
        // Baseline, and within what main allows too.
        bits.put(0xc0, 8);
        bits.put(u32::from(self.level), 8);
        bits.ue(0);
        bits.ue(FRAME_NUM_BITS - 4);
        // Pictures are shown in the order they come.
        bits.ue(2);
        bits.ue(1);
        bits.flag(false);
        let (columns, rows) = (self.width.div_ceil(16), self.height.div_ceil(16));
        bits.ue(columns - 1);
        bits.ue(rows - 1);
        bits.flag(true);
        bits.flag(true);
        let (right, bottom) = (columns * 16 - self.width, rows * 16 - self.height);
        bits.flag(right + bottom > 0);
        if right + bottom > 0 {
            for edge in [0, right / 2, 0, bottom / 2] {
                bits.ue(edge);
            }
        }
        bits.flag(true);
        self.vui(&mut bits);
        bits.stop();
        nal(NAL_SPS, bits.finish())
    }

    fn vui(&self, bits: &mut Bits) {
        // Square pixels.
        bits.flag(true);
        bits.put(1, 8);
        bits.flag(false);
        // BT.709, limited range.
        bits.flag(true);
        bits.put(5, 3);
        bits.flag(false);
        bits.flag(true);
        bits.put(0x01_01_01, 24);
        bits.flag(false);
        // A tick is a field, even where there are none.
        bits.flag(true);
        bits.put(self.den, 32);
        bits.put(self.num * 2, 32);
        bits.flag(true);
        bits.flag(false);
        bits.flag(false);
        bits.flag(false);
        // Nothing is reordered, so a decoder shows each picture at once.
        bits.flag(true);
        bits.flag(true);
        for value in [0, 0, 0, 0, 0, 1] {
            bits.ue(value);
        }
    }
}

fn pps() -> Vec<u8> {
    let mut bits = Bits::default();
    bits.ue(0);
    bits.ue(0);
    bits.flag(false);
    bits.flag(false);
    bits.ue(0);
    bits.ue(0);
    bits.ue(0);
    bits.flag(false);
    bits.put(0, 2);
    bits.se(QP - 26);
    bits.se(0);
    bits.se(CHROMA_OFFSET);
    // Slices say that there is no deblocking.
    bits.flag(true);
    bits.flag(false);
    bits.flag(false);
    bits.stop();
    nal(NAL_PPS, bits.finish())
}

fn nal(header: u8, raw: &[u8]) -> Vec<u8> {
    let mut out = vec![header];
    escape(raw, &mut out);
    out
}

/// How a picture is coded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// All of it, for whoever joins.
    Key,
    /// What changed.
    Delta,
    /// The one before, once more.
    Still,
}

/// Codes pictures of one stream, one after the other.
#[derive(Debug)]
pub(super) struct Encoder {
    columns: usize,
    /// What decoders show.
    shown: Vec<Cell>,
    frame_num: u32,
    keys: u32,
    bits: Bits,
}

impl Encoder {
    pub fn new(columns: usize) -> Self {
        Self { columns, shown: Vec::new(), frame_num: 0, keys: 0, bits: Bits::default() }
    }

    /// Appends a coded picture behind its length. `cells` are of the same number each time.
    pub fn write(&mut self, cells: &[Cell], kind: Kind, out: &mut Vec<u8>) {
        self.bits.clear();
        self.header(kind == Kind::Key);
        match kind {
            Kind::Key => {
                for index in 0..cells.len() {
                    macroblock(&mut self.bits, cells, index, self.columns, 0);
                }
                self.shown.clear();
                self.shown.extend_from_slice(cells);
            }
            Kind::Delta => self.changes(cells),
            Kind::Still => self.bits.ue(cells.len() as u32),
        }
        self.bits.stop();
        let start = out.len();
        let header = if kind == Kind::Key { NAL_IDR } else { NAL_P };
        out.extend_from_slice(&[0, 0, 0, 0, header]);
        escape(self.bits.finish(), out);
        let len = out.len() - start - 4;
        out[start..start + 4].copy_from_slice(&(len as u32).to_be_bytes());
    }

    fn header(&mut self, key: bool) {
        self.frame_num = if key { 0 } else { (self.frame_num + 1) % (1 << FRAME_NUM_BITS) };
        let bits = &mut self.bits;
        bits.ue(0);
        bits.ue(if key { 7 } else { 5 });
        bits.ue(0);
        bits.put(self.frame_num, FRAME_NUM_BITS);
        if key {
            // Differs from the key picture before.
            bits.ue(self.keys % 2);
            self.keys = self.keys.wrapping_add(1);
            bits.put(0, 2);
        } else {
            // As many references as usual, in the usual order, forgotten as usual.
            bits.put(0, 3);
        }
        bits.se(0);
        bits.ue(1);
    }

    fn changes(&mut self, cells: &[Cell]) {
        let mut skipped = 0;
        for index in 0..cells.len() {
            if self.shown[index] == cells[index] {
                skipped += 1;
                continue;
            }
            self.shown[index] = cells[index];
            self.bits.ue(skipped);
            skipped = 0;
            macroblock(&mut self.bits, cells, index, self.columns, 5);
        }
        if skipped > 0 {
            self.bits.ue(skipped);
        }
    }
}

/// Prediction as luma numbers it.
const VERTICAL: u32 = 0;
const HORIZONTAL: u32 = 1;
const DC: u32 = 2;

/// An Intra16x16 macroblock; `base` is the number of macroblock types before the intra ones.
fn macroblock(bits: &mut Bits, cells: &[Cell], index: usize, columns: usize, base: u32) {
    let cell = cells[index];
    let above = index.checked_sub(columns).map(|index| cells[index]);
    let left = (!index.is_multiple_of(columns)).then(|| cells[index - 1]);
    let (mode, predicted) = match (left.map(spread_right), above.map(spread_down)) {
        (right, Some(down)) if right.is_none() || same_luma(down, cell) => (VERTICAL, down),
        (Some(right), _) => (HORIZONTAL, right),
        (None, _) => (DC, Cell { luma: 128, cb: 128, cr: 128, lit: 0 }),
    };
    // Chroma takes whichever fits, and numbers the ways otherwise.
    let colours = |cell: Cell| (cell.cb, cell.cr);
    let (chroma_mode, near) = match (left, above) {
        (Some(left), Some(above)) if colours(left) != colours(cell) => (2, above),
        (Some(left), _) => (1, left),
        (None, Some(above)) => (2, above),
        (None, None) => (0, predicted),
    };
    let (cb, cr) = (difference(cell.cb, near.cb), difference(cell.cr, near.cr));
    let chroma = u32::from(cb != 0 || cr != 0);
    bits.ue(base + 1 + mode + 4 * chroma);
    bits.ue(chroma_mode);
    bits.se(0);
    if same_luma(cell, predicted) {
        // Most of a key picture: no levels at all, in short.
        bits.put(1, 1);
    } else {
        cavlc::luma_dc(bits, &luma_levels(cell, predicted));
    }
    if chroma != 0 {
        cavlc::chroma_dc(bits, cb);
        cavlc::chroma_dc(bits, cr);
    }
}

/// A cell as horizontal prediction makes it of the one on its left.
const fn spread_right(left: Cell) -> Cell {
    Cell { lit: (left.lit >> 3 & 0x1111) * 0b1111, ..left }
}

/// A cell as vertical prediction makes it of the one above.
const fn spread_down(above: Cell) -> Cell {
    Cell { lit: (above.lit >> 12) * 0x1111, ..above }
}

const fn same_luma(one: Cell, other: Cell) -> bool {
    one.luma == other.luma && one.lit == other.lit
}

fn difference(to: u8, from: u8) -> i32 {
    i32::from(to) - i32::from(from)
}

/// Where the levels stand in scan order: zigzag.
const SCAN: [usize; 16] = [0, 1, 4, 8, 5, 2, 3, 6, 9, 12, 13, 10, 7, 11, 14, 15];

/// The transformed difference of the blocks, in scan order.
fn luma_levels(cell: Cell, predicted: Cell) -> [i32; 16] {
    let mut levels = [0; 16];
    if cell.lit == predicted.lit {
        levels[0] = difference(cell.luma, predicted.luma);
        return levels;
    }
    let mut grid = [0; 16];
    for (index, value) in grid.iter_mut().enumerate() {
        *value = cell.at(index % 4, index / 4) - predicted.at(index % 4, index / 4);
    }
    for row in 0..4 {
        hadamard(&mut grid, row * 4, 1);
    }
    for column in 0..4 {
        hadamard(&mut grid, column, 4);
    }
    for (level, &at) in levels.iter_mut().zip(&SCAN) {
        debug_assert_eq!(grid[at] % 16, 0);
        *level = grid[at] / 16;
    }
    levels
}

fn hadamard(grid: &mut [i32; 16], start: usize, step: usize) {
    let at = [start, start + step, start + 2 * step, start + 3 * step];
    let [a, b, c, d] = at.map(|index| grid[index]);
    grid[at[0]] = a + b + c + d;
    grid[at[1]] = a + b - c - d;
    grid[at[2]] = a - b - c + d;
    grid[at[3]] = a - b + c - d;
}

/// Appends a NAL unit of filler that takes `len` bytes with its length, at least [`FILLER_MIN`].
pub(super) fn filler(len: usize, out: &mut Vec<u8>) {
    debug_assert!(len >= FILLER_MIN);
    out.extend_from_slice(&((len - 4) as u32).to_be_bytes());
    out.push(NAL_FILLER);
    out.resize(out.len() + len - FILLER_MIN, 0xff);
    out.push(0x80);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
