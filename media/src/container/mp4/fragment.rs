//! `moof` read: where the samples are, without making a list of them.

use super::boxes::{BoxName, Mp4Error, Reader};
use super::movie::{Defaults, TrackOf};
use super::packetizer::column;
use crate::codec::Fault;
use crate::limits::MP4_RUNS;
use bytes::{Buf, Bytes};

/// Samples of one track that lie one behind another. Their list stays as it came: it may say four
/// thousand million samples in a few bytes.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// Which of the tracks.
    pub(super) track: usize,
    /// Where its `trun` is.
    at: u64,
    /// Where the next sample begins.
    pub(super) offset: u64,
    /// When it is decoded.
    dts: u64,
    left: u32,
    columns: u32,
    defaults: Defaults,
    first_flags: Option<u32>,
    entries: Bytes,
}

/// One sample.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) offset: u64,
    pub(super) size: u32,
    pub(super) dts: u64,
    pub(super) composition: i32,
    pub(super) flags: u32,
}

const COLUMNS: [u32; 4] = [column::DURATION, column::SIZE, column::FLAGS, column::COMPOSITION];

impl Run {
    /// The next sample, which stays.
    pub(super) fn peek(&self) -> Option<Sample> {
        let ([_, size, flags, composition], _) = self.row();
        let (offset, dts) = (self.offset, self.dts);
        let composition = composition.cast_signed();
        (self.left > 0).then_some(Sample { offset, size, dts, composition, flags })
    }

    /// Goes on to the sample behind the next one.
    pub(super) fn advance(&mut self) {
        let ([duration, size, ..], len) = self.row();
        self.offset = self.offset.saturating_add(size.into());
        self.dts = self.dts.saturating_add(duration.into());
        self.left = self.left.saturating_sub(1);
        self.first_flags = None;
        self.entries.advance(len.min(self.entries.len()));
    }

    /// The next sample's values in the order of the columns, and the bytes they stand in.
    fn row(&self) -> ([u32; 4], usize) {
        let Defaults { duration, size, flags } = self.defaults;
        let mut values = [duration, size, self.first_flags.unwrap_or(flags), 0];
        let mut entries = &self.entries[..];
        let mut len = 0;
        for (value, column) in values.iter_mut().zip(COLUMNS) {
            if self.columns & column != 0
                && let Some((bytes, rest)) = entries.split_first_chunk()
            {
                *value = u32::from_be_bytes(*bytes);
                entries = rest;
                len += 4;
            }
        }
        (values, len)
    }

    /// An error about this run.
    pub(super) const fn error(&self, fault: Fault) -> Mp4Error {
        Mp4Error { name: BoxName(*b"trun"), at: self.at, fault }
    }

    /// Whether there is nothing in any of its samples, however many they are.
    const fn is_hollow(&self) -> bool {
        self.columns & column::SIZE == 0 && self.defaults.size == 0
    }

    /// Goes to the end at once, if all samples are alike; else one by one, on a copy.
    fn end(&self) -> (u64, u64) {
        if self.columns & (column::DURATION | column::SIZE) == 0 {
            let times = |each: u32| u64::from(self.left) * u64::from(each);
            let offset = self.offset.saturating_add(times(self.defaults.size));
            return (offset, self.dts.saturating_add(times(self.defaults.duration)));
        }
        let mut run = self.clone();
        while run.left > 0 {
            run.advance();
        }
        (run.offset, run.dts)
    }
}

/// The runs of a `moof` whose bytes are `bytes`, in the order of their data, and how many of its `traf`
/// are of other tracks than these.
pub(super) fn read(
    moof: &Reader<'_>,
    at: u64,
    bytes: &Bytes,
    tracks: &mut [TrackOf],
) -> Result<(Vec<Run>, u64), Mp4Error> {
    let (mut runs, mut others) = (Vec::new(), 0);
    let (mut boxes, mut data_end) = (moof.clone(), at);
    while let Some(traf) = boxes.next_box()? {
        if traf.name != *b"traf" {
            continue;
        }
        let mut header = traf.need(b"tfhd", "tfhd")?;
        let (_, flags) = header.version()?;
        let id = header.u32()?;
        let Some(track) = tracks.iter().position(|of| of.id == id) else {
            others += 1;
            continue;
        };
        let Some(of) = tracks.get_mut(track) else { continue };
        let base = if flags & 0x1 != 0 {
            header.u64()?
        } else if flags & 0x02_0000 != 0 {
            at
        } else {
            data_end
        };
        header.optional(flags & 0x2 != 0)?;
        let defaults = Defaults {
            duration: header.optional(flags & 0x08 != 0)?.unwrap_or(of.defaults.duration),
            size: header.optional(flags & 0x10 != 0)?.unwrap_or(of.defaults.size),
            flags: header.optional(flags & 0x20 != 0)?.unwrap_or(of.defaults.flags),
        };
        if let Some(mut time) = traf.find(b"tfdt")? {
            let (version, _) = time.version()?;
            of.end = time.number(version == 1)?;
        }
        let mut offset = base;
        let mut inner = traf.clone();
        while let Some(trun) = inner.next_box()? {
            if trun.name != *b"trun" {
                continue;
            }
            if runs.len() >= MP4_RUNS {
                let (found, expected) = (MP4_RUNS as u64 + 1, "at most 1024");
                return Err(moof.error(Fault::Field { field: "runs", found, expected }));
            }
            let (relative, run) = read_run(trun, defaults, bytes)?;
            let start = relative.map_or(offset, |by| base.saturating_add_signed(by.into()));
            let run = Run { track, offset: start, dts: of.end, ..run };
            (offset, of.end) = run.end();
            if !run.is_hollow() && run.left > 0 {
                runs.push(run);
            }
        }
        data_end = offset;
    }
    runs.sort_by_key(|run| run.offset);
    Ok((runs, others))
}

/// A run that nobody has given a place and a time yet, and the place it says it has.
fn read_run(
    mut trun: Reader<'_>,
    defaults: Defaults,
    bytes: &Bytes,
) -> Result<(Option<i32>, Run), Mp4Error> {
    let (_, columns) = trun.version()?;
    let left = trun.u32()?;
    let relative = trun.optional(columns & column::DATA_OFFSET != 0)?.map(u32::cast_signed);
    let first_flags = trun.optional(columns & column::FIRST_FLAGS != 0)?;
    let present = COLUMNS.iter().filter(|column| columns & **column != 0).count();
    let len = u64::from(left) * 4 * present as u64;
    let len = usize::try_from(len).map_err(|_| trun.error(Fault::Short))?;
    let at = trun.at();
    let entries = bytes.slice_ref(trun.bytes(len)?);
    let (track, offset, dts) = (0, 0, 0);
    let run = Run { track, at, offset, dts, left, columns, defaults, first_flags, entries };
    Ok((relative, run))
}
