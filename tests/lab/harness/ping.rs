//! Echo requests from the client: is an address reachable, and for how long was it not.

use std::net::{IpAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockProtocol, SockaddrIn, SockaddrIn6, SockaddrLike, sendto,
};

use super::namespace::Namespace;
use super::socket;

/// Between two probes.
pub(crate) const PERIOD: Duration = Duration::from_millis(1);

/// How long after the last probe an answer still counts.
const GRACE: Duration = Duration::from_millis(500);

/// True when the address answers one probe within a third of a second.
pub(crate) fn reaches(namespace: &Namespace, ip: IpAddr) -> bool {
    let echo = Echo::open(namespace, ip);
    echo.send(0);
    let deadline = Instant::now() + Duration::from_millis(333);
    while let Some(left) = deadline.checked_duration_since(Instant::now()) {
        socket::readable([&echo.socket], left);
        if echo.answer().is_some() {
            return true;
        }
    }
    false
}

/// Probes an address every millisecond until it is stopped.
pub(crate) struct Pinger {
    stop: Sender<()>,
    thread: JoinHandle<Probes>,
}

impl Pinger {
    /// Starts to probe.
    pub(crate) fn start(namespace: &Namespace, ip: IpAddr) -> Pinger {
        let echo = Echo::open(namespace, ip);
        let (stop, stopped) = bounded(0);
        let thread = thread::Builder::new()
            .name("lab-pinger".to_owned())
            .spawn(move || probe(&echo, &stopped))
            .expect("start a pinger thread");
        Pinger { stop, thread }
    }

    /// Ends the probing and says how it went; answers under way are waited for.
    pub(crate) fn stop(self) -> PingReport {
        self.probes().report()
    }

    /// Ends the probing like [`Pinger::stop`], for a report on parts of it.
    pub(crate) fn probes(self) -> Probes {
        drop(self.stop);
        match self.thread.join() {
            Ok(probes) => probes,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// All probes of a pinger: when each was sent, and when it was answered.
pub(crate) struct Probes {
    sent: Vec<Instant>,
    answered: Vec<Option<Instant>>,
}

impl Probes {
    /// What became of all of them.
    pub(crate) fn report(&self) -> PingReport {
        PingReport::new(&self.sent, &self.answered)
    }

    /// What became of those that were sent from that moment on.
    pub(crate) fn report_since(&self, moment: Instant) -> PingReport {
        let first = self.sent.partition_point(|sent| *sent < moment);
        PingReport::new(&self.sent[first..], &self.answered[first..])
    }
}

/// What became of the probes.
#[derive(Clone, Debug)]
pub(crate) struct PingReport {
    /// Probes sent.
    pub(crate) sent: usize,
    /// Probes that nobody answered.
    pub(crate) lost: usize,
    /// The longest time without an answer, from the first probe to the last.
    pub(crate) longest_gap: Duration,
    /// When that time began.
    pub(crate) gap_began: Option<Instant>,
    /// The longest time between two probes: above [`PERIOD`] it is the lab's own noise in the gap.
    pub(crate) longest_stall: Duration,
}

impl PingReport {
    fn new(sent: &[Instant], answered: &[Option<Instant>]) -> PingReport {
        let mut answers: Vec<Instant> = answered.iter().flatten().copied().collect();
        answers.sort_unstable();
        let lost = sent.len() - answers.len();
        // The time before the first answer and after the last one is without an answer too.
        answers.splice(0..0, sent.first().copied());
        answers.extend(sent.last().filter(|last| answers.last() < Some(last)).copied());
        let (longest_gap, gap_began) = longest_step(&answers);
        let (longest_stall, _) = longest_step(sent);
        PingReport { sent: sent.len(), lost, longest_gap, gap_began, longest_stall }
    }
}

/// The longest time between two moments, and when it began.
fn longest_step(moments: &[Instant]) -> (Duration, Option<Instant>) {
    let steps = moments.windows(2);
    let steps = steps.map(|pair| (pair[1].saturating_duration_since(pair[0]), Some(pair[0])));
    steps.max().unwrap_or_default()
}

/// The pinger's life: sends at fixed times, reads in between.
fn probe(echo: &Echo, stopped: &Receiver<()>) -> Probes {
    run_in_real_time();
    let mut sent: Vec<Instant> = Vec::new();
    let mut answered: Vec<Option<Instant>> = Vec::new();
    let mut next = Instant::now();
    while stopped.try_recv() == Err(TryRecvError::Empty) {
        sent.push(Instant::now());
        answered.push(None);
        echo.send(sent.len() - 1);
        next = (next + PERIOD).max(Instant::now());
        collect(echo, &mut answered, next);
    }
    collect(echo, &mut answered, Instant::now() + GRACE);
    Probes { sent, answered }
}

/// Reads answers until that moment.
fn collect(echo: &Echo, answered: &mut [Option<Instant>], until: Instant) {
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        socket::readable([&echo.socket], left);
        while let Some((number, at)) = echo.answer() {
            answered[number].get_or_insert(at);
        }
    }
}

/// Asks for a real-time priority, so that what is measured is the network's time and not the
/// scheduler's. Where that is refused, `longest_stall` tells.
pub(super) fn run_in_real_time() {
    let thread = nix::unistd::gettid().to_string();
    let _ = Command::new("chrt").args(["--fifo", "--pid", "10", &thread]).output();
}

/// A raw ICMP socket with an identifier of its own.
struct Echo {
    socket: OwnedFd,
    ip: IpAddr,
    identifier: u16,
}

/// Type, code, checksum, identifier, sequence number (RFC 792), and the probe's number as payload,
/// because 16 bits of sequence last for a minute only.
const ECHO_LEN: usize = 16;

impl Echo {
    fn open(namespace: &Namespace, ip: IpAddr) -> Echo {
        static NEXT: AtomicU16 = AtomicU16::new(1);
        let (family, protocol) = match ip {
            IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp),
            IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6),
        };
        Echo {
            socket: socket::raw(namespace, family, protocol),
            ip,
            identifier: NEXT.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Sends one probe; one that cannot be sent is one that is not answered.
    fn send(&self, number: usize) {
        let mut packet = [0; ECHO_LEN];
        packet[0] = if self.ip.is_ipv4() { 8 } else { 128 };
        packet[4..6].copy_from_slice(&self.identifier.to_be_bytes());
        packet[8..16].copy_from_slice(&(number as u64).to_be_bytes());
        if self.ip.is_ipv4() {
            // For ICMPv6 the kernel does it.
            let sum = checksum(&packet);
            packet[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        let to: Box<dyn SockaddrLike> = match self.ip {
            IpAddr::V4(ip) => Box::new(SockaddrIn::from(SocketAddrV4::new(ip, 0))),
            IpAddr::V6(ip) => Box::new(SockaddrIn6::from(SocketAddrV6::new(ip, 0, 0, 0))),
        };
        let _ = sendto(self.socket.as_raw_fd(), &packet, &*to, MsgFlags::empty());
    }

    /// The next answer to a probe of ours that has arrived, and when; other packets are skipped.
    fn answer(&self) -> Option<(usize, Instant)> {
        let mut buffer = [0; 256];
        loop {
            let (length, at) = socket::receive(&self.socket, &mut buffer)?;
            if let Some(number) = self.number(&buffer[..length]) {
                return Some((number, at));
            }
        }
    }

    fn number(&self, packet: &[u8]) -> Option<usize> {
        // A raw IPv4 socket delivers the IP header too (RFC 791: its length is in 32-bit words).
        let (reply, header) = match self.ip {
            IpAddr::V4(_) => (0, usize::from(packet.first()? & 0xf) * 4),
            IpAddr::V6(_) => (129, 0),
        };
        let echo = packet.get(header..header + ECHO_LEN)?;
        let ours = echo[0] == reply && echo[4..6] == self.identifier.to_be_bytes();
        let number = u64::from_be_bytes(echo[8..].try_into().ok()?);
        ours.then(|| usize::try_from(number).ok())?
    }
}

/// The Internet checksum (RFC 1071) of an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).expect("folded twice it fits")
}
