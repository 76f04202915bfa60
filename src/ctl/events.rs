//! `linkctl events`: what has happened, and what happens.

use std::fmt::Write;
use std::time::Duration;

use super::agent::Agent;
use super::failure::{Failure, Kind};
use super::output::{self, Output};
use crate::text::{clean, clean_json};
use crate::wire;

/// Between two attempts to reach an agent that does not answer.
const AGAIN: Duration = Duration::from_secs(1);

/// Shows what is kept.
pub(super) fn show(agent: &Agent, output: Output) -> Result<(), Failure> {
    let found = agent.events(None)?;
    output.answer(&found.json, |_| lines(&found.value.events, output::width()))
}

/// Shows events as they come, until the user has seen enough. An agent that was there is waited for when it is not: it may be executed
/// anew.
pub(super) fn follow(agent: &Agent, output: Output) -> Result<(), Failure> {
    let mut known: Option<wire::Events> = None;
    let mut is_away = false;
    loop {
        match agent.events(known.as_ref()) {
            Ok(found) => {
                let found = found.value;
                if found.missed {
                    output::note(
                        "events were missed: the agent has begun anew, or there were many",
                    );
                }
                if !print(&found.events, output)? {
                    return Ok(());
                }
                (known, is_away) = (Some(wire::Events { events: Vec::new(), ..found }), false);
            }
            Err(failure) if known.is_some() && may_pass(failure.kind()) => {
                if !std::mem::replace(&mut is_away, true) {
                    output::note_failure("trying again: ", &failure);
                }
                std::thread::sleep(AGAIN);
            }
            Err(failure) => return Err(failure),
        }
    }
}

fn may_pass(kind: Kind) -> bool {
    matches!(kind, Kind::Unreachable | Kind::Unavailable)
}

/// False when nobody reads any more.
fn print(events: &[wire::Event], output: Output) -> Result<bool, Failure> {
    let text = match output.is_json() {
        false => lines(events, output::width()),
        true => events.iter().filter_map(json).collect(),
    };
    output::print_while_read(&text)
}

fn json(event: &wire::Event) -> Option<String> {
    Some(clean_json(&serde_json::to_string(event).ok()?) + "\n")
}

/// A line for each event, of so many characters at most.
pub(super) fn lines(events: &[wire::Event], width: usize) -> String {
    events.iter().map(|event| line_of(event, width) + "\n").collect()
}

fn line_of(event: &wire::Event, width: usize) -> String {
    let mut line = format!("{} {}", moment(&event.time), clean(event.ip.as_deref().unwrap_or("-")));
    let _ = write!(line, " {}", clean(&event.what));
    if let Some(by) = &event.by {
        let _ = write!(line, " by {}", clean(by));
    }
    if event.kind == "refused" && event.by.is_some() {
        line.push_str(" refused");
    }
    if let Some(times) = event.times {
        let _ = write!(line, " ({times} times)");
    }
    if let Some(took) = event.took_ms {
        let _ = write!(line, " ({took} ms)");
    }
    if !event.why.is_empty() {
        let _ = write!(line, ": {}", clean(&event.why));
    }
    match line.char_indices().nth(width) {
        None => line,
        // The last character says that there is more.
        Some(_) => line.chars().take(width - 1).chain(['…']).collect(),
    }
}

/// Month, day and time of a time stamp, `11-29 07:00:00.123`; all of what is none.
fn moment(time: &str) -> String {
    let moment = time.get(5..23).filter(|_| time.ends_with('Z') && time.len() == 24);
    clean(moment.unwrap_or(time)).replacen('T', " ", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_of_eighty_columns() {
        let moved = wire::Event {
            seq: 7,
            time: "2026-11-29T07:00:00.123Z".to_owned(),
            host: "h1".to_owned(),
            ip: Some("10.0.0.1/32".to_owned()),
            kind: "move".to_owned(),
            what: "owner h1 -> h2".to_owned(),
            why: "the lock was free".to_owned(),
            took_ms: Some(12),
            by: None,
            times: None,
        };
        let refused = wire::Event {
            time: "now\u{1b}[2J".to_owned(),
            ip: None,
            kind: "refused".to_owned(),
            what: "failover to h2".to_owned(),
            why: "h2\nis not\u{202e} there".to_owned(),
            by: Some("10.0.0.7 (admin)".to_owned()),
            ..moved.clone()
        };
        let often = wire::Event { times: Some(7), took_ms: None, ..moved.clone() };
        assert!(lines(&[often], 80).contains(" owner h1 -> h2 (7 times): the lock"));
        let long = wire::Event { why: "é".repeat(80), took_ms: None, ..moved.clone() };
        let shown = lines(&[moved, refused, long], 80);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(
            lines[0],
            "11-29 07:00:00.123 10.0.0.1/32 owner h1 -> h2 (12 ms): the lock was free"
        );
        assert!(
            lines[1]
                .starts_with("now\\u{1b}[2J - failover to h2 by 10.0.0.7 (admin) refused (12 ms)")
        );
        assert_eq!((lines.len(), lines[1].chars().count(), lines[2].chars().count()), (3, 80, 80));
        assert!(lines[2].ends_with("éé…") && !shown.contains(['\u{1b}', '\u{202e}']));
    }
}
