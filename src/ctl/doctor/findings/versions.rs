//! What is known of the versions of etcd: faults that take an IP from its owner, or give it to two. The releases are
//! those of etcd's CHANGELOG-3.4, 3.5 and 3.6; the numbers are of its issues.

/// A version: major, minor, patch.
type Version = (u32, u32, u32);

/// What a fault does, its issue, and the first patch of 3.4, 3.5 and 3.6 without it.
const FAULTS: [(&str, &str, [u32; 3]); 8] = [
    ("a leader that stood still ends all leases", "15247", [31, 13, 0]),
    ("a lease that has ended is renewed all the same", "20615", [38, 23, 5]),
    ("the time left of a lease is wrong after a change of the leader", "17704", [32, 14, 0]),
    ("events are lost on a busy watch", "17529", [31, 13, 0]),
    ("a watch starves beside reads on one TLS connection", "15402", [25, 8, 0]),
    ("a deletion is not told when a watch begins where etcd was compacted", "19179", [36, 18, 0]),
    ("a watch of the future tells old events", "20221", [38, 22, 2]),
    ("a read is stale after a pause", "20418", [42, 28, 9]),
];

/// The faults that this version has; none if it is not understood.
pub(super) fn faults(version: &str) -> Vec<(&'static str, &'static str)> {
    let Some((3, minor @ 4..=6, patch)) = parse(version) else { return Vec::new() };
    let branch = match minor {
        4 => 0,
        5 => 1,
        _ => 2,
    };
    let has = FAULTS.iter().filter(|(_, _, fixed)| patch < fixed[branch]);
    has.map(|(what, issue, _)| (*what, *issue)).collect()
}

/// The first release of the same branch without any of them.
pub(super) fn without_faults(version: &str) -> String {
    let Some((_, minor, _)) = parse(version) else { return "3.5.30".to_owned() };
    match minor {
        5 => "3.5.28".to_owned(),
        6 => "3.6.9".to_owned(),
        _ => "3.5.28 or 3.6.9".to_owned(),
    }
}

/// Whether nobody mends it any more: 3.4 since June 2026, and all before.
pub(super) fn is_ended(version: &str) -> bool {
    parse(version).is_some_and(|version| version < (3, 5, 0))
}

/// `3.5.16` or `v3.5.16-rc.0`.
fn parse(text: &str) -> Option<Version> {
    let mut parts = text.trim_start_matches('v').splitn(3, '.');
    let mut number = || {
        let part = parts.next()?;
        let digits = part.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok()
    };
    Some((number()?, number()?, number()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_end_with_the_release_that_mends_them() {
        for (version, count, ended) in [
            ("3.4.23", 8, true),
            ("3.4.42", 0, true),
            ("3.5.1", 8, false),
            ("v3.5.16", 4, false),
            ("3.5.27", 1, false),
            ("3.5.28", 0, false),
            ("3.6.1", 3, false),
            ("3.6.9", 0, false),
            ("3.7.0", 0, false),
            ("3.3.27", 0, true),
            ("nonsense", 0, false),
            ("", 0, false),
        ] {
            assert_eq!((faults(version).len(), is_ended(version)), (count, ended), "{version}");
        }
        assert_eq!(faults("3.5.27"), [("a read is stale after a pause", "20418")]);
        assert_eq!(parse("v3.6.0-rc.1"), Some((3, 6, 0)));
    }
}
