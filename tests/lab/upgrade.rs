//! etcd itself is upgraded while the agents run.

use std::time::Duration;

use crate::harness::*;

/// Longer than a lease lasts without renewals: what holds for this long is no after-effect.
const LEASE_AND_MORE: Duration = Duration::from_secs(6);

/// One member after the other, the leader among them. A member that ends in order is waited for by those that ask it,
/// and one that leads hands that over.
#[test]
fn a_rolling_upgrade_of_etcd_from_3_4_to_3_5_loses_no_ping_and_moves_nothing() {
    let mut lab =
        Lab::builder(3).etcd_members(3).management_network().etcd_release(ETCD_3_4).build();
    lab.start_all();
    lab.offer(VIP);
    lab.offer(VIP6);
    let owners = [VIP, VIP6].map(|vip| lab.await_calm(vip));
    let locks = [VIP, VIP6].map(|vip| lab.lock(vip));
    let mut addresses: Vec<_> = lab.ids().iter().map(|id| lab[*id].monitor_addresses()).collect();
    let pingers = [VIP, VIP6].map(|vip| lab.client.ping(vip.ip()));
    // The first that is upgraded leads, and so does whichever is next.
    lab.etcd.lead(0);
    for member in 0..3 {
        assert_eq!(
            (lab.etcd.members_of(ETCD_3_4), lab.etcd.members_of(ETCD_3_5)),
            (3 - member, member)
        );
        lab.etcd.upgrade_member(member, ETCD_3_5);
    }
    assert_eq!(lab.etcd.members_of(ETCD_3_5), 3);
    holds_for(LEASE_AND_MORE, "no move", || {
        [VIP, VIP6].map(|vip| lab.owner(vip)) == owners.map(Some)
    });
    for pinger in pingers {
        let pings = pinger.stop();
        assert!(pings.lost == 0 && pings.sent > 1000, "{pings:?}");
    }
    for monitor in &mut addresses {
        assert_eq!(monitor.changes(), []);
    }
    assert_eq!([VIP, VIP6].map(|vip| lab.lock(vip)), locks, "nobody has lost its lease");
    for host in [H1, H2, H3] {
        assert!(!lab[host].agent().log().contains("etcd is lost"), "{host} has lost etcd");
        lab[host].api().await_well();
    }
    // What the agents rely on works in the cluster of the new version, too.
    lab[owners[0]].api().failover(VIP).expect(204);
    lab.await_owner_other_than(owners[0], VIP);
}
