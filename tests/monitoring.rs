//! The alerts and the dashboard in `packaging/monitoring` ask only for what an agent tells. That Prometheus
//! takes them is seen in the lab.
#![allow(
    clippy::unwrap_used,
    reason = "in a test, also outside its own function, it is an assertion"
)]

use std::collections::BTreeSet;

use link::metrics::{FAMILIES, Family, Kind};
use serde_json::Value;

const RULES: &str = include_str!("../packaging/monitoring/link.rules.yml");
const RULES_TEST: &str = include_str!("../packaging/monitoring/link.rules.test.yml");
const DASHBOARD: &str = include_str!("../packaging/monitoring/link.dashboard.json");

/// The names of an agent's metrics in a text.
fn names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("linkd_") || word.starts_with("process_")).collect()
}

/// Whether a family has samples of that name.
fn tells(family: &Family, name: &str) -> bool {
    match family.kind {
        Kind::Counter | Kind::Gauge => name == family.name,
        Kind::Histogram => {
            let suffix = name.strip_prefix(family.name);
            matches!(suffix, Some("_bucket" | "_sum" | "_count"))
        }
    }
}

/// All texts under this key, at whatever depth.
fn texts<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                found.extend(field.as_str().filter(|_| name == key));
                texts(field, key, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, key, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn queries() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let mut found = Vec::new();
    texts(&dashboard, "expr", &mut found);
    texts(&dashboard["templating"], "query", &mut found);
    found.into_iter().map(str::to_owned).collect()
}

#[test]
fn alerts_and_dashboard_ask_for_what_is_told() {
    let queries = queries().join("\n");
    for (place, text) in
        [("alerts", RULES), ("tests of the alerts", RULES_TEST), ("dashboard", queries.as_str())]
    {
        let names = names(text);
        assert!(names.len() > 10, "{place}: {names:?}");
        for name in names {
            assert!(FAMILIES.iter().any(|it| tells(it, name)), "{place}: nobody tells {name}");
        }
    }
}

#[test]
fn the_dashboard_shows_all_that_is_told() {
    let queries = queries();
    assert!(queries.len() > 20, "{queries:?}");
    for family in FAMILIES {
        let shown = queries.iter().any(|it| names(it).iter().any(|name| tells(family, name)));
        assert!(shown, "no panel shows {}", family.name);
    }
}

#[test]
fn every_alert_says_what_to_do_and_is_tested() {
    let alerts: Vec<&str> = RULES.split("- alert: ").skip(1).collect();
    assert!(alerts.len() > 10);
    for alert in alerts {
        let name = alert.lines().next().unwrap();
        for part in ["expr:", "severity:", "summary:", "description:"] {
            assert!(alert.contains(part), "{name} has no {part}");
        }
        let fires = format!("alertname=\"{name}\"}}', value: ");
        assert!(RULES_TEST.contains(&fires), "it is not tested that {name} is told");
    }
}
