//! What an agent tells Prometheus: that it is true, and that Prometheus takes it.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::harness::*;

/// Between the last answer of a host and the second question that it does not answer, with the defaults:
/// so far may be what the agents know of a death from what the client knows of it.
const UNCERTAIN: Duration = Duration::from_millis(225);

/// A scrape.
struct Scrape(String);

impl Scrape {
    #[track_caller]
    fn of(lab: &Lab, host: HostId) -> Scrape {
        Scrape(lab[host].api().get("/metrics").expect(200).body)
    }

    /// The value of the series with this name, and with all of these labels.
    fn value(&self, name: &str, labels: &str) -> Option<&str> {
        let series =
            if labels.is_empty() { name.to_owned() } else { format!("{name}{{{labels}}}") };
        self.0.lines().find_map(|line| line.strip_prefix(&series)?.strip_prefix(' '))
    }

    fn bound(&self, vip: Vip) -> Option<bool> {
        let labels = format!("ip=\"{vip}\",interface=\"eth0\"");
        self.value("linkd_vip_bound", &labels).map(|value| value == "1")
    }

    /// How many failovers of this kind there were, and how long they took together.
    fn failovers(&self, kind: &str) -> (u64, Duration) {
        let part = |part| {
            let name = format!("linkd_failover_duration_seconds_{part}");
            self.value(&name, &format!("kind=\"{kind}\"")).expect("it is told")
        };
        let sum = part("sum").parse().expect("seconds");
        (part("count").parse().expect("a number"), Duration::from_secs_f64(sum))
    }
}

/// A host that is scraped beside all that happens to it.
struct Watched {
    id: HostId,
    namespace: Arc<Namespace>,
    api: Api,
}

impl Watched {
    fn has(&self) -> bool {
        !self.namespace.ip(&format!("-o addr show to {}", VIP.ip())).is_empty()
    }

    /// Scrapes once; true if what was told could be compared: the kernel has said the same before and after.
    fn compare(&self) -> bool {
        let before = self.has();
        let Ok(answer) = self.api.try_send("GET", "/metrics", None) else { return false };
        let Some(told) = Scrape(answer.body).bound(VIP) else { return false };
        if self.has() != before {
            return false;
        }
        assert_eq!(told, before, "{} tells this of {VIP}, and `ip addr` that", self.id);
        true
    }
}

/// Ends the scrapes, also when a test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Compares what is told with `ip addr` on all hosts, again and again, while something happens.
#[track_caller]
fn compared_during(lab: &mut Lab, story: impl FnOnce(&mut Lab)) {
    let watched: Vec<Watched> = lab
        .ids()
        .into_iter()
        .map(|id| Watched { id, namespace: Arc::clone(lab[id].namespace()), api: lab[id].api() })
        .collect();
    let (over, compared) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for host in &watched {
            let (over, compared) = (&over, &compared);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let _ = compared.fetch_add(usize::from(host.compare()), Ordering::Relaxed);
                }
            });
        }
        let _over = Over(&over);
        story(lab);
    });
    println!("{compared:?} scrapes compared with `ip addr`");
    assert!(compared.into_inner() > 20);
}

#[test]
fn what_is_told_of_the_kernel_is_what_ip_addr_says() {
    let mut lab = Lab::sharing(3, VIP);
    lab.await_calm(VIP);
    compared_during(&mut lab, |lab| {
        for _ in 0..3 {
            let owner = lab.await_owner(VIP);
            lab[owner].api().failover(VIP).expect(204);
            lab.await_owner_other_than(owner, VIP);
        }
        let owner = lab.await_calm(VIP);
        // What another program does is undone, and told.
        lab[owner].ip(&format!("addr del {VIP} dev eth0"));
        eventually("it is told", || {
            Scrape::of(lab, owner).value("linkd_address_restored_total", "") == Some("1")
        });
        lab.await_owner(VIP);
        lab[owner].power_off();
        lab.await_owner_other_than(owner, VIP);
        lab.etcd.stop();
        eventually("all that are left have it", || lab.bound_on(VIP).len() == 2);
        let told = |id| Scrape::of(lab, id);
        for id in lab.ids().into_iter().filter(|id| *id != owner) {
            // The heir of the dead owner had it before it lost etcd.
            eventually("etcd is lost", || told(id).value("linkd_etcd_up", "") == Some("0"));
            let lock = format!("ip=\"{VIP}\"");
            assert_eq!(told(id).value("linkd_vip_lock_held", &lock), Some("0"));
            eventually("two may have it", || {
                let shared = "linkd_dual_ownership_seconds_total";
                told(id).value(shared, "").is_some_and(|seconds| !seconds.starts_with("0."))
            });
        }
        lab.etcd.start_all();
        lab.await_owner(VIP);
    });
}

#[test]
fn how_long_a_failover_took_is_what_the_client_has_seen() {
    let mut lab = Lab::sharing(3, VIP);
    let owner = lab.await_calm(VIP);
    lab.await_reachable(VIP);
    let pinger = lab.client.ping(VIP.ip());
    lab[owner].power_off();
    let heir = lab.await_owner_other_than(owner, VIP);
    lab.await_reachable(VIP);
    let seen = pinger.stop();
    let (crashes, reported) = Scrape::of(&lab, heir).failovers("crash");
    println!("told {reported:?}, seen {seen:?}");
    assert_eq!(crashes, 1);
    let noise = UNCERTAIN + seen.longest_stall;
    assert!(reported <= seen.longest_gap + noise, "told {reported:?}, seen {seen:?}");
    assert!(seen.longest_gap <= reported + noise, "told {reported:?}, seen {seen:?}");

    let begun = std::time::Instant::now();
    lab[heir].api().failover(VIP).expect(204);
    let took = begun.elapsed();
    let next = lab.await_owner_other_than(heir, VIP);
    let told = || Scrape::of(&lab, next).failovers("handover");
    eventually("the handover is told", || told().0 == 1);
    assert!(told().1 <= took + Duration::from_millis(5), "told {:?}, took {took:?}", told());
    let (crashes, _) = Scrape::of(&lab, next).failovers("crash");
    assert_eq!(crashes, 0, "a handover is none");
}

#[test]
fn promtool_finds_nothing_wrong_with_what_is_told() {
    let lab = Lab::sharing(2, VIP);
    let owner = lab.await_calm(VIP);
    // Nobody listens there.
    let check = json!({"type": "TCP", "host": "127.0.0.1", "port": 9});
    lab[owner].api().create(&json!({"ip": VIP6.to_string(), "checks": [check]}));
    let failed = || {
        Scrape::of(&lab, owner)
            .value("linkd_check_up", &format!("ip=\"{VIP6}\",check=\"TCP 127.0.0.1:9\""))
            == Some("0")
    };
    eventually("the check has failed", failed);
    for id in lab.ids() {
        let scrape = Scrape::of(&lab, id).0;
        let mut promtool = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start promtool");
        let mut input = promtool.stdin.take().expect("a pipe");
        input.write_all(scrape.as_bytes()).expect("promtool reads all of it");
        drop(input);
        let said = promtool.wait_with_output().expect("promtool ends");
        assert!(said.status.success() && said.stdout.is_empty(), "{said:?} of {scrape}");
        assert!(said.stderr.is_empty(), "{said:?} of {scrape}");
    }
}

#[test]
fn promtool_takes_the_alerts_and_their_tests_pass() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/monitoring");
    for arguments in
        [["check", "rules", "link.rules.yml"], ["test", "rules", "link.rules.test.yml"]]
    {
        let said = Command::new("promtool").args(arguments).current_dir(&folder).output();
        let said = said.expect("start promtool");
        assert!(said.status.success(), "{arguments:?}: {said:?}");
    }
}

/// As docs/operating.md has it: with a password, and with the alerts.
#[test]
fn prometheus_scrapes_an_agent_that_has_a_password_and_takes_the_alerts() {
    let mut lab = Lab::new(1);
    lab[H1].start_with(&[("USER", "admin"), ("PASSWORD", "s3cret")]);
    let folder = lab.folder().join("prometheus");
    std::fs::create_dir(&folder).expect("make a folder");
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("write a file");
        path.display().to_string()
    };
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/monitoring/link.rules.yml");
    let password = write("password", "s3cret\n");
    let config = format!(
        "rule_files: ['{}']\n\
         scrape_configs:\n\
         - job_name: link\n\
        \x20 scrape_interval: 1s\n\
        \x20 basic_auth: {{username: admin, password_file: '{password}'}}\n\
        \x20 static_configs: [{{targets: ['127.0.0.1:1313']}}]\n",
        rules.display()
    );
    let arguments = [
        format!("--config.file={}", write("prometheus.yml", &config)),
        format!("--storage.tsdb.path={}", folder.join("data").display()),
        "--web.listen-address=127.0.0.1:9090".to_owned(),
    ];
    let program = Program::new("prometheus").args(arguments);
    let log = folder.join("log");
    let _prometheus = Process::start(lab[H1].namespace(), &program, &log);
    let api = Api::local(lab[H1].namespace(), 9090);
    let says = |path: &str, text: &str| {
        api.try_send("GET", path, None).is_ok_and(|answer| answer.body.contains(text))
    };
    eventually("it is scraped", || says("/api/v1/query?query=linkd_etcd_up", "\"1\"]"));
    assert!(says("/api/v1/query?query=up", "\"1\"]"), "{}", tail(&log, 20));
    assert!(says("/api/v1/rules", "LinkDown"), "{}", tail(&log, 20));
}
