//! The API with TLS, as an operator's curl and linkctl meet it.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Output;

use nix::sys::signal::Signal;

use crate::harness::*;

const USER: [(&str, &str); 2] = [("USER", "admin"), ("PASSWORD", "geheim")];

/// One host whose API has a certificate of this authority for its address.
fn lab() -> (Lab, Authority) {
    let mut lab = Lab::new(1);
    let authority = Authority::new(lab.folder().join("api"));
    let pair = issue(&lab, &authority, "api");
    let [certificate, key] =
        [&pair.certificate, &pair.key].map(|path| path.to_str().unwrap().to_owned());
    let tls = [("API_TLS_CERT", certificate.as_str()), ("API_TLS_KEY", key.as_str())];
    lab[H1].start_with(&[USER.as_slice(), &tls].concat());
    (lab, authority)
}

fn issue(lab: &Lab, authority: &Authority, name: &str) -> Certificate {
    let addresses = [IpAddr::from(lab[H1].address()), Ipv4Addr::LOCALHOST.into()];
    authority.server(name, &addresses)
}

fn run(lab: &Lab, program: impl Into<std::path::PathBuf>, arguments: &[&str]) -> Output {
    lab.run_on(H1, &Program::new(program).args(arguments.iter().copied()))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

#[test]
fn curl_and_linkctl_manage_the_host_over_tls() {
    let (lab, authority) = lab();
    let ca = authority.certificate();
    let ca = ca.to_str().unwrap();
    for host in [lab[H1].address().to_string(), "127.0.0.1".to_owned()] {
        let url = format!("https://{host}:1313/ips");
        for version in ["--tlsv1.2", "--tlsv1.3"] {
            let curl = ["-sS", "-f", version, "--cacert", ca, "-u", "admin:geheim", &url];
            let output = run(&lab, "curl", &curl);
            assert_eq!(String::from_utf8_lossy(&output.stdout), "{\"ips\":[]}\n", "{output:?}");
        }
    }
    let old =
        run(&lab, "curl", &["-sS", "--tls-max", "1.1", "--cacert", ca, "https://127.0.0.1:1313/"]);
    assert!(!old.status.success(), "{old:?}");
    let stranger = run(&lab, "curl", &["-sS", "https://127.0.0.1:1313/health"]);
    assert_eq!(stranger.status.code(), Some(60), "{stranger:?}");
    let plain = run(&lab, "curl", &["-sS", "http://127.0.0.1:1313/health"]);
    assert!(said(&plain).contains("the API speaks TLS here: ask by https://"), "{plain:?}");

    let file = lab.folder().join("password");
    fs::write(&file, "geheim\n").unwrap();
    tool("chmod", &["600", file.to_str().unwrap()]);
    let host = format!("https://{}", lab[H1].address());
    let file = file.to_str().unwrap();
    let options = ["--host", &host, "--cacert", ca, "--user", "admin", "--password-file", file];
    let linkctl = |words: &[&str]| run(&lab, linkctl(), &[&options, words].concat());
    let added = linkctl(&["add", "10.0.1.1", "--wait"]);
    assert!(added.status.success(), "{}", said(&added));
    assert!(lab[H1].binds(VIP.ip()));
    let listed = linkctl(&["list"]);
    assert!(said(&listed).contains("ACTIVATED"), "{}", said(&listed));
    let wrong = run(&lab, crate::harness::linkctl(), &["--host", "https://127.0.0.1", "list"]);
    assert_eq!(wrong.status.code(), Some(4), "{}", said(&wrong));
    let metrics = ["-sS", "--cacert", ca, "-u", "admin:geheim", "https://127.0.0.1:1313/metrics"];
    let metrics = said(&run(&lab, "curl", &metrics));
    let file = authority.certificate().with_file_name("api.pem");
    let expiry =
        format!("linkd_certificate_expiry_timestamp_seconds{{file=\"{}\"}}", file.display());
    assert!(metrics.contains(&expiry), "{metrics}");
}

#[test]
fn a_certificate_that_does_not_fit_its_key_is_refused_and_the_one_before_serves_on() {
    let (lab, authority) = lab();
    let ca = authority.certificate();
    let curl = ["-sS", "-f", "--cacert", ca.to_str().unwrap(), "https://127.0.0.1:1313/health"];
    let folder = ca.parent().unwrap();
    issue(&lab, &authority, "other");
    fs::copy(folder.join("other.key"), folder.join("api.key")).unwrap();
    // The files are looked at when a client comes, but not more often than every two seconds.
    let words = ["api.key is not the key of the certificate in", "stays in use"];
    eventually("the key is found not to fit", || {
        assert!(run(&lab, "curl", &curl).status.success());
        !lab[H1].warnings(&words).is_empty()
    });
    assert!(run(&lab, "curl", &curl).status.success());
    lab[H1].agent().signal(Signal::SIGHUP);
    lab[H1].await_warning(&["no reload", "API_TLS_CERT, API_TLS_KEY", "is not the key of"]);
    assert!(run(&lab, "curl", &curl).status.success());
}
