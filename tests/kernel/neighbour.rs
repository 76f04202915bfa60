//! Another host at the other end of the pair, and frames that no decent host would send.

use std::os::fd::AsRawFd;
use std::thread::JoinHandle;

use crossbeam_channel::{Sender, bounded, unbounded};
use nix::ifaddrs::getifaddrs;
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, sendto, socket};
use nix::unistd::gettid;

use super::lab::{eventually, ip, link, sysctl};

type Job = Box<dyn FnOnce() + Send>;

/// A network namespace with `v1` in it, and a thread that works there.
pub(crate) struct Neighbour {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Neighbour {
    /// Moves `v1` to a namespace of its own, where it speaks IPv6 too.
    pub(crate) fn start() -> Neighbour {
        let (jobs, work) = unbounded::<Job>();
        let (ready, is_ready) = bounded(1);
        let thread = std::thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace: are you root?");
            ready.send(gettid()).unwrap();
            work.iter().for_each(|job| job());
        });
        let (process, thread_id) = (std::process::id(), is_ready.recv().unwrap());
        ip(&format!("link set v1 netns /proc/{process}/task/{thread_id}/ns/net"));
        let neighbour = Neighbour { jobs: Some(jobs), thread: Some(thread) };
        neighbour.run(|| {
            sysctl("net/ipv6/conf/v1/disable_ipv6", "0");
            sysctl("net/ipv6/conf/v1/accept_dad", "0");
            ip("link set lo up");
            ip("link set v1 up");
        });
        eventually("the carrier", || link("v0")["operstate"] == "UP");
        neighbour
    }

    /// Does something over there, and waits for it.
    pub(crate) fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = bounded(1);
        let job = move || done.send(job()).unwrap();
        self.jobs.as_ref().unwrap().send(Box::new(job)).unwrap();
        result.recv().expect("the neighbour has panicked")
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        self.jobs = None;
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Has the other host add, replace or remove (`del`) an address.
pub(crate) fn ip_there(neighbour: &Neighbour, verb: &str, text: &str) {
    let nodad = if verb != "del" && text.contains(':') { "nodad" } else { "" };
    let words = format!("addr {verb} {text} dev v1 {nodad}");
    neighbour.run(move || ip(&words));
}

/// Sends frames as they are.
pub(crate) fn speak<'a>(interface: &str, frames: impl IntoIterator<Item = &'a Vec<u8>>) {
    let flags = SockFlag::SOCK_CLOEXEC;
    let fd = socket(AddressFamily::Packet, SockType::Raw, flags, None);
    let fd = fd.expect("a packet socket: are you root?");
    let mut interfaces = getifaddrs().unwrap().filter(|found| found.interface_name == interface);
    let address = interfaces.find_map(|found| found.address?.as_link_addr().copied()).unwrap();
    for frame in frames {
        sendto(fd.as_raw_fd(), frame, &address, MsgFlags::empty()).unwrap();
    }
}
