//! The `Date` header: a time as text, made once a second.

/// The text of the `Date` header for the current second, kept by each loop.
#[derive(Debug, Clone)]
pub struct DateCache {
    second: u64,
    text: [u8; 29],
}

impl DateCache {
    /// The text for this second since 1970.
    pub fn new(unix_seconds: u64) -> DateCache {
        DateCache { second: unix_seconds, text: http_date(unix_seconds) }
    }

    /// Rewrites the text if the second is another.
    #[inline]
    pub fn update(&mut self, unix_seconds: u64) {
        if self.second != unix_seconds {
            *self = DateCache::new(unix_seconds);
        }
    }

    /// Which second since 1970 it is.
    pub fn second(&self) -> u64 {
        self.second
    }

    /// The text, such as `Sun, 06 Nov 1994 08:49:37 GMT`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }
}

/// The last second with a year of four digits, the end of 9999.
const LAST_SECOND: u64 = 253_402_300_799;

/// A time in the one form HTTP writes (RFC 9110 5.6.7); later than the year 9999 is its last second.
pub fn http_date(unix_seconds: u64) -> [u8; 29] {
    let seconds = unix_seconds.min(LAST_SECOND);
    let days = seconds / 86_400;
    let (year, month, day) = civil_from_days(days);
    let weekday = match days % 7 {
        0 => b"Thu",
        1 => b"Fri",
        2 => b"Sat",
        3 => b"Sun",
        4 => b"Mon",
        5 => b"Tue",
        _ => b"Wed",
    };
    let mut text = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    let fields: [(usize, &[u8]); 7] = [
        (0, weekday),
        (5, &two_digits(day)),
        (8, month),
        (12, &two_digits(year / 100)),
        (14, &two_digits(year % 100)),
        (17, &two_digits(seconds / 3600 % 24)),
        (20, &two_digits(seconds / 60 % 60)),
    ];
    for (at, field) in fields.into_iter().chain([(23, &two_digits(seconds % 60)[..])]) {
        for (place, byte) in text.iter_mut().skip(at).zip(field) {
            *place = *byte;
        }
    }
    text
}

fn two_digits(number: u64) -> [u8; 2] {
    [b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8]
}

/// Year, month and day of a number of days since 1970-01-01.
///
/// Counts from the first of March of the year 0, so that the leap day is the last day of its year
/// and of each longer cycle: 400 years, of which the last century is a day longer, then centuries,
/// of which the last four years are a day shorter, then four years, of which the last is a day longer.
fn civil_from_days(days: u64) -> (u64, &'static [u8; 3], u64) {
    const MARCH_YEAR: [(&[u8; 3], u64); 12] = [
        (b"Mar", 31),
        (b"Apr", 30),
        (b"May", 31),
        (b"Jun", 30),
        (b"Jul", 31),
        (b"Aug", 31),
        (b"Sep", 30),
        (b"Oct", 31),
        (b"Nov", 30),
        (b"Dec", 31),
        (b"Jan", 31),
        (b"Feb", 29),
    ];
    const DAYS_UNTIL_1970: u64 = 719_468;

    let mut rest = days + DAYS_UNTIL_1970;
    let eras = rest / 146_097;
    rest %= 146_097;
    let centuries = (rest / 36_524).min(3);
    rest -= centuries * 36_524;
    let fours = rest / 1_461;
    rest -= fours * 1_461;
    let ones = (rest / 365).min(3);
    rest -= ones * 365;
    let march_year = eras * 400 + centuries * 100 + fours * 4 + ones;

    let mut month = b"Feb";
    let mut january_passed = 1;
    for (index, (name, length)) in MARCH_YEAR.into_iter().enumerate() {
        if rest < length {
            month = name;
            january_passed = u64::from(index >= 10);
            break;
        }
        rest -= length;
    }
    (march_year + january_passed, month, rest + 1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn known_dates() {
        for (seconds, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
            (1_709_164_800, "Thu, 29 Feb 2024 00:00:00 GMT"),
            (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (LAST_SECOND, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(http_date(seconds), text.as_bytes(), "{seconds}");
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let lengths = |year: u64| {
            let leap =
                year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
            [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        };
        let names = b"JanFebMarAprMayJunJulAugSepOctNovDec";
        let (mut year, mut month, mut day) = (1970, 0, 1);
        for days in 0..=LAST_SECOND / 86_400 {
            let name = &names[month * 3..][..3];
            assert_eq!(civil_from_days(days), (year, name.try_into().unwrap(), day));
            day += 1;
            if day > lengths(year)[month] {
                day = 1;
                month += 1;
            }
            if month == 12 {
                month = 0;
                year += 1;
            }
        }
    }

    #[test]
    fn the_date_cache_changes_with_the_second() {
        let mut cache = DateCache::new(0);
        cache.update(0);
        assert_eq!(cache.as_bytes(), http_date(0));
        cache.update(61);
        assert_eq!(cache.as_bytes(), http_date(61));
    }
}
