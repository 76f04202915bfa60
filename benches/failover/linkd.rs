//! The agent as a contender.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::contender::Contender;
use super::harness::{H1, HostId, Lab, Response, VIP, Vip, eventually, read_response};

/// The number of IPs where many are measured: as many as a host may have by default.
pub(crate) const MANY: u16 = 1000;

/// As an operator would leave it, and not as the tests need it.
const AS_SHIPPED: (&str, &str) = ("RUST_LOG", "");

/// Three hosts with agents.
pub(crate) struct Linkd {
    lab: Lab,
}

impl Linkd {
    /// Agents that share an IP, with these variables beside the lab's.
    pub(crate) fn sharing(variables: &[(&str, &str)]) -> Linkd {
        Linkd::start(Lab::new(3), variables, &json!([]))
    }

    /// Agents on the hosts of a lab that share an IP with these health checks.
    pub(crate) fn start(mut lab: Lab, variables: &[(&str, &str)], checks: &Value) -> Linkd {
        start_agents(&mut lab, variables);
        for id in lab.ids() {
            lab[id].api().create(&json!({ "ip": VIP.to_string(), "checks": checks }));
        }
        Linkd { lab }
    }

    /// Agents that share many IPs, all of them owned by the first host.
    pub(crate) fn sharing_many() -> Linkd {
        let mut lab = Lab::new(3);
        start_agents(&mut lab, &[]);
        for id in lab.ids() {
            offer_many(&lab, id);
            let status = if id == H1 { "ACTIVATED" } else { "STANDBY" };
            eventually(&format!("{id} shows all IPs as {status}"), || {
                let ips = lab[id].api().list();
                ips.len() == usize::from(MANY) && ips.iter().all(|ip| ip.status == status)
            });
        }
        Linkd { lab }
    }

    /// The lab, to do to it what only the agent knows.
    pub(crate) fn lab_mut(&mut self) -> &mut Lab {
        &mut self.lab
    }
}

/// Starts the agents of a lab as they are shipped, with these variables.
pub(crate) fn start_agents(lab: &mut Lab, variables: &[(&str, &str)]) {
    for id in lab.ids() {
        lab[id].start_with(&[&[AS_SHIPPED], variables].concat());
    }
}

/// Registers the many IPs on a host, one after the other, by one client on one connection, without a
/// look at the network before each.
pub(crate) fn offer_many(lab: &Lab, host: HostId) {
    let mut connection = Connection::to(lab, host);
    (1..=MANY).for_each(|number| drop(offer(&mut connection, number, true)));
}

/// Registers an IP, at once if `force`, and otherwise after a look at the network; its id.
pub(crate) fn offer(client: &mut Connection, ip: u16, force: bool) -> String {
    let body = json!({ "ip": Vip::v4(ip).to_string(), "force": force });
    let created: Value = client.send("POST", "/ips", Some(&body)).expect(201).read();
    created["id"].as_str().expect("an IP has an id").to_owned()
}

/// A connection to an agent's API that stays open.
pub(crate) struct Connection(TcpStream);

impl Connection {
    /// From the host itself.
    pub(crate) fn to(lab: &Lab, host: HostId) -> Connection {
        let api = SocketAddr::from((Ipv4Addr::LOCALHOST, 1313));
        let connection = lab[host].namespace().run(|| TcpStream::connect(api));
        let connection = connection.expect("connect to the API");
        connection.set_nodelay(true).expect("send requests at once");
        Connection(connection)
    }

    /// Sends a request and waits for its answer.
    pub(crate) fn send(&mut self, method: &str, path: &str, body: Option<&Value>) -> Response {
        let body = body.map(Value::to_string).unwrap_or_default();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: link\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.0.write_all(request.as_bytes()).expect("send a request");
        read_response(&mut self.0).expect("read an answer")
    }
}

impl Contender for Linkd {
    fn lab(&self) -> &Lab {
        &self.lab
    }

    fn hand_over(&mut self, owner: HostId) -> Instant {
        let api = self.lab[owner].api();
        let path = format!("{}/failover", api.path(VIP));
        let ordered = Instant::now();
        api.send("POST", &path, None).expect(204);
        ordered
    }

    fn terminate(&mut self, host: HostId) {
        assert!(self.lab[host].terminate().success());
    }

    fn restart(&mut self, host: HostId) {
        self.lab[host].restart();
        self.await_standby(host);
    }

    fn power_off(&mut self, host: HostId) {
        self.lab.power_off(host);
    }

    fn power_on(&mut self, host: HostId) {
        self.lab.power_on(host);
        self.restart(host);
    }

    fn await_standby(&self, host: HostId) {
        self.lab[host].await_status(VIP, "STANDBY");
    }

    fn says_it_took(&self, owner: HostId) -> Option<Duration> {
        let api = self.lab[owner].api();
        let shown = api.get(&api.path(VIP)).json();
        let took = shown["ip"]["seen"]["last_failover"]["took_us"].as_u64();
        Some(Duration::from_micros(took.expect("it has just taken the IP")))
    }

    fn processes(&self, host: HostId) -> Vec<u32> {
        vec![self.lab[host].agent().pid()]
    }
}
