//! One new IP, or many that are registered together, from JSON.
//!
//! Pure. Each mistake names the place in the array; all of them are looked for, and the first are told.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};

use super::body::{Fault, json, new_endpoint, new_ip, wrong_type};
use crate::command::{Command, NewVip};

/// How many IPs one request registers.
pub(crate) const MOST: usize = 1000;

/// Of so many IPs it is told what is wrong with them.
const MOST_TOLD: usize = 20;

/// The field under which is told what is wrong with the array.
const ARRAY: &str = "the array";

/// The body of `POST /ips`.
pub(crate) fn ips(body: &[u8]) -> Result<Command, Fault> {
    one_or_many(body, new_ip)
}

/// The body of `POST /endpoints`.
pub(crate) fn endpoints(body: &[u8]) -> Result<Command, Fault> {
    one_or_many(body, new_endpoint)
}

fn one_or_many(
    body: &[u8],
    read: impl Fn(&Map<String, Value>) -> Result<NewVip, Fault>,
) -> Result<Command, Fault> {
    match json(body)? {
        Value::Object(object) => read(&object).map(Command::Create),
        Value::Array(items) if items.is_empty() => Err(of_array("has no IP".to_owned())),
        Value::Array(items) if items.len() > MOST => {
            Err(of_array(format!("has {} IPs, more than {MOST} in one request", items.len())))
        }
        Value::Array(items) => many(&items, read).map(Command::CreateMany),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
            Err(wrong_type("the body", "an object or an array", &other))
        }
    }
}

fn many(
    items: &[Value],
    read: impl Fn(&Map<String, Value>) -> Result<NewVip, Fault>,
) -> Result<Vec<NewVip>, Fault> {
    let mut all: Vec<NewVip> = Vec::with_capacity(items.len());
    let mut places = HashMap::new();
    let mut wrong = Wrong::default();
    for (index, item) in items.iter().enumerate() {
        let Value::Object(object) = item else {
            return Err(wrong_type(&format!("[{index}]"), "an object", item));
        };
        let new = match read(object) {
            Ok(new) => new,
            Err(Fault::Shape(what)) => return Err(Fault::Shape(format!("[{index}].{what}"))),
            Err(Fault::Values(errors)) => {
                wrong.add(index, errors);
                continue;
            }
        };
        match places.insert(new.cidr.addr(), index) {
            None => all.push(new),
            Some(before) => {
                let twice = format!("{} is [{before}], too", new.cidr);
                wrong.add(index, BTreeMap::from([("ip".to_owned(), vec![twice])]));
            }
        }
    }
    wrong.result().map(|()| all)
}

fn of_array(what: String) -> Fault {
    Fault::Values(BTreeMap::from([(ARRAY.to_owned(), vec![what])]))
}

/// What is wrong with some of them.
#[derive(Default)]
struct Wrong {
    count: usize,
    told: BTreeMap<String, Vec<String>>,
}

impl Wrong {
    fn add(&mut self, index: usize, errors: BTreeMap<String, Vec<String>>) {
        self.count += 1;
        if self.count <= MOST_TOLD {
            let errors = errors.into_iter().map(|(field, it)| (format!("[{index}].{field}"), it));
            self.told.extend(errors);
        }
    }

    fn result(mut self) -> Result<(), Fault> {
        if self.count == 0 {
            return Ok(());
        }
        if self.count > MOST_TOLD {
            let more = format!("has {} more IPs that cannot be accepted", self.count - MOST_TOLD);
            self.told.insert(ARRAY.to_owned(), vec![more]);
        }
        Err(Fault::Values(self.told))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> String {
        match ips(body.as_bytes()) {
            Err(Fault::Shape(what)) => format!("400 {what}"),
            Err(Fault::Values(errors)) => {
                let all =
                    errors.iter().map(|(field, texts)| format!("{field}: {}", texts.join(", ")));
                format!("422 {}", all.collect::<Vec<_>>().join("; "))
            }
            Ok(command) => format!("{command:?}"),
        }
    }

    fn array(ips: impl Iterator<Item = String>) -> String {
        let ips: Vec<String> = ips.map(|ip| format!(r#"{{"ip":"{ip}"}}"#)).collect();
        format!("[{}]", ips.join(","))
    }

    fn address(number: usize) -> String {
        format!("10.0.{}.{}", number / 250, number % 250 + 1)
    }

    #[test]
    fn an_array_is_many_ips_and_an_object_one() {
        let many = array((0..MOST).map(address));
        let Ok(Command::CreateMany(all)) = ips(many.as_bytes()) else { panic!("not many") };
        assert_eq!((all.len(), all[999].cidr.to_string()), (MOST, "10.0.3.250/32".to_owned()));
        assert!(matches!(ips(br#"{"ip":"10.0.0.1"}"#), Ok(Command::Create(_))));
        assert!(matches!(ips(br#"[{"ip":"10.0.0.1"}]"#), Ok(Command::CreateMany(_))));
        let endpoint = br#"[{"plugin":"arp","plugin_config":{"ip":"10.0.0.1"}}]"#;
        assert!(matches!(endpoints(endpoint), Ok(Command::CreateMany(_))));
    }

    #[test]
    fn each_mistake_names_its_place_its_field_and_its_value() {
        for (body, expected) in [
            ("[]", "422 the array: has no IP"),
            ("[[]]", "400 [0] must be an object, not an array"),
            (r#"[{"ip":"10.0.0.1"},5]"#, "400 [1] must be an object, not 5"),
            (r#"[{"ip":"10.0.0.1"},{}]"#, "400 [1].ip is missing"),
            (r#"[{"ip":5}]"#, "400 [0].ip must be a string, not 5"),
            ("5", "400 the body must be an object or an array, not 5"),
            (
                r#"[{"ip":"10.0.0.1"},{"ip":"x","healthcheck_interval":-1},{"ip":"y"}]"#,
                "422 [1].healthcheck_interval: -1 is not in 0-3600 (seconds); \
                 [1].ip: x is not an IP address; [2].ip: y is not an IP address",
            ),
            (
                r#"[{"ip":"10.0.0.1"},{"ip":"10.0.0.2"},{"ip":"10.0.0.1/24"}]"#,
                "422 [2].ip: 10.0.0.1/24 is [0], too",
            ),
        ] {
            assert_eq!(refused(body), expected, "{body}");
        }
        let too_many = array((0..=MOST).map(address));
        assert_eq!(
            refused(&too_many),
            "422 the array: has 1001 IPs, more than 1000 in one request"
        );
        let bad = refused(&array((0..100).map(|number| format!("x{number}"))));
        assert!(bad.contains("[19].ip: x19 is not") && !bad.contains("[20]"), "{bad}");
        assert!(bad.ends_with("the array: has 80 more IPs that cannot be accepted"), "{bad}");
    }
}
