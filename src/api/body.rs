//! The bodies of requests, from JSON to the words of the domain.
//!
//! Pure. A wrong shape is refused at once (400). Values that are not acceptable are collected, so
//! that a client learns of all its mistakes together (422).

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Map, Number, Value};

use super::reply::Reply;
use crate::command::{Change, Command, NewVip};
use crate::interface_name;
use crate::policy::LossPolicy;
use crate::text::is_host_name;
use crate::vip::{
    Check, Cidr, Fault as CheckFault, GroupName, LONGEST_INTERVAL, MAX_CHECKS, check_of, is_integer,
};
use crate::wire;

/// Seconds between two health checks; 0 means the daemon's default.
const INTERVALS: RangeInclusive<u64> = 0..=LONGEST_INTERVAL;
const INTERVAL: &str = "healthcheck_interval";
/// What a host does with an IP when etcd is lost.
const LOSS: &str = "etcd_loss_policy";
/// Who is first when an IP is free.
const PRIORITY: &str = "priority";
/// The group to which an IP belongs.
const GROUP: &str = "group";
/// Characters of a value that are repeated in an error.
const MAX_SHOWN: usize = 64;
/// Seconds for which a host can be drained: a year.
const LONGEST_DRAIN: u64 = 366 * 24 * 3600;

/// What is wrong with a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It has another shape.
    Shape(String),
    /// It is well-formed and cannot be accepted, by field.
    Values(BTreeMap<String, Vec<String>>),
}

impl From<Fault> for Reply {
    fn from(fault: Fault) -> Reply {
        match fault {
            Fault::Shape(what) => Reply::error(400, &what),
            Fault::Values(errors) => Reply::invalid(errors),
        }
    }
}

/// What `POST /ips` takes, or each part of an array of these.
pub(super) fn new_ip(object: &Map<String, Value>) -> Result<NewVip, Fault> {
    new_vip(object, object, "ip")
}

/// What `POST /endpoints` takes, where the address is in the configuration of a plugin.
pub(super) fn new_endpoint(object: &Map<String, Value>) -> Result<NewVip, Fault> {
    let plugin = string(object, "plugin", "plugin")?.unwrap_or("arp");
    if plugin != "arp" {
        let mut errors = ValidationErrors::default();
        errors.add("plugin", format!("{} is not a plugin of this agent, only arp", shown(plugin)));
        errors.result()?;
    }
    match object.get("plugin_config") {
        Some(Value::Object(config)) => new_vip(object, config, "plugin_config.ip"),
        Some(other) if !other.is_null() => Err(wrong_type("plugin_config", "an object", other)),
        _ => Err(missing("plugin_config")),
    }
}

/// The body of `PUT /ips/:id`: the checks under `healthchecks`, or under the name that they have
/// in an IP; their interval; the policy; the priority; the group; or several of them. What is absent stays as it is, and null is the
/// daemon's default. What an IP has beside these may be said as it is.
pub(crate) fn change(body: &[u8]) -> Result<Change, Fault> {
    let object = object(body)?;
    let field = ["healthchecks", "checks"].into_iter().find(|field| object.contains_key(*field));
    let [has_policy, has_interval, has_priority, has_group] =
        [LOSS, INTERVAL, PRIORITY, GROUP].map(|field| object.contains_key(field));
    let says_more = has_policy || has_interval || has_priority || has_group;
    let says_nothing = field.is_none() && !says_more;
    let fixed = fixed(&object);
    if says_nothing && fixed.is_empty() {
        return Err(missing("healthchecks"));
    }
    let interval = integer(&object, INTERVAL)?;
    let checks = match field {
        Some(field) => Some((field, raw_checks(&object, field)?)),
        None => None,
    };
    let loss = string(&object, LOSS, LOSS)?;
    let priority = integer(&object, PRIORITY)?;
    let group = string(&object, GROUP, GROUP)?;

    let mut errors = ValidationErrors::default();
    if field == Some("healthchecks")
        && object.get("checks").is_some_and(|it| *it != object["healthchecks"])
    {
        errors.add("checks", "say something else than healthchecks".to_owned());
    }
    let checks = checks.map(|(field, raw)| errors.checks(field, raw));
    let interval = has_interval.then(|| errors.interval(interval));
    let loss = has_policy.then(|| errors.loss(loss));
    let priority = has_priority.then(|| errors.priority(priority));
    let group = has_group.then(|| errors.group(group));
    errors.result()?;
    Ok(Change { checks, interval, loss, priority, group, fixed })
}

/// What is said of fields that cannot be changed. The Go LinK's clients write null for what is not set.
fn fixed(object: &Map<String, Value>) -> Vec<(&'static str, String)> {
    let said = |value: &Value| match value.as_str() {
        Some(text) => shown(text),
        None => shown(&value.to_string()),
    };
    let ip = |value: &Value| {
        let cidr = value.as_str().and_then(|text| text.parse::<Cidr>().ok());
        Some(("ip", cidr.map_or_else(|| said(value), |cidr| cidr.to_string())))
    };
    let of = |field: &'static str| {
        let value = object.get(field).filter(|value| !value.is_null())?;
        if field == "ip" { ip(value) } else { Some((field, said(value))) }
    };
    // Under `/endpoints` the address stands there.
    let configured = object.get("plugin_config").and_then(Value::as_object);
    let configured = configured.and_then(|config| config.get("ip")).and_then(ip);
    wire::Ip::FIXED.into_iter().filter_map(of).chain(configured).collect()
}

/// The body of `POST /ips/:id/failover`: the host that is to take over, or nothing at all.
pub(crate) fn failover_host(body: &[u8]) -> Result<Option<String>, Fault> {
    if body.trim_ascii().is_empty() {
        return Ok(None);
    }
    let object = object(body)?;
    let Some(host) = string(&object, "host", "host")? else {
        return Ok(None);
    };
    let mut errors = ValidationErrors::default();
    if host.is_empty() || host.contains('/') {
        errors.add("host", format!("{} is not a host name", shown(host)));
    }
    errors.result()?;
    Ok(Some(host.to_owned()))
}

/// The body of `POST /fence`: which host, and whether without asking it.
pub(crate) fn fence(body: &[u8]) -> Result<Command, Fault> {
    let object = object(body)?;
    let mut errors = ValidationErrors::default();
    let host = string(&object, "host", "host")?.unwrap_or_default();
    if host.is_empty() {
        errors.add("host", "is missing: the name of the host that is off".to_owned());
    } else if !is_host_name(host) {
        errors.add("host", format!("{} is not a host name", shown(host)));
    }
    let force = boolean(&object, "force")?;
    errors.result()?;
    Ok(Command::Fence { host: host.to_owned(), force })
}

/// The body of `POST /drain`: for how many seconds, or nothing at all.
pub(crate) fn drain_time(body: &[u8]) -> Result<Option<Duration>, Fault> {
    if body.trim_ascii().is_empty() {
        return Ok(None);
    }
    let object = object(body)?;
    let Some(number) = integer(&object, "for")? else { return Ok(None) };
    match number.as_u64().filter(|seconds| (1..=LONGEST_DRAIN).contains(seconds)) {
        Some(seconds) => Ok(Some(Duration::from_secs(seconds))),
        None => {
            let mut errors = ValidationErrors::default();
            errors.add("for", format!("{number} is not in 1-{LONGEST_DRAIN} (seconds)"));
            errors.result().map(|()| None)
        }
    }
}

/// What is well-formed but cannot be accepted, by field.
#[derive(Default)]
struct ValidationErrors(BTreeMap<String, Vec<String>>);

/// A check whose parts have the right types, and what is wrong with their values.
type RawCheck<'a> = (Option<Check>, Vec<CheckFault<'a>>);

/// The address stands in `place` and is called `ip_field` in errors; the rest stands in `object`.
fn new_vip(
    object: &Map<String, Value>,
    place: &Map<String, Value>,
    ip_field: &str,
) -> Result<NewVip, Fault> {
    let ip = string(place, "ip", ip_field)?.ok_or_else(|| missing(ip_field))?;
    let interface = string(object, "interface", "interface")?;
    let interval = integer(object, INTERVAL)?;
    let checks = raw_checks(object, "checks")?;
    let loss = string(object, LOSS, LOSS)?;
    let priority = integer(object, PRIORITY)?;
    let group = string(object, GROUP, GROUP)?;
    let force = boolean(object, "force")?;

    let mut errors = ValidationErrors::default();
    let cidr = errors.cidr(ip_field, ip);
    let checks = errors.checks("checks", checks);
    let healthcheck_interval = errors.interval(interval);
    errors.interface(interface);
    let loss = errors.loss(loss);
    let priority = errors.priority(priority);
    let group = errors.group(group);
    errors.result()?;
    let cidr = cidr.expect("an address without a value has a fault");
    let interface = interface.map(str::to_owned);
    Ok(NewVip { cidr, checks, healthcheck_interval, interface, loss, priority, group, force })
}

impl ValidationErrors {
    fn add(&mut self, field: &str, message: String) {
        self.0.entry(field.to_owned()).or_default().push(message);
    }

    fn result(self) -> Result<(), Fault> {
        if self.0.is_empty() { Ok(()) } else { Err(Fault::Values(self.0)) }
    }

    fn cidr(&mut self, field: &str, text: &str) -> Option<Cidr> {
        let why = match text.parse::<Cidr>() {
            Ok(cidr) => match cidr.unusable() {
                None => return Some(cidr),
                Some(why) => why.to_owned(),
            },
            Err(error) => error.to_string(),
        };
        self.add(field, format!("{} {why}", shown(text)));
        None
    }

    fn checks(&mut self, field: &str, raw: Vec<RawCheck<'_>>) -> Vec<Check> {
        if raw.len() > MAX_CHECKS {
            self.add(field, format!("{} checks are too many, {MAX_CHECKS} may be", raw.len()));
            return Vec::new();
        }
        let mut checks = Vec::with_capacity(raw.len());
        for (index, (check, faults)) in raw.into_iter().enumerate() {
            checks.extend(check);
            for fault in faults {
                // The other faults are of the shape, and refused before.
                if let CheckFault::Invalid { part, value, why } = fault {
                    let value = shown(&value);
                    self.add(field, format!("{part} {value} of check {index} {why}"));
                }
            }
        }
        Check::in_order(checks)
    }

    fn interval(&mut self, number: Option<&Number>) -> u64 {
        let Some(number) = number else { return 0 };
        if let Some(seconds) = number.as_u64().filter(|seconds| INTERVALS.contains(seconds)) {
            return seconds;
        }
        self.add(INTERVAL, format!("{number} is not in 0-3600 (seconds)"));
        0
    }

    fn loss(&mut self, word: Option<&str>) -> Option<LossPolicy> {
        let word = word?;
        let policy = word.parse::<LossPolicy>();
        policy.map_err(|error| self.add(LOSS, format!("{} {error}", shown(word)))).ok()
    }

    fn priority(&mut self, number: Option<&Number>) -> Option<u8> {
        let number = number?;
        let priority = number.as_u64().and_then(|number| u8::try_from(number).ok());
        if priority.is_none() {
            self.add(PRIORITY, format!("{number} is not in 0-255"));
        }
        priority
    }

    fn group(&mut self, name: Option<&str>) -> Option<GroupName> {
        let name = name?;
        let group = name.parse::<GroupName>();
        group.map_err(|error| self.add(GROUP, format!("{} {error}", shown(name)))).ok()
    }

    fn interface(&mut self, name: Option<&str>) {
        let Some(name) = name else { return };
        if let Err(why) = interface_name::check(name) {
            self.add("interface", format!("{} {why}", shown(name)));
        }
    }
}

fn object(body: &[u8]) -> Result<Map<String, Value>, Fault> {
    let value = json(body)?;
    let Value::Object(object) = value else {
        return Err(wrong_type("the body", "an object", &value));
    };
    Ok(object)
}

pub(super) fn json(body: &[u8]) -> Result<Value, Fault> {
    let value = serde_json::from_slice(body);
    value.map_err(|error| Fault::Shape(format!("the body is not JSON: {error}")))
}

/// A field that is absent, null, or a string. Go's clients write null for what is not set.
fn string<'a>(
    object: &'a Map<String, Value>,
    field: &str,
    name: &str,
) -> Result<Option<&'a str>, Fault> {
    match object.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(wrong_type(name, "a string", other)),
    }
}

fn integer<'a>(object: &'a Map<String, Value>, field: &str) -> Result<Option<&'a Number>, Fault> {
    match object.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) if is_integer(number) => Ok(Some(number)),
        Some(other) => Err(wrong_type(field, "an integer", other)),
    }
}

/// False if it is absent or null.
fn boolean(object: &Map<String, Value>, field: &str) -> Result<bool, Fault> {
    match object.get(field) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(value)) => Ok(*value),
        Some(other) => Err(wrong_type(field, "true or false", other)),
    }
}

fn raw_checks<'a>(object: &'a Map<String, Value>, field: &str) -> Result<Vec<RawCheck<'a>>, Fault> {
    match object.get(field) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => {
            items.iter().enumerate().map(|(index, item)| raw_check(field, index, item)).collect()
        }
        Some(other) => Err(wrong_type(field, "an array", other)),
    }
}

fn raw_check<'a>(field: &str, index: usize, item: &'a Value) -> Result<RawCheck<'a>, Fault> {
    let name = |part: &str| format!("{field}[{index}]{part}");
    let Value::Object(check) = item else {
        return Err(wrong_type(&name(""), "an object", item));
    };
    let (check, faults) = check_of(check);
    for fault in &faults {
        match fault {
            CheckFault::Missing(part) => return Err(missing(&name(&format!(".{part}")))),
            CheckFault::WrongType { part, wanted, found } => {
                return Err(wrong_type(&name(&format!(".{part}")), wanted, found));
            }
            CheckFault::Invalid { .. } => {}
        }
    }
    Ok((check, faults))
}

fn missing(name: &str) -> Fault {
    Fault::Shape(format!("{name} is missing"))
}

pub(super) fn wrong_type(name: &str, wanted: &str, found: &Value) -> Fault {
    let found = match found {
        Value::Null => "null".to_owned(),
        Value::Bool(_) | Value::Number(_) => shown(&found.to_string()),
        Value::String(text) => format!("the string {}", shown(text)),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    };
    Fault::Shape(format!("{name} must be {wanted}, not {found}"))
}

/// A value of the client's in an error: never empty, never long.
fn shown(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None if text.is_empty() => "\"\"".to_owned(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
