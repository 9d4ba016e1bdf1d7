//! The tables that say what is in a stream: PAT and PMT.

use super::TsError;

/// The PID of the PAT.
pub(super) const PAT_PID: u16 = 0;
const PAT: u8 = 0;
const PMT: u8 = 2;
/// The number of the only program, and of the stream it is in.
const PROGRAM: u16 = 1;
/// Longest `section_length` of these tables.
const SECTION_MAX: usize = 1021;
/// What stands behind a section's length before its content, and the checksum behind it.
const SYNTAX: usize = 5;
const CRC: usize = 4;

/// Types of streams in a PMT.
pub(super) mod stream_type {
    pub const MPEG1_AUDIO: u8 = 0x03;
    pub const MPEG2_AUDIO: u8 = 0x04;
    /// What it is a descriptor says.
    pub const PRIVATE: u8 = 0x06;
    pub const AAC: u8 = 0x0f;
    pub const AVC: u8 = 0x1b;
    pub const HEVC: u8 = 0x24;
    pub const AC3: u8 = 0x81;
    pub const EAC3: u8 = 0x87;
}

/// The tags of descriptors.
pub(super) mod descriptor {
    pub const REGISTRATION: u8 = 0x05;
    pub const EXTENSION: u8 = 0x7f;
    /// DVB's AC-3 and E-AC-3, of streams that are private.
    pub const DVB_AC3: u8 = 0x6a;
    pub const DVB_EAC3: u8 = 0x7a;
    /// What Opus says in an extension.
    pub const OPUS: u8 = 0x80;
}

/// One elementary stream of a PMT.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Stream<D> {
    pub kind: u8,
    pub pid: u16,
    pub descriptors: D,
}

/// The checksum of sections: CRC-32 with the highest bit first and nothing inverted at its end. Over a section
/// with its checksum it is 0.
fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| {
            crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 }
        })
    })
}

fn section(table: u8, id: u16, version: u8, content: &[u8]) -> Vec<u8> {
    let length = (SYNTAX + content.len() + CRC) as u16;
    let mut out = vec![table];
    out.extend_from_slice(&(0xb000 | length).to_be_bytes());
    out.extend_from_slice(&id.to_be_bytes());
    // In force now, and the only section.
    out.extend_from_slice(&[0xc1 | (version & 31) << 1, 0, 0]);
    out.extend_from_slice(content);
    let crc = crc(&out);
    out.extend_from_slice(&crc.to_be_bytes());
    out
}

/// The PAT, which says where the PMT is.
pub(super) fn pat(pmt_pid: u16) -> Vec<u8> {
    let [program, pid] = [PROGRAM, 0xe000 | pmt_pid].map(u16::to_be_bytes);
    section(PAT, PROGRAM, 0, &[program, pid].concat())
}

/// The PMT, which says what there is.
pub(super) fn pmt(version: u8, pcr_pid: u16, streams: &[Stream<Vec<u8>>]) -> Vec<u8> {
    let mut content = (0xe000 | pcr_pid).to_be_bytes().to_vec();
    content.extend_from_slice(&[0xf0, 0]);
    for stream in streams {
        content.push(stream.kind);
        content.extend_from_slice(&(0xe000 | stream.pid).to_be_bytes());
        content.extend_from_slice(&(0xf000 | stream.descriptors.len() as u16).to_be_bytes());
        content.extend_from_slice(&stream.descriptors);
    }
    section(PMT, PROGRAM, version, &content)
}

/// Puts the sections of a PID together.
#[derive(Debug, Default)]
pub(super) struct Sections {
    /// What came of the section that has begun.
    bytes: Vec<u8>,
    begun: bool,
}

impl Sections {
    /// Takes a packet's payload and calls `each` with every section that ends in it.
    pub fn receive(
        &mut self,
        payload: &[u8],
        starts: bool,
        each: &mut dyn FnMut(&[u8]) -> Result<(), TsError>,
    ) -> Result<(), TsError> {
        if !starts {
            return self.go_on(payload, each);
        }
        let (pointer, payload) = payload.split_first().ok_or(TsError::Short("pointer_field"))?;
        let (end, payload) = payload
            .split_at_checked(usize::from(*pointer))
            .ok_or(TsError::Short("packet before its pointer_field's section"))?;
        self.go_on(end, each)?;
        self.bytes.clear();
        self.begun = true;
        self.go_on(payload, each)
    }

    /// Forgets what has begun, as what follows is lost.
    pub fn lose(&mut self) {
        *self = Self::default();
    }

    /// Bytes of the section that has begun.
    pub fn held(&self) -> usize {
        self.bytes.len()
    }

    fn go_on(
        &mut self,
        mut payload: &[u8],
        each: &mut dyn FnMut(&[u8]) -> Result<(), TsError>,
    ) -> Result<(), TsError> {
        while self.begun {
            // Stuffing, up to the packet's end.
            if self.bytes.is_empty() && matches!(payload, [] | [0xff, ..]) {
                self.begun = !matches!(payload, [0xff, ..]);
                break;
            }
            let wanted = self.wanted()?;
            let missing = wanted.saturating_sub(self.bytes.len()).min(payload.len());
            let (now, later) = payload.split_at(missing);
            self.bytes.extend_from_slice(now);
            payload = later;
            if self.bytes.len() < wanted {
                break;
            }
            // Only now its header may have come, and says how long it is.
            if self.wanted()? == self.bytes.len() {
                each(&std::mem::take(&mut self.bytes))?;
            }
        }
        Ok(())
    }

    /// Bytes of the section as far as it is known: of its header, then of all of it.
    fn wanted(&self) -> Result<usize, TsError> {
        let [_, high, low, ..] = self.bytes[..] else { return Ok(3) };
        let length = usize::from(u16::from_be_bytes([high & 0x0f, low]));
        if length > SECTION_MAX {
            return Err(TsError::SectionLength(length));
        }
        Ok(3 + length)
    }
}

/// A whole section of this table that is in force, without what stands around its content; its
/// `table_id_extension` is not looked at.
fn content<'a>(
    section: &'a [u8],
    table: u8,
    name: &'static str,
) -> Result<Option<&'a [u8]>, TsError> {
    let [id, syntax, _, rest @ ..] = section else { return Err(TsError::Short(name)) };
    if *id != table || syntax & 0x80 == 0 {
        return Ok(None);
    }
    if crc(section) != 0 {
        return Err(TsError::Checksum(name));
    }
    let end = rest.len().checked_sub(CRC).ok_or(TsError::Short(name))?;
    let rest = rest.get(..end).unwrap_or_default();
    let [_, _, version, _, _, content @ ..] = rest else { return Err(TsError::Short(name)) };
    Ok((version & 1 == 1).then_some(content))
}

/// The PID of the first program's PMT. `None` says that the section is no PAT in force, or has no program.
pub(super) fn parse_pat(section: &[u8]) -> Result<Option<u16>, TsError> {
    let content = content(section, PAT, "PAT")?.unwrap_or_default();
    let programs = content.chunks_exact(4).filter_map(|entry| entry.first_chunk::<4>());
    // Number 0 says where the network's table is.
    let mut pids = programs
        .map(|[a, b, c, d]| (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c & 0x1f, *d])))
        .filter(|(program, _)| *program != 0);
    Ok(pids.next().map(|(_, pid)| pid))
}

/// The elementary streams of a PMT, if it is one that is in force.
pub(super) fn parse_pmt(section: &[u8]) -> Result<Option<Vec<Stream<&[u8]>>>, TsError> {
    let short = TsError::Short("PMT");
    let Some(content) = content(section, PMT, "PMT")? else { return Ok(None) };
    let [_, _, high, low, rest @ ..] = content else { return Err(short) };
    let length = usize::from(u16::from_be_bytes([high & 0x0f, *low]));
    let mut rest = rest.get(length..).ok_or(short)?;
    let mut streams = Vec::new();
    while !rest.is_empty() {
        let [kind, pid_high, pid_low, high, low, after @ ..] = rest else { return Err(short) };
        let length = usize::from(u16::from_be_bytes([high & 0x0f, *low]));
        let (descriptors, after) = after.split_at_checked(length).ok_or(short)?;
        let pid = u16::from_be_bytes([pid_high & 0x1f, *pid_low]);
        streams.push(Stream { kind: *kind, pid, descriptors });
        rest = after;
    }
    Ok(Some(streams))
}

/// The content of the first descriptor of this tag.
pub(super) fn find_descriptor(mut descriptors: &[u8], tag: u8) -> Option<&[u8]> {
    while let [found, length, rest @ ..] = descriptors {
        let (content, after) = rest.split_at_checked(usize::from(*length))?;
        if *found == tag {
            return Some(content);
        }
        descriptors = after;
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tables_to_the_letter() {
        // As ffmpeg writes it, with its checksum.
        assert_eq!(pat(0x1000), b"\0\xb0\x0d\0\x01\xc1\0\0\0\x01\xf0\0\x2a\xb1\x04\xb2");
        let registration = b"\x05\x04Opus".to_vec();
        let streams = [
            Stream { kind: stream_type::AVC, pid: 0x100, descriptors: vec![] },
            Stream { kind: stream_type::PRIVATE, pid: 0x101, descriptors: registration },
        ];
        let pmt = pmt(3, 0x100, &streams);
        let expected =
            b"\x02\xb0\x1d\0\x01\xc7\0\0\xe1\0\xf0\0\x1b\xe1\0\xf0\0\x06\xe1\x01\xf0\x06\x05\x04Opus";
        assert_eq!(pmt[..28], expected[..]);
        let found = parse_pmt(&pmt).unwrap().unwrap();
        assert_eq!(found.len(), 2);
        for (found, stream) in found.iter().zip(&streams) {
            assert_eq!((found.kind, found.pid), (stream.kind, stream.pid));
            assert_eq!(found.descriptors, stream.descriptors);
        }
        assert_eq!(find_descriptor(found[1].descriptors, 5), Some(&b"Opus"[..]));
        assert_eq!(find_descriptor(found[1].descriptors, 6), None);
        assert_eq!(parse_pat(&pat(0x1234)), Ok(Some(0x1234)));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let mut table = pat(0x1000);
        table[9] ^= 1;
        assert_eq!(
            parse_pat(&table).unwrap_err().to_string(),
            "sender's PAT does not fit to its checksum"
        );
        let mut sections = Sections::default();
        let mut none = |_: &[u8]| Ok(());
        assert_eq!(
            sections.receive(&[0, 0, 0xbf, 0xff], true, &mut none).unwrap_err().to_string(),
            "sender's TS section has section_length 4095, expected at most 1021"
        );
    }

    proptest! {
        #[test]
        fn sections_come_back_however_they_are_cut(
            lens in prop::collection::vec(0_usize..300, 1..4),
            cut in 1_usize..184,
            stuffing in 0_usize..9,
        ) {
            let sections: Vec<Vec<u8>> = lens
                .iter()
                .map(|len| [&[7, 0x80 | (len >> 8) as u8, *len as u8][..], &vec![7; *len]].concat())
                .collect();
            let payload = [sections.concat(), vec![0xff; stuffing]].concat();
            let (mut back, mut assembler) = (Vec::new(), Sections::default());
            let mut each = |section: &[u8]| { back.push(section.to_vec()); Ok(()) };
            // What comes before the first beginning is of a section that nobody saw begin.
            assembler.receive(&[1, 2, 3], false, &mut each).unwrap();
            for (number, piece) in payload.chunks(cut).enumerate() {
                let starts = number == 0;
                let packet = [if starts { &[2, 8, 8][..] } else { &[] }, piece].concat();
                assembler.receive(&packet, starts, &mut each).unwrap();
            }
            prop_assert_eq!(back, sections);
        }
    }
}
