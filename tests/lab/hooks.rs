//! Hooks: real commands and a real receiver are told what happens to an IP, in order, and nobody waits for them.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use ring::hmac;
use serde_json::Value;

use crate::commands::Commands;
use crate::harness::*;

const PORT: u16 = 8080;
const SECRET: &str = "S3CR3T-of-the-hook";
const TOKEN: &str = "T0K3N-in-the-path";

/// For what a hook is told; a busy machine may take its time.
const PATIENCE: Duration = Duration::from_secs(30);

/// Writes what it is told, a line each, into a file of its host.
const WRITES: &str = "echo \"$1 $2 $3 $LINK_SEQUENCE $LINK_MISSED\" >> ${0%/*}/$LINK_HOST.told";

fn hook(commands: &Commands, script: &str) -> String {
    commands.write("notify", script).display().to_string()
}

/// What the command of a host was told: IP, state, event; the numbers grow.
fn told(commands: &Commands, host: &Host) -> Vec<String> {
    let text = fs::read_to_string(commands.path().join(format!("{}.told", host.name())));
    let text = text.unwrap_or_default();
    let mut last = 0;
    let mut told = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let number: u64 = words[3].parse().expect("a number");
        assert!(number > last, "{text}");
        last = number;
        told.push(format!("{} {}", words[1], words[2]));
        assert_eq!((words[0], words[4]), (VIP.to_string().as_str(), "0"), "{text}");
    }
    told
}

#[track_caller]
fn await_told(commands: &Commands, host: &Host, expected: &[&str]) {
    let what = format!("{} is told {expected:?}", host.name());
    within(PATIENCE, &what, || told(commands, host) == expected);
}

#[test]
fn a_command_is_told_each_state_in_order_also_at_a_reload_and_at_the_end() {
    let mut lab = Lab::new(2);
    let commands = Commands::new("told");
    let path = hook(&commands, WRITES);
    lab.start_all_with(&[("NOTIFY_COMMAND", &path)]);
    lab.offer(VIP);
    let owner = lab.await_owner(VIP);
    let other = lab.other_than(owner);
    await_told(&commands, &lab[owner], &["ACTIVATED elected"]);
    await_told(&commands, &lab[other], &["STANDBY start"]);
    lab[owner].api().failover(VIP).expect(204);
    await_told(&commands, &lab[owner], &["ACTIVATED elected", "STANDBY demoted"]);
    await_told(&commands, &lab[other], &["STANDBY start", "ACTIVATED elected"]);
    lab[other].reload();
    let after = ["STANDBY start", "ACTIVATED elected", "ACTIVATED elected"];
    await_told(&commands, &lab[other], &after);
    let metrics = lab[owner].api().get("/metrics").expect(200).body;
    let series = "linkd_notifications_total{hook=\"NOTIFY_COMMAND\",result=\"delivered\"} 2";
    assert!(metrics.contains(series), "{metrics}");
    assert!(lab[other].terminate().success());
    let at_last = [&after[..], &["STANDBY demoted"]].concat();
    assert_eq!(told(&commands, &lab[other]), at_last, "before it has ended");
    assert_eq!(lab.await_owner(VIP), owner);
}

#[test]
fn a_command_that_hangs_delays_no_failover_and_not_the_end() {
    let mut lab = Lab::new(2);
    let commands = Commands::new("hangs");
    let path = hook(&commands, "echo $2 >> ${0%/*}/$LINK_HOST.begun; exec sleep 1000");
    lab.start_all_with(&[("NOTIFY_COMMAND", &path), ("NOTIFY_TIMEOUT", "10m")]);
    lab.offer(VIP);
    let mut owner = lab.await_calm(VIP);
    lab.await_reachable(VIP);
    let begun = |host: &Host| {
        let file = commands.path().join(format!("{}.begun", host.name()));
        fs::read_to_string(file).unwrap_or_default().lines().count()
    };
    eventually("the commands hang", || lab.ids().iter().all(|id| begun(&lab[*id]) == 1));
    let pings = lab.client.ping(VIP.ip());
    for _ in 0..6 {
        lab[owner].api().failover(VIP).expect(204);
        owner = lab.await_owner_other_than(owner, VIP);
    }
    let report = pings.stop();
    let gap = report.longest_gap.saturating_sub(report.longest_stall);
    assert!(gap < Duration::from_millis(200), "{report:?}");
    let metrics = lab[owner].api().get("/metrics").expect(200).body;
    let queued = "linkd_notifications_queued{hook=\"NOTIFY_COMMAND\"} 7";
    assert!(metrics.contains(queued), "{metrics}");
    let begin = Instant::now();
    assert!(lab[owner].terminate().success());
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
    let log = fs::read_to_string(lab[owner].log()).expect("a log");
    assert!(log.contains("NOTIFY_COMMAND was not told everything: 8 notifications"), "{log}");
}

#[test]
fn the_one_who_keeps_the_ip_after_a_loss_of_etcd_is_told_again() {
    let mut lab = Lab::new(2);
    let commands = Commands::new("winner");
    let path = hook(&commands, WRITES);
    lab.start_all_with(&[("NOTIFY_COMMAND", &path), ("KEEPALIVE_INTERVAL", "300ms")]);
    lab.offer(VIP);
    let owner = lab.await_calm(VIP);
    let other = lab.other_than(owner);
    lab.etcd.stop();
    eventually("both have it", || lab.bound_on(VIP).len() == 2);
    lab.etcd.start_all();
    assert_eq!(lab.await_calm(VIP), owner);
    let taken = ["STANDBY start", "ACTIVATED fault", "STANDBY demoted"];
    await_told(&commands, &lab[other], &taken);
    within(PATIENCE, "the winner is told again", || {
        let told = told(&commands, &lab[owner]);
        told[0] == "ACTIVATED elected"
            && told.len() > 1
            && told[1..].iter().all(|it| it == "ACTIVATED conflict_over")
    });
}

/// A request that the receiver has got.
#[derive(Debug)]
struct Request {
    head: Vec<String>,
    body: String,
}

impl Request {
    fn read(stream: &TcpStream) -> Option<Request> {
        let mut reader = BufReader::new(stream);
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            match line.trim_end() {
                "" => break,
                line => head.push(line.to_owned()),
            }
        }
        let mut request = Request { head, body: String::new() };
        let length = request.field("Content-Length").parse().ok()?;
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        request.body = String::from_utf8(body).ok()?;
        Some(request)
    }

    fn field(&self, name: &str) -> String {
        let of_name = |line: &String| Some(line.strip_prefix(name)?.strip_prefix(": ")?.to_owned());
        self.head.iter().find_map(of_name).unwrap_or_default()
    }

    /// Who does not know the secret cannot have made it.
    fn is_signed(&self) -> bool {
        let text = format!("{}.{}", self.field("X-Link-Webhook-Timestamp"), self.body);
        let tag =
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), text.as_bytes());
        let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        hex == self.field("X-Link-Webhook-Signature")
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    fn told(&self) -> String {
        let body = self.json();
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        format!("{} {}", text("status"), text("event"))
    }
}

/// A receiver on the machine of the clients: each request waits for its answer.
struct Webhook {
    requests: Receiver<Request>,
    answers: Sender<String>,
}

impl Webhook {
    fn start(lab: &Lab) -> Webhook {
        let address = SocketAddr::new(lab.client.address().into(), PORT);
        let listener =
            lab.client.namespace().run(|| TcpListener::bind(address)).expect("a free port");
        let (request, requests) = channel();
        let (answers, answer) = channel::<String>();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let Some(read) = Request::read(&stream) else { continue };
                if request.send(read).is_err() {
                    return;
                }
                let Ok(answer) = answer.recv() else { return };
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Webhook { requests, answers }
    }

    /// The next request, which is answered like this.
    #[track_caller]
    fn answer(&self, status: &str) -> Request {
        let request = self.requests.recv_timeout(PATIENCE).expect("a request");
        self.answers.send(format!("HTTP/1.1 {status}\r\n\r\n")).expect("it waits");
        request
    }
}

fn url(lab: &Lab) -> String {
    format!("http://{}:{PORT}/{TOKEN}", lab.client.address())
}

#[test]
fn a_receiver_that_was_not_there_is_told_all_in_order_and_signed() {
    let mut lab = Lab::new(2);
    let url = url(&lab);
    let changes = [("NOTIFY_URL", url.as_str()), ("NOTIFY_URL_SECRET", SECRET)];
    let host = H1;
    lab[host].start_with(&changes);
    lab[H2].start();
    lab.offer_in_order(VIP);
    assert_eq!(lab.await_calm(VIP), host);
    lab[host].api().failover(VIP).expect(204);
    lab[H2].api().failover(VIP).expect(204);
    lab[host].await_warning(&["NOTIFY_URL cannot be told", "refused"]);
    let webhook = Webhook::start(&lab);
    let mut last = 0;
    for expected in ["ACTIVATED elected", "STANDBY demoted", "ACTIVATED elected"] {
        let first = webhook.answer("503 Service Unavailable");
        let again = webhook.answer("204 No Content");
        for request in [&first, &again] {
            assert!(request.is_signed(), "{request:?}");
            assert_eq!(request.told(), expected);
        }
        assert_eq!(first.body, again.body);
        let body = again.json();
        assert_eq!(body["resource_id"], VIP.to_string());
        assert_eq!(body["host"], lab[host].name());
        assert_eq!(body["endpoint_id"], lab[host].api().find(VIP).expect("it is there").id);
        assert_eq!(again.field("X-Link-Webhook-Event-ID"), body["event_id"].as_str().expect("one"));
        let sequence = body["sequence"].as_u64().expect("a number");
        assert!(sequence > last);
        last = sequence;
        let events = lab[host].api().get("/events").expect(200).json();
        let event = &events["events"][usize::try_from(sequence - 1).expect("a few")];
        assert_eq!((&event["kind"], &event["why"]), (&"transition".into(), &body["why"]));
    }
    eventually("it works again", || {
        let log = lab[host].agent().log();
        log.contains("NOTIFY_URL works again")
    });
    let seen = [
        lab[host].agent().log(),
        lab[host].api().get("/events").expect(200).body,
        lab[host].api().get("/metrics").expect(200).body,
    ];
    for text in seen {
        assert!(!text.contains(SECRET) && !text.contains(TOKEN), "{text}");
    }
}

#[test]
fn a_redirect_is_not_followed_and_what_is_newest_is_told_when_it_is_taken() {
    let mut lab = Lab::new(2);
    let url = url(&lab);
    lab[H1].start_with(&[("NOTIFY_URL", &url)]);
    lab[H2].start();
    let webhook = Webhook::start(&lab);
    let trap = lab.client.namespace().run(|| TcpListener::bind((lab.client.address(), PORT + 1)));
    let trap = trap.expect("a free port");
    trap.set_nonblocking(true).expect("it is ours");
    lab.offer_in_order(VIP);
    let there = format!("302 Found\r\nLocation: http://{}:{}/", lab.client.address(), PORT + 1);
    let first = webhook.answer(&there);
    assert_eq!(first.told(), "ACTIVATED elected");
    assert!(first.field("X-Link-Webhook-Signature").is_empty());
    lab[H1].await_warning(&["NOTIFY_URL cannot be told", "redirects are not followed"]);
    // Nothing newer is there to be told.
    let again = webhook.answer(&there);
    assert_eq!(again.field("X-Link-Webhook-Event-ID"), first.field("X-Link-Webhook-Event-ID"));
    lab[H1].api().failover(VIP).expect(204);
    eventually("the failover is one of those that wait", || {
        let metrics = lab[H1].api().get("/metrics").expect(200).body;
        metrics.contains("linkd_notifications_queued{hook=\"NOTIFY_URL\"} 2")
    });
    webhook.answer(&there);
    let newest = webhook.answer("200 OK");
    assert_eq!((newest.told().as_str(), &newest.json()["missed"]), ("STANDBY demoted", &1.into()));
    assert!(trap.accept().is_err(), "nobody has come");
    let metrics = lab[H1].api().get("/metrics").expect(200).body;
    let dropped = "linkd_notifications_total{hook=\"NOTIFY_URL\",result=\"dropped\"} 1";
    assert!(metrics.contains(dropped), "{metrics}");
}

#[test]
fn mistakes_are_told_before_the_start_and_without_secrets() {
    let check = |changes: &[(&str, &str)]| {
        let mut command = std::process::Command::new(linkd());
        command.arg("--check").env_clear().env("INTERFACE", "eth0").env("HOSTNAME", "h1");
        command.env("STATE_DIR", "/nowhere");
        let output = command.envs(changes.iter().copied()).output().expect("run linkd");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (changes, part) in [
        (&[("NOTIFY_COMMAND", "notify")][..], "NOTIFY_COMMAND=notify is not an absolute path"),
        (&[("NOTIFY_URL", "ftp://h/T0K3N")], "NOTIFY_URL has a scheme"),
        (&[("NOTIFY_URL", "http://u:T0K3N@h/")], "NOTIFY_URL has a user or a password"),
        (&[("NOTIFY_URL_SECRET", "T0K3N")], "NOTIFY_URL_SECRET is set and needs NOTIFY_URL"),
        (&[("NOTIFY_TIMEOUT", "1ms")], "NOTIFY_TIMEOUT=1ms is out of range"),
    ] {
        let (code, said) = check(changes);
        assert!(said.contains(part) && !said.contains("T0K3N"), "{said}");
        assert_eq!(code, Some(2), "{said}");
    }
    let nowhere = PathBuf::from("/nowhere/notify").display().to_string();
    let (code, said) = check(&[("NOTIFY_COMMAND", &nowhere)]);
    let warning = "warning: NOTIFY_COMMAND is not run: /nowhere is not there";
    assert!(said.contains(warning), "{said}");
    assert_eq!(code, Some(0), "{said}");
}
