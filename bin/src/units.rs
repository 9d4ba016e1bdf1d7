//! Quantities as people write them: `2.5M`, `10G`, `80%`, `200ms`.

use std::time::Duration;

/// Reads a number with one of some suffixes; no suffix means the factor 1.
fn scaled(text: &str, suffixes: &[(&str, f64)]) -> Option<f64> {
    let text = text.trim();
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, suffix) = text.split_at_checked(digits)?;
    let number: f64 = number.parse().ok()?;
    let suffix = suffix.trim();
    let factor = suffixes.iter().find(|(name, _)| *name == suffix).map(|(_, factor)| *factor)?;
    Some(number * factor)
}

/// Bits per second: `2500000`, `128k`, `2.5M`, `10G`, with `bit/s`, `bps` or nothing behind it.
pub fn bit_rate(text: &str) -> Result<f64, String> {
    let bare = text.trim().trim_end_matches("bit/s").trim_end_matches("bps").trim_end();
    scaled(bare, &[("", 1.0), ("k", 1e3), ("K", 1e3), ("M", 1e6), ("G", 1e9), ("T", 1e12)])
        .filter(|rate| *rate > 0.0 && *rate <= 1e15)
        .ok_or_else(|| format!("{text:?} is no bit rate; write it like 2.5M or 10G"))
}

/// A count, which may be written `10k` or `1M`.
pub fn count(text: &str) -> Result<usize, String> {
    scaled(text, &[("", 1.0), ("k", 1e3), ("K", 1e3), ("M", 1e6)])
        .filter(|count| count.fract() == 0.0 && *count <= 1e9)
        .map(|count| count as usize)
        .ok_or_else(|| format!("{text:?} is no count; write it like 3200 or 10k"))
}

/// As [`count`], of what there has to be some.
pub fn some(text: &str) -> Result<usize, String> {
    count(text)
        .and_then(|count| if count > 0 { Ok(count) } else { Err("there has to be one".into()) })
}

/// Threads of a test.
pub fn threads(text: &str) -> Result<usize, String> {
    count(text)
        .ok()
        .filter(|count| (1..=64).contains(count))
        .ok_or_else(|| format!("{text:?} is no number of threads from 1 to 64"))
}

/// So many in a second. Fewer are never seen in a test, more have no time between two of them.
pub fn per_second(text: &str) -> Result<f64, String> {
    scaled(text, &[("", 1.0), ("k", 1e3), ("K", 1e3), ("M", 1e6)])
        .filter(|rate| (0.01..=1e6).contains(rate))
        .ok_or_else(|| format!("{text:?} is not from 0.01 to 1M in a second"))
}

/// As [`per_second`], or none at all.
pub fn per_second_or_none(text: &str) -> Result<f64, String> {
    if text == "0" { Ok(0.0) } else { per_second(text) }
}

/// A part of a whole, 0 to 1: `80%` or `0.8`.
pub fn share(text: &str) -> Result<f64, String> {
    scaled(text, &[("", 1.0), ("%", 0.01)])
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| format!("{text:?} is no share; write it like 80% or 0.8"))
}

/// Milliseconds of `200ms`, `1.5s`, `2m`, `1h`; a bare number is seconds.
pub fn millis(text: &str) -> Result<f64, String> {
    let units =
        [("", 1e3), ("us", 1e-3), ("ms", 1.0), ("s", 1e3), ("m", 6e4), ("min", 6e4), ("h", 3.6e6)];
    scaled(text, &units).ok_or_else(|| format!("{text:?} is no time; write it like 200ms or 16s"))
}

/// A time of at most a day: nothing here runs without a bound.
pub fn duration(text: &str) -> Result<Duration, String> {
    let millis = millis(text)?;
    if millis > 86_400_000.0 {
        return Err(format!("{text:?} is longer than a day, the bound of every time here"));
    }
    Ok(Duration::from_secs_f64(millis / 1e3))
}

/// As [`duration`], of what has to take some time.
pub fn some_time(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time.is_zero() { Err(format!("{text:?} is no time at all")) } else { Ok(time) }
}

/// A bit rate as people read it.
pub fn shown_rate(bits: f64) -> String {
    let (value, unit) = match bits {
        b if b >= 1e9 => (b / 1e9, "Gbit/s"),
        b if b >= 1e6 => (b / 1e6, "Mbit/s"),
        b if b >= 1e3 => (b / 1e3, "kbit/s"),
        b => (b, "bit/s"),
    };
    format!("{} {unit}", shown(value))
}

/// A size in bytes as people read it.
pub fn shown_bytes(bytes: f64) -> String {
    let (value, unit) = match bytes {
        b if b >= 1073741824.0 => (b / 1073741824.0, "GiB"),
        b if b >= 1048576.0 => (b / 1048576.0, "MiB"),
        b if b >= 1024.0 => (b / 1024.0, "KiB"),
        b => (b, "B"),
    };
    format!("{} {unit}", shown(value))
}

/// Three digits or so of a number, without zeros that say nothing.
pub fn shown(value: f64) -> String {
    let places = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.places$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// A whole number with commas between thousands.
pub fn grouped(value: usize) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_people_write_them() {
        for (text, bits) in [("2.5M", 2.5e6), ("10G", 1e10), ("128k", 128e3), ("1Gbit/s", 1e9)] {
            assert_eq!(bit_rate(text), Ok(bits), "{text}");
        }
        assert_eq!(share("80%"), Ok(0.8));
        assert_eq!(share("0.1%"), Ok(0.001));
        assert_eq!(millis("200ms"), Ok(200.0));
        assert_eq!(duration("16").unwrap(), Duration::from_secs(16));
        assert_eq!(duration("1.5s").unwrap(), Duration::from_millis(1500));
        assert_eq!(count("10k"), Ok(10_000));
    }

    #[test]
    fn nonsense_is_refused_with_an_example() {
        for text in ["", "M", "2.5X", "-3", "1.2.3", "0"] {
            assert!(bit_rate(text).unwrap_err().contains("2.5M"), "{text}");
        }
        assert!(share("180%").is_err());
        assert!(duration("25h").unwrap_err().contains("a day"));
        assert!(count("1.5").is_err() && some("0").is_err() && some_time("0ms").is_err());
        for text in ["0", "1e-9", "0.001", "nan", "inf", "-1", "2M"] {
            assert!(per_second(text).is_err(), "{text}");
        }
        assert_eq!((per_second("2.5"), per_second_or_none("0")), (Ok(2.5), Ok(0.0)));
        assert!(threads("0").is_err() && threads("65").is_err() && threads("64") == Ok(64));
    }

    #[test]
    fn and_written_as_people_read_them() {
        assert_eq!(shown_rate(8.0e9), "8 Gbit/s");
        assert_eq!(shown_rate(2.5e6), "2.5 Mbit/s");
        assert_eq!(shown(0.0234), "0.023");
        assert_eq!(shown(1234.5), "1234");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(320), "320");
        assert_eq!(shown_bytes(1536.0), "1.5 KiB");
    }
}
