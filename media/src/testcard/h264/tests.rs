//! A decoder for what the encoder writes, and for nothing else.

use super::super::bits::tests::{Reader, unescape};
use super::super::cavlc::tests::{read_chroma_dc, read_luma_dc};
use super::super::picture::{Moment, Picture};
use super::*;

/// Luma of the sixteen blocks of a macroblock, and its two colours.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Decoded {
    luma: [i32; 16],
    chroma: [i32; 2],
}

impl From<&Cell> for Decoded {
    fn from(cell: &Cell) -> Self {
        let luma = std::array::from_fn(|index| cell.at(index % 4, index / 4));
        Self { luma, chroma: [i32::from(cell.cb), i32::from(cell.cr)] }
    }
}

struct Decoder {
    columns: usize,
    picture: Vec<Decoded>,
    frame_num: u32,
    idr_pic_id: u32,
}

impl Decoder {
    /// Decodes one NAL unit behind its length, which is to be all there is.
    fn decode(&mut self, payload: &[u8], total: usize) {
        let (len, nal) = payload.split_first_chunk::<4>().unwrap();
        assert_eq!(u32::from_be_bytes(*len) as usize, nal.len());
        assert!(!nal.windows(3).any(|w| w[0] == 0 && w[1] == 0 && w[2] < 3));
        let raw = unescape(&nal[1..]);
        let key = nal[0] == NAL_IDR;
        assert!(key || nal[0] == NAL_P);
        // What the stop bit and the zeros behind it leave.
        let end = raw.len() * 8 - 1 - raw.last().unwrap().trailing_zeros() as usize;
        let mut reader = Reader(&raw, 0);
        self.header(&mut reader, key);
        let mut done = 0;
        if key {
            self.picture.clear();
        }
        while done < total {
            if !key {
                done += reader.ue() as usize;
                if reader.1 == end {
                    break;
                }
            }
            let decoded = self.macroblock(&mut reader, done, if key { 0 } else { 5 });
            self.picture.truncate(if key { done } else { total });
            match self.picture.get_mut(done) {
                Some(place) => *place = decoded,
                None => self.picture.push(decoded),
            }
            done += 1;
        }
        assert_eq!((reader.1, done), (end, total));
    }

    fn header(&mut self, reader: &mut Reader, key: bool) {
        assert_eq!(reader.ue(), 0, "first macroblock");
        assert_eq!(reader.ue(), if key { 7 } else { 5 }, "slice type");
        assert_eq!(reader.ue(), 0, "picture parameter set");
        let frame_num = reader.take(FRAME_NUM_BITS);
        assert_eq!(frame_num, if key { 0 } else { (self.frame_num + 1) % 256 });
        self.frame_num = frame_num;
        if key {
            let id = reader.ue();
            assert_ne!(id, self.idr_pic_id, "key pictures in a row have different ids");
            self.idr_pic_id = id;
        }
        assert_eq!(reader.take(if key { 2 } else { 3 }), 0);
        assert_eq!(reader.se(), 0, "quantiser as in the parameter set");
        assert_eq!(reader.ue(), 1, "no deblocking");
    }

    fn macroblock(&self, reader: &mut Reader, index: usize, base: u32) -> Decoded {
        let kind = reader.ue() - base - 1;
        assert!(kind < 8, "only DC levels");
        let chroma_mode = reader.ue();
        assert_eq!(reader.se(), 0, "quantiser stays");
        let left = || {
            assert_ne!(index % self.columns, 0);
            self.picture[index - 1]
        };
        let above = || self.picture[index - self.columns];
        let mut luma: [i32; 16] = match kind % 4 {
            0 => std::array::from_fn(|at| above().luma[12 + at % 4]),
            1 => std::array::from_fn(|at| left().luma[at / 4 * 4 + 3]),
            2 if index == 0 => [128; 16],
            _ => unreachable!("not used"),
        };
        let mut chroma = match chroma_mode {
            0 if index == 0 => [128; 2],
            1 => left().chroma,
            2 => above().chroma,
            _ => unreachable!("not used"),
        };
        let levels = read_luma_dc(reader);
        // The standard's way: the transform of a 4x4 grid, scaled, shifted, and shifted again.
        let mut grid = [0; 16];
        for (level, at) in
            levels.into_iter().zip([0, 1, 4, 8, 5, 2, 3, 6, 9, 12, 13, 10, 7, 11, 14, 15])
        {
            grid[at] = level;
        }
        for row in 0..4 {
            hadamard(&mut grid, row * 4, 1);
        }
        for column in 0..4 {
            hadamard(&mut grid, column, 4);
        }
        for (pixel, value) in luma.iter_mut().zip(grid) {
            let scaled = (value * 256 + (1 << (5 - QP / 6))) >> (6 - QP / 6);
            *pixel += (scaled + 32) >> 6;
        }
        if kind >= 4 {
            for colour in &mut chroma {
                let scaled = ((read_chroma_dc(reader) * 256) << ((QP + CHROMA_OFFSET) / 6)) >> 5;
                *colour += (scaled + 32) >> 6;
            }
        }
        Decoded { luma, chroma }
    }
}

#[test]
fn every_picture_decodes_to_what_was_drawn() {
    // Whole, cropped, narrow, with and without a clock.
    for (width, height) in [(640, 360), (320, 240), (16, 16), (18, 400), (720, 50), (1280, 720)] {
        let mut picture = Picture::new(width, height);
        let mut encoder = Encoder::new(picture.columns);
        let total = picture.cells.len();
        let columns = picture.columns;
        let mut decoder = Decoder { columns, picture: Vec::new(), frame_num: 0, idr_pic_id: 2 };
        let mut shown = Vec::new();
        for number in 0..24 {
            let micros = number * 133_331;
            let flash = number % 3 == 0;
            picture.draw(&Moment { clock: micros * 4001, frame: number as u64, micros, flash });
            let kind = match number % 9 {
                0 => Kind::Key,
                5 => Kind::Still,
                _ => Kind::Delta,
            };
            if kind != Kind::Still {
                shown = picture.cells.iter().map(Decoded::from).collect();
            }
            let mut out = Vec::new();
            encoder.write(&picture.cells, kind, &mut out);
            decoder.decode(&out, total);
            assert!(decoder.picture == shown, "{width}x{height}, picture {number}");
        }
    }
}

#[test]
fn parameter_sets_say_the_size_and_the_rate() {
    let sequence = Sequence { width: 1918, height: 1078, num: 30_000, den: 1001, level: 40 };
    let record = sequence.record();
    assert_eq!(record[..6], [1, 66, 0xc0, 40, 0xff, 0xe1]);
    let len = usize::from(record[7]);
    let sps = unescape(&record[9..8 + len]);
    assert_eq!(record[8], NAL_SPS);
    let mut reader = Reader(&sps, 24);
    let head = [0; 4].map(|_: u32| reader.ue());
    assert_eq!(head, [0, FRAME_NUM_BITS - 4, 2, 1]);
    assert_eq!(reader.bit(), 0);
    assert_eq!((reader.ue(), reader.ue()), (119, 67));
    assert_eq!(reader.take(3), 0b111);
    assert_eq!([0; 4].map(|_: u32| reader.ue()), [0, 1, 0, 5]);
    assert_eq!(reader.take(1 + 1 + 8 + 1 + 1 + 3 + 1 + 1), 0b1_1000_0000_1011_0101);
    assert_eq!(reader.take(24), 0x01_01_01);
    assert_eq!(reader.take(2), 0b01);
    assert_eq!((reader.take(32), reader.take(32)), (1001, 60_000));
    // One picture parameter set behind it, to the end.
    let rest = &record[8 + len..];
    assert_eq!((rest[0], usize::from(rest[2]), rest[3]), (1, rest.len() - 3, NAL_PPS));
}

#[test]
fn level_is_the_lowest_that_fits() {
    assert_eq!(level(1280, 720, 30, 1, 2_500_000), Some(31));
    assert_eq!(level(1920, 1080, 30, 1, 6_000_000), Some(40));
    assert_eq!(level(1920, 1080, 60, 1, 6_000_000), Some(42));
    assert_eq!(level(320, 180, 30, 1, 60_000_000), Some(50));
    assert_eq!(level(3840, 2160, 60, 1, 40_000_000), Some(52));
    // Not too many, but too long a row.
    assert_eq!(level(4096, 16, 30, 1, 100_000), Some(40));
    assert_eq!(level(8192, 16, 30, 1, 100_000), Some(51));
    assert_eq!(level(16_384, 16_384, 30, 1, 100_000), None);
}

#[test]
fn filler_is_as_long_as_asked() {
    for len in FILLER_MIN..300 {
        let mut out = vec![7];
        filler(len, &mut out);
        assert_eq!(out.len(), 1 + len);
        assert_eq!(u32::from_be_bytes([out[1], out[2], out[3], out[4]]) as usize, len - 4);
        assert_eq!((out[5], out[len]), (NAL_FILLER, 0x80));
    }
}
