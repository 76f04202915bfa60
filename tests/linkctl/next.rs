//! Every error, with what to do next.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::run::{Run, linkctl, program};
use crate::server::{Server, http};
use crate::{ID, ip, list};

/// What it says of the mistake, and what to do.
#[track_caller]
fn assert_told(run: &Run, code: i32, mistake: &str, next: &str) {
    assert_eq!(run.code, Some(code), "{run:?}");
    let (told, todo) = run.stderr.rsplit_once("\n  -> ").unwrap_or_else(|| panic!("{run:?}"));
    assert!(told.contains(mistake), "{mistake:?} is not told: {run:?}");
    assert!(todo.contains(next), "{next:?} is not what to do: {run:?}");
}

#[test]
fn of_a_command_line_the_page_of_the_command_is_named() {
    let own = "see linkctl --help";
    for (args, mistake, next) in [
        ("", "a command is missing", own),
        ("lst", "there is no command \"lst\"; there are status,", own),
        ("list --nonsense", "invalid option '--nonsense'", own),
        ("add 10.0.0.1 --check", "missing argument for option '--check'", own),
        ("--user a:b list", "user must not contain a colon", own),
        ("--password a --password-file b list", "--password-file are both given", own),
        ("--cacert c list", "--cacert needs https:// before the host", own),
        ("add", "add needs an IP", "see linkctl add --help"),
        ("list x", "list does not take \"x\"", "see linkctl list --help"),
        ("list --to h2", "list does not take --to", "see linkctl list --help"),
        ("list --output x", "--output \"x\": there are table", "see linkctl list --help"),
        ("add 10.0.0.x", "IP \"10.0.0.x\": is not an IP address", "see linkctl add --help"),
        ("add 10.0.0.1 -f x", "add takes an IP with its options, or a file", "linkctl add --help"),
        ("add 10.0.0.1 --check udp://x", "--check \"udp://x\"", "see linkctl add --help"),
        ("add 10.0.0.1 --interval x", "--interval \"x\": is not a number", "linkctl add --help"),
        ("add 10.0.0.1 --priority 256", "is not a number from 0 to 255", "linkctl add --help"),
        ("add 10.0.0.1 --group a/b", "--group \"a/b\"", "linkctl add --help"),
        ("add 10.0.0.1 --interface=", "the name is empty", "linkctl add --help"),
        ("add 10.0.0.1 --etcd-loss-policy x", "--etcd-loss-policy \"x\"", "linkctl add --help"),
        ("add 10.0.0.1 --wait=0", "--wait \"0\": is not 1-3600", "linkctl add --help"),
        ("set 10.0.0.1", "set needs an option", "see linkctl set --help"),
        ("set 10.0.0.1 --interface e", "delete the IP, and add it", "see linkctl set --help"),
        ("apply", "apply needs -f FILE", "see linkctl apply --help"),
        ("show x", "\"x\" is neither an IP nor an id", "see linkctl show --help"),
        ("drain --for 0", "--for \"0\": is not a time", "see linkctl drain --help"),
        ("fence a/b", "is not a host's name in etcd", "see linkctl fence --help"),
        ("failover 10.0.0.1 --to a/b", "is not a host's name", "see linkctl failover --help"),
    ] {
        let args: Vec<&str> = args.split_ascii_whitespace().collect();
        let run = linkctl("h1", &args);
        assert_told(&run, 2, mistake, next);
        assert!(next == own || run.stderr.trim_end().ends_with(next), "{run:?}");
    }
    // That one is before everything else, so that it is not only the last of two.
    let run = Run::from(program().args(["--host", "a/b", "list"]).output().unwrap());
    assert_told(&run, 2, "--host \"a/b\": not a host name", own);
}

#[test]
fn of_the_environment_the_variable_is_named_and_how_to_do_without_it() {
    let odd = OsStr::from_bytes(b"\xff");
    let [host, user, word, file] =
        ["LINK_HOST", "LINK_USER", "LINK_PASSWORD", "LINK_PASSWORD_FILE"].map(OsStr::new);
    for (variables, mistake) in [
        (&[(host, OsStr::new("a/b"))] as &[(&OsStr, &OsStr)], "LINK_HOST \"a/b\": not a host name"),
        (&[(host, odd)], "LINK_HOST is not UTF-8"),
        (&[(user, odd)], "LINK_USER is not UTF-8"),
        (&[(word, OsStr::new("a")), (file, OsStr::new("b"))], "LINK_PASSWORD_FILE are both given"),
    ] {
        let run = program().arg("list").envs(variables.iter().copied()).output().unwrap();
        assert_told(&run.into(), 2, mistake, "correct or unset that variable");
    }
    let run = program().arg("list").env("LINK_PASSWORD_FILE", "/nonexistent/p").output().unwrap();
    let mistake = "LINK_PASSWORD_FILE \"/nonexistent/p\": No such file";
    assert_told(&run.into(), 2, mistake, "a file with the password on its first line");
}

#[test]
fn of_a_file_it_is_told_what_stands_in_one() {
    let folder = std::env::temp_dir().join(format!("linkctl-next-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("ips");
    let path = path.to_str().unwrap();
    for (text, mistake) in [
        ("", "there is no IP"),
        ("10.0.0.1\nx", "line 2: \"x\" is not an IP address"),
        ("10.0.0.1 --check", "line 1: --check needs a value"),
        ("10.0.0.1 --to h2", "line 1: \"--to\" is no option"),
        ("10.0.0.1\n10.0.0.1", "stands at line 1, too"),
        ("{", "it is not JSON"),
        ("{}", "it is neither an array of IPs"),
        ("[5]", "[0]: it is no object"),
        ("[{}]", "[0]: it has no \"ip\""),
    ] {
        std::fs::write(path, text).unwrap();
        for verb in ["add", "apply"] {
            let run = linkctl("h1", &[verb, "-f", path]);
            assert_told(&run, 2, &format!("read {path}: "), "correct the file; linkctl");
            assert_told(&run, 2, mistake, "correct the file; linkctl");
        }
    }
    std::fs::write(path, b"\xff").unwrap();
    for (path, mistake) in [
        (path, "stream did not contain valid UTF-8"),
        ("/nonexistent/f", "No such file"),
        ("/", "Is a directory"),
    ] {
        let run = linkctl("h1", &["apply", "-f", path]);
        assert_told(&run, 2, mistake, "the path of a file that this user can read");
    }
    let run = linkctl("127.0.0.1", &["doctor", "--env", "/nonexistent/e"]);
    assert_told(&run, 2, "there is no such file", "the path of a file that this user can read");
    let run = linkctl("192.0.2.1", &["doctor"]);
    assert_told(&run, 2, "192.0.2.1:1313 is another one", "run linkctl doctor on that host");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn of_each_status_of_the_agent_it_is_told_what_it_asks_for() {
    let versions = "linkctl version tells both versions";
    for (status, text, code, next) in [
        ("400 Bad Request", "the body is not JSON: x", 1, versions),
        ("401 Unauthorized", "credentials are missing or wrong", 6, "--user and LINK_PASSWORD"),
        ("403 Forbidden", "Host h is refused: not a name of this agent: see API_HOSTS", 1, "API_H"),
        ("404 Not Found", "there is nothing at /drain", 3, versions),
        ("404 Not Found", "not found", 3, "see linkctl list there"),
        ("405 Method Not Allowed", "/drain has no method POST, only GET", 1, versions),
        ("408 Request Timeout", "the request did not arrive within 10 s", 1, "do it again"),
        ("409 Conflict", "this host is not the owner of 10.0.0.1/32 (h2 is)", 1, "ask its owner"),
        ("409 Conflict", "its id is taken", 1, "do it again"),
        ("409 Conflict", "nobody has foreseen this", 1, "linkctl events on that host"),
        ("411 Length Required", "the request needs a Content-Length", 1, versions),
        ("413 Content Too Large", "the body is over 64 KiB", 1, "give fewer IPs at once"),
        ("422 Unprocessable Content", "ip: 10.0.0.1 is odd", 1, "give another value"),
        ("429 Too Many Requests", "too many wrong passwords came from it", 1, "wait a second"),
        ("431 Request Header Fields Too Large", "the head is over 16 KiB", 1, "shorten"),
        ("500 Internal Server Error", "no", 1, "log of the agent"),
        ("502 Bad Gateway", "no", 1, "log of the agent"),
        ("505 HTTP Version Not Supported", "only HTTP/1.1 and HTTP/1.0", 1, versions),
        ("503 Service Unavailable", "etcd is lost: silent for 5.0s", 7, "linkctl doctor on that"),
        ("503 Service Unavailable", "stopping", 7, "wait until the agent has started again"),
        ("503 Service Unavailable", "the agent is busy with other requests", 7, "in some seconds"),
        ("503 Service Unavailable", "too many requests wait for etcd", 7, "in some seconds"),
        ("503 Service Unavailable", "the name h1 is in use by x: this", 7, "another HOSTNAME"),
        ("503 Service Unavailable", "start the election of 10.0.0.1/32: x", 7, "TasksMax"),
    ] {
        let agent = Server::always(&http(status, &format!("{{\"error\":\"{text}\"}}")));
        let told = if code == 6 { "asks for a user and a password" } else { text };
        assert_told(&agent.linkctl(&["lock", ID]), code, told, next);
    }
    let unknown = r#"{"error":"etcd does not answer","outcome":"unknown"}"#;
    let agent = Server::always(&http("503 Service Unavailable", unknown));
    assert_told(&agent.linkctl(&["lock", ID]), 4, "etcd does not answer", "may have been done");
}

#[test]
fn of_an_answer_that_makes_no_sense_it_is_told_whose_fault_that_may_be() {
    let agent = Server::always(&http("200 OK", r#"{"ips":[{"id":"vip-1"}]}"#));
    assert_told(&agent.linkctl(&["list"]), 5, "is another version's", "update the older one");
    let agent = Server::always(&http("200 OK", "{}"));
    assert_told(&agent.linkctl(&["list"]), 5, "does not answer like LinK", "--host or LINK_HOST");
    let agent = Server::always(b"\x15\x03\x01\x00\x02\x02\x46");
    assert_told(&agent.linkctl(&["list"]), 5, "it speaks TLS", "--host https://NAME");
    let agent = Server::always(&http("200 OK", &list(&[ip("x", "10.0.0.1/32")])));
    let run = agent.linkctl(&["show", "10.0.0.1"]);
    assert_told(&run, 5, "the agent calls it x, which", "update the older one");
}

#[test]
fn of_an_ip_that_is_not_there_or_there_twice_it_is_told_how_to_name_it() {
    let ips = [ip(ID, "10.0.0.1/24"), ip(ID, "10.0.0.1/32")];
    let agent = Server::agent(&[("GET /ips", http("200 OK", &list(&ips)))]);
    let run = agent.linkctl(&["show", "10.0.0.1"]);
    assert_told(&run, 2, "ambiguous: there are 10.0.0.1/24 and", "name it with its mask");
    let run = agent.linkctl(&["show", "10.0.0.2"]);
    assert_told(&run, 3, "does not share it", "see linkctl list there");
}

#[test]
fn of_a_wait_that_is_over_it_is_told_that_it_goes_on() {
    let nobodys = ip(ID, "10.0.0.1/32").replace(r#""owner":"h1""#, r#""owner":null"#);
    let agent = Server::agent(&[
        ("POST /ips", http("201 Created", &nobodys)),
        ("GET /ips", http("200 OK", &list(&[nobodys]))),
    ]);
    let run = agent.linkctl(&["add", "10.0.0.1", "--wait=1"]);
    assert_told(&run, 4, "without an owner after 1 s: 10.0.0.1/32", "wait, and see linkctl status");
}

#[test]
fn what_is_said_beside_an_answer_names_what_to_do_as_well() {
    let error = r#"{"error":"no etcd"}"#;
    let answers = [
        (&*format!("GET /ips/{ID}"), http("200 OK", &format!("{{\"ip\":{}}}", ip(ID, "::1/128")))),
        (&*format!("GET /ips/{ID}/hosts"), http("503 Service Unavailable", error)),
    ];
    let run = Server::agent(&answers).linkctl(&["show", ID]);
    assert_told(&run, 0, "which hosts offer it is not known: no etcd", "linkctl doctor");
}
