//! What a player asks for with a media playlist, and whether it has to wait for it
//! (draft-pantos-hls-rfc8216bis 6.2.5).

use super::text::parse_decimal;
use crate::limits;

/// The directives of a request for a media playlist.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reload {
    /// The playlist has to have this segment, or the part of it that is asked for.
    pub msn: Option<u64>,
    /// Which part.
    pub part: Option<u32>,
    /// Whether the older segments may be left out.
    pub skip: bool,
}

/// Why a request is answered with 400.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadReload {
    /// A directive's value is none it can have.
    #[error("the value of {0} is none it can have")]
    Value(&'static str),
    /// A directive is there more than once.
    #[error("{0} is there more than once")]
    Twice(&'static str),
    /// A part of no segment.
    #[error("_HLS_part without _HLS_msn")]
    PartAlone,
    /// Asked long before it can be there.
    #[error("_HLS_msn is more than two beyond the last segment")]
    TooFar,
    /// Asked long before it can be there.
    #[error("_HLS_part is too far beyond the last part")]
    PartTooFar,
}

const MSN: &str = "_HLS_msn";
const PART: &str = "_HLS_part";
const SKIP: &str = "_HLS_skip";

impl Reload {
    /// Reads the query of a request, without its question mark. What isn't a directive belongs to somebody
    /// else and is passed over.
    ///
    /// # Errors
    /// A directive is malformed, or there more than once, or one is missing that it needs.
    pub fn parse(query: &str) -> Result<Self, BadReload> {
        let mut reload = Self::default();
        let mut skip = None;
        for pair in query.split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match key {
                MSN => {
                    let msn = parse_decimal(value, limits::PLAYLIST_NUMBER_DIGITS);
                    once(MSN, &mut reload.msn, msn)?;
                }
                PART => {
                    let part = parse_decimal(value, limits::PLAYLIST_PART_DIGITS);
                    once(PART, &mut reload.part, part.and_then(|part| u32::try_from(part).ok()))?;
                }
                // `v2` also leaves out date ranges, of which there are none.
                SKIP => once(SKIP, &mut skip, matches!(value, "YES" | "v2").then_some(()))?,
                _ => {}
            }
        }
        reload.skip = skip.is_some();
        if reload.part.is_some() && reload.msn.is_none() {
            return Err(BadReload::PartAlone);
        }
        Ok(reload)
    }
}

fn once<T>(name: &'static str, place: &mut Option<T>, value: Option<T>) -> Result<(), BadReload> {
    let value = value.ok_or(BadReload::Value(name))?;
    if place.replace(value).is_some() { Err(BadReload::Twice(name)) } else { Ok(()) }
}

/// What of a playlist decides whether a request has to wait; see [`Media::state`](super::Media::state).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct State {
    /// The number of the segment in progress.
    pub next: u64,
    /// How many parts of it there are.
    pub parts: u32,
    /// How many parts the segment before it had.
    pub parts_before: u32,
    /// How long the longest part is; none where no parts are listed.
    pub part_target: Option<i64>,
    /// Whether nothing comes any more.
    pub ended: bool,
}

/// How a request is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// With the playlist as it is.
    Now,
    /// With the first playlist of which [`State::has`] says that this is in it.
    Wait {
        /// The segment.
        msn: u64,
        /// The part of it; all of it if none.
        part: Option<u32>,
    },
    /// With 400.
    Bad(BadReload),
}

impl State {
    /// Whether a segment, or a part of it, is there.
    #[must_use]
    pub fn has(&self, msn: u64, part: Option<u32>) -> bool {
        match part.filter(|_| self.part_target.is_some()) {
            _ if self.ended => true,
            // A part is there with its segment at the latest.
            None => msn < self.next,
            Some(part) if msn == self.next => part < self.parts,
            // One that the segment turned out not to have is the first of the segment after it. Without
            // its parts being known, the segment has all it was asked for.
            Some(part) if msn.checked_add(1) == Some(self.next) => {
                part < self.parts_before || self.parts_before == 0 || self.parts > 0
            }
            Some(_) => msn < self.next,
        }
    }

    /// How a request is answered. Nobody is made to wait for what is more than one segment away, or
    /// three seconds of parts: such a request is a mistake, and would be held for long.
    #[must_use]
    pub fn answer(&self, reload: &Reload) -> Answer {
        let Some(msn) = reload.msn else { return Answer::Now };
        if self.has(msn, reload.part) {
            return Answer::Now;
        }
        let ahead = msn.saturating_sub(self.next);
        if ahead > 1 {
            return Answer::Bad(BadReload::TooFar);
        }
        let part = reload.part.filter(|_| self.part_target.is_some());
        if let (Some(part), Some(target)) = (part, self.part_target)
            && msn >= self.next
        {
            // What the draft calls the Advance Part Limit.
            let advance = 3_000_000_u64.div_ceil(target.max(1).unsigned_abs()).max(3);
            let there = if ahead == 0 { self.parts } else { 0 };
            if u64::from(part) >= u64::from(there).saturating_add(advance) {
                return Answer::Bad(BadReload::PartTooFar);
            }
        }
        Answer::Wait { msn, part }
    }
}
