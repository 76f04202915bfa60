//! The command lines that there are, and those that are refused.

use super::*;
use crate::ctl::failure::Kind;
use crate::ctl::subcommand::Target;

const ID: &str = "vip-1b4e28ba-2fa1-41d2-883f-0016d3cca427";

fn parse_words(args: &[&str], env: &[(&str, &str)]) -> Result<Task, Failure> {
    parse(args.iter().map(OsString::from), |name| {
        let found = env.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| OsString::from(value))
    })
}

fn run(args: &[&str], env: &[(&str, &str)]) -> (Options, Subcommand) {
    match parse_words(args, env) {
        Ok(Task::Run(options, command)) => (options, command),
        other => panic!("{args:?} gives {other:?}"),
    }
}

fn command(args: &[&str]) -> Subcommand {
    run(args, &[]).1
}

#[test]
fn every_command_is_understood() {
    let cidr: Cidr = "10.0.0.1/32".parse().unwrap();
    let id = Target::Id(ID.parse().unwrap());
    assert_eq!(command(&["list"]), Subcommand::List { wide: false });
    assert_eq!(command(&["list", "--wide"]), Subcommand::List { wide: true });
    assert_eq!(command(&["version"]), Subcommand::Version);
    assert_eq!(command(&["events"]), Subcommand::Events { follow: false });
    assert_eq!(command(&["events", "--follow"]), Subcommand::Events { follow: true });
    let default = Subcommand::Doctor("/etc/link/link.env".into());
    assert_eq!(command(&["doctor"]), default);
    let other = command(&["doctor", "--env", "/proc/self/environ"]);
    assert_eq!(other, Subcommand::Doctor("/proc/self/environ".into()));
    assert_eq!(command(&["show", ID]), Subcommand::Show(id.clone()));
    assert_eq!(command(&["delete", "10.0.0.1"]), Subcommand::Delete(Target::AnyMask(cidr)));
    assert_eq!(command(&["lock", "10.0.0.1/32"]), Subcommand::Lock(Target::Exactly(cidr)));
    assert_eq!(
        command(&["failover", "--to", "h2", ID]),
        Subcommand::Failover(id.clone(), Some("h2".to_owned()))
    );
    assert_eq!(command(&["failover", ID]), Subcommand::Failover(id, None));
}

#[test]
fn add_takes_checks_an_interval_an_interface_a_policy_and_force() {
    let args = [
        "add",
        "FD00::0:1",
        "--check",
        "TCP://db:5432",
        "--check=[::1]:80",
        "--interval",
        "7",
        "--interface=eth1",
        "--etcd-loss-policy",
        "probe",
        "--force",
    ];
    let check = |host: &str, port| Check::tcp(host, port);
    assert_eq!(
        command(&args),
        Subcommand::Add(NewIp {
            ip: "fd00::1/128".to_owned(),
            checks: vec![check("db", 5432), check("::1", 80)],
            healthcheck_interval: Some(7),
            interface: Some("eth1".to_owned()),
            etcd_loss_policy: Some(LossPolicy::Probe),
            force: true,
        })
    );
}

#[test]
fn options_may_stand_before_and_after_the_command() {
    let before = run(&["--host", "h:1", "--json", "--user=u", "list"], &[]);
    let after = run(&["list", "--user", "u", "--json", "--host=h:1"], &[]);
    assert_eq!(before, after);
    assert!(before.0.json);
    assert_eq!(before.0.server.to_string(), "h:1");
}

#[test]
fn an_option_counts_before_its_variable_and_an_empty_variable_not_at_all() {
    let env = [("LINK_HOST", "h1"), ("LINK_USER", "u1"), ("LINK_PASSWORD", "p1")];
    let credentials = |user: &str, password: &str| Some(Credentials::new(user, password).unwrap());
    let (options, _) = run(&["list"], &env);
    assert_eq!(options.server.to_string(), "h1:1313");
    assert_eq!(options.credentials, credentials("u1", "p1"));

    let (options, _) = run(&["list", "--host", "h2", "--password", "p2"], &env);
    assert_eq!(options.server.to_string(), "h2:1313");
    assert_eq!(options.credentials, credentials("u1", "p2"));

    let (options, _) = run(&["list"], &[("LINK_HOST", ""), ("LINK_PASSWORD", "")]);
    assert_eq!(options.server, Server::default());
    assert_eq!(options.credentials, None);
}

#[test]
fn help_is_for_all_or_for_one_command() {
    for (args, verb) in [
        (&["--help"] as &[&str], None),
        (&["help"], None),
        (&["-h", "list", "--json"], Some(Verb::List)),
        (&["add", "--help"], Some(Verb::Add)),
        (&["help", "failover"], Some(Verb::Failover)),
    ] {
        assert_eq!(parse_words(args, &[]), Ok(Task::Help(verb)), "{args:?}");
    }
    assert_eq!(parse_words(&["-V"], &[]), Ok(Task::OwnVersion));
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    for (args, named) in [
        (&[] as &[&str], "command"),
        (&["ls"], "ls"),
        (&["--verbose", "list"], "--verbose"),
        (&["list", "10.0.0.1"], "10.0.0.1"),
        (&["list", "--json=yes"], "--json"),
        (&["show"], "show"),
        (&["show", "eth0"], "eth0"),
        (&["show", "10.0.0.1", "10.0.0.2"], "10.0.0.2"),
        (&["show", "vip-1/../../etc"], "vip-1"),
        (&["delete", "10.0.0.1", "--to", "h2"], "--to"),
        (&["drain", "--for", "soon"], "soon"),
        (&["drain", "--for", "500ms"], "500ms"),
        (&["drain", "10.0.0.1"], "10.0.0.1"),
        (&["undrain", "--wait"], "--wait"),
        (&["failover", "10.0.0.1", "--to", "h/2"], "h/2"),
        (&["failover", "10.0.0.1", "--to", "a\nb"], r"a\nb"),
        (&["add", "10.0.0.1/33"], "/33"),
        (&["add", "10.0.0.1/\x1b[2J"], r"out of range: /\u{1b}[2J"),
        (&["add", "10.0.0.1", "--check", "db"], "port"),
        (&["add", "10.0.0.1", "--check", "db:0"], "db:0"),
        (&["add", "10.0.0.1", "--check", "udp://db:80"], "tcp://"),
        (&["add", "10.0.0.1", "--check", "http://db:80,fall=0"], "fall 0"),
        (&["add", "10.0.0.1", "--interval", "5s"], "5s"),
        (&["add", "10.0.0.1", "--interface", ""], "--interface"),
        (&["add", "10.0.0.1", "--etcd-loss-policy", "x"], "\"x\": is not a policy (take, "),
        (&["list", "--interval", "5"], "--interval"),
        (&["status", "--wide"], "--wide"),
        (&["list", "--env", "/proc/self/environ"], "--env"),
        (&["doctor", "--env", "/nonexistent"], "/nonexistent"),
        (&["list", "--etcd-loss-policy", "take"], "--etcd-loss-policy"),
        (&["list", "--host", "h1/x"], "h1/x"),
        (&["list", "--host"], "--host"),
        (&["list", "--user", "a:b"], "user"),
    ] {
        let failure = parse_words(args, &[]).unwrap_err();
        assert_eq!(failure.kind, Kind::Usage, "{args:?}");
        assert!(failure.to_string().contains(named), "{args:?}: {failure}");
    }
    let failure = parse_words(&["list"], &[("LINK_HOST", "a b")]).unwrap_err();
    assert!(failure.to_string().contains("LINK_HOST"), "{failure}");
}
