//! What is heard on the network: words that the network edge, the elections and the failure detector
//! share.

use std::fmt;

/// A hardware address (Ethernet).
pub type Mac = [u8; 6];

/// A hardware address as people write it: `02:00:00:00:00:01`. Put together, not formatted: that was the
/// deepest that the thread of an election went down its stack, into a second page.
pub fn mac_text(mac: Mac) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let mut text = String::with_capacity(17);
    for byte in mac {
        if !text.is_empty() {
            text.push(':');
        }
        text.extend([byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]));
    }
    text
}

/// Why an interface cannot carry an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "lab", derive(serde::Serialize, serde::Deserialize))]
pub enum Unusable {
    /// There is none of that name.
    Missing,
    /// It is down.
    Down,
    /// It has no carrier, or is not ready for traffic (RFC 2863).
    NoCarrier,
    /// It has the address already, and that is not LinK's: somebody else has put it there.
    NotOurs,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unusable::Missing => "no such interface",
            Unusable::Down => "interface is down",
            Unusable::NoCarrier => "no carrier",
            Unusable::NotOurs => "the host itself has the address",
        })
    }
}

/// What the network says of an address about which it is being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "lab", derive(serde::Serialize, serde::Deserialize))]
pub enum ProbeResult {
    /// Another host answers for it, or asks for it at the same time and comes first.
    Answered {
        /// The other's hardware address is lower than this host's: of two hosts that have the
        /// address, or want it, that one keeps it.
        wins_tie_break: bool,
    },
    /// Nobody has answered for about a second.
    Silent,
}

/// An owner is silent on the network, and etcd is silent, too.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "lab", derive(serde::Serialize, serde::Deserialize))]
pub struct Missed {
    /// The lease of the owner.
    pub lease: i64,
    /// The hardware addresses of the hosts that miss it as well, and are heard by this one; not this
    /// one itself.
    pub by: Vec<Mac>,
    /// Neighbours are heard, be they candidates or not.
    pub neighbours: bool,
    /// How many hosts have had their turn to take the IP.
    pub turn: u32,
    /// The agents, and at which revision of etcd their candidacies have last changed.
    pub agents: Vec<(String, i64)>,
}

/// What is seen on the network of a host that is being monitored, in the words of SWIM (Das, Gupta,
/// Motivala, 2002).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Liveness {
    /// It answers.
    Alive,
    /// It has answered before, and has not answered the last question: the next one has just left. Told
    /// once until it answers again.
    Doubted,
    /// It has answered before, and does not any more: so many questions in a row were not answered,
    /// although this host's own interface has a carrier. A host that has not answered since that
    /// carrier came, or since this process stood still, is no suspect.
    Suspect,
    /// It is a suspect, and others are heard there at this moment: it is not this host that is deaf.
    /// Told after `Suspect`, which is told again when the others fall silent, too.
    Dead,
}

/// Whether any other host is heard on an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "lab", derive(serde::Serialize, serde::Deserialize))]
pub enum Hearing {
    /// It is not known yet, or nobody can be heard there: the interface has no carrier, say.
    #[default]
    Unknown,
    /// Another host is heard.
    Others,
    /// Nobody is heard, also not of those that were asked.
    Nobody,
}

/// What a host says that is asked what it hears where it has an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Heard {
    /// Whether it hears anybody.
    pub hearing: Hearing,
    /// Whether its kernel has the address.
    pub has_address: bool,
}

impl From<Hearing> for Heard {
    /// It has not got the address.
    fn from(hearing: Hearing) -> Heard {
        Heard { hearing, has_address: false }
    }
}
