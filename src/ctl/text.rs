//! Text from elsewhere, made fit for a terminal.

use crate::text::clean;

/// Columns of a terminal.
pub(super) const WIDTH: usize = 80;

/// Columns of the longest IP (`INET6_ADDRSTRLEN` without its NUL, and `/128`, of those that are written).
pub(super) const IP: usize = 43;

/// The first `limit` characters of what was received, clean and in quotes; for messages.
pub(super) fn excerpt(bytes: &[u8], limit: usize) -> String {
    // Four bytes hold the longest character: no more than that needs to be looked at.
    let head = &bytes[..bytes.len().min(limit * 4)];
    let text = String::from_utf8_lossy(head);
    let shown: String = text.trim().chars().take(limit).collect();
    let more = if shown.len() < text.trim().len() || head.len() < bytes.len() { "…" } else { "" };
    format!("\"{}{more}\"", clean(&shown))
}

/// A duration in its two largest units: `3m12s`.
pub(super) fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    if days > 0 {
        format!("{days}d{hours}h")
    } else if hours > 0 {
        format!("{hours}h{minutes}m")
    } else if minutes > 0 {
        format!("{minutes}m{}s", seconds % 60)
    } else {
        format!("{seconds}s")
    }
}

/// The beginning of a text, of so many characters at most.
pub(super) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some(_) => text.chars().take(most - 1).chain(['…']).collect(),
        None => text.to_owned(),
    }
}

/// A text in lines of so many characters, broken between words; the first begins with one text, the others with
/// another of the same length. A word that is too long is broken, too.
pub(super) fn wrapped(text: &str, first: &str, others: &str, width: usize) -> String {
    let room = width - first.len();
    let mut lines = first.to_owned();
    let mut used = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        let (space, fits) = (usize::from(used > 0), used + length < room);
        if space == 1 && fits {
            lines.push(' ');
        } else if space == 1 {
            lines += &format!("\n{others}");
        }
        used = if fits { used + space } else { 0 };
        for c in word.chars() {
            if used == room {
                lines += &format!("\n{others}");
                used = 0;
            }
            lines.push(c);
            used += 1;
        }
    }
    lines + "\n"
}

/// `1 warning`, `2 warnings`.
pub(super) fn counted(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_short_quoted_and_says_that_there_is_more() {
        assert_eq!(excerpt(b"404 page not found\n", 40), "\"404 page not found\"");
        assert_eq!(excerpt(b"SSH-2.0-OpenSSH_9.2p1\r\nmore", 7), "\"SSH-2.0…\"");
        assert_eq!(excerpt(&[b'x'; 1000], 3), "\"xxx…\"");
        assert_eq!(excerpt(b"\xff\x00", 9), "\"\u{fffd}\\u{0}\"");
        assert_eq!(excerpt(b"", 9), "\"\"");
    }

    #[test]
    fn a_text_is_broken_between_words_and_a_name_is_cut() {
        assert_eq!(wrapped("one two three", "! ", "  ", 9), "! one two\n  three\n");
        assert_eq!(wrapped("a verylongword b", "", "", 5), "a\nveryl\nongwo\nrd b\n");
        assert_eq!((cut("abcd", 4), cut("abcde", 4)), ("abcd".to_owned(), "abc…".to_owned()));
    }

    #[test]
    fn a_duration_shows_its_two_largest_units() {
        let shown: Vec<String> =
            [0, 59, 60, 192, 3_600, 86_399, 86_400, 176_400].into_iter().map(duration).collect();
        assert_eq!(shown, ["0s", "59s", "1m0s", "3m12s", "1h0m", "23h59m", "1d0h", "2d1h"]);
    }
}
