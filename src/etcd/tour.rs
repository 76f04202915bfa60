//! What a refusal of one member is worth.

use super::error::{Error, ErrorKind};
use super::pool::Pool;

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
        let from = pool.current();
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

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::time::Duration;

    use super::super::Options;
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
