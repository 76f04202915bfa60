//! The lease of this host: granted or resumed, renewed, reported lost.
//!
//! etcd answers a renewal of a lease that is gone with a TTL of 0; the time of a lease counts from
//! the moment the acknowledged request was *sent*, on a monotonic clock.

use std::rc::Rc;
use std::time::Duration;

use etcd_client::{Client, LeaseKeepAliveStream, LeaseKeeper, LeaseTimeToLiveOptions};
use log::{info, warn};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::error::{Error, ErrorKind};
use super::pool::Pool;
use super::request::ask;
use super::round::Round;
use super::{Event, Events, LeaseInfo, Options};
use crate::clock;

/// Between the beginnings of two rounds of attempts. Short, so that an etcd that comes back is noticed
/// at once; a refused connection costs nothing.
const ROUND_PAUSE: Duration = Duration::from_millis(200);

/// The same after a refusal: to check a password costs etcd a lot (bcrypt).
const REFUSED_PAUSE: Duration = Duration::from_secs(1);

/// A timer that fires so much too late tells that this process did not run: it was stopped, or the
/// machine was suspended. A busy machine is not that slow.
const PAUSE: Duration = Duration::from_secs(1);

/// Keeps the lease, for as long as the runtime lives.
pub(super) struct Keeper {
    pool: Rc<Pool>,
    events: Rc<Events>,
    /// Notified when a request finds that the lease does not exist.
    recheck: Rc<Notify>,
    /// The lease that is renewed, if there is one.
    id: Option<i64>,
    /// Its TTL, once etcd has told it.
    ttl: Option<Duration>,
    /// When the last acknowledged renewal was sent; before the first one, when etcd fell silent.
    acknowledged_at: Instant,
    /// Whether etcd has answered at all.
    heard: bool,
    /// Whether the loss was reported.
    lost: bool,
    /// After a standstill of this process: until when every member is asked before the loss is reported.
    last_round_until: Option<Instant>,
    /// A renewal was refused for its token, or for having none: some versions of etcd (3.5.30) demand one.
    needs_token: bool,
}

impl Keeper {
    /// A keeper that resumes a lease, if there is one, and counts its loss from `silent_since` on.
    pub(super) fn new(
        pool: Rc<Pool>,
        events: Rc<Events>,
        recheck: Rc<Notify>,
        resume: Option<i64>,
        silent_since: Instant,
    ) -> Keeper {
        Keeper {
            pool,
            events,
            recheck,
            id: resume,
            ttl: None,
            acknowledged_at: silent_since,
            heard: false,
            lost: false,
            last_round_until: None,
            needs_token: false,
        }
    }

    /// Grants or resumes the lease and renews it until the runtime ends.
    pub(super) async fn run(mut self) {
        let mut failed_in_a_row = 0;
        let mut round = Round::default();
        loop {
            let (before, begun) = (self.acknowledged_at, Instant::now());
            let error = match self.session(&mut round).await {
                // Another member is in use, or there is a new lease: go on at once.
                Ok(()) => continue,
                Err(error) => error,
            };
            if error.kind == ErrorKind::LeaseNotFound {
                let id = self.id.take().unwrap_or(0);
                match self.ttl.take() {
                    Some(_) => warn!("etcd: lease {id:x} is gone"),
                    None => info!("etcd: lease {id:x} of before the start has ended"),
                }
                continue;
            }
            self.report_loss(&error);
            let Some(error) = round.after(error, &self.pool) else { continue };
            failed_in_a_row = if self.acknowledged_at == before { failed_in_a_row + 1 } else { 1 };
            if let Some(pause) = self.pause(&error, failed_in_a_row) {
                let rest = pause.saturating_sub(begun.elapsed());
                sleep_until(self.deadline(rest)).await;
                self.report_loss(&error);
            }
        }
    }

    /// How long after the beginning of a failed attempt the next one begins; nothing while other members
    /// have not been asked in this round.
    fn pause(&self, error: &Error, failed_in_a_row: usize) -> Option<Duration> {
        match error.kind {
            ErrorKind::Unreachable if !failed_in_a_row.is_multiple_of(self.pool.members()) => None,
            ErrorKind::Unreachable | ErrorKind::LeaseNotFound => Some(ROUND_PAUSE),
            ErrorKind::Auth | ErrorKind::Refused => Some(REFUSED_PAUSE),
        }
    }

    /// Renews the lease through the member in use until that fails or another member is in use.
    async fn session(&mut self, round: &mut Round) -> Result<(), Error> {
        let (member, until) = (round.member(&self.pool), self.attempt_deadline());
        // To renew a lease need not wait for a token, where it needs none.
        let client = match self.id {
            Some(_) if !self.needs_token => self.pool.reach(member, until).await?,
            Some(_) | None => self.pool.connect(member, until).await?,
        };
        let result = self.renew(client, member, round).await;
        result.map_err(|error| self.pool.failed(member, error))
    }

    async fn renew(
        &mut self,
        mut client: Client,
        member: usize,
        round: &mut Round,
    ) -> Result<(), Error> {
        let (id, ttl) = match (self.id, self.ttl) {
            (Some(id), Some(ttl)) => (id, ttl),
            (Some(id), None) => (id, self.resume(&mut client, id).await?),
            (None, _) => self.grant(&mut client).await?,
        };
        let until = self.attempt_deadline();
        let mut stream = Some(self.open(&mut client, id, ttl, until).await?);
        let mut answers = false;
        round.ended_at(member, &self.pool);
        loop {
            self.pool.works(member);
            self.pool.refresh_identity();
            self.pool.look_homeward();
            self.next_renewal().await;
            if !self.pool.is_current(member) {
                return Ok(());
            }
            let Some(open) = &mut stream else {
                let until = self.deadline(self.interval());
                self.open(&mut client, id, ttl, until).await?;
                continue;
            };
            match self.renew_once(open).await {
                Ok(()) => answers = true,
                // etcd's gRPC proxy answers the renewal that opens a stream within half a second, and
                // others when it renews the lease for its own reasons: there each opens one.
                Err(error) if !answers && error.kind == ErrorKind::Unreachable => stream = None,
                Err(error) => return Err(error),
            }
        }
    }

    /// Asks how long a lease of a former life of this host lasts: the answer to the opening of the stream
    /// of renewals does not reach this shim, and a proxy takes long to answer a second renewal.
    async fn resume(&mut self, client: &mut Client, id: i64) -> Result<Duration, Error> {
        let until = self.attempt_deadline();
        let asked = timeout_at(until, client.lease_time_to_live(id, None)).await;
        let answer = asked.map_err(|_| Error::deadline("ask for the lease"))??;
        self.pool.check(answer.header())?;
        if answer.ttl() < 0 {
            return Err(Error::lease_not_found());
        }
        let ttl = seconds(answer.granted_ttl());
        tell_resumed(ttl, self.pool.options());
        self.ttl = Some(ttl);
        Ok(ttl)
    }

    async fn grant(&mut self, client: &mut Client) -> Result<(i64, Duration), Error> {
        let wanted = i64::try_from(self.pool.options().ttl().as_secs()).unwrap_or(i64::MAX);
        let sent = Instant::now();
        let until = self.attempt_deadline();
        let granted = timeout_at(until, client.lease_grant(wanted, None)).await;
        let granted = granted.map_err(|_| Error::deadline("grant a lease"))??;
        self.pool.check(granted.header())?;
        let id = granted.id();
        if granted.ttl() > wanted {
            warn!(
                "etcd: leases last {} s, not {wanted} s: its election timeout is long. What the lines of \
                 the start say of crashed owners takes so much longer",
                granted.ttl()
            );
        }
        info!("etcd: lease {id:x} granted for {} s ({wanted} s are configured)", granted.ttl());
        self.id = Some(id);
        let ttl = seconds(granted.ttl());
        self.acknowledged(sent, ttl, Event::Granted { id, ttl });
        Ok((id, ttl))
    }

    /// Opens the stream of renewals, which renews once.
    async fn open(
        &mut self,
        client: &mut Client,
        id: i64,
        ttl: Duration,
        until: Instant,
    ) -> Result<(LeaseKeeper, LeaseKeepAliveStream), Error> {
        let sent = Instant::now();
        let opened = timeout_at(until, client.lease_keep_alive(id)).await;
        let opened = opened.map_err(|_| Error::deadline("renew the lease"))?;
        let opened = opened.map_err(|error| self.not_renewed(error))?;
        self.acknowledged(sent, ttl, Event::Held { id, ttl });
        Ok(opened)
    }

    /// Takes note of why the lease was not renewed.
    fn not_renewed(&mut self, error: etcd_client::Error) -> Error {
        let error = Error::from(error);
        self.needs_token |= error.kind == ErrorKind::Auth || error.is_denied();
        error
    }

    async fn renew_once(
        &mut self,
        (keeper, answers): &mut (LeaseKeeper, LeaseKeepAliveStream),
    ) -> Result<(), Error> {
        let sent = Instant::now();
        let until = self.attempt_deadline();
        let renewal = timeout_at(until, async {
            keeper.keep_alive().await?;
            answers.message().await
        });
        let answer = renewal.await.map_err(|_| Error::deadline("renew the lease"))?;
        match answer.map_err(|error| self.not_renewed(error))? {
            Some(answer) if answer.ttl() > 0 => {
                self.pool.check(answer.header())?;
                let (id, ttl) = (keeper.id(), seconds(answer.ttl()));
                self.acknowledged(sent, ttl, Event::Held { id, ttl });
                self.pool.count_renewal(sent.elapsed());
                Ok(())
            }
            Some(_) => Err(Error::lease_not_found()),
            None => Err(Error::unreachable("renew the lease: the stream has ended")),
        }
    }

    /// Between two renewals. A lease keeps the TTL with which it was granted: one that was resumed is
    /// renewed as its TTL needs, whatever is configured now.
    fn interval(&self) -> Duration {
        interval(self.pool.options().renewal, self.ttl)
    }

    /// How long etcd must have been silent for the lease to be reported lost.
    fn loss_after(&self) -> Duration {
        self.interval() * self.pool.options().retries
    }

    /// Waits for the next renewal, or until a request has found that the lease does not exist.
    async fn next_renewal(&self) {
        // With a single retry the loss would be due together with the renewal that prevents it.
        let due = self.acknowledged_at + self.interval().min(self.loss_after() / 2);
        let (wait, begun) = (due.saturating_duration_since(Instant::now()), clock::since_boot());
        tokio::select! {
            () = sleep_until(due) => {}
            () = self.recheck.notified() => {}
        }
        let overslept = (clock::since_boot() - begun).saturating_sub(wait);
        if overslept >= PAUSE {
            self.events.tell(Event::Paused(overslept));
        }
    }

    fn acknowledged(&mut self, sent: Instant, ttl: Duration, event: Event) {
        self.acknowledged_at = sent;
        self.ttl = Some(ttl);
        self.heard = true;
        self.lost = false;
        self.last_round_until = None;
        self.pool.hold_lease(true);
        self.events.tell(event);
    }

    /// Reports, once, that as many renewals as configured have failed. No attempt lasts beyond that
    /// moment: one that ends much later was held up by a standstill of this process, which says nothing of
    /// etcd.
    fn report_loss(&mut self, error: &Error) {
        let late = Instant::now().checked_duration_since(self.lost_at());
        let Some(late) = late.filter(|_| !self.lost) else {
            return;
        };
        if late >= ROUND_PAUSE && self.last_round_until.is_none() {
            self.begin_last_round();
            return;
        }
        self.lost = true;
        self.pool.hold_lease(false);
        let silent = self.acknowledged_at.elapsed();
        let why = if self.heard {
            format!("silent for {silent:.1?}: {error}")
        } else {
            format!("silent since the start: {error}")
        };
        self.events.tell(Event::Lost { why, revision: self.pool.revision() });
    }

    fn lost_at(&self) -> Instant {
        let silent = self.acknowledged_at + self.loss_after();
        self.last_round_until.map_or(silent, |until| silent.max(until))
    }

    /// Lets every member be asked once more: none was while this process did not run.
    fn begin_last_round(&mut self) {
        let members = u32::try_from(self.pool.members()).unwrap_or(u32::MAX);
        self.last_round_until = Some(Instant::now() + self.pool.attempt(self.interval()) * members);
    }

    /// When the attempt that begins now is given up.
    fn attempt_deadline(&mut self) -> Instant {
        self.deadline(self.pool.attempt(self.interval()))
    }

    /// A time from now, but not beyond the moment at which the lease is lost.
    fn deadline(&mut self, within: Duration) -> Instant {
        let now = Instant::now();
        if !self.lost && self.last_round_until.is_none() && now >= self.lost_at() {
            self.begin_last_round();
        }
        let until = now + within;
        if self.lost { until } else { until.min(self.lost_at().max(now)) }
    }
}

/// Between two renewals of a lease with that TTL: as configured, but five at least within the TTL.
fn interval(configured: Duration, ttl: Option<Duration>) -> Duration {
    ttl.map_or(configured, |ttl| configured.min(ttl / 5))
}

/// Tells of a resumed lease with another TTL than is configured. etcd never grants less than is asked
/// for, but more if its election timeout is long: then a new lease would last as long.
fn tell_resumed(ttl: Duration, options: &Options) {
    let (lasts, configured) = (ttl.as_secs(), options.ttl().as_secs());
    if lasts < configured {
        let interval = interval(options.renewal, Some(ttl));
        warn!(
            "etcd: the resumed lease lasts {lasts} s, not {configured} s, and is renewed every \
             {interval:?}; the next stop with STOP_POLICY=release ends that"
        );
    } else if lasts > configured {
        info!("etcd: the resumed lease lasts {lasts} s; {configured} s are configured");
    }
}

/// A TTL as etcd tells it.
fn seconds(ttl: i64) -> Duration {
    Duration::from_secs(ttl.try_into().unwrap_or(0))
}

/// Asks what is left of a lease, and which keys it has if that is wanted.
pub(super) async fn lease_info(
    pool: &Rc<Pool>,
    id: i64,
    keys: bool,
    until: Instant,
) -> Result<LeaseInfo, Error> {
    let options = || keys.then(|| LeaseTimeToLiveOptions::new().with_keys());
    ask(pool, "ask for a lease", until, async |mut client: Client| {
        let answer = client.lease_time_to_live(id, options()).await?;
        pool.check(answer.header())?;
        let text = |key: &Vec<u8>| String::from_utf8_lossy(key).into_owned();
        let keys = answer.keys().iter().map(text).collect();
        Ok(LeaseInfo { left: answer.ttl(), granted: answer.granted_ttl(), keys })
    })
    .await
}

/// Revokes a lease, with all its keys.
pub(super) async fn revoke(pool: &Rc<Pool>, id: i64, until: Instant) -> Result<(), Error> {
    let revoke = async |mut client: Client| Ok(client.lease_revoke(id).await.map(drop)?);
    ask(pool, "revoke the lease", until, revoke).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_renewed_five_times_within_its_ttl_and_not_more_seldom_than_configured() {
        let second = Duration::from_secs(1);
        assert_eq!(interval(10 * second, None), 10 * second);
        assert_eq!(interval(10 * second, Some(5 * second)), second);
        assert_eq!(interval(second, Some(50 * second)), second);
        assert_eq!(interval(second / 5, Some(2 * second)), second / 5);
    }
}
