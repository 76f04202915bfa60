//! The file of `linkctl add -f` and `linkctl apply -f`: IPs, one a line, or the JSON of
//! `linkctl list --json`.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value};

use super::agent::NewIp;
use super::failure::{Failure, Next};
use super::settings::{self, SETTINGS, Said};
use crate::text::clean;
use crate::vip::{Cidr, CidrError};

/// Bytes of a file: many times what the most IPs need that an agent has.
const MOST: u64 = 16 << 20;

/// Reads a file; `-` is standard input.
pub(super) fn read(path: &Path) -> Result<Vec<NewIp>, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(
            Next::NameFile,
            format!("read {}: {error}", clean(&path.display().to_string())),
        )
    };
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin().lock().take(MOST).read_to_string(&mut text).map_err(failed)?;
    } else {
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(MOST).read_to_string(&mut text).map_err(failed)?;
    }
    understand(&text).map_err(|failure| failure.on("read", clean(&path.display().to_string())))
}

/// Understands what stands in a file.
pub(super) fn understand(text: &str) -> Result<Vec<NewIp>, Failure> {
    let found = match text.trim_start().starts_with(['{', '[']) {
        true => of_json(text)?,
        false => of_lines(text)?,
    };
    let mut places = HashMap::new();
    for (place, new) in &found {
        if let Some(before) = places.insert(new.cidr.addr(), place) {
            let cidr = new.cidr;
            return Err(wrong(format!("{place}: {cidr} stands at {before}, too")));
        }
    }
    Ok(found.into_iter().map(|(_, new)| new).collect())
}

/// What stands in the file makes no sense.
fn wrong(why: impl Into<String>) -> Failure {
    Failure::new(Next::MendFile, why)
}

/// An IP, and options as those of `linkctl add`, on each line; what follows a `#` is a comment.
fn of_lines(text: &str) -> Result<Vec<(String, NewIp)>, Failure> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let Some(ip) = words.next() else { continue };
        let place = format!("line {}", index + 1);
        let said = options(words).map_err(|failure| failure.at(&place))?;
        let cidr = address(ip).map_err(|failure| failure.at(&place))?;
        found.push((place, NewIp::new(cidr, said)));
    }
    if found.is_empty() {
        let why = "there is no IP; to say that there shall be none, write {\"ips\":[]}";
        return Err(wrong(why));
    }
    Ok(found)
}

fn options<'a>(mut words: impl Iterator<Item = &'a str>) -> Result<Said, Failure> {
    let mut said = Said::new();
    while let Some(word) = words.next() {
        let name = word.strip_prefix("--").unwrap_or_default();
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (name, None),
        };
        let Some(setting) = settings::of_option(name) else {
            let known = SETTINGS.iter().map(|it| format!("--{}", it.option));
            let known = known.collect::<Vec<_>>().join(", ");
            let message = format!("\"{}\" is no option; there are {known}", clean(word));
            return Err(Failure::usage(message));
        };
        let Some(value) = value.or_else(|| words.next()) else {
            return Err(Failure::usage(format!("--{name} needs a value")));
        };
        settings::say(&mut said, setting, value)?;
    }
    Ok(said)
}

fn of_json(text: &str) -> Result<Vec<(String, NewIp)>, Failure> {
    let value: Value = serde_json::from_str(text)
        .map_err(|error| wrong(format!("it is not JSON: {}", clean(&error.to_string()))))?;
    let items = value.get("ips").unwrap_or(&value).as_array();
    let Some(items) = items else {
        return Err(wrong("it is neither an array of IPs nor {\"ips\":[…]}"));
    };
    let one = |(index, item): (usize, &Value)| {
        let place = format!("[{index}]");
        let object = item.as_object();
        let object = object.ok_or_else(|| Failure::usage("it is no object").at(&place))?;
        let ip = object.get("ip").and_then(Value::as_str);
        let ip = ip.ok_or_else(|| Failure::usage("it has no \"ip\"").at(&place))?;
        let cidr = address(ip).map_err(|failure| failure.at(&place))?;
        Ok((place, NewIp::new(cidr, own_settings(object))))
    };
    items.iter().enumerate().map(one).collect()
}

/// What an IP says itself, without what is the agent's.
fn own_settings(ip: &Map<String, Value>) -> Said {
    let mut said = Said::new();
    for setting in &SETTINGS {
        let value = setting.of(ip);
        if !value.is_null() {
            said.insert(setting.field.to_owned(), value);
        }
    }
    said
}

fn address(text: &str) -> Result<Cidr, Failure> {
    text.parse().map_err(|why: CidrError| {
        Failure::usage(format!("\"{}\" {}", clean(text), clean(&why.to_string())))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ctl::failure::Kind;

    #[track_caller]
    fn found(text: &str) -> Vec<String> {
        let found = understand(text).unwrap_or_else(|failure| panic!("{failure}"));
        found.iter().map(|new| new.to_json().to_string()).collect()
    }

    #[test]
    fn a_line_is_an_ip_with_the_options_of_add() {
        let text = "# ours\n10.0.0.1\n\n  fd00::1/64   # with a mask\r\n\
             10.0.0.2 --check db:5432 --check=[::1]:80 --interval 7 --etcd-loss-policy hold\n";
        let check =
            |host: &str, port: u16| serde_json::json!({"type":"TCP","host":host,"port":port});
        let all = serde_json::json!({
            "ip": "10.0.0.2/32", "checks": [check("db", 5432), check("::1", 80)],
            "healthcheck_interval": 7, "etcd_loss_policy": "hold",
        });
        let expected = [
            r#"{"ip":"10.0.0.1/32"}"#.to_owned(),
            r#"{"ip":"fd00::1/64"}"#.to_owned(),
            all.to_string(),
        ];
        assert_eq!(found(text), expected);
    }

    #[test]
    fn json_is_read_as_the_agent_lists_it_and_what_is_the_agents_stays_that() {
        let listed = r#"{"ips":[{"id":"vip-1","ip":"10.0.0.1/32","interface":"eth0","status":"STANDBY",
            "checks":null,"healthcheck_interval":0,"etcd_loss_policy":"take","since":5,
            "defaults":["interface"]}]}"#;
        assert_eq!(found(listed), [r#"{"etcd_loss_policy":"take","ip":"10.0.0.1/32"}"#]);
        assert_eq!(found(r#" [{"ip":"10.0.0.1"}]"#), [r#"{"ip":"10.0.0.1/32"}"#]);
        assert_eq!(found(r#"{"ips":[]}"#), [""; 0]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, expected) in [
            ("", "there is no IP; to say that"),
            ("# nothing\n", "there is no IP; to say that"),
            ("10.0.0.1\nx", "line 2: \"x\" is not an IP address"),
            ("10.0.0.1 --force", "line 1: \"--force\" is no option; there are --check, --interval"),
            ("10.0.0.1 --interval", "line 1: --interval needs a value"),
            ("10.0.0.1 --check udp://h:1", "line 1: --check \"udp://h:1\": it begins with none"),
            ("10.0.0.1\n10.0.0.1/24", "line 2: 10.0.0.1/24 stands at line 1, too"),
            ("{", "it is not JSON"),
            ("{}", "it is neither an array"),
            ("[5]", "[0]: it is no object"),
            (r#"[{"ip":"10.0.0.1"},{}]"#, "[1]: it has no \"ip\""),
            (r#"[{"ip":"\u001b"}]"#, "[0]: \"\\u{1b}\" is not an IP address"),
        ] {
            let failure = understand(text).unwrap_err();
            assert!(failure.to_string().starts_with(expected), "{text}: {failure}");
            assert_eq!(failure.kind(), Kind::Usage);
        }
    }
}
