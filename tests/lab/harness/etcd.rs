//! A real etcd cluster, each member in a namespace of its own.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;

use super::etcdctl::{Entry, Lock, parse_range};
use super::member::{Member, Pki};
use super::namespace::Namespace;
use super::process::tail;
use super::wait;

/// The user of the agents when etcd asks for passwords: may do no more than LinK needs.
const USER: &str = "link";
/// Its password.
pub(crate) const PASSWORD: &str = "correct-horse";
/// The administrator, for the lab itself.
const ROOT: &str = "root:battery-staple";

/// How the cluster is protected.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Protection {
    /// Clients speak TLS and show a certificate.
    pub(crate) tls: bool,
    /// Clients have a user and a password.
    pub(crate) password: bool,
}

/// The cluster: one member or three.
pub(crate) struct Etcd {
    members: Vec<Member>,
    pki: Option<Pki>,
    password: bool,
}

impl Etcd {
    /// Starts a member in each namespace and waits until they are one cluster.
    pub(crate) fn start(
        namespaces: Vec<(Namespace, Ipv4Addr)>,
        protection: Protection,
        folder: &Path,
    ) -> Etcd {
        let addresses: Vec<Ipv4Addr> = namespaces.iter().map(|(_, address)| *address).collect();
        let pki = protection.tls.then(|| Pki::new(folder.join("pki")));
        let members = namespaces.into_iter().enumerate();
        let members = members.map(|(index, (namespace, _))| {
            Member::new(index, namespace, &addresses, pki.as_ref(), folder)
        });
        let mut etcd = Etcd { members: members.collect(), pki, password: false };
        etcd.start_all();
        if protection.password {
            etcd.demand_passwords();
        }
        etcd
    }

    /// Starts the members that do not run and waits until the cluster answers.
    pub(crate) fn start_all(&mut self) {
        self.members.iter_mut().for_each(Member::start);
        self.await_ready();
    }

    /// Waits until all running members answer and agree on a leader.
    pub(crate) fn await_ready(&self) {
        let ready = wait::until(wait::PATIENCE, || self.running().all(Member::is_healthy));
        let logs = || self.logs().map(|log| tail(log, 10)).collect::<Vec<_>>().join("\n");
        assert!(ready, "etcd is not healthy:\n{}", logs());
    }

    /// Stops all members in order (SIGTERM).
    pub(crate) fn stop(&mut self) {
        // Together: a member that waits for a quorum to hand its leadership to would wait in vain.
        self.signal(Signal::SIGTERM);
        self.members.iter_mut().for_each(Member::await_end);
    }

    /// Stops and starts all members.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.start_all();
    }

    /// Kills one member (SIGKILL); the first is 0.
    pub(crate) fn kill(&mut self, member: usize) {
        self.members[member].kill();
    }

    /// Stops all members without ending them (SIGSTOP): they accept connections and say nothing.
    pub(crate) fn freeze(&self) {
        self.members.iter().for_each(Member::freeze);
    }

    /// Undoes [`Etcd::freeze`].
    pub(crate) fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        self.members.iter().for_each(|member| member.signal(signal));
    }

    /// The addresses of the members.
    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        self.members.iter().map(|member| member.address().into()).collect()
    }

    /// The URLs of the members for clients, separated by commas.
    pub(crate) fn endpoints(&self) -> String {
        urls(self.members.iter())
    }

    /// What an agent needs in its environment to be let in.
    pub(crate) fn environment(&self) -> BTreeMap<String, String> {
        let mut environment = BTreeMap::from([("ETCD_HOSTS".to_owned(), self.endpoints())]);
        let mut set = |name: &str, value: String| environment.insert(name.to_owned(), value);
        if let Some(pki) = &self.pki {
            set("ETCD_CACERT", pki.authority.certificate().display().to_string());
            set("ETCD_TLS_CERT", pki.client.certificate.display().to_string());
            set("ETCD_TLS_KEY", pki.client.key.display().to_string());
        }
        if self.password {
            set("ETCD_USER", USER.to_owned());
            set("ETCD_PASSWORD", PASSWORD.to_owned());
        }
        environment
    }

    /// The lock of the VIP with this election key, if somebody holds it.
    pub(crate) fn lock(&self, election_key: &str) -> Option<Lock> {
        let entry = self.get(&format!("/link/default/{election_key}"))?;
        Some(Lock {
            key: entry.key,
            holder: entry.value,
            lease: entry.lease,
            created: entry.created,
        })
    }

    /// One key.
    pub(crate) fn get(&self, key: &str) -> Option<Entry> {
        self.read(&["get", key]).into_iter().next()
    }

    /// All keys that begin like this, in order.
    pub(crate) fn list(&self, prefix: &str) -> Vec<Entry> {
        self.read(&["get", "--prefix", prefix])
    }

    /// Writes a key.
    pub(crate) fn put(&self, key: &str, value: &str) {
        self.ctl(&["put", "--", key, value]);
    }

    /// Deletes a key; true when it existed.
    pub(crate) fn delete(&self, key: &str) -> bool {
        self.ctl(&["del", key]).trim() == "1"
    }

    /// Revokes a lease, with all its keys.
    pub(crate) fn revoke(&self, lease: i64) {
        self.ctl(&["lease", "revoke", &format!("{lease:x}")]);
    }

    /// True when the lease is alive.
    pub(crate) fn has_lease(&self, lease: i64) -> bool {
        let leases = self.ctl(&["lease", "list"]);
        leases.lines().any(|line| line.trim() == format!("{lease:x}"))
    }

    fn read(&self, arguments: &[&str]) -> Vec<Entry> {
        let answer = self.ctl(&[arguments, &["-w", "json"]].concat());
        parse_range(&answer)
            .unwrap_or_else(|error| panic!("etcdctl {arguments:?} says {answer}: {error}"))
    }

    /// Runs etcdctl as administrator; panics when it fails.
    #[track_caller]
    pub(crate) fn ctl(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").env("ETCDCTL_ENDPOINTS", self.living_endpoints());
        if let Some(pki) = &self.pki {
            command.arg("--cacert").arg(pki.authority.certificate());
            command.arg("--cert").arg(&pki.client.certificate);
            command.arg("--key").arg(&pki.client.key);
        }
        if self.password {
            command.args(["--user", ROOT]);
        }
        let output = self.members[0].namespace().output(command.args(arguments));
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "etcdctl {arguments:?}: {complaint}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn living_endpoints(&self) -> String {
        urls(self.running())
    }

    fn running(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.is_running())
    }

    /// Makes the users and turns authentication on, which cannot be undone in this lab.
    fn demand_passwords(&mut self) {
        let link = format!("{USER}:{PASSWORD}");
        for order in [
            vec!["user", "add", ROOT],
            vec!["user", "grant-role", "root", "root"],
            vec!["role", "add", USER],
            vec!["role", "grant-permission", "--prefix=true", USER, "readwrite", "/link/"],
            vec!["user", "add", &link],
            vec!["user", "grant-role", USER, USER],
            vec!["auth", "enable"],
        ] {
            self.ctl(&order);
        }
        self.password = true;
    }

    /// Lets the agents `read` or `readwrite` the keys that begin like this.
    pub(crate) fn permit(&self, what: &str, prefix: &str) {
        self.ctl(&["role", "grant-permission", "--prefix=true", USER, what, prefix]);
    }

    /// Takes back what was permitted for exactly this prefix.
    pub(crate) fn forbid(&self, prefix: &str) {
        self.ctl(&["role", "revoke-permission", "--prefix=true", USER, prefix]);
    }

    /// The members' log files.
    pub(crate) fn logs(&self) -> impl Iterator<Item = &Path> {
        self.members.iter().map(Member::log)
    }
}

fn urls<'a>(members: impl Iterator<Item = &'a Member>) -> String {
    members.map(Member::url).collect::<Vec<_>>().join(",")
}
