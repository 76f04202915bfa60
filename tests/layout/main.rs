//! The rules of ARCHITECTURE.md that a reader of the source can check: which module may use which,
//! what stands in one place only, how long things may be. Each violation names its file and line.
#![allow(
    clippy::unwrap_used,
    reason = "in a test, also outside its own function, it is an assertion"
)]

mod circles;
mod source;
mod table;

use std::collections::{BTreeMap, BTreeSet};

use source::{Source, has_word, imports, read};
use table::{
    CIRCLES, CORES, IMPURE, LONG_FILES, LONG_FUNCTIONS, LONGEST_FILE, LONGEST_FUNCTION, MODULES,
    MOST_FIELDS, PLACES, PURE,
};

fn assert_none(rule: &str, violations: &[String]) {
    assert!(violations.is_empty(), "{rule}:\n  {}", violations.join("\n  "));
}

fn is_in(path: &str, places: &[&str]) -> bool {
    places.iter().any(|place| path.starts_with(place))
}

/// The lines of the programs, with their files.
fn code(sources: &[Source]) -> impl Iterator<Item = (&Source, usize, &str)> {
    sources.iter().flat_map(|source| source.code().map(move |(line, text)| (source, line, text)))
}

#[test]
fn a_module_uses_only_what_the_table_allows() {
    let sources = read("src");
    let table: BTreeMap<&str, &str> = MODULES.iter().copied().collect();
    let mut violations = Vec::new();
    let pairs = |(user, used): &(&'static str, &'static str)| {
        used.split_whitespace().map(|used| (*user, used)).collect::<Vec<_>>()
    };
    let mut unused: BTreeSet<(&str, &str)> = MODULES.iter().flat_map(pairs).collect();
    for (source, line, text) in code(&sources) {
        let user = source.module();
        for used in imports(text).filter(|used| *used != user) {
            unused.remove(&(user, used));
            if !table.get(user).is_some_and(|allowed| has_word(allowed, used)) {
                violations.push(format!("{}:{line}: {user} uses {used}", source.path));
            }
        }
        if text.contains("crate::{") {
            violations.push(format!("{}:{line}: a line for each module", source.path));
        }
    }
    let unused = unused.iter().map(|(user, used)| format!("{user} does not use {used} any more"));
    violations.extend(unused);
    assert_none("tests/layout/table.rs, MODULES, tells which module may use which", &violations);
}

#[test]
fn the_table_has_each_module_once_above_those_that_use_it() {
    let sources = read("src");
    let modules: BTreeSet<&str> =
        sources.iter().map(Source::module).filter(|name| !["lib", "bin"].contains(name)).collect();
    let listed: BTreeSet<&str> = MODULES.iter().map(|(module, _)| *module).collect();
    assert_eq!(listed, modules);
    assert_eq!(listed.len(), MODULES.len(), "a module is listed twice");
    let mut above = BTreeSet::new();
    for (module, used) in MODULES {
        let below: Vec<_> = used.split_whitespace().filter(|used| !above.contains(used)).collect();
        assert!(below.is_empty(), "{module} uses {below:?}, which stand below it: a circle");
        above.insert(*module);
    }
}

#[test]
fn neighbours_do_not_use_each_other() {
    let sources = read("src");
    let mut circles = circles::circles(&sources);
    let known = circles.len();
    circles.retain(|circle| !is_in(circle, CIRCLES));
    assert!(circles.len() < known || CIRCLES.is_empty(), "no exemption is needed any more");
    assert_none("a circle is one module in two files", &circles);
}

#[test]
fn what_has_one_place_stands_nowhere_else() {
    let sources = read("src");
    let mut violations = Vec::new();
    for (source, line, text) in code(&sources) {
        for (word, places) in PLACES {
            if has_word(text, word) && !is_in(&source.path, places) {
                violations.push(format!("{}:{line}: {word} belongs into {places:?}", source.path));
            }
        }
    }
    assert_none("tests/layout/table.rs, PLACES, tells what stands where", &violations);
}

#[test]
fn threads_are_started_in_one_way() {
    let sources = read("src");
    let mut violations = Vec::new();
    for (source, line, text) in code(&sources) {
        let mut uses = text.match_indices("std::thread").map(|(start, found)| {
            text[start + found.len()..].trim_start_matches("::").trim_end_matches(';')
        });
        let is_known = |used: &str| used == "JoinHandle" || used.starts_with("sleep(");
        if uses.any(|used| !is_known(used)) && source.path != "src/thread.rs" {
            violations.push(format!("{}:{line}: {text}", source.path));
        }
    }
    assert_none("crate::thread starts threads, with a name and a stack", &violations);
}

#[test]
fn what_decides_has_no_clock_no_log_and_no_edge() {
    let sources = read("src");
    let mut violations = Vec::new();
    for (source, line, text) in code(&sources).filter(|(source, ..)| is_in(&source.path, PURE)) {
        let edge = is_in(&source.path, CORES).then_some(&"crate::etcd::");
        for word in IMPURE.iter().chain(edge).filter(|word| text.contains(**word)) {
            violations.push(format!("{}:{line}: {word}", source.path));
        }
    }
    assert_none("pure code is fed with the time and returns what is to be done", &violations);
}

#[test]
fn files_and_functions_are_short() {
    let mut violations = Vec::new();
    for source in ["src", "tests", "benches"].into_iter().flat_map(read) {
        let length = source.length();
        let exempt = LONG_FILES.iter().find(|(path, _)| *path == source.path);
        if length > exempt.map_or(LONGEST_FILE, |(_, length)| *length) {
            violations.push(format!("{}: {length} lines", source.path));
        }
        if exempt.is_some() && length <= LONGEST_FILE {
            violations.push(format!("{} needs no exemption any more", source.path));
        }
        for function in source.functions() {
            if function.length > LONGEST_FUNCTION && !is_in(&source.path, LONG_FUNCTIONS) {
                let (line, signature) = (function.line, function.signature);
                violations.push(format!(
                    "{}:{line}: {} lines: {signature}",
                    source.path, function.length
                ));
            }
        }
    }
    let rule = format!("at most {LONGEST_FILE} lines in a file, {LONGEST_FUNCTION} in a function");
    assert_none(&rule, &violations);
}

#[test]
fn what_decides_has_few_fields() {
    let mut violations = Vec::new();
    for source in read("src").iter().filter(|source| is_in(&source.path, CORES)) {
        for (line, name, fields) in source.structs() {
            if fields > MOST_FIELDS {
                violations.push(format!("{}:{line}: {name} has {fields} fields", source.path));
            }
        }
    }
    assert_none("more fields than a reader can hold", &violations);
}

#[test]
fn a_module_with_parts_is_a_folder_with_a_mod_rs() {
    let sources = read("src");
    let paths: BTreeSet<&str> = sources.iter().map(|source| source.path.as_str()).collect();
    let mut violations = Vec::new();
    for path in &paths {
        let folder = format!("{}/", path.trim_end_matches(".rs"));
        if paths.iter().any(|other| other.starts_with(&folder)) {
            violations.push(format!("{path}: {folder}mod.rs"));
        }
    }
    assert_none("one style of modules", &violations);
}

/// A rule that sees nothing is kept by everything.
#[test]
fn the_rules_see_what_is_there() {
    let sources = read("src");
    let lines: usize = sources.iter().map(|source| source.code().count()).sum();
    let functions: usize = sources.iter().map(|source| source.functions().len()).sum();
    assert!(lines > 10_000 && functions > 1_000, "{lines} lines, {functions} functions");
    let words: Vec<&str> =
        PLACES.iter().map(|(word, _)| *word).filter(|word| *word != "RwLock").collect();
    for word in words {
        assert!(code(&sources).any(|(.., text)| has_word(text, word)), "{word} is nowhere");
    }
    for place in PURE {
        assert!(
            sources.iter().any(|source| source.path.starts_with(place)),
            "{place} is not there"
        );
    }
    let found: Vec<&str> =
        imports("use crate::vip::X; crate::VERSION, crate::a_b(crate::c)").collect();
    assert_eq!(found, ["vip", "a_b", "c"]);
    assert!(has_word("a unsafe {", "unsafe") && !has_word("unsafe_code", "unsafe"));
}
