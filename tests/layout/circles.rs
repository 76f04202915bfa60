//! Circles between the modules of one folder.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::Source;

/// What a module uses of its neighbours in the same folder: the neighbour, and where that is read.
type Uses = BTreeMap<String, BTreeMap<String, String>>;

/// A line for each pair of neighbours that use each other, directly or through others.
pub(crate) fn circles(sources: &[Source]) -> Vec<String> {
    let modules: BTreeSet<Vec<&str>> = sources.iter().map(module).collect();
    let mut folders: BTreeMap<Vec<&str>, Uses> = BTreeMap::new();
    for source in sources {
        let user = module(source);
        for (line, text) in source.code() {
            for used in targets(&user, text, &modules) {
                let common = user.iter().zip(&used).take_while(|(a, b)| a == b).count();
                if common < user.len() && common < used.len() {
                    let place = format!("{}:{line}", source.path);
                    let uses = folders.entry(user[..common].to_vec()).or_default();
                    let uses = uses.entry(user[common].to_owned()).or_default();
                    uses.entry(used[common].to_owned()).or_insert(place);
                }
            }
        }
    }
    folders.values().flat_map(circles_in).collect()
}

fn circles_in(uses: &Uses) -> Vec<String> {
    let mut found = Vec::new();
    for (user, used) in uses {
        for (neighbour, place) in used {
            if reaches(uses, neighbour, user, &mut BTreeSet::new()) {
                found.push(format!("{place}: {user} uses {neighbour}, which uses {user}"));
            }
        }
    }
    found
}

fn reaches<'a>(uses: &'a Uses, from: &'a str, to: &str, seen: &mut BTreeSet<&'a str>) -> bool {
    let Some(used) = uses.get(from) else { return false };
    used.contains_key(to)
        || used.keys().any(|next| seen.insert(next) && reaches(uses, next, to, seen))
}

/// The path of a module: `["api", "gate"]`.
fn module(source: &Source) -> Vec<&str> {
    let path = source.path.trim_start_matches("src/").trim_end_matches(".rs");
    path.trim_end_matches("/mod").split('/').collect()
}

/// The modules that a line names from where it stands.
fn targets<'a>(
    user: &[&'a str],
    text: &'a str,
    modules: &BTreeSet<Vec<&'a str>>,
) -> Vec<Vec<&'a str>> {
    let mut targets = Vec::new();
    for start in starts(text) {
        let mut path = user.to_vec();
        let mut rest = &text[start..];
        if let Some(after) = rest.strip_prefix("crate::") {
            (path, rest) = (Vec::new(), after);
        }
        while let Some(after) = rest.strip_prefix("super::") {
            path.pop();
            rest = after;
        }
        let names = match rest.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap_or_default().split(',').collect(),
            None => vec![rest],
        };
        targets.extend(names.into_iter().filter_map(|name| longest(&path, name.trim(), modules)));
    }
    targets
}

/// Where paths begin: not in the middle of one.
fn starts(text: &str) -> Vec<usize> {
    let all = text.match_indices("crate::").chain(text.match_indices("super::"));
    let is_begin = |start: &usize| !text[..*start].ends_with("::");
    let mut starts: Vec<usize> = all.map(|(start, _)| start).filter(is_begin).collect();
    starts.sort_unstable();
    starts
}

/// The deepest module that a path leads to, if it leads to one.
fn longest<'a>(
    base: &[&'a str],
    names: &'a str,
    modules: &BTreeSet<Vec<&'a str>>,
) -> Option<Vec<&'a str>> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let end = names.find(|c| !is_part(c)).unwrap_or(names.len());
    let mut path = base.to_vec();
    let before = path.len();
    for name in names[..end].split("::") {
        path.push(name);
        if !modules.contains(&path) {
            path.pop();
            break;
        }
    }
    (path.len() > before).then_some(path)
}
