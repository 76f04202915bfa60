//! Text from elsewhere, made fit for a terminal.

use std::fmt::Write;

/// The text on one line, with everything that a terminal would obey instead of showing spelled out
/// (`\u{1b}`): control characters, and those that reorder or hide what stands around them.
pub(super) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_harmless(c) {
            out.push(c);
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "{}", c.escape_default());
        }
    }
    out
}

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

fn is_harmless(c: char) -> bool {
    let hides_or_reorders = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    !c.is_control() && !hides_or_reorders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_spelled_out() {
        assert_eq!(clean("a\x1b[2Jb\r\n\t"), r"a\u{1b}[2Jb\r\n\t");
        assert_eq!(clean("\u{9b}31m\u{7f}"), r"\u{9b}31m\u{7f}");
        assert_eq!(clean("\u{202e}1.0.0.01"), r"\u{202e}1.0.0.01");
        assert_eq!(clean("hôte-1 \"ja\" \\"), "hôte-1 \"ja\" \\");
    }

    #[test]
    fn an_excerpt_is_short_quoted_and_says_that_there_is_more() {
        assert_eq!(excerpt(b"404 page not found\n", 40), "\"404 page not found\"");
        assert_eq!(excerpt(b"SSH-2.0-OpenSSH_9.2p1\r\nmore", 7), "\"SSH-2.0…\"");
        assert_eq!(excerpt(&[b'x'; 1000], 3), "\"xxx…\"");
        assert_eq!(excerpt(b"\xff\x00", 9), "\"\u{fffd}\\u{0}\"");
        assert_eq!(excerpt(b"", 9), "\"\"");
    }

    #[test]
    fn a_duration_shows_its_two_largest_units() {
        let shown: Vec<String> =
            [0, 59, 60, 192, 3_600, 86_399, 86_400, 176_400].into_iter().map(duration).collect();
        assert_eq!(shown, ["0s", "59s", "1m0s", "3m12s", "1h0m", "23h59m", "1d0h", "2d1h"]);
    }
}
