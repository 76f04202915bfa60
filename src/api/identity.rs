//! The certificate of the API: a thread that reads its files, so that the gate waits for no disk.
//!
//! A certificate that works stays until a newer one does: files that were renewed are taken without a
//! reload, and half a renewal harms nobody.

use std::io;
use std::mem;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use crate::metrics::CertificateExpiry;
use crate::thread;
use crate::tls::{Acceptor, Fingerprint, Loaded, ServerFiles};

/// Between two looks at the files that clients cause.
const BETWEEN_LOOKS: Duration = Duration::from_secs(2);
/// For an answer of the thread, which a disk may keep.
const PATIENCE: Duration = Duration::from_secs(1);

/// Those who may ask the thread.
#[derive(Debug)]
pub(crate) struct Identity {
    questions: Sender<Question>,
    current: Current,
}

/// The certificate as the gate knows it.
#[derive(Clone, Debug)]
pub(crate) struct Current {
    acceptor: Acceptor,
    newer: Receiver<Acceptor>,
    questions: Sender<Question>,
    look_after: Option<Instant>,
}

/// Asks when the certificate ends.
#[derive(Clone, Debug)]
pub(crate) struct Asker(Sender<Question>);

#[derive(Debug)]
enum Question {
    /// Whether the files are others.
    Look,
    /// When the certificate that is in use ends.
    Expiry(Sender<Option<CertificateExpiry>>),
}

impl Identity {
    /// Reads the files and starts the thread.
    ///
    /// # Errors
    ///
    /// Files that cannot be used, by name; a thread that cannot be made.
    pub(crate) fn start(files: ServerFiles) -> io::Result<Identity> {
        let fingerprint = files.fingerprint();
        let loaded = files.load().map_err(|why| io::Error::other(format!("TLS: {why}")))?;
        let (questions, asked) = unbounded();
        let (newer_tx, newer) = unbounded();
        let current = Current {
            acceptor: loaded.acceptor.clone(),
            newer,
            questions: questions.clone(),
            look_after: None,
        };
        let reader = Reader { files, fingerprint, expiry: loaded.expiry, newer: newer_tx };
        // It ends with the last who could ask it. Nobody waits for that: its disk may not answer.
        thread::spawn("api-tls", move || reader.run(&asked))?;
        Ok(Identity { questions, current })
    }

    /// For the gate.
    pub(crate) fn current(&self) -> Current {
        self.current.clone()
    }

    /// For those who tell when it ends.
    pub(crate) fn asker(&self) -> Asker {
        Asker(self.questions.clone())
    }
}

impl Current {
    /// What the next client is met with. The files are looked at meanwhile, so that one that comes after it
    /// meets what is in them.
    pub(crate) fn acceptor(&mut self, now: Instant) -> Acceptor {
        if let Some(newer) = self.newer.try_iter().last() {
            self.acceptor = newer;
        }
        if self.look_after.is_none_or(|after| now >= after) {
            self.look_after = Some(now + BETWEEN_LOOKS);
            let _ = self.questions.send(Question::Look);
        }
        self.acceptor.clone()
    }
}

impl Asker {
    /// When the certificate that is in use ends.
    pub(crate) fn expiry(&self) -> Option<CertificateExpiry> {
        let (answer_tx, answer) = bounded(1);
        self.0.send(Question::Expiry(answer_tx)).ok()?;
        answer.recv_timeout(PATIENCE).ok().flatten()
    }
}

/// What the thread owns.
struct Reader {
    files: ServerFiles,
    /// Of the files that were read last, whether they could be used or not.
    fingerprint: Fingerprint,
    expiry: Option<CertificateExpiry>,
    newer: Sender<Acceptor>,
}

impl Reader {
    fn run(mut self, asked: &Receiver<Question>) {
        for question in asked {
            self.look();
            if let Question::Expiry(answer) = question {
                let _ = answer.send(self.expiry.clone());
            }
        }
    }

    fn look(&mut self) {
        let found = self.files.fingerprint();
        if mem::replace(&mut self.fingerprint, found.clone()) == found {
            return;
        }
        match self.files.load() {
            Ok(Loaded { acceptor, expiry }) => {
                log::info!("api: uses the renewed {}", self.files.certificate.display());
                self.expiry = expiry;
                let _ = self.newer.send(acceptor);
            }
            Err(why) => {
                log::warn!("api: {why}; the certificate that was read before stays in use");
            }
        }
    }
}
