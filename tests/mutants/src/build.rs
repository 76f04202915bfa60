//! Building the copy of the checkout, and what the compiler says to mutants.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::program::at_line;

/// A copy of the checkout, in which mutants are built.
pub(crate) struct Tree {
    pub(crate) folder: PathBuf,
    pub(crate) target: PathBuf,
}

/// What came of a build.
pub(crate) enum Built {
    /// The programs of the tests, by their names.
    Programs(BTreeMap<String, PathBuf>),
    /// The mutants that the compiler refuses, and whether only as part of what it evaluates itself.
    Refused(Vec<(usize, bool)>),
}

impl Tree {
    /// Copies what git knows of.
    pub(crate) fn copy(checkout: &Path, scratch: &Path) -> Result<Self, String> {
        let tree = Self { folder: scratch.join("tree"), target: scratch.join("target") };
        let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(checkout).output();
        let listed = listed.map_err(|error| format!("git ls-files: {error}"))?.stdout;
        for file in String::from_utf8_lossy(&listed).split('\0').filter(|file| !file.is_empty()) {
            let (from, to) = (checkout.join(file), tree.folder.join(file));
            let Ok(text) = fs::read(&from) else { continue };
            if fs::read(&to).is_ok_and(|old| old == text) {
                continue;
            }
            let folder = to.parent().unwrap_or(&tree.folder);
            let copied = fs::create_dir_all(folder).and_then(|()| fs::copy(&from, &to));
            copied.map_err(|error| format!("{}: {error}", to.display()))?;
        }
        Ok(tree)
    }

    /// Builds tests: arguments of cargo tell which.
    pub(crate) fn build(&self, tests: &[&str]) -> Result<Built, String> {
        self.cargo(&[&["test", "--no-run"], tests].concat())
    }

    fn cargo(&self, arguments: &[&str]) -> Result<Built, String> {
        let mut command = Command::new("cargo");
        command.args(arguments).args(["--locked", "--message-format=json"]);
        command.args(["--config", "profile.dev.package.link.debug=false"]);
        command.current_dir(&self.folder).env("CARGO_TARGET_DIR", &self.target);
        let output = command.output().map_err(|error| format!("cargo: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let said: Vec<Value> =
            text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        if output.status.success() {
            return Ok(Built::Programs(said.iter().filter_map(program).collect()));
        }
        let mut refused = Vec::new();
        for message in said.iter().filter_map(|said| said.get("message")) {
            if message["level"] == "error"
                && message["spans"].as_array().is_some_and(|spans| !spans.is_empty())
            {
                let mutant = self.mutant(message);
                let code = message["code"]["code"].as_str();
                match mutant {
                    Some(mutant) => refused.push((mutant, code == Some("E0015"))),
                    None => eprintln!("not by one mutant: {}", message["rendered"]),
                }
            }
        }
        if refused.is_empty() {
            return Err(format!(
                "cargo {arguments:?}: {}",
                String::from_utf8_lossy(&output.stderr)
            ));
        }
        Ok(Built::Refused(refused))
    }

    fn mutant(&self, message: &Value) -> Option<usize> {
        let notes = message["children"].as_array().into_iter().flatten();
        let notes = notes.flat_map(|note| note["spans"].as_array().into_iter().flatten());
        let spans = message["spans"].as_array()?.iter().chain(notes);
        spans.into_iter().find_map(|span| {
            let code = fs::read_to_string(self.folder.join(span["file_name"].as_str()?)).ok()?;
            at_line(&code, usize::try_from(span["line_start"].as_u64()?).ok()?)
        })
    }
}

fn program(said: &Value) -> Option<(String, PathBuf)> {
    let path = said.get("executable")?.as_str()?;
    Some((said["target"]["name"].as_str()?.to_owned(), PathBuf::from(path)))
}
