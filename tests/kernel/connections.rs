//! The TCP connections at an address that leaves are reset, and no others.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use link::net::{Announce, Desired, Net, Report};
use link::policy::Connections;

use super::lab::{PATIENCE, address, cidr, eventually, has, ip, manage, run, settle, sink};

/// The families of sockets: in the second, IPv4 has addresses of IPv6 (RFC 4291, 2.5.5.2).
const EVERYWHERE: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];

/// A connection of this host with itself, at one of its addresses.
struct Connection {
    ends: [TcpStream; 2],
}

impl Connection {
    fn new(listener: &TcpListener, ip: &str) -> Connection {
        let ip: IpAddr = ip.parse().unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut client = None;
        // The kernel makes the route to an address of IPv6 a moment after the address.
        eventually("it can be reached", || {
            client = TcpStream::connect((ip, port)).ok();
            client.is_some()
        });
        let ends = [client.unwrap(), listener.accept().unwrap().0];
        for end in &ends {
            end.set_read_timeout(Some(PATIENCE)).unwrap();
        }
        Connection { ends }
    }

    fn is_alive(&mut self) -> bool {
        let [one, other] = &mut self.ends;
        one.write_all(b"x").and_then(|()| other.read_exact(&mut [0])).is_ok()
    }

    /// Both ends are told, as reading shows.
    fn is_reset(&mut self) -> bool {
        let is_told = |end: &mut TcpStream| {
            let error = end.read(&mut [0]).err().map(|error| error.kind());
            matches!(error, Some(ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted))
        };
        self.ends.iter_mut().all(is_told)
    }
}

fn listen(ip: IpAddr) -> TcpListener {
    TcpListener::bind((ip, 0)).unwrap()
}

#[test]
fn what_is_connected_to_an_address_that_leaves_is_reset() {
    run(|| {
        ip("addr add 10.0.0.9/32 dev v0");
        ip("addr add fd00::9/128 dev v0 nodad");
        let [v4, both] = EVERYWHERE.map(listen);
        for (text, listener) in
            [("10.0.0.1/32", &v4), ("10.0.0.1/32", &both), ("fd00::1/128", &both)]
        {
            let vip = manage(text);
            vip.bind();
            let (ip_text, _) = text.split_once('/').unwrap();
            let mut gone = Connection::new(listener, ip_text);
            let own = if ip_text.contains(':') { "fd00::9" } else { "10.0.0.9" };
            let mut stays = Connection::new(listener, own);
            let datagrams = UdpSocket::bind((ip_text, 0)).unwrap();
            vip.set(Desired::Unbound);
            vip.expect(Report::Bound(false));
            assert!(gone.is_reset(), "{text}");
            assert!(stays.is_alive(), "{text}: another address of the host");
            assert!(Connection::new(listener, own).is_alive(), "{text}: it still listens");
            assert_eq!(datagrams.take_error().unwrap().map(|error| error.kind()), None);
        }
    });
}

#[test]
fn of_several_addresses_that_leave_together_none_is_forgotten_and_none_between_them_concerned() {
    run(|| {
        let net = Net::start(Announce::default(), Connections::Reset).unwrap();
        let texts = ["10.0.0.1/32", "10.0.0.2/32", "10.0.0.4/32", "fd00::1/128", "fd00::4/128"];
        for text in ["10.0.0.3/32", "fd00::3/128"] {
            ip(&format!("addr add {text} dev v0 nodad"));
        }
        let manage = |text: &&str| {
            let address = net.client().manage(cidr(text), "v0", false, Box::new(|_| {}));
            address.set(Desired::Bound);
            address
        };
        let addresses: Vec<_> = texts.iter().map(manage).collect();
        eventually("all are bound", || texts.iter().all(|text| has("v0", text)));
        let listener = listen(EVERYWHERE[1]);
        let connect = |text: &str| Connection::new(&listener, text.split('/').next().unwrap());
        let mut gone = texts.map(connect);
        let mut stay = ["10.0.0.3", "fd00::3"].map(connect);
        addresses.iter().for_each(|address| address.set(Desired::Unbound));
        settle(&net.client());
        assert!(texts.iter().all(|text| !has("v0", text)));
        for (connection, text) in gone.iter_mut().zip(texts) {
            assert!(connection.is_reset(), "{text}");
        }
        assert!(stay.iter_mut().all(Connection::is_alive));
    });
}

/// What is under way is interrupted for that, again and again.
#[test]
fn all_connections_are_reset_though_somebody_always_wants_to_know_who_is_heard() {
    run(|| {
        let vip = manage("10.0.0.1/32");
        vip.bind();
        let listener = listen(EVERYWHERE[0]);
        let mut gone: Vec<_> = (0..300).map(|_| Connection::new(&listener, "10.0.0.1")).collect();
        let answers = Arc::new(AtomicU32::new(0));
        let ask = || {
            let answers = Arc::clone(&answers);
            let count = move |_| {
                answers.fetch_add(1, Ordering::Relaxed);
            };
            vip.client.listen(vip.cidr, Duration::from_millis(20), Box::new(count));
        };
        ask();
        vip.set(Desired::Unbound);
        let mut asked = 1;
        while vip.reports.try_recv() != Ok(Report::Bound(false)) {
            ask();
            asked += 1;
            std::thread::sleep(Duration::from_micros(100));
        }
        assert!(gone.iter_mut().all(Connection::is_reset));
        eventually("all are answered", || answers.load(Ordering::Relaxed) == asked);
    });
}

#[test]
fn an_address_that_the_host_has_elsewhere_keeps_its_connections() {
    run(|| {
        let vip = manage("10.0.0.1/32");
        vip.bind();
        ip("addr add 10.0.0.1/32 dev lo");
        let mut connection = Connection::new(&listen(EVERYWHERE[0]), "10.0.0.1");
        vip.set(Desired::Unbound);
        vip.expect(Report::Bound(false));
        assert!(connection.is_alive());
    });
}

/// To cede the connected route, the address leaves and comes back.
#[test]
fn an_address_that_comes_back_at_once_keeps_its_connections() {
    run(|| {
        let vip = manage("10.0.0.1/24");
        vip.bind();
        let mut connection = Connection::new(&listen(EVERYWHERE[0]), "10.0.0.1");
        ip("addr add 10.0.0.9/24 dev v0");
        let is_ceded = || address("v0", "10.0.0.1/24").is_some_and(|it| it["secondary"] == true);
        eventually("it has left and is back", is_ceded);
        vip.settle();
        assert!(connection.is_alive());
    });
}

#[test]
fn a_left_over_that_is_removed_resets_what_is_connected_to_it() {
    run(|| {
        manage("10.0.0.1/32").bind();
        let mut connection = Connection::new(&listen(EVERYWHERE[0]), "10.0.0.1");
        let net = Net::start(Announce::default(), Connections::Reset).unwrap();
        net.client().remove_left_overs(vec![(cidr("10.0.0.1/32"), "v0".to_owned())]);
        eventually("it is gone", || !has("v0", "10.0.0.1/32"));
        assert!(connection.is_reset());
    });
}

#[test]
fn nothing_is_reset_where_connections_are_to_be_kept() {
    run(|| {
        let net = Net::start(Announce::default(), Connections::Keep).unwrap();
        let (reports, reported) = sink();
        let address = net.client().manage(cidr("10.0.0.1/32"), "v0", false, reports);
        address.set(Desired::Bound);
        eventually("it is bound", || reported.try_iter().any(|it| it == Report::Bound(true)));
        let mut connection = Connection::new(&listen(EVERYWHERE[0]), "10.0.0.1");
        address.set(Desired::Unbound);
        eventually("it is gone", || reported.try_iter().any(|it| it == Report::Bound(false)));
        let [client, _] = &mut connection.ends;
        client.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}
