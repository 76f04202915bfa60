//! What a record may not have.

use super::*;

#[test]
fn of_more_checks_than_an_ip_can_have_the_first_are_made_and_the_others_are_named() {
    let tcp = |port: u16| serde_json::json!({ "type": "TCP", "host": "h", "port": port });
    let found = |count: u16| {
        let value = serde_json::json!({
            "id": "vip-1b4e28ba-2fa1-41d2-883f-0016d3cca427",
            "ip": "10.0.0.1",
            "checks": (1..=count).map(tcp).collect::<Vec<_>>(),
            "more_checks": [{ "type": "LINK", "interface": "eth0" }],
        });
        RecordValue::deserialize(value).unwrap().into_record(7).unwrap().unwrap()
    };
    let full = found(31);
    assert_eq!((full.record.checks.len(), full.skipped), (32, None));
    let beyond = found(5000);
    assert_eq!(beyond.record.checks.len(), 32);
    assert!(beyond.record.checks.iter().all(Check::is_tcp));
    assert_eq!(beyond.record.checks[..31], full.record.checks[..31]);
    let named = beyond.skipped.unwrap();
    assert!(named.starts_with("5001 checks are too many, 32 are made"), "{named}");
}
