//! A real etcd cluster, each member in a namespace of its own.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use etcd_client::ConnectOptions;
use nix::sys::signal::Signal;

use super::authentication::{PASSWORD, ROOT, USER};
use super::disk::Disk;
use super::etcdctl::{Entry, Lock, Status, parse_range, parse_status};
use super::member::{Member, Pki, Place};
use super::namespace::Namespace;
use super::pki::Authority;
use super::process::tail;
use super::release::Release;
use super::switch::Nic;
use super::wait;

/// How the cluster is protected.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Protection {
    /// Clients speak TLS and show a certificate.
    pub(crate) tls: bool,
    /// Clients have a user and a password.
    pub(crate) password: bool,
}

/// How its members are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made<'a> {
    /// Which etcd it is, if not the one in `PATH`.
    pub(super) release: Option<Release>,
    /// Beside what the lab needs.
    pub(super) flags: &'a [&'a str],
    /// For their files.
    pub(super) folder: &'a Path,
}

/// The cluster: one member or three.
pub(crate) struct Etcd {
    pub(super) members: Vec<Member>,
    pub(super) pki: Option<Pki>,
    pub(super) password: bool,
    /// What it has is not all that it has had: see [`super::history`].
    pub(super) another: AtomicBool,
    pub(super) by_hand: Mutex<Vec<String>>,
    /// Where its data is, if on a disk of its own. Dropped last.
    pub(super) disk: Option<Disk>,
}

impl Etcd {
    /// Starts a member in each namespace and waits until they are one cluster.
    pub(crate) fn start(
        namespaces: Vec<(Arc<Namespace>, Nic)>,
        protection: Protection,
        made: Made<'_>,
    ) -> Etcd {
        let addresses: Vec<Ipv4Addr> = namespaces.iter().map(|(_, nic)| nic.ipv4).collect();
        let pki = protection.tls.then(|| Pki::new(made.folder.join("pki")));
        let members = namespaces.into_iter().enumerate();
        let members = members.map(|(index, (namespace, nic))| {
            let place = Place { namespace, port: nic.port, folder: made.folder };
            let mut member = Member::new(index, place, &addresses, pki.as_ref(), made.flags);
            if let Some(release) = made.release {
                member.set_release(release);
            }
            member
        });
        let mut etcd = Etcd {
            members: members.collect(),
            pki,
            password: false,
            another: AtomicBool::new(false),
            by_hand: Mutex::default(),
            disk: None,
        };
        etcd.start_all();
        if protection.password {
            etcd.demand_passwords();
        }
        etcd
    }

    /// Starts the members that do not run and waits until the cluster answers.
    pub(crate) fn start_all(&mut self) {
        self.start_members();
        self.await_ready();
    }

    /// Starts the members that do not run and waits for nothing.
    pub(crate) fn start_members(&mut self) {
        self.members.iter_mut().for_each(Member::start);
    }

    /// Starts one member, if it does not run, and waits for nothing; the first is 0.
    pub(crate) fn start_member(&mut self, member: usize) {
        self.members[member].start();
    }

    /// True when all running members answer and agree on a leader.
    pub(crate) fn is_ready(&self) -> bool {
        self.serving().all(Member::is_healthy)
    }

    /// Waits until all running members answer and agree on a leader.
    pub(crate) fn await_ready(&self) {
        let ready = wait::until(wait::PATIENCE, || self.is_ready());
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

    /// Stops one member in order (SIGTERM); the first is 0.
    pub(crate) fn stop_member(&mut self, member: usize) {
        self.members[member].signal(Signal::SIGTERM);
        self.members[member].await_end();
    }

    /// Kills one member (SIGKILL); the first is 0.
    pub(crate) fn kill(&mut self, member: usize) {
        self.members[member].kill();
    }

    /// Stops all members without ending them (SIGSTOP): they accept connections and say nothing.
    pub(crate) fn freeze(&self) {
        self.members.iter().for_each(Member::freeze);
    }

    /// Stops one member without ending it (SIGSTOP); the first is 0.
    pub(crate) fn freeze_member(&self, member: usize) {
        self.members[member].freeze();
    }

    /// Undoes [`Etcd::freeze`] and [`Etcd::freeze_member`].
    pub(crate) fn thaw(&self) {
        self.members.iter().for_each(Member::thaw);
    }

    fn signal(&self, signal: Signal) {
        self.members.iter().for_each(|member| member.signal(signal));
    }

    /// Tells that a member was cut off, so that the lab asks the others; the first is 0.
    pub(crate) fn expect_nothing_of(&self, member: usize) {
        self.members[member].set_in_service(false);
    }

    /// Undoes [`Etcd::expect_nothing_of`] for all members.
    pub(crate) fn expect_all(&self) {
        self.members.iter().for_each(|member| member.set_in_service(true));
    }

    /// Forgets all revisions before the present one; false when that cannot be done now.
    pub(crate) fn compact(&self) -> bool {
        let now = self.revision();
        self.try_ctl(&["compact", &now.to_string()]).is_ok()
    }

    /// The present revision, or 0 if no member tells it.
    pub(crate) fn revision(&self) -> i64 {
        let status = self.status().unwrap_or_default();
        status.iter().map(|status| status.revision).max().unwrap_or_default()
    }

    pub(super) fn status(&self) -> Option<Vec<Status>> {
        let answer = self.try_ctl(&["endpoint", "status", "-w", "json"]).ok()?;
        Some(parse_status(&answer))
    }

    /// The addresses of the members.
    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        self.members.iter().map(|member| member.address().into()).collect()
    }

    /// The ports of the members on the switch.
    pub(crate) fn ports(&self) -> Vec<&str> {
        self.members.iter().map(Member::port).collect()
    }

    /// The URLs of the members for clients, separated by commas.
    pub(crate) fn endpoints(&self) -> String {
        self.endpoints_from(0)
    }

    /// The same, that member first.
    pub(super) fn endpoints_from(&self, member: usize) -> String {
        let (others, first) = self.members.split_at(member);
        urls(first.iter().chain(others))
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
        self.try_list(prefix)
            .unwrap_or_else(|complaint| panic!("{prefix} is not read: {complaint}"))
    }

    /// The same, or why it cannot be had now.
    pub(crate) fn try_list(&self, prefix: &str) -> Result<Vec<Entry>, String> {
        let answer = self.try_ctl(&["get", "--prefix", prefix, "-w", "json"])?;
        parse_range(&answer).map_err(|error| format!("etcdctl says {answer}: {error}"))
    }

    /// Writes a key.
    pub(crate) fn put(&self, key: &str, value: &str) {
        self.ctl(&["put", "--", key, value]);
    }

    /// Writes a key so many times, each of which is a revision of its own.
    pub(crate) fn put_again_and_again(&self, key: &str, value: &str, times: usize) {
        self.call(ConnectOptions::new(), async |mut etcd| {
            for _ in 0..times {
                etcd.put(key, value, None).await?;
            }
            Ok(())
        });
    }

    /// Writes so many keys that begin like this, each with a value of so many bytes.
    pub(crate) fn fill(&self, prefix: &str, keys: usize, bytes: usize) {
        self.call(ConnectOptions::new(), async |mut etcd| {
            for number in 0..keys {
                etcd.put(format!("{prefix}{number:04}"), vec![b'x'; bytes], None).await?;
            }
            Ok(())
        });
    }

    /// Writes a key without a lease and deletes it in the same breath.
    pub(crate) fn put_and_delete(&self, key: &str, value: &str) {
        self.call(ConnectOptions::new(), async |mut etcd| {
            etcd.put(key, value, None).await?;
            etcd.delete(key, None).await.map(|_| ())
        });
    }

    /// The client of the agents, for the test itself.
    pub(crate) fn client_of_linkd(&self) -> link::etcd::Etcd {
        let member = self.serving().next().expect("a member serves");
        let options = link::etcd::Options {
            endpoints: vec![member.url().to_owned()],
            tls: None,
            user: None,
            renewal: Duration::from_secs(1),
            retries: 3,
            watch_prefix: "/link/".to_owned(),
            own_prefixes: Vec::new(),
            followed_prefix: None,
            stray: |_| false,
        };
        let etcd = member.namespace().run(|| link::etcd::Etcd::start(options));
        etcd.expect("start a thread")
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
        let answer = self.try_ctl(arguments);
        answer.unwrap_or_else(|complaint| panic!("etcdctl {arguments:?}: {complaint}"))
    }

    /// Runs etcdctl as administrator: what it says, or what it complains of.
    pub(crate) fn try_ctl(&self, arguments: &[&str]) -> Result<String, String> {
        self.ask(&self.serving_endpoints(), arguments)
    }

    /// Runs etcdctl as administrator, for certain members.
    pub(super) fn ask(&self, endpoints: &str, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").env("ETCDCTL_ENDPOINTS", endpoints);
        if let Some(pki) = &self.pki {
            command.arg("--cacert").arg(pki.authority.certificate());
            command.arg("--cert").arg(&pki.client.certificate);
            command.arg("--key").arg(&pki.client.key);
        }
        if self.password {
            command.args(["--user", ROOT]);
        }
        // From where the others can be reached, if there are any.
        let from = self.serving().next().unwrap_or(&self.members[0]);
        let output = from.namespace().output(command.args(arguments));
        let said = if output.status.success() { Ok(output.stdout) } else { Err(output.stderr) };
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        said.map(text).map_err(text)
    }

    fn serving_endpoints(&self) -> String {
        urls(self.serving())
    }

    pub(super) fn serving(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.serves())
    }

    /// The authority of a cluster with TLS.
    #[track_caller]
    pub(crate) fn authority(&self) -> &Authority {
        &self.pki.as_ref().expect("the lab has TLS").authority
    }

    /// What the first member counts, in the text format of Prometheus.
    pub(crate) fn metrics(&self) -> String {
        self.members[0].metrics()
    }

    /// The members' log files.
    pub(crate) fn logs(&self) -> impl Iterator<Item = &Path> {
        self.members.iter().map(Member::log)
    }
}

fn urls<'a>(members: impl Iterator<Item = &'a Member>) -> String {
    members.map(Member::url).collect::<Vec<_>>().join(",")
}
