//! What to do after each refusal of the agent. Its words tell which one it is: the table has a part of each, and
//! tests look for that part in the agent's sources, and for those that say something else. Where its words say
//! nothing, the status does.

use super::failure::{Next, OLD_AGENT};

/// A part of what the agent says, and what to do then. Of two that fit the first counts.
const AFTER: [(&str, &str); 39] = [
    (
        "is not the owner of",
        "ask its owner: linkctl --host OWNER failover, or linkctl failover on that host",
    ),
    ("this host is not the owner", "another host has it by now: linkctl status names its owner"),
    ("is the owner already", "there is nothing to do; linkctl status names the other candidates"),
    (
        "is not a candidate",
        "linkctl status names the candidates; linkctl undrain or linkctl add on a host makes it one",
    ),
    (
        "no other host is a candidate",
        "offer it on another host first: linkctl add there, or linkctl undrain",
    ),
    (
        "which cannot be given the lock by name",
        "leave --to away, or stop the other Go LinK agents first",
    ),
    (
        "was not heard to announce the IP",
        "linkctl doctor on the named host looks for the cause; this host goes on as owner",
    ),
    ("has got the lock, not host", "give --to to linkctl failover on the host that has it now"),
    (
        "no other host took it in time",
        "linkctl doctor on the candidates looks for the cause; linkctl status names them",
    ),
    ("this host has begun to fail", "another host takes it by itself: linkctl status tells which"),
    ("is already handing it over", "wait, and see linkctl status"),
    ("has changed meanwhile: try again", "do it again; linkctl status tells how things stand"),
    (
        "is already configured on this host",
        "linkctl set changes it where it is; linkctl show IP tells what it is now",
    ),
    (
        "MAX_NUMBER_OF_ENDPOINTS",
        "raise MAX_NUMBER_OF_ENDPOINTS on that host and restart the agent, or linkctl delete another IP",
    ),
    (
        "and beyond the limit of IPs",
        "raise MAX_NUMBER_OF_ENDPOINTS on that host and restart the agent, or linkctl delete it",
    ),
    ("is an address of etcd", "choose another IP: one that moves cannot be an address of etcd"),
    (
        "is an address of the host itself",
        "take it off the interface there (ip address del), or choose another IP",
    ),
    (
        "\"force\":true registers it all the same",
        "find that machine and take the address from it; if it is to have it for now, give --force",
    ),
    (
        "use that mask here too",
        "give the IP with that mask, or linkctl delete it on that host first",
    ),
    (
        "in another spelling",
        "linkctl delete it on the host that has written it so, then do it again",
    ),
    (
        "is being given up on this host",
        "wait until linkctl list has it no more, then linkctl add it anew",
    ),
    ("cannot be set: it is", "linkctl delete it, and linkctl add it as it is to be"),
    (
        "which holds for group",
        "leave that option away, or say the same of the first IP of the group: linkctl set",
    ),
    ("and cannot have more", "make another group for the rest: linkctl add --group NAME"),
    (
        "needs CHECK_COMMANDS_DIR",
        "set CHECK_COMMANDS_DIR on that host and restart the agent (docs/health-checks.md)",
    ),
    ("is no host of this cluster", "linkctl status names the hosts"),
    (
        "is this host, which lives",
        "to take its IPs away use linkctl drain; a host that is off is fenced on another one",
    ),
    ("is being fenced already", "wait, and see linkctl status"),
    (
        "answers no calls, and this",
        "do it on a host that offers the same IPs: linkctl status names them",
    ),
    ("is registered on this host: delete it first", "linkctl leave deletes all its IPs and leaves"),
    (
        "not a name of this agent: see API_HOSTS",
        "ask by an address of the host, or put that name into its API_HOSTS and restart the agent",
    ),
    (
        "too many wrong passwords",
        "correct --user, LINK_PASSWORD or --password-file, and wait a second",
    ),
    ("the body is over", FEWER),
    ("in one request", FEWER),
    ("its id is taken", "do it again: then the agent draws another one"),
    (" lives: ", SWITCH_OFF),
    ("is back: it has written", SWITCH_OFF),
    ("etcd cannot be reached", "linkctl doctor on that host looks at etcd; then do it again"),
    ("the IP is being deleted", "wait until linkctl list has it no more, then linkctl add it anew"),
];

const SWITCH_OFF: &str =
    "switch it off first; linkctl status names the hosts, and linkctl fence --force asks nobody";

const FEWER: &str = "give fewer IPs at once: linkctl add -f with parts of the file";

/// What keeps the agent from it now, and what to do then, where its etcd has nothing to do with it.
const NOT_NOW: [(&str, &str); 5] = [
    ("stopping", "wait until the agent has started again: linkctl version answers then"),
    ("the agent is busy", LATER),
    ("too many requests wait", LATER),
    (" is in use by ", "give one of the two machines another HOSTNAME, and restart its agent"),
    (
        "start the election of",
        "see what that host is short of: memory, or threads (TasksMax of the unit, ulimit -u)",
    ),
];

const LATER: &str = "do it again in some seconds; see which programs ask that agent all the time";

/// What to do after the agent has refused with this status and this text.
pub(super) fn of(status: u16, text: &str) -> Next {
    let find = |table: &[(&str, &'static str)]| {
        table.iter().find(|(part, _)| text.contains(part)).map(|(_, advice)| *advice)
    };
    match (status, find(&AFTER)) {
        (404, _) if text.starts_with("there is nothing at") => Next::OlderAgent,
        (404, _) => Next::SeeList,
        (503, _) => find(&NOT_NOW).map_or(Next::AskDoctor, Next::Then),
        (_, Some(advice)) => Next::After(advice),
        (400 | 405 | 411 | 417 | 505, None) => Next::After(OLD_AGENT),
        (408, None) => Next::After("do it again; if it lasts, look at the network between them"),
        (431, None) => Next::After("shorten what --user and the password are"),
        (422, None) => Next::After("give another value: linkctl add --help tells which there are"),
        (500.., None) => {
            Next::After("the log of the agent may tell why (journalctl -u link); then do it again")
        }
        (_, None) => Next::Look,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sources of the agent without their tests, each in one line: a text may be broken in two there.
    fn agent(folder: &str) -> Vec<String> {
        fn read(folder: &std::path::Path, texts: &mut Vec<String>) {
            for entry in std::fs::read_dir(folder).expect("a folder of sources") {
                let path = entry.expect("a file").path();
                let name = path.to_string_lossy().into_owned();
                if path.is_dir() && !name.ends_with("ctl") && !name.ends_with("tests") {
                    read(&path, texts);
                } else if path.is_file() && name.ends_with(".rs") && !name.ends_with("tests.rs") {
                    let text = std::fs::read_to_string(&path).expect("a source");
                    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
                    texts.push(text.replace("\\\"", "\""));
                }
            }
        }
        let mut texts = Vec::new();
        read(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut texts);
        texts
    }

    /// What stands around each place with these words.
    fn around<'a>(source: &'a str, words: &'a str) -> impl Iterator<Item = String> + 'a {
        source.match_indices(words).map(|(at, _)| {
            let before: Vec<char> = source[..at].chars().rev().take(260).collect();
            let before: String = before.into_iter().rev().collect();
            before + &source[at..].chars().take(160).collect::<String>()
        })
    }

    #[test]
    fn the_agent_says_all_of_it_and_each_has_an_advice() {
        let agent = agent("src").concat();
        for (part, advice) in AFTER.into_iter().chain(NOT_NOW) {
            assert!(agent.contains(part), "the agent never says {part:?}");
            assert!(advice.len() > 20 && !advice.ends_with('.'), "{advice}");
            for named in advice.split("linkctl ").skip(1) {
                let verb = named.split([' ', ',', ';', ':', ')']).next().unwrap_or_default();
                let is_one = verb.parse::<crate::ctl::subcommand::Verb>().is_ok();
                assert!(is_one || verb == "--host", "{advice}");
            }
        }
    }

    #[test]
    fn each_place_at_which_the_agent_refuses_is_known() {
        let known = |text: &str| AFTER.iter().any(|(part, _)| text.contains(part));
        let mut places = 0;
        for source in agent("src/supervisor") {
            for text in
                around(&source, "Refusal::Conflict(").chain(around(&source, "Refusal::invalid("))
            {
                // What another place says is passed on.
                let is_passed_on = ["[{index}]", "stranger("].iter().any(|it| text.contains(it));
                assert!(known(&text) || is_passed_on, "no advice for what is said there:\n{text}");
                places += 1;
            }
        }
        assert!(places > 20, "only {places} are found");
        // A failover has a list of its own.
        let said = std::fs::read_to_string(
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/election/message.rs"),
        );
        let said = said.expect("a source");
        let (_, list) = said.split_once("Display for NotHandedOver").expect("the list");
        let texts: Vec<&str> = list.split('"').skip(1).step_by(2).collect();
        assert!(texts.len() == 11, "{texts:?}");
        texts.into_iter().for_each(|text| assert!(known(text), "no advice for {text:?}"));
    }

    #[test]
    fn each_status_of_the_agent_says_something_where_its_text_does_not() {
        let sources = agent("src/api").concat();
        let statuses = sources.split("Reply::error(").skip(1).filter_map(|rest| {
            rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u16>().ok()
        });
        let statuses: std::collections::BTreeSet<u16> = statuses.collect();
        assert!(statuses.len() > 8, "{statuses:?}");
        for status in statuses {
            let is_said = [401, 403, 409, 413, 429].contains(&status);
            let next = of(status, "nobody has foreseen this");
            assert!(is_said || next != Next::Look, "{status}");
        }
    }

    #[test]
    fn what_the_agent_says_around_it_does_not_matter() {
        let advised = |text| format!("{:?}", of(409, text));
        let not_the_owner = "this host is not the owner of 10.0.0.1/32 (h3 is)";
        assert!(advised(not_the_owner).contains("--host OWNER failover"));
        assert!(advised("[3]: ip 10.0.0.1/32 is already configured on this host").contains("set"));
        assert_eq!(of(409, "nobody has foreseen this"), Next::Look);
    }
}
