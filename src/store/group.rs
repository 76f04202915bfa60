//! Groups of IPs that have one owner: what belongs to each.
//!
//! A group has one key, which names its IPs; the lock of each of these says the same, so that nobody takes it. Both
//! change together, in one transaction, in the hands of the owner of the group, or when nobody owns it. So an IP is
//! never covered by its own lock and that of the group at once, except in the hands of one host.

use serde_json::{Map, Value};

use super::json;
use crate::etcd::{Compare, Kv, Op, Reply, Txn};
use crate::lock::{self, Holder};
use crate::sorted::sort_by;
use crate::vip::{Cidr, ElectionKey, GroupName};

/// The prefix of all groups. It is where a role of etcd lets hosts write anyway; what has a slash in its name is no host.
pub const GROUPS: &str = "/link/config/.groups/";

/// How many IPs belong to a group at most: each has two operations and a condition in a transaction, of which etcd takes
/// 128 (`--max-txn-ops`).
pub const MOST_MEMBERS: usize = 32;

/// What belongs to a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// The IPs, the lowest first.
    pub members: Vec<Cidr>,
    /// The revision at which that was written; 0 if nothing belongs to it.
    pub revision: i64,
}

/// A group as etcd has it, at one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupView {
    /// What belongs to it.
    pub group: Group,
    /// The owner of the group.
    pub owner: Option<Holder>,
    /// The hosts that are candidates for all that belongs to it now, by name.
    pub candidates: Vec<String>,
    /// Whether any host is a candidate, perhaps for what belonged to it before.
    pub is_offered: bool,
    /// Those IPs that were asked for.
    pub ips: Vec<IpView>,
}

/// An IP as etcd has it, by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpView {
    /// The IP.
    pub cidr: Cidr,
    /// What its own lock says.
    pub lock: Option<Holder>,
    /// The hosts that offer it by itself, by name.
    pub hosts: Vec<String>,
}

/// A change of what belongs to a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Regroup {
    /// The group.
    pub name: GroupName,
    /// The lease of this host.
    pub lease: i64,
    /// With which right this host changes it.
    pub right: Right,
    /// The group as it is.
    pub before: Group,
    /// IPs that this host owns, and that belong to the group from now on.
    pub joins: Vec<Cidr>,
    /// IPs that belong to it no more.
    pub leaves: Vec<Leaver>,
}

/// An IP that leaves a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaver {
    /// The IP.
    pub cidr: Cidr,
    /// What becomes of its own lock.
    pub lock: Left,
}

/// What becomes of the own lock of an IP that leaves a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// This host has it.
    Kept,
    /// It is free.
    Free,
    /// Somebody else has taken it: it stays as it is.
    Taken,
    /// It says that the IP belongs to the group, which does not have it, and was written at this revision: in the hands of the
    /// owner of the group the IP belongs to it again, and where there is none it is free.
    Stray(i64),
}

/// With which right a group is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// This host owns the group.
    Owner,
    /// Nothing belongs to it, so that nobody owns it, whatever its lock says: this host does from now on.
    Founder,
    /// Nobody owns it, and nobody is a candidate.
    Orphan,
}

/// What a group's key says is under this name.
const IPS: &str = "ips";

fn group_key(name: &GroupName) -> String {
    [GROUPS, name.as_str()].concat()
}

/// The group whose key that is.
pub fn group_of_key(key: &str) -> Option<GroupName> {
    key.strip_prefix(GROUPS)?.parse().ok()
}

/// The candidacies for a group, whatever belongs to it; and the first key after them (`A` follows `@`).
fn candidacies(name: &GroupName) -> (String, String) {
    let prefix = [lock::CANDIDACIES, ElectionKey::GROUP, name.as_str()].concat();
    ([&prefix, "@"].concat(), [&prefix, "A"].concat())
}

/// What a key says; what cannot be read of it does not belong to the group.
pub(super) fn read_group(kv: &Kv) -> Option<(GroupName, Group)> {
    let name = group_of_key(&kv.key)?;
    let value = serde_json::from_slice::<Value>(&kv.value).unwrap_or_default();
    let texts = value.get(IPS).and_then(Value::as_array);
    let members = texts.into_iter().flatten().filter_map(|text| text.as_str()?.parse().ok());
    let members = in_order(members.take(MOST_MEMBERS).collect());
    Some((name, Group { members, revision: kv.mod_revision }))
}

fn in_order(mut members: Vec<Cidr>) -> Vec<Cidr> {
    sort_by(&mut members, Cidr::cmp);
    members.dedup();
    members
}

/// Reads a group, and these IPs.
pub(super) fn read_txn(name: &GroupName, ips: &[Cidr]) -> Txn {
    let lock = lock::key(ElectionKey::Group(name.clone(), 0));
    let group = [Op::Get(group_key(name)), Op::Get(lock), Op::GetPrefix(candidacies(name).0)];
    let ips = ips.iter().flat_map(|cidr| {
        [Op::Get(lock::key(*cidr)), Op::GetPrefix(lock::candidacy_key(*cidr, ""))]
    });
    Txn::unconditional(group.into_iter().chain(ips).collect())
}

/// What that has found.
pub(super) fn view(name: &GroupName, ips: &[Cidr], reply: &Reply) -> GroupView {
    let group = reply.kvs(0).first().and_then(read_group).map(|(_, group)| group);
    let group = group.unwrap_or_default();
    let own = lock::candidacy_key(ElectionKey::Group(name.clone(), group.revision), "");
    let hosts = |kvs: &[Kv], prefix: &str| {
        kvs.iter().filter_map(|kv| kv.key.strip_prefix(prefix).map(str::to_owned)).collect()
    };
    let ip = |(place, cidr): (usize, &Cidr)| IpView {
        cidr: *cidr,
        lock: reply.kvs(3 + 2 * place).first().map(lock::holder_of),
        hosts: hosts(reply.kvs(4 + 2 * place), &lock::candidacy_key(*cidr, "")),
    };
    GroupView {
        owner: reply.kvs(1).first().map(lock::holder_of),
        candidates: hosts(reply.kvs(2), &own),
        is_offered: !reply.kvs(2).is_empty(),
        ips: ips.iter().enumerate().map(ip).collect(),
        group,
    }
}

impl GroupView {
    /// The IPs whose own locks say that they belong to this group, and which it does not have: its key was deleted, or
    /// cannot be read.
    pub fn strays(&self, name: &GroupName) -> Vec<Leaver> {
        let ips = self.ips.iter().filter(|ip| !self.group.members.contains(&ip.cidr));
        let stray = ips.filter_map(|ip| {
            let lock = ip.lock.as_ref().filter(|lock| lock.group().as_ref() == Some(name))?;
            Some(Leaver { cidr: ip.cidr, lock: Left::Stray(lock.written) })
        });
        stray.collect()
    }
}

impl Regroup {
    /// What belongs to the group afterwards.
    pub fn members(&self) -> Vec<Cidr> {
        let leaves = |cidr: &&Cidr| self.leaves.iter().any(|it| it.cidr == **cidr);
        let stay = self.before.members.iter().filter(|cidr| !leaves(cidr));
        let is_back =
            |it: &&Leaver| matches!(it.lock, Left::Stray(_)) && self.right == Right::Owner;
        let back = self.leaves.iter().filter(is_back).map(|it| &it.cidr);
        in_order(stay.chain(&self.joins).chain(back).copied().collect())
    }

    fn value(&self) -> Option<Vec<u8>> {
        let ips: Vec<Value> = self.members().iter().map(|cidr| cidr.to_string().into()).collect();
        if ips.is_empty() {
            return None;
        }
        let mut value = Map::new();
        value.insert(IPS.to_owned(), ips.into());
        Some(json(&Value::Object(value)))
    }

    fn conditions(&self, key: &str, lock: &str) -> Vec<Compare> {
        let mut when = vec![Compare::ModRevision(key.to_owned(), self.before.revision)];
        match self.right {
            Right::Owner => when.push(Compare::Lease(lock.to_owned(), self.lease)),
            Right::Founder => {}
            Right::Orphan => {
                let (from, to) = candidacies(&self.name);
                when.extend([Compare::Absent(lock.to_owned()), Compare::NoneIn(from, to)]);
            }
        }
        let owned = self.joins.iter().map(|cidr| Compare::Lease(lock::key(*cidr), self.lease));
        // A lock that says that an IP belongs to a group has no lease, and one that is gone has none.
        let freed = self.leaves.iter().filter_map(|it| match it.lock {
            Left::Taken => None,
            Left::Stray(written) => Some(Compare::ModRevision(lock::key(it.cidr), written)),
            Left::Kept | Left::Free => Some(Compare::Lease(lock::key(it.cidr), 0)),
        });
        when.extend(owned.chain(freed));
        when
    }

    /// The transaction. When it is sent again after it was carried out, its conditions do not hold any more, and it finds
    /// what it has written.
    pub(super) fn txn(&self, host: &str) -> Txn {
        let of_group = ElectionKey::Group(self.name.clone(), 0);
        let (key, lock) = (group_key(&self.name), lock::key(&of_group));
        let when = self.conditions(&key, &lock);
        let put = |key: String, value: Vec<u8>, lease| Op::Put { key, value, lease };
        let mut then = Vec::with_capacity(self.joins.len() + self.leaves.len() + 2);
        match self.value() {
            Some(value) => then.push(put(key.clone(), value, 0)),
            None => then.push(Op::Delete(key.clone())),
        }
        if self.right == Right::Founder {
            then.push(put(lock, host.into(), self.lease));
        } else if self.right == Right::Owner && self.members().is_empty() {
            then.push(Op::Delete(lock));
        }
        let says = of_group.text();
        then.extend(self.joins.iter().map(|cidr| put(lock::key(*cidr), says.clone().into(), 0)));
        let owns = self.right == Right::Owner;
        then.extend(self.leaves.iter().filter_map(|it| match it.lock {
            Left::Kept => Some(put(lock::key(it.cidr), host.into(), self.lease)),
            Left::Stray(_) if owns => None,
            Left::Free | Left::Stray(_) => Some(Op::Delete(lock::key(it.cidr))),
            Left::Taken => None,
        }));
        Txn { when, then, otherwise: vec![Op::Get(key)] }
    }

    /// The group as it is afterwards; nothing if it was not changed.
    pub(super) fn done(&self, reply: &Reply) -> Option<Group> {
        let found = reply.kvs(0).first();
        let revision = match (self.value(), found) {
            (Some(_), _) if reply.succeeded => reply.revision,
            (Some(value), Some(kv)) if kv.value == value => kv.mod_revision,
            // It is gone: just now, or was before.
            (None, None) => 0,
            (Some(_) | None, _) => return None,
        };
        Some(Group { members: self.members(), revision })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(number: u8) -> Cidr {
        format!("10.0.0.{number}").parse().unwrap()
    }

    fn name() -> GroupName {
        "gw".parse().unwrap()
    }

    fn kv(key: &str, value: &str, lease: i64) -> Kv {
        Kv { key: key.to_owned(), value: value.into(), lease, mod_revision: 5 }
    }

    fn put(key: &str, value: &str, lease: i64) -> Op {
        Op::Put { key: key.to_owned(), value: value.into(), lease }
    }

    fn regroup(right: Right, joins: &[u8], leaves: &[(u8, Left)]) -> Regroup {
        let leaver = |(number, lock): &(u8, Left)| Leaver { cidr: cidr(*number), lock: *lock };
        Regroup {
            name: name(),
            lease: 7,
            right,
            before: Group { members: vec![cidr(1)], revision: 5 },
            joins: joins.iter().map(|number| cidr(*number)).collect(),
            leaves: leaves.iter().map(leaver).collect(),
        }
    }

    const KEY: &str = "/link/config/.groups/gw";
    const LOCK: &str = "/link/default/group:gw";

    #[test]
    fn an_ip_joins_if_the_host_owns_it_and_the_group_or_nobody_does() {
        let key = || Compare::ModRevision(KEY.to_owned(), 5);
        let own = || Compare::Lease("/link/default/10.0.0.2_32".to_owned(), 7);
        let txn = regroup(Right::Owner, &[2], &[]).txn("h1");
        assert_eq!(txn.when, [key(), Compare::Lease(LOCK.to_owned(), 7), own()]);
        let value = r#"{"ips":["10.0.0.1/32","10.0.0.2/32"]}"#;
        let marked = put("/link/default/10.0.0.2_32", "group:gw", 0);
        assert_eq!(txn.then, [put(KEY, value, 0), marked.clone()]);
        let txn = regroup(Right::Founder, &[2], &[]).txn("h1");
        assert_eq!(txn.when, [key(), own()]);
        assert_eq!(txn.then, [put(KEY, value, 0), put(LOCK, "h1", 7), marked]);
    }

    #[test]
    fn the_last_ip_that_leaves_takes_the_group_along_and_its_own_lock_stays_here() {
        let lock = "/link/default/10.0.0.1_32";
        let txn = regroup(Right::Owner, &[], &[(1, Left::Kept)]).txn("h1");
        assert_eq!(txn.when[2], Compare::Lease(lock.to_owned(), 0));
        let gone = [Op::Delete(KEY.to_owned()), Op::Delete(LOCK.to_owned())];
        assert_eq!(txn.then, [&gone[..], &[put(lock, "h1", 7)]].concat());
        let txn = regroup(Right::Orphan, &[], &[(1, Left::Free)]).txn("h1");
        let nobody =
            Compare::NoneIn("/link/ips/group:gw@".to_owned(), "/link/ips/group:gwA".to_owned());
        assert_eq!(txn.when[1..3], [Compare::Absent(LOCK.to_owned()), nobody]);
        assert_eq!(txn.then, [Op::Delete(KEY.to_owned()), Op::Delete(lock.to_owned())]);
        // What another has taken stays as it is.
        let txn = regroup(Right::Owner, &[], &[(1, Left::Taken)]).txn("h1");
        assert_eq!((txn.when.len(), &txn.then[..]), (2, &gone[..]));
    }

    #[test]
    fn an_ip_whose_lock_names_a_group_that_does_not_have_it_belongs_to_it_again_or_is_free() {
        let lock = "/link/default/10.0.0.2_32";
        let again = vec![put(KEY, r#"{"ips":["10.0.0.2/32"]}"#, 0)];
        let free = vec![Op::Delete(KEY.to_owned()), Op::Delete(lock.to_owned())];
        for (right, then) in [(Right::Owner, again), (Right::Orphan, free)] {
            let before = Group { members: Vec::new(), revision: 0 };
            let change = Regroup { before, ..regroup(right, &[], &[(2, Left::Stray(6))]) };
            let txn = change.txn("h1");
            assert_eq!(txn.when[0], Compare::ModRevision(KEY.to_owned(), 0));
            assert_eq!(txn.when.last(), Some(&Compare::ModRevision(lock.to_owned(), 6)));
            assert_eq!(txn.then, then);
        }
    }

    #[test]
    fn a_change_that_is_sent_again_finds_what_it_has_written() {
        let change = regroup(Right::Owner, &[2], &[]);
        let group = |revision| Some(Group { members: vec![cidr(1), cidr(2)], revision });
        assert_eq!(change.done(&Reply::new(true, 9, Vec::new())), group(9));
        let there = kv(KEY, r#"{"ips":["10.0.0.1/32","10.0.0.2/32"]}"#, 0);
        assert_eq!(change.done(&Reply::new(false, 12, vec![vec![there]])), group(5));
        let other = kv(KEY, r#"{"ips":["10.0.0.1/32"]}"#, 0);
        assert_eq!(change.done(&Reply::new(false, 12, vec![vec![other]])), None);
        assert_eq!(change.done(&Reply::new(false, 12, vec![vec![]])), None);
        // The last IP leaves: the key is gone, or was changed by another host.
        let change = regroup(Right::Owner, &[], &[(1, Left::Free)]);
        let nothing = Some(Group { members: Vec::new(), revision: 0 });
        let there = kv(KEY, r#"{"ips":["10.0.0.1/32"]}"#, 0);
        assert_eq!(change.done(&Reply::new(false, 12, vec![vec![]])), nothing);
        assert_eq!(change.done(&Reply::new(false, 12, vec![vec![there]])), None);
    }

    #[test]
    fn a_group_is_read_with_its_owner_and_those_that_stand_for_what_belongs_to_it() {
        let found = vec![
            vec![kv(
                KEY,
                r#"{"ips":["10.0.0.2/32","x",7,"10.0.0.1/32","10.0.0.2/32"],"new":1}"#,
                0,
            )],
            vec![kv(LOCK, "h2", 9)],
            vec![kv("/link/ips/group:gw@5/h2", "{}", 9), kv("/link/ips/group:gw@3/h3", "{}", 11)],
            vec![kv("/link/default/10.0.0.1_32", "group:gw", 0)],
            vec![kv("/link/ips/10.0.0.1_32/h4", "{}", 13)],
            vec![kv("/link/default/10.0.0.2_32", "h5", 15)],
            vec![kv("/link/ips/10.0.0.2_32/h6", "{}", 16)],
        ];
        let view = view(&name(), &[cidr(1), cidr(2)], &Reply::new(true, 20, found));
        assert_eq!(view.group, Group { members: vec![cidr(1), cidr(2)], revision: 5 });
        assert_eq!(view.owner.as_ref().map(|it| (it.host.as_str(), it.lease)), Some(("h2", 9)));
        assert_eq!((&view.candidates[..], view.is_offered), (&["h2".to_owned()][..], true));
        assert!(view.ips[0].lock.as_ref().is_some_and(Holder::is_group));
        assert_eq!(view.ips[0].hosts, ["h4"]);
        assert_eq!(view.ips[1].lock.as_ref().map(|it| it.host.as_str()), Some("h5"));
        assert_eq!((view.ips[1].cidr, &view.ips[1].hosts[..]), (cidr(2), &["h6".to_owned()][..]));
        let nothing = super::view(&name(), &[], &Reply::new(true, 20, vec![vec![]; 3]));
        assert_eq!(nothing, GroupView::default());
    }
}
