//! Ethernet II framing: 14 bytes before each ARP or IPv6 packet.

pub use crate::network::{Mac, mac_text as text};

/// Everybody on the segment.
pub const BROADCAST: Mac = [0xff; 6];
/// The type of a frame that carries ARP.
pub const ARP: u16 = 0x0806;
/// The type of a frame that carries IPv6.
pub const IPV6: u16 = 0x86dd;

/// Where in a frame its source is.
pub const SOURCE: std::ops::Range<usize> = 6..12;

/// In the first byte of a destination, the bit that all and groups have: I/G (IEEE 802).
const GROUP: u8 = 0x01;
/// The length of the header.
const HEADER: usize = 14;

/// Destination, source and type, followed by the payload.
pub fn encode(destination: Mac, source: Mac, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(HEADER + payload.len());
    frame.extend(destination);
    frame.extend(source);
    frame.extend(ethertype.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Who sent the frame.
pub fn source(frame: &[u8]) -> Option<Mac> {
    frame.get(6..)?.first_chunk().copied()
}

/// Whether the frame is for all, or for a group.
pub fn is_for_many(frame: &[u8]) -> bool {
    frame.first().is_some_and(|first| first & GROUP != 0)
}

/// The payload, if the frame is of this type and not cut short.
pub fn payload(frame: &[u8], ethertype: u16) -> Option<&[u8]> {
    let header: &[u8; HEADER] = frame.first_chunk()?;
    (header[12..] == ethertype.to_be_bytes()).then_some(&frame[HEADER..])
}
