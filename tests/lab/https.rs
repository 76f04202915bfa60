//! Health checks over TLS, of servers whose certificates are good, expired, of another name, or anybody's.

use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::*;

const HURRY: [(&str, &str); 2] =
    [("HEALTH_CHECK_INTERVAL", "200ms"), ("HEALTH_CHECK_TIMEOUT", "2s")];

const HERE: [u8; 4] = [127, 0, 0, 1];
const ELSEWHERE: [u8; 4] = [10, 9, 9, 9];

/// A server that answers every GET with 200, with this certificate, on a port of the host's loopback.
fn serve(lab: &Lab, port: u16, certificate: &Certificate) -> Process {
    let path = |path: &Path| path.display().to_string();
    let arguments = [
        "s_server".to_owned(),
        "-www".to_owned(),
        "-quiet".to_owned(),
        "-accept".to_owned(),
        port.to_string(),
        "-cert".to_owned(),
        path(&certificate.certificate),
        "-key".to_owned(),
        path(&certificate.key),
    ];
    let log = lab.folder().join(format!("server-{port}"));
    Process::start(lab[H1].namespace(), &Program::new("openssl").args(arguments), &log)
}

/// Offers an IP with this check, as an operator would.
fn add(lab: &Lab, vip: Vip, check: &str) {
    let words = ["add", &vip.to_string(), "--check", check];
    let run = lab[H1].namespace().output(Command::new(linkctl()).args(words));
    assert!(run.status.success(), "{run:?}");
}

/// What the first check of an IP has found: whether it is up, and the last error.
fn found(lab: &Lab, vip: Vip) -> Option<(bool, String)> {
    let api = lab[H1].api();
    let answer = api.get(&api.path(vip)).expect(200).json();
    let check = &answer["ip"]["seen"]["checks"][0];
    let error = check["checked"]["last_error"].as_str().unwrap_or_default();
    Some((check["up"].as_bool()?, error.to_owned()))
}

fn await_found(lab: &Lab, vip: Vip, up: bool) -> String {
    let mut last = None;
    let is_so = until(std::time::Duration::from_secs(20), || {
        last = found(lab, vip);
        last.as_ref().is_some_and(|(is, _)| *is == up)
    });
    assert!(is_so, "{vip} is not {up}: {last:?}, {}", lab[H1].api().get("/ips").body);
    last.expect("it was found").1
}

#[test]
fn a_server_counts_by_its_certificate() {
    let mut lab = Lab::new(1);
    lab[H1].start_with(&HURRY);
    let authority = Authority::new(lab.folder().join("ca"));
    let ca = format!("cacert={}", authority.certificate().display());
    let (here, elsewhere): (IpAddr, IpAddr) = (HERE.into(), ELSEWHERE.into());
    let stranger = Authority::new(lab.folder().join("other"));
    let servers = [
        (8441, authority.server("good", &[here])),
        (8442, authority.server("named", &[elsewhere])),
        (8443, authority.expired_server("expired", &[here])),
        (8444, stranger.server("strange", &[here])),
    ];
    let running: Vec<Process> =
        servers.iter().map(|(port, certificate)| serve(&lab, *port, certificate)).collect();
    let url = |port: u16, rest: &str| format!("https://127.0.0.1:{port}/up,fall=1,rise=1{rest}");
    for (port, rest, refused) in [
        (8441, format!(",{ca}"), None),
        (8441, ",verify=false".to_owned(), None),
        (8441, String::new(), Some("UnknownIssuer")),
        (8442, format!(",{ca}"), Some("not valid for name")),
        (8442, ",verify=false".to_owned(), None),
        (8443, format!(",{ca}"), Some("expired")),
        (8443, ",verify=false".to_owned(), None),
        (8444, format!(",{ca}"), Some("invalid peer certificate")),
        (8444, ",verify=false".to_owned(), None),
        (8441, format!(",{ca},status=404"), Some("200")),
    ] {
        add(&lab, VIP, &url(port, &rest));
        let error = await_found(&lab, VIP, refused.is_none());
        println!("{port}{rest}: {error}");
        assert!(error.contains(refused.unwrap_or_default()), "{port} {rest}: {error}");
        lab[H1].await_status(VIP, if refused.is_none() { "ACTIVATED" } else { "FAILING" });
        lab[H1].api().delete(&lab[H1].api().path(VIP)).expect(204);
    }
    drop(running);
}

#[test]
fn a_server_that_ends_moves_the_ip_and_a_renewed_certificate_brings_the_host_back() {
    let mut lab = Lab::new(1);
    lab[H1].start_with(&HURRY);
    let authority = Authority::new(lab.folder().join("ca"));
    let ca = authority.certificate();
    let good = authority.server("good", &[HERE.into()]);
    let server = serve(&lab, 8441, &good);
    add(&lab, VIP, &format!("https://127.0.0.1:8441/,fall=1,rise=1,cacert={}", ca.display()));
    await_found(&lab, VIP, true);
    lab[H1].await_status(VIP, "ACTIVATED");

    drop(server);
    let error = await_found(&lab, VIP, false);
    assert!(error.contains("refused"), "{error}");
    // A machine that speaks no TLS has taken the port.
    let plain = lab[H1].listen(8441);
    let answering = std::thread::spawn(move || {
        let (mut client, _) = plain.accept().expect("a check comes");
        let _ = std::io::Write::write_all(&mut client, b"HTTP/1.0 200 OK\r\n\r\n");
    });
    answering.join().expect("it ends");
    await_found(&lab, VIP, false);

    let expired = authority.expired_server("expired", &[HERE.into()]);
    let server = serve(&lab, 8441, &expired);
    eventually("it is told", || found(&lab, VIP).is_some_and(|it| it.1.contains("expired")));
    drop(server);
    let _server = serve(&lab, 8441, &good);
    await_found(&lab, VIP, true);
    lab[H1].await_status(VIP, "ACTIVATED");
    let shown: Value = lab[H1].api().get("/ips").expect(200).json();
    assert_eq!(shown["ips"][0]["checks"][0]["url"], "https://127.0.0.1:8441/", "{shown}");
}
