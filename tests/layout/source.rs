//! The source files, as far as the rules look at them: formatted by rustfmt, read line by line.

use std::fs;
use std::path::Path;

/// A file of the crate.
pub(crate) struct Source {
    /// From the root of the crate: `src/api/gate.rs`.
    pub(crate) path: String,
    lines: Vec<String>,
}

/// A function, by its first line.
pub(crate) struct Function<'a> {
    pub(crate) line: usize,
    pub(crate) signature: &'a str,
    pub(crate) length: usize,
}

/// All files with Rust in a folder of the crate, ordered by path.
pub(crate) fn read(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    collect(root, &root.join(folder), &mut sources);
    assert!(!sources.is_empty(), "{folder} is empty");
    sources.sort_by(|a: &Source, b| a.path.cmp(&b.path));
    sources
}

fn collect(root: &Path, folder: &Path, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let lines = fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
            let path = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            sources.push(Source { path, lines });
        }
    }
}

impl Source {
    /// The module at the top of `src` that the file belongs to.
    pub(crate) fn module(&self) -> &str {
        let path = self.path.trim_start_matches("src/");
        path.split('/').next().unwrap().trim_end_matches(".rs")
    }

    pub(crate) fn length(&self) -> usize {
        self.lines.len()
    }

    /// Whether nothing of the file is in the programs: tests, and properties for the fuzzer.
    pub(crate) fn is_test(&self) -> bool {
        let mut names = self.path.trim_end_matches(".rs").split('/');
        names.any(|name| matches!(name, "tests" | "fuzzing") || name.ends_with("_tests"))
    }

    /// The numbered lines that are code of the programs: neither comments nor tests.
    pub(crate) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = self.tests_begin().unwrap_or(self.lines.len());
        let end = if self.is_test() { 0 } else { end };
        let lines = self.lines[..end].iter().enumerate();
        let lines = lines.map(|(index, line)| (index + 1, line.trim()));
        lines.filter(|(_, line)| !line.starts_with("//"))
    }

    /// The tests in a file stand at its end, in a module of their own.
    fn tests_begin(&self) -> Option<usize> {
        let pairs = self.lines.windows(2);
        pairs.into_iter().position(|pair| {
            pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{')
        })
    }

    /// All functions, those of tests too.
    pub(crate) fn functions(&self) -> Vec<Function<'_>> {
        let lines = self.lines.iter().enumerate();
        let begin = lines.filter(|(_, line)| is_function(line.trim_start()));
        begin.filter_map(|(index, _)| self.function(index)).collect()
    }

    /// A declaration without a body is no function.
    fn function(&self, first: usize) -> Option<Function<'_>> {
        let signature = self.lines[first].as_str();
        let indent = signature.len() - signature.trim_start().len();
        let rest = &self.lines[first..];
        let opening = rest.iter().position(|line| ends_signature(line))?;
        let last = match rest[opening].ends_with('{') {
            true => rest.iter().position(|line| is_closing(line, indent))?,
            false => opening,
        };
        let is_declaration = rest[last].ends_with(';');
        (!is_declaration).then(|| Function {
            line: first + 1,
            signature: signature.trim(),
            length: last + 1,
        })
    }

    /// The structs, by their first line, name, and number of fields.
    pub(crate) fn structs(&self) -> Vec<(usize, &str, usize)> {
        let lines = self.lines.iter().enumerate();
        let begin = lines.filter_map(|(index, line)| {
            let name = line.trim_start().strip_suffix('{')?.split_once("struct ")?.1;
            Some((index, line.len() - line.trim_start().len(), name.trim()))
        });
        let counted = begin.map(|(index, indent, name)| {
            let body = self.lines[index + 1..].iter().take_while(|line| !is_closing(line, indent));
            (index + 1, name, body.filter(|line| is_field(line)).count())
        });
        counted.collect()
    }
}

/// Whether a line has the word: not as a part of a longer one.
pub(crate) fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(start, _)| {
        let (before, after) = (&line[..start], &line[start + word.len()..]);
        !before.ends_with(is_part) && !after.starts_with(is_part)
    })
}

/// The modules of the crate that a line names: `crate::NAME`.
pub(crate) fn imports(line: &str) -> impl Iterator<Item = &str> {
    let is_part = |c: char| c.is_lowercase() || c == '_';
    line.match_indices("crate::").filter_map(move |(start, found)| {
        let name = &line[start + found.len()..];
        let end = name.find(|c| !is_part(c)).unwrap_or(name.len());
        (end > 0).then(|| &name[..end])
    })
}

fn is_function(line: &str) -> bool {
    let words = line.split(' ').take_while(|word| {
        word.starts_with("pub")
            || matches!(*word, "const" | "async" | "unsafe" | "extern" | "\"C\"")
    });
    let skipped: usize = words.map(|word| word.len() + 1).sum();
    line.get(skipped..).is_some_and(|line| line.starts_with("fn "))
}

fn ends_signature(line: &str) -> bool {
    line.ends_with(['{', '}', ';'])
}

fn is_closing(line: &str, indent: usize) -> bool {
    line.len() == indent + 1 && line.ends_with('}')
}

fn is_field(line: &str) -> bool {
    let line = line.trim_start();
    let name = line.trim_start_matches("pub").trim_start_matches("(crate)");
    let name = name.trim_start_matches("(super)").split(':').next().unwrap().trim();
    let is_name = |c: char| c.is_lowercase() || c.is_ascii_digit() || c == '_';
    line.contains(": ") && !name.is_empty() && name.chars().all(is_name)
}
