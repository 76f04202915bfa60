use super::*;

fn new_ip(body: &[u8]) -> Result<NewVip, Reply> {
    Ok(super::new_ip(&object(body)?)?)
}

fn new_endpoint(body: &[u8]) -> Result<NewVip, Reply> {
    Ok(super::new_endpoint(&object(body)?)?)
}

fn created(text: &str) -> NewVip {
    new_ip(text.as_bytes()).unwrap_or_else(|reply| panic!("{text}: {reply:?}"))
}

fn refused<T>(result: Result<T, impl Into<Reply>>) -> (u16, Value) {
    let Err(reply) = result.map_err(Into::into) else { panic!("it was accepted") };
    (reply.status, serde_json::from_slice(&reply.body).unwrap())
}

fn text_of<T>(result: Result<T, impl Into<Reply>>, status: u16) -> String {
    let (found, body) = refused(result);
    assert_eq!(found, status, "{body}");
    body["error"].as_str().unwrap().to_owned()
}

#[test]
fn an_ip_needs_nothing_but_its_address() {
    let expected = NewVip {
        cidr: "10.0.0.1/32".parse().unwrap(),
        checks: Vec::new(),
        healthcheck_interval: 0,
        interface: None,
        loss: None,
        priority: None,
        group: None,
        force: false,
    };
    assert_eq!(created(r#"{"ip":"10.0.0.1"}"#), expected);
    let as_go_writes_it = r#"{"id":"","ip":"10.0.0.1/32","checks":null,"interface":null,
        "healthcheck_interval":0,"etcd_loss_policy":null}"#;
    assert_eq!(created(as_go_writes_it), expected);
}

#[test]
fn everything_that_was_sent_is_kept() {
    let vip = created(
        r#"{"ip":"fd00::1/64","healthcheck_interval":3600,"interface":"eth1.100",
            "etcd_loss_policy":"hold","priority":255,"force":true,
            "checks":[{"type":"TCP","host":"::1","port":65535,"extra":1}],"extra":{}}"#,
    );
    assert_eq!(vip.cidr.to_string(), "fd00::1/64");
    assert_eq!(vip.healthcheck_interval, 3600);
    assert!(vip.force);
    assert_eq!(vip.interface.as_deref(), Some("eth1.100"));
    assert_eq!((vip.loss, vip.priority), (Some(LossPolicy::Hold), Some(255)));
    assert_eq!(vip.checks, [Check::tcp("::1", 65535)]);
}

#[test]
fn a_wrong_shape_is_400_and_names_the_field() {
    for (names, text) in [
        ("not JSON", ""),
        ("not JSON", "{"),
        ("not JSON", "\u{0}"),
        ("not JSON", "{} {}"),
        ("the body", "[]"),
        ("the body", "null"),
        ("ip is missing", "{}"),
        ("ip is missing", r#"{"ip":null}"#),
        ("ip must be a string, not 5", r#"{"ip":5}"#),
        ("interface", r#"{"ip":"10.0.0.1","interface":[]}"#),
        ("etcd_loss_policy must be a", r#"{"ip":"10.0.0.1","etcd_loss_policy":true}"#),
        ("healthcheck_interval", r#"{"ip":"10.0.0.1","healthcheck_interval":"5"}"#),
        ("healthcheck_interval", r#"{"ip":"10.0.0.1","healthcheck_interval":5.5}"#),
        ("checks must be an array", r#"{"ip":"10.0.0.1","checks":{}}"#),
        ("checks[0] must be an object", r#"{"ip":"10.0.0.1","checks":[5]}"#),
        ("checks[0].port is missing", r#"{"ip":"10.0.0.1","checks":[{"type":"TCP","host":"h"}]}"#),
        ("checks[0].host", r#"{"ip":"10.0.0.1","checks":[{"type":"TCP","port":1}]}"#),
        ("checks[0].type", r#"{"ip":"10.0.0.1","checks":[{"type":1,"host":"h","port":1}]}"#),
        ("the string 80", r#"{"ip":"10.0.0.1","checks":[{"type":"TCP","host":"h","port":"80"}]}"#),
    ] {
        let error = text_of(new_ip(text.as_bytes()), 400);
        assert!(error.contains(names), "{text}: {error}");
    }
}

#[test]
fn nesting_without_end_is_not_json_to_us() {
    let text = "[".repeat(60_000);
    assert!(text_of(new_ip(text.as_bytes()), 400).contains("not JSON"));
}

#[test]
fn an_address_that_cannot_be_shared_is_422() {
    for text in [
        "",
        "10.0.0",
        "10.0.0.1/33",
        "fd00::1/129",
        "224.0.0.1",
        "255.255.255.255",
        "10.0.0.255/24",
        "0.0.0.0",
        "::",
        "127.0.0.1",
        "::1",
        "ff02::1",
        "::ffff:10.0.0.1",
    ] {
        let body = format!(r#"{{"ip":"{text}"}}"#);
        let error = text_of(new_ip(body.as_bytes()), 422);
        assert!(error.starts_with("ip: ") && error.contains(text), "{text}: {error}");
    }
}

#[test]
fn all_mistakes_are_told_together() {
    let (status, body) = refused(new_ip(
        br#"{"ip":"300.0.0.1","healthcheck_interval":3601,"interface":"a/b",
            "etcd_loss_policy":"guess","checks":[
            {"type":"UDP","host":"","port":0},
            {"type":"TCP","host":"","port":0},
            {"type":"TCP","host":"h","port":1},
            {"type":"TCP","host":"a b","port":65536}]}"#,
    ));
    assert_eq!(status, 422);
    let errors = body["errors"].as_object().unwrap();
    let fields: Vec<&String> = errors.keys().collect();
    assert_eq!(fields, ["checks", "etcd_loss_policy", "healthcheck_interval", "interface", "ip"]);
    assert_eq!(errors["etcd_loss_policy"][0], "guess is not a policy (take, probe, hold)");
    let checks = errors["checks"].as_array().unwrap();
    assert_eq!(checks.len(), 5, "{checks:?}");
    let known = "only TCP, LINK, HTTP and EXEC are known";
    assert_eq!(checks[0], format!("type UDP of check 0 is unknown, {known}"));
    assert_eq!(checks[1], "host \"\" of check 1 is not an address or a name");
    let error = body["error"].as_str().unwrap();
    for value in ["300.0.0.1", "3601", "a/b", "UDP", "port 0", "port 65536"] {
        assert!(error.contains(value), "{value}: {error}");
    }
}

#[test]
fn numbers_out_of_range_are_422_however_large() {
    for number in ["-1", "3601", "18446744073709551616", "1e300", "-9223372036854775809"] {
        let body = format!(r#"{{"ip":"10.0.0.1","healthcheck_interval":{number}}}"#);
        let error = text_of(new_ip(body.as_bytes()), 422);
        assert!(error.starts_with("healthcheck_interval: "), "{error}");
    }
    for number in ["-1", "0", "65536", "18446744073709551616", "1e300"] {
        let check = format!(r#"{{"type":"TCP","host":"h","port":{number}}}"#);
        let body = format!(r#"{{"healthchecks":[{check}]}}"#);
        assert!(text_of(change(body.as_bytes()), 422).starts_with("healthchecks: port"));
    }
}

#[test]
fn an_interface_has_a_name_that_the_kernel_accepts() {
    for name in ["", ".", "..", "a/b", "a b", "eth0:1", "sixteen-bytes-xx", "a\\u0000"] {
        let body = format!(r#"{{"ip":"10.0.0.1","interface":"{name}"}}"#);
        assert!(text_of(new_ip(body.as_bytes()), 422).starts_with("interface: "), "{name}");
    }
}

#[test]
fn a_long_value_is_not_repeated_in_full() {
    let body = format!(r#"{{"ip":"{}"}}"#, "é".repeat(10_000));
    assert!(text_of(new_ip(body.as_bytes()), 422).len() < 300);
}

#[test]
fn the_checks_have_two_names() {
    let check = r#"[{"type":"TCP","host":"h","port":1}]"#;
    for field in ["healthchecks", "checks"] {
        let body = format!(r#"{{"{field}":{check}}}"#);
        let change = change(body.as_bytes()).unwrap();
        assert_eq!((change.checks.unwrap().len(), change.loss), (1, None), "{field}");
    }
    let both = format!(r#"{{"checks":{check},"healthchecks":null}}"#);
    assert!(text_of(change(both.as_bytes()), 422).starts_with("checks: say something else"));
    assert_eq!(text_of(change(b"{}"), 400), "healthchecks is missing");
}

#[test]
fn the_interval_of_the_checks_can_be_changed() {
    let interval = |text: &str| change(text.as_bytes()).unwrap();
    let alone = interval(r#"{"healthcheck_interval":7}"#);
    assert_eq!(alone, Change { interval: Some(7), ..Change::default() });
    let both = interval(r#"{"healthcheck_interval":0,"healthchecks":[]}"#);
    let checks = Some(Vec::new());
    assert_eq!(both, Change { checks, interval: Some(0), ..Change::default() });
    let text = text_of(change(br#"{"healthcheck_interval":3601}"#), 422);
    assert!(text.starts_with("healthcheck_interval: 3601 "), "{text}");
    text_of(change(br#"{"healthcheck_interval":"7"}"#), 400);
}

#[test]
fn a_change_names_the_checks_or_the_policy_or_both() {
    let loss = |text: &str| change(text.as_bytes()).unwrap();
    let hold = Some(Some(LossPolicy::Hold));
    let alone = loss(r#"{"etcd_loss_policy":"hold"}"#);
    assert_eq!(alone, Change { loss: hold, ..Change::default() });
    let both = loss(r#"{"etcd_loss_policy":"hold","healthchecks":[]}"#);
    assert_eq!(both, Change { checks: Some(Vec::new()), loss: hold, ..Change::default() });
    let back = loss(r#"{"etcd_loss_policy":null}"#);
    assert_eq!(back, Change { loss: Some(None), ..Change::default() });
    for (status, text) in [
        (422, r#"{"etcd_loss_policy":"Hold"}"#),
        (422, r#"{"etcd_loss_policy":"","healthchecks":[]}"#),
        (400, r#"{"etcd_loss_policy":1,"healthchecks":[]}"#),
    ] {
        assert!(text_of(change(text.as_bytes()), status).contains("etcd_loss_policy"), "{text}");
    }
}

#[test]
fn a_priority_is_a_number_of_eight_bits_or_the_agents() {
    let priority = |text: &str| change(text.as_bytes()).unwrap().priority;
    assert_eq!(priority(r#"{"priority":0}"#), Some(Some(0)));
    assert_eq!(priority(r#"{"priority":null,"healthchecks":[]}"#), Some(None));
    assert_eq!(priority(r#"{"healthchecks":[]}"#), None);
    for (status, text) in
        [(422, "256"), (422, "-1"), (400, "1.5"), (400, r#""high""#), (400, "true")]
    {
        let body = format!(r#"{{"ip":"10.0.0.1","priority":{text}}}"#);
        for error in
            [text_of(change(body.as_bytes()), status), text_of(new_ip(body.as_bytes()), status)]
        {
            assert!(error.contains("priority"), "{text}: {error}");
        }
    }
}

#[test]
fn a_group_is_a_plain_name_or_none() {
    let group = |text: &str| change(text.as_bytes()).unwrap().group;
    let name = |text: &str| text.parse::<GroupName>().ok();
    assert_eq!(group(r#"{"group":"gw-1"}"#), Some(name("gw-1")));
    assert_eq!(group(r#"{"group":null}"#), Some(None));
    assert_eq!(group(r#"{"healthchecks":[]}"#), None);
    assert_eq!(created(r#"{"ip":"10.0.0.1","group":"gw"}"#).group, name("gw"));
    for (status, text) in [(422, r#""a b""#), (422, r#""""#), (422, r#""a:b""#), (400, "7")] {
        let body = format!(r#"{{"ip":"10.0.0.1","group":{text}}}"#);
        for error in
            [text_of(change(body.as_bytes()), status), text_of(new_ip(body.as_bytes()), status)]
        {
            assert!(error.contains("group"), "{text}: {error}");
        }
    }
}

#[test]
fn an_endpoint_has_its_address_in_the_plugins_configuration() {
    let vip = new_endpoint(
        br#"{"plugin":"arp","plugin_config":{"ip":"10.0.0.1/32"},"healthcheck_interval":5}"#,
    )
    .unwrap();
    assert_eq!((vip.cidr.to_string().as_str(), vip.healthcheck_interval), ("10.0.0.1/32", 5));
    for (status, names, text) in [
        (422, "plugin: webhook", r#"{"plugin":"webhook","plugin_config":{}}"#),
        (422, "plugin_config.ip: x", r#"{"plugin_config":{"ip":"x"}}"#),
        (400, "plugin_config.ip is missing", r#"{"plugin_config":{}}"#),
        (400, "plugin_config is missing", r#"{"ip":"10.0.0.1"}"#),
        (400, "plugin_config must be an object", r#"{"plugin_config":"10.0.0.1"}"#),
        (400, "plugin must be a string", r#"{"plugin":1}"#),
    ] {
        let error = text_of(new_endpoint(text.as_bytes()), status);
        assert!(error.contains(names), "{text}: {error}");
    }
}

#[test]
fn a_failover_names_a_host_or_none() {
    let host = |text: &str| failover_host(text.as_bytes()).map_err(Reply::from);
    for text in ["", " \r\n", "{}", r#"{"host":null}"#] {
        assert_eq!(host(text), Ok(None), "{text}");
    }
    assert_eq!(host(r#"{"host":"h2"}"#), Ok(Some("h2".to_owned())));
    assert_eq!(host("h2").unwrap_err().status, 400);
    assert_eq!(host(r#"{"host":2}"#).unwrap_err().status, 400);
    assert_eq!(host(r#"{"host":""}"#).unwrap_err().status, 422);
    assert_eq!(host(r#"{"host":"a/b"}"#).unwrap_err().status, 422);
}

#[test]
fn what_cannot_be_changed_is_passed_on_as_it_is_said() {
    let change = change(
        br#"{"id":"vip-1","ip":"10.0.0.1","interface":"eth1","owner":null,"bound":true,"status":5,
            "since":7,"new":1,"checks":[],"plugin_config":{"ip":"10.0.0.2"}}"#,
    );
    let fixed = change.unwrap().fixed;
    let said = |field, text: &str| (field, text.to_owned());
    let expected = [
        said("id", "vip-1"),
        said("ip", "10.0.0.1/32"),
        said("interface", "eth1"),
        said("status", "5"),
        said("bound", "true"),
        said("ip", "10.0.0.2/32"),
    ];
    assert_eq!(fixed, expected);
}

#[test]
fn two_names_of_the_checks_say_the_same() {
    let both = |checks: &str| format!(r#"{{"healthchecks":[],"checks":{checks}}}"#);
    assert!(change(both("[]").as_bytes()).is_ok());
    let other = both(r#"[{"type":"TCP","host":"h","port":1}]"#);
    assert!(text_of(change(other.as_bytes()), 422).contains("checks: say something else"));
}
