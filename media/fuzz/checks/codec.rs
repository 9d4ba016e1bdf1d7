//! Codecs: configuration records, headers of frames, NAL units.

use media::codec::bits::CodecError;
use media::codec::nal::{Contents, Nals};
use media::codec::{Info, aac, ac3, av1, avc, flac, hevc, mp3, opus, vp8, vp9};
use media::frame::Codec;
use media::limits::{CODEC_FRAME_RATE, CODEC_PICTURE_SIDE};

/// What is said of a track has to be something that exists.
fn believable(info: &Info) {
    let side = 1..=CODEC_PICTURE_SIDE;
    assert!(info.width.is_none_or(|width| side.contains(&width)), "{info:?}");
    assert!(info.height.is_none_or(|height| side.contains(&height)), "{info:?}");
    assert_eq!(info.width.is_some(), info.height.is_some(), "{info:?}");
    let rate = |rate| rate > 0.0 && rate <= CODEC_FRAME_RATE;
    assert!(info.frame_rate.is_none_or(rate), "{info:?}");
    assert!(info.sample_rate.is_none_or(|rate| rate > 0), "{info:?}");
    assert!(info.channels.is_none_or(|channels| channels > 0), "{info:?}");
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    assert!(info.codec_string.chars().all(letter), "{info:?}");
}

/// A record that is read is also read by name; a part of it says less, or nothing, but nothing else.
fn record(codec: Codec, record: &[u8], read: Result<Info, CodecError>) {
    assert_eq!(Info::from_config(codec, record), read);
    let Ok(info) = read else { return };
    believable(&info);
    assert!(!info.codec_string.is_empty());
    for cut in 0..record.len().min(300) {
        if let Ok(part) = Info::from_config(codec, &record[..cut]) {
            assert_eq!(part.codec_string, info.codec_string, "cut at {cut}");
            assert!(part.width.is_none() || part.width == info.width, "cut at {cut}");
        }
    }
}

/// The header of a frame stands in its first bytes, `most` at most, and what follows changes nothing.
fn header(codec: Codec, payload: &[u8], read: Result<Info, CodecError>, most: usize) {
    assert_eq!(Info::from_frame(codec, payload), read);
    if let Ok(info) = &read {
        believable(info);
    }
    assert_eq!(Info::from_frame(codec, &payload[..most.min(payload.len())]), read);
}

/// A NAL unit with its emulation prevention bytes where they have to be, and nowhere else.
fn escaped_anew(nal: &[u8]) -> Vec<u8> {
    let (mut plain, mut zeros) = (Vec::new(), 0);
    let mut bytes = nal.iter();
    while let Some(mut byte) = bytes.next() {
        if zeros >= 2 && *byte == 3 {
            let Some(next) = bytes.next() else { break };
            (byte, zeros) = (next, 0);
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        plain.push(*byte);
    }
    let (mut out, mut zeros) = (Vec::new(), 0);
    for byte in plain {
        if zeros == 2 && byte <= 3 {
            out.push(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    out
}

fn within(part: &[u8], whole: &[u8]) -> bool {
    let (part, whole) = (part.as_ptr_range(), whole.as_ptr_range());
    whole.start <= part.start && part.end <= whole.end
}

/// All units of a payload, if its lengths are right; then they and their lengths are the whole payload.
fn units(payload: &[u8], length_size: u8, nals: Nals<'_>, contents: Result<Contents, CodecError>) {
    let count = nals.clone().count();
    assert!(count <= payload.len());
    match nals.collect::<Result<Vec<_>, _>>() {
        Err(error) => assert_eq!(contents, Err(error)),
        Ok(units) => {
            let contents = contents.expect("its units were read");
            assert!(contents.picture || !contents.key);
            assert!(units.iter().all(|unit| !unit.is_empty() && within(unit, payload)));
            let bytes: usize = units.iter().map(|unit| unit.len()).sum();
            let lengths = payload.len() - bytes;
            let size = usize::from(length_size);
            assert!(lengths >= units.len() * size && lengths.is_multiple_of(size));
        }
    }
}

pub fn avc(data: &[u8]) {
    let config = avc::Config::parse(data);
    record(Codec::Avc, data, config.as_ref().map(avc::Config::info).map_err(|error| *error));
    if let Ok(config) = config {
        assert!(config.sps.iter().chain(&config.pps).all(|unit| within(unit, data)));
        assert_eq!(avc::Sps::parse(config.sps[0]), Ok(config.picture));
    }
    let sps = avc::Sps::parse(data);
    assert_eq!(avc::Sps::parse(&escaped_anew(data)), sps);
    if let Ok(sps) = sps {
        believable(&sps.info());
    }
}

pub fn hevc(data: &[u8]) {
    let config = hevc::Config::parse(data);
    record(Codec::Hevc, data, config.as_ref().map(hevc::Config::info).map_err(|error| *error));
    if let Ok(config) = config {
        let mut units = config.vps.iter().chain(&config.sps).chain(&config.pps);
        assert!(units.all(|unit| within(unit, data)));
        assert_eq!(hevc::Sps::parse(config.sps[0]), Ok(config.picture));
    }
    let sps = hevc::Sps::parse(data);
    assert_eq!(hevc::Sps::parse(&escaped_anew(data)), sps);
    if let Ok(sps) = sps {
        believable(&sps.info());
    }
}

pub fn av1(data: &[u8]) {
    record(Codec::Av1, data, av1::Config::parse(data).map(|config| config.info()));
    let found = av1::Sequence::find(data);
    assert_eq!(Info::from_frame(Codec::Av1, data).is_ok(), found.is_ok());
    if let Ok(Some(sequence)) = found {
        believable(&sequence.info());
    }
    if av1::is_key(data) == Ok(true) {
        assert_ne!(found, Ok(None), "a keyframe without a sequence header");
    }
    let obus: Vec<_> = av1::obus(data).collect();
    assert!(obus.len() <= data.len());
    assert!(obus.iter().rev().skip(1).all(Result::is_ok), "it goes on behind an error");
    let contents = obus.iter().flatten().map(|(_, content)| content);
    assert!(contents.clone().all(|content| within(content, data)));
    assert!(contents.map(|content| content.len() + 1).sum::<usize>() <= data.len());
}

pub fn vp9(data: &[u8]) {
    record(Codec::Vp9, data, vp9::Config::parse(data).map(|config| config.info()));
    let read = vp9::Header::parse(data);
    header(Codec::Vp9, data, read.map(|header| header.info()), 10);
    assert!(
        read.is_ok_and(|header| header.is_key()) == read.is_ok_and(|h| h.info().width.is_some())
    );
}

pub fn vp8(data: &[u8]) {
    let read = vp8::Header::parse(data);
    header(Codec::Vp8, data, read.map(|header| header.info()), 10);
}

pub fn aac(data: &[u8]) {
    let config = aac::Config::parse(data);
    record(Codec::Aac, data, config.map(|config| config.info()));
    let Ok(config) = config else { return };
    for length in [0, data.len(), 8184, 8185, usize::MAX] {
        let Ok(adts) = config.adts_header(length) else { continue };
        assert!(length <= 8184);
        // Read back by hand: sync word, no checksum, type, rate, channels, length.
        let bits = adts.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        assert_eq!(bits >> 40, 0xfff1);
        assert_eq!((bits >> 38 & 3) + 1, config.object_type.into());
        assert_eq!(bits >> 34 & 15, config.rate_index.into());
        assert_eq!(bits >> 30 & 7, config.channel_config.into());
        assert_eq!(bits >> 13 & 0x1fff, length as u64 + 7);
    }
}

pub fn opus(data: &[u8]) {
    let config = opus::Config::parse(data);
    record(Codec::Opus, data, config.map(|config| config.info()));
    for form in [opus::Config::boxed, opus::Config::ogg] {
        let again = form(data).and_then(|record| {
            assert_eq!(form(&record).as_ref(), Ok(&record));
            opus::Config::parse(&record)
        });
        assert_eq!(again, config);
    }
    assert!(opus::samples(data).is_none_or(|samples| (120..=5760).contains(&samples)));
}

pub fn flac(data: &[u8]) {
    let config = flac::Config::parse(data);
    record(Codec::Flac, data, config.map(|config| config.info()));
    // Whatever it is wrapped in, nothing of it may be missing.
    if config.is_ok() {
        let parts = (0..data.len().min(100)).map(|cut| flac::Config::parse(&data[..cut]));
        assert!(parts.filter(Result::is_ok).all(|part| part == config));
    }
    for form in [flac::Config::boxed, flac::Config::file] {
        let again = form(data).and_then(|record| {
            assert_eq!(form(&record).as_ref(), Ok(&record));
            flac::Config::parse(&record)
        });
        assert_eq!(again, config);
    }
    assert!(flac::samples(data).is_none_or(|samples| (1..=65_536).contains(&samples)));
}

pub fn mp3(data: &[u8]) {
    header(Codec::Mp3, data, mp3::Header::parse(data).map(|header| header.info()), 4);
}

pub fn ac3(data: &[u8]) {
    let read = ac3::Header::parse(data);
    header(Codec::Ac3, data, read.map(|header| header.info()), 8);
    header(Codec::Eac3, data, read.map(|header| header.info()), 8);
    if let Ok(header) = read {
        assert_eq!(header.boxed().len(), if header.enhanced { 5 } else { 3 });
    }
    let samples = ac3::samples(data).unwrap_or_default() as usize;
    assert!(samples.is_multiple_of(256) && samples / 256 <= 6 * data.len());
}

pub fn nal(data: &[u8]) {
    let (size, payload) = data.split_first().unwrap_or((&4, &[]));
    let size = size % 6;
    units(payload, size, avc::nals(payload, size), avc::contents(payload, size));
    units(payload, size, hevc::nals(payload, size), hevc::contents(payload, size));
}
