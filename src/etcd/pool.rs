//! The members of the etcd cluster: one client for each, one of them in use.
//!
//! The balancer of etcd-client would keep a dead member in the set and fail a share of all requests
//! for as long as it is dead. Here everybody stays on the current member until somebody finds that
//! it does not answer; then everybody moves on to the next.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use etcd_client::{Client, ConnectOptions, TlsOptions};
use log::{info, warn};
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, timeout_at};

use super::error::{Error, ErrorKind};
use super::tls::Fingerprint;
use super::{Options, TlsFiles};

/// HTTP/2 pings: a stock etcd closes quiet connections that ping more often than every 5 s
/// (`--grpc-keepalive-min-time`). They only clean up; deadlines are what finds a black hole.
const PING: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(3));

/// How long a connection may take to be made, with the name and TLS. The first packet of one that is
/// begun in a black hole is sent again after a second only (RFC 6298, 2.1), and the hole may be gone
/// before. A cluster of three has little more for connection and request together.
const CONNECT: Duration = Duration::from_millis(300);

/// How long a complaint is not repeated.
const SILENCE: Duration = Duration::from_secs(60);

/// The clients, and which member is in use. Lives on the runtime's thread.
pub(super) struct Pool {
    options: Options,
    members: Vec<Member>,
    current: Cell<usize>,
    /// Counts the times that streams have to be opened anew.
    epoch: watch::Sender<u64>,
    /// The newest revision that any answer carried.
    revision: Cell<i64>,
    /// Whether the lease is held, by what was said of it last.
    holds_lease: Cell<bool>,
    identity: RefCell<LoadedIdentity>,
    complaint: RefCell<Complaint>,
}

/// What was said of members that do not answer.
#[derive(Default)]
struct Complaint {
    /// The reasons of late, and when each was told.
    told: Vec<(String, Instant)>,
    /// It has not been said since that they answer.
    open: bool,
}

/// A client of one member, which is made when it is needed.
struct Member {
    endpoint: String,
    client: Mutex<Option<Client>>,
}

/// The last identity that could be read, and the version of its files.
#[derive(Default)]
struct LoadedIdentity {
    fingerprint: Option<Fingerprint>,
    options: Option<TlsOptions>,
}

/// Whom to ask: the member in use; when it refuses, the others in turn before its answer counts,
/// because a member may refuse for reasons of its own (a proxy, another version, a full disk).
#[derive(Default)]
pub(super) struct Tour {
    /// The member that was in use when the tour began.
    from: usize,
    /// The first refusal of this tour, and how many members have been asked.
    refusal: Option<Error>,
    asked: usize,
}

impl Tour {
    /// The member to ask now. A tour begins anew when another member is in use.
    pub(super) fn member(&mut self, pool: &Pool) -> usize {
        let from = pool.current.get();
        if self.from != from {
            *self = Tour { from, ..Tour::default() };
        }
        (from + self.asked) % pool.members()
    }

    /// What follows from a failure: nothing as long as another member is to be asked at once. A refusal
    /// is final when it comes out here: no member has done better.
    pub(super) fn go_on(&mut self, pool: &Pool, error: Error) -> Option<Error> {
        let refuses = match error.kind {
            ErrorKind::Refused => true,
            ErrorKind::LeaseNotFound => false,
            ErrorKind::Unreachable | ErrorKind::Auth => self.refusal.is_some(),
        };
        let Tour { from, refusal, asked } = std::mem::take(self);
        if !refuses {
            return Some(error);
        }
        let refusal = refusal.unwrap_or(error);
        if asked + 1 == pool.members() {
            return Some(refusal);
        }
        *self = Tour { from, refusal: Some(refusal), asked: asked + 1 };
        None
    }

    /// A member has answered: everybody uses it from now on if others have refused.
    pub(super) fn ended_at(&mut self, member: usize, pool: &Pool) {
        if let Some(refusal) = std::mem::take(self).refusal {
            pool.use_instead(member, &refusal);
        }
    }
}

impl Pool {
    pub(super) fn new(options: Options) -> Rc<Pool> {
        let member =
            |endpoint: &String| Member { endpoint: endpoint.clone(), client: Mutex::new(None) };
        Rc::new(Pool {
            members: options.endpoints.iter().map(member).collect(),
            options,
            current: Cell::new(0),
            epoch: watch::Sender::new(0),
            revision: Cell::new(0),
            holds_lease: Cell::new(false),
            identity: RefCell::default(),
            complaint: RefCell::default(),
        })
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    /// How long one attempt may take on one member, so that all members get their turn inside of an
    /// interval between two renewals.
    pub(super) fn attempt(&self, interval: Duration) -> Duration {
        let members = u32::try_from(self.members.len()).unwrap_or(u32::MAX).max(1);
        (interval / members).clamp(Duration::from_millis(200), Duration::from_secs(1))
    }

    pub(super) fn members(&self) -> usize {
        self.members.len()
    }

    /// Changes when the open streams are no longer to be trusted.
    pub(super) fn epoch(&self) -> watch::Receiver<u64> {
        self.epoch.subscribe()
    }

    /// The newest revision that was heard of.
    pub(super) fn revision(&self) -> i64 {
        self.revision.get()
    }

    /// Takes note of the revision of an answer.
    pub(super) fn heard(&self, revision: i64) {
        self.revision.set(self.revision.get().max(revision));
    }

    /// Revisions have started again from an older one.
    pub(super) fn forget_revision(&self) {
        self.revision.set(0);
    }

    /// Whether the lease is held.
    pub(super) fn holds_lease(&self) -> bool {
        self.holds_lease.get()
    }

    /// Takes note that the lease is held, or lost.
    pub(super) fn hold_lease(&self, holds: bool) {
        self.holds_lease.set(holds);
    }

    /// True while everybody should talk to this member.
    pub(super) fn is_current(&self, member: usize) -> bool {
        self.current.get() == member
    }

    /// A client of a member; with credentials, an authenticated one. An error says that nothing was sent.
    pub(super) async fn connect(&self, member: usize, until: Instant) -> Result<Client, Error> {
        let connecting = timeout_at(until, self.client(member)).await;
        let result = connecting.unwrap_or_else(|_| Err(Error::deadline("connect")));
        result.map_err(|error| self.failed(member, error.before_sending()))
    }

    async fn client(&self, member: usize) -> Result<Client, Error> {
        let Member { endpoint, client } = &self.members[member];
        let mut slot = client.lock().await;
        if let Some(client) = &*slot {
            return Ok(client.clone());
        }
        let options = self.connect_options(endpoint)?;
        let client = Client::connect([endpoint], Some(options)).await?;
        Ok(slot.insert(client).clone())
    }

    fn connect_options(&self, endpoint: &str) -> Result<ConnectOptions, Error> {
        let mut options = ConnectOptions::new()
            .with_require_leader(true)
            .with_keep_alive(PING.0, PING.1)
            .with_keep_alive_while_idle(true)
            .with_connect_timeout(self.attempt(self.options.renewal).min(CONNECT))
            .with_auto_token_refresh(true);
        if let Some((user, password)) = &self.options.user {
            options = options.with_user(user, password.expose());
        }
        if let (Some(files), true) = (&self.options.tls, endpoint.starts_with("https://")) {
            options = options.with_tls(self.identity(files)?);
        }
        Ok(options)
    }

    /// The TLS identity from its files; the last good one if they cannot be read now.
    fn identity(&self, files: &TlsFiles) -> Result<TlsOptions, Error> {
        let mut loaded = self.identity.borrow_mut();
        let fingerprint = files.fingerprint();
        match (files.load(), &loaded.options) {
            (Ok(options), _) => {
                *loaded = LoadedIdentity {
                    fingerprint: Some(fingerprint),
                    options: Some(options.clone()),
                };
                Ok(options)
            }
            (Err(error), Some(options)) => {
                let options = options.clone();
                if loaded.fingerprint.as_ref() != Some(&fingerprint) {
                    warn!("etcd TLS: {error}; the identity read before stays in use");
                    loaded.fingerprint = Some(fingerprint);
                }
                Ok(options)
            }
            (Err(error), None) => Err(Error::refused(error)),
        }
    }

    /// Opens all connections anew if the TLS files have changed.
    pub(super) fn refresh_identity(&self) {
        let Some(files) = &self.options.tls else {
            return;
        };
        let changed = {
            let loaded = self.identity.borrow();
            loaded.fingerprint.as_ref().is_some_and(|known| *known != files.fingerprint())
        };
        if changed && self.identity(files).is_ok() {
            info!("etcd TLS files have changed, connecting anew");
            for member in &self.members {
                if let Ok(mut client) = member.client.try_lock() {
                    *client = None;
                }
            }
            self.epoch.send_modify(|epoch| *epoch += 1);
        }
    }

    /// Takes note that a member did not answer, or not well: the next one is tried, and this one
    /// gets a new connection when its turn comes again. Gives the error back, naming the member.
    pub(super) fn failed(&self, member: usize, error: Error) -> Error {
        let Member { endpoint, client } = &self.members[member];
        let reason = error.to_string();
        let error = error.on(endpoint);
        match error.kind {
            ErrorKind::Unreachable | ErrorKind::Auth => {}
            ErrorKind::LeaseNotFound | ErrorKind::Refused => return error,
        }
        if let Ok(mut client) = client.try_lock() {
            *client = None;
        }
        if self.is_current(member) {
            self.use_member((member + 1) % self.members.len());
            if self.complaint.borrow_mut().is_new(reason) {
                warn!("etcd: {error}");
            }
        }
        error
    }

    fn use_member(&self, member: usize) {
        self.current.set(member);
        self.epoch.send_modify(|epoch| *epoch += 1);
    }

    /// Leaves a member that refuses what another one does.
    fn use_instead(&self, member: usize, refusal: &Error) {
        if !self.is_current(member) {
            self.use_member(member);
            if self.complaint.borrow_mut().is_unheard(refusal.to_string()) {
                warn!("etcd: {refusal}; {} is used instead", self.members[member].endpoint);
            }
        }
    }

    /// Takes note that a member answers.
    pub(super) fn works(&self, member: usize) {
        if std::mem::take(&mut self.complaint.borrow_mut().open) {
            info!("etcd: {} answers", self.members[member].endpoint);
        }
    }
}

impl Complaint {
    /// Whether a reason has to be told: the first since a member has answered, unless it was told of
    /// late. With a password that was changed, say, what is asked fails again and again, and the lease
    /// goes on being renewed in between.
    fn is_new(&mut self, reason: String) -> bool {
        let new = !self.open && self.is_unheard(reason);
        self.open |= new;
        new
    }

    /// Whether that was not told of late.
    fn is_unheard(&mut self, text: String) -> bool {
        self.told.retain(|(_, at)| at.elapsed() < SILENCE);
        let unheard = !self.told.iter().any(|(told, _)| *told == text);
        if unheard {
            self.told.push((text, Instant::now()));
        }
        unheard
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(members: usize) -> Rc<Pool> {
        Pool::new(Options {
            endpoints: vec!["http://127.0.0.1:1".to_owned(); members],
            tls: None,
            user: None,
            renewal: Duration::from_secs(1),
            retries: 5,
            watch_prefix: "/locks/".to_owned(),
            own_prefixes: Vec::new(),
            stray: |_| false,
        })
    }

    #[test]
    fn a_refusal_counts_when_every_other_member_has_done_no_better() {
        let (pool, mut tour) = (pool(3), Tour::default());
        let no = |who: &str| Error::refused(format!("no from {who}"));
        assert_eq!(tour.member(&pool), 0);
        assert_eq!(tour.go_on(&pool, no("0")), None);
        assert_eq!(tour.member(&pool), 1);
        assert_eq!(tour.go_on(&pool, Error::deadline("1")), None);
        assert_eq!(tour.member(&pool), 2);
        assert_eq!(tour.go_on(&pool, no("2")), Some(no("0")));
        assert_eq!(tour.member(&pool), 0);
        assert!(pool.is_current(0));
    }

    #[test]
    fn a_member_that_does_what_another_one_refuses_is_used_by_all() {
        let (pool, mut tour) = (pool(3), Tour::default());
        let mut other = Tour::default();
        assert_eq!((tour.member(&pool), other.member(&pool)), (0, 0));
        assert_eq!(other.go_on(&pool, Error::refused("no")), None);
        assert_eq!(tour.go_on(&pool, Error::refused("no")), None);
        tour.ended_at(1, &pool);
        assert!(pool.is_current(1));
        assert_eq!((tour.member(&pool), other.member(&pool)), (1, 1));
    }

    #[test]
    fn what_is_no_refusal_begins_no_tour() {
        let (pool, mut tour) = (pool(3), Tour::default());
        let mut gone = Error::refused("gone");
        gone.kind = ErrorKind::LeaseNotFound;
        for error in [Error::deadline("0"), gone] {
            assert_eq!(tour.go_on(&pool, error.clone()), Some(error));
            assert_eq!(tour.member(&pool), 0);
        }
    }
}
