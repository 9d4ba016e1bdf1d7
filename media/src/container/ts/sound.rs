//! Sound: what stands before each frame in a PES packet, how long a frame is, where it ends.
//!
//! | codec | before each frame |
//! | --- | --- |
//! | AAC | an ADTS header, from the configuration |
//! | Opus | a control header with the frame's length |
//! | MP3, AC-3, E-AC-3 | nothing: frames say their length themselves |

use super::pes::stream_id;
use super::psi::{descriptor, find_descriptor, stream_type};
use crate::codec::aac;
use crate::codec::ac3;
use crate::codec::bits::{BitReader, CodecError, Fault};
use crate::codec::mp3;
use crate::codec::opus;
use crate::frame::Codec;

/// A track of sound, as its configuration record says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sound {
    Aac(aac::Config),
    Mp3,
    /// With its channels.
    Opus(u8),
    Ac3,
    Eac3,
}

impl Sound {
    /// Nothing, if TS has no words for the codec or the configuration.
    pub fn new(codec: Codec, record: &[u8]) -> Result<Option<Self>, CodecError> {
        Ok(match codec {
            Codec::Aac => {
                let config = aac::Config::parse(record)?;
                config.adts_header(0).is_ok().then_some(Self::Aac(config))
            }
            // Some senders of stereo send no record.
            Codec::Opus if record.is_empty() => Some(Self::Opus(2)),
            Codec::Opus => {
                let config = opus::Config::parse(record)?;
                let usual = config.family <= 1 && config.channels <= 8;
                usual.then_some(Self::Opus(config.channels))
            }
            Codec::Mp3 => Some(Self::Mp3),
            Codec::Ac3 => Some(Self::Ac3),
            Codec::Eac3 => Some(Self::Eac3),
            _ => None,
        })
    }

    pub const fn codec(self) -> Codec {
        match self {
            Self::Aac(_) => Codec::Aac,
            Self::Mp3 => Codec::Mp3,
            Self::Opus(_) => Codec::Opus,
            Self::Ac3 => Codec::Ac3,
            Self::Eac3 => Codec::Eac3,
        }
    }

    pub const fn stream_id(self) -> u8 {
        match self {
            Self::Aac(_) | Self::Mp3 => stream_id::AUDIO,
            Self::Opus(_) | Self::Ac3 | Self::Eac3 => stream_id::PRIVATE,
        }
    }

    /// What a PMT says: the type and the descriptors.
    pub fn words(self) -> (u8, Vec<u8>) {
        let registered = |name: &[u8; 4]| [&[descriptor::REGISTRATION, 4], &name[..]].concat();
        match self {
            Self::Aac(_) => (stream_type::AAC, Vec::new()),
            Self::Mp3 => (stream_type::MPEG1_AUDIO, Vec::new()),
            Self::Ac3 => (stream_type::AC3, registered(b"AC-3")),
            Self::Eac3 => (stream_type::EAC3, registered(b"EAC3")),
            Self::Opus(channels) => {
                let extension = [descriptor::EXTENSION, 2, descriptor::OPUS, channels];
                (stream_type::PRIVATE, [&registered(b"Opus")[..], &extension].concat())
            }
        }
    }

    /// Appends a frame with what stands before it, and says how long it sounds.
    pub fn push(self, payload: &[u8], out: &mut Vec<u8>) -> Result<Duration, CodecError> {
        let duration = match self {
            Self::Aac(config) => {
                out.extend_from_slice(&config.adts_header(payload.len())?);
                Duration { samples: AAC_SAMPLES, rate: config.core_rate }
            }
            Self::Opus(_) => {
                let duration = opus_duration(payload)?;
                out.extend_from_slice(&[0x7f, 0xe0]);
                let mut left = payload.len();
                while left >= 255 {
                    out.push(255);
                    left -= 255;
                }
                out.push(left as u8);
                duration
            }
            Self::Mp3 => mp3_frame(payload)?.1,
            Self::Ac3 | Self::Eac3 => ac3_frame(payload)?.1,
        };
        out.extend_from_slice(payload);
        Ok(duration)
    }
}

/// How long a frame sounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Duration {
    pub samples: u32,
    /// Samples a second.
    pub rate: u32,
}

const AAC_SAMPLES: u32 = 1024;
const AC3_SAMPLES: u32 = 1536;

/// A frame as it stands in a PES packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Framed {
    /// Bytes that only stand before it.
    pub header: usize,
    /// Bytes of the frame itself.
    pub len: usize,
    pub duration: Duration,
    /// The AudioSpecificConfig its header makes.
    pub record: Option<[u8; 2]>,
}

/// What is known of a track by its words in a PMT: the codec, and the configuration record where the words
/// hold it.
pub(super) fn from_words(kind: u8, descriptors: &[u8]) -> Option<(Codec, Vec<u8>)> {
    let plain = |codec| Some((codec, Vec::new()));
    match kind {
        stream_type::MPEG1_AUDIO | stream_type::MPEG2_AUDIO => plain(Codec::Mp3),
        stream_type::AAC => plain(Codec::Aac),
        stream_type::AC3 => plain(Codec::Ac3),
        stream_type::EAC3 => plain(Codec::Eac3),
        stream_type::PRIVATE => match find_descriptor(descriptors, descriptor::REGISTRATION) {
            Some(b"Opus") => {
                let extension = find_descriptor(descriptors, descriptor::EXTENSION);
                let Some([descriptor::OPUS, channels @ 1..=8, ..]) = extension else { return None };
                Some((Codec::Opus, opus_record(*channels)))
            }
            Some(b"AC-3") => plain(Codec::Ac3),
            Some(b"EAC3") => plain(Codec::Eac3),
            _ if find_descriptor(descriptors, descriptor::DVB_AC3).is_some() => plain(Codec::Ac3),
            _ if find_descriptor(descriptors, descriptor::DVB_EAC3).is_some() => plain(Codec::Eac3),
            _ => None,
        },
        _ => None,
    }
}

/// An OpusHead of that many channels, 1 to 8, in the order and pairs that are usual.
fn opus_record(channels: u8) -> Vec<u8> {
    let mut record = b"OpusHead\x01".to_vec();
    record.push(channels);
    // Nothing is skipped, 48 kHz, no gain.
    record.extend_from_slice(&[0, 0, 0x80, 0xbb, 0, 0, 0, 0]);
    let (coupled, map): (u8, &[u8]) = match channels {
        3 => (1, &[0, 2, 1]),
        4 => (2, &[0, 1, 2, 3]),
        5 => (2, &[0, 4, 1, 2, 3]),
        6 => (2, &[0, 4, 1, 2, 3, 5]),
        7 => (2, &[0, 4, 1, 2, 3, 5, 6]),
        8 => (3, &[0, 6, 1, 2, 3, 4, 5, 7]),
        _ => {
            record.push(0);
            return record;
        }
    };
    record.extend_from_slice(&[1, channels - coupled, coupled]);
    record.extend_from_slice(map);
    record
}

/// The frame these bytes begin with; nothing, if its header is not whole. It may end behind them.
pub(super) fn frame(codec: Codec, bytes: &[u8]) -> Result<Option<Framed>, CodecError> {
    let bare = |(len, duration)| Framed { header: 0, len, duration, record: None };
    match codec {
        Codec::Aac if bytes.len() >= aac::ADTS_LEN => adts(bytes).map(Some),
        Codec::Opus => opus_framed(bytes),
        Codec::Mp3 if bytes.len() >= 4 => mp3_frame(bytes).map(bare).map(Some),
        Codec::Ac3 | Codec::Eac3 if bytes.len() >= 8 => ac3_frame(bytes).map(bare).map(Some),
        _ => Ok(None),
    }
}

fn adts(bytes: &[u8]) -> Result<Framed, CodecError> {
    let bits = &mut BitReader::new("AAC", "ADTS header", bytes);
    let sync = bits.read(12)?;
    bits.check(sync == 0xfff, "syncword", sync, "4095")?;
    bits.skip(1 + 2)?;
    let header = if bits.flag()? { aac::ADTS_LEN } else { aac::ADTS_LEN + 2 };
    let object_type = bits.read(2)? + 1;
    let rate = bits.read(4)?;
    bits.skip(1)?;
    let channels = bits.read(3)?;
    bits.check(channels > 0, "channel_configuration", channels, "1 to 7")?;
    bits.skip(4)?;
    let length = bits.read(13)?;
    let len = (length as usize).checked_sub(header);
    let fault = Fault::Field {
        field: "aac_frame_length",
        found: length.into(),
        expected: "that of its header or more",
    };
    let len = len.ok_or_else(|| bits.error(fault))?;
    bits.skip(11)?;
    let more = bits.read(2)?;
    bits.check(more == 0, "number_of_raw_data_blocks_in_frame", more, "0")?;
    let record = ((object_type << 11 | rate << 7 | channels << 3) as u16).to_be_bytes();
    let config = aac::Config::parse(&record)?;
    let duration = Duration { samples: AAC_SAMPLES, rate: config.core_rate };
    Ok(Framed { header, len, duration, record: Some(record) })
}

fn opus_framed(bytes: &[u8]) -> Result<Option<Framed>, CodecError> {
    let bits = &mut BitReader::new("Opus", "control header", bytes);
    let parsed = (|| {
        let prefix = bits.read(11)?;
        bits.check(prefix == 0x3ff, "control_header_prefix", prefix, "1023")?;
        let (trims, extended) = ([bits.flag()?, bits.flag()?], bits.flag()?);
        bits.skip(2)?;
        let mut len = 0;
        loop {
            let more = bits.byte()?;
            len += usize::from(more);
            if more < 255 {
                break;
            }
        }
        for _ in trims.iter().filter(|trim| **trim) {
            bits.skip(16)?;
        }
        if extended {
            let extension = bits.byte()?;
            bits.bytes(extension.into())?;
        }
        let header = bytes.len() - bits.rest().len();
        // Its length is known by its first two bytes.
        let duration = opus_duration(bits.rest())?;
        Ok(Framed { header, len, duration, record: None })
    })();
    match parsed {
        Err(CodecError { fault: Fault::Short, .. }) => Ok(None),
        parsed => parsed.map(Some),
    }
}

/// By the first byte: how it is coded and how long each of its parts is, and how many there are.
fn opus_duration(packet: &[u8]) -> Result<Duration, CodecError> {
    let bits = &mut BitReader::new("Opus", "packet", packet);
    let mode = bits.read(5)?;
    bits.skip(1)?;
    let parts = match bits.read(2)? {
        0 => 1,
        1 | 2 => 2,
        _ => bits.read(8)? & 0x3f,
    };
    // 120 samples are 2.5 ms.
    let samples = match mode {
        0..=11 if mode & 3 == 3 => 2880,
        0..=11 => 480 << (mode & 3),
        12..=15 => 480 << (mode & 1),
        _ => 120 << (mode & 3),
    };
    Ok(Duration { samples: samples * parts, rate: opus::SAMPLE_RATE })
}

/// Bytes and duration of a frame of layer II or III.
fn mp3_frame(bytes: &[u8]) -> Result<(usize, Duration), CodecError> {
    /// In kbit/s: layer II, layer III, and both at half the sampling rates.
    const RATES: [[u16; 14]; 3] = [
        [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
        [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
        [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
    ];
    let rate = mp3::Header::parse(bytes)?.sample_rate;
    let bits = &mut BitReader::new("MP3", "frame header", bytes);
    bits.skip(11)?;
    let whole = bits.read(2)? == 3;
    let layer = bits.read(2)?;
    bits.check(layer == 1 || layer == 2, "layer", layer, "1 or 2")?;
    bits.skip(1)?;
    let index = bits.read(4)?;
    bits.skip(2)?;
    let padding = bits.read(1)?;
    let [layer_2, layer_3, halved] = RATES;
    let table = match (whole, layer) {
        (true, 2) => layer_2,
        (true, _) => layer_3,
        (false, _) => halved,
    };
    let kbits = index.checked_sub(1).and_then(|index| table.get(index as usize));
    let fault = Fault::Field { field: "bitrate_index", found: index.into(), expected: "1 to 14" };
    let kbits = u32::from(*kbits.ok_or_else(|| bits.error(fault))?);
    let samples = if layer == 1 && !whole { 576 } else { 1152 };
    let len = samples / 8 * kbits * 1000 / rate + padding;
    Ok((len as usize, Duration { samples, rate }))
}

/// Bytes and duration of a frame of AC-3 or E-AC-3. A dependent one of E-AC-3 takes no time.
fn ac3_frame(bytes: &[u8]) -> Result<(usize, Duration), CodecError> {
    /// In kbit/s.
    const RATES: [u32; 19] =
        [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640];
    let header = ac3::Header::parse(bytes)?;
    let rate = header.sample_rate;
    let bits = &mut BitReader::new("AC-3", "frame header", bytes);
    bits.skip(16)?;
    if header.enhanced {
        let dependent = bits.read(2)? == 1;
        bits.skip(3)?;
        let len = (bits.read(11)? as usize + 1) * 2;
        let reduced = bits.read(2)? == 3;
        let blocks = match if reduced { 3 } else { bits.read(2)? } {
            3 => 6,
            code => code + 1,
        };
        return Ok((len, Duration { samples: if dependent { 0 } else { 256 * blocks }, rate }));
    }
    bits.skip(16)?;
    let index = bits.read(2)?;
    let code = bits.read(6)?;
    let fault = Fault::Field { field: "frmsizecod", found: code.into(), expected: "0 to 37" };
    let kbits = *RATES.get(code as usize / 2).ok_or_else(|| bits.error(fault))?;
    let words = match index {
        0 => kbits * 2,
        1 => kbits * 1000 * 96 / 44_100 + (code & 1),
        _ => kbits * 3,
    };
    Ok((words as usize * 2, Duration { samples: AC3_SAMPLES, rate }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn duration(samples: u32, rate: u32) -> Duration {
        Duration { samples, rate }
    }

    #[test]
    fn lengths_as_the_tables_have_them() {
        // 128 kbit/s at 44.1 kHz, with and without padding; 64 at 22.05.
        assert_eq!(mp3_frame(&[0xff, 0xfb, 0x90, 0]).unwrap(), (417, duration(1152, 44_100)));
        assert_eq!(mp3_frame(&[0xff, 0xfb, 0x92, 0]).unwrap(), (418, duration(1152, 44_100)));
        assert_eq!(mp3_frame(&[0xff, 0xf3, 0x80, 0]).unwrap(), (208, duration(576, 22_050)));
        assert_eq!(
            mp3_frame(&[0xff, 0xfb, 0, 0]).unwrap_err().to_string(),
            "sender's MP3 frame header has bitrate_index 0, expected 1 to 14"
        );
        let surround = [0x0b, 0x77, 0xb5, 0x0b, 0x1e, 0x40, 0xeb, 0xf8];
        assert_eq!(ac3_frame(&surround).unwrap(), (1792, duration(1536, 48_000)));
        let stereo = [0x0b, 0x77, 0x01, 0xa0, 0x74, 0x87, 0xc0, 0];
        assert_eq!(ac3_frame(&stereo).unwrap(), (834, duration(1536, 44_100)));
        // 20 ms of CELT, two of 60 ms of SILK, 48 of 2.5 ms.
        assert_eq!(opus_duration(&[0xfc]).unwrap().samples, 960);
        assert_eq!(opus_duration(&[0x19]).unwrap().samples, 5760);
        assert_eq!(opus_duration(&[0x83, 48]).unwrap().samples, 5760);
        assert!(opus_duration(&[0x83]).is_err());
    }

    #[test]
    fn frames_end_where_they_began_to() {
        let aac = Sound::new(Codec::Aac, &[0x12, 0x10]).unwrap().unwrap();
        let opus = Sound::new(Codec::Opus, &[]).unwrap().unwrap();
        for sound in [aac, opus] {
            for len in [2, 254, 255, 256, 600] {
                let (payload, mut out) = (vec![0xfc; len], Vec::new());
                let duration = sound.push(&payload, &mut out).unwrap();
                let framed = frame(sound.codec(), &out).unwrap().unwrap();
                assert_eq!((framed.header + framed.len, framed.len), (out.len(), len));
                assert_eq!(framed.duration, duration);
                let record = matches!(sound, Sound::Aac(_)).then_some([0x12, 0x10]);
                assert_eq!(framed.record, record);
                for cut in 0..framed.header {
                    assert_eq!(frame(sound.codec(), &out[..cut]), Ok(None));
                }
            }
        }
        // With a trim at both ends and an extension.
        let framed = opus_framed(&[0x7f, 0xfc, 1, 0, 1, 0, 2, 3, 9, 9, 9, 0xfc]).unwrap().unwrap();
        assert_eq!((framed.header, framed.len), (11, 1));
    }

    #[test]
    fn tracks_that_have_no_words() {
        // A list of channels, ELD, 9 channels, a codec; then a record that is broken.
        let none = |codec, record: &[u8]| assert_eq!(Sound::new(codec, record), Ok(None));
        none(Codec::Aac, include_bytes!("../../../fuzz/corpus/aac/list"));
        none(
            Codec::Opus,
            b"OpusHead\x01\x09\0\0\0\0\0\0\0\0\x01\x08\x01\0\x01\x02\x03\x04\x05\x06\x07\x08",
        );
        none(Codec::Flac, b"");
        assert!(Sound::new(Codec::Aac, &[]).is_err());
    }

    #[test]
    fn words_are_understood() {
        for channels in 1..=8 {
            let record = opus_record(channels);
            let sound = Sound::new(Codec::Opus, &record).unwrap().unwrap();
            assert_eq!(sound, Sound::Opus(channels));
            let (kind, descriptors) = sound.words();
            assert_eq!(from_words(kind, &descriptors), Some((Codec::Opus, record)));
        }
        for sound in [Sound::Mp3, Sound::Ac3, Sound::Eac3] {
            let (kind, descriptors) = sound.words();
            assert_eq!(from_words(kind, &descriptors), Some((sound.codec(), Vec::new())));
        }
        assert_eq!(from_words(stream_type::PRIVATE, &[0x6a, 1, 0]).unwrap().0, Codec::Ac3);
        assert_eq!(from_words(stream_type::PRIVATE, &[0x0a, 4, 0, 0, 0, 0]), None);
    }
}
