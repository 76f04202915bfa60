//! `linkctl watch`: the cluster as it changes, until it is interrupted.

use std::time::Duration;

use super::agent::Agent;
use super::failure::Failure;
use super::output::{self, Output};
use super::status;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(2);

/// To the top left, and away with what was below (ECMA-48, 8.3.21 and 8.3.39).
const CLEAR: &str = "\x1b[H\x1b[2J\x1b[3J";

/// Shows the cluster: anew each time on a terminal, once for each change elsewhere. Ends when nobody reads it.
pub(super) fn run(agent: &Agent, output: Output) -> Result<(), Failure> {
    let is_live = output::is_terminal() && !output.is_json();
    let mut last = None;
    loop {
        // An agent that was there may be starting again; one that never was is a mistake.
        let (shown, text) = match agent.status() {
            Ok(answer) => {
                let text = output.text(&answer.json, || status::page(&answer.value));
                (Ok(status::timeless(&answer.value)), text)
            }
            Err(failure) if last.is_none() => return Err(failure),
            Err(failure) => (Err(failure), String::new()),
        };
        let is_new = last.as_ref() != Some(&shown);
        if let (Err(failure), true) = (&shown, is_new) {
            output::note_failure("", failure);
        }
        let between = if last.is_some() && !output.is_json() { "\n" } else { "" };
        let open = match (is_live, shown.is_ok()) {
            (true, true) => output::print_while_read(&format!("{CLEAR}{text}"))?,
            (false, true) if is_new => output::print_while_read(&format!("{between}{text}"))?,
            _ => true,
        };
        if !open {
            return Ok(());
        }
        last = Some(shown);
        std::thread::sleep(PAUSE);
    }
}
