//! Which cluster is ours, when the endpoints do not all belong to one.
//!
//! Every list here has a place for each endpoint, in the order in which they are configured: the id of
//! the cluster that it belongs to, 0 if that is not known.

use std::rc::Rc;

use etcd_client::{Client, GetOptions, ResponseHeader};
use log::warn;
use tokio::task::{JoinSet, spawn_local};
use tokio::time::{Instant, timeout_at};

use super::error::{Error, ErrorKind};
use super::pool::{CONNECT, Pool, SURVEY};

impl Pool {
    /// An error unless the member belongs to our cluster, which is decided when the first member answers.
    pub(super) async fn admit(self: &Rc<Self>, member: usize, cluster: u64) -> Result<(), Error> {
        let known = &self.members[member].cluster;
        // A member of ours that belongs to another cluster now: ours may have been replaced.
        if cluster != *self.cluster.borrow() && known.get() == *self.cluster.borrow() {
            self.survey(member, cluster);
        }
        let mut decided = self.cluster.subscribe();
        let ours = decided.wait_for(|ours| *ours != 0).await.map_or(0, |ours| *ours);
        if known.get() != ours {
            self.note(member, cluster);
        }
        if cluster == ours { Ok(()) } else { Err(Error::not_sent(foreign(cluster, ours))) }
    }

    /// The cluster to which a member says that it belongs.
    pub(super) async fn cluster_of(&self, client: &Client) -> Result<u64, Error> {
        if self.reserved.get() && self.auth.is_wanted() {
            self.auth.renew(client).await?;
        }
        let mut answer = self.ask_cluster(client).await;
        let lacks_token = |error: &Error| match error.kind {
            ErrorKind::Auth => self.auth.has_user(),
            ErrorKind::Refused => error.is_denied() && self.auth.denied(),
            ErrorKind::Unreachable | ErrorKind::LeaseNotFound => false,
        };
        if answer.as_ref().is_err_and(lacks_token) {
            self.auth.demand();
            self.auth.renew(client).await?;
            answer = self.ask_cluster(client).await;
        }
        let cluster = answer?;
        if self.auth.is_wanted() {
            // Whoever needs the token is told if that fails.
            let _ = self.auth.ask(client);
        }
        if cluster == 0 { Err(Error::no_etcd()) } else { Ok(cluster) }
    }

    /// A member answers both questions by itself, whether or not the cluster has a quorum; most versions answer
    /// the first without a token. Some (3.5.30) let only root ask it.
    async fn ask_cluster(&self, client: &Client) -> Result<u64, Error> {
        let header = match client.maintenance_client().status().await.map_err(Error::from) {
            Ok(mut answer) => {
                self.auth.compare(answer.raft_index());
                answer.take_header()
            }
            Err(error) if error.kind == ErrorKind::Refused => {
                let options = GetOptions::new().with_serializable().with_limit(1).with_keys_only();
                let prefix = self.options().watch_prefix.as_str();
                let mut answer = client.kv_client().get(prefix, Some(options)).await?;
                // It is etcd, and reads for this user.
                self.reserved.set(true);
                answer.take_header()
            }
            Err(error) => return Err(error),
        };
        Ok(header.map_or(0, |header| header.cluster_id()))
    }

    /// Asks the other members to which cluster they belong, and decides which one is ours.
    fn survey(self: &Rc<Self>, member: usize, cluster: u64) {
        if self.surveying.replace(true) {
            return;
        }
        let pool = self.clone();
        spawn_local(async move {
            let ours = *pool.cluster.borrow();
            let mut found = vec![0; pool.members()];
            found[member] = cluster;
            let mut asking = JoinSet::new();
            for other in (0..pool.members()).filter(|other| *other != member) {
                let pool = pool.clone();
                asking.spawn_local(async move {
                    let identity = pool.identity().await?;
                    let client = pool.open(other, identity).await?;
                    pool.cluster_of(&client).await.map(|cluster| (other, cluster))
                });
            }
            // At the start all requests wait for this.
            let until = Instant::now() + if ours == 0 { CONNECT } else { SURVEY };
            while !is_settled(ours, &found) {
                match timeout_at(until, asking.join_next()).await {
                    Ok(Some(Ok(Ok((other, cluster))))) => found[other] = cluster,
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => break,
                }
            }
            pool.decide(ours, &found);
            pool.surveying.set(false);
        });
    }

    fn decide(&self, ours: u64, found: &[u64]) {
        let before: Vec<u64> = self.members.iter().map(|member| member.cluster.get()).collect();
        if let Some(chosen) = choose(ours, &before, found) {
            if ours != 0 {
                warn!("etcd: cluster {chosen:x} has replaced cluster {ours:x}");
                self.forget_revision();
            }
            self.cluster.send_replace(chosen);
            let first = found.iter().position(|cluster| *cluster == chosen);
            first.into_iter().for_each(|member| self.use_member(member));
        }
        let found = found.iter().enumerate().filter(|(_, cluster)| **cluster != 0);
        found.for_each(|(member, cluster)| self.note(member, *cluster));
    }

    /// Takes note of the cluster to which a member belongs.
    fn note(&self, member: usize, cluster: u64) {
        let (member, ours) = (&self.members[member], *self.cluster.borrow());
        if member.cluster.replace(cluster) != cluster && cluster != ours {
            warn!("etcd: {} {}: it is not used", member.endpoint, foreign(cluster, ours));
        }
    }

    /// Takes note of the revision of an answer, unless it is no answer of our cluster.
    pub(super) fn check(&self, header: Option<&ResponseHeader>) -> Result<(), Error> {
        let header = header.filter(|header| header.cluster_id() != 0);
        let Some(header) = header else { return Err(Error::no_etcd()) };
        let (cluster, ours) = (header.cluster_id(), *self.cluster.borrow());
        if cluster != ours {
            return Err(Error::unreachable(foreign(cluster, ours)));
        }
        self.heard(header.revision());
        Ok(())
    }
}

/// That something belongs to another cluster, in words.
fn foreign(cluster: u64, ours: u64) -> String {
    format!("belongs to cluster {cluster:x}, not to {ours:x}")
}

/// The cluster to use from now on, if that is not `ours`. At the start `ours` is 0, and it is the cluster
/// of most endpoints. Later it stays as long as one endpoint belongs to it. If none does, the endpoints
/// that did decide which cluster has replaced it; those that never did have no vote.
pub(super) fn choose(ours: u64, before: &[u64], now: &[u64]) -> Option<u64> {
    if ours != 0 && now.contains(&ours) {
        return None;
    }
    let votes = before.iter().zip(now).filter(|(before, now)| **before == ours && **now != 0);
    let votes: Vec<u64> = votes.map(|(_, now)| *now).collect();
    // Of the greatest, the last one is taken: the one that is configured first.
    votes.iter().rev().max_by_key(|id| count(&votes, **id)).copied()
}

/// Whether the answers that are missing cannot change anything any more.
pub(super) fn is_settled(ours: u64, now: &[u64]) -> bool {
    match ours {
        0 => now.iter().any(|id| *id != 0 && count(now, *id) > now.len() / 2),
        _ => now.contains(&ours),
    }
}

fn count(ids: &[u64], id: u64) -> usize {
    ids.iter().filter(|other| **other == id).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_the_start_most_endpoints_decide_and_of_as_many_the_first() {
        assert_eq!(choose(0, &[0; 3], &[9, 7, 7]), Some(7));
        assert_eq!(choose(0, &[0; 3], &[0, 9, 7]), Some(9));
        assert_eq!(choose(0, &[0; 4], &[9, 7, 7, 9]), Some(9));
        assert_eq!(choose(0, &[0; 2], &[0, 0]), None);
    }

    #[test]
    fn a_cluster_stays_ours_as_long_as_one_endpoint_belongs_to_it() {
        assert_eq!(choose(7, &[7, 7, 7], &[9, 9, 7]), None);
        assert_eq!(choose(7, &[7, 9], &[0, 9]), None, "the other one was never ours");
        assert_eq!(choose(7, &[7, 0], &[0, 9]), None, "nor is it known of one that was not asked");
    }

    #[test]
    fn what_was_ours_and_is_another_cluster_now_has_replaced_it() {
        assert_eq!(choose(7, &[7], &[9]), Some(9));
        assert_eq!(choose(7, &[7, 7, 5], &[0, 9, 5]), Some(9));
    }

    #[test]
    fn no_more_answers_are_awaited_than_are_needed() {
        assert!(is_settled(0, &[7]));
        assert!(is_settled(0, &[0, 7, 7]));
        assert!(!is_settled(0, &[0, 9, 7]));
        assert!(!is_settled(0, &[7, 0]));
        assert!(is_settled(7, &[9, 0, 7]));
        assert!(!is_settled(7, &[9, 9, 0]));
    }
}
