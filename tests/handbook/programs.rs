//! What the programs have, asked from them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

pub(crate) fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What a program says in an environment that has these variables only.
pub(crate) fn said(program: &str, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(program);
    let output = command.args(arguments).env_clear().envs(variables.iter().copied()).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn linkd(argument: &str) -> String {
    said(env!("CARGO_BIN_EXE_linkd"), &[argument], &[])
}

/// The variables of the agent, as `linkd --help` lists them.
pub(crate) fn variables() -> BTreeSet<String> {
    let help = linkd("--help");
    let (_, list) = help.split_once("\nThis host\n").unwrap();
    let is_name = |c: char| c.is_ascii_uppercase() || c == '_';
    let mut names = BTreeSet::new();
    for line in list.lines().filter_map(|line| line.strip_prefix("  ")) {
        for word in line.split(' ').map(|word| word.trim_end_matches(',')) {
            if word.is_empty() || !word.chars().all(is_name) {
                break;
            }
            assert!(names.insert(word.to_owned()), "{word} is listed twice");
        }
    }
    assert!(names.len() > 30, "{names:?}");
    names
}

/// Fails with what is missing and what is too much.
#[track_caller]
pub(crate) fn assert_same(place: &str, told: &BTreeSet<String>, exist: &BTreeSet<String>) {
    let missing: Vec<_> = exist.difference(told).collect();
    let unknown: Vec<_> = told.difference(exist).collect();
    assert!(missing.is_empty(), "{place} does not name {missing:?}");
    assert!(unknown.is_empty(), "{place} names {unknown:?}, and there is no such thing");
}

pub(crate) fn linkctl(arguments: &[&str]) -> String {
    said(env!("CARGO_BIN_EXE_linkctl"), arguments, &[])
}

pub(crate) fn set<'a>(words: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    words.into_iter().map(str::to_owned).collect()
}

/// The long options in a text, without what follows `=`: `--json`.
pub(crate) fn options(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_lowercase() || c == '-';
    let words = text.split(|c| !is_part(c)).map(|word| word.trim_end_matches('-'));
    set(words.filter(|word| word.strip_prefix("--").is_some_and(|name| !name.is_empty())))
}

/// The commands of linkctl, as its overview lists them.
pub(crate) fn commands() -> Vec<String> {
    let help = linkctl(&["--help"]);
    let (list, _) = help.split_once("\nOptions").unwrap();
    let lines = list.lines().filter_map(|line| line.strip_prefix("  "));
    let names = lines.map(|line| line.split(' ').next().unwrap().to_owned());
    let names: Vec<String> = names.filter(|name| !name.is_empty()).collect();
    assert!(names.len() > 10, "{names:?}");
    names
}

/// The options that every command takes.
pub(crate) fn general_options() -> BTreeSet<String> {
    let help = linkctl(&["--help"]);
    let (_, list) = help.split_once("\nOptions").unwrap();
    options(list.split("\nExit codes").next().unwrap())
}

/// Those that a command has beside them.
pub(crate) fn own_options(command: &str) -> BTreeSet<String> {
    let all = options(&linkctl(&[command, "--help"]));
    all.difference(&general_options()).cloned().collect()
}

pub(crate) fn all_options() -> BTreeSet<String> {
    let own = commands().into_iter().flat_map(|command| own_options(&command));
    own.chain(general_options()).collect()
}
