//! One program with all mutants in it: which of them it is, it is told when it starts.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::Path;

use crate::list::{Mutant, Place};
use crate::sites::{Site, sites};

/// What the sources get: `MUTANT` in the environment is the number of the mutant.
const CHOICE: &str = r#"
/// Which mutant this process is.
#[allow(missing_docs, unreachable_pub)]
pub mod mutant_number {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static CHOSEN: AtomicUsize = AtomicUsize::new(usize::MAX);
    pub fn is(number: usize) -> bool {
        let mut chosen = CHOSEN.load(Ordering::Relaxed);
        if chosen == usize::MAX {
            let told = std::env::var("MUTANT").ok();
            chosen = told.and_then(|told| told.parse().ok()).unwrap_or(0);
            CHOSEN.store(chosen, Ordering::Relaxed);
        }
        chosen == number
    }
}
"#;

/// Thousands of parentheses are one too many. On the line of the first, so that no line gets another number.
const QUIET: &str = "#![allow(warnings)] ";

/// Text around a part of a file.
struct Wrap {
    range: Range<usize>,
    open: String,
    close: String,
}

/// The mutants that can be in one program, and those that cannot.
pub(crate) struct Plan {
    sites: BTreeMap<usize, Site>,
    /// By a build of their own.
    pub(crate) alone: BTreeSet<usize>,
    /// Those that do not compile.
    pub(crate) unviable: BTreeSet<usize>,
}

/// Numbers are places in the list, from one.
pub(crate) fn plan(checkout: &Path, mutants: &[Mutant]) -> Result<Plan, String> {
    let mut plan =
        Plan { sites: BTreeMap::new(), alone: BTreeSet::new(), unviable: BTreeSet::new() };
    for file in files(mutants) {
        let found = sites(&read(&checkout.join(file))?)?;
        for (number, mutant) in numbered(mutants).filter(|(_, mutant)| mutant.file == file) {
            let site = found.get(&(mutant.genre, mutant.start));
            match site.ok_or_else(|| format!("{}: not found in the source", mutant.name))? {
                Site::Alone => _ = plan.alone.insert(number),
                Site::Nothing => _ = plan.unviable.insert(number),
                site => _ = plan.sites.insert(number, site.clone()),
            }
        }
    }
    Ok(plan)
}

impl Plan {
    /// Numbers of the mutants in the program.
    pub(crate) fn together(&self) -> Vec<usize> {
        self.sites.keys().copied().collect()
    }

    /// Leaves out what does not compile.
    pub(crate) fn refuse(&mut self, number: usize, is_for_the_compiler: bool) {
        if self.sites.remove(&number).is_some() {
            let set = if is_for_the_compiler { &mut self.alone } else { &mut self.unviable };
            set.insert(number);
        }
    }

    /// Writes the sources with all mutants that are left.
    pub(crate) fn write(
        &self,
        checkout: &Path,
        tree: &Path,
        mutants: &[Mutant],
    ) -> Result<(), String> {
        for file in files(mutants) {
            let code = read(&checkout.join(file))?;
            let mut wraps = Vec::new();
            for (number, mutant) in numbered(mutants).filter(|(_, mutant)| mutant.file == file) {
                if let Some(site) = self.sites.get(&number) {
                    wraps.push(wrap(&code, number, mutant, site));
                }
            }
            write(&tree.join(file), &wrapped(&code, wraps))?;
        }
        let root = read(&checkout.join("src/lib.rs"))?;
        write(&tree.join("src/lib.rs"), &format!("{QUIET}{root}{CHOICE}"))
    }
}

/// Writes the sources with one mutant only, or with none.
pub(crate) fn write_alone(
    checkout: &Path,
    tree: &Path,
    mutants: &[Mutant],
    chosen: usize,
) -> Result<(), String> {
    for file in files(mutants) {
        let code = read(&checkout.join(file))?;
        let mutant = numbered(mutants).find(|(number, one)| *number == chosen && one.file == file);
        let code = mutant.map_or(code.clone(), |(_, mutant)| mutated(&code, mutant, 0..code.len()));
        write(&tree.join(file), &code)?;
    }
    write(&tree.join("src/lib.rs"), &read(&checkout.join("src/lib.rs"))?)
}

/// The number of the mutant whose text has this line, if it is that of one.
pub(crate) fn at_line(code: &str, line: usize) -> Option<usize> {
    let mut open = None;
    for text in code.lines().take(line) {
        if let Some(number) = text.strip_prefix("/*mutant ") {
            open = number.split('*').next().and_then(|number| number.parse().ok());
        } else if text.starts_with("/*end*/") {
            open = None;
        }
    }
    open
}

pub(crate) fn numbered(mutants: &[Mutant]) -> impl Iterator<Item = (usize, &Mutant)> {
    mutants.iter().enumerate().map(|(index, mutant)| (index + 1, mutant))
}

fn files(mutants: &[Mutant]) -> BTreeSet<&str> {
    mutants.iter().map(|mutant| mutant.file.as_str()).collect()
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Cargo builds what is newer than its last build: what is the same is not written.
fn write(path: &Path, code: &str) -> Result<(), String> {
    if fs::read_to_string(path).is_ok_and(|old| old == code) {
        return Ok(());
    }
    fs::write(path, code).map_err(|error| format!("{}: {error}", path.display()))
}

/// The byte at which a place is.
fn byte(code: &str, (line, column): Place) -> usize {
    let start: usize = code.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let text = code[start..].char_indices().nth(column - 1);
    start + text.map_or(code.len() - start, |(index, _)| index)
}

/// A part of the file, as the mutant has it.
fn mutated(code: &str, mutant: &Mutant, part: Range<usize>) -> String {
    let (start, end) = (byte(code, mutant.start), byte(code, mutant.end));
    format!("{}{}{}", &code[part.start..start], mutant.replacement, &code[end..part.end])
}

fn wrap(code: &str, number: usize, mutant: &Mutant, site: &Site) -> Wrap {
    let is = format!("crate::mutant_number::is({number})");
    let text = |text: &str| format!("\n/*mutant {number}*/\n{text}\n/*end*/\n");
    let (range, open, close) = match site {
        Site::Return(at) => {
            let returned = text(&format!("return {};", mutant.replacement));
            (*at..*at, format!("if {is} {{{returned}}}\n"), String::new())
        }
        Site::Expression(range) => {
            let other = text(&mutated(code, mutant, range.clone()));
            (range.clone(), format!("(if {is} {{{other}}} else {{"), "})".to_owned())
        }
        Site::Pattern(at) => (*at..*at, text(&format!(" if !{is}")), String::new()),
        Site::Guard(range) if mutant.replacement == "true" => {
            (range.clone(), format!("({} || (", text(&is)), "))".to_owned())
        }
        Site::Guard(range) => {
            (range.clone(), format!("({} && (", text(&format!("!{is}"))), "))".to_owned())
        }
        Site::Alone | Site::Nothing => (0..0, String::new(), String::new()),
    };
    Wrap { range, open, close }
}

/// Puts each text around its part. The parts are those of a tree: each in another, or beside it.
fn wrapped(code: &str, mut wraps: Vec<Wrap>) -> String {
    wraps.sort_by_key(|wrap| (wrap.range.start, std::cmp::Reverse(wrap.range.end)));
    let mut result = String::new();
    let mut open: Vec<&Wrap> = Vec::new();
    let mut at = 0;
    let close_until = |end: usize, at: &mut usize, open: &mut Vec<&Wrap>, result: &mut String| {
        while let Some(wrap) = open.pop_if(|wrap| wrap.range.end <= end) {
            result.push_str(&code[*at..wrap.range.end]);
            result.push_str(&wrap.close);
            *at = wrap.range.end;
        }
    };
    // What is empty stands before what begins there.
    wraps.sort_by_key(|wrap| (wrap.range.start, !wrap.range.is_empty()));
    for wrap in &wraps {
        close_until(wrap.range.start, &mut at, &mut open, &mut result);
        result.push_str(&code[at..wrap.range.start]);
        at = wrap.range.start;
        result.push_str(&wrap.open);
        if !wrap.range.is_empty() {
            open.push(wrap);
        }
    }
    close_until(code.len(), &mut at, &mut open, &mut result);
    result.push_str(&code[at..]);
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list::Genre;

    fn mutant(genre: Genre, start: Place, end: Place, replacement: &str) -> Mutant {
        let (name, file) = (String::new(), String::new());
        Mutant { name, file, genre, start, end, replacement: replacement.to_owned() }
    }

    #[test]
    fn an_operator_is_chosen_within_all_that_it_binds_to() {
        let code = "fn f() -> bool { a || b && !c }\n";
        let or = mutant(Genre::Binary, (1, 20), (1, 22), "&&");
        let not = mutant(Genre::Unary, (1, 28), (1, 29), "");
        let found = sites(code).unwrap();
        let wraps = [or, not].into_iter().enumerate().map(|(index, mutant)| {
            wrap(code, index + 1, &mutant, &found[&(mutant.genre, mutant.start)])
        });
        let written = wrapped(code, wraps.collect()).replace('\n', " ");
        let expected = "fn f() -> bool { (if crate::mutant_number::is(1) { /*mutant 1*/ a && b && !c /*end*/ } \
            else {a || b && (if crate::mutant_number::is(2) { /*mutant 2*/ c /*end*/ } else {!c})}) } ";
        assert_eq!(written, expected);
    }

    #[test]
    fn beside_a_let_there_is_no_other_operator() {
        let found = sites("fn f() { if let Some(x) = y && x == z {} }").unwrap();
        assert!(matches!(found[&(Genre::Binary, (1, 29))], Site::Nothing));
        assert!(matches!(found[&(Genre::Binary, (1, 34))], Site::Expression(_)));
    }
}
