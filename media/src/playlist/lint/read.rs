//! A media playlist as the linter sees it, and as those who follow one do.

use crate::limits;
use std::str::FromStr;

/// What a playlist says, tag by tag.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Playlist {
    /// Its `EXT-X-VERSION`, 0 without one.
    pub version: u32,
    /// Its target duration in microseconds, as all durations here are.
    pub target: i64,
    /// The number of its first segment, those that are skipped included.
    pub sequence: u64,
    /// How many discontinuities came before it.
    pub discontinuity_sequence: u64,
    /// Whether each segment begins with a keyframe.
    pub independent: bool,
    /// What the server can do.
    pub control: Option<Control>,
    /// How long the longest part may be.
    pub part_target: Option<i64>,
    /// Segments that a delta update leaves out.
    pub skipped: usize,
    /// The complete segments that are listed.
    pub segments: Vec<Listed>,
    /// What follows the last complete segment.
    pub open: Listed,
    /// The part that comes next.
    pub hint: Option<String>,
    /// Whether nothing comes any more.
    pub ended: bool,
}

/// `EXT-X-SERVER-CONTROL`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Control {
    /// Requests may wait for what comes next.
    pub blocks: bool,
    /// What is older may be left out.
    pub skip_until: Option<i64>,
    /// How far players stay behind the end.
    pub hold_back: Option<i64>,
    /// The same of players that take parts.
    pub part_hold_back: Option<i64>,
}

/// A segment with its tags.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Listed {
    /// Where it is, as the list has it.
    pub uri: String,
    /// How long it is.
    pub duration: i64,
    /// There is nothing of it.
    pub gap: bool,
    /// Its times do not follow those before it.
    pub discontinuity: bool,
    /// The init segment in force, once the whole list is known.
    pub map: Option<String>,
    /// When it began, in microseconds since 1970.
    pub date: Option<i64>,
    /// Its parts, as far as they are listed.
    pub parts: Vec<ListedPart>,
}

/// A part of a segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedPart {
    /// Where it is, as the list has it.
    pub uri: String,
    /// How long it is.
    pub duration: i64,
    /// Whether a player can begin with it.
    pub independent: bool,
}

/// Reads a playlist.
///
/// # Errors
/// What in it can't be read, in words.
pub fn read(text: &str) -> Result<Playlist, String> {
    if text.len() > limits::LINT_PLAYLIST {
        return Err("it is longer than playlists are".into());
    }
    let mut lines = text.lines();
    if lines.next() != Some("#EXTM3U") {
        return Err("it does not begin with #EXTM3U".into());
    }
    let (mut list, mut extinf, mut parts) = (Playlist::default(), None, 0_usize);
    for line in lines.filter(|line| !line.is_empty()) {
        if list.ended {
            return Err(format!("{line} comes after the end"));
        }
        let (tag, value) = line.split_once(':').unwrap_or((line, ""));
        let broken = || format!("{line} is malformed");
        match tag {
            "#EXT-X-VERSION" => list.version = number(value).ok_or_else(broken)?,
            "#EXT-X-TARGETDURATION" => {
                let target: u32 = number(value).ok_or_else(broken)?;
                list.target = i64::from(target) * 1_000_000;
            }
            "#EXT-X-MEDIA-SEQUENCE" => list.sequence = number(value).ok_or_else(broken)?,
            "#EXT-X-DISCONTINUITY-SEQUENCE" => {
                list.discontinuity_sequence = number(value).ok_or_else(broken)?;
            }
            "#EXT-X-INDEPENDENT-SEGMENTS" => list.independent = true,
            "#EXT-X-SERVER-CONTROL" => list.control = Some(control(value).ok_or_else(broken)?),
            "#EXT-X-PART-INF" => {
                let target = attribute(value, "PART-TARGET").and_then(micros).ok_or_else(broken)?;
                list.part_target = Some(target);
            }
            "#EXT-X-SKIP" => {
                let skipped = attribute(value, "SKIPPED-SEGMENTS").and_then(number::<u32>);
                list.skipped =
                    usize::try_from(skipped.ok_or_else(broken)?).map_err(|_| broken())?;
            }
            "#EXT-X-GAP" => list.open.gap = true,
            "#EXT-X-DISCONTINUITY" => list.open.discontinuity = true,
            "#EXT-X-MAP" => {
                list.open.map = Some(attribute(value, "URI").ok_or_else(broken)?.into());
            }
            "#EXT-X-PROGRAM-DATE-TIME" => list.open.date = Some(date(value).ok_or_else(broken)?),
            "#EXT-X-PART" => {
                parts += 1;
                if parts > limits::LINT_SEGMENTS {
                    return Err("it has more parts than are read".into());
                }
                list.open.parts.push(part(value).ok_or_else(broken)?);
            }
            "#EXTINF" => {
                let (duration, _) = value.split_once(',').ok_or_else(broken)?;
                extinf = Some(micros(duration).ok_or_else(broken)?);
            }
            "#EXT-X-PRELOAD-HINT" => {
                let uri = attribute(value, "URI").ok_or_else(broken)?;
                if attribute(value, "TYPE") == Some("PART")
                    && list.hint.replace(uri.into()).is_some()
                {
                    return Err("it hints at two parts".into());
                }
            }
            "#EXT-X-RENDITION-REPORT" => {
                attribute(value, "URI").ok_or_else(broken)?;
                attribute(value, "LAST-MSN").and_then(number::<u64>).ok_or_else(broken)?;
            }
            "#EXT-X-ENDLIST" => list.ended = true,
            _ if line.starts_with('#') => {}
            uri => {
                let duration = extinf.take().ok_or_else(|| format!("{uri} has no EXTINF"))?;
                if list.segments.len() >= limits::LINT_SEGMENTS {
                    return Err("it has more segments than are read".into());
                }
                let segment = std::mem::take(&mut list.open);
                list.segments.push(Listed { uri: uri.into(), duration, ..segment });
            }
        }
    }
    if extinf.is_some() { Err("the last EXTINF has no segment".into()) } else { Ok(list) }
}

fn control(value: &str) -> Option<Control> {
    let seconds = |name| match attribute(value, name) {
        None => Some(None),
        Some(text) => micros(text).map(Some),
    };
    Some(Control {
        blocks: attribute(value, "CAN-BLOCK-RELOAD") == Some("YES"),
        skip_until: seconds("CAN-SKIP-UNTIL")?,
        hold_back: seconds("HOLD-BACK")?,
        part_hold_back: seconds("PART-HOLD-BACK")?,
    })
}

fn part(value: &str) -> Option<ListedPart> {
    Some(ListedPart {
        uri: attribute(value, "URI")?.into(),
        duration: attribute(value, "DURATION").and_then(micros)?,
        independent: attribute(value, "INDEPENDENT") == Some("YES"),
    })
}

/// The value of an attribute in a list of them, without its quotes.
#[must_use]
pub fn attribute<'a>(list: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = list;
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=')?;
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => {
                let (value, after) = quoted.split_once('"')?;
                (value, after.strip_prefix(',').unwrap_or(after))
            }
            None => after.split_once(',').unwrap_or((after, "")),
        };
        if key == name {
            return Some(value);
        }
        rest = after;
    }
    None
}

fn number<T: FromStr>(text: &str) -> Option<T> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// Seconds with up to six decimals; finer ones are cut off.
fn micros(text: &str) -> Option<i64> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    // Nothing in a playlist takes a year; so no sum of what is read overflows.
    let whole = number::<i64>(whole).filter(|whole| *whole < 366 * 86_400)?;
    if decimals.is_empty() || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = decimals.bytes().chain(std::iter::repeat(b'0')).take(6);
    let fraction = digits.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    Some(whole * 1_000_000 + fraction)
}

/// Microseconds since 1970 of a UTC date as `2026-01-31T23:59:59.999Z`.
fn date(text: &str) -> Option<i64> {
    let (day, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut day = day.splitn(3, '-').map(number::<i64>);
    let (year, month, day) = (day.next()??, day.next()??, day.next()??);
    let mut time = time.splitn(3, ':');
    let (hour, minute) = (number::<i64>(time.next()?)?, number::<i64>(time.next()?)?);
    let second = micros(time.next()?)?;
    let valid = (1970..10_000).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 61_000_000;
    if !valid {
        return None;
    }
    // Years from March, so that the leap day is the last one of its year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leaps = year / 4 - year / 100 + year / 400;
    let days = year * 365 + leaps + (153 * month + 2) / 5 + day - 719_469;
    Some((days * 86_400 + hour * 3600 + minute * 60) * 1_000_000 + second)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::playlist::text::date_time;

    #[test]
    fn dates_are_read_as_they_are_written() {
        for micros in [0, 951_782_400_000_000, 1_709_251_199_999_000, 4_107_542_400_001_000] {
            let mut text = String::new();
            date_time(micros, &mut text);
            assert_eq!(date(&text), Some(micros), "{text}");
        }
        for bad in ["", "2026", "2026-13-01T00:00:00Z", "2026-01-01 00:00:00Z", "2026-01-01T00:00Z"]
        {
            assert_eq!(date(bad), None, "{bad}");
        }
    }

    #[test]
    fn attributes_are_found_whatever_is_quoted() {
        let list = "A=\"x,URI=no\",URI=\"yes\",N=1";
        assert_eq!(attribute(list, "URI"), Some("yes"));
        assert_eq!(attribute(list, "N"), Some("1"));
        assert_eq!(attribute(list, "B"), None);
        assert_eq!(attribute("A=\"open", "A"), None);
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        for (text, fault) in [
            ("", "begin"),
            ("#EXTM3U\nx.ts", "no EXTINF"),
            ("#EXTM3U\n#EXTINF:1,", "no segment"),
            ("#EXTM3U\n#EXTINF:-1,\nx.ts", "malformed"),
            ("#EXTM3U\n#EXT-X-ENDLIST\nx.ts", "after the end"),
            ("#EXTM3U\n#EXT-X-PART:DURATION=1", "malformed"),
        ] {
            assert!(read(text).unwrap_err().contains(fault), "{text}");
        }
    }
}
