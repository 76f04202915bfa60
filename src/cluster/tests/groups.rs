//! IPs that have one owner.

use super::*;

#[test]
fn an_ip_of_a_group_has_the_owner_and_the_candidates_of_the_group() {
    let story = Story::of(3).lock(IP, "group:gw", 0).lock("10.0.0.2_32", "group:gw", 0);
    let story = story.lock("group:gw", "h2", 2);
    let story = story.offers("group:gw@7", "h1", 1).offers("group:gw@7", "h2", 2);
    // One of the hosts is still to learn of the last change of the group.
    let story = story.offers("group:gw@5", "h3", 3);
    let status = story.status();
    assert_eq!(status.findings, []);
    for (ip, address) in status.ips.iter().zip(["10.0.0.1/32", "10.0.0.2/32"]) {
        let shown = (ip.ip.as_str(), ip.owner.as_deref(), ip.group.as_deref());
        assert_eq!(shown, (address, Some("h2"), Some("gw")));
        assert_eq!(ip.candidates.len(), 3);
    }
    assert_eq!(status.ips.len(), 2);
    let owns: Vec<(u64, u64)> = status.hosts.iter().map(|host| (host.offers, host.owns)).collect();
    assert_eq!(owns, [(2, 0), (2, 2), (2, 0)]);
}

#[test]
fn who_offers_an_ip_of_a_group_without_the_group_is_no_candidate() {
    let story = Story::of(3).lock(IP, "group:gw", 0).lock("group:gw", "h2", 2);
    let story = story.offers("group:gw@7", "h1", 1).offers("group:gw@7", "h2", 2);
    let text =
        "it belongs to group gw: h3 cannot have it, because it does not offer all of the group";
    story.offers(IP, "h3", 3).finds(&[("redundancy", "10.0.0.1/32", text)]);
}

#[test]
fn a_host_that_is_gone_still_offers_the_group() {
    let story = Story::of(3).lock(IP, "group:gw", 0).lock("group:gw", "h2", 2);
    let story = story.offers("group:gw@7", "h1", 1).offers("group:gw@7", "h2", 2);
    let mut story = story.gone(3, "10.0.0.1/32");
    let kv = &mut story.records[0].1[0];
    kv.value.pop();
    kv.value.extend(br#","group":"gw"}"#);
    let status = story.status();
    let found: Vec<&str> = status.findings.iter().map(|it| it.text.as_str()).collect();
    assert_eq!(found, ["the host is gone; it offers 1 IP"]);
    let names: Vec<_> =
        status.ips[0].candidates.iter().map(|it| (it.hostname.as_str(), it.alive)).collect();
    assert_eq!(names, [("h1", Some(true)), ("h2", Some(true)), ("h3", Some(false))]);
}

#[test]
fn an_ip_of_a_group_that_nobody_owns_has_no_owner() {
    let story = Story::of(1).lock(IP, "group:gw", 0).offers(IP, "h1", 1);
    let text = "no host owns it: group gw has no candidate, and h1 offers the IP without the group";
    story.finds(&[("no_owner", "10.0.0.1/32", text)]);
}

/// The IP that h1 offers in group gw, which it has not joined.
fn wanted(mut story: Story) -> Story {
    let ip = own_ip("10.0.0.1/32", None, false);
    let (group, election_key) = (Some("gw".to_owned()), IP.to_owned());
    story.own.ips = vec![wire::Ip { group, election_key, ..ip }];
    story
}

/// The group of another IP, with candidates h1 and h2.
fn with_group(story: Story) -> Story {
    let story = story.lock("10.0.0.2_32", "group:gw", 0).lock("group:gw", "h2", 2);
    wanted(story.offers("group:gw@7", "h1", 1).offers("group:gw@7", "h2", 2))
}

#[test]
fn an_ip_that_has_not_joined_its_group_is_told_with_the_reason() {
    let of = |owner: (&str, i64)| Story::of(3).lock(IP, owner.0, owner.1).offers(IP, "h1", 1);
    let finds = |story: Story, why: &str| {
        let text = format!("it has not joined group gw: {why}");
        story.finds(&[("problem", "10.0.0.1/32", &text)]);
    };
    let story = with_group(of(("h1", 1)).offers(IP, "h3", 3));
    finds(story, "not all candidates for the group offer it: h2");
    let story = with_group(of(("h3", 3)).offers(IP, "h2", 2).offers(IP, "h3", 3));
    let why = "h3 owns it, and h2 the group; h3 hands it over when it offers it in the group, too";
    finds(story, why);
    let story = with_group(of(("h2", 2)).offers(IP, "h2", 2));
    finds(story, "h2 owns it, and does not offer it in the group");
    let story = wanted(of(("h2", 2)).offers(IP, "h2", 2));
    finds(story, "h2 owns it, and does not offer it in the group");
    let story = Story::of(2).lock(IP, "group:other", 0).lock("group:other", "h2", 2);
    let story = story.offers("group:other@3", "h1", 1).offers("group:other@3", "h2", 2);
    finds(wanted(story), "it belongs to group other");
}

#[test]
fn an_ip_that_is_about_to_join_its_group_needs_nobody() {
    let story = || Story::of(2).lock(IP, "h1", 1).offers(IP, "h1", 1).offers(IP, "h2", 2);
    assert_eq!(wanted(story()).status().findings, []);
    let owned = story().lock("10.0.0.2_32", "group:gw", 0).lock("group:gw", "h1", 1);
    let owned = owned.offers("group:gw@7", "h1", 1).offers("group:gw@7", "h2", 2);
    assert_eq!(wanted(owned).status().findings, []);
    let mut joined = with_group(Story::of(2).lock(IP, "group:gw", 0));
    joined.own.ips[0].election_key = "group:gw".to_owned();
    assert_eq!(joined.status().findings, []);
}

#[test]
fn a_group_that_is_full_is_told() {
    let mut story = Story::of(2).lock(IP, "h1", 1).offers(IP, "h1", 1).offers(IP, "h2", 2);
    story = story.lock("group:gw", "h1", 1);
    story = story.offers("group:gw@7", "h1", 1).offers("group:gw@7", "h2", 2);
    for number in 2..34 {
        story = story.lock(&format!("10.0.0.{number}_32"), "group:gw", 0);
    }
    let why = "it has not joined group gw: the group has 32 IPs, and no group has more";
    wanted(story).finds(&[("problem", "10.0.0.1/32", why)]);
}
