//! The pages: README and docs.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::programs::{
    all_options, assert_same, commands, general_options, linkctl, linkd, options, own_options,
    read, set, variables,
};

/// The pages of the handbook with their text, README first.
fn pages() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let names = fs::read_dir(folder).unwrap().map(|it| it.unwrap().file_name().into_string());
    let mut names: Vec<String> =
        names.map(Result::unwrap).filter(|it| it.ends_with(".md")).collect();
    names.sort();
    let paths = names.into_iter().map(|name| format!("docs/{name}"));
    let paths: Vec<String> = ["README.md".to_owned()].into_iter().chain(paths).collect();
    paths.into_iter().map(|path| (path.clone(), read(&path))).collect()
}

/// What stands in a page as code: its blocks line by line, and the spans between backticks.
fn code(page: &str) -> Vec<&str> {
    let is_block = |line: &&str| line.starts_with("    ") && !line.trim().starts_with(['-', '|']);
    let blocks = page.lines().filter(is_block);
    let spans = page.lines().filter(|line| !is_block(line));
    blocks.chain(spans.flat_map(|line| line.split('`').skip(1).step_by(2))).collect()
}

#[test]
fn the_configuration_page_has_every_variable() {
    let page = read("docs/configuration.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    let named = set(rows.flat_map(|names| names.split(", ").map(|name| name.trim_matches('`'))));
    assert_same("docs/configuration.md", &named, &variables());
}

/// Names of others that look like variables of LinK, or stand for mistakes.
const OF_OTHERS: &[&str] = &[
    "ARP_GRATUITOUS_",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CONFIG_INET_DIAG_DESTROY",
    "ETCDCTL_CACERT",
    "ETCDCTL_CERT",
    "ETCDCTL_KEY",
    "ETCD_ADVERTISE_CLIENT_URLS",
    "ETCD_CERT_FILE",
    "ETCD_CLIENT_CERT_AUTH",
    "ETCD_DATA_DIR",
    "ETCD_HOST",
    "ETCD_INITIAL_ADVERTISE_PEER_URLS",
    "ETCD_INITIAL_CLUSTER",
    "ETCD_KEY_FILE",
    "ETCD_LISTEN_CLIENT_URLS",
    "ETCD_LISTEN_PEER_URLS",
    "ETCD_NAME",
    "ETCD_PRE_VOTE",
    "ETCD_TRUSTED_CA_FILE",
    "IFA_PROTO",
    "LINK_ETCD",
    "LINK_FALSE_MOVES_MINUTES",
    "LINK_EVENT",
    "LINK_EVENT_ID",
    "LINK_HISTORY_ID",
    "LINK_HOST",
    "LINK_ID",
    "LINK_INTERFACE",
    "LINK_IP",
    "LINK_MISSED",
    "LINK_SEARCH",
    "LINK_SEQUENCE",
    "LINK_SIM_GROUPS",
    "LINK_SIM_STEPS",
    "LINK_STATE",
    "LINK_TIME",
    "LINK_TIMEOUT",
    "LINK_WHY",
    "PLUGIN_ENSURE_INTERVAL",
    "STATE_DIRECTORY",
];

#[test]
fn the_handbook_names_no_variable_that_does_not_exist() {
    let help = linkctl(&["--help"]);
    let variables = variables();
    for (path, page) in pages() {
        for name in code(&page).into_iter().flat_map(|code| {
            code.split(|c: char| !c.is_ascii_uppercase() && c != '_').filter(|it| it.contains('_'))
        }) {
            let is_ours = variables.contains(name) || help.contains(&format!("[{name}]"));
            let is_name = name.trim_matches('_').len() > 3;
            assert!(is_ours || !is_name || OF_OTHERS.contains(&name), "{path} names {name}");
        }
    }
}

#[test]
fn the_handbook_names_every_command_and_option_and_no_others() {
    let commands: BTreeSet<String> = commands().into_iter().collect();
    let (mut told, mut shown) = (BTreeSet::new(), BTreeSet::new());
    for (_, page) in pages() {
        for code in code(&page) {
            shown.extend(options(code));
            for line in code.split("linkctl ").skip(1) {
                let words = line.split(" | ").next().unwrap().split([' ', ',', ';']);
                let command = words.clone().next().unwrap();
                if !command.is_empty() && command.chars().all(|c| c.is_ascii_lowercase()) {
                    told.insert(command.to_owned());
                    let all = own_options(command).union(&general_options()).cloned().collect();
                    let given = options(line.split(['#', '&']).next().unwrap());
                    let unknown: Vec<_> = given.difference(&all).collect();
                    assert!(unknown.is_empty(), "{command} does not take {unknown:?}: {code}");
                }
            }
        }
    }
    assert_same("the handbook", &told, &commands);
    let missing: Vec<_> = all_options().difference(&shown).cloned().collect();
    assert!(missing.is_empty(), "the handbook does not name {missing:?}");
    for option in options(linkd("--help").split("Variables with").next().unwrap()) {
        assert!(shown.contains(&option), "the handbook does not name {option} of linkd");
    }
}

#[test]
fn pages_are_short() {
    let pages = pages();
    assert!(pages.len() > 10, "{}", pages.len());
    for (path, page) in pages {
        assert!(page.lines().count() < 150, "{path} has {} lines", page.lines().count());
        for (number, line) in page.lines().enumerate() {
            assert!(line.chars().count() <= 150, "{path}:{}: a long line", number + 1);
        }
    }
}

/// The anchor that a heading gets, as on the sites that show such pages.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase().replace(' ', "-");
    kept.chars().filter(|c| c.is_alphanumeric() || *c == '-').collect()
}

/// Where the links of a page lead: a path from the root of the project, and an anchor.
fn links(path: &str, page: &str) -> Vec<(String, String)> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let targets = page.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
    let own = targets.filter(|target| !target.contains("://"));
    let resolve = |target: &str| {
        let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
        let file = match (file, file.strip_prefix("../")) {
            ("", _) => path.to_owned(),
            (_, Some(above)) => above.to_owned(),
            (file, None) if folder.is_empty() => file.to_owned(),
            (file, None) => format!("{folder}/{file}"),
        };
        (file, anchor.to_owned())
    };
    own.map(resolve).collect()
}

#[test]
fn every_link_leads_somewhere_and_every_page_is_reached() {
    let pages = pages();
    let mut reached = BTreeSet::from(["README.md".to_owned()]);
    let mut next = vec!["README.md".to_owned()];
    while let Some(path) = next.pop() {
        let Some((_, page)) = pages.iter().find(|(name, _)| *name == path) else { continue };
        for (target, wanted) in links(&path, page) {
            assert!(
                Path::new(env!("CARGO_MANIFEST_DIR")).join(&target).exists(),
                "{path} leads to {target}, which is not there"
            );
            let mut headings = Vec::new();
            if !wanted.is_empty() {
                let text = read(&target);
                headings.extend(
                    text.lines()
                        .filter(|it| it.starts_with('#'))
                        .map(|line| anchor(line.trim_start_matches('#').trim())),
                );
            }
            assert!(
                wanted.is_empty() || headings.contains(&wanted),
                "{path}: no #{wanted} in {target}"
            );
            if reached.insert(target.clone()) {
                next.push(target);
            }
        }
    }
    let lost: Vec<_> =
        pages.iter().map(|(path, _)| path).filter(|it| !reached.contains(*it)).collect();
    assert!(lost.is_empty(), "no link leads from README to {lost:?}");
}
