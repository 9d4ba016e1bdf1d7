//! NAL units behind their lengths: the payloads of AVC and HEVC in files and in RTMP.

use super::bits::{CodecError, Fault};

/// The NAL units of one payload. Ends after its first error.
#[derive(Clone, Debug)]
pub struct Nals<'a> {
    codec: &'static str,
    rest: &'a [u8],
    length_size: usize,
}

impl<'a> Nals<'a> {
    /// Of a payload whose lengths are `length_size` bytes, as its configuration record says (1, 2 or 4).
    #[must_use]
    pub const fn new(codec: &'static str, payload: &'a [u8], length_size: u8) -> Self {
        Self { codec, rest: payload, length_size: length_size as usize }
    }

    fn take(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.rest.split_at_checked(self.length_size)?;
        let length = length.iter().fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte));
        let (nal, rest) = rest.split_at_checked(length)?;
        self.rest = rest;
        Some(nal)
    }
}

impl<'a> Iterator for Nals<'a> {
    type Item = Result<&'a [u8], CodecError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            match self.take() {
                // Some encoders pad with units of no bytes.
                Some([]) if self.length_size > 0 => {}
                Some(nal) if self.length_size > 0 => return Some(Ok(nal)),
                _ => {
                    self.rest = &[];
                    let part = "payload, in a NAL unit by its length,";
                    return Some(Err(CodecError { codec: self.codec, part, fault: Fault::Short }));
                }
            }
        }
        None
    }
}

/// What the NAL units of a payload are for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Contents {
    /// A slice of a picture that decodes on its own.
    pub key: bool,
    /// A slice of any picture. Without one it is parameter sets, SEI or the like alone.
    pub picture: bool,
    /// A parameter set: configuration in band.
    pub config: bool,
}

impl Contents {
    /// Looks at each NAL unit's first byte; `kind` says what that makes of it.
    pub(super) fn of(nals: Nals<'_>, kind: fn(u8) -> Self) -> Result<Self, CodecError> {
        let mut all = Self::default();
        for nal in nals {
            let one = kind(nal?.first().copied().unwrap_or_default());
            all.key |= one.key;
            all.picture |= one.picture;
            all.config |= one.config;
        }
        Ok(all)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nals(payload: &[u8], length_size: u8) -> Result<Vec<&[u8]>, CodecError> {
        Nals::new("AVC", payload, length_size).collect()
    }

    #[test]
    fn lengths_of_every_size() {
        assert_eq!(nals(&[2, 9, 9, 1, 7], 1).unwrap(), [&[9, 9][..], &[7]]);
        assert_eq!(nals(&[0, 2, 9, 9, 0, 0, 0, 1, 7], 2).unwrap(), [&[9, 9][..], &[7]]);
        assert_eq!(nals(&[0, 0, 0, 1, 5], 4).unwrap(), [&[5][..]]);
        assert_eq!(nals(&[], 4).unwrap(), Vec::<&[u8]>::new());
    }

    #[test]
    fn a_length_past_the_payload_is_an_error() {
        let error = nals(&[0, 0, 0, 1, 5, 0, 0, 0, 2, 5], 4).unwrap_err();
        assert_eq!(
            error.to_string(),
            "sender's AVC payload, in a NAL unit by its length, ends too early"
        );
        assert!(nals(&[0xff; 9], 4).is_err());
        assert!(nals(&[0, 0, 0], 4).is_err());
        assert!(nals(&[1], 0).is_err());
        assert!(nals(&[0xff; 40], 32).is_err());
    }

    proptest! {
        #[test]
        fn units_come_back_and_any_cut_is_an_error_or_whole_units(
            units in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 0..6),
        ) {
            let mut payload = Vec::new();
            let mut ends = vec![0];
            for unit in &units {
                payload.extend((unit.len() as u32).to_be_bytes());
                payload.extend(unit);
                ends.push(payload.len());
            }
            prop_assert_eq!(nals(&payload, 4).unwrap(), units);
            for cut in 0..payload.len() {
                prop_assert_eq!(nals(&payload[..cut], 4).is_ok(), ends.contains(&cut));
            }
        }

        #[test]
        fn anything_ends(bytes in prop::collection::vec(any::<u8>(), 0..64), size in 0_u8..9) {
            prop_assert!(Nals::new("AVC", &bytes, size).count() <= bytes.len());
        }
    }
}
