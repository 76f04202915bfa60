//! What an agent costs that has nothing to do.

use std::fs;

use crate::harness::*;

/// The threads that the agent starts and names, without those of an IP and of the API.
const NAMED: [&str; 6] = ["copy", "etcd-io", "gate", "log", "net", "supervisor"];
/// The threads of the API, and as many connections behind the gate.
const API: usize = 16;
/// Beside them: the main thread, and of tiny_http one that accepts, one for each of its connections, and
/// one that may have come too many at the start.
const UNNAMED: usize = API + 3;

/// The names of a process's threads, ordered.
fn threads(pid: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    let mut names: Vec<String> = names.map(|name| name.trim().to_owned()).collect();
    names.sort();
    names
}

#[test]
fn an_agent_without_ips_has_few_threads() {
    let mut lab = Lab::new(1);
    lab[H1].start();
    lab[H1].api().get("/health");
    let pid = lab[H1].agent().pid();
    let (named, unnamed): (Vec<String>, Vec<String>) =
        threads(pid).into_iter().partition(|name| name != "linkd");
    let (api, named): (Vec<String>, Vec<String>) =
        named.into_iter().partition(|name| name.starts_with("api-"));
    assert_eq!((named, api.len()), (NAMED.map(str::to_owned).to_vec(), API));
    assert!(unnamed.len() <= UNNAMED, "{} unnamed threads", unnamed.len());
}
