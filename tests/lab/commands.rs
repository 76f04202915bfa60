//! Health checks beside TCP: commands, other interfaces, HTTP; each by its own count.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::*;

/// Checks in a hurry; two failures in a row count.
const HURRY: [(&str, &str); 3] = [
    ("HEALTH_CHECK_INTERVAL", "200ms"),
    ("HEALTH_CHECK_TIMEOUT", "400ms"),
    ("FAIL_COUNT_BEFORE_FAILOVER", "2"),
];

/// A folder of commands, as an operator makes it: only root can write in it, and in those that it is in.
pub(crate) struct Commands(PathBuf);

impl Commands {
    pub(crate) fn new(test: &str) -> Commands {
        let path = PathBuf::from(format!("/run/link-lab-{}-{test}", std::process::id()));
        fs::create_dir(&path).expect("make a folder");
        set_mode(&path, 0o755);
        Commands(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn write(&self, name: &str, script: &str) -> PathBuf {
        let path = self.0.join(name);
        // Not over the old one, which may be running.
        let new = self.0.join(format!("{name}.new"));
        fs::write(&new, format!("#!/bin/sh\n{script}\n")).expect("write a command");
        set_mode(&new, 0o755);
        fs::rename(&new, &path).expect("put it there");
        path
    }

    fn start(&self, host: &mut Host) {
        let folder = self.0.to_str().expect("a plain path");
        host.start_with(&[&HURRY[..], &[("CHECK_COMMANDS_DIR", folder)]].concat());
    }
}

impl Drop for Commands {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn set_mode(path: &Path, bits: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(bits)).expect("it is ours");
}

fn checked(vip: Vip, checks: &Value) -> Value {
    json!({ "ip": vip.to_string(), "checks": checks })
}

/// What the host shows of the check with this number.
fn standing(host: &Host, number: usize) -> Value {
    let shown = host.api().get(&host.api().path(VIP)).expect(200).json();
    shown["ip"]["seen"]["checks"][number].clone()
}

fn await_error(host: &Host, number: usize, text: &str) {
    eventually(&format!("the error tells {text}"), || {
        let error = &standing(host, number)["checked"]["last_error"];
        error.as_str().is_some_and(|error| error.contains(text))
    });
}

#[test]
fn a_command_that_fails_moves_the_ip_and_what_it_says_is_told() {
    let mut lab = Lab::new(2);
    let commands = Commands::new("fails");
    commands.write(
        "service",
        "test -z \"$(cat ${0%/*}/$1.sick)\" || { echo the disk is full; exit 3; }",
    );
    for id in lab.ids() {
        fs::write(commands.0.join(format!("{id}.sick")), "").expect("write");
        commands.start(&mut lab[id]);
        let check = json!([{ "type": "EXEC", "command": "service", "args": [id.to_string()] }]);
        let shown = lab[id].api().create(&checked(VIP, &check));
        assert_eq!(json!(shown.checks), check);
    }
    let owner = lab.await_owner(VIP);
    lab.await_reachable(VIP);
    fs::write(commands.0.join(format!("{owner}.sick")), "x").expect("write");
    let heir = lab.await_owner_other_than(owner, VIP);
    lab[owner].await_status(VIP, "FAILING");
    let why = "ended with 3: the disk is full";
    let shown = lab[owner].api().find(VIP).expect("it is there");
    assert!(shown.reason.contains(why), "{}", shown.reason);
    await_error(&lab[owner], 0, why);
    let scrape = lab[owner].api().get("/metrics").expect(200);
    let scrape = scrape.body;
    let series = format!("linkd_check_up{{ip=\"{VIP}\",check=\"EXEC service {owner}\"}} 0");
    assert!(scrape.contains(&series), "{scrape}");
    let events = lab[owner].api().get("/events").expect(200).json().to_string();
    assert!(events.contains(why), "{events}");
    fs::write(commands.0.join(format!("{owner}.sick")), "").expect("write");
    lab[owner].await_status(VIP, "STANDBY");
    holds_for(Duration::from_secs(1), "no fail-back", || lab.bound_on(VIP) == [heir]);
}

#[test]
fn a_command_runs_without_the_agents_rights_and_ends_with_its_time() {
    let mut lab = Lab::new(1);
    let commands = Commands::new("rights");
    let out = commands.0.join("out");
    fs::create_dir(&out).expect("make a folder");
    set_mode(&out, 0o777);
    commands.write("show", "grep -E '^(Cap(Prm|Eff|Amb)|Sig(Blk|Ign)|NoNewPrivs)' /proc/self/status > ${0%/*}/out/status");
    lab[H1].run_as_nobody(65_534);
    commands.start(&mut lab[H1]);
    lab[H1].api().create(&checked(VIP, &json!([{ "type": "EXEC", "command": "show" }])));
    lab.await_owner(VIP);
    let status = fs::read_to_string(out.join("status")).expect("the command has run");
    for line in ["CapPrm", "CapEff", "CapAmb", "SigBlk"] {
        assert!(status.contains(&format!("{line}:\t0000000000000000")), "{status}");
    }
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");

    // One that hangs, with a child that does not listen; one that writes for ever; one that others can write.
    let hangs =
        "(trap '' TERM INT; echo $$ > ${0%/*}/out/pid; sleep 1000) & trap '' TERM; sleep 1000";
    commands.write("show", hangs);
    await_error(&lab[H1], 0, "did not end in time");
    commands.write("show", "exec cat /dev/zero");
    await_error(&lab[H1], 0, "did not end in time: ");
    let path = commands.write("show", "exit 0");
    lab[H1].await_status(VIP, "ACTIVATED");
    set_mode(&path, 0o757);
    await_error(&lab[H1], 0, "can be written by others than root");
    lab[H1].await_status(VIP, "FAILING");
    let left = || {
        let groups = fs::read_dir("/proc").expect("read /proc").flatten();
        let lines = groups.filter_map(|it| fs::read_to_string(it.path().join("cmdline")).ok());
        lines.filter(|line| line.contains(&*commands.0.to_string_lossy())).count()
    };
    eventually("nothing of the commands is left", || left() == 0);
    assert!(lab[H1].agent().log().lines().all(|line| line.len() < 10_000), "no endless line");
}

#[test]
fn without_a_folder_commands_are_refused_and_a_reload_in_the_middle_of_one_leaves_nothing() {
    let mut lab = Lab::new(1);
    lab[H1].start_with(&HURRY);
    let exec = json!([{ "type": "EXEC", "command": "x" }]);
    let refused = lab[H1].api().post("/ips", &checked(VIP, &exec)).expect(422);
    assert!(refused.error().contains("CHECK_COMMANDS_DIR"), "{}", refused.error());
    lab[H1].api().add(VIP);
    let path = lab[H1].api().path(VIP);
    let refused = lab[H1].api().put(&path, &json!({ "healthchecks": exec })).expect(422);
    assert!(refused.error().contains("CHECK_COMMANDS_DIR"), "{}", refused.error());

    let commands = Commands::new("reload");
    let out = commands.0.join("pid");
    commands.write("x", "echo $$ > ${0%/*}/pid; exec sleep 1000");
    let folder = commands.0.to_str().expect("a plain path");
    lab[H1].start_with(&[("CHECK_COMMANDS_DIR", folder), ("HEALTH_CHECK_TIMEOUT", "60s")]);
    lab[H1].api().put(&path, &json!({ "healthchecks": exec })).expect(200);
    let pid = || fs::read_to_string(&out).unwrap_or_default().trim().to_owned();
    eventually("the command runs", || !pid().is_empty());
    let before = pid();
    lab[H1].reload();
    eventually("the command is gone", || !Path::new(&format!("/proc/{before}")).exists());
    eventually("it is run anew", || pid() != before && !pid().is_empty());
}

#[test]
fn the_carrier_of_another_interface_moves_the_ip() {
    let mut lab = Lab::new(2);
    lab.start_all_with(&HURRY);
    let check = json!([{ "type": "LINK", "interface": "up0", "fall": 1 }]);
    for id in lab.ids() {
        lab[id].ip("link add up0 type veth peer name up1");
        lab[id].ip("link set up0 up");
        lab[id].ip("link set up1 up");
        lab[id].api().create(&checked(VIP, &check));
    }
    let owner = lab.await_owner(VIP);
    lab.await_reachable(VIP);
    let begin = std::time::Instant::now();
    lab[owner].ip("link set up1 down");
    let heir = lab.await_owner_other_than(owner, VIP);
    println!("moved after {:?}", begin.elapsed());
    await_error(&lab[owner], 0, "no carrier");
    lab[heir].ip("link del up0");
    await_error(&lab[heir], 0, "no such interface");
    lab[owner].ip("link set up1 up");
    assert_eq!(lab.await_owner_other_than(heir, VIP), owner);
}

#[test]
fn an_answer_with_another_status_moves_the_ip_and_each_check_has_its_own_count() {
    let mut lab = Lab::new(2);
    lab.start_all_with(&HURRY);
    let files: Vec<PathBuf> =
        lab.ids().iter().map(|id| lab.folder().join(format!("{id}.status"))).collect();
    for (id, file) in lab.ids().into_iter().zip(&files) {
        fs::write(file, "200").expect("write");
        serve(lab[id].listen(8080), file.clone());
        let checks = json!([
            { "type": "TCP", "host": "127.0.0.1", "port": 8080, "fall": 100 },
            { "type": "HTTP", "url": "http://127.0.0.1:8080/up", "status": "200-204", "rise": 3, "fall": 4 },
        ]);
        lab[id].api().create(&checked(VIP, &checks));
    }
    let owner = lab.await_owner(VIP);
    lab.await_reachable(VIP);
    let file = &files[usize::from(owner.0) - 1];
    fs::write(file, "500").expect("write");
    eventually("it is seen", || standing(&lab[owner], 1)["checked"]["passed"] == json!(false));
    assert_eq!(standing(&lab[owner], 1)["up"], json!(true), "one failure is not four");
    lab.await_owner_other_than(owner, VIP);
    await_error(&lab[owner], 1, "the answer has the status 500, not 200-204");
    assert_eq!(standing(&lab[owner], 0)["up"], json!(true));
    fs::write(file, "204").expect("write");
    eventually("it is seen", || standing(&lab[owner], 1)["checked"]["passed"] == json!(true));
    assert_eq!(standing(&lab[owner], 1)["up"], json!(false), "one success is not three");
    lab[owner].await_status(VIP, "STANDBY");

    // What a Go LinK reads of the record, and what a start without etcd reads of the copy.
    let id = lab[owner].api().find(VIP).expect("it is there").id;
    let stored = lab.etcd.get(&record_key(&owner.to_string(), &id)).expect("it is stored").value;
    let stored: Value = serde_json::from_str(&stored).expect("JSON");
    assert_eq!(stored["checks"][0]["type"], "TCP");
    assert_eq!(stored["checks"].as_array().map(Vec::len), Some(1));
    assert_eq!(stored["more_checks"][0]["status"], "200-204");
    let before = lab[owner].api().find(VIP).expect("it is there").checks;
    lab.etcd.stop();
    lab[owner].kill();
    lab[owner].restart_without_etcd();
    eventually("it is read from the copy", || {
        lab[owner].api().find(VIP).is_some_and(|ip| ip.checks == before)
    });
}

/// Answers each request with the status that is in the file.
fn serve(listener: std::net::TcpListener, status: PathBuf) {
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.set_read_timeout(Some(Duration::from_millis(100)));
            let _ = stream.read(&mut [0; 1000]);
            let code = fs::read_to_string(&status).unwrap_or_default();
            let _ = stream.write_all(format!("HTTP/1.1 {code} x\r\n\r\n").as_bytes());
        }
    });
}
