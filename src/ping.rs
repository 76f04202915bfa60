//! The question whether a thread is alive.
//!
//! It is put into the channel that the thread works off, and answered by being dropped: by the
//! thread when it takes it out, or with the channel of a thread that has ended. So no thread answers
//! for another one, and none is missed that has nothing more to do.

use std::collections::BTreeSet;

use crossbeam_channel::{Receiver, Sender, unbounded};

/// The question to one thread. Dropping it is the answer.
#[derive(Debug)]
pub struct Ping {
    thread: String,
    signals: Sender<Signal>,
}

/// What happens to a question, with the name of the thread.
#[derive(Debug)]
enum Signal {
    Asked(String),
    Answered(String),
}

/// Who was asked, and has not answered yet.
#[derive(Debug)]
pub struct LivenessCheck {
    signals_tx: Sender<Signal>,
    signals_rx: Receiver<Signal>,
    missing: BTreeSet<String>,
}

impl Ping {
    fn new(thread: &str, signals: &Sender<Signal>) -> Ping {
        // Before it can be answered. If the check is gone, nobody wants to know.
        let _ = signals.send(Signal::Asked(thread.to_owned()));
        Ping { thread: thread.to_owned(), signals: signals.clone() }
    }

    /// The same question to a thread that only the asked one knows. It is missed from then on.
    pub fn pass_on(&self, thread: &str) -> Ping {
        Ping::new(thread, &self.signals)
    }
}

impl Drop for Ping {
    fn drop(&mut self) {
        let _ = self.signals.send(Signal::Answered(std::mem::take(&mut self.thread)));
    }
}

impl LivenessCheck {
    /// A check of nobody.
    pub fn new() -> LivenessCheck {
        let (signals_tx, signals_rx) = unbounded();
        LivenessCheck { signals_tx, signals_rx, missing: BTreeSet::new() }
    }

    /// A question to a thread, under the name by which it is missed until it answers.
    pub fn ask(&self, thread: &str) -> Ping {
        Ping::new(thread, &self.signals_tx)
    }

    /// The threads that have not answered, by name.
    pub fn missing(&mut self) -> &BTreeSet<String> {
        for signal in self.signals_rx.try_iter() {
            match signal {
                Signal::Asked(thread) => self.missing.insert(thread),
                Signal::Answered(thread) => self.missing.remove(&thread),
            };
        }
        &self.missing
    }
}

impl Default for LivenessCheck {
    fn default() -> LivenessCheck {
        LivenessCheck::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(check: &mut LivenessCheck) -> Vec<&str> {
        check.missing().iter().map(String::as_str).collect()
    }

    #[test]
    fn who_was_asked_is_missed_until_the_question_is_dropped() {
        let mut check = LivenessCheck::new();
        assert_eq!(missing(&mut check), [""; 0]);
        let (net, etcd) = (check.ask("net"), check.ask("etcd-io"));
        assert_eq!(missing(&mut check), ["etcd-io", "net"]);
        drop(net);
        assert_eq!(missing(&mut check), ["etcd-io"]);
        drop(etcd);
        assert_eq!(missing(&mut check), [""; 0]);
    }

    #[test]
    fn who_passes_the_question_on_is_not_missed_for_the_others() {
        let mut check = LivenessCheck::new();
        let supervisor = check.ask("supervisor");
        let vip = supervisor.pass_on("vip-10.0.0.1");
        drop(supervisor);
        assert_eq!(missing(&mut check), ["vip-10.0.0.1"]);
        drop(vip);
        assert_eq!(missing(&mut check), [""; 0]);
    }

    #[test]
    fn a_thread_that_has_ended_is_not_missed() {
        let mut check = LivenessCheck::new();
        let (inbox_tx, inbox_rx) = unbounded();
        inbox_tx.send(check.ask("vip-10.0.0.1")).unwrap();
        assert_eq!(missing(&mut check), ["vip-10.0.0.1"]);
        drop(inbox_rx);
        assert_eq!(missing(&mut check), [""; 0], "its channel is gone");
        assert!(inbox_tx.send(check.ask("vip-10.0.0.1")).is_err());
        assert_eq!(missing(&mut check), [""; 0], "there was none");
    }
}
