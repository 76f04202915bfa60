//! What others write is read, and what we write is what they read.

use super::*;

#[test]
fn what_is_fixed_is_told_as_json_has_it() {
    let text = r#"{"id":"vip-1","ip":"10.0.0.1/32","interface":"eth0","status":"STANDBY",
        "plugin":"arp","election_key":"10.0.0.1_32","owner":null,"bound":true}"#;
    let ip: Ip = serde_json::from_str(text).unwrap();
    let json: serde_json::Value = serde_json::from_str(text).unwrap();
    for field in Ip::FIXED {
        assert_eq!(ip.fixed(field), json[field].to_string().trim_matches('"'), "{field}");
    }
}

#[test]
fn what_the_go_link_shows_is_read() {
    let text = r#"{"id":"vip-1","ip":"10.0.0.1/32","status":"STANDBY","checks":null}"#;
    let ip: Ip = serde_json::from_str(text).unwrap();
    assert_eq!((ip.ip.as_str(), ip.checks.len(), ip.owner), ("10.0.0.1/32", 0, None));
}
