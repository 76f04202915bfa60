//! The rules of etcd that the one in memory keeps. A test in `tests/lab` (`same_answers`) compares it
//! with a real one.

#[path = "mod.rs"]
mod memory_etcd;
#[cfg(test)]
mod rules;
