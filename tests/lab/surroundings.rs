//! An agent whose machine gives it less than it needs: rights, a disk, a name of its own, quiet.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::harness::*;

/// Longer than that lease lasts without renewals: what holds for this long is no after-effect.
const LEASE_AND_MORE: Duration = Duration::from_secs(4);

/// A user who is not root.
const NOBODY: u32 = 65_534;

/// Runs an agent without a capability: how it ends, and what it says.
fn run_without(lab: &Lab, capability: &str) -> (Option<i32>, String) {
    let program = Program {
        environment: lab[H1].changed_environment(&[]),
        ..Program::new("setpriv")
            .args(["--bounding-set", &format!("-{capability}"), "--"])
            // Should it not end at once, the code is 124.
            .args(["timeout", "10", &linkd().display().to_string()])
    };
    let output = lab.run_on(H1, &program);
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_missing_capability_is_named() {
    let lab = Lab::builder(1).etcd_members(0).build();
    for capability in ["net_admin", "net_raw"] {
        let (code, said) = run_without(&lab, capability);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(&format!("CAP_{}", capability.to_uppercase())), "{said}");
    }
}

#[test]
fn two_capabilities_are_all_that_an_agent_needs() {
    let mut lab = Lab::new(1);
    lab[H1].run_as_nobody(NOBODY);
    lab[H1].start();
    lab[H1].api().add(VIP);
    lab.await_owner(VIP);
    lab.await_reachable(VIP);
    eventually("the local copy is written", || lab[H1].state_file().exists());
}

/// The state folder of a host as the agent sees it, which has a mount namespace of its own.
fn inside(lab: &Lab, host: HostId, file: &str) -> std::path::PathBuf {
    let folder = lab[host].state_file();
    let folder = folder.parent().expect("a folder").strip_prefix("/").expect("absolute");
    Path::new("/proc")
        .join(lab[host].agent().pid().to_string())
        .join("root")
        .join(folder)
        .join(file)
}

#[test]
fn a_full_disk_costs_the_local_copy_and_nothing_else() {
    let mut lab = Lab::new(1);
    // The smallest file system there is: two pages, of which the ballast takes all.
    lab[H1].wrap(&[
        "unshare",
        "--mount",
        "sh",
        "-c",
        "mkdir -p $STATE_DIR && mount -t tmpfs -o size=8k tmpfs $STATE_DIR && \
         dd if=/dev/zero of=$STATE_DIR/ballast bs=4k count=2 2> /dev/null; exec $0",
    ]);
    lab[H1].start_with(&[("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")]);
    lab[H1].api().add(VIP);
    lab.await_owner(VIP);
    let said = |what: &str| lab[H1].agent().log().contains(what);
    eventually("it is reported", || said("a start without etcd would miss changes"));
    let copy = inside(&lab, H1, "h1.json");
    assert!(!copy.exists(), "half a copy");
    fs::remove_file(inside(&lab, H1, "ballast")).unwrap();
    lab[H1].api().add(VIP2);
    eventually("it is written again", || said("is written again"));
    eventually("it has both", || {
        let copied = fs::read_to_string(&copy).unwrap();
        [VIP, VIP2].iter().all(|vip| copied.contains(&vip.to_string()))
    });
}

#[test]
fn a_folder_that_cannot_be_written_costs_the_local_copy_and_nothing_else() {
    let mut lab = Lab::new(1);
    let no_folder = lab.folder().join("a-file");
    fs::write(&no_folder, "").unwrap();
    lab[H1].start_with(&[("STATE_DIR", &no_folder.display().to_string())]);
    lab[H1].api().add(VIP);
    lab.await_owner(VIP);
    eventually("it is reported", || {
        lab[H1].agent().log().contains("a start without etcd would miss changes")
    });
    assert_eq!(lab[H1].api().get("/health").status, 200);
}

#[test]
fn a_host_that_boots_without_etcd_and_without_a_copy_takes_part_when_etcd_is_back() {
    let mut lab = Lab::sharing(2, VIP);
    lab.await_owner(VIP);
    lab.etcd.stop();
    for host in [H1, H2] {
        lab[host].kill();
        fs::remove_file(lab[host].state_file()).unwrap();
        lab[host].restart_without_etcd();
    }
    assert_eq!(lab[H1].api().get("/health").status, 503);
    // Whoever had the IP still has it: no address is a left-over before etcd has said so.
    holds_for(LEASE_AND_MORE, "it is bound", || !lab.bound_on(VIP).is_empty());
    lab.etcd.start_all();
    lab.await_owner(VIP);
    for host in [H1, H2] {
        eventually("it is well again", || lab[host].api().get("/health").status == 200);
    }
}

#[test]
fn a_long_outage_of_etcd_fills_no_log() {
    let mut lab = Lab::builder(1).etcd_members(3).build();
    lab[H1].start_with(&[("KEEPALIVE_INTERVAL", "200ms"), ("RUST_LOG", "")]);
    let vips: Vec<Vip> = (1..=50).map(Vip::v4).collect();
    for vip in &vips {
        lab[H1].api().add(*vip);
    }
    eventually("all are owned", || lab[H1].api().list().iter().all(|ip| ip.status == "ACTIVATED"));
    let lines = || lab[H1].agent().log().lines().count();
    let before = lines();
    lab.etcd.freeze();
    eventually("etcd is lost", || lab[H1].agent().log().contains("etcd is lost"));
    // Some hundred renewals that fail, as many as in minutes with the default interval.
    let after = lines();
    holds_for(Duration::from_secs(20), "nothing more is said", || lines() == after);
    lab.etcd.thaw();
    eventually("it is well again", || lab[H1].api().get("/health").status == 200);
    let said = lines() - before;
    println!("{said} lines");
    assert!(said <= 10, "{}", lab[H1].agent().log());
}
