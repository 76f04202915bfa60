//! Durations as Go writes them: `500ms`, `3s`, `1m30s`, `1.5h` (Go: time.ParseDuration).

use std::time::Duration;

/// The units, longer names first where one begins with another.
const UNITS: [(&str, f64); 8] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("μs", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
];

/// Reads a duration; nothing if the text is not one, is negative, or is longer than can be told.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut sum = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| c != '.' && !c.is_ascii_digit())?;
        let number: f64 = rest[..digits].parse().ok()?;
        let (unit, seconds) =
            UNITS.into_iter().find(|(unit, _)| rest[digits..].starts_with(unit))?;
        sum += number * seconds;
        rest = &rest[digits + unit.len()..];
    }
    let known = !text.is_empty();
    known.then(|| Duration::try_from_secs_f64(sum).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_writes_is_read() {
        for (text, millis) in [
            ("0", 0),
            ("500ms", 500),
            ("3s", 3_000),
            ("1m30s", 90_000),
            ("1.5h", 5_400_000),
            ("2h45m", 9_900_000),
            ("1000us", 1),
            ("1000µs", 1),
            ("1000000ns", 1),
            (".5s", 500),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for text in
            ["", "3", "s", "-1s", "+1s", "1d", "1 s", "1s ", ".s", "1..5s", "1e3s", "٣s", "1e400s"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse(&format!("{}h", "9".repeat(400))), None);
    }
}
