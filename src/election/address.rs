//! An address as an election has it.

use crate::net::ManagedAddress;
use crate::network::{Mac, Unusable};
use crate::vip::Cidr;

/// An address that comes with the lock.
pub(super) struct Address {
    pub(super) cidr: Cidr,
    pub(super) managed: ManagedAddress,
    /// Whether the kernel has it.
    pub(super) bound: bool,
    /// Whether its interface can carry it, once that is known.
    pub(super) interface: Option<Result<Mac, Unusable>>,
}
