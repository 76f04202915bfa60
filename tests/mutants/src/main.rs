//! Which changes of the program no test notices. See docs/testing.md.
//!
//! `cargo mutants` builds the crate once for each mutant, which takes a night. This builds all of its
//! mutants into one program, and runs the tests of that once for each.

mod build;
mod list;
mod program;
mod sites;
mod trial;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use build::{Built, Tree};
use list::Mutant;
use program::Plan;
use trial::{Trial, Verdict};

/// Unit tests for what is in a folder: the first that are run. They take a moment.
const NEAR: &[(&str, &[&str])] = &[
    ("src/election/", &["election::"]),
    ("src/failure_detector/", &["failure_detector::"]),
    ("src/fsm.rs", &["fsm::", "election::"]),
    ("src/lock/", &["lock::", "election::"]),
    ("src/policy.rs", &["policy::", "config::"]),
    ("src/store/", &["store::", "fuzzing::"]),
    ("src/supervisor/", &["supervisor::"]),
];
/// Those that could notice it elsewhere.
const UNIT_TESTS: &[&str] = &[
    "call::",
    "cluster::",
    "config::",
    "election::",
    "failure_detector::",
    "fsm::",
    "fuzzing::",
    "lock::",
    "policy::",
    "store::",
    "supervisor::",
];
/// A long walk, which is no unit test but for its place.
const WALK: &str = "election::core::tests::walk";
/// The second line, for what unit tests do not notice: whole agents, and every order of events.
const LONG_TESTS: &[&str] = &["sim", "search"];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match measure(&arguments) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(2),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The number of mutants that no test notices.
fn measure(arguments: &[String]) -> Result<usize, String> {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let checkout = checkout.canonicalize().map_err(|error| error.to_string())?;
    let scratch =
        std::env::var("LINK_MUTANTS_DIR").map_or(checkout.join("target/mutants"), PathBuf::from);
    let mutants = list::list(&checkout, arguments)?;
    println!("{} mutants", mutants.len());
    let tree = Tree::copy(&checkout, &scratch)?;
    let mut plan = program::plan(&checkout, &mutants)?;
    let programs = build(&checkout, &tree, &mutants, &mut plan)?;
    let together = plan.together();
    println!("{} in one program, {} do not compile", together.len(), plan.unviable.len());
    let mut verdicts = first_line(&tree, &programs["link"], &mutants, &together)?;
    write(&scratch, &mutants, &verdicts)?;
    second_line(&tree, &mut verdicts)?;
    write(&scratch, &mutants, &verdicts)?;
    alone(&checkout, &tree, &mutants, &mut plan, &mut verdicts)?;
    write(&scratch, &mutants, &verdicts)?;
    report(&mutants, &plan, &verdicts);
    Ok(verdicts.values().filter(|verdict| **verdict == Verdict::Missed).count())
}

/// Builds the unit tests with all mutants that compile.
fn build(
    checkout: &Path,
    tree: &Tree,
    mutants: &[Mutant],
    plan: &mut Plan,
) -> Result<BTreeMap<String, PathBuf>, String> {
    loop {
        plan.write(checkout, &tree.folder, mutants)?;
        match tree.build(&["--lib"])? {
            Built::Programs(programs) => return Ok(programs),
            Built::Refused(refused) => {
                println!("{} errors", refused.len());
                for (number, constant) in refused {
                    plan.refuse(number, constant);
                }
            }
        }
    }
}

/// The unit tests, those nearby first.
fn first_line(
    tree: &Tree,
    program: &Path,
    mutants: &[Mutant],
    together: &[usize],
) -> Result<BTreeMap<usize, Verdict>, String> {
    let mut verdicts = BTreeMap::new();
    for (folder, tests) in NEAR {
        let is_here = |number: &usize| mutants[number - 1].file.starts_with(folder);
        let here: Vec<usize> = together.iter().copied().filter(is_here).collect();
        if !here.is_empty() {
            let tests = [tests, &["--skip", WALK][..]].concat();
            verdicts.extend(Trial::new(program, &tree.folder, &tests)?.run_all(&here)?);
            println!("{folder}: {} of {} missed so far", missed(&verdicts).len(), verdicts.len());
        }
    }
    for tests in [&[UNIT_TESTS, &["--skip", WALK]].concat()[..], &[WALK]] {
        let left = missed(&verdicts);
        verdicts.extend(Trial::new(program, &tree.folder, tests)?.run_all(&left)?);
        println!("{} of {} missed so far", missed(&verdicts).len(), verdicts.len());
    }
    Ok(verdicts)
}

/// What the unit tests miss goes through the simulator and the search.
fn second_line(tree: &Tree, verdicts: &mut BTreeMap<usize, Verdict>) -> Result<(), String> {
    let optimized = ["--config", "profile.dev.package.link.opt-level=2"];
    for test in LONG_TESTS {
        let missed: Vec<usize> = missed(verdicts);
        if missed.is_empty() || std::env::var_os("LINK_MUTANTS_UNIT_ONLY").is_some() {
            return Ok(());
        }
        println!("{} missed so far; {test}", missed.len());
        let Built::Programs(programs) =
            tree.build(&[&["--test", test], &optimized[..]].concat())?
        else {
            return Err(format!("{test} does not compile"));
        };
        let trial = Trial::new(&programs[*test], &tree.folder, &[])?;
        verdicts.extend(trial.run_all(&missed)?);
    }
    Ok(())
}

fn missed(verdicts: &BTreeMap<usize, Verdict>) -> Vec<usize> {
    let missed = verdicts.iter().filter(|(_, verdict)| **verdict == Verdict::Missed);
    missed.map(|(number, _)| *number).collect()
}

/// One build each, with the unit tests only.
fn alone(
    checkout: &Path,
    tree: &Tree,
    mutants: &[Mutant],
    plan: &mut Plan,
    verdicts: &mut BTreeMap<usize, Verdict>,
) -> Result<(), String> {
    println!("{} one by one", plan.alone.len());
    for number in plan.alone.clone() {
        program::write_alone(checkout, &tree.folder, mutants, number)?;
        match tree.build(&["--lib"]) {
            Ok(Built::Programs(programs)) => {
                let trial = Trial {
                    program: programs["link"].clone(),
                    arguments: UNIT_TESTS.iter().map(|test| (*test).to_owned()).collect(),
                    folder: tree.folder.clone(),
                    limit: std::time::Duration::from_secs(120),
                };
                verdicts.insert(number, trial.run(0)?);
            }
            Ok(Built::Refused(_)) | Err(_) => _ = plan.unviable.insert(number),
        }
    }
    Ok(())
}

/// The lists, for who looks at what is missed.
fn write(
    scratch: &Path,
    mutants: &[Mutant],
    verdicts: &BTreeMap<usize, Verdict>,
) -> Result<(), String> {
    for (verdict, name) in
        [(Verdict::Missed, "missed"), (Verdict::Caught, "caught"), (Verdict::Timeout, "timeout")]
    {
        let chosen = verdicts.iter().filter(|(_, found)| **found == verdict);
        let lines: Vec<&str> =
            chosen.map(|(number, _)| mutants[number - 1].name.as_str()).collect();
        let path = scratch.join(format!("{name}.txt"));
        fs::write(&path, lines.join("\n") + "\n")
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

fn report(mutants: &[Mutant], plan: &Plan, verdicts: &BTreeMap<usize, Verdict>) {
    let mut files: BTreeMap<&str, [usize; 4]> = BTreeMap::new();
    let mut count = |number: usize, column: usize| {
        files.entry(&mutants[number - 1].file).or_default()[column] += 1;
        files.entry("in all").or_default()[column] += 1;
    };
    for (number, verdict) in verdicts {
        let column = match verdict {
            Verdict::Caught => 0,
            Verdict::Timeout => 1,
            Verdict::Missed => 2,
        };
        count(*number, column);
    }
    plan.unviable.iter().for_each(|number| count(*number, 3));
    println!("{:50} {:>6} {:>7} {:>6} {:>8}", "", "caught", "timeout", "missed", "unviable");
    for (file, [caught, timeout, missed, unviable]) in &files {
        println!("{file:50} {caught:6} {timeout:7} {missed:6} {unviable:8}");
    }
    for number in self::missed(verdicts) {
        println!("missed: {}", mutants[number - 1].name);
    }
    let [caught, timeout, missed, _] = files.get("in all").copied().unwrap_or_default();
    let viable = caught + timeout + missed;
    println!("{} of {viable} viable mutants are caught", caught + timeout);
}
