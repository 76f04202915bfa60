//! What a namespace hears on the wire: ARP (RFC 826) and neighbour advertisements (RFC 4861),
//! decoded by somebody else's decoder.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};
use etherparse::{ArpPacketSlice, Icmpv6Slice, IpNumber, Ipv6Slice, NetSlice, SlicedPacket};
use nix::sys::socket::{AddressFamily, SockProtocol};

use super::namespace::Namespace;
use super::{socket, wait};

/// Captures from its start until it is dropped.
pub(crate) struct Capture {
    seen: Vec<Frame>,
    frames: Receiver<Frame>,
    /// Closing it ends the thread.
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Capture {
    /// Starts to capture on all interfaces of the namespace; what is sent after this returns is
    /// seen.
    pub(crate) fn start(namespace: &Namespace) -> Capture {
        let socket = socket::raw(namespace, AddressFamily::Packet, SockProtocol::EthAll);
        let (stopped, stop) = UnixStream::pair().expect("make a pair of sockets");
        let (frames_tx, frames) = unbounded();
        let thread = thread::Builder::new()
            .name("lab-capture".to_owned())
            .spawn(move || listen(&socket, &OwnedFd::from(stopped), &frames_tx))
            .expect("start a capture thread");
        Capture { seen: Vec::new(), frames, stop: Some(stop), thread: Some(thread) }
    }

    /// All frames so far, oldest first.
    pub(crate) fn frames(&mut self) -> &[Frame] {
        self.seen.extend(self.frames.try_iter());
        &self.seen
    }

    /// All announcements of an address so far, oldest first.
    pub(crate) fn announcements(&mut self, ip: IpAddr) -> Vec<Frame> {
        let frames = self.frames().iter();
        frames.filter(|frame| frame.announces(ip)).cloned().collect()
    }

    /// Forgets what was seen so far, so that only later frames are found.
    pub(crate) fn forget(&mut self) {
        self.frames();
        self.seen.clear();
    }

    /// The first frame seen, before or after this call, for which the condition holds.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, what: &str, condition: impl Fn(&Frame) -> bool) -> Frame {
        let mut found = None;
        let arrived = wait::until(wait::PATIENCE, || {
            found = self.frames().iter().find(|frame| condition(frame)).cloned();
            found.is_some()
        });
        assert!(arrived, "not captured: {what}; but: {:#?}", self.seen);
        found.expect("it has arrived")
    }

    /// The first announcement of an address, seen before or after this call.
    #[track_caller]
    pub(crate) fn wait_for_announcement(&mut self, ip: IpAddr) -> Frame {
        self.wait_for(&format!("an announcement of {ip}"), |frame| frame.announces(ip))
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A frame that was captured; only those with a known payload are kept.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// When the kernel received it.
    pub(crate) at: Instant,
    /// The Ethernet header's source.
    pub(crate) source: Mac,
    /// The Ethernet header's destination.
    pub(crate) destination: Mac,
    /// What it carries.
    pub(crate) payload: Payload,
}

/// What a captured frame carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    /// An ARP packet for IPv4 over Ethernet.
    Arp(Arp),
    /// A neighbour advertisement.
    Advertisement(Advertisement),
}

/// The fields of RFC 826.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arp {
    /// 1 is a request, 2 a reply.
    pub(crate) operation: u16,
    /// Sender hardware address.
    pub(crate) sender_mac: Mac,
    /// Sender protocol address.
    pub(crate) sender: Ipv4Addr,
    /// Target hardware address.
    pub(crate) target_mac: Mac,
    /// Target protocol address.
    pub(crate) target: Ipv4Addr,
}

/// The fields of RFC 4861, section 4.4, and of the IPv6 header around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Advertisement {
    /// IPv6 source.
    pub(crate) source: Ipv6Addr,
    /// IPv6 destination.
    pub(crate) destination: Ipv6Addr,
    /// Has to be 255 (section 7.1.2).
    pub(crate) hop_limit: u8,
    /// Whether the ICMPv6 checksum is right.
    pub(crate) checksum_ok: bool,
    /// The R flag.
    pub(crate) router: bool,
    /// The S flag.
    pub(crate) solicited: bool,
    /// The O flag.
    pub(crate) overrides: bool,
    /// Target address.
    pub(crate) target: Ipv6Addr,
    /// The target link-layer address option.
    pub(crate) target_mac: Option<Mac>,
}

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Mac(pub(crate) [u8; 6]);

impl Mac {
    /// ff:ff:ff:ff:ff:ff.
    pub(crate) const BROADCAST: Mac = Mac([0xff; 6]);

    fn read(bytes: &[u8]) -> Option<Mac> {
        Some(Mac(bytes.get(..6)?.try_into().ok()?))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Frame {
    /// True for an announcement of the address, in any form: gratuitous ARP (RFC 5227, section 3:
    /// sender is target) or an unsolicited neighbour advertisement.
    pub(crate) fn announces(&self, ip: IpAddr) -> bool {
        match &self.payload {
            Payload::Arp(arp) => ip == arp.sender && ip == arp.target,
            Payload::Advertisement(told) => ip == told.target && !told.solicited,
        }
    }

    /// The ARP packet in it.
    #[track_caller]
    pub(crate) fn arp(&self) -> &Arp {
        match &self.payload {
            Payload::Arp(arp) => arp,
            Payload::Advertisement(_) => panic!("no ARP: {self:?}"),
        }
    }

    /// The neighbour advertisement in it.
    #[track_caller]
    pub(crate) fn advertisement(&self) -> &Advertisement {
        match &self.payload {
            Payload::Advertisement(advertisement) => advertisement,
            Payload::Arp(_) => panic!("no advertisement: {self:?}"),
        }
    }
}

/// The capture's life: reads frames until the other end of `stopped` is closed.
fn listen(socket: &OwnedFd, stopped: &OwnedFd, frames: &Sender<Frame>) {
    let mut buffer = [0; 2048];
    loop {
        let [_, stop] = socket::readable([socket, stopped], Duration::from_secs(3600));
        if stop {
            return;
        }
        while let Some((length, at)) = socket::receive(socket, &mut buffer) {
            if let Some(frame) = decode(&buffer[..length], at) {
                // Nobody listens any more: the capture is being dropped.
                let _ = frames.send(frame);
            }
        }
    }
}

fn decode(bytes: &[u8], at: Instant) -> Option<Frame> {
    let packet = SlicedPacket::from_ethernet(bytes).ok()?;
    let payload = match packet.net? {
        NetSlice::Arp(arp) => Payload::Arp(decode_arp(&arp)?),
        NetSlice::Ipv6(ip) => Payload::Advertisement(decode_advertisement(&ip)?),
        NetSlice::Ipv4(_) => return None,
    };
    Some(Frame { at, destination: Mac::read(bytes)?, source: Mac::read(&bytes[6..])?, payload })
}

fn decode_arp(arp: &ArpPacketSlice<'_>) -> Option<Arp> {
    let arp = arp.to_packet().try_eth_ipv4().ok()?;
    Some(Arp {
        operation: arp.operation.0,
        sender_mac: Mac(arp.sender_mac),
        sender: Ipv4Addr::from(arp.sender_ipv4),
        target_mac: Mac(arp.target_mac),
        target: Ipv4Addr::from(arp.target_ipv4),
    })
}

fn decode_advertisement(ip: &Ipv6Slice<'_>) -> Option<Advertisement> {
    const ADVERTISEMENT: u8 = 136;
    const TARGET_MAC_OPTION: [u8; 2] = [2, 1];
    if ip.payload().ip_number != IpNumber::IPV6_ICMP {
        return None;
    }
    let header = ip.header();
    let icmp = Icmpv6Slice::from_slice(ip.payload().payload).ok()?;
    if icmp.type_u8() != ADVERTISEMENT {
        return None;
    }
    let flags = icmp.bytes5to8()[0];
    let (target, options) = icmp.payload().split_at_checked(16)?;
    let target_mac = options.strip_prefix(&TARGET_MAC_OPTION).and_then(Mac::read);
    Some(Advertisement {
        source: header.source_addr(),
        destination: header.destination_addr(),
        hop_limit: header.hop_limit(),
        checksum_ok: icmp.is_checksum_valid(header.source(), header.destination()),
        router: flags & 0x80 != 0,
        solicited: flags & 0x40 != 0,
        overrides: flags & 0x20 != 0,
        target: Ipv6Addr::from(<[u8; 16]>::try_from(target).ok()?),
        target_mac,
    })
}
