//! Silence and a beep as AAC-LC.
//!
//! The beep is a sine half way between two lines of the transform, so that it begins anew every four
//! frames: twice on one line, twice on the two beside it. Those levels are constants here; a test
//! derives them. Fill elements bring every frame to its share of the bitrate.

use super::bits::Bits;

/// Samples of a channel in one frame.
pub(super) const SAMPLES: u64 = 1024;

/// Scale factor band 10 starts at line 40 and has eight lines, at 44.1 and at 48 kHz.
const BAND: u32 = 10;
/// The line the beep is at: 958 Hz at 44.1 kHz, 1,043 Hz at 48 kHz.
#[cfg(test)]
const LINE: usize = 44;
/// Quantised lines 40 to 47 and their scale factor, for the frames of the beep in turn.
const BEEP: [([i8; 8], u32); 4] = [
    ([0, 0, 0, -3, -1, 3, 0, 0], LOUD - 6),
    ([0, 0, 0, 0, 3, 0, 0, 0], LOUD),
    ([0, 0, 0, 3, 1, -3, 0, 0], LOUD - 6),
    ([0, 0, 0, 0, -3, 0, 0, 0], LOUD),
];
/// Makes a beep of a tenth of full scale.
const LOUD: u32 = 180;

/// Codebook 7, pairs of magnitudes up to 3, as `(length, code)`.
#[rustfmt::skip]
const PAIRS: [[(u8, u8); 4]; 4] = [
    [(1, 0x00), (3, 0x05), (6, 0x37), (7, 0x74)],
    [(3, 0x04), (4, 0x0c), (6, 0x35), (7, 0x71)],
    [(6, 0x36), (6, 0x34), (7, 0x72), (8, 0xea)],
    [(7, 0x73), (7, 0x70), (8, 0xeb), (8, 0xf0)],
];
const CODEBOOK: u32 = 7;

const ID_SCE: u32 = 0;
const ID_CPE: u32 = 1;
const ID_FIL: u32 = 6;
const ID_END: u32 = 7;
/// Bytes one fill element holds: 15 and an eight-bit count above that.
const FILL_MAX: usize = 15 + 255 - 1;
/// A fill payload of data to be thrown away: its type, then what the standard wants in it.
const FILL_TYPE: u32 = 0x10;
const FILL_BYTE: u32 = 0xa5;

/// The most bits a channel may have in one frame.
pub(super) const CHANNEL_BITS: u64 = 6144;

/// The number for a sampling rate, of those that are made here.
pub(super) const fn rate_index(rate: u32) -> Option<u32> {
    match rate {
        48_000 => Some(3),
        44_100 => Some(4),
        _ => None,
    }
}

/// The `AudioSpecificConfig`: AAC-LC, rate, channels, 1024 samples a frame.
pub(super) fn config(rate_index: u32, channels: u32) -> Vec<u8> {
    let mut bits = Bits::default();
    bits.put(2, 5);
    bits.put(rate_index, 4);
    bits.put(channels, 4);
    bits.put(0, 3);
    bits.finish().to_vec()
}

/// A frame that is as long as `target` bytes or up to one less, or longer if it cannot be so short.
/// `number` is that of the frame, which sets the phase of the beep.
pub(super) fn frame(
    bits: &mut Bits,
    channels: u32,
    number: u64,
    beep: bool,
    target: usize,
) -> Vec<u8> {
    let tone = beep.then(|| &BEEP[(number % 4) as usize]);
    bits.clear();
    if channels == 2 {
        bits.put(ID_CPE, 3);
        bits.put(0, 4);
        // One window for both, and no mid and side.
        bits.flag(true);
        window(bits, beep);
        bits.put(0, 2);
    } else {
        bits.put(ID_SCE, 3);
        bits.put(0, 4);
    }
    for _ in 0..channels {
        channel(bits, channels == 1, tone);
    }
    fill(bits, (target * 8).saturating_sub(3));
    bits.put(ID_END, 3);
    bits.align();
    bits.finish().to_vec()
}

/// `ics_info`: a long sine window, bands up to that of the beep or none.
fn window(bits: &mut Bits, beep: bool) {
    bits.put(0, 4);
    bits.put(if beep { BAND + 1 } else { 0 }, 6);
    bits.flag(false);
}

/// `individual_channel_stream`.
fn channel(bits: &mut Bits, own_window: bool, tone: Option<&([i8; 8], u32)>) {
    bits.put(tone.map_or(0, |(_, gain)| *gain), 8);
    if own_window {
        window(bits, tone.is_some());
    }
    if tone.is_some() {
        // Sections: the empty bands below, the one of the beep.
        bits.put(0, 4);
        bits.put(BAND, 5);
        bits.put(CODEBOOK, 4);
        bits.put(1, 5);
        // Its scale factor is the gain.
        bits.put(0, 1);
    }
    // No pulses, no noise shaping, no gain control.
    bits.put(0, 3);
    if let Some((lines, _)) = tone {
        for pair in lines.as_chunks::<2>().0 {
            let [first, second] = pair.map(|level| usize::from(level.unsigned_abs()));
            let (len, code) = PAIRS[first][second];
            bits.put(u32::from(code), u32::from(len));
            for level in pair.iter().filter(|level| **level != 0) {
                bits.flag(*level < 0);
            }
        }
    }
}

/// Fill elements up to `target` bits or as little below as they allow.
fn fill(bits: &mut Bits, target: usize) {
    loop {
        let room = target.saturating_sub(bits.len());
        // An element is seven bits and its bytes, fifteen if these are many.
        let count = match room {
            0..7 => return,
            7..127 => (room - 7) / 8,
            _ => ((room - 15) / 8).min(FILL_MAX),
        };
        bits.put(ID_FIL, 3);
        bits.put(count.min(15) as u32, 4);
        if count >= 15 {
            bits.put(count as u32 - 14, 8);
        }
        if count > 0 {
            bits.put(FILL_TYPE, 8);
        }
        for _ in 1..count {
            bits.put(FILL_BYTE, 8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::PI;

    #[test]
    fn config_of_the_usual_kinds() {
        assert_eq!(config(4, 2), [0x12, 0x10]);
        assert_eq!(config(3, 2), [0x11, 0x90]);
        assert_eq!(config(3, 1), [0x11, 0x88]);
    }

    #[test]
    fn silence_of_one_channel() {
        let mut bits = Bits::default();
        // 000 0000 | gain 0 | 0 00 0 000000 0 | 000 | end 111
        assert_eq!(frame(&mut bits, 1, 0, false, 0), [0, 0, 0, 0b0000_0111]);
    }

    #[test]
    fn as_long_as_asked() {
        let mut bits = Bits::default();
        for channels in [1, 2] {
            for beep in [false, true] {
                let least = frame(&mut bits, channels, 0, beep, 0).len();
                for target in least..1500 {
                    let len = frame(&mut bits, channels, 3, beep, target).len();
                    assert!(len == target || len + 1 == target, "{len} for {target}");
                }
            }
        }
    }

    /// The transform of a sine as the beep has it, against the constants.
    #[test]
    fn beep_is_the_transform_of_a_sine() {
        let size = 2048.0;
        let tone = (LINE as f64 + 0.5) / size;
        for (number, (levels, gain)) in BEEP.iter().enumerate() {
            let (mut signal, mut noise) = (0.0, 0.0);
            for (index, &level) in levels.iter().enumerate() {
                let line = (40 + index) as f64;
                let wanted: f64 = (0..2048)
                    .map(|n| {
                        let at = f64::from(n);
                        let window = (PI * (at + 0.5) / size).sin();
                        let phase = at + number as f64 * 1024.0;
                        let sine = 3277.0 * (2.0 * PI * tone * phase + PI / 4.0).sin();
                        let basis = (2.0 * PI / size * (at + 512.5) * (line + 0.5)).cos();
                        2.0 * window * sine * basis
                    })
                    .sum();
                let level = f64::from(level);
                let scale = ((f64::from(*gain) - 100.0) / 4.0).exp2();
                let made = level.signum() * level.abs().powf(4.0 / 3.0) * scale;
                signal += wanted * wanted;
                noise += (wanted - made) * (wanted - made);
            }
            assert!(noise < signal / 40.0, "frame {number}: {noise} of {signal}");
        }
    }
}
