//! Captures what arrives at an interface, and takes announcements apart by hand.

use std::io::IoSliceMut;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, Sender, unbounded};
use nix::cmsg_space;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType,
    recvmsg, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeSpec, TimeVal, TimeValLike};

use super::lab::PATIENCE;

/// `PACKET_OUTGOING`: a frame that this host sent from the interface itself.
const OUTGOING: u8 = 4;

/// A frame and when it was seen.
pub(crate) type Frame = (SystemTime, Vec<u8>);

/// Captures until it is dropped.
pub(crate) struct Capture {
    pub(crate) frames: Receiver<Frame>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// An announcement of an IPv4 address, or one of IPv6.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Operation, and the source of the frame.
    Arp(u16, [u8; 6]),
    /// The flags' byte, and the source of the frame.
    Advertisement(u8, [u8; 6]),
}

impl Capture {
    /// Starts to capture what arrives at an interface.
    pub(crate) fn on(interface: &str) -> Capture {
        let index = usize::try_from(if_nametoindex(interface).unwrap()).unwrap();
        let flags = SockFlag::SOCK_CLOEXEC;
        let fd = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll);
        let fd = fd.expect("a packet socket: are you root?");
        setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::milliseconds(20)).unwrap();
        setsockopt(&fd, sockopt::ReceiveTimestampns, &true).unwrap();
        setsockopt(&fd, sockopt::RcvBufForce, &(16 << 20)).unwrap();
        let (tx, frames) = unbounded();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || capture(&fd, index, &stopped, &tx));
        Capture { frames, stop, thread: Some(thread) }
    }

    /// The next announcement of this address.
    pub(crate) fn next(&self, ip: &str) -> (SystemTime, Seen) {
        let deadline = Instant::now() + PATIENCE;
        self.next_before(ip, deadline).unwrap_or_else(|| panic!("{ip} was not announced"))
    }

    /// The next announcement of this address, if it comes in time.
    pub(crate) fn next_before(&self, ip: &str, deadline: Instant) -> Option<(SystemTime, Seen)> {
        loop {
            let (time, frame) = self.frames.recv_deadline(deadline).ok()?;
            if let Some(seen) = announcement(ip, &frame) {
                return Some((time, seen));
            }
        }
    }

    /// Both ARP forms of one announcement, request first; when the first was seen.
    pub(crate) fn arp_pair(&self, ip: &str, mac: [u8; 6]) -> SystemTime {
        let (time, request) = self.next(ip);
        assert_eq!(request, Seen::Arp(1, mac));
        assert_eq!(self.next(ip).1, Seen::Arp(2, mac));
        time
    }

    /// The whole burst of the schedule `TWICE`, and nothing after it.
    pub(crate) fn arp_burst(&self, ip: &str, mac: [u8; 6]) {
        self.arp_pair(ip, mac);
        self.arp_pair(ip, mac);
        self.expect_none(ip, Duration::from_millis(300));
    }

    /// Waits until exactly this frame comes.
    pub(crate) fn await_frame(&self, frame: &[u8]) {
        let deadline = Instant::now() + PATIENCE;
        while self.frames.recv_deadline(deadline).expect("the frame").1 != frame {}
    }

    /// No announcement of this address comes for a while.
    pub(crate) fn expect_none(&self, ip: &str, wait: Duration) {
        assert_eq!(self.next_before(ip, Instant::now() + wait), None);
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn capture(fd: &OwnedFd, index: usize, stop: &AtomicBool, frames: &Sender<Frame>) {
    while !stop.load(Ordering::Relaxed) {
        if let Ok((from, frame)) = receive(fd) {
            if from.ifindex() == index && from.pkttype() != OUTGOING {
                let _ = frames.send(frame);
            }
        }
    }
}

/// Receives a frame with the time at which the kernel got it: this thread may be late.
fn receive(fd: &OwnedFd) -> nix::Result<(LinkAddr, Frame)> {
    let mut buffer = [0; 2048];
    let mut control = cmsg_space!(TimeSpec);
    let mut parts = [IoSliceMut::new(&mut buffer)];
    let flags = MsgFlags::empty();
    let received = recvmsg::<LinkAddr>(fd.as_raw_fd(), &mut parts, Some(&mut control), flags)?;
    let (from, length) = (received.address.unwrap(), received.bytes);
    let Some(ControlMessageOwned::ScmTimestampns(time)) = received.cmsgs()?.next() else {
        panic!("a frame without a time stamp");
    };
    let time = SystemTime::UNIX_EPOCH + Duration::from(time);
    Ok((from, (time, buffer[..length].to_vec())))
}

/// What this frame announces of this address, if it does.
pub(crate) fn announcement(ip: &str, frame: &[u8]) -> Option<Seen> {
    let source: [u8; 6] = frame.get(6..12)?.try_into().ok()?;
    match ip.parse().unwrap() {
        IpAddr::V4(ip) => arp(ip, frame).map(|operation| Seen::Arp(operation, source)),
        IpAddr::V6(ip) => advertisement(ip, frame).map(|flags| Seen::Advertisement(flags, source)),
    }
}

/// The operation of an ARP packet whose sender and target are this address.
fn arp(ip: Ipv4Addr, frame: &[u8]) -> Option<u16> {
    let packet = frame.get(14..42)?;
    let is_arp = frame[12..14] == [0x08, 0x06];
    let about = packet[14..18] == ip.octets() && packet[24..28] == ip.octets();
    (is_arp && about).then_some(u16::from_be_bytes([packet[6], packet[7]]))
}

/// The flags of a neighbour advertisement for this address.
fn advertisement(ip: Ipv6Addr, frame: &[u8]) -> Option<u8> {
    let message = frame.get(54..78)?;
    let is_icmpv6 = frame[12..14] == [0x86, 0xdd] && frame[20] == 58;
    let about = message[0] == 136 && message[8..24] == ip.octets();
    (is_icmpv6 && about).then_some(message[4])
}
