//! The command lines that there are, and those that are refused.

use serde_json::json;

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
    assert_eq!(command(&["list"]), Subcommand::List(ListForm::Table));
    assert_eq!(command(&["list", "--wide"]), Subcommand::List(ListForm::Wide));
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
        "--priority=200",
        "--group",
        "gw",
        "--force",
    ];
    let check = |host: &str, port| json!({"type": "TCP", "host": host, "port": port});
    let expected = json!({
        "ip": "fd00::1/128",
        "checks": [check("db", 5432), check("::1", 80)],
        "healthcheck_interval": 7,
        "interface": "eth1",
        "etcd_loss_policy": "probe",
        "priority": 200,
        "group": "gw",
        "force": true,
    });
    let Subcommand::Add(new, None) = command(&args) else { panic!("another command") };
    assert_eq!(new.to_json(), expected);
}

#[test]
fn many_are_added_and_applied_from_a_file_and_waited_for() {
    let file = || PathBuf::from("a b");
    let time = |seconds| Some(Duration::from_secs(seconds));
    let added = |force, wait| Subcommand::AddFile { file: file(), force, wait };
    assert_eq!(command(&["add", "-f", "a b"]), added(false, None));
    assert_eq!(command(&["add", "--force", "--file=a b", "--wait"]), added(true, time(30)));
    assert_eq!(command(&["add", "-f", "a b", "--wait=5"]), added(false, time(5)));
    assert!(matches!(command(&["add", "10.0.0.1", "--wait=5"]), Subcommand::Add(_, Some(_))));
    let applied = |dry_run| Subcommand::Apply { file: file(), force: false, dry_run };
    assert_eq!(command(&["apply", "-f", "a b"]), applied(false));
    assert_eq!(command(&["apply", "--dry-run", "-f", "a b"]), applied(true));
    assert_eq!(command(&["events", "-f"]), Subcommand::Events { follow: true });
    let form = |word| command(&["list", "--output", word]);
    assert_eq!(form("commands"), Subcommand::List(ListForm::Commands));
    assert_eq!(form("wide"), Subcommand::List(ListForm::Wide));
}

#[test]
fn a_setting_can_be_set_and_taken_away() {
    let cidr = Target::AnyMask("10.0.0.1".parse().unwrap());
    for (args, said) in [
        (&["--check", "none"] as &[&str], json!({"checks": []})),
        (&["--interval=default"], json!({"healthcheck_interval": null})),
        (&["--etcd-loss-policy", "hold"], json!({"etcd_loss_policy": "hold"})),
    ] {
        let args = [&["set", "10.0.0.1"], args].concat();
        let serde_json::Value::Object(said) = said else { panic!("no object") };
        assert_eq!(command(&args), Subcommand::Set(cidr.clone(), said));
    }
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
        (&["add"], "add needs an IP"),
        (&["add", "10.0.0.1", "-f", "x"], "add takes an IP"),
        (&["add", "-f", "x", "--interval", "5"], "add takes an IP"),
        (&["add", "10.0.0.1", "--wait=0"], "--wait \"0\""),
        (&["drain", "--wait=5"], "a time for --wait"),
        (&["list", "-f", "x"], "--follow"),
        (&["list", "--output", "xml"], "xml"),
        (&["set", "10.0.0.1"], "set needs an option"),
        (&["set", "10.0.0.1", "--interface", "e1"], "--interface: delete the IP"),
        (&["set", "10.0.0.1", "--force"], "--force"),
        (&["apply"], "apply needs -f FILE"),
        (&["apply", "-f", "x", "--interval", "5"], "--interval"),
        (&["add", "10.0.0.1/33"], "/33"),
        (&["add", "10.0.0.1/\x1b[2J"], r"out of range: /\u{1b}[2J"),
        (&["add", "10.0.0.1", "--check", "db"], "port"),
        (&["add", "10.0.0.1", "--check", "db:0"], "db:0"),
        (&["add", "10.0.0.1", "--check", "udp://db:80"], "tcp://"),
        (&["add", "10.0.0.1", "--check", "http://db:80,fall=0"], "fall 0"),
        (&["add", "10.0.0.1", "--interval", "5s"], "5s"),
        (&["add", "10.0.0.1", "--interface", ""], "--interface"),
        (&["add", "10.0.0.1", "--etcd-loss-policy", "x"], "\"x\": is not a policy (take, "),
        (&["add", "10.0.0.1", "--priority", "256"], "\"256\": is not a number from 0 to 255"),
        (&["add", "10.0.0.1", "--group", "a b"], "is not a name of 1 to 32 letters"),
        (&["list", "--group", "gw"], "--group"),
        (&["list", "--priority", "5"], "--priority"),
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
        assert_eq!(failure.kind(), Kind::Usage, "{args:?}");
        assert!(failure.to_string().contains(named), "{args:?}: {failure}");
    }
    let failure = parse_words(&["list"], &[("LINK_HOST", "a b")]).unwrap_err();
    assert!(failure.to_string().contains("LINK_HOST"), "{failure}");
}

#[test]
fn one_host_is_fenced_and_it_is_named() {
    for (args, named) in [
        (&["fence"] as &[&str], "fence needs the name of a host"),
        (&["fence", "h2", "h3"], "h3"),
        (&["fence", "h/2"], "h/2"),
        (&["fence", "h 2"], "h 2"),
        (&["fence", "h2", "--wait"], "--wait"),
        (&["drain", "--yes"], "--yes"),
    ] {
        let failure = parse_words(args, &[]).unwrap_err();
        assert!(failure.to_string().contains(named), "{args:?}: {failure}");
    }
    let fence = |args: &[&str]| match parse_words(args, &[]) {
        Ok(Task::Run(_, Subcommand::Fence { host, force, yes })) => (host, force, yes),
        other => panic!("{other:?}"),
    };
    assert_eq!(fence(&["fence", "h2"]), ("h2".to_owned(), false, false));
    assert_eq!(fence(&["fence", "--force", "h2", "--yes"]), ("h2".to_owned(), true, true));
}
