//! What etcdctl prints, as types.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

/// The lock of a VIP, as etcd has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lock {
    /// The key.
    pub(crate) key: String,
    /// The value: the owner's host name.
    pub(crate) holder: String,
    /// The lease it is attached to.
    pub(crate) lease: i64,
    /// The revision that created it: another one is another lock.
    pub(crate) created: i64,
}

/// A key, as etcd has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its name.
    pub(crate) key: String,
    /// Its value.
    pub(crate) value: String,
    /// The lease it is attached to, or 0.
    pub(crate) lease: i64,
    /// The revision that created it.
    pub(crate) created: i64,
}

/// The keys in the answer of `etcdctl get -w json`.
pub(crate) fn parse_range(answer: &str) -> serde_json::Result<Vec<Entry>> {
    let range: Range = serde_json::from_str(answer)?;
    Ok(range.kvs.into_iter().map(Entry::from).collect())
}

/// What a member says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    /// Its URL.
    pub(crate) endpoint: String,
    /// Its id in the cluster.
    pub(crate) member: u64,
    /// The id of the member that leads.
    pub(crate) leader: u64,
    /// The revision that it has.
    pub(crate) revision: i64,
    /// The version of its program.
    pub(crate) version: String,
}

impl Status {
    /// True when the member itself leads.
    pub(crate) fn leads(&self) -> bool {
        self.member == self.leader
    }
}

/// The members in the answer of `etcdctl endpoint status -w json`.
pub(crate) fn parse_status(answer: &str) -> Vec<Status> {
    let list: Vec<EndpointStatus> = serde_json::from_str(answer)
        .unwrap_or_else(|error| panic!("etcdctl says {answer}: {error}"));
    let status = |read: EndpointStatus| Status {
        endpoint: read.endpoint,
        member: read.status.header.member_id,
        leader: read.status.leader,
        revision: read.status.header.revision,
        version: read.status.version,
    };
    list.into_iter().map(status).collect()
}

/// The answer of `etcdctl endpoint status -w json`.
#[derive(Deserialize)]
struct EndpointStatus {
    #[serde(rename = "Endpoint")]
    endpoint: String,
    #[serde(rename = "Status")]
    status: StatusBody,
}

#[derive(Deserialize)]
struct StatusBody {
    header: StatusHeader,
    #[serde(default)]
    leader: u64,
    version: String,
}

#[derive(Deserialize)]
struct StatusHeader {
    member_id: u64,
    #[serde(default)]
    revision: i64,
}

/// The answer of `etcdctl get -w json`: what is zero or empty is left out.
#[derive(Deserialize)]
struct Range {
    #[serde(default)]
    kvs: Vec<KeyValue>,
}

#[derive(Deserialize)]
struct KeyValue {
    key: String,
    #[serde(default)]
    value: String,
    #[serde(default)]
    lease: i64,
    #[serde(default)]
    create_revision: i64,
}

impl From<KeyValue> for Entry {
    fn from(read: KeyValue) -> Entry {
        Entry {
            key: text(&read.key),
            value: text(&read.value),
            lease: read.lease,
            created: read.create_revision,
        }
    }
}

/// The JSON form of bytes is base64; those of LinK are text.
fn text(base64: &str) -> String {
    let bytes = BASE64_STANDARD.decode(base64).expect("etcdctl writes base64");
    String::from_utf8_lossy(&bytes).into_owned()
}
