//! `moov` read: which tracks there are, and how each is configured.

use super::boxes::{Mp4Error, Reader};
use super::clock::time;
use super::description::{AAC, MP3, VP9_VERSION};
use crate::codec::{Fault, flac, opus};
use crate::frame::{Codec, Time, Track};

/// A track that frames are taken of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct TrackOf {
    pub(super) id: u32,
    pub(super) track: Track,
    pub(super) codec: Codec,
    /// Its configuration record, of codecs that have one.
    pub(super) record: Option<Vec<u8>>,
    pub(super) timescale: u32,
    /// Ticks that are taken from all times, as its edit list says.
    pub(super) shift: i64,
    /// What samples have that say nothing else.
    pub(super) defaults: Defaults,
    /// Where the newest sample ends.
    pub(super) end: u64,
}

impl TrackOf {
    /// Where the newest sample ends.
    pub(super) fn end_time(&self) -> Time {
        time(i128::from(self.end) - i128::from(self.shift), self.timescale)
    }
}

/// What samples have that say nothing else.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Defaults {
    pub(super) duration: u32,
    pub(super) size: u32,
    pub(super) flags: u32,
}

/// The first track of pictures and the first of sound, and how many others there are.
pub(super) fn read(moov: &Reader<'_>) -> Result<(Vec<TrackOf>, u64), Mp4Error> {
    let mut header = moov.need(b"mvhd", "mvhd")?;
    let (version, _) = header.version()?;
    header.bytes(if version == 1 { 16 } else { 8 })?;
    let movie_timescale = header.u32()?;
    let (mut tracks, mut others) = (Vec::<TrackOf>::new(), 0);
    let mut boxes = moov.clone();
    while let Some(trak) = boxes.next_box()? {
        if trak.name != *b"trak" {
            continue;
        }
        let read = read_track(&trak, movie_timescale)?;
        let known = |of: &TrackOf| tracks.iter().any(|known| known.track == of.track);
        match read.filter(|of| !known(of)) {
            Some(of) => tracks.push(of),
            None => others += 1,
        }
    }
    if let Some(mut boxes) = moov.find(b"mvex")? {
        while let Some(mut trex) = boxes.next_box()? {
            if trex.name != *b"trex" {
                continue;
            }
            trex.version()?;
            let id = trex.u32()?;
            trex.u32()?;
            let (duration, size, flags) = (trex.u32()?, trex.u32()?, trex.u32()?);
            if let Some(of) = tracks.iter_mut().find(|of| of.id == id) {
                of.defaults = Defaults { duration, size, flags };
            }
        }
    }
    Ok((tracks, others))
}

/// A track, unless it is none of pictures or sound that is known here.
fn read_track(trak: &Reader<'_>, movie_timescale: u32) -> Result<Option<TrackOf>, Mp4Error> {
    let mut header = trak.need(b"tkhd", "tkhd")?;
    let (version, _) = header.version()?;
    header.bytes(if version == 1 { 16 } else { 8 })?;
    let id = header.u32()?;
    let media = trak.need(b"mdia", "mdia")?;
    let mut header = media.need(b"mdhd", "mdhd")?;
    let (version, _) = header.version()?;
    header.bytes(if version == 1 { 16 } else { 8 })?;
    let timescale = header.u32()?;
    let mut handler = media.need(b"hdlr", "hdlr")?;
    handler.bytes(8)?;
    let track = match handler.bytes(4)? {
        b"vide" => Track::Video,
        b"soun" => Track::Audio,
        _ => return Ok(None),
    };
    if timescale == 0 {
        let (field, expected) = ("timescale", "1 or more");
        return Err(header.error(Fault::Field { field, found: 0, expected }));
    }
    let table = media.need(b"minf", "minf")?.need(b"stbl", "stbl")?;
    let mut entries = table.need(b"stsd", "stsd")?;
    entries.bytes(8)?;
    let Some(entry) = entries.next_box()? else { return Ok(None) };
    let Some((codec, record)) = read_entry(entry, track)? else { return Ok(None) };
    let shift = read_edits(trak, movie_timescale, timescale)?;
    let (defaults, end) = (Defaults::default(), 0);
    Ok(Some(TrackOf { id, track, codec, record, timescale, shift, defaults, end }))
}

/// A codec, and its configuration record if it has one.
type Coding = (Codec, Option<Vec<u8>>);

/// The codec of a sample entry, and its configuration record.
fn read_entry(mut entry: Reader<'_>, track: Track) -> Result<Option<Coding>, Mp4Error> {
    let codec = match &entry.name {
        b"avc1" | b"avc3" => Codec::Avc,
        b"hvc1" | b"hev1" => Codec::Hevc,
        b"av01" => Codec::Av1,
        b"vp09" => Codec::Vp9,
        b"mp4a" => Codec::Aac,
        b"Opus" => Codec::Opus,
        b"fLaC" => Codec::Flac,
        b"ac-3" => Codec::Ac3,
        b"ec-3" => Codec::Eac3,
        _ => return Ok(None),
    };
    entry.bytes(if track == Track::Video { 78 } else { 28 })?;
    let content = |name, said| entry.need(name, said).map(|found| found.rest().to_vec());
    let record = match codec {
        Codec::Avc => content(b"avcC", "avcC")?,
        Codec::Hevc => content(b"hvcC", "hvcC")?,
        Codec::Av1 => content(b"av1C", "av1C")?,
        Codec::Vp9 => {
            let record = content(b"vpcC", "vpcC")?;
            record.strip_prefix(&VP9_VERSION).map_or(record.clone(), <[u8]>::to_vec)
        }
        // As they are in all other containers here; a broken one stays as it is.
        Codec::Opus => {
            let record = content(b"dOps", "dOps")?;
            opus::Config::ogg(&record).unwrap_or(record)
        }
        Codec::Flac => {
            let record = content(b"dfLa", "dfLa")?;
            flac::Config::file(&record).unwrap_or(record)
        }
        Codec::Aac => return read_esds(entry.need(b"esds", "esds")?),
        _ => return Ok(Some((codec, None))),
    };
    Ok(Some((codec, Some(record))))
}

/// What an `esds` says is in an `mp4a`.
fn read_esds(mut esds: Reader<'_>) -> Result<Option<Coding>, Mp4Error> {
    esds.version()?;
    descriptor(&mut esds, 3, "ES_Descriptor")?;
    esds.bytes(2)?;
    let flags = esds.u8()?;
    esds.bytes(if flags & 0x80 != 0 { 2 } else { 0 })?;
    let url = if flags & 0x40 != 0 { esds.u8()? } else { 0 };
    esds.bytes(url.into())?;
    esds.bytes(if flags & 0x20 != 0 { 2 } else { 0 })?;
    descriptor(&mut esds, 4, "DecoderConfigDescriptor")?;
    let object_type = esds.u8()?;
    esds.bytes(12)?;
    match object_type {
        // MPEG-2's is told the same way.
        AAC | 0x66..=0x68 => {
            let length = descriptor(&mut esds, 5, "DecoderSpecificInfo")?;
            Ok(Some((Codec::Aac, Some(esds.bytes(length)?.to_vec()))))
        }
        MP3 | 0x69 => Ok(Some((Codec::Mp3, None))),
        _ => Ok(None),
    }
}

/// The length of the descriptor that comes next.
fn descriptor(esds: &mut Reader<'_>, tag: u8, said: &'static str) -> Result<usize, Mp4Error> {
    if esds.u8()? != tag {
        return Err(esds.error(Fault::Missing(said)));
    }
    let mut length = 0;
    for _ in 0..4 {
        let byte = esds.u8()?;
        length = length << 7 | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    Ok(length)
}

/// Ticks that come before what is shown: those that the first edit leaves out, less the pause before it.
fn read_edits(trak: &Reader<'_>, movie: u32, timescale: u32) -> Result<i64, Mp4Error> {
    let Some(edits) = trak.find(b"edts")? else { return Ok(0) };
    let Some(mut list) = edits.find(b"elst")? else { return Ok(0) };
    let (version, _) = list.version()?;
    let mut shift = 0_i64;
    for _ in 0..list.u32()? {
        let duration = list.number(version == 1)?;
        let start = list.number(version == 1)? as i64;
        let start = if version == 1 { start } else { i64::from(start as i32) };
        list.u32()?;
        if start >= 0 {
            return Ok(shift.saturating_add(start));
        }
        let ticks = u128::from(duration) * u128::from(timescale) / u128::from(movie.max(1));
        shift = shift.saturating_sub(i64::try_from(ticks).unwrap_or(i64::MAX));
    }
    Ok(shift)
}
