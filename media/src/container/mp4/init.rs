//! What stands before the first chunk: `ftyp` and `moov`.

use super::boxes::Writer;
use super::description::Description;
use super::sample_flags;
use crate::frame::Track;

/// Ticks a second of what is not of one track alone.
const MOVIE_TIMESCALE: u32 = 1000;
/// No rotation, no scaling.
const MATRIX: [u32; 9] = [0x0001_0000, 0, 0, 0, 0x0001_0000, 0, 0, 0, 0x4000_0000];

/// Appends the init segment of these tracks. They have different ids.
pub fn init_segment(tracks: &[&Description], out: &mut Vec<u8>) {
    let w = &mut Writer(out);
    w.boxed(b"ftyp", |w| {
        w.bytes(b"iso6");
        w.u32(0);
        w.bytes(b"iso6cmfcmp41");
    });
    w.boxed(b"moov", |w| {
        w.full(b"mvhd", 0, 0, |w| {
            // Made and changed at no time, as long as nobody knows.
            w.zeros(8);
            w.u32(MOVIE_TIMESCALE);
            w.zeros(4);
            // Played as fast and as loud as it is.
            w.u32(0x0001_0000);
            w.u16(0x0100);
            w.zeros(10);
            MATRIX.iter().for_each(|number| w.u32(*number));
            w.zeros(24);
            let last = tracks.iter().map(|track| track.id()).max().unwrap_or_default();
            w.u32(last.saturating_add(1));
        });
        for track in tracks {
            w.boxed(b"trak", |w| write_track(w, track));
        }
        w.boxed(b"mvex", |w| {
            for track in tracks {
                w.full(b"trex", 0, 0, |w| {
                    w.u32(track.id());
                    // The only sample entry; no length and no size that is usual.
                    w.u32(1);
                    w.zeros(8);
                    w.u32(match track.track() {
                        Track::Video => sample_flags::DELTA,
                        _ => sample_flags::KEY,
                    });
                });
            }
        });
    });
}

fn write_track(w: &mut Writer<'_>, track: &Description) {
    let video = track.track() == Track::Video;
    let (_, _, width, height) = track.size();
    // Enabled, and in the movie.
    w.full(b"tkhd", 0, 3, |w| {
        w.zeros(8);
        w.u32(track.id());
        w.zeros(4 + 4 + 8 + 2 + 2);
        w.u16(if video { 0 } else { 0x0100 });
        w.zeros(2);
        MATRIX.iter().for_each(|number| w.u32(*number));
        w.u32(if video { width } else { 0 });
        w.u32(if video { height } else { 0 });
    });
    w.boxed(b"mdia", |w| {
        w.full(b"mdhd", 0, 0, |w| {
            w.zeros(8);
            w.u32(track.timescale());
            w.zeros(4);
            // "und", in five bits a letter.
            w.u16(0x55c4);
            w.zeros(2);
        });
        w.full(b"hdlr", 0, 0, |w| {
            w.zeros(4);
            w.bytes(if video { b"vide" } else { b"soun" });
            w.zeros(12);
            w.bytes(b"\0");
        });
        w.boxed(b"minf", |w| {
            if video {
                w.full(b"vmhd", 0, 1, |w| w.zeros(8));
            } else {
                w.full(b"smhd", 0, 0, |w| w.zeros(4));
            }
            w.boxed(b"dinf", |w| {
                w.full(b"dref", 0, 0, |w| {
                    w.u32(1);
                    // In this file.
                    w.full(b"url ", 0, 1, |_| {});
                });
            });
            w.boxed(b"stbl", |w| {
                w.full(b"stsd", 0, 0, |w| track.write_entry(w));
                // No sample is in here.
                for name in [b"stts", b"stsc", b"stco"] {
                    w.full(name, 0, 0, |w| w.u32(0));
                }
                w.full(b"stsz", 0, 0, |w| w.zeros(8));
            });
        });
    });
}
