//! A machine on the LAN that has an address which is not its own to have.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};

use super::capture::Mac;
use super::namespace::Namespace;
use super::vip::Vip;
use super::wait;

/// Between two of its announcements.
const PAUSE: Duration = Duration::from_millis(100);

/// Announces a VIP ten times a second, and answers for it, until it is dropped.
pub(crate) struct Stranger {
    namespace: Arc<Namespace>,
    vip: Vip,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Stranger {
    /// Starts to claim the VIP, which its `eth0` gets.
    pub(crate) fn start(namespace: &Arc<Namespace>, mac: Mac, vip: Vip) -> Stranger {
        namespace.ip(&format!("addr add {vip} dev eth0"));
        let (stop, stopped) = bounded::<()>(0);
        let there = Arc::clone(namespace);
        let thread = thread::Builder::new()
            .name("lab-stranger".to_owned())
            .spawn(move || {
                // Nothing is ever sent: it ends when the other end is gone.
                let ended = || !stopped.try_recv().is_err_and(|error| error.is_empty());
                while !wait::until(PAUSE, ended) {
                    announce(&there, mac);
                }
            })
            .expect("start a stranger's thread");
        let namespace = Arc::clone(namespace);
        Stranger { namespace, vip, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.namespace.ip(&format!("addr del {} dev eth0", self.vip));
    }
}

/// Has the kernel announce all IPv4 addresses of `eth0`, as it does when an Ethernet address is set
/// (`arp_notify`, Documentation/networking/ip-sysctl.rst), though it be the same.
pub(super) fn announce(namespace: &Namespace, mac: Mac) {
    namespace.sysctl("net/ipv4/conf/eth0/arp_notify", "1");
    namespace.ip(&format!("link set eth0 address {mac}"));
}
