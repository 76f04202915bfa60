//! The question whether a thread is alive.
//!
//! It is put into the channel that the thread works off, and answered by being dropped: by the
//! thread when it takes it out, or with the channel of a thread that has ended. So nobody answers
//! for another one, and nobody is missed who has nothing more to do.

use std::collections::BTreeSet;

use crossbeam_channel::{Receiver, Sender, unbounded};

/// The question to one thread. Dropping it is the answer.
#[derive(Debug)]
pub struct Ping {
    thread: String,
    signs: Sender<Sign>,
}

/// What happens to a question, with the name of the thread.
#[derive(Debug)]
enum Sign {
    Asked(String),
    Answered(String),
}

/// Who was asked, and has not answered yet.
#[derive(Debug)]
pub struct Roll {
    signs_tx: Sender<Sign>,
    signs_rx: Receiver<Sign>,
    missing: BTreeSet<String>,
}

impl Ping {
    fn new(thread: &str, signs: &Sender<Sign>) -> Ping {
        // Before it can be answered. If the roll is gone, nobody wants to know.
        let _ = signs.send(Sign::Asked(thread.to_owned()));
        Ping { thread: thread.to_owned(), signs: signs.clone() }
    }

    /// The same question to a thread that only the asked one knows. It is missed from then on.
    pub fn pass_on(&self, thread: &str) -> Ping {
        Ping::new(thread, &self.signs)
    }
}

impl Drop for Ping {
    fn drop(&mut self) {
        let _ = self.signs.send(Sign::Answered(std::mem::take(&mut self.thread)));
    }
}

impl Roll {
    /// A roll of nobody.
    pub fn new() -> Roll {
        let (signs_tx, signs_rx) = unbounded();
        Roll { signs_tx, signs_rx, missing: BTreeSet::new() }
    }

    /// A question to a thread, under the name by which it is missed until it answers.
    pub fn ask(&self, thread: &str) -> Ping {
        Ping::new(thread, &self.signs_tx)
    }

    /// The threads that have not answered, by name.
    pub fn missing(&mut self) -> &BTreeSet<String> {
        for sign in self.signs_rx.try_iter() {
            match sign {
                Sign::Asked(thread) => self.missing.insert(thread),
                Sign::Answered(thread) => self.missing.remove(&thread),
            };
        }
        &self.missing
    }
}

impl Default for Roll {
    fn default() -> Roll {
        Roll::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(roll: &mut Roll) -> Vec<&str> {
        roll.missing().iter().map(String::as_str).collect()
    }

    #[test]
    fn who_was_asked_is_missed_until_the_question_is_dropped() {
        let mut roll = Roll::new();
        assert_eq!(missing(&mut roll), [""; 0]);
        let (net, etcd) = (roll.ask("net"), roll.ask("etcd-io"));
        assert_eq!(missing(&mut roll), ["etcd-io", "net"]);
        drop(net);
        assert_eq!(missing(&mut roll), ["etcd-io"]);
        drop(etcd);
        assert_eq!(missing(&mut roll), [""; 0]);
    }

    #[test]
    fn who_passes_the_question_on_is_not_missed_for_the_others() {
        let mut roll = Roll::new();
        let supervisor = roll.ask("supervisor");
        let vip = supervisor.pass_on("vip-10.0.0.1");
        drop(supervisor);
        assert_eq!(missing(&mut roll), ["vip-10.0.0.1"]);
        drop(vip);
        assert_eq!(missing(&mut roll), [""; 0]);
    }

    #[test]
    fn a_thread_that_has_ended_is_not_missed() {
        let mut roll = Roll::new();
        let (inbox_tx, inbox_rx) = unbounded();
        inbox_tx.send(roll.ask("vip-10.0.0.1")).unwrap();
        assert_eq!(missing(&mut roll), ["vip-10.0.0.1"]);
        drop(inbox_rx);
        assert_eq!(missing(&mut roll), [""; 0], "its channel is gone");
        assert!(inbox_tx.send(roll.ask("vip-10.0.0.1")).is_err());
        assert_eq!(missing(&mut roll), [""; 0], "there was none");
    }
}
