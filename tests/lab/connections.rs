//! Who is connected to an IP learns at once that it has left, also if nothing is said on the connection.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::harness::*;

/// For IPv4 alone, and for both families: there IPv4 has addresses of IPv6 (RFC 4291, 2.5.5.2).
const SERVICES: [(IpAddr, u16); 2] =
    [(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 7001), (IpAddr::V6(Ipv6Addr::UNSPECIFIED), 7002)];

/// Nobody is told anything for so long. Without a reset it would be for ever.
const NEVER: Duration = Duration::from_secs(12);

/// The id of the user.
const NOBODY: u32 = 65_534;

/// A few milliseconds, on a machine that is busy with a dozen labs.
const AT_ONCE: Duration = Duration::from_secs(1);

/// The services of a host.
struct Services(Vec<TcpListener>);

impl Services {
    fn start(lab: &Lab, host: HostId) -> Services {
        let listen = |service| lab[host].namespace().run(|| TcpListener::bind(service));
        Services(SERVICES.iter().map(|service| listen(*service).unwrap()).collect())
    }

    /// Connects the client to one of them, at an address of the host.
    #[track_caller]
    fn connect(&self, lab: &Lab, number: usize, ip: IpAddr) -> Connection {
        Connection::open(&lab.client, &self.0[number], ip, NEVER)
    }
}

/// Both ends learn that the connection has ended; how long the client needed for it.
fn told(ends: [JoinHandle<Heard>; 2], since: Instant) -> Duration {
    let [client, server] = ends.map(|end| end.join().unwrap());
    assert_eq!(client.0, Some(ErrorKind::ConnectionReset));
    assert_eq!(server.0, Some(ErrorKind::ConnectionAborted));
    client.1.saturating_duration_since(since)
}

/// Has a host give its IPs up.
type Leave = fn(&mut Lab, HostId);

fn fail_over(lab: &mut Lab, owner: HostId) {
    for vip in [VIP, VIP6] {
        lab[owner].api().failover(vip).expect(204);
    }
}

fn delete(lab: &mut Lab, owner: HostId) {
    let api = lab[owner].api();
    for vip in [VIP, VIP6] {
        api.delete(&api.path(vip)).expect(204);
    }
}

fn terminate(lab: &mut Lab, owner: HostId) {
    assert!(lab[owner].terminate().success());
}

/// Two hosts that share three IPs, all with the first.
fn sharing(settings: &[(&str, &str)]) -> (Lab, Services) {
    share(Lab::new(2), settings)
}

/// The same; the first one's agent has the two capabilities that it needs, and is nobody besides.
fn sharing_as_nobody(settings: &[(&str, &str)]) -> (Lab, Services) {
    let mut lab = Lab::new(2);
    lab[H1].run_as_nobody(NOBODY);
    share(lab, settings)
}

fn share(mut lab: Lab, settings: &[(&str, &str)]) -> (Lab, Services) {
    lab.start_all_with(settings);
    [VIP, VIP2, VIP6].iter().for_each(|vip| lab.offer_in_order(*vip));
    let services = Services::start(&lab, H1);
    (lab, services)
}

#[test]
fn an_idle_client_learns_at_once_that_the_ip_leaves_on_purpose() {
    let moves: [(&str, Leave); 3] =
        [("failover", fail_over), ("DELETE", delete), ("SIGTERM", terminate)];
    for (name, leave) in moves {
        let (mut lab, services) = sharing_as_nobody(&[]);
        let idle = [(0, VIP), (1, VIP), (1, VIP6)];
        let idle = idle.map(|(number, vip)| services.connect(&lab, number, vip.ip()));
        let own = IpAddr::V4(lab[H1].address());
        let staying = if name == "SIGTERM" { own } else { VIP2.ip() };
        let others = [(0, own), (1, own), (0, staying)];
        let mut others = others.map(|(number, ip)| services.connect(&lab, number, ip));
        let waiting = idle.map(Connection::listen);
        let asked = Instant::now();
        leave(&mut lab, H1);
        let left = asked.elapsed();
        let after = waiting.map(|ends| told(ends, asked));
        println!("{name}, which took {left:?}: the clients know after {after:?}");
        assert!(after.iter().all(|after| *after < AT_ONCE), "{after:?}");
        for other in &mut others {
            assert!(other.is_alive(), "{name}: at another address of the host");
        }
        assert_eq!(lab.await_owner_other_than(H1, VIP), H2);
        // What listens there goes on listening.
        assert!(services.connect(&lab, 0, own).is_alive());
    }
}

#[test]
fn the_client_of_a_host_that_finds_another_owner_learns_it_when_that_lets_go() {
    let (lab, services) = sharing(&[("KEEPALIVE_INTERVAL", "300ms")]);
    let ends = services.connect(&lab, 0, VIP.ip()).listen();
    lab[H1].agent().freeze();
    eventually("another host has it", || lab.bound_on(VIP) == [H1, H2]);
    lab[H1].agent().thaw();
    let thawed = Instant::now();
    lab.await_owner_other_than(H1, VIP);
    println!("the client knows {:?} after the agent runs again", told(ends, thawed));
}

#[test]
fn connections_are_kept_where_that_is_wanted() {
    let (mut lab, services) = sharing(&[("CONNECTIONS", "keep")]);
    let mut kept = services.connect(&lab, 0, VIP.ip());
    fail_over(&mut lab, H1);
    assert_eq!(lab.await_owner_other_than(H1, VIP), H2);
    kept.wait_for(AT_ONCE);
    assert!(kept.is_silent());
    // The other side knows nothing of it: what it still says is heard when the IP is back.
    lab[H2].api().failover(VIP).expect(204);
    assert_eq!(lab.await_owner_other_than(H2, VIP), H1);
    eventually("it goes on", || kept.is_alive());
}

#[test]
fn an_agent_that_can_reset_nothing_says_so_once_and_lets_go() {
    let (mut lab, services) = sharing(&[]);
    let mut connections = [VIP, VIP2].map(|vip| services.connect(&lab, 0, vip.ip()));
    let pid = lab[H1].agent().pid().to_string();
    let limit = Program::new("prlimit").args(["--pid", &pid, "--nofile=3:4096"]);
    assert!(lab.run_on(H1, &limit).status.success());
    terminate(&mut lab, H1);
    for vip in [VIP, VIP2, VIP6] {
        assert_eq!(lab.await_owner_other_than(H1, vip), H2);
    }
    let warnings = lab[H1].warnings(&["connections"]);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    for connection in &mut connections {
        connection.wait_for(AT_ONCE);
        assert!(connection.is_silent());
    }
}
