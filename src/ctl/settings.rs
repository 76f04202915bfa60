//! What can be said of an IP beside its address: the one table of it. Options, the file of `add` and
//! `apply`, what `apply` compares, and what `list --output commands` prints are made of it.

use serde_json::{Map, Value};

use super::failure::Failure;
use crate::policy::{LossPolicy, UnknownWord};
use crate::text::clean;
use crate::vip::{Check, GroupName, GroupNameError};

/// One setting of an IP.
#[derive(Debug)]
pub(super) struct Setting {
    /// Its name in the JSON of an IP.
    pub(super) field: &'static str,
    /// The option, without `--`.
    pub(super) option: &'static str,
    /// The word that means that there is nothing of its own.
    none: &'static str,
    /// It is a list: the option may be repeated.
    is_list: bool,
    /// Whether it can be changed; otherwise the IP has to be registered anew.
    pub(super) can_change: bool,
    /// Where an IP says nothing, the agent shows its own.
    pub(super) shows_agents: bool,
    /// From the value of the option to JSON, and back.
    read: fn(&str) -> Result<Value, String>,
    write: fn(&Value) -> Option<String>,
}

/// All settings.
pub(super) static SETTINGS: [Setting; 6] = [
    Setting {
        field: "checks",
        option: "check",
        none: "none",
        is_list: true,
        can_change: true,
        shows_agents: false,
        read: read_check,
        write: write_check,
    },
    Setting {
        field: "healthcheck_interval",
        option: "interval",
        none: "default",
        is_list: false,
        can_change: true,
        shows_agents: false,
        read: read_seconds,
        write: write_number,
    },
    Setting {
        field: "interface",
        option: "interface",
        none: "default",
        is_list: false,
        can_change: false,
        shows_agents: true,
        read: read_name,
        write: write_text,
    },
    Setting {
        field: "etcd_loss_policy",
        option: "etcd-loss-policy",
        none: "default",
        is_list: false,
        can_change: true,
        shows_agents: true,
        read: read_policy,
        write: write_text,
    },
    Setting {
        field: "priority",
        option: "priority",
        none: "default",
        is_list: false,
        can_change: true,
        shows_agents: true,
        read: read_priority,
        write: write_number,
    },
    Setting {
        field: "group",
        option: "group",
        none: "none",
        is_list: false,
        can_change: true,
        shows_agents: true,
        read: read_group,
        write: write_text,
    },
];

/// The settings of an IP that were said, in JSON.
pub(super) type Said = Map<String, Value>;

/// The setting with this option.
pub(super) fn of_option(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.option == name)
}

/// Adds the value of an option to what was said.
pub(super) fn say(said: &mut Said, setting: &Setting, text: &str) -> Result<(), Failure> {
    let Setting { field, option, none, is_list, read, .. } = setting;
    let field = (*field).to_owned();
    if text == *none {
        said.insert(field, if *is_list { Value::Array(Vec::new()) } else { Value::Null });
        return Ok(());
    }
    let value = read(text).map_err(|why| {
        Failure::usage(format!("--{option} \"{}\": {}", clean(text), clean(&why)))
    })?;
    if *is_list {
        let items = said.entry(field).or_insert_with(|| Value::Array(Vec::new()));
        if let Some(items) = items.as_array_mut() {
            items.push(value);
        }
    } else {
        said.insert(field, value);
    }
    Ok(())
}

impl Setting {
    /// What an IP says, or what stands for nothing of its own.
    pub(super) fn of(&self, ip: &Map<String, Value>) -> Value {
        let is_default = ip
            .get("defaults")
            .and_then(Value::as_array)
            .is_some_and(|fields| fields.iter().any(|field| field == self.field));
        match ip.get(self.field).filter(|_| !is_default) {
            None | Some(Value::Null) => Value::Null,
            Some(Value::Array(items)) if items.is_empty() => Value::Null,
            // Of a time, 0 is the agent's.
            Some(Value::Number(number)) if number.as_u64() == Some(0) && !self.shows_agents => {
                Value::Null
            }
            Some(value) => value.clone(),
        }
    }

    /// What is sent to have this value, as [`Setting::of`] tells it.
    pub(super) fn to_send(&self, value: &Value) -> Value {
        match value.is_null() && self.is_list {
            true => Value::Array(Vec::new()),
            false => value.clone(),
        }
    }

    /// The values of the options that say this.
    pub(super) fn texts(&self, value: &Value) -> Option<Vec<String>> {
        if value.is_null() {
            return Some(Vec::new());
        }
        match value.as_array() {
            Some(items) => items.iter().map(self.write).collect(),
            None => Some(vec![(self.write)(value)?]),
        }
    }

    /// A value in a few words for people.
    pub(super) fn shown(&self, value: &Value) -> String {
        match self.texts(value) {
            Some(texts) if texts.is_empty() => self.none.to_owned(),
            Some(texts) => clean(&texts.join(" ")),
            None => clean(&value.to_string()),
        }
    }
}

fn read_check(text: &str) -> Result<Value, String> {
    let check = Check::from_word(text)?;
    serde_json::to_value(check).map_err(|error| error.to_string())
}

fn write_check(value: &Value) -> Option<String> {
    serde_json::from_value::<Check>(value.clone()).ok()?.word()
}

fn read_seconds(text: &str) -> Result<Value, String> {
    let seconds = text.parse::<u64>().map_err(|_| "is not a number of seconds".to_owned())?;
    Ok(seconds.into())
}

fn write_number(value: &Value) -> Option<String> {
    value.as_u64().map(|number| number.to_string())
}

fn read_priority(text: &str) -> Result<Value, String> {
    let priority = text.parse::<u8>().map_err(|_| "is not a number from 0 to 255".to_owned())?;
    Ok(priority.into())
}

fn read_group(text: &str) -> Result<Value, String> {
    let name: GroupName = text.parse().map_err(|why: GroupNameError| why.to_string())?;
    Ok(name.to_string().into())
}

fn read_name(text: &str) -> Result<Value, String> {
    match text.is_empty() {
        true => Err("the name is empty".to_owned()),
        false => Ok(text.into()),
    }
}

fn read_policy(text: &str) -> Result<Value, String> {
    let policy: LossPolicy = text.parse().map_err(|why: UnknownWord| why.to_string())?;
    Ok(policy.to_string().into())
}

fn write_text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(option: &str, text: &str) -> Value {
        let mut said = Said::new();
        let setting = of_option(option).unwrap();
        say(&mut said, setting, text).unwrap();
        said[setting.field].clone()
    }

    #[test]
    fn what_an_option_says_is_written_as_the_option_again() {
        for (option, text) in [
            ("check", "tcp://127.0.0.1:80"),
            ("check", "tcp://[::1]:80,rise=2"),
            ("check", "http://db:8080/up,status=200-399,fall=5"),
            ("check", "https://db/up,status=204,cacert=/etc/ssl/a,b.pem,rise=3"),
            ("check", "https://db/up,verify=false"),
            ("check", "link://eth1.100"),
            ("check", "exec://replication?arg=--max&arg=5%25%2C"),
            ("interval", "7"),
            ("priority", "255"),
            ("group", "gw-1.north"),
            ("interface", "eth1.100"),
            ("etcd-loss-policy", "hold"),
        ] {
            let setting = of_option(option).unwrap();
            let value = said(option, text);
            assert_eq!(setting.texts(&value), Some(vec![text.to_owned()]), "{option}");
        }
    }

    #[test]
    fn nothing_of_its_own_has_a_word_and_is_the_same_however_it_is_written() {
        for setting in &SETTINGS {
            let none = said(setting.option, setting.none);
            let ip = Said::from_iter([(setting.field.to_owned(), none)]);
            assert_eq!(setting.of(&ip), Value::Null, "{}", setting.field);
            assert_eq!(setting.of(&Said::new()), Value::Null);
            assert_eq!(setting.texts(&Value::Null), Some(Vec::new()));
            assert_eq!(setting.shown(&Value::Null), setting.none);
            let fields = Value::Array(vec![setting.field.into()]);
            let effective = Said::from_iter([
                (setting.field.to_owned(), "x".into()),
                ("defaults".to_owned(), fields),
            ]);
            assert_eq!(setting.of(&effective), Value::Null);
        }
        let zero = Said::from_iter([("priority".to_owned(), Value::from(0))]);
        assert_eq!(of_option("priority").unwrap().of(&zero), Value::from(0), "the lowest");
        assert_eq!(SETTINGS[0].to_send(&Value::Null), Value::Array(Vec::new()));
    }
}
