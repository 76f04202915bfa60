//! What holds for whatever a client sends: properties for [`crate::fuzzing`].

use std::net::IpAddr;
use std::time::Instant;

use nix::poll::PollFlags;

use super::auth::admits;
use super::browser::{Names, Provenance};
use super::connection::Connection;
use super::head::MAX_HEAD;
use super::many;
use super::reply::{Framing, Reply};
use super::request::Request;
use super::route::{self, Action, LARGEST_BODY};
use crate::command::{Command, NewVip};
use crate::etcd;
use crate::fuzzing::cut;
use crate::interface_name;
use crate::secret::Credentials;
use crate::store;
use crate::text::is_host_name;
use crate::vip::{Check, LONGEST_INTERVAL, Target, VipId};

/// What the gate answers itself, of what it cannot read.
const REFUSALS: [u16; 7] = [400, 403, 411, 413, 417, 431, 505];
/// Bytes of the shortest request that is read: `A / HTTP/1.0` and an empty line.
const SHORTEST: usize = 16;
/// Under this id what is accepted is stored.
const ID: &str = "vip-1b4e28ba-2fa1-41d2-883f-0016d3cca427";
/// Up to this size an input is fed byte by byte too; the head is read anew at each of them.
const SLOWLY: usize = 600;

/// A client that sends these bytes and then nothing more is heard in the same way however they are
/// cut; each request that is passed on is canonical; whatever it does, it is gone in the end.
pub fn gate(input: &[u8]) {
    let heard = Conversation::of([input]);
    for request in &heard.requests {
        check_canonical(request);
    }
    check_provenance(&String::from_utf8_lossy(input));
    heard.check_answers();
    heard.check_same(&Conversation::of(cut(input)));
    if input.len() <= SLOWLY {
        heard.check_same(&Conversation::of(input.chunks(1)));
    }
    check_end_of_silence(input);
}

/// A method and a target on the first line, and a body on those that follow if there are any: an
/// action on words of the domain that are well-formed, or a refusal in JSON that names its reason.
pub fn route(input: &[u8]) {
    let (line, body) = match input.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&input[..end], Some(&input[end + 1..])),
        None => (input, None),
    };
    let line = String::from_utf8_lossy(line);
    let (method, target) = line.split_once(' ').unwrap_or((&line, ""));
    let asked = route::route(method, target, body);
    if route::is_public(target) {
        let open = matches!(asked, Err(_) | Ok(Action::Command(Command::Health, _)));
        assert!(open, "everybody may ask for {asked:?}");
    }
    match asked {
        Ok(Action::Version | Action::Page) => assert_eq!(method, "GET"),
        Ok(Action::Command(command, form)) => {
            assert!([200, 201, 204].contains(&form.status), "{form:?}");
            check_command(&command);
        }
        Err(reply) => check_refusal(&reply, input),
    }
}

/// The agent's: what is passed on names `link`, and most of the corpus `h`.
fn names() -> Names {
    Names::new(["link".to_owned(), "h".to_owned()], false)
}

/// Whatever stands in Host and Origin, only the agent's own names are served, and pages of its own.
/// The reference is another one: it takes the text apart as a URL.
fn check_provenance(text: &str) {
    let is_plain = |byte: u8| (b'!'..=b'~').contains(&byte);
    let mut words = text.split_ascii_whitespace().filter(|word| word.bytes().all(is_plain));
    let (host, origin) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let bytes = |text: &'_ str| text.as_bytes().to_vec();
    let (host_field, origin_field) = (bytes(host), bytes(origin));
    let admits = |host: &[u8], origin: &[u8]| {
        names().check(&Provenance { host, origin, ..Provenance::default() }).is_ok()
    };
    if admits(&host_field, b"") && !host.is_empty() {
        let name = host.to_ascii_lowercase();
        let end = name.rfind(']').unwrap_or_else(|| name.find(':').unwrap_or(name.len()));
        let name = name[..end].trim_start_matches('[').trim_end_matches('.');
        let address = name.split('%').next().unwrap_or_default().parse::<IpAddr>();
        assert!(["h", "link", "localhost"].contains(&name) || address.is_ok(), "{host:?}");
    }
    if !origin.is_empty() && admits(&host_field, &origin_field) {
        let (origin, host) = (origin.to_ascii_lowercase(), host.to_ascii_lowercase());
        let name = host.split(':').next().unwrap_or_default().trim_end_matches('.');
        assert!(!host.is_empty() && origin.contains(name), "{origin:?} at {host:?}");
    }
}

/// The status of the refusal with which a request ends at the door, if it does.
pub(crate) fn refusal(method: &str, target: &str, body: &[u8]) -> Option<u16> {
    route::route(method, target, Some(body)).err().map(|reply| reply.status)
}

/// What came of the bytes of one client.
#[derive(Debug, Default)]
struct Conversation {
    /// What the server got.
    requests: Vec<Request>,
    /// The status codes that the client got, without `100 Continue`: that depends on what of the
    /// body is here already.
    statuses: Vec<u16>,
}

impl Conversation {
    /// The client sends the pieces as they are read, and the server answers at once.
    fn of<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Conversation {
        let now = Instant::now();
        let mut pieces = pieces.into_iter();
        let mut connection = Connection::new(names(), now);
        let mut heard = Conversation::default();
        let mut said = Vec::new();
        while !connection.is_closed() {
            assert!(connection.deadline().is_some(), "a client waits for ever: {connection:?}");
            if let Some(request) = connection.take_request(0, now) {
                connection.answer(&Reply::version(), true, now);
                // Until when it waits depends on when it was read.
                heard.requests.push(Request { poll: None, ..request });
            } else if connection.interest().contains(PollFlags::POLLOUT) {
                said.extend_from_slice(connection.unsent());
                connection.sent(connection.unsent().len(), now);
            } else if let Some(piece) = pieces.next() {
                assert!(
                    connection.interest().contains(PollFlags::POLLIN),
                    "nothing is waited for: {connection:?}"
                );
                connection.received(piece, now);
                let most = 2 * (MAX_HEAD + LARGEST_BODY + piece.len());
                assert!(connection.held() <= most, "{} bytes are held", connection.held());
            } else {
                connection.ended(now);
            }
        }
        heard.statuses = statuses(&said);
        heard
    }

    /// Every request has its answer; at most one refusal follows, and that is the last word.
    fn check_answers(&self) {
        let (answers, refusals) = self.statuses.split_at(self.requests.len());
        assert!(answers.iter().all(|status| *status == 200), "{self:?}");
        let known = refusals.iter().all(|status| REFUSALS.contains(status));
        assert!(known && refusals.len() <= 1, "{self:?}");
    }

    /// What is accepted and where it ends; of several mistakes, another may be met first.
    fn check_same(&self, other: &Conversation) {
        other.check_answers();
        assert_eq!(self.requests, other.requests);
        assert_eq!(self.statuses.len(), other.statuses.len(), "{self:?} {other:?}");
    }
}

/// The status codes of the answers in what was sent to a client, which is nothing but answers.
fn statuses(mut said: &[u8]) -> Vec<u16> {
    let mut statuses = Vec::new();
    while !said.is_empty() {
        let mut fields = [httparse::EMPTY_HEADER; 8];
        let mut answer = httparse::Response::new(&mut fields);
        let Ok(httparse::Status::Complete(head)) = answer.parse(said) else {
            panic!("not an answer: {:?}", String::from_utf8_lossy(said));
        };
        let status = answer.code.expect("a complete answer has a status");
        said = &said[head..];
        if status != 100 {
            statuses.push(status);
            said = without_body(said, answer.headers);
        }
    }
    statuses
}

/// What follows the JSON of an answer. The answer to a HEAD has none; the next one follows at once.
fn without_body<'a>(said: &'a [u8], fields: &[httparse::Header<'_>]) -> &'a [u8] {
    if !said.starts_with(b"{") {
        return said;
    }
    let length = fields.iter().find(|field| field.name == "Content-Length");
    let length = length.and_then(|field| std::str::from_utf8(field.value).ok()?.parse().ok());
    let (body, rest) = said.split_at(length.expect("an answer with a body tells its length"));
    let json = serde_json::from_slice::<serde_json::Value>(body);
    assert!(json.is_ok_and(|json| json.is_object()) && body.ends_with(b"}\n"));
    rest
}

/// One request in the only form that the server behind the gate ever sees.
fn check_canonical(request: &Request) {
    let shown = String::from_utf8_lossy(&request.bytes);
    let end = request.bytes.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    let (head, body) = request.bytes.split_at(end.expect("the head has an end") + 4);
    let head = std::str::from_utf8(head).expect("the head is ASCII");
    let mut lines = head.trim_end_matches("\r\n").split("\r\n").peekable();
    let line: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let [method, path, "HTTP/1.1"] = line[..] else { panic!("{shown:?}") };
    assert!(!method.is_empty() && method.bytes().all(|byte| byte.is_ascii_graphic()), "{shown:?}");
    assert!(path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()), "{shown:?}");
    assert!(request.waits || method == "GET", "{shown:?}");
    assert_eq!(lines.next(), Some("Host: link"), "{shown:?}");
    if let Some(value) = lines.peek().and_then(|line| line.strip_prefix("Authorization: ")) {
        check_credentials(value);
        lines.next();
    }
    let length =
        lines.next().map_or(Some(0), |line| line.strip_prefix("Content-Length: ")?.parse().ok());
    assert_eq!((length, lines.next()), (Some(body.len()), None), "{shown:?}");
    assert!(body.len() <= route::largest_body(method, path), "{} bytes of body", body.len());
    let again = Conversation::of([&request.bytes[..]]);
    assert_eq!(again.requests, std::slice::from_ref(request), "read again");
}

/// Of all that can be sent, only one text in base64 admits.
fn check_credentials(value: &str) {
    assert!(value.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{value:?}");
    let credentials = Credentials::new("u", "p").expect("there is no colon in the user");
    let is_right = value.split_once(' ').is_some_and(|(scheme, token)| {
        scheme.eq_ignore_ascii_case("basic") && token.trim() == "dTpw"
    });
    assert_eq!(admits(&credentials, Some(value)), is_right, "{value:?}");
}

/// A client that sends no more, whose requests nobody takes, is let go after bounded time.
fn check_end_of_silence(input: &[u8]) {
    let mut now = Instant::now();
    let mut connection = Connection::new(names(), now);
    connection.received(input, now);
    // Each request that waits is answered at its deadline; two deadlines more, of what is left of a
    // request and of the answer to that.
    for _ in 0..input.len() / SHORTEST + 3 {
        connection.sent(connection.unsent().len(), now);
        now = connection.deadline().unwrap_or(now);
        connection.expire(now);
    }
    assert!(connection.is_closed(), "{connection:?}");
}

fn check_command(command: &Command) {
    match command {
        Command::List
        | Command::Health
        | Command::Events(_)
        | Command::Metrics
        | Command::Status
        | Command::Undrain
        | Command::Leave
        | Command::Drained => {}
        Command::Drain(time) => assert!(time.is_none_or(|time| time.as_secs() > 0), "{time:?}"),
        Command::Create(new) => check_new(new),
        Command::CreateMany(all) => {
            assert!((1..=many::MOST).contains(&all.len()), "{} IPs", all.len());
            all.iter().for_each(check_new);
        }
        Command::Get(id) | Command::Delete(id) | Command::Lock(id) | Command::Hosts(id) => {
            check_id(id);
        }
        Command::Change(id, change) => {
            check_id(id);
            change.checks.iter().flatten().for_each(check_check);
        }
        Command::Fence { host, .. } => assert!(is_host_name(host), "{host:?}"),
        Command::Failover(id, host) => {
            check_id(id);
            let named = host.as_ref().is_none_or(|host| !host.is_empty() && !host.contains('/'));
            assert!(named, "{host:?}");
        }
    }
}

fn check_id(id: &VipId) {
    assert_eq!(id.as_str().parse().as_ref(), Ok(id));
    assert!(id.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{id}");
}

fn check_check(check: &Check) {
    let is_odd = |c: char| c.is_whitespace() || c.is_control();
    let is_plain = |text: &str| !text.is_empty() && !text.contains(is_odd);
    match &check.target {
        Target::Tcp { host, port } => assert!(is_plain(host) && *port > 0, "{check:?}"),
        Target::Link { interface } => assert_eq!(interface_name::check(interface), Ok(())),
        Target::Http { url, .. } => {
            assert!(is_plain(url.host()) && url.port() > 0, "{check:?}");
            // Nothing but itself gets into the request.
            assert!(is_plain(url.authority()) && is_plain(&url.target()), "{check:?}");
            assert!(url.target().starts_with('/'), "{check:?}");
        }
        Target::Exec { command, args } => {
            assert!(is_plain(command) && !command.contains('/'), "{check:?}");
            assert!(!args.iter().any(|arg| arg.contains('\0')), "{check:?}");
        }
    }
    for count in [check.rise, check.fall].into_iter().flatten() {
        assert!((1..=100).contains(&count), "{check:?}");
    }
}

/// What is accepted can be bound, checked, and read again from etcd.
fn check_new(new: &NewVip) {
    assert_eq!(new.cidr.unusable(), None, "{}", new.cidr);
    assert!(new.healthcheck_interval <= LONGEST_INTERVAL, "{} s", new.healthcheck_interval);
    new.checks.iter().for_each(check_check);
    if let Some(interface) = &new.interface {
        assert_eq!(interface_name::check(interface), Ok(()), "{interface:?}");
    }
    let (known, more): (Vec<&Check>, Vec<&Check>) =
        new.checks.iter().partition(|check| check.is_tcp());
    let value = serde_json::json!({
        "id": ID,
        "ip": new.cidr.to_string(),
        "checks": known,
        "more_checks": more,
        "healthcheck_interval": new.healthcheck_interval,
        "interface": new.interface,
        "etcd_loss_policy": new.loss,
        "priority": new.priority,
        "group": new.group.as_ref().map(ToString::to_string),
    });
    let (key, value) = (format!("/link/hosts/h1/{ID}"), value.to_string().into_bytes());
    let kv = etcd::Kv { key, value, lease: 0, mod_revision: 1 };
    let reply = etcd::Reply::new(true, 1, vec![vec![], vec![], vec![kv]]);
    let machine = store::Instance::default();
    let store::Answer::Loaded(found) =
        store::answer_of(&store::Request::Load, "h1", &machine, &reply)
    else {
        panic!("a load is answered by what was found");
    };
    assert_eq!(found.unreadable, []);
    let [record] = &found.records[..] else { panic!("{:?}", found.records) };
    assert_eq!((record.cidr, &record.checks), (new.cidr, &new.checks));
    assert_eq!(record.healthcheck_interval, new.healthcheck_interval);
    assert_eq!((&record.interface, record.loss), (&new.interface, new.loss));
    assert_eq!((record.priority, &record.group), (new.priority, &new.group));
}

fn check_refusal(reply: &Reply, input: &[u8]) {
    let framing = Framing { keep_alive: false, head_only: false };
    assert_eq!(statuses(&reply.encode(framing)), [reply.status]);
    assert!((400..500).contains(&reply.status), "{}", reply.status);
    let body: serde_json::Value = serde_json::from_slice(&reply.body).expect("a refusal is JSON");
    assert!(body["error"].as_str().is_some_and(|error| !error.is_empty()), "{body}");
    let fields = body["errors"].as_object().is_some_and(|fields| !fields.is_empty());
    assert_eq!(reply.status == 422, fields, "{body}");
    let allows = reply.headers.iter().any(|(name, _)| name == "Allow");
    assert_eq!(reply.status == 405, allows, "{:?}", reply.headers);
    // Each check of at least 31 bytes may have three mistakes, each told twice in some 70 bytes.
    assert!(reply.body.len() <= 2000 + 16 * input.len(), "{} bytes", reply.body.len());
}
