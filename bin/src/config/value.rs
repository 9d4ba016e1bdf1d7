//! Durations and sizes as people write them: a whole number and its unit.

use std::time::Duration;

/// What a duration looks like, for messages.
pub const DURATION: &str = "a duration such as \"100ms\", \"10s\" or \"2m\"";
/// What a size looks like, for messages.
pub const SIZE: &str = "a size such as \"64K\", \"32M\" or \"1G\"";

const MILLISECONDS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
const BYTES: [(&str, u64); 3] = [("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10)];

/// Reads `100ms`, `10s`, `2m` or `1h`; the error says what is wrong with the text.
pub fn duration(text: &str) -> Result<Duration, String> {
    number_with_unit(text, &MILLISECONDS).map(Duration::from_millis)
}

/// Reads `64K`, `32M` or `1G`, powers of 1024; the error says what is wrong with the text.
pub fn size(text: &str) -> Result<u64, String> {
    number_with_unit(text, &BYTES)
}

/// Writes a duration as [`duration`] reads it; less than a millisecond is left out.
pub fn shown_duration(value: Duration) -> String {
    match u64::try_from(value.as_millis()) {
        Ok(0) => "0s".to_owned(),
        Ok(count) => with_largest_unit(count, &MILLISECONDS),
        // No duration that was read is so long.
        Err(_) => format!("{value:?}"),
    }
}

/// Writes a size as [`size`] reads it, where it is a multiple of 1024.
pub fn shown_size(value: u64) -> String {
    with_largest_unit(value, &BYTES)
}

fn number_with_unit(text: &str, units: &[(&str, u64)]) -> Result<u64, String> {
    let (number, unit) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    let names = || units.iter().rev().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    if text.starts_with('-') {
        return Err("it is negative".to_owned());
    }
    if number.is_empty() {
        return Err("it does not begin with a number".to_owned());
    }
    if unit.is_empty() {
        return Err(format!("the unit is missing: {}", names()));
    }
    if unit.starts_with(['.', ',']) {
        return Err("the number is not whole, take a smaller unit".to_owned());
    }
    let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
        return Err(format!("after the number comes one unit: {}", names()));
    };
    let number = number.parse::<u64>().ok();
    number.and_then(|number| number.checked_mul(*factor)).ok_or("it is too large".to_owned())
}

fn with_largest_unit(value: u64, units: &[(&str, u64)]) -> String {
    let whole = units.iter().find(|(_, factor)| value >= *factor && value.is_multiple_of(*factor));
    whole.map_or_else(|| value.to_string(), |(name, factor)| format!("{}{name}", value / factor))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_people_write_is_understood() {
        for (text, milliseconds) in
            [("0s", 0), ("100ms", 100), ("10s", 10_000), ("2m", 120_000), ("1h", 3_600_000)]
        {
            let value = duration(text).unwrap();
            assert_eq!(value, Duration::from_millis(milliseconds));
            assert_eq!(shown_duration(value), text);
        }
        for (text, bytes) in [("64K", 65_536), ("32M", 33_554_432), ("1G", 1_073_741_824)] {
            assert_eq!(size(text), Ok(bytes));
            assert_eq!(shown_size(bytes), text);
        }
        assert_eq!(shown_duration(duration("60000ms").unwrap()), "1m");
        assert_eq!(shown_size(size("1536K").unwrap()), "1536K");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, what) in [
            ("", "empty"),
            ("-5s", "negative"),
            ("s", "begin with a number"),
            ("+5s", "begin with a number"),
            (" 5s", "begin with a number"),
            ("٣s", "begin with a number"),
            ("10", "the unit is missing: ms, s, m, h"),
            ("1.5s", "not whole"),
            ("10 s", "one unit: ms, s, m, h"),
            ("10S", "one unit"),
            ("1m30s", "one unit"),
            ("5µs", "one unit"),
            ("18446744073709551616ms", "too large"),
            ("18446744073709551615h", "too large"),
        ] {
            let error = duration(text).unwrap_err();
            assert!(error.contains(what), "{text:?}: {error}");
        }
        for (text, what) in [
            ("512", "the unit is missing: K, M, G"),
            ("64k", "one unit"),
            ("32MB", "one unit"),
            ("99999999999999999999G", "too large"),
            ("18446744073709551615K", "too large"),
        ] {
            let error = size(text).unwrap_err();
            assert!(error.contains(what), "{text:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(count in 0..u64::MAX / 1024) {
            let value = Duration::from_millis(count);
            prop_assert_eq!(duration(&shown_duration(value)), Ok(value));
            prop_assert_eq!(size(&shown_size(count * 1024)), if count == 0 {
                // No size is nothing.
                Err("the unit is missing: K, M, G".to_owned())
            } else {
                Ok(count * 1024)
            });
        }

        #[test]
        fn no_text_breaks_it(text in ".{0,32}") {
            let _ = (duration(&text), size(&text));
        }
    }
}
