//! Names that the hosts of the lab know, and a name server that never says anything.

use std::fs;
use std::net::{IpAddr, UdpSocket};
use std::path::PathBuf;

use super::host::HostId;
use super::lab::Lab;

/// As long as a name is in the file, it is as if the name server answered. All others are asked for at
/// a server that is silent.
pub(crate) struct SilentNameServer {
    names: PathBuf,
    /// Is never read.
    _server: UdpSocket,
}

impl SilentNameServer {
    /// Has the agents that are started on these hosts from now on ask it.
    pub(crate) fn of(lab: &mut Lab, hosts: &[HostId]) -> SilentNameServer {
        let (names, servers) = (lab.folder().join("hosts"), lab.folder().join("resolv.conf"));
        let namespace = lab.client.namespace();
        let server = namespace.run(|| UdpSocket::bind((lab.client.address(), 53)));
        fs::write(&names, "").expect("write the names");
        let line = format!("nameserver {}\n", lab.client.address());
        fs::write(&servers, line).expect("write the name server");
        let mount = |file: &PathBuf, over: &str| format!("mount --bind {} {over}", file.display());
        let mounts =
            [mount(&names, "/etc/hosts"), mount(&servers, "/etc/resolv.conf")].join(" && ");
        let script = format!("{mounts} && exec \"$0\" \"$@\"");
        for host in hosts {
            lab[*host].wrap(&["unshare", "--mount", "sh", "-c", &script]);
        }
        SilentNameServer { names, _server: server.expect("take the port of a name server") }
    }

    /// From now on, a name has that address, and no other name has any.
    pub(crate) fn tell(&self, name: &str, address: IpAddr) {
        // In place: the file is mounted.
        fs::write(&self.names, format!("{address} {name}\n")).expect("write the names");
    }

    /// From now on, no name has an address.
    pub(crate) fn forget(&self) {
        fs::write(&self.names, "").expect("write the names");
    }
}
