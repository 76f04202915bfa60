//! `linkctl leave`.

use crate::answers::WELL;
use crate::server::{Server, done, http};
use crate::{ID, ip, list};

/// An agent of h1 with an IP for which these are the candidates.
fn agent(candidates: &str) -> Server {
    let own = r#"{"hostname":"h1","alive":true,"available":true}"#;
    let status = WELL.replace(&format!("[{own}]"), &format!("[{own}{candidates}]"));
    Server::agent(&[
        ("GET /ips", http("200 OK", &list(&[ip(ID, "10.0.0.1/32")]))),
        ("GET /status", http("200 OK", &status)),
        (&format!("DELETE /ips/{ID}"), done()),
        ("POST /leave", done()),
    ])
}

fn lines(agent: Server) -> Vec<String> {
    let first = |request: String| request.split(" HTTP/1.0\r\n").next().unwrap().to_owned();
    agent.requests().into_iter().map(first).collect()
}

#[test]
fn all_ips_are_deleted_and_then_the_host_is() {
    let agent = agent(r#",{"hostname":"h2","alive":true,"available":true}"#);
    let run = agent.linkctl(&["leave"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stdout.starts_with("- 10.0.0.1/32\n"), "{run:?}");
    assert!(run.stdout.contains("systemctl disable --now link"), "{run:?}");
    let delete = format!("DELETE /ips/{ID}");
    assert_eq!(lines(agent), ["GET /ips", "GET /status", &delete, "POST /leave"]);
}

#[test]
fn an_ip_that_no_other_host_would_take_is_in_the_way() {
    for others in [
        "",
        r#",{"hostname":"h2","alive":false,"available":true}"#,
        r#",{"hostname":"h2","alive":true,"available":false}"#,
    ] {
        let agent = agent(others);
        let run = agent.linkctl(&["leave"]);
        run.assert_fails(1, "no other host would take 10.0.0.1/32; nothing was changed");
        assert!(run.stderr.contains("linkctl leave --force"), "{run:?}");
        assert_eq!(lines(agent), ["GET /ips", "GET /status"]);
    }
    let agent = agent("");
    agent.linkctl(&["leave", "--force", "--json"]).assert_prints("{}\n");
    let delete = format!("DELETE /ips/{ID}");
    assert_eq!(lines(agent), ["GET /ips", &delete, "POST /leave"]);
}
