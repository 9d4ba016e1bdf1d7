//! Pictures: NAL units behind start codes, with the parameter sets before them that a decoder begins with.

use crate::codec::avc;
use crate::codec::bits::CodecError;
use crate::codec::hevc;
use crate::codec::nal::Nals;
use crate::frame::Codec;
use crate::limits::CODEC_PARAMETER_SETS;

/// Before each NAL unit. The long form, which some need before the first and before parameter sets.
const START: &[u8] = &[0, 0, 0, 1];

/// What a NAL unit is, as far as this page has to tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Delimiter,
    Vps,
    Sps,
    Pps,
    Other,
}

impl Kind {
    pub fn of(codec: Codec, nal: &[u8]) -> Self {
        let first = nal.first().copied().unwrap_or_default();
        if codec == Codec::Avc {
            return match first & 0x1f {
                7 => Self::Sps,
                8 => Self::Pps,
                9 => Self::Delimiter,
                _ => Self::Other,
            };
        }
        match first >> 1 & 0x3f {
            32 => Self::Vps,
            33 => Self::Sps,
            34 => Self::Pps,
            35 => Self::Delimiter,
            _ => Self::Other,
        }
    }
}

/// A track of pictures, as its configuration record says.
#[derive(Debug)]
pub(super) struct Pictures {
    pub codec: Codec,
    length_size: u8,
    /// Parameter sets, each behind a start code.
    sets: Vec<u8>,
}

impl Pictures {
    /// Nothing, if the codec is none of NAL units.
    pub fn new(codec: Codec, record: &[u8]) -> Result<Option<Self>, CodecError> {
        let mut sets = Vec::new();
        let mut add = |lists: &[&Vec<&[u8]>]| {
            for set in lists.iter().flat_map(|list| list.iter()) {
                sets.extend_from_slice(START);
                sets.extend_from_slice(set);
            }
        };
        let length_size = match codec {
            Codec::Avc => {
                let config = avc::Config::parse(record)?;
                add(&[&config.sps, &config.pps]);
                config.length_size
            }
            Codec::Hevc => {
                let config = hevc::Config::parse(record)?;
                add(&[&config.vps, &config.sps, &config.pps]);
                config.length_size
            }
            _ => return Ok(None),
        };
        Ok(Some(Self { codec, length_size, sets }))
    }

    /// A payload as it is to be written; nothing, if no NAL unit is in it.
    pub fn unit<'a>(
        &'a self,
        payload: &'a [u8],
        key: bool,
    ) -> Result<Option<AccessUnit<'a>>, CodecError> {
        let nals = match self.codec {
            Codec::Avc => avc::nals(payload, self.length_size),
            _ => hevc::nals(payload, self.length_size),
        };
        let (mut len, mut sps, mut pps) = (0, false, false);
        for nal in nals.clone() {
            let nal = nal?;
            match Kind::of(self.codec, nal) {
                // There is one already.
                Kind::Delimiter => continue,
                Kind::Sps => sps = true,
                Kind::Pps => pps = true,
                Kind::Vps | Kind::Other => {}
            }
            len += START.len() + nal.len();
        }
        if len == 0 {
            return Ok(None);
        }
        let sets: &[u8] = if key && !(sps && pps) { &self.sets } else { &[] };
        // Any kind of slice may follow.
        let delimiter: &[u8] = match self.codec {
            Codec::Avc => &[0, 0, 0, 1, 0x09, 0xf0],
            _ => &[0, 0, 0, 1, 0x46, 0x01, 0x50],
        };
        let len = delimiter.len() + sets.len() + len;
        Ok(Some(AccessUnit { codec: self.codec, len, delimiter, sets, nals }))
    }
}

/// An access unit to be written.
pub(super) struct AccessUnit<'a> {
    codec: Codec,
    pub len: usize,
    delimiter: &'a [u8],
    sets: &'a [u8],
    nals: Nals<'a>,
}

impl<'a> AccessUnit<'a> {
    /// Calls `write` with all of its bytes in turn.
    pub fn write(self, mut write: impl FnMut(&[u8])) {
        write(self.delimiter);
        write(self.sets);
        for nal in self.nals.flatten() {
            if Kind::of(self.codec, nal) != Kind::Delimiter {
                write(START);
                write(nal);
            }
        }
    }
}

/// The NAL units between start codes. What stands before the first is not looked at, and zeros behind a unit
/// are not of it.
pub(super) fn split(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = find(bytes).map(|(_, behind)| behind);
    std::iter::from_fn(move || {
        let unit = rest?;
        let (unit, behind) = match find(unit) {
            Some((before, behind)) => (before, Some(behind)),
            None => (unit, None),
        };
        rest = behind;
        let zeros = unit.iter().rev().take_while(|byte| **byte == 0).count();
        Some(unit.get(..unit.len() - zeros).unwrap_or_default())
    })
    .filter(|unit| !unit.is_empty())
}

/// What stands before and behind the first 0 0 1.
fn find(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 0;
    while let Some([first, second, third]) = bytes.get(at..at + 3) {
        match (first, second, third) {
            (0, 0, 1) => return Some((bytes.get(..at)?, bytes.get(at + 3..)?)),
            // None of the three can be the first of a start code.
            (_, _, 2..) => at += 3,
            _ => at += 1,
        }
    }
    None
}

/// Parameter sets of one access unit.
#[derive(Debug, Default)]
pub(super) struct Sets<'a> {
    pub vps: Vec<&'a [u8]>,
    pub sps: Vec<&'a [u8]>,
    pub pps: Vec<&'a [u8]>,
}

impl<'a> Sets<'a> {
    /// Takes a NAL unit if it is one.
    pub fn add(&mut self, codec: Codec, nal: &'a [u8]) {
        let sets = match Kind::of(codec, nal) {
            Kind::Vps => &mut self.vps,
            Kind::Sps => &mut self.sps,
            Kind::Pps => &mut self.pps,
            Kind::Delimiter | Kind::Other => return,
        };
        // More than any record holds make none.
        if sets.len() < CODEC_PARAMETER_SETS {
            sets.push(nal);
        }
    }

    /// The configuration record with four-byte lengths that these make, if a decoder can begin with them.
    pub fn record(&self, codec: Codec) -> Result<Option<Vec<u8>>, CodecError> {
        let Some(first) = self.sps.first() else { return Ok(None) };
        let fits = self.vps.iter().chain(&self.sps).chain(&self.pps).all(|set| set.len() < 1 << 16);
        if !fits || self.pps.is_empty() {
            return Ok(None);
        }
        if codec == Codec::Avc {
            let sps = avc::Sps::parse(first)?;
            return Ok(self.avc(&sps));
        }
        let sps = hevc::Sps::parse(first)?;
        Ok((!self.vps.is_empty()).then(|| self.hevc(&sps)).flatten())
    }

    fn avc(&self, sps: &avc::Sps) -> Option<Vec<u8>> {
        let mut out = vec![1, sps.profile, sps.constraints, sps.level, 0xff];
        out.push(0xe0 | count(&self.sps, 31)?);
        append(&self.sps, &mut out);
        out.push(count(&self.pps, 255)?);
        append(&self.pps, &mut out);
        if matches!(sps.profile, 100 | 110 | 122 | 144) {
            let depth = 0xf8 | (sps.bit_depth - 8);
            out.extend_from_slice(&[0xfc | sps.chroma, depth, depth, 0]);
        }
        Some(out)
    }

    fn hevc(&self, sps: &hevc::Sps) -> Option<Vec<u8>> {
        let profile = &sps.profile;
        let mut out = vec![1, profile.space << 6 | u8::from(profile.high_tier) << 5 | profile.idc];
        out.extend_from_slice(&profile.compatibility.to_be_bytes());
        let [_, _, constraints @ ..] = profile.constraints.to_be_bytes();
        out.extend_from_slice(&constraints);
        let depth = 0xf8 | (sps.bit_depth - 8);
        // No segmentation, parallelism and frame rate are told of; lengths have four bytes.
        let rest = [profile.level, 0xf0, 0, 0xfc, 0xfc | sps.chroma, depth, depth, 0, 0, 0x0f, 3];
        out.extend_from_slice(&rest);
        for (kind, sets) in [(32, &self.vps), (33, &self.sps), (34, &self.pps)] {
            out.extend_from_slice(&[0x80 | kind, 0, count(sets, 64)?]);
            append(sets, &mut out);
        }
        Some(out)
    }
}

fn count(sets: &[&[u8]], most: u8) -> Option<u8> {
    u8::try_from(sets.len()).ok().filter(|count| *count <= most)
}

fn append(sets: &[&[u8]], out: &mut Vec<u8>) {
    for set in sets {
        out.extend_from_slice(&(set.len() as u16).to_be_bytes());
        out.extend_from_slice(set);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AVC_1080: &[u8] = include_bytes!("../../../fuzz/corpus/avc/high_1080");
    const AVC_HIGH_422: &[u8] = include_bytes!("../../../fuzz/corpus/avc/high_422");
    const HEVC_MAIN: &[u8] = include_bytes!("../../../fuzz/corpus/hevc/main");
    const HEVC_MAIN_10: &[u8] = include_bytes!("../../../fuzz/corpus/hevc/main_10");

    fn written(codec: Codec, record: &[u8], payload: &[u8], key: bool) -> Vec<u8> {
        let pictures = Pictures::new(codec, record).unwrap().unwrap();
        let unit = pictures.unit(payload, key).unwrap().unwrap();
        let (len, mut out) = (unit.len, Vec::new());
        unit.write(|bytes| out.extend_from_slice(bytes));
        assert_eq!(out.len(), len);
        out
    }

    #[test]
    fn sets_go_before_keyframes_that_have_none() {
        let record = AVC_1080;
        let kinds = |payload: &[u8], key| -> Vec<u8> {
            split(&written(Codec::Avc, record, payload, key)).map(|nal| nal[0] & 31).collect()
        };
        let payload = |units: &[u8]| -> Vec<u8> {
            units.iter().flat_map(|first| [0, 0, 0, 2, *first, 0x80]).collect()
        };
        assert_eq!(kinds(&payload(&[0x65]), true), [9, 7, 8, 5]);
        assert_eq!(kinds(&payload(&[0x41]), false), [9, 1]);
        // Its own delimiter and its own sets.
        assert_eq!(kinds(&payload(&[9, 0x67, 0x68, 0x65]), true), [9, 7, 8, 5]);
        // Half of them is not enough.
        assert_eq!(kinds(&payload(&[9, 0x68, 0x65]), true), [9, 7, 8, 8, 5]);
        let pictures = Pictures::new(Codec::Avc, record).unwrap().unwrap();
        assert!(pictures.unit(&payload(&[9]), true).unwrap().is_none());
        assert!(pictures.unit(&[0, 0, 0, 9, 1], true).is_err());
    }

    #[test]
    fn records_come_back_from_sets() {
        for (codec, record) in [
            (Codec::Avc, AVC_1080),
            (Codec::Avc, AVC_HIGH_422),
            (Codec::Hevc, HEVC_MAIN),
            (Codec::Hevc, HEVC_MAIN_10),
        ] {
            let first = if codec == Codec::Avc { 0x65 } else { 0x26 };
            let unit = written(codec, record, &[0, 0, 0, 2, first, 9], true);
            let mut sets = Sets::default();
            for nal in split(&unit) {
                sets.add(codec, nal);
            }
            let again = sets.record(codec).unwrap().unwrap();
            if codec == Codec::Avc {
                assert_eq!(again, record);
            } else {
                // Records say more, but nothing that the parameter sets don't.
                let (again, config) =
                    (hevc::Config::parse(&again).unwrap(), hevc::Config::parse(record).unwrap());
                assert_eq!(again, config);
            }
        }
    }

    proptest! {
        #[test]
        fn units_come_back_from_between_start_codes(
            units in prop::collection::vec(prop::collection::vec(2_u8.., 1..20), 0..6),
            before in prop::collection::vec(0_u8..1, 0..4),
            zeros in 0_usize..3,
        ) {
            let mut bytes = before;
            for unit in &units {
                bytes.extend_from_slice(&vec![0; zeros]);
                bytes.extend_from_slice(&[0, 0, 1]);
                bytes.extend_from_slice(unit);
            }
            bytes.extend_from_slice(&vec![0; zeros]);
            prop_assert_eq!(split(&bytes).collect::<Vec<_>>(), units);
        }
    }
}
