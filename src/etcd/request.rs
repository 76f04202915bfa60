//! One transaction, sent to one member after the other until one answers or the time is over.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::error::{Error, ErrorKind};
use super::pool::{Connection, Pool};
use super::txn::{Reply, Txn};

/// How long one member may take. Longer than a renewal: a transaction waits for the members' disks.
const ATTEMPT: Duration = Duration::from_secs(1);

/// The pause after all members have failed in turn.
const ROUND_PAUSE: Duration = Duration::from_millis(50);

/// Sends a transaction; `until` bounds it whatever happens.
pub(super) async fn transact(
    pool: Rc<Pool>,
    suspect: Rc<Notify>,
    txn: Txn,
    until: Instant,
) -> Result<Reply, Error> {
    let mut worst: Option<Error> = None;
    let mut unknown = false;
    for attempt in 1.. {
        let error = match attempt_once(&pool, &txn, until).await {
            Ok(reply) => return Ok(reply),
            Err(error) => error.after(unknown),
        };
        unknown = error.outcome_is_unknown();
        match error.kind {
            ErrorKind::Refused => return Err(error),
            ErrorKind::LeaseNotFound => {
                suspect.notify_one();
                return Err(error);
            }
            // A stale token is refused once; a wrong password is not going to get better.
            ErrorKind::Auth if attempt > pool.members() => return Err(error),
            ErrorKind::Auth | ErrorKind::Unreachable => {}
        }
        if attempt % pool.members() == 0 {
            sleep_until(until.min(Instant::now() + ROUND_PAUSE)).await;
        }
        // What a member said is worth more than that the time was over afterwards.
        let worth = worst.take().filter(|_| Instant::now() >= until).unwrap_or(error);
        if Instant::now() >= until {
            return Err(worth.after(unknown));
        }
        worst = Some(worth);
    }
    unreachable!("the loop has no end of its own")
}

async fn attempt_once(pool: &Pool, txn: &Txn, until: Instant) -> Result<Reply, Error> {
    let until = until.min(Instant::now() + ATTEMPT);
    let connection = pool.connect(until).await?;
    let result = transact_once(&connection, txn, until).await;
    let reply = result.map_err(|error| pool.failed(connection.member, error))?;
    pool.heard(reply.revision);
    Ok(reply)
}

/// Sends a transaction to one member, once.
pub(super) async fn transact_once(
    connection: &Connection,
    txn: &Txn,
    until: Instant,
) -> Result<Reply, Error> {
    let mut client = connection.client.kv_client();
    let answered = timeout_at(until, client.txn(txn.to_proto())).await;
    let response = answered.map_err(|_| Error::deadline("transaction"))??;
    Ok(Reply::from_proto(&response))
}
