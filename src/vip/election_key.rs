//! What an owner is elected for: one IP, or a group of IPs that only make sense together.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::Cidr;

/// Bytes of the longest name of a group.
pub const LONGEST_GROUP: usize = 32;

/// The name of a group of IPs that have one owner: 1 to 32 letters, digits, `-` and `.`, of which the first is a
/// letter or a digit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupName(Arc<str>);

impl GroupName {
    /// The name as it stands in keys.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for GroupName {
    type Err = GroupNameError;

    fn from_str(text: &str) -> Result<GroupName, GroupNameError> {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
        let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        if begins && text.len() <= LONGEST_GROUP && text.bytes().all(is_part) {
            return Ok(GroupName(text.into()));
        }
        Err(GroupNameError)
    }
}

/// A text is not the name of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupNameError;

impl fmt::Display for GroupNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "is not a name of 1 to {LONGEST_GROUP} letters, digits, - and .")
    }
}

impl std::error::Error for GroupNameError {}

/// What an owner is elected for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ElectionKey {
    /// One IP.
    Ip(Cidr),
    /// All IPs of a group, as they belonged to it at this revision of etcd.
    Group(GroupName, i64),
}

impl ElectionKey {
    /// What the name of a group's election begins with. No address does, and no host.
    pub const GROUP: &str = "group:";

    /// The name of the election in etcd: `10.0.0.1_32`, `group:gw`.
    pub fn text(&self) -> String {
        match self {
            ElectionKey::Ip(cidr) => cidr.election_key(),
            ElectionKey::Group(name, _) => [ElectionKey::GROUP, name.as_str()].concat(),
        }
    }

    /// The name under which candidacies stand. Those for a group have the revision of what belongs to it: who is to learn
    /// of a change yet is no candidate for those that know of it.
    pub fn candidacies(&self) -> String {
        match self {
            ElectionKey::Ip(_) => self.text(),
            ElectionKey::Group(_, revision) => format!("{}@{revision}", self.text()),
        }
    }

    /// The group of which that is the name of the election in etcd, also where the revision follows of what belongs
    /// to the group.
    pub fn group_of(text: &str) -> Option<GroupName> {
        let text = text.strip_prefix(ElectionKey::GROUP)?;
        text.split_once('@').map_or(text, |(name, _)| name).parse().ok()
    }
}

impl From<Cidr> for ElectionKey {
    fn from(cidr: Cidr) -> ElectionKey {
        ElectionKey::Ip(cidr)
    }
}

impl From<&ElectionKey> for ElectionKey {
    fn from(key: &ElectionKey) -> ElectionKey {
        key.clone()
    }
}

/// As people read it: `10.0.0.1/32`, `group gw`.
impl fmt::Display for ElectionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ElectionKey::Ip(cidr) => cidr.fmt(f),
            ElectionKey::Group(name, _) => write!(f, "group {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_group_is_short_and_plain() {
        for name in ["gw", "Gateway-2.north", "9", &"a".repeat(LONGEST_GROUP)] {
            assert_eq!(name.parse::<GroupName>().map(|it| it.to_string()), Ok(name.to_owned()));
        }
        for name in ["", "-a", ".", "a/b", "a_b", "a b", "ä", "a:b", &"a".repeat(LONGEST_GROUP + 1)]
        {
            assert_eq!(name.parse::<GroupName>(), Err(GroupNameError), "{name}");
        }
    }

    #[test]
    fn the_election_of_a_group_has_a_name_that_no_ip_has() {
        let cidr: Cidr = "10.0.0.1".parse().unwrap();
        assert_eq!(ElectionKey::from(cidr).text(), cidr.election_key());
        let group: GroupName = "10.0.0.1".parse().unwrap();
        let key = ElectionKey::Group(group.clone(), 7);
        let text = key.text();
        assert_eq!(text, "group:10.0.0.1");
        assert_eq!(key.candidacies(), "group:10.0.0.1@7");
        assert_eq!(ElectionKey::group_of(&key.candidacies()), Some(group.clone()));
        assert_eq!(ElectionKey::group_of(&text), Some(group));
        assert_eq!(ElectionKey::group_of(&cidr.election_key()), None);
        assert!(text.replacen('_', "/", 1).parse::<Cidr>().is_err());
    }
}
