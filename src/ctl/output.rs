//! What the user sees. A reader that goes away early (`linkctl list | head -1`) is no error.

use std::io::{self, ErrorKind, IsTerminal, Write};

use super::failure::{Failure, Next};
use super::show::Colour;
use crate::text::{clean, clean_json};

/// What fits on every terminal.
const COLUMNS: usize = 80;

/// How answers are shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    json: bool,
}

impl Output {
    pub(super) fn new(json: bool) -> Output {
        Output { json }
    }

    pub(super) fn is_json(self) -> bool {
        self.json
    }

    /// The agent's own words, or the table made of them.
    pub(super) fn answer(
        self,
        json: &[u8],
        table: impl FnOnce(Colour) -> String,
    ) -> Result<(), Failure> {
        print(&self.text(json, || table(colour())))
    }

    /// What is printed of an answer.
    pub(super) fn text(self, json: &[u8], page: impl FnOnce() -> String) -> String {
        match self.json {
            true => harmless(json),
            false => page(),
        }
    }

    /// The agent's own words, with what a terminal would obey escaped.
    pub(super) fn json(self, json: &[u8]) -> Result<(), Failure> {
        print(&harmless(json))
    }

    /// That something is done about which the agent says nothing; `{}` for those who parse it.
    pub(super) fn done(self, message: impl FnOnce() -> String) -> Result<(), Failure> {
        match self.json {
            true => print("{}\n"),
            false => print(&(message() + "\n")),
        }
    }
}

fn harmless(json: &[u8]) -> String {
    clean_json(&String::from_utf8_lossy(json))
}

/// Whether a person looks at standard output.
pub(super) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// How wide a line may be: on a terminal as wide as any is, in a pipe as wide as it wants.
pub(super) fn width() -> usize {
    if io::stdout().is_terminal() { COLUMNS } else { usize::MAX }
}

/// Writes to standard output.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    print_while_read(text).map(drop)
}

/// Writes to standard output; false if nobody reads it any more.
pub(super) fn print_while_read(text: &str) -> Result<bool, Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => {
            let message = format!("write standard output: {error}");
            Err(Failure::new(Next::MakeRoom, message))
        }
    }
}

/// Tells something that is not part of the answer, on standard error.
pub(super) fn note(text: &str) {
    let lines: Vec<String> = text.lines().map(clean).collect();
    // Where standard error is closed there is nobody left to tell.
    let _ = writeln!(io::stderr().lock(), "linkctl: {}", lines.join("\n"));
}

/// The same of a failure, with what to do next.
pub(super) fn note_failure(before: &str, failure: &Failure) {
    note(&format!("{before}{failure}\n  -> {}", failure.next()));
}

/// Colours are for people who look at a terminal and do not mind them (no-color.org).
fn colour() -> Colour {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    match is_terminal() && !set("NO_COLOR") && !dumb {
        true => Colour::Yes,
        false => Colour::No,
    }
}
