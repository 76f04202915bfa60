//! `linkctl list --output commands`: what makes another host offer the same.

use std::fmt::Write;

use serde_json::Value;

use super::failure::{Failure, Next};
use super::settings::SETTINGS;
use crate::text::clean;

/// The commands for a list as the agent has told it, each on a line, fit for a shell.
pub(super) fn of(json: &[u8]) -> Result<String, Failure> {
    let wrong = |what: &str| {
        let why = format!("{} cannot be written as a command; use --json", clean(what));
        Failure::new(Next::Update, why)
    };
    let list: Value = serde_json::from_slice(json).map_err(|_| wrong("the list"))?;
    let mut text = String::new();
    for ip in list.get("ips").and_then(Value::as_array).into_iter().flatten() {
        let (Some(ip), Some(cidr)) = (ip.as_object(), ip.get("ip").and_then(Value::as_str)) else {
            return Err(wrong("the list"));
        };
        if cidr != clean(cidr) {
            return Err(wrong(cidr));
        }
        let _ = write!(text, "linkctl add {}", quoted(cidr));
        for setting in &SETTINGS {
            let texts = setting.texts(&setting.of(ip));
            let texts = texts.filter(|texts| texts.iter().all(|text| *text == clean(text)));
            let Some(texts) = texts else {
                return Err(wrong(&format!("{} of {cidr}", setting.field)));
            };
            for value in texts {
                let _ = write!(text, " --{} {}", setting.option, quoted(&value));
            }
        }
        text.push('\n');
    }
    Ok(text)
}

/// A word as a shell reads it.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+=,".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ip_is_a_command_with_what_it_says_itself() {
        let list = r#"{"ips":[
            {"ip":"10.0.0.1/32","interface":"eth0","checks":[],"healthcheck_interval":0,
             "etcd_loss_policy":"take","defaults":["interface","etcd_loss_policy"]},
            {"ip":"fd00::1/64","interface":"e1","checks":[{"type":"TCP","host":"::1","port":80},
             {"type":"TCP","host":"d'b$x","port":1}],"healthcheck_interval":7,
             "etcd_loss_policy":"hold","defaults":[]}]}"#;
        assert_eq!(
            of(list.as_bytes()).unwrap(),
            "linkctl add 10.0.0.1/32\n\
             linkctl add fd00::1/64 --check 'tcp://[::1]:80' --check 'tcp://d'\\''b$x:1' \
             --interval 7 --interface e1 --etcd-loss-policy hold\n"
        );
    }

    #[test]
    fn what_no_command_says_and_what_a_terminal_would_obey_is_refused() {
        for check in
            [r#"{"type":"HTTP","url":"x"}"#, r#"{"type":"TCP","host":"a\u001bb","port":1}"#]
        {
            let list = format!(r#"{{"ips":[{{"ip":"10.0.0.1/32","checks":[{check}]}}]}}"#);
            let failure = of(list.as_bytes()).unwrap_err().to_string();
            assert!(failure.starts_with("checks of 10.0.0.1/32 cannot be"), "{failure}");
        }
        let failure = of(br#"{"ips":[{"ip":"10.0.0.1\u001b"}]}"#).unwrap_err().to_string();
        assert!(failure.starts_with(r"10.0.0.1\u{1b} cannot be"), "{failure}");
    }
}
