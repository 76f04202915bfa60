//! Which machine this is, as far as a process can tell.

use std::fs;

use crate::network::Mac;
use crate::store::Instance;

/// Where the kernel tells the id of the boot (random(4)).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// This machine: with the id that it had before, if it had one, and the hardware address of its
/// interface, if there is one. Without /proc, boots cannot be told apart.
pub(crate) fn instance(former_id: Option<String>, hardware_address: Option<Mac>) -> Instance {
    let id = former_id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let boot = fs::read_to_string(BOOT_ID).unwrap_or_default().trim().to_owned();
    // An interface without a hardware address has one of zeros.
    Instance::new(id, boot, hardware_address.filter(|mac| mac.iter().any(|byte| *byte != 0)))
}
