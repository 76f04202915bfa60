//! Of which kinds things are that need a person.

/// The kinds, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Etcd,
    Conflict,
    NoOwner,
    Redundancy,
    Host,
    Problem,
    BadValue,
}

impl Kind {
    #[cfg(test)]
    pub(super) const ALL: [Kind; 7] = [
        Kind::Etcd,
        Kind::Conflict,
        Kind::NoOwner,
        Kind::Redundancy,
        Kind::Host,
        Kind::Problem,
        Kind::BadValue,
    ];

    pub(super) fn word(self) -> &'static str {
        match self {
            Kind::Etcd => "etcd",
            Kind::Conflict => "conflict",
            Kind::NoOwner => "no_owner",
            Kind::Redundancy => "redundancy",
            Kind::Host => "host",
            Kind::Problem => "problem",
            Kind::BadValue => "bad_value",
        }
    }
}
