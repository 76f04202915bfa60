//! The handbook, the man pages, the completions and the environment file name what the programs have, all of it and
//! nothing else. The programs themselves are asked.
#![allow(
    clippy::unwrap_used,
    reason = "in a test, also outside its own function, it is an assertion"
)]

mod pages;
mod programs;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use programs::{
    all_options, assert_same, commands, general_options, linkctl, linkd, options, own_options,
    read, said, set, variables,
};

/// The settings of the environment file, in comments.
fn settings(file: &str) -> Vec<(&str, &str)> {
    let lines = file.lines().filter(|line| !line.starts_with("# "));
    lines.filter_map(|line| line.strip_prefix('#')?.split_once('=')).collect()
}

#[test]
fn the_environment_file_explains_every_variable_and_sets_none() {
    let file = read("packaging/link.env");
    let settings = settings(&file);
    let told: BTreeSet<String> = settings.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(told.len(), settings.len(), "a variable stands there twice");
    assert_same("packaging/link.env", &told, &variables());
    let lines: Vec<&str> = file.lines().collect();
    for (line, before) in lines.iter().skip(1).zip(&lines) {
        assert!(line.is_empty() || line.starts_with('#'), "{line} is no comment");
        let is_setting = line.starts_with('#') && !line.starts_with("# ");
        assert!(!is_setting || before.starts_with("# "), "{line} is not explained");
        assert!(line.chars().count() <= 120, "{line}");
    }
}

/// The effective configuration with all of them is that with none.
#[test]
fn what_the_environment_file_shows_is_the_default() {
    let file = read("packaging/link.env");
    let all = settings(&file);
    let check =
        |variables: &[(&str, &str)]| said(env!("CARGO_BIN_EXE_linkd"), &["--check"], variables);
    assert!(all.contains(&("INTERFACE", "eth0")));
    assert_eq!(check(&all), check(&[("INTERFACE", "eth0")]));
    let help = linkd("--help");
    let (_, help) = help.split_once("\nThis host\n").unwrap();
    for (name, value) in
        all.iter().filter(|(name, value)| *name != "INTERFACE" && !value.is_empty())
    {
        let line = help.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
        assert!(line[29..].contains(value), "{name}={value}, and linkd --help says {line}");
    }
}

#[test]
fn the_help_of_linkctl_names_every_option_that_it_takes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ctl");
    let mut taken = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_test = path.to_str().unwrap().contains("tests");
        if path.extension().is_some_and(|it| it == "rs") && !is_test {
            let source = fs::read_to_string(path).unwrap();
            for begin in ["Long(\"", "option: \""] {
                let rests = source.split(begin).skip(1);
                let named = rests.map(|rest| rest.split('"').next().unwrap());
                taken.extend(named.map(|name| format!("--{name}")));
            }
        }
    }
    assert!(taken.len() > 15, "{taken:?}");
    assert_same("linkctl --help", &all_options(), &taken);
}

/// The first words of a page of the manual behind this macro, each time it begins an item.
fn items(page: &str, of: &str) -> BTreeSet<String> {
    let page = page.replace(".It Xo\n.", ".It ");
    let rest = page.lines().filter_map(|line| line.strip_prefix(".It ")?.strip_prefix(of));
    set(rest.map(|rest| rest.split(' ').next().unwrap()))
}

/// The long options that a page of the manual names.
fn flags(page: &str) -> BTreeSet<String> {
    let words: Vec<&str> = page.split_whitespace().collect();
    let named =
        words.windows(2).filter(|pair| pair[0] == "Fl" || pair[0] == ".Fl" || pair[0] == "|");
    set(named.map(|pair| pair[1]).filter(|word| word.starts_with('-')))
        .into_iter()
        .map(|word| format!("-{word}"))
        .collect()
}

#[test]
fn the_manual_of_the_environment_has_every_variable_with_its_default() {
    let page = read("packaging/man/link.env.5");
    assert_same("link.env(5)", &items(&page, "Ev "), &variables());
    let file = read("packaging/link.env");
    for (name, value) in settings(&file).iter().filter(|(_, value)| !value.is_empty()) {
        let item = page.lines().find(|line| line.starts_with(&format!(".It Ev {name} "))).unwrap();
        let is_default = item.ends_with(&format!(" Pq {value}"));
        assert!(is_default || *name == "INTERFACE", "{item} and not {value}");
    }
}

#[test]
fn the_manual_of_linkd_has_every_option() {
    let help = linkd("--help");
    let usage = help.split("Variables with").next().unwrap();
    let exist = options(usage).into_iter().chain(["--help".to_owned()]).collect();
    assert_same("linkd(8)", &flags(&read("packaging/man/linkd.8")), &exist);
}

#[test]
fn the_manual_of_linkctl_has_every_command_option_variable_and_exit_code() {
    let page = read("packaging/man/linkctl.1");
    let help = linkctl(&["--help"]);
    assert_same("linkctl(1)", &items(&page, "Cm "), &commands().into_iter().collect());
    assert_same("linkctl(1)", &flags(&page), &all_options());
    let variables = help.split('[').filter(|part| part.starts_with("LINK_"));
    let variables = set(variables.map(|part| part.split(']').next().unwrap()));
    assert_same("linkctl(1)", &items(&page, "Ev "), &variables);
    let (_, codes) = help.split_once("Exit codes:\n").unwrap();
    let codes = set(codes.lines().map(|line| line.trim().split(' ').next().unwrap()));
    let (_, told) = page.split_once(".Sh EXIT STATUS").unwrap();
    assert_same("linkctl(1)", &items(told.split(".Sh").next().unwrap(), ""), &codes);
}

/// What bash offers for a line, asking a linkctl that lists two IPs.
fn bash(line: &str) -> BTreeSet<String> {
    let script = r#"
        linkctl() {
            [ "$*" = "--host h1 --user a list --wide" ] || [ "$*" = "list --wide" ] || exit 9
            printf '%s\n' "IP STATUS" "10.0.0.1/32 STANDBY" "fd00::1/128 STANDBY"
        }
        . "$1"
        COMP_LINE=$2 COMP_POINT=${#2}
        _linkctl
        [ ${#COMPREPLY[@]} -eq 0 ] || printf '%s\n' "${COMPREPLY[@]}""#;
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/completions/linkctl.bash");
    let output = Command::new("bash").args(["-c", script, "bash", file, line]).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{line}: {output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_and_ips() {
    let commands = commands();
    let with_help = commands.iter().map(String::as_str).chain(["help"]);
    assert_same("linkctl.bash", &bash("linkctl "), &set(with_help));
    let general = general_options();
    for command in &commands {
        let all = own_options(command).union(&general).cloned().collect();
        assert_same(command, &bash(&format!("linkctl {command} --")), &all);
        let page = linkctl(&[command, "--help"]);
        let takes_ip = page.contains(&format!("Usage: linkctl {command} IP|ID"));
        let ips: &[&str] = if takes_ip { &["10.0.0.1/32", "fd00::1/128"] } else { &[] };
        let line = format!("linkctl --host h1 --user a {command} ");
        assert_eq!(bash(&line), set(ips.iter().copied()), "{command}");
    }
    assert_eq!(bash("linkctl show 10"), set(["10.0.0.1/32"]));
    assert_eq!(
        bash("linkctl show fd00:"),
        set([":1/128"]),
        "bash has cut the rest off at the colon"
    );
    assert_eq!(bash("linkctl --json drain --for "), set([]));
    assert_eq!(bash("linkctl add --etcd-loss-policy p"), set(["probe"]));
}

#[test]
fn zsh_and_fish_complete_the_same_commands_and_options() {
    let commands: BTreeSet<String> = commands().into_iter().collect();
    let zsh = read("packaging/completions/_linkctl");
    let (_, list) = zsh.split_once("commands=(\n").unwrap();
    let list = list.split("\n    )").next().unwrap();
    let told = list.lines().map(|line| line.trim().trim_matches(['\'', '"']));
    assert_same("_linkctl", &set(told.map(|it| it.split(':').next().unwrap())), &commands);
    let pattern = set(zsh.split("(r)(").nth(1).unwrap().split(')').next().unwrap().split('|'));
    assert_same("the pattern in _linkctl", &pattern, &commands);
    let (_, code) = zsh.split_once("general=(").unwrap();
    assert_same("_linkctl", &options(code), &all_options());

    let fish = read("packaging/completions/linkctl.fish");
    let after = |word: &str| {
        let lines = fish.lines().filter(|line| line.starts_with("complete "));
        let rest = lines.filter_map(|line| line.split_once(word));
        set(rest.map(|(_, rest)| rest.split(' ').next().unwrap()))
    };
    assert_same("linkctl.fish", &after("-n $none -a "), &commands);
    let first = fish.lines().find_map(|line| line.strip_prefix("set -l commands ")).unwrap();
    assert_same("linkctl.fish", &set(first.split(' ')), &commands);
    let told = after(" -l ").into_iter().map(|name| format!("--{name}")).collect();
    assert_same("linkctl.fish", &told, &all_options());
}
