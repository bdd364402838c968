//! Quiet hours: whether somebody wants to be left alone now, and until when.
//!
//! Owns the two times of a day and the time zone that they are meant in. Pure: the time is given, and zones are those that are
//! built in (`jiff`'s copy of the IANA database), so that an answer does not depend on the machine.
//!
//! A day's quiet begins when a clock on the wall first shows `from` or a later time, and ends when it last shows `to`: where a
//! clock is set back the hour that comes twice is quiet both times, where it is set forward over one of the two it counts as shown
//! then.

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use schema::UnixMs;
use schema::record::SettingsRecord;

/// Bytes of a zone's name. The longest is `America/Argentina/ComodRivadavia`.
pub const ZONE_BYTES_MAX: usize = 64;

static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// From when to when, every day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuietHours {
    from: Time,
    to: Time,
    zone: TimeZone,
}

/// User's mistake. Nothing was stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuietError {
    /// A time that is none.
    #[error("{field} is {found:?}, which is no time of a day: write it as 22:00, from 00:00 to 23:59")]
    Time {
        /// `from` or `to`.
        field: &'static str,
        /// As it came, cut off.
        found: String,
    },
    /// Nothing, or all day: it does not say which.
    #[error("from and to are both {0}: name two times, or turn what is not wanted off")]
    Empty(String),
    /// A zone that is none, or one that this program does not know yet.
    #[error("zone {0:?} is not known: name one of the IANA database, like Europe/Berlin")]
    Zone(String),
}

impl QuietHours {
    /// Both times as `HH:MM`, and an IANA time zone's name, in which case does not count.
    ///
    /// # Errors
    /// [`QuietError`], of what is wrong first.
    pub fn new(from: &str, to: &str, zone: &str) -> Result<Self, QuietError> {
        let time = |field, text: &str| parse(text).ok_or_else(|| QuietError::Time { field, found: shown(text) });
        let (from_time, to_time) = (time("from", from)?, time("to", to)?);
        if from_time == to_time {
            return Err(QuietError::Empty(from.to_owned()));
        }
        let known = if zone.len() <= ZONE_BYTES_MAX { ZONES.get(zone).ok() } else { None };
        let zone = known.ok_or_else(|| QuietError::Zone(shown(zone)))?;
        Ok(Self { from: from_time, to: to_time, zone })
    }

    /// When they end, if `now` is within them.
    #[must_use]
    pub fn ends(&self, now: UnixMs) -> Option<UnixMs> {
        // Beyond the year 9999 nobody is left alone.
        let at = Timestamp::from_millisecond(i64::try_from(now.0).ok()?).ok()?;
        let today = self.zone.to_datetime(at).date();
        let mut ends = None;
        // One may begin before the last has ended: where a day is left out, or comes to more than 24 hours.
        for day in [today.yesterday(), Ok(today), today.tomorrow()] {
            let (begin, end) = self.of(day.ok()?)?;
            let reached = ends.unwrap_or(at);
            if begin <= reached && reached < end {
                ends = Some(end);
            }
        }
        ends.and_then(|end| u64::try_from(end.as_millisecond()).ok()).map(UnixMs)
    }

    /// The quiet that begins on `day`.
    fn of(&self, day: Date) -> Option<(Timestamp, Timestamp)> {
        let last = if self.to < self.from { day.tomorrow().ok()? } else { day };
        Some((self.shown(day, self.from, false)?, self.shown(last, self.to, true)?))
    }

    /// When a clock shows `time` of `day` first or last, or jumps over it.
    fn shown(&self, day: Date, time: Time, is_last: bool) -> Option<Timestamp> {
        let shown = self.zone.to_ambiguous_timestamp(day.to_datetime(time));
        match shown.offset() {
            AmbiguousOffset::Unambiguous { .. } => shown.compatible().ok(),
            AmbiguousOffset::Fold { .. } if is_last => shown.later().ok(),
            AmbiguousOffset::Fold { .. } => shown.earlier().ok(),
            AmbiguousOffset::Gap { .. } => {
                // The jump lies between both readings of what no clock shows.
                let before = shown.earlier().ok()?;
                self.zone.following(before).next().map(|jump| jump.timestamp())
            }
        }
    }
}

/// When the quiet hours in a user's settings end, if `now` is within them.
#[must_use]
pub fn ends(settings: &SettingsRecord, now: UnixMs) -> Option<UnixMs> {
    if settings.zone.is_empty() {
        return None;
    }
    // What is stored was accepted once. A zone that this program does not know any more leaves nobody alone.
    QuietHours::new(&settings.quiet_from, &settings.quiet_to, &settings.zone).ok()?.ends(now)
}

/// `HH:MM`, of digits.
fn parse(text: &str) -> Option<Time> {
    let &[h1, h0, b':', m1, m0] = text.as_bytes() else { return None };
    let digits = [h1, h0, m1, m0];
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let [h1, h0, m1, m0] = digits.map(|digit| (digit - b'0') as i8);
    Time::new(10 * h1 + h0, 10 * m1 + m0, 0, 0).ok()
}

/// For an error: what came, without what a terminal would act on.
fn shown(text: &str) -> String {
    text.chars().filter(|char| !char.is_control()).take(ZONE_BYTES_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NIGHT: (&str, &str) = ("22:00", "07:00");
    const BERLIN: &str = "Europe/Berlin";

    /// Whether it is quiet at `now`, and until when; both as UTC, `2026-01-31T22:00`.
    fn check((from, to): (&str, &str), zone: &str, now: &str, expected: Option<&str>) {
        let hours = QuietHours::new(from, to, zone).expect("both times and a zone");
        let ms = |text: &str| -> UnixMs {
            let at: Timestamp = format!("{text}:00Z").parse().expect("a time");
            UnixMs(at.as_millisecond() as u64)
        };
        let ends =
            hours.ends(ms(now)).map(|end| Timestamp::from_millisecond(end.0 as i64).expect("a time").to_string());
        let expected = expected.map(|expected| format!("{expected}:00Z"));
        assert_eq!(ends, expected, "{now} UTC, from {from} to {to} in {zone}");
    }

    #[test]
    fn a_night_is_quiet_from_its_evening_to_its_morning() {
        check(NIGHT, BERLIN, "2026-01-15T20:59", None);
        check(NIGHT, BERLIN, "2026-01-15T21:00", Some("2026-01-16T06:00"));
        check(NIGHT, BERLIN, "2026-01-15T23:30", Some("2026-01-16T06:00"));
        check(NIGHT, BERLIN, "2026-01-16T05:59", Some("2026-01-16T06:00"));
        check(NIGHT, BERLIN, "2026-01-16T06:00", None);
        check(NIGHT, BERLIN, "2026-07-15T20:00", Some("2026-07-16T05:00"));
        check(NIGHT, "UTC", "2026-07-15T22:00", Some("2026-07-16T07:00"));
        check(NIGHT, "Asia/Kolkata", "2026-07-15T16:30", Some("2026-07-16T01:30"));
        check(NIGHT, "Pacific/Kiritimati", "2026-07-15T08:00", Some("2026-07-15T17:00"));
        check(NIGHT, "america/los_angeles", "2026-07-16T05:00", Some("2026-07-16T14:00"));
    }

    #[test]
    fn an_afternoon_is_quiet_within_its_day() {
        let nap = ("13:00", "14:30");
        check(nap, BERLIN, "2026-01-15T11:59", None);
        check(nap, BERLIN, "2026-01-15T12:00", Some("2026-01-15T13:30"));
        check(nap, BERLIN, "2026-01-15T13:30", None);
        let all_but_a_minute = ("08:01", "08:00");
        check(all_but_a_minute, BERLIN, "2026-01-15T07:00", None);
        check(all_but_a_minute, BERLIN, "2026-01-15T07:01", Some("2026-01-16T07:00"));
        check(("00:00", "23:59"), BERLIN, "2026-01-15T22:58", Some("2026-01-15T22:59"));
        check(("00:00", "23:59"), BERLIN, "2026-01-15T22:59", None);
        check(("23:59", "00:00"), BERLIN, "2026-01-15T22:59", Some("2026-01-15T23:00"));
    }

    /// In Berlin 02:00 is followed by 03:00 on 29 March 2026, at 01:00 UTC.
    #[test]
    fn a_time_that_no_clock_shows_is_when_it_is_set_forward() {
        check(NIGHT, BERLIN, "2026-03-28T21:00", Some("2026-03-29T05:00"));
        check(("22:00", "02:30"), BERLIN, "2026-03-29T00:59", Some("2026-03-29T01:00"));
        check(("22:00", "02:30"), BERLIN, "2026-03-29T01:00", None);
        check(("02:30", "05:00"), BERLIN, "2026-03-29T00:59", None);
        check(("02:30", "05:00"), BERLIN, "2026-03-29T01:00", Some("2026-03-29T03:00"));
        check(("02:10", "02:50"), BERLIN, "2026-03-29T00:59", None);
        check(("02:10", "02:50"), BERLIN, "2026-03-29T01:00", None);
        // Half an hour in Lord Howe: 02:00 is followed by 02:30 on 4 October 2026, at 15:30 UTC the day before.
        check(("22:00", "02:15"), "Australia/Lord_Howe", "2026-10-03T15:29", Some("2026-10-03T15:30"));
        // In Samoa 29 December 2011 is followed by the 31st, at 10:00 UTC on the 30th.
        check(NIGHT, "Pacific/Apia", "2011-12-30T08:00", Some("2011-12-30T17:00"));
        check(("13:00", "14:30"), "Pacific/Apia", "2011-12-30T10:00", None);
    }

    /// In Berlin 03:00 is followed by 02:00 on 25 October 2026, at 01:00 UTC.
    #[test]
    fn the_hour_that_comes_twice_is_quiet_both_times() {
        check(NIGHT, BERLIN, "2026-10-24T20:00", Some("2026-10-25T06:00"));
        check(("22:00", "02:30"), BERLIN, "2026-10-25T00:15", Some("2026-10-25T01:30"));
        check(("22:00", "02:30"), BERLIN, "2026-10-25T00:45", Some("2026-10-25T01:30"));
        check(("22:00", "02:30"), BERLIN, "2026-10-25T01:29", Some("2026-10-25T01:30"));
        check(("22:00", "02:30"), BERLIN, "2026-10-25T01:30", None);
        check(("02:30", "05:00"), BERLIN, "2026-10-25T00:29", None);
        check(("02:30", "05:00"), BERLIN, "2026-10-25T00:30", Some("2026-10-25T04:00"));
        check(("02:30", "05:00"), BERLIN, "2026-10-25T01:15", Some("2026-10-25T04:00"));
        // The quiet of the day before has not ended when the next begins: it is one.
        check(("02:30", "02:29"), BERLIN, "2026-10-24T12:00", Some("2026-10-26T01:29"));
    }

    #[test]
    fn times_of_which_a_calendar_knows_nothing_are_not_quiet() {
        let hours = QuietHours::new("00:00", "23:59", "UTC").expect("both times and a zone");
        for now in [u64::MAX, i64::MAX as u64, 253_402_300_799_999] {
            assert_eq!(hours.ends(UnixMs(now)), None, "{now}");
        }
        assert_eq!(hours.ends(UnixMs(0)), Some(UnixMs(86_340_000)));
    }

    #[test]
    fn what_is_no_time_and_what_is_no_zone_is_told() {
        let check = |from: &str, to: &str, zone: &str, expected: &str| {
            let error = QuietHours::new(from, to, zone).expect_err(expected);
            assert_eq!(error.to_string(), expected);
        };
        let no_time = |field: &str, text: &str| {
            format!("{field} is {text:?}, which is no time of a day: write it as 22:00, from 00:00 to 23:59")
        };
        for text in
            ["", "7:00", "24:00", "22:60", "22-00", "22:00:00", "+2:00", "２２:00", "２:0", "22:0\u{663}", "ten"]
        {
            check(text, "07:00", BERLIN, &no_time("from", text));
            check("22:00", text, BERLIN, &no_time("to", text));
        }
        check("\u{1b}[2J22:00", "07:00", BERLIN, &no_time("from", "[2J22:00"));
        check("22:00", "22:00", BERLIN, "from and to are both 22:00: name two times, or turn what is not wanted off");
        let no_zone =
            |zone: &str| format!("zone {zone:?} is not known: name one of the IANA database, like Europe/Berlin");
        for zone in [
            "",
            "Berlin",
            "Europe/Atlantis",
            "CET-1CEST",
            "../../etc/passwd",
            "/etc/localtime",
            "Europe/Berlin\u{0}x",
            "+02:00",
        ] {
            check("22:00", "07:00", zone, &no_zone(&shown(zone)));
        }
        let long = "Europe/".repeat(100_000);
        check("22:00", "07:00", &long, &no_zone(&long[..ZONE_BYTES_MAX]));
    }
}
