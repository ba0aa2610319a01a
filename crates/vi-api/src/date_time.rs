//! `xsd:dateTime`: kept as the text that was sent, turned into seconds when somebody asks.

use std::fmt;

/// A point in time as the host wrote it: `2024-02-29T12:00:00.123Z`.
///
/// The text survives a round trip. The arithmetic is ours, thirty lines, so that a crate of types
/// needs no calendar library; its rule is libvirt's (spec `connection.md` section 18).
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct DateTime(String);

impl DateTime {
    /// Takes the text as it is.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The time `seconds` after the start of 1970, UTC, in whole seconds.
    ///
    /// Years outside 0..=9999 do not occur on hosts and are clamped.
    pub fn from_unix_seconds(seconds: i64) -> Self {
        let seconds = seconds.clamp(-62_167_219_200, 253_402_300_799);
        let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (year, month, day) = civil_from_days(days);
        let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
        Self(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Seconds since the start of 1970, the fraction dropped; a missing zone counts as UTC, a
    /// year before 0 as the start of 1970. `None` if the text is no `xsd:dateTime`.
    pub fn unix_seconds(&self) -> Option<i64> {
        let text = self.0.as_str();
        if text.starts_with('-') {
            return Some(0);
        }
        let bytes = text.as_bytes();
        let number = |from: usize, to: usize| -> Option<i64> {
            let part = text.get(from..to)?;
            part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok())?
        };
        let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
        if marks.iter().any(|&(at, mark)| bytes.get(at) != Some(&mark)) {
            return None;
        }
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        if !(1..=12).contains(&month)
            || day < 1
            || day > days_in_month(year, month)
            || hour > 24
            || minute > 59
            || second > 60
        {
            return None;
        }
        let mut rest = text.get(19..)?;
        if let Some(fraction) = rest.strip_prefix('.') {
            let end = fraction.find(|c: char| !c.is_ascii_digit()).unwrap_or(fraction.len());
            if end == 0 {
                return None;
            }
            rest = &fraction[end..];
        }
        let offset = match rest.as_bytes() {
            [] | [b'Z'] => 0,
            [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2]
                if [h1, h2, m1, m2].iter().all(|b| b.is_ascii_digit()) =>
            {
                let two = |a: &u8, b: &u8| i64::from(a - b'0') * 10 + i64::from(b - b'0');
                let seconds = two(h1, h2) * 3600 + two(m1, m2) * 60;
                if *sign == b'+' { seconds } else { -seconds }
            }
            _ => return None,
        };
        Some(
            days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second
                - offset,
        )
    }
}

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01; years begin in March, so that the leap day comes last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of spec `connection.md` section 18 and `domain.md` section 20.1.
    #[test]
    fn vectors() {
        for (text, expected) in [
            ("2010-04-08T05:45:11-07:00", Some(1_270_730_711)),
            ("2010-04-08T12:45:11Z", Some(1_270_730_711)),
            ("2010-04-08T22:15:11+09:30", Some(1_270_730_711)),
            ("2010-04-08T12:45:11", Some(1_270_730_711)),
            ("2010-04-09T01:30:11+12:45", Some(1_270_730_711)),
            ("2010-04-08T14:45:11.529576+02:00", Some(1_270_730_711)),
            ("-2010-04-08T14:45:11+02:00", Some(0)),
            ("1970-01-01T00:00:00+00:00", Some(0)),
            ("2038-01-19T03:14:07+00:00", Some(2_147_483_647)),
            ("1984-10-27T14:33:45+02:00", Some(467_728_425)),
            ("2024-02-29T12:00:00Z", Some(1_709_208_000)),
            ("1969-12-31T23:59:59Z", Some(-1)),
            ("2024-12-31T23:59:59-12:00", Some(1_735_732_799)),
            ("2000-01-01T00:00:00+14:00", Some(946_634_400)),
            ("2024-02-29T23:59:59.999999Z", Some(1_709_251_199)),
            ("2010-04-08 12:45:11", None),
            ("2010-04-08T12:45:11 Z", None),
            ("2023-02-29T12:00:00Z", None),
            ("", None),
            ("2010-04-08T12:45:1é", None),
        ] {
            assert_eq!(DateTime::new(text).unix_seconds(), expected, "{text}");
        }
    }

    #[test]
    fn seconds_survive_the_round_trip() {
        for seconds in (-62_000_000_000..253_000_000_000).step_by(1_234_567_891) {
            assert_eq!(DateTime::from_unix_seconds(seconds).unix_seconds(), Some(seconds));
        }
        assert_eq!(DateTime::from_unix_seconds(1_709_251_199).as_str(), "2024-02-29T23:59:59Z");
    }
}
