//! What the agents of a lab were told and what they answered, step by step (`link::election::trace`), fed to a model:
//! a core of its own for each election, which is told the same at the same times and has to answer the same.
//!
//! A step that the model does not do is refused, with the steps before it. [`election`] has the rules of one election,
//! [`lock`] those of a lock, as etcd tells its history.

mod election;
pub(crate) mod lock;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use link::election::trace::Line;

use self::election::Replayed;
use self::lock::{Change, Facts};

/// How many steps before one that is refused are told.
const TOLD: usize = 12;

/// The traces of a lab, as far as they were read.
#[derive(Default)]
pub(crate) struct Replay {
    hosts: BTreeMap<String, Followed>,
    facts: Facts,
    accepted: Accepted,
    /// A step was refused: what came after it says nothing.
    refused: bool,
}

/// What was accepted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// Elections, each from its beginning.
    pub(crate) elections: usize,
    /// What they were told.
    pub(crate) steps: usize,
    /// Writes of locks.
    pub(crate) writes: usize,
    /// What elections were told of locks.
    pub(crate) views: usize,
}

/// The trace of a host.
#[derive(Default)]
struct Followed {
    /// How much of the file was read.
    read: u64,
    /// The beginning of a line of which the end is still to come.
    rest: Vec<u8>,
    lines: usize,
    elections: BTreeMap<(u32, u64), Replayed>,
}

impl Replay {
    /// Goes on with what a host has written since the last time. An error tells the step that is refused, once.
    pub(crate) fn follow(&mut self, host: &str, file: &Path) -> Result<(), String> {
        if self.refused {
            return Ok(());
        }
        let followed = self.go_on(host, file);
        self.refused = followed.is_err();
        followed
    }

    fn go_on(&mut self, host: &str, file: &Path) -> Result<(), String> {
        let Ok(mut file) = File::open(file) else { return Ok(()) };
        let followed = self.hosts.entry(host.to_owned()).or_default();
        let mut bytes = std::mem::take(&mut followed.rest);
        let sought = file.seek(SeekFrom::Start(followed.read));
        let read = sought.and_then(|_| file.read_to_end(&mut bytes));
        followed.read += read.map_err(|error| format!("read the trace of {host}: {error}"))? as u64;
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        followed.rest = bytes.split_off(end);
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let number = self.hosts.get(host).map_or(0, |followed| followed.lines) + 1;
            let line = serde_json::from_slice(whole(line)).map_err(|error| {
                format!("line {number} of {host}: {error}: {}", String::from_utf8_lossy(line))
            })?;
            self.take(host, &line)?;
        }
        Ok(())
    }

    /// Has the model do the next step of a host.
    pub(crate) fn take(&mut self, host: &str, line: &Line) -> Result<(), String> {
        let followed = self.hosts.entry(host.to_owned()).or_default();
        followed.lines += 1;
        let number = followed.lines;
        match line {
            Line::Begin(begin) => {
                followed.elections.insert(begin.election, Replayed::new(begin.clone()));
                self.accepted.elections += 1;
                Ok(())
            }
            Line::Step(step) => {
                let Some(replayed) = followed.elections.get_mut(&step.election) else {
                    return Err(format!("line {number} of {host}: an election that has not begun"));
                };
                if let Err(why) = replayed.take(step) {
                    let mut text = format!("line {number} of {host}, {}: {why}", replayed.key());
                    let _ = write!(text, "\n{}", replayed.story());
                    return Err(text);
                }
                self.facts.note(host, replayed.key(), step);
                self.accepted.steps += 1;
                Ok(())
            }
        }
    }

    /// More than one agent has run on a host, one after the other.
    pub(crate) fn lives_again(&mut self, host: &str) {
        self.facts.lives_again(host);
    }

    /// Compares what the elections have asked and what they were told with the history of the locks.
    pub(crate) fn judge_locks(&mut self, history: &[Change]) -> Result<(), String> {
        if self.refused {
            return Ok(());
        }
        let (writes, views) = self.facts.judge(history)?;
        (self.accepted.writes, self.accepted.views) = (writes, views);
        Ok(())
    }

    /// What was accepted.
    pub(crate) fn accepted(&self) -> Accepted {
        self.accepted
    }

    /// How many elections a host has begun.
    pub(crate) fn has_elections(&self, host: &str) -> bool {
        self.hosts.get(host).is_some_and(|followed| !followed.elections.is_empty())
    }
}

/// What is whole of a line. A process that was killed amid a write has left the beginning of a step, of which it has done
/// nothing; the next one begins behind it.
fn whole(line: &[u8]) -> &[u8] {
    let begin = br#"{"Begin":"#;
    let at = line.windows(begin.len()).rposition(|bytes| bytes == begin);
    at.and_then(|at| line.get(at..)).unwrap_or(line)
}

#[test]
fn a_step_that_was_cut_off_is_none() {
    let (begin, step) = (r#"{"Begin":{"election":[2,0]}}"#, r#"{"Step":{"election":[1,0]}}"#);
    for line in [begin.to_owned(), format!("{}{begin}", &step[..19])] {
        assert_eq!(whole(line.as_bytes()), begin.as_bytes());
    }
    assert_eq!(whole(step.as_bytes()), step.as_bytes());
}
