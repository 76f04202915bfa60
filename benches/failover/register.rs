//! How long it takes to register many IPs, by one client and by many, with and without a look at the
//! network for a machine that has the address: that takes a tenth of a second, and nobody else is to wait
//! for it.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use super::harness::{H1, Lab, Program, Vip, linkctl};
use super::linkd::{Connection, MANY, offer, offer_many, start_agents};
use super::options::Options;
use super::table::Row;
use super::watch::random_phase;

/// So many at once.
const CLIENTS: u16 = 50;

/// What one client registers that has the network asked, and what many register.
const FEW: u16 = 20;
const SOME: u16 = 500;

/// The first of these.
const FIRST: u16 = 20_001;

pub(crate) fn load(options: &Options) -> Vec<Row> {
    let [mut all, mut asks, mut crowd, mut beside, mut file] = [const { Vec::new() }; 5];
    for _ in 0..options.runs {
        file.push(from_file());
        let mut lab = Lab::new(3);
        start_agents(&mut lab, &[]);
        random_phase();
        let began = Instant::now();
        offer_many(&lab, H1);
        all.push(began.elapsed());
        let mut lab = Lab::new(3);
        start_agents(&mut lab, &[]);
        let mut client = Connection::to(&lab, H1);
        asks.push(took(&mut client, FIRST, FEW, false).into_iter().sum::<Duration>() / FEW.into());
        let (lasted, longest) = at_once(&lab);
        crowd.push(lasted);
        beside.push(longest);
    }
    vec![
        Row::seconds(&format!("{MANY} IPs by linkctl add -f, until all have an owner"), file)
            .mark(1.5),
        Row::seconds(&format!("{MANY} IPs by POST /ips, one after the other, force"), all)
            .mark(1.0),
        Row::milliseconds("  one that has the network asked, one after the other", asks),
        Row::seconds("  500 that have the network asked, by 50 clients at once", crowd),
        Row::milliseconds("  beside them one after the other, force: the longest", beside),
    ]
}

/// How long it takes `linkctl add -f` to register the many IPs, with a look at the network, and until all of
/// them have an owner.
fn from_file() -> Duration {
    let mut lab = Lab::new(3);
    start_agents(&mut lab, &[]);
    let lines: Vec<String> = (1..=MANY).map(|number| Vip::v4(number).to_string()).collect();
    let path = std::env::temp_dir().join(format!("link-{}-ips", std::process::id()));
    fs::write(&path, lines.join("\n")).expect("a file with the IPs");
    random_phase();
    let began = Instant::now();
    let arguments = ["add", "--wait", "-f", path.to_str().expect("a name in UTF-8")];
    let output = lab.run_on(H1, &Program::new(linkctl()).args(arguments));
    let took = began.elapsed();
    let _ = fs::remove_file(&path);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    took
}

/// How long it takes many clients, and one beside them for its longest request.
fn at_once(lab: &Lab) -> (Duration, Duration) {
    let clients: Vec<Connection> = (0..CLIENTS).map(|_| Connection::to(lab, H1)).collect();
    let mut other = Connection::to(lab, H1);
    let each = SOME / CLIENTS;
    let began = Instant::now();
    let longest = thread::scope(|scope| {
        for (first, mut client) in (1..).step_by(each.into()).zip(clients) {
            scope.spawn(move || took(&mut client, first, each, false));
        }
        let longest = scope.spawn(move || took(&mut other, FIRST + FEW, FEW, true));
        let longest = longest.join().expect("the client beside them").into_iter().max();
        longest.unwrap_or_default()
    });
    (began.elapsed(), longest)
}

/// Registers so many IPs; how long each took.
fn took(client: &mut Connection, first: u16, count: u16, force: bool) -> Vec<Duration> {
    let once = |ip| {
        let asked = Instant::now();
        offer(client, ip, force);
        asked.elapsed()
    };
    (first..first + count).map(once).collect()
}
