//! What holds for whatever `linkctl` is told, by the one who calls it and by the one who answers:
//! properties for [`crate::fuzzing`].

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::mem::discriminant;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::Duration;

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, send, socketpair};

use super::args::{self, Options, Task};
use super::commands;
use super::dial::Deadline;
use super::events;
use super::failure::{Failure, Kind};
use super::http::{self, Error, Incoming, Request, Response};
use super::list;
use super::secure::Stream;
use super::server::Server;
use super::show::{self, Colour};
use super::subcommand::Subcommand;
use crate::api::fuzzing::refusal;
use crate::fuzzing::cut;
use crate::secret::Credentials;
use crate::text::clean;
use crate::wire;

/// Where a host is handed an IP.
const FAILOVER: &str = "/ips/vip-1b4e28ba-2fa1-41d2-883f-0016d3cca427/failover";
/// Where an IP is changed.
const IP: &str = "/ips/vip-1b4e28ba-2fa1-41d2-883f-0016d3cca427";
/// An IP that is shown in as many lines as any other.
const PLAIN_IP: &str = r#"{"id":"vip-1","ip":"10.0.0.1/32","status":"STANDBY"}"#;
/// For an answer that is there already.
const AT_ONCE: Duration = Duration::from_secs(5);
/// Bytes that are read at a time.
const READ_SIZE: usize = 8 << 10;

/// An answer, and then the end of the connection, is understood in the same way however it is cut;
/// what is shown of it are its own lines, and nothing that a terminal obeys.
pub fn answer(bytes: &[u8]) {
    let whole = receive(bytes.chunks(READ_SIZE));
    let in_pieces = receive(cut(bytes).iter().flat_map(|piece| piece.chunks(READ_SIZE)));
    match (whole, in_pieces) {
        (Ok(whole), Ok(in_pieces)) => {
            assert_eq!(whole, in_pieces);
            check_shown(&whole.body);
        }
        (Err(Error::NotHttp(beginning)), Err(Error::NotHttp(other))) => {
            assert!(beginning.starts_with(&other) || other.starts_with(&beginning));
        }
        (Err(whole), Err(in_pieces)) => {
            assert_eq!(discriminant(&whole), discriminant(&in_pieces), "{whole:?}, {in_pieces:?}");
        }
        (whole, in_pieces) => panic!("{whole:?}, but in pieces {in_pieces:?}"),
    }
}

/// An argument on each line up to an empty one, and a variable on each of the others: a command
/// that the agent can understand, or a refusal that is fit for a terminal and tells no password.
pub fn arguments(input: &[u8]) {
    let mut lines = input.split(|byte| *byte == b'\n');
    let args: Vec<&[u8]> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    let variables: Vec<&[u8]> = lines.collect();
    match parse(&args, &variables, b"") {
        Ok(Task::Help(_) | Task::OwnVersion) => {}
        Ok(Task::Run(options, command)) => check_task(&options, &command),
        Err(failure) => {
            let text = failure.to_string();
            assert_eq!((failure.kind(), &text), (Kind::Usage, &clean(&text)));
            assert_eq!(parse(&args, &variables, b"x"), Err(failure), "it depends on the password");
        }
    }
}

/// Each piece is read on its own: a packet of a local socket that keeps them apart.
fn receive<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Result<Response, Error> {
    let (ours, theirs) =
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
            .expect("two sockets");
    for piece in pieces {
        send(theirs.as_raw_fd(), piece, MsgFlags::empty()).expect("room for the answer");
    }
    drop(theirs);
    let stream = TcpStream::from(ours);
    let deadline = Deadline::within(AT_ONCE);
    let stream = Stream::Plain(stream);
    http::read_response(Incoming { stream, deadline, received: Vec::new() })
}

fn check_shown(body: &[u8]) {
    if let Ok(commands) = commands::of(body) {
        lines_of(&commands);
    }
    if let Ok(wire::IpList { ips }) = serde_json::from_slice(body) {
        assert_eq!(lines_of(&list::list(&ips, Colour::No)), 1 + ips.len());
    }
    let hosts = serde_json::from_slice::<wire::HostList>(body).map(|list| list.hosts);
    if let Ok(wire::Events { events: found, .. }) = serde_json::from_slice(body) {
        let shown = events::lines(&found, 80);
        assert_eq!(lines_of(&shown), found.len());
        assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    }
    if let Ok(wire::OneIp { ip }) = serde_json::from_slice(body) {
        let plain: wire::Ip = serde_json::from_str(PLAIN_IP).expect("an IP");
        let plain = wire::Ip { seen: ip.seen.clone(), ..plain };
        let plain = show::one(&plain, hosts.is_ok().then_some(&[]), Colour::No);
        let shown = show::one(&ip, hosts.as_deref().ok(), Colour::No);
        assert_eq!(titles_of(&shown), titles_of(&plain));
    }
}

/// What stands in front of the values: a long value goes on under itself, where no title is.
fn titles_of(shown: &str) -> Vec<&str> {
    lines_of(shown);
    let titles = shown.lines().filter_map(|line| line.split("  ").next());
    titles.filter(|title| !title.is_empty()).collect()
}

/// How many lines are shown, each as a terminal shows it.
fn lines_of(shown: &str) -> usize {
    shown.lines().inspect(|line| assert_eq!(clean(line), **line)).count()
}

/// `mark` is put behind the password in the environment.
fn parse(args: &[&[u8]], variables: &[&[u8]], mark: &[u8]) -> Result<Task, Failure> {
    let args = args.iter().map(|arg| OsStr::from_bytes(arg).to_owned());
    args::parse(args, |name| {
        let of_name = |line: &&[u8]| {
            line.strip_prefix(name.as_bytes())?.strip_prefix(b"=").map(<[u8]>::to_vec)
        };
        let mut value = variables.iter().find_map(of_name)?;
        if name == "LINK_PASSWORD" {
            value.extend(mark);
        }
        Some(OsString::from_vec(value))
    })
}

/// The agent, which is asked here as nowhere else in `linkctl`, refuses no request for its shape.
fn check_task(options: &Options, command: &Subcommand) {
    check_head(&options.server, options.credentials.as_ref());
    let body = |value: serde_json::Result<Vec<u8>>| value.expect("strings and numbers");
    match command {
        Subcommand::Add(new, _) => {
            let refused = refusal("POST", "/ips", &body(serde_json::to_vec(&new.to_json())));
            assert!(matches!(refused, None | Some(422)), "{new:?}: {refused:?}");
        }
        Subcommand::Set(_, said) => {
            let refused = refusal("PUT", IP, &body(serde_json::to_vec(said)));
            assert!(matches!(refused, None | Some(422)), "{said:?}: {refused:?}");
        }
        Subcommand::AddFile { .. } | Subcommand::Apply { .. } => {}
        Subcommand::Failover(_, Some(host)) => {
            let named = BTreeMap::from([("host", host)]);
            assert_eq!(refusal("POST", FAILOVER, &body(serde_json::to_vec(&named))), None);
        }
        Subcommand::Drain(Some(seconds), _) => {
            let time = BTreeMap::from([("for", seconds)]);
            let refused = refusal("POST", "/drain", &body(serde_json::to_vec(&time)));
            assert!(matches!(refused, None | Some(422)), "{seconds}: {refused:?}");
        }
        Subcommand::Fence { host, .. } => {
            let named = BTreeMap::from([("host", host)]);
            let refused = refusal("POST", "/fence", &body(serde_json::to_vec(&named)));
            assert_eq!(refused, None, "{host:?}");
        }
        Subcommand::Drain(None, _) | Subcommand::Undrain | Subcommand::Leave { .. } => {}
        Subcommand::Failover(_, None)
        | Subcommand::Status
        | Subcommand::Watch
        | Subcommand::List(_)
        | Subcommand::Doctor(_)
        | Subcommand::Version => {}
        Subcommand::Show(_) | Subcommand::Delete(_) | Subcommand::Lock(_) => {}
        Subcommand::Events { .. } => {}
    }
}

/// Neither the server nor the credentials can add a line to the head.
fn check_head(server: &Server, credentials: Option<&Credentials>) {
    assert_eq!(server.to_string().parse().as_ref(), Ok(server));
    let request = Request { method: "POST", path: FAILOVER, body: b"{}", credentials };
    let bytes = http::encode(server, &request);
    let mut fields = [httparse::EMPTY_HEADER; 8];
    let mut head = httparse::Request::new(&mut fields);
    let length = match head.parse(&bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        incomplete => panic!("{incomplete:?}: {:?}", String::from_utf8_lossy(&bytes)),
    };
    assert_eq!((head.path, &bytes[length..]), (Some(FAILOVER), &b"{}"[..]));
    let host = head.headers.iter().find(|field| field.name == "Host").map(|field| field.value);
    assert_eq!(host, Some(server.header().as_bytes()));
    assert_eq!(head.headers.len(), 6 + usize::from(credentials.is_some()), "{head:?}");
}
