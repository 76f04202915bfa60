//! What the user sees. A reader that goes away early (`linkctl list | head -1`) is no error.

use std::io::{self, ErrorKind, IsTerminal, Write};

use super::failure::{Failure, Kind};
use super::show::Colour;
use crate::text::{clean, clean_json};

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
        match self.json {
            true => self.json(json),
            false => print(&table(colour())),
        }
    }

    /// The agent's own words, with what a terminal would obey escaped.
    pub(super) fn json(self, json: &[u8]) -> Result<(), Failure> {
        print(&clean_json(&String::from_utf8_lossy(json)))
    }

    /// That something is done about which the agent says nothing; `{}` for those who parse it.
    pub(super) fn done(self, message: impl FnOnce() -> String) -> Result<(), Failure> {
        match self.json {
            true => print("{}\n"),
            false => print(&(message() + "\n")),
        }
    }
}

/// Writes to standard output.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    write(text.as_bytes())
}

/// Tells something that is not part of the answer, on standard error.
pub(super) fn note(text: &str) {
    let lines: Vec<String> = text.lines().map(clean).collect();
    // Where standard error is closed there is nobody left to tell.
    let _ = writeln!(io::stderr().lock(), "linkctl: {}", lines.join("\n"));
}

fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            let message = format!("write standard output: {error}");
            Err(Failure::new(Kind::Refused, message))
        }
        _ => Ok(()),
    }
}

/// Colours are for people who look at a terminal and do not mind them (no-color.org).
fn colour() -> Colour {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    match io::stdout().is_terminal() && !set("NO_COLOR") && !dumb {
        true => Colour::Yes,
        false => Colour::No,
    }
}
