//! Texts, made fit for a terminal and for the log.

use std::fmt::{Display, Write};

/// The first few of these, and how many more there are: `a, b and 3 more`.
pub(crate) fn first_of<T: Display>(
    all: impl ExactSizeIterator<Item = T>,
    most: usize,
    separator: &str,
) -> String {
    let more = all.len().saturating_sub(most);
    let shown: Vec<String> = all.take(most).map(|it| it.to_string()).collect();
    let shown = shown.join(separator);
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

/// A text from elsewhere on one line, with everything that a terminal would obey instead of showing spelled out
/// (`\u{1b}`): control characters, and those that reorder or hide what stands around them.
pub(crate) fn clean(text: &str) -> String {
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
    fn a_thousand_names_fit_into_a_line() {
        let first = |count| first_of((0..count).map(|number: u16| format!("h{number}")), 3, ", ");
        assert_eq!(first(1), "h0");
        assert_eq!(first(3), "h0, h1, h2");
        assert_eq!(first(1000), "h0, h1, h2 and 997 more");
    }

    #[test]
    fn what_a_terminal_obeys_is_spelled_out() {
        assert_eq!(clean("a\x1b[2Jb\r\n\t"), r"a\u{1b}[2Jb\r\n\t");
        assert_eq!(clean("\u{9b}31m\u{7f}"), r"\u{9b}31m\u{7f}");
        assert_eq!(clean("\u{202e}1.0.0.01"), r"\u{202e}1.0.0.01");
        assert_eq!(clean("hôte-1 \"ja\" \\"), "hôte-1 \"ja\" \\");
    }
}
