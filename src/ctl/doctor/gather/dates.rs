//! Dates in the three forms in which they come, as seconds since 1970.

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `Sun, 29 Nov 2026 10:29:45 GMT`: the field `Date` of HTTP (RFC 9110, 5.6.7).
pub(super) fn http(text: &str) -> Option<i64> {
    let words: Vec<&str> = text.split_whitespace().collect();
    match words[..] {
        [_, day, month, year, time, "GMT"] => named(year, month, day, time),
        _ => None,
    }
}

/// `Nov 29 10:29:45 2026 GMT`: as OpenSSL, and curl with it, show one.
pub(super) fn openssl(text: &str) -> Option<i64> {
    let words: Vec<&str> = text.split_whitespace().collect();
    match words[..] {
        [month, day, time, year, "GMT"] => named(year, month, day, time),
        _ => None,
    }
}

/// `261129102945Z` or `20261129102945Z`: the times of a certificate (RFC 5280, 4.1.2.5).
pub(super) fn asn1(text: &str) -> Option<i64> {
    let digits = text.strip_suffix('Z')?;
    let (year, rest) = match digits.len() {
        12 => {
            let short: i64 = digits.get(..2)?.parse().ok()?;
            (if short < 50 { 2000 + short } else { 1900 + short }, digits.get(2..)?)
        }
        14 => (digits.get(..4)?.parse().ok()?, digits.get(4..)?),
        _ => return None,
    };
    let part = |place: usize| rest.get(2 * place..2 * place + 2)?.parse::<i64>().ok();
    seconds(year, [part(0)?, part(1)?, part(2)?, part(3)?, part(4)?])
}

fn named(year: &str, month: &str, day: &str, time: &str) -> Option<i64> {
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let mut parts = time.split(':').map(|part| part.parse::<i64>().ok());
    let time = [parts.next()??, parts.next()??, parts.next()??];
    let month = i64::try_from(month).ok()?;
    seconds(year.parse().ok()?, [month, day.parse().ok()?, time[0], time[1], time[2]])
}

/// Of a date of the Gregorian calendar: month, day, hour, minute, second.
fn seconds(year: i64, [month, day, hour, minute, second]: [i64; 5]) -> Option<i64> {
    let is_date =
        (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    let is_time = [hour, minute, second].iter().all(|part| (0..=60).contains(part));
    if !is_date || !is_time {
        return None;
    }
    // Years begin in March here, so that the leap day is the last of one.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    // From the first of March of the year 0 to 1970.
    Some((days - 719_468) * 86_400 + hour * 3_600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_three_forms() {
        let expected = Some(1_795_948_185);
        assert_eq!(http("Sun, 29 Nov 2026 10:29:45 GMT"), expected);
        assert_eq!(openssl("Nov 29 10:29:45 2026 GMT"), expected);
        assert_eq!(asn1("261129102945Z"), expected);
        assert_eq!(asn1("20261129102945Z"), expected);
        assert_eq!(asn1("20000229000000Z"), Some(951_782_400));
        assert_eq!(openssl("Jan  1 00:00:00 1970 GMT"), Some(0));
        for odd in [
            "",
            "Z",
            "2611291029é5Z",
            "Sun, 29 Foo 2026 10:29:45 GMT",
            "20261329102945Z",
            "Jan 1 0:0:0 9223372036854775807 GMT",
        ] {
            assert_eq!((http(odd), openssl(odd), asn1(odd)), (None, None, None), "{odd}");
        }
    }
}
