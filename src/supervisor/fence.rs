//! What an order to fence a host asks of the network and of etcd.

use crossbeam_channel::Sender;

use super::Params;
use super::core::{Event, REVOKE, Token};
use super::failure::failure;
use crate::etcd::{self, ErrorKind};
use crate::vip::Cidr;

/// Asks on the network who answers for an IP.
pub(super) fn look_for(params: &Params, event_tx: &Sender<Box<Event>>, token: Token, cidr: Cidr) {
    let event_tx = event_tx.clone();
    // After the supervisor has ended nobody needs to know.
    let found = move |mac| drop(event_tx.send(Box::new(Event::Answers(token, cidr, mac))));
    params.net.look_for(cidr, Box::new(found));
}

/// Revokes a lease of another host. One that does not exist needs not be.
pub(super) fn revoke(params: &Params, event_tx: &Sender<Box<Event>>, token: Token, lease: i64) {
    let event_tx = event_tx.clone();
    let done = move |result: Result<(), etcd::Error>| {
        let result = match result {
            Err(error) if error.kind == ErrorKind::LeaseNotFound => Ok(()),
            result => result.map_err(|error| failure(&error)),
        };
        let _ = event_tx.send(Box::new(Event::Fenced(token, lease, result)));
    };
    params.etcd.revoke_other(lease, REVOKE, Box::new(done));
}
