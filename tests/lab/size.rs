//! What others have put under LinK's prefixes, however much it is.

use crate::harness::*;

#[test]
fn megabytes_under_the_prefixes_stop_nothing() {
    let mut lab = Lab::sharing(2, VIP);
    lab.await_owner(VIP);
    for prefix in ["/link/default/junk", "/link/hosts/h1/junk", "/link/hosts/h2/junk"] {
        lab.etcd.fill(prefix, 6, 1_000_000);
    }
    // All is read again, and watched from there.
    lab.etcd.restart();
    for _ in 0..2 {
        let owner = lab.await_owner(VIP);
        lab[owner].terminate();
        lab.await_owner_other_than(owner, VIP);
        lab[owner].start();
    }
    // What is new is heard of.
    lab[H1].api().add(VIP2);
    assert_eq!(lab.await_owner(VIP2), H1);
    lab[H2].api().add(VIP2);
    lab[H1].terminate();
    lab.await_owner_other_than(H1, VIP2);
}
