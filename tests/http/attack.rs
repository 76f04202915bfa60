//! Clients that mean harm. Whatever they do, a good client gets its answer.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::libc::linger;
use nix::sys::socket::{setsockopt, sockopt};

use crate::client::Client;
use crate::supervisor::Server;

/// Connections that the gate keeps.
const CAP: usize = 256;
const GET: &str = "GET /version HTTP/1.1\r\nHost: h\r\n\r\n";

/// How hard it is tried.
struct Scale {
    slow_clients: usize,
    resets: usize,
    lengths: usize,
    head_megabytes: usize,
    pipelined: usize,
}

const SMALL: Scale =
    Scale { slow_clients: 300, resets: 2_000, lengths: 200, head_megabytes: 30, pipelined: 20_000 };

#[test]
fn slow_clients_push_each_other_out_and_not_a_good_one() {
    let server = Server::obliging();
    hold_out(server.address, |address| slow_clients(address, SMALL.slow_clients));
}

#[test]
fn slow_clients_that_come_back_at_once_do_not_shut_a_good_one_out() {
    let server = Server::obliging();
    let time = Duration::from_secs(1);
    hold_out(server.address, |address| returning_clients(address, SMALL.slow_clients, time));
}

/// There is a place for each of them, but not the memory.
#[test]
fn bodies_that_do_not_end_push_each_other_out() {
    let server = Server::obliging();
    hold_out(server.address, |address| {
        let head = "PUT /ips HTTP/1.1\r\nHost: h\r\nContent-Length: 65536\r\n\r\n";
        let request = format!("{head}{}", " ".repeat(60_000));
        let mut clients: Vec<Client> = (0..CAP / 2)
            .map(|_| {
                let mut client = Client::connect(address);
                client.send(&request);
                client
            })
            .collect();
        assert!(clients[0].is_closed());
        assert!(clients.last().unwrap().is_waiting());
    });
}

#[test]
fn clients_that_connect_ask_and_reset_leave_no_trace() {
    let server = Server::obliging();
    hold_out(server.address, |address| connect_and_reset(address, SMALL.resets));
}

#[test]
fn a_length_beyond_all_memory_is_refused() {
    let server = Server::obliging();
    hold_out(server.address, |address| absurd_lengths(address, SMALL.lengths));
}

#[test]
fn a_head_without_end_is_refused() {
    let server = Server::obliging();
    hold_out(server.address, |address| endless_head(address, SMALL.head_megabytes));
}

#[test]
fn requests_sent_ahead_are_answered_one_at_a_time() {
    let server = Server::obliging();
    hold_out(server.address, |address| pipelined(address, SMALL.pipelined));
}

#[test]
fn clients_that_are_all_busy_leave_a_place_to_a_new_one() {
    let server = Server::obliging();
    hold_out(server.address, |address| busy_clients(address, CAP + 50));
}

#[test]
fn clients_that_do_not_read_their_answers_are_pushed_out() {
    let server = Server::obliging();
    hold_out(server.address, |address| deaf_clients(address, CAP + 50));
}

/// Without a descriptor for the next client, the one that has waited longest has to go.
#[test]
fn running_out_of_descriptors_shuts_nobody_out() {
    let name = "attack::running_out_of_descriptors_shuts_nobody_out";
    in_a_process_of_its_own(name, "ulimit -n 100", |address, pid| {
        hold_out(address, |address| {
            let clients: Vec<Client> = (0..200).map(|_| Client::connect(address)).collect();
            connect_and_reset(address, 200);
            drop(clients);
        });
        assert_sleeps(pid, "gate");
    });
}

/// Everything at once that is known to bring tiny_http down, at the scale at which it does.
#[cfg(feature = "lab")]
#[test]
fn at_full_scale_a_good_client_waits_under_a_second_and_memory_stays_small() {
    const FULL: Scale = Scale {
        slow_clients: 1_000,
        resets: 10_000,
        lengths: 1_000,
        head_megabytes: 300,
        pipelined: 500_000,
    };
    let name = "attack::at_full_scale_a_good_client_waits_under_a_second_and_memory_stays_small";
    in_a_process_of_its_own(name, ":", |address, pid| {
        let time = Duration::from_secs(5);
        let attacks: [(&str, &dyn Fn(SocketAddr)); 8] = [
            ("slow clients", &|address| slow_clients(address, FULL.slow_clients)),
            ("slow, returning", &|address| returning_clients(address, FULL.slow_clients, time)),
            ("connect and reset", &|address| connect_and_reset(address, FULL.resets)),
            ("absurd lengths", &|address| absurd_lengths(address, FULL.lengths)),
            ("endless head", &|address| endless_head(address, FULL.head_megabytes)),
            ("pipelined", &|address| pipelined(address, FULL.pipelined)),
            ("busy clients", &|address| busy_clients(address, 2 * CAP)),
            ("deaf clients", &|address| deaf_clients(address, 2 * CAP)),
        ];
        for (name, attack) in attacks {
            let start = Instant::now();
            let worst = hold_out(address, attack);
            let peak = peak_memory(pid);
            println!("{name}: {:?}, good client {worst:?}, peak {peak} KiB", start.elapsed());
            assert!(worst < Duration::from_secs(1), "{name}: {worst:?}");
            assert!(peak < 20 * 1024, "{name}: {peak} KiB");
        }
    });
}

/// The high-water mark of a process's resident memory in KiB (proc(5)).
#[cfg(feature = "lab")]
fn peak_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// A thread with nothing to do does not wake up: there is a quiet half second soon, in which it
/// gave up the processor hardly ever.
fn assert_sleeps(pid: u32, name: &str) {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(Result::unwrap);
    let named = |path: &PathBuf| std::fs::read_to_string(path.join("comm")).unwrap().trim() == name;
    let task = tasks.map(|task| task.path()).find(named).unwrap();
    let switches = || {
        let status = std::fs::read_to_string(task.join("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.unwrap().trim().parse::<u64>().unwrap()
    };
    let quiet = (0..10).any(|_| {
        let before = switches();
        thread::sleep(Duration::from_millis(500));
        switches() - before < 5
    });
    assert!(quiet, "{name} does not sleep");
}

/// Runs the server in another process, so that its limits and its memory are its own: this very
/// program, which executes the same test again and comes here as the child.
fn in_a_process_of_its_own(test: &str, prepare: &str, attack: impl FnOnce(SocketAddr, u32)) {
    const CHILD: &str = "LINK_TEST_IS_CHILD";
    if std::env::var_os(CHILD).is_some() {
        return serve_until_stdin_ends();
    }
    let mut child = Command::new("sh")
        .args(["-c", &format!("{prepare}; exec \"$0\" --exact --nocapture \"$1\"")])
        .arg(std::env::current_exe().unwrap())
        .arg(test)
        .env(CHILD, "yes")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut addresses = lines.filter_map(|line| Some(line.split_once("listening on ")?.1.parse()));
    let address = addresses.next().expect("the child does not listen").unwrap();
    attack(address, child.id());
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

fn serve_until_stdin_ends() {
    let server = Server::obliging();
    let mut output = std::io::stdout();
    writeln!(output, "listening on {}", server.address).unwrap();
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// Runs an attack while a good client asks again and again, each time over a new connection. It is
/// answered during the attack and after it. The longest that it waited is returned.
fn hold_out(address: SocketAddr, attack: impl FnOnce(SocketAddr)) -> Duration {
    let over = Arc::new(AtomicBool::new(false));
    let good = {
        let over = Arc::clone(&over);
        thread::spawn(move || {
            let mut worst = Duration::ZERO;
            let mut is_last = false;
            while !is_last {
                is_last = over.load(Ordering::SeqCst);
                let start = Instant::now();
                assert_eq!(Client::connect(address).get("/ips").status, 200);
                worst = worst.max(start.elapsed());
            }
            worst
        })
    };
    attack(address);
    over.store(true, Ordering::SeqCst);
    good.join().unwrap()
}

/// Each sends the beginning of a request, one of its head and one of its body.
fn slow_clients(address: SocketAddr, count: usize) {
    let beginnings =
        ["GET /ips HT", "PUT /ips HTTP/1.1\r\nHost: h\r\nContent-Length: 65536\r\n\r\n{"];
    let mut clients: Vec<Client> = (0..count)
        .map(|number| {
            let mut client = Client::connect(address);
            client.send(beginnings[number % 2]);
            client
        })
        .collect();
    // The first ones have waited longest: they are gone. The good client may have pushed out more.
    for client in &mut clients[..count - CAP] {
        assert!(client.is_closed());
    }
    assert!(clients.last().unwrap().is_waiting());
}

/// Slow clients, each of which connects again as soon as it has been pushed out.
fn returning_clients(address: SocketAddr, count: usize, time: Duration) {
    let start = Instant::now();
    let slow = || {
        let mut client = Client::connect(address);
        let _ = client.stream.write_all(b"GET /ips HT");
        client
    };
    let mut clients: Vec<Client> = (0..count).map(|_| slow()).collect();
    let mut returned = 0;
    // A busy machine may need longer for as many.
    while start.elapsed() < time || (returned <= count && start.elapsed() < 20 * time) {
        for client in clients.iter_mut().filter(|client| !client.is_waiting()) {
            *client = slow();
            returned += 1;
        }
    }
    assert!(returned > count, "{returned} of {count} came back");
}

/// Closes a connection so that the other side gets a reset.
pub(crate) fn reset(stream: TcpStream) {
    let at_once = linger { l_onoff: 1, l_linger: 0 };
    setsockopt(&stream.as_fd(), sockopt::Linger, &at_once).unwrap();
}

fn connect_and_reset(address: SocketAddr, count: usize) {
    for number in 0..count {
        let mut stream = TcpStream::connect(address).unwrap();
        match number % 3 {
            0 => {}
            1 => stream.write_all(b"GET /ips HTTP/1.1\r\n").unwrap_or_default(),
            _ => stream.write_all(GET.as_bytes()).unwrap_or_default(),
        }
        reset(stream);
    }
}

fn absurd_lengths(address: SocketAddr, count: usize) {
    for _ in 0..count {
        let mut client = Client::connect(address);
        client.send("POST /ips HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000000000\r\n\r\n{");
        assert_eq!(client.answer().status, 413);
    }
}

fn endless_head(address: SocketAddr, megabytes: usize) {
    let mut client = Client::connect(address);
    client.send("GET / HTTP/1.1\r\nHost: h\r\nX: ");
    let megabyte = vec![b'x'; 1024 * 1024];
    for _ in 0..megabytes {
        // The server says what is wrong and hangs up some time later.
        if client.stream.write_all(&megabyte).is_err() {
            break;
        }
    }
    assert_eq!(client.answer().status, 431);
}

fn pipelined(address: SocketAddr, count: usize) {
    const CLIENTS: usize = 4;
    let attackers: Vec<_> =
        (0..CLIENTS).map(|_| thread::spawn(move || pipeline(address, count / CLIENTS))).collect();
    for attacker in attackers {
        attacker.join().unwrap();
    }
}

/// Sends without waiting, while another thread reads.
fn pipeline(address: SocketAddr, count: usize) {
    let client = Client::connect(address);
    let mut sender = client.stream.try_clone().unwrap();
    let writer = thread::spawn(move || {
        let requests = GET.repeat(1000);
        for _ in 0..count / 1000 {
            sender.write_all(requests.as_bytes()).unwrap();
        }
        sender.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let answered = count_answers(client.stream);
    writer.join().unwrap();
    assert_eq!(answered, count);
}

/// Counts without keeping: every answer begins with the same line.
fn count_answers(mut stream: TcpStream) -> usize {
    const START: &[u8] = b"HTTP/1.1 200 OK\r\n";
    let mut chunk = vec![0; 64 * 1024];
    let mut kept = Vec::new();
    let mut count = 0;
    loop {
        let read = stream.read(&mut chunk).unwrap();
        if read == 0 {
            return count;
        }
        kept.extend_from_slice(&chunk[..read]);
        count += kept.windows(START.len()).filter(|bytes| bytes == &START).count();
        kept.drain(..kept.len().saturating_sub(START.len() - 1));
    }
}

/// More clients than there are places, all with requests waiting; those that are let go return.
fn busy_clients(address: SocketAddr, count: usize) {
    let until = Instant::now() + Duration::from_secs(1);
    let requests = GET.repeat(50);
    let mut clients: Vec<TcpStream> = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    while Instant::now() < until {
        while clients.len() < count {
            let stream = TcpStream::connect(address).unwrap();
            stream.set_nonblocking(true).unwrap();
            clients.push(stream);
        }
        clients.retain_mut(|stream| {
            let _ = stream.write(requests.as_bytes());
            match stream.read(&mut chunk) {
                Ok(read) => read > 0,
                Err(error) => error.kind() == ErrorKind::WouldBlock,
            }
        });
    }
}

/// They send requests as long as the server takes them, and read nothing.
fn deaf_clients(address: SocketAddr, count: usize) {
    let until = Instant::now() + Duration::from_secs(1);
    let requests = "GET /ips HTTP/1.1\r\nHost: h\r\n\r\n".repeat(500);
    let mut clients: Vec<TcpStream> = Vec::new();
    while clients.len() < count {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nonblocking(true).unwrap();
        clients.push(stream);
    }
    while Instant::now() < until {
        for stream in &mut clients {
            let _ = stream.write(requests.as_bytes());
        }
    }
}
