//! Every route and every code of the HTTP interface, against the real agent.

use std::io::Write;
use std::net::TcpStream;

use link::wire::Ip;
use serde_json::{Value, json};

use crate::harness::*;

/// A well-formed id that no host has.
const NOBODY: &str = "vip-00000000-0000-4000-8000-000000000000";

/// One host with an agent.
fn single(changes: &[(&str, &str)]) -> Lab {
    let mut lab = Lab::new(1);
    lab[H1].start_with(changes);
    lab
}

#[test]
fn an_empty_list_is_a_list() {
    let lab = single(&[]);
    for (path, body) in [("/ips", "{\"ips\":[]}\n"), ("/endpoints", "{\"endpoints\":[]}\n")] {
        let answer = lab[H1].api().get(path).expect(200);
        assert_eq!(answer.body, body);
        assert_eq!(answer.header("Content-Type"), Some("application/json"));
    }
}

#[test]
fn an_ip_is_created_shown_listed_in_order_and_deleted() {
    let lab = single(&[]);
    let api = lab[H1].api();
    let check = json!({ "type": "TCP", "host": "127.0.0.1", "port": 1313 });
    let body =
        json!({ "ip": "10.0.1.2", "checks": [check], "healthcheck_interval": 7, "unknown": 1 });
    let created = api.post("/ips", &body).expect(201);
    assert!(created.body.ends_with("}\n") && created.body.lines().count() == 1);
    let ip = created.json();
    assert_eq!(ip["ip"], "10.0.1.2/32", "an address without a mask means that address alone");
    assert_eq!(ip["checks"], json!([check]));
    assert_eq!(ip["healthcheck_interval"], 7);
    assert_eq!(ip["interface"], "eth0");
    assert_eq!(ip["plugin"], "arp");
    assert_eq!(ip["election_key"], "10.0.1.2_32");
    assert!(ip["id"].as_str().unwrap().starts_with("vip-"));
    api.add(VIP);
    let listed: Vec<String> = api.list().into_iter().map(|ip| ip.ip).collect();
    assert_eq!(listed, ["10.0.1.1/32", "10.0.1.2/32"]);
    let shown = api.get(&api.path(VIP2)).expect(200).json();
    assert_eq!((&shown["ip"]["id"], &shown["ip"]["checks"]), (&ip["id"], &json!([check])));
    let path = api.path(VIP2);
    let deleted = api.delete(&path).expect(204);
    assert_eq!(deleted.body, "");
    api.get(&path).expect(404);
    assert_eq!(api.list().len(), 1);
}

#[test]
fn what_is_not_there_is_404_and_says_so() {
    let lab = single(&[]);
    let api = lab[H1].api();
    let ip = format!("/ips/{NOBODY}");
    let checks = json!({ "healthchecks": [] }).to_string();
    for (method, path, body) in [
        ("GET", ip.clone(), None),
        ("PUT", ip.clone(), Some(checks.as_str())),
        ("PATCH", ip.clone(), Some(checks.as_str())),
        ("DELETE", ip.clone(), None),
        ("POST", format!("{ip}/lock"), None),
        ("POST", format!("{ip}/failover"), None),
        ("GET", format!("{ip}/hosts"), None),
    ] {
        let answer = api.send(method, &path, body).expect(404);
        assert_eq!(answer.json(), json!({ "resource": "IP", "error": "not found" }), "{path}");
    }
    let elsewhere = api.get("/nothing/here").expect(404);
    assert!(!elsewhere.error().is_empty());
}

#[test]
fn what_is_malformed_is_400() {
    let lab = single(&[]);
    let api = lab[H1].api();
    for body in ["", "{", "[5]", "null", "{}", "{\"ip\":1}", "{\"ip\":\"10.0.1.1\",\"checks\":1}"] {
        let answer = api.send("POST", "/ips", Some(body)).expect(400);
        assert!(!answer.error().is_empty(), "{body}");
        assert_eq!(answer.header("Content-Type"), Some("application/json"));
    }
    api.get("/ips/vip-1").expect(400);
    api.delete("/ips/1").expect(400);
    assert_eq!(api.list(), []);
}

#[test]
fn what_is_not_acceptable_is_422_and_names_field_and_value() {
    let lab = single(&[]);
    let api = lab[H1].api();
    let check = |kind: &str, host: &str, port: u32| json!({ "ip": "10.0.1.1", "checks": [{ "type": kind, "host": host, "port": port }] });
    let ip = |text: &str| json!({ "ip": text });
    let own = format!("{}/16", lab[H1].address());
    for (body, field, value) in [
        (ip("10.0.1"), "ip", "10.0.1"),
        (ip("10.0.1.1/33"), "ip", "/33"),
        (ip("224.0.0.1"), "ip", "224.0.0.1"),
        (ip("255.255.255.255"), "ip", "255.255.255.255"),
        (ip("10.0.1.255/24"), "ip", "10.0.1.255"),
        (ip("0.0.0.0"), "ip", "0.0.0.0"),
        (ip("127.0.0.1"), "ip", "127.0.0.1"),
        (ip("::1"), "ip", "::1"),
        (ip("::ffff:10.0.1.1"), "ip", "::ffff:10.0.1.1"),
        (ip(&own), "ip", &own),
        (check("UDP", "127.0.0.1", 80), "checks", "UDP"),
        (check("TCP", "", 80), "checks", ""),
        (check("TCP", "127.0.0.1", 0), "checks", "0"),
        (check("TCP", "127.0.0.1", 65_536), "checks", "65536"),
        (json!({ "ip": "10.0.1.1", "healthcheck_interval": 3601 }), "healthcheck_interval", "3601"),
        (json!({ "ip": "10.0.1.1", "etcd_loss_policy": "keep" }), "etcd_loss_policy", "keep"),
    ] {
        let answer = api.post("/ips", &body).expect(422);
        let message = answer.json()["errors"][field][0].as_str().map(str::to_owned);
        let message =
            message.unwrap_or_else(|| panic!("{body} has no error of {field}: {answer:?}"));
        assert!(message.contains(value), "{message}");
        assert!(answer.error().contains(field));
    }
    assert_eq!(api.list(), []);
}

#[test]
fn the_same_ip_twice_is_409() {
    let lab = single(&[]);
    let api = lab[H1].api();
    let first = api.add(VIP);
    let error = api.post_vip(VIP).expect(409).error();
    assert!(error.contains("10.0.1.1/32"), "{error}");
    assert_eq!(api.list().len(), 1);
    assert_eq!(api.find(VIP).unwrap().id, first.id);
}

#[test]
fn more_ips_than_allowed_are_422() {
    let lab = single(&[("MAX_NUMBER_OF_ENDPOINTS", "1")]);
    let api = lab[H1].api();
    api.add(VIP);
    let error = api.post_vip(VIP2).expect(422).error();
    assert!(error.contains("MAX_NUMBER_OF_ENDPOINTS"), "{error}");
    api.delete(&api.path(VIP)).expect(204);
    api.post_vip(VIP2).expect(201);
}

#[test]
fn a_known_path_with_another_method_is_405_and_says_which_it_has() {
    let lab = single(&[]);
    let api = lab[H1].api();
    for (method, path, allowed) in [
        ("DELETE", "/ips".to_owned(), "POST"),
        ("POST", "/version".to_owned(), "GET"),
        ("POST", format!("/ips/{NOBODY}"), "DELETE"),
        ("GET", format!("/ips/{NOBODY}/lock"), "POST"),
        ("PUT", format!("/ips/{NOBODY}/hosts"), "GET"),
    ] {
        let answer = api.send(method, &path, None).expect(405);
        let allow = answer.header("Allow").expect("an Allow header");
        assert!(allow.split(", ").any(|method| method == allowed), "{path}: {allow}");
    }
}

#[test]
fn what_is_too_large_or_has_no_length_is_refused() {
    let lab = single(&[]);
    let api = lab[H1].api();
    let status = |request: String| api.exchange(request.as_bytes()).unwrap().status;
    assert_eq!(status("POST /ips HTTP/1.1\r\nHost: link\r\n\r\n".to_owned()), 411);
    for (method, path, most) in [("POST", "/ips", 512), ("PUT", "/ips/x", 64)] {
        let body = " ".repeat(most * 1024 + 1);
        assert_eq!(api.send(method, path, Some(&body)).status, 413);
    }
    let long = "x".repeat(20_000);
    assert_eq!(status(format!("GET /ips HTTP/1.1\r\nHost: link\r\nX: {long}\r\n\r\n")), 431);
    assert_eq!(api.get("/version").status, 200);
}

#[test]
fn an_agent_is_asked_by_its_own_names_and_by_no_foreign_page() {
    let lab = single(&[("API_HOSTS", "vip.lan")]);
    let api = lab[H1].api();
    let own = lab[H1].name();
    for (status, fields) in [
        (200, format!("Host: {own}:1313")),
        (200, "Host: vip.lan".to_owned()),
        (200, "Host: 127.0.0.1:1313".to_owned()),
        (403, "Host: evil.lan:1313".to_owned()),
        (403, "Host: 127.0.0.1:1313\r\nOrigin: http://evil.lan".to_owned()),
        (403, "Host: 127.0.0.1:1313\r\nSec-Fetch-Site: cross-site".to_owned()),
    ] {
        let request = format!("GET /ips HTTP/1.1\r\n{fields}\r\n\r\n");
        assert_eq!(api.exchange(request.as_bytes()).unwrap().status, status, "{fields}");
    }
}

#[test]
fn many_requests_go_over_one_connection() {
    let lab = single(&[]);
    let address = ("127.0.0.1", 1313);
    let mut stream = lab[H1].namespace().run(|| TcpStream::connect(address)).unwrap();
    for expected in [200, 404, 200, 405] {
        let request = match expected {
            200 => "GET /version",
            404 => "GET /nothing",
            _ => "DELETE /version",
        };
        write!(stream, "{request} HTTP/1.1\r\nHost: link\r\n\r\n").unwrap();
        assert_eq!(read_response(&mut stream).unwrap().status, expected);
    }
}

#[test]
fn version_and_health_of_a_healthy_agent() {
    let mut lab = single(&[]);
    let api = lab[H1].api();
    let version = api.get("/version").expect(200).json()["version"].clone();
    assert_eq!(version, format!("v{}", env!("CARGO_PKG_VERSION")));
    eventually("it is healthy", || api.get("/health").status == 200);
    lab.etcd.stop();
    eventually("it is not", || api.get("/health").status == 503);
    let status = api.get("/health").json()["status"].clone();
    assert!(status.as_str().unwrap().contains("etcd"), "{status}");
}

#[test]
fn without_etcd_nothing_is_changed_and_the_client_is_told() {
    let mut lab = Lab::sharing(1, VIP);
    lab.await_owner(VIP);
    let api = lab[H1].api();
    let path = api.path(VIP);
    lab.etcd.stop();
    let checks = json!({ "healthchecks": [{ "type": "TCP", "host": "127.0.0.1", "port": 1 }] });
    for answer in [api.post_vip(VIP2), api.put(&path, &checks), api.delete(&path)] {
        let answer = answer.expect(503);
        assert!(answer.header("Retry-After").is_some(), "{answer:?}");
        assert!(answer.error().contains("etcd"), "{answer:?}");
    }
    let listed = api.list();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].ip.as_str(), listed[0].checks.len()), ("10.0.1.1/32", 0));
    assert_eq!(lab.bound_on(VIP), [H1]);
    lab.etcd.start_all();
    eventually("it can be changed again", || api.post_vip(VIP2).status == 201);
}

#[test]
fn a_password_is_asked_for_everywhere_but_for_health() {
    let lab = single(&[("USER", "link"), ("PASSWORD", "sesame")]);
    let api = lab[H1].api();
    let refused = api.get("/ips").expect(401);
    assert_eq!(refused.header("WWW-Authenticate"), Some("Basic realm=\"LinK\""));
    assert!(!refused.error().is_empty());
    for (user, password) in [("link", "wrong"), ("wrong", "sesame"), ("", ""), ("link", "sesame1")]
    {
        let api = lab[H1].api().with_credentials(user, password);
        assert_eq!(api.get("/ips").status, 401, "{user}:{password}");
        assert_eq!(api.post_vip(VIP).status, 401);
    }
    eventually("health is for everybody", || api.get("/health").status == 200);
    let api = lab[H1].api().with_credentials("link", "sesame");
    api.add(VIP);
    assert_eq!(api.list().len(), 1);
    assert!(!lab[H1].agent().log().contains("sesame"), "a secret in the log");
}

#[test]
fn with_a_password_the_api_is_for_the_network_without_one_for_the_host() {
    let mut lab = single(&[("USER", "root")]);
    lab[H1].api().get("/ips").expect(200);
    let address = (lab[H1].address(), 1313).into();
    let from_client = Api::new(lab.client.namespace(), address).with_credentials("link", "sesame");
    assert!(from_client.try_send("GET", "/ips", None).is_err());
    lab[H1].start_with(&[("USER", "link"), ("PASSWORD", "sesame")]);
    from_client.get("/ips").expect(200);
    lab[H1].start_with(&[("LISTEN", "10.0.0.11,127.0.0.1"), ("PORT", "8013")]);
    let elsewhere = Api::new(lab.client.namespace(), (lab[H1].address(), 8013).into());
    elsewhere.get("/ips").expect(200);
}

#[test]
fn the_hosts_that_offer_an_ip_are_listed_in_order() {
    let mut lab = Lab::new(3);
    for id in [H3, H1, H2] {
        lab[id].start();
        lab[id].api().add(VIP);
    }
    let api = lab[H2].api();
    eventually("all are listed", || api.hosts(VIP) == ["h1", "h2", "h3"]);
    let hosts = api.get(&format!("{}/hosts", api.path(VIP))).expect(200);
    let expected = lab.ids().into_iter().map(|id| {
        let (name, mac) = (id.to_string(), lab[id].mac().to_string());
        json!({
            "hostname": name, "available": true, "alive": true, "hardware_address": mac,
            "priority": 100,
        })
    });
    assert_eq!(hosts.json(), json!({ "hosts": expected.collect::<Vec<_>>() }));
}

/// The policy of the VIP as it is stored: nothing if it is the agent's.
fn stored_policy(lab: &Lab, id: &str) -> Value {
    let record = lab.etcd.get(&format!("/link/hosts/h1/{id}")).expect("it is registered");
    serde_json::from_str::<Value>(&record.value).unwrap()["etcd_loss_policy"].clone()
}

#[test]
fn an_ip_may_have_a_policy_of_its_own_for_the_loss_of_etcd() {
    let mut lab = single(&[("ETCD_LOSS_POLICY", "hold")]);
    let api = lab[H1].api();
    let id = api.add(VIP).id;
    assert_eq!(stored_policy(&lab, &id), Value::Null);
    let path = api.path(VIP);
    let check = json!({ "type": "TCP", "host": "127.0.0.1", "port": 1313 });
    for (change, shown, stored, checks) in [
        (json!({ "etcd_loss_policy": "probe" }), "probe", json!("probe"), 0),
        (json!({ "healthchecks": [check] }), "probe", json!("probe"), 1),
        (json!({ "etcd_loss_policy": "take" }), "take", json!("take"), 1),
        (json!({ "etcd_loss_policy": null, "healthchecks": [] }), "hold", Value::Null, 0),
    ] {
        let ip: Ip = api.put(&path, &change).expect(200).read();
        assert_eq!((ip.etcd_loss_policy.as_str(), ip.checks.len()), (shown, checks), "{change}");
        assert_eq!(stored_policy(&lab, &id), stored, "{change}");
    }
    api.put(&path, &json!({})).expect(400);
    api.put(&path, &json!({ "etcd_loss_policy": "take" })).expect(200);
    api.create(&json!({ "ip": VIP2.to_string(), "etcd_loss_policy": null }));
    let policies = |lab: &Lab| {
        let ips = lab[H1].api().list().into_iter();
        ips.map(|ip| ip.etcd_loss_policy).collect::<Vec<_>>()
    };
    assert_eq!(policies(&lab), ["take", "hold"]);
    lab[H1].terminate();
    lab[H1].restart();
    assert_eq!(policies(&lab), ["take", "hold"], "known from etcd");
    lab[H1].kill();
    lab.etcd.stop();
    lab[H1].restart_without_etcd();
    eventually("the copy is read", || lab[H1].api().find(VIP).is_some());
    assert_eq!(policies(&lab), ["take", "hold"], "known from the local copy");
}

#[test]
fn changes_of_an_ip_that_come_together_are_all_made() {
    let lab = single(&[]);
    let api = lab[H1].api();
    api.add(VIP);
    let path = api.path(VIP);
    let check = json!({ "type": "TCP", "host": "127.0.0.1", "port": 1313 });
    for (checks, policy) in [(1, "hold"), (0, "probe"), (2, "take"), (1, "hold"), (3, "probe")] {
        let put = |body: Value| api.put(&path, &body).expect(200);
        std::thread::scope(|scope| {
            scope.spawn(|| put(json!({ "healthchecks": vec![check.clone(); checks] })));
            scope.spawn(|| put(json!({ "etcd_loss_policy": policy })));
        });
        let ip = api.find(VIP).unwrap();
        assert_eq!((ip.checks.len(), ip.etcd_loss_policy.as_str()), (checks, policy));
        assert_eq!(stored_policy(&lab, &ip.id), policy);
    }
}

#[test]
fn the_endpoints_of_go_link_are_served_too() {
    let lab = single(&[]);
    let api = lab[H1].api();
    let body = json!({ "plugin": "arp", "plugin_config": { "ip": "10.0.1.1/32" } });
    let created = api.post("/endpoints", &body).expect(201).json()["endpoint"].clone();
    let id = created["id"].as_str().unwrap();
    assert_eq!(api.find(VIP).unwrap().id, id);
    let path = format!("/endpoints/{id}");
    let shown = api.get(&path).expect(200).json()["endpoint"].clone();
    assert_eq!((&shown["id"], &shown["plugin"]), (&created["id"], &json!("arp")));
    let list = api.get("/endpoints").expect(200).json()["endpoints"].clone();
    assert_eq!(list.as_array().map(Vec::len), Some(1));
    api.put(&path, &json!({ "healthchecks": [] })).expect(200);
    eventually("it has candidates", || {
        let hosts = api.get(&format!("{path}/hosts")).expect(200).json();
        let hosts = hosts["hosts"].as_array().cloned().unwrap_or_default();
        hosts.len() == 1 && hosts[0]["hostname"] == "h1"
    });
    api.send("POST", &format!("{path}/lock"), None).expect(204);
    lab.await_owner(VIP);
    api.send("POST", &format!("{path}/failover"), None).expect(409);
    api.delete(&path).expect(204);
    assert_eq!(api.get("/endpoints").json(), json!({ "endpoints": Value::Array(vec![]) }));
}
