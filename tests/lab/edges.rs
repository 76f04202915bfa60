//! Kernels and networks that are not the usual ones: without IPv4, another kind of interface, without `/proc`, without
//! marks on addresses.

use std::net::{IpAddr, Ipv6Addr};

use crate::harness::*;

/// Where the only etcd of a lab without IPv4 is: on the client's machine.
const ETCD: &str = "http://[fd00::99]:2379";

/// Takes all IPv4 addresses from the lab, those of loopbacks too, and starts an etcd.
fn without_ipv4(lab: &Lab) -> Process {
    let hosts = lab.ids().into_iter().map(|host| lab[host].namespace());
    for namespace in hosts.chain([lab.client.namespace()]) {
        for interface in ["lo", "eth0"] {
            namespace.ip(&format!("-4 addr flush dev {interface}"));
        }
        assert_eq!(namespace.ip("-4 addr show"), "");
    }
    let (peer, data) = ("http://[::1]:2380", lab.folder().join("etcd"));
    let program = Program::new("etcd")
        .args(["--name", "e", "--data-dir", &data.display().to_string()])
        .args(["--listen-client-urls", ETCD, "--advertise-client-urls", ETCD])
        .args(["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer])
        .args(["--initial-cluster", &format!("e={peer}")]);
    Process::start(lab.client.namespace(), &program, &lab.folder().join("etcd.log"))
}

/// Starts an agent, and waits until it has read its records; gives its API at the loopback's IPv6 address.
fn start_by_ipv6(lab: &Lab, host: HostId) -> (Process, Api) {
    let program = Program {
        environment: lab[host].changed_environment(&[("ETCD_HOSTS", ETCD)]),
        ..Program::new(linkd())
    };
    let agent = Process::start(lab[host].namespace(), &program, &lab[host].log());
    let api = Api::new(lab[host].namespace(), (Ipv6Addr::LOCALHOST, 1313).into());
    eventually("the agent has read its records", || {
        api.try_send("GET", "/ips", None).is_ok_and(|answer| answer.status == 200)
    });
    (agent, api)
}

/// Waits until that host alone has the IP, and the client sends to it.
fn await_at(lab: &Lab, vip: Vip, host: HostId, mac: &str) {
    eventually(&format!("{host} alone has {vip}"), || lab.bound_on(vip) == [host]);
    eventually("the client sends to it", || {
        lab.client.reaches(vip.ip()) && lab.client.neighbour(vip.ip()).as_deref() == Some(mac)
    });
}

#[test]
fn hosts_without_any_ipv4_address_share_an_ip() {
    let mut lab = Lab::builder(2).etcd_members(0).build();
    let _etcd = without_ipv4(&lab);
    let agents = [H1, H2].map(|host| start_by_ipv6(&lab, host));
    let macs = [H1, H2].map(|host| lab[host].mac().to_string());
    agents[0].1.add(VIP6);
    await_at(&lab, VIP6, H1, &macs[0]);
    agents[1].1.add(VIP6);
    let mut capture = lab.client.capture();
    eventually("it can be handed over", || agents[0].1.failover(VIP6).status == 204);
    capture.wait_for_announcement(VIP6.ip());
    await_at(&lab, VIP6, H2, &macs[1]);
    let ctl = Program::new(linkctl()).args(["--host", "::1", "status"]);
    let said = String::from_utf8_lossy(&lab.run_on(H1, &ctl).stdout).into_owned();
    assert!(said.contains(&VIP6.to_string()), "{said}");
    let mut agents = agents;
    lab[H2].power_off();
    agents[1].0.kill();
    await_at(&lab, VIP6, H1, &macs[0]);
    for id in lab.ids() {
        assert!(!lab[id].addresses().iter().any(IpAddr::is_ipv4), "{id}");
    }
}

/// Makes a macvlan on `eth0`: its hardware address.
fn macvlan(host: &Host) -> String {
    let Mac(mut mac) = host.mac();
    mac[4] = 0xaa;
    host.ip(&format!("link add mv0 link eth0 address {} type macvlan mode bridge", Mac(mac)));
    host.ip("link set mv0 up");
    Mac(mac).to_string()
}

#[test]
fn an_ip_is_shared_on_macvlan_interfaces() {
    let mut lab = Lab::builder(2).management_network().build();
    let macs = [H1, H2].map(|host| macvlan(&lab[host]));
    lab.start_all_with(&[("INTERFACE", "mv0")]);
    for vip in [VIP, VIP6] {
        lab.offer_in_order(vip);
        await_at(&lab, vip, H1, &macs[0]);
        let there = lab[H1].ip("addr show dev mv0");
        assert!(there.contains(&vip.to_string()), "{there}");
        eventually("it can be handed over", || lab[H1].api().failover(vip).status == 204);
        await_at(&lab, vip, H2, &macs[1]);
    }
    // The carrier of a macvlan is that of what it is on.
    lab.set_carrier(H2, false);
    for vip in [VIP, VIP6] {
        await_at(&lab, vip, H1, &macs[0]);
    }
}

/// Nobody asks for addresses on a loopback, and nobody is heard there: routing brings clients to such an IP.
#[test]
fn an_ip_on_the_loopback_has_one_owner_and_moves() {
    let mut lab = Lab::new(2);
    lab.start_all_with(&[("INTERFACE", "lo")]);
    for vip in [VIP, VIP6] {
        lab.offer_in_order(vip);
        let there = lab[H1].ip("addr show dev lo");
        assert!(there.contains(&vip.to_string()), "{there}");
    }
    eventually("it can be handed over", || lab[H1].api().failover(VIP).status == 204);
    assert_eq!(lab.await_owner(VIP), H2);
    lab[H1].kill();
    eventually("the other takes it", || lab.lock(VIP6).is_some_and(|lock| lock.holder == "h2"));
    assert!(lab[H2].binds(VIP6.ip()));
    lab[H1].restart();
    // What its former life has left there goes, and nothing else does.
    assert_eq!(lab.await_owner(VIP6), H2);
    let loopback = lab[H1].addresses();
    assert!(["127.0.0.1", "::1"].iter().all(|own| loopback.contains(&own.parse().unwrap())));
    [H1, H2].iter().for_each(|host| lab[*host].api().await_well());
    assert!(lab[H2].terminate().success());
    assert_eq!([VIP, VIP6].map(|vip| lab.await_owner(vip)), [H1, H1]);
}

/// Has agents of a host be without `/proc` from now on.
fn take_proc(host: &mut Host) {
    let script = "mount -t tmpfs none /proc && exec $0";
    host.wrap(&["unshare", "--mount", "sh", "-c", script]);
}

#[test]
fn without_proc_an_agent_serves_and_says_what_it_cannot_see() {
    let mut lab = Lab::new(2);
    take_proc(&mut lab[H1]);
    lab.start_all();
    lab[H1].await_warning(&["/proc"]);
    let mut capture = lab.client.capture();
    lab.offer_in_order(VIP);
    capture.wait_for_announcement(VIP.ip());
    await_at(&lab, VIP, H1, &lab[H1].mac().to_string());
    for wanted in ["/metrics", "/status", "/health"] {
        lab[H1].api().get(wanted).expect(200);
    }
    lab[H1].reload();
    assert_eq!(lab.await_owner(VIP), H1);
    lab[H1].api().failover(VIP).expect(204);
    assert_eq!(lab.await_owner(VIP), H2);
    lab[H1].kill();
    lab[H1].restart();
    lab[H2].api().failover(VIP).expect(204);
    assert_eq!(lab.await_owner(VIP), H1);
    assert!(lab[H1].terminate().success());
    assert_eq!(lab.await_owner(VIP), H2);
}

/// The local copy says then what was bound. The kernel of the lab keeps marks: that of the address is taken away.
#[test]
fn a_kernel_without_marks_loses_what_a_killed_agent_has_left_and_nothing_of_its_own() {
    let mut lab = Lab::new(1);
    lab[H1].wrap(&["setarch", "--uname-2.6"]);
    lab[H1].start();
    lab.offer(VIP);
    lab.offer(VIP2);
    for vip in [VIP, VIP2] {
        assert_eq!(lab.await_owner(vip), H1);
    }
    let copied = || std::fs::read_to_string(lab[H1].state_file()).unwrap_or_default();
    eventually("both are in the local copy", || {
        let copy = copied();
        [VIP, VIP2].iter().all(|vip| copy.contains(&vip.to_string()))
    });
    lab[H1].kill();
    for vip in [VIP, VIP2] {
        lab[H1].ip(&format!("addr del {vip} dev eth0"));
        lab[H1].ip(&format!("addr add {vip} dev eth0"));
    }
    let own = "10.0.7.7/32";
    lab[H1].ip(&format!("addr add {own} dev eth0"));
    lab.etcd.delete(&lab.record(H1, VIP).key);
    lab[H1].restart();
    eventually("it is removed", || lab.bound_on(VIP).is_empty());
    assert_eq!(lab.await_owner(VIP2), H1);
    lab.await_reachable(VIP2);
    assert!(lab[H1].ip("addr show dev eth0").contains(own));
    let id = lab[H1].api().path(VIP2);
    lab[H1].api().delete(&id).expect(204);
    eventually("it is removed", || lab.bound_on(VIP2).is_empty());
}
