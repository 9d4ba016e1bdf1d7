//! Usability information (VUI), as far as AVC and HEVC begin it alike: how a picture is to be shown.

use super::bits::{BitReader, CodecError};

/// Pixel shapes by their index.
const ASPECTS: [(u16, u16); 17] = [
    (0, 0),
    (1, 1),
    (12, 11),
    (10, 11),
    (16, 11),
    (40, 33),
    (24, 11),
    (20, 11),
    (32, 11),
    (80, 33),
    (18, 11),
    (15, 11),
    (64, 33),
    (160, 99),
    (4, 3),
    (3, 2),
    (2, 1),
];
/// The index that says the shape follows.
const EXPLICIT: u8 = 255;

/// How a picture is to be shown, as far as it is said.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Shown {
    /// Width and height of a pixel, in any unit.
    pub aspect: Option<(u16, u16)>,
    /// What its numbers mean as colours.
    pub colour: Option<Colour>,
}

/// What the numbers of a picture mean as colours, by the code points of ITU-T H.273.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Colour {
    /// `colour_primaries`.
    pub primaries: u8,
    /// `transfer_characteristics`.
    pub transfer: u8,
    /// `matrix_coefficients`.
    pub matrix: u8,
    /// Black is 0 and white all ones.
    pub full_range: bool,
}

impl Shown {
    /// Reads from the pixel's shape to the place of chroma samples. What is read before an error stays.
    pub(super) fn read(&mut self, bits: &mut BitReader<'_>) -> Result<(), CodecError> {
        if bits.flag()? {
            let index = bits.byte()?;
            let (width, height) = match index {
                EXPLICIT => (bits.read(16)? as u16, bits.read(16)? as u16),
                _ => ASPECTS.get(usize::from(index)).copied().unwrap_or_default(),
            };
            self.aspect = (width > 0 && height > 0).then_some((width, height));
        }
        if bits.flag()? {
            bits.skip(1)?;
        }
        if bits.flag()? {
            bits.skip(3)?;
            let full_range = bits.flag()?;
            if bits.flag()? {
                let (primaries, transfer) = (bits.byte()?, bits.byte()?);
                let matrix = bits.byte()?;
                self.colour = Some(Colour { primaries, transfer, matrix, full_range });
            }
        }
        if bits.flag()? {
            bits.ue()?;
            bits.ue()?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::Bits;
    use super::super::tests::{AVC_1080, HEVC_MAIN, hex};
    use super::super::{avc, hevc};
    use super::*;

    fn read(bits: &Bits) -> Shown {
        let bytes = bits.bytes();
        let mut shown = Shown::default();
        let _ = shown.read(&mut BitReader::new("test", "VUI", &bytes));
        shown
    }

    #[test]
    fn shapes_and_colours() {
        let mut bits = Bits::default();
        bits.put(1, 1).put(8, 255).put(16, 7).put(16, 5).put(1, 1).put(1, 0);
        bits.put(1, 1).put(3, 5).put(1, 1).put(1, 1).put(8, 9).put(8, 16).put(8, 9);
        bits.put(1, 1).ue(0).ue(0);
        let colour = Some(Colour { primaries: 9, transfer: 16, matrix: 9, full_range: true });
        assert_eq!(read(&bits), Shown { aspect: Some((7, 5)), colour });
        for (index, aspect) in [(0, None), (1, Some((1, 1))), (16, Some((2, 1))), (17, None)] {
            let mut bits = Bits::default();
            bits.put(1, 1).put(8, index).put(3, 0);
            assert_eq!(read(&bits), Shown { aspect, colour: None });
        }
        let mut bits = Bits::default();
        bits.put(1, 1).put(8, 255).put(16, 7).put(16, 0).put(3, 0);
        assert_eq!(read(&bits), Shown::default());
    }

    #[test]
    fn what_x264_and_x265_say() {
        let record = hex(AVC_1080);
        let shown = avc::Config::parse(&record).unwrap().picture.shown;
        assert_eq!(shown, Shown { aspect: Some((1, 1)), colour: None });
        let record = hex(HEVC_MAIN);
        let shown = hevc::Config::parse(&record).unwrap().picture.shown;
        assert_eq!(shown.colour, None);
    }
}
