//! Texts, made fit for a terminal and for the log.

use std::fmt::{self, Display, Write};

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

/// A text that is written into room for so many bytes. One that grows while it is written takes 200 bytes of stack
/// more, and the thread of an election is to have one page (`election::thread`).
pub(crate) fn with_room(bytes: usize, written: fmt::Arguments<'_>) -> String {
    let mut text = String::with_capacity(bytes);
    // Writing to a String cannot fail.
    let _ = text.write_fmt(written);
    text
}

/// Whether a host can be called that: its name is part of keys in etcd.
pub(crate) fn is_host_name(name: &str) -> bool {
    let plain = |c: char| c != '/' && !c.is_whitespace() && !c.is_control();
    !name.is_empty() && name.len() <= 253 && name.chars().all(plain)
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

/// JSON whose strings a terminal shows and does not obey. Who reads it as JSON finds the same in it.
pub(crate) fn clean_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            // White space between the values; a carriage return alone would have the line overwritten.
            '\n' | '\t' => out.push(c),
            '\r' => out.push(' '),
            _ if is_harmless(c) => out.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out
}

/// False for control characters (Unicode: Cc), for those that only direct others (Cf), and for those
/// that are not seen (Default_Ignorable_Code_Point).
pub(crate) fn is_harmless(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    let hides_or_directs = matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
        | '\u{890}'..='\u{891}' | '\u{8e2}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}');
    !c.is_control() && !hides_or_directs
}

/// What holds for any text: cleaned, it is one line that no terminal obeys; what was harmless stays;
/// and JSON says the same as before.
#[cfg(any(test, fuzzing))]
pub fn fuzz_clean(input: &[u8]) {
    // Directions, joiners and fillers, by their names in Unicode's own list.
    const FELT: &str = "\u{202a}\u{202e}\u{2066}\u{2069}\u{200d}\u{200e}\u{feff}\u{2028}\u{e0041}";
    let obeyed = |c: char| c.is_control() || FELT.contains(c);
    let text = String::from_utf8_lossy(input);
    let shown = clean(&text);
    assert!(!shown.contains(obeyed), "{shown:?}");
    assert_eq!(clean(&shown), shown, "cleaned twice");
    let plain: String = text.chars().filter(|c| is_harmless(*c)).collect();
    assert_eq!(clean(&plain), plain);
    let value = serde_json::Value::from(text.as_ref());
    for json in [value.to_string(), serde_json::json!({ text.as_ref(): [value] }).to_string()] {
        let shown = clean_json(&json);
        assert!(!shown.contains(obeyed), "{shown:?}");
        let [before, after] = [&json, &shown].map(|text| serde_json::from_str(text).ok());
        let before: Option<serde_json::Value> = before;
        assert!(before.is_some() && before == after, "{json} {shown}");
    }
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

    #[test]
    fn json_is_the_same_and_no_terminal_obeys_it() {
        assert_eq!(clean_json("{\"a\": \"b\"}\n"), "{\"a\": \"b\"}\n");
        assert_eq!(clean_json("\"\u{9b}2J\u{7f}\u{202e}\""), r#""\u009b2J\u007f\u202e""#);
        assert_eq!(clean_json("\"\u{e0041}é\""), r#""\udb40\udc41é""#);
        assert_eq!(clean_json("{\r\n}"), "{ \n}");
    }

    /// Every character there is.
    #[test]
    fn no_character_is_obeyed() {
        for block in 0..0x1100_u32 {
            let text: String = (block << 8..(block + 1) << 8).filter_map(char::from_u32).collect();
            fuzz_clean(text.as_bytes());
        }
    }
}
