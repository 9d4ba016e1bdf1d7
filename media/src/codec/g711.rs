//! G.711: nothing but its name is known, and nothing else is needed.

use super::Info;
use crate::frame::Codec;

/// Samples a second.
pub const SAMPLE_RATE: u32 = 8000;

/// One channel of 8000 samples a second, as every telephone has.
#[must_use]
pub fn info(codec: Codec) -> Info {
    Info::sound(if codec == Codec::G711A { "alaw" } else { "ulaw" }, SAMPLE_RATE, 1)
}
