//! The network actuator against the real kernel.
//!
//! Each test runs in a network namespace of its own, which vanishes with the test's threads: veth
//! pairs made and judged by `ip`, frames captured at the other end of the pair. Needs root.

// A test that cannot go on is to say where and why; that is what `unwrap` does.
#![allow(clippy::unwrap_used)]

mod announcing;
mod binding;
mod capture;
mod connections;
mod duplicates;
mod hearing;
mod interfaces;
mod lab;
mod left_overs;
mod monitoring;
mod neighbour;
mod not_ours;
mod others;
mod prefixes;
mod probing;
mod restoring;
mod signs;
mod standstill;
mod starting;
