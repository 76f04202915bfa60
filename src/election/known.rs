//! What is known of each address of an election, and what follows for all of them: all are here, or none is.
//!
//! Pure.

use crate::network::{Hearing, Mac, Unusable};

/// What is known of one address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// Whether the kernel has it.
    pub(super) bound: bool,
    /// Whether its interface can carry it, once that is known.
    pub(super) interface: Option<Result<Mac, Unusable>>,
    /// Whether anybody is heard on its interface.
    pub(super) hearing: Hearing,
}

/// The kernel has all of them.
pub(super) fn are_bound(mut all: impl Iterator<Item = Known>) -> bool {
    all.all(|known| known.bound)
}

/// Whether all interfaces can carry them, when that is known of all; and the hardware address of the first.
pub(super) fn interface(all: impl Iterator<Item = Known>) -> Option<Result<Mac, Unusable>> {
    let (mut first, mut unusable) = (None, None);
    for known in all {
        match known.interface? {
            Ok(mac) => first = first.or(Some(mac)),
            Err(why) => unusable = unusable.or(Some(why)),
        }
    }
    Some(match unusable {
        Some(why) => Err(why),
        None => first.ok_or(Unusable::Missing),
    })
}

/// Whether others are heard on all of the interfaces: the worst that is known of one.
pub(super) fn hearing(all: impl Iterator<Item = Known>) -> Hearing {
    let worst = |worst, known: Known| match (worst, known.hearing) {
        (Hearing::Nobody, _) | (_, Hearing::Nobody) => Hearing::Nobody,
        (Hearing::Unknown, _) | (_, Hearing::Unknown) => Hearing::Unknown,
        (Hearing::Others, Hearing::Others) => Hearing::Others,
    };
    all.fold(Hearing::Others, worst)
}

/// The place of the first that keeps the others away, of which people are told.
pub(super) fn in_the_way(all: &[Known]) -> Option<usize> {
    let unusable = all.iter().position(|known| matches!(known.interface, Some(Err(_))));
    let deaf = || all.iter().position(|known| known.hearing == Hearing::Nobody);
    unusable.or_else(deaf).or_else(|| all.iter().position(|known| !known.bound))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Mac = [2, 0, 0, 0, 0, 1];
    const OTHER: Mac = [2, 0, 0, 0, 0, 2];

    fn usable(mac: Mac) -> Known {
        Known { interface: Some(Ok(mac)), ..Known::default() }
    }

    fn unusable(why: Unusable) -> Known {
        Known { interface: Some(Err(why)), ..Known::default() }
    }

    #[test]
    fn addresses_are_bound_when_the_kernel_has_every_one() {
        let (here, away) = (Known { bound: true, ..Known::default() }, Known::default());
        assert!(are_bound([here, here].into_iter()));
        assert!(!are_bound([here, away].into_iter()));
        assert_eq!(in_the_way(&[here, away]), Some(1));
        assert_eq!(in_the_way(&[here, here]), None);
        let deaf = Known { hearing: Hearing::Nobody, ..here };
        assert_eq!(in_the_way(&[away, deaf]), Some(1));
    }

    #[test]
    fn one_unusable_interface_makes_all_unusable_and_the_first_has_the_name() {
        let of = |all: &[Known]| interface(all.iter().copied());
        assert_eq!(of(&[usable(ONE)]), Some(Ok(ONE)));
        assert_eq!(of(&[usable(ONE), usable(OTHER)]), Some(Ok(ONE)));
        let down = unusable(Unusable::Down);
        assert_eq!(of(&[usable(ONE), down]), Some(Err(Unusable::Down)));
        assert_eq!(of(&[down, usable(ONE)]), Some(Err(Unusable::Down)));
        assert_eq!(in_the_way(&[usable(ONE), down]), Some(1));
        assert_eq!(of(&[]), Some(Err(Unusable::Missing)));
    }

    #[test]
    fn nothing_is_said_of_the_interfaces_before_all_are_known() {
        assert_eq!(interface([usable(ONE), Known::default()].into_iter()), None);
        let down = unusable(Unusable::NoCarrier);
        assert_eq!(interface([down, Known::default()].into_iter()), None);
    }

    #[test]
    fn who_hears_nobody_on_one_interface_counts_as_one_that_hears_nobody() {
        let heard = |all: &[Hearing]| {
            let known = |hearing: &Hearing| Known { hearing: *hearing, ..Known::default() };
            hearing(all.iter().map(known))
        };
        let (others, nobody, unknown) = (Hearing::Others, Hearing::Nobody, Hearing::Unknown);
        assert_eq!(heard(&[others, others]), others);
        assert_eq!(heard(&[others, nobody]), nobody);
        assert_eq!(heard(&[others, unknown]), unknown);
        assert_eq!(heard(&[unknown, nobody]), nobody);
    }
}
