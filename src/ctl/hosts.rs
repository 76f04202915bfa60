//! The file in which those who manage several hosts keep where these are: `~/.config/link/config`.
//!
//! A section for each host, with its name; in it a line `KEY = VALUE` for each thing to know. What begins
//! with `#` or `;` is a comment. Values are taken as they stand, without quotes.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::failure::{Failure, Next};
use super::server::Server;
use crate::text::clean;

/// The section that counts when no host is named.
pub(super) const DEFAULT: &str = "default";

/// Bytes of the longest file.
const LONGEST: u64 = 1 << 20;
/// Bytes of the longest file with a password.
const LONGEST_PASSWORD: u64 = 4 << 10;

/// The permissions of those who are neither the owner nor of the group, and of both.
const OTHERS: u32 = 0o007;
const GROUP_AND_OTHERS: u32 = 0o077;

/// A host of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) server: Server,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) password_file: Option<PathBuf>,
}

/// All hosts of the file, by name.
pub(super) type Hosts = BTreeMap<String, Named>;

/// Reads the file of whoever has this environment; no hosts if there is none.
pub(super) fn read(env: impl Fn(&str) -> Option<OsString>) -> Result<Hosts, Failure> {
    let set = |name: &str| env(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = set("HOME").filter(|home| home.is_absolute());
    let base = set("XDG_CONFIG_HOME").filter(|base| base.is_absolute());
    let Some(base) = base.or_else(|| home.as_ref().map(|home| home.join(".config"))) else {
        return Ok(Hosts::new());
    };
    let path = base.join("link/config");
    let shown = clean(&path.display().to_string());
    let wrong = |why: String| Failure::new(Next::MendHosts, why);
    let (text, metadata) = match read_file(&path, LONGEST) {
        Ok(read) => read,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Hosts::new()),
        Err(error) => {
            return Err(wrong(format!("{shown}: {}", clean(&error.to_string()))));
        }
    };
    let folder = path.parent().unwrap_or(Path::new("/"));
    let (hosts, password_at) = parse(&text, folder, home.as_deref())
        .map_err(|(line, why)| wrong(format!("{shown}, line {line}: {}", clean(&why))))?;
    match password_at {
        Some(line) if metadata.mode() & GROUP_AND_OTHERS != 0 => Err(wrong(format!(
            "{shown}, line {line}: a password stands in a file that others may read: chmod 600 {shown}"
        ))),
        Some(_) | None => Ok(hosts),
    }
}

/// The first line of a file that holds a password, and that others may not read.
pub(super) fn password(path: &Path) -> Result<String, String> {
    let (text, metadata) = read_file(path, LONGEST_PASSWORD).map_err(|error| error.to_string())?;
    if metadata.is_file() && metadata.mode() & OTHERS != 0 {
        return Err(format!("others may read it: chmod o= {}", path.display()));
    }
    let password = text.lines().next().unwrap_or_default();
    if password.is_empty() || password.contains(char::is_control) {
        return Err("its first line is no password".to_owned());
    }
    Ok(password.to_owned())
}

fn read_file(path: &Path, longest: u64) -> io::Result<(String, Metadata)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let mut text = String::new();
    file.take(longest + 1).read_to_string(&mut text)?;
    match text.len() as u64 > longest {
        true => Err(io::Error::other(format!("it has more than {longest} bytes"))),
        false => Ok((text, metadata)),
    }
}

/// What stands in a section so far.
#[derive(Default)]
struct Section<'a> {
    name: &'a str,
    line: usize,
    url: Option<Server>,
    cacert: Option<(usize, PathBuf)>,
    named: Named,
}

/// The hosts, and in which line a password stands; or in which line is what mistake.
fn parse(
    text: &str,
    folder: &Path,
    home: Option<&Path>,
) -> Result<(Hosts, Option<usize>), (usize, String)> {
    let (mut hosts, mut password_at) = (Hosts::new(), None);
    let mut section: Option<Section<'_>> = None;
    for (index, line) in text.lines().enumerate() {
        let (number, line) = (index + 1, line.trim());
        let wrong = |why: String| (number, why);
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            let name =
                name.strip_suffix(']').ok_or_else(|| wrong("the closing ] is missing".into()))?;
            if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control()) {
                return Err(wrong(format!(
                    "\"{name}\" is no name of a host: no blanks, not empty"
                )));
            }
            finish(section.take(), &mut hosts)?;
            if hosts.contains_key(name) {
                return Err(wrong(format!("there is a section [{name}] already")));
            }
            section = Some(Section { name, line: number, ..Section::default() });
            continue;
        }
        let (key, value) = line.split_once('=').ok_or_else(|| {
            wrong("neither a section ([NAME]) nor KEY = VALUE nor a comment (#)".to_owned())
        })?;
        let Some(section) = &mut section else {
            return Err(wrong("it stands before the first section ([NAME])".to_owned()));
        };
        let (key, value) = (key.trim(), value.trim());
        section.take(key, value, number, &|path| resolved(path, folder, home)).map_err(wrong)?;
        if key == "password" {
            password_at.get_or_insert(number);
        }
    }
    finish(section, &mut hosts)?;
    Ok((hosts, password_at))
}

impl Section<'_> {
    fn take(
        &mut self,
        key: &str,
        value: &str,
        line: usize,
        path: &dyn Fn(&str) -> PathBuf,
    ) -> Result<(), String> {
        if value.is_empty() {
            return Err(format!("{key} has no value"));
        }
        if key != "password" && value.starts_with(['"', '\'']) {
            return Err(format!("{key}: values stand without quotes"));
        }
        let named = &mut self.named;
        let is_new = match key {
            "url" => {
                let url = value.parse().map_err(|why| format!("url \"{value}\": {why}"))?;
                self.url.replace(url).is_none()
            }
            "user" => named.user.replace(value.to_owned()).is_none(),
            "password" => named.password.replace(value.to_owned()).is_none(),
            "password-file" => named.password_file.replace(path(value)).is_none(),
            "cacert" => self.cacert.replace((line, path(value))).is_none(),
            other => {
                let known = "url, user, password-file, password and cacert";
                return Err(format!("\"{other}\" is not known: there are {known}"));
            }
        };
        if is_new { Ok(()) } else { Err(format!("{key} stands there twice")) }
    }
}

/// The section is complete.
fn finish(section: Option<Section<'_>>, hosts: &mut Hosts) -> Result<(), (usize, String)> {
    let Some(Section { name, line, url, cacert, named }) = section else { return Ok(()) };
    let server = url.ok_or_else(|| (line, format!("[{name}] has no url")))?;
    if named.password.is_some() && named.password_file.is_some() {
        return Err((line, format!("[{name}] has both password and password-file")));
    }
    let server = match cacert {
        None => server,
        Some((line, path)) => {
            server.trusting(path).map_err(|_| (line, "cacert needs an https:// url".to_owned()))?
        }
    };
    hosts.insert(name.to_owned(), Named { server, ..named });
    Ok(())
}

/// A path as a shell would have it, or beside the file in which it stands.
fn resolved(path: &str, folder: &Path, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        (Some(_), None) | (None, _) => folder.join(path),
    }
}

#[cfg(test)]
#[path = "hosts_tests.rs"]
mod tests;
