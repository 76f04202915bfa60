//! One request, sent to one member after the other until one answers or the time is over.

use std::rc::Rc;
use std::time::Duration;

use etcd_client::Client;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::error::{Error, ErrorKind};
use super::page::{MESSAGE, Rest, rests};
use super::pool::Pool;
use super::round::Round;
use super::txn::{Reply, Txn};

/// How long one member may take. Longer than a renewal: a transaction waits for the members' disks.
const ATTEMPT: Duration = Duration::from_secs(1);

/// The pause after all members have failed in turn.
const ROUND_PAUSE: Duration = Duration::from_millis(50);

/// Sends a transaction; `until` bounds it whatever happens.
pub(super) async fn transact(
    pool: Rc<Pool>,
    recheck: Rc<Notify>,
    txn: Txn,
    until: Instant,
) -> Result<Reply, Error> {
    let result = transact_in_pages(&pool, &txn, until).await;
    if result.as_ref().is_err_and(|error| error.kind == ErrorKind::LeaseNotFound) {
        recheck.notify_one();
    }
    result
}

async fn transact_in_pages(pool: &Rc<Pool>, txn: &Txn, until: Instant) -> Result<Reply, Error> {
    let send = async |client: Client| transact_once(pool, &client, txn).await;
    let (mut reply, mut rests) = ask(pool, "transaction", until, send).await?;
    while let Some(rest) = rests.pop() {
        let read = async |client: Client| rest.page(pool, &client, reply.revision).await;
        let page = ask(pool, "read on", until, read).await;
        // What the transaction has written is written, though not all was read.
        rests.extend(rest.add(&mut reply, page.map_err(|error| error.after(true))?));
    }
    Ok(reply)
}

/// Sends a transaction to one member, once: its outcome, and what was not read to the end.
pub(super) async fn transact_once(
    pool: &Pool,
    client: &Client,
    txn: &Txn,
) -> Result<(Reply, Vec<Rest>), Error> {
    let mut kv = client.kv_client().max_decoding_message_size(MESSAGE);
    let sent = Instant::now();
    let response = kv.txn(txn.to_proto()).await?;
    pool.check(response.header())?;
    pool.count_transaction(sent.elapsed());
    Ok((Reply::from_proto(&response), rests(txn, &response)))
}

/// Sends a request, called `what` in errors; it may be carried out more than once.
pub(super) async fn ask<T>(
    pool: &Rc<Pool>,
    what: &str,
    until: Instant,
    request: impl AsyncFn(Client) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut round = Round::default();
    let mut last = Error::not_sent(what);
    for attempt in 1.. {
        if attempt > 1 && Instant::now() >= until {
            break;
        }
        let member = round.member(pool);
        let error = match attempt_once(pool, member, what, until, &request).await {
            Ok(answer) => {
                round.ended_at(member, pool);
                return Ok(answer);
            }
            Err(error) => error,
        };
        let unknown = last.outcome_is_unknown() || error.outcome_is_unknown();
        // The answer of a member is worth more than that the time was over afterwards.
        if attempt == 1 || Instant::now() < until {
            last = error.clone();
        }
        last = last.after(unknown);
        match round.after(error, pool) {
            Some(error) if is_final(&error, attempt > pool.members()) => {
                return Err(error.after(unknown));
            }
            Some(_) if attempt % pool.members() == 0 => {
                sleep_until(until.min(Instant::now() + ROUND_PAUSE)).await;
            }
            Some(_) | None => {}
        }
    }
    Err(last)
}

/// Whether to ask again is of no use.
fn is_final(error: &Error, all_were_asked: bool) -> bool {
    match error.kind {
        ErrorKind::Refused | ErrorKind::LeaseNotFound => true,
        // A stale token is refused once; a wrong password is not going to get better.
        ErrorKind::Auth => all_were_asked,
        ErrorKind::Unreachable => false,
    }
}

async fn attempt_once<T>(
    pool: &Rc<Pool>,
    member: usize,
    what: &str,
    until: Instant,
    request: &impl AsyncFn(Client) -> Result<T, Error>,
) -> Result<T, Error> {
    let until = until.min(Instant::now() + ATTEMPT);
    let client = pool.connect(member, until).await?;
    let answered = timeout_at(until, request(client)).await;
    let result = answered.unwrap_or_else(|_| Err(Error::deadline(what)));
    result.map_err(|error| pool.failed(member, error))
}
