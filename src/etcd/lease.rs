//! The lease of this host: granted or resumed, renewed, given up for lost.
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
use super::tour::Tour;
use super::{Event, Events, LeaseInfo, Options};
use crate::clock;

/// Between the beginnings of two attempts when all members have failed in turn. Short, so that an etcd
/// that comes back is noticed at once; a refused connection costs nothing.
const ROUND_PAUSE: Duration = Duration::from_millis(200);

/// The same after etcd has said no: checking a password costs etcd more than us (bcrypt).
const REFUSED_PAUSE: Duration = Duration::from_secs(1);

/// Who wakes up so much too late did not run: stopped, or on a machine that was suspended. A busy
/// machine is not that slow.
const PAUSE: Duration = Duration::from_secs(1);

/// Keeps the lease, for as long as the runtime lives.
pub(super) struct Keeper {
    pool: Rc<Pool>,
    events: Rc<Events>,
    /// Woken when a request finds that the lease does not exist.
    suspect: Rc<Notify>,
    /// The lease that is renewed, if there is one.
    id: Option<i64>,
    /// When the last renewal that etcd acknowledged was sent, or when we began to try.
    heard: Instant,
    /// Whether the loss was reported.
    lost: bool,
    /// Until when all members get a turn since this process did not run, if that was so.
    turn: Option<Instant>,
    /// The lease's TTL, once etcd has told it.
    ttl: Option<Duration>,
}

impl Keeper {
    /// One that resumes a lease, if there is one, and counts its loss from `heard` on.
    pub(super) fn new(
        pool: Rc<Pool>,
        events: Rc<Events>,
        suspect: Rc<Notify>,
        resume: Option<i64>,
        heard: Instant,
    ) -> Keeper {
        let (lost, turn, ttl) = (false, None, None);
        Keeper { pool, events, suspect, id: resume, heard, lost, turn, ttl }
    }

    /// Grants or resumes the lease and renews it, for ever.
    pub(super) async fn run(mut self) {
        let mut failed_in_a_row = 0;
        let mut tour = Tour::default();
        loop {
            let (before, begun) = (self.heard, Instant::now());
            let error = match self.session(&mut tour).await {
                // Another member is in use, or there is a new lease: go on at once.
                Ok(()) => continue,
                Err(error) => error,
            };
            if error.kind == ErrorKind::LeaseNotFound {
                warn!("etcd: lease {:x} is gone", self.id.unwrap_or(0));
                (self.id, self.ttl) = (None, None);
                continue;
            }
            self.report_loss(&error);
            let Some(error) = tour.go_on(&self.pool, error) else { continue };
            failed_in_a_row = if self.heard == before { failed_in_a_row + 1 } else { 1 };
            if let Some(pause) = self.pause(&error, failed_in_a_row) {
                let rest = pause.saturating_sub(begun.elapsed());
                sleep_until(self.deadline(rest)).await;
                self.report_loss(&error);
            }
        }
    }

    /// How long after its beginning a failed attempt is followed by the next: at once as long as the
    /// other members had no turn.
    fn pause(&self, error: &Error, failed_in_a_row: usize) -> Option<Duration> {
        match error.kind {
            ErrorKind::Unreachable if failed_in_a_row % self.pool.members() != 0 => None,
            ErrorKind::Unreachable | ErrorKind::LeaseNotFound => Some(ROUND_PAUSE),
            ErrorKind::Auth | ErrorKind::Refused => Some(REFUSED_PAUSE),
        }
    }

    /// Renews the lease through the member in use until that fails or another member is in use.
    async fn session(&mut self, tour: &mut Tour) -> Result<(), Error> {
        let (member, until) = (tour.member(&self.pool), self.attempt_deadline());
        let client = self.pool.connect(member, until).await?;
        let result = self.renew(client, member, tour).await;
        result.map_err(|error| self.pool.failed(member, error))
    }

    async fn renew(
        &mut self,
        mut client: Client,
        member: usize,
        tour: &mut Tour,
    ) -> Result<(), Error> {
        let id = match self.id {
            Some(id) => id,
            None => self.grant(&mut client).await?,
        };
        let (mut keeper, mut answers) = self.open(&mut client, id).await?;
        // Opening renews, but only an answer on the stream tells the TTL.
        self.renew_once(&mut keeper, &mut answers).await?;
        tour.ended_at(member, &self.pool);
        loop {
            self.pool.works(member);
            self.pool.refresh_identity();
            self.next_renewal().await;
            if !self.pool.is_current(member) {
                return Ok(());
            }
            self.renew_once(&mut keeper, &mut answers).await?;
        }
    }

    async fn grant(&mut self, client: &mut Client) -> Result<i64, Error> {
        let wanted = i64::try_from(self.pool.options().ttl().as_secs()).unwrap_or(i64::MAX);
        let sent = Instant::now();
        let until = self.attempt_deadline();
        let granted = timeout_at(until, client.lease_grant(wanted, None)).await;
        let granted = granted.map_err(|_| Error::deadline("grant a lease"))??;
        self.pool.check(granted.header())?;
        let id = granted.id();
        info!("etcd: lease {id:x} granted for {} s ({wanted} s are configured)", granted.ttl());
        self.id = Some(id);
        let ttl = seconds(granted.ttl());
        self.acknowledged(sent, ttl, Event::Granted { id, ttl });
        Ok(id)
    }

    /// Opens the stream of renewals.
    async fn open(
        &mut self,
        client: &mut Client,
        id: i64,
    ) -> Result<(LeaseKeeper, LeaseKeepAliveStream), Error> {
        let until = self.attempt_deadline();
        let opened = timeout_at(until, client.lease_keep_alive(id)).await;
        Ok(opened.map_err(|_| Error::deadline("renew the lease"))??)
    }

    async fn renew_once(
        &mut self,
        keeper: &mut LeaseKeeper,
        answers: &mut LeaseKeepAliveStream,
    ) -> Result<(), Error> {
        let sent = Instant::now();
        let until = self.attempt_deadline();
        let renewal = timeout_at(until, async {
            keeper.keep_alive().await?;
            answers.message().await
        });
        let answer = renewal.await.map_err(|_| Error::deadline("renew the lease"))??;
        match answer {
            Some(answer) if answer.ttl() > 0 => {
                self.pool.check(answer.header())?;
                let (id, ttl) = (keeper.id(), seconds(answer.ttl()));
                if self.ttl.is_none() {
                    tell_resumed(ttl, self.pool.options());
                }
                self.acknowledged(sent, ttl, Event::Held { id, ttl });
                Ok(())
            }
            Some(_) => {
                Err(etcd_client::Error::LeaseKeepAliveError("lease not found".into()).into())
            }
            None => Err(Error::unreachable("renew the lease: the stream has ended")),
        }
    }

    /// Between two renewals. A lease keeps the TTL with which it was granted, and the locks are attached
    /// to it: one that was resumed is renewed as it needs, whatever is configured now.
    fn interval(&self) -> Duration {
        interval(self.pool.options().renewal, self.ttl)
    }

    /// How long etcd must have been silent for the lease to be reported lost.
    fn loss_after(&self) -> Duration {
        self.interval() * self.pool.options().retries
    }

    /// Waits for the next renewal, or until somebody suspects that the lease is gone.
    async fn next_renewal(&self) {
        // With a single retry the loss would be due together with the renewal that prevents it.
        let due = self.heard + self.interval().min(self.loss_after() / 2);
        let (wait, begun) = (due.saturating_duration_since(Instant::now()), clock::since_boot());
        tokio::select! {
            () = sleep_until(due) => {}
            () = self.suspect.notified() => {}
        }
        let overslept = (clock::since_boot() - begun).saturating_sub(wait);
        if overslept >= PAUSE {
            self.events.tell(Event::Paused(overslept));
        }
    }

    fn acknowledged(&mut self, sent: Instant, ttl: Duration, event: Event) {
        self.heard = sent;
        self.ttl = Some(ttl);
        self.lost = false;
        self.turn = None;
        self.pool.hold_lease(true);
        self.events.tell(event);
    }

    /// Reports, once, that as many renewals as configured have failed. Attempts end when that is so:
    /// what ends much later was held up by a pause of this process, and says nothing of etcd.
    fn report_loss(&mut self, error: &Error) {
        let late = Instant::now().checked_duration_since(self.lost_at());
        let Some(late) = late.filter(|_| !self.lost) else {
            return;
        };
        if late >= ROUND_PAUSE && self.turn.is_none() {
            self.give_a_turn();
            return;
        }
        self.lost = true;
        self.pool.hold_lease(false);
        let silent = self.heard.elapsed();
        let why = format!("silent for {silent:.1?}: {error}");
        self.events.tell(Event::Lost { why, revision: self.pool.revision() });
    }

    fn lost_at(&self) -> Instant {
        let silent = self.heard + self.loss_after();
        self.turn.map_or(silent, |turn| silent.max(turn))
    }

    /// Lets every member be asked once more: while this process did not run, nobody was.
    fn give_a_turn(&mut self) {
        let members = u32::try_from(self.pool.members()).unwrap_or(u32::MAX);
        self.turn = Some(Instant::now() + self.pool.attempt(self.interval()) * members);
    }

    /// When the attempt that begins now is given up.
    fn attempt_deadline(&mut self) -> Instant {
        self.deadline(self.pool.attempt(self.interval()))
    }

    /// A time from now, but not beyond the moment at which the lease is lost.
    fn deadline(&mut self, within: Duration) -> Instant {
        let now = Instant::now();
        if !self.lost && self.turn.is_none() && now >= self.lost_at() {
            self.give_a_turn();
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
