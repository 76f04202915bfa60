//! Passwords and certificates for etcd that change, expire and go wrong while the agents run.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::harness::*;

/// A lease of 3 s, so that what depends on it need not be waited for.
const QUICK: [(&str, &str); 1] = [("KEEPALIVE_INTERVAL", "500ms")];

/// Longer than that lease lasts without renewals: what holds for this long is no after-effect.
const LEASE_AND_MORE: Duration = Duration::from_secs(4);

/// The files of an agent's identity, to be replaced while it runs.
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    fn new(lab: &Lab) -> Files {
        let folder = lab.folder();
        Files { certificate: folder.join("used.pem"), key: folder.join("used.key") }
    }

    /// One file after the other, as people do it.
    fn replace(&self, with: &Certificate) {
        fs::copy(&with.certificate, &self.certificate).unwrap();
        fs::copy(&with.key, &self.key).unwrap();
    }
}

/// Two hosts that share the VIP and show etcd the certificate in those files.
fn with_certificate() -> (Lab, Files) {
    let mut lab = Lab::builder(2).tls().build();
    let files = Files::new(&lab);
    files.replace(&lab.etcd.authority().client("first"));
    lab.start_all_with(&[
        QUICK[0],
        ("ETCD_TLS_CERT", &files.certificate.display().to_string()),
        ("ETCD_TLS_KEY", &files.key.display().to_string()),
    ]);
    lab.offer(VIP);
    lab.await_owner(VIP);
    (lab, files)
}

/// Waits until both agents have said something.
fn await_said(lab: &Lab, what: &str) {
    for host in [H1, H2] {
        eventually(&format!("{host} says {what:?}"), || lab[host].agent().log().contains(what));
    }
}

/// Does something to etcd's users or to files that must not move the IP, nor make anybody ill.
fn moves_nothing(lab: &mut Lab, something: impl FnOnce(&mut Lab)) {
    let (owner, lock) = (lab.await_owner(VIP), lab.lock(VIP));
    something(lab);
    holds_for(LEASE_AND_MORE, "no move", || lab.bound_on(VIP) == [owner]);
    assert_eq!(lab.lock(VIP), lock);
    for host in [H1, H2] {
        assert_eq!(lab[host].api().get("/health").status, 200);
    }
}

#[test]
fn certificates_that_are_replaced_are_used_without_a_move() {
    let (mut lab, files) = with_certificate();
    let another = lab.etcd.authority().client("another");
    moves_nothing(&mut lab, |lab| {
        files.replace(&another);
        await_said(lab, "TLS files have changed");
        // Whatever they had open is gone: from now on it is the new one that they show.
        lab.etcd.restart();
    });
}

/// When the certificate in a file ends, as openssl reads it: since 1970.
fn end_of(certificate: &Path) -> String {
    let file = certificate.display().to_string();
    let end = tool("openssl", &["x509", "-noout", "-enddate", "-in", &file]);
    let end = end.trim().strip_prefix("notAfter=").expect("an end");
    tool("date", &["--date", end, "+%s"]).trim().to_owned()
}

#[test]
fn the_end_of_the_certificates_in_use_is_told_to_prometheus() {
    let (mut lab, files) = with_certificate();
    let another = lab.etcd.authority().client_for("another", 400);
    assert_ne!(end_of(&files.certificate), end_of(&another.certificate));
    let told = |lab: &Lab, file: &Path, host: HostId| {
        let name = "linkd_certificate_expiry_timestamp_seconds";
        let sample = format!("{name}{{file=\"{}\"}} {}.000000", file.display(), end_of(file));
        lab[host].api().get("/metrics").expect(200).body.lines().any(|line| line == sample)
    };
    for host in [H1, H2] {
        assert!(told(&lab, &files.certificate, host));
        assert!(told(&lab, &lab.etcd.authority().certificate(), host));
    }
    files.replace(&another);
    lab.etcd.restart();
    for host in [H1, H2] {
        eventually("the new one is told", || told(&lab, &files.certificate, host));
    }
}

#[test]
fn certificates_that_cannot_be_read_leave_the_old_ones_in_use() {
    let (mut lab, files) = with_certificate();
    moves_nothing(&mut lab, |lab| {
        fs::remove_file(&files.certificate).unwrap();
        await_said(lab, "stays in use");
        lab.etcd.restart();
    });
    moves_nothing(&mut lab, |lab| {
        files.replace(&lab.etcd.authority().client("another"));
        await_said(lab, "TLS files have changed");
    });
}

#[test]
fn tokens_that_end_and_users_that_are_added_move_nothing() {
    let flags = &["--auth-token-ttl=1"];
    let mut lab = Lab::builder(2).password().etcd_flags(flags).build();
    lab.start_all_with(&QUICK);
    lab.offer(VIP);
    moves_nothing(&mut lab, |_| {});
    moves_nothing(&mut lab, |lab| lab.etcd.add_user("somebody"));
    let owner = lab.await_owner(VIP);
    lab[owner].api().failover(VIP).expect(204);
    lab.await_owner_other_than(owner, VIP);
    lab[owner].api().add(VIP2);
}

#[test]
fn files_that_cannot_be_used_end_the_start_and_are_named() {
    let lab = Lab::builder(1).tls().build();
    let good = lab.etcd.authority().client("good");
    let file = |name: &str| lab.folder().join(name).display().to_string();
    let (certificate, key) =
        (good.certificate.display().to_string(), good.key.display().to_string());
    let (encrypted, der) = (file("encrypted.key"), file("der.pem"));
    let encrypt = ["pkcs8", "-topk8", "-passout", "pass:x", "-in", &key, "-out", &encrypted];
    tool("openssl", &encrypt);
    tool("openssl", &["x509", "-outform", "DER", "-in", &certificate, "-out", &der]);
    for (variable, file) in [
        ("ETCD_TLS_KEY", &encrypted),
        ("ETCD_TLS_KEY", &certificate),
        // The key of another one.
        ("ETCD_TLS_CERT", &certificate),
        ("ETCD_TLS_CERT", &der),
        ("ETCD_CACERT", &der),
        ("ETCD_CACERT", &file("absent.pem")),
    ] {
        let (code, said) = crate::start::run_agent(&lab, &[(variable, file)]);
        assert_eq!(code, Some(2), "{variable}={file}: {said}");
        assert!(said.contains(file.as_str()), "{variable}={file}: {said}");
    }
}

#[test]
fn authentication_lets_an_agent_that_was_killed_resume_its_lease() {
    let mut lab = Lab::builder(2).password().build();
    lab.start_all();
    lab.offer_in_order(VIP);
    let (lease, lock) = (lab.lease_of(H1), lab.lock(VIP));
    lab[H1].kill();
    lab[H1].restart();
    lab[H1].api().await_well();
    assert_eq!(lab.lease_of(H1), lease, "the lease is resumed");
    assert_eq!(lab.lock(VIP), lock, "nothing has moved");
}

#[test]
fn authentication_that_is_turned_on_and_off_moves_nothing() {
    let mut lab = Lab::new(2);
    lab.start_all_with(&[QUICK[0], ("ETCD_USER", "link"), ("ETCD_PASSWORD", ETCD_PASSWORD)]);
    lab.offer(VIP);
    let hand_over = |lab: &Lab| {
        let owner = lab.await_owner(VIP);
        lab[owner].api().failover(VIP).expect(204);
        lab.await_owner_other_than(owner, VIP);
    };
    hand_over(&lab);
    for _ in 0..2 {
        moves_nothing(&mut lab, |lab| lab.etcd.demand_passwords());
        hand_over(&lab);
        moves_nothing(&mut lab, |lab| lab.etcd.demand_no_passwords());
        hand_over(&lab);
    }
}

#[test]
fn certificates_that_are_garbage_leave_the_old_ones_in_use() {
    let (mut lab, files) = with_certificate();
    moves_nothing(&mut lab, |lab| {
        fs::write(&files.certificate, "rubbish").unwrap();
        await_said(lab, "stays in use");
        lab.etcd.restart();
    });
}

#[test]
fn certificates_that_have_expired_leave_the_old_ones_in_use() {
    let (mut lab, files) = with_certificate();
    moves_nothing(&mut lab, |lab| {
        files.replace(&lab.etcd.authority().expired_client("expired"));
        await_said(lab, "stays in use");
        lab.etcd.restart();
    });
    moves_nothing(&mut lab, |lab| {
        files.replace(&lab.etcd.authority().client("another"));
        await_said(lab, "TLS files have changed");
    });
}

#[test]
fn an_authority_that_signed_nothing_leaves_the_old_one_in_use() {
    let mut lab = Lab::builder(2).tls().build();
    let (used, good) = (lab.folder().join("ca.pem"), lab.etcd.authority().certificate());
    fs::copy(&good, &used).unwrap();
    lab.start_all_with(&[QUICK[0], ("ETCD_CACERT", &used.display().to_string())]);
    lab.offer(VIP);
    moves_nothing(&mut lab, |lab| {
        let other = Authority::new(lab.folder().join("other"));
        fs::copy(other.certificate(), &used).unwrap();
        await_said(lab, "stays in use");
        lab.etcd.restart();
    });
}

#[test]
fn a_password_that_is_changed_and_changed_back_leaves_one_owner() {
    let mut lab = Lab::builder(2).password().build();
    lab.start_all_with(&QUICK);
    lab.offer(VIP);
    let owner = lab.await_owner(VIP);
    lab.etcd.change_password("another");
    await_said(&lab, "authentication failed");
    holds_for(LEASE_AND_MORE, "it is bound", || lab[owner].binds(VIP.ip()));
    lab.etcd.change_password(ETCD_PASSWORD);
    for host in [H1, H2] {
        eventually("it is well again", || lab[host].api().get("/health").status == 200);
    }
    // Everybody hears again of what happens.
    let owner = lab.await_owner(VIP);
    eventually("it can be handed over", || lab[owner].api().failover(VIP).status == 204);
    lab.await_owner_other_than(owner, VIP);
    for host in [H1, H2] {
        let log = lab[host].agent().log();
        // Newer etcds renew no lease without a token, either: then etcd is lost, and that is said, too.
        let complaint = |line: &str| {
            let complains = line.contains(" WARN ") && line.contains("authentication failed");
            complains.then(|| line.split_once(" WARN ").expect("it warns").1.to_owned())
        };
        let complaints: Vec<String> = log.lines().filter_map(complaint).collect();
        let different: BTreeSet<&String> = complaints.iter().collect();
        assert!(complaints.len() == different.len() && different.len() <= 4, "{complaints:#?}");
        assert!(!log.contains(ETCD_PASSWORD), "a secret in the log");
    }
}
