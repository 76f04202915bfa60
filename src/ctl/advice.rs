//! What to do after each refusal of the agent. Its words tell which one it is: the table has a part of each, and a
//! test looks for that part in the agent's sources.

/// A part of what the agent says, and what to do then. Of two that fit the first counts.
const AFTER: [(&str, &str); 34] = [
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
    ("is being deleted", "wait until linkctl list has it no more, then linkctl add it anew"),
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
    ("the body is over", "give fewer IPs at once: linkctl add -f with parts of the file"),
];

/// What to do after the agent has refused with this text.
pub(super) fn after(refusal: &str) -> Option<&'static str> {
    AFTER.iter().find(|(part, _)| refusal.contains(part)).map(|(_, advice)| *advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sources of the agent, in one line: a text may be broken in two there.
    fn agent() -> String {
        fn read(folder: &std::path::Path, text: &mut String) {
            for entry in std::fs::read_dir(folder).expect("a folder of sources") {
                let path = entry.expect("a file").path();
                let name = path.to_string_lossy().into_owned();
                if path.is_dir() && !name.ends_with("ctl") && !name.ends_with("tests") {
                    read(&path, text);
                } else if path.is_file() && name.ends_with(".rs") && !name.ends_with("tests.rs") {
                    *text += &std::fs::read_to_string(&path).expect("a source");
                }
            }
        }
        let mut text = String::new();
        read(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut text);
        text.replace("\\\"", "\"")
    }

    #[test]
    fn the_agent_says_all_of_it_and_each_has_an_advice() {
        let agent = agent();
        for (part, advice) in AFTER {
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
    fn what_the_agent_says_around_it_does_not_matter() {
        let advised = |text| after(text).expect("an advice");
        let not_the_owner = "this host is not the owner of 10.0.0.1/32 (h3 is)";
        assert!(advised(not_the_owner).contains("--host OWNER failover"));
        assert!(advised("[3]: ip 10.0.0.1/32 is already configured on this host").contains("set"));
        assert_eq!(after("nobody has foreseen this"), None);
    }
}
