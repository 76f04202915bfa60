//! A round over the members after a refusal.

use super::error::{Error, ErrorKind};
use super::pool::Pool;

/// Which member is asked: the one in use; when it refuses, the others in turn before its answer counts,
/// because a member may refuse for reasons of its own (a proxy, another version, a full disk).
#[derive(Default)]
pub(super) struct Round {
    /// The member that was in use when the round began.
    from: usize,
    /// The first refusal of this round.
    refusal: Option<Error>,
    /// How many members have been asked in this round.
    asked: usize,
}

impl Round {
    /// The member to ask now. A round begins again when another member is in use.
    pub(super) fn member(&mut self, pool: &Pool) -> usize {
        let from = pool.current();
        if self.from != from {
            *self = Round { from, ..Round::default() };
        }
        (from + self.asked) % pool.members()
    }

    /// Takes note of a failure. Nothing comes back while the next member is to be asked at once. A
    /// refusal that comes back is final: no member has done better.
    pub(super) fn after(&mut self, error: Error, pool: &Pool) -> Option<Error> {
        let refuses = match error.kind {
            ErrorKind::Refused => true,
            ErrorKind::LeaseNotFound => false,
            ErrorKind::Unreachable | ErrorKind::Auth => self.refusal.is_some(),
        };
        let Round { from, refusal, asked } = std::mem::take(self);
        if !refuses {
            return Some(error);
        }
        let refusal = refusal.unwrap_or(error);
        if asked + 1 == pool.members() {
            return Some(refusal);
        }
        *self = Round { from, refusal: Some(refusal), asked: asked + 1 };
        None
    }

    /// A member has done what was asked. If others have refused, it is the one in use from now on.
    pub(super) fn ended_at(&mut self, member: usize, pool: &Pool) {
        if let Some(refusal) = std::mem::take(self).refusal {
            pool.use_instead(member, &refusal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Options;
    use super::*;

    #[test]
    fn a_refusal_counts_when_every_other_member_has_done_no_better() {
        let (pool, mut round) = (Pool::new(Options::of_tests(3)), Round::default());
        let no = |who: &str| Error::refused(format!("no from {who}"));
        assert_eq!(round.member(&pool), 0);
        assert_eq!(round.after(no("0"), &pool), None);
        assert_eq!(round.member(&pool), 1);
        assert_eq!(round.after(Error::deadline("1"), &pool), None);
        assert_eq!(round.member(&pool), 2);
        assert_eq!(round.after(no("2"), &pool), Some(no("0")));
        assert_eq!(round.member(&pool), 0);
        assert!(pool.is_current(0));
    }

    #[test]
    fn a_member_that_does_what_another_one_refuses_is_used_by_all() {
        let (pool, mut round) = (Pool::new(Options::of_tests(3)), Round::default());
        let mut other = Round::default();
        assert_eq!((round.member(&pool), other.member(&pool)), (0, 0));
        assert_eq!(other.after(Error::refused("no"), &pool), None);
        assert_eq!(round.after(Error::refused("no"), &pool), None);
        round.ended_at(1, &pool);
        assert!(pool.is_current(1));
        assert_eq!((round.member(&pool), other.member(&pool)), (1, 1));
    }

    #[test]
    fn what_is_no_refusal_begins_no_round() {
        let (pool, mut round) = (Pool::new(Options::of_tests(3)), Round::default());
        for error in [Error::deadline("0"), Error::lease_not_found()] {
            assert_eq!(round.after(error.clone(), &pool), Some(error));
            assert_eq!(round.member(&pool), 0);
        }
    }
}
