//! That there is no failure without something to do next, and that this fits.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

const ALL: [Next; 36] = [
    Next::Look,
    Next::OfferElsewhere,
    Next::ShareElsewhere,
    Next::DrainAgain,
    Next::SwitchOff,
    Next::MakeRoom,
    Next::UseTerminal,
    Next::ReadHelp,
    Next::MendVariable,
    Next::MendHosts,
    Next::MendPassword,
    Next::RunThere,
    Next::GiveMask,
    Next::MendFile,
    Next::NameHost,
    Next::SayYes,
    Next::NameFile,
    Next::SeeList,
    Next::OlderAgent,
    Next::ReachAgent,
    Next::LookBefore,
    Next::WaitOn,
    Next::TryHttps,
    Next::NameAgent,
    Next::Update,
    Next::GivePassword,
    Next::AskDoctor,
    Next::ReadFindings,
    Next::ReadWarnings,
    Next::OverTls(OverTls::AskByHttps),
    Next::OverTls(OverTls::AskByHttp),
    Next::OverTls(OverTls::InstallLinkd),
    Next::OverTls(OverTls::AskByOtherName),
    Next::OverTls(OverTls::GiveAuthority),
    Next::OverTls(OverTls::MendAuthorities),
    Next::OverTls(OverTls::LookWhy),
];

/// What stands in the sources of `linkctl`, but for tests and for this file.
fn sources() -> String {
    fn read(folder: &std::path::Path, text: &mut String) {
        for entry in std::fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("a file").path();
            let name = path.to_string_lossy().into_owned();
            if path.is_dir() {
                read(&path, text);
            } else if !name.ends_with("tests.rs") && !name.ends_with("failure.rs") {
                *text += &std::fs::read_to_string(&path).expect("a source");
            }
        }
    }
    let mut text = String::new();
    read(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ctl"), &mut text);
    text
}

/// The names of what an enum of this file can be.
fn variants(of: &str) -> BTreeSet<&'static str> {
    let (_, rest) = include_str!("failure.rs").split_once(&format!("enum {of} {{\n")).expect(of);
    let (body, _) = rest.split_once("\n}").expect("its end");
    let lines = body.lines().map(str::trim).filter(|line| !line.starts_with("///"));
    lines.filter_map(|line| line.split([',', '(']).next()).collect()
}

#[test]
fn the_list_of_what_to_do_is_complete() {
    let names = ALL.map(|next| format!("{next:?}"));
    let mut listed: BTreeSet<&str> = names
        .iter()
        .filter_map(|name| name.split(['(', ')']).rfind(|part| !part.is_empty()))
        .collect();
    for text_is_given in ["After", "Then", "OverTls"] {
        listed.insert(text_is_given);
    }
    assert_eq!(listed, &variants("Next") | &variants("OverTls"));
}

#[test]
fn every_failure_says_what_to_do_and_each_advice_has_one() {
    let texts: BTreeSet<&str> = ALL.iter().map(|next| next.text()).collect();
    // To speak TLS is advised by those who hear it and by those who are told.
    assert_eq!(texts.len() + 1, ALL.len(), "two say the same");
    let (sources, mut kinds) = (sources(), BTreeMap::new());
    for next in ALL {
        let (kind, text) = (next.kind(), next.text());
        kinds.insert(kind as u8, kind);
        assert!(text.len() > 20 && !text.ends_with('.'), "{next:?}: {text}");
        let name = format!("{next:?}").replace("OverTls(", "OverTls(OverTls::");
        let is_made_here = [Next::ReadHelp, Next::MendFile].contains(&next);
        assert!(
            sources.contains(&format!("Next::{name}")) || is_made_here,
            "nobody advises {name}"
        );
    }
    // Every exit code that tells of a failure.
    assert_eq!(kinds.keys().copied().collect::<Vec<_>>(), (1..=9).collect::<Vec<u8>>());
    let commands: BTreeSet<&str> =
        texts.iter().flat_map(|text| text.split("linkctl ").skip(1)).collect();
    for named in commands {
        let verb = named.split([' ', ',', ';', ':', ')']).next().unwrap_or_default();
        let is_one = ["COMMAND", "--help", "or"].contains(&verb);
        assert!(is_one || verb.parse::<crate::ctl::subcommand::Verb>().is_ok(), "{named}");
    }
}

#[test]
fn what_is_added_to_a_failure_keeps_its_kind() {
    let failure = Failure::new(Next::Look, "no").on("add", "x");
    assert_eq!((failure.to_string().as_str(), failure.exit_code()), ("add x: no", 1));
    assert_eq!(failure.if_refused(Next::SwitchOff).next(), Next::SwitchOff.text());
    let failure = Failure::new(Next::AskDoctor, "no").if_refused(Next::SwitchOff);
    assert_eq!(failure.next(), Next::AskDoctor.text());
    let failure = Failure::usage("no").at("line 3");
    assert_eq!((failure.kind(), &*failure.next()), (Kind::Usage, Next::MendFile.text()));
    assert_eq!(failure.of("add").next(), Next::MendFile.text(), "that page tells nothing of it");
    assert_eq!(Failure::usage("no").of("add").next(), "see linkctl add --help");
}
