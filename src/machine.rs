//! Which machine this is, as far as a process can tell, and what the kernel tells of the process.

use std::fs;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::metrics::Process;
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

/// What the kernel tells of this process (proc(5)), but for its start. Without /proc: nothing.
pub(crate) fn process() -> Process {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let cpu = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID);
    let fds = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    Process {
        started: Duration::ZERO,
        cpu: cpu.map_or(Duration::ZERO, Duration::from),
        resident_bytes: field(&status, "VmRSS:") * 1024,
        // The folder itself was open.
        open_fds: u64::try_from(fds).unwrap_or_default().saturating_sub(1),
        threads: field(&status, "Threads:"),
    }
}

/// A number in `/proc/self/status`.
fn field(status: &str, name: &str) -> u64 {
    let value = status.lines().find_map(|line| line.strip_prefix(name));
    let number = value.and_then(|value| value.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_of_this_process() {
        let process = process();
        assert!(process.threads >= 1 && process.open_fds >= 3, "{process:?}");
        assert!(process.resident_bytes > 100_000, "{process:?}");
        assert!(process.cpu > Duration::ZERO, "{process:?}");
        assert_eq!(field("Threads:\t12\nVmRSS:\t  34 kB\n", "VmRSS:"), 34);
    }
}
