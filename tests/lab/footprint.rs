//! What an IP costs in memory.

use std::fs;

use serde_json::{Value, json};

use crate::harness::*;

const IPS: usize = 100;

/// Of the programs as they are delivered: `.ci/run` names them. Without optimization functions take more of the stack.
const PAGES_DELIVERED: u64 = 1;
const PAGES_OTHERWISE: u64 = 16;

/// Address space of a thread of ours: 256 KiB (`src/thread.rs`), what the C library keeps beside them, no guard.
const STACKS: std::ops::RangeInclusive<u64> = 256..=280;

/// The resident KiB of each private anonymous mapping of a size, proc(5).
fn mappings(pid: u32, kib: impl Fn(u64) -> bool) -> Vec<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps")).expect("its mappings");
    let value = |line: &str, name: &str| {
        line.strip_prefix(name)?.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    };
    let sizes = text.lines().filter_map(|line| value(line, "Size:"));
    let resident = text.lines().filter_map(|line| value(line, "Rss:"));
    sizes.zip(resident).filter(|(size, _)| kib(*size)).map(|(_, resident)| resident).collect()
}

#[test]
fn a_thread_of_an_ip_uses_a_page_of_its_stack() {
    let mut lab = Lab::new(1);
    // As by default: to write a line takes stack.
    lab[H1].start_with(&[("RUST_LOG", "")]);
    let all: Value = (1..=IPS)
        .map(|number| json!({"ip": format!("10.1.1.{number}/32"), "force": true}))
        .collect();
    lab[H1].api().post("/ips", &all).expect(201);
    eventually("it owns all of them", || {
        lab[H1].api().list().iter().filter(|ip| ip.bound).count() == IPS
    });
    let stacks = mappings(lab[H1].agent().pid(), |kib| STACKS.contains(&kib));
    assert!(stacks.len() > IPS, "stacks are not found: {stacks:?}");
    let delivered = std::env::var_os("LINKD").is_some();
    let pages = if delivered { PAGES_DELIVERED } else { PAGES_OTHERWISE };
    let small = stacks.iter().filter(|resident| **resident <= pages * 4).count();
    println!(
        "{small} of {} stacks have at most {pages} pages in use: {stacks:?} KiB",
        stacks.len()
    );
    // Some are one mapping with memory beside them, of which nothing is known; all threads run the same code.
    assert!(
        small > IPS / 2,
        "{small} of {} have at most {pages} pages: {stacks:?} KiB",
        stacks.len()
    );
}
