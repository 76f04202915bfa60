//! What the local copies on this machine say when the agent starts, and which machine it is; what is written to
//! the own one.

use crossbeam_channel::Sender;

use super::Params;
use super::core::{Copies, Event};
use crate::machine;
use crate::store::{Instance, LocalCopy};

/// The local copies of this host, and of names that it had before.
pub(super) fn read(params: &Params) -> Copies {
    let path = params.copy.path().display();
    let own = params.copy.read().map(|bytes| {
        let copy = bytes.and_then(|bytes| LocalCopy::read(&bytes));
        copy.map_err(|why| format!("local copy {path}: {why}")).and_then(|copy| {
            let is_own = copy.host == params.host;
            let why = || format!("local copy {path}: it is that of host {:?}", copy.host);
            if is_own { Ok(copy) } else { Err(why()) }
        })
    });
    let others = params.copy.others();
    let others = others.iter().filter_map(|bytes| LocalCopy::read(bytes).ok());
    Copies { own, others: others.filter(|copy| copy.host != params.host).collect() }
}

/// The id that this machine has had before, under whatever name.
fn former_id(copies: &Copies) -> Option<String> {
    let own = copies.own.iter().filter_map(|own| own.as_ref().ok());
    let ids = own.chain(&copies.others).filter_map(|copy| copy.instance.as_ref());
    ids.map(|instance| instance.id.clone()).find(|id| !id.is_empty())
}

/// Which machine this is.
pub(super) fn instance(params: &Params, copies: &Copies) -> Instance {
    let hardware_address = params.net.hardware_address(&params.interface);
    machine::instance(former_id(copies), hardware_address.ok().flatten())
}

/// Writes behind the local copy. That it is lost is told.
pub(super) fn append(params: &Params, bytes: Vec<u8>, event_tx: Sender<Box<Event>>) {
    let lost = move || drop(event_tx.send(Box::new(Event::CopyLost)));
    params.copy.append(bytes, Box::new(lost));
}
