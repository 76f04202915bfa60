//! `linkctl events`: what happened, and what happens.

use crate::server::{Server, http};

/// The answer of an agent that has events with these numbers; the client knew others if 4 is the last.
pub(crate) fn of(numbers: &[u64]) -> String {
    let event = |seq| {
        format!(
            r#"{{"seq":{seq},"time":"2026-11-29T07:00:00.12{seq}Z","host":"h1","ip":"10.0.0.1/32","kind":"move","what":"owner h1 -> h2","why":"\u001b[2Jdead","took_ms":7}}"#
        )
    };
    let events: Vec<String> = numbers.iter().map(event).collect();
    let last = numbers.last().unwrap_or(&0);
    let events = events.join(",");
    format!(
        "{{\"history\":\"a-b\",\"last\":{last},\"missed\":{},\"events\":[{events}]}}\n",
        *last == 4
    )
}

#[test]
fn events_are_lines_and_go_on_after_those_that_are_known() {
    let ok = |numbers: &[u64]| http("200 OK", &of(numbers));
    let answers =
        [("GET /events", ok(&[1, 2])), ("GET /events?after=2&history=a-b&wait=30", ok(&[4]))];
    let line = |seq| {
        format!("11-29 07:00:00.12{seq} 10.0.0.1/32 owner h1 -> h2 (7 ms): \\u{{1b}}[2Jdead\n")
    };
    let agent = Server::agent(&answers);
    agent.linkctl(&["events"]).assert_prints(&[line(1), line(2)].concat());
    let json = agent.linkctl(&["events", "--json"]);
    json.assert_prints(&of(&[1, 2]));
    // The agent knows no answer to the third question, which ends it.
    let followed = agent.linkctl(&["events", "--follow"]);
    assert_eq!(followed.code, Some(3), "{followed:?}");
    assert_eq!(followed.stdout, [line(1), line(2), line(4)].concat());
    assert!(followed.stderr.contains("events were missed"), "{followed:?}");
    let json = agent.linkctl(&["events", "-f", "--json"]).stdout;
    let numbers = json.lines().map(|line| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        event["seq"].as_u64().unwrap()
    });
    assert_eq!(numbers.collect::<Vec<_>>(), [1, 2, 4]);
}
