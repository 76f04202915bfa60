//! etcd's authentication: one token for all requests and streams, on all members.
//!
//! A password is slow to check, and meant to be (bcrypt). etcd goes on with a check for which nobody
//! waits any longer, so one that is abandoned and begun anew on another member only makes all of them
//! slower. So the question for a token is a task of its own, with a deadline of its own; requests wait
//! for it, each for as long as it has. The lease is renewed meanwhile: that needs no token but for some
//! versions (3.5.30). etcd makes a token known to all members, so to lose one does not make a new token
//! necessary; a member that was started anew has forgotten it, and then another one is asked first.
//!
//! The password is sent when a member demands a token, so that an etcd without authentication can be
//! used with a user configured, before it is turned on and after it is turned off. Where clients show certificates,
//! no member demands one: it denies what the user may not do whose name is in the certificate. That counts as much.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;
use std::time::Duration;

use etcd_client::Client;
use tokio::sync::watch;
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep, timeout};
use tonic::codegen::http::HeaderValue;

use super::error::{Error, ErrorKind};
use crate::secret::Secret;

/// How long the answer to a password is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// When a password was refused, how long it is not sent again.
const REFUSED_PAUSE: Duration = Duration::from_secs(1);

/// A token that is refused so soon is no bad one: the request was sent before it came, or the member
/// has not heard of it yet (etcd-io/etcd#18437).
const SETTLING: Duration = Duration::from_secs(1);

/// What requests carry: nothing if no member has demanded it.
pub(super) type Token = Option<HeaderValue>;

/// Who gets the token. Lives on the runtime's thread.
pub(super) struct Authenticator {
    user: Option<(String, Secret)>,
    /// How long a question is waited for before it is asked once more, beside the first. It grows with
    /// each that is not answered in time.
    again_after: Cell<Duration>,
    patience: Duration,
    token: watch::Sender<Token>,
    phase: watch::Sender<Phase>,
    /// When the token came.
    since: Cell<Option<Instant>>,
    /// A member has refused it. The second that does so is no exception.
    refused: Cell<bool>,
    /// When the password was sent last.
    asked: Cell<Option<Instant>>,
    under_way: Cell<u32>,
}

/// What is to be done with a request that was refused for its token, or for having none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There is no user who could have one.
    Final,
    /// Send it to another member, which may know the token.
    Elsewhere,
    /// Send it again.
    Again,
}

/// What is known of the token.
#[derive(Clone)]
enum Phase {
    /// There is one, or none was demanded.
    Settled,
    /// A member demands one.
    Wanted,
    /// The last question for one has failed, at that time.
    Failed(Error, Instant),
}

impl Authenticator {
    /// For a user with a password. `patience` is how long one question for a token is relied on at first:
    /// its answer is lost, say, when etcd's leader dies.
    pub(super) fn new(user: Option<(String, Secret)>, patience: Duration) -> Rc<Authenticator> {
        Rc::new(Authenticator {
            user,
            again_after: Cell::new(patience),
            patience,
            token: watch::Sender::new(None),
            phase: watch::Sender::new(Phase::Settled),
            since: Cell::new(None),
            refused: Cell::new(false),
            asked: Cell::new(None),
            under_way: Cell::new(0),
        })
    }

    /// The token, now and later.
    pub(super) fn token(&self) -> watch::Receiver<Token> {
        self.token.subscribe()
    }

    /// Whether requests are of no use before [`Authenticator::renew`].
    pub(super) fn is_wanted(&self) -> bool {
        !matches!(*self.phase.borrow(), Phase::Settled)
    }

    /// Whether a password is being checked, and not for so long that the answer may be lost.
    pub(super) fn is_busy(&self) -> bool {
        let asked = self.asked.get().filter(|_| self.under_way.get() > 0);
        asked.is_some_and(|asked| asked.elapsed() < self.again_after.get())
    }

    /// A member has refused a request for its token, or for having none.
    pub(super) fn refused(&self, members: usize) -> Refusal {
        if self.user.is_none() {
            return Refusal::Final;
        }
        if self.is_wanted() || self.since.get().is_some_and(|since| since.elapsed() < SETTLING) {
            return Refusal::Again;
        }
        if members > 1 && self.token.borrow().is_some() && !self.refused.replace(true) {
            return Refusal::Elsewhere;
        }
        self.demand();
        Refusal::Again
    }

    /// A member has denied what it was asked for. Without a token it has taken the name in the client's certificate
    /// for the user, and demands none. True if the request can be sent again, as our user.
    pub(super) fn denied(&self) -> bool {
        let has_asked = self.since.get().is_some_and(|since| since.elapsed() < SETTLING);
        let asks_as_another = self.user.is_some() && self.token.borrow().is_none();
        let again = asks_as_another && (self.is_wanted() || !has_asked);
        if again {
            self.demand();
        }
        again
    }

    /// Nothing but a new token is of use.
    pub(super) fn demand(&self) {
        if !self.is_wanted() {
            self.phase.send_replace(Phase::Wanted);
        }
    }

    /// A member is at that index of Raft's log. A token of etcd's simple kind ends with the index that a
    /// member waits for before it looks at the token: after etcd was restored or began anew it would wait for
    /// long, and never say that it does not know the token.
    pub(super) fn compare(&self, index: u64) {
        let is_ahead = self.token.borrow().as_ref().is_some_and(|token| {
            let text = token.to_str().unwrap_or_default();
            let issued = text.rsplit_once('.').and_then(|(_, issued)| issued.parse::<u64>().ok());
            issued.is_some_and(|issued| issued > index)
        });
        if is_ahead {
            self.demand();
        }
    }

    /// Whether there is a user who can have a token.
    pub(super) fn has_user(&self) -> bool {
        self.user.is_some()
    }

    /// Waits for a new token. It is asked for through this client, unless it is being asked for.
    pub(super) async fn renew(self: &Rc<Self>, client: &Client) -> Result<(), Error> {
        self.ask(client)?;
        let mut phase = self.phase.subscribe();
        let ended = phase.wait_for(|phase| !matches!(phase, Phase::Wanted)).await;
        match ended.as_deref() {
            Ok(Phase::Failed(error, _)) => Err(error.clone()),
            Ok(Phase::Settled | Phase::Wanted) | Err(_) => Ok(()),
        }
    }

    /// Asks for a token through this client, if one is wanted and is not being asked for.
    pub(super) fn ask(self: &Rc<Self>, client: &Client) -> Result<(), Error> {
        match &*self.phase.borrow() {
            Phase::Settled => return Ok(()),
            Phase::Failed(error, at)
                if error.kind == ErrorKind::Auth && at.elapsed() < REFUSED_PAUSE =>
            {
                return Err(error.clone());
            }
            Phase::Failed(..) | Phase::Wanted => {}
        }
        self.phase.send_replace(Phase::Wanted);
        let Some((user, password)) = self.user.clone().filter(|_| !self.is_busy()) else {
            return Ok(());
        };
        self.asked.set(Some(Instant::now()));
        if self.under_way.get() > 0 {
            self.again_after.set(self.again_after.get() * 2);
        }
        self.under_way.set(self.under_way.get() + 1);
        let (this, client) = (self.clone(), client.clone());
        spawn_local(async move {
            // Many agents lose their tokens at the same moment. The first time each comes by itself.
            if this.since.get().is_some() {
                sleep(this.patience.mul_f64(random() / 8.0)).await;
            }
            let asking = authenticate(client, user, password);
            let result = timeout(PATIENCE, asking).await;
            this.answered(result.unwrap_or_else(|_| Err(Error::deadline("authentication"))));
        });
        Ok(())
    }

    fn answered(&self, result: Result<Token, Error>) {
        self.under_way.set(self.under_way.get() - 1);
        match result {
            Ok(token) => {
                self.since.set(Some(Instant::now()));
                self.refused.set(false);
                self.again_after.set(self.patience);
                self.token.send_replace(token);
                self.phase.send_replace(Phase::Settled);
            }
            // Another question may be answered better.
            Err(_) if self.under_way.get() > 0 || !self.is_wanted() => {}
            Err(error) => {
                let failed = Phase::Failed(error.before_sending(), Instant::now());
                self.phase.send_replace(failed);
            }
        }
    }
}

/// Asks for a token. An etcd that has turned authentication off gives none and needs none.
async fn authenticate(client: Client, user: String, password: Secret) -> Result<Token, Error> {
    let password = password.expose().to_owned();
    let answer = match client.auth_client().authenticate(user, password).await {
        Err(etcd_client::Error::GRpcStatus(status))
            if status.message().contains("authentication is not enabled") =>
        {
            return Ok(None);
        }
        answer => answer?,
    };
    let token = HeaderValue::from_str(answer.token());
    let mut token = token.map_err(|_| Error::no_etcd())?;
    token.set_sensitive(true);
    Ok(Some(token))
}

/// A number from 0 up to 1.
fn random() -> f64 {
    // A new state has keys of its own, from the kernel.
    let bits = RandomState::new().hash_one(0);
    let [a, b, ..] = bits.to_ne_bytes();
    f64::from(u16::from_ne_bytes([a, b])) / 65_536.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_token() -> Rc<Authenticator> {
        let user = Some(("link".to_owned(), Secret::new("secret".to_owned())));
        let authenticator = Authenticator::new(user, Duration::from_secs(1));
        authenticator.token.send_replace(Some(HeaderValue::from_static("token.7")));
        authenticator
    }

    #[test]
    fn a_token_that_is_refused_for_the_second_time_is_replaced_whichever_member_refuses_it() {
        let authenticator = with_token();
        assert_eq!(authenticator.refused(3), Refusal::Elsewhere);
        assert!(!authenticator.is_wanted(), "it may be one member that was started anew");
        assert_eq!(authenticator.refused(3), Refusal::Again);
        assert!(authenticator.is_wanted());
        let of_one_member = with_token();
        assert_eq!(of_one_member.refused(1), Refusal::Again);
        assert!(of_one_member.is_wanted());
    }

    #[test]
    fn who_is_denied_something_under_the_name_in_a_certificate_asks_for_a_token_once() {
        let user = Some(("link".to_owned(), Secret::new("secret".to_owned())));
        let authenticator = Authenticator::new(user, Duration::from_secs(1));
        assert!(authenticator.denied() && authenticator.is_wanted());
        assert!(authenticator.denied(), "others wait for it, too");
        // Authentication is off, and something else denies it.
        authenticator.under_way.set(1);
        authenticator.answered(Ok(None));
        assert!(!authenticator.denied() && !authenticator.is_wanted());
        assert!(!with_token().denied(), "our user may not do it");
        assert!(!Authenticator::new(None, Duration::from_secs(1)).denied(), "there is no user");
    }

    #[test]
    fn a_token_that_is_ahead_of_a_member_is_replaced() {
        for (index, is_wanted) in [(7, false), (8, false), (6, true)] {
            let authenticator = with_token();
            authenticator.compare(index);
            assert_eq!(authenticator.is_wanted(), is_wanted, "{index}");
        }
    }
}
