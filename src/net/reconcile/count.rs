//! What is known of the managed addresses and their interfaces, for who watches them.

use super::Reconciler;
use crate::metrics::{Address, InterfaceCounts};
use crate::network::Hearing;

impl Reconciler {
    /// The managed addresses, by address.
    pub(crate) fn addresses(&self) -> Vec<Address> {
        let managed = self.targets.iter().filter(|(_, target)| !target.forgotten);
        let address = managed.map(|(cidr, target)| Address {
            cidr: *cidr,
            interface: target.interface.clone(),
            bound: target.is_there(),
        });
        address.collect()
    }

    /// The interfaces that they are on, by name.
    pub(crate) fn interfaces(&self) -> Vec<InterfaceCounts> {
        let interface = |name: &String| InterfaceCounts {
            name: name.clone(),
            usable: self.interfaces.standing(name).is_ok(),
            hears_others: match self.interfaces.hearing(name) {
                Hearing::Unknown => None,
                Hearing::Others => Some(true),
                Hearing::Nobody => Some(false),
            },
        };
        self.interfaces.names().map(interface).collect()
    }

    /// How often another program had changed an address, and that was undone.
    pub(crate) fn restored(&self) -> u64 {
        self.restored
    }
}
