//! What the picture shows, before any coding.
//!
//! The picture is a grid of cells, each one macroblock of 16x16 pixels: a colour, or black with some of
//! its sixteen blocks of 4x4 pixels lit. So it stays exact after coding with the DC levels alone, and
//! whatever moves does so in steps of four pixels.
//!
//! ```text
//! +----+----+----+----+----+----+----+
//! |    |    |    |    |    |    |    |   bars of 75 %
//! |    | +--------------------+ |    |
//! |    | | 12:34:56.789       | |    |   the time the caller gave for this picture
//! |    | | FRAME 00012345     | |    |   pictures since the start
//! |    | +--------------------+ |    |
//! +----+----+----+----+----+----+----+   the same colours from the other side, every other one black
//! |    ->                            |   a bar that crosses the picture in four seconds
//! |                            <-    |   and one the other way
//! +------------------------------+---+   grey from black to white;
//! |  |  |  |  |  |  |  |  |  |   |   |   in the corner a flash as long as the beep
//! +------------------------------+---+
//! ```

use super::font;

/// Luma of black, and how much brighter lit is. A multiple of 16, so that the transform of any pattern
/// of lit blocks has whole levels at the quantiser in use.
const BLACK: u8 = 16;
pub(super) const LIT: u8 = 208;

/// One macroblock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Cell {
    /// Brightness of what is not lit.
    pub luma: u8,
    pub cb: u8,
    pub cr: u8,
    /// Which blocks are lit, the lowest bit being the upper left and the next the one on its right.
    /// None unless `luma` is that of black.
    pub lit: u16,
}

impl Cell {
    const fn colour(luma: u8, cb: u8, cr: u8) -> Self {
        Self { luma, cb, cr, lit: 0 }
    }

    const fn grey(luma: u8) -> Self {
        Self::colour(luma, 128, 128)
    }

    /// The brightness of a block.
    pub const fn at(&self, column: usize, row: usize) -> i32 {
        let lit = (self.lit >> (row * 4 + column) & 1) as u8;
        (self.luma + lit * LIT) as i32
    }
}

/// Colours at 75 %, in BT.709.
const BARS: [Cell; 7] = [
    Cell::grey(180),
    Cell::colour(168, 44, 136),
    Cell::colour(145, 147, 44),
    Cell::colour(133, 63, 52),
    Cell::colour(63, 193, 204),
    Cell::colour(51, 109, 212),
    Cell::colour(28, 212, 120),
];
const DARK: Cell = Cell::grey(BLACK);
const GREYS: usize = 11;
/// How long a bar takes from one side to the other.
const CROSSING_MICROS: i64 = 4_000_000;

/// What changes from picture to picture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// What the clock shows, as microseconds since a midnight.
    pub clock: i64,
    /// What the counter shows.
    pub frame: u64,
    /// Time since the start, which moves the bars.
    pub micros: i64,
    /// Whether the corner is lit.
    pub flash: bool,
}

/// The picture and where its moving parts are.
#[derive(Debug)]
pub(super) struct Picture {
    pub columns: usize,
    pub cells: Vec<Cell>,
    /// Blocks of four pixels that are seen, from left to right.
    blocks: usize,
    box_of_clock: Option<ClockBox>,
    /// First row of cells of each moving bar, and the row after the second one.
    strips: [usize; 3],
    /// Columns and rows of the flash.
    corner: (usize, usize),
}

/// The black box with the two lines, in blocks of four pixels.
#[derive(Debug)]
struct ClockBox {
    left: usize,
    top: usize,
    /// Blocks per dot, and of the line below.
    dot: usize,
    small: usize,
    /// In cells: columns and rows that the box covers.
    columns: std::ops::Range<usize>,
    rows: std::ops::Range<usize>,
    /// Whether the counter has its name in front.
    named: bool,
}

impl ClockBox {
    /// Nothing if the picture is too small for a legible clock.
    fn new(width: usize, height: usize) -> Option<Self> {
        let dots = font::width(b"00:00:00.000");
        let upper = height / 16 * 2 / 3 * 4;
        let most = (width / 4).saturating_sub(2) / dots;
        let dot = (width * 6 / 10 / 4 / dots).clamp(1, 8).min(most).min(upper / 15);
        if dot == 0 {
            return None;
        }
        let small = dot.div_ceil(2);
        let tall = font::HEIGHT * (dot + small) + 2 * dot;
        let named = font::width(b"FRAME 00000000") * small <= dots * dot;
        let left = (width / 4 - dots * dot) / 2;
        let top = (upper.checked_sub(tall)?) / 2;
        let margin = 2 * dot;
        let right = (left + dots * dot + margin).min(width / 4);
        let columns = left.saturating_sub(margin) / 4..right.div_ceil(4);
        let rows = top.saturating_sub(margin) / 4..(top + tall + margin).div_ceil(4);
        Some(Self { left, top, dot, small, columns, rows, named })
    }
}

impl Picture {
    /// The parts that stay, for a picture of this many pixels.
    pub fn new(width: usize, height: usize) -> Self {
        let columns = width.div_ceil(16);
        let rows = height.div_ceil(16);
        let seen = height / 16;
        let strip = (seen / 12).max(usize::from(seen >= 5));
        let bars_end = (seen * 2 / 3).min(seen - 4 * strip);
        let first = bars_end + strip;
        let strips = [first, first + strip, first + 2 * strip];
        let corner = ((columns / 12).max(1), strips[2]);
        let mut cells = Vec::with_capacity(columns * rows);
        for row in 0..rows {
            for column in 0..columns {
                let bar = column * BARS.len() / columns;
                let other = BARS.len() - 1 - bar;
                cells.push(if row < bars_end {
                    BARS[bar]
                } else if row < first {
                    if bar.is_multiple_of(2) { BARS[other] } else { DARK }
                } else if row < strips[2] {
                    DARK
                } else {
                    let step = (column * GREYS / (columns - corner.0).max(1)).min(GREYS - 1);
                    Cell::grey(BLACK + (step * 219 / (GREYS - 1)) as u8)
                });
            }
        }
        let box_of_clock = ClockBox::new(width, height);
        Self { columns, cells, blocks: width.div_ceil(4), box_of_clock, strips, corner }
    }

    /// Moves what moves.
    pub fn draw(&mut self, moment: &Moment) {
        self.draw_bars(moment.micros);
        self.draw_corner(moment.flash);
        if let Some(place) = self.box_of_clock.take() {
            self.fill(place.columns.clone(), place.rows.clone(), DARK);
            self.text(&time_of_day(moment.clock), place.left, place.top, place.dot);
            let mut counter = *b"FRAME 00000000";
            decimal(moment.frame, &mut counter[6..]);
            let counter = if place.named { &counter[..] } else { &counter[6..] };
            let top = place.top + (font::HEIGHT + 2) * place.dot;
            self.text(counter, place.left, top, place.small);
            self.box_of_clock = Some(place);
        }
    }

    fn draw_bars(&mut self, micros: i64) {
        let blocks = self.blocks as i64;
        let wide = (blocks / 16).max(1);
        let at = micros.rem_euclid(CROSSING_MICROS) * blocks / CROSSING_MICROS;
        for (strip, at) in [at, blocks - 1 - at].into_iter().enumerate() {
            let rows = self.strips[strip]..self.strips[strip + 1];
            self.fill(0..self.columns, rows.clone(), DARK);
            for block in at..at + wide {
                // A bar that leaves on one side comes in on the other.
                let block = (block % blocks) as usize;
                for row in rows.clone() {
                    self.cells[row * self.columns + block / 4].lit |= 0x1111 << (block % 4);
                }
            }
        }
    }

    fn draw_corner(&mut self, flash: bool) {
        let (columns, row) = self.corner;
        let rows = row..self.cells.len() / self.columns;
        let cell = if flash { Cell::grey(235) } else { DARK };
        self.fill(self.columns - columns..self.columns, rows, cell);
    }

    fn fill(&mut self, columns: std::ops::Range<usize>, rows: std::ops::Range<usize>, cell: Cell) {
        for row in rows {
            let start = row * self.columns;
            self.cells[start + columns.start..start + columns.end].fill(cell);
        }
    }

    fn text(&mut self, text: &[u8], left: usize, top: usize, dot: usize) {
        let Self { columns, cells, .. } = self;
        font::dots(text, |column, row| {
            for y in (top + row * dot)..(top + row * dot + dot) {
                for x in (left + column * dot)..(left + column * dot + dot) {
                    if let Some(cell) = cells.get_mut(y / 4 * *columns + x / 4) {
                        cell.lit |= 1 << (y % 4 * 4 + x % 4);
                    }
                }
            }
        });
    }
}

/// `hh:mm:ss.mmm` of a time in microseconds.
fn time_of_day(micros: i64) -> [u8; 12] {
    let mut text = *b"00:00:00.000";
    let millis = micros.rem_euclid(86_400_000_000).cast_unsigned() / 1000;
    decimal(millis / 3_600_000, &mut text[..2]);
    decimal(millis / 60_000 % 60, &mut text[3..5]);
    decimal(millis / 1000 % 60, &mut text[6..8]);
    decimal(millis % 1000, &mut text[9..]);
    text
}

/// The last digits of a number.
fn decimal(mut value: u64, digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_reads_as_a_clock() {
        assert_eq!(&time_of_day(0), b"00:00:00.000");
        assert_eq!(&time_of_day(86_399_999_999), b"23:59:59.999");
        assert_eq!(&time_of_day(86_400_000_000 * 20_000 + 3_723_004_000), b"01:02:03.004");
        assert_eq!(&time_of_day(-1), b"23:59:59.999");
    }

    #[test]
    fn any_size_can_be_drawn_at_any_time() {
        for width in (16..=1000).step_by(14) {
            for height in [16, 18, 30, 48, 64, 90, 96, 144, 240, 360, 1080] {
                let mut picture = Picture::new(width, height);
                for micros in [0, 1, 1_999_999, 3_999_999, i64::MAX] {
                    let flash = micros == 0;
                    picture.draw(&Moment { clock: -micros, frame: u64::MAX, micros, flash });
                    let cells = &picture.cells;
                    assert_eq!(cells.len(), width.div_ceil(16) * height.div_ceil(16));
                    // What the coding counts on.
                    assert!(cells.iter().all(|cell| cell.lit == 0 || cell.luma == BLACK));
                }
            }
        }
    }

    #[test]
    fn clock_is_there_from_256_pixels_on() {
        assert!(ClockBox::new(1280, 720).is_some_and(|place| place.dot == 3 && place.named));
        assert!(ClockBox::new(256, 144).is_some_and(|place| place.dot == 1));
        assert!(ClockBox::new(160, 120).is_none());
    }

    #[test]
    fn only_what_moves_changes() {
        let mut picture = Picture::new(640, 360);
        let moment = Moment { clock: 0, frame: 0, micros: 0, flash: false };
        picture.draw(&moment);
        let before = picture.cells.clone();
        picture.draw(&moment);
        assert_eq!(before, picture.cells);
        picture.draw(&Moment { clock: 1000, frame: 1, micros: 33_333, flash: false });
        let changed = before.iter().zip(&picture.cells).filter(|(a, b)| a != b).count();
        assert!((4..60).contains(&changed), "{changed}");
    }
}
