//! A machine: what outlives its agent, and what may be wrong with it.

use link::store::Instance;

use crate::agent::Agent;
use crate::memory_etcd::Millis;
use crate::setup::{self, HostId, IPS, IpId, Policies};

#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) id: HostId,
    /// Its `HOSTNAME`, which may be that of another.
    pub(crate) name: String,
    pub(crate) policies: Policies,
    pub(crate) power: bool,
    /// Counts the boots.
    pub(crate) boots: u64,
    /// Counts the lives of the agent: what was meant for an earlier one is dropped.
    pub(crate) life: u64,
    pub(crate) agent: Option<Agent>,
    /// Which addresses the kernel has, and what has to be waited for until one is added again.
    pub(crate) kernel: [bool; IPS],
    pub(crate) add_pause: [Millis; IPS],
    /// The local copy, and one of a while ago; and when they were written.
    pub(crate) disk: Option<Vec<u8>>,
    pub(crate) disk_at: Millis,
    pub(crate) old_disk: Option<Vec<u8>>,
    pub(crate) old_disk_at: Millis,
    /// Numbers the announcements of each address from its beginning.
    pub(crate) announcing: [u64; IPS],
    pub(crate) claimed: [Vec<(HostId, Millis)>; IPS],
    pub(crate) faults: Faults,
}

/// What is wrong with a machine; each is counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    /// No requests get out to etcd, no answers get in from there.
    pub(crate) cut_out: u32,
    pub(crate) cut_in: u32,
    pub(crate) slow: u32,
    /// Nothing gets out to the network, or in from there.
    pub(crate) lan_out: u32,
    pub(crate) lan_in: u32,
    pub(crate) unplugged: u32,
    /// The service behind an IP does not answer.
    pub(crate) sick: [u32; IPS],
    /// The kernel does not take an address.
    pub(crate) stuck: [u32; IPS],
    /// When that last was so.
    pub(crate) stuck_until: [Millis; IPS],
    /// Who does not hear it: as often as that has happened.
    pub(crate) unheard_by: Vec<HostId>,
    /// What its watch tells comes late.
    pub(crate) late_watch: u32,
}

impl Host {
    pub(crate) fn new(id: HostId, policies: Policies) -> Host {
        Host {
            id,
            name: setup::name(id),
            policies,
            power: true,
            boots: 1,
            life: 0,
            agent: None,
            kernel: [false; IPS],
            add_pause: [0; IPS],
            disk: None,
            disk_at: 0,
            old_disk: None,
            old_disk_at: 0,
            announcing: [0; IPS],
            claimed: std::array::from_fn(|_| Vec::new()),
            faults: Faults::default(),
        }
    }

    /// Which machine it is, with the id that it had before if its disk tells.
    pub(crate) fn instance(&self) -> Instance {
        let copy = self.disk.as_deref().and_then(|disk| link::store::LocalCopy::read(disk).ok());
        let former = copy.and_then(|copy| copy.instance).map(|instance| instance.id);
        let id = former.unwrap_or_else(|| format!("machine-{}-{}", self.id, self.life));
        let boot = format!("boot-{}-{}", self.id, self.boots);
        Instance::new(id, boot, Some(setup::mac(self.id)))
    }

    /// True when the program can do something.
    pub(crate) fn runs(&self) -> bool {
        self.agent.as_ref().is_some_and(|agent| agent.frozen.is_none())
    }

    /// The machine has an address and can be reached.
    pub(crate) fn has(&self, ip: IpId) -> bool {
        self.power && self.kernel[ip]
    }

    /// True when what this host sends reaches another.
    pub(crate) fn reaches(&self, to: &Host) -> bool {
        let heard = !self.faults.unheard_by.contains(&to.id);
        self.power && to.power && self.faults.lan_out == 0 && to.faults.lan_in == 0 && heard
    }

    /// True when it hears another, and is heard by it.
    pub(crate) fn talks_to(&self, other: &Host) -> bool {
        self.id != other.id && self.reaches(other) && other.reaches(self)
    }
}
