//! The end of the API. In a program of its own, because it counts the program's descriptors.
#![allow(
    clippy::unwrap_used,
    reason = "in a test, also outside its own function, it is an assertion"
)]

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crossbeam_channel::unbounded;
use link::api::{Api, Options};

/// The names of the API's threads.
fn threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    let ours = ["gate", "api-"];
    names.filter(|name| ours.iter().any(|ours| name.starts_with(ours))).collect()
}

#[test]
fn nothing_is_left_of_an_api_that_was_dropped() {
    let descriptors = || fs::read_dir("/proc/self/fd").unwrap().count();
    let before = descriptors();
    let start = Instant::now();
    for _ in 0..20 {
        let (commands, requests) = unbounded();
        let listen = vec!["127.0.0.1:0".parse().unwrap()];
        let api = Api::start(Options { listen, ..Options::default() }, commands).unwrap();
        let mut client = TcpStream::connect(api.addresses()[0]).unwrap();
        client.write_all(b"GET /ips HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        requests.recv().unwrap();
        drop(api);
        // A thread that was joined is listed for an instant longer: it is still leaving the kernel.
        while !threads().is_empty() {
            assert!(start.elapsed() < Duration::from_secs(20), "{:?} are left", threads());
            std::thread::yield_now();
        }
    }
    assert!(start.elapsed() < Duration::from_secs(20), "an end takes far less than a second");
    // tiny_http's own threads cannot be joined; they let go of their sockets at once, though.
    while descriptors() > before {
        assert!(start.elapsed() < Duration::from_secs(30), "{} left of {before}", descriptors());
        std::thread::yield_now();
    }
}
