//! Numbers, times and names as playlists write them, appended without the machinery of `format!`.

/// The digits of a number.
pub(super) fn decimal(mut number: u64, out: &mut String) {
    // As many as u64::MAX has.
    let mut digits = [0_u8; 20];
    let mut count = 0;
    for place in digits.iter_mut().rev() {
        *place = b'0' + (number % 10) as u8;
        number /= 10;
        count += 1;
        if number == 0 {
            break;
        }
    }
    out.extend(digits.iter().skip(digits.len() - count).map(|digit| char::from(*digit)));
}

/// The last `places` digits of a number, with the zeros before them.
pub(super) fn padded(number: u64, places: u32, out: &mut String) {
    for place in (0..places).rev() {
        let digit = number / 10_u64.saturating_pow(place) % 10;
        out.push(char::from(b'0' + digit as u8));
    }
}

/// Microseconds as seconds with all six decimals, so that sums of what is listed are exact. A negative
/// duration does not exist and is written as zero.
pub(super) fn seconds(micros: i64, out: &mut String) {
    let micros = micros.max(0).unsigned_abs();
    decimal(micros / 1_000_000, out);
    out.push('.');
    padded(micros % 1_000_000, 6, out);
}

/// Microseconds since 1970 as a date and time of UTC with milliseconds, the form that every player reads.
pub fn date_time(micros: i64, out: &mut String) {
    let millis = micros.clamp(0, LATEST).unsigned_abs() / 1000;
    let (days, of_day) = (millis / 86_400_000, millis % 86_400_000);
    let (year, month, day) = civil(days);
    padded(year, 4, out);
    out.push('-');
    padded(month, 2, out);
    out.push('-');
    padded(day, 2, out);
    out.push('T');
    padded(of_day / 3_600_000, 2, out);
    out.push(':');
    padded(of_day / 60_000 % 60, 2, out);
    out.push(':');
    padded(of_day / 1000 % 60, 2, out);
    out.push('.');
    padded(of_day % 1000, 3, out);
    out.push('Z');
}

/// The end of the year 9999: the form has four digits for a year.
const LATEST: i64 = 253_402_300_799_999_999;

/// Year, month and day of a day counted from 1970. Years are counted from March, so that the leap day is
/// the last of its year, and in eras of 400 years, which all have the same length.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// A text between quotes. What would end it does not belong into one and is left out.
pub(super) fn quoted(text: &str, out: &mut String) {
    out.push('"');
    unquoted(text, out);
    out.push('"');
}

/// A text without quotes and line ends.
pub(super) fn unquoted(text: &str, out: &mut String) {
    out.extend(text.chars().filter(|char| *char != '"' && !char.is_control()));
}

/// A number in the only form it is written here: digits, no zero before others, at most `digits` of them.
pub(super) fn parse_decimal(text: &str, digits: usize) -> Option<u64> {
    let canonical = text == "0" || !text.starts_with('0');
    let all_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if canonical && all_digits && text.len() <= digits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl Fn(&mut String)) -> String {
        let mut out = String::new();
        write(&mut out);
        out
    }

    #[test]
    fn numbers_and_seconds() {
        for number in [0, 7, 10, 99, 100, 12_345, u64::from(u32::MAX), u64::MAX] {
            assert_eq!(written(|out| decimal(number, out)), number.to_string());
        }
        for (micros, expected) in [
            (0, "0.000000"),
            (1, "0.000001"),
            (2_000_000, "2.000000"),
            (1_999_999, "1.999999"),
            (-5, "0.000000"),
            (i64::MAX, "9223372036854.775807"),
        ] {
            assert_eq!(written(|out| seconds(micros, out)), expected);
        }
    }

    #[test]
    fn dates() {
        for (micros, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_999_999, "2024-02-29T23:59:59.999Z"),
            (4_107_542_400_000_000, "2100-03-01T00:00:00.000Z"),
            (1_767_225_599_001_000, "2025-12-31T23:59:59.001Z"),
            (i64::MAX, "9999-12-31T23:59:59.999Z"),
            (i64::MIN, "1970-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(written(|out| date_time(micros, out)), expected);
        }
    }

    #[test]
    fn only_one_form_of_a_number_is_read() {
        assert_eq!(parse_decimal("0", 4), Some(0));
        assert_eq!(parse_decimal("9999", 4), Some(9999));
        for bad in ["", "00", "01", "10000", "+1", "-1", " 1", "1 ", "1.0", "x", "１"] {
            assert_eq!(parse_decimal(bad, 4), None, "{bad}");
        }
    }
}
