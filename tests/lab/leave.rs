//! A host that leaves the cluster for good.

use crate::harness::*;

#[test]
fn a_host_that_leaves_hands_over_and_leaves_nothing_in_etcd() {
    let mut lab = Lab::new(2);
    lab.start_all();
    lab[H1].api().add(VIP);
    assert_eq!(lab.await_owner(VIP), H1);
    let leave = |lab: &Lab| lab.run_on(H1, &Program::new(linkctl()).args(["leave"]));
    let refused = leave(&lab);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("no other host would take 10.0.1.1/32; nothing was changed"), "{said}");
    assert!(lab[H1].binds(VIP.ip()));

    lab[H2].api().add(VIP);
    eventually("h2 is a candidate", || lab[H1].api().hosts(VIP).iter().any(|host| host == "h2"));
    let mut holders = lab.watch_holders(VIP);
    let left = leave(&lab);
    assert!(left.status.success(), "{left:?}");
    assert_eq!(lab.owner(VIP), Some(H2));
    let changes: Vec<_> = holders.changes().iter().map(|it| (it.host, it.holds)).collect();
    assert_eq!(changes, [(H2, true), (H1, false)], "make before break");
    assert!(!lab[H1].binds(VIP.ip()));
    assert!(lab[H1].terminate().success());
    let keys: Vec<String> = lab.etcd.list("/link/").into_iter().map(|entry| entry.key).collect();
    let of_h1 = |key: &&String| key.split('/').any(|part| part == "h1");
    assert_eq!(keys.iter().filter(of_h1).collect::<Vec<_>>(), Vec::<&String>::new());
    assert!(keys.iter().any(|key| key == "/link/config/h2"), "{keys:?}");
    // It is as one that was never here.
    lab[H1].restart();
    assert_eq!(lab[H1].api().list(), []);
}
