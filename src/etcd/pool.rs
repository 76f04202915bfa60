//! The members of the etcd cluster: one client for each, one of them in use.
//!
//! The balancer of etcd-client would keep a dead member in the set and fail a share of all requests
//! for as long as it is dead. Here all requests and streams use the current member until one of them
//! finds that it does not answer; then all move on to the next.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use etcd_client::{Client, TlsOptions};
use log::{info, warn};
use tokio::sync::{Mutex, Notify, watch};
use tokio::task::spawn_local;
use tokio::time::{Instant, timeout_at};

use super::Options;
use super::authenticator::{Authenticator, Refusal};
use super::connection;
use super::error::{Error, ErrorKind};
use super::name::Name;
use super::returns::Returns;
use super::tls::{TlsIdentity, Version};
use crate::metrics::{CertificateExpiry, EtcdCounts};

/// How long a connection may take to be made, with the name and TLS. The first packet of one that is
/// begun in a black hole is sent again after a second only (RFC 6298, 2.1), and the hole may be gone
/// before. A cluster of three has little more for connection and request together.
pub(super) const CONNECT: Duration = Duration::from_millis(300);

/// How long the answer of a member is waited for that no request waits for.
pub(super) const SURVEY: Duration = Duration::from_secs(1);

/// How long a warning is not repeated.
const SILENCE: Duration = Duration::from_secs(60);

/// The clients, and which member is in use. Lives on the runtime's thread.
pub(super) struct Pool {
    options: Options,
    pub(super) members: Vec<Member>,
    current: Cell<usize>,
    /// Counts how often all streams had to be opened again.
    epoch: watch::Sender<u64>,
    /// The newest revision that any answer carried.
    revision: Cell<i64>,
    /// Whether the lease is held.
    holds_lease: Cell<bool>,
    /// The id of the cluster that is used; 0 until that is decided.
    pub(super) cluster: watch::Sender<u64>,
    /// What runs beside: the question which cluster is ours, and a look at the TLS files.
    pub(super) surveying: Cell<bool>,
    refreshing: Cell<bool>,
    /// When the member on this host is gone back to.
    pub(super) home: Returns,
    tls: Option<TlsIdentity>,
    pub(super) auth: Rc<Authenticator>,
    /// Members say nothing to those who have no token, not even to which cluster they belong.
    pub(super) reserved: Cell<bool>,
    /// So many members in a row were asked in vain, without a refusal.
    silent: Cell<usize>,
    /// What was warned of lately, and when.
    warned: RefCell<Vec<(String, Instant)>>,
    /// It was logged that a member does not answer, and not yet that one does again.
    unanswered: Cell<bool>,
    /// A member answers: whoever waits before it asks again need not.
    working: Notify,
    pub(super) counts: RefCell<EtcdCounts>,
}

/// A client of one member, which is made when it is needed.
pub(super) struct Member {
    pub(super) endpoint: String,
    pub(super) name: Rc<Name>,
    connection: Mutex<Option<Connection>>,
    /// The cluster that it was found to belong to; 0 if that is not known.
    pub(super) cluster: Cell<u64>,
}

/// A connection to a member.
struct Connection {
    client: Client,
    /// It belongs to our cluster.
    admitted: bool,
}

impl Pool {
    pub(super) fn new(options: Options) -> Rc<Pool> {
        let member = |endpoint: &String| Member {
            endpoint: endpoint.clone(),
            name: Name::of(endpoint),
            connection: Mutex::new(None),
            cluster: Cell::new(0),
        };
        let tls = options.tls.clone().map(TlsIdentity::new);
        let auth = Authenticator::new(options.user.clone(), options.loss_after().max(SURVEY));
        Rc::new(Pool {
            members: options.endpoints.iter().map(member).collect(),
            options,
            current: Cell::new(0),
            epoch: watch::Sender::new(0),
            revision: Cell::new(0),
            holds_lease: Cell::new(false),
            cluster: watch::Sender::new(0),
            surveying: Cell::new(false),
            refreshing: Cell::new(false),
            home: Returns::new(),
            tls,
            auth,
            reserved: Cell::new(false),
            silent: Cell::new(0),
            warned: RefCell::default(),
            unanswered: Cell::new(false),
            working: Notify::new(),
            counts: RefCell::default(),
        })
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    /// How long an attempt may take on one member, so that all members can be asked within the interval
    /// between two renewals.
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

    /// The member in use.
    pub(super) fn current(&self) -> usize {
        self.current.get()
    }

    /// True while this member is the one in use.
    pub(super) fn is_current(&self, member: usize) -> bool {
        self.current() == member
    }

    /// A client of a member, with a token if that is demanded. An error says that nothing was sent.
    pub(super) async fn connect(
        self: &Rc<Self>,
        member: usize,
        until: Instant,
    ) -> Result<Client, Error> {
        let client = self.reach(member, until).await?;
        if !self.auth.is_wanted() {
            return Ok(client);
        }
        match timeout_at(until, self.auth.renew(&client)).await {
            Ok(Ok(())) => Ok(client),
            Ok(Err(error)) => Err(self.leave(member, error)),
            // The member has answered: another one would have to begin anew.
            Err(_) if self.auth.is_busy() => {
                let error = Error::not_sent("the password is being checked");
                Err(error.on(&self.members[member].endpoint))
            }
            Err(_) => {
                Err(self.leave(member, Error::not_sent("the password is not checked in time")))
            }
        }
    }

    /// A client of a member, with or without a token.
    pub(super) async fn reach(
        self: &Rc<Self>,
        member: usize,
        until: Instant,
    ) -> Result<Client, Error> {
        let error = match timeout_at(until, self.client(member)).await {
            Ok(Ok(client)) => {
                self.silent.set(0);
                return Ok(client);
            }
            Ok(Err(error)) => error,
            Err(_) => {
                self.note_silence();
                Error::deadline("connect")
            }
        };
        self.refresh_identity();
        Err(self.leave(member, error.before_sending()))
    }

    /// Where members answer nobody without a token, all of them may wait for the index of ours.
    fn note_silence(&self) {
        self.silent.set(self.silent.get() + 1);
        if self.reserved.get() && self.silent.get() > self.members() {
            self.silent.set(0);
            self.auth.compare(0);
        }
    }

    async fn client(self: &Rc<Self>, member: usize) -> Result<Client, Error> {
        let mut slot = self.members[member].connection.lock().await;
        let connection = match &mut *slot {
            Some(connection) => connection,
            None => {
                let client = self.open(member, self.identity().await?).await?;
                slot.insert(Connection { client, admitted: false })
            }
        };
        let client = connection.client.clone();
        if !connection.admitted {
            self.admit(member, self.cluster_of(&client).await?).await?;
            connection.admitted = true;
        }
        Ok(client)
    }

    /// A new connection to a member.
    pub(super) async fn open(
        &self,
        member: usize,
        identity: Option<TlsOptions>,
    ) -> Result<Client, Error> {
        let within = self.attempt(self.options.renewal).min(CONNECT);
        let Member { endpoint, name, .. } = &self.members[member];
        connection::connect(endpoint, name, identity, within, self.auth.token()).await
    }

    pub(super) async fn identity(&self) -> Result<Option<TlsOptions>, Error> {
        match &self.tls {
            Some(tls) => tls.options().await.map(Some),
            None => Ok(None),
        }
    }

    /// When the certificates in use end.
    pub(super) fn expiries(&self) -> Vec<CertificateExpiry> {
        self.tls.as_ref().map(TlsIdentity::expiries).unwrap_or_default()
    }

    /// Uses what the TLS files say now, in a moment, if they have changed and a connection can be made.
    pub(super) fn refresh_identity(self: &Rc<Self>) {
        if self.tls.is_none() || self.refreshing.replace(true) {
            return;
        }
        let pool = self.clone();
        spawn_local(async move {
            if let Some(tls) = &pool.tls {
                let result = match tls.newer().await {
                    Some(Ok(version)) => pool.try_identity(tls, version).await,
                    Some(Err(error)) => Err(error),
                    None => Ok(()),
                };
                if let Err(error) = result {
                    let error = format!("TLS: {error}; the identity of before stays in use");
                    pool.warn_once(&error, &error);
                }
            }
            pool.refreshing.set(false);
        });
    }

    async fn try_identity(&self, tls: &TlsIdentity, version: Version) -> Result<(), Error> {
        let opening = async {
            let client = self.open(self.current(), Some(version.options.clone())).await?;
            self.cluster_of(&client).await
        };
        let opened = timeout_at(Instant::now() + SURVEY, opening).await;
        opened.unwrap_or_else(|_| Err(Error::deadline("connect")))?;
        info!("etcd TLS files have changed, connecting anew");
        tls.adopt(version);
        (0..self.members()).for_each(|member| self.disconnect(member));
        self.renew_streams();
        Ok(())
    }

    /// Takes note that a request has failed. A member that did not answer, or not well, is left; a token
    /// that is refused is renewed, and then it can be asked again.
    pub(super) fn failed(&self, member: usize, error: Error) -> Error {
        let endpoint = &self.members[member].endpoint;
        match error.kind {
            ErrorKind::Unreachable => self.leave(member, error),
            ErrorKind::Auth => {
                let unsent = Error::not_sent(error.to_string());
                match self.auth.refused(self.members()) {
                    Refusal::Again => unsent.on(endpoint),
                    Refusal::Elsewhere => self.leave(member, unsent),
                    Refusal::Final => self.leave(member, error),
                }
            }
            ErrorKind::Refused if error.is_denied() && self.auth.denied() => {
                Error::not_sent(error.to_string()).on(endpoint)
            }
            ErrorKind::LeaseNotFound | ErrorKind::Refused => {
                self.count_failure(error.kind);
                error.on(endpoint)
            }
        }
    }

    /// Has the next member be tried; this one gets a new connection when its turn comes again. Gives the
    /// error back, naming the member.
    fn leave(&self, member: usize, error: Error) -> Error {
        self.count_failure(error.kind);
        let Member { endpoint, cluster, .. } = &self.members[member];
        let reason = error.to_string();
        let error = error.on(endpoint);
        if matches!(error.kind, ErrorKind::LeaseNotFound | ErrorKind::Refused) {
            return error;
        }
        self.disconnect(member);
        if self.is_current(member) {
            self.use_member((member + 1) % self.members.len());
            // A member of another cluster was named already.
            let of_ours = [0, *self.cluster.borrow()].contains(&cluster.get());
            // With a password that was changed, say, requests fail again and again, and the lease goes
            // on being renewed in between.
            if of_ours && !self.unanswered.get() && self.warn_once(&reason, &error.to_string()) {
                self.unanswered.set(true);
            }
        }
        error
    }

    fn disconnect(&self, member: usize) {
        if let Ok(mut connection) = self.members[member].connection.try_lock() {
            *connection = None;
        }
    }

    pub(super) fn use_member(&self, member: usize) {
        self.current.set(member);
        self.renew_streams();
    }

    fn renew_streams(&self) {
        self.epoch.send_modify(|epoch| *epoch += 1);
    }

    /// Leaves a member that refuses what another one does.
    pub(super) fn use_instead(&self, member: usize, refusal: &Error) {
        if !self.is_current(member) {
            self.use_member(member);
            let text = format!("{refusal}; {} is used instead", self.members[member].endpoint);
            self.warn_once(&refusal.to_string(), &text);
        }
    }

    /// Takes note that a member answers.
    pub(super) fn works(&self, member: usize) {
        self.working.notify_waiters();
        if self.unanswered.replace(false) {
            info!("etcd: {} answers", self.members[member].endpoint);
        }
    }

    /// Ends when a member is found to answer, at its next answer.
    pub(super) async fn working(&self) {
        self.working.notified().await;
    }

    /// Warns, unless it was warned of that reason lately; true if so.
    pub(super) fn warn_once(&self, reason: &str, text: &str) -> bool {
        let mut warned = self.warned.borrow_mut();
        warned.retain(|(_, at)| at.elapsed() < SILENCE);
        let new = warned.iter().all(|(known, _)| known != reason);
        if new {
            warned.push((reason.to_owned(), Instant::now()));
            warn!("etcd: {text}");
        }
        new
    }
}
