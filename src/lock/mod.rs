//! The lock protocol: the words of the requests about the lock of an IP and of their answers, and
//! their translation into transactions and back.
//!
//! Pure: no clock, no channel, no I/O. `election` decides what is
//! asked, `etcd` carries it out; neither knows the other.
//!
//! | key | value | lease |
//! |---|---|---|
//! | `/link/default/<election key>` | the owner's host name | the owner's |
//! | the same, of an IP that belongs to a group | the name of the group's lock, `group:gw` | none |
//! | `/link/ips/<election key>/<host>` | a candidacy | the host's |
//! | `/link/ips/group:<name>@<revision>/<host>` | the same, for what belongs to a group since that revision | the host's |

mod answer;
mod request;
mod txn;

pub use self::answer::{
    Advertised, Candidate, Gap, Holder, Lease, LockAnswer, LockView, OtherPrefix,
};
pub use self::request::{Advertisement, Candidacy, Request};
pub use self::txn::{
    CANDIDACIES, PREFIX, answer_of, available, candidacy_key, candidates, candidates_txn,
    holder_of, key, misspelled, no_other_prefix, other_prefix, same_address, txn_of, view_of,
};
