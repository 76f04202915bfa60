//! One member of the etcd cluster, and the certificates of the cluster.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::Signal;

use super::api::{self, Response};
use super::namespace::Namespace;
use super::pki::{Authority, Certificate};
use super::process::{Process, Program};
use super::release::Release;

/// The authority of the cluster, and the certificate that its clients show.
pub(crate) struct Pki {
    pub(crate) authority: Authority,
    pub(crate) client: Certificate,
}

/// Where a member is.
pub(crate) struct Place<'a> {
    /// It runs there.
    pub(crate) namespace: Arc<Namespace>,
    /// The port of the switch to which it is connected.
    pub(crate) port: String,
    /// For its files.
    pub(crate) folder: &'a Path,
}

/// One member, running or not.
pub(crate) struct Member {
    namespace: Arc<Namespace>,
    port: String,
    address: Ipv4Addr,
    url: String,
    data: PathBuf,
    /// What it has in common with a restore of its data.
    identity: Vec<String>,
    program: Program,
    log: PathBuf,
    process: Option<Process>,
    /// Whether the lab itself may expect answers from it.
    in_service: AtomicBool,
}

impl Pki {
    /// An authority in that folder, and a certificate for the agents.
    pub(crate) fn new(folder: PathBuf) -> Pki {
        let authority = Authority::new(folder);
        let client = authority.client("link-agent");
        Pki { authority, client }
    }

    fn server_flags(&self, name: &str, address: Ipv4Addr) -> Vec<String> {
        let server = self.authority.server(name, &[address.into()]);
        let flag = |name: &str, path: &Path| format!("--{name}={}", path.display());
        vec![
            "--client-cert-auth".to_owned(),
            flag("trusted-ca-file", &self.authority.certificate()),
            flag("cert-file", &server.certificate),
            flag("key-file", &server.key),
        ]
    }
}

impl Member {
    /// The member with that index in the list of all members' addresses; it does not run yet.
    pub(crate) fn new(
        index: usize,
        place: Place<'_>,
        addresses: &[Ipv4Addr],
        pki: Option<&Pki>,
        flags: &[&str],
    ) -> Member {
        let (name, address) = (name(index), addresses[index]);
        let scheme = if pki.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{address}:2379");
        let data = place.folder.join(&name);
        let identity = [
            "--name",
            &name,
            "--data-dir",
            &data.display().to_string(),
            "--initial-advertise-peer-urls",
            &peer_url(address),
            "--initial-cluster",
            &initial_cluster(addresses),
        ];
        let identity = identity.map(str::to_owned).to_vec();
        let program = Program::new("etcd")
            .args(identity.clone())
            .args(["--listen-client-urls", &url, "--advertise-client-urls", &url])
            .args(["--listen-peer-urls", &peer_url(address)])
            .args(["--listen-metrics-urls", "http://127.0.0.1:2381"])
            // The default since etcd 3.5. Without it, a member that comes back may have the others vote
            // again and again, for many seconds.
            .args(["--pre-vote"])
            .args(pki.map(|pki| pki.server_flags(&name, address)).unwrap_or_default())
            .args(flags.iter().copied());
        Member {
            namespace: place.namespace,
            port: place.port,
            address,
            url,
            log: place.folder.join(format!("{name}.log")),
            data,
            identity,
            program,
            process: None,
            in_service: AtomicBool::new(true),
        }
    }

    /// The port of the switch to which it is connected.
    pub(crate) fn port(&self) -> &str {
        &self.port
    }

    /// Deletes its data. It must not run.
    pub(crate) fn clear(&self) {
        let data = &self.data;
        fs::remove_dir_all(data)
            .unwrap_or_else(|error| panic!("delete {}: {error}", data.display()));
    }

    /// Has it belong to another cluster from its next start on, one with this name.
    pub(crate) fn join(&mut self, cluster: &str) {
        let token = ["--initial-cluster-token".to_owned(), cluster.to_owned()];
        self.identity.extend(token.clone());
        self.program.arguments.extend(token);
    }

    /// Has another etcd run from its next start on.
    pub(super) fn set_release(&mut self, release: Release) {
        self.program.path = release.program();
    }

    /// What `etcdctl snapshot restore` has to know of it.
    pub(crate) fn restore_flags(&self) -> Vec<String> {
        self.identity.clone()
    }

    /// Its namespace.
    pub(crate) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Its address.
    pub(crate) fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Its URL for clients.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The file with all that it has written.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// Starts it, if it does not run.
    pub(crate) fn start(&mut self) {
        if self.process.is_none() {
            self.process = Some(Process::start(&self.namespace, &self.program, &self.log));
        }
    }

    /// Sends it a signal, if it runs.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(process) = &self.process {
            process.signal(signal);
        }
    }

    /// SIGSTOP, if it runs.
    pub(crate) fn freeze(&self) {
        if let Some(process) = &self.process {
            process.freeze();
        }
        self.set_in_service(false);
    }

    /// SIGCONT, if it runs.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::SIGCONT);
        self.set_in_service(true);
    }

    /// Waits for its end, if it runs.
    pub(crate) fn await_end(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.wait();
        }
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Tells whether it can be reached and has the others, or is cut off.
    pub(crate) fn set_in_service(&self, in_service: bool) {
        self.in_service.store(in_service, Ordering::Relaxed);
    }

    /// True when it runs and nothing was done to it that keeps it from answering.
    pub(crate) fn serves(&self) -> bool {
        self.process.is_some() && self.in_service.load(Ordering::Relaxed)
    }

    /// True when etcd answers, which it does after a read by quorum.
    pub(crate) fn is_healthy(&self) -> bool {
        self.ask("/health").is_ok_and(|answer| answer.body.contains("true"))
    }

    /// What it counts, in the text format of Prometheus.
    pub(crate) fn metrics(&self) -> String {
        self.ask("/metrics").unwrap_or_else(|error| panic!("metrics of {}: {error}", self.url)).body
    }

    /// Asks where neither TLS nor passwords are in the way, in a version of HTTP without chunks.
    fn ask(&self, path: &str) -> io::Result<Response> {
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        let address = (Ipv4Addr::LOCALHOST, 2381).into();
        api::exchange(&self.namespace, address, request.as_bytes())
    }
}

fn initial_cluster(addresses: &[Ipv4Addr]) -> String {
    let members = addresses.iter().enumerate();
    let members = members.map(|(index, ip)| format!("{}={}", name(index), peer_url(*ip)));
    members.collect::<Vec<_>>().join(",")
}

fn name(index: usize) -> String {
    format!("etcd{}", index + 1)
}

fn peer_url(address: Ipv4Addr) -> String {
    format!("http://{address}:2380")
}
