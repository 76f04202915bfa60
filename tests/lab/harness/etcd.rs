//! A real etcd cluster, each member in a namespace of its own.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use etcd_client::{Client, ConnectOptions};
use nix::sys::signal::Signal;

use super::etcdctl::{Entry, Lock, Status, parse_range, parse_status};
use super::member::{Member, Pki, Place};
use super::namespace::Namespace;
use super::pki::Authority;
use super::process::tail;
use super::switch::Nic;
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
        namespaces: Vec<(Namespace, Nic)>,
        protection: Protection,
        flags: &[&str],
        folder: &Path,
    ) -> Etcd {
        let addresses: Vec<Ipv4Addr> = namespaces.iter().map(|(_, nic)| nic.ipv4).collect();
        let pki = protection.tls.then(|| Pki::new(folder.join("pki")));
        let members = namespaces.into_iter().enumerate();
        let members = members.map(|(index, (namespace, nic))| {
            let place = Place { namespace, port: nic.port, folder };
            Member::new(index, place, &addresses, pki.as_ref(), flags)
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
        self.start_members();
        self.await_ready();
    }

    /// Starts the members that do not run and waits for nothing.
    pub(crate) fn start_members(&mut self) {
        self.members.iter_mut().for_each(Member::start);
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

    /// Writes all that etcd has to a file.
    pub(crate) fn save(&self, file: &Path) {
        let member = self.members[0].url();
        let saved = self.ask(member, &["snapshot", "save", &file.display().to_string()]);
        assert!(saved.is_ok(), "etcd is not saved: {saved:?}");
    }

    /// Stops all members and starts them with what is in a file that [`Etcd::save`] has written.
    pub(crate) fn restore(&mut self, file: &Path) {
        self.stop();
        for member in &self.members {
            member.clear();
            let flags = member.restore_flags();
            let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
            let file = file.display().to_string();
            self.ctl(&[&["snapshot", "restore", &file], flags.as_slice()].concat());
        }
        self.start_all();
    }

    /// Tells that a member was cut off, so that the lab asks the others; the first is 0.
    pub(crate) fn expect_nothing_of(&self, member: usize) {
        self.members[member].set_in_service(false);
    }

    /// Undoes [`Etcd::expect_nothing_of`] for all members.
    pub(crate) fn expect_all(&self) {
        self.members.iter().for_each(|member| member.set_in_service(true));
    }

    /// The member that leads, if all that serve answer; the first is 0.
    pub(crate) fn leader(&self) -> Option<usize> {
        let status = self.status()?;
        let leader = status.iter().find(|status| status.leads())?;
        self.members.iter().position(|member| member.url() == leader.endpoint)
    }

    /// Has the leader hand its leadership to that member; false when that cannot be done now.
    pub(crate) fn move_leader(&self, heir: usize) -> bool {
        let status = self.status().unwrap_or_default();
        let leader = status.iter().find(|status| status.leads());
        let heir = status.iter().find(|status| status.endpoint == self.members[heir].url());
        let (Some(leader), Some(heir)) = (leader, heir) else {
            return false;
        };
        // Only the leader itself takes this order.
        self.ask(&leader.endpoint, &["move-leader", &format!("{:x}", heir.member)]).is_ok()
    }

    /// Forgets all revisions before the present one; false when that cannot be done now.
    pub(crate) fn compact(&self) -> bool {
        let status = self.status().unwrap_or_default();
        let revision = status.iter().map(|status| status.revision).max();
        revision.is_some_and(|now| self.try_ctl(&["compact", &now.to_string()]).is_ok())
    }

    fn status(&self) -> Option<Vec<Status>> {
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

    /// Writes a key so many times, each of which is a revision of its own.
    pub(crate) fn put_again_and_again(&self, key: &str, value: &str, times: usize) {
        self.call(ConnectOptions::new(), async |mut etcd| {
            for _ in 0..times {
                etcd.put(key, value, None).await?;
            }
            Ok(())
        });
    }

    /// Does something that etcdctl does not, or not fast enough.
    pub(crate) fn call<T: Send>(
        &self,
        options: ConnectOptions,
        work: impl AsyncFnOnce(Client) -> Result<T, etcd_client::Error> + Send,
    ) -> T {
        let member = self.serving().next().expect("a member serves");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("start a runtime");
        let called = member.namespace().run(|| {
            runtime.block_on(async {
                work(Client::connect([member.url()], Some(options)).await?).await
            })
        });
        called.unwrap_or_else(|error| panic!("{}: {error}", member.url()))
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
        };
        let etcd = member.namespace().run(|| link::etcd::Etcd::start(options));
        etcd.expect("start a thread")
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
        let answer = self.try_ctl(arguments);
        answer.unwrap_or_else(|complaint| panic!("etcdctl {arguments:?}: {complaint}"))
    }

    /// Runs etcdctl as administrator: what it says, or what it complains of.
    pub(crate) fn try_ctl(&self, arguments: &[&str]) -> Result<String, String> {
        self.ask(&self.serving_endpoints(), arguments)
    }

    /// Runs etcdctl as administrator, for certain members.
    fn ask(&self, endpoints: &str, arguments: &[&str]) -> Result<String, String> {
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

    fn serving(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.serves())
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

    /// Gives the agents' user another password.
    pub(crate) fn change_password(&self, password: &str) {
        // etcdctl asks for it on a terminal.
        let (name, secret) = ROOT.split_once(':').expect("a name and a password");
        let options = ConnectOptions::new().with_user(name, secret);
        self.call(options, async |mut etcd| {
            etcd.user_change_password(USER, password).await.map(|_| ())
        });
    }

    /// Adds a user whom nobody needs: etcd then refuses all tokens that are older than that.
    pub(crate) fn add_user(&self, name: &str) {
        self.ctl(&["user", "add", &format!("{name}:{PASSWORD}")]);
    }

    /// Lets the agents `read` or `readwrite` the keys that begin like this.
    pub(crate) fn permit(&self, what: &str, prefix: &str) {
        self.ctl(&["role", "grant-permission", "--prefix=true", USER, what, prefix]);
    }

    /// Takes back what was permitted for exactly this prefix.
    pub(crate) fn forbid(&self, prefix: &str) {
        self.ctl(&["role", "revoke-permission", "--prefix=true", USER, prefix]);
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
