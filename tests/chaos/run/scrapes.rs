//! What the agents tell Prometheus of the kernel (`linkd_vip_bound`), compared with what the kernel says, all the time.
//!
//! Each host has a thread that scrapes its agent in the host's namespace. The kernel's notices are read before and after:
//! of an IP that has changed in between nothing can be said, of any other the agent must say what the kernel says. Where they
//! differ the kernel is asked: on a busy machine it tells late of an IPv6 address, by a worker (net/ipv6/addrconf.c).

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};

use super::stage::VIPS;
use crate::harness::{AddressChange, AddressMonitor, Api, HostId, Vip};

/// Between two scrapes of a host.
const PAUSE: Duration = Duration::from_millis(50);

/// Scrapes until it is dropped.
pub(crate) struct Scrapes {
    compared: Arc<AtomicU64>,
    differences: Receiver<String>,
    stop: Option<Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

/// Whether a kernel has an address now.
pub(crate) type Look = Box<dyn Fn(IpAddr) -> bool + Send>;

/// A host that is scraped.
pub(crate) struct Scraped {
    pub(crate) host: HostId,
    pub(crate) api: Api,
    pub(crate) monitor: AddressMonitor,
    pub(crate) look: Look,
}

/// What a thread needs.
struct Scraper {
    scraped: Scraped,
    /// Which IPs the kernel has, as it has told.
    bound: [bool; VIPS.len()],
    compared: Arc<AtomicU64>,
    differences: Sender<String>,
}

impl Scrapes {
    /// Starts to scrape hosts that have no IP yet.
    pub(crate) fn start(hosts: [Scraped; 3]) -> Scrapes {
        let (differences_tx, differences) = unbounded();
        let (stop, stopped) = bounded(0);
        let compared = Arc::new(AtomicU64::new(0));
        let start = |scraped: Scraped| {
            let (compared, differences) = (Arc::clone(&compared), differences_tx.clone());
            let bound = [false; VIPS.len()];
            let thread = thread::Builder::new().name(format!("lab-scrape-{}", scraped.host));
            let scraper = Scraper { scraped, bound, compared, differences };
            let stopped = stopped.clone();
            thread.spawn(move || scraper.run(&stopped)).expect("start a thread that scrapes")
        };
        let threads = hosts.map(start).into();
        Scrapes { compared, differences, stop: Some(stop), threads }
    }

    /// How often the two were compared for an IP, since this was asked last, and where they differed.
    pub(crate) fn take(&self) -> (u64, Vec<String>) {
        (self.compared.swap(0, Ordering::Relaxed), self.differences.try_iter().collect())
    }
}

impl Drop for Scrapes {
    fn drop(&mut self) {
        self.stop = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Scraper {
    fn run(mut self, stopped: &Receiver<()>) {
        while stopped.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
            self.compare();
        }
    }

    fn compare(&mut self) {
        self.hear();
        // An agent that is off, or does not answer, tells nothing.
        let Ok(answer) = self.scraped.api.try_send("GET", "/metrics", None) else { return };
        let before = self.bound;
        let changed = self.hear();
        for (number, vip) in VIPS.into_iter().enumerate() {
            let told = told(&answer.body, vip);
            if let Some(told) = told.filter(|_| !changed[number]) {
                self.compared.fetch_add(1, Ordering::Relaxed);
                if told != before[number] && self.kernel_differs(number, told) {
                    let (host, has) = (self.scraped.host, before[number]);
                    let text = format!("{host} tells {told} of {vip}, and its kernel {has}");
                    // Whoever watched is gone: the thread is being stopped.
                    let _ = self.differences.send(text);
                }
            }
        }
    }

    /// Whether the kernel says otherwise when it is asked, and has told of no change meanwhile.
    fn kernel_differs(&mut self, number: usize, told: bool) -> bool {
        (self.scraped.look)(VIPS[number].ip()) != told && !self.hear()[number]
    }

    /// Takes note of what the kernel has told; of which IPs that was.
    fn hear(&mut self) -> [bool; VIPS.len()] {
        let mut changed = [false; VIPS.len()];
        for change in self.scraped.monitor.take() {
            let (ip, bound) = match change {
                AddressChange::Set(ip) => (ip, true),
                AddressChange::Removed(ip) => (ip, false),
            };
            if let Some(number) = number_of(ip) {
                (self.bound[number], changed[number]) = (bound, true);
            }
        }
        changed
    }
}

fn number_of(ip: IpAddr) -> Option<usize> {
    VIPS.iter().position(|vip| vip.ip() == ip)
}

/// What a scrape says of an IP: nothing if the host does not offer it.
pub(crate) fn told(scrape: &str, vip: Vip) -> Option<bool> {
    let series = format!("linkd_vip_bound{{ip=\"{vip}\",interface=\"eth0\"}} ");
    let value = scrape.lines().find_map(|line| line.strip_prefix(&series))?;
    Some(value == "1")
}
