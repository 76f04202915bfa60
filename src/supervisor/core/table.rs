//! The table of IPs: what is registered on this host, and how far each IP has come.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use super::counts::Counts;
use super::seats::{InElection, Known};
use super::watched::Watched;
use super::{Core, Token};
use crate::command::Change;
use crate::election::Status;
use crate::lock::OtherPrefix;
use crate::network::Mac;
use crate::sorted::sort_by;
use crate::store::Record;
use crate::vip::{Cidr, GroupName, Slot, VipId};
use crate::wire;

/// Why an IP is not served that is one too many.
pub(super) const BEYOND_LIMIT: &str = "MAX_NUMBER_OF_ENDPOINTS is too small for it";

/// The IPs of this host, by the numbers of their elections.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    /// In boxes, because half of the places in a node of the tree are empty after IPs were added in order.
    vips: BTreeMap<Slot, Box<Vip>>,
    by_id: HashMap<VipId, Slot>,
    by_address: HashMap<IpAddr, Slot>,
    next: u32,
    /// How many elections were started.
    pub(super) started: u32,
    /// IPs whose records may have something to be asked.
    due: BTreeSet<Slot>,
    /// IPs whose records wait to be asked about again.
    retrying: BTreeSet<Slot>,
    /// IPs whose records etcd does not have, as last seen.
    lacking: BTreeSet<Slot>,
    /// Locks whose keys have an address in another spelling: the key, and the IP.
    pub(super) misspelled: BTreeMap<String, Cidr>,
    /// IPs that are registered in etcd and not served here: there are more than there may be.
    pub(super) beyond_limit: BTreeMap<VipId, Record>,
    pub(super) counts: Counts,
    /// The groups that concern this host.
    pub(super) groups: BTreeMap<GroupName, Known>,
}

/// One IP of this host.
#[derive(Clone, Debug)]
pub(super) struct Vip {
    /// What is registered, as far as etcd has confirmed it; for a new IP, what is to be.
    pub(super) record: Record,
    pub(super) stage: Stage,
    /// What is to be different about it, and where that is answered; the first is being stored.
    pub(super) changes: VecDeque<(Change, Option<Token>)>,
    pub(super) request: RecordRequest,
    pub(super) election: InElection,
    /// Whether etcd has the record, as last seen.
    pub(super) stored: bool,
    pub(super) status: Arc<Status>,
    /// Where the end of a failover is answered.
    pub(super) failover: Option<Token>,
    pub(super) service: Service,
    /// Another host that offers the address with another prefix length.
    pub(super) other_prefix: Option<Box<OtherPrefix>>,
    /// The machine that answered for the address when the IP was new.
    pub(super) answered: Option<Mac>,
    pub(super) watched: Watched,
}

/// How far an IP belongs to this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its election is being started; nothing is stored before.
    Starting(Token),
    /// It is being stored; until then it is shown to nobody.
    Storing(Option<Token>),
    /// It is registered together with others, under this token: until all are, none is shown.
    Joining(Token),
    /// It is registered.
    Registered,
    /// Its record is being deleted.
    Deleting(Vec<Token>),
    /// It is being given up by its election.
    Leaving(Vec<Token>),
}

/// What is known of the last request about the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RecordRequest {
    /// None is under way, and what came of the last one is known.
    None,
    /// One is under way; true if the outcome of one before is not known.
    Asked(bool),
    /// The outcome of the last one is not known: it may be carried out yet.
    Unknown,
    /// etcd has said no to the last one, and the outcome of one before is not known: what is found in
    /// etcd decides.
    Contradicted(String),
}

/// Whether etcd serves the requests of an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    /// As far as is known.
    Served,
    /// The last request was refused.
    Refused,
    /// Requests are refused for so long that etcd counts as lost for this IP.
    Lost,
}

impl Table {
    /// Adds an IP under a new number.
    pub(super) fn insert(&mut self, record: Record, stage: Stage) -> Slot {
        self.next += 1;
        let slot = Slot(self.next);
        self.by_id.insert(record.id.clone(), slot);
        self.by_address.insert(record.cidr.addr(), slot);
        self.vips.insert(slot, Box::new(Vip::new(record, stage)));
        slot
    }

    pub(super) fn remove(&mut self, slot: Slot) -> Option<Vip> {
        let vip = self.vips.remove(&slot)?;
        self.by_id.remove_if(&vip.record.id, slot);
        self.by_address.remove_if(&vip.record.cidr.addr(), slot);
        self.due.remove(&slot);
        self.retrying.remove(&slot);
        self.lacking.remove(&slot);
        Some(*vip)
    }

    /// Gives an IP another id: etcd knows the address under that one.
    pub(super) fn rename(&mut self, slot: Slot, id: VipId) {
        let Some(vip) = self.vips.get_mut(&slot) else { return };
        let before = std::mem::replace(&mut vip.record.id, id.clone());
        self.by_id.remove_if(&before, slot);
        self.by_id.insert(id, slot);
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&Vip> {
        self.vips.get(&slot).map(|vip| &**vip)
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Vip> {
        self.vips.get_mut(&slot).map(|vip| &mut **vip)
    }

    /// The number of the IP with this id, whatever its stage.
    pub(super) fn slot(&self, id: &VipId) -> Option<Slot> {
        self.by_id.get(id).copied()
    }

    /// The IP with this address, whatever its prefix length and stage.
    pub(super) fn at(&self, address: IpAddr) -> Option<(Slot, &Vip)> {
        let slot = *self.by_address.get(&address)?;
        Some((slot, self.vips.get(&slot)?))
    }

    /// The key of a lock that has this address in another spelling, if there is one.
    pub(super) fn other_spelling(&self, address: IpAddr) -> Option<&str> {
        let other = self.misspelled.iter().find(|(_, cidr)| cidr.addr() == address);
        other.map(|(key, _)| key.as_str())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Slot, &Vip)> {
        self.vips.iter().map(|(slot, vip)| (*slot, &**vip))
    }

    pub(super) fn vips_mut(&mut self) -> impl Iterator<Item = &mut Vip> {
        self.vips.values_mut().map(|vip| &mut **vip)
    }

    pub(super) fn slots(&self) -> Vec<Slot> {
        self.vips.keys().copied().collect()
    }

    /// All IPs, each with its record among these. Each record is looked up once: there may be thousands
    /// of both.
    pub(super) fn with_records<'a>(
        &self,
        records: &'a [Record],
    ) -> Vec<(Slot, Option<&'a Record>)> {
        let mut all: Vec<_> = self.vips.keys().map(|slot| (*slot, None)).collect();
        for record in records {
            let slot = self.slot(&record.id);
            // They are in order: the keys of a map.
            let place = slot.and_then(|slot| all.binary_search_by_key(&slot, |it| it.0).ok());
            if let Some(place) = place {
                all[place].1 = Some(record);
            }
        }
        all
    }

    pub(super) fn len(&self) -> usize {
        self.vips.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.vips.is_empty()
    }

    /// The records of what is registered, as the local copy has them.
    pub(super) fn registered(&self) -> impl Iterator<Item = &Record> {
        self.vips.values().filter(|vip| vip.is_registered()).map(|vip| &vip.record)
    }

    /// Takes note of whether etcd has the record of an IP; whether it was thought to have it.
    pub(super) fn note_stored(&mut self, slot: Slot, stored: bool) -> bool {
        let Some(vip) = self.vips.get_mut(&slot) else { return false };
        if stored {
            self.lacking.remove(&slot);
        } else {
            self.lacking.insert(slot);
        }
        std::mem::replace(&mut vip.stored, stored)
    }

    /// Whether etcd has the records of all that is registered, as far as is known.
    pub(super) fn are_all_stored(&self) -> bool {
        !self.lacking.iter().any(|slot| self.get(*slot).is_some_and(Vip::is_registered))
    }

    /// Has what is asked about the record of an IP looked at again.
    pub(super) fn look_at(&mut self, slot: Slot) {
        self.due.insert(slot);
    }

    /// Has it looked at again a while later.
    pub(super) fn look_at_later(&mut self, slot: Slot) {
        self.retrying.insert(slot);
    }

    /// That while is over.
    pub(super) fn retry(&mut self) {
        self.due.append(&mut self.retrying);
    }

    pub(super) fn take_due(&mut self) -> BTreeSet<Slot> {
        std::mem::take(&mut self.due)
    }
}

/// Removes a key from an index, if it still leads to that number.
trait Index<K> {
    fn remove_if(&mut self, key: &K, slot: Slot);
}

impl<K: Eq + std::hash::Hash> Index<K> for HashMap<K, Slot> {
    fn remove_if(&mut self, key: &K, slot: Slot) {
        if self.get(key) == Some(&slot) {
            self.remove(key);
        }
    }
}

impl Vip {
    fn new(record: Record, stage: Stage) -> Vip {
        Vip {
            record,
            stage,
            changes: VecDeque::new(),
            request: RecordRequest::None,
            election: InElection::default(),
            stored: true,
            status: Arc::new(Status::starting()),
            failover: None,
            service: Service::Served,
            other_prefix: None,
            answered: None,
            watched: Watched::default(),
        }
    }

    /// Whether it is registered: shown, changed and deleted by the API.
    pub(super) fn is_registered(&self) -> bool {
        matches!(self.stage, Stage::Registered | Stage::Deleting(_))
    }
}

impl Core {
    /// The IP that the API knows by this id.
    pub(super) fn registered(&self, id: &VipId) -> Option<(Slot, &Vip)> {
        let slot = self.table.slot(id)?;
        let vip = self.table.get(slot).filter(|vip| vip.is_registered())?;
        Some((slot, vip))
    }

    /// All IPs that are registered, by address.
    pub(super) fn list(&self) -> Vec<wire::Ip> {
        let vips = self.table.iter().map(|(_, vip)| vip).filter(|vip| vip.is_registered());
        let mut vips: Vec<&Vip> = vips.collect();
        sort_by(&mut vips, |a, b| a.record.cidr.cmp(&b.record.cidr));
        vips.into_iter().map(|vip| self.show(vip)).collect()
    }

    /// An IP as the API shows it.
    pub(super) fn show(&self, vip: &Vip) -> wire::Ip {
        let Vip { record, status, .. } = vip;
        let key = self
            .table
            .at(record.cidr.addr())
            .map(|(slot, _)| self.table.whole_key(slot, record.cidr).text());
        wire::Ip {
            id: record.id.to_string(),
            ip: record.cidr.to_string(),
            interface: self.interface_of(record),
            status: status.state.to_string(),
            checks: record.checks.clone(),
            healthcheck_interval: record.healthcheck_interval,
            etcd_loss_policy: record.loss.unwrap_or(self.config.defaults.loss).to_string(),
            priority: Some(record.priority.unwrap_or(self.config.defaults.priority)),
            plugin: "arp".to_owned(),
            election_key: key.unwrap_or_else(|| record.cidr.election_key()),
            group: record.group.as_ref().map(GroupName::to_string),
            owner: status.owner.clone(),
            bound: status.has(record.cidr),
            reason: status.reason.clone(),
            since: status.since.elapsed().as_secs(),
            defaults: defaults(record),
            seen: None,
        }
    }

    pub(super) fn interface_of(&self, record: &Record) -> String {
        record.interface.clone().unwrap_or_else(|| self.config.interface.clone())
    }
}

/// The fields of an IP that its record does not have.
fn defaults(record: &Record) -> Vec<String> {
    let fields = [
        ("healthcheck_interval", record.healthcheck_interval == 0),
        ("interface", record.interface.is_none()),
        ("etcd_loss_policy", record.loss.is_none()),
        ("priority", record.priority.is_none()),
    ];
    let missing = fields.into_iter().filter(|(_, missing)| *missing);
    missing.map(|(field, _)| field.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ip_fits_into_a_small_block() {
        assert!(size_of::<Vip>() <= 496 - 4, "{}", size_of::<Vip>());
    }
}
